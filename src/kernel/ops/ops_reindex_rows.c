#include "kernel/ops/ops_reindex_rows.h"

#include <stdlib.h>

#include "kernel/backup/backup_stream.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/thread.h"
#include "kernel/crypto/hash.h"

#define PAGE_ROWS 1024
#define MARK_BYTES 16

struct mark {
    uint8_t key[MARK_BYTES];
    uint8_t row[MARK_BYTES];
};

/* What is kept of the rows of one side. */
struct side {
    const struct store_table *table;
    uint64_t chain_id;
    struct store *store;
    struct mark *marks;
    size_t count;
    size_t cap;
    struct arena scratch;
    /* The second reading: the rows that differ. */
    struct reindex_differences *wanted;
    bool is_live;
    struct arena *arena;
};

/* ---- reading ---- */

enum err reindex_walk(struct store_tx *tx, const struct store *store,
                      const struct store_table *table, reindex_page_fn visit, void *ctx,
                      struct why *why)
{
    struct backup_position at = {.key = NULL};
    enum err e = OK;
    bool ends = false;
    arena_init(&at.arena, 0);
    while (e == OK && !ends) {
        struct backup_batch *page = backup_batch_new(table);
        e = backup_page_read(tx, store, &at, PAGE_ROWS, page, why);
        ends = page->ends;
        if (e == OK) {
            e = visit(ctx, page, why);
        }
        backup_batch_free(page);
    }
    arena_free(&at.arena);
    return e;
}

struct errand {
    reindex_how_fn how;
    struct store *store;
    store_fn fn;
    void *ctx;
    enum err result;
    struct why why;
};

static void *run_errand(void *arg)
{
    struct errand *errand = arg;
    errand->result = errand->how(errand->store, errand->fn, errand->ctx, &errand->why);
    return NULL;
}

enum err reindex_elsewhere(reindex_how_fn how, struct store *store, store_fn fn, void *ctx,
                           struct why *why)
{
    struct errand errand = {.how = how, .store = store, .fn = fn, .ctx = ctx};
    pthread_t thread;
    int failed = thread_start(&thread, run_errand, &errand);
    if (failed != 0) {
        return why_set(why, ERR_INTERNAL, NULL, "A reader cannot be started: %s.",
                       strerror(failed));
    }
    ASSERT(pthread_join(thread, NULL) == 0);
    if (errand.result != OK && why != NULL) {
        *why = errand.why;
    }
    return errand.result;
}

/* ---- keys ---- */

static bool is_place(const struct store_column *column)
{
    return strcmp(column->name, "chain_id") == 0 || strcmp(column->name, "origin") == 0;
}

static bool is_of_chain(const struct store_table *table, const struct backup_row *row,
                        uint64_t chain_id)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (is_place(&table->columns[i])) {
            return row->values[i].i64 == (int64_t)chain_id;
        }
    }
    return false;
}

void reindex_value(struct buf *out, const struct store_column *column, const struct backup_value *v)
{
    if (v->is_null) {
        buf_add_text(out, "nothing");
        return;
    }
    char digits[U256_TEXT_MAX];
    switch (column->type) {
    case STORE_I64:
    case STORE_BOOL:
    case STORE_TIME:
        buf_add_i64(out, v->i64);
        return;
    case STORE_U256:
        u256_format(v->u256, digits);
        buf_add_text(out, digits);
        return;
    case STORE_TEXT:
    case STORE_JSON:
        buf_add_slice(out, v->bytes);
        return;
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        buf_add_text(out, "0x");
        buf_add_hex(out, v->bytes);
        return;
    }
}

/* "token 0x… holder 0x…": the key but for the chain. */
static struct slice key_text(const struct store_table *table, const struct backup_row *row,
                             struct arena *arena)
{
    struct buf text;
    buf_init(&text, arena, 128);
    for (uint16_t i = 0; i < table->key_count; i++) {
        const struct store_column *column = &table->columns[table->key[i]];
        if (!is_place(column)) {
            buf_format(&text, "%s%s ", buf_slice(&text).len > 0 ? " " : "", column->name);
            reindex_value(&text, column, &row->values[table->key[i]]);
        }
    }
    return buf_slice(&text);
}

static void mark_key(struct slice text, uint8_t out[MARK_BYTES])
{
    struct hash hash = sha256(text);
    memcpy(out, hash.bytes, MARK_BYTES);
}

/* ---- the first reading: hashes of all rows ---- */

static enum err add_mark(struct side *side, const struct backup_row *row, struct why *why)
{
    struct hash hash;
    if (side->count == side->cap) {
        side->cap = side->cap > 0 ? 2 * side->cap : 1024;
        side->marks = mem_resize(side->marks, side->cap * sizeof(side->marks[0]));
    }
    struct mark *mark = &side->marks[side->count++];
    arena_clear(&side->scratch);
    enum err e = backup_row_hash(side->table, row, &side->scratch, &hash, why);
    if (e == ERR_CORRUPT && side->is_live) {
        /* JSON that is none any more: that is what we are here to find. */
        struct buf raw;
        buf_init(&raw, &side->scratch, 512);
        backup_row_encode(side->table, row, &raw);
        hash = sha256(buf_slice(&raw));
        e = OK;
    }
    if (e == OK) {
        memcpy(mark->row, hash.bytes, MARK_BYTES);
        mark_key(key_text(side->table, row, &side->scratch), mark->key);
    }
    return e;
}

static enum err mark_page(void *ctx, const struct backup_batch *page, struct why *why)
{
    struct side *side = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < page->count; i++) {
        if (is_of_chain(side->table, &page->rows[i], side->chain_id)) {
            e = add_mark(side, &page->rows[i], why);
        }
    }
    return e;
}

static enum err mark_rows(struct store_tx *tx, void *ctx, struct why *why)
{
    struct side *side = ctx;
    side->count = 0;
    return reindex_walk(tx, side->store, side->table, mark_page, side, why);
}

static int order_marks(const void *a, const void *b)
{
    return memcmp(((const struct mark *)a)->key, ((const struct mark *)b)->key, MARK_BYTES);
}

static void sort_marks(struct side *side)
{
    if (side->count > 0) {
        qsort(side->marks, side->count, sizeof(side->marks[0]), order_marks);
    }
}

/* ---- what differs ---- */

static void add_difference(struct reindex_differences *out, struct arena *arena,
                           const struct store_table *table, enum reindex_finding finding,
                           const struct mark *mark)
{
    if (out->count == out->cap) {
        size_t cap = out->cap > 0 ? 2 * out->cap : 64;
        struct reindex_difference *more = arena_alloc_array(arena, cap, sizeof(*more));
        if (out->count > 0) {
            memcpy(more, out->at, out->count * sizeof(*more));
        }
        out->at = more;
        out->cap = cap;
    }
    struct reindex_difference *d = &out->at[out->count++];
    *d = (struct reindex_difference){.table = table, .finding = finding};
    memcpy(d->mark, mark->key, MARK_BYTES);
}

/* Both sides are sorted, and so is what is appended. */
static void merge(const struct side *live, const struct side *shadow, struct arena *arena,
                  struct reindex_differences *out)
{
    size_t l = 0;
    size_t s = 0;
    while (l < live->count || s < shadow->count) {
        int order = l == live->count     ? 1
                    : s == shadow->count ? -1
                                         : order_marks(&live->marks[l], &shadow->marks[s]);
        if (order < 0) {
            add_difference(out, arena, live->table, REINDEX_EXTRA, &live->marks[l++]);
        } else if (order > 0) {
            add_difference(out, arena, live->table, REINDEX_MISSING, &shadow->marks[s++]);
        } else {
            const struct mark *mark = &live->marks[l];
            if (memcmp(mark->row, shadow->marks[s].row, MARK_BYTES) != 0) {
                add_difference(out, arena, live->table, REINDEX_ALTERED, mark);
            }
            l++;
            s++;
        }
    }
}

/* ---- the second reading: the rows that differ ---- */

static struct backup_row copy_row(const struct store_table *table, const struct backup_row *row,
                                  struct arena *arena)
{
    struct backup_value *values = arena_alloc_array(arena, table->column_count, sizeof(*values));
    for (uint16_t i = 0; i < table->column_count; i++) {
        values[i] = row->values[i];
        values[i].bytes = slice_copy(arena, row->values[i].bytes);
    }
    return (struct backup_row){values};
}

static int order_difference(const void *mark, const void *difference)
{
    return memcmp(mark, ((const struct reindex_difference *)difference)->mark, MARK_BYTES);
}

static enum err keep_page(void *ctx, const struct backup_batch *page, struct why *why)
{
    (void)why;
    struct side *side = ctx;
    for (size_t i = 0; i < page->count; i++) {
        uint8_t mark[MARK_BYTES];
        const struct backup_row *row = &page->rows[i];
        if (!is_of_chain(side->table, row, side->chain_id)) {
            continue;
        }
        arena_clear(&side->scratch);
        mark_key(key_text(side->table, row, &side->scratch), mark);
        struct reindex_difference *d = bsearch(mark, side->wanted->at, side->wanted->count,
                                               sizeof(side->wanted->at[0]), order_difference);
        if (d == NULL) {
            continue;
        }
        *(side->is_live ? &d->is : &d->should) = copy_row(side->table, row, side->arena);
        d->key = key_text(side->table, row, side->arena);
    }
    return OK;
}

static enum err keep_rows(struct store_tx *tx, void *ctx, struct why *why)
{
    struct side *side = ctx;
    return reindex_walk(tx, side->store, side->table, keep_page, side, why);
}

enum err reindex_compare(struct store_tx *tx, struct store *live, struct store *shadow,
                         const struct store_table *table, uint64_t chain_id, struct arena *arena,
                         struct reindex_differences *out, uint64_t *out_rows, struct why *why)
{
    struct side is = {.table = table, .chain_id = chain_id, .store = live, .is_live = true};
    struct side should = {.table = table, .chain_id = chain_id, .store = shadow};
    size_t before = out->count;
    is.arena = should.arena = arena;
    arena_init(&is.scratch, 0);
    arena_init(&should.scratch, 0);
    enum err e = mark_rows(tx, &is, why);
    if (e == OK) {
        e = reindex_elsewhere(store_read, shadow, mark_rows, &should, why);
    }
    if (e == OK) {
        sort_marks(&is);
        sort_marks(&should);
        merge(&is, &should, arena, out);
        *out_rows = is.count;
    }
    struct reindex_differences here = {.at = out->at + before, .count = out->count - before};
    if (e == OK && here.count > 0) {
        is.wanted = should.wanted = &here;
        e = keep_rows(tx, &is, why);
        e = e == OK ? reindex_elsewhere(store_read, shadow, keep_rows, &should, why) : e;
    }
    mem_free(is.marks);
    mem_free(should.marks);
    arena_free(&is.scratch);
    arena_free(&should.scratch);
    return e;
}

/* ---- columns ---- */

static enum err canonical(const struct backup_value *v, struct arena *scratch, struct slice *out,
                          struct why *why)
{
    static const struct json_limits limits = {
        .bytes_max = (size_t)256 << 20,
        .depth_max = JSON_DEPTH_MAX,
        .nodes_max = 40000000,
    };
    const struct json *json = NULL;
    struct buf text;
    buf_init(&text, scratch, v->bytes.len + 16);
    enum err e = json_parse(scratch, v->bytes, &limits, &json, why);
    if (e == OK) {
        e = backup_json_exact(&text, json, why);
    }
    if (e == OK) {
        *out = buf_slice(&text);
    }
    return e;
}

static bool same(const struct backup_value *a, const struct backup_value *b)
{
    return a->is_null == b->is_null &&
           (a->is_null ||
            (a->i64 == b->i64 && u256_equal(a->u256, b->u256) && slice_equal(a->bytes, b->bytes)));
}

enum err reindex_differs(const struct reindex_difference *d, struct arena *scratch,
                         bool differs[64], struct why *why)
{
    enum err e = OK;
    ASSERT(d->finding == REINDEX_ALTERED && d->table->column_count <= 64);
    for (uint16_t i = 0; e == OK && i < d->table->column_count; i++) {
        const struct backup_value *is = &d->is.values[i];
        const struct backup_value *should = &d->should.values[i];
        differs[i] = !same(is, should);
        if (differs[i] && d->table->columns[i].type == STORE_JSON && !is->is_null &&
            !should->is_null) {
            struct slice a = SLICE_EMPTY;
            struct slice b = SLICE_EMPTY;
            e = canonical(is, scratch, &a, NULL);
            /* What is no JSON any more differs. */
            bool readable = e == OK;
            e = canonical(should, scratch, &b, why);
            differs[i] = !readable || !slice_equal(a, b);
        }
    }
    return e;
}
