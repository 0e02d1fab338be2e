#include "kernel/evm/eip712.h"

#include "unit/vectors.h"

#define DOMAIN_TYPE                                                                                \
    "\"EIP712Domain\":[{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"version\",\"type\":"    \
    "\"string\"},{\"name\":\"chainId\",\"type\":\"uint256\"},{\"name\":\"verifyingContract\","     \
    "\"type\":\"address\"}]"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static enum err hash_text(const char *text, struct hash *out, struct why *why)
{
    return eip712_typed_data(&arena, vector_json(&arena, text), out, why);
}

static void assert_digest(const char *text, const char *expected)
{
    struct hash h;
    struct why why = {0};
    if (hash_text(text, &h, &why) != OK) {
        fail_msg("%s: %s", why.field, why.text);
    }
    assert_hex(hash_slice(&h), expected);
}

static void mail_of_the_eip(void **state)
{
    assert_digest(
        "{\"types\":{" DOMAIN_TYPE ",\"Person\":[{\"name\":\"name\",\"type\":\"string\"},{\"name\":"
        "\"wallet\",\"type\":\"address\"}],\"Mail\":[{\"name\":\"from\",\"type\":\"Person\"},{"
        "\"name\":\"to\",\"type\":\"Person\"},{\"name\":\"contents\",\"type\":\"string\"}]},"
        "\"primaryType\":\"Mail\",\"domain\":{\"name\":\"Ether Mail\",\"version\":\"1\",\"chainId\""
        ":1,\"verifyingContract\":\"0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC\"},\"message\":{"
        "\"from\":{\"name\":\"Cow\",\"wallet\":\"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826\"},"
        "\"to\":{\"name\":\"Bob\",\"wallet\":\"0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB\"},"
        "\"contents\":\"Hello, Bob!\"}}",
        "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
}

/* A recursive type, ended by null: the "Family Tree" of the wallets' own test suite. */
static void family_of_a_recursive_type(void **state)
{
    assert_digest(
        "{\"types\":{" DOMAIN_TYPE ",\"Person\":[{\"name\":\"name\",\"type\":\"string\"},{\"name\":"
        "\"mother\",\"type\":\"Person\"},{\"name\":\"father\",\"type\":\"Person\"}]},"
        "\"primaryType\":\"Person\",\"domain\":{\"name\":\"Family Tree\",\"version\":\"1\","
        "\"chainId\":1,\"verifyingContract\":\"0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC\"},"
        "\"message\":{\"name\":\"Jon\",\"mother\":{\"name\":\"Lyanna\",\"mother\":null,\"father\":{"
        "\"name\":\"Rickard\",\"mother\":null,\"father\":null}},\"father\":{\"name\":\"Rhaegar\","
        "\"mother\":null,\"father\":{\"name\":\"Aeris II\",\"mother\":null,\"father\":null}}}}",
        "0x807773b9faa9879d4971b43856c4d60c2da15c6f8c062bd9d33afefb756de19c");
}

#define ORDER_TYPES                                                                                \
    "\"Order\":[{\"name\":\"items\",\"type\":\"Item[2][]\"},{\"name\":\"flags\",\"type\":"         \
    "\"bool[]\"},{\"name\":\"note\",\"type\":\"string\"},{\"name\":\"raw\",\"type\":\"bytes\"},"   \
    "{\"name\":\"delta\",\"type\":\"int16\"},{\"name\":\"id\",\"type\":\"bytes4\"},"               \
    "{\"name\":\"tags\",\"type\":\"string[]\"}],\"Item\":[{\"name\":\"maker\",\"type\":"           \
    "\"Account\"},{\"name\":\"amount\",\"type\":\"uint128\"}],\"Account\":[{\"name\":\"who\","     \
    "\"type\":\"address\"}]"
#define ORDER_DOMAIN                                                                               \
    "\"domain\":{\"name\":\"X\",\"version\":\"2\",\"chainId\":\"0x5\",\"verifyingContract\":"      \
    "\"0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed\",\"salt\":"                                     \
    "\"0x1111111111111111111111111111111111111111111111111111111111111111\"}"
#define ITEM(digit, amount)                                                                        \
    "{\"maker\":{\"who\":\"0x" digit digit digit digit "\"},\"amount\":" amount "}"
#define ORDER_MESSAGE                                                                              \
    "\"message\":{\"items\":[[" ITEM("1111111111", "\"1\"") "," ITEM(                              \
        "2222222222",                                                                              \
        "2") "],[" ITEM("3333333333",                                                              \
                        "\"0x3\"") "," ITEM("4444444444",                                          \
                                            "\"4\"") "]],\"flags\":[true,false],"                  \
                                                     "\"note\":\"h\xc3\xa9\",\"raw\":\"0x00ff\","  \
                                                     "\"delta\":-3,\"id\":\"0x01020304\","         \
                                                     "\"tags\":[]}"

/* Digests by ethers 6 (TypedDataEncoder.hash). */
static void arrays_structs_and_a_domain_without_its_type(void **state)
{
    assert_digest("{\"types\":{" ORDER_TYPES "},\"primaryType\":\"Order\"," ORDER_DOMAIN
                  "," ORDER_MESSAGE "}",
                  "0xa518a192425b7860b69e0afcc7e06de53c57164ae447bbcbd222b7d88beb3724");
    assert_digest("{\"types\":{\"A\":[{\"name\":\"x\",\"type\":\"uint256\"}]},\"primaryType\":"
                  "\"A\",\"domain\":{\"name\":\"only\"},\"message\":{\"x\":1}}",
                  "0xef0a79b21161bec2f7eb86b3cb2b8bd9b9dae3a88fd1327118cd2c605b82ade9");
    assert_digest("{\"types\":{\"A\":[{\"name\":\"x\",\"type\":\"uint256\"}]},\"primaryType\":"
                  "\"A\",\"domain\":{},\"message\":{\"x\":1}}",
                  "0x982978523f86711241863074168262c764a2d3243130c126942513fa7f5305f9");
}

/* one makes a document with a single member of the given type and value. */
static const char *one(const char *type, const char *value)
{
    return slice_cstr(&arena,
                      slice_format(&arena,
                                   "{\"types\":{\"A\":[{\"name\":\"x\",\"type\":\"%s\"}]},"
                                   "\"primaryType\":\"A\",\"domain\":{},\"message\":{\"x\":%s}}",
                                   type, value));
}

static void integers_have_one_meaning(void **state)
{
    static const char *const minus_one[] = {"-1", "\"-1\"", "\"-0x1\""};
    struct hash first, h;
    assert_int_equal(hash_text(one("int256", minus_one[0]), &first, NULL), OK);
    for (size_t i = 1; i < 3; i++) {
        assert_int_equal(hash_text(one("int256", minus_one[i]), &h, NULL), OK);
        assert_true(hash_equal(&first, &h));
    }
    assert_int_equal(hash_text(one("uint256", "9007199254740991"), &h, NULL), OK);
    assert_int_equal(
        hash_text(one("int256", "\"-57896044618658097711785492504343953926634992332820282019728792"
                                "003956564819968\""),
                  &h, NULL),
        OK);
}

static void values_that_do_not_fit_their_type_are_refused(void **state)
{
    static const struct {
        const char *type, *value;
    } cases[] = {
        {"uint8", "256"},
        {"uint8", "-1"},
        {"uint8", "1.0"},
        {"uint8", "1e2"},
        {"uint8", "true"},
        {"uint8", "\"\""},
        {"uint8", "\" 1\""},
        {"uint8", "\"0x\""},
        {"uint8", "null"},
        {"uint256", "9007199254740992"}, /* JavaScript cannot tell it from the next */
        {"int8", "128"},
        {"int8", "-129"},
        {"int256",
         "\"115792089237316195423570985008687907853269984665640564039457584007913129639935"
         "\""}, /* would be -1 */
        {"int256",
         "\"-57896044618658097711785492504343953926634992332820282019728792003956564819969"
         "\""},
        {"bool", "1"},
        {"bool", "\"true\""},
        {"address", "\"0x1234\""},
        {"address", "\"0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\""}, /* checksum */
        {"address", "0"},
        {"bytes4", "\"0x010203\""},
        {"bytes4", "\"0x0102030405\""},
        {"bytes4", "\"01020304\""},
        {"bytes", "\"0x1\""},
        {"bytes", "[1]"},
        {"string", "1"},
        {"uint8[2]", "[1]"},
        {"uint8[2]", "[1,2,3]"},
        {"uint8[]", "{}"},
        {"uint8[]", "1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hash h = {{3}};
        struct why why = {0};
        if (hash_text(one(cases[i].type, cases[i].value), &h, &why) != ERR_INVALID_ENCODING) {
            fail_msg("%s %s was accepted", cases[i].type, cases[i].value);
        }
        assert_string_equal(why.field, "message.x");
        assert_int_equal(h.bytes[0], 3);
    }
}

static void types_that_are_not_defined_are_refused(void **state)
{
    static const char *const types[] = {
        "uint",  "uint256 ", "uint256[] y", "(uint256)", "B", "A[0]",
        "A[01]", "A[",       "A]",          "A[][",      "",  "uint256[x]",
        "[]",    "bool[2]]", "uint256,A",   "A[65536]"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct hash h;
        struct why why = {0};
        if (hash_text(one(types[i], "1"), &h, &why) != ERR_INVALID_ENCODING) {
            fail_msg("%s was accepted", types[i]);
        }
        assert_string_equal(why.field, "types.A.x");
    }
}

static void the_document_must_be_whole(void **state)
{
    static const struct {
        const char *text;
        enum err err;
        const char *field;
    } cases[] = {
        {"[]", ERR_INVALID_JSON, ""},
        {"{}", ERR_MISSING_FIELD, "types"},
        {"{\"types\":[],\"primaryType\":\"A\",\"domain\":{},\"message\":{}}", ERR_INVALID_JSON, ""},
        {"{\"types\":{},\"domain\":{},\"message\":{}}", ERR_MISSING_FIELD, "primaryType"},
        {"{\"types\":{},\"primaryType\":\"A\",\"message\":{}}", ERR_MISSING_FIELD, "domain"},
        {"{\"types\":{},\"primaryType\":\"A\",\"domain\":{}}", ERR_MISSING_FIELD, "message"},
        {"{\"types\":{},\"primaryType\":\"A\",\"domain\":{},\"message\":{}}", ERR_INVALID_ENCODING,
         "primaryType"},
        {"{\"types\":{},\"primaryType\":\"EIP712Domain\",\"domain\":{},\"message\":{}}",
         ERR_INVALID_ENCODING, "primaryType"},
        {"{\"types\":{\"A\":{}},\"primaryType\":\"A\",\"domain\":{},\"message\":{}}",
         ERR_INVALID_ENCODING, "types.A"},
        {"{\"types\":{\"A b\":[]},\"primaryType\":\"A\",\"domain\":{},\"message\":{}}",
         ERR_INVALID_ENCODING, "types.A b"},
        {"{\"types\":{\"uint8\":[]},\"primaryType\":\"uint8\",\"domain\":{},\"message\":{}}",
         ERR_INVALID_ENCODING, "types.uint8"},
        {"{\"types\":{\"A\":[{\"name\":\"x\"}]},\"primaryType\":\"A\",\"domain\":{},\"message\":{}"
         "}",
         ERR_MISSING_FIELD, "types.A.0.type"},
        {"{\"types\":{\"A\":[{\"name\":\"x\",\"type\":\"bool\"},{\"name\":\"x\",\"type\":\"bool\"}]"
         "},\"primaryType\":\"A\",\"domain\":{},\"message\":{}}",
         ERR_INVALID_ENCODING, "types.A.1.name"},
        {"{\"types\":{\"A\":[{\"name\":\"x,y\",\"type\":\"bool\"}]},\"primaryType\":\"A\","
         "\"domain\":{},\"message\":{}}",
         ERR_INVALID_ENCODING, "types.A.0.name"},
        {"{\"types\":{\"A\":[{\"name\":\"x\",\"type\":\"bool\"}]},\"primaryType\":\"A\",\"domain\":"
         "{},\"message\":{}}",
         ERR_MISSING_FIELD, "message.x"},
        {"{\"types\":{\"A\":[{\"name\":\"b\",\"type\":\"B[]\"}],\"B\":[{\"name\":\"x\",\"type\":"
         "\"bool\"}]},\"primaryType\":\"A\",\"domain\":{},\"message\":{\"b\":[{\"x\":true},{}]}}",
         ERR_MISSING_FIELD, "message.b.1.x"},
        {"{\"types\":{" DOMAIN_TYPE ",\"A\":[]},\"primaryType\":\"A\",\"domain\":{\"name\":\"x\","
         "\"version\":\"1\",\"chainId\":1},\"message\":{}}",
         ERR_MISSING_FIELD, "domain.verifyingContract"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hash h;
        struct why why = {0};
        enum err e = hash_text(cases[i].text, &h, &why);
        if (e != cases[i].err || strcmp(why.field, cases[i].field) != 0) {
            fail_msg("case %zu: %s at \"%s\": %s", i, err_code(e), why.field, why.text);
        }
    }
}

/* With more types than allowed nothing is hashed at all. */
static void the_number_of_types_is_bounded(void **state)
{
    for (unsigned types = 62; types <= 66; types++) {
        struct buf text;
        struct hash h;
        buf_init(&text, &arena, 0);
        buf_add_text(&text, "{\"types\":{");
        for (unsigned i = 0; i < types; i++) {
            buf_format(&text, "%s\"T%u\":[{\"name\":\"x\",\"type\":\"T%u[]\"}]", i ? "," : "", i,
                       (i + 1) % types);
        }
        buf_add_text(&text, "},\"primaryType\":\"T0\",\"domain\":{},\"message\":{\"x\":[]}}");
        buf_add_byte(&text, 0);
        assert_int_equal(hash_text((const char *)text.ptr, &h, NULL),
                         types < 64 ? OK : ERR_INVALID_ENCODING);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_of_the_eip),
        cmocka_unit_test(family_of_a_recursive_type),
        cmocka_unit_test(arrays_structs_and_a_domain_without_its_type),
        cmocka_unit_test(integers_have_one_meaning),
        cmocka_unit_test(values_that_do_not_fit_their_type_are_refused),
        cmocka_unit_test(types_that_are_not_defined_are_refused),
        cmocka_unit_test(the_document_must_be_whole),
        cmocka_unit_test(the_number_of_types_is_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
