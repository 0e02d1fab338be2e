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

static bool creation_allowed(const struct relay *relay, struct slice role)
{
    for (size_t i = 0; i < relay->policy_count; i++) {
        const struct relay_policy *p = &relay->policies[i];
        if (p->contract == NULL && p->function == NULL && slice_equal_text(role, p->role)) {
            return true;
        }
    }
    return false;
}

/* The calldata must be exactly one encoding of the function's arguments. */
static bool decodes(struct arena *scratch, const struct abi_function *function, struct slice data)
{
    const struct abi_value *values = NULL;
    return abi_decode(scratch, function->inputs, function->input_count,
                      slice_sub(data, 4, data.len), &values, NULL) == OK;
}

enum err relay_policy_check(const struct relay *relay, struct arena *scratch, struct slice role,
                            bool has_to, const struct address *to, struct slice data,
                            struct why *why)
{
    if (!has_to) {
        return creation_allowed(relay, role)
                   ? OK
                   : why_set(why, ERR_POLICY_REFUSED, NULL,
                             "the role %.*s may not create contracts", SLICE_ARG(role));
    }
    for (size_t i = 0; i < relay->policy_count; i++) {
        const struct relay_policy *p = &relay->policies[i];
        if (p->contract == NULL || !slice_equal_text(role, p->role) ||
            (p->address != NULL && !address_equal(p->address, to))) {
            continue;
        }
        const struct abi_function *f = abi_function_find(p->contract, data);
        if (f != NULL && (p->function == NULL || p->function == f) && decodes(scratch, f, data)) {
            return OK;
        }
    }
    char text[ADDRESS_TEXT_MAX];
    address_format(to, text);
    return why_set(why, ERR_POLICY_REFUSED, NULL, "the role %.*s may not make this call to %s",
                   SLICE_ARG(role), text);
}

enum err relay_fees(struct relay *relay, bool *out_legacy, struct wei_amount *out_max,
                    struct wei_amount *out_priority, bool *out_wait, struct why *why)
{
    struct rpc_fees fees;
    enum err e = rpc_fees_read(relay->rpc, &fees, why);
    if (e != OK) {
        return e;
    }
    struct wei_amount cap = wei_of(relay->config.fee_wei_max);
    struct wei_amount floor = wei_of(relay->config.priority_wei_min);
    if (!fees.eip1559) {
        *out_legacy = true;
        *out_wait = wei_compare(fees.gas_price, cap) > 0;
        *out_max = fees.gas_price;
        *out_priority = fees.gas_price;
        return OK;
    }
    struct wei_amount priority = wei_compare(fees.priority, floor) < 0 ? floor : fees.priority;
    priority = wei_compare(priority, cap) > 0 ? cap : priority;
    struct wei_amount doubled;
    struct wei_amount max;
    e = wei_times(fees.base_fee_next, 2, &doubled);
    if (e == OK) {
        e = wei_add(doubled, priority, &max);
    }
    if (e != OK) {
        return why_set(why, e, NULL, "the node reports an impossible base fee");
    }
    *out_legacy = false;
    *out_wait = wei_compare(fees.base_fee_next, cap) > 0;
    *out_max = wei_compare(max, cap) > 0 ? cap : max;
    *out_priority = priority;
    return OK;
}
