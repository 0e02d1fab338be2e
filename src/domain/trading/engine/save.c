/*
 * save.c: the state as words, and back.
 *
 * Canonical: things that exist are written in the order of their numbers, orders account by account
 * in the order in which they came, holds by id. Slots, free lists, the trie's shape and the heap's
 * are not written: they answer no command. What follows from other words (levels, what is locked
 * by whom, indicative prices) is computed again.
 */
#include "domain/trading/engine/internal.h"

#include "kernel/base/mem.h"

#define SAVE_VERSION 1

struct writer {
    void (*word)(void *ctx, uint64_t word);
    void *ctx;
};

static void put(const struct writer *w, uint64_t word)
{
    w->word(w->ctx, word);
}

static void put_two(const struct writer *w, uint32_t high, uint32_t low)
{
    put(w, (uint64_t)high << 32 | low);
}

static void save_ids(const struct engine *e, const struct writer *w)
{
    put(w, e->window.floor);
    put(w, e->window.highest);
    for (uint64_t id = e->window.floor; id <= e->window.highest; id += 64) {
        put(w, e->window.bits[(id & (e->window.size - 1)) / 64]);
    }
}

static void save_pairs(const struct engine *e, const struct writer *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->limits.pairs; i++) {
        count += e->pairs[i].defined;
    }
    put(w, count);
    for (uint32_t i = 0; i < e->limits.pairs; i++) {
        const struct engine_pair *p = &e->pairs[i];
        if (!p->defined) {
            continue;
        }
        put_two(w, i, (uint32_t)p->settled << 16 | (uint32_t)p->state << 8 | p->stp);
        put_two(w, p->base, p->quote);
        put(w, p->fee_account);
        put(w, p->lot_units);
        put(w, p->tick_units);
        put(w, (uint64_t)p->price_step);
        put(w, (uint64_t)p->qty_step);
        put(w, (uint64_t)p->qty_max);
        put(w, p->notional_min);
        put(w, (uint64_t)p->last);
        put(w, (uint64_t)p->reference);
        put_two(w, p->band_ppm, p->halt_ppm);
        put(w, (uint64_t)p->halt_usec);
        put(w, (uint64_t)p->period_usec);
        put(w, (uint64_t)p->until_usec);
        for (uint32_t t = 0; t < ENGINE_TIERS; t++) {
            put_two(w, p->fees[t].maker_ppm, p->fees[t].taker_ppm);
        }
    }
}

static void save_order(const struct writer *w, const struct engine_order *o)
{
    put(w, o->id);
    put_two(w, o->pair, (uint32_t)o->flags << 16 | (uint32_t)o->where << 8 | o->stp);
    put_two(w, (uint32_t)o->side << 16 | (uint32_t)o->type << 8 | o->tif,
            (uint32_t)o->maker_ppm << 16 | o->taker_ppm);
    put(w, (uint64_t)o->price);
    put(w, (uint64_t)o->left);
    put(w, (uint64_t)o->filled);
    put(w, o->prio);
    put(w, o->per_lot);
    put(w, (uint64_t)o->stop);
    put(w, (uint64_t)o->expire_usec);
}

static void save_accounts(const struct engine *e, const struct writer *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->limits.accounts; i++) {
        count += e->accounts[i].defined;
    }
    put(w, count);
    for (uint32_t i = 0; i < e->limits.accounts; i++) {
        const struct engine_account *a = &e->accounts[i];
        if (!a->defined) {
            continue;
        }
        put_two(w, i, a->owner);
        put_two(w, a->orders_max, a->tier);
        put(w, (uint64_t)a->cancel_usec);
        put(w, a->open);
        for (uint32_t at = a->head; at != 0; at = e->orders[at].account_next) {
            save_order(w, &e->orders[at]);
        }
    }
}

static void save_money(const struct engine *e, const struct writer *w)
{
    put(w, e->right_count);
    for (uint32_t i = 1; i <= e->right_count; i++) {
        const struct engine_right *r = &e->rights[i];
        put_two(w, r->owner, r->asset);
        put(w, (uint64_t)r->until_usec);
        put(w, r->cap);
        put(w, r->incoming);
    }
    put(w, e->balance_count);
    for (uint32_t i = 1; i <= e->balance_count; i++) {
        const struct engine_balance *b = &e->balances[i];
        put_two(w, b->account, b->asset);
        put(w, b->available);
        put(w, b->locked);
    }
}

static int by_hold_id(const void *a, const void *b)
{
    const uint64_t x = (*(const struct engine_hold *const *)a)->id;
    const uint64_t y = (*(const struct engine_hold *const *)b)->id;
    return x < y ? -1 : x > y;
}

static void save_holds(const struct engine *e, const struct writer *w)
{
    const struct engine_hold **open = mem_alloc(((size_t)e->hold_used + 1) * sizeof(void *));
    size_t count = 0;
    for (uint32_t i = 1; i <= e->hold_used; i++) {
        if (e->holds[i].id != 0) {
            open[count++] = &e->holds[i];
        }
    }
    qsort(open, count, sizeof open[0], by_hold_id);
    put(w, count);
    for (size_t i = 0; i < count; i++) {
        put(w, open[i]->id);
        put(w, open[i]->amount);
        put_two(w, open[i]->account, open[i]->asset);
        put(w, open[i]->to);
    }
    mem_free(open);
}

void engine_save(const struct engine *e, void (*word)(void *ctx, uint64_t word), void *ctx)
{
    const struct writer w = {.word = word, .ctx = ctx};
    const struct engine_limits *l = &e->limits;
    put(&w, SAVE_VERSION);
    put_two(&w, l->pairs, l->assets);
    put_two(&w, l->accounts, l->orders);
    put_two(&w, l->balances, l->rights);
    put_two(&w, l->holds, l->id_window);
    put(&w, (uint64_t)e->now_usec);
    put(&w, e->prio);
    save_ids(e, &w);
    uint32_t assets = 0;
    for (uint32_t i = 0; i < l->assets; i++) {
        assets += e->assets[i].defined;
    }
    put(&w, assets);
    for (uint32_t i = 0; i < l->assets; i++) {
        if (e->assets[i].defined) {
            put_two(&w, i, e->assets[i].flags);
            put(&w, e->assets[i].supply);
        }
    }
    save_pairs(e, &w);
    save_accounts(e, &w);
    save_money(e, &w);
    save_holds(e, &w);
}

static void fold(void *ctx, uint64_t word)
{
    uint64_t *hash = ctx;
    *hash = (*hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    *hash ^= *hash >> 32;
}

uint64_t engine_hash(const struct engine *e)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    engine_save(e, fold, &hash);
    return hash;
}

/* ---- loading: every word that is used as a number of something is compared with its limit ---- */

struct reader {
    bool (*word)(void *ctx, uint64_t *out);
    void *ctx;
    bool bad; /* the end came early, or a word is none that was saved */
};

static uint64_t get(struct reader *r)
{
    uint64_t word = 0;
    r->bad = r->bad || !r->word(r->ctx, &word);
    return r->bad ? 0 : word;
}

/* A word that must be below `limit`; 0 when it is not. */
static uint64_t get_below(struct reader *r, uint64_t limit)
{
    const uint64_t word = get(r);
    r->bad = r->bad || word >= limit;
    return r->bad ? 0 : word;
}

static int64_t get_positive(struct reader *r)
{
    return (int64_t)get_below(r, UINT64_C(1) << 63);
}

static void get_two(struct reader *r, uint32_t high_limit, uint32_t *high, uint32_t low_limit,
                    uint32_t *low)
{
    const uint64_t word = get(r);
    *high = (uint32_t)(word >> 32);
    *low = (uint32_t)word;
    if (*high >= high_limit || *low >= low_limit) {
        r->bad = true;
        *high = *low = 0;
    }
}

static void load_ids(struct engine *e, struct reader *r)
{
    struct id_window *w = &e->window;
    w->floor = (uint64_t)get_positive(r);
    w->highest = (uint64_t)get_positive(r);
    r->bad =
        r->bad || w->floor % 64 != 0 || w->highest < w->floor || w->highest - w->floor >= w->size;
    for (uint64_t id = w->floor; !r->bad && id <= w->highest; id += 64) {
        w->bits[(id & (w->size - 1)) / 64] = get(r);
    }
}

static void load_pair(struct engine *e, struct reader *r)
{
    uint32_t number;
    uint32_t bits;
    get_two(r, e->limits.pairs, &number, 1u << 17, &bits);
    struct engine_pair *p = &e->pairs[number];
    r->bad = r->bad || p->defined || (bits >> 8 & 0xff) >= ENGINE_STATE_COUNT ||
             (bits & 0xff) > ENGINE_STP_DECREMENT;
    *p = (struct engine_pair){.defined = true,
                              .number = number,
                              .settled = bits >> 16 != 0,
                              .state = (uint8_t)(bits >> 8),
                              .stp = (uint8_t)bits};
    p->book[ENGINE_BUY].highest_first = true;
    p->stops[ENGINE_SELL].highest_first = true;
    get_two(r, e->limits.assets, &p->base, e->limits.assets, &p->quote);
    p->fee_account = (uint32_t)get_below(r, e->limits.accounts);
    p->lot_units = get(r);
    p->tick_units = get(r);
    p->price_step = get_positive(r);
    p->qty_step = get_positive(r);
    p->qty_max = get_positive(r);
    p->notional_min = get(r);
    p->last = get_positive(r);
    const int64_t reference = get_positive(r);
    get_two(r, UINT32_MAX, &p->band_ppm, UINT32_MAX, &p->halt_ppm);
    p->halt_usec = get_positive(r);
    p->period_usec = get_positive(r);
    p->until_usec = get_positive(r);
    r->bad = r->bad || p->price_step == 0 || p->qty_step == 0;
    auction_set_reference(p, reference);
    for (uint32_t t = 0; t < ENGINE_TIERS; t++) {
        uint32_t maker;
        uint32_t taker;
        get_two(r, ENGINE_FEE_PPM_MAX + 1, &maker, ENGINE_FEE_PPM_MAX + 1, &taker);
        p->fees[t] = (struct engine_fee){(uint16_t)maker, (uint16_t)taker};
    }
    p->restricted = p->settled && ((e->assets[p->base].flags | e->assets[p->quote].flags) &
                                   ENGINE_ASSET_RESTRICTED) != 0;
    if (!r->bad && p->until_usec != 0) {
        timers_set(&e->timers, (struct timer){p->until_usec, number, TIMER_PAIR, number});
    }
}

static void load_order(struct engine *e, struct reader *r, uint32_t account)
{
    uint32_t bits;
    uint32_t kind;
    uint32_t rates;
    struct engine_order o = {.account = account, .owner = e->accounts[account].owner};
    o.id = get(r);
    get_two(r, e->limits.pairs, &o.pair, 1u << 24, &bits);
    get_two(r, 1u << 17, &kind, UINT32_MAX, &rates);
    o.price = get_positive(r);
    o.left = get_positive(r);
    o.filled = get_positive(r);
    o.prio = get(r);
    o.per_lot = get(r);
    o.stop = get_positive(r);
    o.expire_usec = get_positive(r);
    o.flags = (uint8_t)(bits >> 16 & 0xffu & ~ORDER_OPENED);
    o.where = (uint8_t)(bits >> 8);
    o.stp = (uint8_t)bits;
    o.side = (uint8_t)(kind >> 16);
    o.type = (uint8_t)(kind >> 8);
    o.tif = (uint8_t)kind;
    o.maker_ppm = (uint16_t)(rates >> 16);
    o.taker_ppm = (uint16_t)rates;
    r->bad = r->bad || (o.where != ORDER_BOOK && o.where != ORDER_PARKED) || o.left <= 0 ||
             o.left > ENGINE_QTY_MAX || o.price <= 0 || o.price >= ENGINE_PRICE_MAX ||
             o.stop >= ENGINE_PRICE_MAX || !e->pairs[o.pair].defined ||
             e->order_used >= e->limits.orders || engine_find_order(e, o.id) != 0;
    if (!r->bad) {
        const uint32_t at = order_take(e);
        e->orders[at] = o;
        e->pairs[o.pair].auction_orders += (o.flags & ORDER_AUCTION) != 0;
        order_open(e, at);
    }
}

static void load_accounts(struct engine *e, struct reader *r)
{
    const uint64_t count = get_below(r, (uint64_t)e->limits.accounts + 1);
    for (uint64_t i = 0; i < count && !r->bad; i++) {
        uint32_t number;
        uint32_t owner;
        uint32_t tier;
        get_two(r, e->limits.accounts, &number, e->limits.accounts, &owner);
        struct engine_account *a = &e->accounts[number];
        r->bad = r->bad || a->defined;
        get_two(r, UINT32_MAX, &a->orders_max, ENGINE_TIERS, &tier);
        a->defined = true;
        a->owner = owner;
        a->tier = (uint8_t)tier;
        a->cancel_usec = get_positive(r);
        uint32_t *link = &e->owners[owner];
        while (*link != 0) { /* numbers rise: the new one is the last */
            link = &e->accounts[*link - 1].owner_next;
        }
        *link = number + 1;
        if (a->cancel_usec != 0 && !r->bad) {
            timers_set(&e->timers, (struct timer){a->cancel_usec, number, TIMER_ACCOUNT, number});
        }
        const uint64_t orders = get_below(r, (uint64_t)e->limits.orders + 1);
        for (uint64_t k = 0; k < orders && !r->bad; k++) {
            load_order(e, r, number);
        }
    }
}

static void load_money(struct engine *e, struct reader *r)
{
    const uint64_t rights = get_below(r, (uint64_t)e->limits.rights + 1);
    for (uint64_t i = 0; i < rights && !r->bad; i++) {
        uint32_t owner;
        uint32_t asset;
        get_two(r, e->limits.accounts, &owner, e->limits.assets, &asset);
        r->bad = r->bad || engine_find_right(e, owner, asset) != 0;
        if (!r->bad) {
            struct engine_right *right = &e->rights[engine_open_right(e, owner, asset)];
            right->until_usec = get_positive(r);
            right->cap = get(r);
            right->incoming = get(r);
        }
    }
    const uint64_t balances = get_below(r, (uint64_t)e->limits.balances + 1);
    for (uint64_t i = 0; i < balances && !r->bad; i++) {
        uint32_t account;
        uint32_t asset;
        get_two(r, e->limits.accounts, &account, e->limits.assets, &asset);
        const uint64_t available = get_below(r, ENGINE_AMOUNT_MAX + 1);
        const uint64_t locked = get_below(r, ENGINE_AMOUNT_MAX + 1);
        r->bad = r->bad || !e->accounts[account].defined || !e->assets[asset].defined ||
                 engine_find_balance(e, account, asset) != 0;
        if (!r->bad) {
            struct engine_balance *b = &e->balances[engine_open_balance(e, account, asset)];
            b->available = available;
            b->locked = locked;
            if (b->right != 0) {
                e->rights[b->right].held += available + locked;
            }
        }
    }
}

static void load_holds(struct engine *e, struct reader *r)
{
    const uint64_t count = get_below(r, (uint64_t)e->limits.holds + 1);
    for (uint64_t i = 0; i < count && !r->bad; i++) {
        struct engine_hold h = {.id = get(r), .amount = get(r)};
        get_two(r, e->limits.accounts, &h.account, e->limits.assets, &h.asset);
        h.to = (uint32_t)get_below(r, (uint64_t)UINT32_MAX + 1);
        r->bad = r->bad || h.id == 0 || engine_find_balance(e, h.account, h.asset) == 0 ||
                 (h.to != ENGINE_NOBODY && engine_find_balance(e, h.to, h.asset) == 0);
        if (!r->bad) {
            e->holds[++e->hold_used] = h;
            id_map_add(&e->hold_ids, h.id, e->hold_used);
        }
    }
}

struct entry {
    uint64_t prio;
    uint32_t at;
};

static int by_prio(const void *a, const void *b)
{
    const uint64_t x = ((const struct entry *)a)->prio;
    const uint64_t y = ((const struct entry *)b)->prio;
    return x < y ? -1 : x > y;
}

/* Fills the books in the order in which their orders had entered. */
static void restore_books(struct engine *e, struct reader *r, uint64_t prio)
{
    struct entry *entries = mem_alloc(((size_t)e->order_used + 1) * sizeof *entries);
    for (uint32_t at = 1; at <= e->order_used; at++) {
        struct engine_order *o = &e->orders[at];
        const struct engine_pair *pair = &e->pairs[o->pair];
        entries[at - 1] = (struct entry){.prio = o->prio, .at = at};
        r->bad = r->bad || o->prio == 0 || o->prio > prio;
        if (pair->settled) {
            o->base = engine_find_balance(e, o->account, pair->base);
            o->quote = engine_find_balance(e, o->account, pair->quote);
            r->bad = r->bad || o->base == 0 || o->quote == 0;
        }
    }
    qsort(entries, e->order_used, sizeof entries[0], by_prio);
    for (uint32_t i = 0; i < e->order_used && !r->bad; i++) {
        book_restore(e, entries[i].at);
    }
    mem_free(entries);
    e->prio = prio;
    for (uint32_t i = 0; i < e->limits.pairs && !r->bad; i++) {
        struct engine_pair *pair = &e->pairs[i];
        if (pair->defined && pair->settled) {
            pair->fee_balance = engine_find_balance(e, pair->fee_account, pair->quote);
            r->bad = pair->fee_balance == 0;
        }
        if (pair->defined && pair->state == ENGINE_AUCTION) {
            pair->shown = auction_compute(e, pair);
        }
    }
}

enum err engine_load(struct engine *e, bool (*word)(void *ctx, uint64_t *out), void *ctx,
                     uint64_t seq, struct why *why)
{
    struct reader r = {.word = word, .ctx = ctx};
    const struct engine_limits *l = &e->limits;
    const uint64_t header[] = {
        SAVE_VERSION, (uint64_t)l->pairs << 32 | l->assets, (uint64_t)l->accounts << 32 | l->orders,
        (uint64_t)l->balances << 32 | l->rights, (uint64_t)l->holds << 32 | l->id_window};
    ASSERT(e->seq == 0 && e->order_count == 0);
    for (size_t i = 0; i < sizeof header / sizeof header[0]; i++) {
        r.bad = get(&r) != header[i] || r.bad;
    }
    e->now_usec = get_positive(&r);
    const uint64_t prio = get(&r);
    load_ids(e, &r);
    const uint64_t assets = get_below(&r, (uint64_t)l->assets + 1);
    for (uint64_t i = 0; i < assets && !r.bad; i++) {
        uint32_t number;
        uint32_t flags;
        get_two(&r, l->assets, &number, 1u << 8, &flags);
        e->assets[number] = (struct engine_asset){
            .defined = true, .flags = (uint8_t)flags, .supply = (uint64_t)get_positive(&r)};
    }
    const uint64_t pairs = get_below(&r, (uint64_t)l->pairs + 1);
    for (uint64_t i = 0; i < pairs && !r.bad; i++) {
        load_pair(e, &r);
    }
    load_accounts(e, &r);
    load_money(e, &r);
    load_holds(e, &r);
    if (!r.bad) {
        restore_books(e, &r, prio);
    }
    if (r.bad) {
        return why_set(why, ERR_CORRUPT, NULL,
                       "the saved state is not one of an engine with these limits");
    }
    e->seq = seq;
    return OK;
}
