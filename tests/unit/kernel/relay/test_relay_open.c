/*
 * Signed bytes on their way: what nodes answer, do not answer, and forget.
 */
#include "unit/kernel/relay/fake.h"

/* The one transaction that was mined of the first wallet has the hash of the intent's row. */
static void assert_mined_once(struct slice id)
{
    struct fake_mined mined[4];
    struct relay_row row = row_of(id);
    assert_int_equal(row.state, RELAY_MINED);
    assert_int_equal(mined_of(wallet(0), mined, 4), 1);
    assert_true(hash_equal(&mined[0].hash, &row.hash));
}

static struct hash signed_hash(struct slice id)
{
    settle();
    return row_of(id).hash;
}

/* ---- answers that do not tell ---- */

static void lost_answer_is_the_same_transaction(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    FAULT(send_lose, 3);
    settle();
    struct relay_row row = row_of(id);
    assert_int_equal(fake_node_pool(node), 1);
    mine();
    wait_seconds(4);
    assert_mined_once(id);
    struct hash now = row_of(id).hash;
    assert_true(hash_equal(&now, &row.hash));
    assert_int_equal(row_of(id).attempts, 1);
}

static void already_known_is_success(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    FAULT(send_lose, 1);
    settle();
    wait_seconds(20); /* sent again: "already known" */
    assert_state(id, RELAY_SENT);
    assert_true(fake_node_calls(node, "eth_sendRawTransaction") >= 2);
    mine();
    settle();
    assert_mined_once(id);
}

static void died_between_signing_and_sending(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    assert_int_equal(step_once(NULL, NULL), OK);
    assert_state(id, RELAY_SIGNED);
    struct hash hash = row_of(id).hash;
    world_renew();
    assert_int_equal(relay_reconcile(w.relay, NULL), OK);
    settle();
    mine();
    settle();
    assert_mined_once(id);
    struct hash now = row_of(id).hash;
    assert_true(hash_equal(&now, &hash));
}

static void died_between_mining_and_noticing(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    settle();
    mine();
    world_renew();
    assert_int_equal(relay_reconcile(w.relay, NULL), OK);
    settle();
    assert_mined_once(id);
}

static void swallowed_transaction_is_sent_again(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    FAULT(send_swallow, 1);
    struct hash hash = signed_hash(id);
    assert_state(id, RELAY_SENT);
    assert_int_equal(fake_node_pool(node), 0);
    wait_seconds(2); /* the node does not count it as pending */
    assert_int_equal(fake_node_calls(node, "eth_sendRawTransaction"), 2);
    wait_seconds(10); /* now it does */
    assert_int_equal(fake_node_calls(node, "eth_sendRawTransaction"), 2);
    mine();
    settle();
    assert_mined_once(id);
    struct hash now = row_of(id).hash;
    assert_true(hash_equal(&now, &hash));
}

static void forgotten_pool_is_filled_again_in_order(void **state)
{
    (void)state;
    enum { INTENTS = 64 };
    struct slice ids[INTENTS];
    for (size_t i = 0; i < INTENTS; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        ids[i] = submit_plain(slice_cstr(&w.arena, slice_text(key)));
    }
    settle();
    assert_int_equal(fake_node_pool(node), INTENTS);
    (void)fake_node_mine(node, 20);
    fake_node_forget(node);
    wait_seconds(20);
    assert_int_equal(fake_node_pool(node), INTENTS - 20);
    mine();
    settle();
    for (size_t i = 0; i < INTENTS; i++) {
        assert_state(ids[i], RELAY_MINED);
        assert_int_equal(row_of(ids[i]).attempts, 1);
    }
    assert_int_equal(mined_count(), INTENTS);
}

/* A node that answers "nonce too low" for ever is not asked all the time. */
static void no_verdict_makes_a_storm(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "{\"code\":-32000,\"message\":\"nonce too low\"}",
        "{\"code\":-32000,\"message\":\"nonce too high\"}",
        "{\"code\":-32000,\"message\":\"insufficient funds for gas * price + value\"}",
        "{\"code\":-32000,\"message\":\"txpool is full\"}",
        "{\"code\":-32000,\"message\":\"transaction underpriced\"}",
        "{\"code\":-32000,\"message\":\"intrinsic gas too low\"}",
        "{\"code\":-32000,\"message\":\"words that nobody has heard\"}",
    };
    w.config.fee_wei_max = u256_from_u64(4 * GWEI); /* so that bumping ends */
    world_renew();
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        (void)submit_plain(slice_cstr(&w.arena, slice_text(key)));
        FAULT(send_error, answers[i]);
        settle();
        unsigned before = fake_node_calls(node, "eth_sendRawTransaction");
        int64_t begun_usec = clock_mono_usec();
        for (int k = 0; k < 100; k++) {
            assert_int_equal(step_once(NULL, NULL), OK);
        }
        /* The shortest pause is a second: on a machine so slow that it ends, one more is right. */
        int64_t pauses = (clock_mono_usec() - begun_usec) / SECONDS;
        unsigned sent = fake_node_calls(node, "eth_sendRawTransaction") - before;
        assert_true(sent <= pauses);
        FAULT(send_error, NULL);
        wait_seconds(16);
        mine();
        settle();
        assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state IN (1, 2, 3)"),
                         0);
    }
    assert_int_equal(mined_count(), sizeof answers / sizeof answers[0]);
}

/* ---- fees that are refused ---- */

static void underpriced_bytes_are_raised_until_they_pass(void **state)
{
    (void)state;
    fake_node_set_fees(node, GWEI, 50 * GWEI);
    struct slice id = submit_plain("a");
    settle();
    struct relay_row row = row_of(id);
    assert_int_equal(row.state, RELAY_SENT);
    assert_true(row.attempts >= 3 && row.attempts <= 12);
    /* Each version raises both fees by at least 13 % and 1 wei. */
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_attempts a JOIN relay_attempts b ON "
                                "b.attempt = a.attempt + 1 WHERE "
                                "b.fee_max + 0 < (a.fee_max + 0) * 113 / 100 + 1 OR "
                                "b.fee_priority + 0 < (a.fee_priority + 0) * 113 / 100 + 1"),
                     0);
    mine();
    settle();
    assert_mined_once(id);
    assert_int_equal(count_rows("SELECT COUNT(DISTINCT nonce) FROM relay_intents"), 1);
}

static void at_the_cap_it_waits_for_lower_fees(void **state)
{
    (void)state;
    fake_node_set_fees(node, GWEI, 600 * GWEI);
    struct slice id = submit_plain("a");
    wait_seconds(60);
    assert_state(id, RELAY_SIGNED);
    assert_int_equal(count_rows("SELECT MAX(fee_max + 0) <= 500000000000 FROM relay_attempts"), 1);
    uint32_t attempts = row_of(id).attempts;
    fake_node_set_fees(node, GWEI, 0);
    wait_seconds(20);
    assert_int_equal(row_of(id).attempts, attempts);
    mine();
    settle();
    assert_mined_once(id);
}

/* ---- bytes that no node takes ---- */

#define TOO_MUCH_GAS "{\"code\":-32000,\"message\":\"exceeds block gas limit\"}"

static void refused_bytes_are_replaced_by_a_filler(void **state)
{
    (void)state;
    struct slice before = submit_plain("before");
    settle();
    FAULT(send_error, TOO_MUCH_GAS);
    FAULT(send_times, 1);
    struct slice id = submit_plain("a");
    settle();
    struct slice behind = submit_plain("behind");
    settle();
    mine();
    settle();
    assert_state(before, RELAY_MINED);
    assert_state(id, RELAY_FAILED);
    assert_state(behind, RELAY_MINED);
    assert_error(id, ERR_NODE_ERROR, "exceeds block gas limit");
    assert_string_equal(history(id), "signed signed sent failed");
    struct relay_row row = row_of(id);
    assert_true(row.has_nonce && row.nonce == 1 && row.has_block && !row.final);
    assert_int_equal(row.attempts, 2);
    struct fake_mined mined[4];
    assert_int_equal(mined_of(wallet(0), mined, 4), 3);
    assert_true(address_equal(&mined[1].to, wallet(0)));
    assert_int_equal(mined[1].data_len, 0);
    assert_int_equal(mined[1].gas_limit, 21000);
    mine_empty(8);
    push(3 * SECONDS);
    settle();
    assert_true(row_of(id).final);
}

static void a_filler_that_is_underpriced_is_raised(void **state)
{
    (void)state;
    FAULT(send_error, TOO_MUCH_GAS);
    FAULT(send_times, 1);
    struct slice id = submit_plain("a");
    assert_int_equal(step_once(NULL, NULL), OK); /* signed */
    assert_int_equal(step_once(NULL, NULL), OK); /* refused, filler signed */
    fake_node_set_fees(node, GWEI, 5 * GWEI);
    settle();
    assert_true(row_of(id).attempts > 2);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_attempts WHERE filler"),
                     row_of(id).attempts - 1);
    mine();
    settle();
    assert_state(id, RELAY_FAILED);
}

/* One node refused, another one had taken them. */
static void own_bytes_that_are_mined_after_all_count(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    FAULT(send_error, TOO_MUCH_GAS);
    FAULT(send_times, 1);
    assert_int_equal(step_once(NULL, NULL), OK);
    struct hash own = row_of(id).hash;
    assert_int_equal(step_once(NULL, NULL), OK);
    assert_int_equal(row_of(id).attempts, 2);
    /* The first bytes reach the chain by another way. */
    FAULT(send_error, "{\"code\":-32000,\"message\":\"txpool is full\"}");
    FAULT(send_times, 0);
    give_attempt(id, 1);
    mine();
    FAULT(send_error, NULL);
    settle();
    assert_state(id, RELAY_MINED);
    struct relay_row row = row_of(id);
    assert_true(hash_equal(&row.hash, &own));
    assert_int_equal(row.error_code.len, 0);
    assert_int_equal(mined_count(), 1);
}

/* What a node took once may be mined: a refusal later on is no reason to fill its nonce. */
static void accepted_bytes_are_not_filled_soon(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    settle();
    fake_node_forget(node);
    FAULT(send_error, TOO_MUCH_GAS);
    wait_seconds(40);
    assert_int_equal(row_of(id).attempts, 1);
    wait_seconds(40); /* but a minute is long enough */
    assert_int_equal(row_of(id).attempts, 2);
    FAULT(send_error, NULL);
    wait_seconds(16);
    mine();
    settle();
    assert_state(id, RELAY_FAILED);
}

/* ---- money ---- */

static void an_empty_wallet_waits_and_recovers(void **state)
{
    (void)state;
    fake_node_set_empty(node, true);
    struct slice a = submit_plain("a");
    struct slice b = submit_plain("b");
    wait_seconds(120);
    assert_state(a, RELAY_SIGNED);
    assert_state(b, RELAY_SIGNED);
    assert_true(fake_node_calls(node, "eth_sendRawTransaction") <= 90); /* every 3 s */
    fake_node_set_empty(node, false);
    wait_seconds(4);
    mine();
    settle();
    assert_state(a, RELAY_MINED);
    assert_state(b, RELAY_MINED);
    assert_int_equal(row_of(b).attempts, 1);
}

/* ---- any weather ---- */

static uint64_t draw_seed;

static uint64_t draw(uint64_t bound)
{
    uint64_t z = (draw_seed += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % bound;
}

static void worsen(void)
{
    static const char *const answers[] = {
        "{\"code\":-32000,\"message\":\"txpool is full\"}",
        "{\"code\":-32000,\"message\":\"nonce too high\"}",
        "{\"code\":-32603,\"message\":\"internal error\"}",
        "{\"code\":-32000,\"message\":\"transaction underpriced\"}",
    };
    struct fake_faults *f = fake_node_lock(node);
    switch (draw(8)) {
    case 0:
        f->send_lose = 1;
        break;
    case 1:
        f->send_swallow = 1 + (unsigned)draw(3);
        break;
    case 2:
        f->send_error = answers[draw(4)];
        f->send_times = 1 + (unsigned)draw(4);
        break;
    case 3:
        f->receipts_late = (unsigned)draw(5);
        break;
    case 4:
        f->fail = (unsigned)draw(2);
        break;
    case 5:
        f->lag = draw(3);
        break;
    case 6:
        f->estimate_error = answers[2];
        f->estimate_times = 1 + (unsigned)draw(3);
        break;
    default: /* not an enum */
        f->lag = 0;
        break;
    }
    fake_node_unlock(node);
    if (draw(20) == 0) {
        fake_node_forget(node);
    }
}

static void heal(void)
{
    struct fake_faults *f = fake_node_lock(node);
    *f = (struct fake_faults){.other = FAKE_NO_BLOCK, .logs_head = FAKE_NO_BLOCK};
    fake_node_unlock(node);
}

static void any_weather_mines_each_intent_once(void **state)
{
    (void)state;
    enum { INTENTS = 1000 };
    draw_seed = 7;
    size_t submitted = 0;
    for (int round = 0; round < 4000 && submitted < INTENTS; round++) {
        for (uint64_t i = draw(6); i > 0 && submitted < INTENTS; i--) {
            char key[8];
            (void)snprintf(key, sizeof key, "k%zu", submitted);
            struct relay_intent intent = plain(slice_cstr(&w.arena, slice_text(key)));
            intent.wallet = *wallet(draw(WALLETS));
            (void)submit(&intent);
            submitted++;
        }
        if (draw(3) == 0) {
            worsen();
        }
        (void)step_once(NULL, NULL);
        if (draw(3) == 0) {
            (void)fake_node_mine(node, draw(30));
        }
        push((int64_t)draw(2000000));
        if (draw(200) == 0) {
            world_renew();
        }
        arena_clear(&w.arena);
    }
    heal();
    for (int i = 0; i < 400; i++) {
        push(2 * SECONDS);
        (void)step_once(NULL, NULL);
        mine();
    }
    assert_int_equal(submitted, INTENTS);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4"), INTENTS);
    assert_int_equal(mined_count(), INTENTS);
    assert_int_equal(count_rows("SELECT SUM(next_nonce) FROM relay_wallets"), INTENTS);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        TEST(lost_answer_is_the_same_transaction),
        TEST(already_known_is_success),
        TEST(died_between_signing_and_sending),
        TEST(died_between_mining_and_noticing),
        TEST(swallowed_transaction_is_sent_again),
        TEST(forgotten_pool_is_filled_again_in_order),
        TEST(no_verdict_makes_a_storm),
        TEST(underpriced_bytes_are_raised_until_they_pass),
        TEST(at_the_cap_it_waits_for_lower_fees),
        TEST(refused_bytes_are_replaced_by_a_filler),
        TEST(a_filler_that_is_underpriced_is_raised),
        TEST(own_bytes_that_are_mined_after_all_count),
        TEST(accepted_bytes_are_not_filled_soon),
        TEST(an_empty_wallet_waits_and_recovers),
        TEST(any_weather_mines_each_intent_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
