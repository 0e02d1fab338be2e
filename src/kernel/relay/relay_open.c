/*
 * relay_open.c: signed bytes are sent until a receipt tells what became of them.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

/* Open intents in one pass. */
#define OPEN_MAX 4096

struct open_set {
    struct relay *relay;
    struct relay_open *items;
    size_t count;
};

static void read_open(struct store_query *q, struct arena *arena, struct relay_open *o)
{
    o->id = store_get_text(q, "intent_id", arena);
    store_get_fixed(q, "wallet", o->wallet.bytes, ADDRESS_BYTES);
    o->state = (enum relay_state)store_get_i64(q, "state");
    o->nonce = (uint64_t)store_get_i64(q, "nonce");
    o->attempt = (uint32_t)store_get_i64(q, "attempts");
    o->sent_usec = store_get_time(q, "sent_at");
    o->try_usec = store_get_time(q, "try_at");
    o->filling = !store_is_null(q, "error_code");
    (void)store_get_text(q, "error_code", arena);
    store_get_fixed(q, "transaction_hash", o->hash.bytes, HASH_BYTES);
    o->raw = store_get_bytes(q, "raw", arena);
    o->fee_max = wei_of(store_get_u256(q, "fee_max"));
    o->fee_priority = wei_of(store_get_u256(q, "fee_priority"));
    o->gas_limit = (uint64_t)store_get_i64(q, "gas_limit");
    o->attempt_usec = store_get_time(q, "attempt_at");
}

static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    struct open_set *set = ctx;
    size_t cap = 64;
    set->items = arena_alloc_array(&set->relay->step, cap, sizeof *set->items);
    set->count = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_open_list);
    store_bind_i64(&q, "chain_id", (int64_t)set->relay->chain_id);
    store_bind_i64(&q, "max_rows", OPEN_MAX);
    while (store_step(&q)) {
        if (set->count == cap) {
            struct relay_open *grown = arena_alloc_array(&set->relay->step, cap * 2, sizeof *grown);
            memcpy(grown, set->items, cap * sizeof *grown);
            set->items = grown;
            cap *= 2;
        }
        read_open(&q, &set->relay->step, &set->items[set->count++]);
    }
    return store_finish(&q, NULL, why);
}

enum err relay_open_load(struct relay *relay, struct relay_open **out, size_t *out_count,
                         struct why *why)
{
    struct open_set set = {.relay = relay};
    enum err e = store_read(relay->store, load, &set, why);
    if (e == OK) {
        *out = set.items;
        *out_count = set.count;
    }
    return e;
}

/* ---- sending ---- */

static bool due(const struct relay_open *o, int64_t now)
{
    if (o->state == RELAY_SIGNED) {
        return o->try_usec <= now;
    }
    /* A clock that jumped back must not keep bytes from being sent again. */
    return now - o->sent_usec >= RELAY_RESEND_USEC || now < o->sent_usec;
}

static enum err mark_sent(struct store_tx *tx, struct slice id, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_sent);
    store_bind_text(&q, "intent_id", id);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err store_sent(struct store_tx *tx, void *ctx, struct why *why)
{
    struct open_set *set = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < set->count; i++) {
        const struct relay_open *o = &set->items[i];
        if (!o->verdict_known) {
            continue;
        }
        /* A nonce that is too low was mined: by our bytes or by others; receipts tell. */
        if (o->verdict == RPC_SENT || o->verdict == RPC_NONCE_TOO_LOW) {
            bool first = o->state == RELAY_SIGNED;
            if (first || o->verdict == RPC_SENT) {
                e = mark_sent(tx, o->id, why);
            }
            if (e == OK && first) {
                e = relay_tell(set->relay, tx, o->id, why);
            }
        } else if (o->verdict == RPC_TRY_AGAIN || o->verdict == RPC_INSUFFICIENT_FUNDS) {
            struct store_query q;
            store_begin(&q, tx, &relay_sql_intent_retry_at);
            store_bind_text(&q, "intent_id", o->id);
            store_bind_time(&q, "try_at", clock_wall_usec() + RELAY_RETRY_USEC);
            e = store_finish(&q, NULL, why);
        }
    }
    return e;
}

/* What bytes that a node does not take need: higher fees, or an empty transfer in their place. */
static enum err answer_refusals(struct relay *relay, struct open_set *set, struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < set->count; i++) {
        struct relay_open *o = &set->items[i];
        if (!o->verdict_known) {
            continue;
        }
        if (o->verdict == RPC_UNDERPRICED && o->state == RELAY_SIGNED) {
            e = relay_resign(relay, o, OK, NULL, why);
            e = e == ERR_LIMIT ? OK : e;
        } else if (o->verdict == RPC_REFUSED && !o->filling) {
            e = relay_resign(relay, o, ERR_NODE_ERROR, &o->why, why);
        } else if (o->verdict == RPC_INSUFFICIENT_FUNDS && !relay->low_funds) {
            relay->low_funds = true;
            LOG(LOG_ERROR, "relay.wallet_empty", log_slice("tx", o->id), log_why(&o->why, OK));
        }
    }
    return e;
}

static enum err send_due(struct relay *relay, struct relay_open *items, size_t count,
                         bool *out_progress, struct why *why)
{
    struct slice *raws = arena_alloc_array(&relay->step, count, sizeof *raws);
    size_t *index = arena_alloc_array(&relay->step, count, sizeof *index);
    size_t n = 0;
    int64_t now = clock_wall_usec();
    for (size_t i = 0; i < count; i++) {
        if (due(&items[i], now)) {
            raws[n] = items[i].raw;
            index[n++] = i;
        }
    }
    if (n == 0) {
        return OK;
    }
    enum rpc_verdict *verdicts = arena_alloc_array(&relay->step, n, sizeof *verdicts);
    struct why *whys = arena_alloc_array(&relay->step, n, sizeof *whys);
    enum err e = rpc_send_many(relay->rpc, &relay->step, raws, n, verdicts, whys, why);
    if (e != OK) {
        return e;
    }
    bool moved = false;
    for (size_t i = 0; i < n; i++) {
        struct relay_open *o = &items[index[i]];
        o->verdict = verdicts[i];
        o->verdict_known = true;
        o->why = whys[i];
        moved = moved || (o->verdict == RPC_SENT && o->state == RELAY_SIGNED);
        metric_add(&relay_metrics[RELAY_METRIC_SENT], o->verdict == RPC_SENT);
    }
    struct open_set set = {.relay = relay, .items = items, .count = count};
    e = store_write(relay->store, store_sent, &set, why);
    if (e == OK) {
        relay->low_funds = relay->low_funds && !moved;
        *out_progress = *out_progress || moved;
        e = answer_refusals(relay, &set, why);
    }
    return e;
}

/* ---- receipts ---- */

/* The hashes of all versions of an intent: any of them may be the one that was mined. */
struct versions {
    struct relay *relay;
    struct relay_open *items;
    size_t count;
    struct hash *hashes;
    size_t *owner;
    size_t hash_count;
};

static enum err load_versions(struct store_tx *tx, void *ctx, struct why *why)
{
    struct versions *v = ctx;
    size_t cap = 0;
    for (size_t i = 0; i < v->count; i++) {
        cap += v->items[i].attempt;
    }
    v->hashes = arena_alloc_array(&v->relay->step, cap, sizeof *v->hashes);
    v->owner = arena_alloc_array(&v->relay->step, cap, sizeof *v->owner);
    v->hash_count = 0;
    for (size_t i = 0; i < v->count; i++) {
        if (v->items[i].attempt == 1) {
            v->hashes[v->hash_count] = v->items[i].hash;
            v->owner[v->hash_count++] = i;
            continue;
        }
        struct store_query q;
        store_begin(&q, tx, &relay_sql_attempts_list);
        store_bind_text(&q, "intent_id", v->items[i].id);
        while (store_step(&q)) {
            (void)store_get_i64(&q, "attempt");
            if (v->hash_count < cap) {
                store_get_fixed(&q, "transaction_hash", v->hashes[v->hash_count].bytes, HASH_BYTES);
                v->owner[v->hash_count++] = i;
            }
        }
        enum err e = store_finish(&q, NULL, why);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err store_receipt(struct relay *relay, struct store_tx *tx, const struct relay_open *o,
                              struct why *why)
{
    const struct evm_receipt *r = &o->receipt;
    enum relay_state state = r->succeeded ? RELAY_MINED : RELAY_REVERTED;
    /* A filler that was mined means that the intent itself never will be. */
    state = o->filling ? RELAY_FAILED : state;
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &relay_sql_intent_mined);
    store_bind_text(&q, "intent_id", o->id);
    store_bind_i64(&q, "state", (int64_t)state);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&r->tx_hash));
    store_bind_i64(&q, "block_number", (int64_t)r->block_number);
    store_bind_bytes(&q, "block_hash", hash_slice(&r->block_hash));
    store_bind_i64(&q, "gas_used", (int64_t)r->gas_used);
    store_bind_u256(&q, "gas_price", wei_raw(r->gas_price));
    if (r->has_contract) {
        store_bind_bytes(&q, "contract", address_slice(&r->contract));
    } else {
        store_bind_null(&q, "contract");
    }
    if (state == RELAY_REVERTED) {
        store_bind_text(&q, "error_code", slice_text(err_code(ERR_REVERTED)));
        store_bind_text(&q, "error",
                        SLICE_LIT("the transaction was mined and reverted; its state was "
                                  "overtaken between simulation and execution"));
    } else {
        store_bind_null(&q, "error_code");
        store_bind_null(&q, "error");
    }
    store_bind_bool(&q, "final", state == RELAY_FAILED);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    return e == OK && changed > 0 ? relay_tell(relay, tx, o->id, why) : e;
}

static enum err store_receipts(struct store_tx *tx, void *ctx, struct why *why)
{
    struct open_set *set = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < set->count; i++) {
        if (set->items[i].found) {
            e = store_receipt(set->relay, tx, &set->items[i], why);
        }
    }
    if (e == OK) {
        /* Intents may have waited for these. */
        store_notify(tx, "relay");
    }
    return e;
}

static void report_receipts(struct relay *relay, const struct relay_open *items, size_t count)
{
    int64_t now = clock_wall_usec();
    for (size_t i = 0; i < count; i++) {
        const struct relay_open *o = &items[i];
        if (!o->found) {
            continue;
        }
        bool ok = o->receipt.succeeded && !o->filling;
        metric_add(&relay_metrics[ok ? RELAY_METRIC_MINED
                                     : (o->filling ? RELAY_METRIC_FAILED : RELAY_METRIC_REVERTED)],
                   1);
        metric_observe(&relay_metrics[RELAY_METRIC_LATENCY],
                       now > o->attempt_usec ? now - o->attempt_usec : 0);
        LOG(ok ? LOG_INFO : LOG_WARN, ok ? "relay.mined" : "relay.not_mined",
            log_slice("tx", o->id), log_hex("hash", hash_slice(&o->receipt.tx_hash)),
            log_u64("block", o->receipt.block_number), log_u64("nonce", o->nonce),
            log_u64("gas", o->receipt.gas_used));
    }
    if (relay->mined != NULL) {
        relay->mined(relay->mined_ctx);
    }
}

static enum err look_for_receipts(struct relay *relay, struct relay_open *items, size_t count,
                                  bool *out_progress, struct why *why)
{
    struct versions v = {.relay = relay, .items = items, .count = count};
    enum err e = store_read(relay->store, load_versions, &v, why);
    if (e != OK || v.hash_count == 0) {
        return e;
    }
    struct evm_receipt *receipts = arena_alloc_array(&relay->step, v.hash_count, sizeof *receipts);
    bool *found = arena_alloc_array(&relay->step, v.hash_count, sizeof *found);
    e = rpc_receipts(relay->rpc, &relay->step, v.hashes, v.hash_count, receipts, found, why);
    if (e != OK) {
        return e;
    }
    size_t hits = 0;
    for (size_t i = 0; i < v.hash_count; i++) {
        if (found[i]) {
            items[v.owner[i]].found = true;
            items[v.owner[i]].receipt = receipts[i];
            hits++;
        }
    }
    if (hits == 0) {
        return OK;
    }
    struct open_set set = {.relay = relay, .items = items, .count = count};
    e = store_write(relay->store, store_receipts, &set, why);
    if (e == OK) {
        report_receipts(relay, items, count);
        *out_progress = true;
    }
    return e;
}

/* ---- what neither moves nor is mined ---- */

struct replaced {
    struct relay *relay;
    struct slice id;
};

static enum err store_replaced(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct replaced *r = ctx;
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &relay_sql_intent_end);
    store_bind_text(&q, "intent_id", r->id);
    store_bind_i64(&q, "state", RELAY_REPLACED);
    store_bind_text(&q, "error_code", slice_text(err_code(ERR_TX_REPLACED)));
    store_bind_text(&q, "error",
                    SLICE_LIT("another transaction with this nonce was mined: the wallet's key "
                              "is used outside of this relay"));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    return e == OK && changed > 0 ? relay_tell(r->relay, tx, r->id, why) : e;
}

static enum err look_after_stuck(struct relay *relay, const struct relay_open *first,
                                 struct why *why)
{
    int64_t now = clock_wall_usec();
    bool old = first->state == RELAY_SENT && now - first->attempt_usec >= RELAY_REPLACED_USEC;
    if (!old) {
        return OK;
    }
    uint64_t nonce = 0;
    enum err e = rpc_nonce(relay->rpc, &first->wallet, false, &nonce, why);
    if (e != OK) {
        return e;
    }
    if (nonce > first->nonce) {
        struct replaced r = {.relay = relay, .id = first->id};
        e = store_write(relay->store, store_replaced, &r, why);
        if (e == OK) {
            metric_add(&relay_metrics[RELAY_METRIC_REPLACED], 1);
            LOG(LOG_ERROR, "relay.replaced", log_slice("tx", first->id),
                log_u64("nonce", first->nonce));
        }
        return e;
    }
    if (nonce == first->nonce && now - first->attempt_usec >= relay->config.stuck_usec) {
        struct why bump_why = {0};
        e = relay_resign(relay, first, OK, NULL, &bump_why);
        if (e == ERR_LIMIT) {
            return OK; /* at the cap: keep waiting with what was signed */
        }
        if (e != OK && why != NULL) {
            *why = bump_why;
        }
    }
    return e;
}

enum err relay_pass_open(struct relay *relay, bool *out_progress, struct why *why)
{
    struct relay_open *items = NULL;
    size_t count = 0;
    enum err e = relay_open_load(relay, &items, &count, why);
    metric_set(&relay_metrics[RELAY_METRIC_INFLIGHT], (int64_t)count);
    if (e != OK || count == 0) {
        return e;
    }
    e = send_due(relay, items, count, out_progress, why);
    if (e == OK) {
        e = look_for_receipts(relay, items, count, out_progress, why);
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        bool first = i == 0 || !address_equal(&items[i].wallet, &items[i - 1].wallet);
        if (first && !items[i].found) {
            e = look_after_stuck(relay, &items[i], why);
        }
    }
    return e;
}
