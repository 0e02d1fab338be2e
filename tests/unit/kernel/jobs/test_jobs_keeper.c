#include "unit/kernel/jobs/fixture.h"

/* ---- time limits ---- */

static void lease_is_renewed_while_a_handler_runs(void **state)
{
    (void)state;
    struct jobs *a = start(&calm);
    struct jobs *b = start(&calm);
    enqueue("long");
    enqueue("heartbeats");
    await(JOB_DONE, 2);
    end(a);
    end(b);
    assert_each_once(2);
    assert_int_equal(atomic_load(&env.runs), 2);
}

static void hung_handler_is_replaced_and_refused(void **state)
{
    (void)state;
    struct jobs_config one = quick;
    one.threads = 1;
    struct jobs *jobs = start(&one);
    int64_t began = clock_mono_usec();
    enqueue("hung_once");
    await(JOB_DONE, 1);
    assert_true(clock_mono_usec() - began < 1900 * MSEC); /* while the first still hangs */
    await_number(&env.refused, 1);
    /* The one that came back is surplus now. */
    enqueue_job((struct job_new){.kind = "gated"}, 3);
    await_runs(3);
    clock_sleep_usec(100 * MSEC);
    atomic_store(&env.gate, true);
    await(JOB_DONE, 4);
    end(jobs);
    assert_int_equal(atomic_load(&env.concurrent_max), 1);
    assert_int_equal(atomic_load(&env.runs), 5);
    assert_int_equal(atomic_load(&env.refused), 1);
}

static void overtaken_handler_changes_nothing(void **state)
{
    (void)state;
    struct jobs *jobs = start(&calm);
    enqueue("overtaken");
    await(JOB_DONE, 1);
    end(jobs);
    assert_each_once(1);
    assert_int_equal(atomic_load(&env.refused), 1);
    assert_int_equal(atomic_load(&env.effective), 2);
}

static void hung_handler_without_attempts_left_is_dead(void **state)
{
    (void)state;
    struct jobs *jobs = start(&quick);
    int64_t id = enqueue("hung_last");
    await(JOB_DEAD, 1);
    end(jobs);
    struct listing l = list(JOB_DEAD);
    assert_true(slice_starts(find_row(&l, id).error, S("request_timeout: ")));
    arena_free(&l.arena);
    assert_int_equal(atomic_load(&env.refused), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lease_is_renewed_while_a_handler_runs),
        TEST(hung_handler_is_replaced_and_refused),
        TEST(overtaken_handler_changes_nothing),
        TEST(hung_handler_without_attempts_left_is_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
