/*
 * Reading ahead: whatever happens to ranges that are read while others are applied, the rows are
 * those of a fresh index that reads nothing ahead.
 */
#include "unit/kernel/chain/world.h"

#include "kernel/base/rand.h"
#include "kernel/chain/chain_internal.h"

#define TOKENS 24

static struct fake_node *node;
static struct follower f;

static struct chain_config ahead_config(const char *verify)
{
    struct chain_config config = world_config();
    config.verify = verify;
    config.backfill_window = 4;
    config.reorg_depth_max = 20;
    config.undo_depth = 60;
    config.range_max = 8;
    return config;
}

static void open_ahead(const char *url, struct chain_config config)
{
    follower_open_with(&f, url, config);
    chain_free(f.chain);
    f.readers = 3;
    f.table = &world_many_table;
    follower_join(&f);
}

static int setup(void **state)
{
    (void)state;
    log_set_fd(-1);
    atomic_store(&world_busy, 0);
    atomic_store(&world_runs, 0);
    node = fake_node_start();
    f = (struct follower){.chain = NULL};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (f.chain != NULL) {
        follower_close(&f);
    }
    fake_node_stop(node);
    return 0;
}

#define AHEAD metric_get(&chain_metrics[CHAIN_METRIC_READ_AHEAD])
#define ROWS(sql) count_rows(&f, sql)

/* ---- chains ---- */

/* Small numbers that are the same in every run. */
struct dice {
    uint64_t state;
};

static unsigned roll(struct dice *d, unsigned sides)
{
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(d->state >> 33) % sides;
}

/*
 * A block of a world in which tokens move before they are announced, in the same block or long
 * before, and make one another: what counts depends on the order alone.
 */
static int extend_random(int parent, struct dice *d, uint64_t salt)
{
    struct fake_log logs[12];
    size_t count = roll(d, 3) == 0 ? 0 : 1 + roll(d, 11);
    for (size_t i = 0; i < count; i++) {
        struct address token = address_of(100 + roll(d, TOKENS));
        struct address child = address_of(100 + roll(d, TOKENS));
        struct address from = roll(d, 4) == 0 ? (struct address){{0}} : address_of(1 + roll(d, 5));
        struct address to = address_of(1 + roll(d, 5));
        struct hash tx = tx_of(d->state);
        switch (roll(d, 12)) {
        case 0:
            logs[i] = log_created(CREATED, &factory, &child, roll(d, 20), tx);
            break;
        case 1:
            logs[i] = log_created(SPLIT, &token, &child, roll(d, 20), tx);
            break;
        default: /* not an enum */
            logs[i] = log_moved(&token, &from, &to, 1 + roll(d, 20), tx);
            break;
        }
    }
    return fake_node_block(node, parent, logs, count, salt);
}

static int extend_by(int block, unsigned count, struct dice *d, uint64_t salt)
{
    for (unsigned i = 0; i < count; i++) {
        block = extend_random(block, d, salt);
    }
    return block;
}

static void set_range_limit(uint64_t blocks)
{
    fake_node_lock(node)->logs_range_max = blocks;
    fake_node_unlock(node);
}

/* ---- order ---- */

static const char *const modes[] = {"full", "headers", "trusted"};

static void ranges_read_ahead_leave_the_same_rows(void **state)
{
    (void)state;
    for (size_t mode = 0; mode < 3; mode++) {
        for (uint64_t seed = 1; seed <= 2; seed++) {
            struct dice d = {seed};
            fake_node_set_head(node, extend_by(0, 160, &d, seed));
            int64_t before = AHEAD;
            open_ahead(fake_node_url(node), ahead_config(modes[mode]));
            settle(&f);
            assert_true(cursor_of(&f) == 160);
            /* The last 20 blocks are not, and neither is the rest of a range before them. */
            assert_true(AHEAD - before >= 160 / 8 - 4);
            assert_true(ROWS("SELECT COUNT(*) FROM trace_tokens") > 3);
            assert_true(ROWS("SELECT COUNT(*) FROM blockchain_events WHERE NOT processed") > 3);
            f.readers = 0;
            assert_as_fresh(&f, node);
            follower_close(&f);
        }
    }
    assert_true(atomic_load(&world_runs) > 10);
    f.chain = NULL;
}

/* The factory announces in the first range what has logs in all that are read meanwhile. */
static void announced_while_others_are_read(void **state)
{
    (void)state;
    struct address token = address_of(5), child = address_of(6), holder = address_of(1),
                   nobody = {{0}};
    int block = 0;
    for (uint64_t i = 1; i <= 120; i++) {
        struct fake_log logs[4];
        size_t count = 0;
        if (i == 3) {
            logs[count++] = log_created(CREATED, &factory, &token, 1, tx_of(7));
        }
        if (i == 30) {
            logs[count++] = log_created(SPLIT, &token, &child, 1, tx_of(8));
        }
        logs[count++] = log_moved(&token, &nobody, &holder, 20 + i, tx_of(1000 + i));
        logs[count++] = log_moved(&child, &nobody, &holder, 20 + i, tx_of(2000 + i));
        block = fake_node_block(node, block, logs, count, 0);
    }
    fake_node_set_head(node, block);
    for (size_t mode = 0; mode < 3; mode++) {
        open_ahead(fake_node_url(node), ahead_config(modes[mode]));
        settle(&f);
        assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events"), 2 + 118 + 91);
        assert_as_fresh(&f, node);
        follower_close(&f);
    }
    f.chain = NULL;
}

static void a_contract_counts_from_its_own_block(void **state)
{
    (void)state;
    struct address token = address_of(5), holder = address_of(1), nobody = {{0}};
    static const struct chain_source sources[] = {
        {.address = {{0xfa, 0xc7}}, .contract = &factory_contract},
        {.address = {{0xad, 0, 5}}, .contract = &token_contract, .start_block = 70},
    };
    int block = 0;
    for (uint64_t i = 1; i <= 120; i++) {
        struct fake_log log = log_moved(&token, &nobody, &holder, 20 + i, tx_of(i));
        block = fake_node_block(node, block, &log, 1, 0);
    }
    fake_node_set_head(node, block);
    for (size_t mode = 0; mode < 3; mode++) {
        unsigned receipts = fake_node_calls(node, "eth_getBlockReceipts");
        follower_open_with(&f, fake_node_url(node), ahead_config(modes[mode]));
        chain_free(f.chain);
        f.readers = 2;
        f.sources = sources;
        f.source_count = 2;
        follower_join(&f);
        settle(&f);
        assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events"), 51);
        assert_int_equal(ROWS("SELECT MIN(block_number) FROM blockchain_events"), 70);
        if (mode == 0) {
            /* Of the ranges that end before its block nothing was asked. */
            receipts = fake_node_calls(node, "eth_getBlockReceipts") - receipts;
            assert_in_range(receipts, 51, 51 + 8);
        }
        follower_close(&f);
    }
    f.chain = NULL;
}

/* ---- forks ---- */

static void a_fork_among_what_is_read_ahead(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct dice d = {seed};
        int a = extend_by(0, 150, &d, seed);
        fake_node_set_head(node, a);
        struct chain_config config = ahead_config(modes[seed % 2]);
        config.reorg_depth_max = 64; /* deeper than the window is long */
        config.undo_depth = 120;
        open_ahead(fake_node_url(node), config);
        bool progress = false;
        struct why why = {0};
        for (uint64_t i = 0; i < 2 + seed; i++) {
            assert_int_equal(step(&f, &progress, &why), OK);
        }
        /* Above the cursor, at it, and below it. */
        uint64_t at = cursor_of(&f) + 8 - 4 * (seed % 4);
        int b = extend_by(fake_node_ancestor(node, a, at), 140, &d, 100 + seed);
        fake_node_set_head(node, b);
        settle(&f);
        assert_true(cursor_of(&f) == fake_node_number(node, b));
        f.readers = 0;
        assert_as_fresh(&f, node);
        follower_close(&f);
    }
    f.chain = NULL;
}

/* Every second answer is of another fork: nothing that does not link may be applied. */
static void answers_of_two_forks(void **state)
{
    (void)state;
    struct dice d = {9};
    int common = extend_by(0, 20, &d, 0);
    int a = extend_by(common, 120, &d, 1);
    int b = extend_by(common, 121, &d, 2);
    fake_node_set_head(node, a);
    fake_node_lock(node)->other = b;
    fake_node_unlock(node);
    open_ahead(fake_node_url(node), ahead_config("full"));
    struct why why = {0};
    for (int i = 0; i < 60; i++) {
        enum err e = step(&f, NULL, &why);
        assert_true(e == OK || e == ERR_NODE_RESPONSE || e == ERR_NODE_UNAVAILABLE ||
                    e == ERR_CHAIN_HALTED || e == ERR_NODE_LIED || e == ERR_NODE_RATE_LIMITED);
    }
    fake_node_lock(node)->other = FAKE_NO_BLOCK;
    fake_node_unlock(node);
    struct chain_status status;
    chain_status_read(f.chain, &status);
    if (status.halted) {
        assert_int_equal(chain_resume(f.s.store, FAKE_CHAIN_ID, status.cursor_block + 1,
                                      SLICE_LIT("root"), &why),
                         OK);
    }
    /* What was applied links, whichever fork it is of. */
    assert_int_equal(ROWS("SELECT COUNT(*) FROM chain_blocks x JOIN chain_blocks y ON "
                          "y.block_number = x.block_number + 1 AND "
                          "y.parent_hash <> x.block_hash"),
                     0);
}

/* ---- trouble ---- */

static void lies_among_what_is_read_ahead(void **state)
{
    (void)state;
    struct fake_node *honest = fake_node_start();
    struct dice d = {4};
    int last = 0;
    for (unsigned i = 0; i < 120; i++) {
        struct dice same = d;
        int block = extend_random(last, &d, 0);
        struct fake_node *liar = node;
        node = honest;
        assert_int_equal(extend_random(last, &same, 0), block);
        node = liar;
        last = block;
    }
    fake_node_set_head(node, last);
    fake_node_set_head(honest, last);
    char urls[160];
    (void)snprintf(urls, sizeof urls, "%s,%s", fake_node_url(node), fake_node_url(honest));
    open_ahead(urls, ahead_config("full"));
    struct fake_faults *faults = fake_node_lock(node);
    faults->logs_drop = 3;
    faults->logs_alter = 3;
    faults->fail_every = 7;
    fake_node_unlock(node);
    settle(&f);
    assert_true(cursor_of(&f) == 120);
    f.readers = 0;
    assert_as_fresh(&f, honest);
    fake_node_stop(honest);
}

static void a_database_that_refuses(void **state)
{
    (void)state;
    struct address token = address_of(5), holder = address_of(1), nobody = {{0}};
    int block = 0;
    for (uint64_t i = 1; i <= 120; i++) {
        struct fake_log logs[2];
        size_t count = 0;
        if (i == 1) {
            logs[count++] = log_created(CREATED, &factory, &token, 1, tx_of(7));
        }
        uint64_t amount = i % 25 == 0 ? AMOUNT_BUSY : 20 + i;
        logs[count++] = log_moved(&token, &nobody, &holder, amount, tx_of(1000 + i));
        block = fake_node_block(node, block, logs, count, 0);
    }
    fake_node_set_head(node, block);
    open_ahead(fake_node_url(node), ahead_config("full"));
    atomic_store(&world_busy, 7);
    settle(&f);
    assert_int_equal(atomic_load(&world_busy), 0);
    assert_true(cursor_of(&f) == 120);
    assert_as_fresh(&f, node);
}

static void refused_events_are_told_from_those_beside_them(void **state)
{
    (void)state;
    struct address token = address_of(5), holder = address_of(1), nobody = {{0}};
    int block = 0;
    for (uint64_t i = 1; i <= 100; i++) {
        struct fake_log logs[6];
        size_t count = 0;
        if (i == 1) {
            logs[count++] = log_created(CREATED, &factory, &token, 1, tx_of(7));
        }
        for (uint64_t k = 0; k < 5; k++) {
            uint64_t amount = i % 20 == 7 && k == 2 ? AMOUNT_REFUSED : 20 + i + k;
            logs[count++] = log_moved(&token, &nobody, &holder, amount, tx_of(1000 * k + i + 100));
        }
        block = fake_node_block(node, block, logs, count, 0);
    }
    fake_node_set_head(node, block);
    open_ahead(fake_node_url(node), ahead_config("full"));
    settle(&f);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events WHERE NOT processed"), 5);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM trace_journal"), 1 + 500 - 5);
    /* The fresh one applies them one by one. */
    f.table = &world_table;
    assert_as_fresh(&f, node);
}

static void limits_that_shrink_meanwhile(void **state)
{
    (void)state;
    struct dice d = {5};
    fake_node_set_head(node, extend_by(0, 200, &d, 0));
    open_ahead(fake_node_url(node), ahead_config("headers"));
    bool progress = false;
    struct why why = {0};
    static const uint64_t limits[] = {0, 5, 3, 1};
    for (size_t i = 0; i < 4; i++) {
        set_range_limit(limits[i]);
        for (int k = 0; k < 3; k++) {
            enum err e = step(&f, &progress, &why);
            if (e != OK || !progress) {
                fail_msg("%s %s", err_code(e), why_text(&why, e));
            }
        }
    }
    settle(&f);
    assert_int_equal(atomic_load(&f.chain->span), 1);
    assert_true(cursor_of(&f) == 200);
    set_range_limit(0);
    assert_as_fresh(&f, node);
}

static void a_range_ends_before_it_is_too_large(void **state)
{
    (void)state;
    struct address token = address_of(5), nobody = {{0}};
    struct fake_log *logs = mem_alloc(151 * sizeof *logs);
    int block = 0;
    for (uint64_t i = 1; i <= 48; i++) {
        size_t count = 0;
        if (i == 1) {
            logs[count++] = log_created(CREATED, &factory, &token, 1, tx_of(7));
        }
        for (uint64_t k = 0; k < 150; k++) {
            struct address to = address_of(1 + (unsigned)(k % 7));
            logs[count++] = log_moved(&token, &nobody, &to, 20 + k, tx_of(1000 * i + k));
        }
        block = fake_node_block(node, block, logs, count, 0);
    }
    mem_free(logs);
    struct dice d = {1};
    fake_node_set_head(node, extend_by(block, 40, &d, 0));
    struct chain_config config = ahead_config("headers");
    config.range_max = 48;
    open_ahead(fake_node_url(node), config);
    settle(&f);
    assert_true(cursor_of(&f) == 88);
    assert_true(ROWS("SELECT COUNT(*) FROM trace_journal") > 48 * 150);
    assert_true(atomic_load(&f.chain->span_fit) < 48);
    assert_as_fresh(&f, node);
}

static void stopped_at_any_time(void **state)
{
    (void)state;
    struct dice d = {6};
    fake_node_set_head(node, extend_by(0, 300, &d, 0));
    open_ahead(fake_node_url(node), ahead_config("full"));
    struct why why = {0};
    for (int i = 0; i < 12; i++) {
        assert_int_equal(chain_start(f.chain, &why), OK);
        clock_sleep_usec((int64_t)rand_below(6000));
        chain_stop(f.chain);
        if (i % 3 == 0) {
            chain_free(f.chain);
            follower_join(&f);
        }
    }
    settle(&f);
    f.readers = 0;
    assert_as_fresh(&f, node);
}

/* Without readers there is no thread but the caller's, whatever the window. */
static void nothing_is_read_ahead_without_readers(void **state)
{
    (void)state;
    struct dice d = {7};
    fake_node_set_head(node, extend_by(0, 100, &d, 0));
    int64_t before = AHEAD;
    follower_open_with(&f, fake_node_url(node), ahead_config("full"));
    assert_null(f.chain->window);
    settle(&f);
    assert_int_equal(AHEAD - before, 0);
    assert_as_fresh(&f, node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ranges_read_ahead_leave_the_same_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(announced_while_others_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_contract_counts_from_its_own_block, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fork_among_what_is_read_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_of_two_forks, setup, teardown),
        cmocka_unit_test_setup_teardown(lies_among_what_is_read_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(a_database_that_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_events_are_told_from_those_beside_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(limits_that_shrink_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(a_range_ends_before_it_is_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(stopped_at_any_time, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_read_ahead_without_readers, setup, teardown),
    };
    world_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
