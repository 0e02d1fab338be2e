/*
 * check.c: every invariant of engine.h, from scratch over the whole state.
 */
#include "domain/trading/engine/internal.h"

#include "kernel/base/mem.h"

/* Sums that are made again from orders and holds. */
struct sums {
    uint64_t *locked;   /* by balance */
    uint64_t *incoming; /* by right */
    uint64_t *held;     /* by right */
    uint32_t orders;
    uint32_t timers;
};

static void check_order(const struct engine *e, const struct engine_pair *pair, uint32_t at,
                        struct sums *sums)
{
    const struct engine_order *o = &e->orders[at];
    ASSERT(o->id != 0 && o->left > 0 && o->left <= ENGINE_QTY_MAX && o->filled >= 0);
    ASSERT((o->flags & ORDER_OPENED) != 0 && o->prio != 0 && o->prio <= e->prio);
    ASSERT(engine_find_order(e, o->id) == at && id_window_used(&e->window, o->id));
    ASSERT(o->owner == e->accounts[o->account].owner && o->pair == pair->number);
    ASSERT((o->expire_usec != 0) == (o->timer != 0) && o->expire_usec >= 0);
    ASSERT(o->expire_usec == 0 || o->expire_usec > e->now_usec);
    sums->orders++;
    sums->timers += o->timer != 0;
    if (!pair->settled) {
        ASSERT(o->per_lot == 0);
        return;
    }
    uint64_t per_lot;
    ASSERT(money_per_lot(pair, o, o->price, &per_lot) && per_lot == o->per_lot);
    ASSERT(e->balances[o->base].account == o->account && e->balances[o->base].asset == pair->base);
    ASSERT(e->balances[o->quote].asset == pair->quote);
    sums->locked[o->side == ENGINE_BUY ? o->quote : o->base] += o->per_lot * (uint64_t)o->left;
    if (o->side == ENGINE_BUY) {
        sums->incoming[e->balances[o->base].right] += pair->lot_units * (uint64_t)o->left;
    }
}

static void check_ladder(const struct engine *e, const struct engine_pair *pair,
                         const struct ladder *ladder, uint8_t side, enum engine_where where,
                         struct sums *sums)
{
    (void)ladder_check(ladder, &e->ladders);
    for (uint32_t l = ladder->best; l != 0; l = e->ladders.levels[l].worse) {
        const struct engine_level *level = &e->ladders.levels[l];
        int64_t qty = 0;
        uint32_t prev = 0;
        for (uint32_t at = level->head; at != 0; at = e->orders[at].next) {
            const struct engine_order *o = &e->orders[at];
            ASSERT(o->where == where && o->side == side && o->level == l && o->prev == prev);
            ASSERT(level->price == (where == ORDER_PARKED ? o->stop : o->price));
            ASSERT(prev == 0 || e->orders[prev].prio < o->prio);
            check_order(e, pair, at, sums);
            qty += o->left;
            prev = at;
        }
        ASSERT(level->tail == prev && level->qty == qty);
    }
}

static void check_pair(const struct engine *e, const struct engine_pair *pair, struct sums *sums)
{
    for (unsigned s = ENGINE_BUY; s <= ENGINE_SELL; s++) {
        const uint8_t side = (uint8_t)s;
        check_ladder(e, pair, &pair->book[side], side, ORDER_BOOK, sums);
        check_ladder(e, pair, &pair->stops[side], side, ORDER_PARKED, sums);
        const uint32_t stop = pair->stops[side].best;
        ASSERT(stop == 0 || pair->state != ENGINE_OPEN ||
               !match_stop_met(pair, side, e->ladders.levels[stop].price));
    }
    const uint32_t bid = pair->book[ENGINE_BUY].best;
    const uint32_t ask = pair->book[ENGINE_SELL].best;
    ASSERT(pair->state != ENGINE_OPEN || bid == 0 || ask == 0 ||
           e->ladders.levels[bid].price < e->ladders.levels[ask].price);
    ASSERT(pair->state != ENGINE_CLOSED || (bid == 0 && ask == 0));
    ASSERT(!pair->dirty && (pair->until_usec != 0) == (pair->timer != 0));
    sums->timers += pair->timer != 0;
    if (pair->state == ENGINE_AUCTION) {
        const struct engine_auction now = auction_compute(e, pair);
        ASSERT(now.price == pair->shown.price && now.volume == pair->shown.volume);
    }
}

static void check_accounts(const struct engine *e, struct sums *sums)
{
    uint32_t orders = 0;
    for (uint32_t i = 0; i < e->limits.accounts; i++) {
        const struct engine_account *a = &e->accounts[i];
        uint32_t prev = 0;
        uint32_t open = 0;
        for (uint32_t at = a->head; at != 0; at = e->orders[at].account_next) {
            ASSERT(e->orders[at].account == i && e->orders[at].account_prev == prev);
            prev = at;
            open++;
        }
        ASSERT(a->tail == prev && a->open == open && (a->defined || open == 0));
        ASSERT((a->cancel_usec != 0) == (a->timer != 0));
        sums->timers += a->timer != 0;
        orders += open;
    }
    ASSERT(orders == sums->orders && orders == e->order_count && orders <= e->limits.orders);
    ASSERT(sums->timers == e->timers.count);
    for (uint32_t i = 2; i <= e->timers.count; i++) {
        ASSERT(e->timers.heap[i / 2].when_usec <= e->timers.heap[i].when_usec);
    }
    ASSERT(timers_due(&e->timers, e->now_usec) == NULL);
}

static void check_money(const struct engine *e, struct sums *sums)
{
    uint64_t *supply = mem_alloc(e->limits.assets * sizeof *supply);
    for (uint32_t i = 1; i <= e->hold_used; i++) {
        const struct engine_hold *h = &e->holds[i];
        if (h->id == 0) {
            continue;
        }
        ASSERT(engine_find_hold(e, h->id) == i);
        sums->locked[engine_find_balance(e, h->account, h->asset)] += h->amount;
        if (h->to != ENGINE_NOBODY) {
            const uint32_t owner = e->accounts[h->to].owner;
            sums->incoming[engine_find_right(e, owner, h->asset)] += h->amount;
        }
    }
    for (uint32_t i = 1; i <= e->balance_count; i++) {
        const struct engine_balance *b = &e->balances[i];
        ASSERT(b->available <= ENGINE_AMOUNT_MAX && b->locked <= ENGINE_AMOUNT_MAX);
        ASSERT(b->locked == sums->locked[i] && engine_find_balance(e, b->account, b->asset) == i);
        supply[b->asset] += b->available + b->locked;
        sums->held[b->right] += b->available + b->locked;
    }
    for (uint32_t i = 1; i <= e->right_count; i++) {
        ASSERT(e->rights[i].held == sums->held[i]);
        ASSERT(e->rights[i].incoming == sums->incoming[i]);
    }
    for (uint32_t i = 0; i < e->limits.assets; i++) {
        ASSERT(supply[i] == e->assets[i].supply && supply[i] <= ENGINE_AMOUNT_MAX);
    }
    mem_free(supply);
}

void engine_check(const struct engine *e)
{
    struct sums sums = {0};
    sums.locked = mem_alloc(((size_t)e->balance_count + 1) * sizeof *sums.locked);
    sums.incoming = mem_alloc(((size_t)e->right_count + 1) * sizeof *sums.incoming);
    sums.held = mem_alloc(((size_t)e->right_count + 1) * sizeof *sums.held);
    for (uint32_t i = 0; i < e->limits.pairs; i++) {
        if (e->pairs[i].defined) {
            check_pair(e, &e->pairs[i], &sums);
        }
    }
    check_accounts(e, &sums);
    check_money(e, &sums);
    mem_free(sums.locked);
    mem_free(sums.incoming);
    mem_free(sums.held);
}
