#include "kernel/jobs/jobs_rules.h"

#include "unit/test.h"

static const struct job_kind growing = {
    .name = "growing",
    .attempts_max = 5,
    .backoff = JOB_BACKOFF_EXPONENTIAL,
    .backoff_usec = 1000000,
    .backoff_usec_max = 60000000,
};

static const struct job_kind fixed = {
    .name = "fixed",
    .attempts_max = 3,
    .backoff = JOB_BACKOFF_FIXED,
    .backoff_usec = 5000000,
};

static void backoff_grows_within_twenty_percent(void **state)
{
    (void)state;
    /* 1 s, 2 s, 4 s, … 32 s, then the cap of 60 s */
    static const int64_t middle[] = {1000000,  2000000,  4000000,  8000000,
                                     16000000, 32000000, 60000000, 60000000};
    for (uint32_t attempt = 1; attempt <= 8; attempt++) {
        int64_t m = middle[attempt - 1];
        int64_t least = INT64_MAX;
        int64_t most = 0;
        for (uint64_t i = 0; i < 4000; i++) {
            int64_t usec = jobs_backoff_usec(&growing, attempt, i * 0x9e3779b97f4a7c15ull);
            least = usec < least ? usec : least;
            most = usec > most ? usec : most;
        }
        assert_in_range(least, m / 100 * 80, m / 100 * 81);
        assert_in_range(most, m / 100 * 119, m / 100 * 120);
    }
    assert_int_equal(jobs_backoff_usec(&growing, UINT32_MAX, 12000000), 60000000);
    for (uint32_t attempt = 1; attempt <= 8; attempt++) {
        assert_in_range(jobs_backoff_usec(&fixed, attempt, attempt), 4000000, 6000000);
    }
    struct job_kind none = fixed;
    none.backoff_usec = 0;
    assert_int_equal(jobs_backoff_usec(&none, 1, UINT64_MAX), 0);
    struct job_kind endless = growing;
    endless.backoff_usec_max = 0;
    assert_true(jobs_backoff_usec(&endless, UINT32_MAX, UINT64_MAX) > 0);
}

static void verdict_of_results(void **state)
{
    (void)state;
    assert_int_equal(jobs_judge(&fixed, 1, OK), JOBS_FINISH);
    assert_int_equal(jobs_judge(&fixed, 1, ERR_UPSTREAM), JOBS_RETRY);
    assert_int_equal(jobs_judge(&fixed, 2, ERR_UPSTREAM), JOBS_RETRY);
    assert_int_equal(jobs_judge(&fixed, 3, ERR_UPSTREAM), JOBS_BURY);
    assert_int_equal(jobs_judge(&fixed, 1, ERR_INVALID_FIELD), JOBS_BURY);
    assert_int_equal(jobs_judge(&fixed, 3, ERR_STOPPING), JOBS_GIVE_BACK);
    assert_int_equal(jobs_judge_lapse(&fixed, 3, false), JOBS_GIVE_BACK);
    assert_int_equal(jobs_judge_lapse(&fixed, 2, true), JOBS_RETRY);
    assert_int_equal(jobs_judge_lapse(&fixed, 3, true), JOBS_BURY);
}

static void slots_are_multiples_since_the_epoch(void **state)
{
    (void)state;
    int64_t hour = 3600ll * 1000000;
    assert_int_equal(jobs_slot(0, hour), 0);
    assert_int_equal(jobs_slot(hour - 1, hour), 0);
    assert_int_equal(jobs_slot(hour, hour), 1);
    assert_int_equal(jobs_slot(-1, hour), -1);
    assert_int_equal(jobs_slot(-hour, hour), -1);
}

static void slot_is_due_once_and_after_a_clock_put_back(void **state)
{
    (void)state;
    int64_t second = 1000000;
    int64_t day = 86400ll * second;
    assert_true(jobs_slot_is_due(101, 100, second));
    assert_false(jobs_slot_is_due(100, 100, second));
    assert_false(jobs_slot_is_due(99, 100, second));  /* another machine is a little ahead */
    assert_false(jobs_slot_is_due(100, 700, second)); /* ten minutes */
    assert_true(jobs_slot_is_due(100, 3700, second)); /* an hour */
    assert_false(jobs_slot_is_due(5, 6, day));        /* the hour that ended the day early */
    assert_true(jobs_slot_is_due(5, 7, day));
}

static void little_is_held_ready_of_slow_jobs(void **state)
{
    (void)state;
    assert_int_equal(jobs_prefetch(1000000, 4, 64), 0);
    assert_int_equal(jobs_prefetch(25000, 4, 64), 8);
    assert_int_equal(jobs_prefetch(1000, 4, 64), 64);
    assert_int_equal(jobs_prefetch(0, 4, 64), 64);
    assert_int_equal(jobs_prefetch(0, 4, 1), 1);
}

static void clock_that_is_set_is_seen(void **state)
{
    (void)state;
    assert_false(jobs_clock_was_set(1000000, 1000000));
    assert_false(jobs_clock_was_set(1100000, 1000000));
    assert_true(jobs_clock_was_set(3600000000, 1000000));
    assert_true(jobs_clock_was_set(-3600000000, 1000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff_grows_within_twenty_percent),
        cmocka_unit_test(verdict_of_results),
        cmocka_unit_test(slots_are_multiples_since_the_epoch),
        cmocka_unit_test(slot_is_due_once_and_after_a_clock_put_back),
        cmocka_unit_test(little_is_held_ready_of_slow_jobs),
        cmocka_unit_test(clock_that_is_set_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
