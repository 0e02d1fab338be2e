#include "kernel/base/check.h"
#include "kernel/crypto/hash.h"
#include "kernel/http/http_internal.h"
#include "kernel/http/http_sql.h"

#define RUN_MAX_USEC (INT64_C(10) * 60 * USEC_PER_SEC)

enum {
    STATE_RUNNING = 1,
    STATE_ANSWERED = 2,
};

struct row {
    uint8_t body_hash[HASH_BYTES];
    int64_t state;
    struct slice boot;
    int64_t started_usec;
    struct http_answer answer;
};

struct begin {
    struct http_request *req;
    struct http_idempotency *run;
    enum http_idempotency_verdict verdict;
    struct http_answer answer;
};

/* Method, path with query, and what the body says: the request that the key stands for. */
static void hash_request(const struct http_request *req, uint8_t out[HASH_BYTES])
{
    static const uint8_t zero = 0;
    const struct slice parts[] = {req->call.method, req->call.path, req->query};
    struct hash digest;
    struct sha256 *stream = sha256_new();
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        sha256_update(stream, parts[i]);
        sha256_update(stream, slice_of(&zero, 1)); /* in none of the parts */
    }
    sha256_update(stream, req->call.body);
    http_upload_hash(req, stream);
    sha256_final(stream, &digest);
    sha256_free(stream);
    memcpy(out, digest.bytes, HASH_BYTES);
}

static void begin_for(struct store_query *q, struct store_tx *tx, const struct store_statement *s,
                      const struct http_idempotency *run)
{
    store_begin(q, tx, s);
    store_bind_text(q, "key", run->key);
    store_bind_text(q, "route", run->route);
    store_bind_text(q, "principal", run->principal);
}

enum err http_keys_purge(struct store_tx *tx, int64_t before_usec, uint64_t limit,
                         uint64_t *out_rows, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &http_sql_idempotency_purge);
    store_bind_time(&q, "before", before_usec);
    store_bind_i64(&q, "limit", (int64_t)limit);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK) {
        *out_rows = (uint64_t)changed;
    }
    return e;
}

/* Writes the row of a new run, by the statement that inserts it or the one that takes it over. */
static enum err claim(const struct begin *b, struct store_tx *tx, const struct store_statement *s,
                      int64_t *out_changed, struct why *why)
{
    struct store_query q;
    begin_for(&q, tx, s, b->run);
    store_bind_bytes(&q, "body_hash", slice_of(b->run->body_hash, HASH_BYTES));
    store_bind_text(&q, "boot", slice_text(b->req->server->boot_id));
    store_bind_time(&q, "now", b->run->started_usec);
    return store_finish(&q, out_changed, why);
}

static enum err read_row(const struct begin *b, struct store_tx *tx, struct row *out,
                         struct why *why)
{
    struct arena *arena = &b->req->arena;
    struct store_query q;
    begin_for(&q, tx, &http_sql_idempotency_find, b->run);
    if (store_step(&q)) {
        store_get_fixed(&q, "body_hash", out->body_hash, HASH_BYTES);
        out->state = store_get_i64(&q, "state");
        out->boot = store_get_text(&q, "boot", arena);
        out->started_usec = store_get_time(&q, "started_at");
        out->answer.status = (int)store_get_i64(&q, "status");
        struct slice type = store_get_text(&q, "content_type", arena);
        out->answer.content_type = type.len > 0 ? slice_cstr(arena, type) : NULL;
        out->answer.location = store_get_text(&q, "location", arena);
        out->answer.body = store_get_bytes(&q, "body", arena);
        out->answer.replayed = true;
    }
    return store_finish_one(&q, "idempotency key", why);
}

/* ---- who runs -------------------------------------------------------------------------------- */

static void runs_add(struct http_server *server, struct http_idempotency *run)
{
    pthread_mutex_lock(&server->runs_mutex);
    run->next = server->runs;
    server->runs = run;
    pthread_mutex_unlock(&server->runs_mutex);
}

static void runs_remove(struct http_server *server, const struct http_idempotency *run)
{
    pthread_mutex_lock(&server->runs_mutex);
    struct http_idempotency **at = &server->runs;
    while (*at != run) {
        at = &(*at)->next;
    }
    *at = run->next;
    pthread_mutex_unlock(&server->runs_mutex);
}

/*
 * Whether one of our threads runs what a row of ours says. A run is listed from before its row is
 * written until after the row has its answer, so that a row whose run is not listed was left behind
 * by one that could not write its end: the database was gone.
 */
static bool runs_here(struct http_server *server, const struct http_idempotency *asked,
                      int64_t started_usec)
{
    pthread_mutex_lock(&server->runs_mutex);
    const struct http_idempotency *run = server->runs;
    while (run && !(run->started_usec == started_usec && slice_equal(run->key, asked->key) &&
                    slice_equal(run->route, asked->route) &&
                    slice_equal(run->principal, asked->principal))) {
        run = run->next;
    }
    pthread_mutex_unlock(&server->runs_mutex);
    return run != NULL;
}

/*
 * A running row of another server belongs to one that died, unless that one is known to live on the
 * same database. Servers that are not known as processes (store_lease.h) are told by the time: one
 * that began after our start gets the long limit, like our own.
 */
static enum err is_abandoned(struct store_tx *tx, const struct begin *b, const struct row *row,
                             int64_t now_usec, bool *out, struct why *why)
{
    struct http_server *server = b->req->server;
    bool ours = slice_equal_text(row->boot, server->boot_id);
    bool known = store_leases_started(server->store);
    bool lives = false;
    enum err e = ours || !known ? OK : store_process_lives(tx, row->boot, &lives, why);
    if (e) {
        return e;
    }
    bool gone = ours    ? !runs_here(server, b->run, row->started_usec)
                : known ? !lives
                        : row->started_usec < server->started_usec;
    *out = gone || now_usec - row->started_usec >= RUN_MAX_USEC;
    return OK;
}

static enum err begin_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct begin *b = ctx;
    int64_t now = b->run->started_usec;
    int64_t changed = 0;
    struct row row = {.state = 0};
    b->verdict = HTTP_IDEMPOTENCY_RUN;
    enum err e = claim(b, tx, &http_sql_idempotency_insert, &changed, why);
    if (e || changed > 0) {
        return e;
    }
    e = read_row(b, tx, &row, why);
    if (e) {
        return e;
    }
    if (row.started_usec < now - HTTP_KEY_LIFE_USEC) {
        return claim(b, tx, &http_sql_idempotency_take, NULL, why);
    }
    if (memcmp(row.body_hash, b->run->body_hash, HASH_BYTES) != 0) {
        return why_set(why, ERR_IDEMPOTENCY_MISMATCH, "Idempotency-Key", "%s",
                       err_sentence(ERR_IDEMPOTENCY_MISMATCH));
    }
    if (row.state == STATE_ANSWERED) {
        b->verdict = HTTP_IDEMPOTENCY_REPLAY;
        b->answer = row.answer;
        return OK;
    }
    ASSERT(row.state == STATE_RUNNING);
    bool abandoned = false;
    e = is_abandoned(tx, b, &row, now, &abandoned, why);
    if (e) {
        return e;
    }
    if (!abandoned) {
        return why_set(why, ERR_IN_PROGRESS, "Idempotency-Key", "%s",
                       err_sentence(ERR_IN_PROGRESS));
    }
    return claim(b, tx, &http_sql_idempotency_take, NULL, why);
}

enum err http_idempotency_begin(struct http_request *req, struct http_idempotency *out,
                                enum http_idempotency_verdict *out_verdict,
                                struct http_answer *out_answer, struct why *why)
{
    struct http_server *server = req->server;
    *out = (struct http_idempotency){
        .key = req->call.idempotency_key,
        .route = slice_text(req->call.route->path),
        .principal = req->call.principal,
        .started_usec = clock_wall_usec(),
    };
    struct begin b = {.req = req, .run = out};
    hash_request(req, out->body_hash);
    runs_add(server, out);
    enum err e = store_write(server->store, begin_tx, &b, why);
    if (e || b.verdict == HTTP_IDEMPOTENCY_REPLAY) {
        runs_remove(server, out);
    }
    if (e) {
        return e;
    }
    *out_verdict = b.verdict;
    if (b.verdict == HTTP_IDEMPOTENCY_REPLAY) {
        *out_answer = b.answer;
    }
    return OK;
}

/* ---- finish ---------------------------------------------------------------------------------- */

struct finish {
    const struct http_request *req;
    const struct http_idempotency *run;
    bool keep;
};

static void bind_owner(struct store_query *q, const struct finish *f)
{
    store_bind_text(q, "boot", slice_text(f->req->server->boot_id));
    store_bind_time(q, "started_at", f->run->started_usec);
}

static void bind_text_or_null(struct store_query *q, const char *name, struct slice text)
{
    if (text.len > 0) {
        store_bind_text(q, name, text);
    } else {
        store_bind_null(q, name);
    }
}

static enum err finish_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct finish *f = ctx;
    const struct http_answer *a = &f->req->answer;
    struct store_query q;
    begin_for(&q, tx, f->keep ? &http_sql_idempotency_answer : &http_sql_idempotency_forget,
              f->run);
    bind_owner(&q, f);
    if (f->keep) {
        store_bind_i64(&q, "status", a->status);
        bind_text_or_null(&q, "content_type", slice_text(a->content_type));
        bind_text_or_null(&q, "location", a->location);
        store_bind_bytes(&q, "body", a->body.ptr ? a->body : SLICE_LIT(""));
    }
    return store_finish(&q, NULL, why);
}

enum err http_idempotency_finish(struct http_request *req, struct http_idempotency *run, bool keep,
                                 struct why *why)
{
    struct finish f = {.req = req, .run = run, .keep = keep};
    enum err e = store_write(req->server->store, finish_tx, &f, why);
    runs_remove(req->server, run);
    return e;
}
