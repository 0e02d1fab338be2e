/*
 * postgres_private.h: what the files of the PostgreSQL driver share.
 *
 * postgres.c connects, judges errors and hears signals; postgres_query.c runs transactions and
 * statements; postgres_rows.c runs a statement for many rows; postgres_value.c turns values into
 * the server's binary form and back, without libpq.
 *
 * A statement is prepared once a connection, under its own name. Its answer arrives whole, so that
 * statements may run inside each other and savepoints come and go while one is read: a statement
 * that can answer with much has a LIMIT.
 *
 * Sentences for people hold the server's primary message and never its detail, hint, context or
 * statement, because those repeat values; a password is cut out of what libpq says.
 */
#ifndef KERNEL_STORE_POSTGRES_PRIVATE_H
#define KERNEL_STORE_POSTGRES_PRIVATE_H

#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else
#include <postgresql/libpq-fe.h> /* where Debian keeps it */
#endif

#include "kernel/store/driver.h"

/* The types of the server that answers may have, by their fixed numbers. */
enum pg_type {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_NAME = 19,
    PG_INT8 = 20,
    PG_INT2 = 21,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_JSON = 114,
    PG_VARCHAR = 1043,
    PG_TIMESTAMPTZ = 1184,
    PG_NUMERIC = 1700,
    PG_JSONB = 3802,
};

/* Room for the name of a prepared statement. */
#define PG_NAME_SIZE 96

/* The longest number in binary form: a head of 8 bytes and 20 groups of 4 decimal digits. */
#define PG_NUMERIC_MAX (8 + 20 * 2)

struct pg_rows;

/* A statement in use: its parameters, then its answer. */
struct pg_handle {
    struct store_conn *conn;
    const struct store_statement *statement;
    struct arena arena; /* the bytes of parameters */
    const char *values[STORE_FIELDS_MAX];
    int lengths[STORE_FIELDS_MAX];
    int formats[STORE_FIELDS_MAX]; /* binary, all of them */
    PGresult *result;
    int row; /* of the answer; -1 before the first */
    bool was_prepared;
    struct pg_rows *rows;   /* of a statement that runs for many; `result` is one of theirs */
    struct pg_handle *next; /* in use, newest first; or free */
};

struct store_conn {
    PGconn *pq;
    char *shown; /* where it leads to, for sentences */
    bool for_writing;
    bool is_new;
    bool committing;
    bool rested; /* for too long in a transaction, which the server has ended */
    enum store_rerun rerun;
    bool worn;                               /* not to be used for another transaction */
    const struct store_statement **prepared; /* by statement id: the one, the set */
    size_t prepared_len;
    struct pg_handle *in_use;
    struct pg_handle *free;
};

/*
 * pg_fail turns the answer to a failed command into our error with a sentence, and remembers
 * whether running the function again may help. `doing` names the statement or step; `result` may
 * be NULL.
 */
enum err pg_fail(struct store_conn *conn, const PGresult *result, const char *doing,
                 struct why *why);

/*
 * pg_still_there says whether the server has not ended the connection by now: before a commit is
 * sent, that is a lost transaction; after it, nobody would know.
 */
bool pg_still_there(struct store_conn *conn);

/* pg_command runs one command without parameters. Errors: as pg_fail. */
enum err pg_command(struct store_conn *conn, const char *sql, const char *doing, struct why *why);

/* pg_judge looks at the answer of a prepared statement. Errors: as pg_fail. */
enum err pg_judge(struct pg_handle *h, const PGresult *result, struct why *why);

/* pg_changed returns the rows that a command changed. */
int64_t pg_changed(PGresult *result);

/* pg_name writes the name under which a statement is prepared: for one row or for a set. */
void pg_name(const struct store_statement *s, bool many, char out[PG_NAME_SIZE]);

/* ---- many rows (postgres_rows.c) ---- */

/* pg_rows_new readies the gathering of rows. Owns: the caller, pg_rows_free. */
struct pg_rows *pg_rows_new(const struct store_statement *s);
/* pg_rows_free gives rows and answers back; NULL is fine. */
void pg_rows_free(struct pg_rows *rows);
/* pg_query_row takes the bound parameters as a row. */
enum err pg_query_row(void *handle, struct why *why);
/* pg_rows_step runs what is left, then goes from answer to answer. */
enum err pg_rows_step(struct pg_handle *h, bool *out_row, struct why *why);
/* pg_rows_changed counts the rows of the table that all rows changed. */
int64_t pg_rows_changed(const struct pg_rows *rows);

/* pg_handles_free gives back what the connection keeps for statements. */
void pg_handles_free(struct store_conn *conn);

/* ---- values (postgres_value.c) ---- */

/*
 * pg_encode writes a value that is not NULL into memory of the arena, in the server's binary form.
 * Errors: ERR_OVERFLOW (a time that the server cannot keep), ERR_LIMIT (more bytes than it takes).
 */
enum err pg_encode(const struct store_value *value, struct arena *arena, struct slice *out);

/*
 * pg_decode reads a value of the server's type `oid` as the type `type`; bytes of the result are
 * part of `bytes`. Errors: ERR_CORRUPT (the types do not go together, or the bytes are no value).
 */
enum err pg_decode(uint32_t oid, struct slice bytes, enum store_type type, struct store_value *out);

/* ---- the driver's table (postgres_query.c); driver.h has the contracts ---- */

/* pg_begin opens a transaction: serializable to write, a snapshot to read. */
enum err pg_begin(struct store_conn *conn, bool for_writing, struct why *why);
/* pg_read_committed lowers the level of the transaction that has just begun. */
enum err pg_read_committed(struct store_conn *conn, struct why *why);
/* pg_commit makes it durable. Errors: ERR_DB_UNAVAILABLE also when nobody knows the outcome. */
enum err pg_commit(struct store_conn *conn, struct why *why);
/* pg_rollback takes everything back. */
void pg_rollback(struct store_conn *conn);
/* pg_in_tx says whether a transaction is open. */
bool pg_in_tx(struct store_conn *conn);
/* pg_savepoint opens a savepoint; they nest. */
enum err pg_savepoint(struct store_conn *conn, struct why *why);
/* pg_release keeps what was done since the savepoint. */
enum err pg_release(struct store_conn *conn, struct why *why);
/* pg_rollback_to takes back what was done since the savepoint, and ends it. */
void pg_rollback_to(struct store_conn *conn);
/* pg_query_begin readies a statement. */
enum err pg_query_begin(struct store_conn *conn, const struct store_statement *s, bool many,
                        void **out_handle, struct why *why);
/* pg_query_bind binds one parameter by its index. */
enum err pg_query_bind(void *handle, uint16_t index, const struct store_value *value,
                       struct why *why);
/* pg_query_step runs the statement, then goes from row to row. */
enum err pg_query_step(void *handle, bool *out_row, struct why *why);
/* pg_query_get reads one column of the row; bytes are borrowed until the statement ends. */
enum err pg_query_get(void *handle, uint16_t index, enum store_type type, struct store_value *out,
                      struct why *why);
/* pg_query_changed counts the rows that the statement changed. */
int64_t pg_query_changed(void *handle);
/* pg_query_end gives the handle back. */
void pg_query_end(void *handle);
/* pg_run_script runs statements without parameters. */
enum err pg_run_script(struct store_conn *conn, const char *sql, int64_t *out_changed,
                       struct why *why);

#endif
