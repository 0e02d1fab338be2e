/*
 * What neither moves nor is mined: fees that fell behind, nonces that somebody else used, nonces
 * that nobody has.
 */
#include "unit/kernel/relay/fake.h"

static uint64_t fee_of_attempt(int attempt)
{
    char sql[96];
    (void)snprintf(sql, sizeof sql,
                   "SELECT MIN(fee_max + 0) FROM relay_attempts WHERE attempt = %d", attempt);
    return (uint64_t)count_rows(sql);
}

/* ---- stuck ---- */

static void a_stuck_transaction_is_replaced(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    struct slice behind = submit_plain("b");
    settle();
    struct hash first = row_of(id).hash;
    for (int i = 0; i < 6; i++) { /* blocks come without it */
        mine_empty(1);
        wait_seconds(9);
    }
    assert_int_equal(row_of(id).attempts, 1);
    wait_seconds(8);
    mine_empty(1);
    wait_seconds(8);
    struct relay_row row = row_of(id);
    assert_int_equal(row.attempts, 2);
    assert_int_equal(row.nonce, 0);
    assert_false(hash_equal(&row.hash, &first));
    assert_true(fee_of_attempt(2) >= fee_of_attempt(1) * 113 / 100 + 1);
    assert_int_equal(row_of(behind).attempts, 1); /* it only waits for the first */
    assert_int_equal(fake_node_pool(node), 2);
    mine();
    settle();
    assert_state(id, RELAY_MINED);
    assert_state(behind, RELAY_MINED);
    assert_int_equal(mined_count(), 2);
    assert_int_equal(store_signal_now(w.s.store, "chain_poke") > 0, 1);
}

static void the_old_version_may_be_mined(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    settle();
    struct hash first = row_of(id).hash;
    wait_seconds(59);
    FAULT(send_error, "{\"code\":-32000,\"message\":\"txpool is full\"}"); /* for the new one */
    wait_seconds(3);
    assert_int_equal(row_of(id).attempts, 2);
    mine();
    settle();
    struct relay_row row = row_of(id);
    assert_int_equal(row.state, RELAY_MINED);
    assert_true(hash_equal(&row.hash, &first));
    assert_int_equal(mined_count(), 1);
}

static void a_chain_that_stands_still_costs_little(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    settle();
    wait_seconds(3600);
    /* After 1, 3, 7, 15 and 31 minutes. */
    assert_int_equal(row_of(id).attempts, 6);
    mine();
    settle();
    assert_state(id, RELAY_MINED);
}

/* A node may have the bytes and not mine them; it takes another version. */
static void a_shelved_transaction_is_replaced(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    FAULT(send_error, "{\"code\":-32000,\"message\":\"already known\"}");
    wait_seconds(59);
    assert_state(id, RELAY_SENT);
    assert_int_equal(row_of(id).attempts, 1);
    FAULT(send_error, NULL);
    wait_seconds(2);
    assert_int_equal(row_of(id).attempts, 2);
    mine();
    settle();
    assert_state(id, RELAY_MINED);
}

static void a_base_fee_above_its_fee_is_followed(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    settle();
    fake_node_set_fees(node, 20 * GWEI, 0);
    mine_empty(1);
    wait_seconds(59);
    assert_int_equal(row_of(id).attempts, 1);
    wait_seconds(4);
    assert_int_equal(row_of(id).attempts, 2);
    assert_true(fee_of_attempt(2) == 40 * GWEI + 1000);
    mine();
    settle();
    assert_state(id, RELAY_MINED);
}

static void bumping_ends_at_the_cap(void **state)
{
    (void)state;
    w.config.fee_wei_max = u256_from_u64(3 * GWEI);
    world_renew();
    struct slice id = submit_plain("a");
    settle();
    for (int i = 0; i < 20; i++) {
        wait_seconds(61);
        mine_empty(1);
    }
    assert_int_equal(row_of(id).attempts, 4); /* 2.00, 2.26, 2.55, 2.89 gwei */
    assert_int_equal(count_rows("SELECT MAX(fee_max + 0) <= 3000000000 FROM relay_attempts"), 1);
    mine();
    settle();
    assert_state(id, RELAY_MINED);
}

/* ---- somebody else used the nonce ---- */

static void a_nonce_used_elsewhere_replaces_the_intent(void **state)
{
    (void)state;
    struct slice a = submit_plain("a");
    struct slice b = submit_plain("b");
    struct relay_intent after = plain("c");
    after.after = a;
    struct slice c = submit(&after);
    settle();
    (void)fake_node_use_nonce(node, wallet(0));
    fake_node_forget(node);
    wait_seconds(20);
    assert_state(a, RELAY_SENT);
    assert_state(b, RELAY_SENT);
    wait_seconds(15);
    assert_state(a, RELAY_REPLACED);
    assert_error(a, ERR_TX_REPLACED, "outside of this relay");
    assert_true(row_of(a).final);
    assert_string_equal(history(a), "signed sent replaced!");
    assert_state(c, RELAY_FAILED);
    mine();
    settle();
    assert_state(b, RELAY_MINED);
    assert_int_equal(mined_count(), 2);
}

static void several_used_nonces_are_noticed_at_once(void **state)
{
    (void)state;
    struct slice ids[5];
    for (size_t i = 0; i < 5; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        ids[i] = submit_plain(slice_cstr(&w.arena, slice_text(key)));
    }
    settle();
    for (int i = 0; i < 3; i++) {
        (void)fake_node_use_nonce(node, wallet(0));
    }
    wait_seconds(35);
    for (size_t i = 0; i < 5; i++) {
        assert_state(ids[i], i < 3 ? RELAY_REPLACED : RELAY_SENT);
    }
    mine();
    settle();
    struct slice next = submit_plain("next");
    settle();
    mine();
    settle();
    assert_int_equal(row_of(next).nonce, 5);
    assert_state(next, RELAY_MINED);
}

/* The number of mined transactions comes from one node, the receipts from one that is behind. */
static void late_receipts_are_waited_for(void **state)
{
    (void)state;
    struct slice a = submit_plain("a");
    settle();
    mine();
    FAULT(receipts_late, 1000);
    wait_seconds(25);
    assert_state(a, RELAY_SENT);
    FAULT(receipts_late, 0);
    wait_seconds(1);
    assert_state(a, RELAY_MINED);
    /* A finding that went away starts anew. */
    struct slice b = submit_plain("b");
    settle();
    mine();
    FAULT(receipts_late, 1000);
    wait_seconds(25);
    FAULT(lag, 1);
    wait_seconds(3);
    FAULT(lag, 0);
    wait_seconds(25);
    assert_state(b, RELAY_SENT);
    FAULT(receipts_late, 0);
    wait_seconds(1);
    assert_state(b, RELAY_MINED);
}

/* ---- nobody has the nonce ---- */

static void a_gap_is_filled(void **state)
{
    (void)state;
    /* Two foreign transactions wait in the pool when we start, and are never mined. */
    fake_node_add_pending(node, wallet(0), 0);
    fake_node_add_pending(node, wallet(0), 1);
    assert_int_equal(relay_reconcile(w.relay, NULL), OK);
    struct slice id = submit_plain("a");
    settle();
    assert_int_equal(row_of(id).nonce, 2);
    wait_seconds(100); /* they may still come */
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents"), 1);
    fake_node_forget(node);
    wait_seconds(20);
    mine();
    assert_state(id, RELAY_SENT);
    wait_seconds(20);
    mine();
    wait_seconds(20);
    mine();
    settle();
    assert_state(id, RELAY_MINED);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4 AND purpose = "
                                "'relay.fill' AND nonce < 2 AND value + 0 = 0"),
                     2);
    struct fake_mined mined[4];
    assert_int_equal(mined_of(wallet(0), mined, 4), 3);
    assert_true(address_equal(&mined[0].to, wallet(0)));
    assert_true(address_equal(&mined[2].to, &coin));
    assert_int_equal(next_nonce_of_first(), 3);
}

/* A reorganisation deeper than we look: the ended intents send their bytes again. */
static void a_gap_of_our_own_is_sent_again(void **state)
{
    (void)state;
    struct slice a = submit_plain("a");
    settle();
    mine();
    settle();
    FAULT(send_error, "{\"code\":-32000,\"message\":\"exceeds block gas limit\"}");
    FAULT(send_times, 1);
    struct slice filled = submit_plain("filled");
    settle();
    mine();
    settle();
    assert_state(filled, RELAY_FAILED);
    struct slice replaced = submit_plain("replaced");
    settle();
    (void)fake_node_use_nonce(node, wallet(0));
    fake_node_forget(node);
    wait_seconds(35);
    assert_state(replaced, RELAY_REPLACED);
    mine_empty(10);
    wait_seconds(5);
    assert_true(row_of(a).final && row_of(filled).final && row_of(replaced).final);
    fake_node_set_head(node, 0);
    mine_empty(3);
    struct slice next = submit_plain("next");
    for (int i = 0; i < 6; i++) {
        wait_seconds(20);
        mine();
    }
    settle();
    assert_state(next, RELAY_MINED);
    assert_int_equal(row_of(next).nonce, 3);
    assert_state(a, RELAY_MINED);
    /* What was reported as failed has no effect now. */
    assert_state(filled, RELAY_FAILED);
    assert_state(replaced, RELAY_FAILED);
    assert_error(replaced, ERR_TX_REPLACED, "outside of this relay");
    struct fake_mined mined[8];
    assert_int_equal(mined_of(wallet(0), mined, 8), 4);
    assert_true(address_equal(&mined[0].to, &coin));
    assert_true(address_equal(&mined[1].to, wallet(0)));
    assert_true(address_equal(&mined[2].to, wallet(0)));
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        TEST(a_stuck_transaction_is_replaced),
        TEST(the_old_version_may_be_mined),
        TEST(a_chain_that_stands_still_costs_little),
        TEST(a_shelved_transaction_is_replaced),
        TEST(a_base_fee_above_its_fee_is_followed),
        TEST(bumping_ends_at_the_cap),
        TEST(a_nonce_used_elsewhere_replaces_the_intent),
        TEST(several_used_nonces_are_noticed_at_once),
        TEST(late_receipts_are_waited_for),
        TEST(a_gap_is_filled),
        TEST(a_gap_of_our_own_is_sent_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
