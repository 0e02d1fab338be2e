#include "kernel/stream/stream.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/json.h"
#include "kernel/base/log.h"
#include "kernel/base/thread.h"
#include "kernel/stream/stream_internal.h"
#include "kernel/stream/stream_sql.h"

#define INPUT_BYTES 65536

#define ROW(key_, type_, member_, default__, min_, max_, doc_)                                     \
    {                                                                                              \
        .key = (key_), .type = (type_), .offset = offsetof(struct stream_config, member_),         \
        .default_ = (default__), .min = (min_), .max = (max_), .doc = (doc_)                       \
    }

#define MSEC 1000
#define HOUR (INT64_C(3600) * USEC_PER_SEC)
#define KIB 1024
#define MIB (UINT64_C(1) << 20)

const struct config_row stream_config_rows[] = {
    ROW("stream.connections_max", CONFIG_U64, connections_max, "10000", 1, 100000,
        "WebSockets and streams of events open at once; more are answered 503."),
    ROW("stream.connections_per_client_max", CONFIG_U64, connections_per_client_max, "2048", 1,
        100000, "Of them, those of one IPv4 address or IPv6 /64; more are closed 1013."),
    ROW("stream.subscriptions_max", CONFIG_U64, subscriptions_max, "32", 1, STREAM_TOPICS_MAX,
        "Topics that one connection may listen to."),
    ROW("stream.queue_max", CONFIG_SIZE, queue_bytes_max, "256KiB", KIB, 64 * MIB,
        "What may wait for a client that does not read, beside a snapshot; more closes 1013."),
    ROW("stream.message_max", CONFIG_SIZE, message_bytes_max, "4KiB", 256, MIB,
        "Size of a message that a client sends; a longer one closes 1009."),
    ROW("stream.message_rate", CONFIG_U64, message_rate, "20", 1, 100000,
        "Messages and frames a second that a client may send, two seconds of it at once; more "
        "closes 1008."),
    ROW("stream.ping_interval", CONFIG_DURATION, ping_usec, "20s", 10 * MSEC, HOUR,
        "After how much silence a client is pinged."),
    ROW("stream.pong_timeout", CONFIG_DURATION, pong_usec, "20s", 10 * MSEC, HOUR,
        "How long it may take to answer that."),
    ROW("stream.close_timeout", CONFIG_DURATION, close_usec, "2s", 10 * MSEC, 60 * USEC_PER_SEC,
        "How long a closing handshake is waited for, also when the program stops."),
    ROW("stream.session_max", CONFIG_DURATION, session_usec, "24h", 100 * MSEC, 24 * 30 * HOUR,
        "How long a connection lasts."),
    ROW("stream.recheck_interval", CONFIG_DURATION, recheck_usec, "60s", 10 * MSEC, 24 * HOUR,
        "How often it is looked whether the credentials of a connection are still valid."),
    ROW("stream.poll_interval", CONFIG_DURATION, poll_usec, "250ms", 10 * MSEC, 60 * USEC_PER_SEC,
        "How often changes are looked for that nobody signals."),
    ROW("stream.retention", CONFIG_DURATION, retention_usec, "1h", USEC_PER_SEC, 24 * 30 * HOUR,
        "How long messages are kept for those who come again."),
    ROW("stream.messages_max", CONFIG_U64, messages_max, "100000", 100, 100000000,
        "How many messages are kept at most."),
    ROW("stream.snapshot_rows_max", CONFIG_U64, snapshot_rows_max, "500", 1, 10000,
        "Rows of a snapshot, the newest ones."),
    ROW("stream.resume_max", CONFIG_U64, resume_messages_max, "2000", 1, 100000,
        "Missed messages that are told one by one; who missed more gets a snapshot."),
};
const size_t stream_config_row_count = sizeof stream_config_rows / sizeof stream_config_rows[0];

#define CONNECTIONS "freehold_stream_connections", METRIC_GAUGE, "Open connections."
#define CLOSED "freehold_stream_closed_total", METRIC_COUNTER, "Connections that we ended."

static const struct metric_row rows[STREAM_METRIC_COUNT] = {
    [STREAM_METRIC_WS] = {CONNECTIONS, "kind=\"websocket\""},
    [STREAM_METRIC_EVENTS] = {CONNECTIONS, "kind=\"events\""},
    [STREAM_METRIC_SUBSCRIPTIONS] = {"freehold_stream_subscriptions", METRIC_GAUGE,
                                     "Topics that are listened to, by all connections.", NULL},
    [STREAM_METRIC_QUEUED_BYTES] = {"freehold_stream_queued_bytes", METRIC_GAUGE,
                                    "Bytes that wait for clients to read.", NULL},
    [STREAM_METRIC_NUMBERED] = {"freehold_stream_numbered_total", METRIC_COUNTER,
                                "Messages that this process numbered.", NULL},
    [STREAM_METRIC_SENT] = {"freehold_stream_sent_total", METRIC_COUNTER,
                            "Messages that were sent, each for every client.", NULL},
    [STREAM_METRIC_RESYNCS] = {"freehold_stream_resyncs_total", METRIC_COUNTER,
                               "Snapshots instead of what was missed.", NULL},
    [STREAM_METRIC_CLOSED_SLOW] = {CLOSED, "reason=\"slow\""},
    [STREAM_METRIC_CLOSED_FLOOD] = {CLOSED, "reason=\"flood\""},
    [STREAM_METRIC_CLOSED_SILENT] = {CLOSED, "reason=\"silent\""},
    [STREAM_METRIC_CLOSED_PROTOCOL] = {CLOSED, "reason=\"protocol\""},
};

struct metric_value stream_metrics[STREAM_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(rows, stream_metrics, STREAM_METRIC_COUNT);
}

void stream_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

/* ---- topics ---- */

int stream_topic_find(const struct stream *s, struct slice name)
{
    for (size_t i = 0; i < s->topic_count; i++) {
        if (slice_equal_text(name, s->topics[i]->name)) {
            return (int)i;
        }
    }
    return -1;
}

bool stream_may_listen(const struct stream_topic *topic, unsigned roles)
{
    return topic->roles == 0 || (roles & (topic->roles | HTTP_ROLE_ADMIN)) != 0;
}

static enum err add_topics(struct stream *s, const struct stream_topics *table, struct why *why)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct stream_topic *topic = &table->topics[i];
        ASSERT(strlen(topic->name) <= STREAM_TOPIC_NAME_MAX);
        if (stream_topic_find(s, slice_text(topic->name)) >= 0) {
            return why_set(why, ERR_CONFIG, NULL, "There are two topics \"%s\".", topic->name);
        }
        ASSERT(s->topic_count < STREAM_TOPICS_MAX);
        s->topics[s->topic_count++] = topic;
    }
    return OK;
}

static struct stream_message *make_hello(const struct stream *s)
{
    struct arena scratch;
    struct buf text;
    struct json_out j;
    arena_init(&scratch, 4096);
    buf_init(&text, &scratch, 1024);
    json_out_init(&j, &text);
    json_begin_object(&j);
    json_key(&j, "type");
    json_text(&j, "hello");
    json_key(&j, "heartbeatMs");
    json_i64(&j, s->config->ping_usec / 1000);
    json_key(&j, "topics");
    json_begin_array(&j);
    for (size_t i = 0; i < s->topic_count; i++) {
        json_text(&j, s->topics[i]->name);
    }
    json_end_array(&j);
    json_end_object(&j);
    struct stream_message *m = stream_message_new("hello", NULL, buf_slice(&text));
    arena_free(&scratch);
    return m;
}

/* ---- the epoch ---- */

static enum err put_epoch(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    char fresh[RAND_ID_MAX];
    (void)ctx;
    rand_id("ep", fresh);
    store_begin(&q, tx, &stream_sql_epoch_put);
    store_bind_text(&q, "epoch", slice_text(fresh));
    return store_finish(&q, NULL, why);
}

static enum err get_epoch(struct store_tx *tx, void *ctx, struct why *why)
{
    struct stream *s = ctx;
    struct arena scratch;
    struct store_query q;
    arena_init(&scratch, 256);
    s->epoch[0] = '\0';
    store_begin(&q, tx, &stream_sql_epoch_get);
    if (store_step(&q)) {
        struct slice epoch = store_get_text(&q, "epoch", &scratch);
        size_t len = epoch.len < sizeof s->epoch - 1 ? epoch.len : sizeof s->epoch - 1;
        memcpy(s->epoch, epoch.ptr, len);
        s->epoch[len] = '\0';
    }
    enum err e = store_finish(&q, NULL, why);
    arena_free(&scratch);
    return e == OK ? stream_number_get(tx, "", &s->position, why) : e;
}

static enum err load_epoch(struct stream *s, struct why *why)
{
    enum err e = store_read(s->store, get_epoch, s, why);
    if (e == OK && s->epoch[0] == '\0') {
        e = store_write(s->store, put_epoch, s, why);
        e = e ? e : store_read(s->store, get_epoch, s, why);
    }
    return e;
}

/* ---- starting ---- */

static enum err open_descriptors(struct stream *s, struct why *why)
{
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    if (s->wake_fd < 0 || s->epoll_fd < 0 ||
        epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &event) != 0) {
        return why_set(why, ERR_IO, NULL, "The system gives no event descriptors.");
    }
    return OK;
}

static struct stream *stream_new(const struct stream_config *config, const struct http_config *http,
                                 struct store *store)
{
    struct stream *s = mem_alloc(sizeof *s);
    size_t count = (size_t)config->connections_max;
    s->config = config;
    s->http = http;
    s->store = store;
    s->wake_fd = -1;
    s->epoll_fd = -1;
    s->conns = mem_alloc(count * sizeof(struct stream_conn *));
    s->free_slots = mem_alloc(count * sizeof *s->free_slots);
    for (size_t i = 0; i < count; i++) {
        s->free_slots[s->free_count++] = (uint32_t)(count - 1 - i);
    }
    s->client_buckets = 64;
    while (s->client_buckets < count) {
        s->client_buckets *= 2;
    }
    s->clients = mem_alloc(s->client_buckets * sizeof(struct stream_client *));
    s->input = mem_alloc(INPUT_BYTES);
    s->comment = stream_message_comment();
    s->ping = stream_message_frame(STREAM_PING, SLICE_EMPTY);
    pthread_mutex_init(&s->to_feed.lock, NULL);
    pthread_mutex_init(&s->to_loop.lock, NULL);
    return s;
}

static enum err start_threads(struct stream *s, struct why *why)
{
    s->loop_runs = thread_start(&s->loop, stream_loop_main, s) == 0;
    s->feed_runs = s->loop_runs && thread_start(&s->feed, stream_feed_main, s) == 0;
    return s->feed_runs ? OK
                        : why_set(why, ERR_IO, NULL, "The system gives no threads for streams.");
}

enum err stream_start(const struct stream_config *config, const struct http_config *http,
                      const struct stream_topics *tables, size_t table_count, struct store *store,
                      struct stream **out, struct why *why)
{
    stream_metrics_register();
    struct stream *s = stream_new(config, http, store);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < table_count; i++) {
        e = add_topics(s, &tables[i], why);
    }
    s->hello = make_hello(s);
    e = e ? e : load_epoch(s, why);
    e = e ? e : open_descriptors(s, why);
    e = e ? e : start_threads(s, why);
    if (e != OK) {
        stream_stop(s);
        stream_free(s);
        return e;
    }
    LOG(LOG_INFO, "stream.started", log_text("epoch", s->epoch), log_u64("position", s->position),
        log_u64("topics", s->topic_count));
    *out = s;
    return OK;
}

void stream_wake(struct stream *s)
{
    uint64_t one = 1;
    ssize_t put = write(s->wake_fd, &one, sizeof one);
    (void)put; /* full means that it is awake already */
}

/* ---- stopping ---- */

static void drop_list(struct stream_list *list)
{
    struct stream_item *item = stream_list_take(list, true);
    while (item != NULL) {
        struct stream_item *next = item->next;
        if (item->fd >= 0) {
            (void)close(item->fd);
        }
        stream_item_free(item);
        item = next;
    }
}

void stream_stop(struct stream *s)
{
    if (s == NULL || atomic_exchange(&s->stopping, true)) {
        return;
    }
    if (s->feed_runs) {
        store_wake(s->store, STREAM_CHANNEL);
        ASSERT(pthread_join(s->feed, NULL) == 0);
    }
    drop_list(&s->to_feed);
    if (s->loop_runs) {
        stream_wake(s);
        ASSERT(pthread_join(s->loop, NULL) == 0);
    }
    drop_list(&s->to_loop);
}

void stream_free(struct stream *s)
{
    if (s == NULL) {
        return;
    }
    ASSERT(atomic_load(&s->stopping) && s->dirty == NULL);
    for (size_t i = 0; i < s->topic_count; i++) {
        stream_message_drop(s->snapshots[i]);
    }
    stream_message_drop(s->hello);
    stream_message_drop(s->comment);
    stream_message_drop(s->ping);
    (void)(s->wake_fd >= 0 && close(s->wake_fd));
    (void)(s->epoll_fd >= 0 && close(s->epoll_fd));
    pthread_mutex_destroy(&s->to_feed.lock);
    pthread_mutex_destroy(&s->to_loop.lock);
    mem_free(s->clients);
    mem_free(s->free_slots);
    mem_free(s->conns);
    mem_free(s->input);
    mem_free(s);
}
