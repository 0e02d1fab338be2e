/*
 * jobs_limits.h: how many jobs of a queue may start now. Private to kernel/jobs.
 *
 * The rate of a queue is kept as a list of starts [when, how many], pure data that jobs_starts_*
 * work on: no more than `rate` of them lie in any window. Starts close together (a 64th of the
 * window) share an entry with the time of the later one, so that the list is short and errs on the
 * side of the limit. A gate is a limited queue within one round of a dispatcher.
 */
#ifndef KERNEL_JOBS_JOBS_LIMITS_H
#define KERNEL_JOBS_JOBS_LIMITS_H

#include "kernel/jobs/jobs.h"

#define JOBS_STARTS_MAX 80

struct jobs_start {
    int64_t at_usec;
    int64_t count;
};

struct jobs_starts {
    struct jobs_start at[JOBS_STARTS_MAX]; /* oldest first */
    size_t len;
};

/* jobs_starts_parse reads a list as stored. Errors: ERR_CORRUPT. */
enum err jobs_starts_parse(struct slice text, struct jobs_starts *out, struct why *why) ERR_CHECKED;
/* jobs_starts_format writes a list for storing. */
void jobs_starts_format(const struct jobs_starts *starts, struct buf *out);
/*
 * jobs_starts_forget drops what lies before the window that ends now. What lies in the future was
 * written before the clock was put back, and counts as of now.
 */
void jobs_starts_forget(struct jobs_starts *starts, int64_t now_usec, int64_t window_usec);
/* jobs_starts_sum counts the starts. */
int64_t jobs_starts_sum(const struct jobs_starts *starts);
/* jobs_starts_add notes `count` starts of now. */
void jobs_starts_add(struct jobs_starts *starts, int64_t now_usec, int64_t window_usec,
                     int64_t count);
/* jobs_starts_free_usec is when the first of the starts leaves the window; the list has one. */
int64_t jobs_starts_free_usec(const struct jobs_starts *starts, int64_t window_usec);

struct jobs_gate {
    const struct job_queue *queue;
    bool asked; /* in this round */
    bool held;  /* its row is ours until the transaction ends */
    size_t room;
    size_t taken;
    int64_t again_usec; /* when there may be room, if that is a matter of time; else INT64_MAX */
    struct jobs_starts starts;
};

/* jobs_is_limited says whether a queue has a gate. */
bool jobs_is_limited(const struct job_queue *queue);
/* jobs_gate_make makes the rows of limited queues. Errors: ERR_DB. */
enum err jobs_gate_make(struct store_tx *tx, const struct job_queue *queue, int64_t now_usec,
                        struct why *why) ERR_CHECKED;
/* jobs_gate_ask takes the row, if nobody has it, and fills `room`. Errors: ERR_DB. */
enum err jobs_gate_ask(struct store_tx *tx, struct jobs_gate *gate, int64_t now_usec,
                       struct why *why) ERR_CHECKED;
/* jobs_gate_settle writes what was taken. Errors: ERR_DB. */
enum err jobs_gate_settle(struct store_tx *tx, struct jobs_gate *gate, int64_t now_usec,
                          struct why *why) ERR_CHECKED;

#endif
