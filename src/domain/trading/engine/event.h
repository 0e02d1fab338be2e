/*
 * event.h: what the engine answers: the whole truth about what a command changed.
 *
 * Events of one command come in order and carry its sequence number. From nothing but events one
 * can keep the book order by order, every order, every balance and the tape; the projections do.
 *
 * What a book keeper does: RESTED appends an order to its price; TRADED takes qty from the maker
 * (gone at 0); REDUCED sets what is left of a resting order, which keeps its place; REMOVED takes
 * an order out (it will rest again, or end); CANCELLED ends an order, resting or not. An order of
 * which nothing is left ends with the trade; one by funds ends with its command.
 *
 * What a ledger does: TRADED moves qty lots of base from seller to buyer, `amount` of quote from
 * buyer to seller, and each side's fee to the pair's fee account; the money events say the rest,
 * PAIR what a lot is. An order that rests or is parked locks `amount` for each lot that is left: a
 * buyer of quote, a seller of base; one that was removed tells anew when it rests.
 *
 * What is done at a time comes behind the TIME that it was done at.
 */
#ifndef DOMAIN_TRADING_ENGINE_EVENT_H
#define DOMAIN_TRADING_ENGINE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

/* Append only: projections store them. */
enum engine_event_kind {
    ENGINE_EVENT_NONE = 0,
    ENGINE_EVENT_REJECTED = 1,     /* reason; nothing else happened */
    ENGINE_EVENT_APPLIED = 2,      /* a command about settings or time was taken; other = op */
    ENGINE_EVENT_ACCEPTED = 3,     /* a new order: price, qty = total, type, tif; amount = funds */
    ENGINE_EVENT_RESTED = 4,       /* entered the book at its tail: price, qty = left; amount */
    ENGINE_EVENT_TRADED = 5,       /* order = maker, other = taker, side = the taker's */
    ENGINE_EVENT_REDUCED = 6,      /* a resting order has qty left; amount = lots given up */
    ENGINE_EVENT_REMOVED = 7,      /* a replace took it out: price, qty = new left */
    ENGINE_EVENT_CANCELLED = 8,    /* reason; qty = what was left; it is finished */
    ENGINE_EVENT_PARKED = 9,       /* a stop waits: price = its stop price, qty = left; amount */
    ENGINE_EVENT_TRIGGERED = 10,   /* a stop was met */
    ENGINE_EVENT_PREVENTED = 11,   /* a taker gave up qty to prevent a self-trade */
    ENGINE_EVENT_STATE = 12,       /* the pair is in state `other`; until = price (usec), or 0 */
    ENGINE_EVENT_INDICATIVE = 13,  /* auction now: price, qty = volume; amount = surplus, side */
    ENGINE_EVENT_UNCROSSED = 14,   /* auction held: price, qty = volume (0: no trade) */
    ENGINE_EVENT_CREDITED = 15,    /* deposit: account, other = asset, amount */
    ENGINE_EVENT_TRANSFERRED = 16, /* account to account_other; other = asset, amount */
    ENGINE_EVENT_HELD = 17,        /* first phase: as TRANSFERRED, available to locked */
    ENGINE_EVENT_POSTED = 18,      /* second phase: the held amount went where it was held for */
    ENGINE_EVENT_VOIDED = 19,      /* second phase: locked to available */
    ENGINE_EVENT_TIME = 20,        /* from here on it is `price` (usec) */
    ENGINE_EVENT_PAIR = 21,        /* defined: order = base, other = quote, account takes the fees,
                                      qty = units of a lot, amount = of a tick; 0: unsettled */
    ENGINE_EVENT_COUNT
};

/* Why something was refused or cancelled; the letters are those of the tapes. */
enum engine_reason {
    ENGINE_OK = 0,
    /* refusals */
    ENGINE_INVALID = 'V',       /* no such value: zero, negative, off the grid, unknown pair */
    ENGINE_DUPLICATE = 'D',     /* the id is used, even by what is finished */
    ENGINE_UNKNOWN = 'U',       /* no such order or hold, or not of this account */
    ENGINE_NO_ACCOUNT = 'A',    /* account is not defined */
    ENGINE_WOULD_TAKE = 'P',    /* post-only */
    ENGINE_PARKED_STOP = 'S',   /* a parked stop cannot be replaced; as cancel: self-trade */
    ENGINE_INELIGIBLE = 'E',    /* also cancels: a right that ended or was revoked */
    ENGINE_FUNDS = 'B',         /* balance does not cover it; as cancel: a market order's */
    ENGINE_CAP = 'K',           /* would hold more than allowed; as cancel: a market order's */
    ENGINE_LIMITED = 'L',       /* open orders, or a pool of the engine */
    ENGINE_STATE_FORBIDS = 'H', /* the pair's state; as cancel: it went out of OPEN */
    ENGINE_NO_REFERENCE = 'N',  /* a protected market order, and no price to measure from */
    /* cancels */
    ENGINE_ASKED = 'C',
    ENGINE_REPLACED = 'R', /* to or below what is filled */
    ENGINE_REST_IOC = 'I',
    ENGINE_REST_MARKET = 'M',  /* the opposite side is empty, or beyond the protection */
    ENGINE_NOT_FILLABLE = 'F', /* FOK */
    ENGINE_SPENT = 'Q',        /* a market order by funds has done what it could */
    ENGINE_EXPIRED = 'T',      /* GTD */
    ENGINE_SWITCHED = 'W',     /* mass cancel, cancel-all-after */
    ENGINE_ENDED = 'Z',        /* the pair was closed */
};

#define ENGINE_SELF_TRADE ENGINE_PARKED_STOP /* the tapes give both the letter S */

struct engine_event {
    uint64_t seq; /* of the command */
    uint8_t kind;
    uint8_t reason;
    uint8_t side;
    uint8_t type;
    uint8_t tif;
    uint8_t unused_[3];
    uint64_t order;
    uint64_t other;
    int64_t price;
    int64_t qty;
    uint64_t amount;
    uint64_t fee_maker; /* quote units, charged on top or taken off */
    uint64_t fee_taker;
    uint32_t account; /* TRADED: the maker's */
    uint32_t account_other;
    uint32_t pair;
    uint32_t index; /* 0, 1, … within the command */
};

/* engine_event_text names a kind in lower case, "unknown" when it is none. */
const char *engine_event_text(unsigned kind);

/* engine_reason_text says in a few words what a reason means, "unknown" when it is none. */
const char *engine_reason_text(unsigned reason);

#endif
