#include "kernel/evm/block.h"

#include "kernel/evm/address.h"
#include "unit/changed.h"

static struct arena arena;
static const struct json *vectors;

static int setup(void **state)
{
    arena_init(&arena, 0);
    vectors = vector_file(&arena, "anvil_blocks.json");
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static const struct json *block_of(const char *fork)
{
    const struct json *block = json_find(json_find(vectors, fork), "block");
    assert_non_null(block);
    return block;
}

static const struct json *block_with(const struct json *block, const char *key, const char *value)
{
    return changed(&arena, block, key, value);
}

static void a_header_is_parsed(void **state)
{
    struct evm_header h;
    struct why why = {0};
    const struct json *block = block_of("prague");
    assert_int_equal(evm_header_parse(block, &h, &why), OK);
    assert_int_equal(h.number, 2);
    assert_hex(hash_slice(&h.hash), slice_cstr(&arena, vector_text(block, "hash")));
    assert_hex(hash_slice(&h.parent_hash), slice_cstr(&arena, vector_text(block, "parentHash")));
    assert_int_equal(h.time_sec, 1700000000);
    assert_true(h.has_base_fee);
    assert_int_equal(h.gas_used, 0x127b3);

    assert_int_equal(evm_header_parse(block_with(block, "baseFeePerGas", NULL), &h, NULL), OK);
    assert_false(h.has_base_fee);
    static const char *const required[] = {
        "number",       "hash",      "parentHash", "timestamp", "transactionsRoot",
        "receiptsRoot", "logsBloom", "gasLimit",   "gasUsed"};
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        assert_int_equal(evm_header_parse(block_with(block, required[i], NULL), &h, &why),
                         ERR_NODE_RESPONSE);
        assert_string_equal(why.field, required[i]);
    }
    assert_int_equal(
        evm_header_parse(block_with(block, "timestamp", "\"0xffffffffffffffff\""), &h, &why),
        ERR_NODE_RESPONSE);
    assert_int_equal(
        evm_header_parse(block_with(block, "number", "\"0x10000000000000000\""), &h, &why),
        ERR_NODE_RESPONSE);
}

static const struct json *receipt_at(size_t index)
{
    return json_at(json_find(json_find(vectors, "prague"), "receipts"), index);
}

static void receipts_are_parsed_with_their_logs(void **state)
{
    struct evm_receipt r;
    struct why why = {0};
    assert_int_equal(evm_receipt_parse(&arena, receipt_at(0), &r, &why), OK);
    assert_true(r.succeeded);
    assert_int_equal(r.gas_used, 21000);
    assert_int_equal(r.block_number, 2);
    assert_int_equal(r.tx_index, 0);
    assert_true(r.has_to);
    assert_false(r.has_contract);
    assert_hex(address_slice(&r.from), "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
    assert_int_equal(r.log_count, 0);

    assert_int_equal(evm_receipt_parse(&arena, receipt_at(1), &r, &why), OK);
    assert_false(r.has_to);
    assert_true(r.has_contract);
    assert_int_equal(r.log_count, 1);
    const struct evm_log *log = &r.logs[0];
    assert_true(address_equal(&log->address, &r.contract));
    assert_int_equal(log->topic_count, 1);
    assert_hex(hash_slice(&log->topics[0]),
               "0x1111111111111111111111111111111111111111111111111111111111111111");
    assert_hex(log->data, "0x000000000000000000000000000000000000000000000000000000000000002a");
    assert_int_equal(log->tx_index, 1);
    assert_int_equal(log->log_index, 0);
    assert_false(log->removed);
}

static void created_addresses_follow_from_sender_and_nonce(void **state)
{
    struct evm_receipt r;
    assert_int_equal(evm_receipt_parse(&arena, receipt_at(1), &r, NULL), OK);
    struct address expected = address_of_create(&r.from, 1);
    assert_true(address_equal(&r.contract, &expected));
}

static void malformed_receipts_are_refused(void **state)
{
    static const struct {
        const char *key, *value, *field;
    } cases[] = {
        {"status", NULL, "status"},
        {"status", "\"0x2\"", "status"},
        {"status", "1", "status"},
        {"from", NULL, "from"},
        {"from", "\"0x12\"", "from"},
        {"to", "\"0x\"", "to"},
        {"gasUsed", "\"21000\"", "gasUsed"},
        {"effectiveGasPrice", NULL, "effectiveGasPrice"},
        {"transactionIndex", "\"0x100000000\"", "transactionIndex"},
        {"logs", NULL, "logs"},
        {"logs", "{}", "logs"},
        {"logs", "[1]", "logs.log"},
        {"transactionHash",
         "\"0x0000000000000000000000000000000000000000000000000000000000000001\"", "logs"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct evm_receipt r = {.gas_used = 5};
        struct why why = {0};
        assert_int_equal(evm_receipt_parse(&arena,
                                           block_with(receipt_at(1), cases[i].key, cases[i].value),
                                           &r, &why),
                         ERR_NODE_RESPONSE);
        assert_string_equal(why.field, cases[i].field);
        assert_int_equal(r.gas_used, 5);
    }
}

static void malformed_logs_are_refused(void **state)
{
#define TOPIC "\"0x1111111111111111111111111111111111111111111111111111111111111111\""
    static const struct {
        const char *key, *value;
    } cases[] = {
        {"address", "\"0x00\""},
        {"topics", NULL},
        {"topics", "[" TOPIC "," TOPIC "," TOPIC "," TOPIC "," TOPIC "]"},
        {"topics", "[\"0x11\"]"},
        {"topics", "[1]"},
        {"data", NULL},
        {"data", "\"0x1\""},
        {"blockNumber", "null"}, /* a pending log has no place */
        {"blockHash", "null"},
        {"transactionHash", "null"},
        {"logIndex", "null"},
        {"removed", "\"false\""},
    };
    const struct json *log = json_at(json_find(receipt_at(1), "logs"), 0);
    struct evm_log out;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct why why = {0};
        assert_int_equal(
            evm_log_parse(&arena, block_with(log, cases[i].key, cases[i].value), &out, &why),
            ERR_NODE_RESPONSE);
        assert_string_equal(why.field, cases[i].key);
    }
    assert_int_equal(evm_log_parse(&arena, block_with(log, "removed", "true"), &out, NULL), OK);
    assert_true(out.removed);
    assert_int_equal(evm_log_parse(&arena, block_with(log, "removed", NULL), &out, NULL), OK);
    assert_false(out.removed);
    assert_int_equal(evm_log_parse(&arena, block_with(log, "topics", "[]"), &out, NULL), OK);
    assert_int_equal(out.topic_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_parsed),
        cmocka_unit_test(receipts_are_parsed_with_their_logs),
        cmocka_unit_test(created_addresses_follow_from_sender_and_nonce),
        cmocka_unit_test(malformed_receipts_are_refused),
        cmocka_unit_test(malformed_logs_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
