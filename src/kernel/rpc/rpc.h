/*
 * rpc.h: talking to EVM nodes.
 *
 * A pool holds the endpoints of one chain in order (primary, fallbacks, backups) and answers each
 * call from the best that is ready: of those of one role from the one that is clearly faster and
 * fails less, if there is one. A transport failure, timeout, 429 or 5xx cools an endpoint down
 * (exponential, Retry-After obeyed) and the call moves on to the next, up to `attempts_max` in all;
 * an error object of the node is an answer and is not retried. Callers state what they need (`enum
 * rpc_need`) instead of naming an endpoint.
 *
 * A read goes to a second endpoint too when the first takes longer than it usually does, and the
 * first good answer counts (`hedge_percent`); what is sent is never sent so. Reads that money
 * depends on (RPC_MONEY) need the same answer from as many endpoints as the quorum, if there is one
 * above 1. With one endpoint, or without either, requests go out one after the other, on the thread
 * of the caller, and in no other order than that of the calls.
 *
 * The chain id of every endpoint is checked before its first use and after each failure; when a
 * request had to open a new connection, it is checked again before that answer is believed. A node
 * of another chain is left alone (ERR_WRONG_CHAIN).
 *
 * A lie is an answer that the chain itself disproves: a header whose hash is another, receipts and
 * transactions that the header does not commit to. The endpoint is named in the log and in the
 * metrics and benched, and the call moves on (ERR_NODE_LIED when there is nobody else). A header
 * that cannot be checked is refused (ERR_NODE_UNKNOWN) unless the pool is `trusted`.
 *
 * A wrong answer (no JSON-RPC, an id that was not asked, a log outside its filter) counts as a
 * failure of the endpoint and the call moves on. Where every endpoint is cooling down, a call waits
 * for the first of them for up to a second, else fails.
 *
 * eth_sendRawTransaction is safe to repeat: "already known" and its vendor variants count as
 * accepted, because the hash of the signed bytes is known beforehand.
 *
 * A budget of calls a second may be set for endpoints: beyond it the next one is asked, and when
 * all have spent theirs, a call waits.
 *
 * Endpoints that disagree: rpc_confirm is how a caller hears what the others think of a block, and
 * rpc_survey how an endpoint that is behind, or further ahead than can be, is left alone. All are
 * asked side by side, and one that hangs is not waited for.
 *
 * Answers are bounded (bytes, depth, nodes). Results live in the caller's arena. Thread safe. Of a
 * URL, sentences and log lines show scheme, host and port only, and what a node says is searched
 * for the rest of its URL before it is repeated.
 */
#ifndef KERNEL_RPC_RPC_H
#define KERNEL_RPC_RPC_H

#include "kernel/base/config.h"
#include "kernel/base/json.h"
#include "kernel/evm/abi.h"
#include "kernel/evm/block.h"
#include "kernel/evm/tx.h"
#include "kernel/net/http_client.h"

#define RPC_ENDPOINTS_MAX 16

struct rpc_pool;

/* rpc_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void rpc_metrics_register(void);

enum rpc_need {
    RPC_ANY,    /* one endpoint's word is enough */
    RPC_MONEY,  /* the same answer from as many endpoints as the pool's quorum, if it has one */
    RPC_SUBMIT, /* never asked of a second endpoint while the first may still answer */
};

enum rpc_role {
    RPC_PRIMARY,
    RPC_FALLBACK,
    RPC_BACKUP,
};

struct rpc_endpoint {
    const char *url; /* http(s)://…; never logged with its path or query (keys hide there) */
    enum rpc_role role;
};

struct rpc_options {
    uint64_t chain_id;
    const struct rpc_endpoint *endpoints;
    size_t endpoint_count;
    int64_t timeout_usec;
    uint32_t attempts_max;
    uint32_t batch_max; /* calls in one HTTP request */
    size_t answer_bytes_max;
    uint32_t rate_max;      /* calls a second that one endpoint is asked; 0: as many as come */
    uint32_t hedge_percent; /* of the calls, that may be asked of a second node; 0: none */
    uint32_t quorum;        /* endpoints that must have a block before it is believed; 0 is 1 */
    bool trusted;           /* headers that cannot be verified are taken all the same */
    bool measured;          /* the process's own pool: its endpoints have metrics by name */
};

/*
 * rpc_pool_new makes a pool; nothing is contacted, `options` is copied. 1 to RPC_ENDPOINTS_MAX
 * endpoints, attempts_max and batch_max at least 1. Owns: the caller, rpc_pool_free.
 */
struct rpc_pool *rpc_pool_new(const struct rpc_options *options);
/* rpc_pool_free frees; NULL is fine. */
void rpc_pool_free(struct rpc_pool *pool);

struct rpc_call {
    const char *method;
    struct slice params;       /* JSON array text */
    bool of_pool;              /* about a node's own pool: no quorum can agree about it */
    bool once;                 /* a quorum that does not agree is not asked again after a moment */
    enum err err;              /* out: of this call alone */
    const struct json *result; /* out: NULL type when the node said null */
    struct why why;            /* out */
    struct slice error_data;   /* out: error.data as bytes when it is hex (revert data) */
    int64_t error_code;        /* out: error.code of the node */
    size_t served_by;          /* out: the endpoint whose answer this is, by its place */
    bool disputed;             /* out: ERR_NODE_UNAVAILABLE because the nodes answer differently */
};

/*
 * rpc_call_one makes one call. Owns: the result lives in the arena.
 * Errors: ERR_NODE_UNAVAILABLE, ERR_NODE_TIMEOUT, ERR_NODE_RATE_LIMITED, ERR_NODE_RESPONSE,
 * ERR_NODE_ERROR, ERR_REVERTED (node error with revert data or code 3), ERR_WRONG_CHAIN.
 */
enum err rpc_call_one(struct rpc_pool *pool, struct arena *arena, enum rpc_need need,
                      struct rpc_call *call, struct why *why) ERR_CHECKED;

/*
 * rpc_call_many sends `count` calls in batches; each has its own err. Returns an error only when
 * nothing could be asked.
 */
enum err rpc_call_many(struct rpc_pool *pool, struct arena *arena, enum rpc_need need,
                       struct rpc_call *calls, size_t count, struct why *why) ERR_CHECKED;

/*
 * rpc_chain_id asks eth_chainId of every endpoint and compares, then surveys them. Errors:
 * ERR_WRONG_CHAIN, …
 */
enum err rpc_chain_id(struct rpc_pool *pool, uint64_t *out, struct why *why) ERR_CHECKED;
/*
 * rpc_block_number asks eth_blockNumber. Of several endpoints, a number that is far beyond what
 * they had a moment ago is held against what they have now.
 */
enum err rpc_block_number(struct rpc_pool *pool, uint64_t *out, struct why *why) ERR_CHECKED;
/*
 * rpc_header asks eth_getBlockByNumber without transactions and verifies the hash. Errors:
 * ERR_NOT_FOUND when the node has no such block; ERR_NODE_RESPONSE, ERR_NODE_LIED,
 * ERR_NODE_UNKNOWN.
 */
enum err rpc_header(struct rpc_pool *pool, struct arena *arena, uint64_t number,
                    struct evm_header *out, struct why *why) ERR_CHECKED;
/* rpc_headers asks for `count` consecutive headers in one batch; stops at the first missing one. */
enum err rpc_headers(struct rpc_pool *pool, struct arena *arena, uint64_t first, size_t count,
                     struct evm_header *out, size_t *out_count, struct why *why) ERR_CHECKED;

/*
 * rpc_confirm asks all endpoints that are ready whether the block of that number has that hash.
 * OK when as many as the quorum say so and no larger group has another one; between groups of one
 * size that with the endpoint that stands first in the configuration counts. An endpoint that is
 * alone with its view three times in a row is on a fork: it is benched as for a lie. A pool of one
 * endpoint without a quorum is not asked. Errors: ERR_NODE_LIED (the block is another for most),
 * ERR_NODE_UNAVAILABLE (too few have it at the moment).
 */
enum err rpc_confirm(struct rpc_pool *pool, uint64_t number, const struct hash *hash,
                     struct why *why) ERR_CHECKED;
/*
 * rpc_survey asks all endpoints for their newest blocks, every two seconds at most, and now and
 * then what else they know. One that is several blocks behind another is asked nothing while that
 * one is ready; nor is one whose blocks beyond those of most cannot have been made in their time.
 */
void rpc_survey(struct rpc_pool *pool);

/*
 * rpc_tagged_block asks for the number of the block that a tag names ("safe", "finalized").
 * *out_known is false when the node does not know the tag, or has no such block yet. Errors: as
 * rpc_call_one.
 */
enum err rpc_tagged_block(struct rpc_pool *pool, const char *tag, uint64_t *out, bool *out_known,
                          struct why *why) ERR_CHECKED;

struct rpc_log_filter {
    uint64_t from_block;
    uint64_t to_block;
    const struct hash *block_hash; /* NULL, or the one block of the range, whatever fork it is on */
    const struct address *addresses;
    size_t address_count; /* 0: any */
    const struct hash *topics0;
    size_t topic0_count; /* 0: any */
};

/*
 * rpc_logs asks eth_getLogs and checks that each log belongs to the filter and that (block, index)
 * ascend without duplicates. Owns: the arena. Errors: ERR_LIMIT when the node refuses a range of
 * several blocks or its answer is too large (ask for fewer blocks: node vendors word this in many
 * ways, so no words are looked at), ERR_NODE_RESPONSE, …
 */
enum err rpc_logs(struct rpc_pool *pool, struct arena *arena, const struct rpc_log_filter *filter,
                  struct evm_log **out, size_t *out_count, struct why *why) ERR_CHECKED;

/*
 * rpc_proven_logs gives the logs of some addresses (sorted) in the blocks of verified headers, in
 * order. Each is proven: the receipts of its block have the root of the header, and so do the
 * transactions that its hash is of. Blocks are asked for by hash, so an answer from another fork is
 * none. Receipts come from eth_getBlockReceipts, or one by one where a node lacks that. What is
 * held at once is bounded by the gas of the blocks. Owns: the arena. Errors: ERR_NODE_LIED,
 * ERR_NODE_UNKNOWN, ERR_NODE_RESPONSE, ERR_LIMIT (one block's answer is too large), …
 */
enum err rpc_proven_logs(struct rpc_pool *pool, struct arena *arena,
                         const struct evm_header *const *headers, size_t count,
                         const struct address *addresses, size_t address_count,
                         struct evm_log **out, size_t *out_count, struct why *why) ERR_CHECKED;

/*
 * rpc_eth_call runs eth_call; RPC_MONEY where something is paid, or becomes true, by its result.
 * `block` NULL: latest. Errors: ERR_REVERTED with data in out_revert.
 */
enum err rpc_eth_call(struct rpc_pool *pool, struct arena *arena, enum rpc_need need,
                      const struct address *from, const struct address *to, struct slice data,
                      const uint64_t *block, struct slice *out, struct slice *out_revert,
                      struct why *why) ERR_CHECKED;
/*
 * rpc_estimate_gas runs eth_estimateGas at latest; `to` NULL creates a contract. Errors:
 * ERR_REVERTED with data in out_revert.
 */
enum err rpc_estimate_gas(struct rpc_pool *pool, struct arena *arena, const struct address *from,
                          const struct address *to, struct wei_amount value, struct slice data,
                          uint64_t *out_gas, struct slice *out_revert, struct why *why) ERR_CHECKED;
/*
 * rpc_nonce asks eth_getTransactionCount at "latest" (of a quorum) or "pending" (which each node
 * has an own view of).
 */
enum err rpc_nonce(struct rpc_pool *pool, const struct address *account, bool pending,
                   uint64_t *out, struct why *why) ERR_CHECKED;
/* rpc_balance asks eth_getBalance at latest, of a quorum. */
enum err rpc_balance(struct rpc_pool *pool, const struct address *account, struct wei_amount *out,
                     struct why *why) ERR_CHECKED;
/* rpc_code asks eth_getCode at latest. Owns: the arena. */
enum err rpc_code(struct rpc_pool *pool, struct arena *arena, const struct address *account,
                  struct slice *out, struct why *why) ERR_CHECKED;

/* rpc_storage asks eth_getStorageAt at latest for one slot of a contract. */
enum err rpc_storage(struct rpc_pool *pool, struct arena *arena, const struct address *account,
                     const struct hash *slot, struct hash *out, struct why *why) ERR_CHECKED;

/* What tells whether a node is of use, beside its answers to the calls above. */
struct rpc_condition {
    bool syncing;
    uint64_t head;
    int64_t head_usec;    /* time of the newest block */
    struct why finalized; /* err OK: the tag is known */
    struct why receipts;  /* err OK: eth_getBlockReceipts is answered */
};

/*
 * rpc_condition_read asks eth_syncing, the newest block, "finalized" and eth_getBlockReceipts. A
 * node may not know the last two, which is no error. Errors: as rpc_call_one.
 */
enum err rpc_condition_read(struct rpc_pool *pool, struct rpc_condition *out,
                            struct why *why) ERR_CHECKED;

struct rpc_fees {
    bool eip1559;                    /* false: the chain has no base fee */
    struct wei_amount base_fee_next; /* of the next block */
    struct wei_amount priority;      /* median of recent rewards, or the node's suggestion */
    struct wei_amount gas_price;     /* eth_gasPrice, for legacy chains */
    uint64_t gas_limit;              /* of the newest block: no transaction may ask for more */
};

/* rpc_fees_read reads eth_feeHistory (fallback: header and eth_gasPrice). */
enum err rpc_fees_read(struct rpc_pool *pool, struct rpc_fees *out, struct why *why) ERR_CHECKED;

/*
 * rpc_send_raw broadcasts signed bytes. OK when a node took it or knew it already. Errors:
 * ERR_NODE_ERROR with the node's words (classify with rpc_send_verdict), transport errors.
 */
enum err rpc_send_raw(struct rpc_pool *pool, struct slice raw, struct why *why) ERR_CHECKED;

enum rpc_verdict {
    RPC_SENT,           /* accepted or already known */
    RPC_NONCE_TOO_LOW,  /* this nonce is mined: ours or somebody's */
    RPC_NONCE_TOO_HIGH, /* node refuses a gap */
    RPC_UNDERPRICED,    /* fee below the node's minimum, or replacement bump too small */
    RPC_INSUFFICIENT_FUNDS,
    RPC_REFUSED,   /* malformed or over a limit: the same bytes will never pass */
    RPC_TRY_AGAIN, /* transport or overload */
};

/*
 * rpc_send_verdict reads what became of a send from its error and its sentence (the node's words).
 * Words that nobody knows mean RPC_TRY_AGAIN: giving up on bytes that a node may have taken would
 * be the dearer mistake.
 */
enum rpc_verdict rpc_send_verdict(enum err err, const struct why *why);

/* rpc_send_many broadcasts several signed transactions in one batch, with a verdict each. */
enum err rpc_send_many(struct rpc_pool *pool, struct arena *arena, const struct slice *raws,
                       size_t count, enum rpc_verdict *out, struct why *why_each,
                       struct why *why) ERR_CHECKED;

/*
 * rpc_receipt asks for one receipt, of a quorum; *out_found false when it is not mined, or not the
 * same at enough nodes.
 */
enum err rpc_receipt(struct rpc_pool *pool, struct arena *arena, const struct hash *tx,
                     struct evm_receipt *out, bool *out_found, struct why *why) ERR_CHECKED;
/* rpc_receipts asks for several in one batch. */
enum err rpc_receipts(struct rpc_pool *pool, struct arena *arena, const struct hash *txs,
                      size_t count, struct evm_receipt *out, bool *out_found,
                      struct why *why) ERR_CHECKED;

/* rpc_health appends
 * {"endpoints":[{"url","role","healthy","failures","latencyUsec","latencyP95Usec","head","behind",
 * "ahead","lies","batchMax","blockReceipts","finalizedTag","safeTag","logRangeTaken",
 * "logRangeRefused"}]} members; what is not known yet is null. */
void rpc_health(struct rpc_pool *pool, struct json_out *j);

#endif
