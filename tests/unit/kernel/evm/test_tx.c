#include "kernel/evm/tx.h"

#include "unit/vectors.h"

static const char key_46[] = "0x4646464646464646464646464646464646464646464646464646464646464646";
static const char address_46[] = "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f";

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

static struct wei_amount wei(const char *text)
{
    struct u256 v;
    assert_int_equal(u256_parse(slice_text(text), &v), OK);
    return wei_of(v);
}

static struct tx eip155_example(void)
{
    return (struct tx){.kind = TX_LEGACY,
                       .chain_id = 1,
                       .nonce = 9,
                       .fee_max = wei("20000000000"),
                       .gas_limit = 21000,
                       .has_to = true,
                       .to = vector_address("0x3535353535353535353535353535353535353535"),
                       .value = wei("1000000000000000000")};
}

static struct tx eip1559_example(void)
{
    return (struct tx){.kind = TX_EIP1559,
                       .chain_id = 31337,
                       .nonce = 7,
                       .fee_max = wei("30000000000"),
                       .fee_priority = wei("1500000000"),
                       .gas_limit = 123456,
                       .has_to = true,
                       .to = vector_address("0x5fc8d32690cc91d4c39d9d3abcbd16989f875707"),
                       .value = wei("1000000000000000000"),
                       .data = vector_hex(&arena, "0x9af66ccd00ff")};
}

static void assert_signed(const struct tx *tx, const char *raw_expected, struct hash *out_hash)
{
    struct secret key = vector_key(key_46);
    struct slice raw;
    assert_int_equal(tx_sign(&arena, tx, &key, &raw, out_hash), OK);
    assert_hex(raw, raw_expected);
    secret_clear(&key);
}

/* The worked example of EIP-155. */
static void the_example_of_eip155(void **state)
{
    struct tx tx = eip155_example();
    struct hash h = tx_signing_hash(&arena, &tx);
    assert_hex(hash_slice(&h),
               "0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53");
    assert_signed(&tx,
                  "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a7"
                  "640000"
                  "8025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8"
                  "997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83",
                  &h);
}

/* By ethers 6. */
static void an_eip1559_call_and_a_creation(void **state)
{
    struct hash h;
    struct tx tx = eip1559_example();
    h = tx_signing_hash(&arena, &tx);
    assert_hex(hash_slice(&h),
               "0x8c6afe5220a0de45b18f2adbcf7d24cccb2210617670e89de758190b58415fe0");
    assert_signed(&tx,
                  "0x02f87c827a69078459682f008506fc23ac008301e240945fc8d32690cc91d4c39d9d3abcbd1698"
                  "9f875707880de0b6b3a7640000869af66ccd00ffc001a0a51a3344585f4a9980e01b9d0b2bbd480d"
                  "940234ab34a2598a5eb4112453b3a0a0209e378e99ee15cd081a2b43120f13a724107c444c69e61b"
                  "8a518e9d861c8c32",
                  &h);
    assert_hex(hash_slice(&h),
               "0x47843b2a6c710143da1a3eb93f841af8e5a5f09f29e3c57b1910a629a33e94df");
    tx = (struct tx){.kind = TX_EIP1559, .chain_id = 1, .data = vector_hex(&arena, "0x60806040")};
    assert_signed(&tx,
                  "0x02f850018080808080808460806040c080a0d0cf17522e23d627efc55f8e17efbfadbfd28f6d99"
                  "a9f7527d84c59bda7dd9aba06795761797b688d91467b9a550f0293c61edafe003f61cdb3b69cf29"
                  "e912c3ee",
                  &h);
}

static void assert_same(const struct tx *a, const struct tx *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_true(a->chain_id == b->chain_id);
    assert_true(a->nonce == b->nonce);
    assert_int_equal(wei_compare(a->fee_max, b->fee_max), 0);
    assert_int_equal(wei_compare(a->fee_priority, b->fee_priority), 0);
    assert_true(a->gas_limit == b->gas_limit);
    assert_int_equal(a->has_to, b->has_to);
    assert_memory_equal(a->to.bytes, b->to.bytes, ADDRESS_BYTES);
    assert_int_equal(wei_compare(a->value, b->value), 0);
    assert_true(slice_equal(a->data, b->data));
}

static void what_is_signed_reads_back(void **state)
{
    struct tx cases[] = {eip155_example(), eip1559_example(), eip155_example(), eip1559_example()};
    cases[2].chain_id = UINT64_MAX;
    cases[2].nonce = UINT64_MAX;
    cases[2].value = wei_of(U256_MAX);
    cases[3].has_to = false;
    memset(&cases[3].to, 0, sizeof(cases[3].to));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct secret key = vector_key(key_46);
        struct slice raw;
        struct hash hash, again;
        struct tx back;
        struct address from;
        struct why why = {0};
        assert_int_equal(tx_sign(&arena, &cases[i], &key, &raw, &hash), OK);
        if (tx_decode(&arena, raw, &back, &from, &again, &why) != OK) {
            fail_msg("%s: %s", why.field, why.text);
        }
        assert_same(&back, &cases[i]);
        assert_hex(slice_of(from.bytes, ADDRESS_BYTES), address_46);
        assert_true(hash_equal(&hash, &again));
        secret_clear(&key);
    }
}

static void other_transactions_are_refused_by_name(void **state)
{
    const struct json *refused = json_find(vector_file(&arena, "transactions.json"), "refused");
    assert_true(refused->count > 20);
    for (const struct json *c = refused->child; c != NULL; c = c->next) {
        const char *name = slice_cstr(&arena, vector_text(c, "name"));
        struct slice raw = vector_hex(&arena, slice_cstr(&arena, vector_text(c, "raw")));
        struct tx tx = {.nonce = 77};
        struct address from;
        struct hash hash;
        struct why why = {0};
        enum err e = tx_decode(&arena, raw, &tx, &from, &hash, &why);
        if (!slice_equal_text(vector_text(c, "error"), err_code(e)) ||
            !slice_equal_text(vector_text(c, "field"), why.field)) {
            fail_msg("%s: %s at \"%s\"", name, err_code(e), why.field);
        }
        assert_true(tx.nonce == 77);
    }
}

/* A node's raw transaction is the one that its receipt tells of. */
static void the_raw_transaction_of_a_node(void **state)
{
    const struct json *prague = json_find(vector_file(&arena, "anvil_blocks.json"), "prague");
    const struct json *receipt = json_at(json_find(prague, "receipts"), 0);
    struct tx tx;
    struct address from;
    struct hash hash;
    assert_int_equal(tx_decode(&arena,
                               vector_hex(&arena, slice_cstr(&arena, vector_text(prague, "raw"))),
                               &tx, &from, &hash, NULL),
                     OK);
    assert_hex(hash_slice(&hash), slice_cstr(&arena, vector_text(receipt, "transactionHash")));
    assert_hex(slice_of(from.bytes, ADDRESS_BYTES),
               slice_cstr(&arena, vector_text(receipt, "from")));
    assert_hex(slice_of(tx.to.bytes, ADDRESS_BYTES),
               slice_cstr(&arena, vector_text(receipt, "to")));
    assert_true(tx.chain_id == 31337);
}

static void a_changed_field_changes_the_sender(void **state)
{
    struct tx tx = eip1559_example(), back;
    struct secret key = vector_key(key_46);
    struct slice raw;
    struct hash hash;
    struct address from;
    assert_int_equal(tx_sign(&arena, &tx, &key, &raw, &hash), OK);
    struct slice copy = slice_copy(&arena, raw);
    uint8_t *bytes = arena_alloc(&arena, copy.len);
    memcpy(bytes, copy.ptr, copy.len);
    bytes[6] = 8; /* the nonce */
    if (tx_decode(&arena, slice_of(bytes, copy.len), &back, &from, &hash, NULL) == OK) {
        const struct address expected = vector_address(address_46);
        assert_memory_not_equal(from.bytes, expected.bytes, ADDRESS_BYTES);
        assert_true(back.nonce == 8);
    }
    secret_clear(&key);
}

static void invalid_keys_do_not_sign(void **state)
{
    struct tx tx = eip1559_example();
    struct secret key =
        vector_key("0x0000000000000000000000000000000000000000000000000000000000000000");
    struct slice raw = SLICE_LIT("old");
    struct hash hash;
    assert_int_equal(tx_sign(&arena, &tx, &key, &raw, &hash), ERR_CRYPTO);
    assert_text(raw, "old");
    secret_clear(&key);
}

static void without_a_chain(void)
{
    struct tx tx = eip155_example();
    tx.chain_id = 0;
    (void)tx_signing_hash(&arena, &tx);
}

static void signing_without_a_chain_is_a_bug(void **state)
{
    assert_true(test_aborts(without_a_chain));
}

/* By hand from EIP-2028 (4 and 16), EIP-3860 (2 a word), EIP-7623 (10 a token, 4 tokens a byte). */
static void intrinsic_gas(void **state)
{
    static uint8_t zeros[1000], ones[1000];
    memset(ones, 1, sizeof(ones));
    struct tx tx = {.has_to = true};
    assert_int_equal(tx_intrinsic_gas(&tx), 21000);
    tx.data = SLICE_LIT("\x00\x01");
    assert_int_equal(tx_intrinsic_gas(&tx), 21000 + 10 * (1 + 4)); /* the floor is above 20 */
    tx.data = slice_of(zeros, 1000);
    assert_int_equal(tx_intrinsic_gas(&tx), 21000 + 10000);
    tx.has_to = false;
    assert_int_equal(tx_intrinsic_gas(&tx), 21000 + 32000 + 4000 + 2 * 32);
    tx.data = slice_of(ones, 1000);
    assert_int_equal(tx_intrinsic_gas(&tx), 21000 + 32000 + 16000 + 2 * 32);
    tx.has_to = true;
    assert_int_equal(tx_intrinsic_gas(&tx), 21000 + 40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_eip155),
        cmocka_unit_test(an_eip1559_call_and_a_creation),
        cmocka_unit_test(what_is_signed_reads_back),
        cmocka_unit_test(other_transactions_are_refused_by_name),
        cmocka_unit_test(the_raw_transaction_of_a_node),
        cmocka_unit_test(a_changed_field_changes_the_sender),
        cmocka_unit_test(invalid_keys_do_not_sign),
        cmocka_unit_test(signing_without_a_chain_is_a_bug),
        cmocka_unit_test(intrinsic_gas),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
