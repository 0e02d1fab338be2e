/*
 * The keeper: renews the leases of all jobs that this runner holds, several times a lease, and ends
 * attempts that took longer than their kind allows.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/jobs/jobs_audit.h"
#include "kernel/jobs/jobs_runner.h"

/*
 * A lease that was taken less than this part of its length ago is not renewed: of a busy queue that
 * is nearly all of them, and they are over before it would matter.
 */
#define YOUNG_PART 16

/* An attempt that took too long. The run belongs to its worker, so what is needed is copied. */
struct overdue {
    struct jobs_hold hold;
    struct slice kind_name;
    const struct job_kind *kind;
    uint32_t attempt;
    enum jobs_verdict verdict;
    int64_t retry_usec;
    struct why why;
    struct slice order_key;
    enum job_state state; /* out: 0 when it was not held */
};

struct beat {
    struct jobs *jobs;
    struct arena arena;
    int64_t wall_usec;
    struct jobs_kept *kept;
    size_t kept_count;
    struct jobs_progress_note *notes;
    size_t note_count;
    struct overdue *overdue;
    size_t overdue_count;
    bool failed;
};

static struct overdue overdue_of(struct beat *b, const struct jobs_run *run)
{
    struct overdue o = {
        .hold = run->renewed,
        .kind_name = slice_copy(&b->arena, run->call.kind),
        .order_key = slice_copy(&b->arena, run->call.order_key),
        .kind = run->kind,
        .attempt = run->call.attempt,
        .verdict = jobs_judge(run->kind, run->call.attempt, ERR_REQUEST_TIMEOUT),
        .retry_usec = b->wall_usec + jobs_backoff_usec(run->kind, run->call.attempt, rand_u64()),
    };
    why_set(&o.why, ERR_REQUEST_TIMEOUT, NULL,
            "The handler did not finish or report within %lld ms.",
            (long long)(run->kind->timeout_usec / 1000));
    return o;
}

static void collect(struct beat *b)
{
    struct jobs *jobs = b->jobs;
    int64_t mono = clock_mono_usec();
    arena_clear(&b->arena);
    b->wall_usec = clock_wall_usec();
    b->kept_count = 0;
    b->overdue_count = 0;
    b->note_count = 0;
    b->notes = arena_alloc_array(&b->arena, jobs->run_count, sizeof(b->notes[0]));
    b->kept = arena_alloc_array(&b->arena, jobs->run_count, sizeof(b->kept[0]));
    b->overdue = arena_alloc_array(&b->arena, jobs->run_count, sizeof(b->overdue[0]));
    pthread_mutex_lock(&jobs->lock);
    for (size_t i = 0; i < jobs->run_count; i++) {
        struct jobs_run *run = &jobs->runs[i];
        if (run->place == JOBS_FREE || run->lost || run->abandoned) {
            continue;
        }
        if (run->place == JOBS_RUNNING && mono > run->deadline_mono_usec) {
            run->abandoned = true;
            jobs->active--;
            jobs->hung++;
            b->overdue[b->overdue_count++] = overdue_of(b, run);
        } else if (mono - run->claimed_mono_usec > jobs->config.lease_usec / YOUNG_PART) {
            b->kept[b->kept_count++] = (struct jobs_kept){.hold = run->renewed};
            if (run->progressed && run->place == JOBS_RUNNING) {
                b->notes[b->note_count++] = run->progress;
                run->progressed = false; /* one that is not written in time is a little older */
            }
        }
    }
    pthread_mutex_unlock(&jobs->lock);
}

static enum err end_overdue(struct store_tx *tx, const struct beat *b, struct overdue *o,
                            struct why *why)
{
    char text[JOBS_ERROR_MAX];
    struct slice error = jobs_error_text(text, ERR_REQUEST_TIMEOUT, &o->why);
    struct jobs_requeue how = {.now_usec = b->wall_usec, .run_usec = o->retry_usec, .error = error};
    enum err e = o->verdict == JOBS_BURY
                     ? jobs_store_bury(tx, o->hold, b->wall_usec, false, error, &o->state, why)
                     : jobs_store_requeue(tx, o->hold, &how, &o->state, why);
    if (e == OK && o->state == JOB_DEAD) {
        e = jobs_audit_dead(tx, o->hold, o->kind_name, o->attempt, ERR_REQUEST_TIMEOUT, why);
    }
    if (e == OK && o->order_key.len > 0) {
        e = jobs_store_next(tx, &o->order_key, 1, b->wall_usec, why);
    }
    store_notify(tx, JOBS_CHANNEL);
    return e;
}

static enum err beat_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct beat *b = ctx;
    store_read_committed(tx);
    enum err e = OK;
    if (b->kept_count > 0) {
        e = jobs_store_renew(tx, b->kept, b->kept_count, b->wall_usec + b->jobs->config.lease_usec,
                             why);
    }
    for (size_t i = 0; e == OK && i < b->note_count; i++) {
        e = jobs_store_progress(tx, &b->notes[i], why);
    }
    for (size_t i = 0; e == OK && i < b->overdue_count; i++) {
        e = end_overdue(tx, b, &b->overdue[i], why);
    }
    return e;
}

/* A hold that is gone may also have been ended by the dispatcher meanwhile: then it is not found.
 */
static void note_kept(struct beat *b)
{
    pthread_mutex_lock(&b->jobs->lock);
    for (size_t i = 0; i < b->kept_count; i++) {
        struct jobs_run *run = jobs_run_find(b->jobs, b->kept[i].hold);
        if (run != NULL) {
            jobs_run_kept(run, &b->kept[i]);
        }
    }
    pthread_mutex_unlock(&b->jobs->lock);
}

/* A thread that hangs is out of the runner's hands: another one takes its place. */
static void replace_hung(struct beat *b)
{
    struct jobs *jobs = b->jobs;
    for (size_t i = 0; i < b->overdue_count; i++) {
        const struct overdue *o = &b->overdue[i];
        if (o->state == JOB_CANCELLED) {
            jobs_log_cancelled(o->hold, o->kind_name);
        } else if (o->state != 0) {
            jobs_log_failure(o->hold, o->kind_name, o->attempt, o->verdict == JOBS_BURY,
                             ERR_REQUEST_TIMEOUT, &o->why);
        }
        pthread_mutex_lock(&jobs->lock);
        bool enough =
            jobs->stopping || jobs->worker_count - jobs->hung >= (size_t)jobs->config.threads;
        bool added = enough || jobs_worker_add(jobs);
        pthread_cond_broadcast(&jobs->filled); /* one that was surplus may work now */
        pthread_mutex_unlock(&jobs->lock);
        if (!added) {
            LOG(LOG_ERROR, "jobs.workers_exhausted", log_u64("workers", jobs->worker_max));
        }
    }
}

static void keep(struct beat *b)
{
    collect(b);
    if (b->kept_count == 0 && b->overdue_count == 0) {
        return;
    }
    struct why why = {0};
    enum err e = store_write(b->jobs->store, beat_fn, b, &why);
    if (e == OK) {
        note_kept(b);
    } else if (!b->failed) {
        /* Not written: the leases run out unless a later beat comes in time. */
        LOG(LOG_ERROR, "jobs.renewal_failed", log_err(e), log_why(&why, e));
    }
    b->failed = e != OK;
    for (size_t i = 0; e != OK && i < b->overdue_count; i++) {
        b->overdue[i].state = (enum job_state)0;
    }
    replace_hung(b);
}

void *jobs_keeper_main(void *arg)
{
    struct jobs *jobs = arg;
    struct beat b = {.jobs = jobs};
    arena_init(&b.arena, 0);
    uint64_t seen = store_signal_now(jobs->store, JOBS_KEEPER_CHANNEL);
    bool ends = false;
    while (!ends) {
        store_wait(jobs->store, JOBS_KEEPER_CHANNEL, &seen, jobs->config.lease_usec / 4);
        keep(&b);
        pthread_mutex_lock(&jobs->lock);
        ends = jobs->keeper_ends;
        pthread_mutex_unlock(&jobs->lock);
    }
    arena_free(&b.arena);
    return NULL;
}
