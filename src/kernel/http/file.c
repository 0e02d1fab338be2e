/*
 * file.c: answers that are a file: whole, a range of it (RFC 9110 section 14), or the news that the
 * client has it already.
 */
#include "kernel/http/file.h"

#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/http/http_internal.h"

/* ---- the name -------------------------------------------------------------------------------- */

/* What stands in a quoted string and in a file name of every system as it is. */
static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7F && strchr("\"\\/:*?<>|%", c) == NULL;
}

/* attr-char of RFC 8187. */
static bool is_attr(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$&+-.^_`|~", c) != NULL);
}

struct slice http_disposition(struct arena *arena, struct slice name)
{
    struct buf b;
    bool same = true;
    buf_init(&b, arena, 128);
    buf_add_text(&b, "attachment; filename=\"");
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool follows = (c & 0xC0) == 0x80; /* one blank for each character, not for each byte */
        same = same && is_plain(c);
        if (is_plain(c) || !follows) {
            buf_add_byte(&b, is_plain(c) ? c : '_');
        }
    }
    buf_add_text(&b, "\"");
    if (same) {
        return buf_slice(&b);
    }
    buf_add_text(&b, "; filename*=UTF-8''");
    for (size_t i = 0; i < name.len; i++) {
        if (is_attr(name.ptr[i])) {
            buf_add_byte(&b, name.ptr[i]);
        } else {
            buf_format(&b, "%%%02X", name.ptr[i]);
        }
    }
    return buf_slice(&b);
}

/* ---- ranges ---------------------------------------------------------------------------------- */

enum http_range_verdict http_range_read(struct slice header, uint64_t size, uint64_t *out_from,
                                        uint64_t *out_len)
{
    static const struct slice unit = SLICE_LIT("bytes=");
    struct slice first;
    struct slice last;
    uint64_t from = 0;
    uint64_t to = size;
    if (!slice_equal_nocase(slice_sub(header, 0, unit.len), unit)) {
        return HTTP_RANGE_WHOLE;
    }
    struct slice spec = slice_trim(slice_sub(header, unit.len, header.len - unit.len));
    if (!slice_cut(spec, '-', &first, &last)) {
        return HTTP_RANGE_WHOLE;
    }
    bool has_first = first.len > 0;
    bool has_last = last.len > 0;
    if ((!has_first && !has_last) || (has_first && slice_parse_u64(first, &from) != OK) ||
        (has_last && slice_parse_u64(last, &to) != OK) || (has_first && has_last && to < from)) {
        return HTTP_RANGE_WHOLE; /* several, or none that can be read: to be ignored */
    }
    if (!has_first) { /* the last so many */
        if (to == 0 || size == 0) {
            return HTTP_RANGE_NONE;
        }
        *out_len = to < size ? to : size;
        *out_from = size - *out_len;
        return HTTP_RANGE_PART;
    }
    if (from >= size) {
        return HTTP_RANGE_NONE;
    }
    *out_from = from;
    *out_len = has_last && to < size - 1 ? to - from + 1 : size - from;
    return HTTP_RANGE_PART;
}

/* A part is of use to a client only when it is of the file that he has the other parts of. */
static struct slice range_of(const struct http_request *req, struct slice etag)
{
    struct slice condition = http_header(&req->call, "If-Range");
    struct slice range = http_header(&req->call, "Range");
    struct slice quoted = slice_format(req->call.req, "\"%.*s\"", SLICE_ARG(etag));
    bool is_get = slice_equal_text(req->call.method, "GET");
    return is_get && (condition.len == 0 || slice_equal(condition, quoted)) ? range : SLICE_EMPTY;
}

/* ---- the answer ------------------------------------------------------------------------------ */

void http_file_answer(struct http_request *req)
{
    struct http_call *call = &req->call;
    struct http_answer *a = &req->answer;
    const struct http_file *file = &call->file;
    ASSERT(req->method == HTTP_GET && file->etag.len > 0);
    *a = (struct http_answer){
        .status = 200,
        .is_get = true,
        .etag = file->etag,
        .has_file = true,
        .file_len = file->size,
        .content_type = file->content_type,
        .disposition = http_disposition(&req->arena, file->name),
    };
    struct slice condition = http_header(call, "If-None-Match");
    if (condition.len > 0 && http_etag_matches(condition, file->etag)) {
        a->status = 304;
        a->has_file = false;
        a->content_type = NULL;
        a->disposition = SLICE_EMPTY;
        return;
    }
    unsigned long long size = file->size;
    switch (http_range_read(range_of(req, file->etag), file->size, &a->file_from, &a->file_len)) {
    case HTTP_RANGE_WHOLE:
        break;
    case HTTP_RANGE_PART:
        a->status = 206;
        a->content_range =
            slice_format(&req->arena, "bytes %llu-%llu/%llu", (unsigned long long)a->file_from,
                         (unsigned long long)(a->file_from + a->file_len - 1), size);
        break;
    case HTTP_RANGE_NONE:
        http_reply_error(req, ERR_RANGE, NULL);
        a->content_range = slice_format(&req->arena, "bytes */%llu", size);
        break;
    }
}

void http_file_close(struct http_request *req)
{
    if (req->call.file.is_open) {
        (void)close(req->call.file.fd);
        req->call.file.is_open = false;
    }
}
