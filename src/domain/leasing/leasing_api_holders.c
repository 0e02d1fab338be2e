/*
 * leasing_api_holders.c: who holds what: the holders of an asset's token, now or after a past
 * block, and all that an account has here.
 */
#include "domain/leasing/leasing_api.h"
#include "domain/leasing/leasing_api_sql.h"
#include "domain/leasing/leasing_chain_sql.h"
#include "kernel/base/check.h"

/* ---- holders of a token ---- */

struct holders {
    struct http_call *call;
    struct http_page page;
    bool past; /* after `block` instead of now */
    uint64_t block;
    struct address last;
    uint64_t given;
    uint64_t count;
    struct token_amount sum;
};

static enum err begin_holders(struct store_tx *tx, struct holders *h, const struct leasing_asset *a,
                              struct store_query *q, struct why *why)
{
    const struct leasing *l = h->call->ctx;
    uint64_t cursor = 0;
    struct hash hash;
    enum err e = chain_cursor_read(tx, l->chain_id, &cursor, &hash, why);
    if (e != OK) {
        return e;
    }
    if (h->past && h->block > cursor) {
        return why_set(why, ERR_INVALID_FIELD, "block",
                       "block must be at most %llu, the last block that is known here.",
                       (unsigned long long)cursor);
    }
    /* Blocks that are forgotten cannot be undone: what was true after one of them stays so. */
    h->call->final =
        h->past && l->undo_depth > 0 && cursor > l->undo_depth && h->block < cursor - l->undo_depth;
    if (!h->past) {
        h->block = cursor;
        store_begin(q, tx, &leasing_chain_sql_holders_list);
    } else {
        store_begin(q, tx, &leasing_api_sql_holders_at);
    }
    store_bind_i64(q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(q, "token", address_slice(&a->token));
    if (h->past) {
        store_bind_i64(q, "block_number", (int64_t)h->block);
    }
    return OK;
}

static bool in_page(const struct holders *h, const struct address *holder)
{
    bool behind =
        h->page.cursor.len == 0 || slice_compare(address_slice(holder), h->page.cursor) > 0;
    return behind && h->count > h->page.offset && h->given < h->page.limit;
}

/* All holders are counted and added up; those of the page are written. */
static enum err write_holders(struct holders *h, struct store_query *q, struct why *why)
{
    struct json_out *j = h->call->out;
    enum err e = OK;
    json_key(j, "holders");
    json_begin_array(j);
    while (e == OK && store_step(q)) {
        struct address holder;
        store_get_fixed(q, "holder", holder.bytes, ADDRESS_BYTES);
        struct token_amount balance = token_of(store_get_u256(q, "balance"));
        h->count++;
        e = token_add(h->sum, balance, &h->sum);
        if (!in_page(h, &holder)) {
            continue;
        }
        json_begin_object(j);
        json_key(j, "holderAddress");
        json_address(j, &holder);
        json_key(j, "balance");
        json_u256(j, token_raw(balance));
        json_end_object(j);
        h->last = holder;
        h->given++;
    }
    json_end_array(j);
    enum err finished = store_finish(q, NULL, why);
    return e != OK ? why_set(why, e, NULL, "The balances add up to more than 256 bits hold.")
                   : finished;
}

static enum err read_holders(struct store_tx *tx, void *ctx, struct why *why)
{
    struct holders *h = ctx;
    struct json_out *j = h->call->out;
    struct leasing_asset a;
    struct store_query q;
    enum err e = leasing_asset_get(tx, h->call->req, http_param(h->call, "assetId"), &a, why);
    if (e == OK && !a.on_chain) {
        e = why_set(why, ERR_NOT_FOUND, NULL, "The asset has no token yet");
    }
    if (e == OK) {
        e = begin_holders(tx, h, &a, &q, why);
    }
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    json_key(j, "assetId");
    json_string(j, a.id);
    json_key(j, "tokenAddress");
    json_address(j, &a.token);
    json_key(j, "blockNumber");
    json_u64(j, h->block);
    e = write_holders(h, &q, why);
    json_key(j, "holderCount");
    json_u64(j, h->count);
    json_key(j, "sum");
    json_u256(j, token_raw(h->sum));
    json_key(j, "totalSupply");
    json_u256(j, token_raw(a.total_supply));
    json_end_object(j);
    return e;
}

static enum err block_query(struct holders *h, struct why *why)
{
    struct slice text = http_query(h->call, "block", &h->past);
    if (h->past && (slice_parse_u64(text, &h->block) != OK || h->block > INT64_MAX)) {
        return why_set(why, ERR_INVALID_FIELD, "block", "block must be the number of a block.");
    }
    return OK;
}

enum err leasing_api_holders_list(struct http_call *call, struct why *why)
{
    struct holders h = {.call = call, .sum = token_of(U256_ZERO)};
    enum err e = http_page_read(call, &h.page, why);
    if (e == OK && h.page.cursor.len != 0 && h.page.cursor.len != ADDRESS_BYTES) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
    }
    if (e == OK) {
        e = block_query(&h, why);
    }
    if (e == OK) {
        e = store_read(call->store, read_holders, &h, why);
    }
    if (e == OK && h.given == h.page.limit) {
        http_cursor_set(call, slice_copy(call->req, address_slice(&h.last)));
    }
    return e;
}

/* ---- an account ---- */

struct account {
    struct http_call *call;
    struct http_page page;
    struct address address;
    struct address last_token;
    uint64_t token_count;
};

static enum err tokens_member(struct store_tx *tx, struct account *a, struct why *why)
{
    const struct leasing *l = a->call->ctx;
    struct json_out *j = a->call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_account_tokens);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "holder", address_slice(&a->address));
    if (a->page.cursor.len > 0) {
        store_bind_bytes(&q, "after_token", a->page.cursor);
    } else {
        store_bind_null(&q, "after_token");
    }
    store_bind_i64(&q, "max_rows", a->page.limit);
    store_bind_i64(&q, "skip_rows", (int64_t)a->page.offset);
    json_key(j, "tokens");
    json_begin_array(j);
    while (store_step(&q)) {
        json_begin_object(j);
        store_get_fixed(&q, "token", a->last_token.bytes, ADDRESS_BYTES);
        json_key(j, "tokenAddress");
        json_address(j, &a->last_token);
        json_key(j, "balance");
        json_u256(j, store_get_u256(&q, "balance"));
        json_key(j, "assetId");
        leasing_json_column_text(j, &q, "asset_id", a->call->req);
        json_key(j, "name");
        leasing_json_text(j, store_get_text(&q, "token_name", a->call->req));
        json_key(j, "symbol");
        leasing_json_text(j, store_get_text(&q, "token_symbol", a->call->req));
        json_end_object(j);
        a->token_count++;
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

static enum err claims_member(struct store_tx *tx, struct account *a, struct why *why)
{
    struct json_out *j = a->call->out;
    const struct leasing *l = a->call->ctx;
    struct stable_amount sum = stable_of(U256_ZERO);
    struct leasing_claim claim;
    enum err e = OK;
    struct store_query q;
    leasing_claims_open(&q, tx, l, &a->address);
    json_key(j, "claims");
    json_begin_array(j);
    while (e == OK && store_step(&q)) {
        leasing_claim_read(&q, a->call->req, &claim);
        leasing_claim_json(j, &claim);
        e = stable_add(sum, claim.amount, &sum);
    }
    json_end_array(j);
    json_key(j, "claimable");
    json_u256(j, stable_raw(sum));
    enum err finished = store_finish(&q, NULL, why);
    return e != OK ? why_set(why, e, NULL, "The claims add up to more than 256 bits hold.")
                   : finished;
}

static enum err bids_member(struct store_tx *tx, struct account *a, struct why *why)
{
    struct json_out *j = a->call->out;
    const struct leasing *l = a->call->ctx;
    struct stable_amount sum = stable_of(U256_ZERO);
    enum err e = OK;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_account_bids);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&l->marketplace));
    store_bind_bytes(&q, "bidder", address_slice(&a->address));
    json_key(j, "bids");
    json_begin_array(j);
    while (e == OK && store_step(&q)) {
        struct stable_amount funds = stable_of(store_get_u256(&q, "funds"));
        json_begin_object(j);
        json_key(j, "offerId");
        json_u256(j, store_get_u256(&q, "offer_id"));
        json_key(j, "bidIndex");
        json_u256(j, store_get_u256(&q, "bid_index"));
        json_key(j, "funds");
        json_u256(j, stable_raw(funds));
        json_end_object(j);
        e = stable_add(sum, funds, &sum);
    }
    json_end_array(j);
    json_key(j, "escrowed");
    json_u256(j, stable_raw(sum));
    enum err finished = store_finish(&q, NULL, why);
    return e != OK ? why_set(why, e, NULL, "The bids add up to more than 256 bits hold.")
                   : finished;
}

/* An account of the book in the ledger. */
static enum err ledger_member(struct store_tx *tx, struct account *a, const char *key,
                              const char *prefix, struct why *why)
{
    const struct leasing *l = a->call->ctx;
    struct json_out *j = a->call->out;
    char text[ADDRESS_TEXT_MAX];
    address_format(&a->address, text);
    struct ledger_balance balance;
    enum err e = ledger_balance_read(
        tx, slice_text(l->book), slice_format(a->call->req, "%s%s", prefix, text), &balance, why);
    if (e != OK) {
        return e;
    }
    json_key(j, key);
    json_begin_object(j);
    json_key(j, "credits");
    json_u256(j, balance.credits_posted);
    json_key(j, "debits");
    json_u256(j, balance.debits_posted);
    json_key(j, "available");
    json_u256(j, ledger_available(&balance));
    json_end_object(j);
    return OK;
}

static enum err read_account(struct store_tx *tx, void *ctx, struct why *why)
{
    struct account *a = ctx;
    const struct leasing *l = a->call->ctx;
    struct json_out *j = a->call->out;
    json_begin_object(j);
    json_key(j, "address");
    json_address(j, &a->address);
    json_key(j, "wallet");
    json_bool(j, relay_has_wallet(l->relay, &a->address));
    enum err e = tokens_member(tx, a, why);
    if (e == OK) {
        e = claims_member(tx, a, why);
    }
    if (e == OK) {
        e = bids_member(tx, a, why);
    }
    if (e != OK) {
        return e;
    }
    json_key(j, "ledger");
    json_begin_object(j);
    json_key(j, "book");
    json_text(j, l->book);
    e = ledger_member(tx, a, "claimable", "leasing/claimable/", why);
    if (e == OK) {
        e = ledger_member(tx, a, "external", "external/", why);
    }
    json_end_object(j);
    json_end_object(j);
    return e;
}

enum err leasing_api_account_get(struct http_call *call, struct why *why)
{
    struct account a = {.call = call};
    enum err e = leasing_address_parse(http_param(call, "address"), "address", &a.address, why);
    if (e == OK) {
        e = http_page_read(call, &a.page, why);
    }
    if (e == OK && a.page.cursor.len != 0 && a.page.cursor.len != ADDRESS_BYTES) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
    }
    if (e == OK) {
        e = store_read(call->store, read_account, &a, why);
    }
    if (e == OK && a.token_count == a.page.limit) {
        http_cursor_set(call, slice_copy(call->req, address_slice(&a.last_token)));
    }
    return e;
}

/* ---- the contracts ---- */

static void contract_member(struct json_out *j, const char *key, const struct address *address)
{
    json_key(j, key);
    json_address(j, address);
}

enum err leasing_api_contracts_get(struct http_call *call, struct why *why)
{
    (void)why;
    const struct leasing *l = call->ctx;
    struct json_out *j = call->out;
    json_begin_object(j);
    json_key(j, "chainId");
    json_u64(j, l->chain_id);
    contract_member(j, "stablecoin", &l->stablecoin);
    contract_member(j, "assetRegistry", &l->registry);
    contract_member(j, "leaseFactory", &l->factory);
    contract_member(j, "marketplace", &l->marketplace);
    json_key(j, "registrar");
    if (l->has_registrar) {
        json_address(j, &l->registrar);
    } else {
        json_null(j);
    }
    json_key(j, "stablecoinSymbol");
    leasing_json_text(j, slice_text(l->stable_symbol));
    json_key(j, "stablecoinDecimals");
    json_u64(j, STABLE_DECIMALS);
    json_key(j, "withdrawals");
    json_bool(j, l->tells_shares);
    json_end_object(j);
    return OK;
}
