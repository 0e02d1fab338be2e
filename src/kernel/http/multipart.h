/*
 * multipart.h: multipart/form-data (RFC 7578; RFC 2046 section 5.1) while it arrives, in pieces of
 * any size, in memory that does not grow. Private to this folder, fuzzed.
 *
 *   PREAMBLE --delimiter--> AFTER --line end--> HEADERS --blank line--> BODY --delimiter--> AFTER
 *                           AFTER --"--"--> EPILOGUE
 *
 * A delimiter is CR LF, two hyphens and the boundary; what is before the first and behind the last
 * one says nothing. Whatever two readers could understand differently is refused: a delimiter with
 * something else behind it, header lines with a bare CR, LF or NUL, folded ones, a header or
 * parameter that comes twice, a transfer encoding that changes bytes.
 *
 * What the sink is told: begin, bytes (never none of them) as often as needed, end; for each part.
 * An error of the sink is the feed's. After an error nothing more may be fed.
 */
#ifndef KERNEL_HTTP_MULTIPART_H
#define KERNEL_HTTP_MULTIPART_H

#include "kernel/base/slice.h"

#define HTTP_BOUNDARY_MAX 70
#define HTTP_PART_HEADERS_MAX 4096

struct http_part {
    struct slice name;
    bool is_file; /* it has a file name, which may be empty */
    struct slice file_name;
    struct slice content_type; /* "" when none was sent */
};

struct http_multipart_sink {
    /* The part and its text are gone when it returns. */
    enum err (*begin)(void *ctx, const struct http_part *part, struct why *why);
    enum err (*bytes)(void *ctx, struct slice bytes, struct why *why);
    enum err (*end)(void *ctx, struct why *why);
};

enum http_multipart_state {
    HTTP_MULTIPART_PREAMBLE,
    HTTP_MULTIPART_AFTER,
    HTTP_MULTIPART_CLOSING, /* one hyphen behind a delimiter */
    HTTP_MULTIPART_PADDING, /* blanks behind a delimiter */
    HTTP_MULTIPART_LINE_END,
    HTTP_MULTIPART_HEADERS,
    HTTP_MULTIPART_BODY,
    HTTP_MULTIPART_EPILOGUE,
};

struct http_multipart {
    const struct http_multipart_sink *sink;
    void *ctx;
    enum http_multipart_state state;
    uint8_t delimiter[4 + HTTP_BOUNDARY_MAX];
    size_t delimiter_len;
    size_t matched; /* bytes of the delimiter that the last ones were */
    uint8_t headers[HTTP_PART_HEADERS_MAX];
    size_t headers_len;
};

/*
 * http_multipart_boundary reads a Content-Type: multipart/form-data with its boundary.
 * Errors: ERR_UNSUPPORTED_MEDIA.
 */
enum err http_multipart_boundary(struct arena *arena, struct slice content_type, struct slice *out,
                                 struct why *why) ERR_CHECKED;
/* http_multipart_init begins; the boundary is one that http_multipart_boundary gave. */
void http_multipart_init(struct http_multipart *m, struct slice boundary,
                         const struct http_multipart_sink *sink, void *ctx);
/* http_multipart_feed takes the next bytes. Errors: ERR_INVALID_ENCODING, the sink's. */
enum err http_multipart_feed(struct http_multipart *m, struct slice bytes,
                             struct why *why) ERR_CHECKED;
/* http_multipart_finish says whether the last delimiter came. Errors: ERR_INVALID_ENCODING. */
enum err http_multipart_finish(const struct http_multipart *m, struct why *why) ERR_CHECKED;

/*
 * http_parameters_next takes the next `; name=value` off a header value, the value as a token or a
 * quoted string; false at the end. Owns: the arena. Errors: ERR_INVALID_ENCODING.
 */
enum err http_parameters_next(struct arena *arena, struct slice *rest, bool *out_more,
                              struct slice *out_name, struct slice *out_value,
                              struct why *why) ERR_CHECKED;

#endif
