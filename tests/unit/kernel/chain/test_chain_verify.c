/*
 * Nodes that lie, followed with `verify` full: no row comes from a lie, whoever told it is benched
 * and counted, an honest node beside it is enough, and alone it stops the cursor.
 */
#include "unit/kernel/chain/world.h"

#include "kernel/rpc/pool.h"

#define BLOCKS 30

static struct fake_node *liar, *honest;
static struct follower f;
static int head;

/* Both nodes have the same blocks: the same calls make the same ones. */
static int put_on_both(int parent, const struct fake_log *logs, size_t count, uint64_t salt)
{
    int block = fake_node_block(honest, parent, logs, count, salt);
    assert_int_equal(fake_node_block(liar, parent, logs, count, salt), block);
    fake_node_set_head(honest, block);
    fake_node_set_head(liar, block);
    return block;
}

static void move(uint64_t i)
{
    struct address token = address_of(5), from = address_of(1),
                   to = address_of(2 + (unsigned)(i % 3));
    struct fake_log logs[3] = {
        log_moved(&token, &from, &to, 20 + i, tx_of(2 * i)),
        log_moved(&token, &to, &from, 1 + i % 7, tx_of(2 * i)),
        log_moved(&token, &from, &to, 100 + i, tx_of(2 * i + 1)),
    };
    head = put_on_both(head, logs, 3, i);
}

static int setup(void **state)
{
    (void)state;
    log_set_fd(-1);
    atomic_store(&world_busy, 0);
    liar = fake_node_start();
    honest = fake_node_start();
    struct address token = address_of(5);
    struct fake_log created = log_created(CREATED, &factory, &token, 1, tx_of(1000));
    head = put_on_both(0, &created, 1, 0);
    for (uint64_t i = 1; i < BLOCKS; i++) {
        move(i);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    follower_close(&f);
    fake_node_stop(liar);
    fake_node_stop(honest);
    return 0;
}

static void open_with(bool with_honest)
{
    char urls[160];
    (void)snprintf(urls, sizeof urls, "%s%s%s", fake_node_url(liar), with_honest ? "," : "",
                   with_honest ? fake_node_url(honest) : "");
    follower_open_with(&f, urls, world_config());
}

static int64_t lies(enum rpc_lie kind)
{
    return metric_get(&rpc_metrics[RPC_METRIC_LIES + (int)kind]);
}

/* The ways to lie about a block's logs, and what the lie is counted as. */
static const struct {
    const char *name;
    size_t fault; /* offset of a counter of struct fake_faults */
    enum rpc_lie kind;
} ways[] = {
    {"nothing where there are logs", offsetof(struct fake_faults, logs_empty), RPC_LIE_RECEIPTS},
    {"a log less", offsetof(struct fake_faults, logs_drop), RPC_LIE_RECEIPTS},
    {"another value", offsetof(struct fake_faults, logs_alter), RPC_LIE_RECEIPTS},
    {"another transaction's hash", offsetof(struct fake_faults, txs_rename), RPC_LIE_RECEIPTS},
    {"another transaction", offsetof(struct fake_faults, txs_alter), RPC_LIE_TRANSACTIONS},
};
#define WAYS (sizeof ways / sizeof ways[0])

static void lie(size_t way, unsigned times)
{
    struct fake_faults *faults = fake_node_lock(liar);
    *(unsigned *)((char *)faults + ways[way].fault) = times;
    fake_node_unlock(liar);
}

static void an_honest_node_beside_a_liar_is_enough(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        /* A single receipt is not empty without being another's. */
        int modes = ways[way].fault == offsetof(struct fake_faults, logs_empty) ? 1 : 2;
        for (int singles = 0; singles < modes; singles++) {
            int64_t before = lies(ways[way].kind);
            open_with(true);
            fake_node_lock(liar)->no_block_receipts = singles == 1;
            fake_node_unlock(liar);
            fake_node_lock(honest)->no_block_receipts = singles == 1;
            fake_node_unlock(honest);
            lie(way, 1);
            settle(&f);
            if (lies(ways[way].kind) != before + 1) {
                fail_msg("%s: %lld lies noticed", ways[way].name,
                         (long long)(lies(ways[way].kind) - before));
            }
            assert_true(cursor_of(&f) == BLOCKS);
            assert_as_fresh(&f, honest);
            follower_close(&f);
        }
    }
    open_with(true); /* for the teardown */
}

static void a_liar_alone_stops_the_cursor(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        struct why why = {0};
        open_with(false);
        lie(way, UINT32_MAX);
        assert_int_equal(step(&f, NULL, &why), ERR_NODE_LIED);
        assert_int_equal(step(&f, NULL, &why), ERR_NODE_LIED);
        assert_non_null(strstr(why.text, fake_node_url(liar)));
        assert_true(cursor_of(&f) == 0);
        assert_int_equal(count_rows(&f, "SELECT COUNT(*) FROM blockchain_events"), 0);
        assert_int_equal(count_rows(&f, "SELECT COUNT(*) FROM trace_journal"), 0);
        lie(way, 0);
        follower_close(&f);
    }
    open_with(false);
}

/* What was right before the lie stays, and nothing of the block with the lie comes after it. */
static void a_lie_late_in_the_history_keeps_what_was_proven(void **state)
{
    (void)state;
    open_with(false);
    settle(&f);
    assert_true(cursor_of(&f) == BLOCKS);
    int64_t rows = count_rows(&f, "SELECT COUNT(*) FROM blockchain_events");
    move(BLOCKS);
    lie(1, 1);
    assert_int_equal(step(&f, NULL, NULL), ERR_NODE_LIED);
    assert_true(cursor_of(&f) == BLOCKS);
    assert_int_equal(count_rows(&f, "SELECT COUNT(*) FROM blockchain_events"), rows);
}

static void receipts_one_by_one_prove_as_much(void **state)
{
    (void)state;
    open_with(false);
    fake_node_lock(liar)->no_block_receipts = true;
    fake_node_unlock(liar);
    settle(&f);
    assert_true(cursor_of(&f) == BLOCKS);
    /* Once it has said that it lacks the method, it is not asked for it again and again. */
    assert_in_range(fake_node_calls(liar, "eth_getBlockReceipts"), 1, 16);
    assert_in_range(fake_node_calls(liar, "eth_getTransactionReceipt"), 2 * BLOCKS - 1, 2 * BLOCKS);
    assert_as_fresh(&f, honest);
}

static void the_thread_says_why_it_waits(void **state)
{
    (void)state;
    struct chain_status status = {0};
    struct why why = {0};
    open_with(false);
    lie(2, UINT32_MAX);
    assert_int_equal(chain_start(f.chain, &why), OK);
    for (int i = 0; i < 1000 && status.waiting_why[0] == '\0'; i++) {
        clock_sleep_usec(5000);
        chain_status_read(f.chain, &status);
    }
    assert_non_null(strstr(status.waiting_why, "receipts are not those of block"));
    assert_non_null(strstr(status.waiting_why, fake_node_url(liar)));
    assert_false(status.synced);
    assert_false(status.node_ok);
    chain_stop(f.chain);
}

static void synced_is_said_when_all_is_applied(void **state)
{
    (void)state;
    struct chain_status status = {0};
    struct why why = {0};
    open_with(true);
    assert_int_equal(chain_start(f.chain, &why), OK);
    for (int i = 0; i < 2000 && !status.synced; i++) {
        clock_sleep_usec(5000);
        chain_status_read(f.chain, &status);
    }
    assert_true(status.synced);
    assert_true(status.cursor_block == BLOCKS);
    assert_int_equal(status.verify, CHAIN_VERIFY_FULL);
    chain_stop(f.chain);
}

/* ---- nodes that disagree ---- */

/* The liar's chain is another from a block on: consistent, and as long. */
static void fork_liar(uint64_t from)
{
    int block = fake_node_ancestor(liar, head, from - 1);
    struct address token = address_of(5), thief = address_of(99), victim = address_of(1);
    for (uint64_t i = from; i <= BLOCKS; i++) {
        struct fake_log log = log_moved(&token, &victim, &thief, i, tx_of(5000 + i));
        block = fake_node_block(liar, block, &log, 1, 7000 + i);
    }
    fake_node_set_head(liar, block);
}

static void open_in_order(const char *first, const char *second, const char *third, uint32_t quorum)
{
    char urls[240];
    (void)snprintf(urls, sizeof urls, "%s,%s%s%s", first, second, third != NULL ? "," : "",
                   third != NULL ? third : "");
    follower_open_with(&f, urls, world_config());
    f.pool->options.quorum = quorum;
}

static void settle_slowly(void)
{
    for (int i = 0; i < 400 && cursor_of(&f) < BLOCKS; i++) {
        (void)step(&f, NULL, NULL);
        clock_sleep_usec(10000);
    }
    assert_true(cursor_of(&f) == BLOCKS);
}

static void the_first_of_two_forks_counts(void **state)
{
    (void)state;
    int64_t before = lies(RPC_LIE_FORK);
    fork_liar(10);
    open_in_order(fake_node_url(honest), fake_node_url(liar), NULL, 1);
    settle_slowly();
    assert_as_fresh(&f, honest);
    /* One disagreement is no lie yet; the third in a row is. A late vote counts at the next one. */
    assert_int_equal(lies(RPC_LIE_FORK), before);
    for (uint64_t i = 0; i < 3 || (i < 100 && lies(RPC_LIE_FORK) == before); i++) {
        head = fake_node_block(honest, head, NULL, 0, 8000 + i);
        fake_node_set_head(honest, head);
        int other = fake_node_block(liar, fake_node_head(liar), NULL, 0, 9000 + i);
        fake_node_set_head(liar, other);
        assert_int_equal(step(&f, NULL, NULL), OK);
    }
    assert_int_equal(lies(RPC_LIE_FORK), before + 1);
    assert_as_fresh(&f, honest);
}

static void most_nodes_outvote_the_first(void **state)
{
    (void)state;
    struct fake_node *third = fake_node_start();
    int64_t before = lies(RPC_LIE_FORK);
    fork_liar(10);
    int top = 0;
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        const struct fake_block *b = &honest->blocks[fake_node_ancestor(honest, head, number)];
        top = fake_node_block(third, top, b->logs, b->log_count, b->salt);
    }
    fake_node_set_head(third, top);
    open_in_order(fake_node_url(liar), fake_node_url(honest), fake_node_url(third), 2);
    settle_slowly();
    assert_as_fresh(&f, honest);
    assert_int_equal(lies(RPC_LIE_FORK), before + 1);
    fake_node_stop(third);
}

static void without_a_quorum_the_cursor_stays(void **state)
{
    (void)state;
    struct why why = {0};
    fork_liar(10);
    open_in_order(fake_node_url(liar), fake_node_url(honest), NULL, 2);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(step(&f, NULL, &why), ERR_NODE_UNAVAILABLE);
        assert_non_null(strstr(why.text, "chain.quorum asks for 2"));
    }
    assert_true(cursor_of(&f) == 0);
    assert_int_equal(count_rows(&f, "SELECT COUNT(*) FROM blockchain_events"), 0);
}

/* It answers, and everything that it says is true, of days ago. */
static void a_node_that_is_stuck_is_passed_by(void **state)
{
    (void)state;
    fake_node_lock(liar)->lag = 20;
    fake_node_unlock(liar);
    open_with(true);
    settle(&f);
    assert_true(cursor_of(&f) == BLOCKS);
    assert_as_fresh(&f, honest);
}

/* It may be followed while nobody else can be asked, and no longer. */
static void a_fork_of_one_node_is_left_again(void **state)
{
    (void)state;
    open_in_order(fake_node_url(honest), fake_node_url(liar), NULL, 1);
    settle_slowly();
    int64_t rows = count_rows(&f, "SELECT COUNT(*) FROM blockchain_events");
    fork_liar(BLOCKS - 3);
    /* The honest node is not asked for a moment: the liar's fork is all that can be read. */
    fake_node_lock(honest)->fail = 1;
    fake_node_unlock(honest);
    for (int i = 0; i < 20; i++) {
        (void)step(&f, NULL, NULL);
        clock_sleep_usec(20000);
    }
    settle(&f);
    assert_int_equal(count_rows(&f, "SELECT COUNT(*) FROM blockchain_events"), rows);
    assert_as_fresh(&f, honest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    world_init();
    const struct CMUnitTest tests[] = {
        TEST(an_honest_node_beside_a_liar_is_enough),
        TEST(a_liar_alone_stops_the_cursor),
        TEST(a_lie_late_in_the_history_keeps_what_was_proven),
        TEST(receipts_one_by_one_prove_as_much),
        TEST(the_thread_says_why_it_waits),
        TEST(synced_is_said_when_all_is_applied),
        TEST(the_first_of_two_forks_counts),
        TEST(most_nodes_outvote_the_first),
        TEST(without_a_quorum_the_cursor_stays),
        TEST(a_node_that_is_stuck_is_passed_by),
        TEST(a_fork_of_one_node_is_left_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
