#include "kernel/jobs/jobs_limits.h"

#include "kernel/base/check.h"
#include "kernel/jobs/jobs_sql.h"

#define WINDOW_PARTS 64
/* Clocks of machines that agree, generously: a start beyond was written under another time. */
#define AHEAD_USEC (10ll * USEC_PER_SEC)
/* Whoever holds the row of a queue is at work on it now. */
#define HELD_AGAIN_USEC 5000

/* ---- starts ---- */

static enum err corrupt(struct why *why)
{
    return why_set(why, ERR_CORRUPT, NULL, "The starts of a queue cannot be read.");
}

static bool read_number(const struct json *j, int64_t *out)
{
    uint64_t n = 0;
    if (j == NULL || j->type != JSON_NUMBER || slice_parse_u64(j->text, &n) != OK ||
        n > INT64_MAX / 2) {
        return false;
    }
    *out = (int64_t)n;
    return true;
}

enum err jobs_starts_parse(struct slice text, struct jobs_starts *out, struct why *why)
{
    struct arena scratch;
    const struct json *list = NULL;
    struct jobs_starts starts = {.len = 0};
    arena_init(&scratch, 4096);
    enum err e = json_parse(&scratch, text, &json_limits_body, &list, NULL);
    bool good = e == OK && list->type == JSON_ARRAY && list->count <= JOBS_STARTS_MAX;
    for (const struct json *j = good ? list->child : NULL; good && j != NULL; j = j->next) {
        struct jobs_start *s = &starts.at[starts.len];
        good = j->type == JSON_ARRAY && j->count == 2 && read_number(j->child, &s->at_usec) &&
               read_number(j->child->next, &s->count) && s->count <= JOBS_RATE_MAX &&
               (starts.len == 0 || s->at_usec >= s[-1].at_usec);
        starts.len += good;
    }
    arena_free(&scratch);
    if (!good) {
        return corrupt(why);
    }
    *out = starts;
    return OK;
}

void jobs_starts_format(const struct jobs_starts *starts, struct buf *out)
{
    struct json_out j;
    json_out_init(&j, out);
    json_begin_array(&j);
    for (size_t i = 0; i < starts->len; i++) {
        json_begin_array(&j);
        json_i64(&j, starts->at[i].at_usec);
        json_i64(&j, starts->at[i].count);
        json_end_array(&j);
    }
    json_end_array(&j);
}

void jobs_starts_forget(struct jobs_starts *starts, int64_t now_usec, int64_t window_usec)
{
    struct jobs_starts kept = {.len = 0};
    for (size_t i = 0; i < starts->len; i++) {
        struct jobs_start s = starts->at[i];
        if (s.at_usec > now_usec + AHEAD_USEC) {
            s.at_usec = now_usec;
        }
        if (s.at_usec > now_usec - window_usec) {
            kept.at[kept.len++] = s;
        }
    }
    *starts = kept;
}

int64_t jobs_starts_sum(const struct jobs_starts *starts)
{
    int64_t sum = 0;
    for (size_t i = 0; i < starts->len; i++) {
        sum += starts->at[i].count;
    }
    return sum;
}

void jobs_starts_add(struct jobs_starts *starts, int64_t now_usec, int64_t window_usec,
                     int64_t count)
{
    struct jobs_start *last = starts->len > 0 ? &starts->at[starts->len - 1] : NULL;
    int64_t at = last != NULL && last->at_usec > now_usec ? last->at_usec : now_usec;
    int64_t part = window_usec / WINDOW_PARTS > 0 ? window_usec / WINDOW_PARTS : 1;
    bool shares = last != NULL && last->at_usec / part == at / part;
    if (shares || starts->len == JOBS_STARTS_MAX) {
        ASSERT(last != NULL);
        last->at_usec = at;
        last->count += count;
        return;
    }
    starts->at[starts->len++] = (struct jobs_start){.at_usec = at, .count = count};
}

int64_t jobs_starts_free_usec(const struct jobs_starts *starts, int64_t window_usec)
{
    ASSERT(starts->len > 0);
    return starts->at[0].at_usec + window_usec;
}

/* ---- the row of a queue ---- */

bool jobs_is_limited(const struct job_queue *queue)
{
    return queue->concurrency > 0 || queue->rate > 0;
}

enum err jobs_gate_make(struct store_tx *tx, const struct job_queue *queue, int64_t now_usec,
                        struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_queue_make);
    store_bind_text(&q, "name", slice_text(queue->name));
    store_bind_time(&q, "now", now_usec);
    return store_finish(&q, NULL, why);
}

static enum err lock_row(struct store_tx *tx, struct jobs_gate *gate, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 4096);
    struct slice text = SLICE_EMPTY;
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_queue_lock);
    store_bind_text(&q, "name", slice_text(gate->queue->name));
    bool found = store_step(&q);
    if (found) {
        text = store_get_text(&q, "starts", &scratch);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && found) {
        e = jobs_starts_parse(text, &gate->starts, why);
    }
    arena_free(&scratch);
    gate->held = e == OK && found;
    return e;
}

static enum err count_running(struct store_tx *tx, const struct job_queue *queue, int64_t *out,
                              struct why *why)
{
    int64_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_queue_running);
    store_bind_text(&q, "queue", slice_text(queue->name));
    if (store_step(&q)) {
        count = store_get_i64(&q, "count");
    }
    enum err e = store_finish_one(&q, "count", why);
    if (e == OK) {
        *out = count;
    }
    return e;
}

enum err jobs_gate_ask(struct store_tx *tx, struct jobs_gate *gate, int64_t now_usec,
                       struct why *why)
{
    const struct job_queue *queue = gate->queue;
    *gate = (struct jobs_gate){.queue = queue, .asked = true, .again_usec = INT64_MAX};
    enum err e = lock_row(tx, gate, why);
    if (e != OK || !gate->held) {
        gate->again_usec = now_usec + HELD_AGAIN_USEC;
        return e;
    }
    int64_t room = INT32_MAX;
    if (queue->rate > 0) {
        jobs_starts_forget(&gate->starts, now_usec, queue->rate_usec);
        room = (int64_t)queue->rate - jobs_starts_sum(&gate->starts);
        if (room <= 0) {
            gate->again_usec = jobs_starts_free_usec(&gate->starts, queue->rate_usec);
            return OK;
        }
    }
    if (queue->concurrency > 0) {
        /* A statement of its own after the lock, so that it sees what the last holder claimed. */
        int64_t running = 0;
        e = count_running(tx, queue, &running, why);
        int64_t places = (int64_t)queue->concurrency - running;
        room = places < room ? places : room;
    }
    gate->room = e == OK && room > 0 ? (size_t)room : 0;
    return e;
}

enum err jobs_gate_settle(struct store_tx *tx, struct jobs_gate *gate, int64_t now_usec,
                          struct why *why)
{
    if (gate->taken == 0 || gate->queue->rate == 0) {
        return OK;
    }
    jobs_starts_add(&gate->starts, now_usec, gate->queue->rate_usec, (int64_t)gate->taken);
    if (gate->taken == gate->room) {
        gate->again_usec = jobs_starts_free_usec(&gate->starts, gate->queue->rate_usec);
    }
    struct arena scratch;
    struct buf text;
    arena_init(&scratch, 4096);
    buf_init(&text, &scratch, 1024);
    jobs_starts_format(&gate->starts, &text);
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_queue_starts);
    store_bind_text(&q, "name", slice_text(gate->queue->name));
    store_bind_json(&q, "starts", buf_slice(&text));
    store_bind_time(&q, "now", now_usec);
    enum err e = store_finish(&q, NULL, why);
    arena_free(&scratch);
    return e;
}
