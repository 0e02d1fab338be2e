#include "kernel/http/request.h"

#include "kernel/base/base64.h"
#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define PAGE_LIMIT_DEFAULT 50
#define PAGE_LIMIT_MAX 200

/* ---- characters ------------------------------------------------------------------------------ */

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 9110 section 5.6.2: tchar. */
static bool is_token_char(uint8_t c)
{
    return is_alnum(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_visible(uint8_t c)
{
    return c > 0x20 && c < 0x7F;
}

static bool all_of(struct slice text, bool (*is_allowed)(uint8_t c))
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_allowed(text.ptr[i])) {
            return false;
        }
    }
    return true;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* C0, DEL, and C1 as UTF-8 writes it (C2 80 to C2 9F). */
static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c < 0x20 || c == 0x7F) {
            return true;
        }
        if (c == 0xC2 && i + 1 < text.len && text.ptr[i + 1] < 0xA0) {
            return true;
        }
    }
    return false;
}

/* ---- percent-encoding ------------------------------------------------------------------------ */

static enum err percent_undo(struct slice text, bool plus, uint8_t *out, size_t *out_len,
                             struct why *why)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '+' && plus) {
            c = ' ';
        }
        if (c != '%') {
            out[len++] = c;
            continue;
        }
        int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.ptr[i + 2]) : -1;
        if (low < 0) {
            return why_set(why, ERR_INVALID_ENCODING, NULL,
                           "The address has a '%%' without two hexadecimal digits.");
        }
        out[len++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    *out_len = len;
    return OK;
}

enum err http_percent_decode(struct arena *req, struct slice text, bool plus, struct slice *out,
                             struct why *why)
{
    struct slice decoded = text;
    if (slice_find(text, '%') >= 0 || (plus && slice_find(text, '+') >= 0)) {
        uint8_t *bytes = arena_alloc(req, text.len);
        size_t len = 0;
        enum err e = percent_undo(text, plus, bytes, &len, why);
        if (e) {
            return e;
        }
        decoded = slice_of(bytes, len);
    }
    if (!slice_is_utf8(decoded) || has_control(decoded)) {
        return why_set(why, ERR_INVALID_ENCODING, NULL,
                       "The address must be UTF-8 without control characters.");
    }
    *out = decoded;
    return OK;
}

/* ---- the request target ---------------------------------------------------------------------- */

/* An absolute target names scheme and host before the path (RFC 9112 section 3.2.2). */
static bool drop_authority(struct slice target, struct slice *out_rest)
{
    static const struct slice schemes[] = {SLICE_LIT("http://"), SLICE_LIT("https://")};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (!slice_equal_nocase(slice_sub(target, 0, schemes[i].len), schemes[i])) {
            continue;
        }
        struct slice rest = slice_sub(target, schemes[i].len, target.len);
        size_t host = 0;
        while (host < rest.len && rest.ptr[host] != '/' && rest.ptr[host] != '?') {
            host++;
        }
        *out_rest = slice_sub(rest, host, rest.len);
        return host > 0;
    }
    return false;
}

enum err http_target_split(struct slice target, struct slice *out_path, struct slice *out_query,
                           struct why *why)
{
    struct slice rest = target;
    if (target.len == 0 || !all_of(target, is_visible) || slice_find(target, '#') >= 0) {
        return why_set(why, ERR_INVALID_REQUEST, NULL,
                       "The request line must have a path of visible ASCII characters.");
    }
    if (slice_equal_text(target, "*")) {
        *out_path = target;
        *out_query = SLICE_EMPTY;
        return OK;
    }
    if (target.ptr[0] != '/' && !drop_authority(target, &rest)) {
        return why_set(why, ERR_INVALID_REQUEST, NULL, "The path must begin with '/'.");
    }
    struct slice path;
    struct slice query;
    (void)slice_cut(rest, '?', &path, &query);
    *out_path = path.len > 0 ? path : SLICE_LIT("/");
    *out_query = query;
    return OK;
}

enum err http_path_decode(struct arena *req, struct slice path, struct http_segments *out,
                          struct why *why)
{
    struct http_segments found = {.count = 0};
    struct slice rest = path;
    if (rest.len > 0 && rest.ptr[0] == '/') {
        rest = slice_sub(rest, 1, rest.len);
    }
    if (slice_ends(rest, SLICE_LIT("/"))) {
        rest.len--;
    }
    bool more = rest.len > 0;
    while (more) {
        struct slice raw;
        struct slice segment = SLICE_EMPTY;
        more = slice_cut(rest, '/', &raw, &rest);
        enum err e = http_percent_decode(req, raw, false, &segment, why);
        if (e) {
            return e;
        }
        if (slice_equal_text(segment, ".") || slice_equal_text(segment, "..")) {
            return why_set(why, ERR_INVALID_ENCODING, NULL,
                           "The path must not have the segments \".\" and \"..\".");
        }
        if (found.count == HTTP_SEGMENTS_MAX) {
            found.too_many = true;
            continue;
        }
        found.at[found.count++] = segment;
    }
    *out = found;
    return OK;
}

/* ---- the query ------------------------------------------------------------------------------- */

static bool list_has(const char *const *names, struct slice name)
{
    for (size_t i = 0; names && names[i]; i++) {
        if (slice_equal_text(name, names[i])) {
            return true;
        }
    }
    return false;
}

static bool query_is_known(const struct http_route *route, struct slice name)
{
    static const char *const page[] = {"limit", "cursor", "offset", NULL};
    return list_has(route->query_keys, name) ||
           ((route->flags & HTTP_LIST) && list_has(page, name));
}

static const struct http_param *param_find(const struct http_param *params, size_t count,
                                           struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(params[i].name, name)) {
            return &params[i];
        }
    }
    return NULL;
}

static enum err query_add(const struct http_route *route, struct http_param *params, size_t *count,
                          const struct http_param *p, struct why *why)
{
    if (!query_is_known(route, p->name)) {
        return why_set(why, ERR_UNKNOWN_FIELD, NULL,
                       "The query parameter \"%.*s\" is not known here.",
                       SLICE_ARG(slice_sub(p->name, 0, 64)));
    }
    if (param_find(params, *count, p->name)) {
        return why_set(why, ERR_INVALID_FIELD, NULL,
                       "The query parameter \"%.*s\" is given more than once.",
                       SLICE_ARG(slice_sub(p->name, 0, 64)));
    }
    /* Known and not repeated: there cannot be more than the route's keys and the three of lists. */
    ASSERT(*count < HTTP_QUERY_MAX);
    params[(*count)++] = *p;
    return OK;
}

enum err http_query_decode(struct arena *req, struct slice query, const struct http_route *route,
                           const struct http_param **out, size_t *out_count, struct why *why)
{
    struct http_param *params = NULL;
    size_t count = 0;
    struct slice rest = query;
    while (rest.len > 0) {
        struct slice pair;
        struct slice name;
        struct slice value;
        (void)slice_cut(rest, '&', &pair, &rest);
        if (pair.len == 0) {
            continue;
        }
        if (!params) {
            params = arena_alloc_array(req, HTTP_QUERY_MAX, sizeof *params);
        }
        (void)slice_cut(pair, '=', &name, &value);
        struct http_param p = {SLICE_EMPTY, SLICE_EMPTY};
        enum err e = http_percent_decode(req, name, true, &p.name, why);
        e = e ? e : http_percent_decode(req, value, true, &p.value, why);
        e = e ? e : query_add(route, params, &count, &p, why);
        if (e) {
            return e;
        }
    }
    *out = params;
    *out_count = count;
    return OK;
}

/* ---- headers --------------------------------------------------------------------------------- */

bool http_headers_find(const struct http_param *headers, size_t count, const char *name,
                       struct slice *out)
{
    struct slice wanted = slice_text(name);
    for (size_t i = 0; i < count; i++) {
        if (slice_equal_nocase(headers[i].name, wanted)) {
            *out = headers[i].value;
            return true;
        }
    }
    return false;
}

/* RFC 9110 section 5.5: what a field value may hold, obs-text included. */
static bool is_value_char(uint8_t c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7F);
}

static bool is_host_char(uint8_t c)
{
    return is_alnum(c) || (c != 0 && strchr("-._~%!$&'()*+,;=:[]", c) != NULL);
}

static bool parse_length(struct slice text, uint64_t *out)
{
    return text.len <= 19 && slice_parse_u64(text, out) == OK;
}

/* Headers that must not come twice: two readers might each take another one. */
enum single {
    SINGLE_HOST,
    SINGLE_CONTENT_LENGTH,
    SINGLE_TRANSFER_ENCODING,
    SINGLE_CONTENT_TYPE,
    SINGLE_CONTENT_ENCODING,
    SINGLE_AUTHORIZATION,
    SINGLE_IDEMPOTENCY_KEY,
    SINGLE_EXPECT,
    SINGLE_COUNT
};

static const char *const single_names[] = {
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Content-Type",
    "Content-Encoding",
    "Authorization",
    "Idempotency-Key",
    "Expect",
};
_Static_assert(sizeof single_names / sizeof single_names[0] == SINGLE_COUNT, "one name each");

static enum err collect_singles(const struct http_param *headers, size_t count,
                                const struct http_param *found[SINGLE_COUNT], struct why *why)
{
    for (size_t i = 0; i < count; i++) {
        if (headers[i].name.len == 0 || !all_of(headers[i].name, is_token_char)) {
            return why_set(why, ERR_INVALID_REQUEST, NULL, "A header has a malformed name.");
        }
        if (!all_of(headers[i].value, is_value_char)) {
            return why_set(why, ERR_INVALID_REQUEST, NULL,
                           "The header %.*s has a control character in its value.",
                           SLICE_ARG(slice_sub(headers[i].name, 0, 64)));
        }
        for (size_t s = 0; s < SINGLE_COUNT; s++) {
            if (!slice_equal_nocase(headers[i].name, slice_text(single_names[s]))) {
                continue;
            }
            if (found[s]) {
                return why_set(why, ERR_INVALID_REQUEST, NULL, "The header %s is given twice.",
                               single_names[s]);
            }
            found[s] = &headers[i];
        }
    }
    return OK;
}

static enum err read_framing(const struct http_param *const found[SINGLE_COUNT], bool http11,
                             struct http_framing *f, struct why *why)
{
    const struct http_param *length = found[SINGLE_CONTENT_LENGTH];
    const struct http_param *coding = found[SINGLE_TRANSFER_ENCODING];
    if (coding && length) {
        return why_set(why, ERR_INVALID_REQUEST, NULL,
                       "Content-Length and Transfer-Encoding exclude each other.");
    }
    if (coding && (!http11 || !slice_equal_nocase(coding->value, SLICE_LIT("chunked")))) {
        return why_set(why, ERR_INVALID_REQUEST, NULL,
                       "The only Transfer-Encoding that is taken is chunked, in HTTP/1.1.");
    }
    if (length && !parse_length(length->value, &f->length)) {
        return why_set(why, ERR_INVALID_REQUEST, NULL, "Content-Length must be a number of bytes.");
    }
    f->chunked = coding != NULL;
    f->has_length = length != NULL;
    return OK;
}

enum err http_headers_check(const struct http_param *headers, size_t count, bool http11,
                            struct http_framing *out, struct why *why)
{
    const struct http_param *found[SINGLE_COUNT] = {NULL};
    struct http_framing f = {.chunked = false};
    if (count > HTTP_HEADERS_MAX) {
        return why_set(why, ERR_HEADERS_TOO_LARGE, NULL, "At most %d headers are taken.",
                       HTTP_HEADERS_MAX);
    }
    enum err e = collect_singles(headers, count, found, why);
    if (e) {
        return e;
    }
    const struct http_param *host = found[SINGLE_HOST];
    if ((http11 && !host) || (host && !all_of(host->value, is_host_char))) {
        return why_set(why, ERR_INVALID_REQUEST, NULL,
                       "The header Host must name the server, exactly once.");
    }
    e = read_framing(found, http11, &f, why);
    if (e) {
        return e;
    }
    const struct http_param *expect = found[SINGLE_EXPECT];
    f.expects_continue = expect && slice_equal_nocase(expect->value, SLICE_LIT("100-continue"));
    *out = f;
    return OK;
}

bool http_media_is_json(struct slice content_type)
{
    struct slice type;
    struct slice rest;
    (void)slice_cut(content_type, ';', &type, &rest);
    if (!slice_equal_nocase(slice_trim(type), SLICE_LIT("application/json"))) {
        return false;
    }
    while (rest.len > 0) {
        struct slice parameter;
        (void)slice_cut(rest, ';', &parameter, &rest);
        parameter = slice_trim(parameter);
        if (parameter.len > 0 && !slice_equal_nocase(parameter, SLICE_LIT("charset=utf-8")) &&
            !slice_equal_nocase(parameter, SLICE_LIT("charset=\"utf-8\""))) {
            return false;
        }
    }
    return true;
}

bool http_etag_matches(struct slice if_none_match, struct slice etag)
{
    struct slice rest = if_none_match;
    while (rest.len > 0) {
        struct slice one;
        (void)slice_cut(rest, ',', &one, &rest);
        one = slice_trim(one);
        if (slice_equal_text(one, "*")) {
            return true;
        }
        /* If-None-Match compares weakly (RFC 9110 section 13.1.2): a proxy may add the W/. */
        if (slice_starts(one, SLICE_LIT("W/"))) {
            one = slice_sub(one, 2, one.len);
        }
        if (one.len >= 2 && one.ptr[0] == '"' && one.ptr[one.len - 1] == '"' &&
            slice_equal(slice_sub(one, 1, one.len - 2), etag)) {
            return true;
        }
    }
    return false;
}

/* Whether a weight ("q=0.5", RFC 9110 section 12.4.2) is well formed and above 0. */
static bool is_wanted(struct slice weight)
{
    bool above = false;
    if (weight.len < 3 || weight.len > 7 || (weight.ptr[0] | 0x20) != 'q' || weight.ptr[1] != '=' ||
        (weight.len > 3 && weight.ptr[3] != '.')) {
        return false;
    }
    for (size_t i = 2; i < weight.len; i++) {
        uint8_t c = weight.ptr[i];
        if (i == 3) {
            continue;
        }
        if (c < '0' || c > (i == 2 || weight.ptr[2] == '1' ? '1' : '9') ||
            (i > 3 && weight.ptr[2] == '1' && c != '0')) {
            return false;
        }
        above = above || c != '0';
    }
    return above;
}

bool http_accepts_gzip(struct slice accept_encoding)
{
    bool any = false;
    struct slice rest = accept_encoding;
    while (rest.len > 0) {
        struct slice one;
        struct slice coding;
        struct slice weight;
        (void)slice_cut(rest, ',', &one, &rest);
        bool weighed = slice_cut(one, ';', &coding, &weight);
        coding = slice_trim(coding);
        bool wanted = !weighed || is_wanted(slice_trim(weight));
        if (slice_equal_nocase(coding, SLICE_LIT("gzip")) ||
            slice_equal_nocase(coding, SLICE_LIT("x-gzip"))) {
            return wanted;
        }
        any = any || (wanted && slice_equal_text(coding, "*"));
    }
    return any;
}

static bool is_id_char(uint8_t c)
{
    return is_alnum(c) || c == '_' || c == '.' || c == '-';
}

bool http_id_is_valid(struct slice id)
{
    return id.len > 0 && id.len < HTTP_ID_MAX && all_of(id, is_id_char);
}

bool http_key_is_valid(struct slice key)
{
    return key.len > 0 && key.len <= HTTP_KEY_MAX && all_of(key, is_visible);
}

/* ---- cursors --------------------------------------------------------------------------------- */

struct slice http_cursor_encode(struct arena *req, struct slice bytes)
{
    struct buf text;
    buf_init(&text, req, bytes.len / 3 * 4 + 4);
    base64_encode(&text, BASE64_URL, bytes);
    return buf_slice(&text);
}

enum err http_cursor_decode(struct arena *req, struct slice text, struct slice *out,
                            struct why *why)
{
    return base64_decode(req, BASE64_URL, text, out) == OK
               ? OK
               : why_set(why, ERR_INVALID_FIELD, "cursor",
                         "The cursor must be one that a nextCursor gave.");
}

/* ---- for handlers ---------------------------------------------------------------------------- */

struct slice http_param(const struct http_call *call, const char *name)
{
    const struct http_param *p = param_find(call->params, call->param_count, slice_text(name));
    ASSERT(p != NULL);
    return p->value;
}

struct slice http_query(const struct http_call *call, const char *name, bool *out_found)
{
    const struct http_param *p = param_find(call->query, call->query_count, slice_text(name));
    if (out_found) {
        *out_found = p != NULL;
    }
    return p ? p->value : SLICE_EMPTY;
}

struct slice http_header(const struct http_call *call, const char *name)
{
    struct slice value = SLICE_EMPTY;
    (void)http_headers_find(call->headers, call->header_count, name, &value);
    return value;
}

static enum err page_number(const struct http_call *call, const char *name, uint64_t *out,
                            struct why *why)
{
    bool found;
    struct slice text = http_query(call, name, &found);
    if (!found) {
        return OK;
    }
    enum err e = slice_parse_u64(text, out);
    return e ? why_set(why, ERR_INVALID_AMOUNT, name, "%s must be a whole number.", name) : OK;
}

enum err http_page_read(const struct http_call *call, struct http_page *out, struct why *why)
{
    uint64_t limit = PAGE_LIMIT_DEFAULT;
    uint64_t offset = 0;
    struct slice cursor = SLICE_EMPTY;
    enum err e = page_number(call, "limit", &limit, why);
    if (e) {
        return e;
    }
    if (limit < 1 || limit > PAGE_LIMIT_MAX) {
        return why_set(why, ERR_INVALID_FIELD, "limit", "limit must be between 1 and %d.",
                       PAGE_LIMIT_MAX);
    }
    e = page_number(call, "offset", &offset, why);
    if (e) {
        return e;
    }
    if (offset > INT64_MAX) {
        return why_set(why, ERR_INVALID_FIELD, "offset", "offset is too large.");
    }
    bool has_cursor;
    struct slice text = http_query(call, "cursor", &has_cursor);
    if (has_cursor) {
        e = http_cursor_decode(call->req, text, &cursor, why);
        if (e) {
            return e;
        }
    }
    if (cursor.len > 0 && offset > 0) {
        return why_set(why, ERR_INVALID_FIELD, "offset", "offset and cursor exclude each other.");
    }
    *out = (struct http_page){.limit = (uint32_t)limit, .offset = offset, .cursor = cursor};
    return OK;
}
