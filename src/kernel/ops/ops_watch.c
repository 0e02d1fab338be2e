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

#define DAY_USEC (24 * 60 * MINUTE_USEC)

const struct config_row ops_config_rows[] = {
    {.key = "ops.balance_alert",
     .type = CONFIG_WEI,
     .offset = offsetof(struct ops_config, balance_wei_alert),
     .default_ = "0.5ether",
     .doc = "A wallet of the relay that has less is warned of in the log and by "
            "freehold_ops_wallets_low."},
    {.key = "ops.balance_critical",
     .type = CONFIG_WEI,
     .offset = offsetof(struct ops_config, balance_wei_critical),
     .default_ = "0.1ether",
     .doc = "A wallet of the relay that has less is an error in the log, degrades the health and "
            "gets no more work of the pool."},
    {.key = "ops.treasury",
     .type = CONFIG_ADDRESS,
     .offset = offsetof(struct ops_config, treasury),
     .doc = "The wallet that refills the others of the relay; its key is a wallet's like theirs."},
    {.key = "ops.refill_below",
     .type = CONFIG_WEI,
     .offset = offsetof(struct ops_config, refill_wei_below),
     .default_ = "0.5ether",
     .doc = "Wallets of the relay that have less are refilled, if there is a treasury."},
    {.key = "ops.refill_to",
     .type = CONFIG_WEI,
     .offset = offsetof(struct ops_config, refill_wei_to),
     .default_ = "2ether",
     .doc = "Up to what they are refilled; no refill may be larger."},
    {.key = "ops.refill_day_max",
     .type = CONFIG_WEI,
     .offset = offsetof(struct ops_config, refill_wei_day_max),
     .default_ = "10ether",
     .doc = "Most that the treasury sends in 24 hours, to all wallets together."},
};
const size_t ops_config_row_count = sizeof(ops_config_rows) / sizeof(ops_config_rows[0]);

enum ops_metric {
    OPS_METRIC_NODE_OK,
    OPS_METRIC_WALLETS_LOW,
    OPS_METRIC_WALLETS_CRITICAL,
    OPS_METRIC_WALLET_LEAST,
    OPS_METRIC_REFILLS,
    OPS_METRIC_COUNT,
};

static const struct metric_row metric_rows[OPS_METRIC_COUNT] = {
    [OPS_METRIC_NODE_OK] = {.name = "freehold_ops_node_ok",
                            .type = METRIC_GAUGE,
                            .help = "1 when a node answered the last health check."},
    [OPS_METRIC_WALLETS_LOW] = {.name = "freehold_ops_wallets_low",
                                .type = METRIC_GAUGE,
                                .help = "Wallets of the relay with less than ops.balance_alert."},
    [OPS_METRIC_WALLETS_CRITICAL] = {.name = "freehold_ops_wallets_critical",
                                     .type = METRIC_GAUGE,
                                     .help = "Those with less than ops.balance_critical."},
    [OPS_METRIC_WALLET_LEAST] = {.name = "freehold_ops_wallet_least_gwei",
                                 .type = METRIC_GAUGE,
                                 .help = "What the poorest wallet of the relay has."},
    [OPS_METRIC_REFILLS] = {.name = "freehold_ops_refills_total",
                            .type = METRIC_COUNTER,
                            .help = "Refills that the treasury was asked for."},
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

struct look {
    struct job_call *call;
    const struct ops *ops;
    struct relay_wallet_row *wallets;
    size_t count;
    const struct relay_wallet_row *wallet; /* that is looked at */
    struct wei_amount balance;
    bool refilled; /* out */
};

static enum err list_wallets(struct store_tx *tx, void *ctx, struct why *why)
{
    struct look *l = ctx;
    return relay_wallets(tx, l->call->job, l->ops->chain_id, &l->wallets, &l->count, why);
}

/*
 * How much is missing; nothing when there is no treasury, or the wallet is it, or has enough, or is
 * being refilled, or the day's limit is reached.
 */
static enum err missing_of(struct store_tx *tx, const struct look *l, struct wei_amount *out,
                           struct why *why)
{
    const struct ops_config *c = l->ops->config;
    struct wei_amount missing = wei_of(U256_ZERO);
    struct wei_amount total = missing;
    struct wei_amount after;
    bool open = false;
    *out = missing;
    if (!l->ops->has_treasury || address_equal(&l->ops->treasury, &l->wallet->address) ||
        wei_compare(l->balance, wei_of(c->refill_wei_below)) >= 0 ||
        wei_sub(wei_of(c->refill_wei_to), l->balance, &missing) != OK) {
        return OK;
    }
    enum err e = relay_refills(tx, l->ops->chain_id, &l->wallet->address,
                               clock_wall_usec() - DAY_USEC, &open, &total, why);
    if (e != OK || open) {
        return e;
    }
    if (wei_add(total, missing, &after) != OK ||
        wei_compare(after, wei_of(c->refill_wei_day_max)) > 0) {
        LOG(LOG_ERROR, "ops.refill_limit", log_u256("day_wei", wei_raw(total)));
        return OK;
    }
    *out = missing;
    return OK;
}

/* What the wallet has, and what it gets, in one transaction: a second look finds the first refill.
 */
static enum err note_and_refill(struct store_tx *tx, void *ctx, struct why *why)
{
    struct look *l = ctx;
    char wallet[ADDRESS_TEXT_MAX];
    struct wei_amount missing = wei_of(U256_ZERO);
    struct slice id;
    bool low = wei_compare(l->balance, wei_of(l->ops->config->balance_wei_critical)) < 0;
    l->refilled = false;
    enum err e = relay_wallet_note(tx, l->ops->chain_id, &l->wallet->address, l->balance, low, why);
    if (e == OK) {
        e = missing_of(tx, l, &missing, why);
    }
    if (e != OK || u256_is_zero(wei_raw(missing))) {
        return e;
    }
    address_format(&l->wallet->address, wallet);
    const struct relay_intent intent = {
        .key = jobs_once_key(l->call, wallet),
        .chain_id = l->ops->chain_id,
        .wallet = l->ops->treasury,
        .has_to = true,
        .to = l->wallet->address,
        .value = missing,
        .role = RELAY_ROLE_TREASURY,
        .purpose = RELAY_PURPOSE_REFILL,
        .priority = RELAY_HIGH,
    };
    e = relay_submit(tx, l->call->job, &intent, &id, why);
    l->refilled = e == OK;
    /* An earlier attempt of this job asked for a refill that failed: the next job asks anew. */
    return e == ERR_IDEMPOTENCY_MISMATCH ? OK : e;
}

static void report_wallet(const struct look *l)
{
    char wallet[ADDRESS_TEXT_MAX];
    const struct ops_config *c = l->ops->config;
    address_format(&l->wallet->address, wallet);
    if (wei_compare(l->balance, wei_of(c->balance_wei_critical)) < 0) {
        LOG(LOG_ERROR, "ops.relayer_balance_critical", log_text("wallet", wallet),
            log_u256("wei", wei_raw(l->balance)));
    } else if (wei_compare(l->balance, wei_of(c->balance_wei_alert)) < 0) {
        LOG(LOG_WARN, "ops.relayer_balance_low", log_text("wallet", wallet),
            log_u256("wei", wei_raw(l->balance)));
    }
    if (l->refilled) {
        metric_add(&metrics[OPS_METRIC_REFILLS], 1);
        LOG(LOG_INFO, "ops.wallet_refilled", log_text("wallet", wallet),
            log_u256("had_wei", wei_raw(l->balance)));
    }
}

static int64_t gwei_of(struct wei_amount a)
{
    struct u256 gwei;
    uint64_t out = 0;
    u256_div(wei_raw(a), u256_from_u64(1000000000), &gwei, NULL);
    return u256_to_u64(gwei, &out) == OK && out <= INT64_MAX ? (int64_t)out : INT64_MAX;
}

static enum err relayer_balance(struct job_call *call, struct why *why)
{
    struct look l = {.call = call, .ops = call->ctx};
    const struct ops_config *c = l.ops->config;
    int64_t low = 0;
    int64_t critical = 0;
    int64_t least = INT64_MAX;
    enum err e = store_read(call->store, list_wallets, &l, why);
    for (size_t i = 0; e == OK && i < l.count; i++) {
        l.wallet = &l.wallets[i];
        e = rpc_balance(l.ops->rpc, &l.wallet->address, &l.balance, why);
        if (e == OK) {
            e = store_write(call->store, note_and_refill, &l, why);
        }
        if (e != OK) {
            return e;
        }
        report_wallet(&l);
        low += wei_compare(l.balance, wei_of(c->balance_wei_alert)) < 0;
        critical += wei_compare(l.balance, wei_of(c->balance_wei_critical)) < 0;
        least = gwei_of(l.balance) < least ? gwei_of(l.balance) : least;
        jobs_progress(call, (int64_t)i + 1, (int64_t)l.count, SLICE_LIT("wallets"));
    }
    metric_set(&metrics[OPS_METRIC_WALLETS_LOW], low);
    metric_set(&metrics[OPS_METRIC_WALLETS_CRITICAL], critical);
    metric_set(&metrics[OPS_METRIC_WALLET_LEAST], l.count > 0 ? least : 0);
    return e;
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
     .doc = "Reads the balances of the relay's wallets, warns of low ones, has the treasury refill "
            "them."},
};

struct job_table ops_watch_table(struct ops *ops)
{
    return (struct job_table){
        .kinds = kinds, .kind_count = sizeof kinds / sizeof kinds[0], .ctx = ops};
}
