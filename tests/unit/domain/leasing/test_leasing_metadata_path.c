#include "domain/leasing/leasing_metadata_path.h"

#include "kernel/base/check.h"
#include "unit/vectors.h"

static struct arena arena;

static struct slice encode(const struct slice *names, size_t count)
{
    struct buf key;
    buf_init(&key, &arena, 64);
    for (size_t i = 0; i < count; i++) {
        leasing_path_add_name(&key, names[i], i == 0);
    }
    return buf_slice(&key);
}

/* Worked out by hand from the rules in leasing_metadata.h. */
static void test_encodes_by_the_rules(void **state)
{
    static const struct {
        const char *names[3];
        const char *key;
    } cases[] = {
        {{"altitude_km"}, "altitude_km"},
        {{"orbit", "altitude_km"}, "orbit__altitude_km"},
        {{"a", "b", "c"}, "a__b__c"},
        {{"_a"}, "Z5fa"},
        {{"a_"}, "aZ5f"},
        {{"_"}, "Z5f"},
        {{"a__b"}, "aZ5fZ5fb"},
        {{"a_", "_b"}, "aZ5f__Z5fb"},
        {{""}, "Zz"},
        {{"", ""}, "Zz__Zz"},
        {{"a", ""}, "a__Zz"},
        {{"x-band"}, "xZ2dband"},
        {{"a-_b"}, "aZ2d_b"},
        {{"é"}, "Zc3Za9"},
        {{"Zone"}, "Zone"},
        {{"timeZone"}, "timeZone"},
        {{"Zebra"}, "Z5aebra"},
        {{"NZ"}, "NZ"},
        {{"NZ", "ab"}, "NZ__ab"},
        {{"Zz"}, "Z5az"},
        {{"Z5f"}, "Z5a5f"},
        {{"ZZ00"}, "ZZ5a00"},
        {{"Z5"}, "Z5"},
        {{"Z5-"}, "Z5Z2d"},
        {{"_x41_"}, "Z5fx41Z5f"},
        {{"a.b c"}, "aZ2ebZ20c"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice names[3];
        size_t count = 0;
        for (; count < 3 && cases[i].names[count] != NULL; count++) {
            names[count] = slice_text(cases[i].names[count]);
        }
        assert_text(encode(names, count), cases[i].key);
        struct leasing_path path;
        assert_true(leasing_path_decode(&arena, slice_text(cases[i].key), &path));
        assert_int_equal(path.count, count);
        assert_false(path.is_element);
        for (size_t n = 0; n < count; n++) {
            assert_true(slice_equal(path.names[n], names[n]));
        }
    }
}

static void test_indexes(void **state)
{
    struct leasing_path path;
    struct buf key;
    buf_init(&key, &arena, 0);
    leasing_path_add_name(&key, SLICE_LIT("documents"), true);
    leasing_path_add_index(&key, 12);
    assert_text(buf_slice(&key), "documents___12");
    assert_true(leasing_path_decode(&arena, buf_slice(&key), &path));
    assert_true(path.is_element && path.index == 12 && path.count == 1);
    assert_true(leasing_path_decode(&arena, SLICE_LIT("a__b___0"), &path));
    assert_true(path.is_element && path.index == 0 && path.count == 2);
    assert_true(leasing_path_decode(&arena, SLICE_LIT("a___99"), &path));
}

/* Texts that say nothing, or say it in another way than encoding does. */
static void test_decodes_nothing_else(void **state)
{
    static const char *const cases[] = {
        "",
        "_",
        "__",
        "a_",
        "_a",
        "a__",
        "__a",
        "a____b",
        "a___",
        "a___b",
        "a___01",
        "a___100",
        "a___1__b",
        "a___-1",
        "a-b",
        "a.b",
        "Z5a",
        "Z41",
        "aZz",
        "Zza",
        "ZzZz",
        "a_Z5f",
        "a__Z2d2D_",
        "a_____b",
        "Zff",
        "Zc3",
        "a b",
        "Z5fZ5f_",
        "é",
        "___1",
        "aZ5fb",
        "Z30",
        "a___1_",
        "a___ 1",
        "a__Z7a",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a__a_",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct leasing_path path;
        if (leasing_path_decode(&arena, slice_text(cases[i]), &path)) {
            fail_msg("%s was taken", cases[i]);
        }
    }
}

/* ---- every path of short names over the bytes that matter -------------------------------------
 */

#define ALPHABET "a_Zz5f-"
#define NAME_COUNT (1 + 7 + 49 + 343)

static struct slice short_names[NAME_COUNT];

static void list_names(void)
{
    static char texts[NAME_COUNT][3];
    size_t count = 1; /* the empty name */
    for (size_t from = 0; count < NAME_COUNT; from++) {
        for (size_t i = 0; i < 7; i++) {
            size_t len = short_names[from].len;
            ASSERT(count < NAME_COUNT && len < 3);
            memcpy(texts[count], texts[from], len);
            texts[count][len] = ALPHABET[i];
            short_names[count] = slice_of(texts[count], len + 1);
            count++;
        }
    }
}

struct entry {
    struct slice key;
    size_t first;
    size_t second; /* NAME_COUNT: a path of one name */
};

static int compare_entries(const void *left, const void *right)
{
    return slice_compare(((const struct entry *)left)->key, ((const struct entry *)right)->key);
}

/* No two paths have the same key, and each key reads as its path. */
static void test_keys_are_unambiguous(void **state)
{
    list_names();
    size_t count = NAME_COUNT * (NAME_COUNT + 1);
    struct entry *entries = arena_alloc_array(&arena, count, sizeof *entries);
    size_t n = 0;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        for (size_t j = 0; j <= NAME_COUNT; j++) {
            struct slice names[2] = {short_names[i], short_names[j % NAME_COUNT]};
            size_t used = j == NAME_COUNT ? 1 : 2;
            struct slice key = encode(names, used);
            struct leasing_path path;
            entries[n++] = (struct entry){key, i, j};
            assert_true(leasing_path_decode(&arena, key, &path));
            assert_int_equal(path.count, used);
            assert_true(slice_equal(path.names[0], names[0]));
            assert_true(used == 1 || slice_equal(path.names[1], names[1]));
        }
    }
    qsort(entries, n, sizeof *entries, compare_entries);
    for (size_t i = 1; i < n; i++) {
        assert_false(slice_equal(entries[i - 1].key, entries[i].key));
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

static void test_values_by_the_rules(void **state)
{
    static const struct {
        const char *json;
        const char *value;
    } cases[] = {
        {"\"geo\"", "geo"},
        {"\"2024-03-15\"", "2024-03-15"},
        {"\"North America\"", "North America"},
        {"\"42\"", "\"42\""},
        {"\"-1.50\"", "\"-1.50\""},
        {"\" 42\"", "\" 42\""},
        {"\"042\"", "042"},
        {"\"1,5\"", "1,5"},
        {"\"true\"", "\"true\""},
        {"\"trueish\"", "trueish"},
        {"\"null\"", "\"null\""},
        {"\"[1]\"", "\"[1]\""},
        {"\"{\\\"a\\\":1,\\\"a\\\":2}\"", "\"{\\\"a\\\":1,\\\"a\\\":2}\""},
        {"\"\\\"quoted\\\"\"", "\"\\\"quoted\\\"\""},
        {"\"\\\"\"", "\"\\\"\""},
        {"\"{not json\"", "{not json"},
        {"\"\"", "\"\""},
        {"\"a\\u0000b\"", "\"a\\u0000b\""},
        {"\"a\\nb\"", "a\nb"},
        {"\"é\"", "é"},
        {"1", "1"},
        {"1.0", "1"},
        {"1E400", NULL},
        {"-0", "0"},
        {"-75.00", "-75"},
        {"1e21", "1e+21"},
        {"true", "true"},
        {"null", "null"},
        {"{}", "{}"},
        {"[]", "[]"},
        {"[ \"b\", {\"z\":1,\"a\":2} ]", "[\"b\",{\"a\":2,\"z\":1}]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct json *v = vector_json(&arena, cases[i].json);
        struct slice value;
        if (cases[i].value == NULL) {
            assert_int_equal(leasing_value_encode(&arena, v, &value, NULL), ERR_INVALID_JSON);
            continue;
        }
        assert_int_equal(leasing_value_encode(&arena, v, &value, NULL), OK);
        assert_text(value, cases[i].value);
        struct buf before;
        struct buf after;
        buf_init(&before, &arena, 0);
        buf_init(&after, &arena, 0);
        assert_int_equal(json_canonical(&before, v, NULL), OK);
        assert_int_equal(json_canonical(&after, leasing_value_decode(&arena, value, 32), NULL), OK);
        assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    }
}

static void assert_string_value(struct slice text, uint32_t depth_max, const char *expected)
{
    const struct json *v = leasing_value_decode(&arena, text, depth_max);
    assert_int_equal(v->type, JSON_STRING);
    assert_text(v->text, expected);
}

/* What encoding never writes is text. */
static void test_reads_anything_else_as_text(void **state)
{
    static const char *const cases[] = {
        "1.0",         "01",     " 1",
        "1 ",          "[1, 2]", "{\"b\":1,\"a\":2}",
        "\"\\u0041\"", "\"open", "12345678901234567890123",
        "1e999",       "tru",    "{\"a\":1,\"a\":1}",
        "-",           "[",      "",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_value(slice_text(cases[i]), 32, cases[i]);
    }
    assert_string_value(SLICE_LIT("[[[]]]"), 2, "[[[]]]");
    assert_string_value(slice_of("\xff\x00", 2), 32, "0xff00");
    assert_int_equal(leasing_value_decode(&arena, SLICE_LIT("[[[]]]"), 3)->type, JSON_ARRAY);
}

static int clear(void **state)
{
    arena_clear(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_encodes_by_the_rules, clear),
        cmocka_unit_test_teardown(test_indexes, clear),
        cmocka_unit_test_teardown(test_decodes_nothing_else, clear),
        cmocka_unit_test_teardown(test_keys_are_unambiguous, clear),
        cmocka_unit_test_teardown(test_values_by_the_rules, clear),
        cmocka_unit_test_teardown(test_reads_anything_else_as_text, clear),
    };
    arena_init(&arena, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
