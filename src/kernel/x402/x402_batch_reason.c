#include "kernel/base/check.h"
#include "kernel/x402/x402_batch.h"

#define CODE(text) "invalid_batch_settlement_evm_" text

/* One row a reason, in the order of the enum; a missing row shortens the table. */
static const struct reason_row {
    enum x402_batch_reason reason;
    const char *code;
} reason_rows[] = {
    {X402_BATCH_OK, ""},
    {X402_BATCH_PAYLOAD, CODE("payload_type")},
    {X402_BATCH_CHANNEL_ID, CODE("channel_id_invalid")},
    {X402_BATCH_CHANNEL_ID_MISMATCH, CODE("channel_id_mismatch")},
    {X402_BATCH_RECEIVER, CODE("receiver_mismatch")},
    {X402_BATCH_RECEIVER_AUTHORIZER, CODE("receiver_authorizer_mismatch")},
    {X402_BATCH_TOKEN, CODE("token_mismatch")},
    {X402_BATCH_DELAY, CODE("withdraw_delay_mismatch")},
    {X402_BATCH_DELAY_RANGE, CODE("withdraw_delay_out_of_range")},
    {X402_BATCH_SIGNATURE, CODE("voucher_signature")},
    {X402_BATCH_CUMULATIVE, CODE("cumulative_amount_mismatch")},
    {X402_BATCH_BALANCE, CODE("cumulative_exceeds_balance")},
    {X402_BATCH_BELOW_CLAIMED, CODE("cumulative_below_claimed")},
    {X402_BATCH_NOT_FOUND, CODE("channel_not_found")},
    {X402_BATCH_BUSY, CODE("channel_busy")},
    {X402_BATCH_STATE_UNKNOWN, CODE("verification_state_unavailable")},
    {X402_BATCH_CHARGE, CODE("charge_exceeds_signed_cumulative")},
    {X402_BATCH_MISSING, CODE("missing_channel")},
    {X402_BATCH_NO_DOMAIN, CODE("missing_eip712_domain")},
    {X402_BATCH_DEPOSIT_METHOD, CODE("erc3009_authorization_required")},
    {X402_BATCH_DEPOSIT_MIN, CODE("deposit_below_min_deposit")},
    {X402_BATCH_DEPOSIT_BEFORE, CODE("payload_authorization_valid_before")},
    {X402_BATCH_DEPOSIT_AFTER, CODE("payload_authorization_valid_after")},
    {X402_BATCH_DEPOSIT_SIGNATURE, CODE("receive_authorization_signature")},
    {X402_BATCH_DEPOSIT_FUNDS, CODE("insufficient_balance")},
    {X402_BATCH_DEPOSIT_SIMULATION, CODE("deposit_simulation_failed")},
    {X402_BATCH_DEPOSIT_TRANSACTION, CODE("deposit_transaction_failed")},
    {X402_BATCH_REFUND_AMOUNT, CODE("refund_amount_invalid")},
    {X402_BATCH_REFUND_NOTHING, CODE("refund_no_balance")},
    {X402_BATCH_REFUND_TRANSACTION, CODE("refund_transaction_failed")},
    {X402_BATCH_CLAIM_TRANSACTION, CODE("claim_transaction_failed")},
    {X402_BATCH_SETTLE_TRANSACTION, CODE("settle_transaction_failed")},
};

_Static_assert(sizeof(reason_rows) / sizeof(reason_rows[0]) == X402_BATCH_REASON_COUNT,
               "each reason has a row");

const char *x402_batch_reason_code(enum x402_batch_reason reason)
{
    ASSERT(reason < X402_BATCH_REASON_COUNT && reason_rows[reason].reason == reason);
    return reason_rows[reason].code;
}
