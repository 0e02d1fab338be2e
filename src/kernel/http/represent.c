/*
 * represent.c: the form in which the answer to a GET goes out: its validator, 304 when the client
 * has it already, gzip.
 */
#include <zlib.h>

#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/crypto/hash.h"
#include "kernel/http/http_internal.h"

#define GZIP_BYTES_MIN 1024
#define GZIP_LEVEL 5
#define GZIP_MEMORY 8
#define GZIP_WINDOW (15 + 16) /* the 16 is zlib's word for gzip */
/* As much of the hash as makes two bodies under one validator a matter of malice and luck. */
#define ETAG_BYTES 16
#define GZIP_TAG "-gzip"

static struct slice tag_of(struct arena *arena, struct slice body)
{
    struct hash hash = sha256(body);
    char *text = arena_alloc(arena, 2 * HASH_BYTES + 3);
    hex_encode_to(hash_slice(&hash), text);
    return slice_of(text + 2, (size_t)2 * ETAG_BYTES); /* without 0x */
}

/* Compresses into the arena; false when nothing is won, or zlib has no memory. */
static bool compress_body(struct arena *arena, struct slice body, struct slice *out)
{
    z_stream z = {.next_in = NULL};
    if (body.len > UINT32_MAX || deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                                              Z_DEFAULT_STRATEGY) != Z_OK) {
        return false;
    }
    /* zlib only reads what it takes without const. */
    union {
        const uint8_t *ours;
        Bytef *theirs;
    } in = {.ours = body.ptr};
    uint8_t *bytes = arena_alloc(arena, body.len);
    z.next_in = in.theirs;
    z.avail_in = (uInt)body.len;
    z.next_out = bytes;
    z.avail_out = (uInt)body.len;
    bool smaller = deflate(&z, Z_FINISH) == Z_STREAM_END;
    *out = slice_of(bytes, (size_t)z.total_out);
    (void)deflateEnd(&z);
    return smaller;
}

/* The same content under either validator: both forms of it fit what the client has. */
static bool has_already(struct http_request *req, struct slice etag)
{
    struct slice condition = http_header(&req->call, "If-None-Match");
    struct slice gzipped = slice_format(&req->arena, "%.*s" GZIP_TAG, SLICE_ARG(etag));
    return condition.len > 0 &&
           (http_etag_matches(condition, etag) || http_etag_matches(condition, gzipped));
}

void http_represent(struct http_request *req)
{
    struct http_answer *a = &req->answer;
    bool raw = (req->call.route->flags & HTTP_RAW) != 0;
    if (!a->is_get || a->status != 200 || a->has_file || a->body.len == 0) {
        return;
    }
    if (a->etag.len == 0 && !raw) {
        a->etag = tag_of(&req->arena, a->body);
    }
    a->varies = req->server->config.gzip && a->body.len >= GZIP_BYTES_MIN;
    struct slice small;
    bool gzip = a->varies && http_accepts_gzip(http_header(&req->call, "Accept-Encoding"));
    struct slice etag = a->etag;
    if (gzip && etag.len > 0) {
        a->etag = slice_format(&req->arena, "%.*s" GZIP_TAG, SLICE_ARG(etag));
    }
    if (etag.len > 0 && has_already(req, etag)) {
        a->status = 304;
        a->body = SLICE_EMPTY;
        a->content_type = NULL;
    } else if (gzip && compress_body(&req->arena, a->body, &small)) {
        a->body = small;
        a->gzipped = true;
    } else {
        a->etag = etag;
    }
}
