#include "kernel/base/decimal.h"

#include "kernel/base/mem.h"
#include "unit/test.h"

static struct arena arena;

static struct decimal parse(const char *text)
{
    struct decimal d = {.point = 0};
    assert_int_equal(decimal_parse(&arena, slice_text(text), &d), OK);
    return d;
}

static void test_reads_what_json_allows(void **state)
{
    static const struct {
        const char *text;
        const char *normal;
    } cases[] = {
        {"0", "0"},          {"-0", "0"},         {"0.000", "0"},      {"0e5", "0"},
        {"1", "0.1e1"},      {"-1", "-0.1e1"},    {"1.0", "0.1e1"},    {"10e-1", "0.1e1"},
        {"100", "0.1e3"},    {"1E2", "0.1e3"},    {"1e+2", "0.1e3"},   {"0.00120", "0.12e-2"},
        {"12.5", "0.125e2"}, {"1e-7", "0.1e-6"},  {"0.1e-0", "0.1e0"}, {"-0.0e9", "0"},
        {"1e007", "0.1e8"},  {"00012", "0.12e2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct decimal d = parse(cases[i].text);
        struct buf out;
        buf_init(&out, &arena, 0);
        decimal_write(&out, &d);
        assert_string_equal(slice_cstr(&arena, buf_slice(&out)), cases[i].normal);
    }
}

static void test_refuses_what_is_no_number(void **state)
{
    static const char *const cases[] = {"",   "-",  ".5", "1.",  "1.e2",  "1e",   "1e+",
                                        "+1", "1a", "a",  "--1", "1.5.2", "1e5x", "0x10"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct decimal d = {.point = 77};
        assert_int_equal(decimal_parse(&arena, slice_text(cases[i]), &d), ERR_INVALID_AMOUNT);
        assert_int_equal(d.point, 77);
    }
}

static void test_refuses_absurd_exponents(void **state)
{
    struct decimal d;
    assert_int_equal(decimal_parse(&arena, slice_text("1e1000000000000000"), &d), OK);
    assert_int_equal(decimal_parse(&arena, slice_text("1e1000000000000001"), &d), ERR_OVERFLOW);
    assert_int_equal(decimal_parse(&arena, slice_text("1e-99999999999999999999"), &d),
                     ERR_OVERFLOW);
}

/* Each text is less than the next. */
static void test_orders(void **state)
{
    static const char *const rising[] = {
        "-1e1000",
        "-9007199254740993",
        "-9007199254740992",
        "-2",
        "-1.5",
        "-1",
        "-1e-400",
        "0",
        "1e-400",
        "1e-399",
        "0.1",
        "0.10000000000000000000000001",
        "0.11",
        "0.2",
        "1",
        "1.0000000000000000000000000000001",
        "2",
        "9.99",
        "10",
        "9007199254740992",
        "9007199254740993",
        "1e308",
        "1e309",
        "1e1000",
    };
    size_t count = sizeof rising / sizeof rising[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            struct decimal a = parse(rising[i]);
            struct decimal b = parse(rising[j]);
            int order = decimal_compare(&a, &b);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void test_tells_integers(void **state)
{
    static const char *const whole[] = {"0", "-0.0", "1", "1.0", "-3", "1e3", "1.5e1", "1200e-2"};
    static const char *const broken[] = {"0.5", "1.01", "1e-1", "-2.5", "15e-1", "1e-999"};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        struct decimal d = parse(whole[i]);
        assert_true(decimal_is_integer(&d));
    }
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct decimal d = parse(broken[i]);
        assert_false(decimal_is_integer(&d));
    }
}

static void test_tells_multiples(void **state)
{
    static const struct {
        const char *text;
        uint32_t unit;
        bool expected;
    } cases[] = {
        {"0", 7, true},
        {"21", 7, true},
        {"22", 7, false},
        {"-21", 7, true},
        {"7.5", 7, false},
        {"70e1", 7, true},
        {"1e30", 7, false},
        {"1e30", 64, true},
        {"1e5", 64, false},
        {"4294967295", 4294967295, true},
        {"18446744065119617025", 4294967295, true}, /* the square of it */
        {"18446744065119617026", 4294967295, false},
        {"5", 1, true},
        {"1e1000000", 3, false},
        {"123456789012345678901234567890", 10, true},
        {"123456789012345678901234567890", 3, true}, /* digits add up to 135 */
        {"123456789012345678901234567891", 3, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct decimal d = parse(cases[i].text);
        assert_int_equal(decimal_is_multiple(&d, cases[i].unit), cases[i].expected);
    }
}

static void test_narrows(void **state)
{
    uint64_t value = 0;
    struct decimal d = parse("18446744073709551615");
    assert_int_equal(decimal_to_u64(&d, &value), OK);
    assert_true(value == UINT64_MAX);
    d = parse("2.50e1");
    assert_int_equal(decimal_to_u64(&d, &value), OK);
    assert_true(value == 25);
    d = parse("0");
    assert_int_equal(decimal_to_u64(&d, &value), OK);
    assert_true(value == 0);
    d = parse("18446744073709551616");
    assert_int_equal(decimal_to_u64(&d, &value), ERR_OVERFLOW);
    d = parse("1e900000000000000");
    assert_int_equal(decimal_to_u64(&d, &value), ERR_OVERFLOW);
    d = parse("-1");
    assert_int_equal(decimal_to_u64(&d, &value), ERR_INVALID_AMOUNT);
    d = parse("1.5");
    assert_int_equal(decimal_to_u64(&d, &value), ERR_INVALID_AMOUNT);
    assert_true(value == 0);
}

static int clear(void **state)
{
    arena_clear(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_reads_what_json_allows, clear),
        cmocka_unit_test_teardown(test_refuses_what_is_no_number, clear),
        cmocka_unit_test_teardown(test_refuses_absurd_exponents, clear),
        cmocka_unit_test_teardown(test_orders, clear),
        cmocka_unit_test_teardown(test_tells_integers, clear),
        cmocka_unit_test_teardown(test_tells_multiples, clear),
        cmocka_unit_test_teardown(test_narrows, clear),
    };
    arena_init(&arena, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
