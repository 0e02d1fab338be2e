/*
 * engine.h: the matching engine: books, balances, rights and states of a venue, as one
 * deterministic state machine.
 *
 *     command ──▶ engine_apply ──▶ events, in order
 *
 * Pure: no clock (time is a command), no I/O, no randomness, no floating point, no allocation after
 * engine_new. The same commands give the same events and the same state hash with any compiler, on
 * any machine, live or in a replay; the journal relies on nothing else. One thread owns an engine.
 *
 * What one command does happens entirely or is refused with a reason; a refusal changes nothing:
 * engine_hash is what it was. Check, lock, match, fees and settlement are one step, so there is no
 * moment in which money is owed.
 *
 * Rules. Price, then time; trades at the maker's price. The matching rules are R1-R16 of
 * docs/matching.md, where the book is open; what follows from states and auctions is there too.
 *
 * Data. Everything is in pools, found by number:
 *
 *   order    128 bytes in two cache lines: what matching reads, and what money and lists need
 *   level    the orders of one price, oldest first; ladder.h says how levels are found
 *   book     four ladders a pair: bids, asks, and the parked stops of either side by stop price
 *   id       ids.h: id to slot of what is open; a window of bits of all that was ever used
 *   account  owner, fee tier, its open orders in the order in which they came (mass cancel)
 *   balance  (account, asset): available and locked
 *   right    (owner, restricted asset): eligible until, cap, what is held and what may come in
 *   hold     first phase of a withdrawal or transfer
 *   timer    timers.h
 *
 * An order that is taken always finds a slot, a level and trie nodes: the pools are as large as the
 * worst case of `orders`. What is full refuses with ENGINE_LIMITED and changes nothing.
 *
 * Money. Amounts are 64-bit units, products are 128-bit. All that exists of an asset (deposits less
 * withdrawals) is kept below 2^63, so that no credit can overflow; a lock that does not fit 64 bits
 * is more than anybody has and is refused for want of funds, so that price times quantity needs no
 * limit of its own.
 *   - A buyer locks, for each lot, its price and the fee on it at the worse of maker's and taker's
 *     rate, rounded up. A seller locks the lots. Both are linear in what is left, so that after any
 *     fills, reductions and amendments: locked = per_lot * left, to the unit.
 *   - The fee of a fill is charged in quote, rounded up, to both: ceil(cost * rate / 10^6). It
 * never exceeds what is locked for it: ceil(c * r) <= q * ceil(c / q * r). The sum over fills may
 *     exceed the fee on the sum by less than one unit a fill. Rates are those of the order's
 *     acceptance or last amendment.
 *   - Fees are credited to an account of the pair, so that per asset
 *     sum(available + locked) = deposits - withdrawals, always (engine_check proves it).
 *   - A market buy has no lock: it buys what `available` pays for, lot by lot, at once.
 *
 * Invariants that engine_check asserts: in OPEN the book is not crossed; levels, lists, ids,
 * accounts and timers name the same orders; locked = sum over orders and holds; holdings of owners;
 * conservation per asset; every resting order has something left, on its steps.
 *
 * Complexity: new, cancel, replace: O(1) beside two or three trie steps; a fill O(1); FOK: the
 * orders that it would meet; mass cancel: the orders of the account; indicative price: the levels
 * that cross; time: what is due.
 *
 * Limits: those of struct engine_limits; prices below 2^62 ticks, quantities below 2^40 lots.
 */
#ifndef DOMAIN_TRADING_ENGINE_ENGINE_H
#define DOMAIN_TRADING_ENGINE_ENGINE_H

#include <stddef.h>

#include "domain/trading/engine/command.h"
#include "domain/trading/engine/event.h"
#include "kernel/base/err.h"

struct engine;

/* Sizes of the pools, fixed for a journal's life: a refusal by a limit is replayed as one. */
struct engine_limits {
    uint32_t pairs;     /* 1 … 65,536 */
    uint32_t assets;    /* 1 … 65,536 */
    uint32_t accounts;  /* 1 … 2^24; accounts are numbered below it */
    uint32_t orders;    /* open at a time, all pairs: 1 … 2^22 */
    uint32_t balances;  /* (account, asset) with money: 1 … 2^24 */
    uint32_t rights;    /* (owner, restricted asset): 1 … 2^24 */
    uint32_t holds;     /* 1 … 2^20 */
    uint32_t id_window; /* ids: a power of two, 2^7 … 2^30 */
};

/* Where events go. `kinds` has a bit (1 << kind) for each kind wanted. */
struct engine_sink {
    void (*event)(void *ctx, const struct engine_event *event);
    void *ctx;
    uint32_t kinds;
};

#define ENGINE_EVERY_KIND UINT32_MAX

/* engine_limits_check: Errors: ERR_INVALID_FIELD, naming the limit. */
enum err engine_limits_check(const struct engine_limits *limits, struct why *why) ERR_CHECKED;

/* engine_limits_default returns limits for `orders` open orders. */
struct engine_limits engine_limits_default(uint32_t orders);

/*
 * engine_new makes an empty engine; limits must have been checked. Memory is reserved for the worst
 * case and touched as it is used. Owns: the caller, engine_free.
 */
struct engine *engine_new(const struct engine_limits *limits);

/* engine_free gives the memory back; NULL is fine. */
void engine_free(struct engine *e);

/* engine_set_sink says where events go from the next command on; NULL: nowhere. */
void engine_set_sink(struct engine *e, const struct engine_sink *sink);

/*
 * engine_apply does one command, whatever its bytes. Returns 0 or the reason of the refusal, which
 * is also told by an ENGINE_EVENT_REJECTED. Takes the next sequence number either way.
 */
enum engine_reason engine_apply(struct engine *e, const struct engine_command *c);

/*
 * engine_hint fetches into the cache what commands will read: of `later`, where to look things up;
 * of `soon`, which was `later` a few calls ago, the things. Changes nothing. Whoever has a queue
 * of commands knows the next ones.
 */
void engine_hint(const struct engine *e, const struct engine_command *soon,
                 const struct engine_command *later);

/* engine_seq returns the number of commands applied so far. */
uint64_t engine_seq(const struct engine *e);

/* engine_now_usec returns the time of the last ENGINE_OP_TIME. */
int64_t engine_now_usec(const struct engine *e);

/* engine_due_usec returns when the next thing happens by time (an expiry, an end of an auction, a
 * dead-man switch), or 0: an ENGINE_OP_TIME at or behind it is wanted then. */
int64_t engine_due_usec(const struct engine *e);

/* engine_limits_of returns what the engine was made with. */
const struct engine_limits *engine_limits_of(const struct engine *e);

/* engine_check asserts every invariant over the whole state. Slow: for tests and `verify`. */
void engine_check(const struct engine *e);

/*
 * engine_save gives the state as words in a canonical order: two engines that answer every future
 * command alike save the same words. The sequence number is not among them.
 */
void engine_save(const struct engine *e, void (*word)(void *ctx, uint64_t word), void *ctx);

/* engine_hash digests engine_save. */
uint64_t engine_hash(const struct engine *e);

/*
 * engine_load fills a fresh engine with a saved state; `word` returns false at the end.
 * Errors: ERR_CORRUPT: words that no engine of these limits saved; the engine must be freed.
 */
enum err engine_load(struct engine *e, bool (*word)(void *ctx, uint64_t *out), void *ctx,
                     uint64_t seq, struct why *why) ERR_CHECKED;

/* ---- looking ---- */

struct engine_balance_view {
    uint64_t available;
    uint64_t locked;
};

struct engine_order_view {
    uint64_t id;
    int64_t price;
    int64_t left;
    int64_t filled;
    int64_t stop;
    uint32_t account;
    uint32_t pair;
    uint8_t side;
    uint8_t type;
    uint8_t tif;
    bool parked;
};

struct engine_pair_view {
    enum engine_state state;
    int64_t last; /* price of the last trade, 0: none yet */
    int64_t reference;
    int64_t best_bid; /* 0: none */
    int64_t best_ask;
    int64_t until_usec; /* end of the auction, 0: none */
};

/* engine_balance looks a balance up; zero when there is none. */
struct engine_balance_view engine_balance(const struct engine *e, uint32_t account, uint32_t asset);

/* engine_order looks an open order up; false when there is none. */
bool engine_order(const struct engine *e, uint64_t id, struct engine_order_view *out);

/* engine_pair looks a pair up; false when it is not defined. */
bool engine_pair(const struct engine *e, uint32_t pair, struct engine_pair_view *out);

/* engine_walk lends every open order of a pair: bids, asks, parked stops of buyers, of sellers,
 * each best first. */
void engine_walk(const struct engine *e, uint32_t pair,
                 void (*order)(void *ctx, const struct engine_order_view *order), void *ctx);

/* engine_walk_balances lends every balance that was ever opened, in the order of opening. */
void engine_walk_balances(const struct engine *e,
                          void (*balance)(void *ctx, uint32_t account, uint32_t asset,
                                          struct engine_balance_view view),
                          void *ctx);

/* engine_open_orders returns how many orders are open. */
uint32_t engine_open_orders(const struct engine *e);

#endif
