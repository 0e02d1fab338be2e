/*
 * The proof of the audit log. Sealed rows are read in pages in the order of their numbers, a number
 * that stands twice included; each must have the next number and the hash that follows. After the
 * first wrong row one question is left: whether the row that belongs in its place stands elsewhere.
 * To answer it the rest is read once more, against that one place.
 */
#include "kernel/audit/audit_row.h"
#include "kernel/audit/audit_sql.h"
#include "kernel/base/check.h"

#define PAGE_ROWS 256

/* ---- findings ---- */

static const char *const finding_names[AUDIT_FINDINGS] = {
    [AUDIT_SOUND] = "sound",           [AUDIT_MISSING] = "missing",
    [AUDIT_REPEATED] = "repeated",     [AUDIT_CHANGED] = "changed",
    [AUDIT_REORDERED] = "reordered",   [AUDIT_TRUNCATED] = "truncated",
    [AUDIT_APPENDED] = "appended",     [AUDIT_REWRITTEN] = "rewritten",
    [AUDIT_UNANCHORED] = "unanchored",
};

const char *audit_finding_name(enum audit_finding finding)
{
    ASSERT(finding < AUDIT_FINDINGS);
    return finding_names[finding];
}

struct slice audit_finding_text(struct arena *arena, const struct audit_report *r)
{
    unsigned long long seq = r->seq;
    switch (r->found) {
    case AUDIT_SOUND:
        return SLICE_LIT("Every row follows from the one before.");
    case AUDIT_MISSING:
        return slice_format(arena, "Row %llu is missing; rows after it are there.", seq);
    case AUDIT_REPEATED:
        return slice_format(arena, "There is more than one row %llu (one is %s).", seq, r->id);
    case AUDIT_CHANGED:
        return slice_format(arena,
                            "Row %llu (%s) was changed: its hash does not follow from it and from "
                            "the row before.",
                            seq, r->id);
    case AUDIT_REORDERED:
        return slice_format(arena,
                            "Row %llu (%s) does not belong there: the one that does stands at "
                            "%llu.",
                            seq, r->id, (unsigned long long)r->other_seq);
    case AUDIT_TRUNCATED:
        return slice_format(arena, "The chain ends before row %llu, which a head knows.", seq);
    case AUDIT_APPENDED:
        return slice_format(arena, "Row %llu (%s) follows the head.", seq, r->id);
    case AUDIT_REWRITTEN:
        return slice_format(arena,
                            "Row %llu has another hash than the head that was kept: the "
                            "chain was computed anew.",
                            seq);
    case AUDIT_UNANCHORED:
        return slice_format(arena,
                            "Rows up to %llu are gone, and no row says that they were let "
                            "go.",
                            seq);
    case AUDIT_FINDINGS:
        break;
    }
    return SLICE_EMPTY;
}

/* ---- reading ---- */

struct pages {
    struct store_tx *tx;
    struct arena arena; /* of the page */
    struct audit_row rows[PAGE_ROWS];
    size_t count;
    size_t next;
    uint64_t last_seq;
    char last_id[sizeof(((struct audit_report *)0)->id)];
    bool ended;
};

static void pages_start(struct pages *p, struct store_tx *tx, uint64_t after_seq)
{
    p->tx = tx;
    p->count = 0;
    p->next = 0;
    p->last_seq = after_seq;
    /* Behind every id of that number. */
    (void)snprintf(p->last_id, sizeof(p->last_id), "\x7f");
    p->ended = false;
}

static void keep_id(char *out, size_t size, struct slice id)
{
    (void)snprintf(out, size, "%.*s", SLICE_ARG(id));
}

static enum err read_page(struct pages *p, struct why *why)
{
    struct store_query q;
    arena_clear(&p->arena);
    p->count = 0;
    p->next = 0;
    store_begin(&q, p->tx, &audit_sql_sealed_list);
    store_bind_i64(&q, "seq", (int64_t)p->last_seq);
    store_bind_text(&q, "id", slice_text(p->last_id));
    store_bind_i64(&q, "limit", PAGE_ROWS);
    while (store_step(&q)) {
        ASSERT(p->count < PAGE_ROWS);
        audit_row_take(&q, &p->arena, &p->rows[p->count++]);
    }
    p->ended = p->count < PAGE_ROWS;
    return store_finish(&q, NULL, why);
}

/* Gives the next row, or NULL at the end; it is valid until the next call. */
static enum err next_row(struct pages *p, const struct audit_row **out, struct why *why)
{
    if (p->next == p->count && !p->ended) {
        enum err e = read_page(p, why);
        if (e != OK) {
            return e;
        }
    }
    *out = NULL;
    if (p->next < p->count) {
        *out = &p->rows[p->next++];
        p->last_seq = (*out)->seq;
        keep_id(p->last_id, sizeof(p->last_id), (*out)->id);
    }
    return OK;
}

/* ---- the proof ---- */

struct proof {
    struct pages pages;
    struct arena scratch; /* of one row */
    const struct audit_place *witness;
    struct audit_report report;
    struct audit_place end; /* the last row that was right */
    uint64_t rows_max;      /* of the end of the chain; 0: all of it */
    bool anchor_told;
    char anchor[AUDIT_PLACE_TEXT_MAX];
};

static void find(struct proof *p, enum audit_finding found, uint64_t seq,
                 const struct audit_row *row)
{
    p->report.found = found;
    p->report.seq = seq;
    if (row != NULL) {
        keep_id(p->report.id, sizeof(p->report.id), row->id);
    }
}

/* Whether the row says that rows up to the anchor were let go. */
static bool tells_anchor(struct proof *p, const struct audit_row *row)
{
    const struct json *details = NULL;
    struct slice anchor;
    return slice_equal_text(row->action, audit_pruned.name) &&
           json_parse(&p->scratch, row->details, &json_limits_body, &details, NULL) == OK &&
           json_get_text(details, "anchor", &anchor, NULL) == OK &&
           slice_equal_text(anchor, p->anchor);
}

static enum err check_row(struct proof *p, const struct audit_row *row, struct why *why)
{
    uint64_t expected = p->end.seq + 1;
    if (row->seq != expected) {
        find(p, row->seq > expected ? AUDIT_MISSING : AUDIT_REPEATED,
             row->seq > expected ? expected : row->seq, row->seq > expected ? NULL : row);
        return OK;
    }
    struct hash hash;
    arena_clear(&p->scratch);
    enum err e = audit_row_hash(&p->scratch, &p->end.hash, row, row->seq, &hash, why);
    if (e == ERR_CORRUPT || (e == OK && !hash_equal(&hash, &row->hash))) {
        find(p, AUDIT_CHANGED, row->seq, row);
        return OK;
    }
    if (e != OK) {
        return e;
    }
    p->end = (struct audit_place){row->seq, hash};
    p->report.rows++;
    p->anchor_told = p->anchor_told || tells_anchor(p, row);
    if (p->witness != NULL && p->witness->seq == row->seq &&
        !hash_equal(&p->witness->hash, &hash)) {
        find(p, AUDIT_REWRITTEN, row->seq, row);
    }
    return OK;
}

/*
 * Looks for the row that belongs where a wrong one stands: one whose content, put there, has the
 * hash that it carries itself or that the wrong row carries.
 */
static enum err look_for_moved(struct proof *p, struct store_tx *tx, struct why *why)
{
    const struct audit_row *row = NULL;
    struct hash standing = {0};
    bool first = true;
    pages_start(&p->pages, tx, p->end.seq);
    for (;;) {
        enum err e = next_row(&p->pages, &row, why);
        if (e != OK || row == NULL) {
            return e;
        }
        struct hash hash;
        arena_clear(&p->scratch);
        e = audit_row_hash(&p->scratch, &p->end.hash, row, p->report.seq, &hash, why);
        if (e == ERR_CORRUPT) {
            continue;
        }
        if (e != OK) {
            return e;
        }
        standing = first ? row->hash : standing;
        first = false;
        bool here = slice_equal_text(row->id, p->report.id);
        if (!here && (hash_equal(&hash, &row->hash) || hash_equal(&hash, &standing))) {
            p->report.found = row->seq == p->report.seq ? AUDIT_REPEATED : AUDIT_REORDERED;
            p->report.other_seq = row->seq;
            return OK;
        }
    }
}

static void check_end(struct proof *p)
{
    const struct audit_head *head = &p->report.head;
    bool ends_early = head->place.seq > p->end.seq;
    bool ends_before_witness = p->witness != NULL && p->witness->seq > p->end.seq;
    if (!ends_early && !hash_equal(&head->place.hash, &p->end.hash)) {
        find(p, AUDIT_REWRITTEN, p->end.seq, NULL);
    } else if (ends_early || ends_before_witness) {
        find(p, AUDIT_TRUNCATED, p->end.seq + 1, NULL);
    } else if (p->witness != NULL && p->witness->seq == head->anchor.seq &&
               !hash_equal(&p->witness->hash, &head->anchor.hash)) {
        find(p, AUDIT_REWRITTEN, head->anchor.seq, NULL);
    } else if (head->anchor.seq > 0 && !p->anchor_told && p->report.unsealed == 0) {
        /* While rows wait, the one that tells may be among them. */
        find(p, AUDIT_UNANCHORED, head->anchor.seq, NULL);
    }
}

static enum err count_unsealed(struct store_tx *tx, uint64_t *out, struct why *why)
{
    uint64_t rows = 0;
    struct store_query q;
    store_begin(&q, tx, &audit_sql_unsealed_count);
    if (store_step(&q)) {
        rows = (uint64_t)store_get_i64(&q, "rows");
    }
    enum err e = store_finish_one(&q, "count", why);
    if (e == OK) {
        *out = rows;
    }
    return e;
}

/*
 * Where the proof begins: at the anchor, or so many rows before the head, whose hash is believed
 * then. The row that tells of the anchor may lie before that.
 */
static enum err choose_start(struct proof *p, struct store_tx *tx, struct why *why)
{
    const struct audit_head *head = &p->report.head;
    p->end = head->anchor;
    if (p->rows_max == 0 || head->place.seq < head->anchor.seq ||
        head->place.seq - head->anchor.seq <= p->rows_max) {
        return OK;
    }
    uint64_t seq = head->place.seq - p->rows_max;
    struct hash hash = {0};
    bool there = false;
    struct store_query q;
    store_begin(&q, tx, &audit_sql_hash_get);
    store_bind_i64(&q, "seq", (int64_t)seq);
    if (store_step(&q)) {
        there = !store_is_null(&q, "hash");
        store_get_fixed(&q, "hash", hash.bytes, sizeof(hash.bytes));
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && !there) {
        find(p, AUDIT_MISSING, seq, NULL);
    }
    if (e == OK && there) {
        p->end = (struct audit_place){seq, hash};
        p->anchor_told = true;
    }
    return e;
}

static enum err prove(struct proof *p, struct store_tx *tx, struct why *why)
{
    enum err e = audit_head_read(tx, &p->report.head, why);
    if (e == OK) {
        e = count_unsealed(tx, &p->report.unsealed, why);
    }
    if (e == OK) {
        e = choose_start(p, tx, why);
    }
    if (e != OK) {
        return e;
    }
    audit_place_format(&p->report.head.anchor, p->anchor);
    pages_start(&p->pages, tx, p->end.seq);
    const struct audit_row *row = NULL;
    while (p->report.found == AUDIT_SOUND) {
        e = next_row(&p->pages, &row, why);
        if (e != OK) {
            return e;
        }
        if (row == NULL) {
            check_end(p);
            return OK;
        }
        if (row->seq > p->report.head.place.seq) {
            /* Rows may be gone before the head as well: that is the first wrong place then. */
            bool whole = p->end.seq == p->report.head.place.seq;
            find(p, whole ? AUDIT_APPENDED : AUDIT_MISSING, whole ? row->seq : p->end.seq + 1,
                 whole ? row : NULL);
            return OK;
        }
        e = check_row(p, row, why);
        if (e != OK) {
            return e;
        }
    }
    return p->report.found == AUDIT_CHANGED ? look_for_moved(p, tx, why) : OK;
}

static enum err verify(struct store_tx *tx, const struct audit_place *witness, uint64_t rows_max,
                       struct audit_report *out, struct why *why)
{
    struct proof *p = mem_alloc(sizeof(*p));
    p->witness = witness;
    p->rows_max = rows_max;
    arena_init(&p->pages.arena, 0);
    arena_init(&p->scratch, 0);
    enum err e = prove(p, tx, why);
    if (e == OK) {
        *out = p->report;
    }
    arena_free(&p->pages.arena);
    arena_free(&p->scratch);
    mem_free(p);
    return e;
}

enum err audit_verify(struct store_tx *tx, const struct audit_place *witness,
                      struct audit_report *out, struct why *why)
{
    return verify(tx, witness, 0, out, why);
}

enum err audit_verify_recent(struct store_tx *tx, uint64_t rows_max, struct audit_report *out,
                             struct why *why)
{
    ASSERT(rows_max > 0);
    return verify(tx, NULL, rows_max, out, why);
}
