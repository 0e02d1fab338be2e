/*
 * leasing_sale_bids.c: bidding on asset tokens that are for sale: an allowance of exactly the cost,
 * then the bid, which moves it into escrow.
 */
#include "domain/leasing/leasing_api_sql.h"
#include "domain/leasing/leasing_sales.h"
#include "domain/leasing/leasing_sales_sql.h"
#include "gen/abi_marketplace.h"
#include "gen/abi_test_stablecoin.h"

struct bid_request {
    struct http_call *call;
    const struct leasing *leasing;
    struct slice name;
    struct address bidder;
    struct token_amount amount;
    struct stable_amount price;
    struct stable_amount funds;
    struct leasing_sale sale;
    struct slice approve_data;
    struct slice place_data;
    bool ours; /* the relay has the bidder's key */
    bool created;
    struct slice approve_id;
    struct slice intent_id;
};

/* A request as its row and the relay have it. */
struct asked_bid {
    struct u256 sale_id;
    struct address bidder;
    struct token_amount amount;
    struct stable_amount price;
    struct slice approve_id;
    struct leasing_tx tx;
    bool placed;
    struct u256 index;
    struct slice status; /* of the bid on chain */
};

/* ---- checks ---- */

static enum err read_bid_request(struct bid_request *r, struct why *why)
{
    static const char *const members[] = {"bidder", "amount", "pricePerUnit", "requestId", NULL};
    struct u256 amount = U256_ZERO;
    struct u256 price = U256_ZERO;
    const struct json *body = r->call->json;
    enum err e = json_only(body, members, why);
    if (e == OK) {
        e = leasing_body_account(body, "bidder", &r->bidder, why);
    }
    if (e == OK) {
        e = leasing_body_amount(body, "amount", &amount, why);
    }
    if (e == OK) {
        e = leasing_body_amount(body, "pricePerUnit", &price, why);
    }
    r->amount = token_of(amount);
    r->price = stable_of(price);
    if (e == OK && stable_price(r->amount, r->price, &r->funds) != OK) {
        e = why_set(why, ERR_AMOUNT_OVERFLOW, "pricePerUnit",
                    "The cost of the bid is more than 256 bits hold.");
    }
    if (e == OK && stable_is_zero(r->funds)) {
        e = why_set(why, ERR_INVALID_AMOUNT, "amount",
                    "The bid would cost less than one unit of the stablecoin: nothing.");
    }
    return e == OK ? leasing_request_name(r->call, "salebid", &r->name, why) : e;
}

static enum err load_sale(struct store_tx *tx, void *ctx, struct why *why)
{
    struct bid_request *r = ctx;
    return leasing_sale_get(tx, r->call, &r->sale, why);
}

static enum err may_be_bid_for(const struct bid_request *r, struct why *why)
{
    enum err e = leasing_sale_must_be_open(&r->sale, why);
    if (e == OK && address_equal(&r->bidder, &r->sale.seller)) {
        e = why_set(why, ERR_INVALID_FIELD, "bidder", "bidder must not be the seller.");
    }
    if (e == OK && token_compare(r->amount, r->sale.remaining) > 0) {
        char text[U256_TEXT_MAX];
        (void)u256_format(token_raw(r->sale.remaining), text);
        e = why_set(why, ERR_CONFLICT, "amount", "Only %s units are still for sale.", text);
    }
    return e;
}

static enum err encode_bid(struct bid_request *r, struct why *why)
{
    enum err e = test_stablecoin_approve_encode(r->call->req, &r->leasing->marketplace,
                                                stable_raw(r->funds), &r->approve_data, why);
    return e == OK
               ? marketplace_place_sale_bid_encode(r->call->req, r->sale.id, token_raw(r->amount),
                                                   stable_raw(r->price), &r->place_data, why)
               : e;
}

/* ---- writing ---- */

static struct leasing_effect approve_effect(const struct bid_request *r)
{
    return (struct leasing_effect){
        .role = LEASING_ROLE_BIDDER,
        .purpose = "leasing.approve_sale_bid",
        .key = slice_format(r->call->req, "sale-bid/%.*s/approve", SLICE_ARG(r->name)),
        .wallet = r->bidder,
        .to = r->leasing->stablecoin,
        .data = r->approve_data,
    };
}

static struct leasing_effect place_effect(const struct bid_request *r)
{
    return (struct leasing_effect){
        .role = LEASING_ROLE_BIDDER,
        .purpose = "leasing.place_sale_bid",
        .key = slice_format(r->call->req, "sale-bid/%.*s/place", SLICE_ARG(r->name)),
        .wallet = r->bidder,
        .to = r->leasing->marketplace,
        .data = r->place_data,
        .after = r->approve_id,
    };
}

static enum err claim_request(struct store_tx *tx, const struct bid_request *r, bool *out_claimed,
                              struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_bid_request_claim);
    store_bind_text(&q, "request_id", r->name);
    leasing_sale_bind(&q, r->leasing, r->sale.id);
    store_bind_bytes(&q, "bidder", address_slice(&r->bidder));
    store_bind_u256(&q, "amount", token_raw(r->amount));
    store_bind_u256(&q, "price", stable_raw(r->price));
    store_bind_u256(&q, "funds", stable_raw(r->funds));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    *out_claimed = e == OK && changed > 0;
    return e;
}

static enum err get_asked(struct store_tx *tx, const struct bid_request *r, struct asked_bid *out,
                          struct why *why)
{
    struct arena *arena = r->call->req;
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_bid_request_get);
    store_bind_text(&q, "request_id", r->name);
    if (store_step(&q)) {
        *out = (struct asked_bid){.sale_id = store_get_u256(&q, "sale_id")};
        store_get_fixed(&q, "bidder", out->bidder.bytes, ADDRESS_BYTES);
        out->amount = token_of(store_get_u256(&q, "amount"));
        out->price = stable_of(store_get_u256(&q, "price"));
        out->approve_id = store_get_text(&q, "approve_intent_id", arena);
        leasing_tx_read(&q, &leasing_tx_main, arena, &out->tx);
        out->placed = !store_is_null(&q, "bid_index");
        out->index = store_get_u256(&q, "bid_index");
        out->status = store_get_text(&q, "status", arena);
    }
    return store_finish_one(&q, "The bid that was asked for", why);
}

static enum err compare_asked(const struct bid_request *r, const struct asked_bid *row,
                              struct why *why)
{
    bool same = u256_equal(row->sale_id, r->sale.id) && address_equal(&row->bidder, &r->bidder) &&
                token_compare(row->amount, r->amount) == 0 &&
                stable_compare(row->price, r->price) == 0;
    return same ? OK
                : why_set(why, ERR_ALREADY_EXISTS, "requestId",
                          "The request %.*s exists with other content.", SLICE_ARG(r->name));
}

/* The bid of this wallet that is under way, "" when there is none. */
static enum err find_last(struct store_tx *tx, const struct bid_request *r, struct slice *out_id,
                          struct why *why)
{
    struct store_query q;
    *out_id = SLICE_EMPTY;
    store_begin(&q, tx, &leasing_api_sql_bid_request_last);
    store_bind_bytes(&q, "bidder", address_slice(&r->bidder));
    if (store_step(&q)) {
        *out_id = store_get_text(&q, "intent_id", r->call->req);
    }
    return store_finish(&q, NULL, why);
}

static enum err submit_bid(struct store_tx *tx, struct bid_request *r, const struct asked_bid *row,
                           struct why *why)
{
    struct arena *arena = r->call->req;
    struct leasing_effect approve = approve_effect(r);
    enum err e = find_last(tx, r, &approve.after, why);
    if (e == OK) {
        e = leasing_effect_submit(tx, arena, r->leasing, &approve, row->approve_id, &r->approve_id,
                                  why);
    }
    struct leasing_effect place = place_effect(r);
    if (e == OK) {
        e = leasing_effect_submit(tx, arena, r->leasing, &place, row->tx.id, &r->intent_id, why);
    }
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_bid_request_intents);
    store_bind_text(&q, "request_id", r->name);
    store_bind_text(&q, "approve_intent_id", r->approve_id);
    store_bind_text(&q, "bid_intent_id", r->intent_id);
    e = store_finish(&q, NULL, why);
    char sale[U256_TEXT_MAX];
    (void)u256_format(r->sale.id, sale);
    return e == OK
               ? leasing_audit(tx, r->call, LEASING_AUDIT_SALE_BID_PLACED,
                               slice_format(arena, "sale-bid/%.*s", SLICE_ARG(r->name)),
                               r->intent_id, slice_format(arena, "{\"saleId\":\"%s\"}", sale), why)
               : e;
}

static enum err write_bid(struct store_tx *tx, void *ctx, struct why *why)
{
    struct bid_request *r = ctx;
    struct asked_bid row = {.approve_id = SLICE_EMPTY, .tx = {.id = SLICE_EMPTY}};
    enum err e = claim_request(tx, r, &r->created, why);
    if (e == OK && !r->created) {
        e = get_asked(tx, r, &row, why);
        if (e == OK) {
            e = compare_asked(r, &row, why);
        }
    }
    r->approve_id = row.approve_id;
    r->intent_id = row.tx.id;
    bool alive = row.tx.known && !leasing_tx_is_dead(&row.tx);
    if (e != OK || alive) {
        return e;
    }
    e = load_sale(tx, r, why);
    if (e == OK) {
        e = may_be_bid_for(r, why);
    }
    return e == OK ? submit_bid(tx, r, &row, why) : e;
}

/* ---- answers ---- */

static void requests_member(struct json_out *j, const struct bid_request *r)
{
    json_key(j, "transactionRequests");
    json_begin_array(j);
    if (!r->ours) {
        struct leasing_effect approve = approve_effect(r);
        struct leasing_effect place = place_effect(r);
        leasing_effect_json(j, r->leasing, &approve);
        leasing_effect_json(j, r->leasing, &place);
    }
    json_end_array(j);
}

static void status_members(struct json_out *j, const struct asked_bid *asked)
{
    json_key(j, "status");
    if (asked->placed) {
        json_string(j, asked->status);
    } else {
        json_text(j, !asked->tx.known                 ? "unsent"
                     : leasing_tx_is_dead(&asked->tx) ? "failed"
                                                      : "pending");
    }
    json_key(j, "bidIndex");
    if (asked->placed) {
        json_u256(j, asked->index);
    } else {
        json_null(j);
    }
    json_key(j, "approveTransactionId");
    leasing_json_text(j, asked->approve_id);
    json_key(j, "transaction");
    leasing_tx_json(j, &asked->tx);
}

static enum err write_bid_answer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct bid_request *r = ctx;
    struct json_out *j = r->call->out;
    struct asked_bid asked = {.approve_id = SLICE_EMPTY, .tx = {.id = SLICE_EMPTY}};
    enum err e = r->ours ? get_asked(tx, r, &asked, why) : OK;
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    json_key(j, "requestId");
    leasing_json_text(j, r->ours ? r->name : SLICE_EMPTY);
    json_key(j, "saleId");
    json_u256(j, r->sale.id);
    json_key(j, "bidder");
    json_address(j, &r->bidder);
    json_key(j, "amount");
    json_u256(j, token_raw(r->amount));
    json_key(j, "pricePerUnit");
    json_u256(j, stable_raw(r->price));
    json_key(j, "funds");
    json_u256(j, stable_raw(r->funds));
    status_members(j, &asked);
    requests_member(j, r);
    json_end_object(j);
    return OK;
}

enum err leasing_api_sale_bid_create(struct http_call *call, struct why *why)
{
    struct bid_request r = {.call = call, .leasing = call->ctx};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = read_bid_request(&r, why);
    }
    if (e == OK) {
        e = store_read(call->store, load_sale, &r, why);
    }
    if (e != OK) {
        return e;
    }
    r.ours = relay_has_wallet(r.leasing->relay, &r.bidder);
    if (!r.ours) {
        e = may_be_bid_for(&r, why);
    }
    if (e == OK) {
        e = encode_bid(&r, why);
    }
    if (e == OK && r.ours) {
        e = store_write(call->store, write_bid, &r, why);
    }
    if (e != OK) {
        return e;
    }
    leasing_await(call, r.intent_id, wait_usec);
    call->status = r.created ? 201 : 200;
    return store_read(call->store, write_bid_answer, &r, why);
}
