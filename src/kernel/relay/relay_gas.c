/*
 * relay_gas.c: each call is simulated before it gets a nonce: what it costs, or why it would fail.
 */
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_queue.h"

static struct slice estimate_params(struct arena *arena, const struct relay_candidate *c)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, arena, 256 + 2 * c->data.len);
    json_out_init(&j, &b);
    json_begin_array(&j);
    json_begin_object(&j);
    json_key(&j, "from");
    json_address(&j, &c->wallet);
    if (c->has_to) {
        json_key(&j, "to");
        json_address(&j, &c->to);
    }
    json_key(&j, "value");
    json_quantity(&j, wei_raw(c->value));
    json_key(&j, "data");
    json_hex(&j, c->data);
    json_end_object(&j);
    json_end_array(&j);
    return buf_slice(&b);
}

/* What nodes say of a call that fails without revert data, whenever it is made. */
static bool never_runs(const struct why *why)
{
    static const char *const words[] = {
        "gas required exceeds", "out of gas",      "outofgas",
        "invalid opcode",       "invalidfeopcode", "invalid jump",
        "stack underflow",      "stackunderflow",  "opcodenotfound"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasestr(why->text, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static int64_t pause_after(int64_t first_usec, uint32_t tries)
{
    int64_t pause = first_usec;
    for (uint32_t i = 0; i < tries && pause < RELAY_RETRY_USEC_MAX; i++) {
        pause *= 2;
    }
    return pause < RELAY_RETRY_USEC_MAX ? pause : RELAY_RETRY_USEC_MAX;
}

/*
 * The call reverts on the state of now. That is not believed at once: what it builds on may just
 * have fallen out of the chain. Mined intents are looked at again, and what was submitted before
 * and is under way is waited for.
 */
static void take_revert(struct relay *relay, struct relay_candidate *c)
{
    bool doubt = c->tries == 0 || c->behind;
    if (!doubt || c->tries + 1 >= RELAY_TRIES_MAX) {
        relay_fail(c, ERR_REVERTED);
        return;
    }
    /* A node that is behind has not seen yet what was waited for. */
    bool at_once = c->tries == 0 && !c->behind && c->after_state == 0;
    relay_put_off(c, ERR_REVERTED, at_once ? 0 : pause_after(RELAY_DOUBT_USEC, c->tries));
    c->counts = true;
    relay->recheck_usec = 0;
}

/* The gas limit of an operation's row; 0 when there is none. */
static uint64_t fallback_of(const struct relay *relay, struct slice purpose)
{
    for (size_t i = 0; i < relay->gas_count; i++) {
        if (slice_equal_text(purpose, relay->gases[i].purpose)) {
            return relay->gases[i].gas_limit;
        }
    }
    return 0;
}

/*
 * The node could not say what the call costs. What will pass is waited for; what the node itself
 * holds against the call is asked again for a quarter of an hour, unless the operation has a limit
 * of its own.
 */
static void take_refusal(struct relay *relay, struct relay_candidate *c,
                         const struct rpc_call *call)
{
    enum err e = call->err != OK ? call->err : ERR_NODE_RESPONSE;
    c->why = call->why;
    if (e != ERR_NODE_ERROR || rpc_send_verdict(e, &call->why) == RPC_INSUFFICIENT_FUNDS) {
        relay_put_off(c, e, RELAY_RETRY_USEC);
    } else if (never_runs(&call->why)) {
        char said[WHY_TEXT_MAX];
        (void)snprintf(said, sizeof said, "%s", call->why.text);
        (void)why_set(&c->why, ERR_REVERTED, NULL, "the call would fail: %.400s", said);
        take_revert(relay, c);
    } else if (c->tries >= RELAY_BLIND_TRIES && fallback_of(relay, c->purpose) > 0) {
        c->gas_limit = fallback_of(relay, c->purpose);
        LOG(LOG_WARN, "relay.gas_unknown", log_slice("tx", c->id), log_slice("purpose", c->purpose),
            log_u64("gas", c->gas_limit), log_why(&call->why, e));
    } else if (c->tries + 1 >= RELAY_TRIES_MAX) {
        relay_fail(c, e);
    } else {
        relay_put_off(c, e, pause_after(RELAY_RETRY_USEC, c->tries));
        c->counts = true;
    }
}

/* Turns the node's answer to eth_estimateGas into a gas limit or a fate. */
static void take_estimate(const struct relay_queue *queue, struct relay_candidate *c,
                          const struct rpc_call *call)
{
    struct relay *relay = queue->relay;
    uint64_t gas = 0;
    if (call->err == ERR_REVERTED) {
        struct slice reason = abi_revert_format(&relay->step, call->error_data, relay->contracts,
                                                relay->contract_count);
        (void)why_set(&c->why, ERR_REVERTED, NULL, "the call would revert: %.*s",
                      SLICE_ARG(reason));
        take_revert(relay, c);
        return;
    }
    if (call->err != OK || call->result == NULL || call->result->type != JSON_STRING ||
        hex_parse_u64(call->result->text, &gas) != OK) {
        take_refusal(relay, c, call);
        return;
    }
    uint64_t cap = relay->config.gas_limit_max;
    cap = queue->fee.gas_limit > 0 && queue->fee.gas_limit < cap ? queue->fee.gas_limit : cap;
    uint64_t needed = c->gas_limit > 0 ? c->gas_limit : gas;
    if (needed > cap) {
        relay_fail(
            c, why_set(&c->why, ERR_POLICY_REFUSED, NULL,
                       "the transaction needs %llu gas; relay.max_gas and the blocks allow %llu",
                       (unsigned long long)needed, (unsigned long long)cap));
        return;
    }
    if (c->gas_limit == 0) {
        uint64_t margin = gas / 100 * relay->config.gas_margin_percent +
                          gas % 100 * relay->config.gas_margin_percent / 100;
        c->gas_limit = margin < cap - gas ? gas + margin : cap;
    }
}

enum err relay_simulate(struct relay_queue *queue, struct why *why)
{
    struct relay *relay = queue->relay;
    struct rpc_call *calls = arena_alloc_array(&relay->step, queue->count, sizeof *calls);
    struct relay_candidate **asked =
        arena_alloc_array(&relay->step, queue->count, sizeof(struct relay_candidate *));
    size_t count = 0;
    for (size_t i = 0; i < queue->count; i++) {
        struct relay_candidate *c = &queue->items[i];
        if (c->fate == RELAY_SIGN) {
            calls[count] = (struct rpc_call){.method = "eth_estimateGas",
                                             .params = estimate_params(&relay->step, c)};
            asked[count++] = c;
        }
    }
    enum err e = rpc_call_many(relay->rpc, &relay->step, RPC_ANY, calls, count, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        take_estimate(queue, asked[i], &calls[i]);
    }
    return e;
}
