/*
 * internal.h: what the files of the engine share. Nothing outside this folder includes it.
 *
 *   engine.c   memory, dispatch, looking      orders.c  new, cancel, replace, mass cancel, time
 *   match.c    matching, FOK, stops           auction.c indicative price, uncrossing, states
 *   money.c    locks, fills, deposits, holds  setup.c   assets, pairs, accounts, rights
 *   save.c     save, load, hash               check.c   invariants
 */
#ifndef DOMAIN_TRADING_ENGINE_INTERNAL_H
#define DOMAIN_TRADING_ENGINE_INTERNAL_H

#include "domain/trading/engine/engine.h"
#include "domain/trading/engine/ids.h"
#include "domain/trading/engine/ladder.h"
#include "domain/trading/engine/timers.h"
#include "kernel/base/check.h"

typedef unsigned __int128 engine_u128; /* a typedef: the name of the type is not standard C */

#define ENGINE_AMOUNT_MAX ((uint64_t)INT64_MAX)

enum engine_where {
    ORDER_OFF = 0, /* incoming, or on its way */
    ORDER_BOOK = 1,
    ORDER_PARKED = 2,
};

#define ORDER_OPENED 1u  /* in the id map, in its account's list, may have a timer */
#define ORDER_POST 2u    /* post-only */
#define ORDER_AUCTION 4u /* a market order in an auction: ends with it */
#define ORDER_FUNDED 8u  /* a market order by funds */

struct engine_order {
    /* what matching reads */
    uint64_t id;
    int64_t price; /* its limit; of a market order what protects it */
    int64_t left;
    int64_t filled;
    uint32_t next; /* in its level; in the free list */
    uint32_t prev;
    uint32_t level;
    uint32_t account;
    uint32_t owner;
    uint32_t pair;
    uint8_t side;
    uint8_t type;
    uint8_t tif;
    uint8_t stp;
    uint8_t where;
    uint8_t flags;
    uint8_t unused_[2];
    /* what money and lists need */
    uint64_t prio; /* when it entered the book or was parked: smaller is earlier */
    uint64_t per_lot;
    int64_t stop;
    int64_t expire_usec;
    uint64_t funds; /* left of a market order's */
    uint32_t base;  /* balances */
    uint32_t quote;
    uint32_t account_next;
    uint32_t account_prev;
    uint32_t timer;
    uint16_t maker_ppm;
    uint16_t taker_ppm;
};
_Static_assert(sizeof(struct engine_order) == 128, "two cache lines");

struct engine_fee {
    uint16_t maker_ppm;
    uint16_t taker_ppm;
};

struct engine_auction {
    int64_t price;
    int64_t volume;
    int64_t surplus; /* buyers' is positive */
};

struct engine_pair {
    struct ladder book[2]; /* by enum engine_side */
    struct ladder stops[2];
    int64_t last;
    int64_t halt_low; /* trades outside of these halt the pair */
    int64_t halt_high;
    bool defined;
    bool settled;
    bool restricted; /* base or quote is */
    bool dirty;      /* the indicative price may have changed */
    uint8_t state;
    uint8_t stp;
    uint32_t base;
    uint32_t quote;
    uint32_t fee_account;
    uint32_t fee_balance;
    uint32_t number;
    uint64_t lot_units;
    uint64_t tick_units;
    int64_t price_step;
    int64_t qty_step;
    int64_t qty_max;
    uint64_t notional_min;
    int64_t reference;
    uint32_t band_ppm;
    uint32_t halt_ppm;
    int64_t halt_usec;
    int64_t period_usec;
    int64_t until_usec;
    uint32_t timer;
    uint32_t dirty_next;
    uint32_t auction_orders; /* with ORDER_AUCTION */
    struct engine_auction shown;
    struct engine_fee fees[ENGINE_TIERS];
};

struct engine_asset {
    bool defined;
    uint8_t flags;
    uint64_t supply; /* deposits - withdrawals */
};

struct engine_account {
    uint32_t owner;
    uint32_t orders_max;
    uint32_t open;
    uint32_t head; /* orders in the order in which they came */
    uint32_t tail;
    uint32_t owner_next; /* account + 1 of the same owner */
    uint32_t timer;
    uint8_t tier;
    bool defined;
    int64_t cancel_usec;
};

struct engine_balance {
    uint64_t available;
    uint64_t locked;
    uint32_t account;
    uint32_t asset;
    uint32_t right; /* of its owner; 0 when the asset is free for all */
    uint32_t unused_;
};

struct engine_right {
    int64_t until_usec;
    uint64_t cap;
    uint64_t held;     /* sum of its balances */
    uint64_t incoming; /* what open limit buys and held transfers may bring */
    uint32_t owner;
    uint32_t asset;
};

struct engine_hold {
    uint64_t id;
    uint64_t amount;
    uint32_t account;
    uint32_t asset;
    uint32_t to;
    uint32_t next; /* in the free list */
};

/* (a, b) to a slot; entries are never removed. */
struct key_map {
    struct key_entry {
        uint64_t key; /* a << 32 | b, plus 1 */
        uint32_t slot;
        uint32_t unused_;
    } * entries;
    uint32_t mask;
};

struct engine {
    struct engine_order *orders;
    struct engine_pair *pairs;
    struct engine_balance *balances;
    struct engine_account *accounts;
    struct id_map ids;
    struct ladder_pool ladders;
    struct engine_sink sink;
    uint64_t seq;
    uint64_t prio;
    int64_t now_usec;
    uint32_t event_index;
    uint32_t order_free;
    uint32_t order_used;
    uint32_t order_count; /* open */
    uint32_t dirty;       /* pair + 1: first in the list of those to look at after the command */
    uint32_t balance_count;
    uint32_t right_count;
    uint32_t hold_free;
    uint32_t hold_used;
    struct id_window window;
    struct engine_asset *assets;
    struct engine_right *rights;
    struct engine_hold *holds;
    uint32_t *owners; /* account + 1 that comes first */
    struct id_map hold_ids;
    struct key_map balance_keys;
    struct key_map right_keys;
    struct timers timers;
    struct engine_limits limits;
    void *memory;
};

/* ---- events (engine.c) ---- */

static inline bool engine_wants(struct engine *e, enum engine_event_kind kind)
{
    e->event_index++;
    return (e->sink.kinds >> kind & 1) != 0;
}

static inline void engine_tell(struct engine *e, struct engine_event event)
{
    event.seq = e->seq;
    event.index = e->event_index - 1;
    e->sink.event(e->sink.ctx, &event);
}

/* engine_tell_order tells an event about one order. */
void engine_tell_order(struct engine *e, enum engine_event_kind kind, const struct engine_order *o,
                       int64_t price, int64_t qty, enum engine_reason reason);

/* engine_refuse tells a refusal and returns its reason. */
enum engine_reason engine_refuse(struct engine *e, uint64_t id, enum engine_reason reason);

/* engine_applied tells that a command about settings was taken; returns 0. */
enum engine_reason engine_applied(struct engine *e, const struct engine_command *c, uint32_t pair);

/* ---- finding (engine.c) ---- */

uint32_t engine_find_order(const struct engine *e, uint64_t id);
uint32_t engine_find_hold(const struct engine *e, uint64_t id);
uint32_t engine_find_balance(const struct engine *e, uint32_t account, uint32_t asset);
uint32_t engine_find_right(const struct engine *e, uint32_t owner, uint32_t asset);
struct engine_pair *engine_find_pair(struct engine *e, uint32_t pair); /* NULL: not defined */
uint32_t key_map_find(const struct key_map *m, uint32_t a, uint32_t b);
void key_map_add(struct key_map *m, uint32_t a, uint32_t b, uint32_t slot);

/* engine_open_right returns the right of an owner, made when missing; there must be room. */
uint32_t engine_open_right(struct engine *e, uint32_t owner, uint32_t asset);

/* engine_open_balance returns a balance, made when missing; there must be room. */
uint32_t engine_open_balance(struct engine *e, uint32_t account, uint32_t asset);

/* engine_room says whether the missing ones of these balances can be made. */
bool engine_room(const struct engine *e, uint32_t account, uint32_t asset, uint32_t account_b,
                 uint32_t asset_b);

/* ---- orders and books (match.c) ---- */

uint32_t order_take(struct engine *e);
void order_free(struct engine *e, uint32_t at);
/* order_open makes a new order findable; order_free undoes it. */
void order_open(struct engine *e, uint32_t at);
/* book_link appends to the order's price, book_unlink takes it out. */
void book_link(struct engine *e, struct engine_pair *pair, uint32_t at);
void book_unlink(struct engine *e, struct engine_pair *pair, struct engine_order *o);
void park_link(struct engine *e, struct engine_pair *pair, uint32_t at);
/* book_restore puts a loaded order where it was; to be called in the order of prio. */
void book_restore(struct engine *e, uint32_t at);
/* order_cancel ends an order wherever it is and gives back what it locks. */
void order_cancel(struct engine *e, struct engine_pair *pair, uint32_t at,
                  enum engine_reason reason);
/* order_fill trades q at `price` between two orders. */
void order_fill(struct engine *e, struct engine_pair *pair, uint32_t maker, uint32_t taker,
                int64_t price, int64_t q, bool auction);
/* order_give_up shrinks an order without a trade; it may be left with nothing. */
void order_give_up(struct engine *e, struct engine_pair *pair, struct engine_order *o, int64_t q);
/* match_enter brings an incoming order to its end or to rest (R3-R6, R10). */
void match_enter(struct engine *e, struct engine_pair *pair, uint32_t at);
/* match_crosses says whether a price is within the limit of an order of `side`. */
static inline bool match_crosses(uint8_t side, int64_t limit, int64_t price)
{
    return side == ENGINE_BUY ? price <= limit : price >= limit;
}
bool match_would_cross(const struct engine *e, const struct engine_pair *pair, uint8_t side,
                       int64_t price);
bool match_stop_met(const struct engine_pair *pair, uint8_t side, int64_t stop);
/* match_cascade runs what the last price triggers (R12). */
void match_cascade(struct engine *e, struct engine_pair *pair);

/* ---- auctions and states (auction.c) ---- */

static inline bool engine_collecting(const struct engine_pair *pair)
{
    return pair->state == ENGINE_PRE_OPEN || pair->state == ENGINE_AUCTION;
}
void auction_touch(struct engine *e, struct engine_pair *pair);
/* auction_show publishes the indicative price of pairs that were touched. */
void auction_show(struct engine *e);
struct engine_auction auction_compute(const struct engine *e, const struct engine_pair *pair);
void auction_uncross(struct engine *e, struct engine_pair *pair);
/* auction_halt stops continuous trading before a trade that is too far from the reference. */
void auction_halt(struct engine *e, struct engine_pair *pair);
/* auction_end is what the pair's timer does. */
void auction_end(struct engine *e, struct engine_pair *pair);
void auction_set_reference(struct engine_pair *pair, int64_t price);
void auction_enter_state(struct engine *e, struct engine_pair *pair, enum engine_state state,
                         int64_t until_usec);

/* ---- money (money.c) ---- */

static inline bool engine_right_now(const struct engine *e, uint32_t right)
{
    return right != 0 && e->rights[right].until_usec > e->now_usec;
}
/* money_eligible says whether the owner of an order may trade its pair at this moment. */
bool money_eligible(const struct engine *e, const struct engine_pair *pair,
                    const struct engine_order *o);
/* money_per_lot computes what one lot locks; false when it is more than can exist. */
bool money_per_lot(const struct engine_pair *pair, const struct engine_order *o, int64_t price,
                   uint64_t *out);
/*
 * money_admit checks rights, cap and funds of an incoming order, sets its balances and rates, and
 * locks. On a refusal nothing has changed.
 */
enum engine_reason money_admit(struct engine *e, struct engine_pair *pair, struct engine_order *o);
/* money_amend moves the lock of an open order to another price and what is left. */
enum engine_reason money_amend(struct engine *e, struct engine_pair *pair, struct engine_order *o,
                               int64_t price, int64_t left);
/* money_release gives the lock of q lots back. */
void money_release(struct engine *e, const struct engine_pair *pair, const struct engine_order *o,
                   int64_t q);
/* money_affordable bounds q for an order without a lock; *out_why says by what. */
int64_t money_affordable(const struct engine *e, const struct engine_pair *pair,
                         const struct engine_order *o, int64_t price, int64_t q,
                         enum engine_reason *out_why);
/* money_fee is the fee on a cost, rounded up. */
static inline uint64_t money_fee(uint64_t cost, uint32_t ppm)
{
    if (cost < UINT64_C(1) << 47) { /* ppm is below 2^16 */
        return (cost * ppm + (ENGINE_PPM - 1)) / ENGINE_PPM;
    }
    return (uint64_t)(((engine_u128)cost * ppm + (ENGINE_PPM - 1)) / ENGINE_PPM);
}
struct money_fill {
    uint64_t cost;
    uint64_t fee_maker;
    uint64_t fee_taker;
};
struct money_fill money_settle(struct engine *e, const struct engine_pair *pair,
                               struct engine_order *maker, struct engine_order *taker,
                               int64_t price, int64_t q, bool auction);
enum engine_reason money_command(struct engine *e, const struct engine_command *c);

/* ---- commands ---- */

enum engine_reason orders_new(struct engine *e, const struct engine_command *c);
enum engine_reason orders_cancel(struct engine *e, const struct engine_command *c);
enum engine_reason orders_replace(struct engine *e, const struct engine_command *c);
enum engine_reason orders_mass_cancel(struct engine *e, const struct engine_command *c);
enum engine_reason orders_cancel_after(struct engine *e, const struct engine_command *c);
enum engine_reason orders_time(struct engine *e, const struct engine_command *c);
/* orders_cancel_account cancels what an account has open in a pair, or in all; oldest first. */
void orders_cancel_account(struct engine *e, uint32_t account, uint32_t pair,
                           enum engine_reason reason);
enum engine_reason setup_command(struct engine *e, const struct engine_command *c);

#endif
