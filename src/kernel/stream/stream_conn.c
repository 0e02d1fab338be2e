/*
 * stream_conn.c: one connection. All of it runs in the loop's thread. Nothing here frees a
 * connection: it becomes DEAD, and the loop frees it when nobody looks at it any more.
 */
#include "kernel/stream/stream_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/json.h"
#include "kernel/base/log.h"

#define INPUT_BYTES 65536
#define VECTORS_MAX 48
#define REASON_MAX 120

/* ---- the queue ---- */

static struct slice event_tail(const struct stream_message *m)
{
    return m->event_len > 0 ? SLICE_LIT("\n\n") : SLICE_EMPTY;
}

size_t stream_conn_size(const struct stream_conn *conn, const struct stream_message *m)
{
    return conn->events ? m->event_len + m->len + event_tail(m).len : m->frame_len + m->len;
}

static void grow_queue(struct stream_conn *conn)
{
    uint32_t cap = conn->queue_cap * 2;
    struct stream_message **wide = mem_alloc(cap * sizeof(struct stream_message *));
    for (uint32_t i = 0; i < conn->queue_len; i++) {
        wide[i] = conn->queue[(conn->queue_at + i) % conn->queue_cap];
    }
    if (conn->queue != conn->few) {
        mem_free(conn->queue);
    }
    conn->queue = wide;
    conn->queue_cap = cap;
    conn->queue_at = 0;
}

static void shrink_queue(struct stream_conn *conn)
{
    if (conn->queue != conn->few) {
        mem_free(conn->queue);
        conn->queue = conn->few;
        conn->queue_cap = STREAM_FEW;
    }
    conn->queue_at = 0;
    conn->allowance = 0;
}

static void add_waiting(struct stream_conn *conn, size_t bytes)
{
    conn->waiting += bytes;
    metric_add(&stream_metrics[STREAM_METRIC_QUEUED_BYTES], (int64_t)bytes);
}

static void drop_waiting(struct stream_conn *conn, size_t bytes)
{
    ASSERT(conn->waiting >= bytes);
    conn->waiting -= bytes;
    metric_add(&stream_metrics[STREAM_METRIC_QUEUED_BYTES], -(int64_t)bytes);
}

static void put(struct stream_conn *conn, struct stream_message *m)
{
    size_t size = stream_conn_size(conn, m);
    if (conn->state == STREAM_CONN_DEAD || size == 0) {
        stream_message_drop(m);
        return;
    }
    if (conn->queue_len == conn->queue_cap) {
        grow_queue(conn);
    }
    ASSERT(conn->queue_len < conn->queue_cap);
    conn->queue[(conn->queue_at + conn->queue_len++) % conn->queue_cap] = m;
    add_waiting(conn, size);
    if (!conn->dirty) {
        conn->dirty = true;
        conn->next_dirty = conn->stream->dirty;
        conn->stream->dirty = conn;
    }
}

static void end_slow(struct stream_conn *conn)
{
    metric_add(&stream_metrics[STREAM_METRIC_CLOSED_SLOW], 1);
    stream_conn_close(conn, STREAM_TRY_LATER, "too slow: come again and go on from your number");
}

void stream_conn_say(struct stream_conn *conn, struct stream_message *m)
{
    if (conn->state != STREAM_CONN_OPEN) {
        stream_message_drop(m);
        return;
    }
    put(conn, m);
    /* What the socket takes at once does not count: it is looked at before anybody is ended. */
    if (conn->waiting > conn->stream->config->queue_bytes_max + conn->allowance) {
        if (!conn->writing) {
            stream_conn_flush(conn);
        }
        if (conn->waiting > conn->stream->config->queue_bytes_max + conn->allowance) {
            end_slow(conn);
        }
    }
}

void stream_conn_queue(struct stream_conn *conn, struct stream_message *m)
{
    stream_conn_say(conn, stream_message_hold(m));
}

/* Drops what waits, but a message of which a part is sent. */
static void drop_unsent(struct stream_conn *conn)
{
    uint32_t keep = conn->sent > 0 ? 1 : 0;
    while (conn->queue_len > keep) {
        uint32_t last = (conn->queue_at + --conn->queue_len) % conn->queue_cap;
        struct stream_message *m = conn->queue[last];
        drop_waiting(conn, stream_conn_size(conn, m));
        stream_message_drop(m);
    }
}

/* ---- sending ---- */

struct vectors {
    struct iovec list[VECTORS_MAX];
    size_t count;
    size_t skip; /* bytes of the first message that are sent */
};

static void add_vector(struct vectors *v, const void *bytes, size_t len)
{
    size_t skip = v->skip < len ? v->skip : len;
    v->skip -= skip;
    if (len > skip) {
        union {
            const void *ours;
            void *theirs;
        } base = {.ours = (const uint8_t *)bytes + skip};
        v->list[v->count++] = (struct iovec){.iov_base = base.theirs, .iov_len = len - skip};
    }
}

static void gather(const struct stream_conn *conn, struct vectors *v)
{
    *v = (struct vectors){.skip = conn->sent};
    for (uint32_t i = 0; i < conn->queue_len && v->count + 3 <= VECTORS_MAX; i++) {
        const struct stream_message *m = conn->queue[(conn->queue_at + i) % conn->queue_cap];
        if (conn->events) {
            add_vector(v, m->event, m->event_len);
            add_vector(v, m->body, m->len);
            add_vector(v, event_tail(m).ptr, event_tail(m).len);
        } else {
            add_vector(v, m->frame, m->frame_len);
            add_vector(v, m->body, m->len);
        }
    }
}

static void take_sent(struct stream_conn *conn, size_t bytes)
{
    drop_waiting(conn, bytes);
    bytes += conn->sent;
    conn->sent = 0;
    while (bytes > 0) {
        struct stream_message *m = conn->queue[conn->queue_at];
        size_t size = stream_conn_size(conn, m);
        if (bytes < size) {
            conn->sent = bytes;
            return;
        }
        bytes -= size;
        conn->queue_at = (conn->queue_at + 1) % conn->queue_cap;
        conn->queue_len--;
        stream_message_drop(m);
        metric_add(&stream_metrics[STREAM_METRIC_SENT], 1);
    }
}

static void die(struct stream_conn *conn)
{
    conn->state = STREAM_CONN_DEAD;
}

static void want_write(struct stream_conn *conn, bool want)
{
    if (conn->writing != want) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (want ? EPOLLOUT : 0),
                                    .data.u64 = conn->id};
        (void)epoll_ctl(conn->stream->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
        conn->writing = want;
    }
}

/*
 * All is sent. A closing one says so when nothing more is waited for, and goes on reading until the
 * client ends too: closing with unread bytes resets the connection, which can overtake our words.
 */
static void flushed(struct stream_conn *conn)
{
    want_write(conn, false);
    shrink_queue(conn);
    if (conn->state == STREAM_CONN_CLOSING && (conn->events || conn->close_heard)) {
        (void)shutdown(conn->fd, SHUT_WR);
    }
}

void stream_conn_flush(struct stream_conn *conn)
{
    while (conn->state != STREAM_CONN_DEAD && conn->queue_len > 0) {
        struct vectors v;
        gather(conn, &v);
        struct msghdr message = {.msg_iov = v.list, .msg_iovlen = v.count};
        ssize_t sent = sendmsg(conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            want_write(conn, true);
            return;
        }
        if (sent < 0 && errno != EINTR) {
            die(conn);
            return;
        }
        take_sent(conn, sent > 0 ? (size_t)sent : 0);
    }
    if (conn->state != STREAM_CONN_DEAD) {
        flushed(conn);
    }
}

/* ---- ending ---- */

static struct stream_message *close_message(bool events, unsigned code, const char *reason)
{
    uint8_t payload[2 + REASON_MAX];
    struct arena scratch;
    struct buf text;
    struct json_out j;
    size_t len = strlen(reason);
    ASSERT(len <= REASON_MAX);
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    memcpy(payload + 2, reason, len);
    if (!events) {
        return stream_message_frame(STREAM_CLOSE,
                                    slice_of(payload, code == STREAM_NO_CODE ? 0 : 2 + len));
    }
    arena_init(&scratch, 512);
    buf_init(&text, &scratch, 256);
    json_out_init(&j, &text);
    json_begin_object(&j);
    json_key(&j, "type");
    json_text(&j, "closed");
    json_key(&j, "code");
    json_u64(&j, code);
    json_key(&j, "reason");
    json_text(&j, reason);
    json_end_object(&j);
    struct stream_message *m = stream_message_new("closed", NULL, buf_slice(&text));
    arena_free(&scratch);
    return m;
}

static void remove_sub(struct stream_conn *conn, struct stream_sub **link)
{
    struct stream_sub *sub = *link;
    *link = sub->next_of_conn;
    conn->sub_count--;
    if (sub->joined) {
        metric_add(&stream_metrics[STREAM_METRIC_SUBSCRIPTIONS], -1);
        struct stream_sub **head = &conn->stream->subs[sub->topic];
        *(sub->prev != NULL ? &sub->prev->next : head) = sub->next;
        if (sub->next != NULL) {
            sub->next->prev = sub->prev;
        }
    }
    mem_free(sub);
}

static struct stream_sub **find_sub(struct stream_conn *conn, uint16_t topic)
{
    struct stream_sub **link = &conn->subs;
    while (*link != NULL && (*link)->topic != topic) {
        link = &(*link)->next_of_conn;
    }
    return link;
}

bool stream_conn_unsubscribe(struct stream_conn *conn, uint16_t topic)
{
    struct stream_sub **link = find_sub(conn, topic);
    if (*link == NULL) {
        return false;
    }
    remove_sub(conn, link);
    return true;
}

static void leave_all(struct stream_conn *conn)
{
    while (conn->subs != NULL) {
        remove_sub(conn, &conn->subs);
    }
}

void stream_conn_close(struct stream_conn *conn, unsigned code, const char *reason)
{
    if (conn->state != STREAM_CONN_OPEN) {
        return;
    }
    LOG(LOG_DEBUG, "stream.closing", log_u64("conn", conn->id), log_u64("code", code),
        log_text("reason", reason));
    conn->state = STREAM_CONN_CLOSING;
    conn->end_usec = clock_mono_usec() + conn->stream->config->close_usec;
    leave_all(conn);
    drop_unsent(conn);
    put(conn, close_message(conn->events, code, reason));
}

void stream_conn_free(struct stream_conn *conn)
{
    leave_all(conn);
    conn->sent = 0;
    uint32_t len = conn->queue_len;
    for (uint32_t i = 0; i < len; i++) {
        stream_message_drop(conn->queue[(conn->queue_at + i) % conn->queue_cap]);
    }
    drop_waiting(conn, conn->waiting);
    if (conn->queue != conn->few) {
        mem_free(conn->queue);
    }
    stream_reader_clear(&conn->reader);
    secret_clear(&conn->token);
    (void)close(conn->fd);
    mem_free(conn);
}

/* ---- hearing ---- */

static void flood(struct stream_conn *conn)
{
    metric_add(&stream_metrics[STREAM_METRIC_CLOSED_FLOOD], 1);
    stream_conn_close(conn, STREAM_POLICY, "too many messages");
}

/* A client may be two seconds of its rate ahead. */
static bool within_rate(struct stream_conn *conn, int64_t now)
{
    int64_t each = USEC_PER_SEC / (int64_t)conn->stream->config->message_rate;
    uint64_t frames = conn->reader.frames - conn->frames_judged;
    conn->frames_judged = conn->reader.frames;
    conn->allowed_usec = conn->allowed_usec > now ? conn->allowed_usec : now;
    conn->allowed_usec += (int64_t)frames * each;
    return conn->allowed_usec - now <= 2 * (int64_t)USEC_PER_SEC + each;
}

static void heard_close(struct stream_conn *conn, unsigned code)
{
    conn->close_heard = true;
    if (conn->state == STREAM_CONN_OPEN) {
        stream_conn_close(conn, code, "");
    } else if (conn->queue_len == 0) {
        flushed(conn);
    }
}

static bool on_frame(void *ctx, enum stream_opcode opcode, struct slice data, unsigned code)
{
    struct stream_conn *conn = ctx;
    /* The reader counts a frame when it is done with: this one is not yet. */
    if (conn->state == STREAM_CONN_OPEN && !within_rate(conn, conn->heard_usec)) {
        flood(conn);
    }
    if (opcode == STREAM_CLOSE) {
        heard_close(conn, code);
        return false;
    }
    if (conn->state != STREAM_CONN_OPEN) {
        return conn->state != STREAM_CONN_DEAD;
    }
    if (opcode == STREAM_PING) {
        stream_conn_say(conn, stream_message_frame(STREAM_PONG, data));
    } else if (opcode == STREAM_BINARY) {
        stream_conn_close(conn, STREAM_UNSUPPORTED, "messages are text");
    } else if (opcode == STREAM_TEXT) {
        stream_said(conn, data);
    }
    return true;
}

static const char *fault_text(unsigned code)
{
    return code == STREAM_TOO_BIG    ? "the message is too long"
           : code == STREAM_NOT_UTF8 ? "text must be UTF-8"
                                     : "that is no frame a client may send";
}

static void take_input(struct stream_conn *conn, size_t len)
{
    struct stream *s = conn->stream;
    conn->heard_usec = clock_mono_usec();
    if (conn->events || conn->close_heard) {
        return; /* nothing that a client can say here */
    }
    unsigned code = stream_reader_take(&conn->reader, s->input, len,
                                       (size_t)s->config->message_bytes_max, on_frame, conn);
    mem_wipe(s->input, len); /* a token may have been in it */
    if (code != 0) {
        stream_reader_clear(&conn->reader);
        metric_add(&stream_metrics[STREAM_METRIC_CLOSED_PROTOCOL], 1);
        stream_conn_close(conn, code, fault_text(code));
        conn->close_heard = true; /* what comes now cannot be read */
    } else if (conn->state == STREAM_CONN_OPEN && !within_rate(conn, conn->heard_usec)) {
        flood(conn);
    }
}

void stream_conn_read(struct stream_conn *conn)
{
    ssize_t got = recv(conn->fd, conn->stream->input, INPUT_BYTES, MSG_DONTWAIT);
    if (got > 0) {
        take_input(conn, (size_t)got);
    } else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        die(conn);
    }
}

/* ---- what is due ---- */

void stream_conn_look(struct stream_conn *conn, int64_t now)
{
    const struct stream_config *c = conn->stream->config;
    if (conn->state == STREAM_CONN_CLOSING && now >= conn->end_usec) {
        die(conn);
    }
    if (conn->state != STREAM_CONN_OPEN) {
        return;
    }
    if (now >= conn->end_usec) {
        stream_conn_close(conn, STREAM_NORMAL, "the session is over: come again");
        return;
    }
    if (secret_len(&conn->token) > 0 && now - conn->checked_usec >= c->recheck_usec) {
        stream_conn_auth(conn, true);
    }
    bool asked = conn->pinged_usec >= conn->heard_usec;
    if (conn->events) { /* is not asked: TCP finds out whether it takes what it gets */
        if (now - conn->pinged_usec >= c->ping_usec) {
            conn->pinged_usec = now;
            stream_conn_queue(conn, conn->stream->comment);
        }
    } else if (asked && now - conn->pinged_usec >= c->pong_usec) {
        metric_add(&stream_metrics[STREAM_METRIC_CLOSED_SILENT], 1);
        die(conn);
    } else if (!asked && now - conn->heard_usec >= c->ping_usec) {
        conn->pinged_usec = now;
        stream_conn_queue(conn, conn->stream->ping);
    }
}

/* ---- the feed's answers ---- */

static void ask(struct stream_conn *conn, struct stream_item *item)
{
    struct stream *s = conn->stream;
    conn->asking++;
    if (!stream_list_put(&s->to_feed, item)) {
        stream_item_free(item); /* we stop: it is about to be closed */
        return;
    }
    store_wake(s->store, STREAM_CHANNEL);
}

void stream_conn_auth(struct stream_conn *conn, bool again)
{
    struct stream_item *item = stream_item_new(STREAM_ITEM_AUTH, conn->id);
    secret_init(&item->token, secret_bytes(&conn->token), secret_len(&conn->token));
    item->again = again;
    conn->checked_usec = clock_mono_usec();
    ask(conn, item);
}

void stream_conn_ask(struct stream_conn *conn, const struct stream_item *from)
{
    struct stream_item *item = stream_item_new(STREAM_ITEM_SUBSCRIBE, conn->id);
    item->events = from->events;
    item->has_from = from->has_from;
    item->from = from->from;
    memcpy(item->epoch, from->epoch, sizeof item->epoch);
    item->join_count = from->join_count;
    item->joins = mem_alloc(from->join_count * sizeof *item->joins);
    for (size_t i = 0; i < from->join_count; i++) {
        item->joins[i] = from->joins[i];
        struct stream_sub *sub = mem_alloc(sizeof *sub);
        *sub = (struct stream_sub){
            .conn = conn, .topic = from->joins[i].topic, .next_of_conn = conn->subs};
        conn->subs = sub;
        conn->sub_count++;
    }
    ask(conn, item);
}

static void join(struct stream_conn *conn, const struct stream_join *joined)
{
    struct stream_sub **link = find_sub(conn, joined->topic);
    if (*link == NULL || (*link)->joined) {
        return; /* left meanwhile */
    }
    if (joined->number == STREAM_NOT_JOINED) {
        remove_sub(conn, link);
        return;
    }
    struct stream_sub *sub = *link;
    struct stream_sub **head = &conn->stream->subs[sub->topic];
    sub->joined = true;
    sub->number = joined->number;
    sub->next = *head;
    if (*head != NULL) {
        (*head)->prev = sub;
    }
    *head = sub;
    metric_add(&stream_metrics[STREAM_METRIC_SUBSCRIPTIONS], 1);
}

static bool still_wanted(struct stream_conn *conn, const struct stream_item *item)
{
    bool wanted = item->join_count == 0;
    for (size_t i = 0; i < item->join_count; i++) {
        wanted = wanted || *find_sub(conn, item->joins[i].topic) != NULL;
    }
    return wanted;
}

void stream_conn_answer(struct stream_conn *conn, struct stream_item *item)
{
    conn->asking--;
    if (conn->state != STREAM_CONN_OPEN) {
        return;
    }
    conn->roles = item->authenticated ? item->roles : conn->roles;
    for (size_t i = 0; still_wanted(conn, item) && i < item->message_count; i++) {
        conn->allowance += stream_conn_size(conn, item->messages[i]);
        stream_conn_queue(conn, item->messages[i]);
    }
    for (size_t i = 0; i < item->join_count; i++) {
        join(conn, &item->joins[i]);
    }
    if (item->close_code != 0) {
        /* The close frame goes behind what says why. */
        stream_conn_flush(conn);
        stream_conn_close(conn, item->close_code, "");
    }
}
