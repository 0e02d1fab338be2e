/*
 * store_private.h: what the files of kernel/store share. Nobody else includes it.
 *
 * store.c opens and closes, tx.c runs functions (the writer thread and the pool of readers),
 * query.c runs statements, migrate.c, undo.c and signal.c do what their names say, sqlite.c is the
 * driver.
 *
 * Locks: `queue_lock` guards the queue of writes and the statistics, `pool_lock` the idle readers,
 * `signal_lock` the channels. No two are ever held together, and none while a function runs.
 */
#ifndef KERNEL_STORE_STORE_PRIVATE_H
#define KERNEL_STORE_STORE_PRIVATE_H

#include <pthread.h>

#include "kernel/store/driver.h"

struct store_tx {
    struct store *store;
    struct store_conn *conn;
    bool writes;
    bool undo_open;      /* between store_undo_begin and store_undo_end */
    uint64_t undo_chain; /* of the open step */
    unsigned unfinished; /* queries begun and not finished */
    uint32_t notified;   /* bit i: channel i of the store */
    enum err failed;     /* the first statement that the database refused */
    struct why failed_why;
};

/* A function on its way through the writer thread; lives on the stack of the caller. */
struct store_request {
    store_fn fn;
    void *ctx;
    struct why *why;
    enum err result;
    uint32_t notified;
    uint64_t number; /* in the order of arrival */
    bool answered;
    pthread_cond_t answer;
    struct store_request *next;
};

struct store_channel {
    const char *name;
    uint64_t count;
    pthread_cond_t changed;
};

struct store {
    struct arena boot;
    const struct store_driver *driver;
    const struct store_catalog *catalog;
    uint64_t batch_max;
    char *url_shown;

    bool read_only;
    struct store_conn *writer;
    pthread_t writer_thread;
    bool writer_started;
    pthread_mutex_t queue_lock;
    pthread_cond_t queue_filled;
    struct store_request *queue_head;
    struct store_request **queue_tail;
    uint64_t queue_number; /* of the last request that arrived */
    bool stopping;
    size_t queue_callers; /* threads inside store_write */
    pthread_cond_t queue_left;
    struct store_stats stats;

    pthread_mutex_t pool_lock;
    pthread_cond_t pool_returned;
    struct store_conn **readers; /* all of them */
    size_t reader_count;
    struct store_conn **idle; /* a stack: the warmest cache is taken first */
    size_t idle_count;
    size_t pool_callers; /* threads that hold a reader or wait for one */
    bool pool_closed;

    pthread_mutex_t signal_lock;
    struct store_channel channels[STORE_CHANNEL_MAX];
    size_t channel_count;
};

/* store_writer_start starts the writer thread. Errors: ERR_DB_UNAVAILABLE. */
enum err store_writer_start(struct store *store, struct why *why) ERR_CHECKED;
/* store_writer_stop answers the queued functions, ends the writer and waits for its callers. */
void store_writer_stop(struct store *store);
/* store_pool_close lets no one in any more and waits for those who are. */
void store_pool_close(struct store *store);

/* store_tx_current returns the transaction of this thread, or NULL. */
struct store_tx *store_tx_current(void);
/* store_tx_fail remembers the first refusal of the database; the function cannot succeed now. */
void store_tx_fail(struct store_tx *tx, enum err e, const struct why *why);

/* store_signal_publish bumps the channels whose bits are set. */
void store_signal_publish(struct store *store, uint32_t channels);

/* store_migrate_begin makes the table of applied migrations and verifies what it says. */
enum err store_migrate_begin(struct store *store, struct why *why) ERR_CHECKED;

#endif
