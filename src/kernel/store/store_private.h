/*
 * store_private.h: what the files of kernel/store share. Nobody else includes it.
 *
 * store.c opens and closes, tx.c runs functions (on the writer thread, or on a connection of a
 * pool), pool.c lends connections, query.c runs statements, listener.c carries signals between
 * processes, store_lease.c and store_keeper.c see to work that one process does, undo_text.c turns
 * inverses into the words of another database, store_repair.c and store_shadow.c serve rebuilding,
 * migrate.c, undo.c and signal.c do what their names say, sqlite.c and postgres.c are the drivers.
 *
 * Locks: `queue_lock` guards the queue of writes and the statistics, a pool's `lock` its idle
 * connections, `outage.lock` when to connect again, `signal_lock` the channels, the listener's
 * `lock` what it has to tell, that of the leases what is wanted, held and known. No two are ever
 * held together, and none while a function runs, but for `turn`, which a function on a connection
 * of `writers` shares, or has alone when it runs again after a race.
 */
#ifndef KERNEL_STORE_STORE_PRIVATE_H
#define KERNEL_STORE_STORE_PRIVATE_H

#include <pthread.h>

#include "kernel/store/driver.h"
#include "kernel/store/store_lease.h"

struct store_tx {
    struct store *store;
    struct store_conn *conn;
    bool writes;
    bool undo_open;      /* between store_undo_begin and store_undo_end */
    uint64_t undo_chain; /* of the open step */
    uint64_t undo_block;
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

/* Connections for one purpose; those that are not connected are made when they are needed. */
struct store_idle {
    struct store_conn *conn;
    int64_t since_usec; /* monotonic */
};

struct store_pool {
    pthread_mutex_t lock;
    pthread_cond_t returned;
    enum store_role role;
    bool for_writing;
    size_t size;
    size_t vacant;           /* not connected, and not about to be */
    struct store_idle *idle; /* a stack: the warmest cache is taken first */
    size_t idle_count;
    size_t callers; /* threads that hold a connection or wait for one */
    bool closed;
    struct store_pool_stats stats;
};

/* After a failure to connect nobody tries for a while; they get the same answer at once. */
struct store_outage {
    pthread_mutex_t lock;
    int64_t until_usec; /* monotonic */
    int64_t delay_usec;
    enum err err;
    struct why why;
    uint64_t connects;
};

/* The thread that hears other processes and tells them. */
struct store_listener {
    pthread_mutex_t lock;
    pthread_t thread;
    bool started;
    struct store_conn *conn; /* NULL: lost */
    int wake_fd;
    uint32_t pending; /* channels to tell others about */
    bool stopping;
};

/* A piece of work that this process wants, or once wanted. */
struct store_lease {
    char name[STORE_LEASE_NAME_MAX];
    const char *channel; /* woken when it is got or lost; NULL: not wanted */
    uint64_t fence;      /* ours; 0: we do not have it */
    uint64_t seen_fence; /* of whoever has it */
};

/* What the keeper saw of a lease, whoever has it. */
struct store_lease_look {
    char name[STORE_LEASE_NAME_MAX];
    bool alive;
    int64_t idle_usec; /* at the time of the look */
};

struct store_leases {
    pthread_mutex_t lock;
    pthread_cond_t looked; /* a round has ended */
    bool started;
    bool has_thread;
    bool stopping;
    pthread_t thread;
    char process_id[STORE_PROCESS_ID_MAX];
    char host[65];
    char place[96]; /* this boot of this machine, and its namespace of pids; "" when unknown */
    const char *roles;
    const char *version;
    int64_t valid_mono_usec; /* until then the process row is certainly alive */
    bool failing;            /* said once */
    uint64_t rounds;
    struct store_lease wanted[STORE_LEASES_MAX]; /* the first `count`; they never move */
    size_t count;
    struct store_lease_look *looks;
    size_t look_count;
    size_t look_cap;
};

/* How writing goes; see store_writing_look. Times are monotonic. */
struct store_writing_state {
    pthread_mutex_t lock;
    enum err own;
    struct why own_why;
    int64_t own_usec;    /* when the last one ended; 0: there was none */
    int64_t asking_usec; /* since when one is under way; 0: none is */
    enum err refused;
    int64_t refused_usec;
};

struct store {
    struct arena boot;
    struct store_config config; /* its texts are in `boot` */
    const struct store_driver *driver;
    const struct store_catalog *catalog;
    uint64_t batch_max;
    char *url_shown;

    bool read_only;
    bool is_new; /* there may be no table of applied migrations yet */
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

    struct store_pool readers;
    struct store_pool writers; /* empty with a single writer */
    struct store_pool keeping; /* one connection for the keeper, so that it waits for nobody */
    pthread_rwlock_t turn;     /* of `writers`: a function that lost a race runs again alone */
    struct store_outage outage;
    struct store_listener listener;
    struct store_leases leases;

    pthread_mutex_t signal_lock;
    struct store_channel channels[STORE_CHANNEL_MAX];
    size_t channel_count;

    struct store_writing_state writing;
};

/* store_writing_note notes how a write of somebody's ended. */
void store_writing_note(struct store *store, enum err e);
/* store_writing_note_own notes how a write of our own ended. */
void store_writing_note_own(struct store *store, enum err e, const struct why *why);

/* store_writer_start starts the writer thread. Errors: ERR_DB_UNAVAILABLE. */
enum err store_writer_start(struct store *store, struct why *why) ERR_CHECKED;
/* store_writer_stop answers the queued functions, ends the writer and waits for its callers. */
void store_writer_stop(struct store *store);

/* store_write_in is store_write on a connection of one pool, where there are many writers. */
enum err store_write_in(struct store *store, struct store_pool *pool, store_fn fn, void *ctx,
                        struct why *why) ERR_CHECKED;
/* store_read_in is store_read on a connection of one pool. */
enum err store_read_in(struct store *store, struct store_pool *pool, store_fn fn, void *ctx,
                       struct why *why) ERR_CHECKED;

/* store_leases_init makes the locks. */
void store_leases_init(struct store *store);
/* store_leases_clear gives back what store_leases_init made. */
void store_leases_clear(struct store *store);

/* store_connect makes a connection beside the pools. Errors: as store_open, during an outage. */
enum err store_connect(struct store *store, bool for_writing, struct store_conn **out,
                       struct why *why) ERR_CHECKED;
/* store_pool_init makes a pool of `size` connections that are not connected yet. */
void store_pool_init(struct store_pool *pool, struct arena *boot, size_t size,
                     enum store_role role);
/* store_pool_fill connects the first `count`. Errors: as store_open. */
enum err store_pool_fill(struct store *store, struct store_pool *pool, size_t count,
                         struct why *why) ERR_CHECKED;
/*
 * store_pool_borrow waits for a connection that works. Owns: the caller, store_pool_return.
 * Errors: ERR_STOPPING, ERR_DB_BUSY (all are in use), ERR_DB_UNAVAILABLE.
 */
enum err store_pool_borrow(struct store *store, struct store_pool *pool, struct store_conn **out,
                           struct why *why) ERR_CHECKED;
/* store_pool_return gives a connection back; one that is broken is closed. */
void store_pool_return(struct store *store, struct store_pool *pool, struct store_conn *conn);
/* store_pool_close_idle closes connections that nobody has used for `idle_usec`. */
void store_pool_close_idle(struct store *store, struct store_pool *pool);
/* store_pool_stats_read reads the counters of a pool. */
void store_pool_stats_read(struct store_pool *pool, struct store_pool_stats *out);
/* store_pool_close lets no one in any more and waits for those who are. */
void store_pool_close(struct store_pool *pool);
/* store_pool_clear closes all connections; nobody uses the pool any more. */
void store_pool_clear(struct store *store, struct store_pool *pool);

/* store_listener_start connects the listener and starts its thread. Errors: as store_open. */
enum err store_listener_start(struct store *store, struct why *why) ERR_CHECKED;
/* store_listener_stop tells what is left to tell and ends the thread. */
void store_listener_stop(struct store *store);
/* store_listener_tell tells other processes about the channels whose bits are set, soon. */
void store_listener_tell(struct store *store, uint32_t channels);

/* store_tx_current returns the transaction of this thread, or NULL. */
struct store_tx *store_tx_current(void);
/* store_tx_fail remembers the first refusal of the database; the function cannot succeed now. */
void store_tx_fail(struct store_tx *tx, enum err e, const struct why *why);

/*
 * store_undo_translate turns a portable inverse into PostgreSQL's words, or those into the portable
 * form. Owns: the arena. Errors: ERR_CORRUPT.
 */
enum err store_undo_translate(const struct store_catalog *catalog, struct arena *arena,
                              struct slice statement, bool to_postgres, struct slice *out,
                              struct why *why) ERR_CHECKED;

struct store_cell;
/*
 * store_repair_text writes the statement that gives the row with the key of `wrong` the values of
 * `right` that differ, or deletes it (NULL). Owns: the arena. Errors: ERR_CORRUPT.
 */
enum err store_repair_text(bool postgres, struct arena *arena, const struct store_table *table,
                           const struct store_cell *right, const struct store_cell *wrong,
                           const bool *differs, struct slice *out, struct why *why) ERR_CHECKED;

/* store_signal_publish bumps the channels whose bits are set. */
void store_signal_publish(struct store *store, uint32_t channels);
/* store_signal_hear bumps the named channels that anybody here waits on. */
void store_signal_hear(struct store *store, struct slice names);
/* store_signal_names appends the names of the channels whose bits are set, apart by blanks. */
void store_signal_names(struct store *store, uint32_t channels, struct buf *out);

/* store_migrate_begin makes the table of applied migrations and verifies what it says. */
enum err store_migrate_begin(struct store *store, struct why *why) ERR_CHECKED;

#endif
