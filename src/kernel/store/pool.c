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

/* ---- lending ---- */

void store_pool_init(struct store_pool *pool, struct arena *boot, size_t size, bool for_writing)
{
    ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&pool->returned, NULL) == 0);
    pool->for_writing = for_writing;
    pool->size = size;
    pool->vacant = size;
    pool->idle = size > 0 ? arena_alloc_array(boot, size, sizeof(pool->idle[0])) : NULL;
}

enum err store_pool_fill(struct store *store, struct store_pool *pool, size_t count,
                         struct why *why)
{
    ASSERT(count <= pool->vacant);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = store_connect(store, pool->for_writing, &pool->idle[pool->idle_count], why);
        pool->idle_count += e == OK;
        pool->vacant -= e == OK;
    }
    return e;
}

/* Takes a place in the pool, with its connection when it has one. False when the pool is closed. */
static bool take_place(struct store_pool *pool, struct store_conn **out)
{
    pthread_mutex_lock(&pool->lock);
    pool->callers++;
    while (pool->idle_count == 0 && pool->vacant == 0 && !pool->closed) {
        pthread_cond_wait(&pool->returned, &pool->lock);
    }
    bool open = !pool->closed;
    if (!open) {
        pool->callers--;
        pthread_cond_broadcast(&pool->returned);
    } else if (pool->idle_count > 0) {
        *out = pool->idle[--pool->idle_count];
    } else {
        *out = NULL;
        pool->vacant--;
    }
    pthread_mutex_unlock(&pool->lock);
    return open;
}

/* Gives a place back; NULL: without a connection. */
static void leave_place(struct store_pool *pool, struct store_conn *conn)
{
    pthread_mutex_lock(&pool->lock);
    if (conn != NULL) {
        pool->idle[pool->idle_count++] = conn;
    } else {
        pool->vacant++;
    }
    pool->callers--;
    if (pool->closed) {
        pthread_cond_broadcast(&pool->returned);
    } else {
        pthread_cond_signal(&pool->returned);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* Returns the connection when it is good; closes it when not. */
static struct store_conn *keep_alive(struct store *store, struct store_conn *conn)
{
    const struct store_driver *driver = store->driver;
    if (conn == NULL || driver->alive == NULL || driver->alive(conn)) {
        return conn;
    }
    driver->close(conn);
    return NULL;
}

enum err store_pool_borrow(struct store *store, struct store_pool *pool, struct store_conn **out,
                           struct why *why)
{
    struct store_conn *conn = NULL;
    if (!take_place(pool, &conn)) {
        return why_set(why, ERR_STOPPING, NULL, "The program is stopping.");
    }
    conn = keep_alive(store, conn);
    if (conn == NULL) {
        enum err e = store_connect(store, pool->for_writing, &conn, why);
        if (e != OK) {
            leave_place(pool, NULL);
            return e;
        }
    }
    *out = conn;
    return OK;
}

void store_pool_return(struct store *store, struct store_pool *pool, struct store_conn *conn)
{
    leave_place(pool, keep_alive(store, conn));
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
        store->driver->close(pool->idle[i]);
    }
    pool->idle_count = 0;
    pthread_cond_destroy(&pool->returned);
    pthread_mutex_destroy(&pool->lock);
}
