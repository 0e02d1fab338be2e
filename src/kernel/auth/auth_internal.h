/*
 * auth_internal.h: what the files of kernel/auth share. Private to this folder.
 *
 *   auth.c           API keys, and the port that http asks
 *   auth_api.c       their routes
 *   auth_message.c   EIP-4361
 *   auth_signer.c    the key of this process that signs access tokens; access tokens
 *   auth_session.c   nonces, login, refresh, the end of sessions
 *   auth_roles.c     roles of wallets
 *   auth_session_api.c   routes of sessions and roles
 *   auth_config.c    settings, audited actions, metrics
 */
#ifndef KERNEL_AUTH_AUTH_INTERNAL_H
#define KERNEL_AUTH_AUTH_INTERNAL_H

#include "kernel/auth/auth_session.h"
#include "kernel/base/metric.h"

#define AUTH_KEY_PREFIX "fhk_"
#define AUTH_REFRESH_PREFIX "fhr_"
#define AUTH_ACCESS_TYP "at+jwt"

enum auth_action {
    AUTH_KEY_CREATED,
    AUTH_KEY_REVOKED,
    AUTH_LOGIN,
    AUTH_SESSION_REVOKED,
    AUTH_REFRESH_REUSED,
    AUTH_ROLE_GRANTED,
    AUTH_ROLE_TAKEN,
    AUTH_SIGNING_KEYS_REVOKED,
    AUTH_ACTION_COUNT
};

extern const struct audit_action auth_actions[AUTH_ACTION_COUNT];

enum auth_metric {
    AUTH_METRIC_LOGIN,
    AUTH_METRIC_LOGIN_REFUSED,
    AUTH_METRIC_REFRESH,
    AUTH_METRIC_REFRESH_REFUSED,
    AUTH_METRIC_REFRESH_REUSED,
    AUTH_METRIC_COUNT
};

extern struct metric_value auth_metrics[AUTH_METRIC_COUNT]; /* see auth_metrics_register */

/* auth_refuse says ERR_UNAUTHENTICATED. */
enum err auth_refuse(struct why *why, const char *sentence) ERR_CHECKED;
/* auth_roles_json writes the names of roles as a list. */
void auth_roles_json(struct json_out *j, unsigned roles);

/* ---- auth_signer.c ---- */

/* auth_signer_new makes a signer without a key. Owns: the caller, auth_signer_free. */
struct auth_signer *auth_signer_new(void);
/* auth_signer_free wipes and frees; NULL is fine. */
void auth_signer_free(struct auth_signer *signer);
/*
 * auth_signer_ready sees to a key that is neither spent nor revoked, and makes its row first.
 * Errors: those of the store, ERR_CRYPTO.
 */
enum err auth_signer_ready(const struct auth *auth, int64_t now_usec, struct why *why) ERR_CHECKED;
/*
 * auth_access_write makes the access token of a session; auth_signer_ready comes before it. The
 * token ends with the session at the latest. Errors: ERR_CRYPTO.
 */
enum err auth_access_write(const struct auth *auth, const struct auth_session *session,
                           unsigned roles, int64_t now_usec, struct buf *out,
                           int64_t *out_expires_usec) ERR_CHECKED;
/* auth_access_identify says who sent an access token. Errors: ERR_UNAUTHENTICATED, of the store. */
enum err auth_access_identify(const struct auth *auth, struct arena *req, struct slice token,
                              struct http_caller *out, struct why *why) ERR_CHECKED;

#endif
