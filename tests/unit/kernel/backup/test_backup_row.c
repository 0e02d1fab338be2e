#include "kernel/backup/backup_row.h"

#include "kernel/base/hex.h"
#include "unit/kernel/store/sample.h"

static const struct store_table *find_table(const char *name)
{
    for (uint16_t i = 0; i < sample_catalog.table_count; i++) {
        if (strcmp(sample_catalog.tables[i].name, name) == 0) {
            return &sample_catalog.tables[i];
        }
    }
    fail_msg("no table %s", name);
    return NULL;
}

#define BYTES20 "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24"

/* items: id, name, payload, raw, digest, owner, amount, at, done, score, parent */
static struct backup_row item(struct backup_value values[11], const char *payload)
{
    memset(values, 0, 11 * sizeof(values[0]));
    values[0].i64 = 258;
    values[1].bytes = SLICE_LIT("näh");
    values[2].bytes = slice_text(payload);
    values[3].bytes = SLICE_EMPTY;
    values[4].is_null = true;
    values[5].bytes = slice_of(BYTES20, 20);
    values[6].u256 = u256_from_u64(255);
    values[7].i64 = -1;
    values[8].i64 = 1;
    values[9].is_null = true;
    values[10].is_null = true;
    return (struct backup_row){.values = values};
}

/* Written down from the description in backup_row.h. */
static const char item_hex[] = "0x010000000000000102"
                               "01000000046ec3a468"
                               "01000000077b2261223a317d"
                               "0100000000"
                               "00"
                               "010102030405060708090a0b0c0d0e0f1011121314"
                               "0100000000000000000000000000000000000000000000000000000000000000ff"
                               "01ffffffffffffffff"
                               "0101"
                               "00"
                               "00";

static void test_encodes_each_type(void **state)
{
    struct arena arena;
    struct buf out;
    struct backup_value values[11];
    struct backup_row row = item(values, "{\"a\":1}");
    arena_init(&arena, 0);
    buf_init(&out, &arena, 16);
    backup_row_encode(find_table("items"), &row, &out);
    assert_string_equal(slice_cstr(&arena, hex_encode(&arena, buf_slice(&out))), item_hex);

    struct backup_row back = {0};
    assert_int_equal(backup_row_decode(find_table("items"), buf_slice(&out), &arena, &back, NULL),
                     OK);
    for (int i = 0; i < 11; i++) {
        assert_int_equal(back.values[i].is_null, values[i].is_null);
        assert_int_equal(back.values[i].i64, values[i].i64);
        assert_true(slice_equal(back.values[i].bytes, values[i].bytes));
        assert_true(u256_equal(back.values[i].u256, values[i].u256));
    }
    arena_free(&arena);
}

static void test_refuses_a_damaged_row(void **state)
{
    struct arena arena;
    struct slice whole;
    struct why why;
    arena_init(&arena, 0);
    assert_int_equal(hex_decode(&arena, slice_text(item_hex), &whole), OK);
    struct backup_row row = {0};
    for (size_t len = 0; len < whole.len; len++) {
        assert_int_equal(
            backup_row_decode(find_table("items"), slice_sub(whole, 0, len), &arena, &row, &why),
            ERR_CORRUPT);
    }
    struct slice longer = slice_format(&arena, "%.*s!", SLICE_ARG(whole));
    assert_int_equal(backup_row_decode(find_table("items"), longer, &arena, &row, &why),
                     ERR_CORRUPT);
    /* NULL where the table has none, a boolean that is neither, a mark that is none. */
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{0, 0}, {0, 2}, {9, 0}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct slice copy = slice_copy(&arena, whole);
        uint8_t *bytes = arena_alloc(&arena, copy.len);
        memcpy(bytes, copy.ptr, copy.len);
        bytes[bad[i].at] = bad[i].value;
        assert_int_equal(
            backup_row_decode(find_table("items"), slice_of(bytes, copy.len), &arena, &row, &why),
            ERR_CORRUPT);
    }
    assert_null(row.values);
    arena_free(&arena);
}

static struct hash hash_of(const char *payload)
{
    struct arena arena;
    struct hash hash = {{0}};
    struct why why = {0};
    struct backup_value values[11];
    struct backup_row row = item(values, payload);
    arena_init(&arena, 0);
    enum err e = backup_row_hash(find_table("items"), &row, &arena, &hash, &why);
    arena_free(&arena);
    assert_int_equal(e, OK);
    return hash;
}

static void test_hashes_the_encoded_form(void **state)
{
    /* Python: hashlib.sha256 of item_hex with the JSON {"a":0.1e1} */
    struct hash hash = hash_of("{\"a\":1}");
    char text[2 * HASH_BYTES + 3];
    hex_encode_to(hash_slice(&hash), text);
    assert_string_equal(text, "0xbd4a34757069adffb951dd7e1660a2346c4aec6875377b16368cfe5e50b2ff93");
}

static void test_json_is_hashed_by_its_meaning(void **state)
{
    static const char *const same[][2] = {
        {"{\"a\":1}", " { \"a\" : 1 } "},
        {"{\"b\":[1,2],\"a\":{}}", "{\"a\": {}, \"b\": [1, 2]}"},
        {"[1.0]", "[1]"},
        {"[1e2]", "[100]"},
        {"[12345678901234567890123456789.10]", "[12345678901234567890123456789.1]"},
        {"[-0]", "[0]"},
        {"\"\\u00e4\\/\"", "\"\u00e4/\""},
        {"[1e-400]", "[0.1e-399]"},
    };
    static const char *const different[][2] = {
        {"[1]", "[\"1\"]"},
        {"[1,2]", "[2,1]"},
        {"[]", "{}"},
        {"null", "\"null\""},
        {"[12345678901234567890123456789]", "[12345678901234567890123456788]"},
        {"[0.1]", "[0.1000000000000000000000001]"},
        {"{\"a\":1}", "{\"a\":1,\"b\":null}"},
        {"[-1]", "[1]"},
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        struct hash a = hash_of(same[i][0]);
        struct hash b = hash_of(same[i][1]);
        assert_true(hash_equal(&a, &b));
    }
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++) {
        struct hash a = hash_of(different[i][0]);
        struct hash b = hash_of(different[i][1]);
        assert_false(hash_equal(&a, &b));
    }
}

static void test_text_that_is_not_json_is_named(void **state)
{
    struct arena arena;
    struct hash hash;
    struct why why = {0};
    struct backup_value values[11];
    struct backup_row row = item(values, "{");
    arena_init(&arena, 0);
    assert_int_equal(backup_row_hash(find_table("items"), &row, &arena, &hash, &why), ERR_CORRUPT);
    assert_string_equal(why.text, "Column payload of table items holds text that is not JSON.");
    arena_free(&arena);
}

/* The sum wraps at 2^256 and does not know the order. */
static void test_sums_rows_in_any_order(void **state)
{
    struct arena arena;
    arena_init(&arena, 0);
    const struct store_table *counters = find_table("counters");
    struct backup_sum up = {0};
    struct backup_sum down = {0};
    for (int64_t i = 0; i < 64; i++) {
        struct backup_value one[2] = {{.bytes = SLICE_LIT("n")}, {.i64 = i}};
        struct backup_value two[2] = {{.bytes = SLICE_LIT("n")}, {.i64 = 63 - i}};
        struct backup_row row = {.values = one};
        struct backup_row other = {.values = two};
        assert_int_equal(backup_sum_add(&up, counters, &row, &arena, NULL), OK);
        assert_false(backup_sum_equal(&up, &down));
        assert_int_equal(backup_sum_add(&down, counters, &other, &arena, NULL), OK);
    }
    assert_true(backup_sum_equal(&up, &down));
    assert_int_equal(up.rows, 64);
    /* Python: sum of the hashes of 64 rows, modulo 2**256 */
    struct hash hash = backup_sum_hash(&up);
    char text[2 * HASH_BYTES + 3];
    hex_encode_to(hash_slice(&hash), text);
    assert_string_equal(text, "0x505f08168f8ebc7c3ca9da0311253b7e32f0d374e53ca93fb2e5b9ebf2590778");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encodes_each_type),
        cmocka_unit_test(test_refuses_a_damaged_row),
        cmocka_unit_test(test_hashes_the_encoded_form),
        cmocka_unit_test(test_json_is_hashed_by_its_meaning),
        cmocka_unit_test(test_text_that_is_not_json_is_named),
        cmocka_unit_test(test_sums_rows_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
