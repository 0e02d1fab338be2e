/*
 * ops.h: what an operator asks: is it healthy, what does it do, where is my transaction.
 *
 * Routes of every process: /health (each part healthy, degraded or unhealthy; 503 when unhealthy),
 * /metrics (Prometheus text 0.0.4) and /api/v1/processes (who has which work). Routes of the API:
 * /api/v1/transactions (looked at by anybody, changed by operators), /api/v1/blockchain/network and
 * /api/v1/blockchain/events. Health reads memory and a few rows; it answers while the database or
 * the node is away, which is what it is for. Jobs: what is let go in time (ops_job_table), what is
 * looked after at set times (ops_watch_table), and the operator's view of the queue under
 * /api/v1/jobs (HTTP_OPERATOR).
 */
#ifndef KERNEL_OPS_OPS_H
#define KERNEL_OPS_OPS_H

#include "kernel/chain/chain.h"
#include "kernel/http/http.h"
#include "kernel/jobs/jobs_admin.h"
#include "kernel/relay/relay.h"
#include "kernel/rpc/rpc.h"
#include "kernel/store/store_lease.h"
#include "kernel/stream/stream.h"

/* So many wallets are looked after. */
#define OPS_WALLETS_MAX 64

struct ops_config {
    struct u256 balance_wei_alert;    /* a wallet of the relay with less is warned of */
    struct u256 balance_wei_critical; /* with less it is an error, and gets no more work */
    const char *treasury;             /* address of the wallet that refills, or "" */
    struct u256 refill_wei_below;     /* wallets with less are refilled */
    struct u256 refill_wei_to;        /* up to this */
    struct u256 refill_wei_day_max;   /* all wallets together, in 24 hours */
};

/* ops_config_rows are the rows of section "ops". */
extern const struct config_row ops_config_rows[];
extern const size_t ops_config_row_count;

struct ops {
    const struct ops_config *config;
    const char *version;
    const char *roles; /* of this process, for people */
    uint64_t chain_id;
    uint64_t dead_alert; /* dead jobs that turn health to degraded */
    bool backups;        /* whether some are scheduled */
    int64_t backup_age_usec_max;
    int64_t started_usec;
    struct store *store;
    struct rpc_pool *rpc;
    struct chain *chain;
    struct relay *relay;
    struct cache *cache;            /* or NULL */
    const struct job_catalog *jobs; /* what all job tables declare */
    bool has_treasury;
    struct address treasury;
};

/* How long rows are kept; 0 is for ever. Units: microseconds. */
/* What forgets rows from before a time, at most so many, and says how many. */
typedef enum err (*ops_purge_fn)(struct store_tx *tx, int64_t before_usec, uint64_t limit,
                                 uint64_t *out_rows, struct why *why);

struct ops_retention {
    int64_t audit_usec;
    int64_t events_usec;
    int64_t inbox_usec;
    ops_purge_fn sessions; /* of callers, so long after their end */
    int64_t sessions_usec;
};

/* ops_job_table makes the maintenance jobs; `retention` must outlive the runner. */
struct job_table ops_job_table(struct ops_retention *retention);

/* ops_watch_table makes the jobs that look after nodes and wallets; `ops` must outlive the runner.
 */
struct job_table ops_watch_table(struct ops *ops);
/* ops_transactions_http_table makes the routes under /api/v1/transactions. */
struct http_table ops_transactions_http_table(struct ops *ops);
/* ops_jobs_http_table makes the routes under /api/v1/jobs; `ops` must outlive the server. */
struct http_table ops_jobs_http_table(struct ops *ops);
/* ops_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void ops_metrics_register(void);

/* ops_http_table makes the routes of every process; `ops` must outlive the server. */
struct http_table ops_http_table(struct ops *ops);
/* ops_api_table makes the routes of the API. */
struct http_table ops_api_table(struct ops *ops);

/* ops_processes_json writes the member "processes" of the open object. */
void ops_processes_json(struct json_out *j, const struct store_process_row *rows, size_t count);
/* ops_leases_json writes the member "leases" of the open object. */
void ops_leases_json(struct json_out *j, const struct store_lease_row *rows, size_t count);

/* ops_audit_table has the actions of the routes of transactions (kernel/audit/audit.h). */
struct audit_table ops_audit_table(void);
/* ops_jobs_audit_table has those of ops_jobs_http_table. */
struct audit_table ops_jobs_audit_table(void);

/* ops_stream_topics has what subscribers can hear of the relay and the chain (ops_stream.c). */
struct stream_topics ops_stream_topics(void);

#endif
