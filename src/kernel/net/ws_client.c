#include "kernel/net/ws_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <wslay/wslay.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/rand.h"
#include "kernel/net/http_client.h"
#include "kernel/net/ws_handshake.h"

/* Control frames that may wait to be sent before reading stops: pings cannot fill our memory. */
#define QUEUED_MAX 64

struct net_ws {
    CURL *handle;
    int fd;
    struct net_ws_options options; /* its URL is not kept */
    char origin[NET_ORIGIN_MAX];
    wslay_event_context_ptr frames;
    struct buf early; /* came with the answer to the handshake */
    size_t early_used;
    struct arena arena; /* of `early` */
    /* Messages that wslay read and nobody took yet, each behind its length: as many as one read of
     * wslay's holds, because it is given nothing more while there are any. */
    uint8_t *inbox;
    size_t inbox_len;
    size_t inbox_taken;
    int64_t heard_usec; /* monotonic: something came */
    int64_t pinged_usec;
    bool gone; /* the transport ended */
};

static bool is_woken(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&p, 1, 0) > 0;
}

static enum err ended(const struct net_ws *ws, enum err e, const char *what, struct why *why)
{
    return why_set(why, e, NULL, "%s cannot be followed: %s.", ws->origin, what);
}

static enum err silent(const struct net_ws *ws, struct why *why)
{
    return why_set(why, ERR_NODE_TIMEOUT, NULL, "%s has been silent for %lld ms.", ws->origin,
                   (long long)(ws->options.dead_usec / 1000));
}

/* wait_for waits for the socket or for whoever wakes; returns whether the socket is why it ended.
 */
static bool wait_for(const struct net_ws *ws, short events, int64_t usec)
{
    struct pollfd p[2] = {
        {.fd = ws->fd, .events = events},
        {.fd = ws->options.wake_fd, .events = POLLIN}, /* poll leaves a negative one out */
    };
    int64_t msec = usec > 0 ? (usec + 999) / 1000 : 0;
    int n = poll(p, 2, msec < INT_MAX ? (int)msec : INT_MAX);
    return n > 0 && p[0].revents != 0;
}

static bool has_message(const struct net_ws *ws)
{
    return ws->inbox_taken < ws->inbox_len;
}

/* ---- what wslay asks for ---- */

/* take_bytes reads what is there; -1 with *out_code CURLE_AGAIN when nothing is. */
static ssize_t take_bytes(struct net_ws *ws, uint8_t *out, size_t len, CURLcode *out_code)
{
    size_t left = ws->early.len - ws->early_used;
    size_t got = 0;
    *out_code = CURLE_OK;
    if (left > 0) {
        got = left < len ? left : len;
        memcpy(out, ws->early.ptr + ws->early_used, got);
        ws->early_used += got;
        return (ssize_t)got;
    }
    *out_code = curl_easy_recv(ws->handle, out, len, &got);
    if (*out_code != CURLE_OK) {
        return -1;
    }
    return (ssize_t)got;
}

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *out, size_t len, int flags, void *user)
{
    struct net_ws *ws = user;
    CURLcode code = CURLE_AGAIN;
    (void)flags;
    if (has_message(ws) || wslay_event_get_queued_msg_count(ctx) > QUEUED_MAX) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    ssize_t got = take_bytes(ws, out, len, &code);
    if (got > 0) {
        ws->heard_usec = clock_mono_usec();
        return got;
    }
    ws->gone = code != CURLE_AGAIN;
    wslay_event_set_error(ctx, ws->gone ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags,
                       void *user)
{
    struct net_ws *ws = user;
    size_t sent = 0;
    (void)flags;
    CURLcode code = curl_easy_send(ws->handle, data, len, &sent);
    if (code == CURLE_OK) {
        return (ssize_t)sent;
    }
    ws->gone = ws->gone || code != CURLE_AGAIN;
    wslay_event_set_error(ctx,
                          code == CURLE_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *out, size_t len, void *user)
{
    (void)ctx;
    (void)user;
    rand_bytes(out, len);
    return 0;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg,
                       void *user)
{
    struct net_ws *ws = user;
    (void)ctx;
    if (wslay_is_ctrl_frame(arg->opcode)) {
        return; /* wslay has answered it */
    }
    size_t len = arg->msg_length;
    ws->inbox = ws->inbox == NULL ? mem_alloc(sizeof len + len)
                                  : mem_resize(ws->inbox, ws->inbox_len + sizeof len + len);
    memcpy(ws->inbox + ws->inbox_len, &len, sizeof len);
    if (len > 0) {
        memcpy(ws->inbox + ws->inbox_len + sizeof len, arg->msg, len);
    }
    ws->inbox_len += sizeof len + len;
}

static const struct wslay_event_callbacks callbacks = {
    .recv_callback = on_recv,
    .send_callback = on_send,
    .genmask_callback = on_mask,
    .on_msg_recv_callback = on_message,
};

static struct slice take_message(struct net_ws *ws, struct arena *arena)
{
    size_t len = 0;
    memcpy(&len, ws->inbox + ws->inbox_taken, sizeof len);
    struct slice message =
        slice_copy(arena, slice_of(ws->inbox + ws->inbox_taken + sizeof len, len));
    ws->inbox_taken += sizeof len + len;
    if (!has_message(ws)) {
        mem_free(ws->inbox);
        ws->inbox = NULL;
        ws->inbox_len = 0;
        ws->inbox_taken = 0;
    }
    return message;
}

/* ---- opening ---- */

static int on_progress(void *ctx, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up)
{
    const struct net_ws *ws = ctx;
    (void)down_all;
    (void)down;
    (void)up_all;
    (void)up;
    return is_woken(ws->options.wake_fd) ? 1 : 0;
}

/* on_socket keeps the connection out of the programs that we start. */
static int on_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    (void)ctx;
    (void)purpose;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR;
}

#define SET(handle, option, value) ASSERT(curl_easy_setopt(handle, option, value) == CURLE_OK)

static void set_options(struct net_ws *ws)
{
    CURL *handle = ws->handle;
    SET(handle, CURLOPT_NOSIGNAL, 1L);
    SET(handle, CURLOPT_CONNECT_ONLY, 1L);
    SET(handle, CURLOPT_CONNECTTIMEOUT_MS, (long)((ws->options.timeout_usec + 999) / 1000));
    SET(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    /* A server that is offered HTTP/2 takes it, and a WebSocket there is another protocol. */
    SET(handle, CURLOPT_SSL_ENABLE_ALPN, 0L);
    SET(handle, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(handle, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(handle, CURLOPT_PROXY, "");
    SET(handle, CURLOPT_TCP_NODELAY, 1L);
    SET(handle, CURLOPT_SOCKOPTFUNCTION, on_socket);
    SET(handle, CURLOPT_NOPROGRESS, 0L);
    SET(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(handle, CURLOPT_XFERINFODATA, ws);
}

static enum err connect_failed(const struct net_ws *ws, CURLcode code, struct why *why)
{
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        return ended(ws, ERR_STOPPING, "it is not wanted any more", why);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return why_set(why, ERR_NODE_TIMEOUT, NULL, "%s did not answer within %lld ms.", ws->origin,
                       (long long)(ws->options.timeout_usec / 1000));
    }
    const char *what = curl_easy_strerror(code);
    if (code == CURLE_COULDNT_CONNECT) {
        what = "connection refused or unreachable";
    } else if (code == CURLE_PEER_FAILED_VERIFICATION) {
        what = "its certificate is not one that is trusted here";
    }
    return ended(ws, ERR_UPSTREAM, what, why);
}

static enum err connect_to(struct net_ws *ws, const char *http_url, struct why *why)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    set_options(ws);
    CURLcode code = curl_easy_setopt(ws->handle, CURLOPT_URL, http_url);
    if (code == CURLE_OK) {
        code = curl_easy_perform(ws->handle);
    }
    if (code == CURLE_OK) {
        code = curl_easy_getinfo(ws->handle, CURLINFO_ACTIVESOCKET, &fd);
    }
    if (code == CURLE_OK && fd == CURL_SOCKET_BAD) {
        code = CURLE_COULDNT_CONNECT;
    }
    ws->fd = fd;
    return code == CURLE_OK ? OK : connect_failed(ws, code, why);
}

static enum err not_in_time(const struct net_ws *ws, int64_t deadline, struct why *why)
{
    if (is_woken(ws->options.wake_fd)) {
        return connect_failed(ws, CURLE_ABORTED_BY_CALLBACK, why);
    }
    return clock_mono_usec() > deadline ? connect_failed(ws, CURLE_OPERATION_TIMEDOUT, why) : OK;
}

static enum err send_request(struct net_ws *ws, struct slice text, int64_t deadline,
                             struct why *why)
{
    enum err e = OK;
    while (e == OK && text.len > 0) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(ws->handle, text.ptr, text.len, &sent);
        if (code == CURLE_AGAIN) {
            (void)wait_for(ws, POLLOUT, deadline - clock_mono_usec());
        } else if (code != CURLE_OK) {
            return connect_failed(ws, code, why);
        }
        text = slice_sub(text, sent, text.len);
        e = not_in_time(ws, deadline, why);
    }
    return e;
}

/* Reads the answer's head; what came behind it stays in `early`. */
static enum err read_answer(struct net_ws *ws, const char *key, int64_t deadline, struct why *why)
{
    uint8_t piece[4096];
    struct why said = {0};
    while (ws->early_used == 0) {
        size_t got = 0;
        CURLcode code = curl_easy_recv(ws->handle, piece, sizeof piece, &got);
        if (code == CURLE_AGAIN) {
            (void)wait_for(ws, POLLIN, deadline - clock_mono_usec());
        } else if (code != CURLE_OK || got == 0) {
            return ended(ws, ERR_UPSTREAM,
                         "it closed the connection instead of opening a WebSocket", why);
        }
        buf_add(&ws->early, piece, got);
        enum err e = ws_answer_read(buf_slice(&ws->early), key, &ws->early_used, &said);
        if (e != OK) {
            return ended(ws, e, said.text, why);
        }
        e = not_in_time(ws, deadline, why);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err shake_hands(struct net_ws *ws, const char *url, struct why *why)
{
    uint8_t nonce[WS_NONCE_BYTES];
    char key[WS_KEY_TEXT_MAX];
    struct buf request;
    const char *http_url = NULL;
    struct why said = {0};
    rand_bytes(nonce, sizeof nonce);
    ws_key_format(nonce, key);
    buf_init(&request, &ws->arena, 1024);
    enum err e = ws_request_write(&ws->arena, url, key, &request, &http_url, &said);
    if (e != OK) {
        return ended(ws, e, said.text, why);
    }
    e = connect_to(ws, http_url, why);
    int64_t deadline = clock_mono_usec() + ws->options.timeout_usec;
    if (e == OK) {
        e = send_request(ws, buf_slice(&request), deadline, why);
    }
    return e == OK ? read_answer(ws, key, deadline, why) : e;
}

enum err net_ws_open(const struct net_ws_options *options, struct net_ws **out, struct why *why)
{
    ASSERT(options->dead_usec > options->ping_usec && options->ping_usec > 0);
    ASSERT(options->timeout_usec > 0 && options->message_bytes_max > 0);
    struct net_ws *ws = mem_alloc(sizeof *ws);
    ws->options = *options;
    ws->options.url = NULL;
    ws->fd = -1;
    net_url_origin(options->url, ws->origin);
    arena_init(&ws->arena, 4096);
    buf_init(&ws->early, &ws->arena, 1024);
    ws->handle = curl_easy_init();
    ASSERT(ws->handle != NULL);
    enum err e = shake_hands(ws, options->url, why);
    if (e == OK) {
        ASSERT(wslay_event_context_client_init(&ws->frames, &callbacks, ws) == 0);
        wslay_event_config_set_max_recv_msg_length(ws->frames, options->message_bytes_max);
        ws->heard_usec = clock_mono_usec();
    }
    if (e != OK) {
        net_ws_close(ws);
        return e;
    }
    *out = ws;
    return OK;
}

/* ---- an open one ---- */

static enum err closed(const struct net_ws *ws, struct why *why)
{
    if (wslay_event_get_close_sent(ws->frames) != 0 &&
        wslay_event_get_status_code_sent(ws->frames) == WSLAY_CODE_MESSAGE_TOO_BIG) {
        return why_set(why, ERR_LIMIT, NULL, "%s sent a message of more than %zu bytes.",
                       ws->origin, ws->options.message_bytes_max);
    }
    return ended(ws, ERR_UPSTREAM,
                 ws->gone || wslay_event_get_close_received(ws->frames) != 0
                     ? "it closed the connection"
                     : "it breaks the protocol",
                 why);
}

/* flush sends what waits to be sent, as far as it goes now. */
static enum err flush(struct net_ws *ws, struct why *why)
{
    if (wslay_event_want_write(ws->frames) != 0 && wslay_event_send(ws->frames) != 0) {
        return closed(ws, why);
    }
    return OK;
}

enum err net_ws_send(struct net_ws *ws, struct slice text, struct why *why)
{
    const struct wslay_event_msg message = {WSLAY_TEXT_FRAME, text.ptr, text.len};
    if (wslay_event_queue_msg(ws->frames, &message) != 0) {
        return closed(ws, why);
    }
    int64_t deadline = clock_mono_usec() + ws->options.timeout_usec;
    enum err e = flush(ws, why);
    while (e == OK && wslay_event_want_write(ws->frames) != 0) {
        (void)wait_for(ws, POLLOUT, deadline - clock_mono_usec());
        e = flush(ws, why);
        if (e == OK) {
            e = not_in_time(ws, deadline, why);
        }
    }
    return e;
}

/* look_alive asks a silent other side, and gives up one that stays silent. */
static enum err look_alive(struct net_ws *ws, int64_t now, struct why *why)
{
    static const struct wslay_event_msg ping = {WSLAY_PING, NULL, 0};
    if (now - ws->heard_usec >= ws->options.dead_usec) {
        return silent(ws, why);
    }
    bool asked = ws->pinged_usec > ws->heard_usec;
    if (now - ws->heard_usec >= ws->options.ping_usec && !asked) {
        ws->pinged_usec = now;
        if (wslay_event_queue_msg(ws->frames, &ping) != 0) {
            return closed(ws, why);
        }
        return flush(ws, why);
    }
    return OK;
}

/* Until when nothing is to be done but to listen. */
static int64_t next_look_usec(const struct net_ws *ws)
{
    bool asked = ws->pinged_usec > ws->heard_usec;
    return ws->heard_usec + (asked ? ws->options.dead_usec : ws->options.ping_usec);
}

enum err net_ws_receive(struct net_ws *ws, struct arena *arena, int64_t timeout_usec,
                        struct slice *out, bool *out_got, struct why *why)
{
    int64_t deadline = clock_mono_usec() + timeout_usec;
    for (;;) {
        bool broken = !has_message(ws) && wslay_event_recv(ws->frames) != 0;
        if (has_message(ws)) {
            *out = take_message(ws, arena);
            *out_got = true;
            return OK;
        }
        enum err e = flush(ws, why);
        if (e == OK && (broken || wslay_event_want_read(ws->frames) == 0)) {
            e = closed(ws, why);
        }
        int64_t now = clock_mono_usec();
        if (e == OK) {
            e = look_alive(ws, now, why);
        }
        if (e != OK) {
            return e;
        }
        if (now >= deadline || is_woken(ws->options.wake_fd)) {
            *out_got = false;
            return OK;
        }
        int64_t until = next_look_usec(ws);
        until = until < deadline ? until : deadline;
        bool writes = wslay_event_want_write(ws->frames) != 0;
        (void)wait_for(ws, (short)(POLLIN | (writes ? POLLOUT : 0)), until - now);
    }
}

void net_ws_close(struct net_ws *ws)
{
    if (ws == NULL) {
        return;
    }
    if (ws->frames != NULL) {
        if (!ws->gone &&
            wslay_event_queue_close(ws->frames, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0) == 0) {
            (void)wslay_event_send(ws->frames);
        }
        wslay_event_context_free(ws->frames);
    }
    curl_easy_cleanup(ws->handle);
    mem_free(ws->inbox);
    arena_free(&ws->arena);
    mem_free(ws);
}
