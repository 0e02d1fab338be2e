#include "kernel/store/store_repair.h"

#include "kernel/base/check.h"
#include "kernel/store/store_private.h"
#include "kernel/store/store_sql.h"

static enum err run_plain(struct store_tx *tx, const struct store_statement *s, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, s);
    return store_finish(&q, NULL, why);
}

enum err store_repair_begin(struct store_tx *tx, struct why *why)
{
    ASSERT(tx == store_tx_current() && tx->writes && !tx->undo_open);
    return run_plain(tx, &store_sql_undo_mark, why);
}

enum err store_repair_end(struct store_tx *tx, struct why *why)
{
    return run_plain(tx, &store_sql_undo_unmark, why);
}

static enum err run_text(struct store_tx *tx, const struct store_table *table, struct slice text,
                         struct arena *scratch, struct why *why)
{
    int64_t changed = 0;
    struct why detail = {0};
    enum err e =
        tx->store->driver->run_script(tx->conn, slice_cstr(scratch, text), &changed, &detail);
    if (e == OK && changed != 1) {
        e = why_set(&detail, ERR_CORRUPT, NULL, "A repair of %s changed %lld rows instead of one.",
                    table->name, (long long)changed);
    }
    if (e != OK) {
        store_tx_fail(tx, e, &detail);
        why_set(why, e, NULL, "%s", why_text(&detail, e));
    }
    return e;
}

static enum err repair(struct store_tx *tx, const struct store_table *table,
                       const struct store_cell *right, const struct store_cell *wrong,
                       const bool *differs, struct why *why)
{
    struct arena scratch;
    struct slice text;
    ASSERT(tx == store_tx_current() && tx->writes && !tx->undo_open);
    arena_init(&scratch, 0);
    enum err e = store_repair_text(!tx->store->driver->single_writer, &scratch, table, right, wrong,
                                   differs, &text, why);
    if (e == OK) {
        e = run_text(tx, table, text, &scratch, why);
    }
    arena_free(&scratch);
    return e;
}

enum err store_repair_update(struct store_tx *tx, const struct store_table *table,
                             const struct store_cell *row, const bool *differs, struct why *why)
{
    return repair(tx, table, row, row, differs, why);
}

enum err store_repair_delete(struct store_tx *tx, const struct store_table *table,
                             const struct store_cell *row, struct why *why)
{
    return repair(tx, table, NULL, row, NULL, why);
}

static const struct store_table *find_table(const struct store_catalog *catalog, const char *name)
{
    for (uint16_t i = 0; i < catalog->table_count; i++) {
        if (strcmp(catalog->tables[i].name, name) == 0) {
            return &catalog->tables[i];
        }
    }
    return NULL;
}

enum err store_undo_note(struct store_tx *tx, const char *table, const struct store_named *before,
                         size_t count, struct why *why)
{
    const struct store_table *t = find_table(tx->store->catalog, table);
    struct store_cell cells[STORE_FIELDS_MAX] = {{0}};
    bool differs[STORE_FIELDS_MAX] = {false};
    struct arena scratch;
    struct slice text;
    size_t known = 0;
    ASSERT(tx == store_tx_current() && tx->undo_open && t != NULL);
    for (uint16_t i = 0; i < t->column_count; i++) {
        for (size_t k = 0; k < count; k++) {
            if (strcmp(t->columns[i].name, before[k].column) == 0) {
                cells[i] = before[k].cell;
                differs[i] = true; /* of these the text leaves out the key */
                known++;
            }
        }
    }
    ASSERT(known == count);
    arena_init(&scratch, 0);
    enum err e = store_repair_text(!tx->store->driver->single_writer, &scratch, t, cells, cells,
                                   differs, &text, why);
    if (e == OK) {
        struct store_query q;
        store_begin(&q, tx, &store_sql_undo_add);
        store_bind_i64(&q, "chain_id", (int64_t)tx->undo_chain);
        store_bind_i64(&q, "block_number", (int64_t)tx->undo_block);
        store_bind_text(&q, "statement", text);
        e = store_finish(&q, NULL, why);
    }
    arena_free(&scratch);
    return e;
}

enum err store_undo_subject(const struct store_catalog *catalog, struct slice statement,
                            const struct store_table **out, struct why *why)
{
    /* The name is the first thing between double quotes. */
    ptrdiff_t from = slice_find(statement, '"');
    struct slice rest =
        from < 0 ? SLICE_EMPTY : slice_sub(statement, (size_t)from + 1, statement.len);
    ptrdiff_t to = slice_find(rest, '"');
    for (uint16_t i = 0; to > 0 && i < catalog->table_count; i++) {
        if (slice_equal_text(slice_sub(rest, 0, (size_t)to), catalog->tables[i].name)) {
            *out = &catalog->tables[i];
            return OK;
        }
    }
    return why_set(why, ERR_CORRUPT, NULL, "An inverse of the undo log names no table of ours.");
}
