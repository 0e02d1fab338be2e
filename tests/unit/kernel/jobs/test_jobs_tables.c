#include "unit/kernel/jobs/fixture.h"

static enum err try_table(const struct job_table *t, struct why *why)
{
    struct jobs *jobs = NULL;
    enum err e = jobs_new(&jobs, NULL, &quick, t, 1, why);
    jobs_free(jobs);
    return e;
}

static void assert_refused(struct job_table t, const char *sentence)
{
    struct why why = {0};
    assert_int_equal(try_table(&t, &why), ERR_CONFIG);
    assert_string_equal(why_text(&why, ERR_CONFIG), sentence);
}

static void doubles_and_unknowns_stop_the_start(void **state)
{
    (void)state;
    static const struct job_kind twice[] = {KIND("same", run_nothing, 1, MSEC),
                                            KIND("same", run_effect, 1, MSEC)};
    static const struct job_queue two[] = {{.name = "test", .doc = "Test."},
                                           {.name = "test", .rate = 1, .rate_usec = 1, .doc = "T"}};
    static const struct job_queue halves[] = {{.name = "test", .rate = 5, .doc = "Test."}};
    static const struct job_cron lost[] = {{.name = "x", .kind = "y", .every_usec = 1}};
    static const struct job_cron both[] = {
        {.name = "x", .kind = "nothing", .every_usec = 1, .cron = "* * * * *"}};
    static const struct job_cron never[] = {{.name = "x", .kind = "nothing", .cron = "0 0 30 2 *"}};
    static const struct job_cron same[] = {{.name = "x", .kind = "nothing", .every_usec = 1},
                                           {.name = "x", .kind = "effect", .every_usec = 1}};
    struct job_table t = table;
    t.kinds = twice;
    t.kind_count = 2;
    assert_refused(t, "Two job kinds have the name same.");
    t = table;
    t.queue_count = 0;
    assert_refused(t, "The job kind effect names the queue test, which is no row.");
    t = table;
    t.queues = two;
    t.queue_count = 2;
    assert_refused(t, "Two queues have the name test.");
    t = table;
    t.queues = halves;
    assert_refused(t, "The queue test needs a rate of 1 to 1000000 and a window, or neither.");
    t = table;
    t.crons = lost;
    t.cron_count = 1;
    assert_refused(t, "The schedule x names the job kind y, which is no row.");
    t.crons = both;
    assert_refused(t, "The schedule x needs either an interval or an expression.");
    t.crons = never;
    assert_refused(t, "The schedule x: No day of the calendar fits this schedule.");
    t.crons = same;
    t.cron_count = 2;
    assert_refused(t, "Two schedules have the name x.");
}

static void kinds_take_over_what_their_queue_says(void **state)
{
    (void)state;
    static const struct job_queue q[] = {{.name = "q",
                                          .attempts_max = 4,
                                          .backoff = JOB_BACKOFF_FIXED,
                                          .backoff_usec = 10 * MSEC,
                                          .doc = "Test."},
                                         {.name = "once", .doc = "Test."}};
    static const struct job_kind k[] = {{.name = "four",
                                         .queue = "q",
                                         .handler = run_failing_while_gated,
                                         .timeout_usec = 5000 * MSEC,
                                         .doc = "Test."},
                                        {.name = "one",
                                         .queue = "once",
                                         .handler = run_failing_while_gated,
                                         .timeout_usec = 5000 * MSEC,
                                         .doc = "Test."}};
    const struct job_table t = {.queues = q, .queue_count = 2, .kinds = k, .kind_count = 2};
    int64_t four = enqueue("four");
    int64_t one = enqueue("one");
    struct jobs *jobs = start_table(&quick, &t);
    await(JOB_DEAD, 2);
    end(jobs);
    struct listing l = list(JOB_DEAD);
    assert_int_equal(find_row(&l, four).attempts, 4);
    assert_int_equal(find_row(&l, one).attempts, 1);
    arena_free(&l.arena);
}

static void a_schedule_may_wait_for_its_kind(void **state)
{
    (void)state;
    static const struct job_cron waiting[] = {{.name = "later",
                                               .kind = "not.yet",
                                               .every_usec = 50 * MSEC,
                                               .awaits = "tomorrow",
                                               .doc = "Test."}};
    struct job_table t = table;
    t.crons = waiting;
    t.cron_count = 1;
    struct jobs *jobs = start_table(&quick, &t);
    clock_sleep_usec(300 * MSEC);
    end(jobs);
    struct listing l = list((enum job_state)0);
    assert_int_equal(l.count, 0);
    arena_free(&l.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(doubles_and_unknowns_stop_the_start),
        TEST(kinds_take_over_what_their_queue_says),
        TEST(a_schedule_may_wait_for_its_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
