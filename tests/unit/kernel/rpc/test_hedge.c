/*
 * Reads that go to a second node, and which node is preferred. What is unknown of a node makes it
 * be waited for for half a second; so nothing here depends on how fast the machine is.
 */
#include "support/rpc_fixture.c"
#include "unit/test.h"

#define ONE ((struct rpc_call){.method = "eth_one"})
#define SILENT                                                                                     \
    {                                                                                              \
        .mode = SCRIPT_SILENCE, .body = ""                                                         \
    }
#define SECOND ((int64_t)USEC_PER_SEC)

static struct rpc_pool *pool_of(struct fixture *f)
{
    if (f->pool == NULL) {
        f->options.hedge_percent = 5;
        f->options.timeout_usec = 60 * SECOND;
        fixture_pool(f);
    }
    return f->pool;
}

static enum err call(struct fixture *f, struct rpc_call *c)
{
    *c = ONE;
    return rpc_call_one(pool_of(f), &f->arena, RPC_ANY, c, &f->why);
}

static void assert_text(const struct rpc_call *c, const char *text)
{
    assert_int_equal(c->err, OK);
    assert_true(slice_equal_text(c->result->text, text));
}

static int64_t won(void)
{
    return fixture_metric(RPC_METRIC_HEDGES_WON);
}

static int64_t lost(void)
{
    return fixture_metric(RPC_METRIC_HEDGES_LOST);
}

/* ---- races ---- */

static void test_a_silent_node_costs_a_moment(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, SILENT);
    struct script_server *second = NODE(f, {.body = RESULT("\"second\"")});
    int64_t before = won();
    struct rpc_call c;
    assert_int_equal(call(f, &c), OK);
    assert_text(&c, "second");
    assert_int_equal(c.served_by, 1);
    assert_int_equal(won(), before + 1);
    assert_int_equal(script_requests(second), 1);
    assert_int_equal(pool_of(f)->nodes[0].failures, 0); /* once is nothing */
}

static void test_one_that_is_always_silent_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct script_server *first = NODE(f, SILENT);
    (void)NODE(f, {.body = RESULT("\"second\"")});
    struct rpc_call c;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call(f, &c), OK);
        assert_text(&c, "second");
    }
    assert_int_equal(pool_of(f)->nodes[0].failures, 1);
    assert_true(pool_of(f)->nodes[0].cool_until_usec > 0);
    assert_int_equal(script_requests(first), 3);
    fixture_advance(30 * SECOND);
    assert_int_equal(call(f, &c), OK); /* it has no second chance until it has worked */
    assert_text(&c, "second");
    assert_int_equal(pool_of(f)->nodes[0].failures, 2);
    assert_int_equal(script_requests(first), 4);
}

static void test_the_first_may_still_be_first(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT("\"first\""), .delay_ms = 1500});
    (void)NODE(f, SILENT);
    int64_t before = lost();
    struct rpc_call c;
    assert_int_equal(call(f, &c), OK);
    assert_text(&c, "first");
    assert_int_equal(c.served_by, 0);
    assert_int_equal(lost(), before + 1);
    assert_int_equal(pool_of(f)->nodes[0].races_lost, 0);
}

static void test_a_bad_answer_wins_nothing(void **state)
{
    static const struct script_step bad[] = {
        {.body = "<html>"},
        {.body = "", .status = 500},
        {.body = "{\"jsonrpc\":\"2.0\",\"id\":1$0,\"result\":\"other id\"}"},
        {.body = ERROR("{\"code\":429,\"message\":\"slow down\"}")},
        {.mode = SCRIPT_RESET, .body = ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fixture *f = NULL;
        fixture_setup((void **)&f);
        (void)NODE(f, {.body = RESULT("\"first\""), .delay_ms = 1000});
        struct script_server *second = fixture_node(f, &bad[i], 1, CHAIN_HEX);
        struct rpc_call c;
        assert_int_equal(call(f, &c), OK);
        assert_text(&c, "first");
        assert_true(script_requests(second) >= 1);
        assert_int_equal(pool_of(f)->nodes[1].failures, 1);
        fixture_teardown((void **)&f);
    }
}

static void test_both_may_fail(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = "", .status = 500, .delay_ms = 1000}, {.body = RESULT("\"later\"")});
    (void)NODE(f, {.body = "<html>", .delay_ms = 1000}, {.body = "<html>"});
    struct rpc_call c;
    assert_int_equal(call(f, &c), OK);
    assert_text(&c, "later");
}

/* Whose answer is taken for one call is not taken for the others. */
static void test_parts_of_a_batch_come_from_both(void **state)
{
    struct fixture *f = *state;
    (void)NODE(
        f, {.body = "[{\"jsonrpc\":\"2.0\",\"id\":$1,\"result\":\"first b\"}]", .delay_ms = 700});
    (void)NODE(f, {.body = "[{\"jsonrpc\":\"2.0\",\"id\":$0,\"result\":\"second a\"},"
                           "{\"jsonrpc\":\"2.0\",\"id\":$1,\"result\":\"second b\"}]",
                   .delay_ms = 1500});
    struct rpc_call calls[2] = {{.method = "eth_a"}, {.method = "eth_b"}};
    assert_int_equal(rpc_call_many(pool_of(f), &f->arena, RPC_ANY, calls, 2, &f->why), OK);
    assert_text(&calls[0], "second a");
    assert_true(slice_equal_text(calls[1].result->text, "first b") ||
                slice_equal_text(calls[1].result->text, "second b"));
}

static void test_nothing_is_sent_twice(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT("\"sent\""), .delay_ms = 1500});
    struct script_server *second = NODE(f, {.body = RESULT("\"second\"")});
    int64_t before = won() + lost();
    struct rpc_call c = ONE;
    assert_int_equal(rpc_call_one(pool_of(f), &f->arena, RPC_SUBMIT, &c, &f->why), OK);
    assert_text(&c, "sent");
    assert_int_equal(script_requests(second), 0);
    assert_int_equal(won() + lost(), before);
}

/* ---- the budget ---- */

static void test_hedges_are_paid_for(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT("\"first\""), .delay_ms = 700});
    struct script_server *second = NODE(f, {.body = RESULT("\"second\"")});
    struct rpc_call c;
    pool_of(f)->hedge_credit = 90;
    assert_int_equal(call(f, &c), OK); /* earns five hundredths: 95 */
    assert_text(&c, "first");
    assert_int_equal(script_requests(second), 0);
    assert_int_equal(call(f, &c), OK); /* 100 */
    assert_text(&c, "second");
    assert_int_equal(pool_of(f)->hedge_credit, 0);
    for (int i = 0; i < 10000; i++) {
        assert_true(rpc_hedge_earn(f->pool, 1));
    }
    assert_int_equal(pool_of(f)->hedge_credit, 10000); /* a hundred calls, and no more */
}

static void test_off_means_off(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT("\"first\""), .delay_ms = 700});
    struct script_server *second = NODE(f, {.body = RESULT("\"second\"")});
    f->options.timeout_usec = 60 * SECOND;
    struct rpc_call c = ONE;
    assert_int_equal(fixture_call(f, &c), OK);
    assert_text(&c, "first");
    assert_int_equal(script_requests(second), 0);
}

static void test_nodes_apart_are_not_asked(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT("\"first\""), .delay_ms = 700});
    struct script_server *second = NODE(f, {.body = RESULT("\"second\"")});
    pool_of(f)->nodes[1].behind = true;
    struct rpc_call c;
    assert_int_equal(call(f, &c), OK);
    assert_text(&c, "first");
    assert_int_equal(script_requests(second), 0);
}

/* ---- how long the first is waited for ---- */

static void answer_in(struct fixture *f, size_t node, int times, int64_t usec)
{
    for (int i = 0; i < times; i++) {
        rpc_node_worked(f->pool, &f->pool->nodes[node], 1, usec);
    }
}

static void test_the_delay_follows_the_node(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, SILENT);
    const struct rpc_node *node = &pool_of(f)->nodes[0];
    assert_int_equal(rpc_hedge_delay(f->pool, node, 1), 500000);
    answer_in(f, 0, 95, 100000);
    answer_in(f, 0, 5, 900000);
    assert_in_range(rpc_hedge_delay(f->pool, node, 1), 100000, 120000);
    assert_int_equal(rpc_hedge_delay(f->pool, node, 10), 500000); /* of batches nothing is known */
    answer_in(f, 0, 1000, 300);
    assert_int_equal(rpc_hedge_delay(f->pool, node, 1), 20000);
    answer_in(f, 0, 1000, 50 * SECOND);
    assert_int_equal(rpc_hedge_delay(f->pool, node, 1), 2 * SECOND);
}

/* ---- who is preferred ---- */

static size_t picked(struct fixture *f)
{
    struct rpc_node *node = NULL;
    assert_int_equal(rpc_node_pick(f->pool, 0, &node, &f->why), OK);
    return (size_t)(node - f->pool->nodes);
}

static void test_the_better_one_of_a_role(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++) {
        (void)NODE(f, SILENT);
    }
    f->endpoints[3].role = RPC_BACKUP;
    (void)pool_of(f);
    for (size_t i = 0; i < 4; i++) {
        answer_in(f, i, 20, 100000 - 20000 * (int64_t)i);
    }
    /* The primary is the slowest of all, and is the primary. */
    assert_int_equal(picked(f), 0);
    f->pool->nodes[0].behind = true;
    assert_int_equal(picked(f), 1); /* 80 ms beside 60: not enough to change */
    answer_in(f, 2, 100, 20000);
    assert_int_equal(picked(f), 2);
    answer_in(f, 1, 100, 18000);
    assert_int_equal(picked(f), 2); /* nor is that enough to change back */
    answer_in(f, 1, 100, 5000);
    assert_int_equal(picked(f), 1);
    /* Failures count, also when what is answered comes fast. */
    for (int i = 0; i < 10; i++) {
        rpc_node_failed(f->pool, &f->pool->nodes[1], ERR_NODE_UNAVAILABLE, clock_mono_usec(), 0);
    }
    fixture_advance(60 * SECOND);
    assert_int_equal(picked(f), 2);
    f->pool->nodes[0].behind = false;
    assert_int_equal(picked(f), 0);
}

static void test_what_is_shown(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, SILENT);
    (void)pool_of(f);
    answer_in(f, 0, 100, 10000);
    struct buf out;
    struct json_out j;
    buf_init(&out, &f->arena, 0);
    json_out_init(&j, &out);
    json_begin_object(&j);
    rpc_health(f->pool, &j);
    json_end_object(&j);
    const struct json *v = NULL;
    assert_int_equal(json_parse(&f->arena, buf_slice(&out), &json_limits_body, &v, NULL), OK);
    const struct json *first = json_at(json_find(v, "endpoints"), 0);
    uint64_t usec = 0;
    assert_true(slice_equal_text(json_find(first, "latencyUsec")->text, "10000"));
    assert_int_equal(slice_parse_u64(json_find(first, "latencyP95Usec")->text, &usec), OK);
    assert_in_range(usec, 10000, 12500);
    assert_int_equal(json_find(first, "ahead")->type, JSON_FALSE);
}

/* ---- threads ---- */

static void *ask_often(void *arg)
{
    struct fixture *f = arg;
    struct arena arena;
    size_t good = 0;
    arena_init(&arena, 0);
    for (int i = 0; i < 50; i++) {
        struct rpc_call c = ONE;
        good += rpc_call_one(f->pool, &arena, RPC_ANY, &c, NULL) == OK;
        arena_clear(&arena);
    }
    arena_free(&arena);
    return good == 50 ? arg : NULL;
}

static void test_threads_race_in_one_pool(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[6];
    (void)NODE(f, {.body = RESULT("\"x\"")}, {.body = "", .status = 500},
               {.body = RESULT("\"x\""), .delay_ms = 900}, {.body = RESULT("\"x\"")});
    (void)NODE(f, {.body = RESULT("\"y\"")});
    (void)pool_of(f);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, f), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        void *good = NULL;
        assert_int_equal(pthread_join(threads[i], &good), 0);
        assert_non_null(good);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_silent_node_costs_a_moment),
        TEST(test_one_that_is_always_silent_is_left_alone),
        TEST(test_the_first_may_still_be_first),
        cmocka_unit_test(test_a_bad_answer_wins_nothing),
        TEST(test_both_may_fail),
        TEST(test_parts_of_a_batch_come_from_both),
        TEST(test_nothing_is_sent_twice),
        TEST(test_hedges_are_paid_for),
        TEST(test_off_means_off),
        TEST(test_nodes_apart_are_not_asked),
        TEST(test_the_delay_follows_the_node),
        TEST(test_the_better_one_of_a_role),
        TEST(test_what_is_shown),
        TEST(test_threads_race_in_one_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
