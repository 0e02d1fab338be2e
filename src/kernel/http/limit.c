/*
 * limit.c: what a server shares with others through kernel/cache: how much a client asks, and
 * answers that can never change.
 */
#include "kernel/http/http_internal.h"

#define WINDOW_USEC (60 * (int64_t)USEC_PER_SEC)
/* How long a final answer is kept: it stays right, but the memory of Redis ends. */
#define FINAL_USEC (86400 * (int64_t)USEC_PER_SEC)

int64_t http_limit_seconds(int64_t usec)
{
    return (usec + USEC_PER_SEC - 1) / USEC_PER_SEC;
}

static bool is_counted(const struct http_request *req)
{
    const struct http_config *config = &req->server->config;
    return config->cache != NULL && (req->call.route->flags & HTTP_UNLIMITED) == 0 &&
           !http_is_exempt(config->rate_exempt, req->call.client, req->call.principal);
}

static struct slice client_of(const struct http_request *req)
{
    return slice_of(req->conn->client_key, sizeof req->conn->client_key);
}

enum err http_limit_client(struct http_request *req, struct http_limited *out, struct why *why)
{
    const struct http_config *config = &req->server->config;
    if (config->rate_limit == 0 || !is_counted(req)) {
        return OK;
    }
    const struct cache_limit limit = {.uses = config->rate_limit, .window_usec = WINDOW_USEC};
    struct buf key;
    *out = (struct http_limited){.is = true, .uses = limit.uses};
    buf_init(&key, &req->arena, 32);
    buf_add_text(&key, "http/");
    buf_add_slice(&key, client_of(req));
    cache_limit_take(config->cache, buf_slice(&key), &limit, &out->verdict);
    if (out->verdict.allowed) {
        return OK;
    }
    metric_add(&http_metrics[HTTP_METRIC_REJECTED_RATE], 1);
    return why_set(why, ERR_RATE_LIMITED, NULL,
                   "More than %llu requests in a minute: the next one may come in %lld s.",
                   (unsigned long long)limit.uses,
                   (long long)http_limit_seconds(out->verdict.retry_usec));
}

enum err http_limit_caller(struct http_request *req, struct http_limited *out, struct why *why)
{
    const struct http_config *config = &req->server->config;
    const struct http_call *call = &req->call;
    /* What is answered without a database looks at no credentials, so nobody is known there. */
    if (!config->rate_tiers || !is_counted(req) || call->route->flags & HTTP_NO_STORE) {
        return OK;
    }
    bool known = call->principal.len > 0;
    return http_tier_take(&req->arena, config->cache, known ? call->principal : client_of(req),
                          http_tier_of(known, call->roles), call->route->limit, out, why);
}

void http_limit_tell(struct http_request *req, const struct http_limited *limited)
{
    if (!limited->is) {
        return;
    }
    struct http_answer *a = &req->answer;
    a->limited = true;
    a->limit = limited->uses;
    a->limit_left = limited->verdict.remaining;
    a->limit_reset_sec = http_limit_seconds(limited->verdict.reset_usec);
    if (!limited->verdict.allowed) {
        a->retry_sec = http_limit_seconds(limited->verdict.retry_usec);
    }
}

/* ---- answers that can never change ---- */

static bool final_key(struct http_request *req, struct slice *out)
{
    if ((req->call.route->flags & HTTP_MAY_BE_FINAL) == 0 || req->method != HTTP_GET ||
        cache_state_read(req->server->config.cache, NULL) != CACHE_SHARED) {
        return false;
    }
    *out = slice_format(&req->arena, "%.*s?%.*s", SLICE_ARG(req->call.path), SLICE_ARG(req->query));
    return out->len <= CACHE_KEY_MAX;
}

bool http_final_find(struct http_request *req)
{
    struct slice key;
    struct slice body;
    if (!final_key(req, &key) || !cache_get(req->server->config.cache, &req->arena, key, &body)) {
        return false;
    }
    req->answer = (struct http_answer){
        .status = 200, .body = body, .content_type = "application/json", .is_get = true};
    return true;
}

void http_final_keep(struct http_request *req)
{
    struct slice key;
    if (req->call.final && req->answer.status == 200 && final_key(req, &key)) {
        cache_put(req->server->config.cache, key, req->answer.body, FINAL_USEC);
    }
}
