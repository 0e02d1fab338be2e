/* paywall_cashier.c: one request through the paywall (paywall.h has the picture). */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/paywall/paywall_internal.h"

/* ---- refusals ---- */

static enum err refuse(struct http_call *call, const struct paywall_passage *passage,
                       enum x402_reason reason, const struct why *said, struct why *why)
{
    bool has_said = said != NULL && said->err != OK;
    metric_add(&paywall_metrics[PAYWALL_METRIC_REFUSED], 1);
    paywall_tell_offer(call, passage, x402_reason_code(reason));
    return why_set(why, ERR_PAYMENT_REFUSED, NULL, "%s",
                   has_said ? said->text : "The payment is not taken; nothing was charged.");
}

static enum err refuse_pending(struct http_call *call, const struct paywall_passage *passage,
                               const struct hash *transaction, struct why *why)
{
    metric_add(&paywall_metrics[PAYWALL_METRIC_PENDING], 1);
    paywall_tell_settlement(call, passage, X402_SETTLEMENT_PENDING, transaction);
    struct json_out *details = http_details(call);
    json_begin_object(details);
    json_key(details, "reason");
    json_text(details, x402_reason_code(X402_SETTLEMENT_PENDING));
    json_key(details, "transaction");
    if (transaction != NULL) {
        json_hex(details, hash_slice(transaction));
    } else {
        json_null(details);
    }
    json_end_object(details);
    return why_set(why, ERR_PAYMENT_PENDING, NULL, "%s", err_sentence(ERR_PAYMENT_PENDING));
}

/* ---- what is asked for, and what came ---- */

static const struct paywall_price *price_of(const struct paywall *p, const struct http_route *route)
{
    return paywall_price_find(p, slice_text(route->operation));
}

static bool charges(void *ctx, const struct http_route *route)
{
    return price_of(ctx, route) != NULL;
}

/* Who asks for what: see "The same request" in paywall.h. */
static struct hash hash_of_request(const struct http_call *call)
{
    static const uint8_t zero = 0;
    bool keyed = call->idempotency_key.len > 0;
    const struct slice parts[] = {
        call->method,
        call->target,
        call->principal,
        call->idempotency_key,
        keyed ? SLICE_EMPTY : call->client,
    };
    struct hash digest;
    struct sha256 *stream = sha256_new();
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        sha256_update(stream, parts[i]);
        sha256_update(stream, slice_of(&zero, 1)); /* in none of the parts */
    }
    sha256_update(stream, call->body);
    sha256_final(stream, &digest);
    sha256_free(stream);
    return digest;
}

static enum err ask_price(const struct paywall *p, struct http_call *call,
                          struct paywall_passage *passage, struct why *why)
{
    const struct paywall_price *price = price_of(p, call->route);
    ASSERT(price != NULL);
    passage->price = price;
    if (price->quote != NULL) {
        enum err e = price->quote(price->ctx, call, &passage->quote, why);
        if (e != OK) {
            return e;
        }
    } else {
        passage->quote =
            (struct paywall_quote){.amount = p->amounts[price - p->prices], .pay_to = p->pay_to};
    }
    ASSERT(!u256_is_zero(passage->quote.amount));
    passage->offer = paywall_offer_of(p, &passage->quote);
    struct slice said = passage->quote.description;
    passage->resource = paywall_resource_of(p, call, call->target,
                                            said.len > 0 ? said : slice_text(call->route->summary));
    return OK;
}

/*
 * Reads the payment as far as it has a name. *out_reason is not X402_OK when it has none: then it
 * is refused.
 */
static bool read_payment(struct http_call *call, struct paywall_passage *passage,
                         enum x402_reason *out_reason, struct why *said)
{
    struct slice v2 = http_header(call, "PAYMENT-SIGNATURE");
    struct slice v1 = http_header(call, "X-PAYMENT");
    struct x402_payment payment;
    passage->version = v2.len > 0 ? X402_V2 : X402_V1;
    if (v2.len == 0 && v1.len == 0) {
        return false;
    }
    *out_reason = X402_UNSUPPORTED_PAYLOAD;
    if (x402_payment_decode(call->req, passage->version, v2.len > 0 ? v2 : v1, &payment, said) !=
        OK) {
        return true;
    }
    if (x402_offer_match(&payment, &passage->offer, 1) == NULL) {
        (void)why_set(said, ERR_PAYMENT_REFUSED, NULL,
                      "The payment is for another offer than that of this moment.");
        *out_reason = X402_NO_OFFER;
        return true;
    }
    struct buf json;
    buf_init(&json, call->req, 512);
    json_write(&json, payment.payload);
    passage->payload_json = buf_slice(&json);
    *out_reason = x402_exact_read(payment.payload, &passage->offer, &passage->authorization, said);
    if (*out_reason == X402_OK) {
        passage->key = x402_key_of(&passage->offer, &passage->authorization);
        passage->request_hash = hash_of_request(call);
    }
    return true;
}

/* ---- what is known of it ---- */

struct lookup {
    const struct paywall_passage *passage;
    struct arena *arena;
    struct x402_record record;
    struct http_toll *toll;
    bool kept;
};

static enum err lookup_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct lookup *l = ctx;
    enum err e = x402_payment_get(tx, l->arena, &l->passage->key, &l->record, why);
    if (e == OK && l->record.state == X402_SETTLED) {
        e = paywall_answer_find(tx, l->arena, &l->passage->key, l->toll, &l->kept, why);
    }
    return e;
}

/* It was settled for this request: receipt and answer again. */
static enum err tell_again(struct http_call *call, struct lookup *l, struct why *why)
{
    paywall_tell_settlement(call, l->passage, X402_OK, &l->record.transaction);
    if (!l->kept) {
        l->toll->told = false;
        return why_set(why, ERR_PAYMENT_USED, NULL, "%s", err_sentence(ERR_PAYMENT_USED));
    }
    metric_add(&paywall_metrics[PAYWALL_METRIC_TOLD], 1);
    return OK;
}

static enum err answer_known(struct http_call *call, struct lookup *l, struct why *why)
{
    const struct x402_record *r = &l->record;
    switch (x402_verdict_of(r, &l->passage->request_hash)) {
    case X402_RECEIPT:
        return tell_again(call, l, why);
    case X402_TOLD_LATER:
        return refuse_pending(call, l->passage, &r->transaction, why);
    case X402_IN_PROGRESS:
        return why_set(why, ERR_IN_PROGRESS, NULL,
                       "A request with this payment is under way: send the same again shortly.");
    case X402_RUN:
    case X402_USED:
        break;
    }
    return refuse(call, l->passage, X402_NONCE_USED, NULL, why);
}

/* Whether the request that settled it may be gone: then this one goes on. */
static bool may_be_left(const struct paywall *p, const struct x402_record *r)
{
    return r->state == X402_PENDING || (r->state == X402_SETTLING &&
                                        clock_wall_usec() - r->reserved_usec > p->config.wait_usec);
}

/* *out_known is false for a payment that nobody has taken. */
static enum err look_up(const struct paywall *p, struct http_call *call,
                        struct paywall_passage *passage, struct http_toll *toll, bool *out_known,
                        struct why *why)
{
    struct lookup l = {.passage = passage, .arena = call->req, .toll = toll};
    struct why unknown = {.err = OK};
    struct paywall_outcome outcome;
    enum err e = store_read(p->store, lookup_tx, &l, &unknown);
    *out_known = e != ERR_NOT_FOUND;
    if (e == ERR_NOT_FOUND) {
        return OK;
    }
    if (e == OK && may_be_left(p, &l.record) &&
        paywall_settle_again(p, call->req, &passage->key, 0, &outcome, NULL) == OK) {
        e = store_read(p->store, lookup_tx, &l, &unknown);
    }
    return e == OK ? answer_known(call, &l, why)
                   : why_set(why, e, NULL, "%s", why_text(&unknown, e));
}

/* ---- taking it ---- */

struct reserve {
    const struct x402_reservation *reservation;
    struct arena *arena;
    enum x402_verdict verdict;
    struct x402_record record;
};

static enum err reserve_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct reserve *r = ctx;
    return x402_reserve(tx, r->arena, r->reservation, clock_wall_usec(), &r->verdict, &r->record,
                        why);
}

static enum err take(const struct paywall *p, struct http_call *call,
                     struct paywall_passage *passage, struct http_toll *toll, struct why *why)
{
    const struct x402_authorization *a = &passage->authorization;
    const struct x402_reservation reservation = {
        .key = passage->key,
        .pay_to = a->to,
        .amount = a->value,
        .valid_before = a->valid_before,
        .resource = slice_sub(passage->resource.url, 0, X402_RESOURCE_MAX),
        .request_hash = passage->request_hash,
        .payload_json = passage->payload_json,
    };
    struct reserve r = {.reservation = &reservation, .arena = call->req};
    enum err e = store_write(p->store, reserve_tx, &r, why);
    if (e != OK || r.verdict == X402_RUN) {
        return e;
    }
    bool known = false;
    return look_up(p, call, passage, toll, &known, why);
}

static enum err enter(void *ctx, struct http_call *call, struct http_toll *toll, struct why *why)
{
    const struct paywall *p = ctx;
    struct paywall_passage *passage = arena_alloc(call->req, sizeof *passage);
    struct why said = {.err = OK};
    enum x402_reason reason = X402_OK;
    bool known = false;
    *passage = (struct paywall_passage){.price = NULL};
    toll->state = passage;
    enum err e = ask_price(p, call, passage, why);
    if (e != OK) {
        return e;
    }
    if (!read_payment(call, passage, &reason, &said)) {
        metric_add(&paywall_metrics[PAYWALL_METRIC_OFFERED], 1);
        paywall_tell_offer(call, passage, NULL);
        return why_set(why, ERR_PAYMENT_REQUIRED, NULL, "%s", err_sentence(ERR_PAYMENT_REQUIRED));
    }
    if (reason != X402_OK) {
        return refuse(call, passage, reason, &said, why);
    }
    /* Before its terms: one that was settled is told of after its time, too. */
    e = look_up(p, call, passage, toll, &known, why);
    if (e != OK || known) {
        return e;
    }
    e = paywall_can_settle(p, why);
    reason = x402_exact_terms(&passage->authorization, &passage->offer, clock_wall_usec(), &said);
    if (e == OK && reason == X402_OK) {
        e = paywall_simulate(p, call->req, &passage->authorization, &reason, &said, why);
    }
    if (e != OK) {
        return e;
    }
    return reason == X402_OK ? take(p, call, passage, toll, why)
                             : refuse(call, passage, reason, &said, why);
}

/* ---- letting the answer go ---- */

static enum err leave(void *ctx, struct http_call *call, struct http_toll *toll, struct why *why)
{
    const struct paywall *p = ctx;
    const struct paywall_passage *passage = toll->state;
    const struct paywall_sale sale = {
        .key = passage->key,
        .pay_to = passage->authorization.to,
        .amount = passage->authorization.value,
        .valid_before = passage->authorization.valid_before,
        .operation = slice_text(call->route->operation),
        .detail = passage->quote.detail,
    };
    struct slice intent_id = SLICE_EMPTY;
    struct paywall_outcome outcome = {.state = X402_SETTLING};
    struct why unsettled = {.err = OK};
    int64_t begun = clock_mono_usec();
    enum err e =
        paywall_settle_begin(p, call->req, &sale, &passage->authorization, toll, &intent_id, why);
    if (e != OK) {
        return e;
    }
    e = paywall_settle_go_on(p, call->req, &sale, intent_id, p->config.wait_usec, &outcome,
                             &unsettled);
    if (e != OK) {
        LOG(LOG_WARN, "x402.settlement_unknown", log_slice("req", call->request_id),
            log_why(&unsettled, e));
        outcome = (struct paywall_outcome){.state = X402_SETTLING};
    }
    metric_observe(&paywall_metrics[PAYWALL_METRIC_DURATION], clock_mono_usec() - begun);
    const struct hash *transaction = outcome.has_transaction ? &outcome.transaction : NULL;
    if (outcome.state == X402_SETTLED) {
        paywall_tell_settlement(call, passage, X402_OK, transaction);
        return OK;
    }
    if (outcome.state != X402_FAILED) {
        return refuse_pending(call, passage, transaction, why);
    }
    paywall_tell_settlement(call, passage, outcome.reason, transaction);
    return refuse(call, passage, outcome.reason, NULL, why);
}

struct failure {
    const struct x402_key *key;
};

static enum err fail_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct failure *f = ctx;
    return x402_failed(tx, f->key, X402_HANDLER_FAILED, clock_wall_usec(), why);
}

/* A row that stays RESERVED because this fails ends with the time of the payment. */
static void fail(void *ctx, struct http_call *call, struct http_toll *toll)
{
    const struct paywall *p = ctx;
    const struct paywall_passage *passage = toll->state;
    struct failure f = {.key = &passage->key};
    struct why why = {.err = OK};
    metric_add(&paywall_metrics[PAYWALL_METRIC_HANDLER_FAILED], 1);
    enum err e = store_write(p->store, fail_tx, &f, &why);
    if (e != OK) {
        LOG(LOG_WARN, "x402.reservation_left", log_slice("req", call->request_id),
            log_why(&why, e));
    }
}

void paywall_cashier_init(struct paywall *p)
{
    p->cashier = (struct http_cashier){
        .charges = charges, .enter = enter, .leave = leave, .fail = fail, .ctx = p};
}

const struct paywall_quote *paywall_quote_of(const struct http_call *call)
{
    const struct paywall_passage *passage = call->toll;
    ASSERT(passage != NULL);
    return &passage->quote;
}
