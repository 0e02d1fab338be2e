/*
 * stream_api.c: the two routes. What is looked at before a socket is taken is looked at here, in a
 * worker of HTTP: a refusal is an answer like any other.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/net/ws_handshake.h"
#include "kernel/stream/stream_internal.h"

#define SEND_BUFFER_BYTES 65536

/* Whether a comma-separated header has a token. */
static bool has_token(struct slice list, const char *token)
{
    while (list.len > 0) {
        struct slice one;
        (void)slice_cut(list, ',', &one, &list);
        if (slice_equal_nocase(slice_trim(one), slice_text(token))) {
            return true;
        }
    }
    return false;
}

static bool is_base64_digit(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

/* 16 bytes in base64: 22 digits, of the last of which four bits are zero, and two signs. */
static bool is_key(struct slice key)
{
    bool good = key.len == WS_KEY_TEXT_MAX - 1 && slice_ends(key, SLICE_LIT("==")) &&
                memchr("AQgw", key.ptr[key.len - 3], 4) != NULL;
    for (size_t i = 0; good && i < key.len - 2; i++) {
        good = is_base64_digit(key.ptr[i]);
    }
    return good;
}

/* RFC 6455, section 4.2.1. */
static enum err check_handshake(const struct http_call *call, struct why *why)
{
    if (!slice_equal_text(call->method, "GET") ||
        !has_token(http_header(call, "Upgrade"), "websocket") ||
        !has_token(http_header(call, "Connection"), "upgrade") ||
        !slice_equal_text(http_header(call, "Sec-WebSocket-Version"), "13")) {
        return why_set(why, ERR_UPGRADE_REQUIRED, NULL, "This is for WebSockets of version 13.");
    }
    if (!is_key(http_header(call, "Sec-WebSocket-Key"))) {
        return why_set(why, ERR_INVALID_REQUEST, "Sec-WebSocket-Key",
                       "Sec-WebSocket-Key must be 16 bytes in base64.");
    }
    if (!http_origin_is_welcome(call)) {
        return why_set(why, ERR_FORBIDDEN, "Origin",
                       "Pages of this origin may not listen: see http.cors_origins.");
    }
    return OK;
}

static enum err reserve(struct stream *s, struct why *why)
{
    if (atomic_load(&s->stopping)) {
        return why_set(why, ERR_STOPPING, NULL, "%s", err_sentence(ERR_STOPPING));
    }
    if (atomic_fetch_add(&s->count, 1) >= s->config->connections_max) {
        (void)atomic_fetch_sub(&s->count, 1);
        return why_set(why, ERR_OVERLOADED, NULL, "Too many listen already.");
    }
    return OK;
}

/*
 * A peer that is gone is found out while we have something to send, and what waits for a slow one
 * waits in our queue, not in megabytes of the system's.
 */
static void set_options(int fd, const struct stream_config *config)
{
    unsigned msec = (unsigned)((config->ping_usec + config->pong_usec) / 1000);
    int bytes = SEND_BUFFER_BYTES;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &msec, sizeof msec);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

/* HTTP has found it valid; it is looked at again while the connection lasts. */
static void keep_token(const struct http_call *call, struct stream_item *item)
{
    struct slice sent = http_header(call, "Authorization");
    struct slice scheme;
    struct slice token;
    if (call->principal.len > 0 && slice_cut(sent, ' ', &scheme, &token)) {
        secret_init(&item->token, token.ptr, token.len);
    }
}

/* Takes the socket, and gives it to the loop with the answer that it begins with. */
static enum err hand_over(struct http_call *call, struct stream *s, struct stream_item *item,
                          const char *head, struct why *why)
{
    struct http_detached taken;
    struct buf answer;
    enum err e = reserve(s, why);
    if (e == OK) {
        e = http_detach(call, &taken, why);
        (void)(e != OK && atomic_fetch_sub(&s->count, 1));
    }
    if (e != OK) {
        stream_item_free(item);
        return e;
    }
    buf_init(&answer, call->req, 1024);
    buf_add_text(&answer, head);
    buf_add_slice(&answer, taken.headers);
    buf_add_text(&answer, "\r\n");
    set_options(taken.fd, s->config);
    item->fd = taken.fd;
    item->roles = http_roles_admitted(call);
    keep_token(call, item);
    memcpy(item->client_key, taken.client_key, sizeof item->client_key);
    item->first = stream_message_new("", NULL, buf_slice(&answer));
    if (!stream_list_put(&s->to_loop, item)) {
        (void)close(taken.fd);
        (void)atomic_fetch_sub(&s->count, 1);
        stream_item_free(item);
        return OK; /* there is nobody to answer any more */
    }
    stream_wake(s);
    return OK;
}

static enum err open_socket(struct http_call *call, struct why *why)
{
    struct stream *s = call->ctx;
    char accept[WS_ACCEPT_TEXT_MAX];
    enum err e = check_handshake(call, why);
    if (e != OK) {
        return e;
    }
    ws_accept_format(http_header(call, "Sec-WebSocket-Key"), accept);
    struct slice head = slice_format(call->req,
                                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
                                     accept);
    return hand_over(call, s, stream_item_new(STREAM_ITEM_CONN, 0), slice_cstr(call->req, head),
                     why);
}

/* ---- Server-Sent Events ---- */

static enum err add_topic(struct http_call *call, struct stream *s, struct slice name,
                          struct stream_item *item, struct why *why)
{
    int topic = stream_topic_find(s, name);
    if (topic < 0) {
        return why_set(why, ERR_INVALID_FIELD, "topics", "There is no topic \"%.*s\".",
                       SLICE_ARG(name));
    }
    if (!stream_may_listen(s->topics[topic], http_roles_admitted(call))) {
        return why_set(why, call->principal.len > 0 ? ERR_FORBIDDEN : ERR_UNAUTHENTICATED, "topics",
                       "Your roles are not enough for the topic \"%.*s\".", SLICE_ARG(name));
    }
    for (size_t i = 0; i < item->join_count; i++) {
        if (item->joins[i].topic == (uint16_t)topic) {
            return OK;
        }
    }
    if (item->join_count == s->config->subscriptions_max) {
        return why_set(why, ERR_INVALID_FIELD, "topics", "A connection may have %llu topics.",
                       (unsigned long long)s->config->subscriptions_max);
    }
    item->joins[item->join_count++] = (struct stream_join){.topic = (uint16_t)topic};
    return OK;
}

/* "EPOCH.POSITION", as it was told. What is no id of ours begins with snapshots. */
static void read_last_id(struct slice id, struct stream_item *item)
{
    struct slice epoch;
    struct slice position;
    if (slice_cut(id, '.', &epoch, &position) && epoch.len > 0 && epoch.len < sizeof item->epoch &&
        slice_parse_u64(position, &item->from) == OK && item->from <= INT64_MAX) {
        memcpy(item->epoch, epoch.ptr, epoch.len);
        item->has_from = true;
    }
}

static enum err open_events(struct http_call *call, struct why *why)
{
    struct stream *s = call->ctx;
    struct slice names = http_query(call, "topics", NULL);
    struct slice id = http_header(call, "Last-Event-ID");
    if (!slice_equal_text(call->method, "GET")) {
        return why_set(why, ERR_METHOD_NOT_ALLOWED, NULL, "A stream of events has no head alone.");
    }
    if (names.len == 0) {
        return why_set(why, ERR_MISSING_FIELD, "topics", "Name the topics: topics=leases,assets.");
    }
    struct stream_item *item = stream_item_new(STREAM_ITEM_CONN, 0);
    item->events = true;
    item->joins = mem_alloc(STREAM_TOPICS_MAX * sizeof *item->joins);
    enum err e = OK;
    while (e == OK && names.len > 0) {
        struct slice name;
        (void)slice_cut(names, ',', &name, &names);
        e = add_topic(call, s, slice_trim(name), item, why);
    }
    if (e != OK) {
        stream_item_free(item);
        return e;
    }
    read_last_id(id.len > 0 ? id : http_query(call, "lastEventId", NULL), item);
    return hand_over(call, s, item,
                     "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                     "Cache-Control: no-store\r\nConnection: close\r\nX-Accel-Buffering: no\r\n",
                     why);
}

/* ---- the table ---- */

static const char *const ws_aliases[] = {"/ws", NULL};
static const char *const no_query[] = {NULL};
static const char *const events_query[] = {"topics", "lastEventId", NULL};
static const enum err ws_errors[] = {ERR_UPGRADE_REQUIRED, ERR_INVALID_REQUEST, ERR_FORBIDDEN,
                                     ERR_OVERLOADED, OK};
static const enum err events_errors[] = {ERR_MISSING_FIELD, ERR_INVALID_FIELD, ERR_UNAUTHENTICATED,
                                         ERR_FORBIDDEN,     ERR_OVERLOADED,    OK};

static const struct http_route routes[] = {
    {.method = HTTP_GET,
     .path = "/api/v1/ws",
     .aliases = ws_aliases,
     .handler = open_socket,
     .flags = HTTP_RAW | HTTP_DETACHES,
     .query_keys = no_query,
     .tag = "streams",
     .operation = "openSocket",
     .summary = "Opens a WebSocket: topics with a snapshot and numbered changes.",
     .reply_status = 101,
     .errors = ws_errors},
    {.method = HTTP_GET,
     .path = "/api/v1/events",
     .handler = open_events,
     .flags = HTTP_RAW | HTTP_DETACHES,
     .query_keys = events_query,
     .tag = "streams",
     .operation = "listenToEvents",
     .summary = "The same as Server-Sent Events, from the id in Last-Event-ID on.",
     .reply_type = "text/event-stream",
     .reply_status = 200,
     .errors = events_errors},
};

struct http_table stream_http_table(struct stream *stream)
{
    return (struct http_table){
        .routes = routes, .count = sizeof routes / sizeof routes[0], .ctx = stream};
}
