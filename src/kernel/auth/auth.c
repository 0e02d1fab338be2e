#include "kernel/auth/auth.h"

#include "kernel/auth/auth_internal.h"
#include "kernel/auth/auth_sql.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"

#define DAY_USEC (86400 * (int64_t)USEC_PER_SEC)

/* ---- the text of a key ---- */

static bool is_lower_hex(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}

enum err auth_token_parse(struct slice text, struct auth_token *out)
{
    const size_t id_at = sizeof AUTH_KEY_PREFIX - 1;
    const size_t secret_at = id_at + AUTH_ID_DIGITS + 1;
    if (text.len != AUTH_TOKEN_DIGITS || !slice_starts(text, SLICE_LIT(AUTH_KEY_PREFIX)) ||
        text.ptr[secret_at - 1] != '_') {
        return ERR_UNAUTHENTICATED;
    }
    struct slice id = slice_sub(text, id_at, AUTH_ID_DIGITS);
    struct slice secret = slice_sub(text, secret_at, 2 * AUTH_SECRET_BYTES);
    if (!is_lower_hex(id) || !is_lower_hex(secret)) {
        return ERR_UNAUTHENTICATED;
    }
    memcpy(out->id, id.ptr, AUTH_ID_DIGITS);
    out->id[AUTH_ID_DIGITS] = '\0';
    out->secret_hash = sha256(secret);
    return OK;
}

enum err auth_roles_parse(struct slice text, unsigned *out, struct why *why)
{
    unsigned roles = 0;
    struct slice rest = text;
    while (rest.len > 0) {
        struct slice name;
        (void)slice_cut(rest, ',', &name, &rest);
        unsigned role = http_role_parse(name);
        if (role == 0) {
            roles = 0;
            break;
        }
        roles |= role;
    }
    if (roles == 0) {
        return why_set(why, ERR_INVALID_FIELD, "roles",
                       "roles are of admin, issuer, operator, investor and service.");
    }
    *out = roles;
    return OK;
}

/* ---- making ---- */

enum err auth_issue_init(struct auth_issue *issue, struct slice name, unsigned roles, uint64_t days,
                         struct why *why)
{
    bool plain = name.len > 0 && name.len <= AUTH_NAME_BYTES_MAX;
    for (size_t i = 0; plain && i < name.len; i++) {
        plain = name.ptr[i] >= ' ' && name.ptr[i] != 0x7f;
    }
    if (!plain) {
        return why_set(why, ERR_INVALID_FIELD, "name",
                       "name is text of 1 to %d bytes without control characters.",
                       AUTH_NAME_BYTES_MAX);
    }
    if (days == 0 || days > AUTH_DAYS_MAX) {
        return why_set(why, ERR_INVALID_FIELD, "days", "days is a number from 1 to %d.",
                       AUTH_DAYS_MAX);
    }
    uint8_t bytes[AUTH_ID_DIGITS / 2 + AUTH_SECRET_BYTES];
    char id[AUTH_ID_DIGITS + 3];
    char secret[2 * AUTH_SECRET_BYTES + 3];
    rand_bytes(bytes, sizeof bytes);
    hex_encode_to(slice_of(bytes, AUTH_ID_DIGITS / 2), id);
    hex_encode_to(slice_of(bytes + AUTH_ID_DIGITS / 2, AUTH_SECRET_BYTES), secret);
    *issue = (struct auth_issue){.key = {.name = name, .roles = roles}};
    (void)snprintf(issue->text, sizeof issue->text, AUTH_KEY_PREFIX "%s_%s", id + 2, secret + 2);
    mem_wipe(bytes, sizeof bytes);
    mem_wipe(secret, sizeof secret);
    enum err e = auth_token_parse(slice_text(issue->text), &issue->token);
    ASSERT(e == OK);
    issue->key.id = slice_text(issue->token.id);
    issue->key.created_usec = clock_wall_usec();
    issue->key.expires_usec = issue->key.created_usec + (int64_t)days * DAY_USEC;
    return OK;
}

void auth_issue_clear(struct auth_issue *issue)
{
    mem_wipe(issue->text, sizeof issue->text);
}

static enum err audit(struct store_tx *tx, struct audit_entry by, enum auth_action action,
                      const struct auth_key *key, struct why *why)
{
    struct arena scratch;
    struct buf details;
    struct json_out j;
    arena_init(&scratch, 0);
    buf_init(&details, &scratch, 256);
    json_out_init(&j, &details);
    json_begin_object(&j);
    json_key(&j, "name");
    json_string(&j, key->name);
    json_key(&j, "roles");
    json_string(&j, http_roles_text(&scratch, key->roles));
    json_end_object(&j);
    by.action = &auth_actions[action];
    by.subject = slice_format(&scratch, "key/%.*s", SLICE_ARG(key->id));
    by.details = buf_slice(&details);
    enum err e = audit_write(tx, &by, why);
    arena_free(&scratch);
    return e;
}

enum err auth_issue_write(struct store_tx *tx, void *ctx, struct why *why)
{
    struct auth_issue *issue = ctx;
    const struct auth_key *key = &issue->key;
    struct store_query q;
    int64_t made = 0;
    issue->key.created_by = issue->by.actor;
    store_begin(&q, tx, &auth_sql_key_insert);
    store_bind_text(&q, "key_id", key->id);
    store_bind_text(&q, "name", key->name);
    store_bind_bytes(&q, "secret_hash", hash_slice(&issue->token.secret_hash));
    store_bind_i64(&q, "roles", key->roles);
    store_bind_text(&q, "created_by", key->created_by);
    store_bind_time(&q, "now", key->created_usec);
    store_bind_time(&q, "expires_at", key->expires_usec);
    enum err e = store_finish(&q, &made, why);
    if (e == OK && made == 0) {
        return why_set(why, ERR_ALREADY_EXISTS, "name",
                       "A key that is not revoked has the name \"%.*s\".", SLICE_ARG(key->name));
    }
    return e == OK ? audit(tx, issue->by, AUTH_KEY_CREATED, key, why) : e;
}

/* ---- reading and ending ---- */

static void take(struct store_query *q, struct arena *arena, struct auth_key *out)
{
    out->id = store_get_text(q, "key_id", arena);
    out->name = store_get_text(q, "name", arena);
    out->roles = (unsigned)store_get_i64(q, "roles");
    out->created_by = store_get_text(q, "created_by", arena);
    out->created_usec = store_get_time(q, "created_at");
    out->expires_usec = store_get_time(q, "expires_at");
    out->revoked_usec = store_get_time(q, "revoked_at");
    out->used_usec = store_get_time(q, "used_at");
}

enum err auth_keys_list(struct store_tx *tx, struct arena *arena, struct slice after,
                        uint32_t limit, struct auth_key **out, size_t *out_count, struct why *why)
{
    struct auth_key *keys = arena_alloc_array(arena, limit, sizeof *keys);
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &auth_sql_keys_list);
    store_bind_text(&q, "after_id", after);
    store_bind_i64(&q, "max_rows", limit);
    while (store_step(&q)) {
        ASSERT(count < limit);
        take(&q, arena, &keys[count++]);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = keys;
        *out_count = count;
    }
    return e;
}

enum err auth_key_revoke(struct store_tx *tx, struct arena *arena, struct slice id,
                         struct audit_entry by, struct auth_key *out, struct why *why)
{
    struct auth_key key = {.roles = 0};
    struct store_query q;
    int64_t ended = 0;
    store_begin(&q, tx, &auth_sql_key_revoke);
    store_bind_text(&q, "key_id", id);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &ended, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &auth_sql_key_get);
    store_bind_text(&q, "key_id", id);
    if (store_step(&q)) {
        take(&q, arena, &key);
    }
    e = store_finish_one(&q, "API key", why);
    if (e == OK && ended > 0) {
        e = audit(tx, by, AUTH_KEY_REVOKED, &key, why);
    }
    if (e == OK) {
        *out = key;
    }
    return e;
}

/* ---- who calls ---- */

struct lookup {
    struct slice id;
    bool found;
    struct hash secret_hash;
    unsigned roles;
    int64_t expires_usec;
    int64_t revoked_usec;
    int64_t used_usec;
    int64_t now_usec;
};

static enum err look_up(struct store_tx *tx, void *ctx, struct why *why)
{
    struct lookup *l = ctx;
    struct store_query q;
    l->found = false;
    store_begin(&q, tx, &auth_sql_key_find);
    store_bind_text(&q, "key_id", l->id);
    if (store_step(&q)) {
        l->found = true;
        store_get_fixed(&q, "secret_hash", l->secret_hash.bytes, HASH_BYTES);
        l->roles = (unsigned)store_get_i64(&q, "roles");
        l->expires_usec = store_get_time(&q, "expires_at");
        l->revoked_usec = store_get_time(&q, "revoked_at");
        l->used_usec = store_get_time(&q, "used_at");
    }
    return store_finish(&q, NULL, why);
}

static enum err note_use(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct lookup *l = ctx;
    struct store_query q;
    store_begin(&q, tx, &auth_sql_key_used);
    store_bind_text(&q, "key_id", l->id);
    store_bind_time(&q, "now", l->now_usec);
    store_bind_time(&q, "before", l->now_usec - AUTH_USED_USEC);
    return store_finish(&q, NULL, why);
}

enum err auth_refuse(struct why *why, const char *sentence)
{
    return why_set(why, ERR_UNAUTHENTICATED, NULL, "%s", sentence);
}

static enum err identify_key(const struct auth *auth, struct arena *req, struct slice token,
                             struct http_caller *out, struct why *why)
{
    struct auth_token sent;
    struct lookup l = {.now_usec = clock_wall_usec()};
    if (auth_token_parse(token, &sent) != OK) {
        return auth_refuse(why, "What was sent is not an API key.");
    }
    l.id = slice_text(sent.id);
    enum err e = store_read(auth->store, look_up, &l, why);
    if (e != OK) {
        return e;
    }
    bool same = mem_equal_secret(sent.secret_hash.bytes, l.secret_hash.bytes, HASH_BYTES) == 1;
    if (!l.found || !same) {
        return auth_refuse(why, "There is no such API key.");
    }
    if (l.revoked_usec != 0) {
        return auth_refuse(why, "The API key was revoked.");
    }
    if (l.expires_usec <= l.now_usec) {
        return auth_refuse(why, "The API key has expired.");
    }
    struct why unnoted = {.err = OK};
    if (l.used_usec < l.now_usec - AUTH_USED_USEC &&
        (e = store_write(auth->store, note_use, &l, &unnoted)) != OK) {
        LOG(LOG_WARN, "auth.use_not_noted", log_slice("key", l.id), log_err(e),
            log_why(&unnoted, e));
    }
    *out =
        (struct http_caller){.principal = slice_format(req, "key:%s", sent.id), .roles = l.roles};
    return OK;
}

static enum err identify(void *ctx, struct arena *req, struct slice token, struct http_caller *out,
                         struct why *why)
{
    const struct auth *auth = ctx;
    return slice_starts(token, SLICE_LIT(AUTH_KEY_PREFIX))
               ? identify_key(auth, req, token, out, why)
               : auth_access_identify(auth, req, token, out, why);
}

void auth_init(struct auth *auth, struct store *store, const struct auth_config *config,
               uint64_t chain_id)
{
    auth_metrics_register();
    *auth = (struct auth){.store = store,
                          .config = config,
                          .chain_id = chain_id,
                          .signer = auth_signer_new(),
                          .authority = {.identify = identify, .ctx = auth}};
}

void auth_clear(struct auth *auth)
{
    auth_signer_free(auth->signer);
    auth->signer = NULL;
}
