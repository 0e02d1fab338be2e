/*
 * match.c: continuous matching. The numbers in comments are rules of docs/matching.md.
 */
#include "domain/trading/engine/internal.h"

uint32_t order_take(struct engine *e)
{
    uint32_t at = e->order_free;
    if (at != 0) {
        e->order_free = e->orders[at].next;
    } else {
        /* One more than can be open: an order that will not rest always finds a slot. */
        ASSERT(e->order_used <= e->limits.orders);
        at = ++e->order_used;
    }
    return at;
}

void order_open(struct engine *e, uint32_t at)
{
    struct engine_order *o = &e->orders[at];
    struct engine_account *a = &e->accounts[o->account];
    o->flags |= ORDER_OPENED;
    o->account_prev = a->tail;
    o->account_next = 0;
    if (a->tail != 0) {
        e->orders[a->tail].account_next = at;
    } else {
        a->head = at;
    }
    a->tail = at;
    a->open++;
    e->order_count++;
    id_map_add(&e->ids, o->id, at);
    if (o->expire_usec != 0) {
        timers_set(&e->timers, (struct timer){o->expire_usec, o->id, TIMER_ORDER, at});
    }
}

void order_free(struct engine *e, uint32_t at)
{
    struct engine_order *o = &e->orders[at];
    if ((o->flags & ORDER_OPENED) != 0) {
        struct engine_account *a = &e->accounts[o->account];
        *(o->account_prev != 0 ? &e->orders[o->account_prev].account_next : &a->head) =
            o->account_next;
        *(o->account_next != 0 ? &e->orders[o->account_next].account_prev : &a->tail) =
            o->account_prev;
        a->open--;
        e->order_count--;
        id_map_remove(&e->ids, o->id, at);
        if (o->timer != 0) {
            timers_set(&e->timers, (struct timer){0, o->id, TIMER_ORDER, at});
        }
    }
    if ((o->flags & ORDER_AUCTION) != 0) {
        e->pairs[o->pair].auction_orders--;
    }
    o->next = e->order_free;
    e->order_free = at;
}

static void level_append(struct engine *e, struct ladder *l, int64_t price, uint32_t at)
{
    struct engine_order *o = &e->orders[at];
    const uint32_t number = ladder_add(l, &e->ladders, price);
    struct engine_level *level = &e->ladders.levels[number];
    o->prio = ++e->prio; /* R2: time is the order of entering */
    o->level = number;
    o->prev = level->tail;
    o->next = 0;
    if (level->tail != 0) {
        e->orders[level->tail].next = at;
    } else {
        level->head = at;
    }
    level->tail = at;
    level->qty += o->left;
}

void book_restore(struct engine *e, uint32_t at)
{
    struct engine_order *o = &e->orders[at];
    struct engine_pair *pair = &e->pairs[o->pair];
    const bool parked = o->where == ORDER_PARKED;
    e->prio = o->prio - 1;
    level_append(e, parked ? &pair->stops[o->side] : &pair->book[o->side],
                 parked ? o->stop : o->price, at);
}

static void level_remove(struct engine *e, struct ladder *l, struct engine_order *o)
{
    struct engine_level *level = &e->ladders.levels[o->level];
    if (o->prev != 0) {
        e->orders[o->prev].next = o->next;
    } else {
        level->head = o->next;
    }
    if (o->next != 0) {
        e->orders[o->next].prev = o->prev;
    } else {
        level->tail = o->prev;
    }
    level->qty -= o->left;
    if (level->head == 0) {
        ladder_drop(l, &e->ladders, o->level);
    }
    o->where = ORDER_OFF;
}

void book_link(struct engine *e, struct engine_pair *pair, uint32_t at)
{
    struct engine_order *o = &e->orders[at];
    if ((o->flags & ORDER_OPENED) == 0) {
        order_open(e, at);
    }
    level_append(e, &pair->book[o->side], o->price, at);
    o->where = ORDER_BOOK;
    auction_touch(e, pair);
    engine_tell_order(e, ENGINE_EVENT_RESTED, o, o->price, o->left, ENGINE_OK);
}

void book_unlink(struct engine *e, struct engine_pair *pair, struct engine_order *o)
{
    level_remove(e, &pair->book[o->side], o);
    auction_touch(e, pair);
}

void park_link(struct engine *e, struct engine_pair *pair, uint32_t at)
{
    struct engine_order *o = &e->orders[at];
    order_open(e, at);
    level_append(e, &pair->stops[o->side], o->stop, at);
    o->where = ORDER_PARKED;
    engine_tell_order(e, ENGINE_EVENT_PARKED, o, o->stop, o->left, ENGINE_OK);
}

void order_cancel(struct engine *e, struct engine_pair *pair, uint32_t at,
                  enum engine_reason reason)
{
    struct engine_order *o = &e->orders[at];
    if (o->where == ORDER_BOOK) {
        book_unlink(e, pair, o);
    } else if (o->where == ORDER_PARKED) {
        level_remove(e, &pair->stops[o->side], o);
    }
    money_release(e, pair, o, o->left);
    const int64_t left = (o->flags & ORDER_FUNDED) != 0 ? 0 : o->left;
    engine_tell_order(e, ENGINE_EVENT_CANCELLED, o, o->price, left, reason);
    order_free(e, at);
}

void order_give_up(struct engine *e, struct engine_pair *pair, struct engine_order *o, int64_t q)
{
    money_release(e, pair, o, q);
    o->left -= q;
    if (o->where == ORDER_BOOK) {
        e->ladders.levels[o->level].qty -= q;
        auction_touch(e, pair);
    }
}

void order_fill(struct engine *e, struct engine_pair *pair, uint32_t maker, uint32_t taker,
                int64_t price, int64_t q, bool auction)
{
    struct engine_order *m = &e->orders[maker];
    struct engine_order *t = &e->orders[taker];
    struct money_fill fill = {0};
    if (pair->settled) {
        fill = money_settle(e, pair, m, t, price, q, auction);
    }
    m->left -= q;
    m->filled += q;
    t->left -= q;
    t->filled += q;
    e->ladders.levels[m->level].qty -= q;
    if (t->where == ORDER_BOOK) {
        e->ladders.levels[t->level].qty -= q;
    }
    pair->last = price;
    if (engine_wants(e, ENGINE_EVENT_TRADED)) {
        engine_tell(e, (struct engine_event){.kind = ENGINE_EVENT_TRADED,
                                             .side = t->side,
                                             .type = auction,
                                             .order = m->id,
                                             .other = t->id,
                                             .price = price,
                                             .qty = q,
                                             .amount = fill.cost,
                                             .fee_maker = fill.fee_maker,
                                             .fee_taker = fill.fee_taker,
                                             .account = m->account,
                                             .account_other = t->account,
                                             .pair = pair->number});
    }
}

bool match_would_cross(const struct engine *e, const struct engine_pair *pair, uint8_t side,
                       int64_t price)
{
    const uint32_t best = pair->book[side ^ 1].best;
    return best != 0 && match_crosses(side, price, e->ladders.levels[best].price);
}

static bool would_halt(const struct engine_pair *pair, int64_t price)
{
    return price < pair->halt_low || price > pair->halt_high;
}

/*
 * R6: whether `o` fills whole by trades alone, now. Changes nothing. An order without a lock must
 * also be able to pay for each of its fills.
 */
static bool fok_possible(const struct engine *e, const struct engine_pair *pair,
                         const struct engine_order *o)
{
    int64_t need = o->left;
    engine_u128 cost = 0;
    const bool pays = pair->settled && o->side == ENGINE_BUY && o->per_lot == 0;
    for (uint32_t at = pair->book[o->side ^ 1].best; at != 0; at = e->ladders.levels[at].worse) {
        const struct engine_level *level = &e->ladders.levels[at];
        if (!match_crosses(o->side, o->price, level->price) || would_halt(pair, level->price)) {
            return false;
        }
        for (uint32_t slot = level->head; slot != 0; slot = e->orders[slot].next) {
            const struct engine_order *m = &e->orders[slot];
            if (o->stp != ENGINE_STP_NONE && m->owner == o->owner) {
                if (o->stp == ENGINE_STP_OLDEST) {
                    continue;
                }
                return false;
            }
            if (pair->restricted && !money_eligible(e, pair, m)) {
                continue;
            }
            const int64_t q = m->left < need ? m->left : need;
            if (pays) {
                const engine_u128 part = (engine_u128)level->price * pair->tick_units;
                if (part > ENGINE_AMOUNT_MAX || part * (uint64_t)q > ENGINE_AMOUNT_MAX) {
                    return false;
                }
                const uint64_t fill = (uint64_t)part * (uint64_t)q;
                cost += (engine_u128)fill + money_fee(fill, o->taker_ppm);
            }
            need -= q;
            if (need == 0) {
                return !pays || cost <= e->balances[o->quote].available;
            }
        }
    }
    return false;
}

/* R10: `o` met `m` of the same owner; o's mode rules. Returns false when o is finished. */
static bool prevent(struct engine *e, struct engine_pair *pair, uint32_t taker, uint32_t maker)
{
    struct engine_order *o = &e->orders[taker];
    struct engine_order *m = &e->orders[maker];
    const int64_t q = m->left < o->left ? m->left : o->left;
    switch ((enum engine_stp)o->stp) {
    case ENGINE_STP_OLDEST:
        order_cancel(e, pair, maker, ENGINE_SELF_TRADE);
        return true;
    case ENGINE_STP_BOTH:
        order_cancel(e, pair, maker, ENGINE_SELF_TRADE);
        order_cancel(e, pair, taker, ENGINE_SELF_TRADE);
        return false;
    case ENGINE_STP_DECREMENT:
        order_give_up(e, pair, m, q);
        order_give_up(e, pair, o, q);
        engine_tell_order(e, ENGINE_EVENT_PREVENTED, o, m->price, q, ENGINE_SELF_TRADE);
        if (m->left == 0) {
            order_cancel(e, pair, maker, ENGINE_SELF_TRADE);
        } else if (engine_wants(e, ENGINE_EVENT_REDUCED)) {
            engine_tell(e, (struct engine_event){.kind = ENGINE_EVENT_REDUCED,
                                                 .side = m->side,
                                                 .order = m->id,
                                                 .price = m->price,
                                                 .qty = m->left,
                                                 .amount = (uint64_t)q,
                                                 .account = m->account,
                                                 .pair = pair->number});
        }
        if (o->left == 0) {
            order_cancel(e, pair, taker, ENGINE_SELF_TRADE);
            return false;
        }
        return true;
    case ENGINE_STP_DEFAULT: /* resolved when the order came */
    case ENGINE_STP_NONE:
    case ENGINE_STP_NEWEST:
        break;
    }
    order_cancel(e, pair, taker, ENGINE_SELF_TRADE);
    return false;
}

/* Trades `o` while it can (R3). Returns false when it is finished; *out_why says what stopped it.
 */
static bool trade_while_crossing(struct engine *e, struct engine_pair *pair, uint32_t at,
                                 enum engine_reason *out_why)
{
    struct engine_order *o = &e->orders[at];
    const struct ladder *opposite = &pair->book[o->side ^ 1];
    const bool bounded = pair->settled && (o->per_lot == 0 || (o->flags & ORDER_FUNDED) != 0);
    while (o->left > 0 && opposite->best != 0) {
        const struct engine_level *level = &e->ladders.levels[opposite->best];
        const int64_t price = level->price;
        if (!match_crosses(o->side, o->price, price)) {
            break;
        }
        if (would_halt(pair, price)) {
            auction_halt(e, pair);
            *out_why = ENGINE_STATE_FORBIDS;
            break;
        }
        const uint32_t maker = level->head;
        struct engine_order *m = &e->orders[maker];
        if (m->owner == o->owner && o->stp != ENGINE_STP_NONE) {
            if (!prevent(e, pair, at, maker)) {
                return false;
            }
            continue;
        }
        if (pair->restricted && !money_eligible(e, pair, m)) {
            order_cancel(e, pair, maker, ENGINE_INELIGIBLE);
            continue;
        }
        int64_t q = m->left < o->left ? m->left : o->left;
        if (bounded) {
            q = money_affordable(e, pair, o, price, q, out_why);
            if (q == 0) {
                break;
            }
        }
        order_fill(e, pair, maker, at, price, q, false);
        if (m->left == 0) {
            book_unlink(e, pair, m);
            order_free(e, maker);
        }
    }
    return true;
}

/*
 * While a book collects, nobody may come to cross an order of his own: else he would trade with
 * himself when it is uncrossed. Returns false when `o` is finished.
 */
static bool prevent_in_auction(struct engine *e, struct engine_pair *pair, uint32_t at)
{
    const struct engine_order *o = &e->orders[at];
    uint32_t level = o->stp != ENGINE_STP_NONE ? pair->book[o->side ^ 1].best : 0;
    while (level != 0 && match_crosses(o->side, o->price, e->ladders.levels[level].price)) {
        const uint32_t worse = e->ladders.levels[level].worse;
        for (uint32_t slot = e->ladders.levels[level].head, next; slot != 0; slot = next) {
            next = e->orders[slot].next;
            if (e->orders[slot].owner == o->owner && !prevent(e, pair, at, slot)) {
                return false;
            }
        }
        level = worse;
    }
    return true;
}

static bool is_market(const struct engine_order *o)
{
    return o->type == ENGINE_MARKET || o->type == ENGINE_STOP_MARKET;
}

static bool rests(const struct engine_order *o)
{
    return !is_market(o) && (o->tif == ENGINE_GTC || o->tif == ENGINE_GTD);
}

static void collect(struct engine *e, struct engine_pair *pair, uint32_t at)
{
    const struct engine_order *o = &e->orders[at];
    if (!rests(o) && (o->flags & ORDER_AUCTION) == 0) {
        order_cancel(e, pair, at, ENGINE_STATE_FORBIDS);
    } else if (prevent_in_auction(e, pair, at)) {
        book_link(e, pair, at);
    }
}

void match_enter(struct engine *e, struct engine_pair *pair, uint32_t at)
{
    struct engine_order *o = &e->orders[at];
    if (pair->state != ENGINE_OPEN) {
        collect(e, pair, at);
        return;
    }
    if (o->tif == ENGINE_FOK && !fok_possible(e, pair, o)) {
        order_cancel(e, pair, at, ENGINE_NOT_FILLABLE);
        return;
    }
    enum engine_reason why = ENGINE_OK;
    if (!trade_while_crossing(e, pair, at, &why)) {
        return;
    }
    if (o->left == 0) {
        order_free(e, at);
    } else if (rests(o) && pair->state != ENGINE_OPEN) { /* it caused a halt */
        collect(e, pair, at);
    } else if (rests(o)) {
        book_link(e, pair, at);
    } else if (why != ENGINE_OK) {
        order_cancel(e, pair, at, why);
    } else {
        order_cancel(e, pair, at, is_market(o) ? ENGINE_REST_MARKET : ENGINE_REST_IOC);
    }
}

bool match_stop_met(const struct engine_pair *pair, uint8_t side, int64_t stop)
{
    if (pair->last == 0) { /* R11: never before the first trade */
        return false;
    }
    return side == ENGINE_BUY ? pair->last >= stop : pair->last <= stop;
}

/* R12: appends every parked stop that is met; buys by rising stop, then sells by falling. */
static void trigger_met(struct engine *e, struct engine_pair *pair, uint32_t *head, uint32_t *tail)
{
    for (unsigned s = ENGINE_BUY; s <= ENGINE_SELL; s++) {
        const uint8_t side = (uint8_t)s;
        struct ladder *stops = &pair->stops[side];
        while (stops->best != 0 &&
               match_stop_met(pair, side, e->ladders.levels[stops->best].price)) {
            const uint32_t at = e->ladders.levels[stops->best].head;
            struct engine_order *o = &e->orders[at];
            level_remove(e, stops, o);
            o->next = 0;
            *(*tail != 0 ? &e->orders[*tail].next : head) = at;
            *tail = at;
            engine_tell_order(e, ENGINE_EVENT_TRIGGERED, o, o->stop, o->left, ENGINE_OK);
        }
    }
}

void match_cascade(struct engine *e, struct engine_pair *pair)
{
    uint32_t head = 0;
    uint32_t tail = 0;
    for (;;) {
        trigger_met(e, pair, &head, &tail);
        if (head == 0) {
            return;
        }
        const uint32_t at = head;
        head = e->orders[at].next;
        tail = head != 0 ? tail : 0;
        if (pair->restricted && !money_eligible(e, pair, &e->orders[at])) {
            order_cancel(e, pair, at, ENGINE_INELIGIBLE);
        } else {
            match_enter(e, pair, at);
        }
    }
}
