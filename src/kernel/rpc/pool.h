/*
 * pool.h: the endpoints of one chain and their health; the engine that calls them.
 *
 * An endpoint is asked only while it is not cooling down and its chain id was found right since its
 * last failure. Cool-down starts at 100 ms (500 ms when the node limits us), doubles with each
 * failure in a row up to 30 s, and is never shorter than the node's Retry-After (up to 5 minutes).
 * A request that began before the cool-down started does not lengthen it, so ten threads that
 * fail together count once. One success makes the endpoint healthy again.
 *
 * An endpoint whose answer the chain disproved is benched: it is not asked at all for a minute at
 * least, also when it is the only one.
 *
 * Threads: the mutable part of an endpoint is guarded by the pool's lock, which is never held while
 * a request is running.
 */
#ifndef KERNEL_RPC_POOL_H
#define KERNEL_RPC_POOL_H

#include <pthread.h>
#include <stdatomic.h>

#include "kernel/base/metric.h"
#include "kernel/rpc/rpc.h"

/* What an answer was about that the chain itself disproves. */
enum rpc_lie {
    RPC_LIE_HEADER,       /* the header's hash is another */
    RPC_LIE_RECEIPTS,     /* receipts or logs that the header does not commit to */
    RPC_LIE_TRANSACTIONS, /* transactions that it does not commit to */
    RPC_LIE_FORK,         /* again and again other blocks than most nodes have */
    RPC_LIE_COUNT
};

enum rpc_metric {
    RPC_METRIC_REQUESTS,
    RPC_METRIC_FAILURES,
    RPC_METRIC_TIMEOUTS,
    RPC_METRIC_RATE_LIMITED,
    RPC_METRIC_RETRIES,
    RPC_METRIC_WRONG_ANSWERS,
    RPC_METRIC_WRONG_CHAIN,
    RPC_METRIC_UNVERIFIED_HEADERS,
    RPC_METRIC_LIES, /* and as many as there are kinds of lies */
    RPC_METRIC_LIES_LAST = RPC_METRIC_LIES + RPC_LIE_COUNT - 1,
    RPC_METRIC_SECONDS,
    RPC_METRIC_COUNT
};

extern struct metric_value rpc_metrics[RPC_METRIC_COUNT];

struct rpc_node {
    const char *url;
    char origin[NET_ORIGIN_MAX];
    enum rpc_role role;
    /* The parts of the URL behind the origin that may be keys; blotted out of what nodes say. */
    struct slice *secrets;
    size_t secret_count;

    /* Guarded by the pool's lock. */
    bool chain_right;
    int64_t chain_checked_usec;
    int64_t cooled_usec;        /* when the present cool-down began */
    int64_t spent_until_usec;   /* when its budget allows for the last call so far */
    int64_t cool_until_usec;    /* 0: healthy */
    int64_t benched_until_usec; /* for a lie; no success ends it earlier */
    uint32_t lies[RPC_LIE_COUNT];
    uint32_t disagreed;      /* in a row, with most others about a block */
    int64_t vote_after_usec; /* it did not answer in time: not asked what it thinks until then */
    uint64_t head;           /* its newest block when all were last surveyed; 0: it did not say */
    bool behind;             /* the others then: asked when nobody else is ready */
    char last_lie[WHY_TEXT_MAX];
    uint32_t failures; /* in a row */
    enum err last_err;
    int64_t latency_usec; /* moving average; 0: none yet */
    uint32_t batch_max;
};

struct rpc_pool {
    struct rpc_options options; /* its endpoints are in `nodes` */
    struct arena boot;
    struct rpc_node *nodes; /* primary first */
    size_t count;
    struct net_client *client;
    pthread_mutex_t lock;
    _Atomic uint64_t next_id;
    _Atomic int64_t surveyed_usec;
    _Atomic int64_t singles_until_usec; /* receipts are asked for one by one until then */
};

/* rpc_node_pick finds the first endpoint that may be asked now and is not in the bit set
 * `excluded`, waiting up to a second for one. Errors: the last failure of the one that is ready
 * first, or ERR_NODE_UNAVAILABLE.
 */
enum err rpc_node_pick(struct rpc_pool *pool, uint64_t excluded, struct rpc_node **out,
                       struct why *why) ERR_CHECKED;
/* rpc_node_failed cools an endpoint down after a request that began at `started_usec`. */
void rpc_node_failed(struct rpc_pool *pool, struct rpc_node *node, enum err err,
                     int64_t started_usec, int64_t retry_after_usec);
/*
 * rpc_node_lied benches an endpoint: it is not asked for a minute, twice as long each further time,
 * up to an hour, and named in the log and in the metrics by what it lied about.
 */
void rpc_node_lied(struct rpc_pool *pool, struct rpc_node *node, enum rpc_lie lie,
                   const struct why *why);
/* rpc_lies_register makes each endpoint's lies part of /metrics; one pool of a process at most. */
void rpc_lies_register(const struct rpc_pool *pool);
/* rpc_node_spend takes calls from an endpoint's budget. */
void rpc_node_spend(struct rpc_pool *pool, struct rpc_node *node, size_t calls);
/* rpc_node_worked makes an endpoint healthy. */
void rpc_node_worked(struct rpc_pool *pool, struct rpc_node *node, int64_t latency_usec);
/* rpc_node_chain_known says whether the chain id was checked, not longer ago than `age_usec`. */
bool rpc_node_chain_known(struct rpc_pool *pool, const struct rpc_node *node, int64_t age_usec);
/* rpc_node_set_chain_right notes that the endpoint serves the right chain. */
void rpc_node_set_chain_right(struct rpc_pool *pool, struct rpc_node *node);
/* rpc_node_batch_max tells how many calls the endpoint takes at once. */
uint32_t rpc_node_batch_max(struct rpc_pool *pool, const struct rpc_node *node);
/* rpc_node_limit_batch remembers that it takes no more than `max`. */
void rpc_node_limit_batch(struct rpc_pool *pool, struct rpc_node *node, uint32_t max);
/*
 * rpc_node_finish_why overwrites the endpoint's secrets in a sentence that may quote the node, and
 * names the endpoint when its answer was wrong.
 */
void rpc_node_finish_why(const struct rpc_node *node, enum err err, struct why *why);

/* rpc_node_check_chain asks eth_chainId and cools a node of another chain down. */
enum err rpc_node_check_chain(struct rpc_pool *pool, struct rpc_node *node,
                              struct why *why) ERR_CHECKED;

/*
 * A set of calls with a check of each result. `accept` reads a result; ERR_NODE_RESPONSE from it
 * means that the node answered something wrong, ERR_NODE_LIED that it benched itself,
 * ERR_NODE_UNKNOWN that the answer cannot be checked: the call moves on to another endpoint; any
 * other error is the call's outcome.
 */
struct rpc_ask {
    enum rpc_need need;
    struct rpc_call *calls;
    size_t count;
    enum err (*accept)(void *ctx, struct arena *arena, size_t index, const struct json *result,
                       struct why *why);
    void *ctx;
    enum rpc_lie lie;     /* what ERR_NODE_LIED from `accept` is about */
    int64_t timeout_usec; /* 0: the pool's */
};

/*
 * rpc_ask_at makes the calls at one endpoint, once, however it fares. Errors: of the request as a
 * whole; each call has its own.
 */
enum err rpc_ask_at(struct rpc_pool *pool, struct arena *arena, const struct rpc_ask *ask,
                    struct rpc_node *node, struct why *why) ERR_CHECKED;
/*
 * rpc_header_at asks one endpoint for a header and verifies it; `number` NULL: the newest. Errors:
 * as rpc_header.
 */
enum err rpc_header_at(struct rpc_pool *pool, struct rpc_node *node, const uint64_t *number,
                       int64_t timeout_usec, struct evm_header *out, struct why *why) ERR_CHECKED;

/* rpc_ask_run makes the calls. Errors: as rpc_call_many. */
enum err rpc_ask_run(struct rpc_pool *pool, struct arena *arena, const struct rpc_ask *ask,
                     struct why *why) ERR_CHECKED;
/* rpc_ask_one makes one call with a check and returns its outcome. */
enum err rpc_ask_one(struct rpc_pool *pool, struct arena *arena, const struct rpc_ask *ask,
                     struct why *why) ERR_CHECKED;

/* rpc_read_u64 reads a quantity. Errors: ERR_NODE_RESPONSE. */
enum err rpc_read_u64(const struct json *v, uint64_t *out, struct why *why) ERR_CHECKED;
/* rpc_read_u256 reads a quantity. Errors: ERR_NODE_RESPONSE. */
enum err rpc_read_u256(const struct json *v, struct u256 *out, struct why *why) ERR_CHECKED;
/* rpc_read_bytes reads hex bytes into the arena. Errors: ERR_NODE_RESPONSE. */
enum err rpc_read_bytes(struct arena *arena, const struct json *v, struct slice *out,
                        struct why *why) ERR_CHECKED;

#endif
