/*
 * ops_reindex.h: builds what follows from a chain a second time, from the chain, and compares.
 *
 * What is built
 *   The whole index once more, in a shadow (store_shadow.h): a follower of its own reads the chain
 *   with every check that the first one does, and its handlers write there and nowhere else. Jobs
 *   that they enqueue lie in the shadow, where nobody runs them; nothing is sent and nobody is
 *   told. The installation works on meanwhile; it is not paused.
 *
 * What is compared, and when
 *   The follower of the shadow never goes beyond the cursor of the installation. When both stand at
 *   the same block of the same hash, each table that follows from the chain alone is compared row
 * by row: the projections of the migrations, and the events. Not the tables whose rows users own
 * and where the chain only sets columns (`linked`): they depend on what we were asked and on when,
 * and reconciling looks after them (ops_reconcile.h). In the ledger those rows that the chain
 * moved. Blocks that are remembered and inverses of the undo log are compared as far back as both
 * have them.
 *
 * Switching over
 *   Where nothing differs there is nothing to do. With `accept` the rows that differ are written as
 *   the shadow has them, and the inverses with them, so that a later reorganisation leads to right
 *   rows too: one transaction, which first holds the cursor, so that nothing is applied in between,
 *   and compares again. Of a chain that is halted, because its fork is older than what can be
 *   undone, the shadow is built to the newest block that both have, `unlink` takes from rows of
 *   users what later blocks had set, and the cursor is put there; from there the installation
 *   follows the chain by itself.
 *
 * Crash points: before that transaction nothing of the installation has changed; the shadow stays
 * and can be gone on with. After it all is done, and the shadow is left over. The next run drops
 * it.
 *
 * Threads: the caller's, and readers of the shadow.
 */
#ifndef KERNEL_OPS_OPS_REINDEX_H
#define KERNEL_OPS_OPS_REINDEX_H

#include "kernel/audit/audit.h"
#include "kernel/chain/chain.h"

/* Differing rows that a report shows; it counts all. */
#define OPS_REINDEX_SHOWN 10

/* Takes from the rows of users what blocks above `block` had set in them. */
typedef enum err (*ops_reindex_unlink_fn)(struct store_tx *tx, void *ctx, uint64_t chain_id,
                                          uint64_t block, struct why *why);

/* Told now and then; `head` is where it has to come to. */
typedef void (*ops_reindex_progress_fn)(void *ctx, uint64_t block, uint64_t head);

struct ops_reindex_options {
    struct store *live;
    struct store *shadow;
    const struct store_catalog *catalog;
    struct chain *chain; /* on the shadow; not started */
    struct rpc_pool *rpc;
    uint64_t chain_id;
    const char *const *linked; /* tables whose rows users own; ends with NULL */
    ops_reindex_unlink_fn unlink;
    void *unlink_ctx;
    int64_t event_retention_usec;
    uint64_t from; /* rows as they were before this block are believed; 0: none are */
    bool accept;
    struct slice by; /* who wants it, for the audit log */
    ops_reindex_progress_fn progress;
    void *progress_ctx;
};

struct ops_reindex_table {
    const char *name;
    uint64_t rows;
    uint64_t missing; /* that should be there */
    uint64_t extra;   /* that should not */
    uint64_t altered;
};

struct ops_reindex_row {
    const char *table;
    struct slice key;
    struct slice what; /* "is missing", "balance is 1 and should be 2" */
};

struct ops_reindex_report {
    struct ops_reindex_table *tables;
    size_t table_count;
    struct ops_reindex_row shown[OPS_REINDEX_SHOWN];
    size_t shown_count;
    uint64_t rows; /* that were compared */
    uint64_t differing;
    uint64_t block; /* at which */
    struct hash hash;
    bool written; /* the rows that differed are right now */
    bool resumed; /* a halted chain goes on from `block` */
};

/*
 * ops_reindex_run builds, compares and, if it may, switches over. Owns: the arena. Errors:
 * ERR_CHAIN_HALTED (and `accept` was not said), ERR_NOT_FOUND (the chain was not followed yet),
 * ERR_CONFLICT (`from` is too old; the chain never stood still), of nodes and stores.
 */
enum err ops_reindex_run(const struct ops_reindex_options *options, struct arena *arena,
                         struct ops_reindex_report *out, struct why *why) ERR_CHECKED;

/* ops_reindex_audit_table has the actions that this records (kernel/audit/audit.h). */
struct audit_table ops_reindex_audit_table(void);

#endif
