#include "kernel/jobs/jobs_limits.h"

#include "unit/kernel/jobs/fixture.h"

#define WINDOW (64 * 1000 * MSEC)

/* ---- the list of starts ---- */

static void starts_stay_within_any_window(void **state)
{
    (void)state;
    enum { RATE = 50, STEPS = 20000 };
    static int64_t when[STEPS];
    struct jobs_starts s = {.len = 0};
    int64_t now = 1700000000ll * USEC_PER_SEC;
    size_t started = 0;
    for (int i = 0; i < STEPS; i++) {
        now += (int64_t)rand_below((uint64_t)WINDOW / 40);
        jobs_starts_forget(&s, now, WINDOW);
        int64_t room = RATE - jobs_starts_sum(&s);
        assert_true(room >= 0);
        if (room > 0) {
            int64_t n = 1 + (int64_t)rand_below((uint64_t)(room < 4 ? room : 4));
            jobs_starts_add(&s, now, WINDOW, n);
            for (int64_t k = 0; k < n && started < STEPS; k++) {
                when[started++] = now;
            }
        }
    }
    assert_true(started > 1000);
    for (size_t i = RATE; i < started; i++) {
        assert_true(when[i] - when[i - RATE] >= WINDOW);
    }
    /* And it is no more than a 64th of a window slower than it could be. */
    int64_t longest = when[started - 1] - when[0];
    assert_true((int64_t)started >= longest / (WINDOW + WINDOW / 16) * RATE * 9 / 10);
}

static void starts_survive_being_stored(void **state)
{
    (void)state;
    struct arena arena;
    struct buf text;
    struct jobs_starts s = {.len = 0};
    struct jobs_starts back;
    arena_init(&arena, 0);
    jobs_starts_add(&s, 1000 * MSEC, WINDOW, 3);
    jobs_starts_add(&s, 2 * WINDOW, WINDOW, 1);
    buf_init(&text, &arena, 64);
    jobs_starts_format(&s, &text);
    assert_true(slice_equal_text(buf_slice(&text), "[[1000000,3],[128000000,1]]"));
    assert_int_equal(jobs_starts_parse(buf_slice(&text), &back, NULL), OK);
    assert_int_equal(back.len, 2);
    assert_int_equal(jobs_starts_sum(&back), 4);
    assert_int_equal(jobs_starts_free_usec(&back, WINDOW), 1000 * MSEC + WINDOW);
    arena_free(&arena);
}

static void garbage_is_no_list_of_starts(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[1]",
        "[[1]]",
        "[[1,2,3]]",
        "[[-1,2]]",
        "[[2,1],[1,1]]",
        "[[\"1\",1]]",
        "[[1,2000000]]",
        "[[99999999999999999999,1]]",
        "[[1,1]",
        "null",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct jobs_starts s = {.len = 7};
        assert_int_equal(jobs_starts_parse(slice_text(bad[i]), &s, NULL), ERR_CORRUPT);
        assert_int_equal(s.len, 7);
    }
}

static void a_clock_put_back_waits_for_one_window(void **state)
{
    (void)state;
    struct jobs_starts s = {.len = 0};
    int64_t now = 1700000000ll * USEC_PER_SEC;
    jobs_starts_add(&s, now, WINDOW, 5);
    int64_t back = now - 3600 * 1000 * MSEC;
    jobs_starts_forget(&s, back, WINDOW);
    assert_int_equal(jobs_starts_sum(&s), 5);
    jobs_starts_forget(&s, back + WINDOW, WINDOW);
    assert_int_equal(jobs_starts_sum(&s), 0);
}

/* ---- limits over several runners ---- */

static const struct job_queue limited[] = {
    {.name = "narrow", .concurrency = 2, .doc = "Test."},
    {.name = "slow", .rate = 5, .rate_usec = 1000 * MSEC, .doc = "Test."},
    {.name = "test", .doc = "Test."},
};

static const struct job_kind limited_kinds[] = {
    {.name = "narrow.a",
     .queue = "narrow",
     .handler = run_innocent,
     .timeout_usec = 9000 * MSEC,
     .doc = "Test."},
    {.name = "narrow.b",
     .queue = "narrow",
     .handler = run_innocent,
     .timeout_usec = 9000 * MSEC,
     .doc = "Test."},
    {.name = "slow",
     .queue = "slow",
     .handler = run_effect,
     .timeout_usec = 9000 * MSEC,
     .doc = "Test."},
    KIND("free", run_nothing, 3, 9000 * MSEC),
};

static const struct job_table limited_table = {
    .queues = limited, .queue_count = 3, .kinds = limited_kinds, .kind_count = 4};

static void concurrency_holds_across_runners(void **state)
{
    (void)state;
    struct jobs *a = start_table(&calm, &limited_table);
    struct jobs *b = start_table(&calm, &limited_table);
    enqueue_job((struct job_new){.kind = "narrow.a"}, 8);
    enqueue_job((struct job_new){.kind = "narrow.b"}, 8);
    await(JOB_DONE, 16);
    end(a);
    end(b);
    assert_int_equal(atomic_load(&env.concurrent_max), 2);
    assert_each_once(16);
}

static void rate_holds_across_runners(void **state)
{
    (void)state;
    struct jobs *a = start_table(&calm, &limited_table);
    struct jobs *b = start_table(&calm, &limited_table);
    enqueue_job((struct job_new){.kind = "slow"}, 14);
    await(JOB_DONE, 14);
    end(a);
    end(b);
    assert_int_equal(atomic_load(&env.recorded), 14);
    /*
     * Claims lie a window apart; runs may come later by what the machine took from claim to run,
     * which shifts them together but never fits more than two windows' into one.
     */
    assert_true(env.at_usec[13] - env.at_usec[0] >= 1500 * MSEC);
    assert_each_once(14);
}

static void a_full_queue_keeps_nobody_waiting(void **state)
{
    (void)state;
    static const struct job_queue full[] = {{.name = "full", .concurrency = 1, .doc = "Test."},
                                            {.name = "test", .doc = "Test."}};
    static const struct job_kind k[] = {
        {.name = "first",
         .queue = "full",
         .handler = run_gated,
         .timeout_usec = 60000 * MSEC,
         .doc = "Test."},
        KIND("free", run_nothing, 3, 9000 * MSEC),
    };
    const struct job_table t = {.queues = full, .queue_count = 2, .kinds = k, .kind_count = 2};
    enqueue_job((struct job_new){.kind = "first", .priority = 9}, 100);
    struct jobs *jobs = start_table(&quick, &t);
    await(JOB_RUNNING, 1);
    enqueue_job((struct job_new){.kind = "free", .priority = -9}, 200);
    await(JOB_DONE, 200);
    assert_int_equal(count_in(JOB_RUNNING), 1);
    atomic_store(&env.gate, true);
    await(JOB_DONE, 300);
    end(jobs);
}

/* A process that died in the middle holds its place until its lease has run out, not longer. */
static void a_crash_gives_the_place_back(void **state)
{
    (void)state;
    enqueue_job((struct job_new){.kind = "narrow.a"}, 2);
    raw_run(support_pick(
        "UPDATE jobs SET state = 2, attempts = 1, lease_token = 1, lease_owner = 'gone', "
        "queue = 'narrow', lease_until = run_at + 200000",
        "UPDATE jobs SET state = 2, attempts = 1, lease_token = 1, lease_owner = 'gone', "
        "queue = 'narrow', lease_until = run_at + interval '200 ms'"));
    enqueue_job((struct job_new){.kind = "narrow.b"}, 2);
    struct jobs *jobs = start_table(&quick, &limited_table);
    await(JOB_DONE, 4);
    end(jobs);
    assert_each_once(4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_stay_within_any_window),
        cmocka_unit_test(starts_survive_being_stored),
        cmocka_unit_test(garbage_is_no_list_of_starts),
        cmocka_unit_test(a_clock_put_back_waits_for_one_window),
        TEST(concurrency_holds_across_runners),
        TEST(rate_holds_across_runners),
        TEST(a_full_queue_keeps_nobody_waiting),
        TEST(a_crash_gives_the_place_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
