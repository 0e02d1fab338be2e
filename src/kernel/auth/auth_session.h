/*
 * auth_session.h: sessions of wallets: login by a signed message (EIP-4361), access tokens, refresh
 * tokens, roles.
 *
 * Login
 *   A client asks for a nonce, a row that any process can use up, once, before it expires. It has
 *   the wallet sign a message with it (auth_message.h). What is taken: a domain of auth.domains,
 * our chain, times that fit, a signature of 65 bytes by the address of the message. Using up the
 * nonce and making the session are one transaction, so that one message makes one session, whatever
 * the concurrency. Contract wallets (ERC-1271) have no key that signs and are refused
 *   (signature_signer).
 *
 * Session
 *   LIVE --its end (auth.session_life)--> EXPIRED      LIVE --revoke, logout, reuse--> REVOKED
 *
 *   Its access token is a JWT (kernel/crypto/jwt.h) that lives for auth.access_life: claims iss,
 * aud, sub (the address), sid (the session), roles, iat, nbf, exp. Its refresh token is "fhr_" and
 * 256 bits of chance, of which the row has the SHA-256; it is good for one use, which gives the
 * next one. A used one that comes again is in two hands: the session ends (auth.refresh_reused).
 *
 *   Each request with an access token looks its key, its session and the roles of its wallet up, in
 *   one statement: the end of a session, of a key and of a role holds in all processes as soon as
 * it is committed. Others who check tokens by /.well-known/jwks.json alone learn of it when the
 * token expires; the roles in it are for them.
 *
 * Signing keys
 *   A process makes its Ed25519 key by chance when it first signs, and another one when that has
 *   signed for auth.key_life. The private half is in its memory and nowhere else; the public half
 * is a row before the first signature, so that all processes take its tokens, and is taken until
 * the last of them has expired (that is the overlap). `freehold keys rotate` ends all keys at once:
 *   access tokens are refused from then on, sessions go on by their refresh tokens. Who can write
 * to the database can log in as anybody, as with API keys.
 *
 * Roles
 *   Who logs in is an investor. Other roles are rows, granted and taken by admins.
 *
 * Crash points: nonce, session, refresh token and audit row are one commit. A crash between it and
 * the answer leaves a session whose tokens nobody has, and which expires; the wallet logs in again.
 * After a refresh that was committed and not answered the client has only the used token: its next
 * use ends the session, and the wallet logs in again. That is the price of knowing a stolen one.
 *
 * Clocks: a nonce, a session and a token end by the wall clock of who looks. A clock that goes back
 * takes tokens "from the future" for at most a minute (AUTH_SKEW_USEC).
 *
 * Threads: all functions from anywhere.
 */
#ifndef KERNEL_AUTH_AUTH_SESSION_H
#define KERNEL_AUTH_AUTH_SESSION_H

#include "kernel/auth/auth.h"
#include "kernel/auth/auth_message.h"
#include "kernel/base/rand.h"

#define AUTH_NONCE_TEXT_MAX 33
#define AUTH_REFRESH_TEXT_MAX (4 + 2 * AUTH_SECRET_BYTES + 1)
#define AUTH_PRINCIPAL_MAX (8 + 2 * ADDRESS_BYTES + 2)

struct auth_session {
    struct slice id;
    struct address address;
    int64_t created_usec;
    int64_t expires_usec;
    int64_t refreshed_usec; /* 0: never */
    int64_t revoked_usec;   /* 0: not */
};

/* auth_nonce_issue makes a nonce, and forgets some that expired. Errors: those of the store. */
enum err auth_nonce_issue(struct store *store, const struct auth_config *config,
                          char out[AUTH_NONCE_TEXT_MAX], int64_t *out_expires_usec,
                          struct why *why) ERR_CHECKED;

/* A session that begins or goes on, and what its wallet is told once. Wiped by auth_entry_clear. */
struct auth_entry {
    struct arena *arena;
    struct audit_entry by; /* the request; actor, action and subject are filled in */
    struct auth_session session;
    unsigned roles;
    struct buf access;
    int64_t access_expires_usec;
    char refresh[AUTH_REFRESH_TEXT_MAX];
};

/*
 * auth_login begins a session. Errors: those of auth_message_parse, auth_message_check and
 * auth_message_signer; ERR_SIGNATURE_SIGNER; ERR_UNAUTHENTICATED (the nonce is not ours, used or
 * expired); ERR_FORBIDDEN (there is no auth.domains); of the store.
 */
enum err auth_login(const struct auth *auth, struct auth_entry *entry, struct slice message,
                    struct slice signature, struct why *why) ERR_CHECKED;
/*
 * auth_refresh gives a session its next tokens. Errors: ERR_UNAUTHENTICATED (no such token, or used
 * before, which ends the session), ERR_SESSION_EXPIRED; of the store.
 */
enum err auth_refresh(const struct auth *auth, struct auth_entry *entry, struct slice token,
                      struct why *why) ERR_CHECKED;
/* auth_entry_clear wipes. */
void auth_entry_clear(struct auth_entry *entry);

/* auth_refresh_parse hashes what has the form of a refresh token. Errors: ERR_UNAUTHENTICATED. */
enum err auth_refresh_parse(struct slice text, struct hash *out) ERR_CHECKED;

/*
 * auth_session_revoke ends a session and records it, once; `owner` (may be NULL: anybody's) must be
 * its wallet. Owns: the arena. Errors: ERR_NOT_FOUND.
 */
enum err auth_session_revoke(struct store_tx *tx, struct arena *arena, struct slice id,
                             const struct address *owner, struct audit_entry by,
                             struct auth_session *out, struct why *why) ERR_CHECKED;
/* auth_sessions_list reads live sessions of a wallet, by id, behind `after`. Owns: the arena. */
enum err auth_sessions_list(struct store_tx *tx, struct arena *arena, const struct address *address,
                            struct slice after, uint32_t limit, struct auth_session **out,
                            size_t *out_count, struct why *why) ERR_CHECKED;

/* auth_principal_parse reads "wallet:0x…", as principals of wallets are; false for others. */
bool auth_principal_parse(struct slice principal, struct address *out);

/* ---- roles ---- */

/* auth_roles_get reads the roles of a wallet: those granted, and investor. */
enum err auth_roles_get(struct store_tx *tx, const struct address *address, unsigned *out,
                        struct why *why) ERR_CHECKED;
/* auth_role_set grants a role to a wallet or takes it back, and records what changed. */
enum err auth_role_set(struct store_tx *tx, const struct address *address, unsigned role,
                       bool granted, struct audit_entry by, struct why *why) ERR_CHECKED;

struct auth_wallet {
    struct address address;
    unsigned roles;
};

/* auth_wallets_list reads wallets with granted roles, by address, behind `after`. Owns: the arena.
 */
enum err auth_wallets_list(struct store_tx *tx, struct arena *arena, const struct address *after,
                           uint32_t limit, struct auth_wallet **out, size_t *out_count,
                           struct why *why) ERR_CHECKED;
/* auth_wallet_json writes a wallet with its roles. */
void auth_wallet_json(struct json_out *j, const struct auth_wallet *wallet);

/* ---- signing keys ---- */

/* auth_keys_rotate ends all signing keys and says how many. Errors: those of the store. */
enum err auth_keys_rotate(struct store_tx *tx, struct audit_entry by, int64_t *out_count,
                          struct why *why) ERR_CHECKED;
/*
 * auth_jwks_write writes the public keys as a JSON Web Key Set (RFC 7517, RFC 8037). Owns: the
 * arena. Errors: those of the store.
 */
enum err auth_jwks_write(struct store_tx *tx, struct arena *arena, struct slice *out,
                         struct why *why) ERR_CHECKED;

/* ---- upkeep ---- */

/* How long ended sessions are kept. Units: microseconds. */
#define AUTH_ENDED_USEC (INT64_C(7) * 86400 * USEC_PER_SEC)

/*
 * auth_sessions_purge forgets nonces, sessions and signing keys that ended before a time, at most
 * `limit` of a kind, and says how many of the most frequent. Errors: those of the store.
 */
enum err auth_sessions_purge(struct store_tx *tx, int64_t before_usec, uint64_t limit,
                             uint64_t *out_rows, struct why *why) ERR_CHECKED;

/* auth_sessions_http_table makes the routes; `auth` must outlive the server. */
struct http_table auth_sessions_http_table(struct auth *auth);

#endif
