/*
 * relay_final.c: a mined transaction is watched until a reorganisation cannot take it any more.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

#define WATCHED_MAX 512

struct watched {
    struct slice id;
    struct hash tx;
    uint64_t block;
    struct hash block_hash;
    enum { KEEP, FINAL, GONE, MOVED } outcome;
    struct evm_receipt receipt;
};

struct watch_set {
    struct relay *relay;
    struct watched *items;
    size_t count;
};

static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    struct watch_set *set = ctx;
    set->items = arena_alloc_array(&set->relay->step, WATCHED_MAX, sizeof *set->items);
    set->count = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_unfinal_list);
    store_bind_i64(&q, "chain_id", (int64_t)set->relay->chain_id);
    store_bind_i64(&q, "max_rows", WATCHED_MAX);
    while (store_step(&q)) {
        ASSERT(set->count < WATCHED_MAX);
        struct watched *w = &set->items[set->count++];
        w->id = store_get_text(&q, "intent_id", &set->relay->step);
        store_get_fixed(&q, "transaction_hash", w->tx.bytes, HASH_BYTES);
        w->block = (uint64_t)store_get_i64(&q, "block_number");
        store_get_fixed(&q, "block_hash", w->block_hash.bytes, HASH_BYTES);
    }
    return store_finish(&q, NULL, why);
}

static enum err store_moved(struct store_tx *tx, const struct watched *w, struct why *why)
{
    const struct evm_receipt *r = &w->receipt;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_mined);
    store_bind_text(&q, "intent_id", w->id);
    store_bind_i64(&q, "state", r->succeeded ? RELAY_MINED : RELAY_REVERTED);
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
    store_bind_null(&q, "error_code");
    store_bind_null(&q, "error");
    store_bind_bool(&q, "final", false);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err run_by_id(struct store_tx *tx, const struct store_statement *statement,
                          struct slice id, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, statement);
    store_bind_text(&q, "intent_id", id);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err store_outcomes(struct store_tx *tx, void *ctx, struct why *why)
{
    struct watch_set *set = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < set->count; i++) {
        const struct watched *w = &set->items[i];
        switch (w->outcome) {
        case KEEP:
            continue;
        case FINAL:
            e = run_by_id(tx, &relay_sql_intent_final, w->id, why);
            break;
        case GONE:
            e = run_by_id(tx, &relay_sql_intent_unmined, w->id, why);
            store_notify(tx, "relay");
            break;
        case MOVED:
            e = store_moved(tx, w, why);
            break;
        }
        if (e == OK) {
            e = relay_tell(set->relay, tx, w->id, why);
        }
    }
    return e;
}

static enum err decide(struct relay *relay, struct watch_set *set, bool *out_changes,
                       struct why *why)
{
    uint64_t head = 0;
    enum err e = rpc_block_number(relay->rpc, &head, why);
    if (e != OK) {
        return e;
    }
    struct hash *hashes = arena_alloc_array(&relay->step, set->count, sizeof *hashes);
    struct evm_receipt *receipts = arena_alloc_array(&relay->step, set->count, sizeof *receipts);
    bool *found = arena_alloc_array(&relay->step, set->count, sizeof *found);
    for (size_t i = 0; i < set->count; i++) {
        hashes[i] = set->items[i].tx;
    }
    e = rpc_receipts(relay->rpc, &relay->step, hashes, set->count, receipts, found, why);
    for (size_t i = 0; e == OK && i < set->count; i++) {
        struct watched *w = &set->items[i];
        w->receipt = receipts[i];
        if (!found[i]) {
            w->outcome = GONE;
            metric_add(&relay_metrics[RELAY_METRIC_REORGED], 1);
            LOG(LOG_WARN, "relay.reorged", log_slice("tx", w->id), log_u64("block", w->block));
        } else if (!hash_equal(&receipts[i].block_hash, &w->block_hash)) {
            w->outcome = MOVED;
        } else if (head >= w->block && head - w->block >= relay->config.final_depth) {
            w->outcome = FINAL;
        } else {
            w->outcome = KEEP;
        }
        *out_changes = *out_changes || w->outcome != KEEP;
    }
    return e;
}

enum err relay_pass_final(struct relay *relay, bool *out_progress, struct why *why)
{
    int64_t now = clock_mono_usec();
    uint64_t reorgs = store_signal_now(relay->store, "chain_reorg");
    if (reorgs == relay->reorg_seen && now - relay->recheck_usec < RELAY_RECHECK_USEC) {
        return OK;
    }
    relay->reorg_seen = reorgs;
    relay->recheck_usec = now;
    struct watch_set set = {.relay = relay};
    enum err e = store_read(relay->store, load, &set, why);
    if (e != OK || set.count == 0) {
        return e;
    }
    bool changes = false;
    e = decide(relay, &set, &changes, why);
    if (e == OK && changes) {
        e = store_write(relay->store, store_outcomes, &set, why);
        *out_progress = e == OK;
    }
    return e;
}
