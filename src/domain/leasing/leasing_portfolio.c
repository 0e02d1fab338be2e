/*
 * leasing_portfolio.c: all that an account has: asset tokens, revenue, sales, bids and leases.
 *
 * After a past block it is tokens and credited revenue, which rows remember by block. What was paid
 * out, for sale and let then is not remembered, and null.
 */
#include "domain/leasing/leasing_api_sql.h"
#include "domain/leasing/leasing_portfolio_sql.h"
#include "domain/leasing/leasing_sales.h"
#include "domain/leasing/leasing_sales_sql.h"

struct portfolio {
    struct http_call *call;
    const struct leasing *leasing;
    struct http_page page;
    struct address account;
    bool past; /* after `block` instead of now */
    uint64_t block;
    struct address last_token;
    uint32_t token_count;
};

/* ---- tokens ---- */

static void begin_tokens(struct store_tx *tx, const struct portfolio *p, struct store_query *q)
{
    store_begin(q, tx,
                p->past ? &leasing_portfolio_sql_tokens_at : &leasing_api_sql_account_tokens);
    store_bind_i64(q, "chain_id", (int64_t)p->leasing->chain_id);
    store_bind_bytes(q, "holder", address_slice(&p->account));
    if (p->page.cursor.len > 0) {
        store_bind_bytes(q, "after_token", p->page.cursor);
    } else {
        store_bind_null(q, "after_token");
    }
    store_bind_i64(q, "max_rows", p->page.limit);
    if (p->past) {
        store_bind_i64(q, "block_number", (int64_t)p->block);
    } else {
        store_bind_i64(q, "skip_rows", 0);
    }
}

static enum err holdings_member(struct store_tx *tx, struct portfolio *p, struct why *why)
{
    struct json_out *j = p->call->out;
    struct store_query q;
    begin_tokens(tx, p, &q);
    json_key(j, "holdings");
    json_begin_array(j);
    while (store_step(&q)) {
        store_get_fixed(&q, "token", p->last_token.bytes, ADDRESS_BYTES);
        json_begin_object(j);
        json_key(j, "tokenAddress");
        json_address(j, &p->last_token);
        json_key(j, "assetId");
        leasing_json_column_text(j, &q, "asset_id", p->call->req);
        json_key(j, "name");
        leasing_json_text(j, store_get_text(&q, "token_name", p->call->req));
        json_key(j, "symbol");
        leasing_json_text(j, store_get_text(&q, "token_symbol", p->call->req));
        json_key(j, "balance");
        json_u256(j, store_get_u256(&q, "balance"));
        json_end_object(j);
        p->token_count++;
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

/* ---- revenue ---- */

static enum err revenue_member(struct store_tx *tx, const struct portfolio *p, struct why *why)
{
    struct json_out *j = p->call->out;
    struct stable_amount credited = stable_of(U256_ZERO);
    struct stable_amount claimed = stable_of(U256_ZERO);
    struct stable_amount claimable = stable_of(U256_ZERO);
    enum err e = OK;
    struct store_query q;
    store_begin(&q, tx, &leasing_portfolio_sql_claims);
    store_bind_i64(&q, "chain_id", (int64_t)p->leasing->chain_id);
    store_bind_bytes(&q, "holder", address_slice(&p->account));
    store_bind_i64(&q, "last_round",
                   (int64_t)p->block * LEASING_ROUND_FACTOR + LEASING_ROUND_FACTOR - 1);
    while (store_step(&q) && e == OK) {
        struct stable_amount amount = stable_of(store_get_u256(&q, "claim_amount"));
        struct stable_amount *part = store_get_bool(&q, "claimed") ? &claimed : &claimable;
        e = stable_add(*part, amount, part);
        if (e == OK) {
            e = stable_add(credited, amount, &credited);
        }
    }
    enum err finished = store_finish(&q, NULL, why);
    if (e != OK) {
        return why_set(why, e, NULL, "The claims add up to more than 256 bits hold.");
    }
    json_key(j, "revenue");
    json_begin_object(j);
    json_key(j, "credited");
    json_u256(j, stable_raw(credited));
    if (!p->past) {
        json_key(j, "claimed");
        json_u256(j, stable_raw(claimed));
        json_key(j, "claimable");
        json_u256(j, stable_raw(claimable));
    }
    json_end_object(j);
    return finished;
}

/* ---- sales and bids ---- */

static enum err sales_member(struct store_tx *tx, const struct portfolio *p, struct why *why)
{
    struct json_out *j = p->call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_list);
    store_bind_i64(&q, "chain_id", (int64_t)p->leasing->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&p->leasing->marketplace));
    store_bind_text(&q, "status", SLICE_LIT("active"));
    store_bind_text(&q, "asset_id", SLICE_EMPTY);
    store_bind_bytes(&q, "seller", address_slice(&p->account));
    store_bind_null(&q, "below_id");
    store_bind_i64(&q, "max_rows", p->page.limit);
    store_bind_i64(&q, "skip_rows", 0);
    json_key(j, "sales");
    json_begin_array(j);
    while (store_step(&q)) {
        struct leasing_sale sale;
        leasing_sale_read(&q, p->call->req, &sale);
        json_begin_object(j);
        leasing_sale_json(j, &sale);
        json_end_object(j);
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

static enum err bids_member(struct store_tx *tx, const struct portfolio *p, struct why *why)
{
    struct json_out *j = p->call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_portfolio_sql_sale_bids);
    store_bind_i64(&q, "chain_id", (int64_t)p->leasing->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&p->leasing->marketplace));
    store_bind_bytes(&q, "bidder", address_slice(&p->account));
    store_bind_i64(&q, "max_rows", p->page.limit);
    json_key(j, "saleBids");
    json_begin_array(j);
    while (store_step(&q)) {
        json_begin_object(j);
        json_key(j, "saleId");
        json_u256(j, store_get_u256(&q, "sale_id"));
        json_key(j, "bidIndex");
        json_u256(j, store_get_u256(&q, "bid_index"));
        json_key(j, "amount");
        json_u256(j, store_get_u256(&q, "amount"));
        json_key(j, "pricePerUnit");
        json_u256(j, store_get_u256(&q, "price"));
        json_key(j, "funds");
        json_u256(j, store_get_u256(&q, "funds"));
        json_end_object(j);
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

/* ---- leases ---- */

static enum err leases_member(struct store_tx *tx, const struct portfolio *p, struct why *why)
{
    struct json_out *j = p->call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_portfolio_sql_leases);
    store_bind_i64(&q, "chain_id", (int64_t)p->leasing->chain_id);
    store_bind_bytes(&q, "account", address_slice(&p->account));
    store_bind_i64(&q, "max_rows", p->page.limit);
    json_key(j, "leases");
    json_begin_array(j);
    while (store_step(&q)) {
        struct address lessor;
        store_get_fixed(&q, "lessor", lessor.bytes, ADDRESS_BYTES);
        json_begin_object(j);
        json_key(j, "leaseId");
        json_string(j, store_get_text(&q, "lease_id", p->call->req));
        json_key(j, "assetId");
        json_string(j, store_get_text(&q, "asset_id", p->call->req));
        json_key(j, "role");
        json_text(j, address_equal(&lessor, &p->account) ? "lessor" : "lessee");
        json_key(j, "lessorAddress");
        json_address(j, &lessor);
        json_key(j, "lesseeAddress");
        leasing_json_column_address(j, &q, "lessee");
        json_key(j, "status");
        json_string(j, store_get_text(&q, "status", p->call->req));
        json_key(j, "startDate");
        json_time(j, store_get_time(&q, "start_date"));
        json_key(j, "endDate");
        json_time(j, store_get_time(&q, "end_date"));
        json_key(j, "overdueCount");
        json_i64(j, store_get_i64(&q, "overdue"));
        json_end_object(j);
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

/* ---- the answer ---- */

static enum err read_block(struct store_tx *tx, struct portfolio *p, struct why *why)
{
    uint64_t cursor = 0;
    struct hash hash;
    enum err e = chain_cursor_read(tx, p->leasing->chain_id, &cursor, &hash, why);
    if (e == OK && p->past && p->block > cursor) {
        e = why_set(why, ERR_INVALID_FIELD, "block",
                    "block must be at most %llu, the last block that is known here.",
                    (unsigned long long)cursor);
    }
    if (e == OK && !p->past) {
        p->block = cursor;
    }
    return e;
}

static enum err present_members(struct store_tx *tx, struct portfolio *p, struct why *why)
{
    static const char *const members[] = {"sales", "saleBids", "leases"};
    if (p->past) {
        for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
            json_key(p->call->out, members[i]);
            json_null(p->call->out);
        }
        return OK;
    }
    enum err e = sales_member(tx, p, why);
    if (e == OK) {
        e = bids_member(tx, p, why);
    }
    return e == OK ? leases_member(tx, p, why) : e;
}

static enum err read_portfolio(struct store_tx *tx, void *ctx, struct why *why)
{
    struct portfolio *p = ctx;
    struct json_out *j = p->call->out;
    enum err e = read_block(tx, p, why);
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    json_key(j, "address");
    json_address(j, &p->account);
    json_key(j, "blockNumber");
    json_u64(j, p->block);
    e = holdings_member(tx, p, why);
    if (e == OK) {
        e = revenue_member(tx, p, why);
    }
    if (e == OK) {
        e = present_members(tx, p, why);
    }
    json_end_object(j);
    return e;
}

static enum err read_query(struct portfolio *p, struct why *why)
{
    enum err e = leasing_address_parse(http_param(p->call, "address"), "address", &p->account, why);
    if (e == OK) {
        e = http_page_read(p->call, &p->page, why);
    }
    bool foreign = p->page.cursor.len != 0 && p->page.cursor.len != ADDRESS_BYTES;
    if (e == OK && foreign) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
    }
    if (e == OK && p->page.offset > 0) {
        e = why_set(why, ERR_INVALID_FIELD, "offset", "This list is read on by cursor.");
    }
    struct slice text = http_query(p->call, "block", &p->past);
    if (e == OK && p->past &&
        (slice_parse_u64(text, &p->block) != OK || p->block > INT64_MAX / LEASING_ROUND_FACTOR)) {
        e = why_set(why, ERR_INVALID_FIELD, "block", "block must be the number of a block.");
    }
    return e;
}

enum err leasing_api_portfolio_get(struct http_call *call, struct why *why)
{
    struct portfolio p = {.call = call, .leasing = call->ctx};
    enum err e = read_query(&p, why);
    if (e == OK) {
        e = store_read(call->store, read_portfolio, &p, why);
    }
    if (e == OK && p.token_count == p.page.limit) {
        http_cursor_set(call, slice_copy(call->req, address_slice(&p.last_token)));
    }
    return e;
}
