/*
 * Following a chain, tested on a fake node whose blocks the test makes. The measure of nearly all
 * tests is the header's invariant: whatever happened on the way, the rows are those of a fresh
 * index of the canonical chain.
 */
#include "unit/kernel/chain/world.h"

#include <fcntl.h>

#include "kernel/base/rand.h"
#include "kernel/chain/chain_internal.h"

#define NOBODY ((struct address){{0}})

static struct fake_node *node;
static struct follower f;

static int setup(void **state)
{
    (void)state;
    log_set_fd(-1);
    atomic_store(&world_busy, 0);
    atomic_store(&world_applied, 0);
    node = fake_node_start();
    follower_open_with(&f, fake_node_url(node), world_config());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    follower_close(&f);
    fake_node_stop(node);
    return 0;
}

/* reopen makes the follower anew with another configuration, before it has done anything. */
static void reopen(struct chain_config config, const struct chain_source *sources, size_t count)
{
    follower_close(&f);
    follower_open_with(&f, fake_node_url(node), config);
    chain_free(f.chain);
    f.sources = sources;
    f.source_count = count;
    follower_join(&f);
}

/* ---- making chains ---- */

/* extend puts a block on `parent` and makes it the head. */
static int extend(int parent, const struct fake_log *logs, size_t count, uint64_t salt)
{
    int block = fake_node_block(node, parent, logs, count, salt);
    fake_node_set_head(node, block);
    return block;
}

static int extend_empty(int parent, unsigned count, uint64_t salt)
{
    for (unsigned i = 0; i < count; i++) {
        parent = extend(parent, NULL, 0, salt);
    }
    return parent;
}

/* A block that makes a token and gives 1000 of it to holder 1. */
static int extend_token(int parent, unsigned token, uint64_t salt)
{
    struct address t = address_of(token);
    struct address to = address_of(1);
    struct hash tx = tx_of(10000 + token);
    struct fake_log logs[] = {
        log_moved(&t, &NOBODY, &to, 1000, tx),
        log_created(CREATED, &factory, &t, 1, tx),
    };
    return extend(parent, logs, 2, salt);
}

/* A block with one transfer of the token. */
static int extend_move(int parent, unsigned token, unsigned from, unsigned to, uint64_t amount,
                       uint64_t tx)
{
    struct address t = address_of(token);
    struct address a = from == 0 ? NOBODY : address_of(from);
    struct address b = address_of(to);
    struct fake_log log = log_moved(&t, &a, &b, amount, tx_of(tx));
    return extend(parent, &log, 1, 0);
}

static void assert_steps(enum err expected)
{
    struct why why = {0};
    enum err e = step(&f, NULL, &why);
    if (e != expected) {
        fail_msg("%s instead of %s: %s", err_code(e), err_code(expected), why_text(&why, e));
    }
}

#define ROWS(sql) count_rows(&f, sql)
#define JOURNAL ROWS("SELECT COUNT(*) FROM trace_journal")
#define REORGS ROWS("SELECT COUNT(*) FROM chain_reorgs")

/* ---- order, once ---- */

static void events_are_applied_in_order_and_once(void **state)
{
    (void)state;
    struct address t = address_of(5);
    struct address a = address_of(1);
    struct address b = address_of(2);
    struct fake_log logs[] = {
        log_created(CREATED, &factory, &t, 1, tx_of(1)), log_moved(&t, &NOBODY, &a, 100, tx_of(1)),
        log_moved(&t, &a, &b, 60, tx_of(2)), /* fails in any other order */
    };
    int block = extend_empty(0, 3, 0);
    block = extend(block, logs, 3, 0);
    struct fake_log back = log_moved(&t, &b, &a, 60, tx_of(3));
    block = extend(block, &back, 1, 0);
    settle(&f);
    assert_int_equal(atomic_load(&world_applied), 4);
    settle(&f);
    assert_int_equal(atomic_load(&world_applied), 4);
    assert_int_equal(JOURNAL, 4);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events WHERE processed"), 4);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM trace_journal j JOIN trace_journal k ON "
                          "k.position > j.position AND (k.block_number, k.log_index) < "
                          "(j.block_number, j.log_index)"),
                     0);
    assert_int_equal(ROWS("SELECT balance + 0 FROM trace_balances"), 100);
    assert_true(cursor_of(&f) == 5);
    assert_as_fresh(&f, node);
}

static void event_rows_say_what_happened(void **state)
{
    (void)state;
    struct address t = address_of(5);
    struct fake_log logs[] = {
        log_created(CREATED, &factory, &t, 1, tx_of(1)),
        log_moved(&t, &NOBODY, &t, 7, tx_of(1)),
    };
    struct fake_log strange = logs[0];
    strange.topics[0] = tx_of(99); /* an event that the binding does not know */
    struct fake_log all[] = {logs[0], logs[1], strange};
    (void)extend(0, all, 3, 0);
    settle(&f);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events WHERE event_type = 'Moved' AND "
                          "event_data->>'amount' = '7' AND "
                          "event_data->>'from' = '0x0000000000000000000000000000000000000000' AND "
                          "created_at = (1700000000 + 12) * 1000000 AND error IS NULL"),
                     1);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events WHERE event_type = 'unknown' "
                          "AND processed AND json_array_length(event_data->'topics') = 2"),
                     1);
}

static void cursor_and_rows_are_one_transaction(void **state)
{
    (void)state;
    /* The last event of the range stops the batch: nothing of the range may be there. */
    int block = extend_token(0, 5, 0);
    block = extend_move(block, 5, 1, 2, 10, 1);
    (void)extend_move(block, 5, 1, 2, AMOUNT_BUSY, 2);
    atomic_store(&world_busy, 1);
    assert_steps(ERR_DB_BUSY);
    assert_int_equal(JOURNAL, 0);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events"), 0);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM chain_blocks"), 1);
    assert_int_equal(ROWS("SELECT block_number FROM chain_cursors"), 0);
    settle(&f);
    assert_int_equal(JOURNAL, 4);
    assert_as_fresh(&f, node);
}

/* ---- reorganisations ---- */

static void reorganisation_of_any_allowed_depth(void **state)
{
    (void)state;
    int block = extend_token(0, 5, 0);
    for (uint64_t i = 1; i < 80; i++) {
        block = extend_move(block, 5, 1, 2 + (unsigned)(i % 3), 1, i);
    }
    settle(&f);
    uint64_t tx = 1000;
    int64_t deep = metric_get(&chain_metrics[CHAIN_METRIC_REORGS_DEEP]);
    for (uint64_t depth = 1; depth <= 64; depth += depth < 8 ? 1 : 7) {
        uint64_t top = fake_node_number(node, block);
        int fork = fake_node_ancestor(node, block, top - depth);
        for (uint64_t i = 0; i <= depth; i++) {
            fork = extend_move(fork, 5, 1, 2 + (unsigned)(tx % 5), 1, tx);
            tx++;
        }
        block = fork;
        settle(&f);
        assert_true(cursor_of(&f) == fake_node_number(node, block));
        struct chain_status status;
        chain_status_read(f.chain, &status);
        assert_int_equal(status.reorg_depth_last, depth);
        assert_as_fresh(&f, node);
    }
    assert_int_equal(REORGS, 16);
    /* All but those of depth 1, 2 and 3. */
    assert_int_equal(metric_get(&chain_metrics[CHAIN_METRIC_REORGS_DEEP]) - deep, 13);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM chain_reorgs WHERE changes_undone = 0"), 0);
}

static void back_to_the_first_fork(void **state)
{
    (void)state;
    int common = extend_token(0, 5, 0);
    int a = common;
    int b = common;
    for (uint64_t i = 1; i <= 6; i++) {
        a = extend_move(a, 5, 1, 2, i, i);
    }
    settle(&f);
    struct arena arena;
    arena_init(&arena, 0);
    struct slice before = dump(&arena, f.s.path);
    for (uint64_t i = 1; i <= 6; i++) {
        b = extend_move(b, 5, 1, 3, i, 100 + i);
    }
    for (int i = 0; i < 5; i++) {
        fake_node_set_head(node, b);
        settle(&f);
        assert_as_fresh(&f, node);
        fake_node_set_head(node, a);
        settle(&f);
    }
    assert_true(slice_equal(before, dump(&arena, f.s.path)));
    assert_int_equal(REORGS, 10);
    arena_free(&arena);
}

static void reorganisation_while_catching_up(void **state)
{
    (void)state;
    int block = extend_token(0, 5, 0);
    for (uint64_t i = 1; i < 60; i++) {
        block = extend_move(block, 5, 1, 2, 1, i);
    }
    bool progress = false;
    struct why why = {0};
    assert_int_equal(step(&f, &progress, &why), OK); /* 16 blocks */
    assert_true(cursor_of(&f) == 16);
    int fork = fake_node_ancestor(node, block, 10);
    for (uint64_t i = 0; i < 55; i++) {
        fork = extend_move(fork, 5, 1, 3, 1, 200 + i);
    }
    settle(&f);
    assert_int_equal(REORGS, 1);
    assert_as_fresh(&f, node);
}

static void shorter_chain_is_undone_when_it_differs(void **state)
{
    (void)state;
    int block = extend_token(0, 5, 0);
    for (uint64_t i = 1; i <= 9; i++) {
        block = extend_move(block, 5, 1, 2, 1, i);
    }
    settle(&f);
    /* Its own blocks, fewer of them: perhaps it is only behind. */
    int five = fake_node_ancestor(node, block, 5);
    fake_node_set_head(node, five);
    settle(&f);
    assert_true(cursor_of(&f) == 10);
    assert_int_equal(REORGS, 0);
    /* One other block proves it. */
    int other = extend_move(five, 5, 1, 3, 4, 50);
    settle(&f);
    assert_true(cursor_of(&f) == 6);
    assert_int_equal(REORGS, 1);
    assert_as_fresh(&f, node);
    (void)extend_empty(other, 2, 7);
    settle(&f);
    assert_as_fresh(&f, node);
}

static void same_transaction_in_another_block(void **state)
{
    (void)state;
    int token = extend_token(0, 5, 0);
    int a = extend_move(token, 5, 1, 2, 10, 1);
    a = extend_move(a, 5, 2, 3, 10, 2);
    settle(&f);
    /* The same two transactions, one block later and together, and with other log indices. */
    struct address t = address_of(5);
    struct address h1 = address_of(1);
    struct address h2 = address_of(2);
    struct address h3 = address_of(3);
    struct fake_log logs[] = {
        log_moved(&t, &h1, &h3, 1, tx_of(9)),
        log_moved(&t, &h1, &h2, 10, tx_of(1)),
        log_moved(&t, &h2, &h3, 10, tx_of(2)),
    };
    int b = extend_empty(token, 1, 3);
    b = extend(b, logs, 3, 3);
    settle(&f);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events"), 5);
    assert_as_fresh(&f, node);
    fake_node_set_head(node, extend_empty(a, 2, 0));
    settle(&f);
    assert_as_fresh(&f, node);
}

static void reorganisation_below_the_first_block(void **state)
{
    (void)state;
    struct chain_config config = world_config();
    config.start_block = 21;
    int common = extend_empty(0, 10, 0);
    int a = extend_empty(common, 10, 1);
    reopen(config, NULL, 0);
    a = extend_token(a, 5, 1);
    settle(&f);
    assert_true(cursor_of(&f) == 21);
    assert_int_equal(JOURNAL, 2);
    int b = extend_empty(common, 10, 2);
    b = extend_token(b, 6, 2);
    settle(&f);
    assert_true(cursor_of(&f) == 21);
    assert_int_equal(REORGS, 1);
    assert_as_fresh(&f, node);
    /* Once something older than what is remembered was applied, that would be wrong. */
    (void)a;
    (void)extend_empty(b, 3, 0);
    settle(&f);
    assert_as_fresh(&f, node);
}

/* ---- too deep ---- */

static void too_deep_halts_until_a_human_decides(void **state)
{
    (void)state;
    struct chain_config config = world_config();
    config.reorg_depth_max = 4;
    config.undo_depth = 20;
    reopen(config, NULL, 0);
    int block = extend_token(0, 5, 0);
    for (uint64_t i = 1; i <= 30; i++) {
        block = extend_move(block, 5, 1, 2, 1, i);
    }
    settle(&f);
    struct arena arena;
    arena_init(&arena, 0);
    int fork = fake_node_ancestor(node, block, 31 - 5);
    for (uint64_t i = 0; i < 9; i++) {
        fork = extend_move(fork, 5, 1, 3, 1, 100 + i);
    }
    assert_steps(ERR_CHAIN_HALTED);
    struct slice before = dump(&arena, f.s.path);
    struct chain_status status;
    assert_steps(ERR_CHAIN_HALTED); /* and it stays so, and changes nothing */
    chain_status_read(f.chain, &status);
    assert_true(status.halted);
    assert_non_null(strstr(status.halted_why, "block 31 is no longer canonical"));
    assert_non_null(strstr(status.halted_why, "chain resume --from"));
    assert_true(slice_equal(before, dump(&arena, f.s.path)));
    arena_free(&arena);

    struct why why = {0};
    assert_int_equal(chain_resume(f.s.store, FAKE_CHAIN_ID, 0, SLICE_LIT("root"), &why),
                     ERR_CONFLICT);
    assert_int_equal(chain_resume(f.s.store, FAKE_CHAIN_ID, 33, SLICE_LIT("root"), &why),
                     ERR_CONFLICT);
    assert_int_equal(chain_resume(f.s.store, FAKE_CHAIN_ID, 5, SLICE_LIT("root"), &why),
                     ERR_CONFLICT);
    assert_non_null(strstr(why.text, "not remembered any more"));
    assert_int_equal(chain_resume(f.s.store, 1, 5, SLICE_LIT("root"), &why), ERR_CONFLICT);
    /* A block of the wrong fork: the follower finds the rest of the way by itself. */
    assert_int_equal(chain_resume(f.s.store, FAKE_CHAIN_ID, 29, SLICE_LIT("root"), &why), OK);
    settle(&f);
    assert_true(cursor_of(&f) == 35);
    assert_as_fresh(&f, node);
}

static void resume_without_rewinding_halts_again(void **state)
{
    (void)state;
    struct chain_config config = world_config();
    config.reorg_depth_max = 2;
    config.undo_depth = 10;
    reopen(config, NULL, 0);
    int block = extend_token(0, 5, 0);
    int deep = block;
    block = extend_empty(block, 6, 0);
    settle(&f);
    (void)extend_empty(deep, 7, 1);
    assert_steps(ERR_CHAIN_HALTED);
    struct why why = {0};
    assert_int_equal(chain_resume(f.s.store, FAKE_CHAIN_ID, 8, SLICE_LIT("root"), &why), OK);
    assert_steps(ERR_CHAIN_HALTED);
    assert_int_equal(chain_resume(f.s.store, FAKE_CHAIN_ID, 2, SLICE_LIT("root"), &why), OK);
    settle(&f);
    assert_as_fresh(&f, node);
}

/* What a resume undid must be forgotten by a follower that runs in the meantime. */
static void resume_unfollows_what_it_undoes(void **state)
{
    (void)state;
    int block = extend_empty(0, 3, 0);
    int token = extend_token(block, 5, 0);
    settle(&f);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM chain_sources"), 2);
    struct why why = {0};
    assert_int_equal(chain_resume(f.s.store, FAKE_CHAIN_ID, 2, SLICE_LIT("root"), &why), OK);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM chain_sources"), 1);
    /* On the other fork the contract exists, but nobody announces it. */
    struct address t = address_of(5);
    struct address to = address_of(1);
    struct fake_log log = log_moved(&t, &NOBODY, &to, 5, tx_of(3));
    (void)extend(block, &log, 1, 9);
    (void)token;
    settle(&f);
    assert_int_equal(JOURNAL, 0);
    assert_as_fresh(&f, node);
}

static void halted_in_the_log_is_said_once(void **state)
{
    (void)state;
    struct chain_config config = world_config();
    config.reorg_depth_max = 2;
    config.undo_depth = 10;
    config.poll_usec = 2000;
    reopen(config, NULL, 0);
    char path[160];
    (void)snprintf(path, sizeof path, "%s/log", f.s.folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    int block = extend_token(0, 5, 0);
    int tip = extend_empty(block, 6, 0);
    struct why why = {0};
    assert_int_equal(chain_start(f.chain, &why), OK);
    assert_true(chain_wait_block(f.chain, 7, 5 * USEC_PER_SEC));
    log_set_fd(fd);
    fake_node_set_head(node, extend_empty(block, 8, 1));
    struct chain_status status = {0};
    for (int i = 0; i < 500 && !status.halted; i++) {
        clock_sleep_usec(10000);
        chain_status_read(f.chain, &status);
    }
    assert_true(status.halted);
    assert_true(status.node_ok);
    clock_sleep_usec(100000); /* many polls */
    assert_int_equal(chain_resume(f.s.store, FAKE_CHAIN_ID, 2, SLICE_LIT("root"), &why), OK);
    assert_true(chain_wait_block(f.chain, 9, 5 * USEC_PER_SEC));
    chain_stop(f.chain);
    log_set_fd(-1);
    char text[8192];
    ssize_t len = pread(fd, text, sizeof text - 1, 0);
    assert_true(len > 0);
    text[len] = '\0';
    (void)close(fd);
    char *first = strstr(text, "chain.halted");
    assert_non_null(first);
    assert_null(strstr(first + 1, "chain.halted"));
    assert_non_null(strstr(first, "chain.recovered"));
    assert_null(strstr(text, "chain.step_failed"));
    (void)tip;
    assert_as_fresh(&f, node);
}

/* ---- contracts that are found ---- */

static void children_log_before_they_are_announced(void **state)
{
    (void)state;
    struct address t = address_of(5);
    struct address u = address_of(6);
    struct address h = address_of(1);
    /* A log of a block before the announcement does not count, one of the same block does. */
    int block = extend_move(0, 5, 0, 1, 77, 1);
    struct fake_log logs[] = {
        log_moved(&u, &NOBODY, &h, 8, tx_of(2)),
        log_created(SPLIT, &t, &u, 1, tx_of(2)), /* by a token that is itself announced below */
        log_moved(&t, &NOBODY, &h, 5, tx_of(2)),
        log_created(CREATED, &factory, &t, 1, tx_of(2)),
        log_moved(&t, &h, &u, 2, tx_of(3)),
    };
    block = extend(block, logs, 5, 0);
    (void)extend_move(block, 6, 1, 2, 3, 4);
    settle(&f);
    assert_int_equal(JOURNAL, 6);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM trace_tokens"), 2);
    assert_int_equal(ROWS("SELECT SUM(balance + 0) FROM trace_balances"), 13);
    assert_as_fresh(&f, node);
}

/* The range that is read at once must not decide from which block on a contract is followed. */
static void announcements_count_alike_in_small_and_large_batches(void **state)
{
    (void)state;
    struct address t = address_of(5);
    struct address u = address_of(6);
    struct address h = address_of(1);
    struct chain_config config = world_config();
    config.range_max = 1;
    reopen(config, NULL, 0);
    /* Token 6 is announced by token 5 in block 3 and by the factory in block 6. */
    struct fake_log first[] = {log_created(CREATED, &factory, &t, 1, tx_of(1))};
    struct fake_log split[] = {log_created(SPLIT, &t, &u, 1, tx_of(2))};
    struct fake_log again[] = {log_created(CREATED, &factory, &u, 1, tx_of(3))};
    int block = extend_move(0, 6, 0, 1, 100, 10);
    block = extend(block, first, 1, 0);
    block = extend(block, split, 1, 0);
    block = extend_move(block, 6, 0, 1, 50, 11);
    block = extend_move(block, 5, 0, 1, 20, 12);
    block = extend(block, again, 1, 0);
    /* A contract that nobody follows announces token 7: that is no announcement. */
    struct address stranger = address_of(99);
    struct address v = address_of(7);
    struct fake_log lie[] = {log_created(CREATED, &stranger, &v, 1, tx_of(4)),
                             log_moved(&v, &NOBODY, &h, 1, tx_of(4))};
    (void)extend(block, lie, 2, 0);
    settle(&f);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM trace_tokens"), 2);
    assert_int_equal(ROWS("SELECT balance + 0 FROM trace_balances WHERE token = "
                          "x'ad00060000000000000000000000000000000000'"),
                     50);
    assert_as_fresh(&f, node);
}

static void refused_announcement_is_followed_all_the_same(void **state)
{
    (void)state;
    struct address t = address_of(5);
    struct fake_log created = log_created(CREATED, &factory, &t, AMOUNT_REFUSED, tx_of(1));
    struct chain_config config = world_config();
    config.range_max = 1;
    reopen(config, NULL, 0);
    int block = extend(0, &created, 1, 0);
    (void)extend_move(block, 5, 0, 1, 9, 2);
    settle(&f);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM trace_tokens"), 0);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM chain_sources"), 2);
    assert_int_equal(ROWS("SELECT balance + 0 FROM trace_balances"), 9);
    assert_as_fresh(&f, node);
}

static void malformed_announcement_does_not_stop_the_chain(void **state)
{
    (void)state;
    struct address t = address_of(5);
    struct fake_log bad = log_created(CREATED, &factory, &t, 1, tx_of(1));
    bad.data_len = 31;
    int block = extend(0, &bad, 1, 0);
    (void)extend_token(block, 6, 0);
    settle(&f);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events WHERE NOT processed AND "
                          "error LIKE 'invalid_encoding: %'"),
                     1);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM chain_sources"), 2);
    assert_as_fresh(&f, node);
}

static void contract_that_comes_too_late_is_refused(void **state)
{
    (void)state;
    static struct chain_source sources[2];
    sources[0] = world_sources[0];
    sources[1] = (struct chain_source){.address = {{9}}, .contract = &factory_contract};
    (void)extend_empty(0, 6, 0);
    settle(&f);
    struct why why = {0};
    chain_free(f.chain);
    f.sources = sources;
    f.source_count = 2;
    follower_join(&f);
    assert_int_equal(chain_start(f.chain, &why), ERR_CONFIG);
    assert_string_equal(why.field, "chain.start_block");
    assert_non_null(strstr(why.text, "set chain.start_block to 7"));
    assert_int_equal(ROWS("SELECT COUNT(*) FROM chain_sources"), 1);
    sources[1].start_block = 7;
    assert_int_equal(chain_start(f.chain, &why), OK);
    chain_stop(f.chain);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM chain_sources"), 2);
}

/* ---- handlers that refuse ---- */

static void refused_event_is_recorded_and_leaves_nothing(void **state)
{
    (void)state;
    int block = extend_token(0, 5, 0);
    struct address t = address_of(5);
    struct address a = address_of(1);
    struct address b = address_of(2);
    struct fake_log logs[] = {
        log_moved(&t, &a, &b, 1, tx_of(1)),
        log_moved(&t, &a, &b, AMOUNT_REFUSED, tx_of(1)),
        log_moved(&t, &a, &b, AMOUNT_COLLIDING, tx_of(2)),
        log_moved(&t, &b, &a, 500, tx_of(2)), /* more than it has, found out after a write */
        log_moved(&t, &a, &b, 2, tx_of(2)),
    };
    block = extend(block, logs, 5, 0);
    settle(&f);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events WHERE NOT processed"), 3);
    assert_int_equal(
        ROWS("SELECT COUNT(*) FROM blockchain_events WHERE log_index = 1 AND block_number = 2 AND "
             "error = 'invalid_field: Thirteen is not wanted.'"),
        1);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events WHERE log_index = 2 AND "
                          "error LIKE 'db_constraint: %'"),
                     1);
    assert_int_equal(JOURNAL, 4); /* the token, its mint, two transfers */
    assert_int_equal(ROWS("SELECT balance + 0 FROM trace_balances ORDER BY holder DESC LIMIT 1"),
                     3);
    struct chain_status status;
    chain_status_read(f.chain, &status);
    assert_int_equal(status.events, 7);
    assert_int_equal(status.events_failed, 3);
    assert_as_fresh(&f, node);
    (void)extend_empty(fake_node_ancestor(node, block, 1), 3, 1);
    settle(&f);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM blockchain_events WHERE NOT processed"), 0);
    assert_as_fresh(&f, node);
}

/* ---- nodes ---- */

static void wrong_chain_is_refused(void **state)
{
    (void)state;
    struct why why = {0};
    (void)extend_token(0, 5, 0);
    settle(&f);
    /* Another genesis block. */
    struct fake_node *other = fake_node_start();
    fake_node_set_head(other, fake_node_block(other, FAKE_NO_BLOCK, NULL, 0, 77));
    rpc_pool_free(f.pool);
    f.pool = world_pool(fake_node_url(other));
    chain_free(f.chain);
    follower_join(&f);
    assert_int_equal(chain_start(f.chain, &why), ERR_WRONG_CHAIN);
    assert_non_null(strstr(why.text, "other genesis block"));
    assert_steps(ERR_WRONG_CHAIN);
    /* Another chain id. */
    chain_free(f.chain);
    rpc_pool_free(f.pool);
    struct rpc_endpoint endpoint = {.url = fake_node_url(node)};
    struct rpc_options options = {.chain_id = 5,
                                  .endpoints = &endpoint,
                                  .endpoint_count = 1,
                                  .timeout_usec = USEC_PER_SEC,
                                  .attempts_max = 1,
                                  .batch_max = 10,
                                  .answer_bytes_max = 1 << 20};
    f.pool = rpc_pool_new(&options);
    f.config.chain_id = 5;
    follower_join(&f);
    assert_int_equal(chain_start(f.chain, &why), ERR_WRONG_CHAIN);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM chain_cursors"), 1);
    fake_node_stop(other);
}

static void start_block_that_is_not_there_yet(void **state)
{
    (void)state;
    struct chain_config config = world_config();
    config.start_block = 10;
    reopen(config, NULL, 0);
    struct why why = {0};
    assert_int_equal(chain_start(f.chain, &why), ERR_CONFIG);
    assert_string_equal(why.field, "chain.start_block");
    (void)extend_empty(0, 9, 0);
    assert_int_equal(chain_start(f.chain, &why), OK);
    chain_stop(f.chain);
}

static void confirmations_hold_back(void **state)
{
    (void)state;
    struct chain_config config = world_config();
    config.confirmations = 3;
    reopen(config, NULL, 0);
    int token = extend_token(0, 5, 0);
    int block = token;
    for (int i = 0; i < 3; i++) {
        settle(&f);
        assert_true(cursor_of(&f) == 0);
        assert_int_equal(JOURNAL, 0);
        block = extend_empty(block, 1, 0);
    }
    settle(&f);
    assert_true(cursor_of(&f) == 1);
    assert_int_equal(JOURNAL, 2);
    /* Above the confirmations nothing has happened yet that could be undone. */
    (void)extend_empty(token, 5, 1);
    settle(&f);
    assert_int_equal(REORGS, 0);
    assert_true(cursor_of(&f) == 3);
    /* Below them it has. */
    (void)extend_empty(0, 9, 2);
    settle(&f);
    assert_int_equal(REORGS, 1);
    assert_as_fresh(&f, node);
}

static void lagging_node_is_waited_for(void **state)
{
    (void)state;
    int block = extend_token(0, 5, 0);
    for (uint64_t i = 1; i <= 40; i++) {
        block = extend_move(block, 5, 1, 2, 1, i);
    }
    settle(&f);
    struct arena arena;
    arena_init(&arena, 0);
    struct slice before = dump(&arena, f.s.path);
    static const uint64_t lags[] = {1, 5, 39, 40};
    for (size_t i = 0; i < 4; i++) {
        fake_node_lock(node)->lag = lags[i];
        fake_node_unlock(node);
        settle(&f);
    }
    /* One that is behind everything that is remembered cannot be told from a deep fork. */
    struct chain_config config = f.config;
    config.reorg_depth_max = 3;
    config.undo_depth = 4;
    chain_free(f.chain);
    f.config = config;
    follower_join(&f);
    fake_node_lock(node)->lag = 0;
    fake_node_unlock(node);
    block = extend_empty(block, 2, 0);
    settle(&f);
    fake_node_lock(node)->lag = 30;
    fake_node_unlock(node);
    assert_steps(ERR_NODE_UNAVAILABLE);
    fake_node_lock(node)->lag = 0;
    fake_node_unlock(node);
    settle(&f);
    assert_int_equal(REORGS, 0);
    assert_int_equal(ROWS("SELECT COUNT(*) FROM chain_cursors WHERE halted_why <> ''"), 0);
    (void)before;
    arena_free(&arena);
    assert_as_fresh(&f, node);
}

/* Two nodes behind one address, one behind the other: the head is of one, the blocks of the other.
 */
static void nodes_that_disagree_about_the_head_cause_no_reorganisation(void **state)
{
    (void)state;
    int block = extend_token(0, 5, 0);
    for (uint64_t i = 1; i <= 10; i++) {
        block = extend_move(block, 5, 1, 2, 1, i);
    }
    settle(&f);
    int behind = fake_node_ancestor(node, block, 8);
    fake_node_lock(node)->other = behind;
    fake_node_unlock(node);
    for (int i = 0; i < 40; i++) {
        (void)step(&f, NULL, NULL);
        if (i % 4 == 0) {
            block = extend_empty(block, 1, 0);
        }
    }
    fake_node_lock(node)->other = FAKE_NO_BLOCK;
    fake_node_unlock(node);
    settle(&f);
    assert_int_equal(REORGS, 0);
    assert_as_fresh(&f, node);
}

static void nodes_on_two_forks_end_right(void **state)
{
    (void)state;
    int common = extend_token(0, 5, 0);
    int a = common;
    int b = common;
    for (uint64_t i = 1; i <= 8; i++) {
        b = extend_move(b, 5, 1, 3, i, 100 + i);
    }
    for (uint64_t i = 1; i <= 8; i++) {
        a = extend_move(a, 5, 1, 2, i, i);
    }
    fake_node_lock(node)->other = b;
    fake_node_unlock(node);
    for (int i = 0; i < 60; i++) {
        (void)step(&f, NULL, NULL);
    }
    fake_node_lock(node)->other = FAKE_NO_BLOCK;
    fake_node_unlock(node);
    settle(&f);
    assert_as_fresh(&f, node);
}

/* Logs are believed then, as far as they fit the headers. */
static void follow_by_headers(void)
{
    struct chain_config config = world_config();
    config.verify = "headers";
    reopen(config, NULL, 0);
}

static void logs_of_another_fork_are_not_applied(void **state)
{
    (void)state;
    follow_by_headers();
    int common = extend_token(0, 5, 0);
    int b = extend_move(common, 5, 1, 3, 9, 100);
    int a = extend_move(common, 5, 1, 2, 4, 1);
    fake_node_lock(node)->logs_head = b;
    fake_node_unlock(node);
    assert_steps(ERR_NODE_RESPONSE);
    assert_int_equal(JOURNAL, 0);
    fake_node_lock(node)->logs_head = FAKE_NO_BLOCK;
    fake_node_unlock(node);
    settle(&f);
    assert_int_equal(ROWS("SELECT balance + 0 FROM trace_balances ORDER BY holder DESC LIMIT 1"),
                     4);
    (void)a;
    assert_as_fresh(&f, node);
}

/* The other fork has no logs there: without the bloom the event would be lost for good. */
static void silence_of_another_fork_is_not_believed(void **state)
{
    (void)state;
    follow_by_headers();
    int common = extend_token(0, 5, 0);
    settle(&f);
    int b = extend_empty(common, 3, 8);
    int a = extend_move(common, 5, 1, 2, 4, 1);
    a = extend_move(a, 5, 1, 2, 5, 2);
    fake_node_lock(node)->logs_head = b;
    fake_node_unlock(node);
    settle(&f);
    assert_true(cursor_of(&f) == 3);
    assert_int_equal(JOURNAL, 4);
    fake_node_lock(node)->logs_head = FAKE_NO_BLOCK;
    fake_node_unlock(node);
    assert_as_fresh(&f, node);
}

static void empty_and_shortened_answers_are_asked_again(void **state)
{
    (void)state;
    follow_by_headers();
    int block = extend_token(0, 5, 0);
    for (uint64_t i = 1; i <= 40; i++) {
        block = extend_move(block, 5, 1, 2, 1, i);
    }
    fake_node_lock(node)->logs_empty = 3;
    fake_node_unlock(node);
    settle(&f);
    assert_int_equal(JOURNAL, 42);
    block = extend_move(block, 5, 1, 2, 1, 50);
    fake_node_lock(node)->logs_drop = 1;
    fake_node_unlock(node);
    settle(&f);
    assert_int_equal(JOURNAL, 43);
    assert_as_fresh(&f, node);
}

static void blocks_without_logs_of_ours_cost_no_question(void **state)
{
    (void)state;
    (void)extend_empty(0, 100, 0);
    settle(&f);
    assert_int_equal(fake_node_calls(node, "eth_getLogs"), 0);
    assert_int_equal(fake_node_calls(node, "eth_getBlockReceipts"), 0);
    assert_int_equal(fake_node_calls(node, "eth_getBlockByHash"), 0);
}

static void refused_ranges_are_halved(void **state)
{
    (void)state;
    follow_by_headers();
    int block = extend_token(0, 5, 0);
    for (uint64_t i = 1; i <= 100; i++) {
        block = extend_move(block, 5, 1, 2, 1, i);
    }
    static const uint64_t limits[] = {5, 1};
    for (size_t i = 0; i < 2; i++) {
        fake_node_lock(node)->logs_range_max = limits[i];
        fake_node_unlock(node);
        settle(&f);
        block = extend_move(block, 5, 1, 3, 1, 200 + i);
        settle(&f);
        assert_true(cursor_of(&f) == fake_node_number(node, block));
    }
    assert_int_equal(JOURNAL, 104);
    fake_node_lock(node)->logs_range_max = 0;
    fake_node_unlock(node);
    assert_as_fresh(&f, node);
}

static void failing_node_loses_nothing(void **state)
{
    (void)state;
    int block = extend_token(0, 5, 0);
    for (uint64_t i = 1; i <= 60; i++) {
        block = extend_move(block, 5, 1, 2, 1, i);
    }
    fake_node_lock(node)->fail_every = 3;
    fake_node_unlock(node);
    settle(&f);
    fake_node_lock(node)->fail_every = 0;
    fake_node_unlock(node);
    assert_int_equal(JOURNAL, 62);
    assert_as_fresh(&f, node);
}

/* ---- threads ---- */

static void poke_makes_it_look_at_once(void **state)
{
    (void)state;
    struct chain_config config = world_config();
    config.poll_usec = 60 * (int64_t)USEC_PER_SEC;
    reopen(config, NULL, 0);
    struct why why = {0};
    assert_int_equal(chain_start(f.chain, &why), OK);
    assert_true(chain_wait_block(f.chain, 0, USEC_PER_SEC));
    clock_sleep_usec(50000); /* now it sleeps */
    (void)extend_token(0, 5, 0);
    assert_false(chain_wait_block(f.chain, 1, 100000));
    chain_poke(f.chain);
    assert_true(chain_wait_block(f.chain, 1, 5 * USEC_PER_SEC));
    assert_int_equal(JOURNAL, 2);
    chain_stop(f.chain); /* in less than a poll interval */
}

static void waiting_follower_does_not_spin(void **state)
{
    (void)state;
    struct why why = {0};
    struct chain_config config = world_config();
    config.poll_usec = 50000;
    config.reorg_depth_max = 2;
    config.undo_depth = 10;
    reopen(config, NULL, 0);
    int block = extend_token(0, 5, 0);
    (void)extend_empty(block, 5, 0);
    assert_int_equal(chain_start(f.chain, &why), OK);
    assert_true(chain_wait_block(f.chain, 6, 5 * USEC_PER_SEC));
    unsigned before = fake_node_calls(node, "eth_blockNumber");
    clock_sleep_usec(500000);
    unsigned idle = fake_node_calls(node, "eth_blockNumber") - before;
    assert_true(idle >= 2 && idle <= 12);
    /* Nor while it is halted. */
    fake_node_set_head(node, extend_empty(block, 7, 1));
    clock_sleep_usec(200000);
    before = fake_node_calls(node, "eth_getBlockByNumber");
    clock_sleep_usec(300000);
    assert_true(fake_node_calls(node, "eth_getBlockByNumber") - before <= 8);
    chain_stop(f.chain);
}

static void two_followers_of_one_store_apply_once(void **state)
{
    (void)state;
    struct chain_config config = world_config();
    config.range_max = 3;
    config.poll_usec = 1000;
    reopen(config, NULL, 0);
    struct follower g = f;
    g.pool = world_pool(fake_node_url(node));
    follower_join(&g);
    struct why why = {0};
    int block = extend_token(0, 5, 0);
    assert_int_equal(chain_start(f.chain, &why), OK);
    assert_int_equal(chain_start(g.chain, &why), OK);
    uint64_t tx = 1;
    for (int round = 0; round < 12; round++) {
        int at = fake_node_ancestor(node, block,
                                    fake_node_number(node, block) - (round % 3 == 2 ? 5 : 0));
        for (int i = 0; i < 12; i++) {
            at = extend_move(at, 5, 1, 2 + (unsigned)(tx % 4), 1, tx);
            tx++;
        }
        block = at;
        clock_sleep_usec(30000);
    }
    bool arrived = false;
    struct hash hash = fake_node_hash(node, block);
    for (int i = 0; i < 1000 && !arrived; i++) {
        struct chain_status a;
        chain_status_read(f.chain, &a);
        clock_sleep_usec(5000);
        arrived = hash_equal(&a.cursor_hash, &hash);
    }
    chain_stop(f.chain);
    chain_stop(g.chain);
    assert_true(arrived);
    settle(&f);
    chain_free(g.chain);
    rpc_pool_free(g.pool);
    assert_as_fresh(&f, node);
}

/* Both may be the first: one cursor is made. */
static void two_followers_may_open_at_once(void **state)
{
    (void)state;
    struct follower g = f;
    g.pool = world_pool(fake_node_url(node));
    follower_join(&g);
    (void)extend_token(0, 5, 0);
    struct why why = {0};
    assert_int_equal(chain_start(f.chain, &why), OK);
    assert_int_equal(chain_start(g.chain, &why), OK);
    assert_true(chain_wait_block(g.chain, 1, 5 * USEC_PER_SEC));
    chain_stop(g.chain);
    chain_stop(f.chain);
    chain_free(g.chain);
    rpc_pool_free(g.pool);
    assert_as_fresh(&f, node);
}

/* ---- kill -9 ---- */

/* What the child does: follow until it is killed. */
static int follow_until_killed(const char *url, const char *store_url)
{
    struct follower child = {.config = world_config()};
    child.config.range_max = 2;
    child.config.poll_usec = 1000;
    child.s.catalog = &world_catalog;
    child.s.config = (struct store_config){.url = store_url,
                                           .readers = 2,
                                           .busy_usec = 2000000,
                                           .batch_max = 64,
                                           .synchronous = "full"};
    struct why why = {0};
    log_set_fd(-1);
    if (support_store_start(&child.s, &why) != OK) {
        return 2;
    }
    child.pool = world_pool(url);
    follower_join(&child);
    if (chain_start(child.chain, &why) != OK) {
        return 3;
    }
    (void)!write(STDOUT_FILENO, "!", 1);
    for (;;) {
        pause();
    }
}

static void killed_at_any_time_it_goes_on(void **state)
{
    (void)state;
    enum { KILLS = 50 };
    int block = extend_token(0, 5, 0);
    uint64_t tx = 1;
    unsigned moved = 0;
    int64_t last = 0;
    store_close(f.s.store);
    f.s.store = NULL;
    for (int kill_index = 0; kill_index < KILLS; kill_index++) {
        /* Work for the next life, now and then on another fork. */
        uint64_t top = fake_node_number(node, block);
        uint64_t back = kill_index % 4 == 3 && top > 20 ? 1 + rand_below(15) : 0;
        int at = fake_node_ancestor(node, block, top - back);
        for (int i = 0; i < 25; i++) {
            at = extend_move(at, 5, 1, 2 + (unsigned)(tx % 4), tx % 14, tx);
            tx++;
        }
        block = at;
        int ready[2];
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)dup2(ready[1], STDOUT_FILENO);
            (void)execl("/proc/self/exe", "test_chain", "follow", fake_node_url(node), f.s.url,
                        (char *)NULL);
            _exit(127);
        }
        /* Most are killed at work, some while they start. */
        char mark = 0;
        if (kill_index % 5 != 0) {
            assert_int_equal(read(ready[0], &mark, 1), 1);
        }
        (void)close(ready[0]);
        (void)close(ready[1]);
        clock_sleep_usec((int64_t)rand_below(40000));
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        int64_t now = ROWS("SELECT COALESCE(MAX(block_number), 0) FROM chain_cursors");
        moved += now != last;
        last = now;
    }
    assert_true(moved >= KILLS / 4); /* they were killed at work */
    struct why why = {0};
    assert_int_equal(support_store_start(&f.s, &why), OK);
    chain_free(f.chain);
    follower_join(&f);
    settle(&f);
    assert_as_fresh(&f, node);
}

/* ---- any history ---- */

struct history {
    uint64_t seed;
    bool by_headers;
    int heads[64]; /* that were seen, to go back to */
    int head_count;
    int head;
    uint64_t salt;
};

static uint64_t draw(struct history *h, uint64_t bound)
{
    /* splitmix64 */
    uint64_t z = (h->seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % bound;
}

/* A transaction that may be part of several forks, but of each once. */
static struct hash draw_tx(struct history *h, int parent, const struct fake_log *logs, size_t count)
{
    struct hash tx = tx_of(draw(h, 40));
    for (size_t i = 0; i < count; i++) {
        if (hash_equal(&logs[i].tx, &tx)) {
            return tx_of(1000000 + h->salt++);
        }
    }
    return fake_node_has_log(node, parent, &tx) ? tx_of(1000000 + h->salt++) : tx;
}

static size_t draw_logs(struct history *h, int parent, struct fake_log *out)
{
    size_t count = 0;
    size_t txs = draw(h, 4);
    for (size_t t = 0; t < txs; t++) {
        struct hash tx = draw_tx(h, parent, out, count);
        size_t in_tx = 1 + draw(h, 3);
        for (size_t i = 0; i < in_tx; i++) {
            struct address token = address_of(5 + (unsigned)draw(h, 4));
            struct address from = draw(h, 2) == 0 ? NOBODY : address_of(1 + (unsigned)draw(h, 3));
            struct address to = address_of(1 + (unsigned)draw(h, 3));
            switch (draw(h, 6)) {
            case 0:
                out[count++] = log_created(CREATED, &factory, &token, draw(h, 15), tx);
                break;
            case 1: {
                struct address child = address_of(5 + (unsigned)draw(h, 6));
                out[count++] = log_created(SPLIT, &token, &child, draw(h, 15), tx);
                break;
            }
            default: /* not an enum */
                out[count++] = log_moved(&token, &from, &to, draw(h, 25), tx);
                break;
            }
        }
    }
    return count;
}

static void grow(struct history *h, uint64_t blocks)
{
    for (uint64_t i = 0; i < blocks; i++) {
        struct fake_log logs[16];
        size_t count = draw_logs(h, h->head, logs);
        h->head = fake_node_block(node, h->head, logs, count, h->salt++);
    }
    fake_node_set_head(node, h->head);
    if (h->head_count < 64) {
        h->heads[h->head_count++] = h->head;
    }
}

static void happen(struct history *h)
{
    uint64_t top = fake_node_number(node, h->head);
    uint64_t depth = draw(h, 8);
    switch (draw(h, 10)) {
    case 0:
    case 1: /* a fork: longer, as long or shorter */
        h->head = fake_node_ancestor(node, h->head, depth < top ? top - depth : 0);
        grow(h, 1 + draw(h, 8));
        break;
    case 2: /* back to something that was the head once */
        if (h->head_count > 0) {
            h->head = h->heads[draw(h, (uint64_t)h->head_count)];
            fake_node_set_head(node, h->head);
        }
        break;
    case 3:
        fake_node_lock(node)->lag = draw(h, 6);
        fake_node_unlock(node);
        break;
    case 4: /* a lie, when logs are proven: test_chain_verify.c has those */
        fake_node_lock(node)->logs_empty = h->by_headers ? (unsigned)draw(h, 3) : 0;
        fake_node_unlock(node);
        break;
    case 5:
        if (h->head_count > 0) {
            int other = h->heads[draw(h, (uint64_t)h->head_count)];
            fake_node_lock(node)->logs_head = other;
            fake_node_unlock(node);
        }
        break;
    case 6:
        if (h->head_count > 0) {
            int other = h->heads[draw(h, (uint64_t)h->head_count)];
            fake_node_lock(node)->other = other;
            fake_node_unlock(node);
        }
        break;
    case 7:
        atomic_store(&world_busy, (int)draw(h, 3));
        break;
    default: /* not an enum */
        grow(h, 1 + draw(h, 5));
        break;
    }
}

static void heal(void)
{
    struct fake_faults *faults = fake_node_lock(node);
    *faults = (struct fake_faults){.other = FAKE_NO_BLOCK, .logs_head = FAKE_NO_BLOCK};
    fake_node_unlock(node);
}

static void one_history(uint64_t seed)
{
    struct history h = {.seed = seed};
    struct chain_config config = world_config();
    h.by_headers = seed % 2 == 0;
    config.verify = h.by_headers ? "headers" : "full";
    config.range_max = 1 + draw(&h, 6);
    config.confirmations = draw(&h, 4) == 0 ? draw(&h, 3) : 0;
    follower_close(&f);
    fake_node_stop(node);
    node = fake_node_start();
    follower_open_with(&f, fake_node_url(node), config);
    atomic_store(&world_busy, 0);
    for (uint64_t i = 6 + draw(&h, 14); i > 0; i--) {
        happen(&h);
        for (uint64_t steps = draw(&h, 5); steps > 0; steps--) {
            (void)step(&f, NULL, NULL);
        }
        if (draw(&h, 5) == 0) {
            heal();
        }
    }
    heal();
    settle(&f);
    uint64_t top = fake_node_number(node, h.head);
    uint64_t expected = top > config.confirmations ? top - config.confirmations : 0;
    /* A head that only went back is waited for. */
    if (cursor_of(&f) <= expected) {
        assert_true(cursor_of(&f) == expected);
    }
    grow(&h, 40 + config.confirmations);
    settle(&f);
    assert_as_fresh(&f, node);
}

static void any_history_ends_as_a_fresh_index(void **state)
{
    (void)state;
    enum { HISTORIES = 250 };
    const char *seed_text = getenv("SEED");
    if (seed_text != NULL) {
        one_history(strtoull(seed_text, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        print_message("seed %llu\r", (unsigned long long)seed);
        one_history(seed);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    world_init();
    if (argc == 4 && strcmp(argv[1], "follow") == 0) {
        return follow_until_killed(argv[2], argv[3]);
    }
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        TEST(events_are_applied_in_order_and_once),
        TEST(event_rows_say_what_happened),
        TEST(cursor_and_rows_are_one_transaction),
        TEST(reorganisation_of_any_allowed_depth),
        TEST(back_to_the_first_fork),
        TEST(reorganisation_while_catching_up),
        TEST(shorter_chain_is_undone_when_it_differs),
        TEST(same_transaction_in_another_block),
        TEST(reorganisation_below_the_first_block),
        TEST(too_deep_halts_until_a_human_decides),
        TEST(resume_without_rewinding_halts_again),
        TEST(resume_unfollows_what_it_undoes),
        TEST(halted_in_the_log_is_said_once),
        TEST(children_log_before_they_are_announced),
        TEST(announcements_count_alike_in_small_and_large_batches),
        TEST(refused_announcement_is_followed_all_the_same),
        TEST(malformed_announcement_does_not_stop_the_chain),
        TEST(contract_that_comes_too_late_is_refused),
        TEST(refused_event_is_recorded_and_leaves_nothing),
        TEST(wrong_chain_is_refused),
        TEST(start_block_that_is_not_there_yet),
        TEST(confirmations_hold_back),
        TEST(lagging_node_is_waited_for),
        TEST(nodes_that_disagree_about_the_head_cause_no_reorganisation),
        TEST(nodes_on_two_forks_end_right),
        TEST(logs_of_another_fork_are_not_applied),
        TEST(silence_of_another_fork_is_not_believed),
        TEST(empty_and_shortened_answers_are_asked_again),
        TEST(blocks_without_logs_of_ours_cost_no_question),
        TEST(refused_ranges_are_halved),
        TEST(failing_node_loses_nothing),
        TEST(poke_makes_it_look_at_once),
        TEST(waiting_follower_does_not_spin),
        TEST(two_followers_of_one_store_apply_once),
        TEST(two_followers_may_open_at_once),
        TEST(killed_at_any_time_it_goes_on),
        TEST(any_history_ends_as_a_fresh_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
