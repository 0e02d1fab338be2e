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
#include "kernel/rpc/latency.h"
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
    RPC_METRIC_HEDGES_WON,
    RPC_METRIC_HEDGES_LOST,
    RPC_METRIC_DISPUTES,
    RPC_METRIC_HEADS_BACK,
    RPC_METRIC_HEADS_AHEAD,
    RPC_METRIC_SECONDS,
    RPC_METRIC_COUNT
};

/* What an endpoint may know or not, beside what every one must. */
enum rpc_can {
    RPC_CAN_RECEIPTS,  /* eth_getBlockReceipts */
    RPC_CAN_FINALIZED, /* the block tag "finalized" */
    RPC_CAN_SAFE,      /* the block tag "safe" */
    RPC_CAN_COUNT
};

enum rpc_knows {
    RPC_UNKNOWN,
    RPC_YES,
    RPC_NO,
};

extern struct metric_value rpc_metrics[RPC_METRIC_COUNT];
extern const char *const rpc_lie_names[RPC_LIE_COUNT];

/* What is counted of each endpoint by name. */
enum rpc_measure {
    RPC_MEASURE_SECONDS,
    RPC_MEASURE_FAILURES,
    RPC_MEASURE_HEDGES,
    RPC_MEASURE_READY,
    RPC_MEASURE_HEAD,
    RPC_MEASURE_APART,
    RPC_MEASURE_COUNT
};

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
    int64_t head_sec;        /* the time of that block */
    uint64_t head_before;    /* what it said last, whenever that was */
    bool behind;             /* the others then: asked when nobody else is ready */
    bool ahead;              /* further than can be; likewise */
    char last_lie[WHY_TEXT_MAX];
    uint32_t failures; /* in a row */
    enum err last_err;
    struct rpc_latency latency[2]; /* of single calls, and of batches */
    uint32_t failing_per_mille;    /* of its requests lately */
    enum rpc_knows can[RPC_CAN_COUNT];
    int64_t can_usec[RPC_CAN_COUNT]; /* when that was found out */
    uint64_t log_range_taken;        /* longest range of eth_getLogs that it answered; 0: none */
    uint64_t log_range_refused;      /* shortest one that it refused since; 0: none */
    uint32_t races_lost;             /* in a row, to a second node that was asked too */
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
    _Atomic int64_t doubted_usec; /* when a head was looked after because of its number */
    size_t preferred[3];          /* by role: the endpoint that is asked first; under the lock */
    int64_t hedge_credit;         /* hundredths of calls that may be made twice; under the lock */
    struct rpc_poll *late;        /* questions to some that nobody waits for; under the lock */
    uint64_t reached;             /* block that most had when last surveyed; 0: unknown; likewise */
    uint64_t pace_block; /* a block that was `reached` before, and its time, by which … */
    int64_t pace_sec;    /* … the time between two blocks is told; likewise */
    _Atomic int64_t explored_usec; /* when the endpoints were last asked what they know */
};

/* rpc_node_pick finds the first endpoint that may be asked now and is not in the bit set
 * `excluded`, waiting up to a second for one. Errors: the last failure of the one that is ready
 * first, or ERR_NODE_UNAVAILABLE.
 */
enum err rpc_node_pick(struct rpc_pool *pool, uint64_t excluded, struct rpc_node **out,
                       struct why *why) ERR_CHECKED;
/*
 * rpc_node_ready is that without waiting, and of those that are not apart from the others: NULL
 * when there is none. Called with the lock held.
 */
struct rpc_node *rpc_node_ready(struct rpc_pool *pool, uint64_t excluded, int64_t now);
/* rpc_node_failed cools an endpoint down after a request that began at `started_usec`. */
void rpc_node_failed(struct rpc_pool *pool, struct rpc_node *node, enum err err,
                     int64_t started_usec, int64_t retry_after_usec);
/*
 * rpc_node_lied benches an endpoint: it is not asked for a minute, twice as long each further time,
 * up to an hour, and named in the log and in the metrics by what it lied about.
 */
void rpc_node_lied(struct rpc_pool *pool, struct rpc_node *node, enum rpc_lie lie,
                   const struct why *why);
/* rpc_node_spend takes calls from an endpoint's budget. */
void rpc_node_spend(struct rpc_pool *pool, struct rpc_node *node, size_t calls);
/* rpc_node_worked makes an endpoint healthy, which answered so many calls at once in that time. */
void rpc_node_worked(struct rpc_pool *pool, struct rpc_node *node, size_t calls,
                     int64_t latency_usec);
/* rpc_node_is_apart says that an endpoint is behind or ahead of the others. */
static inline bool rpc_node_is_apart(const struct rpc_node *node)
{
    return node->behind || node->ahead;
}
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

/* rpc_pool_lock guards what is marked so above; never while asking. */
void rpc_pool_lock(struct rpc_pool *pool);
/* rpc_pool_unlock ends that. */
void rpc_pool_unlock(struct rpc_pool *pool);

/* ---- metrics by endpoint ---- */

/* rpc_measure_register makes the endpoints part of /metrics; one pool of a process at most. */
void rpc_measure_register(const struct rpc_pool *pool);
/* rpc_measure_request notes the time that a request took. */
void rpc_measure_request(const struct rpc_pool *pool, const struct rpc_node *node, int64_t usec);
/* rpc_measure_add adds one to a counter. */
void rpc_measure_add(const struct rpc_pool *pool, const struct rpc_node *node,
                     enum rpc_measure measure);
/* rpc_measure_set sets a gauge. */
void rpc_measure_set(const struct rpc_pool *pool, const struct rpc_node *node,
                     enum rpc_measure measure, int64_t value);
/* rpc_measure_lie counts a lie. */
void rpc_measure_lie(const struct rpc_pool *pool, const struct rpc_node *node, enum rpc_lie lie);

/* ---- hedging, and who is preferred (hedge.c) ---- */

struct rpc_leg;

/* rpc_hedge_init gives the first credit. */
void rpc_hedge_init(struct rpc_pool *pool);
/* rpc_hedge_earn says whether a read may be hedged at all, and earns its part of a hedge. */
bool rpc_hedge_earn(struct rpc_pool *pool, size_t calls);
/* rpc_hedge_delay tells how long the node is waited for alone. */
int64_t rpc_hedge_delay(struct rpc_pool *pool, const struct rpc_node *node, size_t calls);
/* rpc_hedge_take pays for a hedge and names the second node; NULL: no credit, or nobody ready. */
struct rpc_node *rpc_hedge_take(struct rpc_pool *pool, const struct rpc_node *first,
                                uint64_t excluded, size_t calls);
/* rpc_hedge_over tells who was first: `won` is the second node. */
void rpc_hedge_over(struct rpc_pool *pool, bool won, const struct rpc_leg *first);
/* rpc_node_score compares endpoints: less is better, 0 too little is known. Lock held. */
int64_t rpc_node_score(const struct rpc_node *node);
/* rpc_prefer looks whether another endpoint of the same role is to be preferred. Lock held. */
void rpc_prefer(struct rpc_pool *pool, const struct rpc_node *node);

/* ---- what endpoints can do (capability.c) ---- */

/* rpc_node_note notes whether an endpoint knows something. */
void rpc_node_note(struct rpc_pool *pool, struct rpc_node *node, enum rpc_can what, bool knows);
/* rpc_nodes_without gives the endpoints (bits) of which it was found lately that they do not. */
uint64_t rpc_nodes_without(struct rpc_pool *pool, enum rpc_can what);
/* rpc_node_note_range notes that a range of logs was answered, or refused. */
void rpc_node_note_range(struct rpc_pool *pool, struct rpc_node *node, uint64_t blocks, bool taken);
/* rpc_capability_write appends what is known of an endpoint as members of an object. */
void rpc_capability_write(const struct rpc_node *node, struct json_out *j);

/* ---- polls (agree.c) ---- */

/*
 * rpc_head_believed gives the newest block to go by, when the endpoint at `place` says `number`: a
 * number that no endpoint has a block of, itself included, counts as a wrong answer.
 */
uint64_t rpc_head_believed(struct rpc_pool *pool, size_t place, uint64_t number);
/* rpc_polls_free breaks off the questions that nobody waits for. */
void rpc_polls_free(struct rpc_pool *pool);

/* ---- asking ---- */

/* rpc_is_of_answer says that an error is about this answer: another node may give a better one. */
bool rpc_is_of_answer(enum err e);

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
    uint64_t avoid;       /* bits of endpoints that are asked when no other one is ready */
    int64_t timeout_usec; /* 0: the pool's */
};

/* rpc_header_params are those of a question for a header; `number` NULL: the newest. */
struct slice rpc_header_params(struct arena *arena, const uint64_t *number);
/* rpc_header_read reads and verifies the answer. Errors: as rpc_header. */
enum err rpc_header_read(const struct rpc_pool *pool, struct arena *scratch, const uint64_t *number,
                         const struct json *result, struct evm_header *out,
                         struct why *why) ERR_CHECKED;

/* rpc_ask_run makes the calls. Errors: as rpc_call_many. */
enum err rpc_ask_run(struct rpc_pool *pool, struct arena *arena, const struct rpc_ask *ask,
                     struct why *why) ERR_CHECKED;
/*
 * rpc_ask_quorum is that with the same answer from as many nodes as the quorum, for RPC_MONEY. An
 * answer that is refused by `accept` is the call's outcome. Errors of a call, beside those of its
 * answer: ERR_NODE_UNAVAILABLE (too few answered, or they do not agree).
 */
enum err rpc_ask_quorum(struct rpc_pool *pool, struct arena *arena, const struct rpc_ask *ask,
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
