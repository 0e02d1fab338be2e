/*
 * clock.h: the one door to time.
 *
 * `clock_wall_usec` is Unix time in microseconds and may jump; `clock_mono_usec` never goes back
 * and is for durations. Tests replace the source with clock_set_source and move it by hand.
 * Text is ISO 8601 in UTC with milliseconds: "2026-11-22T05:20:40.123Z".
 */
#ifndef KERNEL_BASE_CLOCK_H
#define KERNEL_BASE_CLOCK_H

#include <time.h>

#include "kernel/base/slice.h"

#define CLOCK_TEXT_MAX 32
#define USEC_PER_SEC 1000000

struct clock_source {
    int64_t (*wall_usec)(void *ctx);
    int64_t (*mono_usec)(void *ctx);
    void *ctx;
    void (*sleep_usec)(void *ctx, int64_t usec); /* NULL: sleeping takes real time */
};

/* clock_set_source replaces the clock of the process; NULL restores the system's. Tests only. */
void clock_set_source(const struct clock_source *source);

/* clock_wall_usec returns Unix time. Units: microseconds. */
int64_t clock_wall_usec(void);

/* clock_wall_sec returns Unix time. Units: seconds, rounded down. */
int64_t clock_wall_sec(void);

/* clock_mono_usec returns monotonic time. Units: microseconds. */
int64_t clock_mono_usec(void);

/*
 * clock_deadline writes the system's monotonic time `usec` from now, for timed waits on condition
 * variables: threads sleep in real time also under a replaced clock.
 */
void clock_deadline(int64_t usec, struct timespec *out);

/* clock_sleep_usec sleeps: in real time, unless a replaced clock has sleeping of its own. */
void clock_sleep_usec(int64_t usec);

/*
 * clock_format writes ISO 8601 UTC with milliseconds (rounded down) and a NUL; returns the length.
 * A time outside the years 1970 to 9999 is written as the nearest one inside.
 */
size_t clock_format(int64_t wall_usec, char out[CLOCK_TEXT_MAX]);

/*
 * clock_parse reads RFC 3339 ("2026-11-22T05:20:40Z", fraction and numeric offset allowed) within
 * the years 1970 to 9999 UTC. Digits beyond microseconds are dropped; a leap second is refused.
 * Errors: ERR_INVALID_TIME.
 */
enum err clock_parse(struct slice text, int64_t *out_wall_usec) ERR_CHECKED;

#endif
