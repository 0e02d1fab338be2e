/* Pairs that flattening did not write: of other tools, changed, contradictory, hostile. */
#include "domain/leasing/leasing_metadata.h"

#include "kernel/base/rand.h"
#include "unit/vectors.h"

static struct arena arena;

struct member {
    const char *key;
    const char *value;
};

static struct slice rebuild(const struct member *members, size_t count, bool *out_exact)
{
    struct leasing_pair *pairs = arena_alloc_array(&arena, count, sizeof *pairs);
    for (size_t i = 0; i < count; i++) {
        pairs[i] = (struct leasing_pair){slice_text(members[i].key), slice_text(members[i].value)};
    }
    return leasing_metadata_unflatten(&arena, pairs, count, out_exact);
}

#define MEMBERS_MAX 8

struct reading {
    struct member members[MEMBERS_MAX]; /* up to the first without a key */
    const char *json;
};

static void assert_readings(const struct reading *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t used = 0;
        while (used < MEMBERS_MAX && cases[i].members[used].key != NULL) {
            used++;
        }
        bool exact = true;
        assert_text(rebuild(cases[i].members, used, &exact), cases[i].json);
        assert_false(exact); /* none of them has the right metadataHash */
    }
}

static void test_reads_pairs_of_other_tools(void **state)
{
    static const struct reading cases[] = {
        {{{NULL, NULL}}, "{}"},
        {{{"name", "Sat"}, {"spec_mass_kg", "500"}, {"spec_bands", "[\"C\",\"Ku\"]"}},
         "{\"name\":\"Sat\",\"specifications\":{\"bands\":[\"C\",\"Ku\"],\"mass_kg\":500}}"},
        {{{"uri", "ipfs://x/"}}, "{\"x\":{\"uri\":\"ipfs://x/\"}}"},
        {{{"spec_a-b", "1"}, {"spec_", "2"}, {"x_", "3"}, {"", "4"}},
         "{\"x\":{\"\":\"4\",\"spec_\":\"2\",\"spec_a-b\":\"1\",\"x_\":\"3\"}}"},
        {{{"meta_version", "1"}, {"meta_createdAt", "c"}},
         "{\"createdAt\":\"c\",\"x\":{\"meta_version\":\"1\"}}"},
        {{{"spec_n", "1.50"}, {"spec_o", "{\"b\":1}"}, {"spec_p", "{ }"}},
         "{\"specifications\":{\"n\":\"1.50\",\"o\":{\"b\":1},\"p\":\"{ }\"}}"},
        {{{"name", "42"}, {"assetId", ""}}, "{\"assetId\":\"\",\"name\":\"42\"}"},
        {{{"metadataHash", "0x12"}}, "{\"x\":{\"metadataHash\":\"0x12\"}}"},
        {{{"documentHashes", "0xab"}}, "{\"x\":{\"documentHashes\":\"0xab\"}}"},
        {{{"documentHashes", "0xab"}, {"x_documents", "[]"}}, "{\"documents\":[]}"},
        {{{"ключ", "знач"}}, "{\"x\":{\"ключ\":\"знач\"}}"},
    };
    assert_readings(cases, sizeof cases / sizeof cases[0]);
}

static void test_collects_contradictions(void **state)
{
    static const struct reading cases[] = {
        /* The lesser key has its place; the other one is kept under its key. */
        {{{"spec_a__b", "2"}, {"spec_a", "1"}},
         "{\"specifications\":{\"a\":1},\"x\":{\"spec_a__b\":\"2\"}}"},
        {{{"name", "n"}, {"x_name", "5"}}, "{\"name\":\"n\",\"x\":{\"x_name\":\"5\"}}"},
        {{{"x_specifications", "{}"}, {"spec_a", "1"}},
         "{\"specifications\":{\"a\":1},\"x\":{\"x_specifications\":\"{}\"}}"},
        {{{"x_l___0", "1"}, {"x_l", "[]"}, {"x_l__a", "2"}},
         "{\"l\":[],\"x\":{\"x_l___0\":\"1\",\"x_l__a\":\"2\"}}"},
        {{{"x_l___0", "1"}, {"x_l__a", "2"}}, "{\"l\":[1],\"x\":{\"x_l__a\":\"2\"}}"},
        /* The same key twice: said once, or kept once more. */
        {{{"spec_a", "1"}, {"spec_a", "1"}}, "{\"specifications\":{\"a\":1}}"},
        {{{"spec_a", "1"}, {"spec_a", "2"}},
         "{\"specifications\":{\"a\":1},\"x\":{\"spec_a\":\"2\"}}"},
        {{{"k", "1"}, {"k", "2"}}, "{\"x\":{\"k\":\"1\"}}"},
        /* The object for strangers gives way to a member of that name. */
        {{{"x_x", "7"}, {"uri", "u"}}, "{\"x\":7,\"x_\":{\"uri\":\"u\"}}"},
        {{{"x_x__uri", "7"}, {"x_xZ5f", "8"}, {"uri", "u"}},
         "{\"x\":{\"uri\":7},\"x_\":8,\"x__\":{\"uri\":\"u\"}}"},
    };
    assert_readings(cases, sizeof cases / sizeof cases[0]);
}

static void test_fills_gaps_of_arrays(void **state)
{
    static const struct reading cases[] = {
        {{{"x_documents___0", "a"}, {"x_documents___3", "{\"b\":1}"}},
         "{\"documents\":[\"a\",null,null,{\"b\":1}]}"},
        {{{"spec_l___100", "a"}}, "{\"x\":{\"spec_l___100\":\"a\"}}"},
    };
    assert_readings(cases, sizeof cases / sizeof cases[0]);
}

/* The hash is that of Python's hashlib over {"name":"Sat","specifications":{"mass_kg":500}}. */
#define HASH "0x31d68a5ad5a166105018c7f7268b06e752e9d1e535f455c44845b96a8db7b214"

static void test_tells_whether_it_is_exact(void **state)
{
    const struct member good[] = {{"name", "Sat"}, {"spec_mass_kg", "500"}, {"metadataHash", HASH}};
    const struct member changed[] = {
        {"name", "Sat"}, {"spec_mass_kg", "501"}, {"metadataHash", HASH}};
    const struct member more[] = {
        {"name", "Sat"}, {"spec_mass_kg", "500"}, {"metadataHash", HASH}, {"uri", "u"}};
    const struct member two[] = {{"name", "Sat"},
                                 {"spec_mass_kg", "500"},
                                 {"metadataHash", HASH},
                                 {"metadataHash", HASH},
                                 {"name", "Sat"}};
    bool exact = false;
    (void)rebuild(good, 3, &exact);
    assert_true(exact);
    (void)rebuild(two, 5, &exact);
    assert_true(exact);
    (void)rebuild(good, 2, &exact);
    assert_false(exact);
    (void)rebuild(changed, 3, &exact);
    assert_false(exact);
    (void)rebuild(more, 4, &exact);
    assert_false(exact);
}

static void test_shows_other_bytes_as_hex(void **state)
{
    const struct leasing_pair pairs[] = {
        {SLICE_LIT("name"), slice_of("\xff\xfe", 2)},
        {SLICE_LIT("spec_a"), slice_of("\xc3", 1)},
        {slice_of("\x80", 1), slice_of("v", 1)},
        {SLICE_LIT("spec_Zff"), SLICE_LIT("1")},
    };
    bool exact;
    assert_text(leasing_metadata_unflatten(&arena, pairs, 4, &exact),
                "{\"name\":\"0xfffe\",\"specifications\":{\"a\":\"0xc3\"},"
                "\"x\":{\"0x80\":\"v\",\"spec_Zff\":\"1\"}}");
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void assert_readable(struct slice text)
{
    const struct json *v = NULL;
    struct why why;
    if (json_parse(&arena, text, &json_limits_body, &v, &why) != OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(v->type, JSON_OBJECT);
}

static struct slice repeated(uint8_t byte, size_t count)
{
    struct buf text;
    buf_init(&text, &arena, count);
    for (size_t i = 0; i < count; i++) {
        buf_add_byte(&text, byte);
    }
    return buf_slice(&text);
}

static void test_limits_pairs(void **state)
{
    size_t count = LEASING_UNFLATTEN_PAIRS_MAX + 1;
    struct leasing_pair *pairs = arena_alloc_array(&arena, count, sizeof *pairs);
    for (size_t i = 0; i < count; i++) {
        pairs[i].key = slice_format(&arena, "x_m%05zu", i);
        pairs[i].value = SLICE_LIT("1");
    }
    bool exact = true;
    struct slice text = leasing_metadata_unflatten(&arena, pairs, count, &exact);
    const struct json *v = vector_json(&arena, slice_cstr(&arena, text));
    assert_int_equal(v->count, LEASING_UNFLATTEN_PAIRS_MAX);
    assert_null(json_find(v, "m01000"));
    assert_false(exact);
}

/* As long, as deep and as many as the limits let pass: still readable as a request's body. */
static void test_limits_the_result(void **state)
{
    bool exact = true;
    struct leasing_pair escapes[] = {
        {SLICE_LIT("a"), repeated(0x01, LEASING_UNFLATTEN_BYTES_MAX - 2)},
        {SLICE_LIT("b"), SLICE_LIT("left out")},
    };
    struct slice text = leasing_metadata_unflatten(&arena, escapes, 2, &exact);
    assert_readable(text);
    assert_true(text.len > 6 * (LEASING_UNFLATTEN_BYTES_MAX - 10));
    assert_false(exact);

    struct leasing_pair deep[] = {
        {SLICE_LIT("spec_a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a"),
         SLICE_LIT("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]")},
        {SLICE_LIT("spec_b"),
         SLICE_LIT("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]")},
        {SLICE_LIT("x_b"),
         SLICE_LIT("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]")},
    };
    text = leasing_metadata_unflatten(&arena, deep, 3, &exact);
    assert_readable(text);
    const struct json *v = vector_json(&arena, slice_cstr(&arena, text));
    assert_int_equal(json_find(v, "b")->type, JSON_ARRAY);
    assert_int_equal(json_find(json_find(v, "specifications"), "b")->type, JSON_ARRAY);

    struct buf zeros;
    buf_init(&zeros, &arena, LEASING_UNFLATTEN_BYTES_MAX);
    buf_add_text(&zeros, "[0");
    while (zeros.len < LEASING_UNFLATTEN_BYTES_MAX - 5) {
        buf_add_text(&zeros, ",0");
    }
    buf_add_byte(&zeros, ']');
    struct leasing_pair many[] = {{SLICE_LIT("x_a"), buf_slice(&zeros)}};
    text = leasing_metadata_unflatten(&arena, many, 1, &exact);
    assert_readable(text);
    assert_int_equal(json_find(vector_json(&arena, slice_cstr(&arena, text)), "a")->type,
                     JSON_ARRAY);
}

/* ---- any pairs ------------------------------------------------------------------------------- */

static const char *const keys[] = {
    "name",
    "assetId",
    "meta_createdAt",
    "metadataHash",
    "documentHashes",
    "spec_a",
    "spec_a__b",
    "spec_a___0",
    "spec_a___2",
    "spec_a__b__c",
    "spec_",
    "x_",
    "x_x",
    "x_x__y",
    "x_xZ5f",
    "x_Zz",
    "x_name",
    "x_specifications",
    "x_documents",
    "x_documents___1",
    "uri",
    "x",
    "y",
    "spec__",
};
static const char *const values[] = {
    "",
    "1",
    "01",
    "text",
    "[]",
    "{}",
    "[1,{\"a\":2}]",
    "{\"a\":{}}",
    "null",
    "\"q\"",
    "\"",
    "1e5",
    "0x0000000000000000000000000000000000000000000000000000000000000000",
};

/* Whatever the pairs: a readable object, in canonical form, the same one in any order. */
static void test_reads_any_pairs(void **state)
{
    rand_set_seed(11);
    for (int round = 0; round < 20000; round++) {
        struct leasing_pair pairs[12];
        size_t count = rand_below(13);
        for (size_t i = 0; i < count; i++) {
            pairs[i].key = slice_text(keys[rand_below(sizeof keys / sizeof keys[0])]);
            pairs[i].value = slice_text(values[rand_below(sizeof values / sizeof values[0])]);
        }
        bool exact;
        struct slice text = leasing_metadata_unflatten(&arena, pairs, count, &exact);
        assert_readable(text);
        struct buf canonical;
        buf_init(&canonical, &arena, text.len);
        assert_int_equal(
            json_canonical(&canonical, vector_json(&arena, slice_cstr(&arena, text)), NULL), OK);
        assert_true(slice_equal(buf_slice(&canonical), text));
        for (size_t i = count; i > 1; i--) {
            size_t j = rand_below(i);
            struct leasing_pair swapped = pairs[i - 1];
            pairs[i - 1] = pairs[j];
            pairs[j] = swapped;
        }
        assert_true(slice_equal(leasing_metadata_unflatten(&arena, pairs, count, &exact), text));
        arena_clear(&arena);
    }
}

static int clear(void **state)
{
    arena_clear(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_reads_pairs_of_other_tools, clear),
        cmocka_unit_test_teardown(test_collects_contradictions, clear),
        cmocka_unit_test_teardown(test_fills_gaps_of_arrays, clear),
        cmocka_unit_test_teardown(test_tells_whether_it_is_exact, clear),
        cmocka_unit_test_teardown(test_shows_other_bytes_as_hex, clear),
        cmocka_unit_test_teardown(test_limits_pairs, clear),
        cmocka_unit_test_teardown(test_limits_the_result, clear),
        cmocka_unit_test_teardown(test_reads_any_pairs, clear),
    };
    arena_init(&arena, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
