/* The engine by hand: small scenes whose numbers were worked out on paper. */
#include "domain/trading/engine/engine.h"

#include "unit/test.h"

enum { MONEY = 0, TOKEN = 1, PAIR = 0, FREE_PAIR = 1, VENUE = 0, ALICE = 1, BOB = 2, CAROL = 3 };

#define EVENTS_MAX 64

static struct engine *engine;
static struct engine_event events[EVENTS_MAX];
static size_t event_count;

static void record(void *ctx, const struct engine_event *ev)
{
    (void)ctx;
    assert_true(event_count < EVENTS_MAX);
    events[event_count++] = *ev;
}

static enum engine_reason apply(struct engine_command c)
{
    event_count = 0;
    const enum engine_reason reason = engine_apply(engine, &c);
    engine_check(engine);
    return reason;
}

static const struct engine_event *find_event(unsigned kind, uint64_t order)
{
    for (size_t i = 0; i < event_count; i++) {
        if (events[i].kind == kind && (order == 0 || events[i].order == order)) {
            return &events[i];
        }
    }
    return NULL;
}

static enum engine_reason set_state(uint32_t pair, enum engine_state state, int64_t until)
{
    struct engine_command c = {.op = ENGINE_OP_STATE};
    c.state = (struct engine_state_in){.pair = pair, .state = state, .until_usec = until};
    return apply(c);
}

static enum engine_reason tell_time(int64_t now)
{
    struct engine_command c = {.op = ENGINE_OP_TIME};
    c.clock.now_usec = now;
    return apply(c);
}

static enum engine_reason money(enum engine_op op, uint64_t id, uint32_t account, uint32_t asset,
                                uint64_t amount, uint32_t to)
{
    struct engine_command c = {.op = (uint8_t)op};
    c.money = (struct engine_money_in){
        .id = id, .amount = amount, .account = account, .asset = asset, .to = to};
    return apply(c);
}

static enum engine_reason right(uint32_t owner, int64_t until, uint64_t cap)
{
    struct engine_command c = {.op = ENGINE_OP_ELIGIBILITY};
    c.right =
        (struct engine_right_in){.owner = owner, .asset = TOKEN, .until_usec = until, .cap = cap};
    return apply(c);
}

static struct engine_command limit(uint64_t id, uint32_t account, enum engine_side side,
                                   int64_t price, int64_t qty)
{
    struct engine_command c = {.op = ENGINE_OP_NEW, .side = (uint8_t)side};
    c.order = (struct engine_order_in){
        .id = id, .price = price, .qty = qty, .account = account, .pair = PAIR};
    return c;
}

static enum engine_reason guard(uint32_t band_ppm, uint32_t halt_ppm, int64_t halt_usec)
{
    struct engine_command c = {.op = ENGINE_OP_GUARD};
    c.guard = (struct engine_guard_in){
        .pair = PAIR, .band_ppm = band_ppm, .halt_ppm = halt_ppm, .halt_usec = halt_usec};
    return apply(c);
}

static enum engine_reason reference(uint32_t pair, int64_t price)
{
    struct engine_command c = {.op = ENGINE_OP_REFERENCE};
    c.reference = (struct engine_reference_in){.pair = pair, .price = price};
    return apply(c);
}

static void assert_balance(uint32_t account, uint32_t asset, uint64_t available, uint64_t locked)
{
    const struct engine_balance_view b = engine_balance(engine, account, asset);
    assert_int_equal(b.available, available);
    assert_int_equal(b.locked, locked);
}

/* A lot is 10 units of a restricted token, a tick 2 units of money; fees 0.05 % and 0.1999 %. */
static int set_up(void **state)
{
    const struct engine_limits limits = {.pairs = 2,
                                         .assets = 2,
                                         .accounts = 8,
                                         .orders = 16,
                                         .balances = 16,
                                         .rights = 16,
                                         .holds = 2,
                                         .id_window = 128};
    assert_int_equal(engine_limits_check(&limits, NULL), OK);
    engine = engine_new(&limits);
    engine_set_sink(engine, &(struct engine_sink){record, NULL, ENGINE_EVERY_KIND});
    struct engine_command c = {.op = ENGINE_OP_ASSET};
    c.asset = (struct engine_asset_in){.asset = MONEY};
    assert_int_equal(apply(c), ENGINE_OK);
    c.asset = (struct engine_asset_in){.asset = TOKEN, .flags = ENGINE_ASSET_RESTRICTED};
    assert_int_equal(apply(c), ENGINE_OK);
    for (uint32_t a = VENUE; a <= CAROL; a++) {
        c = (struct engine_command){.op = ENGINE_OP_ACCOUNT};
        c.account = (struct engine_account_in){.account = a, .owner = a, .orders_max = 5};
        assert_int_equal(apply(c), ENGINE_OK);
        assert_int_equal(right(a, 1000000, UINT64_MAX), ENGINE_OK);
    }
    c = (struct engine_command){.op = ENGINE_OP_PAIR};
    c.pair = (struct engine_pair_in){.pair = PAIR,
                                     .base = TOKEN,
                                     .quote = MONEY,
                                     .fee_account = VENUE,
                                     .lot_units = 10,
                                     .tick_units = 2};
    assert_int_equal(apply(c), ENGINE_OK);
    c.pair = (struct engine_pair_in){.pair = FREE_PAIR, .flags = ENGINE_PAIR_UNSETTLED};
    assert_int_equal(apply(c), ENGINE_OK);
    c = (struct engine_command){.op = ENGINE_OP_FEES};
    c.fees = (struct engine_fees_in){.pair = PAIR, .maker_ppm = 500, .taker_ppm = 1999};
    assert_int_equal(apply(c), ENGINE_OK);
    assert_int_equal(set_state(PAIR, ENGINE_OPEN, 0), ENGINE_OK);
    assert_int_equal(money(ENGINE_OP_DEPOSIT, 1, ALICE, MONEY, 10000, 0), ENGINE_OK);
    assert_int_equal(money(ENGINE_OP_DEPOSIT, 2, BOB, TOKEN, 100, 0), ENGINE_OK);
    return 0;
}

static int tear_down(void **state)
{
    engine_free(engine);
    return 0;
}

/*
 * One lot at 100 ticks costs 200; the fee on it at the worse rate is ceil(0.3998) = 1. Five lots
 * lock 5 * 201. Three trade: 600, the maker's fee ceil(0.3) = 1, the taker's ceil(1.1994) = 2.
 */
static void test_a_fill_settles_and_releases_to_the_unit(void **state)
{
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 100, 5)), ENGINE_OK);
    assert_balance(ALICE, MONEY, 10000 - 1005, 1005);
    assert_int_equal(apply(limit(4, BOB, ENGINE_SELL, 99, 3)), ENGINE_OK);
    const struct engine_event *trade = find_event(ENGINE_EVENT_TRADED, 3);
    assert_non_null(trade);
    assert_int_equal(trade->price, 100);
    assert_int_equal(trade->amount, 600);
    assert_int_equal(trade->fee_maker, 1);
    assert_int_equal(trade->fee_taker, 2);
    assert_balance(ALICE, MONEY, 10000 - 601 - 402, 402);
    assert_balance(ALICE, TOKEN, 30, 0);
    assert_balance(BOB, MONEY, 598, 0);
    assert_balance(BOB, TOKEN, 70, 0);
    assert_balance(VENUE, MONEY, 3, 0);
    struct engine_command c = {.op = ENGINE_OP_CANCEL};
    c.cancel = (struct engine_cancel_in){.id = 3, .account = BOB};
    assert_int_equal(apply(c), ENGINE_UNKNOWN);
    c.cancel.account = ALICE;
    assert_int_equal(apply(c), ENGINE_OK);
    assert_balance(ALICE, MONEY, 9399, 0);
}

/* Improvement: bought at 90 with a limit of 100; what was locked above that is free again. */
static void test_price_improvement_comes_back(void **state)
{
    assert_int_equal(apply(limit(3, BOB, ENGINE_SELL, 90, 4)), ENGINE_OK);
    assert_balance(BOB, TOKEN, 60, 40);
    assert_int_equal(apply(limit(4, ALICE, ENGINE_BUY, 100, 4)), ENGINE_OK);
    /* 4 * 180 = 720 and ceil(720 * 0.001999) = ceil(1.43928) = 2 */
    assert_balance(ALICE, MONEY, 10000 - 722, 0);
    assert_balance(BOB, MONEY, 719, 0); /* less ceil(0.36) */
    assert_balance(BOB, TOKEN, 60, 0);
}

/* 5,000 of funds at 1,000 a lot: 4 lots cost 4,000 and 8 of fee; a fifth is more than the rest. */
static void test_a_market_order_by_funds_spends_no_more(void **state)
{
    assert_int_equal(apply(limit(3, BOB, ENGINE_SELL, 500, 9)), ENGINE_OK);
    struct engine_command c = limit(4, ALICE, ENGINE_BUY, 0, 0);
    c.type = ENGINE_MARKET;
    c.tif = ENGINE_IOC;
    c.order.funds = 5000;
    assert_int_equal(apply(c), ENGINE_OK);
    assert_int_equal(find_event(ENGINE_EVENT_TRADED, 3)->qty, 4);
    assert_int_equal(find_event(ENGINE_EVENT_CANCELLED, 4)->reason, ENGINE_SPENT);
    assert_balance(ALICE, MONEY, 10000 - 4008, 0);
    c.order.id = 5;
    c.order.funds = 5993; /* one more than there is */
    assert_int_equal(apply(c), ENGINE_FUNDS);
}

static void test_what_cannot_be_is_refused(void **state)
{
    const uint64_t before = engine_hash(engine);
    struct engine_command c;
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 0, 1)), ENGINE_INVALID);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, -1, 1)), ENGINE_INVALID);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 1, 0)), ENGINE_INVALID);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 1, -1)), ENGINE_INVALID);
    assert_int_equal(apply(limit(0, ALICE, ENGINE_BUY, 1, 1)), ENGINE_INVALID);
    assert_int_equal(apply(limit(1000, ALICE, ENGINE_BUY, 1, 1)), ENGINE_INVALID);
    assert_int_equal(apply(limit(1, ALICE, ENGINE_BUY, 1, 1)), ENGINE_DUPLICATE);
    assert_int_equal(apply(limit(3, 7, ENGINE_BUY, 1, 1)), ENGINE_NO_ACCOUNT);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, ENGINE_PRICE_MAX - 1, ENGINE_QTY_MAX)),
                     ENGINE_FUNDS);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 100, 50)), ENGINE_FUNDS);
    assert_int_equal(apply(limit(3, BOB, ENGINE_SELL, ENGINE_PRICE_MAX - 1, 11)), ENGINE_FUNDS);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_SELL, 1, 1)), ENGINE_FUNDS);
    c = limit(3, ALICE, ENGINE_BUY, 1, 1);
    c.order.pair = 9;
    assert_int_equal(apply(c), ENGINE_INVALID);
    c.order.pair = FREE_PAIR; /* closed */
    assert_int_equal(apply(c), ENGINE_STATE_FORBIDS);
    c = (struct engine_command){.op = ENGINE_OP_REPLACE};
    c.replace = (struct engine_replace_in){.id = 3, .price = 1, .qty = 1, .account = ALICE};
    assert_int_equal(apply(c), ENGINE_UNKNOWN);
    assert_int_equal(apply((struct engine_command){.op = 77}), ENGINE_INVALID);
    assert_int_equal(money(ENGINE_OP_DEPOSIT, 3, ALICE, MONEY, INT64_MAX - 9999, 0),
                     ENGINE_INVALID);
    assert_int_equal(engine_hash(engine), before);
}

static void test_off_the_grid_is_refused(void **state)
{
    struct engine_command c = {.op = ENGINE_OP_RULES};
    c.rules = (struct engine_rules_in){.pair = PAIR,
                                       .stp = ENGINE_STP_NEWEST,
                                       .price_step = 5,
                                       .qty_step = 2,
                                       .qty_max = 100,
                                       .notional_min = 100};
    assert_int_equal(apply(c), ENGINE_OK);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 101, 2)), ENGINE_INVALID);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 100, 3)), ENGINE_INVALID);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 5, 102)), ENGINE_INVALID);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 45, 2)), ENGINE_INVALID);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 50, 2)), ENGINE_OK);
}

/* Alice's right ends at 1,000,000: her resting order is not traded with, but taken away. */
static void test_rights_are_looked_at_in_each_match(void **state)
{
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 100, 5)), ENGINE_OK);
    assert_int_equal(right(BOB, 5000000, UINT64_MAX), ENGINE_OK);
    assert_int_equal(tell_time(1000000), ENGINE_OK);
    assert_int_equal(apply(limit(4, BOB, ENGINE_SELL, 100, 5)), ENGINE_OK);
    assert_int_equal(find_event(ENGINE_EVENT_CANCELLED, 3)->reason, ENGINE_INELIGIBLE);
    assert_null(find_event(ENGINE_EVENT_TRADED, 0));
    assert_balance(ALICE, MONEY, 10000, 0);
    assert_int_equal(apply(limit(5, ALICE, ENGINE_BUY, 100, 5)), ENGINE_INELIGIBLE);
    assert_int_equal(right(BOB, 0, UINT64_MAX), ENGINE_OK);
    assert_int_equal(find_event(ENGINE_EVENT_CANCELLED, 4)->reason, ENGINE_INELIGIBLE);
    assert_int_equal(engine_open_orders(engine), 0);
}

static void test_a_cap_counts_what_may_still_come(void **state)
{
    assert_int_equal(right(ALICE, 1000000, 59), ENGINE_OK);
    assert_int_equal(apply(limit(3, ALICE, ENGINE_BUY, 100, 4)), ENGINE_OK);
    assert_int_equal(apply(limit(4, ALICE, ENGINE_BUY, 100, 2)), ENGINE_CAP);
    assert_int_equal(apply(limit(5, ALICE, ENGINE_BUY, 100, 1)), ENGINE_OK);
    assert_int_equal(money(ENGINE_OP_TRANSFER, 6, BOB, TOKEN, 10, ALICE), ENGINE_CAP);
    assert_int_equal(money(ENGINE_OP_TRANSFER, 7, BOB, TOKEN, 9, ALICE), ENGINE_OK);
}

static void test_withdrawals_have_two_phases(void **state)
{
    struct engine_command c = {.op = ENGINE_OP_POST};
    assert_int_equal(money(ENGINE_OP_HOLD, 3, ALICE, MONEY, 4000, ENGINE_NOBODY), ENGINE_OK);
    assert_balance(ALICE, MONEY, 6000, 4000);
    assert_int_equal(money(ENGINE_OP_HOLD, 3, ALICE, MONEY, 1, ENGINE_NOBODY), ENGINE_DUPLICATE);
    assert_int_equal(money(ENGINE_OP_HOLD, 4, ALICE, MONEY, 6000, BOB), ENGINE_OK);
    assert_int_equal(money(ENGINE_OP_HOLD, 5, BOB, TOKEN, 1, ALICE), ENGINE_LIMITED);
    c.cancel.id = 3;
    assert_int_equal(apply(c), ENGINE_OK);
    assert_int_equal(apply(c), ENGINE_UNKNOWN);
    assert_balance(ALICE, MONEY, 0, 6000);
    c.op = ENGINE_OP_VOID;
    c.cancel.id = 4;
    assert_int_equal(apply(c), ENGINE_OK);
    assert_balance(ALICE, MONEY, 6000, 0);
    assert_balance(BOB, MONEY, 0, 0);
}

/* Nobody asked for a mode: the pair's is to cancel the newest. */
static void test_self_trades_are_prevented_by_default(void **state)
{
    assert_int_equal(apply(limit(3, BOB, ENGINE_SELL, 100, 5)), ENGINE_OK);
    assert_int_equal(money(ENGINE_OP_TRANSFER, 4, ALICE, MONEY, 5000, BOB), ENGINE_OK);
    assert_int_equal(apply(limit(5, BOB, ENGINE_BUY, 100, 2)), ENGINE_OK);
    assert_null(find_event(ENGINE_EVENT_TRADED, 0));
    assert_int_equal(find_event(ENGINE_EVENT_CANCELLED, 5)->reason, ENGINE_SELF_TRADE);
    assert_balance(BOB, MONEY, 5000, 0);
}

/* The reference is 100 and a trade may be 10 % away: at 111 it halts, first at 110 it trades. */
static void test_a_trade_too_far_halts_into_an_auction(void **state)
{
    struct engine_pair_view view;
    assert_int_equal(guard(0, 100000, 50), ENGINE_OK);
    assert_int_equal(reference(PAIR, 100), ENGINE_OK);
    assert_int_equal(tell_time(10), ENGINE_OK);
    assert_int_equal(apply(limit(3, BOB, ENGINE_SELL, 110, 2)), ENGINE_OK);
    assert_int_equal(apply(limit(4, BOB, ENGINE_SELL, 111, 2)), ENGINE_OK);
    assert_int_equal(apply(limit(5, ALICE, ENGINE_BUY, 115, 4)), ENGINE_OK);
    assert_int_equal(find_event(ENGINE_EVENT_TRADED, 3)->qty, 2);
    assert_null(find_event(ENGINE_EVENT_TRADED, 4));
    assert_true(engine_pair(engine, PAIR, &view));
    assert_int_equal(view.state, ENGINE_AUCTION);
    assert_int_equal(view.until_usec, 60);
    assert_int_equal(view.best_bid, 115); /* it waits, crossed */
    assert_int_equal(tell_time(59), ENGINE_OK);
    assert_null(find_event(ENGINE_EVENT_UNCROSSED, 0));
    assert_int_equal(tell_time(60), ENGINE_OK);
    /* 2 lots tie from 111 to 115 without surplus: the nearest to the reference of 100 is 111. */
    assert_int_equal(find_event(ENGINE_EVENT_UNCROSSED, 0)->price, 111);
    assert_int_equal(find_event(ENGINE_EVENT_UNCROSSED, 0)->qty, 2);
    assert_true(engine_pair(engine, PAIR, &view));
    assert_int_equal(view.state, ENGINE_OPEN);
    assert_int_equal(view.reference, 111);
    assert_balance(ALICE, MONEY, 10000 - 440 - 1 - 444 - 1, 0);
}

static void test_time_expires_and_switches(void **state)
{
    struct engine_command c = limit(3, ALICE, ENGINE_BUY, 10, 1);
    c.tif = ENGINE_GTD;
    c.order.expire_usec = 100;
    assert_int_equal(apply(c), ENGINE_OK);
    assert_int_equal(apply(limit(4, ALICE, ENGINE_BUY, 11, 1)), ENGINE_OK);
    assert_int_equal(apply(limit(5, BOB, ENGINE_SELL, 900, 1)), ENGINE_OK);
    c = (struct engine_command){.op = ENGINE_OP_CANCEL_AFTER};
    c.mass = (struct engine_mass_in){.account = ALICE, .time_usec = 200};
    assert_int_equal(apply(c), ENGINE_OK);
    assert_int_equal(tell_time(99), ENGINE_OK);
    assert_int_equal(engine_open_orders(engine), 3);
    assert_int_equal(tell_time(98), ENGINE_INVALID);
    assert_int_equal(tell_time(100), ENGINE_OK);
    assert_int_equal(find_event(ENGINE_EVENT_CANCELLED, 3)->reason, ENGINE_EXPIRED);
    assert_int_equal(tell_time(300), ENGINE_OK);
    assert_int_equal(find_event(ENGINE_EVENT_CANCELLED, 4)->reason, ENGINE_SWITCHED);
    assert_int_equal(engine_open_orders(engine), 1);
}

/* ---- auctions against every price tried ---- */

#define PRICES 40

static int64_t absolute(int64_t x)
{
    return x < 0 ? -x : x;
}

/* The definition, price by price. */
static int64_t try_every_price(const int64_t *bids, const int64_t *asks, int64_t wish,
                               int64_t *out_volume)
{
    int64_t demand[PRICES + 1] = {0};
    int64_t supply[PRICES + 1] = {0};
    int64_t volume = 0;
    int64_t surplus = INT64_MAX;
    for (int p = 1; p <= PRICES; p++) {
        for (int q = 1; q <= PRICES; q++) {
            demand[p] += q >= p ? bids[q] : 0;
            supply[p] += q <= p ? asks[q] : 0;
        }
        const int64_t v = demand[p] < supply[p] ? demand[p] : supply[p];
        const int64_t s = absolute(demand[p] - supply[p]);
        if (v > volume || (v == volume && s < surplus)) {
            volume = v;
            surplus = s;
        }
    }
    int64_t nearest = 0;
    int64_t highest = 0;
    int64_t lowest = 0;
    bool all_buyers = true;
    bool all_sellers = true;
    for (int p = 1; p <= PRICES && volume > 0; p++) {
        const int64_t v = demand[p] < supply[p] ? demand[p] : supply[p];
        if (v == volume && absolute(demand[p] - supply[p]) == surplus) {
            all_buyers = all_buyers && demand[p] > supply[p];
            all_sellers = all_sellers && demand[p] < supply[p];
            highest = p;
            lowest = lowest == 0 ? p : lowest;
            nearest = nearest == 0 || absolute(p - wish) < absolute(nearest - wish) ? p : nearest;
        }
    }
    *out_volume = volume;
    return volume == 0 ? 0 : (all_buyers ? highest : (all_sellers ? lowest : nearest));
}

static void test_auction_prices_are_those_of_the_definition(void **state)
{
    uint64_t random = 12345;
    uint64_t id = 10;
    assert_int_equal(reference(FREE_PAIR, 20), ENGINE_OK);
    for (int round = 0; round < 3000; round++) {
        int64_t bids[PRICES + 1] = {0};
        int64_t asks[PRICES + 1] = {0};
        assert_int_equal(set_state(FREE_PAIR, ENGINE_AUCTION, 0), ENGINE_OK);
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        const int64_t wish = 1 + (int64_t)(random >> 40) % PRICES;
        assert_int_equal(reference(FREE_PAIR, wish), ENGINE_OK);
        struct engine_event last = {0};
        for (int i = 0; i < 8; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            const bool sell = (random >> 33 & 1) != 0;
            const int64_t price = 1 + (int64_t)(random >> 40) % PRICES;
            const int64_t qty = 1 + (int64_t)(random >> 50) % 6;
            struct engine_command c = limit(id++, ALICE + (uint32_t)i % 3, sell, price, qty);
            c.order.pair = FREE_PAIR;
            c.stp = ENGINE_STP_NONE;
            assert_int_equal(apply(c), ENGINE_OK);
            (sell ? asks : bids)[price] += qty;
            const struct engine_event *shown = find_event(ENGINE_EVENT_INDICATIVE, 0);
            last = shown != NULL ? *shown : last;
        }
        int64_t volume;
        const int64_t price = try_every_price(bids, asks, wish, &volume);
        assert_int_equal(last.price, price);
        assert_int_equal(last.qty, volume);
        assert_int_equal(set_state(FREE_PAIR, ENGINE_OPEN, 0), ENGINE_OK);
        assert_int_equal(find_event(ENGINE_EVENT_UNCROSSED, 0)->price, price);
        assert_int_equal(set_state(FREE_PAIR, ENGINE_CLOSED, 0), ENGINE_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_fill_settles_and_releases_to_the_unit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_price_improvement_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_market_order_by_funds_spends_no_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_off_the_grid_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rights_are_looked_at_in_each_match, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_cap_counts_what_may_still_come, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_withdrawals_have_two_phases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_self_trades_are_prevented_by_default, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_trade_too_far_halts_into_an_auction, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_time_expires_and_switches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_auction_prices_are_those_of_the_definition, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
