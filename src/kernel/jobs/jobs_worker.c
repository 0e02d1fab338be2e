#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/jobs/jobs_runner.h"

/* The next job that is still ours, or NULL. `lock` is held. */
static struct jobs_run *next_waiting(struct jobs *jobs)
{
    struct jobs_run *run = jobs_list_pop(&jobs->waiting);
    while (run != NULL && run->lost) {
        jobs_log_lost(run->hold, run->call.kind);
        jobs_run_free(jobs, run);
        run = jobs_list_pop(&jobs->waiting);
    }
    return run;
}

/* Waits for a job; NULL when the runner stops. `lock` is held. */
static struct jobs_run *take(struct jobs *jobs)
{
    struct jobs_run *run = NULL;
    while (run == NULL && !jobs->stopping) {
        run = jobs_slots(jobs) > 0 ? next_waiting(jobs) : NULL;
        if (run == NULL) {
            pthread_cond_wait(&jobs->filled, &jobs->lock);
        }
    }
    if (run != NULL) {
        ASSERT(run->place == JOBS_WAITING);
        run->place = JOBS_RUNNING;
        jobs->active++;
        run->deadline_mono_usec = clock_mono_usec() + run->kind->timeout_usec;
    }
    return run;
}

struct mark {
    struct jobs_hold hold;
    bool held;
};

static enum err mark_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct mark *mark = ctx;
    store_read_committed(tx);
    return jobs_store_mark_started(tx, mark->hold, clock_wall_usec(), &mark->held, why);
}

/* A job that lost a lease before must be known to run, so that it cannot kill forever. */
static enum err mark_started(struct jobs *jobs, struct jobs_run *run)
{
    struct mark mark = {.hold = run->hold};
    enum err e = store_write(jobs->store, mark_fn, &mark, &run->why);
    if (e != OK) {
        return ERR_STOPPING; /* it did not run: the attempt does not count */
    }
    if (!mark.held) {
        return why_set(&run->why, ERR_CONFLICT, NULL, "The lease was lost before the job began.");
    }
    return OK;
}

static enum err call_handler(struct jobs *jobs, struct jobs_run *run)
{
    struct jobs_entry entry = jobs_catalog_find(jobs->catalog, run->call.kind);
    enum err e = run->suspect ? mark_started(jobs, run) : OK;
    if (e == OK) {
        e = json_parse(&run->arena, run->payload, &json_limits_body, &run->call.payload, &run->why);
    }
    if (e == OK) {
        run->call.ctx = entry.ctx;
        e = entry.kind->handler(&run->call, &run->why);
        ASSERT(!store_in_tx());
        if ((unsigned)e >= ERR_COUNT) {
            e = why_set(&run->why, ERR_INTERNAL, NULL,
                        "The handler answered %d, which is no result.", (int)e);
        }
    }
    return e;
}

/* What the handler left behind becomes a result for the dispatcher. `lock` is held. */
static void give_result(struct jobs *jobs, struct jobs_run *run, enum err result)
{
    bool completed = result == OK && run->call.completed_;
    size_t *count = run->abandoned ? &jobs->hung : &jobs->active;
    ASSERT(*count > 0);
    (*count)--;
    if (run->abandoned || (run->lost && !completed)) {
        jobs_log_lost(run->hold, run->call.kind);
        jobs_run_free(jobs, run);
        return;
    }
    run->result = result;
    run->verdict = jobs_judge(run->kind, run->call.attempt, result);
    jobs_run_end(run, &jobs->results);
    if (jobs->results.count == 1) {
        store_wake(jobs->store, JOBS_CHANNEL); /* later ones are found with this one */
    }
}

void *jobs_worker_main(void *arg)
{
    struct jobs *jobs = ((struct jobs_worker *)arg)->jobs;
    pthread_mutex_lock(&jobs->lock);
    for (struct jobs_run *run = take(jobs); run != NULL; run = take(jobs)) {
        pthread_mutex_unlock(&jobs->lock);
        metric_add(&jobs_metrics[JOBS_METRIC_RUNNING], 1);
        int64_t began = clock_mono_usec();
        enum err result = call_handler(jobs, run);
        int64_t run_usec = clock_mono_usec() - began;
        metric_add(&jobs_metrics[JOBS_METRIC_RUNNING], -1);
        metric_observe(&jobs_metrics[JOBS_METRIC_RUN], run_usec);
        pthread_mutex_lock(&jobs->lock);
        run->run_usec = run_usec;
        give_result(jobs, run, result);
    }
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}
