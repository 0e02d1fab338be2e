/*
 * request.h: pure decoding of what a client sent: no I/O, no clock, no state. Private to this
 * folder, fuzzed as a whole. All text is borrowed from what was given, or lives in the arena.
 */
#ifndef KERNEL_HTTP_REQUEST_H
#define KERNEL_HTTP_REQUEST_H

#include "kernel/http/http.h"

#define HTTP_SEGMENTS_MAX 16
#define HTTP_HEADERS_MAX 100
#define HTTP_QUERY_MAX 32
#define HTTP_ID_MAX 65
#define HTTP_KEY_MAX 255

struct http_segments {
    struct slice at[HTTP_SEGMENTS_MAX];
    size_t count;
    bool too_many; /* more than any route has */
};

struct http_framing {
    bool chunked;
    bool has_length;
    uint64_t length;
    bool expects_continue;
};

/*
 * http_percent_decode decodes %XX once; '+' is a blank when `plus`. The result is UTF-8 without
 * control characters. Errors: ERR_INVALID_ENCODING.
 */
enum err http_percent_decode(struct arena *req, struct slice text, bool plus, struct slice *out,
                             struct why *why) ERR_CHECKED;
/*
 * http_target_split takes a request target (origin or absolute form, "*") apart.
 * Errors: ERR_INVALID_REQUEST.
 */
enum err http_target_split(struct slice target, struct slice *out_path, struct slice *out_query,
                           struct why *why) ERR_CHECKED;
/* http_path_decode cuts a path into decoded segments. Errors: ERR_INVALID_ENCODING (also dots). */
enum err http_path_decode(struct arena *req, struct slice path, struct http_segments *out,
                          struct why *why) ERR_CHECKED;
/*
 * http_query_decode reads the query and refuses what the route does not take.
 * Errors: ERR_UNKNOWN_FIELD, ERR_INVALID_FIELD (repeated), ERR_INVALID_ENCODING.
 */
enum err http_query_decode(struct arena *req, struct slice query, const struct http_route *route,
                           const struct http_param **out, size_t *out_count,
                           struct why *why) ERR_CHECKED;
/*
 * http_headers_check refuses header sets that two readers could understand differently, and says
 * how the body is framed. Errors: ERR_INVALID_REQUEST, ERR_HEADERS_TOO_LARGE.
 */
enum err http_headers_check(const struct http_param *headers, size_t count, bool http11,
                            struct http_framing *out, struct why *why) ERR_CHECKED;
/* http_headers_find returns the value of a header and whether it is there. */
bool http_headers_find(const struct http_param *headers, size_t count, const char *name,
                       struct slice *out);
/* http_media_is_json says whether a Content-Type is application/json (in UTF-8). */
bool http_media_is_json(struct slice content_type);
/* http_etag_matches says whether an If-None-Match list holds the strong validator `etag`. */
bool http_etag_matches(struct slice if_none_match, struct slice etag);
/*
 * http_accepts_gzip says whether an Accept-Encoding lets gzip be sent: named (also as x-gzip) or
 * meant by "*", with a weight that is not 0. What cannot be read does not.
 */
bool http_accepts_gzip(struct slice accept_encoding);
/* http_id_is_valid says whether text may serve as a request id. */
bool http_id_is_valid(struct slice id);
/* http_key_is_valid says whether text may serve as an idempotency key. */
bool http_key_is_valid(struct slice key);
/* http_cursor_encode writes bytes as unpadded base64url (RFC 4648 section 5). */
struct slice http_cursor_encode(struct arena *req, struct slice bytes);
/* http_cursor_decode reads it back, one spelling only. Errors: ERR_INVALID_FIELD. */
enum err http_cursor_decode(struct arena *req, struct slice text, struct slice *out,
                            struct why *why) ERR_CHECKED;

#endif
