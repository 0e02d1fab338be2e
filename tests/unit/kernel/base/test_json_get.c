#include "kernel/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernel/base/mem.h"

struct fixture {
    struct arena arena;
    struct why why;
    const struct json *v;
};

static const char document[] =
    "{\"text\":\"abc\",\"empty\":\"\",\"yes\":true,\"no\":false,\"nil\":null,\"list\":[1],"
    "\"map\":{},\"n\":42,\"n_text\":\"42\",\"u64\":18446744073709551615,"
    "\"u64_over\":18446744073709551616,\"negative\":-1,\"fraction\":1.5,\"exponent\":1e3,"
    "\"big\":115792089237316195423570985008687907853269984665640564039457584007913129639935,"
    "\"big_text\":\"115792089237316195423570985008687907853269984665640564039457584007913129639935"
    "\",\"big_over\":\"1157920892373161954235709850086879078532699846656405640394575840079131296399"
    "36\",\"hex\":\"0x1a\",\"blank\":\" 1\",\"at\":\"2026-11-22T05:20:40Z\",\"at_sec\":1795324840,"
    "\"at_msec\":1795324840123,\"at_last\":253402300799,\"at_over\":253402300800}";

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    arena_init(&f->arena, 0);
    assert_int_equal(json_parse(&f->arena, slice_text(document), &json_limits_body, &f->v, &f->why),
                     OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(&f->arena);
    mem_free(f);
    return 0;
}

static void expect_why(struct fixture *f, const char *field, const char *part)
{
    assert_string_equal(f->why.field, field);
    assert_non_null(strstr(f->why.text, field));
    assert_non_null(strstr(f->why.text, part));
    f->why = (struct why){0};
}

static void members_have_their_type(void **state)
{
    struct fixture *f = *state;
    const struct json *out = NULL;
    assert_int_equal(json_get(f->v, "list", JSON_ARRAY, &out, &f->why), OK);
    assert_int_equal(out->count, 1);
    out = NULL;
    assert_int_equal(json_get(f->v, "map", JSON_ARRAY, &out, &f->why), ERR_INVALID_TYPE);
    expect_why(f, "map", "must be an array, not an object");
    assert_int_equal(json_get(f->v, "absent", JSON_ARRAY, &out, &f->why), ERR_MISSING_FIELD);
    expect_why(f, "absent", "missing");
    assert_int_equal(json_get(json_find(f->v, "list"), "x", JSON_ARRAY, &out, &f->why),
                     ERR_INVALID_TYPE);
    assert_null(out);
}

static void texts_and_booleans(void **state)
{
    struct fixture *f = *state;
    struct slice text = SLICE_LIT("before");
    assert_int_equal(json_get_text(f->v, "nil", &text, &f->why), ERR_INVALID_TYPE);
    expect_why(f, "nil", "must be a string, not null");
    assert_int_equal(json_get_text(f->v, "n", &text, NULL), ERR_INVALID_TYPE);
    assert_true(slice_equal_text(text, "before"));
    assert_int_equal(json_get_text(f->v, "text", &text, &f->why), OK);
    assert_true(slice_equal_text(text, "abc"));
    assert_int_equal(json_get_text(f->v, "empty", &text, &f->why), OK);
    assert_int_equal(text.len, 0);

    bool flag = false;
    assert_int_equal(json_get_bool(f->v, "yes", &flag, &f->why), OK);
    assert_true(flag);
    assert_int_equal(json_get_bool(f->v, "n", &flag, &f->why), ERR_INVALID_TYPE);
    expect_why(f, "n", "true or false, not a number");
    assert_true(flag);
    assert_int_equal(json_get_bool(f->v, "no", &flag, &f->why), OK);
    assert_false(flag);
    assert_int_equal(json_get_bool(f->v, "absent", &flag, &f->why), ERR_MISSING_FIELD);
}

static void integers_of_64_bits(void **state)
{
    struct fixture *f = *state;
    uint64_t n = 7;
    assert_int_equal(json_get_u64(f->v, "u64_over", &n, &f->why), ERR_AMOUNT_OVERFLOW);
    expect_why(f, "u64_over", "18446744073709551615");
    assert_int_equal(json_get_u64(f->v, "negative", &n, &f->why), ERR_INVALID_AMOUNT);
    expect_why(f, "negative", "no sign");
    assert_int_equal(json_get_u64(f->v, "fraction", &n, &f->why), ERR_INVALID_AMOUNT);
    assert_int_equal(json_get_u64(f->v, "exponent", &n, &f->why), ERR_INVALID_AMOUNT);
    assert_int_equal(json_get_u64(f->v, "hex", &n, &f->why), ERR_INVALID_AMOUNT);
    assert_int_equal(json_get_u64(f->v, "blank", &n, &f->why), ERR_INVALID_AMOUNT);
    assert_int_equal(json_get_u64(f->v, "empty", &n, &f->why), ERR_INVALID_AMOUNT);
    assert_int_equal(json_get_u64(f->v, "yes", &n, &f->why), ERR_INVALID_TYPE);
    assert_int_equal(json_get_u64(f->v, "absent", &n, &f->why), ERR_MISSING_FIELD);
    assert_int_equal(n, 7);
    assert_int_equal(json_get_u64(f->v, "n", &n, &f->why), OK);
    assert_int_equal(n, 42);
    assert_int_equal(json_get_u64(f->v, "u64", &n, &f->why), OK);
    assert_true(n == UINT64_MAX);
    assert_int_equal(json_get_u64(f->v, "n_text", &n, &f->why), OK);
    assert_int_equal(n, 42);
}

static void integers_of_256_bits(void **state)
{
    struct fixture *f = *state;
    struct u256 n = u256_from_u64(7);
    assert_int_equal(json_get_u256(f->v, "big_over", &n, &f->why), ERR_AMOUNT_OVERFLOW);
    assert_int_equal(json_get_u256(f->v, "fraction", &n, &f->why), ERR_INVALID_AMOUNT);
    assert_int_equal(json_get_u256(f->v, "list", &n, &f->why), ERR_INVALID_TYPE);
    assert_true(u256_equal(n, u256_from_u64(7)));
    assert_int_equal(json_get_u256(f->v, "big", &n, &f->why), OK);
    assert_true(u256_equal(n, U256_MAX));
    n = U256_ZERO;
    assert_int_equal(json_get_u256(f->v, "big_text", &n, &f->why), OK);
    assert_true(u256_equal(n, U256_MAX));
    assert_int_equal(json_get_u256(f->v, "u64_over", &n, &f->why), OK);
    assert_true(u256_equal(n, (struct u256){{0, 1, 0, 0}}));
}

static void times(void **state)
{
    struct fixture *f = *state;
    int64_t at = 7;
    assert_int_equal(json_get_time(f->v, "text", &at, &f->why), ERR_INVALID_TIME);
    expect_why(f, "text", "2026-11-22T05:20:40Z");
    assert_int_equal(json_get_time(f->v, "at_msec", &at, &f->why), ERR_INVALID_TIME);
    expect_why(f, "at_msec", "not milliseconds");
    assert_int_equal(json_get_time(f->v, "at_over", &at, &f->why), ERR_INVALID_TIME);
    assert_int_equal(json_get_time(f->v, "negative", &at, &f->why), ERR_INVALID_TIME);
    assert_int_equal(json_get_time(f->v, "fraction", &at, &f->why), ERR_INVALID_TIME);
    assert_int_equal(json_get_time(f->v, "nil", &at, &f->why), ERR_INVALID_TYPE);
    assert_int_equal(at, 7);
    assert_int_equal(json_get_time(f->v, "at", &at, &f->why), OK);
    assert_int_equal(at, 1795324840000000);
    at = 0;
    assert_int_equal(json_get_time(f->v, "at_sec", &at, &f->why), OK);
    assert_int_equal(at, 1795324840000000);
    assert_int_equal(json_get_time(f->v, "at_last", &at, &f->why), OK);
    assert_int_equal(at, 253402300799000000);
}

static void unknown_members_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct json *v = NULL;
    static const char *const keys[] = {"a", "b", NULL};
    static const char *const none[] = {NULL};
    assert_int_equal(json_parse(&f->arena, SLICE_LIT("{\"b\":1}"), &json_limits_body, &v, NULL),
                     OK);
    assert_int_equal(json_only(v, keys, &f->why), OK);
    assert_int_equal(json_only(v, none, &f->why), ERR_UNKNOWN_FIELD);
    expect_why(f, "b", "not a known field");
    assert_int_equal(
        json_parse(&f->arena, SLICE_LIT("{\"a\":1,\"bb\":1}"), &json_limits_body, &v, NULL), OK);
    assert_int_equal(json_only(v, keys, &f->why), ERR_UNKNOWN_FIELD);
    expect_why(f, "bb", "not a known field");
    assert_int_equal(json_only(json_find(f->v, "list"), keys, &f->why), ERR_INVALID_TYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_have_their_type, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_and_booleans, setup, teardown),
        cmocka_unit_test_setup_teardown(integers_of_64_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(integers_of_256_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(times, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_members_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
