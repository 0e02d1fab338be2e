#include "kernel/relay/relay_internal.h"

#define ROW(key_, type_, member_, default__, min_, max_, doc_)                                     \
    {                                                                                              \
        .key = key_, .type = type_, .offset = offsetof(struct relay_config, member_),              \
        .default_ = default__, .min = min_, .max = max_, .doc = doc_                               \
    }

const struct config_row relay_config_rows[] = {
    ROW("relay.max_fee", CONFIG_WEI, fee_wei_max, "0", 0, 0,
        "Highest fee per gas that is ever signed; above it transactions wait. 0 is the chain's "
        "own: 100gwei on Avalanche, 500gwei elsewhere."),
    ROW("relay.min_fee", CONFIG_WEI, fee_wei_min, "0", 0, 0,
        "Least fee per gas that is offered as the maximum. 0 is the chain's own: 25gwei on "
        "Avalanche, nothing elsewhere."),
    ROW("relay.min_priority_fee", CONFIG_WEI, priority_wei_min, "0", 0, 0,
        "Least priority fee per gas, whatever recent blocks paid."),
    ROW("relay.low_priority_percent", CONFIG_U64, low_percent, "80", 1, 100,
        "Priority fee of transactions of low priority, in percent of what recent blocks paid."),
    ROW("relay.high_priority_percent", CONFIG_U64, high_percent, "150", 100, 1000,
        "Priority fee of transactions of high priority, in percent of what recent blocks paid."),
    ROW("relay.bump_percent", CONFIG_U64, bump_percent, "13", 10, 1000,
        "How much both fees grow when a stuck transaction is replaced."),
    ROW("relay.stuck_after", CONFIG_DURATION, stuck_usec, "60s", 1000000, 86400000000,
        "A transaction that is not mined for this long is replaced with higher fees."),
    ROW("relay.speed_up", CONFIG_TEXT, speed_up, NULL, 0, 0,
        "Schedule of replacements instead of relay.stuck_after and relay.bump_percent, as \"30s "
        "12.5%, 2min 25%\": how long each version waits and how much more the next one offers; "
        "the last step goes on."),
    ROW("relay.poll_interval", CONFIG_DURATION, poll_usec, "500ms", 1000, 60000000,
        "How often receipts are looked for while transactions are under way."),
    ROW("relay.batch", CONFIG_U64, batch_max, "64", 1, 500,
        "Intents that are simulated, signed and sent together."),
    ROW("relay.max_inflight", CONFIG_U64, inflight_max, "256", 1, 10000,
        "Signed and not yet mined transactions per wallet."),
    ROW("relay.max_gas", CONFIG_U64, gas_limit_max, "12000000", 21000, 0,
        "Highest gas limit of one transaction; more is refused."),
    ROW("relay.gas_margin_percent", CONFIG_U64, gas_margin_percent, "20", 0, 400,
        "What is added to the node's gas estimate."),
    ROW("relay.caller_rate", CONFIG_U64, caller_rate, "10", 1, 1000000,
        "Transactions that one user may ask for in a minute."),
    ROW("relay.aging", CONFIG_DURATION, aging_usec, "60s", 0, 86400000000,
        "A transaction that waits for so long to be signed goes with those of the next higher "
        "priority, and after as long again with those of the highest; 0 is never."),
    ROW("relay.final_depth", CONFIG_U64, final_depth, "64", 0, 100000,
        "Blocks on top of a receipt before it is no longer looked at."),
};
const size_t relay_config_row_count = sizeof relay_config_rows / sizeof relay_config_rows[0];

static const struct metric_row rows[RELAY_METRIC_COUNT] = {
    [RELAY_METRIC_SUBMITTED] = {"freehold_relay_submitted_total", METRIC_COUNTER,
                                "Intents that were accepted.", NULL},
    [RELAY_METRIC_SIGNED] = {"freehold_relay_signed_total", METRIC_COUNTER,
                             "Transactions that were signed, replacements included.", NULL},
    [RELAY_METRIC_SENT] = {"freehold_relay_sent_total", METRIC_COUNTER,
                           "Broadcasts that a node took.", NULL},
    [RELAY_METRIC_MINED] = {"freehold_relay_mined_total", METRIC_COUNTER,
                            "Intents whose transaction was mined and succeeded.", NULL},
    [RELAY_METRIC_REVERTED] = {"freehold_relay_reverted_total", METRIC_COUNTER,
                               "Intents whose transaction was mined and reverted.", NULL},
    [RELAY_METRIC_FAILED] = {"freehold_relay_failed_total", METRIC_COUNTER,
                             "Intents that ended without their effect and without a receipt.",
                             NULL},
    [RELAY_METRIC_REPLACED] = {"freehold_relay_replaced_total", METRIC_COUNTER,
                               "Intents whose nonce was used by somebody else.", NULL},
    [RELAY_METRIC_BUMPED] = {"freehold_relay_bumped_total", METRIC_COUNTER,
                             "Replacements with higher fees.", NULL},
    [RELAY_METRIC_FILLED] = {"freehold_relay_filled_total", METRIC_COUNTER,
                             "Nonces that an empty transfer had to take.", NULL},
    [RELAY_METRIC_REFUSED] = {"freehold_relay_policy_refused_total", METRIC_COUNTER,
                              "Intents that the signer's policy refused.", NULL},
    [RELAY_METRIC_REORGED] = {"freehold_relay_reorged_total", METRIC_COUNTER,
                              "Mined transactions that fell out and were sent again.", NULL},
    [RELAY_METRIC_CANCELLED] = {"freehold_relay_cancelled_total", METRIC_COUNTER,
                                "Signed intents whose nonce was taken back when that was asked "
                                "for.",
                                NULL},
    [RELAY_METRIC_DROPPED] = {"freehold_relay_dropped_total", METRIC_COUNTER,
                              "Sent transactions that the node's pool had lost and that were sent "
                              "again.",
                              NULL},
    [RELAY_METRIC_QUEUED] = {"freehold_relay_queued", METRIC_GAUGE, "Intents without a nonce.",
                             NULL},
    [RELAY_METRIC_INFLIGHT] = {"freehold_relay_inflight", METRIC_GAUGE,
                               "Signed intents without a receipt.", NULL},
    [RELAY_METRIC_LATENCY] = {"freehold_relay_mined_duration_seconds", METRIC_HISTOGRAM,
                              "Time from the last signature to the receipt.", NULL},
};

struct metric_value relay_metrics[RELAY_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(rows, relay_metrics, RELAY_METRIC_COUNT);
}

void relay_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}
