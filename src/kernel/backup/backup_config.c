#include "kernel/backup/backup_config.h"

#include "kernel/base/clock.h"

#include <string.h>

#define USEC_PER_DAY (86400ull * USEC_PER_SEC)

const struct config_row backup_config_rows[] = {
    {.key = "backup.to",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct backup_config, to),
     .doc = "Where scheduled backups go: a folder. Empty: none are made."},
    {.key = "backup.include",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct backup_config, include),
     .doc = "Folders that go into each backup as files/NAME, separated by commas (documents)."},
    {.key = "backup.keep_daily",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct backup_config, keep_daily_usec),
     .default_ = "30d",
     .min = USEC_PER_DAY,
     .doc = "How long every backup is kept."},
    {.key = "backup.keep_weekly",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct backup_config, keep_weekly_usec),
     .default_ = "90d",
     .min = USEC_PER_DAY,
     .doc = "How long the first backup of each week is kept."},
    {.key = "backup.max_age",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct backup_config, age_usec_max),
     .default_ = "26h",
     .min = 60ull * USEC_PER_SEC,
     .doc = "With backup.to: a last good backup older than this turns health to degraded."},
};
const size_t backup_config_row_count = sizeof(backup_config_rows) / sizeof(backup_config_rows[0]);

enum err backup_config_open(const struct backup_config *config, const char *where,
                            struct backup_place **out, struct why *why)
{
    (void)config;
    return backup_place_folder(where, out, why);
}

/* Cuts the id off the end of "PLACE/ID"; false when there is none. */
static bool cut_id(const char *from, struct arena *arena, char **out_place, const char **out_id)
{
    struct slice whole = slice_text(from);
    while (whole.len > 1 && whole.ptr[whole.len - 1] == '/') {
        whole.len--;
    }
    size_t at = whole.len;
    int64_t unused = 0;
    while (at > 0 && whole.ptr[at - 1] != '/') {
        at--;
    }
    struct slice id = slice_sub(whole, at, whole.len);
    if (backup_id_parse(id, &unused) != OK) {
        return false;
    }
    struct slice place = at == 0 ? SLICE_LIT(".") : slice_sub(whole, 0, at > 1 ? at - 1 : 1);
    *out_place = slice_cstr(arena, place);
    *out_id = slice_cstr(arena, id);
    return true;
}

enum err backup_config_find(const struct backup_config *config, const char *from,
                            struct arena *arena, struct backup_place **out, const char **out_id,
                            struct why *why)
{
    struct backup_place *place = NULL;
    struct slice *ids = NULL;
    size_t count = 0;
    char *where = NULL;
    if (cut_id(from, arena, &where, out_id)) {
        return backup_config_open(config, where, out, why);
    }
    enum err e = backup_config_open(config, from, &place, why);
    if (e == OK) {
        e = backup_place_list(place, arena, &ids, &count, why);
    }
    if (e == OK && count == 0) {
        e = why_set(why, ERR_NOT_FOUND, NULL, "There is no whole backup in %s.",
                    backup_place_shown(place));
    }
    if (e != OK) {
        backup_place_close(place);
        return e;
    }
    *out_id = slice_cstr(arena, ids[count - 1]);
    *out = place;
    return OK;
}
