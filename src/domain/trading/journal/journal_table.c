#include "domain/trading/journal/journal_table.h"

#include "domain/trading/journal/journal_sql.h"
#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define PAGE 16               /* blocks read at a time */
#define PART_BYTES (1u << 20) /* of a snapshot */

struct table {
    struct journal_medium medium; /* first */
    struct store *store;
    struct store_hold hold; /* lease NULL: reading only */
    struct engine_limits limits;
};

static struct table *table_of(struct journal_medium *m)
{
    return (struct table *)m;
}

/* ---- limits ---- */

struct limits_column {
    const char *name;
    uint32_t *value;
};

#define LIMITS 8

static void limits_columns(struct engine_limits *l, struct limits_column out[LIMITS])
{
    const struct limits_column columns[LIMITS] = {
        {"pairs", &l->pairs},   {"assets", &l->assets},       {"accounts", &l->accounts},
        {"orders", &l->orders}, {"balances", &l->balances},   {"rights", &l->rights},
        {"holds", &l->holds},   {"id_window", &l->id_window},
    };
    memcpy(out, columns, sizeof columns);
}

static enum err read_limits(struct store_tx *tx, void *ctx, struct why *why)
{
    struct limits_column columns[LIMITS];
    struct store_query q;
    limits_columns(ctx, columns);
    store_begin(&q, tx, &journal_sql_limits_read);
    if (store_step(&q)) {
        for (size_t i = 0; i < LIMITS; i++) {
            *columns[i].value = (uint32_t)store_get_i64(&q, columns[i].name);
        }
    }
    return store_finish_one(&q, "a journal in the database was", why);
}

static enum err table_limits(struct journal_medium *m, struct engine_limits *out, struct why *why)
{
    struct engine_limits limits = {0};
    enum err e = store_read(table_of(m)->store, read_limits, &limits, why);
    if (e == OK && engine_limits_check(&limits, why) != OK) {
        e = ERR_CORRUPT;
    }
    if (e == OK) {
        *out = limits;
    }
    return e;
}

/* ---- blocks ---- */

struct page {
    const struct journal_scan *scan;
    struct arena arena;
    uint64_t from; /* the command that the next page begins with */
    size_t count;
    struct row {
        uint64_t first_seq;
        uint64_t next_seq;
        struct hash chain_before;
        struct slice block;
    } rows[PAGE];
};

static enum err read_page(struct store_tx *tx, void *ctx, struct why *why)
{
    struct page *page = ctx;
    struct store_query q;
    arena_clear(&page->arena);
    page->count = 0;
    store_begin(&q, tx, &journal_sql_blocks);
    store_bind_i64(&q, "from", (int64_t)page->from);
    store_bind_i64(&q, "limit", PAGE);
    while (store_step(&q)) {
        struct row *row = &page->rows[page->count++];
        row->first_seq = (uint64_t)store_get_i64(&q, "first_seq");
        row->next_seq = (uint64_t)store_get_i64(&q, "next_seq");
        store_get_fixed(&q, "chain_before", row->chain_before.bytes, HASH_BYTES);
        row->block = store_get_bytes(&q, "block", &page->arena);
    }
    return store_finish(&q, NULL, why);
}

static enum err in_row(struct why *why, uint64_t first_seq, const char *what)
{
    return why_set(why, ERR_CORRUPT, NULL, "trading_journal, block %llu: %s",
                   (unsigned long long)first_seq, what);
}

/* Looks at one row, which must go on where `end` is; the first one says what was before it. */
static enum err take_row(const struct row *row, const struct journal_scan *scan, bool first,
                         struct journal_end *end, struct journal_recovery *recovery,
                         struct why *why)
{
    struct journal_block block;
    struct why what = {0};
    if (first) {
        *end = (struct journal_end){.seq = row->first_seq - 1, .chain = row->chain_before};
    }
    if (row->first_seq != end->seq + 1) {
        return in_row(why, row->first_seq, "the one before it is missing");
    }
    switch (journal_block_read(row->block, 0, row->first_seq, &end->chain, &block, &what)) {
    case JOURNAL_BLOCK:
        break;
    case JOURNAL_BROKEN:
        return in_row(why, row->first_seq, what.text);
    case JOURNAL_END:
    case JOURNAL_TORN: /* a row is there whole or not at all */
        return in_row(why, row->first_seq, "bytes are missing");
    }
    if (block.size != row->block.len || row->next_seq != row->first_seq + block.count) {
        return in_row(why, row->first_seq, "the block is not as long as its row says");
    }
    end->seq += block.count;
    const enum err e = journal_give_records(scan, &block, recovery, &what);
    if (e == ERR_CORRUPT) {
        return in_row(why, row->first_seq, what.text);
    }
    if (e != OK && why != NULL) {
        *why = what;
    }
    return e;
}

static enum err table_scan(struct journal_medium *m, const struct journal_scan *scan,
                           struct journal_end *out_end, struct journal_recovery *out_recovery,
                           struct why *why)
{
    struct page *page = mem_alloc(sizeof *page);
    struct journal_end end = {0};
    struct journal_recovery recovery = {0};
    enum err e = OK;
    bool first = true;
    arena_init(&page->arena, 0);
    /* From the block before, so that a snapshot at the very end finds where the journal ends. */
    page->from = scan->from > 1 ? scan->from - 1 : 1;
    do {
        e = store_read(table_of(m)->store, read_page, page, why);
        for (size_t i = 0; i < page->count && e == OK; i++) {
            e = take_row(&page->rows[i], scan, first, &end, &recovery, why);
            first = false;
        }
        page->from = end.seq + 1;
    } while (e == OK && page->count == PAGE);
    arena_free(&page->arena);
    mem_free(page);
    if (e == OK) {
        recovery.last_seq = end.seq;
        *out_end = end;
        *out_recovery = recovery;
    }
    return e;
}

static enum err table_begin_append(struct journal_medium *m, const struct engine_limits *limits,
                                   struct why *why)
{
    struct table *t = table_of(m);
    t->limits = *limits;
    return t->hold.lease != NULL && t->hold.fence != 0
               ? OK
               : why_set(why, ERR_FENCED, NULL, "this process does not hold the journal");
}

struct adding {
    struct table *table;
    const struct journal_sealed *block;
};

static enum err write_limits(struct store_tx *tx, struct table *t, struct why *why)
{
    struct limits_column columns[LIMITS];
    struct store_query q;
    limits_columns(&t->limits, columns);
    store_begin(&q, tx, &journal_sql_limits_write);
    for (size_t i = 0; i < LIMITS; i++) {
        store_bind_i64(&q, columns[i].name, *columns[i].value);
    }
    return store_finish(&q, NULL, why);
}

static enum err add_block(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct adding *a = ctx;
    const struct journal_sealed *b = a->block;
    struct store_query q;
    int64_t changed = 0;
    enum err e = b->first_seq == 1 ? write_limits(tx, a->table, why) : OK;
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &journal_sql_block_insert);
    store_bind_i64(&q, "first_seq", (int64_t)b->first_seq);
    store_bind_i64(&q, "next_seq", (int64_t)(b->first_seq + b->count));
    store_bind_i64(&q, "fence", (int64_t)a->table->hold.fence);
    store_bind_bytes(&q, "chain_before", hash_slice(&b->before));
    store_bind_bytes(&q, "block", slice_of(b->bytes, b->size));
    e = store_finish(&q, &changed, why);
    if (e == OK && changed == 0) {
        e = why_set(why, ERR_CONFLICT, NULL, "the journal does not end before command %llu",
                    (unsigned long long)b->first_seq);
    }
    return e;
}

static enum err table_append(struct journal_medium *m, const struct journal_sealed *block,
                             struct why *why)
{
    struct table *t = table_of(m);
    struct adding a = {.table = t, .block = block};
    return store_lease_write(t->store, &t->hold, 1, add_block, &a, why);
}

/* ---- snapshots ---- */

struct saving {
    struct slice bytes;
    uint64_t seq;
};

static enum err run_plain(struct store_tx *tx, const struct store_statement *s, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, s);
    return store_finish(&q, NULL, why);
}

static enum err save(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct saving *s = ctx;
    struct store_query q;
    store_begin(&q, tx, &journal_sql_snapshot_delete);
    store_bind_i64(&q, "seq", (int64_t)s->seq);
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin_rows(&q, tx, &journal_sql_snapshot_insert);
    for (size_t at = 0; at < s->bytes.len; at += PART_BYTES) {
        store_bind_i64(&q, "seq", (int64_t)s->seq);
        store_bind_i64(&q, "part", (int64_t)(at / PART_BYTES));
        store_bind_bytes(&q, "bytes", slice_sub(s->bytes, at, PART_BYTES));
        store_row(&q);
    }
    e = store_finish(&q, NULL, why);
    return e == OK ? run_plain(tx, &journal_sql_snapshots_prune, why) : e;
}

static enum err table_save(struct journal_medium *m, const struct engine *e, struct why *why)
{
    struct table *t = table_of(m);
    const struct journal_bytes bytes = journal_snapshot_encode(e);
    struct saving s = {.bytes = slice_of(bytes.ptr, bytes.len), .seq = engine_seq(e)};
    const enum err err = store_lease_write(t->store, &t->hold, 1, save, &s, why);
    mem_free(bytes.ptr);
    return err;
}

struct loading {
    struct arena arena;
    struct buf bytes;
    uint64_t upto;
    uint64_t seq;
    bool found;
};

static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    struct loading *l = ctx;
    struct store_query q;
    l->found = false;
    l->bytes.len = 0;
    store_begin(&q, tx, &journal_sql_snapshot_newest);
    store_bind_i64(&q, "upto", (int64_t)l->upto);
    if (store_step(&q)) {
        l->seq = (uint64_t)store_get_i64(&q, "seq");
        l->found = true;
    }
    enum err e = store_finish(&q, NULL, why);
    if (e != OK || !l->found) {
        return e;
    }
    struct arena part;
    arena_init(&part, 0);
    store_begin(&q, tx, &journal_sql_snapshot_parts);
    store_bind_i64(&q, "seq", (int64_t)l->seq);
    while (store_step(&q)) {
        buf_add_slice(&l->bytes, store_get_bytes(&q, "bytes", &part));
        arena_clear(&part);
    }
    e = store_finish(&q, NULL, why);
    arena_free(&part);
    return e;
}

static enum err table_load(struct journal_medium *m, const struct engine_limits *limits,
                           uint64_t upto, struct engine **out, struct why *why)
{
    struct loading l = {.upto = upto < INT64_MAX ? upto : INT64_MAX};
    struct engine *found = NULL;
    enum err e;
    arena_init(&l.arena, 0);
    buf_init(&l.bytes, &l.arena, PART_BYTES);
    do {
        e = store_read(table_of(m)->store, load, &l, why);
        if (e == OK && l.found) {
            found = journal_snapshot_decode(buf_slice(&l.bytes), limits);
            l.upto = l.seq - 1; /* damaged: the one before serves */
        }
    } while (e == OK && l.found && found == NULL && l.seq > 0);
    arena_free(&l.arena);
    if (e == OK) {
        *out = found != NULL ? found : engine_new(limits);
    }
    return e;
}

static void table_close(struct journal_medium *m)
{
    mem_free(table_of(m));
}

struct journal_medium *journal_table_open(struct store *store, const struct store_hold *hold)
{
    struct table *t = mem_alloc(sizeof *t);
    *t = (struct table){.medium = {.limits = table_limits,
                                   .load = table_load,
                                   .scan = table_scan,
                                   .begin_append = table_begin_append,
                                   .append = table_append,
                                   .save = table_save,
                                   .close = table_close},
                        .store = store,
                        .hold = hold != NULL ? *hold : (struct store_hold){0}};
    return &t->medium;
}
