#include "kernel/jobs/jobs_store.h"

#include "kernel/base/check.h"
#include "kernel/jobs/jobs_rules.h"
#include "kernel/jobs/jobs_sql.h"

/* ---- claiming ---- */

static enum err read_heads(struct store_query *q, struct arena *arena, struct jobs_head **out,
                           size_t *out_count, struct why *why)
{
    struct buf heads;
    buf_init(&heads, arena, 16 * sizeof(struct jobs_head));
    while (store_step(q)) {
        struct jobs_head head = {
            .kind = store_get_text(q, "kind", arena),
            .priority = store_get_i64(q, "priority"),
            .run_usec = store_get_time(q, "run_at"),
        };
        buf_add(&heads, &head, sizeof(head));
    }
    enum err e = store_finish(q, NULL, why);
    if (e == OK) {
        *out = (void *)heads.ptr;
        *out_count = heads.len / sizeof(struct jobs_head);
    }
    return e;
}

enum err jobs_store_heads(struct store_tx *tx, struct arena *arena, struct jobs_head **out,
                          size_t *out_count, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_heads);
    return read_heads(&q, arena, out, out_count, why);
}

enum err jobs_store_heads_from(struct store_tx *tx, struct arena *arena,
                               const struct jobs_mark *places, size_t place_count,
                               struct jobs_head **out, size_t *out_count, struct why *why)
{
    struct buf text;
    struct json_out j;
    buf_init(&text, arena, 64 * (place_count + 1));
    json_out_init(&j, &text);
    json_begin_array(&j);
    for (size_t i = 0; i < place_count; i++) {
        json_begin_array(&j);
        json_string(&j, places[i].kind);
        json_i64(&j, places[i].priority);
        json_i64(&j, places[i].from_usec);
        json_end_array(&j);
    }
    json_end_array(&j);
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_heads_from);
    store_bind_json(&q, "places", buf_slice(&text));
    return read_heads(&q, arena, out, out_count, why);
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
    if (claim->queue.len > 0) {
        store_bind_text(q, "queue", claim->queue);
    } else {
        store_bind_null(q, "queue");
    }
}

static void read_spot(struct store_query *q, struct arena *arena, struct jobs_hold *hold)
{
    struct slice spot = store_get_text(q, "spot", arena);
    ASSERT(spot.len < sizeof(hold->spot));
    memcpy(hold->spot, spot.ptr, spot.len);
    hold->spot[spot.len] = '\0';
}

static struct jobs_claimed read_claimed(struct store_query *q, struct arena *arena)
{
    struct jobs_claimed claimed = {
        .hold = {.id = store_get_i64(q, "id"), .token = store_get_i64(q, "lease_token")},
        .kind = store_get_text(q, "kind", arena),
        .key = store_get_text(q, "key", arena),
        .order_key = store_get_text(q, "order_key", arena),
        .payload = store_get_text(q, "payload", arena),
        .attempt = (uint32_t)store_get_i64(q, "attempts"),
        .run_usec = store_get_time(q, "run_at"),
    };
    read_spot(q, arena, &claimed.hold);
    return claimed;
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
    store_bind_time(&q, "from", claim->from_usec);
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

enum err jobs_store_suspects(struct store_tx *tx, struct arena *arena, int64_t now_usec,
                             size_t limit, struct jobs_suspect *out, size_t *out_count,
                             struct why *why)
{
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_suspects);
    store_bind_time(&q, "now", now_usec);
    store_bind_i64(&q, "limit", (int64_t)limit);
    while (store_step(&q)) {
        ASSERT(count < limit);
        out[count].id = store_get_i64(&q, "id");
        out[count++].kind = store_get_text(&q, "kind", arena);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_count = count;
    }
    return e;
}

enum err jobs_store_claim_suspect(struct store_tx *tx, const struct jobs_claim *claim, int64_t id,
                                  struct arena *arena, struct jobs_claimed *out, size_t *out_count,
                                  struct why *why)
{
    struct jobs_claimed claimed = {0};
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_claim_suspect);
    store_bind_i64(&q, "id", id);
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

static int compare_kept(const void *left, const void *right)
{
    const struct jobs_kept *a = left;
    const struct jobs_kept *b = right;
    return a->hold.id < b->hold.id ? -1 : a->hold.id > b->hold.id;
}

/* Sorted, so that two transactions that touch the same rows do so in the same order. */
static void sort_holds(struct jobs_kept *holds, size_t count)
{
    qsort(holds, count, sizeof(holds[0]), compare_kept);
    for (size_t i = 0; i < count; i++) {
        holds[i].held = false;
    }
}

/* The one with an id that a statement gave back; a statement gives back only what it was given. */
static struct jobs_kept *kept_of(struct jobs_kept *holds, size_t count, int64_t id)
{
    struct jobs_kept wanted = {.hold = {.id = id}};
    struct jobs_kept *found = bsearch(&wanted, holds, count, sizeof(holds[0]), compare_kept);
    ASSERT(found != NULL);
    return found;
}

/* What many holds are ended or extended by, at the spots of their rows and by their ids. */
struct hold_statements {
    const struct store_statement *spots;
    const struct store_statement *ids;
    const char *time; /* parameter; NULL: none */
    bool renews;
};

static void read_kept(struct store_query *q, const struct hold_statements *by, struct arena *arena,
                      struct jobs_kept *holds, size_t count)
{
    while (store_step(q)) {
        struct jobs_kept *kept = kept_of(holds, count, store_get_i64(q, "id"));
        kept->held = true;
        if (by->renews) {
            kept->cancelling = store_get_bool(q, "cancelling");
            read_spot(q, arena, &kept->hold);
        }
    }
}

/* Those that are not known to be held: where they lay, or wherever they are. */
static enum err keep_rows(struct store_tx *tx, const struct hold_statements *by, bool at_spots,
                          struct jobs_kept *holds, size_t count, int64_t usec, struct why *why)
{
    struct store_query q;
    struct arena scratch;
    arena_init(&scratch, 0);
    store_begin_rows(&q, tx, at_spots ? by->spots : by->ids);
    for (size_t i = 0; i < count; i++) {
        const struct jobs_hold *hold = &holds[i].hold;
        if (holds[i].held || (at_spots && hold->spot[0] == '\0')) {
            continue;
        }
        if (at_spots) {
            store_bind_text(&q, "spot", slice_text(hold->spot));
        }
        store_bind_i64(&q, "id", hold->id);
        store_bind_i64(&q, "token", hold->token);
        if (by->time != NULL) {
            store_bind_time(&q, by->time, usec);
        }
        store_row(&q);
    }
    read_kept(&q, by, &scratch, holds, count);
    enum err e = store_finish(&q, NULL, why);
    arena_free(&scratch);
    return e;
}

static enum err keep_many(struct store_tx *tx, const struct hold_statements *by,
                          struct jobs_kept *holds, size_t count, int64_t usec, struct why *why)
{
    size_t spots = 0;
    size_t held = 0;
    sort_holds(holds, count);
    for (size_t i = 0; i < count; i++) {
        spots += holds[i].hold.spot[0] != '\0';
    }
    enum err e = spots > 0 ? keep_rows(tx, by, true, holds, count, usec, why) : OK;
    for (size_t i = 0; i < count; i++) {
        held += holds[i].held;
    }
    return e == OK && held < count ? keep_rows(tx, by, false, holds, count, usec, why) : e;
}

static const struct hold_statements renewing = {
    .spots = &jobs_sql_renew_spots, .ids = &jobs_sql_renew, .time = "until", .renews = true};
static const struct hold_statements finishing = {
    .spots = &jobs_sql_finish_spots, .ids = &jobs_sql_finish, .time = "now"};
static const struct hold_statements forgetting = {.spots = &jobs_sql_forget_spots,
                                                  .ids = &jobs_sql_forget};

enum err jobs_store_renew(struct store_tx *tx, struct jobs_kept *holds, size_t count,
                          int64_t until_usec, struct why *why)
{
    return keep_many(tx, &renewing, holds, count, until_usec, why);
}

enum err jobs_store_progress(struct store_tx *tx, const struct jobs_progress_note *note,
                             struct why *why)
{
    struct store_query q;
    begin_hold(&q, tx, &jobs_sql_progress, note->hold);
    store_bind_i64(&q, "done", note->done);
    store_bind_i64(&q, "total", note->total);
    store_bind_text(&q, "note", slice_of(note->text, note->len));
    return store_finish(&q, NULL, why);
}

enum err jobs_store_finish_many(struct store_tx *tx, struct jobs_kept *holds, size_t count,
                                int64_t now_usec, bool forget, struct why *why)
{
    return keep_many(tx, forget ? &forgetting : &finishing, holds, count, now_usec, why);
}

enum err jobs_store_finish(struct store_tx *tx, struct jobs_hold hold, int64_t now_usec,
                           bool *out_held, struct why *why)
{
    struct jobs_kept kept = {.hold = hold};
    enum err e = keep_many(tx, &finishing, &kept, 1, now_usec, why);
    if (e == OK) {
        *out_held = kept.held;
    }
    return e;
}

enum err jobs_store_next(struct store_tx *tx, const struct slice *order_keys, size_t count,
                         int64_t now_usec, struct why *why)
{
    struct arena scratch;
    struct buf text;
    struct json_out j;
    struct store_query q;
    arena_init(&scratch, 0);
    buf_init(&text, &scratch, 256);
    json_out_init(&j, &text);
    json_begin_array(&j);
    for (size_t i = 0; i < count; i++) {
        json_string(&j, order_keys[i]);
    }
    json_end_array(&j);
    store_begin(&q, tx, &jobs_sql_next);
    store_bind_json(&q, "keys", buf_slice(&text));
    store_bind_time(&q, "now", now_usec);
    enum err e = store_finish(&q, NULL, why);
    arena_free(&scratch);
    return e;
}

enum err jobs_store_next_all(struct store_tx *tx, int64_t now_usec, int64_t *out_count,
                             struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_next_all);
    store_bind_time(&q, "now", now_usec);
    return store_finish(&q, out_count, why);
}

/* Reads the state that a row was left in; 0 when the hold was lost. */
static enum err finish_state(struct store_query *q, enum job_state *out_state, struct why *why)
{
    enum job_state state = (enum job_state)0;
    if (store_step(q)) {
        state = (enum job_state)store_get_i64(q, "state");
    }
    enum err e = store_finish(q, NULL, why);
    if (e == OK) {
        *out_state = state;
    }
    return e;
}

enum err jobs_store_bury(struct store_tx *tx, struct jobs_hold hold, int64_t now_usec, bool lapsed,
                         struct slice error, enum job_state *out_state, struct why *why)
{
    struct store_query q;
    begin_hold(&q, tx, &jobs_sql_bury, hold);
    store_bind_time(&q, "now", now_usec);
    store_bind_i64(&q, "lapses", lapsed);
    store_bind_text(&q, "error", error);
    return finish_state(&q, out_state, why);
}

enum err jobs_store_requeue(struct store_tx *tx, struct jobs_hold hold,
                            const struct jobs_requeue *how, enum job_state *out_state,
                            struct why *why)
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
    return finish_state(&q, out_state, why);
}

/* ---- maintenance ---- */

enum err jobs_store_lapsed(struct store_tx *tx, struct arena *arena, int64_t from_usec,
                           int64_t now_usec, int64_t latest_usec, size_t limit,
                           struct jobs_lapsed **out, size_t *out_count, struct why *why)
{
    struct jobs_lapsed *lapsed = arena_alloc_array(arena, limit, sizeof(lapsed[0]));
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_lapsed);
    store_bind_time(&q, "from", from_usec);
    store_bind_time(&q, "now", now_usec);
    store_bind_time(&q, "latest", latest_usec);
    store_bind_i64(&q, "limit", (int64_t)limit);
    while (store_step(&q)) {
        ASSERT(count < limit);
        lapsed[count++] = (struct jobs_lapsed){
            .hold = {.id = store_get_i64(&q, "id"), .token = store_get_i64(&q, "lease_token")},
            .kind = store_get_text(&q, "kind", arena),
            .order_key = store_get_text(&q, "order_key", arena),
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
