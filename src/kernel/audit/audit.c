#include "kernel/audit/audit.h"

#include "kernel/audit/audit_row.h"
#include "kernel/audit/audit_sql.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/base/rand.h"

const struct config_row audit_config_rows[] = {
    {.key = "audit.seal_after",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct audit_config, seal_usec),
     .default_ = "200ms",
     .max = 60ull * USEC_PER_SEC,
     .doc = "How long rows of the audit log are gathered before they are sealed together."},
    {.key = "audit.retention",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct audit_config, retention_usec),
     .default_ = "90d",
     .max = 36500ull * 86400 * USEC_PER_SEC,
     .doc = "How long rows of the audit log are kept; 0 is for ever."},
};
const size_t audit_config_row_count = sizeof(audit_config_rows) / sizeof(audit_config_rows[0]);

const struct audit_action audit_pruned = {
    "audit.pruned",
    "Rows older than audit.retention were let go; details have the anchor that is left of them."};

struct audit_table audit_own_table(void)
{
    return (struct audit_table){&audit_pruned, 1};
}

/* ---- writing ---- */

static void bind_or_null(struct store_query *q, const char *name, struct slice text)
{
    if (text.len > 0) {
        store_bind_text(q, name, text);
    } else {
        store_bind_null(q, name);
    }
}

static void bind_entry(struct store_query *q, const struct audit_entry *entry)
{
    ASSERT(entry->action != NULL);
    ASSERT(entry->subject.len > 0);
    char id[RAND_ID_MAX];
    rand_id("au", id);
    store_bind_text(q, "id", slice_text(id));
    store_bind_time(q, "created_at", clock_wall_usec());
    store_bind_i64(q, "actor_kind", (int64_t)entry->actor_kind);
    store_bind_text(q, "actor", entry->actor.len > 0 ? entry->actor : SLICE_LIT(""));
    store_bind_text(q, "action", slice_text(entry->action->name));
    store_bind_text(q, "subject", entry->subject);
    store_bind_i64(q, "outcome", entry->outcome != 0 ? (int64_t)entry->outcome : AUDIT_DONE);
    store_bind_json(q, "details", entry->details.len > 0 ? entry->details : SLICE_LIT("{}"));
    bind_or_null(q, "request_id", entry->request_id);
    if (entry->job_id != 0) {
        store_bind_i64(q, "job_id", entry->job_id);
    } else {
        store_bind_null(q, "job_id");
    }
    bind_or_null(q, "transaction_id", entry->transaction_id);
}

enum err audit_write(struct store_tx *tx, const struct audit_entry *entry, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &audit_sql_insert);
    bind_entry(&q, entry);
    store_notify(tx, "audit");
    return store_finish(&q, NULL, why);
}

enum err audit_write_many(struct store_tx *tx, const struct audit_entry *entries, size_t count,
                          struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &audit_sql_insert);
    for (size_t i = 0; i < count; i++) {
        bind_entry(&q, &entries[i]);
        store_row(&q);
    }
    store_notify(tx, "audit");
    return store_finish(&q, NULL, why);
}

/* ---- the head ---- */

void audit_place_format(const struct audit_place *place, char out[AUDIT_PLACE_TEXT_MAX])
{
    int len = snprintf(out, AUDIT_PLACE_TEXT_MAX, "%llu:", (unsigned long long)place->seq);
    hex_encode_to(hash_slice(&place->hash), out + len);
}

enum err audit_place_parse(struct slice text, struct audit_place *out)
{
    struct slice seq;
    struct slice hash;
    struct audit_place place;
    if (!slice_cut(text, ':', &seq, &hash) || slice_parse_u64(seq, &place.seq) != OK ||
        hash_parse(hash, &place.hash) != OK) {
        return ERR_INVALID_FIELD;
    }
    *out = place;
    return OK;
}

enum err audit_head_read(struct store_tx *tx, struct audit_head *out, struct why *why)
{
    struct audit_head head = {.sealed_usec = 0};
    struct store_query q;
    store_begin(&q, tx, &audit_sql_head_get);
    if (store_step(&q)) {
        head.place.seq = (uint64_t)store_get_i64(&q, "seq");
        store_get_fixed(&q, "hash", head.place.hash.bytes, HASH_BYTES);
        head.sealed_usec = store_get_time(&q, "sealed_at");
        head.anchor.seq = (uint64_t)store_get_i64(&q, "anchor_seq");
        store_get_fixed(&q, "anchor_hash", head.anchor.hash.bytes, HASH_BYTES);
    }
    enum err e = store_finish_one(&q, "the head of the audit log", why);
    if (e == OK) {
        *out = head;
    }
    return e;
}

/* ---- a row ---- */

void audit_row_take(struct store_query *q, struct arena *arena, struct audit_row *out)
{
    *out = (struct audit_row){.seq = 0};
    out->id = store_get_text(q, "id", arena);
    out->created_usec = store_get_time(q, "created_at");
    out->actor_kind = store_get_i64(q, "actor_kind");
    out->actor = store_get_text(q, "actor", arena);
    out->action = store_get_text(q, "action", arena);
    out->subject = store_get_text(q, "subject", arena);
    out->outcome = store_get_i64(q, "outcome");
    out->details = store_get_text(q, "details", arena);
    out->has_request = !store_is_null(q, "request_id");
    out->request_id = store_get_text(q, "request_id", arena);
    out->has_job = !store_is_null(q, "job_id");
    out->job_id = store_get_i64(q, "job_id");
    out->has_transaction = !store_is_null(q, "transaction_id");
    out->transaction_id = store_get_text(q, "transaction_id", arena);
    out->seq = store_is_null(q, "seq") ? 0 : (uint64_t)store_get_i64(q, "seq");
    store_get_fixed(q, "hash", out->hash.bytes, HASH_BYTES);
}

static void text_or_null(struct json_out *j, const char *key, bool has, struct slice text)
{
    json_key(j, key);
    if (has) {
        json_string(j, text);
    } else {
        json_null(j);
    }
}

static void row_json(struct json_out *j, const struct audit_row *row, uint64_t seq)
{
    json_begin_object(j);
    json_key(j, "action");
    json_string(j, row->action);
    json_key(j, "actor");
    json_string(j, row->actor);
    json_key(j, "actorKind");
    json_i64(j, row->actor_kind);
    json_key(j, "createdAt");
    json_i64(j, row->created_usec);
    json_key(j, "details");
    json_raw(j, row->details);
    json_key(j, "id");
    json_string(j, row->id);
    json_key(j, "jobId");
    if (row->has_job) {
        json_i64(j, row->job_id);
    } else {
        json_null(j);
    }
    json_key(j, "outcome");
    json_i64(j, row->outcome);
    text_or_null(j, "requestId", row->has_request, row->request_id);
    json_key(j, "seq");
    json_u64(j, seq);
    json_key(j, "subject");
    json_string(j, row->subject);
    text_or_null(j, "transactionId", row->has_transaction, row->transaction_id);
    json_end_object(j);
}

/* JSONB keeps neither the order of members nor how a number was written: hence the form of RFC
 * 8785. */
enum err audit_row_hash(struct arena *scratch, const struct hash *before,
                        const struct audit_row *row, uint64_t seq, struct hash *out,
                        struct why *why)
{
    struct buf text;
    struct buf bytes;
    struct json_out j;
    const struct json *tree = NULL;
    buf_init(&text, scratch, 512 + row->details.len);
    json_out_init(&j, &text);
    row_json(&j, row, seq);
    buf_init(&bytes, scratch, HASH_BYTES + text.len);
    buf_add_slice(&bytes, hash_slice(before));
    struct json_limits limits = json_limits_body;
    limits.bytes_max = text.len;
    enum err e = json_parse(scratch, buf_slice(&text), &limits, &tree, why);
    if (e == OK) {
        e = json_canonical(&bytes, tree, why);
    }
    if (e != OK) {
        return why_set(why, ERR_CORRUPT, NULL,
                       "Row %.*s of the audit log cannot be read: its "
                       "details are no JSON that can be hashed.",
                       SLICE_ARG(row->id));
    }
    *out = sha256(buf_slice(&bytes));
    return OK;
}

/* ---- reference ---- */

static void check_unique(const struct audit_table *tables, size_t upto, const char *name)
{
    for (size_t t = 0; t < upto; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            ASSERT(strcmp(tables[t].actions[i].name, name) != 0);
        }
    }
}

void audit_reference(const struct audit_table *tables, size_t table_count, struct buf *out)
{
    buf_add_text(out, "| action | recorded when |\n| --- | --- |\n");
    for (size_t t = 0; t < table_count; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            check_unique(tables, t, tables[t].actions[i].name);
            buf_format(out, "| `%s` | %s |\n", tables[t].actions[i].name, tables[t].actions[i].doc);
        }
    }
}
