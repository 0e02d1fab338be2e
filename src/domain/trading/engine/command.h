/*
 * command.h: what the engine is told. A command is 64 bytes, in memory and in the journal alike.
 *
 * Integers only. A price is a number of ticks, a quantity a number of lots, an amount a number of
 * units of one asset. The gateway turns decimals into these and refuses what is off the grid; here
 * nothing is ever rounded. Times are Unix microseconds and come with commands: the engine has no
 * clock.
 *
 * The identifier of an order, deposit, transfer or hold is assigned by the gateway from one
 * sequence of the venue and is the key of its idempotency: what was accepted under an id is never
 * accepted again under that id, after whatever number of retries, crashes and replays. Ids may
 * have gaps and need not arrive in order, within the window of `engine_limits`.
 *
 * The bytes are little-endian and have no holes: what is asserted here makes copying them correct.
 */
#ifndef DOMAIN_TRADING_ENGINE_COMMAND_H
#define DOMAIN_TRADING_ENGINE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/base/err.h"

#define ENGINE_COMMAND_BYTES 64
#define ENGINE_ALL UINT32_MAX    /* instead of a pair: every pair */
#define ENGINE_NOBODY UINT32_MAX /* instead of an account: leaves the venue */
#define ENGINE_PRICE_MAX (INT64_C(1) << 62)
#define ENGINE_QTY_MAX ((INT64_C(1) << 40) - 1)
#define ENGINE_FEE_PPM_MAX 50000 /* 5 % */
#define ENGINE_PPM 1000000
#define ENGINE_TIERS 8

/* Numbers are in journals: append only. */
enum engine_op {
    ENGINE_OP_NONE = 0,
    ENGINE_OP_NEW = 1,          /* order */
    ENGINE_OP_CANCEL = 2,       /* cancel */
    ENGINE_OP_REPLACE = 3,      /* replace */
    ENGINE_OP_MASS_CANCEL = 4,  /* mass */
    ENGINE_OP_CANCEL_AFTER = 5, /* mass: all orders of the account, at a time */
    ENGINE_OP_TIME = 6,         /* clock */
    ENGINE_OP_ASSET = 7,        /* asset */
    ENGINE_OP_PAIR = 8,         /* pair */
    ENGINE_OP_RULES = 9,        /* rules */
    ENGINE_OP_GUARD = 10,       /* guard */
    ENGINE_OP_FEES = 11,        /* fees */
    ENGINE_OP_ACCOUNT = 12,     /* account */
    ENGINE_OP_ELIGIBILITY = 13, /* right */
    ENGINE_OP_STATE = 14,       /* state */
    ENGINE_OP_REFERENCE = 15,   /* reference */
    ENGINE_OP_DEPOSIT = 16,     /* money */
    ENGINE_OP_TRANSFER = 17,    /* money: at once */
    ENGINE_OP_HOLD = 18,        /* money: first phase of a withdrawal or transfer */
    ENGINE_OP_POST = 19,        /* cancel.id: second phase, done */
    ENGINE_OP_VOID = 20,        /* cancel.id: second phase, given back */
    ENGINE_OP_COUNT
};

enum engine_side {
    ENGINE_BUY = 0,
    ENGINE_SELL = 1,
};

enum engine_type {
    ENGINE_LIMIT = 0,
    ENGINE_MARKET = 1,
    ENGINE_STOP_LIMIT = 2,
    ENGINE_STOP_MARKET = 3, /* when triggered, a market order within the band around its stop */
};

enum engine_tif {
    ENGINE_GTC = 0,
    ENGINE_IOC = 1,
    ENGINE_FOK = 2,
    ENGINE_GTD = 3, /* GTC until expire_usec */
};

/* Self-trade prevention: what is cancelled when the incoming order meets one of its owner. */
enum engine_stp {
    ENGINE_STP_DEFAULT = 0, /* the pair's */
    ENGINE_STP_NONE = 1,    /* it trades with itself */
    ENGINE_STP_NEWEST = 2,
    ENGINE_STP_OLDEST = 3,
    ENGINE_STP_BOTH = 4,
    ENGINE_STP_DECREMENT = 5,
};

#define ENGINE_POST_ONLY 1u /* flags of a new order */

/*
 * The states of a pair. What a client may do in each:
 *
 *                new   amend  cancel  matching
 *   PRE_OPEN     yes   yes    yes     none; the book may cross
 *   AUCTION      yes   yes    yes     none; indicative price published; ends at a time
 *   OPEN         yes   yes    yes     continuous; the book never crosses
 *   CANCEL_ONLY  no    no     yes     none
 *   HALTED       no    no     no      none
 *   CLOSED       no    no     no      none; entering it cancels every order
 *
 * Entering OPEN from any state uncrosses the book first, so that it is never crossed there.
 */
enum engine_state {
    ENGINE_PRE_OPEN = 0,
    ENGINE_AUCTION = 1,
    ENGINE_OPEN = 2,
    ENGINE_CANCEL_ONLY = 3,
    ENGINE_HALTED = 4,
    ENGINE_CLOSED = 5,
    ENGINE_STATE_COUNT
};

#define ENGINE_ASSET_RESTRICTED 1u /* only eligible owners may trade or receive it */
#define ENGINE_ASSET_FROZEN 2u     /* its pairs are halted and stay so */

#define ENGINE_PAIR_UNSETTLED 1u /* matching only: no balances, fees, eligibility */

/* One of these follows the first eight bytes; which one, says enum engine_op. */
struct engine_order_in {
    uint64_t id;
    int64_t price;       /* limit; 0 for market and stop-market */
    int64_t qty;         /* total; 0 for a market order by funds */
    int64_t stop;        /* stop price, 0 = none */
    int64_t expire_usec; /* GTD, else 0 */
    uint64_t funds;      /* market only: quote units to spend (fee included) or to raise */
    uint32_t account;
    uint32_t pair;
};

struct engine_cancel_in {
    uint64_t id;
    uint32_t account; /* whose order it must be, or ENGINE_NOBODY: the operator asks */
    uint32_t unused_;
    uint64_t unused2_[5];
};

struct engine_replace_in {
    uint64_t id;
    int64_t price;    /* the new one */
    int64_t qty;      /* the new total, with what is filled */
    uint32_t account; /* as in engine_cancel_in */
    uint32_t unused_;
    uint64_t unused2_[3];
};

struct engine_mass_in {
    uint32_t account;  /* ENGINE_NOBODY with a pair: everybody's (operator) */
    uint32_t pair;     /* or ENGINE_ALL */
    int64_t time_usec; /* CANCEL_AFTER: when; 0 takes the switch away */
    uint64_t unused_[5];
};

struct engine_clock_in {
    int64_t now_usec; /* never before an earlier one */
    uint64_t unused_[6];
};

struct engine_asset_in {
    uint32_t asset;
    uint32_t flags; /* ENGINE_ASSET_* */
    uint64_t unused_[6];
};

/* Defines a pair, once. It begins CLOSED, without fees, limits and guards. */
struct engine_pair_in {
    uint32_t pair;
    uint32_t base;
    uint32_t quote;
    uint32_t fee_account; /* receives fees; its owner needs no eligibility for the quote */
    uint64_t lot_units;   /* base units in one lot */
    uint64_t tick_units;  /* quote units that one lot costs at one tick */
    uint32_t flags;       /* ENGINE_PAIR_* */
    uint32_t unused_;
    uint64_t unused2_[2];
};

/* Bounds of new and amended orders; orders that rest are not looked at again. */
struct engine_rules_in {
    uint32_t pair;
    uint32_t stp;          /* what ENGINE_STP_DEFAULT means; at first NEWEST */
    int64_t price_step;    /* a price is a multiple of it */
    int64_t qty_step;      /* a quantity too */
    int64_t qty_max;       /* lots */
    uint64_t notional_min; /* price * qty, in ticks times lots; the limit price counts */
    uint64_t unused_[2];
};

struct engine_guard_in {
    uint32_t pair;
    uint32_t band_ppm; /* a market order goes so far from the last (or reference) price; 0 off */
    uint32_t halt_ppm; /* a trade so far from the reference price halts into an auction; 0 off */
    uint32_t unused_;
    int64_t halt_usec;   /* how long that auction lasts */
    int64_t period_usec; /* of periodic auctions; 0: an auction ends in OPEN */
    uint64_t unused2_[3];
};

struct engine_fees_in {
    uint32_t pair;
    uint32_t tier; /* below ENGINE_TIERS */
    uint32_t maker_ppm;
    uint32_t taker_ppm;
    uint64_t unused_[5];
};

struct engine_account_in {
    uint32_t account;
    uint32_t owner; /* beneficial owner; cannot change */
    uint32_t tier;
    uint32_t orders_max; /* open at a time */
    uint64_t unused_[5];
};

/* Sets what an owner may do with a restricted asset. Taking the right away cancels first. */
struct engine_right_in {
    uint32_t owner;
    uint32_t asset;
    int64_t until_usec; /* eligible before this time; 0: not eligible */
    uint64_t cap;       /* units that the owner may hold, over all accounts; UINT64_MAX: no cap */
    uint64_t unused_[4];
};

struct engine_state_in {
    uint32_t pair;
    uint32_t state;     /* enum engine_state */
    int64_t until_usec; /* AUCTION: when it ends by itself, 0: when told */
    uint64_t unused_[5];
};

struct engine_reference_in {
    uint32_t pair;
    uint32_t unused_;
    int64_t price;
    uint64_t unused2_[5];
};

struct engine_money_in {
    uint64_t id;
    uint64_t amount;
    uint32_t account;
    uint32_t asset;
    uint32_t to; /* TRANSFER, HOLD: account, or (HOLD) ENGINE_NOBODY for a withdrawal */
    uint32_t unused_;
    uint64_t unused2_[3];
};

struct engine_command {
    uint8_t op; /* enum engine_op */
    uint8_t side;
    uint8_t type;
    uint8_t tif;
    uint8_t stp;
    uint8_t flags;
    uint8_t unused_[2];
    union {
        struct engine_order_in order;
        struct engine_cancel_in cancel;
        struct engine_replace_in replace;
        struct engine_mass_in mass;
        struct engine_clock_in clock;
        struct engine_asset_in asset;
        struct engine_pair_in pair;
        struct engine_rules_in rules;
        struct engine_guard_in guard;
        struct engine_fees_in fees;
        struct engine_account_in account;
        struct engine_right_in right;
        struct engine_state_in state;
        struct engine_reference_in reference;
        struct engine_money_in money;
    };
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "journals are little-endian");
_Static_assert(sizeof(struct engine_command) == ENGINE_COMMAND_BYTES, "no holes");
_Static_assert(sizeof(struct engine_order_in) == 56 && sizeof(struct engine_cancel_in) == 56 &&
                   sizeof(struct engine_replace_in) == 56 && sizeof(struct engine_mass_in) == 56 &&
                   sizeof(struct engine_clock_in) == 56 && sizeof(struct engine_asset_in) == 56 &&
                   sizeof(struct engine_pair_in) == 56 && sizeof(struct engine_rules_in) == 56 &&
                   sizeof(struct engine_guard_in) == 56 && sizeof(struct engine_fees_in) == 56 &&
                   sizeof(struct engine_account_in) == 56 && sizeof(struct engine_right_in) == 56 &&
                   sizeof(struct engine_state_in) == 56 &&
                   sizeof(struct engine_reference_in) == 56 && sizeof(struct engine_money_in) == 56,
               "each fills the union, so that every byte of a command is a named one");

/* engine_command_sound says whether a command has a shape that engine_command_decode takes. */
bool engine_command_sound(const struct engine_command *c);

/* engine_command_encode writes the 64 bytes of a command, which must be sound. */
void engine_command_encode(const struct engine_command *c, uint8_t out[ENGINE_COMMAND_BYTES]);

/*
 * engine_command_decode reads 64 bytes. It vouches for the shape alone (a known op, unused bytes
 * zero); values are judged by the engine, which refuses with a reason.
 * Errors: ERR_INVALID_ENCODING.
 */
enum err engine_command_decode(const uint8_t bytes[ENGINE_COMMAND_BYTES],
                               struct engine_command *out, struct why *why) ERR_CHECKED;

/* engine_op_text names an op in lower case, "unknown" when it is none. */
const char *engine_op_text(unsigned op);

/* engine_state_text names a state in lower case, "unknown" when it is none. */
const char *engine_state_text(unsigned state);

#endif
