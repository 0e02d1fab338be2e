/*
 * jobs.h: work that must happen, as rows.
 *
 * A job is enqueued in the transaction that causes it, and so exists exactly when its cause does.
 * Kinds are rows of a table that modules declare (name, queue, handler, attempts, back-off, time
 * limit). Runners claim jobs in batches with a lease (owner, token, until); a lease is renewed
 * while the handler runs; a job whose lease ran out is claimed again by anyone, and the old owner's
 * completion is refused by its token. So: at least once, never lost; handlers are idempotent by the
 * job's id or key.
 *
 * States, who moves them:
 *
 *   QUEUED --claim--> RUNNING --handler OK--> DONE
 *     ^                 |--retryable error, attempts left--> QUEUED (run_at = now + back-off)
 *     |                 |--error, none left----------------> DEAD (reason kept, replayable)
 *     |                 '--lease ran out-------------------> QUEUED
 *     '--jobs_replay-- DEAD          QUEUED --jobs_cancel--> CANCELLED
 *
 * Order: higher priority first; within a priority the kind whose oldest job waits longest gives
 * its next batch, oldest first (run_at, then id).
 *
 * A unique key makes a second enqueue a no-op while the first is QUEUED or RUNNING.
 * Cron rows enqueue a job with the key "cron/<name>/<slot>", once for each slot whatever the number
 * of processes. A schedule that was never seen waits for its next slot; slots that passed while
 * nothing ran are made up for by one job.
 *
 * A handler runs outside of any transaction; it opens its own. What it wants to be atomic with the
 * job's completion it does in jobs_complete (same transaction as DONE). ERR_STOPPING gives the job
 * back without using up an attempt.
 *
 * Time limits. The lease is short (config `jobs.lease`), so that another process takes over within
 * seconds of a crash; a keeper thread renews it for handlers that run longer. A handler that is
 * neither done nor has called jobs_heartbeat within its kind's `timeout_usec` has failed: the job
 * is tried again or dies with that reason, whatever the hung thread does later is refused by its
 * token, and a fresh thread takes its place (at most as many as `jobs.threads`).
 *
 * Crashes. A job whose lease ran out is a suspect until a handler has come back from it: a runner
 * holds one suspect at a time and marks it before it runs. If the process dies then, that is an
 * attempt of the marked one and of no other. So a job that kills its process is DEAD after
 * attempts_max + 1 crashes, and jobs that were claimed or ran beside it lose nothing.
 *
 * Clocks. Rows hold wall time, threads measure with the monotonic clock. When the two drift apart
 * (the clock was set), nobody takes leases over for the length of one, in which all living owners
 * renew theirs on the new time. A clock put back cannot make a lease immortal, because one that
 * reaches further than any honest owner writes counts as run out; times of queued jobs that were
 * written in what is now the future are moved along. A clock put forward makes delayed jobs early
 * and can let a job run twice, which its token makes harmless. Processes on several machines need
 * clocks that agree within half a lease.
 *
 * Threads: `threads` workers, one dispatcher that writes results and claims in one transaction, one
 * keeper. All functions may be called from any thread. Memory is bounded: a runner holds at most
 * 2 * (claim_batch + threads) jobs, each with a payload of at most JOBS_PAYLOAD_MAX.
 */
#ifndef KERNEL_JOBS_JOBS_H
#define KERNEL_JOBS_JOBS_H

#include "kernel/base/json.h"
#include "kernel/store/store.h"

/* Stored: numbers are append-only. */
enum job_state {
    JOB_QUEUED = 1,
    JOB_RUNNING = 2,
    JOB_DONE = 3,
    JOB_DEAD = 4,
    JOB_CANCELLED = 5,
};

#define JOBS_PAYLOAD_MAX (1024 * 1024)
#define JOBS_KEY_MAX 300
#define JOBS_KIND_MAX 100

struct jobs;

struct job_call {
    int64_t id;
    struct slice kind;
    struct slice key; /* "" when it has none */
    const struct json *payload;
    uint32_t attempt; /* 1 for the first */
    struct arena *job;
    struct store *store;
    struct jobs *jobs;
    void *ctx; /* of the kind's row */
    int64_t token;
    bool completed_;
};

/* A handler returns OK, or an error: retryable ones (err_retryable) are tried again. */
typedef enum err (*job_handler)(struct job_call *call, struct why *why);

enum job_backoff {
    JOB_BACKOFF_EXPONENTIAL, /* base * 2^(attempt-1), capped, +-20 % jitter */
    JOB_BACKOFF_FIXED,
};

struct job_kind {
    const char *name; /* "leasing.open_revenue_round" */
    const char *queue;
    job_handler handler;
    uint32_t attempts_max;
    enum job_backoff backoff;
    int64_t backoff_usec;
    int64_t backoff_usec_max;
    int64_t timeout_usec; /* of an attempt, from its start or its last jobs_heartbeat */
    const char *doc;
};

struct job_cron {
    const char *name;
    const char *kind;
    int64_t every_usec; /* slots are multiples since the Unix epoch */
    const char *doc;
};

struct job_table {
    const struct job_kind *kinds;
    size_t kind_count;
    const struct job_cron *crons;
    size_t cron_count;
    void *ctx;
};

struct job_new {
    const char *kind;
    struct slice key;     /* unique while queued or running; empty: none */
    struct slice payload; /* JSON text; empty: {} */
    int64_t delay_usec;
    int32_t priority; /* higher first; 0 is normal */
};

struct jobs_config {
    uint64_t threads;
    uint64_t claim_batch;
    int64_t poll_usec;           /* fallback when a signal was missed */
    int64_t lease_usec;          /* 0: the default */
    int64_t retention_usec;      /* of DONE and CANCELLED rows */
    int64_t dead_retention_usec; /* of DEAD rows; 0: kept until someone replays them */
    uint64_t dead_alert;         /* dead letters that turn health to degraded */
};

/* jobs_config_rows are the rows of section "jobs". */
extern const struct config_row jobs_config_rows[];
extern const size_t jobs_config_row_count;

/*
 * jobs_enqueue adds a job in the caller's transaction. `out_id` may be NULL; when the key is taken
 * it is the existing job's. An unknown kind is refused at claim time, not here: it is tried a few
 * times, because a newer process may know it, and then dies. Errors: ERR_LIMIT (payload or key too
 * long), ERR_DB_BUSY (the key's job ended in this moment: run the transaction again), ERR_DB.
 */
enum err jobs_enqueue(struct store_tx *tx, const struct job_new *job, int64_t *out_id,
                      struct why *why) ERR_CHECKED;

/*
 * jobs_new makes a runner for the tables (duplicate kinds are a bug). Owns: the caller, jobs_free.
 */
struct jobs *jobs_new(struct store *store, const struct jobs_config *config,
                      const struct job_table *tables, size_t table_count);
/* jobs_start starts the threads. Errors: ERR_INTERNAL. */
enum err jobs_start(struct jobs *jobs, struct why *why) ERR_CHECKED;
/*
 * jobs_stop lets running handlers finish, gives back what was claimed and not begun, and joins. A
 * handler that hangs keeps it waiting; ending the process instead loses nothing.
 */
void jobs_stop(struct jobs *jobs);
/* jobs_free frees a stopped runner; NULL is fine. */
void jobs_free(struct jobs *jobs);

/*
 * jobs_complete marks the running job DONE in the caller's transaction, so that its effect and its
 * completion are one. Errors: ERR_CONFLICT when the lease was lost: roll back.
 */
enum err jobs_complete(struct store_tx *tx, struct job_call *call, struct why *why) ERR_CHECKED;

/* jobs_heartbeat extends the lease. Errors: ERR_CONFLICT when it was lost. */
enum err jobs_heartbeat(struct job_call *call, struct why *why) ERR_CHECKED;

/* jobs_replay queues a dead job again; id 0 means all dead ones. Errors: ERR_NOT_FOUND,
 * ERR_CONFLICT. */
enum err jobs_replay(struct store_tx *tx, int64_t id, int64_t *out_count,
                     struct why *why) ERR_CHECKED;
/* jobs_cancel cancels a queued job. Errors: ERR_NOT_FOUND, ERR_CONFLICT. */
enum err jobs_cancel(struct store_tx *tx, int64_t id, struct why *why) ERR_CHECKED;

struct job_row {
    int64_t id;
    struct slice kind;
    struct slice key;
    enum job_state state;
    uint32_t attempts;
    struct slice error; /* code: sentence of the last failure */
    int64_t created_usec;
    int64_t run_usec;
    struct slice payload;
};

/*
 * jobs_list lists rows, newest first (of an end state: the last one that ended first); state 0
 * means any. Owns: the arena. Errors: ERR_DB.
 */
enum err jobs_list(struct store_tx *tx, struct arena *arena, enum job_state state, size_t limit,
                   struct job_row **out, size_t *out_count, struct why *why) ERR_CHECKED;
/* jobs_count counts rows in a state. Errors: ERR_DB. */
enum err jobs_count(struct store_tx *tx, enum job_state state, int64_t *out,
                    struct why *why) ERR_CHECKED;

/* jobs_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void jobs_metrics_register(void);

/* jobs_reference appends the Markdown table of kinds and schedules. */
void jobs_reference(const struct job_table *tables, size_t table_count, struct buf *out);

#endif
