/*
 * probe.h: a raw socket against a server of ours: bytes in, bytes out, nothing hidden.
 */
#ifndef UNIT_KERNEL_HTTP_PROBE_H
#define UNIT_KERNEL_HTTP_PROBE_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>

#include "kernel/base/clock.h"
#include "kernel/http/http.h"
#include "unit/test.h"

#define PROBE_BYTES 262144
#define MSEC 1000

struct probe_answer {
    int status; /* 0: the connection ended before a whole answer */
    char head[8192];
    char body[PROBE_BYTES];
    size_t body_len;
};

struct probe {
    int fd;
    char bytes[PROBE_BYTES]; /* read, not yet consumed */
    size_t len;
};

static inline struct http_config probe_config(void)
{
    return (struct http_config){
        .host = "127.0.0.1",
        .io_threads = 2,
        .workers = 4,
        .queue_max = 64,
        .connections_max = 64,
        .connections_per_client_max = 64,
        .header_bytes_max = 8192,
        .body_bytes_max = 65536,
        .header_usec = 5000 * MSEC,
        .request_usec = 5000 * MSEC,
        .idle_usec = 5000 * MSEC,
        .drain_usec = 3000 * MSEC,
    };
}

static inline int probe_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline struct probe *probe_open(uint16_t port)
{
    struct probe *p = mem_alloc(sizeof *p);
    p->fd = probe_connect(port);
    assert_true(p->fd >= 0);
    return p;
}

static inline void probe_close(struct probe *p)
{
    close(p->fd);
    mem_free(p);
}

/* A server may close while we still write: then what it said is read all the same. */
static inline void probe_send_bytes(struct probe *p, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t sent = send(p->fd, at, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        at += sent;
        len -= (size_t)sent;
    }
}

static inline void probe_send(struct probe *p, const char *text)
{
    probe_send_bytes(p, text, strlen(text));
}

/* Reads more; false at the end, on a reset, or after 10 seconds. */
static inline bool probe_more(struct probe *p)
{
    struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
    if (p->len >= sizeof p->bytes - 1 || poll(&pfd, 1, 10000) <= 0) {
        return false;
    }
    ssize_t got = recv(p->fd, p->bytes + p->len, sizeof p->bytes - 1 - p->len, 0);
    if (got <= 0) {
        return false;
    }
    p->len += (size_t)got;
    p->bytes[p->len] = '\0';
    return true;
}

static inline void probe_consume(struct probe *p, size_t len)
{
    memmove(p->bytes, p->bytes + len, p->len - len + 1);
    p->len -= len;
}

/* The value of a header in an answer, or NULL; borrowed until the next call. */
static inline const char *probe_header(const struct probe_answer *a, const char *name)
{
    static _Thread_local char value[1024];
    size_t name_len = strlen(name);
    for (const char *line = strstr(a->head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, name_len) == 0 && line[2 + name_len] == ':') {
            const char *from = line + 2 + name_len + 1;
            from += strspn(from, " ");
            size_t len = strcspn(from, "\r");
            assert_true(len < sizeof value);
            memcpy(value, from, len);
            value[len] = '\0';
            return value;
        }
    }
    return NULL;
}

/* Reads one answer; `head_only` for HEAD. */
static inline void probe_read(struct probe *p, struct probe_answer *a, bool head_only)
{
    memset(a, 0, sizeof *a);
    char *end = NULL;
    while ((end = p->len > 0 ? strstr(p->bytes, "\r\n\r\n") : NULL) == NULL) {
        if (!probe_more(p)) {
            return;
        }
    }
    size_t head_len = (size_t)(end - p->bytes) + 4;
    assert_true(head_len < sizeof a->head);
    memcpy(a->head, p->bytes, head_len - 2);
    probe_consume(p, head_len);
    int status = 0;
    assert_int_equal(sscanf(a->head, "HTTP/1.%*d %d", &status), 1);
    if (status == 100) {
        probe_read(p, a, head_only);
        return;
    }
    const char *length = probe_header(a, "Content-Length");
    a->body_len = length && !head_only ? strtoul(length, NULL, 10) : 0;
    assert_true(a->body_len < sizeof a->body);
    while (p->len < a->body_len) {
        if (!probe_more(p)) {
            return;
        }
    }
    memcpy(a->body, p->bytes, a->body_len);
    if (a->body_len > 0) {
        probe_consume(p, a->body_len);
    }
    a->status = status;
}

/* True when the server has closed (or resets), false when it still holds the connection. */
static inline bool probe_ended(struct probe *p)
{
    struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
    char byte;
    if (p->len > 0 || poll(&pfd, 1, 2000) <= 0) {
        return false;
    }
    return recv(p->fd, &byte, 1, 0) <= 0;
}

/* One request on a connection of its own. */
static inline void probe_ask(uint16_t port, const char *request, struct probe_answer *a)
{
    struct probe *p = probe_open(port);
    probe_send(p, request);
    probe_read(p, a, strncmp(request, "HEAD", 4) == 0);
    probe_close(p);
}

static inline bool probe_has(const struct probe_answer *a, const char *text)
{
    return strstr(a->body, text) != NULL;
}

#endif
