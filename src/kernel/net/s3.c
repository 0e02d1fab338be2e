#include "kernel/net/s3.h"

#include "kernel/base/check.h"
#include "kernel/base/rand.h"
#include "kernel/net/s3_sign.h"
#include "kernel/net/xml.h"

#include <string.h>

#define ANSWER_BYTES_MAX ((size_t)16 << 20)
#define HEADERS_MAX 6
#define QUERY_MAX 8
#define ETAG_MAX 128
#define CODE_SHOWN_MAX 64
#define PRESIGN_SEC_MAX (7u * 86400)

struct net_s3 {
    struct net_s3_options options; /* its secrets are the three below */
    struct secret key_id;
    struct secret secret;
    struct secret session_token;
    struct net_client *client;
    struct arena boot;
    const char *origin; /* "https://bucket.host" or "https://host" */
    const char *host;   /* as in the Host header */
    struct slice root;  /* "/bucket" or "" */
};

struct request {
    const char *method;
    const char *key; /* "": the bucket itself */
    struct s3_pair query[QUERY_MAX];
    size_t query_count;
    struct slice range;
    struct slice body;
    const char *keep; /* a header of the answer that is wanted */
    size_t answer_bytes_max;
};

struct reply {
    int status;
    struct slice body;
    struct slice kept;
};

/* ---- opening ---- */

static bool is_plain(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '-' || *c == '.';
        if (!plain) {
            return false;
        }
    }
    return text[0] != '\0';
}

/* Splits "https://host:port" into its scheme and its host. */
static bool split_endpoint(const char *endpoint, struct slice *scheme, struct slice *host)
{
    struct slice whole = slice_text(endpoint);
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        if (slice_starts(whole, slice_text(schemes[i]))) {
            *scheme = slice_text(schemes[i]);
            *host = slice_sub(whole, scheme->len, whole.len);
            while (host->len > 0 && host->ptr[host->len - 1] == '/') {
                host->len--;
            }
            return host->len > 0 && slice_find(*host, '/') < 0 && slice_find(*host, '@') < 0 &&
                   slice_find(*host, '?') < 0 && slice_find(*host, '#') < 0;
        }
    }
    return false;
}

static enum err check_options(const struct net_s3_options *o, struct why *why)
{
    if (!is_plain(o->bucket)) {
        return why_set(why, ERR_CONFIG, NULL,
                       "The name of a bucket is letters, digits, '-' and '.'.");
    }
    if (!is_plain(o->region)) {
        return why_set(why, ERR_CONFIG, "backup.s3_region", "The region of the bucket is missing.");
    }
    if (secret_len(o->key_id) == 0 || secret_len(o->secret) == 0) {
        return why_set(why, ERR_CONFIG, "backup.s3_secret_key",
                       "The credentials of the bucket are missing: backup.s3_access_key and "
                       "backup.s3_secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.");
    }
    return OK;
}

static void copy_secret(struct secret *own, const struct secret *given, const struct secret **used)
{
    if (secret_len(given) > 0) {
        secret_init(own, secret_bytes(given), secret_len(given));
    }
    *used = own;
}

enum err net_s3_new(const struct net_s3_options *options, struct net_s3 **out, struct why *why)
{
    struct slice scheme = SLICE_LIT("https://");
    struct slice host;
    enum err e = check_options(options, why);
    if (e != OK) {
        return e;
    }
    struct net_s3 *s3 = mem_alloc(sizeof(*s3));
    arena_init(&s3->boot, 0);
    if (options->endpoint[0] == '\0') {
        host = slice_format(&s3->boot, "s3.%s.amazonaws.com", options->region);
    } else if (!split_endpoint(options->endpoint, &scheme, &host)) {
        arena_free(&s3->boot);
        mem_free(s3);
        return why_set(why, ERR_CONFIG, "backup.s3_endpoint",
                       "The endpoint must be http://HOST or https://HOST, with a port if need be.");
    }
    s3->options = *options;
    copy_secret(&s3->key_id, options->key_id, &s3->options.key_id);
    copy_secret(&s3->secret, options->secret, &s3->options.secret);
    copy_secret(&s3->session_token, options->session_token, &s3->options.session_token);
    s3->options.region = slice_cstr(&s3->boot, slice_text(options->region));
    if (!options->path_style) {
        host = slice_format(&s3->boot, "%s.%.*s", options->bucket, SLICE_ARG(host));
        s3->root = SLICE_EMPTY;
    } else {
        s3->root = slice_format(&s3->boot, "/%s", options->bucket);
    }
    s3->host = slice_cstr(&s3->boot, host);
    s3->origin = slice_cstr(
        &s3->boot, slice_format(&s3->boot, "%.*s%.*s", SLICE_ARG(scheme), SLICE_ARG(host)));
    net_start();
    s3->client = net_client_new();
    *out = s3;
    return OK;
}

void net_s3_free(struct net_s3 *s3)
{
    if (s3 != NULL) {
        net_client_free(s3->client);
        secret_clear(&s3->key_id);
        secret_clear(&s3->secret);
        secret_clear(&s3->session_token);
        arena_free(&s3->boot);
        mem_free(s3);
    }
}

/* ---- one request ---- */

static struct slice secret_slice(const struct secret *s)
{
    return slice_of(secret_bytes(s), secret_len(s));
}

static struct slice path_of(const struct net_s3 *s3, struct arena *arena, const char *key)
{
    return slice_format(arena, "%.*s/%s", SLICE_ARG(s3->root), key);
}

static struct slice url_of(const struct net_s3 *s3, struct arena *arena, struct slice path,
                           const struct s3_pair *query, size_t query_count)
{
    struct buf url;
    buf_init(&url, arena, 256);
    buf_add_text(&url, s3->origin);
    s3_encode(&url, path, true);
    if (query_count > 0) {
        buf_add_byte(&url, '?');
        s3_query(&url, query, query_count, arena);
    }
    return buf_slice(&url);
}

static enum err send_once(struct net_s3 *s3, struct arena *arena, const struct request *r,
                          struct reply *out, struct why *why)
{
    struct net_header headers[HEADERS_MAX + 1];
    size_t count = 0;
    char *date = arena_alloc(arena, S3_DATE_TEXT_MAX);
    struct hash hash = sha256(r->body);
    struct buf hex;
    int64_t now = clock_wall_usec();
    buf_init(&hex, arena, 2 * HASH_BYTES);
    buf_add_hex(&hex, hash_slice(&hash));
    s3_date(now, date);
    headers[count++] = (struct net_header){SLICE_LIT("host"), slice_text(s3->host)};
    headers[count++] = (struct net_header){SLICE_LIT("x-amz-content-sha256"), buf_slice(&hex)};
    headers[count++] = (struct net_header){SLICE_LIT("x-amz-date"), slice_text(date)};
    if (r->range.len > 0) {
        headers[count++] = (struct net_header){SLICE_LIT("range"), r->range};
    }
    if (secret_len(s3->options.session_token) > 0) {
        headers[count++] = (struct net_header){SLICE_LIT("x-amz-security-token"),
                                               secret_slice(s3->options.session_token)};
    }
    const struct s3_signing signing = {
        .method = r->method,
        .path = path_of(s3, arena, r->key),
        .query = r->query,
        .query_count = r->query_count,
        .headers = headers,
        .header_count = count,
        .payload_hash = buf_slice(&hex),
        .now_usec = now,
        .region = s3->options.region,
        .service = "s3",
        .key_id = secret_slice(s3->options.key_id),
        .secret = secret_slice(s3->options.secret),
    };
    headers[count++] =
        (struct net_header){SLICE_LIT("authorization"), s3_authorization(arena, &signing)};
    struct slice url = url_of(s3, arena, signing.path, r->query, r->query_count);
    const struct net_request request = {
        .method = r->method,
        .url = slice_cstr(arena, url),
        .headers = headers,
        .header_count = count,
        .body = r->body,
        .keep_header = r->keep,
        .timeout_usec = s3->options.timeout_usec,
        .answer_bytes_max = r->answer_bytes_max > 0 ? r->answer_bytes_max : ANSWER_BYTES_MAX,
    };
    struct net_answer answer;
    enum err e = net_request_run(s3->client, arena, &request, &answer, why);
    if (e == OK) {
        *out = (struct reply){
            .status = answer.status, .body = answer.body, .kept = answer.kept_header};
    }
    return e;
}

/* The code of an error answer, made of what codes are made of. */
static void error_code(struct arena *arena, struct slice body, char out[CODE_SHOWN_MAX])
{
    struct slice code = SLICE_EMPTY;
    size_t len = 0;
    if (net_xml_find(arena, body, "Code", &code)) {
        for (size_t i = 0; i < code.len && len + 1 < CODE_SHOWN_MAX; i++) {
            uint8_t c = code.ptr[i];
            if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
                out[len++] = (char)c;
            }
        }
    }
    out[len] = '\0';
}

static bool may_pass(int status, const char *code)
{
    return status == 429 || status == 500 || status == 502 || status == 503 || status == 504 ||
           strcmp(code, "RequestTimeout") == 0 || strcmp(code, "InternalError") == 0 ||
           strcmp(code, "SlowDown") == 0;
}

/* What a status that is no success means for whoever asked. */
static enum err refused(const struct net_s3 *s3, int status, const char *code, struct why *why)
{
    const char *shown = code[0] != '\0' ? code : "no code";
    if (status == 404) {
        return why_set(why, ERR_NOT_FOUND, NULL, "%s has no such object, bucket or upload (%s).",
                       s3->origin, shown);
    }
    if (status == 301 || status == 307 || strcmp(code, "AuthorizationHeaderMalformed") == 0 ||
        strcmp(code, "PermanentRedirect") == 0) {
        return why_set(why, ERR_CONFIG, "backup.s3_region",
                       "The bucket is not where it was looked for: the region %s or the endpoint "
                       "%s is wrong (%s).",
                       s3->options.region, s3->origin, shown);
    }
    if (strcmp(code, "RequestTimeTooSkewed") == 0) {
        return why_set(why, ERR_FORBIDDEN, NULL,
                       "The clocks of this machine and of %s differ too much.", s3->origin);
    }
    if (status == 401 || status == 403) {
        return why_set(why, ERR_FORBIDDEN, "backup.s3_secret_key",
                       "%s refuses the credentials or what they ask for (%s).", s3->origin, shown);
    }
    return why_set(why, ERR_UPSTREAM, NULL, "%s answers with status %d (%s).", s3->origin, status,
                   shown);
}

static void pause_before(const struct net_s3 *s3, unsigned attempt)
{
    int64_t usec = s3->options.pause_usec << (attempt < 8 ? attempt : 8);
    clock_sleep_usec(usec / 2 + (int64_t)rand_below((uint64_t)usec / 2 + 1));
}

/* A success may hold a failure: completing an upload answers 200 before it knows. */
static bool is_failure(const struct reply *reply, const char *code)
{
    return reply->status < 200 || reply->status > 299 || code[0] != '\0';
}

static enum err send(struct net_s3 *s3, struct arena *arena, const struct request *r,
                     struct reply *out, struct why *why)
{
    enum err e = OK;
    for (unsigned attempt = 0; attempt < s3->options.attempts_max; attempt++) {
        struct reply reply = {.status = 0};
        char code[CODE_SHOWN_MAX] = "";
        if (attempt > 0) {
            pause_before(s3, attempt - 1);
        }
        e = send_once(s3, arena, r, &reply, why);
        if (e == ERR_UPSTREAM || e == ERR_NODE_TIMEOUT) {
            continue;
        }
        if (e != OK) {
            return e;
        }
        if (reply.status > 299 || strcmp(r->method, "POST") == 0) {
            error_code(arena, reply.body, code);
        }
        if (!is_failure(&reply, code)) {
            *out = reply;
            return OK;
        }
        e = refused(s3, reply.status, code, why);
        if (!may_pass(reply.status, code)) {
            return e;
        }
    }
    return e;
}

/* Sends a request whose answer is of no interest. */
static enum err send_alone(struct net_s3 *s3, const struct request *r, struct why *why)
{
    struct arena scratch;
    struct reply reply = {.status = 0};
    arena_init(&scratch, 0);
    enum err e = send(s3, &scratch, r, &reply, why);
    arena_free(&scratch);
    return e;
}

/* ---- objects ---- */

enum err net_s3_put(struct net_s3 *s3, const char *key, struct slice body, struct why *why)
{
    const struct request r = {.method = "PUT", .key = key, .body = body};
    return send_alone(s3, &r, why);
}

/* "bytes 0-9/4711" */
static bool size_of_range(struct slice text, uint64_t *out)
{
    struct slice head;
    struct slice size;
    return slice_cut(text, '/', &head, &size) && slice_parse_u64(size, out) == OK;
}

enum err net_s3_get(struct net_s3 *s3, struct arena *arena, const char *key, uint64_t from,
                    size_t len, struct slice *out, uint64_t *out_size, struct why *why)
{
    ASSERT(len > 0);
    const struct request r = {
        .method = "GET",
        .key = key,
        .range = slice_format(arena, "bytes=%llu-%llu", (unsigned long long)from,
                              (unsigned long long)(from + len - 1)),
        .keep = "content-range",
        .answer_bytes_max = len > ANSWER_BYTES_MAX ? len : ANSWER_BYTES_MAX,
    };
    struct reply reply = {.status = 0};
    uint64_t size = 0;
    enum err e = send(s3, arena, &r, &reply, why);
    if (e != OK) {
        return e;
    }
    /* A server that knows no ranges answers with the whole; it fits only when it is small. */
    bool ranged = reply.status == 206 && size_of_range(reply.kept, &size);
    bool whole = reply.status == 200 && from == 0 && reply.body.len <= len;
    if ((!ranged && !whole) || reply.body.len > len) {
        return why_set(why, ERR_UPSTREAM, NULL, "%s does not give the range that was asked for.",
                       s3->origin);
    }
    *out = reply.body;
    if (out_size != NULL) {
        *out_size = ranged ? size : reply.body.len;
    }
    return OK;
}

enum err net_s3_head(struct net_s3 *s3, const char *key, uint64_t *out_size, struct why *why)
{
    const struct request r = {.method = "HEAD", .key = key, .keep = "content-length"};
    struct arena scratch;
    struct reply reply = {.status = 0};
    uint64_t size = 0;
    arena_init(&scratch, 0);
    enum err e = send(s3, &scratch, &r, &reply, why);
    if (e == OK && slice_parse_u64(reply.kept, &size) != OK) {
        e = why_set(why, ERR_UPSTREAM, NULL, "%s does not tell the size of an object.", s3->origin);
    }
    arena_free(&scratch);
    if (e == OK) {
        *out_size = size;
    }
    return e;
}

enum err net_s3_delete(struct net_s3 *s3, const char *key, struct why *why)
{
    const struct request r = {.method = "DELETE", .key = key};
    struct why said = {0};
    enum err e = send_alone(s3, &r, &said);
    if (e == ERR_NOT_FOUND) {
        return OK;
    }
    return e == OK ? OK
                   : why_set(why, e, said.field[0] != '\0' ? said.field : NULL, "%s",
                             why_text(&said, e));
}

/* ---- lists ---- */

struct listing {
    struct arena *arena;
    struct net_s3_page page;
    size_t room;
    struct net_s3_entry entry;
    bool truncated;
};

static void add_entry(struct listing *l)
{
    if (l->page.count == l->room) {
        size_t room = l->room * 2 + 64;
        struct net_s3_entry *more = arena_alloc_array(l->arena, room, sizeof(*more));
        if (l->page.count > 0) {
            memcpy(more, l->page.entries, l->page.count * sizeof(*more));
        }
        l->page.entries = more;
        l->room = room;
    }
    l->page.entries[l->page.count++] = l->entry;
}

/* Takes the text of an element whose parents are the first `depth` of `path`. */
static bool take_field(struct listing *l, const struct slice *path, unsigned depth,
                       struct slice text)
{
    const struct slice name = path[depth - 1];
    if (depth == 2 && slice_equal_text(name, "IsTruncated")) {
        l->truncated = slice_equal_text(text, "true");
    } else if (depth == 2 && slice_equal_text(name, "NextContinuationToken")) {
        l->page.next = text;
    } else if (depth == 3 && slice_equal_text(name, "Key")) {
        l->entry.key = text;
    } else if (depth == 3 && slice_equal_text(name, "Prefix")) {
        l->entry.key = text;
        l->entry.is_prefix = true;
    } else if (depth == 3 && slice_equal_text(name, "Size")) {
        return slice_parse_u64(text, &l->entry.size) == OK;
    } else if (depth == 3 && slice_equal_text(name, "LastModified")) {
        return clock_parse(text, &l->entry.modified_usec) == OK;
    }
    return true;
}

static bool read_list(struct listing *l, struct slice body)
{
    struct net_xml x;
    struct slice path[XML_DEPTH_MAX] = {SLICE_EMPTY};
    struct slice text = SLICE_EMPTY;
    unsigned depth = 0;
    net_xml_init(&x, l->arena, body);
    for (;;) {
        switch (net_xml_next(&x)) {
        case NET_XML_BEGIN:
            path[depth++] = x.name;
            text = SLICE_EMPTY;
            if (depth == 2) {
                l->entry = (struct net_s3_entry){.size = 0};
            }
            break;
        case NET_XML_TEXT:
            text = text.len == 0
                       ? x.text
                       : slice_format(l->arena, "%.*s%.*s", SLICE_ARG(text), SLICE_ARG(x.text));
            break;
        case NET_XML_END:
            if (!take_field(l, path, depth, text)) {
                return false;
            }
            if (depth == 2 && (slice_equal_text(x.name, "Contents") ||
                               slice_equal_text(x.name, "CommonPrefixes"))) {
                add_entry(l);
            }
            depth--;
            text = SLICE_EMPTY;
            break;
        case NET_XML_DONE:
            return slice_equal_text(path[0], "ListBucketResult");
        case NET_XML_BAD:
            return false;
        }
    }
}

enum err net_s3_list(struct net_s3 *s3, struct arena *arena, const char *prefix,
                     const char *delimiter, struct slice token, struct net_s3_page *out,
                     struct why *why)
{
    struct request r = {.method = "GET", .key = ""};
    struct reply reply = {.status = 0};
    struct listing l = {.arena = arena};
    r.query[r.query_count++] = (struct s3_pair){SLICE_LIT("list-type"), SLICE_LIT("2")};
    r.query[r.query_count++] = (struct s3_pair){SLICE_LIT("prefix"), slice_text(prefix)};
    if (delimiter[0] != '\0') {
        r.query[r.query_count++] = (struct s3_pair){SLICE_LIT("delimiter"), slice_text(delimiter)};
    }
    if (token.len > 0) {
        r.query[r.query_count++] = (struct s3_pair){SLICE_LIT("continuation-token"), token};
    }
    enum err e = send(s3, arena, &r, &reply, why);
    if (e == OK && (!read_list(&l, reply.body) || (l.truncated && l.page.next.len == 0))) {
        e = why_set(why, ERR_UPSTREAM, NULL, "%s answers with a list that makes no sense.",
                    s3->origin);
    }
    if (e == OK) {
        l.page.next = l.truncated ? l.page.next : SLICE_EMPTY;
        *out = l.page;
    }
    return e;
}

/* ---- uploads in parts ---- */

enum err net_s3_upload_begin(struct net_s3 *s3, const char *key, struct net_s3_upload *out,
                             struct why *why)
{
    struct request r = {.method = "POST", .key = key};
    struct arena scratch;
    struct reply reply = {.status = 0};
    struct slice id = SLICE_EMPTY;
    r.query[r.query_count++] = (struct s3_pair){SLICE_LIT("uploads"), SLICE_EMPTY};
    arena_init(&scratch, 0);
    enum err e = send(s3, &scratch, &r, &reply, why);
    if (e == OK && (!net_xml_find(&scratch, reply.body, "UploadId", &id) || id.len == 0)) {
        e = why_set(why, ERR_UPSTREAM, NULL, "%s does not begin an upload.", s3->origin);
    }
    if (e == OK) {
        *out = (struct net_s3_upload){.parts = 0};
        arena_init(&out->arena, 0);
        out->key = slice_cstr(&out->arena, slice_text(key));
        out->id = slice_cstr(&out->arena, id);
        buf_init(&out->etags, &out->arena, 256);
    }
    arena_free(&scratch);
    return e;
}

enum err net_s3_upload_part(struct net_s3 *s3, struct net_s3_upload *upload, struct slice body,
                            struct why *why)
{
    struct request r = {.method = "PUT", .key = upload->key, .body = body, .keep = "etag"};
    struct arena scratch;
    struct reply reply = {.status = 0};
    if (upload->parts == NET_S3_PARTS_MAX) {
        return why_set(why, ERR_LIMIT, NULL, "An object has at most %d parts.", NET_S3_PARTS_MAX);
    }
    arena_init(&scratch, 0);
    r.query[r.query_count++] =
        (struct s3_pair){SLICE_LIT("partNumber"), slice_format(&scratch, "%u", upload->parts + 1)};
    r.query[r.query_count++] = (struct s3_pair){SLICE_LIT("uploadId"), slice_text(upload->id)};
    enum err e = send(s3, &scratch, &r, &reply, why);
    bool clean = e == OK && reply.kept.len > 0 && reply.kept.len < ETAG_MAX &&
                 slice_find(reply.kept, '<') < 0 && slice_find(reply.kept, '&') < 0 &&
                 slice_find(reply.kept, 0) < 0;
    if (e == OK && !clean) {
        e = why_set(why, ERR_UPSTREAM, NULL, "%s does not acknowledge a part.", s3->origin);
    }
    if (e == OK) {
        buf_add_slice(&upload->etags, reply.kept);
        buf_add_byte(&upload->etags, 0);
        upload->parts++;
    }
    arena_free(&scratch);
    return e;
}

static void forget(struct net_s3_upload *upload)
{
    arena_free(&upload->arena);
    *upload = (struct net_s3_upload){.parts = 0};
}

enum err net_s3_upload_complete(struct net_s3 *s3, struct net_s3_upload *upload, struct why *why)
{
    struct request r = {.method = "POST", .key = upload->key};
    struct buf body;
    const char *etag = (const char *)upload->etags.ptr;
    buf_init(&body, &upload->arena, 128 + upload->etags.len * 2);
    buf_add_text(&body, "<CompleteMultipartUpload>");
    for (unsigned i = 0; i < upload->parts; i++) {
        buf_format(&body, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", i + 1, etag);
        etag += strlen(etag) + 1;
    }
    buf_add_text(&body, "</CompleteMultipartUpload>");
    r.query[r.query_count++] = (struct s3_pair){SLICE_LIT("uploadId"), slice_text(upload->id)};
    r.body = buf_slice(&body);
    enum err e = send_alone(s3, &r, why);
    if (e == OK) {
        forget(upload);
    }
    return e;
}

void net_s3_upload_abort(struct net_s3 *s3, struct net_s3_upload *upload)
{
    if (upload->id == NULL) {
        return;
    }
    struct request r = {.method = "DELETE", .key = upload->key};
    r.query[r.query_count++] = (struct s3_pair){SLICE_LIT("uploadId"), slice_text(upload->id)};
    /* Parts that stay are invisible; a lifecycle rule of the bucket ends them in time. */
    (void)(send_alone(s3, &r, NULL) == OK);
    forget(upload);
}

/* ---- presigned ---- */

struct slice net_s3_presign(const struct net_s3 *s3, struct arena *arena, const char *method,
                            const char *key, int64_t now_usec, uint32_t life_sec)
{
    ASSERT(life_sec > 0 && life_sec <= PRESIGN_SEC_MAX);
    char *date = arena_alloc(arena, S3_DATE_TEXT_MAX);
    const struct net_header host = {SLICE_LIT("host"), slice_text(s3->host)};
    struct s3_pair query[QUERY_MAX];
    size_t count = 0;
    struct s3_signing signing = {
        .method = method,
        .path = path_of(s3, arena, key),
        .query = query,
        .headers = &host,
        .header_count = 1,
        .payload_hash = SLICE_LIT("UNSIGNED-PAYLOAD"), /* whoever has the URL has the body */
        .now_usec = now_usec,
        .region = s3->options.region,
        .service = "s3",
        .key_id = secret_slice(s3->options.key_id),
        .secret = secret_slice(s3->options.secret),
    };
    struct slice scope = s3_scope(arena, &signing);
    s3_date(now_usec, date);
    query[count++] = (struct s3_pair){SLICE_LIT("X-Amz-Algorithm"), SLICE_LIT("AWS4-HMAC-SHA256")};
    query[count++] = (struct s3_pair){
        SLICE_LIT("X-Amz-Credential"),
        slice_format(arena, "%.*s/%.*s", SLICE_ARG(signing.key_id), SLICE_ARG(scope))};
    query[count++] = (struct s3_pair){SLICE_LIT("X-Amz-Date"), slice_text(date)};
    query[count++] =
        (struct s3_pair){SLICE_LIT("X-Amz-Expires"), slice_format(arena, "%u", life_sec)};
    if (secret_len(s3->options.session_token) > 0) {
        query[count++] = (struct s3_pair){SLICE_LIT("X-Amz-Security-Token"),
                                          secret_slice(s3->options.session_token)};
    }
    query[count++] = (struct s3_pair){SLICE_LIT("X-Amz-SignedHeaders"), SLICE_LIT("host")};
    signing.query_count = count;
    struct slice signature = s3_signature(arena, &signing);
    struct slice url = url_of(s3, arena, signing.path, query, count);
    return slice_format(arena, "%.*s&X-Amz-Signature=%.*s", SLICE_ARG(url), SLICE_ARG(signature));
}
