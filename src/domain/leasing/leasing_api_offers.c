/*
 * leasing_api_offers.c: what becomes of an offer: a bid is accepted, a bid is taken back, the offer
 * is cancelled.
 *
 * An offer ends once. The lessor's transaction that ends it is kept with the lease, and a second
 * one is refused while the first is under way.
 */
#include "domain/leasing/leasing_api_sql.h"
#include "domain/leasing/leasing_rows.h"
#include "gen/abi_marketplace.h"

/* Transactions of one withdrawal that may fail before another try is refused. */
#define WITHDRAW_TRIES_MAX 32

struct offer_request {
    struct http_call *call;
    const struct leasing *leasing;
    struct leasing_lease lease;
    uint64_t bid_index;
    struct address bidder;
    struct stable_amount funds;
    struct slice bid_status;
    bool bid_invalid; /* its signature was checked and does not hold */
    struct slice bid_detail;
    struct slice signature; /* of the lessor, for an acceptance */
    struct leasing_effect effect;
    bool ours;
    struct slice intent_id;
};

static enum err load_lease(struct store_tx *tx, struct offer_request *r, struct why *why)
{
    return leasing_lease_get(tx, r->call->req, r->leasing, http_param(r->call, "leaseId"),
                             &r->lease, why);
}

static enum err load_bid(struct store_tx *tx, struct offer_request *r, struct why *why)
{
    struct store_query q;
    if (!r->lease.has_offer) {
        return leasing_not_found(why, "Bid");
    }
    store_begin(&q, tx, &leasing_api_sql_bid_get);
    store_bind_i64(&q, "chain_id", (int64_t)r->leasing->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&r->leasing->marketplace));
    store_bind_u256(&q, "offer_id", r->lease.offer_id);
    store_bind_u256(&q, "bid_index", u256_from_u64(r->bid_index));
    bool found = store_step(&q);
    if (found) {
        store_ignore(&q, "bid_index");
        store_get_fixed(&q, "bidder", r->bidder.bytes, ADDRESS_BYTES);
        r->funds = stable_of(store_get_u256(&q, "funds"));
        r->bid_status = store_get_text(&q, "status", r->call->req);
        store_ignore(&q, "block_number");
        store_ignore(&q, "transaction_hash");
        bool checked = !store_is_null(&q, "signature_valid");
        r->bid_invalid = checked && !store_get_bool(&q, "signature_valid");
        r->bid_detail = store_get_text(&q, "detail", r->call->req);
        store_ignore(&q, "signature_valid");
        store_ignore(&q, "checked_at");
    }
    enum err e = store_finish(&q, NULL, why);
    return e == OK && !found ? leasing_not_found(why, "Bid") : e;
}

static enum err load_both(struct store_tx *tx, void *ctx, struct why *why)
{
    struct offer_request *r = ctx;
    enum err e = load_lease(tx, r, why);
    return e == OK ? load_bid(tx, r, why) : e;
}

static enum err bid_must_be_active(const struct offer_request *r, struct why *why)
{
    return slice_equal_text(r->bid_status, "active")
               ? OK
               : why_set(why, ERR_CONFLICT, "bidIndex", "The bid is %.*s.",
                         SLICE_ARG(r->bid_status));
}

static void bid_members(struct json_out *j, const struct offer_request *r)
{
    json_key(j, "leaseId");
    json_string(j, r->lease.id);
    json_key(j, "offerId");
    json_u256(j, r->lease.offer_id);
    json_key(j, "bidIndex");
    json_u256(j, u256_from_u64(r->bid_index));
    json_key(j, "bidder");
    json_address(j, &r->bidder);
    json_key(j, "funds");
    json_u256(j, stable_raw(r->funds));
    json_key(j, "status");
    json_string(j, r->bid_status);
}

/* ---- the lessor's transactions ---- */

/* Whether the key of a transaction is that of the effect, or of a later try of it. */
static bool is_same_effect(struct slice key, struct slice base)
{
    return slice_equal(key, base) ||
           (slice_starts(key, base) && key.len > base.len && key.ptr[base.len] == '/');
}

static enum err audit_action(struct store_tx *tx, const struct offer_request *r,
                             enum leasing_audit_action action, struct why *why)
{
    struct arena *arena = r->call->req;
    bool cancels = action == LEASING_AUDIT_OFFER_CANCELLED;
    struct slice details =
        slice_format(arena, "{\"bidIndex\":%llu}", (unsigned long long)r->bid_index);
    return leasing_audit(tx, r->call, action,
                         slice_format(arena, "lease/%.*s", SLICE_ARG(r->lease.id)), r->intent_id,
                         cancels ? SLICE_EMPTY : details, why);
}

static enum err submit_action(struct store_tx *tx, struct offer_request *r,
                              enum leasing_audit_action action, struct why *why)
{
    const struct leasing_tx *before = &r->lease.action;
    struct relay_row row;
    struct store_query q;
    if (before->known && !leasing_tx_is_dead(before)) {
        enum err e = relay_get(tx, r->call->req, before->id, &row, why);
        if (e == OK && !is_same_effect(row.key, r->effect.key)) {
            e = why_set(why, ERR_CONFLICT, NULL,
                        "Another transaction of this offer, %.*s, is on its way.",
                        SLICE_ARG(before->id));
        }
        r->intent_id = before->id;
        return e;
    }
    enum err e = leasing_effect_submit(tx, r->call->req, r->leasing, &r->effect, before->id,
                                       &r->intent_id, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_api_sql_lease_action);
    store_bind_text(&q, "lease_id", r->lease.id);
    store_bind_text(&q, "intent_id", r->intent_id);
    if (r->signature.len > 0) {
        store_bind_bytes(&q, "lessor_signature", r->signature);
    } else {
        store_bind_null(&q, "lessor_signature");
    }
    store_bind_time(&q, "now", clock_wall_usec());
    e = store_finish(&q, NULL, why);
    return e == OK ? audit_action(tx, r, action, why) : e;
}

static void write_action_answer(struct offer_request *r)
{
    struct json_out *j = r->call->out;
    json_begin_object(j);
    leasing_lease_json(j, r->leasing, &r->lease);
    json_key(j, "transactionRequest");
    if (r->ours) {
        json_null(j);
    } else {
        leasing_effect_json(j, r->leasing, &r->effect);
    }
    json_end_object(j);
}

static enum err reload_lease(struct store_tx *tx, void *ctx, struct why *why)
{
    return load_lease(tx, ctx, why);
}

/* Writes, waits and answers; `write` looks at the state again and calls submit_action. */
static enum err run_action(struct offer_request *r, store_fn write, int64_t wait_usec,
                           struct why *why)
{
    r->ours = relay_has_wallet(r->leasing->relay, &r->effect.wallet);
    enum err e = r->ours ? store_write(r->call->store, write, r, why) : OK;
    if (e != OK) {
        return e;
    }
    leasing_await(r->call, r->intent_id, wait_usec);
    e = store_read(r->call->store, reload_lease, r, why);
    if (e == OK) {
        write_action_answer(r);
    }
    return e;
}

/* ---- accepting a bid ---- */

static enum err may_be_accepted(const struct offer_request *r, struct why *why)
{
    enum err e = leasing_offer_must_be_open(&r->lease, why);
    if (e == OK && r->lease.deadline_usec <= clock_wall_usec()) {
        e = why_set(why, ERR_DEADLINE_EXPIRED, "deadline", "The deadline of the offer has passed.");
    }
    if (e == OK) {
        e = bid_must_be_active(r, why);
    }
    if (e == OK && r->bid_invalid) {
        e = why_set(why, ERR_CONFLICT, "bidIndex",
                    "The bid cannot be accepted, its signature does not hold: %.*s",
                    SLICE_ARG(r->bid_detail));
    }
    return e;
}

static enum err write_acceptance(struct store_tx *tx, void *ctx, struct why *why)
{
    struct offer_request *r = ctx;
    enum err e = load_both(tx, r, why);
    if (e == OK) {
        e = may_be_accepted(r, why);
    }
    return e == OK ? submit_action(tx, r, LEASING_AUDIT_BID_ACCEPTED, why) : e;
}

static enum err make_acceptance(struct offer_request *r, struct why *why)
{
    struct slice data = SLICE_EMPTY;
    enum err e = marketplace_accept_lease_bid_encode(
        r->call->req, r->lease.offer_id, u256_from_u64(r->bid_index), r->signature, &data, why);
    r->effect = (struct leasing_effect){
        .role = LEASING_ROLE_LESSOR,
        .purpose = "leasing.accept_bid",
        .key = slice_format(r->call->req, "lease/%.*s/accept/%llu", SLICE_ARG(r->lease.id),
                            (unsigned long long)r->bid_index),
        .wallet = r->lease.lessor,
        .to = r->leasing->marketplace,
        .data = data,
        .deadline_usec = r->lease.deadline_usec,
    };
    return e;
}

enum err leasing_api_bid_accept(struct http_call *call, struct why *why)
{
    static const char *const members[] = {"signature", NULL};
    struct offer_request r = {.call = call, .leasing = call->ctx};
    struct leasing_terms terms;
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = json_only(call->json, members, why);
    }
    if (e == OK) {
        e = leasing_number_param(call, "bidIndex", &r.bid_index, why);
    }
    if (e == OK) {
        e = leasing_body_signature(call->req, call->json, &r.signature, why);
    }
    if (e == OK) {
        e = store_read(call->store, load_both, &r, why);
    }
    if (e == OK && slice_equal_text(r.bid_status, "accepted")) {
        r.ours = true; /* it is done: who asks again, because no answer came, sends nothing */
        write_action_answer(&r);
        return OK;
    }
    if (e == OK) {
        e = may_be_accepted(&r, why);
    }
    if (e == OK) {
        e = leasing_lease_terms(call->req, &r.lease, &r.bidder, &terms, why);
    }
    if (e == OK) {
        e = leasing_lease_verify(r.leasing, &terms, &r.lease.lessor, r.signature, why);
    }
    if (e == OK) {
        e = make_acceptance(&r, why);
    }
    return e == OK ? run_action(&r, write_acceptance, wait_usec, why) : e;
}

/* ---- cancelling the offer ---- */

static enum err can_take_back(const struct offer_request *r, struct why *why)
{
    return r->leasing->tells_shares
               ? OK
               : why_set(why, ERR_CONFLICT, NULL,
                         "This marketplace cannot cancel offers or give bids back.");
}

static enum err write_cancellation(struct store_tx *tx, void *ctx, struct why *why)
{
    struct offer_request *r = ctx;
    enum err e = load_lease(tx, r, why);
    if (e == OK) {
        e = leasing_offer_must_be_open(&r->lease, why);
    }
    return e == OK ? submit_action(tx, r, LEASING_AUDIT_OFFER_CANCELLED, why) : e;
}

enum err leasing_api_offer_cancel(struct http_call *call, struct why *why)
{
    struct offer_request r = {.call = call, .leasing = call->ctx};
    struct slice data = SLICE_EMPTY;
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = store_read(call->store, reload_lease, &r, why);
    }
    if (e == OK) {
        e = leasing_offer_must_be_open(&r.lease, why);
    }
    if (e == OK) {
        e = can_take_back(&r, why);
    }
    if (e == OK) {
        e = marketplace_cancel_lease_offer_encode(call->req, r.lease.offer_id, &data, why);
    }
    r.effect = (struct leasing_effect){
        .role = LEASING_ROLE_LESSOR,
        .purpose = "leasing.cancel_offer",
        .key = slice_format(call->req, "lease/%.*s/cancel", SLICE_ARG(r.lease.id)),
        .wallet = r.lease.lessor,
        .to = r.leasing->marketplace,
        .data = data,
    };
    return e == OK ? run_action(&r, write_cancellation, wait_usec, why) : e;
}

/* ---- taking a bid back ---- */

static enum err write_withdrawal(struct store_tx *tx, void *ctx, struct why *why)
{
    struct offer_request *r = ctx;
    struct leasing_tries tries = {.alive = SLICE_EMPTY};
    enum err e = load_both(tx, r, why);
    if (e == OK) {
        e = bid_must_be_active(r, why);
    }
    if (e == OK) {
        e = leasing_effect_tries(tx, r->call->req, r->effect.key, WITHDRAW_TRIES_MAX, &tries, why);
    }
    r->intent_id = tries.alive;
    if (e == OK && tries.failed == WITHDRAW_TRIES_MAX) {
        e = why_set(why, ERR_LIMIT, NULL, "The withdrawal failed %d times.", WITHDRAW_TRIES_MAX);
    }
    if (e != OK || r->intent_id.len > 0) {
        return e;
    }
    e = leasing_effect_submit(tx, r->call->req, r->leasing, &r->effect, tries.previous,
                              &r->intent_id, why);
    return e == OK ? audit_action(tx, r, LEASING_AUDIT_BID_WITHDRAWN, why) : e;
}

static enum err write_withdrawal_answer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct offer_request *r = ctx;
    struct json_out *j = r->call->out;
    struct relay_row row;
    enum err e = load_both(tx, r, why);
    if (e == OK && r->ours) {
        e = relay_get(tx, r->call->req, r->intent_id, &row, why);
    }
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    bid_members(j, r);
    json_key(j, "transaction");
    if (r->ours) {
        relay_row_json(j, &row);
    } else {
        json_null(j);
    }
    json_key(j, "transactionRequest");
    if (r->ours) {
        json_null(j);
    } else {
        leasing_effect_json(j, r->leasing, &r->effect);
    }
    json_end_object(j);
    return OK;
}

static enum err make_withdrawal(struct offer_request *r, struct why *why)
{
    struct slice data = SLICE_EMPTY;
    char offer[U256_TEXT_MAX];
    char bidder[ADDRESS_TEXT_MAX];
    (void)u256_format(r->lease.offer_id, offer);
    address_format(&r->bidder, bidder);
    enum err e = marketplace_withdraw_lease_bid_encode(r->call->req, r->lease.offer_id,
                                                       u256_from_u64(r->bid_index), &data, why);
    r->effect = (struct leasing_effect){
        .role = LEASING_ROLE_BIDDER,
        .purpose = "leasing.withdraw_bid",
        .key = slice_format(r->call->req, "withdraw/%s/%llu/%s", offer,
                            (unsigned long long)r->bid_index, bidder),
        .wallet = r->bidder,
        .to = r->leasing->marketplace,
        .data = data,
    };
    return e;
}

enum err leasing_api_bid_withdraw(struct http_call *call, struct why *why)
{
    struct offer_request r = {.call = call, .leasing = call->ctx};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = leasing_number_param(call, "bidIndex", &r.bid_index, why);
    }
    if (e == OK) {
        e = store_read(call->store, load_both, &r, why);
    }
    if (e == OK) {
        e = bid_must_be_active(&r, why);
    }
    if (e == OK) {
        e = can_take_back(&r, why);
    }
    if (e == OK) {
        e = make_withdrawal(&r, why);
    }
    if (e != OK) {
        return e;
    }
    r.ours = relay_has_wallet(r.leasing->relay, &r.bidder);
    e = r.ours ? store_write(call->store, write_withdrawal, &r, why) : OK;
    if (e != OK) {
        return e;
    }
    leasing_await(call, r.intent_id, wait_usec);
    return store_read(call->store, write_withdrawal_answer, &r, why);
}

/* ---- the list of offers ---- */

struct offers_list {
    struct http_call *call;
    struct http_page page;
    struct slice status;
    struct u256 below;
    uint32_t count;
};

static void offer_json(struct json_out *j, struct store_query *q, struct arena *arena)
{
    json_key(j, "lessorAddress");
    leasing_json_column_address(j, q, "lessor");
    json_key(j, "onChainAssetId");
    json_u256(j, store_get_u256(q, "onchain_asset_id"));
    json_key(j, "status");
    json_string(j, store_get_text(q, "status", arena));
    json_key(j, "blockNumber");
    leasing_json_column_i64(j, q, "block_number");
    json_key(j, "transactionHash");
    leasing_json_column_hash(j, q, "transaction_hash");
    json_key(j, "assetId");
    leasing_json_column_text(j, q, "asset_id", arena);
    json_key(j, "leaseId");
    leasing_json_column_text(j, q, "lease_id", arena);
    json_key(j, "bidCount");
    json_i64(j, store_get_i64(q, "bid_count"));
}

static enum err read_offers(struct store_tx *tx, void *ctx, struct why *why)
{
    struct offers_list *list = ctx;
    const struct leasing *l = list->call->ctx;
    struct json_out *j = list->call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_offers_list);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "registry", address_slice(&l->registry));
    store_bind_bytes(&q, "marketplace", address_slice(&l->marketplace));
    store_bind_text(&q, "status", list->status);
    if (list->page.cursor.len > 0) {
        store_bind_u256(&q, "below_id", list->below);
    } else {
        store_bind_null(&q, "below_id");
    }
    store_bind_i64(&q, "max_rows", list->page.limit);
    store_bind_i64(&q, "skip_rows", (int64_t)list->page.offset);
    json_begin_array(j);
    while (store_step(&q)) {
        list->below = store_get_u256(&q, "offer_id");
        json_begin_object(j);
        json_key(j, "offerId");
        json_u256(j, list->below);
        offer_json(j, &q, list->call->req);
        json_end_object(j);
        list->count++;
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

enum err leasing_api_offers_list(struct http_call *call, struct why *why)
{
    static const char *const statuses[] = {"active", "accepted", "cancelled", NULL};
    struct offers_list list = {.call = call};
    enum err e = http_page_read(call, &list.page, why);
    if (e == OK && list.page.cursor.len > 0 && u256_parse(list.page.cursor, &list.below) != OK) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
    }
    if (e == OK) {
        e = leasing_status_query(call, statuses, &list.status, why);
    }
    if (e == OK) {
        e = store_read(call->store, read_offers, &list, why);
    }
    if (e == OK && list.count == list.page.limit) {
        char text[U256_TEXT_MAX];
        (void)u256_format(list.below, text);
        http_cursor_set(call, slice_copy(call->req, slice_text(text)));
    }
    return e;
}
