/*
 * jobs_rules.h: what happens to a job next. Pure: no database, no clock, no randomness.
 */
#ifndef KERNEL_JOBS_JOBS_RULES_H
#define KERNEL_JOBS_JOBS_RULES_H

#include "kernel/jobs/jobs.h"

/* What the runner does with a job that it holds. */
enum jobs_verdict {
    JOBS_FINISH,    /* DONE */
    JOBS_RETRY,     /* QUEUED after the back-off */
    JOBS_BURY,      /* DEAD */
    JOBS_GIVE_BACK, /* QUEUED as it was, the attempt does not count */
};

/* jobs_judge says what follows from a handler's result on its `attempt`. */
enum jobs_verdict jobs_judge(const struct job_kind *kind, uint32_t attempt, enum err result);

/*
 * jobs_judge_lapse says what follows from a lease that ran out: the attempt counts only when it is
 * known that the handler had started.
 */
enum jobs_verdict jobs_judge_lapse(const struct job_kind *kind, uint32_t attempt, bool started);

/*
 * jobs_backoff_usec is the wait after the failure of `attempt`: +-20 % around the kind's back-off,
 * where in that range is decided by `random`. Units: microseconds.
 */
int64_t jobs_backoff_usec(const struct job_kind *kind, uint32_t attempt, uint64_t random);

/*
 * jobs_prefetch says how many jobs to hold ready beyond those that run: as many as the threads
 * finish in the time of a few claims, none of slow ones, so that other processes get them.
 */
size_t jobs_prefetch(int64_t run_usec_mean, size_t threads, size_t batch);

/* jobs_slot is the number of the slot of a schedule that `wall_usec` lies in. */
int64_t jobs_slot(int64_t wall_usec, int64_t every_usec);

/*
 * jobs_slot_is_due says whether `slot` is to be fired after `last`. A last slot far in the future
 * was fired under a clock that has been put back since: it does not keep the schedule silent.
 */
bool jobs_slot_is_due(int64_t slot, int64_t last, int64_t every_usec);

/* jobs_clock_was_set says whether wall and monotonic time went apart between two looks. */
bool jobs_clock_was_set(int64_t wall_passed_usec, int64_t mono_passed_usec);

#endif
