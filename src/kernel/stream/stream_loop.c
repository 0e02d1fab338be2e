/*
 * stream_loop.c: the thread that has the sockets: one epoll set, one list of items, one round of
 * deadlines. A round is: events, items, then everything that was queued is sent, then the dead are
 * freed.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/stream/stream_internal.h"

#define EVENTS_MAX 256
#define LOOK_USEC 250000
#define WAKE_ID UINT64_MAX

static uint32_t slot_of(uint64_t id)
{
    return (uint32_t)id;
}

/* The connection with an id; NULL when it is gone. */
static struct stream_conn *find_conn(const struct stream *s, uint64_t id)
{
    ASSERT(slot_of(id) < s->config->connections_max);
    struct stream_conn *conn = s->conns[slot_of(id)];
    return conn != NULL && conn->id == id ? conn : NULL;
}

/* ---- clients ---- */

static struct stream_client **client_link(struct stream *s, const uint8_t *key)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < HTTP_CLIENT_KEY_BYTES; i++) {
        hash = (hash ^ key[i]) * UINT64_C(1099511628211);
    }
    struct stream_client **link = &s->clients[(hash ^ hash >> 32) & (s->client_buckets - 1)];
    while (*link != NULL && memcmp((*link)->key, key, HTTP_CLIENT_KEY_BYTES) != 0) {
        link = &(*link)->next;
    }
    return link;
}

static struct stream_client *client_take(struct stream *s, const uint8_t *key)
{
    struct stream_client **link = client_link(s, key);
    if (*link == NULL) {
        *link = mem_alloc(sizeof **link);
        memcpy((*link)->key, key, HTTP_CLIENT_KEY_BYTES);
    }
    (*link)->count++;
    return *link;
}

static void client_drop(struct stream *s, struct stream_client *client)
{
    if (--client->count == 0) {
        struct stream_client **link = client_link(s, client->key);
        *link = client->next;
        mem_free(client);
    }
}

/* ---- coming and going ---- */

static void count_conn(const struct stream_conn *conn, int64_t by)
{
    metric_add(&stream_metrics[conn->events ? STREAM_METRIC_EVENTS : STREAM_METRIC_WS], by);
}

static struct stream_conn *conn_new(struct stream *s, const struct stream_item *item)
{
    int64_t now = clock_mono_usec();
    uint32_t slot = s->free_slots[--s->free_count];
    struct stream_conn *conn = mem_alloc(sizeof *conn);
    s->conns[slot] = conn;
    conn->stream = s;
    conn->id = (uint64_t)++s->generation << 32 | slot;
    conn->fd = item->fd;
    conn->events = item->events;
    conn->roles = item->roles;
    conn->heard_usec = now;
    conn->pinged_usec = item->events ? now : 0;
    conn->end_usec = now + s->config->session_usec;
    conn->queue = conn->few;
    conn->queue_cap = STREAM_FEW;
    conn->client = client_take(s, item->client_key);
    conn->checked_usec = now;
    if (secret_len(&item->token) > 0) {
        secret_init(&conn->token, secret_bytes(&item->token), secret_len(&item->token));
    }
    count_conn(conn, 1);
    return conn;
}

static void conn_end(struct stream *s, struct stream_conn *conn)
{
    uint32_t slot = slot_of(conn->id);
    client_drop(s, conn->client);
    count_conn(conn, -1);
    stream_conn_free(conn);
    s->conns[slot] = NULL;
    s->free_slots[s->free_count++] = slot;
    (void)atomic_fetch_sub(&s->count, 1);
}

static void answer_handshake(struct stream_conn *conn, struct stream_message *first)
{
    /* The socket's buffer is empty: it takes a few hundred bytes. */
    ssize_t sent = send(conn->fd, first->body, first->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 || (size_t)sent != first->len) {
        conn->state = STREAM_CONN_DEAD;
    }
}

static void take_conn(struct stream *s, const struct stream_item *item)
{
    struct stream_conn *conn = conn_new(s, item);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = conn->id};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) != 0) {
        LOG(LOG_WARN, "stream.socket_refused", log_i64("errno", errno));
        conn_end(s, conn);
        return;
    }
    answer_handshake(conn, item->first);
    if (conn->state == STREAM_CONN_DEAD) {
        conn_end(s, conn);
        return;
    }
    if (conn->client->count > s->config->connections_per_client_max) {
        stream_conn_close(conn, STREAM_TRY_LATER, "too many connections of one client");
    } else if (conn->events) {
        stream_conn_ask(conn, item);
    } else {
        stream_conn_queue(conn, s->hello);
    }
    stream_conn_flush(conn);
}

/* ---- items ---- */

static void spread(struct stream *s, struct stream_message *m)
{
    struct stream_sub *next = NULL;
    for (struct stream_sub *sub = s->subs[m->topic]; sub != NULL; sub = next) {
        next = sub->next; /* who is too slow leaves the list */
        if (m->number > sub->number) {
            sub->number = m->number;
            stream_conn_queue(sub->conn, m);
        }
    }
}

static void take_item(struct stream *s, struct stream_item *item)
{
    struct stream_conn *conn;
    switch (item->kind) {
    case STREAM_ITEM_CONN:
        take_conn(s, item);
        break;
    case STREAM_ITEM_CHANGES:
        for (size_t i = 0; i < item->message_count; i++) {
            spread(s, item->messages[i]);
        }
        break;
    case STREAM_ITEM_ANSWER:
        conn = find_conn(s, item->conn);
        if (conn != NULL) {
            stream_conn_answer(conn, item);
        }
        break;
    case STREAM_ITEM_AUTH:
    case STREAM_ITEM_SUBSCRIBE:
        break;
    }
    stream_item_free(item);
}

static void take_items(struct stream *s, bool close)
{
    struct stream_item *item = stream_list_take(&s->to_loop, close);
    while (item != NULL) {
        struct stream_item *next = item->next;
        take_item(s, item);
        item = next;
    }
}

/* Sends what was queued. Who waits for his socket already is flushed when it takes more. */
static void flush_dirty(struct stream *s)
{
    while (s->dirty != NULL) {
        struct stream_conn *conn = s->dirty;
        s->dirty = conn->next_dirty;
        conn->dirty = false;
        if (!conn->writing || conn->state == STREAM_CONN_CLOSING) {
            stream_conn_flush(conn);
        }
    }
}

/* ---- rounds ---- */

static void drain_wake(struct stream *s)
{
    uint64_t count;
    ssize_t got = read(s->wake_fd, &count, sizeof count);
    (void)got;
}

static void take_event(struct stream *s, const struct epoll_event *event)
{
    if (event->data.u64 == WAKE_ID) {
        drain_wake(s);
        return;
    }
    struct stream_conn *conn = find_conn(s, event->data.u64);
    if (conn == NULL) {
        return;
    }
    if (event->events & EPOLLOUT) {
        stream_conn_flush(conn);
    }
    if (conn->state != STREAM_CONN_DEAD &&
        event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        stream_conn_read(conn);
    }
    if (conn->state == STREAM_CONN_DEAD && !conn->dirty) {
        conn_end(s, conn);
    }
}

static void look_at_all(struct stream *s, bool stopping)
{
    int64_t now = clock_mono_usec();
    for (uint64_t i = 0; i < s->config->connections_max; i++) {
        struct stream_conn *conn = s->conns[i];
        if (conn == NULL) {
            continue;
        }
        if (stopping) {
            stream_conn_close(conn, STREAM_GOING_AWAY, "the server stops");
        }
        stream_conn_look(conn, now);
    }
    flush_dirty(s);
    for (uint64_t i = 0; i < s->config->connections_max; i++) {
        if (s->conns[i] != NULL && s->conns[i]->state == STREAM_CONN_DEAD) {
            conn_end(s, s->conns[i]);
        }
    }
}

static bool has_conns(const struct stream *s)
{
    return s->free_count < s->config->connections_max;
}

static int64_t look_every(const struct stream *s)
{
    int64_t usec =
        s->config->ping_usec < s->config->pong_usec ? s->config->ping_usec : s->config->pong_usec;
    return usec / 4 < LOOK_USEC ? usec / 4 + 1000 : LOOK_USEC;
}

static void run_round(struct stream *s, int64_t until)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t left = until - clock_mono_usec();
    int n = epoll_wait(s->epoll_fd, events, EVENTS_MAX, left > 0 ? (int)((left + 999) / 1000) : 0);
    for (int i = 0; i < n; i++) {
        take_event(s, &events[i]);
    }
    take_items(s, false);
    flush_dirty(s);
}

/* Says goodbye, and waits until all have gone or had their time. */
static void say_goodbye(struct stream *s)
{
    take_items(s, true);
    look_at_all(s, true);
    int64_t end = clock_mono_usec() + s->config->close_usec + LOOK_USEC;
    while (has_conns(s) && clock_mono_usec() < end) {
        run_round(s, clock_mono_usec() + 10000);
        look_at_all(s, false);
    }
    for (uint64_t i = 0; i < s->config->connections_max; i++) {
        if (s->conns[i] != NULL) {
            conn_end(s, s->conns[i]);
        }
    }
}

void *stream_loop_main(void *arg)
{
    struct stream *s = arg;
    int64_t next = clock_mono_usec() + look_every(s);
    while (!atomic_load(&s->stopping)) {
        run_round(s, next);
        if (clock_mono_usec() >= next) {
            look_at_all(s, false);
            next = clock_mono_usec() + look_every(s);
        }
    }
    say_goodbye(s);
    return NULL;
}
