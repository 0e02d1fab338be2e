/*
 * relay_fill.c: a nonce that the chain waits for and that nobody has.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

struct holder {
    bool held;
    struct slice id;
    enum relay_state state;
    uint32_t attempt;
    bool mined;
    bool filler;
};

struct fill {
    struct relay *relay;
    struct address wallet;
    uint64_t nonce;
    struct holder holder; /* the intent that had the nonce before the chain took it back */
    struct tx content;
    struct slice raw;
    struct hash hash;
    bool done;
};

static enum err read_holder(struct store_tx *tx, const struct fill *f, struct holder *out,
                            struct why *why)
{
    struct holder h = {.held = false};
    struct store_query q;
    store_begin(&q, tx, &relay_sql_nonce_holder);
    store_bind_i64(&q, "chain_id", (int64_t)f->relay->chain_id);
    store_bind_bytes(&q, "wallet", address_slice(&f->wallet));
    store_bind_i64(&q, "nonce", (int64_t)f->nonce);
    h.held = store_step(&q);
    if (h.held) {
        h.id = store_get_text(&q, "intent_id", &f->relay->step);
        h.state = (enum relay_state)store_get_i64(&q, "state");
        h.attempt = (uint32_t)store_get_i64(&q, "attempts");
        h.mined = store_get_bool(&q, "mined");
        h.filler = store_get_bool(&q, "filler");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = h;
    }
    return e;
}

/* An intent of the relay itself, which wants nothing but the nonce, and has it from the start. */
static enum err insert_filling(struct store_tx *tx, struct fill *f, struct why *why)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(&f->wallet, text);
    const struct relay_intent intent = {
        .key = slice_format(&f->relay->step, "relay.fill/%llu/%s/%llu",
                            (unsigned long long)f->relay->chain_id, text,
                            (unsigned long long)f->nonce),
        .chain_id = f->relay->chain_id,
        .wallet = f->wallet,
        .has_to = true,
        .to = f->wallet,
        .role = "relay",
        .purpose = "relay.fill",
        .gas_limit = RELAY_FILL_GAS,
    };
    enum err e = relay_submit(tx, &f->relay->step, &intent, &f->holder.id, why);
    if (e == OK) {
        e = relay_attempt_put(tx, f->holder.id, 1, &f->content, false, f->raw, &f->hash, why);
    }
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_sign);
    store_bind_text(&q, "intent_id", f->holder.id);
    store_bind_i64(&q, "nonce", (int64_t)f->nonce);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&f->hash));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

/* An intent that ended without its effect must not have it now: a filler takes its nonce. */
static enum err reopen(struct store_tx *tx, const struct fill *f, struct why *why)
{
    const struct holder *h = &f->holder;
    enum err e = relay_run_by_id(tx, &relay_sql_intent_reopen, h->id, why);
    if (e != OK || h->filler) {
        return e;
    }
    e = relay_attempt_put(tx, h->id, h->attempt + 1, &f->content, true, f->raw, &f->hash, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_resign);
    store_bind_text(&q, "intent_id", h->id);
    store_bind_i64(&q, "attempt", h->attempt);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&f->hash));
    store_bind_null(&q, "error_code");
    store_bind_null(&q, "error");
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

/* The block of its receipt is gone: its own bytes are sent again. */
static enum err take_back(struct store_tx *tx, const struct fill *f, struct why *why)
{
    struct relay_told told;
    relay_told_init(&told, &f->relay->step, 1);
    enum err e = relay_told_run(&told, tx, &relay_sql_intent_unmined, &f->holder.id, 1, why);
    return e == OK ? relay_tell_all(f->relay, tx, &told, why) : e;
}

static enum err run_fill(struct store_tx *tx, void *ctx, struct why *why)
{
    struct fill *f = ctx;
    f->done = false;
    enum err e = read_holder(tx, f, &f->holder, why);
    if (e != OK) {
        return e;
    }
    const struct holder *h = &f->holder;
    if (h->held && (h->state == RELAY_SIGNED || h->state == RELAY_SENT)) {
        return OK; /* it is open again: no gap */
    }
    if (!h->held) {
        e = insert_filling(tx, f, why);
    } else if (h->mined) {
        e = take_back(tx, f, why);
    } else {
        e = reopen(tx, f, why);
    }
    if (e == OK && !h->mined) {
        e = relay_tell(f->relay, tx, f->holder.id, why);
    }
    f->done = e == OK;
    return e;
}

/* The filler is signed beforehand; where the nonce turns out to have its own bytes it is dropped.
 */
enum err relay_fill(struct relay *relay, const struct address *wallet, uint64_t nonce,
                    struct why *why)
{
    struct fill f = {.relay = relay, .wallet = *wallet, .nonce = nonce};
    struct relay_fee fee;
    struct relay_offer offer;
    enum err e = relay_fees(relay, &fee, why);
    if (e != OK) {
        return e;
    }
    relay_fee_offer(relay, &fee, RELAY_NORMAL, &offer);
    f.content = (struct tx){
        .kind = offer.legacy ? TX_LEGACY : TX_EIP1559,
        .chain_id = relay->chain_id,
        .nonce = nonce,
        .fee_max = offer.max,
        .fee_priority = offer.priority,
    };
    relay_filler_make(&f.content, wallet);
    e = relay_sign(relay, wallet, SLICE_LIT("relay"), &f.content, &f.raw, &f.hash, why);
    if (e == OK) {
        e = relay_write_one(relay, wallet, run_fill, &f, why);
    }
    if (e == OK && f.done) {
        char text[ADDRESS_TEXT_MAX];
        address_format(wallet, text);
        metric_add(&relay_metrics[RELAY_METRIC_FILLED], 1);
        LOG(LOG_WARN, "relay.nonce_filled", log_text("wallet", text), log_u64("nonce", nonce),
            log_slice("tx", f.holder.id), log_bool("again", f.holder.held));
    }
    return e;
}
