/*
 * documents_check.c: whether the bytes of documents are what they were, asked for one and for all.
 */
#include <errno.h>
#include <unistd.h>

#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/documents/documents_internal.h"
#include "kernel/documents/documents_sql.h"

#define READ_BYTES 65536
#define BEAT_BYTES ((uint64_t)4 << 20)
/* What is younger may belong to an upload that goes on. */
#define ORPHAN_USEC (3600 * (int64_t)USEC_PER_SEC)
#define SWEEP_TIMEOUT_USEC (600 * (int64_t)USEC_PER_SEC)

/* ---- one document ---- */

static enum err hash_file(int fd, struct hash *out, uint64_t *out_size, documents_beat_fn beat,
                          void *ctx, struct why *why)
{
    uint8_t bytes[READ_BYTES];
    uint64_t size = 0;
    uint64_t beaten = 0;
    enum err e = OK;
    struct sha256 *sha = sha256_new();
    for (;;) {
        ssize_t n = pread(fd, bytes, sizeof bytes, (off_t)size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            e = why_set(why, ERR_IO, NULL, "A document cannot be read: %s.", strerror(errno));
        }
        if (n <= 0) {
            break;
        }
        sha256_update(sha, slice_of(bytes, (size_t)n));
        size += (uint64_t)n;
        if (beat != NULL && size - beaten >= BEAT_BYTES) {
            beaten = size;
            e = beat(ctx, why);
        }
        if (e != OK) {
            break;
        }
    }
    sha256_final(sha, out);
    sha256_free(sha);
    *out_size = size;
    return e;
}

/* A disk that does not give the bytes has lost them, as far as one can tell. */
static enum err look(struct documents *d, const struct document *doc, const char **out_state,
                     documents_beat_fn beat, void *ctx, struct why *why)
{
    struct hash found;
    uint64_t size = 0;
    int fd = -1;
    enum err e = d->files->ops->open(d->files, &doc->hash, &fd, &size, why);
    if (e == ERR_NOT_FOUND) {
        *out_state = "missing";
        return OK;
    }
    if (e == ERR_CORRUPT) {
        *out_state = "damaged";
        return OK;
    }
    if (e != OK) {
        return e;
    }
    e = hash_file(fd, &found, &size, beat, ctx, why);
    (void)close(fd);
    if (e == OK || e == ERR_IO) {
        bool right = e == OK && size == doc->size && hash_equal(&found, &doc->hash);
        *out_state = right ? "stored" : "damaged";
        e = OK;
    }
    return e;
}

struct note {
    struct arena *arena;
    const struct document *doc;
    const char *state;
    struct audit_entry by;
    int64_t now_usec;
};

static enum err write_note(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct note *n = ctx;
    struct document now = {.size = 0};
    struct store_query q;
    enum err e = documents_get(tx, n->arena, n->doc->id, &now, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &documents_sql_checked);
    store_bind_text(&q, "document_id", n->doc->id);
    store_bind_text(&q, "state", slice_text(n->state));
    store_bind_time(&q, "now", n->now_usec);
    e = store_finish(&q, NULL, why);
    if (e != OK || slice_equal_text(now.state, n->state)) {
        return e;
    }
    bool right = strcmp(n->state, "stored") == 0;
    return documents_audit(tx, n->arena, n->by, right ? DOCUMENTS_RESTORED : DOCUMENTS_DAMAGED,
                           n->doc->id, why);
}

enum err documents_check(struct documents *d, struct arena *arena, struct document *doc,
                         struct audit_entry by, documents_beat_fn beat, void *ctx, struct why *why)
{
    struct note n = {.arena = arena, .doc = doc, .by = by};
    enum err e = look(d, doc, &n.state, beat, ctx, why);
    if (e != OK) {
        return e;
    }
    n.now_usec = clock_wall_usec();
    e = store_write(d->store, write_note, &n, why);
    if (e != OK) {
        return e;
    }
    bool right = strcmp(n.state, "stored") == 0;
    metric_add(&documents_metrics[right ? DOCUMENTS_METRIC_VERIFIED : DOCUMENTS_METRIC_FAILED], 1);
    if (!right) {
        LOG(LOG_ERROR, "documents.damaged", log_slice("document", doc->id),
            log_slice("filename", doc->filename), log_text("state", n.state));
    }
    doc->state = slice_text(n.state);
    doc->checked_usec = n.now_usec;
    doc->verified_usec = right ? n.now_usec : doc->verified_usec;
    return OK;
}

/* ---- bytes without a row ---- */

struct find {
    const struct hash *hash;
    struct arena arena;
    bool found;
};

static enum err find_row(struct store_tx *tx, void *ctx, struct why *why)
{
    struct find *f = ctx;
    struct document doc;
    struct store_query q;
    store_begin(&q, tx, &documents_sql_by_hash);
    store_bind_bytes(&q, "file_hash", hash_slice(f->hash));
    f->found = store_step(&q);
    if (f->found) {
        documents_take(&q, &f->arena, &doc);
    }
    return store_finish(&q, NULL, why);
}

enum err documents_remove(struct documents *d, const struct hash *hash, bool *out_removed,
                          struct why *why)
{
    struct find f = {.hash = hash};
    int hold = -1;
    enum err e = d->files->ops->hold(d->files, true, &hold, why);
    if (e != OK) {
        return e;
    }
    arena_init(&f.arena, 0);
    e = store_read(d->store, find_row, &f, why);
    arena_free(&f.arena);
    if (e == OK && !f.found) {
        e = d->files->ops->remove(d->files, hash, why);
    }
    d->files->ops->let_go(d->files, hold);
    if (e == OK) {
        *out_removed = !f.found;
    }
    return e;
}

/* ---- all of them ---- */

struct sweep {
    struct documents *d;
    struct job_call *call;
    struct arena *arena; /* of one document at a time */
    int64_t before_usec;
    struct document doc;
    bool found;
    int64_t checked;
    int64_t total;
    int64_t damaged;
    int64_t orphans;
};

static enum err beat(void *ctx, struct why *why)
{
    return jobs_heartbeat(ctx, why);
}

static enum err stalest(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sweep *s = ctx;
    struct store_query q;
    store_begin(&q, tx, &documents_sql_stalest);
    store_bind_time(&q, "before", s->before_usec);
    s->found = store_step(&q);
    if (s->found) {
        documents_take(&q, s->arena, &s->doc);
    }
    return store_finish(&q, NULL, why);
}

static enum err count(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sweep *s = ctx;
    struct store_query q;
    store_begin(&q, tx, &documents_sql_count);
    if (store_step(&q)) {
        s->total = store_get_i64(&q, "total");
        s->damaged = store_get_i64(&q, "damaged");
    }
    return store_finish(&q, NULL, why);
}

static enum err remove_orphan(void *ctx, const struct hash *hash, struct why *why)
{
    struct sweep *s = ctx;
    struct find f = {.hash = hash};
    bool removed = false;
    arena_init(&f.arena, 0);
    enum err e = store_read(s->d->store, find_row, &f, why);
    arena_free(&f.arena);
    if (e == OK && !f.found) {
        e = documents_remove(s->d, hash, &removed, why);
    }
    if (e == OK && removed) {
        char text[2 * HASH_BYTES + 3];
        hex_encode_to(hash_slice(hash), text);
        LOG(LOG_INFO, "documents.orphan_removed", log_text("hash", text));
        metric_add(&documents_metrics[DOCUMENTS_METRIC_ORPHANS], 1);
        s->orphans++;
    }
    return e == OK ? jobs_heartbeat(s->call, why) : e;
}

/* One that was deleted meanwhile is fine. */
static enum err check_all(struct sweep *s, struct why *why)
{
    const struct audit_entry by = {
        .actor_kind = AUDIT_SYSTEM, .actor = SLICE_LIT("documents"), .job_id = s->call->id};
    enum err e = OK;
    for (;;) {
        arena_clear(s->arena);
        e = store_read(s->d->store, stalest, s, why);
        if (e != OK || !s->found) {
            return e;
        }
        e = documents_check(s->d, s->arena, &s->doc, by, beat, s->call, why);
        if (e != OK && e != ERR_NOT_FOUND) {
            return e;
        }
        jobs_progress(s->call, ++s->checked, s->total, SLICE_EMPTY);
    }
}

static enum err sweep(struct job_call *call, struct why *why)
{
    struct arena arena;
    struct sweep s = {.d = call->ctx, .call = call, .arena = &arena};
    s.before_usec = clock_wall_usec();
    arena_init(&arena, 0);
    enum err e = store_read(call->store, count, &s, why);
    e = e == OK ? check_all(&s, why) : e;
    if (e == OK) {
        e = s.d->files->ops->visit(s.d->files, s.before_usec - ORPHAN_USEC, remove_orphan, &s, why);
    }
    e = e == OK ? store_read(call->store, count, &s, why) : e;
    arena_free(&arena);
    if (e == OK) {
        metric_set(&documents_metrics[DOCUMENTS_METRIC_TOTAL], s.total);
        metric_set(&documents_metrics[DOCUMENTS_METRIC_DAMAGED], s.damaged);
        LOG(s.damaged > 0 ? LOG_ERROR : LOG_INFO, "documents.swept", log_i64("checked", s.checked),
            log_i64("damaged", s.damaged), log_i64("orphans", s.orphans));
    }
    return e;
}

static const struct job_queue queues[] = {
    {.name = "documents",
     .concurrency = 1,
     .attempts_max = 3,
     .backoff = JOB_BACKOFF_EXPONENTIAL,
     .backoff_usec = 60 * (int64_t)USEC_PER_SEC,
     .doc = "Looking after documents, one sweep at a time."},
};

static const struct job_kind kinds[] = {
    {.name = "documents.sweep",
     .queue = "documents",
     .handler = sweep,
     .timeout_usec = SWEEP_TIMEOUT_USEC,
     .doc =
         "Reads all documents again, says which are not what they were, and removes files that no "
         "document has."},
};

static const struct job_cron crons[] = {
    {.name = "DocumentSweep",
     .kind = "documents.sweep",
     .cron = "30 1 * * *",
     .doc = "The daily proof that documents are what they were."},
};

struct job_table documents_job_table(struct documents *documents)
{
    return (struct job_table){
        .queues = queues,
        .queue_count = sizeof queues / sizeof queues[0],
        .kinds = kinds,
        .kind_count = sizeof kinds / sizeof kinds[0],
        .crons = crons,
        .cron_count = sizeof crons / sizeof crons[0],
        .ctx = documents,
    };
}
