/*
 * Signals between processes, on a connection of their own.
 *
 * A commit wakes those who wait in its own process at once and leaves the bits of its channels
 * here; the thread tells other processes about all bits that gathered meanwhile in one message. It
 * is not part of the transaction on purpose: a message inside makes commits wait for each other,
 * and a process that dies before its message costs the others a wait until they look again.
 *
 * Now and then the thread closes connections that nobody has used for long.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/thread.h"
#include "kernel/store/store_private.h"

#define RECONNECT_MSEC 200
#define IDLE_LOOK_MSEC_MAX 30000
#define USEC_PER_MSEC 1000

static void wake(struct store_listener *l)
{
    uint64_t one = 1;
    /* It can only fail when it was woken 2^64 - 2 times and is awake already. */
    (void)!write(l->wake_fd, &one, sizeof(one));
}

static void drain(struct store_listener *l)
{
    uint64_t count = 0;
    (void)!read(l->wake_fd, &count, sizeof(count));
}

void store_listener_tell(struct store *store, uint32_t channels)
{
    struct store_listener *l = &store->listener;
    if (channels == 0 || !l->started) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    bool waiting = l->pending != 0;
    l->pending |= channels;
    pthread_mutex_unlock(&l->lock);
    if (!waiting) {
        wake(l);
    }
}

static enum err connect_listener(struct store *store, struct why *why)
{
    struct store_conn *conn = NULL;
    enum err e = store_connect(store, false, &conn, why);
    if (e != OK) {
        return e;
    }
    e = store->driver->listen(conn, why);
    if (e != OK) {
        store->driver->close(conn);
        return e;
    }
    store->listener.conn = conn;
    return OK;
}

static void disconnect_listener(struct store *store)
{
    store->driver->close(store->listener.conn);
    store->listener.conn = NULL;
}

static void heard(void *ctx, struct slice names)
{
    store_signal_hear(ctx, names);
}

/* Tells others about the channels. Errors: those of the connection. */
static enum err tell(struct store *store, uint32_t channels)
{
    struct arena scratch;
    arena_init(&scratch, 1024);
    struct buf names;
    buf_init(&names, &scratch, 256);
    store_signal_names(store, channels, &names);
    enum err e =
        store->driver->tell(store->listener.conn, slice_cstr(&scratch, buf_slice(&names)), NULL);
    arena_free(&scratch);
    return e;
}

/* Connects again; whoever waits looks at the rows, because signals were missed meanwhile. */
static void reconnect(struct store *store)
{
    if (connect_listener(store, NULL) != OK) {
        struct pollfd one = {.fd = store->listener.wake_fd, .events = POLLIN};
        (void)poll(&one, 1, RECONNECT_MSEC);
        return;
    }
    store_signal_publish(store, UINT32_MAX);
}

/* How long to listen before unused connections are looked for; -1: they may stay. */
static int look_msec(const struct store *store)
{
    int64_t msec = store->config.idle_usec / (2 * USEC_PER_MSEC);
    if (store->config.idle_usec == 0) {
        return -1;
    }
    return msec > IDLE_LOOK_MSEC_MAX ? IDLE_LOOK_MSEC_MAX : (int)msec + 1;
}

static void *listener_main(void *arg)
{
    struct store *store = arg;
    struct store_listener *l = &store->listener;
    for (;;) {
        drain(l);
        pthread_mutex_lock(&l->lock);
        uint32_t pending = l->pending;
        bool stopping = l->stopping;
        l->pending = 0;
        pthread_mutex_unlock(&l->lock);
        enum err e = OK;
        if (l->conn != NULL && pending != 0) {
            e = tell(store, pending);
        }
        if (stopping) {
            return NULL;
        }
        if (l->conn != NULL && e == OK) {
            e = store->driver->hear(l->conn, l->wake_fd, look_msec(store), heard, store, NULL);
            pending = 0;
            store_pool_close_idle(store, &store->readers);
            store_pool_close_idle(store, &store->writers);
        }
        if (e != OK) {
            disconnect_listener(store);
        }
        if (l->conn == NULL) {
            pthread_mutex_lock(&l->lock);
            l->pending |= pending; /* not told yet */
            pthread_mutex_unlock(&l->lock);
            reconnect(store);
        }
    }
}

enum err store_listener_start(struct store *store, struct why *why)
{
    struct store_listener *l = &store->listener;
    enum err e = connect_listener(store, why);
    if (e != OK) {
        return e;
    }
    ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int failed = l->wake_fd < 0 ? errno : 0;
    if (failed == 0) {
        failed = thread_start(&l->thread, listener_main, store);
        if (failed != 0) {
            close(l->wake_fd);
        }
    }
    if (failed != 0) {
        pthread_mutex_destroy(&l->lock);
        disconnect_listener(store);
        return why_set(why, ERR_DB_UNAVAILABLE, NULL, "The listener cannot be started: %s.",
                       strerror(failed));
    }
    l->started = true;
    return OK;
}

void store_listener_stop(struct store *store)
{
    struct store_listener *l = &store->listener;
    if (!l->started) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_mutex_unlock(&l->lock);
    wake(l);
    ASSERT(pthread_join(l->thread, NULL) == 0);
    l->started = false;
    close(l->wake_fd);
    pthread_mutex_destroy(&l->lock);
    if (l->conn != NULL) {
        disconnect_listener(store);
    }
}
