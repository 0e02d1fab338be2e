/*
 * store.h: the one door to the database.
 *
 * What it owns
 *   Connections, transactions, prepared statements, migrations, the undo log and signals. Two
 *   drivers fill one table of functions (driver.h): SQLite (embedded default) and PostgreSQL.
 *   Nothing outside this folder includes a database header.
 *
 * Statements
 *   SQL lives in `.sql` files beside the module that uses it. Each statement is named;
 * tools/gen-sql turns a file m.sql into m_sql.h and m_sql.c: one constant `struct store_statement`
 * each with its parameters, columns and types in both dialects, checked against the migrated
 * schema. Values are bound and read by name with their type; the compiler cannot check that,
 * therefore every build checks names and types (ASSERT), and a checked build (FREEHOLD_CHECKED, all
 * test builds) also dies on an unbound parameter, an unread column and an unfinished statement.
 *
 * Many rows
 *   store_begin_rows begins a statement that runs once for each row of parameters; store_row ends a
 *   row, and names, types and forgotten values are checked for each of them as for one. How they
 *   travel is declared beside the statement, and only PostgreSQL differs:
 *   "-- rows: load"  a plain INSERT: COPY in binary form, the fastest way in.
 *   "-- rows: set"   one statement over arrays. INSERT ... ON CONFLICT, UPDATE, DELETE, RETURNING.
 *                    All its rows see the table as it was before: two of them must not be about the
 *                    same row of the table (ON CONFLICT DO NOTHING takes the first of equals).
 *   without a line   the statement as often as there are rows, in a pipeline: in order, each seeing
 *                    what those before it did. Any statement can be run so.
 *   SQLite runs the prepared statement for each row. Rows leave in chunks of at most
 *   STORE_ROWS_CHUNK rows or about a MiB, so that memory is bounded however many there are;
 * store_row sends the chunk that it fills and store_step or store_finish the rest. A failure names
 * the row, or the rows of its chunk where the server does not tell; it fails the function like any
 * other refusal. Answers (RETURNING) are read by store_step after the last row. They are in memory
 * until store_finish, so who wants answers gives a bounded number of rows; those of a set come in
 * no order, so that they return their key. Between rows other statements may run; what was given
 * and not sent yet is not seen by them.
 *
 * Transactions
 *   store_write runs a function in a read-write transaction and returns when it is durable (or
 *   rolled back). store_read gives a consistent snapshot. The function may be run again after a
 *   serialization failure, so it must not have effects outside the database, must not do network
 *   I/O (ASSERTed by kernel/net) and must overwrite its outputs. Anything it returns but OK rolls
 *   back its own work only. A statement that the database refuses (a constraint, a full disk) fails
 *   its function: later statements do nothing and store_write returns that first error, even when
 *   the function says OK. Where a conflict is expected, the SQL says ON CONFLICT.
 *   SQLite: one writer thread takes whatever functions wait, runs each behind a savepoint (but the
 *   first, which is all there is to take back), and commits them together (group commit, WAL,
 *   synchronous=FULL): a caller is answered after the fsync.
 *   PostgreSQL: each caller runs its function on a connection of a pool, serializable. A function
 *   that lost a race, or its connection before the commit was sent, runs again, a bounded number of
 *   times; after a race while no other function of this process writes. A connection that breaks
 *   during the commit leaves the outcome unknown: the answer is ERR_DB_UNAVAILABLE and the caller
 *   repeats under the same key. While the server is gone, calls are answered ERR_DB_UNAVAILABLE at
 *   once and connecting is tried with back-off. Who finds all connections of the pool in use waits
 *   for one, `store.wait_timeout` at most: then the answer is ERR_DB_BUSY, and nothing was done.
 *
 * Signals
 *   store_notify(tx, channel) wakes those who store_wait on the channel, after the commit and only
 *   if it happened. They replace polling, never correctness: waiters look at rows again on a
 *   timeout. On PostgreSQL other processes hear them over one connection that a thread of the store
 *   keeps; after that connection was lost, all channels are woken once.
 *
 * Undo log
 *   Tables that follow from the chain ("projections") carry triggers, generated from the
 *   migrations, that write the inverse of every change made between store_undo_begin and
 *   store_undo_end into `undo_log`, with only the columns that changed. store_undo_rollback replays
 *   the inverses of all blocks from a number on, newest first. Writes to a projection outside of an
 *   apply step are allowed for columns that the chain does not own. Tables whose rows must not
 *   change guard themselves with triggers; while the log is replayed it has a record of chain -1,
 *   by which they know to let the inverses pass.
 *
 * Types in the database (SQLite / PostgreSQL)
 *   I64 INTEGER / BIGINT · BOOL INTEGER 0,1 / BOOLEAN · TEXT TEXT / TEXT · JSON TEXT / JSONB ·
 *   BYTES BLOB / BYTEA · HASH 32 bytes · ADDRESS 20 bytes · U256 78 digits of text (sorts) /
 *   NUMERIC(78,0) · TIME INTEGER microseconds / TIMESTAMPTZ.
 *
 * A crash at any point leaves the last commit. A database that is newer than the program, or whose
 * applied migration was edited, is refused (ERR_DB_VERSION). A second embedded process on the same
 * file is refused (ERR_LOCKED), but for an operator's command that says `beside`: it writes single
 * transactions between those of the owner, whom SQLite's own locks make wait for so long. The owner
 * hears no signal of it and finds the rows when it looks again.
 *
 * Threads: all functions may be called from any thread; a transaction belongs to the thread that
 * runs the function.
 */
#ifndef KERNEL_STORE_STORE_H
#define KERNEL_STORE_STORE_H

#include "kernel/base/config.h"
#include "kernel/base/mem.h"
#include "kernel/base/slice.h"
#include "kernel/base/u256.h"

struct store;
struct store_tx;

enum store_type {
    STORE_I64,
    STORE_BOOL,
    STORE_TEXT,
    STORE_JSON,
    STORE_BYTES,
    STORE_HASH,    /* 32 bytes */
    STORE_ADDRESS, /* 20 bytes */
    STORE_U256,
    STORE_TIME, /* microseconds */
};

struct store_column {
    const char *name;
    enum store_type type;
    bool nullable;
};

/* How many rows of parameters travel to PostgreSQL. */
enum store_rows {
    STORE_ROWS_EACH, /* one after another, pipelined */
    STORE_ROWS_SET,  /* one statement over arrays */
    STORE_ROWS_LOAD, /* COPY */
};

struct store_statement {
    const char *name; /* "jobs_enqueue" */
    uint16_t id;      /* dense over the program, index of the prepared cache */
    bool writes;
    const char *sqlite;   /* placeholders ?1… in the order of params */
    const char *postgres; /* placeholders $1… */
    enum store_rows rows;
    const char *postgres_rows; /* SET: placeholders are arrays; LOAD: the COPY; EACH: NULL */
    const struct store_column *params;
    uint16_t param_count;
    const struct store_column *columns;
    uint16_t column_count;
};

struct store_migration {
    uint32_t version; /* 1, 2, 3, … without gaps */
    const char *name;
    const char *checksum; /* SHA-256 hex of the source file */
    const char *up_sqlite;
    const char *down_sqlite;
    const char *up_postgres;
    const char *down_postgres;
};

/*
 * A table whose rows belong to the installation: what copies and backups move. Its statements are
 * made by tools/gen-sql; `first` and `next` read rows in the order of the primary key, whose values
 * `next` takes as "after_NAME"; `insert` has the columns as parameters, also one that the database
 * numbers; `number` tells how far that has counted, `renumber` sets it; `clear` removes what the
 * migrations put there.
 */
struct store_table {
    const char *name;
    const struct store_column *columns;
    uint16_t column_count;
    const uint16_t *key; /* of `columns`, in the order of the primary key */
    uint16_t key_count;
    uint64_t rows_fresh; /* that the migrations put there */
    bool projection;     /* follows from a chain: has triggers that write the undo log */
    const struct store_statement *first;
    const struct store_statement *next;
    const struct store_statement *count;
    const struct store_statement *insert;
    const struct store_statement *number; /* NULL: the database numbers no column */
    const struct store_statement *renumber;
    const struct store_statement *clear; /* NULL: they put nothing there */
};

/* A table that PostgreSQL keeps in partitions, a month of `column` each; see store_partition.h. */
struct store_partitioned {
    const char *table;
    const char *column;
};

/* What generated code knows about the whole program (src/gen/sql_all.c). */
struct store_catalog {
    const struct store_statement *const *statements;
    uint16_t statement_count;
    const struct store_migration *migrations;
    uint16_t migration_count;
    const struct store_table *tables; /* referenced ones first */
    uint16_t table_count;
    const struct store_partitioned *partitioned;
    uint16_t partitioned_count;
};

struct store_config {
    const char *url;         /* sqlite:PATH or postgresql://… */
    uint64_t readers;        /* read connections */
    uint64_t writers;        /* PostgreSQL: write connections */
    int64_t busy_usec;       /* how long a statement waits for a lock */
    int64_t connect_usec;    /* PostgreSQL: how long connecting may take */
    int64_t statement_usec;  /* PostgreSQL: how long a statement may run, 0: for ever */
    int64_t idle_usec;       /* PostgreSQL: a connection unused for so long is closed, 0: never */
    int64_t wait_usec;       /* how long to wait for a connection, 0: for ever */
    int64_t lease_usec;      /* PostgreSQL: how long a silent process counts as alive */
    uint64_t batch_max;      /* functions in one group commit */
    const char *synchronous; /* SQLite: full | normal */
    bool read_only;          /* not a row: no writer, no lock, next to a running owner */
    bool passive;            /* not a row: read_only, and no file of SQLite's changes or appears */
    bool beside;             /* not a row: SQLite: write next to a running owner, without a lock */
    const char *schema; /* not a row: PostgreSQL: look for tables in this schema; NULL: as is */
};

/* store_config_rows are the rows of section "store". */
extern const struct config_row store_config_rows[];
extern const size_t store_config_row_count;

/*
 * store_open connects and checks the version, without migrating. Owns: the caller, store_close.
 * With `read_only` nothing is written, so that it may look while another process owns the database;
 * store_write answers ERR_CONFLICT then. Readers of SQLite share an index of the write-ahead log,
 * which they may make, and the last one to leave clears both away; with `passive` as well, that is
 * left to others: the file is opened read-only, and taken as it lies when no process has it and it
 * has no log.
 * Errors: ERR_CONFIG (url), ERR_DB_UNAVAILABLE, ERR_LOCKED, ERR_DB_VERSION, ERR_CORRUPT, ERR_IO,
 * ERR_NOT_FOUND (read_only and there is no database).
 */
enum err store_open(struct store **out, const struct store_config *config,
                    const struct store_catalog *catalog, struct why *why) ERR_CHECKED;

/* store_close stops the writer after the queued functions and closes; NULL is fine. */
void store_close(struct store *store);

typedef enum err (*store_fn)(struct store_tx *tx, void *ctx, struct why *why);

/*
 * store_write runs `fn` in a transaction and returns when it is durable. Errors: what `fn`
 * returned (rolled back), ERR_DB, ERR_DB_BUSY, ERR_DB_CONSTRAINT, ERR_DISK_FULL, ERR_STOPPING,
 * ERR_DB_UNAVAILABLE (PostgreSQL; when the commit was under way it may have happened).
 */
enum err store_write(struct store *store, store_fn fn, void *ctx, struct why *why) ERR_CHECKED;

/* store_read runs `fn` on a snapshot; writing is refused. Errors: as store_write. */
enum err store_read(struct store *store, store_fn fn, void *ctx, struct why *why) ERR_CHECKED;

/*
 * store_nested runs `fn` in a savepoint of the running transaction: when it returns anything but
 * OK its own work is undone and the transaction goes on. Errors: what `fn` returned, ERR_DB.
 */
enum err store_nested(struct store_tx *tx, store_fn fn, void *ctx, struct why *why) ERR_CHECKED;

/*
 * store_read_committed makes the rest of this writing transaction READ COMMITTED on PostgreSQL,
 * where it is SERIALIZABLE otherwise; it comes before the first statement. For functions of which
 * each statement decides on rows that it locks or compares itself (decision 0014). Nothing on
 * SQLite, which has one writer.
 */
void store_read_committed(struct store_tx *tx);

/* store_in_tx says whether this thread is inside a transaction function. */
bool store_in_tx(void);

/* store_kind names the kind of database: "sqlite" or "postgres". */
const char *store_kind(const struct store *store);

/* store_url_known says whether a url is of a kind that can be opened. */
bool store_url_known(const char *url);

/* store_url_shown returns the url without a password, for logs and health. */
const char *store_url_shown(const struct store *store);

/* ---- one statement ---- */

/*
 * struct store_query runs one statement: begin, bind each parameter, step through rows or run,
 * finish. The first error is remembered and everything after it does nothing; store_finish
 * returns it. Always finish.
 */
struct store_query {
    struct store_tx *tx;
    const struct store_statement *statement;
    void *driver_;
    enum err err_;
    uint64_t bound_;
    uint64_t read_;
    uint16_t next_param_;
    uint16_t next_column_;
    uint64_t rows_; /* rows of parameters that were ended */
    bool many_;     /* begun by store_begin_rows */
    bool started_;
    bool has_row_;
    bool had_row_;
    struct why why_;
};

/* store_begin readies a statement of the transaction. */
void store_begin(struct store_query *q, struct store_tx *tx, const struct store_statement *s);

#define STORE_ROWS_CHUNK 2048

/*
 * store_begin_rows readies a statement for many rows: bind all parameters and store_row, for each
 * row; then step and finish. No row at all is fine: nothing runs.
 */
void store_begin_rows(struct store_query *q, struct store_tx *tx, const struct store_statement *s);
/* store_row ends a row of parameters; may run the rows that gathered. */
void store_row(struct store_query *q);

/* The store_bind_* functions bind a parameter by name; binding in declared order is fastest. */
void store_bind_i64(struct store_query *q, const char *name, int64_t value);
/* store_bind_bool binds a boolean. */
void store_bind_bool(struct store_query *q, const char *name, bool value);
/*
 * store_bind_text binds text; the bytes are copied. Text that PostgreSQL could not keep fails the
 * statement on both databases: ERR_INVALID_FIELD (a NUL character), ERR_INVALID_ENCODING (UTF-8).
 */
void store_bind_text(struct store_query *q, const char *name, struct slice value);
/* store_bind_json binds JSON text that was parsed or written by us; refuses text as above. */
void store_bind_json(struct store_query *q, const char *name, struct slice value);
/* store_bind_bytes binds BYTES, HASH or ADDRESS; a fixed length that differs is a bug. */
void store_bind_bytes(struct store_query *q, const char *name, struct slice value);
/* store_bind_u256 binds an integer. */
void store_bind_u256(struct store_query *q, const char *name, struct u256 value);
/* store_bind_time binds wall time. Units: microseconds. */
void store_bind_time(struct store_query *q, const char *name, int64_t wall_usec);
/* store_bind_null binds NULL to a nullable parameter. */
void store_bind_null(struct store_query *q, const char *name);

/* store_step fetches the next row; false at the end or on an error. */
bool store_step(struct store_query *q);

/* store_is_null says whether a nullable column is NULL; counts as reading it when it is. */
bool store_is_null(struct store_query *q, const char *column);
/* The store_get_* functions read a column of the current row by name. NULL gives zero or empty. */
int64_t store_get_i64(struct store_query *q, const char *column);
/* store_get_bool reads a boolean. */
bool store_get_bool(struct store_query *q, const char *column);
/* store_get_text copies text (TEXT or JSON) into the arena. */
struct slice store_get_text(struct store_query *q, const char *column, struct arena *arena);
/* store_get_bytes copies bytes into the arena. */
struct slice store_get_bytes(struct store_query *q, const char *column, struct arena *arena);
/* store_get_fixed copies exactly `len` bytes (HASH 32, ADDRESS 20); NULL leaves zeros. */
void store_get_fixed(struct store_query *q, const char *column, void *out, size_t len);
/* store_get_u256 reads an integer. */
struct u256 store_get_u256(struct store_query *q, const char *column);
/* store_get_time reads wall time. Units: microseconds. */
int64_t store_get_time(struct store_query *q, const char *column);

/* store_ignore counts a column as read that this caller has no use for. */
void store_ignore(struct store_query *q, const char *column);

/*
 * store_finish ends the statement (running it when no row was asked for). `out_changed` may be
 * NULL; it receives the number of rows inserted, updated or deleted, by all rows together.
 * Errors: ERR_DB_CONSTRAINT (unique, check, foreign key), ERR_DB, ERR_DB_BUSY, ERR_DISK_FULL.
 */
enum err store_finish(struct store_query *q, int64_t *out_changed, struct why *why) ERR_CHECKED;

/*
 * store_finish_one is for statements that must yield exactly the row already read with one
 * store_step: when there was none it returns ERR_NOT_FOUND with the sentence "<what> not found".
 */
enum err store_finish_one(struct store_query *q, const char *what, struct why *why) ERR_CHECKED;

/* ---- migrations ---- */

struct store_version {
    uint32_t applied;
    uint32_t known;
};

/* store_version_read reads the applied and known versions. Errors: ERR_DB. */
enum err store_version_read(struct store *store, struct store_version *out,
                            struct why *why) ERR_CHECKED;
/*
 * store_migrate moves the schema up or down to `target`, one migration a transaction, one runner
 * at a time across processes. Errors: ERR_DB_VERSION (edited, newer, no way down), ERR_DB.
 */
enum err store_migrate(struct store *store, uint32_t target, struct why *why) ERR_CHECKED;
/* store_migrate_verify compares the checksums of applied migrations. Errors: ERR_DB_VERSION. */
enum err store_migrate_verify(struct store *store, struct why *why) ERR_CHECKED;
/* store_prepare_all prepares every statement of the catalog. Errors: ERR_DB (names it). */
enum err store_prepare_all(struct store *store, struct why *why) ERR_CHECKED;

/* ---- signals ---- */

#define STORE_CHANNEL_MAX 16

/* store_notify wakes waiters of `channel` (a constant like "jobs") after the commit. */
void store_notify(struct store_tx *tx, const char *channel);
/* store_signal_now returns the channel's count; pass it to store_wait. */
uint64_t store_signal_now(struct store *store, const char *channel);
/*
 * store_wait returns true when the channel's count differs from *seen (which is updated), false
 * after `timeout_usec` of real time.
 */
bool store_wait(struct store *store, const char *channel, uint64_t *seen, int64_t timeout_usec);
/* store_wake wakes the waiters of a channel without a transaction. */
void store_wake(struct store *store, const char *channel);

/* ---- undo log ---- */

/*
 * store_undo_begin makes all following changes of projections in this transaction undoable as part
 * of (chain, block). Errors: ERR_DB.
 */
enum err store_undo_begin(struct store_tx *tx, uint64_t chain_id, uint64_t block_number,
                          struct why *why) ERR_CHECKED;
/* store_undo_end ends the apply step. Errors: ERR_DB. */
enum err store_undo_end(struct store_tx *tx, struct why *why) ERR_CHECKED;
/* store_undo_chain returns the chain of the apply step that is open in `tx`, 0 outside of one. */
uint64_t store_undo_chain(const struct store_tx *tx);
/*
 * store_undo_rollback reverts every recorded change of blocks >= from_block, newest first, and
 * drops the records. Errors: ERR_DB, ERR_CORRUPT.
 */
enum err store_undo_rollback(struct store_tx *tx, uint64_t chain_id, uint64_t from_block,
                             uint64_t *out_changes, struct why *why) ERR_CHECKED;
/* store_undo_prune forgets records of blocks < below_block. Errors: ERR_DB. */
enum err store_undo_prune(struct store_tx *tx, uint64_t chain_id, uint64_t below_block,
                          struct why *why) ERR_CHECKED;

/*
 * store_undo_is_inverse says whether a column holds inverses. They are text in the words of their
 * database: whoever moves rows takes them out by store_undo_export, in a form that every database's
 * store_undo_import turns into its own words. Owns: the arena. Errors: ERR_CORRUPT.
 */
bool store_undo_is_inverse(const struct store_table *table, const struct store_column *column);
/* store_undo_export writes an inverse of this database in the portable form. Errors: see above. */
enum err store_undo_export(const struct store *store, struct arena *arena, struct slice statement,
                           struct slice *out, struct why *why) ERR_CHECKED;
/* store_undo_import writes a portable inverse in this database's words. Errors: see above. */
enum err store_undo_import(const struct store *store, struct arena *arena, struct slice statement,
                           struct slice *out, struct why *why) ERR_CHECKED;

/* ---- whether writing works ---- */

/*
 * A disk that is full or turned read-only answers reads as ever. What tells of it: a little write
 * of the store's own, which on a server the keeper of leases makes all the time, and in a file
 * whoever looks, every ten seconds at most (every second while it fails); and what the database
 * answered to the writes of others.
 */
struct store_writing {
    enum err own; /* of the last write of our own; OK: it is on the disk, or there was none */
    struct why own_why;
    enum err others; /* the last refusal of the last five seconds, OK: there was none */
};

/* store_writing_look tells how writing goes. It may write, and take as long as that does. */
void store_writing_look(struct store *store, struct store_writing *out);

/* ---- statistics ---- */

/* Connections of one purpose. */
enum store_role {
    STORE_READERS,
    STORE_WRITERS, /* PostgreSQL */
    STORE_KEEPER,  /* PostgreSQL: of leases */
    STORE_ROLE_COUNT,
};

struct store_pool_stats {
    uint64_t open;     /* connections */
    uint64_t in_use;   /* of them */
    uint64_t waiting;  /* threads that wait for one now */
    uint64_t waits;    /* that there were */
    int64_t wait_usec; /* all of them together */
    uint64_t timeouts; /* waits that were given up */
    uint64_t connects;
    uint64_t closed_idle;
};

struct store_stats {
    uint64_t commits;
    uint64_t functions;
    uint64_t rollbacks;
    uint64_t waiting; /* threads inside store_write now */
    int64_t commit_usec_last;
    uint64_t reruns;   /* PostgreSQL: functions run again after a lost race or connection */
    uint64_t connects; /* PostgreSQL: connections made */
    struct store_pool_stats pools[STORE_ROLE_COUNT];
};

/* store_stats_read reads counters. */
void store_stats_read(struct store *store, struct store_stats *out);

/*
 * store_metrics_register makes the metric rows part of /metrics and of the reference, once. They
 * count for all stores of the process.
 */
void store_metrics_register(void);

#endif
