/*
 * One statement: parameters and columns by name and type.
 *
 * A wrong name or type is a bug and stops every build. A forgotten parameter, an unread column or
 * a write in the wrong place stops a checked build; elsewhere it fails the statement.
 */
#include "kernel/base/check.h"
#include "kernel/base/json.h"
#include "kernel/store/store_private.h"

#define HASH_BYTES 32
#define ADDRESS_BYTES 20

/* Stops the process, naming the statement: names are ours, so they are no secret. */
static _Noreturn void die(const struct store_query *q, const char *name, const char *what)
{
    fprintf(stderr, "store: statement %s, %s: %s\n", q->statement->name, name, what);
    check_failed("statement is used as declared", __FILE__, __LINE__);
}

static enum err fail(struct store_query *q, enum err e)
{
    ASSERT(e != OK && q->err_ == OK);
    q->err_ = e;
    q->has_row_ = false;
    return e;
}

/* A bug that a release build answers with an error, because it may sit on a rare path. */
static void misuse(struct store_query *q, const char *name, const char *what)
{
#ifdef FREEHOLD_CHECKED
    die(q, name, what);
#else
    fail(q, why_set(&q->why_, ERR_INTERNAL, NULL, "Statement %s, %s: %s.", q->statement->name, name,
                    what));
#endif
}

/* An answer of the database that is not what the statement declares. */
static void fail_column(struct store_query *q, const char *name, const char *what)
{
    fail(q, why_set(&q->why_, ERR_CORRUPT, name, "Column %s of statement %s %s.", name,
                    q->statement->name, what));
}

/* What no function can go on from: PostgreSQL has given up the transaction by now. */
static void refuse(struct store_query *q, enum err e)
{
    fail(q, e);
    store_tx_fail(q->tx, e, &q->why_);
}

/* Refuses a value; of many rows it says which one has it. */
static void refuse_value(struct store_query *q, enum err e)
{
    if (q->many_) {
        why_set(&q->why_, e, q->why_.field, "Row %llu of %s: %s", (unsigned long long)q->rows_ + 1,
                q->statement->name, q->why_.text);
    }
    refuse(q, e);
}

static void begin(struct store_query *q, struct store_tx *tx, const struct store_statement *s,
                  bool many)
{
    ASSERT(s->param_count <= STORE_FIELDS_MAX && s->column_count <= STORE_FIELDS_MAX);
    ASSERT(!many || s->param_count > 0);
    *q = (struct store_query){.tx = tx, .statement = s, .many_ = many};
    const struct store_tx *running = store_tx_current();
    if (running == NULL || tx != running) {
        die(q, "begin", "used outside of its transaction");
    }
    tx->unfinished++;
    if (tx->failed != OK) {
        q->why_ = tx->failed_why;
        fail(q, tx->failed);
        return;
    }
    if (s->writes && !tx->writes) {
        misuse(q, "begin", "writes in a transaction that only reads");
        return;
    }
    enum err e = tx->store->driver->query_begin(tx->conn, s, many, &q->driver_, &q->why_);
    if (e != OK) {
        q->driver_ = NULL;
        refuse(q, e);
    }
}

void store_begin(struct store_query *q, struct store_tx *tx, const struct store_statement *s)
{
    begin(q, tx, s, false);
}

void store_begin_rows(struct store_query *q, struct store_tx *tx, const struct store_statement *s)
{
    begin(q, tx, s, true);
}

/* ---- parameters ---- */

static uint16_t field_index(const struct store_query *q, const struct store_column *fields,
                            uint16_t count, uint16_t first, const char *name)
{
    for (uint16_t i = 0; i < count; i++) {
        uint16_t at = (uint16_t)((first + i) % count);
        if (fields[at].name == name || strcmp(fields[at].name, name) == 0) {
            return at;
        }
    }
    die(q, name, "no such name");
}

static void bind(struct store_query *q, const char *name, const struct store_value *value)
{
    uint16_t i =
        field_index(q, q->statement->params, q->statement->param_count, q->next_param_, name);
    const struct store_column *param = &q->statement->params[i];
    if (value->is_null ? !param->nullable : param->type != value->type) {
        die(q, name, value->is_null ? "is not nullable" : "has another type");
    }
    if (q->started_ || (q->bound_ & (1ull << i)) != 0) {
        die(q, name, "bound twice or too late");
    }
    q->bound_ |= 1ull << i;
    q->next_param_ = (uint16_t)(i + 1);
    if (q->err_ != OK) {
        return;
    }
    enum err e = q->tx->store->driver->query_bind(q->driver_, i, value, &q->why_);
    if (e != OK) {
        refuse_value(q, e);
    }
}

void store_bind_i64(struct store_query *q, const char *name, int64_t value)
{
    bind(q, name, &(struct store_value){.type = STORE_I64, .i64 = value});
}

void store_bind_bool(struct store_query *q, const char *name, bool value)
{
    bind(q, name, &(struct store_value){.type = STORE_BOOL, .i64 = value});
}

/* Whether JSON text holds \u0000 as an escape: after an even number of other backslashes. */
static bool has_nul_escape(struct slice json)
{
    size_t backslashes = 0;
    for (size_t i = 0; i < json.len; i++) {
        if (json.ptr[i] == '\\') {
            backslashes++;
            continue;
        }
        if (backslashes % 2 == 1 && json.len - i >= 5 && memcmp(json.ptr + i, "u0000", 5) == 0) {
            return true;
        }
        backslashes = 0;
    }
    return false;
}

#ifdef FREEHOLD_CHECKED
/* SQLite keeps any text as JSON, PostgreSQL does not; who binds it has parsed or written it. */
static bool is_json(struct slice text)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct json_limits limits = json_limits_node;
    limits.allow_duplicate_keys = true;
    const struct json *tree = NULL;
    enum err e = json_parse(&scratch, text, &limits, &tree, NULL);
    arena_free(&scratch);
    return e == OK;
}
#endif

/* PostgreSQL cannot keep a NUL in text and refuses what is not UTF-8: so do we, everywhere. */
static void check_text(struct store_query *q, const char *name, enum store_type type,
                       struct slice text)
{
    enum err e = OK;
    if (slice_find(text, 0) >= 0 || (type == STORE_JSON && has_nul_escape(text))) {
        e = why_set(&q->why_, ERR_INVALID_FIELD, name, "%s must not contain a NUL character.",
                    name);
    } else if (!slice_is_utf8(text)) {
        e = why_set(&q->why_, ERR_INVALID_ENCODING, name, "%s must be UTF-8.", name);
    }
    if (e != OK) {
        refuse_value(q, e);
        return;
    }
#ifdef FREEHOLD_CHECKED
    if (type == STORE_JSON && !is_json(text)) {
        die(q, name, "is not JSON");
    }
#endif
}

static void bind_text(struct store_query *q, const char *name, enum store_type type,
                      struct slice value)
{
    if (q->err_ == OK) {
        check_text(q, name, type, value);
    }
    bind(q, name, &(struct store_value){.type = type, .bytes = value});
}

void store_bind_text(struct store_query *q, const char *name, struct slice value)
{
    bind_text(q, name, STORE_TEXT, value);
}

void store_bind_json(struct store_query *q, const char *name, struct slice value)
{
    bind_text(q, name, STORE_JSON, value);
}

void store_bind_bytes(struct store_query *q, const char *name, struct slice value)
{
    uint16_t i =
        field_index(q, q->statement->params, q->statement->param_count, q->next_param_, name);
    enum store_type type = q->statement->params[i].type;
    if ((type == STORE_HASH && value.len != HASH_BYTES) ||
        (type == STORE_ADDRESS && value.len != ADDRESS_BYTES)) {
        die(q, name, "has another length");
    }
    bool is_bytes = type == STORE_BYTES || type == STORE_HASH || type == STORE_ADDRESS;
    bind(q, name, &(struct store_value){.type = is_bytes ? type : STORE_BYTES, .bytes = value});
}

void store_bind_u256(struct store_query *q, const char *name, struct u256 value)
{
    bind(q, name, &(struct store_value){.type = STORE_U256, .u256 = value});
}

void store_bind_time(struct store_query *q, const char *name, int64_t wall_usec)
{
    bind(q, name, &(struct store_value){.type = STORE_TIME, .i64 = wall_usec});
}

void store_bind_null(struct store_query *q, const char *name)
{
    bind(q, name, &(struct store_value){.is_null = true});
}

/* ---- rows ---- */

static void check_bound(struct store_query *q)
{
    for (uint16_t i = 0; q->err_ == OK && i < q->statement->param_count; i++) {
        if ((q->bound_ & (1ull << i)) == 0) {
            misuse(q, q->statement->params[i].name, "parameter is not bound");
        }
    }
}

void store_row(struct store_query *q)
{
    if (!q->many_ || q->started_) {
        die(q, "row", q->many_ ? "given too late" : "given to a statement of one row");
    }
    if (q->err_ == OK) {
        check_bound(q);
    }
    q->bound_ = 0;
    q->next_param_ = 0;
    if (q->err_ != OK) {
        return;
    }
    enum err e = q->tx->store->driver->query_row(q->driver_, &q->why_);
    if (e != OK) {
        refuse(q, e);
        return;
    }
    q->rows_++;
}

/* Of many rows, the last one must have been ended. */
static void check_ended(struct store_query *q)
{
    if (q->bound_ != 0) {
        misuse(q, "row", "is not ended by store_row");
    }
}

bool store_step(struct store_query *q)
{
    if (q->err_ == OK && !q->started_) {
        if (q->many_) {
            check_ended(q);
        } else {
            check_bound(q);
        }
    }
    if (q->err_ != OK) {
        return false;
    }
    ASSERT(!q->started_ || q->has_row_); /* not beyond the end */
    q->started_ = true;
    q->next_column_ = 0;
    bool row = false;
    enum err e = q->tx->store->driver->query_step(q->driver_, &row, &q->why_);
    if (e != OK) {
        refuse(q, e);
        return false;
    }
    q->has_row_ = row;
    q->had_row_ = q->had_row_ || row;
    return row;
}

static uint16_t column_index(struct store_query *q, const char *column)
{
    uint16_t i =
        field_index(q, q->statement->columns, q->statement->column_count, q->next_column_, column);
    q->next_column_ = (uint16_t)(i + 1);
    return i;
}

/* Reads a column whose type is one of three (repeat one); false on NULL or after an error. */
static bool get(struct store_query *q, const char *column, enum store_type a, enum store_type b,
                enum store_type c, struct store_value *out)
{
    uint16_t i = column_index(q, column);
    const struct store_column *declared = &q->statement->columns[i];
    if (declared->type != a && declared->type != b && declared->type != c) {
        die(q, column, "has another type");
    }
    if (q->err_ != OK) {
        return false;
    }
    if (!q->has_row_) {
        die(q, column, "read without a row");
    }
    q->read_ |= 1ull << i;
    enum err e = q->tx->store->driver->query_get(q->driver_, i, declared->type, out, &q->why_);
    if (e != OK) {
        refuse(q, e);
        return false;
    }
    if (out->is_null && !declared->nullable) {
        fail_column(q, column, "is NULL and must not be");
    }
    return q->err_ == OK && !out->is_null;
}

bool store_is_null(struct store_query *q, const char *column)
{
    uint16_t i = column_index(q, column);
    enum store_type type = q->statement->columns[i].type;
    uint64_t read = q->read_;
    struct store_value value;
    bool present = get(q, column, type, type, type, &value);
    if (present) {
        q->read_ = read; /* the value itself is still to be read */
    }
    q->next_column_ = i;
    return !present;
}

int64_t store_get_i64(struct store_query *q, const char *column)
{
    struct store_value v;
    return get(q, column, STORE_I64, STORE_I64, STORE_I64, &v) ? v.i64 : 0;
}

bool store_get_bool(struct store_query *q, const char *column)
{
    struct store_value v;
    return get(q, column, STORE_BOOL, STORE_BOOL, STORE_BOOL, &v) && v.i64 != 0;
}

struct slice store_get_text(struct store_query *q, const char *column, struct arena *arena)
{
    struct store_value v;
    bool present = get(q, column, STORE_TEXT, STORE_JSON, STORE_JSON, &v);
    return present ? slice_copy(arena, v.bytes) : SLICE_EMPTY;
}

struct slice store_get_bytes(struct store_query *q, const char *column, struct arena *arena)
{
    struct store_value v;
    bool present = get(q, column, STORE_BYTES, STORE_HASH, STORE_ADDRESS, &v);
    return present ? slice_copy(arena, v.bytes) : SLICE_EMPTY;
}

void store_get_fixed(struct store_query *q, const char *column, void *out, size_t len)
{
    struct store_value v;
    memset(out, 0, len);
    if (!get(q, column, STORE_BYTES, STORE_HASH, STORE_ADDRESS, &v)) {
        return;
    }
    if (v.bytes.len != len) {
        fail_column(q, column, "has another length than it should");
        return;
    }
    memcpy(out, v.bytes.ptr, len);
}

struct u256 store_get_u256(struct store_query *q, const char *column)
{
    struct store_value v;
    return get(q, column, STORE_U256, STORE_U256, STORE_U256, &v) ? v.u256 : U256_ZERO;
}

int64_t store_get_time(struct store_query *q, const char *column)
{
    struct store_value v;
    return get(q, column, STORE_TIME, STORE_TIME, STORE_TIME, &v) ? v.i64 : 0;
}

void store_ignore(struct store_query *q, const char *column)
{
    q->read_ |= 1ull << column_index(q, column);
}

/* ---- the end ---- */

#ifdef FREEHOLD_CHECKED
static void check_read(const struct store_query *q)
{
    for (uint16_t i = 0; q->err_ == OK && q->had_row_ && i < q->statement->column_count; i++) {
        if ((q->read_ & (1ull << i)) == 0) {
            die(q, q->statement->columns[i].name, "column is not read");
        }
    }
}
#endif

/* Rows of a statement that changes something are the caller's to skip, the changes are not. */
static void run_to_end(struct store_query *q)
{
    bool wanted = !q->started_ || (q->has_row_ && q->statement->writes);
    while (q->err_ == OK && wanted) {
        wanted = store_step(q);
    }
}

enum err store_finish(struct store_query *q, int64_t *out_changed, struct why *why)
{
    ASSERT(q->tx != NULL && q->tx == store_tx_current() && q->tx->unfinished > 0);
#ifdef FREEHOLD_CHECKED
    check_read(q);
#endif
    run_to_end(q);
    int64_t changed = 0;
    if (q->driver_ != NULL) {
        changed = q->err_ == OK ? q->tx->store->driver->query_changed(q->driver_) : 0;
        q->tx->store->driver->query_end(q->driver_);
        q->driver_ = NULL;
    }
    q->tx->unfinished--;
    q->tx = NULL;
    if (q->err_ != OK) {
        if (why != NULL) {
            *why = q->why_;
        }
        return q->err_;
    }
    if (out_changed != NULL) {
        *out_changed = changed;
    }
    return OK;
}

enum err store_finish_one(struct store_query *q, const char *what, struct why *why)
{
    ASSERT((q->started_ || q->err_ != OK) && !q->many_);
    bool found = q->had_row_;
#ifdef FREEHOLD_CHECKED
    if (q->has_row_ && store_step(q)) {
        die(q, what, "more than one row where one was expected");
    }
#endif
    enum err e = store_finish(q, NULL, why);
    if (e == OK && !found) {
        e = why_set(why, ERR_NOT_FOUND, NULL, "%s not found.", what);
    }
    return e;
}
