/*
 * stream_said.c: what a client says on a WebSocket.
 */
#include "kernel/base/check.h"
#include "kernel/base/json.h"
#include "kernel/stream/stream_internal.h"

static const struct json_limits limits = {.bytes_max = 1 << 20, .depth_max = 4, .nodes_max = 64};

/* Asked of the feed at once by one connection; a client that asks faster waits for answers. */
#define ASKING_MAX 16

static enum err find_topic(struct stream_conn *conn, const struct json *said, uint16_t *out,
                           const char **out_name, struct why *why)
{
    struct slice name;
    enum err e = json_get_text(said, "topic", &name, why);
    if (e != OK) {
        return e;
    }
    int topic = stream_topic_find(conn->stream, name);
    if (topic < 0) {
        return why_set(why, ERR_NOT_FOUND, "topic", "There is no such topic.");
    }
    *out = (uint16_t)topic;
    *out_name = conn->stream->topics[topic]->name;
    return OK;
}

static enum err read_from(const struct json *said, struct stream_item *item, struct why *why)
{
    struct slice epoch = SLICE_EMPTY;
    enum err e = OK;
    if (json_find(said, "from") != NULL) {
        e = json_get_u64(said, "from", &item->from, why);
        item->has_from = e == OK;
    }
    if (e == OK && item->from > INT64_MAX) {
        e = why_set(why, ERR_INVALID_FIELD, "from", "\"from\" is no number that was ever told.");
    }
    if (e == OK && json_find(said, "epoch") != NULL) {
        e = json_get_text(said, "epoch", &epoch, why);
        /* A longer one is none of ours, and is not equal to it when it is cut. */
        size_t len = epoch.len < sizeof item->epoch - 1 ? epoch.len : sizeof item->epoch - 1;
        memcpy(item->epoch, epoch.len > 0 ? epoch.ptr : (const uint8_t *)"", len);
    }
    return e;
}

static enum err subscribe(struct stream_conn *conn, const struct json *said, const char **out_topic,
                          struct why *why)
{
    static const char *const keys[] = {"type", "topic", "from", "epoch", NULL};
    struct stream_item item = {.kind = STREAM_ITEM_SUBSCRIBE};
    struct stream_join join = {.topic = 0};
    enum err e = json_only(said, keys, why);
    e = e ? e : find_topic(conn, said, &join.topic, out_topic, why);
    e = e ? e : read_from(said, &item, why);
    if (e != OK) {
        return e;
    }
    if (!stream_may_listen(conn->stream->topics[join.topic], conn->roles)) {
        return why_set(why, ERR_FORBIDDEN, "topic", "Your roles are not enough for this topic.");
    }
    for (const struct stream_sub *sub = conn->subs; sub != NULL; sub = sub->next_of_conn) {
        if (sub->topic == join.topic) {
            return why_set(why, ERR_ALREADY_EXISTS, "topic", "You are subscribed to this topic.");
        }
    }
    if (conn->sub_count >= conn->stream->config->subscriptions_max || conn->asking >= ASKING_MAX) {
        return why_set(why, ERR_LIMIT, NULL, "A connection may have %llu subscriptions.",
                       (unsigned long long)conn->stream->config->subscriptions_max);
    }
    item.joins = &join;
    item.join_count = 1;
    stream_conn_ask(conn, &item);
    return OK;
}

static enum err unsubscribe(struct stream_conn *conn, const struct json *said,
                            const char **out_topic, struct why *why)
{
    uint16_t topic = 0;
    char text[STREAM_TOPIC_NAME_MAX + 64];
    enum err e = find_topic(conn, said, &topic, out_topic, why);
    if (e == OK && !stream_conn_unsubscribe(conn, topic)) {
        e = why_set(why, ERR_NOT_FOUND, "topic", "You are not subscribed to this topic.");
    }
    if (e == OK) {
        int len =
            snprintf(text, sizeof text, "{\"type\":\"unsubscribed\",\"topic\":\"%s\"}", *out_topic);
        stream_conn_say(conn, stream_message_new("unsubscribed", NULL,
                                                 slice_of(text, len > 0 ? (size_t)len : 0)));
    }
    return e;
}

static enum err authenticate(struct stream_conn *conn, const struct json *said, struct why *why)
{
    static const char *const keys[] = {"type", "token", NULL};
    struct slice token = SLICE_EMPTY;
    enum err e = json_only(said, keys, why);
    e = e ? e : json_get_text(said, "token", &token, why);
    if (e == OK && conn->asking >= ASKING_MAX) {
        e = why_set(why, ERR_LIMIT, NULL, "Wait for the answers to what you asked.");
    }
    if (e != OK) {
        return e;
    }
    if (token.len == 0) {
        return why_set(why, ERR_INVALID_FIELD, "token", "The token is empty.");
    }
    secret_clear(&conn->token);
    secret_init(&conn->token, token.ptr, token.len);
    stream_conn_auth(conn, false);
    return OK;
}

static enum err take(struct stream_conn *conn, struct arena *arena, struct slice text,
                     const char **out_topic, struct why *why)
{
    const struct json *said = NULL;
    struct slice type;
    enum err e = json_parse(arena, text, &limits, &said, why);
    if (e == OK && said->type != JSON_OBJECT) {
        e = why_set(why, ERR_INVALID_TYPE, NULL, "A message is a JSON object.");
    }
    e = e ? e : json_get_text(said, "type", &type, why);
    if (e != OK) {
        return e;
    }
    if (slice_equal_text(type, "subscribe")) {
        return subscribe(conn, said, out_topic, why);
    }
    if (slice_equal_text(type, "unsubscribe")) {
        return unsubscribe(conn, said, out_topic, why);
    }
    if (slice_equal_text(type, "auth")) {
        return authenticate(conn, said, why);
    }
    return why_set(why, ERR_INVALID_FIELD, "type", "\"type\" is auth, subscribe or unsubscribe.");
}

void stream_said(struct stream_conn *conn, struct slice text)
{
    struct arena arena;
    struct why why = {.err = OK};
    const char *topic = NULL;
    arena_init(&arena, 4096);
    enum err e = take(conn, &arena, text, &topic, &why);
    if (e != OK) {
        stream_conn_say(conn, stream_message_error(e, &why, topic));
    }
    arena_free(&arena);
}
