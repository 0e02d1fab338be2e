#include "kernel/base/check.h"
#include "kernel/ops/ops_reindex_internal.h"
#include "kernel/ops/ops_reindex_sql.h"
#include "kernel/store/store_repair.h"

/* ---- the audit log ---- */

static const struct audit_action actions[] = {
    {"chain.reindexed", "What follows from the chain was built again and compared; details say how "
                        "many rows differed, and whether they were set right."},
};

struct audit_table ops_reindex_audit_table(void)
{
    return (struct audit_table){actions, sizeof actions / sizeof actions[0]};
}

enum err reindex_record(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct reindex *r = ctx;
    char subject[40];
    char details[160];
    bool good = r->report.differing == 0 || r->report.written;
    (void)snprintf(subject, sizeof subject, "chain/%llu", (unsigned long long)r->options->chain_id);
    (void)snprintf(details, sizeof details,
                   "{\"block\":%llu,\"differing\":%llu,\"rows\":%llu,\"written\":%s}",
                   (unsigned long long)r->report.block, (unsigned long long)r->report.differing,
                   (unsigned long long)r->report.rows, r->report.written ? "true" : "false");
    const struct audit_entry entry = {
        .action = &actions[0],
        .actor_kind = AUDIT_OPERATOR,
        .actor = r->options->by,
        .subject = slice_text(subject),
        .outcome = good ? AUDIT_DONE : AUDIT_FAILED,
        .details = slice_text(details),
    };
    return audit_write(tx, &entry, why);
}

/* ---- the cursor ---- */

enum err reindex_position_read(struct store_tx *tx, uint64_t chain_id, struct reindex_position *out,
                               struct why *why)
{
    struct reindex_position p = {0};
    struct arena scratch;
    struct store_query q;
    arena_init(&scratch, 1024);
    store_begin(&q, tx, &ops_reindex_sql_cursor_get);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    if (store_step(&q)) {
        p.found = true;
        p.block = (uint64_t)store_get_i64(&q, "block_number");
        store_get_fixed(&q, "block_hash", p.hash.bytes, HASH_BYTES);
        struct slice halted = store_get_text(&q, "halted_why", &scratch);
        (void)snprintf(p.halted_why, sizeof p.halted_why, "%.*s", SLICE_ARG(halted));
    }
    enum err e = store_finish(&q, NULL, why);
    arena_free(&scratch);
    if (e == OK) {
        *out = p;
    }
    return e;
}

static enum err moved(struct why *why)
{
    return why_set(
        why, ERR_CONFLICT, NULL,
        "the chain moved on each time when its rows were about to be compared: try again "
        "when it is quieter");
}

static enum err hold_cursor(struct store_tx *tx, const struct reindex *r, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &ops_reindex_sql_cursor_hold);
    store_bind_i64(&q, "chain_id", (int64_t)r->options->chain_id);
    store_bind_i64(&q, "block_number", (int64_t)r->live.block);
    store_bind_bytes(&q, "block_hash", hash_slice(&r->live.hash));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    return e == OK && changed != 1 ? moved(why) : e;
}

/* ---- comparing ---- */

bool reindex_is_linked(const struct reindex *r, const struct store_table *table)
{
    for (const char *const *name = r->options->linked; *name != NULL; name++) {
        if (strcmp(*name, table->name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_named(const struct store_table *table, const char *name)
{
    return strcmp(table->name, name) == 0;
}

static bool is_compared(const struct reindex *r, const struct store_table *table)
{
    return (table->projection && !reindex_is_linked(r, table)) ||
           is_named(table, "blockchain_events") || is_named(table, "chain_blocks");
}

static int64_t time_of(const struct store_table *table, const struct backup_row *row)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i].name, "created_at") == 0) {
            return row->values[i].i64;
        }
    }
    return INT64_MAX;
}

/* What differs as it should: how far back is remembered, and events that were let go. */
static bool is_excused(const struct reindex *r, const struct reindex_difference *d)
{
    int64_t kept = r->options->event_retention_usec;
    if (is_named(d->table, "chain_blocks")) {
        return !r->halted && d->finding != REINDEX_ALTERED;
    }
    return is_named(d->table, "blockchain_events") && d->finding == REINDEX_MISSING && kept > 0 &&
           time_of(d->table, &d->should) < clock_wall_usec() - kept;
}

static struct slice say(struct reindex *r, const struct reindex_difference *d)
{
    bool differs[64] = {false};
    struct buf text;
    if (d->finding != REINDEX_ALTERED) {
        return d->finding == REINDEX_MISSING ? SLICE_LIT("is missing")
                                             : SLICE_LIT("should not be there");
    }
    buf_init(&text, r->arena, 128);
    if (reindex_differs(d, &r->pass, differs, NULL) != OK) {
        return SLICE_LIT("cannot be read");
    }
    for (uint16_t i = 0; i < d->table->column_count; i++) {
        const struct store_column *column = &d->table->columns[i];
        if (differs[i]) {
            buf_format(&text, "%s%s is ", buf_slice(&text).len > 0 ? ", " : "", column->name);
            reindex_value(&text, column, &d->is.values[i]);
            buf_add_text(&text, " and should be ");
            reindex_value(&text, column, &d->should.values[i]);
        }
    }
    return buf_slice(&text);
}

/* Drops what is excused of the differences from `before` on, and counts the rest. */
static void count(struct reindex *r, size_t before, struct ops_reindex_table *t)
{
    size_t kept = before;
    for (size_t i = before; i < r->differences.count; i++) {
        const struct reindex_difference *d = &r->differences.at[i];
        if (is_excused(r, d)) {
            continue;
        }
        t->missing += d->finding == REINDEX_MISSING;
        t->extra += d->finding == REINDEX_EXTRA;
        t->altered += d->finding == REINDEX_ALTERED;
        if (r->report.shown_count < OPS_REINDEX_SHOWN) {
            r->report.shown[r->report.shown_count++] = (struct ops_reindex_row){
                .table = d->table->name,
                .key = slice_copy(r->arena, d->key),
                .what = say(r, d),
            };
        }
        r->differences.at[kept++] = *d;
    }
    r->differences.count = kept;
    r->report.rows += t->rows;
    r->report.differing += t->missing + t->extra + t->altered;
}

static void begin_report(struct reindex *r)
{
    arena_clear(&r->pass);
    r->differences = (struct reindex_differences){0};
    r->report = (struct ops_reindex_report){.block = r->built.block, .hash = r->built.hash};
    r->report.tables = arena_alloc_array(r->arena, (size_t)r->options->catalog->table_count + 1,
                                         sizeof *r->report.tables);
}

static enum err compare_tables(struct store_tx *tx, struct reindex *r, struct why *why)
{
    const struct ops_reindex_options *o = r->options;
    enum err e = OK;
    begin_report(r);
    for (uint16_t i = 0; e == OK && i < o->catalog->table_count; i++) {
        const struct store_table *table = &o->catalog->tables[i];
        if (!is_compared(r, table)) {
            continue;
        }
        struct ops_reindex_table *t = &r->report.tables[r->report.table_count++];
        size_t before = r->differences.count;
        *t = (struct ops_reindex_table){.name = table->name};
        e = reindex_compare(tx, o->live, o->shadow, table, o->chain_id, &r->pass, &r->differences,
                            &t->rows, why);
        if (e == OK) {
            count(r, before, t);
        }
    }
    return e;
}

/* ---- the undo log ---- */

struct undo_entry {
    int64_t seq;
    uint64_t block;
    struct slice statement;
};

struct undo_list {
    const struct reindex *r;
    struct arena *arena;
    uint64_t from;
    struct undo_entry *at; /* of tables that follow from the chain alone */
    size_t count;
    size_t cap;
};

#define UNDO_PAGE 1024

static enum err read_first(struct store_tx *tx, void *ctx, struct why *why)
{
    struct undo_list *list = ctx;
    struct store_query q;
    store_begin(&q, tx, &ops_reindex_sql_undo_first);
    store_bind_i64(&q, "chain_id", (int64_t)list->r->options->chain_id);
    if (store_step(&q)) {
        list->from = (uint64_t)store_get_i64(&q, "block_number");
    }
    return store_finish(&q, NULL, why);
}

static enum err take_entry(struct undo_list *list, const struct undo_entry *entry, struct why *why)
{
    const struct store_table *table = NULL;
    enum err e = store_undo_subject(list->r->options->catalog, entry->statement, &table, why);
    if (e != OK || reindex_is_linked(list->r, table)) {
        return e;
    }
    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? 2 * list->cap : 256;
        list->at = mem_resize(list->at, list->cap * sizeof list->at[0]);
    }
    list->at[list->count++] = *entry;
    return OK;
}

static enum err read_undo(struct store_tx *tx, void *ctx, struct why *why)
{
    struct undo_list *list = ctx;
    enum err e = OK;
    int64_t after = -1;
    size_t got = UNDO_PAGE;
    list->count = 0;
    while (e == OK && got == UNDO_PAGE) {
        struct store_query q;
        store_begin(&q, tx, &ops_reindex_sql_undo_list);
        store_bind_i64(&q, "chain_id", (int64_t)list->r->options->chain_id);
        store_bind_i64(&q, "from_block", (int64_t)list->from);
        store_bind_i64(&q, "after_seq", after);
        store_bind_i64(&q, "max_rows", UNDO_PAGE);
        for (got = 0; e == OK && store_step(&q); got++) {
            struct undo_entry entry = {.seq = store_get_i64(&q, "seq")};
            entry.block = (uint64_t)store_get_i64(&q, "block_number");
            entry.statement = store_get_text(&q, "statement", list->arena);
            after = entry.seq;
            e = take_entry(list, &entry, why);
        }
        enum err finished = store_finish(&q, NULL, e == OK ? why : NULL);
        e = e != OK ? e : finished;
    }
    return e;
}

static size_t count_unequal(const struct undo_list *a, const struct undo_list *b)
{
    size_t common = a->count < b->count ? a->count : b->count;
    size_t unequal = a->count > b->count ? a->count - common : b->count - common;
    for (size_t i = 0; i < common; i++) {
        unequal += a->at[i].block != b->at[i].block ||
                   !slice_equal(a->at[i].statement, b->at[i].statement);
    }
    return unequal;
}

static enum err replace_undo(struct store_tx *tx, const struct undo_list *is,
                             const struct undo_list *should, struct why *why)
{
    enum err e = OK;
    struct store_query q;
    for (size_t i = 0; e == OK && i < is->count; i++) {
        store_begin(&q, tx, &ops_reindex_sql_undo_drop);
        store_bind_i64(&q, "seq", is->at[i].seq);
        e = store_finish(&q, NULL, why);
    }
    /* Those of tables that users own stay before them: no table of the one kind refers to one of
     * the other, so that it does not matter which of the two is undone first. */
    for (size_t i = 0; e == OK && i < should->count; i++) {
        store_begin(&q, tx, &ops_reindex_sql_undo_add);
        store_bind_i64(&q, "chain_id", (int64_t)should->r->options->chain_id);
        store_bind_i64(&q, "block_number", (int64_t)should->at[i].block);
        store_bind_text(&q, "statement", should->at[i].statement);
        e = store_finish(&q, NULL, why);
    }
    return e;
}

/* Compares the inverses as far back as both have them, and replaces those that are not right. */
static enum err see_to_undo(struct store_tx *tx, struct reindex *r, bool writes, struct why *why)
{
    struct undo_list is = {.r = r, .arena = &r->pass};
    struct undo_list should = {.r = r, .arena = &r->pass};
    enum err e = read_first(tx, &is, why);
    if (e == OK) {
        e = reindex_elsewhere(store_read, r->options->shadow, read_first, &should, why);
    }
    uint64_t from = is.from > should.from ? is.from : should.from;
    is.from = should.from = r->halted ? 0 : from;
    if (e == OK) {
        e = read_undo(tx, &is, why);
    }
    if (e == OK) {
        e = reindex_elsewhere(store_read, r->options->shadow, read_undo, &should, why);
    }
    size_t unequal = e == OK ? count_unequal(&is, &should) : 0;
    if (e == OK) {
        struct ops_reindex_table *t = &r->report.tables[r->report.table_count++];
        *t = (struct ops_reindex_table){.name = "undo_log", .rows = is.count, .altered = unequal};
        r->report.rows += is.count;
        r->report.differing += unequal;
    }
    if (e == OK && unequal > 0 && writes) {
        e = replace_undo(tx, &is, &should, why);
    }
    mem_free(is.at);
    mem_free(should.at);
    return e;
}

enum err reindex_compare_all(struct store_tx *tx, void *ctx, struct why *why)
{
    struct reindex *r = ctx;
    struct reindex_position now;
    enum err e = reindex_position_read(tx, r->options->chain_id, &now, why);
    if (e == OK && (now.block != r->built.block || !hash_equal(&now.hash, &r->built.hash))) {
        return moved(why);
    }
    e = e == OK ? compare_tables(tx, r, why) : e;
    return e == OK ? see_to_undo(tx, r, false, why) : e;
}

/* ---- setting right ---- */

static struct store_cell *cells_of(const struct store_table *table, const struct backup_row *row,
                                   struct arena *arena)
{
    struct store_cell *cells = arena_alloc_array(arena, table->column_count, sizeof *cells);
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct backup_value *v = &row->values[i];
        cells[i] = (struct store_cell){v->is_null, v->i64, v->bytes, v->u256};
    }
    return cells;
}

static enum err insert_row(struct store_tx *tx, struct reindex *r,
                           const struct reindex_difference *d, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, d->table->insert);
    enum err e = backup_row_bind(&q, r->options->live, d->table, &d->should, &r->pass, why);
    enum err finished = store_finish(&q, NULL, e == OK ? why : NULL);
    return e != OK ? e : finished;
}

static enum err delete_row(struct store_tx *tx, struct reindex *r,
                           const struct reindex_difference *d, struct why *why)
{
    return store_repair_delete(tx, d->table, cells_of(d->table, &d->is, &r->pass), why);
}

static enum err update_row(struct store_tx *tx, struct reindex *r,
                           const struct reindex_difference *d, struct why *why)
{
    bool differs[64] = {false};
    enum err e = reindex_differs(d, &r->pass, differs, why);
    return e == OK ? store_repair_update(tx, d->table, cells_of(d->table, &d->should, &r->pass),
                                         differs, why)
                   : e;
}

enum phase {
    EVENTS_GO, /* their place never changes, so that altered ones go and come again */
    EVENTS_COME,
    ROWS_COME, /* referenced tables come first */
    ROWS_GO,   /* and go last */
    PHASES,
};

static enum err set_right(struct store_tx *tx, struct reindex *r,
                          const struct reindex_difference *d, enum phase phase, struct why *why)
{
    bool event = is_named(d->table, "blockchain_events");
    switch (phase) {
    case EVENTS_GO:
        return event && d->finding != REINDEX_MISSING ? delete_row(tx, r, d, why) : OK;
    case EVENTS_COME:
        return event && d->finding != REINDEX_EXTRA ? insert_row(tx, r, d, why) : OK;
    case ROWS_COME:
        if (event || d->finding == REINDEX_EXTRA) {
            return OK;
        }
        return d->finding == REINDEX_MISSING ? insert_row(tx, r, d, why)
                                             : update_row(tx, r, d, why);
    case ROWS_GO:
        return !event && d->finding == REINDEX_EXTRA ? delete_row(tx, r, d, why) : OK;
    case PHASES:
        break;
    }
    return OK;
}

static enum err set_all_right(struct store_tx *tx, struct reindex *r, struct why *why)
{
    size_t count = r->differences.count;
    enum err e = store_repair_begin(tx, why);
    for (enum phase phase = EVENTS_GO; phase < PHASES; phase++) {
        for (size_t i = 0; e == OK && i < count; i++) {
            size_t at = phase == ROWS_GO ? count - 1 - i : i;
            e = set_right(tx, r, &r->differences.at[at], phase, why);
        }
    }
    return e == OK ? store_repair_end(tx, why) : e;
}

/* The cursor goes to the block that the rows are of, and the chain goes on from there. */
static enum err let_go_on(struct store_tx *tx, struct reindex *r, struct why *why)
{
    const struct ops_reindex_options *o = r->options;
    enum err e = o->unlink(tx, o->unlink_ctx, o->chain_id, r->built.block, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &ops_reindex_sql_cursor_put);
    store_bind_i64(&q, "chain_id", (int64_t)o->chain_id);
    store_bind_i64(&q, "block_number", (int64_t)r->built.block);
    store_bind_bytes(&q, "block_hash", hash_slice(&r->built.hash));
    store_bind_time(&q, "now", clock_wall_usec());
    r->report.resumed = true;
    return store_finish(&q, NULL, why);
}

enum err reindex_write(struct store_tx *tx, void *ctx, struct why *why)
{
    struct reindex *r = ctx;
    uint64_t undone = 0;
    /* Held rows cannot change: nothing here has to be judged against what others do. */
    store_read_committed(tx);
    enum err e = hold_cursor(tx, r, why);
    if (e == OK && r->halted) {
        e = store_undo_rollback(tx, r->options->chain_id, r->built.block + 1, &undone, why);
    }
    if (e == OK) {
        e = compare_tables(tx, r, why);
    }
    if (e == OK) {
        e = set_all_right(tx, r, why);
    }
    if (e == OK) {
        e = see_to_undo(tx, r, true, why);
    }
    if (e == OK && r->halted) {
        e = let_go_on(tx, r, why);
    }
    if (e == OK) {
        r->report.written = true;
        store_notify(tx, "chain");
        store_notify(tx, "chain_poke");
        store_notify(tx, "chain_reorg");
        store_notify(tx, "relay");
        e = reindex_record(tx, r, why);
    }
    return e;
}
