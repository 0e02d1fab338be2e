/*
 * hedge.c: asking a second node when the first takes longer than it usually does, and which of
 * several nodes of one role is asked first.
 *
 * A hedge is paid for: each call that is made earns a part of one that may be made twice, so that
 * over time no more than chain.rpc_hedge of a hundred are. A node that loses race after race
 * without answering in between is treated as one that did not answer in time; without that a node
 * that hangs would use the whole budget up and then hold everybody for its time limit.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/rpc/leg.h"

/* When a node has not answered within the time in which this part of its answers came, … */
#define LATE_PER_MILLE 950
/* … within these bounds; and so long while too little is known of it. Units: microseconds. */
#define DELAY_USEC_MIN 20000
#define DELAY_USEC_MAX (2 * (int64_t)USEC_PER_SEC)
#define DELAY_USEC_UNKNOWN 500000
#define SAMPLES_MIN 16
/* Calls that may be saved up, so that a whole batch can be hedged, and those that are given. */
#define CREDIT_CALLS_MAX 100
#define CREDIT_CALLS_FIRST 20
#define LOST_MAX 3

/* A node is preferred to another of its role when its score is lower by a quarter, and by this. */
#define SCORE_USEC_STEP 5000

/* ---- races ----------------------------------------------------------------------------------- */

void rpc_hedge_init(struct rpc_pool *pool)
{
    pool->hedge_credit = (int64_t)CREDIT_CALLS_FIRST * 100;
}

bool rpc_hedge_earn(struct rpc_pool *pool, size_t calls)
{
    if (pool->options.hedge_percent == 0 || pool->count == 1) {
        return false;
    }
    int64_t max = (int64_t)CREDIT_CALLS_MAX * 100;
    rpc_pool_lock(pool);
    pool->hedge_credit += (int64_t)calls * pool->options.hedge_percent;
    pool->hedge_credit = pool->hedge_credit < max ? pool->hedge_credit : max;
    rpc_pool_unlock(pool);
    return true;
}

int64_t rpc_hedge_delay(struct rpc_pool *pool, const struct rpc_node *node, size_t calls)
{
    int64_t max = pool->options.timeout_usec / 2;
    max = max < DELAY_USEC_MAX ? max : DELAY_USEC_MAX;
    rpc_pool_lock(pool);
    const struct rpc_latency *l = &node->latency[calls > 1];
    int64_t delay =
        l->count < SAMPLES_MIN ? DELAY_USEC_UNKNOWN : rpc_latency_quantile(l, LATE_PER_MILLE);
    rpc_pool_unlock(pool);
    delay = delay > DELAY_USEC_MIN ? delay : DELAY_USEC_MIN;
    return delay < max ? delay : max;
}

struct rpc_node *rpc_hedge_take(struct rpc_pool *pool, const struct rpc_node *first,
                                uint64_t excluded, size_t calls)
{
    excluded |= UINT64_C(1) << (first - pool->nodes);
    int64_t cost = (int64_t)calls * 100;
    rpc_pool_lock(pool);
    struct rpc_node *node = rpc_node_ready(pool, excluded, clock_mono_usec());
    if (node != NULL && (pool->hedge_credit < cost || node->batch_max < calls)) {
        node = NULL;
    }
    pool->hedge_credit -= node != NULL ? cost : 0;
    rpc_pool_unlock(pool);
    if (node != NULL) {
        rpc_measure_add(pool, node, RPC_MEASURE_HEDGES);
    }
    return node;
}

void rpc_hedge_over(struct rpc_pool *pool, bool won, const struct rpc_leg *first)
{
    metric_add(&rpc_metrics[won ? RPC_METRIC_HEDGES_WON : RPC_METRIC_HEDGES_LOST], 1);
    if (!won || first->phase == RPC_LEG_OVER) {
        return;
    }
    struct rpc_node *node = first->node;
    int64_t waited = clock_mono_usec() - first->sent_usec;
    rpc_pool_lock(pool);
    /* It would have taken longer, nobody knows how much. */
    rpc_latency_add(&node->latency[first->count > 1], waited);
    /* One that failed before and has not worked since is given no second chance. */
    bool hangs = ++node->races_lost >= LOST_MAX || node->failures > 0;
    node->races_lost = hangs ? 0 : node->races_lost;
    rpc_pool_unlock(pool);
    if (hangs) {
        rpc_node_failed(pool, node, ERR_NODE_TIMEOUT, first->sent_usec, 0);
    }
}

/* ---- who is preferred ------------------------------------------------------------------------ */

/* What one call costs in time: its latency, and the time that the failures among calls cost. */
static int64_t score_of(const struct rpc_node *node)
{
    int64_t average = node->latency[0].average_usec;
    return average + average * node->failing_per_mille / 250 +
           (int64_t)node->failing_per_mille * 1000;
}

int64_t rpc_node_score(const struct rpc_node *node)
{
    return node->latency[0].count < SAMPLES_MIN ? 0 : score_of(node);
}

static bool clearly_better(int64_t score, int64_t than)
{
    return score > 0 && than > 0 && score + score / 3 + SCORE_USEC_STEP < than;
}

/* rpc_prefer is called with the lock held. */
void rpc_prefer(struct rpc_pool *pool, const struct rpc_node *node)
{
    size_t *preferred = &pool->preferred[node->role];
    size_t best = *preferred;
    for (size_t i = 0; i < pool->count; i++) {
        const struct rpc_node *other = &pool->nodes[i];
        if (other->role == node->role &&
            clearly_better(rpc_node_score(other), rpc_node_score(&pool->nodes[best]))) {
            best = i;
        }
    }
    if (best != *preferred) {
        LOG(LOG_INFO, "rpc.endpoint_preferred", log_u64("chain", pool->options.chain_id),
            log_text("url", pool->nodes[best].origin),
            log_text("before", pool->nodes[*preferred].origin),
            log_i64("score_usec", rpc_node_score(&pool->nodes[best])),
            log_i64("before_usec", rpc_node_score(&pool->nodes[*preferred])));
        *preferred = best;
    }
}
