#include "kernel/http/http_internal.h"
#include "unit/test.h"

static struct http_request req;

static const struct http_route plain = {.path = "/plain"};
static const struct http_route list = {.path = "/list", .flags = HTTP_LIST};
static const struct http_route raw = {.path = "/raw", .flags = HTTP_RAW};

static int setup(void **state)
{
    req = (struct http_request){.method = HTTP_GET};
    arena_init(&req.arena, 0);
    req.call.req = &req.arena;
    req.call.status = 200;
    req.call.method = SLICE_LIT("GET");
    req.call.path = SLICE_LIT("/a");
    req.call.request_id = SLICE_LIT("req_1");
    return 0;
}

static int teardown(void **state)
{
    arena_free(&req.arena);
    return 0;
}

static void begin(const struct http_route *route)
{
    req.call.route = route;
    http_reply_begin(&req);
}

static void assert_body(const char *expected)
{
    if (!slice_equal_text(req.answer.body, expected)) {
        fail_msg("%.*s\nis not\n%s", SLICE_ARG(req.answer.body), expected);
    }
}

static void success_is_enveloped(void **state)
{
    begin(&plain);
    json_string(req.call.out, SLICE_LIT("a\"b"));
    http_reply_success(&req);
    assert_int_equal(req.answer.status, 200);
    assert_string_equal(req.answer.content_type, "application/json");
    assert_body("{\"success\":true,\"data\":\"a\\\"b\"}");
}

static void lists_say_where_they_go_on(void **state)
{
    begin(&list);
    json_begin_array(req.call.out);
    json_end_array(req.call.out);
    http_reply_success(&req);
    assert_body("{\"success\":true,\"data\":[],\"nextCursor\":null}");
    begin(&list);
    json_null(req.call.out);
    http_cursor_set(&req.call, SLICE_LIT("foo"));
    req.call.has_count = true;
    req.call.count = UINT64_C(1) << 60; /* beyond what JavaScript counts to */
    http_reply_success(&req);
    assert_body("{\"success\":true,\"data\":null,\"nextCursor\":\"Zm9v\","
                "\"count\":\"1152921504606846976\"}");
}

static void raw_bodies_are_left_alone(void **state)
{
    begin(&raw);
    assert_null(req.call.out);
    buf_add_text(req.call.raw, "<p>");
    req.call.content_type = "text/html; charset=utf-8";
    http_reply_success(&req);
    assert_body("<p>");
    assert_string_equal(req.answer.content_type, "text/html; charset=utf-8");
    assert_non_null(strstr(http_answer_policy(&req.answer), "default-src 'self'"));
    const struct http_answer other = {.content_type = "application/json"};
    assert_non_null(strstr(http_answer_policy(&other), "default-src 'none'"));
}

static void no_content_has_none(void **state)
{
    begin(&plain);
    req.call.status = 204;
    http_reply_success(&req);
    assert_int_equal(req.answer.body.len, 0);
    assert_null(req.answer.content_type);
}

static void validators_are_for_get_only(void **state)
{
    begin(&plain);
    json_null(req.call.out);
    req.call.etag = SLICE_LIT("v1");
    http_reply_success(&req);
    assert_true(slice_equal_text(req.answer.etag, "v1"));
    begin(&plain);
    json_null(req.call.out);
    req.method = HTTP_POST;
    http_reply_success(&req);
    assert_int_equal(req.answer.status, 200);
    assert_int_equal(req.answer.etag.len, 0);
}

static void failures_name_what_the_caller_can_mend(void **state)
{
    struct why why;
    begin(&plain);
    (void)why_set(&why, ERR_INVALID_ADDRESS, "owner", "owner is \"%s\".", "x");
    http_reply_error(&req, ERR_INVALID_ADDRESS, &why);
    assert_int_equal(req.answer.status, 400);
    assert_int_equal(req.err, ERR_INVALID_ADDRESS);
    assert_body("{\"success\":false,\"error\":\"owner is \\\"x\\\".\",\"code\":\"invalid_address\","
                "\"field\":\"owner\",\"requestId\":\"req_1\"}");
    http_reply_error(&req, ERR_NOT_FOUND, NULL);
    assert_body("{\"success\":false,\"error\":\"There is nothing with this id.\","
                "\"code\":\"not_found\",\"requestId\":\"req_1\"}");
    /* A sentence that belongs to another error says nothing about this one. */
    http_reply_error(&req, ERR_NOT_FOUND, &why);
    assert_body("{\"success\":false,\"error\":\"There is nothing with this id.\","
                "\"code\":\"not_found\",\"requestId\":\"req_1\"}");
}

static void what_was_written_before_a_failure_is_dropped(void **state)
{
    begin(&plain);
    json_begin_object(req.call.out);
    json_key(req.call.out, "half");
    struct json_out *j = http_details(&req.call);
    assert_ptr_equal(j, http_details(&req.call));
    json_begin_object(j);
    json_key(j, "left");
    json_u64(j, 2);
    json_end_object(j);
    http_reply_error(&req, ERR_CONFLICT, NULL);
    assert_body("{\"success\":false,\"error\":\"The present state does not allow this.\","
                "\"code\":\"conflict\",\"details\":{\"left\":2},\"requestId\":\"req_1\"}");
}

static void every_error_has_an_answer(void **state)
{
    for (int e = 1; e < ERR_COUNT; e++) {
        struct why why;
        (void)why_set(&why, (enum err)e, "f", "postgresql://user:hunter2@host");
        http_reply_error(&req, (enum err)e, &why);
        assert_int_equal(req.answer.status, err_http_status((enum err)e));
        bool told = memmem(req.answer.body.ptr, req.answer.body.len, "hunter2", 7) != NULL;
        assert_int_equal(told, req.answer.status != 500);
        bool later = req.answer.status == 429 || req.answer.status == 503 || e == ERR_IN_PROGRESS ||
                     e == ERR_PAYMENT_PENDING;
        assert_int_equal(req.answer.retry_after, later);
        const struct json *tree;
        assert_int_equal(json_parse(&req.arena, req.answer.body, &json_limits_body, &tree, NULL),
                         OK);
    }
}

static void bare_answers_are_whole(void **state)
{
    struct buf b;
    buf_init(&b, &req.arena, 0);
    http_reply_bare(&b, ERR_REQUEST_TIMEOUT, SLICE_LIT("req_9"));
    buf_add_byte(&b, 0);
    const char *text = (const char *)b.ptr;
    assert_memory_equal(text, "HTTP/1.1 408 Request Timeout\r\n", 30);
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(text, "\r\nX-Request-Id: req_9\r\n"));
    const char *body = strstr(text, "\r\n\r\n");
    assert_non_null(body);
    const char *length = strstr(text, "Content-Length: ");
    assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body + 4));
    assert_non_null(strstr(body, "\"code\":\"request_timeout\""));
    buf_init(&b, &req.arena, 0);
    http_reply_bare(&b, ERR_OVERLOADED, SLICE_LIT("req_9"));
    buf_add_byte(&b, 0);
    assert_non_null(strstr((const char *)b.ptr, "\r\nRetry-After: 1\r\n"));
}

static void options_have_no_body(void **state)
{
    http_reply_options(&req, 1 << HTTP_GET);
    assert_int_equal(req.answer.status, 204);
    assert_string_equal(req.answer.allow, "GET, HEAD, OPTIONS");
}

/* ---- bugs of handlers ------------------------------------------------------------------------ */

static void write_nothing(void)
{
    begin(&plain);
    http_reply_success(&req);
}

static void leave_open(void)
{
    begin(&plain);
    json_begin_object(req.call.out);
    http_reply_success(&req);
}

static void split_header(void)
{
    begin(&plain);
    json_null(req.call.out);
    req.call.location = SLICE_LIT("/a\r\nSet-Cookie: x");
    http_reply_success(&req);
}

static void bugs_of_handlers_stop_the_program(void **state)
{
    assert_true(test_aborts(write_nothing));
    assert_true(test_aborts(leave_open));
    assert_true(test_aborts(split_header));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(success_is_enveloped),
        TEST(lists_say_where_they_go_on),
        TEST(raw_bodies_are_left_alone),
        TEST(no_content_has_none),
        TEST(validators_are_for_get_only),
        TEST(failures_name_what_the_caller_can_mend),
        TEST(what_was_written_before_a_failure_is_dropped),
        TEST(every_error_has_an_answer),
        TEST(bare_answers_are_whole),
        TEST(options_have_no_body),
        TEST(bugs_of_handlers_stop_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
