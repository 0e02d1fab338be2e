#include "kernel/rpc/stream.h"

#include "unit/test.h"

#define HASH "0x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HEAD(result)                                                                               \
    "{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\",\"params\":{\"subscription\":\"0x1a\","  \
    "\"result\":" result "}}"

struct message_case {
    const char *text;
    bool good;
    bool is_answer;
    uint64_t number;
};

static void messages(void **state)
{
    static const struct message_case cases[] = {
        {HEAD("{\"number\":\"0x1b4\",\"hash\":\"" HASH "\",\"more\":[]}"), true, false, 436},
        {HEAD("{\"hash\":\"" HASH "\",\"number\":\"0x0\"}"), true, false, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x1\"}", true, true, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1}}", true, true, 0},
        {HEAD("{\"number\":436,\"hash\":\"" HASH "\"}"), false, false, 0},
        {HEAD("{\"number\":\"0x10000000000000000\",\"hash\":\"" HASH "\"}"), false, false, 0},
        {HEAD("{\"number\":\"0x1\",\"hash\":\"0x12\"}"), false, false, 0},
        {HEAD("{\"number\":\"0x1\"}"), false, false, 0},
        {HEAD("null"), false, false, 0},
        {HEAD("[]"), false, false, 0},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"eth_other\",\"params\":{}}", false, false, 0},
        {"{\"jsonrpc\":\"2.0\",\"method\":7}", false, false, 0},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\"}", false, false, 0},
        {"{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":1}", false, false, 0},
        {"[]", false, false, 0},
        {"", false, false, 0},
        {"{", false, false, 0},
        {"{\"jsonrpc\":\"2.0\"}{}", false, false, 0},
    };
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rpc_stream_message m = {.number = 77};
        struct why why = {0};
        enum err e = rpc_stream_message_read(&arena, slice_text(cases[i].text), &m, &why);
        assert_int_equal(e, cases[i].good ? OK : ERR_NODE_RESPONSE);
        if (e != OK) {
            assert_int_equal(m.number, 77);
            assert_int_equal(why.err, e);
            continue;
        }
        assert_int_equal(m.is_answer, cases[i].is_answer);
        if (!m.is_answer) {
            assert_int_equal(m.number, cases[i].number);
            assert_int_equal(m.hash.bytes[1], 0x11);
            assert_true(slice_equal_text(m.subscription, "0x1a"));
        }
    }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
