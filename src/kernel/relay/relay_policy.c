#include "kernel/base/check.h"
#include "kernel/relay/relay_internal.h"

const struct relay_signer *relay_signer_find(const struct relay *relay,
                                             const struct address *address)
{
    for (size_t i = 0; i < relay->signer_count; i++) {
        if (address_equal(&relay->signers[i].address, address)) {
            return &relay->signers[i];
        }
    }
    return NULL;
}

static bool creation_allowed(const struct relay *relay, struct slice role, struct wei_amount value)
{
    for (size_t i = 0; i < relay->policy_count; i++) {
        const struct relay_policy *p = &relay->policies[i];
        if (p->contract == NULL && p->function == NULL && slice_equal_text(role, p->role) &&
            (p->payable || u256_is_zero(wei_raw(value)))) {
            return true;
        }
    }
    return false;
}

/*
 * The calldata must be the one encoding of its arguments, to the byte: what a decoder skips (bytes
 * behind the arguments, detours of offsets) is not signed.
 */
static bool encodes(struct arena *scratch, const struct abi_function *function, struct slice data)
{
    const struct abi_value *values = NULL;
    struct slice again;
    return abi_decode(scratch, function->inputs, function->input_count,
                      slice_sub(data, 4, data.len), &values, NULL) == OK &&
           abi_encode_call(scratch, function->selector, function->inputs, values,
                           function->input_count, &again, NULL) == OK &&
           slice_equal(again, data);
}

static bool row_allows(const struct relay_policy *p, struct slice role, const struct address *to,
                       struct wei_amount value)
{
    return p->contract != NULL && slice_equal_text(role, p->role) &&
           (p->address == NULL || address_equal(p->address, to)) &&
           (p->payable || u256_is_zero(wei_raw(value)));
}

/* Plain coin from the treasury to a wallet of ours: what refilling is, and nothing else. */
static enum err treasury_check(const struct relay *relay, const struct address *wallet, bool has_to,
                               const struct address *to, struct wei_amount value, struct slice data,
                               struct why *why)
{
    if (!relay->has_treasury || !address_equal(&relay->treasury.wallet, wallet)) {
        return why_set(why, ERR_POLICY_REFUSED, NULL, "only the treasury may refill wallets");
    }
    if (!has_to || data.len > 0 || !relay_has_wallet(relay, to)) {
        return why_set(why, ERR_POLICY_REFUSED, NULL,
                       "the treasury sends plain coin to wallets of the relay only");
    }
    if (wei_compare(value, relay->treasury.value_max) > 0) {
        return why_set(why, ERR_POLICY_REFUSED, NULL, "the treasury does not send so much at once");
    }
    return OK;
}

bool relay_policy_operation(const struct relay *relay, struct arena *scratch, struct slice role,
                            bool has_to, struct wei_amount value, struct slice data)
{
    if (!has_to) {
        return creation_allowed(relay, role, value);
    }
    for (size_t i = 0; i < relay->policy_count; i++) {
        const struct relay_policy *p = &relay->policies[i];
        const struct abi_function *f = p->contract != NULL && slice_equal_text(role, p->role)
                                           ? abi_function_find(p->contract, data)
                                           : NULL;
        if (f != NULL && (p->function == NULL || p->function == f) &&
            (p->payable || u256_is_zero(wei_raw(value))) && encodes(scratch, f, data)) {
            return true;
        }
    }
    return false;
}

enum err relay_policy_check(const struct relay *relay, struct arena *scratch,
                            const struct address *wallet, struct slice role, bool has_to,
                            const struct address *to, struct wei_amount value, struct slice data,
                            struct why *why)
{
    if (slice_equal_text(role, RELAY_ROLE_TREASURY)) {
        return treasury_check(relay, wallet, has_to, to, value, data, why);
    }
    if (!has_to) {
        return creation_allowed(relay, role, value)
                   ? OK
                   : why_set(why, ERR_POLICY_REFUSED, NULL,
                             "the role %.*s may not create contracts", SLICE_ARG(role));
    }
    for (size_t i = 0; i < relay->policy_count; i++) {
        const struct relay_policy *p = &relay->policies[i];
        if (!row_allows(p, role, to, value)) {
            continue;
        }
        const struct abi_function *f = abi_function_find(p->contract, data);
        if (f != NULL && (p->function == NULL || p->function == f) && encodes(scratch, f, data)) {
            return OK;
        }
    }
    char text[ADDRESS_TEXT_MAX];
    address_format(to, text);
    return why_set(why, ERR_POLICY_REFUSED, NULL, "the role %.*s may not make this call to %s",
                   SLICE_ARG(role), text);
}
