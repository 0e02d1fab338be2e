/*
 * projections_internal.h: what the files of the projections share.
 *
 *   projections.c         events to what they change      projections_book.c    levels, deltas
 *   projections_orders.c  orders, balances, locks         projections_market.c  candles, statistics
 *   projections_load.c    rows to memory                  projections_store.c   memory to rows
 *   projections_audit.c   proofs
 *
 * What changes is marked where it is and listed once, so that a flush writes it once however often
 * it changed; lists are emptied when the transaction has committed.
 */
#ifndef DOMAIN_TRADING_PROJECTIONS_PROJECTIONS_INTERNAL_H
#define DOMAIN_TRADING_PROJECTIONS_PROJECTIONS_INTERNAL_H

#include "domain/trading/projections/projections.h"
#include "domain/trading/projections/projections_map.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/mem.h"

typedef unsigned __int128 projections_u128; /* a typedef: the name is not standard C */

#define PROJECTIONS_PAIRS_MAX 65536
#define PROJECTIONS_MINUTES 1440 /* of the statistics */
#define PROJECTIONS_MINUTE_USEC (INT64_C(60) * USEC_PER_SEC)

/* A growing array of slots. */
struct projections_list {
    uint32_t *at;
    size_t count;
    size_t capacity;
};

/* projections_room makes room for one more element; zeroed arrays are empty. */
void *projections_room(void *array, size_t count, size_t *capacity, size_t size);
void projections_list_add(struct projections_list *list, uint32_t slot);

struct projections_order {
    uint64_t id;
    int64_t price; /* of a market order in an auction: where it rests */
    int64_t stop;
    int64_t total;
    int64_t filled;
    int64_t left;
    int64_t cancelled;
    int64_t prevented;
    uint64_t funds;
    projections_u128 notional; /* sum of price * qty of its trades */
    uint64_t per_lot;          /* locked for each lot that is left */
    uint64_t place;            /* 0: not in the book */
    uint64_t accepted_seq;
    uint64_t changed_seq;
    int64_t accepted_usec;
    int64_t changed_usec;
    uint32_t account;
    uint32_t pair;
    uint32_t next; /* in the free list */
    uint8_t side;
    uint8_t type;
    uint8_t tif;
    uint8_t state; /* enum projections_order_state */
    uint8_t reason;
    bool stored;
    bool dirty;
};

struct projections_balance {
    uint32_t account;
    uint32_t asset;
    uint64_t total;
    uint64_t locked;
    bool dirty;
};

struct projections_level {
    int64_t price;
    int64_t qty;
    uint32_t orders;
    bool dirty;
};

/* Worst price first, so that what changes most is at the end. */
struct projections_side {
    struct projections_level *levels;
    size_t count;
    size_t capacity;
};

/* A level that a command touched, or that a delta tells. */
struct projections_change {
    int64_t price;
    int64_t qty;
    uint8_t side;
};

struct projections_changes {
    struct projections_change *at;
    size_t count;
    size_t capacity;
};

struct projections_candle {
    int64_t begins_usec;
    int64_t open;
    int64_t high;
    int64_t low;
    int64_t close;
    projections_u128 volume;
    projections_u128 notional;
    uint64_t trades; /* 0: there is none */
    bool dirty;
};

struct projections_pair {
    uint32_t number;
    uint32_t base;
    uint32_t quote;
    uint32_t fee_account;
    uint64_t lot_units;
    uint64_t tick_units; /* 0: not settled */
    uint8_t state;
    int64_t until_usec;
    int64_t auction_price;
    int64_t auction_volume;
    int64_t auction_surplus; /* buyers' is positive */
    uint64_t book_number;
    uint32_t book_checksum;
    bool dirty;
    struct projections_side sides[2];     /* by enum engine_side */
    struct projections_changes touched;   /* by the command */
    struct projections_changes unwritten; /* levels that are to be written or deleted */
    struct projections_candle candles[PROJECTIONS_SPANS];
    struct projections_candle *minutes; /* with trades, of the last 24 hours, oldest first */
    size_t minute_first;
    size_t minute_end;
    size_t minute_capacity;
    bool statistics_dirty;
};

struct projections_trade {
    struct engine_event event;
    uint64_t id;
    int64_t usec;
};

struct projections_movement {
    struct engine_event event;
    int64_t usec;
};

struct projections_delta {
    uint64_t number;
    uint64_t seq;
    uint32_t pair;
    uint32_t checksum;
    size_t first; /* in `told` */
    size_t count;
};

struct projections_closed {
    struct projections_candle candle;
    uint32_t pair;
    uint32_t span;
};

struct projections {
    struct store *store;
    struct store_hold hold; /* lease NULL: none */
    uint64_t stored_seq;    /* of the cursor */
    uint64_t seq;           /* of the command whose events come */
    int64_t now_usec;
    uint64_t trade_count; /* ever */
    uint64_t places;
    uint32_t funded; /* slot of the order by funds of this command, or PROJECTIONS_NO_SLOT */

    struct projections_order *orders; /* open ones, and those that a flush has yet to write */
    size_t order_count;
    size_t order_capacity;
    uint32_t order_free;
    struct projections_map order_ids;
    struct projections_list orders_dirty;

    struct projections_balance *balances;
    size_t balance_count;
    size_t balance_capacity;
    struct projections_map balance_keys;
    struct projections_list balances_dirty;

    struct projections_pair **pairs; /* by number; NULL: not defined */
    uint32_t pair_end;
    struct projections_list pairs_dirty;
    struct projections_list pairs_touched; /* books of this command */
    struct projections_list pairs_levels;  /* with unwritten levels */

    struct projections_trade *trades;
    size_t trades_waiting;
    size_t trades_capacity;
    struct projections_movement *movements;
    size_t movements_waiting;
    size_t movements_capacity;
    struct projections_delta *deltas;
    size_t deltas_waiting;
    size_t deltas_capacity;
    struct projections_changes told; /* of the deltas */
    struct projections_closed *closed;
    size_t closed_waiting;
    size_t closed_capacity;
};

/* ---- projections.c ---- */

/* projections_pair_of returns a pair that must be defined. */
struct projections_pair *projections_pair_of(struct projections *p, uint32_t number);
/* projections_pair_new makes room for a pair that is not defined yet. */
struct projections_pair *projections_pair_new(struct projections *p, uint32_t number);
void projections_pair_touch(struct projections *p, struct projections_pair *pair);
void projections_end_command(struct projections *p);

/* ---- projections_orders.c ---- */

/* projections_order_make takes a slot for an order and makes it findable. */
struct projections_order *projections_order_make(struct projections *p, uint64_t id);
/* projections_order_release gives the slot of a finished order back, once it is written. */
void projections_order_release(struct projections *p, uint32_t slot);
void projections_order_event(struct projections *p, const struct engine_event *ev);
void projections_orders_traded(struct projections *p, struct projections_pair *pair,
                               const struct engine_event *ev);
/* projections_orders_end ends an order by funds with its command. */
void projections_orders_end(struct projections *p);
static inline uint64_t projections_balance_key(uint32_t account, uint32_t asset)
{
    return ((uint64_t)account << 32 | asset) + 1;
}
struct projections_balance *projections_balance_of(struct projections *p, uint32_t account,
                                                   uint32_t asset);
void projections_money_event(struct projections *p, const struct engine_event *ev);

/* ---- projections_book.c ---- */

/* projections_level_change adds lots and orders (either may be negative) to a level. */
void projections_level_change(struct projections *p, struct projections_pair *pair, uint8_t side,
                              int64_t price, int64_t qty, int orders);
/* projections_level_find returns a level, or NULL. */
struct projections_level *projections_level_find(struct projections_side *side,
                                                 enum engine_side which, int64_t price);
/* projections_changes_settle sorts changes, one a level, and fills in what the levels now have. */
void projections_changes_settle(struct projections_changes *changes, struct projections_pair *pair);
/* projections_book_end gives the books that the command changed their number and delta. */
void projections_book_end(struct projections *p);
uint32_t projections_checksum(const struct projections_pair *pair);

/* ---- projections_market.c ---- */

void projections_market_traded(struct projections *p, struct projections_pair *pair, int64_t price,
                               int64_t qty);
/* projections_minutes_expire lets minutes go that the statistics no longer see. */
void projections_minutes_expire(struct projections *p);
struct projections_candle projections_statistics(const struct projections_pair *pair);
void projections_minute_add(struct projections_pair *pair, const struct projections_candle *minute);

/* ---- projections_load.c, projections_store.c ---- */

enum err projections_load(struct projections *p, struct why *why) ERR_CHECKED;
enum err projections_write(struct store_tx *tx, void *ctx, struct why *why) ERR_CHECKED;

static inline struct u256 projections_wide(projections_u128 value)
{
    return (struct u256){{(uint64_t)value, (uint64_t)(value >> 64), 0, 0}};
}

#endif
