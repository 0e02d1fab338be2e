/* Routes that cost something: when the cashier is asked, and what goes out. */
#include "unit/kernel/http/program.h"

/* What the cashier says, and how often he was asked. */
static struct {
    enum err enter;
    enum err leave;
    bool told;
    int entered;
    int left;
    int failed;
    int left_status;
} till;

static bool charges(void *ctx, const struct http_route *route)
{
    (void)ctx;
    return strcmp(route->path, "/api/v1/echo/{value}") == 0 ||
           strcmp(route->path, "/api/v1/upstream") == 0;
}

static enum err enter(void *ctx, struct http_call *call, struct http_toll *toll, struct why *why)
{
    (void)ctx;
    till.entered++;
    if (till.enter != OK) {
        http_add_header(call, "PAYMENT-REQUIRED", SLICE_LIT("b2ZmZXI="));
        call->members = SLICE_LIT("\"x402Version\":1,\"accepts\":[]");
        return why_set(why, till.enter, NULL, "Pay.");
    }
    toll->told = till.told;
    if (till.told) {
        toll->status = 201;
        toll->content_type = "application/json";
        toll->body = SLICE_LIT("{\"told\":true}");
    }
    return OK;
}

static enum err leave(void *ctx, struct http_call *call, struct http_toll *toll, struct why *why)
{
    (void)ctx;
    till.left++;
    till.left_status = toll->status;
    http_add_header(call, "PAYMENT-RESPONSE", SLICE_LIT("cmVjZWlwdA=="));
    return till.leave == OK ? OK : why_set(why, till.leave, NULL, "It was not settled.");
}

static void fail_one(void *ctx, struct http_call *call, struct http_toll *toll)
{
    (void)ctx;
    (void)call;
    (void)toll;
    till.failed++;
}

static const struct http_cashier cashier = {
    .charges = charges, .enter = enter, .leave = leave, .fail = fail_one};

static void open_shop(void)
{
    struct http_config config = probe_config();
    config.cashier = &cashier;
    memset(&till, 0, sizeof till);
    start(&config);
}

static void expect_asked(int entered, int left, int failed)
{
    assert_int_equal(till.entered, entered);
    assert_int_equal(till.left, left);
    assert_int_equal(till.failed, failed);
}

static void who_does_not_pay_is_not_served(void **state)
{
    (void)state;
    open_shop();
    till.enter = ERR_PAYMENT_REQUIRED;
    probe_ask(port, GET("/api/v1/echo/x"), &a);
    assert_int_equal(a.status, 402);
    assert_string_equal(probe_header(&a, "PAYMENT-REQUIRED"), "b2ZmZXI=");
    assert_string_equal(probe_header(&a, "Cache-Control"), "private, no-store");
    assert_true(probe_has(&a, "\"code\":\"payment_required\""));
    assert_true(probe_has(&a, ",\"x402Version\":1,\"accepts\":[]}"));
    expect_asked(1, 0, 0);
}

static void the_answer_waits_for_the_cashier(void **state)
{
    (void)state;
    open_shop();
    probe_ask(port, GET("/api/v1/echo/x"), &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(till.left_status, 200);
    assert_string_equal(probe_header(&a, "PAYMENT-RESPONSE"), "cmVjZWlwdA==");
    assert_null(probe_header(&a, "ETag"));
    expect_asked(1, 1, 0);
    till.leave = ERR_PAYMENT_PENDING;
    probe_ask(port, GET("/api/v1/echo/secret"), &a);
    assert_int_equal(a.status, 409);
    assert_false(probe_has(&a, "secret"));
    assert_string_equal(probe_header(&a, "Retry-After"), "1");
    assert_string_equal(probe_header(&a, "PAYMENT-RESPONSE"), "cmVjZWlwdA==");
}

static void a_handler_that_fails_keeps_its_answer(void **state)
{
    (void)state;
    open_shop();
    log_set_fd(-1);
    probe_ask(port, GET("/api/v1/upstream"), &a);
    log_set_fd(2);
    assert_int_equal(a.status, 504);
    assert_null(probe_header(&a, "PAYMENT-RESPONSE"));
    expect_asked(1, 0, 1);
}

static void what_was_told_is_told_again_without_running(void **state)
{
    (void)state;
    open_shop();
    till.told = true;
    probe_ask(port, GET("/api/v1/echo/x"), &a);
    assert_int_equal(a.status, 201);
    assert_true(probe_has(&a, "{\"told\":true}"));
    expect_asked(1, 0, 0);
}

static void other_routes_are_free(void **state)
{
    (void)state;
    open_shop();
    probe_ask(port, GET("/api/v1/nowhere"), &a);
    assert_int_equal(a.status, 404);
    expect_asked(0, 0, 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(who_does_not_pay_is_not_served),
        TEST(the_answer_waits_for_the_cashier),
        TEST(a_handler_that_fails_keeps_its_answer),
        TEST(what_was_told_is_told_again_without_running),
        TEST(other_routes_are_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
