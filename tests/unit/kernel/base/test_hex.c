#include "kernel/base/hex.h"

#include "kernel/base/mem.h"
#include "kernel/base/rand.h"
#include "unit/test.h"

static struct arena arena;

static int setup(void **state)
{
    rand_set_seed(2);
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static void all_bytes_go_there_and_back(void **state)
{
    uint8_t bytes[256];
    char expected[3 + 2 * sizeof bytes] = "0x";
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
        snprintf(expected + 2 + 2 * i, 3, "%02x", i);
    }
    struct slice text = hex_encode(&arena, slice_of(bytes, sizeof bytes));
    assert_true(slice_equal_text(text, expected));
    char plain[3 + 2 * sizeof bytes];
    hex_encode_to(slice_of(bytes, sizeof bytes), plain);
    assert_string_equal(plain, expected);

    for (int upper = 0; upper < 2; upper++) {
        struct slice out;
        assert_int_equal(hex_decode(&arena, slice_text(expected), &out), OK);
        assert_true(slice_equal(out, slice_of(bytes, sizeof bytes)));
        uint8_t fixed[sizeof bytes];
        assert_int_equal(hex_decode_fixed(slice_text(expected), fixed, sizeof fixed), OK);
        assert_memory_equal(fixed, bytes, sizeof bytes);
        for (char *c = expected + 2; *c; c++) {
            *c = *c >= 'a' ? (char)(*c - 32) : *c;
        }
    }
}

static void nothing_is_0x(void **state)
{
    struct slice out = SLICE_LIT("old");
    assert_int_equal(hex_decode(&arena, SLICE_LIT("0x"), &out), OK);
    assert_int_equal(out.len, 0);
    assert_true(slice_equal_text(hex_encode(&arena, SLICE_EMPTY), "0x"));
    assert_int_equal(hex_decode_fixed(SLICE_LIT("0x"), NULL, 0), OK);
}

static void malformed_text_is_refused(void **state)
{
    static const char *const malformed[] = {
        "",     "0",    "x",    "00",   "0X00", "0x0",  "0x0g", "0x 0", "0x00 ", " 0x0",
        "0x0x", "0x-1", "0x:0", "0x/0", "0x@0", "0x`0", "0xG0", "1x00", "0x000", "0x٣"};
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        struct slice out = SLICE_LIT("old");
        uint8_t fixed[] = {9, 9};
        assert_int_equal(hex_decode(&arena, slice_text(malformed[i]), &out), ERR_INVALID_HEX);
        assert_true(slice_equal_text(out, "old"));
        for (size_t len = 0; len <= 2; len++) {
            assert_int_equal(hex_decode_fixed(slice_text(malformed[i]), fixed, len),
                             ERR_INVALID_HEX);
        }
        assert_true(fixed[0] == 9 && fixed[1] == 9);
    }
    struct slice out = SLICE_EMPTY;
    assert_int_equal(hex_decode(&arena, SLICE_EMPTY, &out), ERR_INVALID_HEX);
}

static void exactly_one_digit_wrong_is_found(void **state)
{
    for (unsigned c = 0; c < 256; c++) {
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        for (size_t at = 2; at < 10; at++) {
            uint8_t text[] = {'0', 'x', '1', '2', '3', '4', '5', '6', '7', '8'};
            text[at] = (uint8_t)c;
            uint8_t out[4];
            enum err e = hex_decode_fixed(slice_of(text, sizeof text), out, sizeof out);
            assert_int_equal(e, digit ? OK : ERR_INVALID_HEX);
        }
    }
}

static void fixed_length_is_exact(void **state)
{
    uint8_t out[3] = {9, 9, 9};
    assert_int_equal(hex_decode_fixed(SLICE_LIT("0x0102"), out, 1), ERR_INVALID_HEX);
    assert_int_equal(hex_decode_fixed(SLICE_LIT("0x0102"), out, 3), ERR_INVALID_HEX);
    assert_int_equal(hex_decode_fixed(SLICE_LIT("0x0102"), out, SIZE_MAX / 2 + 3), ERR_INVALID_HEX);
    assert_int_equal(out[0], 9);
    assert_int_equal(hex_decode_fixed(SLICE_LIT("0x0102"), out, 2), OK);
    assert_true(out[0] == 1 && out[1] == 2 && out[2] == 9);
}

static void quantities(void **state)
{
    static const struct {
        const char *text;
        enum err err;
        uint64_t value;
    } rows[] = {
        {"0x0", OK, 0},
        {"0x41", OK, 65},
        {"0x400", OK, 1024},
        {"0x1a", OK, 26},
        {"0xFf", OK, 255},
        {"0xffffffffffffffff", OK, UINT64_MAX},
        {"0x00000000000000000000ff", OK, 255},
        {"0x10000000000000000", ERR_OVERFLOW, 0},
        {"0xfffffffffffffffff", ERR_OVERFLOW, 0},
        {"0x", ERR_INVALID_HEX, 0},
        {"", ERR_INVALID_HEX, 0},
        {"ff", ERR_INVALID_HEX, 0},
        {"0xx", ERR_INVALID_HEX, 0},
        {"0x1 ", ERR_INVALID_HEX, 0},
        {"-0x1", ERR_INVALID_HEX, 0},
        {"0xfffffffffffffffffz", ERR_INVALID_HEX, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t out = 7;
        assert_int_equal(hex_parse_u64(slice_text(rows[i].text), &out), rows[i].err);
        assert_true(out == (rows[i].err == OK ? rows[i].value : 7));
    }
    for (int i = 0; i < 10000; i++) {
        uint64_t value = rand_u64() >> rand_below(64);
        char text[24];
        snprintf(text, sizeof text, "0x%llx", (unsigned long long)value);
        uint64_t out;
        assert_int_equal(hex_parse_u64(slice_text(text), &out), OK);
        assert_true(out == value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_go_there_and_back),
        cmocka_unit_test(nothing_is_0x),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(exactly_one_digit_wrong_is_found),
        cmocka_unit_test(fixed_length_is_exact),
        cmocka_unit_test(quantities),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
