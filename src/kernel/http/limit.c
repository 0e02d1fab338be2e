/*
 * limit.c: what a server shares with others through kernel/cache: how much a client asks, and
 * answers that can never change.
 */
#include "kernel/http/http_internal.h"

#define WINDOW_USEC (60 * (int64_t)USEC_PER_SEC)
/* How long a final answer is kept: it stays right, but the memory of Redis ends. */
#define FINAL_USEC (86400 * (int64_t)USEC_PER_SEC)

static bool is_limited(const struct http_request *req)
{
    const struct http_config *config = &req->server->config;
    return config->rate_limit > 0 && config->cache != NULL &&
           (req->call.route->flags & HTTP_UNLIMITED) == 0;
}

static int64_t whole_seconds(int64_t usec)
{
    return (usec + USEC_PER_SEC - 1) / USEC_PER_SEC;
}

enum err http_limit_take(struct http_request *req, struct cache_verdict *out, struct why *why)
{
    if (!is_limited(req)) {
        return OK;
    }
    const struct http_config *config = &req->server->config;
    const struct cache_limit limit = {.uses = config->rate_limit, .window_usec = WINDOW_USEC};
    struct cache_verdict verdict;
    struct buf key;
    buf_init(&key, &req->arena, 32);
    buf_add_text(&key, "http/");
    buf_add(&key, req->conn->client_key, sizeof req->conn->client_key);
    cache_limit_take(config->cache, buf_slice(&key), &limit, &verdict);
    *out = verdict;
    if (verdict.allowed) {
        return OK;
    }
    metric_add(&http_metrics[HTTP_METRIC_REJECTED_RATE], 1);
    return why_set(why, ERR_RATE_LIMITED, NULL,
                   "More than %llu requests in a minute: the next one may come in %lld s.",
                   (unsigned long long)config->rate_limit,
                   (long long)whole_seconds(verdict.retry_usec));
}

void http_limit_tell(struct http_request *req, const struct cache_verdict *verdict)
{
    if (!is_limited(req)) {
        return;
    }
    struct http_answer *a = &req->answer;
    a->limited = true;
    a->limit = req->server->config.rate_limit;
    a->limit_left = verdict->remaining;
    a->limit_reset_sec = whole_seconds(verdict->reset_usec);
    if (!verdict->allowed) {
        a->retry_sec = whole_seconds(verdict->retry_usec);
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
