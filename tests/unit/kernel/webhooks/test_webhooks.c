/*
 * Webhooks on a real store and a real runner, against a receiver that answers by script. The clock
 * is pushed over the pauses between attempts, which are more than an hour together. Signatures are
 * compared with those that Python's hmac made of the same secret.
 */
#include <stdatomic.h>
#include <time.h>

#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/jobs/jobs_admin.h"
#include "kernel/webhooks/webhooks_internal.h"
#include "kernel/webhooks/webhooks_sql.h"
#include "support/script_server.c"
#include "unit/support.h"

#define SECONDS ((int64_t)USEC_PER_SEC)
#define PATIENCE_USEC (60 * SECONDS)
#define ATTEMPTS 12
#define MASTER "of this all secrets are derived"
#define BODY "{\"id\":\"whd_1\",\"data\":{\"a\":1}}"
#define SECRET_1 "whsec_e543e545f10e9538644dc92060d2c14e0fd91a8c29f1cbf6e6a94a8edd5a3d73"
#define SECRET_2 "whsec_7ca90981ec924a55a2ccbbb282f550d85ad424ae0fc7f0d463bc57d8f54baac2"
#define MAC_1 "840091e8b6ed324ece53c123e9e89f90ac3f3bd6dc194cf38e6c5c4f4846a5d0"
#define MAC_2 "8da204df909003f7009d8a23769499c333303a3a15428a27bf8ce7351d05aa24"

/* ---- time ---- */

static _Atomic int64_t pushed_usec;

static int64_t real_usec(clockid_t which)
{
    struct timespec t;
    ASSERT(clock_gettime(which, &t) == 0);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
}

static int64_t pushed_wall(void *ctx)
{
    (void)ctx;
    return real_usec(CLOCK_REALTIME) + atomic_load(&pushed_usec);
}

static int64_t pushed_mono(void *ctx)
{
    (void)ctx;
    return real_usec(CLOCK_MONOTONIC) + atomic_load(&pushed_usec);
}

static void push(int64_t usec)
{
    atomic_fetch_add(&pushed_usec, usec);
}

/* ---- the world ---- */

static struct support_store s;
static struct arena arena;
static struct webhooks_config config;
static struct webhooks webhooks;
static struct jobs *runner;
static const char *const events[] = {"thing.made", "thing.sold", NULL};

static void start_runner(void)
{
    static const struct jobs_config jobs_config = {
        .threads = 4,
        .claim_batch = 16,
        .poll_usec = 20000,
        .lease_usec = 30 * SECONDS,
        .retention_usec = 365 * 86400 * SECONDS,
        .dead_retention_usec = 365 * 86400 * SECONDS,
        .dead_alert = 100,
    };
    struct why why = {0};
    static const struct job_queue nightly = {.name = "cleanup-sessions", .doc = "Test."};
    const struct job_table tables[] = {webhooks_job_table(&webhooks),
                                       {.queues = &nightly, .queue_count = 1}};
    enum err e = jobs_new(&runner, s.store, &jobs_config, tables, 2, &why);
    if (e == OK) {
        e = jobs_start(runner, &why);
    }
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
}

static int setup(void **state)
{
    (void)state;
    static const struct clock_source source = {.wall_usec = pushed_wall, .mono_usec = pushed_mono};
    log_set_fd(-1);
    atomic_store(&pushed_usec, 0);
    clock_set_source(&source);
    arena_init(&arena, 0);
    net_start();
    net_set_forbidden_check(store_in_tx);
    support_store_open(&s, &sql_catalog);
    config = (struct webhooks_config){.timeout_usec = 10 * SECONDS, .allow_private = true};
    secret_init(&config.secret, MASTER, strlen(MASTER));
    webhooks_init(&webhooks, &config, s.store, events);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (runner != NULL) {
        jobs_stop(runner);
        jobs_free(runner);
        runner = NULL;
    }
    webhooks_clear(&webhooks);
    secret_clear(&config.secret);
    support_store_close(&s);
    arena_free(&arena);
    return 0;
}

/* ---- endpoints and events ---- */

struct step {
    const char *id;
    const char *url;
    const char *events;
    const char *subject;
    const char *event;
};

static enum err run_register(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct step *step = ctx;
    struct store_query q;
    store_begin(&q, tx, &webhooks_sql_endpoint_insert);
    store_bind_text(&q, "endpoint_id", slice_text(step->id));
    store_bind_text(&q, "url", slice_text(step->url));
    store_bind_text(&q, "events", slice_text(step->events));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err run_rotate(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct step *step = ctx;
    struct store_query q;
    store_begin(&q, tx, &webhooks_sql_endpoint_rotate);
    store_bind_text(&q, "endpoint_id", slice_text(step->id));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err run_emit(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct step *step = ctx;
    const struct webhooks_event event = {
        .name = step->event, .subject = slice_text(step->subject), .data = SLICE_LIT("{\"a\":1}")};
    return webhooks_emit(tx, &event, 1, why);
}

/* What happened is taken back, and with it what would have been told. */
static enum err run_emit_and_fail(struct store_tx *tx, void *ctx, struct why *why)
{
    enum err e = run_emit(tx, ctx, why);
    return e != OK ? e : why_set(why, ERR_CONFLICT, NULL, "taken back");
}

static enum err run_replay(struct store_tx *tx, void *ctx, struct why *why)
{
    (void)ctx;
    struct job_replay all = {.kind = "webhooks.deliver"};
    enum err e = jobs_replay_page(tx, &all, 10, why);
    assert_int_equal(all.replayed, 1);
    return e;
}

static void run(store_fn fn, struct step step)
{
    struct why why = {0};
    enum err e = store_write(s.store, fn, &step, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
}

static void register_at(const char *id, const char *url, const char *wanted)
{
    run(run_register, (struct step){.id = id, .url = url, .events = wanted});
}

static void emit(const char *event, const char *subject)
{
    run(run_emit, (struct step){.event = event, .subject = subject});
}

/* ---- looking ---- */

static const char *ask(const char *sql)
{
    return slice_cstr(&arena, support_store_rows(&s, &arena, sql));
}

static void await(const char *sql, const char *rows)
{
    int64_t deadline = real_usec(CLOCK_MONOTONIC) + PATIENCE_USEC;
    while (strcmp(ask(sql), rows) != 0) {
        if (real_usec(CLOCK_MONOTONIC) > deadline) {
            fail_msg("%s: %s instead of %s", sql, ask(sql), rows);
        }
        clock_sleep_usec(10000);
    }
}

static const char *header(const char *request, const char *name)
{
    char begin[64];
    (void)snprintf(begin, sizeof begin, "\r\n%s: ", name);
    const char *at = strstr(request, begin);
    if (at == NULL) {
        fail_msg("there is no %s in %s", name, request);
    }
    at += strlen(begin);
    return slice_cstr(&arena, slice_of(at, strcspn(at, "\r")));
}

static const char *last_request(struct script_server *server)
{
    char *text = arena_alloc(&arena, 8192);
    script_last(server, text, 8192);
    return text;
}

/* ---- signatures ---- */

static void secrets_are_derived(void **state)
{
    (void)state;
    char secret[WEBHOOKS_SECRET_TEXT_MAX];
    webhooks_secret(&config, SLICE_LIT("we_1"), 1, secret);
    assert_string_equal(secret, SECRET_1);
    webhooks_secret(&config, SLICE_LIT("we_1"), 2, secret);
    assert_string_equal(secret, SECRET_2);
    webhooks_secret(&config, SLICE_LIT("we_2"), 1, secret);
    assert_string_not_equal(secret, SECRET_1);
}

static void a_signature_is_over_time_and_body(void **state)
{
    (void)state;
    char signature[WEBHOOKS_SIGNATURE_TEXT_MAX];
    webhooks_signature(SECRET_1, NULL, 1700000000, SLICE_LIT(BODY), signature);
    assert_string_equal(signature, "t=1700000000,v1=" MAC_1);
    webhooks_signature(SECRET_2, SECRET_1, 1700000000, SLICE_LIT(BODY), signature);
    assert_string_equal(signature, "t=1700000000,v1=" MAC_2 ",v1=" MAC_1);
    /* A replay under another time, or another body under this one, has another. */
    webhooks_signature(SECRET_1, NULL, 1700000001, SLICE_LIT(BODY), signature);
    assert_null(strstr(signature, MAC_1));
    webhooks_signature(SECRET_1, NULL, 1700000000, SLICE_LIT("{}"), signature);
    assert_null(strstr(signature, MAC_1));
}

static void events_are_names_or_all(void **state)
{
    (void)state;
    assert_true(webhooks_wants(SLICE_LIT("*"), SLICE_LIT("thing.made")));
    assert_true(webhooks_wants(SLICE_LIT("thing.sold,thing.made"), SLICE_LIT("thing.made")));
    assert_false(webhooks_wants(SLICE_LIT("thing.sold"), SLICE_LIT("thing.made")));
    assert_false(webhooks_wants(SLICE_LIT("thing.made.twice"), SLICE_LIT("thing.made")));
    assert_false(webhooks_wants(SLICE_LIT("thing"), SLICE_LIT("thing.made")));
    assert_false(webhooks_wants(SLICE_LIT(""), SLICE_LIT("thing.made")));
}

/* ---- deliveries ---- */

static void a_delivery_exists_when_its_cause_does(void **state)
{
    (void)state;
    struct step step = {.event = "thing.made", .subject = "thing/1"};
    register_at("we_1", "http://127.0.0.1:9/", "thing.made");
    register_at("we_2", "http://127.0.0.1:9/", "thing.sold");
    assert_int_equal(store_write(s.store, run_emit_and_fail, &step, NULL), ERR_CONFLICT);
    assert_string_equal(ask("SELECT COUNT(*) FROM webhook_deliveries"), "0|\n");
    assert_string_equal(ask("SELECT COUNT(*) FROM jobs WHERE kind = 'webhooks.deliver'"), "0|\n");
    emit("thing.made", "thing/1");
    assert_string_equal(ask("SELECT endpoint_id, event, subject, state FROM webhook_deliveries"),
                        "we_1|thing.made|thing/1|1|\n");
    assert_string_equal(ask("SELECT COUNT(*) FROM jobs WHERE kind = 'webhooks.deliver'"), "1|\n");
}

/* The signature that a request has, made anew of its own parts. */
static const char *signature_of(const char *request, const char *secret)
{
    char *out = arena_alloc(&arena, WEBHOOKS_SIGNATURE_TEXT_MAX);
    const char *said = header(request, "Freehold-Signature");
    const char *body = strstr(request, "\r\n\r\n") + 4;
    webhooks_signature(secret, NULL, strtoll(said + strlen("t="), NULL, 10), slice_text(body), out);
    return strstr(out, "v1=");
}

static void what_is_posted_is_signed(void **state)
{
    (void)state;
    static const struct script_step steps[] = {{.status = 204, .body = ""}};
    struct script_server *server = script_start(steps, 1, NULL);
    register_at("we_1", script_url(server), "*");
    start_runner();
    emit("thing.made", "thing/1");
    await("SELECT state, attempts, status FROM webhook_deliveries", "2|1|204|\n");
    const char *request = last_request(server);
    assert_int_equal(strncmp(request, "POST / HTTP/1.1\r\n", 17), 0);
    assert_string_equal(header(request, "Freehold-Event"), "thing.made");
    char id[64];
    (void)snprintf(id, sizeof id, "%s|\n", header(request, "Freehold-Delivery"));
    assert_string_equal(ask("SELECT delivery_id FROM webhook_deliveries"), id);
    const char *said = header(request, "Freehold-Signature");
    assert_non_null(strstr(said, signature_of(request, SECRET_1)));
    int64_t age = clock_wall_usec() / SECONDS - strtoll(said + strlen("t="), NULL, 10);
    assert_true(age >= 0 && age < PATIENCE_USEC / SECONDS);

    /* For a day after a rotation by both secrets, then by the new one alone. */
    run(run_rotate, (struct step){.id = "we_1"});
    push(86000 * SECONDS);
    emit("thing.sold", "thing/1");
    await("SELECT COUNT(*) FROM webhook_deliveries WHERE state = 2", "2|\n");
    request = last_request(server);
    said = header(request, "Freehold-Signature");
    assert_non_null(strstr(said, signature_of(request, SECRET_1)));
    assert_non_null(strstr(said, signature_of(request, SECRET_2)));
    push(500 * SECONDS);
    emit("thing.sold", "thing/1");
    await("SELECT COUNT(*) FROM webhook_deliveries WHERE state = 2", "3|\n");
    request = last_request(server);
    said = header(request, "Freehold-Signature");
    assert_null(strstr(said, signature_of(request, SECRET_1)));
    assert_non_null(strstr(said, signature_of(request, SECRET_2)));
    script_stop(server);
}

static void what_follows_of_a_subject_waits(void **state)
{
    (void)state;
    static const struct script_step steps[] = {{.status = 503, .body = "busy"},
                                               {.status = 200, .body = "fine"}};
    struct script_server *server = script_start(steps, 2, NULL);
    register_at("we_1", script_url(server), "*");
    start_runner();
    emit("thing.made", "thing/1");
    await("SELECT state, attempts, status FROM webhook_deliveries", "1|1|503|\n");
    const char *first = header(last_request(server), "Freehold-Delivery");
    const char *stamp = header(last_request(server), "Freehold-Signature");
    emit("thing.sold", "thing/1");
    emit("thing.made", "thing/2");
    await("SELECT subject, event, state, attempts FROM webhook_deliveries ORDER BY seq",
          "thing/1|thing.made|1|1|\nthing/1|thing.sold|1|0|\nthing/2|thing.made|2|1|\n");
    push(10 * SECONDS);
    await("SELECT subject, event, state, attempts FROM webhook_deliveries ORDER BY seq",
          "thing/1|thing.made|2|2|\nthing/1|thing.sold|2|1|\nthing/2|thing.made|2|1|\n");
    assert_int_equal(script_requests(server), 4);
    assert_string_equal(header(last_request(server), "Freehold-Event"), "thing.sold");
    assert_string_not_equal(header(last_request(server), "Freehold-Delivery"), first);
    assert_string_not_equal(header(last_request(server), "Freehold-Signature"), stamp);
    script_stop(server);
}

/* The pause before an attempt: twice as long each time, an hour at most, a fifth more or less. */
static void check_pause(unsigned attempts)
{
    int64_t middle = 2;
    for (unsigned i = 1; i < attempts && middle < 3600; i++) {
        middle *= 2;
    }
    middle = middle < 3600 ? middle : 3600;
    int64_t pause = strtoll(
        ask(support_pick("SELECT (run_at - (SELECT tried_at FROM webhook_deliveries)) / 1000 "
                         "FROM jobs WHERE kind = 'webhooks.deliver'",
                         "SELECT floor(extract(epoch FROM run_at - (SELECT tried_at FROM "
                         "webhook_deliveries)) * 1000)::bigint FROM jobs "
                         "WHERE kind = 'webhooks.deliver'")),
        NULL, 10);
    /* The pause begins when the handler has come back, which a busy machine puts off. */
    if (pause < middle * 800 - 1 || pause > middle * 1200 + PATIENCE_USEC / 1000) {
        fail_msg("after %u attempts it pauses for %lld ms", attempts, (long long)pause);
    }
}

static void the_last_attempt_makes_a_dead_letter(void **state)
{
    (void)state;
    static const struct script_step steps[] = {
        {.status = 500, .body = ""}, {.status = 500, .body = ""}, {.status = 404, .body = ""},
        {.status = 503, .body = ""}, {.status = 302, .body = ""}, {.status = 500, .body = ""},
        {.status = 500, .body = ""}, {.status = 500, .body = ""}, {.status = 500, .body = ""},
        {.status = 500, .body = ""}, {.status = 500, .body = ""}, {.status = 410, .body = ""},
        {.status = 200, .body = ""}};
    struct script_server *server = script_start(steps, sizeof steps / sizeof steps[0], NULL);
    register_at("we_1", script_url(server), "*");
    start_runner();
    emit("thing.made", "thing/1");
    const char *id = "";
    for (unsigned i = 1; i <= ATTEMPTS; i++) {
        char rows[64];
        (void)snprintf(rows, sizeof rows, "%d|%u|\n", i < ATTEMPTS ? 1 : 3, i);
        await("SELECT state, attempts FROM webhook_deliveries", rows);
        await("SELECT COUNT(*) FROM jobs WHERE kind = 'webhooks.deliver' AND state = 2", "0|\n");
        id = i == 1 ? header(last_request(server), "Freehold-Delivery") : id;
        assert_string_equal(header(last_request(server), "Freehold-Delivery"), id);
        if (i < ATTEMPTS) {
            check_pause(i);
            push(2 * 3600 * SECONDS);
        }
    }
    assert_string_equal(ask("SELECT status FROM webhook_deliveries"), "410|\n");
    await("SELECT COUNT(*) FROM jobs WHERE kind = 'webhooks.deliver' AND state = 4", "1|\n");
    push(2 * 3600 * SECONDS);
    clock_sleep_usec(100000);
    assert_int_equal(script_requests(server), ATTEMPTS);

    run(run_replay, (struct step){.id = ""});
    await("SELECT state, status FROM webhook_deliveries", "2|200|\n");
    assert_string_equal(header(last_request(server), "Freehold-Delivery"), id);
    script_stop(server);
}

static void an_address_that_is_not_public_is_not_called(void **state)
{
    (void)state;
    static const struct script_step steps[] = {{.status = 200, .body = ""}};
    struct script_server *server = script_start(steps, 1, NULL);
    config.allow_private = false;
    register_at("we_1", script_url(server), "*");
    start_runner();
    emit("thing.made", "thing/1");
    await("SELECT state, attempts FROM webhook_deliveries", "1|1|\n");
    assert_non_null(strstr(ask("SELECT error FROM webhook_deliveries"), "public"));
    assert_int_equal(script_connections(server), 0);
    script_stop(server);
}

static void a_redirect_is_not_followed(void **state)
{
    (void)state;
    static const struct script_step elsewhere[] = {{.status = 200, .body = ""}};
    struct script_server *other = script_start(elsewhere, 1, NULL);
    char location[128];
    (void)snprintf(location, sizeof location, "Location: %s\r\n", script_url(other));
    const struct script_step steps[] = {{.status = 307, .body = "", .headers = location}};
    struct script_server *server = script_start(steps, 1, NULL);
    register_at("we_1", script_url(server), "*");
    start_runner();
    emit("thing.made", "thing/1");
    await("SELECT state, attempts, status FROM webhook_deliveries", "1|1|307|\n");
    assert_int_equal(script_connections(other), 0);
    script_stop(server);
    script_stop(other);
}

static void what_ended_a_month_ago_is_forgotten(void **state)
{
    (void)state;
    static const struct script_step steps[] = {{.status = 200, .body = ""}};
    struct script_server *server = script_start(steps, 1, NULL);
    register_at("we_1", script_url(server), "*");
    start_runner();
    emit("thing.made", "thing/1");
    await("SELECT state FROM webhook_deliveries", "2|\n");
    push(31 * 86400 * SECONDS); /* its schedule comes due meanwhile */
    await("SELECT COUNT(*) FROM webhook_deliveries", "0|\n");
    script_stop(server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        TEST(secrets_are_derived),
        TEST(a_signature_is_over_time_and_body),
        TEST(events_are_names_or_all),
        TEST(a_delivery_exists_when_its_cause_does),
        TEST(what_is_posted_is_signed),
        TEST(what_follows_of_a_subject_waits),
        TEST(the_last_attempt_makes_a_dead_letter),
        TEST(an_address_that_is_not_public_is_not_called),
        TEST(a_redirect_is_not_followed),
        TEST(what_ended_a_month_ago_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
