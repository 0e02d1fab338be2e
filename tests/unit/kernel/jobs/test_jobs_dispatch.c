#include "unit/kernel/jobs/fixture.h"

/* ---- order and time ---- */

static void order_is_priority_then_age(void **state)
{
    (void)state;
    enum { JOBS = 60 };
    static const int32_t priorities[] = {0, 5, -3, 100, 5};
    int64_t ids[JOBS];
    for (size_t i = 0; i < JOBS; i++) {
        ids[i] = enqueue_job((struct job_new){.kind = "nothing", .priority = priorities[i % 5]}, 1);
    }
    for (size_t i = 1; i < JOBS; i++) {
        assert_true(ids[i] > ids[i - 1]);
    }
    for (uint64_t batch = 1; batch <= 16; batch += 15) {
        struct jobs_config one = quick;
        one.threads = 1;
        one.claim_batch = batch;
        struct jobs *jobs = start(&one);
        await(JOB_DONE, batch == 1 ? JOBS : 2 * JOBS);
        end(jobs);
        if (batch == 1) {
            for (size_t i = 0; i < JOBS; i++) {
                enqueue_job((struct job_new){.kind = "nothing", .priority = priorities[i % 5]}, 1);
            }
        }
    }
    for (size_t run = 0; run < 2; run++) {
        static const int32_t falling[] = {100, 5, 0, -3};
        const int64_t *got = env.ids + run * JOBS;
        size_t at = 0;
        for (size_t p = 0; p < 4; p++) {
            int64_t last = 0;
            size_t share = falling[p] == 5 ? 2 * JOBS / 5 : JOBS / 5;
            for (size_t i = 0; i < share; i++, at++) {
                size_t place = (size_t)(got[at] - ids[0]) % JOBS;
                assert_int_equal(priorities[place % 5], falling[p]);
                assert_true(got[at] > last);
                last = got[at];
            }
        }
    }
}

static void kinds_do_not_starve_each_other(void **state)
{
    (void)state;
    struct jobs_config one = quick;
    one.threads = 1;
    enqueue_job((struct job_new){.kind = "nothing"}, 200);
    int64_t late = enqueue("effect");
    enqueue_job((struct job_new){.kind = "nothing"}, 200);
    struct jobs *jobs = start(&one);
    await(JOB_DONE, 401);
    end(jobs);
    int place = 0;
    while (env.ids[place] != late) {
        place++;
    }
    assert_in_range(place, 150, 250);
}

static void delayed_job_waits_and_comes_in_time(void **state)
{
    (void)state;
    struct jobs_config lazy = quick;
    lazy.poll_usec = 20000 * MSEC;
    lazy.lease_usec = 20000 * MSEC;
    struct jobs *jobs = start(&lazy);
    int64_t asked = clock_mono_usec();
    enqueue_job((struct job_new){.kind = "nothing", .delay_usec = 300 * MSEC}, 1);
    await_runs(1);
    int64_t waited = env.at_usec[0] - asked;
    assert_true(waited >= 299 * MSEC);
    assert_true(waited < 2000 * MSEC); /* by its own time, not by the poll */
    end(jobs);
}

static void enqueue_wakes_the_runner(void **state)
{
    (void)state;
    struct jobs_config lazy = quick;
    lazy.poll_usec = 20000 * MSEC;
    lazy.lease_usec = 20000 * MSEC;
    struct jobs *jobs = start(&lazy);
    clock_sleep_usec(50 * MSEC);
    for (int i = 0; i < 20; i++) {
        int64_t asked = clock_mono_usec();
        enqueue("nothing");
        await_runs(i + 1);
        assert_true(clock_mono_usec() - asked < 2000 * MSEC);
    }
    end(jobs);
}

static void many_threads_work_at_once(void **state)
{
    (void)state;
    struct jobs *jobs = start(&quick);
    enqueue_job((struct job_new){.kind = "gated"}, 9);
    await_runs(4);
    clock_sleep_usec(100 * MSEC);
    assert_int_equal(atomic_load(&env.concurrent_max), 4);
    assert_int_equal(count_in(JOB_QUEUED), 5); /* slow ones are left to others */
    atomic_store(&env.gate, true);
    await(JOB_DONE, 9);
    end(jobs);
    assert_int_equal(atomic_load(&env.runs), 9);
}

/* ---- schedules ---- */

static int compare_keys(const void *left, const void *right)
{
    const struct job_row *a = left;
    const struct job_row *b = right;
    return slice_compare(a->key, b->key);
}

static void schedule_fires_once_a_slot(void **state)
{
    (void)state;
    int64_t began = clock_wall_usec();
    struct jobs *a = start_table(&quick, &ticking);
    struct jobs *b = start_table(&quick, &ticking);
    clock_sleep_usec(1500 * MSEC);
    end(a);
    end(b);
    int64_t slots = clock_wall_usec() / (100 * MSEC) - began / (100 * MSEC);
    struct listing l = list((enum job_state)0);
    qsort(l.rows, l.count, sizeof(l.rows[0]), compare_keys);
    for (size_t i = 0; i < l.count; i++) {
        assert_true(slice_starts(l.rows[i].key, S("cron/test.tick/")));
        assert_true(i == 0 || !slice_equal(l.rows[i].key, l.rows[i - 1].key));
    }
    assert_true((int64_t)l.count <= slots);
    assert_true(l.count >= 5); /* a busy machine misses some, never doubles one */
    arena_free(&l.arena);
}

static void missed_slots_are_made_up_for_by_one_job(void **state)
{
    (void)state;
    static const struct job_cron hourly[] = {
        {.name = "test.hour", .kind = "nothing", .every_usec = 3600000 * MSEC, .doc = "Test."}};
    struct job_table hours = ticking;
    hours.crons = hourly;
    struct jobs *jobs = start_table(&quick, &hours);
    clock_sleep_usec(100 * MSEC);
    end(jobs);
    assert_int_equal(atomic_load(&env.runs), 0); /* the first slot is only remembered */
    raw_run("UPDATE job_crons SET slot = slot - 5 WHERE name = 'test.hour'");
    jobs = start_table(&quick, &hours);
    await_runs(1);
    clock_sleep_usec(100 * MSEC);
    end(jobs);
    assert_int_equal(atomic_load(&env.runs), 1);
}

/* ---- the clock ---- */

static _Atomic int64_t wall_shift;

static int64_t shifted_wall(void *ctx)
{
    (void)ctx;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000 + atomic_load(&wall_shift);
}

static int64_t true_mono(void *ctx)
{
    (void)ctx;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
}

static const struct clock_source shifted = {.wall_usec = shifted_wall, .mono_usec = true_mono};
#define HOUR (3600000 * MSEC)

static void clock_put_back_keeps_nobody_waiting(void **state)
{
    (void)state;
    atomic_store(&wall_shift, 0);
    clock_set_source(&shifted);
    struct jobs *jobs = start(&quick);
    enqueue("nothing");
    await(JOB_DONE, 1);
    int64_t asked = clock_mono_usec();
    enqueue_job((struct job_new){.kind = "nothing", .delay_usec = 400 * MSEC}, 1);
    atomic_store(&wall_shift, -HOUR);
    enqueue("nothing");
    await_runs(3);
    assert_true(clock_mono_usec() - asked < 10000 * MSEC);
    end(jobs);
    clock_set_source(NULL);
    assert_int_equal(atomic_load(&env.runs), 3);
}

static void clock_put_back_makes_no_lease_immortal(void **state)
{
    (void)state;
    int64_t id = enqueue("effect");
    /* What a process leaves that died just before the clock went back an hour. */
    raw_run(support_pick("UPDATE jobs SET state = 2, attempts = 1, lease_token = 1, "
                         "lease_owner = 'gone', lease_until = run_at + 3600000000",
                         "UPDATE jobs SET state = 2, attempts = 1, lease_token = 1, "
                         "lease_owner = 'gone', lease_until = run_at + interval '1h'"));
    struct jobs *jobs = start(&quick);
    await(JOB_DONE, 1);
    end(jobs);
    assert_each_once(1);
    struct listing l = list(JOB_DONE);
    assert_int_equal(find_row(&l, id).attempts, 1);
    arena_free(&l.arena);
}

/*
 * The clock jumps while jobs run, over three looks for lapsed leases. Long leases, because a
 * machine that stands still for the length of one loses it by right.
 */
static void clock_put_forward_takes_no_living_lease(void **state)
{
    (void)state;
    struct jobs_config patient = calm;
    patient.lease_usec = 4000 * MSEC;
    atomic_store(&wall_shift, 0);
    clock_set_source(&shifted);
    struct jobs *a = start(&patient);
    struct jobs *b = start(&patient);
    int64_t last = enqueue_job((struct job_new){.kind = "gated"}, 3);
    await_runs(3);
    for (int i = 1; i <= 32; i++) {
        atomic_store(&wall_shift, i * HOUR);
        clock_sleep_usec(100 * MSEC);
    }
    atomic_store(&env.gate, true);
    end(a);
    end(b);
    clock_set_source(NULL);
    struct listing l = list(JOB_DONE); /* sweeps ran, too */
    for (int64_t id = last - 2; id <= last; id++) {
        assert_int_equal(find_row(&l, id).attempts, 1);
    }
    arena_free(&l.arena);
    assert_int_equal(atomic_load(&env.runs), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(order_is_priority_then_age),
        TEST(kinds_do_not_starve_each_other),
        TEST(delayed_job_waits_and_comes_in_time),
        TEST(enqueue_wakes_the_runner),
        TEST(many_threads_work_at_once),
        TEST(schedule_fires_once_a_slot),
        TEST(missed_slots_are_made_up_for_by_one_job),
        TEST(clock_put_back_keeps_nobody_waiting),
        TEST(clock_put_back_makes_no_lease_immortal),
        TEST(clock_put_forward_takes_no_living_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
