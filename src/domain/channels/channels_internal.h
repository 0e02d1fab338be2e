/* channels_internal.h: what the files of the keeper share. */
#ifndef DOMAIN_CHANNELS_CHANNELS_INTERNAL_H
#define DOMAIN_CHANNELS_CHANNELS_INTERNAL_H

#include "domain/channels/channels.h"
#include "gen/abi_types.h"

#define CHANNELS_PURPOSE_CLAIM "channels.claim"
#define CHANNELS_PURPOSE_SETTLE "channels.settle"
#define CHANNELS_PURPOSE_DEPOSIT "channels.deposit"
#define CHANNELS_PURPOSE_REFUND "channels.refund"
#define CHANNELS_CRONS 3

struct channels {
    struct channels_config config;
    bool on;
    struct x402_escrow escrow;
    struct address authorizer;
    struct rpc_pool *rpc;
    struct relay *relay;
    struct relay_policy policies[CHANNELS_POLICIES];
    struct job_cron crons[CHANNELS_CRONS];
};

/* channels_abi_config makes what the bindings take of a channel. */
struct abi_channel_config channels_abi_config(const struct x402_channel *channel);
/* channels_submit wants a call of the escrow. Errors: as relay_submit. */
enum err channels_submit(struct store_tx *tx, const struct channels *c, struct arena *arena,
                         struct relay_intent intent, struct slice *out_id,
                         struct why *why) ERR_CHECKED;

/* The handlers of the jobs. */
enum err channels_job_watch(struct job_call *call, struct why *why);
enum err channels_job_claim(struct job_call *call, struct why *why);
enum err channels_job_settle(struct job_call *call, struct why *why);

#endif
