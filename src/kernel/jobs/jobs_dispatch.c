/*
 * The dispatcher: one transaction a round writes the results that came in and claims what the
 * workers can take next. While a round waits for the disk the next results gather, so the busier
 * the queue, the more jobs share a commit.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/jobs/jobs_runner.h"

/* A claimed job that no thread took within this time goes back to where others can take it. */
#define WAITING_USEC_MAX 500000
/* Before the first results: slow, so that nothing is held ready without reason. */
#define RUN_USEC_UNKNOWN USEC_PER_SEC
#define FAILURE_PAUSE_USEC 100000
#define FAILURE_PAUSE_USEC_MAX (5ll * USEC_PER_SEC)
#define GAUGE_USEC (10ll * USEC_PER_SEC)
#define REAP_MAX 256

struct reaped {
    struct jobs_lapsed job;
    const struct job_kind *kind;
    enum jobs_verdict verdict;
    bool held;
};

struct dispatcher {
    struct jobs *jobs;
    uint64_t seen; /* of the channel */
    int64_t run_usec_mean;
    int64_t wall_usec;
    int64_t mono_usec;
    int64_t reap_mono_usec; /* when to look for lapsed leases again */
    int64_t gauge_mono_usec;
    int64_t stop_mono_usec; /* when stopping was first seen */
    uint64_t failures;      /* rounds in a row */
    struct jobs_list results;

    /* The round. */
    struct arena scratch;
    bool reap;
    bool rebase;
    struct jobs_run **reserved;
    struct arena **arenas; /* of the reserved runs */
    size_t want;
    bool suspect_held; /* one at a time, so that it is known which one killed the process */
    struct jobs_claimed *claimed;
    size_t got;
    int64_t next_due_usec; /* of a job whose time has not come; INT64_MAX: none */
    struct reaped *reaped;
    size_t reaped_count;
    int64_t *slots;
    bool fired;
};

/* ---- before the transaction ---- */

static void look_at_clock(struct dispatcher *d)
{
    struct jobs *jobs = d->jobs;
    int64_t wall = clock_wall_usec();
    int64_t mono = clock_mono_usec();
    int64_t wall_passed = wall - d->wall_usec;
    int64_t mono_passed = mono - d->mono_usec;
    d->wall_usec = wall;
    d->mono_usec = mono;
    if (!jobs_clock_was_set(wall_passed, mono_passed)) {
        return;
    }
    LOG(LOG_WARN, "jobs.clock_set", log_i64("apart_usec", wall_passed - mono_passed));
    pthread_mutex_lock(&jobs->lock);
    jobs->reap_from_mono_usec = mono + jobs->config.lease_usec;
    pthread_mutex_unlock(&jobs->lock);
    store_wake(jobs->store, JOBS_KEEPER_CHANNEL);
    d->rebase = d->rebase || wall_passed < mono_passed;
}

/* What waits too long, or all when the runner stops, goes back. `lock` is held. */
static void give_back_waiting(struct dispatcher *d)
{
    struct jobs *jobs = d->jobs;
    while (jobs->waiting.head != NULL &&
           (jobs->stopping ||
            d->mono_usec - jobs->waiting.head->claimed_mono_usec > WAITING_USEC_MAX)) {
        struct jobs_run *run = jobs_list_pop(&jobs->waiting);
        run->place = JOBS_RESULT;
        run->verdict = JOBS_GIVE_BACK;
        run->result = ERR_STOPPING;
        run->run_usec = -1;
        jobs_list_push(&d->results, run);
        d->run_usec_mean = RUN_USEC_UNKNOWN;
    }
}

/* How many jobs to claim. `lock` is held. */
static size_t count_wanted(const struct dispatcher *d)
{
    const struct jobs *jobs = d->jobs;
    if (jobs->stopping) {
        return 0;
    }
    size_t batch = (size_t)jobs->config.claim_batch;
    size_t room =
        jobs_slots(jobs) + jobs_prefetch(d->run_usec_mean, (size_t)jobs->config.threads, batch);
    size_t want = room > jobs->waiting.count ? room - jobs->waiting.count : 0;
    want = want < batch ? want : batch;
    return want < jobs->free_count ? want : jobs->free_count;
}

/* Only this thread takes runs out of FREE, so finding them is reserving them. `lock` is held. */
static void reserve(struct dispatcher *d)
{
    struct jobs *jobs = d->jobs;
    size_t found = 0;
    d->suspect_held = false;
    for (size_t i = 0; i < jobs->run_count; i++) {
        struct jobs_run *run = &jobs->runs[i];
        if (run->place != JOBS_FREE) {
            d->suspect_held = d->suspect_held || (run->suspect && run->place != JOBS_RESULT);
        } else if (found < d->want) {
            d->reserved[found] = run;
            d->arenas[found] = &run->arena;
            found++;
        }
    }
    ASSERT(found == d->want);
}

static void plan_retry(struct jobs_run *run, int64_t now_usec)
{
    if (run->verdict == JOBS_RETRY) {
        run->retry_usec = now_usec + jobs_backoff_usec(run->kind, run->call.attempt, rand_u64());
    }
}

static void collect(struct dispatcher *d)
{
    struct jobs *jobs = d->jobs;
    pthread_mutex_lock(&jobs->lock);
    for (struct jobs_run *run = jobs_list_pop(&jobs->results); run != NULL;
         run = jobs_list_pop(&jobs->results)) {
        d->run_usec_mean += (run->run_usec - d->run_usec_mean) / 8;
        plan_retry(run, d->wall_usec);
        jobs_list_push(&d->results, run);
    }
    give_back_waiting(d);
    d->want = count_wanted(d);
    reserve(d);
    d->reap = !jobs->stopping && d->mono_usec >= d->reap_mono_usec &&
              d->mono_usec >= jobs->reap_from_mono_usec;
    if (jobs->stopping && d->stop_mono_usec == 0) {
        d->stop_mono_usec = d->mono_usec;
    }
    pthread_mutex_unlock(&jobs->lock);
}

static bool schedules_are_due(const struct dispatcher *d)
{
    for (size_t i = 0; i < d->jobs->schedule_count; i++) {
        const struct jobs_schedule *s = &d->jobs->schedules[i];
        if (jobs_slot(d->wall_usec, s->cron->every_usec) != s->seen_slot) {
            return true;
        }
    }
    return false;
}

/* ---- the transaction ---- */

static enum err write_result(struct store_tx *tx, const struct dispatcher *d, struct jobs_run *run,
                             struct why *why)
{
    char text[JOBS_ERROR_MAX];
    struct jobs_requeue how = {.now_usec = d->wall_usec};
    switch (run->verdict) {
    case JOBS_FINISH:
        run->held = run->call.completed_; /* then the handler has written it */
        return run->held ? OK : jobs_store_finish(tx, run->hold, d->wall_usec, &run->held, why);
    case JOBS_BURY:
        return jobs_store_bury(tx, run->hold, d->wall_usec, false,
                               jobs_error_text(text, run->result, &run->why), &run->held, why);
    case JOBS_RETRY:
        how.run_usec = run->retry_usec;
        how.came_back = true;
        how.error = jobs_error_text(text, run->result, &run->why);
        break;
    case JOBS_GIVE_BACK:
        how.give_back = true;
        store_notify(tx, JOBS_CHANNEL);
        break;
    }
    return jobs_store_requeue(tx, run->hold, &how, &run->held, why);
}

/* Whether this runner is still at work on a job whose lease looks lapsed. */
static bool is_mine(struct jobs *jobs, struct jobs_hold hold)
{
    pthread_mutex_lock(&jobs->lock);
    const struct jobs_run *run = jobs_run_find(jobs, hold);
    bool mine = run != NULL && !run->lost && !run->abandoned;
    pthread_mutex_unlock(&jobs->lock);
    return mine;
}

static enum err reap_one(struct store_tx *tx, struct dispatcher *d, struct reaped *r,
                         struct why *why)
{
    static const struct slice reason =
        SLICE_LIT("request_timeout: The lease ran out: its process ended or stood still.");
    r->kind = jobs_find_kind(d->jobs, r->job.kind).kind;
    r->verdict = jobs_judge_lapse(r->kind, r->job.attempt, r->job.started);
    if (r->verdict == JOBS_BURY) {
        return jobs_store_bury(tx, r->job.hold, d->wall_usec, true, reason, &r->held, why);
    }
    struct jobs_requeue how = {.now_usec = d->wall_usec, .lapsed = true};
    if (r->verdict == JOBS_RETRY) {
        how.run_usec = d->wall_usec + jobs_backoff_usec(r->kind, r->job.attempt, rand_u64());
        how.error = reason;
    } else {
        how.give_back = true;
    }
    return jobs_store_requeue(tx, r->job.hold, &how, &r->held, why);
}

static enum err reap(struct store_tx *tx, struct dispatcher *d, struct why *why)
{
    struct jobs_lapsed *lapsed = NULL;
    size_t count = 0;
    size_t limit = REAP_MAX + d->jobs->run_count; /* our own may stand in front */
    int64_t latest = d->wall_usec + JOBS_LEASE_USEC_MAX + JOBS_LEASE_USEC_MAX / 2;
    enum err e =
        jobs_store_lapsed(tx, &d->scratch, d->wall_usec, latest, limit, &lapsed, &count, why);
    d->reaped = arena_alloc_array(&d->scratch, count, sizeof(d->reaped[0]));
    d->reaped_count = 0;
    for (size_t i = 0; e == OK && i < count; i++) {
        if (is_mine(d->jobs, lapsed[i].hold)) {
            continue;
        }
        struct reaped *r = &d->reaped[d->reaped_count++];
        r->job = lapsed[i];
        e = reap_one(tx, d, r, why);
    }
    return e;
}

static enum err fire_schedules(struct store_tx *tx, struct dispatcher *d, struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < d->jobs->schedule_count; i++) {
        const struct jobs_schedule *s = &d->jobs->schedules[i];
        d->slots[i] = jobs_slot(d->wall_usec, s->cron->every_usec);
        bool fired = false;
        if (d->slots[i] != s->seen_slot) {
            e = jobs_store_cron(tx, s->cron, d->wall_usec, &fired, why);
        }
    }
    return e;
}

/* Higher priority first, then the one whose first job waits longest. */
static int compare_heads(const void *left, const void *right)
{
    const struct jobs_head *a = left;
    const struct jobs_head *b = right;
    if (a->priority != b->priority) {
        return a->priority > b->priority ? -1 : 1;
    }
    if (a->run_usec != b->run_usec) {
        return a->run_usec < b->run_usec ? -1 : 1;
    }
    return slice_compare(a->kind, b->kind);
}

static struct jobs_claim claim_of(const struct dispatcher *d)
{
    return (struct jobs_claim){
        .now_usec = d->wall_usec,
        .until_usec = d->wall_usec + d->jobs->config.lease_usec,
        .owner = slice_text(d->jobs->owner),
        .limit = d->want - d->got,
    };
}

static enum err claim_head(struct store_tx *tx, struct dispatcher *d, const struct jobs_head *head,
                           struct why *why)
{
    struct jobs_claim claim = claim_of(d);
    claim.kind = head->kind;
    claim.priority = head->priority;
    struct jobs_claimed *claimed = d->claimed + d->got;
    size_t count = 0;
    enum err e = jobs_store_claim(tx, &claim, d->arenas + d->got, claimed, &count, why);
    for (size_t i = 0; i < count; i++) {
        claimed[i].place += d->got;
    }
    d->got += count;
    return e;
}

static enum err claim(struct store_tx *tx, struct dispatcher *d, struct why *why)
{
    struct jobs_head *heads = NULL;
    size_t count = 0;
    for (size_t i = 0; i < d->want; i++) {
        arena_clear(d->arenas[i]);
    }
    struct jobs_claim one = claim_of(d);
    enum err e = d->suspect_held ? OK
                                 : jobs_store_claim_suspect(tx, &one, d->arenas[0], &d->claimed[0],
                                                            &d->got, why);
    if (e == OK) {
        e = jobs_store_heads(tx, &d->scratch, &heads, &count, why);
    }
    if (e != OK) {
        return e;
    }
    qsort(heads, count, sizeof(heads[0]), compare_heads);
    for (size_t i = 0; e == OK && i < count; i++) {
        if (heads[i].run_usec > d->wall_usec) {
            d->next_due_usec =
                heads[i].run_usec < d->next_due_usec ? heads[i].run_usec : d->next_due_usec;
        } else if (d->got < d->want) {
            e = claim_head(tx, d, &heads[i], why);
        }
    }
    return e;
}

static enum err round_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct dispatcher *d = ctx;
    arena_clear(&d->scratch);
    d->got = 0;
    d->reaped_count = 0;
    d->next_due_usec = INT64_MAX;
    enum err e = d->rebase ? jobs_store_rebase(tx, d->wall_usec, why) : OK;
    for (struct jobs_run *run = d->results.head; e == OK && run != NULL; run = run->next) {
        e = write_result(tx, d, run, why);
    }
    if (e == OK && d->reap) {
        e = reap(tx, d, why);
    }
    if (e == OK) {
        e = fire_schedules(tx, d, why);
    }
    if (e == OK && d->want > 0) {
        e = claim(tx, d, why);
    }
    return e;
}

/* ---- after the transaction ---- */

static void tell_result(const struct jobs_run *run)
{
    if (!run->held) {
        jobs_log_lost(run->hold, run->call.kind);
    } else if (run->verdict == JOBS_FINISH) {
        metric_add(&jobs_metrics[JOBS_METRIC_DONE], 1);
    } else if (run->verdict != JOBS_GIVE_BACK) {
        jobs_log_failure(run->hold, run->call.kind, run->call.attempt, run->verdict, run->result,
                         &run->why);
    }
}

static void tell_reaped(const struct reaped *r)
{
    if (!r->held) {
        return;
    }
    metric_add(&jobs_metrics[JOBS_METRIC_LAPSED], 1);
    if (r->verdict == JOBS_BURY) {
        metric_add(&jobs_metrics[JOBS_METRIC_DEAD], 1);
        LOG(LOG_ERROR, "jobs.dead", log_i64("job", r->job.hold.id), log_slice("kind", r->job.kind),
            log_u64("attempt", r->job.attempt), log_text("reason", "lease ran out"));
    } else {
        LOG(LOG_WARN, "jobs.lease_lost", log_i64("job", r->job.hold.id),
            log_slice("kind", r->job.kind), log_bool("started", r->job.started));
    }
}

static void hand_out(struct dispatcher *d)
{
    struct jobs *jobs = d->jobs;
    for (size_t i = 0; i < d->got; i++) {
        const struct jobs_claimed *c = &d->claimed[i];
        struct jobs_run *run = d->reserved[c->place];
        struct arena arena = run->arena;
        *run = (struct jobs_run){
            .place = JOBS_WAITING,
            .hold = c->hold,
            .kind = jobs_find_kind(jobs, c->kind).kind,
            .call = {.id = c->hold.id,
                     .token = c->hold.token,
                     .kind = c->kind,
                     .key = c->key,
                     .attempt = c->attempt,
                     .job = &run->arena,
                     .store = jobs->store,
                     .jobs = jobs},
            .payload = c->payload,
            .arena = arena,
            .suspect = c->suspect,
            .claimed_mono_usec = d->mono_usec,
        };
        int64_t waited = d->wall_usec - c->run_usec;
        metric_observe(&jobs_metrics[JOBS_METRIC_WAIT], waited > 0 ? waited : 0);
        jobs_list_push(&jobs->waiting, run);
        jobs->free_count--;
        pthread_cond_signal(&jobs->filled);
    }
}

static void settle(struct dispatcher *d)
{
    struct jobs *jobs = d->jobs;
    for (const struct jobs_run *run = d->results.head; run != NULL; run = run->next) {
        tell_result(run);
    }
    for (size_t i = 0; i < d->reaped_count; i++) {
        tell_reaped(&d->reaped[i]);
    }
    for (size_t i = 0; i < jobs->schedule_count; i++) {
        jobs->schedules[i].seen_slot = d->slots[i];
    }
    d->rebase = false;
    if (d->reap) {
        d->reap_mono_usec = d->mono_usec + jobs->config.lease_usec / 4;
    }
    pthread_mutex_lock(&jobs->lock);
    for (struct jobs_run *run = jobs_list_pop(&d->results); run != NULL;
         run = jobs_list_pop(&d->results)) {
        jobs_run_free(jobs, run);
    }
    hand_out(d);
    pthread_mutex_unlock(&jobs->lock);
}

/* ---- the loop ---- */

static enum err gauge_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    int64_t *counts = ctx;
    enum err e = jobs_count(tx, JOB_QUEUED, &counts[0], why);
    return e == OK ? jobs_count(tx, JOB_DEAD, &counts[1], why) : e;
}

static void refresh_gauges(struct dispatcher *d)
{
    int64_t counts[2] = {0, 0};
    if (d->mono_usec < d->gauge_mono_usec) {
        return;
    }
    d->gauge_mono_usec = d->mono_usec + GAUGE_USEC;
    if (store_read(d->jobs->store, gauge_fn, counts, NULL) == OK) {
        metric_set(&jobs_metrics[JOBS_METRIC_QUEUED_ROWS], counts[0]);
        metric_set(&jobs_metrics[JOBS_METRIC_DEAD_ROWS], counts[1]);
    }
}

/* How long nothing of its own can happen. */
static int64_t sleep_usec(const struct dispatcher *d)
{
    const struct jobs *jobs = d->jobs;
    int64_t usec = jobs->config.poll_usec;
    int64_t reap_in = jobs->config.lease_usec / 4;
    usec = reap_in < usec ? reap_in : usec;
    if (d->next_due_usec != INT64_MAX && d->next_due_usec - d->wall_usec < usec) {
        usec = d->next_due_usec - d->wall_usec;
    }
    for (size_t i = 0; i < jobs->schedule_count; i++) {
        int64_t every = jobs->schedules[i].cron->every_usec;
        int64_t in = (jobs_slot(d->wall_usec, every) + 1) * every - d->wall_usec;
        usec = in < usec ? in : usec;
    }
    return usec;
}

static bool is_stopping(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    bool stopping = jobs->stopping;
    pthread_mutex_unlock(&jobs->lock);
    return stopping;
}

/* The database refused a round: its results stay and are written with the next one. */
static void pause_after_failure(struct dispatcher *d, const struct why *why, enum err e)
{
    if (d->failures++ == 0) {
        LOG(LOG_ERROR, "jobs.round_failed", log_err(e), log_why(why, e));
    }
    int64_t usec = FAILURE_PAUSE_USEC;
    for (uint64_t i = 1; i < d->failures && usec < FAILURE_PAUSE_USEC_MAX; i++) {
        usec *= 2;
    }
    int64_t until = clock_mono_usec() + usec;
    while (clock_mono_usec() < until && !is_stopping(d->jobs)) {
        clock_sleep_usec(FAILURE_PAUSE_USEC / 4);
    }
    if (is_stopping(d->jobs)) {
        clock_sleep_usec(FAILURE_PAUSE_USEC / 4);
    }
}

/* Whether the thread may end: nothing is held any more, or it can no longer be written. */
static bool is_over(struct dispatcher *d)
{
    struct jobs *jobs = d->jobs;
    pthread_mutex_lock(&jobs->lock);
    bool gone = jobs->workers_gone && jobs->results.head == NULL && jobs->waiting.head == NULL;
    pthread_mutex_unlock(&jobs->lock);
    if (!gone) {
        return false;
    }
    /* After a lease's length the rows are anyone's to take, so there is nothing left to save. */
    return d->results.head == NULL ||
           (d->failures > 0 && clock_mono_usec() - d->stop_mono_usec > d->jobs->config.lease_usec);
}

static void run_round(struct dispatcher *d)
{
    d->got = 0;
    d->next_due_usec = INT64_MAX;
    look_at_clock(d);
    collect(d);
    bool due = d->results.head != NULL || d->want > 0 || d->reap || d->rebase ||
               (d->stop_mono_usec == 0 && schedules_are_due(d));
    if (!due) {
        return;
    }
    struct why why = {0};
    enum err e = store_write(d->jobs->store, round_fn, d, &why);
    if (e != OK) {
        d->got = 0;
        pause_after_failure(d, &why, e);
        return;
    }
    if (d->failures > 0) {
        LOG(LOG_INFO, "jobs.round_recovered", log_u64("failures", d->failures));
        d->failures = 0;
    }
    settle(d);
    refresh_gauges(d);
}

void *jobs_dispatcher_main(void *arg)
{
    struct jobs *jobs = arg;
    struct arena boot;
    arena_init(&boot, 0);
    size_t batch = (size_t)jobs->config.claim_batch;
    struct dispatcher d = {
        .jobs = jobs,
        .seen = store_signal_now(jobs->store, JOBS_CHANNEL),
        .run_usec_mean = RUN_USEC_UNKNOWN,
        .wall_usec = clock_wall_usec(),
        .mono_usec = clock_mono_usec(),
        .reserved = arena_alloc_array(&boot, batch, sizeof(d.reserved[0])),
        .arenas = arena_alloc_array(&boot, batch, sizeof(d.arenas[0])),
        .claimed = arena_alloc_array(&boot, batch, sizeof(d.claimed[0])),
        .slots = arena_alloc_array(&boot, jobs->schedule_count + 1, sizeof(d.slots[0])),
    };
    arena_init(&d.scratch, 0);
    while (!is_over(&d)) {
        run_round(&d);
        if (d.failures == 0 && (d.got == 0 || d.got < d.want)) {
            store_wait(jobs->store, JOBS_CHANNEL, &d.seen, sleep_usec(&d));
        }
    }
    arena_free(&d.scratch);
    arena_free(&boot);
    return NULL;
}
