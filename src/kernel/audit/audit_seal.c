/*
 * The sealer. What waits is read in a snapshot and hashed outside of any transaction that writes;
 * the batch is then written if the head is still where the snapshot had it.
 */
#include <pthread.h>

#include "kernel/audit/audit_row.h"
#include "kernel/audit/audit_sql.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/base/metric.h"
#include "kernel/base/thread.h"

#define BATCH_ROWS 256
/* The head is told to the log this often while it moves. */
#define TELL_USEC (60 * (int64_t)USEC_PER_SEC)
/* How long after a failure, and how long without a signal, until the next look. */
#define RETRY_USEC (1 * (int64_t)USEC_PER_SEC)
#define LOOK_USEC (5 * (int64_t)USEC_PER_SEC)

enum { METRIC_HEAD, METRIC_SEALED, METRIC_FAILURES, METRIC_COUNT };

static const struct metric_row metric_rows[METRIC_COUNT] = {
    [METRIC_HEAD] = {"freehold_audit_head", METRIC_GAUGE,
                     "Number of the newest sealed row of the audit log.", NULL},
    [METRIC_SEALED] = {"freehold_audit_sealed_total", METRIC_COUNTER,
                       "Rows of the audit log that this process sealed.", NULL},
    [METRIC_FAILURES] = {"freehold_audit_seal_failures_total", METRIC_COUNTER,
                         "Batches of the audit log that could not be sealed.", NULL},
};

static struct metric_value metrics[METRIC_COUNT];

static void register_rows(void)
{
    metric_register(metric_rows, metrics, METRIC_COUNT);
}

void audit_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

/* ---- one batch ---- */

struct batch {
    struct arena arena;
    struct audit_head head;
    struct audit_place end; /* the head after this batch */
    struct audit_row rows[BATCH_ROWS];
    size_t count;
    bool sealed;
};

static enum err read_batch(struct store_tx *tx, void *ctx, struct why *why)
{
    struct batch *b = ctx;
    b->count = 0;
    arena_clear(&b->arena);
    enum err e = audit_head_read(tx, &b->head, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &audit_sql_unsealed_list);
    store_bind_i64(&q, "limit", BATCH_ROWS);
    while (store_step(&q)) {
        ASSERT(b->count < BATCH_ROWS);
        audit_row_take(&q, &b->arena, &b->rows[b->count++]);
    }
    return store_finish(&q, NULL, why);
}

static enum err hash_batch(struct batch *b, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    enum err e = OK;
    b->end = b->head.place;
    for (size_t i = 0; e == OK && i < b->count; i++) {
        struct audit_row *row = &b->rows[i];
        row->seq = b->end.seq + 1;
        e = audit_row_hash(&scratch, &b->end.hash, row, row->seq, &row->hash, why);
        b->end = (struct audit_place){row->seq, row->hash};
        arena_clear(&scratch);
    }
    arena_free(&scratch);
    return e;
}

/* The head's row is changed first, so that whoever seals at the same time waits here. */
static enum err move_head(struct store_tx *tx, const struct batch *b, int64_t *out_changed,
                          struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &audit_sql_head_move);
    store_bind_i64(&q, "from_seq", (int64_t)b->head.place.seq);
    store_bind_bytes(&q, "from_hash", hash_slice(&b->head.place.hash));
    store_bind_i64(&q, "seq", (int64_t)b->end.seq);
    store_bind_bytes(&q, "hash", hash_slice(&b->end.hash));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, out_changed, why);
}

static enum err seal_rows(struct store_tx *tx, const struct batch *b, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin_rows(&q, tx, &audit_sql_seal);
    for (size_t i = 0; i < b->count; i++) {
        const struct audit_row *row = &b->rows[i];
        store_bind_time(&q, "created_at", row->created_usec);
        store_bind_text(&q, "id", row->id);
        store_bind_i64(&q, "seq", (int64_t)row->seq);
        store_bind_bytes(&q, "hash", hash_slice(&row->hash));
        store_row(&q);
    }
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && (size_t)changed != b->count) {
        e = why_set(why, ERR_CONFLICT, NULL,
                    "Of %llu rows of the audit log from %.*s on, some are gone, or were sealed "
                    "while the head stood still.",
                    (unsigned long long)b->count, SLICE_ARG(b->rows[0].id));
    }
    return e;
}

static enum err write_batch(struct store_tx *tx, void *ctx, struct why *why)
{
    struct batch *b = ctx;
    int64_t changed = 0;
    b->sealed = false;
    store_read_committed(tx); /* each statement compares what it changes */
    enum err e = move_head(tx, b, &changed, why);
    if (e != OK || changed == 0) {
        return e;
    }
    e = seal_rows(tx, b, why);
    b->sealed = e == OK;
    return e;
}

/* As audit_seal; *out_end is the head as it is known afterwards. */
static enum err seal(struct store *store, uint64_t *out_rows, struct audit_place *out_end,
                     struct why *why)
{
    struct batch *b = mem_alloc(sizeof(*b));
    arena_init(&b->arena, 0);
    enum err e = store_read(store, read_batch, b, why);
    b->end = b->head.place;
    if (e == OK && b->count > 0) {
        e = hash_batch(b, why);
    }
    if (e == OK && b->count > 0) {
        e = store_write(store, write_batch, b, why);
    }
    if (e == OK) {
        *out_rows = b->sealed ? b->count : 0;
        *out_end = b->sealed ? b->end : b->head.place;
    }
    arena_free(&b->arena);
    mem_free(b);
    return e;
}

enum err audit_seal(struct store *store, uint64_t *out_rows, struct why *why)
{
    struct audit_place end;
    return seal(store, out_rows, &end, why);
}

/* ---- the thread ---- */

struct audit_sealer {
    struct store *store;
    int64_t seal_usec;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ending;
    bool ends;
    bool failed; /* said once until it passes */
    uint64_t told_seq;
    int64_t told_usec;
};

static void tell(struct audit_sealer *s, const struct audit_place *head, bool now)
{
    int64_t mono = clock_mono_usec();
    metric_set(&metrics[METRIC_HEAD], (int64_t)head->seq);
    if (head->seq == s->told_seq || (!now && mono - s->told_usec < TELL_USEC)) {
        return;
    }
    char text[AUDIT_PLACE_TEXT_MAX];
    audit_place_format(head, text);
    s->told_seq = head->seq;
    s->told_usec = mono;
    LOG(LOG_INFO, "audit.sealed", log_text("head", text));
}

/* Seals until nothing waits; false when that failed. */
static bool seal_all(struct audit_sealer *s, bool last)
{
    uint64_t rows = 0;
    struct audit_place head;
    do {
        struct why why = {0};
        enum err e = seal(s->store, &rows, &head, &why);
        if (e != OK) {
            metric_add(&metrics[METRIC_FAILURES], 1);
            if (!s->failed) {
                LOG(err_retryable(e) ? LOG_WARN : LOG_ERROR, "audit.sealing_failed", log_err(e),
                    log_why(&why, e));
            }
            s->failed = true;
            return false;
        }
        metric_add(&metrics[METRIC_SEALED], (int64_t)rows);
    } while (rows > 0);
    s->failed = false;
    tell(s, &head, last);
    return true;
}

/* Waits, unless the sealer is to end; says whether it is. */
static bool rest(struct audit_sealer *s, int64_t usec)
{
    struct timespec until;
    clock_deadline(usec, &until);
    pthread_mutex_lock(&s->lock);
    int waited = 0;
    while (!s->ends && waited == 0 && usec > 0) {
        waited = pthread_cond_timedwait(&s->ending, &s->lock, &until);
    }
    bool ends = s->ends;
    pthread_mutex_unlock(&s->lock);
    return ends;
}

static void *sealer_main(void *arg)
{
    struct audit_sealer *s = arg;
    uint64_t seen = store_signal_now(s->store, "audit");
    bool good = true;
    while (!rest(s, good ? s->seal_usec : RETRY_USEC)) {
        good = seal_all(s, false);
        store_wait(s->store, "audit", &seen, LOOK_USEC);
    }
    (void)seal_all(s, true);
    return NULL;
}

enum err audit_sealer_start(struct store *store, const struct audit_config *config,
                            struct audit_sealer **out, struct why *why)
{
    pthread_condattr_t monotonic;
    struct audit_sealer *s = mem_alloc(sizeof(*s));
    s->store = store;
    s->seal_usec = config->seal_usec;
    s->told_usec = clock_mono_usec() - TELL_USEC;
    ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
    ASSERT(pthread_condattr_init(&monotonic) == 0);
    ASSERT(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(&s->ending, &monotonic) == 0);
    (void)pthread_condattr_destroy(&monotonic);
    int failed = thread_start(&s->thread, sealer_main, s);
    if (failed != 0) {
        pthread_cond_destroy(&s->ending);
        pthread_mutex_destroy(&s->lock);
        mem_free(s);
        return why_set(why, ERR_IO, NULL, "The sealer of the audit log cannot be started: %s.",
                       strerror(failed));
    }
    *out = s;
    return OK;
}

void audit_sealer_stop(struct audit_sealer *s)
{
    if (s == NULL) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->ends = true;
    pthread_cond_signal(&s->ending);
    pthread_mutex_unlock(&s->lock);
    store_wake(s->store, "audit");
    ASSERT(pthread_join(s->thread, NULL) == 0);
    pthread_cond_destroy(&s->ending);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}
