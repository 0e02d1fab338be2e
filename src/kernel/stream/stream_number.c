/*
 * stream_number.c: notes become messages. One transaction takes the oldest notes, reads their rows
 * and writes what is told of them; the lock comes first, so that one process at a time does it, and
 * each statement sees what was committed by then (on PostgreSQL, read committed): a row may be
 * newer than its note, never older, and the note of what it is newer by comes later.
 */
#include "kernel/base/check.h"
#include "kernel/base/json.h"
#include "kernel/base/log.h"
#include "kernel/stream/stream_internal.h"
#include "kernel/stream/stream_sql.h"

#define NOTES_MAX 500
#define PRUNE_MAX 5000

struct note {
    int64_t seq;
    struct slice topic;
    struct slice key;
    bool undone;
    bool repeated; /* a later note is of the same row */
};

struct numbering {
    struct stream *stream;
    struct arena arena;
    struct note notes[NOTES_MAX];
    size_t count;
    uint64_t numbers[STREAM_TOPICS_MAX];
    bool loaded[STREAM_TOPICS_MAX];
    uint64_t position;
    uint64_t written;
};

enum err stream_number_get(struct store_tx *tx, const char *topic, uint64_t *out, struct why *why)
{
    uint64_t number = 0;
    struct store_query q;
    store_begin(&q, tx, &stream_sql_number_get);
    store_bind_text(&q, "topic", slice_text(topic));
    if (store_step(&q)) {
        number = (uint64_t)store_get_i64(&q, "number");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = number;
    }
    return e;
}

static enum err number_put(struct store_tx *tx, const char *topic, uint64_t number, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &stream_sql_number_put);
    store_bind_text(&q, "topic", slice_text(topic));
    store_bind_i64(&q, "number", (int64_t)number);
    return store_finish(&q, NULL, why);
}

static enum err run_plain(struct store_tx *tx, const struct store_statement *s, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, s);
    return store_finish(&q, NULL, why);
}

static enum err take_notes(struct numbering *n, struct store_tx *tx, struct why *why)
{
    struct store_query q;
    n->count = 0;
    store_begin(&q, tx, &stream_sql_changes_take);
    store_bind_i64(&q, "max_rows", NOTES_MAX);
    while (store_step(&q)) {
        struct note *note = &n->notes[n->count++];
        *note = (struct note){.seq = store_get_i64(&q, "seq"),
                              .topic = store_get_text(&q, "topic", &n->arena),
                              .key = store_get_text(&q, "row_key", &n->arena),
                              .undone = store_get_bool(&q, "undone")};
    }
    return store_finish(&q, NULL, why);
}

/* Several notes of one row are told once, where the last one stands. */
static void join_repeated(struct numbering *n)
{
    for (size_t i = 0; i < n->count; i++) {
        struct note *a = &n->notes[i];
        for (size_t k = i + 1; k < n->count && !a->repeated; k++) {
            struct note *b = &n->notes[k];
            a->repeated = slice_equal(a->key, b->key) && slice_equal(a->topic, b->topic);
            b->undone = b->undone || (a->repeated && a->undone);
        }
    }
}

static enum err make_body(struct numbering *n, struct store_tx *tx,
                          const struct stream_topic *topic, const struct note *note,
                          uint64_t number, struct slice *out, struct why *why)
{
    struct buf text;
    struct json_out j;
    buf_init(&text, &n->arena, 1024);
    json_out_init(&j, &text);
    json_begin_object(&j);
    json_key(&j, "type");
    json_text(&j, "change");
    json_key(&j, "topic");
    json_text(&j, topic->name);
    json_key(&j, "number");
    json_u64(&j, number);
    json_key(&j, "key");
    json_string(&j, note->key);
    json_key(&j, "undone");
    json_bool(&j, note->undone);
    json_key(&j, "row");
    enum err e = stream_row_find(tx, &n->arena, topic, note->key, &j, why);
    if (e == OK) {
        json_end_object(&j);
        *out = buf_slice(&text);
    }
    return e;
}

struct told {
    const struct stream_topic *topic;
    uint64_t position;
    uint64_t number;
    struct slice body;
};

static enum err tell_note(struct numbering *n, struct store_tx *tx, const struct note *note,
                          struct told *told, size_t *count, struct why *why)
{
    int index = stream_topic_find(n->stream, note->topic);
    enum err e = OK;
    if (index < 0) { /* of a newer version that was here before */
        LOG(LOG_WARN, "stream.topic_unknown", log_slice("topic", note->topic));
        return OK;
    }
    const struct stream_topic *topic = n->stream->topics[index];
    if (!n->loaded[index]) {
        e = stream_number_get(tx, topic->name, &n->numbers[index], why);
        n->loaded[index] = e == OK;
    }
    struct slice body = SLICE_EMPTY;
    e = e ? e : make_body(n, tx, topic, note, n->numbers[index] + 1, &body, why);
    if (e == OK) {
        told[(*count)++] = (struct told){
            .topic = topic, .position = ++n->position, .number = ++n->numbers[index], .body = body};
    }
    return e;
}

static enum err write_told(struct store_tx *tx, const struct told *told, size_t count,
                           struct why *why)
{
    int64_t now = clock_wall_usec();
    struct store_query q;
    store_begin_rows(&q, tx, &stream_sql_message_add);
    for (size_t i = 0; i < count; i++) {
        store_bind_i64(&q, "position", (int64_t)told[i].position);
        store_bind_text(&q, "topic", slice_text(told[i].topic->name));
        store_bind_i64(&q, "number", (int64_t)told[i].number);
        store_bind_text(&q, "body", told[i].body);
        store_bind_time(&q, "now", now);
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

static enum err drop_notes(const struct numbering *n, struct store_tx *tx, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &stream_sql_changes_drop);
    for (size_t i = 0; i < n->count; i++) {
        store_bind_i64(&q, "seq", n->notes[i].seq);
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

static enum err put_numbers(const struct numbering *n, struct store_tx *tx, struct why *why)
{
    enum err e = number_put(tx, "", n->position, why);
    for (size_t i = 0; e == OK && i < n->stream->topic_count; i++) {
        if (n->loaded[i]) {
            e = number_put(tx, n->stream->topics[i]->name, n->numbers[i], why);
        }
    }
    return e;
}

static enum err number_notes(struct store_tx *tx, void *ctx, struct why *why)
{
    struct numbering *n = ctx;
    size_t count = 0;
    arena_clear(&n->arena);
    memset(n->loaded, 0, sizeof n->loaded);
    store_read_committed(tx);
    enum err e = run_plain(tx, &stream_sql_lock, why);
    e = e ? e : stream_number_get(tx, "", &n->position, why);
    e = e ? e : take_notes(n, tx, why);
    if (e != OK || n->count == 0) {
        return e;
    }
    join_repeated(n);
    struct told *told = arena_alloc_array(&n->arena, n->count, sizeof *told);
    for (size_t i = 0; e == OK && i < n->count; i++) {
        if (!n->notes[i].repeated) {
            e = tell_note(n, tx, &n->notes[i], told, &count, why);
        }
    }
    e = e ? e : write_told(tx, told, count, why);
    e = e ? e : drop_notes(n, tx, why);
    e = e ? e : put_numbers(n, tx, why);
    store_notify(tx, STREAM_CHANNEL);
    n->written = count;
    return e;
}

static enum err any_notes(struct store_tx *tx, void *ctx, struct why *why)
{
    bool *out = ctx;
    struct store_query q;
    store_begin(&q, tx, &stream_sql_changes_any);
    *out = store_step(&q);
    if (*out) {
        store_ignore(&q, "seq");
    }
    return store_finish(&q, NULL, why);
}

enum err stream_number(struct stream *stream, uint64_t *out_count, struct why *why)
{
    bool any = false;
    enum err e = store_read(stream->store, any_notes, &any, why);
    if (e != OK || !any) {
        *out_count = 0;
        return e;
    }
    struct numbering *n = mem_alloc(sizeof *n);
    n->stream = stream;
    arena_init(&n->arena, 0);
    e = store_write(stream->store, number_notes, n, why);
    if (e == OK) {
        metric_add(&stream_metrics[STREAM_METRIC_NUMBERED], (int64_t)n->written);
        *out_count = n->count;
    }
    arena_free(&n->arena);
    mem_free(n);
    return e;
}

static enum err prune(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct stream *stream = ctx;
    uint64_t position = 0;
    enum err e = stream_number_get(tx, "", &position, why);
    if (e != OK) {
        return e;
    }
    uint64_t keep = stream->config->messages_max;
    struct store_query q;
    store_begin(&q, tx, &stream_sql_messages_prune);
    store_bind_time(&q, "before", clock_wall_usec() - stream->config->retention_usec);
    store_bind_i64(&q, "below_position", position > keep ? (int64_t)(position - keep) : 0);
    store_bind_i64(&q, "max_rows", PRUNE_MAX);
    return store_finish(&q, NULL, why);
}

enum err stream_prune(struct stream *stream, struct why *why)
{
    return store_write(stream->store, prune, stream, why);
}
