/*
 * Letting old rows go. What stays is a chain from the anchor on, whose first row is checked against
 * the anchor's hash; the row `audit.pruned` of that chain says where the anchor was put.
 */
#include "kernel/audit/audit_row.h"
#include "kernel/audit/audit_sql.h"

#define PRUNE_ROWS 1000

struct prune {
    int64_t before_usec;
    struct audit_place anchor; /* where it stands afterwards */
    int64_t deleted;           /* in the last transaction */
};

/* The place before the first row that must stay; the anchor when nothing may go. */
static enum err find_anchor(struct store_tx *tx, const struct prune *p,
                            const struct audit_head *head, struct audit_place *out, struct why *why)
{
    uint64_t seq = head->place.seq;
    struct store_query q;
    store_begin(&q, tx, &audit_sql_prune_find);
    store_bind_time(&q, "before", p->before_usec);
    if (store_step(&q) && !store_is_null(&q, "seq")) {
        seq = (uint64_t)store_get_i64(&q, "seq") - 1;
    }
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    *out = head->anchor;
    if (seq <= head->anchor.seq) {
        return OK;
    }
    out->seq = seq;
    store_begin(&q, tx, &audit_sql_hash_get);
    store_bind_i64(&q, "seq", (int64_t)seq);
    if (store_step(&q)) {
        store_get_fixed(&q, "hash", out->hash.bytes, HASH_BYTES);
    }
    return store_finish_one(&q, "row of the audit log", why);
}

static enum err record(struct store_tx *tx, const struct audit_place *anchor, struct why *why)
{
    struct arena scratch;
    struct buf details;
    struct json_out j;
    char text[AUDIT_PLACE_TEXT_MAX];
    audit_place_format(anchor, text);
    arena_init(&scratch, 0);
    buf_init(&details, &scratch, 256);
    json_out_init(&j, &details);
    json_begin_object(&j);
    json_key(&j, "anchor");
    json_text(&j, text);
    json_end_object(&j);
    const struct audit_entry entry = {
        .action = &audit_pruned,
        .actor_kind = AUDIT_SYSTEM,
        .actor = SLICE_LIT("audit"),
        .subject = SLICE_LIT("audit/log"),
        .details = buf_slice(&details),
    };
    enum err e = audit_write(tx, &entry, why);
    arena_free(&scratch);
    return e;
}

static enum err move_anchor(struct store_tx *tx, void *ctx, struct why *why)
{
    struct prune *p = ctx;
    struct audit_head head;
    struct audit_place anchor;
    enum err e = audit_head_read(tx, &head, why);
    if (e == OK) {
        e = find_anchor(tx, p, &head, &anchor, why);
    }
    if (e != OK) {
        return e;
    }
    p->anchor = anchor;
    if (anchor.seq == head.anchor.seq) {
        return OK;
    }
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &audit_sql_anchor_move);
    store_bind_i64(&q, "from_seq", (int64_t)head.anchor.seq);
    store_bind_i64(&q, "seq", (int64_t)anchor.seq);
    store_bind_bytes(&q, "hash", hash_slice(&anchor.hash));
    e = store_finish(&q, &changed, why);
    if (e == OK && changed != 1) {
        e = why_set(why, ERR_CONFLICT, NULL, "Somebody else prunes the audit log.");
    }
    return e == OK ? record(tx, &anchor, why) : e;
}

static enum err delete_some(struct store_tx *tx, void *ctx, struct why *why)
{
    struct prune *p = ctx;
    struct store_query q;
    store_begin(&q, tx, &audit_sql_prune);
    store_bind_i64(&q, "seq", (int64_t)p->anchor.seq);
    store_bind_i64(&q, "limit", PRUNE_ROWS);
    return store_finish(&q, &p->deleted, why);
}

enum err audit_prune(struct store *store, int64_t before_usec, uint64_t *out_rows, struct why *why)
{
    struct prune p = {.before_usec = before_usec};
    uint64_t rows = 0;
    enum err e = store_write(store, move_anchor, &p, why);
    while (e == OK && p.anchor.seq > 0) {
        e = store_write(store, delete_some, &p, why);
        rows += e == OK ? (uint64_t)p.deleted : 0;
        if (e == OK && p.deleted < PRUNE_ROWS) {
            break;
        }
    }
    if (e == OK) {
        *out_rows = rows;
    }
    return e;
}
