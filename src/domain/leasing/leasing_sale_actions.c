/*
 * leasing_sale_actions.c: what becomes of a sale: a bid is accepted or taken back, the sale is
 * cancelled. A try that failed may be followed by another; one that is under way is the answer to
 * who asks again.
 */
#include "domain/leasing/leasing_sales.h"
#include "domain/leasing/leasing_sales_sql.h"
#include "gen/abi_asset_erc20.h"
#include "gen/abi_marketplace.h"

struct sale_action {
    struct http_call *call;
    const struct leasing *leasing;
    const char *action; /* as in the column */
    enum leasing_audit_action audit;
    bool of_bid; /* else of the sale itself */
    struct leasing_sale sale;
    struct leasing_sale_bid bid;
    struct leasing_effect approve; /* with `to` set: goes before */
    struct leasing_effect effect;
    bool ours; /* the relay has the key of the wallet that sends */
    struct slice intent_id;
};

/* ---- reading ---- */

static enum err load_bid(struct store_tx *tx, struct sale_action *a, struct why *why)
{
    uint64_t index = 0;
    enum err e = leasing_number_param(a->call, "bidIndex", &index, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_bid_get);
    leasing_sale_bind(&q, a->leasing, a->sale.id);
    store_bind_u256(&q, "bid_index", u256_from_u64(index));
    bool found = store_step(&q);
    if (found) {
        leasing_sale_bid_read(&q, a->call->req, &a->bid);
    }
    e = store_finish(&q, NULL, why);
    return e == OK && !found ? leasing_not_found(why, "Bid") : e;
}

static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sale_action *a = ctx;
    enum err e = leasing_sale_get(tx, a->call, &a->sale, why);
    return e == OK && a->of_bid ? load_bid(tx, a, why) : e;
}

static enum err bid_must_be_active(const struct sale_action *a, struct why *why)
{
    return slice_equal_text(a->bid.status, "active")
               ? OK
               : why_set(why, ERR_CONFLICT, "bidIndex", "The bid is %.*s.",
                         SLICE_ARG(a->bid.status));
}

static enum err can_take_back(const struct leasing *l, struct why *why)
{
    return l->tells_shares ? OK
                           : why_set(why, ERR_CONFLICT, NULL,
                                     "This marketplace cannot cancel sales or give bids back.");
}

static enum err may_be_accepted(const struct sale_action *a, struct why *why)
{
    enum err e = leasing_sale_must_be_open(&a->sale, why);
    if (e == OK) {
        e = bid_must_be_active(a, why);
    }
    if (e == OK && token_compare(a->bid.amount, a->sale.remaining) > 0) {
        e = why_set(why, ERR_CONFLICT, "bidIndex", "The bid is for more than is still for sale.");
    }
    if (e == OK && token_compare(a->bid.amount, a->sale.held) > 0) {
        e = why_set(why, ERR_INSUFFICIENT_FUNDS, "bidIndex",
                    "The seller holds less of the token than the bid is for.");
    }
    return e;
}

static enum err may_be_withdrawn(const struct sale_action *a, struct why *why)
{
    enum err e = bid_must_be_active(a, why);
    return e == OK ? can_take_back(a->leasing, why) : e;
}

static enum err may_be_cancelled(const struct sale_action *a, struct why *why)
{
    enum err e = leasing_sale_must_be_open(&a->sale, why);
    return e == OK ? can_take_back(a->leasing, why) : e;
}

/* ---- writing ---- */

/* The acceptance of the seller that is under way, "" when there is none. */
static enum err find_last(struct store_tx *tx, const struct sale_action *a, struct slice *out_id,
                          struct why *why)
{
    struct store_query q;
    *out_id = SLICE_EMPTY;
    store_begin(&q, tx, &leasing_sales_sql_acceptance_last);
    store_bind_bytes(&q, "wallet", address_slice(&a->effect.wallet));
    if (store_step(&q)) {
        *out_id = store_get_text(&q, "intent_id", a->call->req);
    }
    return store_finish(&q, NULL, why);
}

static void bind_bid(struct store_query *q, const struct sale_action *a)
{
    if (a->of_bid) {
        store_bind_u256(q, "bid_index", a->bid.index);
    } else {
        store_bind_null(q, "bid_index");
    }
}

struct last_try {
    struct slice approve_id;
    struct leasing_tx tx;
};

static enum err find_try(struct store_tx *tx, const struct sale_action *a, struct last_try *out,
                         struct why *why)
{
    struct store_query q;
    *out = (struct last_try){.approve_id = SLICE_EMPTY, .tx = {.id = SLICE_EMPTY}};
    store_begin(&q, tx, &leasing_sales_sql_action_last);
    leasing_sale_bind(&q, a->leasing, a->sale.id);
    bind_bid(&q, a);
    store_bind_text(&q, "action", slice_text(a->action));
    store_bind_bytes(&q, "wallet", address_slice(&a->effect.wallet));
    if (store_step(&q)) {
        out->approve_id = store_get_text(&q, "approve_intent_id", a->call->req);
        leasing_tx_read(&q, &leasing_tx_main, a->call->req, &out->tx);
    }
    return store_finish(&q, NULL, why);
}

static enum err put_action(struct store_tx *tx, const struct sale_action *a,
                           struct slice approve_id, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_action_put);
    store_bind_text(&q, "intent_id", a->intent_id);
    leasing_sale_bind(&q, a->leasing, a->sale.id);
    bind_bid(&q, a);
    store_bind_text(&q, "action", slice_text(a->action));
    store_bind_bytes(&q, "wallet", address_slice(&a->effect.wallet));
    if (approve_id.len > 0) {
        store_bind_text(&q, "approve_intent_id", approve_id);
    } else {
        store_bind_null(&q, "approve_intent_id");
    }
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static bool needs_allowance(const struct sale_action *a)
{
    return a->approve.data.len > 0;
}

static enum err submit(struct store_tx *tx, struct sale_action *a, struct why *why)
{
    struct arena *arena = a->call->req;
    struct last_try before;
    struct slice approve_id = SLICE_EMPTY;
    enum err e = find_try(tx, a, &before, why);
    a->intent_id = before.tx.id;
    if (e != OK || (before.tx.known && !leasing_tx_is_dead(&before.tx))) {
        return e;
    }
    if (needs_allowance(a)) {
        e = find_last(tx, a, &a->approve.after, why);
        if (e == OK) {
            e = leasing_effect_submit(tx, arena, a->leasing, &a->approve, before.approve_id,
                                      &approve_id, why);
        }
        a->effect.after = approve_id;
    }
    if (e == OK) {
        e = leasing_effect_submit(tx, arena, a->leasing, &a->effect, before.tx.id, &a->intent_id,
                                  why);
    }
    if (e == OK) {
        e = put_action(tx, a, approve_id, why);
    }
    char sale[U256_TEXT_MAX];
    char bid[U256_TEXT_MAX];
    (void)u256_format(a->sale.id, sale);
    (void)u256_format(a->bid.index, bid);
    struct slice details =
        a->of_bid ? slice_format(arena, "{\"bidIndex\":\"%s\"}", bid) : SLICE_EMPTY;
    return e == OK ? leasing_audit(tx, a->call, a->audit, slice_format(arena, "sale/%s", sale),
                                   a->intent_id, details, why)
                   : e;
}

static enum err write_acceptance(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sale_action *a = ctx;
    enum err e = load(tx, a, why);
    if (e == OK) {
        e = may_be_accepted(a, why);
    }
    return e == OK ? submit(tx, a, why) : e;
}

static enum err write_cancellation(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sale_action *a = ctx;
    enum err e = load(tx, a, why);
    if (e == OK) {
        e = may_be_cancelled(a, why);
    }
    return e == OK ? submit(tx, a, why) : e;
}

static enum err write_withdrawal(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sale_action *a = ctx;
    enum err e = load(tx, a, why);
    if (e == OK) {
        e = may_be_withdrawn(a, why);
    }
    return e == OK ? submit(tx, a, why) : e;
}

/* ---- answers ---- */

static enum err write_answer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sale_action *a = ctx;
    struct json_out *j = a->call->out;
    struct last_try made = {.tx = {.id = SLICE_EMPTY}};
    enum err e = load(tx, a, why);
    if (e == OK && a->ours) {
        e = find_try(tx, a, &made, why);
    }
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    json_key(j, "sale");
    json_begin_object(j);
    leasing_sale_json(j, &a->sale);
    json_end_object(j);
    if (a->of_bid) {
        json_key(j, "bid");
        json_begin_object(j);
        leasing_sale_bid_json(j, &a->bid);
        json_end_object(j);
    }
    json_key(j, "transaction");
    leasing_tx_json(j, &made.tx);
    json_key(j, "transactionRequests");
    json_begin_array(j);
    if (!a->ours && needs_allowance(a)) {
        leasing_effect_json(j, a->leasing, &a->approve);
    }
    if (!a->ours && a->effect.data.len > 0) {
        leasing_effect_json(j, a->leasing, &a->effect);
    }
    json_end_array(j);
    json_end_object(j);
    return OK;
}

/* Writes, waits and answers; `write` looks at the state again and calls submit. */
static enum err run(struct sale_action *a, store_fn write, int64_t wait_usec, struct why *why)
{
    a->ours = relay_has_wallet(a->leasing->relay, &a->effect.wallet);
    enum err e = a->ours ? store_write(a->call->store, write, a, why) : OK;
    if (e != OK) {
        return e;
    }
    leasing_await(a->call, a->intent_id, wait_usec);
    return store_read(a->call->store, write_answer, a, why);
}

/* What is asked of a bid on a sale, named so that after a fork it is not that of another bid. */
static struct slice bid_key(const struct sale_action *a)
{
    char sale[U256_TEXT_MAX];
    char bid[U256_TEXT_MAX];
    char bidder[ADDRESS_TEXT_MAX];
    (void)u256_format(a->sale.id, sale);
    (void)u256_format(a->bid.index, bid);
    address_format(&a->bid.bidder, bidder);
    return slice_format(a->call->req, "sale/%s/bid/%s/%s/%s", sale, bid, bidder, a->action);
}

/* ---- accepting ---- */

static enum err make_acceptance(struct sale_action *a, struct why *why)
{
    struct slice key = bid_key(a);
    a->approve = (struct leasing_effect){
        .role = LEASING_ROLE_SELLER,
        .purpose = "leasing.approve_sale",
        .key = slice_format(a->call->req, "%.*s/approve", SLICE_ARG(key)),
        .wallet = a->sale.seller,
        .to = a->sale.token,
    };
    a->effect = (struct leasing_effect){
        .role = LEASING_ROLE_SELLER,
        .purpose = "leasing.accept_sale_bid",
        .key = key,
        .wallet = a->sale.seller,
        .to = a->leasing->marketplace,
    };
    enum err e = asset_erc20_approve_encode(a->call->req, &a->leasing->marketplace,
                                            token_raw(a->bid.amount), &a->approve.data, why);
    return e == OK ? marketplace_accept_sale_bid_encode(a->call->req, a->sale.id, a->bid.index,
                                                        &a->effect.data, why)
                   : e;
}

enum err leasing_api_sale_bid_accept(struct http_call *call, struct why *why)
{
    struct sale_action a = {.call = call,
                            .leasing = call->ctx,
                            .action = "accept",
                            .audit = LEASING_AUDIT_SALE_BID_ACCEPTED,
                            .of_bid = true};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = store_read(call->store, load, &a, why);
    }
    if (e == OK && slice_equal_text(a.bid.status, "accepted")) {
        /* It is done: who asks again, because no answer came, sends nothing. */
        a.effect.wallet = a.sale.seller;
        a.ours = relay_has_wallet(a.leasing->relay, &a.effect.wallet);
        return store_read(call->store, write_answer, &a, why);
    }
    if (e == OK) {
        e = may_be_accepted(&a, why);
    }
    if (e == OK) {
        e = make_acceptance(&a, why);
    }
    return e == OK ? run(&a, write_acceptance, wait_usec, why) : e;
}

/* ---- taking back ---- */

enum err leasing_api_sale_cancel(struct http_call *call, struct why *why)
{
    struct sale_action a = {.call = call,
                            .leasing = call->ctx,
                            .action = "cancel",
                            .audit = LEASING_AUDIT_SALE_CANCELLED};
    int64_t wait_usec = 0;
    char sale[U256_TEXT_MAX];
    char seller[ADDRESS_TEXT_MAX];
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = store_read(call->store, load, &a, why);
    }
    if (e == OK) {
        e = may_be_cancelled(&a, why);
    }
    if (e != OK) {
        return e;
    }
    (void)u256_format(a.sale.id, sale);
    address_format(&a.sale.seller, seller);
    a.effect = (struct leasing_effect){
        .role = LEASING_ROLE_SELLER,
        .purpose = "leasing.cancel_sale",
        .key = slice_format(call->req, "sale/%s/%s/cancel", sale, seller),
        .wallet = a.sale.seller,
        .to = a.leasing->marketplace,
    };
    e = marketplace_cancel_sale_encode(call->req, a.sale.id, &a.effect.data, why);
    return e == OK ? run(&a, write_cancellation, wait_usec, why) : e;
}

enum err leasing_api_sale_bid_withdraw(struct http_call *call, struct why *why)
{
    struct sale_action a = {.call = call,
                            .leasing = call->ctx,
                            .action = "withdraw",
                            .audit = LEASING_AUDIT_SALE_BID_WITHDRAWN,
                            .of_bid = true};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = store_read(call->store, load, &a, why);
    }
    if (e == OK) {
        e = may_be_withdrawn(&a, why);
    }
    if (e != OK) {
        return e;
    }
    a.effect = (struct leasing_effect){
        .role = LEASING_ROLE_BIDDER,
        .purpose = "leasing.withdraw_sale_bid",
        .key = bid_key(&a),
        .wallet = a.bid.bidder,
        .to = a.leasing->marketplace,
    };
    e = marketplace_withdraw_sale_bid_encode(call->req, a.sale.id, a.bid.index, &a.effect.data,
                                             why);
    return e == OK ? run(&a, write_withdrawal, wait_usec, why) : e;
}
