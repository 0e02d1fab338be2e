/*
 * jobs.h: work that must happen, as rows.
 *
 * A job is enqueued in the transaction that causes it, and so exists exactly when its cause does.
 * Kinds, queues and schedules are rows of tables that modules declare. Runners claim jobs in
 * batches with a lease (owner, token, until); a lease is renewed while the handler runs; a job
 * whose lease ran out is claimed again by anyone, and the old owner's completion is refused by its
 * token. So: at least once, never lost; handlers are idempotent by jobs_once_key.
 *
 * States, who moves them:
 *
 *   QUEUED --claim--> RUNNING --handler OK--> DONE
 *     ^ |               |--retryable error, attempts left--> QUEUED (run_at = now + back-off)
 *     | |               |--error, none left----------------> DEAD (reason kept, replayable)
 *     | |               |--lease ran out-------------------> QUEUED
 *     | |               '--jobs_cancel, then any end but OK-> CANCELLED
 *     | '--jobs_cancel--> CANCELLED
 *     '----jobs_replay--- DEAD
 *
 * Order: higher priority first; within a priority the kind whose oldest job waits longest gives
 * its next batch, oldest first (run_at, then id). Jobs of one `order_key` run one after the other
 * in the order in which they were enqueued, retries included: while the first waits for its next
 * attempt the others wait with it; when it is dead or cancelled they go on. A unique index lets at
 * most one of them be RUNNING in the whole database. Transactions that enqueue at the same time
 * have no order among themselves.
 *
 * `key` is something else: it makes a second enqueue a no-op while the first is QUEUED or RUNNING.
 *
 * Limits: a queue may say how many of its jobs run at once and how many start in any window of a
 * length, over all processes of the database. Whoever claims from such a queue holds its row in
 * job_queues; running ones are counted, not counted on, so that a crash leaves nothing to mend,
 * and starts are times in that row. A queue that is full is passed over, never waited for, and one
 * whose row somebody else holds is looked at again a moment later. Claims of queues without limits
 * touch none of this. A job that is given back unrun has used a start. A clock that is put back
 * makes a queue wait for at most one window; one put forward forgets starts, so that one window
 * may see twice the rate.
 *
 * Schedules enqueue a job with the key "cron/<name>/<slot>", once for each slot whatever the
 * number of processes: fixed intervals since the Unix epoch, or five-field expressions in UTC
 * (jobs_cron.h). One that was never seen waits for its next slot; slots that passed while nothing
 * ran are made up for by one job. A schedule may wait for a kind that no module has brought yet
 * (`awaits`): then it is listed as such and never fires.
 *
 * A handler runs outside of any transaction; it opens its own. What it wants to be atomic with the
 * job's completion it does in jobs_complete (same transaction as DONE). ERR_STOPPING gives the job
 * back without using up an attempt. jobs_cancel of a running job is a request: the handler sees it
 * in jobs_cancelled within a third of a lease, and ends with ERR_CANCELLED. One that does not
 * look ends by its own result; only, it is not tried again.
 *
 * Time limits. The lease is short (config `jobs.lease`), so that another process takes over within
 * seconds of a crash; a keeper thread renews it for handlers that run longer. A handler that is
 * neither done nor has called jobs_heartbeat or jobs_progress within its kind's `timeout_usec` has
 * failed: the job is tried again or dies with that reason, whatever the hung thread does later is
 * refused by its token, and a fresh thread takes its place (at most as many as `jobs.threads`).
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
 * Dead jobs keep reason and payload for `jobs.dead_retention`; that they died is in the audit log.
 * Lists never carry payloads, and replays go by pages, each a transaction: a backlog costs disk,
 * not memory.
 *
 * Threads: `threads` workers, one dispatcher that writes results and claims in one transaction, one
 * keeper. All functions may be called from any thread. Memory is bounded: a runner holds at most
 * 2 * (claim_batch + threads) jobs, each with a payload of at most JOBS_PAYLOAD_MAX.
 *
 * The queue's own transactions run READ COMMITTED on PostgreSQL (decision 0014); what handlers and
 * those who enqueue do stays serializable. jobs_admin.h is for those who look at jobs and move
 * them.
 */
#ifndef KERNEL_JOBS_JOBS_H
#define KERNEL_JOBS_JOBS_H

#include "kernel/audit/audit.h"
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
#define JOBS_NOTE_MAX 200
/* Most jobs of one jobs_enqueue_many. */
#define JOBS_MANY_MAX 10000
#define JOBS_RATE_MAX 1000000

struct jobs;

struct job_call {
    int64_t id;
    struct slice kind;
    struct slice key;       /* "" when it has none */
    struct slice order_key; /* "" when it has none */
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

struct job_queue {
    const char *name;
    uint32_t concurrency; /* jobs that run at once, in all processes; 0: no limit */
    uint32_t rate;        /* jobs that start in any `rate_usec`, in all processes; 0: no limit */
    int64_t rate_usec;
    /* For kinds that say nothing of their own; attempts_max 0 means 1. */
    uint32_t attempts_max;
    enum job_backoff backoff;
    int64_t backoff_usec;
    int64_t backoff_usec_max;
    const char *doc;
};

struct job_kind {
    const char *name;  /* "leasing.open_revenue_round" */
    const char *queue; /* a row of some table */
    job_handler handler;
    uint32_t attempts_max; /* 0: attempts and back-off are those of the queue */
    enum job_backoff backoff;
    int64_t backoff_usec;
    int64_t backoff_usec_max;
    int64_t timeout_usec; /* of an attempt, from its start or its last sign of life */
    const char *doc;
};

struct job_cron {
    const char *name;
    const char *kind;
    int64_t every_usec; /* slots are multiples since the Unix epoch; 0: by `cron` */
    const char *cron;   /* minute hour day month weekday, in UTC; jobs_cron.h */
    const char *awaits; /* the part that will bring the kind; NULL: an unknown kind is refused */
    const char *doc;
};

struct job_table {
    const struct job_queue *queues;
    size_t queue_count;
    const struct job_kind *kinds;
    size_t kind_count;
    const struct job_cron *crons;
    size_t cron_count;
    void *ctx;
};

struct job_new {
    const char *kind;
    struct slice key;       /* unique while queued or running; empty: none */
    struct slice order_key; /* one at a time, in this order; empty: none */
    struct slice payload;   /* JSON text; empty: {} */
    int64_t delay_usec;
    int32_t priority; /* higher first; 0 is normal */
};

struct jobs_config {
    uint64_t threads;
    uint64_t claim_batch;
    int64_t poll_usec;           /* fallback when a signal was missed */
    int64_t lease_usec;          /* 0: the default */
    int64_t retention_usec;      /* of DONE and CANCELLED rows; 0: done ones go at once */
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
 * jobs_enqueue_many adds up to JOBS_MANY_MAX jobs in the caller's transaction, each as jobs_enqueue
 * would, in two statements. Errors: as jobs_enqueue.
 */
enum err jobs_enqueue_many(struct store_tx *tx, const struct job_new *jobs, size_t count,
                           struct why *why) ERR_CHECKED;

/*
 * jobs_new makes a runner for the tables, and one more of its own. Owns: the caller, jobs_free.
 * Errors: ERR_CONFIG (two kinds, queues or schedules of one name, a queue or kind that nobody
 * declares, an expression that cannot be read).
 */
enum err jobs_new(struct jobs **out, struct store *store, const struct jobs_config *config,
                  const struct job_table *tables, size_t table_count, struct why *why) ERR_CHECKED;
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
 * completion are one. Who waits behind its order key goes on when the handler has returned. Errors:
 * ERR_CONFLICT when the lease was lost: roll back.
 */
enum err jobs_complete(struct store_tx *tx, struct job_call *call, struct why *why) ERR_CHECKED;

/*
 * jobs_heartbeat extends the lease and the time limit. Errors: ERR_CONFLICT when the lease was
 * lost, ERR_CANCELLED when somebody asked for that: return it.
 */
enum err jobs_heartbeat(struct job_call *call, struct why *why) ERR_CHECKED;

/* jobs_cancelled says whether somebody has asked to cancel the job; costs no statement. */
bool jobs_cancelled(const struct job_call *call);

/*
 * jobs_progress tells how far the job is, for those who look at it, and extends its time limit. It
 * is written with the next renewal or with the result, so that it may be called for every item.
 * `note` is cut at JOBS_NOTE_MAX bytes.
 */
void jobs_progress(struct job_call *call, int64_t done, int64_t total, struct slice note);

/*
 * jobs_once_key is the job's key for what may happen once only: the same in every attempt and in a
 * replay, and of no other job. As an intent's key (relay_submit), a transfer's id (ledger_post), an
 * Idempotency-Key of a request or a unique column it makes the second attempt find what the first
 * one did. `step` tells several effects of one job apart. Owns: the job's arena.
 */
struct slice jobs_once_key(const struct job_call *call, const char *step);

/* jobs_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void jobs_metrics_register(void);

/* jobs_audit_table has the actions that the queue records (kernel/audit/audit.h). */
struct audit_table jobs_audit_table(void);

/* jobs_reference appends the Markdown table of kinds and schedules. */
void jobs_reference(const struct job_table *tables, size_t table_count, struct buf *out);

#endif
