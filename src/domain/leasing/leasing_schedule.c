#include "domain/leasing/leasing_schedule.h"

#include "domain/leasing/leasing_terms.h"
#include "kernel/base/check.h"

#define SEC_PER_DAY UINT64_C(86400)
#define MONTHS_PER_YEAR 12

/* ---- the Gregorian calendar ---- */

struct date {
    uint64_t year;
    uint64_t month; /* from 0 */
    uint64_t day;   /* from 0 */
};

static bool is_leap(uint64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint64_t days_in_month(uint64_t year, uint64_t month)
{
    static const uint8_t days[MONTHS_PER_YEAR] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 1 && is_leap(year) ? 29 : days[month];
}

/* Days from 1970-01-01 to the first of January of a year; 719162 are those from the year 1. */
static uint64_t days_before(uint64_t year)
{
    uint64_t y = year - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

static struct date date_of(uint64_t days)
{
    struct date d = {.year = 1970 + days / 365};
    while (days_before(d.year) > days) {
        d.year--;
    }
    d.day = days - days_before(d.year);
    while (d.day >= days_in_month(d.year, d.month)) {
        d.day -= days_in_month(d.year, d.month++);
    }
    return d;
}

static uint64_t days_of(const struct date *d)
{
    uint64_t days = days_before(d->year) + d->day;
    for (uint64_t month = 0; month < d->month; month++) {
        days += days_in_month(d->year, month);
    }
    return days;
}

uint64_t leasing_schedule_date(uint64_t anchor_sec, uint64_t months)
{
    struct date d = date_of(anchor_sec / SEC_PER_DAY);
    uint64_t month = d.month + months;
    d.year += month / MONTHS_PER_YEAR;
    d.month = month % MONTHS_PER_YEAR;
    uint64_t last = days_in_month(d.year, d.month) - 1;
    d.day = d.day < last ? d.day : last;
    return days_of(&d) * SEC_PER_DAY + anchor_sec % SEC_PER_DAY;
}

/* ---- instalments ---- */

/* Months of a step; 0 for the whole term. The name is one that leasing_schedule_period takes. */
static uint64_t step_months(struct slice schedule)
{
    return slice_equal_text(schedule, "monthly")     ? 1
           : slice_equal_text(schedule, "quarterly") ? 3
           : slice_equal_text(schedule, "annual")    ? MONTHS_PER_YEAR
                                                     : 0;
}

/* Where step `index` begins, which is beyond the end for the one after the last. */
static uint64_t step_start(const struct leasing_rent *rent, uint64_t index)
{
    uint64_t months = step_months(rent->schedule);
    if (months == 0) {
        return index == 0 ? rent->start_sec : rent->end_sec;
    }
    return leasing_schedule_date(rent->start_sec, index * months);
}

enum err leasing_schedule_count(const struct leasing_rent *rent, uint64_t *out, struct why *why)
{
    uint64_t period = 0;
    enum err e =
        leasing_schedule_period(rent->schedule, rent->start_sec, rent->end_sec, &period, why);
    uint64_t count = 1;
    while (e == OK && step_start(rent, count) < rent->end_sec) {
        if (count++ == LEASING_INSTALMENTS_MAX) {
            e = why_set(why, ERR_INVALID_FIELD, "endDate",
                        "endDate must be so that there are at most %d instalments of rent.",
                        LEASING_INSTALMENTS_MAX);
        }
    }
    if (e == OK) {
        *out = count;
    }
    return e;
}

/* What has accrued by the second after so many of them. */
static enum err accrued(const struct leasing_rent *rent, uint64_t sec, struct u256 *out)
{
    return u256_mul_div(stable_raw(rent->rent), u256_from_u64(sec), u256_from_u64(rent->period_sec),
                        out, NULL);
}

static enum err amount_by_second(const struct leasing_rent *rent,
                                 const struct leasing_instalment *i, struct u256 *out)
{
    struct u256 before = U256_ZERO;
    struct u256 after = U256_ZERO;
    enum err e = accrued(rent, i->start_sec - rent->start_sec, &before);
    if (e == OK) {
        e = accrued(rent, i->end_sec - rent->start_sec, &after);
    }
    return e == OK ? u256_sub(after, before, out) : e;
}

enum err leasing_schedule_at(const struct leasing_rent *rent, uint64_t index,
                             struct leasing_instalment *out, struct why *why)
{
    uint64_t period = 0;
    struct u256 amount = stable_raw(rent->rent);
    enum err e =
        leasing_schedule_period(rent->schedule, rent->start_sec, rent->end_sec, &period, why);
    if (e != OK) {
        return e;
    }
    ASSERT(rent->period_sec > 0);
    uint64_t next = step_start(rent, index + 1);
    struct leasing_instalment i = {
        .start_sec = step_start(rent, index),
        .end_sec = next < rent->end_sec ? next : rent->end_sec,
    };
    ASSERT(i.start_sec < i.end_sec);
    if (rent->period_sec != period) {
        e = amount_by_second(rent, &i, &amount);
    } else if (i.end_sec < next) {
        e = u256_mul_div(amount, u256_from_u64(i.end_sec - i.start_sec),
                         u256_from_u64(next - i.start_sec), &amount, NULL);
    }
    if (e != OK) {
        return why_set(why, ERR_AMOUNT_OVERFLOW, "paymentAmount",
                       "The rent of the term is more than 256 bits hold.");
    }
    i.amount = stable_of(amount);
    *out = i;
    return OK;
}
