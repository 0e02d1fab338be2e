#include "kernel/base/log.h"
#include "kernel/base/mem.h"
#include "unit/kernel/http/probe.h"

/* ---- a small program ------------------------------------------------------------------------- */

static _Atomic int running;
static _Atomic int release; /* blocked handlers go on when it is 1 */

static enum err echo(struct http_call *call, struct why *why)
{
    struct json_out *j = call->out;
    json_begin_object(j);
    json_key(j, "value");
    json_string(j, http_param(call, "value"));
    json_key(j, "q");
    json_string(j, http_query(call, "q", NULL));
    json_key(j, "method");
    json_string(j, call->method);
    json_key(j, "client");
    json_string(j, call->client);
    json_end_object(j);
    return OK;
}

static enum err name_length(struct http_call *call, struct why *why)
{
    struct slice name;
    enum err e = json_get_text(call->json, "name", &name, why);
    if (e) {
        return e;
    }
    json_u64(call->out, name.len);
    call->location = SLICE_LIT("/api/v1/names/1");
    return OK;
}

static enum err body_length(struct http_call *call, struct why *why)
{
    json_u64(call->out, call->body.len);
    return OK;
}

static enum err block(struct http_call *call, struct why *why)
{
    atomic_fetch_add(&running, 1);
    for (int i = 0; i < 5000 && atomic_load(&release) == 0; i++) {
        clock_sleep_usec(MSEC);
    }
    atomic_fetch_sub(&running, 1);
    json_text(call->out, "done");
    return OK;
}

static enum err fail_inside(struct http_call *call, struct why *why)
{
    return why_set(why, ERR_DB, "secret_column", "near \"SELEC\": syntax error in /var/lib/x");
}

static enum err fail_upstream(struct http_call *call, struct why *why)
{
    struct json_out *j = http_details(call);
    json_begin_object(j);
    json_key(j, "attempts");
    json_u64(j, 3);
    json_end_object(j);
    return why_set(why, ERR_NODE_TIMEOUT, "node", "No node answered in time.");
}

static enum err tagged(struct http_call *call, struct why *why)
{
    call->etag = SLICE_LIT("v7");
    json_u64(call->out, 7);
    return OK;
}

static enum err page(struct http_call *call, struct why *why)
{
    struct http_page p;
    enum err e = http_page_read(call, &p, why);
    if (e) {
        return e;
    }
    json_begin_array(call->out);
    json_u64(call->out, p.limit);
    json_u64(call->out, p.offset);
    json_string(call->out, p.cursor);
    json_end_array(call->out);
    http_cursor_set(call, SLICE_LIT("after 9"));
    call->has_count = true;
    call->count = 12;
    return OK;
}

static enum err metrics_text(struct http_call *call, struct why *why)
{
    buf_add_text(call->raw, "up 1\n");
    call->content_type = "text/plain; version=0.0.4";
    return OK;
}

static enum err large(struct http_call *call, struct why *why)
{
    for (int i = 0; i < 200000; i++) {
        buf_add_byte(call->raw, (uint8_t)('a' + i % 26));
    }
    return OK;
}

static const char *const echo_keys[] = {"q", NULL};
static const char *const echo_aliases[] = {"/api/echo/{value}", NULL};

#define PLAIN HTTP_NO_STORE
static const struct http_route routes[] = {
    {.path = "/api/v1/echo/{value}",
     .aliases = echo_aliases,
     .handler = echo,
     .flags = PLAIN,
     .query_keys = echo_keys},
    {.method = HTTP_POST,
     .path = "/api/v1/names",
     .handler = name_length,
     .flags = PLAIN | HTTP_JSON_BODY,
     .reply_status = 201},
    {.method = HTTP_POST, .path = "/api/v1/bytes", .handler = body_length, .flags = PLAIN},
    {.method = HTTP_PUT,
     .path = "/api/v1/bytes",
     .handler = body_length,
     .flags = PLAIN,
     .body_bytes_max = 10},
    {.path = "/api/v1/block", .handler = block, .flags = PLAIN},
    {.path = "/api/v1/inside", .handler = fail_inside, .flags = PLAIN},
    {.path = "/api/v1/upstream", .handler = fail_upstream, .flags = PLAIN},
    {.path = "/api/v1/tagged", .handler = tagged, .flags = PLAIN},
    {.path = "/api/v1/page", .handler = page, .flags = PLAIN | HTTP_LIST},
    {.path = "/metrics", .handler = metrics_text, .flags = PLAIN | HTTP_RAW},
    {.path = "/large", .handler = large, .flags = PLAIN | HTTP_RAW},
};
static const struct http_table table = {
    .routes = routes,
    .count = sizeof routes / sizeof routes[0],
};

static struct http_server *server;
static uint16_t port;
static struct probe_answer a;

static void start(const struct http_config *config)
{
    struct why why = {.err = OK};
    enum err e = http_start(&server, config, &table, 1, NULL, &why);
    if (e) {
        print_error("%s\n", why_text(&why, e));
    }
    assert_int_equal(e, OK);
    port = http_port(server);
    atomic_store(&release, 0);
}

static void start_default(void)
{
    struct http_config config = probe_config();
    start(&config);
}

static int stop(void **state)
{
    atomic_store(&release, 1);
    http_stop(server);
    server = NULL;
    assert_int_equal(atomic_load(&running), 0);
    return 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET_WITH(path, headers) "GET " path " HTTP/1.1\r\nHost: x\r\n" headers "\r\n"
#define POST_JSON(path, length, body)                                                              \
    "POST " path " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"                      \
    "Content-Length: " length "\r\n\r\n" body

/* ---- answers --------------------------------------------------------------------------------- */

static void a_get_is_answered_with_envelope_and_headers(void **state)
{
    start_default();
    probe_ask(port, GET("/api/v1/echo/a%20b?q=1%2B1"), &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"success\":true,\"data\":{\"value\":\"a b\",\"q\":\"1+1\","
                                "\"method\":\"GET\",\"client\":\"127.0.0.1\"}}");
    assert_string_equal(probe_header(&a, "Content-Type"), "application/json");
    assert_string_equal(probe_header(&a, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(probe_header(&a, "X-Frame-Options"), "DENY");
    assert_string_equal(probe_header(&a, "Referrer-Policy"), "no-referrer");
    assert_string_equal(probe_header(&a, "Cache-Control"), "no-cache");
    assert_non_null(strstr(probe_header(&a, "Content-Security-Policy"), "default-src 'none'"));
    assert_memory_equal(probe_header(&a, "X-Request-Id"), "req_", 4);
    probe_ask(port, GET("/api/echo/z/"), &a);
    assert_int_equal(a.status, 200);
    assert_true(probe_has(&a, "\"value\":\"z\""));
}

static void request_id_is_taken_over_when_harmless(void **state)
{
    start_default();
    probe_ask(port, GET_WITH("/nothing", "X-Request-Id: abc-1.2_Z\r\n"), &a);
    assert_string_equal(probe_header(&a, "X-Request-Id"), "abc-1.2_Z");
    assert_true(probe_has(&a, "\"requestId\":\"abc-1.2_Z\""));
    probe_ask(port, GET_WITH("/nothing", "X-Request-Id: a b\r\n"), &a);
    assert_memory_equal(probe_header(&a, "X-Request-Id"), "req_", 4);
}

static void head_has_headers_only(void **state)
{
    start_default();
    struct probe *p = probe_open(port);
    probe_send(p, "HEAD /api/v1/echo/x HTTP/1.1\r\nHost: x\r\n\r\n" GET("/api/v1/echo/y"));
    probe_read(p, &a, true);
    assert_int_equal(a.status, 200);
    assert_true(strtoul(probe_header(&a, "Content-Length"), NULL, 10) > 50);
    probe_read(p, &a, false); /* were there a body, this would not parse */
    assert_int_equal(a.status, 200);
    assert_true(probe_has(&a, "\"value\":\"y\""));
    probe_close(p);
}

static void unknown_paths_and_methods_are_told(void **state)
{
    start_default();
    probe_ask(port, GET("/api/v1/nothing?x=1"), &a);
    assert_int_equal(a.status, 404);
    assert_true(probe_has(&a, "\"code\":\"route_not_found\""));
    assert_true(probe_has(&a, "\"details\":{\"method\":\"GET\",\"path\":\"/api/v1/nothing\"}"));
    probe_ask(port, "DELETE /api/v1/bytes HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 405);
    assert_string_equal(probe_header(&a, "Allow"), "POST, PUT, OPTIONS");
    assert_true(probe_has(&a, "\"code\":\"method_not_allowed\""));
    probe_ask(port, "BREW /api/v1/tagged HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 405);
    assert_string_equal(probe_header(&a, "Allow"), "GET, HEAD, OPTIONS");
    probe_ask(port, "OPTIONS /api/v1/bytes HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 204);
    assert_string_equal(probe_header(&a, "Allow"), "POST, PUT, OPTIONS");
    assert_int_equal(a.body_len, 0);
    probe_ask(port, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 204);
    probe_ask(port, "OPTIONS /nothing HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 404);
}

static void json_bodies_are_read(void **state)
{
    start_default();
    probe_ask(port, POST_JSON("/api/v1/names", "14", "{\"name\":\"Ada\"}"), &a);
    assert_int_equal(a.status, 201);
    assert_string_equal(a.body, "{\"success\":true,\"data\":3}");
    assert_string_equal(probe_header(&a, "Location"), "/api/v1/names/1");
    assert_string_equal(probe_header(&a, "Cache-Control"), "no-store");
    probe_ask(port, POST_JSON("/api/v1/names", "2", "{}"), &a);
    assert_int_equal(a.status, 400);
    assert_true(probe_has(&a, "\"code\":\"missing_field\",\"field\":\"name\""));
    probe_ask(port, POST_JSON("/api/v1/names", "12", "{\"name\" 12 }"), &a);
    assert_int_equal(a.status, 400);
    assert_true(probe_has(&a, "\"code\":\"invalid_json\""));
    assert_true(probe_has(&a, "byte 8")); /* where the colon is missing */
    probe_ask(port, POST_JSON("/api/v1/names", "0", ""), &a);
    assert_true(a.status == 400 && probe_has(&a, "\"code\":\"invalid_json\""));
    probe_ask(port, POST_JSON("/api/v1/names", "2", "[]"), &a);
    assert_true(a.status == 400 && probe_has(&a, "\"code\":\"invalid_type\""));
    probe_ask(port, POST_JSON("/api/v1/names", "21", "{\"name\":1,\"name\":\"2\"}"), &a);
    assert_true(a.status == 400 && probe_has(&a, "\"code\":\"invalid_json\""));
    assert_true(probe_has(&a, "name") && probe_has(&a, "twice"));
}

static void deep_json_is_refused(void **state)
{
    start_default();
    char deep[4096] = "";
    char request[8192];
    for (int i = 0; i < 1000; i++) {
        deep[i] = '[';
        deep[1000 + i] = ']';
    }
    (void)snprintf(request, sizeof request,
                   "POST /api/v1/names HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   "Content-Length: 2005\r\n\r\n{\"a\":%s}",
                   deep);
    request[strlen(request) - 1] = '}';
    probe_ask(port, request, &a);
    assert_true(a.status == 422 || a.status == 400);
    assert_true(probe_has(&a, "\"code\":\"limit\""));
}

static void other_media_types_are_refused(void **state)
{
    start_default();
    probe_ask(port,
              "POST /api/v1/names HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
              "Content-Length: 2\r\n\r\n{}",
              &a);
    assert_int_equal(a.status, 415);
    probe_ask(port, "POST /api/v1/names HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", &a);
    assert_int_equal(a.status, 415);
    probe_ask(port,
              "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
              "Content-Length: 2\r\n\r\n{}",
              &a);
    assert_int_equal(a.status, 415);
    assert_true(probe_has(&a, "\"code\":\"unsupported_media\""));
}

static void failures_inside_are_not_told(void **state)
{
    start_default();
    log_set_fd(-1);
    probe_ask(port, GET("/api/v1/inside"), &a);
    assert_int_equal(a.status, 500);
    assert_true(probe_has(&a, "\"code\":\"db\""));
    assert_false(probe_has(&a, "SELEC") || probe_has(&a, "secret_column"));
    probe_ask(port, GET("/api/v1/upstream"), &a);
    log_set_fd(2);
    assert_int_equal(a.status, 504);
    assert_true(probe_has(&a, "\"error\":\"No node answered in time.\",\"code\":\"node_timeout\","
                              "\"field\":\"node\",\"details\":{\"attempts\":3},\"requestId\":"));
}

static void etags_save_the_body(void **state)
{
    start_default();
    probe_ask(port, GET("/api/v1/tagged"), &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(probe_header(&a, "ETag"), "\"v7\"");
    struct probe *p = probe_open(port);
    probe_send(p, GET_WITH("/api/v1/tagged", "If-None-Match: \"v6\", W/\"v7\"\r\n"));
    probe_read(p, &a, false);
    assert_int_equal(a.status, 304);
    assert_string_equal(probe_header(&a, "ETag"), "\"v7\"");
    probe_send(p, GET_WITH("/api/v1/tagged", "If-None-Match: \"v6\"\r\n"));
    probe_read(p, &a, false);
    assert_int_equal(a.status, 200);
    probe_close(p);
}

static void lists_carry_cursor_and_count(void **state)
{
    start_default();
    probe_ask(port, GET("/api/v1/page?limit=7&offset=9"), &a);
    /* "after 9" in base64url, by coreutils: printf 'after 9' | base64 */
    assert_string_equal(
        a.body,
        "{\"success\":true,\"data\":[7,9,\"\"],\"nextCursor\":\"YWZ0ZXIgOQ\",\"count\":12}");
    probe_ask(port, GET("/api/v1/page?cursor=YWZ0ZXIgOQ"), &a);
    assert_true(probe_has(&a, "\"data\":[50,0,\"after 9\"]"));
    probe_ask(port, GET("/api/v1/page?limit=201"), &a);
    assert_true(a.status == 400 && probe_has(&a, "\"field\":\"limit\""));
    probe_ask(port, GET("/api/v1/page?sort=up"), &a);
    assert_true(a.status == 400 && probe_has(&a, "\"code\":\"unknown_field\""));
    assert_true(probe_has(&a, "\\\"sort\\\""));
    probe_ask(port, GET("/api/v1/page?limit=1&limit=2"), &a);
    assert_true(a.status == 400 && probe_has(&a, "more than once"));
}

static void raw_answers_are_whole(void **state)
{
    start_default();
    probe_ask(port, GET("/metrics"), &a);
    assert_string_equal(a.body, "up 1\n");
    assert_string_equal(probe_header(&a, "Content-Type"), "text/plain; version=0.0.4");
    probe_ask(port, GET("/large"), &a);
    assert_int_equal(a.body_len, 200000);
    for (size_t i = 0; i < a.body_len; i++) {
        assert_int_equal(a.body[i], 'a' + i % 26);
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    start_default();
    struct probe *p = probe_open(port);
    char request[128];
    for (int i = 0; i < 50; i++) {
        (void)snprintf(request, sizeof request, "GET /api/v1/echo/n%d HTTP/1.1\r\nHost: x\r\n\r\n",
                       i);
        probe_send(p, request);
    }
    for (int i = 0; i < 50; i++) {
        char expected[32];
        (void)snprintf(expected, sizeof expected, "\"value\":\"n%d\"", i);
        probe_read(p, &a, false);
        assert_int_equal(a.status, 200);
        assert_true(probe_has(&a, expected));
    }
    probe_close(p);
}

static void bytes_may_come_one_by_one(void **state)
{
    start_default();
    struct probe *p = probe_open(port);
    const char *request = POST_JSON("/api/v1/names", "14", "{\"name\":\"Bob\"}");
    for (const char *c = request; *c; c++) {
        probe_send_bytes(p, c, 1);
        clock_sleep_usec(200);
    }
    probe_read(p, &a, false);
    assert_int_equal(a.status, 201);
    probe_close(p);
}

static void chunked_bodies_are_joined(void **state)
{
    start_default();
    probe_ask(port,
              "POST /api/v1/names HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
              "Transfer-Encoding: chunked\r\n\r\n"
              "4\r\n{\"na\r\nA;x=y\r\nme\":\"Grace\r\n2\r\n\"}\r\n0\r\n\r\n",
              &a);
    assert_int_equal(a.status, 201);
    assert_true(probe_has(&a, "\"data\":5"));
}

static void http10_is_closed_after_the_answer(void **state)
{
    start_default();
    struct probe *p = probe_open(port);
    probe_send(p, "GET /api/v1/echo/old HTTP/1.0\r\n\r\n");
    probe_read(p, &a, false);
    assert_int_equal(a.status, 200);
    assert_true(probe_ended(p));
    probe_close(p);
}

static void half_closed_clients_are_answered(void **state)
{
    start_default();
    struct probe *p = probe_open(port);
    probe_send(p, GET("/api/v1/echo/half"));
    shutdown(p->fd, SHUT_WR);
    probe_read(p, &a, false);
    assert_int_equal(a.status, 200);
    assert_true(probe_ended(p));
    probe_close(p);
}

static void expectations_are_met(void **state)
{
    start_default();
    struct probe *p = probe_open(port);
    probe_send(p, "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                  "Expect: 100-continue\r\n\r\n");
    assert_true(probe_more(p));
    assert_non_null(strstr(p->bytes, "HTTP/1.1 100"));
    probe_send(p, "abc");
    probe_read(p, &a, false);
    assert_true(a.status == 200 && probe_has(&a, "\"data\":3"));
    probe_send(p, "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n"
                  "Expect: 100-continue\r\n\r\n");
    probe_read(p, &a, false); /* at once: the body never has to be sent */
    assert_int_equal(a.status, 413);
    probe_close(p);
}

static void refused_bodies_do_not_cost_the_connection(void **state)
{
    start_default();
    struct probe *p = probe_open(port);
    probe_send(p, "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    probe_send(p, GET("/api/v1/echo/next"));
    probe_read(p, &a, false);
    assert_int_equal(a.status, 404);
    probe_read(p, &a, false);
    assert_int_equal(a.status, 200);
    probe_close(p);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void oversize_bodies_are_refused(void **state)
{
    start_default();
    probe_ask(port, "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", &a);
    assert_int_equal(a.status, 413); /* before a byte of it was sent */
    assert_true(probe_has(&a, "\"code\":\"body_too_large\""));
    probe_ask(port, "PUT /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n", &a);
    assert_int_equal(a.status, 413);
    probe_ask(port, "PUT /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
              &a);
    assert_int_equal(a.status, 200);
    probe_ask(port,
              "PUT /api/v1/bytes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
              "6\r\n012345\r\n5\r\n67890\r\n0\r\n\r\n",
              &a);
    assert_int_equal(a.status, 413);
    assert_true(probe_has(&a, "\"code\":\"body_too_large\""));
    assert_non_null(probe_header(&a, "X-Request-Id"));
}

static void largest_body_is_taken_whole(void **state)
{
    start_default();
    struct probe *p = probe_open(port);
    static char body[65536];
    memset(body, 'x', sizeof body);
    probe_send(p, "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n");
    probe_send_bytes(p, body, sizeof body);
    probe_read(p, &a, false);
    assert_true(a.status == 200 && probe_has(&a, "\"data\":65536"));
    probe_close(p);
}

static void send_get_of_length(struct probe *p, size_t path_len)
{
    static char path[70000];
    memset(path, 'p', path_len);
    path[0] = '/';
    probe_send(p, "GET ");
    probe_send_bytes(p, path, path_len);
    probe_send(p, " HTTP/1.1\r\nHost: x\r\n\r\n");
}

static void oversize_headers_are_refused(void **state)
{
    start_default();
    struct probe *p = probe_open(port);
    send_get_of_length(p, 10000);
    probe_read(p, &a, false);
    assert_int_equal(a.status, 431);
    assert_true(probe_has(&a, "\"code\":\"headers_too_large\""));
    assert_true(probe_ended(p));
    probe_close(p);
    p = probe_open(port);
    send_get_of_length(p, 60000); /* beyond MHD's buffer: its own page */
    probe_read(p, &a, false);
    assert_true(a.status == 414 || a.status == 431 || a.status == 0);
    assert_true(probe_ended(p));
    probe_close(p);
    p = probe_open(port);
    send_get_of_length(p, 8000);
    probe_read(p, &a, false);
    assert_int_equal(a.status, 404);
    probe_close(p);
}

static void send_headers(struct probe *p, int count)
{
    probe_send(p, "GET /api/v1/echo/x HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < count; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "X-Number-%d: %d\r\n", i, i);
        probe_send(p, line);
    }
    probe_send(p, "\r\n");
}

static void number_of_headers_is_capped(void **state)
{
    start_default();
    struct probe *p = probe_open(port);
    send_headers(p, 99);
    probe_read(p, &a, false);
    assert_int_equal(a.status, 200);
    send_headers(p, 100);
    probe_read(p, &a, false);
    assert_int_equal(a.status, 431);
    probe_close(p);
}

/* How long until the server ends a connection that sends `drip` every 20 ms. */
static int64_t time_until_end(const char *first, const char *drip)
{
    struct probe *p = probe_open(port);
    int64_t begun = clock_mono_usec();
    probe_send(p, first);
    struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
    while (poll(&pfd, 1, 20) == 0 && clock_mono_usec() - begun < 5000 * MSEC) {
        probe_send(p, drip);
    }
    int64_t took = clock_mono_usec() - begun;
    probe_read(p, &a, false);
    assert_true(probe_ended(p));
    probe_close(p);
    return took;
}

static void slow_senders_are_cut_off(void **state)
{
    struct http_config config = probe_config();
    config.header_usec = 300 * MSEC;
    config.request_usec = 500 * MSEC;
    start(&config);
    log_set_fd(-1);
    int64_t took = time_until_end("GET /api/v1/echo/x HTTP/1.1\r\n", "X-A: b\r\n");
    assert_in_range(took, 250 * MSEC, 1500 * MSEC);
    assert_int_equal(a.status, 408);
    assert_true(probe_has(&a, "\"code\":\"request_timeout\""));
    took = time_until_end("GET /api/v1/", "e"); /* no whole line: nothing to answer */
    assert_in_range(took, 250 * MSEC, 1500 * MSEC);
    assert_int_equal(a.status, 0);
    took = time_until_end("POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n",
                          "x");
    log_set_fd(2);
    assert_in_range(took, 400 * MSEC, 2000 * MSEC);
    assert_int_equal(a.status, 408);
}

static void idle_connections_are_closed(void **state)
{
    struct http_config config = probe_config();
    config.idle_usec = 200 * MSEC;
    start(&config);
    struct probe *p = probe_open(port);
    probe_send(p, GET("/api/v1/echo/x"));
    probe_read(p, &a, false);
    assert_int_equal(a.status, 200);
    int64_t begun = clock_mono_usec();
    assert_true(probe_ended(p));
    assert_in_range(clock_mono_usec() - begun, 100 * MSEC, 1500 * MSEC);
    probe_close(p);
}

static void connections_over_the_cap_are_refused(void **state)
{
    struct http_config config = probe_config();
    config.connections_max = 5;
    start(&config);
    struct probe *open[5];
    for (int i = 0; i < 5; i++) {
        open[i] = probe_open(port);
        probe_send(open[i], GET("/api/v1/echo/x"));
        probe_read(open[i], &a, false);
        assert_int_equal(a.status, 200);
    }
    for (int i = 0; i < 20; i++) {
        struct probe *p = probe_open(port);
        probe_read(p, &a, false);
        assert_int_equal(a.status, 503);
        assert_string_equal(probe_header(&a, "Retry-After"), "1");
        assert_true(probe_has(&a, "\"code\":\"overloaded\""));
        probe_close(p);
    }
    probe_close(open[0]);
    int status = 0;
    for (int i = 0; i < 100 && status != 200; i++) { /* until the server saw the close */
        clock_sleep_usec(10 * MSEC);
        probe_ask(port, GET("/api/v1/echo/x"), &a);
        status = a.status;
    }
    assert_int_equal(status, 200);
    for (int i = 1; i < 5; i++) {
        probe_close(open[i]);
    }
}

static void connections_of_one_client_are_capped(void **state)
{
    struct http_config config = probe_config();
    config.connections_per_client_max = 2;
    start(&config);
    struct probe *one = probe_open(port);
    struct probe *two = probe_open(port);
    struct probe *three = probe_open(port);
    probe_read(three, &a, false);
    assert_int_equal(a.status, 429);
    assert_true(probe_has(&a, "\"code\":\"rate_limited\""));
    probe_close(one);
    probe_close(two);
    probe_close(three);
}

/* ---- what must not be understood two ways ---------------------------------------------------- */

/* MHD itself refuses these, and garbles the body of its answer: 400 and the end is what counts. */
static void expect_refused_by_library(const char *request)
{
    struct probe *p = probe_open(port);
    probe_send(p, request);
    probe_read(p, &a, false);
    assert_int_equal(a.status, 400);
    assert_string_equal(probe_header(&a, "Connection"), "close");
    while (probe_more(p)) {
    }
    p->len = 0;
    assert_true(probe_ended(p));
    probe_close(p);
}

static void expect_refused(const char *request)
{
    struct probe *p = probe_open(port);
    probe_send(p, request);
    probe_read(p, &a, false);
    bool ended = probe_ended(p);
    if (a.status != 400 || !ended) {
        print_error("status %d, ended %d for %s\n%s%s\n", a.status, ended, request, a.head, a.body);
    }
    assert_int_equal(a.status, 400);
    assert_true(ended);
    probe_close(p);
}

static void ambiguous_framing_is_refused(void **state)
{
    start_default();
    expect_refused("POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    expect_refused("POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                   "Content-Length: 3\r\n\r\n0\r\n\r\n");
    expect_refused("POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                   "Content-Length: 3\r\n\r\nabc");
    expect_refused("POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                   "content-length: 4\r\n\r\nabcd");
    expect_refused_by_library(
        "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc");
    expect_refused_by_library(
        "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 3,3\r\n\r\nabc");
    expect_refused("POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc");
    expect_refused("POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\n"
                   "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    expect_refused("POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    expect_refused("POST /api/v1/bytes HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    expect_refused("POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "zz\r\n\r\n");
}

static void host_must_be_there_once(void **state)
{
    start_default();
    expect_refused("GET /api/v1/tagged HTTP/1.1\r\n\r\n");
    expect_refused("GET /api/v1/tagged HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    expect_refused("GET /api/v1/tagged HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n");
    expect_refused("GET /api/v1/tagged HTTP/1.1\r\nHost : a\r\n\r\n");
    expect_refused("GET /api/v1/tagged HTTP/1.1\r\nHost: a/b\r\n\r\n");
}

static void header_lines_must_be_plain(void **state)
{
    start_default();
    expect_refused(GET_WITH("/api/v1/tagged", "X-A: b\r\n folded\r\n"));
    expect_refused(GET_WITH("/api/v1/tagged", "X-A: b\r\n\tfolded\r\n"));
    expect_refused(GET_WITH("/api/v1/tagged", "X-A: b\nX-B: c\r\n"));
    expect_refused("GET /api/v1/tagged HTTP/1.1\nHost: x\r\n\r\n");
    expect_refused("GET /api/v1/tagged HTTP/1.1\r\nHost: x\n\r\n");
    expect_refused("GET /api/v1/tagged HTTP/1.1\r\nHost: x\r\n\n");
    expect_refused(GET_WITH("/api/v1/tagged", "X A: b\r\n"));
    expect_refused(GET_WITH("/api/v1/tagged", "X-A : b\r\n"));
    expect_refused(GET_WITH("/api/v1/tagged", ": b\r\n"));
    expect_refused(GET_WITH("/api/v1/tagged", "X-A: b\x01\r\n"));
    expect_refused(GET_WITH("/api/v1/tagged", "X-A: b\rX-B: c\r\n"));
    expect_refused("GET  /api/v1/tagged HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_refused("GET /api/v1/echo/a b HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_refused("GET /api/v1/tagged  HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_refused("GET\t/api/v1/tagged HTTP/1.1\r\nHost: x\r\n\r\n");
    static const char with_nul[] = "GET /api/v1/tagged HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n";
    static const char nul_in_target[] = "GET /api/v1/tagged\0/x HTTP/1.1\r\nHost: x\r\n\r\n";
    struct probe *p = probe_open(port);
    probe_send_bytes(p, with_nul, sizeof with_nul - 1);
    probe_read(p, &a, false);
    assert_int_equal(a.status, 400);
    probe_close(p);
    p = probe_open(port);
    probe_send_bytes(p, nul_in_target, sizeof nul_in_target - 1);
    probe_read(p, &a, false);
    assert_int_equal(a.status, 400);
    probe_close(p);
    /* And what is allowed: blanks around a value, an empty one, high bytes. */
    probe_ask(port,
              GET_WITH("/api/v1/tagged", "X-A: \t b \t\r\nX-B:\r\nX-C:c\r\nX-D: \xC3\xA9\r\n"), &a);
    assert_int_equal(a.status, 200);
}

static void paths_are_decoded_once_and_strictly(void **state)
{
    static const struct {
        const char *path;
        int status;
        const char *text;
    } cases[] = {
        {"/api/v1/echo/a%2Fb", 200, "\"value\":\"a/b\""},
        {"/api/v1/echo/%252e%252e", 200, "\"value\":\"%2e%2e\""},
        {"/api/v1/echo/%C3%A9", 200, "\"value\":\"\xC3\xA9\""},
        {"/api/v1/%65cho/x", 200, "\"value\":\"x\""},
        {"/api/v1/echo/a+b", 200, "\"value\":\"a+b\""},
        {"http://x/api/v1/echo/abs", 200, "\"value\":\"abs\""},
        {"/api/v1/echo/%00", 400, "invalid_encoding"},
        {"/api/v1/echo/a%0d%0ab", 400, "invalid_encoding"},
        {"/api/v1/echo/%C2%85", 400, "invalid_encoding"},
        {"/api/v1/echo/%ff", 400, "invalid_encoding"},
        {"/api/v1/echo/%C0%AF", 400, "invalid_encoding"},
        {"/api/v1/echo/%ED%A0%80", 400, "invalid_encoding"},
        {"/api/v1/echo/%", 400, "invalid_encoding"},
        {"/api/v1/echo/%4", 400, "invalid_encoding"},
        {"/api/v1/echo/%4g", 400, "invalid_encoding"},
        {"/api/v1/echo/..", 400, "invalid_encoding"},
        {"/api/v1/echo/%2e%2E", 400, "invalid_encoding"},
        {"/api/v1/../../etc/passwd", 400, "invalid_encoding"},
        {"/api/v1/echo/x?q=%00", 400, "invalid_encoding"},
        {"/api/v1/echo//", 404, "route_not_found"},
        {"/api/v1//echo/x", 404, "route_not_found"},
        {"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t", 404, "route_not_found"},
        {"api/v1/echo/x", 400, "invalid_request"},
        {"/api/v1/echo/x#frag", 400, "invalid_request"},
        {"/api/v1/echo/\xC3\xA9", 400, "invalid_request"},
    };
    start_default();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[256];
        (void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
                       cases[i].path);
        probe_ask(port, request, &a);
        if (a.status != cases[i].status || !probe_has(&a, cases[i].text)) {
            print_error("%s: %d %s\n", cases[i].path, a.status, a.body);
        }
        assert_int_equal(a.status, cases[i].status);
        assert_true(probe_has(&a, cases[i].text));
    }
}

/* ---- load and stop --------------------------------------------------------------------------- */

static void full_queue_is_answered_at_once(void **state)
{
    struct http_config config = probe_config();
    config.workers = 2;
    config.queue_max = 3;
    start(&config);
    log_set_fd(-1);
    struct probe *held[5];
    for (int i = 0; i < 5; i++) { /* two run, three wait */
        held[i] = probe_open(port);
        probe_send(held[i], GET("/api/v1/block"));
        for (int t = 0; i < 2 && t < 500 && atomic_load(&running) <= i; t++) {
            clock_sleep_usec(2 * MSEC);
        }
    }
    clock_sleep_usec(100 * MSEC);
    int64_t begun = clock_mono_usec();
    probe_ask(port, GET("/api/v1/echo/x"), &a);
    assert_int_equal(a.status, 503);
    assert_string_equal(probe_header(&a, "Retry-After"), "1");
    assert_true(probe_has(&a, "\"code\":\"overloaded\""));
    assert_true(clock_mono_usec() - begun < 1000 * MSEC);
    atomic_store(&release, 1);
    for (int i = 0; i < 5; i++) {
        probe_read(held[i], &a, false);
        assert_int_equal(a.status, 200);
        probe_close(held[i]);
    }
    probe_ask(port, GET("/api/v1/echo/x"), &a);
    log_set_fd(2);
    assert_int_equal(a.status, 200);
}

static void *stopper(void *arg)
{
    http_stop(server);
    return arg;
}

static void stop_finishes_what_runs(void **state)
{
    start_default();
    struct probe *idle = probe_open(port);
    probe_send(idle, GET("/api/v1/echo/x"));
    probe_read(idle, &a, false);
    struct probe *flight = probe_open(port);
    struct probe *waiting = probe_open(port);
    probe_send(flight, GET("/api/v1/block"));
    probe_send(waiting, "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
    for (int i = 0; i < 1000 && atomic_load(&running) == 0; i++) {
        clock_sleep_usec(MSEC);
    }
    clock_sleep_usec(50 * MSEC);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stopper, NULL), 0);
    assert_true(probe_ended(idle));
    int fd = probe_connect(port);
    assert_int_equal(fd, -1);
    probe_send(waiting, "bc"); /* a body that was on its way may still arrive */
    probe_read(waiting, &a, false);
    assert_true(a.status == 200 && probe_has(&a, "\"data\":3"));
    assert_true(probe_ended(waiting));
    atomic_store(&release, 1);
    probe_read(flight, &a, false);
    assert_int_equal(a.status, 200);
    assert_string_equal(probe_header(&a, "Connection"), "close");
    assert_true(probe_ended(flight));
    pthread_join(thread, NULL);
    server = NULL;
    probe_close(idle);
    probe_close(flight);
    probe_close(waiting);
}

static void stop_is_bounded(void **state)
{
    struct http_config config = probe_config();
    config.drain_usec = 200 * MSEC;
    config.workers = 1;
    start(&config);
    log_set_fd(-1);
    struct probe *runs = probe_open(port);
    struct probe *queued = probe_open(port);
    struct probe *stuck = probe_open(port);
    probe_send(runs, GET("/api/v1/block"));
    for (int i = 0; i < 1000 && atomic_load(&running) == 0; i++) {
        clock_sleep_usec(MSEC);
    }
    probe_send(queued, GET("/api/v1/echo/x"));
    probe_send(stuck, "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
    clock_sleep_usec(100 * MSEC);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stopper, NULL), 0);
    assert_true(probe_ended(stuck));
    atomic_store(&release, 1);
    probe_read(runs, &a, false);
    assert_int_equal(a.status, 200);
    probe_read(queued, &a, false);
    assert_int_equal(a.status, 503);
    assert_true(probe_has(&a, "\"code\":\"stopping\""));
    pthread_join(thread, NULL);
    log_set_fd(2);
    server = NULL;
    probe_close(runs);
    probe_close(queued);
    probe_close(stuck);
}

static void clients_that_vanish_do_no_harm(void **state)
{
    start_default();
    for (int i = 0; i < 40; i++) {
        struct probe *p = probe_open(port);
        probe_send(p, i % 2 ? GET("/api/v1/block") : "POST /api/v1/bytes HTTP/1.1\r\nHost: x\r\n");
        if (i % 4 == 1) {
            struct linger hard = {.l_onoff = 1};
            setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        probe_close(p);
    }
    atomic_store(&release, 1);
    probe_ask(port, GET("/api/v1/echo/x"), &a);
    assert_int_equal(a.status, 200);
}

struct hammer {
    pthread_t thread;
    int good;
};

static void *hammer_main(void *arg)
{
    struct hammer *h = arg;
    struct probe *p = probe_open(port);
    struct probe_answer *mine = mem_alloc(sizeof *mine);
    for (int i = 0; i < 200; i++) {
        char request[128];
        char expected[64];
        (void)snprintf(request, sizeof request,
                       "GET /api/v1/echo/%p-%d HTTP/1.1\r\nHost: x\r\n\r\n", arg, i);
        (void)snprintf(expected, sizeof expected, "\"value\":\"%p-%d\"", arg, i);
        probe_send(p, request);
        probe_read(p, mine, false);
        h->good += mine->status == 200 && probe_has(mine, expected);
    }
    mem_free(mine);
    probe_close(p);
    return NULL;
}

static void many_clients_get_their_own_answers(void **state)
{
    struct hammer hammers[16] = {0};
    start_default();
    for (int i = 0; i < 16; i++) {
        assert_int_equal(pthread_create(&hammers[i].thread, NULL, hammer_main, &hammers[i]), 0);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(hammers[i].thread, NULL);
        assert_int_equal(hammers[i].good, 200);
    }
}

/* ---- start ----------------------------------------------------------------------------------- */

static void start_says_what_is_wrong(void **state)
{
    start_default();
    struct http_config config = probe_config();
    struct http_server *second = NULL;
    struct why why = {.err = OK};
    config.port = port;
    assert_int_equal(http_start(&second, &config, &table, 1, NULL, &why), ERR_IO);
    char number[8];
    (void)snprintf(number, sizeof number, "%u", port);
    assert_non_null(strstr(why.text, number));
    config.port = 0;
    config.host = "not an address";
    assert_int_equal(http_start(&second, &config, &table, 1, NULL, &why), ERR_CONFIG);
    config.host = "127.0.0.1";
    const struct http_table twice[] = {table, table};
    assert_int_equal(http_start(&second, &config, twice, 2, NULL, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "/api/v1/echo/{value}"));
    static const struct http_route needy[] = {{.path = "/x", .handler = echo}};
    const struct http_table needs = {.routes = needy, .count = 1};
    assert_int_equal(http_start(&second, &config, &needs, 1, NULL, &why), ERR_CONFIG);
    assert_null(second);
}

static void one_io_thread_is_enough(void **state)
{
    struct http_config config = probe_config();
    config.io_threads = 1;
    config.workers = 1;
    start(&config);
    probe_ask(port, GET("/api/v1/echo/x"), &a);
    assert_int_equal(a.status, 200);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(a_get_is_answered_with_envelope_and_headers),
        TEST(request_id_is_taken_over_when_harmless),
        TEST(head_has_headers_only),
        TEST(unknown_paths_and_methods_are_told),
        TEST(json_bodies_are_read),
        TEST(deep_json_is_refused),
        TEST(other_media_types_are_refused),
        TEST(failures_inside_are_not_told),
        TEST(etags_save_the_body),
        TEST(lists_carry_cursor_and_count),
        TEST(raw_answers_are_whole),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(bytes_may_come_one_by_one),
        TEST(chunked_bodies_are_joined),
        TEST(http10_is_closed_after_the_answer),
        TEST(half_closed_clients_are_answered),
        TEST(expectations_are_met),
        TEST(refused_bodies_do_not_cost_the_connection),
        TEST(oversize_bodies_are_refused),
        TEST(largest_body_is_taken_whole),
        TEST(oversize_headers_are_refused),
        TEST(number_of_headers_is_capped),
        TEST(slow_senders_are_cut_off),
        TEST(idle_connections_are_closed),
        TEST(connections_over_the_cap_are_refused),
        TEST(connections_of_one_client_are_capped),
        TEST(ambiguous_framing_is_refused),
        TEST(host_must_be_there_once),
        TEST(header_lines_must_be_plain),
        TEST(paths_are_decoded_once_and_strictly),
        TEST(full_queue_is_answered_at_once),
        TEST(stop_finishes_what_runs),
        TEST(stop_is_bounded),
        TEST(clients_that_vanish_do_no_harm),
        TEST(many_clients_get_their_own_answers),
        TEST(start_says_what_is_wrong),
        TEST(one_io_thread_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
