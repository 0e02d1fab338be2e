/*
 * chain_final.c: how far the chain is said to be final, when that decides what is applied.
 *
 * The tag is one node's word. So it only ever holds the cursor back: what is applied is confirmed
 * as ever, and `confirmations` count beside the tag. Where nobody knows the tag there is no guess
 * that is as good, so the chain falls back to confirmations only if some are configured.
 */
#include "kernel/base/log.h"
#include "kernel/chain/chain_internal.h"

static const char *const follow_names[] = {
    [CHAIN_FOLLOW_LATEST] = "latest",
    [CHAIN_FOLLOW_SAFE] = "safe",
    [CHAIN_FOLLOW_FINALIZED] = "finalized",
};

const char *chain_follow_name(enum chain_follow follow)
{
    return follow_names[follow];
}

enum chain_follow chain_follow_of(const struct chain_config *config)
{
    for (int i = CHAIN_FOLLOW_SAFE; config->follow != NULL && i <= CHAIN_FOLLOW_FINALIZED; i++) {
        if (strcmp(config->follow, follow_names[i]) == 0) {
            return (enum chain_follow)i;
        }
    }
    return CHAIN_FOLLOW_LATEST;
}

static void note(struct chain *chain, bool known, uint64_t number)
{
    (void)pthread_mutex_lock(&chain->lock);
    bool news = chain->status.final_unknown == known;
    chain->status.final_unknown = !known;
    chain->status.final_block = known ? number : 0;
    (void)pthread_mutex_unlock(&chain->lock);
    metric_set(&chain_metrics[CHAIN_METRIC_FINAL], known ? (int64_t)number : 0);
    if (news) {
        LOG(known ? LOG_INFO : LOG_WARN, known ? "chain.tag_known" : "chain.tag_unknown",
            log_u64("chain", chain->config.chain_id),
            log_text("tag", chain_follow_name(chain->follow)),
            log_u64("confirmations", chain->config.confirmations));
    }
}

enum err chain_final_look(struct chain *chain, const struct chain_position *at, struct why *why)
{
    uint64_t number = 0;
    bool known = false;
    if (chain->follow == CHAIN_FOLLOW_LATEST ||
        (chain->final_block > at->block &&
         chain->final_block - at->block > chain->config.range_max)) {
        return OK; /* far below what is final nothing has to be asked */
    }
    const char *tag = chain_follow_name(chain->follow);
    enum err e = rpc_tagged_block(chain->rpc, tag, &number, &known, why);
    if (e != OK) {
        return e;
    }
    note(chain, known, number);
    if (!known && chain->config.confirmations == 0) {
        return why_set(why, ERR_NODE_ERROR, "chain.follow",
                       "chain.follow is %s, which the node does not know, and chain.confirmations "
                       "is 0: nothing says which blocks stay; set chain.confirmations, or follow "
                       "latest",
                       tag);
    }
    chain->final_block = known ? number : 0;
    chain->final_limit = known ? number : UINT64_MAX;
    return OK;
}
