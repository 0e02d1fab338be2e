/*
 * ops.h: what an operator asks: is it healthy, what does it do, where is my transaction.
 *
 * Jobs: what an operator does by hand at set times (ops_job_table), and his view of the queue under
 * /api/v1/jobs, which is for operators only (HTTP_OPERATOR).
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
#include "kernel/jobs/jobs_admin.h"
#include "kernel/relay/relay.h"
#include "kernel/rpc/rpc.h"
#include "kernel/store/store.h"

/* So many wallets are looked after. */
#define OPS_WALLETS_MAX 64

struct ops_config {
    struct u256 balance_wei_alert; /* a wallet of the relay with less is warned of */
};

/* ops_config_rows are the rows of section "ops". */
extern const struct config_row ops_config_rows[];
extern const size_t ops_config_row_count;

struct ops {
    const struct ops_config *config;
    const char *version;
    uint64_t chain_id;
    uint64_t dead_alert; /* dead jobs that turn health to degraded */
    int64_t started_usec;
    struct store *store;
    struct rpc_pool *rpc;
    struct chain *chain;
    struct relay *relay;
    const struct job_catalog *jobs; /* what all job tables declare */
    struct address wallets[OPS_WALLETS_MAX];
    size_t wallet_count;
};

/* ops_job_table makes the kinds of jobs; `ops` must outlive the runner. NULL is for looking. */
struct job_table ops_job_table(struct ops *ops);
/* ops_jobs_http_table makes the routes under /api/v1/jobs; `ops` must outlive the server. */
struct http_table ops_jobs_http_table(struct ops *ops);
/* ops_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void ops_metrics_register(void);

/* ops_http_table makes the routes; `ops` must outlive the server. */
struct http_table ops_http_table(struct ops *ops);

#endif
