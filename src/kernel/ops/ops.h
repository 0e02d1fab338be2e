/*
 * ops.h: what an operator asks: is it healthy, what does it do, where is my transaction.
 *
 * Routes: /health (each part healthy, degraded or unhealthy; 503 when unhealthy), /metrics
 * (Prometheus text 0.0.4), /api/v1/transactions, /api/v1/blockchain/network and
 * /api/v1/blockchain/events. Health reads memory and one row; it answers while the database or the
 * node is away, which is what it is for.
 */
#ifndef KERNEL_OPS_OPS_H
#define KERNEL_OPS_OPS_H

#include "kernel/chain/chain.h"
#include "kernel/http/http.h"
#include "kernel/jobs/jobs.h"
#include "kernel/relay/relay.h"
#include "kernel/rpc/rpc.h"
#include "kernel/store/store.h"

struct ops {
    const char *version;
    uint64_t chain_id;
    uint64_t dead_alert; /* dead jobs that turn health to degraded */
    int64_t started_usec;
    struct store *store;
    struct rpc_pool *rpc;
    struct chain *chain;
    struct relay *relay;
};

/* ops_http_table makes the routes; `ops` must outlive the server. */
struct http_table ops_http_table(struct ops *ops);

#endif
