#include "kernel/rpc/stream.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/base/metric.h"
#include "kernel/base/thread.h"
#include "kernel/net/ws_client.h"
#include "kernel/rpc/envelope.h"

/* Silence after which the other side is asked. */
#define PING_USEC ((int64_t)USEC_PER_SEC)
#define MESSAGE_BYTES_MAX (1 << 20)
#define COOL_FIRST_USEC 100000
#define COOL_MAX_USEC (30 * (int64_t)USEC_PER_SEC)
#define COOL_WRONG_CHAIN_USEC (60 * (int64_t)USEC_PER_SEC)
/* A connection that lasted so long was a good one: its end is a first failure. */
#define LASTED_USEC (10 * (int64_t)USEC_PER_SEC)
/* How often earlier endpoints are tried while a later one serves. */
#define RETURN_USEC (60 * (int64_t)USEC_PER_SEC)
/* How long the pool may know of a block that the stream has not announced. */
#define MISSED_USEC (2 * (int64_t)USEC_PER_SEC)
/* Messages in a second that no chain has reason to send. */
#define FLOOD_MESSAGES 10000

enum stream_metric {
    STREAM_METRIC_CONNECTED,
    STREAM_METRIC_CONNECTS,
    STREAM_METRIC_CLOSED,
    STREAM_METRIC_SILENT,
    STREAM_METRIC_MISSED,
    STREAM_METRIC_WRONG,
    STREAM_METRIC_WRONG_CHAIN,
    STREAM_METRIC_HEADS,
    STREAM_METRIC_REPEATED,
    STREAM_METRIC_HEAD,
    STREAM_METRIC_COUNT
};

#define FAILURES "freehold_rpc_stream_failures_total"
#define FAILURES_HELP "Connections of the stream of new blocks that ended or could not be made."

static const struct metric_row rows[STREAM_METRIC_COUNT] = {
    [STREAM_METRIC_CONNECTED] = {"freehold_rpc_stream_connected", METRIC_GAUGE,
                                 "1 while new blocks are announced over a WebSocket.", NULL},
    [STREAM_METRIC_CONNECTS] = {"freehold_rpc_stream_connects_total", METRIC_COUNTER,
                                "Subscriptions to new blocks that were made.", NULL},
    [STREAM_METRIC_CLOSED] = {FAILURES, METRIC_COUNTER, FAILURES_HELP, "reason=\"closed\""},
    [STREAM_METRIC_SILENT] = {FAILURES, METRIC_COUNTER, FAILURES_HELP, "reason=\"silent\""},
    [STREAM_METRIC_MISSED] = {FAILURES, METRIC_COUNTER, FAILURES_HELP, "reason=\"missed\""},
    [STREAM_METRIC_WRONG] = {FAILURES, METRIC_COUNTER, FAILURES_HELP, "reason=\"wrong_answer\""},
    [STREAM_METRIC_WRONG_CHAIN] = {FAILURES, METRIC_COUNTER, FAILURES_HELP,
                                   "reason=\"wrong_chain\""},
    [STREAM_METRIC_HEADS] = {"freehold_rpc_stream_heads_total", METRIC_COUNTER,
                             "New blocks that were announced.", NULL},
    [STREAM_METRIC_REPEATED] = {"freehold_rpc_stream_repeated_total", METRIC_COUNTER,
                                "Announcements of the block that was announced last.", NULL},
    [STREAM_METRIC_HEAD] = {"freehold_rpc_stream_head_block", METRIC_GAUGE,
                            "The block that was announced last.", NULL},
};

static struct metric_value metrics[STREAM_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(rows, metrics, STREAM_METRIC_COUNT);
}

void rpc_stream_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

/* An endpoint; of the thread alone, but for what does not change. */
struct place {
    const char *url;
    char origin[NET_ORIGIN_MAX];
    uint32_t failures; /* in a row */
    int64_t cool_until_usec;
};

struct rpc_stream {
    struct arena boot;
    uint64_t chain_id;
    int64_t timeout_usec;
    void (*told)(void *ctx, uint64_t number);
    void *ctx;
    struct place *places;
    size_t place_count;
    uint64_t next_id; /* of the thread alone */
    int wake_fd;
    pthread_t thread;
    bool running; /* guarded by whoever starts and stops */
    _Atomic bool stopping;

    pthread_mutex_t lock;
    bool connected;
    size_t connected_to;
    bool has_head;
    uint64_t head;
    struct hash head_hash;
    int64_t head_usec;
    uint64_t seen;        /* newest block that the pool has */
    int64_t missing_usec; /* since when it has one that was not announced; 0: it has not */
    uint64_t failures;    /* in all */
};

/* ---- making one ---- */

struct rpc_stream *rpc_stream_new(const struct rpc_stream_options *options)
{
    ASSERT(options->url_count > 0 && options->url_count <= RPC_ENDPOINTS_MAX);
    ASSERT(options->told != NULL && options->timeout_usec > 0);
    rpc_stream_metrics_register();
    struct rpc_stream *s = mem_alloc(sizeof *s);
    arena_init(&s->boot, 0);
    s->chain_id = options->chain_id;
    s->timeout_usec = options->timeout_usec;
    s->told = options->told;
    s->ctx = options->ctx;
    s->next_id = 1;
    s->places = arena_alloc_array(&s->boot, options->url_count, sizeof *s->places);
    s->place_count = options->url_count;
    for (size_t i = 0; i < s->place_count; i++) {
        s->places[i].url = slice_cstr(&s->boot, slice_text(options->urls[i]));
        net_url_origin(s->places[i].url, s->places[i].origin);
    }
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ASSERT(s->wake_fd >= 0);
    ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
    return s;
}

void rpc_stream_free(struct rpc_stream *s)
{
    if (s == NULL) {
        return;
    }
    ASSERT(!s->running);
    (void)close(s->wake_fd);
    (void)pthread_mutex_destroy(&s->lock);
    arena_free(&s->boot);
    mem_free(s);
}

static void lock(struct rpc_stream *s)
{
    ASSERT(pthread_mutex_lock(&s->lock) == 0);
}

static void unlock(struct rpc_stream *s)
{
    ASSERT(pthread_mutex_unlock(&s->lock) == 0);
}

static void wake(struct rpc_stream *s)
{
    (void)eventfd_write(s->wake_fd, 1);
}

/*
 * A wake is about what was the case then. Taken back before the flags are looked at, so that none
 * is lost and none keeps the thread from waiting.
 */
static void take_wake(const struct rpc_stream *s)
{
    eventfd_t count = 0;
    (void)eventfd_read(s->wake_fd, &count);
}

/* ---- what is known of it ---- */

static void note_connected(struct rpc_stream *s, size_t place)
{
    lock(s);
    s->connected = true;
    s->connected_to = place;
    s->has_head = false;
    s->missing_usec = 0;
    unlock(s);
    metric_set(&metrics[STREAM_METRIC_CONNECTED], 1);
    metric_add(&metrics[STREAM_METRIC_CONNECTS], 1);
    LOG(LOG_INFO, "rpc.stream_connected", log_u64("chain", s->chain_id),
        log_text("url", s->places[place].origin));
    s->told(s->ctx, 0); /* there may be blocks that were announced before */
}

static void note_left(struct rpc_stream *s)
{
    lock(s);
    s->connected = false;
    unlock(s);
    metric_set(&metrics[STREAM_METRIC_CONNECTED], 0);
}

/* note_head says whether it is another head than the last one. */
static bool note_head(struct rpc_stream *s, const struct rpc_stream_message *m)
{
    lock(s);
    bool repeated = s->has_head && s->head == m->number && hash_equal(&s->head_hash, &m->hash);
    s->has_head = true;
    s->head = m->number;
    s->head_hash = m->hash;
    s->head_usec = clock_mono_usec();
    if (s->head >= s->seen) {
        s->missing_usec = 0;
    }
    unlock(s);
    metric_add(&metrics[repeated ? STREAM_METRIC_REPEATED : STREAM_METRIC_HEADS], 1);
    metric_set(&metrics[STREAM_METRIC_HEAD], (int64_t)m->number);
    return !repeated;
}

static bool has_missed(struct rpc_stream *s)
{
    lock(s);
    bool missed = s->missing_usec != 0 && clock_mono_usec() - s->missing_usec >= MISSED_USEC;
    unlock(s);
    return missed;
}

void rpc_stream_seen(struct rpc_stream *s, uint64_t number)
{
    if (s == NULL) {
        return;
    }
    lock(s);
    /* What was there before the subscription is not announced. */
    bool news = number > s->seen && s->seen != 0;
    s->seen = number;
    bool announced = s->has_head && s->head >= number;
    if (announced || !s->connected) {
        s->missing_usec = 0;
    } else if (news && s->missing_usec == 0) {
        s->missing_usec = clock_mono_usec();
    }
    unlock(s);
    if (has_missed(s)) {
        wake(s);
    }
}

bool rpc_stream_is_live(struct rpc_stream *s)
{
    if (s == NULL) {
        return false;
    }
    lock(s);
    bool live = s->connected && s->missing_usec == 0;
    unlock(s);
    return live;
}

void rpc_stream_health(struct rpc_stream *s, struct json_out *j)
{
    json_key(j, "stream");
    if (s == NULL) {
        json_null(j);
        return;
    }
    lock(s);
    bool connected = s->connected;
    size_t place = s->connected_to;
    bool has_head = s->has_head && connected;
    uint64_t head = s->head;
    int64_t age_usec = clock_mono_usec() - s->head_usec;
    uint64_t failures = s->failures;
    unlock(s);
    json_begin_object(j);
    json_key(j, "connected");
    json_bool(j, connected);
    json_key(j, "url");
    json_text(j, connected ? s->places[place].origin : NULL);
    json_key(j, "head");
    if (has_head) {
        json_u64(j, head);
    } else {
        json_null(j);
    }
    json_key(j, "headAgeMsec");
    if (has_head) {
        json_i64(j, age_usec / 1000);
    } else {
        json_null(j);
    }
    json_key(j, "failures");
    json_u64(j, failures);
    json_end_object(j);
}

/* ---- endpoints that fail ---- */

static enum stream_metric reason_of(enum err e)
{
    if (e == ERR_WRONG_CHAIN) {
        return STREAM_METRIC_WRONG_CHAIN;
    }
    if (e == ERR_NODE_TIMEOUT) {
        return STREAM_METRIC_SILENT;
    }
    if (e == ERR_NODE_UNAVAILABLE) {
        return STREAM_METRIC_MISSED;
    }
    return e == ERR_NODE_RESPONSE || e == ERR_LIMIT ? STREAM_METRIC_WRONG : STREAM_METRIC_CLOSED;
}

static int64_t cool_usec(enum err e, uint32_t failures)
{
    int64_t cool = COOL_FIRST_USEC;
    if (e == ERR_WRONG_CHAIN) {
        return COOL_WRONG_CHAIN_USEC;
    }
    for (uint32_t i = 1; i < failures && cool < COOL_MAX_USEC; i++) {
        cool *= 2;
    }
    return cool < COOL_MAX_USEC ? cool : COOL_MAX_USEC;
}

static void note_failed(struct rpc_stream *s, size_t place, enum err e, const struct why *why)
{
    struct place *p = &s->places[place];
    bool first = p->failures++ == 0;
    int64_t cool = cool_usec(e, p->failures);
    p->cool_until_usec = clock_mono_usec() + cool;
    metric_add(&metrics[reason_of(e)], 1);
    lock(s);
    s->failures++;
    unlock(s);
    if (first) {
        LOG(e == ERR_WRONG_CHAIN ? LOG_ERROR : LOG_WARN, "rpc.stream_failed",
            log_u64("chain", s->chain_id), log_text("url", p->origin), log_err(e),
            log_i64("pause_usec", cool), log_why(why, e));
    }
}

/* next_place finds the first of `count` endpoints that may be tried; else how long to wait. */
static int64_t next_place(const struct rpc_stream *s, size_t count, size_t *out)
{
    int64_t now = clock_mono_usec();
    int64_t wait = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        int64_t left = s->places[i].cool_until_usec - now;
        if (left <= 0) {
            *out = i;
            return 0;
        }
        wait = left < wait ? left : wait;
    }
    return wait;
}

/* ---- asking ---- */

/* What is said of an endpoint: its origin, our words. */
static enum err blame(const struct rpc_stream *s, size_t place, enum err e, const char *what,
                      struct why *why)
{
    return why_set(why, e, NULL, "%s cannot be followed: %s.", s->places[place].origin, what);
}

/* receive_answer waits for what is no notification. */
static enum err receive_answer(struct rpc_stream *s, size_t place, struct net_ws *ws,
                               struct arena *arena, struct slice *out, struct why *why)
{
    int64_t deadline = clock_mono_usec() + s->timeout_usec;
    for (;;) {
        bool got = false;
        struct rpc_stream_message m = {0};
        struct why said = {0};
        enum err e = net_ws_receive(ws, arena, deadline - clock_mono_usec(), out, &got, why);
        if (e != OK) {
            return e;
        }
        take_wake(s);
        if (atomic_load(&s->stopping)) {
            return ERR_STOPPING;
        }
        if (!got && clock_mono_usec() >= deadline) {
            return blame(s, place, ERR_NODE_TIMEOUT, "it does not answer in time", why);
        }
        if (got && rpc_stream_message_read(arena, *out, &m, &said) != OK) {
            return blame(s, place, ERR_NODE_RESPONSE, said.text, why);
        }
        if (got && m.is_answer) {
            return OK;
        }
    }
}

/* What a node says is not repeated: it may hold its URL, and so a key. */
static enum err ask(struct rpc_stream *s, size_t place, struct net_ws *ws, struct arena *arena,
                    struct rpc_call *call, struct why *why)
{
    struct rpc_call *calls[] = {call};
    enum rpc_shape shape = RPC_SHAPE_ANSWERS;
    uint64_t id = s->next_id++;
    struct slice answer = SLICE_EMPTY;
    struct buf text;
    buf_init(&text, arena, 256);
    rpc_envelope_write(&text, calls, 1, id);
    enum err e = net_ws_send(ws, buf_slice(&text), why);
    if (e == OK) {
        e = receive_answer(s, place, ws, arena, &answer, why);
    }
    if (e != OK) {
        return e;
    }
    struct why said = {0};
    e = rpc_envelope_read(arena, answer, MESSAGE_BYTES_MAX, calls, 1, id, &shape, &said);
    if (e == OK && call->err != OK && call->err != ERR_NODE_RESPONSE) {
        return why_set(why, ERR_NODE_RESPONSE, NULL, "%s cannot be followed: it refuses %s (%lld).",
                       s->places[place].origin, call->method, (long long)call->error_code);
    }
    if (e != OK || call->err != OK) {
        return blame(s, place, ERR_NODE_RESPONSE, "its answer is not one of JSON-RPC 2.0", why);
    }
    return OK;
}

static enum err subscribe(struct rpc_stream *s, size_t place, struct net_ws *ws,
                          struct arena *arena, struct slice *out_id, struct why *why)
{
    struct rpc_call id = {.method = "eth_chainId"};
    struct rpc_call heads = {.method = "eth_subscribe", .params = SLICE_LIT("[\"newHeads\"]")};
    uint64_t chain_id = 0;
    enum err e = ask(s, place, ws, arena, &id, why);
    if (e != OK) {
        return e;
    }
    if (id.result->type != JSON_STRING || hex_parse_u64(id.result->text, &chain_id) != OK) {
        return blame(s, place, ERR_NODE_RESPONSE, "its chain id is no number", why);
    }
    if (chain_id != s->chain_id) {
        return why_set(why, ERR_WRONG_CHAIN, "chain_id",
                       "The node %s serves chain %llu, but chain %llu is configured.",
                       s->places[place].origin, (unsigned long long)chain_id,
                       (unsigned long long)s->chain_id);
    }
    e = ask(s, place, ws, arena, &heads, why);
    if (e == OK && heads.result->type != JSON_STRING) {
        e = blame(s, place, ERR_NODE_RESPONSE, "its subscription has no id", why);
    }
    if (e == OK) {
        *out_id = heads.result->text;
    }
    return e;
}

/* ---- one connection ---- */

struct connection {
    size_t place;
    struct net_ws *ws;
    struct arena arena; /* of the connection */
    struct slice id;    /* of the subscription */
    int64_t since_usec;
    int64_t second_usec; /* when the messages of this second began to be counted */
    unsigned messages;
};

static void close_connection(struct connection *c)
{
    net_ws_close(c->ws);
    arena_free(&c->arena);
}

/* open_connection opens and subscribes; a failure is noted. */
static bool open_connection(struct rpc_stream *s, size_t place, struct connection *out)
{
    struct connection c = {.place = place};
    struct why why = {0};
    const struct net_ws_options options = {
        .url = s->places[place].url,
        .timeout_usec = s->timeout_usec,
        .ping_usec = PING_USEC,
        .dead_usec = STREAM_DEAD_USEC,
        .message_bytes_max = MESSAGE_BYTES_MAX,
        .wake_fd = s->wake_fd,
    };
    arena_init(&c.arena, 0);
    enum err e = net_ws_open(&options, &c.ws, &why);
    if (e == OK) {
        e = subscribe(s, place, c.ws, &c.arena, &c.id, &why);
    }
    if (e != OK) {
        if (e != ERR_STOPPING) {
            note_failed(s, place, e, &why);
        }
        close_connection(&c);
        return false;
    }
    c.since_usec = clock_mono_usec();
    *out = c;
    note_connected(s, place);
    return true;
}

static enum err count_message(const struct rpc_stream *s, struct connection *c, struct why *why)
{
    int64_t now = clock_mono_usec();
    if (now - c->second_usec >= USEC_PER_SEC) {
        c->second_usec = now;
        c->messages = 0;
    }
    if (++c->messages > FLOOD_MESSAGES) {
        return blame(s, c->place, ERR_LIMIT, "it sends more than a chain can have to say", why);
    }
    return OK;
}

/* listen_once waits for a message and passes a head on. */
static enum err listen_once(struct rpc_stream *s, struct connection *c, struct arena *scratch,
                            struct why *why)
{
    struct slice text = SLICE_EMPTY;
    struct rpc_stream_message m = {0};
    struct why said = {0};
    bool got = false;
    enum err e = net_ws_receive(c->ws, scratch, USEC_PER_SEC, &text, &got, why);
    take_wake(s);
    if (e == OK && has_missed(s)) {
        e = blame(s, c->place, ERR_NODE_UNAVAILABLE, "it announces no new blocks", why);
    }
    if (e == OK && got) {
        e = count_message(s, c, why);
    }
    if (e != OK || !got) {
        return e;
    }
    if (rpc_stream_message_read(scratch, text, &m, &said) != OK) {
        return blame(s, c->place, ERR_NODE_RESPONSE, said.text, why);
    }
    if (!m.is_answer && slice_equal(m.subscription, c->id) && note_head(s, &m)) {
        s->told(s->ctx, m.number);
    }
    return OK;
}

/* An earlier endpoint that works again takes the place of the one that serves. */
static void prefer_earlier(struct rpc_stream *s, struct connection *c)
{
    size_t place = 0;
    struct connection better;
    if (next_place(s, c->place, &place) != 0 || !open_connection(s, place, &better)) {
        return;
    }
    close_connection(c);
    *c = better;
}

static void serve(struct rpc_stream *s, struct connection *c)
{
    struct arena scratch;
    struct why why = {0};
    enum err e = OK;
    int64_t again_usec = clock_mono_usec() + RETURN_USEC;
    arena_init(&scratch, 0);
    while (e == OK && !atomic_load(&s->stopping)) {
        e = listen_once(s, c, &scratch, &why);
        arena_clear(&scratch);
        if (e == OK && c->place > 0 && clock_mono_usec() >= again_usec) {
            prefer_earlier(s, c);
            again_usec = clock_mono_usec() + RETURN_USEC;
        }
    }
    note_left(s);
    if (clock_mono_usec() - c->since_usec >= LASTED_USEC) {
        s->places[c->place].failures = 0;
    }
    if (e != OK && !atomic_load(&s->stopping)) {
        note_failed(s, c->place, e, &why);
        s->told(s->ctx, 0); /* whoever relied on it looks for himself now */
    }
    close_connection(c);
    arena_free(&scratch);
}

/* ---- the thread ---- */

static void wait_woken(const struct rpc_stream *s, int64_t usec)
{
    struct pollfd p = {.fd = s->wake_fd, .events = POLLIN};
    (void)poll(&p, 1, (int)((usec + 999) / 1000));
}

static void *run(void *ctx)
{
    struct rpc_stream *s = ctx;
    while (!atomic_load(&s->stopping)) {
        size_t place = 0;
        struct connection c;
        take_wake(s);
        if (atomic_load(&s->stopping)) {
            break;
        }
        int64_t wait = next_place(s, s->place_count, &place);
        if (wait > 0) {
            wait_woken(s, wait);
        } else if (open_connection(s, place, &c)) {
            serve(s, &c);
        }
    }
    return NULL;
}

enum err rpc_stream_start(struct rpc_stream *s, struct why *why)
{
    if (s->running) {
        return OK;
    }
    atomic_store(&s->stopping, false);
    if (thread_start(&s->thread, run, s) != 0) {
        return why_set(why, ERR_INTERNAL, NULL, "no thread for listening to new blocks");
    }
    (void)pthread_setname_np(s->thread, "stream");
    s->running = true;
    return OK;
}

void rpc_stream_stop(struct rpc_stream *s)
{
    if (s == NULL || !s->running) {
        return;
    }
    atomic_store(&s->stopping, true);
    wake(s);
    (void)pthread_join(s->thread, NULL);
    s->running = false;
}
