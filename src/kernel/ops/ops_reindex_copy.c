/*
 * A shadow that begins with the installation's rows instead of none: for who believes what is older
 * than a block. They are copied in one snapshot, and the undo log, which is copied too, takes back
 * what later blocks did.
 */
#include "kernel/base/check.h"
#include "kernel/ops/ops_reindex_internal.h"
#include "kernel/ops/ops_reindex_sql.h"

struct copying {
    struct reindex *r;
    const struct backup_batch *page; /* that is being written */
    const struct store_table *table;
    int64_t number;
};

static bool is_copied(const struct store_table *table)
{
    static const char *const names[] = {"blockchain_events", "chain_blocks", "chain_cursors",
                                        "undo_log"};
    bool is = table->projection;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        is = is || strcmp(table->name, names[i]) == 0;
    }
    return is;
}

static enum err write_page(struct store_tx *tx, void *ctx, struct why *why)
{
    struct copying *c = ctx;
    struct arena scratch;
    struct store_query q;
    enum err e = OK;
    arena_init(&scratch, 0);
    store_begin_rows(&q, tx, c->table->insert);
    for (size_t i = 0; e == OK && i < c->page->count; i++) {
        e = backup_row_bind(&q, c->r->options->shadow, c->table, &c->page->rows[i], &scratch, why);
        if (e == OK) {
            store_row(&q);
        }
    }
    enum err finished = store_finish(&q, NULL, e == OK ? why : NULL);
    arena_free(&scratch);
    return e != OK ? e : finished;
}

static enum err copy_page(void *ctx, const struct backup_batch *page, struct why *why)
{
    struct copying *c = ctx;
    c->page = page;
    return page->count > 0
               ? reindex_elsewhere(store_write, c->r->options->shadow, write_page, c, why)
               : OK;
}

static enum err write_number(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct copying *c = ctx;
    struct store_query q;
    store_begin(&q, tx, c->table->renumber);
    store_bind_i64(&q, "number", c->number);
    while (store_step(&q)) {
        (void)store_get_i64(&q, "number");
    }
    return store_finish(&q, NULL, why);
}

/* The database of the shadow goes on numbering where the installation's is. */
static enum err copy_number(struct store_tx *tx, struct copying *c, struct why *why)
{
    if (c->table->number == NULL) {
        return OK;
    }
    struct store_query q;
    store_begin(&q, tx, c->table->number);
    if (store_step(&q)) {
        c->number = store_get_i64(&q, "number");
    }
    enum err e = store_finish_one(&q, "number", why);
    return e == OK ? reindex_elsewhere(store_write, c->r->options->shadow, write_number, c, why)
                   : e;
}

static enum err copy_all(struct store_tx *tx, void *ctx, struct why *why)
{
    struct reindex *r = ctx;
    const struct store_catalog *catalog = r->options->catalog;
    enum err e = OK;
    for (uint16_t i = 0; e == OK && i < catalog->table_count; i++) {
        struct copying c = {.r = r, .table = &catalog->tables[i]};
        if (!is_copied(c.table)) {
            continue;
        }
        e = reindex_walk(tx, r->options->live, c.table, copy_page, &c, why);
        if (e == OK) {
            e = copy_number(tx, &c, why);
        }
    }
    return e;
}

struct oldest {
    uint64_t chain_id;
    uint64_t block;
};

static enum err read_oldest(struct store_tx *tx, void *ctx, struct why *why)
{
    struct oldest *o = ctx;
    struct store_query q;
    store_begin(&q, tx, &ops_reindex_sql_undo_first);
    store_bind_i64(&q, "chain_id", (int64_t)o->chain_id);
    if (store_step(&q)) {
        o->block = (uint64_t)store_get_i64(&q, "block_number");
    }
    return store_finish(&q, NULL, why);
}

enum err reindex_take_over(struct reindex *r, struct why *why)
{
    const struct ops_reindex_options *options = r->options;
    struct oldest oldest = {.chain_id = options->chain_id};
    enum err e = store_read(options->live, read_oldest, &oldest, why);
    if (e == OK && (options->from <= oldest.block || options->from > r->live.block)) {
        return why_set(
            why, ERR_CONFLICT, "from",
            "only what blocks %llu to %llu did can be taken back (chain.undo_depth): say "
            "one of them, or leave --from out to build everything",
            (unsigned long long)oldest.block + 1, (unsigned long long)r->live.block);
    }
    if (e == OK) {
        e = store_read(options->live, copy_all, r, why);
    }
    return e == OK
               ? chain_resume(options->shadow, options->chain_id, options->from, options->by, why)
               : e;
}
