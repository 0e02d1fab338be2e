/*
 * cors.c: which pages may call the API from a browser (Fetch standard, "CORS protocol"). What a
 * browser asks before a call is answered by OPTIONS of the path, with the methods that it has.
 */
#include "kernel/base/check.h"
#include "kernel/http/http_internal.h"

#define ORIGINS_MAX 64

/* What callers send and what an answer is incomplete without, of ours and of x402 (2 and 1). */
#define REQUEST_HEADERS                                                                            \
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, "                 \
    "PAYMENT-SIGNATURE, Range, X-PAYMENT, X-Request-Id"
#define ANSWER_HEADERS                                                                             \
    "Content-Disposition, ETag, Idempotency-Replayed, Location, PAYMENT-REQUIRED, "                \
    "PAYMENT-RESPONSE, Retry-After, WWW-Authenticate, X-PAYMENT-RESPONSE, X-RateLimit-Limit, "     \
    "X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id"
/* A browser asks again after so long. Units: seconds. */
#define PREFLIGHT_SEC "600"

static bool is_host_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':' ||
           c == '[' || c == ']';
}

/* As a browser writes it (RFC 6454 section 6.2): no path, lower case. */
static bool is_origin(struct slice text)
{
    struct slice host = slice_starts(text, SLICE_LIT("https://"))  ? slice_sub(text, 8, text.len)
                        : slice_starts(text, SLICE_LIT("http://")) ? slice_sub(text, 7, text.len)
                                                                   : SLICE_EMPTY;
    for (size_t i = 0; i < host.len; i++) {
        if (!is_host_char(host.ptr[i])) {
            return false;
        }
    }
    return host.len > 0;
}

enum err http_cors_parse(struct arena *arena, const char *text, struct http_cors *out,
                         struct why *why)
{
    struct slice rest = slice_trim(slice_text(text != NULL ? text : ""));
    struct slice *origins = arena_alloc_array(arena, ORIGINS_MAX, sizeof *origins);
    struct http_cors cors = {.any = slice_equal_text(rest, "*"), .origins = origins};
    while (!cors.any && rest.len > 0) {
        struct slice one;
        (void)slice_cut(rest, ',', &one, &rest);
        one = slice_trim(one);
        if (!is_origin(one)) {
            return why_set(why, ERR_CONFIG, "http.cors_origins",
                           "http.cors_origins: \"%.*s\" is no origin: write "
                           "https://app.example.com, without a path, or * alone for any.",
                           SLICE_ARG(one));
        }
        if (cors.count == ORIGINS_MAX) {
            return why_set(why, ERR_CONFIG, "http.cors_origins",
                           "http.cors_origins takes %d origins.", ORIGINS_MAX);
        }
        origins[cors.count++] = slice_copy(arena, one);
    }
    *out = cors;
    return OK;
}

enum err http_config_check(const struct http_config *config, struct why *why)
{
    struct arena scratch;
    struct http_cors cors;
    arena_init(&scratch, 0);
    enum err e = http_cors_parse(&scratch, config->cors_origins, &cors, why);
    arena_free(&scratch);
    return e ? e : http_exempt_check(config->rate_exempt, why);
}

bool http_cors_allows(const struct http_cors *cors, struct slice origin)
{
    bool allowed = cors->any;
    for (size_t i = 0; i < cors->count; i++) {
        allowed = allowed || slice_equal(cors->origins[i], origin);
    }
    return allowed;
}

static void put(struct http_param *out, size_t *count, const char *name, struct slice value)
{
    ASSERT(*count < HTTP_CORS_HEADERS_MAX);
    out[(*count)++] = (struct http_param){.name = slice_text(name), .value = value};
}

size_t http_cors_headers(struct http_request *req, struct http_param out[HTTP_CORS_HEADERS_MAX])
{
    const struct http_cors *cors = &req->server->cors;
    struct slice origin = http_header(&req->call, "Origin");
    size_t count = 0;
    if (cors->count > 0) {
        put(out, &count, "Vary", SLICE_LIT("Origin"));
    }
    if (origin.len == 0 || !http_cors_allows(cors, origin)) {
        return count;
    }
    put(out, &count, "Access-Control-Allow-Origin", cors->any ? SLICE_LIT("*") : origin);
    if (req->answer.allow == NULL || req->answer.status != 204) {
        put(out, &count, "Access-Control-Expose-Headers", SLICE_LIT(ANSWER_HEADERS));
        return count;
    }
    put(out, &count, "Access-Control-Allow-Methods", slice_text(req->answer.allow));
    put(out, &count, "Access-Control-Allow-Headers", SLICE_LIT(REQUEST_HEADERS));
    put(out, &count, "Access-Control-Max-Age", SLICE_LIT(PREFLIGHT_SEC));
    return count;
}
