#include "support/rpc_fixture.c"
#include "unit/test.h"

#include <fcntl.h>
#include <sys/mman.h>

#define ONE ((struct rpc_call){.method = "eth_one"})

static void use_calls(struct rpc_call *calls, size_t count)
{
    static const char *const methods[] = {"eth_a", "eth_b", "eth_c", "eth_d", "eth_e"};
    for (size_t i = 0; i < count; i++) {
        calls[i] = (struct rpc_call){.method = methods[i]};
    }
}

static void assert_text(const struct rpc_call *call, const char *text)
{
    assert_int_equal(call->err, OK);
    assert_int_equal(call->result->type, JSON_STRING);
    assert_true(slice_equal_text(call->result->text, text));
}

/* ---- the chain id ---------------------------------------------------------------------------- */

static void test_chain_is_checked_once_before_the_first_call(void **state)
{
    struct fixture *f = *state;
    struct script_server *node = NODE(f, {.body = RESULT("\"x\"")});
    for (int i = 0; i < 5; i++) {
        struct rpc_call call = ONE;
        assert_int_equal(fixture_call(f, &call), OK);
        assert_text(&call, "x");
    }
    assert_int_equal(script_requests(node), 5);
    assert_int_equal(script_chain_checks(node), 1);
    assert_int_equal(script_connections(node), 1);
}

static void test_node_of_another_chain_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct script_server *node = fixture_node(f, STEPS({.body = RESULT("\"x\"")}), 1, "0x1");
    struct rpc_call call = ONE;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture_call(f, &call), ERR_WRONG_CHAIN);
    }
    assert_int_equal(script_requests(node), 0);
    assert_int_equal(script_chain_checks(node), 1);
    uint64_t id = 0;
    assert_int_equal(rpc_chain_id(f->pool, &id, &f->why), ERR_WRONG_CHAIN);
    assert_non_null(strstr(f->why.text, "serves chain 1, but chain 31337"));
    assert_int_equal(id, 0);
}

static void test_fallback_when_the_primary_is_of_another_chain(void **state)
{
    struct fixture *f = *state;
    struct script_server *wrong = fixture_node(f, STEPS({.body = RESULT("\"x\"")}), 1, "0x1");
    struct script_server *right = NODE(f, {.body = RESULT("\"right\"")});
    struct rpc_call call = ONE;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture_call(f, &call), OK);
        assert_text(&call, "right");
    }
    assert_int_equal(script_requests(wrong), 0);
    assert_int_equal(script_requests(right), 3);
}

static void test_chain_id_that_is_none(void **state)
{
    struct fixture *f = *state;
    static const char *const ids[] = {"31337", "0x", "0x10000000000007a69", "\\u0000", "0xzz"};
    f->options.attempts_max = 1;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct script_server *node = fixture_node(f, STEPS({.body = RESULT("1")}), 1, ids[i]);
        struct rpc_call call = ONE;
        assert_int_equal(fixture_call(f, &call), ERR_NODE_RESPONSE);
        assert_int_equal(script_requests(node), 0);
        rpc_pool_free(f->pool);
        f->pool = NULL;
        script_stop(node);
        f->node_count = 0;
    }
}

static void test_another_node_behind_the_same_port_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct script_server *node =
        NODE(f, {.body = RESULT("\"ours\"")}, {.body = RESULT("\"theirs\"")});
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), OK);
    fixture_advance(2 * USEC_PER_SEC);
    script_set_chain(node, "0x5"); /* restarted as something else */
    assert_int_equal(fixture_call(f, &call), ERR_WRONG_CHAIN);
    assert_null(call.result);
}

static void test_servers_without_keep_alive_are_not_checked_each_time(void **state)
{
    struct fixture *f = *state;
    struct script_server *node = NODE(f, {.mode = SCRIPT_CLOSE, .body = RESULT("\"x\"")});
    for (int i = 0; i < 10; i++) {
        struct rpc_call call = ONE;
        assert_int_equal(fixture_call(f, &call), OK);
    }
    assert_in_range(script_chain_checks(node), 1, 2);
}

/* ---- failures and fail-over ------------------------------------------------------------------ */

static void test_one_failure_is_retried(void **state)
{
    static const struct script_step bad[] = {
        {.body = "", .status = 500},
        {.body = "<html>", .status = 502},
        {.body = "nope", .status = 404},
        {.mode = SCRIPT_TRUNCATE, .body = RESULT("\"half of this is not sent\"")},
        {.mode = SCRIPT_DRIP,
         .body = RESULT("\"this text would need a good deal more than the one second it has\"")},
        {.body = "<html>Welcome</html>"},
        {.body = "{\"jsonrpc\":\"2.0\",\"id\":$0,\"result\":\"0x"},
        {.body = "{\"jsonrpc\":\"2.0\",\"id\":1$0,\"result\":\"other id\"}"},
        {.body = "{\"jsonrpc\":\"2.0\",\"id\":\"$0\",\"result\":\"id of text\"}"},
        {.body = RESULT("\"claims gzip\""), .mode = SCRIPT_RAW},
        {.body = "\x1f\x8b\x08", .headers = "Content-Encoding: gzip\r\n"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fixture *f = NULL;
        fixture_setup((void **)&f);
        int64_t retries = fixture_metric(RPC_METRIC_RETRIES);
        struct script_server *node =
            fixture_node(f, STEPS(bad[i], {.body = RESULT("\"good\"")}), 2, CHAIN_HEX);
        struct rpc_call call = ONE;
        assert_int_equal(fixture_call(f, &call), OK);
        assert_text(&call, "good");
        assert_int_equal(script_requests(node), 2);
        assert_int_equal(script_chain_checks(node), 2); /* again after the failure */
        assert_int_equal(fixture_metric(RPC_METRIC_RETRIES), retries + 1);
        fixture_teardown((void **)&f);
    }
    (void)state;
}

static void test_a_reset_connection_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct script_server *node =
        NODE(f, {.mode = SCRIPT_RESET, .body = ""}, {.body = RESULT("\"good\"")});
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), OK);
    assert_text(&call, "good");
    assert_int_equal(script_requests(node), 2);
}

static void test_attempts_are_bounded(void **state)
{
    static const struct {
        struct script_step step;
        enum err err;
    } rows[] = {
        {{.body = "", .status = 503}, ERR_NODE_UNAVAILABLE},
        {{.body = "", .status = 401}, ERR_NODE_UNAVAILABLE},
        {{.mode = SCRIPT_TRUNCATE, .body = RESULT("\"half\"")}, ERR_NODE_UNAVAILABLE},
        {{.body = "<html>"}, ERR_NODE_RESPONSE},
        {{.body = "", .status = 204}, ERR_NODE_RESPONSE},
        {{.body = "", .status = 301, .headers = "Location: http://127.0.0.1:1/\r\n"},
         ERR_NODE_RESPONSE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture *f = NULL;
        fixture_setup((void **)&f);
        struct script_server *node = fixture_node(f, &rows[i].step, 1, CHAIN_HEX);
        struct rpc_call call = ONE;
        assert_int_equal(fixture_call(f, &call), rows[i].err);
        assert_int_equal(call.err, rows[i].err);
        assert_int_equal(f->why.err, rows[i].err);
        assert_non_null(strstr(f->why.text, script_url(node)));
        assert_int_equal(script_requests(node), 3);
        fixture_teardown((void **)&f);
    }
}

static void test_silence_takes_no_longer_than_its_time(void **state)
{
    struct fixture *f = *state;
    f->options.timeout_usec = 150000;
    f->options.attempts_max = 2;
    (void)NODE(f, {.mode = SCRIPT_SILENCE, .body = ""});
    struct rpc_call call = ONE;
    int64_t start = clock_mono_usec();
    assert_int_equal(fixture_call(f, &call), ERR_NODE_TIMEOUT);
    assert_in_range(clock_mono_usec() - start, 300000, 1500000);
}

static void test_fail_over_and_return(void **state)
{
    struct fixture *f = *state;
    struct script_server *first =
        NODE(f, {.body = "", .status = 500}, {.body = RESULT("\"first\"")});
    struct script_server *second = NODE(f, {.body = RESULT("\"second\"")});
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), OK);
    assert_text(&call, "second");
    assert_int_equal(fixture_call(f, &call), OK); /* the first is cooling down */
    assert_text(&call, "second");
    assert_int_equal(script_requests(first), 1);
    fixture_advance(USEC_PER_SEC);
    assert_int_equal(fixture_call(f, &call), OK);
    assert_text(&call, "first");
    assert_int_equal(script_requests(second), 2);
}

static void test_roles_give_the_order(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = RESULT("\"backup\"")});
    (void)NODE(f, {.body = RESULT("\"fallback\"")});
    (void)NODE(f, {.body = RESULT("\"primary\"")});
    f->endpoints[0].role = RPC_BACKUP;
    f->endpoints[2].role = RPC_PRIMARY;
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), OK);
    assert_text(&call, "primary");
}

static void test_cool_down_doubles(void **state)
{
    struct fixture *f = *state;
    f->options.attempts_max = 1;
    struct script_server *node = NODE(f, {.body = "", .status = 500});
    struct rpc_call call = ONE;
    /* The pause after failure n is between 75 % and 100 % of 100 ms times 2^(n-1). */
    int64_t pause = 100000;
    for (unsigned n = 1; n <= 12; n++) {
        assert_int_equal(fixture_call(f, &call), ERR_NODE_UNAVAILABLE);
        assert_int_equal(script_requests(node), n);
        int64_t left = f->pool->nodes[0].cool_until_usec - clock_mono_usec();
        assert_in_range(left, pause * 3 / 4 - 50000, pause);
        fixture_advance(pause);
        pause = 2 * pause > 30 * USEC_PER_SEC ? 30 * USEC_PER_SEC : 2 * pause;
    }
}

static void test_retry_after_is_obeyed(void **state)
{
    struct fixture *f = *state;
    struct script_server *node =
        NODE(f, {.body = "", .status = 429, .headers = "Retry-After: 7\r\n"},
             {.body = RESULT("\"good\"")});
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), ERR_NODE_RATE_LIMITED);
    assert_int_equal(fixture_call(f, &call), ERR_NODE_RATE_LIMITED);
    assert_int_equal(script_requests(node), 1);
    fixture_advance(5 * USEC_PER_SEC);
    int64_t start = clock_mono_usec();
    assert_int_equal(fixture_call(f, &call), ERR_NODE_RATE_LIMITED);
    assert_in_range(clock_mono_usec() - start, 0, 500000); /* fails at once, does not wait 2 s */
    assert_int_equal(script_requests(node), 1);
    fixture_advance(2 * USEC_PER_SEC);
    assert_int_equal(fixture_call(f, &call), OK);
    assert_text(&call, "good");
}

static void test_retry_after_is_bounded(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = "", .status = 429, .headers = "Retry-After: 999999999999\r\n"},
               {.body = RESULT("\"good\"")});
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), ERR_NODE_RATE_LIMITED);
    fixture_advance(300 * (int64_t)USEC_PER_SEC);
    assert_int_equal(fixture_call(f, &call), OK);
}

/* Two calls a second, of which those of one second may come at once. */
static void test_a_budget_sends_calls_to_the_next_node(void **state)
{
    struct fixture *f = *state;
    struct script_server *first = NODE(f, {.body = RESULT("\"first\"")});
    struct script_server *second = NODE(f, {.body = RESULT("\"second\"")});
    f->options.rate_max = 2;
    for (int i = 0; i < 6; i++) {
        struct rpc_call call = ONE;
        assert_int_equal(fixture_call(f, &call), OK);
        assert_text(&call, i < 3 ? "first" : "second");
    }
    fixture_advance(10 * USEC_PER_SEC);
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), OK);
    assert_text(&call, "first");
    assert_int_equal(script_requests(first), 4);
    assert_int_equal(script_requests(second), 3);
}

static void test_rate_limit_in_an_error_object(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = ERROR("{\"code\":429,\"message\":\"compute units per second\"}")});
    (void)NODE(f, {.body = RESULT("\"second\"")});
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), OK);
    assert_text(&call, "second");
}

static void test_error_objects_are_answers(void **state)
{
    struct fixture *f = *state;
    struct script_server *node = NODE(
        f, {.body = ERROR("{\"code\":-32601,\"message\":\"no such method\"}")},
        {.body = ERROR("{\"code\":-32602,\"message\":\"status 400\"}"), .status = 400},
        {.body = ERROR("{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0x01020304\"}")});
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), ERR_NODE_ERROR);
    assert_int_equal(call.error_code, -32601);
    assert_non_null(strstr(f->why.text, "no such method"));
    assert_int_equal(fixture_call(f, &call), ERR_NODE_ERROR);
    assert_int_equal(call.error_code, -32602);
    assert_int_equal(fixture_call(f, &call), ERR_REVERTED);
    assert_int_equal(call.error_data.len, 4);
    assert_int_equal(script_requests(node), 3);
    assert_int_equal(script_chain_checks(node), 1); /* no failure: the node is healthy */
}

static void test_nobody_there(void **state)
{
    struct fixture *f = *state;
    struct script_server *gone = NODE(f, {.body = ""});
    char url[64];
    (void)snprintf(url, sizeof(url), "%s", script_url(gone));
    script_stop(gone);
    f->endpoints[0].url = url;
    fixture_pool(f);
    f->node_count = 0;
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), ERR_NODE_UNAVAILABLE);
    uint64_t id = 0;
    assert_int_equal(rpc_chain_id(f->pool, &id, &f->why), ERR_NODE_UNAVAILABLE);
}

/* ---- batches --------------------------------------------------------------------------------- */

#define ANSWER(id, text) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":\"" text "\"}"
#define REFUSAL "{\"code\":-32600,\"message\":\"batches are not supported\"}"

static enum err call_many(struct fixture *f, struct rpc_call *calls, size_t count)
{
    use_calls(calls, count);
    if (f->pool == NULL) {
        fixture_pool(f);
    }
    return rpc_call_many(f->pool, &f->arena, RPC_ANY, calls, count, &f->why);
}

static void test_batches_are_split_and_matched_by_id(void **state)
{
    struct fixture *f = *state;
    f->options.batch_max = 2;
    struct script_server *node = NODE(f, {.body = "[" ANSWER("$1", "b") "," ANSWER("$0", "a") "]"},
                                      {.body = "[" ANSWER("$0", "c") "," ANSWER("$1", "d") "]"},
                                      {.body = ANSWER("$0", "e")});
    struct rpc_call calls[5];
    assert_int_equal(call_many(f, calls, 5), OK);
    assert_int_equal(script_requests(node), 3);
    for (size_t i = 0; i < 5; i++) {
        const char text[2] = {(char)('a' + i), 0};
        assert_text(&calls[i], text);
    }
    assert_int_equal(rpc_call_many(f->pool, &f->arena, RPC_ANY, calls, 0, &f->why), OK);
}

static void test_only_what_is_missing_is_asked_again(void **state)
{
    struct fixture *f = *state;
    int64_t wrong = fixture_metric(RPC_METRIC_WRONG_ANSWERS);
    struct script_server *node =
        NODE(f, {.body = "[" ANSWER("$0", "a") "," ANSWER("$2", "c") "," ANSWER("9999", "?") "]"},
             {.body = ANSWER("$0", "b")});
    struct rpc_call calls[3];
    assert_int_equal(call_many(f, calls, 3), OK);
    assert_text(&calls[0], "a");
    assert_text(&calls[1], "b");
    assert_text(&calls[2], "c");
    assert_int_equal(calls[1].why.text[0], '\0');
    assert_int_equal(script_requests(node), 2);
    char last[4096];
    script_last(node, last, sizeof(last));
    assert_non_null(strstr(last, "\"eth_b\""));
    assert_null(strstr(last, "\"eth_a\""));
    assert_int_equal(fixture_metric(RPC_METRIC_WRONG_ANSWERS), wrong + 1);
}

static void test_calls_that_are_never_answered_fail_alone(void **state)
{
    struct fixture *f = *state;
    struct script_server *node =
        NODE(f, {.body = "[" ANSWER("$1", "b") "," ANSWER("$1", "again") "," ANSWER("$0", "a") "]"},
             {.body = "[]"});
    struct rpc_call calls[3];
    assert_int_equal(call_many(f, calls, 3), OK);
    assert_text(&calls[0], "a");
    assert_int_equal(calls[1].err, ERR_NODE_RESPONSE);
    assert_null(calls[1].result);
    assert_int_equal(calls[2].err, ERR_NODE_RESPONSE);
    assert_non_null(strstr(calls[2].why.text, script_url(node)));
    assert_int_equal(script_requests(node), 3);
}

static void test_mixed_outcomes(void **state)
{
    struct fixture *f = *state;
    struct script_server *node = NODE(
        f,
        {.body = "[" ANSWER(
             "$0",
             "a") ","
                  "{\"jsonrpc\":\"2.0\",\"id\":$1,\"error\":{\"code\":-1,\"message\":\"no\"}},"
                  "{\"jsonrpc\":\"2.0\",\"id\":$2,\"error\":{\"code\":429,\"message\":\"\"}}]"},
        {.body = ANSWER("$0", "c")});
    struct rpc_call calls[3];
    assert_int_equal(call_many(f, calls, 3), OK);
    assert_text(&calls[0], "a");
    assert_int_equal(calls[1].err, ERR_NODE_ERROR);
    assert_text(&calls[2], "c");
    assert_int_equal(script_requests(node), 2);
}

static void test_node_without_batches_is_asked_singly_and_remembered(void **state)
{
    struct fixture *f = *state;
    struct script_server *node = NODE(f, {.body = ERROR(REFUSAL)}, {.body = RESULT("\"x\"")});
    struct rpc_call calls[3];
    assert_int_equal(call_many(f, calls, 3), OK);
    for (size_t i = 0; i < 3; i++) {
        assert_text(&calls[i], "x");
    }
    assert_int_equal(script_requests(node), 4);
    assert_int_equal(call_many(f, calls, 3), OK);
    assert_int_equal(script_requests(node), 7); /* no second refusal */
    assert_int_equal(script_chain_checks(node), 1);
}

static void test_batches_shrink_when_the_node_says_so(void **state)
{
    struct fixture *f = *state;
    struct script_server *node =
        NODE(f, {.body = "[" ERROR("{\"code\":-32600,\"message\":\"batch too large\"}") "]"},
             {.body = "[" ANSWER("$0", "a") "," ANSWER("$1", "b") "]"},
             {.body = "[" ANSWER("$0", "c") "," ANSWER("$1", "d") "]"});
    struct rpc_call calls[4];
    assert_int_equal(call_many(f, calls, 4), OK);
    assert_text(&calls[0], "a");
    assert_text(&calls[3], "d");
    assert_int_equal(script_requests(node), 3);
}

static void test_requests_and_answers_too_large_are_halved(void **state)
{
    struct fixture *f = *state;
    f->options.answer_bytes_max = 1000;
    char big[1200];
    memset(big, ' ', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    struct script_server *node =
        NODE(f, {.body = big}, {.body = "", .status = 413}, {.body = ANSWER("$0", "a")},
             {.body = "[" ANSWER("$0", "b") "," ANSWER("$1", "c") "," ANSWER("$2", "d") "]"});
    struct rpc_call calls[4];
    assert_int_equal(call_many(f, calls, 4), OK);
    assert_text(&calls[0], "a");
    assert_text(&calls[3], "d");
    assert_int_equal(script_requests(node), 4);
    assert_int_equal(script_chain_checks(node), 1); /* nobody's fault: no cool-down */
}

static void test_an_answer_too_large_is_tried_elsewhere_then_given_up(void **state)
{
    struct fixture *f = *state;
    f->options.timeout_usec = 10 * (int64_t)USEC_PER_SEC;
    struct script_server *hostile =
        NODE(f, {.mode = SCRIPT_ENDLESS, .body = ""}, {.mode = SCRIPT_ENDLESS, .body = ""},
             {.body = RESULT("\"calm\"")});
    struct script_server *other =
        NODE(f, {.body = RESULT("\"good\"")}, {.mode = SCRIPT_ENDLESS, .body = ""});
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), OK);
    assert_text(&call, "good");
    assert_int_equal(fixture_call(f, &call), ERR_LIMIT);
    assert_non_null(strstr(f->why.text, "bytes"));
    assert_int_equal(script_requests(hostile), 2);
    assert_int_equal(script_requests(other), 2);
    assert_int_equal(fixture_call(f, &call), OK);
    assert_text(&call, "calm");
}

static void test_batch_with_no_node_fails_fast(void **state)
{
    struct fixture *f = *state;
    f->options.batch_max = 1;
    struct script_server *node = NODE(f, {.body = "", .status = 500});
    struct rpc_call calls[5];
    assert_int_equal(call_many(f, calls, 5), ERR_NODE_UNAVAILABLE);
    assert_int_equal(script_requests(node), 3); /* not three for each of the five */
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(calls[i].err, ERR_NODE_UNAVAILABLE);
        assert_true(calls[i].why.text[0] != '\0');
    }
}

static void test_first_part_is_kept_when_the_node_dies(void **state)
{
    struct fixture *f = *state;
    f->options.batch_max = 2;
    (void)NODE(f, {.body = "[" ANSWER("$1", "b") "," ANSWER("$0", "a") "]"},
               {.mode = SCRIPT_RESET, .body = ""});
    struct rpc_call calls[4];
    assert_int_equal(call_many(f, calls, 4), OK);
    assert_text(&calls[0], "a");
    assert_text(&calls[1], "b");
    assert_int_equal(calls[2].err, ERR_NODE_UNAVAILABLE);
    assert_int_equal(calls[3].err, ERR_NODE_UNAVAILABLE);
}

/* ---- what is shown --------------------------------------------------------------------------- */

static void test_keys_in_urls_are_never_shown(void **state)
{
    struct fixture *f = *state;
    struct script_server *node =
        NODE(f,
             {.body = ERROR("{\"code\":-1,\"message\":\"project 0123456789abcdef is over; "
                            "tok3n-of-mine, 0123456789abcdef\"}")},
             {.body = "{\"0123456789abcdef\"", .status = 200}, {.body = "", .status = 500});
    char url[200];
    (void)snprintf(url, sizeof(url),
                   "http://user:passw0rd-of-us@%s/v3/0123456789abcdef?t=tok3n-of-mine",
                   script_url(node) + 7);
    f->endpoints[0].url = url;
    int log = memfd_create("log", 0);
    log_set_fd(log);
    static const char *const secrets[] = {"0123456789abcdef", "tok3n-of-mine", "passw0rd-of-us",
                                          "user:"};
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), ERR_NODE_ERROR);
    assert_non_null(strstr(f->why.text, "project **************** is over"));
    f->options.attempts_max = 1;
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < sizeof(secrets) / sizeof(secrets[0]); k++) {
            assert_null(strstr(f->why.text, secrets[k]));
        }
        assert_int_not_equal(fixture_call(f, &call), OK);
        fixture_advance(USEC_PER_SEC);
    }
    struct buf out;
    struct json_out j;
    buf_init(&out, &f->arena, 0);
    json_out_init(&j, &out);
    json_begin_object(&j);
    rpc_health(f->pool, &j);
    json_end_object(&j);
    buf_add_byte(&out, 0);
    char lines[8192] = {0};
    assert_true(pread(log, lines, sizeof(lines) - 1, 0) > 0);
    assert_non_null(strstr(lines, "rpc.endpoint_failed"));
    assert_non_null(strstr(lines, script_url(node)));
    for (size_t k = 0; k < sizeof(secrets) / sizeof(secrets[0]); k++) {
        assert_null(strstr((const char *)out.ptr, secrets[k]));
        assert_null(strstr(lines, secrets[k]));
    }
    log_set_fd(-1);
    (void)close(log);
}

static void test_health(void **state)
{
    struct fixture *f = *state;
    (void)NODE(f, {.body = "", .status = 500});
    (void)NODE(f, {.body = RESULT("\"x\"")});
    struct rpc_call call = ONE;
    assert_int_equal(fixture_call(f, &call), OK);
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
    const struct json *second = json_at(json_find(v, "endpoints"), 1);
    assert_true(slice_equal_text(json_find(first, "url")->text, script_url(f->nodes[0])));
    assert_true(slice_equal_text(json_find(first, "role")->text, "primary"));
    assert_int_equal(json_find(first, "healthy")->type, JSON_FALSE);
    assert_true(slice_equal_text(json_find(first, "failures")->text, "1"));
    assert_true(slice_equal_text(json_find(second, "role")->text, "fallback"));
    assert_int_equal(json_find(second, "healthy")->type, JSON_TRUE);
    assert_false(slice_equal_text(json_find(second, "latencyUsec")->text, "0"));
}

static void test_metrics_are_registered(void **state)
{
    struct fixture *f = *state;
    metric_reset();
    rpc_metrics_register();
    struct buf out;
    buf_init(&out, &f->arena, 0);
    metric_render(&out);
    buf_add_byte(&out, 0);
    assert_non_null(strstr((const char *)out.ptr, "freehold_rpc_requests_total "));
    assert_non_null(strstr((const char *)out.ptr, "freehold_rpc_wrong_answers_total "));
    assert_non_null(
        strstr((const char *)out.ptr, "freehold_rpc_failures_total{reason=\"timeout\"}"));
    metric_reset();
}

/* ---- threads --------------------------------------------------------------------------------- */

#define THREADS 8
#define ROUNDS 60

struct worker {
    struct rpc_pool *pool;
    unsigned ok;
    unsigned failed;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct arena arena;
    arena_init(&arena, 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct rpc_call call = ONE;
        if (rpc_call_one(w->pool, &arena, RPC_ANY, &call, NULL) == OK) {
            w->ok++;
        } else {
            w->failed++;
        }
        arena_clear(&arena);
    }
    arena_free(&arena);
    return NULL;
}

static void test_threads_share_a_pool(void **state)
{
    struct fixture *f = *state;
    struct script_server *shaky =
        NODE(f, {.body = RESULT("\"x\"")}, {.body = "", .status = 500},
             {.mode = SCRIPT_RESET, .body = ""}, {.body = RESULT("\"x\"")}, {.body = "oops"},
             {.body = RESULT("\"x\"")});
    (void)NODE(f, {.body = RESULT("\"x\"")});
    fixture_pool(f);
    struct worker workers[THREADS] = {0};
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        workers[i].pool = f->pool;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].ok, ROUNDS);
    }
    assert_true(script_requests(shaky) > 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_chain_is_checked_once_before_the_first_call),
        TEST(test_node_of_another_chain_is_left_alone),
        TEST(test_fallback_when_the_primary_is_of_another_chain),
        TEST(test_chain_id_that_is_none),
        TEST(test_another_node_behind_the_same_port_is_noticed),
        TEST(test_servers_without_keep_alive_are_not_checked_each_time),
        cmocka_unit_test(test_one_failure_is_retried),
        TEST(test_a_reset_connection_is_replaced),
        cmocka_unit_test(test_attempts_are_bounded),
        TEST(test_silence_takes_no_longer_than_its_time),
        TEST(test_fail_over_and_return),
        TEST(test_roles_give_the_order),
        TEST(test_cool_down_doubles),
        TEST(test_retry_after_is_obeyed),
        TEST(test_retry_after_is_bounded),
        TEST(test_a_budget_sends_calls_to_the_next_node),
        TEST(test_rate_limit_in_an_error_object),
        TEST(test_error_objects_are_answers),
        TEST(test_nobody_there),
        TEST(test_batches_are_split_and_matched_by_id),
        TEST(test_only_what_is_missing_is_asked_again),
        TEST(test_calls_that_are_never_answered_fail_alone),
        TEST(test_mixed_outcomes),
        TEST(test_node_without_batches_is_asked_singly_and_remembered),
        TEST(test_batches_shrink_when_the_node_says_so),
        TEST(test_requests_and_answers_too_large_are_halved),
        TEST(test_an_answer_too_large_is_tried_elsewhere_then_given_up),
        TEST(test_batch_with_no_node_fails_fast),
        TEST(test_first_part_is_kept_when_the_node_dies),
        TEST(test_keys_in_urls_are_never_shown),
        TEST(test_health),
        TEST(test_metrics_are_registered),
        TEST(test_threads_share_a_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
