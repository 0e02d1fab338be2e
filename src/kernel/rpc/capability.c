/*
 * capability.c: what each endpoint can do, as far as it has shown.
 *
 * Nothing is read from words: an endpoint that answers a question knows it, one that says "no such
 * method", or has no block under a tag, does not, until that is looked at again.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/rpc/pool.h"

/* How long "does not know" is remembered. */
#define NO_USEC (60 * (int64_t)USEC_PER_SEC)

static const char *const names[RPC_CAN_COUNT] = {
    [RPC_CAN_RECEIPTS] = "blockReceipts",
    [RPC_CAN_FINALIZED] = "finalizedTag",
    [RPC_CAN_SAFE] = "safeTag",
};

void rpc_node_note(struct rpc_pool *pool, struct rpc_node *node, enum rpc_can what, bool knows)
{
    enum rpc_knows now_known = knows ? RPC_YES : RPC_NO;
    rpc_pool_lock(pool);
    bool news = node->can[what] != now_known;
    node->can[what] = now_known;
    node->can_usec[what] = clock_mono_usec();
    rpc_pool_unlock(pool);
    if (news) {
        LOG(LOG_INFO, "rpc.capability_found", log_u64("chain", pool->options.chain_id),
            log_text("url", node->origin), log_text("what", names[what]), log_bool("known", knows));
    }
}

uint64_t rpc_nodes_without(struct rpc_pool *pool, enum rpc_can what)
{
    int64_t now = clock_mono_usec();
    uint64_t without = 0;
    rpc_pool_lock(pool);
    for (size_t i = 0; i < pool->count; i++) {
        const struct rpc_node *node = &pool->nodes[i];
        bool lacks = node->can[what] == RPC_NO && now - node->can_usec[what] < NO_USEC;
        without |= (uint64_t)lacks << i;
    }
    rpc_pool_unlock(pool);
    return without;
}

void rpc_node_note_range(struct rpc_pool *pool, struct rpc_node *node, uint64_t blocks, bool taken)
{
    rpc_pool_lock(pool);
    if (taken) {
        node->log_range_taken = blocks > node->log_range_taken ? blocks : node->log_range_taken;
        /* A limit that was raised, or a refusal for another reason than the length. */
        node->log_range_refused = blocks >= node->log_range_refused ? 0 : node->log_range_refused;
    } else {
        bool shorter = node->log_range_refused == 0 || blocks < node->log_range_refused;
        node->log_range_refused = shorter ? blocks : node->log_range_refused;
        /* A limit that was lowered. */
        node->log_range_taken = blocks <= node->log_range_taken ? 0 : node->log_range_taken;
    }
    rpc_pool_unlock(pool);
}

static void write_count(struct json_out *j, const char *key, uint64_t value)
{
    json_key(j, key);
    if (value > 0) {
        json_u64(j, value);
    } else {
        json_null(j);
    }
}

void rpc_capability_write(const struct rpc_node *node, struct json_out *j)
{
    json_key(j, "batchMax");
    json_u64(j, node->batch_max);
    for (size_t i = 0; i < RPC_CAN_COUNT; i++) {
        json_key(j, names[i]);
        if (node->can[i] == RPC_UNKNOWN) {
            json_null(j);
        } else {
            json_bool(j, node->can[i] == RPC_YES);
        }
    }
    write_count(j, "logRangeTaken", node->log_range_taken);
    write_count(j, "logRangeRefused", node->log_range_refused);
}
