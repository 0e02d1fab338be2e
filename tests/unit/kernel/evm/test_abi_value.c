#include "kernel/evm/abi.h"

#include "unit/vectors.h"

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

static struct slice json_of(const char *type_text, struct abi_value value)
{
    const struct abi_type *type = NULL;
    struct buf out;
    struct json_out j;
    assert_int_equal(abi_type_parse(&arena, slice_text(type_text), &type, NULL), OK);
    buf_init(&out, &arena, 0);
    json_out_init(&j, &out);
    abi_value_json(&j, type, &value);
    return buf_slice(&out);
}

static void words_in_json(void **state)
{
    struct address a = vector_address("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed");
    struct hash h =
        vector_hash("0x00000000000000000000000000000000000000000000000000000000000000ff");
    assert_text(json_of("uint8", abi_u64(7)), "\"7\"");
    assert_text(
        json_of("uint256", abi_uint(U256_MAX)),
        "\"115792089237316195423570985008687907853269984665640564039457584007913129639935\"");
    assert_text(json_of("int256", abi_uint(U256_MAX)), "\"-1\"");
    assert_text(
        json_of("int256", abi_uint((struct u256){{0, 0, 0, 1ull << 63}})),
        "\"-57896044618658097711785492504343953926634992332820282019728792003956564819968\"");
    assert_text(json_of("int8", abi_u64(127)), "\"127\"");
    assert_text(json_of("bool", abi_bool(true)), "true");
    assert_text(json_of("bool", abi_bool(false)), "false");
    assert_text(json_of("address", abi_address(&a)),
                "\"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\"");
    assert_text(json_of("bytes32", abi_hash(&h)),
                "\"0x00000000000000000000000000000000000000000000000000000000000000ff\"");
}

static void text_that_is_not_utf8_becomes_hex(void **state)
{
    assert_text(json_of("string", abi_bytes(SLICE_LIT("a\"\n\xc3\xa9"))), "\"a\\\"\\n\xc3\xa9\"");
    assert_text(json_of("string", abi_bytes(SLICE_LIT("\xff\xfe"))), "\"0xfffe\"");
    assert_text(json_of("bytes", abi_bytes(SLICE_LIT("ab"))), "\"0x6162\"");
    assert_text(json_of("bytes", abi_bytes(SLICE_EMPTY)), "\"0x\"");
}

static void named_tuples_are_objects_and_others_arrays(void **state)
{
    const struct abi_value pair[] = {abi_u64(1), abi_bool(true)};
    const struct abi_value pairs[] = {abi_items(pair, 2), abi_items(pair, 2)};
    assert_text(json_of("(uint8 n,bool ok)", abi_items(pair, 2)), "{\"n\":\"1\",\"ok\":true}");
    assert_text(json_of("(uint8 n,bool)", abi_items(pair, 2)), "[\"1\",true]");
    assert_text(json_of("(uint8 n,bool ok)[]", abi_items(pairs, 2)),
                "[{\"n\":\"1\",\"ok\":true},{\"n\":\"1\",\"ok\":true}]");
    assert_text(json_of("uint8[]", abi_items(NULL, 0)), "[]");
    assert_text(json_of("()", abi_items(NULL, 0)), "[]");
}

static void wrong_size(void)
{
    const struct abi_value v = abi_bytes(SLICE_LIT("short"));
    (void)abi_to_hash(&v);
}

static void a_hash_is_read_from_32_bytes_only(void **state)
{
    struct hash h = keccak256(SLICE_EMPTY);
    const struct abi_value v = abi_hash(&h);
    struct hash back = abi_to_hash(&v);
    assert_true(hash_equal(&h, &back));
    assert_true(test_aborts(wrong_size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_in_json),
        cmocka_unit_test(text_that_is_not_utf8_becomes_hex),
        cmocka_unit_test(named_tuples_are_objects_and_others_arrays),
        cmocka_unit_test(a_hash_is_read_from_32_bytes_only),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
