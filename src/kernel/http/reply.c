#include "kernel/base/check.h"
#include "kernel/http/http_internal.h"

#define OUT_START 1024
#define DETAIL_PATH_MAX 256

/* ---- success --------------------------------------------------------------------------------- */

void http_reply_begin(struct http_request *req)
{
    buf_init(&req->out_buf, &req->arena, OUT_START);
    if (req->call.route->flags & HTTP_RAW) {
        req->call.raw = &req->out_buf;
        req->call.content_type = "application/json";
        return;
    }
    json_out_init(&req->out, &req->out_buf);
    json_begin_object(&req->out);
    json_key(&req->out, "success");
    json_bool(&req->out, true);
    json_key(&req->out, "data");
    req->call.out = &req->out;
}

static void close_envelope(struct http_request *req)
{
    struct http_call *call = &req->call;
    struct json_out *j = &req->out;
    /* The handler wrote exactly one value after "data". */
    ASSERT(j->depth == 1 && !j->after_key);
    if (call->route->flags & HTTP_LIST) {
        json_key(j, "nextCursor");
        if (call->next_cursor.len > 0) {
            json_string(j, call->next_cursor);
        } else {
            json_null(j);
        }
    }
    if (call->has_count) {
        json_key(j, "count");
        json_u64(j, call->count);
    }
    json_end_object(j);
}

/* What goes into a header line of ours must not be able to start another one. */
static bool is_header_safe(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] <= 0x20 || value.ptr[i] >= 0x7F || value.ptr[i] == '"') {
            return false;
        }
    }
    return true;
}

void http_reply_success(struct http_request *req)
{
    struct http_call *call = &req->call;
    struct http_answer *a = &req->answer;
    bool is_raw = (call->route->flags & HTTP_RAW) != 0;
    bool is_empty = call->status == 204;
    /* A body of the handler's own may tell trouble: health answers 503 with what is wrong. */
    ASSERT(call->status >= 200 && call->status < (is_raw ? 600 : 400));
    ASSERT(is_header_safe(call->etag) && is_header_safe(call->location));
    if (is_raw && call->file.is_open) {
        http_file_answer(req);
        return;
    }
    if (!is_raw && !is_empty) {
        close_envelope(req);
    }
    *a = (struct http_answer){
        .status = call->status,
        .body = is_empty ? SLICE_EMPTY : buf_slice(&req->out_buf),
        .content_type = is_empty ? NULL
                        : is_raw ? call->content_type
                                 : "application/json",
        .location = call->location,
        .is_get = req->method == HTTP_GET,
    };
    if (a->is_get) {
        a->etag = call->etag;
    }
}

/* ---- failure --------------------------------------------------------------------------------- */

static void write_failure(struct buf *out, enum err e, const struct why *why, struct slice details,
                          struct slice members, struct slice request_id)
{
    /* What went wrong inside is for the log: it may quote statements, paths, addresses. */
    bool is_internal = err_http_status(e) == 500;
    bool has_field = !is_internal && why && why->err == e && why->field[0] != '\0';
    struct json_out j;
    json_out_init(&j, out);
    json_begin_object(&j);
    json_key(&j, "success");
    json_bool(&j, false);
    json_key(&j, "error");
    json_text(&j, is_internal || !why || why->err != e ? err_sentence(e) : why_text(why, e));
    json_key(&j, "code");
    json_text(&j, err_code(e));
    if (has_field) {
        json_key(&j, "field");
        json_text(&j, why->field);
    }
    if (details.len > 0) {
        json_key(&j, "details");
        json_raw(&j, details);
    }
    json_key(&j, "requestId");
    json_string(&j, request_id);
    if (members.len > 0) {
        buf_add_byte(out, ',');
        buf_add_slice(out, members);
    }
    json_end_object(&j);
}

/* A path that leads nowhere is told back, so that a misspelt one is seen in a log of the client. */
static struct slice route_details(struct http_request *req)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, &req->arena, 128);
    json_out_init(&j, &b);
    json_begin_object(&j);
    json_key(&j, "method");
    json_string(&j, req->call.method);
    json_key(&j, "path");
    json_string(&j, slice_sub(req->call.path, 0, DETAIL_PATH_MAX));
    json_end_object(&j);
    return buf_slice(&b);
}

void http_reply_error(struct http_request *req, enum err e, const struct why *why)
{
    ASSERT(e != OK);
    struct slice details = SLICE_EMPTY;
    if (e == ERR_ROUTE_NOT_FOUND || e == ERR_METHOD_NOT_ALLOWED) {
        details = route_details(req);
    } else if (req->call.details) {
        ASSERT(req->call.details->depth == 0 && req->call.details_buf_->len > 0);
        details = buf_slice(req->call.details_buf_);
    }
    struct buf b;
    buf_init(&b, &req->arena, OUT_START);
    write_failure(&b, e, why, details, req->call.members, req->call.request_id);
    int status = err_http_status(e);
    req->err = e;
    req->answer = (struct http_answer){
        .status = status,
        .body = buf_slice(&b),
        .content_type = "application/json",
        .retry_after = status == 429 || status == 503 || (status == 409 && err_retryable(e)),
        .is_get = req->method == HTTP_GET,
    };
}

void http_reply_options(struct http_request *req, unsigned methods)
{
    req->answer = (struct http_answer){
        .status = 204,
        .allow = http_allow_text(&req->arena, methods),
    };
}

const char *http_answer_policy(const struct http_answer *answer)
{
    bool is_page = answer->content_type && strncmp(answer->content_type, "text/html", 9) == 0;
    return is_page ? "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"
                   : "default-src 'none'; frame-ancestors 'none'";
}

/* ---- answers past MHD ------------------------------------------------------------------------ */

static const char *status_text(int status)
{
    switch (status) {
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 429:
        return "Too Many Requests";
    case 503:
        return "Service Unavailable";
    default: /* not an enum */
        return "Error";
    }
}

void http_reply_bare(struct buf *out, enum err e, struct slice request_id)
{
    struct buf body;
    buf_init(&body, out->arena, 256);
    write_failure(&body, e, NULL, SLICE_EMPTY, SLICE_EMPTY, request_id);
    int status = err_http_status(e);
    struct http_answer answer = {.status = status, .content_type = "application/json"};
    buf_format(out, "HTTP/1.1 %d %s\r\n", status, status_text(status));
    buf_format(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", answer.content_type, body.len);
    buf_format(out, "Content-Security-Policy: %s\r\n", http_answer_policy(&answer));
    buf_add_text(out, "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
                      "Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\n");
    buf_add_text(out, status == 503 || status == 429 ? "Retry-After: 1\r\n" : "");
    buf_format(out, "X-Request-Id: %.*s\r\nConnection: close\r\n\r\n", SLICE_ARG(request_id));
    buf_add_slice(out, buf_slice(&body));
}

/* ---- for handlers ---------------------------------------------------------------------------- */

void http_cursor_set(struct http_call *call, struct slice position)
{
    call->next_cursor = http_cursor_encode(call->req, position);
}

void http_add_header(struct http_call *call, const char *name, struct slice value)
{
    ASSERT(call->added_count < HTTP_ADDED_MAX && is_header_safe(value));
    call->added[call->added_count++] =
        (struct http_param){.name = slice_text(name), .value = value};
}

struct json_out *http_details(struct http_call *call)
{
    if (!call->details) {
        call->details = arena_alloc(call->req, sizeof *call->details);
        call->details_buf_ = arena_alloc(call->req, sizeof *call->details_buf_);
        buf_init(call->details_buf_, call->req, 128);
        json_out_init(call->details, call->details_buf_);
    }
    return call->details;
}
