/*
 * leasing_api_types.c: asset types. A type is a name, the JSON schema of the specifications of its
 * assets, and the metadata keys that every lease of such an asset must carry. The registry knows it
 * by keccak256 of the name; hashes of the keys and of the schema are on chain.
 */
#include "domain/leasing/leasing_api.h"
#include "domain/leasing/leasing_api_sql.h"
#include "domain/leasing/leasing_chain_sql.h"
#include "gen/abi_asset_registry.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/json_schema.h"

#define TYPE_NAME_MAX 64
#define REQUIRED_KEYS_MAX 64
#define SCHEMA_HASH_KEY "schemaHash"

/* ---- reading rows ---- */

static void read_type(struct store_query *q, struct arena *arena, struct leasing_type *out)
{
    out->name = store_get_text(q, "type_name", arena);
    store_get_fixed(q, "type_hash", out->type_hash.bytes, HASH_BYTES);
    out->schema = store_get_text(q, "schema", arena);
    out->required_keys = store_get_text(q, "required_lease_keys", arena);
    out->status = store_get_text(q, "status", arena);
    out->error = store_get_text(q, "error", arena);
}

enum err leasing_type_find(struct store_tx *tx, struct arena *arena, struct slice name,
                           struct leasing_type *out, bool *out_found, struct why *why)
{
    struct leasing_type type = {.name = SLICE_EMPTY};
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_type_get);
    store_bind_text(&q, "type_name", name);
    bool found = store_step(&q);
    if (found) {
        read_type(&q, arena, &type);
        store_ignore(&q, "block_number");
        store_ignore(&q, "transaction_hash");
        store_ignore(&q, "created_at");
        store_ignore(&q, "updated_at");
        leasing_tx_read(&q, &leasing_tx_main, arena, &type.tx);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = type;
        *out_found = found;
    }
    return e;
}

enum err leasing_onchain_type_find(struct store_tx *tx, struct arena *arena,
                                   const struct leasing *l, const struct hash *type_hash,
                                   struct slice *out_keys, bool *out_found, struct why *why)
{
    struct slice keys = SLICE_EMPTY;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_onchain_type_find);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "registry", address_slice(&l->registry));
    store_bind_bytes(&q, "type_hash", hash_slice(type_hash));
    bool found = store_step(&q);
    if (found) {
        keys = store_get_text(&q, "required_lease_keys", arena);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_keys = keys;
        *out_found = found;
    }
    return e;
}

enum err leasing_has_registrar(const struct leasing *l, struct why *why)
{
    if (!l->has_registrar) {
        return why_set(why, ERR_UNKNOWN_WALLET, NULL,
                       "leasing.registrar is not set: nobody can register here.");
    }
    if (!relay_has_wallet(l->relay, &l->registrar)) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&l->registrar, text);
        return why_set(why, ERR_UNKNOWN_WALLET, NULL,
                       "There is no key for the registrar %s: nobody can register here.", text);
    }
    return OK;
}

/* ---- writing answers ---- */

static void type_members(struct json_out *j, struct store_query *q, struct arena *arena)
{
    struct leasing_type type = {.name = SLICE_EMPTY};
    read_type(q, arena, &type);
    json_key(j, "name");
    json_string(j, type.name);
    json_key(j, "typeHash");
    json_hex(j, hash_slice(&type.type_hash));
    json_key(j, "schema");
    json_raw(j, type.schema);
    json_key(j, "requiredLeaseKeys");
    json_raw(j, type.required_keys);
    json_key(j, "status");
    json_string(j, type.status);
    json_key(j, "error");
    leasing_json_text(j, type.error);
    json_key(j, "blockNumber");
    leasing_json_column_i64(j, q, "block_number");
    json_key(j, "transactionHash");
    leasing_json_column_hash(j, q, "transaction_hash");
    json_key(j, "createdAt");
    json_time(j, store_get_time(q, "created_at"));
    json_key(j, "updatedAt");
    json_time(j, store_get_time(q, "updated_at"));
    leasing_tx_read(q, &leasing_tx_main, arena, &type.tx);
    json_key(j, "transaction");
    leasing_tx_json(j, &type.tx);
}

/* The pairs that the registry has for the type. */
static enum err metadata_member(struct json_out *j, struct store_tx *tx, struct arena *arena,
                                const struct leasing *l, const struct hash *type_hash,
                                struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_metadata_list);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "contract", address_slice(&l->registry));
    store_bind_bytes(&q, "namespace", hash_slice(type_hash));
    json_key(j, "metadata");
    json_begin_object(j);
    while (store_step(&q)) {
        json_key_slice(j, store_get_text(&q, "meta_key", arena));
        json_string(j, store_get_text(&q, "meta_value", arena));
    }
    json_end_object(j);
    return store_finish(&q, NULL, why);
}

struct type_read {
    struct http_call *call;
    struct slice name;
};

static enum err write_type_answer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct type_read *r = ctx;
    struct json_out *j = r->call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_type_get);
    store_bind_text(&q, "type_name", r->name);
    bool found = store_step(&q);
    if (found) {
        json_begin_object(j);
        type_members(j, &q, r->call->req);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && !found) {
        return leasing_not_found(why, "Asset type");
    }
    struct hash type_hash = leasing_type_hash(r->name);
    if (e == OK) {
        e = metadata_member(j, tx, r->call->req, r->call->ctx, &type_hash, why);
    }
    if (e == OK) {
        json_end_object(j);
    }
    return e;
}

enum err leasing_api_type_get(struct http_call *call, struct why *why)
{
    struct type_read r = {.call = call, .name = http_param(call, "name")};
    return store_read(call->store, write_type_answer, &r, why);
}

/* ---- the list ---- */

struct types_list {
    struct http_call *call;
    struct http_page page;
    struct slice last;
    uint32_t count;
    int64_t total;
};

static enum err read_types(struct store_tx *tx, void *ctx, struct why *why)
{
    struct types_list *list = ctx;
    struct json_out *j = list->call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_types_list);
    store_bind_text(&q, "after_name", list->page.cursor);
    store_bind_i64(&q, "max_rows", list->page.limit);
    store_bind_i64(&q, "skip_rows", (int64_t)list->page.offset);
    json_begin_array(j);
    while (store_step(&q)) {
        list->last = store_get_text(&q, "type_name", list->call->req);
        json_begin_object(j);
        type_members(j, &q, list->call->req);
        json_end_object(j);
        list->count++;
    }
    json_end_array(j);
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_api_sql_types_count);
    if (store_step(&q)) {
        list->total = store_get_i64(&q, "total");
    }
    return store_finish(&q, NULL, why);
}

enum err leasing_api_types_list(struct http_call *call, struct why *why)
{
    struct types_list list = {.call = call};
    enum err e = http_page_read(call, &list.page, why);
    if (e == OK && !slice_is_utf8(list.page.cursor)) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
    }
    if (e == OK) {
        e = store_read(call->store, read_types, &list, why);
    }
    if (e != OK) {
        return e;
    }
    call->has_count = true;
    call->count = (uint64_t)list.total;
    if (list.count == list.page.limit) {
        http_cursor_set(call, list.last);
    }
    return OK;
}

/* ---- creating ---- */

struct type_request {
    struct http_call *call;
    const struct leasing *leasing;
    struct slice name;
    struct hash type_hash;
    struct slice schema; /* JSON text */
    struct hash schema_hash;
    struct slice keys_text; /* JSON array */
    struct hash *keys;
    size_t key_count;
    struct abi_metadata *pairs;
    size_t pair_count;
    struct slice data; /* calldata */
    bool created;
    struct slice intent_id;
};

static bool all_chars(struct slice text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == 0 || strchr(allowed, text.ptr[i]) == NULL) {
            return false;
        }
    }
    return true;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static enum err read_name(struct type_request *r, struct why *why)
{
    struct slice name = SLICE_EMPTY;
    enum err e = json_get_text(r->call->json, "name", &name, why);
    if (e == OK &&
        (name.len == 0 || name.len > TYPE_NAME_MAX || !all_chars(name, LOWER DIGITS "_"))) {
        e = why_set(why, ERR_INVALID_FIELD, "name",
                    "name must be 1 to %d of the characters a-z, 0-9 and _.", TYPE_NAME_MAX);
    }
    r->name = name;
    r->type_hash = leasing_type_hash(name);
    return e;
}

static enum err read_schema(struct type_request *r, struct why *why)
{
    const struct json *schema = NULL;
    enum err e = json_get(r->call->json, "schema", JSON_OBJECT, &schema, why);
    if (e != OK) {
        return e;
    }
    e = leasing_why_under(why, json_schema_verify(schema, why), "schema");
    if (e != OK) {
        return e;
    }
    r->schema = leasing_json_slice(r->call->req, schema);
    return leasing_metadata_hash(r->call->req, schema, &r->schema_hash, why);
}

static bool is_key(const struct json *v)
{
    return v->type == JSON_STRING && v->text.len > 0 && v->text.len <= LEASING_KEY_MAX &&
           all_chars(v->text, LOWER UPPER DIGITS "_");
}

static enum err read_keys(struct type_request *r, struct why *why)
{
    const struct json *list = NULL;
    enum err e = json_get(r->call->json, "requiredLeaseKeys", JSON_ARRAY, &list, why);
    if (e != OK) {
        return e;
    }
    if (list->count > REQUIRED_KEYS_MAX) {
        return why_set(why, ERR_INVALID_FIELD, "requiredLeaseKeys",
                       "requiredLeaseKeys may have at most %d names.", REQUIRED_KEYS_MAX);
    }
    r->keys_text = leasing_json_slice(r->call->req, list);
    r->keys = arena_alloc_array(r->call->req, list->count, sizeof *r->keys);
    for (const struct json *v = list->child; v != NULL; v = v->next) {
        if (!is_key(v)) {
            return why_set(why, ERR_INVALID_FIELD, "requiredLeaseKeys",
                           "requiredLeaseKeys must be names of 1 to %d of the characters A-Z, a-z, "
                           "0-9 and _.",
                           LEASING_KEY_MAX);
        }
        for (const struct json *w = list->child; w != v; w = w->next) {
            if (slice_equal(w->text, v->text)) {
                return why_set(why, ERR_INVALID_FIELD, "requiredLeaseKeys",
                               "requiredLeaseKeys has the name %.*s twice.", SLICE_ARG(v->text));
            }
        }
        r->keys[r->key_count++] = keccak256(v->text);
    }
    return OK;
}

static enum err add_pair(struct type_request *r, const struct json *v, struct why *why)
{
    struct json name = {.type = JSON_STRING, .text = v->key};
    bool reserved = slice_equal_text(v->key, SCHEMA_HASH_KEY);
    if (!is_key(&name) || reserved) {
        return why_set(why, ERR_INVALID_FIELD, "metadata",
                       "metadata must have keys of 1 to %d of the characters A-Z, a-z, 0-9 and _, "
                       "other than " SCHEMA_HASH_KEY ".",
                       LEASING_KEY_MAX);
    }
    char field[WHY_FIELD_MAX];
    (void)snprintf(field, sizeof field, "metadata.%.*s", SLICE_ARG(v->key));
    if (v->type != JSON_STRING) {
        return why_set(why, ERR_INVALID_TYPE, field, "%s must be a string.", field);
    }
    if (v->text.len == 0 || v->text.len > LEASING_VALUE_MAX) {
        return why_set(why, ERR_INVALID_FIELD, field, "%s must be 1 to %d bytes.", field,
                       LEASING_VALUE_MAX);
    }
    r->pairs[r->pair_count++] = (struct abi_metadata){.key = v->key, .value = v->text};
    return OK;
}

static enum err read_pairs(struct type_request *r, struct why *why)
{
    const struct json *object = json_find(r->call->json, "metadata");
    size_t count = object != NULL ? object->count : 0;
    if (object != NULL && object->type != JSON_OBJECT) {
        return why_set(why, ERR_INVALID_TYPE, "metadata", "metadata must be an object.");
    }
    if (count >= LEASING_PAIRS_MAX) {
        return why_set(why, ERR_INVALID_FIELD, "metadata", "metadata may have at most %d members.",
                       LEASING_PAIRS_MAX - 1);
    }
    r->pairs = arena_alloc_array(r->call->req, count + 1, sizeof *r->pairs);
    enum err e = OK;
    for (const struct json *v = object != NULL ? object->child : NULL; e == OK && v != NULL;
         v = v->next) {
        e = add_pair(r, v, why);
    }
    char *text = arena_alloc(r->call->req, 2 * HASH_BYTES + 3);
    hex_encode_to(hash_slice(&r->schema_hash), text);
    r->pairs[r->pair_count++] =
        (struct abi_metadata){.key = SLICE_LIT(SCHEMA_HASH_KEY), .value = slice_text(text)};
    return e;
}

static enum err read_type_request(struct type_request *r, struct why *why)
{
    static const char *const members[] = {"name", "schema", "requiredLeaseKeys", "metadata", NULL};
    enum err e = json_only(r->call->json, members, why);
    if (e == OK) {
        e = read_name(r, why);
    }
    if (e == OK) {
        e = read_schema(r, why);
    }
    if (e == OK) {
        e = read_keys(r, why);
    }
    if (e == OK) {
        e = read_pairs(r, why);
    }
    if (e == OK) {
        e = leasing_has_registrar(r->leasing, why);
    }
    if (e == OK) {
        e = asset_registry_create_asset_type_encode(r->call->req, r->name, &r->type_hash, r->keys,
                                                    r->key_count, r->pairs, r->pair_count, &r->data,
                                                    why);
    }
    return e;
}

static struct leasing_effect type_effect(const struct type_request *r)
{
    return (struct leasing_effect){
        .role = LEASING_ROLE_REGISTRAR,
        .purpose = "leasing.create_type",
        .key = slice_format(r->call->req, "type/%.*s", SLICE_ARG(r->name)),
        .wallet = r->leasing->registrar,
        .to = r->leasing->registry,
        .data = r->data,
    };
}

/* Keys and pairs are in the calldata: asking the relay again tells whether they are the same. */
static enum err compare_calldata(struct store_tx *tx, struct type_request *r,
                                 const struct leasing_type *row, bool *out_same, struct why *why)
{
    struct relay_row asked;
    struct leasing_effect effect = type_effect(r);
    struct why said;
    enum err e = relay_get(tx, r->call->req, row->tx.id, &asked, why);
    if (e != OK) {
        return e;
    }
    effect.key = asked.key;
    e = leasing_effect_submit(tx, r->call->req, r->leasing, &effect, SLICE_EMPTY, &r->intent_id,
                              &said);
    *out_same = e == OK;
    if (e != OK && e != ERR_IDEMPOTENCY_MISMATCH) {
        return why_set(why, e, NULL, "%s", why_text(&said, e));
    }
    return OK;
}

static enum err compare_type(struct store_tx *tx, struct type_request *r,
                             const struct leasing_type *row, struct why *why)
{
    struct hash stored_schema;
    struct hash stored_keys;
    struct hash keys;
    bool same = false;
    enum err e = leasing_json_hash(r->call->req, row->schema, &stored_schema, why);
    if (e == OK) {
        e = leasing_json_hash(r->call->req, row->required_keys, &stored_keys, why);
    }
    if (e == OK) {
        e = leasing_json_hash(r->call->req, r->keys_text, &keys, why);
    }
    if (e != OK) {
        return e;
    }
    same = hash_equal(&stored_schema, &r->schema_hash) && hash_equal(&stored_keys, &keys);
    if (same && row->tx.known) {
        e = compare_calldata(tx, r, row, &same, why);
    }
    if (e == OK && !same) {
        e = why_set(why, ERR_ALREADY_EXISTS, "name",
                    "The asset type %.*s exists with other content.", SLICE_ARG(r->name));
    }
    return e;
}

static enum err claim_type(struct store_tx *tx, const struct type_request *r, bool *out_claimed,
                           struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_type_claim);
    store_bind_text(&q, "type_name", r->name);
    store_bind_bytes(&q, "type_hash", hash_slice(&r->type_hash));
    store_bind_json(&q, "schema", r->schema);
    store_bind_json(&q, "required_lease_keys", r->keys_text);
    store_bind_i64(&q, "chain_id", (int64_t)r->leasing->chain_id);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    *out_claimed = e == OK && changed > 0;
    return e;
}

static enum err put_type(struct store_tx *tx, struct type_request *r, const char *status,
                         struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_type_put);
    store_bind_text(&q, "type_name", r->name);
    store_bind_bytes(&q, "type_hash", hash_slice(&r->type_hash));
    store_bind_json(&q, "schema", r->schema);
    store_bind_json(&q, "required_lease_keys", r->keys_text);
    store_bind_i64(&q, "chain_id", (int64_t)r->leasing->chain_id);
    if (r->intent_id.len > 0) {
        store_bind_text(&q, "intent_id", r->intent_id);
    } else {
        store_bind_null(&q, "intent_id");
    }
    store_bind_text(&q, "status", slice_text(status));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, NULL, why);
    struct slice subject = slice_format(r->call->req, "asset-type/%.*s", SLICE_ARG(r->name));
    return e == OK ? leasing_audit(tx, r->call, LEASING_AUDIT_TYPE_CREATED, subject, r->intent_id,
                                   SLICE_EMPTY, why)
                   : e;
}

/* Creating a type that the registry has would overwrite it: it is taken as it is, or refused. */
static enum err adopt_type(struct store_tx *tx, struct type_request *r, struct slice onchain_keys,
                           struct why *why)
{
    struct buf b;
    struct json_out j;
    struct hash wanted;
    struct hash found;
    buf_init(&b, r->call->req, 128);
    json_out_init(&j, &b);
    json_begin_array(&j);
    for (size_t i = 0; i < r->key_count; i++) {
        json_hex(&j, hash_slice(&r->keys[i]));
    }
    json_end_array(&j);
    enum err e = leasing_json_hash(r->call->req, buf_slice(&b), &wanted, why);
    if (e == OK) {
        e = leasing_json_hash(r->call->req, onchain_keys, &found, why);
    }
    if (e == OK && !hash_equal(&wanted, &found)) {
        e = why_set(why, ERR_ALREADY_EXISTS, "requiredLeaseKeys",
                    "The registry has the asset type %.*s with other required lease keys.",
                    SLICE_ARG(r->name));
    }
    return e == OK ? put_type(tx, r, "active", why) : e;
}

static enum err write_type(struct store_tx *tx, void *ctx, struct why *why)
{
    struct type_request *r = ctx;
    struct leasing_type row = {.name = SLICE_EMPTY};
    struct slice onchain_keys = SLICE_EMPTY;
    bool claimed = false;
    bool found = false;
    bool onchain = false;
    r->created = false;
    r->intent_id = SLICE_EMPTY;
    enum err e = claim_type(tx, r, &claimed, why);
    if (e == OK && !claimed) {
        e = leasing_type_find(tx, r->call->req, r->name, &row, &found, why);
    }
    if (e != OK) {
        return e;
    }
    bool active = found && slice_equal_text(row.status, "active");
    if (found && (active || !leasing_tx_is_dead(&row.tx))) {
        return compare_type(tx, r, &row, why);
    }
    r->created = true;
    e = leasing_onchain_type_find(tx, r->call->req, r->leasing, &r->type_hash, &onchain_keys,
                                  &onchain, why);
    if (e != OK || onchain) {
        return e == OK ? adopt_type(tx, r, onchain_keys, why) : e;
    }
    struct leasing_effect effect = type_effect(r);
    e = leasing_effect_submit(tx, r->call->req, r->leasing, &effect, row.tx.id, &r->intent_id, why);
    return e == OK ? put_type(tx, r, "registered", why) : e;
}

enum err leasing_api_type_create(struct http_call *call, struct why *why)
{
    struct type_request r = {.call = call, .leasing = call->ctx};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = read_type_request(&r, why);
    }
    if (e == OK) {
        e = store_write(call->store, write_type, &r, why);
    }
    if (e != OK) {
        return e;
    }
    leasing_await(call, r.intent_id, wait_usec);
    call->status = r.created ? 201 : 200;
    call->location = slice_format(call->req, "/api/v1/asset-types/%.*s", SLICE_ARG(r.name));
    struct type_read read = {.call = call, .name = r.name};
    return store_read(call->store, write_type_answer, &read, why);
}
