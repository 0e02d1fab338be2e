/*
 * leasing_schedule.h: when rent is due and how much. Pure rules: no clock, no rows.
 *
 * Dates
 *   A lease has an anchor: the second it starts. Instalment n (from 0) covers the time from the
 *   anchor plus n steps to the anchor plus n + 1 steps, or to the end of the lease, and is due when
 *   its time begins. A step is a month, three months or twelve of the calendar, in UTC. A day that
 *   a month has not becomes its last one; each date is reckoned from the anchor, so that rent which
 *   was due on the 29th of February is due on the 31st of March again. "upfront" is one instalment.
 *
 * Amounts
 *   paymentAmount is the rent of rentPeriod. Where that is the schedule's own (30, 90, 365 days, or
 *   the term: what is signed on chain for a month is a number of seconds, whatever the month), an
 *   instalment of a whole step costs paymentAmount. One that the end cuts short costs its part of
 *   the step by seconds, rounded down: the fraction of a unit stays with the lessee, in the last
 *   instalment.
 *   With another rentPeriod rent accrues by the second. What has accrued is rounded down at every
 *   due date, and an instalment is the difference of two: a fraction is carried to the instalment
 *   in which it becomes a unit, and all of them add up to the rent of the term, rounded down once.
 */
#ifndef DOMAIN_LEASING_LEASING_SCHEDULE_H
#define DOMAIN_LEASING_LEASING_SCHEDULE_H

#include "kernel/base/err.h"
#include "kernel/base/money.h"
#include "kernel/base/slice.h"

/* A hundred years by the month. */
#define LEASING_INSTALMENTS_MAX 1200

struct leasing_rent {
    struct slice schedule; /* "monthly", "quarterly", "annual", "upfront" */
    uint64_t start_sec;
    uint64_t end_sec;
    struct stable_amount rent; /* of a period */
    uint64_t period_sec;
};

struct leasing_instalment {
    uint64_t start_sec; /* when it is due */
    uint64_t end_sec;
    struct stable_amount amount;
};

/* leasing_schedule_date is the anchor plus months of the calendar. Units: seconds since 1970. */
uint64_t leasing_schedule_date(uint64_t anchor_sec, uint64_t months);

/*
 * leasing_schedule_count says how many instalments there are. Errors: ERR_INVALID_FIELD
 * ("paymentSchedule"; "endDate" when it is not after the start or beyond LEASING_INSTALMENTS_MAX).
 */
enum err leasing_schedule_count(const struct leasing_rent *rent, uint64_t *out,
                                struct why *why) ERR_CHECKED;

/*
 * leasing_schedule_at makes instalment `index`, which must be below the count. Errors:
 * ERR_AMOUNT_OVERFLOW ("paymentAmount"), as leasing_schedule_count.
 */
enum err leasing_schedule_at(const struct leasing_rent *rent, uint64_t index,
                             struct leasing_instalment *out, struct why *why) ERR_CHECKED;

#endif
