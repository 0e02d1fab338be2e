#include "kernel/jobs/jobs_runner.h"

/* Rows of one transaction: short enough that nobody waits long behind it. */
#define SWEEP_BATCH 1000

struct sweep {
    enum job_state state;
    int64_t before_usec;
    int64_t deleted;
};

static enum err sweep_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sweep *s = ctx;
    return jobs_store_sweep(tx, s->state, s->before_usec, SWEEP_BATCH, &s->deleted, why);
}

static enum err sweep_state(struct job_call *call, enum job_state state, int64_t retention_usec,
                            struct why *why)
{
    struct sweep s = {
        .state = state, .before_usec = clock_wall_usec() - retention_usec, .deleted = SWEEP_BATCH};
    enum err e = OK;
    while (e == OK && s.deleted == SWEEP_BATCH) {
        e = store_write(call->store, sweep_fn, &s, why);
        if (e == OK) {
            e = jobs_heartbeat(call, why);
        }
    }
    return e;
}

static enum err run_sweep(struct job_call *call, struct why *why)
{
    const struct jobs_config *config = &call->jobs->config;
    enum err e = sweep_state(call, JOB_DONE, config->retention_usec, why);
    if (e == OK) {
        e = sweep_state(call, JOB_CANCELLED, config->retention_usec, why);
    }
    if (e == OK && config->dead_retention_usec > 0) {
        e = sweep_state(call, JOB_DEAD, config->dead_retention_usec, why);
    }
    return e;
}

static const struct job_queue queues[] = {
    {.name = "maintenance",
     .attempts_max = 3,
     .backoff = JOB_BACKOFF_FIXED,
     .backoff_usec = 10 * USEC_PER_SEC,
     .doc = "Keeping the program's own tables small."},
};

static const struct job_kind kinds[] = {
    {.name = "jobs.sweep",
     .queue = "maintenance",
     .handler = run_sweep,
     .timeout_usec = 60 * USEC_PER_SEC,
     .doc = "Forgets jobs that ended longer ago than their retention."},
};

static const struct job_cron crons[] = {
    {.name = "jobs.sweep",
     .kind = "jobs.sweep",
     .every_usec = 600ll * USEC_PER_SEC,
     .doc = "Keeps the table of jobs small."},
};

static const struct job_table table = {
    .queues = queues,
    .queue_count = sizeof(queues) / sizeof(queues[0]),
    .kinds = kinds,
    .kind_count = sizeof(kinds) / sizeof(kinds[0]),
    .crons = crons,
    .cron_count = sizeof(crons) / sizeof(crons[0]),
};

const struct job_table *jobs_own_table(void)
{
    return &table;
}
