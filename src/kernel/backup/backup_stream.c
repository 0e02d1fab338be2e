#include "kernel/backup/backup_stream.h"

#include "kernel/base/check.h"
#include "kernel/base/thread.h"

#include <pthread.h>

/* A batch is about this large, whatever its rows are. Units: bytes. */
#define BATCH_BYTES ((size_t)1 << 20)
#define BATCH_ROWS_FIRST 64
#define BATCH_ROWS_MAX 4096

struct backup_stream {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct backup_batch *head;
    struct backup_batch **tail;
    size_t queued;
    bool stopped; /* nobody takes batches any more */
    bool ended;   /* nobody pushes any more */
    struct backup_source source;
    enum err produced;
    struct why why;
};

enum err backup_stream_push(struct backup_stream *to, struct backup_batch *batch, struct why *why)
{
    pthread_mutex_lock(&to->lock);
    while (to->queued >= STREAM_QUEUE_MAX && !to->stopped) {
        pthread_cond_wait(&to->changed, &to->lock);
    }
    bool stopped = to->stopped;
    if (!stopped) {
        batch->next = NULL;
        *to->tail = batch;
        to->tail = &batch->next;
        to->queued++;
        pthread_cond_broadcast(&to->changed);
    }
    pthread_mutex_unlock(&to->lock);
    if (stopped) {
        backup_batch_free(batch);
        return why_set(why, ERR_CANCELLED, NULL, "Reading was stopped.");
    }
    return OK;
}

static void *producer_main(void *arg)
{
    struct backup_stream *s = arg;
    struct why why = {0};
    enum err e = s->source.produce(s->source.ctx, s, &why);
    pthread_mutex_lock(&s->lock);
    s->produced = e;
    s->why = why;
    s->ended = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* The next batch; NULL when there is none any more. */
static struct backup_batch *take_batch(struct backup_stream *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->head == NULL && !s->ended) {
        pthread_cond_wait(&s->changed, &s->lock);
    }
    struct backup_batch *batch = s->head;
    if (batch != NULL) {
        s->head = batch->next;
        s->tail = s->head == NULL ? &s->head : s->tail;
        s->queued--;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return batch;
}

static void stop(struct backup_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopped = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static enum err start_thread(struct backup_stream *s, pthread_t *out, struct why *why)
{
    int failed = thread_start(out, producer_main, s);
    return failed == 0 ? OK
                       : why_set(why, ERR_INTERNAL, NULL, "The reader cannot be started: %s.",
                                 strerror(failed));
}

enum err backup_stream_run(const struct backup_source *source, backup_consume_fn consume, void *ctx,
                           struct why *why)
{
    struct backup_stream s = {.source = *source, .tail = NULL};
    pthread_t thread;
    s.tail = &s.head;
    ASSERT(pthread_mutex_init(&s.lock, NULL) == 0);
    ASSERT(pthread_cond_init(&s.changed, NULL) == 0);
    enum err e = start_thread(&s, &thread, why);
    if (e == OK) {
        struct backup_batch *batch = take_batch(&s);
        while (e == OK && batch != NULL) {
            e = consume(ctx, batch, why);
            backup_batch_free(batch);
            batch = e == OK ? take_batch(&s) : NULL;
        }
        stop(&s);
        ASSERT(pthread_join(thread, NULL) == 0);
        while (s.head != NULL) {
            batch = s.head;
            s.head = batch->next;
            backup_batch_free(batch);
        }
        if (e == OK && s.produced != OK) {
            e = why_set(why, s.produced, s.why.field[0] != '\0' ? s.why.field : NULL, "%s",
                        why_text(&s.why, s.produced));
        }
    }
    pthread_cond_destroy(&s.changed);
    pthread_mutex_destroy(&s.lock);
    return e;
}

/* ---- reading a store ---- */

static void bind_key(struct store_query *q, const struct store_column *param,
                     const struct backup_value *v)
{
    switch (param->type) {
    case STORE_I64:
        store_bind_i64(q, param->name, v->i64);
        return;
    case STORE_BOOL:
        store_bind_bool(q, param->name, v->i64 != 0);
        return;
    case STORE_TIME:
        store_bind_time(q, param->name, v->i64);
        return;
    case STORE_U256:
        store_bind_u256(q, param->name, v->u256);
        return;
    case STORE_TEXT:
        store_bind_text(q, param->name, v->bytes);
        return;
    case STORE_JSON:
        store_bind_json(q, param->name, v->bytes);
        return;
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        store_bind_bytes(q, param->name, v->bytes);
        return;
    }
}

static void remember(struct backup_position *at, const struct store_table *table,
                     const struct backup_row *row)
{
    arena_clear(&at->arena);
    at->key = arena_alloc_array(&at->arena, table->key_count, sizeof(*at->key));
    for (uint16_t i = 0; i < table->key_count; i++) {
        at->key[i] = row->values[table->key[i]];
        at->key[i].bytes = slice_copy(&at->arena, at->key[i].bytes);
    }
}

enum err backup_page_read(struct store_tx *tx, const struct store *store,
                          struct backup_position *at, size_t limit, struct backup_batch *batch,
                          struct why *why)
{
    const struct store_table *table = batch->table;
    const struct store_statement *s = at->key == NULL ? table->first : table->next;
    struct store_query q;
    enum err e = OK;
    batch->rows = arena_alloc_array(&batch->arena, limit, sizeof(batch->rows[0]));
    store_begin(&q, tx, s);
    for (uint16_t i = 0; at->key != NULL && i < table->key_count; i++) {
        bind_key(&q, &s->params[i], &at->key[i]);
    }
    store_bind_i64(&q, "max_rows", (int64_t)limit);
    while (e == OK && store_step(&q)) {
        ASSERT(batch->count < limit);
        e = backup_row_read(&q, store, table, &batch->arena, &batch->rows[batch->count], why);
        batch->count += e == OK;
    }
    enum err finished = store_finish(&q, NULL, e == OK ? why : NULL);
    if (e == OK) {
        e = finished;
    }
    batch->ends = batch->count < limit;
    if (e == OK && batch->count > 0) {
        remember(at, table, &batch->rows[batch->count - 1]);
    }
    return e;
}

static enum err read_number(struct store_tx *tx, const struct store_table *table, int64_t *out,
                            struct why *why)
{
    if (table->number == NULL) {
        return OK;
    }
    struct store_query q;
    store_begin(&q, tx, table->number);
    if (store_step(&q)) {
        *out = store_get_i64(&q, "number");
    }
    return store_finish_one(&q, "number", why);
}

/* How many rows the next batch is to have, from how large the last one was. */
static size_t next_limit(size_t limit, size_t bytes)
{
    size_t row_bytes = bytes / limit + 1;
    size_t wanted = BATCH_BYTES / row_bytes + 1;
    wanted = wanted < BATCH_ROWS_MAX ? wanted : BATCH_ROWS_MAX;
    return wanted < 4 * limit ? wanted : 4 * limit;
}

static enum err read_table(struct store_tx *tx, const struct store *store,
                           const struct store_table *table, struct backup_stream *to,
                           struct why *why)
{
    struct backup_position at = {.key = NULL};
    size_t limit = BATCH_ROWS_FIRST;
    bool ends = false;
    enum err e = OK;
    arena_init(&at.arena, 0);
    while (e == OK && !ends) {
        struct backup_batch *batch = backup_batch_new(table);
        e = backup_page_read(tx, store, &at, limit, batch, why);
        ends = batch->ends;
        if (e == OK && ends) {
            e = read_number(tx, table, &batch->number, why);
        }
        if (e != OK) {
            backup_batch_free(batch);
            break;
        }
        limit = next_limit(limit, batch->arena.used);
        e = backup_stream_push(to, batch, why);
    }
    arena_free(&at.arena);
    return e;
}

struct reading {
    struct backup_store_source *source;
    struct backup_stream *to;
};

static enum err read_tables(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct reading *r = ctx;
    struct backup_store_source *source = r->source;
    if (source->begun_) {
        return why_set(why, ERR_DB_UNAVAILABLE, NULL,
                       "The connection to the database that is read broke, and another one would "
                       "show another moment: run the command again.");
    }
    source->begun_ = true;
    enum err e = OK;
    for (uint16_t i = 0; e == OK && i < source->catalog->table_count; i++) {
        e = read_table(tx, source->store, &source->catalog->tables[i], r->to, why);
    }
    if (e == OK && source->also != NULL) {
        e = source->also(tx, source->also_ctx, why);
    }
    return e;
}

enum err backup_stream_read_store(void *ctx, struct backup_stream *to, struct why *why)
{
    struct backup_store_source *source = ctx;
    struct reading reading = {.source = source, .to = to};
    return store_read(source->store, read_tables, &reading, why);
}
