/* Reads that money is moved by: the same answer from as many nodes as the quorum. */
#include "kernel/base/u256.h"
#include "support/rpc_fixture.c"
#include "unit/test.h"

#define MONEY(method_) ((struct rpc_call){.method = method_})
#define SILENT                                                                                     \
    {                                                                                              \
        .mode = SCRIPT_SILENCE, .body = ""                                                         \
    }

static enum err ask(struct fixture *f, struct rpc_call *c)
{
    if (f->pool == NULL) {
        f->options.quorum = 2;
        f->options.timeout_usec = 60 * (int64_t)USEC_PER_SEC;
        fixture_pool(f);
    }
    return rpc_call_one(f->pool, &f->arena, RPC_MONEY, c, &f->why);
}

static void assert_text(const struct rpc_call *c, const char *text)
{
    assert_int_equal(c->err, OK);
    assert_true(slice_equal_text(c->result->text, text));
}

static int64_t disputes(void)
{
    return fixture_metric(RPC_METRIC_DISPUTES);
}

static void test_as_many_as_the_quorum_are_asked(void **state)
{
    struct fixture *f = *state;
    struct script_server *nodes[3];
    for (int i = 0; i < 3; i++) {
        nodes[i] = NODE(f, {.body = RESULT("\"0x7\"")});
    }
    struct rpc_call c = MONEY("eth_getBalance");
    assert_int_equal(ask(f, &c), OK);
    assert_text(&c, "0x7");
    assert_int_equal(script_requests(nodes[0]), 1);
    assert_int_equal(script_requests(nodes[1]), 1);
    assert_int_equal(script_requests(nodes[2]), 0);
}

static void test_without_a_quorum_one_is_asked(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT("\"0x7\"")});
    struct script_server *second = NODE(f, {.body = RESULT("\"0x8\"")});
    fixture_pool(f);
    struct rpc_call c = MONEY("eth_getBalance");
    assert_int_equal(ask(f, &c), OK);
    assert_text(&c, "0x7");
    assert_int_equal(script_requests(second), 0);
}

static void test_a_third_one_decides(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT("\"0x7000\"")});
    (void)NODE(f, {.body = RESULT("\"0x7\"")});
    (void)NODE(f, {.body = RESULT("\"0x7\"")});
    struct rpc_call c = MONEY("eth_getBalance");
    assert_int_equal(ask(f, &c), OK);
    assert_text(&c, "0x7");
    assert_int_equal(c.served_by, 1);
}

static void test_nodes_that_do_not_agree_are_named(void **state)
{
    struct fixture *f = *state;
    struct script_server *first = NODE(f, {.body = RESULT("\"0x7\"")});
    struct script_server *second = NODE(f, {.body = RESULT("\"0x8\"")});
    int64_t before = disputes();
    struct rpc_call c = MONEY("eth_getBalance");
    assert_int_equal(ask(f, &c), ERR_NODE_UNAVAILABLE);
    assert_null(c.result);
    assert_true(c.disputed);
    assert_non_null(strstr(f->why.text, "answer eth_getBalance differently"));
    assert_non_null(strstr(f->why.text, script_url(first)));
    assert_non_null(strstr(f->why.text, script_url(second)));
    assert_int_equal(script_requests(first), 4);
    assert_int_equal(disputes(), before + 4);
}

/* One had a block that the other did not have yet. */
static void test_what_differs_for_a_moment_is_asked_again(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT("\"0x7\"")}, {.body = RESULT("\"0x8\"")});
    (void)NODE(f, {.body = RESULT("\"0x8\"")});
    struct rpc_call c = MONEY("eth_getBalance");
    assert_int_equal(ask(f, &c), OK);
    assert_text(&c, "0x8");
    assert_false(c.disputed);
}

static void test_a_node_that_fails_is_no_vote(void **state)
{
    static const struct script_step bad[] = {
        {.body = "", .status = 500},
        {.body = "<html>"},
        {.body = ERROR("{\"code\":429,\"message\":\"slow down\"}")},
        {.mode = SCRIPT_RESET, .body = ""},
        SILENT,
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fixture *f = NULL;
        fixture_setup((void **)&f);
        (void)fixture_node(f, &bad[i], 1, CHAIN_HEX);
        (void)NODE(f, {.body = RESULT("\"0x7\"")});
        (void)NODE(f, {.body = RESULT("\"0x7\"")});
        struct rpc_call c = MONEY("eth_getBalance");
        assert_int_equal(ask(f, &c), OK);
        assert_text(&c, "0x7");
        fixture_teardown((void **)&f);
    }
}

static void test_too_few_answer(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = "", .status = 500});
    (void)NODE(f, {.body = RESULT("\"0x7\"")});
    struct rpc_call c = MONEY("eth_getBalance");
    assert_int_equal(ask(f, &c), ERR_NODE_UNAVAILABLE);
    assert_false(c.disputed);
    assert_non_null(strstr(f->why.text, "1 of the nodes of chain 31337 answered"));
}

/* Members in another order, and spaces, are the same. */
static void test_answers_are_compared_as_values(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT("{\"a\":1,\"b\":[2,3]}")});
    (void)NODE(f, {.body = RESULT("{ \"b\" : [2, 3], \"a\":1 }")});
    struct rpc_call c = MONEY("eth_feeHistory");
    assert_int_equal(ask(f, &c), OK);
    assert_int_equal(c.result->type, JSON_OBJECT);
}

/* What a node says of its pool is its own. */
static void test_a_pool_is_of_one_node(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = "[{\"jsonrpc\":\"2.0\",\"id\":$0,\"result\":\"0x5\"},"
                           "{\"jsonrpc\":\"2.0\",\"id\":$1,\"result\":\"0x9\"}]"});
    (void)NODE(f, {.body = "[{\"jsonrpc\":\"2.0\",\"id\":$0,\"result\":\"0x5\"},"
                           "{\"jsonrpc\":\"2.0\",\"id\":$1,\"result\":\"0x6\"}]"});
    f->options.quorum = 2;
    fixture_pool(f);
    struct rpc_call calls[2] = {MONEY("eth_getTransactionCount"), MONEY("eth_getTransactionCount")};
    calls[1].of_pool = true;
    assert_int_equal(rpc_call_many(f->pool, &f->arena, RPC_MONEY, calls, 2, &f->why), OK);
    assert_text(&calls[0], "0x5");
    assert_true(slice_equal_text(calls[1].result->text, "0x9") ||
                slice_equal_text(calls[1].result->text, "0x6"));
}

static void test_reverts_are_answers_too(void **state)
{
    struct fixture *f = *state;
    static const char reverted[] =
        ERROR("{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0x01020304\"}");
    static const char other_words[] =
        ERROR("{\"code\":-32000,\"message\":\"VM: revert\",\"data\":\"0x01020304\"}");
    (void)NODE(f, {.body = reverted});
    (void)NODE(f, {.body = other_words});
    struct rpc_call c = MONEY("eth_call");
    assert_int_equal(ask(f, &c), ERR_REVERTED);
    assert_int_equal(c.error_data.len, 4);
}

/* ---- by the methods that say so ---- */

static void test_balance_and_nonce(void **state)
{
    struct fixture *f = *state;
    struct script_server *first = NODE(f, {.body = RESULT("\"0x7\"")});
    struct script_server *second = NODE(f, {.body = RESULT("\"0x7\"")});
    f->options.quorum = 2;
    fixture_pool(f);
    struct address someone = {{1}};
    struct wei_amount balance;
    uint64_t nonce = 0;
    assert_int_equal(rpc_balance(f->pool, &someone, &balance, &f->why), OK);
    assert_int_equal(rpc_nonce(f->pool, &someone, false, &nonce, &f->why), OK);
    assert_int_equal(nonce, 7);
    assert_int_equal(script_requests(first), 2);
    assert_int_equal(script_requests(second), 2);
    assert_int_equal(rpc_nonce(f->pool, &someone, true, &nonce, &f->why), OK);
    assert_int_equal(script_requests(first), 3);
    assert_int_equal(script_requests(second), 2);
}

#define HASH64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define RECEIPT(status, more)                                                                      \
    "{\"transactionHash\":\"0x" HASH64 "\",\"blockHash\":\"0x" HASH64                              \
    "\",\"blockNumber\":\"0x5\","                                                                  \
    "\"transactionIndex\":\"0x0\",\"from\":\"0x00000000000000000000000000000000000000aa\","        \
    "\"to\":null,\"contractAddress\":null,\"status\":\"" status "\",\"gasUsed\":\"0x5208\","       \
    "\"cumulativeGasUsed\":\"0x5208\",\"effectiveGasPrice\":\"0x1\",\"logs\":[]" more "}"

static enum err receipt(struct fixture *f, struct evm_receipt *out, bool *out_found)
{
    struct hash tx;
    f->options.quorum = 2;
    fixture_pool(f);
    assert_int_equal(hash_parse(SLICE_LIT("0x" HASH64), &tx), OK);
    return rpc_receipt(f->pool, &f->arena, &tx, out, out_found, &f->why);
}

/* Vendors add members; what settles is the same. */
static void test_receipts_of_two_vendors(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT(RECEIPT("0x1", ""))});
    (void)NODE(f, {.body = RESULT(RECEIPT("0x1", ",\"type\":\"0x2\",\"blobGasUsed\":\"0x0\""))});
    struct evm_receipt r;
    bool found = false;
    assert_int_equal(receipt(f, &r, &found), OK);
    assert_true(found);
    assert_true(r.succeeded);
}

static void test_a_receipt_that_one_node_has_settles_nothing(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT(RECEIPT("0x1", ""))});
    struct script_server *second = NODE(f, {.body = RESULT("null")});
    struct evm_receipt r;
    bool found = true;
    assert_int_equal(receipt(f, &r, &found), OK);
    assert_false(found);
    assert_int_equal(script_requests(second), 1); /* and holds nobody up */
}

static void test_a_receipt_with_another_outcome_settles_nothing(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT(RECEIPT("0x1", ""))});
    (void)NODE(f, {.body = RESULT(RECEIPT("0x0", ""))});
    struct evm_receipt r;
    bool found = true;
    assert_int_equal(receipt(f, &r, &found), OK);
    assert_false(found);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_as_many_as_the_quorum_are_asked),
        TEST(test_without_a_quorum_one_is_asked),
        TEST(test_a_third_one_decides),
        TEST(test_nodes_that_do_not_agree_are_named),
        TEST(test_what_differs_for_a_moment_is_asked_again),
        cmocka_unit_test(test_a_node_that_fails_is_no_vote),
        TEST(test_too_few_answer),
        TEST(test_answers_are_compared_as_values),
        TEST(test_a_pool_is_of_one_node),
        TEST(test_reverts_are_answers_too),
        TEST(test_balance_and_nonce),
        TEST(test_receipts_of_two_vendors),
        TEST(test_a_receipt_that_one_node_has_settles_nothing),
        TEST(test_a_receipt_with_another_outcome_settles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
