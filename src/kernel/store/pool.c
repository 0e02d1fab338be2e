/*
 * Connections, lent to one thread at a time.
 *
 * A file's connections never break. A server's may at any time: one that broke is closed when it is
 * given back or found broken before it is lent again, and its place is connected anew when it is
 * needed. While the server cannot be reached, one caller in a while finds out again and the others
 * are told at once, so that nobody piles up behind a server that is gone.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/metric.h"
#include "kernel/base/rand.h"
#include "kernel/store/store_private.h"

/* How long nobody tries to connect after a failure: doubled each time, the half of it by chance. */
#define OUTAGE_USEC_MIN 100000
#define OUTAGE_USEC_MAX 2000000

/* ---- connecting ---- */

static void begin_outage(struct store_outage *outage, enum err e, const struct why *why)
{
    int64_t delay = outage->delay_usec * 2;
    delay = delay < OUTAGE_USEC_MIN ? OUTAGE_USEC_MIN : delay;
    delay = delay > OUTAGE_USEC_MAX ? OUTAGE_USEC_MAX : delay;
    outage->delay_usec = delay;
    outage->until_usec =
        clock_mono_usec() + delay / 2 + (int64_t)rand_below((uint64_t)(delay / 2) + 1);
    outage->err = e;
    outage->why = *why;
}

enum err store_connect(struct store *store, bool for_writing, struct store_conn **out,
                       struct why *why)
{
    struct store_outage *outage = &store->outage;
    struct why detail = {0};
    enum err e = OK;
    pthread_mutex_lock(&outage->lock);
    int64_t until = outage->until_usec;
    if (clock_mono_usec() < until) {
        e = outage->err;
        detail = outage->why;
    }
    pthread_mutex_unlock(&outage->lock);

    if (e == OK) {
        e = store->driver->open(out, &store->config, store->catalog, for_writing, &detail);
        pthread_mutex_lock(&outage->lock);
        if (e == OK) {
            outage->until_usec = 0;
            outage->delay_usec = 0;
            outage->connects++;
        } else if (outage->until_usec == until) { /* of several who failed, the first one counts */
            begin_outage(outage, e, &detail);
        }
        pthread_mutex_unlock(&outage->lock);
    }
    if (e != OK && why != NULL) {
        *why = detail;
    }
    return e;
}

/* ---- figures ---- */

enum pool_metric {
    POOL_METRIC_OPEN,
    POOL_METRIC_IN_USE,
    POOL_METRIC_WAITING,
    POOL_METRIC_WAIT,
    POOL_METRIC_TIMEOUTS,
    POOL_METRIC_CONNECTS,
    POOL_METRIC_CLOSED_IDLE,
    POOL_METRIC_COUNT
};

static const struct metric_row kinds[POOL_METRIC_COUNT] = {
    [POOL_METRIC_OPEN] = {"freehold_store_connections_open", METRIC_GAUGE,
                          "Connections to the database.", NULL},
    [POOL_METRIC_IN_USE] = {"freehold_store_connections_in_use", METRIC_GAUGE,
                            "Connections that run a function now.", NULL},
    [POOL_METRIC_WAITING] = {"freehold_store_connections_waiting", METRIC_GAUGE,
                             "Threads that wait for a connection now.", NULL},
    [POOL_METRIC_WAIT] = {"freehold_store_connection_wait_seconds", METRIC_HISTOGRAM,
                          "Waits for a connection, of those who found none.", NULL},
    [POOL_METRIC_TIMEOUTS] = {"freehold_store_connection_timeouts_total", METRIC_COUNTER,
                              "Waits for a connection that were given up (503).", NULL},
    [POOL_METRIC_CONNECTS] = {"freehold_store_connects_total", METRIC_COUNTER,
                              "Connections that were made.", NULL},
    [POOL_METRIC_CLOSED_IDLE] = {"freehold_store_connections_closed_idle_total", METRIC_COUNTER,
                                 "Connections that were closed because nobody used them.", NULL},
};

static const char *const role_labels[STORE_ROLE_COUNT] = {
    [STORE_READERS] = "role=\"readers\"",
    [STORE_WRITERS] = "role=\"writers\"",
    [STORE_KEEPER] = "role=\"keeper\"",
};

static struct metric_row rows[STORE_ROLE_COUNT][POOL_METRIC_COUNT];
static struct metric_value values[STORE_ROLE_COUNT][POOL_METRIC_COUNT];
static pthread_once_t registered = PTHREAD_ONCE_INIT;

/* A row for each role and kind. */
static void register_metrics(void)
{
    for (size_t role = 0; role < STORE_ROLE_COUNT; role++) {
        for (size_t kind = 0; kind < POOL_METRIC_COUNT; kind++) {
            rows[role][kind] = kinds[kind];
            rows[role][kind].labels = role_labels[role];
        }
        metric_register(rows[role], values[role], POOL_METRIC_COUNT);
    }
}

void store_metrics_register(void)
{
    ASSERT(pthread_once(&registered, register_metrics) == 0);
}

static void count(const struct store_pool *pool, enum pool_metric metric, int64_t delta)
{
    metric_add(&values[pool->role][metric], delta);
}

/* One connection more or less. Called with the lock held. */
static void count_open(struct store_pool *pool, bool more)
{
    pool->stats.open += more ? 1 : UINT64_MAX;
    pool->stats.connects += more;
    count(pool, POOL_METRIC_OPEN, more ? 1 : -1);
    count(pool, POOL_METRIC_CONNECTS, more);
}

void store_pool_stats_read(struct store_pool *pool, struct store_pool_stats *out)
{
    pthread_mutex_lock(&pool->lock);
    *out = pool->stats;
    out->in_use = pool->stats.open - pool->idle_count;
    pthread_mutex_unlock(&pool->lock);
}

/* ---- lending ---- */

void store_pool_init(struct store_pool *pool, struct arena *boot, size_t size, enum store_role role)
{
    pthread_condattr_t monotonic;
    ASSERT(pthread_condattr_init(&monotonic) == 0);
    ASSERT(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(&pool->returned, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
    ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
    pool->role = role;
    pool->for_writing = role != STORE_READERS;
    pool->size = size;
    pool->vacant = size;
    pool->idle = size > 0 ? arena_alloc_array(boot, size, sizeof(pool->idle[0])) : NULL;
}

/* Puts a connection on top of the stack. Called with the lock held. */
static void push(struct store_pool *pool, struct store_conn *conn)
{
    ASSERT(pool->idle_count < pool->size);
    pool->idle[pool->idle_count++] =
        (struct store_idle){.conn = conn, .since_usec = clock_mono_usec()};
}

enum err store_pool_fill(struct store *store, struct store_pool *pool, size_t places,
                         struct why *why)
{
    ASSERT(places <= pool->vacant);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < places; i++) {
        struct store_conn *conn = NULL;
        e = store_connect(store, pool->for_writing, &conn, why);
        if (e == OK) {
            push(pool, conn);
            pool->vacant--;
            count_open(pool, true);
        }
    }
    return e;
}

/* Whether there is nothing to take. Called with the lock held. */
static bool exhausted(const struct store_pool *pool)
{
    return pool->idle_count == 0 && pool->vacant == 0 && !pool->closed;
}

/* Waits for a place, `wait_usec` at most unless that is 0. Called with the lock held. */
static void wait_for_place(struct store_pool *pool, int64_t wait_usec)
{
    int64_t start = clock_mono_usec();
    int64_t until = start + wait_usec;
    struct timespec deadline = {.tv_sec = until / USEC_PER_SEC,
                                .tv_nsec = until % USEC_PER_SEC * 1000};
    pool->stats.waits++;
    pool->stats.waiting++;
    count(pool, POOL_METRIC_WAITING, 1);
    while (exhausted(pool) && (wait_usec == 0 || clock_mono_usec() < until)) {
        if (wait_usec == 0) {
            pthread_cond_wait(&pool->returned, &pool->lock);
        } else {
            (void)pthread_cond_timedwait(&pool->returned, &pool->lock, &deadline);
        }
    }
    int64_t waited = clock_mono_usec() - start;
    pool->stats.waiting--;
    pool->stats.wait_usec += waited;
    count(pool, POOL_METRIC_WAITING, -1);
    metric_observe(&values[pool->role][POOL_METRIC_WAIT], waited);
}

/* Called with the lock held. */
static void leave_locked(struct store_pool *pool)
{
    pool->callers--;
    if (pool->closed) {
        pthread_cond_broadcast(&pool->returned);
    } else {
        pthread_cond_signal(&pool->returned);
    }
}

static enum err fail_exhausted(struct store_pool *pool, struct why *why)
{
    pool->stats.timeouts++;
    count(pool, POOL_METRIC_TIMEOUTS, 1);
    return why_set(why, ERR_DB_BUSY, NULL,
                   "All %zu %s connections to the database are in use: try again.", pool->size,
                   pool->for_writing ? "writing" : "reading");
}

/* Takes a place in the pool, with its connection when it has one. */
static enum err take_place(struct store_pool *pool, int64_t wait_usec, struct store_conn **out,
                           struct why *why)
{
    enum err e = OK;
    pthread_mutex_lock(&pool->lock);
    pool->callers++;
    if (exhausted(pool)) {
        wait_for_place(pool, wait_usec);
    }
    if (pool->closed) {
        e = why_set(why, ERR_STOPPING, NULL, "The program is stopping.");
    } else if (exhausted(pool)) {
        e = fail_exhausted(pool, why);
    } else if (pool->idle_count > 0) {
        *out = pool->idle[--pool->idle_count].conn;
    } else {
        *out = NULL;
        pool->vacant--;
    }
    if (e != OK) {
        leave_locked(pool);
    } else {
        count(pool, POOL_METRIC_IN_USE, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    return e;
}

/* Gives a place back; NULL: without a connection. */
static void leave_place(struct store_pool *pool, struct store_conn *conn)
{
    pthread_mutex_lock(&pool->lock);
    if (conn != NULL) {
        push(pool, conn);
    } else {
        pool->vacant++;
    }
    count(pool, POOL_METRIC_IN_USE, -1);
    leave_locked(pool);
    pthread_mutex_unlock(&pool->lock);
}

static void note_open(struct store_pool *pool, bool more)
{
    pthread_mutex_lock(&pool->lock);
    count_open(pool, more);
    pthread_mutex_unlock(&pool->lock);
}

/* Returns the connection when it is good; closes it when not. */
static struct store_conn *keep_alive(struct store *store, struct store_pool *pool,
                                     struct store_conn *conn)
{
    const struct store_driver *driver = store->driver;
    if (conn == NULL || driver->alive == NULL || driver->alive(conn)) {
        return conn;
    }
    driver->close(conn);
    note_open(pool, false);
    return NULL;
}

enum err store_pool_borrow(struct store *store, struct store_pool *pool, struct store_conn **out,
                           struct why *why)
{
    struct store_conn *conn = NULL;
    enum err e = take_place(pool, store->config.wait_usec, &conn, why);
    if (e != OK) {
        return e;
    }
    conn = keep_alive(store, pool, conn);
    if (conn == NULL) {
        e = store_connect(store, pool->for_writing, &conn, why);
        if (e != OK) {
            leave_place(pool, NULL);
            return e;
        }
        note_open(pool, true);
    }
    *out = conn;
    return OK;
}

void store_pool_return(struct store *store, struct store_pool *pool, struct store_conn *conn)
{
    leave_place(pool, keep_alive(store, pool, conn));
}

/* Takes the connection that was unused for longest out, if that is long enough; or NULL. */
static struct store_conn *take_idle(struct store_pool *pool, int64_t before_usec)
{
    struct store_conn *conn = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->idle_count > 0 && pool->idle[0].since_usec <= before_usec) {
        conn = pool->idle[0].conn;
        pool->idle_count--;
        memmove(&pool->idle[0], &pool->idle[1], pool->idle_count * sizeof(pool->idle[0]));
        pool->vacant++;
        pool->stats.closed_idle++;
        count(pool, POOL_METRIC_CLOSED_IDLE, 1);
        count_open(pool, false);
        pthread_cond_signal(&pool->returned);
    }
    pthread_mutex_unlock(&pool->lock);
    return conn;
}

void store_pool_close_idle(struct store *store, struct store_pool *pool)
{
    int64_t before = clock_mono_usec() - store->config.idle_usec;
    struct store_conn *conn = store->config.idle_usec > 0 ? take_idle(pool, before) : NULL;
    while (conn != NULL) {
        store->driver->close(conn);
        conn = take_idle(pool, before);
    }
}

void store_pool_close(struct store_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->closed = true;
    pthread_cond_broadcast(&pool->returned);
    while (pool->callers > 0) {
        pthread_cond_wait(&pool->returned, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}

void store_pool_clear(struct store *store, struct store_pool *pool)
{
    for (size_t i = 0; i < pool->idle_count; i++) {
        store->driver->close(pool->idle[i].conn);
        count_open(pool, false);
    }
    pool->idle_count = 0;
    pthread_cond_destroy(&pool->returned);
    pthread_mutex_destroy(&pool->lock);
}
