/* The form of an answer: validator, 304, gzip; and what browsers are told. */
#include <zlib.h>

#include "kernel/base/check.h"
#include "kernel/http/http_internal.h"
#include "unit/test.h"

static struct http_server server;
static struct http_request req;
static struct http_param headers[3];

static const struct http_route plain = {.path = "/plain"};
static const struct http_route raw = {.path = "/raw", .flags = HTTP_RAW};

static int setup(void **state)
{
    server = (struct http_server){.config = {.gzip = true}};
    req = (struct http_request){.method = HTTP_GET, .server = &server};
    arena_init(&req.arena, 0);
    req.call.req = &req.arena;
    req.call.route = &plain;
    req.call.headers = headers;
    req.call.header_count = 0;
    return 0;
}

static int teardown(void **state)
{
    arena_free(&req.arena);
    return 0;
}

static void sends(const char *name, const char *value)
{
    headers[req.call.header_count++] = (struct http_param){slice_text(name), slice_text(value)};
}

/* An answer of `len` bytes that repeat. */
static struct slice answer(size_t len)
{
    uint8_t *bytes = arena_alloc(&req.arena, len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)("freehold"[i % 8]);
    }
    req.answer = (struct http_answer){.status = 200,
                                      .body = slice_of(bytes, len),
                                      .content_type = "application/json",
                                      .is_get = true};
    return slice_of(bytes, len);
}

static void inflate_equals(struct slice packed, struct slice expected)
{
    z_stream z = {.next_in = NULL};
    uint8_t *bytes = arena_alloc(&req.arena, expected.len + 1);
    uint8_t *in = arena_alloc(&req.arena, packed.len);
    memcpy(in, packed.ptr, packed.len);
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = in;
    z.avail_in = (uInt)packed.len;
    z.next_out = bytes;
    z.avail_out = (uInt)expected.len + 1;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_true(slice_equal(slice_of(bytes, (size_t)z.total_out), expected));
    assert_int_equal(inflateEnd(&z), Z_OK);
}

static void a_body_has_a_validator(void **state)
{
    req.answer = (struct http_answer){
        .status = 200, .body = SLICE_LIT("abc"), .content_type = "text/plain", .is_get = true};
    http_represent(&req);
    /* SHA-256 of "abc" (FIPS 180-4, example) begins so. */
    assert_true(slice_equal_text(req.answer.etag, "ba7816bf8f01cfea414140de5dae2223"));
    assert_false(req.answer.gzipped || req.answer.varies);

    sends("If-None-Match", "\"ba7816bf8f01cfea414140de5dae2223\"");
    req.answer.etag = SLICE_EMPTY;
    http_represent(&req);
    assert_int_equal(req.answer.status, 304);
    assert_int_equal(req.answer.body.len, 0);
    assert_null(req.answer.content_type);

    req.call.header_count = 0;
    req.call.route = &raw; /* says itself what it is */
    (void)answer(10);
    http_represent(&req);
    assert_int_equal(req.answer.etag.len, 0);
    (void)answer(10);
    req.answer.is_get = false;
    http_represent(&req);
    assert_int_equal(req.answer.etag.len, 0);
}

static void large_answers_are_compressed_under_another_validator(void **state)
{
    struct slice body = answer(5000);
    sends("Accept-Encoding", "br, gzip");
    http_represent(&req);
    assert_true(req.answer.gzipped && req.answer.varies);
    assert_true(req.answer.body.len < 200);
    inflate_equals(req.answer.body, body);
    assert_int_equal(req.answer.etag.len, 32 + 5);
    char quoted[64];
    (void)snprintf(quoted, sizeof quoted, "\"%.*s\"", SLICE_ARG(req.answer.etag));

    /* Either form of the same content is one that the client has. */
    (void)answer(5000);
    sends("If-None-Match", quoted);
    http_represent(&req);
    assert_int_equal(req.answer.status, 304);
    headers[0].value = SLICE_LIT("identity");
    (void)answer(5000);
    http_represent(&req);
    assert_int_equal(req.answer.status, 304);
    assert_int_equal(req.answer.etag.len, 32);
}

static void what_is_not_compressed(void **state)
{
    sends("Accept-Encoding", "gzip");
    (void)answer(1023);
    http_represent(&req);
    assert_false(req.answer.gzipped || req.answer.varies);

    (void)answer(1024);
    req.answer.is_get = false; /* a POST may show a secret */
    http_represent(&req);
    assert_false(req.answer.gzipped || req.answer.varies);

    (void)answer(1024);
    req.answer.status = 503;
    http_represent(&req);
    assert_false(req.answer.gzipped);

    headers[0].value = SLICE_LIT("gzip;q=0");
    (void)answer(1024);
    http_represent(&req);
    assert_false(req.answer.gzipped);
    assert_true(req.answer.varies);
    assert_int_equal(req.answer.body.len, 1024);

    headers[0].value = SLICE_LIT("gzip");
    server.config.gzip = false;
    (void)answer(1024);
    http_represent(&req);
    assert_false(req.answer.gzipped || req.answer.varies);

    /* Bytes without any order only grow. */
    server.config.gzip = true;
    uint8_t *bytes = arena_alloc(&req.arena, 4096);
    rand_bytes(bytes, 4096);
    req.answer = (struct http_answer){.status = 200, .body = slice_of(bytes, 4096), .is_get = true};
    http_represent(&req);
    assert_false(req.answer.gzipped);
    assert_int_equal(req.answer.body.len, 4096);
    assert_int_equal(req.answer.etag.len, 32);
}

/* ---- browsers ---- */

static struct http_param told[HTTP_CORS_HEADERS_MAX];

static size_t tell(const char *origins)
{
    struct why why = {0};
    assert_int_equal(http_cors_parse(&req.arena, origins, &server.cors, &why), OK);
    return http_cors_headers(&req, told);
}

static const char *value_of(size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal_text(told[i].name, name)) {
            return slice_cstr(&req.arena, told[i].value);
        }
    }
    return NULL;
}

static void pages_of_the_origins_are_let_in(void **state)
{
    sends("Origin", "https://app.example");
    req.answer.status = 200;
    size_t n = tell("http://localhost:3000 , https://app.example");
    assert_string_equal(value_of(n, "Access-Control-Allow-Origin"), "https://app.example");
    assert_string_equal(value_of(n, "Vary"), "Origin");
    assert_non_null(strstr(value_of(n, "Access-Control-Expose-Headers"), "PAYMENT-REQUIRED"));
    assert_null(value_of(n, "Access-Control-Allow-Credentials"));
    n = tell("*");
    assert_string_equal(value_of(n, "Access-Control-Allow-Origin"), "*");
    assert_null(value_of(n, "Vary"));

    static const char *const others[] = {"https://app.example.evil", "http://app.example",
                                         "https://app.example:8443", "null",
                                         "https://APP.example",      ""};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        headers[0].value = slice_text(others[i]);
        n = tell("https://app.example");
        assert_int_equal(n, 1); /* so that no cache gives one's answer to another */
        assert_string_equal(value_of(n, "Vary"), "Origin");
    }
    assert_int_equal(tell(""), 0);
}

static void a_preflight_is_told_the_methods_of_its_path(void **state)
{
    sends("Origin", "https://app.example");
    http_reply_options(&req, 1U << HTTP_GET | 1U << HTTP_POST);
    size_t n = tell("https://app.example");
    assert_string_equal(value_of(n, "Access-Control-Allow-Methods"), "GET, HEAD, POST, OPTIONS");
    assert_non_null(strstr(value_of(n, "Access-Control-Allow-Headers"), "Idempotency-Key"));
    assert_string_equal(value_of(n, "Access-Control-Max-Age"), "600");
}

static void what_is_no_origin_is_refused(void **state)
{
    static const char *const bad[] = {"app.example",
                                      "https://",
                                      "https://app.example/",
                                      "https://App.example",
                                      "https://app.example, *",
                                      "ftp://app.example",
                                      "https://a b",
                                      "https://a\r\nX: y",
                                      "https://a,,https://b",
                                      "*, https://a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct http_config config = {.cors_origins = bad[i]};
        struct why why = {0};
        if (http_config_check(&config, &why) != ERR_CONFIG) {
            fail_msg("%s", bad[i]);
        }
        assert_string_equal(why.field, "http.cors_origins");
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_body_has_a_validator),
        TEST(large_answers_are_compressed_under_another_validator),
        TEST(what_is_not_compressed),
        TEST(pages_of_the_origins_are_let_in),
        TEST(a_preflight_is_told_the_methods_of_its_path),
        TEST(what_is_no_origin_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
