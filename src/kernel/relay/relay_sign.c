/*
 * relay_sign.c: making signed bytes, and other versions of them at the same nonce.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

static bool same_content(const struct tx *a, const struct tx *b)
{
    return a->kind == b->kind && a->chain_id == b->chain_id && a->nonce == b->nonce &&
           a->gas_limit == b->gas_limit && a->has_to == b->has_to &&
           (!a->has_to || address_equal(&a->to, &b->to)) && wei_compare(a->value, b->value) == 0 &&
           wei_compare(a->fee_max, b->fee_max) == 0 &&
           (a->kind == TX_LEGACY || wei_compare(a->fee_priority, b->fee_priority) == 0) &&
           slice_equal(a->data, b->data);
}

enum err relay_sign(struct relay *relay, const struct address *wallet, const struct tx *content,
                    struct slice *out_raw, struct hash *out_hash, struct why *why)
{
    const struct relay_signer *signer = relay_signer_find(relay, wallet);
    if (signer == NULL) {
        char text[ADDRESS_TEXT_MAX];
        address_format(wallet, text);
        return why_set(why, ERR_UNKNOWN_WALLET, NULL, "there is no key for the wallet %s", text);
    }
    struct slice raw = SLICE_EMPTY;
    struct hash hash = {{0}};
    enum err e = signer->sign(signer->ctx, &relay->step, content, &raw, &hash, why);
    if (e != OK) {
        return e;
    }
    struct tx parsed;
    struct address from;
    struct hash parsed_hash;
    e = tx_decode(&relay->step, raw, &parsed, &from, &parsed_hash, NULL);
    if (e != OK || !same_content(&parsed, content) || !address_equal(&from, wallet) ||
        !hash_equal(&parsed_hash, &hash)) {
        return why_set(why, ERR_CRYPTO, NULL,
                       "the signer returned something else than the signed transaction");
    }
    *out_raw = raw;
    *out_hash = hash;
    return OK;
}

enum err relay_attempt_put(struct store_tx *tx, struct slice id, uint32_t attempt,
                           const struct tx *content, bool filler, struct slice raw,
                           const struct hash *hash, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_attempt_insert);
    store_bind_text(&q, "intent_id", id);
    store_bind_i64(&q, "attempt", attempt);
    store_bind_bytes(&q, "transaction_hash", hash_slice(hash));
    store_bind_bytes(&q, "raw", raw);
    store_bind_u256(&q, "fee_max", wei_raw(content->fee_max));
    store_bind_u256(&q, "fee_priority", wei_raw(content->fee_priority));
    store_bind_i64(&q, "gas_limit", (int64_t)content->gas_limit);
    store_bind_bool(&q, "filler", filler);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

/* ---- another version at the same nonce ---- */

struct resign {
    struct relay *relay;
    const struct relay_open *open;
    const struct relay_version *version;
    struct relay_fee fee;
    bool done;
};

static void make_filler(struct tx *content, const struct address *wallet)
{
    content->has_to = true;
    content->to = *wallet;
    content->value = wei_of(U256_ZERO);
    content->data = SLICE_EMPTY;
    content->gas_limit = RELAY_FILL_GAS;
}

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
    }
    return store_finish_one(&q, "transaction", why);
}

static enum err update_resigned(struct store_tx *tx, const struct resign *r,
                                const struct hash *hash, bool *out_done, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_resign);
    store_bind_text(&q, "intent_id", r->open->id);
    store_bind_i64(&q, "attempt", r->open->attempt);
    store_bind_bytes(&q, "transaction_hash", hash_slice(hash));
    if (r->version->fill != OK) {
        store_bind_text(&q, "error_code", slice_text(err_code(r->version->fill)));
        store_bind_text(&q, "error", slice_text(why_text(r->version->why, r->version->fill)));
    } else {
        store_bind_null(&q, "error_code");
        store_bind_null(&q, "error");
    }
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    *out_done = changed > 0;
    return e;
}

static enum err run_resign(struct store_tx *tx, void *ctx, struct why *why)
{
    struct resign *r = ctx;
    const struct relay_open *o = r->open;
    bool filler = r->version->fill != OK || o->filling;
    struct tx content = {
        .kind = r->fee.legacy ? TX_LEGACY : TX_EIP1559,
        .chain_id = r->relay->chain_id,
        .nonce = o->nonce,
        .fee_max = r->fee.max,
        .fee_priority = r->fee.priority,
        .gas_limit = o->gas_limit,
    };
    enum err e = OK;
    r->done = false;
    if (filler) {
        make_filler(&content, &o->wallet);
    } else {
        e = read_content(tx, &r->relay->step, o->id, &content, why);
    }
    struct slice raw = SLICE_EMPTY;
    struct hash hash = {{0}};
    bool done = false;
    if (e == OK) {
        e = relay_sign(r->relay, &o->wallet, &content, &raw, &hash, why);
    }
    if (e == OK) {
        e = update_resigned(tx, r, &hash, &done, why);
    }
    if (e == OK && done) {
        e = relay_attempt_put(tx, o->id, o->attempt + 1, &content, filler, raw, &hash, why);
    }
    if (e == OK && done) {
        e = relay_tell(r->relay, tx, o->id, why);
    }
    r->done = e == OK && done;
    return e;
}

/* The larger of what the chain asks now and the old fee raised by the bump, capped. */
static enum err raise(const struct relay *relay, struct wei_amount now, struct wei_amount old,
                      unsigned percent, struct wei_amount *out, struct why *why)
{
    struct wei_amount raised = now;
    enum err e = OK;
    if (percent > 0) {
        e = wei_scale_percent(old, 100 + percent, &raised);
        if (e == OK) {
            e = wei_add(raised, wei_of(u256_from_u64(1)), &raised);
        }
    }
    raised = e == OK && wei_compare(now, raised) > 0 ? now : raised;
    if (e != OK || wei_compare(raised, wei_of(relay->config.fee_wei_max)) > 0) {
        return why_set(why, ERR_LIMIT, NULL, "a replacement would need a fee above relay.max_fee");
    }
    *out = raised;
    return OK;
}

enum err relay_resign(struct relay *relay, const struct relay_open *open,
                      const struct relay_version *version, bool *out_done, struct why *why)
{
    struct resign r = {.relay = relay, .open = open, .version = version};
    struct relay_fee now;
    unsigned percent = version->bump_percent;
    enum err e = relay_fees(relay, &now, why);
    if (e != OK) {
        return e;
    }
    r.fee = now;
    e = raise(relay, now.max, open->fee_max, percent, &r.fee.max, why);
    if (e == OK) {
        e = raise(relay, now.priority, open->fee_priority, percent, &r.fee.priority, why);
    }
    if (e == OK && wei_compare(r.fee.priority, r.fee.max) > 0) {
        r.fee.max = r.fee.priority;
    }
    if (e == OK) {
        e = relay_write_one(relay, &open->wallet, run_resign, &r, why);
    }
    if (e == OK && r.done) {
        bool filler = version->fill != OK || open->filling;
        metric_add(&relay_metrics[RELAY_METRIC_SIGNED], 1);
        metric_add(&relay_metrics[filler ? RELAY_METRIC_FILLED : RELAY_METRIC_BUMPED], 1);
        LOG(LOG_WARN, "relay.resigned", log_slice("tx", open->id), log_u64("nonce", open->nonce),
            log_u64("attempt", open->attempt + 1), log_bool("filler", filler),
            log_err(version->fill));
    }
    *out_done = e == OK && r.done;
    return e;
}

/* ---- a nonce that nobody has ---- */

struct fill {
    struct relay *relay;
    struct address wallet;
    uint64_t nonce;
    struct relay_fee fee;
    /* The intent that had the nonce before the chain took it back. */
    bool held;
    struct slice id;
    enum relay_state state;
    uint32_t attempt;
    bool mined;
    bool filler;
    bool done;
};

static enum err read_holder(struct store_tx *tx, struct fill *f, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_nonce_holder);
    store_bind_i64(&q, "chain_id", (int64_t)f->relay->chain_id);
    store_bind_bytes(&q, "wallet", address_slice(&f->wallet));
    store_bind_i64(&q, "nonce", (int64_t)f->nonce);
    f->held = store_step(&q);
    if (f->held) {
        f->id = store_get_text(&q, "intent_id", &f->relay->step);
        f->state = (enum relay_state)store_get_i64(&q, "state");
        f->attempt = (uint32_t)store_get_i64(&q, "attempts");
        f->mined = store_get_bool(&q, "mined");
        f->filler = store_get_bool(&q, "filler");
    }
    return store_finish(&q, NULL, why);
}

static enum err sign_filler(struct store_tx *tx, const struct fill *f, uint32_t attempt,
                            bool filler, struct hash *out_hash, struct why *why)
{
    struct tx content = {
        .kind = f->fee.legacy ? TX_LEGACY : TX_EIP1559,
        .chain_id = f->relay->chain_id,
        .nonce = f->nonce,
        .fee_max = f->fee.max,
        .fee_priority = f->fee.priority,
    };
    struct slice raw = SLICE_EMPTY;
    make_filler(&content, &f->wallet);
    enum err e = relay_sign(f->relay, &f->wallet, &content, &raw, out_hash, why);
    return e == OK ? relay_attempt_put(tx, f->id, attempt, &content, filler, raw, out_hash, why)
                   : e;
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
    struct hash hash = {{0}};
    enum err e = relay_submit(tx, &f->relay->step, &intent, &f->id, why);
    if (e == OK) {
        e = sign_filler(tx, f, 1, false, &hash, why);
    }
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_sign);
    store_bind_text(&q, "intent_id", f->id);
    store_bind_i64(&q, "nonce", (int64_t)f->nonce);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&hash));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

/* An intent that ended without its effect must not have it now: a filler takes its nonce. */
static enum err reopen(struct store_tx *tx, struct fill *f, struct why *why)
{
    enum err e = relay_run_by_id(tx, &relay_sql_intent_reopen, f->id, why);
    if (e != OK || f->filler) {
        return e;
    }
    struct hash hash = {{0}};
    e = sign_filler(tx, f, f->attempt + 1, true, &hash, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_resign);
    store_bind_text(&q, "intent_id", f->id);
    store_bind_i64(&q, "attempt", f->attempt);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&hash));
    store_bind_null(&q, "error_code");
    store_bind_null(&q, "error");
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err run_fill(struct store_tx *tx, void *ctx, struct why *why)
{
    struct fill *f = ctx;
    f->done = false;
    enum err e = read_holder(tx, f, why);
    if (e != OK) {
        return e;
    }
    if (f->held && (f->state == RELAY_SIGNED || f->state == RELAY_SENT)) {
        return OK; /* it is open again: no gap */
    }
    if (!f->held) {
        e = insert_filling(tx, f, why);
    } else if (f->mined) {
        e = relay_run_by_id(tx, &relay_sql_intent_unmined, f->id, why);
    } else {
        e = reopen(tx, f, why);
    }
    if (e == OK) {
        e = relay_tell(f->relay, tx, f->id, why);
    }
    f->done = e == OK;
    return e;
}

enum err relay_fill(struct relay *relay, const struct address *wallet, uint64_t nonce,
                    struct why *why)
{
    struct fill f = {.relay = relay, .wallet = *wallet, .nonce = nonce};
    enum err e = relay_fees(relay, &f.fee, why);
    if (e == OK) {
        e = relay_write_one(relay, wallet, run_fill, &f, why);
    }
    if (e == OK && f.done) {
        char text[ADDRESS_TEXT_MAX];
        address_format(wallet, text);
        metric_add(&relay_metrics[RELAY_METRIC_FILLED], 1);
        LOG(LOG_WARN, "relay.nonce_filled", log_text("wallet", text), log_u64("nonce", nonce),
            log_slice("tx", f.id), log_bool("again", f.held));
    }
    return e;
}
