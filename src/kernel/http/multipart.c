#include "kernel/http/multipart.h"

#include <string.h>

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

static enum err refuse(struct why *why, const char *what)
{
    return why_set(why, ERR_INVALID_ENCODING, NULL, "The body is no multipart/form-data: %s.",
                   what);
}

/* ---- parameters of a header ------------------------------------------------------------------ */

static bool is_token(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void skip_blanks(struct slice *text)
{
    while (text->len > 0 && (text->ptr[0] == ' ' || text->ptr[0] == '\t')) {
        *text = slice_sub(*text, 1, text->len - 1);
    }
}

static struct slice take_token(struct slice *text)
{
    size_t len = 0;
    while (len < text->len && is_token(text->ptr[len])) {
        len++;
    }
    struct slice token = slice_sub(*text, 0, len);
    *text = slice_sub(*text, len, text->len - len);
    return token;
}

/*
 * A backslash escapes a quote and itself only: browsers escape nothing with it, and old ones send
 * whole Windows paths as file names.
 */
static bool take_quoted(struct arena *arena, struct slice *text, struct slice *out)
{
    uint8_t *value = arena_alloc(arena, text->len + 1);
    size_t len = 0;
    size_t i = 1;
    for (; i < text->len && text->ptr[i] != '"'; i++) {
        bool escapes = text->ptr[i] == '\\' && i + 1 < text->len &&
                       (text->ptr[i + 1] == '"' || text->ptr[i + 1] == '\\');
        i += escapes ? 1 : 0;
        value[len++] = text->ptr[i];
    }
    if (i >= text->len) {
        return false;
    }
    *text = slice_sub(*text, i + 1, text->len - i - 1);
    *out = slice_of(value, len);
    return true;
}

enum err http_parameters_next(struct arena *arena, struct slice *rest, bool *out_more,
                              struct slice *out_name, struct slice *out_value, struct why *why)
{
    struct slice text = *rest;
    struct slice value = SLICE_EMPTY;
    skip_blanks(&text);
    if (text.len == 0) {
        *rest = text;
        *out_more = false;
        return OK;
    }
    bool good = text.ptr[0] == ';';
    text = slice_sub(text, 1, text.len - 1);
    skip_blanks(&text);
    struct slice name = take_token(&text);
    good = good && name.len > 0 && text.len > 0 && text.ptr[0] == '=';
    if (good) {
        text = slice_sub(text, 1, text.len - 1);
        if (text.len > 0 && text.ptr[0] == '"') {
            good = take_quoted(arena, &text, &value);
        } else {
            value = take_token(&text);
            good = value.len > 0;
        }
    }
    if (!good) {
        return refuse(why, "a header's parameters cannot be read");
    }
    *rest = text;
    *out_more = true;
    *out_name = name;
    *out_value = value;
    return OK;
}

static bool is_boundary(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c != '\0' && strchr("'()+_,-./:=? ", c) != NULL);
        if (!good) {
            return false;
        }
    }
    return text.len > 0 && text.len <= HTTP_BOUNDARY_MAX && text.ptr[text.len - 1] != ' ';
}

enum err http_multipart_boundary(struct arena *arena, struct slice content_type, struct slice *out,
                                 struct why *why)
{
    static const struct slice wanted = SLICE_LIT("multipart/form-data");
    struct slice boundary = SLICE_EMPTY;
    struct slice name;
    struct slice value;
    bool more = slice_equal_nocase(slice_sub(content_type, 0, wanted.len), wanted);
    bool good = more;
    struct slice rest =
        good ? slice_sub(content_type, wanted.len, content_type.len - wanted.len) : SLICE_EMPTY;
    while (good && more) {
        good = http_parameters_next(arena, &rest, &more, &name, &value, NULL) == OK;
        if (good && more && slice_equal_nocase(name, SLICE_LIT("boundary"))) {
            good = boundary.len == 0;
            boundary = value;
        }
    }
    if (!good || !is_boundary(boundary)) {
        return why_set(why, ERR_UNSUPPORTED_MEDIA, NULL,
                       "The Content-Type must be multipart/form-data with a boundary.");
    }
    *out = boundary;
    return OK;
}

/* ---- the headers of a part ------------------------------------------------------------------- */

struct headers {
    struct slice disposition;
    struct slice content_type;
    struct slice encoding;
};

static enum err keep(struct slice *slot, struct slice value, struct why *why)
{
    if (slot->ptr != NULL) {
        return refuse(why, "a part has a header twice");
    }
    *slot = value;
    return OK;
}

static enum err read_line(struct headers *h, struct slice line, struct why *why)
{
    struct slice name;
    struct slice value;
    bool good = slice_cut(line, ':', &name, &value) && name.len > 0;
    for (size_t i = 0; i < name.len; i++) {
        good = good && is_token(name.ptr[i]);
    }
    for (size_t i = 0; i < line.len; i++) {
        good = good && (line.ptr[i] >= 0x20 || line.ptr[i] == '\t') && line.ptr[i] != 0x7F;
    }
    if (!good) {
        return refuse(why, "a header line of a part cannot be read");
    }
    value = slice_trim(value);
    if (slice_equal_nocase(name, SLICE_LIT("Content-Disposition"))) {
        return keep(&h->disposition, value, why);
    }
    if (slice_equal_nocase(name, SLICE_LIT("Content-Type"))) {
        return keep(&h->content_type, value, why);
    }
    if (slice_equal_nocase(name, SLICE_LIT("Content-Transfer-Encoding"))) {
        return keep(&h->encoding, value, why);
    }
    return OK;
}

static enum err read_disposition(struct arena *arena, struct slice value, struct http_part *out,
                                 struct why *why)
{
    struct slice rest = value;
    bool has_name = false;
    bool more = true;
    if (!slice_equal_nocase(take_token(&rest), SLICE_LIT("form-data"))) {
        return refuse(why, "a part has no Content-Disposition: form-data");
    }
    while (more) {
        struct slice name = SLICE_EMPTY;
        struct slice text = SLICE_EMPTY;
        enum err e = http_parameters_next(arena, &rest, &more, &name, &text, why);
        if (e) {
            return e;
        }
        bool is_name = more && slice_equal_nocase(name, SLICE_LIT("name"));
        bool is_file = more && slice_equal_nocase(name, SLICE_LIT("filename"));
        if ((is_name && has_name) || (is_file && out->is_file)) {
            return refuse(why, "a part has a parameter twice");
        }
        out->name = is_name ? text : out->name;
        out->file_name = is_file ? text : out->file_name;
        has_name = has_name || is_name;
        out->is_file = out->is_file || is_file;
    }
    if (!has_name || !slice_is_utf8(out->name) || !slice_is_utf8(out->file_name)) {
        return refuse(why, "a part has no name in UTF-8");
    }
    return OK;
}

static bool keeps_bytes(struct slice encoding)
{
    return encoding.ptr == NULL || slice_equal_nocase(encoding, SLICE_LIT("binary")) ||
           slice_equal_nocase(encoding, SLICE_LIT("8bit")) ||
           slice_equal_nocase(encoding, SLICE_LIT("7bit"));
}

static enum err begin_part(struct http_multipart *m, struct why *why)
{
    struct arena scratch;
    struct headers h = {.disposition = {.ptr = NULL}};
    struct http_part part = {.is_file = false};
    struct slice rest = slice_of(m->headers, m->headers_len - 2); /* without the blank line */
    enum err e = OK;
    arena_init(&scratch, 0);
    while (e == OK && rest.len > 0) {
        struct slice line;
        (void)slice_cut(rest, '\n', &line, &rest);
        ASSERT(line.len > 0 && line.ptr[line.len - 1] == '\r');
        e = read_line(&h, slice_sub(line, 0, line.len - 1), why);
    }
    if (e == OK && !keeps_bytes(h.encoding)) {
        e = refuse(why, "no Content-Transfer-Encoding is taken");
    }
    e = e ? e : read_disposition(&scratch, h.disposition, &part, why);
    part.content_type = h.content_type;
    e = e ? e : m->sink->begin(m->ctx, &part, why);
    arena_free(&scratch);
    return e;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

void http_multipart_init(struct http_multipart *m, struct slice boundary,
                         const struct http_multipart_sink *sink, void *ctx)
{
    ASSERT(boundary.len > 0 && boundary.len <= HTTP_BOUNDARY_MAX);
    *m = (struct http_multipart){.sink = sink, .ctx = ctx, .state = HTTP_MULTIPART_PREAMBLE};
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.ptr, boundary.len);
    m->delimiter_len = 4 + boundary.len;
    m->matched = 2; /* the first one may stand at the very beginning */
}

static enum err emit(struct http_multipart *m, const uint8_t *ptr, size_t len, struct why *why)
{
    return m->state == HTTP_MULTIPART_BODY && len > 0
               ? m->sink->bytes(m->ctx, slice_of(ptr, len), why)
               : OK;
}

/*
 * Passes on what is no delimiter. CR stands only at the beginning of one, so that a match that
 * breaks off can begin again at the byte that broke it and nowhere else.
 */
static enum err scan(struct http_multipart *m, struct slice in, size_t *at, struct why *why)
{
    size_t carried = m->matched; /* bytes of the match that came in an earlier piece */
    size_t from = *at;
    size_t i = *at;
    enum err e = OK;
    while (e == OK && i < in.len && m->matched < m->delimiter_len) {
        if (in.ptr[i] == m->delimiter[m->matched]) {
            m->matched++;
            i++;
        } else if (m->matched > 0) {
            e = emit(m, m->delimiter, carried, why);
            carried = 0;
            m->matched = 0;
        } else {
            const uint8_t *next = memchr(in.ptr + i, '\r', in.len - i);
            i = next ? (size_t)(next - in.ptr) : in.len;
        }
    }
    e = e ? e : emit(m, in.ptr + from, i - (m->matched - carried) - from, why);
    *at = i;
    if (e == OK && m->matched == m->delimiter_len) {
        e = m->state == HTTP_MULTIPART_BODY ? m->sink->end(m->ctx, why) : OK;
        m->state = HTTP_MULTIPART_AFTER;
        m->matched = 0;
    }
    return e;
}

/* Blanks, then the end of the line; or two hyphens at once. */
static enum err after_delimiter(struct http_multipart *m, uint8_t c, struct why *why)
{
    bool at_once = m->state == HTTP_MULTIPART_AFTER;
    bool blank = c == ' ' || c == '\t';
    if ((at_once || m->state == HTTP_MULTIPART_PADDING) && (blank || c == '\r')) {
        m->state = blank ? HTTP_MULTIPART_PADDING : HTTP_MULTIPART_LINE_END;
        return OK;
    }
    if (at_once && c == '-') {
        m->state = HTTP_MULTIPART_CLOSING;
        return OK;
    }
    if (m->state == HTTP_MULTIPART_CLOSING && c == '-') {
        m->state = HTTP_MULTIPART_EPILOGUE;
        return OK;
    }
    if (m->state == HTTP_MULTIPART_LINE_END && c == '\n') {
        m->state = HTTP_MULTIPART_HEADERS;
        m->headers_len = 0;
        return OK;
    }
    return refuse(why, "something stands behind a boundary");
}

static enum err header_byte(struct http_multipart *m, uint8_t c, struct why *why)
{
    bool after_cr = m->headers_len > 0 && m->headers[m->headers_len - 1] == '\r';
    if (c == '\0' || after_cr != (c == '\n')) {
        return refuse(why, "the headers of a part have a bare CR, LF or NUL");
    }
    if (m->headers_len == HTTP_PART_HEADERS_MAX) {
        return refuse(why, "the headers of a part are too long");
    }
    m->headers[m->headers_len++] = c;
    size_t len = m->headers_len;
    bool blank_line = c == '\n' && (len == 2 || (len >= 4 && m->headers[len - 3] == '\n'));
    if (!blank_line) {
        return OK;
    }
    m->state = HTTP_MULTIPART_BODY;
    return begin_part(m, why);
}

enum err http_multipart_feed(struct http_multipart *m, struct slice bytes, struct why *why)
{
    enum err e = OK;
    size_t at = 0;
    while (e == OK && at < bytes.len) {
        switch (m->state) {
        case HTTP_MULTIPART_PREAMBLE:
        case HTTP_MULTIPART_BODY:
            e = scan(m, bytes, &at, why);
            break;
        case HTTP_MULTIPART_AFTER:
        case HTTP_MULTIPART_CLOSING:
        case HTTP_MULTIPART_PADDING:
        case HTTP_MULTIPART_LINE_END:
            e = after_delimiter(m, bytes.ptr[at++], why);
            break;
        case HTTP_MULTIPART_HEADERS:
            e = header_byte(m, bytes.ptr[at++], why);
            break;
        case HTTP_MULTIPART_EPILOGUE:
            at = bytes.len;
            break;
        }
    }
    return e;
}

enum err http_multipart_finish(const struct http_multipart *m, struct why *why)
{
    return m->state == HTTP_MULTIPART_EPILOGUE ? OK : refuse(why, "its last boundary is missing");
}
