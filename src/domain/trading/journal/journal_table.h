/*
 * journal_table.h: a journal in the database, which several processes share and one writes.
 *
 * A block is a row of trading_journal: the bytes that a file would have, so that a damaged record
 * is named and blocks cannot be exchanged here either. A group of commands is one transaction,
 * which begins with a look at the lease of the venue (store_lease.h): what a process writes after
 * another one has taken over is refused with ERR_FENCED, and ends its journal. A block is added
 * only where the last one ends, whoever asks.
 *
 *   owner:  journal_append ─▶ group ─▶ one row, committed ─▶ durable ─▶ its events may leave
 *   dies:   its lease runs out, or is given back
 *   next:   gets the lease, journal_open: newest snapshot, the rest of the rows, goes on
 *
 * Everything that was acknowledged was committed, so the next owner has it. What the late owner had
 * appended and not committed was acknowledged to nobody; a commit whose answer was lost is there
 * and was acknowledged to nobody either. Nothing is tried again here: a transaction that failed
 * ends the journal, and opening anew finds out what is there.
 *
 * Snapshots are rows too, two are kept. On SQLite there is one process and the lease is always had.
 */
#ifndef DOMAIN_TRADING_JOURNAL_JOURNAL_TABLE_H
#define DOMAIN_TRADING_JOURNAL_JOURNAL_TABLE_H

#include "domain/trading/journal/journal_medium.h"
#include "kernel/store/store_lease.h"

#define JOURNAL_LEASE "trading/journal"

/*
 * journal_table_open makes the tables of a store a medium. `hold` is of JOURNAL_LEASE, by whoever
 * will append; NULL: it is only read. Owns: the caller, until a journal takes it.
 */
struct journal_medium *journal_table_open(struct store *store, const struct store_hold *hold);

#endif
