/*
 * relay_sign.c: queued intents become signed bytes; stuck or refused ones get another version.
 */
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

struct queue {
    struct relay *relay;
    struct relay_candidate *items;
    size_t count;
    size_t done; /* decided in this pass: signed, failed or put off */
    bool legacy;
    struct wei_amount fee_max;
    struct wei_amount fee_priority;
};

/* ---- reading ---- */

static void read_candidate(struct store_query *q, struct arena *arena, struct relay_candidate *c)
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
    bool waits = !store_is_null(q, "after_id");
    bool known = !store_is_null(q, "after_state");
    c->after_missing = waits && !known;
    c->after_state = known ? (enum relay_state)store_get_i64(q, "after_state") : 0;
    (void)store_get_text(q, "after_id", arena);
    (void)store_get_i64(q, "after_state");
}

static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    struct queue *queue = ctx;
    struct relay *relay = queue->relay;
    size_t cap = (size_t)relay->config.batch_max;
    queue->items = arena_alloc_array(&relay->step, cap, sizeof *queue->items);
    queue->count = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_queued_list);
    store_bind_i64(&q, "chain_id", (int64_t)relay->chain_id);
    store_bind_time(&q, "now", clock_wall_usec());
    store_bind_i64(&q, "max_rows", (int64_t)cap);
    while (store_step(&q)) {
        ASSERT(queue->count < cap);
        read_candidate(&q, &relay->step, &queue->items[queue->count++]);
    }
    return store_finish(&q, NULL, why);
}

/* ---- deciding ---- */

/* Everything that can be refused without asking a node. */
static enum err judge(const struct relay *relay, struct arena *scratch,
                      const struct relay_candidate *c, struct why *why)
{
    if (relay_signer_find(relay, &c->wallet) == NULL) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&c->wallet, text);
        return why_set(why, ERR_UNKNOWN_WALLET, NULL, "there is no key for the wallet %s", text);
    }
    if (c->after_missing || (c->after_state != 0 && c->after_state != RELAY_MINED)) {
        return why_set(why, ERR_CONFLICT, NULL,
                       "the transaction that this one waited for did not succeed");
    }
    if (c->deadline_usec > 0 && clock_wall_usec() > c->deadline_usec) {
        return why_set(why, ERR_DEADLINE_EXPIRED, NULL,
                       "the deadline passed before the transaction was signed");
    }
    return relay_policy_check(relay, scratch, c->role, c->has_to, &c->to, c->data, why);
}

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

static void put_off(struct relay_candidate *c, enum err e, const struct why *why)
{
    c->later = true;
    c->verdict = e;
    c->why = *why;
}

/* Turns the node's answer to eth_estimateGas into a gas limit or a verdict. */
static void take_estimate(struct relay *relay, struct relay_candidate *c,
                          const struct rpc_call *call)
{
    if (call->err == ERR_REVERTED) {
        struct slice reason = abi_revert_format(&relay->step, call->error_data, relay->contracts,
                                                relay->contract_count);
        c->verdict =
            why_set(&c->why, ERR_REVERTED, NULL, "the call would revert: %.*s", SLICE_ARG(reason));
        return;
    }
    uint64_t gas = 0;
    if (call->err != OK || call->result == NULL || call->result->type != JSON_STRING ||
        hex_parse_u64(call->result->text, &gas) != OK) {
        enum err e = call->err != OK ? call->err : ERR_NODE_RESPONSE;
        put_off(c, e, &call->why);
        return;
    }
    gas += gas / 100 * relay->config.gas_margin_percent;
    if (c->gas_limit == 0) {
        c->gas_limit = gas;
    }
    if (c->gas_limit > relay->config.gas_limit_max) {
        c->verdict = why_set(&c->why, ERR_POLICY_REFUSED, NULL,
                             "the transaction needs %llu gas; relay.max_gas is %llu",
                             (unsigned long long)c->gas_limit,
                             (unsigned long long)relay->config.gas_limit_max);
    }
}

static enum err simulate(struct queue *queue, struct why *why)
{
    struct relay *relay = queue->relay;
    struct rpc_call *calls = arena_alloc_array(&relay->step, queue->count, sizeof *calls);
    struct relay_candidate **asked =
        arena_alloc_array(&relay->step, queue->count, sizeof(struct relay_candidate *));
    size_t count = 0;
    for (size_t i = 0; i < queue->count; i++) {
        struct relay_candidate *c = &queue->items[i];
        c->verdict = judge(relay, &relay->step, c, &c->why);
        if (c->verdict == OK) {
            calls[count] = (struct rpc_call){.method = "eth_estimateGas",
                                             .params = estimate_params(&relay->step, c)};
            asked[count++] = c;
        }
    }
    if (count == 0) {
        return OK;
    }
    enum err e = rpc_call_many(relay->rpc, &relay->step, RPC_ANY, calls, count, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        take_estimate(relay, asked[i], &calls[i]);
    }
    return e;
}

/* ---- storing ---- */

static enum err next_nonce(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                           uint64_t *out, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_wallet_get);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_bytes(&q, "address", address_slice(wallet));
    uint64_t nonce = 0;
    if (store_step(&q)) {
        nonce = (uint64_t)store_get_i64(&q, "next_nonce");
    }
    enum err e = store_finish_one(&q, "wallet", why);
    if (e == OK) {
        *out = nonce;
    }
    return e;
}

static enum err put_nonce(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                          uint64_t nonce, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_wallet_put);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_bytes(&q, "address", address_slice(wallet));
    store_bind_i64(&q, "next_nonce", (int64_t)nonce);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

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

static enum err end_intent(struct relay *relay, struct store_tx *tx, struct slice id,
                           enum relay_state state, enum err code, const struct why *reason,
                           struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &relay_sql_intent_end);
    store_bind_text(&q, "intent_id", id);
    store_bind_i64(&q, "state", (int64_t)state);
    store_bind_text(&q, "error_code", slice_text(err_code(code)));
    store_bind_text(&q, "error", slice_text(why_text(reason, code)));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    return e == OK && changed > 0 ? relay_tell(relay, tx, id, why) : e;
}

static enum err sign_one(struct queue *queue, struct store_tx *tx, struct relay_candidate *c,
                         struct why *why)
{
    struct relay *relay = queue->relay;
    uint64_t nonce = 0;
    uint64_t under_way = 0;
    enum err e = next_nonce(tx, relay->chain_id, &c->wallet, &nonce, why);
    if (e == OK) {
        e = inflight(tx, relay->chain_id, &c->wallet, &under_way, why);
    }
    if (e != OK || under_way >= relay->config.inflight_max) {
        return e;
    }
    const struct tx content = {
        .kind = queue->legacy ? TX_LEGACY : TX_EIP1559,
        .chain_id = relay->chain_id,
        .nonce = nonce,
        .fee_max = queue->fee_max,
        .fee_priority = queue->fee_priority,
        .gas_limit = c->gas_limit,
        .has_to = c->has_to,
        .to = c->to,
        .value = c->value,
        .data = c->data,
    };
    const struct relay_signer *signer = relay_signer_find(relay, &c->wallet);
    ASSERT(signer != NULL);
    struct slice raw;
    struct hash hash;
    e = signer->sign(signer->ctx, &relay->step, &content, &raw, &hash, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &relay_sql_intent_sign);
    store_bind_text(&q, "intent_id", c->id);
    store_bind_i64(&q, "nonce", (int64_t)nonce);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&hash));
    store_bind_time(&q, "now", clock_wall_usec());
    e = store_finish(&q, &changed, why);
    if (e != OK || changed == 0) {
        return e; /* cancelled meanwhile: the nonce was not taken */
    }
    e = relay_attempt_put(tx, c->id, 1, &content, raw, &hash, why);
    if (e == OK) {
        e = put_nonce(tx, relay->chain_id, &c->wallet, nonce + 1, why);
    }
    if (e == OK) {
        c->signed_ = true;
        e = relay_tell(relay, tx, c->id, why);
    }
    return e;
}

static enum err retry_at(struct store_tx *tx, struct slice id, int64_t usec, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_retry_at);
    store_bind_text(&q, "intent_id", id);
    store_bind_time(&q, "try_at", clock_wall_usec() + usec);
    return store_finish(&q, NULL, why);
}

static enum err store_verdicts(struct store_tx *tx, void *ctx, struct why *why)
{
    struct queue *queue = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < queue->count; i++) {
        struct relay_candidate *c = &queue->items[i];
        c->signed_ = false;
        if (c->later) {
            e = retry_at(tx, c->id, RELAY_RETRY_USEC, why);
        } else if (c->verdict != OK) {
            e = end_intent(queue->relay, tx, c->id, RELAY_FAILED, c->verdict, &c->why, why);
        } else {
            e = sign_one(queue, tx, c, why);
        }
    }
    return e;
}

static void report(struct queue *queue)
{
    for (size_t i = 0; i < queue->count; i++) {
        const struct relay_candidate *c = &queue->items[i];
        if (c->signed_) {
            queue->done++;
            metric_add(&relay_metrics[RELAY_METRIC_SIGNED], 1);
        } else if (c->later) {
            LOG(LOG_WARN, "relay.put_off", log_slice("tx", c->id), log_err(c->verdict),
                log_why(&c->why, c->verdict));
        } else if (c->verdict != OK) {
            queue->done++;
            metric_add(&relay_metrics[RELAY_METRIC_FAILED], 1);
            if (c->verdict == ERR_POLICY_REFUSED) {
                metric_add(&relay_metrics[RELAY_METRIC_REFUSED], 1);
            }
            LOG(LOG_WARN, "relay.failed", log_slice("tx", c->id), log_slice("purpose", c->purpose),
                log_err(c->verdict), log_why(&c->why, c->verdict));
        }
    }
}

enum err relay_pass_queued(struct relay *relay, bool *out_progress, struct why *why)
{
    struct queue queue = {.relay = relay};
    enum err e = store_read(relay->store, load, &queue, why);
    if (e != OK || queue.count == 0) {
        return e;
    }
    e = simulate(&queue, why);
    bool wait = false;
    if (e == OK) {
        e = relay_fees(relay, &queue.legacy, &queue.fee_max, &queue.fee_priority, &wait, why);
    }
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; wait && i < queue.count; i++) {
        if (queue.items[i].verdict == OK && !queue.items[i].later) {
            struct why fee = {0};
            enum err f = why_set(&fee, ERR_LIMIT, NULL, "the base fee is above relay.max_fee");
            put_off(&queue.items[i], f, &fee);
        }
    }
    e = store_write(relay->store, store_verdicts, &queue, why);
    if (e == OK) {
        report(&queue);
        *out_progress = *out_progress || queue.done > 0;
    }
    return e;
}

/* ---- another version at the same nonce ---- */

struct resign {
    struct relay *relay;
    const struct relay_open *open;
    enum err fill;
    const struct why *fill_why;
    bool legacy;
    struct wei_amount fee_max;
    struct wei_amount fee_priority;
};

static enum err read_content(struct store_tx *tx, struct arena *arena, struct slice id,
                             struct tx *out, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_attempt_content);
    store_bind_text(&q, "intent_id", id);
    if (store_step(&q)) {
        out->has_to = !store_is_null(&q, "to_address");
        store_get_fixed(&q, "to_address", out->to.bytes, ADDRESS_BYTES);
        out->value = wei_of(store_get_u256(&q, "value"));
        out->data = store_get_bytes(&q, "data", arena);
        (void)store_get_text(&q, "role", arena);
    }
    return store_finish_one(&q, "transaction", why);
}

static enum err run_resign(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct resign *r = ctx;
    struct relay *relay = r->relay;
    const struct relay_open *o = r->open;
    struct tx content = {
        .kind = r->legacy ? TX_LEGACY : TX_EIP1559,
        .chain_id = relay->chain_id,
        .nonce = o->nonce,
        .fee_max = r->fee_max,
        .fee_priority = r->fee_priority,
    };
    enum err e = OK;
    if (r->fill != OK || o->filling) {
        content.has_to = true;
        content.to = o->wallet;
        content.gas_limit = RELAY_FILL_GAS;
    } else {
        content.gas_limit = o->gas_limit;
        e = read_content(tx, &relay->step, o->id, &content, why);
    }
    const struct relay_signer *signer = relay_signer_find(relay, &o->wallet);
    if (e == OK && signer == NULL) {
        e = why_set(why, ERR_UNKNOWN_WALLET, NULL, "the wallet of an open transaction is gone");
    }
    struct slice raw;
    struct hash hash;
    if (e == OK && signer != NULL) {
        e = signer->sign(signer->ctx, &relay->step, &content, &raw, &hash, why);
    }
    if (e != OK) {
        return e;
    }
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &relay_sql_intent_resign);
    store_bind_text(&q, "intent_id", o->id);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&hash));
    if (r->fill != OK) {
        store_bind_text(&q, "error_code", slice_text(err_code(r->fill)));
        store_bind_text(&q, "error", slice_text(why_text(r->fill_why, r->fill)));
    } else {
        store_bind_null(&q, "error_code");
        store_bind_null(&q, "error");
    }
    store_bind_time(&q, "now", clock_wall_usec());
    e = store_finish(&q, &changed, why);
    if (e != OK || changed == 0) {
        return e;
    }
    return relay_attempt_put(tx, o->id, o->attempt + 1, &content, raw, &hash, why);
}

/* The larger of what the chain asks now and the old fee raised by the bump, capped. */
static enum err bumped(const struct relay *relay, struct wei_amount now, struct wei_amount old,
                       struct wei_amount *out, struct why *why)
{
    struct wei_amount raised;
    enum err e = wei_scale_percent(old, 100 + (unsigned)relay->config.bump_percent, &raised);
    if (e == OK) {
        e = wei_add(raised, wei_of(u256_from_u64(1)), &raised);
    }
    if (e != OK) {
        return why_set(why, e, NULL, "the raised fee is out of range");
    }
    *out = wei_compare(now, raised) > 0 ? now : raised;
    if (wei_compare(*out, wei_of(relay->config.fee_wei_max)) > 0) {
        return why_set(why, ERR_LIMIT, NULL, "a replacement would need a fee above relay.max_fee");
    }
    return OK;
}

enum err relay_resign(struct relay *relay, const struct relay_open *open, enum err fill,
                      const struct why *fill_why, struct why *why)
{
    struct resign r = {.relay = relay, .open = open, .fill = fill, .fill_why = fill_why};
    bool wait = false;
    struct wei_amount max;
    struct wei_amount priority;
    enum err e = relay_fees(relay, &r.legacy, &max, &priority, &wait, why);
    if (e == OK) {
        e = bumped(relay, max, open->fee_max, &r.fee_max, why);
    }
    if (e == OK) {
        e = bumped(relay, priority, open->fee_priority, &r.fee_priority, why);
    }
    if (e == OK && wei_compare(r.fee_priority, r.fee_max) > 0) {
        r.fee_max = r.fee_priority;
    }
    if (e == OK) {
        e = store_write(relay->store, run_resign, &r, why);
    }
    if (e == OK) {
        metric_add(&relay_metrics[RELAY_METRIC_SIGNED], 1);
        metric_add(&relay_metrics[RELAY_METRIC_BUMPED], 1);
        LOG(LOG_WARN, "relay.resigned", log_slice("tx", open->id), log_u64("nonce", open->nonce),
            log_u64("attempt", open->attempt + 1), log_bool("filler", fill != OK));
    }
    return e;
}
