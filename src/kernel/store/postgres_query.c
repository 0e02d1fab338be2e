#include "kernel/base/check.h"
#include "kernel/store/postgres_private.h"

#define BINARY 1

/* ---- transactions ---- */

/* Gives back what functions left unfinished. */
static void end_unfinished(struct store_conn *conn)
{
    while (conn->in_use != NULL) {
        pg_query_end(conn->in_use);
    }
}

enum err pg_begin(struct store_conn *conn, bool for_writing, struct why *why)
{
    conn->rerun = STORE_RERUN_NO;
    conn->committing = false;
    return pg_command(conn,
                      for_writing ? "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE"
                                  : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                      "begin", why);
}

enum err pg_read_committed(struct store_conn *conn, struct why *why)
{
    return pg_command(conn, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "begin", why);
}

enum err pg_commit(struct store_conn *conn, struct why *why)
{
    end_unfinished(conn);
    if (!pg_still_there(conn)) {
        return pg_fail(conn, NULL, "commit", why);
    }
    conn->committing = true;
    PGresult *result = PQexec(conn->pq, "COMMIT");
    enum err e = OK;
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        e = pg_fail(conn, result, "commit", why);
    } else if (strcmp(PQcmdStatus(result), "COMMIT") != 0) {
        /* A transaction that has failed answers a commit with a rollback, politely. */
        e = why_set(why, ERR_DB, NULL, "The database rolled back instead of committing.");
    }
    PQclear(result);
    conn->committing = false;
    return e;
}

void pg_rollback(struct store_conn *conn)
{
    end_unfinished(conn);
    if (pg_in_tx(conn)) {
        struct why why;
        enum store_rerun rerun = conn->rerun;
        /* A connection that cannot even roll back is lost, and the server does it. */
        (void)(pg_command(conn, "ROLLBACK", "rollback", &why) == OK);
        conn->rerun = rerun;
    }
}

bool pg_in_tx(struct store_conn *conn)
{
    switch (PQtransactionStatus(conn->pq)) {
    case PQTRANS_ACTIVE:
    case PQTRANS_INTRANS:
    case PQTRANS_INERROR:
        return true;
    case PQTRANS_IDLE:
    case PQTRANS_UNKNOWN:
        return false;
    }
    return false;
}

enum err pg_savepoint(struct store_conn *conn, struct why *why)
{
    return pg_command(conn, "SAVEPOINT f", "savepoint", why);
}

enum err pg_release(struct store_conn *conn, struct why *why)
{
    return pg_command(conn, "RELEASE SAVEPOINT f", "savepoint", why);
}

void pg_rollback_to(struct store_conn *conn)
{
    struct why why;
    enum err e =
        pg_command(conn, "ROLLBACK TO SAVEPOINT f; RELEASE SAVEPOINT f", "savepoint", &why);
    if (e != OK) {
        pg_rollback(conn); /* a savepoint that cannot be taken back takes all with it */
    }
}

/* ---- statements that the server has prepared ---- */

void pg_name(const struct store_statement *s, bool many, char out[PG_NAME_SIZE])
{
    int len = snprintf(out, PG_NAME_SIZE, "%s%s", s->name, many ? "/rows" : "");
    ASSERT(len > 0 && len < PG_NAME_SIZE);
}

/* The place of a statement in the cache, which grows for catalogs beside the program's. */
static const struct store_statement **prepared_slot(struct store_conn *conn, size_t id)
{
    if (id >= conn->prepared_len) {
        size_t len = id + 1;
        conn->prepared = mem_resize(conn->prepared, len * sizeof(conn->prepared[0]));
        memset(conn->prepared + conn->prepared_len, 0,
               (len - conn->prepared_len) * sizeof(conn->prepared[0]));
        conn->prepared_len = len;
    }
    return &conn->prepared[id];
}

/* Another catalog's statement had the number: only tests do that, so that it may cost a command. */
static enum err forget_prepared(struct store_conn *conn, const struct store_statement *s, bool many,
                                struct why *why)
{
    char name[PG_NAME_SIZE];
    char sql[128];
    pg_name(s, many, name);
    int len = snprintf(sql, sizeof(sql), "DEALLOCATE \"%s\"", name);
    ASSERT(len > 0 && (size_t)len < sizeof(sql));
    return pg_command(conn, sql, s->name, why);
}

static enum err prepare(struct store_conn *conn, const struct store_statement *s, bool many,
                        bool *out_was, struct why *why)
{
    const struct store_statement **slot = prepared_slot(conn, 2 * (size_t)s->id + many);
    *out_was = *slot == s;
    if (*out_was) {
        return OK;
    }
    enum err e = *slot != NULL ? forget_prepared(conn, *slot, many, why) : OK;
    if (e != OK) {
        return e;
    }
    *slot = NULL;
    char name[PG_NAME_SIZE];
    pg_name(s, many, name);
    PGresult *result = PQprepare(conn->pq, name, many ? s->postgres_rows : s->postgres, 0, NULL);
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        *slot = s;
    } else {
        e = pg_fail(conn, result, s->name, why);
    }
    PQclear(result);
    return e;
}

/* ---- handles ---- */

static struct pg_handle *take_handle(struct store_conn *conn)
{
    struct pg_handle *h = conn->free;
    if (h != NULL) {
        conn->free = h->next;
    } else {
        h = mem_alloc(sizeof(*h));
        arena_init(&h->arena, 1024);
        h->conn = conn;
        for (size_t i = 0; i < STORE_FIELDS_MAX; i++) {
            h->formats[i] = BINARY;
        }
    }
    h->next = conn->in_use;
    conn->in_use = h;
    return h;
}

enum err pg_query_begin(struct store_conn *conn, const struct store_statement *s, bool many,
                        void **out_handle, struct why *why)
{
    bool was_prepared = false;
    bool loads = many && s->rows == STORE_ROWS_LOAD;
    enum err e =
        loads ? OK : prepare(conn, s, many && s->rows == STORE_ROWS_SET, &was_prepared, why);
    if (e != OK) {
        return e;
    }
    struct pg_handle *h = take_handle(conn);
    h->statement = s;
    h->was_prepared = was_prepared;
    h->rows = many ? pg_rows_new(s) : NULL;
    h->result = NULL;
    h->row = -1;
    memset(h->values, 0, s->param_count * sizeof(h->values[0])); /* NULL until bound */
    *out_handle = h;
    return OK;
}

void pg_query_end(void *handle)
{
    struct pg_handle *h = handle;
    struct store_conn *conn = h->conn;
    struct pg_handle **link = &conn->in_use;
    while (*link != h) {
        ASSERT(*link != NULL);
        link = &(*link)->next;
    }
    *link = h->next;
    if (h->rows == NULL) {
        PQclear(h->result);
    }
    pg_rows_free(h->rows);
    h->rows = NULL;
    h->result = NULL;
    arena_clear(&h->arena);
    h->next = conn->free;
    conn->free = h;
}

void pg_handles_free(struct store_conn *conn)
{
    end_unfinished(conn);
    while (conn->free != NULL) {
        struct pg_handle *h = conn->free;
        conn->free = h->next;
        arena_free(&h->arena);
        mem_free(h);
    }
    mem_free(conn->prepared);
}

/* ---- parameters ---- */

enum err pg_query_bind(void *handle, uint16_t index, const struct store_value *value,
                       struct why *why)
{
    struct pg_handle *h = handle;
    const struct store_column *param = &h->statement->params[index];
    struct slice bytes = SLICE_EMPTY;
    enum err e = value->is_null ? OK : pg_encode(value, &h->arena, &bytes);
    if (e != OK) {
        return why_set(why, e, param->name, "The database cannot keep this %s.", param->name);
    }
    h->values[index] = (const char *)bytes.ptr;
    h->lengths[index] = (int)bytes.len;
    return OK;
}

/* ---- running ---- */

/*
 * A plan that was made before another process changed a table, or that the server was told to
 * forget, fails its transaction: the function runs again on a new connection.
 */
static void judge_stale(struct pg_handle *h, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool stale = state != NULL && (strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0);
    if (stale && h->was_prepared) {
        h->conn->worn = true;
        h->conn->rerun = STORE_RERUN_LOST;
    }
}

enum err pg_judge(struct pg_handle *h, const PGresult *result, struct why *why)
{
    const struct store_statement *s = h->statement;
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        enum err e = pg_fail(h->conn, result, s->name, why);
        judge_stale(h, result);
        return e;
    }
    ASSERT(s->column_count == 0 || PQnfields(result) == s->column_count);
    return OK;
}

static enum err execute(struct pg_handle *h, struct why *why)
{
    const struct store_statement *s = h->statement;
    h->result = PQexecPrepared(h->conn->pq, s->name, s->param_count, h->values, h->lengths,
                               h->formats, BINARY);
    return pg_judge(h, h->result, why);
}

enum err pg_query_step(void *handle, bool *out_row, struct why *why)
{
    struct pg_handle *h = handle;
    if (h->rows != NULL) {
        return pg_rows_step(h, out_row, why);
    }
    if (h->row < 0) {
        enum err e = execute(h, why);
        if (e != OK) {
            return e;
        }
    }
    h->row++;
    *out_row = h->row < PQntuples(h->result);
    return OK;
}

enum err pg_query_get(void *handle, uint16_t index, enum store_type type, struct store_value *out,
                      struct why *why)
{
    const struct pg_handle *h = handle;
    if (PQgetisnull(h->result, h->row, index)) {
        *out = (struct store_value){.type = type, .is_null = true};
        return OK;
    }
    struct slice bytes = slice_of(PQgetvalue(h->result, h->row, index),
                                  (size_t)PQgetlength(h->result, h->row, index));
    enum err e = pg_decode(PQftype(h->result, index), bytes, type, out);
    if (e != OK) {
        const char *name = h->statement->columns[index].name;
        why_set(why, e, name,
                "Column %s of statement %s holds a value of another type than declared.", name,
                h->statement->name);
    }
    return e;
}

/* The number at the end of "INSERT 0 3" or "UPDATE 3"; a "SELECT 3" changes nothing. */
int64_t pg_changed(PGresult *result)
{
    struct slice tag = slice_text(PQcmdStatus(result));
    if (slice_starts(tag, SLICE_LIT("SELECT"))) {
        return 0;
    }
    return strtoll(PQcmdTuples(result), NULL, 10);
}

int64_t pg_query_changed(void *handle)
{
    const struct pg_handle *h = handle;
    if (h->rows != NULL) {
        return pg_rows_changed(h->rows);
    }
    return h->result == NULL ? 0 : pg_changed(h->result);
}

enum err pg_run_script(struct store_conn *conn, const char *sql, int64_t *out_changed,
                       struct why *why)
{
    PGresult *result = PQexec(conn->pq, sql);
    ExecStatusType status = PQresultStatus(result);
    bool done =
        status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
    enum err e = done ? OK : pg_fail(conn, result, "script", why);
    if (e == OK && out_changed != NULL) {
        *out_changed = pg_changed(result);
    }
    PQclear(result);
    return e;
}
