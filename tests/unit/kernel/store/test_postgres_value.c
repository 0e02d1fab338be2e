/* Expected bytes are what PostgreSQL 15 answered to numeric_send() and timestamptz_send(). */
#include "kernel/base/rand.h"
#include "kernel/base/u256.h"
#include "kernel/store/postgres_private.h"
#include "unit/test.h"

static struct arena arena;

static int open_arena(void **state)
{
    arena_init(&arena, 0);
    return 0;
}

static int close_arena(void **state)
{
    arena_free(&arena);
    return 0;
}

static struct slice bytes_of(const char *hex)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = arena_alloc(&arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        unsigned value = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        bytes[i] = (uint8_t)value;
    }
    return slice_of(bytes, len);
}

static struct u256 number(const char *digits)
{
    struct u256 value;
    assert_int_equal(u256_parse(slice_text(digits), &value), OK);
    return value;
}

static enum err decode(uint32_t oid, const char *hex, enum store_type type, struct store_value *out)
{
    return pg_decode(oid, bytes_of(hex), type, out);
}

static const struct {
    const char *digits;
    const char *hex;
} numerics[] = {
    {"0", "0000000000000000"},
    {"1", "00010000000000000001"},
    {"9999", "0001000000000000270f"},
    {"10000", "00010001000000000001"},
    {"12345678", "000200010000000004d2162e"},
    {"100000000000000000000", "00010005000000000001"},
    {"340282366920938463463374607431768211456",
     "000a00090000000001540b071a2403aa121a18c111ff10dd1aa505b0"},
    {"115792089237316195423570985008687907853269984665640564039457584007913129639935",
     "0014001300000000000b16a0037c0e931833108b1bba13901adf03110cc5267619a40234018a167e0fa723ab0b93"
     "26cf"},
};

static void numbers_are_what_the_server_sends(void **state)
{
    for (size_t i = 0; i < sizeof(numerics) / sizeof(numerics[0]); i++) {
        struct store_value value = {0};
        assert_int_equal(decode(PG_NUMERIC, numerics[i].hex, STORE_U256, &value), OK);
        assert_true(u256_equal(value.u256, number(numerics[i].digits)));
    }
    struct store_value scaled = {0}; /* 1.00 */
    assert_int_equal(decode(PG_NUMERIC, "00010000000000020001", STORE_U256, &scaled), OK);
    assert_true(u256_equal(scaled.u256, u256_from_u64(1)));
}

/* The server drops groups of zeros at the end, and takes them when they are sent. */
static void numbers_come_back(void **state)
{
    rand_set_seed(5);
    for (int i = 0; i < 20000; i++) {
        struct u256 n = {{0}};
        for (uint64_t limb = 0; limb <= rand_below(4); limb++) {
            n.limb[limb] = rand_below(3) == 0 ? rand_below(100000) : rand_u64();
        }
        struct slice bytes;
        struct store_value back = {0};
        struct store_value value = {.type = STORE_U256, .u256 = n};
        assert_int_equal(pg_encode(&value, &arena, &bytes), OK);
        assert_true(bytes.len <= PG_NUMERIC_MAX);
        assert_int_equal(pg_decode(PG_NUMERIC, bytes, STORE_U256, &back), OK);
        assert_true(u256_equal(back.u256, n));
        arena_clear(&arena);
    }
}

static void what_is_no_u256_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "00010000000000",           /* cut in the head */
        "00010000400000000001",     /* -1 */
        "00000000c0000000",         /* NaN */
        "00000000d0000000",         /* infinity */
        "000200000000000100011388", /* 1.5 */
        "0001ffff000000040001",     /* 0.0001 */
        "00010000000000002710",     /* a group of 10000 */
        "000100000000000000",       /* cut in a group */
        "0001000000000000000100",   /* too long */
        "00010014000000000001",     /* 10^80 */
        "0014001300000000000b16a0037c0e931833108b1bba13901adf03110cc5267619a40234018a167e0fa723ab0b"
        "9326d0", /* 2^256 */
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct store_value value = {.i64 = 77};
        assert_int_equal(decode(PG_NUMERIC, wrong[i], STORE_U256, &value), ERR_CORRUPT);
        assert_int_equal(value.i64, 77);
    }
}

static void times_are_what_the_server_sends(void **state)
{
    static const struct {
        int64_t usec;
        const char *hex;
    } times[] = {{0, "fffca2fec4c82000"}, {1793322123123456, "000302031ce5fb00"}};
    for (size_t i = 0; i < 2; i++) {
        struct slice bytes;
        struct store_value value = {.type = STORE_TIME, .i64 = times[i].usec};
        assert_int_equal(pg_encode(&value, &arena, &bytes), OK);
        assert_true(slice_equal(bytes, bytes_of(times[i].hex)));
        assert_int_equal(pg_decode(PG_TIMESTAMPTZ, bytes, STORE_TIME, &value), OK);
        assert_int_equal(value.i64, times[i].usec);
    }
    struct store_value value = {0};
    assert_int_equal(decode(PG_TIMESTAMPTZ, "8000000000000000", STORE_TIME, &value), ERR_CORRUPT);
    assert_int_equal(decode(PG_TIMESTAMPTZ, "7fffffffffffffff", STORE_TIME, &value), ERR_CORRUPT);
    struct slice bytes;
    value = (struct store_value){.type = STORE_TIME, .i64 = INT64_MIN};
    assert_int_equal(pg_encode(&value, &arena, &bytes), ERR_OVERFLOW);
}

static void integers_of_every_width(void **state)
{
    struct store_value value = {0};
    assert_int_equal(decode(PG_INT2, "ffff", STORE_I64, &value), OK);
    assert_int_equal(value.i64, -1);
    assert_int_equal(decode(PG_INT4, "80000000", STORE_I64, &value), OK);
    assert_int_equal(value.i64, INT32_MIN);
    assert_int_equal(decode(PG_INT8, "7fffffffffffffff", STORE_I64, &value), OK);
    assert_true(value.i64 == INT64_MAX);
    assert_int_equal(decode(PG_INT8, "00000001", STORE_I64, &value), ERR_CORRUPT);
    assert_int_equal(decode(PG_NUMERIC, "00010000000000000001", STORE_I64, &value), ERR_CORRUPT);
}

static void types_that_differ_are_refused(void **state)
{
    struct store_value value = {0};
    assert_int_equal(decode(PG_TEXT, "616263", STORE_BYTES, &value), ERR_CORRUPT);
    assert_int_equal(decode(PG_BYTEA, "616263", STORE_TEXT, &value), ERR_CORRUPT);
    assert_int_equal(decode(PG_INT8, "0000000000000001", STORE_BOOL, &value), ERR_CORRUPT);
    assert_int_equal(decode(PG_INT8, "0000000000000001", STORE_TIME, &value), ERR_CORRUPT);
    assert_int_equal(decode(PG_TEXT, "31", STORE_U256, &value), ERR_CORRUPT);
    assert_int_equal(decode(PG_BOOL, "02", STORE_BOOL, &value), ERR_CORRUPT);
    assert_int_equal(decode(PG_JSONB, "025b5d", STORE_JSON, &value), ERR_CORRUPT); /* version 2 */
    assert_int_equal(decode(PG_JSONB, "", STORE_JSON, &value), ERR_CORRUPT);
    assert_int_equal(decode(PG_JSONB, "015b5d", STORE_JSON, &value), OK);
    assert_true(slice_equal_text(value.bytes, "[]"));
}

#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, open_arena, close_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(numbers_are_what_the_server_sends), WITH_ARENA(numbers_come_back),
        WITH_ARENA(what_is_no_u256_is_refused),        WITH_ARENA(times_are_what_the_server_sends),
        WITH_ARENA(integers_of_every_width),           WITH_ARENA(types_that_differ_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
