/*
 * jobs_runner.h: what the threads of a runner share. Private to kernel/jobs.
 *
 * jobs_runner.c makes, starts and stops; jobs_worker.c runs handlers; jobs_dispatch.c writes
 * results and claims; jobs_keeper.c renews leases and ends what takes too long.
 *
 * A job that the runner holds is a `struct jobs_run`, always in exactly one place:
 *
 *   FREE --claimed--> WAITING --a worker takes it--> RUNNING --handler returns--> RESULT
 *   WAITING --waits too long, or the runner stops--> RESULT (to be given back)
 *   WAITING, RUNNING --lease lost--> FREE (of RUNNING: when its handler returns)
 *   RESULT --written--> FREE
 *
 * `lock` guards the places, the flags of a run and the counts. It is never held while a handler or
 * a transaction runs. The dispatcher alone takes runs out of FREE and RESULT, a worker owns the
 * memory of a RUNNING one.
 */
#ifndef KERNEL_JOBS_JOBS_RUNNER_H
#define KERNEL_JOBS_JOBS_RUNNER_H

#include <pthread.h>

#include "kernel/base/metric.h"
#include "kernel/jobs/jobs_rules.h"
#include "kernel/jobs/jobs_tables.h"

#define JOBS_CHANNEL "jobs"
#define JOBS_KEEPER_CHANNEL "jobs.keeper"
#define JOBS_OWNER_MAX 96
#define JOBS_ERROR_MAX 600
/* No honest lease is longer; one that reaches further was written under another clock. */
#define JOBS_LEASE_USEC_MAX (30ll * USEC_PER_SEC)
#define JOBS_LEASE_USEC_DEFAULT (3ll * USEC_PER_SEC)

enum jobs_place {
    JOBS_FREE,
    JOBS_WAITING,
    JOBS_RUNNING,
    JOBS_RESULT,
};

struct jobs_run {
    enum jobs_place place;
    struct jobs_hold hold;    /* as it was claimed; of a RESULT, as it was renewed last */
    struct jobs_hold renewed; /* the keeper's, under `lock`: whoever runs the job reads `hold` */
    const struct job_kind *kind;
    struct job_call call;
    struct slice payload; /* as text, parsed by the worker */
    struct arena arena;
    struct jobs_run *next; /* in WAITING or RESULT */

    bool suspect;    /* to be marked before it runs */
    bool lost;       /* the lease is someone else's now */
    bool abandoned;  /* took too long: the keeper has ended it in the database */
    bool cancelling; /* somebody asked for it */
    bool progressed; /* `progress` is not written yet */
    struct jobs_progress_note progress;
    int64_t claimed_mono_usec;
    int64_t deadline_mono_usec;
    int64_t run_usec; /* how long the handler took */

    enum jobs_verdict verdict;
    enum err result;
    struct why why;
    int64_t retry_usec; /* wall time of the next attempt */
    bool held;          /* out: the verdict was written */
    bool cancelled;     /* out: and it made the job CANCELLED */
};

struct jobs_list {
    struct jobs_run *head;
    struct jobs_run *tail;
    size_t count;
};

struct jobs_worker {
    struct jobs *jobs;
    pthread_t thread;
};

struct jobs {
    struct store *store;
    struct jobs_config config;
    struct arena boot;
    char owner[JOBS_OWNER_MAX];
    const struct job_catalog *catalog;
    int64_t *seen_slots; /* of its schedules: settled in the database; INT64_MIN: not looked yet */

    pthread_mutex_t lock;
    pthread_cond_t filled; /* WAITING has a job and a thread may take it, or stopping */
    struct jobs_run *runs;
    size_t run_count;
    struct jobs_list waiting;
    struct jobs_list results;
    size_t free_count;
    size_t active; /* workers at a job; never more than config.threads */
    size_t hung;   /* workers at a job that was ended without them */
    bool stopping;
    bool workers_gone;
    bool keeper_ends;
    int64_t reap_from_mono_usec; /* no lease is taken over before */

    struct jobs_worker *workers; /* threads and their replacements */
    size_t worker_count;
    size_t worker_max;
    pthread_t dispatcher;
    pthread_t keeper;
    bool started;
};

/* The values of the metric rows of this module, one a process. */
enum jobs_metric {
    JOBS_METRIC_DONE,
    JOBS_METRIC_FAILED,
    JOBS_METRIC_DEAD,
    JOBS_METRIC_CANCELLED,
    JOBS_METRIC_LEASE_LOST,
    JOBS_METRIC_LAPSED,
    JOBS_METRIC_RUNNING,
    JOBS_METRIC_QUEUED_ROWS,
    JOBS_METRIC_DEAD_ROWS,
    JOBS_METRIC_DEAD_ALERT,
    JOBS_METRIC_RUN,
    JOBS_METRIC_WAIT,
    JOBS_METRIC_COUNT,
};
extern struct metric_value jobs_metrics[JOBS_METRIC_COUNT];

/* jobs_list_push appends a run. */
void jobs_list_push(struct jobs_list *list, struct jobs_run *run);
/* jobs_list_pop takes the first run, or NULL. */
struct jobs_run *jobs_list_pop(struct jobs_list *list);

/* jobs_slots is how many more jobs could run now; `lock` is held. */
size_t jobs_slots(const struct jobs *jobs);
/* jobs_run_free gives a run back; `lock` is held. */
void jobs_run_free(struct jobs *jobs, struct jobs_run *run);
/* jobs_run_find returns the run that holds a job, or NULL; `lock` is held. */
struct jobs_run *jobs_run_find(struct jobs *jobs, struct jobs_hold hold);

/* jobs_run_end makes a run a RESULT, in a list of those. `lock` is held. */
void jobs_run_end(struct jobs_run *run, struct jobs_list *list);
/* jobs_run_kept notes what a renewal has said of a run; `lock` is held. */
void jobs_run_kept(struct jobs_run *run, const struct jobs_kept *kept);

/* jobs_worker_add starts one more worker; `lock` is held. False when there can be no more. */
bool jobs_worker_add(struct jobs *jobs);

/* jobs_worker_main, jobs_dispatcher_main and jobs_keeper_main are the threads. */
void *jobs_worker_main(void *arg);
/* jobs_dispatcher_main is the thread that claims; see jobs_worker_main. */
void *jobs_dispatcher_main(void *arg);
/* jobs_keeper_main is the thread that renews leases; see jobs_worker_main. */
void *jobs_keeper_main(void *arg);

/* jobs_error_text writes "code: sentence", cut to fit. */
struct slice jobs_error_text(char out[JOBS_ERROR_MAX], enum err e, const struct why *why);
/* jobs_log_failure logs and counts an attempt that failed. */
void jobs_log_failure(struct jobs_hold hold, struct slice kind, uint32_t attempt, bool dead,
                      enum err e, const struct why *why);
/* jobs_log_cancelled logs and counts a job that ended because somebody asked for it. */
void jobs_log_cancelled(struct jobs_hold hold, struct slice kind);
/* jobs_log_lost logs and counts a job whose lease was lost. */
void jobs_log_lost(struct jobs_hold hold, struct slice kind);

#endif
