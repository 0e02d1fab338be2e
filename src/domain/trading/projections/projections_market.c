/*
 * projections_market.c: candles, and the minutes that the statistics of 24 hours are made of.
 */
#include "domain/trading/projections/projections_internal.h"

const int64_t projections_span_sec[PROJECTIONS_SPANS] = {60, 300, 900, 3600, 14400, 86400};

static void add_trade(struct projections_candle *c, int64_t price, int64_t qty)
{
    if (c->trades == 0) {
        c->open = c->high = c->low = price;
    }
    c->high = price > c->high ? price : c->high;
    c->low = price < c->low ? price : c->low;
    c->close = price;
    c->volume += (uint64_t)qty;
    c->notional += (projections_u128)(uint64_t)price * (uint64_t)qty;
    c->trades++;
    c->dirty = true;
}

/* A later candle joins an earlier one. */
static void add_candle(struct projections_candle *c, const struct projections_candle *later)
{
    if (c->trades == 0) {
        *c = *later;
        return;
    }
    c->high = later->high > c->high ? later->high : c->high;
    c->low = later->low < c->low ? later->low : c->low;
    c->close = later->close;
    c->volume += later->volume;
    c->notional += later->notional;
    c->trades += later->trades;
}

static void close_candle(struct projections *p, const struct projections_pair *pair, uint32_t span)
{
    p->closed =
        projections_room(p->closed, p->closed_waiting, &p->closed_capacity, sizeof *p->closed);
    p->closed[p->closed_waiting++] = (struct projections_closed){
        .candle = pair->candles[span], .pair = pair->number, .span = span};
}

void projections_minute_add(struct projections_pair *pair, const struct projections_candle *minute)
{
    if (pair->minute_end == pair->minute_capacity && pair->minute_first > 0) {
        pair->minute_end -= pair->minute_first;
        memmove(pair->minutes, &pair->minutes[pair->minute_first],
                pair->minute_end * sizeof *pair->minutes);
        pair->minute_first = 0;
    }
    pair->minutes = projections_room(pair->minutes, pair->minute_end, &pair->minute_capacity,
                                     sizeof *pair->minutes);
    pair->minutes[pair->minute_end++] = *minute;
}

static void add_to_minutes(struct projections *p, struct projections_pair *pair, int64_t price,
                           int64_t qty)
{
    const int64_t begins = p->now_usec - p->now_usec % PROJECTIONS_MINUTE_USEC;
    if (pair->minute_end == pair->minute_first ||
        pair->minutes[pair->minute_end - 1].begins_usec != begins) {
        projections_minute_add(pair, &(struct projections_candle){.begins_usec = begins});
    }
    add_trade(&pair->minutes[pair->minute_end - 1], price, qty);
    pair->statistics_dirty = true;
}

void projections_market_traded(struct projections *p, struct projections_pair *pair, int64_t price,
                               int64_t qty)
{
    for (uint32_t span = 0; span < PROJECTIONS_SPANS; span++) {
        struct projections_candle *c = &pair->candles[span];
        const int64_t begins =
            p->now_usec - p->now_usec % (projections_span_sec[span] * USEC_PER_SEC);
        if (c->begins_usec != begins || c->trades == 0) {
            if (c->dirty) {
                close_candle(p, pair, span);
            }
            *c = (struct projections_candle){.begins_usec = begins};
        }
        add_trade(c, price, qty);
    }
    add_to_minutes(p, pair, price, qty);
}

void projections_minutes_expire(struct projections *p)
{
    const int64_t minute = p->now_usec - p->now_usec % PROJECTIONS_MINUTE_USEC;
    const int64_t oldest = minute - (PROJECTIONS_MINUTES - 1) * PROJECTIONS_MINUTE_USEC;
    for (uint32_t i = 0; i < p->pair_end; i++) {
        struct projections_pair *pair = p->pairs[i];
        while (pair != NULL && pair->minute_first < pair->minute_end &&
               pair->minutes[pair->minute_first].begins_usec < oldest) {
            pair->minute_first++;
            pair->statistics_dirty = true;
        }
    }
}

struct projections_candle projections_statistics(const struct projections_pair *pair)
{
    struct projections_candle all = {0};
    for (size_t i = pair->minute_first; i < pair->minute_end; i++) {
        add_candle(&all, &pair->minutes[i]);
    }
    return all;
}
