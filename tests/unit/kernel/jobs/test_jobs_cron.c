#include "kernel/jobs/jobs_cron.h"

#include "unit/test.h"

#define MINUTE (60ll * USEC_PER_SEC)

static int64_t at(const char *text)
{
    int64_t usec = 0;
    assert_int_equal(clock_parse(slice_text(text), &usec), OK);
    return usec;
}

static struct jobs_cron cron_of(const char *text)
{
    struct jobs_cron cron;
    struct why why = {0};
    enum err e = jobs_cron_parse(slice_text(text), &cron, &why);
    if (e != OK) {
        fail_msg("%s: %s", text, why_text(&why, e));
    }
    return cron;
}

/* By hand, with a calendar. */
static const struct {
    const char *cron;
    const char *now;
    const char *last; /* at or before */
    const char *next; /* after */
} instants[] = {
    {"* * * * *", "2026-11-27T17:30:59Z", "2026-11-27T17:30:00Z", "2026-11-27T17:31:00Z"},
    {"*/60 * * * *", "2026-11-27T17:30:00Z", "2026-11-27T17:00:00Z", "2026-11-27T18:00:00Z"},
    {"0 */6 * * *", "2026-11-27T18:00:00Z", "2026-11-27T18:00:00Z", "2026-11-28T00:00:00Z"},
    {"0 */6 * * *", "2026-11-27T17:59:59Z", "2026-11-27T12:00:00Z", "2026-11-27T18:00:00Z"},
    {"*/15 * * * *", "2026-12-31T23:59:00Z", "2026-12-31T23:45:00Z", "2027-01-01T00:00:00Z"},
    {"0 0 * * *", "2026-11-27T00:00:00Z", "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z"},
    {"*/5 * * * *", "2026-11-27T17:04:59Z", "2026-11-27T17:00:00Z", "2026-11-27T17:05:00Z"},
    {"*/10 * * * *", "2026-11-27T17:50:00Z", "2026-11-27T17:50:00Z", "2026-11-27T18:00:00Z"},
    {"0 3 * * *", "2026-03-01T02:59:00Z", "2026-02-28T03:00:00Z", "2026-03-01T03:00:00Z"},
    /* 29 November 2026 is a Sunday. */
    {"0 3 * * 0", "2026-11-27T17:00:00Z", "2026-11-22T03:00:00Z", "2026-11-29T03:00:00Z"},
    {"0 3 * * 7", "2026-11-27T17:00:00Z", "2026-11-22T03:00:00Z", "2026-11-29T03:00:00Z"},
    {"*/30 * * * *", "2026-11-27T17:29:00Z", "2026-11-27T17:00:00Z", "2026-11-27T17:30:00Z"},
    /* Ends of months. */
    {"59 23 31 * *", "2026-11-27T00:00:00Z", "2026-10-31T23:59:00Z", "2026-12-31T23:59:00Z"},
    {"0 0 30 * *", "2027-02-01T00:00:00Z", "2027-01-30T00:00:00Z", "2027-03-30T00:00:00Z"},
    {"0 0 29 2 *", "2026-11-27T00:00:00Z", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"},
    /* 2000 was a leap year, 2100 is none. */
    {"0 0 29 2 *", "2000-03-01T00:00:00Z", "2000-02-29T00:00:00Z", "2004-02-29T00:00:00Z"},
    {"0 0 29 2 *", "2096-03-01T00:00:00Z", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"},
    /* Either day: the 13th, or a Friday. 27 November 2026 is a Friday. */
    {"0 12 13 * 5", "2026-11-27T12:00:00Z", "2026-11-27T12:00:00Z", "2026-12-04T12:00:00Z"},
    {"0 12 13 * 5", "2026-12-12T00:00:00Z", "2026-12-11T12:00:00Z", "2026-12-13T12:00:00Z"},
    /* A day that begins with a star restricts nothing: Mondays of odd date. 30 November 2026 is a
     * Monday, the 7th, 14th, 21st and 28th of December too. */
    {"0 0 */2 * 1", "2026-11-24T00:00:00Z", "2026-11-23T00:00:00Z", "2026-12-07T00:00:00Z"},
    {"0 0 */2 * 1", "2026-12-07T00:00:00Z", "2026-12-07T00:00:00Z", "2026-12-21T00:00:00Z"},
    /* Lists, ranges, steps of ranges. */
    {"5,35 8-10 * * 1-5", "2026-11-27T10:35:00Z", "2026-11-27T10:35:00Z", "2026-11-30T08:05:00Z"},
    {"10-40/15 0 1 1,7 *", "2026-07-01T00:25:00Z", "2026-07-01T00:25:00Z", "2026-07-01T00:40:00Z"},
    {"10-40/15 0 1 1,7 *", "2026-07-01T00:40:00Z", "2026-07-01T00:40:00Z", "2027-01-01T00:10:00Z"},
    {"  7\t0  1  1  * ", "1970-01-01T00:06:00Z", NULL, "1970-01-01T00:07:00Z"},
};

static void instants_are_those_of_the_calendar(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(instants) / sizeof(instants[0]); i++) {
        struct jobs_cron cron = cron_of(instants[i].cron);
        int64_t now = at(instants[i].now);
        if (instants[i].last != NULL) {
            assert_int_equal(jobs_cron_last(&cron, now) * MINUTE, at(instants[i].last));
        }
        assert_int_equal(jobs_cron_next(&cron, now) * MINUTE, at(instants[i].next));
    }
}

/* 29 February is a Monday in 2044 only, within 28 years of 2016 (and 2072 follows). */
static void rare_days_are_found(void **state)
{
    (void)state;
    struct jobs_cron cron = cron_of("0 0 29 2 *");
    cron.weekdays = 1u << 1;
    cron.any_day = true;
    cron.any_weekday = true;
    assert_int_equal(jobs_cron_last(&cron, at("2020-01-01T00:00:00Z")) * MINUTE,
                     at("2016-02-29T00:00:00Z"));
    assert_int_equal(jobs_cron_next(&cron, at("2020-01-01T00:00:00Z")) * MINUTE,
                     at("2044-02-29T00:00:00Z"));
}

static void last_and_next_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(instants) / sizeof(instants[0]); i++) {
        struct jobs_cron cron = cron_of(instants[i].cron);
        int64_t now = at("2026-01-01T00:00:00Z");
        for (int step = 0; step < 50; step++) {
            int64_t next = jobs_cron_next(&cron, now);
            assert_true(next * MINUTE > now);
            assert_int_equal(jobs_cron_last(&cron, next * MINUTE), next);
            assert_int_equal(jobs_cron_last(&cron, next * MINUTE + MINUTE - 1), next);
            assert_true(jobs_cron_last(&cron, next * MINUTE - 1) < next);
            now = next * MINUTE;
        }
    }
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 0 *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "*/1000 * * * *",
        "5/2 * * * *",
        "9-5 * * * *",
        "1,,2 * * * *",
        "1, * * * *",
        ",1 * * * *",
        "- * * * *",
        "1- * * * *",
        "-1 * * * *",
        "+1 * * * *",
        "1.5 * * * *",
        "a * * * *",
        "** * * * *",
        "*/ * * * *",
        "@daily",
        "* * * jan *",
        "0000000000000000000001 * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct jobs_cron cron = {.minutes = 77};
        struct why why = {0};
        if (jobs_cron_parse(slice_text(bad[i]), &cron, &why) != ERR_CONFIG) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
        assert_int_equal(cron.minutes, 77);
        assert_true(strlen(why_text(&why, ERR_CONFIG)) > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_are_those_of_the_calendar),
        cmocka_unit_test(rare_days_are_found),
        cmocka_unit_test(last_and_next_agree),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
