/*
 * Vectors: RFC 8785 section 3.2 and appendix B; the document hashes of the leasing protocol. The
 * comparison with a real JavaScript engine is tests/diff/canonical.mjs.
 */
#include "kernel/base/json.h"

#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernel/base/mem.h"

static int setup(void **state)
{
    struct arena *arena = mem_alloc(sizeof(*arena));
    arena_init(arena, 0);
    *state = arena;
    return 0;
}

static int teardown(void **state)
{
    arena_free(*state);
    mem_free(*state);
    return 0;
}

static struct slice canonical(struct arena *arena, const char *text)
{
    const struct json *v = NULL;
    struct why why;
    struct buf out;
    buf_init(&out, arena, 0);
    assert_int_equal(json_parse(arena, slice_text(text), &json_limits_body, &v, &why), OK);
    assert_int_equal(json_canonical(&out, v, &why), OK);
    buf_add_byte(&out, 0);
    return slice_sub(buf_slice(&out), 0, out.len - 1);
}

#define assert_canonical(arena, text, expected)                                                    \
    assert_string_equal((const char *)canonical(arena, text).ptr, expected)

struct number_sample {
    uint64_t bits;
    const char *text;
};

static const struct number_sample samples[] = {
    {0x0000000000000000, "0"},
    {0x8000000000000000, "0"},
    {0x0000000000000001, "5e-324"},
    {0x8000000000000001, "-5e-324"},
    {0x7fefffffffffffff, "1.7976931348623157e+308"},
    {0xffefffffffffffff, "-1.7976931348623157e+308"},
    {0x4340000000000000, "9007199254740992"},
    {0xc340000000000000, "-9007199254740992"},
    {0x4430000000000000, "295147905179352830000"},
    {0x44b52d02c7e14af5, "9.999999999999997e+22"},
    {0x44b52d02c7e14af6, "1e+23"},
    {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
    {0x444b1ae4d6e2ef4e, "999999999999999700000"},
    {0x444b1ae4d6e2ef4f, "999999999999999900000"},
    {0x444b1ae4d6e2ef50, "1e+21"},
    {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
    {0x3eb0c6f7a0b5ed8d, "0.000001"},
    {0x41b3de4355555553, "333333333.3333332"},
    {0x41b3de4355555554, "333333333.33333325"},
    {0x41b3de4355555555, "333333333.3333333"},
    {0x41b3de4355555556, "333333333.3333334"},
    {0x41b3de4355555557, "333333333.33333343"},
    {0xbecbf647612f3696, "-0.0000033333333333333333"},
    {0x43143ff3c1cb0959, "1424953923781206.2"},
};

/* Each double is written out exactly, all of its up to 1,074 places, before it is read. */
static void numbers_of_the_standard(void **state)
{
    struct arena *arena = *state;
    static char exact[1600];
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        double value;
        memcpy(&value, &samples[i].bits, sizeof(value));
        snprintf(exact, sizeof(exact), "%.1100f", value);
        assert_canonical(arena, exact, samples[i].text);
    }
}

static void numbers_follow_javascript(void **state)
{
    struct arena *arena = *state;
    /* 2^-44: doubles below it are half as far apart as above; expected value from V8. */
    assert_canonical(arena, "5.6843418860808015e-14", "5.684341886080802e-14");
    assert_canonical(arena, "-0", "0");
    assert_canonical(arena, "-0.0e5", "0");
    assert_canonical(arena, "1e-400", "0");
    assert_canonical(arena, "1E21", "1e+21");
    assert_canonical(arena, "100000000000000000000", "100000000000000000000");
    assert_canonical(arena, "1e-6", "0.000001");
    assert_canonical(arena, "1e-7", "1e-7");
    assert_canonical(arena, "10.0", "10");
    assert_canonical(arena, "0.1e1", "1");
    assert_canonical(arena, "123e-20", "1.23e-18");
    assert_canonical(arena, "9007199254740993", "9007199254740992");
    assert_canonical(arena, "12345678901234567890", "12345678901234567000");
    assert_canonical(arena, "999999999999999999999", "1e+21");
    assert_canonical(
        arena, "115792089237316195423570985008687907853269984665640564039457584007913129639935",
        "1.157920892373162e+77");
}

static void structure_of_the_standard(void **state)
{
    struct arena *arena = *state;
    assert_canonical(arena,
                     "{\n\"numbers\": [333333333.33333329, 1E30, 4.50,\n"
                     "2e-3, 0.000000000000000000000000001],\n"
                     "\"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\",\n"
                     "\"literals\": [null, true, false]\n}",
                     "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,"
                     "0.002,1e-27],\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
}

static void keys_sort_by_utf16_units(void **state)
{
    struct arena *arena = *state;
    assert_canonical(arena,
                     "{\"\\u20ac\":5,\"\\r\":1,\"\\ufb33\":7,\"1\":2,\"\\ud83d\\ude00\":6,"
                     "\"\\u0080\":3,\"\\u00f6\":4}",
                     "{\"\\r\":1,\"1\":2,\"\xc2\x80\":3,\"\xc3\xb6\":4,\"\xe2\x82\xac\":5,"
                     "\"\xf0\x9f\x98\x80\":6,\"\xef\xac\xb3\":7}");
    assert_canonical(arena, "{\"\\ue000\":3,\"\\udbff\\udfff\":2,\"\\ud7ff\":1,\"\\uffff\":4}",
                     "{\"\xed\x9f\xbf\":1,\"\xf4\x8f\xbf\xbf\":2,\"\xee\x80\x80\":3,"
                     "\"\xef\xbf\xbf\":4}");
    assert_canonical(arena, "{\"ab\":3,\"a\":2,\"\":1,\"b\":4,\"B\":0}",
                     "{\"\":1,\"B\":0,\"a\":2,\"ab\":3,\"b\":4}");
    assert_canonical(arena, "[{\"b\":{\"d\":1,\"c\":2},\"a\":[3,2,1]}]",
                     "[{\"a\":[3,2,1],\"b\":{\"c\":2,\"d\":1}}]");
}

static void numbers_without_a_double_are_refused(void **state)
{
    struct arena *arena = *state;
    const struct json *v = NULL;
    struct why why;
    struct buf out;
    buf_init(&out, arena, 0);
    buf_add_text(&out, "before");
    assert_int_equal(json_parse(arena, SLICE_LIT("{\"a\":[1,1e400]}"), &json_limits_body, &v, &why),
                     OK);
    assert_int_equal(json_canonical(&out, v, &why), ERR_INVALID_JSON);
    assert_true(slice_equal(buf_slice(&out), SLICE_LIT("before")));
    assert_non_null(strstr(why.text, "1e400"));
}

static void duplicate_keys_have_no_canonical_form(void **state)
{
    struct arena *arena = *state;
    struct json_limits limits = json_limits_body;
    limits.allow_duplicate_keys = true;
    const struct json *v = NULL;
    struct buf out;
    buf_init(&out, arena, 0);
    assert_int_equal(json_parse(arena, SLICE_LIT("{\"a\":1,\"b\":2,\"a\":1}"), &limits, &v, NULL),
                     OK);
    assert_int_equal(json_canonical(&out, v, NULL), ERR_INVALID_JSON);
    assert_int_equal(out.len, 0);
}

struct document_hash {
    const char *text; /* members in another order and with blanks */
    const char *canonical;
    const char *sha256;
};

static const struct document_hash documents[] = {
    {"{ \"type\": \"satellite\", \"name\": \"Test Asset\",\n"
     " \"specifications\": { \"mass_kg\": 500, \"altitude_km\": 550.0 } }",
     "{\"name\":\"Test Asset\",\"specifications\":{\"altitude_km\":550,\"mass_kg\":500},"
     "\"type\":\"satellite\"}",
     "ab66acfbfd807f66b701992d4f7143e04be388217fefadc06c029dfb18b52267"},
    {"{\"prop\":\"value\",\"outer\":{\"c\":{\"z\":3,\"y\":2,\"x\":1},\"b\":2,\"a\":1}}",
     "{\"outer\":{\"a\":1,\"b\":2,\"c\":{\"x\":1,\"y\":2,\"z\":3}},\"prop\":\"value\"}",
     "1fb1a1848e73f05bbc8c51a04b9aa3ec4149c09eb967cd0722d36307154e92bc"},
    {"{\"timestamp\":\"2024-10-06T00:00:00Z\","
     "\"complex\":{\"nested\":{\"structure\":\"with\",\"multiple\":[\"array\",\"values\",123]}}}",
     "{\"complex\":{\"nested\":{\"multiple\":[\"array\",\"values\",123],\"structure\":\"with\"}},"
     "\"timestamp\":\"2024-10-06T00:00:00Z\"}",
     "73e4db4710c9c53db61364fcb7ca03747bae98741dcae2405a97ea88b6e055e8"},
};

static void document_hashes_of_the_leasing_protocol(void **state)
{
    struct arena *arena = *state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        struct slice text = canonical(arena, documents[i].text);
        assert_string_equal((const char *)text.ptr, documents[i].canonical);
        uint8_t digest[SHA256_DIGEST_LENGTH];
        SHA256(text.ptr, text.len, digest);
        struct buf hex;
        buf_init(&hex, arena, 65);
        buf_add_hex(&hex, slice_of(digest, sizeof(digest)));
        buf_add_byte(&hex, 0);
        assert_string_equal((const char *)hex.ptr, documents[i].sha256);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_of_the_standard, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_follow_javascript, setup, teardown),
        cmocka_unit_test_setup_teardown(structure_of_the_standard, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_sort_by_utf16_units, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_without_a_double_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(duplicate_keys_have_no_canonical_form, setup, teardown),
        cmocka_unit_test_setup_teardown(document_hashes_of_the_leasing_protocol, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
