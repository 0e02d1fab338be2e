#include "kernel/base/metric.h"
#include "unit/kernel/http/program.h"

static struct arena arena;

static int64_t sample(const char *name)
{
    struct buf b;
    buf_init(&b, &arena, 4096);
    metric_render(&b);
    buf_add_byte(&b, 0);
    const char *line = strstr((const char *)b.ptr, name);
    assert_non_null(line);
    return strtoll(line + strlen(name), NULL, 10);
}

/* An answer is counted after its last byte has left: the client may be ahead of the count. */
static void expect_soon(const char *name, int64_t value)
{
    for (int i = 0; i < 1000 && sample(name) != value; i++) {
        clock_sleep_usec(2 * MSEC);
    }
    assert_int_equal(sample(name), value);
}

static void answers_are_counted_by_class(void **state)
{
    arena_init(&arena, 0);
    start_default();
    log_set_fd(-1);
    for (int i = 0; i < 3; i++) {
        probe_ask(port, GET("/api/v1/echo/x"), &a);
    }
    probe_ask(port, GET_WITH("/api/v1/tagged", "If-None-Match: *\r\n"), &a);
    probe_ask(port, GET("/nothing"), &a);
    probe_ask(port, GET("/api/v1/inside"), &a);
    log_set_fd(2);
    expect_soon("\nfreehold_http_requests_total{class=\"2xx\"} ", 3);
    expect_soon("\nfreehold_http_requests_total{class=\"3xx\"} ", 1);
    expect_soon("\nfreehold_http_requests_total{class=\"4xx\"} ", 1);
    expect_soon("\nfreehold_http_requests_total{class=\"5xx\"} ", 1);
    expect_soon("\nfreehold_http_request_duration_seconds_count ", 6);
    expect_soon("\nfreehold_http_requests_active ", 0);
    expect_soon("\nfreehold_http_connections ", 0);
    struct probe *p = probe_open(port);
    expect_soon("\nfreehold_http_connections ", 1);
    probe_close(p);
    expect_soon("\nfreehold_http_connections ", 0);
    arena_free(&arena);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(answers_are_counted_by_class, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
