#include "kernel/net/http_client.h"

#include "kernel/base/clock.h"
#include "kernel/base/mem.h"
#include "support/script_server.c"
#include "unit/test.h"

struct fixture {
    struct net_client *client;
    struct arena arena;
    struct net_answer answer;
    struct why why;
};

static int setup(void **state)
{
    net_start();
    struct fixture *f = mem_alloc(sizeof(*f));
    f->client = net_client_new();
    arena_init(&f->arena, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    net_client_free(f->client);
    arena_free(&f->arena);
    mem_free(f);
    return 0;
}

static struct net_request post_to(const char *url)
{
    return (struct net_request){
        .method = "POST",
        .url = url,
        .body = SLICE_LIT("{\"a\":1}"),
        .timeout_usec = 2 * USEC_PER_SEC,
        .answer_bytes_max = 100000,
    };
}

static enum err run(struct fixture *f, const struct net_request *request)
{
    return net_request_run(f->client, &f->arena, request, &f->answer, &f->why);
}

static void test_post_and_keep_alive(void **state)
{
    struct fixture *f = *state;
    static const struct script_step steps[] = {{.body = "{\"ok\":true}"}};
    struct script_server *s = script_start(steps, 1, NULL);
    static const struct net_header headers[] = {{SLICE_LIT("X-Test"), SLICE_LIT("one two")},
                                                {SLICE_LIT("X-Empty"), SLICE_LIT("")}};
    struct net_request request = post_to(script_url(s));
    request.headers = headers;
    request.header_count = 2;
    assert_int_equal(run(f, &request), OK);
    assert_int_equal(f->answer.status, 200);
    assert_true(f->answer.connected);
    assert_true(slice_equal_text(f->answer.body, "{\"ok\":true}"));
    assert_true(slice_equal_text(f->answer.content_type, "application/json"));
    assert_int_equal(f->answer.retry_after_usec, 0);

    char last[4096];
    script_last(s, last, sizeof(last));
    assert_int_equal(strncmp(last, "POST / HTTP/1.1\r\n", 17), 0);
    assert_non_null(strstr(last, "\r\nX-Test: one two\r\n"));
    assert_non_null(strstr(last, "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(last, "\r\n\r\n{\"a\":1}"));
    assert_null(strcasestr(last, "accept-encoding"));
    assert_null(strcasestr(last, "expect:"));

    for (int i = 0; i < 20; i++) {
        assert_int_equal(run(f, &request), OK);
        assert_false(f->answer.connected);
    }
    assert_int_equal(script_connections(s), 1);
    script_stop(s);
}

static void test_methods(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *method;
        const char *body;
        const char *line;
    } rows[] = {{"GET", "", "GET / "},
                {"PUT", "x=1", "PUT / "},
                {"DELETE", "", "DELETE / "},
                {"POST", "", "POST / "},
                {"PATCH", "y", "PATCH / "}};
    static const struct script_step steps[] = {{.body = "ok"}};
    struct script_server *s = script_start(steps, 1, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct net_request request = post_to(script_url(s));
        request.method = rows[i].method;
        request.body = slice_text(rows[i].body);
        assert_int_equal(run(f, &request), OK);
        char last[4096];
        script_last(s, last, sizeof(last));
        assert_int_equal(strncmp(last, rows[i].line, strlen(rows[i].line)), 0);
        const char *body = strstr(last, "\r\n\r\n");
        assert_non_null(body);
        assert_string_equal(body + 4, rows[i].body);
    }
    script_stop(s);
}

static void test_status_is_no_error_and_redirects_are_not_followed(void **state)
{
    struct fixture *f = *state;
    static const struct script_step steps[] = {
        {.body = "busy", .status = 429, .headers = "Retry-After: 7\r\n"},
        {.body = "", .status = 302, .headers = "Location: http://127.0.0.1:1/\r\n"},
        {.body = "broken", .status = 500},
        {.body = "", .status = 503, .headers = "Retry-After: nonsense\r\n"},
        {.body = "", .status = 503, .headers = "Retry-After: Thu, 01 Jan 1970 00:00:10 GMT\r\n"},
    };
    struct script_server *s = script_start(steps, 5, NULL);
    struct net_request request = post_to(script_url(s));
    assert_int_equal(run(f, &request), OK);
    assert_int_equal(f->answer.status, 429);
    assert_int_equal(f->answer.retry_after_usec, 7 * USEC_PER_SEC);
    assert_true(slice_equal_text(f->answer.body, "busy"));
    assert_int_equal(run(f, &request), OK);
    assert_int_equal(f->answer.status, 302);
    assert_int_equal(run(f, &request), OK);
    assert_int_equal(f->answer.status, 500);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run(f, &request), OK);
        assert_int_equal(f->answer.status, 503);
        assert_int_equal(f->answer.retry_after_usec, 0);
    }
    script_stop(s);
}

static void test_compressed_answers_are_not_expanded(void **state)
{
    struct fixture *f = *state;
    static const struct script_step steps[] = {
        {.body = "{\"plain\":1}", .headers = "Content-Encoding: gzip\r\n"}};
    struct script_server *s = script_start(steps, 1, NULL);
    struct net_request request = post_to(script_url(s));
    assert_int_equal(run(f, &request), OK);
    assert_true(slice_equal_text(f->answer.body, "{\"plain\":1}"));
    script_stop(s);
}

static void test_size_limit(void **state)
{
    struct fixture *f = *state;
    static const struct script_step steps[] = {{.body = "0123456789"},
                                               {.body = "0123456789"},
                                               {.mode = SCRIPT_ENDLESS, .body = ""},
                                               {.body = "again"}};
    struct script_server *s = script_start(steps, 4, NULL);
    struct net_request request = post_to(script_url(s));
    request.answer_bytes_max = 10;
    assert_int_equal(run(f, &request), OK);
    request.answer_bytes_max = 9;
    assert_int_equal(run(f, &request), ERR_LIMIT);
    assert_non_null(strstr(f->why.text, "9 bytes"));
    request.answer_bytes_max = 100000;
    size_t used = f->arena.used;
    assert_int_equal(run(f, &request), ERR_LIMIT);
    assert_in_range(f->arena.used - used, 1, 1000000); /* bounded, whatever is sent */
    assert_int_equal(run(f, &request), OK);
    assert_true(slice_equal_text(f->answer.body, "again"));
    script_stop(s);
}

static void test_announced_size_is_refused_before_it_is_read(void **state)
{
    struct fixture *f = *state;
    static const struct script_step steps[] = {
        {.mode = SCRIPT_RAW,
         .body = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nshort"}};
    struct script_server *s = script_start(steps, 1, NULL);
    struct net_request request = post_to(script_url(s));
    size_t used = f->arena.used;
    assert_int_equal(run(f, &request), ERR_LIMIT);
    assert_in_range(f->arena.used - used, 0, 10000);
    script_stop(s);
}

static void test_total_time_limit(void **state)
{
    struct fixture *f = *state;
    static const struct script_step steps[] = {
        {.mode = SCRIPT_SILENCE, .body = ""},
        {.mode = SCRIPT_DRIP,
         .body = "a slow answer that would need two seconds to arrive, if "
                 "anybody waited for all of it to come in"}};
    struct script_server *s = script_start(steps, 2, NULL);
    struct net_request request = post_to(script_url(s));
    request.timeout_usec = 200000;
    for (int i = 0; i < 2; i++) {
        int64_t start = clock_mono_usec();
        assert_int_equal(run(f, &request), ERR_NODE_TIMEOUT);
        assert_in_range(clock_mono_usec() - start, 190000, 1500000);
        assert_non_null(strstr(f->why.text, "200 ms"));
    }
    script_stop(s);
}

static void test_broken_connections(void **state)
{
    struct fixture *f = *state;
    static const struct script_step steps[] = {
        {.mode = SCRIPT_RESET, .body = ""},
        {.mode = SCRIPT_TRUNCATE, .body = "{\"half\":\"of this is never sent\"}"},
        {.mode = SCRIPT_RAW, .body = "SSH-2.0-OpenSSH_9.2\r\n"},
        {.mode = SCRIPT_RAW, .body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"},
        {.body = "fine"}};
    struct script_server *s = script_start(steps, 5, NULL);
    struct net_request request = post_to(script_url(s));
    for (int i = 0; i < 4; i++) {
        f->why.text[0] = '\0';
        assert_int_equal(run(f, &request), ERR_UPSTREAM);
        assert_non_null(strstr(f->why.text, script_url(s)));
    }
    assert_int_equal(run(f, &request), OK);
    script_stop(s);
}

static void test_connection_closed_by_the_server_is_replaced(void **state)
{
    struct fixture *f = *state;
    static const struct script_step steps[] = {{.mode = SCRIPT_CLOSE, .body = "bye"}};
    struct script_server *s = script_start(steps, 1, NULL);
    struct net_request request = post_to(script_url(s));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run(f, &request), OK);
        assert_true(f->answer.connected);
    }
    script_stop(s);
}

static void test_nobody_there(void **state)
{
    struct fixture *f = *state;
    static const struct script_step steps[] = {{.body = ""}};
    struct script_server *s = script_start(steps, 1, NULL);
    char url[128];
    (void)snprintf(url, sizeof(url), "%s/v3/SECRETKEY?token=OTHERSECRET", script_url(s));
    char origin[NET_ORIGIN_MAX];
    (void)snprintf(origin, sizeof(origin), "%s", script_url(s));
    script_stop(s);
    struct net_request request = post_to(url);
    assert_int_equal(run(f, &request), ERR_UPSTREAM);
    assert_non_null(strstr(f->why.text, origin));
    assert_null(strstr(f->why.text, "SECRET"));
    assert_non_null(strstr(f->why.text, "refused"));
}

static void test_bad_urls(void **state)
{
    struct fixture *f = *state;
    static const char *const urls[] = {"ftp://127.0.0.1/x", "file:///etc/passwd",
                                       "gopher://a/",       "http://",
                                       "http://[::1",       "http://127.0.0.1:99999/"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct net_request request = post_to(urls[i]);
        assert_int_equal(run(f, &request), ERR_CONFIG);
        assert_string_equal(f->why.field, "url");
    }
    struct net_request request = post_to("http://no-such-host.invalid/");
    assert_int_equal(run(f, &request), ERR_UPSTREAM);
}

static void test_proxy_of_the_environment_is_not_used(void **state)
{
    struct fixture *f = *state;
    static const struct script_step steps[] = {{.body = "direct"}};
    struct script_server *s = script_start(steps, 1, NULL);
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    struct net_request request = post_to(script_url(s));
    assert_int_equal(run(f, &request), OK);
    (void)unsetenv("http_proxy");
    script_stop(s);
}

/* ---- several at once ---- */

static void test_the_first_of_a_flight_that_ends_is_handed_out(void **state)
{
    struct fixture *f = *state;
    static const struct script_step slow[] = {{.body = "slow", .delay_ms = 500}};
    static const struct script_step fast[] = {{.body = "fast"}};
    static const struct script_step silent[] = {{.mode = SCRIPT_SILENCE, .body = ""}};
    struct script_server *servers[] = {script_start(slow, 1, NULL), script_start(fast, 1, NULL),
                                       script_start(silent, 1, NULL)};
    struct net_flight *flight = net_flight_new(f->client);
    struct net_landing landing;
    assert_false(net_flight_wait(flight, USEC_PER_SEC, &landing)); /* nothing to wait for */
    for (size_t i = 0; i < 3; i++) {
        struct net_request request = post_to(script_url(servers[i]));
        request.timeout_usec = 60 * (int64_t)USEC_PER_SEC;
        net_flight_send(flight, i, &f->arena, &request);
    }
    assert_true(net_flight_wait(flight, 60 * (int64_t)USEC_PER_SEC, &landing));
    assert_int_equal(landing.slot, 1);
    assert_int_equal(landing.err, OK);
    assert_true(slice_equal_text(landing.answer.body, "fast"));
    assert_true(landing.answer.connected);
    struct net_request again = post_to(script_url(servers[1]));
    net_flight_send(flight, 1, &f->arena, &again);
    assert_true(net_flight_wait(flight, 60 * (int64_t)USEC_PER_SEC, &landing));
    assert_true(landing.slot == 1 || landing.slot == 0);
    assert_true(net_flight_wait(flight, 60 * (int64_t)USEC_PER_SEC, &landing));
    assert_false(net_flight_wait(flight, 0, &landing));
    net_flight_free(flight); /* breaks the third off */
    assert_int_equal(script_connections(servers[1]), 1);

    /* The next flight has the connections of this one, but for the one that was broken off. */
    flight = net_flight_new(f->client);
    for (size_t i = 0; i < 2; i++) {
        struct net_request request = post_to(script_url(servers[i]));
        net_flight_send(flight, i, &f->arena, &request);
        assert_true(net_flight_wait(flight, 60 * (int64_t)USEC_PER_SEC, &landing));
        assert_int_equal(landing.err, OK);
        assert_false(landing.answer.connected);
    }
    net_flight_break_off(flight, 0);
    net_flight_free(flight);
    for (size_t i = 0; i < 3; i++) {
        script_stop(servers[i]);
    }
}

static void test_what_goes_wrong_in_a_flight(void **state)
{
    struct fixture *f = *state;
    static const struct script_step silent[] = {{.mode = SCRIPT_SILENCE, .body = ""}};
    static const struct script_step endless[] = {{.mode = SCRIPT_ENDLESS, .body = ""}};
    static const struct script_step reset[] = {{.mode = SCRIPT_RESET, .body = ""}};
    struct script_server *servers[] = {script_start(silent, 1, NULL),
                                       script_start(endless, 1, NULL),
                                       script_start(reset, 1, NULL)};
    struct net_request requests[] = {
        post_to(script_url(servers[0])), post_to(script_url(servers[1])),
        post_to(script_url(servers[2])), post_to("http://127.0.0.1:1"),
        post_to("ftp://127.0.0.1/"),     post_to("not a URL")};
    static const enum err expected[] = {ERR_NODE_TIMEOUT, ERR_LIMIT,  ERR_UPSTREAM,
                                        ERR_UPSTREAM,     ERR_CONFIG, ERR_CONFIG};
    requests[0].timeout_usec = 200000;
    requests[1].timeout_usec = 60 * (int64_t)USEC_PER_SEC;
    struct net_flight *flight = net_flight_new(f->client);
    for (size_t i = 0; i < 6; i++) {
        net_flight_send(flight, i, &f->arena, &requests[i]);
    }
    struct net_landing landing;
    for (size_t i = 0; i < 6; i++) {
        assert_true(net_flight_wait(flight, 60 * (int64_t)USEC_PER_SEC, &landing));
        assert_int_equal(landing.err, expected[landing.slot]);
        assert_true(landing.why.text[0] != '\0');
    }
    net_flight_free(flight);
    for (size_t i = 0; i < 3; i++) {
        script_stop(servers[i]);
    }
}

static void test_origin(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"http://127.0.0.1:8545", "http://127.0.0.1:8545"},
        {"https://node.example/v3/0123456789abcdef", "https://node.example"},
        {"https://user:pass@node.example:8443/x?key=1#f", "https://node.example:8443"},
        {"https://a@b@node.example/x", "https://node.example"},
        {"https://node.example?key=secret", "https://node.example"},
        {"https://node.example#secret", "https://node.example"},
        {"wss://[::1]:8546/ws", "wss://[::1]:8546"},
        {"secret-without-scheme", "(malformed URL)"},
        {"http://", "(malformed URL)"},
        {"http://user:secret@", "(malformed URL)"},
        {"://node", "(malformed URL)"},
        {"", "(malformed URL)"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[NET_ORIGIN_MAX];
        net_url_origin(rows[i][0], out);
        assert_string_equal(out, rows[i][1]);
    }
}

static bool yes(void)
{
    return true;
}

static void call_where_forbidden(void)
{
    struct net_client *client = net_client_new();
    struct arena arena;
    arena_init(&arena, 0);
    net_set_forbidden_check(yes);
    struct net_answer answer;
    struct net_request request = post_to("http://127.0.0.1:1/");
    (void)!net_request_run(client, &arena, &request, &answer, NULL);
}

static void send_split_header(void)
{
    struct net_client *client = net_client_new();
    struct arena arena;
    arena_init(&arena, 0);
    struct net_answer answer;
    struct net_request request = post_to("http://127.0.0.1:1/");
    struct net_header header = {SLICE_LIT("X"), SLICE_LIT("a\r\nY: b")};
    request.headers = &header;
    request.header_count = 1;
    (void)!net_request_run(client, &arena, &request, &answer, NULL);
}

static void test_bugs_abort(void **state)
{
    (void)state;
    assert_true(test_aborts(call_where_forbidden));
    assert_true(test_aborts(send_split_header));
}

#define THREADS 8
#define REQUESTS 100

struct worker {
    struct net_client *client;
    const char *url;
    unsigned ok;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct arena arena;
    arena_init(&arena, 0);
    for (int i = 0; i < REQUESTS; i++) {
        struct net_answer answer;
        struct net_request request = post_to(w->url);
        enum err e = net_request_run(w->client, &arena, &request, &answer, NULL);
        w->ok += e == OK && slice_equal_text(answer.body, "shared") ? 1 : 0;
        arena_clear(&arena);
    }
    arena_free(&arena);
    return NULL;
}

static void test_many_threads_share_a_client(void **state)
{
    struct fixture *f = *state;
    static const struct script_step steps[] = {{.body = "shared"}};
    struct script_server *s = script_start(steps, 1, NULL);
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.client = f->client, .url = script_url(s)};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].ok, REQUESTS);
    }
    assert_in_range(script_connections(s), 1, THREADS);
    script_stop(s);
}

static enum err carry(void *ctx, struct arena *arena, const struct net_request *request,
                      struct net_answer *out, struct why *why)
{
    unsigned *carried = ctx;
    ++*carried;
    *out = (struct net_answer){.status = 200, .body = slice_copy(arena, request->body)};
    return *carried < 2 ? OK : why_set(why, ERR_UPSTREAM, NULL, "%s is gone", request->url);
}

static void test_transport_can_be_replaced(void **state)
{
    struct fixture *f = *state;
    unsigned carried = 0;
    struct net_transport transport = {carry, &carried};
    struct net_request request = post_to("http://nowhere.invalid");
    net_set_transport(&transport);
    memset(&transport, 0, sizeof(transport)); /* it was copied */
    assert_int_equal(run(f, &request), OK);
    assert_true(slice_equal_text(f->answer.body, "{\"a\":1}"));
    assert_int_equal(run(f, &request), ERR_UPSTREAM);
    assert_string_equal(f->why.text, "http://nowhere.invalid is gone");
    net_set_transport(NULL);
    request.url = "http://127.0.0.1:1";
    assert_int_equal(run(f, &request), ERR_UPSTREAM);
    assert_int_equal(carried, 2);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_of_a_flight_that_ends_is_handed_out),
        TEST(test_what_goes_wrong_in_a_flight),
        TEST(test_post_and_keep_alive),
        TEST(test_methods),
        TEST(test_status_is_no_error_and_redirects_are_not_followed),
        TEST(test_compressed_answers_are_not_expanded),
        TEST(test_size_limit),
        TEST(test_announced_size_is_refused_before_it_is_read),
        TEST(test_total_time_limit),
        TEST(test_broken_connections),
        TEST(test_connection_closed_by_the_server_is_replaced),
        TEST(test_nobody_there),
        TEST(test_bad_urls),
        TEST(test_proxy_of_the_environment_is_not_used),
        TEST(test_origin),
        TEST(test_bugs_abort),
        TEST(test_many_threads_share_a_client),
        TEST(test_transport_can_be_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
