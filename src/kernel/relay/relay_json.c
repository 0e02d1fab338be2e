/*
 * relay_json.c: intents in words and as JSON.
 */
#include "kernel/base/check.h"
#include "kernel/relay/relay_internal.h"

const char *relay_state_text(enum relay_state state)
{
    switch (state) {
    case RELAY_QUEUED:
        return "queued";
    case RELAY_SIGNED:
        return "signed";
    case RELAY_SENT:
        return "sent";
    case RELAY_MINED:
        return "mined";
    case RELAY_REVERTED:
        return "reverted";
    case RELAY_FAILED:
        return "failed";
    case RELAY_REPLACED:
        return "replaced";
    case RELAY_CANCELLED:
        return "cancelled";
    }
    return "unknown";
}

enum err relay_state_parse(struct slice text, enum relay_state *out, struct why *why)
{
    for (int s = RELAY_QUEUED; s <= RELAY_CANCELLED; s++) {
        if (slice_equal_text(text, relay_state_text((enum relay_state)s))) {
            *out = (enum relay_state)s;
            return OK;
        }
    }
    return why_set(why, ERR_INVALID_FIELD, "state",
                   "state is one of queued, signed, sent, mined, reverted, failed, replaced, "
                   "cancelled");
}

const char *relay_priority_text(enum relay_priority priority)
{
    switch (priority) {
    case RELAY_LOW:
        return "low";
    case RELAY_NORMAL:
        return "normal";
    case RELAY_HIGH:
        return "high";
    }
    return "unknown";
}

/* The members of an intent, in the open object. */
static void row_members(struct json_out *j, const struct relay_row *row)
{
    json_key(j, "transactionId");
    json_string(j, row->id);
    json_key(j, "purpose");
    json_string(j, row->purpose);
    json_key(j, "state");
    json_text(j, relay_state_text(row->state));
    json_key(j, "final");
    json_bool(j, row->final);
    json_key(j, "chainId");
    json_u64(j, row->chain_id);
    json_key(j, "from");
    if (row->unassigned) {
        json_null(j);
    } else {
        json_address(j, &row->wallet);
    }
    json_key(j, "to");
    if (row->has_to) {
        json_address(j, &row->to);
    } else {
        json_null(j);
    }
    json_key(j, "value");
    json_u256(j, wei_raw(row->value));
    json_key(j, "nonce");
    if (row->has_nonce) {
        json_u64(j, row->nonce);
    } else {
        json_null(j);
    }
    json_key(j, "transactionHash");
    if (row->has_hash) {
        json_hex(j, hash_slice(&row->hash));
    } else {
        json_null(j);
    }
    json_key(j, "attempts");
    json_u64(j, row->attempts);
    json_key(j, "priority");
    json_text(j, relay_priority_text(row->priority));
    json_key(j, "cancelling");
    json_bool(j, row->cancelling && row->state <= RELAY_SENT);
    json_key(j, "blockNumber");
    if (row->has_block) {
        json_u64(j, row->block_number);
        json_key(j, "gasUsed");
        json_u64(j, row->gas_used);
        json_key(j, "gasPrice");
        json_u256(j, wei_raw(row->gas_price));
    } else {
        json_null(j);
    }
    if (row->has_contract) {
        json_key(j, "contractAddress");
        json_address(j, &row->contract);
    }
    if (row->error_code.len > 0) {
        json_key(j, "error");
        json_string(j, row->error);
        json_key(j, "code");
        json_string(j, row->error_code);
    }
    json_key(j, "createdAt");
    json_time(j, row->created_usec);
    json_key(j, "updatedAt");
    json_time(j, row->updated_usec);
}

void relay_row_json(struct json_out *j, const struct relay_row *row)
{
    json_begin_object(j);
    row_members(j, row);
    json_end_object(j);
}

static void attempt_json(struct json_out *j, const struct relay_attempt *a)
{
    json_begin_object(j);
    json_key(j, "attempt");
    json_u64(j, a->attempt);
    json_key(j, "transactionHash");
    json_hex(j, hash_slice(&a->hash));
    json_key(j, "maxFeePerGas");
    json_u256(j, wei_raw(a->fee_max));
    json_key(j, "maxPriorityFeePerGas");
    json_u256(j, wei_raw(a->fee_priority));
    json_key(j, "gasLimit");
    json_u64(j, a->gas_limit);
    json_key(j, "filler");
    json_bool(j, a->filler);
    json_key(j, "createdAt");
    json_time(j, a->created_usec);
    json_end_object(j);
}

void relay_detail_json(struct json_out *j, const struct relay_row *row,
                       const struct relay_attempt *attempts, size_t count)
{
    json_begin_object(j);
    row_members(j, row);
    json_key(j, "versions");
    json_begin_array(j);
    for (size_t i = 0; i < count; i++) {
        attempt_json(j, &attempts[i]);
    }
    json_end_array(j);
    json_end_object(j);
}
