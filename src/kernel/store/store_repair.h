/*
 * store_repair.h: rows of any table, set right by their key.
 *
 * For what compares rows with what they should be, whichever table they are of. Between
 * store_repair_begin and store_repair_end the triggers that guard booked transfers let changes pass
 * (decision 0010): that is a human's decision, and belongs into the audit log. Nothing is written
 * to the undo log.
 *
 * Threads: inside one transaction function.
 */
#ifndef KERNEL_STORE_STORE_REPAIR_H
#define KERNEL_STORE_STORE_REPAIR_H

#include "kernel/store/store.h"

/* A value of a column, by the column's type: i64 for I64, BOOL and TIME. */
struct store_cell {
    bool is_null;
    int64_t i64;
    struct slice bytes;
    struct u256 u256;
};

/* store_repair_begin lets the guards pass what follows. Errors: of the store. */
enum err store_repair_begin(struct store_tx *tx, struct why *why) ERR_CHECKED;
/* store_repair_end ends that, before anybody else can see it. Errors: of the store. */
enum err store_repair_end(struct store_tx *tx, struct why *why) ERR_CHECKED;

/*
 * store_repair_update gives the row that has the key of `row` the values of the columns that
 * `differs` names. Errors: ERR_CORRUPT (it is not exactly one row), of the store.
 */
enum err store_repair_update(struct store_tx *tx, const struct store_table *table,
                             const struct store_cell *row, const bool *differs,
                             struct why *why) ERR_CHECKED;
/* store_repair_delete deletes the row that has the key of `row`. Errors: as store_repair_update. */
enum err store_repair_delete(struct store_tx *tx, const struct store_table *table,
                             const struct store_cell *row, struct why *why) ERR_CHECKED;

/* A column's value by its name. */
struct store_named {
    const char *column;
    struct store_cell cell;
};

/*
 * store_undo_note adds to the open step the inverse of a change in a table that has no triggers for
 * it: that the row with the key among `before` had the other values of it. Errors: of the store.
 */
enum err store_undo_note(struct store_tx *tx, const char *table, const struct store_named *before,
                         size_t count, struct why *why) ERR_CHECKED;

/*
 * store_undo_subject finds the table that an inverse of the undo log is about, in the words of
 * either database. Errors: ERR_CORRUPT.
 */
enum err store_undo_subject(const struct store_catalog *catalog, struct slice statement,
                            const struct store_table **out, struct why *why) ERR_CHECKED;

#endif
