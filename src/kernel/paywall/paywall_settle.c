/*
 * paywall_settle.c: a payment from the success of its handler to its end. Whoever goes on does the
 * same: the handler's own request, the client that asks again, the job. Of two who end it at once
 * one does, and the other reads what became of it.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/paywall/paywall_internal.h"

#define KEY_BYTES_MAX 256
/* How often somebody else's transaction is looked for. */
#define LOOK_USEC ((int64_t)USEC_PER_SEC / 2)
/* How much later than the clock a block may be that still has an earlier time. */
#define TIME_SLACK_USEC (60 * (int64_t)USEC_PER_SEC)

/* ---- beginning ---- */

struct begin {
    const struct paywall *paywall;
    const struct paywall_sale *sale;
    const struct http_toll *answer;
    struct relay_intent intent;
    struct arena *arena;
    struct slice intent_id;
};

static enum err begin_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct begin *b = ctx;
    enum err e = x402_settling(tx, &b->sale->key, why);
    if (e == OK) {
        e = relay_submit(tx, b->arena, &b->intent, &b->intent_id, why);
    }
    return e == OK ? paywall_sale_insert(tx, b->sale, b->intent_id, b->answer, why) : e;
}

/* The intent's key names the payment. Owns: the arena. */
static struct slice intent_key(struct arena *arena, const struct x402_key *key)
{
    struct buf b;
    buf_init(&b, arena, KEY_BYTES_MAX);
    buf_format(&b, "x402/%llu/", (unsigned long long)key->chain_id);
    buf_add_hex(&b, address_slice(&key->asset));
    buf_add_byte(&b, '/');
    buf_add_hex(&b, address_slice(&key->payer));
    buf_add_byte(&b, '/');
    buf_add_hex(&b, hash_slice(&key->nonce));
    return buf_slice(&b);
}

/* The time after which the token takes the authorization no more; 0 beyond what a clock can say. */
static int64_t deadline_of(const struct x402_authorization *a)
{
    uint64_t sec = 0;
    if (u256_to_u64(a->valid_before, &sec) != OK || sec > (uint64_t)(INT64_MAX / USEC_PER_SEC)) {
        return 0;
    }
    return (int64_t)sec * (int64_t)USEC_PER_SEC;
}

static bool is_pooled(const struct paywall *p)
{
    return !p->names_wallet && relay_has_pool(p->relay);
}

enum err paywall_can_settle(const struct paywall *p, struct why *why)
{
    if (is_pooled(p) || (p->has_wallet && relay_has_wallet(p->relay, &p->wallet))) {
        return OK;
    }
    return why_set(why, ERR_UPSTREAM, NULL,
                   "Payments cannot be settled at the moment: no wallet is there that could send.");
}

enum err paywall_settle_begin(const struct paywall *p, struct arena *arena,
                              const struct paywall_sale *sale, const struct x402_authorization *a,
                              const struct http_toll *answer, struct slice *out_intent_id,
                              struct why *why)
{
    struct begin b = {
        .paywall = p,
        .sale = sale,
        .answer = answer,
        .arena = arena,
        .intent =
            {
                .key = intent_key(arena, &sale->key),
                .chain_id = sale->key.chain_id,
                .wallet = p->wallet,
                .pooled = is_pooled(p),
                .has_to = true,
                .to = sale->key.asset,
                .role = PAYWALL_ROLE,
                .purpose = PAYWALL_PURPOSE,
                .deadline_usec = deadline_of(a),
            },
    };
    enum err e = paywall_transfer_encode(arena, a, &b.intent.data, why);
    if (e == OK) {
        e = store_write(p->store, begin_tx, &b, why);
    }
    if (e == OK) {
        *out_intent_id = slice_copy(arena, b.intent_id);
    }
    return e;
}

/* ---- ending ---- */

struct end {
    const struct paywall *paywall;
    const struct paywall_sale *sale;
    struct slice intent_id;
    enum x402_reason reason; /* X402_OK: it ends well */
    bool has_transaction;
    struct hash transaction;
};

static enum err audit_end(struct store_tx *tx, const struct end *end, struct why *why)
{
    bool good = end->reason == X402_OK;
    struct arena scratch;
    struct buf details;
    struct json_out j;
    arena_init(&scratch, 0);
    buf_init(&details, &scratch, 512);
    json_out_init(&j, &details);
    json_begin_object(&j);
    json_key(&j, "operation");
    json_string(&j, end->sale->operation);
    json_key(&j, "payer");
    json_address(&j, &end->sale->key.payer);
    json_key(&j, "payTo");
    json_address(&j, &end->sale->pay_to);
    json_key(&j, "amount");
    json_u256(&j, end->sale->amount);
    if (!good) {
        json_key(&j, "reason");
        json_text(&j, x402_reason_code(end->reason));
    }
    json_end_object(&j);
    struct buf subject;
    buf_init(&subject, &scratch, 128);
    buf_add_text(&subject, "payment/");
    buf_add_hex(&subject, hash_slice(&end->sale->key.nonce));
    const struct audit_entry entry = {
        .action = &paywall_audit_actions[good ? PAYWALL_AUDIT_SETTLED : PAYWALL_AUDIT_FAILED],
        .actor_kind = AUDIT_SYSTEM,
        .actor = SLICE_LIT("x402"),
        .subject = buf_slice(&subject),
        .outcome = good ? AUDIT_DONE : AUDIT_FAILED,
        .details = buf_slice(&details),
        .transaction_id = end->intent_id,
    };
    enum err e = audit_write(tx, &entry, why);
    arena_free(&scratch);
    return e;
}

static enum err end_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct end *end = ctx;
    struct paywall_sale sale = *end->sale;
    const struct paywall_price *price = paywall_price_find(end->paywall, sale.operation);
    sale.settled_usec = clock_wall_usec();
    sale.transaction = end->transaction;
    enum err e = end->reason == X402_OK
                     ? x402_settled(tx, &sale.key, &sale.transaction, sale.settled_usec, why)
                     : x402_failed(tx, &sale.key, end->reason, sale.settled_usec, why);
    if (e == OK && end->reason == X402_OK && price != NULL && price->sold != NULL) {
        e = price->sold(tx, price->ctx, &sale, why);
    }
    return e == OK ? audit_end(tx, end, why) : e;
}

struct look {
    const struct x402_key *key;
    struct arena *arena;
    struct x402_record record;
};

static enum err look_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct look *look = ctx;
    return x402_payment_get(tx, look->arena, look->key, &look->record, why);
}

/* Somebody else was faster: what he wrote is the outcome. */
static enum err read_outcome(const struct paywall *p, struct arena *arena,
                             const struct x402_key *key, struct paywall_outcome *out,
                             struct why *why)
{
    struct look look = {.key = key, .arena = arena};
    enum err e = store_read(p->store, look_tx, &look, why);
    if (e == OK) {
        *out = (struct paywall_outcome){
            .state = look.record.state,
            .reason =
                look.record.state == X402_FAILED ? x402_reason_find(look.record.reason) : X402_OK,
            .has_transaction = look.record.has_transaction,
            .transaction = look.record.transaction,
        };
    }
    return e;
}

static enum err end_payment(struct end *end, struct arena *arena, struct paywall_outcome *out,
                            struct why *why)
{
    const struct paywall *p = end->paywall;
    struct why refused = {.err = OK};
    enum err e = store_write(p->store, end_tx, end, &refused);
    if (e == ERR_CONFLICT) {
        return read_outcome(p, arena, &end->sale->key, out, why);
    }
    if (e != OK) {
        return why_set(why, e, NULL, "%s", why_text(&refused, e));
    }
    bool good = end->reason == X402_OK;
    metric_add(&paywall_metrics[good ? PAYWALL_METRIC_SETTLED : PAYWALL_METRIC_FAILED], 1);
    *out = (struct paywall_outcome){
        .state = good ? X402_SETTLED : X402_FAILED,
        .reason = end->reason,
        .has_transaction = end->has_transaction,
        .transaction = end->transaction,
    };
    return OK;
}

/* ---- under way ---- */

static enum err pending_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct end *end = ctx;
    return x402_pending(tx, &end->sale->key, &end->transaction, why);
}

static enum err note_pending(struct end *end, struct arena *arena, struct paywall_outcome *out,
                             struct why *why)
{
    const struct paywall *p = end->paywall;
    struct why refused = {.err = OK};
    enum err e = end->has_transaction ? store_write(p->store, pending_tx, end, &refused) : OK;
    if (e == ERR_CONFLICT) {
        return read_outcome(p, arena, &end->sale->key, out, why);
    }
    if (e != OK) {
        return why_set(why, e, NULL, "%s", why_text(&refused, e));
    }
    *out = (struct paywall_outcome){
        .state = end->has_transaction ? X402_PENDING : X402_SETTLING,
        .reason = X402_SETTLEMENT_PENDING,
        .has_transaction = end->has_transaction,
        .transaction = end->transaction,
    };
    return OK;
}

static enum err judge_mined(struct end *end, struct arena *arena, struct paywall_outcome *out,
                            struct why *why)
{
    bool found = false;
    enum x402_reason reason = X402_OK;
    enum err e =
        paywall_receipt(end->paywall, arena, &end->transaction, end->sale, &found, &reason, why);
    if (e != OK) {
        return e;
    }
    if (!found || reason == X402_TRANSACTION) {
        /* The block fell out; the relay sends the same bytes again. */
        return note_pending(end, arena, out, why);
    }
    end->reason = reason;
    return end_payment(end, arena, out, why);
}

/* Whether the token takes the authorization no more, whatever block comes next. */
static bool is_over(const struct paywall_sale *sale)
{
    int64_t before = clock_wall_usec() - TIME_SLACK_USEC;
    return before > 0 &&
           u256_compare(sale->valid_before, u256_from_u64((uint64_t)(before / USEC_PER_SEC))) < 0;
}

static enum err judge_ended(struct end *end, struct arena *arena, struct paywall_outcome *out,
                            struct why *why)
{
    enum err e = paywall_settled_elsewhere(end->paywall, arena, end->sale, &end->transaction,
                                           &end->reason, why);
    if (e != OK) {
        return e;
    }
    if (end->reason == X402_TRANSACTION && !is_over(end->sale)) {
        *out = (struct paywall_outcome){
            .state = X402_SETTLING, .reason = X402_SETTLEMENT_PENDING, .unsure = true};
        return OK;
    }
    end->has_transaction = end->reason == X402_OK;
    return end_payment(end, arena, out, why);
}

static enum err go_on_once(const struct paywall *p, struct arena *arena,
                           const struct paywall_sale *sale, struct slice intent_id,
                           int64_t wait_usec, struct paywall_outcome *out, struct why *why)
{
    struct relay_row row;
    enum err e = relay_wait(p->store, arena, intent_id, wait_usec, &row, why);
    if (e != OK) {
        return e;
    }
    struct end end = {
        .paywall = p,
        .sale = sale,
        .intent_id = intent_id,
        .has_transaction = row.has_hash,
        .transaction = row.hash,
    };
    switch (row.state) {
    case RELAY_QUEUED:
    case RELAY_SIGNED:
    case RELAY_SENT:
        return note_pending(&end, arena, out, why);
    case RELAY_MINED:
        return judge_mined(&end, arena, out, why);
    case RELAY_REVERTED:
    case RELAY_FAILED:
    case RELAY_REPLACED:
    case RELAY_CANCELLED:
        return judge_ended(&end, arena, out, why);
    }
    return note_pending(&end, arena, out, why);
}

enum err paywall_settle_go_on(const struct paywall *p, struct arena *arena,
                              const struct paywall_sale *sale, struct slice intent_id,
                              int64_t wait_usec, struct paywall_outcome *out, struct why *why)
{
    int64_t deadline = clock_mono_usec() + wait_usec;
    for (;;) {
        int64_t left = deadline - clock_mono_usec();
        struct paywall_outcome outcome = {.unsure = false};
        enum err e = go_on_once(p, arena, sale, intent_id, left > 0 ? left : 0, &outcome, why);
        if (e != OK) {
            return e;
        }
        left = deadline - clock_mono_usec();
        if (!outcome.unsure || left <= 0) {
            *out = outcome;
            return OK;
        }
        clock_sleep_usec(left < LOOK_USEC ? left : LOOK_USEC);
    }
}

struct again {
    const struct x402_key *key;
    struct arena *arena;
    struct paywall_sale sale;
    struct slice intent_id;
};

static enum err again_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct again *again = ctx;
    return paywall_sale_find(tx, again->arena, again->key, &again->sale, &again->intent_id, why);
}

enum err paywall_settle_again(const struct paywall *p, struct arena *arena,
                              const struct x402_key *key, int64_t wait_usec,
                              struct paywall_outcome *out, struct why *why)
{
    struct again again = {.key = key, .arena = arena};
    enum err e = store_read(p->store, again_tx, &again, why);
    return e == OK
               ? paywall_settle_go_on(p, arena, &again.sale, again.intent_id, wait_usec, out, why)
               : e;
}
