/*
 * ops_reindex_internal.h: what the files of rebuilding share. Private to this folder.
 *
 *   ops_reindex.c        building, and when both sides are at one block
 *   ops_reindex_rows.c   in what the rows of one table differ
 *   ops_reindex_write.c  comparing everything, setting it right, the undo log, the record of it
 *   ops_reindex_copy.c   a shadow that begins with the rows as they were before a block
 */
#ifndef KERNEL_OPS_OPS_REINDEX_INTERNAL_H
#define KERNEL_OPS_OPS_REINDEX_INTERNAL_H

#include "kernel/ops/ops_reindex.h"
#include "kernel/ops/ops_reindex_rows.h"

struct reindex_position {
    bool found;
    uint64_t block;
    struct hash hash;
    char halted_why[WHY_TEXT_MAX];
};

struct reindex {
    const struct ops_reindex_options *options;
    struct arena *arena; /* of the caller: what the report shows */
    struct arena pass;   /* of one comparison */
    bool halted;         /* the installation's chain is, and shall go on */
    struct reindex_position live;
    struct reindex_position built;
    struct reindex_differences differences;
    struct ops_reindex_report report;
};

/* reindex_position_read reads a cursor. Errors: of the store. */
enum err reindex_position_read(struct store_tx *tx, uint64_t chain_id, struct reindex_position *out,
                               struct why *why) ERR_CHECKED;

/* reindex_is_linked says whether users own the rows of a table. */
bool reindex_is_linked(const struct reindex *r, const struct store_table *table);

/*
 * The functions of transactions of the installation; `ctx` is the run. Errors: ERR_CONFLICT (the
 * cursor has moved), of the stores.
 */
/* reindex_compare_all compares all tables, and fills the report. */
enum err reindex_compare_all(struct store_tx *tx, void *ctx, struct why *why) ERR_CHECKED;
/* reindex_write holds the cursor, compares, and sets right what differs. */
enum err reindex_write(struct store_tx *tx, void *ctx, struct why *why) ERR_CHECKED;
/* reindex_record writes down what was found. */
enum err reindex_record(struct store_tx *tx, void *ctx, struct why *why) ERR_CHECKED;

/*
 * reindex_take_over fills the empty shadow with the rows of the installation, and takes back there
 * what blocks from `from` on had done. Errors: ERR_CONFLICT (too old), of the stores.
 */
enum err reindex_take_over(struct reindex *r, struct why *why) ERR_CHECKED;

#endif
