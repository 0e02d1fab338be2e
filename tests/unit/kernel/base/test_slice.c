#include "kernel/base/slice.h"

#include "kernel/base/mem.h"
#include "unit/test.h"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static void assert_text(struct slice s, const char *expected)
{
    assert_int_equal(s.len, strlen(expected));
    assert_true(slice_equal_text(s, expected));
}

static void equality(void **state)
{
    assert_true(slice_equal(SLICE_EMPTY, SLICE_LIT("")));
    assert_true(slice_equal(slice_text(NULL), SLICE_EMPTY));
    assert_true(slice_equal(SLICE_LIT("a\0b"), SLICE_LIT("a\0b")));
    assert_false(slice_equal(SLICE_LIT("a\0b"), SLICE_LIT("a\0c")));
    assert_false(slice_equal(SLICE_LIT("a"), SLICE_LIT("ab")));
    assert_true(slice_equal_text(SLICE_EMPTY, ""));
    assert_false(slice_equal_text(SLICE_LIT("a\0"), "a"));
    assert_true(slice_equal_nocase(SLICE_LIT("Content-Type"), SLICE_LIT("content-tYPE")));
    assert_false(slice_equal_nocase(SLICE_LIT("a"), SLICE_LIT("ab")));
    /* Only letters: '[' is 'Z' + 1 and '{' differs from it by the case bit, '@' and '`' too. */
    assert_false(slice_equal_nocase(SLICE_LIT("[@"), SLICE_LIT("{`")));
    assert_false(slice_equal_nocase(SLICE_LIT("\xc3\x89"), SLICE_LIT("\xc3\xa9")));
}

static void order_is_bytewise_and_shorter_first(void **state)
{
    static const struct slice sorted[] = {
        {NULL, 0},       SLICE_LIT("\0"), SLICE_LIT("A"),    SLICE_LIT("AB"),
        SLICE_LIT("Aa"), SLICE_LIT("a"),  SLICE_LIT("\x80"), SLICE_LIT("\xff"),
    };
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 8; j++) {
            int order = slice_compare(sorted[i], sorted[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void parts(void **state)
{
    struct slice s = SLICE_LIT("freehold");
    assert_text(slice_sub(s, 0, 4), "free");
    assert_text(slice_sub(s, 4, 100), "hold");
    assert_text(slice_sub(s, 4, SIZE_MAX), "hold");
    assert_text(slice_sub(s, 8, 1), "");
    assert_text(slice_sub(s, SIZE_MAX, SIZE_MAX), "");
    assert_text(slice_sub(SLICE_EMPTY, 0, 1), "");
    assert_true(slice_starts(s, SLICE_LIT("free")) && slice_starts(s, SLICE_EMPTY));
    assert_false(slice_starts(s, SLICE_LIT("hold")) || slice_starts(s, SLICE_LIT("freeholds")));
    assert_true(slice_ends(s, SLICE_LIT("hold")) && slice_ends(s, SLICE_EMPTY));
    assert_false(slice_ends(s, SLICE_LIT("free")) || slice_ends(s, SLICE_LIT("afreehold")));
    assert_int_equal(slice_find(s, 'e'), 2);
    assert_int_equal(slice_find(s, 'z'), -1);
    assert_int_equal(slice_find(SLICE_EMPTY, 0), -1);
    assert_int_equal(slice_find(SLICE_LIT("a\0"), 0), 1);
}

static void trimming(void **state)
{
    assert_text(slice_trim(SLICE_LIT(" \t\r\n a b \v\f ")), "a b");
    assert_text(slice_trim(SLICE_LIT(" \n ")), "");
    assert_text(slice_trim(SLICE_EMPTY), "");
    /* U+00A0 is no ASCII blank, and a NUL is none either. */
    assert_text(slice_trim(SLICE_LIT("\xc2\xa0")), "\xc2\xa0");
    assert_int_equal(slice_trim(SLICE_LIT("\0")).len, 1);
}

static void cutting(void **state)
{
    struct slice head;
    struct slice tail;
    assert_true(slice_cut(SLICE_LIT("a=b=c"), '=', &head, &tail));
    assert_text(head, "a");
    assert_text(tail, "b=c");
    assert_true(slice_cut(SLICE_LIT("="), '=', &head, &tail));
    assert_text(head, "");
    assert_text(tail, "");
    assert_false(slice_cut(SLICE_LIT("abc"), '=', &head, &tail));
    assert_text(head, "abc");
    assert_text(tail, "");
    /* Walking a list in place. */
    tail = SLICE_LIT("1,2,3");
    char seen[8] = {0};
    size_t count = 0;
    bool more = true;
    while (more) {
        more = slice_cut(tail, ',', &head, &tail);
        seen[count++] = (char)head.ptr[0];
    }
    assert_string_equal(seen, "123");
}

/* An independent decoder by code point: reads the bits, then asks whether the form was minimal. */
static bool reference_utf8(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned extra = p[i] < 0x80 ? 0 : p[i] >> 5 == 6 ? 1 : p[i] >> 4 == 14 ? 2 : 3;
        if ((extra == 3 && p[i] >> 3 != 30) || i + extra >= len) {
            return false;
        }
        uint32_t point = extra == 0 ? p[i] : p[i] & (0x3fU >> extra);
        for (unsigned k = 1; k <= extra; k++) {
            if (p[i + k] >> 6 != 2) {
                return false;
            }
            point = point << 6 | (p[i + k] & 0x3fU);
        }
        static const uint32_t minimum[] = {0, 0x80, 0x800, 0x10000};
        if (point < minimum[extra] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
            return false;
        }
        i += extra + 1;
    }
    return true;
}

static void utf8_agrees_with_code_points(void **state)
{
    /* All pairs of first bytes, with tails at the borders of the continuation range. */
    static const uint8_t tails[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t t = 0; t < 36; t++) {
                uint8_t bytes[] = {(uint8_t)first, (uint8_t)second, tails[t / 6], tails[t % 6]};
                for (size_t len = 1; len <= 4; len++) {
                    if (slice_is_utf8(slice_of(bytes, len)) != reference_utf8(bytes, len)) {
                        fail_msg("%02x %02x %02x %02x, %zu bytes", bytes[0], bytes[1], bytes[2],
                                 bytes[3], len);
                    }
                }
            }
        }
    }
}

static void utf8_is_found_broken_at_any_offset(void **state)
{
    uint8_t bytes[40];
    for (size_t at = 0; at < sizeof bytes; at++) {
        memset(bytes, 'a', sizeof bytes);
        assert_true(slice_is_utf8(slice_of(bytes, sizeof bytes)));
        bytes[at] = 0xff;
        assert_false(slice_is_utf8(slice_of(bytes, sizeof bytes)));
    }
    assert_true(slice_is_utf8(SLICE_EMPTY));
    assert_true(slice_is_utf8(SLICE_LIT("Gr\xc3\xbc\xc3\x9f"
                                        "e \xe2\x82\xac \xf0\x9f\x8f\xa0 \0")));
}

static void copies_are_terminated_and_apart(void **state)
{
    uint8_t bytes[] = {'a', 'b', 'c'};
    struct slice copy = slice_copy(&arena, slice_of(bytes, sizeof bytes));
    bytes[0] = 'x';
    assert_text(copy, "abc");
    assert_int_equal(copy.ptr[copy.len], 0);
    assert_string_equal(slice_cstr(&arena, SLICE_LIT("ab")), "ab");
    assert_string_equal(slice_cstr(&arena, SLICE_LIT("ab\0cd")), "ab");
    assert_string_equal(slice_cstr(&arena, SLICE_EMPTY), "");
    assert_int_equal(slice_copy(&arena, SLICE_EMPTY).len, 0);
    assert_int_equal(slice_copy(&arena, SLICE_LIT("ab\0cd")).len, 5);
    assert_text(slice_format(&arena, "%s-%d", "x", 42), "x-42");
    assert_text(slice_format(&arena, "[%.*s]", SLICE_ARG(SLICE_EMPTY)), "[]");
    assert_text(slice_format(&arena, "%.*s", SLICE_ARG(slice_sub(SLICE_LIT("abc"), 1, 1))), "b");
}

static void unsigned_numbers(void **state)
{
    static const char *const malformed[] = {"",    "-1",  "+1",  " 1", "1 ",
                                            "1.0", "0x1", "1e3", "a",  "99999999999999999999999x"};
    uint64_t out = 7;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        assert_int_equal(slice_parse_u64(slice_text(malformed[i]), &out), ERR_INVALID_AMOUNT);
    }
    static const char *const large[] = {"18446744073709551616", "18446744073709551620",
                                        "99999999999999999999", "184467440737095516150",
                                        /* wrap, and end on a digit that fits */
                                        "184467440737095516165", "36893488147419103233",
                                        "340282366920938463463374607431768211457"};
    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        assert_int_equal(slice_parse_u64(slice_text(large[i]), &out), ERR_AMOUNT_OVERFLOW);
    }
    assert_true(out == 7);
    assert_int_equal(slice_parse_u64(SLICE_LIT("18446744073709551615"), &out), OK);
    assert_true(out == UINT64_MAX);
    assert_int_equal(slice_parse_u64(SLICE_LIT("000000000000000000000000000042"), &out), OK);
    assert_true(out == 42);
    assert_int_equal(slice_parse_u64(SLICE_LIT("0"), &out), OK);
    assert_true(out == 0);
}

static void signed_numbers(void **state)
{
    int64_t out = 7;
    assert_int_equal(slice_parse_i64(SLICE_LIT("9223372036854775808"), &out), ERR_AMOUNT_OVERFLOW);
    assert_int_equal(slice_parse_i64(SLICE_LIT("-9223372036854775809"), &out), ERR_AMOUNT_OVERFLOW);
    assert_int_equal(slice_parse_i64(SLICE_LIT("-18446744073709551616"), &out),
                     ERR_AMOUNT_OVERFLOW);
    assert_int_equal(slice_parse_i64(SLICE_LIT("-"), &out), ERR_INVALID_AMOUNT);
    assert_int_equal(slice_parse_i64(SLICE_LIT("--1"), &out), ERR_INVALID_AMOUNT);
    assert_int_equal(slice_parse_i64(SLICE_LIT("+1"), &out), ERR_INVALID_AMOUNT);
    assert_int_equal(slice_parse_i64(SLICE_EMPTY, &out), ERR_INVALID_AMOUNT);
    assert_true(out == 7);
    assert_int_equal(slice_parse_i64(SLICE_LIT("9223372036854775807"), &out), OK);
    assert_true(out == INT64_MAX);
    assert_int_equal(slice_parse_i64(SLICE_LIT("-9223372036854775808"), &out), OK);
    assert_true(out == INT64_MIN);
    assert_int_equal(slice_parse_i64(SLICE_LIT("-12"), &out), OK);
    assert_true(out == -12);
}

static void a_buffer_keeps_what_it_is_given(void **state)
{
    struct buf b = {.arena = &arena};
    char expected[60000];
    size_t len = 0;
    for (unsigned i = 0; i < 4000; i++) {
        len += (size_t)snprintf(expected + len, sizeof expected - len, "%u,", i * 7919);
        buf_add_u64(&b, i * 7919);
        buf_add_byte(&b, ',');
    }
    assert_int_equal(b.len, len);
    assert_memory_equal(b.ptr, expected, len);
    assert_true(b.len <= b.cap);
}

static void a_buffer_takes_all_kinds(void **state)
{
    struct buf b;
    buf_init(&b, &arena, 3);
    const uint8_t *first = b.ptr;
    buf_add(&b, "abc", 3);
    assert_ptr_equal(b.ptr, first);
    buf_add(&b, NULL, 0);
    buf_add_slice(&b, SLICE_EMPTY);
    buf_add_slice(&b, SLICE_LIT("d\0e"));
    buf_add_text(&b, "f");
    buf_add_hex(&b, SLICE_LIT("\x00\x9f\xff"));
    buf_add_hex(&b, SLICE_EMPTY);
    buf_add_i64(&b, INT64_MIN);
    buf_add_i64(&b, -1);
    buf_add_i64(&b, 0);
    buf_add_i64(&b, INT64_MAX);
    buf_add_u64(&b, UINT64_MAX);
    buf_format(&b, "<%s:%d>", "x", 5);
    struct slice expected =
        SLICE_LIT("abcd\0ef009fff-9223372036854775808-10922337203685477580718446744073709551615"
                  "<x:5>");
    assert_true(slice_equal(buf_slice(&b), expected));
}

static void room_is_for_the_caller_to_fill(void **state)
{
    struct buf b;
    buf_init(&b, &arena, 0);
    uint8_t *room = buf_room(&b, 1000);
    memset(room, 'r', 1000);
    assert_int_equal(b.len, 0);
    b.len += 1000;
    buf_add_byte(&b, '!');
    assert_int_equal(b.ptr[999], 'r');
    assert_int_equal(b.ptr[1000], '!');
}

static void buffer_without_arena(void)
{
    struct buf b = {0};
    buf_add_byte(&b, 1);
}

static void buffer_beyond_memory(void)
{
    struct buf b;
    buf_init(&b, &arena, 1);
    b.len = 1;
    (void)buf_room(&b, SIZE_MAX);
}

static void misuse_aborts(void **state)
{
    assert_true(test_aborts(buffer_without_arena));
    assert_true(test_aborts(buffer_beyond_memory));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality),
        cmocka_unit_test(order_is_bytewise_and_shorter_first),
        cmocka_unit_test(parts),
        cmocka_unit_test(trimming),
        cmocka_unit_test(cutting),
        cmocka_unit_test(utf8_agrees_with_code_points),
        cmocka_unit_test(utf8_is_found_broken_at_any_offset),
        cmocka_unit_test(copies_are_terminated_and_apart),
        cmocka_unit_test(unsigned_numbers),
        cmocka_unit_test(signed_numbers),
        cmocka_unit_test(a_buffer_keeps_what_it_is_given),
        cmocka_unit_test(a_buffer_takes_all_kinds),
        cmocka_unit_test(room_is_for_the_caller_to_fill),
        cmocka_unit_test(misuse_aborts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
