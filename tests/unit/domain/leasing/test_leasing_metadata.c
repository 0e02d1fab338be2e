#include "domain/leasing/leasing_metadata.h"

#include "kernel/base/rand.h"
#include "unit/vectors.h"

static struct arena arena;

/* ---- hash ------------------------------------------------------------------------------------ */

/* Vectors of the protocol's toolkit, recomputed there independently. */
static void test_hash_vectors(void **state)
{
    static const struct {
        const char *json;
        const char *hash;
    } cases[] = {
        {"{\"name\":\"Test Asset\",\"specifications\":{\"altitude_km\":550,\"mass_kg\":500},"
         "\"type\":\"satellite\"}",
         "0xab66acfbfd807f66b701992d4f7143e04be388217fefadc06c029dfb18b52267"},
        {"{ \"type\":\"satellite\", \"specifications\":{\"mass_kg\":500.0,\"altitude_km\":55e1},"
         "\n\"name\":\"Test Asset\"}",
         "0xab66acfbfd807f66b701992d4f7143e04be388217fefadc06c029dfb18b52267"},
        {"{\"outer\":{\"a\":1,\"b\":2,\"c\":{\"x\":1,\"y\":2,\"z\":3}},\"prop\":\"value\"}",
         "0x1fb1a1848e73f05bbc8c51a04b9aa3ec4149c09eb967cd0722d36307154e92bc"},
        {"{\"complex\":{\"nested\":{\"multiple\":[\"array\",\"values\",123],\"structure\":"
         "\"with\"}},\"timestamp\":\"2024-10-06T00:00:00Z\"}",
         "0x73e4db4710c9c53db61364fcb7ca03747bae98741dcae2405a97ea88b6e055e8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hash hash;
        assert_int_equal(
            leasing_metadata_hash(&arena, vector_json(&arena, cases[i].json), &hash, NULL), OK);
        assert_hex(hash_slice(&hash), cases[i].hash);
    }
    struct hash hash = {{7}};
    assert_int_equal(leasing_metadata_hash(&arena, vector_json(&arena, "[1e999]"), &hash, NULL),
                     ERR_INVALID_JSON);
    assert_int_equal(hash.bytes[0], 7);
}

/* ---- check ----------------------------------------------------------------------------------- */

#define DOCUMENT                                                                                   \
    "{\"documentId\":\"DOC-1\",\"filename\":\"manual.pdf\",\"documentType\":\"manual\","           \
    "\"hash\":\"0x585f0ffac4590ed956ef7d99c1177e00c7f240a28094f8eaffb94c5a559815a3\","             \
    "\"uploadedAt\":\"2024-03-15T10:00:00Z\"}"

struct member {
    const char *key;
    const char *value;
};

static const struct member good_members[] = {
    {"assetId", "\"SAT-DEMO_0.01\""},
    {"name", "\"Demo Communications Satellite\""},
    {"description", "\"Demonstration satellite\""},
    {"assetType", "\"orbital_compute\""},
    {"specifications", "{\"orbit\":{\"type\":\"geo\",\"altitude_km\":35786}}"},
    {"documents", "[" DOCUMENT "," DOCUMENT "]"},
    {"createdAt", "\"2024-03-15T10:00:00.000Z\""},
    {"updatedAt", "\"2024-03-15T12:00:00+02:00\""},
};
#define MEMBER_COUNT (sizeof good_members / sizeof good_members[0])

/* The good object, with one member replaced, or left out when its value is NULL. */
static const struct json *object_with(const char *key, const char *value)
{
    struct buf text;
    buf_init(&text, &arena, 4096);
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        bool is_changed = key != NULL && strcmp(key, good_members[i].key) == 0;
        const char *used = is_changed ? value : good_members[i].value;
        if (used != NULL) {
            buf_format(&text, "%s\"%s\":%s", text.len > 0 ? "," : "{", good_members[i].key, used);
        }
    }
    buf_add_text(&text, ",\"extra\":{\"free\":true}}");
    return vector_json(&arena, slice_cstr(&arena, buf_slice(&text)));
}

static const char *quoted(const char *unit, size_t times)
{
    struct buf text;
    buf_init(&text, &arena, times * strlen(unit) + 3);
    buf_add_byte(&text, '"');
    for (size_t i = 0; i < times; i++) {
        buf_add_text(&text, unit);
    }
    buf_add_byte(&text, '"');
    return slice_cstr(&arena, buf_slice(&text));
}

static void test_check_accepts(void **state)
{
    assert_int_equal(leasing_metadata_check(object_with(NULL, NULL), NULL), OK);
    const struct member edges[] = {
        {"assetId", quoted("a", 50)},
        {"assetId", "\"-\""},
        {"name", quoted("é", 255)},
        {"description", quoted("😀", 1000)},
        {"assetType", quoted("z", 64)},
        {"specifications", "{}"},
        {"documents", "[]"},
        {"createdAt", "\"1999-12-31t23:59:59.5-08:00\""},
    };
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        assert_int_equal(leasing_metadata_check(object_with(edges[i].key, edges[i].value), NULL),
                         OK);
    }
}

static void test_check_refuses_members(void **state)
{
    const struct {
        const char *key;
        const char *value;
        enum err err;
    } cases[] = {
        {"assetId", NULL, ERR_MISSING_FIELD},
        {"name", NULL, ERR_MISSING_FIELD},
        {"description", NULL, ERR_MISSING_FIELD},
        {"assetType", NULL, ERR_MISSING_FIELD},
        {"specifications", NULL, ERR_MISSING_FIELD},
        {"documents", NULL, ERR_MISSING_FIELD},
        {"createdAt", NULL, ERR_MISSING_FIELD},
        {"updatedAt", NULL, ERR_MISSING_FIELD},
        {"assetId", "1", ERR_INVALID_TYPE},
        {"assetId", "\"\"", ERR_INVALID_METADATA},
        {"assetId", quoted("a", 51), ERR_INVALID_METADATA},
        {"assetId", "\"a b\"", ERR_INVALID_METADATA},
        {"assetId", "\"a/b\"", ERR_INVALID_METADATA},
        {"assetId", "\"é\"", ERR_INVALID_METADATA},
        {"assetId", "\"a\\u0000\"", ERR_INVALID_METADATA},
        {"name", "null", ERR_INVALID_TYPE},
        {"name", "\"\"", ERR_INVALID_METADATA},
        {"name", quoted("é", 256), ERR_INVALID_METADATA},
        {"description", "\"\"", ERR_INVALID_METADATA},
        {"description", quoted("a", 1001), ERR_INVALID_METADATA},
        {"assetType", "\"Satellite\"", ERR_INVALID_METADATA},
        {"assetType", "\"a-b\"", ERR_INVALID_METADATA},
        {"assetType", quoted("a", 65), ERR_INVALID_METADATA},
        {"assetType", "\"\"", ERR_INVALID_METADATA},
        {"specifications", "[]", ERR_INVALID_TYPE},
        {"specifications", "\"{}\"", ERR_INVALID_TYPE},
        {"documents", "{}", ERR_INVALID_TYPE},
        {"documents", "null", ERR_INVALID_TYPE},
        {"createdAt", "1710496800", ERR_INVALID_TYPE},
        {"createdAt", "\"2024-03-15\"", ERR_INVALID_METADATA},
        {"updatedAt", "\"2024-02-30T00:00:00Z\"", ERR_INVALID_METADATA},
        {"updatedAt", "\"\"", ERR_INVALID_METADATA},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct why why = {.err = OK};
        assert_int_equal(leasing_metadata_check(object_with(cases[i].key, cases[i].value), &why),
                         cases[i].err);
        assert_string_equal(why.field, cases[i].key);
    }
    assert_int_equal(leasing_metadata_check(vector_json(&arena, "[]"), NULL), ERR_INVALID_TYPE);
}

static void test_check_refuses_documents(void **state)
{
    static const struct {
        const char *from;
        const char *to;
        const char *field;
        enum err err;
    } cases[] = {
        {"\"DOC-1\"", "\"\"", "documents.1.documentId", ERR_INVALID_METADATA},
        {"\"documentId\"", "\"id\"", "documents.1.documentId", ERR_MISSING_FIELD},
        {"\"manual.pdf\"", "7", "documents.1.filename", ERR_INVALID_TYPE},
        {"\"manual\"", "\"Manual\"", "documents.1.documentType", ERR_INVALID_METADATA},
        {"\"manual\"", "\"invoice\"", "documents.1.documentType", ERR_INVALID_METADATA},
        {"\"0x585f", "\"585f", "documents.1.hash", ERR_INVALID_METADATA},
        {"\"0x585f", "\"0x58", "documents.1.hash", ERR_INVALID_METADATA},
        {"\"0x585f", "\"0x58g0", "documents.1.hash", ERR_INVALID_METADATA},
        {"\"hash\"", "\"sha\"", "documents.1.hash", ERR_MISSING_FIELD},
        {"2024-03-15T", "2024-03-15 ", "documents.1.uploadedAt", ERR_INVALID_METADATA},
        {DOCUMENT, "\"doc\"", "documents.1", ERR_INVALID_TYPE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *at = strstr(DOCUMENT, cases[i].from);
        assert_non_null(at);
        size_t before = (size_t)(at - DOCUMENT);
        struct slice documents = slice_format(&arena, "[" DOCUMENT ",%.*s%s%s]", (int)before,
                                              DOCUMENT, cases[i].to, at + strlen(cases[i].from));
        struct why why = {.err = OK};
        const struct json *metadata = object_with("documents", slice_cstr(&arena, documents));
        assert_int_equal(leasing_metadata_check(metadata, &why), cases[i].err);
        assert_string_equal(why.field, cases[i].field);
    }
    static const char *const types[] = {"manual", "certification", "specification",
                                        "lease_agreement"};
    for (size_t i = 0; i < 4; i++) {
        struct slice documents = slice_format(
            &arena,
            "[{\"documentId\":\"d\",\"filename\":\"f\",\"documentType\":\"%s\",\"hash\":"
            "\"0x585F0FFAC4590ED956EF7D99C1177E00C7F240A28094F8EAFFB94C5A559815A3\","
            "\"uploadedAt\":\"2024-03-15T10:00:00Z\",\"pages\":3}]",
            types[i]);
        assert_int_equal(
            leasing_metadata_check(object_with("documents", slice_cstr(&arena, documents)), NULL),
            OK);
    }
}

/* ---- flatten --------------------------------------------------------------------------------- */

struct flat {
    struct leasing_pair *pairs;
    size_t count;
};

static struct flat flatten(const char *text)
{
    struct flat f = {.count = 0};
    struct why why = {.err = OK};
    if (leasing_metadata_flatten(&arena, vector_json(&arena, text), &f.pairs, &f.count, &why) !=
        OK) {
        fail_msg("%s: %s", text, why.text);
    }
    return f;
}

static void assert_pairs(struct flat f, const struct member *expected, size_t count)
{
    assert_int_equal(f.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_text(f.pairs[i].key, expected[i].key);
        assert_text(f.pairs[i].value, expected[i].value);
    }
}

static void assert_round_trip(const char *text)
{
    struct buf canonical;
    bool exact = false;
    buf_init(&canonical, &arena, 0);
    assert_int_equal(json_canonical(&canonical, vector_json(&arena, text), NULL), OK);
    struct flat f = flatten(text);
    struct slice again = leasing_metadata_unflatten(&arena, f.pairs, f.count, &exact);
    assert_text(again, slice_cstr(&arena, buf_slice(&canonical)));
    assert_true(exact);
}

/* An object whose pairs were written down by hand; the hashes are those of Python. */
static void test_flattens_by_the_rules(void **state)
{
    static const char text[] =
        "{\"updatedAt\":\"u\",\"createdAt\":\"c\",\"assetId\":\"A-1\",\"assetType\":\"satellite\","
        "\"description\":\"D\",\"name\":\"42\",\"specifications\":{\"mass_kg\":3500.0,"
        "\"orbit\":{\"type\":\"geo\",\"longitude_deg\":-75.0},\"bands\":[\"C\",\"Ku\"],"
        "\"year\":\"2024\",\"none\":null,\"empty\":{}},\"documents\":[],\"tags\":{\"a b\":true}}";
    static const struct member expected[] = {
        {"name", "42"},
        {"description", "D"},
        {"assetType", "satellite"},
        {"assetId", "A-1"},
        {"metadataHash", "0x2ca833021188e3a0dbf4e93a3ad39f1866f0386fe2d12ee59e3ede555f32c3cb"},
        {"spec_mass_kg", "3500"},
        {"spec_orbit__type", "geo"},
        {"spec_orbit__longitude_deg", "-75"},
        {"spec_bands", "[\"C\",\"Ku\"]"},
        {"spec_year", "\"2024\""},
        {"spec_none", "null"},
        {"spec_empty", "{}"},
        {"meta_createdAt", "c"},
        {"meta_updatedAt", "u"},
        {"x_documents", "[]"},
        {"x_tags__aZ20b", "true"},
    };
    assert_pairs(flatten(text), expected, sizeof expected / sizeof expected[0]);
    assert_round_trip(text);
}

static void test_flattens_misplaced_members(void **state)
{
    static const struct member expected[] = {
        {"metadataHash", "0x6790f68e16146218dc9a4575bd091d2e2e27b82689a3984c57534fea95b84c5b"},
        {"x_name", "5"},
        {"x_description", "\"\""},
        {"x_assetType__a", "1"},
        {"x_assetId", "\"\\u0000\""},
        {"x_specifications", "[1]"},
        {"x_createdAt", "null"},
        {"x_metadataHash", "h"},
        {"x_Zz", "z"},
    };
    static const char text[] =
        "{\"name\":5,\"description\":\"\",\"assetType\":{\"a\":1},\"assetId\":\"\\u0000\","
        "\"specifications\":[1],\"createdAt\":null,\"metadataHash\":\"h\",\"\":\"z\"}";
    assert_pairs(flatten(text), expected, sizeof expected / sizeof expected[0]);
    assert_round_trip(text);
    assert_round_trip("{}");
    assert_round_trip("{\"specifications\":{}}");
    assert_round_trip("{\"x\":{\"x\":1},\"spec\":2,\"meta_createdAt\":\"m\",\"documentHashes\":3}");
}

static const char *documents(size_t count)
{
    struct buf text;
    buf_init(&text, &arena, 4096);
    buf_add_text(&text, "{\"documents\":[");
    for (size_t i = 0; i < count; i++) {
        buf_add_text(&text, i > 0 ? "," DOCUMENT : DOCUMENT);
    }
    buf_add_text(&text, "]}");
    return slice_cstr(&arena, buf_slice(&text));
}

static void test_splits_long_arrays(void **state)
{
    /* A document has 182 bytes: five make a value of 916, six one of 1099. */
    struct flat few = flatten(documents(5));
    assert_int_equal(few.count, 3);
    assert_text(few.pairs[2].key, "x_documents");
    struct flat six = flatten(documents(6));
    assert_int_equal(six.count, 8);
    assert_text(six.pairs[1].key, "documentHashes");
    assert_int_equal(six.pairs[1].value.len, 6 * 66 + 5);
    assert_text(six.pairs[2].key, "x_documents___0");
    assert_text(six.pairs[7].key, "x_documents___5");
    /* Sixteen hashes exceed a value; the summary is left out. */
    struct flat fifteen = flatten(documents(15));
    assert_int_equal(fifteen.count, 17);
    struct flat sixteen = flatten(documents(16));
    assert_int_equal(sixteen.count, 17);
    assert_text(sixteen.pairs[1].key, "x_documents___0");
    assert_round_trip(documents(1));
    assert_round_trip(documents(6));
    assert_round_trip(documents(99));
}

static enum err refuse(const char *text, struct why *why)
{
    struct leasing_pair *pairs = NULL;
    size_t count = 77;
    *why = (struct why){.err = OK};
    enum err e = leasing_metadata_flatten(&arena, vector_json(&arena, text), &pairs, &count, why);
    if (e != OK) {
        assert_null(pairs);
        assert_int_equal(count, 77);
    }
    return e;
}

static const char *join(const char *before, const char *part, const char *after)
{
    return slice_cstr(&arena, slice_format(&arena, "%s%s%s", before, part, after));
}

static void test_limits(void **state)
{
    struct why why;
    /* Values of 1024 and 1025 bytes. */
    assert_int_equal(refuse(join("{\"specifications\":{\"note\":", quoted("é", 512), "}}"), &why),
                     OK);
    assert_int_equal(
        refuse(join("{\"specifications\":{\"a\":{\"note\":", quoted("a", 1025), "}}}"), &why),
        ERR_INVALID_METADATA);
    assert_string_equal(why.field, "specifications.a.note");
    assert_non_null(strstr(why.text, "needs 1025 bytes on chain; 1024 are allowed: shorten it"));
    assert_int_equal(refuse(join("{\"description\":", quoted("é", 513), "}"), &why),
                     ERR_INVALID_METADATA);
    assert_string_equal(why.field, "description");
    assert_int_equal(refuse(join("{\"a\":[1,", quoted("a", 1025), "]}"), &why),
                     ERR_INVALID_METADATA);
    assert_string_equal(why.field, "a.1");
    /* Keys of 64 and 65 characters: five or two are the prefix. */
    assert_int_equal(refuse(join("{\"specifications\":{", quoted("k", 59), ":1}}"), &why), OK);
    assert_int_equal(refuse(join("{\"specifications\":{", quoted("k", 60), ":1}}"), &why),
                     ERR_INVALID_METADATA);
    assert_non_null(strstr(why.text, "a key of 65 characters on chain; 64 are allowed"));
    assert_int_equal(refuse(join("{", quoted("é", 10), ":1}"), &why), OK);
    assert_int_equal(refuse(join("{", quoted("é", 11), ":1}"), &why), ERR_INVALID_METADATA);
    assert_int_equal(refuse("[]", &why), ERR_INVALID_TYPE);
    assert_int_equal(refuse("{\"a\":1e999}", &why), ERR_INVALID_JSON);
}

static const char *object_of(unsigned members)
{
    struct buf text;
    buf_init(&text, &arena, 4096);
    for (unsigned i = 0; i < members; i++) {
        buf_format(&text, "%s\"m%u\":%u", i > 0 ? "," : "{", i, i);
    }
    buf_add_byte(&text, '}');
    return slice_cstr(&arena, buf_slice(&text));
}

static void test_limits_pairs_and_depth(void **state)
{
    struct why why;
    assert_round_trip(object_of(99));
    assert_int_equal(refuse(object_of(100), &why), ERR_INVALID_METADATA);
    assert_string_equal(why.field, "m99");
    assert_int_equal(refuse(documents(100), &why), ERR_INVALID_METADATA);
    assert_string_equal(why.field, "documents.99");

    struct buf text;
    buf_init(&text, &arena, 256);
    buf_add_text(&text, "{\"a\":");
    for (int i = 0; i < 31; i++) {
        buf_add_byte(&text, '[');
    }
    size_t closing = text.len;
    for (int i = 0; i < 31; i++) {
        buf_add_byte(&text, ']');
    }
    buf_add_byte(&text, '}');
    assert_round_trip(slice_cstr(&arena, buf_slice(&text)));
    struct slice deeper =
        slice_format(&arena, "%.*s[]%s", (int)closing, (const char *)text.ptr,
                     slice_cstr(&arena, slice_sub(buf_slice(&text), closing, text.len)));
    assert_int_equal(refuse(slice_cstr(&arena, deeper), &why), ERR_INVALID_METADATA);
}

/* ---- any object survives --------------------------------------------------------------------- */

static const char *pick(const char *const *list, size_t count)
{
    return list[rand_below(count)];
}

#define PICK(list) pick(list, sizeof(list) / sizeof((list)[0]))

static const char *const key_parts[] = {
    "a",     "b",  "_",  "__", "Z",     "z",       "Zz",   "Z5f",  "5f", "e",   "_e",
    "_x41_", "x",  "x_", "-",  ".",     "é",       "😀",    "0",    "00", "__0", "___1",
    "___0",  "km", "F",  "A",  "spec_", "\\u0000", "\\\"", "name", " ",
};
static const char *const top_keys[] = {
    "name",           "description",    "assetType",    "assetId",        "createdAt", "updatedAt",
    "specifications", "documents",      "metadataHash", "documentHashes", "x",         "x_x",
    "spec_a",         "meta_createdAt",
};
static const char *const numbers[] = {
    "0",
    "-0",
    "1",
    "-1",
    "1.0",
    "1.50",
    "1e2",
    "1E+2",
    "100e-2",
    "0.1",
    "1e-7",
    "1e21",
    "-75.0",
    "9007199254740993",
    "123456789012345678901234567890",
    "5e-324",
    "1.7976931348623157e308",
    "0.1e1",
    "3.141592653589793238",
};
static const char *const texts[] = {
    "",
    "geo",
    "42",
    "-0",
    "1.50",
    "1e5",
    "true",
    "null",
    "false",
    " null ",
    "[1,2]",
    "[]",
    "{}",
    "{\\\"a\\\":1}",
    "\\\"",
    "\\\"q\\\"",
    "[",
    "{",
    "a\\u0000b",
    "\\n",
    "é",
    "😀",
    "tru",
    "0x12",
    "2024-03-15",
    "\\\\",
    " ",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    "\\\"\\\\ud800\\\"",
    "01",
    "\xef\xbb\xbf"
    "1",
    "\\u2028",
};

static void add_key(struct buf *out, bool is_top)
{
    buf_add_byte(out, '"');
    if (is_top && rand_below(3) > 0) {
        buf_add_text(out, PICK(top_keys));
    } else {
        for (uint64_t parts = rand_below(4); parts > 0; parts--) {
            buf_add_text(out, PICK(key_parts));
        }
    }
    buf_add_text(out, "\":");
}

static void add_any(struct buf *out, unsigned depth);

static void add_list(struct buf *out, unsigned depth)
{
    buf_add_byte(out, '[');
    uint64_t count = rand_below(40) == 0 ? 60 : rand_below(5);
    for (uint64_t i = 0; i < count; i++) {
        buf_add_text(out, i > 0 ? " , " : "");
        add_any(out, depth);
    }
    buf_add_byte(out, ']');
}

static void add_object(struct buf *out, unsigned depth, bool is_top)
{
    buf_add_byte(out, '{');
    uint64_t count = rand_below(is_top ? 9 : 4);
    for (uint64_t i = 0; i < count; i++) {
        buf_add_text(out, i > 0 ? "," : "");
        add_key(out, is_top);
        add_any(out, depth);
    }
    buf_add_byte(out, '}');
}

static void add_text(struct buf *out)
{
    buf_add_byte(out, '"');
    buf_add_text(out, PICK(texts));
    if (rand_below(30) == 0) {
        for (uint64_t n = rand_below(1100); n > 0; n--) {
            buf_add_byte(out, 'l');
        }
    }
    buf_add_byte(out, '"');
}

static void add_any(struct buf *out, unsigned depth)
{
    static const char *const words[] = {"null", "true", "false", "{}", "[]"};
    switch (rand_below(depth == 0 ? 3 : 6)) {
    case 0:
        buf_add_text(out, PICK(words));
        break;
    case 1:
        buf_add_text(out, PICK(numbers));
        break;
    case 2:
        add_text(out);
        break;
    case 3:
        add_list(out, depth - 1);
        break;
    default: /* not an enum */
        add_object(out, depth - 1, false);
        break;
    }
}

static void shuffle(struct leasing_pair *pairs, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = rand_below(i);
        struct leasing_pair swapped = pairs[i - 1];
        pairs[i - 1] = pairs[j];
        pairs[j] = swapped;
    }
}

static void assert_within_limits(const struct leasing_pair *pairs, size_t count)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    assert_true(count <= 100);
    for (size_t i = 0; i < count; i++) {
        assert_true(pairs[i].key.len <= 64 && pairs[i].key.len > 0);
        assert_true(pairs[i].value.len <= 1024 && pairs[i].value.len > 0);
        assert_true(slice_is_utf8(pairs[i].value));
        const char *key = slice_cstr(&arena, pairs[i].key);
        assert_int_equal(strspn(key, allowed), pairs[i].key.len);
        for (size_t j = 0; j < i; j++) {
            assert_false(slice_equal(pairs[i].key, pairs[j].key));
        }
    }
}

/* Whether the text was an object that flattening takes, and came back. */
static bool survives(const char *text)
{
    const struct json *v;
    struct flat f;
    if (json_parse(&arena, slice_text(text), &json_limits_body, &v, NULL) != OK ||
        leasing_metadata_flatten(&arena, v, &f.pairs, &f.count, NULL) != OK) {
        return false;
    }
    struct buf canonical;
    buf_init(&canonical, &arena, 1024);
    assert_int_equal(json_canonical(&canonical, v, NULL), OK);
    assert_within_limits(f.pairs, f.count);
    shuffle(f.pairs, f.count);
    bool exact = false;
    struct slice again = leasing_metadata_unflatten(&arena, f.pairs, f.count, &exact);
    if (!exact || !slice_equal(again, buf_slice(&canonical))) {
        fail_msg("%s came back as %.*s", text, SLICE_ARG(again));
    }
    return true;
}

static void test_any_object_survives(void **state)
{
    unsigned survived = 0;
    unsigned refused = 0;
    rand_set_seed(20260108);
    while (survived < 25000) {
        struct buf text;
        buf_init(&text, &arena, 4096);
        add_object(&text, 3, true);
        bool ok = survives(slice_cstr(&arena, buf_slice(&text)));
        survived += ok;
        refused += !ok;
        arena_clear(&arena);
    }
    /* Refusals are duplicate keys and limits; they must not be what is tested. */
    assert_true(refused > 0 && refused < survived);
}

static int clear(void **state)
{
    arena_clear(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_hash_vectors, clear),
        cmocka_unit_test_teardown(test_check_accepts, clear),
        cmocka_unit_test_teardown(test_check_refuses_members, clear),
        cmocka_unit_test_teardown(test_check_refuses_documents, clear),
        cmocka_unit_test_teardown(test_flattens_by_the_rules, clear),
        cmocka_unit_test_teardown(test_flattens_misplaced_members, clear),
        cmocka_unit_test_teardown(test_splits_long_arrays, clear),
        cmocka_unit_test_teardown(test_limits, clear),
        cmocka_unit_test_teardown(test_limits_pairs_and_depth, clear),
        cmocka_unit_test_teardown(test_any_object_survives, clear),
    };
    arena_init(&arena, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
