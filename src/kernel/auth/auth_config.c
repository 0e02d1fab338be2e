/*
 * auth_config.c: settings of section "auth", what is written to the audit log, metrics.
 */
#include <pthread.h>

#include "kernel/auth/auth_internal.h"

/* Issuer and audience stand in every token, whose size is bounded. */
#define CLAIM_BYTES_MAX 100

#define ROW(key_, type_, member_, default__, min_, max_, doc_)                                     \
    {                                                                                              \
        .key = (key_), .type = (type_), .offset = offsetof(struct auth_config, member_),           \
        .default_ = (default__), .min = (min_), .max = (max_), .doc = (doc_)                       \
    }

#define DAY (INT64_C(86400) * USEC_PER_SEC)

const struct config_row auth_config_rows[] = {
    ROW("auth.domains", CONFIG_TEXT, domains, "", 0, 0,
        "Domains whose pages wallets may log in from (EIP-4361), as app.example.com or "
        "localhost:5173, apart by commas; empty lets no wallet log in."),
    ROW("auth.issuer", CONFIG_TEXT, issuer, "freehold", 0, 0,
        "Claim iss of access tokens; tokens with another one are refused."),
    ROW("auth.audience", CONFIG_TEXT, audience, "freehold-api", 0, 0,
        "Claim aud of access tokens; tokens with another one are refused."),
    ROW("auth.access_life", CONFIG_DURATION, access_usec, "15min", USEC_PER_SEC, DAY,
        "How long an access token is valid."),
    ROW("auth.session_life", CONFIG_DURATION, session_usec, "14d", USEC_PER_SEC, 365 * DAY,
        "How long a session lasts, however often it is refreshed."),
    ROW("auth.nonce_life", CONFIG_DURATION, nonce_usec, "5min", USEC_PER_SEC, DAY,
        "How long a nonce may be used, and how old a message to log in may be."),
    ROW("auth.key_life", CONFIG_DURATION, key_usec, "24h", USEC_PER_SEC, 30 * DAY,
        "How long a process signs access tokens with one key before it makes another."),
};
const size_t auth_config_row_count = sizeof auth_config_rows / sizeof auth_config_rows[0];

static enum err check_domains(const char *list, struct why *why)
{
    struct slice rest = slice_text(list);
    while (rest.len > 0) {
        struct slice one;
        (void)slice_cut(rest, ',', &one, &rest);
        if (!auth_message_is_domain(slice_trim(one))) {
            return why_set(why, ERR_CONFIG, "auth.domains",
                           "auth.domains lists domains without a scheme, as app.example.com or "
                           "localhost:5173, apart by commas");
        }
    }
    return OK;
}

enum err auth_config_check(const struct auth_config *config, struct why *why)
{
    const char *const claims[][2] = {{"auth.issuer", config->issuer},
                                     {"auth.audience", config->audience}};
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        size_t len = strlen(claims[i][1]);
        bool plain = len > 0 && len <= CLAIM_BYTES_MAX;
        for (size_t at = 0; plain && at < len; at++) {
            plain = claims[i][1][at] > ' ' && claims[i][1][at] < 0x7f;
        }
        if (!plain) {
            return why_set(why, ERR_CONFIG, claims[i][0], "%s is 1 to %d visible ASCII characters",
                           claims[i][0], CLAIM_BYTES_MAX);
        }
    }
    return check_domains(config->domains, why);
}

const struct audit_action auth_actions[AUTH_ACTION_COUNT] = {
    [AUTH_KEY_CREATED] = {"auth.key_created",
                          "An API key was made; details have its name and roles."},
    [AUTH_KEY_REVOKED] = {"auth.key_revoked", "An API key was revoked."},
    [AUTH_LOGIN] = {"auth.login", "A wallet logged in; the subject is its session."},
    [AUTH_SESSION_REVOKED] = {"auth.session_revoked", "A session was ended, or logged out of."},
    [AUTH_REFRESH_REUSED] = {"auth.refresh_reused",
                             "A refresh token came a second time; its session was ended."},
    [AUTH_ROLE_GRANTED] = {"auth.role_granted", "A wallet was granted a role."},
    [AUTH_ROLE_TAKEN] = {"auth.role_taken", "A role was taken from a wallet."},
    [AUTH_SIGNING_KEYS_REVOKED] = {"auth.signing_keys_revoked",
                                   "All keys that sign access tokens were ended."},
};

struct audit_table auth_audit_table(void)
{
    return (struct audit_table){auth_actions, AUTH_ACTION_COUNT};
}

#define LOGINS "freehold_auth_logins_total", METRIC_COUNTER, "Wallets that asked to be let in."
#define REFRESHES "freehold_auth_refreshes_total", METRIC_COUNTER, "Refresh tokens that were sent."

static const struct metric_row metric_rows[AUTH_METRIC_COUNT] = {
    [AUTH_METRIC_LOGIN] = {LOGINS, "outcome=\"done\""},
    [AUTH_METRIC_LOGIN_REFUSED] = {LOGINS, "outcome=\"refused\""},
    [AUTH_METRIC_REFRESH] = {REFRESHES, "outcome=\"done\""},
    [AUTH_METRIC_REFRESH_REFUSED] = {REFRESHES, "outcome=\"refused\""},
    [AUTH_METRIC_REFRESH_REUSED] = {REFRESHES, "outcome=\"reused\""},
};

struct metric_value auth_metrics[AUTH_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(metric_rows, auth_metrics, AUTH_METRIC_COUNT);
}

void auth_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}
