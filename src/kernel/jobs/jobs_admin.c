#include "kernel/jobs/jobs_admin.h"

#include "kernel/base/check.h"
#include "kernel/jobs/jobs_runner.h"
#include "kernel/jobs/jobs_sql.h"

static const char *const state_texts[] = {"", "queued", "running", "done", "dead", "cancelled"};

const char *jobs_state_text(enum job_state state)
{
    ASSERT(state >= JOB_QUEUED && state <= JOB_CANCELLED);
    return state_texts[state];
}

enum err jobs_state_parse(struct slice text, enum job_state *out, struct why *why)
{
    for (int s = JOB_QUEUED; s <= JOB_CANCELLED; s++) {
        if (slice_equal_text(text, state_texts[s])) {
            *out = (enum job_state)s;
            return OK;
        }
    }
    return why_set(why, ERR_INVALID_FIELD, "state",
                   "state is queued, running, done, dead or cancelled.");
}

/* ---- looking ---- */

static void read_row(struct store_query *q, struct arena *arena, struct job_row *out)
{
    *out = (struct job_row){
        .id = store_get_i64(q, "id"),
        .kind = store_get_text(q, "kind", arena),
        .key = store_get_text(q, "key", arena),
        .order_key = store_get_text(q, "order_key", arena),
        .state = (enum job_state)store_get_i64(q, "state"),
        .behind = store_get_bool(q, "behind"),
        .cancelling = store_get_bool(q, "cancelling"),
        .priority = (int32_t)store_get_i64(q, "priority"),
        .attempts = (uint32_t)store_get_i64(q, "attempts"),
        .error = store_get_text(q, "error", arena),
        .created_usec = store_get_time(q, "created"),
        .run_usec = store_get_time(q, "run_at"),
        .finished_usec = store_get_time(q, "finished"),
        .has_progress = !store_is_null(q, "progress_done"),
    };
    out->progress_done = store_get_i64(q, "progress_done");
    out->progress_total = store_get_i64(q, "progress_total");
    out->progress_note = store_get_text(q, "progress_note", arena);
}

static void bind_kinds(struct store_query *q, struct arena *arena, const struct job_filter *filter)
{
    if (filter->kind_count == 0) {
        store_bind_null(q, "kinds");
        return;
    }
    struct buf text;
    struct json_out j;
    buf_init(&text, arena, 256);
    json_out_init(&j, &text);
    json_begin_array(&j);
    for (size_t i = 0; i < filter->kind_count; i++) {
        json_text(&j, filter->kinds[i]);
    }
    json_end_array(&j);
    store_bind_json(q, "kinds", buf_slice(&text));
}

/* The end of time that both databases can hold. */
#define LATEST_USEC (253402300799ll * USEC_PER_SEC)

enum err jobs_list(struct store_tx *tx, struct arena *arena, const struct job_filter *filter,
                   struct job_row **out, size_t *out_count, struct why *why)
{
    ASSERT(filter->limit > 0 && filter->limit <= JOBS_LIST_MAX);
    struct job_row *rows = arena_alloc_array(arena, filter->limit, sizeof(rows[0]));
    size_t count = 0;
    bool ended = filter->state >= JOB_DONE;
    struct store_query q;
    if (filter->state == 0) {
        store_begin(&q, tx, &jobs_sql_list);
    } else {
        store_begin(&q, tx, ended ? &jobs_sql_list_ended : &jobs_sql_list_live);
        store_bind_i64(&q, "state", filter->state);
    }
    bind_kinds(&q, arena, filter);
    if (ended) {
        store_bind_time(&q, "before", filter->before_usec > 0 ? filter->before_usec : LATEST_USEC);
    }
    store_bind_i64(&q, "below", filter->below_id > 0 ? filter->below_id : INT64_MAX);
    store_bind_i64(&q, "limit", (int64_t)filter->limit);
    while (store_step(&q)) {
        ASSERT(count < filter->limit);
        read_row(&q, arena, &rows[count++]);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = rows;
        *out_count = count;
    }
    return e;
}

static enum err no_such_job(int64_t id, struct why *why)
{
    return why_set(why, ERR_NOT_FOUND, "id", "Job %lld does not exist.", (long long)id);
}

enum err jobs_get(struct store_tx *tx, struct arena *arena, int64_t id, struct job_row *out,
                  struct why *why)
{
    struct job_row row = {0};
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_get);
    store_bind_i64(&q, "id", id);
    bool found = store_step(&q);
    if (found) {
        read_row(&q, arena, &row);
        row.payload = store_get_text(&q, "payload", arena);
        row.owner = store_get_text(&q, "lease_owner", arena);
        row.lease_usec = store_get_time(&q, "lease_until");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && !found) {
        e = no_such_job(id, why);
    }
    if (e == OK) {
        *out = row;
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

static void text_member(struct json_out *j, const char *key, struct slice text)
{
    if (text.len > 0) {
        json_key(j, key);
        json_string(j, text);
    }
}

static void time_member(struct json_out *j, const char *key, int64_t usec)
{
    if (usec != 0) {
        json_key(j, key);
        json_time(j, usec);
    }
}

static void progress_member(struct json_out *j, const struct job_row *row)
{
    json_key(j, "progress");
    json_begin_object(j);
    json_key(j, "done");
    json_i64(j, row->progress_done);
    json_key(j, "total");
    json_i64(j, row->progress_total);
    text_member(j, "note", row->progress_note);
    json_end_object(j);
}

void jobs_row_json(struct json_out *j, const struct job_row *row, bool whole)
{
    json_begin_object(j);
    json_key(j, "id");
    json_i64(j, row->id);
    json_key(j, "kind");
    json_string(j, row->kind);
    json_key(j, "state");
    json_text(j, jobs_state_text(row->state));
    text_member(j, "key", row->key);
    text_member(j, "orderKey", row->order_key);
    if (row->state == JOB_QUEUED && row->behind) {
        json_key(j, "waitsForTurn");
        json_bool(j, true);
    }
    if (row->cancelling) {
        json_key(j, "cancelling");
        json_bool(j, true);
    }
    json_key(j, "priority");
    json_i64(j, row->priority);
    json_key(j, "attempts");
    json_u64(j, row->attempts);
    text_member(j, "error", row->error);
    time_member(j, "createdAt", row->created_usec);
    time_member(j, "runAt", row->run_usec);
    time_member(j, "finishedAt", row->finished_usec);
    if (row->has_progress) {
        progress_member(j, row);
    }
    if (whole) {
        text_member(j, "leaseOwner", row->owner);
        time_member(j, "leaseUntil", row->lease_usec);
        json_key(j, "payload");
        json_raw(j, row->payload);
    }
    json_end_object(j);
}

/* ---- moving ---- */

/* Why a job could not be moved: it is not there, or not in the state that the move needs. */
static enum err explain(struct store_tx *tx, int64_t id, const char *reason, struct why *why)
{
    struct store_query q;
    enum job_state state = (enum job_state)0;
    store_begin(&q, tx, &jobs_sql_state);
    store_bind_i64(&q, "id", id);
    if (store_step(&q)) {
        state = (enum job_state)store_get_i64(&q, "state");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    if (state == 0) {
        return no_such_job(id, why);
    }
    return why_set(why, ERR_CONFLICT, "id", "Job %lld is %s: %s.", (long long)id,
                   jobs_state_text(state), reason);
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

enum err jobs_replay(struct store_tx *tx, int64_t id, struct why *why)
{
    bool moved = false;
    enum err e = move_job(tx, &jobs_sql_replay, id, &moved, why);
    if (e == OK && !moved) {
        e = explain(tx, id, "only a dead job whose key no other one has can be replayed", why);
    }
    if (e == OK) {
        store_notify(tx, JOBS_CHANNEL);
    }
    return e;
}

static enum err list_dead(struct store_tx *tx, const struct job_replay *after, size_t limit,
                          struct job_replay *out, size_t *out_count, struct why *why)
{
    struct store_query q;
    size_t count = 0;
    store_begin(&q, tx, &jobs_sql_dead);
    if (after->kind != NULL) {
        store_bind_text(&q, "kind", slice_text(after->kind));
    } else {
        store_bind_null(&q, "kind");
    }
    store_bind_time(&q, "finished", after->finished_usec);
    store_bind_i64(&q, "id", after->id);
    store_bind_i64(&q, "limit", (int64_t)limit);
    while (store_step(&q)) {
        ASSERT(count < limit);
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
enum err jobs_replay_page(struct store_tx *tx, struct job_replay *replay, size_t limit,
                          struct why *why)
{
    ASSERT(limit > 0 && limit <= JOBS_LIST_MAX);
    struct arena scratch;
    arena_init(&scratch, 0);
    struct job_replay *page = arena_alloc_array(&scratch, limit, sizeof(page[0]));
    struct job_replay next = *replay;
    size_t count = 0;
    next.replayed = 0;
    enum err e = list_dead(tx, replay, limit, page, &count, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        bool moved = false;
        e = move_job(tx, &jobs_sql_replay, page[i].id, &moved, why);
        next.replayed += moved;
        next.id = page[i].id;
        next.finished_usec = page[i].finished_usec;
    }
    next.more = count == limit;
    if (e == OK) {
        *replay = next;
        store_notify(tx, JOBS_CHANNEL);
    }
    arena_free(&scratch);
    return e;
}

enum err jobs_retry(struct store_tx *tx, int64_t id, struct why *why)
{
    bool moved = false;
    enum err e = move_job(tx, &jobs_sql_retry, id, &moved, why);
    if (e == OK && !moved) {
        e = explain(tx, id, "only a queued job can be run at once, a dead one is replayed", why);
    }
    if (e == OK) {
        store_notify(tx, JOBS_CHANNEL);
    }
    return e;
}

static enum err cancel_queued(struct store_tx *tx, int64_t id, bool *out_moved, struct why *why)
{
    struct arena scratch;
    struct slice order_key = SLICE_EMPTY;
    struct store_query q;
    int64_t now = clock_wall_usec();
    arena_init(&scratch, 1024);
    store_begin(&q, tx, &jobs_sql_cancel);
    store_bind_i64(&q, "id", id);
    store_bind_time(&q, "now", now);
    bool moved = store_step(&q);
    if (moved) {
        order_key = store_get_text(&q, "order_key", &scratch);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && order_key.len > 0) {
        e = jobs_store_next(tx, &order_key, 1, now, why);
        store_notify(tx, JOBS_CHANNEL);
    }
    if (e == OK) {
        *out_moved = moved;
    }
    arena_free(&scratch);
    return e;
}

static enum err ask_running(struct store_tx *tx, int64_t id, bool *out_asked, struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &jobs_sql_cancel_running);
    store_bind_i64(&q, "id", id);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK) {
        *out_asked = changed > 0;
    }
    return e;
}

enum err jobs_cancel(struct store_tx *tx, int64_t id, bool *out_running, struct why *why)
{
    bool cancelled = false;
    bool asked = false;
    enum err e = cancel_queued(tx, id, &cancelled, why);
    if (e == OK && !cancelled) {
        e = ask_running(tx, id, &asked, why);
    }
    if (e == OK && !cancelled && !asked) {
        e = explain(tx, id, "only a queued or running job can be cancelled", why);
    }
    if (e == OK && asked) {
        store_notify(tx, JOBS_KEEPER_CHANNEL);
    }
    if (e == OK && out_running != NULL) {
        *out_running = asked;
    }
    return e;
}

/* ---- queues and schedules ---- */

struct counts {
    int64_t queued;
    int64_t running;
    int64_t dead;
};

static void add_count(struct counts *c, enum job_state state, int64_t count)
{
    c->queued += state == JOB_QUEUED ? count : 0;
    c->running += state == JOB_RUNNING ? count : 0;
    c->dead += state == JOB_DEAD ? count : 0;
}

/* Counts by queue, in the order of the catalog; the last one is of kinds that nobody knows. */
static enum err count_queues(struct store_tx *tx, const struct job_catalog *c, struct arena *arena,
                             struct counts *counts, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_count_kinds);
    while (store_step(&q)) {
        struct jobs_entry entry = jobs_catalog_find(c, store_get_text(&q, "kind", arena));
        size_t i = 0;
        while (i < c->queue_count && c->queues[i] != entry.queue) {
            i++;
        }
        add_count(&counts[i], (enum job_state)store_get_i64(&q, "state"),
                  store_get_i64(&q, "count"));
    }
    return store_finish(&q, NULL, why);
}

static void number_member(struct json_out *j, const char *key, int64_t value)
{
    json_key(j, key);
    json_i64(j, value);
}

static void queue_json(struct json_out *j, const struct job_queue *q, const struct counts *c)
{
    json_begin_object(j);
    json_key(j, "name");
    json_text(j, q->name);
    if (q->concurrency > 0) {
        number_member(j, "concurrency", q->concurrency);
    }
    if (q->rate > 0) {
        number_member(j, "rate", q->rate);
        number_member(j, "rateWindowMs", q->rate_usec / 1000);
    }
    number_member(j, "attempts", q->attempts_max > 0 ? q->attempts_max : 1);
    json_key(j, "backoff");
    json_text(j, q->attempts_max <= 1              ? "none"
                 : q->backoff == JOB_BACKOFF_FIXED ? "fixed"
                                                   : "exponential");
    number_member(j, "backoffMs", q->backoff_usec / 1000);
    number_member(j, "queued", c->queued);
    number_member(j, "running", c->running);
    number_member(j, "dead", c->dead);
    json_key(j, "description");
    json_text(j, q->doc);
    json_end_object(j);
}

enum err jobs_queues_json(struct store_tx *tx, const struct job_catalog *catalog,
                          struct json_out *j, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct counts *counts =
        arena_alloc_array(&scratch, catalog->queue_count + 1, sizeof(counts[0]));
    enum err e = count_queues(tx, catalog, &scratch, counts, why);
    json_begin_array(j);
    for (size_t i = 0; e == OK && i < catalog->queue_count; i++) {
        queue_json(j, catalog->queues[i], &counts[i]);
    }
    json_end_array(j);
    arena_free(&scratch);
    return e;
}

static void schedule_json(struct json_out *j, const struct jobs_timetable *t,
                          const struct jobs_cron_row *row)
{
    const struct job_cron *cron = t->row;
    json_begin_object(j);
    json_key(j, "name");
    json_text(j, cron->name);
    json_key(j, "kind");
    json_text(j, cron->kind);
    if (cron->every_usec > 0) {
        number_member(j, "everyMs", cron->every_usec / 1000);
    } else {
        json_key(j, "cron");
        json_text(j, cron->cron);
    }
    json_key(j, "enabled");
    json_bool(j, t->enabled);
    if (t->enabled) {
        time_member(j, "nextAt", jobs_timetable_next_usec(t, clock_wall_usec()));
    } else {
        json_key(j, "waitsFor");
        json_text(j, cron->awaits);
    }
    if (row->found) {
        time_member(j, "lastSlot", jobs_timetable_slot_usec(t, row->slot));
    }
    json_key(j, "description");
    json_text(j, cron->doc);
    json_end_object(j);
}

enum err jobs_schedules_json(struct store_tx *tx, const struct job_catalog *catalog,
                             struct json_out *j, struct why *why)
{
    struct arena scratch;
    enum err e = OK;
    arena_init(&scratch, 0);
    json_begin_array(j);
    for (size_t i = 0; e == OK && i < catalog->schedule_count; i++) {
        const struct jobs_timetable *t = &catalog->schedules[i];
        struct jobs_cron_row row;
        e = jobs_store_cron_get(tx, &scratch, t->row->name, &row, why);
        if (e == OK) {
            schedule_json(j, t, &row);
        }
    }
    json_end_array(j);
    arena_free(&scratch);
    return e;
}
