/*
 * relay_queue.c: queued intents are judged, simulated, and signed, failed or put off.
 */
#include "kernel/relay/relay_queue.h"
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_sql.h"

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
    c->priority = (enum relay_priority)store_get_i64(q, "priority");
    c->tries = (uint32_t)store_get_i64(q, "tries");
    bool waits = !store_is_null(q, "after_id");
    bool known = !store_is_null(q, "after_state");
    c->after_missing = waits && !known;
    c->after_state = known ? (enum relay_state)store_get_i64(q, "after_state") : 0;
    (void)store_get_text(q, "after_id", arena);
    (void)store_get_i64(q, "after_state");
    c->behind = store_get_bool(q, "behind");
}

void relay_bind_ages(const struct relay *relay, struct store_query *q, int64_t now_usec)
{
    int64_t aging = relay->config.aging_usec;
    store_bind_time(q, "aged", aging > 0 ? now_usec - aging : 0);
    store_bind_time(q, "aged_twice", aging > 0 ? now_usec - 2 * aging : 0);
}

static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    struct relay_queue *queue = ctx;
    struct relay *relay = queue->relay;
    size_t cap = (size_t)relay->config.batch_max;
    int64_t now = clock_wall_usec();
    queue->items = arena_alloc_array(&relay->step, cap, sizeof *queue->items);
    queue->count = 0;
    queue->read_usec = now;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_queued_list);
    store_bind_text(&q, "owner", slice_text(relay->leased ? store_process_id(relay->store) : ""));
    store_bind_bool(&q, "watches", relay_watches(relay));
    store_bind_i64(&q, "chain_id", (int64_t)relay->chain_id);
    store_bind_time(&q, "now", now);
    store_bind_time(&q, "far", now + RELAY_FAR_USEC);
    relay_bind_ages(relay, &q, now);
    store_bind_i64(&q, "inflight_max", (int64_t)relay->config.inflight_max);
    store_bind_i64(&q, "max_rows", (int64_t)cap);
    while (store_step(&q)) {
        ASSERT(queue->count < cap);
        struct relay_candidate *c = &queue->items[queue->count];
        read_candidate(&q, &relay->step, c);
        queue->count += relay_works_on(relay, &c->wallet) || relay_is_unknown(relay, &c->wallet);
    }
    return store_finish(&q, NULL, why);
}

/* ---- deciding ---- */

void relay_fail(struct relay_candidate *c, enum err e)
{
    c->fate = RELAY_FAIL;
    c->err = e;
}

void relay_put_off(struct relay_candidate *c, enum err e, int64_t pause_usec)
{
    c->fate = RELAY_LATER;
    c->err = e;
    c->pause_usec = pause_usec;
}

/* Everything that can be refused without asking a node. */
static enum err judge(const struct relay *relay, struct arena *scratch,
                      const struct relay_candidate *c, struct why *why)
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
    return relay_policy_check(relay, scratch, &c->wallet, c->role, c->has_to, &c->to, c->value,
                              c->data, why);
}

static void judge_all(struct relay_queue *queue)
{
    struct relay *relay = queue->relay;
    for (size_t i = 0; i < queue->count; i++) {
        struct relay_candidate *c = &queue->items[i];
        enum err e = judge(relay, &relay->step, c, &c->why);
        if (e != OK) {
            relay_fail(c, e);
        } else if (queue->fee.wait) {
            relay_put_off(c,
                          why_set(&c->why, ERR_LIMIT, NULL, "the base fee is above relay.max_fee"),
                          RELAY_RETRY_USEC);
        }
    }
}

/* ---- storing ---- */

static enum err store_failed(struct relay *relay, struct store_tx *tx, struct relay_candidate *c,
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

static enum err store_later(const struct relay_queue *queue, struct store_tx *tx,
                            struct relay_candidate *c, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_put_off);
    store_bind_text(&q, "intent_id", c->id);
    store_bind_time(&q, "try_at", clock_wall_usec() + c->pause_usec);
    store_bind_i64(&q, "tries", c->tries + c->counts);
    store_bind_time(&q, "now", queue->read_usec);
    enum err e = store_finish(&q, &changed, why);
    c->done = e == OK && changed > 0;
    return e;
}

static enum err store_fates(struct store_tx *tx, void *ctx, struct why *why)
{
    struct relay_queue *queue = ctx;
    for (size_t i = queue->from; i < queue->to; i++) {
        queue->items[i].done = false;
    }
    enum err e = relay_store_signed(queue, tx, why);
    for (size_t i = queue->from; e == OK && i < queue->to; i++) {
        struct relay_candidate *c = &queue->items[i];
        switch (c->fate) {
        case RELAY_SIGN:
            break; /* stored with the others */
        case RELAY_FAIL:
            e = store_failed(queue->relay, tx, c, why);
            break;
        case RELAY_LATER:
            e = store_later(queue, tx, c, why);
            break;
        }
    }
    return e;
}

/* ---- reporting ---- */

static void report_one(const struct relay_candidate *c)
{
    switch (c->fate) {
    case RELAY_SIGN:
        metric_add(&relay_metrics[RELAY_METRIC_SIGNED], 1);
        return;
    case RELAY_FAIL:
        metric_add(&relay_metrics[RELAY_METRIC_FAILED], 1);
        metric_add(&relay_metrics[RELAY_METRIC_REFUSED], c->err == ERR_POLICY_REFUSED);
        LOG(LOG_WARN, "relay.failed", log_slice("tx", c->id), log_slice("purpose", c->purpose),
            log_err(c->err), log_why(&c->why, c->err));
        return;
    case RELAY_LATER:
        /* High fees are said once for all; a first doubt is nothing to speak of. */
        if (c->err != ERR_LIMIT && c->pause_usec > 0) {
            LOG(LOG_WARN, "relay.put_off", log_slice("tx", c->id), log_err(c->err),
                log_why(&c->why, c->err));
        }
        return;
    }
}

static bool report(const struct relay_queue *queue)
{
    bool progress = false;
    for (size_t i = 0; i < queue->count; i++) {
        if (queue->items[i].done) {
            report_one(&queue->items[i]);
            progress =
                progress || queue->items[i].fate != RELAY_LATER || queue->items[i].pause_usec == 0;
        }
    }
    return progress;
}

static void note_fees(struct relay *relay, const struct relay_fee *fee)
{
    if (fee->wait != atomic_load(&relay->fees_high)) {
        LOG(fee->wait ? LOG_WARN : LOG_INFO, fee->wait ? "relay.fees_high" : "relay.fees_normal",
            log_u64("chain", relay->chain_id), log_u256("base_wei", wei_raw(fee->base)),
            log_u256("max_wei", relay->config.fee_wei_max));
    }
    atomic_store(&relay->fees_high, fee->wait);
}

static enum err store_decided(struct relay_queue *queue, struct why *why)
{
    struct relay_holds holds;
    relay_holds_init(queue->relay, &holds);
    for (size_t i = 0; i < queue->count; i++) {
        relay_holds_add(queue->relay, &holds, &queue->items[i].wallet);
    }
    enum err e = OK;
    for (size_t from = 0; e == OK && from < queue->count; from = queue->to) {
        size_t left = queue->count - from;
        queue->from = from;
        queue->to = from + (left < RELAY_STORED_MAX ? left : RELAY_STORED_MAX);
        e = relay_write(queue->relay, &holds, store_fates, queue, why);
        if (e == OK) {
            relay_signed_stored(queue);
        }
    }
    for (size_t i = queue->from; e != OK && i < queue->to; i++) {
        queue->items[i].done = false; /* it was taken back */
    }
    return e;
}

enum err relay_pass_queued(struct relay *relay, bool *out_progress, struct why *why)
{
    struct relay_queue queue = {.relay = relay};
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
    e = relay_simulate(&queue, why);
    if (e == OK) {
        e = relay_assign(&queue, why);
    }
    if (e == OK) {
        e = store_decided(&queue, why);
        *out_progress = report(&queue) || *out_progress;
    }
    return e;
}
