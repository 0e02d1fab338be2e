/*
 * After the receipt: reorganisations, and when they cannot come any more.
 */
#include "unit/kernel/relay/fake.h"

/* recheck lets the relay look at mined intents once more. */
static void recheck(void)
{
    push(3 * SECONDS);
    settle();
}

static void a_transaction_that_fell_out_is_sent_again(void **state)
{
    (void)state;
    mine_empty(2);
    int fork = fake_node_head(node);
    struct slice id = submit_plain("a");
    settle();
    mine();
    settle();
    struct hash hash = row_of(id).hash;
    assert_state(id, RELAY_MINED);
    fake_node_set_head(node, fake_node_block(node, fork, NULL, 0, 5));
    recheck();
    assert_state(id, RELAY_SENT);
    assert_false(row_of(id).has_block);
    assert_int_equal(fake_node_pool(node), 1);
    mine();
    settle();
    struct relay_row row = row_of(id);
    assert_int_equal(row.state, RELAY_MINED);
    assert_true(hash_equal(&row.hash, &hash));
    assert_int_equal(row.attempts, 1);
    assert_int_equal(row.block_number, 4);
    assert_string_equal(history(id), "signed sent mined signed sent mined");
    assert_int_equal(mined_count(), 1);
}

static void a_reorganisation_that_the_follower_saw_is_looked_at_at_once(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    settle();
    mine();
    settle();
    recheck();
    fake_node_set_head(node, fake_node_block(node, 0, NULL, 0, 5));
    settle();
    assert_state(id, RELAY_MINED); /* it looks every two seconds */
    store_wake(w.s.store, "chain_reorg");
    settle();
    assert_state(id, RELAY_SENT);
}

static void a_transaction_may_move_to_another_block(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    settle();
    mine();
    settle();
    struct relay_row before = row_of(id);
    /* The same transaction is in the pool of the miner of the other fork. */
    fake_node_set_head(node, fake_node_block(node, 0, NULL, 0, 5));
    give_attempt(id, 1);
    FAULT(revert_mined, 1);
    mine();
    recheck();
    struct relay_row row = row_of(id);
    assert_int_equal(row.state, RELAY_REVERTED); /* on other ground it does something else */
    assert_int_equal(row.block_number, 2);
    assert_false(hash_equal(&row.block_hash, &before.block_hash));
    assert_error(id, ERR_REVERTED, "reverted");
    fake_node_set_head(node, fake_node_block(node, 0, NULL, 0, 6));
    give_attempt(id, 1);
    mine();
    recheck();
    assert_state(id, RELAY_MINED);
    assert_int_equal(row_of(id).error_code.len, 0);
    assert_string_equal(history(id), "signed sent mined reverted mined");
}

static void a_reverted_one_that_fell_out_has_another_chance(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    settle();
    FAULT(revert_mined, 1);
    mine();
    settle();
    assert_state(id, RELAY_REVERTED);
    fake_node_set_head(node, fake_node_block(node, 0, NULL, 0, 5));
    recheck();
    assert_state(id, RELAY_SENT);
    assert_int_equal(row_of(id).error_code.len, 0);
    mine();
    settle();
    assert_state(id, RELAY_MINED);
}

static void a_filler_that_fell_out_is_sent_again(void **state)
{
    (void)state;
    FAULT(send_error, "{\"code\":-32000,\"message\":\"exceeds block gas limit\"}");
    FAULT(send_times, 1);
    struct slice id = submit_plain("a");
    settle();
    mine();
    settle();
    assert_state(id, RELAY_FAILED);
    fake_node_set_head(node, fake_node_block(node, 0, NULL, 0, 5));
    recheck();
    mine();
    settle();
    assert_state(id, RELAY_FAILED);
    assert_error(id, ERR_NODE_ERROR, "exceeds block gas limit");
    struct fake_mined mined[2];
    assert_int_equal(mined_of(wallet(0), mined, 2), 1);
    assert_true(address_equal(&mined[0].to, wallet(0)));
}

static void a_node_that_is_behind_takes_nothing_away(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    settle();
    mine();
    mine_empty(2);
    settle();
    assert_state(id, RELAY_MINED);
    for (int i = 0; i < 5; i++) {
        FAULT(lag, 3);
        wait_seconds(8);
        assert_state(id, RELAY_MINED);
        FAULT(lag, 0);
        wait_seconds(3);
    }
    assert_string_equal(history(id), "signed sent mined");
}

/* A chain that was set back stays short until somebody mines: we must send. */
static void a_chain_that_was_set_back_gets_it_again(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    settle();
    mine();
    settle();
    fake_node_set_head(node, 0);
    wait_seconds(15);
    assert_state(id, RELAY_SENT);
    assert_int_equal(fake_node_pool(node), 1);
    mine();
    settle();
    assert_state(id, RELAY_MINED);
}

static void finality_comes_block_by_block(void **state)
{
    (void)state;
    enum { INTENTS = 300 };
    fake_node_set_automine(node, true);
    for (size_t i = 0; i < INTENTS; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        (void)submit_plain(slice_cstr(&w.arena, slice_text(key)));
    }
    settle();
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4"), INTENTS);
    unsigned receipts = fake_node_calls(node, "eth_getTransactionReceipt");
    for (int i = 0; i < 10; i++) {
        recheck();
    }
    assert_int_equal(fake_node_calls(node, "eth_getTransactionReceipt"), receipts);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE NOT final"), 8);
    assert_int_equal(count_rows("SELECT MIN(block_number) FROM relay_intents WHERE NOT final"),
                     INTENTS - 7);
}

/* More mined intents than one pass looks at, and the newest fall out. */
static void the_newest_are_looked_at_first(void **state)
{
    (void)state;
    enum { INTENTS = 700 };
    w.config.final_depth = 100000;
    w.config.inflight_max = 1000;
    world_renew();
    fake_node_set_automine(node, true);
    for (size_t i = 0; i < INTENTS; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        (void)submit_plain(slice_cstr(&w.arena, slice_text(key)));
    }
    settle();
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4"), INTENTS);
    fake_node_set_automine(node, false);
    int fork = fake_node_ancestor(node, fake_node_head(node), INTENTS - 3);
    for (int i = 0; i < 4; i++) {
        fork = fake_node_block(node, fork, NULL, 0, 9);
    }
    fake_node_set_head(node, fork);
    recheck();
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 3"), 3);
    mine();
    settle();
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4"), INTENTS);
}

/* ---- any history of forks ---- */

static uint64_t draw_seed;

static uint64_t draw(uint64_t bound)
{
    uint64_t z = (draw_seed += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % bound;
}

static void one_history(uint64_t seed)
{
    size_t submitted = 0;
    uint64_t salt = 0;
    draw_seed = seed;
    for (int round = 0; round < 120; round++) {
        for (uint64_t i = draw(4); i > 0; i--) {
            char key[16];
            (void)snprintf(key, sizeof key, "k%zu", submitted++);
            struct relay_intent intent = plain(slice_cstr(&w.arena, slice_text(key)));
            intent.wallet = *wallet(draw(WALLETS));
            (void)submit(&intent);
        }
        (void)step_once(NULL, NULL);
        if (draw(2) == 0) {
            (void)fake_node_mine(node, draw(8));
        }
        if (draw(8) == 0) { /* another fork, up to six blocks deep */
            uint64_t top = fake_node_number(node, fake_node_head(node));
            uint64_t depth = 1 + draw(6);
            int at = fake_node_ancestor(node, fake_node_head(node), top > depth ? top - depth : 0);
            for (uint64_t i = draw(3) + depth; i > 0; i--) {
                at = fake_node_block(node, at, NULL, 0, ++salt);
            }
            fake_node_set_head(node, at);
        }
        push((int64_t)draw(3000000));
        if (draw(40) == 0) {
            world_renew();
        }
    }
    for (int i = 0; i < 60; i++) {
        push(3 * SECONDS);
        (void)step_once(NULL, NULL);
        mine();
    }
    settle();
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4"), submitted);
    assert_int_equal(mined_count(), submitted);
}

static void any_history_of_forks_mines_each_intent_once(void **state)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        if (seed > 1) {
            assert_int_equal(setup(state), 0);
        }
        one_history(seed);
        if (seed < 12) {
            assert_int_equal(teardown(state), 0);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        TEST(a_transaction_that_fell_out_is_sent_again),
        TEST(a_reorganisation_that_the_follower_saw_is_looked_at_at_once),
        TEST(a_transaction_may_move_to_another_block),
        TEST(a_reverted_one_that_fell_out_has_another_chance),
        TEST(a_filler_that_fell_out_is_sent_again),
        TEST(a_node_that_is_behind_takes_nothing_away),
        TEST(a_chain_that_was_set_back_gets_it_again),
        TEST(finality_comes_block_by_block),
        TEST(the_newest_are_looked_at_first),
        TEST(any_history_of_forks_mines_each_intent_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
