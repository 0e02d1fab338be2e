/*
 * leasing_sale_reads.c: sales of asset tokens and the bids on them, as rows and as answers.
 */
#include "domain/leasing/leasing_sales.h"
#include "domain/leasing/leasing_sales_sql.h"

/* Newest transactions of a sale that are shown with it. */
#define ACTIONS_MAX 20

void leasing_sale_bind(struct store_query *q, const struct leasing *l, struct u256 sale_id)
{
    store_bind_i64(q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(q, "marketplace", address_slice(&l->marketplace));
    store_bind_u256(q, "sale_id", sale_id);
}

void leasing_sale_read(struct store_query *q, struct arena *arena, struct leasing_sale *out)
{
    *out = (struct leasing_sale){.id = store_get_u256(q, "sale_id")};
    store_get_fixed(q, "seller", out->seller.bytes, ADDRESS_BYTES);
    store_get_fixed(q, "token", out->token.bytes, ADDRESS_BYTES);
    out->amount = token_of(store_get_u256(q, "amount"));
    out->remaining = token_of(store_get_u256(q, "remaining"));
    out->price = stable_of(store_get_u256(q, "ask_price"));
    out->status = store_get_text(q, "status", arena);
    out->block_number = (uint64_t)store_get_i64(q, "block_number");
    store_get_fixed(q, "transaction_hash", out->transaction.bytes, HASH_BYTES);
    out->asset_id = store_get_text(q, "asset_id", arena);
    out->bid_count = store_get_i64(q, "bid_count");
    out->held = token_of(store_get_u256(q, "held"));
}

enum err leasing_sale_get(struct store_tx *tx, const struct http_call *call,
                          struct leasing_sale *out, struct why *why)
{
    uint64_t id = 0;
    enum err e = leasing_number_param(call, "saleId", &id, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_get);
    leasing_sale_bind(&q, call->ctx, u256_from_u64(id));
    bool found = store_step(&q);
    if (found) {
        leasing_sale_read(&q, call->req, out);
    }
    e = store_finish(&q, NULL, why);
    return e == OK && !found ? leasing_not_found(why, "Sale") : e;
}

enum err leasing_sale_must_be_open(const struct leasing_sale *sale, struct why *why)
{
    return slice_equal_text(sale->status, "active")
               ? OK
               : why_set(why, ERR_CONFLICT, "saleId", "The sale is %.*s.", SLICE_ARG(sale->status));
}

void leasing_sale_json(struct json_out *j, const struct leasing_sale *sale)
{
    json_key(j, "saleId");
    json_u256(j, sale->id);
    json_key(j, "assetId");
    leasing_json_text(j, sale->asset_id);
    json_key(j, "sellerAddress");
    json_address(j, &sale->seller);
    json_key(j, "tokenAddress");
    json_address(j, &sale->token);
    json_key(j, "amount");
    json_u256(j, token_raw(sale->amount));
    json_key(j, "remaining");
    json_u256(j, token_raw(sale->remaining));
    json_key(j, "pricePerUnit");
    json_u256(j, stable_raw(sale->price));
    json_key(j, "sellerBalance");
    json_u256(j, token_raw(sale->held));
    json_key(j, "status");
    json_string(j, sale->status);
    json_key(j, "bidCount");
    json_i64(j, sale->bid_count);
    json_key(j, "blockNumber");
    json_u64(j, sale->block_number);
    json_key(j, "transactionHash");
    json_hex(j, hash_slice(&sale->transaction));
}

/* ---- one sale ---- */

static enum err actions_member(struct store_tx *tx, const struct http_call *call,
                               struct u256 sale_id, struct why *why)
{
    struct json_out *j = call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_actions_list);
    leasing_sale_bind(&q, call->ctx, sale_id);
    store_bind_i64(&q, "max_rows", ACTIONS_MAX);
    json_key(j, "actions");
    json_begin_array(j);
    while (store_step(&q)) {
        struct leasing_tx asked;
        leasing_tx_read(&q, &leasing_tx_main, call->req, &asked);
        json_begin_object(j);
        json_key(j, "action");
        json_string(j, store_get_text(&q, "action", call->req));
        json_key(j, "bidIndex");
        leasing_json_column_u256(j, &q, "bid_index");
        json_key(j, "createdAt");
        json_time(j, store_get_time(&q, "created_at"));
        json_key(j, "transaction");
        leasing_tx_json(j, &asked);
        json_end_object(j);
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

static enum err read_sale(struct store_tx *tx, void *ctx, struct why *why)
{
    struct http_call *call = ctx;
    struct leasing_sale sale = {.status = SLICE_EMPTY};
    enum err e = leasing_sale_get(tx, call, &sale, why);
    if (e != OK) {
        return e;
    }
    json_begin_object(call->out);
    leasing_sale_json(call->out, &sale);
    e = actions_member(tx, call, sale.id, why);
    json_end_object(call->out);
    return e;
}

enum err leasing_api_sale_get(struct http_call *call, struct why *why)
{
    return store_read(call->store, read_sale, call, why);
}

/* ---- lists ---- */

/* What the lists of sales and of bids share: pages by a number, a status and an account. */
struct sales_list {
    struct http_call *call;
    struct http_page page;
    struct slice status;
    struct address account;
    bool has_account;
    struct u256 at; /* the number of the last item, or of the cursor */
    uint32_t count;
};

static enum err read_list_query(struct sales_list *list, const char *const *statuses,
                                const char *account, struct why *why)
{
    struct http_call *call = list->call;
    enum err e = http_page_read(call, &list->page, why);
    if (e == OK && list->page.cursor.len > 0 && u256_parse(list->page.cursor, &list->at) != OK) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
    }
    if (e == OK) {
        e = leasing_status_query(call, statuses, &list->status, why);
    }
    return e == OK ? leasing_address_query(call, account, &list->account, &list->has_account, why)
                   : e;
}

static void bind_account(struct store_query *q, const struct sales_list *list, const char *name)
{
    if (list->has_account) {
        store_bind_bytes(q, name, address_slice(&list->account));
    } else {
        store_bind_null(q, name);
    }
}

static void bind_page(struct store_query *q, const struct sales_list *list, const char *position)
{
    if (list->page.cursor.len > 0) {
        store_bind_u256(q, position, list->at);
    } else {
        store_bind_null(q, position);
    }
    store_bind_i64(q, "max_rows", list->page.limit);
    store_bind_i64(q, "skip_rows", (int64_t)list->page.offset);
}

static void set_cursor(const struct sales_list *list)
{
    if (list->count == list->page.limit) {
        char text[U256_TEXT_MAX];
        (void)u256_format(list->at, text);
        http_cursor_set(list->call, slice_copy(list->call->req, slice_text(text)));
    }
}

static enum err read_sales(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sales_list *list = ctx;
    struct http_call *call = list->call;
    const struct leasing *l = call->ctx;
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_list);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&l->marketplace));
    store_bind_text(&q, "status", list->status);
    store_bind_text(&q, "asset_id", http_query(call, "assetId", NULL));
    bind_account(&q, list, "seller");
    bind_page(&q, list, "below_id");
    json_begin_array(call->out);
    while (store_step(&q)) {
        struct leasing_sale sale;
        leasing_sale_read(&q, call->req, &sale);
        json_begin_object(call->out);
        leasing_sale_json(call->out, &sale);
        json_end_object(call->out);
        list->at = sale.id;
        list->count++;
    }
    json_end_array(call->out);
    return store_finish(&q, NULL, why);
}

enum err leasing_api_sales_list(struct http_call *call, struct why *why)
{
    static const char *const statuses[] = {"active", "sold", "cancelled", NULL};
    struct sales_list list = {.call = call};
    enum err e = read_list_query(&list, statuses, "seller", why);
    if (e == OK) {
        e = store_read(call->store, read_sales, &list, why);
    }
    if (e == OK) {
        set_cursor(&list);
    }
    return e;
}

/* ---- bids ---- */

void leasing_sale_bid_read(struct store_query *q, struct arena *arena, struct leasing_sale_bid *out)
{
    *out = (struct leasing_sale_bid){.index = store_get_u256(q, "bid_index")};
    store_get_fixed(q, "bidder", out->bidder.bytes, ADDRESS_BYTES);
    out->amount = token_of(store_get_u256(q, "amount"));
    out->price = stable_of(store_get_u256(q, "price"));
    out->funds = stable_of(store_get_u256(q, "funds"));
    out->status = store_get_text(q, "status", arena);
    out->block_number = (uint64_t)store_get_i64(q, "block_number");
    store_get_fixed(q, "transaction_hash", out->transaction.bytes, HASH_BYTES);
}

void leasing_sale_bid_json(struct json_out *j, const struct leasing_sale_bid *bid)
{
    json_key(j, "bidIndex");
    json_u256(j, bid->index);
    json_key(j, "bidder");
    json_address(j, &bid->bidder);
    json_key(j, "amount");
    json_u256(j, token_raw(bid->amount));
    json_key(j, "pricePerUnit");
    json_u256(j, stable_raw(bid->price));
    json_key(j, "funds");
    json_u256(j, stable_raw(bid->funds));
    json_key(j, "status");
    json_string(j, bid->status);
    json_key(j, "blockNumber");
    json_u64(j, bid->block_number);
    json_key(j, "transactionHash");
    json_hex(j, hash_slice(&bid->transaction));
}

static enum err write_placed(struct store_tx *tx, struct sales_list *list, struct u256 sale_id,
                             struct why *why)
{
    struct http_call *call = list->call;
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_bids_list);
    leasing_sale_bind(&q, call->ctx, sale_id);
    store_bind_text(&q, "status", list->status);
    bind_account(&q, list, "bidder");
    bind_page(&q, list, "after_index");
    while (store_step(&q)) {
        struct leasing_sale_bid bid;
        leasing_sale_bid_read(&q, call->req, &bid);
        json_begin_object(call->out);
        leasing_sale_bid_json(call->out, &bid);
        json_end_object(call->out);
        list->at = bid.index;
        list->count++;
    }
    return store_finish(&q, NULL, why);
}

/* Bids that are not on chain have no index yet: they follow those that have. */
static enum err write_pending(struct store_tx *tx, const struct sales_list *list,
                              struct u256 sale_id, struct why *why)
{
    struct http_call *call = list->call;
    struct json_out *j = call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_bid_requests_list);
    leasing_sale_bind(&q, call->ctx, sale_id);
    bind_account(&q, list, "bidder");
    store_bind_i64(&q, "max_rows", list->page.limit);
    while (store_step(&q)) {
        struct leasing_tx asked;
        leasing_tx_read(&q, &leasing_tx_main, call->req, &asked);
        json_begin_object(j);
        json_key(j, "bidIndex");
        json_null(j);
        json_key(j, "requestId");
        json_string(j, store_get_text(&q, "request_id", call->req));
        json_key(j, "bidder");
        leasing_json_column_address(j, &q, "bidder");
        json_key(j, "amount");
        json_u256(j, store_get_u256(&q, "amount"));
        json_key(j, "pricePerUnit");
        json_u256(j, store_get_u256(&q, "price"));
        json_key(j, "funds");
        json_u256(j, store_get_u256(&q, "funds"));
        json_key(j, "status");
        json_text(j, leasing_tx_is_dead(&asked) ? "failed" : "pending");
        json_key(j, "createdAt");
        json_time(j, store_get_time(&q, "created_at"));
        json_key(j, "transaction");
        leasing_tx_json(j, &asked);
        json_end_object(j);
    }
    return store_finish(&q, NULL, why);
}

static enum err read_bids(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sales_list *list = ctx;
    struct leasing_sale sale = {.status = SLICE_EMPTY};
    enum err e = leasing_sale_get(tx, list->call, &sale, why);
    if (e != OK) {
        return e;
    }
    json_begin_array(list->call->out);
    e = write_placed(tx, list, sale.id, why);
    if (e == OK && list->count < list->page.limit && list->status.len == 0) {
        e = write_pending(tx, list, sale.id, why);
    }
    json_end_array(list->call->out);
    return e;
}

enum err leasing_api_sale_bids_list(struct http_call *call, struct why *why)
{
    static const char *const statuses[] = {"active", "accepted", "refunded", "withdrawn", NULL};
    struct sales_list list = {.call = call};
    enum err e = read_list_query(&list, statuses, "bidder", why);
    if (e == OK) {
        e = store_read(call->store, read_bids, &list, why);
    }
    if (e == OK) {
        set_cursor(&list);
    }
    return e;
}
