#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/chain/chain_internal.h"
#include "kernel/chain/chain_sql.h"

/* A block that we applied, with the hash it had then. */
struct remembered {
    uint64_t number;
    struct hash hash;
};

struct range_read {
    struct chain *chain;
    uint64_t from;
    uint64_t to;
    struct remembered *blocks; /* newest first */
    size_t count;
};

struct rollback {
    struct chain *chain;
    struct chain_position at; /* the cursor that is no longer canonical */
    struct remembered fork;   /* last common block */
    struct hash new_hash;     /* what the node says stands at `at.block`, zero when nothing */
    uint64_t changes;         /* out */
};

static enum err read_range(struct store_tx *tx, void *ctx, struct why *why)
{
    struct range_read *r = ctx;
    size_t cap = (size_t)(r->to - r->from + 1);
    r->blocks = arena_alloc_array(&r->chain->step, cap, sizeof *r->blocks);
    r->count = 0;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_blocks_range);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain->config.chain_id);
    store_bind_i64(&q, "from_block", (int64_t)r->from);
    store_bind_i64(&q, "to_block", (int64_t)r->to);
    while (store_step(&q)) {
        ASSERT(r->count < cap);
        struct remembered *b = &r->blocks[r->count++];
        b->number = (uint64_t)store_get_i64(&q, "block_number");
        store_get_fixed(&q, "block_hash", b->hash.bytes, HASH_BYTES);
    }
    return store_finish(&q, NULL, why);
}

/*
 * Finds the newest remembered block that the node still has. Asks one block at a time from the
 * cursor down: reorganisations are shallow.
 */
static enum err find_fork(struct chain *chain, const struct range_read *known, struct rollback *out,
                          bool *out_found, struct why *why)
{
    *out_found = false;
    for (size_t i = 0; i < known->count && !*out_found; i++) {
        struct evm_header header;
        enum err e = rpc_header(chain->rpc, &chain->step, known->blocks[i].number, &header, why);
        if (e == ERR_NOT_FOUND) {
            continue; /* the chain is shorter now */
        }
        if (e != OK) {
            return e;
        }
        if (known->blocks[i].number == out->at.block) {
            out->new_hash = header.hash;
        }
        if (hash_equal(&header.hash, &known->blocks[i].hash)) {
            out->fork = known->blocks[i];
            *out_found = true;
        }
    }
    return OK;
}

static enum err record(struct store_tx *tx, const struct rollback *r, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &chain_sql_reorg_insert);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain->config.chain_id);
    store_bind_i64(&q, "fork_block", (int64_t)r->fork.number);
    store_bind_i64(&q, "depth", (int64_t)(r->at.block - r->fork.number));
    store_bind_bytes(&q, "old_hash", hash_slice(&r->at.hash));
    store_bind_bytes(&q, "new_hash", hash_slice(&r->new_hash));
    store_bind_i64(&q, "changes_undone", (int64_t)r->changes);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err cut(struct store_tx *tx, const struct store_statement *statement, uint64_t chain_id,
                    uint64_t from_block, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, statement);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_i64(&q, "from_block", (int64_t)from_block);
    return store_finish(&q, NULL, why);
}

static enum err rewind_rows(struct store_tx *tx, uint64_t chain_id, const struct remembered *fork,
                            uint64_t *out_changes, struct why *why)
{
    uint64_t from = fork->number + 1;
    enum err e = store_undo_rollback(tx, chain_id, from, out_changes, why);
    if (e == OK) {
        e = cut(tx, &chain_sql_events_cut, chain_id, from, why);
    }
    if (e == OK) {
        e = cut(tx, &chain_sql_blocks_cut, chain_id, from, why);
    }
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &chain_sql_cursor_rewind);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_i64(&q, "block_number", (int64_t)fork->number);
    store_bind_bytes(&q, "block_hash", hash_slice(&fork->hash));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err run_rollback(struct store_tx *tx, void *ctx, struct why *why)
{
    struct rollback *r = ctx;
    r->changes = 0;
    struct chain_position now;
    enum err e = chain_position_read(tx, r->chain->config.chain_id, &now, why);
    if (e == OK && !hash_equal(&now.hash, &r->at.hash)) {
        e = why_set(why, ERR_CONFLICT, NULL, "the cursor of chain %llu was moved by someone else",
                    (unsigned long long)r->chain->config.chain_id);
    }
    if (e == OK) {
        e = rewind_rows(tx, r->chain->config.chain_id, &r->fork, &r->changes, why);
    }
    if (e == OK) {
        e = record(tx, r, why);
    }
    if (e == OK) {
        store_notify(tx, "chain");
        store_notify(tx, "chain_reorg"); /* transactions may have fallen out */
        store_notify(tx, "relay");
    }
    return e;
}

static enum err run_halt(struct store_tx *tx, void *ctx, struct why *why)
{
    struct rollback *r = ctx;
    char text[WHY_TEXT_MAX];
    (void)snprintf(text, sizeof text,
                   "block %llu is no longer canonical and no common block was found within "
                   "max_reorg_depth = %llu blocks; look at the chain, then run "
                   "`freehold chain resume --from BLOCK`",
                   (unsigned long long)r->at.block,
                   (unsigned long long)r->chain->config.reorg_depth_max);
    struct store_query q;
    store_begin(&q, tx, &chain_sql_cursor_halt);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain->config.chain_id);
    store_bind_text(&q, "halted_why", slice_text(text));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        store_notify(tx, "chain");
    }
    return e;
}

static enum err halt(struct chain *chain, struct rollback *r, struct why *why)
{
    enum err e = store_write(chain->store, run_halt, r, why);
    if (e != OK) {
        return e;
    }
    metric_set(&chain_metrics[CHAIN_METRIC_HALTED], 1);
    LOG(LOG_ERROR, "chain.halted", log_u64("chain", chain->config.chain_id),
        log_u64("block", r->at.block), log_u64("max_reorg_depth", chain->config.reorg_depth_max));
    return why_set(why, ERR_CHAIN_HALTED, NULL,
                   "chain %llu is halted: block %llu is no longer canonical and the fork is "
                   "deeper than %llu blocks",
                   (unsigned long long)chain->config.chain_id, (unsigned long long)r->at.block,
                   (unsigned long long)chain->config.reorg_depth_max);
}

enum err chain_reorg_handle(struct chain *chain, const struct chain_position *at, struct why *why)
{
    struct rollback r = {.chain = chain, .at = *at};
    uint64_t depth_max = chain->config.reorg_depth_max;
    struct range_read known = {
        .chain = chain,
        .from = at->block > depth_max ? at->block - depth_max : 0,
        .to = at->block,
    };
    enum err e = store_read(chain->store, read_range, &known, why);
    bool found = false;
    if (e == OK) {
        e = find_fork(chain, &known, &r, &found, why);
    }
    if (e != OK) {
        return e;
    }
    if (!found) {
        return halt(chain, &r, why);
    }
    if (r.fork.number == at->block) {
        return OK; /* the node changed its mind back: nothing to undo */
    }
    e = store_write(chain->store, run_rollback, &r, why);
    if (e != OK) {
        return e;
    }
    uint64_t depth = at->block - r.fork.number;
    chain->sources_stale = true;
    metric_add(&chain_metrics[CHAIN_METRIC_REORGS], 1);
    metric_set(&chain_metrics[CHAIN_METRIC_REORG_DEPTH], (int64_t)depth);
    (void)pthread_mutex_lock(&chain->lock);
    chain->status.reorgs++;
    chain->status.reorg_depth_last = depth;
    (void)pthread_mutex_unlock(&chain->lock);
    LOG(LOG_WARN, "chain.reorg_undone", log_u64("chain", chain->config.chain_id),
        log_u64("block", at->block), log_u64("fork_block", r.fork.number), log_u64("depth", depth),
        log_u64("changes", r.changes));
    return OK;
}

/* ---- the human's decision ---- */

struct resume {
    uint64_t chain_id;
    uint64_t from_block;
};

static enum err run_resume(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct resume *r = ctx;
    struct chain_position at;
    enum err e = chain_position_read(tx, r->chain_id, &at, why);
    if (e != OK) {
        return e;
    }
    if (!at.found || r->from_block == 0 || r->from_block > at.block + 1) {
        return why_set(
            why, ERR_CONFLICT, "from", "chain %llu can resume from blocks 1 to %llu only",
            (unsigned long long)r->chain_id, (unsigned long long)(at.found ? at.block + 1 : 0));
    }
    struct remembered fork = {.number = r->from_block - 1};
    struct store_query q;
    store_begin(&q, tx, &chain_sql_block_get);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain_id);
    store_bind_i64(&q, "block_number", (int64_t)fork.number);
    bool found = store_step(&q);
    if (found) {
        store_get_fixed(&q, "block_hash", fork.hash.bytes, HASH_BYTES);
    }
    e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    if (!found) {
        return why_set(why, ERR_CONFLICT, "from",
                       "block %llu is not remembered any more, so its successors cannot be "
                       "undone; choose a later block or rebuild with an empty database",
                       (unsigned long long)fork.number);
    }
    uint64_t changes = 0;
    e = rewind_rows(tx, r->chain_id, &fork, &changes, why);
    if (e == OK) {
        store_notify(tx, "chain");
        store_notify(tx, "chain_poke");
    }
    return e;
}

enum err chain_resume(struct store *store, uint64_t chain_id, uint64_t from_block, struct why *why)
{
    struct resume r = {.chain_id = chain_id, .from_block = from_block};
    return store_write(store, run_resume, &r, why);
}
