#include "domain/trading/projections/projections.h"

#include "domain/trading/projections/projections_internal.h"

#define ROOM_MIN 64

void *projections_room(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return array;
    }
    *capacity = *capacity != 0 ? 2 * *capacity : ROOM_MIN;
    return array != NULL ? mem_resize(array, *capacity * size) : mem_alloc(*capacity * size);
}

void projections_list_add(struct projections_list *list, uint32_t slot)
{
    list->at = projections_room(list->at, list->count, &list->capacity, sizeof *list->at);
    list->at[list->count++] = slot;
}

/* ---- pairs ---- */

struct projections_pair *projections_pair_of(struct projections *p, uint32_t number)
{
    ASSERT(number < p->pair_end && p->pairs[number] != NULL);
    return p->pairs[number];
}

struct projections_pair *projections_pair_new(struct projections *p, uint32_t number)
{
    ASSERT(number < PROJECTIONS_PAIRS_MAX && p->pairs[number] == NULL);
    struct projections_pair *pair = mem_alloc(sizeof *pair);
    pair->number = number;
    p->pairs[number] = pair;
    p->pair_end = number >= p->pair_end ? number + 1 : p->pair_end;
    return pair;
}

void projections_pair_touch(struct projections *p, struct projections_pair *pair)
{
    if (!pair->dirty) {
        pair->dirty = true;
        projections_list_add(&p->pairs_dirty, pair->number);
    }
}

static void pair_defined(struct projections *p, const struct engine_event *ev)
{
    struct projections_pair *pair = projections_pair_new(p, ev->pair);
    pair->base = (uint32_t)ev->order;
    pair->quote = (uint32_t)ev->other;
    pair->fee_account = ev->account;
    pair->lot_units = (uint64_t)ev->qty;
    pair->tick_units = ev->amount;
    pair->state = ENGINE_CLOSED;
    pair->book_checksum = projections_checksum(pair);
    pair->statistics_dirty = true;
    projections_pair_touch(p, pair);
}

static void pair_entered(struct projections *p, const struct engine_event *ev)
{
    struct projections_pair *pair = projections_pair_of(p, ev->pair);
    pair->state = (uint8_t)ev->other;
    pair->until_usec = ev->price;
    pair->auction_price = 0;
    pair->auction_volume = 0;
    pair->auction_surplus = 0;
    projections_pair_touch(p, pair);
}

static void auction_shown(struct projections *p, const struct engine_event *ev)
{
    struct projections_pair *pair = projections_pair_of(p, ev->pair);
    pair->auction_price = ev->price;
    pair->auction_volume = ev->qty;
    pair->auction_surplus = ev->side == ENGINE_BUY ? (int64_t)ev->amount : -(int64_t)ev->amount;
    projections_pair_touch(p, pair);
}

/* ---- events ---- */

static void traded(struct projections *p, const struct engine_event *ev)
{
    struct projections_pair *pair = projections_pair_of(p, ev->pair);
    p->trades =
        projections_room(p->trades, p->trades_waiting, &p->trades_capacity, sizeof *p->trades);
    p->trades[p->trades_waiting++] =
        (struct projections_trade){.event = *ev, .id = ++p->trade_count, .usec = p->now_usec};
    projections_orders_traded(p, pair, ev);
    projections_market_traded(p, pair, ev->price, ev->qty);
}

void projections_end_command(struct projections *p)
{
    projections_orders_end(p);
    projections_book_end(p);
}

void projections_event(void *ctx, const struct engine_event *ev)
{
    struct projections *p = ctx;
    if (ev->seq != p->seq) {
        ASSERT(ev->seq == p->seq + 1 && ev->index == 0); /* each command has an event */
        projections_end_command(p);
        p->seq = ev->seq;
    }
    switch ((enum engine_event_kind)ev->kind) {
    case ENGINE_EVENT_TRADED:
        traded(p, ev);
        break;
    case ENGINE_EVENT_ACCEPTED:
    case ENGINE_EVENT_RESTED:
    case ENGINE_EVENT_REDUCED:
    case ENGINE_EVENT_REMOVED:
    case ENGINE_EVENT_CANCELLED:
    case ENGINE_EVENT_PARKED:
    case ENGINE_EVENT_TRIGGERED:
    case ENGINE_EVENT_PREVENTED:
        projections_order_event(p, ev);
        break;
    case ENGINE_EVENT_CREDITED:
    case ENGINE_EVENT_TRANSFERRED:
    case ENGINE_EVENT_HELD:
    case ENGINE_EVENT_POSTED:
    case ENGINE_EVENT_VOIDED:
        projections_money_event(p, ev);
        break;
    case ENGINE_EVENT_PAIR:
        pair_defined(p, ev);
        break;
    case ENGINE_EVENT_STATE:
        pair_entered(p, ev);
        break;
    case ENGINE_EVENT_INDICATIVE:
        auction_shown(p, ev);
        break;
    case ENGINE_EVENT_TIME:
        p->now_usec = ev->price;
        break;
    case ENGINE_EVENT_NONE:
    case ENGINE_EVENT_REJECTED:
    case ENGINE_EVENT_APPLIED:
    case ENGINE_EVENT_UNCROSSED:
    case ENGINE_EVENT_COUNT:
        break;
    }
}

/* ---- life ---- */

enum err projections_open(struct projections **out, struct store *store,
                          const struct store_hold *hold, struct why *why)
{
    struct projections *p = mem_alloc(sizeof *p);
    p->store = store;
    p->hold = hold != NULL ? *hold : (struct store_hold){0};
    p->pairs = mem_alloc(PROJECTIONS_PAIRS_MAX * sizeof *p->pairs);
    p->order_free = PROJECTIONS_NO_SLOT;
    p->funded = PROJECTIONS_NO_SLOT;
    const enum err e = projections_load(p, why);
    if (e != OK) {
        projections_close(p);
        return e;
    }
    *out = p;
    return OK;
}

static void free_pair(struct projections_pair *pair)
{
    mem_free(pair->sides[ENGINE_BUY].levels);
    mem_free(pair->sides[ENGINE_SELL].levels);
    mem_free(pair->touched.at);
    mem_free(pair->unwritten.at);
    mem_free(pair->minutes);
    mem_free(pair);
}

void projections_close(struct projections *p)
{
    if (p == NULL) {
        return;
    }
    for (uint32_t i = 0; i < p->pair_end; i++) {
        if (p->pairs[i] != NULL) {
            free_pair(p->pairs[i]);
        }
    }
    void *const arrays[] = {p->pairs,
                            p->orders,
                            p->orders_dirty.at,
                            p->balances,
                            p->balances_dirty.at,
                            p->pairs_dirty.at,
                            p->pairs_touched.at,
                            p->pairs_levels.at,
                            p->trades,
                            p->movements,
                            p->deltas,
                            p->told.at,
                            p->closed};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        mem_free(arrays[i]);
    }
    projections_map_clear(&p->order_ids);
    projections_map_clear(&p->balance_keys);
    mem_free(p);
}

uint64_t projections_seq(const struct projections *p)
{
    return p->stored_seq;
}

size_t projections_waiting(const struct projections *p)
{
    const size_t deltas = p->deltas_waiting;
    return p->trades_waiting + p->movements_waiting + p->orders_dirty.count +
           p->balances_dirty.count + deltas + p->closed_waiting;
}

/* ---- flushing ---- */

/* What was written is as it is in the rows. */
static void settle_written(struct projections *p)
{
    for (size_t i = 0; i < p->orders_dirty.count; i++) {
        const uint32_t slot = p->orders_dirty.at[i];
        p->orders[slot].dirty = false;
        p->orders[slot].stored = true;
        if (p->orders[slot].state > PROJECTIONS_PARKED) {
            projections_order_release(p, slot);
        }
    }
    for (size_t i = 0; i < p->balances_dirty.count; i++) {
        p->balances[p->balances_dirty.at[i]].dirty = false;
    }
    for (size_t i = 0; i < p->pairs_levels.count; i++) {
        struct projections_pair *pair = p->pairs[p->pairs_levels.at[i]];
        for (size_t k = 0; k < pair->unwritten.count; k++) {
            const struct projections_change *change = &pair->unwritten.at[k];
            struct projections_level *level = projections_level_find(
                &pair->sides[change->side], (enum engine_side)change->side, change->price);
            if (level != NULL) {
                level->dirty = false;
            }
        }
        pair->unwritten.count = 0;
    }
    for (uint32_t i = 0; i < p->pair_end; i++) {
        struct projections_pair *pair = p->pairs[i];
        for (uint32_t span = 0; pair != NULL && span < PROJECTIONS_SPANS; span++) {
            pair->candles[span].dirty = false;
            pair->statistics_dirty = false;
            pair->dirty = false;
        }
    }
    p->orders_dirty.count = p->balances_dirty.count = p->pairs_dirty.count = 0;
    p->pairs_levels.count = p->told.count = 0;
    p->trades_waiting = p->movements_waiting = p->deltas_waiting = p->closed_waiting = 0;
    p->stored_seq = p->seq;
}

enum err projections_flush(struct projections *p, struct why *why)
{
    projections_end_command(p);
    if (p->seq == p->stored_seq) {
        return OK;
    }
    projections_minutes_expire(p);
    for (size_t i = 0; i < p->pairs_levels.count; i++) {
        struct projections_pair *pair = p->pairs[p->pairs_levels.at[i]];
        projections_changes_settle(&pair->unwritten, pair);
    }
    const enum err e = store_lease_write(p->store, &p->hold, p->hold.lease != NULL ? 1 : 0,
                                         projections_write, p, why);
    if (e == OK) {
        settle_written(p);
    }
    return e;
}
