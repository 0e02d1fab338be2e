#include <microhttpd.h>

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/http/http_internal.h"

/* What MHD may use of a connection's buffer for its own records, beside our limit on headers. */
#define POOL_EXTRA 8192
/* A body this small is read before it is refused, so that the connection can go on. */
#define DRAIN_BYTES_MAX 65536
/* Answers must be taken, and uploads must come, at this rate or faster. */
#define LINE_BYTES_PER_SEC 16384
#define BODY_START 4096
#define VERSION_LEN 8 /* "HTTP/1.1" */

/* ---- the header block ------------------------------------------------------------------------ */

/*
 * MHD 0.9.75 joins folded header lines wrongly and takes a bare LF, or a NUL inside of a line, for
 * something; a proxy before us might take it for something else. It parses in place, so how the
 * strings lie in memory shows what stood between them: name, colon, blanks, value, CR LF, next
 * name, without a byte unaccounted for.
 */
#define LAYOUT_IS_KNOWN (MHD_VERSION <= 0x00097500)

struct collect {
    struct http_param *headers;
    size_t count;
    const char *at; /* where the next line must start */
    bool is_plain;
};

static bool line_is_plain(const char *at, const char *name, size_t name_len, const char *value,
                          size_t value_len)
{
    if (name != at || name[name_len] != '\0') {
        return false;
    }
    const char *c = name + name_len + 1;
    while (*c == ' ' || *c == '\t') {
        c++;
    }
    return value == c && value[value_len] == '\0' && value[value_len + 1] == '\0';
}

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                      size_t name_len, const char *value, size_t value_len)
{
    struct collect *c = cls;
    (void)kind;
    if (c->count > HTTP_HEADERS_MAX) {
        return MHD_NO;
    }
    c->is_plain = c->is_plain && value && line_is_plain(c->at, name, name_len, value, value_len);
    c->at = value ? value + value_len + 2 : c->at;
    c->headers[c->count++] = (struct http_param){
        .name = slice_of(name, name_len),
        .value = slice_trim(slice_of(value, value ? value_len : 0)),
    };
    return MHD_YES;
}

static size_t header_block_size(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

/* The request line: one blank between method, target and version, and nothing else. */
static bool request_line_is_plain(const struct http_request *req, const char *method,
                                  const char *version)
{
    return req->target_ptr == method + req->call.method.len + 1 &&
           version == req->target_ptr + req->target.len + 1 && strlen(version) == VERSION_LEN &&
           version[VERSION_LEN + 1] == '\0';
}

static enum err read_headers(struct http_request *req, const char *method, const char *version,
                             struct why *why)
{
    struct http_param *headers =
        arena_alloc_array(&req->arena, HTTP_HEADERS_MAX + 1, sizeof *headers);
    size_t size = header_block_size(req->mhd);
    bool is_plain = request_line_is_plain(req, method, version);
    struct collect c = {
        .headers = headers,
        .at = is_plain ? version + VERSION_LEN + 2 : version,
        .is_plain = is_plain,
    };
    (void)MHD_get_connection_values_n(req->mhd, MHD_HEADER_KIND, collect_header, &c);
    req->call.headers = headers;
    req->call.header_count = c.count;
    if (size > req->server->config.header_bytes_max || c.count > HTTP_HEADERS_MAX) {
        return why_set(why, ERR_HEADERS_TOO_LARGE, NULL,
                       "Request line and headers may have %llu bytes and %d headers.",
                       (unsigned long long)req->server->config.header_bytes_max, HTTP_HEADERS_MAX);
    }
    if (LAYOUT_IS_KNOWN && (!c.is_plain || c.at + 2 != method + size)) {
        return why_set(why, ERR_INVALID_REQUEST, NULL,
                       "Header lines must end in CR LF, without folding and without NUL.");
    }
    bool http11 = strcmp(version, "HTTP/1.0") != 0;
    return http_headers_check(headers, c.count, http11, &req->framing, why);
}

static void choose_id(struct http_request *req)
{
    struct slice sent = http_header(&req->call, "X-Request-Id");
    if (http_id_is_valid(sent)) {
        memcpy(req->id, sent.ptr, sent.len);
        req->id[sent.len] = '\0';
    } else {
        rand_id("req", req->id);
    }
    req->call.request_id = slice_text(req->id);
}

/* ---- accepting a request --------------------------------------------------------------------- */

static enum err find_route(struct http_request *req, const struct http_segments *path,
                           unsigned *out_methods, struct why *why)
{
    struct http_match match;
    http_router_match(req->server->router, req->method, path, &match);
    *out_methods = match.methods;
    if (match.methods == 0) {
        return why_set(why, ERR_ROUTE_NOT_FOUND, NULL, "%s", err_sentence(ERR_ROUTE_NOT_FOUND));
    }
    if (!match.route) {
        return why_set(why, ERR_METHOD_NOT_ALLOWED, NULL, "%s",
                       err_sentence(ERR_METHOD_NOT_ALLOWED));
    }
    req->call.route = match.route;
    req->call.ctx = match.ctx;
    req->call.param_count = match.param_count;
    memcpy(req->call.params, match.params, sizeof match.params);
    req->call.status = match.route->reply_status ? match.route->reply_status : 200;
    return OK;
}

static bool is_upload(const struct http_request *req)
{
    return req->call.route && (req->call.route->flags & HTTP_UPLOAD);
}

static enum err check_body(struct http_request *req, struct why *why)
{
    const struct http_route *route = req->call.route;
    req->body_max =
        route->body_bytes_max ? route->body_bytes_max : (size_t)req->server->config.body_bytes_max;
    req->body_max += is_upload(req) ? HTTP_UPLOAD_EXTRA_BYTES : 0;
    if (req->framing.length > req->body_max) {
        req->answer.close = true;
        return why_set(why, ERR_BODY_TOO_LARGE, NULL, "The body may have %zu bytes here.",
                       req->body_max);
    }
    if (http_header(&req->call, "Content-Encoding").len > 0) {
        return why_set(why, ERR_UNSUPPORTED_MEDIA, NULL, "No Content-Encoding is taken.");
    }
    if ((route->flags & HTTP_JSON_BODY) &&
        !http_media_is_json(http_header(&req->call, "Content-Type"))) {
        return why_set(why, ERR_UNSUPPORTED_MEDIA, NULL,
                       "The Content-Type must be application/json in UTF-8.");
    }
    return OK;
}

static enum err check_key(struct http_request *req, struct why *why)
{
    struct slice key;
    if (!http_headers_find(req->call.headers, req->call.header_count, "Idempotency-Key", &key)) {
        return OK;
    }
    if (!http_key_is_valid(key)) {
        return why_set(why, ERR_INVALID_FIELD, "Idempotency-Key",
                       "Idempotency-Key must have 1 to %d visible ASCII characters.", HTTP_KEY_MAX);
    }
    req->call.idempotency_key = key;
    return OK;
}

/* Everything that can be said before the body. Sets the answer itself for OPTIONS. */
static enum err accept_head(struct http_request *req, const char *method, const char *version,
                            struct why *why)
{
    struct http_segments path;
    unsigned methods = 0;
    req->call.method = slice_text(method);
    req->method = http_method_parse(req->call.method);
    enum err e = read_headers(req, method, version, why);
    choose_id(req);
    req->call.target = req->target;
    e = e ? e : http_target_split(req->target, &req->call.path, &req->query, why);
    if (e) { /* what comes next on this connection cannot be trusted to be a request */
        req->answer.close = true;
        return e;
    }
    if (atomic_load(&req->server->mode) == HTTP_DRAINING) {
        req->answer.close = true;
        return why_set(why, ERR_STOPPING, NULL, "%s", err_sentence(ERR_STOPPING));
    }
    bool is_options = slice_equal_text(req->call.method, "OPTIONS");
    if (is_options && slice_equal_text(req->call.path, "*")) {
        http_reply_options(req, (1U << HTTP_METHODS) - 1);
        return OK;
    }
    e = http_path_decode(&req->arena, req->call.path, &path, why);
    e = e ? e : find_route(req, &path, &methods, why);
    if (e == ERR_METHOD_NOT_ALLOWED && is_options) {
        http_reply_options(req, methods);
        return OK;
    }
    if (e == ERR_METHOD_NOT_ALLOWED) {
        req->answer.allow = http_allow_text(&req->arena, methods);
    }
    e = e ? e : check_body(req, why);
    return e ? e : check_key(req, why);
}

/* ---- answering ------------------------------------------------------------------------------- */

static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool add_number(struct arena *arena, struct MHD_Response *response, const char *name,
                       uint64_t value)
{
    struct slice text = slice_format(arena, "%llu", (unsigned long long)value);
    return add_header(response, name, slice_cstr(arena, text));
}

static bool add_limit(struct arena *arena, struct MHD_Response *response,
                      const struct http_answer *a)
{
    return add_number(arena, response, "X-RateLimit-Limit", a->limit) &&
           add_number(arena, response, "X-RateLimit-Remaining", a->limit_left) &&
           add_number(arena, response, "X-RateLimit-Reset", (uint64_t)a->limit_reset_sec);
}

static bool add_optional(struct http_request *req, struct MHD_Response *response)
{
    const struct http_answer *a = &req->answer;
    struct arena *arena = &req->arena;
    bool good = true;
    if (a->content_type) {
        good = good && add_header(response, "Content-Type", a->content_type);
    }
    if (a->allow) {
        good = good && add_header(response, "Allow", a->allow);
    }
    if (a->location.len > 0) {
        good = good && add_header(response, "Location", slice_cstr(arena, a->location));
    }
    if (a->etag.len > 0) {
        struct slice quoted = slice_format(arena, "\"%.*s\"", SLICE_ARG(a->etag));
        good = good && add_header(response, "ETag", slice_cstr(arena, quoted));
    }
    if (a->disposition.len > 0) {
        good = good && add_header(response, "Accept-Ranges", "bytes") &&
               add_header(response, "Content-Disposition", slice_cstr(arena, a->disposition));
    }
    if (a->content_range.len > 0) {
        good = good && add_header(response, "Content-Range", slice_cstr(arena, a->content_range));
    }
    if (a->retry_after) {
        struct slice sec =
            slice_format(arena, "%lld", (long long)(a->retry_sec > 0 ? a->retry_sec : 1));
        good = good && add_header(response, "Retry-After", slice_cstr(arena, sec));
    }
    if (a->limited) {
        good = good && add_limit(arena, response, a);
    }
    if (a->replayed) {
        good = good && add_header(response, "Idempotency-Replayed", "true");
    }
    if (a->status == 401) {
        good = good && add_header(response, "WWW-Authenticate", "Bearer");
    }
    if (a->status == 426) {
        good = good && add_header(response, "Upgrade", "websocket") &&
               add_header(response, "Sec-WebSocket-Version", "13");
    }
    if (a->gzipped) {
        good = good && add_header(response, "Content-Encoding", "gzip");
    }
    if (a->varies) {
        good = good && add_header(response, "Vary", "Accept-Encoding");
    }
    if (a->close) {
        good = good && add_header(response, "Connection", "close");
    }
    return good;
}

static bool add_cors(struct http_request *req, struct MHD_Response *response)
{
    struct http_param headers[HTTP_CORS_HEADERS_MAX];
    size_t count = http_cors_headers(req, headers);
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        good = good && add_header(response, slice_cstr(&req->arena, headers[i].name),
                                  slice_cstr(&req->arena, headers[i].value));
    }
    return good;
}

static bool add_added(struct http_request *req, struct MHD_Response *response)
{
    const struct http_call *call = &req->call;
    bool good = true;
    for (size_t i = 0; i < call->added_count; i++) {
        good = good && add_header(response, slice_cstr(&req->arena, call->added[i].name),
                                  slice_cstr(&req->arena, call->added[i].value));
    }
    return good;
}

static const char *cache_control(const struct http_answer *a)
{
    return a->is_private ? "private, no-store" : a->is_get ? "no-cache" : "no-store";
}

static bool add_headers(struct http_request *req, struct MHD_Response *response)
{
    const struct http_answer *a = &req->answer;
    return add_header(response, "X-Request-Id", req->id) &&
           add_header(response, "X-Content-Type-Options", "nosniff") &&
           add_header(response, "X-Frame-Options", "DENY") &&
           add_header(response, "Referrer-Policy", "no-referrer") &&
           add_header(response, "Content-Security-Policy", http_answer_policy(a)) &&
           add_header(response, "Cache-Control", cache_control(a)) && add_cors(req, response) &&
           add_optional(req, response) && add_added(req, response);
}

static uint64_t answer_len(const struct http_answer *a)
{
    return a->has_file ? a->file_len : a->body.len;
}

/* What has gone over a line that is as slow as one may be took this long. */
static int64_t line_usec(uint64_t bytes)
{
    return (int64_t)(bytes / LINE_BYTES_PER_SEC) * USEC_PER_SEC;
}

/* A client that does not read must not hold its connection for ever; a slow line may be slow. */
static int64_t send_deadline(const struct http_request *req)
{
    int64_t slack = line_usec(answer_len(&req->answer));
    return clock_mono_usec() + req->server->config.request_usec + slack;
}

static struct MHD_Response *response_of(struct http_request *req)
{
    const struct http_answer *a = &req->answer;
    struct http_file *file = &req->call.file;
    if (a->has_file) {
        struct MHD_Response *response =
            MHD_create_response_from_fd_at_offset64(a->file_len, file->fd, a->file_from);
        file->is_open = file->is_open && !response; /* MHD closes it */
        return response;
    }
    /* MHD only reads what it takes without const. */
    union {
        const void *ours;
        void *theirs;
    } body = {.ours = a->body.ptr};
    return MHD_create_response_from_buffer(a->body.len, body.theirs, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result send_answer(struct http_request *req)
{
    struct http_answer *a = &req->answer;
    if (atomic_load(&req->server->mode) == HTTP_DRAINING) {
        a->close = true;
    }
    if (!http_conn_enter(req->conn, HTTP_PHASE_SENDING, send_deadline(req))) {
        return MHD_NO;
    }
    struct MHD_Response *response = response_of(req);
    if (!response) {
        return MHD_NO;
    }
    enum MHD_Result result = MHD_NO;
    if (add_headers(req, response)) {
        req->state = HTTP_SENT;
        result = MHD_queue_response(req->mhd, (unsigned)a->status, response);
    }
    MHD_destroy_response(response);
    return result;
}

/*
 * Answers before the body was read. Many clients do not look for an answer while they send: a body
 * that is not too long, and that of an upload, is read and dropped first.
 */
static enum MHD_Result answer_early(struct http_request *req)
{
    const struct http_framing *f = &req->framing;
    bool has_body = f->chunked || f->length > 0;
    bool is_small = !f->chunked && f->length <= DRAIN_BYTES_MAX;
    bool drains = (is_small || is_upload(req)) && !f->expects_continue;
    if (has_body && drains && !req->answer.close) {
        req->state = HTTP_DRAIN;
        return MHD_YES;
    }
    req->answer.close = req->answer.close || has_body;
    return send_answer(req);
}

/* A worker has seen the head of an upload: it is answered, or its body may come. */
static enum MHD_Result on_admitted(struct http_request *req)
{
    int64_t now = clock_mono_usec(); /* the time of the worker is not the client's */
    if (!http_conn_enter(req->conn, HTTP_PHASE_BODY, now + req->server->config.request_usec)) {
        return MHD_NO;
    }
    if (req->answer.status) {
        return answer_early(req);
    }
    req->body_usec = now;
    req->state = HTTP_BODY;
    return MHD_YES;
}

/* Suspends the connection until a worker has come to the next state. */
static enum MHD_Result ask_worker(struct http_request *req, enum http_state state)
{
    if (!http_conn_enter(req->conn, HTTP_PHASE_RUNNING, 0)) {
        return MHD_NO;
    }
    if (!http_workers_reserve(req->server)) {
        metric_add(&http_metrics[HTTP_METRIC_REJECTED_QUEUE], 1);
        http_reply_error(req, ERR_OVERLOADED, NULL);
        return state == HTTP_AT_HEAD ? on_admitted(req) : send_answer(req);
    }
    req->state = state;
    MHD_suspend_connection(req->mhd);
    http_workers_push(req);
    return MHD_YES;
}

static enum MHD_Result on_head(struct http_request *req, const char *method, const char *version)
{
    struct why why = {.err = OK};
    int64_t deadline = req->begun_usec + req->server->config.request_usec;
    if (!http_conn_enter(req->conn, HTTP_PHASE_BODY, deadline)) {
        return MHD_NO;
    }
    enum err e = accept_head(req, method, version, &why);
    if (e) {
        bool close = req->answer.close;
        const char *allow = req->answer.allow;
        http_reply_error(req, e, &why);
        req->answer.close = close;
        req->answer.allow = allow;
    }
    if (req->answer.status) {
        return answer_early(req);
    }
    if (is_upload(req)) {
        return ask_worker(req, HTTP_AT_HEAD);
    }
    if (req->framing.chunked || req->framing.length > 0) {
        /* Memory follows what arrives, not what is announced. */
        buf_init(&req->body, &req->arena, BODY_START);
    }
    req->state = HTTP_BODY;
    return MHD_YES;
}

/* MHD takes no answer in the middle of a body. */
static enum MHD_Result refuse_body(struct http_request *req)
{
    req->err = ERR_BODY_TOO_LARGE;
    req->answer.status = err_http_status(ERR_BODY_TOO_LARGE);
    http_conn_refuse(req->conn, &req->arena, ERR_BODY_TOO_LARGE, req->call.request_id);
    return MHD_NO;
}

/* The rest of an upload need not be kept. */
static void refuse_upload(struct http_request *req, enum err e, const struct why *why)
{
    http_upload_close(req);
    http_reply_error(req, e, why);
    http_limit_tell(req, &req->limited);
    if (req->answer.status >= 500) {
        LOG(LOG_ERROR, "http.upload_failed", log_slice("req", req->call.request_id), log_err(e),
            log_why(why, e));
    }
}

static enum MHD_Result on_upload(struct http_request *req, struct slice bytes)
{
    struct why why = {.err = OK};
    if (bytes.len > req->body_max - req->body_seen) {
        return refuse_body(req);
    }
    req->body_seen += bytes.len;
    if (req->state == HTTP_DRAIN) {
        return MHD_YES;
    }
    int64_t end = req->body_usec + req->server->config.request_usec + line_usec(req->body_seen);
    if (!http_conn_enter(req->conn, HTTP_PHASE_BODY, end)) {
        return MHD_NO;
    }
    enum err e = http_upload_feed(req, bytes, &why);
    if (e) {
        refuse_upload(req, e, &why);
        req->state = HTTP_DRAIN;
    }
    return MHD_YES;
}

static enum MHD_Result on_body(struct http_request *req, const char *bytes, size_t len)
{
    if (is_upload(req)) {
        return on_upload(req, slice_of(bytes, len));
    }
    if (req->state == HTTP_DRAIN) {
        return MHD_YES;
    }
    ASSERT(req->state == HTTP_BODY);
    if (len > req->body_max - req->body.len) {
        return refuse_body(req);
    }
    buf_add(&req->body, bytes, len);
    return MHD_YES;
}

static enum MHD_Result on_whole(struct http_request *req)
{
    struct why why = {.err = OK};
    enum err e = is_upload(req) ? http_upload_finish(req, &why) : OK;
    if (e) {
        refuse_upload(req, e, &why);
        return send_answer(req);
    }
    req->call.body = buf_slice(&req->body);
    return ask_worker(req, HTTP_QUEUED);
}

/* ---- MHD's callbacks ------------------------------------------------------------------------- */

static struct http_conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    ASSERT(info != NULL && info->socket_context != NULL);
    return info->socket_context;
}

/* MHD calls this with the request line as sent, before it takes it apart in place. */
static void *on_request_line(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http_server *server = cls;
    struct http_conn *conn = conn_of(mhd);
    ASSERT(conn->request == NULL);
    struct http_request *req = http_request_take(server);
    req->conn = conn;
    req->mhd = mhd;
    req->begun_usec = clock_mono_usec();
    req->target_ptr = target;
    req->target = slice_copy(&req->arena, slice_text(target));
    req->call.client = slice_text(conn->address);
    conn->request = req;
    /* The first request has its time from the connection on, the next ones from here. */
    int64_t since = conn->served ? req->begun_usec : conn->accepted_usec;
    (void)http_conn_enter(conn, HTTP_PHASE_HEADERS, since + server->config.header_usec);
    return req;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *len, void **context)
{
    struct http_request *req = *context;
    (void)cls;
    (void)mhd;
    (void)url;
    ASSERT(req != NULL);
    switch (req->state) {
    case HTTP_NEW:
        return on_head(req, method, version);
    case HTTP_ADMITTED:
        return on_admitted(req);
    case HTTP_BODY:
    case HTTP_DRAIN:
        if (*len > 0) {
            size_t taken = *len;
            *len = 0;
            return on_body(req, bytes, taken);
        }
        return req->state == HTTP_BODY ? on_whole(req) : send_answer(req);
    case HTTP_ANSWERED:
        /* The descriptor is a dummy by now: MHD closes it. */
        return req->call.detached ? MHD_NO : send_answer(req);
    case HTTP_AT_HEAD:
    case HTTP_QUEUED:
    case HTTP_SENT:
        break;
    }
    return MHD_NO;
}

static void account(const struct http_request *req)
{
    const struct http_answer *a = &req->answer;
    int64_t took = clock_mono_usec() - req->begun_usec;
    if (a->status < 200 || a->status > 599) {
        return; /* the client left, or MHD refused, before there was an answer */
    }
    metric_add(&http_metrics[HTTP_METRIC_2XX + a->status / 100 - 2], 1);
    metric_observe(&http_metrics[HTTP_METRIC_DURATION], took);
    enum log_level level = a->status >= 500 ? LOG_WARN : a->status >= 400 ? LOG_INFO : LOG_DEBUG;
    if (req->server->config.access_log && level < LOG_INFO) {
        level = LOG_INFO;
    }
    LOG(level, "http.request_finished", log_slice("req", req->call.request_id),
        log_slice("method", req->call.method),
        log_text("route", req->call.route ? req->call.route->path : ""),
        log_u64("status", (uint64_t)a->status), log_i64("dur_usec", took),
        log_u64("bytes", answer_len(a)), log_slice("client", req->call.client));
}

static void end_request(struct http_conn *conn)
{
    struct http_request *req = conn->request;
    if (!req) {
        return;
    }
    account(req);
    conn->request = NULL;
    conn->served = true;
    (void)http_conn_enter(conn, HTTP_PHASE_IDLE,
                          clock_mono_usec() + conn->server->config.idle_usec);
    http_request_give(req);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)cls;
    (void)code;
    *context = NULL;
    end_request(conn_of(mhd));
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        ASSERT(info != NULL);
        *context = http_conn_opened(server, info->connect_fd);
        return;
    }
    struct http_conn *conn = *context;
    end_request(conn);
    http_conn_closed(conn);
    *context = NULL;
}

/* We decode ourselves: MHD's decoder loses the difference between %2F and '/', and stops at %00. */
static size_t leave_escaped(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

static void __attribute__((format(printf, 2, 0)))
on_message(void *cls, const char *format, va_list args)
{
    char text[256];
    (void)cls;
    int len = vsnprintf(text, sizeof text, format, args);
    struct slice said = slice_trim(slice_of(text, len < 0 ? 0 : strlen(text)));
    LOG(LOG_DEBUG, "http.library_spoke", log_slice("text", said));
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
    (void)cls;
    check_failed(reason ? reason : "libmicrohttpd gave up", file, (int)line);
}

enum err http_mhd_start(struct http_server *server, struct why *why)
{
    const struct http_config *config = &server->config;
    unsigned threads = (unsigned)config->io_threads;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG;
    /* The keeper holds the cap; MHD divides its own by its threads. */
    unsigned connections = ((unsigned)config->connections_max + 1) * threads;
    /*
     * Not MHD_OPTION_STRICT_FOR_CLIENT: all that it would refuse is refused by read_headers, and
     * MHD 0.9.75 sends the head of its own answer to a missing Host twice.
     */
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)connections, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)config->header_bytes_max + POOL_EXTRA, NULL},
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    MHD_set_panic_func(on_panic, NULL);
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, on_request_line, server, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_ARRAY, options,
        MHD_OPTION_END);
    if (!server->daemon) {
        return why_set(why, ERR_IO, NULL, "The system does not give what HTTP needs (%u threads).",
                       threads);
    }
    return OK;
}
