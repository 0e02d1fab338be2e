/*
 * store_partition.h: tables that grow with time, in a partition a month, on PostgreSQL.
 *
 * A migration makes such a table T with a partition T_default, and says "-- partitioned: T (TIME)".
 * T_pYYYYMM are made here, for this month and the two that come, so that rows find theirs. A row
 * whose month has none (a chain that is read from its beginning, a clock that is wrong) goes to
 * T_default: nothing is refused for the lack of a partition, and the next look makes the partition
 * and moves the rows of its month. A partition of a month that is over and whose rows are all gone
 * is dropped: rows are deleted by those who own them, in short transactions, so that triggers see
 * it.
 *
 * Keys of T contain TIME, because PostgreSQL has no other; who promises more needs a table of keys
 * (migration 11 has one for events).
 *
 * Each partition is made or dropped in a transaction of its own. Processes take turns by an
 * advisory lock; who comes second looks again. T_default is locked while rows are moved and T for a
 * moment while a partition is dropped: who cannot get the lock within `store.busy` answers
 * ERR_DB_BUSY and comes again. A crash leaves the partition made or not.
 *
 * On SQLite there is nothing to do.
 */
#ifndef KERNEL_STORE_STORE_PARTITION_H
#define KERNEL_STORE_STORE_PARTITION_H

#include "kernel/store/store.h"

#define STORE_PARTITION_NAME_MAX 64

struct store_partitions_done {
    uint64_t made;
    uint64_t dropped;
};

/*
 * store_partitions_keep makes and drops the partitions of all partitioned tables of the catalog.
 * `out` counts those of this call, also when it fails. Errors: as store_write.
 */
enum err store_partitions_keep(struct store *store, struct store_partitions_done *out,
                               struct why *why) ERR_CHECKED;

/*
 * store_partitions_missing finds a partition for this month or the next that is not there: its name
 * in `out`, or "". Errors: of the store.
 */
enum err store_partitions_missing(struct store_tx *tx, char out[STORE_PARTITION_NAME_MAX],
                                  struct why *why) ERR_CHECKED;

#endif
