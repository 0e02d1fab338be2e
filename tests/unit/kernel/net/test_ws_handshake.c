#include "kernel/net/ws_handshake.h"

#include "unit/test.h"

/* RFC 6455, section 1.3. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"

static void the_key_is_that_of_the_rfc(void **state)
{
    char key[WS_KEY_TEXT_MAX];
    (void)state;
    ws_key_format((const uint8_t *)"the sample nonce", key);
    assert_string_equal(key, KEY);
}

struct request_case {
    const char *url;
    const char *http_url; /* NULL: refused */
    const char *has;
};

static void requests(void **state)
{
    static const struct request_case cases[] = {
        {"ws://h.example", "http://h.example", "GET / HTTP/1.1\r\nHost: h.example\r\n"},
        {"ws://h.example:8546/v3/k?a=b", "http://h.example:8546/v3/k?a=b",
         "GET /v3/k?a=b HTTP/1.1\r\nHost: h.example:8546\r\n"},
        {"wss://[::1]:1/", "https://[::1]:1/", "Host: [::1]:1\r\n"},
        /* RFC 7617, section 2. */
        {"wss://Aladdin:open%20sesame@h.example/", "https://Aladdin:open%20sesame@h.example/",
         "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"},
        {"http://h.example", NULL, NULL},
        {"ws://", NULL, NULL},
        {"ws://h.example/a b", NULL, NULL},
        {"ws://h.example/\r\nX: y", NULL, NULL},
        {"", NULL, NULL},
    };
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;
        const char *http_url = NULL;
        struct why why = {0};
        buf_init(&out, &arena, 64);
        enum err e = ws_request_write(&arena, cases[i].url, KEY, &out, &http_url, &why);
        if (cases[i].http_url == NULL) {
            assert_int_equal(e, ERR_CONFIG);
            assert_int_equal(out.len, 0);
            continue;
        }
        assert_int_equal(e, OK);
        assert_string_equal(http_url, cases[i].http_url);
        buf_add_byte(&out, 0);
        assert_non_null(strstr((const char *)out.ptr, cases[i].has));
        assert_non_null(strstr((const char *)out.ptr, "\r\nUpgrade: websocket\r\n"));
        assert_non_null(strstr((const char *)out.ptr, "\r\nSec-WebSocket-Key: " KEY "\r\n"));
        assert_null(strstr((const char *)out.ptr, "\r\nX: y"));
    }
    arena_free(&arena);
}

struct answer_case {
    const char *text;
    enum err err;
    size_t behind; /* bytes that belong to the first frame */
    bool incomplete;
};

static void answers(void **state)
{
    static const struct answer_case cases[] = {
        {"HTTP/1.1 101 Switching Protocols\r\n" UPGRADE ACCEPT "\r\n", OK, 0, false},
        {"HTTP/1.1 101 x\r\n" UPGRADE ACCEPT "\r\n\x81\x01x", OK, 3, false},
        {"HTTP/1.1 101\r\nupgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n" ACCEPT "\r\n",
         OK, 0, false},
        {"", OK, 0, true},
        {"HTTP/1.1 101 x\r\n" UPGRADE ACCEPT "\r", OK, 0, true},
        {"HTTP/1.1 200 OK\r\n" UPGRADE ACCEPT "\r\n", ERR_UPSTREAM, 0, false},
        {"HTTP/1.1 401 no\r\n\r\n", ERR_UPSTREAM, 0, false},
        {"HTTP/1.0 101 x\r\n" UPGRADE ACCEPT "\r\n", ERR_UPSTREAM, 0, false},
        {"HTTP/1.1 1012 x\r\n" UPGRADE ACCEPT "\r\n", ERR_UPSTREAM, 0, false},
        {"HTTP/1.1 101 x\r\n" UPGRADE "\r\n", ERR_UPSTREAM, 0, false},
        {"HTTP/1.1 101 x\r\n" UPGRADE ACCEPT ACCEPT "\r\n", ERR_UPSTREAM, 0, false},
        {"HTTP/1.1 101 x\r\n" UPGRADE "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n\r\n",
         ERR_UPSTREAM, 0, false},
        {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n" ACCEPT "\r\n", ERR_UPSTREAM, 0, false},
        {"HTTP/1.1 101 x\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", ERR_UPSTREAM, 0, false},
        {"HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", ERR_UPSTREAM, 0,
         false},
        {"HTTP/1.1 101 x\r\n" UPGRADE ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
         ERR_UPSTREAM, 0, false},
        {"HTTP/1.1 101 x\r\n" UPGRADE ACCEPT "Sec-WebSocket-Protocol: x\r\n\r\n", ERR_UPSTREAM, 0,
         false},
        {"HTTP/1.1 101 x\r\n" UPGRADE ACCEPT "no colon\r\n\r\n", ERR_UPSTREAM, 0, false},
        {"HTTP/1.1 101 x\r\n" UPGRADE ACCEPT " folded: x\r\n\r\n", ERR_UPSTREAM, 0, false},
        {"\r\n\r\n", ERR_UPSTREAM, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice text = slice_text(cases[i].text);
        size_t used = 12345;
        struct why why = {0};
        assert_int_equal(ws_answer_read(text, KEY, &used, &why), cases[i].err);
        if (cases[i].err != OK) {
            assert_int_equal(used, 12345);
            assert_int_equal(why.err, cases[i].err);
        } else {
            assert_int_equal(used, cases[i].incomplete ? 0 : text.len - cases[i].behind);
        }
    }
}

static void a_head_without_end_is_refused(void **state)
{
    struct arena arena;
    size_t used = 0;
    (void)state;
    arena_init(&arena, 0);
    char *text = arena_alloc(&arena, WS_HEAD_BYTES_MAX + 1);
    memset(text, 'x', WS_HEAD_BYTES_MAX);
    struct slice most = slice_of(text, WS_HEAD_BYTES_MAX - 1);
    assert_int_equal(ws_answer_read(most, KEY, &used, NULL), OK);
    assert_int_equal(ws_answer_read(slice_text(text), KEY, &used, NULL), ERR_LIMIT);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_is_that_of_the_rfc),
        cmocka_unit_test(requests),
        cmocka_unit_test(answers),
        cmocka_unit_test(a_head_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
