#include "kernel/chain/chain_internal.h"

#define ROW(key_, type_, member_, default__, min_, max_, doc_)                                     \
    {                                                                                              \
        .key = key_, .type = type_, .offset = offsetof(struct chain_config, member_),              \
        .default_ = default__, .min = min_, .max = max_, .doc = doc_                               \
    }

static const char *const verify_choices[] = {
    [CHAIN_VERIFY_FULL] = "full",
    [CHAIN_VERIFY_HEADERS] = "headers",
    [CHAIN_VERIFY_TRUSTED] = "trusted",
    NULL,
};

static const char *const follow_choices[] = {"latest", "safe", "finalized", NULL};

enum chain_verify chain_verify_of(const struct chain_config *config)
{
    for (int i = CHAIN_VERIFY_HEADERS; config->verify != NULL && i <= CHAIN_VERIFY_TRUSTED; i++) {
        if (strcmp(config->verify, verify_choices[i]) == 0) {
            return (enum chain_verify)i;
        }
    }
    return CHAIN_VERIFY_FULL;
}

const struct config_row chain_config_rows[] = {
    ROW("chain.id", CONFIG_U64, chain_id, "31337", 1, (1ULL << 53) - 1,
        "Chain id (EIP-155) that every node must serve; a node of another chain is refused."),
    {.key = "chain.rpc_urls",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct chain_config, rpc_urls),
     .default_ = "",
     .flags = CONFIG_URLS,
     .doc = "Node endpoints, comma-separated, primary first; empty starts a development chain."},
    {.key = "chain.rpc_backup_urls",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct chain_config, rpc_backup_urls),
     .default_ = "",
     .flags = CONFIG_URLS,
     .doc = "Node endpoints, comma-separated, that are asked when none of the others is ready."},
    {.key = "chain.ws_urls",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct chain_config, ws_urls),
     .default_ = "",
     .flags = CONFIG_URLS,
     .doc = "Node endpoints (ws:// or wss://), comma-separated, primary first, that announce new "
            "blocks at once; empty: the head is only polled."},
    ROW("chain.rpc_rate", CONFIG_U64, rpc_rate, "0", 0, 1000000,
        "Calls a second that each endpoint is asked at most; beyond it the next one is. 0: no "
        "limit."),
    ROW("chain.rpc_answer_max", CONFIG_SIZE, rpc_answer_max, "64MiB", 1 << 20, 1 << 30,
        "Longest answer of a node that is read; a longer one is asked for in parts, or elsewhere."),
    ROW("chain.rpc_hedge", CONFIG_U64, rpc_hedge, "5", 0, 100,
        "Of a hundred reads, how many may be asked of a second node when the first takes longer "
        "than it usually does. 0: none."),
    ROW("chain.quorum", CONFIG_U64, quorum, "1", 1, RPC_ENDPOINTS_MAX,
        "Nodes that must have a block before it is applied; with 1 the order of the endpoints is "
        "the "
        "order of trust when two disagree."),
    {.key = "chain.verify",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct chain_config, verify),
     .default_ = "full",
     .choices = verify_choices,
     .doc = "What is proven of a node's answers: full (headers, every log and its transaction), "
            "headers (logs are believed), trusted (nothing: for chains that cannot be verified)."},
    ROW("chain.rpc_timeout", CONFIG_DURATION, rpc_timeout_usec, "10s", 100000, 300000000,
        "How long one call to a node may take."),
    ROW("chain.poll_interval", CONFIG_DURATION, poll_usec, "1s", 1000, 60000000,
        "How often the head is looked at when nothing else says that a block was mined; four "
        "times more seldom, but every 2 s, while chain.ws_urls announces blocks."),
    ROW("chain.confirmations", CONFIG_U64, confirmations, "0", 0, 10000,
        "Blocks on top of an event before it is applied: 0 development, 2 Fuji, 12 mainnets."),
    {.key = "chain.follow",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct chain_config, follow),
     .default_ = "latest",
     .choices = follow_choices,
     .doc = "Up to where events are applied: latest (less chain.confirmations), or the block that "
            "the node calls safe or finalized; a fork below that halts the chain."},
    ROW("chain.alert_reorg_depth", CONFIG_U64, reorg_depth_alert, "3", 0, 100000,
        "Deepest reorganisation that is usual: a deeper one is undone too, and reported as an "
        "error."),
    ROW("chain.max_reorg_depth", CONFIG_U64, reorg_depth_max, "12", 1, 100000,
        "Deepest reorganisation that is undone automatically; deeper ones halt the chain."),
    ROW("chain.undo_depth", CONFIG_U64, undo_depth, "256", 2, 1000000,
        "Blocks whose changes can be undone; at least max_reorg_depth + confirmations."),
    ROW("chain.log_range", CONFIG_U64, range_max, "256", 1, CHAIN_BATCH_MAX,
        "Blocks that are read and applied together at most."),
    ROW("chain.backfill_window", CONFIG_U64, backfill_window, "4", 0, 64,
        "Batches that are read and proven ahead while others are applied, as long as the chain is "
        "far behind; each holds 4 MiB of logs at most. 0 or 1: none."),
    ROW("chain.start_block", CONFIG_U64, start_block, "0", 0, 0,
        "Block to start from on an empty database: not after the deployment of the contracts."),
    ROW("chain.event_retention", CONFIG_DURATION, event_retention_usec, "0s", 0,
        36500ull * 86400 * USEC_PER_SEC,
        "How long raw events are kept, by the time of their block; 0 is for ever."),
};
const size_t chain_config_row_count = sizeof chain_config_rows / sizeof chain_config_rows[0];

static const struct metric_row rows[CHAIN_METRIC_COUNT] = {
    [CHAIN_METRIC_CURSOR] = {"freehold_chain_cursor_block", METRIC_GAUGE,
                             "Last block whose events are applied.", NULL},
    [CHAIN_METRIC_HEAD] = {"freehold_chain_head_block", METRIC_GAUGE,
                           "Newest block that the node reported.", NULL},
    [CHAIN_METRIC_EVENTS] = {"freehold_chain_events_total", METRIC_COUNTER,
                             "Events that were applied.", NULL},
    [CHAIN_METRIC_EVENTS_FAILED] = {"freehold_chain_events_failed_total", METRIC_COUNTER,
                                    "Events that their handler refused.", NULL},
    [CHAIN_METRIC_REORGS] = {"freehold_chain_reorgs_total", METRIC_COUNTER,
                             "Reorganisations that were undone.", NULL},
    [CHAIN_METRIC_REORGS_DEEP] = {"freehold_chain_reorgs_deep_total", METRIC_COUNTER,
                                  "Those of them that were deeper than chain.alert_reorg_depth.",
                                  NULL},
    [CHAIN_METRIC_REORG_DEPTH] = {"freehold_chain_reorg_depth_blocks", METRIC_GAUGE,
                                  "Depth of the last reorganisation.", NULL},
    [CHAIN_METRIC_HALTED] = {"freehold_chain_halted", METRIC_GAUGE,
                             "1 while the chain waits for a human.", NULL},
    [CHAIN_METRIC_BATCH] = {"freehold_chain_batch_duration_seconds", METRIC_HISTOGRAM,
                            "Time to read and apply the events of one batch of blocks.", NULL},
    [CHAIN_METRIC_ASKED_AGAIN] = {"freehold_chain_silences_total", METRIC_COUNTER,
                                  "Blocks without a log of ours whose bloom admits one, asked for "
                                  "again by hash.",
                                  NULL},
    [CHAIN_METRIC_FINAL] = {"freehold_chain_final_block", METRIC_GAUGE,
                            "Block that the node calls what chain.follow names; 0: unknown.", NULL},
    [CHAIN_METRIC_EXPECT_SEEN] = {"freehold_chain_expectations_total", METRIC_COUNTER,
                                  "Events that were waited for, by how that ended.",
                                  "outcome=\"seen\""},
    [CHAIN_METRIC_EXPECT_TIMED_OUT] = {"freehold_chain_expectations_total", METRIC_COUNTER,
                                       "Events that were waited for, by how that ended.",
                                       "outcome=\"timed_out\""},
    [CHAIN_METRIC_LIVE] = {"freehold_chain_live_duration_seconds", METRIC_HISTOGRAM,
                           "Time from hearing of a new block until its events are committed.",
                           NULL},
    [CHAIN_METRIC_READ_AHEAD] = {"freehold_chain_batches_ahead_total", METRIC_COUNTER,
                                 "Batches that were read ahead and applied.", NULL},
    [CHAIN_METRIC_DROPPED] =
        {"freehold_chain_batches_dropped_total", METRIC_COUNTER,
         "Batches that were planned or read ahead and dropped: after an error, "
         "or on another fork.",
         NULL},
};

struct metric_value chain_metrics[CHAIN_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(rows, chain_metrics, CHAIN_METRIC_COUNT);
}

void chain_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}
