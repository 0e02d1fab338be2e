#include "kernel/paywall/paywall_internal.h"
#include "kernel/paywall/paywall_sql.h"

static void begin_for(struct store_query *q, struct store_tx *tx, const struct store_statement *s,
                      const struct x402_key *key)
{
    store_begin(q, tx, s);
    store_bind_i64(q, "chain_id", (int64_t)key->chain_id);
    store_bind_bytes(q, "asset", address_slice(&key->asset));
    store_bind_bytes(q, "payer", address_slice(&key->payer));
    store_bind_bytes(q, "nonce", hash_slice(&key->nonce));
}

static void bind_text_or_null(struct store_query *q, const char *name, struct slice text)
{
    if (text.len > 0) {
        store_bind_text(q, name, text);
    } else {
        store_bind_null(q, name);
    }
}

enum err paywall_sale_insert(struct store_tx *tx, const struct paywall_sale *sale,
                             struct slice intent_id, const struct http_toll *answer,
                             struct why *why)
{
    struct store_query q;
    begin_for(&q, tx, &paywall_sql_sale_insert, &sale->key);
    store_bind_text(&q, "operation", sale->operation);
    store_bind_json(&q, "detail", sale->detail.len > 0 ? sale->detail : SLICE_LIT("{}"));
    store_bind_text(&q, "intent_id", intent_id);
    store_bind_i64(&q, "status", answer != NULL ? answer->status : 0);
    bind_text_or_null(
        &q, "content_type",
        slice_text(answer != NULL && answer->content_type ? answer->content_type : ""));
    bind_text_or_null(&q, "location", answer != NULL ? answer->location : SLICE_EMPTY);
    if (answer != NULL) {
        store_bind_bytes(&q, "body", answer->body.ptr ? answer->body : SLICE_LIT(""));
    } else {
        store_bind_null(&q, "body");
    }
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

enum err paywall_sale_find(struct store_tx *tx, struct arena *arena, const struct x402_key *key,
                           struct paywall_sale *out, struct slice *out_intent_id, struct why *why)
{
    struct paywall_sale sale = {.key = *key};
    struct slice intent_id = SLICE_EMPTY;
    struct store_query q;
    begin_for(&q, tx, &paywall_sql_sale_find, key);
    if (store_step(&q)) {
        sale.operation = store_get_text(&q, "operation", arena);
        sale.detail = store_get_text(&q, "detail", arena);
        intent_id = store_get_text(&q, "intent_id", arena);
        store_get_fixed(&q, "pay_to", sale.pay_to.bytes, ADDRESS_BYTES);
        sale.amount = store_get_u256(&q, "amount");
        sale.valid_before = store_get_u256(&q, "valid_before");
    }
    enum err e = store_finish_one(&q, "sale", why);
    if (e == OK) {
        *out = sale;
        *out_intent_id = intent_id;
    }
    return e;
}

enum err paywall_answer_find(struct store_tx *tx, struct arena *arena, const struct x402_key *key,
                             struct http_toll *out, bool *out_kept, struct why *why)
{
    struct http_toll answer = {.told = true};
    bool kept = false;
    struct store_query q;
    begin_for(&q, tx, &paywall_sql_answer_find, key);
    if (store_step(&q)) {
        answer.status = (int)store_get_i64(&q, "status");
        struct slice type = store_get_text(&q, "content_type", arena);
        answer.content_type = type.len > 0 ? slice_cstr(arena, type) : NULL;
        answer.location = store_get_text(&q, "location", arena);
        kept = !store_is_null(&q, "body");
        answer.body = store_get_bytes(&q, "body", arena);
    }
    enum err e = store_finish_one(&q, "answer", why);
    if (e == OK) {
        *out_kept = kept;
        answer.state = out->state;
        *out = answer;
    }
    return e;
}
