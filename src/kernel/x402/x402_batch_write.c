/* What clients are told of channels: offers, how to go on, receipts. */
#include "kernel/x402/x402_batch.h"

static void network_write(struct json_out *j, uint64_t chain_id)
{
    char network[X402_NETWORK_MAX];
    x402_network_format(X402_V2, chain_id, network);
    json_key(j, "network");
    json_text(j, network);
}

static void state_write(struct json_out *j, const struct hash *channel_id,
                        const struct x402_channel_state *s)
{
    json_key(j, "channelState");
    json_begin_object(j);
    json_key(j, "channelId");
    json_hex(j, hash_slice(channel_id));
    json_key(j, "balance");
    json_u256(j, s->balance);
    json_key(j, "totalClaimed");
    json_u256(j, s->claimed);
    json_key(j, "withdrawRequestedAt");
    json_u64(j, s->withdraw_requested_at);
    json_key(j, "refundNonce");
    json_u256(j, s->refund_nonce);
    json_key(j, "chargedCumulativeAmount");
    json_u256(j, s->charged);
    json_end_object(j);
}

/* voucher_write gives the client its own last signature, which is why it can believe the state. */
static void voucher_write(struct json_out *j, const struct x402_channel_state *s)
{
    uint8_t bytes[SIGNATURE_BYTES];
    if (u256_is_zero(s->signed_max)) {
        return;
    }
    signature_encode(&s->signature, bytes);
    json_key(j, "voucherState");
    json_begin_object(j);
    json_key(j, "signedMaxClaimable");
    json_u256(j, s->signed_max);
    json_key(j, "signature");
    json_hex(j, slice_of(bytes, sizeof(bytes)));
    json_end_object(j);
}

void x402_batch_offer_write(struct json_out *j, const struct x402_batch_offer *o,
                            const struct hash *channel_id, const struct x402_channel_state *state)
{
    json_begin_object(j);
    json_key(j, "scheme");
    json_text(j, "batch-settlement");
    network_write(j, o->escrow.chain_id);
    json_key(j, "amount");
    json_u256(j, o->amount);
    json_key(j, "asset");
    json_address(j, &o->asset);
    json_key(j, "payTo");
    json_address(j, &o->pay_to);
    json_key(j, "maxTimeoutSeconds");
    json_u64(j, o->timeout_seconds);
    json_key(j, "extra");
    json_begin_object(j);
    json_key(j, "name");
    json_string(j, o->token_name);
    json_key(j, "version");
    json_string(j, o->token_version);
    json_key(j, "receiverAuthorizer");
    json_address(j, &o->receiver_authorizer);
    json_key(j, "withdrawDelay");
    json_u64(j, o->withdraw_delay);
    json_key(j, "minDeposit");
    json_u256(j, o->deposit_min);
    if (state != NULL) {
        state_write(j, channel_id, state);
        voucher_write(j, state);
    }
    json_end_object(j);
    json_end_object(j);
}

void x402_batch_receipt_write(struct json_out *j, const struct x402_batch_receipt *r)
{
    bool taken = r->reason == X402_BATCH_OK;
    json_begin_object(j);
    json_key(j, "success");
    json_bool(j, taken);
    if (!taken) {
        json_key(j, "errorReason");
        json_text(j, x402_batch_reason_code(r->reason));
    }
    json_key(j, "transaction");
    if (r->transaction != NULL) {
        json_hex(j, hash_slice(r->transaction));
    } else {
        json_text(j, "");
    }
    network_write(j, r->chain_id);
    if (r->payer != NULL) {
        json_key(j, "payer");
        json_address(j, r->payer);
    }
    if (taken) {
        json_key(j, "amount");
        if (r->type == X402_BATCH_VOUCHER) {
            json_text(j, "");
        } else {
            json_u256(j, r->amount);
        }
    }
    if (taken && r->state != NULL) {
        json_key(j, "extra");
        json_begin_object(j);
        state_write(j, &r->channel_id, r->state);
        if (r->type != X402_BATCH_REFUND) {
            json_key(j, "chargedAmount");
            json_u256(j, r->charged);
        }
        json_end_object(j);
    }
    json_end_object(j);
}
