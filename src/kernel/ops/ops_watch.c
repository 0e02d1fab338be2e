/*
 * What an operator would do at set times. None of it is a job that has to succeed: the next slot
 * looks again, and what was found is a line of the log and a metric.
 */
#include <pthread.h>

#include "kernel/base/log.h"
#include "kernel/base/metric.h"
#include "kernel/evm/address.h"
#include "kernel/ops/ops_internal.h"

#define MINUTE_USEC (60ll * USEC_PER_SEC)

const struct config_row ops_config_rows[] = {
    {.key = "ops.balance_alert",
     .type = CONFIG_WEI,
     .offset = offsetof(struct ops_config, balance_wei_alert),
     .default_ = "0.5ether",
     .doc = "A wallet of the relay that has less is warned of in the log and by "
            "freehold_ops_wallets_low."},
};
const size_t ops_config_row_count = sizeof(ops_config_rows) / sizeof(ops_config_rows[0]);

enum ops_metric {
    OPS_METRIC_NODE_OK,
    OPS_METRIC_WALLETS_LOW,
    OPS_METRIC_COUNT,
};

static const struct metric_row metric_rows[OPS_METRIC_COUNT] = {
    [OPS_METRIC_NODE_OK] = {.name = "freehold_ops_node_ok",
                            .type = METRIC_GAUGE,
                            .help = "1 when a node answered the last health check."},
    [OPS_METRIC_WALLETS_LOW] = {.name = "freehold_ops_wallets_low",
                                .type = METRIC_GAUGE,
                                .help = "Wallets of the relay with less than ops.balance_alert."},
};

static struct metric_value metrics[OPS_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(metric_rows, metrics, OPS_METRIC_COUNT);
}

void ops_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

/* ---- ops.health_check ---- */

static enum err health_check(struct job_call *call, struct why *why)
{
    (void)why;
    struct ops *ops = call->ctx;
    struct why detail = {0};
    struct chain_status s;
    uint64_t chain_id = 0;
    enum err e = rpc_chain_id(ops->rpc, &chain_id, &detail);
    metric_set(&metrics[OPS_METRIC_NODE_OK], e == OK);
    if (e != OK) {
        LOG(LOG_WARN, "ops.node_unwell", log_err(e), log_why(&detail, e));
    }
    chain_status_read(ops->chain, &s);
    if (s.halted) {
        LOG(LOG_ERROR, "ops.chain_halted", log_u64("chain", s.chain_id),
            log_text("why", s.halted_why));
    }
    return OK; /* the database answered, or this would not run */
}

/* ---- ops.relayer_balance ---- */

static enum err relayer_balance(struct job_call *call, struct why *why)
{
    struct ops *ops = call->ctx;
    struct wei_amount alert = wei_of(ops->config->balance_wei_alert);
    size_t low = 0;
    for (size_t i = 0; i < ops->wallet_count; i++) {
        struct wei_amount balance;
        enum err e = rpc_balance(ops->rpc, &ops->wallets[i], &balance, why);
        if (e != OK) {
            return e;
        }
        if (wei_compare(balance, alert) < 0) {
            low++;
            char wallet[ADDRESS_TEXT_MAX];
            address_format(&ops->wallets[i], wallet);
            LOG(LOG_WARN, "ops.relayer_balance_low", log_text("wallet", wallet),
                log_u256("wei", wei_raw(balance)));
        }
        jobs_progress(call, (int64_t)i + 1, (int64_t)ops->wallet_count, SLICE_LIT("wallets"));
    }
    metric_set(&metrics[OPS_METRIC_WALLETS_LOW], (int64_t)low);
    return OK;
}

static const struct job_kind kinds[] = {
    {.name = "ops.health_check",
     .queue = "health-check",
     .handler = health_check,
     .timeout_usec = MINUTE_USEC,
     .doc = "Asks a node for its chain, and logs a chain that has halted."},
    {.name = "ops.relayer_balance",
     .queue = "health-check",
     .handler = relayer_balance,
     .timeout_usec = MINUTE_USEC,
     .doc = "Reads the balances of the relay's wallets and warns of low ones."},
};

struct job_table ops_watch_table(struct ops *ops)
{
    return (struct job_table){
        .kinds = kinds, .kind_count = sizeof kinds / sizeof kinds[0], .ctx = ops};
}
