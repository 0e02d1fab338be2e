/*
 * Answers of a hostile node: each is refused by name, the next node is asked, and what was there
 * before is as it was. Alone, such a node makes the call fail with the same name.
 */
#include "support/rpc_fixture.c"
#include "unit/kernel/rpc/node_vectors.h"
#include "unit/test.h"

#define ZEROS64 "0000000000000000000000000000000000000000000000000000000000000000"
#define DIGITS64 "9999999999999999999999999999999999999999999999999999999999999999"

static const struct address someone = {{0xaa}};

/* ---- what is asked ---- */

static enum err ask_number(struct fixture *f)
{
    uint64_t number = 0;
    return rpc_block_number(f->pool, &number, &f->why);
}

static enum err ask_balance(struct fixture *f)
{
    struct wei_amount balance;
    return rpc_balance(f->pool, &someone, &balance, &f->why);
}

static enum err ask_code(struct fixture *f)
{
    struct slice code;
    return rpc_code(f->pool, &f->arena, &someone, &code, &f->why);
}

static enum err ask_slot(struct fixture *f)
{
    struct hash slot = {{0}};
    return rpc_storage(f->pool, &f->arena, &someone, &slot, &slot, &f->why);
}

static enum err ask_call(struct fixture *f)
{
    struct slice out = SLICE_EMPTY;
    struct slice revert = SLICE_EMPTY;
    return rpc_eth_call(f->pool, &f->arena, RPC_MONEY, NULL, &someone, SLICE_EMPTY, NULL, &out,
                        &revert, &f->why);
}

static enum err ask_receipt(struct fixture *f)
{
    struct hash tx;
    struct evm_receipt receipt;
    bool found = false;
    assert_int_equal(hash_parse(SLICE_LIT("0x3b7b97ffa6e48848a66c667fb5f3b22505cc43b9f9d8c42b4341"
                                          "af8297b072e7"),
                                &tx),
                     OK);
    return rpc_receipt(f->pool, &f->arena, &tx, &receipt, &found, &f->why);
}

static enum err ask_logs(struct fixture *f)
{
    const struct rpc_log_filter filter = {.from_block = 2, .to_block = 2};
    struct evm_log *logs = NULL;
    size_t count = 0;
    return rpc_logs(f->pool, &f->arena, &filter, &logs, &count, &f->why);
}

static enum err ask_header(struct fixture *f)
{
    struct evm_header header;
    return rpc_header(f->pool, &f->arena, 2, &header, &f->why);
}

/* A result with the first `from` in it replaced, beside the right one. */
struct row {
    const char *what;
    enum err (*ask)(struct fixture *f);
    const char *right;
    const char *from;
    const char *to;
};

static const struct row rows[] = {
    {"a number of 65 bits", ask_number, "\"0x5\"", "0x5", "0x10000000000000000"},
    {"a number that is none", ask_number, "\"0x5\"", "\"0x5\"", "{\"number\":5}"},
    {"a balance of 257 bits", ask_balance, "\"0x5\"", "0x5", "0x1" ZEROS64},
    {"a balance of thousands of digits", ask_balance, "\"0x5\"", "0x5",
     "0x" DIGITS64 DIGITS64 DIGITS64 DIGITS64 DIGITS64 DIGITS64 DIGITS64 DIGITS64},
    {"a balance as a decimal", ask_balance, "\"0x5\"", "\"0x5\"", "5e3"},
    {"a negative balance", ask_balance, "\"0x5\"", "0x5", "-0x5"},
    {"code with half a byte", ask_code, "\"0x6001\"", "6001", "600"},
    {"code that is not hex", ask_code, "\"0x6001\"", "6001", "60zz"},
    {"a slot cut short", ask_slot, "\"0x" ZEROS64 "\"", "00000000", "000000"},
    {"a slot too long", ask_slot, "\"0x" ZEROS64 "\"", "00000000", "0000000000"},
    {"a result with half a byte", ask_call, "\"0x" ZEROS64 "\"", "00", "0"},
    {"a result that is a list", ask_call, "\"0x\"", "\"0x\"", "[\"0x\"]"},
    {"a receipt with a status beyond one", ask_receipt, NODE_RECEIPT, "\"status\":\"0x1\"",
     "\"status\":\"0x2\""},
    {"a receipt with gas beyond 64 bits", ask_receipt, NODE_RECEIPT, "\"gasUsed\":\"0x5a7c\"",
     "\"gasUsed\":\"0x1" ZEROS64 "\""},
    {"a receipt that is text", ask_receipt, NODE_RECEIPT, NODE_RECEIPT, "\"mined\""},
    {"a receipt with logs that are none", ask_receipt, NODE_RECEIPT, "\"logs\":[", "\"logs\":[7,"},
    {"a log with five topics", ask_logs, "[" NODE_LOG_0 "]", "\"topics\":[",
     "\"topics\":[\"0x" ZEROS64 "\",\"0x" ZEROS64 "\",\"0x" ZEROS64 "\","},
    {"a log with a topic cut short", ask_logs, "[" NODE_LOG_0 "]", "\"topics\":[\"0x00",
     "\"topics\":[\"0x"},
    {"a log with half a byte of data", ask_logs, "[" NODE_LOG_0 "]", "\"data\":\"0x0",
     "\"data\":\"0x"},
    {"a log with an index beyond 32 bits", ask_logs, "[" NODE_LOG_0 "]", "\"logIndex\":\"0x0\"",
     "\"logIndex\":\"0x100000000\""},
    {"a log of a block beyond 64 bits", ask_logs, "[" NODE_LOG_0 "]", "\"blockNumber\":\"0x2\"",
     "\"blockNumber\":\"0x10000000000000002\""},
    {"a header with a time beyond all", ask_header, NODE_BLOCK, "\"timestamp\":\"0x6553f100\"",
     "\"timestamp\":\"0xffffffffffffffff\""},
    {"a header with a bloom cut short", ask_header, NODE_BLOCK, "\"logsBloom\":\"0x00",
     "\"logsBloom\":\"0x"},
    {"a header with a fee beyond 256 bits", ask_header, NODE_BLOCK,
     "\"baseFeePerGas\":\"0x342ecd20\"", "\"baseFeePerGas\":\"0x1" ZEROS64 "\""},
};

static void test_what_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        struct fixture *f = NULL;
        fixture_setup((void **)&f);
        f->options.attempts_max = 2;
        const char *bad = fixture_answer(f, r->right, r->from, r->to);
        const char *good = fixture_answer(f, r->right, "", "");
        struct script_server *first = fixture_node(f, STEPS({.body = bad}), 1, CHAIN_HEX);
        struct script_server *second =
            fixture_node(f, STEPS({.body = good}, {.body = bad}), 2, CHAIN_HEX);
        fixture_pool(f);
        enum err e = r->ask(f);
        if (e != OK || script_requests(first) != 1 || script_requests(second) != 1) {
            fail_msg("%s: %s", r->what, why_text(&f->why, e));
        }
        e = r->ask(f); /* the first cools down, and the second lies now too */
        if (e != ERR_NODE_RESPONSE && e != ERR_NODE_LIED) {
            fail_msg("%s: %s", r->what, why_text(&f->why, e));
        }
        assert_true(f->why.text[0] != '\0');
        fixture_teardown((void **)&f);
    }
}

/* A list as deep as the parser of any language would fall over is refused, and costs no stack. */
static void test_depth_is_bounded(void **state)
{
    struct fixture *f = *state;
    char *deep = arena_alloc(&f->arena, 200001);
    memset(deep, '[', 100000);
    memset(deep + 100000, ']', 100000);
    f->options.answer_bytes_max = 1000000;
    f->options.attempts_max = 1;
    (void)fixture_node(f, STEPS({.body = fixture_answer(f, deep, "", "")}), 1, CHAIN_HEX);
    fixture_pool(f);
    assert_int_equal(ask_number(f), ERR_NODE_RESPONSE);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_refused),
        TEST(test_depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
