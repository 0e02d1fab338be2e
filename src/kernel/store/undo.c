/*
 * The undo log. The triggers that fill it come with the migrations (tools/gen-sql); here a step is
 * opened and closed, and its inverses are run.
 *
 * Inverses run newest first, so that each finds the tables as they were right after the change
 * that it reverts, apart from columns that others own; it must touch exactly one row.
 */
#include "kernel/base/check.h"
#include "kernel/store/store_private.h"
#include "kernel/store/store_sql.h"

/* Inverses in memory at a time; each may hold a whole row. */
#define UNDO_PAGE 256

/* Numbers come from nodes and configuration; the database counts to 2^63 - 1. */
static enum err check_range(uint64_t chain_id, uint64_t block_number, struct why *why)
{
    if (chain_id > INT64_MAX || block_number > INT64_MAX) {
        return why_set(why, ERR_OVERFLOW, chain_id > INT64_MAX ? "chain_id" : "block_number",
                       "A chain id or block number does not fit 63 bits.");
    }
    return OK;
}

enum err store_undo_begin(struct store_tx *tx, uint64_t chain_id, uint64_t block_number,
                          struct why *why)
{
    ASSERT(tx == store_tx_current() && !tx->undo_open);
    enum err e = check_range(chain_id, block_number, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &store_sql_undo_begin);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_i64(&q, "block_number", (int64_t)block_number);
    e = store_finish(&q, NULL, why);
    tx->undo_open = e == OK;
    tx->undo_chain = chain_id;
    tx->undo_block = block_number;
    return e;
}

enum err store_undo_end(struct store_tx *tx, struct why *why)
{
    ASSERT(tx == store_tx_current() && tx->undo_open);
    struct store_query q;
    store_begin(&q, tx, &store_sql_undo_end);
    enum err e = store_finish(&q, NULL, why);
    tx->undo_open = e != OK;
    return e;
}

uint64_t store_undo_chain(const struct store_tx *tx)
{
    return tx->undo_open ? tx->undo_chain : 0;
}

struct inverse {
    int64_t seq;
    const char *statement;
};

static enum err list_inverses(struct store_tx *tx, int64_t chain_id, int64_t from_block,
                              struct arena *scratch, struct inverse *out, size_t *out_count,
                              struct why *why)
{
    struct store_query q;
    size_t count = 0;
    store_begin(&q, tx, &store_sql_undo_list);
    store_bind_i64(&q, "chain_id", chain_id);
    store_bind_i64(&q, "from_block", from_block);
    store_bind_i64(&q, "limit", UNDO_PAGE);
    while (store_step(&q)) {
        ASSERT(count < UNDO_PAGE);
        out[count].seq = store_get_i64(&q, "seq");
        out[count].statement = slice_cstr(scratch, store_get_text(&q, "statement", scratch));
        count++;
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_count = count;
    }
    return e;
}

static enum err run_inverse(struct store_tx *tx, const struct inverse *inverse, struct why *why)
{
    int64_t changed = 0;
    struct why detail = {0};
    enum err e = tx->store->driver->run_script(tx->conn, inverse->statement, &changed, &detail);
    if (e == OK && changed != 1) {
        e = why_set(&detail, ERR_CORRUPT, NULL,
                    "Undo record %lld reverts %lld rows instead of one: a projection was changed "
                    "outside of its chain.",
                    (long long)inverse->seq, (long long)changed);
    }
    if (e != OK) {
        store_tx_fail(tx, e, &detail);
        why_set(why, e, NULL, "%s", why_text(&detail, e));
    }
    return e;
}

static enum err drop_inverses(struct store_tx *tx, int64_t chain_id, int64_t from_block,
                              int64_t from_seq, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &store_sql_undo_drop);
    store_bind_i64(&q, "chain_id", chain_id);
    store_bind_i64(&q, "from_block", from_block);
    store_bind_i64(&q, "from_seq", from_seq);
    return store_finish(&q, NULL, why);
}

/* Reverts up to a page of changes, the newest ones. */
static enum err rollback_page(struct store_tx *tx, int64_t chain_id, int64_t from_block,
                              struct arena *scratch, size_t *out_count, struct why *why)
{
    struct inverse *inverses = arena_alloc_array(scratch, UNDO_PAGE, sizeof(*inverses));
    size_t count = 0;
    enum err e = list_inverses(tx, chain_id, from_block, scratch, inverses, &count, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        e = run_inverse(tx, &inverses[i], why);
    }
    if (e == OK && count > 0) {
        e = drop_inverses(tx, chain_id, from_block, inverses[count - 1].seq, why);
    }
    if (e == OK) {
        *out_count = count;
    }
    return e;
}

static enum err run_plain(struct store_tx *tx, const struct store_statement *s, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, s);
    return store_finish(&q, NULL, why);
}

enum err store_undo_rollback(struct store_tx *tx, uint64_t chain_id, uint64_t from_block,
                             uint64_t *out_changes, struct why *why)
{
    ASSERT(tx == store_tx_current() && tx->writes && !tx->undo_open);
    enum err e = check_range(chain_id, from_block, why);
    if (e == OK) {
        e = run_plain(tx, &store_sql_undo_mark, why);
    }
    if (e != OK) {
        return e;
    }
    struct arena scratch;
    arena_init(&scratch, 0);
    uint64_t changes = 0;
    size_t count = UNDO_PAGE;
    while (e == OK && count == UNDO_PAGE) {
        arena_clear(&scratch);
        e = rollback_page(tx, (int64_t)chain_id, (int64_t)from_block, &scratch, &count, why);
        changes += e == OK ? count : 0;
    }
    arena_free(&scratch);
    if (e == OK) {
        e = run_plain(tx, &store_sql_undo_unmark, why);
    }
    if (e == OK && out_changes != NULL) {
        *out_changes = changes;
    }
    return e;
}

enum err store_undo_prune(struct store_tx *tx, uint64_t chain_id, uint64_t below_block,
                          struct why *why)
{
    enum err e = check_range(chain_id, below_block, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &store_sql_undo_prune);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_i64(&q, "below_block", (int64_t)below_block);
    return store_finish(&q, NULL, why);
}
