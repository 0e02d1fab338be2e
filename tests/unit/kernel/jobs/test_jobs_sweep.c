#include "unit/kernel/jobs/fixture.h"

/* ---- sweeping ---- */

static void sweep_forgets_old_ends_only(void **state)
{
    (void)state;
    struct jobs *jobs = start(&quick);
    enqueue_job((struct job_new){.kind = "nothing"}, 2100);
    enqueue("refusing");
    await(JOB_DONE, 2100);
    await(JOB_DEAD, 1);
    end(jobs);
    raw_run(support_pick("UPDATE jobs SET finished = finished - 7200000000 WHERE id <> 7",
                         "UPDATE jobs SET finished = finished - interval '2h' WHERE id <> 7"));
    int64_t last = enqueue("jobs.sweep");
    jobs = start(&quick);
    await(JOB_DEAD, 0);
    await(JOB_DONE, 2);
    end(jobs);
    struct listing l = list(JOB_DONE);
    find_row(&l, 7);
    find_row(&l, last);
    arena_free(&l.arena);
    /* The newest number is never given twice, even when its row is old. */
    raw_run(support_pick("UPDATE jobs SET finished = finished - 7200000000",
                         "UPDATE jobs SET finished = finished - interval '2h'"));
    jobs = start(&quick);
    int64_t next = enqueue("jobs.sweep");
    await(JOB_DONE, 1);
    end(jobs);
    assert_int_equal(next, last + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sweep_forgets_old_ends_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
