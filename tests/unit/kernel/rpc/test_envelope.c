#include "kernel/rpc/envelope.h"

#include "kernel/base/mem.h"
#include "unit/test.h"

#define BYTES_MAX 100000
#define FIRST_ID 7
#define CALLS 4

struct fixture {
    struct arena arena;
    struct rpc_call calls[CALLS];
    struct rpc_call *list[CALLS];
    enum rpc_shape shape;
    struct why why;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    arena_init(&f->arena, 0);
    for (size_t i = 0; i < CALLS; i++) {
        f->list[i] = &f->calls[i];
        f->calls[i].method = "eth_test";
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(&f->arena);
    mem_free(f);
    return 0;
}

static enum err read_text(struct fixture *f, size_t count, const char *text)
{
    return rpc_envelope_read(&f->arena, slice_text(text), BYTES_MAX, f->list, count, FIRST_ID,
                             &f->shape, &f->why);
}

static void test_writes_an_object_or_an_array(void **state)
{
    struct fixture *f = *state;
    f->calls[1].method = "eth_other";
    f->calls[1].params = SLICE_LIT("[\"0x1\",false]");
    struct buf out;
    buf_init(&out, &f->arena, 0);
    rpc_envelope_write(&out, f->list, 1, 41);
    assert_true(slice_equal_text(
        buf_slice(&out), "{\"jsonrpc\":\"2.0\",\"id\":41,\"method\":\"eth_test\",\"params\":[]}"));
    buf_init(&out, &f->arena, 0);
    rpc_envelope_write(&out, f->list, 2, 41);
    assert_true(slice_equal_text(
        buf_slice(&out),
        "[{\"jsonrpc\":\"2.0\",\"id\":41,\"method\":\"eth_test\",\"params\":[]},"
        "{\"jsonrpc\":\"2.0\",\"id\":42,\"method\":\"eth_other\",\"params\":[\"0x1\",false]}]"));
}

static void test_single_results(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        enum json_type type;
    } rows[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"0x1\"}", JSON_STRING},
        {"  {\"id\":7,\"result\":{\"a\":1},\"jsonrpc\":\"2.0\"}\n", JSON_OBJECT},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":null}", JSON_NULL},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":[],\"error\":null}", JSON_ARRAY},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":null,\"error\":null}", JSON_NULL},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":true,\"usage\":{\"cu\":3}}", JSON_TRUE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(read_text(f, 1, rows[i].text), OK);
        assert_int_equal(f->shape, RPC_SHAPE_ANSWERS);
        assert_int_equal(f->calls[0].err, OK);
        assert_int_equal(f->calls[0].result->type, rows[i].type);
    }
}

static void test_not_json_rpc(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[] = {
        "",
        "\xff\xfe",
        "<html><body>Service is fine</body></html>",
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"0x",
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1}{",
        "\x1f\x8b\x08", /* gzip */
        "null",
        "7",
        "[]",
        "[{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1}]", /* an array for an object */
        "{\"id\":7,\"result\":1}",
        "{\"jsonrpc\":2.0,\"id\":7,\"result\":1}",
        "{\"jsonrpc\":\"1.0\",\"id\":7,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":8,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":6,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":7.0,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":-7,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":18446744073709551623,\"result\":1}", /* 7 modulo 2^64 */
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":8,\"error\":{\"code\":1,\"message\":\"\"}}",
        "{\"jsonrpc\":\"2.0\",\"id\":7}",
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1,\"error\":{\"code\":1,\"message\":\"\"}}",
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":null}",
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":\"no\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1,\"result\":2}", /* which one? */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        f->calls[0].err = ERR_INTERNAL;
        assert_int_equal(read_text(f, 1, rows[i]), ERR_NODE_RESPONSE);
        assert_int_equal(f->calls[0].err, ERR_INTERNAL); /* untouched */
        assert_true(f->why.text[0] != '\0');
    }
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"0x1\"}";
    assert_int_equal(rpc_envelope_read(&f->arena, slice_text(text), sizeof(text) - 1, f->list, 1,
                                       FIRST_ID, &f->shape, NULL),
                     OK);
    assert_int_equal(rpc_envelope_read(&f->arena, slice_text(text), sizeof(text) - 2, f->list, 1,
                                       FIRST_ID, &f->shape, NULL),
                     ERR_NODE_RESPONSE);
    struct buf deep;
    buf_init(&deep, &f->arena, 0);
    buf_add_text(&deep, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":");
    for (int i = 0; i < 1000; i++) {
        buf_add_byte(&deep, '[');
    }
    for (int i = 0; i < 1000; i++) {
        buf_add_byte(&deep, ']');
    }
    buf_add_text(&deep, "}");
    assert_int_equal(rpc_envelope_read(&f->arena, buf_slice(&deep), BYTES_MAX, f->list, 1, FIRST_ID,
                                       &f->shape, NULL),
                     ERR_NODE_RESPONSE);
}

static void test_error_objects(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *error;
        enum err err;
        int64_t code;
    } rows[] = {
        {"{\"code\":-32601,\"message\":\"Method not found\"}", ERR_NODE_ERROR, -32601},
        {"{\"code\":-32000,\"message\":\"nonce too low\",\"data\":null}", ERR_NODE_ERROR, -32000},
        {"{\"code\":-32000,\"message\":\"x\",\"data\":{\"trace\":[]}}", ERR_NODE_ERROR, -32000},
        {"{\"code\":-32000,\"message\":\"x\",\"data\":\"0x\"}", ERR_NODE_ERROR, -32000},
        {"{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0x\"}", ERR_REVERTED, 3},
        {"{\"code\":-32000,\"message\":\"execution reverted\"}", ERR_REVERTED, -32000},
        {"{\"code\":-32015,\"message\":\"VM execution error.\",\"data\":\"Reverted 0x\"}",
         ERR_REVERTED, -32015},
        {"{\"code\":-32015,\"message\":\"VM execution error.\",\"data\":\"Bad instruction\"}",
         ERR_NODE_ERROR, -32015},
        {"{\"code\":429,\"message\":\"Your app has exceeded its capacity\"}", ERR_NODE_RATE_LIMITED,
         429},
        {"{\"code\":-32005,\"message\":\"daily request count exceeded, request rate limited\"}",
         ERR_NODE_RATE_LIMITED, -32005},
        {"{\"code\":-32007,\"message\":\"50/second request limit reached - reduce calls\"}",
         ERR_NODE_RATE_LIMITED, -32007},
        {"{\"code\":-32016,\"message\":\"over Rate Limit\"}", ERR_NODE_RATE_LIMITED, -32016},
        {"{\"code\":-32005,\"message\":\"query returned more than 10000 results\"}", ERR_NODE_ERROR,
         -32005},
        {"{\"message\":\"no code\"}", ERR_NODE_RESPONSE, 0},
        {"{\"code\":\"-32000\",\"message\":\"code is text\"}", ERR_NODE_RESPONSE, 0},
        {"{\"code\":-3.2e4,\"message\":\"code has a fraction\"}", ERR_NODE_RESPONSE, 0},
        {"{\"code\":99999999999999999999,\"message\":\"\"}", ERR_NODE_RESPONSE, 0},
        {"{\"code\":1}", ERR_NODE_RESPONSE, 0},
        {"{}", ERR_NODE_RESPONSE, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[512];
        (void)snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":%s}",
                       rows[i].error);
        assert_int_equal(read_text(f, 1, text), OK);
        assert_int_equal(f->calls[0].err, rows[i].err);
        assert_int_equal(f->calls[0].why.err, rows[i].err);
        assert_int_equal(f->calls[0].error_code, rows[i].code);
        assert_null(f->calls[0].result);
        /* A node that could not read the request does not know its id. */
        (void)snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":%s}",
                       rows[i].error);
        assert_int_equal(read_text(f, 1, text), OK);
        assert_int_equal(f->calls[0].err, rows[i].err);
    }
}

static void test_revert_data_of_many_nodes(void **state)
{
    struct fixture *f = *state;
    /* Error(string) of "Too late", encoded by hand: selector, offset 32, length 8, text. */
#define TOO_LATE                                                                                   \
    "08c379a0"                                                                                     \
    "0000000000000000000000000000000000000000000000000000000000000020"                             \
    "0000000000000000000000000000000000000000000000000000000000000008"                             \
    "546f6f206c617465000000000000000000000000000000000000000000000000"
    static const char *const rows[] = {
        /* geth, reth, erigon, anvil */
        "{\"code\":3,\"message\":\"execution reverted: Too late\",\"data\":\"0x" TOO_LATE "\"}",
        /* besu */
        "{\"code\":-32000,\"message\":\"Execution reverted\",\"data\":\"0x" TOO_LATE "\"}",
        /* openethereum, nethermind */
        "{\"code\":-32015,\"message\":\"VM execution error.\",\"data\":\"Reverted 0x" TOO_LATE
        "\"}",
        /* hardhat */
        "{\"code\":-32603,\"message\":\"VM Exception while "
        "processing\",\"data\":{\"message\":\"x\","
        "\"data\":\"0x" TOO_LATE "\"}}",
        /* in the message, with something behind it */
        "{\"code\":-32000,\"message\":\"call failed: Reverted 0x" TOO_LATE ", gas 7\"}",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[1024];
        (void)snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":%s}", rows[i]);
        assert_int_equal(read_text(f, 1, text), OK);
        assert_int_equal(f->calls[0].err, ERR_REVERTED);
        assert_int_equal(f->calls[0].error_data.len, 100);
        assert_memory_equal(f->calls[0].error_data.ptr, "\x08\xc3\x79\xa0", 4);
        assert_memory_equal(f->calls[0].error_data.ptr + 68, "Too late", 8);
        assert_non_null(strstr(f->calls[0].why.text, "Too late"));
    }
}

static void test_messages_are_made_fit_for_one_line(void **state)
{
    struct fixture *f = *state;
    char text[4096] =
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-1,\"message\":\"a\\nb\\u0000c";
    size_t len = strlen(text);
    for (int i = 0; i < 600; i++) {
        memcpy(text + len, "\xc3\xa9", 2); /* a letter of two bytes */
        len += 2;
    }
    (void)snprintf(text + len, sizeof(text) - len, "\"}}");
    assert_int_equal(read_text(f, 1, text), OK);
    const char *why = f->calls[0].why.text;
    assert_non_null(strstr(why, "a b c\xc3\xa9"));
    assert_non_null(strstr(why, "(code -1)")); /* the code stays, whatever is cut */
    assert_true(slice_is_utf8(slice_text(why)));
}

static void test_batches_in_any_order(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        read_text(f, 3,
                  "[{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":\"c\"},"
                  "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"a\"},"
                  "{\"jsonrpc\":\"2.0\",\"id\":8,\"error\":{\"code\":-32000,\"message\":\"no\"}}]"),
        OK);
    assert_int_equal(f->shape, RPC_SHAPE_ANSWERS);
    assert_int_equal(f->calls[0].err, OK);
    assert_true(slice_equal_text(f->calls[0].result->text, "a"));
    assert_int_equal(f->calls[1].err, ERR_NODE_ERROR);
    assert_int_equal(f->calls[2].err, OK);
    assert_true(slice_equal_text(f->calls[2].result->text, "c"));
}

static void test_batches_with_missing_doubled_and_foreign_answers(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, 4,
                               "[{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"first\"},"
                               "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"other\"},"
                               "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"third\"},"
                               "{\"jsonrpc\":\"2.0\",\"id\":11,\"result\":\"foreign\"},"
                               "{\"jsonrpc\":\"2.0\",\"id\":\"8\",\"result\":\"text id\"},"
                               "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":\"no id\"},"
                               "17,null,[],"
                               "{\"id\":9,\"result\":\"no version\"},"
                               "{\"jsonrpc\":\"2.0\",\"id\":10,\"result\":\"good\"}]"),
                     OK);
    assert_int_equal(f->calls[0].err, ERR_NODE_RESPONSE);
    assert_null(f->calls[0].result);
    assert_non_null(strstr(f->calls[0].why.text, "twice"));
    assert_int_equal(f->calls[1].err, ERR_NODE_RESPONSE);
    assert_non_null(strstr(f->calls[1].why.text, "did not answer"));
    assert_int_equal(f->calls[2].err, ERR_NODE_RESPONSE);
    assert_int_equal(f->calls[3].err, OK);
    assert_true(slice_equal_text(f->calls[3].result->text, "good"));

    assert_int_equal(read_text(f, 2, "[]"), OK);
    assert_int_equal(f->calls[0].err, ERR_NODE_RESPONSE);
    assert_int_equal(f->calls[1].err, ERR_NODE_RESPONSE);
}

static void test_refused_batches(void **state)
{
    struct fixture *f = *state;
    static const char refusal[] =
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"no batches\"}}";
    char text[512];
    assert_int_equal(read_text(f, 2, refusal), OK);
    assert_int_equal(f->shape, RPC_SHAPE_NO_BATCHES);
    (void)snprintf(text, sizeof(text), "[%s]", refusal);
    assert_int_equal(read_text(f, 2, text), OK);
    assert_int_equal(f->shape, RPC_SHAPE_SMALLER_BATCH);

    f->shape = RPC_SHAPE_ANSWERS;
    static const char *const limited[] = {
        "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":429,\"message\":\"slow down\"}}",
        "[{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":429,\"message\":\"slow down\"}}]"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(read_text(f, 2, limited[i]), ERR_NODE_RATE_LIMITED);
        assert_int_equal(f->shape, RPC_SHAPE_ANSWERS);
    }
    static const char *const wrong[] = {"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1}",
                                        "{}",
                                        "null",
                                        "\"text\"",
                                        "[",
                                        "{\"error\":1}"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(read_text(f, 2, wrong[i]), ERR_NODE_RESPONSE);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_writes_an_object_or_an_array),
        TEST(test_single_results),
        TEST(test_not_json_rpc),
        TEST(test_limits),
        TEST(test_error_objects),
        TEST(test_revert_data_of_many_nodes),
        TEST(test_messages_are_made_fit_for_one_line),
        TEST(test_batches_in_any_order),
        TEST(test_batches_with_missing_doubled_and_foreign_answers),
        TEST(test_refused_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
