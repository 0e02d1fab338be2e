/*
 * leg.h: one exchange with one endpoint, as a machine that does not wait.
 *
 * A leg asks for the endpoint's chain id when that is not known to be right, then makes its calls,
 * then asks for the chain id again when the calls had to open a connection (another process may
 * have taken the port). Each of these is one HTTP request. Whoever has the leg sends the request
 * that rpc_leg_next gives and returns what came of it with rpc_leg_take, until there is no more:
 * alone and waiting (rpc_leg_run), or beside the legs of other endpoints (struct rpc_flight).
 *
 * What a request as a whole did wrong is counted against the endpoint here; what its answers are
 * worth is for the caller to judge.
 */
#ifndef KERNEL_RPC_LEG_H
#define KERNEL_RPC_LEG_H

#include "kernel/rpc/envelope.h"
#include "kernel/rpc/pool.h"

enum rpc_leg_phase {
    RPC_LEG_READY,
    RPC_LEG_CHAIN,
    RPC_LEG_CALLS,
    RPC_LEG_CHAIN_AGAIN,
    RPC_LEG_OVER,
};

struct rpc_leg {
    struct rpc_pool *pool;
    struct rpc_node *node;
    struct arena *arena;
    struct rpc_call **calls; /* filled by the answer */
    size_t count;            /* 0: it is only about the chain id */
    int64_t timeout_usec;    /* of each request; 0: the pool's */
    size_t answer_bytes_max; /* 0: the pool's */
    bool left;               /* nobody moves it for a while: what it takes says nothing */

    enum rpc_leg_phase phase;
    struct rpc_call chain_call;
    uint64_t id;
    int64_t sent_usec;  /* the request under way */
    int64_t asked_usec; /* the calls */
    bool connected;

    /* When it is over. */
    enum err err; /* of the exchange as a whole; each call has its own */
    struct why why;
    enum rpc_shape shape;
    int64_t latency_usec; /* of the calls */
    int64_t retry_after_usec;
};

/* rpc_leg_next gives the request to send; false: the leg is over. */
bool rpc_leg_next(struct rpc_leg *leg, struct net_request *out);
/* rpc_leg_take tells what became of it. */
void rpc_leg_take(struct rpc_leg *leg, enum err err, const struct net_answer *answer,
                  const struct why *why);
/* rpc_leg_run goes through a leg and waits. */
void rpc_leg_run(struct rpc_leg *leg);

/* Legs of several endpoints at once, one of each at most, moved by the thread that waits. */
struct rpc_flight {
    struct net_flight *requests;
    struct rpc_leg *legs[RPC_ENDPOINTS_MAX]; /* by the endpoint's place; NULL: none under way */
    size_t count;                            /* under way */
};

/* rpc_flight_init begins one. Owns: the caller, rpc_flight_clear. */
void rpc_flight_init(struct rpc_flight *flight, struct rpc_pool *pool);
/* rpc_flight_clear breaks off the legs that are under way. */
void rpc_flight_clear(struct rpc_flight *flight);
/* rpc_flight_add sends a leg on its way; it stays where it is until it is over. */
void rpc_flight_add(struct rpc_flight *flight, struct rpc_leg *leg);
/*
 * rpc_flight_wait moves all legs until one is over, for `wait_usec` of real time at most. NULL:
 * none is, or none was under way.
 */
struct rpc_leg *rpc_flight_wait(struct rpc_flight *flight, int64_t wait_usec);

#endif
