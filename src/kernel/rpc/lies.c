#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/rpc/pool.h"

#define BENCH_FIRST_USEC (60 * (int64_t)USEC_PER_SEC)
#define BENCH_MAX_USEC (3600 * (int64_t)USEC_PER_SEC)
#define LABELS_MAX (NET_ORIGIN_MAX + 64)

static const char *const kinds[RPC_LIE_COUNT] = {
    [RPC_LIE_HEADER] = "header",
    [RPC_LIE_RECEIPTS] = "receipts",
    [RPC_LIE_TRANSACTIONS] = "transactions",
    [RPC_LIE_FORK] = "fork",
};

/* ---- metrics by endpoint: for the life of the process, whatever becomes of the pool ---- */

#define SERIES (RPC_ENDPOINTS_MAX * RPC_LIE_COUNT)

static struct metric_row endpoint_rows[SERIES];
static struct metric_value endpoint_lies[SERIES];
static char endpoint_labels[SERIES][LABELS_MAX];

void rpc_lies_register(const struct rpc_pool *pool)
{
    size_t count = 0;
    ASSERT(endpoint_rows[0].name == NULL);
    for (size_t i = 0; i < pool->count; i++) {
        for (size_t kind = 0; kind < RPC_LIE_COUNT; kind++, count++) {
            /* Two endpoints of one host differ in what must not be shown: the place tells them. */
            (void)snprintf(endpoint_labels[count], LABELS_MAX,
                           "endpoint=\"%s\",place=\"%zu\",kind=\"%s\"", pool->nodes[i].origin,
                           i + 1, kinds[kind]);
            endpoint_rows[count] = (struct metric_row){
                "freehold_rpc_endpoint_lies_total", METRIC_COUNTER,
                "Answers of an endpoint that the chain disproves.", endpoint_labels[count]};
        }
    }
    metric_register(endpoint_rows, endpoint_lies, count);
}

/* ---- the bench ---- */

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
    ASSERT(pthread_mutex_lock(&pool->lock) == 0);
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
    ASSERT(pthread_mutex_unlock(&pool->lock) == 0);
    metric_add(&rpc_metrics[RPC_METRIC_LIES + (int)lie], 1);
    if (pool->options.measured) {
        metric_add(&endpoint_lies[(size_t)(node - pool->nodes) * RPC_LIE_COUNT + lie], 1);
    }
    LOG(LOG_ERROR, "rpc.endpoint_lied", log_u64("chain", pool->options.chain_id),
        log_text("url", node->origin), log_text("kind", kinds[lie]), log_why(why, ERR_NODE_LIED),
        log_i64("pause_usec", benched ? 0 : pause_usec));
}
