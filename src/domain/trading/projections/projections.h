/*
 * projections.h: what is read of the matching engine, as rows: trades, orders, balances and the
 * ledger's transfers, books with their numbered changes, candles, statistics of 24 hours.
 *
 *     engine ──events──▶ projections_event ──memory──▶ projections_flush ──one transaction──▶ rows
 *
 * Everything follows from the events of the engine (event.h) and nothing else, and whatever is
 * written is as of one command: the transaction that writes a batch also moves trading_cursor to
 * the last command of it. So each command is in the rows exactly once, whenever the process is
 * killed, and the rows do not depend on where batches began and ended: a database that was written
 * in any number of pieces, by any number of processes one after another, equals one that is made at
 * once from the journal (tests/unit/domain/trading/projections compares them row by row).
 *
 * Who applies events gives those of commands behind projections_seq, each once and in order. The
 * cursor's row is compared when it is moved: a second writer fails with ERR_CONFLICT and has
 * written nothing.
 *
 * Rows (src/app/migrations/0014_trading.sql)
 *
 *   trades       one for each trade, never changed: a whole settlement with both fees.
 *   movements    deposits, transfers, holds and their ends.
 *   orders       one for each that was accepted; total = filled + open + cancelled + prevented.
 *                An order that rests has a place: places order the queue of a price (L3).
 *   balances     total and locked; what an order locks is told when it rests.
 *   levels       the book by price (L2).
 *   deltas       the newest PROJECTIONS_DELTAS_KEPT changes of each book.
 *   candles      of 1, 5 and 15 minutes, 1 and 4 hours, 1 day; begin at multiples since 1970.
 *   statistics   of the minute of the venue's time and the 1,439 before it.
 *
 * Transfers of the ledger are not stored a second time: two statements list them from trades and
 * movements, debit and credit of one amount, so that they sum to zero for each asset, and
 * projections_audit proves that balances are their sums. They are not kernel/ledger's: what is
 * booked there stays for ever, and these are made again from the journal (decision 0019).
 *
 * Books. Each command that changes levels of a pair gives it the next number, 1, 2, 3, …, and one
 * delta: the quantities that its levels now have (0: the level is gone) and a checksum of the book
 * after it. Who follows a book takes levels and number, then each delta whose number is one more
 * than the last; another number, or another checksum, means that something was missed: he begins
 * anew. The checksum is CRC-32 (ISO 3309, as in zlib) over text: of the ten best asks, lowest
 * first, price and quantity in decimal digits of ticks and lots, then of the ten best bids, highest
 * first. Where ticks and lots are decimal fractions that is what is left of the decimals without
 * point and leading zeros.
 *
 * Time is the venue's (ENGINE_EVENT_TIME); before the first one it is 1970. Trades and movements
 * are partitioned by month on PostgreSQL. Their keys contain the time, as they must, and need no
 * table of keys beside them as that of events: one writer adds each of them once, under the cursor.
 *
 * Memory: open orders, balances, levels, and what the batch touched; the last is bounded by who
 * calls projections_flush (projections_waiting tells). Limits: amounts and ids below 2^63, as the
 * engine's.
 *
 * A crash leaves the last batch that was committed. Threads: one owns it.
 */
#ifndef DOMAIN_TRADING_PROJECTIONS_PROJECTIONS_H
#define DOMAIN_TRADING_PROJECTIONS_PROJECTIONS_H

#include "domain/trading/engine/engine.h"
#include "kernel/store/store_lease.h"

#define PROJECTIONS_DELTAS_KEPT 1024
#define PROJECTIONS_DEPTH 10 /* levels of a side in a checksum */
#define PROJECTIONS_SPANS 6

struct projections;

/* projections_span_sec are the spans of candles. Units: seconds. */
extern const int64_t projections_span_sec[PROJECTIONS_SPANS];

/* Stored: numbers are append-only. */
enum projections_order_state {
    PROJECTIONS_OPEN = 1,
    PROJECTIONS_PARKED = 2,
    PROJECTIONS_FILLED = 3,
    PROJECTIONS_CANCELLED = 4,
};

/*
 * projections_open reads what the next events build on. Under `hold` (NULL: none) each batch is
 * written under a lease. Owns: the caller, projections_close.
 * Errors: ERR_CORRUPT (rows that no batch wrote), those of store_read.
 */
enum err projections_open(struct projections **out, struct store *store,
                          const struct store_hold *hold, struct why *why) ERR_CHECKED;

/* projections_close forgets what was not flushed; NULL is fine. */
void projections_close(struct projections *p);

/* projections_seq returns the last command whose events are durable in the rows. */
uint64_t projections_seq(const struct projections *p);

/* projections_event takes the next event; the sink of an engine whose ctx is the projections. */
void projections_event(void *ctx, const struct engine_event *event);

/* projections_waiting returns about how many rows a flush would write. */
size_t projections_waiting(const struct projections *p);

/*
 * projections_flush ends the command whose events came last and writes everything up to it.
 * Errors: ERR_CONFLICT (another one moved the cursor), ERR_FENCED, those of store_write. After an
 * error the same rows wait; whoever cannot write them later closes and opens again.
 */
enum err projections_flush(struct projections *p, struct why *why) ERR_CHECKED;

/* projections_clear empties every table and puts the cursor before the first command. */
enum err projections_clear(struct store *store, const struct store_hold *hold,
                           struct why *why) ERR_CHECKED;

/*
 * projections_compare compares the balances, locks and open orders of what was flushed with an
 * engine that is at the same command. Errors: ERR_CORRUPT, naming the first difference.
 */
enum err projections_compare(const struct projections *p, const struct engine *e,
                             struct why *why) ERR_CHECKED;

struct projections_audit {
    uint64_t seq;
    uint64_t trades;
    uint64_t transfers;
    uint64_t balances;
};

/*
 * projections_audit proves from the rows alone that each balance is the sum of its transfers, that
 * nothing is locked that is not there, and what is locked is what open orders and holds lock.
 * Errors: ERR_CORRUPT, naming the first difference; ERR_DB.
 */
enum err projections_audit(struct store *store, struct projections_audit *out,
                           struct why *why) ERR_CHECKED;

#endif
