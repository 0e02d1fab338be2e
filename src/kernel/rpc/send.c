#include "kernel/rpc/envelope.h"
#include "kernel/rpc/pool.h"

struct phrase {
    const char *words; /* lower case */
    enum rpc_verdict verdict;
};

/*
 * What nodes say about a transaction that they do not take: geth and its children (bsc, op-geth,
 * nitro, coreth, bor), erigon, nethermind, besu, reth, anvil, hardhat, openethereum. The first row
 * that is found decides, so the narrower words stand before the wider ones.
 */
static const struct phrase phrases[] = {
    /* The same bytes are there already. */
    {"already known", RPC_SENT},
    {"alreadyknown", RPC_SENT},
    {"known transaction", RPC_SENT},
    {"already imported", RPC_SENT},
    {"alreadyimported", RPC_SENT},
    {"existing tx with same hash", RPC_SENT},
    {"transaction already exists", RPC_SENT},
    {"already in mempool", RPC_SENT},
    {"already in the pool", RPC_SENT},

    {"nonce too low", RPC_NONCE_TOO_LOW},
    {"nonce is too low", RPC_NONCE_TOO_LOW},
    {"oldnonce", RPC_NONCE_TOO_LOW},
    {"lower than the current nonce", RPC_NONCE_TOO_LOW},
    {"transaction already finalized", RPC_NONCE_TOO_LOW},
    {"already mined", RPC_NONCE_TOO_LOW},

    {"nonce too high", RPC_NONCE_TOO_HIGH},
    {"nonce is too high", RPC_NONCE_TOO_HIGH},
    {"noncegap", RPC_NONCE_TOO_HIGH},
    {"gapped-nonce", RPC_NONCE_TOO_HIGH},
    {"nonce gap", RPC_NONCE_TOO_HIGH},
    {"nonce too far in the future", RPC_NONCE_TOO_HIGH},
    {"nonce too distant", RPC_NONCE_TOO_HIGH},

    {"underpriced", RPC_UNDERPRICED},
    {"could not replace existing tx", RPC_UNDERPRICED},
    {"replacementnotallowed", RPC_UNDERPRICED},
    {"replacement fee too low", RPC_UNDERPRICED},
    {"ownnoncealreadyused", RPC_UNDERPRICED},
    {"another transaction with same nonce", RPC_UNDERPRICED},
    {"another tx which has the same nonce", RPC_UNDERPRICED},
    {"less than block base fee", RPC_UNDERPRICED},
    {"less than the block's base fee", RPC_UNDERPRICED},
    {"too low for the next block", RPC_UNDERPRICED},
    {"below current base fee", RPC_UNDERPRICED},
    {"feetoolow", RPC_UNDERPRICED},
    {"fee too low", RPC_UNDERPRICED},
    {"gas price too low", RPC_UNDERPRICED},
    {"gas price is too low", RPC_UNDERPRICED},
    {"gas price below", RPC_UNDERPRICED},
    {"gas tip cap", RPC_UNDERPRICED},

    {"insufficient funds", RPC_INSUFFICIENT_FUNDS},
    {"insufficientfunds", RPC_INSUFFICIENT_FUNDS},
    {"insufficient balance", RPC_INSUFFICIENT_FUNDS},
    {"upfront cost exceeds", RPC_INSUFFICIENT_FUNDS},
    {"not enough funds", RPC_INSUFFICIENT_FUNDS},
    {"enough funds to send", RPC_INSUFFICIENT_FUNDS},

    /* The transaction may be fine: the node is not. */
    {"pool is full", RPC_TRY_AGAIN},
    {"sub-pool is full", RPC_TRY_AGAIN},
    {"pool full", RPC_TRY_AGAIN},
    {"queue full", RPC_TRY_AGAIN},
    {"too many transactions in the queue", RPC_TRY_AGAIN},
    {"future transaction tries to replace pending", RPC_TRY_AGAIN},
    {"account limit exceeded", RPC_TRY_AGAIN},
    {"in-flight transaction limit", RPC_TRY_AGAIN},
    {"address already reserved", RPC_TRY_AGAIN},
    {"synchronizing", RPC_TRY_AGAIN},
    {"syncing", RPC_TRY_AGAIN},
    {"pool not enabled", RPC_TRY_AGAIN},
    {"lower nonce exists", RPC_TRY_AGAIN},

    /* No node will ever take these bytes. */
    {"intrinsic gas", RPC_REFUSED},
    {"intrinsicgas", RPC_REFUSED},
    {"floor data gas", RPC_REFUSED},
    {"gas is too low", RPC_REFUSED},
    {"block gas limit", RPC_REFUSED},
    {"gas limit too high", RPC_REFUSED},
    {"gaslimitexceeded", RPC_REFUSED},
    {"exceeds max transaction gas limit", RPC_REFUSED},
    {"exceeds current gas limit", RPC_REFUSED},
    {"beyond limit", RPC_REFUSED},
    {"gas uint64 overflow", RPC_REFUSED},
    {"gasuintoverflow", RPC_REFUSED},
    {"int256overflow", RPC_REFUSED},
    {"oversized data", RPC_REFUSED},
    {"maxtxsizeexceeded", RPC_REFUSED},
    {"transaction is too big", RPC_REFUSED},
    {"initcode", RPC_REFUSED},
    {"negative value", RPC_REFUSED},
    {"invalid sender", RPC_REFUSED},
    {"invalid signature", RPC_REFUSED},
    {"invalid transaction v, r, s", RPC_REFUSED},
    {"failedtoresolvesender", RPC_REFUSED},
    {"sender not an eoa", RPC_REFUSED},
    {"senderiscontract", RPC_REFUSED},
    {"chain id", RPC_REFUSED},
    {"chainid", RPC_REFUSED},
    {"replay-protected", RPC_REFUSED},
    {"replay protected", RPC_REFUSED},
    {"type not supported", RPC_REFUSED},
    {"notsupportedtxtype", RPC_REFUSED},
    {"exceeds the configured cap", RPC_REFUSED},
    {"fee cap exceeded", RPC_REFUSED},
    {"priority fee per gas higher than max fee", RPC_REFUSED},
    {"priority fee per gas exceeds max fee", RPC_REFUSED},
    {"nonce has max value", RPC_REFUSED},
    {"decode transaction", RPC_REFUSED},
    {"decode signed transaction", RPC_REFUSED},
    {"rlp", RPC_REFUSED},
    {"typed transaction too short", RPC_REFUSED},
    /* JSON-RPC's own codes: not read as a request, no such method, no such parameters. */
    {"(code -32700)", RPC_REFUSED},
    {"(code -32600)", RPC_REFUSED},
    {"(code -32601)", RPC_REFUSED},
    {"(code -32602)", RPC_REFUSED},
};

static enum rpc_verdict read_words(struct slice said)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (rpc_text_has(said, phrases[i].words)) {
            return phrases[i].verdict;
        }
    }
    return RPC_TRY_AGAIN;
}

enum rpc_verdict rpc_send_verdict(enum err err, const struct why *why)
{
    if (err == OK) {
        return RPC_SENT;
    }
    if (err != ERR_NODE_ERROR) {
        return RPC_TRY_AGAIN; /* nobody has judged the transaction */
    }
    return read_words(slice_text(why->text));
}

/* ---- sending --------------------------------------------------------------------------------- */

static enum err accept_hash(void *ctx, struct arena *arena, size_t index, const struct json *result,
                            struct why *why)
{
    (void)arena;
    const struct slice *raws = ctx;
    struct hash expected = keccak256(raws[index]);
    struct hash got;
    if (result->type != JSON_STRING || hash_parse(result->text, &got) != OK ||
        !hash_equal(&got, &expected)) {
        return why_set(why, ERR_NODE_RESPONSE, NULL,
                       "The node answered a sent transaction with something else than its hash.");
    }
    return OK;
}

static struct slice raw_params(struct arena *arena, struct slice raw)
{
    struct buf text;
    buf_init(&text, arena, 2 * raw.len + 8);
    buf_add_text(&text, "[\"0x");
    buf_add_hex(&text, raw);
    buf_add_text(&text, "\"]");
    return buf_slice(&text);
}

enum err rpc_send_many(struct rpc_pool *pool, struct arena *arena, const struct slice *raws,
                       size_t count, enum rpc_verdict *out, struct why *why_each, struct why *why)
{
    struct rpc_call *calls = arena_alloc_array(arena, count, sizeof(*calls));
    struct slice *sent = arena_alloc_array(arena, count, sizeof(*sent));
    for (size_t i = 0; i < count; i++) {
        sent[i] = raws[i];
        calls[i].method = "eth_sendRawTransaction";
        calls[i].params = raw_params(arena, raws[i]);
    }
    struct rpc_ask ask = {
        .need = RPC_SUBMIT, .calls = calls, .count = count, .accept = accept_hash, .ctx = sent};
    enum err e = rpc_ask_run(pool, arena, &ask, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        out[i] = rpc_send_verdict(calls[i].err, &calls[i].why);
        if (out[i] != RPC_SENT && why_each != NULL) {
            why_each[i] = calls[i].why;
        }
    }
    return e;
}

enum err rpc_send_raw(struct rpc_pool *pool, struct slice raw, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct rpc_call call = {.method = "eth_sendRawTransaction",
                            .params = raw_params(&scratch, raw)};
    struct rpc_ask ask = {
        .need = RPC_SUBMIT, .calls = &call, .count = 1, .accept = accept_hash, .ctx = &raw};
    struct why local = {0};
    enum err e = rpc_ask_one(pool, &scratch, &ask, &local);
    if (e != OK && rpc_send_verdict(e, &local) == RPC_SENT) {
        e = OK;
    }
    if (e != OK && why != NULL) {
        *why = local;
    }
    arena_free(&scratch);
    return e;
}
