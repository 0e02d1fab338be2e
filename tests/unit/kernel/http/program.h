/*
 * program.h: a small program of routes, and a server that runs it, for the tests of this folder.
 */
#ifndef UNIT_KERNEL_HTTP_PROGRAM_H
#define UNIT_KERNEL_HTTP_PROGRAM_H

#include "kernel/base/log.h"
#include "kernel/base/mem.h"
#include "unit/kernel/http/probe.h"

static _Atomic int running;
static _Atomic int release; /* blocked handlers go on when it is 1 */

static inline enum err echo(struct http_call *call, struct why *why)
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

static inline enum err name_length(struct http_call *call, struct why *why)
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

static inline enum err body_length(struct http_call *call, struct why *why)
{
    json_u64(call->out, call->body.len);
    return OK;
}

static inline enum err block(struct http_call *call, struct why *why)
{
    atomic_fetch_add(&running, 1);
    for (int i = 0; i < 5000 && atomic_load(&release) == 0; i++) {
        clock_sleep_usec(MSEC);
    }
    atomic_fetch_sub(&running, 1);
    json_text(call->out, "done");
    return OK;
}

static inline enum err fail_inside(struct http_call *call, struct why *why)
{
    return why_set(why, ERR_DB, "secret_column", "near \"SELEC\": syntax error in /var/lib/x");
}

static inline enum err fail_upstream(struct http_call *call, struct why *why)
{
    struct json_out *j = http_details(call);
    json_begin_object(j);
    json_key(j, "attempts");
    json_u64(j, 3);
    json_end_object(j);
    return why_set(why, ERR_NODE_TIMEOUT, "node", "No node answered in time.");
}

static inline enum err tagged(struct http_call *call, struct why *why)
{
    call->etag = SLICE_LIT("v7");
    json_u64(call->out, 7);
    return OK;
}

static inline enum err page(struct http_call *call, struct why *why)
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

static inline enum err metrics_text(struct http_call *call, struct why *why)
{
    buf_add_text(call->raw, "up 1\n");
    call->content_type = "text/plain; version=0.0.4";
    return OK;
}

static inline enum err large(struct http_call *call, struct why *why)
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

static inline void start(const struct http_config *config)
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

static inline void start_default(void)
{
    struct http_config config = probe_config();
    start(&config);
}

static inline int stop(void **state)
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

#endif
