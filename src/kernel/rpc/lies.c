#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/rpc/pool.h"

#define BENCH_FIRST_USEC (60 * (int64_t)USEC_PER_SEC)
#define BENCH_MAX_USEC (3600 * (int64_t)USEC_PER_SEC)
static int64_t bench_usec(uint32_t lies_before)
{
    int64_t bench = BENCH_FIRST_USEC;
    for (uint32_t i = 0; i < lies_before && bench < BENCH_MAX_USEC; i++) {
        bench *= 2;
    }
    return bench < BENCH_MAX_USEC ? bench : BENCH_MAX_USEC;
}

void rpc_node_lied(struct rpc_pool *pool, struct rpc_node *node, enum rpc_lie lie,
                   const struct why *why)
{
    int64_t now = clock_mono_usec();
    uint32_t before = 0;
    rpc_pool_lock(pool);
    for (size_t i = 0; i < RPC_LIE_COUNT; i++) {
        before += node->lies[i];
    }
    /* Answers to questions that were under way when it was benched are one lie with the first. */
    bool benched = node->benched_until_usec > now;
    int64_t pause_usec = bench_usec(before);
    if (!benched) {
        node->benched_until_usec = now + pause_usec;
    }
    node->lies[lie]++;
    node->last_err = ERR_NODE_LIED;
    (void)snprintf(node->last_lie, sizeof(node->last_lie), "%s", why_text(why, ERR_NODE_LIED));
    rpc_pool_unlock(pool);
    metric_add(&rpc_metrics[RPC_METRIC_LIES + (int)lie], 1);
    rpc_measure_lie(pool, node, lie);
    LOG(LOG_ERROR, "rpc.endpoint_lied", log_u64("chain", pool->options.chain_id),
        log_text("url", node->origin), log_text("kind", rpc_lie_names[lie]),
        log_why(why, ERR_NODE_LIED), log_i64("pause_usec", benched ? 0 : pause_usec));
}
