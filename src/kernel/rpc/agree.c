/*
 * What the endpoints of a pool think of a block, and how far each of them is.
 *
 * Nodes of an honest pool disagree about the newest blocks for moments. So a node in the minority
 * is not accused at once: only when it was alone with its view three times in a row, which no short
 * fork lasts. What it said is not believed meanwhile.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/rpc/pool.h"

/* How long an endpoint may think about a block, and how long it is left alone when it does not
 * answer: the follower waits for it. */
#define VOTE_USEC (2 * (int64_t)USEC_PER_SEC)
#define NO_VOTE_USEC (30 * (int64_t)USEC_PER_SEC)
#define DISAGREED_MAX 3

#define SURVEY_USEC (2 * (int64_t)USEC_PER_SEC)
/* Blocks that an endpoint may be behind of another before it counts. */
#define BEHIND_MAX 3

/* Endpoints with one opinion. */
struct group {
    struct hash hash;
    uint64_t members; /* bits */
    uint32_t count;
};

struct poll {
    struct group groups[RPC_ENDPOINTS_MAX];
    size_t group_count;
};

static bool is_ready(struct rpc_pool *pool, const struct rpc_node *node, int64_t now)
{
    ASSERT(pthread_mutex_lock(&pool->lock) == 0);
    bool ready = node->cool_until_usec <= now && node->benched_until_usec <= now &&
                 node->vote_after_usec <= now;
    ASSERT(pthread_mutex_unlock(&pool->lock) == 0);
    return ready;
}

/* ask_header asks one endpoint, in time or not for a while. */
static enum err ask_header(struct rpc_pool *pool, struct rpc_node *node, const uint64_t *number,
                           struct evm_header *out)
{
    struct why why = {0};
    int64_t timeout =
        pool->options.timeout_usec < VOTE_USEC ? pool->options.timeout_usec : VOTE_USEC;
    enum err e = rpc_header_at(pool, node, number, timeout, out, &why);
    if (e != OK && e != ERR_NOT_FOUND) {
        ASSERT(pthread_mutex_lock(&pool->lock) == 0);
        node->vote_after_usec = clock_mono_usec() + NO_VOTE_USEC;
        ASSERT(pthread_mutex_unlock(&pool->lock) == 0);
    }
    return e;
}

/* Groups stand in the order of their first members, which is that of the configuration. */
static void count_vote(struct poll *poll, size_t member, const struct hash *hash)
{
    size_t i = 0;
    while (i < poll->group_count && !hash_equal(&poll->groups[i].hash, hash)) {
        i++;
    }
    if (i == poll->group_count) {
        poll->groups[poll->group_count++] = (struct group){.hash = *hash};
    }
    poll->groups[i].members |= UINT64_C(1) << member;
    poll->groups[i].count++;
}

static const struct group *largest(const struct poll *poll)
{
    const struct group *best = NULL;
    for (size_t i = 0; i < poll->group_count; i++) {
        if (best == NULL || poll->groups[i].count > best->count) {
            best = &poll->groups[i];
        }
    }
    return best;
}

/* note_views counts who agrees with most and who does not. */
static void note_views(struct rpc_pool *pool, const struct poll *poll, const struct group *most,
                       uint64_t number)
{
    for (size_t i = 0; i < pool->count; i++) {
        struct rpc_node *node = &pool->nodes[i];
        bool voted = false;
        for (size_t g = 0; g < poll->group_count; g++) {
            voted |= (poll->groups[g].members >> i & 1) != 0;
        }
        if (!voted) {
            continue;
        }
        bool agrees = (most->members >> i & 1) != 0;
        ASSERT(pthread_mutex_lock(&pool->lock) == 0);
        node->disagreed = agrees ? 0 : node->disagreed + 1;
        bool forked = node->disagreed >= DISAGREED_MAX;
        node->disagreed = forked ? 0 : node->disagreed;
        ASSERT(pthread_mutex_unlock(&pool->lock) == 0);
        if (forked) {
            struct why why = {0};
            (void)why_set(&why, ERR_NODE_LIED, NULL,
                          "The node %s is on a fork: its block %llu is another than that of %u of "
                          "the nodes.",
                          node->origin, (unsigned long long)number, most->count);
            rpc_node_lied(pool, node, RPC_LIE_FORK, &why);
        }
    }
}

static enum err judge(struct rpc_pool *pool, const struct poll *poll, uint64_t number,
                      const struct hash *hash, struct why *why)
{
    const struct group *most = largest(poll);
    uint32_t quorum = pool->options.quorum > 1 ? pool->options.quorum : 1;
    uint32_t agree = 0;
    for (size_t i = 0; i < poll->group_count; i++) {
        agree = hash_equal(&poll->groups[i].hash, hash) ? poll->groups[i].count : agree;
    }
    if (most != NULL && most->count >= quorum) {
        note_views(pool, poll, most, number);
        if (!hash_equal(&most->hash, hash)) {
            return why_set(why, ERR_NODE_LIED, NULL,
                           "Block %llu is another one at %u of the nodes of chain %llu than at the "
                           "one that gave it.",
                           (unsigned long long)number, most->count,
                           (unsigned long long)pool->options.chain_id);
        }
        return OK;
    }
    return why_set(why, ERR_NODE_UNAVAILABLE, NULL,
                   "Block %llu is the same at %u nodes of chain %llu at the moment, and "
                   "chain.quorum asks for %u.",
                   (unsigned long long)number, agree, (unsigned long long)pool->options.chain_id,
                   quorum);
}

enum err rpc_confirm(struct rpc_pool *pool, uint64_t number, const struct hash *hash,
                     struct why *why)
{
    struct poll poll = {.group_count = 0};
    if (pool->count == 1 && pool->options.quorum <= 1) {
        return OK;
    }
    for (size_t i = 0; i < pool->count; i++) {
        struct evm_header header;
        if (is_ready(pool, &pool->nodes[i], clock_mono_usec()) &&
            ask_header(pool, &pool->nodes[i], &number, &header) == OK) {
            count_vote(&poll, i, &header.hash);
        }
    }
    return judge(pool, &poll, number, hash, why);
}

/* ---- how far each is ---- */

/* compare_heads says of each endpoint whether it is behind; called with the lock held. */
static void compare_heads(struct rpc_pool *pool)
{
    uint64_t best = 0;
    for (size_t i = 0; i < pool->count; i++) {
        best = pool->nodes[i].head > best ? pool->nodes[i].head : best;
    }
    for (size_t i = 0; i < pool->count; i++) {
        struct rpc_node *node = &pool->nodes[i];
        bool behind = node->head + BEHIND_MAX < best;
        if (behind != node->behind) {
            LOG(behind ? LOG_WARN : LOG_INFO, behind ? "rpc.endpoint_behind" : "rpc.endpoint_even",
                log_u64("chain", pool->options.chain_id), log_text("url", node->origin),
                log_u64("block", node->head), log_u64("best", best));
        }
        node->behind = behind;
    }
}

void rpc_survey(struct rpc_pool *pool)
{
    int64_t now = clock_mono_usec();
    int64_t last = atomic_load(&pool->surveyed_usec);
    /* All at once, or a fast chain would look as if those asked first were behind. */
    if (pool->count == 1 || (last != 0 && now - last < SURVEY_USEC) ||
        !atomic_compare_exchange_strong(&pool->surveyed_usec, &last, now)) {
        return;
    }
    for (size_t i = 0; i < pool->count; i++) {
        struct rpc_node *node = &pool->nodes[i];
        struct evm_header header = {.number = 0};
        if (!is_ready(pool, node, clock_mono_usec()) ||
            ask_header(pool, node, NULL, &header) != OK) {
            header.number = 0;
        }
        ASSERT(pthread_mutex_lock(&pool->lock) == 0);
        node->head = header.number;
        ASSERT(pthread_mutex_unlock(&pool->lock) == 0);
    }
    ASSERT(pthread_mutex_lock(&pool->lock) == 0);
    compare_heads(pool);
    ASSERT(pthread_mutex_unlock(&pool->lock) == 0);
}
