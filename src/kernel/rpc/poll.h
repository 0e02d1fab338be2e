/*
 * poll.h: one question to several endpoints, side by side.
 *
 * Whoever asks waits as long as it makes sense to, and leaves the rest: endpoints that are late go
 * on answering while nobody waits, and what they say is looked at when somebody asks the next time
 * (rpc_polls_reap). So a slow endpoint is heard without being waited for, and one that hangs holds
 * nobody up. An endpoint that is late is not asked again meanwhile, which bounds what is under way.
 *
 * Threads: a poll is of the thread that has it; those that nobody has are kept by the pool.
 */
#ifndef KERNEL_RPC_POLL_H
#define KERNEL_RPC_POLL_H

#include "kernel/rpc/leg.h"

/* How long an endpoint may think about a header, and how long it is left alone when it does not
 * answer in time. */
#define RPC_VOTE_USEC (2 * (int64_t)USEC_PER_SEC)
#define RPC_NO_VOTE_USEC (30 * (int64_t)USEC_PER_SEC)

/* What a poll asks. */
enum rpc_about {
    RPC_ABOUT_BLOCK,  /* the header of a number */
    RPC_ABOUT_NEWEST, /* the newest header */
    RPC_ABOUT_CAN,    /* whether it knows something, which is noted of it */
};

struct rpc_vote {
    struct rpc_leg leg;
    struct rpc_call call;
    struct rpc_call *list[1];
    enum err err; /* OK: `header` is what it has; ERR_NOT_FOUND: it has no such block */
    struct evm_header header;
};

struct rpc_poll {
    struct rpc_pool *pool;
    struct rpc_poll *next; /* of those that nobody has */
    struct arena arena;
    struct rpc_flight flight;
    struct rpc_vote votes[RPC_ENDPOINTS_MAX];
    enum rpc_about about;
    enum rpc_can can; /* of RPC_ABOUT_CAN */
    uint64_t number;  /* of RPC_ABOUT_BLOCK */
    uint64_t asked;   /* bits of endpoints */
    uint64_t voted;   /* those whose vote is there, also one that says nothing */
    bool decided;
    struct hash most; /* what most had, when it is decided */
    uint32_t most_count;
    int64_t begun_usec; /* real time */
};

/* rpc_poll_new begins one; what it is about in detail is the caller's to set. Owns: the caller. */
struct rpc_poll *rpc_poll_new(struct rpc_pool *pool, enum rpc_about about);
/* rpc_poll_free breaks off what is under way; NULL is fine. */
void rpc_poll_free(struct rpc_poll *poll);
/* rpc_poll_ask asks an endpoint. */
void rpc_poll_ask(struct rpc_poll *poll, size_t place);
/* rpc_poll_pending gives the endpoints that have not answered yet. */
uint64_t rpc_poll_pending(const struct rpc_poll *poll);
/* rpc_poll_left tells what is left of a time since the poll began, in real time. */
int64_t rpc_poll_left(const struct rpc_poll *poll, int64_t usec);
/* rpc_poll_wait takes the next vote and gives its endpoint; false: none in that time. */
bool rpc_poll_wait(struct rpc_poll *poll, int64_t wait_usec, size_t *out_place);
/* rpc_poll_leave gives a poll to the pool, which frees it when all have answered. */
void rpc_poll_leave(struct rpc_poll *poll);
/* rpc_poll_busy gives the endpoints that still think about a poll that was left. */
uint64_t rpc_poll_busy(struct rpc_pool *pool);
/* rpc_polls_reap takes the votes that came too late, without waiting, and hands them to `take`. */
void rpc_polls_reap(struct rpc_pool *pool, void (*take)(struct rpc_poll *poll, size_t place));

#endif
