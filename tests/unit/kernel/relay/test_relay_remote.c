/*
 * What a remote signer says at the start and when it signs, well and badly. That what it signs is
 * right is shown with ethers as the signer, in tests/api/signer.test.mjs.
 */
#include "kernel/relay/relay_remote.h"
#include "support/script_server.c"
#include "unit/test.h"

#include "kernel/evm/address.h"
#include "kernel/net/http_client.h"

/* The public keys of the private keys 1 (the generator of the curve, SEC 2) and 2, by ethers. */
#define KEY_1                                                                                      \
    "0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"                           \
    "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
#define KEY_2                                                                                      \
    "0xc6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"                           \
    "1ae168fea63dc339a3c58419466ceaeef7f632653266d0e1236431a950cfe52a"
#define ADDRESS_1 "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
#define ADDRESS_2 "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"

static enum err open_remote(enum relay_remote_api api, const char *body, int status,
                            const char *wanted, struct relay_remote **out, struct why *why)
{
    struct script_step step = {.body = body, .status = status};
    struct script_server *server = script_start(&step, 1, NULL);
    struct address address;
    struct relay_remote_options options = {
        .url = script_url(server), .api = api, .timeout_usec = 5000000};
    if (wanted != NULL) {
        assert_int_equal(address_parse(slice_text(wanted), &address), OK);
        options.wanted = &address;
        options.wanted_count = 1;
    }
    enum err e = relay_remote_new(&options, out, why);
    script_stop(server);
    return e;
}

static void assert_address(struct relay_signer signer, const char *text)
{
    struct address address;
    assert_int_equal(address_parse(slice_text(text), &address), OK);
    assert_true(address_equal(&signer.address, &address));
}

static void keys_become_addresses(void **state)
{
    (void)state;
    struct relay_remote *remote = NULL;
    struct why why = {0};
    assert_int_equal(
        open_remote(RELAY_REMOTE_SIGN, "[\"" KEY_1 "\",\"" KEY_2 "\"]", 200, NULL, &remote, &why),
        OK);
    assert_int_equal(relay_remote_count(remote), 2);
    assert_address(relay_remote_signer(remote, 0), ADDRESS_1);
    assert_address(relay_remote_signer(remote, 1), ADDRESS_2);
    relay_remote_free(remote);
    assert_int_equal(open_remote(RELAY_REMOTE_SIGN, "[\"" KEY_1 "\",\"" KEY_2 "\"]", 200, ADDRESS_2,
                                 &remote, &why),
                     OK);
    assert_int_equal(relay_remote_count(remote), 1);
    assert_address(relay_remote_signer(remote, 0), ADDRESS_2);
    relay_remote_free(remote);
    assert_int_equal(open_remote(RELAY_REMOTE_TRANSACTION,
                                 "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[\"" ADDRESS_1 "\"]}",
                                 200, NULL, &remote, &why),
                     OK);
    assert_address(relay_remote_signer(remote, 0), ADDRESS_1);
    relay_remote_free(remote);
}

static void what_makes_no_sense_is_said_at_the_start(void **state)
{
    (void)state;
    static const struct {
        enum relay_remote_api api;
        const char *body;
        int status;
        const char *wanted;
        enum err e;
        const char *words;
    } rows[] = {
        {RELAY_REMOTE_SIGN, "[]", 200, NULL, ERR_UNKNOWN_WALLET, "has no keys"},
        {RELAY_REMOTE_SIGN, "[\"" KEY_1 "\"]", 200, ADDRESS_2, ERR_UNKNOWN_WALLET,
         "does not have the key of"},
        {RELAY_REMOTE_SIGN, "[\"0x1234\"]", 200, NULL, ERR_UPSTREAM, "makes no sense"},
        {RELAY_REMOTE_SIGN, "[7]", 200, NULL, ERR_UPSTREAM, "makes no sense"},
        {RELAY_REMOTE_SIGN, "{}", 200, NULL, ERR_UPSTREAM, "makes no sense"},
        {RELAY_REMOTE_SIGN, "<html>", 200, NULL, ERR_UPSTREAM, "makes no sense"},
        {RELAY_REMOTE_SIGN, "", 500, NULL, ERR_UPSTREAM, "status 500"},
        {RELAY_REMOTE_TRANSACTION, "[]", 200, NULL, ERR_UPSTREAM, "makes no sense"},
        {RELAY_REMOTE_TRANSACTION, "{\"error\":{\"code\":-32601,\"message\":\"secret\"}}", 200,
         NULL, ERR_UPSTREAM, "code -32601"},
        {RELAY_REMOTE_TRANSACTION, "{\"result\":\"0x\"}", 200, NULL, ERR_UPSTREAM,
         "makes no sense"},
        {RELAY_REMOTE_TRANSACTION, "{\"result\":[\"0x12\"]}", 200, NULL, ERR_UPSTREAM,
         "makes no sense"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct relay_remote *remote = NULL;
        struct why why = {0};
        enum err e =
            open_remote(rows[i].api, rows[i].body, rows[i].status, rows[i].wanted, &remote, &why);
        if (e != rows[i].e || strstr(why.text, rows[i].words) == NULL || remote != NULL) {
            fail_msg("%zu: %s: %s", i, err_code(e), why.text);
        }
        assert_null(strstr(why.text, "secret"));
    }
}

static enum err sign_with(const char *body, int status, struct why *why)
{
    struct script_step steps[] = {{.body = "[\"" KEY_1 "\"]"}, {.body = body, .status = status}};
    struct script_server *server = script_start(steps, 2, NULL);
    struct relay_remote_options options = {.url = script_url(server), .timeout_usec = 5000000};
    struct relay_remote *remote = NULL;
    assert_int_equal(relay_remote_new(&options, &remote, why), OK);
    struct relay_signer signer = relay_remote_signer(remote, 0);
    struct arena arena;
    struct slice raw = SLICE_EMPTY;
    struct hash hash;
    arena_init(&arena, 0);
    struct tx tx = {.kind = TX_EIP1559, .chain_id = 1, .gas_limit = 21000};
    enum err e = signer.sign(signer.ctx, &arena, &tx, &raw, &hash, why);
    assert_true(e == OK || raw.len == 0);
    arena_free(&arena);
    relay_remote_free(remote);
    script_stop(server);
    return e;
}

#define R "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define LOW_S "0000000000000000000000000000000000000000000000000000000000000001"
#define HIGH_S "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140" /* n - 1 */

static void signatures_are_read_strictly(void **state)
{
    (void)state;
    struct why why = {0};
    if (sign_with("0x" R LOW_S "1b", 200, &why) != OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(sign_with("\"0x" R LOW_S "1c\"\n", 200, &why), OK); /* as JSON */
    assert_int_equal(sign_with("0x" R LOW_S "01", 200, &why), OK);       /* the parity alone */
    assert_int_equal(sign_with("0x" R LOW_S "1d", 200, &why), ERR_SIGNATURE_V);
    assert_int_equal(sign_with("0x" R HIGH_S "1b", 200, &why), ERR_SIGNATURE_HIGH_S);
    assert_int_equal(sign_with("0x" R LOW_S, 200, &why), ERR_UPSTREAM);
    assert_int_equal(sign_with("", 200, &why), ERR_UPSTREAM);
    assert_int_equal(sign_with("no", 404, &why), ERR_UNKNOWN_WALLET);
    assert_int_equal(sign_with("no", 403, &why), ERR_UPSTREAM);
}

int main(void)
{
    net_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_become_addresses),
        cmocka_unit_test(what_makes_no_sense_is_said_at_the_start),
        cmocka_unit_test(signatures_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
