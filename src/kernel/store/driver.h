/*
 * driver.h: what a database driver fills in. Private to kernel/store.
 *
 * A driver connection is used by one thread at a time. Values cross as the types of store.h; the
 * driver converts to native ones.
 */
#ifndef KERNEL_STORE_DRIVER_H
#define KERNEL_STORE_DRIVER_H

#include "kernel/store/store.h"

#define STORE_FIELDS_MAX 64 /* parameters or columns of a statement: a bit each */

/* What a server calls our sessions that look into another schema (store_shadow.h). */
#define STORE_SHADOW_APPLICATION "freehold-shadow"

struct store_conn;

struct store_value {
    enum store_type type;
    bool is_null;
    int64_t i64;        /* I64, BOOL, TIME */
    struct slice bytes; /* TEXT, JSON, BYTES, HASH, ADDRESS; borrowed until the next step */
    struct u256 u256;
};

/* A transaction that failed for no fault of its function, and of which nothing was done. */
enum store_rerun {
    STORE_RERUN_NO,
    STORE_RERUN_RACE, /* against another transaction */
    STORE_RERUN_LOST, /* of its connection, before the commit was sent */
};

/* Receives the names of channels, apart by blanks, that another process has signalled. */
typedef void (*store_heard_fn)(void *ctx, struct slice names);

/*
 * With `single_writer` one thread owns the one writing connection, and the fields below "many
 * writers" are NULL. Without it every caller runs its functions on a connection of a pool, and
 * connections may be lost and made anew at any time.
 */
struct store_driver {
    const char *name; /* "sqlite", "postgres" */
    bool single_writer;

    enum err (*open)(struct store_conn **out, const struct store_config *config,
                     const struct store_catalog *catalog, bool for_writing, struct why *why);
    void (*close)(struct store_conn *conn);

    enum err (*begin)(struct store_conn *conn, bool for_writing, struct why *why);
    enum err (*commit)(struct store_conn *conn, struct why *why);
    void (*rollback)(struct store_conn *conn);
    /* Whether the transaction is still open: a full disk can end it behind our back. */
    bool (*in_tx)(struct store_conn *conn);
    enum err (*savepoint)(struct store_conn *conn, struct why *why);
    enum err (*release)(struct store_conn *conn, struct why *why);
    void (*rollback_to)(struct store_conn *conn);

    /*
     * One prepared statement in use; the driver keeps a cache by statement id. With `many`, binding
     * and query_row take turns, then query_step runs what is left and goes through all answers.
     */
    enum err (*query_begin)(struct store_conn *conn, const struct store_statement *s, bool many,
                            void **out_handle, struct why *why);
    enum err (*query_bind)(void *handle, uint16_t index, const struct store_value *value,
                           struct why *why);
    /* Takes the bound parameters as a row, and runs rows when enough have gathered. */
    enum err (*query_row)(void *handle, struct why *why);
    enum err (*query_step)(void *handle, bool *out_row, struct why *why);
    enum err (*query_get)(void *handle, uint16_t index, enum store_type type,
                          struct store_value *out, struct why *why);
    int64_t (*query_changed)(void *handle);
    void (*query_end)(void *handle);

    /*
     * Text without parameters, several statements: migrations and the undo log. `out_changed` may
     * be NULL; it receives the rows that the last statement changed, without those of triggers.
     */
    enum err (*run_script)(struct store_conn *conn, const char *sql, int64_t *out_changed,
                           struct why *why);
    const char *(*up)(const struct store_migration *m);
    const char *(*down)(const struct store_migration *m); /* NULL: there is no way down */

    /* ---- many writers ---- */

    /* Makes the transaction that has just begun READ COMMITTED. */
    enum err (*read_committed)(struct store_conn *conn, struct why *why);
    /* Whether a connection that nobody uses is still good; it is closed when not. */
    bool (*alive)(struct store_conn *conn);
    /* Why the function of the last transaction is to be run again. */
    enum store_rerun (*rerun)(const struct store_conn *conn);
    /* Whether there is no table of applied migrations yet. */
    bool (*is_new)(const struct store_conn *conn);
    /* Waits until no other process migrates; the lock goes with the connection. */
    enum err (*lock_schema)(struct store_conn *conn, struct why *why);
    /* What a migration says before its own statements. */
    const char *migration_prelude;

    /* Signals between processes, on a connection of their own that one thread uses. */
    enum err (*listen)(struct store_conn *conn, struct why *why);
    /* Tells other processes; `names` as in store_heard_fn. */
    enum err (*tell)(struct store_conn *conn, const char *names, struct why *why);
    /* Hears what has arrived, and waits for it until `wake_fd` can be read or the time is over. */
    enum err (*hear)(struct store_conn *conn, int wake_fd, int timeout_msec, store_heard_fn heard,
                     void *ctx, struct why *why);
};

extern const struct store_driver store_driver_sqlite;
extern const struct store_driver store_driver_postgres;

#endif
