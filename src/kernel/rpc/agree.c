/*
 * What the endpoints of a pool think of a block, and how far each of them is.
 *
 * All are asked side by side. A vote ends as soon as those that have not answered cannot change it;
 * where they could, they are waited for a little longer than they usually need. Nodes of an honest
 * pool disagree about the newest blocks for moments. So a node in the minority is not accused at
 * once: only when it was alone with its view three times in a row, which no short fork lasts. What
 * it said is not believed meanwhile.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/rpc/poll.h"

/* A vote or survey that could end without the rest waits for it so many times its usual time, … */
#define PATIENCE_TIMES 4
/* … within these bounds; and so long for one of which too little is known. */
#define PATIENCE_USEC_MIN 250000
#define PATIENCE_USEC_MAX 1000000
#define PATIENCE_SAMPLES 8

#define DISAGREED_MAX 3

/* How often endpoints are asked what they know. */
#define EXPLORE_USEC (600 * (int64_t)USEC_PER_SEC)
#define SURVEY_USEC (2 * (int64_t)USEC_PER_SEC)
/* Blocks that an endpoint may be behind or ahead of others before it counts. */
#define BEHIND_MAX 3
/* A node that is ahead of others claims blocks in so much less than their usual time: no chain. */
#define PACE_TIMES 4
/* More blocks a second than this are looked after before they are believed. */
#define PACE_BLOCKS_MAX 20
/* A head may be so far in the future. Units: seconds. */
#define CLOCK_SEC_MAX 60
/* From so many blocks on the time between two is measured anew. */
#define PACE_BLOCKS_KEPT 100000

/* Endpoints with one opinion. */
struct group {
    struct hash hash;
    uint64_t members; /* bits */
    uint32_t count;
};

/* The votes so far; groups stand in the order of their first members in the configuration. */
struct tally {
    struct group groups[RPC_ENDPOINTS_MAX];
    size_t count;
};

static bool is_ready(struct rpc_pool *pool, const struct rpc_node *node)
{
    int64_t now = clock_mono_usec();
    rpc_pool_lock(pool);
    bool ready = node->cool_until_usec <= now && node->benched_until_usec <= now &&
                 node->vote_after_usec <= now;
    rpc_pool_unlock(pool);
    return ready;
}

/* An endpoint that is further ahead than can be has no say about what the others do not have. */
static bool has_say(struct rpc_pool *pool, const struct rpc_node *node, const struct rpc_poll *poll)
{
    rpc_pool_lock(pool);
    bool beyond =
        poll->about == RPC_ABOUT_BLOCK && node->ahead && poll->number > pool->reached + BEHIND_MAX;
    rpc_pool_unlock(pool);
    return !beyond;
}

static void ask_ready(struct rpc_poll *poll, uint64_t among)
{
    struct rpc_pool *pool = poll->pool;
    for (size_t i = 0; i < pool->count; i++) {
        if ((among >> i & 1) != 0 && is_ready(pool, &pool->nodes[i]) &&
            has_say(pool, &pool->nodes[i], poll)) {
            rpc_poll_ask(poll, i);
        }
    }
}

/* How long it is worth to wait for those that have not answered. */
static int64_t patience_of(const struct rpc_poll *poll)
{
    struct rpc_pool *pool = poll->pool;
    uint64_t pending = rpc_poll_pending(poll);
    int64_t patience = PATIENCE_USEC_MIN;
    rpc_pool_lock(pool);
    for (size_t i = 0; i < pool->count; i++) {
        const struct rpc_latency *l = &pool->nodes[i].latency[0];
        int64_t usual = l->count < PATIENCE_SAMPLES ? PATIENCE_USEC_MAX
                                                    : PATIENCE_TIMES * rpc_latency_quantile(l, 950);
        patience = (pending >> i & 1) != 0 && usual > patience ? usual : patience;
    }
    rpc_pool_unlock(pool);
    return patience < PATIENCE_USEC_MAX ? patience : PATIENCE_USEC_MAX;
}

/* leave_alone stops asking those that were waited for in vain what they think, for a while. */
static void leave_alone(const struct rpc_poll *poll)
{
    struct rpc_pool *pool = poll->pool;
    uint64_t pending = rpc_poll_pending(poll);
    int64_t until = clock_mono_usec() + RPC_NO_VOTE_USEC;
    rpc_pool_lock(pool);
    for (size_t i = 0; i < pool->count; i++) {
        if ((pending >> i & 1) != 0) {
            pool->nodes[i].vote_after_usec = until;
        }
    }
    rpc_pool_unlock(pool);
}

/* ---- a vote on a block ---- */

static void count_vote(struct tally *t, size_t member, const struct hash *hash)
{
    size_t i = 0;
    while (i < t->count && !hash_equal(&t->groups[i].hash, hash)) {
        i++;
    }
    if (i == t->count) {
        t->groups[t->count++] = (struct group){.hash = *hash};
    }
    t->groups[i].members |= UINT64_C(1) << member;
    t->groups[i].count++;
}

static struct tally tally_of(const struct rpc_poll *poll)
{
    struct tally t = {.count = 0};
    for (size_t i = 0; i < poll->pool->count; i++) {
        if ((poll->voted >> i & 1) != 0 && poll->votes[i].err == OK) {
            count_vote(&t, i, &poll->votes[i].header.hash);
        }
    }
    return t;
}

static const struct group *largest(const struct tally *t)
{
    const struct group *best = NULL;
    for (size_t i = 0; i < t->count; i++) {
        if (best == NULL || t->groups[i].count > best->count) {
            best = &t->groups[i];
        }
    }
    return best;
}

static uint32_t quorum_of(const struct rpc_pool *pool)
{
    return pool->options.quorum > 1 ? pool->options.quorum : 1;
}

/* Whether a group with these members, should all that are pending join it, overtakes the most. */
static bool could_win(uint64_t members, uint64_t pending, const struct group *most)
{
    uint64_t all = members | pending;
    int count = __builtin_popcountll(all);
    return count > (int)most->count || (count == (int)most->count && all != 0 &&
                                        __builtin_ctzll(all) < __builtin_ctzll(most->members));
}

/* No answer that is still to come can change who has most. */
static bool is_final(const struct rpc_poll *poll, const struct tally *t)
{
    const struct group *most = largest(t);
    uint64_t pending = rpc_poll_pending(poll);
    if (pending == 0) {
        return true;
    }
    if (most == NULL || most->count < quorum_of(poll->pool) || could_win(0, pending, most)) {
        return false;
    }
    for (size_t i = 0; i < t->count; i++) {
        if (&t->groups[i] != most && could_win(t->groups[i].members, pending, most)) {
            return false;
        }
    }
    return true;
}

static struct tally collect(struct rpc_poll *poll)
{
    struct tally t = tally_of(poll);
    while (!is_final(poll, &t)) {
        const struct group *most = largest(&t);
        bool enough = most != NULL && most->count >= quorum_of(poll->pool);
        int64_t limit = enough ? patience_of(poll) : RPC_VOTE_USEC;
        size_t place = 0;
        if (!rpc_poll_wait(poll, rpc_poll_left(poll, limit), &place)) {
            leave_alone(poll);
            break;
        }
        t = tally_of(poll);
    }
    return t;
}

/* note_view counts whether an endpoint agrees with most, and benches one that never does. */
static void note_view(const struct rpc_poll *poll, size_t place)
{
    struct rpc_pool *pool = poll->pool;
    struct rpc_node *node = &pool->nodes[place];
    bool agrees = hash_equal(&poll->votes[place].header.hash, &poll->most);
    rpc_pool_lock(pool);
    node->disagreed = agrees ? 0 : node->disagreed + 1;
    bool forked = node->disagreed >= DISAGREED_MAX;
    node->disagreed = forked ? 0 : node->disagreed;
    rpc_pool_unlock(pool);
    if (forked) {
        struct why why = {0};
        (void)why_set(&why, ERR_NODE_LIED, NULL,
                      "The node %s is on a fork: its block %llu is another than that of %u of the "
                      "nodes.",
                      node->origin, (unsigned long long)poll->number, poll->most_count);
        rpc_node_lied(pool, node, RPC_LIE_FORK, &why);
    }
}

static enum err judge(struct rpc_poll *poll, const struct tally *t, const struct hash *hash,
                      struct why *why)
{
    struct rpc_pool *pool = poll->pool;
    const struct group *most = largest(t);
    uint32_t quorum = quorum_of(pool);
    uint32_t agree = 0;
    for (size_t i = 0; i < t->count; i++) {
        agree = hash_equal(&t->groups[i].hash, hash) ? t->groups[i].count : agree;
    }
    if (most == NULL || most->count < quorum) {
        return why_set(why, ERR_NODE_UNAVAILABLE, NULL,
                       "Block %llu is the same at %u nodes of chain %llu at the moment, and "
                       "chain.quorum asks for %u.",
                       (unsigned long long)poll->number, agree,
                       (unsigned long long)pool->options.chain_id, quorum);
    }
    poll->decided = true;
    poll->most = most->hash;
    poll->most_count = most->count;
    for (size_t i = 0; i < pool->count; i++) {
        if ((poll->voted >> i & 1) != 0 && poll->votes[i].err == OK) {
            note_view(poll, i);
        }
    }
    if (!hash_equal(&most->hash, hash)) {
        return why_set(why, ERR_NODE_LIED, NULL,
                       "Block %llu is another one at %u of the nodes of chain %llu than at the "
                       "one that gave it.",
                       (unsigned long long)poll->number, most->count,
                       (unsigned long long)pool->options.chain_id);
    }
    return OK;
}

static void take_late(struct rpc_poll *poll, size_t place);

enum err rpc_confirm(struct rpc_pool *pool, uint64_t number, const struct hash *hash,
                     struct why *why)
{
    if (pool->count == 1 && pool->options.quorum <= 1) {
        return OK;
    }
    rpc_polls_reap(pool, take_late);
    uint64_t busy = rpc_poll_busy(pool);
    struct rpc_poll *poll = rpc_poll_new(pool, RPC_ABOUT_BLOCK);
    poll->number = number;
    ask_ready(poll, ~busy);
    struct tally t = collect(poll);
    const struct group *most = largest(&t);
    if (busy != 0 && (most == NULL || most->count < quorum_of(pool))) {
        /* It takes those too that are late with an answer about an earlier block. */
        poll->begun_usec += RPC_VOTE_USEC - rpc_poll_left(poll, RPC_VOTE_USEC);
        ask_ready(poll, busy);
        t = collect(poll);
    }
    enum err e = judge(poll, &t, hash, why);
    rpc_poll_leave(poll);
    return e;
}

/* ---- how far each is ---- */

/* median gives the endpoint whose newest block more than half of those that said one have. */
static const struct rpc_node *median(const struct rpc_pool *pool)
{
    const struct rpc_node *sorted[RPC_ENDPOINTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < pool->count; i++) {
        const struct rpc_node *node = &pool->nodes[i];
        if (node->head == 0) {
            continue;
        }
        size_t at = count++;
        while (at > 0 && sorted[at - 1]->head < node->head) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = node;
    }
    return count > 0 ? sorted[count / 2] : NULL;
}

/* The blocks that a node claims beyond those of most cannot have been made in their time. */
static bool is_impossible(const struct rpc_pool *pool, const struct rpc_node *node,
                          const struct rpc_node *most)
{
    int64_t now_sec = clock_wall_sec();
    if (node->head <= most->head + BEHIND_MAX) {
        return false;
    }
    uint64_t blocks = node->head - most->head;
    int64_t sec = node->head_sec - most->head_sec;
    if (node->head_sec > now_sec + CLOCK_SEC_MAX && most->head_sec <= now_sec + CLOCK_SEC_MAX) {
        return true;
    }
    if (sec < 0) {
        return true;
    }
    if (most->head > pool->pace_block && pool->pace_block != 0) {
        uint64_t paced = most->head - pool->pace_block;
        uint64_t paced_sec = (uint64_t)(most->head_sec - pool->pace_sec);
        struct u256 claimed =
            u256_from_u64((uint64_t)sec + 1); /* times are whole seconds, rounded down */
        struct u256 usual = u256_from_u64(paced_sec);
        return u256_mul(claimed, u256_from_u64(PACE_TIMES * paced), &claimed) == OK &&
               u256_mul(usual, u256_from_u64(blocks), &usual) == OK &&
               u256_compare(claimed, usual) < 0;
    }
    return false; /* how fast the chain is, is not known yet */
}

static void note_pace(struct rpc_pool *pool, const struct rpc_node *most)
{
    pool->reached = most->head;
    if (pool->pace_block == 0 || most->head < pool->pace_block || most->head_sec < pool->pace_sec ||
        most->head - pool->pace_block > PACE_BLOCKS_KEPT) {
        pool->pace_block = most->head;
        pool->pace_sec = most->head_sec;
    }
}

static void set_apart(struct rpc_pool *pool, struct rpc_node *node, bool behind, bool ahead,
                      uint64_t best)
{
    if (behind != node->behind) {
        LOG(behind ? LOG_WARN : LOG_INFO, behind ? "rpc.endpoint_behind" : "rpc.endpoint_even",
            log_u64("chain", pool->options.chain_id), log_text("url", node->origin),
            log_u64("block", node->head), log_u64("best", best));
    }
    if (ahead != node->ahead) {
        metric_add(&rpc_metrics[RPC_METRIC_HEADS_AHEAD], ahead);
        LOG(ahead ? LOG_WARN : LOG_INFO, ahead ? "rpc.endpoint_ahead" : "rpc.endpoint_even",
            log_u64("chain", pool->options.chain_id), log_text("url", node->origin),
            log_u64("block", node->head), log_u64("best", best));
    }
    node->behind = behind;
    node->ahead = ahead;
    rpc_measure_set(pool, node, RPC_MEASURE_HEAD, (int64_t)node->head);
    rpc_measure_set(pool, node, RPC_MEASURE_APART, behind || ahead);
}

/* compare_heads says of each endpoint whether it is behind or ahead; called with the lock held. */
static void compare_heads(struct rpc_pool *pool)
{
    const struct rpc_node *most = median(pool);
    bool ahead[RPC_ENDPOINTS_MAX] = {false};
    uint64_t best = 0;
    if (most == NULL) {
        return; /* nobody says anything: all are as they were */
    }
    for (size_t i = 0; i < pool->count; i++) {
        const struct rpc_node *node = &pool->nodes[i];
        ahead[i] = is_impossible(pool, node, most);
        best = !ahead[i] && node->head > best ? node->head : best;
    }
    note_pace(pool, most);
    for (size_t i = 0; i < pool->count; i++) {
        struct rpc_node *node = &pool->nodes[i];
        set_apart(pool, node, node->head + BEHIND_MAX < best, ahead[i], best);
    }
}

/* note_head notes what an endpoint said its newest block is; called with the lock held. */
static void note_head(struct rpc_pool *pool, struct rpc_node *node, const struct evm_header *header)
{
    if (header->number + BEHIND_MAX < node->head_before) {
        metric_add(&rpc_metrics[RPC_METRIC_HEADS_BACK], 1);
        LOG(LOG_WARN, "rpc.head_went_back", log_u64("chain", pool->options.chain_id),
            log_text("url", node->origin), log_u64("block", header->number),
            log_u64("before", node->head_before));
    }
    node->head = header->number;
    node->head_before = header->number;
    node->head_sec = header->time_sec;
}

/* take_late takes what an endpoint said when nobody waited for it any more. */
static void take_late(struct rpc_poll *poll, size_t place)
{
    struct rpc_pool *pool = poll->pool;
    struct rpc_node *node = &pool->nodes[place];
    if (poll->votes[place].err != OK) {
        return;
    }
    if (poll->about == RPC_ABOUT_BLOCK && poll->decided) {
        note_view(poll, place);
    }
    if (poll->about == RPC_ABOUT_NEWEST) {
        rpc_pool_lock(pool);
        note_head(pool, node, &poll->votes[place].header);
        /* It says nothing about being ahead: the others said theirs some time ago. */
        set_apart(pool, node, node->head + BEHIND_MAX < pool->reached, node->ahead, pool->reached);
        rpc_pool_unlock(pool);
    }
}

static void note_heads(struct rpc_pool *pool, const struct rpc_poll *poll, uint64_t busy)
{
    rpc_pool_lock(pool);
    for (size_t i = 0; i < pool->count; i++) {
        struct rpc_node *node = &pool->nodes[i];
        bool said = (poll->voted >> i & 1) != 0 && poll->votes[i].err == OK;
        if (said) {
            note_head(pool, node, &poll->votes[i].header);
        } else if ((busy >> i & 1) == 0) {
            node->head = 0; /* unlike one that still thinks about another question */
        }
    }
    compare_heads(pool);
    rpc_pool_unlock(pool);
}

/* wait_for_all takes the votes, unless one takes much longer than usual; false: that is so. */
static bool wait_for_all(struct rpc_poll *poll)
{
    size_t place = 0;
    while (rpc_poll_pending(poll) != 0) {
        if (!rpc_poll_wait(poll, rpc_poll_left(poll, patience_of(poll)), &place)) {
            return false;
        }
    }
    return true;
}

/* explore asks those that have just answered what they know. */
static void explore(struct rpc_pool *pool, uint64_t answered)
{
    int64_t now = clock_mono_usec();
    int64_t last = atomic_load(&pool->explored_usec);
    if ((last != 0 && now - last < EXPLORE_USEC) ||
        !atomic_compare_exchange_strong(&pool->explored_usec, &last, now)) {
        return;
    }
    for (int can = 0; can < RPC_CAN_COUNT; can++) {
        struct rpc_poll *poll = rpc_poll_new(pool, RPC_ABOUT_CAN);
        poll->can = (enum rpc_can)can;
        ask_ready(poll, answered);
        (void)wait_for_all(poll);
        rpc_poll_leave(poll);
    }
}

static void survey(struct rpc_pool *pool)
{
    uint64_t busy = rpc_poll_busy(pool);
    struct rpc_poll *poll = rpc_poll_new(pool, RPC_ABOUT_NEWEST);
    /* All at once, or a fast chain would look as if those asked first were behind. */
    ask_ready(poll, ~busy);
    if (!wait_for_all(poll)) {
        leave_alone(poll);
    }
    note_heads(pool, poll, busy);
    explore(pool, poll->voted);
    rpc_poll_leave(poll);
}

void rpc_survey(struct rpc_pool *pool)
{
    if (pool->count == 1) {
        return;
    }
    rpc_polls_reap(pool, take_late);
    int64_t now = clock_mono_usec();
    int64_t last = atomic_load(&pool->surveyed_usec);
    if ((last != 0 && now - last < SURVEY_USEC) ||
        !atomic_compare_exchange_strong(&pool->surveyed_usec, &last, now)) {
        return;
    }
    survey(pool);
}

/* ---- a head that others do not have ---- */

/* The newest block that may be by now, from what was surveyed; 0: nothing is known. */
static uint64_t possible_head(struct rpc_pool *pool, uint64_t *out_best)
{
    int64_t since = clock_mono_usec() - atomic_load(&pool->surveyed_usec);
    uint64_t best = 0;
    rpc_pool_lock(pool);
    for (size_t i = 0; i < pool->count; i++) {
        const struct rpc_node *node = &pool->nodes[i];
        best = !node->ahead && node->head > best ? node->head : best;
    }
    rpc_pool_unlock(pool);
    *out_best = best;
    uint64_t grown = (uint64_t)(since / USEC_PER_SEC + 1) * PACE_BLOCKS_MAX;
    return best == 0 || since > 10 * SURVEY_USEC ? 0 : best + BEHIND_MAX + grown;
}

uint64_t rpc_head_believed(struct rpc_pool *pool, size_t place, uint64_t number)
{
    uint64_t best = 0;
    uint64_t possible = pool->count > 1 ? possible_head(pool, &best) : 0;
    if (possible == 0 || number <= possible) {
        return number;
    }
    int64_t now = clock_mono_usec();
    int64_t last = atomic_load(&pool->doubted_usec);
    bool look = (last == 0 || now - last >= SURVEY_USEC) &&
                atomic_compare_exchange_strong(&pool->doubted_usec, &last, now);
    if (!look) {
        return best;
    }
    atomic_store(&pool->surveyed_usec, now);
    survey(pool);
    possible = possible_head(pool, &best);
    if (possible == 0 || number <= possible) {
        return number; /* many blocks were made at once */
    }
    struct rpc_node *node = &pool->nodes[place];
    metric_add(&rpc_metrics[RPC_METRIC_HEADS_AHEAD], 1);
    LOG(LOG_WARN, "rpc.head_doubted", log_u64("chain", pool->options.chain_id),
        log_text("url", node->origin), log_u64("block", number), log_u64("best", best));
    rpc_node_failed(pool, node, ERR_NODE_RESPONSE, now, 0);
    return best;
}
