#include <time.h>

#include "kernel/base/log.h"
#include "kernel/base/mem.h"
#include "unit/kernel/http/probe.h"
#include "unit/support.h"

/* ---- a small program ------------------------------------------------------------------------- */

static _Atomic int runs;
static _Atomic int held;    /* handlers that wait */
static _Atomic int release; /* they go on when it is 1 */
static char seen_key[300];

static bool asks_for(struct http_call *call, const char *name)
{
    const struct json *v = json_find(call->json, name);
    return v && v->type == JSON_TRUE;
}

static enum err pay(struct http_call *call, struct why *why)
{
    int run = atomic_fetch_add(&runs, 1) + 1;
    (void)snprintf(seen_key, sizeof seen_key, "%.*s", SLICE_ARG(call->idempotency_key));
    if (asks_for(call, "hold")) {
        atomic_fetch_add(&held, 1);
        for (int i = 0; i < 10000 && atomic_load(&release) == 0; i++) {
            clock_sleep_usec(MSEC);
        }
    }
    if (asks_for(call, "slow")) {
        clock_sleep_usec(50 * MSEC);
    }
    if (asks_for(call, "crash")) {
        return why_set(why, ERR_INTERNAL, NULL, "inside");
    }
    if (asks_for(call, "conflict")) {
        return why_set(why, ERR_CONFLICT, NULL, "Run %d met a conflict.", run);
    }
    if (asks_for(call, "hurried")) {
        return why_set(why, ERR_RATE_LIMITED, NULL, "Too fast.");
    }
    json_begin_object(call->out);
    json_key(call->out, "run");
    json_u64(call->out, (uint64_t)run);
    json_end_object(call->out);
    call->location = slice_format(call->req, "/api/v1/payments/%d", run);
    return OK;
}

static const char *const aliases[] = {"/pay/{to}", NULL};
static const struct http_route routes[] = {
    {.method = HTTP_POST,
     .path = "/api/v1/pay/{to}",
     .aliases = aliases,
     .handler = pay,
     .flags = HTTP_JSON_BODY,
     .reply_status = 201},
    {.method = HTTP_POST, .path = "/api/v1/refund", .handler = pay, .flags = HTTP_JSON_BODY},
    {.method = HTTP_PUT, .path = "/api/v1/refund", .handler = pay, .flags = HTTP_JSON_BODY},
    {.method = HTTP_POST,
     .path = "/api/v1/verify",
     .handler = pay,
     .flags = HTTP_JSON_BODY | HTTP_NO_IDEMPOTENCY},
};
static const struct http_table table = {
    .routes = routes,
    .count = sizeof routes / sizeof routes[0],
};

static struct support_store support;
static struct http_server *server;
static uint16_t port;
static struct probe_answer a;
static struct probe_answer b;
static _Atomic int64_t wall_ahead_usec;

static int64_t shifted_wall(void *ctx)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000 + atomic_load(&wall_ahead_usec);
}

static int64_t real_mono(void *ctx)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
}

static const struct clock_source shifted = {.wall_usec = shifted_wall, .mono_usec = real_mono};

static struct http_server *start_one(void)
{
    struct http_server *started = NULL;
    struct http_config config = probe_config();
    config.workers = 8;
    struct why why = {.err = OK};
    assert_int_equal(http_start(&started, &config, &table, 1, support.store, &why), OK);
    return started;
}

static int setup(void **state)
{
    clock_set_source(&shifted);
    atomic_store(&wall_ahead_usec, 0);
    atomic_store(&runs, 0);
    atomic_store(&held, 0);
    atomic_store(&release, 0);
    support_store_open(&support, &sql_catalog);
    server = start_one();
    port = http_port(server);
    return 0;
}

static int teardown(void **state)
{
    atomic_store(&release, 1);
    http_stop(server);
    support_store_close(&support);
    clock_set_source(NULL);
    return 0;
}

static void post(uint16_t to, const char *path, const char *key, const char *body,
                 struct probe_answer *out)
{
    char request[2048];
    (void)snprintf(request, sizeof request,
                   "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   "Idempotency-Key: %s\r\nContent-Length: %zu\r\n\r\n%s",
                   path, key, strlen(body), body);
    probe_ask(to, request, out);
}

static int64_t rows(void)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct slice text =
        support_store_rows(&support, &scratch, "SELECT count(*) FROM http_idempotency");
    int64_t n = strtoll(slice_cstr(&scratch, text), NULL, 10);
    arena_free(&scratch);
    return n;
}

/* ---- replay ---------------------------------------------------------------------------------- */

static void a_second_request_gets_the_first_answer(void **state)
{
    post(port, "/api/v1/pay/ann", "k1", "{}", &a);
    assert_int_equal(a.status, 201);
    assert_string_equal(a.body, "{\"success\":true,\"data\":{\"run\":1}}");
    assert_null(probe_header(&a, "Idempotency-Replayed"));
    assert_string_equal(seen_key, "k1");
    post(port, "/api/v1/pay/ann", "k1", "{}", &b);
    assert_int_equal(b.status, 201);
    assert_string_equal(b.body, a.body);
    assert_string_equal(probe_header(&b, "Idempotency-Replayed"), "true");
    assert_string_equal(probe_header(&b, "Location"), "/api/v1/payments/1");
    assert_string_equal(probe_header(&b, "Content-Type"), "application/json");
    assert_int_equal(atomic_load(&runs), 1);
    post(port, "/api/v1/pay/ann", "k2", "{}", &b);
    assert_true(probe_has(&b, "\"run\":2"));
}

static void another_request_under_the_key_is_refused(void **state)
{
    post(port, "/api/v1/pay/ann", "k1", "{}", &a);
    post(port, "/api/v1/pay/ann", "k1", "{ }", &b);
    assert_int_equal(b.status, 409);
    assert_true(probe_has(&b, "\"code\":\"idempotency_mismatch\""));
    assert_true(probe_has(&b, "\"field\":\"Idempotency-Key\""));
    post(port, "/api/v1/pay/bob", "k1", "{}", &b);
    assert_true(b.status == 409 && probe_has(&b, "idempotency_mismatch"));
    assert_int_equal(atomic_load(&runs), 1);
}

static void routes_have_keys_of_their_own(void **state)
{
    post(port, "/api/v1/pay/ann", "k1", "{}", &a);
    post(port, "/api/v1/refund", "k1", "{}", &b);
    assert_int_equal(b.status, 200);
    assert_true(probe_has(&b, "\"run\":2"));
}

static void failures_of_the_caller_are_kept(void **state)
{
    post(port, "/api/v1/refund", "k1", "{\"conflict\":true}", &a);
    post(port, "/api/v1/refund", "k1", "{\"conflict\":true}", &b);
    assert_int_equal(b.status, 409);
    assert_true(probe_has(&b, "Run 1 met a conflict."));
    assert_string_equal(b.body, a.body);
    assert_int_equal(atomic_load(&runs), 1);
}

static void our_failures_and_temporary_ones_are_not_kept(void **state)
{
    log_set_fd(-1);
    post(port, "/api/v1/refund", "k1", "{\"crash\":true}", &a);
    assert_int_equal(a.status, 500);
    post(port, "/api/v1/refund", "k1", "{}", &a);
    log_set_fd(2);
    assert_int_equal(a.status, 200);
    post(port, "/api/v1/refund", "k2", "{\"hurried\":true}", &a);
    assert_int_equal(a.status, 429);
    post(port, "/api/v1/refund", "k2", "{}", &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(atomic_load(&runs), 4);
}

static void what_was_not_run_does_not_use_the_key_up(void **state)
{
    post(port, "/api/v1/refund", "k1", "{", &a);
    assert_int_equal(a.status, 400);
    post(port, "/api/v1/refund?what=1", "k1", "{}", &a);
    assert_int_equal(a.status, 400);
    post(port, "/api/v1/refund", "k1", "{}", &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(atomic_load(&runs), 1);
}

static void keys_are_checked(void **state)
{
    char longest[257];
    memset(longest, 'k', sizeof longest);
    longest[256] = '\0';
    post(port, "/api/v1/refund", longest, "{}", &a);
    assert_true(a.status == 400 && probe_has(&a, "\"field\":\"Idempotency-Key\""));
    longest[255] = '\0';
    post(port, "/api/v1/refund", longest, "{}", &a);
    assert_int_equal(a.status, 200);
    post(port, "/api/v1/refund", "a b", "{}", &a);
    assert_int_equal(a.status, 400);
    post(port, "/api/v1/refund", "", "{}", &a);
    assert_int_equal(a.status, 400);
    post(port, "/api/v1/refund", "a\r\nIdempotency-Key: b", "{}", &a);
    assert_int_equal(a.status, 400);
}

static void routes_without_effect_ignore_the_key(void **state)
{
    post(port, "/api/v1/verify", "k1", "{}", &a);
    post(port, "/api/v1/verify", "k1", "{\"other\":1}", &a);
    assert_int_equal(a.status, 200);
    for (int i = 0; i < 2; i++) { /* another method is idempotent by itself */
        probe_ask(port,
                  "PUT /api/v1/refund HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  "Idempotency-Key: k1\r\nContent-Length: 2\r\n\r\n{}",
                  &a);
        assert_null(probe_header(&a, "Idempotency-Replayed"));
    }
    assert_int_equal(atomic_load(&runs), 4);
    assert_int_equal(rows(), 0);
}

static void answers_outlive_the_server(void **state)
{
    post(port, "/api/v1/pay/ann", "k1", "{}", &a);
    http_stop(server);
    server = start_one();
    port = http_port(server);
    post(port, "/pay/ann", "k1", "{}", &b); /* the alias is another path: another request */
    assert_true(b.status == 409 && probe_has(&b, "idempotency_mismatch"));
    post(port, "/api/v1/pay/ann", "k1", "{}", &b);
    assert_string_equal(b.body, a.body);
    assert_int_equal(atomic_load(&runs), 1);
}

/* ---- at once --------------------------------------------------------------------------------- */

enum { CROWD = 32 };

struct member {
    pthread_t thread;
    struct probe_answer answer;
    bool has_retry_after;
};

static void *member_main(void *arg)
{
    struct member *m = arg;
    post(port, "/api/v1/pay/ann", "k1", "{\"slow\":true}", &m->answer);
    const char *retry = probe_header(&m->answer, "Retry-After");
    m->has_retry_after = retry && strcmp(retry, "1") == 0;
    return NULL;
}

static void a_crowd_runs_it_once(void **state)
{
    struct member *crowd = mem_alloc(CROWD * sizeof *crowd);
    int answered = 0;
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_create(&crowd[i].thread, NULL, member_main, &crowd[i]), 0);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(crowd[i].thread, NULL);
        if (crowd[i].answer.status == 201) {
            answered++;
            assert_true(probe_has(&crowd[i].answer, "{\"run\":1}"));
            continue;
        }
        assert_int_equal(crowd[i].answer.status, 409);
        assert_true(probe_has(&crowd[i].answer, "\"code\":\"in_progress\""));
        assert_true(crowd[i].has_retry_after);
    }
    assert_true(answered >= 1);
    assert_int_equal(atomic_load(&runs), 1);
    assert_int_equal(rows(), 1);
    mem_free(crowd);
}

/* ---- owners that die ------------------------------------------------------------------------- */

static void *hold_main(void *arg)
{
    post(port, "/api/v1/pay/ann", "k1", "{\"hold\":true}", arg);
    return NULL;
}

static void wait_held(int count)
{
    for (int i = 0; i < 5000 && atomic_load(&held) < count; i++) {
        clock_sleep_usec(MSEC);
    }
    assert_int_equal(atomic_load(&held), count);
}

static void a_running_row_of_an_earlier_start_is_taken_over(void **state)
{
    pthread_t first;
    assert_int_equal(pthread_create(&first, NULL, hold_main, &a), 0);
    wait_held(1);
    post(port, "/api/v1/pay/ann", "k1", "{\"hold\":true}", &b);
    assert_true(b.status == 409 && probe_has(&b, "in_progress"));
    /* To a server that starts later, the first one is a process that died. */
    struct http_server *later = start_one();
    uint16_t first_port = port;
    port = http_port(later);
    pthread_t second;
    assert_int_equal(pthread_create(&second, NULL, hold_main, &b), 0);
    wait_held(2);
    atomic_store(&release, 1);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    assert_true(a.status == 201 && b.status == 201);
    /* The answer of the run that lost its row is not kept. */
    post(first_port, "/api/v1/pay/ann", "k1", "{\"hold\":true}", &a);
    assert_string_equal(probe_header(&a, "Idempotency-Replayed"), "true");
    assert_true(probe_has(&a, "{\"run\":2}"));
    http_stop(later);
}

static void a_row_begun_after_our_start_is_left_alone(void **state)
{
    struct http_server *later = start_one(); /* as another machine would, on a shared database */
    pthread_t first;
    port = http_port(later);
    assert_int_equal(pthread_create(&first, NULL, hold_main, &a), 0);
    wait_held(1);
    post(http_port(server), "/api/v1/pay/ann", "k1", "{\"hold\":true}", &b);
    assert_true(b.status == 409 && probe_has(&b, "in_progress"));
    atomic_store(&release, 1);
    pthread_join(first, NULL);
    http_stop(later);
}

static void a_row_that_runs_too_long_is_taken_over(void **state)
{
    pthread_t first;
    assert_int_equal(pthread_create(&first, NULL, hold_main, &a), 0);
    wait_held(1);
    atomic_store(&wall_ahead_usec, (INT64_C(10) * 60 - 5) * USEC_PER_SEC);
    post(port, "/api/v1/pay/ann", "k1", "{\"hold\":true}", &b);
    assert_int_equal(b.status, 409);
    atomic_store(&wall_ahead_usec, (INT64_C(10) * 60 + 1) * USEC_PER_SEC);
    atomic_store(&release, 1);
    post(port, "/api/v1/pay/ann", "k1", "{\"hold\":true}", &b);
    pthread_join(first, NULL);
    assert_int_equal(b.status, 201);
}

static enum err purge_three(struct store_tx *tx, void *ctx, struct why *why)
{
    return http_keys_purge(tx, clock_wall_usec() - HTTP_KEY_LIFE_USEC, 3, ctx, why);
}

static void keys_live_seven_days(void **state)
{
    const int64_t day = INT64_C(24) * 3600 * USEC_PER_SEC;
    char key[16];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        post(port, "/api/v1/refund", key, "{}", &a);
    }
    assert_int_equal(rows(), 5);
    atomic_store(&wall_ahead_usec, 7 * day - 60 * USEC_PER_SEC);
    post(port, "/api/v1/refund", "k0", "{}", &a);
    assert_string_equal(probe_header(&a, "Idempotency-Replayed"), "true");
    atomic_store(&wall_ahead_usec, 7 * day + 60 * USEC_PER_SEC);
    post(port, "/api/v1/refund", "k4", "{ }", &a); /* expired: free for another request */
    assert_int_equal(a.status, 200);
    assert_true(probe_has(&a, "\"run\":6"));
    post(port, "/api/v1/refund", "n0", "{}", &a);
    assert_int_equal(rows(), 6);
    /* In portions, the oldest first: k0 to k3 go, k4 and n0 stay. */
    const uint64_t gone[] = {3, 1, 0};
    for (size_t i = 0; i < 3; i++) {
        uint64_t purged = 9;
        assert_int_equal(store_write(support.store, purge_three, &purged, NULL), OK);
        assert_int_equal(purged, gone[i]);
    }
    assert_int_equal(rows(), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(a_second_request_gets_the_first_answer),
        TEST(another_request_under_the_key_is_refused),
        TEST(routes_have_keys_of_their_own),
        TEST(failures_of_the_caller_are_kept),
        TEST(our_failures_and_temporary_ones_are_not_kept),
        TEST(what_was_not_run_does_not_use_the_key_up),
        TEST(keys_are_checked),
        TEST(routes_without_effect_ignore_the_key),
        TEST(answers_outlive_the_server),
        TEST(a_crowd_runs_it_once),
        TEST(a_running_row_of_an_earlier_start_is_taken_over),
        TEST(a_row_begun_after_our_start_is_left_alone),
        TEST(a_row_that_runs_too_long_is_taken_over),
        TEST(keys_live_seven_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
