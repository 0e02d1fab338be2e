/* A WebSocket on a server that is written out byte by byte. */
#include "kernel/net/ws_client.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "kernel/base/clock.h"
#include "kernel/net/http_client.h"
#include "unit/test.h"

#define MESSAGE_MAX 300000

/* One connection: shakes hands, sends what it is told to, keeps what comes. */
struct server {
    int listener;
    uint16_t port;
    const char *send; /* behind the handshake, in the same packet */
    size_t send_len;
    bool no_handshake; /* the socket is accepted and left alone */
    bool wrong_accept;
    bool echo_pings;
    bool hang_up; /* right after it */
    int wait_for; /* bytes after which it hangs up; 0: for ever */
    pthread_t thread;
    _Atomic bool stopping;
    uint8_t got[4096];
    _Atomic size_t got_len;
};

static size_t read_head(int fd, char *head, size_t max)
{
    size_t len = 0;
    while (len < max - 1 && (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0)) {
        if (recv(fd, head + len, 1, 0) != 1) {
            break;
        }
        len++;
    }
    head[len] = '\0';
    return len;
}

static void shake(struct server *s, int fd)
{
    char head[8192];
    char joined[256];
    uint8_t digest[SHA_DIGEST_LENGTH];
    char accept[64];
    char answer[512];
    uint8_t all[8192];
    (void)read_head(fd, head, sizeof head);
    const char *key = strstr(head, "Sec-WebSocket-Key: ");
    assert_non_null(key);
    (void)snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                   key + strlen("Sec-WebSocket-Key: "));
    (void)EVP_Digest(joined, strlen(joined), digest, NULL, EVP_sha1(), NULL);
    (void)EVP_EncodeBlock((uint8_t *)accept, digest, sizeof digest);
    if (s->wrong_accept) {
        accept[0] = accept[0] == 'A' ? 'B' : 'A';
    }
    int len = snprintf(answer, sizeof answer,
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                       accept);
    memcpy(all, answer, (size_t)len);
    size_t first = s->send_len < sizeof all - (size_t)len ? s->send_len : 0;
    if (first > 0) {
        memcpy(all + len, s->send, first);
    }
    (void)send(fd, all, (size_t)len + first, MSG_NOSIGNAL);
    for (size_t at = first; at < s->send_len;) {
        ssize_t n = send(fd, s->send + at, s->send_len - at, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        at += (size_t)n;
    }
}

static void *serve(void *ctx)
{
    struct server *s = ctx;
    int fd = accept(s->listener, NULL, NULL);
    if (fd < 0) {
        return NULL;
    }
    if (!s->no_handshake) {
        shake(s, fd);
    }
    while (!atomic_load(&s->stopping) && !s->hang_up) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 10) <= 0) {
            continue;
        }
        size_t at = atomic_load(&s->got_len);
        ssize_t n = recv(fd, s->got + at, sizeof s->got - at, 0);
        if (n <= 0) {
            break;
        }
        atomic_store(&s->got_len, at + (size_t)n);
        if (s->wait_for > 0 && at + (size_t)n >= (size_t)s->wait_for) {
            break;
        }
    }
    close(fd);
    return NULL;
}

static void start(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 1), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s)
{
    atomic_store(&s->stopping, true);
    (void)shutdown(s->listener, SHUT_RDWR);
    close(s->listener);
    pthread_join(s->thread, NULL);
}

static enum err open_to(const struct server *s, int64_t ping_usec, int64_t dead_usec, int wake_fd,
                        struct net_ws **out, struct why *why)
{
    char url[64];
    (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/key/0123456789", s->port);
    const struct net_ws_options options = {.url = url,
                                           .timeout_usec = 20 * (int64_t)USEC_PER_SEC,
                                           .ping_usec = ping_usec,
                                           .dead_usec = dead_usec,
                                           .message_bytes_max = MESSAGE_MAX,
                                           .wake_fd = wake_fd};
    return net_ws_open(&options, out, why);
}

#define LONG_USEC (60 * (int64_t)USEC_PER_SEC)

struct client {
    struct server server;
    struct net_ws *ws;
    struct arena arena;
    struct slice text;
    bool got;
    struct why why;
};

static void join(struct client *c, const char *bytes, size_t len)
{
    c->server.send = bytes;
    c->server.send_len = len;
    start(&c->server);
    arena_init(&c->arena, 0);
    assert_int_equal(open_to(&c->server, LONG_USEC, 2 * LONG_USEC, -1, &c->ws, &c->why), OK);
}

static enum err receive(struct client *c, int64_t usec)
{
    c->got = false;
    return net_ws_receive(c->ws, &c->arena, usec, &c->text, &c->got, &c->why);
}

static void leave(struct client *c)
{
    net_ws_close(c->ws);
    stop(&c->server);
    arena_free(&c->arena);
}

static void assert_text(const struct client *c, const char *text)
{
    assert_true(c->got);
    assert_true(slice_equal_text(c->text, text));
}

/* ---- */

static void messages_that_come_with_the_handshake(void **state)
{
    /* whole, in two parts with a ping between, empty, binary */
    static const char bytes[] = "\x81\x02hi\x01\x03one\x89\x01p\x80\x03two\x81\x00\x82\x01z";
    struct client c = {0};
    (void)state;
    join(&c, bytes, sizeof bytes - 1);
    assert_int_equal(receive(&c, LONG_USEC), OK);
    assert_text(&c, "hi");
    assert_int_equal(receive(&c, LONG_USEC), OK);
    assert_text(&c, "onetwo");
    assert_int_equal(receive(&c, LONG_USEC), OK);
    assert_text(&c, "");
    assert_int_equal(receive(&c, LONG_USEC), OK);
    assert_text(&c, "z");
    assert_int_equal(receive(&c, 1000), OK);
    assert_false(c.got);
    /* The ping was answered: masked, one byte of payload. */
    while (atomic_load(&c.server.got_len) < 7) {
        assert_int_equal(receive(&c, 1000), OK);
    }
    assert_int_equal(c.server.got[0], 0x8a);
    assert_int_equal(c.server.got[1], 0x81);
    assert_int_equal(c.server.got[6] ^ c.server.got[2], 'p');
    leave(&c);
}

static void what_is_sent_is_masked(void **state)
{
    struct client c = {0};
    (void)state;
    join(&c, "", 0);
    assert_int_equal(net_ws_send(c.ws, SLICE_LIT("hello"), &c.why), OK);
    while (atomic_load(&c.server.got_len) < 11) {
        clock_sleep_usec(1000);
    }
    assert_int_equal(c.server.got[0], 0x81);
    assert_int_equal(c.server.got[1], 0x85);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(c.server.got[6 + i] ^ c.server.got[2 + i % 4], "hello"[i]);
    }
    leave(&c);
}

static void a_large_message_in_parts(void **state)
{
    struct client c = {0};
    struct arena arena;
    struct buf bytes;
    (void)state;
    arena_init(&arena, 0);
    buf_init(&bytes, &arena, 400000);
    for (int part = 0; part < 5; part++) { /* of 60,000 bytes: 0xea60 */
        buf_add(&bytes, part == 0 ? "\x01" : part == 4 ? "\x80" : "\x00", 1);
        buf_add(&bytes, "\x7e\xea\x60", 3);
        memset(buf_room(&bytes, 60000), 'a' + part, 60000);
        bytes.len += 60000;
    }
    join(&c, (const char *)bytes.ptr, bytes.len);
    assert_int_equal(receive(&c, LONG_USEC), OK);
    assert_true(c.got);
    assert_int_equal(c.text.len, 300000);
    for (size_t i = 0; i < c.text.len; i += 997) {
        assert_int_equal(c.text.ptr[i], 'a' + (int)(i / 60000));
    }
    leave(&c);
    arena_free(&arena);
}

struct bad {
    const char *bytes;
    size_t len;
    enum err err;
    const char *says;
};
#define BAD(bytes, err, says)                                                                      \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, err, says                                                        \
    }

static void what_ends_it(void **state)
{
    static const struct bad cases[] = {
        BAD("\x81\x7f\x00\x00\x00\x00\x10\x00\x00\x00xxxx", ERR_LIMIT, "more than 300000 bytes"),
        BAD("\x88\x02\x03\xe8", ERR_UPSTREAM, "closed the connection"),
        BAD("\x83\x00", ERR_UPSTREAM, "breaks the protocol"),  /* an opcode that nobody has */
        BAD("\xc1\x00", ERR_UPSTREAM, "breaks the protocol"),  /* an extension's bit */
        BAD("\x80\x01x", ERR_UPSTREAM, "breaks the protocol"), /* a part of nothing */
        BAD("\x81\x02\xff\xfe", ERR_UPSTREAM, "breaks the protocol"), /* no UTF-8 */
        BAD("\x09\x00", ERR_UPSTREAM, "breaks the protocol"),         /* half a ping */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client c = {0};
        join(&c, cases[i].bytes, cases[i].len);
        enum err e = receive(&c, LONG_USEC);
        assert_int_equal(e, cases[i].err);
        assert_int_equal(c.why.err, e);
        assert_non_null(strstr(c.why.text, cases[i].says));
        assert_non_null(strstr(c.why.text, "ws://127.0.0.1:"));
        assert_null(strstr(c.why.text, "0123456789"));
        leave(&c);
    }
}

static void one_that_hangs_up(void **state)
{
    struct client c = {.server.hang_up = true};
    (void)state;
    join(&c, "\x81\x02hi", 4);
    assert_int_equal(receive(&c, LONG_USEC), OK);
    assert_text(&c, "hi");
    assert_int_equal(receive(&c, LONG_USEC), ERR_UPSTREAM);
    leave(&c);
}

static void one_that_is_silent_is_asked_and_given_up(void **state)
{
    struct client c = {0};
    struct net_ws *ws = NULL;
    struct why why = {0};
    (void)state;
    start(&c.server);
    arena_init(&c.arena, 0);
    assert_int_equal(open_to(&c.server, 50000, 300000, -1, &ws, &why), OK);
    int64_t begun = clock_mono_usec();
    c.ws = ws;
    assert_int_equal(receive(&c, LONG_USEC), ERR_NODE_TIMEOUT);
    assert_true(clock_mono_usec() - begun >= 250000);
    assert_non_null(strstr(c.why.text, "silent for 300 ms"));
    assert_int_equal(c.server.got[0], 0x89); /* a ping, once */
    assert_int_equal(atomic_load(&c.server.got_len), 6);
    leave(&c);
}

static void a_wrong_accept_is_refused(void **state)
{
    struct server s = {.wrong_accept = true};
    struct net_ws *ws = NULL;
    struct why why = {0};
    (void)state;
    start(&s);
    assert_int_equal(open_to(&s, LONG_USEC, 2 * LONG_USEC, -1, &ws, &why), ERR_UPSTREAM);
    assert_non_null(strstr(why.text, "Sec-WebSocket-Accept"));
    assert_null(ws);
    stop(&s);
}

static void who_waits_can_be_woken(void **state)
{
    struct client c = {0};
    int fd = eventfd(1, 0);
    (void)state;
    start(&c.server);
    arena_init(&c.arena, 0);
    assert_int_equal(open_to(&c.server, LONG_USEC, 2 * LONG_USEC, -1, &c.ws, &c.why), OK);
    net_ws_close(c.ws);
    stop(&c.server);
    /* An open is given up, also one that never gets an answer. */
    struct server mute = {.no_handshake = true};
    start(&mute);
    c.ws = NULL;
    assert_int_equal(open_to(&mute, LONG_USEC, 2 * LONG_USEC, fd, &c.ws, &c.why), ERR_STOPPING);
    stop(&mute);
    close(fd);
    arena_free(&c.arena);
}

static void nobody_listens(void **state)
{
    struct server s = {0};
    struct net_ws *ws = NULL;
    struct why why = {0};
    (void)state;
    start(&s);
    stop(&s);
    assert_int_equal(open_to(&s, LONG_USEC, 2 * LONG_USEC, -1, &ws, &why), ERR_UPSTREAM);
    assert_non_null(strstr(why.text, "refused"));
    assert_null(strstr(why.text, "0123456789"));
}

static int group_setup(void **state)
{
    (void)state;
    net_start();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_that_come_with_the_handshake),
        cmocka_unit_test(what_is_sent_is_masked),
        cmocka_unit_test(a_large_message_in_parts),
        cmocka_unit_test(what_ends_it),
        cmocka_unit_test(one_that_hangs_up),
        cmocka_unit_test(one_that_is_silent_is_asked_and_given_up),
        cmocka_unit_test(a_wrong_accept_is_refused),
        cmocka_unit_test(who_waits_can_be_woken),
        cmocka_unit_test(nobody_listens),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
