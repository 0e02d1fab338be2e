#include "domain/channels/channels.h"

#include "unit/support.h"
#include "unit/vectors.h"

#define NOW (INT64_C(1800000000) * USEC_PER_SEC)
#define ESCROW "0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003"
#define WALLET "0x90F79bf6EB2c4f870365E785982E1f101E93b906"

static struct support_store support;
static struct arena arena;

static struct channels *made(const char *escrow, const char *authorizer)
{
    struct channels_config config = {.escrow = escrow,
                                     .authorizer = authorizer,
                                     .watch_usec = 1,
                                     .claim_usec = 2,
                                     .settle_usec = 3,
                                     .claims_max = 10};
    struct channels_options options = {.config = &config, .chain_id = 31337};
    struct channels *c = NULL;
    struct why why = {0};
    if (channels_new(&options, &c, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return c;
}

static void test_without_an_escrow_nothing_runs(void **state)
{
    size_t count = 1;
    struct channels *c = made("", "");
    assert_int_equal(channels_job_table(c).cron_count, 0);
    (void)channels_policies(c, &count);
    assert_int_equal(count, 0);
    channels_free(c);
    /* To look at: the kinds are there, and are never enqueued. */
    assert_int_equal(channels_job_table(NULL).kind_count, 3);
    assert_int_equal(channels_job_table(NULL).cron_count, 0);
}

static void test_addresses_are_needed(void **state)
{
    struct channels_config config = {.escrow = ESCROW, .authorizer = ""};
    struct channels_options options = {.config = &config, .chain_id = 31337};
    struct channels *c = NULL;
    struct why why = {0};
    assert_int_equal(channels_new(&options, &c, &why), ERR_CONFIG);
    assert_string_equal(why.field, "channels.authorizer");
    config.escrow = "0x4020";
    assert_int_equal(channels_new(&options, &c, &why), ERR_CONFIG);
    assert_string_equal(why.field, "channels.escrow");
    assert_null(c);
}

static void test_the_wallet_may_claim_and_settle_at_the_escrow_only(void **state)
{
    size_t count = 0;
    struct channels *c = made(ESCROW, WALLET);
    struct address escrow = vector_address(ESCROW);
    const struct relay_policy *p = channels_policies(c, &count);
    assert_int_equal(count, CHANNELS_POLICIES);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(p[i].role, CHANNELS_ROLE);
        assert_true(address_equal(p[i].address, &escrow));
        assert_false(p[i].payable);
    }
    assert_string_equal(p[0].function->name, "claim");
    assert_string_equal(p[1].function->name, "settle");
    assert_string_equal(p[2].function->name, "deposit");
    assert_string_equal(p[3].function->name, "refund");
    struct job_table table = channels_job_table(c);
    assert_int_equal(table.cron_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(table.crons[i].every_usec, i + 1);
    }
    channels_free(c);
}

/* ---- what the relay tells ---- */

struct told {
    struct channels *c;
    struct relay_row row;
    struct x402_escrow escrow;
    struct x402_channel channel;
    struct x402_channel_row out;
};

/* begin has a channel of 500 units, of which 100 were charged, and a claim of it under way. */
static enum err begin(struct store_tx *tx, void *ctx, struct why *why)
{
    struct told *t = ctx;
    struct x402_channel_state chain = {.balance = u256_from_u64(500)};
    struct x402_batch_offer offer = {.escrow = t->escrow, .amount = u256_from_u64(100)};
    struct x402_batch_payment payment = {.type = X402_BATCH_VOUCHER,
                                         .channel = t->channel,
                                         .channel_id = x402_channel_id(&t->escrow, &t->channel),
                                         .claimable = u256_from_u64(100)};
    struct x402_channel_request r = {
        .offer = &offer, .payment = &payment, .now_usec = NOW, .fresh_usec = 1};
    struct x402_claim_filter filter = {
        .escrow = t->escrow, .receiver_authorizer = t->channel.receiver_authorizer, .limit = 1};
    struct x402_channel_answer answer;
    struct x402_channel_claim *claims = NULL;
    size_t count = 0;
    enum err e = x402_channel_sync(tx, &t->escrow, &t->channel, &chain, 1, NOW, why);
    if (e == OK) {
        e = x402_channel_charge(tx, &arena, &r, offer.amount, &answer, why);
    }
    if (e == OK) {
        e = x402_channels_claim(tx, &arena, &filter, SLICE_LIT("key"), &claims, &count, why);
    }
    return e;
}

static enum err tell(struct store_tx *tx, void *ctx, struct why *why)
{
    struct told *t = ctx;
    struct x402_channel_key key = {t->escrow.chain_id, x402_channel_id(&t->escrow, &t->channel)};
    enum err e = channels_watch(tx, t->c, &t->row, why);
    return e == OK ? x402_channel_get(tx, &arena, &key, &t->out, why) : e;
}

static void test_a_claim_ends_as_the_relay_tells(void **state)
{
    static const struct {
        const char *purpose;
        enum relay_state state;
        bool final;
        bool claiming;
        uint64_t claimed;
    } rows[] = {
        {"channels.claim", RELAY_SIGNED, false, true, 0},
        {"channels.claim", RELAY_SENT, false, true, 0},
        {"channels.claim", RELAY_MINED, false, true, 0},
        {"channels.claim", RELAY_MINED, true, false, 100},
        {"channels.claim", RELAY_REVERTED, false, false, 0},
        {"channels.claim", RELAY_FAILED, false, false, 0},
        {"channels.claim", RELAY_REPLACED, false, false, 0},
        {"channels.claim", RELAY_CANCELLED, false, false, 0},
        {"leasing.place_bid", RELAY_FAILED, false, true, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct told t = {
            .c = made(ESCROW, WALLET),
            .row = {.key = SLICE_LIT("key"),
                    .purpose = slice_text(rows[i].purpose),
                    .state = rows[i].state,
                    .final = rows[i].final},
            .escrow = {31337, vector_address(ESCROW)},
            .channel = {.receiver_authorizer = vector_address(WALLET), .withdraw_delay = 900}};
        support_store_open(&support, &sql_catalog);
        assert_int_equal(store_write(support.store, begin, &t, NULL), OK);
        assert_int_equal(store_write(support.store, tell, &t, NULL), OK);
        if (t.out.claiming != rows[i].claiming ||
            !u256_equal(t.out.state.claimed, u256_from_u64(rows[i].claimed))) {
            fail_msg("row %zu", i);
        }
        support_store_close(&support);
        channels_free(t.c);
    }
}

/* ---- what clients ask for ---- */

struct asked {
    struct channels *c;
    struct x402_batch_offer offer;
    struct x402_batch_payment deposit;
    struct slice deposit_data;
    struct slice refund_data;
    struct slice deposit_key;
    struct slice refund_key;
};

/*
 * same_call submits what viem encoded under the key, then what we do: the same id again means that
 * wallet, callee, value, data, role and purpose are the same.
 */
static enum err same_call(struct store_tx *tx, void *ctx, struct why *why)
{
    struct asked *a = ctx;
    struct slice first = SLICE_EMPTY;
    struct slice again = SLICE_EMPTY;
    struct x402_channel_row row = {.channel = a->deposit.channel};
    struct relay_intent intent = {.key = a->deposit_key,
                                  .chain_id = 31337,
                                  .wallet = vector_address(WALLET),
                                  .has_to = true,
                                  .to = vector_address(ESCROW),
                                  .data = a->deposit_data,
                                  .role = "channels",
                                  .purpose = "channels.deposit"};
    row.state.refund_nonce = u256_from_u64(7);
    enum err e = relay_submit(tx, &arena, &intent, &first, why);
    if (e == OK) {
        e = channels_deposit(tx, &arena, a->c, &a->offer, &a->deposit, &again, why);
    }
    if (e == OK) {
        assert_true(slice_equal(first, again));
        intent.key = a->refund_key;
        intent.data = a->refund_data;
        intent.purpose = "channels.refund";
        e = relay_submit(tx, &arena, &intent, &first, why);
    }
    if (e == OK) {
        e = channels_refund(tx, &arena, a->c, &row, u256_from_u64(1500), &again, why);
    }
    if (e == OK) {
        assert_true(slice_equal(first, again));
        e = channels_refund(tx, &arena, a->c, &row, u256_from_u64(1501), &again, why);
    }
    return e;
}

/* The payload and the calldata are of @x402/evm and viem (tests/vectors/x402_batch.json). */
static void test_deposits_and_refunds_are_called_as_elsewhere(void **state)
{
    const struct json *vectors = vector_file(&arena, "x402_batch.json");
    const struct json *calls = json_find(vectors, "calldata");
    const struct json *payload = json_find(json_find(vectors, "deposit"), "payload");
    struct slice salt = SLICE_EMPTY;
    struct u256 number;
    char digits[U256_TEXT_MAX];
    struct asked a = {
        .c = made(ESCROW, WALLET),
        .offer = {.escrow = {31337, vector_address(ESCROW)},
                  .collector = x402_batch_collector,
                  .asset = vector_address("0x5FbDB2315678afecb367f032d93F642f64180aa3"),
                  .pay_to = vector_address("0x90F79bf6EB2c4f870365E785982E1f101E93b906"),
                  .receiver_authorizer =
                      vector_address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
                  .withdraw_delay = 900}};
    assert_int_equal(x402_batch_read(payload, &a.offer, &a.deposit, NULL), X402_BATCH_OK);
    assert_int_equal(json_get_hex(&arena, calls, "deposit", &a.deposit_data, NULL), OK);
    assert_int_equal(json_get_hex(&arena, calls, "refund", &a.refund_data, NULL), OK);
    const struct json *authorization = json_find(
        json_find(json_find(payload, "deposit"), "authorization"), "erc3009Authorization");
    assert_int_equal(json_get_text(authorization, "salt", &salt, NULL), OK);
    assert_int_equal(u256_parse_hex(salt, &number), OK);
    (void)u256_format(number, digits);
    struct slice id = hex_encode(&arena, hash_slice(&a.deposit.channel_id));
    a.deposit_key = slice_format(&arena, "deposit/31337/%.*s/%s", SLICE_ARG(id), digits);
    a.refund_key = slice_format(&arena, "refund/31337/%.*s/7", SLICE_ARG(id));
    support_store_open(&support, &sql_catalog);
    /* Another amount under the nonce of a refund is another refund. */
    assert_int_equal(store_write(support.store, same_call, &a, NULL), ERR_IDEMPOTENCY_MISMATCH);
    support_store_close(&support);
    channels_free(a.c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_an_escrow_nothing_runs),
        cmocka_unit_test(test_addresses_are_needed),
        cmocka_unit_test(test_the_wallet_may_claim_and_settle_at_the_escrow_only),
        cmocka_unit_test(test_a_claim_ends_as_the_relay_tells),
        cmocka_unit_test(test_deposits_and_refunds_are_called_as_elsewhere),
    };
    arena_init(&arena, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
