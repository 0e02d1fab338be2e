/*
 * leasing_api_bids.c: bidding on a lease that is on offer.
 *
 * A bid is two transactions of the bidder: the allowance of exactly its funds, and the bid, which
 * moves them into escrow. Because each bid sets the same allowance, bids of one wallet follow each
 * other: the allowance of the next waits for the bid before it.
 */
#include "domain/leasing/leasing_api_sql.h"
#include "domain/leasing/leasing_rows.h"
#include "gen/abi_marketplace.h"
#include "gen/abi_test_stablecoin.h"
#include "kernel/base/rand.h"

struct bid_request {
    struct http_call *call;
    const struct leasing *leasing;
    struct address bidder;
    struct stable_amount funds;
    struct slice signature;
    struct leasing_lease lease;
    struct slice approve_data;
    struct slice place_data;
    bool ours; /* the relay has the bidder's key */
    bool created;
    struct slice id;
    struct slice approve_id;
    struct leasing_tx place;
    struct slice intent_id;
};

/* ---- checks ---- */

static enum err load_lease(struct store_tx *tx, void *ctx, struct why *why)
{
    struct bid_request *r = ctx;
    return leasing_lease_get(tx, r->call->req, r->leasing, http_param(r->call, "leaseId"),
                             &r->lease, why);
}

static enum err may_be_bid_for(const struct leasing_lease *lease, struct why *why)
{
    enum err e = leasing_offer_must_be_open(lease, why);
    if (e == OK && lease->deadline_usec <= clock_wall_usec()) {
        e = why_set(why, ERR_DEADLINE_EXPIRED, "deadline", "The deadline of the offer has passed.");
    }
    return e;
}

static enum err read_bid_request(struct bid_request *r, struct why *why)
{
    static const char *const members[] = {"bidder", "funds", "signature", NULL};
    struct u256 funds = U256_ZERO;
    const struct json *body = r->call->json;
    enum err e = json_only(body, members, why);
    if (e == OK) {
        e = leasing_body_account(body, "bidder", &r->bidder, why);
    }
    if (e == OK) {
        e = leasing_body_amount(body, "funds", &funds, why);
    }
    r->funds = stable_of(funds);
    return e == OK ? leasing_body_signature(r->call->req, body, &r->signature, why) : e;
}

static enum err verify_bid(struct bid_request *r, struct why *why)
{
    struct leasing_terms terms;
    enum err e = may_be_bid_for(&r->lease, why);
    if (e == OK && address_equal(&r->bidder, &r->lease.lessor)) {
        e = why_set(why, ERR_INVALID_FIELD, "bidder", "bidder must not be the lessor.");
    }
    if (e == OK) {
        e = leasing_lease_terms(r->call->req, &r->lease, &r->bidder, &terms, why);
    }
    return e == OK ? leasing_lease_verify(r->leasing, &terms, &r->bidder, r->signature, why) : e;
}

static enum err encode_bid(struct bid_request *r, struct why *why)
{
    struct u256 funds = stable_raw(r->funds);
    enum err e = test_stablecoin_approve_encode(r->call->req, &r->leasing->marketplace, funds,
                                                &r->approve_data, why);
    return e == OK ? marketplace_place_lease_bid_encode(r->call->req, r->lease.offer_id,
                                                        r->signature, funds, &r->place_data, why)
                   : e;
}

/* ---- writing ---- */

static struct leasing_effect approve_effect(const struct bid_request *r)
{
    return (struct leasing_effect){
        .role = LEASING_ROLE_BIDDER,
        .purpose = "leasing.approve_bid",
        .key = slice_format(r->call->req, "bid/%.*s/approve", SLICE_ARG(r->id)),
        .wallet = r->bidder,
        .to = r->leasing->stablecoin,
        .data = r->approve_data,
        .deadline_usec = r->lease.deadline_usec,
    };
}

static struct leasing_effect place_effect(const struct bid_request *r)
{
    return (struct leasing_effect){
        .role = LEASING_ROLE_BIDDER,
        .purpose = "leasing.place_bid",
        .key = slice_format(r->call->req, "bid/%.*s/place", SLICE_ARG(r->id)),
        .wallet = r->bidder,
        .to = r->leasing->marketplace,
        .data = r->place_data,
        .after = r->approve_id,
        .deadline_usec = r->lease.deadline_usec,
    };
}

static enum err find_request(struct store_tx *tx, struct bid_request *r, bool *out_found,
                             struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_bid_request_find);
    store_bind_text(&q, "lease_id", r->lease.id);
    store_bind_bytes(&q, "bidder", address_slice(&r->bidder));
    store_bind_bytes(&q, "signature", r->signature);
    store_bind_u256(&q, "funds", stable_raw(r->funds));
    bool found = store_step(&q);
    if (found) {
        r->id = store_get_text(&q, "request_id", r->call->req);
        r->approve_id = store_get_text(&q, "approve_intent_id", r->call->req);
        leasing_tx_read(&q, &leasing_tx_main, r->call->req, &r->place);
    }
    *out_found = found;
    return store_finish(&q, NULL, why);
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

static enum err submit_bid(struct store_tx *tx, struct bid_request *r, struct why *why)
{
    struct slice approve_before = r->approve_id;
    struct leasing_effect approve = approve_effect(r);
    enum err e = find_last(tx, r, &approve.after, why);
    if (e == OK) {
        e = leasing_effect_submit(tx, r->call->req, r->leasing, &approve, approve_before,
                                  &r->approve_id, why);
    }
    struct leasing_effect place = place_effect(r);
    return e == OK ? leasing_effect_submit(tx, r->call->req, r->leasing, &place, r->place.id,
                                           &r->intent_id, why)
                   : e;
}

static void bind_id(struct store_query *q, const char *name, struct slice id)
{
    if (id.len > 0) {
        store_bind_text(q, name, id);
    } else {
        store_bind_null(q, name);
    }
}

static enum err put_request(struct store_tx *tx, const struct bid_request *r, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_bid_request_put);
    store_bind_text(&q, "request_id", r->id);
    store_bind_text(&q, "lease_id", r->lease.id);
    store_bind_bytes(&q, "bidder", address_slice(&r->bidder));
    store_bind_u256(&q, "funds", stable_raw(r->funds));
    store_bind_bytes(&q, "signature", r->signature);
    bind_id(&q, "approve_intent_id", r->approve_id);
    bind_id(&q, "bid_intent_id", r->intent_id);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err audit_bid(struct store_tx *tx, const struct bid_request *r, struct why *why)
{
    struct arena *arena = r->call->req;
    struct buf details;
    struct json_out j;
    buf_init(&details, arena, 192);
    json_out_init(&j, &details);
    json_begin_object(&j);
    json_key(&j, "leaseId");
    json_string(&j, r->lease.id);
    json_key(&j, "bidder");
    json_address(&j, &r->bidder);
    json_key(&j, "funds");
    json_u256(&j, stable_raw(r->funds));
    json_end_object(&j);
    return leasing_audit(tx, r->call, LEASING_AUDIT_BID_PLACED,
                         slice_format(arena, "bid/%.*s", SLICE_ARG(r->id)), r->intent_id,
                         buf_slice(&details), why);
}

static enum err write_bid(struct store_tx *tx, void *ctx, struct why *why)
{
    struct bid_request *r = ctx;
    bool found = false;
    char id[RAND_ID_MAX];
    r->approve_id = SLICE_EMPTY;
    r->place = (struct leasing_tx){.id = SLICE_EMPTY};
    enum err e = find_request(tx, r, &found, why);
    r->created = !found;
    r->intent_id = r->place.id;
    bool alive = r->place.known && !leasing_tx_is_dead(&r->place);
    if (e != OK || (found && (alive || !r->ours))) {
        return e;
    }
    e = load_lease(tx, r, why);
    if (e == OK) {
        e = may_be_bid_for(&r->lease, why);
    }
    if (e != OK) {
        return e;
    }
    if (!found) {
        rand_id("bid", id);
        r->id = slice_copy(r->call->req, slice_text(id));
    }
    if (r->ours) {
        e = submit_bid(tx, r, why);
    }
    if (e == OK) {
        e = put_request(tx, r, why);
    }
    return e == OK ? audit_bid(tx, r, why) : e;
}

/* ---- answers ---- */

static const char *request_status(const struct leasing_tx *tx)
{
    if (!tx->known) {
        return "unsent";
    }
    return leasing_tx_is_dead(tx) ? "failed" : "pending";
}

static enum err find_bid_index(struct store_tx *tx, const struct bid_request *r,
                               struct u256 *out_index, bool *out_found, struct why *why)
{
    struct store_query q;
    *out_found = false;
    if (!r->place.has_hash) {
        return OK;
    }
    store_begin(&q, tx, &leasing_api_sql_bid_by_tx);
    store_bind_i64(&q, "chain_id", (int64_t)r->leasing->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&r->leasing->marketplace));
    store_bind_u256(&q, "offer_id", r->lease.offer_id);
    store_bind_bytes(&q, "bidder", address_slice(&r->bidder));
    store_bind_bytes(&q, "transaction_hash", hash_slice(&r->place.hash));
    *out_found = store_step(&q);
    if (*out_found) {
        *out_index = store_get_u256(&q, "bid_index");
    }
    return store_finish(&q, NULL, why);
}

static void requests_member(struct json_out *j, const struct bid_request *r)
{
    struct leasing_effect approve = approve_effect(r);
    struct leasing_effect place = place_effect(r);
    json_key(j, "transactionRequests");
    json_begin_array(j);
    if (!r->ours) {
        leasing_effect_json(j, r->leasing, &approve);
        leasing_effect_json(j, r->leasing, &place);
    }
    json_end_array(j);
}

static enum err write_bid_answer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct bid_request *r = ctx;
    struct json_out *j = r->call->out;
    struct u256 index = U256_ZERO;
    bool found = false;
    bool placed = false;
    enum err e = find_request(tx, r, &found, why);
    if (e == OK) {
        e = find_bid_index(tx, r, &index, &placed, why);
    }
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    json_key(j, "requestId");
    json_string(j, r->id);
    json_key(j, "leaseId");
    json_string(j, r->lease.id);
    json_key(j, "offerId");
    json_u256(j, r->lease.offer_id);
    json_key(j, "bidder");
    json_address(j, &r->bidder);
    json_key(j, "funds");
    json_u256(j, stable_raw(r->funds));
    json_key(j, "status");
    json_text(j, placed ? "active" : request_status(&r->place));
    json_key(j, "bidIndex");
    if (placed) {
        json_u256(j, index);
    } else {
        json_null(j);
    }
    json_key(j, "approveTransactionId");
    leasing_json_text(j, r->approve_id);
    json_key(j, "transaction");
    leasing_tx_json(j, &r->place);
    requests_member(j, r);
    json_end_object(j);
    return OK;
}

enum err leasing_api_bid_create(struct http_call *call, struct why *why)
{
    struct bid_request r = {.call = call, .leasing = call->ctx};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = read_bid_request(&r, why);
    }
    if (e == OK) {
        e = store_read(call->store, load_lease, &r, why);
    }
    if (e == OK) {
        e = verify_bid(&r, why);
    }
    if (e == OK) {
        e = encode_bid(&r, why);
    }
    if (e != OK) {
        return e;
    }
    r.ours = relay_has_wallet(r.leasing->relay, &r.bidder);
    e = store_write(call->store, write_bid, &r, why);
    if (e != OK) {
        return e;
    }
    leasing_await(call, r.intent_id, wait_usec);
    call->status = r.created ? 201 : 200;
    return store_read(call->store, write_bid_answer, &r, why);
}

/* ---- the list ---- */

struct bids_list {
    struct bid_request at; /* the lease */
    struct http_page page;
    struct u256 after;
    uint32_t count;
};

static void bid_json(struct json_out *j, struct store_query *q, struct arena *arena)
{
    json_begin_object(j);
    json_key(j, "bidIndex");
    json_u256(j, store_get_u256(q, "bid_index"));
    json_key(j, "bidder");
    leasing_json_column_address(j, q, "bidder");
    json_key(j, "funds");
    json_u256(j, store_get_u256(q, "funds"));
    json_key(j, "status");
    json_string(j, store_get_text(q, "status", arena));
    json_key(j, "blockNumber");
    leasing_json_column_i64(j, q, "block_number");
    json_key(j, "transactionHash");
    leasing_json_column_hash(j, q, "transaction_hash");
    json_key(j, "signatureValid");
    if (store_is_null(q, "signature_valid")) {
        json_null(j);
    } else {
        json_bool(j, store_get_bool(q, "signature_valid"));
    }
    json_key(j, "signatureDetail");
    leasing_json_text(j, store_get_text(q, "detail", arena));
    json_key(j, "signatureCheckedAt");
    if (store_is_null(q, "checked_at")) {
        json_null(j);
    } else {
        json_time(j, store_get_time(q, "checked_at"));
    }
    json_end_object(j);
}

static enum err write_placed(struct store_tx *tx, struct bids_list *list, struct why *why)
{
    const struct leasing *l = list->at.leasing;
    struct http_call *call = list->at.call;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_bids_list);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&l->marketplace));
    store_bind_u256(&q, "offer_id", list->at.lease.offer_id);
    if (list->page.cursor.len > 0) {
        store_bind_u256(&q, "after_index", list->after);
    } else {
        store_bind_null(&q, "after_index");
    }
    store_bind_i64(&q, "max_rows", list->page.limit);
    store_bind_i64(&q, "skip_rows", (int64_t)list->page.offset);
    while (store_step(&q)) {
        list->after = store_get_u256(&q, "bid_index");
        bid_json(call->out, &q, call->req);
        list->count++;
    }
    return store_finish(&q, NULL, why);
}

/* Bids that are not on chain have no index yet: they follow those that have. */
static enum err write_pending(struct store_tx *tx, struct bids_list *list, struct why *why)
{
    const struct leasing *l = list->at.leasing;
    struct http_call *call = list->at.call;
    struct json_out *j = call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_bid_requests_list);
    store_bind_text(&q, "lease_id", list->at.lease.id);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&l->marketplace));
    while (store_step(&q)) {
        struct leasing_tx asked;
        json_begin_object(j);
        json_key(j, "bidIndex");
        json_null(j);
        json_key(j, "requestId");
        json_string(j, store_get_text(&q, "request_id", call->req));
        json_key(j, "bidder");
        leasing_json_column_address(j, &q, "bidder");
        json_key(j, "funds");
        json_u256(j, store_get_u256(&q, "funds"));
        json_key(j, "createdAt");
        json_time(j, store_get_time(&q, "created_at"));
        leasing_tx_read(&q, &leasing_tx_main, call->req, &asked);
        json_key(j, "status");
        json_text(j, request_status(&asked));
        json_key(j, "signatureValid");
        json_bool(j, true); /* it was verified before the request was stored */
        json_key(j, "transaction");
        leasing_tx_json(j, &asked);
        json_end_object(j);
    }
    return store_finish(&q, NULL, why);
}

static enum err read_bids(struct store_tx *tx, void *ctx, struct why *why)
{
    struct bids_list *list = ctx;
    struct json_out *j = list->at.call->out;
    enum err e = load_lease(tx, &list->at, why);
    if (e != OK) {
        return e;
    }
    json_begin_array(j);
    if (list->at.lease.has_offer) {
        e = write_placed(tx, list, why);
    }
    if (e == OK && list->count < list->page.limit) {
        e = write_pending(tx, list, why);
    }
    json_end_array(j);
    return e;
}

enum err leasing_api_bids_list(struct http_call *call, struct why *why)
{
    struct bids_list list = {.at = {.call = call, .leasing = call->ctx}};
    enum err e = http_page_read(call, &list.page, why);
    if (e == OK && list.page.cursor.len > 0 && u256_parse(list.page.cursor, &list.after) != OK) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
    }
    if (e == OK) {
        e = store_read(call->store, read_bids, &list, why);
    }
    if (e == OK && list.count == list.page.limit) {
        char text[U256_TEXT_MAX];
        (void)u256_format(list.after, text);
        http_cursor_set(call, slice_copy(call->req, slice_text(text)));
    }
    return e;
}
