/*
 * Cases are written from the specification (JSON Schema 2020-12, core and validation): what a
 * keyword accepts, what it refuses, and what it does not apply to.
 */
#include "kernel/base/json_schema.h"

#include "kernel/base/mem.h"
#include "unit/vectors.h"

static struct arena arena;

struct instance {
    const char *value;
    bool valid;
};

struct group {
    const char *schema;
    struct instance instances[16]; /* up to the first without a value */
};

#define YES(text)                                                                                  \
    {                                                                                              \
        text, true                                                                                 \
    }
#define NO(text)                                                                                   \
    {                                                                                              \
        text, false                                                                                \
    }

static const struct group type_groups[] = {
    {"{}", {YES("1"), YES("null"), YES("{\"a\":[]}")}},
    {"true", {YES("1"), YES("\"x\"")}},
    {"false", {NO("1"), NO("null"), NO("{}")}},
    {"{\"type\":\"integer\"}",
     {YES("1"), YES("-0"), YES("1.0"), YES("1e2"), YES("12300e-2"), NO("1.1"), NO("1e-1"),
      NO("\"1\""), NO("true"), NO("null"), NO("[]"), YES("100000000000000000000000001.0")}},
    {"{\"type\":\"number\"}",
     {YES("1"), YES("1.5"), YES("-1e400"), NO("\"1.5\""), NO("false"), NO("{}")}},
    {"{\"type\":\"string\"}", {YES("\"\""), YES("\"1\""), NO("1"), NO("null"), NO("[\"a\"]")}},
    {"{\"type\":\"boolean\"}", {YES("true"), YES("false"), NO("0"), NO("\"true\""), NO("null")}},
    {"{\"type\":\"null\"}", {YES("null"), NO("0"), NO("\"\""), NO("false"), NO("{}")}},
    {"{\"type\":\"array\"}", {YES("[]"), YES("[1]"), NO("{}"), NO("\"[]\"")}},
    {"{\"type\":\"object\"}", {YES("{}"), YES("{\"a\":1}"), NO("[]"), NO("null")}},
    {"{\"type\":[\"integer\",\"string\"]}", {YES("1"), YES("\"a\""), NO("1.5"), NO("null")}},
    {"{\"type\":[\"integer\",\"number\"]}", {YES("1"), YES("1.5"), NO("\"a\"")}},
    {"{\"type\":[\"null\"]}", {YES("null"), NO("1")}},
};

static const struct group equality_groups[] = {
    {"{\"enum\":[1,\"a\",null,[1,2],{\"b\":1,\"a\":2}]}",
     {YES("1"), YES("1.0"), YES("10e-1"), YES("\"a\""), YES("null"), YES("[1,2.0]"),
      YES("{\"a\":2,\"b\":1}"), NO("2"), NO("[2,1]"), NO("{\"a\":2}"), NO("\"1\""), NO("false")}},
    {"{\"enum\":[false]}", {YES("false"), NO("0"), NO("[false]"), NO("null")}},
    {"{\"enum\":[[false]]}", {YES("[false]"), NO("[0]"), NO("false")}},
    {"{\"enum\":[9007199254740993]}", {YES("9007199254740993"), NO("9007199254740992")}},
    {"{\"const\":2}", {YES("2"), YES("2.0"), NO("\"2\""), NO("3")}},
    {"{\"const\":0}", {YES("0"), YES("-0"), YES("0.0"), NO("false"), NO("\"\""), NO("null")}},
    {"{\"const\":null}", {YES("null"), NO("0"), NO("{}")}},
    {"{\"const\":{\"a\":[1,{\"b\":\"\\u00e9\"}]}}",
     {YES("{\"a\":[1.0,{\"b\":\"é\"}]}"), NO("{\"a\":[1,{\"b\":\"e\"}]}"), NO("{\"a\":[1]}")}},
    {"{\"const\":\"a\\u0000b\"}", {YES("\"a\\u0000b\""), NO("\"ab\""), NO("\"a\"")}},
    /* Texts that a careless normal form would mix up. */
    {"{\"const\":{\"a\":1,\"b\":2}}", {NO("{\"a\":{\"b\":2}}"), NO("[\"a\",1,\"b\",2]")}},
    {"{\"const\":[[1],2]}", {NO("[[1,2]]"), NO("[1,[2]]"), YES("[[1],2]")}},
    {"{\"const\":1e5}", {YES("100000"), NO("\"0.1e6\"")}},
};

static const struct group number_groups[] = {
    {"{\"minimum\":1.1}",
     {YES("1.1"), YES("2.6"), YES("1.10"), NO("0.6"), NO("1.0999999999999999999999"),
      YES("\"x\"")}},
    {"{\"minimum\":-2}", {YES("-2"), YES("-2.0"), YES("0"), NO("-2.0001"), NO("-3")}},
    {"{\"maximum\":3.0}",
     {YES("2.6"), YES("3"), NO("3.5"), NO("3.00000000000000000000001"), YES("null")}},
    {"{\"exclusiveMinimum\":1.1}", {YES("1.2"), NO("1.1"), NO("0.6"), YES("\"a\"")}},
    {"{\"exclusiveMaximum\":3.0}", {YES("2.2"), NO("3.0"), NO("3"), NO("3.5")}},
    {"{\"minimum\":0,\"exclusiveMaximum\":360}",
     {YES("0"), YES("359.999999999999999999999"), NO("360"), NO("-0.1"), YES("-0")}},
    {"{\"maximum\":9007199254740992}", {YES("9007199254740992"), NO("9007199254740993")}},
    {"{\"minimum\":1e309}", {NO("1e308"), YES("1e309"), YES("10e308"), NO("0")}},
    {"{\"exclusiveMaximum\":1e-400}", {YES("0"), NO("1e-400"), YES("1e-401")}},
    {"{\"minimum\":-100000000000000000000000000}",
     {YES("-100000000000000000000000000"), NO("-100000000000000000000000001")}},
    {"{\"multipleOf\":2}", {YES("10"), NO("7"), YES("\"foo\""), YES("0"), YES("-4"), NO("4.5")}},
    {"{\"multipleOf\":7}", {YES("7e20"), YES("49.0"), NO("1e20")}},
};

static const struct group string_groups[] = {
    {"{\"minLength\":2}", {YES("\"fo\""), YES("\"foo\""), NO("\"f\""), YES("1"), NO("\"😀\"")}},
    {"{\"minLength\":2.0}", {YES("\"fo\""), NO("\"f\"")}},
    {"{\"maxLength\":2}",
     {YES("\"f\""), YES("\"fo\""), NO("\"foo\""), YES("100"), YES("\"😀😀\""), NO("\"ééé\"")}},
    {"{\"maxLength\":0}", {YES("\"\""), NO("\"a\"")}},
    {"{\"pattern\":\"^a*$\"}",
     {YES("\"aaa\""), YES("\"\""), NO("\"abc\""), YES("true"), YES("1"), YES("{}")}},
    {"{\"pattern\":\"a+\"}", {YES("\"xxaayy\""), NO("\"xyz\"")}},
    {"{\"pattern\":\"^0x[0-9a-fA-F]{64}$\"}",
     {YES("\"0x585f0ffac4590ed956ef7d99c1177e00c7f240a28094f8eaffb94c5a559815a3\""),
      NO("\"0x585f\""), NO("\"\"")}},
    {"{\"pattern\":\"^(ku|ka|c)-band( [1-9])?$\"}",
     {YES("\"ku-band\""), YES("\"c-band 3\""), NO("\"x-band\""), NO("\"ku-band 0\"")}},
    {"{\"pattern\":\"^[[:alpha:]._-]+\\\\.[a-z]{2,4}$\"}",
     {YES("\"a-b.org\""), NO("\"aorg\""), NO("\"a.o\"")}},
    {"{\"pattern\":\"^[]a]+$\"}", {YES("\"a]\""), NO("\"b\"")}},
    /* A zero byte is a byte like another. */
    {"{\"pattern\":\"^a\"}", {YES("\"a\\u0000b\""), NO("\"\\u0000a\"")}},
    {"{\"pattern\":\"b$\"}", {YES("\"a\\u0000b\""), NO("\"b\\u0000\"")}},
};

static const struct group format_groups[] = {
    {"{\"format\":\"date-time\"}",
     {YES("\"1963-06-19T08:30:06.283185Z\""), YES("\"1963-06-19t08:30:06z\""),
      YES("\"1937-01-01T12:00:27.87+00:20\""), YES("\"1990-12-31T15:59:50.123-08:00\""),
      YES("\"1998-12-31T23:59:60Z\""), YES("\"1998-12-31T15:59:60.123-08:00\""),
      NO("\"1998-12-31T23:58:60Z\""), NO("\"1998-12-31T22:59:60Z\""),
      NO("\"1990-02-31T15:59:59Z\""), NO("\"1990-12-31T15:59:59-24:00\""), YES("12"), NO("\"\"")}},
    {"{\"format\":\"date-time\"}",
     {NO("\"1963-06-19T08:30:06.28123+01:00Z\""), NO("\"06/19/1963 08:30:06 PST\""),
      NO("\"2013-350T01:01:01\""), NO("\"1963-6-19T08:30:06.283185Z\""),
      NO("\"1963-06-1T00:00:00Z\""), NO("\"1963-06-11T24:00:00Z\""), NO("\"1963-06-19T08:30:06\""),
      NO("\"1963-06-19T08:30:06.Z\""), NO("\"1963-06-19 08:30:06Z\""),
      NO("\"1900-02-29T00:00:00Z\""), YES("\"2000-02-29T00:00:00Z\""),
      NO("\"2023-13-01T00:00:00Z\"")}},
    {"{\"format\":\"uri\"}",
     {YES("\"http://foo.bar/?baz=qux#quuz\""), YES("\"ftp://ftp.is.co.za/rfc/rfc1808.txt\""),
      YES("\"http://foo.com/blah_(wikipedia)_blah#cite-1\""), YES("\"urn:oasis:names:x:1.1\""),
      YES("\"tel:+1-816-555-1212\""), YES("\"mailto:John.Doe@example.com\""),
      YES("\"ldap://[2001:db8::7]/c=GB?objectClass?one\""), YES("\"telnet://192.0.2.16:80/\""),
      YES("\"http://-.~_!$&'()*+,;=:%40:80%2f::::::@example.com\""),
      YES("\"http://223.255.255.254\""), YES("7"), YES("\"ipfs://bafy/x%20y\"")}},
    {"{\"format\":\"uri\"}",
     {NO("\"//foo.bar/?baz\""), NO("\"/abc\""), NO("\"\\\\\\\\WINDOWS\\\\fileshare\""),
      NO("\"abc\""), NO("\"http:// shouldfail.com\""), NO("\":// should fail\""),
      NO("\"bar,baz:foo\""), NO("\"https://[@example.org/test.txt\""),
      NO("\"https://example.org/foobar\\\\.txt\""), NO("\"https://example.org/%zz\""),
      NO("\"https://example.org:80a/\""), NO("\"https://example.org/é\"")}},
    {"{\"format\":\"uri\"}",
     {NO("\"\""), NO("\"1http://a\""), NO("\"http://a b\""), NO("\"http://[::1/\""),
      NO("\"http://[::1]x/\""), NO("\"https://a/<>\""), NO("\"http://a#b#c\""), NO("\"a%41:b\"")}},
    {"{\"format\":\"email\"}", {YES("\"not one\""), YES("1")}},
};

static const struct group object_groups[] = {
    {"{\"properties\":{\"foo\":{\"type\":\"integer\"},\"bar\":{\"type\":\"string\"}}}",
     {YES("{\"foo\":1,\"bar\":\"baz\"}"), NO("{\"foo\":1,\"bar\":{}}"), NO("{\"foo\":[]}"),
      YES("{\"quux\":[]}"), YES("[]"), YES("12"), YES("{}")}},
    {"{\"properties\":{\"foo\":true,\"bar\":false}}",
     {YES("{}"), YES("{\"foo\":1}"), NO("{\"bar\":2}"), NO("{\"foo\":1,\"bar\":2}")}},
    {"{\"required\":[\"foo\"]}", {YES("{\"foo\":null}"), NO("{\"bar\":1}"), NO("{}"), YES("[]")}},
    {"{\"required\":[]}", {YES("{}")}},
    {"{\"required\":[\"foo\\nbar\",\"\"]}", {YES("{\"foo\\nbar\":1,\"\":2}"), NO("{\"\":1}")}},
    {"{\"properties\":{\"foo\":{},\"bar\":{}},\"additionalProperties\":false}",
     {YES("{\"foo\":1}"), NO("{\"foo\":1,\"quux\":true}"), YES("[1]"), YES("\"s\""), YES("{}")}},
    {"{\"additionalProperties\":false}", {YES("{}"), NO("{\"a\":1}")}},
    {"{\"properties\":{\"foo\":{}},\"additionalProperties\":{\"type\":\"boolean\"}}",
     {YES("{\"foo\":1}"), YES("{\"foo\":1,\"x\":true}"), NO("{\"foo\":1,\"x\":12}")}},
    /* additionalProperties looks at its own schema only. */
    {"{\"allOf\":[{\"properties\":{\"foo\":{}}}],\"additionalProperties\":{\"type\":\"boolean\"}}",
     {NO("{\"foo\":1}"), YES("{\"foo\":true}")}},
    {"{\"minProperties\":1}", {YES("{\"a\":1}"), NO("{}"), YES("[]"), YES("\"\"")}},
    {"{\"maxProperties\":2}",
     {YES("{\"a\":1,\"b\":2}"), NO("{\"a\":1,\"b\":2,\"c\":3}"), YES("[1,2,3]")}},
    {"{\"maxProperties\":0}", {YES("{}"), NO("{\"a\":1}")}},
};

static const struct group array_groups[] = {
    {"{\"items\":{\"type\":\"integer\"}}",
     {YES("[1,2,3]"), NO("[1,\"x\"]"), YES("{\"foo\":\"bar\"}"), YES("[]")}},
    {"{\"items\":false}", {YES("[]"), NO("[1]")}},
    {"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}",
     {YES("[1,\"foo\"]"), NO("[\"foo\",1]"), YES("[1]"), YES("[1,\"foo\",true]"), YES("[]"),
      YES("{\"0\":\"x\"}")}},
    {"{\"prefixItems\":[{},{}],\"items\":{\"type\":\"string\"}}",
     {YES("[1,2]"), YES("[1,2,\"a\"]"), NO("[1,2,3]")}},
    {"{\"prefixItems\":[{}],\"items\":false}", {YES("[]"), YES("[1]"), NO("[1,2]")}},
    {"{\"minItems\":1}", {YES("[1]"), NO("[]"), YES("\"\"")}},
    {"{\"maxItems\":2}", {YES("[1,2]"), NO("[1,2,3]"), YES("\"foobar\"")}},
    {"{\"uniqueItems\":true}",
     {YES("[1,2]"), NO("[1,1]"), NO("[1.0,1.00,1]"), YES("[0,false]"), YES("[1,true]"),
      NO("[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1}]"), YES("[{\"a\":1},{\"a\":\"1\"}]"),
      NO("[[1],[1]]"), YES("[[1],[[1]]]"), YES("[]"), NO("[\"a\",\"b\",\"a\"]"),
      YES("[1,null,true,{},[1],\"{}\"]")}},
    {"{\"uniqueItems\":false}", {YES("[1,1]")}},
};

static const struct group combination_groups[] = {
    {"{\"allOf\":[{\"minimum\":2},{\"maximum\":4}]}", {YES("3"), NO("1"), NO("5")}},
    {"{\"allOf\":[true,false]}", {NO("1")}},
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}",
     {YES("1"), YES("2.5"), YES("3"), NO("1.5")}},
    {"{\"type\":\"string\",\"anyOf\":[{\"maxLength\":2},{\"minLength\":4}]}",
     {YES("\"ab\""), YES("\"abcd\""), NO("\"abc\""), NO("3")}},
    {"{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}",
     {YES("1"), YES("2.5"), NO("3"), NO("1.5")}},
    {"{\"oneOf\":[true,true,true]}", {NO("1")}},
    {"{\"oneOf\":[true,false,false]}", {YES("1")}},
    {"{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}",
     {YES("{\"a\":1}"), YES("{\"b\":1}"), NO("{\"a\":1,\"b\":1}"), NO("{}")}},
    {"{\"not\":{\"type\":\"integer\"}}", {YES("\"foo\""), YES("1.5"), NO("1")}},
    {"{\"not\":{\"not\":{\"type\":\"integer\"}}}", {YES("1"), NO("\"a\"")}},
    {"{\"not\":{}}", {NO("1"), NO("{}")}},
    {"{\"not\":false}", {YES("1")}},
    {"{\"$defs\":{\"positive\":{\"exclusiveMinimum\":0}},"
     "\"properties\":{\"mass_kg\":{\"$ref\":\"#/$defs/positive\",\"maximum\":9}}}",
     {YES("{\"mass_kg\":1}"), NO("{\"mass_kg\":0}"), NO("{\"mass_kg\":10}"), YES("{}")}},
    {"{\"$defs\":{\"a\":{\"type\":\"integer\"},\"b\":{\"$ref\":\"#/$defs/a\"}},"
     "\"$ref\":\"#/$defs/b\"}",
     {YES("5"), NO("\"a\"")}},
    {"{\"$defs\":{\"tree\":{\"type\":\"object\",\"required\":[\"value\"],\"properties\":{"
     "\"value\":{\"type\":\"number\"},\"nodes\":{\"items\":{\"$ref\":\"#/$defs/tree\"}}}}},"
     "\"$ref\":\"#/$defs/tree\"}",
     {YES("{\"value\":1,\"nodes\":[{\"value\":2,\"nodes\":[{\"value\":3}]}]}"),
      NO("{\"value\":1,\"nodes\":[{\"value\":2,\"nodes\":[{\"value\":\"3\"}]}]}"),
      NO("{\"value\":1,\"nodes\":[{}]}")}},
    /* Names of keywords are names of members, too. */
    {"{\"properties\":{\"$ref\":{\"type\":\"string\"},\"enum\":{\"type\":\"integer\"}}}",
     {YES("{\"$ref\":\"a\"}"), NO("{\"$ref\":2}"), NO("{\"enum\":\"x\"}")}},
    {"{\"const\":{\"$ref\":\"#/$defs/a\"}}", {YES("{\"$ref\":\"#/$defs/a\"}"), NO("{}")}},
    {"{\"title\":\"t\",\"description\":\"d\",\"default\":[],\"examples\":[1],\"$comment\":\"c\","
     "\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"$id\":\"urn:x\"}",
     {YES("1"), YES("{}")}},
};

static unsigned cases_run;

static void check_groups(const struct group *groups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct json *schema = vector_json(&arena, groups[i].schema);
        for (const struct instance *c = groups[i].instances; c->value != NULL; c++) {
            struct why why = {.err = OK};
            const struct json *value = vector_json(&arena, c->value);
            enum err e = json_schema_check(&arena, schema, value, ERR_INVALID_METADATA, &why);
            enum err expected = c->valid ? OK : ERR_INVALID_METADATA;
            if (e != expected || why.err != expected) {
                fail_msg("%s with %s: %s (%s)", groups[i].schema, c->value, err_code(e), why.text);
            }
            cases_run++;
        }
    }
}

#define CHECK(groups) check_groups(groups, sizeof(groups) / sizeof((groups)[0]))

static void test_types(void **state)
{
    CHECK(type_groups);
}

static void test_equality(void **state)
{
    CHECK(equality_groups);
}

static void test_numbers(void **state)
{
    CHECK(number_groups);
}

static void test_strings(void **state)
{
    CHECK(string_groups);
}

static void test_formats(void **state)
{
    CHECK(format_groups);
}

static void test_objects(void **state)
{
    CHECK(object_groups);
}

static void test_arrays(void **state)
{
    CHECK(array_groups);
}

static void test_combinations(void **state)
{
    CHECK(combination_groups);
}

static void test_enough_cases(void **state)
{
    assert_true(cases_run > 300);
}

/* ---- schemas --------------------------------------------------------------------------------- */

struct refusal {
    const char *schema;
    const char *field;
};

static void test_refuses_schemas(void **state)
{
    static const struct refusal cases[] = {
        {"1", ""},
        {"\"string\"", ""},
        {"[]", ""},
        {"null", ""},
        {"{\"typo\":\"string\"}", "typo"},
        {"{\"patternProperties\":{}}", "patternProperties"},
        {"{\"if\":{}}", "if"},
        {"{\"definitions\":{}}", "definitions"},
        {"{\"dependentRequired\":{}}", "dependentRequired"},
        {"{\"type\":\"float\"}", "type"},
        {"{\"type\":[]}", "type"},
        {"{\"type\":[\"string\",\"string\"]}", "type"},
        {"{\"type\":[\"string\",1]}", "type"},
        {"{\"type\":null}", "type"},
        {"{\"enum\":[]}", "enum"},
        {"{\"enum\":1}", "enum"},
        {"{\"properties\":[]}", "properties"},
        {"{\"properties\":{\"a\":{\"b\":1}}}", "properties.a.b"},
        {"{\"properties\":{\"a\":1}}", "properties.a"},
        {"{\"required\":\"a\"}", "required"},
        {"{\"required\":[1]}", "required"},
        {"{\"required\":[\"a\",\"a\"]}", "required"},
        {"{\"items\":[{}]}", "items"},
        {"{\"prefixItems\":[]}", "prefixItems"},
        {"{\"prefixItems\":[{},{\"type\":\"x\"}]}", "prefixItems.1.type"},
        {"{\"allOf\":[]}", "allOf"},
        {"{\"anyOf\":{}}", "anyOf"},
        {"{\"oneOf\":[1]}", "oneOf.0"},
        {"{\"not\":[]}", "not"},
        {"{\"minLength\":-1}", "minLength"},
        {"{\"minLength\":1.5}", "minLength"},
        {"{\"maxItems\":\"1\"}", "maxItems"},
        {"{\"maxProperties\":1e30}", "maxProperties"},
        {"{\"minimum\":\"1\"}", "minimum"},
        {"{\"minimum\":1e99999999999999999999}", "minimum"},
        {"{\"exclusiveMinimum\":true}", "exclusiveMinimum"},
        {"{\"multipleOf\":0}", "multipleOf"},
        {"{\"multipleOf\":0.01}", "multipleOf"},
        {"{\"multipleOf\":-3}", "multipleOf"},
        {"{\"multipleOf\":4294967296}", "multipleOf"},
        {"{\"uniqueItems\":1}", "uniqueItems"},
        {"{\"format\":1}", "format"},
        {"{\"title\":1}", "title"},
        {"{\"examples\":1}", "examples"},
        {"{\"properties\":{\"a\":{\"$id\":\"urn:x\"}}}", "properties.a.$id"},
        {"{\"$ref\":\"#/$defs/a\"}", "$ref"},
        {"{\"$ref\":\"#\"}", "$ref"},
        {"{\"$ref\":\"other.json\",\"$defs\":{\"other.json\":{}}}", "$ref"},
        {"{\"$ref\":\"#/$defs/a~0\",\"$defs\":{\"a~0\":{}}}", "$ref"},
        {"{\"$defs\":{\"a\":{\"type\":\"x\"}}}", "$defs.a.type"},
        {"{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/a\"}}}", "$defs"},
        {"{\"$defs\":{\"a\":{\"allOf\":[{\"$ref\":\"#/$defs/b\"}]},"
         "\"b\":{\"not\":{\"anyOf\":[{\"$ref\":\"#/$defs/a\"}]}}}}",
         "$defs"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct why why = {.err = OK};
        const struct json *schema = vector_json(&arena, cases[i].schema);
        const struct json *value = vector_json(&arena, "1");
        if (json_schema_verify(schema, &why) != ERR_INVALID_FIELD) {
            fail_msg("%s was taken", cases[i].schema);
        }
        assert_string_equal(why.field, cases[i].field);
        assert_int_equal(json_schema_check(&arena, schema, value, ERR_INVALID_METADATA, NULL),
                         ERR_INVALID_FIELD);
    }
}

static void test_refuses_patterns(void **state)
{
    static const char *const patterns[] = {
        "\\\\d+",
        "\\\\w",
        "[\\\\d]",
        "(a)\\\\1",
        "(?:a)",
        "(?=a)",
        "a**",
        "a+?",
        "a{2}{3}",
        "*a",
        "(*a)",
        "a|*",
        "a{",
        "a{x}",
        "a{1,x}",
        "a{,3}",
        "(a",
        "a)",
        "[a",
        "[z-a]",
        "a\\\\",
        "\\\\b",
        "\\\\<a",
        "a\\u0000",
        "a{9999}",
        "^*",
        "a{3,2}",
        "((((a{99}){99}){99}){99})",
        "(a{40}b{40}){30}",
        "(((((((((((((((((((((((((((((((((a)))))))))))))))))))))))))))))))))",
        "[[:nonsense:]]",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        char text[256];
        struct why why = {.err = OK};
        snprintf(text, sizeof text, "{\"properties\":{\"p\":{\"pattern\":\"%s\"}}}", patterns[i]);
        if (json_schema_verify(vector_json(&arena, text), &why) != ERR_INVALID_FIELD) {
            fail_msg("%s was taken", patterns[i]);
        }
        assert_string_equal(why.field, "properties.p.pattern");
    }
    struct buf text;
    buf_init(&text, &arena, 512);
    buf_add_text(&text, "{\"pattern\":\"");
    for (int i = 0; i < JSON_SCHEMA_PATTERN_MAX + 1; i++) {
        buf_add_byte(&text, 'a');
    }
    buf_add_text(&text, "\"}");
    assert_int_equal(
        json_schema_verify(vector_json(&arena, slice_cstr(&arena, buf_slice(&text))), NULL),
        ERR_INVALID_FIELD);
}

static const struct json *nested_schema(unsigned levels)
{
    struct buf text;
    buf_init(&text, &arena, 512);
    for (unsigned i = 1; i < levels; i++) {
        buf_add_text(&text, "{\"items\":");
    }
    buf_add_text(&text, "{}");
    for (unsigned i = 1; i < levels; i++) {
        buf_add_text(&text, "}");
    }
    return vector_json(&arena, slice_cstr(&arena, buf_slice(&text)));
}

static void test_limits_depth(void **state)
{
    assert_int_equal(json_schema_verify(nested_schema(JSON_SCHEMA_DEPTH_MAX), NULL), OK);
    assert_int_equal(json_schema_verify(nested_schema(JSON_SCHEMA_DEPTH_MAX + 1), NULL),
                     ERR_INVALID_FIELD);
}

/* Definitions that name the next one twice: 2^30 steps to the end. */
static void test_limits_references(void **state)
{
    struct buf text;
    buf_init(&text, &arena, 4096);
    buf_add_text(&text, "{\"$defs\":{\"d0\":{}");
    for (int i = 1; i <= 30; i++) {
        buf_format(&text,
                   ",\"d%d\":{\"allOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]}",
                   i, i - 1, i - 1);
    }
    buf_add_text(&text, "}}");
    struct why why;
    assert_int_equal(
        json_schema_verify(vector_json(&arena, slice_cstr(&arena, buf_slice(&text))), &why),
        ERR_INVALID_FIELD);
    assert_string_equal(why.field, "$defs");
}

/* ---- reports --------------------------------------------------------------------------------- */

static void test_names_the_place(void **state)
{
    static const struct {
        const char *schema;
        const char *value;
        const char *field;
        const char *text;
    } cases[] = {
        {"{\"properties\":{\"specifications\":{\"properties\":{\"orbit\":{\"properties\":{\"type\":"
         "{\"type\":\"string\"}}}}}}}",
         "{\"specifications\":{\"orbit\":{\"type\":7}}}", "specifications.orbit.type",
         "specifications.orbit.type must be a string, not a number."},
        {"{\"items\":{\"required\":[\"hash\"]}}", "[{\"hash\":1},{}]", "1.hash",
         "1.hash is missing."},
        {"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":1,\"b\":2}", "b",
         "b is not allowed."},
        {"{\"type\":[\"string\",\"null\"]}", "[]", "",
         "The value must be null or a string, not an array."},
        {"{\"properties\":{\"n\":{\"exclusiveMaximum\":1e2}}}", "{\"n\":100}", "n",
         "n must be less than 1e2."},
        {"{\"properties\":{\"n\":{\"minLength\":3}}}", "{\"n\":\"ab\"}", "n",
         "n must have at least 3 characters; it has 2."},
        {"{\"properties\":{\"o\":{\"enum\":[\"leo\",\"geo\"]}}}", "{\"o\":\"meo\"}", "o",
         "o must be one of [\"leo\",\"geo\"]."},
        {"{\"anyOf\":[{\"properties\":{\"a\":{\"type\":\"null\"}}},{\"type\":\"array\"}]}",
         "{\"a\":1}", "", "The value matches none of the 2 allowed forms."},
        {"{\"oneOf\":[true,true]}", "1", "",
         "The value must match one of the 2 allowed forms; it matches more."},
        {"{\"type\":\"integer\"}", "1e99999999999999999", "",
         "The value has an exponent that is out of range."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct why why = {.err = OK};
        assert_int_equal(json_schema_check(&arena, vector_json(&arena, cases[i].schema),
                                           vector_json(&arena, cases[i].value), ERR_INVALID_FIELD,
                                           &why),
                         ERR_INVALID_FIELD);
        assert_string_equal(why.field, cases[i].field);
        assert_string_equal(why.text, cases[i].text);
    }
}

/* ---- limits of a check ----------------------------------------------------------------------- */

static const struct json *list_of(const char *element, unsigned count)
{
    struct buf text;
    buf_init(&text, &arena, 1 << 16);
    buf_add_byte(&text, '[');
    for (unsigned i = 0; i < count; i++) {
        buf_add_text(&text, i > 0 ? "," : "");
        buf_add_text(&text, element);
    }
    buf_add_byte(&text, ']');
    return vector_json(&arena, slice_cstr(&arena, buf_slice(&text)));
}

static const char *long_text(unsigned length)
{
    struct buf text;
    buf_init(&text, &arena, length + 3);
    buf_add_byte(&text, '"');
    for (unsigned i = 0; i < length; i++) {
        buf_add_byte(&text, 'a');
    }
    buf_add_byte(&text, '"');
    return slice_cstr(&arena, buf_slice(&text));
}

static void test_limits_subjects(void **state)
{
    const struct json *schema = vector_json(&arena, "{\"pattern\":\"^a+$\"}");
    const struct json *fits = vector_json(&arena, long_text(JSON_SCHEMA_SUBJECT_MAX));
    const struct json *exceeds = vector_json(&arena, long_text(JSON_SCHEMA_SUBJECT_MAX + 1));
    assert_int_equal(json_schema_check(&arena, schema, fits, ERR_INVALID_METADATA, NULL), OK);
    assert_int_equal(json_schema_check(&arena, schema, exceeds, ERR_INVALID_METADATA, NULL),
                     ERR_INVALID_METADATA);
}

/* Searching a text for what it nearly holds takes the square of its length. */
static void test_limits_work(void **state)
{
    const struct json *schema = vector_json(&arena, "{\"items\":{\"pattern\":\"a*b\"}}");
    const struct json *few = list_of(long_text(60), 1000);
    const struct json *many = list_of(long_text(4000), 200);
    struct why why = {.err = OK};
    assert_int_equal(json_schema_check(&arena, schema, few, ERR_INVALID_METADATA, NULL),
                     ERR_INVALID_METADATA);
    const struct json *anything =
        vector_json(&arena, "{\"items\":{\"not\":{\"pattern\":\"a*b\"}}}");
    assert_int_equal(json_schema_check(&arena, anything, few, ERR_INVALID_METADATA, NULL), OK);
    assert_int_equal(json_schema_check(&arena, anything, many, ERR_INVALID_METADATA, &why),
                     ERR_LIMIT);
    assert_int_equal(why.err, ERR_LIMIT);
}

/* A limit within alternatives is not taken for a mismatch of one of them. */
static void test_limits_reach_through_alternatives(void **state)
{
    const struct json *many = list_of(long_text(4000), 200);
    static const char *const schemas[] = {
        "{\"not\":{\"items\":{\"not\":{\"pattern\":\"a*b\"}}}}",
        "{\"anyOf\":[{\"items\":{\"not\":{\"pattern\":\"a*b\"}}},true]}",
        "{\"oneOf\":[true,{\"items\":{\"not\":{\"pattern\":\"a*b\"}}}]}",
    };
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {
        assert_int_equal(json_schema_check(&arena, vector_json(&arena, schemas[i]), many,
                                           ERR_INVALID_METADATA, NULL),
                         ERR_LIMIT);
    }
}

static void test_checks_large_values(void **state)
{
    struct buf text;
    buf_init(&text, &arena, 1 << 20);
    buf_add_byte(&text, '[');
    for (unsigned i = 0; i < 50000; i++) {
        buf_format(&text, "%u,", (i * 7919) % 50021);
    }
    buf_add_text(&text, "50021]");
    const struct json *value = vector_json(&arena, slice_cstr(&arena, buf_slice(&text)));
    const struct json *schema =
        vector_json(&arena, "{\"uniqueItems\":true,\"items\":{\"type\":\"integer\"}}");
    assert_int_equal(json_schema_check(&arena, schema, value, ERR_INVALID_METADATA, NULL), OK);
}

/* The recursion follows the value; a value nested as deep as can be read is no trouble. */
static void test_follows_deep_values(void **state)
{
    struct buf text;
    buf_init(&text, &arena, 512);
    for (int i = 0; i < 60; i++) {
        buf_add_byte(&text, '[');
    }
    for (int i = 0; i < 60; i++) {
        buf_add_byte(&text, ']');
    }
    const struct json *value = vector_json(&arena, slice_cstr(&arena, buf_slice(&text)));
    const struct json *list = vector_json(
        &arena, "{\"$defs\":{\"l\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/l\"}}},"
                "\"$ref\":\"#/$defs/l\"}");
    assert_int_equal(json_schema_check(&arena, list, value, ERR_INVALID_METADATA, NULL), OK);
    const struct json *slow = vector_json(
        &arena, "{\"$defs\":{\"l\":{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"allOf\":["
                "{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"items\":{\"$ref\":\"#/$defs/l\"}}]}]}]}]}]"
                "}]}]}]}},\"$ref\":\"#/$defs/l\"}");
    struct why why;
    assert_int_equal(json_schema_check(&arena, slow, value, ERR_INVALID_METADATA, &why), ERR_LIMIT);
}

static int clear(void **state)
{
    arena_clear(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_types, clear),
        cmocka_unit_test_teardown(test_equality, clear),
        cmocka_unit_test_teardown(test_numbers, clear),
        cmocka_unit_test_teardown(test_strings, clear),
        cmocka_unit_test_teardown(test_formats, clear),
        cmocka_unit_test_teardown(test_objects, clear),
        cmocka_unit_test_teardown(test_arrays, clear),
        cmocka_unit_test_teardown(test_combinations, clear),
        cmocka_unit_test(test_enough_cases),
        cmocka_unit_test_teardown(test_refuses_schemas, clear),
        cmocka_unit_test_teardown(test_refuses_patterns, clear),
        cmocka_unit_test_teardown(test_limits_depth, clear),
        cmocka_unit_test_teardown(test_limits_references, clear),
        cmocka_unit_test_teardown(test_names_the_place, clear),
        cmocka_unit_test_teardown(test_limits_subjects, clear),
        cmocka_unit_test_teardown(test_limits_work, clear),
        cmocka_unit_test_teardown(test_limits_reach_through_alternatives, clear),
        cmocka_unit_test_teardown(test_checks_large_values, clear),
        cmocka_unit_test_teardown(test_follows_deep_values, clear),
    };
    arena_init(&arena, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
