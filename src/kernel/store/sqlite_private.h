/*
 * sqlite_private.h: what the two files of the SQLite driver share.
 *
 * sqlite.c opens, checks and closes a connection; sqlite_query.c runs transactions and statements.
 * The writing connection holds an flock on PATH.lock as long as it lives, because a second process
 * that writes would not wake our waiters. Connections are opened without SQLite's own mutexes: one
 * thread at a time uses one.
 */
#ifndef KERNEL_STORE_SQLITE_PRIVATE_H
#define KERNEL_STORE_SQLITE_PRIVATE_H

#include <sqlite3.h>

#include "kernel/store/driver.h"

enum sqlite_control {
    CONTROL_BEGIN_READ,
    CONTROL_BEGIN_WRITE,
    CONTROL_COMMIT,
    CONTROL_ROLLBACK,
    CONTROL_SAVEPOINT,
    CONTROL_RELEASE,
    CONTROL_ROLLBACK_TO,
    CONTROL_COUNT
};

/* What one of many rows answered; all of them are kept until they are read. */
struct sqlite_answer {
    struct sqlite_answer *next;
    struct store_value values[];
};

/* A prepared statement and the state of its current run. */
struct sqlite_handle {
    struct store_conn *conn;
    const struct store_statement *statement;
    sqlite3_stmt *stmt;
    bool in_use;
    bool extra;     /* beside the cache: the same statement twice at a time */
    unsigned depth; /* of savepoints where it began */
    int64_t total_before;
    int64_t changed;
    bool many;          /* runs for many rows */
    uint64_t rows;      /* that ran */
    struct arena arena; /* of the answers */
    struct sqlite_answer *answers;
    struct sqlite_answer **answers_tail;
    const struct sqlite_answer *answer; /* the current one */
    struct sqlite_handle *next_in_use;
};

struct store_conn {
    sqlite3 *db;
    char *path;
    int lock_fd; /* -1: a reader */
    sqlite3_stmt *control[CONTROL_COUNT];
    struct sqlite_handle **cache; /* by statement id */
    size_t cache_len;
    struct sqlite_handle *in_use; /* newest first */
    unsigned depth;               /* open savepoints */
};

/*
 * sqlite_fail turns a result code of SQLite into our error with a sentence. `doing` names the
 * statement or step.
 */
enum err sqlite_fail(struct store_conn *conn, int code, const char *doing, struct why *why);

/* sqlite_cache_free ends all prepared statements of a connection. */
void sqlite_cache_free(struct store_conn *conn);

/* sqlite_run_script runs statements without parameters; see driver.h. */
enum err sqlite_run_script(struct store_conn *conn, const char *sql, int64_t *out_changed,
                           struct why *why);

/* The functions of sqlite_query.c that fill the driver's table; driver.h has their contracts. */

/* sqlite_begin opens a transaction of the connection. */
enum err sqlite_begin(struct store_conn *conn, bool for_writing, struct why *why);
/* sqlite_commit makes it durable. */
enum err sqlite_commit(struct store_conn *conn, struct why *why);
/* sqlite_rollback takes everything back. */
void sqlite_rollback(struct store_conn *conn);
/* sqlite_in_tx says whether a transaction is open. */
bool sqlite_in_tx(struct store_conn *conn);
/* sqlite_savepoint opens a savepoint; they nest. */
enum err sqlite_savepoint(struct store_conn *conn, struct why *why);
/* sqlite_release keeps what was done since the savepoint. */
enum err sqlite_release(struct store_conn *conn, struct why *why);
/* sqlite_rollback_to takes back what was done since the savepoint, and ends it. */
void sqlite_rollback_to(struct store_conn *conn);
/* sqlite_query_begin takes the prepared statement from the cache, or makes it. */
enum err sqlite_query_begin(struct store_conn *conn, const struct store_statement *s, bool many,
                            void **out_handle, struct why *why);
/* sqlite_query_bind binds one parameter by its index. */
enum err sqlite_query_bind(void *handle, uint16_t index, const struct store_value *value,
                           struct why *why);
/* sqlite_query_row runs the statement for the bound row. */
enum err sqlite_query_row(void *handle, struct why *why);
/* sqlite_query_step fetches the next row. */
enum err sqlite_query_step(void *handle, bool *out_row, struct why *why);
/* sqlite_query_get reads one column of the row; bytes are borrowed until the next step. */
enum err sqlite_query_get(void *handle, uint16_t index, enum store_type type,
                          struct store_value *out, struct why *why);
/* sqlite_query_changed counts the rows that the statement changed. */
int64_t sqlite_query_changed(void *handle);
/* sqlite_query_end gives the statement back to the cache. */
void sqlite_query_end(void *handle);

#endif
