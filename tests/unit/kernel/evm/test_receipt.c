#include "kernel/evm/receipt.h"

#include "unit/changed.h"

static struct arena arena;
static const struct json *published, *anvil;

static int setup(void **state)
{
    arena_init(&arena, 0);
    published = vector_file(&arena, "public_proofs.json");
    anvil = vector_file(&arena, "anvil_types.json");
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static struct hash root_of(const struct json *list)
{
    struct receipt *receipts = arena_alloc_array(&arena, list->count, sizeof(*receipts));
    size_t count = 0;
    for (const struct json *v = list->child; v != NULL; v = v->next) {
        struct why why = {0};
        if (receipt_parse(&arena, v, &receipts[count++], &why) != OK) {
            fail_msg("%s: %s", why.field, why.text);
        }
    }
    return receipts_root(&arena, receipts, count);
}

static void assert_root(const struct json *list, struct slice expected)
{
    struct hash root = root_of(list);
    assert_hex(hash_slice(&root), slice_cstr(&arena, expected));
}

static void published_receipts_have_the_roots_of_their_headers(void **state)
{
    const struct json *lists = json_find(published, "receipt_lists");
    assert_int_equal(lists->count, 5);
    for (const struct json *l = lists->child; l != NULL; l = l->next) {
        assert_root(json_find(l, "receipts"), vector_text(l, "receiptsRoot"));
    }
}

static void receipts_of_every_type_have_the_root_of_their_header(void **state)
{
    const struct json *types = json_find(anvil, "types");
    assert_int_equal(json_find(types, "receipts")->count, 6);
    assert_root(json_find(types, "receipts"), vector_text(types, "block.receiptsRoot"));
}

static void deposits_since_canyon_carry_nonce_and_version(void **state)
{
    const struct json *blocks = json_find(anvil, "optimism");
    assert_int_equal(blocks->count, 2);
    for (const struct json *b = blocks->child; b != NULL; b = b->next) {
        struct receipt r;
        const struct json *list = json_find(b, "receipts");
        assert_root(list, vector_text(b, "block.receiptsRoot"));
        assert_int_equal(receipt_parse(&arena, json_at(list, 0), &r, NULL), OK);
        assert_int_equal(r.type, RECEIPT_TYPE_DEPOSIT);
        assert_true(r.has_deposit);
        assert_int_equal(r.deposit_version, 1);
    }
}

/* Of block 46147, the first one of Ethereum with a transaction: a state root, no status. */
static void a_receipt_from_before_byzantium_has_a_state_root(void **state)
{
    const struct json *v = vector_json(
        &arena, "[{\"root\":\"0x96a8e009d2b88b1483e6941e6812e32263b05683fac202abc622a3e31aed1957\","
                "\"type\":\"0x0\",\"cumulativeGasUsed\":\"0x5208\",\"logs\":[],\"transactionHash\":"
                "\"0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060\"}]");
    struct receipt r;
    assert_int_equal(receipt_parse(&arena, json_at(v, 0), &r, NULL), OK);
    assert_true(r.has_state_root);
    struct hash root = root_of(v);
    assert_hex(hash_slice(&root),
               "0xfe2bf2a941abf41d72637e5b91750332a30283efd40c424dc522b77e6f0ed8c4");
}

static void a_missing_bloom_is_computed(void **state)
{
    const struct json *list = json_find(json_find(anvil, "types"), "receipts");
    for (const struct json *v = list->child; v != NULL; v = v->next) {
        struct receipt given, computed;
        assert_int_equal(receipt_parse(&arena, v, &given, NULL), OK);
        const struct json *without = changed(&arena, v, "logsBloom", NULL);
        assert_int_equal(receipt_parse(&arena, without, &computed, NULL), OK);
        assert_memory_equal(given.bloom, computed.bloom, EVM_BLOOM_BYTES);
    }
}

static void whatever_is_changed_changes_the_root(void **state)
{
    static const struct {
        const char *key, *value;
    } cases[] = {
        {"status", "\"0x0\""}, {"cumulativeGasUsed", "\"0x5209\""},
        {"type", "\"0x2\""},   {"logs", "[]"},
        {"logsBloom", NULL},
    };
    const struct json *list = json_find(json_find(anvil, "types"), "receipts");
    struct hash right = root_of(list);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct receipt receipts[6];
        for (size_t k = 0; k < 6; k++) {
            const struct json *v = json_at(list, k);
            if (k == 1) {
                v = changed(&arena, v, cases[i].key, cases[i].value);
            }
            assert_int_equal(receipt_parse(&arena, v, &receipts[k], NULL), OK);
        }
        struct hash root = receipts_root(&arena, receipts, 6);
        bool computed_again = cases[i].value == NULL;
        assert_int_equal(hash_equal(&root, &right), computed_again);
        /* A receipt less, two in the other order. */
        root = receipts_root(&arena, receipts, 5);
        assert_false(hash_equal(&root, &right));
    }
}

static void malformed_receipts_are_refused(void **state)
{
    static const struct {
        const char *key, *value;
    } cases[] = {
        {"type", "\"0x80\""},
        {"type", "2"},
        {"status", "\"0x2\""},
        {"status", NULL},
        {"cumulativeGasUsed", NULL},
        {"cumulativeGasUsed", "\"0x10000000000000000\""},
        {"transactionHash", NULL},
        {"logsBloom", "\"0x00\""},
        {"logs", "{}"},
    };
    const struct json *v = json_at(json_find(json_find(anvil, "types"), "receipts"), 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct receipt r = {.gas_cumulative = 5};
        struct why why = {0};
        const struct json *bad = changed(&arena, v, cases[i].key, cases[i].value);
        assert_int_equal(receipt_parse(&arena, bad, &r, &why), ERR_NODE_RESPONSE);
        assert_string_equal(why.field, cases[i].key);
        assert_int_equal(r.gas_cumulative, 5);
    }
    struct receipt r;
    struct why why = {0};
    assert_int_equal(receipt_parse(&arena, changed(&arena, v, "logs", "[1]"), &r, &why),
                     ERR_NODE_RESPONSE);
    assert_string_equal(why.field, "logs.log");
    const struct json *deposit =
        json_at(json_find(json_at(json_find(anvil, "optimism"), 0), "receipts"), 0);
    assert_int_equal(
        receipt_parse(&arena, changed(&arena, deposit, "depositNonce", NULL), &r, &why),
        ERR_NODE_RESPONSE);
    assert_string_equal(why.field, "depositNonce");
    assert_int_equal(receipt_parse(&arena, NULL, &r, NULL), ERR_NODE_RESPONSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_receipts_have_the_roots_of_their_headers),
        cmocka_unit_test(receipts_of_every_type_have_the_root_of_their_header),
        cmocka_unit_test(deposits_since_canyon_carry_nonce_and_version),
        cmocka_unit_test(a_receipt_from_before_byzantium_has_a_state_root),
        cmocka_unit_test(a_missing_bloom_is_computed),
        cmocka_unit_test(whatever_is_changed_changes_the_root),
        cmocka_unit_test(malformed_receipts_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
