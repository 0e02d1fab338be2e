#include "kernel/backup/backup.h"
#include "kernel/base/clock.h"
#include "unit/test.h"

#define DAY (86400ll * USEC_PER_SEC)

static int64_t at(const char *text)
{
    int64_t usec = 0;
    assert_int_equal(clock_parse(slice_text(text), &usec), OK);
    return usec;
}

/* Daily at three for a year, looked at every day as the job does: never more than it should be. */
static void test_a_year_of_nights(void **state)
{
    int64_t kept[400];
    bool keep[400];
    size_t count = 0;
    int64_t first = at("2026-01-01T03:00:00Z"); /* a Thursday */
    for (int day = 0; day < 365; day++) {
        int64_t now = first + day * DAY;
        kept[count++] = now;
        backup_retention(kept, count, now, 30 * DAY, 90 * DAY, keep);
        size_t left = 0;
        for (size_t i = 0; i < count; i++) {
            if (keep[i]) {
                kept[left++] = kept[i];
            }
        }
        count = left;
    }
    /* 30 nights; before them Sundays that are younger than 90 days: calendar of 2026. */
    assert_int_equal(kept[count - 1], at("2026-12-31T03:00:00Z"));
    assert_int_equal(kept[count - 30], at("2026-12-02T03:00:00Z"));
    static const char *const sundays[] = {
        "2026-10-04T03:00:00Z", "2026-10-11T03:00:00Z", "2026-10-18T03:00:00Z",
        "2026-10-25T03:00:00Z", "2026-11-01T03:00:00Z", "2026-11-08T03:00:00Z",
        "2026-11-15T03:00:00Z", "2026-11-22T03:00:00Z", "2026-11-29T03:00:00Z",
    };
    size_t weeks = sizeof(sundays) / sizeof(sundays[0]);
    assert_int_equal(count, 30 + weeks);
    for (size_t i = 0; i < weeks; i++) {
        assert_int_equal(kept[i], at(sundays[i]));
    }
}

static void test_the_newest_stays_however_old(void **state)
{
    int64_t moments[] = {at("2020-01-01T00:00:00Z"), at("2020-06-01T00:00:00Z")};
    bool keep[2];
    backup_retention(moments, 2, at("2026-01-01T00:00:00Z"), 30 * DAY, 90 * DAY, keep);
    assert_false(keep[0]);
    assert_true(keep[1]);
    backup_retention(moments, 0, at("2026-01-01T00:00:00Z"), 30 * DAY, 90 * DAY, keep);
}

static void test_a_backup_of_the_future_stays(void **state)
{
    int64_t moments[] = {at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z")};
    bool keep[2] = {false, false};
    backup_retention(moments, 2, at("2026-01-01T00:00:00Z"), 30 * DAY, 90 * DAY, keep);
    assert_true(keep[0] && keep[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_year_of_nights),
        cmocka_unit_test(test_the_newest_stays_however_old),
        cmocka_unit_test(test_a_backup_of_the_future_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
