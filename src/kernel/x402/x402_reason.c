#include "kernel/base/check.h"
#include "kernel/x402/x402.h"

/* One row a reason, in the order of the enum; a missing row shortens the table. */
static const struct reason_row {
    enum x402_reason reason;
    const char *code;
} reason_rows[] = {
    {X402_OK, ""},
    {X402_UNSUPPORTED_PAYLOAD, "unsupported_payload_type"},
    {X402_SCHEME, "invalid_exact_evm_scheme"},
    {X402_NETWORK, "invalid_exact_evm_network_mismatch"},
    {X402_NO_DOMAIN, "invalid_exact_evm_missing_eip712_domain"},
    {X402_SIGNATURE_UNREADABLE, "invalid_exact_evm_failed_to_parse_signature"},
    {X402_SIGNATURE, "invalid_exact_evm_signature"},
    {X402_RECIPIENT, "invalid_exact_evm_recipient_mismatch"},
    {X402_VALID_BEFORE, "invalid_exact_evm_payload_authorization_valid_before"},
    {X402_VALID_AFTER, "invalid_exact_evm_payload_authorization_valid_after"},
    {X402_VALUE, "invalid_exact_evm_payload_authorization_value_mismatch"},
    {X402_NONCE_USED, "invalid_exact_evm_nonce_already_used"},
    {X402_BALANCE, "invalid_exact_evm_insufficient_balance"},
    {X402_ASSET_NO_CONTRACT, "asset_not_deployed_contract"},
    {X402_SIMULATION, "invalid_exact_evm_transaction_simulation_failed"},
    {X402_TRANSACTION, "invalid_exact_evm_transaction_failed"},
    {X402_TRANSFER_EVENT, "invalid_exact_evm_transfer_event_mismatch"},
    {X402_SETTLEMENT_PENDING, "settlement_pending"},
    {X402_NO_OFFER, "No matching payment requirements"},
    {X402_NO_EIP3009, "invalid_exact_evm_eip3009_not_supported"},
    {X402_HANDLER_FAILED, "handler_failed"},
};

_Static_assert(sizeof(reason_rows) / sizeof(reason_rows[0]) == X402_REASON_COUNT,
               "each reason has a row");

const char *x402_reason_code(enum x402_reason reason)
{
    ASSERT(reason < X402_REASON_COUNT && reason_rows[reason].reason == reason);
    return reason_rows[reason].code;
}

enum x402_reason x402_reason_find(struct slice code)
{
    for (size_t i = 0; i < X402_REASON_COUNT; i++) {
        if (slice_equal_text(code, reason_rows[i].code)) {
            return reason_rows[i].reason;
        }
    }
    return X402_TRANSACTION;
}
