/*
 * The lists of documents follow the grammar of RFC 8259 section by section: what each production
 * allows at its edges, and the nearest text that it does not.
 */
#include "kernel/base/json.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernel/base/clock.h"
#include "kernel/base/mem.h"

struct doc {
    const char *text;
    size_t len;
};
#define DOC(literal)                                                                               \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

static const struct doc accepted[] = {
    /* values at the top */
    DOC("null"),
    DOC("true"),
    DOC("false"),
    DOC("0"),
    DOC("\"\""),
    DOC("[]"),
    DOC("{}"),
    DOC(" \t\r\n[ ]\n"),
    DOC("\n{\t}\r"),
    DOC(" 7 "),
    DOC("\"a\" "),
    /* arrays and objects */
    DOC("[1]"),
    DOC("[1,2]"),
    DOC("[[]]"),
    DOC("[[],{}]"),
    DOC("[null,true,false]"),
    DOC("[ 1 , \"x\" , [ ] , { } ]"),
    DOC("{\"a\":1}"),
    DOC("{\"a\":{\"a\":{\"a\":{}}}}"),
    DOC("{ \"a\" : [ ] , \"b\" : null }"),
    DOC("{\"\":0}"),
    DOC("{\"a\\u0000b\":0}"),
    DOC("{\"a\":1,\"A\":2}"),
    DOC("[{\"a\":1},{\"a\":1}]"),
    DOC("{\"\\u00e9\":1,\"e\\u0301\":2}"),
    /* numbers */
    DOC("-0"),
    DOC("-1"),
    DOC("10"),
    DOC("0.0"),
    DOC("0.10"),
    DOC("-0.5"),
    DOC("1e1"),
    DOC("1E1"),
    DOC("1e+1"),
    DOC("1e-1"),
    DOC("0e0"),
    DOC("1.5e00"),
    DOC("123456789012345678901234567890"),
    DOC("18446744073709551616"),
    DOC("1e999999"),
    DOC("-1e-999999"),
    DOC("0.1234567890123456789012345678901234567890"),
    DOC("[0,-0,1]"),
    DOC("{\"a\":0}"),
    /* strings */
    DOC("\" \""),
    DOC("\"\\\"\""),
    DOC("\"\\\\\""),
    DOC("\"\\/\""),
    DOC("\"/\""),
    DOC("\"\\b\\f\\n\\r\\t\""),
    DOC("\"\\u0000\""),
    DOC("\"\\u001F\""),
    DOC("\"\\uABCD\""),
    DOC("\"\\uabcd\""),
    DOC("\"\\ud83d\\ude00\""),
    DOC("\"\\uDBFF\\uDFFF\""),
    DOC("\"\x7f\""),
    DOC("\"\xc2\x80\""),
    DOC("\"\xdf\xbf\""),
    DOC("\"\xe0\xa0\x80\""),
    DOC("\"\xed\x9f\xbf\""),
    DOC("\"\xee\x80\x80\""),
    DOC("\"\xef\xbf\xbf\""),
    DOC("\"\xf0\x90\x80\x80\""),
    DOC("\"\xf4\x8f\xbf\xbf\""),
    DOC("\"\xe2\x80\xa8\xe2\x80\xa9\""),
    DOC("\"\xef\xbb\xbf\""),
    DOC("\"[1,2]{:}\""),
    DOC("\"\\\\\\\"\\\\\""),
    DOC("[\"\\\\\",\"\\\\\\\\\"]"),
    DOC("\"0123456789012345678901234567890123456789012345678901234567890123456789\""),
    DOC("\"012345678901234567890123456789012345678901234567890123456789012\\\"x\""),
};

static const struct doc refused[] = {
    /* nothing, or more than one */
    DOC(""),
    DOC(" "),
    DOC("\n\t\r "),
    DOC("1 2"),
    DOC("1,"),
    DOC(",1"),
    DOC("[]]"),
    DOC("[][]"),
    DOC("{}{}"),
    DOC("{}}"),
    DOC("null null"),
    DOC("\"a\"\"b\""),
    DOC("\"a\" x"),
    DOC("[1]x"),
    DOC("{} \0"),
    DOC("\0"),
    DOC("1\0"),
    DOC("[1]\0"),
    DOC("\xef\xbb\xbf{}"),
    DOC("{}\xff"),
    /* arrays */
    DOC("["),
    DOC("]"),
    DOC("[1"),
    DOC("[1,"),
    DOC("[,"),
    DOC("[,1]"),
    DOC("[1,]"),
    DOC("[1,,2]"),
    DOC("[1 2]"),
    DOC("[1;2]"),
    DOC("[:]"),
    DOC("[\"a\":1]"),
    DOC("[\"a\",\"b\":"),
    DOC("[1}"),
    DOC("[1,2]:"),
    DOC("[1,2]::::"),
    DOC("[[]"),
    DOC("[\"a\"1]"),
    DOC("[1\"a\"]"),
    DOC("[\"a\"[]]"),
    DOC("[{}"),
    DOC("[x]"),
    DOC("[\v1]"),
    DOC("[\f]"),
    DOC("[\xc2\xa0]"),
    DOC("[\xe2\x80\x89]"),
    DOC("[#1]"),
    DOC("[1/**/]"),
    DOC("[1]//"),
    DOC("('a')"),
    /* objects */
    DOC("{"),
    DOC("}"),
    DOC("{\"a\""),
    DOC("{\"a\":"),
    DOC("{\"a\":1"),
    DOC("{\"a\":1,"),
    DOC("{\"a\":1,}"),
    DOC("{,}"),
    DOC("{,\"a\":1}"),
    DOC("{\"a\"}"),
    DOC("{\"a\",1}"),
    DOC("{\"a\" 1}"),
    DOC("{\"a\"::1}"),
    DOC("{:1}"),
    DOC("{1:1}"),
    DOC("{a:1}"),
    DOC("{'a':1}"),
    DOC("{null:1}"),
    DOC("{[]:1}"),
    DOC("{\"a\":1 \"b\":2}"),
    DOC("{\"a\":1]"),
    DOC("{\"a\":}"),
    DOC("{\"a\":1,,\"b\":2}"),
    DOC("{\"a\":1:2}"),
    DOC("{\"a\":\"b\":\"c\"}"),
    DOC("{\"a\":{]}"),
    DOC("{\"a\":1,\"a\":2}"),
    DOC("{\"a\":1,\"\\u0061\":2}"),
    DOC("{\"\":1,\"\":1}"),
    /* literals */
    DOC("nul"),
    DOC("nulll"),
    DOC("Null"),
    DOC("NULL"),
    DOC("tru"),
    DOC("truee"),
    DOC("True"),
    DOC("fals"),
    DOC("falsee"),
    DOC("n"),
    DOC("t"),
    DOC("f"),
    DOC("undefined"),
    DOC("nan"),
    DOC("true1"),
    DOC("nu ll"),
    DOC("null\"\""),
    DOC("[true\"a\"]"),
    /* numbers */
    DOC("+1"),
    DOC("-"),
    DOC("--1"),
    DOC("01"),
    DOC("-01"),
    DOC("00"),
    DOC("1."),
    DOC(".1"),
    DOC("-.1"),
    DOC("1.e1"),
    DOC("1e"),
    DOC("1e+"),
    DOC("1E-"),
    DOC("1e1.5"),
    DOC("1.2.3"),
    DOC("0x1"),
    DOC("1a"),
    DOC("1_000"),
    DOC("1,000"),
    DOC("NaN"),
    DOC("Infinity"),
    DOC("-Infinity"),
    DOC("1e1e1"),
    DOC("- 1"),
    DOC("1 .5"),
    DOC("1-1"),
    DOC("0b1"),
    DOC("0o7"),
    DOC("\xef\xbc\x91"),
    DOC("1+"),
    DOC("1\""),
    /* strings */
    DOC("\""),
    DOC("\"a"),
    DOC("a\""),
    DOC("'a'"),
    DOC("\"\\\""),
    DOC("\"\\\\\\\""),
    DOC("\"\\x\""),
    DOC("\"\\a\""),
    DOC("\"\\0\""),
    DOC("\"\\'\""),
    DOC("\"\\U0041\""),
    DOC("\"\\u\""),
    DOC("\"\\u1\""),
    DOC("\"\\u123\""),
    DOC("\"\\u123g\""),
    DOC("\"\\u 123\""),
    DOC("\"\\ \""),
    DOC("\"\n\""),
    DOC("\"\t\""),
    DOC("\"\r\""),
    DOC("\"\0\""),
    DOC("\"\x1f\""),
    DOC("\"a\\"),
    DOC("\"\\\n\""),
    /* surrogates without a partner have no UTF-8 form */
    DOC("\"\\ud800\""),
    DOC("\"\\udc00\""),
    DOC("\"\\udfff\\ud800\""),
    DOC("\"\\ud800\\u0041\""),
    DOC("\"\\ud800x\""),
    DOC("\"\\ud800\\ud800\""),
    DOC("\"\\ud83d\\ude0\""),
    DOC("\"\\ud83d\\n\""),
    /* bytes that are not UTF-8 */
    DOC("\"\x80\""),
    DOC("\"\xbf\""),
    DOC("\"\xc0\x80\""),
    DOC("\"\xc1\xbf\""),
    DOC("\"\xc2\""),
    DOC("\"\xe0\x9f\xbf\""),
    DOC("\"\xe2\x80\""),
    DOC("\"\xed\xa0\x80\""),
    DOC("\"\xed\xbf\xbf\""),
    DOC("\"\xf0\x8f\xbf\xbf\""),
    DOC("\"\xf4\x90\x80\x80\""),
    DOC("\"\xf5\x80\x80\x80\""),
    DOC("\"\xff\""),
    DOC("\"\xfe\xff\""),
    DOC("\"\xf0\x9f\x98\""),
    DOC("\xff\xfe[\0]\0"),
    DOC("[\xe5]"),
    DOC("{\"\xc3\x28\":1}"),
};

struct fixture {
    struct arena arena;
    struct why why;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    arena_init(&f->arena, 0);
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

/* Parses from memory that ends exactly where the text does, so that ASan sees any read beyond. */
static enum err parse_bytes(struct fixture *f, const void *text, size_t len,
                            const struct json_limits *limits, const struct json **out)
{
    uint8_t *tight = mem_alloc(len ? len : 1);
    memcpy(tight, text, len);
    enum err e = json_parse(&f->arena, slice_of(tight, len), limits, out, &f->why);
    mem_free(tight);
    return e;
}

static enum err parse(struct fixture *f, const char *text, const struct json **out)
{
    return parse_bytes(f, text, strlen(text), &json_limits_body, out);
}

static const struct json *must_parse(struct fixture *f, const char *text)
{
    const struct json *v = NULL;
    assert_int_equal(parse(f, text, &v), OK);
    assert_non_null(v);
    return v;
}

#define assert_slice(s, literal)                                                                   \
    do {                                                                                           \
        struct slice actual_ = (s);                                                                \
        assert_int_equal(actual_.len, sizeof(literal) - 1);                                        \
        assert_memory_equal(actual_.ptr, literal, sizeof(literal) - 1);                            \
    } while (0)

static void grammar_accepts(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        const struct json *v = NULL;
        enum err e = parse_bytes(f, accepted[i].text, accepted[i].len, &json_limits_body, &v);
        if (e) {
            fail_msg("refused: %s (%s)", accepted[i].text, f->why.text);
        }
        assert_non_null(v);
        arena_clear(&f->arena);
    }
}

static void grammar_refuses(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const struct json *v = NULL;
        f->why.text[0] = '\0';
        enum err e = parse_bytes(f, refused[i].text, refused[i].len, &json_limits_body, &v);
        if (e != ERR_INVALID_JSON) {
            fail_msg("document %zu gave %s: %s", i, err_code(e), refused[i].text);
        }
        assert_null(v);
        assert_int_not_equal(f->why.text[0], '\0');
        arena_clear(&f->arena);
    }
}

/* Each document moved through all offsets of a 64-byte block, where vector code has its seams. */
static void grammar_holds_at_each_offset(void **state)
{
    struct fixture *f = *state;
    char text[256];
    for (size_t pad = 1; pad < 70; pad++) {
        memset(text, ' ', sizeof(text));
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
            const struct json *v = NULL;
            memcpy(text + pad, refused[i].text, refused[i].len);
            enum err e = parse_bytes(f, text, pad + refused[i].len, &json_limits_body, &v);
            assert_int_equal(e, ERR_INVALID_JSON);
        }
        for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
            const struct json *v = NULL;
            memcpy(text + pad, accepted[i].text, accepted[i].len);
            enum err e = parse_bytes(f, text, pad + accepted[i].len, &json_limits_body, &v);
            assert_int_equal(e, OK);
        }
        arena_clear(&f->arena);
    }
}

static void tree_has_the_shape_of_the_text(void **state)
{
    struct fixture *f = *state;
    const struct json *v =
        must_parse(f, " {\"a\" : [1, {\"b\":null}, \"x\"], \"c\":true, \"d\":{}, \"e\":false} ");
    assert_int_equal(v->type, JSON_OBJECT);
    assert_int_equal(v->count, 4);
    assert_null(v->next);
    const struct json *a = v->child;
    assert_slice(a->key, "a");
    assert_int_equal(a->type, JSON_ARRAY);
    assert_int_equal(a->count, 3);
    assert_int_equal(json_at(a, 0)->type, JSON_NUMBER);
    assert_int_equal(json_at(a, 0)->key.len, 0);
    const struct json *inner = json_at(a, 1);
    assert_int_equal(inner->type, JSON_OBJECT);
    assert_slice(inner->child->key, "b");
    assert_int_equal(inner->child->type, JSON_NULL);
    assert_slice(json_at(a, 2)->text, "x");
    assert_int_equal(json_at(a, 2)->key.len, 0);
    assert_null(json_at(a, 2)->next);
    assert_null(json_at(a, 3));
    assert_int_equal(json_find(v, "c")->type, JSON_TRUE);
    assert_int_equal(json_find(v, "d")->count, 0);
    assert_null(json_find(v, "d")->child);
    assert_int_equal(json_find(v, "e")->type, JSON_FALSE);
    assert_null(json_find(v, "b"));
    assert_null(json_find(a, "b"));
    assert_null(json_find(NULL, "b"));
    assert_null(json_at(v, 0));
    assert_null(json_at(NULL, 0));
}

static void numbers_keep_their_text(void **state)
{
    struct fixture *f = *state;
    const struct json *v = must_parse(
        f, "[115792089237316195423570985008687907853269984665640564039457584007913129639935 ,"
           "-0, 1.50e+007,\n12345678901234567890123\n]");
    assert_slice(json_at(v, 0)->text,
                 "115792089237316195423570985008687907853269984665640564039457584007913129639935");
    assert_slice(json_at(v, 1)->text, "-0");
    assert_slice(json_at(v, 2)->text, "1.50e+007");
    assert_slice(json_at(v, 3)->text, "12345678901234567890123");
}

static void strings_are_unescaped(void **state)
{
    struct fixture *f = *state;
    const struct json *v =
        must_parse(f, "{\"k\\u0065y\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"u\":\"\\u0041\\u00e9\\u20AC"
                      "\\ud83d\\uDE00|\\u0000|\xc3\xa9\" , \"tail\":\"plain\"}");
    assert_slice(json_find(v, "key")->text, "\"\\/\b\f\n\r\t");
    assert_slice(json_find(v, "u")->text, "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80|\0|\xc3\xa9");
    assert_slice(json_find(v, "tail")->text, "plain");
}

static void refusals_say_where(void **state)
{
    struct fixture *f = *state;
    const struct json *v = NULL;
    assert_int_equal(parse(f, "{\"a\": 01}", &v), ERR_INVALID_JSON);
    assert_non_null(strstr(f->why.text, "byte 6"));
    assert_int_equal(parse(f, "[1, 2 3]", &v), ERR_INVALID_JSON);
    assert_non_null(strstr(f->why.text, "',' or ']' at byte 6"));
    assert_int_equal(parse(f, "[1,", &v), ERR_INVALID_JSON);
    assert_non_null(strstr(f->why.text, "ends"));
    assert_int_equal(parse(f, "[1] x", &v), ERR_INVALID_JSON);
    assert_non_null(strstr(f->why.text, "to end at byte 4"));
    assert_int_equal(parse(f, "[\"\\\"\", \"a\nb\"]", &v), ERR_INVALID_JSON);
    assert_non_null(strstr(f->why.text, "byte 9"));
    assert_int_equal(parse(f, "[\"a\", \"b]", &v), ERR_INVALID_JSON);
    assert_non_null(strstr(f->why.text, "byte 6"));
    assert_int_equal(parse(f, "{\"amount\":1,\"amount\":2}", &v), ERR_INVALID_JSON);
    assert_non_null(strstr(f->why.text, "\"amount\" twice"));
    assert_null(v);
}

static void limit_of_bytes(void **state)
{
    struct fixture *f = *state;
    struct json_limits limits = {.bytes_max = 8, .depth_max = 2, .nodes_max = 4};
    const struct json *v = NULL;
    assert_int_equal(parse_bytes(f, "[1     ]", 8, &limits, &v), OK);
    v = NULL;
    assert_int_equal(parse_bytes(f, "[1      ]", 9, &limits, &v), ERR_LIMIT);
    assert_null(v);
}

static void limit_of_nodes(void **state)
{
    struct fixture *f = *state;
    struct json_limits limits = {.bytes_max = 1000, .depth_max = 4, .nodes_max = 4};
    const struct json *v = NULL;
    assert_int_equal(parse_bytes(f, "[1,2,3]", 7, &limits, &v), OK);
    assert_int_equal(parse_bytes(f, "{\"a\":1,\"b\":{\"c\":2}}", 19, &limits, &v), OK);
    v = NULL;
    assert_int_equal(parse_bytes(f, "[1,2,3,4]", 9, &limits, &v), ERR_LIMIT);
    assert_null(v);
}

static void limit_of_depth(void **state)
{
    struct fixture *f = *state;
    struct json_limits limits = {.bytes_max = 1000, .depth_max = 3, .nodes_max = 100};
    const struct json *v = NULL;
    assert_int_equal(parse_bytes(f, "[[{}],[[]],[1,{\"a\":1}]]", 23, &limits, &v), OK);
    v = NULL;
    assert_int_equal(parse_bytes(f, "[[[[]]]]", 8, &limits, &v), ERR_LIMIT);
    assert_int_equal(parse_bytes(f, "[[{\"a\":[]}]]", 12, &limits, &v), ERR_LIMIT);
    assert_null(v);
}

/* A million brackets must be answered by the limit, with neither stack nor memory spent. */
static void deep_nesting_is_harmless(void **state)
{
    struct fixture *f = *state;
    size_t len = 1000000;
    char *text = mem_alloc(len);
    memset(text, '[', len);
    struct json_limits limits = {.bytes_max = len, .depth_max = JSON_DEPTH_MAX, .nodes_max = 1000};
    const struct json *v = NULL;
    assert_int_equal(parse_bytes(f, text, len, &limits, &v), ERR_LIMIT);
    assert_true(f->arena.used < 2 * len);
    limits.nodes_max = 2000000;
    assert_int_equal(parse_bytes(f, text, len, &limits, &v), ERR_LIMIT);
    mem_free(text);
}

static struct slice many_members(struct arena *arena, unsigned count, const char *last_key)
{
    struct buf text;
    buf_init(&text, arena, 0);
    buf_add_byte(&text, '{');
    for (unsigned i = 0; i < count; i++) {
        buf_format(&text, "\"key%u\":%u,", i, i);
    }
    buf_format(&text, "\"%s\":0}", last_key);
    return buf_slice(&text);
}

static void duplicates_are_found_in_objects_of_any_size(void **state)
{
    struct fixture *f = *state;
    static const unsigned counts[] = {1, 2, 14, 15, 16, 17, 31, 32, 33, 1000, 90000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct slice fine = many_members(&f->arena, counts[i], "other");
        struct slice first = many_members(&f->arena, counts[i], "key0");
        const struct json *v = NULL;
        struct json_limits limits = {.bytes_max = 8 << 20, .depth_max = 2, .nodes_max = 100000};
        assert_int_equal(parse_bytes(f, fine.ptr, fine.len, &limits, &v), OK);
        assert_int_equal(v->count, counts[i] + 1);
        assert_int_equal(parse_bytes(f, first.ptr, first.len, &limits, &v), ERR_INVALID_JSON);
        limits.allow_duplicate_keys = true;
        assert_int_equal(parse_bytes(f, first.ptr, first.len, &limits, &v), OK);
        arena_clear(&f->arena);
    }
}

/* 90,000 members compared pairwise would take four thousand million comparisons. */
static void duplicates_are_not_searched_pairwise(void **state)
{
    struct fixture *f = *state;
    struct slice text = many_members(&f->arena, 90000, "other");
    struct json_limits limits = {.bytes_max = 8 << 20, .depth_max = 2, .nodes_max = 100000};
    const struct json *v = NULL;
    int64_t start = clock_mono_usec();
    assert_int_equal(parse_bytes(f, text.ptr, text.len, &limits, &v), OK);
    assert_true(clock_mono_usec() - start < 1000000);
}

static void limits_of_the_program(void **state)
{
    (void)state;
    assert_int_equal(json_limits_body.bytes_max, 1 << 20);
    assert_int_equal(json_limits_body.depth_max, 32);
    assert_int_equal(json_limits_body.nodes_max, 100000);
    assert_false(json_limits_body.allow_duplicate_keys);
    assert_int_equal(json_limits_node.depth_max, 64);
    assert_int_equal(json_limits_node.nodes_max, 40000000);
}

static void *parse_many(void *arg)
{
    (void)arg;
    static char failed;
    struct arena arena;
    arena_init(&arena, 0);
    for (unsigned i = 0; i < 200; i++) {
        struct slice text = many_members(&arena, i * 10, "other");
        const struct json *v = NULL;
        struct why why;
        if (json_parse(&arena, text, &json_limits_body, &v, &why) || v->count != i * 10 + 1) {
            return &failed;
        }
        arena_clear(&arena);
    }
    arena_free(&arena);
    return NULL;
}

static void threads_parse_independently(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, parse_many, NULL), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
}

/* A text larger than what a thread keeps its list for, then a small one again. */
static void large_texts_come_and_go(void **state)
{
    struct fixture *f = *state;
    size_t len = 3 << 20;
    char *text = mem_alloc(len);
    memset(text, ' ', len);
    text[0] = '[';
    text[len - 1] = ']';
    const struct json *v = NULL;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(parse_bytes(f, text, len, &json_limits_node, &v), OK);
        assert_int_equal(v->count, 0);
        must_parse(f, "[1]");
    }
    assert_int_equal(parse_bytes(f, text, len, &json_limits_body, &v), ERR_LIMIT);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(grammar_accepts, setup, teardown),
        cmocka_unit_test_setup_teardown(grammar_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(grammar_holds_at_each_offset, setup, teardown),
        cmocka_unit_test_setup_teardown(tree_has_the_shape_of_the_text, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_keep_their_text, setup, teardown),
        cmocka_unit_test_setup_teardown(strings_are_unescaped, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals_say_where, setup, teardown),
        cmocka_unit_test_setup_teardown(limit_of_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(limit_of_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(limit_of_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(deep_nesting_is_harmless, setup, teardown),
        cmocka_unit_test_setup_teardown(duplicates_are_found_in_objects_of_any_size, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(duplicates_are_not_searched_pairwise, setup, teardown),
        cmocka_unit_test(limits_of_the_program),
        cmocka_unit_test(threads_parse_independently),
        cmocka_unit_test_setup_teardown(large_texts_come_and_go, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
