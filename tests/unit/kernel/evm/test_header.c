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

static void assert_verifies(const struct json *block, const char *name)
{
    struct why why = {0};
    if (evm_header_verify(&arena, block, &why) != OK) {
        fail_msg("%s: %s: %s", name, why.field, why.text);
    }
}

static const struct json *block_with(const struct json *block, const char *key, const char *value)
{
    return changed(&arena, block, key, value);
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
    assert_int_equal(evm_header_verify(&arena, later, &why), ERR_NODE_UNKNOWN);
    assert_non_null(strstr(why.text, "blockAccessListHash"));
    /* Members that nodes add beside the header do no harm when the hash is right. */
    assert_verifies(block_with(block_of("prague"), "l1BlockNumber", "\"0x1\""), "extra");
}

static void every_field_of_avalanche_is_hashed(void **state)
{
    const struct json *published = vector_file(&arena, "public_proofs.json");
    const struct json *golden = json_find(published, "avalanche_golden");
    assert_verifies(golden, "golden");
    for (const struct json *m = golden->child; m != NULL; m = m->next) {
        struct why why = {0};
        struct slice value =
            slice_format(&arena, "\"%.*s1\"", (int)m->text.len - 1, (const char *)m->text.ptr);
        if (m->text.len > 4 &&
            slice_equal(slice_sub(m->text, m->text.len - 1, 1), SLICE_LIT("1"))) {
            value = SLICE_LIT("\"0x00\"");
        }
        const struct json *other =
            block_with(golden, slice_cstr(&arena, m->key), slice_cstr(&arena, value));
        assert_int_equal(evm_header_verify(&arena, other, &why), ERR_CORRUPT);
    }
    /* One name of a field is as good as the other. */
    assert_verifies(block_with(block_with(golden, "timestampMilliseconds", NULL),
                               "timeMilliseconds", "\"0x18\""),
                    "alias");
    assert_int_equal(evm_header_verify(&arena, block_with(golden, "extDataGasUsed", NULL), NULL),
                     ERR_NODE_RESPONSE);
    assert_int_equal(evm_header_verify(&arena, block_with(golden, "extDataHash", "\"0x15\""), NULL),
                     ERR_NODE_RESPONSE);
}

/* The members that OP-stack nodes give beside Ethereum's are not hashed. */
static void blocks_of_the_op_stack_verify(void **state)
{
    const struct json *blocks = json_find(vector_file(&arena, "anvil_types.json"), "optimism");
    for (const struct json *b = blocks->child; b != NULL; b = b->next) {
        assert_verifies(json_find(b, "block"), "optimism");
    }
}

static void the_encoding_of_avalanche_is_the_published_one(void **state)
{
    struct buf b;
    buf_init(&b, &arena, 0);
    const struct json *golden =
        json_find(vector_file(&arena, "public_proofs.json"), "avalanche_golden");
    assert_int_equal(evm_header_encode(&arena, golden, &b, NULL), OK);
    struct slice text = buf_slice(&b);
    assert_int_equal(text.len, 3 + 0x236);
    assert_hex(slice_sub(text, 0, 4), "0xf90236a0");
    assert_hex(slice_sub(text, text.len - 5, 5), "0x0000001819");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_every_fork_verify),
        cmocka_unit_test(the_first_block_of_ethereum_verifies),
        cmocka_unit_test(any_changed_field_is_found),
        cmocka_unit_test(missing_and_malformed_fields_are_the_nodes_fault),
        cmocka_unit_test(a_header_of_a_later_fork_cannot_be_verified),
        cmocka_unit_test(every_field_of_avalanche_is_hashed),
        cmocka_unit_test(blocks_of_the_op_stack_verify),
        cmocka_unit_test(the_encoding_of_avalanche_is_the_published_one),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
