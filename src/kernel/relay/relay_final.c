/*
 * relay_final.c: a mined intent is watched until a reorganisation cannot take it any more.
 *
 * What is compared is the hash of its block: one question a block, however many intents it holds.
 * Only where a block is another one now are receipts asked for. A node that lacks a block is
 * behind, until it has lacked it for a while.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

/* Blocks in one pass: the oldest that may become final, the newest that may fall out. */
#define DEEP_MAX 128
#define FRESH_MAX 512
/* A node that lacks our newest blocks for this long has another, shorter chain. */
#define SHORT_USEC (10 * (int64_t)USEC_PER_SEC)

enum fate { KEEP, FINAL, GONE, MOVED };

struct watched {
    uint64_t number;
    struct hash hash;
    bool deep;
    bool changed; /* another block stands there now, or none */
};

struct touched {
    struct slice id;
    struct hash tx;
    uint64_t block;
    enum fate fate;
    struct evm_receipt receipt;
};

struct watch {
    struct relay *relay;
    uint64_t final_up_to; /* blocks up to here are deep enough; 0: none */
    struct watched blocks[DEEP_MAX + FRESH_MAX];
    size_t block_count;
    struct touched *items; /* intents of blocks that are deep, or changed */
    size_t count;
    size_t cap;
    size_t from; /* storing: the items of this transaction */
    size_t to;
};

/* ---- reading ---- */

static enum err load_some(struct store_tx *tx, struct watch *w, bool deep, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, deep ? &relay_sql_unfinal_deep : &relay_sql_unfinal_fresh);
    store_bind_i64(&q, "chain_id", (int64_t)w->relay->chain_id);
    store_bind_i64(&q, deep ? "up_to" : "above", (int64_t)w->final_up_to);
    store_bind_i64(&q, "max_rows", deep ? DEEP_MAX : FRESH_MAX);
    while (store_step(&q)) {
        ASSERT(w->block_count < DEEP_MAX + FRESH_MAX);
        struct watched *b = &w->blocks[w->block_count++];
        *b = (struct watched){.deep = deep};
        b->number = (uint64_t)store_get_i64(&q, "block_number");
        store_get_fixed(&q, "block_hash", b->hash.bytes, HASH_BYTES);
    }
    return store_finish(&q, NULL, why);
}

static enum err load_blocks(struct store_tx *tx, void *ctx, struct why *why)
{
    struct watch *w = ctx;
    w->block_count = 0;
    enum err e = load_some(tx, w, true, why);
    return e == OK ? load_some(tx, w, false, why) : e;
}

static void add_touched(struct watch *w, const struct touched *item)
{
    if (w->count == w->cap) {
        size_t cap = w->cap > 0 ? w->cap * 2 : 64;
        struct touched *grown = arena_alloc_array(&w->relay->step, cap, sizeof *grown);
        if (w->count > 0) {
            memcpy(grown, w->items, w->count * sizeof *grown);
        }
        w->items = grown;
        w->cap = cap;
    }
    w->items[w->count++] = *item;
}

static bool is_looked_for(const struct watched *b)
{
    return b->deep || b->changed;
}

static const struct watched *block_of(const struct watch *w, uint64_t number,
                                      const struct hash *hash)
{
    for (size_t i = 0; i < w->block_count; i++) {
        const struct watched *b = &w->blocks[i];
        if (is_looked_for(b) && b->number == number && hash_equal(&b->hash, hash)) {
            return b;
        }
    }
    return NULL;
}

static enum err load_intents(struct store_tx *tx, void *ctx, struct why *why)
{
    struct watch *w = ctx;
    struct store_query q;
    w->count = 0;
    store_begin_rows(&q, tx, &relay_sql_unfinal_intents);
    for (size_t i = 0; i < w->block_count; i++) {
        const struct watched *b = &w->blocks[i];
        if (is_looked_for(b)) {
            store_bind_i64(&q, "chain_id", (int64_t)w->relay->chain_id);
            store_bind_i64(&q, "block_number", (int64_t)b->number);
            store_bind_bytes(&q, "block_hash", hash_slice(&b->hash));
            store_row(&q);
        }
    }
    while (store_step(&q)) {
        struct touched t = {.fate = FINAL};
        struct hash hash = {{0}};
        t.id = store_get_text(&q, "intent_id", &w->relay->step);
        store_get_fixed(&q, "transaction_hash", t.tx.bytes, HASH_BYTES);
        t.block = (uint64_t)store_get_i64(&q, "block_number");
        store_get_fixed(&q, "block_hash", hash.bytes, HASH_BYTES);
        const struct watched *b = block_of(w, t.block, &hash);
        ASSERT(b != NULL);
        t.fate = b->changed ? GONE : FINAL;
        add_touched(w, &t);
    }
    return store_finish(&q, NULL, why);
}

/* ---- asking ---- */

static bool block_hash_of(const struct json *block, struct hash *out)
{
    const struct json *hash = json_find(block, "hash");
    return hash != NULL && hash->type == JSON_STRING && hash_parse(hash->text, out) == OK;
}

/* Compares the blocks with what the node has at their heights. */
static enum err compare_blocks(struct watch *w, struct why *why)
{
    struct relay *relay = w->relay;
    struct rpc_call *calls = arena_alloc_array(&relay->step, w->block_count, sizeof *calls);
    for (size_t i = 0; i < w->block_count; i++) {
        calls[i] =
            (struct rpc_call){.method = "eth_getBlockByNumber",
                              .once = true,
                              .params = slice_format(&relay->step, "[\"0x%llx\",false]",
                                                     (unsigned long long)w->blocks[i].number)};
    }
    enum err e = rpc_call_many(relay->rpc, &relay->step, RPC_MONEY, calls, w->block_count, why);
    bool missing = false;
    for (size_t i = 0; e == OK && i < w->block_count; i++) {
        if (calls[i].disputed) {
            continue; /* it is neither deep nor gone until the nodes agree */
        }
        if (calls[i].err != OK && why != NULL) {
            *why = calls[i].why;
        }
        e = calls[i].err;
        missing = missing || (e == OK && calls[i].result->type == JSON_NULL);
    }
    if (e != OK) {
        return e;
    }
    int64_t now = clock_mono_usec();
    relay->short_usec = missing ? (relay->short_usec > 0 ? relay->short_usec : now) : 0;
    bool gone = missing && now - relay->short_usec >= SHORT_USEC;
    for (size_t i = 0; i < w->block_count; i++) {
        struct watched *b = &w->blocks[i];
        struct hash hash;
        if (calls[i].disputed) {
            b->changed = false;
            b->deep = false;
            continue;
        }
        bool there = block_hash_of(calls[i].result, &hash);
        b->changed = there ? !hash_equal(&hash, &b->hash) : gone;
        b->deep = b->deep && there && !b->changed;
    }
    return OK;
}

/*
 * Final is for ever, and how deep a block lies is the word of one node. The newest block that it
 * speaks of must be there, and be the same for as many as the pool asks for; until then nothing
 * becomes final.
 */
static void doubt_head(struct watch *w, uint64_t head)
{
    struct relay *relay = w->relay;
    struct evm_header header;
    bool deep = false;
    for (size_t i = 0; i < w->block_count; i++) {
        deep = deep || w->blocks[i].deep;
    }
    if (!deep || (rpc_header(relay->rpc, &relay->step, head, &header, NULL) == OK &&
                  rpc_confirm(relay->rpc, head, &header.hash, NULL) == OK)) {
        return;
    }
    for (size_t i = 0; i < w->block_count; i++) {
        w->blocks[i].deep = false;
    }
}

/* What became of the intents of blocks that changed. */
static enum err ask_receipts(struct watch *w, struct why *why)
{
    struct arena *arena = &w->relay->step;
    struct hash *hashes = arena_alloc_array(arena, w->count, sizeof *hashes);
    size_t *index = arena_alloc_array(arena, w->count, sizeof *index);
    struct evm_receipt *receipts = arena_alloc_array(arena, w->count, sizeof *receipts);
    bool *found = arena_alloc_array(arena, w->count, sizeof *found);
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (w->items[i].fate == GONE) {
            hashes[n] = w->items[i].tx;
            index[n++] = i;
        }
    }
    enum err e = rpc_receipts(w->relay->rpc, arena, hashes, n, receipts, found, why);
    for (size_t i = 0; e == OK && i < n; i++) {
        if (found[i]) {
            w->items[index[i]].fate = MOVED;
            w->items[index[i]].receipt = receipts[i];
        }
    }
    return e;
}

/* ---- storing ---- */

static size_t ids_of(const struct watch *w, enum fate fate, struct slice *out)
{
    size_t count = 0;
    for (size_t i = w->from; i < w->to; i++) {
        if (w->items[i].fate == fate) {
            out[count++] = w->items[i].id;
        }
    }
    return count;
}

static enum err store_moved(struct watch *w, struct store_tx *tx, struct why *why)
{
    struct relay_landing *list =
        arena_alloc_array(&w->relay->step, w->to - w->from + 1, sizeof *list);
    size_t count = 0;
    for (size_t i = w->from; i < w->to; i++) {
        if (w->items[i].fate == MOVED) {
            list[count++] =
                (struct relay_landing){.id = w->items[i].id, .receipt = &w->items[i].receipt};
        }
    }
    return count > 0 ? relay_landings_put(w->relay, tx, list, count, why) : OK;
}

static enum err store_fates(struct store_tx *tx, void *ctx, struct why *why)
{
    struct watch *w = ctx;
    struct slice *ids = arena_alloc_array(&w->relay->step, w->to - w->from + 1, sizeof *ids);
    struct relay_told told;
    relay_told_init(&told, &w->relay->step, w->to - w->from);
    size_t count = ids_of(w, FINAL, ids);
    enum err e = relay_told_run(&told, tx, &relay_sql_intent_final, ids, count, why);
    count = ids_of(w, GONE, ids);
    if (e == OK) {
        e = relay_told_run(&told, tx, &relay_sql_intent_unmined, ids, count, why);
    }
    if (count > 0) {
        store_notify(tx, "relay"); /* they are sent again */
    }
    if (e == OK) {
        e = relay_tell_all(w->relay, tx, &told, why);
    }
    return e == OK ? store_moved(w, tx, why) : e;
}

static enum err store_all_fates(struct watch *w, struct why *why)
{
    enum err e = OK;
    for (size_t from = 0; e == OK && from < w->count; from = w->to) {
        size_t left = w->count - from;
        w->from = from;
        w->to = from + (left < RELAY_STORED_MAX ? left : RELAY_STORED_MAX);
        e = relay_write_one(w->relay, NULL, store_fates, w, why);
    }
    return e;
}

static void report(const struct watch *w)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->items[i].fate == GONE) {
            metric_add(&relay_metrics[RELAY_METRIC_REORGED], 1);
            LOG(LOG_WARN, "relay.reorged", log_slice("tx", w->items[i].id),
                log_u64("block", w->items[i].block));
        }
    }
}

static enum err run_watch(struct watch *w, bool *out_progress, struct why *why)
{
    struct relay *relay = w->relay;
    uint64_t head = 0;
    enum err e = rpc_block_number(relay->rpc, &head, why);
    if (e != OK) {
        return e;
    }
    uint64_t depth = relay->config.final_depth;
    w->final_up_to = head > depth ? head - depth : 0;
    e = store_read(relay->store, load_blocks, w, why);
    if (e != OK || w->block_count == 0) {
        return e;
    }
    e = compare_blocks(w, why);
    if (e == OK) {
        doubt_head(w, head);
    }
    if (e == OK) {
        e = store_read(relay->store, load_intents, w, why);
    }
    if (e != OK || w->count == 0) {
        return e;
    }
    e = ask_receipts(w, why);
    if (e == OK) {
        e = store_all_fates(w, why);
    }
    if (e == OK) {
        report(w);
        *out_progress = true;
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
    struct watch *w = arena_alloc(&relay->step, sizeof *w);
    w->relay = relay;
    enum err e = run_watch(w, out_progress, why);
    if (e == OK) {
        relay->reorg_seen = reorgs;
        relay->recheck_usec = now;
    }
    return e;
}
