#include "kernel/jobs/jobs.h"

#include "kernel/base/check.h"
#include "kernel/jobs/jobs_runner.h"
#include "kernel/jobs/jobs_sql.h"

#define ENQUEUE_TRIES 3

const struct config_row jobs_config_rows[] = {
    {.key = "jobs.threads",
     .type = CONFIG_U64,
     .offset = offsetof(struct jobs_config, threads),
     .default_ = "4",
     .min = 1,
     .max = 256,
     .doc = "Handlers that run at the same time in this process."},
    {.key = "jobs.claim_batch",
     .type = CONFIG_U64,
     .offset = offsetof(struct jobs_config, claim_batch),
     .default_ = "64",
     .min = 1,
     .max = 10000,
     .doc = "Most jobs that are claimed in one transaction."},
    {.key = "jobs.poll",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct jobs_config, poll_usec),
     .default_ = "1s",
     .min = 10000,
     .max = 60ull * USEC_PER_SEC,
     .doc = "How long an idle runner trusts that it would have been woken."},
    {.key = "jobs.lease",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct jobs_config, lease_usec),
     .default_ = "3s",
     .min = 200000,
     .max = JOBS_LEASE_USEC_MAX,
     .doc = "After this time without a sign of life another process takes a job over."},
    {.key = "jobs.retention",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct jobs_config, retention_usec),
     .default_ = "1d",
     .doc = "How long jobs that are done or cancelled stay listed; with 0s done ones are forgotten "
            "at once, which is faster."},
    {.key = "jobs.dead_retention",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct jobs_config, dead_retention_usec),
     .default_ = "7d",
     .doc = "How long dead jobs stay listed and can be replayed; 0s keeps them."},
    {.key = "jobs.dead_alert",
     .type = CONFIG_U64,
     .offset = offsetof(struct jobs_config, dead_alert),
     .default_ = "100",
     .doc = "More dead jobs than this make the health degraded."},
};
const size_t jobs_config_row_count = sizeof(jobs_config_rows) / sizeof(jobs_config_rows[0]);

/* ---- enqueueing ---- */

static void bind_text_or_null(struct store_query *q, const char *name, struct slice text)
{
    if (text.len > 0) {
        store_bind_text(q, name, text);
    } else {
        store_bind_null(q, name);
    }
}

static struct slice payload_of(const struct job_new *job)
{
    return job->payload.len > 0 ? job->payload : SLICE_LIT("{}");
}

static enum err insert_job(struct store_tx *tx, const struct job_new *job, int64_t *out_id,
                           bool *out_inserted, struct why *why)
{
    int64_t now = clock_wall_usec();
    int64_t id = 0;
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_enqueue);
    store_bind_text(&q, "kind", slice_text(job->kind));
    bind_text_or_null(&q, "key", job->key);
    bind_text_or_null(&q, "order_key", job->order_key);
    store_bind_json(&q, "payload", payload_of(job));
    store_bind_i64(&q, "priority", job->priority);
    store_bind_time(&q, "now", now);
    store_bind_time(&q, "run_at", now + job->delay_usec);
    bool inserted = store_step(&q);
    if (inserted) {
        id = store_get_i64(&q, "id");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_inserted = inserted;
        *out_id = id;
    }
    return e;
}

static enum err find_live(struct store_tx *tx, struct slice key, int64_t *out_id, bool *out_found,
                          struct why *why)
{
    int64_t id = 0;
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_find_live);
    store_bind_text(&q, "key", key);
    bool found = store_step(&q);
    if (found) {
        id = store_get_i64(&q, "id");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_found = found;
        *out_id = id;
    }
    return e;
}

static enum err check_new(const struct job_new *job, struct why *why)
{
    ASSERT(job->kind != NULL && job->kind[0] != '\0' && strlen(job->kind) <= JOBS_KIND_MAX);
    ASSERT(job->delay_usec >= 0);
    if (job->payload.len > JOBS_PAYLOAD_MAX) {
        return why_set(why, ERR_LIMIT, "payload", "A job carries at most %d bytes.",
                       JOBS_PAYLOAD_MAX);
    }
    if (job->key.len > JOBS_KEY_MAX || job->order_key.len > JOBS_KEY_MAX) {
        return why_set(why, ERR_LIMIT, job->key.len > JOBS_KEY_MAX ? "key" : "order_key",
                       "A key of a job has at most %d bytes.", JOBS_KEY_MAX);
    }
    return OK;
}

enum err jobs_enqueue(struct store_tx *tx, const struct job_new *job, int64_t *out_id,
                      struct why *why)
{
    int64_t id = 0;
    bool inserted = false;
    bool found = false;
    enum err e = check_new(job, why);
    /* Between the two statements another transaction may end the job that has the key. */
    for (int i = 0; e == OK && !inserted && !found && i < ENQUEUE_TRIES; i++) {
        e = insert_job(tx, job, &id, &inserted, why);
        if (e == OK && !inserted) {
            e = find_live(tx, job->key, &id, &found, why);
        }
    }
    if (e == OK && !inserted && !found) {
        e = why_set(why, ERR_DB_BUSY, "key", "The job of key %.*s comes and goes.",
                    SLICE_ARG(job->key));
    }
    if (e != OK) {
        return e;
    }
    if (inserted) {
        store_notify(tx, JOBS_CHANNEL);
    }
    if (out_id != NULL) {
        *out_id = id;
    }
    return OK;
}

static bool is_plain(const struct job_new *job)
{
    return job->key.len == 0 && job->order_key.len == 0;
}

/* Adds what has neither key, the fastest way in. */
static enum err load_plain(struct store_tx *tx, const struct job_new *jobs, size_t count,
                           struct why *why)
{
    int64_t now = clock_wall_usec();
    struct store_query q;
    store_begin_rows(&q, tx, &jobs_sql_load);
    for (size_t i = 0; i < count; i++) {
        if (!is_plain(&jobs[i])) {
            continue;
        }
        store_bind_text(&q, "kind", slice_text(jobs[i].kind));
        store_bind_json(&q, "payload", payload_of(&jobs[i]));
        store_bind_i64(&q, "priority", jobs[i].priority);
        store_bind_i64(&q, "state", JOB_QUEUED);
        store_bind_i64(&q, "attempts", 0);
        store_bind_i64(&q, "lapses", 0);
        store_bind_time(&q, "created", now);
        store_bind_time(&q, "scheduled", now);
        store_bind_time(&q, "run_at", now + jobs[i].delay_usec);
        store_bind_i64(&q, "lease_token", 0);
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

static int compare_order(const void *left, const void *right)
{
    const struct job_new *a = *(const struct job_new *const *)left;
    const struct job_new *b = *(const struct job_new *const *)right;
    int order = slice_compare(a->order_key, b->order_key);
    return order != 0 ? order : (a < b ? -1 : a > b);
}

/* Which of the jobs come behind another one of these; `out` has one flag a job. */
static void find_behind(const struct job_new *jobs, size_t count, struct arena *scratch, bool *out)
{
    const struct job_new **sorted = arena_alloc_array(scratch, count, sizeof(sorted[0]));
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &jobs[i];
    }
    qsort(sorted, count, sizeof(sorted[0]), compare_order);
    for (size_t i = 1; i < count; i++) {
        out[sorted[i] - jobs] = sorted[i]->order_key.len > 0 &&
                                slice_equal(sorted[i]->order_key, sorted[i - 1]->order_key);
    }
}

static enum err insert_keyed(struct store_tx *tx, const struct job_new *jobs, size_t count,
                             struct why *why)
{
    int64_t now = clock_wall_usec();
    struct arena scratch;
    struct store_query q;
    arena_init(&scratch, 0);
    bool *behind = arena_alloc_array(&scratch, count, sizeof(behind[0]));
    find_behind(jobs, count, &scratch, behind);
    store_begin_rows(&q, tx, &jobs_sql_enqueue_keyed);
    for (size_t i = 0; i < count; i++) {
        if (is_plain(&jobs[i])) {
            continue;
        }
        store_bind_text(&q, "kind", slice_text(jobs[i].kind));
        bind_text_or_null(&q, "key", jobs[i].key);
        bind_text_or_null(&q, "order_key", jobs[i].order_key);
        store_bind_bool(&q, "behind", behind[i]);
        store_bind_json(&q, "payload", payload_of(&jobs[i]));
        store_bind_i64(&q, "priority", jobs[i].priority);
        store_bind_time(&q, "now", now);
        store_bind_time(&q, "run_at", now + jobs[i].delay_usec);
        store_row(&q);
    }
    enum err e = store_finish(&q, NULL, why);
    arena_free(&scratch);
    return e;
}

enum err jobs_enqueue_many(struct store_tx *tx, const struct job_new *jobs, size_t count,
                           struct why *why)
{
    ASSERT(count <= JOBS_MANY_MAX);
    size_t plain = 0;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = check_new(&jobs[i], why);
        plain += is_plain(&jobs[i]);
    }
    if (e == OK && plain > 0) {
        e = load_plain(tx, jobs, count, why);
    }
    if (e == OK && plain < count) {
        e = insert_keyed(tx, jobs, count, why);
    }
    if (e == OK && count > 0) {
        store_notify(tx, JOBS_CHANNEL);
    }
    return e;
}

/* ---- from within a handler ---- */

static struct jobs_hold hold_of(const struct job_call *call)
{
    return (struct jobs_hold){.id = call->id, .token = call->token};
}

/* With the spot where its row lay last, as long as the runner has it. */
static struct jobs_hold find_hold(const struct job_call *call)
{
    struct jobs *jobs = call->jobs;
    struct jobs_hold hold = hold_of(call);
    pthread_mutex_lock(&jobs->lock);
    const struct jobs_run *run = jobs_run_find(jobs, hold);
    hold = run != NULL ? run->hold : hold;
    pthread_mutex_unlock(&jobs->lock);
    return hold;
}

enum err jobs_complete(struct store_tx *tx, struct job_call *call, struct why *why)
{
    int64_t now = clock_wall_usec();
    bool held = false;
    enum err e = jobs_store_finish(tx, find_hold(call), now, &held, why);
    if (e == OK && !held) {
        e = why_set(why, ERR_CONFLICT, NULL, "The lease of job %lld was lost.",
                    (long long)call->id);
    }
    /* Whoever waits behind its order key is let go by the round that takes note of the result. */
    if (e == OK && jobs_is_limited(jobs_catalog_find(call->jobs->catalog, call->kind).queue)) {
        store_notify(tx, JOBS_CHANNEL); /* other processes may have waited for the place */
    }
    call->completed_ = e == OK;
    return e;
}

struct renewal {
    struct jobs_kept kept;
    int64_t lease_usec;
};

static enum err renew_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct renewal *r = ctx;
    store_read_committed(tx);
    return jobs_store_renew(tx, &r->kept, 1, clock_wall_usec() + r->lease_usec, why);
}

enum err jobs_heartbeat(struct job_call *call, struct why *why)
{
    struct jobs *jobs = call->jobs;
    struct renewal r = {.kept = {.hold = find_hold(call)}, .lease_usec = jobs->config.lease_usec};
    enum err e = store_write(call->store, renew_fn, &r, why);
    if (e != OK) {
        return e;
    }
    pthread_mutex_lock(&jobs->lock);
    struct jobs_run *run = jobs_run_find(jobs, r.kept.hold);
    bool held = r.kept.held && (run == NULL || !run->abandoned);
    if (run != NULL) {
        jobs_run_kept(run, &r.kept);
        run->deadline_mono_usec = clock_mono_usec() + run->kind->timeout_usec;
    }
    pthread_mutex_unlock(&jobs->lock);
    if (!held) {
        return why_set(why, ERR_CONFLICT, NULL, "The lease of job %lld was lost.",
                       (long long)call->id);
    }
    if (r.kept.cancelling) {
        return why_set(why, ERR_CANCELLED, NULL, "Job %lld is to be cancelled.",
                       (long long)call->id);
    }
    return OK;
}

bool jobs_cancelled(const struct job_call *call)
{
    struct jobs *jobs = call->jobs;
    pthread_mutex_lock(&jobs->lock);
    const struct jobs_run *run = jobs_run_find(jobs, hold_of(call));
    bool cancelled = run != NULL && run->cancelling;
    pthread_mutex_unlock(&jobs->lock);
    return cancelled;
}

/* Cuts text without cutting a character of it. */
static size_t cut_utf8(struct slice text, size_t max)
{
    size_t len = text.len;
    if (len > max) {
        len = max;
        while (len > 0 && (text.ptr[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    return len;
}

void jobs_progress(struct job_call *call, int64_t done, int64_t total, struct slice note)
{
    struct jobs *jobs = call->jobs;
    pthread_mutex_lock(&jobs->lock);
    struct jobs_run *run = jobs_run_find(jobs, hold_of(call));
    if (run != NULL && !run->abandoned) {
        struct jobs_progress_note *p = &run->progress;
        p->hold = run->hold;
        p->done = done;
        p->total = total;
        p->len = cut_utf8(note, sizeof(p->text));
        memcpy(p->text, note.ptr, p->len);
        run->progressed = true;
        run->deadline_mono_usec = clock_mono_usec() + run->kind->timeout_usec;
    }
    pthread_mutex_unlock(&jobs->lock);
}

struct slice jobs_once_key(const struct job_call *call, const char *step)
{
    return slice_format(call->job, "job/%lld/%s", (long long)call->id, step);
}
