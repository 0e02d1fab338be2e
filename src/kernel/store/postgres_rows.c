/*
 * A statement for many rows.
 *
 * Rows gather in memory in the form in which they travel, and leave a chunk at a time: between
 * chunks the connection is as free as ever, so that other statements run, and a connection that
 * breaks is noticed as it is for one row. A COPY and a set take one answer a chunk; pipelined rows
 * are sent without waiting and answered one by one.
 */
#include "kernel/base/check.h"
#include "kernel/store/postgres_private.h"

#define BINARY 1
#define CHUNK_BYTES (1u << 20)
#define NULL_LENGTH (-1)

/* PGCOPY\n\377\r\n\0, flags, length of what else the head may hold. */
static const uint8_t copy_head[19] = "PGCOPY\n\377\r\n";

/* An array: dimensions, whether there are NULLs, type; then count and lower bound. */
#define ARRAY_HEAD (5 * 4)

struct column {
    struct buf values; /* an array, its head unfilled until it leaves */
    bool has_null;
};

struct pg_rows {
    const struct store_statement *statement;
    struct arena arena;
    struct buf bytes;       /* LOAD, EACH: whole rows */
    struct column *columns; /* SET: by parameter */
    size_t bytes_count;     /* gathered */
    size_t count;           /* rows gathered */
    uint64_t sent;          /* rows before them */
    int64_t changed;
    PGresult **results; /* with answers, in order */
    size_t result_count;
    size_t result_size;
    size_t result_at; /* the one that is read, from 1; 0 before the first */
};

static void put_u16(struct buf *out, uint16_t value)
{
    uint8_t *at = buf_room(out, 2);
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    out->len += 2;
}

static void write_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Appends a value behind its length; NULL has none. */
static void put_value(struct buf *out, const char *value, int length)
{
    size_t len = value != NULL ? (size_t)length : 0;
    uint8_t *at = buf_room(out, 4 + len);
    write_u32(at, value != NULL ? (uint32_t)length : (uint32_t)NULL_LENGTH);
    if (len > 0) {
        memcpy(at + 4, value, len);
    }
    out->len += 4 + len;
}

/* ---- gathering ---- */

static void empty(struct pg_rows *rows)
{
    rows->bytes.len = 0;
    rows->bytes_count = 0;
    rows->count = 0;
    switch (rows->statement->rows) {
    case STORE_ROWS_EACH:
        return;
    case STORE_ROWS_LOAD:
        buf_add(&rows->bytes, copy_head, sizeof(copy_head));
        return;
    case STORE_ROWS_SET:
        for (uint16_t i = 0; i < rows->statement->param_count; i++) {
            (void)buf_room(&rows->columns[i].values, ARRAY_HEAD);
            rows->columns[i].values.len = ARRAY_HEAD;
            rows->columns[i].has_null = false;
        }
        return;
    }
}

/* Begins with fresh memory: buffers that grew in an arena leave their smaller selves behind. */
static void prepare(struct pg_rows *rows)
{
    const struct store_statement *s = rows->statement;
    arena_init(&rows->arena, 0);
    buf_init(&rows->bytes, &rows->arena, s->rows == STORE_ROWS_SET ? 0 : 1024);
    if (s->rows == STORE_ROWS_SET) {
        rows->columns = arena_alloc_array(&rows->arena, s->param_count, sizeof(rows->columns[0]));
    }
    for (uint16_t i = 0; s->rows == STORE_ROWS_SET && i < s->param_count; i++) {
        buf_init(&rows->columns[i].values, &rows->arena, 256);
    }
    empty(rows);
}

struct pg_rows *pg_rows_new(const struct store_statement *s)
{
    struct pg_rows *rows = mem_alloc(sizeof(*rows));
    rows->statement = s;
    prepare(rows);
    return rows;
}

void pg_rows_free(struct pg_rows *rows)
{
    if (rows == NULL) {
        return;
    }
    for (size_t i = 0; i < rows->result_count; i++) {
        PQclear(rows->results[i]);
    }
    mem_free(rows->results);
    arena_free(&rows->arena);
    mem_free(rows);
}

static void gather(struct pg_rows *rows, const struct pg_handle *h)
{
    const struct store_statement *s = rows->statement;
    if (s->rows == STORE_ROWS_LOAD) {
        put_u16(&rows->bytes, s->param_count);
    }
    for (uint16_t i = 0; i < s->param_count; i++) {
        bool in_array = s->rows == STORE_ROWS_SET;
        put_value(in_array ? &rows->columns[i].values : &rows->bytes, h->values[i], h->lengths[i]);
        if (h->values[i] != NULL) {
            rows->bytes_count += (size_t)h->lengths[i];
        } else if (in_array) {
            rows->columns[i].has_null = true;
        }
        rows->bytes_count += 4;
    }
    rows->count++;
}

/* ---- answers ---- */

/* Counts what a command changed and keeps its rows, if it is to answer with some. */
static void take_result(struct pg_rows *rows, PGresult *result)
{
    rows->changed += pg_changed(result);
    if (rows->statement->column_count == 0 || PQntuples(result) == 0) {
        PQclear(result);
        return;
    }
    if (rows->result_count == rows->result_size) {
        rows->result_size = rows->result_size == 0 ? 8 : 2 * rows->result_size;
        rows->results = rows->results == NULL
                            ? mem_alloc(rows->result_size * sizeof(PGresult *))
                            : mem_resize(rows->results, rows->result_size * sizeof(PGresult *));
    }
    rows->results[rows->result_count++] = result;
}

/* Says which rows a failure is about: `first` to `last`, counted from 1. */
static enum err name_rows(enum err e, uint64_t first, uint64_t last, struct why *why)
{
    if (why == NULL) {
        return e;
    }
    if (first == last) {
        return why_set(why, e, why->field, "Row %llu: %s", (unsigned long long)first, why->text);
    }
    return why_set(why, e, why->field, "Rows %llu to %llu: %s", (unsigned long long)first,
                   (unsigned long long)last, why->text);
}

/* ---- COPY ---- */

/*
 * The server says where it was ("COPY items, line 3, column name", in its own language): the number
 * behind the name of the table is the row. 0: it does not say.
 */
static uint64_t copy_line(const PGresult *result)
{
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *found = context != NULL ? strstr(context, "COPY ") : NULL;
    const char *comma = found != NULL ? strchr(found, ',') : NULL;
    if (comma == NULL) {
        return 0;
    }
    comma += strcspn(comma, "0123456789\n");
    return strtoull(comma, NULL, 10);
}

static enum err fail_copy(struct pg_handle *h, const PGresult *result, struct why *why)
{
    const struct pg_rows *rows = h->rows;
    enum err e = pg_fail(h->conn, result, h->statement->name, why);
    uint64_t line = copy_line(result);
    bool told = line >= 1 && line <= rows->count;
    uint64_t first = rows->sent + (told ? line : 1);
    return name_rows(e, first, told ? first : rows->sent + rows->count, why);
}

/* Reads the answer to the end, so that the connection is free again. */
static enum err end_copy(struct pg_handle *h, struct why *why)
{
    enum err e = OK;
    PGresult *result = PQgetResult(h->conn->pq);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        e = fail_copy(h, result, why);
    } else {
        h->rows->changed += pg_changed(result);
    }
    while (result != NULL) {
        PQclear(result);
        result = PQgetResult(h->conn->pq);
    }
    return e;
}

static enum err send_copy(struct pg_handle *h, struct why *why)
{
    struct pg_rows *rows = h->rows;
    PGconn *pq = h->conn->pq;
    PGresult *result = PQexec(pq, h->statement->postgres_rows);
    enum err e = PQresultStatus(result) == PGRES_COPY_IN
                     ? OK
                     : pg_fail(h->conn, result, h->statement->name, why);
    PQclear(result);
    if (e != OK) {
        return e;
    }
    put_u16(&rows->bytes, UINT16_MAX); /* the end */
    ASSERT(rows->bytes.len <= INT32_MAX);
    if (PQputCopyData(pq, (const char *)rows->bytes.ptr, (int)rows->bytes.len) != 1 ||
        PQputCopyEnd(pq, NULL) != 1) {
        e = pg_fail(h->conn, NULL, h->statement->name, why);
    }
    return e == OK ? end_copy(h, why) : e;
}

/* ---- one statement over arrays ---- */

/* The server's number of the type of a parameter. */
static uint32_t element_type(enum store_type type)
{
    switch (type) {
    case STORE_I64:
        return PG_INT8;
    case STORE_BOOL:
        return PG_BOOL;
    case STORE_TEXT:
        return PG_TEXT;
    case STORE_JSON:
        return PG_JSONB;
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        return PG_BYTEA;
    case STORE_U256:
        return PG_NUMERIC;
    case STORE_TIME:
        return PG_TIMESTAMPTZ;
    }
    check_failed("a store type", __FILE__, __LINE__);
}

static void fill_head(struct column *column, enum store_type type, size_t count)
{
    uint8_t *head = column->values.ptr;
    write_u32(head, 1);
    write_u32(head + 4, column->has_null);
    write_u32(head + 8, element_type(type));
    write_u32(head + 12, (uint32_t)count);
    write_u32(head + 16, 1);
}

static enum err send_set(struct pg_handle *h, struct why *why)
{
    struct pg_rows *rows = h->rows;
    const struct store_statement *s = h->statement;
    const char *values[STORE_FIELDS_MAX];
    int lengths[STORE_FIELDS_MAX];
    char name[PG_NAME_SIZE];
    for (uint16_t i = 0; i < s->param_count; i++) {
        struct column *column = &rows->columns[i];
        ASSERT(column->values.len <= INT32_MAX);
        fill_head(column, s->params[i].type, rows->count);
        values[i] = (const char *)column->values.ptr;
        lengths[i] = (int)column->values.len;
    }
    pg_name(s, true, name);
    PGresult *result =
        PQexecPrepared(h->conn->pq, name, s->param_count, values, lengths, h->formats, BINARY);
    enum err e = pg_judge(h, result, why);
    if (e != OK) {
        PQclear(result);
        return name_rows(e, rows->sent + 1, rows->sent + rows->count, why);
    }
    take_result(rows, result);
    return OK;
}

/* ---- one statement after another, without waiting in between ---- */

/* Sends the next row of the buffer; false when the connection is broken. */
static bool send_one(struct pg_handle *h, const char *name, const uint8_t **at)
{
    const struct store_statement *s = h->statement;
    const char *values[STORE_FIELDS_MAX];
    int lengths[STORE_FIELDS_MAX];
    for (uint16_t i = 0; i < s->param_count; i++) {
        lengths[i] = (int)read_u32(*at);
        *at += 4;
        values[i] = lengths[i] != NULL_LENGTH ? (const char *)*at : NULL;
        *at += lengths[i] != NULL_LENGTH ? lengths[i] : 0;
    }
    return PQsendQueryPrepared(h->conn->pq, name, s->param_count, values, lengths, h->formats,
                               BINARY) == 1;
}

/* Reads the answer of each row; of several failures the first one counts. */
static enum err read_answers(struct pg_handle *h, struct why *why)
{
    struct pg_rows *rows = h->rows;
    PGconn *pq = h->conn->pq;
    enum err first = OK;
    for (size_t i = 0; i < rows->count; i++) {
        PGresult *result = PQgetResult(pq);
        if (first == OK) {
            first = pg_judge(h, result, why);
            if (first != OK) {
                name_rows(first, rows->sent + i + 1, rows->sent + i + 1, why);
            }
        }
        if (first == OK) {
            take_result(rows, result);
        } else {
            PQclear(result);
        }
        for (PGresult *rest = PQgetResult(pq); rest != NULL; rest = PQgetResult(pq)) {
            PQclear(rest);
        }
    }
    return first;
}

static enum err send_each(struct pg_handle *h, struct why *why)
{
    struct pg_rows *rows = h->rows;
    PGconn *pq = h->conn->pq;
    const uint8_t *at = rows->bytes.ptr;
    char name[PG_NAME_SIZE];
    pg_name(h->statement, false, name);
    bool sent = PQenterPipelineMode(pq) == 1;
    for (size_t i = 0; sent && i < rows->count; i++) {
        sent = send_one(h, name, &at);
    }
    if (!sent || PQpipelineSync(pq) != 1) {
        h->conn->worn = true;
        return pg_fail(h->conn, NULL, h->statement->name, why);
    }
    enum err e = read_answers(h, why);
    PGresult *sync = PQgetResult(pq);
    bool over = PQresultStatus(sync) == PGRES_PIPELINE_SYNC;
    PQclear(sync);
    if (!over || PQexitPipelineMode(pq) != 1) {
        h->conn->worn = true;
        return e != OK ? e : pg_fail(h->conn, NULL, h->statement->name, why);
    }
    return e;
}

/* ---- the driver's functions ---- */

static enum err send_chunk(struct pg_handle *h, struct why *why)
{
    struct pg_rows *rows = h->rows;
    enum err e = OK;
    if (rows->count == 0) {
        return OK;
    }
    switch (rows->statement->rows) {
    case STORE_ROWS_EACH:
        e = send_each(h, why);
        break;
    case STORE_ROWS_SET:
        e = send_set(h, why);
        break;
    case STORE_ROWS_LOAD:
        e = send_copy(h, why);
        break;
    }
    rows->sent += rows->count;
    empty(rows);
    return e;
}

enum err pg_query_row(void *handle, struct why *why)
{
    struct pg_handle *h = handle;
    struct pg_rows *rows = h->rows;
    gather(rows, h);
    memset(h->values, 0, h->statement->param_count * sizeof(h->values[0]));
    arena_clear(&h->arena);
    bool full = rows->count == STORE_ROWS_CHUNK || rows->bytes_count >= CHUNK_BYTES;
    return full ? send_chunk(h, why) : OK;
}

enum err pg_rows_step(struct pg_handle *h, bool *out_row, struct why *why)
{
    struct pg_rows *rows = h->rows;
    if (rows->result_at == 0) {
        enum err e = send_chunk(h, why);
        if (e != OK) {
            return e;
        }
    }
    bool next = rows->result_at == 0 || h->row + 1 == PQntuples(h->result);
    if (next && rows->result_at == rows->result_count) {
        *out_row = false;
        return OK;
    }
    if (next) {
        h->result = rows->results[rows->result_at++];
    }
    h->row = next ? 0 : h->row + 1;
    *out_row = true;
    return OK;
}

int64_t pg_rows_changed(const struct pg_rows *rows)
{
    return rows->changed;
}
