#include "kernel/jobs/jobs_rules.h"

#include "kernel/base/check.h"

#define JITTER_PERCENT 20
/* Work of this length is held ready; a claim takes a few milliseconds. */
#define PREFETCH_USEC 50000
/* Time synchronisation slews by less than this between two looks; what sets the clock moves more.
 */
#define CLOCK_SET_USEC 500000
/* A slot this far ahead is no skew between machines. */
#define SLOT_AHEAD_USEC (10ll * 60 * USEC_PER_SEC)

enum jobs_verdict jobs_judge(const struct job_kind *kind, uint32_t attempt, enum err result)
{
    if (result == OK) {
        return JOBS_FINISH;
    }
    if (result == ERR_STOPPING) {
        return JOBS_GIVE_BACK;
    }
    return err_retryable(result) && attempt < kind->attempts_max ? JOBS_RETRY : JOBS_BURY;
}

enum jobs_verdict jobs_judge_lapse(const struct job_kind *kind, uint32_t attempt, bool started)
{
    if (!started) {
        return JOBS_GIVE_BACK;
    }
    return attempt < kind->attempts_max ? JOBS_RETRY : JOBS_BURY;
}

static int64_t backoff_middle(const struct job_kind *kind, uint32_t attempt)
{
    int64_t limit = kind->backoff_usec_max > 0 ? kind->backoff_usec_max : INT64_MAX / 4;
    int64_t usec = kind->backoff_usec;
    if (kind->backoff == JOB_BACKOFF_EXPONENTIAL) {
        for (uint32_t i = 1; i < attempt && usec < limit; i++) {
            usec *= 2;
        }
    }
    return usec < limit ? usec : limit;
}

int64_t jobs_backoff_usec(const struct job_kind *kind, uint32_t attempt, uint64_t random)
{
    ASSERT(attempt > 0);
    int64_t middle = backoff_middle(kind, attempt);
    int64_t spread = middle / 100 * JITTER_PERCENT;
    uint64_t width = (uint64_t)spread * 2 + 1;
    return middle - spread + (int64_t)(random % width);
}

size_t jobs_prefetch(int64_t run_usec_mean, size_t threads, size_t batch)
{
    ASSERT(run_usec_mean >= 0);
    size_t per_thread = (size_t)(PREFETCH_USEC / (run_usec_mean > 0 ? run_usec_mean : 1));
    return per_thread > batch / threads ? batch : per_thread * threads;
}

int64_t jobs_slot(int64_t wall_usec, int64_t every_usec)
{
    ASSERT(every_usec > 0);
    int64_t slot = wall_usec / every_usec;
    return wall_usec % every_usec < 0 ? slot - 1 : slot;
}

bool jobs_slot_is_due(int64_t slot, int64_t last, int64_t every_usec)
{
    if (slot > last) {
        return true;
    }
    int64_t ahead = last - slot;
    return ahead > 1 && ahead > SLOT_AHEAD_USEC / every_usec;
}

bool jobs_clock_was_set(int64_t wall_passed_usec, int64_t mono_passed_usec)
{
    int64_t apart = wall_passed_usec - mono_passed_usec;
    return apart > CLOCK_SET_USEC || apart < -CLOCK_SET_USEC;
}
