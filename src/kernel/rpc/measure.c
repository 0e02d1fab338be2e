/*
 * measure.c: what each endpoint did, as metrics by its name: for the life of the process, whatever
 * becomes of the pool. Two endpoints of one host differ in what must not be shown, so the place in
 * the configuration tells them apart.
 */
#include "kernel/base/check.h"
#include "kernel/rpc/pool.h"

#define LABELS_MAX (NET_ORIGIN_MAX + 64)

const char *const rpc_lie_names[RPC_LIE_COUNT] = {
    [RPC_LIE_HEADER] = "header",
    [RPC_LIE_RECEIPTS] = "receipts",
    [RPC_LIE_TRANSACTIONS] = "transactions",
    [RPC_LIE_FORK] = "fork",
};

/* The rows of one endpoint; their labels name it. */
static const struct metric_row what[RPC_MEASURE_COUNT] = {
    [RPC_MEASURE_SECONDS] = {"freehold_rpc_endpoint_request_seconds", METRIC_HISTOGRAM,
                             "Time from sending a request to an endpoint until its answer is read.",
                             NULL},
    [RPC_MEASURE_FAILURES] = {"freehold_rpc_endpoint_failures_total", METRIC_COUNTER,
                              "Requests that an endpoint did not answer usefully.", NULL},
    [RPC_MEASURE_HEDGES] = {"freehold_rpc_endpoint_hedges_total", METRIC_COUNTER,
                            "Reads that an endpoint was asked because another took too long.",
                            NULL},
    [RPC_MEASURE_READY] = {"freehold_rpc_endpoint_healthy", METRIC_GAUGE,
                           "1 while the last request to an endpoint was answered usefully.", NULL},
    [RPC_MEASURE_HEAD] = {"freehold_rpc_endpoint_head_block", METRIC_GAUGE,
                          "Newest block of an endpoint when all were last asked; 0: it did not "
                          "say.",
                          NULL},
    [RPC_MEASURE_APART] = {"freehold_rpc_endpoint_apart", METRIC_GAUGE,
                           "1 while an endpoint is so far behind or ahead of the others that it is "
                           "passed by.",
                           NULL},
};

#define ROWS (RPC_MEASURE_COUNT + RPC_LIE_COUNT)

struct endpoint_metrics {
    struct metric_row rows[ROWS];
    struct metric_value values[ROWS];
    char labels[LABELS_MAX];
    char lie_labels[RPC_LIE_COUNT][LABELS_MAX];
};

static struct endpoint_metrics endpoints[RPC_ENDPOINTS_MAX];

void rpc_measure_register(const struct rpc_pool *pool)
{
    ASSERT(endpoints[0].rows[0].name == NULL);
    for (size_t i = 0; i < pool->count; i++) {
        struct endpoint_metrics *e = &endpoints[i];
        const char *origin = pool->nodes[i].origin;
        (void)snprintf(e->labels, LABELS_MAX, "endpoint=\"%s\",place=\"%zu\"", origin, i + 1);
        for (size_t m = 0; m < RPC_MEASURE_COUNT; m++) {
            e->rows[m] = what[m];
            e->rows[m].labels = e->labels;
        }
        for (size_t kind = 0; kind < RPC_LIE_COUNT; kind++) {
            (void)snprintf(e->lie_labels[kind], LABELS_MAX,
                           "endpoint=\"%s\",place=\"%zu\",kind=\"%s\"", origin, i + 1,
                           rpc_lie_names[kind]);
            e->rows[RPC_MEASURE_COUNT + kind] = (struct metric_row){
                "freehold_rpc_endpoint_lies_total", METRIC_COUNTER,
                "Answers of an endpoint that the chain disproves.", e->lie_labels[kind]};
        }
        metric_register(e->rows, e->values, ROWS);
    }
}

static struct metric_value *value_of(const struct rpc_pool *pool, const struct rpc_node *node,
                                     size_t row)
{
    static struct metric_value nobody_looks;
    return pool->options.measured ? &endpoints[node - pool->nodes].values[row] : &nobody_looks;
}

void rpc_measure_request(const struct rpc_pool *pool, const struct rpc_node *node, int64_t usec)
{
    metric_observe(value_of(pool, node, RPC_MEASURE_SECONDS), usec);
}

void rpc_measure_add(const struct rpc_pool *pool, const struct rpc_node *node,
                     enum rpc_measure measure)
{
    metric_add(value_of(pool, node, measure), 1);
}

void rpc_measure_set(const struct rpc_pool *pool, const struct rpc_node *node,
                     enum rpc_measure measure, int64_t value)
{
    metric_set(value_of(pool, node, measure), value);
}

void rpc_measure_lie(const struct rpc_pool *pool, const struct rpc_node *node, enum rpc_lie lie)
{
    metric_add(value_of(pool, node, RPC_MEASURE_COUNT + (size_t)lie), 1);
}
