/*
 * stream.h: hearing of new blocks at once, over a WebSocket: eth_subscribe "newHeads".
 *
 * What a stream says is a reason to look, nothing more: no row, no header and no depth is taken
 * from it. Heads may come late, twice, in any order, of another fork, or never: whoever listens
 * asks the nodes of the pool and verifies what they say, and keeps asking now and then when nothing
 * is heard. So a stream that lies or breaks costs time, never a row.
 *
 * One connection at a time, to the first endpoint (in the order of the configuration) that is not
 * cooling down; cool-down starts at 100 ms and doubles up to 30 s. While a later endpoint serves,
 * the earlier ones are tried again every minute, and taken before the later one is let go. An
 * endpoint is left when
 *   - its chain id is another (asked on each connection, before the subscription),
 *   - it says something that is no JSON-RPC, more than 10,000 messages in a second, or one of more
 *     than a megabyte,
 *   - it is silent and does not answer a ping: STREAM_DEAD_USEC after it was last heard, which is
 * how a connection is noticed that ended without a word,
 *   - it is alive and says nothing: rpc_stream_seen told of a block two seconds ago, and the stream
 *     has not.
 *
 * Threads: one of its own between start and stop; `told` is called from it. All else from any.
 * Sentences and log lines show scheme, host and port of a URL, and nothing that a node said.
 */
#ifndef KERNEL_RPC_STREAM_H
#define KERNEL_RPC_STREAM_H

#include "kernel/rpc/rpc.h"

/* So long after it was last heard an endpoint that answers no ping is given up. */
#define STREAM_DEAD_USEC (2500 * (int64_t)1000)

struct rpc_stream;

struct rpc_stream_options {
    uint64_t chain_id;
    const char *const *urls;                  /* ws(s)://…, primary first; copied */
    size_t url_count;                         /* 1 to RPC_ENDPOINTS_MAX */
    int64_t timeout_usec;                     /* of connecting, and of each answer */
    void (*told)(void *ctx, uint64_t number); /* a head was heard of; must not wait */
    void *ctx;
};

/* rpc_stream_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void rpc_stream_metrics_register(void);

/* rpc_stream_new makes a stream that is not started. Owns: the caller, rpc_stream_free. */
struct rpc_stream *rpc_stream_new(const struct rpc_stream_options *options);
/* rpc_stream_start begins to listen; one that listens goes on. Errors: ERR_INTERNAL (no thread). */
enum err rpc_stream_start(struct rpc_stream *stream, struct why *why) ERR_CHECKED;
/* rpc_stream_stop ends listening, within about a second; it may be started again. NULL is fine. */
void rpc_stream_stop(struct rpc_stream *stream);
/* rpc_stream_free frees a stopped stream; NULL is fine. */
void rpc_stream_free(struct rpc_stream *stream);

/* rpc_stream_seen tells the newest block that the nodes of the pool have; NULL is fine. */
void rpc_stream_seen(struct rpc_stream *stream, uint64_t number);
/*
 * rpc_stream_is_live says whether heads can be expected from it: it is subscribed, and not known to
 * have missed one. False for NULL.
 */
bool rpc_stream_is_live(struct rpc_stream *stream);
/*
 * rpc_stream_health writes the member "stream" of the open object:
 * {"connected","url","head","headAgeMsec","failures"}; null for NULL.
 */
void rpc_stream_health(struct rpc_stream *stream, struct json_out *j);

/* ---- messages, as bytes (stream_message.c) ---- */

struct rpc_stream_message {
    bool is_answer; /* to a request of ours, else a notification of a head */
    uint64_t number;
    struct hash hash;
    struct slice subscription; /* in the arena */
};

/*
 * rpc_stream_message_read reads a notification of eth_subscribe, or sees that it is an answer,
 * which rpc_envelope_read reads. Errors: ERR_NODE_RESPONSE.
 */
enum err rpc_stream_message_read(struct arena *arena, struct slice text,
                                 struct rpc_stream_message *out, struct why *why) ERR_CHECKED;

#endif
