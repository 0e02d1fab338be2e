/*
 * relay_queue.c: queued intents are judged, simulated, and signed, failed or put off.
 */
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

/* A queued intent on its way to a signature. */
struct candidate {
    struct slice id;
    struct address wallet;
    bool has_to;
    struct address to;
    struct wei_amount value;
    struct slice data;
    struct slice role;
    struct slice purpose;
    uint64_t gas_limit;
    int64_t deadline_usec;
    uint32_t tries;
    enum relay_state after_state; /* 0: waits for nothing */
    bool after_missing;
    bool behind; /* something submitted before is still under way */
    /* What the pass decided: */
    enum { SIGN, FAIL, LATER } fate;
    enum err err;
    struct why why;
    int64_t pause_usec; /* of LATER */
    bool counts;        /* LATER is one of the tries */
    bool done;          /* the fate was stored */
};

struct queue {
    struct relay *relay;
    struct candidate *items;
    size_t count;
    struct relay_fee fee;
    /* The wallets of the candidates, with the next nonce as the node sees it. */
    const struct address **wallets;
    uint64_t *next;
    size_t wallet_count;
};

/* ---- reading ---- */

static void read_candidate(struct store_query *q, struct arena *arena, struct candidate *c)
{
    c->id = store_get_text(q, "intent_id", arena);
    store_get_fixed(q, "wallet", c->wallet.bytes, ADDRESS_BYTES);
    c->has_to = !store_is_null(q, "to_address");
    store_get_fixed(q, "to_address", c->to.bytes, ADDRESS_BYTES);
    c->value = wei_of(store_get_u256(q, "value"));
    c->data = store_get_bytes(q, "data", arena);
    c->role = store_get_text(q, "role", arena);
    c->purpose = store_get_text(q, "purpose", arena);
    c->gas_limit = (uint64_t)store_get_i64(q, "gas_limit");
    c->deadline_usec = store_get_time(q, "deadline");
    c->tries = (uint32_t)store_get_i64(q, "tries");
    bool waits = !store_is_null(q, "after_id");
    bool known = !store_is_null(q, "after_state");
    c->after_missing = waits && !known;
    c->after_state = known ? (enum relay_state)store_get_i64(q, "after_state") : 0;
    (void)store_get_text(q, "after_id", arena);
    (void)store_get_i64(q, "after_state");
    c->behind = store_get_bool(q, "behind");
}

static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    struct queue *queue = ctx;
    struct relay *relay = queue->relay;
    size_t cap = (size_t)relay->config.batch_max;
    int64_t now = clock_wall_usec();
    queue->items = arena_alloc_array(&relay->step, cap, sizeof *queue->items);
    queue->count = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_queued_list);
    store_bind_text(&q, "owner", slice_text(relay->leased ? store_process_id(relay->store) : ""));
    store_bind_bool(&q, "watches", relay_watches(relay));
    store_bind_i64(&q, "chain_id", (int64_t)relay->chain_id);
    store_bind_time(&q, "now", now);
    store_bind_time(&q, "far", now + RELAY_FAR_USEC);
    store_bind_i64(&q, "inflight_max", (int64_t)relay->config.inflight_max);
    store_bind_i64(&q, "max_rows", (int64_t)cap);
    while (store_step(&q)) {
        ASSERT(queue->count < cap);
        struct candidate *c = &queue->items[queue->count];
        read_candidate(&q, &relay->step, c);
        queue->count += relay_works_on(relay, &c->wallet) || relay_is_unknown(relay, &c->wallet);
    }
    return store_finish(&q, NULL, why);
}

/* ---- deciding ---- */

static void fail(struct candidate *c, enum err e)
{
    c->fate = FAIL;
    c->err = e;
}

static void put_off(struct candidate *c, enum err e, int64_t pause_usec)
{
    c->fate = LATER;
    c->err = e;
    c->pause_usec = pause_usec;
}

/* Everything that can be refused without asking a node. */
static enum err judge(const struct relay *relay, struct arena *scratch, const struct candidate *c,
                      struct why *why)
{
    if (relay_signer_find(relay, &c->wallet) == NULL) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&c->wallet, text);
        return why_set(why, ERR_UNKNOWN_WALLET, NULL, "there is no key for the wallet %s", text);
    }
    if (c->deadline_usec > 0 && clock_wall_usec() > c->deadline_usec) {
        return why_set(why, ERR_DEADLINE_EXPIRED, NULL,
                       "the deadline passed before the transaction was signed");
    }
    if (c->after_missing || (c->after_state != 0 && c->after_state != RELAY_MINED)) {
        return why_set(why, ERR_CONFLICT, NULL,
                       "the transaction that this one waited for did not succeed");
    }
    return relay_policy_check(relay, scratch, c->role, c->has_to, &c->to, c->value, c->data, why);
}

static void judge_all(struct queue *queue)
{
    struct relay *relay = queue->relay;
    for (size_t i = 0; i < queue->count; i++) {
        struct candidate *c = &queue->items[i];
        enum err e = judge(relay, &relay->step, c, &c->why);
        if (e != OK) {
            fail(c, e);
        } else if (queue->fee.wait) {
            put_off(c, why_set(&c->why, ERR_LIMIT, NULL, "the base fee is above relay.max_fee"),
                    RELAY_RETRY_USEC);
        }
    }
}

static struct slice estimate_params(struct arena *arena, const struct candidate *c)
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
static void take_revert(struct relay *relay, struct candidate *c)
{
    bool doubt = c->tries == 0 || c->behind;
    if (!doubt || c->tries + 1 >= RELAY_TRIES_MAX) {
        fail(c, ERR_REVERTED);
        return;
    }
    /* A node that is behind has not seen yet what was waited for. */
    bool at_once = c->tries == 0 && !c->behind && c->after_state == 0;
    put_off(c, ERR_REVERTED, at_once ? 0 : pause_after(RELAY_DOUBT_USEC, c->tries));
    c->counts = true;
    relay->recheck_usec = 0;
}

/*
 * The node could not say what the call costs. What will pass is waited for; what the node itself
 * holds against the call is asked again for a quarter of an hour.
 */
static void take_refusal(struct relay *relay, struct candidate *c, const struct rpc_call *call)
{
    enum err e = call->err != OK ? call->err : ERR_NODE_RESPONSE;
    c->why = call->why;
    if (e != ERR_NODE_ERROR || rpc_send_verdict(e, &call->why) == RPC_INSUFFICIENT_FUNDS) {
        put_off(c, e, RELAY_RETRY_USEC);
    } else if (never_runs(&call->why)) {
        char said[WHY_TEXT_MAX];
        (void)snprintf(said, sizeof said, "%s", call->why.text);
        (void)why_set(&c->why, ERR_REVERTED, NULL, "the call would fail: %.400s", said);
        take_revert(relay, c);
    } else if (c->tries + 1 >= RELAY_TRIES_MAX) {
        fail(c, e);
    } else {
        put_off(c, e, pause_after(RELAY_RETRY_USEC, c->tries));
        c->counts = true;
    }
}

/* Turns the node's answer to eth_estimateGas into a gas limit or a fate. */
static void take_estimate(const struct queue *queue, struct candidate *c,
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
        fail(c, why_set(&c->why, ERR_POLICY_REFUSED, NULL,
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

static enum err simulate(struct queue *queue, struct why *why)
{
    struct relay *relay = queue->relay;
    struct rpc_call *calls = arena_alloc_array(&relay->step, queue->count, sizeof *calls);
    struct candidate **asked =
        arena_alloc_array(&relay->step, queue->count, sizeof(struct candidate *));
    size_t count = 0;
    for (size_t i = 0; i < queue->count; i++) {
        struct candidate *c = &queue->items[i];
        if (c->fate == SIGN) {
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

static size_t wallet_index(const struct queue *queue, const struct address *wallet)
{
    size_t i = 0;
    while (i < queue->wallet_count && !address_equal(queue->wallets[i], wallet)) {
        i++;
    }
    return i;
}

/* Who else has the key is found out here, before a nonce is given out that is gone. */
static enum err ask_counts(struct queue *queue, struct why *why)
{
    struct arena *arena = &queue->relay->step;
    queue->wallets = arena_alloc_array(arena, queue->count, sizeof(const struct address *));
    queue->next = arena_alloc_array(arena, queue->count, sizeof *queue->next);
    for (size_t i = 0; i < queue->count; i++) {
        const struct candidate *c = &queue->items[i];
        if (c->fate == SIGN && wallet_index(queue, &c->wallet) == queue->wallet_count) {
            queue->wallets[queue->wallet_count++] = &c->wallet;
        }
    }
    return relay_counts(queue->relay, queue->wallets, queue->wallet_count, true, queue->next, why);
}

/* ---- storing ---- */

static enum err inflight(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                         uint64_t *out, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_inflight_count);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_bytes(&q, "wallet", address_slice(wallet));
    uint64_t count = 0;
    if (store_step(&q)) {
        count = (uint64_t)store_get_i64(&q, "inflight");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = count;
    }
    return e;
}

static enum err store_failed(struct relay *relay, struct store_tx *tx, struct candidate *c,
                             struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_fail);
    store_bind_text(&q, "intent_id", c->id);
    store_bind_text(&q, "error_code", slice_text(err_code(c->err)));
    store_bind_text(&q, "error", slice_text(why_text(&c->why, c->err)));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    c->done = e == OK && changed > 0;
    if (c->done) {
        store_notify(tx, "relay"); /* others may have waited for it */
        e = relay_tell(relay, tx, c->id, why);
    }
    return e;
}

static enum err store_later(struct store_tx *tx, struct candidate *c, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_put_off);
    store_bind_text(&q, "intent_id", c->id);
    store_bind_time(&q, "try_at", clock_wall_usec() + c->pause_usec);
    store_bind_i64(&q, "tries", c->tries + c->counts);
    enum err e = store_finish(&q, &changed, why);
    c->done = e == OK && changed > 0;
    return e;
}

static enum err store_signed(struct store_tx *tx, const struct candidate *c, uint64_t nonce,
                             const struct hash *hash, bool *out_done, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_sign);
    store_bind_text(&q, "intent_id", c->id);
    store_bind_i64(&q, "nonce", (int64_t)nonce);
    store_bind_bytes(&q, "transaction_hash", hash_slice(hash));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    *out_done = e == OK && changed > 0;
    return e;
}

/* Nonce, bytes and state in one transaction, from the state that was judged. */
static enum err sign_one(struct queue *queue, struct store_tx *tx, struct candidate *c,
                         struct why *why)
{
    struct relay *relay = queue->relay;
    size_t wallet = wallet_index(queue, &c->wallet);
    ASSERT(wallet < queue->wallet_count);
    uint64_t nonce = 0;
    uint64_t under_way = 0;
    enum err e =
        relay_nonce_at_least(tx, relay->chain_id, &c->wallet, queue->next[wallet], &nonce, why);
    if (e == OK) {
        e = inflight(tx, relay->chain_id, &c->wallet, &under_way, why);
    }
    if (e != OK || under_way >= relay->config.inflight_max) {
        return e;
    }
    const struct tx content = {
        .kind = queue->fee.legacy ? TX_LEGACY : TX_EIP1559,
        .chain_id = relay->chain_id,
        .nonce = nonce,
        .fee_max = queue->fee.max,
        .fee_priority = queue->fee.priority,
        .gas_limit = c->gas_limit,
        .has_to = c->has_to,
        .to = c->to,
        .value = c->value,
        .data = c->data,
    };
    struct slice raw;
    struct hash hash;
    e = relay_sign(relay, &c->wallet, &content, &raw, &hash, &c->why);
    if (e != OK) {
        /* A signer that is away must not hold up the other wallets; no nonce was taken. */
        put_off(c, e, RELAY_RETRY_USEC);
        return store_later(tx, c, why);
    }
    bool done = false;
    e = store_signed(tx, c, nonce, &hash, &done, why);
    if (e != OK || !done) {
        return e; /* cancelled, or signed by another process: the nonce was not taken */
    }
    e = relay_attempt_put(tx, c->id, 1, &content, false, raw, &hash, why);
    if (e == OK) {
        e = relay_nonce_put(tx, relay->chain_id, &c->wallet, nonce + 1, why);
    }
    if (e == OK) {
        e = relay_tell(relay, tx, c->id, why);
    }
    c->done = e == OK;
    return e;
}

static enum err store_fates(struct store_tx *tx, void *ctx, struct why *why)
{
    struct queue *queue = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < queue->count; i++) {
        struct candidate *c = &queue->items[i];
        c->done = false;
        switch (c->fate) {
        case SIGN:
            e = sign_one(queue, tx, c, why);
            break;
        case FAIL:
            e = store_failed(queue->relay, tx, c, why);
            break;
        case LATER:
            e = store_later(tx, c, why);
            break;
        }
    }
    return e;
}

/* ---- reporting ---- */

static void report_one(const struct candidate *c)
{
    switch (c->fate) {
    case SIGN:
        metric_add(&relay_metrics[RELAY_METRIC_SIGNED], 1);
        return;
    case FAIL:
        metric_add(&relay_metrics[RELAY_METRIC_FAILED], 1);
        metric_add(&relay_metrics[RELAY_METRIC_REFUSED], c->err == ERR_POLICY_REFUSED);
        LOG(LOG_WARN, "relay.failed", log_slice("tx", c->id), log_slice("purpose", c->purpose),
            log_err(c->err), log_why(&c->why, c->err));
        return;
    case LATER:
        /* High fees are said once for all; a first doubt is nothing to speak of. */
        if (c->err != ERR_LIMIT && c->pause_usec > 0) {
            LOG(LOG_WARN, "relay.put_off", log_slice("tx", c->id), log_err(c->err),
                log_why(&c->why, c->err));
        }
        return;
    }
}

static bool report(const struct queue *queue)
{
    bool progress = false;
    for (size_t i = 0; i < queue->count; i++) {
        if (queue->items[i].done) {
            report_one(&queue->items[i]);
            progress = progress || queue->items[i].fate != LATER || queue->items[i].pause_usec == 0;
        }
    }
    return progress;
}

static void note_fees(struct relay *relay, const struct relay_fee *fee)
{
    if (fee->wait != relay->fees_high) {
        LOG(fee->wait ? LOG_WARN : LOG_INFO, fee->wait ? "relay.fees_high" : "relay.fees_normal",
            log_u64("chain", relay->chain_id), log_u256("base_wei", wei_raw(fee->base)),
            log_u256("max_wei", relay->config.fee_wei_max));
    }
    relay->fees_high = fee->wait;
}

static enum err store_decided(struct queue *queue, struct why *why)
{
    struct relay_holds holds;
    relay_holds_init(queue->relay, &holds);
    for (size_t i = 0; i < queue->count; i++) {
        relay_holds_add(queue->relay, &holds, &queue->items[i].wallet);
    }
    return relay_write(queue->relay, &holds, store_fates, queue, why);
}

enum err relay_pass_queued(struct relay *relay, bool *out_progress, struct why *why)
{
    struct queue queue = {.relay = relay};
    enum err e = store_read(relay->store, load, &queue, why);
    if (e != OK || queue.count == 0) {
        return e;
    }
    e = relay_fees(relay, &queue.fee, why);
    if (e != OK) {
        return e;
    }
    note_fees(relay, &queue.fee);
    judge_all(&queue);
    e = simulate(&queue, why);
    if (e == OK) {
        e = ask_counts(&queue, why);
    }
    if (e == OK) {
        e = store_decided(&queue, why);
    }
    if (e == OK) {
        *out_progress = report(&queue) || *out_progress;
    }
    return e;
}
