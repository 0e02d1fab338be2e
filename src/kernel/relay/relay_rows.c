#include "kernel/base/check.h"
#include "kernel/base/rand.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

/* Signals replace polling, never correctness: a waiter looks again after this. */
#define LOOK_USEC 200000

/* What makes two intents of one key the same. */
static struct hash content_hash(struct arena *arena, const struct relay_intent *intent)
{
    struct buf b;
    uint8_t word[U256_BYTES];
    buf_init(&b, arena, 256 + intent->data.len);
    buf_add_u64(&b, intent->chain_id);
    buf_add_byte(&b, '/');
    buf_add_slice(&b, intent->pooled ? SLICE_LIT("pool") : address_slice(&intent->wallet));
    buf_add_byte(&b, intent->has_to ? 1 : 0);
    if (intent->has_to) {
        buf_add_slice(&b, address_slice(&intent->to));
    }
    u256_encode_be(wei_raw(intent->value), word);
    buf_add(&b, word, sizeof word);
    buf_add_text(&b, intent->role);
    buf_add_byte(&b, 0);
    buf_add_text(&b, intent->purpose);
    buf_add_byte(&b, 0);
    buf_add_slice(&b, intent->data);
    return sha256(buf_slice(&b));
}

static void bind_intent(struct store_query *q, const struct relay_intent *intent, const char *id,
                        const struct hash *content)
{
    store_bind_text(q, "intent_id", slice_text(id));
    store_bind_text(q, "intent_key", intent->key);
    store_bind_bytes(q, "content_hash", hash_slice(content));
    store_bind_i64(q, "chain_id", (int64_t)intent->chain_id);
    static const struct address nobody = {{0}};
    store_bind_bytes(q, "wallet", address_slice(intent->pooled ? &nobody : &intent->wallet));
    if (intent->has_to) {
        store_bind_bytes(q, "to_address", address_slice(&intent->to));
    } else {
        store_bind_null(q, "to_address");
    }
    store_bind_u256(q, "value", wei_raw(intent->value));
    store_bind_bytes(q, "data", intent->data);
    store_bind_text(q, "role", slice_text(intent->role));
    store_bind_text(q, "purpose", slice_text(intent->purpose));
    store_bind_i64(q, "gas_limit", (int64_t)intent->gas_limit);
    if (intent->after.len > 0) {
        store_bind_text(q, "after_id", intent->after);
    } else {
        store_bind_null(q, "after_id");
    }
    if (intent->deadline_usec > 0) {
        store_bind_time(q, "deadline", intent->deadline_usec);
    } else {
        store_bind_null(q, "deadline");
    }
    store_bind_i64(q, "priority", intent->priority != 0 ? intent->priority : RELAY_NORMAL);
    store_bind_i64(q, "pool", intent->pooled ? 1 : 0);
    store_bind_time(q, "now", clock_wall_usec());
}

static enum err existing(struct store_tx *tx, struct arena *arena,
                         const struct relay_intent *intent, const struct hash *content,
                         struct slice *out_id, struct why *why)
{
    struct hash stored = {0};
    struct slice id = SLICE_EMPTY;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_by_key);
    store_bind_text(&q, "intent_key", intent->key);
    if (store_step(&q)) {
        id = store_get_text(&q, "intent_id", arena);
        store_get_fixed(&q, "content_hash", stored.bytes, HASH_BYTES);
    }
    enum err e = store_finish_one(&q, "transaction", why);
    if (e != OK) {
        return e;
    }
    if (!hash_equal(&stored, content)) {
        return why_set(why, ERR_IDEMPOTENCY_MISMATCH, NULL,
                       "transaction %.*s was asked for with the same key and other content",
                       SLICE_ARG(id));
    }
    *out_id = id;
    return OK;
}

enum err relay_submit(struct store_tx *tx, struct arena *arena, const struct relay_intent *intent,
                      struct slice *out_id, struct why *why)
{
    ASSERT(intent->key.len > 0);
    ASSERT(intent->role != NULL);
    ASSERT(intent->purpose != NULL);
    char id[RAND_ID_MAX];
    rand_id("tx", id);
    struct hash content = content_hash(arena, intent);
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_insert);
    bind_intent(&q, intent, id, &content);
    enum err e = store_finish(&q, &changed, why);
    if (e != OK) {
        return e;
    }
    if (changed == 0) {
        return existing(tx, arena, intent, &content, out_id, why);
    }
    e = relay_audit_submitted(tx, intent, slice_text(id), why);
    if (e != OK) {
        return e;
    }
    metric_add(&relay_metrics[RELAY_METRIC_SUBMITTED], 1);
    store_notify(tx, "relay");
    *out_id = slice_copy(arena, slice_text(id));
    return OK;
}

enum err relay_get(struct store_tx *tx, struct arena *arena, struct slice id, struct relay_row *out,
                   struct why *why)
{
    struct relay_row row = {0};
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_get);
    store_bind_text(&q, "intent_id", id);
    if (store_step(&q)) {
        relay_row_take(&q, arena, &row);
    }
    enum err e = store_finish_one(&q, "transaction", why);
    if (e == OK) {
        *out = row;
    }
    return e;
}

enum err relay_get_by_key(struct store_tx *tx, struct arena *arena, struct slice key,
                          struct relay_row *out, struct why *why)
{
    struct slice id = SLICE_EMPTY;
    struct hash content;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_by_key);
    store_bind_text(&q, "intent_key", key);
    if (store_step(&q)) {
        id = store_get_text(&q, "intent_id", arena);
        store_get_fixed(&q, "content_hash", content.bytes, HASH_BYTES);
    }
    enum err e = store_finish_one(&q, "transaction", why);
    return e == OK ? relay_get(tx, arena, id, out, why) : e;
}

enum err relay_get_by_hash(struct store_tx *tx, struct arena *arena, const struct hash *hash,
                           struct relay_row *out, bool *out_found, struct why *why)
{
    struct slice id = SLICE_EMPTY;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_by_hash);
    store_bind_bytes(&q, "transaction_hash", hash_slice(hash));
    bool found = store_step(&q);
    if (found) {
        id = store_get_text(&q, "intent_id", arena);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && found) {
        e = relay_get(tx, arena, id, out, why);
    }
    if (e == OK) {
        *out_found = found;
    }
    return e;
}

static void bind_filter(struct store_query *q, const struct relay_filter *filter)
{
    store_bind_i64(q, "state", (int64_t)filter->state);
    store_bind_bool(q, "open_only", filter->open);
    store_bind_text(q, "purpose", filter->purpose);
    if (filter->has_wallet) {
        store_bind_bytes(q, "wallet", address_slice(&filter->wallet));
    } else {
        store_bind_null(q, "wallet");
    }
    if (filter->has_hash) {
        store_bind_bytes(q, "transaction_hash", hash_slice(&filter->hash));
    } else {
        store_bind_null(q, "transaction_hash");
    }
    store_bind_text(q, "below_id", filter->cursor);
    store_bind_i64(q, "max_rows", (int64_t)filter->limit);
}

enum err relay_list(struct store_tx *tx, struct arena *arena, const struct relay_filter *filter,
                    struct relay_row **out, size_t *out_count, struct why *why)
{
    struct relay_row *rows = arena_alloc_array(arena, filter->limit, sizeof *rows);
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intents_list);
    bind_filter(&q, filter);
    while (store_step(&q)) {
        ASSERT(count < filter->limit);
        relay_row_take(&q, arena, &rows[count++]);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = rows;
        *out_count = count;
    }
    return e;
}

static void take_attempt(struct store_query *q, struct relay_attempt *out)
{
    out->attempt = (uint32_t)store_get_i64(q, "attempt");
    store_get_fixed(q, "transaction_hash", out->hash.bytes, HASH_BYTES);
    out->fee_max = wei_of(store_get_u256(q, "fee_max"));
    out->fee_priority = wei_of(store_get_u256(q, "fee_priority"));
    out->gas_limit = (uint64_t)store_get_i64(q, "gas_limit");
    out->filler = store_get_bool(q, "filler");
    out->created_usec = store_get_time(q, "created_at");
}

enum err relay_attempts(struct store_tx *tx, struct arena *arena, struct slice id,
                        struct relay_attempt **out, size_t *out_count, struct why *why)
{
    size_t cap = 8;
    size_t count = 0;
    struct relay_attempt *rows = arena_alloc_array(arena, cap, sizeof *rows);
    struct store_query q;
    store_begin(&q, tx, &relay_sql_attempts_detail);
    store_bind_text(&q, "intent_id", id);
    while (store_step(&q)) {
        if (count == cap) {
            struct relay_attempt *grown = arena_alloc_array(arena, cap * 2, sizeof *grown);
            memcpy(grown, rows, cap * sizeof *grown);
            rows = grown;
            cap *= 2;
        }
        take_attempt(&q, &rows[count++]);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = rows;
        *out_count = count;
    }
    return e;
}

/* ---- what is asked of an intent afterwards ---- */

static enum err run_changing(struct store_tx *tx, const struct store_statement *statement,
                             struct slice id, bool *out_changed, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, statement);
    store_bind_text(&q, "intent_id", id);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    *out_changed = e == OK && changed > 0;
    return e;
}

static bool is_signed(enum relay_state state)
{
    return state == RELAY_SIGNED || state == RELAY_SENT;
}

static enum err cancel_queued(struct store_tx *tx, struct arena *scratch, struct relay_row *row,
                              struct why *why)
{
    bool changed = false;
    enum err e = run_changing(tx, &relay_sql_intent_cancel, row->id, &changed, why);
    store_notify(tx, "relay_state");
    if (e == OK && changed) {
        row->state = RELAY_CANCELLED;
        e = relay_audit_states(tx, scratch, row, 1, why);
    }
    return e;
}

static enum err take_back(struct store_tx *tx, const struct relay_row *row, struct why *why)
{
    bool changed = false;
    return run_changing(tx, &relay_sql_intent_take_back, row->id, &changed, why);
}

static enum err has_ended(const struct relay_row *row, const char *what, struct why *why)
{
    return why_set(why, ERR_CONFLICT, NULL, "transaction %.*s is %s: it cannot be %s any more",
                   SLICE_ARG(row->id), relay_state_text(row->state), what);
}

enum err relay_cancel(struct store_tx *tx, struct slice id, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 4096);
    struct relay_row row;
    enum err e = relay_get(tx, &scratch, id, &row, why);
    if (e == OK && row.state == RELAY_QUEUED) {
        e = cancel_queued(tx, &scratch, &row, why);
    } else if (e == OK && is_signed(row.state)) {
        e = take_back(tx, &row, why);
    } else if (e == OK && row.state != RELAY_CANCELLED) {
        e = has_ended(&row, "cancelled", why);
    }
    store_notify(tx, "relay"); /* others may wait for it; the relay has a wish to grant */
    arena_free(&scratch);
    return e;
}

enum err relay_hurry(struct store_tx *tx, struct slice id, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 4096);
    struct relay_row row;
    bool changed = false;
    enum err e = relay_get(tx, &scratch, id, &row, why);
    if (e == OK && row.state > RELAY_SENT) {
        e = has_ended(&row, "sped up", why);
    }
    if (e == OK) {
        e = run_changing(tx, &relay_sql_intent_hurry, id, &changed, why);
        store_notify(tx, "relay");
    }
    arena_free(&scratch);
    return e;
}

enum err relay_run_by_id(struct store_tx *tx, const struct store_statement *statement,
                         struct slice id, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, statement);
    store_bind_text(&q, "intent_id", id);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

struct wait {
    struct arena *arena;
    struct slice id;
    struct relay_row row;
};

static enum err read_row(struct store_tx *tx, void *ctx, struct why *why)
{
    struct wait *w = ctx;
    return relay_get(tx, w->arena, w->id, &w->row, why);
}

enum err relay_wait(struct store *store, struct arena *arena, struct slice id, int64_t timeout_usec,
                    struct relay_row *out, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 4096);
    int64_t deadline = clock_mono_usec() + timeout_usec;
    uint64_t seen = store_signal_now(store, "relay_state");
    struct wait w = {.arena = &scratch, .id = id};
    enum err e = OK;
    for (;;) {
        arena_clear(&scratch);
        e = store_read(store, read_row, &w, why);
        int64_t left = deadline - clock_mono_usec();
        if (e != OK || w.row.state > RELAY_SENT || left <= 0) {
            break;
        }
        (void)store_wait(store, "relay_state", &seen, left < LOOK_USEC ? left : LOOK_USEC);
    }
    if (e == OK) {
        w.row.id = slice_copy(arena, w.row.id);
        w.row.key = slice_copy(arena, w.row.key);
        w.row.purpose = slice_copy(arena, w.row.purpose);
        w.row.error_code = slice_copy(arena, w.row.error_code);
        w.row.error = slice_copy(arena, w.row.error);
        *out = w.row;
    }
    arena_free(&scratch);
    return e;
}
