/*
 * The price of access by the second. Expected values are calculated by hand: 1000 USDC for 30 days
 * are 1,000,000,000 / 2,592,000 = 385.802469… units a second, so that the sums after 1, 2, 3, …
 * seconds are 385.80, 771.60, 1157.40, 1543.20, 1929.01, 2314.81.
 */
#include "domain/leasing/leasing_access.h"

#include "unit/test.h"

#define MONTH UINT64_C(2592000)

static struct stable_amount units(uint64_t n)
{
    return stable_of(u256_from_u64(n));
}

static uint64_t price(uint64_t rent, uint64_t period, const struct leasing_stream *stream,
                      uint32_t interval)
{
    struct stable_amount out = units(0);
    uint64_t n = 0;
    assert_int_equal(leasing_access_price(units(rent), period, stream, interval, &out, NULL), OK);
    assert_int_equal(u256_to_u64(stable_raw(out), &n), OK);
    return n;
}

/* Buys a step at its price. */
static uint64_t buy(uint64_t rent, uint64_t period, struct leasing_stream *stream,
                    uint32_t interval)
{
    uint64_t n = price(rent, period, stream, interval);
    stream->seconds_sold += interval;
    assert_int_equal(stable_add(stream->paid, units(n), &stream->paid), OK);
    return n;
}

static void what_a_second_does_not_pay_is_carried(void **state)
{
    static const uint64_t expected[] = {385, 386, 386, 386, 386, 385};
    struct leasing_stream stream = {.paid = units(0)};
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(buy(1000000000, MONTH, &stream, 1), expected[i]);
    }
}

/* 5 s: 1929.01; 1 s more: 2314.81; 5 s more: 4243.82. */
static void modes_can_be_mixed(void **state)
{
    struct leasing_stream stream = {.paid = units(0)};
    (void)state;
    assert_int_equal(buy(1000000000, MONTH, &stream, 5), 1929);
    assert_int_equal(buy(1000000000, MONTH, &stream, 1), 385);
    assert_int_equal(buy(1000000000, MONTH, &stream, 5), 1929);
    assert_int_equal(buy(1000000000, MONTH, &stream, 1), 386); /* 4629.62 - 4243 */
}

/* 7 units for 6 seconds: 1.1666… a second. */
static void after_a_period_exactly_the_rent_is_paid(void **state)
{
    static const uint64_t expected[] = {1, 1, 1, 1, 1, 2};
    struct leasing_stream stream = {.paid = units(0)};
    (void)state;
    for (int period = 1; period <= 1000; period++) {
        for (size_t i = 0; i < 6; i++) {
            assert_int_equal(buy(7, 6, &stream, 1), expected[i]);
        }
        assert_true(stable_compare(stream.paid, units(7 * (uint64_t)period)) == 0);
    }
}

static void an_hour_of_a_large_rent_is_exact(void **state)
{
    struct leasing_stream stream = {.paid = units(0)};
    (void)state;
    for (int i = 0; i < 3600; i++) {
        (void)buy(1000000000, MONTH, &stream, 1);
    }
    /* 1,000,000,000 * 3600 / 2,592,000 = 1,388,888.88… */
    assert_true(stable_compare(stream.paid, units(1388888)) == 0);
}

/* Two bought the same second at 386: the third second makes up for it. */
static void who_bought_at_once_is_made_up_for(void **state)
{
    struct leasing_stream stream = {.seconds_sold = 3, .paid = units(385 + 386 + 386)};
    (void)state;
    stream.paid = units(385 + 385 + 385);
    assert_int_equal(price(1000000000, MONTH, &stream, 1), 1543 - 3 * 385);
    stream.paid = units(5000);
    assert_int_equal(price(1000000000, MONTH, &stream, 1), 1);
}

static void what_cannot_be_sold_is_refused(void **state)
{
    struct leasing_stream stream = {.paid = units(0)};
    struct stable_amount out = units(77);
    struct stable_amount largest = stable_of(U256_MAX);
    uint32_t sec = 9;
    (void)state;
    /* 1 unit a second is the least that can be sold by the second. */
    assert_int_equal(price(60, 60, &stream, 1), 1);
    assert_int_equal(leasing_access_price(units(59), 60, &stream, 1, &out, NULL), ERR_CONFLICT);
    assert_int_equal(price(59, 60, &stream, 5), 4);
    assert_int_equal(leasing_access_price(units(5), 0, &stream, 1, &out, NULL), ERR_INVALID_FIELD);
    assert_int_equal(leasing_access_price(largest, 1, &stream, 5, &out, NULL), ERR_OVERFLOW);
    stream.seconds_sold = UINT64_MAX;
    assert_int_equal(leasing_access_price(units(60), 60, &stream, 1, &out, NULL), ERR_OVERFLOW);
    assert_true(stable_compare(out, units(77)) == 0);
    assert_int_equal(leasing_access_interval(SLICE_LIT("hour"), &sec, NULL), ERR_INVALID_FIELD);
    assert_int_equal(sec, 9);
    assert_int_equal(leasing_access_interval(SLICE_LIT("batch-5s"), &sec, NULL), OK);
    assert_int_equal(sec, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_second_does_not_pay_is_carried),
        cmocka_unit_test(modes_can_be_mixed),
        cmocka_unit_test(after_a_period_exactly_the_rent_is_paid),
        cmocka_unit_test(an_hour_of_a_large_rent_is_exact),
        cmocka_unit_test(who_bought_at_once_is_made_up_for),
        cmocka_unit_test(what_cannot_be_sold_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
