#include "kernel/base/check.h"
#include "kernel/chain/chain_internal.h"
#include "kernel/chain/chain_sql.h"

enum err chain_position_read(struct store_tx *tx, uint64_t chain_id, struct chain_position *out,
                             struct why *why)
{
    struct chain_position p = {0};
    struct arena scratch;
    arena_init(&scratch, 1024);
    struct store_query q;
    store_begin(&q, tx, &chain_sql_cursor_get);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    if (store_step(&q)) {
        p.found = true;
        p.block = (uint64_t)store_get_i64(&q, "block_number");
        store_get_fixed(&q, "block_hash", p.hash.bytes, HASH_BYTES);
        store_get_fixed(&q, "genesis_hash", p.genesis.bytes, HASH_BYTES);
        struct slice halted = store_get_text(&q, "halted_why", &scratch);
        (void)snprintf(p.halted_why, sizeof p.halted_why, "%.*s", SLICE_ARG(halted));
        p.final_block = (uint64_t)store_get_i64(&q, "final_block");
        p.updated_usec = store_get_time(&q, "updated_at");
    }
    enum err e = store_finish(&q, NULL, why);
    arena_free(&scratch);
    if (e == OK) {
        *out = p;
    }
    return e;
}

enum err chain_cursor_read(struct store_tx *tx, uint64_t chain_id, uint64_t *out_block,
                           struct hash *out_hash, struct why *why)
{
    struct chain_position p;
    enum err e = chain_position_read(tx, chain_id, &p, why);
    if (e != OK) {
        return e;
    }
    if (!p.found) {
        return why_set(why, ERR_NOT_FOUND, NULL, "chain %llu was not followed yet",
                       (unsigned long long)chain_id);
    }
    *out_block = p.block;
    *out_hash = p.hash;
    return OK;
}

struct opening {
    struct chain *chain;
    struct evm_header genesis;
    bool has_base;
    struct evm_header base; /* the block before the first one that is applied */
    struct chain_position position;
};

static enum err read_position(struct store_tx *tx, void *ctx, struct why *why)
{
    struct opening *o = ctx;
    return chain_position_read(tx, o->chain->config.chain_id, &o->position, why);
}

static enum err insert_cursor(struct store_tx *tx, const struct opening *o, struct why *why)
{
    uint64_t chain_id = o->chain->config.chain_id;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_cursor_insert);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_i64(&q, "block_number", (int64_t)o->base.number);
    store_bind_bytes(&q, "block_hash", hash_slice(&o->base.hash));
    store_bind_bytes(&q, "genesis_hash", hash_slice(&o->genesis.hash));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, NULL, why);
    return e == OK ? chain_block_put(tx, chain_id, &o->base, why) : e;
}

static enum err check_genesis(const struct opening *o, struct why *why)
{
    if (!o->position.found || hash_equal(&o->position.genesis, &o->genesis.hash)) {
        return OK;
    }
    return why_set(why, ERR_WRONG_CHAIN, "chain.rpc_urls",
                   "the node serves another chain %llu than the database was made from (other "
                   "genesis block); use a new database or the right node",
                   (unsigned long long)o->chain->config.chain_id);
}

/* One transaction: a cursor without the contracts that it is about would skip their events. */
static enum err run_open(struct store_tx *tx, void *ctx, struct why *why)
{
    struct opening *o = ctx;
    enum err e = read_position(tx, o, why);
    if (e == OK && !o->position.found) {
        ASSERT(o->has_base); /* rows of a cursor are never deleted */
        e = chain_follow_statics(tx, o->chain, NULL, why);
        if (e == OK) {
            e = insert_cursor(tx, o, why);
        }
        o->position.found = true;
        o->position.block = o->base.number;
        o->position.hash = o->base.hash;
        o->position.genesis = o->genesis.hash;
        return e;
    }
    if (e == OK) {
        e = check_genesis(o, why);
    }
    return e == OK ? chain_follow_statics(tx, o->chain, &o->position, why) : e;
}

/* The base of a chain that is followed for the first time; genesis itself holds no logs. */
static enum err read_base(struct opening *o, struct why *why)
{
    uint64_t start = o->chain->config.start_block;
    uint64_t number = start > 0 ? start - 1 : 0;
    if (number == 0) {
        o->base = o->genesis; /* it is there: a node that says otherwise now has no say */
        o->has_base = true;
        return OK;
    }
    enum err e = rpc_header(o->chain->rpc, &o->chain->step, number, &o->base, why);
    if (e == ERR_NOT_FOUND) {
        return why_set(why, ERR_CONFIG, "chain.start_block",
                       "chain.start_block is %llu, but the node has no block %llu yet",
                       (unsigned long long)start, (unsigned long long)number);
    }
    o->has_base = e == OK;
    return e;
}

/* What node and rows say of the chain, without changing anything. */
static enum err read_both(struct opening *o, struct why *why)
{
    struct chain *chain = o->chain;
    uint64_t served = 0;
    enum err e = rpc_chain_id(chain->rpc, &served, why);
    if (e == OK) {
        ASSERT(served == chain->config.chain_id); /* the pool was made for another chain */
        e = rpc_header(chain->rpc, &chain->step, 0, &o->genesis, why);
    }
    return e == OK ? store_read(chain->store, read_position, o, why) : e;
}

enum err chain_look(struct chain *chain, struct chain_position *out, struct why *why)
{
    struct opening o = {.chain = chain};
    enum err e = read_both(&o, why);
    if (e == OK) {
        e = check_genesis(&o, why);
    }
    if (e == OK) {
        *out = o.position;
    }
    return e;
}

enum err chain_open(struct chain *chain, struct chain_position *out, struct why *why)
{
    struct opening o = {.chain = chain};
    enum err e = read_both(&o, why);
    if (e == OK && !o.position.found) {
        e = read_base(&o, why);
    }
    if (e == OK) {
        e = chain_write(chain, run_open, &o, why);
    }
    if (e == OK) {
        chain->opened = true;
        chain->followed_known = false;
        *out = o.position;
    }
    return e;
}
