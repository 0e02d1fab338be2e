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
    struct chain_position at;  /* the cursor that is no longer canonical */
    struct remembered fork;    /* last common block */
    struct hash new_hash;      /* what the node says stands at `at.block`, zero when nothing */
    bool moves_base;           /* even the block below the first applied one is another now */
    struct evm_header base;    /* the oldest remembered block, as it is now */
    uint64_t changes;          /* out */
    char halted[WHY_TEXT_MAX]; /* what the row says */
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

/* What the node knows of the remembered blocks. */
enum finding {
    NOTHING_FORKED, /* all blocks that it has are ours: it lags, or changed its mind back */
    FORKED,         /* above `fork` */
    LOST,           /* none of them is ours */
};

/*
 * Finds the newest remembered block that the node still has. Asks one block at a time from the
 * cursor down: reorganisations are shallow. Only a block with another hash is evidence of a fork; a
 * missing one is not: the node may be behind.
 */
static enum err find_fork(struct chain *chain, const struct range_read *known, struct rollback *out,
                          enum finding *out_finding, struct why *why)
{
    bool differs = false;
    struct evm_header header = {0};
    for (size_t i = 0; i < known->count; i++) {
        arena_clear(&chain->reading);
        enum err e = rpc_header(chain->rpc, &chain->reading, known->blocks[i].number, &header, why);
        bool last = i + 1 == known->count;
        if (e == ERR_NOT_FOUND && last) {
            return why_set(why, ERR_NODE_UNAVAILABLE, NULL,
                           "the node has none of the blocks %llu to %llu: it is still catching up",
                           (unsigned long long)known->blocks[i].number,
                           (unsigned long long)known->blocks[0].number);
        }
        if (e == ERR_NOT_FOUND) {
            continue;
        }
        if (e != OK) {
            return e;
        }
        if (known->blocks[i].number == out->at.block) {
            out->new_hash = header.hash;
        }
        if (hash_equal(&header.hash, &known->blocks[i].hash)) {
            out->fork = known->blocks[i];
            *out_finding = differs ? FORKED : NOTHING_FORKED;
            return OK;
        }
        differs = true;
    }
    *out_finding = LOST;
    out->base = header;
    return OK;
}

/* Where a fork is that is too deep to be undone without a human. */
struct deep {
    uint64_t oldest; /* of the remembered blocks */
    bool found;
    uint64_t fork; /* then: the newest of them that is still on the chain */
};

/*
 * Looks for the fork among all remembered blocks, so that the sentence can say where to go on. The
 * older a block is the likelier it is still there, so halving finds it. What a node cannot answer
 * now counts as lost: whether to halt does not depend on it.
 */
static enum err find_deep(struct chain *chain, const struct chain_position *at, struct deep *out,
                          struct why *why)
{
    uint64_t depth = chain->config.undo_depth;
    struct range_read known = {
        .chain = chain,
        .from = at->block > depth ? at->block - depth : 0,
        .to = at->block,
    };
    enum err e = store_read(chain->store, read_range, &known, why);
    if (e != OK || known.count == 0) {
        return e;
    }
    size_t low = 0;
    size_t high = known.count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct evm_header header;
        arena_clear(&chain->reading);
        e = rpc_header(chain->rpc, &chain->reading, known.blocks[mid].number, &header, NULL);
        if (e == OK && hash_equal(&header.hash, &known.blocks[mid].hash)) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    out->oldest = known.blocks[known.count - 1].number;
    out->found = high < known.count;
    out->fork = out->found ? known.blocks[high].number : 0;
    return OK;
}

struct below {
    uint64_t chain_id;
    uint64_t block;
    bool applied;
};

static enum err read_below(struct store_tx *tx, void *ctx, struct why *why)
{
    struct below *b = ctx;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_events_below);
    store_bind_i64(&q, "chain_id", (int64_t)b->chain_id);
    store_bind_i64(&q, "block_number", (int64_t)b->block);
    b->applied = store_step(&q);
    if (b->applied) {
        store_ignore(&q, "block_number");
    }
    return store_finish(&q, NULL, why);
}

/*
 * A follower that started a few blocks ago remembers fewer blocks than it may undo. Where no event
 * at or below the oldest of them was ever applied, undoing all that is above it is complete.
 */
static enum err try_base(struct chain *chain, const struct range_read *known, struct rollback *out,
                         enum finding *out_finding, struct why *why)
{
    struct below below = {.chain_id = chain->config.chain_id, .block = out->base.number};
    if (out->base.number == 0 || out->base.number <= known->from) {
        return OK;
    }
    enum err e = store_read(chain->store, read_below, &below, why);
    if (e == OK && !below.applied) {
        out->fork = (struct remembered){.number = out->base.number, .hash = out->base.hash};
        out->moves_base = true;
        *out_finding = FORKED;
    }
    return e;
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

/* ---- the audit log ---- */

enum { ACTION_REORG_UNDONE, ACTION_HALTED, ACTION_RESUMED, ACTION_COUNT };

static const struct audit_action actions[ACTION_COUNT] = {
    [ACTION_REORG_UNDONE] = {"chain.reorg_undone",
                             "Blocks were no longer canonical: what had followed from them was "
                             "taken back. Rows of the audit log that they caused stay."},
    [ACTION_HALTED] = {"chain.halted", "The chain was stopped until a human looks at it."},
    [ACTION_RESUMED] = {"chain.resumed",
                        "An operator let the chain go on from a block; what had followed from it "
                        "and from later ones was taken back."},
};

struct audit_table chain_audit_table(void)
{
    return (struct audit_table){actions, ACTION_COUNT};
}

struct turn {
    const struct audit_action *action;
    struct slice by; /* empty: the chain itself */
    enum audit_outcome outcome;
    uint64_t chain_id;
    uint64_t from; /* the cursor before and after */
    uint64_t to;
    uint64_t changes;
};

static enum err audit(struct store_tx *tx, const struct turn *turn, struct why *why)
{
    char chain[32];
    char subject[40];
    char details[128];
    (void)snprintf(chain, sizeof chain, "%llu", (unsigned long long)turn->chain_id);
    (void)snprintf(subject, sizeof subject, "chain/%s", chain);
    (void)snprintf(details, sizeof details, "{\"from\":%llu,\"to\":%llu,\"changes\":%llu}",
                   (unsigned long long)turn->from, (unsigned long long)turn->to,
                   (unsigned long long)turn->changes);
    const struct audit_entry entry = {
        .action = turn->action,
        .actor_kind = turn->by.len > 0 ? AUDIT_OPERATOR : AUDIT_CHAIN,
        .actor = turn->by.len > 0 ? turn->by : slice_text(chain),
        .subject = slice_text(subject),
        .outcome = turn->outcome,
        .details = slice_text(details),
    };
    return audit_write(tx, &entry, why);
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
    if (e == OK) {
        e = chain_expect_rewind(tx, chain_id, from, why);
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
    e = store_finish(&q, NULL, why);
    /* What a retry had done above the fork is undone, and its event refused again. */
    return e == OK ? chain_retry_again(tx, chain_id, why) : e;
}

/* The cursor must still be where the caller saw it: two processes may follow one chain. */
static enum err verify_position(struct store_tx *tx, const struct rollback *r, struct why *why)
{
    struct chain_position now;
    enum err e = chain_position_read(tx, r->chain->config.chain_id, &now, why);
    if (e == OK && (now.block != r->at.block || !hash_equal(&now.hash, &r->at.hash) ||
                    now.halted_why[0] != '\0')) {
        e = why_set(why, ERR_CONFLICT, NULL, "the cursor of chain %llu was moved by someone else",
                    (unsigned long long)r->chain->config.chain_id);
    }
    return e;
}

static enum err run_rollback(struct store_tx *tx, void *ctx, struct why *why)
{
    struct rollback *r = ctx;
    uint64_t chain_id = r->chain->config.chain_id;
    r->changes = 0;
    enum err e = verify_position(tx, r, why);
    if (e == OK) {
        e = rewind_rows(tx, chain_id, &r->fork, &r->changes, why);
    }
    if (e == OK && r->moves_base) {
        e = cut(tx, &chain_sql_blocks_cut, chain_id, r->base.number, why);
        if (e == OK) {
            e = chain_block_put(tx, chain_id, &r->base, why);
        }
    }
    if (e == OK) {
        /* A contract of the configuration may have been announced in a block that is gone. */
        e = chain_follow_statics(tx, r->chain, NULL, why);
    }
    if (e == OK) {
        e = record(tx, r, why);
    }
    if (e == OK) {
        const struct turn turn = {
            .action = &actions[ACTION_REORG_UNDONE],
            .chain_id = chain_id,
            .from = r->at.block,
            .to = r->fork.number,
            .changes = r->changes,
        };
        e = audit(tx, &turn, why);
    }
    if (e == OK) {
        store_notify(tx, "chain");
        store_notify(tx, "stream");      /* what changed is told */
        store_notify(tx, "chain_reorg"); /* transactions may have fallen out */
        store_notify(tx, "relay");
    }
    return e;
}

/* What to do, as far as it can be known. */
static void say_halted(struct rollback *r, const struct deep *deep)
{
    unsigned long long depth_max = r->chain->config.reorg_depth_max;
    unsigned long long block = r->at.block;
    if (deep->found) {
        (void)snprintf(
            r->halted, sizeof r->halted,
            "block %llu is no longer canonical, and the last common block is %llu, more "
            "than chain.max_reorg_depth = %llu blocks below; look at the chain, then run "
            "`freehold chain resume --from %llu`",
            block, (unsigned long long)deep->fork, depth_max, (unsigned long long)deep->fork + 1);
        return;
    }
    (void)snprintf(r->halted, sizeof r->halted,
                   "block %llu is no longer canonical, and no common block was found within "
                   "chain.max_reorg_depth = %llu blocks nor among all that are remembered, from "
                   "%llu on; look at the node and the chain, then run `freehold chain resume "
                   "--from BLOCK`, or `freehold reindex --accept` if the fork is older",
                   block, depth_max, (unsigned long long)deep->oldest);
}

static enum err run_halt(struct store_tx *tx, void *ctx, struct why *why)
{
    struct rollback *r = ctx;
    enum err e = verify_position(tx, r, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &chain_sql_cursor_halt);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain->config.chain_id);
    store_bind_text(&q, "halted_why", slice_text(r->halted));
    store_bind_time(&q, "now", clock_wall_usec());
    e = store_finish(&q, NULL, why);
    if (e == OK) {
        store_notify(tx, "chain");
        store_notify(tx, "stream"); /* what changed is told */
        const struct turn turn = {
            .action = &actions[ACTION_HALTED],
            .outcome = AUDIT_FAILED,
            .chain_id = r->chain->config.chain_id,
            .from = r->at.block,
            .to = r->at.block,
        };
        e = audit(tx, &turn, why);
    }
    return e;
}

/* What was said to stay did not: nothing that follows from it is taken back without a human. */
static void say_final(struct rollback *r)
{
    (void)snprintf(
        r->halted, sizeof r->halted,
        "block %llu was applied as final (chain.follow = %s) and is no longer canonical; "
        "the last common block is %llu; look at the node and the chain, then run "
        "`freehold chain resume --from %llu`",
        (unsigned long long)r->at.final_block, chain_follow_name(r->chain->follow),
        (unsigned long long)r->fork.number, (unsigned long long)r->fork.number + 1);
}

static void note_reorg(struct chain *chain, const struct rollback *r)
{
    uint64_t depth = r->at.block - r->fork.number;
    metric_add(&chain_metrics[CHAIN_METRIC_REORGS], 1);
    metric_set(&chain_metrics[CHAIN_METRIC_REORG_DEPTH], (int64_t)depth);
    (void)pthread_mutex_lock(&chain->lock);
    chain->status.reorg_depth_last = depth;
    (void)pthread_mutex_unlock(&chain->lock);
    bool deep = depth > chain->config.reorg_depth_alert;
    metric_add(&chain_metrics[CHAIN_METRIC_REORGS_DEEP], deep ? 1 : 0);
    LOG(deep ? LOG_ERROR : LOG_WARN, "chain.reorg_undone", log_u64("chain", chain->config.chain_id),
        log_u64("block", r->at.block), log_u64("fork_block", r->fork.number),
        log_u64("depth", depth), log_u64("changes", r->changes));
}

enum err chain_reorg_handle(struct chain *chain, const struct chain_position *at, bool *out_undone,
                            struct why *why)
{
    struct rollback r = {.chain = chain, .at = *at};
    uint64_t depth_max = chain->config.reorg_depth_max;
    struct range_read known = {
        .chain = chain,
        .from = at->block > depth_max ? at->block - depth_max : 0,
        .to = at->block,
    };
    enum finding finding = NOTHING_FORKED;
    enum err e = store_read(chain->store, read_range, &known, why);
    if (e == OK) {
        e = find_fork(chain, &known, &r, &finding, why);
    }
    if (e == OK && finding == LOST) {
        e = try_base(chain, &known, &r, &finding, why);
    }
    if (e != OK || finding == NOTHING_FORKED) {
        return e;
    }
    if (finding == FORKED && r.fork.number < at->final_block) {
        say_final(&r);
        e = chain_write(chain, run_halt, &r, why);
        return e != OK ? e : why_set(why, ERR_CHAIN_HALTED, NULL, "%s", r.halted);
    }
    if (finding == LOST) {
        struct deep deep = {0};
        e = find_deep(chain, at, &deep, why);
        say_halted(&r, &deep);
        e = e == OK ? chain_write(chain, run_halt, &r, why) : e;
        return e != OK ? e : why_set(why, ERR_CHAIN_HALTED, NULL, "%s", r.halted);
    }
    e = chain_write(chain, run_rollback, &r, why);
    if (e == OK) {
        *out_undone = true;
        note_reorg(chain, &r);
    }
    return e;
}

/* ---- the human's decision ---- */

struct resume {
    uint64_t chain_id;
    uint64_t from_block;
    struct slice by;
};

/* What was applied above a block that is forgotten cannot be undone one by one any more. */
static enum err refuse_forgotten(struct store_tx *tx, const struct resume *r, struct why *why)
{
    uint64_t oldest = 0;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_blocks_oldest);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain_id);
    if (store_step(&q)) {
        oldest = (uint64_t)store_get_i64(&q, "block_number");
    }
    enum err e = store_finish(&q, NULL, why);
    return e != OK ? e
                   : why_set(why, ERR_CONFLICT, "from",
                             "block %llu is not remembered any more, so what follows it cannot be "
                             "undone: the oldest that is remembered is %llu (chain.undo_depth); "
                             "resume from %llu or later, or rebuild with `freehold reindex "
                             "--accept`",
                             (unsigned long long)r->from_block - 1, (unsigned long long)oldest,
                             (unsigned long long)oldest + 1);
}

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
        return refuse_forgotten(tx, r, why);
    }
    uint64_t changes = 0;
    e = rewind_rows(tx, r->chain_id, &fork, &changes, why);
    if (e == OK) {
        store_notify(tx, "chain");
        store_notify(tx, "stream"); /* what changed is told */
        store_notify(tx, "chain_poke");
        store_notify(tx, "chain_reorg"); /* transactions may have fallen out */
        store_notify(tx, "relay");
        const struct turn turn = {
            .action = &actions[ACTION_RESUMED],
            .by = r->by,
            .chain_id = r->chain_id,
            .from = at.block,
            .to = fork.number,
            .changes = changes,
        };
        e = audit(tx, &turn, why);
    }
    return e;
}

enum err chain_resume(struct store *store, uint64_t chain_id, uint64_t from_block, struct slice by,
                      struct why *why)
{
    struct resume r = {.chain_id = chain_id, .from_block = from_block, .by = by};
    return store_write(store, run_resume, &r, why);
}
