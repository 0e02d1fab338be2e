/*
 * auction.c: call auctions and the states of a pair.
 *
 * The price of an auction: the largest volume that can trade at one price; of these, the least
 * surplus; of these, if the surplus is the buyers' at all of them the highest, if the sellers' the
 * lowest; else the one nearest to the reference price. Demand falls with the price and supply
 * rises, so the prices that tie are one range. Between two levels both are constant, and a price
 * there can be better than either level: ranges between levels are candidates too.
 *
 * At that price everybody who bid more or asked less trades, by price, then time, until the volume
 * is done. Nothing crosses afterwards: had it crossed, the volume would have been larger.
 */
#include "domain/trading/engine/internal.h"

void auction_touch(struct engine *e, struct engine_pair *pair)
{
    if (pair->state == ENGINE_AUCTION && !pair->dirty) {
        pair->dirty = true;
        pair->dirty_next = e->dirty;
        e->dirty = pair->number + 1;
    }
}

void auction_set_reference(struct engine_pair *pair, int64_t price)
{
    pair->reference = price;
    pair->halt_low = 0;
    pair->halt_high = INT64_MAX;
    if (price != 0 && pair->halt_ppm != 0) {
        const engine_u128 width = (engine_u128)price * pair->halt_ppm / ENGINE_PPM;
        pair->halt_low = width < (uint64_t)price ? price - (int64_t)width : 0;
        const engine_u128 high = (uint64_t)price + width;
        pair->halt_high = high < INT64_MAX ? (int64_t)high : INT64_MAX;
    }
}

/* The best candidates so far: they tie. */
struct search {
    int64_t lo;
    int64_t hi;
    int64_t volume;
    int64_t surplus; /* its size */
    int64_t buyers;  /* highest of the prices at which the surplus is the buyers', 0: none */
    bool sellers;    /* it is the sellers' at some */
    bool balanced;
};

static void consider(struct search *s, int64_t lo, int64_t hi, int64_t demand, int64_t supply)
{
    const int64_t volume = demand < supply ? demand : supply;
    const int64_t surplus = demand < supply ? supply - demand : demand - supply;
    if (volume == 0 || volume < s->volume || (volume == s->volume && surplus > s->surplus)) {
        return;
    }
    if (volume > s->volume || surplus < s->surplus) {
        *s = (struct search){.lo = lo, .volume = volume, .surplus = surplus};
    }
    s->hi = hi;
    s->buyers = demand > supply ? hi : s->buyers;
    s->sellers |= demand < supply;
    s->balanced |= demand == supply;
}

static int64_t clamp(int64_t value, int64_t lo, int64_t hi)
{
    return value < lo ? lo : (value > hi ? hi : value);
}

static struct engine_auction decide(const struct search *s, int64_t reference, int64_t step)
{
    if (s->volume == 0) {
        return (struct engine_auction){0};
    }
    int64_t price;
    if (s->buyers != 0 && !s->sellers && !s->balanced) {
        price = s->hi;
    } else if (s->sellers && s->buyers == 0 && !s->balanced) {
        price = s->lo;
    } else {
        const int64_t wish = reference != 0 ? reference : s->lo + (s->hi - s->lo) / 2;
        const int64_t near = wish / step * step; /* of the two grid points around it */
        price = clamp(wish - near > step / 2 ? near + step : near, s->lo, s->hi);
    }
    const bool to_buyers = price <= s->buyers;
    return (struct engine_auction){
        .price = price, .volume = s->volume, .surplus = to_buyers ? s->surplus : -s->surplus};
}

struct engine_auction auction_compute(const struct engine *e, const struct engine_pair *pair)
{
    const struct engine_level *levels = e->ladders.levels;
    uint32_t ask = pair->book[ENGINE_SELL].best;
    uint32_t bid = 0;
    int64_t demand = 0;
    int64_t supply = 0;
    struct search s = {0};
    if (ask == 0 || pair->book[ENGINE_BUY].best == 0) {
        return (struct engine_auction){0};
    }
    const int64_t lowest = levels[ask].price;
    const int64_t top = levels[pair->book[ENGINE_BUY].best].price;
    for (uint32_t at = pair->book[ENGINE_BUY].best; at != 0 && levels[at].price >= lowest;
         at = levels[at].worse) {
        demand += levels[at].qty;
        bid = at;
    }
    /* Upwards through the prices at which demand or supply changes. */
    for (int64_t price = lowest; price <= top;) {
        if (ask != 0 && levels[ask].price == price) {
            supply += levels[ask].qty;
            ask = levels[ask].worse;
        }
        consider(&s, price, price, demand, supply);
        if (bid != 0 && levels[bid].price == price) {
            demand -= levels[bid].qty;
            bid = levels[bid].better;
        }
        int64_t next = bid != 0 ? levels[bid].price : INT64_MAX;
        next = ask != 0 && levels[ask].price < next ? levels[ask].price : next;
        const int64_t above = price / pair->price_step * pair->price_step + pair->price_step;
        const int64_t below =
            next == INT64_MAX ? 0 : (next - 1) / pair->price_step * pair->price_step;
        if (above <= below && next <= top) {
            consider(&s, above, below, demand, supply);
        }
        price = next;
    }
    return decide(&s, pair->reference != 0 ? pair->reference : pair->last, pair->price_step);
}

void auction_show(struct engine *e)
{
    while (e->dirty != 0) {
        struct engine_pair *pair = &e->pairs[e->dirty - 1];
        e->dirty = pair->dirty_next;
        pair->dirty = false;
        pair->dirty_next = 0;
        const struct engine_auction now =
            pair->state == ENGINE_AUCTION ? auction_compute(e, pair) : (struct engine_auction){0};
        if (now.price == pair->shown.price && now.volume == pair->shown.volume &&
            now.surplus == pair->shown.surplus) {
            continue;
        }
        pair->shown = now;
        if (pair->state == ENGINE_AUCTION && engine_wants(e, ENGINE_EVENT_INDICATIVE)) {
            const bool sellers = now.surplus < 0;
            engine_tell(
                e, (struct engine_event){.kind = ENGINE_EVENT_INDICATIVE,
                                         .side = sellers ? ENGINE_SELL : ENGINE_BUY,
                                         .price = now.price,
                                         .qty = now.volume,
                                         .amount = (uint64_t)(sellers ? -now.surplus : now.surplus),
                                         .pair = pair->number});
        }
    }
}

/* Rights that ended are looked at before the price is made: who may not trade makes no price. */
static void sweep_ineligible(struct engine *e, struct engine_pair *pair)
{
    for (unsigned s = ENGINE_BUY; s <= ENGINE_SELL; s++) {
        const uint8_t side = (uint8_t)s;
        for (uint32_t at = pair->book[side].best, worse; at != 0; at = worse) {
            worse = e->ladders.levels[at].worse;
            for (uint32_t slot = e->ladders.levels[at].head, next; slot != 0; slot = next) {
                next = e->orders[slot].next;
                if (!money_eligible(e, pair, &e->orders[slot])) {
                    order_cancel(e, pair, slot, ENGINE_INELIGIBLE);
                }
            }
        }
    }
}

static void cancel_auction_orders(struct engine *e, struct engine_pair *pair)
{
    for (unsigned s = ENGINE_BUY; s <= ENGINE_SELL && pair->auction_orders > 0; s++) {
        const uint8_t side = (uint8_t)s;
        for (uint32_t at = pair->book[side].best, worse; at != 0; at = worse) {
            worse = e->ladders.levels[at].worse;
            for (uint32_t slot = e->ladders.levels[at].head, next; slot != 0; slot = next) {
                next = e->orders[slot].next;
                if ((e->orders[slot].flags & ORDER_AUCTION) != 0) {
                    order_cancel(e, pair, slot, ENGINE_REST_MARKET);
                }
            }
        }
    }
}

void auction_uncross(struct engine *e, struct engine_pair *pair)
{
    if (pair->restricted) {
        sweep_ineligible(e, pair);
    }
    const struct engine_auction result = auction_compute(e, pair);
    int64_t volume = result.volume;
    while (volume > 0) {
        const uint32_t bid = e->ladders.levels[pair->book[ENGINE_BUY].best].head;
        const uint32_t ask = e->ladders.levels[pair->book[ENGINE_SELL].best].head;
        struct engine_order *b = &e->orders[bid];
        struct engine_order *a = &e->orders[ask];
        ASSERT(b->price >= result.price && a->price <= result.price);
        int64_t q = b->left < a->left ? b->left : a->left;
        q = q < volume ? q : volume;
        const bool bid_first = b->prio < a->prio;
        order_fill(e, pair, bid_first ? bid : ask, bid_first ? ask : bid, result.price, q, true);
        volume -= q;
        if (b->left == 0) {
            book_unlink(e, pair, b);
            order_free(e, bid);
        }
        if (a->left == 0) {
            book_unlink(e, pair, a);
            order_free(e, ask);
        }
    }
    if (result.volume > 0) {
        auction_set_reference(pair, result.price);
    }
    if (engine_wants(e, ENGINE_EVENT_UNCROSSED)) {
        engine_tell(e, (struct engine_event){.kind = ENGINE_EVENT_UNCROSSED,
                                             .price = result.price,
                                             .qty = result.volume,
                                             .pair = pair->number});
    }
    cancel_auction_orders(e, pair);
}

static void set_state(struct engine *e, struct engine_pair *pair, enum engine_state state,
                      int64_t until_usec)
{
    pair->state = (uint8_t)state;
    pair->until_usec = until_usec;
    timers_set(&e->timers, (struct timer){until_usec, pair->number, TIMER_PAIR, pair->number});
    if (engine_wants(e, ENGINE_EVENT_STATE)) {
        engine_tell(e, (struct engine_event){.kind = ENGINE_EVENT_STATE,
                                             .other = state,
                                             .price = until_usec,
                                             .pair = pair->number});
    }
    if (state == ENGINE_AUCTION) {
        auction_touch(e, pair);
    } else {
        pair->shown = (struct engine_auction){0};
    }
}

void auction_halt(struct engine *e, struct engine_pair *pair)
{
    set_state(e, pair, ENGINE_AUCTION, e->now_usec + pair->halt_usec);
}

static void cancel_all(struct engine *e, struct engine_pair *pair)
{
    struct ladder *ladders[] = {&pair->book[ENGINE_BUY], &pair->book[ENGINE_SELL],
                                &pair->stops[ENGINE_BUY], &pair->stops[ENGINE_SELL]};
    for (size_t i = 0; i < sizeof ladders / sizeof ladders[0]; i++) {
        while (ladders[i]->best != 0) {
            order_cancel(e, pair, e->ladders.levels[ladders[i]->best].head, ENGINE_ENDED);
        }
    }
}

void auction_enter_state(struct engine *e, struct engine_pair *pair, enum engine_state state,
                         int64_t until_usec)
{
    if (state == ENGINE_OPEN && pair->state != ENGINE_OPEN) {
        auction_uncross(e, pair);
    }
    if (state == ENGINE_CLOSED) {
        cancel_all(e, pair);
    }
    set_state(e, pair, state, until_usec);
    if (state == ENGINE_OPEN) {
        match_cascade(e, pair);
    }
}

void auction_end(struct engine *e, struct engine_pair *pair)
{
    if (pair->period_usec == 0) {
        auction_enter_state(e, pair, ENGINE_OPEN, 0);
        return;
    }
    const int64_t late = (e->now_usec - pair->until_usec) / pair->period_usec;
    const int64_t next = pair->until_usec + (late + 1) * pair->period_usec;
    auction_uncross(e, pair);
    set_state(e, pair, ENGINE_AUCTION, next);
    match_cascade(e, pair);
}
