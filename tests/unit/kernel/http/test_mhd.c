#include "unit/kernel/http/program.h"

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

/* Reads what was logged until `text` is there, for at most two seconds. */
static bool log_says(int fd, char *lines, size_t size, const char *text)
{
    size_t len = 0;
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    while (len < size - 1 && poll(&pfd, 1, 2000) > 0) {
        ssize_t got = read(fd, lines + len, size - 1 - len);
        assert_true(got > 0);
        len += (size_t)got;
        lines[len] = '\0';
        if (strstr(lines, text)) {
            return true;
        }
    }
    return false;
}

static void access_is_logged_with_the_route(void **state)
{
    struct http_config config = probe_config();
    int ends[2];
    char lines[4096];
    assert_int_equal(pipe(ends), 0);
    config.access_log = true;
    start(&config);
    log_set_fd(ends[1]);
    log_set_level(LOG_INFO);
    probe_ask(port, GET_WITH("/api/v1/echo/secret?q=hidden", "X-Request-Id: r-1\r\n"), &a);
    bool logged = log_says(ends[0], lines, sizeof lines, "\n");
    log_set_level(LOG_ERROR);
    log_set_fd(2);
    close(ends[0]);
    close(ends[1]);
    assert_true(logged);
    assert_non_null(strstr(lines, "\"event\":\"http.request_finished\""));
    assert_non_null(strstr(lines, "\"req\":\"r-1\""));
    assert_non_null(strstr(lines, "\"method\":\"GET\""));
    assert_non_null(strstr(lines, "\"route\":\"/api/v1/echo/{value}\""));
    assert_non_null(strstr(lines, "\"status\":200"));
    assert_non_null(strstr(lines, "\"dur_usec\":"));
    assert_null(strstr(lines, "hidden"));
    assert_null(strstr(lines, "secret"));
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
        TEST(access_is_logged_with_the_route),
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
        TEST(ambiguous_framing_is_refused),
        TEST(host_must_be_there_once),
        TEST(header_lines_must_be_plain),
        TEST(paths_are_decoded_once_and_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
