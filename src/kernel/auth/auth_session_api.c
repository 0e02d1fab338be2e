/*
 * auth_session_api.c: routes of login by wallet: nonces, sessions, roles, public keys.
 */
#include "kernel/auth/auth_internal.h"
#include "kernel/base/hex.h"

/* ---- login ---- */

static enum err nonce_create(struct http_call *call, struct why *why)
{
    const struct auth *auth = call->ctx;
    char nonce[AUTH_NONCE_TEXT_MAX];
    int64_t expires_usec = 0;
    enum err e = auth_nonce_issue(call->store, auth->config, nonce, &expires_usec, why);
    if (e != OK) {
        return e;
    }
    json_begin_object(call->out);
    json_key(call->out, "nonce");
    json_text(call->out, nonce);
    json_key(call->out, "expiresAt");
    json_time(call->out, expires_usec);
    json_key(call->out, "chainId");
    json_u64(call->out, auth->chain_id);
    json_end_object(call->out);
    return OK;
}

static void entry_json(struct json_out *j, const struct auth_entry *entry)
{
    json_begin_object(j);
    json_key(j, "accessToken");
    json_string(j, buf_slice(&entry->access));
    json_key(j, "tokenType");
    json_text(j, "Bearer");
    json_key(j, "expiresAt");
    json_time(j, entry->access_expires_usec);
    json_key(j, "refreshToken");
    json_text(j, entry->refresh);
    json_key(j, "sessionId");
    json_string(j, entry->session.id);
    json_key(j, "sessionExpiresAt");
    json_time(j, entry->session.expires_usec);
    json_key(j, "address");
    json_address(j, &entry->session.address);
    json_key(j, "roles");
    auth_roles_json(j, entry->roles);
    json_end_object(j);
}

static enum err login(struct http_call *call, struct why *why)
{
    static const char *const members[] = {"message", "signature", NULL};
    struct auth_entry entry = {.arena = call->req, .by = http_audit(call, NULL)};
    struct slice message;
    struct slice signature;
    enum err e = json_only(call->json, members, why);
    e = e == OK ? json_get_text(call->json, "message", &message, why) : e;
    e = e == OK ? json_get_hex(call->req, call->json, "signature", &signature, why) : e;
    if (e != OK) {
        return e;
    }
    e = auth_login(call->ctx, &entry, message, signature, why);
    if (e == OK) {
        entry_json(call->out, &entry);
    }
    auth_entry_clear(&entry);
    return e;
}

static enum err refresh(struct http_call *call, struct why *why)
{
    static const char *const members[] = {"refreshToken", NULL};
    struct auth_entry entry = {.arena = call->req, .by = http_audit(call, NULL)};
    struct slice token;
    enum err e = json_only(call->json, members, why);
    e = e == OK ? json_get_text(call->json, "refreshToken", &token, why) : e;
    if (e != OK) {
        return e;
    }
    e = auth_refresh(call->ctx, &entry, token, why);
    if (e == OK) {
        entry_json(call->out, &entry);
    }
    auth_entry_clear(&entry);
    return e;
}

/* ---- sessions ---- */

static void session_json(struct json_out *j, const struct auth_session *session)
{
    json_begin_object(j);
    json_key(j, "sessionId");
    json_string(j, session->id);
    json_key(j, "address");
    json_address(j, &session->address);
    json_key(j, "createdAt");
    json_time(j, session->created_usec);
    json_key(j, "expiresAt");
    json_time(j, session->expires_usec);
    json_key(j, "refreshedAt");
    if (session->refreshed_usec != 0) {
        json_time(j, session->refreshed_usec);
    } else {
        json_null(j);
    }
    json_key(j, "revokedAt");
    if (session->revoked_usec != 0) {
        json_time(j, session->revoked_usec);
    } else {
        json_null(j);
    }
    json_end_object(j);
}

struct sessions {
    struct http_call *call;
    struct address owner;
    bool any; /* not the owner's alone */
    struct slice id;
    struct slice after;
    uint32_t limit;
    struct auth_session *sessions;
    size_t count;
    struct auth_session one;
};

static enum err not_a_wallet(struct why *why)
{
    return why_set(why, ERR_FORBIDDEN, NULL,
                   "Only callers who logged in by a wallet have sessions.");
}

static enum err end_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sessions *s = ctx;
    return auth_session_revoke(tx, s->call->req, s->id, s->any ? NULL : &s->owner,
                               http_audit(s->call, NULL), &s->one, why);
}

static enum err end_one(struct sessions *s, struct why *why)
{
    enum err e = store_write(s->call->store, end_tx, s, why);
    if (e == OK) {
        session_json(s->call->out, &s->one);
    }
    return e;
}

static enum err logout(struct http_call *call, struct why *why)
{
    struct sessions s = {.call = call, .id = call->session};
    return auth_principal_parse(call->principal, &s.owner) ? end_one(&s, why) : not_a_wallet(why);
}

static enum err session_revoke(struct http_call *call, struct why *why)
{
    struct sessions s = {.call = call,
                         .id = http_param(call, "sessionId"),
                         .any = (call->roles & HTTP_ROLE_ADMIN) != 0};
    return s.any || auth_principal_parse(call->principal, &s.owner) ? end_one(&s, why)
                                                                    : not_a_wallet(why);
}

static enum err list_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sessions *s = ctx;
    return auth_sessions_list(tx, s->call->req, &s->owner, s->after, s->limit, &s->sessions,
                              &s->count, why);
}

static enum err read_page(const struct http_call *call, struct http_page *page, struct why *why)
{
    enum err e = http_page_read(call, page, why);
    return e == OK && page->offset > 0
               ? why_set(why, ERR_INVALID_FIELD, "offset", "The cursor pages this list.")
               : e;
}

static enum err sessions_index(struct http_call *call, struct why *why)
{
    struct http_page page;
    struct sessions s = {.call = call};
    if (!auth_principal_parse(call->principal, &s.owner)) {
        return not_a_wallet(why);
    }
    enum err e = read_page(call, &page, why);
    if (e == OK) {
        s.after = page.cursor;
        s.limit = page.limit;
        e = store_read(call->store, list_tx, &s, why);
    }
    if (e != OK) {
        return e;
    }
    json_begin_array(call->out);
    for (size_t i = 0; i < s.count; i++) {
        session_json(call->out, &s.sessions[i]);
    }
    json_end_array(call->out);
    if (s.count == page.limit) {
        http_cursor_set(call, s.sessions[s.count - 1].id);
    }
    return OK;
}

/* ---- roles ---- */

struct wallets {
    struct http_call *call;
    struct auth_wallet one;
    unsigned role; /* that is set; 0: only looked at */
    bool granted;
    struct address after;
    uint32_t limit;
    struct auth_wallet *wallets;
    size_t count;
};

static enum err wallet_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct wallets *w = ctx;
    enum err e = w->role == 0 ? OK
                              : auth_role_set(tx, &w->one.address, w->role, w->granted,
                                              http_audit(w->call, NULL), why);
    return e == OK ? auth_roles_get(tx, &w->one.address, &w->one.roles, why) : e;
}

static enum err read_address(const struct http_call *call, struct address *out, struct why *why)
{
    enum err e = address_parse(http_param(call, "address"), out);
    return e == OK ? OK : why_set(why, e, "address", "%s", err_sentence(e));
}

static enum err wallet_get(struct http_call *call, struct why *why)
{
    struct wallets w = {.call = call};
    enum err e = read_address(call, &w.one.address, why);
    e = e == OK ? store_read(call->store, wallet_tx, &w, why) : e;
    if (e == OK) {
        auth_wallet_json(call->out, &w.one);
    }
    return e;
}

static enum err role_set(struct http_call *call, bool granted, struct why *why)
{
    struct wallets w = {
        .call = call, .role = http_role_parse(http_param(call, "role")), .granted = granted};
    enum err e = read_address(call, &w.one.address, why);
    if (e == OK && w.role == 0) {
        e = why_set(why, ERR_INVALID_FIELD, "role",
                    "A role is one of admin, issuer, operator, investor and service.");
    }
    e = e == OK ? store_write(call->store, wallet_tx, &w, why) : e;
    if (e == OK) {
        auth_wallet_json(call->out, &w.one);
    }
    return e;
}

static enum err role_grant(struct http_call *call, struct why *why)
{
    return role_set(call, true, why);
}

static enum err role_take(struct http_call *call, struct why *why)
{
    return role_set(call, false, why);
}

static enum err wallets_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct wallets *w = ctx;
    return auth_wallets_list(tx, w->call->req, &w->after, w->limit, &w->wallets, &w->count, why);
}

static enum err wallets_index(struct http_call *call, struct why *why)
{
    struct http_page page;
    struct wallets w = {.call = call};
    enum err e = read_page(call, &page, why);
    if (e == OK && page.cursor.len > 0 &&
        hex_decode_fixed(page.cursor, w.after.bytes, ADDRESS_BYTES) != OK) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor",
                    "The cursor must be one that a nextCursor gave.");
    }
    if (e == OK) {
        w.limit = page.limit;
        e = store_read(call->store, wallets_tx, &w, why);
    }
    if (e != OK) {
        return e;
    }
    json_begin_array(call->out);
    for (size_t i = 0; i < w.count; i++) {
        auth_wallet_json(call->out, &w.wallets[i]);
    }
    json_end_array(call->out);
    if (w.count == page.limit) {
        http_cursor_set(call,
                        hex_encode(call->req, address_slice(&w.wallets[w.count - 1].address)));
    }
    return OK;
}

/* ---- public keys ---- */

struct jwks {
    struct arena *arena;
    struct slice text;
};

static enum err jwks_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct jwks *k = ctx;
    return auth_jwks_write(tx, k->arena, &k->text, why);
}

static enum err jwks(struct http_call *call, struct why *why)
{
    struct jwks k = {.arena = call->req};
    enum err e = store_read(call->store, jwks_tx, &k, why);
    if (e == OK) {
        buf_add_slice(call->raw, k.text);
    }
    return e;
}

/* ---- the table ---- */

#define SESSION                                                                                    \
    "{\"type\":\"object\",\"required\":[\"sessionId\",\"address\",\"createdAt\","                  \
    "\"expiresAt\",\"refreshedAt\",\"revokedAt\"],"                                                \
    "\"properties\":{\"sessionId\":{\"type\":\"string\"},\"address\":{\"type\":\"string\"},"       \
    "\"createdAt\":{\"type\":\"string\"},\"expiresAt\":{\"type\":\"string\"},"                     \
    "\"refreshedAt\":{\"type\":[\"string\",\"null\"]},\"revokedAt\":{\"type\":[\"string\","        \
    "\"null\"]}}}"
#define WALLET                                                                                     \
    "{\"type\":\"object\",\"required\":[\"address\",\"roles\"],"                                   \
    "\"properties\":{\"address\":{\"type\":\"string\"},\"roles\":{\"type\":\"array\","             \
    "\"minItems\":1,\"items\":{\"enum\":[\"admin\",\"issuer\",\"operator\",\"investor\","          \
    "\"service\"]}}}}"

static const char nonce_schema[] =
    "{\"type\":\"object\",\"required\":[\"nonce\",\"expiresAt\",\"chainId\"],"
    "\"properties\":{\"nonce\":{\"type\":\"string\"},\"expiresAt\":{\"type\":\"string\"},"
    "\"chainId\":{\"type\":\"integer\"}}}";
static const char login_body[] =
    "{\"type\":\"object\",\"required\":[\"message\",\"signature\"],"
    "\"properties\":{\"message\":{\"type\":\"string\",\"maxLength\":4096},"
    "\"signature\":{\"type\":\"string\",\"pattern\":\"^0x[0-9a-fA-F]{130}$\"}},"
    "\"additionalProperties\":false}";
static const char refresh_body[] =
    "{\"type\":\"object\",\"required\":[\"refreshToken\"],"
    "\"properties\":{\"refreshToken\":{\"type\":\"string\","
    "\"pattern\":\"^fhr_[0-9a-f]{64}$\"}},\"additionalProperties\":false}";
static const char entry_schema[] =
    "{\"type\":\"object\",\"required\":[\"accessToken\",\"tokenType\",\"expiresAt\","
    "\"refreshToken\",\"sessionId\",\"sessionExpiresAt\",\"address\",\"roles\"],"
    "\"properties\":{\"accessToken\":{\"type\":\"string\"},"
    "\"tokenType\":{\"const\":\"Bearer\"},\"expiresAt\":{\"type\":\"string\"},"
    "\"refreshToken\":{\"type\":\"string\"},\"sessionId\":{\"type\":\"string\"},"
    "\"sessionExpiresAt\":{\"type\":\"string\"},\"address\":{\"type\":\"string\"},"
    "\"roles\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"enum\":[\"admin\",\"issuer\","
    "\"operator\",\"investor\",\"service\"]}}}}";
static const char session_schema[] = SESSION;
static const char sessions_schema[] = "{\"type\":\"array\",\"items\":" SESSION "}";
static const char wallet_schema[] = WALLET;
static const char wallets_schema[] = "{\"type\":\"array\",\"items\":" WALLET "}";
static const char jwks_schema[] =
    "{\"type\":\"object\",\"required\":[\"keys\"],"
    "\"properties\":{\"keys\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
    "\"required\":[\"kty\",\"crv\",\"alg\",\"use\",\"kid\",\"x\"],"
    "\"properties\":{\"kty\":{\"type\":\"string\"},\"crv\":{\"type\":\"string\"},"
    "\"alg\":{\"type\":\"string\"},\"use\":{\"type\":\"string\"},"
    "\"kid\":{\"type\":\"string\"},\"x\":{\"type\":\"string\"}}}}}}";

static const enum err no_errors[] = {OK};
static const enum err login_errors[] = {
    ERR_INVALID_JSON,     ERR_MISSING_FIELD,   ERR_UNKNOWN_FIELD,    ERR_INVALID_TYPE,
    ERR_INVALID_FIELD,    ERR_INVALID_HEX,     ERR_INVALID_TIME,     ERR_SIGNATURE_MALFORMED,
    ERR_SIGNATURE_HIGH_S, ERR_SIGNATURE_V,     ERR_SIGNATURE_SIGNER, ERR_SIGNATURE_CHAIN,
    ERR_DEADLINE_EXPIRED, ERR_UNAUTHENTICATED, ERR_FORBIDDEN,        OK};
static const enum err refresh_errors[] = {ERR_INVALID_JSON,
                                          ERR_MISSING_FIELD,
                                          ERR_UNKNOWN_FIELD,
                                          ERR_INVALID_TYPE,
                                          ERR_UNAUTHENTICATED,
                                          ERR_SESSION_EXPIRED,
                                          OK};
static const enum err caller_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, OK};
static const enum err one_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_NOT_FOUND, OK};
static const enum err wallet_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN,
                                         ERR_INVALID_ADDRESS, ERR_ADDRESS_CHECKSUM,
                                         ERR_INVALID_FIELD,   OK};

#define ANY_ROLE ((1U << HTTP_ROLES) - 1)
#define ROUTE(method_, path_, handler_, roles_, flags_, operation_, summary_, errors_)             \
    .method = method_, .path = path_, .handler = handler_, .roles = roles_, .flags = flags_,       \
    .tag = "auth", .operation = operation_, .summary = summary_, .errors = errors_

static const struct http_route routes[] = {
    {ROUTE(HTTP_POST, "/api/v1/auth/nonce", nonce_create, 0, HTTP_NO_IDEMPOTENCY, "createNonce",
           "A nonce for a message to log in with (EIP-4361); it is good for one login.", no_errors),
     .reply_schema = nonce_schema, .reply_status = 201},
    {ROUTE(HTTP_POST, "/api/v1/auth/login", login, 0, HTTP_JSON_BODY | HTTP_NO_IDEMPOTENCY, "login",
           "Takes a signed message (EIP-4361) and begins a session.", login_errors),
     .limit = HTTP_LIMIT_AUTHENTICATION, .secret = true, .body_schema = login_body,
     .reply_schema = entry_schema, .reply_status = 201},
    {ROUTE(HTTP_POST, "/api/v1/auth/refresh", refresh, 0, HTTP_JSON_BODY | HTTP_NO_IDEMPOTENCY,
           "refreshSession",
           "Gives a session its next tokens; a refresh token that comes again ends it.",
           refresh_errors),
     .limit = HTTP_LIMIT_AUTHENTICATION, .secret = true, .body_schema = refresh_body,
     .reply_schema = entry_schema, .reply_status = 200},
    {ROUTE(HTTP_POST, "/api/v1/auth/logout", logout, ANY_ROLE, HTTP_NO_IDEMPOTENCY, "logout",
           "Ends the caller's session, from now on and everywhere.", one_errors),
     .reply_schema = session_schema, .reply_status = 200},
    {ROUTE(HTTP_GET, "/api/v1/auth/sessions", sessions_index, ANY_ROLE, HTTP_LIST, "listSessions",
           "Live sessions of the caller's wallet.", caller_errors),
     .reply_schema = sessions_schema, .reply_status = 200},
    {ROUTE(HTTP_DELETE, "/api/v1/auth/sessions/{sessionId}", session_revoke, ANY_ROLE, 0,
           "revokeSession", "Ends a session of the caller's wallet; admins end any.", one_errors),
     .reply_schema = session_schema, .reply_status = 200},
    {ROUTE(HTTP_GET, "/api/v1/auth/wallets", wallets_index, HTTP_ROLE_ADMIN, HTTP_LIST,
           "listWallets", "Wallets that were granted roles.", caller_errors),
     .reply_schema = wallets_schema, .reply_status = 200},
    {ROUTE(HTTP_GET, "/api/v1/auth/wallets/{address}", wallet_get, HTTP_ROLE_ADMIN, 0, "getWallet",
           "A wallet's roles.", wallet_errors),
     .reply_schema = wallet_schema, .reply_status = 200},
    {ROUTE(HTTP_PUT, "/api/v1/auth/wallets/{address}/roles/{role}", role_grant, HTTP_ROLE_ADMIN, 0,
           "grantRole", "Grants a wallet a role, from now on and everywhere.", wallet_errors),
     .reply_schema = wallet_schema, .reply_status = 200},
    {ROUTE(HTTP_DELETE, "/api/v1/auth/wallets/{address}/roles/{role}", role_take, HTTP_ROLE_ADMIN,
           0, "revokeRole", "Takes a role from a wallet, from now on and everywhere.",
           wallet_errors),
     .reply_schema = wallet_schema, .reply_status = 200},
    {ROUTE(HTTP_GET, "/.well-known/jwks.json", jwks, 0, HTTP_RAW, "getJwks",
           "The public keys of access tokens (RFC 7517).", no_errors),
     .reply_schema = jwks_schema, .reply_status = 200},
};

struct http_table auth_sessions_http_table(struct auth *auth)
{
    return (struct http_table){
        .routes = routes, .count = sizeof routes / sizeof routes[0], .ctx = auth};
}
