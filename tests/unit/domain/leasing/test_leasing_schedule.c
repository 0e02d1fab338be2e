/*
 * When rent is due and how much. Dates are read off a calendar; the seconds beside them are those
 * of `date -u -d DATE +%s`.
 */
#include "domain/leasing/leasing_schedule.h"
#include "unit/test.h"

static void test_dates(void **state)
{
    static const struct {
        uint64_t anchor;
        uint64_t months;
        uint64_t date;
    } rows[] = {
        {1706702400, 0, 1706702400},     /* 2024-01-31T12:00: itself */
        {1706702400, 1, 1709208000},     /* 2024-02-29T12:00, a leap year */
        {1706702400, 2, 1711886400},     /* 2024-03-31T12:00: the 31st again */
        {1706702400, 3, 1714478400},     /* 2024-04-30T12:00 */
        {1706702400, 12, 1738324800},    /* 2025-01-31T12:00 */
        {1706702400, 13, 1740744000},    /* 2025-02-28T12:00 */
        {1675123200, 1, 1677542400},     /* 2023-01-31 -> 2023-02-28 */
        {1709164800, 12, 1740700800},    /* 2024-02-29 -> 2025-02-28 */
        {1709164800, 48, 1835395200},    /* 2024-02-29 -> 2028-02-29 */
        {1701302400, 3, 1709164800},     /* 2023-11-30 -> 2024-02-29 */
        {1701302400, 6, 1717027200},     /* 2023-11-30 -> 2024-05-30 */
        {4105036800, 1, 4107456000},     /* 2100-01-31 -> 2100-02-28: no leap year */
        {949276800, 1, 951782400},       /* 2000-01-31 -> 2000-02-29: one */
        {1703980799, 1, 1706659199},     /* 2023-12-30T23:59:59 -> 2024-01-30T23:59:59 */
        {0, 1, 2678400},                 /* 1970-01-01 -> 1970-02-01 */
        {253399536000, 1, 253402128000}, /* 9999-11-30 -> 9999-12-30 */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t date = leasing_schedule_date(rows[i].anchor, rows[i].months);
        if (date != rows[i].date) {
            fail_msg("row %zu: %llu, not %llu", i, (unsigned long long)date,
                     (unsigned long long)rows[i].date);
        }
    }
}

#define WEEK 604800
#define MONTH 2592000 /* what is signed for one */
#define QUARTER 7776000
#define YEAR 31536000

struct wanted {
    uint64_t start;
    uint64_t end;
    uint64_t amount;
};

static void check(const char *schedule, uint64_t start, uint64_t end, uint64_t rent,
                  uint64_t period, const struct wanted *wanted, size_t count)
{
    const struct leasing_rent r = {.schedule = slice_text(schedule),
                                   .start_sec = start,
                                   .end_sec = end,
                                   .rent = stable_of(u256_from_u64(rent)),
                                   .period_sec = period};
    uint64_t counted = 0;
    assert_int_equal(leasing_schedule_count(&r, &counted, NULL), OK);
    assert_int_equal(counted, count);
    for (size_t i = 0; i < count; i++) {
        struct leasing_instalment made;
        uint64_t amount = 0;
        assert_int_equal(leasing_schedule_at(&r, i, &made, NULL), OK);
        assert_int_equal(u256_to_u64(stable_raw(made.amount), &amount), OK);
        assert_int_equal(made.start_sec, wanted[i].start);
        assert_int_equal(made.end_sec, wanted[i].end);
        assert_int_equal(amount, wanted[i].amount);
    }
}

#define CHECK(schedule, start, end, rent, period, ...)                                             \
    check(schedule, start, end, rent, period, (const struct wanted[]){__VA_ARGS__},                \
          sizeof((const struct wanted[]){__VA_ARGS__}) / sizeof(struct wanted))

static void test_whole_steps(void **state)
{
    /* 2024-01-15 to 2024-04-15: 31, 29 and 31 days, each a month's rent. */
    CHECK("monthly", 1705276800, 1713139200, 1000, MONTH, {1705276800, 1707955200, 1000},
          {1707955200, 1710460800, 1000}, {1710460800, 1713139200, 1000});
    /* .. to 2024-07-15 */
    CHECK("quarterly", 1705276800, 1721001600, 999, QUARTER, {1705276800, 1713139200, 999},
          {1713139200, 1721001600, 999});
    /* The year 2024, which has 366 days. */
    CHECK("annual", 1704067200, 1735689600, 7, YEAR, {1704067200, 1735689600, 7});
    CHECK("upfront", 1705276800, 1713139200, 7, 7862400, {1705276800, 1713139200, 7});
    /* The end of January, and of every month after it. */
    CHECK("monthly", 1706702400, 1714478400, 5, MONTH, {1706702400, 1709208000, 5},
          {1709208000, 1711886400, 5}, {1711886400, 1714478400, 5});
}

static void test_cut_steps(void **state)
{
    /* 2024-02-15 to 2024-02-29: 14 of 29 days, 482.75 */
    CHECK("monthly", 1705276800, 1709164800, 1000, MONTH, {1705276800, 1707955200, 1000},
          {1707955200, 1709164800, 482});
    /* One second of 31 days. */
    CHECK("monthly", 1705276800, 1705276801, 1000, MONTH, {1705276800, 1705276801, 0});
    /* 2024-01-15 to 2025-07-15: 181 of 365 days of the second year, 4958.9 */
    CHECK("annual", 1705276800, 1752537600, 10000, YEAR, {1705276800, 1736899200, 10000},
          {1736899200, 1752537600, 4958});
}

static void test_rent_by_the_second(void **state)
{
    /* 10 a week, paid by the month: 44.28, 85.71 and 130 have accrued. */
    CHECK("monthly", 1705276800, 1713139200, 10, WEEK, {1705276800, 1707955200, 44},
          {1707955200, 1710460800, 41}, {1710460800, 1713139200, 45});
    CHECK("upfront", 1705276800, 1713139200, 10, WEEK, {1705276800, 1713139200, 130});
}

static void test_refuses(void **state)
{
    struct why why;
    uint64_t count = 77;
    struct leasing_instalment i;
    struct leasing_rent r = {.schedule = SLICE_LIT("monthly"),
                             .start_sec = 1705276800, /* 2024-01-15 */
                             .end_sec = 4860950400,   /* 2124-01-15 */
                             .rent = stable_of(u256_from_u64(1)),
                             .period_sec = MONTH};
    assert_int_equal(leasing_schedule_count(&r, &count, &why), OK);
    assert_int_equal(count, LEASING_INSTALMENTS_MAX);
    r.end_sec++;
    assert_int_equal(leasing_schedule_count(&r, &count, &why), ERR_INVALID_FIELD);
    assert_string_equal(why.field, "endDate");
    r.end_sec = r.start_sec;
    assert_int_equal(leasing_schedule_count(&r, &count, &why), ERR_INVALID_FIELD);
    r.end_sec = 1713139200;
    r.schedule = SLICE_LIT("weekly");
    assert_int_equal(leasing_schedule_count(&r, &count, &why), ERR_INVALID_FIELD);
    assert_string_equal(why.field, "paymentSchedule");
    assert_int_equal(count, LEASING_INSTALMENTS_MAX);
    r.schedule = SLICE_LIT("monthly");
    r.rent = stable_of(U256_MAX);
    r.period_sec = 1;
    assert_int_equal(leasing_schedule_at(&r, 0, &i, &why), ERR_AMOUNT_OVERFLOW);
    assert_string_equal(why.field, "paymentAmount");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),     cmocka_unit_test(test_whole_steps),
        cmocka_unit_test(test_cut_steps), cmocka_unit_test(test_rent_by_the_second),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
