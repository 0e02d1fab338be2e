#include "unit/kernel/http/program.h"

/* ---- start ----------------------------------------------------------------------------------- */

static void start_says_what_is_wrong(void **state)
{
    start_default();
    struct http_config config = probe_config();
    struct http_server *second = NULL;
    struct why why = {.err = OK};
    config.port = port;
    assert_int_equal(http_start(&second, &config, &table, 1, NULL, &why), ERR_IO);
    char number[8];
    (void)snprintf(number, sizeof number, "%u", port);
    assert_non_null(strstr(why.text, number));
    config.port = 0;
    config.host = "not an address";
    assert_int_equal(http_start(&second, &config, &table, 1, NULL, &why), ERR_CONFIG);
    config.host = "127.0.0.1";
    const struct http_table twice[] = {table, table};
    assert_int_equal(http_start(&second, &config, twice, 2, NULL, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "/api/v1/echo/{value}"));
    static const struct http_route needy[] = {{.path = "/x", .handler = echo}};
    const struct http_table needs = {.routes = needy, .count = 1};
    assert_int_equal(http_start(&second, &config, &needs, 1, NULL, &why), ERR_CONFIG);
    assert_null(second);
}

static void one_io_thread_is_enough(void **state)
{
    struct http_config config = probe_config();
    config.io_threads = 1;
    config.workers = 1;
    start(&config);
    probe_ask(port, GET("/api/v1/echo/x"), &a);
    assert_int_equal(a.status, 200);
}

/* ---- stop --------------------------------------------------------------------------------------
 */

static void *stopper(void *arg)
{
    http_stop(server);
    return arg;
}

static void stop_finishes_what_runs(void **state)
{
    start_default();
    struct probe *idle = probe_open(port);
    probe_send(idle, GET("/api/v1/echo/x"));
    probe_read(idle, &a, false);
    struct probe *flight = probe_open(port);
    struct probe *waiting = probe_open(port);
    probe_send(flight, GET("/api/v1/block"));
    probe_send(waiting, "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
    for (int i = 0; i < 1000 && atomic_load(&running) == 0; i++) {
        clock_sleep_usec(MSEC);
    }
    clock_sleep_usec(50 * MSEC);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stopper, NULL), 0);
    assert_true(probe_ended(idle));
    int fd = probe_connect(port);
    assert_int_equal(fd, -1);
    probe_send(waiting, "bc"); /* a body that was on its way may still arrive */
    probe_read(waiting, &a, false);
    assert_true(a.status == 200 && probe_has(&a, "\"data\":3"));
    assert_true(probe_ended(waiting));
    atomic_store(&release, 1);
    probe_read(flight, &a, false);
    assert_int_equal(a.status, 200);
    assert_string_equal(probe_header(&a, "Connection"), "close");
    assert_true(probe_ended(flight));
    pthread_join(thread, NULL);
    server = NULL;
    probe_close(idle);
    probe_close(flight);
    probe_close(waiting);
}

static void stop_is_bounded(void **state)
{
    struct http_config config = probe_config();
    config.drain_usec = 200 * MSEC;
    config.workers = 1;
    start(&config);
    log_set_fd(-1);
    struct probe *runs = probe_open(port);
    struct probe *queued = probe_open(port);
    struct probe *stuck = probe_open(port);
    probe_send(runs, GET("/api/v1/block"));
    for (int i = 0; i < 1000 && atomic_load(&running) == 0; i++) {
        clock_sleep_usec(MSEC);
    }
    probe_send(queued, GET("/api/v1/echo/x"));
    probe_send(stuck, "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
    clock_sleep_usec(100 * MSEC);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stopper, NULL), 0);
    assert_true(probe_ended(stuck));
    atomic_store(&release, 1);
    probe_read(runs, &a, false);
    assert_int_equal(a.status, 200);
    probe_read(queued, &a, false);
    assert_int_equal(a.status, 503);
    assert_true(probe_has(&a, "\"code\":\"stopping\""));
    pthread_join(thread, NULL);
    log_set_fd(2);
    server = NULL;
    probe_close(runs);
    probe_close(queued);
    probe_close(stuck);
}

/* ---- load --------------------------------------------------------------------------------------
 */

static void clients_that_vanish_do_no_harm(void **state)
{
    start_default();
    for (int i = 0; i < 40; i++) {
        struct probe *p = probe_open(port);
        probe_send(p, i % 2 ? GET("/api/v1/block") : "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\n");
        if (i % 4 == 1) {
            struct linger hard = {.l_onoff = 1};
            setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        probe_close(p);
    }
    atomic_store(&release, 1);
    probe_ask(port, GET("/api/v1/echo/x"), &a);
    assert_int_equal(a.status, 200);
}

struct hammer {
    pthread_t thread;
    int good;
};

static void *hammer_main(void *arg)
{
    struct hammer *h = arg;
    struct probe *p = probe_open(port);
    struct probe_answer *mine = mem_alloc(sizeof *mine);
    for (int i = 0; i < 200; i++) {
        char request[128];
        char expected[64];
        (void)snprintf(request, sizeof request,
                       "GET /api/v1/echo/%p-%d HTTP/1.1\r\nHost: x\r\n\r\n", arg, i);
        (void)snprintf(expected, sizeof expected, "\"value\":\"%p-%d\"", arg, i);
        probe_send(p, request);
        probe_read(p, mine, false);
        h->good += mine->status == 200 && probe_has(mine, expected);
    }
    mem_free(mine);
    probe_close(p);
    return NULL;
}

static void many_clients_get_their_own_answers(void **state)
{
    struct hammer hammers[16] = {0};
    start_default();
    for (int i = 0; i < 16; i++) {
        assert_int_equal(pthread_create(&hammers[i].thread, NULL, hammer_main, &hammers[i]), 0);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(hammers[i].thread, NULL);
        assert_int_equal(hammers[i].good, 200);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(start_says_what_is_wrong),       TEST(one_io_thread_is_enough),
        TEST(stop_finishes_what_runs),        TEST(stop_is_bounded),
        TEST(clients_that_vanish_do_no_harm), TEST(many_clients_get_their_own_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
