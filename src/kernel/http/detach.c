/*
 * detach.c: a handler takes the socket of its connection.
 *
 * libmicrohttpd 0.9.75 would keep the connection's buffers for as long as an upgraded socket is
 * open, and has no such thing for an answer that never ends. So the socket is taken: while the
 * request is with a worker its connection is suspended, and its descriptor in no epoll set. There
 * the number is pointed at a dummy socket, and the real one goes on under another number. Resumed,
 * the library shuts down and closes the dummy.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/http/http_internal.h"

struct http_request *http_request_of(const struct http_call *call)
{
    union {
        const void *in;
        char *out;
    } at = {.in = call};
    return (struct http_request *)(void *)(at.out - offsetof(struct http_request, call));
}

static struct slice common_headers(struct http_request *req)
{
    struct http_param cors[HTTP_CORS_HEADERS_MAX];
    struct buf out;
    buf_init(&out, &req->arena, 512);
    buf_format(&out,
               "X-Request-Id: %s\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
               "Referrer-Policy: no-referrer\r\n",
               req->id);
    size_t count = http_cors_headers(req, cors);
    for (size_t i = 0; i < count; i++) {
        buf_format(&out, "%.*s: %.*s\r\n", SLICE_ARG(cors[i].name), SLICE_ARG(cors[i].value));
    }
    return buf_slice(&out);
}

enum err http_detach(struct http_call *call, struct http_detached *out, struct why *why)
{
    struct http_request *req = http_request_of(call);
    struct http_conn *conn = req->conn;
    ASSERT(req->state == HTTP_QUEUED && (call->route->flags & HTTP_DETACHES) && !call->detached);
    int dummy = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int taken = dummy >= 0 ? fcntl(conn->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (taken < 0 || dup3(dummy, conn->fd, O_CLOEXEC) < 0) {
        (void)(taken >= 0 && close(taken));
        (void)(dummy >= 0 && close(dummy));
        return why_set(why, ERR_IO, NULL, "The system gives no descriptor.");
    }
    (void)close(dummy);
    call->detached = true;
    out->fd = taken;
    memcpy(out->client_key, conn->client_key, sizeof out->client_key);
    out->headers = common_headers(req);
    return OK;
}

bool http_origin_is_welcome(const struct http_call *call)
{
    const struct http_cors *cors = &http_request_of(call)->server->cors;
    struct slice origin = http_header(call, "Origin");
    struct slice host = http_header(call, "Host");
    if (origin.len == 0 || http_cors_allows(cors, origin)) {
        return true;
    }
    struct slice rest =
        slice_starts(origin, SLICE_LIT("https://"))  ? slice_sub(origin, 8, origin.len)
        : slice_starts(origin, SLICE_LIT("http://")) ? slice_sub(origin, 7, origin.len)
                                                     : SLICE_EMPTY;
    return rest.len > 0 && slice_equal_nocase(rest, host);
}
