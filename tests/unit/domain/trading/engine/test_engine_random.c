/*
 * Random commands of every kind, good and bad, on a small venue. After each one: the engine's
 * invariants hold, a keeper that knows only events agrees with it, a refusal changed nothing; now
 * and then a saved and loaded engine has the same hash and answers the rest alike.
 */
#include "unit/domain/trading/engine/keeper.h"
#include "unit/test.h"

static uint64_t seed_state;

static uint64_t random_below(uint64_t n)
{
    seed_state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = seed_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % n;
}

static bool one_in(uint64_t n)
{
    return random_below(n) == 0;
}

static const struct engine_limits limits = {.pairs = KEEPER_PAIRS,
                                            .assets = KEEPER_ASSETS,
                                            .accounts = KEEPER_ACCOUNTS,
                                            .orders = 200,
                                            .balances = 60,
                                            .rights = 60,
                                            .holds = 6,
                                            .id_window = 4096};

struct world {
    struct engine *engine;
    struct keeper *keeper;
    uint64_t next_id;
    int64_t now;
    uint64_t hold_id; /* of the last hold that was tried */
};

static enum engine_reason apply(struct world *w, const struct engine_command *c)
{
    return engine_apply(w->engine, c);
}

static void must(struct world *w, struct engine_command c)
{
    assert_int_equal(apply(w, &c), ENGINE_OK);
}

static void define_pair(struct world *w, uint32_t number, uint32_t base, uint64_t lot,
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
    w->keeper->base[number] = base;
    w->keeper->settled[number] = settled;
    w->keeper->lot_units[number] = lot;
    must(w, c);
    c = (struct engine_command){.op = ENGINE_OP_STATE};
    c.state = (struct engine_state_in){.pair = number, .state = ENGINE_OPEN};
    must(w, c);
}

/* Asset 0 is money, 1 a restricted asset, 2 a free one; pair 3 is unsettled. */
static void set_up(struct world *w)
{
    struct engine_command c;
    w->engine = engine_new(&limits);
    w->keeper = mem_alloc(sizeof *w->keeper);
    w->next_id = 1;
    w->now = 1000;
    engine_set_sink(w->engine, &(struct engine_sink){keeper_event, w->keeper, ENGINE_EVERY_KIND});
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
        c.right = (struct engine_right_in){
            .owner = a, .asset = 1, .until_usec = 1000000, .cap = a == 3 ? 9000 : UINT64_MAX};
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

static uint64_t some_id(struct world *w)
{
    return one_in(40) ? random_below(w->next_id + 3) : w->next_id++;
}

static uint64_t recent_id(struct world *w)
{
    const uint64_t back = 1 + random_below(one_in(4) ? 2000 : 120);
    return back < w->next_id ? w->next_id - back : 1;
}

static uint32_t some_account(void)
{
    return (uint32_t)random_below(one_in(60) ? KEEPER_ACCOUNTS + 2 : 12);
}

static int64_t some_price(void)
{
    if (one_in(60)) {
        static const int64_t odd[] = {
            0, -1, 1, ENGINE_PRICE_MAX - 1, ENGINE_PRICE_MAX, INT64_MAX, INT64_MIN};
        return odd[random_below(sizeof odd / sizeof odd[0])];
    }
    return one_in(10) ? 1 + (int64_t)random_below(300) : 90 + (int64_t)random_below(21);
}

static int64_t some_qty(void)
{
    if (one_in(60)) {
        static const int64_t odd[] = {0, -5, ENGINE_QTY_MAX, ENGINE_QTY_MAX + 1, INT64_MAX};
        return odd[random_below(sizeof odd / sizeof odd[0])];
    }
    return 1 + (int64_t)random_below(50);
}

static struct engine_command some_order(struct world *w)
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
        c.order.expire_usec = w->now + (int64_t)random_below(300);
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

static struct engine_command some_money(struct world *w)
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

static struct engine_command some_setting(struct world *w)
{
    struct engine_command c = {0};
    const uint32_t pair = (uint32_t)random_below(4);
    switch (random_below(14)) {
    case 0:
        c.op = ENGINE_OP_STATE;
        c.state = (struct engine_state_in){
            .pair = pair, .state = one_in(2) ? ENGINE_AUCTION : (uint32_t)random_below(6)};
        c.state.until_usec =
            c.state.state == ENGINE_AUCTION && one_in(2) ? w->now + (int64_t)random_below(200) : 0;
        break;
    case 3:
        c.op = ENGINE_OP_ELIGIBILITY;
        c.right = (struct engine_right_in){.owner = (uint32_t)random_below(12),
                                           .asset = 1,
                                           .until_usec =
                                               one_in(4) ? 0 : w->now + (int64_t)random_below(3000),
                                           .cap = one_in(3) ? random_below(20000) : UINT64_MAX};
        break;
    case 4:
        c.op = ENGINE_OP_GUARD;
        c.guard = (struct engine_guard_in){
            .pair = pair, .band_ppm = one_in(2) ? 50000 : 0, .period_usec = one_in(3) ? 90 : 0};
        if (one_in(2)) {
            c.guard.halt_ppm = 40000;
            c.guard.halt_usec = 70;
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

static struct engine_command some_command(struct world *w)
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
        w->now += (int64_t)random_below(60);
        c.clock.now_usec = one_in(30) ? w->now - 100 : w->now;
    } else if (what < 975) {
        c.op = one_in(2) ? ENGINE_OP_MASS_CANCEL : ENGINE_OP_CANCEL_AFTER;
        c.mass =
            (struct engine_mass_in){.account = one_in(8) ? ENGINE_NOBODY : some_account(),
                                    .pair = one_in(2) ? ENGINE_ALL : (uint32_t)random_below(5)};
        c.mass.time_usec = c.op == ENGINE_OP_CANCEL_AFTER ? w->now + (int64_t)random_below(90) : 0;
    } else {
        return some_setting(w);
    }
    return c;
}

/* ---- saving and loading through an array of words ---- */

struct words {
    uint64_t *at;
    size_t count;
    size_t capacity;
    size_t read;
};

static void add_word(void *ctx, uint64_t word)
{
    struct words *w = ctx;
    if (w->count == w->capacity) {
        w->capacity = w->capacity != 0 ? 2 * w->capacity : 1024;
        w->at = mem_resize(w->at, w->capacity * sizeof *w->at);
    }
    w->at[w->count++] = word;
}

static bool next_word(void *ctx, uint64_t *out)
{
    struct words *w = ctx;
    if (w->read == w->count) {
        return false;
    }
    *out = w->at[w->read++];
    return true;
}

static struct engine *copy_of(const struct engine *e)
{
    struct words words = {0};
    struct why why = {0};
    engine_save(e, add_word, &words);
    struct engine *copy = engine_new(engine_limits_of(e));
    assert_int_equal(engine_load(copy, next_word, &words, engine_seq(e), &why), OK);
    assert_int_equal(words.read, words.count);
    engine_check(copy);
    mem_free(words.at);
    return copy;
}

static uint64_t run(uint64_t seed, unsigned commands, uint64_t counts[ENGINE_EVENT_COUNT],
                    uint64_t *out_mix)
{
    struct world w = {0};
    struct engine *twin = NULL;
    seed_state = seed;
    set_up(&w);
    for (unsigned i = 0; i < commands; i++) {
        const struct engine_command c = some_command(&w);
        const unsigned rejections = w.keeper->rejections;
        const uint64_t before = engine_hash(w.engine);
        const enum engine_reason reason = apply(&w, &c);
        assert_int_equal(w.keeper->rejections - rejections, reason != ENGINE_OK);
        if (reason != ENGINE_OK) {
            assert_int_equal(engine_hash(w.engine), before);
        }
        engine_check(w.engine);
        keeper_agrees(w.keeper, w.engine);
        if (twin != NULL) {
            assert_int_equal(engine_apply(twin, &c), reason);
            assert_int_equal(engine_hash(twin), engine_hash(w.engine));
        }
        if (i % 500 == 250) {
            engine_free(twin);
            twin = copy_of(w.engine);
        }
    }
    const uint64_t hash = engine_hash(w.engine);
    for (size_t i = 0; i < ENGINE_EVENT_COUNT; i++) {
        counts[i] += w.keeper->counts[i];
    }
    *out_mix = w.keeper->mix;
    engine_free(twin);
    engine_free(w.engine);
    mem_free(w.keeper);
    return hash;
}

static void test_random_commands_keep_every_invariant(void **state)
{
    uint64_t counts[ENGINE_EVENT_COUNT] = {0};
    const char *more = getenv("ENGINE_SEEDS");
    const unsigned seeds = more != NULL ? (unsigned)strtoul(more, NULL, 10) : 20;
    const uint64_t first = (uint64_t)getpid() * 1000; /* fresh ones each run */
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        uint64_t mix;
        print_message("seed %llu\n", (unsigned long long)seed);
        (void)run(seed, 1500, counts, &mix);
    }
    /* The flow does reach what it is meant to try. */
    for (unsigned kind = 1; kind < ENGINE_EVENT_COUNT; kind++) {
        print_message("%s %llu\n", engine_event_text(kind), (unsigned long long)counts[kind]);
        assert_true(counts[kind] > 0);
    }
}

/* Computed once by gcc -O2; every compiler, level and sanitizer must come to the same. */
static void test_the_state_does_not_depend_on_the_build(void **state)
{
    uint64_t counts[ENGINE_EVENT_COUNT] = {0};
    uint64_t mix;
    const uint64_t hash = run(7, 3000, counts, &mix);
    assert_int_equal(hash, UINT64_C(0x1aa548323c2c674));
    assert_int_equal(mix, UINT64_C(0x9934e89847a27fb2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_commands_keep_every_invariant),
        cmocka_unit_test(test_the_state_does_not_depend_on_the_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
