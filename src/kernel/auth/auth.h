/*
 * auth.h: who calls the API: keys, and the authority that http asks about what a caller sends. The
 * other half, sessions of wallets, is auth_session.h.
 *
 * A key is "fhk_ID_SECRET": 16 hex digits that name it (also in the audit log: principal "key:ID")
 * and 64 hex digits that are 256 bits of chance. The secret is told once, where the key is made;
 * the row has its SHA-256 (of so many bits of chance a fast hash gives nothing away). A key has a
 * name, roles, and an end, which it cannot go without.
 *
 *   LIVE --revoke--> REVOKED (the row stays)     LIVE --its end--> EXPIRED (by the clock)
 *
 * Each request looks the key up by its id and then compares the hash of the secret in constant
 * time, also when there is no such key; so a revocation holds in all processes as soon as it is
 * committed, and how long a refusal takes says nothing about the secret. When a key was used last
 * is noted at most once a minute; a note that fails is no failure of the request.
 *
 * Crash points: the key exists when its row is committed. A crash before the answer leaves a key
 * whose secret nobody knows: its name is taken (already_exists), so that it is seen, and revoked.
 * The answer is not kept for repetition by Idempotency-Key: a secret must not rest there.
 *
 * Threads: all functions from anywhere.
 */
#ifndef KERNEL_AUTH_AUTH_H
#define KERNEL_AUTH_AUTH_H

#include "kernel/audit/audit.h"
#include "kernel/crypto/hash.h"
#include "kernel/http/http.h"
#include "kernel/store/store.h"

#define AUTH_ID_DIGITS 16
#define AUTH_SECRET_BYTES 32
#define AUTH_TOKEN_DIGITS (4 + AUTH_ID_DIGITS + 1 + 2 * AUTH_SECRET_BYTES)
#define AUTH_TOKEN_TEXT_MAX (AUTH_TOKEN_DIGITS + 1)
#define AUTH_NAME_BYTES_MAX 100
#define AUTH_DAYS_DEFAULT 90
#define AUTH_DAYS_MAX 3650
/* How long a use is not noted again. Units: microseconds. */
#define AUTH_USED_USEC (60 * (int64_t)USEC_PER_SEC)

struct auth_signer;

struct auth_config {
    const char *domains; /* of messages to log in; "": nobody logs in */
    const char *issuer;
    const char *audience;
    int64_t access_usec;  /* life of an access token */
    int64_t session_usec; /* of a session, however often it is refreshed */
    int64_t nonce_usec;   /* of a nonce, and how old a message may be */
    int64_t key_usec;     /* how long a key signs */
};

/* auth_config_rows are the rows of section "auth". */
extern const struct config_row auth_config_rows[];
extern const size_t auth_config_row_count;
/* auth_config_check holds what rows cannot. Errors: ERR_CONFIG. */
enum err auth_config_check(const struct auth_config *config, struct why *why) ERR_CHECKED;

struct auth {
    struct store *store;
    const struct auth_config *config;
    uint64_t chain_id;               /* that wallets log in on */
    struct auth_signer *signer;      /* of access tokens (auth_session.h) */
    struct http_authority authority; /* for http_config.authority */
};

/*
 * auth_init readies the authority; `auth` and `config` must outlive the server. Owns: the caller,
 * auth_clear.
 */
void auth_init(struct auth *auth, struct store *store, const struct auth_config *config,
               uint64_t chain_id);
/* auth_clear wipes the signing key; a zeroed one is fine. */
void auth_clear(struct auth *auth);

struct auth_key {
    struct slice id;
    struct slice name;
    unsigned roles;
    struct slice created_by;
    int64_t created_usec;
    int64_t expires_usec;
    int64_t revoked_usec; /* 0: not */
    int64_t used_usec;    /* 0: never */
};

struct auth_token {
    char id[AUTH_ID_DIGITS + 1];
    struct hash secret_hash;
};

/* auth_token_parse takes a key's text apart. Errors: ERR_UNAUTHENTICATED. */
enum err auth_token_parse(struct slice text, struct auth_token *out) ERR_CHECKED;

/* A key that is being made: its row, and the text that is told once. Wiped by auth_issue_clear. */
struct auth_issue {
    struct auth_key key;
    struct audit_entry by; /* who makes it; action and subject are filled in */
    struct auth_token token;
    char text[AUTH_TOKEN_TEXT_MAX];
};

/*
 * auth_issue_init checks what is asked for and makes id and secret. Units: days from now. Errors:
 * ERR_INVALID_FIELD.
 */
enum err auth_issue_init(struct auth_issue *issue, struct slice name, unsigned roles, uint64_t days,
                         struct why *why) ERR_CHECKED;
/* auth_issue_write is a store_fn: the row and its audit row. Errors: ERR_ALREADY_EXISTS. */
enum err auth_issue_write(struct store_tx *tx, void *issue, struct why *why) ERR_CHECKED;
/* auth_issue_clear wipes. */
void auth_issue_clear(struct auth_issue *issue);

/*
 * auth_key_revoke ends a key and records it, once; `out` is the key as it is then. Owns: the arena.
 * Errors: ERR_NOT_FOUND.
 */
enum err auth_key_revoke(struct store_tx *tx, struct arena *arena, struct slice id,
                         struct audit_entry by, struct auth_key *out, struct why *why) ERR_CHECKED;
/* auth_keys_list reads keys by id, behind `after`. Owns: the arena. */
enum err auth_keys_list(struct store_tx *tx, struct arena *arena, struct slice after,
                        uint32_t limit, struct auth_key **out, size_t *out_count,
                        struct why *why) ERR_CHECKED;
/* auth_roles_parse reads names of roles apart by commas. Errors: ERR_INVALID_FIELD. */
enum err auth_roles_parse(struct slice text, unsigned *out, struct why *why) ERR_CHECKED;
/* auth_key_json writes a key; `text` is the secret one, or NULL. */
void auth_key_json(struct json_out *j, const struct auth_key *key, const char *text);

/* auth_http_table makes the routes; `auth` must outlive the server. */
struct http_table auth_http_table(struct auth *auth);
/* auth_audit_table has the actions. */
struct audit_table auth_audit_table(void);
/* auth_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void auth_metrics_register(void);

#endif
