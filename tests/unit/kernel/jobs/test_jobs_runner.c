#include "unit/kernel/jobs/fixture.h"

#include <pthread.h>

/* ---- exactly one effect ---- */

static void effect_is_once_under_failures_and_hangs(void **state)
{
    (void)state;
    enum { JOBS = 400 };
    enqueue_job((struct job_new){.kind = "wild"}, JOBS);
    struct jobs *a = start(&quick);
    struct jobs *b = start(&quick);
    await(JOB_DONE, JOBS);
    end(a);
    end(b);
    assert_each_once(JOBS);
    assert_true(atomic_load(&env.runs) > JOBS + JOBS / 10);
    assert_true(atomic_load(&env.refused) > 0); /* hung ones did come back */
}

/* A process with a runner, until it is killed. */
static pid_t spawn_runner(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct why why = {0};
        if (support_store_start(&fixture, &why) != OK) {
            _exit(2);
        }
        struct jobs *jobs = NULL;
        if (jobs_new(&jobs, fixture.store, &quick, &table, 1, &why) != OK ||
            jobs_start(jobs, &why) != OK) {
            _exit(3);
        }
        for (;;) {
            pause();
        }
    }
    return child;
}

static void effect_is_once_when_processes_are_killed(void **state)
{
    (void)state;
    enum { JOBS = 2500, ROUNDS = 25 };
    enqueue_job((struct job_new){.kind = "brief"}, JOBS);
    store_close(fixture.store);
    fixture.store = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        pid_t child = spawn_runner();
        clock_sleep_usec(30 * MSEC + (int64_t)rand_below(150 * MSEC));
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    struct why why = {0};
    assert_int_equal(support_store_start(&fixture, &why), OK);
    struct jobs *jobs = start(&quick);
    await(JOB_DONE, JOBS);
    end(jobs);
    assert_each_once(JOBS);
}

static void job_that_kills_its_process_dies_alone(void **state)
{
    (void)state;
    enqueue_job((struct job_new){.kind = "innocent"}, 6);
    int64_t killer = enqueue("killing");
    enqueue_job((struct job_new){.kind = "innocent"}, 6);
    store_close(fixture.store);
    fixture.store = NULL;
    /* Two attempts, and the first time when nothing was known of it. */
    for (int round = 0; round < 3; round++) {
        pid_t child = spawn_runner();
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    struct why why = {0};
    assert_int_equal(support_store_start(&fixture, &why), OK);
    struct jobs *jobs = start(&quick);
    await(JOB_DEAD, 1);
    await(JOB_DONE, 12);
    end(jobs);
    assert_each_once(12);
    struct listing l = list(JOB_DEAD);
    assert_int_equal(find_row(&l, killer).attempts, 2);
    arena_free(&l.arena);
}

static void suspects_run_one_at_a_time(void **state)
{
    (void)state;
    enqueue_job((struct job_new){.kind = "innocent"}, 5);
    raw_run("UPDATE jobs SET lapses = 1");
    assert_int_equal(count_in(JOB_QUEUED), 5);
    struct listing l = list(JOB_QUEUED);
    assert_int_equal(l.count, 5);
    arena_free(&l.arena);
    struct jobs *jobs = start(&quick);
    await(JOB_DONE, 5);
    end(jobs);
    assert_each_once(5);
    assert_int_equal(atomic_load(&env.concurrent_max), 1);
}

/* ---- stopping ---- */

static void stop_waits_for_handlers_and_gives_the_rest_back(void **state)
{
    (void)state;
    struct jobs_config one = quick;
    one.threads = 1;
    enqueue("long");
    int64_t second = enqueue("long");
    struct jobs *jobs = start(&one);
    await_runs(1);
    end(jobs);
    assert_int_equal(count_in(JOB_DONE), 1);
    assert_int_equal(count_in(JOB_QUEUED), 1);
    struct listing l = list(JOB_QUEUED);
    assert_int_equal(find_row(&l, second).attempts, 0);
    arena_free(&l.arena);
    assert_int_equal(atomic_load(&env.runs), 1);
}

static void *open_gate_later(void *arg)
{
    (void)arg;
    clock_sleep_usec(150 * MSEC);
    atomic_store(&env.gate, true);
    return NULL;
}

static void stop_gives_back_what_was_held_ready(void **state)
{
    (void)state;
    struct jobs_config one = quick;
    one.threads = 1;
    struct jobs *jobs = start(&one);
    enqueue_job((struct job_new){.kind = "nothing"},
                300); /* the runner learns that jobs are quick */
    await(JOB_DONE, 300);
    enqueue_job((struct job_new){.kind = "gated"}, 10);
    await_runs(301);
    assert_true(count_in(JOB_RUNNING) > 1);
    pthread_t opener;
    assert_int_equal(pthread_create(&opener, NULL, open_gate_later, NULL), 0);
    end(jobs);
    assert_int_equal(pthread_join(opener, NULL), 0);
    assert_int_equal(count_in(JOB_DONE), 301);
    assert_int_equal(count_in(JOB_QUEUED), 9);
    struct listing l = list(JOB_QUEUED);
    for (size_t i = 0; i < l.count; i++) {
        assert_int_equal(l.rows[i].attempts, 0);
    }
    arena_free(&l.arena);
}

static void stopping_gives_back_without_an_attempt(void **state)
{
    (void)state;
    int64_t id = enqueue("stopping");
    struct jobs *jobs = start(&quick);
    await_runs(3);
    end(jobs);
    struct listing l = list(JOB_QUEUED);
    assert_int_equal(find_row(&l, id).attempts, 0);
    arena_free(&l.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(effect_is_once_under_failures_and_hangs),
        TEST(effect_is_once_when_processes_are_killed),
        TEST(job_that_kills_its_process_dies_alone),
        TEST(suspects_run_one_at_a_time),
        TEST(stop_waits_for_handlers_and_gives_the_rest_back),
        TEST(stop_gives_back_what_was_held_ready),
        TEST(stopping_gives_back_without_an_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
