#include "kernel/base/check.h"
#include "kernel/base/json.h"
#include "kernel/stream/stream_internal.h"

static struct stream_message *message_new(struct slice body)
{
    struct stream_message *m = mem_alloc(sizeof *m + body.len);
    atomic_init(&m->refs, 1);
    m->len = body.len;
    if (body.len > 0) {
        memcpy(m->body, body.ptr, body.len);
    }
    return m;
}

struct stream_message *stream_message_new(const char *type, const char *id, struct slice body)
{
    struct stream_message *m = message_new(body);
    m->frame_len = (uint8_t)stream_frame_head(STREAM_TEXT, body.len, m->frame);
    int len = snprintf(m->event, sizeof m->event, "%s%s%sevent: %s\ndata: ", id ? "id: " : "",
                       id ? id : "", id ? "\n" : "", type);
    ASSERT(len > 0 && (size_t)len < sizeof m->event);
    m->event_len = (uint8_t)len;
    return m;
}

struct stream_message *stream_message_frame(enum stream_opcode opcode, struct slice payload)
{
    struct stream_message *m = message_new(payload);
    m->frame_len = (uint8_t)stream_frame_head(opcode, payload.len, m->frame);
    return m;
}

struct stream_message *stream_message_comment(void)
{
    struct stream_message *m = message_new(SLICE_EMPTY);
    m->event[0] = ':';
    m->event_len = 1;
    return m;
}

struct stream_message *stream_message_error(enum err e, const struct why *why, const char *topic)
{
    struct arena scratch;
    struct buf text;
    struct json_out j;
    arena_init(&scratch, 1024);
    buf_init(&text, &scratch, 512);
    json_out_init(&j, &text);
    bool ours = err_http_status(e) >= 500 && !err_retryable(e);
    json_begin_object(&j);
    json_key(&j, "type");
    json_text(&j, "error");
    json_key(&j, "code");
    json_text(&j, err_code(e));
    json_key(&j, "error");
    json_text(&j, ours ? err_sentence(e) : why_text(why, e));
    if (topic != NULL) {
        json_key(&j, "topic");
        json_text(&j, topic);
    }
    json_end_object(&j);
    struct stream_message *m = stream_message_new("error", NULL, buf_slice(&text));
    arena_free(&scratch);
    return m;
}

struct stream_message *stream_message_hold(struct stream_message *m)
{
    (void)atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void stream_message_drop(struct stream_message *m)
{
    if (m != NULL && atomic_fetch_sub(&m->refs, 1) == 1) {
        mem_free(m);
    }
}

/* ---- items ---- */

struct stream_item *stream_item_new(enum stream_item_kind kind, uint64_t conn)
{
    struct stream_item *item = mem_alloc(sizeof *item);
    item->kind = kind;
    item->conn = conn;
    item->fd = -1;
    return item;
}

void stream_item_add(struct stream_item *item, struct stream_message *message)
{
    if (item->message_count == item->message_cap) {
        item->message_cap = item->message_cap == 0 ? 8 : 2 * item->message_cap;
        size_t size = item->message_cap * sizeof(struct stream_message *);
        item->messages =
            item->messages == NULL ? mem_alloc(size) : mem_resize(item->messages, size);
    }
    item->messages[item->message_count++] = message;
}

void stream_item_free(struct stream_item *item)
{
    for (size_t i = 0; i < item->message_count; i++) {
        stream_message_drop(item->messages[i]);
    }
    stream_message_drop(item->first);
    secret_clear(&item->token);
    mem_free(item->messages);
    mem_free(item->joins);
    mem_free(item);
}

bool stream_list_put(struct stream_list *list, struct stream_item *item)
{
    pthread_mutex_lock(&list->lock);
    bool open = !list->closed;
    if (open) {
        item->next = NULL;
        if (list->tail != NULL) {
            list->tail->next = item;
        } else {
            list->head = item;
        }
        list->tail = item;
    }
    pthread_mutex_unlock(&list->lock);
    return open;
}

struct stream_item *stream_list_take(struct stream_list *list, bool close)
{
    pthread_mutex_lock(&list->lock);
    struct stream_item *head = list->head;
    list->head = NULL;
    list->tail = NULL;
    list->closed = list->closed || close;
    pthread_mutex_unlock(&list->lock);
    return head;
}
