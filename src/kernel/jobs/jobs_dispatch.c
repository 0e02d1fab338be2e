/*
 * The dispatcher: one transaction a round writes the results that came in and claims what the
 * workers can take next. While a round waits for the disk the next results gather, so the busier
 * the queue, the more jobs share a commit.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/jobs/jobs_audit.h"
#include "kernel/jobs/jobs_take.h"

/* A claimed job that no thread took within this time goes back to where others can take it. */
#define WAITING_USEC_MAX 500000
/* Before the first results: slow, so that nothing is held ready without reason. */
#define RUN_USEC_UNKNOWN USEC_PER_SEC
#define FAILURE_PAUSE_USEC 100000
#define FAILURE_PAUSE_USEC_MAX (5ll * USEC_PER_SEC)
#define GAUGE_USEC (10ll * USEC_PER_SEC)
#define REAP_MAX 256
/* How soon a job is looked after whose predecessor ended while it was being enqueued. */
#define NEXT_USEC 50000
/* How often a round that met another one at an order key runs again at once. */
#define RACES_MAX 10

struct reaped {
    struct jobs_lapsed job;
    const struct job_kind *kind;
    enum jobs_verdict verdict;
    enum job_state state; /* out: 0 when it was not ours to end */
};

struct dispatcher {
    struct jobs *jobs;
    struct jobs_taker taker;
    uint64_t seen; /* of the channel */
    int64_t run_usec_mean;
    int64_t wall_usec;
    int64_t mono_usec;
    struct jobs_budget reaps;     /* looks for lapsed leases */
    struct jobs_budget all_reaps; /* and for all of them */
    int64_t reaped_to_usec;       /* wall time up to which none was left; 0: unknown */
    struct jobs_budget nexts;     /* looks for order keys that stand still */
    bool ordered;                 /* there are order keys */
    struct jobs_budget gauges;
    int64_t stop_mono_usec; /* when stopping was first seen */
    uint64_t failures;      /* rounds in a row */
    uint64_t races;         /* rounds in a row */
    bool alerted;           /* too many are dead */
    struct jobs_list results;

    /* The round. */
    struct arena scratch;
    bool reap;
    bool reap_all;
    bool rebase;
    struct jobs_run **reserved;
    struct jobs_kept *finished;
    struct slice *order_keys;
    size_t order_key_count;
    struct reaped *reaped;
    size_t reaped_count;
    bool reaped_whole; /* none was left */
    int64_t *slots;
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
    jobs_taker_forget(&d->taker);
    d->reaped_to_usec = 0;
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
        run->verdict = JOBS_GIVE_BACK;
        run->result = ERR_STOPPING;
        run->run_usec = -1;
        jobs_run_end(run, &d->results);
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
    struct jobs_taker *t = &d->taker;
    size_t found = 0;
    t->suspect_held = false;
    for (size_t i = 0; i < jobs->run_count; i++) {
        struct jobs_run *run = &jobs->runs[i];
        if (run->place != JOBS_FREE) {
            t->suspect_held = t->suspect_held || (run->suspect && run->place != JOBS_RESULT);
        } else if (found < t->want) {
            d->reserved[found] = run;
            t->arenas[found] = &run->arena;
            found++;
        }
    }
    ASSERT(found == t->want);
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
    d->taker.want = count_wanted(d);
    d->taker.wall_usec = d->wall_usec;
    d->taker.mono_usec = d->mono_usec;
    reserve(d);
    d->reap = !jobs->stopping && jobs_budget_allows(&d->reaps, d->mono_usec) &&
              d->mono_usec >= jobs->reap_from_mono_usec;
    if (jobs->stopping && d->stop_mono_usec == 0) {
        d->stop_mono_usec = d->mono_usec;
    }
    pthread_mutex_unlock(&jobs->lock);
}

static bool schedules_are_due(const struct dispatcher *d)
{
    const struct job_catalog *c = d->jobs->catalog;
    bool due = false;
    for (size_t i = 0; !due && i < c->schedule_count; i++) {
        const struct jobs_timetable *t = &c->schedules[i];
        due = t->enabled && jobs_timetable_slot(t, d->wall_usec) != d->jobs->seen_slots[i];
    }
    return due;
}

/* ---- the transaction ---- */

/* Whoever waits behind the order key of a job that may have ended is looked after. */
static void note_order_key(struct dispatcher *d, struct slice order_key)
{
    if (order_key.len > 0) {
        d->order_keys[d->order_key_count++] = order_key;
    }
}

/* Writes what did not end well; a job that was to be cancelled ends then. */
static enum err write_failure(struct store_tx *tx, const struct dispatcher *d, struct jobs_run *run,
                              struct why *why)
{
    char text[JOBS_ERROR_MAX];
    struct jobs_requeue how = {.now_usec = d->wall_usec};
    enum job_state state = (enum job_state)0;
    enum err e = OK;
    if (run->verdict == JOBS_BURY) {
        e = jobs_store_bury(tx, run->hold, d->wall_usec, false,
                            jobs_error_text(text, run->result, &run->why), &state, why);
    } else {
        how.give_back = run->verdict == JOBS_GIVE_BACK;
        if (how.give_back) {
            store_notify(tx, JOBS_CHANNEL);
        } else {
            how.run_usec = run->retry_usec;
            how.came_back = true;
            how.error = jobs_error_text(text, run->result, &run->why);
        }
        e = jobs_store_requeue(tx, run->hold, &how, &state, why);
    }
    run->held = state != 0;
    run->cancelled = state == JOB_CANCELLED;
    return e == OK && state == JOB_DEAD
               ? jobs_audit_dead(tx, run->hold, run->call.kind, run->call.attempt, run->result, why)
               : e;
}

/* Other processes may have waited for the place of a limited queue. */
static void tell_others(struct store_tx *tx, const struct dispatcher *d, const struct jobs_run *run)
{
    if (jobs_is_limited(jobs_catalog_find(d->jobs->catalog, run->call.kind).queue)) {
        store_notify(tx, JOBS_CHANNEL);
    }
}

static enum err write_finished(struct store_tx *tx, struct dispatcher *d, struct why *why)
{
    size_t count = 0;
    for (const struct jobs_run *run = d->results.head; run != NULL; run = run->next) {
        if (run->verdict == JOBS_FINISH && !run->call.completed_) {
            d->finished[count++] = (struct jobs_kept){.hold = run->hold};
        }
    }
    return count == 0 ? OK
                      : jobs_store_finish_many(tx, d->finished, count, d->wall_usec,
                                               d->jobs->config.retention_usec == 0, why);
}

static int compare_finished(const void *left, const void *right)
{
    const struct jobs_kept *a = left;
    const struct jobs_kept *b = right;
    return a->hold.id < b->hold.id ? -1 : a->hold.id > b->hold.id;
}

/* Which of the runs that ended well were still held; `finished` is sorted by id. */
static void read_finished(struct dispatcher *d)
{
    size_t count = 0;
    for (const struct jobs_run *run = d->results.head; run != NULL; run = run->next) {
        count += run->verdict == JOBS_FINISH && !run->call.completed_;
    }
    for (struct jobs_run *run = d->results.head; run != NULL; run = run->next) {
        if (run->verdict == JOBS_FINISH) {
            struct jobs_kept wanted = {.hold = run->hold};
            const struct jobs_kept *kept = run->call.completed_
                                               ? NULL
                                               : bsearch(&wanted, d->finished, count,
                                                         sizeof(d->finished[0]), compare_finished);
            run->held = run->call.completed_ || (kept != NULL && kept->held);
            run->cancelled = false;
        }
    }
}

static enum err write_results(struct store_tx *tx, struct dispatcher *d, struct why *why)
{
    enum err e = OK;
    for (struct jobs_run *run = d->results.head; e == OK && run != NULL; run = run->next) {
        note_order_key(d, run->call.order_key);
        tell_others(tx, d, run);
        if (run->progressed && !run->call.completed_) {
            e = jobs_store_progress(tx, &run->progress, why);
        }
    }
    if (e == OK) {
        e = write_finished(tx, d, why);
    }
    if (e == OK) {
        read_finished(d);
    }
    for (struct jobs_run *run = d->results.head; e == OK && run != NULL; run = run->next) {
        if (run->verdict != JOBS_FINISH) {
            e = write_failure(tx, d, run, why);
        }
    }
    return e;
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
    struct jobs_entry entry = jobs_catalog_find(d->jobs->catalog, r->job.kind);
    r->kind = entry.kind;
    r->verdict = jobs_judge_lapse(r->kind, r->job.attempt, r->job.started);
    note_order_key(d, r->job.order_key);
    if (jobs_is_limited(entry.queue)) {
        store_notify(tx, JOBS_CHANNEL);
    }
    if (r->verdict == JOBS_BURY) {
        enum err e = jobs_store_bury(tx, r->job.hold, d->wall_usec, true, reason, &r->state, why);
        return e == OK && r->state == JOB_DEAD
                   ? jobs_audit_dead(tx, r->job.hold, r->job.kind, r->job.attempt,
                                     ERR_REQUEST_TIMEOUT, why)
                   : e;
    }
    struct jobs_requeue how = {.now_usec = d->wall_usec, .lapsed = true};
    if (r->verdict == JOBS_RETRY) {
        how.run_usec = d->wall_usec + jobs_backoff_usec(r->kind, r->job.attempt, rand_u64());
        how.error = reason;
    } else {
        how.give_back = true;
    }
    return jobs_store_requeue(tx, r->job.hold, &how, &r->state, why);
}

/*
 * Leases that ran out before the last look were dealt with then; clocks of machines may differ by
 * half a lease. What an index still holds of jobs long done is walked through only now and then.
 */
static enum err reap(struct store_tx *tx, struct dispatcher *d, struct why *why)
{
    struct jobs_lapsed *lapsed = NULL;
    size_t count = 0;
    size_t limit = REAP_MAX + d->jobs->run_count; /* our own may stand in front */
    int64_t latest = d->wall_usec + JOBS_LEASE_USEC_MAX + JOBS_LEASE_USEC_MAX / 2;
    int64_t began = clock_mono_usec();
    d->reap_all = d->reaped_to_usec == 0 || jobs_budget_allows(&d->all_reaps, began);
    int64_t from = d->reap_all ? 0 : d->reaped_to_usec - d->jobs->config.lease_usec / 2;
    enum err e =
        jobs_store_lapsed(tx, &d->scratch, from, d->wall_usec, latest, limit, &lapsed, &count, why);
    jobs_budget_spend(d->reap_all ? &d->all_reaps : &d->reaps, began, 0);
    d->reaped = arena_alloc_array(&d->scratch, count, sizeof(d->reaped[0]));
    d->reaped_whole = count < limit;
    for (size_t i = 0; e == OK && i < count; i++) {
        if (is_mine(d->jobs, lapsed[i].hold)) {
            d->reaped_whole = false;
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
    const struct job_catalog *c = d->jobs->catalog;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < c->schedule_count; i++) {
        const struct jobs_timetable *t = &c->schedules[i];
        d->slots[i] = t->enabled ? jobs_timetable_slot(t, d->wall_usec) : INT64_MIN;
        bool fired = false;
        if (d->slots[i] != d->jobs->seen_slots[i]) {
            e = jobs_store_cron(tx, t, d->wall_usec, &fired, why);
        }
    }
    return e;
}

/* Lets go on who waits behind jobs that ended, here or without our knowing. */
static enum err move_lines(struct store_tx *tx, struct dispatcher *d, struct why *why)
{
    enum err e = OK;
    if (d->order_key_count > 0) {
        d->ordered = true;
        e = jobs_store_next(tx, d->order_keys, d->order_key_count, d->wall_usec, why);
        if (d->taker.want == 0) {
            store_notify(tx, JOBS_CHANNEL); /* not for us */
        }
    }
    int64_t began = clock_mono_usec();
    if (e == OK && jobs_budget_allows(&d->nexts, began)) {
        int64_t count = 0;
        e = jobs_store_next_all(tx, d->wall_usec, &count, why);
        d->ordered = d->ordered || count > 0;
        jobs_budget_spend(&d->nexts, began, d->ordered ? NEXT_USEC : d->jobs->config.poll_usec / 2);
    }
    return e;
}

static enum err round_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct dispatcher *d = ctx;
    store_read_committed(tx);
    arena_clear(&d->scratch);
    d->taker.got = 0;
    d->taker.look_count = 0;
    d->reaped_count = 0;
    d->order_key_count = 0;
    d->order_keys =
        arena_alloc_array(&d->scratch, d->jobs->run_count * 2 + REAP_MAX, sizeof(d->order_keys[0]));
    d->taker.next_due_usec = INT64_MAX;
    enum err e = d->rebase ? jobs_store_rebase(tx, d->wall_usec, why) : OK;
    if (e == OK) {
        e = write_results(tx, d, why);
    }
    if (e == OK && d->reap) {
        e = reap(tx, d, why);
    }
    if (e == OK) {
        e = fire_schedules(tx, d, why);
    }
    if (e == OK) {
        e = move_lines(tx, d, why);
    }
    if (e == OK && d->taker.want > 0) {
        e = jobs_take(&d->taker, tx, &d->scratch, why);
    }
    return e;
}

/* ---- after the transaction ---- */

static void tell_result(const struct jobs_run *run)
{
    if (!run->held) {
        jobs_log_lost(run->hold, run->call.kind);
    } else if (run->cancelled) {
        jobs_log_cancelled(run->hold, run->call.kind);
    } else if (run->verdict == JOBS_FINISH) {
        metric_add(&jobs_metrics[JOBS_METRIC_DONE], 1);
    } else if (run->verdict != JOBS_GIVE_BACK) {
        jobs_log_failure(run->hold, run->call.kind, run->call.attempt, run->verdict == JOBS_BURY,
                         run->result, &run->why);
    }
}

static void tell_reaped(const struct reaped *r)
{
    if (r->state == 0) {
        return;
    }
    metric_add(&jobs_metrics[JOBS_METRIC_LAPSED], 1);
    if (r->state == JOB_CANCELLED) {
        jobs_log_cancelled(r->job.hold, r->job.kind);
    } else if (r->state == JOB_DEAD) {
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
    for (size_t i = 0; i < d->taker.got; i++) {
        const struct jobs_claimed *c = &d->taker.claimed[i];
        struct jobs_run *run = d->reserved[c->place];
        struct arena arena = run->arena;
        *run = (struct jobs_run){
            .place = JOBS_WAITING,
            .hold = c->hold,
            .renewed = c->hold,
            .kind = jobs_catalog_find(jobs->catalog, c->kind).kind,
            .call = {.id = c->hold.id,
                     .token = c->hold.token,
                     .kind = c->kind,
                     .key = c->key,
                     .order_key = c->order_key,
                     .attempt = c->attempt,
                     .job = &run->arena,
                     .store = jobs->store,
                     .jobs = jobs},
            .payload = c->payload,
            .arena = arena,
            .suspect = c->suspect,
            .claimed_mono_usec = d->mono_usec,
        };
        d->ordered = d->ordered || c->order_key.len > 0;
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
    for (size_t i = 0; i < jobs->catalog->schedule_count; i++) {
        jobs->seen_slots[i] = d->slots[i];
    }
    if (d->taker.want > 0) {
        jobs_taker_settle(&d->taker);
    }
    d->rebase = false;
    if (d->reap) {
        d->reaped_to_usec = d->reaped_whole ? d->wall_usec : d->reaped_to_usec;
        int64_t next = d->mono_usec + jobs->config.lease_usec / 4;
        d->reaps.from_mono_usec = next > d->reaps.from_mono_usec ? next : d->reaps.from_mono_usec;
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

/* Says once that too many are dead, and once that they are not any more. */
static void watch_dead(struct dispatcher *d, int64_t dead)
{
    bool alert = (uint64_t)dead > d->jobs->config.dead_alert;
    metric_set(&jobs_metrics[JOBS_METRIC_DEAD_ALERT], alert);
    if (alert != d->alerted) {
        LOG(alert ? LOG_ERROR : LOG_INFO, alert ? "jobs.dead_alert" : "jobs.dead_alert_ended",
            log_i64("dead", dead), log_u64("alert_above", d->jobs->config.dead_alert));
        d->alerted = alert;
    }
}

static void refresh_gauges(struct dispatcher *d)
{
    int64_t counts[2] = {0, 0};
    int64_t began = clock_mono_usec();
    if (!jobs_budget_allows(&d->gauges, began)) {
        return;
    }
    if (store_read(d->jobs->store, gauge_fn, counts, NULL) == OK) {
        metric_set(&jobs_metrics[JOBS_METRIC_QUEUED_ROWS], counts[0]);
        metric_set(&jobs_metrics[JOBS_METRIC_DEAD_ROWS], counts[1]);
        watch_dead(d, counts[1]);
    }
    jobs_budget_spend(&d->gauges, began, GAUGE_USEC);
}

/* The earlier of two times from now on. */
static int64_t sooner(int64_t usec, int64_t in_usec)
{
    int64_t in = in_usec > 0 ? in_usec : 0;
    return in < usec ? in : usec;
}

/* How long nothing of its own can happen. */
static int64_t sleep_usec(const struct dispatcher *d)
{
    const struct jobs *jobs = d->jobs;
    int64_t usec = sooner(jobs->config.poll_usec, jobs->config.lease_usec / 4);
    if (d->taker.next_due_usec != INT64_MAX) {
        usec = sooner(usec, d->taker.next_due_usec - d->wall_usec);
    }
    if (d->ordered) {
        usec = sooner(usec, d->nexts.from_mono_usec - d->mono_usec);
    }
    if (!d->taker.looks_at_all) {
        usec = sooner(usec, d->taker.whole.from_mono_usec - d->mono_usec);
    }
    for (size_t i = 0; i < jobs->catalog->schedule_count; i++) {
        const struct jobs_timetable *t = &jobs->catalog->schedules[i];
        if (t->enabled) {
            usec = sooner(usec, jobs_timetable_next_usec(t, d->wall_usec) - d->wall_usec);
        }
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
    d->taker.got = 0;
    d->taker.next_due_usec = INT64_MAX;
    look_at_clock(d);
    collect(d);
    bool due = d->results.head != NULL || d->taker.want > 0 || d->reap || d->rebase ||
               (d->stop_mono_usec == 0 && schedules_are_due(d));
    if (!due) {
        return;
    }
    struct why why = {0};
    enum err e = store_write(d->jobs->store, round_fn, d, &why);
    if (e == ERR_DB_CONSTRAINT && d->races++ < RACES_MAX) {
        d->taker.got = 0; /* another process has begun with the same order key */
        return;
    }
    if (e != OK) {
        d->taker.got = 0;
        pause_after_failure(d, &why, e);
        return;
    }
    d->races = 0;
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
    struct dispatcher d = {
        .jobs = jobs,
        .seen = store_signal_now(jobs->store, JOBS_CHANNEL),
        .run_usec_mean = RUN_USEC_UNKNOWN,
        .wall_usec = clock_wall_usec(),
        .mono_usec = clock_mono_usec(),
        .reserved =
            arena_alloc_array(&boot, (size_t)jobs->config.claim_batch, sizeof(d.reserved[0])),
        .finished = arena_alloc_array(&boot, jobs->run_count, sizeof(d.finished[0])),
        .slots = arena_alloc_array(&boot, jobs->catalog->schedule_count + 1, sizeof(d.slots[0])),
    };
    jobs_taker_init(&d.taker, jobs, &boot);
    arena_init(&d.scratch, 0);
    while (!is_over(&d)) {
        run_round(&d);
        if (d.failures == 0 && d.races == 0 && (d.taker.got == 0 || d.taker.got < d.taker.want)) {
            store_wait(jobs->store, JOBS_CHANNEL, &d.seen, sleep_usec(&d));
        }
    }
    arena_free(&d.scratch);
    arena_free(&boot);
    return NULL;
}
