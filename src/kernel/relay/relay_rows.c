#include "kernel/base/check.h"
#include "kernel/base/rand.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

/* Signals replace polling, never correctness: a waiter looks again after this. */
#define LOOK_USEC 200000

const char *relay_state_text(enum relay_state state)
{
    switch (state) {
    case RELAY_QUEUED:
        return "queued";
    case RELAY_SIGNED:
        return "signed";
    case RELAY_SENT:
        return "sent";
    case RELAY_MINED:
        return "mined";
    case RELAY_REVERTED:
        return "reverted";
    case RELAY_FAILED:
        return "failed";
    case RELAY_REPLACED:
        return "replaced";
    case RELAY_CANCELLED:
        return "cancelled";
    }
    return "unknown";
}

/* What makes two intents of one key the same. */
static struct hash content_hash(struct arena *arena, const struct relay_intent *intent)
{
    struct buf b;
    uint8_t word[U256_BYTES];
    buf_init(&b, arena, 256 + intent->data.len);
    buf_add_u64(&b, intent->chain_id);
    buf_add_byte(&b, '/');
    buf_add_slice(&b, address_slice(&intent->wallet));
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
    store_bind_bytes(q, "wallet", address_slice(&intent->wallet));
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

static void take_row(struct store_query *q, struct arena *arena, struct relay_row *out)
{
    memset(out, 0, sizeof *out);
    out->id = store_get_text(q, "intent_id", arena);
    out->key = store_get_text(q, "intent_key", arena);
    out->chain_id = (uint64_t)store_get_i64(q, "chain_id");
    store_get_fixed(q, "wallet", out->wallet.bytes, ADDRESS_BYTES);
    out->has_to = !store_is_null(q, "to_address");
    store_get_fixed(q, "to_address", out->to.bytes, ADDRESS_BYTES);
    out->value = wei_of(store_get_u256(q, "value"));
    out->purpose = store_get_text(q, "purpose", arena);
    out->state = (enum relay_state)store_get_i64(q, "state");
    out->final = store_get_bool(q, "final");
    out->has_nonce = !store_is_null(q, "nonce");
    out->nonce = (uint64_t)store_get_i64(q, "nonce");
    out->has_hash = !store_is_null(q, "transaction_hash");
    store_get_fixed(q, "transaction_hash", out->hash.bytes, HASH_BYTES);
    out->attempts = (uint32_t)store_get_i64(q, "attempts");
    out->has_block = !store_is_null(q, "block_number");
    out->block_number = (uint64_t)store_get_i64(q, "block_number");
    store_get_fixed(q, "block_hash", out->block_hash.bytes, HASH_BYTES);
    out->gas_used = (uint64_t)store_get_i64(q, "gas_used");
    out->gas_price = wei_of(store_get_u256(q, "gas_price"));
    out->has_contract = !store_is_null(q, "contract");
    store_get_fixed(q, "contract", out->contract.bytes, ADDRESS_BYTES);
    out->error_code = store_get_text(q, "error_code", arena);
    out->error = store_get_text(q, "error", arena);
    out->created_usec = store_get_time(q, "created_at");
    out->updated_usec = store_get_time(q, "updated_at");
}

enum err relay_get(struct store_tx *tx, struct arena *arena, struct slice id, struct relay_row *out,
                   struct why *why)
{
    struct relay_row row = {0};
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_get);
    store_bind_text(&q, "intent_id", id);
    if (store_step(&q)) {
        take_row(&q, arena, &row);
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

enum err relay_list(struct store_tx *tx, struct arena *arena, enum relay_state state,
                    struct slice cursor, size_t limit, struct relay_row **out, size_t *out_count,
                    struct why *why)
{
    struct relay_row *rows = arena_alloc_array(arena, limit, sizeof *rows);
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intents_list);
    store_bind_i64(&q, "state", (int64_t)state);
    store_bind_text(&q, "below_id", cursor);
    store_bind_i64(&q, "max_rows", (int64_t)limit);
    while (store_step(&q)) {
        ASSERT(count < limit);
        take_row(&q, arena, &rows[count++]);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = rows;
        *out_count = count;
    }
    return e;
}

enum err relay_cancel(struct store_tx *tx, struct slice id, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 4096);
    struct relay_row row;
    int64_t changed = 0;
    enum err e = relay_get(tx, &scratch, id, &row, why);
    if (e == OK && row.state == RELAY_QUEUED) {
        struct store_query q;
        store_begin(&q, tx, &relay_sql_intent_cancel);
        store_bind_text(&q, "intent_id", id);
        store_bind_time(&q, "now", clock_wall_usec());
        e = store_finish(&q, &changed, why);
        store_notify(tx, "relay"); /* others may wait for it */
        store_notify(tx, "relay_state");
    }
    if (e == OK && changed > 0) {
        row.state = RELAY_CANCELLED;
        e = relay_audit_state(tx, &row, why);
    }
    if (e == OK && changed == 0 && row.state != RELAY_CANCELLED) {
        e = why_set(why, ERR_CONFLICT, NULL,
                    "transaction %.*s is %s: only queued ones can be cancelled", SLICE_ARG(id),
                    relay_state_text(row.state));
    }
    arena_free(&scratch);
    return e;
}

enum err relay_tell(struct relay *relay, struct store_tx *tx, struct slice id, struct why *why)
{
    store_notify(tx, "relay_state");
    struct arena scratch;
    arena_init(&scratch, 4096);
    struct relay_row row;
    enum err e = relay_get(tx, &scratch, id, &row, why);
    if (e == OK) {
        e = relay_audit_state(tx, &row, why);
    }
    if (e == OK && relay->watch != NULL) {
        e = relay->watch(tx, relay->watch_ctx, &row, why);
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

void relay_row_json(struct json_out *j, const struct relay_row *row)
{
    json_begin_object(j);
    json_key(j, "transactionId");
    json_string(j, row->id);
    json_key(j, "purpose");
    json_string(j, row->purpose);
    json_key(j, "state");
    json_text(j, relay_state_text(row->state));
    json_key(j, "final");
    json_bool(j, row->final);
    json_key(j, "chainId");
    json_u64(j, row->chain_id);
    json_key(j, "from");
    json_address(j, &row->wallet);
    json_key(j, "to");
    if (row->has_to) {
        json_address(j, &row->to);
    } else {
        json_null(j);
    }
    json_key(j, "value");
    json_u256(j, wei_raw(row->value));
    json_key(j, "nonce");
    if (row->has_nonce) {
        json_u64(j, row->nonce);
    } else {
        json_null(j);
    }
    json_key(j, "transactionHash");
    if (row->has_hash) {
        json_hex(j, hash_slice(&row->hash));
    } else {
        json_null(j);
    }
    json_key(j, "attempts");
    json_u64(j, row->attempts);
    json_key(j, "blockNumber");
    if (row->has_block) {
        json_u64(j, row->block_number);
        json_key(j, "gasUsed");
        json_u64(j, row->gas_used);
        json_key(j, "gasPrice");
        json_u256(j, wei_raw(row->gas_price));
    } else {
        json_null(j);
    }
    if (row->has_contract) {
        json_key(j, "contractAddress");
        json_address(j, &row->contract);
    }
    if (row->error_code.len > 0) {
        json_key(j, "error");
        json_string(j, row->error);
        json_key(j, "code");
        json_string(j, row->error_code);
    }
    json_key(j, "createdAt");
    json_time(j, row->created_usec);
    json_key(j, "updatedAt");
    json_time(j, row->updated_usec);
    json_end_object(j);
}
