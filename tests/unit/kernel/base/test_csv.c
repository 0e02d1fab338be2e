/*
 * Comma-separated values: what RFC 4180 section 2 shows, rule by rule, and what it forbids.
 */
#include "kernel/base/csv.h"
#include "unit/test.h"

static struct arena arena;

static int set_up(void **state)
{
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    arena_free(&arena);
    return 0;
}

/* Records as "line:field|field", one a line, and the refusal last. */
static void reads(struct slice text, const char *wanted)
{
    struct csv csv;
    struct csv_record *r = arena_alloc(&arena, sizeof *r);
    struct why why = {.err = OK};
    struct buf b;
    bool found = true;
    enum err e = OK;
    buf_init(&b, &arena, 256);
    csv_init(&csv, text);
    for (;;) {
        e = csv_next(&csv, &arena, r, &found, &why);
        if (e != OK || !found) {
            break;
        }
        buf_format(&b, "%llu:", (unsigned long long)r->line);
        for (size_t i = 0; i < r->count; i++) {
            buf_format(&b, "%s%.*s", i > 0 ? "|" : "", SLICE_ARG(r->fields[i]));
        }
        buf_add_byte(&b, '\n');
    }
    if (e != OK) {
        assert_int_equal(e, ERR_INVALID_ENCODING);
        buf_add_text(&b, why_text(&why, e));
    }
    assert_string_equal(slice_cstr(&arena, buf_slice(&b)), wanted);
}

#define READS(text, wanted) reads(SLICE_LIT(text), wanted)

static void test_the_rules(void **state)
{
    READS("aaa,bbb,ccc\r\nzzz,yyy,xxx\r\n", "1:aaa|bbb|ccc\n2:zzz|yyy|xxx\n");
    READS("aaa,bbb,ccc\r\nzzz,yyy,xxx", "1:aaa|bbb|ccc\n2:zzz|yyy|xxx\n");
    READS("\"aaa\",\"bbb\",\"ccc\"\r\nzzz,yyy,xxx", "1:aaa|bbb|ccc\n2:zzz|yyy|xxx\n");
    READS("\"aaa\",\"b\r\nbb\",\"ccc\"\r\nzzz,yyy,xxx", "1:aaa|b\r\nbb|ccc\n3:zzz|yyy|xxx\n");
    READS("\"aaa\",\"b\"\"bb\",\"ccc\"", "1:aaa|b\"bb|ccc\n");
}

static void test_edges(void **state)
{
    READS("", "");
    READS("\n", "1:\n");
    READS("a\n\nb\n", "1:a\n2:\n3:b\n");
    READS(",", "1:|\n");
    READS("a,\n,b\n", "1:a|\n2:|b\n");
    READS("\"\",\"\"\"\"\n", "1:|\"\n");
    READS(" a , b \n", "1: a | b \n");
    READS("\"a,b\"\n", "1:a,b\n");
    READS("\"a\"", "1:a\n");
    READS("\xef\xbb\xbf"
          "a\n",
          "1:a\n");
    READS("\xc3\xa9,\"\xc3\xa9\"\n", "1:\xc3\xa9|\xc3\xa9\n");
    READS("\"x\ry\"\n", "1:x\ry\n");
}

static void test_refuses(void **state)
{
    READS("a\nb\"c\n", "1:a\nLine 2: a quote inside of a field that is not quoted.");
    READS("\"a\"b\n", "Line 1: text behind a closing quote.");
    READS("\"a\" ,b\n", "Line 1: text behind a closing quote.");
    READS("\"a\"\rb\n", "Line 1: text behind a closing quote.");
    READS("x\n\"a\nb\n", "1:x\nLine 2: a quote that is not closed.");
    READS("\"a\"\"", "Line 1: a quote that is not closed.");
    READS("\"", "Line 1: a quote that is not closed.");
    READS("a\rb\n", "Line 1: a carriage return without a line feed.");
    READS("a\r", "Line 1: a carriage return without a line feed.");
    READS("a\0b\n", "Line 1: a field that is not UTF-8 text.");
    READS("\xff\n", "Line 1: a field that is not UTF-8 text.");
    READS("\"\xed\xa0\x80\"\n", "Line 1: a field that is not UTF-8 text.");
}

static void test_limit(void **state)
{
    struct csv csv;
    struct csv_record *r = arena_alloc(&arena, sizeof *r);
    struct why why;
    bool found = false;
    static char text[CSV_FIELDS_MAX + 1];
    memset(text, ',', sizeof text);
    csv_init(&csv, slice_of(text, CSV_FIELDS_MAX - 1));
    assert_int_equal(csv_next(&csv, &arena, r, &found, &why), OK);
    assert_int_equal(r->count, CSV_FIELDS_MAX);
    csv_init(&csv, slice_of(text, CSV_FIELDS_MAX));
    assert_int_equal(csv_next(&csv, &arena, r, &found, &why), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_rules, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_edges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
