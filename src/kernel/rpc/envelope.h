/*
 * envelope.h: JSON-RPC 2.0 requests and answers as bytes, without a network.
 *
 * One call is sent as an object, several as an array. Answers are matched by id only; the order of
 * a batch's answers means nothing. The parser is strict, because an answer that is accepted for the
 * wrong question becomes a wrong row: "jsonrpc" must be "2.0", the id a number that was asked,
 * once, and exactly one of result and error must be there (a null beside the other is let pass,
 * several nodes write it).
 *
 * Pure functions: no clock, no lock, no state.
 */
#ifndef KERNEL_RPC_ENVELOPE_H
#define KERNEL_RPC_ENVELOPE_H

#include "kernel/rpc/rpc.h"

enum rpc_shape {
    RPC_SHAPE_ANSWERS,       /* each call has its err */
    RPC_SHAPE_NO_BATCHES,    /* one error object for a whole batch: the node takes single calls */
    RPC_SHAPE_SMALLER_BATCH, /* an array of one error for a whole batch: too many calls in it */
};

/* rpc_envelope_write appends the request; call i has the id first_id + i. */
void rpc_envelope_write(struct buf *out, struct rpc_call *const *calls, size_t count,
                        uint64_t first_id);

/*
 * rpc_envelope_read reads the answer to that request and fills the calls (err, result, why,
 * error_data, error_code); a call without its own proper answer gets ERR_NODE_RESPONSE. The calls
 * are untouched unless *out_shape is RPC_SHAPE_ANSWERS. Owns: results live in the arena.
 * Errors: ERR_NODE_RESPONSE (no JSON-RPC at all), ERR_NODE_RATE_LIMITED (said of the whole batch).
 */
enum err rpc_envelope_read(struct arena *arena, struct slice body, size_t bytes_max,
                           struct rpc_call *const *calls, size_t count, uint64_t first_id,
                           enum rpc_shape *out_shape, struct why *why) ERR_CHECKED;

/* rpc_text_has says whether `text` contains `part` (lower case), in any case. */
bool rpc_text_has(struct slice text, const char *part);

#endif
