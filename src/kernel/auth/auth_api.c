/*
 * auth_api.c: API keys, made and ended by admins, and who a caller is.
 */
#include "kernel/auth/auth_internal.h"

static void time_or_null(struct json_out *j, const char *key, int64_t usec)
{
    json_key(j, key);
    if (usec == 0) {
        json_null(j);
    } else {
        json_time(j, usec);
    }
}

void auth_roles_json(struct json_out *j, unsigned roles)
{
    struct slice rest = http_roles_text(j->buf->arena, roles);
    json_begin_array(j);
    while (rest.len > 0) {
        struct slice name;
        (void)slice_cut(rest, ',', &name, &rest);
        json_string(j, name);
    }
    json_end_array(j);
}

void auth_key_json(struct json_out *j, const struct auth_key *key, const char *text)
{
    json_begin_object(j);
    json_key(j, "keyId");
    json_string(j, key->id);
    json_key(j, "name");
    json_string(j, key->name);
    json_key(j, "roles");
    auth_roles_json(j, key->roles);
    if (text != NULL) {
        json_key(j, "key");
        json_text(j, text);
    }
    json_key(j, "createdBy");
    json_string(j, key->created_by);
    json_key(j, "createdAt");
    json_time(j, key->created_usec);
    json_key(j, "expiresAt");
    json_time(j, key->expires_usec);
    time_or_null(j, "revokedAt", key->revoked_usec);
    time_or_null(j, "usedAt", key->used_usec);
    json_end_object(j);
}

static enum err read_roles(const struct json *body, unsigned *out, struct why *why)
{
    const struct json *list = json_find(body, "roles");
    unsigned roles = 0;
    if (list == NULL) {
        return why_set(why, ERR_MISSING_FIELD, "roles", "roles is required.");
    }
    for (const struct json *item = list->child; item != NULL; item = item->next) {
        unsigned role =
            list->type == JSON_ARRAY && item->type == JSON_STRING ? http_role_parse(item->text) : 0;
        if (role == 0) {
            roles = 0;
            break;
        }
        roles |= role;
    }
    if (roles == 0) {
        return why_set(why, ERR_INVALID_FIELD, "roles",
                       "roles is a list of admin, issuer, operator, investor and service.");
    }
    *out = roles;
    return OK;
}

static enum err key_create(struct http_call *call, struct why *why)
{
    static const char *const members[] = {"name", "roles", "days", NULL};
    struct auth_issue issue;
    struct slice name;
    unsigned roles = 0;
    uint64_t days = AUTH_DAYS_DEFAULT;
    enum err e = json_only(call->json, members, why);
    if (e == OK) {
        e = json_get_text(call->json, "name", &name, why);
    }
    if (e == OK) {
        e = read_roles(call->json, &roles, why);
    }
    if (e == OK && json_find(call->json, "days") != NULL) {
        e = json_get_u64(call->json, "days", &days, why);
    }
    if (e == OK) {
        e = auth_issue_init(&issue, name, roles, days, why);
    }
    if (e != OK) {
        return e;
    }
    issue.by = http_audit(call, NULL);
    e = store_write(call->store, auth_issue_write, &issue, why);
    if (e == OK) {
        auth_key_json(call->out, &issue.key, issue.text);
    }
    auth_issue_clear(&issue);
    return e;
}

struct keys {
    struct http_call *call;
    struct slice after;
    uint32_t limit;
    struct auth_key *keys;
    size_t count;
    struct auth_key one;
};

static enum err read_list(struct store_tx *tx, void *ctx, struct why *why)
{
    struct keys *k = ctx;
    return auth_keys_list(tx, k->call->req, k->after, k->limit, &k->keys, &k->count, why);
}

static enum err keys_index(struct http_call *call, struct why *why)
{
    struct http_page page;
    struct keys k = {.call = call};
    enum err e = http_page_read(call, &page, why);
    if (e == OK && page.offset > 0) {
        e = why_set(why, ERR_INVALID_FIELD, "offset", "Keys are paged by the cursor of this list.");
    }
    if (e == OK) {
        k.after = page.cursor;
        k.limit = page.limit;
        e = store_read(call->store, read_list, &k, why);
    }
    if (e != OK) {
        return e;
    }
    json_begin_array(call->out);
    for (size_t i = 0; i < k.count; i++) {
        auth_key_json(call->out, &k.keys[i], NULL);
    }
    json_end_array(call->out);
    if (k.count == page.limit) {
        http_cursor_set(call, k.keys[k.count - 1].id);
    }
    return OK;
}

static enum err revoke(struct store_tx *tx, void *ctx, struct why *why)
{
    struct keys *k = ctx;
    return auth_key_revoke(tx, k->call->req, http_param(k->call, "keyId"),
                           http_audit(k->call, NULL), &k->one, why);
}

static enum err key_revoke(struct http_call *call, struct why *why)
{
    struct keys k = {.call = call};
    enum err e = store_write(call->store, revoke, &k, why);
    if (e == OK) {
        auth_key_json(call->out, &k.one, NULL);
    }
    return e;
}

static enum err who_am_i(struct http_call *call, struct why *why)
{
    (void)why;
    json_begin_object(call->out);
    json_key(call->out, "principal");
    json_string(call->out, call->principal);
    json_key(call->out, "roles");
    auth_roles_json(call->out, call->roles);
    json_end_object(call->out);
    return OK;
}

/* ---- the table ---- */

#define TIME "{\"type\":\"string\",\"format\":\"date-time\"}"
#define TIME_OR_NULL "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}"
#define ROLES_SCHEMA                                                                               \
    "\"roles\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"enum\":[\"admin\",\"issuer\","      \
    "\"operator\",\"investor\",\"service\"]}}"
#define KEY                                                                                        \
    "\"type\":\"object\",\"required\":[\"keyId\",\"name\",\"roles\",\"createdBy\",\"createdAt\","  \
    "\"expiresAt\",\"revokedAt\",\"usedAt\"],\"properties\":{\"keyId\":{\"type\":\"string\"},"     \
    "\"name\":{\"type\":\"string\"},\"key\":{\"type\":\"string\"},"                                \
    "\"createdBy\":{\"type\":\"string\"},\"createdAt\":" TIME ",\"expiresAt\":" TIME               \
    ",\"revokedAt\":" TIME_OR_NULL ",\"usedAt\":" TIME_OR_NULL "," ROLES_SCHEMA "}"

static const char key_schema[] = "{" KEY "}";
static const char keys_schema[] = "{\"type\":\"array\",\"items\":{" KEY "}}";
static const char me_schema[] =
    "{\"type\":\"object\",\"required\":[\"principal\",\"roles\"],"
    "\"properties\":{\"principal\":{\"type\":\"string\"}," ROLES_SCHEMA "}}";
static const char body_schema[] =
    "{\"type\":\"object\",\"required\":[\"name\",\"roles\"],\"properties\":{\"name\":{\"type\":"
    "\"string\",\"minLength\":1,\"maxLength\":100}," ROLES_SCHEMA ",\"days\":{\"type\":\"integer\","
    "\"minimum\":1,\"maximum\":3650}},\"additionalProperties\":false}";

static const enum err list_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, OK};
static const enum err create_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_ALREADY_EXISTS,
                                         OK};
static const enum err one_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_NOT_FOUND, OK};

#define ANY_ROLE ((1U << HTTP_ROLES) - 1)
#define ROUTE(method_, path_, handler_, roles_, flags_, operation_, summary_, errors_)             \
    .method = method_, .path = path_, .handler = handler_, .roles = roles_, .flags = flags_,       \
    .tag = "auth", .operation = operation_, .summary = summary_, .errors = errors_

static const struct http_route routes[] = {
    {ROUTE(HTTP_GET, "/api/v1/auth/me", who_am_i, ANY_ROLE, 0, "whoAmI",
           "Who the caller is, and with which roles.", list_errors),
     .reply_schema = me_schema, .reply_status = 200},
    {ROUTE(HTTP_GET, "/api/v1/auth/keys", keys_index, HTTP_ROLE_ADMIN, HTTP_LIST, "listKeys",
           "API keys, without their secrets.", list_errors),
     .reply_schema = keys_schema, .reply_status = 200},
    {ROUTE(HTTP_POST, "/api/v1/auth/keys", key_create, HTTP_ROLE_ADMIN,
           HTTP_JSON_BODY | HTTP_NO_IDEMPOTENCY, "createKey",
           "Makes an API key; the answer has it, and it is not shown again.", create_errors),
     .secret = true, .body_schema = body_schema, .reply_schema = key_schema, .reply_status = 201},
    {ROUTE(HTTP_DELETE, "/api/v1/auth/keys/{keyId}", key_revoke, HTTP_ROLE_ADMIN, 0, "revokeKey",
           "Revokes an API key, from now on and everywhere.", one_errors),
     .reply_schema = key_schema, .reply_status = 200},
};

struct http_table auth_http_table(struct auth *auth)
{
    return (struct http_table){
        .routes = routes, .count = sizeof routes / sizeof routes[0], .ctx = auth};
}
