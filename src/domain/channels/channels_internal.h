/* channels_internal.h: what the files of the keeper share. */
#ifndef DOMAIN_CHANNELS_CHANNELS_INTERNAL_H
#define DOMAIN_CHANNELS_CHANNELS_INTERNAL_H

#include "domain/channels/channels.h"

#define CHANNELS_PURPOSE_CLAIM "channels.claim"
#define CHANNELS_PURPOSE_SETTLE "channels.settle"
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

/* The handlers of the jobs. */
enum err channels_job_watch(struct job_call *call, struct why *why);
enum err channels_job_claim(struct job_call *call, struct why *why);
enum err channels_job_settle(struct job_call *call, struct why *why);

#endif
