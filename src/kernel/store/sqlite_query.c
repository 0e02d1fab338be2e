#include <errno.h>

#include "kernel/base/check.h"
#include "kernel/store/sqlite_private.h"

/* ---- errors ---- */

static enum err fail_constraint(struct store_conn *conn, const char *doing, struct why *why)
{
    /* "UNIQUE constraint failed: jobs.queue, jobs.key" */
    const char *message = sqlite3_errmsg(conn->db);
    const char *what = strstr(message, ": ");
    return why_set(why, ERR_DB_CONSTRAINT, what != NULL ? what + 2 : NULL, "%s (%s).", message,
                   doing);
}

/*
 * Why the system refused. sqlite3_system_errno does not know when a statement failed while it ran,
 * but the files do: the write-ahead log first, because that is what a commit writes.
 */
static int system_reason(struct store_conn *conn)
{
    sqlite3_file *wal = NULL;
    int reason = 0;
    if (sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) == SQLITE_OK &&
        wal != NULL && wal->pMethods != NULL) {
        wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &reason);
    }
    if (reason == 0) {
        sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_LAST_ERRNO, &reason);
    }
    return reason != 0 ? reason : sqlite3_system_errno(conn->db);
}

static enum err fail_io(struct store_conn *conn, const char *doing, struct why *why)
{
    int reason = system_reason(conn);
    if (reason == ENOSPC || reason == EDQUOT || reason == EFBIG) {
        return why_set(why, ERR_DISK_FULL, NULL, "The disk of the database is full (%s: %s).",
                       doing, strerror(reason));
    }
    /* It works again as soon as somebody lets it: what was asked for may be asked for again. */
    if (reason == EROFS || reason == EPERM || reason == EACCES) {
        return why_set(why, ERR_DB_UNAVAILABLE, NULL, "The database %s cannot be written (%s: %s).",
                       conn->path, doing, strerror(reason));
    }
    return why_set(why, ERR_IO, NULL, "The database file %s cannot be used (%s: %s, %s).",
                   conn->path, doing, sqlite3_errmsg(conn->db),
                   reason != 0 ? strerror(reason) : "no reason given");
}

enum err sqlite_fail(struct store_conn *conn, int code, const char *doing, struct why *why)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return why_set(why, ERR_DB_BUSY, NULL, "Another program holds a lock on %s (%s).",
                       conn->path, doing);
    case SQLITE_FULL:
        return why_set(why, ERR_DISK_FULL, NULL, "The disk of the database is full (%s).", doing);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return fail_io(conn, doing, why);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return why_set(why, ERR_CORRUPT, "store.url",
                       "The database %s is damaged (%s): stop the program and restore a backup.",
                       conn->path, sqlite3_errmsg(conn->db));
    case SQLITE_CONSTRAINT:
        return fail_constraint(conn, doing, why);
    case SQLITE_READONLY:
        return why_set(why, ERR_DB_UNAVAILABLE, NULL, "The database %s cannot be written (%s): %s.",
                       conn->path, doing, sqlite3_errmsg(conn->db));
    default: /* not an enum */
        /* SQLite's other codes are all bugs in SQL or in us. */
        return why_set(why, ERR_DB, NULL, "%s: %s.", doing, sqlite3_errmsg(conn->db));
    }
}

/* ---- transactions ---- */

static const char *const control_sql[CONTROL_COUNT] = {
    [CONTROL_BEGIN_READ] = "BEGIN",
    [CONTROL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [CONTROL_COMMIT] = "COMMIT",
    [CONTROL_ROLLBACK] = "ROLLBACK",
    [CONTROL_SAVEPOINT] = "SAVEPOINT f",
    [CONTROL_RELEASE] = "RELEASE f",
    [CONTROL_ROLLBACK_TO] = "ROLLBACK TO f",
};

static enum err control(struct store_conn *conn, enum sqlite_control which, struct why *why)
{
    int code = SQLITE_OK;
    if (conn->control[which] == NULL) {
        code = sqlite3_prepare_v3(conn->db, control_sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                  &conn->control[which], NULL);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_step(conn->control[which]);
    }
    enum err e = code == SQLITE_DONE ? OK : sqlite_fail(conn, code, control_sql[which], why);
    sqlite3_reset(conn->control[which]);
    return e;
}

/*
 * Ends what a function left unfinished, so that it cannot hold its savepoint open; statements that
 * began outside of the savepoint go on.
 */
static void end_unfinished(struct store_conn *conn, unsigned depth)
{
    while (conn->in_use != NULL && conn->in_use->depth >= depth) {
        sqlite_query_end(conn->in_use);
    }
}

enum err sqlite_begin(struct store_conn *conn, bool for_writing, struct why *why)
{
    conn->depth = 0;
    return control(conn, for_writing ? CONTROL_BEGIN_WRITE : CONTROL_BEGIN_READ, why);
}

enum err sqlite_commit(struct store_conn *conn, struct why *why)
{
    return control(conn, CONTROL_COMMIT, why);
}

void sqlite_rollback(struct store_conn *conn)
{
    end_unfinished(conn, 0);
    struct why why;
    enum err e = control(conn, CONTROL_ROLLBACK, &why);
    ASSERT(e == OK || sqlite3_get_autocommit(conn->db));
}

bool sqlite_in_tx(struct store_conn *conn)
{
    return sqlite3_get_autocommit(conn->db) == 0;
}

enum err sqlite_savepoint(struct store_conn *conn, struct why *why)
{
    enum err e = control(conn, CONTROL_SAVEPOINT, why);
    conn->depth += e == OK;
    return e;
}

enum err sqlite_release(struct store_conn *conn, struct why *why)
{
    end_unfinished(conn, conn->depth);
    enum err e = control(conn, CONTROL_RELEASE, why);
    conn->depth -= e == OK;
    return e;
}

void sqlite_rollback_to(struct store_conn *conn)
{
    end_unfinished(conn, conn->depth);
    struct why why;
    enum err e = control(conn, CONTROL_ROLLBACK_TO, &why);
    if (e == OK) {
        e = control(conn, CONTROL_RELEASE, &why);
        conn->depth -= e == OK;
    }
    if (e != OK && sqlite_in_tx(conn)) {
        sqlite_rollback(conn); /* a savepoint that cannot be taken back takes all with it */
    }
}

/* ---- statements ---- */

static enum err prepare(struct store_conn *conn, const struct store_statement *s,
                        struct sqlite_handle **out, struct why *why)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v3(conn->db, s->sqlite, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
    if (code != SQLITE_OK) {
        return sqlite_fail(conn, code, s->name, why);
    }
    ASSERT(sqlite3_bind_parameter_count(stmt) == s->param_count);
    ASSERT(sqlite3_column_count(stmt) == s->column_count);
    struct sqlite_handle *h = mem_alloc(sizeof(*h));
    h->conn = conn;
    h->statement = s;
    h->stmt = stmt;
    *out = h;
    return OK;
}

static void handle_free(struct sqlite_handle *h)
{
    sqlite3_finalize(h->stmt);
    mem_free(h);
}

/* The place of a statement in the cache, which grows for catalogs beside the program's. */
static struct sqlite_handle **cache_slot(struct store_conn *conn, uint16_t id)
{
    if (id >= conn->cache_len) {
        size_t len = (size_t)id + 1;
        conn->cache = mem_resize(conn->cache, len * sizeof(conn->cache[0]));
        memset(conn->cache + conn->cache_len, 0, (len - conn->cache_len) * sizeof(conn->cache[0]));
        conn->cache_len = len;
    }
    return &conn->cache[id];
}

enum err sqlite_query_begin(struct store_conn *conn, const struct store_statement *s, bool many,
                            void **out_handle, struct why *why)
{
    struct sqlite_handle **slot = cache_slot(conn, s->id);
    struct sqlite_handle *h = *slot;
    if (h != NULL && h->statement != s && !h->in_use) {
        handle_free(h);
        h = *slot = NULL;
    }
    if (h == NULL || h->in_use) {
        bool extra = h != NULL;
        enum err e = prepare(conn, s, &h, why);
        if (e != OK) {
            return e;
        }
        ASSERT(h != NULL);
        h->extra = extra;
        if (!extra) {
            *slot = h;
        }
    }
    h->in_use = true;
    h->depth = conn->depth;
    h->changed = 0;
    h->many = many;
    h->rows = 0;
    h->answers = NULL;
    h->answers_tail = &h->answers;
    h->answer = NULL;
    arena_init(&h->arena, 0); /* takes nothing before it is used */
    h->total_before = sqlite3_total_changes64(conn->db);
    h->next_in_use = conn->in_use;
    conn->in_use = h;
    *out_handle = h;
    return OK;
}

static int bind_blob(sqlite3_stmt *stmt, int at, struct slice bytes)
{
    /* A NULL pointer would bind NULL, and empty is not NULL. */
    const void *ptr = bytes.ptr != NULL ? (const void *)bytes.ptr : "";
    return sqlite3_bind_blob64(stmt, at, ptr, bytes.len, SQLITE_TRANSIENT);
}

static int bind_text(sqlite3_stmt *stmt, int at, struct slice text)
{
    const char *ptr = text.ptr != NULL ? (const char *)text.ptr : "";
    return sqlite3_bind_text64(stmt, at, ptr, text.len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static int bind_value(sqlite3_stmt *stmt, int at, const struct store_value *value)
{
    if (value->is_null) {
        return sqlite3_bind_null(stmt, at);
    }
    switch (value->type) {
    case STORE_I64:
    case STORE_BOOL:
    case STORE_TIME:
        return sqlite3_bind_int64(stmt, at, value->i64);
    case STORE_TEXT:
    case STORE_JSON:
        return bind_text(stmt, at, value->bytes);
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        return bind_blob(stmt, at, value->bytes);
    case STORE_U256: {
        char digits[U256_TEXT_MAX];
        u256_format_padded(value->u256, digits);
        return bind_text(stmt, at, slice_of(digits, U256_DECIMAL_MAX));
    }
    }
    check_failed("a store type", __FILE__, __LINE__);
}

enum err sqlite_query_bind(void *handle, uint16_t index, const struct store_value *value,
                           struct why *why)
{
    struct sqlite_handle *h = handle;
    int code = bind_value(h->stmt, index + 1, value);
    return code == SQLITE_OK ? OK : sqlite_fail(h->conn, code, h->statement->name, why);
}

static struct slice column_bytes(sqlite3_stmt *stmt, int at, bool text)
{
    const void *ptr =
        text ? (const void *)sqlite3_column_text(stmt, at) : sqlite3_column_blob(stmt, at);
    return slice_of(ptr, ptr != NULL ? (size_t)sqlite3_column_bytes(stmt, at) : 0);
}

static int storage_class(enum store_type type)
{
    switch (type) {
    case STORE_I64:
    case STORE_BOOL:
    case STORE_TIME:
        return SQLITE_INTEGER;
    case STORE_TEXT:
    case STORE_JSON:
    case STORE_U256:
        return SQLITE_TEXT;
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        return SQLITE_BLOB;
    }
    check_failed("a store type", __FILE__, __LINE__);
}

static enum err wrong_value(const struct sqlite_handle *h, uint16_t index, struct why *why)
{
    const char *name = h->statement->columns[index].name;
    return why_set(why, ERR_CORRUPT, name,
                   "Column %s of statement %s holds a value of another "
                   "type than declared.",
                   name, h->statement->name);
}

static enum err column_value(struct sqlite_handle *h, uint16_t index, enum store_type type,
                             struct store_value *out, struct why *why)
{
    struct store_value value = {.type = type};
    int found = sqlite3_column_type(h->stmt, index);
    int wanted = storage_class(type);
    value.is_null = found == SQLITE_NULL;
    if (!value.is_null && found != wanted) {
        return wrong_value(h, index, why);
    }
    if (found == SQLITE_INTEGER) {
        value.i64 = sqlite3_column_int64(h->stmt, index);
    } else if (!value.is_null) {
        value.bytes = column_bytes(h->stmt, index, wanted == SQLITE_TEXT);
    }
    if (!value.is_null && type == STORE_U256 && u256_parse(value.bytes, &value.u256) != OK) {
        return wrong_value(h, index, why);
    }
    *out = value;
    return OK;
}

/* ---- many rows ---- */

/* Keeps the row that the statement stands on, until it is read. */
static enum err keep_answer(struct sqlite_handle *h, struct why *why)
{
    const struct store_statement *s = h->statement;
    struct sqlite_answer *answer =
        arena_alloc(&h->arena, sizeof(*answer) + s->column_count * sizeof(answer->values[0]));
    enum err e = OK;
    for (uint16_t i = 0; e == OK && i < s->column_count; i++) {
        struct store_value *value = &answer->values[i];
        e = column_value(h, i, s->columns[i].type, value, why);
        value->bytes = value->bytes.len > 0 ? slice_copy(&h->arena, value->bytes) : SLICE_EMPTY;
    }
    if (e == OK) {
        *h->answers_tail = answer;
        h->answers_tail = &answer->next;
    }
    return e;
}

enum err sqlite_query_row(void *handle, struct why *why)
{
    struct sqlite_handle *h = handle;
    int64_t before = sqlite3_total_changes64(h->conn->db);
    enum err e = OK;
    int code = sqlite3_step(h->stmt);
    while (e == OK && code == SQLITE_ROW) {
        e = keep_answer(h, why);
        code = e == OK ? sqlite3_step(h->stmt) : code;
    }
    if (e == OK && code != SQLITE_DONE) {
        e = sqlite_fail(h->conn, code, h->statement->name, why);
        if (why != NULL) {
            why_set(why, e, why->field, "Row %llu: %s", (unsigned long long)h->rows + 1, why->text);
        }
    }
    if (e == OK && sqlite3_total_changes64(h->conn->db) != before) {
        h->changed += sqlite3_changes64(h->conn->db);
    }
    h->rows++;
    sqlite3_reset(h->stmt);
    return e;
}

static void next_answer(struct sqlite_handle *h, bool *out_row)
{
    h->answer = h->answer == NULL ? h->answers : h->answer->next;
    *out_row = h->answer != NULL;
}

/* ---- answers ---- */

enum err sqlite_query_step(void *handle, bool *out_row, struct why *why)
{
    struct sqlite_handle *h = handle;
    if (h->many) {
        next_answer(h, out_row);
        return OK;
    }
    int code = sqlite3_step(h->stmt);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        return sqlite_fail(h->conn, code, h->statement->name, why);
    }
    bool changed = sqlite3_total_changes64(h->conn->db) != h->total_before;
    if (code == SQLITE_DONE && changed && !sqlite3_stmt_readonly(h->stmt)) {
        h->changed = sqlite3_changes64(h->conn->db);
    }
    *out_row = code == SQLITE_ROW;
    return OK;
}

enum err sqlite_query_get(void *handle, uint16_t index, enum store_type type,
                          struct store_value *out, struct why *why)
{
    struct sqlite_handle *h = handle;
    if (h->many) {
        *out = h->answer->values[index];
        return OK;
    }
    return column_value(h, index, type, out, why);
}

int64_t sqlite_query_changed(void *handle)
{
    return ((const struct sqlite_handle *)handle)->changed;
}

void sqlite_query_end(void *handle)
{
    struct sqlite_handle *h = handle;
    struct sqlite_handle **link = &h->conn->in_use;
    while (*link != h) {
        ASSERT(*link != NULL);
        link = &(*link)->next_in_use;
    }
    *link = h->next_in_use;
    h->in_use = false;
    arena_free(&h->arena);
    sqlite3_reset(h->stmt);
    sqlite3_clear_bindings(h->stmt);
    if (h->extra) {
        handle_free(h);
    }
}

enum err sqlite_run_script(struct store_conn *conn, const char *sql, int64_t *out_changed,
                           struct why *why)
{
    int64_t before = sqlite3_total_changes64(conn->db);
    int code = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        return sqlite_fail(conn, code, "script", why);
    }
    if (out_changed != NULL) {
        bool changed = sqlite3_total_changes64(conn->db) != before;
        *out_changed = changed ? sqlite3_changes64(conn->db) : 0;
    }
    return OK;
}

void sqlite_cache_free(struct store_conn *conn)
{
    for (size_t i = 0; i < CONTROL_COUNT; i++) {
        sqlite3_finalize(conn->control[i]);
    }
    for (size_t i = 0; i < conn->cache_len; i++) {
        if (conn->cache[i] != NULL) {
            handle_free(conn->cache[i]);
        }
    }
    mem_free(conn->cache);
}
