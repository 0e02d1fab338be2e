/*
 * projections_orders.c: orders from their acceptance to their end, balances and what is locked.
 */
#include "domain/trading/projections/projections_internal.h"

/* ---- balances ---- */

struct projections_balance *projections_balance_of(struct projections *p, uint32_t account,
                                                   uint32_t asset)
{
    const uint64_t key = projections_balance_key(account, asset);
    uint32_t slot = projections_map_find(&p->balance_keys, key);
    if (slot == PROJECTIONS_NO_SLOT) {
        slot = (uint32_t)p->balance_count;
        p->balances = projections_room(p->balances, p->balance_count, &p->balance_capacity,
                                       sizeof *p->balances);
        p->balances[p->balance_count++] =
            (struct projections_balance){.account = account, .asset = asset};
        projections_map_add(&p->balance_keys, key, slot);
    }
    return &p->balances[slot];
}

static struct projections_balance *change_balance(struct projections *p, uint32_t account,
                                                  uint32_t asset)
{
    struct projections_balance *b = projections_balance_of(p, account, asset);
    if (!b->dirty) {
        b->dirty = true;
        projections_list_add(&p->balances_dirty, (uint32_t)(b - p->balances));
    }
    return b;
}

/* Within a command sums may pass below zero and come back: they are judged when it has ended. */
static void transfer(struct projections *p, uint32_t asset, uint32_t debit, uint32_t credit,
                     uint64_t amount)
{
    if (amount == 0) {
        return;
    }
    change_balance(p, debit, asset)->total -= amount;
    change_balance(p, credit, asset)->total += amount;
}

/* Makes the lock of an order what it is for what is left of it. */
static void lock_from(struct projections *p, const struct projections_order *o, uint64_t before)
{
    const struct projections_pair *pair = projections_pair_of(p, o->pair);
    const bool open = o->state == PROJECTIONS_OPEN || o->state == PROJECTIONS_PARKED;
    const uint64_t now = open ? o->per_lot * (uint64_t)o->left : 0;
    if (now != before) {
        change_balance(p, o->account, o->side == ENGINE_BUY ? pair->quote : pair->base)->locked +=
            now - before;
    }
}

static uint64_t locked_by(const struct projections_order *o)
{
    return o->per_lot * (uint64_t)o->left;
}

void projections_money_event(struct projections *p, const struct engine_event *ev)
{
    const uint32_t asset = (uint32_t)ev->other;
    struct projections_balance *b = change_balance(p, ev->account, asset);
    switch (ev->kind) {
    case ENGINE_EVENT_CREDITED:
        b->total += ev->amount;
        break;
    case ENGINE_EVENT_HELD:
        b->locked += ev->amount;
        break;
    case ENGINE_EVENT_VOIDED:
        b->locked -= ev->amount;
        break;
    default: /* not an enum */ /* TRANSFERRED, POSTED */
        b->locked -= ev->kind == ENGINE_EVENT_POSTED ? ev->amount : 0;
        b->total -= ev->amount;
        if (ev->account_other != ENGINE_NOBODY) {
            change_balance(p, ev->account_other, asset)->total += ev->amount;
        }
    }
    p->movements = projections_room(p->movements, p->movements_waiting, &p->movements_capacity,
                                    sizeof *p->movements);
    p->movements[p->movements_waiting++] =
        (struct projections_movement){.event = *ev, .usec = p->now_usec};
}

/* ---- orders ---- */

struct projections_order *projections_order_make(struct projections *p, uint64_t id)
{
    uint32_t slot = p->order_free;
    if (slot != PROJECTIONS_NO_SLOT) {
        p->order_free = p->orders[slot].next;
    } else {
        slot = (uint32_t)p->order_count;
        p->orders =
            projections_room(p->orders, p->order_count, &p->order_capacity, sizeof *p->orders);
        p->order_count++;
    }
    projections_map_add(&p->order_ids, id, slot);
    p->orders[slot] = (struct projections_order){.id = id};
    return &p->orders[slot];
}

void projections_order_release(struct projections *p, uint32_t slot)
{
    p->orders[slot] = (struct projections_order){.next = p->order_free};
    p->order_free = slot;
}

static struct projections_order *change_order(struct projections *p, uint64_t id)
{
    const uint32_t slot = projections_map_find(&p->order_ids, id);
    ASSERT(slot != PROJECTIONS_NO_SLOT);
    struct projections_order *o = &p->orders[slot];
    o->changed_seq = p->seq;
    o->changed_usec = p->now_usec;
    if (!o->dirty) {
        o->dirty = true;
        projections_list_add(&p->orders_dirty, slot);
    }
    return o;
}

static void leave_book(struct projections *p, struct projections_order *o)
{
    if (o->place != 0) {
        projections_level_change(p, projections_pair_of(p, o->pair), o->side, o->price, -o->left,
                                 -1);
        o->place = 0;
    }
}

static void finish(struct projections *p, struct projections_order *o,
                   enum projections_order_state state, uint8_t reason)
{
    o->state = (uint8_t)state;
    o->reason = reason;
    projections_map_remove(&p->order_ids, o->id);
}

static void accepted(struct projections *p, const struct engine_event *ev)
{
    struct projections_order *o = projections_order_make(p, ev->order);
    *o = (struct projections_order){.id = ev->order,
                                    .price = ev->price,
                                    .stop = (int64_t)ev->other,
                                    .total = ev->qty,
                                    .left = ev->qty,
                                    .funds = ev->amount,
                                    .accepted_seq = ev->seq,
                                    .accepted_usec = p->now_usec,
                                    .account = ev->account,
                                    .pair = ev->pair,
                                    .side = ev->side,
                                    .type = ev->type,
                                    .tif = ev->tif,
                                    .state = PROJECTIONS_OPEN};
    (void)change_order(p, ev->order);
    p->funded = ev->amount != 0 ? (uint32_t)(o - p->orders) : PROJECTIONS_NO_SLOT;
}

static void cancelled(struct projections *p, const struct engine_event *ev)
{
    struct projections_order *o = change_order(p, ev->order);
    const uint64_t before = locked_by(o);
    leave_book(p, o);
    /* What a resting order gave up whole to prevent a self-trade is told by its end alone. */
    o->cancelled += ev->qty;
    o->prevented += o->left - ev->qty;
    o->left = 0;
    finish(p, o, PROJECTIONS_CANCELLED, ev->reason);
    lock_from(p, o, before);
}

/* It came to rest or was parked: from now on it is known what it locks. */
static void placed(struct projections *p, const struct engine_event *ev)
{
    struct projections_order *o = change_order(p, ev->order);
    const uint64_t before = locked_by(o);
    ASSERT(o->left == ev->qty && o->place == 0);
    o->per_lot = ev->amount;
    if (ev->kind == ENGINE_EVENT_PARKED) {
        o->state = PROJECTIONS_PARKED;
    } else {
        o->state = PROJECTIONS_OPEN;
        o->price = ev->price;
        o->place = ++p->places;
        projections_level_change(p, projections_pair_of(p, o->pair), o->side, o->price, o->left, 1);
    }
    lock_from(p, o, before);
}

static void reduced(struct projections *p, const struct engine_event *ev)
{
    struct projections_order *o = change_order(p, ev->order);
    const uint64_t before = locked_by(o);
    const int64_t less = (int64_t)ev->amount;
    projections_level_change(p, projections_pair_of(p, o->pair), o->side, o->price, -less, 0);
    o->left -= less;
    if (ev->reason == ENGINE_REPLACED) {
        o->total -= less;
    } else {
        o->prevented += less;
    }
    ASSERT(o->left == ev->qty);
    lock_from(p, o, before);
}

/* A replace took it out of the book: its total is another one now. */
static void removed(struct projections *p, const struct engine_event *ev)
{
    struct projections_order *o = change_order(p, ev->order);
    const uint64_t before = locked_by(o);
    leave_book(p, o);
    o->price = ev->price;
    o->total += ev->qty - o->left;
    o->left = ev->qty;
    o->per_lot = ev->amount;
    lock_from(p, o, before);
}

static void prevented(struct projections *p, const struct engine_event *ev)
{
    struct projections_order *o = change_order(p, ev->order);
    const uint64_t before = locked_by(o);
    if (o->funds != 0) {
        return; /* by funds: it has no quantity that could shrink */
    }
    ASSERT(o->place == 0 && ev->qty <= o->left);
    o->prevented += ev->qty;
    o->left -= ev->qty;
    lock_from(p, o, before);
}

void projections_order_event(struct projections *p, const struct engine_event *ev)
{
    switch (ev->kind) {
    case ENGINE_EVENT_ACCEPTED:
        accepted(p, ev);
        break;
    case ENGINE_EVENT_RESTED:
    case ENGINE_EVENT_PARKED:
        placed(p, ev);
        break;
    case ENGINE_EVENT_REDUCED:
        reduced(p, ev);
        break;
    case ENGINE_EVENT_REMOVED:
        removed(p, ev);
        break;
    case ENGINE_EVENT_CANCELLED:
        cancelled(p, ev);
        break;
    case ENGINE_EVENT_PREVENTED:
        prevented(p, ev);
        break;
    default: /* not an enum */ /* TRIGGERED */
        change_order(p, ev->order)->state = PROJECTIONS_OPEN;
    }
}

/* One of the two orders of a trade. */
static void fill(struct projections *p, struct projections_pair *pair, uint64_t id,
                 const struct engine_event *ev)
{
    struct projections_order *o = change_order(p, id);
    const uint64_t before = locked_by(o);
    o->filled += ev->qty;
    o->notional += (projections_u128)(uint64_t)ev->price * (uint64_t)ev->qty;
    if (o->funds != 0) {
        return;
    }
    o->left -= ev->qty;
    if (o->place != 0) {
        projections_level_change(p, pair, o->side, o->price, -ev->qty, o->left == 0 ? -1 : 0);
    }
    if (o->left == 0) {
        o->place = 0;
        finish(p, o, PROJECTIONS_FILLED, ENGINE_OK);
    }
    lock_from(p, o, before);
}

void projections_orders_traded(struct projections *p, struct projections_pair *pair,
                               const struct engine_event *ev)
{
    fill(p, pair, ev->order, ev);
    fill(p, pair, ev->other, ev);
    if (pair->tick_units == 0) {
        return;
    }
    const bool buys = ev->side == ENGINE_BUY; /* the taker */
    const uint32_t buyer = buys ? ev->account_other : ev->account;
    const uint32_t seller = buys ? ev->account : ev->account_other;
    transfer(p, pair->base, seller, buyer, pair->lot_units * (uint64_t)ev->qty);
    transfer(p, pair->quote, buyer, seller, ev->amount);
    transfer(p, pair->quote, ev->account, pair->fee_account, ev->fee_maker);
    transfer(p, pair->quote, ev->account_other, pair->fee_account, ev->fee_taker);
}

void projections_orders_end(struct projections *p)
{
    if (p->funded != PROJECTIONS_NO_SLOT) {
        struct projections_order *o = &p->orders[p->funded];
        if (o->state == PROJECTIONS_OPEN) {
            finish(p, o, PROJECTIONS_FILLED, ENGINE_OK);
        }
        p->funded = PROJECTIONS_NO_SLOT;
    }
}
