#include "domain/channels/channels.h"

#include "domain/channels/channels_internal.h"
#include "gen/abi_batch_settlement.h"

#define SECOND ((int64_t)USEC_PER_SEC)

#define ROW(key_, type_, member, default__, min_, max_, doc_)                                      \
    {                                                                                              \
        .key = (key_), .type = (type_), .offset = offsetof(struct channels_config, member),        \
        .default_ = (default__), .min = (min_), .max = (max_), .doc = (doc_)                       \
    }

const struct config_row channels_config_rows[] = {
    ROW("channels.escrow", CONFIG_ADDRESS, escrow, NULL, 0, 0,
        "Escrow contract of payment channels (x402 batch-settlement); empty: there are none."),
    ROW("channels.authorizer", CONFIG_ADDRESS, authorizer, NULL, 0, 0,
        "Wallet of the relay that claims: the receiverAuthorizer of the channels."),
    ROW("channels.watch_interval", CONFIG_DURATION, watch_usec, "60s", 1000000, 300000000,
        "How often the contract is asked whether payers leave; a third of the shortest delay at "
        "most."),
    ROW("channels.claim_interval", CONFIG_DURATION, claim_usec, "10min", 1000000, 86400000000,
        "How often everything is claimed that was charged."),
    ROW("channels.settle_interval", CONFIG_DURATION, settle_usec, "1h", 1000000, 86400000000 * 30,
        "How often receivers are paid what was claimed."),
    ROW("channels.claim_batch", CONFIG_U64, claims_max, "50", 1, X402_CLAIMS_MAX,
        "Channels that are claimed in one transaction, at some 50,000 gas each."),
};
const size_t channels_config_row_count =
    sizeof channels_config_rows / sizeof channels_config_rows[0];

static const struct job_queue queues[] = {
    {
        .name = "channels",
        .concurrency = 1,
        .attempts_max = 3,
        .backoff = JOB_BACKOFF_EXPONENTIAL,
        .backoff_usec = SECOND,
        .backoff_usec_max = 30 * SECOND,
        .doc = "Claims and settlements of payment channels, one at a time.",
    },
};

static const struct job_kind kinds[] = {
    {
        .name = "channels.watch",
        .queue = "channels",
        .handler = channels_job_watch,
        .timeout_usec = 60 * SECOND,
        .doc = "Looks for payers who leave, and claims what they owe.",
    },
    {
        .name = "channels.claim",
        .queue = "channels",
        .handler = channels_job_claim,
        .timeout_usec = 120 * SECOND,
        .doc = "Claims what was charged in all channels.",
    },
    {
        .name = "channels.settle",
        .queue = "channels",
        .handler = channels_job_settle,
        .timeout_usec = 120 * SECOND,
        .doc = "Pays receivers what was claimed.",
    },
};

static enum err read_address(const char *key, const char *text, struct address *out,
                             struct why *why)
{
    if (text == NULL || address_parse(slice_text(text), out) != OK || address_is_zero(out)) {
        return why_set(why, ERR_CONFIG, key, "%s must be an address", key);
    }
    return OK;
}

static enum err read_config(struct channels *c, struct why *why)
{
    const struct channels_config *config = &c->config;
    c->on = config->escrow != NULL && config->escrow[0] != '\0';
    if (!c->on) {
        return OK;
    }
    enum err e = read_address("channels.escrow", config->escrow, &c->escrow.contract, why);
    return e == OK ? read_address("channels.authorizer", config->authorizer, &c->authorizer, why)
                   : e;
}

static void fill(struct channels *c)
{
    static const enum batch_settlement_function allowed[CHANNELS_POLICIES] = {
        BATCH_SETTLEMENT_FUNCTION_CLAIM, BATCH_SETTLEMENT_FUNCTION_SETTLE,
        BATCH_SETTLEMENT_FUNCTION_DEPOSIT, BATCH_SETTLEMENT_FUNCTION_REFUND};
    for (size_t i = 0; i < CHANNELS_POLICIES; i++) {
        c->policies[i] =
            (struct relay_policy){.role = CHANNELS_ROLE,
                                  .contract = &abi_batch_settlement,
                                  .function = &abi_batch_settlement_functions[allowed[i]],
                                  .address = &c->escrow.contract};
    }
    const int64_t every[CHANNELS_CRONS] = {c->config.watch_usec, c->config.claim_usec,
                                           c->config.settle_usec};
    for (size_t i = 0; i < CHANNELS_CRONS; i++) {
        c->crons[i] = (struct job_cron){.name = kinds[i].name,
                                        .kind = kinds[i].name,
                                        .every_usec = every[i],
                                        .doc = kinds[i].doc};
    }
}

enum err channels_new(const struct channels_options *options, struct channels **out,
                      struct why *why)
{
    struct channels *c = mem_alloc(sizeof *c);
    c->config = *options->config;
    c->escrow.chain_id = options->chain_id;
    c->rpc = options->rpc;
    enum err e = read_config(c, why);
    if (e != OK) {
        channels_free(c);
        return e;
    }
    fill(c);
    *out = c;
    return OK;
}

void channels_free(struct channels *channels)
{
    mem_free(channels);
}

void channels_set_relay(struct channels *channels, struct relay *relay)
{
    channels->relay = relay;
}

struct job_table channels_job_table(struct channels *channels)
{
    bool on = channels != NULL && channels->on;
    return (struct job_table){.queues = queues,
                              .queue_count = sizeof queues / sizeof queues[0],
                              .kinds = kinds,
                              .kind_count = sizeof kinds / sizeof kinds[0],
                              .crons = on ? channels->crons : NULL,
                              .cron_count = on ? CHANNELS_CRONS : 0,
                              .ctx = channels};
}

const struct relay_policy *channels_policies(const struct channels *channels, size_t *out_count)
{
    *out_count = channels->on ? CHANNELS_POLICIES : 0;
    return channels->policies;
}

enum err channels_watch(struct store_tx *tx, const struct channels *channels,
                        const struct relay_row *row, struct why *why)
{
    if (!channels->on || !slice_equal_text(row->purpose, CHANNELS_PURPOSE_CLAIM)) {
        return OK;
    }
    switch (row->state) {
    case RELAY_QUEUED:
    case RELAY_SIGNED:
    case RELAY_SENT:
        return OK;
    case RELAY_MINED:
        /* Before that another chain of blocks may be without it. */
        return row->final ? x402_channels_claimed(tx, row->key, why) : OK;
    case RELAY_REVERTED:
    case RELAY_FAILED:
    case RELAY_REPLACED:
    case RELAY_CANCELLED:
        break;
    }
    return x402_channels_unclaimed(tx, row->key, why);
}
