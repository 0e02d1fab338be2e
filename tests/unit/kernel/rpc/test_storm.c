/* Nodes in trouble, many calls long: what is asked of them stays bounded. */
#include "support/rpc_fixture.c"
#include "unit/test.h"

#define ONE ((struct rpc_call){.method = "eth_one"})
#define CALLS 200

/* Calls that fail wait for no cool-down that is longer than a second, and ask nothing meanwhile. */
static void test_a_storm_makes_no_busy_loop(void **state)
{
    static const struct script_step storms[] = {
        {.body = "slow down", .status = 429},
        {.body = "", .status = 503},
        {.body = "<html>Service unavailable</html>"},
        {.body = ERROR("{\"code\":-32005,\"message\":\"rate limit\"}")},
        {.mode = SCRIPT_TRUNCATE, .body = RESULT("\"cut short\"")},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++) {
        struct fixture *f = NULL;
        fixture_setup((void **)&f);
        struct script_server *node = fixture_node(f, &storms[i], 1, CHAIN_HEX);
        /* Six failures in a row cool down for more than a second, in whatever way. */
        for (int n = 0; n < 6; n++) {
            struct rpc_call call = ONE;
            assert_int_not_equal(fixture_call(f, &call), OK);
            fixture_advance(30 * (int64_t)USEC_PER_SEC);
        }
        struct rpc_call call = ONE;
        assert_int_not_equal(fixture_call(f, &call), OK);
        unsigned before = script_requests(node);
        int64_t until = f->pool->nodes[0].cool_until_usec;
        unsigned quick = 0;
        for (int n = 0; n < CALLS && clock_mono_usec() + (int64_t)USEC_PER_SEC < until; n++) {
            assert_int_not_equal(fixture_call(f, &call), OK);
            quick++;
        }
        assert_true(quick > 0);
        assert_int_equal(script_requests(node), before);
        fixture_teardown((void **)&f);
    }
}

static void test_a_calm_node_beside_a_storm_answers_all(void **state)
{
    struct fixture *f = *state;
    struct script_server *storm =
        NODE(f, {.body = "", .status = 503}, {.body = "<html>"}, {.body = "", .status = 429},
             {.mode = SCRIPT_RESET, .body = ""}, {.body = ""},
             {.mode = SCRIPT_TRUNCATE, .body = RESULT("\"half\"")}, {.body = "", .status = 500});
    struct script_server *calm = NODE(f, {.body = RESULT("\"calm\"")});
    for (int i = 0; i < CALLS; i++) {
        struct rpc_call call = ONE;
        assert_int_equal(fixture_call(f, &call), OK);
        assert_true(slice_equal_text(call.result->text, "calm"));
    }
    assert_int_equal(script_requests(calm), CALLS);
    assert_true(script_requests(storm) < CALLS / 4);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_storm_makes_no_busy_loop),
        TEST(test_a_calm_node_beside_a_storm_answers_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
