#include "domain/trading/engine/engine.h"

#include "domain/trading/engine/internal.h"
#include "kernel/base/mem.h"

#define LINE_BYTES 64
#define ENTRIES_MIN (1u << ID_PAGE_BITS)

/* ---- memory ---- */

enum err engine_limits_check(const struct engine_limits *l, struct why *why)
{
    const struct {
        const char *name;
        uint32_t value;
        uint32_t max;
    } rows[] = {
        {"pairs", l->pairs, 1u << 16},       {"assets", l->assets, 1u << 16},
        {"accounts", l->accounts, 1u << 24}, {"orders", l->orders, 1u << 22},
        {"balances", l->balances, 1u << 24}, {"rights", l->rights, 1u << 24},
        {"holds", l->holds, 1u << 20},       {"id_window", l->id_window, 1u << 30},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value < 1 || rows[i].value > rows[i].max) {
            return why_set(why, ERR_INVALID_FIELD, rows[i].name, "%s is %u; 1 to %u are possible",
                           rows[i].name, rows[i].value, rows[i].max);
        }
    }
    if (l->id_window < 128 || (l->id_window & (l->id_window - 1)) != 0) {
        return why_set(why, ERR_INVALID_FIELD, "id_window",
                       "id_window is %u; it must be a power of two of at least 128", l->id_window);
    }
    return OK;
}

struct engine_limits engine_limits_default(uint32_t orders)
{
    return (struct engine_limits){
        .pairs = 4096,
        .assets = 4096,
        .accounts = 1u << 16,
        .orders = orders,
        .balances = 1u << 18,
        .rights = 1u << 16,
        .holds = 1u << 14,
        .id_window = 1u << 22,
    };
}

/* Ids come in runs and want room to spread; keys are scattered. */
static uint32_t entries_for(uint32_t count, uint32_t times)
{
    uint32_t size = ENTRIES_MIN;
    while (size < times * count) {
        size *= 2;
    }
    return size;
}

/* Carves arrays out of one block; counts only, when the block is not there yet. */
struct carver {
    uint8_t *base;
    size_t used;
};

static void *carve(struct carver *c, size_t count, size_t size)
{
    void *at = c->base != NULL ? c->base + c->used : NULL;
    c->used += (count * size + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    return at;
}

static void lay_out(struct engine *e, struct carver *c)
{
    const struct engine_limits *l = &e->limits;
    const uint32_t timers = l->orders + 1 + l->accounts + l->pairs;
    e->orders = carve(c, (size_t)l->orders + 2, sizeof *e->orders);
    e->ladders.levels = carve(c, (size_t)l->orders + 2, sizeof *e->ladders.levels);
    e->ladders.nodes = carve(c, (size_t)l->orders + 2, sizeof *e->ladders.nodes);
    e->pairs = carve(c, l->pairs, sizeof *e->pairs);
    e->balances = carve(c, (size_t)l->balances + 1, sizeof *e->balances);
    e->accounts = carve(c, l->accounts, sizeof *e->accounts);
    e->owners = carve(c, l->accounts, sizeof *e->owners);
    e->assets = carve(c, l->assets, sizeof *e->assets);
    e->rights = carve(c, (size_t)l->rights + 1, sizeof *e->rights);
    e->holds = carve(c, (size_t)l->holds + 1, sizeof *e->holds);
    e->ids.entries = carve(c, e->ids.mask + 1, sizeof *e->ids.entries);
    e->hold_ids.entries = carve(c, e->hold_ids.mask + 1, sizeof *e->hold_ids.entries);
    e->balance_keys.entries = carve(c, e->balance_keys.mask + 1, sizeof(struct key_entry));
    e->right_keys.entries = carve(c, e->right_keys.mask + 1, sizeof(struct key_entry));
    e->timers.heap = carve(c, (size_t)timers + 1, sizeof *e->timers.heap);
    e->timers.capacity = timers;
    e->window.bits = carve(c, l->id_window / 64, sizeof *e->window.bits);
}

static uint32_t *timer_place(void *ctx, const struct timer *t)
{
    struct engine *e = ctx;
    switch ((enum timer_kind)t->kind) {
    case TIMER_ORDER:
        return &e->orders[t->slot].timer;
    case TIMER_ACCOUNT:
        return &e->accounts[t->slot].timer;
    case TIMER_PAIR:
        break;
    }
    return &e->pairs[t->slot].timer;
}

static void nowhere(void *ctx, const struct engine_event *event)
{
    (void)ctx;
    (void)event;
}

struct engine *engine_new(const struct engine_limits *limits)
{
    ASSERT(engine_limits_check(limits, NULL) == OK);
    struct engine *e = mem_alloc(sizeof *e);
    e->limits = *limits;
    e->ladders.level_count = limits->orders + 1;
    e->ids.mask = entries_for(limits->orders, 4) - 1;
    e->hold_ids.mask = entries_for(limits->holds, 4) - 1;
    e->balance_keys.mask = entries_for(limits->balances, 2) - 1;
    e->right_keys.mask = entries_for(limits->rights, 2) - 1;
    e->window.size = limits->id_window;
    struct carver c = {0};
    lay_out(e, &c);
    e->memory = mem_alloc_large(c.used + LINE_BYTES);
    const size_t skew = (size_t)((uintptr_t)e->memory % LINE_BYTES);
    c = (struct carver){.base = (uint8_t *)e->memory + (skew != 0 ? LINE_BYTES - skew : 0)};
    lay_out(e, &c);
    e->timers.ctx = e;
    e->timers.place_of = timer_place;
    engine_set_sink(e, NULL);
    return e;
}

void engine_free(struct engine *e)
{
    if (e != NULL) {
        mem_free(e->memory);
        mem_free(e);
    }
}

void engine_set_sink(struct engine *e, const struct engine_sink *sink)
{
    e->sink = sink != NULL ? *sink : (struct engine_sink){.event = nowhere};
}

/* ---- events ---- */

void engine_tell_order(struct engine *e, enum engine_event_kind kind, const struct engine_order *o,
                       int64_t price, int64_t qty, enum engine_reason reason)
{
    if (!engine_wants(e, kind)) {
        return;
    }
    engine_tell(e, (struct engine_event){.kind = (uint8_t)kind,
                                         .reason = (uint8_t)reason,
                                         .side = o->side,
                                         .type = o->type,
                                         .tif = o->tif,
                                         .order = o->id,
                                         .price = price,
                                         .qty = qty,
                                         .amount = o->per_lot,
                                         .account = o->account,
                                         .pair = o->pair});
}

enum engine_reason engine_refuse(struct engine *e, uint64_t id, enum engine_reason reason)
{
    if (engine_wants(e, ENGINE_EVENT_REJECTED)) {
        engine_tell(e, (struct engine_event){.kind = ENGINE_EVENT_REJECTED,
                                             .reason = (uint8_t)reason,
                                             .order = id,
                                             .pair = ENGINE_ALL});
    }
    return reason;
}

enum engine_reason engine_applied(struct engine *e, const struct engine_command *c, uint32_t pair)
{
    if (engine_wants(e, ENGINE_EVENT_APPLIED)) {
        engine_tell(
            e, (struct engine_event){.kind = ENGINE_EVENT_APPLIED, .other = c->op, .pair = pair});
    }
    return ENGINE_OK;
}

/* ---- finding ---- */

uint32_t engine_find_order(const struct engine *e, uint64_t id)
{
    uint32_t at = id_map_home(&e->ids, (uint32_t)id);
    uint32_t slot;
    do {
        slot = id_map_next(&e->ids, id, &at);
    } while (slot != 0 && e->orders[slot].id != id);
    return slot;
}

uint32_t engine_find_hold(const struct engine *e, uint64_t id)
{
    uint32_t at = id_map_home(&e->hold_ids, (uint32_t)id);
    uint32_t slot;
    do {
        slot = id_map_next(&e->hold_ids, id, &at);
    } while (slot != 0 && e->holds[slot].id != id);
    return slot;
}

static uint32_t key_home(const struct key_map *m, uint32_t a, uint32_t b)
{
    const uint64_t mixed = (((uint64_t)a << 32 | b) + 1) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(mixed ^ mixed >> 32) & m->mask;
}

static struct key_entry *key_entry_of(const struct key_map *m, uint32_t a, uint32_t b)
{
    const uint64_t key = ((uint64_t)a << 32 | b) + 1;
    uint32_t at = key_home(m, a, b);
    while (m->entries[at].key != 0 && m->entries[at].key != key) {
        at = (at + 1) & m->mask;
    }
    return &m->entries[at];
}

uint32_t key_map_find(const struct key_map *m, uint32_t a, uint32_t b)
{
    return key_entry_of(m, a, b)->slot; /* an empty entry says 0 */
}

void key_map_add(struct key_map *m, uint32_t a, uint32_t b, uint32_t slot)
{
    struct key_entry *entry = key_entry_of(m, a, b);
    ASSERT(entry->key == 0);
    *entry = (struct key_entry){.key = ((uint64_t)a << 32 | b) + 1, .slot = slot};
}

uint32_t engine_find_balance(const struct engine *e, uint32_t account, uint32_t asset)
{
    return key_map_find(&e->balance_keys, account, asset);
}

uint32_t engine_find_right(const struct engine *e, uint32_t owner, uint32_t asset)
{
    return key_map_find(&e->right_keys, owner, asset);
}

struct engine_pair *engine_find_pair(struct engine *e, uint32_t pair)
{
    return pair < e->limits.pairs && e->pairs[pair].defined ? &e->pairs[pair] : NULL;
}

uint32_t engine_open_right(struct engine *e, uint32_t owner, uint32_t asset)
{
    uint32_t at = engine_find_right(e, owner, asset);
    if (at == 0) {
        ASSERT(e->right_count < e->limits.rights);
        at = ++e->right_count;
        e->rights[at] = (struct engine_right){.owner = owner, .asset = asset, .cap = UINT64_MAX};
        key_map_add(&e->right_keys, owner, asset, at);
    }
    return at;
}

uint32_t engine_open_balance(struct engine *e, uint32_t account, uint32_t asset)
{
    uint32_t at = engine_find_balance(e, account, asset);
    if (at == 0) {
        ASSERT(e->balance_count < e->limits.balances);
        at = ++e->balance_count;
        e->balances[at] = (struct engine_balance){.account = account, .asset = asset};
        if ((e->assets[asset].flags & ENGINE_ASSET_RESTRICTED) != 0) {
            e->balances[at].right = engine_open_right(e, e->accounts[account].owner, asset);
        }
        key_map_add(&e->balance_keys, account, asset, at);
    }
    return at;
}

bool engine_room(const struct engine *e, uint32_t account, uint32_t asset, uint32_t account_b,
                 uint32_t asset_b)
{
    /* At most two of each; near the limit one that is not needed is missed, which is no harm. */
    const bool balances = e->limits.balances - e->balance_count >= 2;
    const bool rights = e->limits.rights - e->right_count >= 2;
    return (balances && rights) || (engine_find_balance(e, account, asset) != 0 &&
                                    engine_find_balance(e, account_b, asset_b) != 0);
}

/* ---- commands ---- */

static enum engine_reason dispatch(struct engine *e, const struct engine_command *c)
{
    switch ((enum engine_op)c->op) {
    case ENGINE_OP_NEW:
        return orders_new(e, c);
    case ENGINE_OP_CANCEL:
        return orders_cancel(e, c);
    case ENGINE_OP_REPLACE:
        return orders_replace(e, c);
    case ENGINE_OP_MASS_CANCEL:
        return orders_mass_cancel(e, c);
    case ENGINE_OP_CANCEL_AFTER:
        return orders_cancel_after(e, c);
    case ENGINE_OP_TIME:
        return orders_time(e, c);
    case ENGINE_OP_ASSET:
    case ENGINE_OP_PAIR:
    case ENGINE_OP_RULES:
    case ENGINE_OP_GUARD:
    case ENGINE_OP_FEES:
    case ENGINE_OP_ACCOUNT:
    case ENGINE_OP_ELIGIBILITY:
    case ENGINE_OP_STATE:
    case ENGINE_OP_REFERENCE:
        return setup_command(e, c);
    case ENGINE_OP_DEPOSIT:
    case ENGINE_OP_TRANSFER:
    case ENGINE_OP_HOLD:
    case ENGINE_OP_POST:
    case ENGINE_OP_VOID:
        return money_command(e, c);
    case ENGINE_OP_NONE:
    case ENGINE_OP_COUNT:
        break;
    }
    return engine_refuse(e, 0, ENGINE_INVALID);
}

enum engine_reason engine_apply(struct engine *e, const struct engine_command *c)
{
    e->seq++;
    e->event_index = 0;
    const enum engine_reason reason = dispatch(e, c);
    if (e->dirty != 0) {
        auction_show(e);
    }
    return reason;
}

static const struct engine_pair *hinted_pair(const struct engine *e, const struct engine_command *c)
{
    const uint32_t pair = c->order.pair;
    return pair < e->limits.pairs && e->pairs[pair].settled ? &e->pairs[pair] : NULL;
}

static void hint_balance(const struct engine *e, uint32_t account, uint32_t asset)
{
    const struct key_entry *entry =
        &e->balance_keys.entries[key_home(&e->balance_keys, account, asset)];
    __builtin_prefetch(&e->balances[entry->slot]);
}

void engine_hint(const struct engine *e, const struct engine_command *soon,
                 const struct engine_command *later)
{
    if (later->op == ENGINE_OP_CANCEL || later->op == ENGINE_OP_REPLACE) {
        __builtin_prefetch(&e->ids.entries[id_map_home(&e->ids, (uint32_t)later->cancel.id)]);
    } else if (later->op == ENGINE_OP_NEW) {
        const struct engine_pair *pair = hinted_pair(e, later);
        const struct key_map *m = &e->balance_keys;
        if (pair != NULL) {
            __builtin_prefetch(&m->entries[key_home(m, later->order.account, pair->base)]);
            __builtin_prefetch(&m->entries[key_home(m, later->order.account, pair->quote)]);
        }
    }
    if (soon->op == ENGINE_OP_CANCEL || soon->op == ENGINE_OP_REPLACE) {
        const uint32_t home = id_map_home(&e->ids, (uint32_t)soon->cancel.id);
        const struct engine_order *o = &e->orders[(uint32_t)e->ids.entries[home]];
        __builtin_prefetch(o);
        __builtin_prefetch(&o->prio);
    } else if (soon->op == ENGINE_OP_NEW) {
        const struct engine_pair *pair = hinted_pair(e, soon);
        if (pair != NULL) {
            hint_balance(e, soon->order.account, pair->base);
            hint_balance(e, soon->order.account, pair->quote);
        }
    }
}

/* ---- looking ---- */

uint64_t engine_seq(const struct engine *e)
{
    return e->seq;
}

int64_t engine_now_usec(const struct engine *e)
{
    return e->now_usec;
}

int64_t engine_due_usec(const struct engine *e)
{
    return e->timers.count > 0 ? e->timers.heap[1].when_usec : 0;
}

const struct engine_limits *engine_limits_of(const struct engine *e)
{
    return &e->limits;
}

uint32_t engine_open_orders(const struct engine *e)
{
    return e->order_count;
}

struct engine_balance_view engine_balance(const struct engine *e, uint32_t account, uint32_t asset)
{
    const struct engine_balance *b = &e->balances[engine_find_balance(e, account, asset)];
    return (struct engine_balance_view){.available = b->available, .locked = b->locked};
}

static struct engine_order_view view_of(const struct engine_order *o)
{
    return (struct engine_order_view){.id = o->id,
                                      .price = o->price,
                                      .left = o->left,
                                      .filled = o->filled,
                                      .stop = o->stop,
                                      .account = o->account,
                                      .pair = o->pair,
                                      .side = o->side,
                                      .type = o->type,
                                      .tif = o->tif,
                                      .parked = o->where == ORDER_PARKED};
}

bool engine_order(const struct engine *e, uint64_t id, struct engine_order_view *out)
{
    const uint32_t at = engine_find_order(e, id);
    if (at != 0) {
        *out = view_of(&e->orders[at]);
    }
    return at != 0;
}

static int64_t best_price(const struct engine *e, const struct ladder *l)
{
    return l->best != 0 ? e->ladders.levels[l->best].price : 0;
}

bool engine_pair(const struct engine *e, uint32_t number, struct engine_pair_view *out)
{
    if (number >= e->limits.pairs || !e->pairs[number].defined) {
        return false;
    }
    const struct engine_pair *pair = &e->pairs[number];
    *out = (struct engine_pair_view){.state = (enum engine_state)pair->state,
                                     .last = pair->last,
                                     .reference = pair->reference,
                                     .best_bid = best_price(e, &pair->book[ENGINE_BUY]),
                                     .best_ask = best_price(e, &pair->book[ENGINE_SELL]),
                                     .until_usec = pair->until_usec};
    return true;
}

void engine_walk(const struct engine *e, uint32_t number,
                 void (*order)(void *ctx, const struct engine_order_view *order), void *ctx)
{
    if (number >= e->limits.pairs || !e->pairs[number].defined) {
        return;
    }
    const struct engine_pair *pair = &e->pairs[number];
    const struct ladder *ladders[] = {&pair->book[ENGINE_BUY], &pair->book[ENGINE_SELL],
                                      &pair->stops[ENGINE_BUY], &pair->stops[ENGINE_SELL]};
    for (size_t i = 0; i < sizeof ladders / sizeof ladders[0]; i++) {
        for (uint32_t l = ladders[i]->best; l != 0; l = e->ladders.levels[l].worse) {
            for (uint32_t at = e->ladders.levels[l].head; at != 0; at = e->orders[at].next) {
                const struct engine_order_view view = view_of(&e->orders[at]);
                order(ctx, &view);
            }
        }
    }
}

void engine_walk_balances(const struct engine *e,
                          void (*balance)(void *ctx, uint32_t account, uint32_t asset,
                                          struct engine_balance_view view),
                          void *ctx)
{
    for (uint32_t i = 1; i <= e->balance_count; i++) {
        const struct engine_balance *b = &e->balances[i];
        balance(ctx, b->account, b->asset,
                (struct engine_balance_view){.available = b->available, .locked = b->locked});
    }
}
