#include "kernel/rpc/poll.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"

/* A header has the hashes of its transactions with it; nothing that is longer is one. */
#define HEADER_BYTES_MAX ((size_t)8 << 20)

#define ZEROS "0000000000000000"
/* JSON-RPC 2.0, section 5.1. */
#define METHOD_NOT_FOUND (-32601)

static int64_t real_usec(void)
{
    struct timespec now;
    clock_deadline(0, &now);
    return (int64_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

struct rpc_poll *rpc_poll_new(struct rpc_pool *pool, enum rpc_about about)
{
    struct rpc_poll *poll = mem_alloc(sizeof(*poll));
    poll->pool = pool;
    poll->about = about;
    poll->begun_usec = real_usec();
    arena_init(&poll->arena, 0);
    rpc_flight_init(&poll->flight, pool);
    return poll;
}

void rpc_poll_free(struct rpc_poll *poll)
{
    if (poll == NULL) {
        return;
    }
    rpc_flight_clear(&poll->flight);
    arena_free(&poll->arena);
    mem_free(poll);
}

/* make_call writes the question. No block has that hash: whoever knows the method has nothing. */
static struct rpc_call make_call(struct rpc_poll *poll)
{
    static const struct rpc_call about[RPC_CAN_COUNT] = {
        [RPC_CAN_RECEIPTS] = {.method = "eth_getBlockReceipts",
                              .params = SLICE_LIT("[\"0x" ZEROS ZEROS ZEROS ZEROS "\"]")},
        [RPC_CAN_FINALIZED] = {.method = "eth_getBlockByNumber",
                               .params = SLICE_LIT("[\"finalized\",false]")},
        [RPC_CAN_SAFE] = {.method = "eth_getBlockByNumber",
                          .params = SLICE_LIT("[\"safe\",false]")},
    };
    if (poll->about == RPC_ABOUT_CAN) {
        return about[poll->can];
    }
    const uint64_t *number = poll->about == RPC_ABOUT_BLOCK ? &poll->number : NULL;
    return (struct rpc_call){.method = "eth_getBlockByNumber",
                             .params = rpc_header_params(&poll->arena, number)};
}

void rpc_poll_ask(struct rpc_poll *poll, size_t place)
{
    struct rpc_pool *pool = poll->pool;
    struct rpc_vote *vote = &poll->votes[place];
    size_t bytes = pool->options.answer_bytes_max;
    ASSERT((poll->asked & UINT64_C(1) << place) == 0);
    vote->call = make_call(poll);
    vote->list[0] = &vote->call;
    vote->leg =
        (struct rpc_leg){.pool = pool,
                         .node = &pool->nodes[place],
                         .arena = &poll->arena,
                         .calls = vote->list,
                         .count = 1,
                         .answer_bytes_max = bytes < HEADER_BYTES_MAX ? bytes : HEADER_BYTES_MAX};
    poll->asked |= UINT64_C(1) << place;
    rpc_flight_add(&poll->flight, &vote->leg);
}

uint64_t rpc_poll_pending(const struct rpc_poll *poll)
{
    return poll->asked & ~poll->voted;
}

int64_t rpc_poll_left(const struct rpc_poll *poll, int64_t usec)
{
    int64_t left = poll->begun_usec + usec - real_usec();
    return left > 0 ? left : 0;
}

/* Without an answer an endpoint is not asked what it thinks for a while. */
static void leave_alone(struct rpc_pool *pool, struct rpc_node *node)
{
    rpc_pool_lock(pool);
    node->vote_after_usec = clock_mono_usec() + RPC_NO_VOTE_USEC;
    rpc_pool_unlock(pool);
}

/* Nothing under a tag is no tag; nothing of a block that is none is an answer. */
static void note_can(const struct rpc_poll *poll, struct rpc_node *node,
                     const struct rpc_call *call)
{
    bool tag = poll->can != RPC_CAN_RECEIPTS;
    if (call->err == OK) {
        rpc_node_note(poll->pool, node, poll->can, !tag || call->result->type != JSON_NULL);
    } else if (call->err == ERR_NODE_ERROR && (tag || call->error_code == METHOD_NOT_FOUND)) {
        rpc_node_note(poll->pool, node, poll->can, false);
    }
}

/* read_vote judges an answer, as the engine does with those that are asked for. */
static enum err read_vote(struct rpc_poll *poll, struct rpc_vote *vote)
{
    struct rpc_pool *pool = poll->pool;
    struct rpc_leg *leg = &vote->leg;
    struct rpc_node *node = leg->node;
    struct why why = {0};
    if (leg->err != OK) {
        return leg->err;
    }
    enum err e = vote->call.err;
    if (poll->about == RPC_ABOUT_CAN) {
        note_can(poll, node, &vote->call);
        why = vote->call.why;
    } else if (e == OK) {
        const uint64_t *number = poll->about == RPC_ABOUT_BLOCK ? &poll->number : NULL;
        e = rpc_header_read(pool, &poll->arena, number, vote->call.result, &vote->header, &why);
    } else {
        why = vote->call.why;
    }
    if (e != OK) {
        rpc_node_finish_why(node, e, &why);
    }
    if (e == ERR_NODE_LIED) {
        rpc_node_lied(pool, node, RPC_LIE_HEADER, &why);
    }
    if (rpc_is_of_answer(e)) {
        rpc_node_failed(pool, node, e, leg->asked_usec, leg->retry_after_usec);
    } else if (!leg->left) {
        rpc_node_worked(pool, node, 1, leg->latency_usec);
    }
    return e;
}

bool rpc_poll_wait(struct rpc_poll *poll, int64_t wait_usec, size_t *out_place)
{
    const struct rpc_leg *leg = rpc_flight_wait(&poll->flight, wait_usec);
    if (leg == NULL) {
        return false;
    }
    size_t place = (size_t)(leg->node - poll->pool->nodes);
    struct rpc_vote *vote = &poll->votes[place];
    vote->err = read_vote(poll, vote);
    poll->voted |= UINT64_C(1) << place;
    if (vote->err != OK && vote->err != ERR_NOT_FOUND && !vote->leg.left &&
        poll->about != RPC_ABOUT_CAN) {
        leave_alone(poll->pool, leg->node);
    }
    *out_place = place;
    return true;
}

/* ---- those that nobody waits for ---- */

void rpc_poll_leave(struct rpc_poll *poll)
{
    struct rpc_pool *pool = poll->pool;
    uint64_t pending = rpc_poll_pending(poll);
    if (pending == 0) {
        rpc_poll_free(poll);
        return;
    }
    for (size_t i = 0; i < pool->count; i++) {
        poll->votes[i].leg.left = (pending >> i & 1) != 0;
    }
    rpc_pool_lock(pool);
    poll->next = pool->late;
    pool->late = poll;
    rpc_pool_unlock(pool);
}

uint64_t rpc_poll_busy(struct rpc_pool *pool)
{
    uint64_t busy = 0;
    rpc_pool_lock(pool);
    for (const struct rpc_poll *poll = pool->late; poll != NULL; poll = poll->next) {
        busy |= rpc_poll_pending(poll);
    }
    rpc_pool_unlock(pool);
    return busy;
}

static struct rpc_poll *take_late(struct rpc_pool *pool)
{
    rpc_pool_lock(pool);
    struct rpc_poll *first = pool->late;
    pool->late = NULL;
    rpc_pool_unlock(pool);
    return first;
}

void rpc_polls_reap(struct rpc_pool *pool, void (*take)(struct rpc_poll *poll, size_t place))
{
    struct rpc_poll *next = NULL;
    for (struct rpc_poll *poll = take_late(pool); poll != NULL; poll = next) {
        size_t place = 0;
        next = poll->next;
        while (rpc_poll_wait(poll, 0, &place)) {
            take(poll, place);
        }
        rpc_poll_leave(poll);
    }
}

void rpc_polls_free(struct rpc_pool *pool)
{
    struct rpc_poll *next = NULL;
    for (struct rpc_poll *poll = take_late(pool); poll != NULL; poll = next) {
        next = poll->next;
        rpc_poll_free(poll);
    }
}
