#include "unit/kernel/jobs/fixture.h"

#include "kernel/jobs/jobs_store.h"

#define MINUTE (60000 * MSEC)
#define HOUR (60 * MINUTE)

static int64_t at(const char *text)
{
    int64_t usec = 0;
    assert_int_equal(clock_parse(slice_text(text), &usec), OK);
    return usec;
}

struct firing {
    const struct jobs_timetable *timetable;
    int64_t now_usec;
    bool fired;
};

static enum err fire_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct firing *f = ctx;
    return jobs_store_cron(tx, f->timetable, f->now_usec, &f->fired, why);
}

static bool fires(const struct jobs_timetable *t, const char *now)
{
    struct firing f = {.timetable = t, .now_usec = at(now)};
    assert_int_equal(store_write(fixture.store, fire_fn, &f, NULL), OK);
    return f.fired;
}

static struct jobs_timetable timetable(const struct job_cron *row)
{
    struct jobs_timetable t;
    assert_int_equal(jobs_timetable_make(&t, row, true, NULL), OK);
    return t;
}

static const struct job_cron daily = {
    .name = "daily", .kind = "nothing", .cron = "0 3 * * *", .doc = "Test."};

static void an_expression_fires_once_a_slot(void **state)
{
    (void)state;
    struct jobs_timetable t = timetable(&daily);
    assert_false(fires(&t, "2026-11-27T17:00:00Z")); /* never seen: waits for its next slot */
    assert_false(fires(&t, "2026-11-28T02:59:59Z"));
    assert_true(fires(&t, "2026-11-28T03:00:00Z"));
    assert_false(fires(&t, "2026-11-28T03:00:01Z"));
    assert_false(fires(&t, "2026-11-29T02:59:59Z"));
    assert_true(fires(&t, "2026-12-04T12:00:00Z")); /* six slots late: one job */
    assert_false(fires(&t, "2026-12-04T12:00:01Z"));
    struct listing l = list((enum job_state)0);
    assert_int_equal(l.count, 2);
    assert_true(slice_starts(l.rows[0].key, S("cron/daily/")));
    arena_free(&l.arena);
    assert_int_equal(jobs_timetable_next_usec(&t, at("2026-12-04T12:00:00Z")),
                     at("2026-12-05T03:00:00Z"));
    assert_int_equal(
        jobs_timetable_slot_usec(&t, jobs_timetable_slot(&t, at("2026-12-04T12:00:00Z"))),
        at("2026-12-04T03:00:00Z"));
}

/* The clock was an hour ahead when it fired, and is put right: it fires when the time comes. */
static void a_clock_put_back_does_not_silence_an_expression(void **state)
{
    (void)state;
    struct jobs_timetable t = timetable(&daily);
    assert_false(fires(&t, "2026-11-27T17:00:00Z"));
    assert_true(fires(&t, "2026-11-28T03:30:00Z"));
    assert_false(fires(&t, "2026-11-28T02:31:00Z"));
    assert_true(fires(&t, "2026-11-28T03:00:00Z"));
    assert_true(fires(&t, "2026-11-29T03:00:00Z"));
}

/* A little back is another machine's clock, not a new day. */
static void small_differences_of_clocks_fire_nothing(void **state)
{
    (void)state;
    struct jobs_timetable t = timetable(&daily);
    assert_false(fires(&t, "2026-11-27T17:00:00Z"));
    assert_true(fires(&t, "2026-11-28T03:00:00Z"));
    assert_false(fires(&t, "2026-11-28T02:59:58Z"));
    assert_false(fires(&t, "2026-11-28T03:00:00Z"));
}

static void another_expression_begins_anew(void **state)
{
    (void)state;
    static const struct job_cron often = {
        .name = "daily", .kind = "nothing", .cron = "*/10 * * * *", .doc = "Test."};
    static const struct job_cron interval = {
        .name = "daily", .kind = "nothing", .every_usec = HOUR, .doc = "Test."};
    struct jobs_timetable t = timetable(&daily);
    struct jobs_timetable u = timetable(&often);
    struct jobs_timetable v = timetable(&interval);
    assert_false(fires(&t, "2026-11-27T17:00:00Z"));
    assert_false(fires(&u, "2026-11-27T17:05:00Z"));
    assert_true(fires(&u, "2026-11-27T17:10:00Z"));
    assert_false(fires(&v, "2026-11-27T17:10:00Z"));
    assert_false(fires(&v, "2026-11-27T17:59:59Z"));
    assert_true(fires(&v, "2026-11-27T18:00:00Z"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_expression_fires_once_a_slot),
        TEST(a_clock_put_back_does_not_silence_an_expression),
        TEST(small_differences_of_clocks_fire_nothing),
        TEST(another_expression_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
