#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/store/postgres_private.h"

#define VERSION_MIN 150000
#define VERSION_MIN_TEXT "15"
#define USEC_PER_MSEC 1000
/* "FRHD": the advisory lock of whoever migrates. */
#define SCHEMA_LOCK "1179797572"

/* ---- errors ---- */

/* idle_in_transaction_session_timeout: nothing of the transaction was committed. */
#define IDLE_STATE "25P03"

struct pg_state {
    const char *prefix; /* of the SQLSTATE */
    enum err err;
    bool race; /* with another transaction */
    bool lost; /* the connection is of no use any more */
};

/* The first row whose prefix fits; https://www.postgresql.org/docs/15/errcodes-appendix.html */
static const struct pg_state states[] = {
    {"40001", ERR_DB_BUSY, true, false},           /* serialization failure */
    {"40P01", ERR_DB_BUSY, true, false},           /* deadlock */
    {"23", ERR_DB_CONSTRAINT, false, false},       /* integrity constraint */
    {"53100", ERR_DISK_FULL, false, false},        /* disk full */
    {"53", ERR_DB_UNAVAILABLE, false, false},      /* memory, connections */
    {"55P03", ERR_DB_BUSY, false, false},          /* lock_timeout */
    {"57014", ERR_DB_BUSY, false, false},          /* statement_timeout */
    {"42501", ERR_DB_UNAVAILABLE, false, false},   /* no right to, or files that are read-only */
    {"57P0", ERR_DB_UNAVAILABLE, false, true},     /* shutdown, crash, starting up */
    {"25006", ERR_DB_UNAVAILABLE, false, true},    /* it became a standby */
    {IDLE_STATE, ERR_DB_UNAVAILABLE, false, true}, /* the transaction rested for too long */
    {"08", ERR_DB_UNAVAILABLE, false, true},       /* connection */
    {"58", ERR_IO, false, false},                  /* the server's files */
    {"XX001", ERR_CORRUPT, false, false},          /* damaged data */
    {"XX002", ERR_CORRUPT, false, false},          /* damaged index */
};

static const struct pg_state *find_state(const char *sqlstate)
{
    static const struct pg_state other = {"", ERR_DB, false, false};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strncmp(sqlstate, states[i].prefix, strlen(states[i].prefix)) == 0) {
            return &states[i];
        }
    }
    return &other;
}

/*
 * A row was on its way to the partition for the rest while the partition of its month was made: a
 * check that has no name. Run again, it finds the new one.
 */
static bool is_partition_race(const PGresult *result, const char *sqlstate)
{
    return strcmp(sqlstate, "23514") == 0 &&
           PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME) == NULL &&
           PQresultErrorField(result, PG_DIAG_TABLE_NAME) != NULL;
}

static enum err fail_lost(struct store_conn *conn, const char *doing, struct why *why)
{
    conn->worn = true;
    if (conn->committing && !conn->rested) {
        /* The answer got lost, not necessarily the commit: running again might do it twice. */
        conn->rerun = STORE_RERUN_NO;
        return why_set(why, ERR_DB_UNAVAILABLE, NULL,
                       "The connection to the database broke while it committed: whether it did is "
                       "not known.");
    }
    conn->rerun = STORE_RERUN_LOST;
    return why_set(why, ERR_DB_UNAVAILABLE, NULL, "The connection to the database broke (%s).",
                   doing);
}

static const char *first_of(const char *a, const char *b)
{
    return a != NULL && a[0] != '\0' ? a : b;
}

enum err pg_fail(struct store_conn *conn, const PGresult *result, const char *doing,
                 struct why *why)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (PQstatus(conn->pq) != CONNECTION_OK || sqlstate == NULL) {
        return fail_lost(conn, doing, why);
    }
    const struct pg_state *state =
        find_state(is_partition_race(result, sqlstate) ? "40001" : sqlstate);
    if (state->lost) {
        return fail_lost(conn, doing, why);
    }
    if (state->race && conn->rerun == STORE_RERUN_NO) {
        conn->rerun = STORE_RERUN_RACE;
    }
    const char *message = first_of(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), "refused");
    const char *field = NULL;
    if (state->err == ERR_DB_CONSTRAINT) {
        field = first_of(PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME),
                         PQresultErrorField(result, PG_DIAG_COLUMN_NAME));
    }
    return why_set(why, state->err, field, "%s: %s (%s).", doing, message, sqlstate);
}

enum err pg_command(struct store_conn *conn, const char *sql, const char *doing, struct why *why)
{
    PGresult *result = PQexec(conn->pq, sql);
    ExecStatusType status = PQresultStatus(result);
    bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    enum err e = done ? OK : pg_fail(conn, result, doing, why);
    PQclear(result);
    return e;
}

/* ---- connecting ---- */

/* Writes one line of what libpq said about a connection, without the password. */
static void say(const PGconn *pq, char *out, size_t size)
{
    const char *message = PQerrorMessage(pq);
    const char *password = PQpass(pq);
    size_t hidden = password != NULL ? strlen(password) : 0;
    size_t len = 0;
    while (*message != '\0' && len + sizeof("***") < size) {
        if (hidden > 0 && strncmp(message, password, hidden) == 0) {
            memcpy(out + len, "***", 3);
            len += 3;
            message += hidden;
            continue;
        }
        char c = *message++;
        bool blank = c == '\n' || c == '\t' || c == ' ';
        if (!blank || (len > 0 && out[len - 1] != ' ')) {
            out[len++] = blank ? ' ' : c;
        }
    }
    while (len > 0 && (out[len - 1] == ' ' || out[len - 1] == '.')) {
        len--;
    }
    out[len] = '\0';
}

/* Names where a connection leads to, as "NAME on HOST". */
static char *describe(const PGconn *pq)
{
    const char *name = first_of(PQdb(pq), "?");
    const char *host = first_of(PQhost(pq), "?");
    size_t size = strlen(name) + strlen(host) + sizeof(" on ");
    char *text = mem_alloc(size);
    snprintf(text, size, "%s on %s", name, host);
    return text;
}

/* What libpq says about a url that it cannot read may repeat all of it, so we say nothing. */
static enum err check_url(const char *url, struct why *why)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    bool readable = options != NULL;
    PQconninfoFree(options);
    return readable ? OK
                    : why_set(why, ERR_CONFIG, "store.url",
                              "store.url must be postgresql://USER:PASSWORD@HOST:PORT/NAME with "
                              "options that libpq knows.");
}

/* Connects; what the url says comes last and wins, apart from the encoding. */
static enum err connect_server(struct store_conn *conn, const struct store_config *config,
                               struct why *why)
{
    char timeout_sec[24];
    int64_t sec = (config->connect_usec + USEC_PER_SEC - 1) / USEC_PER_SEC;
    snprintf(timeout_sec, sizeof(timeout_sec), "%lld", (long long)(sec < 2 ? 2 : sec));
    /* A server that is gone without a word is noticed within half a minute. */
    const char *const keys[] = {
        "fallback_application_name",
        "connect_timeout",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "target_session_attrs",
        "dbname",
        "client_encoding",
        NULL,
    };
    const char *const values[] = {
        config->schema != NULL ? STORE_SHADOW_APPLICATION : "freehold",
        timeout_sec,
        "10",
        "5",
        "3",
        conn->for_writing ? "read-write" : "any",
        config->url,
        "UTF8",
        NULL,
    };
    conn->pq = PQconnectdbParams(keys, values, 1);
    if (PQstatus(conn->pq) != CONNECTION_OK) {
        char said[WHY_TEXT_MAX / 2];
        say(conn->pq, said, sizeof(said));
        return why_set(why, ERR_DB_UNAVAILABLE, "store.url", "The database cannot be reached: %s.",
                       said);
    }
    conn->shown = describe(conn->pq);
    int version = PQserverVersion(conn->pq);
    if (version < VERSION_MIN) {
        return why_set(why, ERR_DB_VERSION, "store.url",
                       "The database %s runs PostgreSQL %d: %s or newer is needed.", conn->shown,
                       version / 10000, VERSION_MIN_TEXT);
    }
    return OK;
}

/*
 * Settings of the session, and what we must know about the database. An answer is only given when
 * the disk has it: a server that was told not to wait for that waits for us. Who writes reads by
 * index (decision 0023): a plan that was made while a table was empty stays when it is full, and a
 * serializable transaction that has read a whole table is in conflict with all who write to it.
 */
static const char session_sql[] =
    "SELECT set_config('statement_timeout', $1, false),"
    " set_config('lock_timeout', $2, false),"
    " set_config('idle_in_transaction_session_timeout', $3, false),"
    " set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    "  WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false),"
    " set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, YMD', false),"
    " set_config('bytea_output', 'hex', false),"
    " set_config('standard_conforming_strings', 'on', false),"
    " set_config('enable_seqscan', $4, false), set_config('jit', 'off', false),"
    " set_config('search_path', coalesce($5, current_setting('search_path')), false),"
    " current_setting('server_encoding') = 'UTF8',"
    " to_regclass('schema_migrations') IS NULL";

enum { ANSWER_UTF8 = 11, ANSWER_NEW };

static bool answered_true(const PGresult *result, int column)
{
    return strcmp(PQgetvalue(result, 0, column), "t") == 0;
}

static enum err judge_database(struct store_conn *conn, const PGresult *result, bool read_only,
                               struct why *why)
{
    if (!answered_true(result, ANSWER_UTF8)) {
        return why_set(why, ERR_CONFIG, "store.url", "The database %s must have the encoding UTF8.",
                       conn->shown);
    }
    conn->is_new = answered_true(result, ANSWER_NEW);
    if (conn->is_new && read_only) {
        return why_set(why, ERR_NOT_FOUND, "store.url", "There is no database of ours in %s.",
                       conn->shown);
    }
    return OK;
}

static enum err set_session(struct store_conn *conn, const struct store_config *config,
                            struct why *why)
{
    char statement_msec[24];
    char lock_msec[24];
    char idle_msec[24];
    snprintf(statement_msec, sizeof(statement_msec), "%lld",
             (long long)(config->statement_usec / USEC_PER_MSEC));
    snprintf(lock_msec, sizeof(lock_msec), "%lld", (long long)(config->busy_usec / USEC_PER_MSEC));
    /* Whoever stands still in the middle of a write must not hold others up: store_lease.h. */
    int64_t idle_usec = conn->for_writing ? config->lease_usec / 2 : config->statement_usec;
    snprintf(idle_msec, sizeof(idle_msec), "%lld", (long long)(idle_usec / USEC_PER_MSEC));
    const char *const values[] = {statement_msec, lock_msec, idle_msec,
                                  conn->for_writing ? "off" : "on", config->schema};
    PGresult *result = PQexecParams(conn->pq, session_sql, 5, NULL, values, NULL, NULL, 0);
    enum err e = PQresultStatus(result) == PGRES_TUPLES_OK
                     ? judge_database(conn, result, config->read_only, why)
                     : pg_fail(conn, result, "session", why);
    PQclear(result);
    return e;
}

/*
 * Notices ("already exists, skipping") are for people at a terminal. What the server said before it
 * closed arrives here too, because nothing was asked then.
 */
static void take_notice(void *ctx, const PGresult *result)
{
    struct store_conn *conn = ctx;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    conn->rested = conn->rested || (sqlstate != NULL && strcmp(sqlstate, IDLE_STATE) == 0);
}

static void pg_close(struct store_conn *conn)
{
    pg_handles_free(conn);
    PQfinish(conn->pq);
    mem_free(conn->shown);
    mem_free(conn);
}

static enum err pg_open(struct store_conn **out, const struct store_config *config,
                        const struct store_catalog *catalog, bool for_writing, struct why *why)
{
    enum err e = check_url(config->url, why);
    if (e != OK) {
        return e;
    }
    struct store_conn *conn = mem_alloc(sizeof(*conn));
    conn->for_writing = for_writing;
    conn->prepared_len = 2 * (size_t)catalog->statement_count;
    conn->prepared = mem_alloc((conn->prepared_len + 1) * sizeof(conn->prepared[0]));
    e = connect_server(conn, config, why);
    if (e == OK) {
        PQsetNoticeReceiver(conn->pq, take_notice, conn);
        e = set_session(conn, config, why);
    }
    if (e != OK) {
        pg_close(conn);
        return e;
    }
    *out = conn;
    return OK;
}

/* ---- a connection at rest ---- */

static bool readable_now(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, 0) > 0;
}

/*
 * A server that ended says so and closes: both wait in the socket. Other things may wait there too
 * (a changed setting), but not many.
 */
static bool pg_alive(struct store_conn *conn)
{
    for (int i = 0; i < 8 && PQstatus(conn->pq) == CONNECTION_OK; i++) {
        if (!readable_now(PQsocket(conn->pq))) {
            break;
        }
        if (PQconsumeInput(conn->pq) == 0) {
            return false;
        }
        (void)PQisBusy(conn->pq); /* reads the messages */
    }
    return !conn->worn && PQstatus(conn->pq) == CONNECTION_OK &&
           PQtransactionStatus(conn->pq) == PQTRANS_IDLE;
}

bool pg_still_there(struct store_conn *conn)
{
    if (readable_now(PQsocket(conn->pq))) {
        if (PQconsumeInput(conn->pq) == 0) {
            return false;
        }
        (void)PQisBusy(conn->pq); /* reads the messages */
    }
    return !conn->rested && PQstatus(conn->pq) == CONNECTION_OK;
}

static enum store_rerun pg_rerun(const struct store_conn *conn)
{
    return conn->rerun;
}

static bool pg_is_new(const struct store_conn *conn)
{
    return conn->is_new;
}

/* ---- migrations ---- */

static enum err pg_lock_schema(struct store_conn *conn, struct why *why)
{
    /* The other one may take as long as it likes; should it die, the server ends its lock. */
    enum err e = pg_command(conn, "SET statement_timeout = 0; SET lock_timeout = 0", "lock", why);
    return e != OK ? e : pg_command(conn, "SELECT pg_advisory_lock(" SCHEMA_LOCK ")", "lock", why);
}

static const char *pg_up(const struct store_migration *m)
{
    return m->up_postgres;
}

static const char *pg_down(const struct store_migration *m)
{
    return m->down_postgres;
}

/* ---- signals ---- */

static enum err pg_listen(struct store_conn *conn, struct why *why)
{
    /* What it tells is worth no wait for the disk. */
    return pg_command(conn, "SET synchronous_commit = off; LISTEN freehold", "listen", why);
}

static enum err pg_tell(struct store_conn *conn, const char *names, struct why *why)
{
    PGresult *result =
        PQexecParams(conn->pq, "SELECT pg_notify('freehold', $1)", 1, NULL, &names, NULL, NULL, 0);
    enum err e =
        PQresultStatus(result) == PGRES_TUPLES_OK ? OK : pg_fail(conn, result, "notify", why);
    PQclear(result);
    return e;
}

/* Passes on what others said; what this connection said was told at home already. */
static void hear_arrived(struct store_conn *conn, store_heard_fn heard, void *ctx)
{
    for (PGnotify *n = PQnotifies(conn->pq); n != NULL; n = PQnotifies(conn->pq)) {
        if (n->be_pid != PQbackendPID(conn->pq)) {
            heard(ctx, slice_text(n->extra));
        }
        PQfreemem(n);
    }
}

static enum err pg_hear(struct store_conn *conn, int wake_fd, int timeout_msec,
                        store_heard_fn heard, void *ctx, struct why *why)
{
    for (;;) {
        /* Commands read notifications on the way, so that these may be there already. */
        hear_arrived(conn, heard, ctx);
        if (PQstatus(conn->pq) != CONNECTION_OK) {
            return fail_lost(conn, "listen", why);
        }
        struct pollfd both[2] = {{.fd = PQsocket(conn->pq), .events = POLLIN},
                                 {.fd = wake_fd, .events = POLLIN}};
        int ready = poll(both, 2, timeout_msec);
        if (ready < 0 && errno != EINTR) {
            return fail_lost(conn, "listen", why);
        }
        if (ready == 0) {
            return OK;
        }
        if (both[0].revents != 0 && PQconsumeInput(conn->pq) == 0) {
            return fail_lost(conn, "listen", why);
        }
        if (both[1].revents != 0) {
            hear_arrived(conn, heard, ctx);
            return OK;
        }
    }
}

const struct store_driver store_driver_postgres = {
    .name = "postgres",
    .open = pg_open,
    .close = pg_close,
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .in_tx = pg_in_tx,
    .savepoint = pg_savepoint,
    .release = pg_release,
    .rollback_to = pg_rollback_to,
    .query_begin = pg_query_begin,
    .query_bind = pg_query_bind,
    .query_row = pg_query_row,
    .query_step = pg_query_step,
    .query_get = pg_query_get,
    .query_changed = pg_query_changed,
    .query_end = pg_query_end,
    .run_script = pg_run_script,
    .up = pg_up,
    .down = pg_down,
    .read_committed = pg_read_committed,
    .alive = pg_alive,
    .rerun = pg_rerun,
    .is_new = pg_is_new,
    .lock_schema = pg_lock_schema,
    .migration_prelude = "SET LOCAL statement_timeout = 0",
    .listen = pg_listen,
    .tell = pg_tell,
    .hear = pg_hear,
};
