/*
 * Backups in a bucket, as PREFIX/ID/NAME. A small file is one object; a larger one goes in parts of
 * PART_BYTES, which appear as one object when the last is there.
 */
#include "kernel/backup/backup_bucket.h"

#include "kernel/base/check.h"

#include <string.h>

#define PART_BYTES ((size_t)8 << 20)
#define RANGE_BYTES ((size_t)8 << 20)
#define KEY_MAX 1024 /* S3's limit */

struct bucket {
    struct net_s3 *s3;
    char prefix[KEY_MAX]; /* "" or ends with a slash */
    char id[BACKUP_ID_MAX];
    char key[KEY_MAX]; /* of the file in the making */
    uint8_t *part;
    size_t part_len;
    struct net_s3_upload upload; /* of the file in the making, when it is large */
};

/* ---- writing ---- */

static enum err make_key(const struct bucket *b, const char *id, const char *name,
                         char out[KEY_MAX], struct why *why)
{
    int len = snprintf(out, KEY_MAX, "%s%s/%s", b->prefix, id, name);
    return len > 0 && len < KEY_MAX
               ? OK
               : why_set(why, ERR_LIMIT, NULL, "The name of an object would be too long.");
}

static enum err bucket_begin(void *self, const char *id, struct why *why)
{
    struct bucket *b = self;
    char key[KEY_MAX];
    uint64_t size = 0;
    struct why said = {0};
    (void)snprintf(b->id, sizeof(b->id), "%s", id);
    enum err e = make_key(b, id, BACKUP_MANIFEST, key, why);
    if (e != OK) {
        return e;
    }
    /* Also finds out whether the bucket lets us in, before anything is read. */
    e = net_s3_head(b->s3, key, &size, &said);
    if (e == OK) {
        return why_set(why, ERR_ALREADY_EXISTS, NULL, "There is a backup %s already.", id);
    }
    if (e == ERR_NOT_FOUND) {
        return OK;
    }
    return why_set(why, e, said.field[0] != '\0' ? said.field : NULL, "%s", why_text(&said, e));
}

static enum err bucket_create(void *self, const char *name, struct why *why)
{
    struct bucket *b = self;
    b->part_len = 0;
    return make_key(b, b->id, name, b->key, why);
}

static enum err send_part(struct bucket *b, struct why *why)
{
    enum err e = OK;
    if (b->upload.id == NULL) {
        e = net_s3_upload_begin(b->s3, b->key, &b->upload, why);
    }
    if (e == OK) {
        e = net_s3_upload_part(b->s3, &b->upload, slice_of(b->part, b->part_len), why);
    }
    b->part_len = e == OK ? 0 : b->part_len;
    return e;
}

static enum err bucket_write(void *self, struct slice bytes, struct why *why)
{
    struct bucket *b = self;
    enum err e = OK;
    while (e == OK && bytes.len > 0) {
        size_t room = PART_BYTES - b->part_len;
        size_t len = bytes.len < room ? bytes.len : room;
        memcpy(b->part + b->part_len, bytes.ptr, len);
        b->part_len += len;
        bytes = slice_sub(bytes, len, bytes.len);
        if (b->part_len == PART_BYTES) {
            e = send_part(b, why);
        }
    }
    return e;
}

static enum err bucket_finish(void *self, struct why *why)
{
    struct bucket *b = self;
    if (b->upload.id == NULL) {
        return net_s3_put(b->s3, b->key, slice_of(b->part, b->part_len), why);
    }
    enum err e = b->part_len > 0 ? send_part(b, why) : OK;
    return e == OK ? net_s3_upload_complete(b->s3, &b->upload, why) : e;
}

static enum err bucket_commit(void *self, struct why *why)
{
    /* The manifest was the last object, and is there: that is all. */
    (void)self;
    (void)why;
    return OK;
}

/* ---- what is there ---- */

typedef enum err (*entry_fn)(void *ctx, const struct net_s3_entry *entry, struct why *why);

/* Visits everything below a prefix, page by page. */
static enum err each(struct bucket *b, const char *prefix, const char *delimiter, entry_fn fn,
                     void *ctx, struct why *why)
{
    struct arena pages[2];
    struct slice token = SLICE_EMPTY;
    enum err e = OK;
    arena_init(&pages[0], 0);
    arena_init(&pages[1], 0);
    for (unsigned turn = 0; e == OK; turn ^= 1) {
        struct net_s3_page page;
        arena_clear(&pages[turn]); /* the other one holds the token */
        e = net_s3_list(b->s3, &pages[turn], prefix, delimiter, token, &page, why);
        for (size_t i = 0; e == OK && i < page.count; i++) {
            e = fn(ctx, &page.entries[i], why);
        }
        if (e != OK || page.next.len == 0) {
            break;
        }
        token = page.next;
    }
    arena_free(&pages[0]);
    arena_free(&pages[1]);
    return e;
}

static enum err delete_entry(void *ctx, const struct net_s3_entry *entry, struct why *why)
{
    struct bucket *b = ctx;
    struct arena scratch;
    arena_init(&scratch, 0);
    enum err e = net_s3_delete(b->s3, slice_cstr(&scratch, entry->key), why);
    arena_free(&scratch);
    return e;
}

static enum err delete_all(struct bucket *b, const char *id, struct why *why)
{
    char prefix[KEY_MAX];
    enum err e = make_key(b, id, "", prefix, why);
    return e == OK ? each(b, prefix, "", delete_entry, b, why) : e;
}

static void bucket_abandon(void *self)
{
    struct bucket *b = self;
    net_s3_upload_abort(b->s3, &b->upload);
    /* What cannot be removed now is swept after a day. */
    (void)(delete_all(b, b->id, NULL) == OK);
}

static enum err bucket_read(void *self, const char *id, const char *name, backup_piece_fn fn,
                            void *ctx, struct why *why)
{
    struct bucket *b = self;
    char key[KEY_MAX];
    struct arena scratch;
    uint64_t at = 0;
    uint64_t size = 1;
    arena_init(&scratch, 0);
    enum err e = make_key(b, id, name, key, why);
    if (e == OK) {
        e = net_s3_head(b->s3, key, &size, why);
    }
    while (e == OK && at < size) {
        struct slice piece;
        uint64_t now = 0;
        arena_clear(&scratch);
        e = net_s3_get(b->s3, &scratch, key, at, RANGE_BYTES, &piece, &now, why);
        if (e == OK && (now != size || piece.len == 0)) {
            e = why_set(why, ERR_CORRUPT, NULL, "The object %s changed while it was read.", name);
        }
        e = e == OK ? fn(ctx, piece, why) : e;
        at += e == OK ? piece.len : 0;
    }
    arena_free(&scratch);
    return e;
}

struct found {
    struct slice id;
    bool whole;
    int64_t newest_usec; /* of its objects */
};

struct finding {
    struct bucket *bucket;
    struct arena *arena;
    struct found *ids;
    size_t count;
    size_t room;
};

/* The backup that an object belongs to: the first part of its name, if it is an id. */
static bool id_of(const struct bucket *b, struct slice key, struct slice *out, struct slice *name)
{
    int64_t unused = 0;
    return slice_cut(slice_sub(key, strlen(b->prefix), key.len), '/', out, name) &&
           backup_id_parse(*out, &unused) == OK;
}

static enum err note_object(void *ctx, const struct net_s3_entry *entry, struct why *why)
{
    (void)why;
    struct finding *f = ctx;
    struct slice id;
    struct slice name;
    if (!id_of(f->bucket, entry->key, &id, &name)) {
        return OK;
    }
    /* Keys come in order, so that those of a backup are together. */
    if (f->count == 0 || !slice_equal(f->ids[f->count - 1].id, id)) {
        if (f->count == f->room) {
            struct found *more = arena_alloc_array(f->arena, f->room * 2 + 16, sizeof(*more));
            if (f->count > 0) {
                memcpy(more, f->ids, f->count * sizeof(*more));
            }
            f->room = f->room * 2 + 16;
            f->ids = more;
        }
        f->ids[f->count++] = (struct found){.id = slice_copy(f->arena, id)};
    }
    struct found *last = &f->ids[f->count - 1];
    last->whole = last->whole || slice_equal_text(name, BACKUP_MANIFEST);
    if (entry->modified_usec > last->newest_usec) {
        last->newest_usec = entry->modified_usec;
    }
    return OK;
}

static enum err bucket_list(void *self, struct arena *arena, struct slice **out, size_t *out_count,
                            struct why *why)
{
    struct bucket *b = self;
    struct finding f = {.bucket = b, .arena = arena};
    enum err e = each(b, b->prefix, "", note_object, &f, why);
    if (e != OK) {
        return e;
    }
    size_t count = 0;
    struct slice *ids = arena_alloc_array(arena, f.count + 1, sizeof(*ids));
    for (size_t i = 0; i < f.count; i++) {
        if (f.ids[i].whole) {
            ids[count++] = f.ids[i].id;
        }
    }
    *out = ids;
    *out_count = count;
    return OK;
}

static enum err bucket_remove(void *self, const char *id, struct why *why)
{
    struct bucket *b = self;
    char key[KEY_MAX];
    enum err e = make_key(b, id, BACKUP_MANIFEST, key, why);
    if (e == OK) {
        e = net_s3_delete(b->s3, key, why);
    }
    return e == OK ? delete_all(b, id, why) : e;
}

static enum err bucket_sweep(void *self, int64_t before_usec, struct why *why)
{
    struct bucket *b = self;
    struct arena scratch;
    arena_init(&scratch, 0);
    struct finding f = {.bucket = b, .arena = &scratch};
    enum err e = each(b, b->prefix, "", note_object, &f, why);
    for (size_t i = 0; e == OK && i < f.count; i++) {
        if (!f.ids[i].whole && f.ids[i].newest_usec < before_usec) {
            e = delete_all(b, slice_cstr(&scratch, f.ids[i].id), why);
        }
    }
    arena_free(&scratch);
    return e;
}

static void bucket_close(void *self)
{
    struct bucket *b = self;
    net_s3_upload_abort(b->s3, &b->upload);
    net_s3_free(b->s3);
    mem_free(b->part);
    mem_free(b);
}

static const struct backup_place_kind bucket_kind = {
    .begin = bucket_begin,
    .create = bucket_create,
    .write = bucket_write,
    .finish = bucket_finish,
    .commit = bucket_commit,
    .abandon = bucket_abandon,
    .read = bucket_read,
    .list = bucket_list,
    .remove = bucket_remove,
    .sweep = bucket_sweep,
    .close = bucket_close,
};

/* ---- opening ---- */

enum err backup_place_bucket(const char *url, struct net_s3_options options,
                             struct backup_place **out, struct why *why)
{
    struct arena scratch;
    struct slice bucket;
    struct slice prefix;
    arena_init(&scratch, 0);
    struct slice rest = slice_sub(slice_text(url), strlen("s3://"), strlen(url));
    (void)slice_cut(rest, '/', &bucket, &prefix);
    while (prefix.len > 0 && prefix.ptr[prefix.len - 1] == '/') {
        prefix.len--;
    }
    enum err e = OK;
    if (prefix.len > 0 && !backup_name_is_safe(prefix)) {
        e = why_set(why, ERR_CONFIG, NULL,
                    "A place in a bucket is s3://BUCKET/PREFIX; a prefix is letters, digits, '.', "
                    "'-', '_' and '/'.");
    }
    struct net_s3 *s3 = NULL;
    options.bucket = slice_cstr(&scratch, bucket);
    if (e == OK) {
        e = net_s3_new(&options, &s3, why);
    }
    if (e == OK) {
        struct bucket *b = mem_alloc(sizeof(*b));
        b->s3 = s3;
        b->part = mem_alloc(PART_BYTES);
        (void)snprintf(b->prefix, sizeof(b->prefix), "%.*s%s", SLICE_ARG(prefix),
                       prefix.len > 0 ? "/" : "");
        struct slice shown = slice_format(&scratch, "s3://%.*s%s%.*s", SLICE_ARG(bucket),
                                          prefix.len > 0 ? "/" : "", SLICE_ARG(prefix));
        *out = backup_place_new(&bucket_kind, b, slice_cstr(&scratch, shown));
    }
    arena_free(&scratch);
    return e;
}
