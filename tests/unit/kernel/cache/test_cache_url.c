#include "kernel/cache/cache_internal.h"
#include "unit/test.h"

static void urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *host;
        int port;
        const char *user;
        const char *password; /* NULL: none */
        uint64_t database;
    } good[] = {
        {"redis://localhost", "localhost", 6379, "", NULL, 0},
        {"redis://localhost/", "localhost", 6379, "", NULL, 0},
        {"redis://10.0.0.1:7000/3", "10.0.0.1", 7000, "", NULL, 3},
        {"redis://:p%40ss@r.example:1/15", "r.example", 1, "", "p@ss", 15},
        {"redis://me:a:b@h", "h", 6379, "me", "a:b", 0},
        {"redis://me:x@y@h", "h", 6379, "me", "x@y", 0},
        {"redis://[::1]:65535", "::1", 65535, "", NULL, 0},
        {"redis://[fe80::1]/2", "fe80::1", 6379, "", NULL, 2},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct cache_address a = {0};
        assert_int_equal(cache_url_parse(slice_text(good[i].url), &a, NULL), OK);
        assert_string_equal(a.host, good[i].host);
        assert_int_equal(a.port, good[i].port);
        assert_string_equal(a.user, good[i].user);
        assert_int_equal(a.has_password, good[i].password != NULL);
        if (good[i].password != NULL) {
            assert_int_equal(secret_len(&a.password), strlen(good[i].password));
            assert_memory_equal(secret_bytes(&a.password), good[i].password,
                                strlen(good[i].password));
        }
        assert_int_equal(a.database, good[i].database);
        secret_clear(&a.password);
    }
}

static void other_urls_are_refused_without_repeating_them(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *problem;
    } bad[] = {
        {"", "does not begin so"},
        {"http://h", "does not begin so"},
        {"rediss://:hunter2@h", "TLS"},
        {"redis://", "HOST is missing"},
        {"redis://:hunter2@", "HOST is missing"},
        {"redis://hunter2@h", "USER:PASSWORD"},
        {"redis://:hunter2%zz@h", "two hex digits"},
        {"redis://:hunter2%4@h", "two hex digits"},
        {"redis://:%00@h", "two hex digits"},
        {"redis://h:0", "PORT"},
        {"redis://h:65536", "PORT"},
        {"redis://h:", "PORT"},
        {"redis://[::1", "']'"},
        {"redis://[::1]x", "behind ']'"},
        {"redis://h/one", "number of a database"},
        {"redis://h/-1", "number of a database"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct why why = {0};
        struct cache_address a = {0};
        assert_int_equal(cache_url_parse(slice_text(bad[i].url), &a, &why), ERR_CONFIG);
        assert_string_equal(why.field, "redis.url");
        if (strstr(why.text, bad[i].problem) == NULL) {
            fail_msg("%s: %s", bad[i].url, why.text);
        }
        assert_null(strstr(why.text, "hunter2"));
    }
    assert_int_equal(cache_url_check("", NULL), OK);
    assert_int_equal(cache_url_check("redis://:pw@h", NULL), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(other_urls_are_refused_without_repeating_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
