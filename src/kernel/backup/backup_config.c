#include "kernel/backup/backup_config.h"

#include "kernel/backup/backup_bucket.h"
#include "kernel/base/clock.h"

#include <stdlib.h>
#include <string.h>

/* Of one request to a bucket, which carries a part at most. */
#define TIMEOUT_USEC (120ll * USEC_PER_SEC)
#define ATTEMPTS_MAX 6
#define PAUSE_USEC (USEC_PER_SEC / 4)

#define USEC_PER_DAY (86400ull * USEC_PER_SEC)

const struct config_row backup_config_rows[] = {
    {.key = "backup.to",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct backup_config, to),
     .doc = "Where scheduled backups go: a folder, or s3://BUCKET/PREFIX. Empty: none are made."},
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
     .doc = "How long the first backup of each week, that of Sunday, is kept."},
    {.key = "backup.max_age",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct backup_config, age_usec_max),
     .default_ = "26h",
     .min = 60ull * USEC_PER_SEC,
     .doc = "With backup.to: a last good backup older than this turns health to degraded."},
    {.key = "backup.s3_endpoint",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct backup_config, s3_endpoint),
     .flags = CONFIG_URLS,
     .doc = "Server of s3:// places, as https://HOST; empty is AWS in backup.s3_region."},
    {.key = "backup.s3_region",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct backup_config, s3_region),
     .default_ = "us-east-1",
     .doc = "Region of the bucket; servers of one's own mostly take any."},
    {.key = "backup.s3_path_style",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct backup_config, s3_path_style),
     .default_ = "false",
     .doc = "Address buckets as HOST/BUCKET instead of BUCKET.HOST (servers of one's own)."},
    {.key = "backup.s3_access_key",
     .type = CONFIG_SECRET,
     .offset = offsetof(struct backup_config, s3_access_key),
     .doc = "Access key id; empty takes AWS_ACCESS_KEY_ID of the environment."},
    {.key = "backup.s3_secret_key",
     .type = CONFIG_SECRET,
     .offset = offsetof(struct backup_config, s3_secret_key),
     .doc = "Secret access key; empty takes AWS_SECRET_ACCESS_KEY of the environment."},
    {.key = "backup.s3_session_token",
     .type = CONFIG_SECRET,
     .offset = offsetof(struct backup_config, s3_session_token),
     .doc = "Session token of temporary credentials; empty takes AWS_SESSION_TOKEN."},
};
const size_t backup_config_row_count = sizeof(backup_config_rows) / sizeof(backup_config_rows[0]);

/* The setting, or what the environment has under the usual name. */
static const struct secret *choose(const struct secret *setting, const char *variable,
                                   struct secret *from_environment)
{
    const char *value = getenv(variable);
    if (secret_len(setting) > 0 || value == NULL) {
        return setting;
    }
    secret_init(from_environment, value, strlen(value));
    return from_environment;
}

static enum err open_bucket(const struct backup_config *c, const char *where,
                            struct backup_place **out, struct why *why)
{
    struct secret environment[3] = {{.ptr_ = NULL}, {.ptr_ = NULL}, {.ptr_ = NULL}};
    const struct net_s3_options options = {
        .endpoint = c->s3_endpoint,
        .region = c->s3_region,
        .path_style = c->s3_path_style,
        .key_id = choose(&c->s3_access_key, "AWS_ACCESS_KEY_ID", &environment[0]),
        .secret = choose(&c->s3_secret_key, "AWS_SECRET_ACCESS_KEY", &environment[1]),
        .session_token = choose(&c->s3_session_token, "AWS_SESSION_TOKEN", &environment[2]),
        .timeout_usec = TIMEOUT_USEC,
        .attempts_max = ATTEMPTS_MAX,
        .pause_usec = PAUSE_USEC,
    };
    enum err e = backup_place_bucket(where, options, out, why);
    for (size_t i = 0; i < sizeof(environment) / sizeof(environment[0]); i++) {
        secret_clear(&environment[i]);
    }
    return e;
}

enum err backup_config_open(const struct backup_config *config, const char *where,
                            struct backup_place **out, struct why *why)
{
    return slice_starts(slice_text(where), SLICE_LIT("s3://"))
               ? open_bucket(config, where, out, why)
               : backup_place_folder(where, out, why);
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
