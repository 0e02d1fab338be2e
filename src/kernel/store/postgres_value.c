/*
 * The server's binary form of values: integers big-endian, times in microseconds since 2000,
 * NUMERIC in groups of four decimal digits.
 */
#include "kernel/base/check.h"
#include "kernel/store/postgres_private.h"

/* Microseconds from 1970 to 2000. */
#define EPOCH_USEC 946684800000000ll

#define NUMERIC_HEAD 8
#define GROUP_DIGITS 4
#define GROUPS_MAX ((U256_DECIMAL_MAX + GROUP_DIGITS - 1) / GROUP_DIGITS)
#define GROUP_END 10000

_Static_assert(PG_NUMERIC_MAX == NUMERIC_HEAD + 2 * GROUPS_MAX, "room for a u256");

static void put_be(uint8_t *out, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    }
}

static uint64_t get_be(const uint8_t *bytes, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* ---- NUMERIC: count of groups, weight of the first, sign, decimals, groups ---- */

static size_t encode_numeric(struct u256 value, uint8_t out[PG_NUMERIC_MAX])
{
    char digits[U256_TEXT_MAX];
    size_t len = u256_format(value, digits);
    size_t groups = u256_is_zero(value) ? 0 : (len + GROUP_DIGITS - 1) / GROUP_DIGITS;
    memset(out, 0, PG_NUMERIC_MAX);
    put_be(out, groups, 2);
    put_be(out + 2, groups > 0 ? groups - 1 : 0, 2);
    for (size_t i = 0; groups > 0 && i < len; i++) {
        size_t group = groups - 1 - (len - 1 - i) / GROUP_DIGITS;
        uint8_t *at = out + NUMERIC_HEAD + 2 * group;
        put_be(at, get_be(at, 2) * 10 + (uint64_t)(digits[i] - '0'), 2);
    }
    return NUMERIC_HEAD + 2 * groups;
}

static enum err decode_numeric(struct slice bytes, struct u256 *out)
{
    if (bytes.len < NUMERIC_HEAD) {
        return ERR_CORRUPT;
    }
    const uint8_t *head = bytes.ptr;
    size_t groups = get_be(head, 2);
    int weight = (int16_t)get_be(head + 2, 2);
    bool plain =
        get_be(head + 4, 2) == 0; /* neither negative nor one of the values beside numbers */
    if (!plain || bytes.len != NUMERIC_HEAD + 2 * groups || weight >= (int)GROUPS_MAX) {
        return ERR_CORRUPT;
    }
    /* Zeros at the end are left out by the server: groups that are not there are 0. */
    char digits[GROUPS_MAX * GROUP_DIGITS];
    memset(digits, '0', sizeof(digits));
    for (size_t i = 0; i < groups; i++) {
        uint64_t group = get_be(head + NUMERIC_HEAD + 2 * i, 2);
        int power = weight - (int)i;
        if (group >= GROUP_END || (power < 0 && group != 0)) {
            return ERR_CORRUPT; /* not a group, or a fraction */
        }
        for (size_t d = 0; power >= 0 && d < GROUP_DIGITS; d++, group /= 10) {
            digits[sizeof(digits) - 1 - (size_t)power * GROUP_DIGITS - d] =
                (char)('0' + (int)(group % 10));
        }
    }
    struct slice significant = slice_of(digits, sizeof(digits));
    while (significant.len > 1 && significant.ptr[0] == '0') {
        significant = slice_of(significant.ptr + 1, significant.len - 1);
    }
    return u256_parse(significant, out) == OK ? OK : ERR_CORRUPT;
}

/* ---- encoding ---- */

static enum err encode_number(int64_t value, size_t len, struct arena *arena, struct slice *out)
{
    uint8_t *bytes = arena_alloc(arena, len);
    put_be(bytes, (uint64_t)value, len);
    *out = slice_of(bytes, len);
    return OK;
}

/* Copies bytes behind a head; empty is not NULL, so that memory is always taken. */
static enum err encode_bytes(struct slice head, struct slice bytes, struct arena *arena,
                             struct slice *out)
{
    if (bytes.len > INT32_MAX - head.len) {
        return ERR_LIMIT;
    }
    size_t len = head.len + bytes.len;
    char *copy = arena_alloc(arena, len + 1);
    if (head.len > 0) {
        memcpy(copy, head.ptr, head.len);
    }
    if (bytes.len > 0) {
        memcpy(copy + head.len, bytes.ptr, bytes.len);
    }
    *out = slice_of(copy, len);
    return OK;
}

enum err pg_encode(const struct store_value *value, struct arena *arena, struct slice *out)
{
    ASSERT(!value->is_null);
    switch (value->type) {
    case STORE_I64:
        return encode_number(value->i64, 8, arena, out);
    case STORE_BOOL:
        return encode_number(value->i64 != 0, 1, arena, out);
    case STORE_TIME: {
        int64_t since_2000 = 0;
        if (__builtin_sub_overflow(value->i64, EPOCH_USEC, &since_2000)) {
            return ERR_OVERFLOW;
        }
        return encode_number(since_2000, 8, arena, out);
    }
    case STORE_TEXT:
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        return encode_bytes(SLICE_EMPTY, value->bytes, arena, out);
    case STORE_JSON:
        return encode_bytes(SLICE_LIT("\x01"), value->bytes, arena, out);
    case STORE_U256: {
        uint8_t *bytes = arena_alloc(arena, PG_NUMERIC_MAX);
        *out = slice_of(bytes, encode_numeric(value->u256, bytes));
        return OK;
    }
    }
    check_failed("a store type", __FILE__, __LINE__);
}

/* ---- decoding ---- */

static enum err decode_integer(uint32_t oid, struct slice bytes, int64_t *out)
{
    size_t len = oid == PG_INT8 ? 8 : oid == PG_INT4 ? 4 : oid == PG_INT2 ? 2 : 0;
    if (len == 0 || bytes.len != len) {
        return ERR_CORRUPT;
    }
    unsigned unused = (unsigned)(64 - 8 * len);
    *out = (int64_t)(get_be(bytes.ptr, len) << unused) >> unused;
    return OK;
}

static enum err decode_bool(uint32_t oid, struct slice bytes, int64_t *out)
{
    if (oid != PG_BOOL || bytes.len != 1 || bytes.ptr[0] > 1) {
        return ERR_CORRUPT;
    }
    *out = bytes.ptr[0];
    return OK;
}

static enum err decode_time(uint32_t oid, struct slice bytes, int64_t *out)
{
    if (oid != PG_TIMESTAMPTZ || bytes.len != 8) {
        return ERR_CORRUPT;
    }
    int64_t since_2000 = (int64_t)get_be(bytes.ptr, 8);
    /* The ends of the range mean infinity; the upper one does not fit by itself. */
    bool infinite = since_2000 == INT64_MIN;
    return infinite || __builtin_add_overflow(since_2000, EPOCH_USEC, out) ? ERR_CORRUPT : OK;
}

static enum err decode_json(uint32_t oid, struct slice bytes, struct slice *out)
{
    if (oid == PG_JSON) {
        *out = bytes;
        return OK;
    }
    if (oid != PG_JSONB || bytes.len < 1 || bytes.ptr[0] != 1) {
        return ERR_CORRUPT;
    }
    *out = slice_of(bytes.ptr + 1, bytes.len - 1);
    return OK;
}

static enum err decode_as(uint32_t oid, struct slice bytes, enum store_type type,
                          struct store_value *out)
{
    switch (type) {
    case STORE_I64:
        return decode_integer(oid, bytes, &out->i64);
    case STORE_BOOL:
        return decode_bool(oid, bytes, &out->i64);
    case STORE_TIME:
        return decode_time(oid, bytes, &out->i64);
    case STORE_TEXT:
        out->bytes = bytes;
        return oid == PG_TEXT || oid == PG_VARCHAR || oid == PG_NAME ? OK : ERR_CORRUPT;
    case STORE_JSON:
        return decode_json(oid, bytes, &out->bytes);
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        out->bytes = bytes;
        return oid == PG_BYTEA ? OK : ERR_CORRUPT;
    case STORE_U256:
        return oid == PG_NUMERIC ? decode_numeric(bytes, &out->u256) : ERR_CORRUPT;
    }
    check_failed("a store type", __FILE__, __LINE__);
}

enum err pg_decode(uint32_t oid, struct slice bytes, enum store_type type, struct store_value *out)
{
    struct store_value value = {.type = type};
    enum err e = decode_as(oid, bytes, type, &value);
    if (e == OK) {
        *out = value;
    }
    return e;
}
