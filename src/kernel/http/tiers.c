/*
 * tiers.c: how much who may ask: the tiers of callers and the limits of operations, as rows.
 */
#include <arpa/inet.h>

#include "kernel/base/check.h"
#include "kernel/http/http_internal.h"

#define SEC ((int64_t)USEC_PER_SEC)

static const struct {
    const char *text;
    int64_t usec;
} windows[HTTP_WINDOWS] = {
    {"a minute", 60 * SEC},
    {"an hour", 3600 * SEC},
    {"a day", 86400 * SEC},
};

/* The first that fits. Callers with a role that is granted are those whom somebody has verified. */
static const struct http_tier tiers[] = {
    {"admin", HTTP_ROLE_ADMIN | HTTP_ROLE_OPERATOR, true, {0, 0, 0}},
    {"verified", HTTP_ROLE_ISSUER | HTTP_ROLE_SERVICE, true, {100, 1000, 5000}},
    {"authenticated", 0, true, {60, 500, 2000}},
    {"unauthenticated", 0, false, {20, 100, 500}},
};

static const struct http_operation operations[HTTP_LIMIT_CLASSES] = {
    [HTTP_LIMIT_REGISTRATION] = {"registration", {1, 5, 10}},
    [HTTP_LIMIT_AUTHENTICATION] = {"authentication", {5, 30, 100}},
    [HTTP_LIMIT_INVEST] = {"invest", {3, 20, 50}},
    [HTTP_LIMIT_REDEEM] = {"redeem", {3, 20, 50}},
    [HTTP_LIMIT_CREDENTIAL] = {"credential", {1, 3, 5}},
    [HTTP_LIMIT_SEAL] = {"seal", {5, 30, 100}},
};

const struct http_operation *http_operation_of(enum http_limit_class class)
{
    ASSERT((unsigned)class < HTTP_LIMIT_CLASSES);
    return class == HTTP_LIMIT_NONE ? NULL : &operations[class];
}

const struct http_tier *http_tier_of(bool known, unsigned roles)
{
    const struct http_tier *tier = tiers;
    while (tier->known != known || (tier->roles != 0 && (tier->roles & roles) == 0)) {
        tier++;
        ASSERT(tier < tiers + sizeof tiers / sizeof tiers[0]);
    }
    return tier;
}

/* ---- counting ---- */

struct counted {
    struct cache *cache;
    struct slice key;
    const uint64_t *uses;
    const char *what;
};

/* From the shortest window on: who asks too often in a minute does not use up his day by that. */
static enum err take(const struct counted *c, struct http_limited *out, struct why *why)
{
    for (size_t i = 0; i < HTTP_WINDOWS; i++) {
        const struct cache_limit limit = {.uses = c->uses[i], .window_usec = windows[i].usec};
        struct http_limited now = {.is = true, .uses = c->uses[i]};
        cache_limit_take(c->cache, c->key, &limit, &now.verdict);
        if (!now.verdict.allowed) {
            *out = now;
            metric_add(&http_metrics[HTTP_METRIC_REJECTED_RATE], 1);
            return why_set(why, ERR_RATE_LIMITED, NULL,
                           "More than %llu %s in %s: the next one may come in %lld s.",
                           (unsigned long long)c->uses[i], c->what, windows[i].text,
                           (long long)http_limit_seconds(now.verdict.retry_usec));
        }
        if (!out->is || now.verdict.remaining < out->verdict.remaining) {
            *out = now;
        }
    }
    return OK;
}

enum err http_tier_take(struct arena *arena, struct cache *cache, struct slice who,
                        const struct http_tier *tier, enum http_limit_class class,
                        struct http_limited *out, struct why *why)
{
    if (tier->uses[0] == 0) {
        return OK;
    }
    struct counted all = {.cache = cache, .uses = tier->uses, .what = "requests"};
    struct buf key;
    buf_init(&key, arena, 64);
    buf_add_text(&key, "tier/");
    buf_add_slice(&key, who);
    all.key = buf_slice(&key);
    enum err e = take(&all, out, why);
    const struct http_operation *operation = http_operation_of(class);
    if (e != OK || operation == NULL) {
        return e;
    }
    char what[64];
    (void)snprintf(what, sizeof what, "requests of the kind %s", operation->name);
    const struct counted some = {
        .cache = cache,
        .uses = operation->uses,
        .what = what,
        .key = slice_format(arena, "op/%s/%.*s", operation->name, SLICE_ARG(who)),
    };
    return take(&some, out, why);
}

/* ---- who is exempt ---- */

static bool is_principal(struct slice text)
{
    return slice_starts(text, SLICE_LIT("key:")) || slice_starts(text, SLICE_LIT("wallet:0x")) ||
           slice_equal_text(text, "operator");
}

/* An address as the system writes it, so that comparing texts is comparing addresses. */
static bool is_address(struct slice text)
{
    char sent[INET6_ADDRSTRLEN];
    char again[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (text.len >= sizeof sent) {
        return false;
    }
    (void)snprintf(sent, sizeof sent, "%.*s", SLICE_ARG(text));
    int family = slice_find(text, ':') >= 0 ? AF_INET6 : AF_INET;
    return inet_pton(family, sent, bytes) == 1 &&
           inet_ntop(family, bytes, again, sizeof again) != NULL && strcmp(sent, again) == 0;
}

enum err http_exempt_check(const char *list, struct why *why)
{
    struct slice rest = slice_text(list);
    while (rest.len > 0) {
        struct slice one;
        (void)slice_cut(rest, ',', &one, &rest);
        one = slice_trim(one);
        if (!is_principal(one) && !is_address(one)) {
            return why_set(why, ERR_CONFIG, "http.rate_exempt",
                           "http.rate_exempt lists addresses, as 192.0.2.1 or 2001:db8::1, and "
                           "callers, as key:ID, wallet:0x… in lower case, or operator");
        }
    }
    return OK;
}

bool http_is_exempt(const char *list, struct slice client, struct slice principal)
{
    static const struct slice mapped = SLICE_LIT("::ffff:");
    struct slice rest = slice_text(list);
    if (slice_starts(client, mapped)) {
        client = slice_sub(client, mapped.len, client.len);
    }
    while (rest.len > 0) {
        struct slice one;
        (void)slice_cut(rest, ',', &one, &rest);
        one = slice_trim(one);
        if (one.len > 0 && (slice_equal(one, client) || slice_equal(one, principal))) {
            return true;
        }
    }
    return false;
}
