#include "kernel/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernel/base/mem.h"

struct fixture {
    struct arena arena;
    struct buf out;
    struct json_out j;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    arena_init(&f->arena, 0);
    buf_init(&f->out, &f->arena, 0);
    json_out_init(&f->j, &f->out);
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

static const char *written(struct fixture *f)
{
    buf_add_byte(&f->out, 0);
    f->out.len--;
    return (const char *)f->out.ptr;
}

static const char *escaped(struct fixture *f, struct slice text)
{
    f->out.len = 0;
    json_escape(&f->out, text);
    return written(f);
}

static void escapes_follow_the_standard(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(escaped(f, SLICE_EMPTY), "\"\"");
    assert_string_equal(escaped(f, SLICE_LIT("a/b'c\x7f")), "\"a/b'c\x7f\"");
    assert_string_equal(escaped(f, SLICE_LIT("\"\\")), "\"\\\"\\\\\"");
    assert_string_equal(escaped(f, SLICE_LIT("\b\f\n\r\t")), "\"\\b\\f\\n\\r\\t\"");
    assert_string_equal(escaped(f, SLICE_LIT("\0\x01\x0b\x1f")),
                        "\"\\u0000\\u0001\\u000b\\u001f\"");
    assert_string_equal(escaped(f, SLICE_LIT("\xe2\x80\xa8\xe2\x80\xa9")),
                        "\"\xe2\x80\xa8\xe2\x80\xa9\"");
    assert_string_equal(escaped(f, SLICE_LIT("\xc2\x80\xf4\x8f\xbf\xbf")),
                        "\"\xc2\x80\xf4\x8f\xbf\xbf\"");
}

#define FFFD "\xef\xbf\xbd"

static void bad_utf8_is_replaced(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(escaped(f, SLICE_LIT("a\xff"
                                             "b")),
                        "\"a" FFFD "b\"");
    assert_string_equal(escaped(f, SLICE_LIT("\xc3")), "\"" FFFD "\"");
    assert_string_equal(escaped(f, SLICE_LIT("\xc3\"")), "\"" FFFD "\\\"\"");
    assert_string_equal(escaped(f, SLICE_LIT("\xc0\x80")), "\"" FFFD FFFD "\"");
    assert_string_equal(escaped(f, SLICE_LIT("\xed\xa0\x80")), "\"" FFFD FFFD FFFD "\"");
    assert_string_equal(escaped(f, SLICE_LIT("\xf0\x9f\x98\n")), "\"" FFFD FFFD FFFD "\\n\"");
    assert_string_equal(escaped(f, SLICE_LIT("\xf4\x90\x80\x80")), "\"" FFFD FFFD FFFD FFFD "\"");
}

/* Any three bytes inside a string give a document that reads back, all 2^24 of them sampled. */
static void any_bytes_give_valid_json(void **state)
{
    struct fixture *f = *state;
    for (uint32_t bits = 0; bits < 1 << 24; bits += 251) {
        const uint8_t bytes[] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
        arena_clear(&f->arena);
        buf_init(&f->out, &f->arena, 0);
        json_escape(&f->out, slice_of(bytes, sizeof(bytes)));
        const struct json *v = NULL;
        assert_int_equal(json_parse(&f->arena, buf_slice(&f->out), &json_limits_body, &v, NULL),
                         OK);
        if (slice_is_utf8(slice_of(bytes, sizeof(bytes)))) {
            assert_true(slice_equal(v->text, slice_of(bytes, sizeof(bytes))));
        }
    }
}

static void values_are_separated(void **state)
{
    struct fixture *f = *state;
    struct json_out *j = &f->j;
    json_begin_object(j);
    json_key(j, "a");
    json_begin_array(j);
    json_end_array(j);
    json_key(j, "b");
    json_begin_array(j);
    json_u64(j, 1);
    json_begin_object(j);
    json_end_object(j);
    json_begin_object(j);
    json_key_slice(j, SLICE_LIT("k\"\n"));
    json_null(j);
    json_key(j, "l");
    json_bool(j, true);
    json_end_object(j);
    json_bool(j, false);
    json_end_array(j);
    json_key(j, "c");
    json_string(j, SLICE_LIT("x\"y"));
    json_key(j, "d");
    json_text(j, NULL);
    json_key(j, "e");
    json_text(j, "t");
    json_key(j, "f");
    json_raw(j, SLICE_LIT("[1,2]"));
    json_end_object(j);
    assert_string_equal(written(f), "{\"a\":[],\"b\":[1,{},{\"k\\\"\\n\":null,\"l\":true},false],"
                                    "\"c\":\"x\\\"y\",\"d\":null,\"e\":\"t\",\"f\":[1,2]}");
}

static void numbers_stay_where_javascript_can_hold_them(void **state)
{
    struct fixture *f = *state;
    struct json_out *j = &f->j;
    json_begin_array(j);
    json_u64(j, 0);
    json_u64(j, 9007199254740991);
    json_u64(j, 9007199254740992);
    json_u64(j, UINT64_MAX);
    json_i64(j, -9007199254740991);
    json_i64(j, -9007199254740992);
    json_i64(j, INT64_MIN);
    json_i64(j, INT64_MAX);
    json_u256(j, U256_ZERO);
    json_u256(j, U256_MAX);
    json_quantity(j, U256_ZERO);
    json_quantity(j, u256_from_u64(26));
    json_hex(j, SLICE_LIT("\x00\xab"));
    json_hex(j, SLICE_EMPTY);
    json_time(j, 1795324840123456);
    json_end_array(j);
    assert_string_equal(
        written(f),
        "[0,9007199254740991,\"9007199254740992\",\"18446744073709551615\",-9007199254740991,"
        "\"-9007199254740992\",\"-9223372036854775808\",\"9223372036854775807\",\"0\","
        "\"115792089237316195423570985008687907853269984665640564039457584007913129639935\","
        "\"0x0\",\"0x1a\",\"0x00ab\",\"0x\",\"2026-11-22T05:20:40.123Z\"]");
}

static void trees_are_written_as_they_were_read(void **state)
{
    struct fixture *f = *state;
    const struct json *v = NULL;
    struct slice text = SLICE_LIT(
        " { \"z\" : [ 1.50 , -0 , 1E+400, 123456789012345678901234567890 ] , \"a\" : { } ,"
        "\"\\u0061b\" : \"\\u00e9\\/\\u2028\\u0007\", \"t\":true,\"f\":false,\"n\":null, \"e\":[] "
        "}");
    assert_int_equal(json_parse(&f->arena, text, &json_limits_body, &v, NULL), OK);
    json_begin_array(&f->j);
    json_tree(&f->j, v);
    json_tree(&f->j, json_find(v, "t"));
    json_end_array(&f->j);
    assert_string_equal(written(f),
                        "[{\"z\":[1.50,-0,1E+400,123456789012345678901234567890],\"a\":{},"
                        "\"ab\":\"\xc3\xa9/\xe2\x80\xa8\\u0007\",\"t\":true,\"f\":false,"
                        "\"n\":null,\"e\":[]},true]");
}

static void documents_start_anywhere_in_a_buffer(void **state)
{
    struct fixture *f = *state;
    buf_add_text(&f->out, "data: ");
    json_out_init(&f->j, &f->out);
    json_u64(&f->j, 5);
    buf_add_byte(&f->out, '\n');
    json_out_init(&f->j, &f->out);
    json_bool(&f->j, false);
    assert_string_equal(written(f), "data: 5\nfalse");
}

static void nesting_reaches_its_limit(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < JSON_OUT_DEPTH; i++) {
        json_begin_array(&f->j);
    }
    json_u64(&f->j, 1);
    json_u64(&f->j, 2);
    for (int i = 0; i < JSON_OUT_DEPTH; i++) {
        json_end_array(&f->j);
    }
    assert_int_equal(f->out.len, 2 * JSON_OUT_DEPTH + 3);
}

static void value_without_key(struct json_out *j)
{
    json_begin_object(j);
    json_u64(j, 1);
}

static void key_in_array(struct json_out *j)
{
    json_begin_array(j);
    json_key(j, "a");
}

static void two_keys(struct json_out *j)
{
    json_begin_object(j);
    json_key(j, "a");
    json_key(j, "b");
}

static void key_without_value(struct json_out *j)
{
    json_begin_object(j);
    json_key(j, "a");
    json_end_object(j);
}

static void wrong_end(struct json_out *j)
{
    json_begin_object(j);
    json_end_array(j);
}

static void end_of_nothing(struct json_out *j)
{
    json_end_object(j);
}

static void two_documents(struct json_out *j)
{
    json_null(j);
    json_null(j);
}

static void too_deep(struct json_out *j)
{
    for (int i = 0; i <= JSON_OUT_DEPTH; i++) {
        json_begin_array(j);
    }
}

/* Misnesting is a bug of ours: the process stops instead of sending something that is not JSON. */
static void misnesting_stops_the_process(void **state)
{
    struct fixture *f = *state;
    static void (*const misuses[])(struct json_out *) = {
        value_without_key, key_in_array,   two_keys,      key_without_value,
        wrong_end,         end_of_nothing, two_documents, too_deep,
    };
    for (size_t i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)!freopen("/dev/null", "w", stderr);
            json_out_init(&f->j, &f->out);
            misuses[i](&f->j);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(escapes_follow_the_standard, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_utf8_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(any_bytes_give_valid_json, setup, teardown),
        cmocka_unit_test_setup_teardown(values_are_separated, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_stay_where_javascript_can_hold_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(trees_are_written_as_they_were_read, setup, teardown),
        cmocka_unit_test_setup_teardown(documents_start_anywhere_in_a_buffer, setup, teardown),
        cmocka_unit_test_setup_teardown(nesting_reaches_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(misnesting_stops_the_process, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
