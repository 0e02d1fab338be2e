/*
 * Streams on a server and a database of their own: who may listen to what, and many who come,
 * listen and leave without a word while rows change. That numbers go up by one is the measure.
 */
#include "kernel/stream/stream.h"

#include "kernel/base/log.h"
#include "kernel/chain/chain_sql.h"
#include "kernel/ops/ops_stream_sql.h"
#include "unit/kernel/http/probe.h"
#include "unit/support.h"

#define CLIENTS 6
#define ROUNDS 8
#define CHANGES 150

struct site {
    struct support_store support;
    struct stream_config config;
    struct http_config http;
    struct http_authority authority;
    struct stream *stream;
    struct http_server *server;
    _Atomic bool done;
};

static const struct stream_topic topic_rows[] = {
    {"reorgs", HTTP_ROLE_SERVICE, "of services", &ops_stream_sql_reorg, &ops_stream_sql_reorgs},
    {"chain", 0, "of everybody", &ops_stream_sql_chain, &ops_stream_sql_chains},
};
static const struct stream_topics topics = {.topics = topic_rows, .count = 2};

static enum err identify(void *ctx, struct arena *req, struct slice token, struct http_caller *out,
                         struct why *why)
{
    bool good = slice_equal_text(token, "good");
    if (!good && !slice_equal_text(token, "other")) {
        return why_set(why, ERR_UNAUTHENTICATED, NULL, "Nobody has this token.");
    }
    *out = (struct http_caller){.principal = token,
                                .roles = good ? HTTP_ROLE_SERVICE : HTTP_ROLE_INVESTOR};
    return OK;
}

static void open_site(struct site *s)
{
    memset(s, 0, sizeof *s);
    log_set_level(LOG_ERROR);
    support_store_open(&s->support, &sql_catalog);
    s->authority.identify = identify;
    s->http = probe_config();
    s->http.authority = &s->authority;
    s->config = (struct stream_config){.connections_max = 64,
                                       .connections_per_client_max = 64,
                                       .subscriptions_max = 8,
                                       .queue_bytes_max = 1 << 20,
                                       .message_bytes_max = 4096,
                                       .message_rate = 1000,
                                       .ping_usec = 60000 * MSEC,
                                       .pong_usec = 60000 * MSEC,
                                       .close_usec = 500 * MSEC,
                                       .session_usec = 60000 * MSEC,
                                       .recheck_usec = 20 * MSEC,
                                       .poll_usec = 50 * MSEC,
                                       .retention_usec = 60000 * MSEC,
                                       .messages_max = 10000,
                                       .snapshot_rows_max = 3,
                                       .resume_messages_max = 1000};
    assert_int_equal(
        stream_start(&s->config, &s->http, &topics, 1, s->support.store, &s->stream, NULL), OK);
    const struct http_table table = stream_http_table(s->stream);
    assert_int_equal(http_start(&s->server, &s->http, &table, 1, s->support.store, NULL), OK);
}

static void close_site(struct site *s)
{
    stream_stop(s->stream);
    http_stop(s->server);
    stream_free(s->stream);
    support_store_close(&s->support);
}

/* ---- a client ---- */

static void say(struct probe *p, const char *text)
{
    uint8_t head[6] = {0x81, (uint8_t)(0x80 | strlen(text))}; /* masked with zeros */
    assert_true(strlen(text) < 126);
    probe_send_bytes(p, head, sizeof head);
    probe_send(p, text);
}

static struct probe *listen_as(const struct site *s, const char *token)
{
    struct probe *p = probe_open(http_port(s->server));
    probe_send(p, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    if (token != NULL) {
        probe_send(p, "Authorization: Bearer ");
        probe_send(p, token);
        probe_send(p, "\r\n");
    }
    probe_send(p, "\r\n");
    char *end = NULL;
    while ((end = strstr(p->bytes, "\r\n\r\n")) == NULL) {
        assert_true(probe_more(p));
    }
    assert_memory_equal(p->bytes, "HTTP/1.1 101", 12);
    probe_consume(p, (size_t)(end - p->bytes) + 4);
    return p;
}

/* The next frame's payload as text; false at the end. */
static bool hear(struct probe *p, char *out, size_t cap)
{
    for (;;) {
        const uint8_t *b = (const uint8_t *)p->bytes;
        size_t head = p->len >= 2 && (b[1] & 0x7F) == 126 ? 4 : 2;
        size_t len = p->len < head ? 0 : head == 4 ? (size_t)b[2] << 8 | b[3] : b[1];
        if (p->len >= head && p->len >= head + len) {
            assert_true(len < cap);
            memcpy(out, p->bytes + head, len);
            out[len] = '\0';
            probe_consume(p, head + len);
            return true;
        }
        if (!probe_more(p)) {
            return false;
        }
    }
}

static void expect(struct probe *p, const char *part)
{
    char text[8192];
    assert_true(hear(p, text, sizeof text));
    assert_non_null(strstr(text, part));
}

/* ---- who may listen ---- */

static void a_topic_has_a_policy(void **state)
{
    struct site s;
    open_site(&s);
    struct probe *p = listen_as(&s, NULL);
    expect(p, "\"topics\":[\"reorgs\",\"chain\"]");
    say(p, "{\"type\":\"subscribe\",\"topic\":\"reorgs\"}");
    expect(p, "\"code\":\"forbidden\"");
    say(p, "{\"type\":\"subscribe\",\"topic\":\"chain\"}");
    expect(p, "\"type\":\"subscribed\"");
    expect(p, "\"rows\":[],\"complete\":true");
    say(p, "{\"type\":\"auth\",\"token\":\"other\"}");
    expect(p, "\"roles\":\"investor\"");
    say(p, "{\"type\":\"subscribe\",\"topic\":\"reorgs\"}");
    expect(p, "\"code\":\"forbidden\"");
    say(p, "{\"type\":\"auth\",\"token\":\"good\"}");
    expect(p, "\"principal\":\"good\"");
    say(p, "{\"type\":\"subscribe\",\"topic\":\"reorgs\"}");
    expect(p, "\"type\":\"subscribed\"");
    probe_close(p);
    p = listen_as(&s, "good");
    expect(p, "\"type\":\"hello\"");
    say(p, "{\"type\":\"subscribe\",\"topic\":\"reorgs\"}");
    expect(p, "\"type\":\"subscribed\"");
    expect(p, "\"type\":\"snapshot\"");
    say(p, "{\"type\":\"auth\",\"token\":\"stranger\"}");
    expect(p, "\"code\":\"unauthenticated\"");
    expect(p, "\x03\xf0"); /* 1008 */
    probe_close(p);
    close_site(&s);
}

/* ---- many ---- */

static enum err change(struct store_tx *tx, void *ctx, struct why *why)
{
    uint8_t hash[32] = {0};
    struct store_query q;
    store_begin(&q, tx, &chain_sql_reorg_insert);
    store_bind_i64(&q, "chain_id", 1);
    store_bind_i64(&q, "fork_block", 1);
    store_bind_i64(&q, "depth", 1);
    store_bind_bytes(&q, "old_hash", slice_of(hash, sizeof hash));
    store_bind_bytes(&q, "new_hash", slice_of(hash, sizeof hash));
    store_bind_i64(&q, "changes_undone", *(const int *)ctx);
    store_bind_time(&q, "now", 0);
    store_notify(tx, STREAM_CHANNEL);
    return store_finish(&q, NULL, why);
}

static uint64_t number_of(const char *text)
{
    const char *at = strstr(text, "\"number\":");
    return at != NULL ? strtoull(at + strlen("\"number\":"), NULL, 10) : 0;
}

/* Hears a few changes in order, then goes without a word. */
static void *come_and_go(void *arg)
{
    struct site *s = arg;
    char text[8192];
    for (int round = 0; round < ROUNDS; round++) {
        struct probe *p = listen_as(s, "good");
        say(p, "{\"type\":\"subscribe\",\"topic\":\"reorgs\"}");
        uint64_t number = 0;
        for (int heard = 0; heard < 5 && !atomic_load(&s->done) && hear(p, text, sizeof text);) {
            if (strstr(text, "\"subscribed\"") != NULL) {
                number = number_of(text);
            } else if (strstr(text, "\"change\"") != NULL) {
                assert_int_equal(number_of(text), ++number);
                heard++;
            }
        }
        probe_close(p);
    }
    return NULL;
}

static void numbers_go_up_by_one_for_all_who_come_and_go(void **state)
{
    struct site s;
    pthread_t threads[CLIENTS];
    char text[8192];
    open_site(&s);
    struct probe *first = listen_as(&s, "good");
    say(first, "{\"type\":\"subscribe\",\"topic\":\"reorgs\"}");
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &s), 0);
    }
    for (int i = 1; i <= CHANGES; i++) {
        assert_int_equal(store_write(s.support.store, change, &i, NULL), OK);
    }
    uint64_t number = 0;
    while (number < CHANGES) {
        assert_true(hear(first, text, sizeof text));
        if (strstr(text, "\"subscribed\"") != NULL) {
            number = number_of(text);
        } else if (strstr(text, "\"change\"") != NULL) {
            assert_int_equal(number_of(text), ++number);
        }
    }
    atomic_store(&s.done, true);
    for (int i = 1; i <= CLIENTS * ROUNDS; i++) { /* so that nobody waits for a change */
        assert_int_equal(store_write(s.support.store, change, &i, NULL), OK);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    close_site(&s); /* with one that is still there */
    while (hear(first, text, sizeof text)) {
    }
    probe_close(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_has_a_policy),
        cmocka_unit_test(numbers_go_up_by_one_for_all_who_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
