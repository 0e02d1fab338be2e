/*
 * How functions run in transactions.
 *
 * With a single writer, writes queue up for one thread. It takes whatever waits, gives each
 * function a savepoint of its own inside one transaction, commits once and answers them all: the
 * cost of reaching the disk is shared by everyone who waited for it. With many writers, and always
 * to read, the caller's thread borrows a connection; who loses a race there runs again, in turn
 * with the others who lost, so that a row that everybody wants makes them wait instead of fail.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/rand.h"
#include "kernel/base/thread.h"
#include "kernel/store/store_private.h"

/* A commit is not put off longer than this for functions that arrive after the batch began. */
#define BATCH_USEC_MAX 10000

/* How often a function runs again, and how long it waits before, times the number of its runs. */
#define RACES_MAX 40
#define LOSSES_MAX 2
#define RERUN_USEC 500
#define RERUN_USEC_MAX 20000

static _Thread_local struct store_tx *current;

bool store_in_tx(void)
{
    return current != NULL;
}

struct store_tx *store_tx_current(void)
{
    return current;
}

void store_tx_fail(struct store_tx *tx, enum err e, const struct why *why)
{
    ASSERT(e != OK);
    if (tx->failed == OK) {
        tx->failed = e;
        tx->failed_why = *why;
    }
}

/* Repeats why the function cannot succeed any more. */
static enum err tell(const struct store_tx *tx, struct why *why)
{
    if (why != NULL) {
        *why = tx->failed_why;
    }
    return tx->failed;
}

/* Runs `fn` on a transaction that is already begun, and judges what it left behind. */
static enum err run_function(struct store_tx *tx, store_fn fn, void *ctx, struct why *why)
{
    ASSERT(current == NULL);
    current = tx;
    enum err e = fn(tx, ctx, why);
    current = NULL;
#ifdef FREEHOLD_CHECKED
    ASSERT(tx->unfinished == 0); /* store_finish was forgotten */
#endif
    if (e == OK && tx->failed != OK) {
        e = tell(tx, why);
    }
    ASSERT(e != OK || !tx->undo_open);
    return e;
}

void store_read_committed(struct store_tx *tx)
{
    const struct store_driver *driver = tx->store->driver;
    ASSERT(current == tx && tx->writes);
    if (driver->read_committed == NULL || tx->failed != OK) {
        return;
    }
    struct why why = {0};
    enum err e = driver->read_committed(tx->conn, &why);
    if (e != OK) {
        store_tx_fail(tx, e, &why);
    }
}

static enum store_rerun rerun_of(const struct store *store, const struct store_conn *conn)
{
    return store->driver->rerun != NULL ? store->driver->rerun(conn) : STORE_RERUN_NO;
}

/* ---- writes, one writer ---- */

/*
 * Runs one function of the batch; a failure takes back its own work only. As long as no function
 * before it has done anything, that is all of the transaction, and a savepoint would only cost:
 * SQLite keeps a copy of every page that changes in one.
 */
static void run_request(struct store *store, struct store_request *r, bool alone)
{
    const struct store_driver *driver = store->driver;
    struct store_conn *writer = store->writer;
    r->result = alone ? OK : driver->savepoint(writer, r->why);
    if (r->result != OK) {
        return;
    }
    struct store_tx tx = {.store = store, .conn = writer, .writes = true};
    r->result = run_function(&tx, r->fn, r->ctx, r->why);
    if (r->result == OK && !alone) {
        r->result = driver->release(writer, r->why);
    }
    if (r->result != OK && driver->in_tx(writer)) {
        if (alone) {
            driver->rollback(writer);
        } else {
            driver->rollback_to(writer);
        }
    }
    r->notified = r->result == OK ? tx.notified : 0;
}

static void fail_all(struct store_request *batch, enum err e, const struct why *why)
{
    for (struct store_request *r = batch; r != NULL; r = r->next) {
        if (r->result != OK) {
            continue;
        }
        r->result = e;
        r->notified = 0;
        if (r->why != NULL) {
            *r->why = *why;
        }
    }
}

/* Takes the next function off the queue, if its number is at most `last`. */
static struct store_request *take_up_to(struct store *store, uint64_t last)
{
    struct store_request *r = store->queue_head;
    if (r == NULL || r->number > last) {
        return NULL;
    }
    store->queue_head = r->next;
    if (store->queue_head == NULL) {
        store->queue_tail = &store->queue_head;
    }
    r->next = NULL;
    return r;
}

/* Waits for the function that begins a batch; NULL when the store stops and nothing is left. */
static struct store_request *take_first(struct store *store, uint64_t *out_last)
{
    pthread_mutex_lock(&store->queue_lock);
    while (store->queue_head == NULL && !store->stopping) {
        pthread_cond_wait(&store->queue_filled, &store->queue_lock);
    }
    *out_last = store->queue_number;
    struct store_request *r = take_up_to(store, UINT64_MAX);
    pthread_mutex_unlock(&store->queue_lock);
    return r;
}

static struct store_request *take_next(struct store *store, uint64_t last)
{
    pthread_mutex_lock(&store->queue_lock);
    struct store_request *r = take_up_to(store, last);
    pthread_mutex_unlock(&store->queue_lock);
    return r;
}

/*
 * Runs in one transaction: `first`, what waited with it (numbers up to `last`) and what arrives
 * meanwhile, for a while. Afterwards every request of the list `first` has its final result.
 */
static void run_batch(struct store *store, struct store_request *first, uint64_t last)
{
    const struct store_driver *driver = store->driver;
    int64_t deadline = clock_mono_usec() + BATCH_USEC_MAX;
    struct store_request **tail = &first->next;
    struct why why = {0};
    enum err e = OK;
    uint64_t count = 0;
    uint64_t good = 0;
    for (struct store_request *r = first; r != NULL;) {
        if (!driver->in_tx(store->writer)) { /* the first, and those behind failures only */
            e = driver->begin(store->writer, true, &why);
        }
        if (e != OK) {
            fail_all(first, e, &why);
            return;
        }
        run_request(store, r, good == 0);
        count++;
        good += r->result == OK;
        if (good > 0 && !driver->in_tx(store->writer)) {
            /* The database gave up the whole transaction, with what the others did in it. */
            why_set(&why, r->result, NULL, "%s", why_text(r->why, r->result));
            fail_all(first, r->result, &why);
            return;
        }
        uint64_t until = clock_mono_usec() < deadline ? UINT64_MAX : last;
        r = count < store->batch_max ? take_next(store, until) : NULL;
        if (r != NULL) {
            *tail = r;
            tail = &r->next;
        }
    }
    e = good > 0 ? driver->commit(store->writer, &why) : OK;
    if (e != OK) {
        fail_all(first, e, &why);
    }
    if (driver->in_tx(store->writer)) {
        driver->rollback(store->writer);
    }
}

static void answer(struct store *store, struct store_request *batch, int64_t started_usec)
{
    uint32_t notified = 0;
    for (const struct store_request *r = batch; r != NULL; r = r->next) {
        notified |= r->notified;
    }
    store_signal_publish(store, notified);
    for (const struct store_request *r = batch; r != NULL; r = r->next) {
        store_writing_note(store, r->result);
    }

    pthread_mutex_lock(&store->queue_lock);
    bool committed = false;
    while (batch != NULL) {
        struct store_request *r = batch;
        batch = r->next;
        committed = committed || r->result == OK;
        store->stats.functions++;
        store->stats.rollbacks += r->result != OK;
        r->answered = true;
        pthread_cond_signal(&r->answer); /* `r` is gone once the lock is released */
    }
    store->stats.commits += committed;
    store->stats.commit_usec_last = clock_mono_usec() - started_usec;
    pthread_mutex_unlock(&store->queue_lock);
}

static void *writer_main(void *arg)
{
    struct store *store = arg;
    for (;;) {
        uint64_t last = 0;
        struct store_request *first = take_first(store, &last);
        if (first == NULL) {
            return NULL;
        }
        int64_t started = clock_mono_usec();
        run_batch(store, first, last);
        answer(store, first, started);
    }
}

enum err store_writer_start(struct store *store, struct why *why)
{
    int failed = thread_start(&store->writer_thread, writer_main, store);
    if (failed != 0) {
        return why_set(why, ERR_DB_UNAVAILABLE, NULL, "The database writer cannot be started: %s.",
                       strerror(failed));
    }
    store->writer_started = true;
    return OK;
}

void store_writer_stop(struct store *store)
{
    pthread_mutex_lock(&store->queue_lock);
    store->stopping = true;
    pthread_cond_signal(&store->queue_filled);
    pthread_mutex_unlock(&store->queue_lock);
    if (store->writer_started) {
        ASSERT(pthread_join(store->writer_thread, NULL) == 0);
        store->writer_started = false;
    }
    pthread_mutex_lock(&store->queue_lock);
    while (store->queue_callers > 0) {
        pthread_cond_wait(&store->queue_left, &store->queue_lock);
    }
    pthread_mutex_unlock(&store->queue_lock);
}

enum err store_nested(struct store_tx *tx, store_fn fn, void *ctx, struct why *why)
{
    const struct store_driver *driver = tx->store->driver;
    ASSERT(current == tx && tx->writes);
    if (tx->failed != OK) {
        return tell(tx, why);
    }
    enum err e = driver->savepoint(tx->conn, why);
    if (e != OK) {
        return e;
    }
    uint32_t notified = tx->notified;
    bool undo_open = tx->undo_open;
    e = fn(tx, ctx, why);
    if (e == OK && tx->failed != OK) {
        e = tell(tx, why);
    }
    if (e == OK) {
        struct why detail = {0};
        e = driver->release(tx->conn, &detail);
        if (e != OK) {
            store_tx_fail(tx, e, &detail);
            e = tell(tx, why);
        }
        return e;
    }
    tx->notified = notified;
    tx->undo_open = undo_open;
    /*
     * Its own work is gone, and with it what the database refused: the rest may go on. Unless the
     * transaction as a whole is to run again.
     */
    if (driver->in_tx(tx->conn)) {
        driver->rollback_to(tx->conn);
        tx->failed = rerun_of(tx->store, tx->conn) == STORE_RERUN_NO ? OK : tx->failed;
    }
    return e;
}

/* Called with queue_lock held. */
static void enqueue(struct store *store, struct store_request *r)
{
    store->queue_callers++;
    r->number = ++store->queue_number;
    *store->queue_tail = r;
    store->queue_tail = &r->next;
    pthread_cond_signal(&store->queue_filled);
}

static enum err write_queued(struct store *store, store_fn fn, void *ctx, struct why *why)
{
    struct store_request r = {.fn = fn, .ctx = ctx, .why = why};
    pthread_mutex_lock(&store->queue_lock);
    if (store->stopping) {
        pthread_mutex_unlock(&store->queue_lock);
        return why_set(why, ERR_STOPPING, NULL, "The program is stopping.");
    }
    ASSERT(pthread_cond_init(&r.answer, NULL) == 0);
    enqueue(store, &r);
    while (!r.answered) {
        pthread_cond_wait(&r.answer, &store->queue_lock);
    }
    store->queue_callers--;
    if (store->stopping) {
        pthread_cond_signal(&store->queue_left);
    }
    pthread_mutex_unlock(&store->queue_lock);
    pthread_cond_destroy(&r.answer);
    return r.result;
}

/* ---- writes, many writers ---- */

/* How often one call was run again, and why. */
struct reruns {
    unsigned races;
    unsigned losses;
};

/* Whether the function is to run again; waits a moment before. */
static bool run_again(struct reruns *reruns, enum store_rerun reason)
{
    switch (reason) {
    case STORE_RERUN_NO:
        return false;
    case STORE_RERUN_LOST:
        return reruns->losses++ < LOSSES_MAX; /* connecting has its own back-off */
    case STORE_RERUN_RACE: {
        /* The second run is alone in this process; to lose again is the work of another one. */
        uint64_t usec = (uint64_t)reruns->races++ * RERUN_USEC;
        if (usec > 0) {
            clock_sleep_usec((int64_t)rand_below(usec < RERUN_USEC_MAX ? usec : RERUN_USEC_MAX));
        }
        return reruns->races <= RACES_MAX;
    }
    }
    return false;
}

/* Runs the function in a transaction of the connection, and commits. */
static enum err write_on(struct store *store, struct store_conn *conn, store_fn fn, void *ctx,
                         struct why *why)
{
    struct store_tx tx = {.store = store, .conn = conn, .writes = true};
    enum err e = store->driver->begin(conn, true, why);
    if (e == OK) {
        e = run_function(&tx, fn, ctx, why);
    }
    /* Whatever the function makes of it, a lost race or connection is not its to answer. */
    if (e == OK && rerun_of(store, conn) != STORE_RERUN_NO) {
        e = why_set(why, ERR_DB_BUSY, NULL, "Other writes were in the way.");
    }
    if (e == OK) {
        e = store->driver->commit(conn, why);
        if (e == OK) {
            store_signal_publish(store, tx.notified);
            store_listener_tell(store, tx.notified);
        }
    }
    return e;
}

/*
 * `alone`: while no other function of this process writes. Whoever waits for that has its
 * connection already, so that a database that is gone keeps nobody waiting. The keeper waits for
 * nobody and keeps nobody waiting.
 */
static enum err write_once(struct store *store, struct store_pool *pool, store_fn fn, void *ctx,
                           bool alone, enum store_rerun *out_rerun, struct why *why)
{
    struct store_conn *conn = NULL;
    *out_rerun = STORE_RERUN_NO;
    enum err e = store_pool_borrow(store, pool, &conn, why);
    if (e != OK) {
        return e;
    }
    bool turns = pool == &store->writers;
    if (turns) {
        int locked = (alone ? pthread_rwlock_wrlock : pthread_rwlock_rdlock)(&store->turn);
        ASSERT(locked == 0);
    }
    e = write_on(store, conn, fn, ctx, why);
    *out_rerun = rerun_of(store, conn);
    store->driver->rollback(conn);
    if (turns) {
        pthread_rwlock_unlock(&store->turn);
    }
    store_pool_return(store, pool, conn);
    return e;
}

static bool enter(struct store *store)
{
    pthread_mutex_lock(&store->queue_lock);
    bool open = !store->stopping;
    store->queue_callers += open;
    pthread_mutex_unlock(&store->queue_lock);
    return open;
}

static void leave(struct store *store, enum err e, const struct reruns *reruns,
                  int64_t started_usec)
{
    pthread_mutex_lock(&store->queue_lock);
    store->stats.functions++;
    store->stats.commits += e == OK;
    store->stats.rollbacks += e != OK;
    store->stats.reruns += reruns->races + reruns->losses;
    store->stats.commit_usec_last = clock_mono_usec() - started_usec;
    store->queue_callers--;
    if (store->stopping) {
        pthread_cond_signal(&store->queue_left);
    }
    pthread_mutex_unlock(&store->queue_lock);
}

enum err store_write_in(struct store *store, struct store_pool *pool, store_fn fn, void *ctx,
                        struct why *why)
{
    if (!enter(store)) {
        return why_set(why, ERR_STOPPING, NULL, "The program is stopping.");
    }
    struct reruns reruns = {0};
    struct why detail = {0};
    enum store_rerun reason = STORE_RERUN_NO;
    int64_t started = clock_mono_usec();
    enum err e = write_once(store, pool, fn, ctx, false, &reason, &detail);
    while (run_again(&reruns, reason)) {
        detail = (struct why){0};
        e = write_once(store, pool, fn, ctx, reason == STORE_RERUN_RACE, &reason, &detail);
    }
    store_writing_note(store, e);
    leave(store, e, &reruns, started);
    if (e != OK && why != NULL) {
        *why = detail;
    }
    return e;
}

enum err store_write(struct store *store, store_fn fn, void *ctx, struct why *why)
{
    ASSERT(!store_in_tx());
    if (store->read_only) {
        return why_set(why, ERR_CONFLICT, NULL, "The database was opened for reading only.");
    }
    return store->driver->single_writer ? write_queued(store, fn, ctx, why)
                                        : store_write_in(store, &store->writers, fn, ctx, why);
}

/* ---- reads ---- */

static enum err read_once(struct store *store, struct store_pool *pool, store_fn fn, void *ctx,
                          enum store_rerun *out_rerun, struct why *why)
{
    struct store_conn *conn = NULL;
    *out_rerun = STORE_RERUN_NO;
    enum err e = store_pool_borrow(store, pool, &conn, why);
    if (e != OK) {
        return e;
    }
    e = store->driver->begin(conn, false, why);
    if (e == OK) {
        struct store_tx tx = {.store = store, .conn = conn};
        e = run_function(&tx, fn, ctx, why);
        store->driver->rollback(conn);
    }
    *out_rerun = rerun_of(store, conn);
    store_pool_return(store, pool, conn);
    return e;
}

enum err store_read_in(struct store *store, struct store_pool *pool, store_fn fn, void *ctx,
                       struct why *why)
{
    ASSERT(!store_in_tx());
    struct reruns reruns = {0};
    enum store_rerun reason = STORE_RERUN_NO;
    struct why detail = {0};
    enum err e = read_once(store, pool, fn, ctx, &reason, &detail);
    while (run_again(&reruns, reason)) {
        detail = (struct why){0};
        e = read_once(store, pool, fn, ctx, &reason, &detail);
    }
    if (e != OK && why != NULL) {
        *why = detail;
    }
    return e;
}

enum err store_read(struct store *store, store_fn fn, void *ctx, struct why *why)
{
    return store_read_in(store, &store->readers, fn, ctx, why);
}
