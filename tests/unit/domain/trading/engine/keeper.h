/*
 * keeper.h: keeps a book, orders and balances from events alone, in plain arrays, and objects to
 * whatever cannot be. It knows prices, times and sums; it knows nothing of how the engine works.
 */
#ifndef UNIT_ENGINE_KEEPER_H
#define UNIT_ENGINE_KEEPER_H

#include "domain/trading/engine/engine.h"
#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define KEEPER_IDS 70000
#define KEEPER_ACCOUNTS 16
#define KEEPER_ASSETS 4
#define KEEPER_PAIRS 4
#define KEEPER_RESTING 4096

struct kept_order {
    bool known;
    bool done;
    int64_t total;
    int64_t filled;
    int64_t given; /* reduced, prevented, cancelled */
    uint64_t funds;
    uint32_t account;
    uint32_t pair;
    uint8_t side;
};

struct keeper {
    struct kept_order orders[KEEPER_IDS];
    int64_t total[KEEPER_ACCOUNTS][KEEPER_ASSETS]; /* available and locked together */
    struct resting {
        uint64_t id;
        int64_t price;
        int64_t left;
        uint32_t pair;
        uint8_t side;
    } resting[KEEPER_RESTING]; /* in the order of entering */
    size_t resting_count;
    uint32_t base[KEEPER_PAIRS];
    uint32_t quote[KEEPER_PAIRS];
    uint32_t fee_account[KEEPER_PAIRS];
    uint64_t lot_units[KEEPER_PAIRS];
    bool settled[KEEPER_PAIRS];
    uint8_t state[KEEPER_PAIRS];
    uint64_t trades;
    uint64_t counts[ENGINE_EVENT_COUNT];
    uint64_t seq;
    uint32_t index;
    int64_t now;
    unsigned rejections;
    uint64_t mix; /* of all events, to compare two runs */
};

static inline size_t keeper_find(const struct keeper *k, uint64_t id)
{
    for (size_t i = 0; i < k->resting_count; i++) {
        if (k->resting[i].id == id) {
            return i;
        }
    }
    return SIZE_MAX;
}

static inline void keeper_take(struct keeper *k, size_t at)
{
    ASSERT(at < k->resting_count);
    k->resting_count--;
    memmove(&k->resting[at], &k->resting[at + 1], (k->resting_count - at) * sizeof k->resting[0]);
}

/* The one that must trade next on a side: best price, then first come. */
static inline size_t keeper_best(const struct keeper *k, uint32_t pair, uint8_t side)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < k->resting_count; i++) {
        const struct resting *r = &k->resting[i];
        if (r->pair != pair || r->side != side) {
            continue;
        }
        if (best == SIZE_MAX || (side == ENGINE_BUY ? r->price > k->resting[best].price
                                                    : r->price < k->resting[best].price)) {
            best = i;
        }
    }
    return best;
}

static inline void keeper_fill(struct keeper *k, size_t at, int64_t qty)
{
    k->resting[at].left -= qty;
    ASSERT(k->resting[at].left >= 0);
    if (k->resting[at].left == 0) {
        keeper_take(k, at);
    }
}

static inline void keeper_order_done(struct kept_order *o)
{
    ASSERT(o->funds != 0 || o->filled + o->given == o->total);
    o->done = true;
}

static inline void keeper_trade(struct keeper *k, const struct engine_event *ev)
{
    struct kept_order *maker = &k->orders[ev->order];
    struct kept_order *taker = &k->orders[ev->other];
    const bool auction = ev->type != 0;
    ASSERT(ev->qty > 0 && ev->price > 0 && maker->side != taker->side && taker->side == ev->side);
    size_t at = keeper_best(k, ev->pair, maker->side);
    ASSERT(at != SIZE_MAX && k->resting[at].id == ev->order); /* price, then time */
    ASSERT(auction || k->resting[at].price == ev->price);
    keeper_fill(k, at, ev->qty);
    if (auction) {
        at = keeper_best(k, ev->pair, taker->side);
        ASSERT(at != SIZE_MAX && k->resting[at].id == ev->other);
        const int64_t limit = k->resting[at].price;
        ASSERT(taker->side == ENGINE_BUY ? ev->price <= limit : ev->price >= limit);
        keeper_fill(k, at, ev->qty);
    } else {
        ASSERT(keeper_find(k, ev->other) == SIZE_MAX);
    }
    maker->filled += ev->qty;
    taker->filled += ev->qty;
    if (maker->filled + maker->given == maker->total) {
        keeper_order_done(maker);
    }
    if (taker->funds == 0 && taker->filled + taker->given == taker->total) {
        keeper_order_done(taker);
    }
    k->trades++;
    if (!k->settled[ev->pair]) {
        return;
    }
    const struct kept_order *buyer = taker->side == ENGINE_BUY ? taker : maker;
    const struct kept_order *seller = buyer == taker ? maker : taker;
    const int64_t fee_buyer = (int64_t)(buyer == taker ? ev->fee_taker : ev->fee_maker);
    const int64_t fee_seller = (int64_t)(buyer == taker ? ev->fee_maker : ev->fee_taker);
    const int64_t lots = ev->qty * (int64_t)k->lot_units[ev->pair];
    const uint32_t base = k->base[ev->pair];
    const uint32_t quote = k->quote[ev->pair];
    k->total[buyer->account][base] += lots;
    k->total[seller->account][base] -= lots;
    k->total[buyer->account][quote] -= (int64_t)ev->amount + fee_buyer;
    k->total[seller->account][quote] += (int64_t)ev->amount - fee_seller;
    k->total[k->fee_account[ev->pair]][quote] += fee_buyer + fee_seller;
}

static inline void keeper_money(struct keeper *k, const struct engine_event *ev)
{
    const int64_t amount = (int64_t)ev->amount;
    if (ev->kind == ENGINE_EVENT_CREDITED) {
        k->total[ev->account][ev->other] += amount;
    } else if (ev->kind == ENGINE_EVENT_TRANSFERRED || ev->kind == ENGINE_EVENT_POSTED) {
        k->total[ev->account][ev->other] -= amount;
        if (ev->account_other != ENGINE_NOBODY) {
            k->total[ev->account_other][ev->other] += amount;
        }
    }
}

static inline void keeper_rest(struct keeper *k, const struct engine_event *ev)
{
    struct kept_order *o = &k->orders[ev->order];
    ASSERT(!o->done && ev->qty == o->total - o->filled - o->given);
    ASSERT(keeper_find(k, ev->order) == SIZE_MAX && k->resting_count < KEEPER_RESTING);
    k->resting[k->resting_count++] = (struct resting){
        .id = ev->order, .price = ev->price, .left = ev->qty, .pair = ev->pair, .side = ev->side};
}

static inline void keeper_finish(struct keeper *k, const struct engine_event *ev)
{
    struct kept_order *o = &k->orders[ev->order];
    const size_t at = keeper_find(k, ev->order);
    ASSERT(!o->done);
    if (at != SIZE_MAX) {
        ASSERT(k->resting[at].left == ev->qty || ev->qty == 0);
        keeper_take(k, at);
    }
    o->given += ev->qty;
    keeper_order_done(o);
}

static inline void keeper_event(void *ctx, const struct engine_event *ev)
{
    struct keeper *k = ctx;
    struct kept_order *o = ev->order < KEEPER_IDS ? &k->orders[ev->order] : NULL;
    const uint64_t words[] = {ev->seq,
                              ev->kind | (uint64_t)ev->reason << 8,
                              ev->order,
                              ev->other,
                              (uint64_t)ev->price,
                              (uint64_t)ev->qty,
                              ev->amount,
                              ev->fee_maker};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        k->mix = (k->mix ^ words[i]) * UINT64_C(0x9E3779B97F4A7C15);
    }
    ASSERT(ev->seq > k->seq ? ev->index == 0 : ev->index == k->index + 1);
    k->seq = ev->seq;
    k->index = ev->index;
    k->counts[ev->kind]++;
    switch ((enum engine_event_kind)ev->kind) {
    case ENGINE_EVENT_ACCEPTED:
        ASSERT(!o->known);
        *o = (struct kept_order){.known = true,
                                 .total = ev->qty,
                                 .funds = ev->amount,
                                 .account = ev->account,
                                 .pair = ev->pair,
                                 .side = ev->side};
        break;
    case ENGINE_EVENT_RESTED:
        keeper_rest(k, ev);
        break;
    case ENGINE_EVENT_TRADED:
        keeper_trade(k, ev);
        break;
    case ENGINE_EVENT_REDUCED: {
        const size_t at = keeper_find(k, ev->order);
        ASSERT(at != SIZE_MAX && k->resting[at].left - (int64_t)ev->amount == ev->qty);
        k->resting[at].left = ev->qty;
        o->given += (int64_t)ev->amount;
        break;
    }
    case ENGINE_EVENT_REMOVED:
        keeper_take(k, keeper_find(k, ev->order));
        o->total = o->filled + o->given + ev->qty;
        break;
    case ENGINE_EVENT_PREVENTED:
        o->given += ev->qty;
        break;
    case ENGINE_EVENT_CANCELLED:
        if (ev->qty == 0 && keeper_find(k, ev->order) != SIZE_MAX) { /* given up as a maker */
            o->given += k->resting[keeper_find(k, ev->order)].left;
        }
        keeper_finish(k, ev);
        break;
    case ENGINE_EVENT_TIME:
        ASSERT(ev->price >= k->now);
        k->now = ev->price;
        break;
    case ENGINE_EVENT_PAIR:
        k->base[ev->pair] = (uint32_t)ev->order;
        k->quote[ev->pair] = (uint32_t)ev->other;
        k->fee_account[ev->pair] = ev->account;
        k->lot_units[ev->pair] = (uint64_t)ev->qty;
        k->settled[ev->pair] = ev->amount != 0;
        break;
    case ENGINE_EVENT_STATE:
        k->state[ev->pair] = (uint8_t)ev->other;
        break;
    case ENGINE_EVENT_CREDITED:
    case ENGINE_EVENT_TRANSFERRED:
    case ENGINE_EVENT_POSTED:
        keeper_money(k, ev);
        break;
    case ENGINE_EVENT_REJECTED:
        k->rejections++;
        break;
    case ENGINE_EVENT_NONE:
    case ENGINE_EVENT_APPLIED:
    case ENGINE_EVENT_PARKED:
    case ENGINE_EVENT_TRIGGERED:
    case ENGINE_EVENT_INDICATIVE:
    case ENGINE_EVENT_UNCROSSED:
    case ENGINE_EVENT_HELD:
    case ENGINE_EVENT_VOIDED:
    case ENGINE_EVENT_COUNT:
        break;
    }
}

/* keeper_agrees compares everything kept with what the engine says. */
struct keeper_walk {
    const struct keeper *keeper;
    size_t seen;
    uint64_t last_id[2];
};

static inline void keeper_compare_order(void *ctx, const struct engine_order_view *o)
{
    struct keeper_walk *walk = ctx;
    if (o->parked) {
        return;
    }
    const size_t at = keeper_find(walk->keeper, o->id);
    ASSERT(at != SIZE_MAX);
    const struct resting *r = &walk->keeper->resting[at];
    ASSERT(r->left == o->left && r->price == o->price && r->side == o->side && r->pair == o->pair);
    ASSERT(walk->keeper->orders[o->id].filled == o->filled);
    walk->seen++;
}

static inline void keeper_agrees(const struct keeper *k, const struct engine *e)
{
    struct keeper_walk walk = {.keeper = k};
    for (uint32_t p = 0; p < KEEPER_PAIRS; p++) {
        engine_walk(e, p, keeper_compare_order, &walk);
    }
    ASSERT(walk.seen == k->resting_count);
    for (uint32_t a = 0; a < KEEPER_ACCOUNTS; a++) {
        for (uint32_t s = 0; s < KEEPER_ASSETS; s++) {
            const struct engine_balance_view b = engine_balance(e, a, s);
            ASSERT((int64_t)(b.available + b.locked) == k->total[a][s]);
        }
    }
}

#endif
