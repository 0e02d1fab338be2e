/*
 * venue.h: a small venue and random commands for it, of every kind, good and bad: the same seed,
 * the same commands. Asset 0 is money, 1 is restricted, 2 free; pair 3 is unsettled.
 */
#ifndef UNIT_TRADING_VENUE_H
#define UNIT_TRADING_VENUE_H

#include "domain/trading/engine/engine.h"
#include "unit/test.h"

#define VENUE_ACCOUNTS 16
#define VENUE_ASSETS 4
#define VENUE_PAIRS 4

static uint64_t seed_state;

static inline uint64_t random_below(uint64_t n)
{
    seed_state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = seed_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % n;
}

static inline bool one_in(uint64_t n)
{
    return random_below(n) == 0;
}

static const struct engine_limits venue_limits = {.pairs = VENUE_PAIRS,
                                                  .assets = VENUE_ASSETS,
                                                  .accounts = VENUE_ACCOUNTS,
                                                  .orders = 200,
                                                  .balances = 60,
                                                  .rights = 60,
                                                  .holds = 6,
                                                  .id_window = 4096};

struct world {
    struct engine *engine;
    uint64_t next_id;
    int64_t now;
    int64_t scale;    /* usec in a unit of this venue's time */
    uint64_t hold_id; /* of the last hold that was tried */
};

/* Keeps what is applied, when there is room: the journal of this venue. */
static struct {
    struct engine_command *at;
    size_t count;
    size_t size;
} venue_tape;

static inline enum engine_reason apply(struct world *w, const struct engine_command *c)
{
    if (venue_tape.count < venue_tape.size) {
        venue_tape.at[venue_tape.count++] = *c;
    }
    return engine_apply(w->engine, c);
}

static inline void must(struct world *w, struct engine_command c)
{
    assert_int_equal(apply(w, &c), ENGINE_OK);
}

static inline void define_pair(struct world *w, uint32_t number, uint32_t base, uint64_t lot,
                               uint64_t tick, bool settled)
{
    struct engine_command c = {.op = ENGINE_OP_PAIR};
    c.pair = (struct engine_pair_in){.pair = number,
                                     .base = base,
                                     .quote = 0,
                                     .fee_account = 0,
                                     .lot_units = lot,
                                     .tick_units = tick,
                                     .flags = settled ? 0 : ENGINE_PAIR_UNSETTLED};
    must(w, c);
    c = (struct engine_command){.op = ENGINE_OP_STATE};
    c.state = (struct engine_state_in){.pair = number, .state = ENGINE_OPEN};
    must(w, c);
}

/* Asset 0 is money, 1 a restricted asset, 2 a free one; pair 3 is unsettled. */
static inline void set_up(struct world *w, int64_t scale, const struct engine_sink *sink)
{
    struct engine_command c;
    *w = (struct world){.engine = engine_new(&venue_limits), .next_id = 1, .scale = scale};
    w->now = 1000 * scale;
    engine_set_sink(w->engine, sink);
    for (uint32_t a = 0; a < 3; a++) {
        c = (struct engine_command){.op = ENGINE_OP_ASSET};
        c.asset =
            (struct engine_asset_in){.asset = a, .flags = a == 1 ? ENGINE_ASSET_RESTRICTED : 0};
        must(w, c);
    }
    for (uint32_t a = 0; a < 12; a++) {
        c = (struct engine_command){.op = ENGINE_OP_ACCOUNT};
        c.account = (struct engine_account_in){
            .account = a, .owner = a < 9 ? a : a - 4, .tier = a % 3, .orders_max = 40};
        must(w, c);
    }
    for (uint32_t a = 0; a < 12; a++) {
        c = (struct engine_command){.op = ENGINE_OP_ELIGIBILITY};
        c.right = (struct engine_right_in){.owner = a,
                                           .asset = 1,
                                           .until_usec = 1000000 * w->scale,
                                           .cap = a == 3 ? 9000 : UINT64_MAX};
        must(w, c);
        for (uint32_t asset = 0; asset < 3; asset++) {
            c = (struct engine_command){.op = ENGINE_OP_DEPOSIT};
            c.money = (struct engine_money_in){.id = w->next_id++,
                                               .amount = asset == 0 ? 9000000 : 9000,
                                               .account = a,
                                               .asset = asset};
            must(w, c);
        }
    }
    define_pair(w, 0, 1, 7, 3, true);
    define_pair(w, 1, 2, 1, 1, true);
    define_pair(w, 2, 1, 1, 1000, true);
    define_pair(w, 3, 0, 1, 1, false);
    for (uint32_t i = 0; i < 9; i++) {
        c = (struct engine_command){.op = ENGINE_OP_FEES};
        c.fees = (struct engine_fees_in){
            .pair = i / 3, .tier = i % 3, .maker_ppm = 500 * (i % 3), .taker_ppm = 1999};
        must(w, c);
    }
}

static inline uint64_t some_id(struct world *w)
{
    return one_in(40) ? random_below(w->next_id + 3) : w->next_id++;
}

static inline uint64_t recent_id(struct world *w)
{
    const uint64_t back = 1 + random_below(one_in(4) ? 2000 : 120);
    return back < w->next_id ? w->next_id - back : 1;
}

static inline uint32_t some_account(void)
{
    return (uint32_t)random_below(one_in(60) ? VENUE_ACCOUNTS + 2 : 12);
}

static inline int64_t some_price(void)
{
    if (one_in(60)) {
        static const int64_t odd[] = {
            0, -1, 1, ENGINE_PRICE_MAX - 1, ENGINE_PRICE_MAX, INT64_MAX, INT64_MIN};
        return odd[random_below(sizeof odd / sizeof odd[0])];
    }
    return one_in(10) ? 1 + (int64_t)random_below(300) : 90 + (int64_t)random_below(21);
}

static inline int64_t some_qty(void)
{
    if (one_in(60)) {
        static const int64_t odd[] = {0, -5, ENGINE_QTY_MAX, ENGINE_QTY_MAX + 1, INT64_MAX};
        return odd[random_below(sizeof odd / sizeof odd[0])];
    }
    return 1 + (int64_t)random_below(50);
}

static inline struct engine_command some_order(struct world *w)
{
    struct engine_command c = {
        .op = ENGINE_OP_NEW, .side = (uint8_t)random_below(2), .stp = (uint8_t)random_below(6)};
    c.order = (struct engine_order_in){.id = some_id(w),
                                       .price = some_price(),
                                       .qty = some_qty(),
                                       .account = some_account(),
                                       .pair = (uint32_t)random_below(one_in(50) ? 6 : 4)};
    const uint64_t what = random_below(100);
    if (what < 12) {
        c.type = ENGINE_MARKET;
        c.tif = one_in(5) ? ENGINE_FOK : ENGINE_IOC;
        c.order.price = 0;
        if (one_in(3)) {
            c.order.funds = 1 + random_below(20000);
            c.order.qty = 0;
        }
    } else if (what < 24) {
        c.type = one_in(3) ? ENGINE_STOP_MARKET : ENGINE_STOP_LIMIT;
        c.order.stop = some_price();
        c.order.price = c.type == ENGINE_STOP_MARKET ? 0 : c.order.price;
        c.tif = c.type == ENGINE_STOP_MARKET ? ENGINE_IOC : (uint8_t)random_below(3);
    } else if (what < 40) {
        c.tif = (uint8_t)(1 + random_below(2));
    } else if (what < 48) {
        c.tif = ENGINE_GTD;
        c.order.expire_usec = w->now + w->scale * (int64_t)random_below(300);
    } else if (what < 60) {
        c.flags = ENGINE_POST_ONLY;
    } else if (what == 60) {
        c.type = (uint8_t)random_below(6);
        c.tif = (uint8_t)random_below(6);
        c.flags = (uint8_t)random_below(4);
        c.side = (uint8_t)random_below(4);
    }
    return c;
}

static inline struct engine_command some_money(struct world *w)
{
    static const uint8_t ops[] = {ENGINE_OP_DEPOSIT, ENGINE_OP_DEPOSIT, ENGINE_OP_TRANSFER,
                                  ENGINE_OP_HOLD,    ENGINE_OP_POST,    ENGINE_OP_VOID};
    struct engine_command c = {.op = ops[random_below(sizeof ops)]};
    if (c.op == ENGINE_OP_POST || c.op == ENGINE_OP_VOID) {
        c.cancel.id = one_in(9) ? recent_id(w) : w->hold_id;
        return c;
    }
    c.money = (struct engine_money_in){.id = some_id(w),
                                       .amount = one_in(50) ? UINT64_MAX >> random_below(3)
                                                            : 1 + random_below(60000),
                                       .account = some_account(),
                                       .asset = (uint32_t)random_below(one_in(30) ? 6 : 3)};
    if (c.op != ENGINE_OP_DEPOSIT) {
        c.money.to = one_in(3) ? ENGINE_NOBODY : some_account();
        w->hold_id = c.op == ENGINE_OP_HOLD ? c.money.id : w->hold_id;
    }
    return c;
}

static inline struct engine_command some_setting(struct world *w)
{
    struct engine_command c = {0};
    const uint32_t pair = (uint32_t)random_below(4);
    switch (random_below(14)) {
    case 0:
        c.op = ENGINE_OP_STATE;
        c.state = (struct engine_state_in){
            .pair = pair, .state = one_in(2) ? ENGINE_AUCTION : (uint32_t)random_below(6)};
        c.state.until_usec = c.state.state == ENGINE_AUCTION && one_in(2)
                                 ? w->now + w->scale * (int64_t)random_below(200)
                                 : 0;
        break;
    case 3:
        c.op = ENGINE_OP_ELIGIBILITY;
        c.right = (struct engine_right_in){
            .owner = (uint32_t)random_below(12),
            .asset = 1,
            .until_usec = one_in(4) ? 0 : w->now + w->scale * (int64_t)random_below(3000),
            .cap = one_in(3) ? random_below(20000) : UINT64_MAX};
        break;
    case 4:
        c.op = ENGINE_OP_GUARD;
        c.guard = (struct engine_guard_in){.pair = pair,
                                           .band_ppm = one_in(2) ? 50000 : 0,
                                           .period_usec = one_in(3) ? 90 * w->scale : 0};
        if (one_in(2)) {
            c.guard.halt_ppm = 40000;
            c.guard.halt_usec = 70 * w->scale;
        }
        break;
    case 5:
        c.op = ENGINE_OP_REFERENCE;
        c.reference = (struct engine_reference_in){.pair = pair, .price = some_price()};
        break;
    case 6:
        c.op = ENGINE_OP_RULES;
        c.rules = (struct engine_rules_in){.pair = pair,
                                           .stp = (uint32_t)random_below(7),
                                           .price_step = 1 + (int64_t)random_below(2),
                                           .qty_step = 1,
                                           .qty_max = ENGINE_QTY_MAX,
                                           .notional_min = random_below(400)};
        break;
    case 7:
        c.op = ENGINE_OP_ACCOUNT;
        c.account = (struct engine_account_in){.account = (uint32_t)random_below(12),
                                               .tier = (uint32_t)random_below(3),
                                               .orders_max = 20 + (uint32_t)random_below(40)};
        c.account.owner = c.account.account < 9 ? c.account.account : c.account.account - 4;
        break;
    case 8:
        c.op = ENGINE_OP_ASSET;
        c.asset =
            (struct engine_asset_in){.asset = 2, .flags = one_in(4) ? ENGINE_ASSET_FROZEN : 0};
        break;
    default: /* not an enum */
        c.op = ENGINE_OP_STATE;
        c.state = (struct engine_state_in){.pair = pair, .state = ENGINE_OPEN};
    }
    return c;
}

static inline struct engine_command some_command(struct world *w)
{
    struct engine_command c = {0};
    const uint64_t what = random_below(1000);
    if (what < 550) {
        return some_order(w);
    }
    if (what < 700) {
        c.op = ENGINE_OP_CANCEL;
        c.cancel = (struct engine_cancel_in){.id = recent_id(w),
                                             .account = one_in(9) ? some_account() : ENGINE_NOBODY};
    } else if (what < 830) {
        c.op = ENGINE_OP_REPLACE;
        c.replace = (struct engine_replace_in){
            .id = recent_id(w), .price = some_price(), .qty = some_qty(), .account = ENGINE_NOBODY};
        struct engine_order_view o;
        if (one_in(3) && engine_order(w->engine, c.replace.id, &o)) {
            c.replace.price = o.price;
        }
    } else if (what < 930) {
        return some_money(w);
    } else if (what < 970) {
        c.op = ENGINE_OP_TIME;
        w->now += w->scale * (int64_t)random_below(60);
        c.clock.now_usec = one_in(30) ? w->now - 100 * w->scale : w->now;
    } else if (what < 975) {
        c.op = one_in(2) ? ENGINE_OP_MASS_CANCEL : ENGINE_OP_CANCEL_AFTER;
        c.mass =
            (struct engine_mass_in){.account = one_in(8) ? ENGINE_NOBODY : some_account(),
                                    .pair = one_in(2) ? ENGINE_ALL : (uint32_t)random_below(5)};
        c.mass.time_usec =
            c.op == ENGINE_OP_CANCEL_AFTER ? w->now + w->scale * (int64_t)random_below(90) : 0;
    } else {
        return some_setting(w);
    }
    return c;
}

#endif
