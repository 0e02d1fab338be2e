#include "kernel/http/http.h"
#include "unit/test.h"

static void load(struct config *c, struct http_config *target)
{
    struct why why = {.err = OK};
    char *const none[] = {NULL};
    const struct config_part part = {
        .rows = http_config_rows,
        .count = http_config_row_count,
        .target = target,
        .title = "API server",
    };
    config_add(c, &part);
    enum err e = config_load(c, NULL, none, NULL, 0, &why);
    if (e) {
        fail_msg("%s", why_text(&why, e));
    }
}

static void defaults_fill_every_member(void **state)
{
    struct http_config config;
    memset(&config, 0xA5, sizeof config);
    config.operator_token = (struct secret){0}; /* a secret that is replaced is wiped first */
    struct config *c = config_new();
    load(c, &config);
    assert_string_equal(config.host, "127.0.0.1");
    assert_int_equal(config.port, 8080);
    assert_int_equal(config.io_threads, 2);
    assert_int_equal(config.workers, 8);
    assert_int_equal(config.queue_max, 1024);
    assert_int_equal(config.connections_max, 4096);
    assert_int_equal(config.connections_per_client_max, 2048);
    assert_int_equal(config.header_bytes_max, 8192);
    assert_int_equal(config.body_bytes_max, 1048576);
    assert_int_equal(config.header_usec, 10000000);
    assert_int_equal(config.request_usec, 30000000);
    assert_int_equal(config.idle_usec, 60000000);
    assert_int_equal(config.drain_usec, 10000000);
    assert_false(config.access_log);
    assert_true(config.gzip);
    assert_string_equal(config.cors_origins, "");
    assert_int_equal(secret_len(&config.operator_token), 0);
    config_free(c);
}

static void bounds_are_held(void **state)
{
    static const struct {
        const char *key, *value;
    } bad[] = {
        {"http.port", "65536"},          {"http.workers", "0"},
        {"http.io_threads", "0"},        {"http.queue_max", "0"},
        {"http.connections_max", "0"},   {"http.header_timeout", "0"},
        {"http.body_bytes_max", "2GiB"}, {"http.header_bytes_max", "512"},
        {"http.access_log", "on"},
    };
    struct http_config config = {.operator_token = {0}}; /* a secret that is replaced is wiped */
    struct config *c = config_new();
    load(c, &config);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct why why = {.err = OK};
        assert_int_not_equal(config_set(c, bad[i].key, bad[i].value, "flag", &why), OK);
        assert_non_null(strstr(why.text, bad[i].key));
    }
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_fill_every_member),
        cmocka_unit_test(bounds_are_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
