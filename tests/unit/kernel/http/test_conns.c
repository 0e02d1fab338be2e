#include "unit/kernel/http/program.h"

/* How long until the server ends a connection that sends `drip` every 20 ms. */
static int64_t time_until_end(const char *first, const char *drip)
{
    struct probe *p = probe_open(port);
    int64_t begun = clock_mono_usec();
    probe_send(p, first);
    struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
    while (poll(&pfd, 1, 20) == 0 && clock_mono_usec() - begun < 5000 * MSEC) {
        probe_send(p, drip);
    }
    int64_t took = clock_mono_usec() - begun;
    probe_read(p, &a, false);
    assert_true(probe_ended(p));
    probe_close(p);
    return took;
}

static void slow_senders_are_cut_off(void **state)
{
    struct http_config config = probe_config();
    config.header_usec = 300 * MSEC;
    config.request_usec = 500 * MSEC;
    start(&config);
    log_set_fd(-1);
    int64_t took = time_until_end("GET /api/v1/echo/x HTTP/1.1\r\n", "X-A: b\r\n");
    assert_in_range(took, 250 * MSEC, 1500 * MSEC);
    assert_int_equal(a.status, 408);
    assert_true(probe_has(&a, "\"code\":\"request_timeout\""));
    took = time_until_end("GET /api/v1/", "e"); /* no whole line: nothing to answer */
    assert_in_range(took, 250 * MSEC, 1500 * MSEC);
    assert_int_equal(a.status, 0);
    took = time_until_end("POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n",
                          "x");
    log_set_fd(2);
    assert_in_range(took, 400 * MSEC, 2000 * MSEC);
    assert_int_equal(a.status, 408);
}

static void idle_connections_are_closed(void **state)
{
    struct http_config config = probe_config();
    config.idle_usec = 200 * MSEC;
    start(&config);
    struct probe *p = probe_open(port);
    probe_send(p, GET("/api/v1/echo/x"));
    probe_read(p, &a, false);
    assert_int_equal(a.status, 200);
    int64_t begun = clock_mono_usec();
    assert_true(probe_ended(p));
    assert_in_range(clock_mono_usec() - begun, 100 * MSEC, 1500 * MSEC);
    probe_close(p);
}

static void connections_over_the_cap_are_refused(void **state)
{
    struct http_config config = probe_config();
    config.connections_max = 5;
    start(&config);
    struct probe *open[5];
    for (int i = 0; i < 5; i++) {
        open[i] = probe_open(port);
        probe_send(open[i], GET("/api/v1/echo/x"));
        probe_read(open[i], &a, false);
        assert_int_equal(a.status, 200);
    }
    for (int i = 0; i < 20; i++) {
        struct probe *p = probe_open(port);
        probe_read(p, &a, false);
        assert_int_equal(a.status, 503);
        assert_string_equal(probe_header(&a, "Retry-After"), "1");
        assert_true(probe_has(&a, "\"code\":\"overloaded\""));
        probe_close(p);
    }
    probe_close(open[0]);
    int status = 0;
    for (int i = 0; i < 100 && status != 200; i++) { /* until the server saw the close */
        clock_sleep_usec(10 * MSEC);
        probe_ask(port, GET("/api/v1/echo/x"), &a);
        status = a.status;
    }
    assert_int_equal(status, 200);
    for (int i = 1; i < 5; i++) {
        probe_close(open[i]);
    }
}

static void connections_of_one_client_are_capped(void **state)
{
    struct http_config config = probe_config();
    config.connections_per_client_max = 2;
    start(&config);
    struct probe *one = probe_open(port);
    struct probe *two = probe_open(port);
    struct probe *three = probe_open(port);
    probe_read(three, &a, false);
    assert_int_equal(a.status, 429);
    assert_true(probe_has(&a, "\"code\":\"rate_limited\""));
    probe_close(one);
    probe_close(two);
    probe_close(three);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(slow_senders_are_cut_off),
        TEST(idle_connections_are_closed),
        TEST(connections_over_the_cap_are_refused),
        TEST(connections_of_one_client_are_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
