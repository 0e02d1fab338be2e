/*
 * ops_reindex_rows.h: in what the rows of two databases differ that should follow from one chain.
 * Private to this folder.
 *
 * The one side is read in a transaction of the caller, the other, which nobody writes to meanwhile,
 * on threads of its own. In what order a database sorts text is its own affair, so that rows are
 * not merged as they come: of each row a hash of its key and one of all of it are kept, 32 bytes,
 * for one table at a time; the rows themselves only where they differ.
 *
 * Rows of other chains are left out: those whose column `chain_id`, or `origin` in the ledger, is
 * another.
 */
#ifndef KERNEL_OPS_OPS_REINDEX_ROWS_H
#define KERNEL_OPS_OPS_REINDEX_ROWS_H

#include "kernel/backup/backup_row.h"
#include "kernel/store/store.h"

enum reindex_finding {
    REINDEX_MISSING, /* the row should be there */
    REINDEX_EXTRA,   /* it should not */
    REINDEX_ALTERED, /* its columns should be others */
};

struct reindex_difference {
    const struct store_table *table;
    enum reindex_finding finding;
    uint8_t mark[16]; /* of its key */
    struct slice key; /* for people: "token 0x… holder 0x…" */
    struct backup_row is;
    struct backup_row should;
};

struct reindex_differences {
    struct reindex_difference *at;
    size_t count;
    size_t cap;
};

/*
 * reindex_compare appends in what the rows of a table differ, and counts the rows that are there.
 * `tx` is a transaction of `live`. Owns: the arena. Errors: of the stores.
 */
enum err reindex_compare(struct store_tx *tx, struct store *live, struct store *shadow,
                         const struct store_table *table, uint64_t chain_id, struct arena *arena,
                         struct reindex_differences *out, uint64_t *out_rows,
                         struct why *why) ERR_CHECKED;

/* store_read or store_write. */
typedef enum err (*reindex_how_fn)(struct store *store, store_fn fn, void *ctx, struct why *why);

/* reindex_elsewhere is `how` on a thread of its own, for who is in a transaction. */
enum err reindex_elsewhere(reindex_how_fn how, struct store *store, store_fn fn, void *ctx,
                           struct why *why) ERR_CHECKED;

/* Takes a page of rows; they are the page's. */
typedef enum err (*reindex_page_fn)(void *ctx, const struct backup_batch *page, struct why *why);

/* reindex_walk reads a table page by page. Errors: of `visit`, of the store. */
enum err reindex_walk(struct store_tx *tx, const struct store *store,
                      const struct store_table *table, reindex_page_fn visit, void *ctx,
                      struct why *why) ERR_CHECKED;

/* reindex_value appends a value for people. */
void reindex_value(struct buf *out, const struct store_column *column,
                   const struct backup_value *v);

/* reindex_differs says for each column whether the two rows differ there. */
enum err reindex_differs(const struct reindex_difference *d, struct arena *scratch,
                         bool differs[64], struct why *why) ERR_CHECKED;

#endif
