/*
 * What is asked of transactions after they were submitted: to be taken back, to be hurried, to be
 * mined before their deadline; and who goes first.
 */
#include "unit/kernel/relay/fake.h"

static enum err run_cancel(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct slice *id = ctx;
    return relay_cancel(tx, *id, why);
}

static enum err run_hurry(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct slice *id = ctx;
    return relay_hurry(tx, *id, why);
}

static enum err cancel(struct slice id)
{
    return store_write(w.s.store, run_cancel, &id, NULL);
}

static enum err hurry(struct slice id)
{
    return store_write(w.s.store, run_hurry, &id, NULL);
}

struct versions {
    struct slice id;
    struct relay_attempt *list;
    size_t count;
};

static enum err run_versions(struct store_tx *tx, void *ctx, struct why *why)
{
    struct versions *v = ctx;
    return relay_attempts(tx, &w.arena, v->id, &v->list, &v->count, why);
}

/* version_of returns a signed version, counted from 1. */
static struct relay_attempt version_of(struct slice id, uint32_t attempt)
{
    struct versions v = {.id = id};
    assert_int_equal(store_read(w.s.store, run_versions, &v, NULL), OK);
    assert_true(attempt >= 1 && attempt <= v.count);
    struct relay_attempt found = v.list[v.count - attempt];
    assert_int_equal(found.attempt, attempt);
    return found;
}

/* A node asks for a tenth more in both fields. */
static void assert_replaces(struct slice id, uint32_t attempt)
{
    struct relay_attempt before = version_of(id, attempt - 1);
    struct relay_attempt after = version_of(id, attempt);
    struct wei_amount least;
    assert_int_equal(wei_scale_percent(before.fee_max, 110, &least), OK);
    assert_true(wei_compare(after.fee_max, least) > 0);
    assert_int_equal(wei_scale_percent(before.fee_priority, 110, &least), OK);
    assert_true(wei_compare(after.fee_priority, least) > 0);
}

/* ---- taking back ---- */

static void a_sent_transaction_is_taken_back(void **state)
{
    (void)state;
    struct slice a = submit_plain("a");
    struct slice b = submit_plain("b");
    settle();
    assert_int_equal(cancel(b), OK);
    assert_true(row_of(b).cancelling);
    assert_state(b, RELAY_SENT);
    settle();
    assert_true(version_of(b, 2).filler);
    assert_replaces(b, 2);
    assert_int_equal(cancel(b), OK); /* again: it is under way already */
    settle();
    assert_int_equal(row_of(b).attempts, 2);
    struct slice c = submit_plain("c");
    settle();
    mine();
    settle();
    assert_state(a, RELAY_MINED);
    assert_state(b, RELAY_CANCELLED);
    assert_error(b, ERR_CANCELLED, "was cancelled");
    assert_state(c, RELAY_MINED); /* what comes after goes on */
    assert_string_equal(history(b), "signed sent signed sent cancelled");
    struct fake_mined mined[4];
    assert_int_equal(mined_of(wallet(0), mined, 4), 3);
    assert_true(address_equal(&mined[1].to, wallet(0)));
    assert_int_equal(mined[1].data_len, 0);
    mine_empty(10);
    wait_seconds(3);
    assert_true(row_of(b).final);
    assert_int_equal(cancel(b), OK);
    assert_int_equal(cancel(a), ERR_CONFLICT);
}

static void what_is_mined_first_decides(void **state)
{
    (void)state;
    struct slice a = submit_plain("a");
    settle();
    assert_int_equal(cancel(a), OK);
    mine(); /* before the relay looks at the wish */
    settle();
    assert_state(a, RELAY_MINED);
    assert_int_equal(mined_count(), 1);
    /* And when the filler was made already. */
    struct slice b = submit_plain("b");
    settle();
    assert_int_equal(cancel(b), OK);
    FAULT(send_error, "{\"code\":-32000,\"message\":\"txpool is full\"}");
    settle();
    assert_int_equal(row_of(b).attempts, 2);
    mine();
    settle();
    assert_state(b, RELAY_MINED);
    assert_false(row_of(b).error_code.len > 0);
}

static void what_was_never_sent_is_taken_back_without_a_rise(void **state)
{
    (void)state;
    FAULT(send_error, "{\"code\":-32000,\"message\":\"txpool is full\"}");
    struct slice a = submit_plain("a");
    settle();
    assert_state(a, RELAY_SIGNED);
    unsigned sent = fake_node_calls(node, "eth_sendRawTransaction");
    assert_int_equal(cancel(a), OK);
    FAULT(send_error, NULL);
    settle();
    /* The wish is granted before anything is sent: the node never sees the first bytes. */
    assert_int_equal(fake_node_calls(node, "eth_sendRawTransaction"), sent + 1);
    mine();
    settle();
    assert_state(a, RELAY_CANCELLED);
}

static void a_wish_above_the_cap_waits(void **state)
{
    (void)state;
    w.config.fee_wei_max = u256_from_u64(2 * GWEI + 1000);
    world_renew();
    struct slice a = submit_plain("a");
    settle();
    assert_int_equal(cancel(a), OK);
    unsigned before = fake_node_calls(node, "eth_feeHistory");
    wait_seconds(10);
    assert_int_equal(row_of(a).attempts, 1);
    assert_in_range(fake_node_calls(node, "eth_feeHistory") - before, 3, 8);
    w.config.fee_wei_max = u256_from_u64(9 * GWEI);
    world_renew();
    settle();
    assert_int_equal(row_of(a).attempts, 2);
    mine();
    settle();
    assert_state(a, RELAY_CANCELLED);
}

static void a_reorganisation_does_not_revive_the_cancelled(void **state)
{
    (void)state;
    mine_empty(1);
    int fork = fake_node_head(node);
    struct slice a = submit_plain("a");
    settle();
    assert_int_equal(cancel(a), OK);
    settle();
    mine();
    settle();
    assert_state(a, RELAY_CANCELLED);
    fake_node_set_head(node, fork);
    mine_empty(2);
    wait_seconds(3);
    assert_true(row_of(a).state == RELAY_SENT && row_of(a).cancelling);
    mine();
    settle();
    assert_state(a, RELAY_CANCELLED);
    struct fake_mined mined[2];
    assert_int_equal(mined_of(wallet(0), mined, 2), 1);
    assert_int_equal(mined[0].data_len, 0);
}

/* ---- hurrying ---- */

static void a_sent_transaction_is_hurried_once(void **state)
{
    (void)state;
    struct slice a = submit_plain("a");
    settle();
    assert_int_equal(hurry(a), OK);
    settle();
    assert_int_equal(row_of(a).attempts, 2);
    assert_int_equal(row_of(a).priority, RELAY_HIGH);
    assert_replaces(a, 2);
    assert_false(version_of(a, 2).filler);
    wait_seconds(5);
    assert_int_equal(row_of(a).attempts, 2);
    mine();
    settle();
    assert_state(a, RELAY_MINED);
    assert_int_equal(mined_count(), 1);
    assert_int_equal(hurry(a), ERR_CONFLICT);
    assert_int_equal(hurry(SLICE_LIT("tx_none")), ERR_NOT_FOUND);
}

static void urgent_ones_go_first(void **state)
{
    (void)state;
    struct slice ids[4];
    static const enum relay_priority priorities[4] = {RELAY_LOW, RELAY_NORMAL, RELAY_HIGH, 0};
    for (size_t i = 0; i < 4; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        struct relay_intent intent = plain(slice_cstr(&w.arena, slice_text(key)));
        intent.priority = priorities[i];
        ids[i] = submit(&intent);
    }
    assert_int_equal(hurry(ids[3]), OK); /* still queued: it becomes urgent */
    settle();
    static const uint64_t nonces[4] = {3, 2, 0, 1};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(row_of(ids[i]).nonce, nonces[i]);
        assert_int_equal(row_of(ids[i]).attempts, 1);
    }
    /* The fake node's blocks paid 1000 wei above the base fee: 80 %, 100 % and 150 % of it. */
    static const uint64_t rewards[4] = {800, 1000, 1500, 1500};
    for (size_t i = 0; i < 4; i++) {
        uint64_t got = 0;
        assert_int_equal(u256_to_u64(wei_raw(version_of(ids[i], 1).fee_priority), &got), OK);
        assert_int_equal(got, rewards[i]);
    }
}

/* A flood: more urgent ones come each minute than the wallet has places for. */
static void flood(size_t minute)
{
    for (size_t i = 0; i < 4; i++) {
        struct relay_intent intent =
            plain(slice_cstr(&w.arena, slice_format(&w.arena, "flood/%zu/%zu", minute, i)));
        intent.priority = RELAY_HIGH;
        (void)submit(&intent);
    }
}

/* Lives through minutes with a flood, in each of which a block takes what fills the wallet. */
static int minutes_until_sent(struct slice id)
{
    for (int minute = 0; minute < 60; minute++) {
        flood((size_t)minute);
        settle();
        if (row_of(id).state != RELAY_QUEUED) {
            return minute;
        }
        mine();
        push(60 * SECONDS);
    }
    return -1;
}

static void under_a_flood_nothing_waits_for_ever(void **state)
{
    static const struct {
        enum relay_priority priority;
        int64_t aging_usec;
        int minutes;
    } cases[] = {
        /*
         * Two places, four urgent ones a minute. One of normal priority is of the highest rank
         * after ten minutes, and then the oldest of all; one of low priority after twenty.
         */
        {RELAY_HIGH, 600 * SECONDS, 0},
        {RELAY_NORMAL, 600 * SECONDS, 10},
        {RELAY_LOW, 600 * SECONDS, 20},
        {RELAY_NORMAL, 0, -1},
    };
    (void)teardown(state);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)setup(state);
        w.config.inflight_max = 2;
        w.config.aging_usec = cases[i].aging_usec;
        world_renew();
        struct relay_intent intent = plain("patient");
        intent.priority = cases[i].priority;
        assert_int_equal(minutes_until_sent(submit(&intent)), cases[i].minutes);
        if (i + 1 < sizeof cases / sizeof cases[0]) {
            (void)teardown(state);
        }
    }
}

/* ---- rows that somebody changed ---- */

static void what_was_changed_in_the_rows_is_not_signed(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    settle();
    assert_state(id, RELAY_SENT);
    /* approve(address,uint256), which the role may not call, instead of transfer */
    (void)support_store_rows(&w.s, &w.arena,
                             support_pick("UPDATE relay_intents SET data = "
                                          "CAST(x'095ea7b3' || substr(data, 5) AS BLOB)",
                                          "UPDATE relay_intents SET data = "
                                          "'\\x095ea7b3'::bytea || substr(data, 5)"));
    assert_int_equal(hurry(id), OK);
    settle();
    assert_true(version_of(id, 2).filler);
    assert_error(id, ERR_POLICY_REFUSED, "payer");
    /* The bytes that were signed before may still be mined; here the others are. */
    mine();
    settle();
    assert_state(id, RELAY_FAILED);
    struct fake_mined mined[2];
    assert_int_equal(mined_of(wallet(0), mined, 2), 1);
    assert_true(address_equal(&mined[0].to, wallet(0)));
}

/* ---- deadlines ---- */

static void a_deadline_takes_back_what_was_not_mined(void **state)
{
    (void)state;
    struct relay_intent intent = plain("a");
    intent.deadline_usec = clock_wall_usec() + 10 * SECONDS;
    struct slice a = submit(&intent);
    struct slice b = submit_plain("b");
    settle();
    assert_state(a, RELAY_SENT);
    wait_seconds(5);
    assert_int_equal(row_of(a).attempts, 1);
    wait_seconds(6);
    assert_int_equal(row_of(a).attempts, 2);
    mine();
    settle();
    assert_state(a, RELAY_FAILED);
    assert_error(a, ERR_DEADLINE_EXPIRED, "before the transaction was mined");
    assert_state(b, RELAY_MINED);
}

static void a_deadline_that_was_met_stays_met(void **state)
{
    (void)state;
    mine_empty(1);
    int fork = fake_node_head(node);
    struct relay_intent intent = plain("a");
    intent.deadline_usec = clock_wall_usec() + 10 * SECONDS;
    struct slice a = submit(&intent);
    settle();
    mine();
    settle();
    assert_state(a, RELAY_MINED);
    wait_seconds(11);
    fake_node_set_head(node, fork);
    mine_empty(2);
    wait_seconds(3);
    assert_state(a, RELAY_SENT);
    mine();
    settle();
    assert_state(a, RELAY_MINED);
    assert_int_equal(row_of(a).attempts, 1);
}

/* ---- bytes that the node lost ---- */

static void an_evicted_middle_is_sent_again_at_once(void **state)
{
    (void)state;
    enum { INTENTS = 20 };
    struct slice ids[INTENTS];
    FAULT(send_swallow, 7); /* the first seven; the rest wait behind the hole */
    for (size_t i = 0; i < INTENTS; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        ids[i] = submit_plain(slice_cstr(&w.arena, slice_text(key)));
    }
    settle();
    assert_int_equal(fake_node_pool(node), INTENTS - 7);
    wait_seconds(2);
    assert_int_equal(fake_node_pool(node), INTENTS);
    mine();
    settle();
    for (size_t i = 0; i < INTENTS; i++) {
        assert_state(ids[i], RELAY_MINED);
        assert_int_equal(row_of(ids[i]).attempts, 1);
    }
    assert_int_equal(mined_count(), INTENTS);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        TEST(a_sent_transaction_is_taken_back),
        TEST(what_is_mined_first_decides),
        TEST(what_was_never_sent_is_taken_back_without_a_rise),
        TEST(a_wish_above_the_cap_waits),
        TEST(a_reorganisation_does_not_revive_the_cancelled),
        TEST(a_sent_transaction_is_hurried_once),
        TEST(urgent_ones_go_first),
        TEST(under_a_flood_nothing_waits_for_ever),
        TEST(what_was_changed_in_the_rows_is_not_signed),
        TEST(a_deadline_takes_back_what_was_not_mined),
        TEST(a_deadline_that_was_met_stays_met),
        TEST(an_evicted_middle_is_sent_again_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
