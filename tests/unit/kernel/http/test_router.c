#include "kernel/http/http_internal.h"
#include "unit/test.h"

static struct arena boot;

static int setup(void **state)
{
    arena_init(&boot, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&boot);
    return 0;
}

static enum err nothing(struct http_call *call, struct why *why)
{
    return OK;
}

#define ROW(method_, path_)                                                                        \
    {                                                                                              \
        .method = method_, .path = path_, .handler = nothing                                       \
    }

static const struct http_router *build(const struct http_route *routes, size_t count)
{
    const struct http_router *router = NULL;
    const struct http_table table = {.routes = routes, .count = count, .ctx = (void *)&boot};
    struct why why = {.err = OK};
    enum err e = http_router_build(&boot, &table, 1, &router, &why);
    if (e) {
        fail_msg("%s", why_text(&why, e));
    }
    return router;
}

static enum err build_one(const char *path, struct why *why)
{
    const struct http_route routes[] = {ROW(HTTP_GET, path)};
    const struct http_table table = {.routes = routes, .count = 1};
    const struct http_router *router;
    return http_router_build(&boot, &table, 1, &router, why);
}

static struct http_match match(const struct http_router *router, int method, const char *path)
{
    struct http_segments segments;
    struct http_match found;
    assert_int_equal(http_path_decode(&boot, slice_text(path), &segments, NULL), OK);
    http_router_match(router, method, &segments, &found);
    return found;
}

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void literals_and_parameters_are_told_apart(void **state)
{
    static const struct http_route routes[] = {
        ROW(HTTP_GET, "/"),
        ROW(HTTP_GET, "/assets"),
        ROW(HTTP_GET, "/assets/{id}"),
        ROW(HTTP_GET, "/assets/{id}/holders"),
        ROW(HTTP_GET, "/assets/types"),
        ROW(HTTP_GET, "/{any}/x/{other}/y"),
    };
    const struct http_router *r = build(routes, COUNT(routes));
    assert_ptr_equal(match(r, HTTP_GET, "/").route, &routes[0]);
    assert_ptr_equal(match(r, HTTP_GET, "").route, &routes[0]);
    assert_ptr_equal(match(r, HTTP_GET, "/assets").route, &routes[1]);
    assert_ptr_equal(match(r, HTTP_GET, "/assets/").route, &routes[1]);
    assert_ptr_equal(match(r, HTTP_GET, "/assets/17").route, &routes[2]);
    assert_ptr_equal(match(r, HTTP_GET, "/assets/17/holders").route, &routes[3]);
    assert_ptr_equal(match(r, HTTP_GET, "/assets/types").route, &routes[4]);
    /* Back out of a literal that leads nowhere. */
    assert_ptr_equal(match(r, HTTP_GET, "/assets/types/holders").route, &routes[3]);
    assert_ptr_equal(match(r, HTTP_GET, "/assets/x/b/y").route, &routes[5]);
    assert_null(match(r, HTTP_GET, "/assets/17/holders/x").route);
    assert_null(match(r, HTTP_GET, "/asset").route);
    assert_null(match(r, HTTP_GET, "/Assets").route);
    assert_null(match(r, HTTP_GET, "//assets").route);
    assert_null(match(r, HTTP_GET, "/assets//holders").route);
}

static void parameters_have_their_rows_names(void **state)
{
    static const struct http_route routes[] = {
        ROW(HTTP_GET, "/a/{first}/b/{second}"),
        ROW(HTTP_POST, "/a/{x}/b/{y}"),
    };
    const struct http_router *r = build(routes, COUNT(routes));
    struct http_match m = match(r, HTTP_GET, "/a/one/b/t%20wo");
    assert_int_equal(m.param_count, 2);
    assert_ptr_equal(m.ctx, &boot);
    assert_true(slice_equal_text(m.params[0].name, "first"));
    assert_true(slice_equal_text(m.params[0].value, "one"));
    assert_true(slice_equal_text(m.params[1].name, "second"));
    assert_true(slice_equal_text(m.params[1].value, "t wo"));
    m = match(r, HTTP_POST, "/a/one/b/two");
    assert_true(slice_equal_text(m.params[0].name, "x"));
    assert_int_equal(m.methods, 1 << HTTP_GET | 1 << HTTP_POST);
}

static void methods_of_a_path_are_collected(void **state)
{
    static const struct http_route routes[] = {
        ROW(HTTP_GET, "/a/{id}"),
        ROW(HTTP_DELETE, "/a/{id}"),
        ROW(HTTP_POST, "/a/new"),
    };
    const struct http_router *r = build(routes, COUNT(routes));
    assert_ptr_equal(match(r, HTTP_GET, "/a/new").route, &routes[0]);
    struct http_match m = match(r, HTTP_PATCH, "/a/new");
    assert_null(m.route);
    assert_int_equal(m.methods, 1 << HTTP_GET | 1 << HTTP_DELETE | 1 << HTTP_POST);
    m = match(r, HTTP_METHOD_NONE, "/a/7");
    assert_null(m.route);
    assert_int_equal(m.methods, 1 << HTTP_GET | 1 << HTTP_DELETE);
    assert_int_equal(match(r, HTTP_GET, "/b").methods, 0);
}

static void aliases_lead_to_their_row(void **state)
{
    static const char *const aliases[] = {"/old/{id}", "/older/{id}/thing", NULL};
    static const struct http_route routes[] = {
        {.path = "/new/{id}", .aliases = aliases, .handler = nothing},
    };
    const struct http_router *r = build(routes, COUNT(routes));
    assert_ptr_equal(match(r, HTTP_GET, "/old/1").route, &routes[0]);
    struct http_match m = match(r, HTTP_GET, "/older/2/thing");
    assert_ptr_equal(m.route, &routes[0]);
    assert_true(slice_equal_text(m.params[0].value, "2"));
}

static void conflicts_are_refused(void **state)
{
    static const struct http_route routes[] = {
        ROW(HTTP_GET, "/a/{id}/b"),
        ROW(HTTP_GET, "/a/{name}/b/"),
    };
    const struct http_table table = {.routes = routes, .count = 2};
    const struct http_router *router = NULL;
    struct why why = {.err = OK};
    assert_int_equal(http_router_build(&boot, &table, 1, &router, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "/a/{id}/b"));
    assert_non_null(strstr(why.text, "/a/{name}/b"));
    assert_null(router);
}

static void malformed_patterns_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "a",
        "//",
        "/a//b",
        "/{}",
        "/a{id}",
        "/{id}x",
        "/{id}/{id}",
        "/x{id}/b",
        "/{id",
        "/id}",
        "/{a}/{b}/{c}/{d}/{e}/{f}/{g}",
        "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct why why = {.err = OK};
        if (build_one(bad[i], &why) != ERR_CONFIG) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
        assert_non_null(strstr(why.text, bad[i]));
    }
    assert_int_equal(build_one("/{a}/{b}/{c}/{d}/{e}/{f}", NULL), OK);
    static const char *const other_names[] = {"/old/{key}", NULL};
    const struct http_route alias = {.path = "/n/{id}", .aliases = other_names, .handler = nothing};
    const struct http_table table = {.routes = &alias, .count = 1};
    const struct http_router *router;
    assert_int_equal(http_router_build(&boot, &table, 1, &router, NULL), ERR_CONFIG);
}

static void methods_are_parsed_and_listed(void **state)
{
    assert_int_equal(http_method_parse(SLICE_LIT("GET")), HTTP_GET);
    assert_int_equal(http_method_parse(SLICE_LIT("HEAD")), HTTP_GET);
    assert_int_equal(http_method_parse(SLICE_LIT("DELETE")), HTTP_DELETE);
    assert_int_equal(http_method_parse(SLICE_LIT("get")), HTTP_METHOD_NONE);
    assert_int_equal(http_method_parse(SLICE_LIT("OPTIONS")), HTTP_METHOD_NONE);
    assert_string_equal(http_allow_text(&boot, 1 << HTTP_GET | 1 << HTTP_PATCH),
                        "GET, HEAD, PATCH, OPTIONS");
    assert_string_equal(http_allow_text(&boot, 1 << HTTP_POST), "POST, OPTIONS");
}

static void many_rows_are_all_found(void **state)
{
    enum { MANY = 500 };
    static struct http_route routes[MANY];
    static char paths[MANY][32];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "/r%d/{id}/s%d", i * 7919 % MANY, i % 3);
        routes[i] = (struct http_route)ROW(HTTP_GET, paths[i]);
    }
    const struct http_router *r = build(routes, MANY);
    for (int i = 0; i < MANY; i++) {
        char path[48];
        (void)snprintf(path, sizeof path, "/r%d/x/s%d", i * 7919 % MANY, i % 3);
        assert_ptr_equal(match(r, HTTP_GET, path).route, &routes[i]);
    }
}

static void reference_is_a_table(void **state)
{
    static const char *const keys[] = {"status", NULL};
    static const char *const aliases[] = {"/api/leases", NULL};
    static const enum err errors[] = {ERR_NOT_FOUND, ERR_CONFLICT, OK};
    static const struct http_route routes[] = {
        {.path = "/api/v1/leases",
         .aliases = aliases,
         .handler = nothing,
         .flags = HTTP_LIST,
         .query_keys = keys,
         .summary = "Lists leases",
         .errors = errors},
        {.method = HTTP_POST,
         .path = "/api/v1/leases",
         .handler = nothing,
         .reply_status = 201,
         .summary = "Drafts a lease"},
    };
    const struct http_table table = {.routes = routes, .count = 2};
    struct buf b;
    buf_init(&b, &boot, 64);
    http_routes_reference(&table, 1, &b);
    buf_add_byte(&b, 0);
    assert_string_equal(
        (const char *)b.ptr,
        "| method | path | what it does | query | success | errors | also at |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| GET | `/api/v1/leases` | Lists leases | `status`, `limit`, `cursor`, `offset` | 200 | "
        "`not_found`, `conflict` | `/api/leases` |\n"
        "| POST | `/api/v1/leases` | Drafts a lease | | 201 | | |\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(literals_and_parameters_are_told_apart),
        TEST(parameters_have_their_rows_names),
        TEST(methods_of_a_path_are_collected),
        TEST(aliases_lead_to_their_row),
        TEST(conflicts_are_refused),
        TEST(malformed_patterns_are_refused),
        TEST(methods_are_parsed_and_listed),
        TEST(many_rows_are_all_found),
        TEST(reference_is_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
