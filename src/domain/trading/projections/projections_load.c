/*
 * projections_load.c: what the next events build on, from rows.
 */
#include "domain/trading/projections/projections_internal.h"
#include "domain/trading/projections/projections_sql.h"

static enum err corrupt(struct why *why, const char *what, uint64_t number)
{
    return why_set(why, ERR_CORRUPT, NULL,
                   "%s %llu of the projections is none that was written; make them again with "
                   "freehold engine rebuild",
                   what, (unsigned long long)number);
}

static enum err load_cursor(struct store_tx *tx, struct projections *p, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &projections_sql_cursor);
    if (store_step(&q)) {
        p->seq = p->stored_seq = (uint64_t)store_get_i64(&q, "seq");
        p->now_usec = store_get_time(&q, "venue_time");
        p->trade_count = (uint64_t)store_get_i64(&q, "trades");
        p->places = (uint64_t)store_get_i64(&q, "places");
    }
    return store_finish_one(&q, "the cursor of the projections", why);
}

static enum err load_pairs(struct store_tx *tx, struct projections *p, struct why *why)
{
    struct store_query q;
    enum err found = OK;
    store_begin(&q, tx, &projections_sql_pairs);
    while (store_step(&q)) {
        const int64_t number = store_get_i64(&q, "pair");
        if (number < 0 || number >= PROJECTIONS_PAIRS_MAX) {
            found = corrupt(why, "pair", (uint64_t)number);
            break;
        }
        struct projections_pair *pair = projections_pair_new(p, (uint32_t)number);
        pair->base = (uint32_t)store_get_i64(&q, "base");
        pair->quote = (uint32_t)store_get_i64(&q, "quote");
        pair->fee_account = (uint32_t)store_get_i64(&q, "fee_account");
        pair->lot_units = (uint64_t)store_get_i64(&q, "lot_units");
        pair->tick_units = (uint64_t)store_get_i64(&q, "tick_units");
        pair->state = (uint8_t)store_get_i64(&q, "state");
        pair->until_usec = store_is_null(&q, "state_until") ? 0 : store_get_time(&q, "state_until");
        pair->auction_price = store_get_i64(&q, "auction_price");
        pair->auction_volume = store_get_i64(&q, "auction_volume");
        pair->auction_surplus = store_get_i64(&q, "auction_surplus");
        pair->book_number = (uint64_t)store_get_i64(&q, "book_number");
        pair->book_checksum = (uint32_t)store_get_i64(&q, "book_checksum");
    }
    const enum err e = store_finish(&q, NULL, why);
    return e != OK ? e : found;
}

static projections_u128 narrow(struct u256 value)
{
    return (projections_u128)value.limb[1] << 64 | value.limb[0];
}

static struct projections_order read_order(struct store_query *q)
{
    struct projections_order o = {.id = (uint64_t)store_get_i64(q, "id"),
                                  .account = (uint32_t)store_get_i64(q, "account"),
                                  .pair = (uint32_t)store_get_i64(q, "pair"),
                                  .side = (uint8_t)store_get_i64(q, "side"),
                                  .type = (uint8_t)store_get_i64(q, "type"),
                                  .tif = (uint8_t)store_get_i64(q, "tif"),
                                  .price = store_get_i64(q, "price"),
                                  .stop = store_get_i64(q, "stop"),
                                  .funds = (uint64_t)store_get_i64(q, "funds"),
                                  .total = store_get_i64(q, "total"),
                                  .filled = store_get_i64(q, "filled"),
                                  .left = store_get_i64(q, "open_qty"),
                                  .cancelled = store_get_i64(q, "cancelled"),
                                  .prevented = store_get_i64(q, "prevented"),
                                  .stored = true};
    if (!store_is_null(q, "notional")) {
        o.notional = narrow(store_get_u256(q, "notional"));
    }
    o.per_lot = (uint64_t)store_get_i64(q, "lot_lock");
    o.state = (uint8_t)store_get_i64(q, "state");
    o.reason = (uint8_t)store_get_i64(q, "reason");
    o.place = store_is_null(q, "place") ? 0 : (uint64_t)store_get_i64(q, "place");
    o.accepted_seq = (uint64_t)store_get_i64(q, "accepted_seq");
    o.accepted_usec = store_get_time(q, "accepted_at");
    o.changed_seq = (uint64_t)store_get_i64(q, "changed_seq");
    o.changed_usec = store_get_time(q, "changed_at");
    return o;
}

static enum err load_orders(struct store_tx *tx, struct projections *p, struct why *why)
{
    struct store_query q;
    enum err found = OK;
    store_begin(&q, tx, &projections_sql_orders_open);
    while (store_step(&q)) {
        const struct projections_order o = read_order(&q);
        if (o.pair >= p->pair_end || p->pairs[o.pair] == NULL || o.side > ENGINE_SELL ||
            o.left <= 0 || o.id == 0) {
            found = corrupt(why, "order", o.id);
            break;
        }
        *projections_order_make(p, o.id) = o;
        if (o.place != 0) {
            projections_level_change(p, p->pairs[o.pair], o.side, o.price, o.left, 1);
        }
    }
    const enum err e = store_finish(&q, NULL, why);
    return e != OK ? e : found;
}

/* The levels are those of the rows: nothing of them is to be written or told. */
static enum err check_books(struct projections *p, struct why *why)
{
    for (uint32_t i = 0; i < p->pair_end; i++) {
        struct projections_pair *pair = p->pairs[i];
        if (pair == NULL) {
            continue;
        }
        for (size_t side = 0; side < 2; side++) {
            for (size_t k = 0; k < pair->sides[side].count; k++) {
                pair->sides[side].levels[k].dirty = false;
            }
        }
        pair->touched.count = pair->unwritten.count = 0;
        if (projections_checksum(pair) != pair->book_checksum) {
            return corrupt(why, "the book of pair", i);
        }
    }
    p->pairs_touched.count = p->pairs_levels.count = 0;
    return OK;
}

static enum err load_balances(struct store_tx *tx, struct projections *p, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &projections_sql_balances);
    while (store_step(&q)) {
        const uint32_t account = (uint32_t)store_get_i64(&q, "account");
        struct projections_balance *b =
            projections_balance_of(p, account, (uint32_t)store_get_i64(&q, "asset"));
        b->total = (uint64_t)store_get_i64(&q, "total");
        b->locked = (uint64_t)store_get_i64(&q, "locked");
    }
    return store_finish(&q, NULL, why);
}

static struct projections_candle read_candle(struct store_query *q)
{
    return (struct projections_candle){.begins_usec = store_get_time(q, "begins"),
                                       .open = store_get_i64(q, "open"),
                                       .high = store_get_i64(q, "high"),
                                       .low = store_get_i64(q, "low"),
                                       .close = store_get_i64(q, "close"),
                                       .volume = narrow(store_get_u256(q, "volume")),
                                       .notional = narrow(store_get_u256(q, "notional")),
                                       .trades = (uint64_t)store_get_i64(q, "trades")};
}

/* Candles of a span from a time on: the present ones, or the minutes of a day. */
static enum err load_candles(struct store_tx *tx, struct projections *p, uint32_t span,
                             int64_t from_usec, bool minutes, struct why *why)
{
    struct store_query q;
    enum err found = OK;
    store_begin(&q, tx, &projections_sql_candles);
    store_bind_i64(&q, "span_sec", projections_span_sec[span]);
    store_bind_time(&q, "from", from_usec);
    while (store_step(&q)) {
        const int64_t number = store_get_i64(&q, "pair");
        const struct projections_candle c = read_candle(&q);
        if (number < 0 || number >= p->pair_end || p->pairs[number] == NULL) {
            found = corrupt(why, "a candle of pair", (uint64_t)number);
            break;
        }
        if (minutes) {
            projections_minute_add(p->pairs[number], &c);
        } else {
            p->pairs[number]->candles[span] = c;
        }
    }
    const enum err e = store_finish(&q, NULL, why);
    return e != OK ? e : found;
}

static enum err load_market(struct store_tx *tx, struct projections *p, struct why *why)
{
    const int64_t minute = p->now_usec - p->now_usec % PROJECTIONS_MINUTE_USEC;
    enum err e = load_candles(
        tx, p, 0, minute - (PROJECTIONS_MINUTES - 1) * PROJECTIONS_MINUTE_USEC, true, why);
    for (uint32_t span = 0; span < PROJECTIONS_SPANS && e == OK; span++) {
        const int64_t usec = projections_span_sec[span] * USEC_PER_SEC;
        e = load_candles(tx, p, span, p->now_usec - p->now_usec % usec, false, why);
    }
    return e;
}

/* Runs again after a lost connection: what it had read is forgotten by then. */
static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    struct projections *p = ctx;
    if (p->pair_end > 0 || p->order_count > 0 || p->balance_count > 0) {
        return why_set(why, ERR_DB_UNAVAILABLE, NULL,
                       "the connection was lost while the projections were read");
    }
    enum err e = load_cursor(tx, p, why);
    e = e == OK ? load_pairs(tx, p, why) : e;
    e = e == OK ? load_orders(tx, p, why) : e;
    e = e == OK ? check_books(p, why) : e;
    e = e == OK ? load_balances(tx, p, why) : e;
    return e == OK ? load_market(tx, p, why) : e;
}

enum err projections_load(struct projections *p, struct why *why)
{
    return store_read(p->store, load, p, why);
}
