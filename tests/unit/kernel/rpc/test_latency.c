#include "kernel/rpc/latency.h"

#include "unit/test.h"

/* Buckets are a quarter of an octave wide: a quantile is at most so much above the true one. */
#define IS_ABOUT(got, usec) assert_in_range(got, usec, (usec)*6 / 5 + 256)

static void test_quantiles(void **state)
{
    struct rpc_latency l = {.count = 0};
    (void)state;
    assert_int_equal(rpc_latency_quantile(&l, 950), 0);
    for (int i = 1; i <= 100; i++) {
        rpc_latency_add(&l, (int64_t)i * 1000);
    }
    assert_int_equal(l.count, 100);
    IS_ABOUT(rpc_latency_quantile(&l, 500), 50000);
    IS_ABOUT(rpc_latency_quantile(&l, 950), 95000);
    IS_ABOUT(rpc_latency_quantile(&l, 1000), 100000);
    IS_ABOUT(rpc_latency_quantile(&l, 1), 1000);
    assert_in_range(l.average_usec, 85000, 100000);
}

static void test_extremes(void **state)
{
    struct rpc_latency l = {.count = 0};
    (void)state;
    rpc_latency_add(&l, -5);
    assert_int_equal(rpc_latency_quantile(&l, 1000), 256);
    for (int i = 0; i < 100; i++) {
        rpc_latency_add(&l, INT64_MAX / 8);
    }
    /* Beyond two minutes all is one. */
    assert_in_range(rpc_latency_quantile(&l, 950), 100000000, 130000000);
    assert_true(l.average_usec > 0);
}

static void test_what_was_long_ago_is_forgotten(void **state)
{
    struct rpc_latency l = {.count = 0};
    (void)state;
    for (int i = 0; i < 10000; i++) {
        rpc_latency_add(&l, 1000000);
    }
    assert_true(l.count < 512);
    for (int i = 0; i < 10000; i++) {
        rpc_latency_add(&l, 1000);
    }
    IS_ABOUT(rpc_latency_quantile(&l, 999), 1000);
    assert_in_range(l.average_usec, 1000, 1010);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_what_was_long_ago_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
