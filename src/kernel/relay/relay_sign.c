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
    const struct relay *relay;
    const struct relay_open *open;
    const struct relay_version *version;
    struct tx content;
    bool filler;
    struct slice raw;
    struct hash hash;
    bool done;
};

void relay_filler_make(struct tx *content, const struct address *wallet)
{
    content->has_to = true;
    content->to = *wallet;
    content->value = wei_of(U256_ZERO);
    content->data = SLICE_EMPTY;
    content->gas_limit = RELAY_FILL_GAS;
}

struct reading {
    struct arena *arena;
    struct slice id;
    struct tx *out;
};

/* What an intent wants does not change, so that it may be read before the transaction that stores.
 */
static enum err read_content(struct store_tx *tx, void *ctx, struct why *why)
{
    struct reading *r = ctx;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_attempt_content);
    store_bind_text(&q, "intent_id", r->id);
    if (store_step(&q)) {
        r->out->has_to = !store_is_null(&q, "to_address");
        store_get_fixed(&q, "to_address", r->out->to.bytes, ADDRESS_BYTES);
        r->out->value = wei_of(store_get_u256(&q, "value"));
        r->out->data = store_get_bytes(&q, "data", r->arena);
    }
    return store_finish_one(&q, "transaction", why);
}

static enum err update_resigned(struct store_tx *tx, const struct resign *r, bool *out_done,
                                struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_resign);
    store_bind_text(&q, "intent_id", r->open->id);
    store_bind_i64(&q, "attempt", r->open->attempt);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&r->hash));
    if (r->version->fill != OK) {
        store_bind_text(&q, "error_code", slice_text(err_code(r->version->fill)));
        store_bind_text(&q, "error", slice_text(why_text(r->version->why, r->version->fill)));
    } else {
        store_bind_null(&q, "error_code");
        store_bind_null(&q, "error");
    }
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    *out_done = e == OK && changed > 0;
    return e;
}

static enum err store_resigned(struct store_tx *tx, void *ctx, struct why *why)
{
    struct resign *r = ctx;
    const struct relay_open *o = r->open;
    bool done = false;
    r->done = false;
    enum err e = update_resigned(tx, r, &done, why);
    if (e == OK && done) {
        e = relay_attempt_put(tx, o->id, o->attempt + 1, &r->content, r->filler, r->raw, &r->hash,
                              why);
    }
    if (e == OK && done) {
        e = relay_tell(r->relay, tx, o->id, why);
    }
    r->done = e == OK && done;
    return e;
}

static enum err make_content(struct relay *relay, struct resign *r, const struct relay_offer *offer,
                             struct why *why)
{
    r->content = (struct tx){
        .kind = offer->legacy ? TX_LEGACY : TX_EIP1559,
        .chain_id = relay->chain_id,
        .nonce = r->open->nonce,
        .fee_max = offer->max,
        .fee_priority = offer->priority,
        .gas_limit = r->open->gas_limit,
    };
    if (r->filler) {
        relay_filler_make(&r->content, &r->open->wallet);
        return OK;
    }
    struct reading reading = {.arena = &relay->step, .id = r->open->id, .out = &r->content};
    return store_read(relay->store, read_content, &reading, why);
}

static void report_resigned(const struct resign *r)
{
    metric_add(&relay_metrics[RELAY_METRIC_SIGNED], 1);
    metric_add(&relay_metrics[r->filler ? RELAY_METRIC_FILLED : RELAY_METRIC_BUMPED], 1);
    LOG(LOG_WARN, "relay.resigned", log_slice("tx", r->open->id), log_u64("nonce", r->open->nonce),
        log_u64("attempt", r->open->attempt + 1), log_bool("filler", r->filler),
        log_err(r->version->fill));
}

enum err relay_resign(struct relay *relay, const struct relay_open *open,
                      const struct relay_version *version, bool *out_done, struct why *why)
{
    struct resign r = {.relay = relay,
                       .open = open,
                       .version = version,
                       .filler = version->fill != OK || open->filling};
    struct relay_fee fee;
    struct relay_offer offer;
    *out_done = false;
    enum err e = relay_fees(relay, &fee, why);
    if (e != OK) {
        return e;
    }
    relay_fee_offer(relay, &fee, open->priority, &offer);
    e = relay_fee_raise(relay, &offer, open->fee_max, open->fee_priority, version->bump_permille,
                        &offer, why);
    if (e == OK) {
        e = make_content(relay, &r, &offer, why);
    }
    if (e == OK) {
        e = relay_sign(relay, &open->wallet, &r.content, &r.raw, &r.hash, why);
    }
    if (e == OK) {
        e = relay_write_one(relay, &open->wallet, store_resigned, &r, why);
    }
    *out_done = e == OK && r.done;
    if (*out_done) {
        report_resigned(&r);
    }
    return e;
}
