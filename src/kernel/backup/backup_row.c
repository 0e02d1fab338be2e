#include "kernel/backup/backup_row.h"

#include "kernel/base/check.h"
#include "kernel/base/decimal.h"

#include <stdlib.h>

#define ADDRESS_LEN 20

/* What a database of ours holds was limited when it came in; this is against damage. */
static const struct json_limits stored_json = {
    .bytes_max = (size_t)256 << 20,
    .depth_max = JSON_DEPTH_MAX,
    .nodes_max = 40000000,
};

struct backup_batch *backup_batch_new(const struct store_table *table)
{
    struct backup_batch *batch = mem_alloc(sizeof(*batch));
    arena_init(&batch->arena, (size_t)64 << 10);
    batch->table = table;
    return batch;
}

void backup_batch_free(struct backup_batch *batch)
{
    if (batch != NULL) {
        arena_free(&batch->arena);
        mem_free(batch);
    }
}

/* ---- from and to a database ---- */

static void read_value(struct store_query *q, const struct store_column *column,
                       struct arena *arena, struct backup_value *v)
{
    if (column->nullable && store_is_null(q, column->name)) {
        v->is_null = true;
        return;
    }
    switch (column->type) {
    case STORE_I64:
        v->i64 = store_get_i64(q, column->name);
        return;
    case STORE_BOOL:
        v->i64 = store_get_bool(q, column->name);
        return;
    case STORE_TIME:
        v->i64 = store_get_time(q, column->name);
        return;
    case STORE_U256:
        v->u256 = store_get_u256(q, column->name);
        return;
    case STORE_TEXT:
    case STORE_JSON:
        v->bytes = store_get_text(q, column->name, arena);
        return;
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        v->bytes = store_get_bytes(q, column->name, arena);
        return;
    }
}

enum err backup_row_read(struct store_query *q, const struct store *store,
                         const struct store_table *table, struct arena *arena,
                         struct backup_row *out, struct why *why)
{
    struct backup_value *values = arena_alloc_array(arena, table->column_count, sizeof(*values));
    enum err e = OK;
    for (uint16_t i = 0; i < table->column_count; i++) {
        read_value(q, &table->columns[i], arena, &values[i]);
        if (e == OK && store_undo_is_inverse(table, &table->columns[i])) {
            e = store_undo_export(store, arena, values[i].bytes, &values[i].bytes, why);
        }
    }
    if (e == OK) {
        out->values = values;
    }
    return e;
}

static void bind_value(struct store_query *q, const struct store_column *column,
                       const struct backup_value *v)
{
    if (v->is_null) {
        store_bind_null(q, column->name);
        return;
    }
    switch (column->type) {
    case STORE_I64:
        store_bind_i64(q, column->name, v->i64);
        return;
    case STORE_BOOL:
        store_bind_bool(q, column->name, v->i64 != 0);
        return;
    case STORE_TIME:
        store_bind_time(q, column->name, v->i64);
        return;
    case STORE_U256:
        store_bind_u256(q, column->name, v->u256);
        return;
    case STORE_TEXT:
        store_bind_text(q, column->name, v->bytes);
        return;
    case STORE_JSON:
        store_bind_json(q, column->name, v->bytes);
        return;
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        store_bind_bytes(q, column->name, v->bytes);
        return;
    }
}

enum err backup_row_bind(struct store_query *q, const struct store *store,
                         const struct store_table *table, const struct backup_row *row,
                         struct arena *scratch, struct why *why)
{
    enum err e = OK;
    for (uint16_t i = 0; i < table->column_count; i++) {
        struct backup_value v = row->values[i];
        if (e == OK && store_undo_is_inverse(table, &table->columns[i])) {
            e = store_undo_import(store, scratch, v.bytes, &v.bytes, why);
        }
        bind_value(q, &table->columns[i], &v);
    }
    return e;
}

/* ---- the encoded form ---- */

static void put_be(struct buf *out, uint64_t value, size_t len)
{
    for (size_t i = len; i > 0; i--) {
        buf_add_byte(out, (uint8_t)(value >> (8 * (i - 1))));
    }
}

static void put_bytes(struct buf *out, struct slice bytes)
{
    ASSERT(bytes.len <= UINT32_MAX);
    put_be(out, bytes.len, 4);
    buf_add_slice(out, bytes);
}

static void put_value(struct buf *out, const struct store_column *column,
                      const struct backup_value *v)
{
    buf_add_byte(out, !v->is_null);
    if (v->is_null) {
        return;
    }
    uint8_t word[U256_BYTES];
    switch (column->type) {
    case STORE_I64:
    case STORE_TIME:
        put_be(out, (uint64_t)v->i64, 8);
        return;
    case STORE_BOOL:
        buf_add_byte(out, v->i64 != 0);
        return;
    case STORE_U256:
        u256_encode_be(v->u256, word);
        buf_add(out, word, sizeof(word));
        return;
    case STORE_HASH:
    case STORE_ADDRESS:
        buf_add_slice(out, v->bytes);
        return;
    case STORE_TEXT:
    case STORE_JSON:
    case STORE_BYTES:
        put_bytes(out, v->bytes);
        return;
    }
}

void backup_row_encode(const struct store_table *table, const struct backup_row *row,
                       struct buf *out)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        put_value(out, &table->columns[i], &row->values[i]);
    }
}

/* Takes `len` bytes off the front. */
static bool take(struct slice *rest, size_t len, struct slice *out)
{
    if (rest->len < len) {
        return false;
    }
    *out = slice_sub(*rest, 0, len);
    *rest = slice_sub(*rest, len, rest->len);
    return true;
}

static bool take_be(struct slice *rest, size_t len, uint64_t *out)
{
    struct slice bytes;
    if (!take(rest, len, &bytes)) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < len; i++) {
        *out = *out << 8 | bytes.ptr[i];
    }
    return true;
}

static bool take_value(struct slice *rest, const struct store_column *column,
                       struct backup_value *v)
{
    uint64_t number = 0;
    uint64_t present = 0;
    struct slice bytes;
    if (!take_be(rest, 1, &present) || present > 1 || (present == 0 && !column->nullable)) {
        return false;
    }
    v->is_null = present == 0;
    if (v->is_null) {
        return true;
    }
    switch (column->type) {
    case STORE_I64:
    case STORE_TIME:
        if (!take_be(rest, 8, &number)) {
            return false;
        }
        v->i64 = (int64_t)number;
        return true;
    case STORE_BOOL:
        if (!take_be(rest, 1, &number) || number > 1) {
            return false;
        }
        v->i64 = (int64_t)number;
        return true;
    case STORE_U256:
        return take(rest, U256_BYTES, &bytes) && u256_decode_be(bytes, &v->u256) == OK;
    case STORE_HASH:
        return take(rest, HASH_BYTES, &v->bytes);
    case STORE_ADDRESS:
        return take(rest, ADDRESS_LEN, &v->bytes);
    case STORE_TEXT:
    case STORE_JSON:
    case STORE_BYTES:
        return take_be(rest, 4, &number) && take(rest, number, &v->bytes);
    }
    return false;
}

enum err backup_row_decode(const struct store_table *table, struct slice bytes, struct arena *arena,
                           struct backup_row *out, struct why *why)
{
    struct backup_value *values = arena_alloc_array(arena, table->column_count, sizeof(*values));
    bool whole = true;
    for (uint16_t i = 0; whole && i < table->column_count; i++) {
        whole = take_value(&bytes, &table->columns[i], &values[i]);
    }
    if (!whole || bytes.len > 0) {
        return why_set(why, ERR_CORRUPT, table->name, "A row of table %s is damaged.", table->name);
    }
    out->values = values;
    return OK;
}

/* ---- hashes ---- */

static int by_key(const void *a, const void *b)
{
    const struct json *const *left = a;
    const struct json *const *right = b;
    return slice_compare((*left)->key, (*right)->key);
}

static enum err put_exact(struct buf *out, struct arena *scratch, const struct json *v,
                          struct why *why);

static enum err put_object(struct buf *out, struct arena *scratch, const struct json *v,
                           struct why *why)
{
    const struct json **members =
        arena_alloc_array(scratch, v->count + 1u, sizeof(const struct json *));
    size_t count = 0;
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        members[count++] = m;
    }
    qsort(members, count, sizeof(members[0]), by_key);
    enum err e = OK;
    buf_add_byte(out, '{');
    for (size_t i = 0; e == OK && i < count; i++) {
        buf_add_text(out, i > 0 ? "," : "");
        json_escape(out, members[i]->key);
        buf_add_byte(out, ':');
        e = put_exact(out, scratch, members[i], why);
    }
    buf_add_byte(out, '}');
    return e;
}

static enum err put_array(struct buf *out, struct arena *scratch, const struct json *v,
                          struct why *why)
{
    enum err e = OK;
    buf_add_byte(out, '[');
    for (const struct json *m = v->child; e == OK && m != NULL; m = m->next) {
        e = put_exact(out, scratch, m, why);
        buf_add_text(out, m->next != NULL ? "," : "");
    }
    buf_add_byte(out, ']');
    return e;
}

/* As deep as the parser allows, which is not deep. */
static enum err put_exact(struct buf *out, struct arena *scratch, const struct json *v,
                          struct why *why)
{
    struct decimal number;
    enum err e = OK;
    switch (v->type) {
    case JSON_NULL:
        buf_add_text(out, "null");
        return OK;
    case JSON_FALSE:
    case JSON_TRUE:
        buf_add_text(out, v->type == JSON_TRUE ? "true" : "false");
        return OK;
    case JSON_NUMBER:
        e = decimal_parse(scratch, v->text, &number);
        if (e != OK) {
            return why_set(why, e, NULL, "A stored JSON number is out of all proportion.");
        }
        decimal_write(out, &number);
        return OK;
    case JSON_STRING:
        json_escape(out, v->text);
        return OK;
    case JSON_ARRAY:
        return put_array(out, scratch, v, why);
    case JSON_OBJECT:
        return put_object(out, scratch, v, why);
    }
    return OK;
}

enum err backup_json_exact(struct buf *out, const struct json *v, struct why *why)
{
    return put_exact(out, out->arena, v, why);
}

/* A JSON value with its text replaced by the canonical one. */
static enum err make_exact(const struct store_table *table, const struct store_column *column,
                           struct arena *scratch, struct backup_value *v, struct why *why)
{
    const struct json *tree = NULL;
    struct buf text;
    buf_init(&text, scratch, v->bytes.len + 16);
    enum err e = json_parse(scratch, v->bytes, &stored_json, &tree, why);
    if (e == OK) {
        e = backup_json_exact(&text, tree, why);
    }
    if (e != OK) {
        return why_set(why, ERR_CORRUPT, column->name,
                       "Column %s of table %s holds text that is not JSON.", column->name,
                       table->name);
    }
    v->bytes = buf_slice(&text);
    return OK;
}

enum err backup_row_hash(const struct store_table *table, const struct backup_row *row,
                         struct arena *scratch, struct hash *out, struct why *why)
{
    struct buf encoded;
    enum err e = OK;
    buf_init(&encoded, scratch, 512);
    for (uint16_t i = 0; e == OK && i < table->column_count; i++) {
        struct backup_value v = row->values[i];
        if (table->columns[i].type == STORE_JSON && !v.is_null) {
            e = make_exact(table, &table->columns[i], scratch, &v, why);
        }
        put_value(&encoded, &table->columns[i], &v);
    }
    if (e == OK) {
        *out = sha256(buf_slice(&encoded));
    }
    return e;
}

/* a + b modulo 2^256, with checked operations. */
static struct u256 add_round(struct u256 a, struct u256 b)
{
    struct u256 sum;
    if (u256_add(a, b, &sum) == OK) {
        return sum;
    }
    struct u256 missing; /* of b to 2^256 - 1, which `a` is above */
    ASSERT(u256_sub(U256_MAX, b, &missing) == OK && u256_sub(a, missing, &sum) == OK);
    ASSERT(u256_sub(sum, u256_from_u64(1), &sum) == OK);
    return sum;
}

enum err backup_sum_add(struct backup_sum *sum, const struct store_table *table,
                        const struct backup_row *row, struct arena *scratch, struct why *why)
{
    struct hash hash;
    struct u256 number;
    enum err e = backup_row_hash(table, row, scratch, &hash, why);
    if (e == OK) {
        ASSERT(u256_decode_be(hash_slice(&hash), &number) == OK);
        sum->hashes = add_round(sum->hashes, number);
        sum->rows++;
    }
    return e;
}

bool backup_sum_equal(const struct backup_sum *a, const struct backup_sum *b)
{
    return a->rows == b->rows && u256_equal(a->hashes, b->hashes);
}

struct hash backup_sum_hash(const struct backup_sum *sum)
{
    struct hash hash = {{0}};
    u256_encode_be(sum->hashes, hash.bytes);
    return hash;
}
