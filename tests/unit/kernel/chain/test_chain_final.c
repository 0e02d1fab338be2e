/* Following up to what the node calls safe or finalized, and what happens when that did not stay.
 */
#include "unit/kernel/chain/world.h"

static const struct address NOBODY = {{0}};
static struct fake_node *node;
static struct follower f;

static int teardown(void **state)
{
    (void)state;
    follower_close(&f);
    fake_node_stop(node);
    return 0;
}

static void behind(uint64_t blocks)
{
    fake_node_lock(node)->final_behind = blocks;
    fake_node_unlock(node);
}

static void open_with(const char *follow, uint64_t confirmations, uint64_t final_behind)
{
    struct chain_config config = world_config();
    config.follow = follow;
    config.confirmations = confirmations;
    log_set_fd(-1);
    node = fake_node_start();
    behind(final_behind);
    follower_open_with(&f, fake_node_url(node), config);
}

static int extend(int parent, unsigned count, uint64_t salt)
{
    for (unsigned i = 0; i < count; i++) {
        struct address token = address_of(5), to = address_of(1);
        struct hash tx = tx_of(salt * 1000 + i);
        struct fake_log created = log_created(CREATED, &factory, &token, 1, tx);
        struct fake_log moved = log_moved(&token, &NOBODY, &to, 10, tx);
        bool first = parent == 0 && i == 0;
        parent = fake_node_block(node, parent, first ? &created : &moved, 1, salt);
        fake_node_set_head(node, parent);
    }
    return parent;
}

static struct chain_status status(void)
{
    struct chain_status s;
    chain_status_read(f.chain, &s);
    return s;
}

static void the_tag_holds_back(void **state)
{
    (void)state;
    open_with("finalized", 0, 6);
    int block = extend(0, 20, 1);
    settle(&f);
    assert_int_equal(cursor_of(&f), 14);
    assert_int_equal(status().final_block, 14);
    assert_false(status().final_unknown);
    (void)extend(block, 3, 1);
    settle(&f);
    assert_int_equal(cursor_of(&f), 17);
    /* What is above may turn out another way: nothing is undone. */
    (void)extend(fake_node_ancestor(node, block, 18), 6, 2);
    settle(&f);
    assert_int_equal(cursor_of(&f), 18);
    assert_int_equal(count_rows(&f, "SELECT COUNT(*) FROM chain_reorgs"), 0);
    assert_as_fresh(&f, node);
}

static void confirmations_count_beside_it(void **state)
{
    (void)state;
    open_with("safe", 9, 2);
    (void)extend(0, 20, 1);
    settle(&f);
    assert_int_equal(cursor_of(&f), 11);
    assert_int_equal(status().final_block, 18);
    /* What is remembered as final is what was applied of it. */
    assert_int_equal(count_rows(&f, "SELECT final_block FROM chain_cursors"), 11);
}

static void a_node_that_does_not_know_the_tag(void **state)
{
    (void)state;
    struct why why = {0};
    open_with("finalized", 0, 0);
    int block = extend(0, 20, 1);
    assert_int_equal(step(&f, NULL, &why), ERR_NODE_ERROR);
    assert_non_null(strstr(why.text, "chain.follow is finalized, which the node does not know"));
    assert_int_equal(cursor_of(&f), 0);
    follower_close(&f);
    struct chain_config config = world_config();
    config.follow = "finalized";
    config.confirmations = 4;
    follower_open_with(&f, fake_node_url(node), config);
    settle(&f);
    assert_int_equal(cursor_of(&f), 16);
    assert_true(status().final_unknown);
    assert_int_equal(count_rows(&f, "SELECT final_block FROM chain_cursors"), 0);
    /* Then a fork is one like any other. */
    (void)extend(fake_node_ancestor(node, block, 14), 9, 2);
    settle(&f);
    assert_int_equal(count_rows(&f, "SELECT COUNT(*) FROM chain_reorgs"), 1);
    behind(4);
    settle(&f);
    assert_false(status().final_unknown);
    assert_as_fresh(&f, node);
}

static void a_fork_below_what_was_final_halts(void **state)
{
    (void)state;
    struct why why = {0};
    open_with("finalized", 0, 4);
    int block = extend(0, 20, 1);
    settle(&f);
    assert_int_equal(cursor_of(&f), 16);
    struct arena arena;
    arena_init(&arena, 0);
    int64_t events = count_rows(&f, "SELECT COUNT(*) FROM blockchain_events");
    (void)extend(fake_node_ancestor(node, block, 14), 12, 2);
    assert_int_equal(step(&f, NULL, &why), ERR_CHAIN_HALTED);
    assert_int_equal(cursor_of(&f), 16);
    assert_int_equal(count_rows(&f, "SELECT COUNT(*) FROM blockchain_events"), events);
    struct slice before = dump(&arena, f.s.path);
    assert_int_equal(step(&f, NULL, &why), ERR_CHAIN_HALTED);
    assert_non_null(strstr(why.text, "block 16 was applied as final (chain.follow = finalized)"));
    assert_non_null(strstr(why.text, "the last common block is 14"));
    assert_non_null(strstr(why.text, "chain resume --from 15"));
    struct slice after = dump(&arena, f.s.path);
    assert_true(slice_equal(before, after));
    arena_free(&arena);
    assert_int_equal(chain_resume(f.s.store, FAKE_CHAIN_ID, 15, SLICE_LIT("root"), &why), OK);
    settle(&f);
    assert_int_equal(cursor_of(&f), 22);
    assert_as_fresh(&f, node);
}

static void what_was_applied_before_the_tag_counted_is_undone(void **state)
{
    (void)state;
    open_with("latest", 0, 10);
    int block = extend(0, 20, 1);
    settle(&f);
    assert_int_equal(cursor_of(&f), 20);
    chain_free(f.chain);
    f.config.follow = "finalized";
    follower_join(&f);
    settle(&f);
    /* 10 is final, 20 is applied: a fork above 10 is undone. */
    (void)extend(fake_node_ancestor(node, block, 18), 4, 2);
    settle(&f);
    assert_int_equal(count_rows(&f, "SELECT COUNT(*) FROM chain_reorgs"), 1);
    assert_false(status().halted);
}

int main(void)
{
    world_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_tag_holds_back, teardown),
        cmocka_unit_test_teardown(confirmations_count_beside_it, teardown),
        cmocka_unit_test_teardown(a_node_that_does_not_know_the_tag, teardown),
        cmocka_unit_test_teardown(a_fork_below_what_was_final_halts, teardown),
        cmocka_unit_test_teardown(what_was_applied_before_the_tag_counted_is_undone, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
