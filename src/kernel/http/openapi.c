#include "kernel/http/openapi.h"

#include "kernel/base/check.h"
#include "kernel/http/http_internal.h"

#define SCHEMAS_MAX 1024
#define REFUSALS_MAX 512
#define NAME_MAX_BYTES 96

static const char *const member_names[HTTP_METHODS] = {"get", "post", "put", "patch", "delete"};

/* A schema that was given a name: the same text has one name. */
struct schema {
    const char *text;
    char name[NAME_MAX_BYTES];
};

/* What one status refuses with. */
struct refusal {
    int status;
    bool codes[ERR_COUNT];
    char name[NAME_MAX_BYTES];
};

struct row {
    const struct http_route *route;
    const struct http_query_doc *query_docs; /* of its table */
};

struct document {
    struct json_out j;
    struct row *rows; /* by path and method, whatever the order of the tables */
    size_t row_count;
    struct schema *schemas;
    size_t schema_count;
    struct refusal *refusals;
    size_t refusal_count;
};

/* ---- small writers ------------------------------------------------------------------------------
 */

static void member(struct json_out *j, const char *key, const char *text)
{
    json_key(j, key);
    json_text(j, text);
}

static void reference(struct json_out *j, const char *kind, const char *name)
{
    struct buf path;
    buf_init(&path, j->buf->arena, 64);
    buf_format(&path, "#/components/%s/%s", kind, name);
    json_begin_object(j);
    json_key(j, "$ref");
    json_string(j, buf_slice(&path));
    json_end_object(j);
}

static void string_schema(struct json_out *j)
{
    json_key(j, "schema");
    json_begin_object(j);
    member(j, "type", "string");
    json_end_object(j);
}

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {304, "Not Modified: the client has it, by If-None-Match."},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].status == status) {
            return texts[i].text;
        }
    }
    return "As asked.";
}

/* "registerAsset" + "Data" -> "RegisterAssetData" */
static void compose_name(char out[NAME_MAX_BYTES], const char *operation, const char *kind)
{
    int len = snprintf(out, NAME_MAX_BYTES, "%s%s", operation, kind);
    ASSERT(len > 0 && len < NAME_MAX_BYTES);
    if (out[0] >= 'a' && out[0] <= 'z') {
        out[0] = (char)(out[0] - 'a' + 'A');
    }
}

static const char *schema_name(struct document *d, const char *text, const char *operation,
                               const char *kind)
{
    for (size_t i = 0; i < d->schema_count; i++) {
        if (strcmp(d->schemas[i].text, text) == 0) {
            return d->schemas[i].name;
        }
    }
    ASSERT(d->schema_count < SCHEMAS_MAX);
    struct schema *s = &d->schemas[d->schema_count++];
    s->text = text;
    compose_name(s->name, operation, kind);
    return s->name;
}

static const char *refusal_name(struct document *d, const struct refusal *wanted)
{
    int same_status = 0;
    for (size_t i = 0; i < d->refusal_count; i++) {
        struct refusal *have = &d->refusals[i];
        if (have->status != wanted->status) {
            continue;
        }
        if (memcmp(have->codes, wanted->codes, sizeof have->codes) == 0) {
            return have->name;
        }
        same_status++;
    }
    ASSERT(d->refusal_count < REFUSALS_MAX);
    struct refusal *r = &d->refusals[d->refusal_count++];
    *r = *wanted;
    int len = same_status == 0
                  ? snprintf(r->name, sizeof r->name, "Refused%d", r->status)
                  : snprintf(r->name, sizeof r->name, "Refused%dv%d", r->status, same_status + 1);
    ASSERT(len > 0 && (size_t)len < sizeof r->name);
    return r->name;
}

/* ---- parameters ---------------------------------------------------------------------------------
 */

static void path_parameters(struct json_out *j, const char *path)
{
    struct slice rest = slice_text(path);
    struct slice before;
    struct slice name;
    while (slice_cut(rest, '{', &before, &rest) && slice_cut(rest, '}', &name, &rest)) {
        json_begin_object(j);
        json_key(j, "name");
        json_string(j, name);
        member(j, "in", "path");
        json_key(j, "required");
        json_bool(j, true);
        string_schema(j);
        json_end_object(j);
    }
}

static void query_parameter(struct json_out *j, const struct row *row, const char *name)
{
    const struct http_query_doc *doc = http_query_doc_find(row->query_docs, name);
    json_begin_object(j);
    member(j, "name", name);
    member(j, "in", "query");
    if (doc) {
        member(j, "description", doc->doc);
        json_key(j, "schema");
        json_raw(j, slice_text(doc->schema));
    } else {
        string_schema(j);
    }
    json_end_object(j);
}

static void write_parameters(struct document *d, const struct row *row)
{
    struct json_out *j = &d->j;
    const struct http_route *r = row->route;
    json_key(j, "parameters");
    json_begin_array(j);
    path_parameters(j, r->path);
    for (size_t i = 0; r->query_keys && r->query_keys[i]; i++) {
        query_parameter(j, row, r->query_keys[i]);
    }
    if (r->flags & HTTP_LIST) {
        reference(j, "parameters", "Limit");
        reference(j, "parameters", "Cursor");
        reference(j, "parameters", "Offset");
    }
    if (http_takes_key(r)) {
        reference(j, "parameters", "IdempotencyKey");
    }
    json_end_array(j);
}

static void named_parameter(struct json_out *j, const char *key, const char *name, const char *in,
                            const char *doc, const char *schema)
{
    json_key(j, key);
    json_begin_object(j);
    member(j, "name", name);
    member(j, "in", in);
    member(j, "description", doc);
    json_key(j, "schema");
    json_raw(j, slice_text(schema));
    json_end_object(j);
}

static void write_shared_parameters(struct json_out *j)
{
    json_key(j, "parameters");
    json_begin_object(j);
    named_parameter(j, "Limit", "limit", "query", "How many at most.",
                    "{\"type\":\"integer\",\"minimum\":1,\"maximum\":200,\"default\":50}");
    named_parameter(j, "Cursor", "cursor", "query",
                    "Where to go on: nextCursor of the answer before. Not together with offset.",
                    "{\"type\":\"string\"}");
    named_parameter(j, "Offset", "offset", "query",
                    "How many to pass over. Not together with cursor.",
                    "{\"type\":\"integer\",\"minimum\":0,\"default\":0}");
    named_parameter(j, "IdempotencyKey", "Idempotency-Key", "header",
                    "A request with this key runs once for 7 days; the same again is given the "
                    "same answer.",
                    "{\"type\":\"string\",\"pattern\":\"^[!-~]{1,255}$\"}");
    json_end_object(j);
}

/* ---- answers ------------------------------------------------------------------------------------
 */

static void header_reference(struct json_out *j, const char *header, const char *name)
{
    json_key(j, header);
    reference(j, "headers", name);
}

static void limit_headers(struct json_out *j)
{
    header_reference(j, "X-RateLimit-Limit", "RateLimit");
    header_reference(j, "X-RateLimit-Remaining", "RateLimitRemaining");
    header_reference(j, "X-RateLimit-Reset", "RateLimitReset");
}

static void success_headers(struct json_out *j, const struct http_route *r, int status)
{
    json_key(j, "headers");
    json_begin_object(j);
    header_reference(j, "X-Request-Id", "RequestId");
    if (r->method == HTTP_GET && !(r->flags & HTTP_DETACHES) && (status == 200 || status == 304)) {
        header_reference(j, "ETag", "ETag");
    }
    if (http_takes_key(r)) {
        header_reference(j, "Idempotency-Replayed", "IdempotencyReplayed");
    }
    if (http_is_counted(r)) {
        limit_headers(j);
    }
    json_end_object(j);
}

static void data_schema(struct document *d, const struct http_route *r)
{
    if (r->reply_schema) {
        reference(&d->j, "schemas", schema_name(d, r->reply_schema, r->operation, "Data"));
    } else if (r->reply_type) {
        json_raw(&d->j, SLICE_LIT("{\"type\":\"string\"}"));
    } else {
        json_raw(&d->j, SLICE_LIT("{}"));
    }
}

static void envelope_schema(struct document *d, const struct http_route *r)
{
    struct json_out *j = &d->j;
    bool is_list = (r->flags & HTTP_LIST) != 0;
    json_begin_object(j);
    member(j, "type", "object");
    json_key(j, "required");
    json_raw(j, is_list ? SLICE_LIT("[\"success\",\"data\",\"nextCursor\"]")
                        : SLICE_LIT("[\"success\",\"data\"]"));
    json_key(j, "properties");
    json_begin_object(j);
    json_key(j, "success");
    json_raw(j, SLICE_LIT("{\"const\":true}"));
    json_key(j, "data");
    data_schema(d, r);
    if (is_list) {
        json_key(j, "nextCursor");
        json_raw(j, SLICE_LIT("{\"type\":[\"string\",\"null\"],"
                              "\"description\":\"null at the end\"}"));
        json_key(j, "count");
        json_raw(j, SLICE_LIT("{\"type\":\"integer\",\"minimum\":0,"
                              "\"description\":\"of all that match, where it is known\"}"));
    }
    json_end_object(j);
    json_key(j, "additionalProperties");
    json_bool(j, false);
    json_end_object(j);
}

static void write_status(struct json_out *j, int status)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", status);
    json_key(j, text);
}

static void write_success(struct document *d, const struct http_route *r, int status)
{
    struct json_out *j = &d->j;
    write_status(j, status);
    json_begin_object(j);
    member(j, "description", status_text(status));
    success_headers(j, r, status);
    if (status != 101 && status != 204 && status != 304) {
        bool raw = (r->flags & HTTP_RAW) != 0;
        json_key(j, "content");
        json_begin_object(j);
        json_key(j, raw && r->reply_type ? r->reply_type : "application/json");
        json_begin_object(j);
        json_key(j, "schema");
        if (raw) {
            data_schema(d, r);
        } else {
            envelope_schema(d, r);
        }
        json_end_object(j);
        json_end_object(j);
    }
    json_end_object(j);
}

static void write_refusals(struct document *d, const struct http_route *r)
{
    bool codes[ERR_COUNT] = {false};
    http_codes_collect(r, codes);
    for (int status = 400; status < 600; status++) {
        struct refusal refusal = {.status = status};
        bool any = false;
        for (int e = OK + 1; e < ERR_COUNT; e++) {
            refusal.codes[e] = codes[e] && err_http_status((enum err)e) == status;
            any = any || refusal.codes[e];
        }
        /* Where the handler tells trouble itself, its body takes the place of ours. */
        if (any && status != r->reply_status_other) {
            write_status(&d->j, status);
            reference(&d->j, "responses", refusal_name(d, &refusal));
        }
    }
}

static void write_responses(struct document *d, const struct http_route *r)
{
    int status = r->reply_status ? r->reply_status : 200;
    json_key(&d->j, "responses");
    json_begin_object(&d->j);
    write_success(d, r, status);
    if (r->reply_status_other) {
        write_success(d, r, r->reply_status_other);
    }
    if (r->method == HTTP_GET && !(r->flags & HTTP_DETACHES)) {
        write_success(d, r, 304);
    }
    write_refusals(d, r);
    json_end_object(&d->j);
}

/* ---- operations ---------------------------------------------------------------------------------
 */

static void write_body(struct document *d, const struct http_route *r)
{
    struct json_out *j = &d->j;
    if (!r->body_schema && !(r->flags & HTTP_JSON_BODY)) {
        return;
    }
    json_key(j, "requestBody");
    json_begin_object(j);
    json_key(j, "required");
    json_bool(j, true);
    json_key(j, "content");
    json_begin_object(j);
    json_key(j, r->body_type ? r->body_type : "application/json");
    json_begin_object(j);
    json_key(j, "schema");
    if (r->body_schema) {
        reference(j, "schemas", schema_name(d, r->body_schema, r->operation, "Body"));
    } else {
        json_raw(j, SLICE_LIT("{\"type\":\"object\"}"));
    }
    json_end_object(j);
    json_end_object(j);
    json_end_object(j);
}

/* Without credentials a route for operators is answered on the machine itself, if no token is set.
 */
static void write_policy(struct json_out *j, const struct http_route *r)
{
    json_key(j, "security");
    json_raw(j, r->roles ? SLICE_LIT("[{\"bearer\":[]}]") : SLICE_LIT("[{\"bearer\":[]},{}]"));
    if (r->flags & HTTP_OPERATOR) {
        json_key(j, "x-operators");
        json_bool(j, true);
    }
    if (r->roles) {
        struct slice rest = http_roles_text(j->buf->arena, r->roles);
        struct slice role;
        bool more = true;
        json_key(j, "x-roles");
        json_begin_array(j);
        while (more) {
            more = slice_cut(rest, ',', &role, &rest);
            json_string(j, slice_trim(role));
        }
        json_end_array(j);
    }
}

static void write_aliases(struct json_out *j, const struct http_route *r)
{
    if (!r->aliases || !r->aliases[0]) {
        return;
    }
    json_key(j, "x-aliases");
    json_begin_array(j);
    for (size_t i = 0; r->aliases[i]; i++) {
        json_text(j, r->aliases[i]);
    }
    json_end_array(j);
}

static void write_operation(struct document *d, const struct row *row)
{
    struct json_out *j = &d->j;
    const struct http_route *r = row->route;
    ASSERT(r->operation && r->tag && r->summary);
    json_key(j, member_names[r->method]);
    json_begin_object(j);
    member(j, "operationId", r->operation);
    json_key(j, "tags");
    json_begin_array(j);
    json_text(j, r->tag);
    json_end_array(j);
    member(j, "summary", r->summary);
    write_policy(j, r);
    if (r->flags & HTTP_LIST) {
        json_key(j, "x-list");
        json_bool(j, true);
    }
    write_aliases(j, r);
    write_parameters(d, row);
    write_body(d, r);
    write_responses(d, r);
    json_end_object(j);
}

static void write_paths(struct document *d)
{
    json_key(&d->j, "paths");
    json_begin_object(&d->j);
    for (size_t i = 0; i < d->row_count;) {
        const char *path = d->rows[i].route->path;
        json_key(&d->j, path);
        json_begin_object(&d->j);
        for (; i < d->row_count && strcmp(d->rows[i].route->path, path) == 0; i++) {
            write_operation(d, &d->rows[i]);
        }
        json_end_object(&d->j);
    }
    json_end_object(&d->j);
}

/* ---- components ---------------------------------------------------------------------------------
 */

static void write_schemas(struct document *d)
{
    struct json_out *j = &d->j;
    json_key(j, "schemas");
    json_begin_object(j);
    json_key(j, "Failure");
    json_raw(j, SLICE_LIT("{\"type\":\"object\",\"required\":[\"success\",\"error\",\"code\","
                          "\"requestId\"],\"properties\":{\"success\":{\"const\":false},"
                          "\"error\":{\"type\":\"string\",\"minLength\":1,"
                          "\"description\":\"a sentence for people\"},"
                          "\"code\":{\"type\":\"string\",\"description\":\"see x-errors\"},"
                          "\"field\":{\"type\":\"string\",\"description\":\"which one is meant\"},"
                          "\"details\":{},"
                          "\"requestId\":{\"type\":\"string\",\"minLength\":1}}}"));
    for (size_t i = 0; i < d->schema_count; i++) {
        json_key(j, d->schemas[i].name);
        json_raw(j, slice_text(d->schemas[i].text));
    }
    json_end_object(j);
}

static void refusal_description(struct json_out *j, const struct refusal *r)
{
    struct buf text;
    buf_init(&text, j->buf->arena, 256);
    for (int e = OK + 1; e < ERR_COUNT; e++) {
        if (r->codes[e]) {
            buf_format(&text, "%s%s: %s", text.len > 0 ? "\n" : "", err_code((enum err)e),
                       err_sentence((enum err)e));
        }
    }
    json_key(j, "description");
    json_string(j, buf_slice(&text));
}

static void refusal_headers(struct json_out *j, const struct refusal *r)
{
    json_key(j, "headers");
    json_begin_object(j);
    header_reference(j, "X-Request-Id", "RequestId");
    if (r->status == 429 || r->status == 503 || r->codes[ERR_IN_PROGRESS]) {
        header_reference(j, "Retry-After", "RetryAfter");
    }
    if (r->status == 429) {
        limit_headers(j);
    }
    json_end_object(j);
}

static void write_refusal(struct json_out *j, const struct refusal *r)
{
    json_key(j, r->name);
    json_begin_object(j);
    refusal_description(j, r);
    refusal_headers(j, r);
    json_key(j, "content");
    json_begin_object(j);
    json_key(j, "application/json");
    json_begin_object(j);
    json_key(j, "schema");
    json_begin_object(j);
    json_key(j, "allOf");
    json_begin_array(j);
    reference(j, "schemas", "Failure");
    json_begin_object(j);
    json_key(j, "properties");
    json_begin_object(j);
    json_key(j, "code");
    json_begin_object(j);
    json_key(j, "enum");
    json_begin_array(j);
    for (int e = OK + 1; e < ERR_COUNT; e++) {
        if (r->codes[e]) {
            json_text(j, err_code((enum err)e));
        }
    }
    json_end_array(j);
    json_end_object(j);
    json_end_object(j);
    json_end_object(j);
    json_end_array(j);
    json_end_object(j);
    json_end_object(j);
    json_end_object(j);
    json_end_object(j);
}

static void named_header(struct json_out *j, const char *name, const char *doc, const char *schema)
{
    json_key(j, name);
    json_begin_object(j);
    member(j, "description", doc);
    json_key(j, "schema");
    json_raw(j, slice_text(schema));
    json_end_object(j);
}

static void write_headers(struct json_out *j)
{
    static const char number[] = "{\"type\":\"integer\",\"minimum\":0}";
    json_key(j, "headers");
    json_begin_object(j);
    named_header(j, "RequestId", "The id of the request, as the log has it.",
                 "{\"type\":\"string\"}");
    named_header(j, "ETag", "The validator of this answer.", "{\"type\":\"string\"}");
    named_header(j, "IdempotencyReplayed", "The answer was given before, to the same key.",
                 "{\"const\":\"true\"}");
    named_header(j, "RetryAfter", "Seconds after which to try again.", number);
    named_header(j, "RateLimit",
                 "Requests of one client in any 60 seconds, where they are limited.", number);
    named_header(j, "RateLimitRemaining", "How many are left.", number);
    named_header(j, "RateLimitReset", "Seconds until all are back.", number);
    json_end_object(j);
}

static void write_components(struct document *d)
{
    struct json_out *j = &d->j;
    json_key(j, "components");
    json_begin_object(j);
    json_key(j, "securitySchemes");
    json_raw(j, SLICE_LIT("{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\","
                          "\"description\":\"An API key, or http.operator_token.\"}}"));
    write_shared_parameters(j);
    write_headers(j);
    json_key(j, "responses");
    json_begin_object(j);
    for (size_t i = 0; i < d->refusal_count; i++) {
        write_refusal(j, &d->refusals[i]);
    }
    json_end_object(j);
    write_schemas(d);
    json_end_object(j);
}

static void write_errors(struct json_out *j)
{
    json_key(j, "x-errors");
    json_begin_object(j);
    for (int e = OK + 1; e < ERR_COUNT; e++) {
        json_key(j, err_code((enum err)e));
        json_begin_object(j);
        json_key(j, "status");
        json_i64(j, err_http_status((enum err)e));
        json_key(j, "retryable");
        json_bool(j, err_retryable((enum err)e));
        member(j, "sentence", err_sentence((enum err)e));
        json_end_object(j);
    }
    json_end_object(j);
}

/* ---- the document -------------------------------------------------------------------------------
 */

static void write_info(struct json_out *j, const struct http_about *about)
{
    json_key(j, "info");
    json_begin_object(j);
    member(j, "title", about->title);
    member(j, "version", about->version);
    member(j, "summary", about->summary);
    json_key(j, "license");
    json_begin_object(j);
    member(j, "name", about->license);
    member(j, "identifier", about->license);
    json_end_object(j);
    json_end_object(j);
    json_key(j, "servers");
    json_raw(j, SLICE_LIT("[{\"url\":\"/\"}]"));
}

/* The smallest tag that is greater than one; NULL at the end. */
static const char *next_tag(const struct document *d, const char *tag)
{
    const char *found = NULL;
    for (size_t i = 0; i < d->row_count; i++) {
        const char *t = d->rows[i].route->tag;
        if (strcmp(t, tag) > 0 && (!found || strcmp(t, found) < 0)) {
            found = t;
        }
    }
    return found;
}

static void write_tags(struct document *d)
{
    json_key(&d->j, "tags");
    json_begin_array(&d->j);
    for (const char *tag = next_tag(d, ""); tag; tag = next_tag(d, tag)) {
        json_begin_object(&d->j);
        member(&d->j, "name", tag);
        json_end_object(&d->j);
    }
    json_end_array(&d->j);
}

static bool comes_before(const struct http_route *a, const struct http_route *b)
{
    int order = strcmp(a->path, b->path);
    return order < 0 || (order == 0 && a->method < b->method);
}

static void sort_rows(struct document *d, struct arena *arena, const struct http_table *tables,
                      size_t table_count)
{
    size_t count = 0;
    for (size_t t = 0; t < table_count; t++) {
        count += tables[t].count;
    }
    d->rows = arena_alloc_array(arena, count, sizeof(struct row));
    for (size_t t = 0; t < table_count; t++) {
        for (size_t r = 0; r < tables[t].count; r++) {
            const struct http_route *route = &tables[t].routes[r];
            size_t at = d->row_count++;
            for (; at > 0 && comes_before(route, d->rows[at - 1].route); at--) {
                d->rows[at] = d->rows[at - 1];
            }
            d->rows[at] = (struct row){.route = route, .query_docs = tables[t].query_docs};
        }
    }
}

void http_openapi_write(const struct http_table *tables, size_t table_count,
                        const struct http_about *about, struct buf *out)
{
    struct document d = {.row_count = 0};
    sort_rows(&d, out->arena, tables, table_count);
    d.schemas = arena_alloc_array(out->arena, SCHEMAS_MAX, sizeof *d.schemas);
    d.refusals = arena_alloc_array(out->arena, REFUSALS_MAX, sizeof *d.refusals);
    json_out_init(&d.j, out);
    json_begin_object(&d.j);
    member(&d.j, "openapi", "3.1.0");
    write_info(&d.j, about);
    write_tags(&d);
    write_paths(&d);
    write_components(&d);
    write_errors(&d.j);
    json_end_object(&d.j);
}
