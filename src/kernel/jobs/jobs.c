#include "kernel/jobs/jobs.h"

#include "kernel/base/check.h"
#include "kernel/jobs/jobs_runner.h"
#include "kernel/jobs/jobs_sql.h"

/* How often a replay of all dead jobs looks for more. */
#define REPLAY_PAGE 500
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
     .doc = "How long jobs that are done or cancelled stay listed."},
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

static enum err insert_job(struct store_tx *tx, const struct job_new *job, int64_t *out_id,
                           bool *out_inserted, struct why *why)
{
    int64_t now = clock_wall_usec();
    int64_t id = 0;
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_enqueue);
    store_bind_text(&q, "kind", slice_text(job->kind));
    if (job->key.len > 0) {
        store_bind_text(&q, "key", job->key);
    } else {
        store_bind_null(&q, "key");
    }
    store_bind_json(&q, "payload", job->payload.len > 0 ? job->payload : SLICE_LIT("{}"));
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

enum err jobs_enqueue(struct store_tx *tx, const struct job_new *job, int64_t *out_id,
                      struct why *why)
{
    ASSERT(job->kind != NULL && job->kind[0] != '\0' && strlen(job->kind) <= JOBS_KIND_MAX);
    ASSERT(job->delay_usec >= 0);
    if (job->payload.len > JOBS_PAYLOAD_MAX) {
        return why_set(why, ERR_LIMIT, "payload", "A job carries at most %d bytes.",
                       JOBS_PAYLOAD_MAX);
    }
    if (job->key.len > JOBS_KEY_MAX) {
        return why_set(why, ERR_LIMIT, "key", "The key of a job has at most %d bytes.",
                       JOBS_KEY_MAX);
    }
    int64_t id = 0;
    bool inserted = false;
    bool found = false;
    enum err e = OK;
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

/* ---- from within a handler ---- */

static struct jobs_hold hold_of(const struct job_call *call)
{
    return (struct jobs_hold){.id = call->id, .token = call->token};
}

enum err jobs_complete(struct store_tx *tx, struct job_call *call, struct why *why)
{
    bool held = false;
    enum err e = jobs_store_finish(tx, hold_of(call), clock_wall_usec(), &held, why);
    if (e == OK && !held) {
        e = why_set(why, ERR_CONFLICT, NULL, "The lease of job %lld was lost.",
                    (long long)call->id);
    }
    call->completed_ = e == OK;
    return e;
}

struct renewal {
    struct jobs_hold hold;
    int64_t lease_usec;
    bool held;
};

static enum err renew_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct renewal *r = ctx;
    return jobs_store_renew(tx, r->hold, clock_wall_usec() + r->lease_usec, &r->held, why);
}

enum err jobs_heartbeat(struct job_call *call, struct why *why)
{
    struct jobs *jobs = call->jobs;
    struct renewal r = {.hold = hold_of(call), .lease_usec = jobs->config.lease_usec};
    enum err e = store_write(call->store, renew_fn, &r, why);
    if (e != OK) {
        return e;
    }
    pthread_mutex_lock(&jobs->lock);
    struct jobs_run *run = jobs_run_find(jobs, r.hold);
    bool held = r.held && (run == NULL || !run->abandoned);
    if (run != NULL) {
        run->lost = run->lost || !r.held;
        run->deadline_mono_usec = clock_mono_usec() + run->kind->timeout_usec;
    }
    pthread_mutex_unlock(&jobs->lock);
    if (!held) {
        return why_set(why, ERR_CONFLICT, NULL, "The lease of job %lld was lost.",
                       (long long)call->id);
    }
    return OK;
}

/* ---- from outside ---- */

/* Why a job could not be moved: it is not there, or not in the state that the move needs. */
static enum err explain(struct store_tx *tx, int64_t id, const char *reason, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_state);
    store_bind_i64(&q, "id", id);
    bool found = store_step(&q);
    if (found) {
        store_ignore(&q, "state");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    if (!found) {
        return why_set(why, ERR_NOT_FOUND, "id", "Job %lld does not exist.", (long long)id);
    }
    return why_set(why, ERR_CONFLICT, "id", "Job %lld %s.", (long long)id, reason);
}

static enum err move_job(struct store_tx *tx, const struct store_statement *statement, int64_t id,
                         bool *out_moved, struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, statement);
    store_bind_i64(&q, "id", id);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    if (e == OK) {
        *out_moved = changed > 0;
    }
    return e;
}

struct dead_place {
    int64_t finished_usec;
    int64_t id;
};

static enum err list_dead(struct store_tx *tx, const struct dead_place *after,
                          struct dead_place *out, size_t *out_count, struct why *why)
{
    struct store_query q;
    size_t count = 0;
    store_begin(&q, tx, &jobs_sql_dead);
    store_bind_time(&q, "finished", after->finished_usec);
    store_bind_i64(&q, "id", after->id);
    store_bind_i64(&q, "limit", REPLAY_PAGE);
    while (store_step(&q)) {
        ASSERT(count < REPLAY_PAGE);
        out[count].id = store_get_i64(&q, "id");
        out[count++].finished_usec = store_get_time(&q, "finished");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_count = count;
    }
    return e;
}

/* One by one, because of two dead jobs with one key only the first may live again. */
static enum err replay_all(struct store_tx *tx, int64_t *out_count, struct why *why)
{
    struct dead_place page[REPLAY_PAGE];
    struct dead_place last = {0};
    size_t count = REPLAY_PAGE;
    int64_t replayed = 0;
    enum err e = OK;
    while (e == OK && count == REPLAY_PAGE) {
        e = list_dead(tx, &last, page, &count, why);
        for (size_t i = 0; e == OK && i < count; i++) {
            bool moved = false;
            e = move_job(tx, &jobs_sql_replay, page[i].id, &moved, why);
            replayed += moved;
            last = page[i];
        }
    }
    if (e == OK) {
        *out_count = replayed;
    }
    return e;
}

enum err jobs_replay(struct store_tx *tx, int64_t id, int64_t *out_count, struct why *why)
{
    int64_t count = 0;
    enum err e = OK;
    if (id == 0) {
        e = replay_all(tx, &count, why);
    } else {
        bool moved = false;
        e = move_job(tx, &jobs_sql_replay, id, &moved, why);
        if (e == OK && !moved) {
            e = explain(tx, id, "is not dead, or another one has its key", why);
        }
        count = moved;
    }
    if (e != OK) {
        return e;
    }
    store_notify(tx, JOBS_CHANNEL);
    if (out_count != NULL) {
        *out_count = count;
    }
    return OK;
}

enum err jobs_cancel(struct store_tx *tx, int64_t id, struct why *why)
{
    bool moved = false;
    enum err e = move_job(tx, &jobs_sql_cancel, id, &moved, why);
    return e != OK || moved ? e : explain(tx, id, "is not queued", why);
}

static void read_job(struct store_query *q, struct arena *arena, struct job_row *out)
{
    out->id = store_get_i64(q, "id");
    out->kind = store_get_text(q, "kind", arena);
    out->key = store_get_text(q, "key", arena);
    out->state = (enum job_state)store_get_i64(q, "state");
    out->attempts = (uint32_t)store_get_i64(q, "attempts");
    out->error = store_get_text(q, "error", arena);
    out->created_usec = store_get_time(q, "created");
    out->run_usec = store_get_time(q, "run_at");
    out->payload = store_get_text(q, "payload", arena);
}

enum err jobs_list(struct store_tx *tx, struct arena *arena, enum job_state state, size_t limit,
                   struct job_row **out, size_t *out_count, struct why *why)
{
    struct job_row *rows = arena_alloc_array(arena, limit, sizeof(rows[0]));
    size_t count = 0;
    struct store_query q;
    if (state == 0) {
        store_begin(&q, tx, &jobs_sql_list);
    } else {
        store_begin(&q, tx, state >= JOB_DONE ? &jobs_sql_list_ended : &jobs_sql_list_live);
        store_bind_i64(&q, "state", state);
    }
    store_bind_i64(&q, "limit", (int64_t)limit);
    while (store_step(&q)) {
        ASSERT(count < limit);
        read_job(&q, arena, &rows[count++]);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = rows;
        *out_count = count;
    }
    return e;
}

enum err jobs_count(struct store_tx *tx, enum job_state state, int64_t *out, struct why *why)
{
    int64_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_count);
    store_bind_i64(&q, "state", state);
    if (store_step(&q)) {
        count = store_get_i64(&q, "count");
    }
    enum err e = store_finish_one(&q, "count", why);
    if (e == OK) {
        *out = count;
    }
    return e;
}

/* ---- the manual ---- */

/* The largest unit that says it exactly. */
static void add_duration(struct buf *out, int64_t usec)
{
    static const struct {
        int64_t usec;
        const char *unit;
    } units[] = {{86400ll * USEC_PER_SEC, "d"},
                 {3600ll * USEC_PER_SEC, "h"},
                 {60ll * USEC_PER_SEC, "min"},
                 {USEC_PER_SEC, "s"},
                 {1000, "ms"}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (usec > 0 && usec % units[i].usec == 0) {
            buf_format(out, "%lld %s", (long long)(usec / units[i].usec), units[i].unit);
            return;
        }
    }
    buf_format(out, "%lld us", (long long)usec);
}

static void add_kind(struct buf *out, const struct job_kind *k)
{
    bool fixed = k->backoff == JOB_BACKOFF_FIXED;
    buf_format(out, "| `%s` | %s | %u | %s ", k->name, k->queue, k->attempts_max,
               fixed ? "fixed" : "exponential from");
    add_duration(out, k->backoff_usec);
    if (!fixed && k->backoff_usec_max > 0) {
        buf_add_text(out, " to ");
        add_duration(out, k->backoff_usec_max);
    }
    buf_add_text(out, " | ");
    add_duration(out, k->timeout_usec);
    buf_format(out, " | %s |\n", k->doc);
}

void jobs_reference(const struct job_table *tables, size_t table_count, struct buf *out)
{
    buf_add_text(out, "| kind | queue | attempts | back-off | time limit | what it does |\n"
                      "|---|---|---|---|---|---|\n");
    for (size_t t = 0; t <= table_count; t++) {
        const struct job_table *table = t < table_count ? &tables[t] : jobs_own_table();
        for (size_t i = 0; i < table->kind_count; i++) {
            add_kind(out, &table->kinds[i]);
        }
    }
    buf_add_text(out, "\n| schedule | kind | every | why |\n|---|---|---|---|\n");
    for (size_t t = 0; t <= table_count; t++) {
        const struct job_table *table = t < table_count ? &tables[t] : jobs_own_table();
        for (size_t i = 0; i < table->cron_count; i++) {
            const struct job_cron *c = &table->crons[i];
            buf_format(out, "| `%s` | `%s` | ", c->name, c->kind);
            add_duration(out, c->every_usec);
            buf_format(out, " | %s |\n", c->doc);
        }
    }
}
