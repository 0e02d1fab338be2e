/*
 * What several nodes think of a block: real ones as far as HTTP goes, with a tree of blocks each.
 * Trees of equal calls have equal hashes.
 */
#include "support/fake_node.c"
#include "support/rpc_fixture.c"
#include "unit/test.h"

#include <poll.h>

#define FAKES 4
#define BLOCKS 20

struct world {
    struct fixture *f;
    struct fake_node *fakes[FAKES];
    int heads[FAKES];
    size_t count;
};

static int world_setup(void **state)
{
    struct world *w = mem_alloc(sizeof *w);
    fixture_setup((void **)&w->f);
    w->f->options.timeout_usec = 10 * (int64_t)USEC_PER_SEC;
    w->f->options.answer_bytes_max = 1000000;
    *state = w;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = *state;
    void *f = w->f;
    fixture_teardown(&f);
    for (size_t i = 0; i < w->count; i++) {
        fake_node_stop(w->fakes[i]);
    }
    mem_free(w);
    return 0;
}

/* Adds blocks on a node's head. */
static void grow(struct world *w, size_t which, int blocks, uint64_t salt)
{
    for (int i = 0; i < blocks; i++) {
        w->heads[which] = fake_node_block(w->fakes[which], w->heads[which], NULL, 0, salt);
    }
    fake_node_set_head(w->fakes[which], w->heads[which]);
}

/* Adds a node with that many blocks to the pool. */
static size_t add(struct world *w, int blocks, uint64_t salt)
{
    size_t which = w->count++;
    w->fakes[which] = fake_node_start();
    w->heads[which] = fake_node_head(w->fakes[which]);
    grow(w, which, blocks, salt);
    fixture_url(w->f, fake_node_url(w->fakes[which]));
    return which;
}

/* Adds a node that takes requests and answers none but the one for its chain. */
static void add_silent(struct world *w)
{
    (void)NODE(w->f, {.mode = SCRIPT_SILENCE, .body = ""});
}

static struct rpc_pool *pool_of(struct world *w)
{
    if (w->f->pool == NULL) {
        fixture_pool(w->f);
    }
    return w->f->pool;
}

static struct hash head_of(struct world *w, size_t which)
{
    return fake_node_hash(w->fakes[which], w->heads[which]);
}

static enum err confirm(struct world *w, size_t which)
{
    struct hash hash = head_of(w, which);
    return rpc_confirm(pool_of(w), fake_node_number(w->fakes[which], w->heads[which]), &hash,
                       &w->f->why);
}

static void set_meeting(struct world *w, size_t which, struct fake_meeting *meeting)
{
    fake_node_lock(w->fakes[which])->meeting = meeting;
    fake_node_unlock(w->fakes[which]);
}

static void set_delay(struct world *w, size_t which, int ms)
{
    fake_node_lock(w->fakes[which])->delay_ms = ms;
    fake_node_unlock(w->fakes[which]);
}

/* ---- votes ---- */

/* Each node answers when all three have been asked: one after the other none ever would. */
static void test_votes_are_taken_side_by_side(void **state)
{
    struct world *w = *state;
    struct fake_meeting meeting = {.wanted = 3};
    for (size_t i = 0; i < 3; i++) {
        set_meeting(w, add(w, BLOCKS, 0), &meeting);
    }
    w->f->options.quorum = 3;
    assert_int_equal(confirm(w, 0), OK);
    assert_int_equal(meeting.arrived, 3);
}

static void test_a_vote_ends_when_it_is_decided(void **state)
{
    struct world *w = *state;
    add_silent(w);
    add(w, BLOCKS, 0);
    add(w, BLOCKS, 0);
    w->f->options.quorum = 2;
    assert_int_equal(confirm(w, 0), OK);
    /* Nobody waited for the silent one until it had to be given up. */
    assert_int_equal(pool_of(w)->nodes[0].vote_after_usec, 0);
    assert_int_equal(rpc_confirm(pool_of(w), BLOCKS, &(struct hash){{1}}, &w->f->why),
                     ERR_NODE_LIED);
}

/* With a quorum of one the first node's word would count: it is waited for, and then no more. */
static void test_the_first_node_is_waited_for_a_little(void **state)
{
    struct world *w = *state;
    add_silent(w);
    add(w, BLOCKS, 0);
    assert_int_equal(confirm(w, 0), OK);
    assert_true(pool_of(w)->nodes[0].vote_after_usec > clock_mono_usec());
    assert_int_equal(script_requests(w->f->nodes[0]), 1);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(confirm(w, 0), OK);
    }
    assert_int_equal(script_requests(w->f->nodes[0]), 1);
}

static void test_too_few_say_so(void **state)
{
    struct world *w = *state;
    add(w, BLOCKS, 0);
    add(w, BLOCKS, 1);
    add(w, BLOCKS - 1, 0);
    w->f->options.quorum = 2;
    assert_int_equal(confirm(w, 0), ERR_NODE_UNAVAILABLE);
    assert_non_null(strstr(w->f->why.text, "Block 20 is the same at 1 nodes"));
    grow(w, 2, 1, 0);
    assert_int_equal(confirm(w, 0), OK);
    assert_int_equal(confirm(w, 1), ERR_NODE_LIED);
}

static void test_the_first_of_two_is_believed(void **state)
{
    struct world *w = *state;
    add(w, BLOCKS, 0);
    add(w, BLOCKS, 1);
    set_delay(w, 0, 50); /* though it answers later */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(confirm(w, 0), OK);
        assert_int_equal(confirm(w, 1), ERR_NODE_LIED);
    }
}

/* Its votes come when everything is decided, and are counted all the same. */
static void test_a_slow_node_on_a_fork_is_named(void **state)
{
    struct world *w = *state;
    add(w, BLOCKS, 0);
    add(w, BLOCKS, 0);
    set_delay(w, add(w, BLOCKS, 1), 30);
    w->f->options.quorum = 2;
    int64_t before = fixture_metric(RPC_METRIC_LIES + RPC_LIE_FORK);
    const struct rpc_node *slow = &pool_of(w)->nodes[2];
    while (fixture_metric(RPC_METRIC_LIES + RPC_LIE_FORK) == before) {
        assert_int_equal(confirm(w, 0), OK);
        (void)poll(NULL, 0, 5);
    }
    assert_int_equal(slow->lies[RPC_LIE_FORK], 1);
    assert_non_null(strstr(slow->last_lie, "is on a fork: its block 20"));
}

/* One that is late with its last vote is needed for the next. */
static void test_a_late_node_is_asked_when_it_is_needed(void **state)
{
    struct world *w = *state;
    add(w, BLOCKS, 0);
    add(w, BLOCKS, 0);
    set_delay(w, add(w, BLOCKS, 0), 300);
    w->f->options.quorum = 2;
    assert_int_equal(confirm(w, 0), OK);
    fake_node_lock(w->fakes[1])->fail = 1000;
    fake_node_unlock(w->fakes[1]);
    assert_int_equal(confirm(w, 0), OK);
    assert_true(pool_of(w)->nodes[1].vote_after_usec > 0);
}

/* ---- heads ---- */

/* survey asks all nodes now. */
static void survey_now(struct world *w)
{
    fixture_advance(3 * USEC_PER_SEC);
    rpc_survey(pool_of(w));
}

static void assert_apart(struct world *w, size_t which, bool behind, bool ahead)
{
    assert_int_equal(pool_of(w)->nodes[which].behind, behind);
    assert_int_equal(pool_of(w)->nodes[which].ahead, ahead);
}

static void test_heads_are_asked_side_by_side(void **state)
{
    struct world *w = *state;
    struct fake_meeting meeting = {.wanted = 3};
    for (size_t i = 0; i < 3; i++) {
        set_meeting(w, add(w, BLOCKS, 0), &meeting);
    }
    rpc_survey(pool_of(w));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pool_of(w)->nodes[i].head, BLOCKS);
        assert_apart(w, i, false, false);
    }
}

static void test_a_silent_node_holds_no_survey_up_for_long(void **state)
{
    struct world *w = *state;
    add(w, BLOCKS, 0);
    add_silent(w);
    rpc_survey(pool_of(w));
    assert_apart(w, 0, false, false);
    assert_apart(w, 1, true, false);
    for (int i = 0; i < 5; i++) {
        survey_now(w);
    }
    assert_int_equal(script_requests(w->f->nodes[1]), 1);
}

/* Days behind, and otherwise well: the first survey tells, and it is asked nothing any more. */
static void test_a_stuck_primary_is_passed_by(void **state)
{
    struct world *w = *state;
    add(w, BLOCKS, 0);
    add(w, BLOCKS + 100, 0);
    rpc_survey(pool_of(w));
    assert_apart(w, 0, true, false);
    assert_apart(w, 1, false, false);
    uint64_t number = 0;
    assert_int_equal(rpc_block_number(pool_of(w), &number, &w->f->why), OK);
    assert_int_equal(number, BLOCKS + 100);
    grow(w, 0, 99, 0);
    survey_now(w);
    assert_apart(w, 0, false, false); /* and back, once it has caught up */
}

/* Fifty blocks in no time, on a chain that needs twelve seconds for each. */
static void test_a_head_that_cannot_be_is_not_followed(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < 3; i++) {
        add(w, BLOCKS, 0);
    }
    survey_now(w); /* from here on the time between blocks is known */
    for (size_t i = 0; i < 3; i++) {
        grow(w, i, 2, 0);
    }
    fake_node_set_block_sec(w->fakes[0], 0);
    grow(w, 0, 50, 7);
    int64_t before = fixture_metric(RPC_METRIC_HEADS_AHEAD);
    survey_now(w);
    assert_apart(w, 0, false, true);
    assert_apart(w, 1, false, false);
    assert_apart(w, 2, false, false);
    assert_int_equal(fixture_metric(RPC_METRIC_HEADS_AHEAD), before + 1);
    uint64_t number = 0;
    assert_int_equal(rpc_block_number(pool_of(w), &number, &w->f->why), OK);
    assert_int_equal(number, BLOCKS + 2);
    /* Nor is it believed about what only it has, without a quorum too. */
    assert_int_equal(confirm(w, 0), ERR_NODE_UNAVAILABLE);
    assert_int_equal(confirm(w, 1), OK);
}

/* As many blocks in their time: then the others are behind. */
static void test_a_head_that_can_be_is(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < 3; i++) {
        add(w, BLOCKS, 0);
    }
    survey_now(w);
    for (size_t i = 0; i < 3; i++) {
        grow(w, i, 2, 0);
    }
    grow(w, 0, 50, 0);
    survey_now(w);
    assert_apart(w, 0, false, false);
    assert_apart(w, 1, true, false);
    assert_apart(w, 2, true, false);
}

/* It has the blocks of everybody, and says a higher number. */
static void test_a_number_that_nobody_has_is_not_followed(void **state)
{
    struct world *w = *state;
    add(w, BLOCKS, 0);
    add(w, BLOCKS, 0);
    fake_node_lock(w->fakes[0])->number_more = 100;
    fake_node_unlock(w->fakes[0]);
    rpc_survey(pool_of(w));
    int64_t before = fixture_metric(RPC_METRIC_HEADS_AHEAD);
    int64_t wrong = fixture_metric(RPC_METRIC_WRONG_ANSWERS);
    uint64_t number = 0;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rpc_block_number(pool_of(w), &number, &w->f->why), OK);
        assert_int_equal(number, BLOCKS);
    }
    assert_true(fixture_metric(RPC_METRIC_HEADS_AHEAD) > before);
    assert_true(fixture_metric(RPC_METRIC_WRONG_ANSWERS) > wrong);
    assert_int_equal(pool_of(w)->nodes[1].failures, 0);
}

/* Many blocks at once that everybody has are no lie. */
static void test_many_blocks_at_once_are_followed(void **state)
{
    struct world *w = *state;
    add(w, BLOCKS, 0);
    add(w, BLOCKS, 0);
    rpc_survey(pool_of(w));
    grow(w, 0, 500, 0);
    grow(w, 1, 500, 0);
    uint64_t number = 0;
    assert_int_equal(rpc_block_number(pool_of(w), &number, &w->f->why), OK);
    assert_int_equal(number, BLOCKS + 500);
    assert_int_equal(pool_of(w)->nodes[0].failures, 0);
}

static void test_a_head_that_goes_back_is_told(void **state)
{
    struct world *w = *state;
    add(w, BLOCKS, 0);
    add(w, BLOCKS, 0);
    rpc_survey(pool_of(w));
    int64_t before = fixture_metric(RPC_METRIC_HEADS_BACK);
    fake_node_lock(w->fakes[0])->lag = 10;
    fake_node_unlock(w->fakes[0]);
    survey_now(w);
    assert_int_equal(fixture_metric(RPC_METRIC_HEADS_BACK), before + 1);
    assert_apart(w, 0, true, false);
    uint64_t number = 0;
    assert_int_equal(rpc_block_number(pool_of(w), &number, &w->f->why), OK);
    assert_int_equal(number, BLOCKS);
}

/* ---- blocks that are missing ---- */

static void test_a_block_that_the_first_lacks_is_asked_elsewhere(void **state)
{
    struct world *w = *state;
    struct evm_header headers[BLOCKS];
    size_t count = 0;
    add(w, BLOCKS - 5, 0);
    add(w, BLOCKS, 0);
    struct rpc_pool *pool = pool_of(w);
    assert_int_equal(rpc_headers(pool, &w->f->arena, 1, BLOCKS, headers, &count, &w->f->why), OK);
    assert_int_equal(count, BLOCKS);
    for (size_t i = 1; i < BLOCKS; i++) {
        assert_true(hash_equal(&headers[i].parent_hash, &headers[i - 1].hash));
    }
    assert_int_equal(rpc_header(pool, &w->f->arena, BLOCKS, headers, &w->f->why), OK);
    assert_int_equal(rpc_header(pool, &w->f->arena, BLOCKS + 1, headers, &w->f->why),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(w->f->why.text, "has no block 21"));
    assert_int_equal(pool->nodes[0].failures, 0); /* being late is no failure */
    assert_int_equal(pool->nodes[1].failures, 0);
    /* What the first has is enough when the second fails. */
    fake_node_lock(w->fakes[1])->fail = 1000;
    fake_node_unlock(w->fakes[1]);
    assert_int_equal(rpc_headers(pool, &w->f->arena, 1, BLOCKS, headers, &count, &w->f->why), OK);
    assert_int_equal(count, BLOCKS - 5);
}

/* A start does not wait for a node that hangs, if another one answers. */
static void test_the_chain_id_is_asked_side_by_side(void **state)
{
    struct world *w = *state;
    uint64_t id = 0;
    (void)fixture_node(w->f, STEPS({.mode = SCRIPT_SILENCE, .body = ""}), 1, NULL);
    add(w, BLOCKS, 0);
    w->f->options.timeout_usec = 3600 * (int64_t)USEC_PER_SEC;
    assert_int_equal(rpc_chain_id(pool_of(w), &id, &w->f->why), OK);
    assert_int_equal(id, CHAIN_ID);
}

/* ---- threads ---- */

static void *vote(void *arg)
{
    struct world *w = arg;
    struct hash hash = head_of(w, 0);
    size_t good = 0;
    for (int i = 0; i < 20; i++) {
        good += rpc_confirm(w->f->pool, BLOCKS, &hash, NULL) == OK;
        rpc_survey(w->f->pool);
    }
    return good == 20 ? arg : NULL;
}

static void test_votes_of_many_threads(void **state)
{
    struct world *w = *state;
    pthread_t threads[4];
    for (size_t i = 0; i < 3; i++) {
        add(w, BLOCKS, 0);
    }
    w->f->options.quorum = 2;
    set_delay(w, 2, 5);
    (void)pool_of(w);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, vote, w), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        void *good = NULL;
        assert_int_equal(pthread_join(threads[i], &good), 0);
        assert_non_null(good);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_votes_are_taken_side_by_side),
        TEST(test_a_vote_ends_when_it_is_decided),
        TEST(test_the_first_node_is_waited_for_a_little),
        TEST(test_too_few_say_so),
        TEST(test_the_first_of_two_is_believed),
        TEST(test_a_slow_node_on_a_fork_is_named),
        TEST(test_a_late_node_is_asked_when_it_is_needed),
        TEST(test_heads_are_asked_side_by_side),
        TEST(test_a_silent_node_holds_no_survey_up_for_long),
        TEST(test_a_stuck_primary_is_passed_by),
        TEST(test_a_head_that_cannot_be_is_not_followed),
        TEST(test_a_head_that_can_be_is),
        TEST(test_a_number_that_nobody_has_is_not_followed),
        TEST(test_many_blocks_at_once_are_followed),
        TEST(test_a_head_that_goes_back_is_told),
        TEST(test_a_block_that_the_first_lacks_is_asked_elsewhere),
        TEST(test_the_chain_id_is_asked_side_by_side),
        TEST(test_votes_of_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
