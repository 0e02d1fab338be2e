/* Order keys, and looking for what is ready without walking through what was. */
#include "kernel/jobs/jobs_take.h"

#include "unit/kernel/jobs/fixture.h"

/* ---- order keys ---- */

static enum err in_line_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    const int *range = ctx;
    struct arena scratch;
    enum err e = OK;
    arena_init(&scratch, 0);
    for (int i = range[0]; e == OK && i < range[1]; i++) {
        struct job_new job = {.kind = i % 3 == 0 ? "wild" : "brief",
                              .order_key = slice_format(&scratch, "line/%d", i % 7),
                              .priority = (int32_t)(i % 5)};
        e = jobs_enqueue(tx, &job, NULL, why);
    }
    arena_free(&scratch);
    return e;
}

static int compare_ids(const void *left, const void *right)
{
    const struct job_row *a = left;
    const struct job_row *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Of each order key in the order of the ids: each ended before the next one, which ended later. */
static void assert_order_kept(int jobs, int lines)
{
    struct listing l = list(JOB_DONE);
    assert_int_equal(l.count, jobs);
    qsort(l.rows, l.count, sizeof(l.rows[0]), compare_ids);
    for (size_t i = (size_t)lines; i < l.count; i++) {
        const struct job_row *before = &l.rows[i - (size_t)lines];
        assert_true(slice_equal(before->order_key, l.rows[i].order_key));
        assert_true(before->finished_usec <= l.rows[i].finished_usec);
    }
    arena_free(&l.arena);
}

/* Jobs that fail and hang, priorities that pull ahead, three runners: the order stays. */
static void jobs_of_one_order_key_run_in_order(void **state)
{
    (void)state;
    enum { JOBS = 210 };
    int range[2] = {0, JOBS / 2};
    assert_int_equal(store_write(fixture.store, in_line_fn, range, NULL), OK);
    struct jobs *runners[3];
    for (int i = 0; i < 3; i++) {
        runners[i] = start(&calm);
    }
    for (int i = JOBS / 2; i < JOBS; i++) {
        range[0] = i;
        range[1] = i + 1;
        assert_int_equal(store_write(fixture.store, in_line_fn, range, NULL), OK);
    }
    await(JOB_DONE, JOBS);
    for (int i = 0; i < 3; i++) {
        end(runners[i]);
    }
    assert_order_kept(JOBS, 7);
    assert_each_once(JOBS);
}

static void dead_and_cancelled_ones_let_the_next_go(void **state)
{
    (void)state;
    struct job_new job = {.kind = "refusing", .order_key = S("one")};
    enqueue_job(job, 1);
    int64_t cancelled = enqueue_job(job, 1);
    job.kind = "nothing";
    int64_t last = enqueue_job(job, 1);
    assert_int_equal(cancel(cancelled), OK);
    struct jobs *jobs = start(&quick);
    await(JOB_DONE, 1);
    end(jobs);
    assert_int_equal(count_in(JOB_DEAD), 1);
    assert_int_equal(count_in(JOB_CANCELLED), 1);
    assert_int_equal(env.ids[atomic_load(&env.recorded) - 1], last);
}

static void the_rest_waits_while_the_first_is_delayed(void **state)
{
    (void)state;
    struct job_new job = {.kind = "nothing", .order_key = S("one"), .delay_usec = 600 * MSEC};
    int64_t first = enqueue_job(job, 1);
    job.delay_usec = 0;
    job.priority = 100;
    enqueue_job(job, 1);
    enqueue("nothing");
    struct jobs *jobs = start(&quick);
    await(JOB_DONE, 3);
    end(jobs);
    assert_int_equal(env.ids[1], first);
}

/* A replayed job is older than those in line, and goes before them; at no time do two run. */
static void a_replayed_job_joins_its_line(void **state)
{
    (void)state;
    int64_t dead = enqueue_job((struct job_new){.kind = "refusing", .order_key = S("one")}, 1);
    struct jobs *jobs = start(&quick);
    await(JOB_DEAD, 1);
    enqueue_job((struct job_new){.kind = "gated", .order_key = S("one")}, 2);
    await(JOB_RUNNING, 1);
    int64_t count = 0;
    assert_int_equal(replay(dead, &count), OK);
    clock_sleep_usec(200 * MSEC);
    assert_int_equal(count_in(JOB_RUNNING), 1);
    assert_int_equal(count_in(JOB_QUEUED), 2);
    atomic_store(&env.gate, true);
    await(JOB_DONE, 2);
    end(jobs);
    assert_int_equal(env.ids[2], dead); /* refused, gated, refused again, gated */
    assert_int_equal(atomic_load(&env.concurrent_max), 1);
}

/* What a transaction leaves that enqueued while the one before it ended unseen. */
static void a_line_that_stands_still_is_moved(void **state)
{
    (void)state;
    enqueue_job((struct job_new){.kind = "nothing", .order_key = S("one")}, 2);
    raw_run(support_pick("UPDATE jobs SET behind = 1", "UPDATE jobs SET behind = true"));
    struct jobs *jobs = start(&quick);
    await(JOB_DONE, 2);
    end(jobs);
    assert_order_kept(2, 1);
}

/* And what two leave that did so at the same time: both look free. */
static void two_that_look_free_do_not_run_together(void **state)
{
    (void)state;
    enqueue_job((struct job_new){.kind = "brief", .order_key = S("one")}, 40);
    raw_run(support_pick("UPDATE jobs SET behind = 0", "UPDATE jobs SET behind = false"));
    struct jobs *a = start(&calm);
    struct jobs *b = start(&calm);
    await(JOB_DONE, 40);
    end(a);
    end(b);
    assert_order_kept(40, 1);
    assert_each_once(40);
}

/* ---- many at once ---- */

struct many {
    const struct job_new *jobs;
    size_t count;
};

static enum err many_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct many *m = ctx;
    return jobs_enqueue_many(tx, m->jobs, m->count, why);
}

static void many_are_enqueued_as_one_by_one(void **state)
{
    (void)state;
    static char text[JOBS_PAYLOAD_MAX + 2];
    memset(text, ' ', sizeof(text));
    const struct job_new jobs[] = {
        {.kind = "nothing", .payload = S("{\"a\":\"\\u0041 \\\"\"}"), .priority = -7},
        {.kind = "nothing", .key = S("k")},
        {.kind = "nothing", .key = S("k")},
        {.kind = "effect", .delay_usec = 3600000 * MSEC},
        {.kind = "nothing", .order_key = S("o")},
        {.kind = "nothing", .order_key = S("o")},
        {.kind = "nothing"},
    };
    struct many m = {.jobs = jobs, .count = 7};
    assert_int_equal(store_write(fixture.store, many_fn, &m, NULL), OK);
    struct listing l = list(JOB_QUEUED);
    assert_int_equal(l.count, 6);
    int behind = 0;
    int delayed = 0;
    int low = 0;
    for (size_t i = 0; i < l.count; i++) {
        behind += l.rows[i].behind;
        delayed += l.rows[i].run_usec > clock_wall_usec() + 1800000 * MSEC;
        low += l.rows[i].priority == -7;
    }
    assert_int_equal(behind, 1);
    assert_int_equal(delayed, 1);
    assert_int_equal(low, 1);
    arena_free(&l.arena);
    const struct job_new long_one = {.kind = "nothing", .payload = slice_of(text, sizeof(text))};
    m = (struct many){.jobs = &long_one, .count = 1};
    assert_int_equal(store_write(fixture.store, many_fn, &m, NULL), ERR_LIMIT);
    m.count = 0;
    assert_int_equal(store_write(fixture.store, many_fn, &m, NULL), OK);
    struct jobs *runner = start(&quick);
    await(JOB_DONE, 5);
    end(runner);
}

/* ---- places ---- */

static void budgets_pause_twenty_times_as_long(void **state)
{
    (void)state;
    struct jobs_budget b = {0};
    int64_t began = clock_mono_usec();
    assert_true(jobs_budget_allows(&b, began));
    clock_sleep_usec(10 * MSEC);
    jobs_budget_spend(&b, began, 0);
    assert_false(jobs_budget_allows(&b, began + 190 * MSEC));
    assert_true(b.from_mono_usec - began >= 210 * MSEC);
    jobs_budget_spend(&b, clock_mono_usec(), 5000 * MSEC);
    assert_false(jobs_budget_allows(&b, clock_mono_usec() + 4000 * MSEC));
}

struct taking {
    struct jobs_taker *taker;
    struct arena *scratch;
};

static enum err take_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct taking *t = ctx;
    store_read_committed(tx);
    return jobs_take(t->taker, tx, t->scratch, why);
}

/* Takes as a dispatcher would, `want` jobs; `whole` looks at everything. */
static size_t take(struct jobs_taker *t, size_t want, bool whole)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    t->want = want;
    t->wall_usec = clock_wall_usec();
    t->mono_usec = clock_mono_usec();
    t->next_due_usec = INT64_MAX;
    t->whole.from_mono_usec = whole ? 0 : INT64_MAX;
    struct taking ctx = {.taker = t, .scratch = &scratch};
    assert_int_equal(store_write(fixture.store, take_fn, &ctx, NULL), OK);
    assert_int_equal(t->looks_at_all, whole);
    jobs_taker_settle(t);
    arena_free(&scratch);
    return t->got;
}

/* What appears behind a place is found by the next look at everything, and by that only. */
static void late_ones_are_found_by_looking_at_everything(void **state)
{
    (void)state;
    struct jobs *jobs = NULL;
    struct jobs_taker t;
    struct arena boot;
    struct arena arenas[16];
    arena_init(&boot, 0);
    assert_int_equal(jobs_new(&jobs, fixture.store, &quick, &table, 1, NULL), OK);
    jobs_taker_init(&t, jobs, &boot);
    for (size_t i = 0; i < 16; i++) {
        arena_init(&arenas[i], 0);
        t.arenas[i] = &arenas[i];
    }
    assert_int_equal(take(&t, 4, true), 0);
    enqueue_job((struct job_new){.kind = "nothing"}, 10);
    assert_int_equal(take(&t, 4, false), 0); /* a kind that it has not seen yet */
    assert_int_equal(take(&t, 4, true), 4);
    assert_int_equal(take(&t, 4, false), 4);
    clock_sleep_usec(100 * MSEC);
    assert_int_equal(take(&t, 16, false), 2);
    int64_t late = enqueue("nothing");
    raw_run(support_pick("UPDATE jobs SET run_at = run_at - 5000000 WHERE state = 1",
                         "UPDATE jobs SET run_at = run_at - interval '5 s' WHERE state = 1"));
    jobs->store = fixture.store;
    enqueue("nothing");
    assert_int_equal(take(&t, 16, false), 1);
    assert_true(t.claimed[0].hold.id > late);
    assert_int_equal(take(&t, 16, true), 1);
    assert_int_equal(t.claimed[0].hold.id, late);
    jobs_free(jobs);
    for (size_t i = 0; i < 16; i++) {
        arena_free(&arenas[i]);
    }
    arena_free(&boot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(jobs_of_one_order_key_run_in_order),
        TEST(dead_and_cancelled_ones_let_the_next_go),
        TEST(the_rest_waits_while_the_first_is_delayed),
        TEST(a_replayed_job_joins_its_line),
        TEST(a_line_that_stands_still_is_moved),
        TEST(two_that_look_free_do_not_run_together),
        TEST(many_are_enqueued_as_one_by_one),
        cmocka_unit_test(budgets_pause_twenty_times_as_long),
        TEST(late_ones_are_found_by_looking_at_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
