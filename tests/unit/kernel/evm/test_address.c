#include "kernel/evm/address.h"

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

/* The examples of EIP-55: all caps, all lower, mixed. */
static const char *const eip55[] = {
    "0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
};

static void text_is_checksummed_as_eip55_prescribes(void **state)
{
    for (size_t i = 0; i < sizeof(eip55) / sizeof(eip55[0]); i++) {
        char out[ADDRESS_TEXT_MAX];
        struct address a, lower = vector_address(eip55[i]);
        address_format(&lower, out);
        assert_string_equal(out, eip55[i]);
        assert_int_equal(address_parse(slice_text(eip55[i]), &a), OK);
        assert_true(address_equal(&a, &lower));
    }
}

static void one_letter_of_the_wrong_case_is_refused(void **state)
{
    const char *right = eip55[4];
    for (size_t i = 2; i < strlen(right); i++) {
        char wrong[ADDRESS_TEXT_MAX];
        struct address a = {{7}};
        memcpy(wrong, right, sizeof(wrong));
        if (right[i] < 'A') {
            continue;
        }
        wrong[i] = (char)(right[i] ^ 0x20);
        assert_int_equal(address_parse(slice_text(wrong), &a), ERR_ADDRESS_CHECKSUM);
        assert_int_equal(a.bytes[0], 7);
    }
}

static void one_case_alone_needs_no_checksum(void **state)
{
    struct address a, b;
    assert_int_equal(address_parse(SLICE_LIT("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"), &a),
                     OK);
    assert_int_equal(address_parse(SLICE_LIT("0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED"), &b),
                     OK);
    assert_true(address_equal(&a, &b));
}

static void malformed_text_is_refused(void **state)
{
    static const char *const malformed[] = {"",
                                            "0x",
                                            "0",
                                            "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
                                            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae",
                                            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed0",
                                            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed00",
                                            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg",
                                            " 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
                                            "0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
                                            "XE7338O073KYGTWWZN0F2WZ0R8PX5ZPPZS"};
    struct address a;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        assert_int_equal(address_parse(slice_text(malformed[i]), &a), ERR_INVALID_ADDRESS);
    }
}

/* Contracts that a well-known account deployed with its first nonces. */
static void created_contracts_have_the_address_of_sender_and_nonce(void **state)
{
    static const char *const contracts[] = {
        "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d", "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8",
        "0xf778b86fa74e846c4f0a1fbd1335fe81c00a0c91", "0xfffd933a0bc612844eaf0c6fe3e5b8e9b6c1d19c"};
    struct address sender = vector_address("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0");
    for (uint64_t nonce = 0; nonce < 4; nonce++) {
        struct address a = address_of_create(&sender, nonce);
        assert_hex(address_slice(&a), contracts[nonce]);
    }
}

static void members_of_json_are_read_and_named_in_errors(void **state)
{
    static const char text[] = "{\"a\":\"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\","
                               "\"sum\":\"0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\","
                               "\"bad\":\"0x12\",\"odd\":\"0x123\",\"n\":1}";
    const struct json *v = vector_json(&arena, text);
    struct why why = {0};
    struct address a;
    struct hash h;
    struct slice bytes;
    assert_int_equal(json_get_address(v, "a", &a, &why), OK);
    assert_hex(address_slice(&a), "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed");
    assert_int_equal(json_get_address(v, "sum", &a, &why), ERR_ADDRESS_CHECKSUM);
    assert_string_equal(why.field, "sum");
    assert_int_equal(json_get_address(v, "bad", &a, &why), ERR_INVALID_ADDRESS);
    assert_string_equal(why.field, "bad");
    assert_int_equal(json_get_address(v, "n", &a, &why), ERR_INVALID_TYPE);
    assert_int_equal(json_get_address(v, "none", &a, &why), ERR_MISSING_FIELD);
    assert_int_equal(json_get_hash(v, "bad", &h, &why), ERR_INVALID_HASH);
    assert_string_equal(why.field, "bad");
    assert_int_equal(json_get_hex(&arena, v, "bad", &bytes, &why), OK);
    assert_hex(bytes, "0x12");
    assert_int_equal(json_get_hex(&arena, v, "odd", &bytes, &why), ERR_INVALID_HEX);
    assert_string_equal(why.field, "odd");
}

static void json_is_written_with_the_checksum(void **state)
{
    struct address a = vector_address(eip55[5]);
    struct buf out;
    struct json_out j;
    buf_init(&out, &arena, 0);
    json_out_init(&j, &out);
    json_address(&j, &a);
    assert_text(buf_slice(&out), "\"0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359\"");
}

static void wrong_length(void)
{
    (void)address_of_bytes(SLICE_LIT("nineteen bytes here"));
}

static void bytes_become_an_address_only_when_there_are_20(void **state)
{
    struct address a = address_of_bytes(SLICE_LIT("exactly twenty bytes"));
    assert_false(address_is_zero(&a));
    memset(&a, 0, sizeof(a));
    assert_true(address_is_zero(&a));
    assert_true(test_aborts(wrong_length));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_checksummed_as_eip55_prescribes),
        cmocka_unit_test(one_letter_of_the_wrong_case_is_refused),
        cmocka_unit_test(one_case_alone_needs_no_checksum),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(created_contracts_have_the_address_of_sender_and_nonce),
        cmocka_unit_test(members_of_json_are_read_and_named_in_errors),
        cmocka_unit_test(json_is_written_with_the_checksum),
        cmocka_unit_test(bytes_become_an_address_only_when_there_are_20),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
