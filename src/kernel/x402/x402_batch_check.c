/* What a payment of a channel is worth: its signatures, and its amounts beside the state. */
#include "kernel/base/check.h"
#include "kernel/x402/x402_batch.h"

static bool signed_by(const struct hash *digest, const struct signature *signature,
                      const struct address *expected, struct why *why)
{
    struct address signer;
    if (secp256k1_recover(digest, signature, &signer, why) != OK) {
        return false;
    }
    if (address_is_zero(expected) || !address_equal(&signer, expected)) {
        (void)why_set(why, ERR_SIGNATURE_SIGNER, "signature",
                      "The signature was not made by the payer's side for this message.");
        return false;
    }
    return true;
}

static enum x402_batch_reason deposit_signed(const struct x402_batch_offer *offer,
                                             const struct x402_batch_payment *payment,
                                             int64_t now_usec, struct why *why)
{
    const struct x402_deposit *d = &payment->deposit;
    uint64_t now = now_usec > 0 ? (uint64_t)(now_usec / USEC_PER_SEC) : 0;
    struct u256 soonest = u256_from_u64(now + (uint64_t)(X402_MARGIN_USEC / USEC_PER_SEC));
    if (offer->token_name.len == 0 || offer->token_version.len == 0) {
        (void)why_set(why, ERR_CONFIG, NULL, "The EIP-712 domain of the asset is not known.");
        return X402_BATCH_NO_DOMAIN;
    }
    if (u256_compare(d->valid_before, soonest) < 0) {
        (void)why_set(why, ERR_DEADLINE_EXPIRED, "validBefore",
                      "The deposit has expired, or does so within 6 seconds.");
        return X402_BATCH_DEPOSIT_BEFORE;
    }
    if (u256_compare(d->valid_after, u256_from_u64(now)) > 0) {
        (void)why_set(why, ERR_INVALID_TIME, "validAfter", "The deposit is not valid yet.");
        return X402_BATCH_DEPOSIT_AFTER;
    }
    struct hash digest = x402_deposit_digest(offer, payment);
    return signed_by(&digest, &d->signature, &payment->channel.payer, why)
               ? X402_BATCH_OK
               : X402_BATCH_DEPOSIT_SIGNATURE;
}

enum x402_batch_reason x402_batch_signed(const struct x402_batch_offer *offer,
                                         const struct x402_batch_payment *payment, int64_t now_usec,
                                         struct why *why)
{
    struct hash digest =
        x402_voucher_digest(&offer->escrow, &payment->channel_id, payment->claimable);
    if (!signed_by(&digest, &payment->signature, &payment->channel.payer_authorizer, why)) {
        return X402_BATCH_SIGNATURE;
    }
    return payment->type == X402_BATCH_DEPOSIT ? deposit_signed(offer, payment, now_usec, why)
                                               : X402_BATCH_OK;
}

/* covered returns what a voucher may reach: what the payer can no longer take out. */
static struct u256 covered(const struct x402_batch_payment *payment,
                           const struct x402_channel_state *state)
{
    struct u256 sum = state->balance;
    if (payment->type == X402_BATCH_DEPOSIT && u256_add(sum, payment->deposit.amount, &sum) != OK) {
        return state->balance;
    }
    return u256_sub(sum, state->withdrawing, &sum) == OK ? sum : U256_ZERO;
}

static enum x402_batch_reason refuse(enum x402_batch_reason reason, struct why *why,
                                     const char *sentence)
{
    (void)why_set(why, ERR_INVALID_AMOUNT, NULL, "%s", sentence);
    return reason;
}

enum x402_batch_reason x402_batch_check(const struct x402_batch_offer *offer,
                                        const struct x402_batch_payment *payment,
                                        const struct x402_channel_state *state, struct why *why)
{
    struct u256 expected = state->charged;
    bool refund = payment->type == X402_BATCH_REFUND;
    if (payment->type == X402_BATCH_DEPOSIT && offer->deposit_enforced &&
        u256_compare(payment->deposit.amount, offer->deposit_min) < 0) {
        return refuse(X402_BATCH_DEPOSIT_MIN, why, "The deposit is below the least one.");
    }
    if (!refund && u256_add(state->charged, offer->amount, &expected) != OK) {
        return refuse(X402_BATCH_CUMULATIVE, why, "The total leaves its range.");
    }
    if (!u256_equal(payment->claimable, expected)) {
        return refuse(X402_BATCH_CUMULATIVE, why,
                      "The voucher is not what was charged and the price of this request.");
    }
    if (payment->type != X402_BATCH_DEPOSIT && u256_is_zero(state->balance)) {
        return refuse(X402_BATCH_NOT_FOUND, why, "The channel holds nothing.");
    }
    if (u256_compare(payment->claimable, covered(payment, state)) > 0) {
        return refuse(X402_BATCH_BALANCE, why, "The voucher is not covered by the channel.");
    }
    int order = u256_compare(payment->claimable, state->claimed);
    if (order < 0 || (order == 0 && !refund)) {
        return refuse(X402_BATCH_BELOW_CLAIMED, why, "More has been claimed already.");
    }
    return X402_BATCH_OK;
}

enum x402_batch_reason x402_batch_charge(const struct x402_batch_payment *payment,
                                         const struct x402_channel_state *state, struct u256 price,
                                         struct u256 *out_charged, struct why *why)
{
    struct u256 charged;
    if (u256_add(state->charged, price, &charged) != OK ||
        u256_compare(charged, payment->claimable) > 0) {
        return refuse(X402_BATCH_CHARGE, why, "The charge is above what the voucher allows.");
    }
    *out_charged = charged;
    return X402_BATCH_OK;
}

enum x402_batch_reason x402_batch_refund(const struct x402_batch_payment *payment,
                                         const struct x402_channel_state *state,
                                         struct u256 *out_amount, struct why *why)
{
    struct u256 rest;
    ASSERT(payment->type == X402_BATCH_REFUND);
    if (u256_sub(state->balance, state->charged, &rest) != OK || u256_is_zero(rest)) {
        return refuse(X402_BATCH_REFUND_NOTHING, why, "All that the channel holds was charged.");
    }
    if (payment->has_refund_amount && u256_compare(payment->refund_amount, rest) > 0) {
        return refuse(X402_BATCH_REFUND_AMOUNT, why, "More is asked back than is left.");
    }
    *out_amount = payment->has_refund_amount ? payment->refund_amount : rest;
    return X402_BATCH_OK;
}
