#include "support/rpc_fixture.c"
#include "unit/kernel/rpc/node_vectors.h"
#include "unit/test.h"

#include "kernel/evm/address.h"

static const struct address account = {{0x5f, 0xbd, 0xb2}};

static struct script_server *node_saying(struct fixture *f, const char *body)
{
    return fixture_node(f, STEPS({.body = body}), 1, CHAIN_HEX);
}

/* again forgets the nodes and the pool, for the next row of a table. */
static void again(struct fixture *f)
{
    rpc_pool_free(f->pool);
    f->pool = NULL;
    for (size_t i = 0; i < f->node_count; i++) {
        script_stop(f->nodes[i]);
    }
    f->node_count = 0;
}

/* result_step makes an envelope around a result that a row holds. */
static const char *result_step(struct fixture *f, const char *result)
{
    return fixture_answer(f, result, "", "");
}

/* ---- quantities ------------------------------------------------------------------------------ */

static void test_block_number(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *result;
        uint64_t number;
    } good[] = {{"\"0x0\"", 0}, {"\"0x10\"", 16}, {"\"0xffffffffffffffff\"", UINT64_MAX}};
    static const char *const bad[] = {
        "\"\"",    "\"0x\"",   "\"16\"", "16", "null",
        "{}",      "\"-0x1\"", "true",   "[]", "\"0x10000000000000000\"",
        "\"0xg\"", "\"0x1 \""};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        (void)node_saying(f, result_step(f, good[i].result));
        fixture_pool(f);
        uint64_t number = 77;
        assert_int_equal(rpc_block_number(f->pool, &number, &f->why), OK);
        assert_true(number == good[i].number);
        again(f);
    }
    f->options.attempts_max = 1;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)node_saying(f, result_step(f, bad[i]));
        fixture_pool(f);
        uint64_t number = 77;
        assert_int_equal(rpc_block_number(f->pool, &number, &f->why), ERR_NODE_RESPONSE);
        assert_int_equal(number, 77);
        again(f);
    }
}

static void test_balance_up_to_256_bits(void **state)
{
    struct fixture *f = *state;
    struct script_server *node = node_saying(
        f, RESULT("\"0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\""));
    fixture_pool(f);
    struct wei_amount wei;
    assert_int_equal(rpc_balance(f->pool, &account, &wei, &f->why), OK);
    assert_true(u256_equal(wei_raw(wei), U256_MAX));
    char last[4096];
    script_last(node, last, sizeof(last));
    assert_non_null(strstr(last, "\"method\":\"eth_getBalance\",\"params\":["
                                 "\"0x5fbdb20000000000000000000000000000000000\",\"latest\"]"));
    again(f);
    f->options.attempts_max = 1;
    (void)node_saying(
        f, RESULT("\"0x10000000000000000000000000000000000000000000000000000000000000000\""));
    fixture_pool(f);
    assert_int_equal(rpc_balance(f->pool, &account, &wei, &f->why), ERR_NODE_RESPONSE);
}

static void test_nonce_and_code(void **state)
{
    struct fixture *f = *state;
    struct script_server *node = NODE(f, {.body = RESULT("\"0x5\"")}, {.body = RESULT("\"0x6\"")},
                                      {.body = RESULT("\"0x\"")}, {.body = RESULT("\"0x60fe\"")});
    fixture_pool(f);
    char last[4096];
    uint64_t nonce = 0;
    assert_int_equal(rpc_nonce(f->pool, &account, false, &nonce, &f->why), OK);
    assert_int_equal(nonce, 5);
    script_last(node, last, sizeof(last));
    assert_non_null(strstr(last, "\"latest\"]"));
    assert_int_equal(rpc_nonce(f->pool, &account, true, &nonce, &f->why), OK);
    assert_int_equal(nonce, 6);
    script_last(node, last, sizeof(last));
    assert_non_null(strstr(last, "\"eth_getTransactionCount\""));
    assert_non_null(strstr(last, "\"pending\"]"));
    struct slice code;
    assert_int_equal(rpc_code(f->pool, &f->arena, &account, &code, &f->why), OK);
    assert_int_equal(code.len, 0);
    assert_int_equal(rpc_code(f->pool, &f->arena, &account, &code, &f->why), OK);
    assert_int_equal(code.len, 2);
    assert_memory_equal(code.ptr, "\x60\xfe", 2);
}

static void test_wrong_answer_is_asked_elsewhere(void **state)
{
    struct fixture *f = *state;
    int64_t wrong = fixture_metric(RPC_METRIC_WRONG_ANSWERS);
    (void)NODE(f, {.body = RESULT("\"0xabc\"")}); /* an odd number of digits is no code */
    (void)NODE(f, {.body = RESULT("\"0x0abc\"")});
    fixture_pool(f);
    struct slice code;
    assert_int_equal(rpc_code(f->pool, &f->arena, &account, &code, &f->why), OK);
    assert_int_equal(code.len, 2);
    assert_int_equal(fixture_metric(RPC_METRIC_WRONG_ANSWERS), wrong + 1);
}

/* ---- headers --------------------------------------------------------------------------------- */

static void test_header(void **state)
{
    struct fixture *f = *state;
    struct script_server *node = node_saying(f, RESULT(NODE_BLOCK));
    fixture_pool(f);
    int64_t unverified = fixture_metric(RPC_METRIC_UNVERIFIED_HEADERS);
    struct evm_header header;
    assert_int_equal(rpc_header(f->pool, &f->arena, 2, &header, &f->why), OK);
    assert_int_equal(header.number, 2);
    assert_int_equal(header.time_sec, 1700000000);
    assert_int_equal(header.gas_used, 0x5a7c);
    assert_int_equal(fixture_metric(RPC_METRIC_UNVERIFIED_HEADERS), unverified);
    char last[4096];
    script_last(node, last, sizeof(last));
    assert_non_null(strstr(last, "\"eth_getBlockByNumber\",\"params\":[\"0x2\",false]"));
}

static void test_headers_that_lie(void **state)
{
    struct fixture *f = *state;
    f->options.attempts_max = 1;
    static const struct {
        const char *right, *said;
        enum err err;
    } lies[] = {
        {"\"gasUsed\":\"0x5a7c\"", "\"gasUsed\":\"0x5a7d\"", ERR_NODE_LIED},
        {"\"timestamp\":\"0x6553f100\"", "\"timestamp\":\"0x6553f101\"", ERR_NODE_LIED},
        {"\"parentHash\":\"0xc0", "\"parentHash\":\"0xc1", ERR_NODE_LIED},
        {"\"receiptsRoot\":\"0x98", "\"receiptsRoot\":\"0x99", ERR_NODE_LIED},
        {"{\"hash\":\"0xf3", "{\"hash\":\"0xf4", ERR_NODE_LIED},
        {"\"number\":\"0x2\"", "\"number\":\"0x3\"", ERR_NODE_RESPONSE},
        {"\"number\":\"0x2\"", "\"number\":null", ERR_NODE_RESPONSE},
        {"\"logsBloom\":\"0x", "\"logsBloom\":\"0x00", ERR_NODE_RESPONSE},
        /* What a later fork may have put into the hash cannot be verified. */
        {"\"gasUsed\":\"0x5a7c\"", "\"later\":\"0x1\",\"gasUsed\":\"0x5a7d\"", ERR_NODE_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        (void)node_saying(f, fixture_answer(f, NODE_BLOCK, lies[i].right, lies[i].said));
        fixture_pool(f);
        struct evm_header header;
        assert_int_equal(rpc_header(f->pool, &f->arena, 2, &header, &f->why), lies[i].err);
        again(f);
    }
}

static void test_header_that_cannot_be_verified_is_counted(void **state)
{
    struct fixture *f = *state;
    int64_t unverified = fixture_metric(RPC_METRIC_UNVERIFIED_HEADERS);
    (void)node_saying(f, fixture_answer(f, NODE_BLOCK, "\"stateRoot\"", "\"worldRoot\""));
    f->options.trusted = true;
    fixture_pool(f);
    struct evm_header header;
    assert_int_equal(rpc_header(f->pool, &f->arena, 2, &header, &f->why), OK);
    assert_int_equal(fixture_metric(RPC_METRIC_UNVERIFIED_HEADERS), unverified + 1);
}

static void test_missing_headers(void **state)
{
    struct fixture *f = *state;
    struct script_server *node =
        NODE(f, {.body = RESULT("null")},
             {.body = "[{\"jsonrpc\":\"2.0\",\"id\":$2,\"result\":null},"
                      "{\"jsonrpc\":\"2.0\",\"id\":$1,\"result\":null},"
                      "{\"jsonrpc\":\"2.0\",\"id\":$0,\"result\":" NODE_BLOCK "}]"},
             {.body = "[{\"jsonrpc\":\"2.0\",\"id\":$0,\"result\":null},"
                      "{\"jsonrpc\":\"2.0\",\"id\":$1,\"result\":null}]"});
    fixture_pool(f);
    struct evm_header headers[3];
    assert_int_equal(rpc_header(f->pool, &f->arena, 9, headers, &f->why), ERR_NOT_FOUND);
    size_t count = 77;
    assert_int_equal(rpc_headers(f->pool, &f->arena, 2, 3, headers, &count, &f->why), OK);
    assert_int_equal(count, 1);
    assert_int_equal(headers[0].number, 2);
    assert_int_equal(rpc_headers(f->pool, &f->arena, 9, 2, headers, &count, &f->why), OK);
    assert_int_equal(count, 0);
    assert_int_equal(script_requests(node), 3);
    assert_int_equal(script_chain_checks(node), 1); /* a block that is not there is no failure */
}

/* ---- logs ------------------------------------------------------------------------------------ */

static const struct hash topic_aa = {.bytes = {[31] = 0xaa}};
static const struct hash topic_bb = {.bytes = {[31] = 0xbb}};

static struct address log_address(void)
{
    struct address a;
    assert_int_equal(address_parse(slice_text("0x5fbdb2315678afecb367f032d93f642f64180aa3"), &a),
                     OK);
    return a;
}

static enum err ask_logs(struct fixture *f, const struct rpc_log_filter *filter, size_t *out_count)
{
    struct evm_log *logs = NULL;
    if (f->pool == NULL) {
        fixture_pool(f);
    }
    return rpc_logs(f->pool, &f->arena, filter, &logs, out_count, &f->why);
}

static void test_logs(void **state)
{
    struct fixture *f = *state;
    struct script_server *node =
        NODE(f, {.body = RESULT("[" NODE_LOG_0 "," NODE_LOG_1 "]")}, {.body = RESULT("[]")});
    struct address addresses[3] = {{{0xff}}, log_address(), {{0x01}}};
    struct hash topics[3] = {topic_bb, topic_aa, {{0}}};
    struct rpc_log_filter filter = {.from_block = 1,
                                    .to_block = 2,
                                    .addresses = addresses,
                                    .address_count = 3,
                                    .topics0 = topics,
                                    .topic0_count = 3};
    fixture_pool(f);
    struct evm_log *logs = NULL;
    size_t count = 0;
    assert_int_equal(rpc_logs(f->pool, &f->arena, &filter, &logs, &count, &f->why), OK);
    assert_int_equal(count, 2);
    assert_int_equal(logs[0].topic_count, 2);
    assert_true(hash_equal(&logs[0].topics[1], &topic_bb));
    assert_int_equal(logs[0].data.len, 32);
    assert_int_equal(logs[0].data.ptr[31], 2);
    assert_int_equal(logs[1].log_index, 1);
    assert_int_equal(logs[1].data.len, 0);
    char last[4096];
    script_last(node, last, sizeof(last));
    assert_non_null(strstr(
        last, "\"eth_getLogs\",\"params\":[{\"fromBlock\":\"0x1\",\"toBlock\":\"0x2\",\"address\":["
              "\"0xff00000000000000000000000000000000000000\","
              "\"0x5fbdb2315678afecb367f032d93f642f64180aa3\","
              "\"0x0100000000000000000000000000000000000000\"],\"topics\":[["
              "\"0x00000000000000000000000000000000000000000000000000000000000000bb\","));

    filter = (struct rpc_log_filter){.from_block = 3, .to_block = 3};
    assert_int_equal(rpc_logs(f->pool, &f->arena, &filter, &logs, &count, &f->why), OK);
    assert_int_equal(count, 0);
    script_last(node, last, sizeof(last));
    assert_non_null(strstr(last, "[{\"fromBlock\":\"0x3\",\"toBlock\":\"0x3\"}]"));
}

static void test_logs_that_were_not_asked(void **state)
{
    struct fixture *f = *state;
    struct address right = log_address();
    struct address other = {{0x11}};
    const struct {
        const char *what;
        const char *from;
        const char *to;
        struct rpc_log_filter filter;
    } rows[] = {
        {"later block", "", "", {.from_block = 0, .to_block = 1}},
        {"earlier block", "", "", {.from_block = 3, .to_block = 9}},
        {"other address", "", "", {.to_block = 2, .addresses = &other, .address_count = 1}},
        {"other topic", "", "", {.to_block = 2, .topics0 = &topic_bb, .topic0_count = 1}},
        {"five topics",
         "\"topics\":[",
         "\"topics\":[\"0x00000000000000000000000000000000000000000000"
         "00000000000000000001\","
         "\"0x0000000000000000000000000000000000000000000000000000000000000002"
         "\",\"0x0000000000000000000000000000000000000000000000000000000000000003\",",
         {.to_block = 2}},
        {"no topics",
         "\"0x00000000000000000000000000000000000000000000000000000000000000aa\",\"0x00"
         "000000000000000000000000000000000000000000000000000000000000bb\"",
         "",
         {.to_block = 2, .topics0 = &topic_aa, .topic0_count = 1}},
        {"removed",
         "\"removed\":false",
         "\"removed\":true",
         {.to_block = 2, .addresses = &right, .address_count = 1}},
        {"repeated", "\"logIndex\":\"0x0\"", "\"logIndex\":\"0x1\"", {.to_block = 2}},
        {"out of order", "\"logIndex\":\"0x0\"", "\"logIndex\":\"0x2\"", {.to_block = 2}},
        {"later block first",
         "\"blockNumber\":\"0x2\"",
         "\"blockNumber\":\"0x3\"",
         {.to_block = 5}},
        {"transactions swapped",
         "\"transactionIndex\":\"0x0\"",
         "\"transactionIndex\":\"0x1\"",
         {.to_block = 2}},
        {"two hashes for a block", "\"blockHash\":\"0xf3", "\"blockHash\":\"0xf4", {.to_block = 2}},
        {"no number", "\"blockNumber\":\"0x2\"", "\"blockNumber\":null", {.to_block = 2}},
        {"huge number",
         "\"blockNumber\":\"0x2\"",
         "\"blockNumber\":\"0x10000000000000002\"",
         {.to_block = UINT64_MAX}},
    };
    f->options.attempts_max = 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)node_saying(
            f, fixture_answer(f, "[" NODE_LOG_0 "," NODE_LOG_1 "]", rows[i].from, rows[i].to));
        size_t count = 77;
        enum err e = ask_logs(f, &rows[i].filter, &count);
        if (e != ERR_NODE_RESPONSE) {
            print_error("%s: %s\n", rows[i].what, err_code(e));
        }
        assert_int_equal(e, ERR_NODE_RESPONSE);
        assert_int_equal(count, 77);
        again(f);
    }
    static const char *const shapes[] = {"null", "{}", "\"0x\"", "[null]", "[[]]", "[{}]", "7"};
    struct rpc_log_filter filter = {.to_block = 2};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        (void)node_saying(f, result_step(f, shapes[i]));
        size_t count = 77;
        assert_int_equal(ask_logs(f, &filter, &count), ERR_NODE_RESPONSE);
        again(f);
    }
}

static void test_a_refused_range_asks_for_less(void **state)
{
    struct fixture *f = *state;
    (void)node_saying(f, ERROR("{\"code\":-32005,\"message\":\"query returned more than 10000 "
                               "results\"}"));
    struct rpc_log_filter filter = {.from_block = 1, .to_block = 2};
    size_t count = 0;
    assert_int_equal(ask_logs(f, &filter, &count), ERR_LIMIT);
    assert_int_equal(f->why.err, ERR_LIMIT);
    filter.to_block = 1;
    assert_int_equal(ask_logs(f, &filter, &count), ERR_NODE_ERROR);
    again(f);
    f->options.answer_bytes_max = 500;
    (void)node_saying(f, RESULT("[" NODE_LOG_0 "]"));
    assert_int_equal(ask_logs(f, &filter, &count), ERR_LIMIT);
}

/* ---- receipts -------------------------------------------------------------------------------- */

static struct hash receipt_tx(void)
{
    struct hash h;
    assert_int_equal(
        hash_parse(slice_text("0x3b7b97ffa6e48848a66c667fb5f3b22505cc43b9f9d8c42b4341af8297b072e7"),
                   &h),
        OK);
    return h;
}

static void test_receipts(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT("null")},
               {.body = "[{\"jsonrpc\":\"2.0\",\"id\":$1,\"result\":null},"
                        "{\"jsonrpc\":\"2.0\",\"id\":$0,\"result\":" NODE_RECEIPT "}]"});
    fixture_pool(f);
    struct hash txs[2] = {receipt_tx(), {{1}}};
    struct evm_receipt receipts[2];
    bool found[2] = {true, true};
    assert_int_equal(rpc_receipt(f->pool, &f->arena, txs, receipts, found, &f->why), OK);
    assert_false(found[0]);
    assert_int_equal(rpc_receipts(f->pool, &f->arena, txs, 2, receipts, found, &f->why), OK);
    assert_true(found[0]);
    assert_false(found[1]);
    assert_true(receipts[0].succeeded);
    assert_int_equal(receipts[0].log_count, 2);
    assert_int_equal(receipts[0].gas_used, 0x5a7c);
}

static void test_receipts_of_others(void **state)
{
    struct fixture *f = *state;
    static const char *const lies[][2] = {
        /* "]," ends the logs: what follows is the receipt's own */
        {"\",\"transactionHash\":\"0x3b", "\",\"transactionHash\":\"0x3c"},
        {"\"logIndex\":\"0x0\"", "\"logIndex\":\"0x1\""},
        {"\"blockNumber\":\"0x2\"", "\"blockNumber\":\"0x3\""},
        {"\"blockHash\":\"0xf3", "\"blockHash\":\"0xf4"},
        {"\"transactionIndex\":\"0x0\"", "\"transactionIndex\":\"0x1\""},
        {"\"removed\":false", "\"removed\":true"},
        {"\"status\":\"0x1\"", "\"status\":\"0x2\""},
    };
    f->options.attempts_max = 1;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        (void)node_saying(f, fixture_answer(f, NODE_RECEIPT, lies[i][0], lies[i][1]));
        fixture_pool(f);
        struct hash tx = receipt_tx();
        struct evm_receipt receipt;
        bool found = false;
        assert_int_equal(rpc_receipt(f->pool, &f->arena, &tx, &receipt, &found, &f->why),
                         ERR_NODE_RESPONSE);
        assert_false(found);
        again(f);
    }
    (void)node_saying(f, RESULT(NODE_RECEIPT));
    fixture_pool(f);
    struct hash tx = {{2}};
    struct evm_receipt receipt;
    bool found = false;
    assert_int_equal(rpc_receipt(f->pool, &f->arena, &tx, &receipt, &found, &f->why),
                     ERR_NODE_RESPONSE);
}

/* ---- running code ---------------------------------------------------------------------------- */

static void test_eth_call(void **state)
{
    struct fixture *f = *state;
    struct script_server *node =
        NODE(f, {.body = RESULT("\"0x2a\"")},
             {.body = ERROR("{\"code\":3,\"message\":\"execution reverted\","
                            "\"data\":\"0xdeadbeef\"}")});
    fixture_pool(f);
    struct address to = {{0xaa}};
    struct slice out = SLICE_EMPTY;
    struct slice revert = SLICE_EMPTY;
    uint64_t block = 255;
    assert_int_equal(rpc_eth_call(f->pool, &f->arena, RPC_ANY, &account, &to, SLICE_LIT("\x01\x02"),
                                  &block, &out, &revert, &f->why),
                     OK);
    assert_int_equal(out.len, 1);
    assert_int_equal(out.ptr[0], 0x2a);
    char last[4096];
    script_last(node, last, sizeof(last));
    assert_non_null(strstr(last,
                           "\"params\":[{\"from\":\"0x5fbdb20000000000000000000000000000000000\","
                           "\"to\":\"0xaa00000000000000000000000000000000000000\","
                           "\"data\":\"0x0102\"},\"0xff\"]"));
    assert_int_equal(rpc_eth_call(f->pool, &f->arena, RPC_ANY, NULL, &to, SLICE_EMPTY, NULL, &out,
                                  &revert, &f->why),
                     ERR_REVERTED);
    assert_int_equal(revert.len, 4);
    assert_memory_equal(revert.ptr, "\xde\xad\xbe\xef", 4);
    script_last(node, last, sizeof(last));
    assert_non_null(
        strstr(last, "[{\"to\":\"0xaa00000000000000000000000000000000000000\"},\"latest\"]"));
}

static void test_estimate_gas(void **state)
{
    struct fixture *f = *state;
    struct script_server *node = NODE(
        f, {.body = RESULT("\"0x5208\"")},
        {.body = ERROR("{\"code\":-32000,\"message\":\"execution reverted\"}")},
        {.body = ERROR("{\"code\":-32000,\"message\":\"gas required exceeds allowance (7)\"}")});
    fixture_pool(f);
    uint64_t gas = 0;
    struct slice revert = SLICE_EMPTY;
    assert_int_equal(rpc_estimate_gas(f->pool, &f->arena, &account, NULL,
                                      wei_of(u256_from_u64(256)), SLICE_LIT("\xfe"), &gas, &revert,
                                      &f->why),
                     OK);
    assert_int_equal(gas, 21000);
    char last[4096];
    script_last(node, last, sizeof(last));
    assert_non_null(strstr(last,
                           "\"params\":[{\"from\":\"0x5fbdb20000000000000000000000000000000000\","
                           "\"value\":\"0x100\",\"data\":\"0xfe\"}]"));
    static const enum err rest[] = {ERR_REVERTED, ERR_NODE_ERROR};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(rpc_estimate_gas(f->pool, &f->arena, &account, &account, wei_of(U256_ZERO),
                                          SLICE_EMPTY, &gas, &revert, &f->why),
                         rest[i]);
        assert_int_equal(gas, 21000);
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

/* keccak256 of the three bytes "abc", from the Keccak team's known answers. */
#define ABC_HASH "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"

static void test_send_raw(void **state)
{
    struct fixture *f = *state;
    struct script_server *node =
        NODE(f, {.body = RESULT("\"0x" ABC_HASH "\"")},
             {.body = ERROR("{\"code\":-32000,\"message\":\"already known\"}")},
             {.body = ERROR("{\"code\":-32000,\"message\":\"nonce too low\"}")});
    fixture_pool(f);
    assert_int_equal(rpc_send_raw(f->pool, SLICE_LIT("abc"), &f->why), OK);
    char last[4096];
    script_last(node, last, sizeof(last));
    assert_non_null(strstr(last, "\"eth_sendRawTransaction\",\"params\":[\"0x616263\"]"));
    assert_int_equal(rpc_send_raw(f->pool, SLICE_LIT("abc"), &f->why), OK);
    assert_int_equal(f->why.text[0], '\0');
    assert_int_equal(rpc_send_raw(f->pool, SLICE_LIT("abc"), &f->why), ERR_NODE_ERROR);
    assert_int_equal(rpc_send_verdict(ERR_NODE_ERROR, &f->why), RPC_NONCE_TOO_LOW);
}

static void test_send_that_was_taken_before_the_time_was_over(void **state)
{
    struct fixture *f = *state;
    f->options.timeout_usec = 200000;
    struct script_server *node =
        NODE(f, {.mode = SCRIPT_SILENCE, .body = ""},
             {.body = ERROR("{\"code\":-32000,\"message\":\"already known\"}")});
    fixture_pool(f);
    assert_int_equal(rpc_send_raw(f->pool, SLICE_LIT("abc"), &f->why), OK);
    assert_int_equal(script_requests(node), 2);
}

static void test_send_answered_with_another_hash(void **state)
{
    struct fixture *f = *state;
    f->options.attempts_max = 1;
    (void)node_saying(
        f, RESULT("\"0x0000000000000000000000000000000000000000000000000000000000000001\""));
    fixture_pool(f);
    assert_int_equal(rpc_send_raw(f->pool, SLICE_LIT("abc"), &f->why), ERR_NODE_RESPONSE);
    assert_int_equal(rpc_send_verdict(ERR_NODE_RESPONSE, &f->why), RPC_TRY_AGAIN);
}

static void test_send_many(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = "[{\"jsonrpc\":\"2.0\",\"id\":$0,\"result\":\"0x" ABC_HASH "\"},"
                           "{\"jsonrpc\":\"2.0\",\"id\":$1,\"error\":{\"code\":-32000,"
                           "\"message\":\"replacement transaction underpriced\"}},"
                           "{\"jsonrpc\":\"2.0\",\"id\":$2,\"error\":{\"code\":-32000,"
                           "\"message\":\"already known\"}}]"});
    fixture_pool(f);
    struct slice raws[3] = {SLICE_LIT("abc"), SLICE_LIT("def"), SLICE_LIT("ghi")};
    enum rpc_verdict verdicts[3];
    struct why each[3] = {0};
    assert_int_equal(rpc_send_many(f->pool, &f->arena, raws, 3, verdicts, each, &f->why), OK);
    assert_int_equal(verdicts[0], RPC_SENT);
    assert_int_equal(verdicts[1], RPC_UNDERPRICED);
    assert_non_null(strstr(each[1].text, "underpriced"));
    assert_int_equal(verdicts[2], RPC_SENT);
    assert_int_equal(each[2].text[0], '\0');
}

/* ---- fees ------------------------------------------------------------------------------------ */

#define OBJECT(id, member) "{\"jsonrpc\":\"2.0\",\"id\":" id "," member "}"
#define HISTORY(text) OBJECT("$0", "\"result\":" text)
#define NO_METHOD "\"error\":{\"code\":-32601,\"message\":\"no such method\"}"

/* with_block puts the recorded block with one change between the other answers. */
static const char *fee_answers(struct fixture *f, const char *history, const char *from,
                               const char *to, const char *price, const char *priority)
{
    const char *block = (const char *)slice_format(&f->arena, "%s", NODE_BLOCK).ptr;
    const char *at = strstr(block, from);
    assert_non_null(at);
    return (const char *)slice_format(
               &f->arena,
               "[{\"jsonrpc\":\"2.0\",\"id\":$0,%s},{\"jsonrpc\":\"2.0\",\"id\":$1,\"result\":%.*s%"
               "s%s},"
               "{\"jsonrpc\":\"2.0\",\"id\":$2,%s},{\"jsonrpc\":\"2.0\",\"id\":$3,%s}]",
               history, (int)(at - block), block, to, at + strlen(from), price, priority)
        .ptr;
}

static void assert_wei(struct wei_amount wei, uint64_t expected)
{
    assert_true(u256_equal(wei_raw(wei), u256_from_u64(expected)));
}

static void test_fees(void **state)
{
    struct fixture *f = *state;
    static const char price[] = "\"result\":\"0x3e8\"";           /* 1000 */
    static const char priority[] = "\"result\":\"0x7\"";          /* 7 */
    static const char fee[] = "\"baseFeePerGas\":\"0x342ecd20\""; /* 875,482,400 */
    static const char used_to_fee[] =
        "\"gasUsed\":\"0x5a7c\",\"timestamp\":\"0x6553f100\",\"extraData\":\"0x\",\"mixHash\":"
        "\"0x2d1769d7285f0143351dde4b3a42e3b517ab88351c1df3378b250fd8e13ffdbd\",\"nonce\":"
        "\"0x0000000000000000\",\"baseFeePerGas\":\"0x342ecd20\"";
    static const char used[] = "\"gasUsed\":\"0x5a7c\"";
    const struct {
        const char *history;
        const char *from;
        const char *to;
        const char *price;
        const char *priority;
        bool eip1559;
        uint64_t base;
        uint64_t tip;
    } rows[] = {
        /* The node's own next base fee; the median of 1, 3, 9 without the empty block. */
        {"\"result\":{\"baseFeePerGas\":[\"0x64\",\"0x65\",\"0x66\"],"
         "\"reward\":[[\"0x9\"],[\"0x1\"],[\"0x0\"],[\"0x3\"]]}",
         "", "", price, priority, true, 0x66, 3},
        /* No rewards: the node's suggestion. */
        {"\"result\":{\"baseFeePerGas\":[\"0x64\",\"0x66\"],\"reward\":[[\"0x0\"]]}", "", "", price,
         priority, true, 0x66, 7},
        {"\"result\":{\"baseFeePerGas\":[\"0x64\",\"0x66\"]}", "", "", price, priority, true, 0x66,
         7},
        /* No suggestion either: what the gas price leaves above the base fee. */
        {"\"result\":{\"baseFeePerGas\":[\"0x64\",\"0x66\"]}", "", "", price, NO_METHOD, true, 0x66,
         1000 - 0x66},
        /* No history: by EIP-1559 from the header. Nearly empty block (23,164 of 15,000,000 gas):
         * 875,482,400 - 875,482,400 * 14,976,836 / 15,000,000 / 8 = 766,216,098. */
        {NO_METHOD, "", "", price, priority, true, 766216098, 7},
        /* A full block (30,000,000): an eighth more. */
        {NO_METHOD, used, "\"gasUsed\":\"0x1c9c380\"", price, priority, true, 984917700, 7},
        /* Exactly half full: the same. */
        {NO_METHOD, used, "\"gasUsed\":\"0xe4e1c0\"", price, priority, true, 875482400, 7},
        /* One gas above half: an eighth of 58, rounded down. */
        {NO_METHOD, used, "\"gasUsed\":\"0xe4e1c1\"", price, priority, true, 875482407, 7},
        /* A base fee so small that this would be nothing rises by one all the same. */
        {NO_METHOD, used_to_fee,
         "\"gasUsed\":\"0xe4e1c1\",\"timestamp\":\"0x1\",\"baseFeePerGas\":\"0x5\"", price,
         priority, true, 6, 7},
        /* A chain without base fees. */
        {NO_METHOD, fee, "\"noFee\":1", price, NO_METHOD, false, 0, 0},
        {"\"result\":{\"baseFeePerGas\":[],\"oldestBlock\":\"0x0\"}", fee, "\"noFee\":1", price,
         NO_METHOD, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)node_saying(f, fee_answers(f, rows[i].history, rows[i].from, rows[i].to,
                                         rows[i].price, rows[i].priority));
        fixture_pool(f);
        struct rpc_fees fees;
        enum err e = rpc_fees_read(f->pool, &fees, &f->why);
        if (e != OK) {
            print_error("row %zu: %s\n", i, f->why.text);
        }
        assert_int_equal(e, OK);
        assert_int_equal(fees.eip1559, rows[i].eip1559);
        assert_wei(fees.base_fee_next, rows[i].base);
        assert_wei(fees.priority, rows[i].tip);
        assert_wei(fees.gas_price, 1000);
        again(f);
    }
}

static void test_fees_that_cannot_be_known(void **state)
{
    struct fixture *f = *state;
    f->options.attempts_max = 1;
    static const char fee[] = "\"baseFeePerGas\":\"0x342ecd20\"";
    struct rpc_fees fees;
    (void)node_saying(f, fee_answers(f, NO_METHOD, fee, "\"noFee\":1", NO_METHOD, NO_METHOD));
    fixture_pool(f);
    assert_int_equal(rpc_fees_read(f->pool, &fees, &f->why), ERR_NODE_ERROR);
    again(f);
    (void)node_saying(f, fee_answers(f, NO_METHOD, "\"gasLimit\":\"0x1c9c380\"", "\"gasLimit\":-1",
                                     "\"result\":\"0x1\"", NO_METHOD));
    fixture_pool(f);
    assert_int_equal(rpc_fees_read(f->pool, &fees, &f->why), ERR_NODE_RESPONSE);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_block_number),
        TEST(test_balance_up_to_256_bits),
        TEST(test_nonce_and_code),
        TEST(test_wrong_answer_is_asked_elsewhere),
        TEST(test_header),
        TEST(test_headers_that_lie),
        TEST(test_header_that_cannot_be_verified_is_counted),
        TEST(test_missing_headers),
        TEST(test_logs),
        TEST(test_logs_that_were_not_asked),
        TEST(test_a_refused_range_asks_for_less),
        TEST(test_receipts),
        TEST(test_receipts_of_others),
        TEST(test_eth_call),
        TEST(test_estimate_gas),
        TEST(test_send_raw),
        TEST(test_send_that_was_taken_before_the_time_was_over),
        TEST(test_send_answered_with_another_hash),
        TEST(test_send_many),
        TEST(test_fees),
        TEST(test_fees_that_cannot_be_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
