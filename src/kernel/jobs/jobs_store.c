#include "kernel/jobs/jobs_store.h"

#include "kernel/base/check.h"
#include "kernel/jobs/jobs_rules.h"
#include "kernel/jobs/jobs_sql.h"

/* ---- claiming ---- */

enum err jobs_store_heads(struct store_tx *tx, struct arena *arena, struct jobs_head **out,
                          size_t *out_count, struct why *why)
{
    struct buf heads;
    buf_init(&heads, arena, 16 * sizeof(struct jobs_head));
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_heads);
    while (store_step(&q)) {
        struct jobs_head head = {
            .kind = store_get_text(&q, "kind", arena),
            .priority = store_get_i64(&q, "priority"),
            .run_usec = store_get_time(&q, "run_at"),
        };
        buf_add(&heads, &head, sizeof(head));
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = (void *)heads.ptr;
        *out_count = heads.len / sizeof(struct jobs_head);
    }
    return e;
}

static int compare_claimed(const void *left, const void *right)
{
    const struct jobs_claimed *a = left;
    const struct jobs_claimed *b = right;
    if (a->run_usec != b->run_usec) {
        return a->run_usec < b->run_usec ? -1 : 1;
    }
    return a->hold.id < b->hold.id ? -1 : a->hold.id > b->hold.id;
}

/* Who claims, and until when. */
static void bind_lease(struct store_query *q, const struct jobs_claim *claim)
{
    store_bind_time(q, "now", claim->now_usec);
    store_bind_time(q, "until", claim->until_usec);
    store_bind_text(q, "owner", claim->owner);
}

static struct jobs_claimed read_claimed(struct store_query *q, struct arena *arena)
{
    return (struct jobs_claimed){
        .hold = {.id = store_get_i64(q, "id"), .token = store_get_i64(q, "lease_token")},
        .kind = store_get_text(q, "kind", arena),
        .key = store_get_text(q, "key", arena),
        .payload = store_get_text(q, "payload", arena),
        .attempt = (uint32_t)store_get_i64(q, "attempts"),
        .run_usec = store_get_time(q, "run_at"),
    };
}

enum err jobs_store_claim(struct store_tx *tx, const struct jobs_claim *claim,
                          struct arena *const *arenas, struct jobs_claimed *out, size_t *out_count,
                          struct why *why)
{
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_claim);
    store_bind_text(&q, "kind", claim->kind);
    store_bind_i64(&q, "priority", claim->priority);
    bind_lease(&q, claim);
    store_bind_i64(&q, "limit", (int64_t)claim->limit);
    while (store_step(&q)) {
        ASSERT(count < claim->limit);
        out[count] = read_claimed(&q, arenas[count]);
        out[count].place = count;
        count++;
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        qsort(out, count, sizeof(out[0]), compare_claimed); /* RETURNING has no order */
        *out_count = count;
    }
    return e;
}

enum err jobs_store_claim_suspect(struct store_tx *tx, const struct jobs_claim *claim,
                                  struct arena *arena, struct jobs_claimed *out, size_t *out_count,
                                  struct why *why)
{
    struct jobs_claimed claimed = {0};
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_claim_suspect);
    bind_lease(&q, claim);
    bool found = store_step(&q);
    if (found) {
        claimed = read_claimed(&q, arena);
        claimed.suspect = true;
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = claimed;
        *out_count = found;
    }
    return e;
}

/* ---- holding ---- */

static void begin_hold(struct store_query *q, struct store_tx *tx,
                       const struct store_statement *statement, struct jobs_hold hold)
{
    store_begin(q, tx, statement);
    store_bind_i64(q, "id", hold.id);
    store_bind_i64(q, "token", hold.token);
}

static enum err finish_hold(struct store_query *q, bool *out_held, struct why *why)
{
    int64_t changed = 0;
    enum err e = store_finish(q, &changed, why);
    if (e == OK) {
        *out_held = changed > 0;
    }
    return e;
}

enum err jobs_store_mark_started(struct store_tx *tx, struct jobs_hold hold, int64_t now_usec,
                                 bool *out_held, struct why *why)
{
    struct store_query q;
    begin_hold(&q, tx, &jobs_sql_mark_started, hold);
    store_bind_time(&q, "now", now_usec);
    return finish_hold(&q, out_held, why);
}

enum err jobs_store_renew(struct store_tx *tx, struct jobs_hold hold, int64_t until_usec,
                          bool *out_held, struct why *why)
{
    struct store_query q;
    begin_hold(&q, tx, &jobs_sql_renew, hold);
    store_bind_time(&q, "until", until_usec);
    return finish_hold(&q, out_held, why);
}

enum err jobs_store_finish(struct store_tx *tx, struct jobs_hold hold, int64_t now_usec,
                           bool *out_held, struct why *why)
{
    struct store_query q;
    begin_hold(&q, tx, &jobs_sql_finish, hold);
    store_bind_time(&q, "now", now_usec);
    return finish_hold(&q, out_held, why);
}

enum err jobs_store_bury(struct store_tx *tx, struct jobs_hold hold, int64_t now_usec, bool lapsed,
                         struct slice error, bool *out_held, struct why *why)
{
    struct store_query q;
    begin_hold(&q, tx, &jobs_sql_bury, hold);
    store_bind_time(&q, "now", now_usec);
    store_bind_i64(&q, "lapses", lapsed);
    store_bind_text(&q, "error", error);
    return finish_hold(&q, out_held, why);
}

enum err jobs_store_requeue(struct store_tx *tx, struct jobs_hold hold,
                            const struct jobs_requeue *how, bool *out_held, struct why *why)
{
    struct store_query q;
    begin_hold(&q, tx, &jobs_sql_requeue, hold);
    store_bind_time(&q, "now", how->now_usec);
    if (how->run_usec != 0) {
        store_bind_time(&q, "run_at", how->run_usec);
    } else {
        store_bind_null(&q, "run_at");
    }
    store_bind_i64(&q, "given_back", how->give_back);
    store_bind_bool(&q, "came_back", how->came_back);
    store_bind_i64(&q, "lapses", how->lapsed);
    if (how->error.len > 0) {
        store_bind_text(&q, "error", how->error);
    } else {
        store_bind_null(&q, "error");
    }
    return finish_hold(&q, out_held, why);
}

/* ---- maintenance ---- */

enum err jobs_store_lapsed(struct store_tx *tx, struct arena *arena, int64_t now_usec,
                           int64_t latest_usec, size_t limit, struct jobs_lapsed **out,
                           size_t *out_count, struct why *why)
{
    struct jobs_lapsed *lapsed = arena_alloc_array(arena, limit, sizeof(lapsed[0]));
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_lapsed);
    store_bind_time(&q, "now", now_usec);
    store_bind_time(&q, "latest", latest_usec);
    store_bind_i64(&q, "limit", (int64_t)limit);
    while (store_step(&q)) {
        ASSERT(count < limit);
        lapsed[count++] = (struct jobs_lapsed){
            .hold = {.id = store_get_i64(&q, "id"), .token = store_get_i64(&q, "lease_token")},
            .kind = store_get_text(&q, "kind", arena),
            .attempt = (uint32_t)store_get_i64(&q, "attempts"),
            .started = store_get_bool(&q, "was_started"),
        };
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = lapsed;
        *out_count = count;
    }
    return e;
}

enum err jobs_store_rebase(struct store_tx *tx, int64_t now_usec, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_rebase);
    store_bind_time(&q, "now", now_usec);
    return store_finish(&q, NULL, why);
}

enum err jobs_store_sweep(struct store_tx *tx, enum job_state state, int64_t before_usec,
                          size_t limit, int64_t *out_deleted, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_sweep);
    store_bind_i64(&q, "state", state);
    store_bind_time(&q, "before", before_usec);
    store_bind_i64(&q, "limit", (int64_t)limit);
    return store_finish(&q, out_deleted, why);
}

/* ---- schedules ---- */

static enum err find_slot(struct store_tx *tx, const char *name, int64_t *out_slot, bool *out_found,
                          struct why *why)
{
    int64_t slot = 0;
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_cron_get);
    store_bind_text(&q, "name", slice_text(name));
    bool found = store_step(&q);
    if (found) {
        slot = store_get_i64(&q, "slot");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_slot = slot;
        *out_found = found;
    }
    return e;
}

static enum err first_slot(struct store_tx *tx, const char *name, int64_t slot, int64_t now_usec,
                           struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_cron_insert);
    store_bind_text(&q, "name", slice_text(name));
    store_bind_i64(&q, "slot", slot);
    store_bind_time(&q, "now", now_usec);
    return store_finish(&q, NULL, why);
}

static enum err take_slot(struct store_tx *tx, const char *name, int64_t slot, int64_t old_slot,
                          int64_t now_usec, bool *out_taken, struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &jobs_sql_cron_move);
    store_bind_text(&q, "name", slice_text(name));
    store_bind_i64(&q, "slot", slot);
    store_bind_i64(&q, "old_slot", old_slot);
    store_bind_time(&q, "now", now_usec);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK) {
        *out_taken = changed > 0;
    }
    return e;
}

static enum err enqueue_slot(struct store_tx *tx, const struct job_cron *cron, int64_t slot,
                             struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 1024);
    struct buf payload;
    buf_init(&payload, &scratch, 128);
    struct json_out j;
    json_out_init(&j, &payload);
    json_begin_object(&j);
    json_key(&j, "cron");
    json_text(&j, cron->name);
    json_key(&j, "slot");
    json_time(&j, slot * cron->every_usec);
    json_end_object(&j);
    struct job_new job = {
        .kind = cron->kind,
        .key = slice_format(&scratch, "cron/%s/%lld", cron->name, (long long)slot),
        .payload = buf_slice(&payload),
    };
    enum err e = jobs_enqueue(tx, &job, NULL, why);
    arena_free(&scratch);
    return e;
}

enum err jobs_store_cron(struct store_tx *tx, const struct job_cron *cron, int64_t now_usec,
                         bool *out_fired, struct why *why)
{
    int64_t slot = jobs_slot(now_usec, cron->every_usec);
    int64_t last = 0;
    bool found = false;
    bool taken = false;
    enum err e = find_slot(tx, cron->name, &last, &found, why);
    if (e != OK) {
        return e;
    }
    if (!found) {
        e = first_slot(tx, cron->name, slot, now_usec, why);
    } else if (jobs_slot_is_due(slot, last, cron->every_usec)) {
        e = take_slot(tx, cron->name, slot, last, now_usec, &taken, why);
    }
    if (e == OK && taken) {
        e = enqueue_slot(tx, cron, slot, why);
    }
    if (e == OK) {
        *out_fired = taken;
    }
    return e;
}
