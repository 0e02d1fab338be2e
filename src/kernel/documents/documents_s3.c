/*
 * documents_s3.c: documents as objects PREFIX/HASH of a bucket. Those that are read come to disk
 * first, hashed on the way, so that what is not right is not served. A connection to the bucket is
 * used by one thread at a time; there are as many as were ever needed at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/base/mem.h"
#include "kernel/documents/documents.h"
#include "kernel/net/s3.h"

/* Memory of an upload while it is stored, and of a download while it is fetched. */
#define PART_BYTES NET_S3_PART_MIN
#define RANGE_BYTES ((size_t)1 << 20)
#define KEY_MAX 1024 /* S3's limit */
#define TIMEOUT_USEC (60 * (int64_t)USEC_PER_SEC)
#define ATTEMPTS_MAX 4
#define PAUSE_USEC (USEC_PER_SEC / 4)

struct handle {
    struct net_s3 *s3;
    struct handle *next;
};

struct bucket {
    struct documents_store base;
    struct documents_store *local; /* the hold, and files that arrive */
    struct arena arena;
    struct net_s3_options options;
    struct secret environment[3];
    const char *prefix; /* "" or ends with a slash */
    pthread_mutex_t mutex;
    struct handle *idle;
};

/* ---- connections ---- */

/* Whatever a bucket has against us is no matter of who asks us. */
static enum err failed(struct why *why, enum err e, const struct why *said)
{
    bool ours = e == ERR_UPSTREAM || e == ERR_NOT_FOUND || e == ERR_DISK_FULL || e == ERR_IO ||
                e == ERR_OVERLOADED;
    enum err told = ours ? e : ERR_UPSTREAM;
    (void)why_set(why, told, NULL, "%s", why_text(said, e));
    return told;
}

static enum err take(struct bucket *b, struct handle **out, struct why *why)
{
    struct why said = {.err = OK};
    pthread_mutex_lock(&b->mutex);
    struct handle *h = b->idle;
    b->idle = h != NULL ? h->next : NULL;
    pthread_mutex_unlock(&b->mutex);
    if (h == NULL) {
        h = mem_alloc(sizeof *h);
        enum err e = net_s3_new(&b->options, &h->s3, &said);
        if (e != OK) {
            mem_free(h);
            return failed(why, e, &said);
        }
    }
    *out = h;
    return OK;
}

static void give(struct bucket *b, struct handle *h)
{
    pthread_mutex_lock(&b->mutex);
    h->next = b->idle;
    b->idle = h;
    pthread_mutex_unlock(&b->mutex);
}

static void key_of(const struct bucket *b, const struct hash *hash, char out[KEY_MAX])
{
    char digits[2 * HASH_BYTES + 3];
    hex_encode_to(hash_slice(hash), digits);
    (void)snprintf(out, KEY_MAX, "%s%s", b->prefix, digits + 2);
}

/* ---- writing ---- */

/* Fills the part from a place of the file; what is read is less at its end only. */
static enum err read_part(int fd, uint64_t at, uint8_t *part, size_t *out_len, struct why *why)
{
    size_t len = 0;
    ssize_t n = 1;
    while (n != 0 && len < PART_BYTES) {
        n = pread(fd, part + len, PART_BYTES - len, (off_t)(at + len));
        if (n < 0 && errno != EINTR) {
            return why_set(why, ERR_IO, NULL, "An upload cannot be read: %s.", strerror(errno));
        }
        len += n > 0 ? (size_t)n : 0;
    }
    *out_len = len;
    return OK;
}

static enum err put_parts(struct net_s3 *s3, const char *key, int fd, uint8_t *part, size_t first,
                          struct why *why)
{
    struct net_s3_upload upload = {.key = NULL};
    size_t len = first;
    uint64_t at = 0;
    enum err e = net_s3_upload_begin(s3, key, &upload, why);
    if (e != OK) {
        return e;
    }
    while (e == OK && len > 0) {
        e = net_s3_upload_part(s3, &upload, slice_of(part, len), why);
        at += len;
        if (e == OK) {
            e = read_part(fd, at, part, &len, why);
        }
    }
    e = e == OK ? net_s3_upload_complete(s3, &upload, why) : e;
    if (e != OK) {
        net_s3_upload_abort(s3, &upload);
    }
    return e;
}

static enum err bucket_put(struct documents_store *base, const struct hash *hash, int fd,
                           struct why *why)
{
    struct bucket *b = (struct bucket *)base;
    struct handle *h = NULL;
    struct why said = {.err = OK};
    char key[KEY_MAX];
    size_t len = 0;
    enum err e = take(b, &h, why);
    if (e != OK) {
        return e;
    }
    key_of(b, hash, key);
    uint8_t *part = mem_alloc(PART_BYTES);
    e = read_part(fd, 0, part, &len, &said);
    if (e == OK) {
        e = len < PART_BYTES ? net_s3_put(h->s3, key, slice_of(part, len), &said)
                             : put_parts(h->s3, key, fd, part, len, &said);
    }
    mem_free(part);
    give(b, h);
    e = e == ERR_NOT_FOUND ? ERR_UPSTREAM : e; /* the bucket */
    return e == OK ? OK : failed(why, e, &said);
}

/* ---- reading ---- */

static enum err write_all(int fd, struct slice bytes, struct why *why)
{
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t n = write(fd, bytes.ptr + done, bytes.len - done);
        if (n < 0 && errno != EINTR) {
            return why_set(why, errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO, NULL,
                           "A document cannot be fetched: %s.", strerror(errno));
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return OK;
}

static enum err fetch(struct net_s3 *s3, const char *key, int fd, struct hash *out_hash,
                      uint64_t *out_size, struct why *why)
{
    struct arena scratch;
    struct sha256 *sha = sha256_new();
    uint64_t size = 0;
    uint64_t at = 0;
    enum err e = OK;
    arena_init(&scratch, 0);
    do {
        struct slice piece = SLICE_EMPTY;
        arena_clear(&scratch);
        e = net_s3_get(s3, &scratch, key, at, RANGE_BYTES, &piece, &size, why);
        if (e == OK && piece.len == 0 && at < size) {
            e = why_set(why, ERR_UPSTREAM, NULL, "The bucket gives less than it has.");
        }
        e = e == OK ? write_all(fd, piece, why) : e;
        if (e == OK) {
            sha256_update(sha, piece);
            at += piece.len;
        }
    } while (e == OK && at < size);
    sha256_final(sha, out_hash);
    sha256_free(sha);
    arena_free(&scratch);
    *out_size = at;
    return e;
}

static int open_spool(const char *dir)
{
    char name[KEY_MAX];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        (void)snprintf(name, sizeof name, "%s/fetch-XXXXXX", dir);
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0) {
            (void)unlink(name);
        }
    }
    return fd;
}

static enum err bucket_open(struct documents_store *base, const struct hash *hash, int *out_fd,
                            uint64_t *out_size, struct why *why)
{
    struct bucket *b = (struct bucket *)base;
    struct handle *h = NULL;
    struct why said = {.err = OK};
    struct hash found = *hash;
    char key[KEY_MAX];
    uint64_t size = 0;
    int fd = open_spool(base->spool_dir);
    if (fd < 0) {
        return why_set(why, errno == EMFILE || errno == ENFILE ? ERR_OVERLOADED : ERR_IO, NULL,
                       "A document cannot be fetched: %s.", strerror(errno));
    }
    key_of(b, hash, key);
    enum err e = take(b, &h, &said);
    if (e == OK) {
        e = fetch(h->s3, key, fd, &found, &size, &said);
        give(b, h);
    }
    if (e == OK && !hash_equal(&found, hash)) {
        (void)close(fd);
        return why_set(why, ERR_CORRUPT, NULL, "The bucket gives other bytes than were stored.");
    }
    if (e != OK) {
        (void)close(fd);
        return failed(why, e, &said);
    }
    *out_fd = fd;
    *out_size = size;
    return OK;
}

/* ---- the rest ---- */

static enum err bucket_hold(struct documents_store *base, bool alone, int *out, struct why *why)
{
    struct bucket *b = (struct bucket *)base;
    return b->local->ops->hold(b->local, alone, out, why);
}

static void bucket_let_go(struct documents_store *base, int hold)
{
    struct bucket *b = (struct bucket *)base;
    b->local->ops->let_go(b->local, hold);
}

static enum err bucket_remove(struct documents_store *base, const struct hash *hash,
                              struct why *why)
{
    struct bucket *b = (struct bucket *)base;
    struct handle *h = NULL;
    struct why said = {.err = OK};
    char key[KEY_MAX];
    enum err e = take(b, &h, why);
    if (e != OK) {
        return e;
    }
    key_of(b, hash, key);
    e = net_s3_delete(h->s3, key, &said);
    give(b, h);
    return e == OK ? OK : failed(why, e, &said);
}

static enum err keep_local(void *ctx, const struct hash *hash, struct why *why)
{
    (void)ctx;
    (void)hash;
    (void)why;
    return OK;
}

static enum err visit_page(const struct bucket *b, const struct net_s3_page *page,
                           int64_t before_usec, documents_visit_fn visit, void *ctx,
                           struct why *why)
{
    struct slice prefix = slice_text(b->prefix);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < page->count; i++) {
        const struct net_s3_entry *entry = &page->entries[i];
        struct slice name = slice_sub(entry->key, prefix.len, entry->key.len);
        char text[2 * HASH_BYTES + 3];
        struct hash hash;
        if (entry->is_prefix || entry->modified_usec >= before_usec ||
            name.len != (size_t)2 * HASH_BYTES) {
            continue;
        }
        (void)snprintf(text, sizeof text, "0x%.*s", SLICE_ARG(name));
        if (hash_parse(slice_text(text), &hash) == OK) {
            e = visit(ctx, &hash, why);
        }
    }
    return e;
}

static enum err bucket_visit(struct documents_store *base, int64_t before_usec,
                             documents_visit_fn visit, void *ctx, struct why *why)
{
    struct bucket *b = (struct bucket *)base;
    struct net_s3_page page = {.count = 0};
    struct why said = {.err = OK};
    struct handle *h = NULL;
    struct arena pages;
    enum err e = b->local->ops->visit(b->local, before_usec, keep_local, NULL, why);
    e = e == OK ? take(b, &h, why) : e;
    if (e != OK) {
        return e;
    }
    arena_init(&pages, 0);
    do { /* the token of a page lives in the one before */
        e = net_s3_list(h->s3, &pages, b->prefix, "/", page.next, &page, &said);
        if (e != OK) {
            e = failed(why, e, &said);
        } else {
            e = visit_page(b, &page, before_usec, visit, ctx, why);
        }
    } while (e == OK && page.next.len > 0);
    arena_free(&pages);
    give(b, h);
    return e;
}

static void bucket_free(struct documents_store *base)
{
    struct bucket *b = (struct bucket *)base;
    while (b->idle != NULL) {
        struct handle *h = b->idle;
        b->idle = h->next;
        net_s3_free(h->s3);
        mem_free(h);
    }
    for (size_t i = 0; i < sizeof b->environment / sizeof b->environment[0]; i++) {
        secret_clear(&b->environment[i]);
    }
    b->local->ops->free(b->local);
    pthread_mutex_destroy(&b->mutex);
    arena_free(&b->arena);
    mem_free(b);
}

static const struct documents_store_ops bucket_ops = {
    .hold = bucket_hold,
    .let_go = bucket_let_go,
    .put = bucket_put,
    .open = bucket_open,
    .remove = bucket_remove,
    .visit = bucket_visit,
    .free = bucket_free,
};

/* ---- opening ---- */

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

/* "s3://BUCKET/PREFIX" */
static enum err read_place(struct bucket *b, const char *place, struct why *why)
{
    struct slice name;
    struct slice prefix;
    struct slice rest = slice_text(place + strlen("s3://"));
    (void)slice_cut(rest, '/', &name, &prefix);
    while (prefix.len > 0 && prefix.ptr[prefix.len - 1] == '/') {
        prefix.len--;
    }
    if (name.len == 0 || prefix.len + 2 * HASH_BYTES + 2 > KEY_MAX) {
        return why_set(why, ERR_CONFIG, "documents.store",
                       "documents.store must be empty or s3://BUCKET/PREFIX.");
    }
    b->options.bucket = slice_cstr(&b->arena, name);
    b->prefix = prefix.len > 0
                    ? slice_cstr(&b->arena, slice_format(&b->arena, "%.*s/", SLICE_ARG(prefix)))
                    : "";
    return OK;
}

enum err documents_store_s3(const struct documents_config *c, struct documents_store **out,
                            struct why *why)
{
    struct documents_store *local = NULL;
    struct handle *h = NULL;
    enum err e = documents_store_local(c->dir, &local, why);
    if (e != OK) {
        return e;
    }
    struct bucket *b = mem_alloc(sizeof *b);
    *b = (struct bucket){.base = {.ops = &bucket_ops, .spool_dir = local->spool_dir},
                         .local = local};
    arena_init(&b->arena, 0);
    pthread_mutex_init(&b->mutex, NULL);
    b->options = (struct net_s3_options){
        .endpoint = c->s3_endpoint,
        .region = c->s3_region,
        .path_style = c->s3_path_style,
        .key_id = choose(&c->s3_access_key, "AWS_ACCESS_KEY_ID", &b->environment[0]),
        .secret = choose(&c->s3_secret_key, "AWS_SECRET_ACCESS_KEY", &b->environment[1]),
        .session_token = choose(&c->s3_session_token, "AWS_SESSION_TOKEN", &b->environment[2]),
        .timeout_usec = TIMEOUT_USEC,
        .attempts_max = ATTEMPTS_MAX,
        .pause_usec = PAUSE_USEC,
    };
    e = read_place(b, c->store, why);
    if (e == OK) { /* what is configured wrongly is said at the start */
        struct why said = {.err = OK};
        e = take(b, &h, &said);
        if (e != OK) {
            (void)why_set(why, ERR_CONFIG, "documents.store", "%s", why_text(&said, e));
            e = ERR_CONFIG;
        }
    }
    if (e != OK) {
        bucket_free(&b->base);
        return e;
    }
    give(b, h);
    *out = &b->base;
    return OK;
}
