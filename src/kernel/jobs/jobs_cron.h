/*
 * jobs_cron.h: five-field cron expressions. Pure: no clock, no database.
 *
 *     minute (0-59)  hour (0-23)  day of the month (1-31)  month (1-12)  day of the week (0-7)
 *
 * A field is a list of items apart by commas: "*", N, N-M, and "*" or N-M with "/STEP" behind.
 * Sunday is 0 and 7. Times are UTC: no hour is skipped or doubled. When both days are restricted a
 * day fits if either does; a field that begins with "*" restricts nothing, also with a step (as in
 * Vixie's cron: "0 0 *\/2 * 1" is Mondays of odd date). A step beyond the range leaves its first
 * value: "*\/60" is minute 0. An expression that no day of 41 years fits is refused.
 */
#ifndef KERNEL_JOBS_JOBS_CRON_H
#define KERNEL_JOBS_JOBS_CRON_H

#include "kernel/base/clock.h"
#include "kernel/base/slice.h"

struct jobs_cron {
    uint64_t minutes; /* a bit each */
    uint64_t hours;
    uint64_t days;
    uint64_t months;
    uint64_t weekdays; /* 0-6 */
    bool any_day;      /* the field begins with "*" */
    bool any_weekday;
};

/* jobs_cron_parse reads an expression. Errors: ERR_CONFIG (names the field). */
enum err jobs_cron_parse(struct slice text, struct jobs_cron *out, struct why *why) ERR_CHECKED;
/*
 * jobs_cron_last is the last minute that fits, at or before a time. Units: minutes since the Unix
 * epoch.
 */
int64_t jobs_cron_last(const struct jobs_cron *cron, int64_t wall_usec);
/* jobs_cron_next is the first minute that fits, after a time. Units: as jobs_cron_last. */
int64_t jobs_cron_next(const struct jobs_cron *cron, int64_t wall_usec);

#endif
