#include "unit/kernel/http/program.h"

static void full_queue_is_answered_at_once(void **state)
{
    struct http_config config = probe_config();
    config.workers = 2;
    config.queue_max = 3;
    start(&config);
    log_set_fd(-1);
    struct probe *held[5];
    for (int i = 0; i < 5; i++) { /* two run, three wait */
        held[i] = probe_open(port);
        probe_send(held[i], GET("/api/v1/block"));
        for (int t = 0; i < 2 && t < 500 && atomic_load(&running) <= i; t++) {
            clock_sleep_usec(2 * MSEC);
        }
    }
    clock_sleep_usec(100 * MSEC);
    int64_t begun = clock_mono_usec();
    probe_ask(port, GET("/api/v1/echo/x"), &a);
    assert_int_equal(a.status, 503);
    assert_string_equal(probe_header(&a, "Retry-After"), "1");
    assert_true(probe_has(&a, "\"code\":\"overloaded\""));
    assert_true(clock_mono_usec() - begun < 1000 * MSEC);
    atomic_store(&release, 1);
    for (int i = 0; i < 5; i++) {
        probe_read(held[i], &a, false);
        assert_int_equal(a.status, 200);
        probe_close(held[i]);
    }
    probe_ask(port, GET("/api/v1/echo/x"), &a);
    log_set_fd(2);
    assert_int_equal(a.status, 200);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(full_queue_is_answered_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
