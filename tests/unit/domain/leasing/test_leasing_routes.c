/*
 * The route rows: their schemas are schemas, and what they say of themselves is whole.
 */
#include "domain/leasing/leasing_api.h"
#include "domain/leasing/leasing_sales.h"
#include "kernel/base/json_schema.h"
#include "unit/test.h"

static void check_schema(const char *text, const char *path)
{
    struct arena arena;
    struct why why = {.err = OK};
    const struct json *schema = NULL;
    arena_init(&arena, 0);
    enum err e = json_parse(&arena, slice_text(text), &json_limits_body, &schema, &why);
    if (e == OK) {
        e = json_schema_verify(schema, &why);
    }
    if (e != OK) {
        fail_msg("%s: %s: %s", path, why.field, why_text(&why, e));
    }
    arena_free(&arena);
}

static void check_schemas(const struct http_route *routes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct http_route *r = &routes[i];
        assert_non_null(r->reply_schema);
        check_schema(r->reply_schema, r->path);
        bool body = (r->flags & HTTP_JSON_BODY) != 0;
        assert_true(body == (r->body_schema != NULL));
        if (body) {
            check_schema(r->body_schema, r->path);
        }
    }
}

static void test_schemas(void **state)
{
    check_schemas(leasing_routes, leasing_route_count);
    check_schemas(leasing_market_routes, leasing_market_route_count);
}

static void check_rows(const struct http_route *routes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct http_route *r = &routes[i];
        assert_true(slice_starts(slice_text(r->path), SLICE_LIT("/api/v1/")));
        assert_true(r->reply_status == 200 || r->reply_status == 201);
        assert_non_null(r->handler);
        assert_true(strlen(r->summary) > 10);
        assert_true(slice_ends(slice_text(r->summary), SLICE_LIT(".")));
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(r->operation, routes[j].operation);
        }
        for (const char *const *alias = r->aliases; alias != NULL && *alias != NULL; alias++) {
            assert_true(slice_ends(slice_text(r->path), slice_text(*alias)) ||
                        slice_starts(slice_text(*alias), SLICE_LIT("/api/")));
        }
    }
}

static void test_rows(void **state)
{
    check_rows(leasing_routes, leasing_route_count);
    check_rows(leasing_market_routes, leasing_market_route_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
