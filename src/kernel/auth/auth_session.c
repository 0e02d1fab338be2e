/*
 * auth_session.c: nonces, login, refresh, the end of sessions.
 */
#include "kernel/auth/auth_session.h"

#include "kernel/auth/auth_internal.h"
#include "kernel/auth/auth_sql.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"

#define WALLET_PREFIX "wallet:"
/* How many expired nonces go when one comes. */
#define NONCES_FORGOTTEN 4

/* ---- nonces ---- */

static enum err purge(struct store_tx *tx, const struct store_statement *statement,
                      int64_t before_usec, uint64_t limit, uint64_t *most, struct why *why)
{
    struct store_query q;
    int64_t rows = 0;
    store_begin(&q, tx, statement);
    store_bind_time(&q, "before", before_usec);
    store_bind_i64(&q, "max_rows", (int64_t)limit);
    enum err e = store_finish(&q, &rows, why);
    if (e == OK && (uint64_t)rows > *most) {
        *most = (uint64_t)rows;
    }
    return e;
}

struct nonce {
    char text[AUTH_NONCE_TEXT_MAX];
    int64_t expires_usec;
};

static enum err insert_nonce(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct nonce *nonce = ctx;
    struct store_query q;
    uint64_t forgotten = 0;
    store_read_committed(tx);
    store_begin(&q, tx, &auth_sql_nonce_insert);
    store_bind_text(&q, "nonce", slice_text(nonce->text));
    store_bind_time(&q, "expires_at", nonce->expires_usec);
    enum err e = store_finish(&q, NULL, why);
    /* Anybody may ask for nonces: what expired goes faster than it comes, without a job. */
    return e == OK ? purge(tx, &auth_sql_nonces_purge, clock_wall_usec(), NONCES_FORGOTTEN,
                           &forgotten, why)
                   : e;
}

enum err auth_nonce_issue(struct store *store, const struct auth_config *config,
                          char out[AUTH_NONCE_TEXT_MAX], int64_t *out_expires_usec, struct why *why)
{
    uint8_t bytes[(AUTH_NONCE_TEXT_MAX - 1) / 2];
    char hex[AUTH_NONCE_TEXT_MAX + 2];
    struct nonce nonce = {.expires_usec = clock_wall_usec() + config->nonce_usec};
    rand_bytes(bytes, sizeof bytes);
    hex_encode_to(slice_of(bytes, sizeof bytes), hex);
    memcpy(nonce.text, hex + 2, AUTH_NONCE_TEXT_MAX);
    enum err e = store_write(store, insert_nonce, &nonce, why);
    if (e == OK) {
        memcpy(out, nonce.text, AUTH_NONCE_TEXT_MAX);
        *out_expires_usec = nonce.expires_usec;
    }
    return e;
}

static enum err use_nonce(struct store_tx *tx, struct slice nonce, int64_t now_usec,
                          struct why *why)
{
    struct store_query q;
    int64_t used = 0;
    store_begin(&q, tx, &auth_sql_nonce_use);
    store_bind_text(&q, "nonce", nonce);
    store_bind_time(&q, "now", now_usec);
    enum err e = store_finish(&q, &used, why);
    return e == OK && used == 0
               ? auth_refuse(why, "The nonce is not one of ours, was used, or has expired.")
               : e;
}

/* ---- refresh tokens ---- */

enum err auth_refresh_parse(struct slice text, struct hash *out)
{
    static const struct slice prefix = SLICE_LIT(AUTH_REFRESH_PREFIX);
    bool good = text.len == AUTH_REFRESH_TEXT_MAX - 1 && slice_starts(text, prefix);
    for (size_t i = prefix.len; good && i < text.len; i++) {
        uint8_t c = text.ptr[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    }
    if (!good) {
        return ERR_UNAUTHENTICATED;
    }
    *out = sha256(slice_sub(text, prefix.len, text.len));
    return OK;
}

static struct hash make_refresh(char out[AUTH_REFRESH_TEXT_MAX])
{
    uint8_t secret[AUTH_SECRET_BYTES];
    char hex[2 * AUTH_SECRET_BYTES + 3];
    struct hash hash = {{0}};
    rand_bytes(secret, sizeof secret);
    hex_encode_to(slice_of(secret, sizeof secret), hex);
    (void)snprintf(out, AUTH_REFRESH_TEXT_MAX, AUTH_REFRESH_PREFIX "%s", hex + 2);
    ASSERT(auth_refresh_parse(slice_text(out), &hash) == OK);
    mem_wipe(secret, sizeof secret);
    mem_wipe(hex, sizeof hex);
    return hash;
}

static enum err insert_refresh(struct store_tx *tx, const struct hash *hash, struct slice session,
                               int64_t now_usec, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &auth_sql_refresh_insert);
    store_bind_bytes(&q, "token_hash", hash_slice(hash));
    store_bind_text(&q, "session_id", session);
    store_bind_time(&q, "now", now_usec);
    return store_finish(&q, NULL, why);
}

/* ---- what both ways in share ---- */

static struct slice principal_of(struct arena *arena, const struct address *address)
{
    return slice_format(arena, WALLET_PREFIX "%.*s",
                        SLICE_ARG(hex_encode(arena, address_slice(address))));
}

bool auth_principal_parse(struct slice principal, struct address *out)
{
    static const struct slice prefix = SLICE_LIT(WALLET_PREFIX);
    return slice_starts(principal, prefix) &&
           address_parse(slice_sub(principal, prefix.len, principal.len), out) == OK;
}

static enum err record(struct store_tx *tx, struct audit_entry by, enum auth_action action,
                       struct slice session, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    by.action = &auth_actions[action];
    by.subject = slice_format(&scratch, "session/%.*s", SLICE_ARG(session));
    enum err e = audit_write(tx, &by, why);
    arena_free(&scratch);
    return e;
}

struct work {
    const struct auth *auth;
    struct auth_entry *entry;
    struct slice nonce; /* of a login */
    struct hash sent;   /* of a refresh */
    struct hash next;   /* refresh token that is given out */
    int64_t now_usec;
    bool reused;
};

/* The rows are there: what is told of them. */
static enum err tell(struct work *w, struct why *why)
{
    struct auth_entry *entry = w->entry;
    buf_init(&entry->access, entry->arena, 1024);
    enum err e = auth_access_write(w->auth, &entry->session, entry->roles, w->now_usec,
                                   &entry->access, &entry->access_expires_usec);
    return e == OK ? OK : why_set(why, e, NULL, "The access token could not be signed.");
}

void auth_entry_clear(struct auth_entry *entry)
{
    mem_wipe(entry->refresh, sizeof entry->refresh);
    if (entry->access.ptr != NULL) {
        mem_wipe(entry->access.ptr, entry->access.len);
    }
}

/* ---- login ---- */

static enum err begin(struct store_tx *tx, void *ctx, struct why *why)
{
    struct work *w = ctx;
    struct auth_session *session = &w->entry->session;
    struct store_query q;
    enum err e = use_nonce(tx, w->nonce, w->now_usec, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &auth_sql_session_insert);
    store_bind_text(&q, "session_id", session->id);
    store_bind_bytes(&q, "address", address_slice(&session->address));
    store_bind_time(&q, "now", session->created_usec);
    store_bind_time(&q, "expires_at", session->expires_usec);
    e = store_finish(&q, NULL, why);
    e = e == OK ? insert_refresh(tx, &w->next, session->id, w->now_usec, why) : e;
    e = e == OK ? auth_roles_get(tx, &session->address, &w->entry->roles, why) : e;
    return e == OK ? record(tx, w->entry->by, AUTH_LOGIN, session->id, why) : e;
}

static enum err check_login(const struct auth *auth, struct slice text, struct slice signature,
                            int64_t now_usec, struct auth_message *out, struct why *why)
{
    const struct auth_message_rules rules = {
        .domains = slice_text(auth->config->domains),
        .chain_id = auth->chain_id,
        .now_usec = now_usec,
        .age_usec_max = auth->config->nonce_usec,
    };
    struct address signer;
    if (rules.domains.len == 0) {
        return why_set(why, ERR_FORBIDDEN, NULL,
                       "Wallets do not log in here: auth.domains is empty.");
    }
    enum err e = auth_message_parse(text, out, why);
    e = e == OK ? auth_message_check(out, &rules, why) : e;
    e = e == OK ? auth_message_signer(text, signature, &signer, why) : e;
    if (e == OK && !address_equal(&signer, &out->address)) {
        e = why_set(why, ERR_SIGNATURE_SIGNER, "signature",
                    "The message was not signed by the key of its address. Contract wallets "
                    "(ERC-1271) cannot log in.");
    }
    return e;
}

static enum err enter(const struct auth *auth, struct auth_entry *entry, struct slice message,
                      struct slice signature, struct why *why)
{
    char id[RAND_ID_MAX];
    struct auth_message m;
    struct work w = {.auth = auth, .entry = entry, .now_usec = clock_wall_usec()};
    enum err e = check_login(auth, message, signature, w.now_usec, &m, why);
    e = e == OK ? auth_signer_ready(auth, w.now_usec, why) : e;
    if (e != OK) {
        return e;
    }
    rand_id("ses", id);
    w.nonce = m.nonce;
    w.next = make_refresh(entry->refresh);
    entry->session = (struct auth_session){
        .id = slice_copy(entry->arena, slice_text(id)),
        .address = m.address,
        .created_usec = w.now_usec,
        .expires_usec = w.now_usec + auth->config->session_usec,
    };
    entry->by.actor = principal_of(entry->arena, &m.address);
    e = store_write(auth->store, begin, &w, why);
    return e == OK ? tell(&w, why) : e;
}

enum err auth_login(const struct auth *auth, struct auth_entry *entry, struct slice message,
                    struct slice signature, struct why *why)
{
    enum err e = enter(auth, entry, message, signature, why);
    metric_add(&auth_metrics[e == OK ? AUTH_METRIC_LOGIN : AUTH_METRIC_LOGIN_REFUSED], 1);
    return e;
}

/* ---- refresh ---- */

struct refresh_row {
    bool found;
    int64_t used_usec;
};

static enum err find_refresh(struct store_tx *tx, struct work *w, struct refresh_row *out,
                             struct why *why)
{
    struct auth_session *session = &w->entry->session;
    struct store_query q;
    store_begin(&q, tx, &auth_sql_refresh_find);
    store_bind_bytes(&q, "token_hash", hash_slice(&w->sent));
    out->found = store_step(&q);
    if (out->found) {
        session->id = store_get_text(&q, "session_id", w->entry->arena);
        out->used_usec = store_get_time(&q, "used_at");
        store_get_fixed(&q, "address", session->address.bytes, ADDRESS_BYTES);
        session->created_usec = store_get_time(&q, "created_at");
        session->expires_usec = store_get_time(&q, "expires_at");
        session->revoked_usec = store_get_time(&q, "revoked_at");
    }
    return store_finish(&q, NULL, why);
}

static enum err end_session(struct store_tx *tx, struct slice id, int64_t now_usec,
                            int64_t *out_ended, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &auth_sql_session_revoke);
    store_bind_text(&q, "session_id", id);
    store_bind_time(&q, "now", now_usec);
    return store_finish(&q, out_ended, why);
}

/* A used token came again: the end of the session is to be committed, so this is no failure here.
 */
static enum err end_reused(struct store_tx *tx, struct work *w, struct why *why)
{
    struct slice id = w->entry->session.id;
    struct audit_entry by = w->entry->by;
    int64_t ended = 0;
    by.outcome = AUDIT_REFUSED;
    w->reused = true;
    enum err e = end_session(tx, id, w->now_usec, &ended, why);
    return e == OK && ended > 0 ? record(tx, by, AUTH_REFRESH_REUSED, id, why) : e;
}

static enum err use_refresh(struct store_tx *tx, struct work *w, struct why *why)
{
    struct auth_session *session = &w->entry->session;
    struct store_query q;
    int64_t used = 0;
    store_begin(&q, tx, &auth_sql_refresh_use);
    store_bind_bytes(&q, "token_hash", hash_slice(&w->sent));
    store_bind_time(&q, "now", w->now_usec);
    enum err e = store_finish(&q, &used, why);
    if (e != OK || used == 0) {
        return e != OK ? e : end_reused(tx, w, why);
    }
    store_begin(&q, tx, &auth_sql_session_refreshed);
    store_bind_text(&q, "session_id", session->id);
    store_bind_time(&q, "now", w->now_usec);
    e = store_finish(&q, NULL, why);
    e = e == OK ? insert_refresh(tx, &w->next, session->id, w->now_usec, why) : e;
    return e == OK ? auth_roles_get(tx, &session->address, &w->entry->roles, why) : e;
}

static enum err go_on(struct store_tx *tx, void *ctx, struct why *why)
{
    struct work *w = ctx;
    struct auth_session *session = &w->entry->session;
    struct refresh_row row = {.found = false};
    *session = (struct auth_session){.refreshed_usec = w->now_usec};
    w->reused = false;
    enum err e = find_refresh(tx, w, &row, why);
    if (e != OK) {
        return e;
    }
    if (!row.found) {
        return auth_refuse(why, "There is no such refresh token.");
    }
    w->entry->by.actor = principal_of(w->entry->arena, &session->address);
    if (row.used_usec != 0) {
        return end_reused(tx, w, why);
    }
    if (session->revoked_usec != 0 || session->expires_usec <= w->now_usec) {
        return why_set(why, ERR_SESSION_EXPIRED, NULL, "The session has ended: log in again.");
    }
    return use_refresh(tx, w, why);
}

static enum err renew(const struct auth *auth, struct auth_entry *entry, struct slice token,
                      enum auth_metric *metric, struct why *why)
{
    struct work w = {.auth = auth, .entry = entry, .now_usec = clock_wall_usec()};
    if (auth_refresh_parse(token, &w.sent) != OK) {
        return auth_refuse(why, "What was sent is not a refresh token.");
    }
    enum err e = auth_signer_ready(auth, w.now_usec, why);
    if (e != OK) {
        return e;
    }
    w.next = make_refresh(entry->refresh);
    e = store_write(auth->store, go_on, &w, why);
    if (e == OK && w.reused) {
        *metric = AUTH_METRIC_REFRESH_REUSED;
        return auth_refuse(why, "The refresh token was used before: its session is ended.");
    }
    return e == OK ? tell(&w, why) : e;
}

enum err auth_refresh(const struct auth *auth, struct auth_entry *entry, struct slice token,
                      struct why *why)
{
    enum auth_metric metric = AUTH_METRIC_REFRESH_REFUSED;
    enum err e = renew(auth, entry, token, &metric, why);
    metric_add(&auth_metrics[e == OK ? AUTH_METRIC_REFRESH : metric], 1);
    return e;
}

/* ---- the end ---- */

static void take(struct store_query *q, struct arena *arena, struct auth_session *out)
{
    out->id = store_get_text(q, "session_id", arena);
    store_get_fixed(q, "address", out->address.bytes, ADDRESS_BYTES);
    out->created_usec = store_get_time(q, "created_at");
    out->expires_usec = store_get_time(q, "expires_at");
    out->refreshed_usec = store_get_time(q, "refreshed_at");
    out->revoked_usec = store_get_time(q, "revoked_at");
}

enum err auth_session_revoke(struct store_tx *tx, struct arena *arena, struct slice id,
                             const struct address *owner, struct audit_entry by,
                             struct auth_session *out, struct why *why)
{
    struct auth_session session = {.revoked_usec = 0};
    struct store_query q;
    int64_t ended = 0;
    store_begin(&q, tx, &auth_sql_session_get);
    store_bind_text(&q, "session_id", id);
    if (store_step(&q)) {
        take(&q, arena, &session);
    }
    enum err e = store_finish_one(&q, "session", why);
    if (e == OK && owner != NULL && !address_equal(owner, &session.address)) {
        e = why_set(why, ERR_NOT_FOUND, NULL, "session not found");
    }
    if (e != OK) {
        return e;
    }
    int64_t now = clock_wall_usec();
    e = end_session(tx, id, now, &ended, why);
    if (e == OK && ended > 0) {
        session.revoked_usec = now;
        e = record(tx, by, AUTH_SESSION_REVOKED, session.id, why);
    }
    if (e == OK) {
        *out = session;
    }
    return e;
}

enum err auth_sessions_list(struct store_tx *tx, struct arena *arena, const struct address *address,
                            struct slice after, uint32_t limit, struct auth_session **out,
                            size_t *out_count, struct why *why)
{
    struct auth_session *sessions = arena_alloc_array(arena, limit, sizeof *sessions);
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &auth_sql_sessions_list);
    store_bind_bytes(&q, "address", address_slice(address));
    store_bind_text(&q, "after_id", after);
    store_bind_time(&q, "now", clock_wall_usec());
    store_bind_i64(&q, "max_rows", limit);
    while (store_step(&q)) {
        ASSERT(count < limit);
        take(&q, arena, &sessions[count++]);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = sessions;
        *out_count = count;
    }
    return e;
}

/* ---- upkeep ---- */

enum err auth_sessions_purge(struct store_tx *tx, int64_t before_usec, uint64_t limit,
                             uint64_t *out_rows, struct why *why)
{
    struct store_query q;
    uint64_t most = 0;
    uint64_t tokens = 0; /* of so many sessions: more of them are no reason to go on */
    enum err e = purge(tx, &auth_sql_nonces_purge, before_usec, limit, &most, why);
    e = e == OK ? purge(tx, &auth_sql_refreshes_purge, before_usec, limit, &tokens, why) : e;
    e = e == OK ? purge(tx, &auth_sql_sessions_purge, before_usec, limit, &most, why) : e;
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &auth_sql_signing_keys_purge);
    store_bind_time(&q, "before", before_usec);
    e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_rows = most;
    }
    return e;
}
