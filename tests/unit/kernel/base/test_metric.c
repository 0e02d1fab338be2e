#include "kernel/base/metric.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernel/base/log.h"
#include "kernel/base/mem.h"

static int setup(void **state)
{
    struct arena *arena = mem_alloc(sizeof(*arena));
    arena_init(arena, 0);
    metric_reset();
    *state = arena;
    return 0;
}

static int teardown(void **state)
{
    metric_reset();
    arena_free(*state);
    mem_free(*state);
    return 0;
}

static const char *text_of(struct arena *arena, void (*print)(struct buf *))
{
    struct buf out;
    buf_init(&out, arena, 0);
    print(&out);
    buf_add_byte(&out, 0);
    return (const char *)out.ptr;
}

static void rows_are_grouped_by_name(void **state)
{
    static const struct metric_row relay_rows[] = {
        {"freehold_relay_txs_total", METRIC_COUNTER, "Transactions by result.", "result=\"ok\""},
        {"freehold_relay_gap_blocks", METRIC_GAUGE, "Back\\slash\n|.", NULL},
    };
    static const struct metric_row other_rows[] = {
        {"freehold_relay_txs_total", METRIC_COUNTER, "Transactions by result.", "result=\"bad\""},
    };
    static struct metric_value relay_values[2];
    static struct metric_value other_values[1];
    metric_register(relay_rows, relay_values, 2);
    metric_register(other_rows, other_values, 1);
    metric_add(&relay_values[0], 2);
    metric_add(&relay_values[0], 1);
    metric_set(&relay_values[1], -7);
    metric_add(&relay_values[1], 2);
    assert_int_equal(metric_get(&relay_values[0]), 3);
    assert_string_equal(text_of(*state, metric_render),
                        "# HELP freehold_relay_gap_blocks Back\\\\slash\\n|.\n"
                        "# TYPE freehold_relay_gap_blocks gauge\n"
                        "freehold_relay_gap_blocks -5\n"
                        "# HELP freehold_relay_txs_total Transactions by result.\n"
                        "# TYPE freehold_relay_txs_total counter\n"
                        "freehold_relay_txs_total{result=\"bad\"} 0\n"
                        "freehold_relay_txs_total{result=\"ok\"} 3\n");
    assert_string_equal(
        text_of(*state, metric_reference),
        "| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n"
        "| `freehold_relay_gap_blocks` | gauge | | Back\\slash \\|. |\n"
        "| `freehold_relay_txs_total` | counter | `result=\"bad\"` | Transactions by result. |\n"
        "| `freehold_relay_txs_total` | counter | `result=\"ok\"` | Transactions by result. |\n");
}

static const struct metric_row histogram_rows[] = {
    {"freehold_http_request_seconds", METRIC_HISTOGRAM, "Time of a request.", "route=\"x\""},
};
static struct metric_value histogram_values[1];

static void histograms_are_cumulative_seconds(void **state)
{
    metric_register(histogram_rows, histogram_values, 1);
    static const int64_t durations[] = {0, 500, 501, 2500000, 60000000, 60000001, -5};
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        metric_observe(&histogram_values[0], durations[i]);
    }
    const char *text = text_of(*state, metric_render);
    static const char *const lines[] = {
        "# TYPE freehold_http_request_seconds histogram\n",
        "freehold_http_request_seconds_bucket{route=\"x\",le=\"0.0005\"} 3\n",
        "freehold_http_request_seconds_bucket{route=\"x\",le=\"0.001\"} 4\n",
        "freehold_http_request_seconds_bucket{route=\"x\",le=\"1\"} 4\n",
        "freehold_http_request_seconds_bucket{route=\"x\",le=\"2.5\"} 5\n",
        "freehold_http_request_seconds_bucket{route=\"x\",le=\"60\"} 6\n",
        "freehold_http_request_seconds_bucket{route=\"x\",le=\"+Inf\"} 7\n",
        "freehold_http_request_seconds_sum{route=\"x\"} 122.501002\n",
        "freehold_http_request_seconds_count{route=\"x\"} 7\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        text = strstr(text, lines[i]);
        assert_non_null(text);
    }
}

static void bucket_bounds_ascend(void **state)
{
    (void)state;
    for (size_t i = 1; i < METRIC_BUCKETS; i++) {
        assert_true(metric_bucket_usec[i - 1] < metric_bucket_usec[i]);
    }
}

static void *count_up(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        metric_add(arg, 1);
    }
    return NULL;
}

static void threads_count_together(void **state)
{
    (void)state;
    static struct metric_value value;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &value), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(metric_get(&value), 40000);
}

struct bad_table {
    struct metric_row rows[2];
    size_t count;
};

static const struct bad_table bad_tables[] = {
    {{{"a_total", METRIC_COUNTER, "", NULL}, {"a_total", METRIC_COUNTER, "", NULL}}, 2},
    {{{"a_total", METRIC_COUNTER, "", "x=\"1\""}, {"a_total", METRIC_COUNTER, "", "x=\"1\""}}, 2},
    {{{"a_total", METRIC_COUNTER, "", NULL}, {"a_total", METRIC_GAUGE, "", "x=\"1\""}}, 2},
    {{{"1a", METRIC_COUNTER, "", NULL}}, 1},
    {{{"a-b", METRIC_COUNTER, "", NULL}}, 1},
    {{{"", METRIC_COUNTER, "", NULL}}, 1},
};

static void bad_rows_stop_the_process(void **state)
{
    (void)state;
    static struct metric_value values[2];
    for (size_t i = 0; i < sizeof(bad_tables) / sizeof(bad_tables[0]); i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            log_set_fd(-1);
            metric_register(bad_tables[i].rows, values, bad_tables[i].count);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_grouped_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(histograms_are_cumulative_seconds, setup, teardown),
        cmocka_unit_test(bucket_bounds_ascend),
        cmocka_unit_test(threads_count_together),
        cmocka_unit_test_setup_teardown(bad_rows_stop_the_process, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
