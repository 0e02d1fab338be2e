/*
 * projections_audit.c: proofs: rows against the engine, and rows against each other.
 */
#include "domain/trading/projections/projections_internal.h"
#include "domain/trading/projections/projections_sql.h"

#define PAGE 10000

/* ---- against the engine ---- */

struct comparison {
    const struct projections *p;
    struct why *why;
    enum err err;
    uint64_t balances; /* of the engine, other than zero */
};

static const struct projections_balance *find_balance(const struct projections *p, uint32_t account,
                                                      uint32_t asset)
{
    static const struct projections_balance none = {0};
    const uint32_t slot =
        projections_map_find(&p->balance_keys, projections_balance_key(account, asset));
    return slot != PROJECTIONS_NO_SLOT ? &p->balances[slot] : &none;
}

static void compare_balance(void *ctx, uint32_t account, uint32_t asset,
                            struct engine_balance_view view)
{
    struct comparison *c = ctx;
    const struct projections_balance *b = find_balance(c->p, account, asset);
    const uint64_t total = view.available + view.locked;
    c->balances += total != 0;
    if (c->err == OK && (b->total != total || b->locked != view.locked)) {
        c->err = why_set(c->why, ERR_CORRUPT, NULL,
                         "account %u has %llu of asset %u, %llu of it locked; the projections say "
                         "%llu and %llu",
                         account, (unsigned long long)total, asset, (unsigned long long)view.locked,
                         (unsigned long long)b->total, (unsigned long long)b->locked);
    }
}

static void compare_order(void *ctx, const struct engine_order_view *view)
{
    struct comparison *c = ctx;
    const uint32_t slot = projections_map_find(&c->p->order_ids, view->id);
    const struct projections_order *o = slot != PROJECTIONS_NO_SLOT ? &c->p->orders[slot] : NULL;
    const bool equal = o != NULL && o->left == view->left && o->filled == view->filled &&
                       o->account == view->account && o->pair == view->pair &&
                       o->side == view->side && o->tif == view->tif &&
                       (o->state == PROJECTIONS_PARKED) == view->parked &&
                       (view->parked ? o->stop == view->stop : o->price == view->price);
    if (c->err == OK && !equal) {
        c->err = why_set(c->why, ERR_CORRUPT, NULL,
                         "order %llu of the projections is not as in the engine",
                         (unsigned long long)view->id);
    }
}

enum err projections_compare(const struct projections *p, const struct engine *e, struct why *why)
{
    struct comparison c = {.p = p, .why = why};
    uint64_t balances = 0;
    if (engine_seq(e) != p->stored_seq) {
        return why_set(why, ERR_CORRUPT, NULL,
                       "the projections are at command %llu, the engine at %llu",
                       (unsigned long long)p->stored_seq, (unsigned long long)engine_seq(e));
    }
    engine_walk_balances(e, compare_balance, &c);
    for (uint32_t i = 0; i < p->pair_end && i < engine_limits_of(e)->pairs; i++) {
        engine_walk(e, i, compare_order, &c);
    }
    for (size_t i = 0; i < p->balance_count; i++) {
        balances += p->balances[i].total != 0;
    }
    if (c.err == OK && (balances != c.balances || p->order_ids.count != engine_open_orders(e))) {
        return why_set(why, ERR_CORRUPT, NULL,
                       "the projections have %llu balances and %u open orders, the engine %llu and "
                       "%u",
                       (unsigned long long)balances, p->order_ids.count,
                       (unsigned long long)c.balances, engine_open_orders(e));
    }
    return c.err;
}

/* ---- rows against each other ---- */

/* What was summed of one account and asset. In 128 bits: sums over years may pass 64. */
struct sum {
    uint32_t account;
    uint32_t asset;
    __int128 total;
    __int128 locked;
};

struct audit {
    struct projections_map keys;
    struct sum *sums;
    size_t count;
    size_t capacity;
    struct projections_audit found;
};

static struct sum *sum_of(struct audit *a, int64_t account, int64_t asset)
{
    const uint64_t key = projections_balance_key((uint32_t)account, (uint32_t)asset);
    uint32_t slot = projections_map_find(&a->keys, key);
    if (slot == PROJECTIONS_NO_SLOT) {
        slot = (uint32_t)a->count;
        a->sums = projections_room(a->sums, a->count, &a->capacity, sizeof *a->sums);
        a->sums[a->count++] = (struct sum){.account = (uint32_t)account, .asset = (uint32_t)asset};
        projections_map_add(&a->keys, key, slot);
    }
    return &a->sums[slot];
}

/* Adds one transfer; -1 is outside of the venue. */
static void add_transfer(struct audit *a, struct store_query *q)
{
    const int64_t asset = store_get_i64(q, "asset");
    const int64_t debit = store_get_i64(q, "debit");
    const int64_t credit = store_get_i64(q, "credit");
    const int64_t amount = store_get_i64(q, "amount");
    if (debit >= 0) {
        sum_of(a, debit, asset)->total -= amount;
    }
    if (credit >= 0) {
        sum_of(a, credit, asset)->total += amount;
    }
    a->found.transfers++;
}

static enum err add_trades(struct store_tx *tx, struct audit *a, struct why *why)
{
    enum err e = OK;
    for (uint64_t after = 0; after < a->found.trades && e == OK; after += PAGE) {
        struct store_query q;
        store_begin(&q, tx, &projections_sql_trade_transfers);
        store_bind_i64(&q, "after", (int64_t)after);
        store_bind_i64(&q, "upto", (int64_t)after + PAGE);
        while (store_step(&q)) {
            add_transfer(a, &q);
            store_ignore(&q, "seq");
            store_ignore(&q, "id");
            store_ignore(&q, "leg");
            store_ignore(&q, "kind");
        }
        e = store_finish(&q, NULL, why);
    }
    return e;
}

static enum err add_movements(struct store_tx *tx, struct audit *a, struct why *why)
{
    int64_t after = 0;
    for (bool more = true; more;) {
        struct store_query q;
        more = false;
        store_begin(&q, tx, &projections_sql_money_transfers);
        store_bind_i64(&q, "after", after);
        store_bind_i64(&q, "limit", PAGE);
        while (store_step(&q)) {
            after = store_get_i64(&q, "seq");
            add_transfer(a, &q);
            store_ignore(&q, "id");
            store_ignore(&q, "kind");
            more = true;
        }
        const enum err e = store_finish(&q, NULL, why);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err add_locks(struct store_tx *tx, struct audit *a, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &projections_sql_locks);
    while (store_step(&q)) {
        const int64_t account = store_get_i64(&q, "account");
        const int64_t asset = store_get_i64(&q, "asset");
        sum_of(a, account, asset)->locked +=
            (__int128)store_get_i64(&q, "per_lot") * store_get_i64(&q, "lots");
    }
    return store_finish(&q, NULL, why);
}

static enum err wrong(struct why *why, uint32_t account, uint32_t asset, const char *what)
{
    return why_set(why, ERR_CORRUPT, NULL, "account %u, asset %u: %s", account, asset, what);
}

/* Each stored balance against its sums, which are then done with. */
static enum err check_balances(struct store_tx *tx, struct audit *a, struct why *why)
{
    struct store_query q;
    enum err found = OK;
    store_begin(&q, tx, &projections_sql_balances);
    while (store_step(&q)) {
        const int64_t account = store_get_i64(&q, "account");
        struct sum *sum = sum_of(a, account, store_get_i64(&q, "asset"));
        const bool total = sum->total == store_get_i64(&q, "total");
        const bool locked = sum->locked == store_get_i64(&q, "locked");
        if (found == OK && (!total || !locked)) {
            found = wrong(why, sum->account, sum->asset,
                          total ? "what is locked is not what open orders and holds lock"
                                : "the balance is not the sum of its transfers");
        }
        sum->total = sum->locked = 0;
        a->found.balances++;
    }
    const enum err e = store_finish(&q, NULL, why);
    for (size_t i = 0; i < a->count && e == OK && found == OK; i++) {
        if (a->sums[i].total != 0 || a->sums[i].locked != 0) {
            found = wrong(why, a->sums[i].account, a->sums[i].asset, "there is no balance");
        }
    }
    return e != OK ? e : found;
}

static enum err audit(struct store_tx *tx, void *ctx, struct why *why)
{
    struct audit *a = ctx;
    struct store_query q;
    a->count = 0;
    a->found = (struct projections_audit){0};
    projections_map_clear(&a->keys);
    store_begin(&q, tx, &projections_sql_cursor);
    if (store_step(&q)) {
        a->found.seq = (uint64_t)store_get_i64(&q, "seq");
        a->found.trades = (uint64_t)store_get_i64(&q, "trades");
        store_ignore(&q, "venue_time");
        store_ignore(&q, "places");
    }
    enum err e = store_finish_one(&q, "the cursor of the projections", why);
    e = e == OK ? add_trades(tx, a, why) : e;
    e = e == OK ? add_movements(tx, a, why) : e;
    e = e == OK ? add_locks(tx, a, why) : e;
    return e == OK ? check_balances(tx, a, why) : e;
}

enum err projections_audit(struct store *store, struct projections_audit *out, struct why *why)
{
    struct audit a = {0};
    const enum err e = store_read(store, audit, &a, why);
    if (e == OK) {
        *out = a.found;
    }
    projections_map_clear(&a.keys);
    mem_free(a.sums);
    return e;
}
