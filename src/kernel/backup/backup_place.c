#include "kernel/backup/backup_place.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"

#include <stdlib.h>

struct backup_place {
    const struct backup_place_kind *kind;
    void *self;
    char *shown;
    bool begun;
    bool writing;
    struct backup_file file;
    struct sha256 *sha256;
};

struct backup_place *backup_place_new(const struct backup_place_kind *kind, void *self,
                                      const char *shown)
{
    struct backup_place *place = mem_alloc(sizeof(*place));
    size_t size = strlen(shown) + 1;
    place->kind = kind;
    place->self = self;
    place->shown = mem_alloc(size);
    memcpy(place->shown, shown, size);
    place->sha256 = sha256_new();
    return place;
}

void backup_place_close(struct backup_place *place)
{
    if (place == NULL) {
        return;
    }
    backup_place_abandon(place);
    place->kind->close(place->self);
    sha256_free(place->sha256);
    mem_free(place->shown);
    mem_free(place);
}

const char *backup_place_shown(const struct backup_place *place)
{
    return place->shown;
}

/* ---- names ---- */

bool backup_name_is_safe(struct slice name)
{
    bool begins = true; /* a part of the path */
    if (name.len == 0 || name.len > BACKUP_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = (char)name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool inner = c == '.' || c == '-' || c == '_' || c == '/';
        if (!letter && !(inner && !(begins && (c == '.' || c == '/')))) {
            return false;
        }
        begins = c == '/';
    }
    return !begins;
}

void backup_id_format(int64_t wall_usec, char out[BACKUP_ID_MAX])
{
    char text[CLOCK_TEXT_MAX];
    clock_format(wall_usec, text);
    size_t len = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c != '-' && *c != ':') {
            out[len++] = *c;
        }
    }
    out[len] = '\0';
}

/* "20261127T164303.250Z" */
enum err backup_id_parse(struct slice id, int64_t *out_wall_usec)
{
    char text[CLOCK_TEXT_MAX];
    const char *t = (const char *)id.ptr;
    if (id.len != 20) {
        return ERR_INVALID_FIELD;
    }
    (void)snprintf(text, sizeof(text), "%.4s-%.2s-%.2s%.3s:%.2s:%.7s", t, t + 4, t + 6, t + 8,
                   t + 11, t + 13);
    return clock_parse(slice_text(text), out_wall_usec) == OK ? OK : ERR_INVALID_FIELD;
}

/* ---- writing ---- */

enum err backup_place_begin(struct backup_place *place, const char *id, struct why *why)
{
    ASSERT(!place->begun);
    enum err e = place->kind->begin(place->self, id, why);
    place->begun = e == OK;
    return e;
}

enum err backup_place_create(struct backup_place *place, const char *name, struct why *why)
{
    ASSERT(place->begun && !place->writing && backup_name_is_safe(slice_text(name)));
    place->file = (struct backup_file){.bytes = 0};
    (void)snprintf(place->file.name, sizeof(place->file.name), "%s", name);
    enum err e = place->kind->create(place->self, name, why);
    place->writing = e == OK;
    return e;
}

enum err backup_place_write(struct backup_place *place, struct slice bytes, struct why *why)
{
    ASSERT(place->writing);
    sha256_update(place->sha256, bytes);
    place->file.bytes += bytes.len;
    return place->kind->write(place->self, bytes, why);
}

enum err backup_place_finish(struct backup_place *place, struct backup_file *out, struct why *why)
{
    ASSERT(place->writing);
    place->writing = false;
    sha256_final(place->sha256, &place->file.sha256);
    enum err e = place->kind->finish(place->self, why);
    if (e == OK) {
        *out = place->file;
    }
    return e;
}

enum err backup_place_commit(struct backup_place *place, struct slice manifest, struct why *why)
{
    struct backup_file unused;
    enum err e = backup_place_create(place, BACKUP_MANIFEST, why);
    if (e == OK) {
        e = backup_place_write(place, manifest, why);
    }
    if (e == OK) {
        e = backup_place_finish(place, &unused, why);
    }
    if (e == OK) {
        e = place->kind->commit(place->self, why);
    }
    place->begun = place->begun && e != OK;
    return e;
}

void backup_place_abandon(struct backup_place *place)
{
    if (place->writing) {
        struct hash unused;
        sha256_final(place->sha256, &unused);
    }
    if (place->begun) {
        place->kind->abandon(place->self);
    }
    place->begun = place->writing = false;
}

/* ---- reading ---- */

enum err backup_place_read(struct backup_place *place, const char *id, const char *name,
                           backup_piece_fn fn, void *ctx, struct why *why)
{
    return place->kind->read(place->self, id, name, fn, ctx, why);
}

static int by_id(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

enum err backup_place_list(struct backup_place *place, struct arena *arena, struct slice **out,
                           size_t *out_count, struct why *why)
{
    struct slice *ids = NULL;
    size_t count = 0;
    enum err e = place->kind->list(place->self, arena, &ids, &count, why);
    if (e != OK) {
        return e;
    }
    if (count > 0) {
        qsort(ids, count, sizeof(ids[0]), by_id);
    }
    *out = ids;
    *out_count = count;
    return OK;
}

enum err backup_place_remove(struct backup_place *place, const char *id, struct why *why)
{
    return place->kind->remove(place->self, id, why);
}

enum err backup_place_sweep(struct backup_place *place, int64_t before_usec, struct why *why)
{
    return place->kind->sweep(place->self, before_usec, why);
}
