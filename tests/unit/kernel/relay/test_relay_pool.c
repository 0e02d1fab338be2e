/*
 * Several wallets: who gets what any of them may send, and the treasury that refills them.
 */
#include "unit/kernel/relay/fake.h"

static struct relay_treasury treasury;

/* All wallets share work; the last one is the treasury as well. */
static void use_pool(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        world_pool_of[i] = *wallet(i);
    }
    world_pool_count = count;
    treasury = (struct relay_treasury){.wallet = *wallet(WALLETS - 1),
                                       .value_max = wei_of(u256_from_u64(5000))};
    world_treasury = &treasury;
    world_renew();
    assert_int_equal(relay_reconcile(w.relay, NULL), OK);
}

static int end(void **state)
{
    world_pool_count = 0;
    world_treasury = NULL;
    return teardown(state);
}

static struct slice submit_pooled(size_t i)
{
    struct relay_intent intent =
        plain(slice_cstr(&w.arena, slice_format(&w.arena, "pooled/%zu", i)));
    intent.pooled = true;
    intent.wallet = (struct address){{0}};
    return submit(&intent);
}

static size_t count_of(const struct slice *ids, size_t count, size_t which)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct relay_row row = row_of(ids[i]);
        n += !row.unassigned && address_equal(&row.wallet, wallet(which));
    }
    return n;
}

struct noting {
    const struct address *wallet;
    uint64_t balance;
    bool low;
};

static enum err run_note(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct noting *n = ctx;
    return relay_wallet_note(tx, 31337, n->wallet, wei_of(u256_from_u64(n->balance)), n->low, why);
}

static void note(size_t which, uint64_t balance, bool low)
{
    struct noting n = {.wallet = wallet(which), .balance = balance, .low = low};
    assert_int_equal(store_write(w.s.store, run_note, &n, NULL), OK);
}

/* ---- giving out ---- */

static void work_is_shared_by_load(void **state)
{
    (void)state;
    enum { INTENTS = 24, OWN = 6 };
    struct slice ids[INTENTS];
    use_pool(3);
    for (size_t i = 0; i < OWN; i++) { /* the first wallet has work of its own */
        (void)submit_plain(slice_cstr(&w.arena, slice_format(&w.arena, "own/%zu", i)));
    }
    for (size_t i = 0; i < INTENTS; i++) {
        ids[i] = submit_pooled(i);
        assert_true(row_of(ids[i]).unassigned);
    }
    settle();
    /* 30 in all, so 10 each. */
    assert_int_equal(count_of(ids, INTENTS, 0), 4);
    assert_int_equal(count_of(ids, INTENTS, 1), 10);
    assert_int_equal(count_of(ids, INTENTS, 2), 10);
    mine();
    settle();
    for (size_t i = 0; i < INTENTS; i++) {
        assert_state(ids[i], RELAY_MINED);
    }
    assert_int_equal(mined_count(), INTENTS + OWN);
}

static void the_same_key_is_the_same_intent_wherever_it_went(void **state)
{
    (void)state;
    use_pool(3);
    struct slice first = submit_pooled(0);
    settle();
    assert_false(row_of(first).unassigned);
    struct slice again = submit_pooled(0);
    assert_true(slice_equal(first, again));
    struct slice id;
    struct relay_intent bound = plain("pooled/0"); /* the same effect, but of one wallet */
    assert_int_equal(submit_result(&bound, &id, NULL), ERR_IDEMPOTENCY_MISMATCH);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents"), 1);
}

static void a_wallet_that_is_low_gets_nothing(void **state)
{
    (void)state;
    struct slice ids[6];
    use_pool(2);
    note(0, 7, true);
    for (size_t i = 0; i < 6; i++) {
        ids[i] = submit_pooled(i);
    }
    settle();
    assert_int_equal(count_of(ids, 6, 1), 6);
    mine();
    settle();
    /* When none can pay they wait, until one can. */
    note(1, 7, true);
    struct slice waiting = submit_pooled(6);
    wait_seconds(5);
    assert_true(row_of(waiting).unassigned);
    note(0, 7000, false);
    settle();
    assert_state(waiting, RELAY_SENT);
    struct relay_row row = row_of(waiting);
    assert_true(address_equal(&row.wallet, wallet(0)));
}

static void what_is_queued_leaves_a_wallet_that_runs_low(void **state)
{
    (void)state;
    w.config.inflight_max = 1;
    use_pool(2);
    struct slice ids[6];
    for (size_t i = 0; i < 6; i++) {
        ids[i] = submit_pooled(i);
    }
    settle(); /* one each is signed, two each wait for a place */
    assert_int_equal(count_of(ids, 6, 0), 3);
    note(0, 7, true);
    settle();
    assert_int_equal(count_of(ids, 6, 0), 1); /* the one with a nonce stays */
    for (int i = 0; i < 6; i++) {
        mine();
        settle();
    }
    for (size_t i = 0; i < 6; i++) {
        assert_state(ids[i], RELAY_MINED);
    }
    struct fake_mined mined[8];
    assert_int_equal(mined_of(wallet(0), mined, 8), 1);
    assert_int_equal(mined_of(wallet(1), mined, 8), 5);
}

static void a_node_that_finds_no_coin_is_believed(void **state)
{
    (void)state;
    use_pool(2);
    FAULT(send_error, "{\"code\":-32003,\"message\":\"insufficient funds for gas * price\"}");
    FAULT(send_times, 1);
    struct slice first = submit_pooled(0);
    settle();
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_wallets WHERE low"), 1);
    struct slice second = submit_pooled(1);
    struct slice third = submit_pooled(2);
    settle();
    struct address poor = row_of(first).wallet;
    struct relay_row rows[2] = {row_of(second), row_of(third)};
    assert_false(address_equal(&rows[0].wallet, &poor));
    assert_false(address_equal(&rows[1].wallet, &poor));
}

/* ---- the treasury ---- */

static struct relay_intent refill(const char *key)
{
    return (struct relay_intent){
        .key = slice_text(key),
        .chain_id = 31337,
        .wallet = treasury.wallet,
        .has_to = true,
        .to = *wallet(0),
        .value = wei_of(u256_from_u64(5000)),
        .role = RELAY_ROLE_TREASURY,
        .purpose = RELAY_PURPOSE_REFILL,
    };
}

static void assert_refused(struct relay_intent intent, const char *words)
{
    struct slice id = submit(&intent);
    settle();
    assert_state(id, RELAY_FAILED);
    assert_error(id, ERR_POLICY_REFUSED, words);
}

static void the_treasury_refills_and_does_nothing_else(void **state)
{
    (void)state;
    use_pool(1);
    struct relay_intent intent = refill("good");
    struct slice good = submit(&intent);
    settle();
    assert_state(good, RELAY_SENT);
    intent = refill("somebody else pays");
    intent.wallet = *wallet(1);
    assert_refused(intent, "only the treasury");
    intent = refill("to a stranger");
    intent.to = somebody;
    assert_refused(intent, "wallets of the relay only");
    intent = refill("with calldata");
    intent.data = transfer_data(&w.arena, 1);
    assert_refused(intent, "wallets of the relay only");
    intent = refill("a contract");
    intent.has_to = false;
    assert_refused(intent, "wallets of the relay only");
    intent = refill("too much");
    intent.value = wei_of(u256_from_u64(5001));
    assert_refused(intent, "so much at once");
}

struct refills {
    bool open;
    struct wei_amount total;
};

static enum err run_refills(struct store_tx *tx, void *ctx, struct why *why)
{
    struct refills *r = ctx;
    return relay_refills(tx, 31337, wallet(0), clock_wall_usec() - 3600 * SECONDS, &r->open,
                         &r->total, why);
}

static void refills_are_counted(void **state)
{
    (void)state;
    use_pool(1);
    struct refills r;
    struct relay_intent intent = refill("first");
    assert_int_equal(store_read(w.s.store, run_refills, &r, NULL), OK);
    assert_true(!r.open && u256_is_zero(wei_raw(r.total)));
    (void)submit(&intent);
    assert_int_equal(store_read(w.s.store, run_refills, &r, NULL), OK);
    assert_true(r.open && u256_compare(wei_raw(r.total), u256_from_u64(5000)) == 0);
    settle();
    mine();
    settle();
    intent = refill("second");
    intent.to = *wallet(1);
    intent.value = wei_of(u256_from_u64(3));
    (void)submit(&intent);
    intent = refill("refused");
    intent.to = somebody;
    (void)submit(&intent);
    settle();
    assert_int_equal(store_read(w.s.store, run_refills, &r, NULL), OK);
    assert_false(r.open); /* of the first wallet */
    assert_int_equal(u256_compare(wei_raw(r.total), u256_from_u64(5003)), 0);
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

int main(int argc, char **argv)
{
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        TEST(work_is_shared_by_load),
        TEST(the_same_key_is_the_same_intent_wherever_it_went),
        TEST(a_wallet_that_is_low_gets_nothing),
        TEST(what_is_queued_leaves_a_wallet_that_runs_low),
        TEST(a_node_that_finds_no_coin_is_believed),
        TEST(the_treasury_refills_and_does_nothing_else),
        TEST(refills_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
