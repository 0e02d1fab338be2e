#include "kernel/evm/proof.h"

#include "unit/changed.h"

static struct arena arena;
static const struct json *published, *block, *receipts;
static struct evm_header header;

static int setup(void **state)
{
    arena_init(&arena, 0);
    published = vector_file(&arena, "public_proofs.json");
    const struct json *types = json_find(vector_file(&arena, "anvil_types.json"), "types");
    block = json_find(types, "block");
    receipts = json_find(types, "receipts");
    assert_int_equal(evm_header_parse(block, &header, NULL), OK);
    assert_int_equal(evm_header_verify(&arena, block, NULL), OK);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

/* prove takes the receipts of the block, with one of them replaced. */
static enum err prove(size_t count, size_t at, const struct json *other, struct evm_log **logs,
                      size_t *log_count, struct why *why)
{
    const struct json *list[8];
    struct hash *txs = NULL;
    for (size_t i = 0; i < count; i++) {
        list[i] = i == at ? other : json_at(receipts, i);
    }
    return proof_of_receipts(&arena, list, count, &header, logs, log_count, &txs, why);
}

static void logs_are_proven_by_the_header(void **state)
{
    struct evm_log *logs = NULL;
    size_t count = 0;
    assert_int_equal(prove(6, 6, NULL, &logs, &count, NULL), OK);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(logs[i].tx_index, i + 1);
        assert_int_equal(logs[i].log_index, i);
        assert_hex(logs[i].data,
                   "0x000000000000000000000000000000000000000000000000000000000000002a");
    }
}

/* The log of receipt 1 with one member changed. */
static const struct json *with_log(const char *key, const char *value)
{
    const struct json *r = json_at(receipts, 1);
    const struct json *log = changed(&arena, json_at(json_find(r, "logs"), 0), key, value);
    struct buf text;
    buf_init(&text, &arena, 0);
    buf_add_byte(&text, '[');
    json_write(&text, log);
    buf_add_byte(&text, ']');
    buf_add_byte(&text, 0);
    return changed(&arena, r, "logs", (const char *)text.ptr);
}

static void whatever_a_node_changes_is_a_lie(void **state)
{
#define ONES "\"0x1111111111111111111111111111111111111111111111111111111111111111\""
#define TWOS "\"0x2222222222222222222222222222222222222222222222222222222222222222\""
    static const struct {
        const char *key, *value;
    } cases[] = {
        {"data", "\"0x000000000000000000000000000000000000000000000000000000000000002b\""},
        {"data", "\"0x\""},
        {"topics", "[" TWOS "]"},
        {"topics", "[" ONES "," ONES "]"},
        {"topics", "[]"},
        {"address", "\"0x1111111111111111111111111111111111111111\""},
        {"blockNumber", "\"0x2\""},
        {"blockHash", ONES},
        {"transactionHash", ONES},
        {"transactionIndex", "\"0x0\""},
        {"logIndex", "\"0x1\""},
        {"removed", "true"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct evm_log *logs = NULL;
        size_t count = 7;
        struct why why = {0};
        const struct json *other = with_log(cases[i].key, cases[i].value);
        assert_int_equal(prove(6, 1, other, &logs, &count, &why), ERR_NODE_LIED);
        assert_non_null(strstr(why.text, "block 1"));
        assert_null(logs);
        assert_int_equal(count, 7);
    }
}

static void a_receipt_too_few_or_twice_is_a_lie(void **state)
{
    struct evm_log *logs = NULL;
    size_t count = 0;
    assert_int_equal(prove(5, 6, NULL, &logs, &count, NULL), ERR_NODE_LIED);
    assert_int_equal(prove(0, 6, NULL, &logs, &count, NULL), ERR_NODE_LIED);
    assert_int_equal(prove(6, 3, json_at(receipts, 2), &logs, &count, NULL), ERR_NODE_LIED);
    const struct json *none = changed(&arena, json_at(receipts, 1), "logs", "[]");
    assert_int_equal(prove(6, 1, none, &logs, &count, NULL), ERR_NODE_LIED);
    const struct json *bad = changed(&arena, json_at(receipts, 1), "logs", "7");
    assert_int_equal(prove(6, 1, bad, &logs, &count, NULL), ERR_NODE_RESPONSE);
}

/* Whether it is a lie or a form that is not known here cannot be told. */
static void receipts_of_an_unknown_type_are_no_lie(void **state)
{
    struct evm_log *logs = NULL;
    size_t count = 0;
    struct why why = {0};
    const struct json *other = changed(&arena, json_at(receipts, 1), "type", "\"0x6a\"");
    assert_int_equal(prove(6, 1, other, &logs, &count, &why), ERR_NODE_UNKNOWN);
    assert_non_null(strstr(why.text, "type 106"));
}

static void transactions_are_proven_by_the_header(void **state)
{
    struct hash *hashes = NULL;
    size_t count = 0;
    const struct json *list = json_find(block, "transactions");
    assert_int_equal(proof_of_transactions(&arena, list, &header, &hashes, &count, NULL), OK);
    assert_int_equal(count, 6);
    for (size_t i = 0; i < count; i++) {
        assert_hex(hash_slice(&hashes[i]),
                   slice_cstr(&arena, vector_text(json_at(list, i), "hash")));
    }
    const struct json *less = json_find(published, "avalanche_transactions");
    assert_int_equal(proof_of_transactions(&arena, less, &header, &hashes, &count, NULL),
                     ERR_NODE_LIED);
    assert_int_equal(proof_of_transactions(&arena, block, &header, &hashes, &count, NULL),
                     ERR_NODE_RESPONSE);
}

static void a_transaction_without_a_signature_has_the_name_that_it_is_given(void **state)
{
    struct hash *hashes = NULL;
    size_t count = 0;
    struct evm_header h;
    const struct json *v =
        json_find(json_find(vector_file(&arena, "anvil_types.json"), "impersonated"), "block");
    const struct json *list = json_find(v, "transactions");
    assert_int_equal(evm_header_parse(v, &h, NULL), OK);
    assert_int_equal(evm_header_verify(&arena, v, NULL), OK);
    assert_int_equal(proof_of_transactions(&arena, list, &h, &hashes, &count, NULL), OK);
    assert_int_equal(count, 1);
    assert_hex(hash_slice(&hashes[0]), slice_cstr(&arena, vector_text(json_at(list, 0), "hash")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logs_are_proven_by_the_header),
        cmocka_unit_test(whatever_a_node_changes_is_a_lie),
        cmocka_unit_test(a_receipt_too_few_or_twice_is_a_lie),
        cmocka_unit_test(receipts_of_an_unknown_type_are_no_lie),
        cmocka_unit_test(transactions_are_proven_by_the_header),
        cmocka_unit_test(a_transaction_without_a_signature_has_the_name_that_it_is_given),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
