/*
 * paywall_facilitator.c: the same checks and the same settlement for other resource servers, in the
 * words of the x402 facilitator API: answers are its objects, without our envelope. An invalid
 * payment is an answer (200 with the reason), a request that is none a refusal.
 *
 * Settling again, at once or later, finds the row of the payment: it is settled once, and everybody
 * who asks for the same transfer is told the same. A payment that another request or route has
 * taken is refused. A crash between taking and sending leaves RESERVED without an intent; the next
 * call goes on from there.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/paywall/paywall_internal.h"

#define OPERATION "facilitator"

/* What is asked about. */
struct asked {
    const struct paywall *paywall;
    struct http_call *call;
    enum x402_version version;
    const struct json *payload;
    struct x402_offer offer;
    struct x402_authorization authorization;
    struct x402_key key;
    struct hash request_hash;
    enum x402_reason reason; /* why it is invalid */
    bool has_payer;
    struct why said;
};

/* ---- reading ---- */

/* What was asked for, so that settling for other terms is something else. */
static struct hash hash_of_offer(struct arena *arena, const struct x402_offer *o)
{
    struct buf b;
    buf_init(&b, arena, 256);
    buf_add_text(&b, OPERATION "/");
    buf_add_hex(&b, address_slice(&o->pay_to));
    char amount[U256_TEXT_MAX];
    (void)u256_format(o->amount, amount);
    buf_format(&b, "/%s", amount);
    return sha256(buf_slice(&b));
}

/* Scheme and network of the payment itself, which must be those of the requirements. */
static enum x402_reason payment_matches(const struct asked *a, const struct json *payment)
{
    const struct json *of = a->version == X402_V2 ? json_find(payment, "accepted") : payment;
    const struct json *scheme = json_find(of, "scheme");
    const struct json *network = json_find(of, "network");
    char expected[X402_NETWORK_MAX];
    x402_network_format(a->version, a->offer.chain_id, expected);
    if (scheme == NULL || scheme->type != JSON_STRING || !slice_equal_text(scheme->text, "exact")) {
        return X402_SCHEME;
    }
    return network != NULL && network->type == JSON_STRING &&
                   slice_equal_text(network->text, expected)
               ? X402_OK
               : X402_NETWORK;
}

static enum err read_version(const struct json *body, enum x402_version *out, struct why *why)
{
    uint64_t version = 0;
    enum err e = json_get_u64(body, "x402Version", &version, why);
    if (e == OK && version != X402_V1 && version != X402_V2) {
        e = why_set(why, ERR_INVALID_FIELD, "x402Version", "x402Version is 1 or 2.");
    }
    if (e == OK) {
        *out = version == X402_V2 ? X402_V2 : X402_V1;
    }
    return e;
}

/* Reads and checks everything that needs no chain. Errors: the request is none. */
static enum err read_asked(struct http_call *call, struct asked *out, struct why *why)
{
    const struct paywall *p = call->ctx;
    const struct json *payment = NULL;
    const struct json *requirements = NULL;
    struct asked a = {.paywall = p, .call = call};
    if (!p->config.enabled) {
        return why_set(why, ERR_FORBIDDEN, NULL, "Payments are not taken here.");
    }
    enum err e = read_version(call->json, &a.version, why);
    if (e == OK) {
        e = json_get(call->json, "paymentPayload", JSON_OBJECT, &payment, why);
    }
    if (e == OK) {
        e = json_get(call->json, "paymentRequirements", JSON_OBJECT, &requirements, why);
    }
    if (e == OK) {
        e = json_get(payment, "payload", JSON_OBJECT, &a.payload, why);
    }
    if (e != OK) {
        return e;
    }
    a.reason = x402_offer_read(requirements, a.version, p->chain_id, &a.offer, &a.said);
    if (a.reason == X402_OK) {
        a.reason = payment_matches(&a, payment);
    }
    if (a.reason == X402_OK && !address_equal(&a.offer.asset, &p->asset)) {
        (void)why_set(&a.said, ERR_INVALID_FIELD, "asset", "This asset is not settled here.");
        a.reason = X402_NO_EIP3009;
    }
    if (a.reason == X402_OK) {
        a.reason = x402_exact_read(a.payload, &a.offer, &a.authorization, &a.said);
        a.has_payer = a.reason == X402_OK;
    }
    if (a.has_payer) {
        a.key = x402_key_of(&a.offer, &a.authorization);
        a.request_hash = hash_of_offer(call->req, &a.offer);
    }
    *out = a;
    return OK;
}

/* Terms and chain. Errors: of the nodes. */
static enum err check(struct asked *a, struct why *why)
{
    a->reason = x402_exact_terms(&a->authorization, &a->offer, clock_wall_usec(), &a->said);
    return a->reason == X402_OK ? paywall_simulate(a->paywall, a->call->req, &a->authorization,
                                                   &a->reason, &a->said, why)
                                : OK;
}

/* ---- verify ---- */

static void begin_answer(struct http_call *call, struct json_out *j)
{
    json_out_init(j, call->raw);
    call->content_type = "application/json";
}

static enum err verify(struct http_call *call, struct why *why)
{
    struct asked a = {.paywall = call->ctx};
    struct json_out j;
    enum err e = read_asked(call, &a, why);
    if (e == OK && a.has_payer) {
        e = check(&a, why);
    }
    if (e != OK) {
        return e;
    }
    begin_answer(call, &j);
    json_begin_object(&j);
    json_key(&j, "isValid");
    json_bool(&j, a.reason == X402_OK);
    if (a.reason != X402_OK) {
        json_key(&j, "invalidReason");
        json_text(&j, x402_reason_code(a.reason));
        json_key(&j, "invalidMessage");
        json_text(&j, a.said.err != OK ? a.said.text : "The payment is not valid.");
    }
    if (a.has_payer) {
        json_key(&j, "payer");
        json_address(&j, &a.key.payer);
    }
    json_end_object(&j);
    return OK;
}

/* ---- settle ---- */

struct take {
    const struct x402_reservation *reservation;
    struct arena *arena;
    enum x402_verdict verdict;
    struct x402_record record;
};

static enum err take_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct take *t = ctx;
    return x402_reserve(tx, t->arena, t->reservation, clock_wall_usec(), &t->verdict, &t->record,
                        why);
}

static enum err look_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct take *t = ctx;
    enum err e = x402_payment_get(tx, t->arena, &t->reservation->key, &t->record, why);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err start(const struct asked *a, struct paywall_outcome *out, struct why *why)
{
    const struct paywall_sale sale = {
        .key = a->key,
        .pay_to = a->offer.pay_to,
        .amount = a->offer.amount,
        .valid_before = a->authorization.valid_before,
        .operation = SLICE_LIT(OPERATION),
    };
    struct slice intent_id = SLICE_EMPTY;
    struct why refused = {.err = OK};
    struct arena *arena = a->call->req;
    enum err e = paywall_settle_begin(a->paywall, arena, &sale, &a->authorization, NULL, &intent_id,
                                      &refused);
    if (e == ERR_CONFLICT) { /* somebody else has begun */
        return paywall_settle_again(a->paywall, arena, &a->key, a->paywall->config.wait_usec, out,
                                    why);
    }
    if (e != OK) {
        return why_set(why, e, NULL, "%s", why_text(&refused, e));
    }
    return paywall_settle_go_on(a->paywall, arena, &sale, intent_id, a->paywall->config.wait_usec,
                                out, why);
}

/* Goes on with a payment that has a row. */
static enum err go_on(const struct asked *a, const struct x402_record *r,
                      struct paywall_outcome *out, struct why *why)
{
    if (!hash_equal(&r->request_hash, &a->request_hash)) {
        *out = (struct paywall_outcome){.state = X402_FAILED, .reason = X402_NONCE_USED};
        return OK;
    }
    switch (r->state) {
    case X402_RESERVED:
        return start(a, out, why);
    case X402_SETTLING:
    case X402_PENDING:
        break;
    case X402_SETTLED:
    case X402_FAILED:
        *out = (struct paywall_outcome){
            .state = r->state,
            .reason = r->state == X402_FAILED ? x402_reason_find(r->reason) : X402_OK,
            .has_transaction = r->has_transaction,
            .transaction = r->transaction,
        };
        return OK;
    }
    return paywall_settle_again(a->paywall, a->call->req, &a->key, a->paywall->config.wait_usec,
                                out, why);
}

static enum err settle_new(struct asked *a, struct take *t, struct paywall_outcome *out,
                           struct why *why)
{
    enum err e = paywall_can_settle(a->paywall, why);
    if (e == OK) {
        e = check(a, why);
    }
    if (e == OK && a->reason != X402_OK) {
        *out = (struct paywall_outcome){.state = X402_FAILED, .reason = a->reason};
        return OK;
    }
    if (e == OK) {
        e = store_write(a->paywall->store, take_tx, t, why);
    }
    if (e != OK) {
        return e;
    }
    return t->verdict == X402_RUN ? start(a, out, why) : go_on(a, &t->record, out, why);
}

static enum err settle_asked(struct asked *a, struct paywall_outcome *out, struct why *why)
{
    struct buf json;
    buf_init(&json, a->call->req, 512);
    json_write(&json, a->payload);
    const struct x402_reservation reservation = {
        .key = a->key,
        .pay_to = a->offer.pay_to,
        .amount = a->offer.amount,
        .valid_before = a->authorization.valid_before,
        .resource = SLICE_LIT(OPERATION),
        .request_hash = a->request_hash,
        .payload_json = buf_slice(&json),
    };
    struct take t = {.reservation = &reservation, .arena = a->call->req};
    /* A payment that was settled is told of after its time, too. */
    enum err e = store_read(a->paywall->store, look_tx, &t, why);
    if (e != OK) {
        return e;
    }
    bool known = t.record.state != 0;
    return known ? go_on(a, &t.record, out, why) : settle_new(a, &t, out, why);
}

static enum err settle(struct http_call *call, struct why *why)
{
    struct asked a = {.paywall = call->ctx};
    struct json_out j;
    struct paywall_outcome outcome = {.state = X402_FAILED};
    enum err e = read_asked(call, &a, why);
    if (e != OK) {
        return e;
    }
    outcome.reason = a.reason;
    if (a.has_payer) {
        e = settle_asked(&a, &outcome, why);
    }
    if (e != OK) {
        return e;
    }
    bool ended = outcome.state == X402_SETTLED || outcome.state == X402_FAILED;
    const struct x402_settlement settlement = {
        .reason = ended ? outcome.reason : X402_SETTLEMENT_PENDING,
        .transaction = outcome.has_transaction ? &outcome.transaction : NULL,
        .chain_id = a.paywall->chain_id,
        .payer = a.has_payer ? &a.key.payer : NULL,
    };
    begin_answer(call, &j);
    x402_settlement_write(&j, a.version, &settlement);
    return OK;
}

/* ---- supported ---- */

static void kind_json(struct json_out *j, const struct paywall *p, enum x402_version version)
{
    char network[X402_NETWORK_MAX];
    x402_network_format(version, p->chain_id, network);
    json_begin_object(j);
    json_key(j, "x402Version");
    json_u64(j, (uint64_t)version);
    json_key(j, "scheme");
    json_text(j, "exact");
    json_key(j, "network");
    json_text(j, network);
    json_end_object(j);
}

struct signers {
    const struct paywall *paywall;
    struct arena *arena;
    struct relay_wallet_row *rows;
    size_t count;
};

static enum err signers_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct signers *s = ctx;
    return relay_wallets(tx, s->arena, s->paywall->chain_id, &s->rows, &s->count, why);
}

static enum err supported(struct http_call *call, struct why *why)
{
    const struct paywall *p = call->ctx;
    struct signers s = {.paywall = p, .arena = call->req};
    bool pooled = !p->names_wallet && relay_has_pool(p->relay);
    struct json_out j;
    enum err e = pooled ? store_read(call->store, signers_tx, &s, why) : OK;
    if (e != OK) {
        return e;
    }
    begin_answer(call, &j);
    json_begin_object(&j);
    json_key(&j, "kinds");
    json_begin_array(&j);
    if (p->config.enabled) {
        kind_json(&j, p, X402_V2);
        kind_json(&j, p, X402_V1);
    }
    json_end_array(&j);
    json_key(&j, "extensions");
    json_begin_array(&j);
    json_end_array(&j);
    json_key(&j, "signers");
    json_begin_object(&j);
    json_key(&j, "eip155:*");
    json_begin_array(&j);
    if (p->has_wallet && !pooled) {
        json_address(&j, &p->wallet);
    }
    for (size_t i = 0; i < s.count; i++) {
        if (s.rows[i].pooled) {
            json_address(&j, &s.rows[i].address);
        }
    }
    json_end_array(&j);
    json_end_object(&j);
    json_end_object(&j);
    return OK;
}

/* ---- discovery ---- */

static const struct http_route *route_of(const struct paywall *p, const char *operation)
{
    for (size_t t = 0; t < p->table_count; t++) {
        for (size_t r = 0; r < p->tables[t].count; r++) {
            if (strcmp(p->tables[t].routes[r].operation, operation) == 0) {
                return &p->tables[t].routes[r];
            }
        }
    }
    return NULL;
}

/* Routes whose price and path are the same for every request; others are asked themselves. */
static bool is_listed(const struct paywall *p, size_t i, const struct http_route **out_route)
{
    const struct http_route *route =
        p->prices[i].quote == NULL ? route_of(p, p->prices[i].operation) : NULL;
    *out_route = route;
    return route != NULL && strchr(route->path, '{') == NULL;
}

static void item_json(struct json_out *j, const struct http_call *call, size_t i,
                      const struct http_route *route)
{
    const struct paywall *p = call->ctx;
    const struct paywall_quote quote = {.amount = p->amounts[i], .pay_to = p->pay_to};
    struct x402_offer offer = paywall_offer_of(p, &quote);
    struct x402_resource resource =
        paywall_resource_of(p, call, slice_text(route->path), slice_text(route->summary));
    json_begin_object(j);
    json_key(j, "resource");
    json_string(j, resource.url);
    json_key(j, "type");
    json_text(j, "http");
    json_key(j, "x402Version");
    json_u64(j, X402_V2);
    json_key(j, "accepts");
    x402_offers_write(j, X402_V2, &resource, &offer, 1);
    json_key(j, "lastUpdated");
    json_time(j, p->started_usec);
    json_key(j, "metadata");
    json_begin_object(j);
    json_key(j, "description");
    json_text(j, route->summary);
    json_end_object(j);
    json_end_object(j);
}

static enum err read_page(const struct http_call *call, uint64_t *out_limit, uint64_t *out_offset,
                          struct why *why)
{
    bool has_limit = false;
    bool has_offset = false;
    struct slice limit = http_query(call, "limit", &has_limit);
    struct slice offset = http_query(call, "offset", &has_offset);
    *out_limit = 20;
    *out_offset = 0;
    if (has_limit &&
        (slice_parse_u64(limit, out_limit) != OK || *out_limit < 1 || *out_limit > 100)) {
        return why_set(why, ERR_INVALID_FIELD, "limit", "limit is a number from 1 to 100.");
    }
    if (has_offset && slice_parse_u64(offset, out_offset) != OK) {
        return why_set(why, ERR_INVALID_FIELD, "offset", "offset is a number.");
    }
    return OK;
}

static enum err discovery(struct http_call *call, struct why *why)
{
    const struct paywall *p = call->ctx;
    bool has_type = false;
    struct slice type = http_query(call, "type", &has_type);
    uint64_t limit = 0;
    uint64_t offset = 0;
    uint64_t total = 0;
    struct json_out j;
    enum err e = read_page(call, &limit, &offset, why);
    if (e != OK) {
        return e;
    }
    begin_answer(call, &j);
    json_begin_object(&j);
    json_key(&j, "x402Version");
    json_u64(&j, X402_V2);
    json_key(&j, "items");
    json_begin_array(&j);
    bool wanted = p->config.enabled && (!has_type || slice_equal_text(type, "http"));
    for (size_t i = 0; wanted && i < p->price_count; i++) {
        const struct http_route *route;
        if (is_listed(p, i, &route)) {
            if (total >= offset && total - offset < limit) {
                item_json(&j, call, i, route);
            }
            total++;
        }
    }
    json_end_array(&j);
    json_key(&j, "pagination");
    json_begin_object(&j);
    json_key(&j, "limit");
    json_u64(&j, limit);
    json_key(&j, "offset");
    json_u64(&j, offset);
    json_key(&j, "total");
    json_u64(&j, total);
    json_end_object(&j);
    json_end_object(&j);
    return OK;
}

/* ---- routes ---- */

static const char request_schema[] =
    "{\"type\":\"object\",\"required\":[\"x402Version\",\"paymentPayload\",\"paymentRequirements\"]"
    ","
    "\"properties\":{\"x402Version\":{\"enum\":[1,2]},\"paymentPayload\":{\"type\":\"object\"},"
    "\"paymentRequirements\":{\"type\":\"object\"}}}";
static const char verify_schema[] =
    "{\"type\":\"object\",\"required\":[\"isValid\"],\"properties\":{\"isValid\":{\"type\":"
    "\"boolean\"},\"invalidReason\":{\"type\":\"string\"},\"invalidMessage\":{\"type\":\"string\"},"
    "\"payer\":{\"type\":\"string\"}}}";
static const char settle_schema[] =
    "{\"type\":\"object\",\"required\":[\"success\",\"transaction\",\"network\"],\"properties\":{"
    "\"success\":{\"type\":\"boolean\"},\"errorReason\":{\"type\":\"string\"},\"transaction\":{"
    "\"type\":\"string\"},\"network\":{\"type\":\"string\"},\"payer\":{\"type\":\"string\"}}}";
static const char supported_schema[] =
    "{\"type\":\"object\",\"required\":[\"kinds\",\"extensions\",\"signers\"],\"properties\":{"
    "\"kinds\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},\"extensions\":{\"type\":"
    "\"array\",\"items\":{\"type\":\"string\"}},\"signers\":{\"type\":\"object\"}}}";
static const char discovery_schema[] =
    "{\"type\":\"object\",\"required\":[\"x402Version\",\"items\",\"pagination\"],\"properties\":{"
    "\"x402Version\":{\"type\":\"integer\"},\"items\":{\"type\":\"array\",\"items\":{\"type\":"
    "\"object\"}},\"pagination\":{\"type\":\"object\"}}}";

static const char *const discovery_keys[] = {"type", "limit", "offset", NULL};
static const enum err verify_errors[] = {ERR_INVALID_JSON,  ERR_MISSING_FIELD, ERR_INVALID_TYPE,
                                         ERR_INVALID_FIELD, ERR_FORBIDDEN,     OK};
static const enum err settle_errors[] = {
    ERR_INVALID_JSON, ERR_MISSING_FIELD, ERR_INVALID_TYPE,    ERR_INVALID_FIELD,
    ERR_FORBIDDEN,    ERR_UPSTREAM,      ERR_UNAUTHENTICATED, OK};
static const enum err discovery_errors[] = {ERR_INVALID_FIELD, OK};
static const enum err no_errors[] = {OK};

#define BASE "/api/v1/x402/facilitator"

static const struct http_route routes[] = {
    {.method = HTTP_POST,
     .path = BASE "/verify",
     .handler = verify,
     .flags = HTTP_JSON_BODY | HTTP_RAW | HTTP_NO_IDEMPOTENCY,
     .tag = "x402",
     .operation = "verifyPayment",
     .summary = "Whether a payment by x402 would be settled; nothing is written.",
     .body_schema = request_schema,
     .reply_schema = verify_schema,
     .reply_status = 200,
     .errors = verify_errors},
    {.method = HTTP_POST,
     .path = BASE "/settle",
     .handler = settle,
     .flags = HTTP_JSON_BODY | HTTP_RAW | HTTP_NO_IDEMPOTENCY,
     .roles = HTTP_ROLE_SERVICE,
     .tag = "x402",
     .operation = "settlePayment",
     .summary = "Settles a payment by x402, once however often it is asked for.",
     .body_schema = request_schema,
     .reply_schema = settle_schema,
     .reply_status = 200,
     .errors = settle_errors},
    {.method = HTTP_GET,
     .path = BASE "/supported",
     .handler = supported,
     .flags = HTTP_RAW,
     .tag = "x402",
     .operation = "listSupportedPayments",
     .summary = "Schemes and networks whose payments are verified and settled here.",
     .reply_schema = supported_schema,
     .reply_status = 200,
     .errors = no_errors},
    {.method = HTTP_GET,
     .path = BASE "/discovery/resources",
     .handler = discovery,
     .flags = HTTP_RAW,
     .query_keys = discovery_keys,
     .tag = "x402",
     .operation = "listPaidResources",
     .summary = "Routes of this server that cost something, with their offers.",
     .reply_schema = discovery_schema,
     .reply_status = 200,
     .errors = discovery_errors},
};

struct http_table paywall_http_table(struct paywall *paywall)
{
    return (struct http_table){
        .routes = routes, .count = sizeof routes / sizeof routes[0], .ctx = paywall};
}
