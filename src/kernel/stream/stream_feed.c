/*
 * stream_feed.c: the thread that has the database. It numbers, tells, and reads subscriptions, one
 * after the other: so a subscription's snapshot is at least as new as what was told before it, and
 * what it has is told again or skipped by number.
 */
#include "kernel/base/check.h"
#include "kernel/base/json.h"
#include "kernel/base/log.h"
#include "kernel/stream/stream_internal.h"
#include "kernel/stream/stream_sql.h"

#define TELL_MAX 500
#define PRUNE_EVERY_USEC (10 * (int64_t)USEC_PER_SEC)
#define EVENT_ID_MAX 64

static void event_id(const struct stream *s, uint64_t position, char out[EVENT_ID_MAX])
{
    (void)snprintf(out, EVENT_ID_MAX, "%s.%llu", s->epoch, (unsigned long long)position);
}

static struct stream_message *change_message(const struct stream *s, uint16_t topic,
                                             uint64_t position, uint64_t number, struct slice body)
{
    char id[EVENT_ID_MAX];
    event_id(s, position, id);
    struct stream_message *m = stream_message_new("change", id, body);
    m->topic = topic;
    m->number = number;
    return m;
}

/* ---- telling ---- */

struct telling {
    struct stream *stream;
    struct arena arena;
    struct stream_item *item;
    uint64_t position;
    size_t rows;
};

/* Messages behind a position, of all topics. */
static enum err read_after(struct telling *t, struct store_tx *tx, uint64_t position, uint64_t max,
                           uint64_t *out_first, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &stream_sql_messages_after);
    store_bind_i64(&q, "position", (int64_t)position);
    store_bind_i64(&q, "max_rows", (int64_t)max);
    while (store_step(&q)) {
        uint64_t at = (uint64_t)store_get_i64(&q, "position");
        int topic = stream_topic_find(t->stream, store_get_text(&q, "topic", &t->arena));
        uint64_t number = (uint64_t)store_get_i64(&q, "number");
        struct slice body = store_get_text(&q, "body", &t->arena);
        *out_first = t->rows++ == 0 ? at : *out_first;
        t->position = at;
        if (topic >= 0) {
            stream_item_add(t->item, change_message(t->stream, (uint16_t)topic, at, number, body));
        }
    }
    return store_finish(&q, NULL, why);
}

static void forget_messages(struct stream_item *item)
{
    for (size_t i = 0; i < item->message_count; i++) {
        stream_message_drop(item->messages[i]);
    }
    item->message_count = 0;
}

static enum err read_new(struct store_tx *tx, void *ctx, struct why *why)
{
    struct telling *t = ctx;
    uint64_t first = 0;
    forget_messages(t->item); /* this may run again */
    arena_clear(&t->arena);
    t->rows = 0;
    return read_after(t, tx, t->stream->position, TELL_MAX, &first, why);
}

static void give(struct stream *s, struct stream_item *item)
{
    if (!stream_list_put(&s->to_loop, item)) {
        stream_item_free(item);
        return;
    }
    stream_wake(s);
}

/* Tells subscribers what is behind the last position; *out_more: there may be more. */
static enum err tell(struct stream *s, bool *out_more, struct why *why)
{
    struct telling t = {.stream = s, .item = stream_item_new(STREAM_ITEM_CHANGES, 0)};
    arena_init(&t.arena, 0);
    enum err e = store_read(s->store, read_new, &t, why);
    *out_more = e == OK && t.rows == TELL_MAX;
    if (e == OK && t.rows > 0) {
        s->position = t.position;
    }
    if (e == OK && t.item->message_count > 0) {
        give(s, t.item);
    } else {
        stream_item_free(t.item);
    }
    arena_free(&t.arena);
    return e;
}

/* ---- what is said to one ---- */

static struct stream_message *said(const char *type, const char *id, struct arena *arena,
                                   void (*members)(struct json_out *j, const void *ctx),
                                   const void *ctx)
{
    struct buf text;
    struct json_out j;
    buf_init(&text, arena, 512);
    json_out_init(&j, &text);
    json_begin_object(&j);
    json_key(&j, "type");
    json_text(&j, type);
    members(&j, ctx);
    json_end_object(&j);
    return stream_message_new(type, id, buf_slice(&text));
}

struct subscribing {
    struct telling t; /* its item is the answer */
    const struct stream_item *asked;
    uint64_t position;
};

struct opening {
    const struct stream *stream;
    const char *topic;
    uint64_t number;
    bool resumed;
    const char *reason;
};

static void opening_members(struct json_out *j, const void *ctx)
{
    const struct opening *o = ctx;
    json_key(j, "topic");
    json_text(j, o->topic);
    json_key(j, "number");
    json_u64(j, o->number);
    json_key(j, "epoch");
    json_text(j, o->stream->epoch);
    json_key(j, "resumed");
    json_bool(j, o->resumed);
}

static void resync_members(struct json_out *j, const void *ctx)
{
    const struct opening *o = ctx;
    json_key(j, "topic");
    json_text(j, o->topic);
    json_key(j, "reason");
    json_text(j, o->reason);
}

static void ready_members(struct json_out *j, const void *ctx)
{
    const struct stream *s = ctx;
    json_key(j, "epoch");
    json_text(j, s->epoch);
}

static enum err make_snapshot(struct stream *s, struct store_tx *tx, struct arena *arena,
                              uint16_t topic, uint64_t number, struct why *why)
{
    struct buf text;
    struct json_out j;
    bool complete = false;
    buf_init(&text, arena, 4096);
    json_out_init(&j, &text);
    json_begin_object(&j);
    json_key(&j, "type");
    json_text(&j, "snapshot");
    json_key(&j, "topic");
    json_text(&j, s->topics[topic]->name);
    json_key(&j, "number");
    json_u64(&j, number);
    json_key(&j, "rows");
    enum err e = stream_rows_json(tx, arena, s->topics[topic], s->config->snapshot_rows_max, &j,
                                  &complete, why);
    if (e != OK) {
        return e;
    }
    json_key(&j, "complete");
    json_bool(&j, complete);
    json_end_object(&j);
    stream_message_drop(s->snapshots[topic]);
    s->snapshots[topic] = stream_message_new("snapshot", NULL, buf_slice(&text));
    s->snapshot_numbers[topic] = number;
    return OK;
}

/* Many who come at the same number share a snapshot. */
static enum err add_snapshot(struct subscribing *b, struct store_tx *tx, uint16_t topic,
                             uint64_t number, const char *reason, struct why *why)
{
    struct stream *s = b->t.stream;
    const struct opening o = {s, s->topics[topic]->name, number, false, reason};
    enum err e = OK;
    stream_item_add(b->t.item, said("subscribed", NULL, &b->t.arena, opening_members, &o));
    if (reason != NULL) {
        metric_add(&stream_metrics[STREAM_METRIC_RESYNCS], 1);
        stream_item_add(b->t.item, said("resync", NULL, &b->t.arena, resync_members, &o));
    }
    if (s->snapshots[topic] == NULL || s->snapshot_numbers[topic] != number) {
        e = make_snapshot(s, tx, &b->t.arena, topic, number, why);
    }
    if (e == OK) {
        stream_item_add(b->t.item, stream_message_hold(s->snapshots[topic]));
    }
    return e;
}

/* Messages of a topic behind a number; *out_reason tells why they are not all there. */
static enum err read_missed(struct subscribing *b, struct store_tx *tx, uint16_t topic,
                            uint64_t from, uint64_t number, const char **out_reason,
                            struct why *why)
{
    struct stream *s = b->t.stream;
    uint64_t max = s->config->resume_messages_max;
    uint64_t next = from + 1;
    struct store_query q;
    store_begin(&q, tx, &stream_sql_messages_of);
    store_bind_text(&q, "topic", slice_text(s->topics[topic]->name));
    store_bind_i64(&q, "number", (int64_t)from);
    store_bind_i64(&q, "max_rows", (int64_t)max + 1);
    while (store_step(&q)) {
        uint64_t position = (uint64_t)store_get_i64(&q, "position");
        uint64_t at = (uint64_t)store_get_i64(&q, "number");
        struct slice body = store_get_text(&q, "body", &b->t.arena);
        if (at == next && next - from <= max) {
            stream_item_add(b->t.item, change_message(s, topic, position, at, body));
            next++;
        }
    }
    *out_reason = next == number + 1 ? NULL : "gap";
    return store_finish(&q, NULL, why);
}

static const char *refuse_from(const struct stream *s, const struct stream_item *asked,
                               uint64_t last)
{
    if (asked->epoch[0] != '\0' && strcmp(asked->epoch, s->epoch) != 0) {
        return "epoch";
    }
    return asked->from > last ? "ahead" : NULL;
}

/* A WebSocket asks for one topic. */
static enum err subscribe_one(struct subscribing *b, struct store_tx *tx, struct why *why)
{
    struct stream *s = b->t.stream;
    const struct stream_item *asked = b->asked;
    uint16_t topic = asked->joins[0].topic;
    uint64_t number = 0;
    const char *reason = NULL;
    enum err e = stream_number_get(tx, s->topics[topic]->name, &number, why);
    if (e != OK) {
        return e;
    }
    b->t.item->joins[0].number = number;
    if (!asked->has_from) {
        return add_snapshot(b, tx, topic, number, NULL, why);
    }
    reason = refuse_from(s, asked, number);
    if (reason == NULL) {
        const struct opening o = {s, s->topics[topic]->name, asked->from, true, NULL};
        stream_item_add(b->t.item, said("subscribed", NULL, &b->t.arena, opening_members, &o));
        e = read_missed(b, tx, topic, asked->from, number, &reason, why);
    }
    if (e == OK && reason != NULL) {
        forget_messages(b->t.item);
        e = add_snapshot(b, tx, topic, number, reason, why);
    }
    return e;
}

static bool is_asked(const struct stream_item *asked, uint16_t topic)
{
    bool found = false;
    for (size_t i = 0; i < asked->join_count; i++) {
        found = found || asked->joins[i].topic == topic;
    }
    return found;
}

/* What a stream of events missed since a position; *out_reason tells why it is not all there. */
static enum err resume_events(struct subscribing *b, struct store_tx *tx, const char **out_reason,
                              struct why *why)
{
    uint64_t from = b->asked->from;
    uint64_t max = b->t.stream->config->resume_messages_max;
    uint64_t first = 0;
    b->t.rows = 0;
    enum err e = read_after(&b->t, tx, from, max + 1, &first, why);
    bool whole = from == b->position || (b->t.rows > 0 && b->t.rows <= max && first == from + 1);
    if (e == OK && !whole) {
        *out_reason = "gap";
        return OK;
    }
    struct stream_item *item = b->t.item;
    size_t kept = 0;
    for (size_t i = 0; i < item->message_count; i++) {
        if (is_asked(b->asked, item->messages[i]->topic)) {
            item->messages[kept++] = item->messages[i];
        } else {
            stream_message_drop(item->messages[i]);
        }
    }
    item->message_count = kept;
    return e;
}

static enum err subscribe_events(struct subscribing *b, struct store_tx *tx, struct why *why)
{
    struct stream *s = b->t.stream;
    char id[EVENT_ID_MAX];
    const char *reason = NULL;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < b->asked->join_count; i++) {
        struct stream_join *join = &b->t.item->joins[i];
        e = stream_number_get(tx, s->topics[join->topic]->name, &join->number, why);
    }
    bool resumes = b->asked->has_from;
    if (e == OK && resumes) {
        reason = refuse_from(s, b->asked, b->position);
        e = reason == NULL ? resume_events(b, tx, &reason, why) : OK;
    }
    if (e == OK && (!resumes || reason != NULL)) {
        forget_messages(b->t.item);
        for (size_t i = 0; e == OK && i < b->asked->join_count; i++) {
            const struct stream_join *join = &b->t.item->joins[i];
            e = add_snapshot(b, tx, join->topic, join->number, reason, why);
        }
    }
    event_id(s, b->position, id);
    stream_item_add(b->t.item, said("ready", id, &b->t.arena, ready_members, s));
    return e;
}

static enum err subscribe(struct store_tx *tx, void *ctx, struct why *why)
{
    struct subscribing *b = ctx;
    forget_messages(b->t.item); /* this may run again */
    arena_clear(&b->t.arena);
    enum err e = stream_number_get(tx, "", &b->position, why);
    if (e != OK) {
        return e;
    }
    return b->asked->events ? subscribe_events(b, tx, why) : subscribe_one(b, tx, why);
}

static void answer_subscribe(struct stream *s, const struct stream_item *asked)
{
    struct why why = {.err = OK};
    struct stream_item *answer = stream_item_new(STREAM_ITEM_ANSWER, asked->conn);
    struct subscribing b = {.t = {.stream = s, .item = answer}, .asked = asked};
    answer->join_count = asked->join_count;
    answer->joins = mem_alloc(asked->join_count * sizeof *answer->joins);
    memcpy(answer->joins, asked->joins, asked->join_count * sizeof *answer->joins);
    arena_init(&b.t.arena, 0);
    enum err e = store_read(s->store, subscribe, &b, &why);
    if (e != OK) {
        forget_messages(answer);
        stream_item_add(answer, stream_message_error(e, &why, NULL));
        for (size_t i = 0; i < answer->join_count; i++) {
            answer->joins[i].number = STREAM_NOT_JOINED;
        }
        answer->close_code = asked->events ? STREAM_TRY_LATER : 0;
    }
    arena_free(&b.t.arena);
    give(s, answer);
}

struct who {
    struct slice principal;
    struct slice roles;
};

static void who_members(struct json_out *j, const void *ctx)
{
    const struct who *who = ctx;
    json_key(j, "principal");
    json_string(j, who->principal);
    json_key(j, "roles");
    json_string(j, who->roles);
}

static void answer_auth(struct stream *s, const struct stream_item *asked)
{
    struct why why = {.err = OK};
    struct arena arena;
    struct http_caller caller = {.roles = 0};
    struct stream_item *answer = stream_item_new(STREAM_ITEM_ANSWER, asked->conn);
    arena_init(&arena, 1024);
    struct slice token = slice_of(secret_bytes(&asked->token), secret_len(&asked->token));
    enum err e = http_identify(s->http, &arena, token, &caller, &why);
    if (e == OK && asked->again) {
        answer->authenticated = true;
        answer->roles = caller.roles;
    } else if (e == OK) {
        const struct who who = {caller.principal, http_roles_text(&arena, caller.roles)};
        answer->authenticated = true;
        answer->roles = caller.roles;
        stream_item_add(answer, said("authenticated", NULL, &arena, who_members, &who));
    } else if (e == ERR_UNAUTHENTICATED || !asked->again) { /* else it is looked at again */
        stream_item_add(answer, stream_message_error(e, &why, NULL));
        answer->close_code = e == ERR_UNAUTHENTICATED ? STREAM_POLICY : STREAM_TRY_LATER;
    }
    arena_free(&arena);
    give(s, answer);
}

/* ---- the thread ---- */

static void answer_all(struct stream *s)
{
    struct stream_item *item = stream_list_take(&s->to_feed, false);
    while (item != NULL) {
        struct stream_item *next = item->next;
        if (item->kind == STREAM_ITEM_AUTH) {
            answer_auth(s, item);
        } else {
            answer_subscribe(s, item);
        }
        stream_item_free(item);
        item = next;
    }
}

static enum err work(struct stream *s, struct why *why)
{
    bool more = true;
    enum err e = OK;
    while (e == OK && more && !atomic_load(&s->stopping)) {
        uint64_t notes = 0;
        e = stream_number(s, &notes, why);
        e = e ? e : tell(s, &more, why);
        more = more || notes > 0;
    }
    int64_t now = clock_mono_usec();
    if (e == OK && now - s->pruned_usec > PRUNE_EVERY_USEC) {
        s->pruned_usec = now;
        e = stream_prune(s, why);
    }
    return e;
}

void *stream_feed_main(void *arg)
{
    struct stream *s = arg;
    uint64_t seen = store_signal_now(s->store, STREAM_CHANNEL);
    enum err before = OK;
    while (!atomic_load(&s->stopping)) {
        struct why why = {.err = OK};
        enum err e = work(s, &why);
        if (e != OK && e != before) {
            LOG(LOG_WARN, "stream.feed_failed", log_why(&why, e));
        }
        before = e;
        answer_all(s);
        (void)store_wait(s->store, STREAM_CHANNEL, &seen, s->config->poll_usec);
    }
    return NULL;
}
