#include "kernel/x402/x402_payments.h"

#include "kernel/base/check.h"
#include "kernel/x402/x402_payments_sql.h"

struct x402_key x402_key_of(const struct x402_offer *offer, const struct x402_authorization *a)
{
    return (struct x402_key){
        .chain_id = offer->chain_id, .asset = offer->asset, .payer = a->from, .nonce = a->nonce};
}

static void begin_for(struct store_query *q, struct store_tx *tx, const struct store_statement *s,
                      const struct x402_key *key)
{
    store_begin(q, tx, s);
    store_bind_i64(q, "chain_id", (int64_t)key->chain_id);
    store_bind_bytes(q, "asset", address_slice(&key->asset));
    store_bind_bytes(q, "payer", address_slice(&key->payer));
    store_bind_bytes(q, "nonce", hash_slice(&key->nonce));
}

enum err x402_payment_get(struct store_tx *tx, struct arena *arena, const struct x402_key *key,
                          struct x402_record *out, struct why *why)
{
    struct x402_record r = {0};
    struct store_query q;
    begin_for(&q, tx, &x402_payments_sql_get, key);
    if (store_step(&q)) {
        r.state = (enum x402_state)store_get_i64(&q, "state");
        store_get_fixed(&q, "request_hash", r.request_hash.bytes, HASH_BYTES);
        r.reason = store_get_text(&q, "reason", arena);
        struct slice transaction = store_get_bytes(&q, "transaction_hash", arena);
        r.has_transaction = transaction.len == HASH_BYTES;
        if (r.has_transaction) {
            memcpy(r.transaction.bytes, transaction.ptr, HASH_BYTES);
        }
        r.reserved_usec = store_get_time(&q, "reserved_at");
        r.ended_usec = store_get_time(&q, "ended_at");
    }
    enum err e = store_finish_one(&q, "payment", why);
    if (e == OK) {
        *out = r;
    }
    return e;
}

enum x402_verdict x402_verdict_of(const struct x402_record *r, const struct hash *request_hash)
{
    switch (r->state) {
    case X402_RESERVED:
    case X402_SETTLING:
        return X402_IN_PROGRESS;
    case X402_PENDING:
        return X402_TOLD_LATER;
    case X402_SETTLED:
        return hash_equal(&r->request_hash, request_hash) ? X402_RECEIPT : X402_USED;
    case X402_FAILED:
        break;
    }
    return X402_USED;
}

enum err x402_reserve(struct store_tx *tx, struct arena *arena, const struct x402_reservation *r,
                      int64_t now_usec, enum x402_verdict *out_verdict,
                      struct x402_record *out_record, struct why *why)
{
    if (r->resource.len == 0 || r->resource.len > X402_RESOURCE_MAX) {
        return why_set(why, ERR_INVALID_FIELD, "resource", "A resource has 1 to %d bytes.",
                       X402_RESOURCE_MAX);
    }
    int64_t changed = 0;
    struct x402_record record = {0};
    struct store_query q;
    begin_for(&q, tx, &x402_payments_sql_reserve, &r->key);
    store_bind_bytes(&q, "pay_to", address_slice(&r->pay_to));
    store_bind_u256(&q, "amount", r->amount);
    store_bind_u256(&q, "valid_before", r->valid_before);
    store_bind_text(&q, "resource", r->resource);
    store_bind_bytes(&q, "request_hash", hash_slice(&r->request_hash));
    store_bind_json(&q, "payload", r->payload_json);
    store_bind_time(&q, "now", now_usec);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && changed == 0) {
        e = x402_payment_get(tx, arena, &r->key, &record, why);
    }
    if (e == OK) {
        *out_verdict = changed == 1 ? X402_RUN : x402_verdict_of(&record, &r->request_hash);
        *out_record = record;
    }
    return e;
}

/* finish_move ends a statement that must have moved one row. */
static enum err finish_move(struct store_query *q, struct why *why)
{
    int64_t changed = 0;
    enum err e = store_finish(q, &changed, why);
    if (e == OK && changed == 0) {
        e = why_set(why, ERR_CONFLICT, NULL, "The payment is not known, or is in another state.");
    }
    return e;
}

enum err x402_settling(struct store_tx *tx, const struct x402_key *key, struct why *why)
{
    struct store_query q;
    begin_for(&q, tx, &x402_payments_sql_settling, key);
    return finish_move(&q, why);
}

enum err x402_pending(struct store_tx *tx, const struct x402_key *key,
                      const struct hash *transaction, struct why *why)
{
    struct store_query q;
    begin_for(&q, tx, &x402_payments_sql_pending, key);
    store_bind_bytes(&q, "transaction_hash", hash_slice(transaction));
    return finish_move(&q, why);
}

enum err x402_settled(struct store_tx *tx, const struct x402_key *key,
                      const struct hash *transaction, int64_t now_usec, struct why *why)
{
    struct store_query q;
    begin_for(&q, tx, &x402_payments_sql_settled, key);
    store_bind_bytes(&q, "transaction_hash", hash_slice(transaction));
    store_bind_time(&q, "now", now_usec);
    return finish_move(&q, why);
}

enum err x402_failed(struct store_tx *tx, const struct x402_key *key, enum x402_reason reason,
                     int64_t now_usec, struct why *why)
{
    ASSERT(reason != X402_OK);
    struct store_query q;
    begin_for(&q, tx, &x402_payments_sql_failed, key);
    store_bind_text(&q, "reason", slice_text(x402_reason_code(reason)));
    store_bind_time(&q, "now", now_usec);
    return finish_move(&q, why);
}

enum err x402_expire(struct store_tx *tx, int64_t now_usec, uint64_t limit, uint64_t *out_rows,
                     struct why *why)
{
    ASSERT(now_usec >= 0);
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &x402_payments_sql_expire);
    store_bind_u256(&q, "before", u256_from_u64((uint64_t)(now_usec / USEC_PER_SEC)));
    store_bind_text(&q, "reason", slice_text(x402_reason_code(X402_VALID_BEFORE)));
    store_bind_time(&q, "now", now_usec);
    store_bind_i64(&q, "limit", (int64_t)limit);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK) {
        *out_rows = (uint64_t)changed;
    }
    return e;
}
