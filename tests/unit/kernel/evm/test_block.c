#include "kernel/evm/block.h"

#include "kernel/evm/address.h"
#include "unit/vectors.h"

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

static void assert_verifies(const struct json *block, const char *name)
{
    struct why why = {0};
    if (evm_header_verify(&arena, block, &why) != OK) {
        fail_msg("%s: %s: %s", name, why.field, why.text);
    }
}

/* block_with returns the text of a block in which one member was replaced or (NULL) dropped. */
static const struct json *block_with(const struct json *block, const char *key, const char *value)
{
    struct buf text;
    bool first = true, found = false;
    buf_init(&text, &arena, 0);
    buf_add_byte(&text, '{');
    for (const struct json *m = block->child; m != NULL; m = m->next) {
        bool here = slice_equal_text(m->key, key);
        found |= here;
        if (here && value == NULL) {
            continue;
        }
        buf_format(&text, "%s\"%.*s\":", first ? "" : ",", SLICE_ARG(m->key));
        first = false;
        if (here) {
            buf_add_text(&text, value);
        } else {
            json_write(&text, m);
        }
    }
    if (!found && value != NULL) {
        buf_format(&text, ",\"%s\":%s", key, value);
    }
    buf_add_byte(&text, '}');
    buf_add_byte(&text, 0);
    return vector_json(&arena, (const char *)text.ptr);
}

static void headers_of_every_fork_verify(void **state)
{
    static const char *const forks[] = {"london", "paris", "shanghai", "cancun", "prague", "osaka"};
    for (size_t i = 0; i < sizeof(forks) / sizeof(forks[0]); i++) {
        assert_verifies(block_of(forks[i]), forks[i]);
    }
}

/* The genesis block of Ethereum, which has no base fee yet. */
static void the_first_block_of_ethereum_verifies(void **state)
{
    struct buf text;
    buf_init(&text, &arena, 2048);
    buf_add_text(&text, "{\"logsBloom\":\"0x");
    for (unsigned i = 0; i < EVM_BLOOM_BYTES; i++) {
        buf_add_text(&text, "00");
    }
    buf_add_text(
        &text,
        "\",\"hash\":\"0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3\","
        "\"parentHash\":\"0x0000000000000000000000000000000000000000000000000000000000000000\","
        "\"sha3Uncles\":\"0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347\","
        "\"miner\":\"0x0000000000000000000000000000000000000000\",\"stateRoot\":"
        "\"0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544\","
        "\"transactionsRoot\":"
        "\"0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421\","
        "\"receiptsRoot\":\"0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421\","
        "\"difficulty\":\"0x400000000\",\"number\":\"0x0\",\"gasLimit\":\"0x1388\",\"gasUsed\":"
        "\"0x0\",\"timestamp\":\"0x0\",\"extraData\":"
        "\"0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa\",\"mixHash\":"
        "\"0x0000000000000000000000000000000000000000000000000000000000000000\",\"nonce\":"
        "\"0x0000000000000042\"}");
    buf_add_byte(&text, 0);
    assert_verifies(vector_json(&arena, (const char *)text.ptr), "genesis");
}

static void any_changed_field_is_found(void **state)
{
    static const struct {
        const char *key, *value;
    } changes[] = {
        {"hash", "\"0x0000000000000000000000000000000000000000000000000000000000000001\""},
        {"parentHash", "\"0x0000000000000000000000000000000000000000000000000000000000000001\""},
        {"receiptsRoot", "\"0x0000000000000000000000000000000000000000000000000000000000000001\""},
        {"number", "\"0x3\""},
        {"timestamp", "\"0x1\""},
        {"gasUsed", "\"0x0\""},
        {"baseFeePerGas", "\"0x1\""},
        {"extraData", "\"0x01\""},
        {"blobGasUsed", "\"0x1\""},
        {"requestsHash", NULL},
        {"requestsHash", "\"0x0000000000000000000000000000000000000000000000000000000000000001\""},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct json *v = block_with(block_of("prague"), changes[i].key, changes[i].value);
        struct why why = {0};
        assert_int_equal(evm_header_verify(&arena, v, &why), ERR_CORRUPT);
        assert_string_equal(why.field, "hash");
    }
}

static void missing_and_malformed_fields_are_the_nodes_fault(void **state)
{
    static const struct {
        const char *key, *value;
    } changes[] = {
        {"hash", NULL},           {"hash", "\"0x12\""},  {"stateRoot", NULL},
        {"stateRoot", "null"},    {"stateRoot", "7"},    {"difficulty", "\"12\""},
        {"difficulty", "\"0x\""}, {"nonce", "\"0x00\""}, {"logsBloom", "\"0x00\""},
        {"miner", "\"0x00\""},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct json *v = block_with(block_of("prague"), changes[i].key, changes[i].value);
        struct why why = {0};
        assert_int_equal(evm_header_verify(&arena, v, &why), ERR_NODE_RESPONSE);
        assert_string_equal(why.field, changes[i].key);
    }
    struct why why = {0};
    const struct json *gap = block_with(block_of("prague"), "baseFeePerGas", NULL);
    assert_int_equal(evm_header_verify(&arena, gap, &why), ERR_NODE_RESPONSE);
    assert_string_equal(why.field, "withdrawalsRoot");
    assert_int_equal(evm_header_verify(&arena, vector_json(&arena, "[]"), NULL), ERR_NODE_RESPONSE);
    assert_int_equal(evm_header_verify(&arena, NULL, NULL), ERR_NODE_RESPONSE);
}

/* A later fork appends fields: without knowing them one can neither accept nor accuse. */
static void a_header_of_a_later_fork_cannot_be_verified(void **state)
{
    const struct json *later = block_with(
        block_with(block_of("prague"), "blockAccessListHash",
                   "\"0x0000000000000000000000000000000000000000000000000000000000000001\""),
        "hash", "\"0x0000000000000000000000000000000000000000000000000000000000000002\"");
    struct why why = {0};
    assert_int_equal(evm_header_verify(&arena, later, &why), ERR_NODE_RESPONSE);
    assert_non_null(strstr(why.text, "blockAccessListHash"));
    /* Members that nodes add beside the header do no harm when the hash is right. */
    assert_verifies(block_with(block_of("prague"), "l1BlockNumber", "\"0x1\""), "extra");
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
    static const char *const required[] = {"number",       "hash",      "parentHash", "timestamp",
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

static void the_bloom_holds_what_was_logged(void **state)
{
    struct evm_header h;
    struct evm_receipt r;
    assert_int_equal(evm_header_parse(block_of("prague"), &h, NULL), OK);
    assert_int_equal(evm_receipt_parse(&arena, receipt_at(1), &r, NULL), OK);
    assert_true(evm_bloom_may_hold(h.bloom, address_slice(&r.logs[0].address)));
    assert_true(evm_bloom_may_hold(h.bloom, hash_slice(&r.logs[0].topics[0])));
    assert_false(evm_bloom_may_hold(h.bloom, address_slice(&r.from)));
    uint8_t empty[EVM_BLOOM_BYTES] = {0};
    assert_false(evm_bloom_may_hold(empty, address_slice(&r.from)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_every_fork_verify),
        cmocka_unit_test(the_first_block_of_ethereum_verifies),
        cmocka_unit_test(any_changed_field_is_found),
        cmocka_unit_test(missing_and_malformed_fields_are_the_nodes_fault),
        cmocka_unit_test(a_header_of_a_later_fork_cannot_be_verified),
        cmocka_unit_test(a_header_is_parsed),
        cmocka_unit_test(receipts_are_parsed_with_their_logs),
        cmocka_unit_test(created_addresses_follow_from_sender_and_nonce),
        cmocka_unit_test(malformed_receipts_are_refused),
        cmocka_unit_test(malformed_logs_are_refused),
        cmocka_unit_test(the_bloom_holds_what_was_logged),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
