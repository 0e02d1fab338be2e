/*
 * leasing_sales.c: putting asset tokens up for sale, and what was asked for so far.
 */
#include "domain/leasing/leasing_sales.h"

#include "domain/leasing/leasing_sales_sql.h"
#include "gen/abi_marketplace.h"
#include "kernel/base/rand.h"

#define REQUEST_NAME_MAX 50

struct sale_request {
    struct http_call *call;
    const struct leasing *leasing;
    struct slice name;
    struct slice asset_id;
    struct address seller;
    struct token_amount amount;
    struct stable_amount price;
    struct address token;
    struct slice data;
    bool ours; /* the relay has the seller's key */
    bool created;
    struct slice intent_id;
};

/* ---- names of requests ---- */

static bool is_name(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && c != '_' && c != '.' && c != '-') {
            return false;
        }
    }
    return text.len > 0 && text.len <= REQUEST_NAME_MAX;
}

static struct slice make_name(const struct http_call *call, const char *kind)
{
    char id[RAND_ID_MAX];
    if (call->idempotency_key.len == 0) {
        rand_id(kind, id);
        return slice_copy(call->req, slice_text(id));
    }
    struct hash h = sha256(slice_format(call->req, "%s/%.*s/%.*s", kind, SLICE_ARG(call->principal),
                                        SLICE_ARG(call->idempotency_key)));
    struct buf b;
    buf_init(&b, call->req, 48);
    buf_format(&b, "%s_", kind);
    buf_add_hex(&b, slice_of(h.bytes, 13));
    return buf_slice(&b);
}

enum err leasing_request_name(const struct http_call *call, const char *kind, struct slice *out,
                              struct why *why)
{
    struct slice name = SLICE_EMPTY;
    if (json_find(call->json, "requestId") == NULL) {
        *out = make_name(call, kind);
        return OK;
    }
    enum err e = json_get_text(call->json, "requestId", &name, why);
    if (e == OK && !is_name(name)) {
        e = why_set(why, ERR_INVALID_FIELD, "requestId",
                    "requestId must be 1 to %d of the characters A-Z, a-z, 0-9, '_', '.' and '-'.",
                    REQUEST_NAME_MAX);
    }
    if (e == OK) {
        *out = name;
    }
    return e;
}

/* ---- checks ---- */

static enum err read_sale_request(struct sale_request *r, struct why *why)
{
    static const char *const members[] = {"assetId",      "seller",    "amount",
                                          "pricePerUnit", "requestId", NULL};
    const struct json *body = r->call->json;
    struct u256 amount = U256_ZERO;
    struct u256 price = U256_ZERO;
    enum err e = json_only(body, members, why);
    if (e == OK) {
        e = json_get_text(body, "assetId", &r->asset_id, why);
    }
    if (e == OK) {
        e = leasing_body_account(body, "seller", &r->seller, why);
    }
    if (e == OK) {
        e = leasing_body_amount(body, "amount", &amount, why);
    }
    if (e == OK) {
        e = leasing_body_amount(body, "pricePerUnit", &price, why);
    }
    r->amount = token_of(amount);
    r->price = stable_of(price);
    return e == OK ? leasing_request_name(r->call, "sale", &r->name, why) : e;
}

static enum err read_held(struct store_tx *tx, const struct sale_request *r,
                          struct token_amount *out, struct why *why)
{
    struct store_query q;
    *out = token_of(U256_ZERO);
    store_begin(&q, tx, &leasing_sales_sql_held);
    store_bind_i64(&q, "chain_id", (int64_t)r->leasing->chain_id);
    store_bind_bytes(&q, "token", address_slice(&r->token));
    store_bind_bytes(&q, "holder", address_slice(&r->seller));
    if (store_step(&q)) {
        *out = token_of(store_get_u256(&q, "balance"));
    }
    return store_finish(&q, NULL, why);
}

static enum err find_token(struct store_tx *tx, struct sale_request *r, struct why *why)
{
    struct leasing_asset asset;
    enum err e = leasing_asset_get(tx, r->call->req, r->asset_id, &asset, why);
    if (e == OK && !asset.on_chain) {
        e = why_set(why, ERR_CONFLICT, "assetId", "The asset %.*s has no token yet.",
                    SLICE_ARG(asset.id));
    }
    if (e == OK) {
        r->token = asset.token;
    }
    return e;
}

/* The contract would take a sale of what the seller has not; nobody could ever fill it. */
static enum err seller_must_hold(struct store_tx *tx, const struct sale_request *r, struct why *why)
{
    struct token_amount held;
    enum err e = read_held(tx, r, &held, why);
    if (e == OK && token_compare(held, r->amount) < 0) {
        char text[U256_TEXT_MAX];
        (void)u256_format(token_raw(held), text);
        e = why_set(why, ERR_INSUFFICIENT_FUNDS, "amount",
                    "The seller holds %s units of the token, less than are for sale.", text);
    }
    return e;
}

/* Of our own wallets it is checked when the request is written: one that is repeated may be sold.
 */
static enum err check_sale(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sale_request *r = ctx;
    enum err e = find_token(tx, r, why);
    return e == OK && !r->ours ? seller_must_hold(tx, r, why) : e;
}

/* ---- writing ---- */

static struct leasing_effect post_effect(const struct sale_request *r)
{
    return (struct leasing_effect){
        .role = LEASING_ROLE_SELLER,
        .purpose = "leasing.post_sale",
        .key = slice_format(r->call->req, "sale/%.*s/post", SLICE_ARG(r->name)),
        .wallet = r->seller,
        .to = r->leasing->marketplace,
        .data = r->data,
    };
}

static enum err claim_request(struct store_tx *tx, const struct sale_request *r, bool *out_claimed,
                              struct why *why)
{
    const struct leasing *l = r->leasing;
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_request_claim);
    store_bind_text(&q, "request_id", r->name);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&l->marketplace));
    store_bind_text(&q, "asset_id", r->asset_id);
    store_bind_bytes(&q, "seller", address_slice(&r->seller));
    store_bind_bytes(&q, "token", address_slice(&r->token));
    store_bind_u256(&q, "amount", token_raw(r->amount));
    store_bind_u256(&q, "ask_price", stable_raw(r->price));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    *out_claimed = e == OK && changed > 0;
    return e;
}

/* A request as its row and the relay have it. */
struct asked_sale {
    struct slice name;
    struct slice asset_id;
    struct address seller;
    struct address token;
    struct token_amount amount;
    struct stable_amount price;
    int64_t created_usec;
    struct leasing_tx tx;
    bool posted;
    struct u256 sale_id;
};

static void read_asked(struct store_query *q, struct arena *arena, struct asked_sale *out)
{
    *out = (struct asked_sale){.name = store_get_text(q, "request_id", arena)};
    out->asset_id = store_get_text(q, "asset_id", arena);
    store_get_fixed(q, "seller", out->seller.bytes, ADDRESS_BYTES);
    store_get_fixed(q, "token", out->token.bytes, ADDRESS_BYTES);
    out->amount = token_of(store_get_u256(q, "amount"));
    out->price = stable_of(store_get_u256(q, "ask_price"));
    out->created_usec = store_get_time(q, "created_at");
    leasing_tx_read(q, &leasing_tx_main, arena, &out->tx);
    out->posted = !store_is_null(q, "sale_id");
    out->sale_id = store_get_u256(q, "sale_id");
    store_ignore(q, "status");
}

static enum err get_asked(struct store_tx *tx, const struct sale_request *r, struct asked_sale *out,
                          struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_request_get);
    store_bind_text(&q, "request_id", r->name);
    if (store_step(&q)) {
        read_asked(&q, r->call->req, out);
    }
    return store_finish_one(&q, "The sale that was asked for", why);
}

static enum err compare_asked(const struct sale_request *r, const struct asked_sale *row,
                              struct why *why)
{
    bool same =
        slice_equal(row->asset_id, r->asset_id) && address_equal(&row->seller, &r->seller) &&
        token_compare(row->amount, r->amount) == 0 && stable_compare(row->price, r->price) == 0;
    return same ? OK
                : why_set(why, ERR_ALREADY_EXISTS, "requestId",
                          "The request %.*s exists with other content.", SLICE_ARG(r->name));
}

static enum err submit_sale(struct store_tx *tx, struct sale_request *r, struct slice previous,
                            struct why *why)
{
    struct leasing_effect effect = post_effect(r);
    enum err e =
        leasing_effect_submit(tx, r->call->req, r->leasing, &effect, previous, &r->intent_id, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_request_intent);
    store_bind_text(&q, "request_id", r->name);
    store_bind_text(&q, "intent_id", r->intent_id);
    e = store_finish(&q, NULL, why);
    struct slice subject = slice_format(r->call->req, "sale/%.*s", SLICE_ARG(r->name));
    return e == OK ? leasing_audit(tx, r->call, LEASING_AUDIT_SALE_POSTED, subject, r->intent_id,
                                   SLICE_EMPTY, why)
                   : e;
}

static enum err write_sale(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sale_request *r = ctx;
    struct asked_sale row = {.tx = {.id = SLICE_EMPTY}};
    enum err e = claim_request(tx, r, &r->created, why);
    if (e == OK && !r->created) {
        e = get_asked(tx, r, &row, why);
        if (e == OK) {
            e = compare_asked(r, &row, why);
        }
    }
    r->intent_id = row.tx.id;
    bool alive = row.tx.known && !leasing_tx_is_dead(&row.tx);
    if (e != OK || alive) {
        return e;
    }
    e = seller_must_hold(tx, r, why);
    return e == OK ? submit_sale(tx, r, row.tx.id, why) : e;
}

/* ---- answers ---- */

static void asked_json(struct json_out *j, const struct asked_sale *a)
{
    json_key(j, "requestId");
    leasing_json_text(j, a->name);
    json_key(j, "assetId");
    json_string(j, a->asset_id);
    json_key(j, "sellerAddress");
    json_address(j, &a->seller);
    json_key(j, "tokenAddress");
    json_address(j, &a->token);
    json_key(j, "amount");
    json_u256(j, token_raw(a->amount));
    json_key(j, "pricePerUnit");
    json_u256(j, stable_raw(a->price));
    json_key(j, "status");
    json_text(j, a->posted                    ? "posted"
                 : !a->tx.known               ? "unsent"
                 : leasing_tx_is_dead(&a->tx) ? "failed"
                                              : "pending");
    json_key(j, "saleId");
    if (a->posted) {
        json_u256(j, a->sale_id);
    } else {
        json_null(j);
    }
    json_key(j, "createdAt");
    if (a->name.len > 0) {
        json_time(j, a->created_usec);
    } else {
        json_null(j);
    }
    json_key(j, "transaction");
    leasing_tx_json(j, &a->tx);
}

static enum err write_sale_answer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sale_request *r = ctx;
    struct json_out *j = r->call->out;
    struct asked_sale asked = {.asset_id = r->asset_id,
                               .seller = r->seller,
                               .token = r->token,
                               .amount = r->amount,
                               .price = r->price};
    enum err e = r->ours ? get_asked(tx, r, &asked, why) : OK;
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    asked_json(j, &asked);
    json_key(j, "transactionRequests");
    json_begin_array(j);
    if (!r->ours) {
        struct leasing_effect effect = post_effect(r);
        leasing_effect_json(j, r->leasing, &effect);
    }
    json_end_array(j);
    json_end_object(j);
    return OK;
}

enum err leasing_api_sale_create(struct http_call *call, struct why *why)
{
    struct sale_request r = {.call = call, .leasing = call->ctx};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = read_sale_request(&r, why);
    }
    r.ours = e == OK && relay_has_wallet(r.leasing->relay, &r.seller);
    if (e == OK) {
        e = store_read(call->store, check_sale, &r, why);
    }
    if (e == OK) {
        e = marketplace_post_sale_encode(call->req, &r.token, token_raw(r.amount),
                                         stable_raw(r.price), &r.data, why);
    }
    if (e == OK && r.ours) {
        e = store_write(call->store, write_sale, &r, why);
    }
    if (e != OK) {
        return e;
    }
    leasing_await(call, r.intent_id, wait_usec);
    call->status = r.created ? 201 : 200;
    return store_read(call->store, write_sale_answer, &r, why);
}

/* ---- the list ---- */

struct asked_list {
    struct http_call *call;
    struct http_page page;
    struct address seller;
    bool has_seller;
    int64_t below_usec;
    struct slice below_id;
    uint32_t count;
};

static enum err read_asked_list(struct store_tx *tx, void *ctx, struct why *why)
{
    struct asked_list *list = ctx;
    const struct leasing *l = list->call->ctx;
    struct json_out *j = list->call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_requests_list);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&l->marketplace));
    if (list->has_seller) {
        store_bind_bytes(&q, "seller", address_slice(&list->seller));
    } else {
        store_bind_null(&q, "seller");
    }
    store_bind_time(&q, "below_time", list->below_usec);
    store_bind_text(&q, "below_id", list->below_id);
    store_bind_i64(&q, "max_rows", list->page.limit);
    store_bind_i64(&q, "skip_rows", (int64_t)list->page.offset);
    json_begin_array(j);
    while (store_step(&q)) {
        struct asked_sale asked;
        read_asked(&q, list->call->req, &asked);
        json_begin_object(j);
        asked_json(j, &asked);
        json_end_object(j);
        list->below_usec = asked.created_usec;
        list->below_id = asked.name;
        list->count++;
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

enum err leasing_api_sale_requests_list(struct http_call *call, struct why *why)
{
    struct asked_list list = {.call = call};
    enum err e = http_page_read(call, &list.page, why);
    if (e == OK) {
        e = leasing_cursor_read(&list.page, &list.below_usec, &list.below_id, why);
    }
    if (e == OK) {
        e = leasing_address_query(call, "seller", &list.seller, &list.has_seller, why);
    }
    if (e == OK) {
        e = store_read(call->store, read_asked_list, &list, why);
    }
    if (e == OK && list.count == list.page.limit) {
        leasing_cursor_set(call, list.below_usec, list.below_id);
    }
    return e;
}
