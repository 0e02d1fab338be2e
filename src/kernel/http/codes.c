/*
 * codes.c: what a route can be refused with: what its row lists, and what the server itself
 * refuses.
 */
#include "kernel/http/http_internal.h"

enum when {
    ALWAYS,
    STORED,  /* the handler needs the database */
    KNOWN,   /* credentials are looked at */
    GUARDED, /* not everybody may call it, always or with http.auth_required */
    SOLD,    /* a setting may give it a price */
    COUNTED, /* against http.rate_limit */
    WITH_BODY,
    WITH_JSON,
    ONCE, /* takes an Idempotency-Key */
    LISTED,
};

static const struct {
    enum err err;
    enum when when;
} general[] = {
    {ERR_INVALID_REQUEST, ALWAYS},    {ERR_INVALID_ENCODING, ALWAYS},
    {ERR_UNKNOWN_FIELD, ALWAYS}, /* of the query */
    {ERR_INVALID_FIELD, ALWAYS}, /* twice in the query */
    {ERR_REQUEST_TIMEOUT, ALWAYS},    {ERR_BODY_TOO_LARGE, ALWAYS},
    {ERR_HEADERS_TOO_LARGE, ALWAYS},  {ERR_OVERLOADED, ALWAYS},
    {ERR_STOPPING, ALWAYS},           {ERR_UNAUTHENTICATED, KNOWN},
    {ERR_FORBIDDEN, GUARDED},         {ERR_RATE_LIMITED, COUNTED},
    {ERR_DB_UNAVAILABLE, STORED},     {ERR_DB_BUSY, STORED},
    {ERR_DISK_FULL, STORED},          {ERR_UNSUPPORTED_MEDIA, WITH_BODY},
    {ERR_INVALID_JSON, WITH_JSON},    {ERR_INVALID_TYPE, WITH_JSON},
    {ERR_LIMIT, WITH_JSON},           {ERR_MISSING_FIELD, WITH_JSON},
    {ERR_IDEMPOTENCY_MISMATCH, ONCE}, {ERR_IN_PROGRESS, ONCE},
    {ERR_INVALID_AMOUNT, LISTED},     {ERR_PAYMENT_REQUIRED, SOLD},
    {ERR_PAYMENT_REFUSED, SOLD},      {ERR_PAYMENT_PENDING, SOLD},
    {ERR_PAYMENT_USED, SOLD},         {ERR_UPSTREAM, SOLD},
};

bool http_takes_key(const struct http_route *r)
{
    return r->method == HTTP_POST && !(r->flags & HTTP_NO_IDEMPOTENCY);
}

bool http_is_counted(const struct http_route *r)
{
    return !(r->flags & (HTTP_UNLIMITED | HTTP_OPERATOR));
}

static bool is_guarded(const struct http_route *r)
{
    return r->roles != 0 || r->flags & HTTP_OPERATOR;
}

static bool applies(const struct http_route *r, enum when when)
{
    switch (when) {
    case ALWAYS:
        return true;
    case STORED:
        return !(r->flags & HTTP_NO_STORE);
    case KNOWN:
        return !(r->flags & HTTP_NO_STORE) || is_guarded(r);
    case GUARDED:
        return is_guarded(r) || r->auth_roles != 0;
    case SOLD:
        return !(r->flags & (HTTP_NO_STORE | HTTP_OPERATOR | HTTP_DETACHES));
    case COUNTED:
        return http_is_counted(r);
    case WITH_BODY:
        return r->body_schema != NULL || r->flags & HTTP_JSON_BODY;
    case WITH_JSON:
        return (r->flags & HTTP_JSON_BODY) != 0;
    case ONCE:
        return http_takes_key(r);
    case LISTED:
        return (r->flags & HTTP_LIST) != 0;
    }
    return false;
}

void http_codes_collect(const struct http_route *r, bool codes[ERR_COUNT])
{
    for (size_t i = 0; i < sizeof general / sizeof general[0]; i++) {
        codes[general[i].err] = codes[general[i].err] || applies(r, general[i].when);
    }
    for (size_t i = 0; r->errors && r->errors[i] != OK; i++) {
        codes[r->errors[i]] = true;
    }
    for (int e = OK + 1; e < ERR_COUNT; e++) {
        codes[e] = codes[e] || err_http_status((enum err)e) == 500;
    }
}
