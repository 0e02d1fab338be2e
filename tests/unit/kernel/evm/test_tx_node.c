#include "kernel/evm/tx_node.h"

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

static void assert_hash(const struct json *tx)
{
    struct buf b;
    struct why why = {0};
    buf_init(&b, &arena, 0);
    if (tx_node_encode(&arena, tx, &b, &why) != OK) {
        fail_msg("%s: %s", why.field, why.text);
    }
    struct hash hash = keccak256(buf_slice(&b));
    assert_hex(hash_slice(&hash), slice_cstr(&arena, vector_text(tx, "hash")));
}

static void assert_hashes(const struct json *list, size_t count)
{
    assert_int_equal(list->count, count);
    for (const struct json *v = list->child; v != NULL; v = v->next) {
        assert_hash(v);
    }
}

static void transactions_hash_to_their_names(void **state)
{
    assert_hashes(json_find(published, "avalanche_transactions"), 3);
    assert_hashes(json_find(json_find(json_find(anvil, "types"), "block"), "transactions"), 6);
    const struct json *blocks = json_find(anvil, "optimism");
    assert_hashes(json_find(json_find(json_at(blocks, 0), "block"), "transactions"), 1);
    assert_hashes(json_find(json_find(json_at(blocks, 1), "block"), "transactions"), 1);
    assert_hash(json_find(published, "deposit"));
}

/* What older nodes leave out or name otherwise. */
static void the_same_transaction_in_other_words_is_the_same(void **state)
{
    const struct json *tx = json_at(json_find(published, "avalanche_transactions"), 2);
    assert_hash(changed(&arena, tx, "yParity", NULL));
    assert_hash(changed(&arena, json_find(published, "deposit"), "mint", NULL));
    assert_hash(changed(&arena, json_find(published, "deposit"), "mint", "null"));
    assert_hash(changed(&arena, json_find(published, "deposit"), "isSystemTx", "false"));
    const struct json *legacy = json_at(json_find(published, "avalanche_transactions"), 0);
    assert_hash(changed(&arena, legacy, "type", NULL));
}

static void malformed_transactions_are_refused(void **state)
{
#define ADDRESS "\"0x1111111111111111111111111111111111111111\""
    static const struct {
        size_t tx;
        const char *key, *value, *field;
    } cases[] = {
        {0, "nonce", NULL, "nonce"},
        {0, "input", "\"0x1\"", "input"},
        {0, "to", "\"0x12\"", "to"},
        {0, "type", "true", "type"},
        {2, "accessList", NULL, "accessList"},
        {2, "accessList", "[1]", "address"},
        {2, "accessList", "[{\"address\":" ADDRESS "}]", "storageKeys"},
        {2, "accessList", "[{\"address\":" ADDRESS ",\"storageKeys\":[1]}]", "storageKeys"},
        {4, "to", "null", "to"},
        {4, "authorizationList", "{}", "authorizationList"},
        {4, "authorizationList", "[[]]", "transaction"},
        {4, "authorizationList", "[{\"chainId\":\"0x1\"}]", "address"},
    };
    const struct json *list =
        json_find(json_find(json_find(anvil, "types"), "block"), "transactions");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf b;
        struct why why = {0};
        buf_init(&b, &arena, 0);
        buf_add_text(&b, "before");
        const struct json *bad =
            changed(&arena, json_at(list, cases[i].tx), cases[i].key, cases[i].value);
        assert_int_equal(tx_node_encode(&arena, bad, &b, &why), ERR_NODE_RESPONSE);
        assert_string_equal(why.field, cases[i].field);
        assert_text(buf_slice(&b), "before");
    }
    struct buf b;
    buf_init(&b, &arena, 0);
    assert_int_equal(tx_node_encode(&arena, NULL, &b, NULL), ERR_NODE_RESPONSE);
}

static void a_type_of_another_chain_is_said_to_be_unknown(void **state)
{
    struct buf b;
    struct why why = {0};
    const struct json *tx = json_find(published, "deposit");
    buf_init(&b, &arena, 0);
    assert_int_equal(tx_node_encode(&arena, changed(&arena, tx, "type", "\"0x6a\""), &b, &why),
                     ERR_NODE_UNKNOWN);
    assert_non_null(strstr(why.text, "type 106"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactions_hash_to_their_names),
        cmocka_unit_test(the_same_transaction_in_other_words_is_the_same),
        cmocka_unit_test(malformed_transactions_are_refused),
        cmocka_unit_test(a_type_of_another_chain_is_said_to_be_unknown),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
