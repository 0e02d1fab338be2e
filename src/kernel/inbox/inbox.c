#include "kernel/inbox/inbox.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/inbox/inbox_sql.h"

const struct config_row inbox_config_rows[] = {
    {.key = "inbox.retention",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct inbox_config, retention_usec),
     .default_ = "30d",
     .min = 86400ull * USEC_PER_SEC,
     .max = 3650ull * 86400 * USEC_PER_SEC,
     .doc = "How long the ids of outside events are known; senders give up repeating before."},
};
const size_t inbox_config_row_count = sizeof(inbox_config_rows) / sizeof(inbox_config_rows[0]);

static void begin_for(struct store_query *q, struct store_tx *tx, const struct store_statement *s,
                      const char *source, struct slice event_id)
{
    ASSERT(source[0] != '\0' && strlen(source) <= INBOX_SOURCE_MAX);
    store_begin(q, tx, s);
    store_bind_text(q, "source", slice_text(source));
    store_bind_text(q, "event_id", event_id);
}

static enum err take_again(struct store_tx *tx, struct arena *arena, const char *source,
                           struct slice event_id, const struct hash *content,
                           struct inbox_taken *out, struct why *why)
{
    struct hash known = {0};
    struct inbox_taken taken = {.verdict = INBOX_SAME};
    struct store_query q;
    begin_for(&q, tx, &inbox_sql_seen, source, event_id);
    if (store_step(&q)) {
        store_get_fixed(&q, "content_hash", known.bytes, HASH_BYTES);
        taken.first_seen_usec = store_get_time(&q, "first_seen_at");
        taken.seen = (uint64_t)store_get_i64(&q, "seen");
        taken.result = store_get_text(&q, "result", arena);
    }
    enum err e = store_finish_one(&q, "event", why);
    if (e == OK) {
        taken.verdict = hash_equal(&known, content) ? INBOX_SAME : INBOX_DIFFERENT;
        *out = taken;
    }
    return e;
}

enum err inbox_take(struct store_tx *tx, struct arena *arena, const char *source,
                    struct slice event_id, const struct hash *content, struct inbox_taken *out,
                    struct why *why)
{
    if (event_id.len == 0 || event_id.len > INBOX_EVENT_ID_MAX) {
        return why_set(why, ERR_INVALID_FIELD, "id", "The id of an event has 1 to %d bytes.",
                       INBOX_EVENT_ID_MAX);
    }
    int64_t changed = 0;
    struct store_query q;
    begin_for(&q, tx, &inbox_sql_insert, source, event_id);
    store_bind_bytes(&q, "content_hash", hash_slice(content));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && changed == 0) {
        return take_again(tx, arena, source, event_id, content, out, why);
    }
    if (e == OK) {
        *out = (struct inbox_taken){.verdict = INBOX_NEW, .seen = 1};
    }
    return e;
}

enum err inbox_result(struct store_tx *tx, const char *source, struct slice event_id,
                      struct slice result, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    begin_for(&q, tx, &inbox_sql_result, source, event_id);
    store_bind_json(&q, "result", result);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && changed == 0) {
        e = why_set(why, ERR_CONFLICT, NULL,
                    "The event %.*s of %s has its result, or was never "
                    "taken.",
                    SLICE_ARG(event_id), source);
    }
    return e;
}

enum err inbox_purge(struct store_tx *tx, int64_t before_usec, uint64_t limit, uint64_t *out_rows,
                     struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &inbox_sql_purge);
    store_bind_time(&q, "before", before_usec);
    store_bind_i64(&q, "limit", (int64_t)limit);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK) {
        *out_rows = (uint64_t)changed;
    }
    return e;
}
