/* The RPC module against a real node. */
#include "app/devchain.h"
#include "support/rpc_fixture.c"
#include "unit/test.h"

#include "kernel/base/hex.h"
#include "kernel/evm/address.h"

/* The key of the dev chain's first account, as anvil prints it. */
#define FIRST_KEY "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
#define FIRST_ACCOUNT "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
#define BURST 40

/*
 * A contract of 40 bytes that emits LOG2(2; 0xaa, 0xbb) and LOG1(; 0xaa) when called with no data
 * and reverts with 0xdeadbeef when called with any:
 *   CALLDATASIZE PUSH1 26 JUMPI …logs… STOP JUMPDEST PUSH4 deadbeef PUSH1 0 MSTORE PUSH1 4 PUSH1 28
 *   REVERT
 */
#define RUNTIME                                                                                    \
    "36601a57"                                                                                     \
    "600260005260bb60aa60206000a260aa60006000a100"                                                 \
    "5b63deadbeef6000526004601cfd"
#define RUNTIME_BYTES 40
#define CREATE_CODE "0x6028600c60003960286000f3" RUNTIME

struct node {
    struct fixture *f;
    struct devchain *chain;
    struct address from;
    struct secret key;
};

static int setup(void **state)
{
    struct fixture *f = NULL;
    (void)fixture_setup((void **)&f);
    clock_set_source(NULL);
    f->options.timeout_usec = 10 * (int64_t)USEC_PER_SEC;
    f->options.answer_bytes_max = 10 << 20;
    struct node *n = mem_alloc(sizeof(*n));
    n->f = f;
    uint8_t key[32];
    assert_int_equal(hex_decode_fixed(slice_text(FIRST_KEY), key, sizeof(key)), OK);
    secret_init(&n->key, key, sizeof(key));
    assert_int_equal(address_parse(slice_text(FIRST_ACCOUNT), &n->from), OK);
    struct devchain_options options = {.chain_id = DEVCHAIN_ID};
    struct why why = {0};
    const char *path;
    if (devchain_find_anvil(&f->arena, NULL, &path, &why) != OK) {
        print_message("skipped: %s\n", why.text);
    } else {
        assert_int_equal(devchain_start(&options, &n->chain, &why), OK);
        f->endpoints[0].url = devchain_url(n->chain);
        f->node_count = 1;
        fixture_pool(f);
        f->node_count = 0; /* no scripted ones to stop */
    }
    *state = n;
    return 0;
}

static int teardown(void **state)
{
    struct node *n = *state;
    void *f = n->f;
    (void)fixture_teardown(&f);
    devchain_stop(n->chain);
    secret_clear(&n->key);
    mem_free(n);
    return 0;
}

static struct node *need(void **state)
{
    struct node *n = *state;
    if (n->chain == NULL) {
        skip();
    }
    return n;
}

static enum err rpc_text(struct node *n, const char *method, const char *params)
{
    struct rpc_call call = {.method = method, .params = slice_text(params)};
    return rpc_call_one(n->f->pool, &n->f->arena, RPC_ANY, &call, &n->f->why);
}

static struct tx transfer(const struct node *n, uint64_t nonce)
{
    return (struct tx){.kind = TX_EIP1559,
                       .chain_id = DEVCHAIN_ID,
                       .nonce = nonce,
                       .fee_max = wei_of(u256_from_u64(3000000000)),
                       .fee_priority = wei_of(u256_from_u64(1000000000)),
                       .gas_limit = 21000,
                       .has_to = true,
                       .to = n->from,
                       .value = wei_of(u256_from_u64(1))};
}

static struct slice sign(struct node *n, const struct tx *tx, struct hash *out_hash)
{
    struct slice raw;
    assert_int_equal(tx_sign(&n->f->arena, tx, &n->key, &raw, out_hash), OK);
    return raw;
}

static void wait_mined(struct node *n, const struct hash *tx, struct evm_receipt *out)
{
    bool found = false;
    while (!found) {
        assert_int_equal(rpc_receipt(n->f->pool, &n->f->arena, tx, out, &found, &n->f->why), OK);
        clock_sleep_usec(found ? 0 : 5000);
    }
}

static void test_headers_verify(void **state)
{
    struct node *n = need(state);
    int64_t unverified = fixture_metric(RPC_METRIC_UNVERIFIED_HEADERS);
    assert_int_equal(rpc_text(n, "anvil_mine", "[\"0x14\"]"), OK);
    uint64_t height = 0;
    assert_int_equal(rpc_block_number(n->f->pool, &height, &n->f->why), OK);
    assert_int_equal(height, 20);
    struct evm_header headers[30];
    size_t count = 0;
    n->f->pool->options.batch_max = 8; /* four requests */
    assert_int_equal(rpc_headers(n->f->pool, &n->f->arena, 0, 30, headers, &count, &n->f->why), OK);
    assert_int_equal(count, 21);
    for (size_t i = 1; i < count; i++) {
        assert_int_equal(headers[i].number, i);
        assert_true(hash_equal(&headers[i].parent_hash, &headers[i - 1].hash));
    }
    assert_int_equal(fixture_metric(RPC_METRIC_UNVERIFIED_HEADERS), unverified);
    assert_int_equal(rpc_header(n->f->pool, &n->f->arena, 21, headers, &n->f->why), ERR_NOT_FOUND);
}

static void test_fees_foretell_the_next_block(void **state)
{
    struct node *n = need(state);
    for (int i = 0; i < 3; i++) {
        struct rpc_fees fees;
        assert_int_equal(rpc_fees_read(n->f->pool, &fees, &n->f->why), OK);
        assert_true(fees.eip1559);
        assert_int_equal(rpc_text(n, "anvil_mine", "[\"0x1\"]"), OK);
        uint64_t height = 0;
        struct evm_header header;
        assert_int_equal(rpc_block_number(n->f->pool, &height, &n->f->why), OK);
        assert_int_equal(rpc_header(n->f->pool, &n->f->arena, height, &header, &n->f->why), OK);
        assert_int_equal(wei_compare(header.base_fee, fees.base_fee_next), 0);
    }
}

static void deploy(struct node *n, struct address *out)
{
    struct slice code;
    assert_int_equal(hex_decode(&n->f->arena, slice_text(CREATE_CODE), &code), OK);
    struct tx tx = transfer(n, 0);
    tx.has_to = false;
    tx.value = wei_of(U256_ZERO);
    tx.data = code;
    struct slice revert = SLICE_EMPTY;
    assert_int_equal(rpc_estimate_gas(n->f->pool, &n->f->arena, &n->from, NULL, tx.value, code,
                                      &tx.gas_limit, &revert, &n->f->why),
                     OK);
    assert_in_range(tx.gas_limit, 53000, 100000);
    struct hash hash;
    struct slice raw = sign(n, &tx, &hash);
    assert_int_equal(rpc_send_raw(n->f->pool, raw, &n->f->why), OK);
    struct evm_receipt receipt;
    wait_mined(n, &hash, &receipt);
    assert_true(receipt.succeeded && receipt.has_contract);
    assert_true(receipt.gas_used <= tx.gas_limit);
    struct address expected = address_of_create(&n->from, 0);
    assert_true(address_equal(&receipt.contract, &expected));
    *out = receipt.contract;
}

static void test_contract_logs_and_reverts(void **state)
{
    struct node *n = need(state);
    struct rpc_pool *pool = n->f->pool;
    struct arena *arena = &n->f->arena;
    struct address contract;
    deploy(n, &contract);
    struct slice code;
    assert_int_equal(rpc_code(pool, arena, &contract, &code, &n->f->why), OK);
    assert_int_equal(code.len, RUNTIME_BYTES);

    struct tx tx = transfer(n, 1);
    tx.to = contract;
    tx.value = wei_of(U256_ZERO);
    tx.gas_limit = 100000;
    struct hash hash;
    struct slice raw = sign(n, &tx, &hash);
    assert_int_equal(rpc_send_raw(pool, raw, &n->f->why), OK);
    struct evm_receipt receipt;
    wait_mined(n, &hash, &receipt);
    assert_int_equal(receipt.log_count, 2);

    struct hash topics[1] = {{.bytes = {[31] = 0xaa}}};
    struct rpc_log_filter filter = {.from_block = 0,
                                    .to_block = receipt.block_number,
                                    .addresses = &contract,
                                    .address_count = 1,
                                    .topics0 = topics,
                                    .topic0_count = 1};
    struct evm_log *logs = NULL;
    size_t count = 0;
    assert_int_equal(rpc_logs(pool, arena, &filter, &logs, &count, &n->f->why), OK);
    assert_int_equal(count, 2);
    assert_true(hash_equal(&logs[0].tx_hash, &hash));
    topics[0].bytes[31] = 0xbb; /* only ever the second topic */
    assert_int_equal(rpc_logs(pool, arena, &filter, &logs, &count, &n->f->why), OK);
    assert_int_equal(count, 0);
    filter.to_block = 1000; /* beyond the head: this node calls that an error */
    enum err e = rpc_logs(pool, arena, &filter, &logs, &count, &n->f->why);
    assert_true(e == OK || e == ERR_LIMIT);

    struct slice out;
    struct slice revert = SLICE_EMPTY;
    assert_int_equal(rpc_eth_call(pool, arena, RPC_ANY, NULL, &contract, SLICE_LIT("x"), NULL, &out,
                                  &revert, &n->f->why),
                     ERR_REVERTED);
    assert_int_equal(revert.len, 4);
    assert_memory_equal(revert.ptr, "\xde\xad\xbe\xef", 4);
    revert = SLICE_EMPTY;
    uint64_t gas = 0;
    assert_int_equal(rpc_estimate_gas(pool, arena, &n->from, &contract, wei_of(U256_ZERO),
                                      SLICE_LIT("x"), &gas, &revert, &n->f->why),
                     ERR_REVERTED);
    assert_int_equal(revert.len, 4);
    uint64_t before = 0; /* when there was no contract */
    assert_int_equal(rpc_eth_call(pool, arena, RPC_ANY, NULL, &contract, SLICE_LIT("x"), &before,
                                  &out, &revert, &n->f->why),
                     OK);
    assert_int_equal(out.len, 0);
}

static enum rpc_verdict send_tx(struct node *n, const struct tx *tx)
{
    struct hash hash;
    struct why why = {0};
    enum err e = rpc_send_raw(n->f->pool, sign(n, tx, &hash), &why);
    return rpc_send_verdict(e, &why);
}

static void test_verdicts(void **state)
{
    struct node *n = need(state);
    assert_int_equal(rpc_text(n, "evm_setAutomine", "[false]"), OK);
    struct tx tx = transfer(n, 0);
    assert_int_equal(send_tx(n, &tx), RPC_SENT);
    assert_int_equal(send_tx(n, &tx), RPC_SENT); /* known already */
    tx.value = wei_of(u256_from_u64(2));
    assert_int_equal(send_tx(n, &tx), RPC_UNDERPRICED);
    tx.nonce = 1;
    tx.fee_max = wei_of(u256_from_u64(1));
    tx.fee_priority = wei_of(u256_from_u64(1));
    assert_int_equal(send_tx(n, &tx), RPC_UNDERPRICED);
    tx = transfer(n, 1);
    tx.gas_limit = 20999;
    assert_int_equal(send_tx(n, &tx), RPC_REFUSED);
    tx = transfer(n, 1);
    tx.chain_id = 5;
    assert_int_equal(send_tx(n, &tx), RPC_REFUSED);
    tx = transfer(n, 1);
    tx.value = wei_of((struct u256){{0, 0, 0, 1}}); /* more than there is of anything */
    assert_int_equal(send_tx(n, &tx), RPC_INSUFFICIENT_FUNDS);
    struct why why = {0};
    enum err e = rpc_send_raw(n->f->pool, SLICE_LIT("\x02garbage"), &why);
    assert_int_equal(rpc_send_verdict(e, &why), RPC_REFUSED);

    uint64_t latest = 9;
    uint64_t pending = 9;
    assert_int_equal(rpc_nonce(n->f->pool, &n->from, false, &latest, NULL), OK);
    assert_int_equal(rpc_nonce(n->f->pool, &n->from, true, &pending, NULL), OK);
    assert_int_equal(latest, 0);
    assert_int_equal(pending, 1);
    assert_int_equal(rpc_text(n, "anvil_mine", "[\"0x1\"]"), OK);
    tx = transfer(n, 0);
    assert_int_equal(send_tx(n, &tx), RPC_NONCE_TOO_LOW);
}

static void test_a_burst_in_one_batch(void **state)
{
    struct node *n = need(state);
    struct slice raws[BURST];
    struct hash hashes[BURST];
    for (uint64_t i = 0; i < BURST; i++) {
        struct tx tx = transfer(n, i);
        raws[i] = sign(n, &tx, &hashes[i]);
    }
    enum rpc_verdict verdicts[BURST];
    int64_t requests = fixture_metric(RPC_METRIC_REQUESTS);
    assert_int_equal(
        rpc_send_many(n->f->pool, &n->f->arena, raws, BURST, verdicts, NULL, &n->f->why), OK);
    assert_int_equal(fixture_metric(RPC_METRIC_REQUESTS), requests + 2); /* and the chain id */
    struct evm_receipt receipts[BURST];
    for (size_t i = 0; i < BURST; i++) {
        assert_int_equal(verdicts[i], RPC_SENT);
        wait_mined(n, &hashes[i], &receipts[i]);
    }
    bool found[BURST];
    assert_int_equal(
        rpc_receipts(n->f->pool, &n->f->arena, hashes, BURST, receipts, found, &n->f->why), OK);
    for (size_t i = 0; i < BURST; i++) {
        assert_true(found[i] && receipts[i].succeeded);
        assert_true(hash_equal(&receipts[i].tx_hash, &hashes[i]));
    }
}

static void test_node_that_dies_is_noticed(void **state)
{
    struct node *n = need(state);
    uint64_t height = 0;
    assert_int_equal(rpc_block_number(n->f->pool, &height, &n->f->why), OK);
    devchain_stop(n->chain);
    n->chain = NULL;
    int64_t start = clock_mono_usec();
    assert_int_equal(rpc_block_number(n->f->pool, &height, &n->f->why), ERR_NODE_UNAVAILABLE);
    assert_in_range(clock_mono_usec() - start, 0, 2 * USEC_PER_SEC);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_headers_verify),
        TEST(test_fees_foretell_the_next_block),
        TEST(test_contract_logs_and_reverts),
        TEST(test_verdicts),
        TEST(test_a_burst_in_one_batch),
        TEST(test_node_that_dies_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
