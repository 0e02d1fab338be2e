/*
 * leasing_api_assets.c: registering assets, and what is known of them.
 */
#include "domain/leasing/leasing_api.h"
#include "domain/leasing/leasing_api_sql.h"
#include "gen/abi_asset_registry.h"
#include "kernel/base/json_schema.h"

#define TOKEN_NAME_MAX 64
#define TOKEN_SYMBOL_MAX 16

/* ---- reading rows ---- */

enum err leasing_asset_find(struct store_tx *tx, struct arena *arena, struct slice id,
                            struct leasing_asset *out, bool *out_found, struct why *why)
{
    struct leasing_asset a = {.id = id};
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_asset_get);
    store_bind_text(&q, "asset_id", id);
    bool found = store_step(&q);
    if (found) {
        static const char *const unused[] = {"asset_id",     "chain_id",         "name",
                                             "description",  "metadata",         "error",
                                             "block_number", "transaction_hash", "contract_address",
                                             "created_at",   "updated_at"};
        for (size_t i = 0; i < sizeof unused / sizeof unused[0]; i++) {
            store_ignore(&q, unused[i]);
        }
        a.type = store_get_text(&q, "asset_type", arena);
        store_get_fixed(&q, "metadata_hash", a.metadata_hash.bytes, HASH_BYTES);
        a.token_name = store_get_text(&q, "token_name", arena);
        a.token_symbol = store_get_text(&q, "token_symbol", arena);
        a.total_supply = token_of(store_get_u256(&q, "total_supply"));
        store_get_fixed(&q, "token_recipient", a.token_recipient.bytes, ADDRESS_BYTES);
        a.status = store_get_text(&q, "status", arena);
        a.on_chain = !store_is_null(&q, "onchain_id");
        a.onchain_id = store_get_u256(&q, "onchain_id");
        store_get_fixed(&q, "token_address", a.token.bytes, ADDRESS_BYTES);
        leasing_tx_read(&q, &leasing_tx_main, arena, &a.tx);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = a;
        *out_found = found;
    }
    return e;
}

enum err leasing_asset_get(struct store_tx *tx, struct arena *arena, struct slice id,
                           struct leasing_asset *out, struct why *why)
{
    bool found = false;
    enum err e = leasing_asset_find(tx, arena, id, out, &found, why);
    return e == OK && !found ? leasing_not_found(why, "Asset") : e;
}

/* ---- writing answers ---- */

static void token_member(struct json_out *j, struct store_query *q, struct arena *arena)
{
    json_key(j, "token");
    json_begin_object(j);
    json_key(j, "address");
    leasing_json_column_address(j, q, "token_address");
    json_key(j, "name");
    leasing_json_text(j, store_get_text(q, "token_name", arena));
    json_key(j, "symbol");
    leasing_json_text(j, store_get_text(q, "token_symbol", arena));
    json_key(j, "decimals");
    json_u64(j, TOKEN_DECIMALS);
    json_key(j, "totalSupply");
    json_u256(j, store_get_u256(q, "total_supply"));
    json_key(j, "recipient");
    leasing_json_column_address(j, q, "token_recipient");
    json_end_object(j);
}

static void onchain_member(struct json_out *j, struct store_query *q)
{
    json_key(j, "onChain");
    if (store_is_null(q, "onchain_id")) {
        store_ignore(q, "block_number");
        store_ignore(q, "transaction_hash");
        json_null(j);
        return;
    }
    json_begin_object(j);
    json_key(j, "id");
    leasing_json_column_u256(j, q, "onchain_id");
    json_key(j, "tokenAddress");
    leasing_json_column_address(j, q, "token_address");
    json_key(j, "blockNumber");
    leasing_json_column_i64(j, q, "block_number");
    json_key(j, "transactionHash");
    leasing_json_column_hash(j, q, "transaction_hash");
    json_end_object(j);
}

static void asset_json(struct json_out *j, struct store_query *q, struct arena *arena)
{
    struct leasing_tx tx;
    json_begin_object(j);
    json_key(j, "assetId");
    json_string(j, store_get_text(q, "asset_id", arena));
    json_key(j, "chainId");
    json_i64(j, store_get_i64(q, "chain_id"));
    json_key(j, "name");
    json_string(j, store_get_text(q, "name", arena));
    json_key(j, "description");
    json_string(j, store_get_text(q, "description", arena));
    json_key(j, "assetType");
    json_string(j, store_get_text(q, "asset_type", arena));
    json_key(j, "status");
    json_string(j, store_get_text(q, "status", arena));
    json_key(j, "error");
    leasing_json_column_text(j, q, "error", arena);
    json_key(j, "metadata");
    json_raw(j, store_get_text(q, "metadata", arena));
    json_key(j, "metadataHash");
    leasing_json_column_hash(j, q, "metadata_hash");
    json_key(j, "contractAddress");
    leasing_json_column_address(j, q, "contract_address");
    token_member(j, q, arena);
    onchain_member(j, q);
    json_key(j, "createdAt");
    json_time(j, store_get_time(q, "created_at"));
    json_key(j, "updatedAt");
    json_time(j, store_get_time(q, "updated_at"));
    leasing_tx_read(q, &leasing_tx_main, arena, &tx);
    json_key(j, "transaction");
    leasing_tx_json(j, &tx);
    json_end_object(j);
}

static enum err read_asset(struct store_tx *tx, void *ctx, struct why *why)
{
    struct http_call *call = ctx;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_asset_get);
    store_bind_text(&q, "asset_id", http_param(call, "assetId"));
    bool found = store_step(&q);
    if (found) {
        asset_json(call->out, &q, call->req);
    }
    enum err e = store_finish(&q, NULL, why);
    return e == OK && !found ? leasing_not_found(why, "Asset") : e;
}

enum err leasing_api_asset_get(struct http_call *call, struct why *why)
{
    return store_read(call->store, read_asset, call, why);
}

/* ---- the list ---- */

struct assets_list {
    struct http_call *call;
    struct http_page page;
    struct slice type;
    struct slice status;
    int64_t below_usec;
    struct slice below_id;
    uint32_t count;
    int64_t total;
};

static enum err count_assets(struct store_tx *tx, struct assets_list *list, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_assets_count);
    store_bind_text(&q, "asset_type", list->type);
    store_bind_text(&q, "status", list->status);
    if (store_step(&q)) {
        list->total = store_get_i64(&q, "total");
    }
    return store_finish(&q, NULL, why);
}

static enum err read_assets(struct store_tx *tx, void *ctx, struct why *why)
{
    struct assets_list *list = ctx;
    struct json_out *j = list->call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_assets_list);
    store_bind_text(&q, "asset_type", list->type);
    store_bind_text(&q, "status", list->status);
    store_bind_time(&q, "below_time", list->below_usec);
    store_bind_text(&q, "below_id", list->below_id);
    store_bind_i64(&q, "max_rows", list->page.limit);
    store_bind_i64(&q, "skip_rows", (int64_t)list->page.offset);
    json_begin_array(j);
    while (store_step(&q)) {
        list->below_usec = store_get_time(&q, "created_at");
        list->below_id = store_get_text(&q, "asset_id", list->call->req);
        asset_json(j, &q, list->call->req);
        list->count++;
    }
    json_end_array(j);
    enum err e = store_finish(&q, NULL, why);
    return e == OK ? count_assets(tx, list, why) : e;
}

enum err leasing_api_assets_list(struct http_call *call, struct why *why)
{
    static const char *const statuses[] = {"registered", "active", "inactive", "failed", NULL};
    struct assets_list list = {.call = call};
    list.type = http_query(call, "assetType", NULL);
    enum err e = http_page_read(call, &list.page, why);
    if (e == OK) {
        e = leasing_cursor_read(&list.page, &list.below_usec, &list.below_id, why);
    }
    if (e == OK) {
        e = leasing_status_query(call, statuses, &list.status, why);
    }
    if (e == OK) {
        e = store_read(call->store, read_assets, &list, why);
    }
    if (e != OK) {
        return e;
    }
    call->has_count = true;
    call->count = (uint64_t)list.total;
    if (list.count == list.page.limit) {
        leasing_cursor_set(call, list.below_usec, list.below_id);
    }
    return OK;
}

/* ---- registering ---- */

struct asset_request {
    struct http_call *call;
    const struct leasing *leasing;
    const struct json *metadata;
    struct slice id;
    struct slice name;
    struct slice description;
    struct slice type;
    struct slice token_name;
    struct slice token_symbol;
    struct token_amount supply;
    struct address recipient;
    struct hash metadata_hash;
    struct slice schema; /* of the type, JSON text; "" when only the registry knows it */
    struct slice data;   /* calldata */
    bool created;
    struct slice intent_id;
};

static enum err read_token(struct asset_request *r, struct why *why)
{
    const struct json *body = r->call->json;
    struct u256 supply = U256_ZERO;
    enum err e = leasing_body_text(body, "tokenName", TOKEN_NAME_MAX, &r->token_name, why);
    if (e == OK) {
        e = leasing_body_text(body, "tokenSymbol", TOKEN_SYMBOL_MAX, &r->token_symbol, why);
    }
    if (e == OK) {
        e = leasing_body_amount(body, "totalSupply", &supply, why);
    }
    r->supply = token_of(supply);
    r->recipient = r->leasing->registrar;
    if (e == OK && json_find(body, "tokenRecipient") != NULL) {
        e = leasing_body_account(body, "tokenRecipient", &r->recipient, why);
    }
    return e;
}

static enum err read_metadata(struct asset_request *r, struct why *why)
{
    enum err e = json_get(r->call->json, "metadata", JSON_OBJECT, &r->metadata, why);
    if (e != OK) {
        return e;
    }
    e = leasing_why_under(why, leasing_metadata_check(r->metadata, why), "metadata");
    if (e != OK) {
        return e;
    }
    r->id = json_find(r->metadata, "assetId")->text;
    if (slice_starts(r->id, SLICE_LIT(LEASING_FOUND_PREFIX))) {
        return why_set(why, ERR_INVALID_FIELD, "metadata.assetId",
                       "assetId must not begin with " LEASING_FOUND_PREFIX
                       ": such ids are given to assets that are found on chain.");
    }
    r->name = json_find(r->metadata, "name")->text;
    r->description = json_find(r->metadata, "description")->text;
    r->type = json_find(r->metadata, "assetType")->text;
    return leasing_why_under(
        why, leasing_metadata_hash(r->call->req, r->metadata, &r->metadata_hash, why), "metadata");
}

static enum err read_asset_request(struct asset_request *r, struct why *why)
{
    static const char *const members[] = {"metadata",    "tokenName",      "tokenSymbol",
                                          "totalSupply", "tokenRecipient", NULL};
    enum err e = json_only(r->call->json, members, why);
    if (e == OK) {
        e = read_metadata(r, why);
    }
    if (e == OK) {
        e = read_token(r, why);
    }
    return e == OK ? leasing_has_registrar(r->leasing, why) : e;
}

/* The type must be known, to us or to the registry. */
static enum err find_type(struct store_tx *tx, const struct asset_request *r,
                          struct leasing_type *out, bool *out_ours, struct why *why)
{
    struct slice keys = SLICE_EMPTY;
    bool onchain = false;
    struct hash type_hash = leasing_type_hash(r->type);
    enum err e = leasing_type_find(tx, r->call->req, r->type, out, out_ours, why);
    if (e != OK) {
        return e;
    }
    bool active = *out_ours && slice_equal_text(out->status, "active");
    if (*out_ours && !active && leasing_tx_is_dead(&out->tx)) {
        return why_set(why, ERR_CONFLICT, "metadata.assetType",
                       "The asset type %.*s could not be created: create it again first.",
                       SLICE_ARG(r->type));
    }
    if (*out_ours) {
        return OK;
    }
    e = leasing_onchain_type_find(tx, r->call->req, r->leasing, &type_hash, &keys, &onchain, why);
    if (e == OK && !onchain) {
        e = why_set(why, ERR_INVALID_METADATA, "metadata.assetType", "There is no asset type %.*s.",
                    SLICE_ARG(r->type));
    }
    return e;
}

static enum err read_type_schema(struct store_tx *tx, void *ctx, struct why *why)
{
    struct asset_request *r = ctx;
    struct leasing_type type;
    bool ours = false;
    enum err e = find_type(tx, r, &type, &ours, why);
    if (e == OK) {
        r->schema = ours ? type.schema : SLICE_EMPTY;
    }
    return e;
}

static enum err check_schema(struct asset_request *r, struct why *why)
{
    const struct json *schema = NULL;
    if (r->schema.len == 0) {
        return OK;
    }
    enum err e = json_parse(r->call->req, r->schema, &json_limits_body, &schema, why);
    if (e != OK) {
        return e;
    }
    e = json_schema_check(r->call->req, schema, json_find(r->metadata, "specifications"),
                          ERR_INVALID_METADATA, why);
    return leasing_why_under(why, e, "metadata.specifications");
}

static enum err encode_registration(struct asset_request *r, struct why *why)
{
    struct arena *arena = r->call->req;
    struct leasing_pair *pairs = NULL;
    size_t count = 0;
    enum err e = leasing_why_under(
        why, leasing_metadata_flatten(arena, r->metadata, &pairs, &count, why), "metadata");
    if (e != OK) {
        return e;
    }
    struct abi_metadata *metadata = arena_alloc_array(arena, count, sizeof *metadata);
    for (size_t i = 0; i < count; i++) {
        metadata[i] = (struct abi_metadata){.key = pairs[i].key, .value = pairs[i].value};
    }
    struct hash type_hash = leasing_type_hash(r->type);
    const struct address *registrar = &r->leasing->registrar;
    return asset_registry_register_asset_encode(arena, &type_hash, r->token_name, r->token_symbol,
                                                token_raw(r->supply), registrar, registrar,
                                                &r->recipient, metadata, count, &r->data, why);
}

/* Whether a row is what this request would make. Rows of others have no token name to compare. */
static bool same_asset(const struct asset_request *r, const struct leasing_asset *row)
{
    bool ours = row->tx.id.len > 0;
    return hash_equal(&row->metadata_hash, &r->metadata_hash) &&
           token_compare(row->total_supply, r->supply) == 0 &&
           (!ours || (slice_equal(row->token_name, r->token_name) &&
                      slice_equal(row->token_symbol, r->token_symbol) &&
                      address_equal(&row->token_recipient, &r->recipient)));
}

static void bind_asset(struct store_query *q, const struct asset_request *r)
{
    struct arena *arena = r->call->req;
    store_bind_text(q, "asset_id", r->id);
    store_bind_i64(q, "chain_id", (int64_t)r->leasing->chain_id);
    store_bind_text(q, "name", r->name);
    store_bind_text(q, "description", r->description);
    store_bind_text(q, "asset_type", r->type);
    store_bind_json(q, "specifications",
                    leasing_json_slice(arena, json_find(r->metadata, "specifications")));
    store_bind_json(q, "metadata", leasing_json_slice(arena, r->metadata));
    store_bind_bytes(q, "metadata_hash", hash_slice(&r->metadata_hash));
    store_bind_text(q, "token_name", r->token_name);
    store_bind_text(q, "token_symbol", r->token_symbol);
    store_bind_u256(q, "total_supply", token_raw(r->supply));
    store_bind_bytes(q, "token_recipient", address_slice(&r->recipient));
    store_bind_bytes(q, "contract_address", address_slice(&r->leasing->registry));
    store_bind_time(q, "now", clock_wall_usec());
}

static enum err claim_asset(struct store_tx *tx, const struct asset_request *r, bool *out_claimed,
                            struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_asset_claim);
    bind_asset(&q, r);
    enum err e = store_finish(&q, &changed, why);
    *out_claimed = e == OK && changed > 0;
    return e;
}

static enum err put_asset(struct store_tx *tx, const struct asset_request *r, struct why *why)
{
    struct arena *arena = r->call->req;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_asset_put);
    bind_asset(&q, r);
    store_bind_text(&q, "intent_id", r->intent_id);
    enum err e = store_finish(&q, NULL, why);
    struct slice subject = slice_format(arena, "asset/%.*s", SLICE_ARG(r->id));
    return e == OK ? leasing_audit(tx, r->call, LEASING_AUDIT_ASSET_REGISTERED, subject,
                                   r->intent_id, SLICE_EMPTY, why)
                   : e;
}

static enum err write_asset(struct store_tx *tx, void *ctx, struct why *why)
{
    struct asset_request *r = ctx;
    struct arena *arena = r->call->req;
    struct leasing_asset row = {.id = SLICE_EMPTY};
    struct leasing_type type;
    bool ours = false;
    bool claimed = false;
    bool found = false;
    r->created = false;
    enum err e = claim_asset(tx, r, &claimed, why);
    if (e == OK && !claimed) {
        e = leasing_asset_find(tx, arena, r->id, &row, &found, why);
    }
    if (e != OK) {
        return e;
    }
    bool failed = found && !row.on_chain && leasing_tx_is_dead(&row.tx);
    if (found && !failed) {
        r->intent_id = row.tx.id;
        return same_asset(r, &row)
                   ? OK
                   : why_set(why, ERR_ALREADY_EXISTS, "metadata.assetId",
                             "The asset %.*s exists with other content.", SLICE_ARG(r->id));
    }
    e = find_type(tx, r, &type, &ours, why);
    if (e != OK) {
        return e;
    }
    const struct leasing_effect effect = {
        .role = LEASING_ROLE_REGISTRAR,
        .purpose = "leasing.register_asset",
        .key = slice_format(arena, "asset/%.*s", SLICE_ARG(r->id)),
        .wallet = r->leasing->registrar,
        .to = r->leasing->registry,
        .data = r->data,
        .after = ours && leasing_tx_is_open(&type.tx) ? type.tx.id : SLICE_EMPTY,
    };
    r->created = true;
    e = leasing_effect_submit(tx, arena, r->leasing, &effect, row.tx.id, &r->intent_id, why);
    return e == OK ? put_asset(tx, r, why) : e;
}

static const char *registration_status(const struct leasing_asset *a)
{
    if (a->on_chain) {
        return "confirmed";
    }
    return leasing_tx_is_dead(&a->tx) ? "failed" : "pending";
}

static enum err write_registration(struct store_tx *tx, void *ctx, struct why *why)
{
    struct asset_request *r = ctx;
    struct json_out *j = r->call->out;
    struct leasing_asset a;
    enum err e = leasing_asset_get(tx, r->call->req, r->id, &a, why);
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    json_key(j, "assetId");
    json_string(j, a.id);
    json_key(j, "status");
    json_text(j, registration_status(&a));
    json_key(j, "metadataHash");
    json_hex(j, hash_slice(&a.metadata_hash));
    json_key(j, "transactionId");
    leasing_json_text(j, a.tx.id);
    json_key(j, "transactionHash");
    if (a.tx.has_hash) {
        json_hex(j, hash_slice(&a.tx.hash));
    } else {
        json_null(j);
    }
    json_key(j, "onChainId");
    if (a.on_chain) {
        json_u256(j, a.onchain_id);
    } else {
        json_null(j);
    }
    json_key(j, "tokenAddress");
    if (a.on_chain) {
        json_address(j, &a.token);
    } else {
        json_null(j);
    }
    if (a.tx.code.len > 0) {
        json_key(j, "error");
        json_string(j, a.tx.error);
        json_key(j, "code");
        json_string(j, a.tx.code);
    }
    json_end_object(j);
    return OK;
}

enum err leasing_api_asset_create(struct http_call *call, struct why *why)
{
    struct asset_request r = {.call = call, .leasing = call->ctx};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = read_asset_request(&r, why);
    }
    if (e == OK) {
        e = store_read(call->store, read_type_schema, &r, why);
    }
    if (e == OK) {
        e = check_schema(&r, why);
    }
    if (e == OK) {
        e = encode_registration(&r, why);
    }
    if (e == OK) {
        e = store_write(call->store, write_asset, &r, why);
    }
    if (e != OK) {
        return e;
    }
    leasing_await(call, r.intent_id, wait_usec);
    call->status = r.created ? 201 : 200;
    call->location = slice_format(call->req, "/api/v1/assets/%.*s", SLICE_ARG(r.id));
    return store_read(call->store, write_registration, &r, why);
}
