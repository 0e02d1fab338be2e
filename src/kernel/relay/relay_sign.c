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

/* An empty transfer to the wallet itself: it takes a nonce, and has no other effect. */
static bool is_filler(const struct address *wallet, const struct tx *content)
{
    return content->has_to && address_equal(&content->to, wallet) && content->data.len == 0 &&
           u256_is_zero(wei_raw(content->value));
}

static enum err check_content(struct relay *relay, const struct address *wallet, struct slice role,
                              const struct tx *content, struct why *why)
{
    if (content->gas_limit > relay->config.gas_limit_max) {
        return why_set(why, ERR_POLICY_REFUSED, NULL,
                       "the gas limit of %llu is above relay.max_gas",
                       (unsigned long long)content->gas_limit);
    }
    return is_filler(wallet, content)
               ? OK
               : relay_policy_check(relay, &relay->step, wallet, role, content->has_to,
                                    &content->to, content->value, content->data, why);
}

enum err relay_sign(struct relay *relay, const struct address *wallet, struct slice role,
                    const struct tx *content, struct slice *out_raw, struct hash *out_hash,
                    struct why *why)
{
    const struct relay_signer *signer = relay_signer_find(relay, wallet);
    if (signer == NULL) {
        char text[ADDRESS_TEXT_MAX];
        address_format(wallet, text);
        return why_set(why, ERR_UNKNOWN_WALLET, NULL, "there is no key for the wallet %s", text);
    }
    struct slice raw = SLICE_EMPTY;
    struct hash hash = {{0}};
    enum err e = check_content(relay, wallet, role, content, why);
    if (e != OK) {
        return e;
    }
    e = signer->sign(signer->ctx, &relay->step, content, &raw, &hash, why);
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

void relay_attempt_bind(struct store_query *q, struct slice id, uint32_t attempt,
                        const struct tx *content, bool filler, struct slice raw,
                        const struct hash *hash)
{
    store_bind_text(q, "intent_id", id);
    store_bind_i64(q, "attempt", attempt);
    store_bind_bytes(q, "transaction_hash", hash_slice(hash));
    store_bind_bytes(q, "raw", raw);
    store_bind_u256(q, "fee_max", wei_raw(content->fee_max));
    store_bind_u256(q, "fee_priority", wei_raw(content->fee_priority));
    store_bind_i64(q, "gas_limit", (int64_t)content->gas_limit);
    store_bind_bool(q, "filler", filler);
    store_bind_time(q, "now", clock_wall_usec());
}

enum err relay_attempt_put(struct store_tx *tx, struct slice id, uint32_t attempt,
                           const struct tx *content, bool filler, struct slice raw,
                           const struct hash *hash, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_attempt_insert);
    relay_attempt_bind(&q, id, attempt, content, filler, raw, hash);
    return store_finish(&q, NULL, why);
}

/* ---- another version at the same nonce ---- */

struct resign {
    const struct relay *relay;
    const struct relay_open *open;
    const struct relay_version *version;
    struct tx content;
    struct slice role;
    bool filler;
    enum err fill; /* as in the version, or the policy's refusal of what the rows say now */
    const struct why *fill_why;
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
    struct slice *out_role;
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
        *r->out_role = store_get_text(&q, "role", r->arena);
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
    if (r->fill != OK) {
        store_bind_text(&q, "error_code", slice_text(err_code(r->fill)));
        store_bind_text(&q, "error", slice_text(why_text(r->fill_why, r->fill)));
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
    struct reading reading = {
        .arena = &relay->step, .id = r->open->id, .out = &r->content, .out_role = &r->role};
    return store_read(relay->store, read_content, &reading, why);
}

static void report_resigned(const struct resign *r)
{
    metric_add(&relay_metrics[RELAY_METRIC_SIGNED], 1);
    metric_add(&relay_metrics[r->filler ? RELAY_METRIC_FILLED : RELAY_METRIC_BUMPED], 1);
    LOG(LOG_WARN, "relay.resigned", log_slice("tx", r->open->id), log_u64("nonce", r->open->nonce),
        log_u64("attempt", r->open->attempt + 1), log_bool("filler", r->filler), log_err(r->fill));
}

/*
 * Has the bytes made. What the policy does not allow (any more) is not signed again: the nonce gets
 * an empty transfer.
 */
static enum err make_version(struct relay *relay, struct resign *r, const struct relay_offer *offer,
                             struct why *refusal, struct why *why)
{
    enum err e = make_content(relay, r, offer, why);
    if (e != OK) {
        return e;
    }
    e = relay_sign(relay, &r->open->wallet, r->role, &r->content, &r->raw, &r->hash, refusal);
    if (e == ERR_POLICY_REFUSED && !r->filler) {
        r->filler = true;
        r->fill = e;
        r->fill_why = refusal;
        relay_filler_make(&r->content, &r->open->wallet);
        return relay_sign(relay, &r->open->wallet, r->role, &r->content, &r->raw, &r->hash, why);
    }
    if (e != OK && why != NULL) {
        *why = *refusal;
    }
    return e;
}

enum err relay_resign(struct relay *relay, const struct relay_open *open,
                      const struct relay_version *version, bool *out_done, struct why *why)
{
    struct resign r = {.relay = relay,
                       .open = open,
                       .version = version,
                       .filler = version->fill != OK || open->filling,
                       .fill = version->fill,
                       .fill_why = version->why};
    struct why refusal = {0};
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
        e = make_version(relay, &r, &offer, &refusal, why);
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
