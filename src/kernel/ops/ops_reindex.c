#include "kernel/ops/ops_reindex.h"

#include "kernel/base/check.h"
#include "kernel/ops/ops_reindex_internal.h"
#include "kernel/ops/ops_reindex_sql.h"

/* How long to wait for the installation's follower, and how often. Units: microseconds. */
#define WAIT_USEC 50000
#define WAITS_MAX 1200
/* How often the cursor may have moved on just before it was held. */
#define ATTEMPTS_MAX 200

/* ---- where both are ---- */

struct cursor_read {
    uint64_t chain_id;
    struct reindex_position position;
};

static enum err read_cursor(struct store_tx *tx, void *ctx, struct why *why)
{
    struct cursor_read *r = ctx;
    return reindex_position_read(tx, r->chain_id, &r->position, why);
}

static enum err position_of(const struct reindex *r, struct store *store,
                            struct reindex_position *out, struct why *why)
{
    struct cursor_read read = {.chain_id = r->options->chain_id};
    enum err e = store_read(store, read_cursor, &read, why);
    if (e == OK) {
        *out = read.position;
    }
    return e;
}

static bool at_same_block(const struct reindex *r)
{
    return r->built.found && r->built.block == r->live.block &&
           hash_equal(&r->built.hash, &r->live.hash);
}

static void tell(const struct reindex *r)
{
    if (r->options->progress != NULL) {
        r->options->progress(r->options->progress_ctx, r->built.block, r->live.block);
    }
}

static enum err read_live(struct reindex *r, struct why *why)
{
    enum err e = position_of(r, r->options->live, &r->live, why);
    if (e == OK && !r->live.found) {
        e = why_set(why, ERR_NOT_FOUND, NULL, "chain %llu was not followed yet",
                    (unsigned long long)r->options->chain_id);
    }
    return e;
}

static enum err refuse_halted(const struct reindex *r, struct why *why)
{
    return why_set(why, ERR_CHAIN_HALTED, NULL,
                   "the chain is halted: %.300s; with --accept the rows are built up to the newest "
                   "block that is certain, and the chain goes on from there",
                   r->live.halted_why);
}

/*
 * Builds until the shadow stands where the installation does, or at `limit` where that is given.
 * A node that fails now and then, and a follower that is about to undo something, are waited for.
 */
static enum err build(struct reindex *r, bool halted, uint64_t limit, struct why *why)
{
    struct chain *chain = r->options->chain;
    for (unsigned waits = 0;;) {
        bool progress = false;
        enum err e = read_live(r, why);
        if (e == OK && !halted && r->live.halted_why[0] != '\0') {
            return refuse_halted(r, why);
        }
        if (e != OK) {
            return e;
        }
        chain_limit(chain, halted ? limit : r->live.block);
        e = chain_sync_once(chain, &progress, why);
        if (e != OK && (!err_retryable(e) || waits >= WAITS_MAX)) {
            return e;
        }
        e = position_of(r, r->options->shadow, &r->built, why);
        if (e != OK || (halted && r->built.block == limit) || (!halted && at_same_block(r))) {
            return e;
        }
        tell(r);
        waits = progress ? 0 : waits + 1;
        if (waits > WAITS_MAX) {
            return why_set(why, ERR_CONFLICT, NULL,
                           "block %llu of the database and block %llu of the chain do not become "
                           "one: does a daemon follow it?",
                           (unsigned long long)r->live.block, (unsigned long long)r->built.block);
        }
        if (!progress) {
            clock_sleep_usec(WAIT_USEC);
        }
    }
}

/* ---- a halted chain ---- */

struct newest {
    uint64_t chain_id;
    uint64_t block;
    bool found;
    uint64_t event_block;
    struct hash event_hash;
};

static enum err read_newest(struct store_tx *tx, void *ctx, struct why *why)
{
    struct newest *n = ctx;
    struct store_query q;
    store_begin(&q, tx, &ops_reindex_sql_event_newest);
    store_bind_i64(&q, "chain_id", (int64_t)n->chain_id);
    store_bind_i64(&q, "block_number", (int64_t)n->block);
    n->found = store_step(&q);
    if (n->found) {
        n->event_block = (uint64_t)store_get_i64(&q, "block_number");
        store_get_fixed(&q, "block_hash", n->event_hash.bytes, HASH_BYTES);
    }
    return store_finish(&q, NULL, why);
}

/*
 * Finds the newest block with an event of ours that is on the chain. What is applied up to there is
 * right, because the blocks before it are its own. The older an event the likelier its block is
 * there, so halving finds it.
 */
static enum err find_certain(struct reindex *r, uint64_t *out, struct why *why)
{
    struct arena scratch;
    uint64_t certain = 0;
    uint64_t low = 0;
    uint64_t high = r->live.block;
    enum err e = OK;
    arena_init(&scratch, 0);
    while (e == OK && low < high) {
        struct newest n = {.chain_id = r->options->chain_id, .block = low + (high - low + 1) / 2};
        struct evm_header header;
        e = store_read(r->options->live, read_newest, &n, why);
        if (e == OK && (!n.found || n.event_block <= low)) {
            low = n.block; /* no event in between */
            continue;
        }
        arena_clear(&scratch);
        e = e == OK ? rpc_header(r->options->rpc, &scratch, n.event_block, &header, why) : e;
        if (e == OK && hash_equal(&header.hash, &n.event_hash)) {
            certain = n.event_block;
            low = n.block;
        } else if (e == OK || e == ERR_NOT_FOUND) {
            high = n.event_block - 1;
            e = OK;
        }
    }
    arena_free(&scratch);
    *out = certain;
    return e;
}

static enum err run_halted(struct reindex *r, struct why *why)
{
    uint64_t certain = 0;
    enum err e = find_certain(r, &certain, why);
    uint64_t start = 0;
    if (e == OK) {
        /* The shadow begins where the installation did. */
        bool progress = false;
        chain_limit(r->options->chain, 0);
        e = chain_sync_once(r->options->chain, &progress, why);
        e = e == OK ? position_of(r, r->options->shadow, &r->built, why) : e;
        start = r->built.block;
        if (e == OK && start > certain && certain > 0) {
            e = why_set(why, ERR_CONFLICT, NULL,
                        "what an earlier run has built is beyond block %llu, up to which the rows "
                        "are certain: begin anew, without --continue",
                        (unsigned long long)certain);
        }
    }
    if (e == OK) {
        e = build(r, true, certain > start ? certain : start, why);
    }
    return e == OK ? store_write(r->options->live, reindex_write, r, why) : e;
}

/* ---- the usual way ---- */

static enum err compare_only(struct reindex *r, struct why *why)
{
    enum err e = ERR_CONFLICT;
    for (unsigned i = 0; e == ERR_CONFLICT && i < ATTEMPTS_MAX; i++) {
        e = build(r, false, 0, why);
        if (e != OK) {
            return e;
        }
        e = store_read(r->options->live, reindex_compare_all, r, why);
    }
    return e;
}

static enum err write_rows(struct reindex *r, struct why *why)
{
    enum err e = ERR_CONFLICT;
    for (unsigned i = 0; e == ERR_CONFLICT && i < ATTEMPTS_MAX; i++) {
        e = build(r, false, 0, why);
        if (e != OK) {
            return e;
        }
        e = store_write(r->options->live, reindex_write, r, why);
    }
    return e;
}

enum err ops_reindex_run(const struct ops_reindex_options *options, struct arena *arena,
                         struct ops_reindex_report *out, struct why *why)
{
    struct reindex r = {.options = options, .arena = arena};
    arena_init(&r.pass, 0);
    enum err e = read_live(&r, why);
    if (e == OK && r.live.halted_why[0] != '\0') {
        r.halted = true;
        e = options->accept ? run_halted(&r, why) : refuse_halted(&r, why);
    } else if (e == OK) {
        e = options->from > 0 ? reindex_take_over(&r, why) : OK;
        e = e == OK ? compare_only(&r, why) : e;
        if (e == OK && r.report.differing > 0 && options->accept) {
            e = write_rows(&r, why);
        } else if (e == OK) {
            e = store_write(options->live, reindex_record, &r, why);
        }
    }
    if (e == OK) {
        *out = r.report;
    }
    arena_free(&r.pass);
    return e;
}
