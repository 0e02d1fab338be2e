/*
 * ops.h: what an operator asks: is it healthy, what does it do, where is my transaction.
 *
 * Routes: /health (each part healthy, degraded or unhealthy; 503 when unhealthy), /metrics
 * (Prometheus text 0.0.4), /api/v1/transactions, /api/v1/blockchain/network and
 * /api/v1/blockchain/events. Health reads memory and two rows; it answers while the database or the
 * node is away, which is what it is for. Jobs: what is let go in time.
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

/* How long rows are kept; 0 is for ever. Units: microseconds. */
struct ops_retention {
    int64_t audit_usec;
    int64_t inbox_usec;
};

/* ops_job_table makes the maintenance jobs; `retention` must outlive the runner. */
struct job_table ops_job_table(struct ops_retention *retention);

/* ops_http_table makes the routes; `ops` must outlive the server. */
struct http_table ops_http_table(struct ops *ops);

/* ops_audit_table has the actions of these routes (kernel/audit/audit.h). */
struct audit_table ops_audit_table(void);

#endif
