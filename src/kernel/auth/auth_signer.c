/*
 * auth_signer.c: the key of this process that signs access tokens, and access tokens.
 */
#include <pthread.h>

#include "kernel/auth/auth_internal.h"
#include "kernel/auth/auth_sql.h"
#include "kernel/base/base64.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/crypto/jwt.h"

struct auth_signer {
    pthread_mutex_t lock;
    bool has;
    struct secret key;
    uint8_t public_key[ED25519_KEY_BYTES];
    char kid[RAND_ID_MAX];
    int64_t signs_until_usec;
};

struct auth_signer *auth_signer_new(void)
{
    struct auth_signer *s = mem_alloc(sizeof *s);
    ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
    return s;
}

void auth_signer_free(struct auth_signer *s)
{
    if (s != NULL) {
        secret_clear(&s->key);
        pthread_mutex_destroy(&s->lock);
        mem_free(s);
    }
}

/* ---- the key ---- */

struct keeping {
    const char *kid;
    const uint8_t *public_key;
    int64_t now_usec;
    int64_t verifies_until_usec;
    bool live;
};

static enum err look(struct store_tx *tx, void *ctx, struct why *why)
{
    struct keeping *k = ctx;
    struct store_query q;
    store_begin(&q, tx, &auth_sql_signing_key_live);
    store_bind_text(&q, "kid", slice_text(k->kid));
    k->live = store_step(&q);
    if (k->live) {
        store_ignore(&q, "kid");
    }
    return store_finish(&q, NULL, why);
}

static enum err insert(struct store_tx *tx, void *ctx, struct why *why)
{
    struct keeping *k = ctx;
    struct store_query q;
    store_begin(&q, tx, &auth_sql_signing_key_insert);
    store_bind_text(&q, "kid", slice_text(k->kid));
    store_bind_bytes(&q, "public_key", slice_of(k->public_key, ED25519_KEY_BYTES));
    store_bind_time(&q, "now", k->now_usec);
    store_bind_time(&q, "verifies_until", k->verifies_until_usec);
    return store_finish(&q, NULL, why);
}

/* Called with the lock held: who logs in meanwhile waits for the same key. */
static enum err renew(const struct auth *auth, int64_t now_usec, struct why *why)
{
    struct auth_signer *s = auth->signer;
    s->has = false;
    secret_clear(&s->key);
    ed25519_key_new(&s->key);
    rand_id("key", s->kid);
    enum err e = ed25519_public_key(&s->key, s->public_key);
    if (e != OK) {
        return e;
    }
    s->signs_until_usec = now_usec + auth->config->key_usec;
    struct keeping k = {
        .kid = s->kid,
        .public_key = s->public_key,
        .now_usec = now_usec,
        .verifies_until_usec = s->signs_until_usec + auth->config->access_usec + AUTH_SKEW_USEC,
    };
    e = store_write(auth->store, insert, &k, why);
    s->has = e == OK;
    return e;
}

enum err auth_signer_ready(const struct auth *auth, int64_t now_usec, struct why *why)
{
    struct auth_signer *s = auth->signer;
    enum err e = OK;
    struct keeping k = {.kid = s->kid};
    pthread_mutex_lock(&s->lock);
    if (s->has && s->signs_until_usec > now_usec) {
        e = store_read(auth->store, look, &k, why);
    }
    if (e == OK && !k.live) {
        e = renew(auth, now_usec, why);
    }
    pthread_mutex_unlock(&s->lock);
    return e;
}

/* ---- access tokens ---- */

static void number(struct json_out *j, const char *key, int64_t value)
{
    json_key(j, key);
    json_i64(j, value);
}

static void text(struct json_out *j, const char *key, const char *value)
{
    json_key(j, key);
    json_text(j, value);
}

enum err auth_access_write(const struct auth *auth, const struct auth_session *session,
                           unsigned roles, int64_t now_usec, struct buf *out,
                           int64_t *out_expires_usec)
{
    char address[ADDRESS_TEXT_MAX];
    struct buf claims;
    struct json_out j;
    int64_t now_sec = now_usec / USEC_PER_SEC;
    int64_t end_usec = now_usec + auth->config->access_usec;
    end_usec = end_usec < session->expires_usec ? end_usec : session->expires_usec;
    address_format(&session->address, address);
    buf_init(&claims, out->arena, 512);
    json_out_init(&j, &claims);
    json_begin_object(&j);
    text(&j, "iss", auth->config->issuer);
    text(&j, "aud", auth->config->audience);
    text(&j, "sub", address);
    json_key(&j, "sid");
    json_string(&j, session->id);
    json_key(&j, "roles");
    auth_roles_json(&j, roles);
    number(&j, "iat", now_sec);
    number(&j, "nbf", now_sec);
    number(&j, "exp", end_usec / USEC_PER_SEC);
    json_end_object(&j);
    pthread_mutex_lock(&auth->signer->lock);
    enum err e =
        jwt_sign(out, &auth->signer->key, AUTH_ACCESS_TYP, auth->signer->kid, buf_slice(&claims));
    pthread_mutex_unlock(&auth->signer->lock);
    *out_expires_usec = end_usec / USEC_PER_SEC * USEC_PER_SEC;
    return e;
}

struct access {
    struct slice kid;
    struct slice session_id;
    bool found;
    uint8_t public_key[ED25519_KEY_BYTES];
    int64_t verifies_until_usec;
    int64_t key_revoked_usec;
    struct address address;
    int64_t expires_usec;
    int64_t revoked_usec;
    unsigned roles;
};

static enum err find(struct store_tx *tx, void *ctx, struct why *why)
{
    struct access *a = ctx;
    struct store_query q;
    store_begin(&q, tx, &auth_sql_access_find);
    store_bind_text(&q, "kid", a->kid);
    store_bind_text(&q, "session_id", a->session_id);
    a->found = store_step(&q);
    if (a->found) {
        store_get_fixed(&q, "public_key", a->public_key, sizeof a->public_key);
        a->verifies_until_usec = store_get_time(&q, "verifies_until");
        a->key_revoked_usec = store_get_time(&q, "key_revoked_at");
        store_get_fixed(&q, "address", a->address.bytes, ADDRESS_BYTES);
        a->expires_usec = store_get_time(&q, "expires_at");
        a->revoked_usec = store_get_time(&q, "revoked_at");
        a->roles = (unsigned)store_get_i64(&q, "roles") | HTTP_ROLE_INVESTOR;
    }
    return store_finish(&q, NULL, why);
}

static bool claim_is(const struct json *claims, const char *key, struct slice value)
{
    const struct json *claim = json_find(claims, key);
    return claim != NULL && claim->type == JSON_STRING && slice_equal(claim->text, value);
}

/* Of a number without fraction; what else stands there ends the token at once. */
static int64_t claim_sec(const struct json *claims, const char *key, int64_t otherwise)
{
    const struct json *claim = json_find(claims, key);
    int64_t sec = 0;
    return claim != NULL && claim->type == JSON_NUMBER && slice_parse_i64(claim->text, &sec) == OK
               ? sec
               : otherwise;
}

/* The token is signed; what it says must fit, and the time. */
static enum err judge(const struct auth *auth, const struct json *claims, const struct access *a,
                      struct why *why)
{
    int64_t now = clock_wall_usec();
    char address[ADDRESS_TEXT_MAX];
    address_format(&a->address, address);
    if (!claim_is(claims, "iss", slice_text(auth->config->issuer)) ||
        !claim_is(claims, "aud", slice_text(auth->config->audience)) ||
        !claim_is(claims, "sub", slice_text(address))) {
        return auth_refuse(why, "The access token is for something else.");
    }
    if (claim_sec(claims, "exp", 0) <= now / USEC_PER_SEC || a->verifies_until_usec <= now) {
        return auth_refuse(why, "The access token has expired.");
    }
    int64_t latest = (now + AUTH_SKEW_USEC) / USEC_PER_SEC;
    if (claim_sec(claims, "nbf", INT64_MAX) > latest ||
        claim_sec(claims, "iat", INT64_MAX) > latest) {
        return auth_refuse(why, "The access token is not valid yet.");
    }
    if (a->revoked_usec != 0 || a->expires_usec <= now) {
        return auth_refuse(why, "The session has ended.");
    }
    return OK;
}

enum err auth_access_identify(const struct auth *auth, struct arena *req, struct slice token,
                              struct http_caller *out, struct why *why)
{
    struct jwt jwt;
    if (jwt_read(req, token, AUTH_ACCESS_TYP, &jwt) != OK) {
        return auth_refuse(why, "What was sent is neither an API key nor an access token.");
    }
    const struct json *sid = json_find(jwt.claims, "sid");
    if (sid == NULL || sid->type != JSON_STRING) {
        return auth_refuse(why, "The access token has no session.");
    }
    struct access a = {.kid = jwt.kid, .session_id = sid->text};
    enum err e = store_read(auth->store, find, &a, why);
    if (e == ERR_INVALID_FIELD || e == ERR_INVALID_ENCODING) {
        return auth_refuse(why, "The access token has no session.");
    }
    if (e != OK) {
        return e;
    }
    if (!a.found || !jwt_verify(&jwt, a.public_key)) {
        return auth_refuse(why, "The access token was not signed here.");
    }
    if (a.key_revoked_usec != 0) {
        return auth_refuse(why, "The access token was signed with a key that was ended.");
    }
    e = judge(auth, jwt.claims, &a, why);
    if (e == OK) {
        char principal[ADDRESS_BYTES * 2 + 3];
        hex_encode_to(address_slice(&a.address), principal);
        *out = (struct http_caller){.principal = slice_format(req, "wallet:%s", principal),
                                    .session = sid->text,
                                    .roles = a.roles};
    }
    return e;
}

/* ---- for others ---- */

enum err auth_keys_rotate(struct store_tx *tx, struct audit_entry by, int64_t *out_count,
                          struct why *why)
{
    struct store_query q;
    int64_t count = 0;
    store_begin(&q, tx, &auth_sql_signing_keys_revoke);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &count, why);
    if (e != OK) {
        return e;
    }
    *out_count = count;
    by.action = &auth_actions[AUTH_SIGNING_KEYS_REVOKED];
    by.subject = SLICE_LIT("signing-keys/all");
    return audit_write(tx, &by, why);
}

static void key_json(struct json_out *j, struct slice kid, const uint8_t *public_key)
{
    struct buf x;
    buf_init(&x, j->buf->arena, 64);
    base64_encode(&x, BASE64_URL, slice_of(public_key, ED25519_KEY_BYTES));
    json_begin_object(j);
    text(j, "kty", "OKP");
    text(j, "crv", "Ed25519");
    text(j, "alg", "EdDSA");
    text(j, "use", "sig");
    json_key(j, "kid");
    json_string(j, kid);
    json_key(j, "x");
    json_string(j, buf_slice(&x));
    json_end_object(j);
}

enum err auth_jwks_write(struct store_tx *tx, struct arena *arena, struct slice *out,
                         struct why *why)
{
    struct buf set;
    struct json_out j;
    struct store_query q;
    buf_init(&set, arena, 512);
    json_out_init(&j, &set);
    json_begin_object(&j);
    json_key(&j, "keys");
    json_begin_array(&j);
    store_begin(&q, tx, &auth_sql_signing_keys_list);
    store_bind_time(&q, "now", clock_wall_usec());
    while (store_step(&q)) {
        uint8_t public_key[ED25519_KEY_BYTES];
        struct slice kid = store_get_text(&q, "kid", arena);
        store_get_fixed(&q, "public_key", public_key, sizeof public_key);
        key_json(&j, kid, public_key);
    }
    json_end_array(&j);
    json_end_object(&j);
    *out = buf_slice(&set);
    return store_finish(&q, NULL, why);
}
