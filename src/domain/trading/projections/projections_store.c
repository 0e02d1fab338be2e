/*
 * projections_store.c: one batch as rows, and the cursor that says so.
 */
#include "domain/trading/projections/projections_internal.h"
#include "domain/trading/projections/projections_sql.h"

static void bind_time_or_null(struct store_query *q, const char *name, int64_t usec)
{
    if (usec != 0) {
        store_bind_time(q, name, usec);
    } else {
        store_bind_null(q, name);
    }
}

static void bind_place(struct store_query *q, const struct projections_order *o)
{
    if (o->place != 0) {
        store_bind_i64(q, "place", (int64_t)o->place);
    } else {
        store_bind_null(q, "place");
    }
}

/* Most orders never trade: they have no 78 digits of zero. */
static void bind_notional(struct store_query *q, const struct projections_order *o)
{
    if (o->notional != 0) {
        store_bind_u256(q, "notional", projections_wide(o->notional));
    } else {
        store_bind_null(q, "notional");
    }
}

/* The cursor first: whoever comes second waits for its row, sees it elsewhere and gives up. */
static enum err move_cursor(struct store_tx *tx, const struct projections *p, struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &projections_sql_cursor_move);
    store_bind_i64(&q, "before", (int64_t)p->stored_seq);
    store_bind_i64(&q, "seq", (int64_t)p->seq);
    store_bind_time(&q, "venue_time", p->now_usec);
    store_bind_i64(&q, "trades", (int64_t)p->trade_count);
    store_bind_i64(&q, "places", (int64_t)p->places);
    const enum err e = store_finish(&q, &changed, why);
    if (e == OK && changed == 0) {
        return why_set(why, ERR_CONFLICT, NULL,
                       "the projections are not at command %llu any more: another process writes "
                       "them",
                       (unsigned long long)p->stored_seq);
    }
    return e;
}

static enum err write_pairs(struct store_tx *tx, const struct projections *p, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &projections_sql_pair_write);
    for (size_t i = 0; i < p->pairs_dirty.count; i++) {
        const struct projections_pair *pair = p->pairs[p->pairs_dirty.at[i]];
        store_bind_i64(&q, "pair", pair->number);
        store_bind_i64(&q, "base", pair->base);
        store_bind_i64(&q, "quote", pair->quote);
        store_bind_i64(&q, "fee_account", pair->fee_account);
        store_bind_i64(&q, "lot_units", (int64_t)pair->lot_units);
        store_bind_i64(&q, "tick_units", (int64_t)pair->tick_units);
        store_bind_i64(&q, "state", pair->state);
        bind_time_or_null(&q, "state_until", pair->until_usec);
        store_bind_i64(&q, "auction_price", pair->auction_price);
        store_bind_i64(&q, "auction_volume", pair->auction_volume);
        store_bind_i64(&q, "auction_surplus", pair->auction_surplus);
        store_bind_i64(&q, "book_number", (int64_t)pair->book_number);
        store_bind_i64(&q, "book_checksum", pair->book_checksum);
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

static enum err insert_orders(struct store_tx *tx, const struct projections *p, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &projections_sql_order_insert);
    for (size_t i = 0; i < p->orders_dirty.count; i++) {
        const struct projections_order *o = &p->orders[p->orders_dirty.at[i]];
        if (o->stored) {
            continue;
        }
        store_bind_i64(&q, "id", (int64_t)o->id);
        store_bind_i64(&q, "account", o->account);
        store_bind_i64(&q, "pair", o->pair);
        store_bind_i64(&q, "side", o->side);
        store_bind_i64(&q, "type", o->type);
        store_bind_i64(&q, "tif", o->tif);
        store_bind_i64(&q, "price", o->price);
        store_bind_i64(&q, "stop", o->stop);
        store_bind_i64(&q, "funds", (int64_t)o->funds);
        store_bind_i64(&q, "total", o->total);
        store_bind_i64(&q, "filled", o->filled);
        store_bind_i64(&q, "open_qty", o->left);
        store_bind_i64(&q, "cancelled", o->cancelled);
        store_bind_i64(&q, "prevented", o->prevented);
        bind_notional(&q, o);
        store_bind_i64(&q, "lot_lock", (int64_t)o->per_lot);
        store_bind_i64(&q, "state", o->state);
        store_bind_i64(&q, "reason", o->reason);
        bind_place(&q, o);
        store_bind_i64(&q, "accepted_seq", (int64_t)o->accepted_seq);
        store_bind_time(&q, "accepted_at", o->accepted_usec);
        store_bind_i64(&q, "changed_seq", (int64_t)o->changed_seq);
        store_bind_time(&q, "changed_at", o->changed_usec);
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

static enum err update_orders(struct store_tx *tx, const struct projections *p, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &projections_sql_order_update);
    for (size_t i = 0; i < p->orders_dirty.count; i++) {
        const struct projections_order *o = &p->orders[p->orders_dirty.at[i]];
        if (!o->stored) {
            continue;
        }
        store_bind_i64(&q, "id", (int64_t)o->id);
        store_bind_i64(&q, "price", o->price);
        store_bind_i64(&q, "total", o->total);
        store_bind_i64(&q, "filled", o->filled);
        store_bind_i64(&q, "open_qty", o->left);
        store_bind_i64(&q, "cancelled", o->cancelled);
        store_bind_i64(&q, "prevented", o->prevented);
        bind_notional(&q, o);
        store_bind_i64(&q, "lot_lock", (int64_t)o->per_lot);
        store_bind_i64(&q, "state", o->state);
        store_bind_i64(&q, "reason", o->reason);
        bind_place(&q, o);
        store_bind_i64(&q, "changed_seq", (int64_t)o->changed_seq);
        store_bind_time(&q, "changed_at", o->changed_usec);
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

static enum err insert_trades(struct store_tx *tx, const struct projections *p, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &projections_sql_trade_insert);
    for (size_t i = 0; i < p->trades_waiting; i++) {
        const struct projections_trade *t = &p->trades[i];
        const struct engine_event *ev = &t->event;
        store_bind_i64(&q, "id", (int64_t)t->id);
        store_bind_time(&q, "at", t->usec);
        store_bind_i64(&q, "seq", (int64_t)ev->seq);
        store_bind_i64(&q, "pair", ev->pair);
        store_bind_i64(&q, "price", ev->price);
        store_bind_i64(&q, "qty", ev->qty);
        store_bind_i64(&q, "taker_side", ev->side);
        store_bind_bool(&q, "auction", ev->type != 0);
        store_bind_i64(&q, "maker_order", (int64_t)ev->order);
        store_bind_i64(&q, "taker_order", (int64_t)ev->other);
        store_bind_i64(&q, "maker_account", ev->account);
        store_bind_i64(&q, "taker_account", ev->account_other);
        store_bind_i64(&q, "amount", (int64_t)ev->amount);
        store_bind_i64(&q, "maker_fee", (int64_t)ev->fee_maker);
        store_bind_i64(&q, "taker_fee", (int64_t)ev->fee_taker);
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

static enum err insert_movements(struct store_tx *tx, const struct projections *p, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &projections_sql_movement_insert);
    for (size_t i = 0; i < p->movements_waiting; i++) {
        const struct projections_movement *m = &p->movements[i];
        const struct engine_event *ev = &m->event;
        store_bind_i64(&q, "seq", (int64_t)ev->seq);
        store_bind_time(&q, "at", m->usec);
        store_bind_i64(&q, "kind", ev->kind);
        store_bind_i64(&q, "id", (int64_t)ev->order);
        store_bind_i64(&q, "account", ev->account);
        if (ev->kind == ENGINE_EVENT_CREDITED || ev->account_other == ENGINE_NOBODY) {
            store_bind_null(&q, "receiver");
        } else {
            store_bind_i64(&q, "receiver", ev->account_other);
        }
        store_bind_i64(&q, "asset", (int64_t)ev->other);
        store_bind_i64(&q, "amount", (int64_t)ev->amount);
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

static enum err write_balances(struct store_tx *tx, const struct projections *p, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &projections_sql_balance_write);
    for (size_t i = 0; i < p->balances_dirty.count; i++) {
        const struct projections_balance *b = &p->balances[p->balances_dirty.at[i]];
        ASSERT(b->total <= INT64_MAX && b->locked <= b->total);
        store_bind_i64(&q, "account", b->account);
        store_bind_i64(&q, "asset", b->asset);
        store_bind_i64(&q, "total", (int64_t)b->total);
        store_bind_i64(&q, "locked", (int64_t)b->locked);
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

/* ---- books ---- */

/* Levels that have orders are set, when `empty` those that have none are deleted. */
static enum err write_levels(struct store_tx *tx, const struct projections *p, bool empty,
                             struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, empty ? &projections_sql_level_delete : &projections_sql_level_write);
    for (size_t i = 0; i < p->pairs_levels.count; i++) {
        struct projections_pair *pair = p->pairs[p->pairs_levels.at[i]];
        for (size_t k = 0; k < pair->unwritten.count; k++) {
            const struct projections_change *change = &pair->unwritten.at[k];
            if ((change->qty == 0) != empty) {
                continue;
            }
            store_bind_i64(&q, "pair", pair->number);
            store_bind_i64(&q, "side", change->side);
            store_bind_i64(&q, "price", change->price);
            if (!empty) {
                const struct projections_level *level = projections_level_find(
                    &pair->sides[change->side], (enum engine_side)change->side, change->price);
                store_bind_i64(&q, "qty", level->qty);
                store_bind_i64(&q, "orders", level->orders);
            }
            store_row(&q);
        }
    }
    return store_finish(&q, NULL, why);
}

static void changes_text(struct buf *b, const struct projections *p,
                         const struct projections_delta *d)
{
    b->len = 0;
    buf_add_byte(b, '[');
    for (size_t i = 0; i < d->count; i++) {
        const struct projections_change *change = &p->told.at[d->first + i];
        buf_add_text(b, i > 0 ? "," : "");
        buf_add_text(b, change->side == ENGINE_BUY ? "[\"bid\"," : "[\"ask\",");
        buf_add_i64(b, change->price);
        buf_add_byte(b, ',');
        buf_add_i64(b, change->qty);
        buf_add_byte(b, ']');
    }
    buf_add_byte(b, ']');
}

static bool delta_kept(const struct projections *p, const struct projections_delta *d)
{
    return d->number + PROJECTIONS_DELTAS_KEPT > p->pairs[d->pair]->book_number;
}

static enum err insert_deltas(struct store_tx *tx, const struct projections *p, struct why *why)
{
    struct arena arena;
    struct buf text;
    struct store_query q;
    arena_init(&arena, 0);
    buf_init(&text, &arena, 256);
    store_begin_rows(&q, tx, &projections_sql_delta_insert);
    for (size_t i = 0; i < p->deltas_waiting; i++) {
        const struct projections_delta *d = &p->deltas[i];
        if (!delta_kept(p, d)) {
            continue;
        }
        changes_text(&text, p, d);
        store_bind_i64(&q, "pair", d->pair);
        store_bind_i64(&q, "number", (int64_t)d->number);
        store_bind_i64(&q, "seq", (int64_t)d->seq);
        store_bind_text(&q, "changes", buf_slice(&text));
        store_bind_i64(&q, "checksum", d->checksum);
        store_row(&q);
    }
    const enum err e = store_finish(&q, NULL, why);
    arena_free(&arena);
    return e;
}

static enum err prune_deltas(struct store_tx *tx, const struct projections *p, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &projections_sql_delta_prune);
    for (size_t i = 0; i < p->pairs_dirty.count; i++) {
        const struct projections_pair *pair = p->pairs[p->pairs_dirty.at[i]];
        if (pair->book_number > PROJECTIONS_DELTAS_KEPT) {
            store_bind_i64(&q, "pair", pair->number);
            store_bind_i64(&q, "upto", (int64_t)(pair->book_number - PROJECTIONS_DELTAS_KEPT));
            store_row(&q);
        }
    }
    return store_finish(&q, NULL, why);
}

/* ---- candles and statistics ---- */

static void bind_figures(struct store_query *q, const struct projections_candle *c)
{
    store_bind_i64(q, "open", c->open);
    store_bind_i64(q, "high", c->high);
    store_bind_i64(q, "low", c->low);
    store_bind_i64(q, "close", c->close);
    store_bind_u256(q, "volume", projections_wide(c->volume));
    store_bind_u256(q, "notional", projections_wide(c->notional));
    store_bind_i64(q, "trades", (int64_t)c->trades);
    store_row(q);
}

static void bind_candle(struct store_query *q, uint32_t pair, uint32_t span,
                        const struct projections_candle *c)
{
    store_bind_i64(q, "pair", pair);
    store_bind_i64(q, "span_sec", projections_span_sec[span]);
    store_bind_time(q, "begins", c->begins_usec);
    bind_figures(q, c);
}

static enum err write_candles(struct store_tx *tx, const struct projections *p, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &projections_sql_candle_write);
    for (size_t i = 0; i < p->closed_waiting; i++) {
        bind_candle(&q, p->closed[i].pair, p->closed[i].span, &p->closed[i].candle);
    }
    for (uint32_t i = 0; i < p->pair_end; i++) {
        const struct projections_pair *pair = p->pairs[i];
        for (uint32_t span = 0; pair != NULL && span < PROJECTIONS_SPANS; span++) {
            if (pair->candles[span].dirty) {
                bind_candle(&q, i, span, &pair->candles[span]);
            }
        }
    }
    return store_finish(&q, NULL, why);
}

static enum err write_statistics(struct store_tx *tx, const struct projections *p, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &projections_sql_statistics_write);
    for (uint32_t i = 0; i < p->pair_end; i++) {
        const struct projections_pair *pair = p->pairs[i];
        if (pair != NULL && pair->statistics_dirty) {
            const struct projections_candle day = projections_statistics(pair);
            store_bind_i64(&q, "pair", i);
            bind_figures(&q, &day);
        }
    }
    return store_finish(&q, NULL, why);
}

enum err projections_write(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct projections *p = ctx;
    static enum err (*const steps[])(struct store_tx *, const struct projections *,
                                     struct why *) = {
        move_cursor,   write_pairs,      insert_orders,    update_orders,
        insert_trades, insert_movements, write_balances,   insert_deltas,
        prune_deltas,  write_candles,    write_statistics,
    };
    if (p->hold.lease == NULL) { /* else the look at the lease came first */
        store_read_committed(tx);
    }
    enum err e = OK;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && e == OK; i++) {
        e = steps[i](tx, p, why);
    }
    e = e == OK ? write_levels(tx, p, true, why) : e;
    return e == OK ? write_levels(tx, p, false, why) : e;
}

/* ---- emptying ---- */

static enum err clear(struct store_tx *tx, void *ctx, struct why *why)
{
    (void)ctx;
    static const struct store_statement *const steps[] = {
        &projections_sql_clear_cursor,     &projections_sql_clear_orders,
        &projections_sql_clear_trades,     &projections_sql_clear_movements,
        &projections_sql_clear_balances,   &projections_sql_clear_levels,
        &projections_sql_clear_deltas,     &projections_sql_clear_candles,
        &projections_sql_clear_statistics, &projections_sql_clear_pairs,
    };
    enum err e = OK;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && e == OK; i++) {
        struct store_query q;
        store_begin(&q, tx, steps[i]);
        e = store_finish(&q, NULL, why);
    }
    return e;
}

enum err projections_clear(struct store *store, const struct store_hold *hold, struct why *why)
{
    return store_lease_write(store, hold, hold != NULL ? 1 : 0, clear, NULL, why);
}
