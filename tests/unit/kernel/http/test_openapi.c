#include "kernel/http/openapi.h"
#include "unit/test.h"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static enum err nothing(struct http_call *call, struct why *why)
{
    return OK;
}

#define THING "{\"type\":\"object\",\"properties\":{\"a<b\":{\"type\":\"string\"}}}"

static const char *const keys[] = {"status", "other", NULL};
static const char *const aliases[] = {"/things/{id}", NULL};
static const enum err errors[] = {ERR_NOT_FOUND, ERR_CONFLICT, OK};

static const struct http_route rows[] = {
    {.method = HTTP_GET,
     .path = "/api/v1/things/{id}",
     .aliases = aliases,
     .handler = nothing,
     .tag = "things",
     .operation = "getThing",
     .summary = "One thing.",
     .reply_schema = THING,
     .errors = errors},
    {.method = HTTP_GET,
     .path = "/api/v1/things",
     .handler = nothing,
     .flags = HTTP_LIST,
     .query_keys = keys,
     .tag = "things",
     .operation = "listThings",
     .summary = "Things.",
     .reply_schema = "{\"type\":\"array\",\"items\":" THING "}"},
    {.method = HTTP_POST,
     .path = "/api/v1/things",
     .handler = nothing,
     .flags = HTTP_JSON_BODY,
     .roles = HTTP_ROLE_ISSUER | HTTP_ROLE_OPERATOR,
     .tag = "things",
     .operation = "makeThing",
     .summary = "Makes a thing.",
     .body_schema = "{\"type\":\"object\"}",
     .reply_schema = THING,
     .reply_status = 201,
     .reply_status_other = 200},
    {.method = HTTP_GET,
     .path = "/well",
     .handler = nothing,
     .flags = HTTP_RAW | HTTP_NO_STORE | HTTP_UNLIMITED,
     .tag = "operations",
     .operation = "well",
     .summary = "Is it <well>?",
     .reply_type = "text/plain",
     .reply_status_other = 503},
    {.method = HTTP_DELETE,
     .path = "/api/v1/things/{id}",
     .handler = nothing,
     .flags = HTTP_OPERATOR,
     .tag = "things",
     .operation = "dropThing",
     .summary = "Drops it.",
     .reply_status = 204},
    {.method = HTTP_GET,
     .path = "/talk",
     .handler = nothing,
     .flags = HTTP_RAW,
     .tag = "things",
     .operation = "talk",
     .summary = "A conversation.",
     .reply_status = 101},
    {.method = HTTP_PUT,
     .path = "/file",
     .handler = nothing,
     .tag = "things",
     .operation = "putFile",
     .summary = "Takes a file.",
     .body_type = "multipart/form-data",
     .body_schema = "{\"type\":\"object\"}"},
};

static const struct http_query_doc docs[] = {
    {"status", "{\"enum\":[\"new\"]}", "In this & that state."},
    {NULL, NULL, NULL},
};
static const struct http_table tables[] = {{.routes = rows, .count = 4, .query_docs = docs},
                                           {.routes = rows + 4, .count = 3}};
static const struct http_about about = {
    .title = "T", .version = "1.2.3", .summary = "S", .license = "MIT"};

static const struct json *document(void)
{
    struct buf out;
    struct why why = {.err = OK};
    const struct json *d = NULL;
    buf_init(&out, &arena, 1024);
    http_openapi_write(tables, 2, &about, &out);
    enum err e = json_parse(&arena, buf_slice(&out), &json_limits_body, &d, &why);
    if (e) {
        fail_msg("%s", why_text(&why, e));
    }
    return d;
}

/* The value at a path of keys; it must be there. Keys have slashes, so they are apart by blanks. */
static const struct json *at(const struct json *v, const char *path)
{
    struct slice rest = slice_text(path);
    struct slice key;
    bool more = true;
    while (more) {
        more = slice_cut(rest, ' ', &key, &rest);
        const struct json *next = json_find(v, slice_cstr(&arena, key));
        if (!next) {
            fail_msg("there is no %s in %s", slice_cstr(&arena, key), path);
        }
        v = next;
    }
    return v;
}

static void assert_text(const struct json *v, const char *path, const char *expected)
{
    struct buf text;
    buf_init(&text, &arena, 64);
    json_write(&text, at(v, path));
    assert_string_equal(slice_cstr(&arena, buf_slice(&text)), expected);
}

static void a_path_has_its_methods_once(void **state)
{
    const struct json *paths = at(document(), "paths");
    assert_int_equal(paths->count, 5);
    assert_int_equal(at(paths, "/api/v1/things/{id}")->count, 2);
    assert_text(paths, "/api/v1/things/{id} get operationId", "\"getThing\"");
    assert_text(paths, "/api/v1/things/{id} delete operationId", "\"dropThing\"");
    assert_text(paths, "/api/v1/things/{id} get x-aliases", "[\"/things/{id}\"]");
    assert_text(document(), "tags", "[{\"name\":\"operations\"},{\"name\":\"things\"}]");
}

static void the_order_of_tables_does_not_matter(void **state)
{
    const struct http_table turned[] = {tables[1], tables[0]};
    struct buf a;
    struct buf b;
    buf_init(&a, &arena, 1024);
    buf_init(&b, &arena, 1024);
    http_openapi_write(tables, 2, &about, &a);
    http_openapi_write(turned, 2, &about, &b);
    assert_true(slice_equal(buf_slice(&a), buf_slice(&b)));
}

static void parameters_are_those_of_path_query_list_and_key(void **state)
{
    const struct json *paths = at(document(), "paths");
    assert_text(paths, "/api/v1/things/{id} get parameters",
                "[{\"name\":\"id\",\"in\":\"path\",\"required\":true,"
                "\"schema\":{\"type\":\"string\"}}]");
    assert_text(paths, "/api/v1/things get parameters",
                "[{\"name\":\"status\",\"in\":\"query\",\"description\":\"In this & that state.\","
                "\"schema\":{\"enum\":[\"new\"]}},{\"name\":\"other\",\"in\":\"query\","
                "\"schema\":{\"type\":\"string\"}},"
                "{\"$ref\":\"#/components/parameters/Limit\"},"
                "{\"$ref\":\"#/components/parameters/Cursor\"},"
                "{\"$ref\":\"#/components/parameters/Offset\"}]");
    assert_text(paths, "/api/v1/things post parameters",
                "[{\"$ref\":\"#/components/parameters/IdempotencyKey\"}]");
}

static void success_is_in_the_envelope_unless_raw(void **state)
{
    const struct json *paths = at(document(), "paths");
    assert_text(paths,
                "/api/v1/things/{id} get responses 200 content application/json schema properties",
                "{\"success\":{\"const\":true},"
                "\"data\":{\"$ref\":\"#/components/schemas/MakeThingData\"}}");
    const struct json *list =
        at(paths, "/api/v1/things get responses 200 content application/json schema");
    assert_text(list, "required", "[\"success\",\"data\",\"nextCursor\"]");
    assert_text(list, "properties data", "{\"$ref\":\"#/components/schemas/ListThingsData\"}");
    assert_text(paths, "/well get responses 200 content text/plain schema",
                "{\"type\":\"string\"}");
    assert_text(paths, "/well get responses 503 content text/plain schema",
                "{\"type\":\"string\"}");
    assert_null(json_find(at(paths, "/api/v1/things/{id} delete responses 204"), "content"));
    assert_null(json_find(at(paths, "/talk get responses 101"), "content"));
    assert_non_null(at(paths, "/file put requestBody content multipart/form-data schema"));
    assert_non_null(json_find(at(paths, "/api/v1/things/{id} get responses"), "304"));
}

static void equal_schemas_have_one_name(void **state)
{
    const struct json *d = document();
    const struct json *made =
        at(d, "paths /api/v1/things post responses 201 content application/json schema");
    assert_text(made, "properties data", "{\"$ref\":\"#/components/schemas/MakeThingData\"}");
    assert_text(d, "paths /api/v1/things post responses 200 description", "\"OK\"");
    assert_text(d, "components schemas MakeThingData", THING);
    assert_null(json_find(at(d, "components schemas"), "GetThingData"));
    assert_text(d, "paths /api/v1/things post requestBody content application/json schema",
                "{\"$ref\":\"#/components/schemas/MakeThingBody\"}");
}

/* The codes that a status of an operation can have, as the document says; NULL without it. */
static const struct json *codes(const struct json *d, const char *operation, const char *status)
{
    const struct json *responses = at(at(d, "paths"), operation);
    const struct json *response = json_find(at(responses, "responses"), status);
    if (!response) {
        return NULL;
    }
    struct slice ref = at(response, "$ref")->text;
    struct slice name = slice_sub(ref, strlen("#/components/responses/"), ref.len);
    const struct json *shared = at(at(d, "components responses"), slice_cstr(&arena, name));
    const struct json *all = at(shared, "content application/json schema allOf");
    assert_text(json_at(all, 0), "$ref", "\"#/components/schemas/Failure\"");
    return at(json_at(all, 1), "properties code enum");
}

static bool has_code(const struct json *list, const char *code)
{
    for (const struct json *c = list ? list->child : NULL; c; c = c->next) {
        if (slice_equal_text(c->text, code)) {
            return true;
        }
    }
    return false;
}

static void refusals_are_those_of_the_row_and_of_the_server(void **state)
{
    const struct json *d = document();
    const char *get = "/api/v1/things/{id} get";
    const char *post = "/api/v1/things post";
    assert_true(has_code(codes(d, get, "404"), "not_found"));
    assert_true(has_code(codes(d, get, "409"), "conflict"));
    assert_false(has_code(codes(d, get, "409"), "in_progress"));
    assert_true(has_code(codes(d, get, "401"), "unauthenticated"));
    assert_null(codes(d, get, "403"));
    assert_true(has_code(codes(d, get, "429"), "rate_limited"));
    assert_true(has_code(codes(d, get, "503"), "db_busy"));
    assert_true(has_code(codes(d, get, "500"), "internal"));
    assert_true(has_code(codes(d, post, "409"), "in_progress"));
    assert_true(has_code(codes(d, post, "409"), "idempotency_mismatch"));
    assert_true(has_code(codes(d, post, "400"), "invalid_json"));
    assert_true(has_code(codes(d, post, "403"), "forbidden"));
    assert_null(codes(d, "/well get", "401"));
    assert_null(codes(d, "/well get", "429"));
}

static void who_may_call_is_told(void **state)
{
    const struct json *d = document();
    assert_text(d, "paths /api/v1/things post x-roles", "[\"issuer\",\"operator\"]");
    assert_text(d, "paths /api/v1/things post security", "[{\"bearer\":[]}]");
    assert_text(d, "paths /api/v1/things/{id} get security", "[{\"bearer\":[]},{}]");
    assert_text(d, "paths /api/v1/things/{id} delete x-operators", "true");
    assert_text(d, "x-errors rate_limited retryable", "true");
    assert_text(d, "x-errors not_found status", "404");
}

static void the_page_names_everything_and_escapes_it(void **state)
{
    struct buf out;
    buf_init(&out, &arena, 1024);
    http_page_write(tables, 2, &about, &arena, &out);
    const char *page = slice_cstr(&arena, buf_slice(&out));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice id = slice_format(&arena, "id=\"%s\"", rows[i].operation);
        assert_non_null(strstr(page, slice_cstr(&arena, id)));
    }
    assert_non_null(strstr(page, "Is it &lt;well&gt;?"));
    assert_null(strstr(page, "<well>"));
    assert_non_null(strstr(page, "a&lt;b?: string"));
    assert_non_null(strstr(page, "href=\"docs.css\""));
    assert_non_null(strstr(page, "<code>status</code> In this &amp; that state.<br><code>other"));
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "style="));
}

static struct slice given(const struct http_table *table, size_t row, struct http_call *call)
{
    struct buf raw;
    buf_init(&raw, &arena, 64);
    *call = (struct http_call){.ctx = table->ctx, .raw = &raw};
    assert_int_equal(table->routes[row].handler(call, NULL), OK);
    return buf_slice(&raw);
}

static void documents_are_given_as_they_were_written(void **state)
{
    struct http_documents documents;
    struct http_call call;
    struct buf expected;
    const struct http_table table = http_documents_table(&documents);
    http_documents_init(&documents, &table, 1, &about, &arena);
    buf_init(&expected, &arena, 64);
    http_openapi_write(&table, 1, &about, &expected);
    assert_int_equal(table.count, 3);
    assert_true(slice_equal(given(&table, 0, &call), buf_slice(&expected)));
    assert_string_equal(call.content_type, "application/json");
    assert_int_equal(call.etag.len, 32);
    (void)given(&table, 1, &call);
    assert_string_equal(call.content_type, "text/html; charset=utf-8");
    (void)given(&table, 2, &call);
    assert_string_equal(call.content_type, "text/css; charset=utf-8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_has_its_methods_once),
        cmocka_unit_test(the_order_of_tables_does_not_matter),
        cmocka_unit_test(parameters_are_those_of_path_query_list_and_key),
        cmocka_unit_test(success_is_in_the_envelope_unless_raw),
        cmocka_unit_test(equal_schemas_have_one_name),
        cmocka_unit_test(refusals_are_those_of_the_row_and_of_the_server),
        cmocka_unit_test(who_may_call_is_told),
        cmocka_unit_test(the_page_names_everything_and_escapes_it),
        cmocka_unit_test(documents_are_given_as_they_were_written),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
