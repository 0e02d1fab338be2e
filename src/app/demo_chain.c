#include "app/demo.h"
#include "gen/abi_test_stablecoin.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/chain/chain.h"

#define WAIT_USEC_MAX (30 * (int64_t)USEC_PER_SEC)

enum err demo_call(struct demo *demo, const struct address *to, struct slice data,
                   struct slice *out, struct why *why)
{
    struct slice revert = SLICE_EMPTY;
    return rpc_eth_call(demo->rpc, &demo->arena, RPC_ANY, NULL, to, data, NULL, out, &revert, why);
}

enum err demo_token_balance(struct demo *demo, const struct address *token,
                            const struct address *holder, struct u256 *out, struct why *why)
{
    struct slice call = SLICE_EMPTY;
    struct slice answer = SLICE_EMPTY;
    enum err e = test_stablecoin_balance_of_encode(&demo->arena, holder, &call, why);
    if (e == OK) {
        e = demo_call(demo, token, call, &answer, why);
    }
    if (e == OK && answer.len != U256_BYTES) {
        e = why_set(why, ERR_INVALID_ENCODING, NULL, "balanceOf did not answer one word");
    }
    return e == OK ? u256_decode_be(answer, out) : e;
}

static enum err await_receipt(struct demo *demo, const struct hash *hash, const char *purpose,
                              struct why *why)
{
    int64_t deadline = clock_mono_usec() + WAIT_USEC_MAX;
    bool found = false;
    struct evm_receipt receipt;
    while (!found) {
        enum err e = demo_check_signal(why);
        if (e == OK) {
            e = rpc_receipt(demo->rpc, &demo->arena, hash, &receipt, &found, why);
        }
        if (e != OK) {
            return e;
        }
        if (!found && clock_mono_usec() > deadline) {
            return why_set(why, ERR_NODE_TIMEOUT, NULL, "%s was not mined within 30 s", purpose);
        }
        if (!found) {
            clock_sleep_usec(2000);
        }
    }
    ASSERT(demo->note->tx_count < DEMO_TXS_MAX);
    demo->note->txs[demo->note->tx_count++] = (struct demo_tx){
        .hash = *hash, .gas_used = receipt.gas_used, .purpose = slice_text(purpose)};
    return demo_expect(receipt.succeeded, why, "%s reverted", purpose);
}

enum err demo_send_own(struct demo *demo, const struct address *to, struct slice data,
                       const char *purpose, struct why *why)
{
    const struct address *from = &demo->parties[DEMO_TREASURY];
    struct rpc_fees fees;
    struct slice revert;
    struct slice raw;
    struct hash hash;
    struct tx tx = {
        .kind = TX_EIP1559,
        .chain_id = demo->contracts.chain_id,
        .has_to = true,
        .to = *to,
        .value = wei_of(U256_ZERO),
        .data = data,
    };
    enum err e = rpc_nonce(demo->rpc, from, true, &tx.nonce, why);
    if (e == OK) {
        e = rpc_fees_read(demo->rpc, &fees, why);
    }
    if (e == OK) {
        e = rpc_estimate_gas(demo->rpc, &demo->arena, from, to, tx.value, data, &tx.gas_limit,
                             &revert, why);
    }
    if (e == OK) {
        tx.gas_limit += tx.gas_limit / 5;
        tx.kind = fees.eip1559 ? TX_EIP1559 : TX_LEGACY;
        tx.fee_priority = fees.priority;
        e = fees.eip1559 ? wei_times(fees.base_fee_next, 2, &tx.fee_max) : OK;
    }
    if (e == OK) {
        e = fees.eip1559 ? wei_add(tx.fee_max, fees.priority, &tx.fee_max) : OK;
        tx.fee_max = fees.eip1559 ? tx.fee_max : fees.gas_price;
    }
    if (e == OK) {
        e = tx_sign(&demo->arena, &tx, &demo->keys[DEMO_TREASURY], &raw, &hash);
    }
    if (e == OK) {
        e = rpc_send_raw(demo->rpc, raw, why);
    }
    return e == OK ? await_receipt(demo, &hash, purpose, why) : e;
}

struct cursor {
    uint64_t chain_id;
    uint64_t block;
    struct hash hash;
};

static enum err read_cursor(struct store_tx *tx, void *ctx, struct why *why)
{
    struct cursor *c = ctx;
    return chain_cursor_read(tx, c->chain_id, &c->block, &c->hash, why);
}

enum err demo_wait_cursor(struct demo *demo, struct why *why)
{
    uint64_t head = 0;
    enum err e = rpc_block_number(demo->rpc, &head, why);
    int64_t deadline = clock_mono_usec() + WAIT_USEC_MAX;
    struct cursor c = {.chain_id = demo->contracts.chain_id};
    while (e == OK) {
        e = store_read(demo->store, read_cursor, &c, why);
        if (e != OK || c.block >= head) {
            return e;
        }
        if (clock_mono_usec() > deadline) {
            return why_set(why, ERR_NODE_TIMEOUT, NULL, "the daemon did not reach block %llu",
                           (unsigned long long)head);
        }
        clock_sleep_usec(2000);
        e = demo_check_signal(why);
    }
    return e;
}

enum err demo_sign(struct demo *demo, enum demo_party party, const struct hash *digest,
                   struct slice *out, struct why *why)
{
    struct signature signature;
    uint8_t bytes[SIGNATURE_BYTES];
    enum err e = secp256k1_sign(&demo->keys[party], digest, &signature);
    if (e != OK) {
        return why_set(why, e, NULL, "the digest could not be signed");
    }
    signature_encode(&signature, bytes);
    *out = hex_encode(&demo->arena, slice_of(bytes, sizeof bytes));
    return OK;
}
