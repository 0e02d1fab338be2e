#include "domain/leasing/leasing_revenue.h"

#include "kernel/base/rand.h"
#include "unit/test.h"

static struct u256 number(const char *text)
{
    struct u256 value = U256_ZERO;
    assert_int_equal(u256_parse(slice_text(text), &value), OK);
    return value;
}

static void assert_units(struct stable_amount a, const char *expected)
{
    char text[U256_TEXT_MAX];
    u256_format(stable_raw(a), text);
    assert_string_equal(text, expected);
}

/* The shares that an observed acceptance on the deployed marketplace credited. */
static void test_shares_like_the_contract(void **state)
{
    struct leasing_holder holders[] = {
        {.balance = token_of(number("67"))},
        {.balance = token_of(number("33"))},
    };
    struct stable_amount remainder;
    assert_int_equal(leasing_revenue_share(stable_of(number("1000001")), token_of(number("100")),
                                           holders, 2, &remainder, NULL),
                     OK);
    assert_units(holders[0].share, "670000");
    assert_units(holders[1].share, "330000");
    assert_units(remainder, "1");
}

static void test_shares_by_hand(void **state)
{
    static const struct {
        const char *total;
        const char *supply;
        const char *balances[4];
        const char *shares[4];
        const char *remainder;
    } cases[] = {
        {"10", "3", {"1", "1", "1"}, {"3", "3", "3"}, "1"},
        {"0", "3", {"1", "2"}, {"0", "0"}, "0"},
        {"100", "7", {"0", "7"}, {"0", "100"}, "0"},
        {"1", "1000000", {"999999", "1"}, {"0", "0"}, "1"},
        /* Part of the supply is not with holders: what would be theirs is left over. */
        {"1000", "10", {"3", "2"}, {"300", "200"}, "500"},
        {"5000000",
         "1000000000000000000000000",
         {"600000000000000000000000", "399999999999999999999999", "1"},
         {"3000000", "1999999", "0"},
         "1"},
        {"115792089237316195423570985008687907853269984665640564039457584007913129639935",
         "115792089237316195423570985008687907853269984665640564039457584007913129639935",
         {"115792089237316195423570985008687907853269984665640564039457584007913129639934", "1"},
         {"115792089237316195423570985008687907853269984665640564039457584007913129639934", "1"},
         "0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct leasing_holder holders[4] = {{.address = {{0}}}};
        size_t count = 0;
        for (; count < 4 && cases[i].balances[count] != NULL; count++) {
            holders[count].balance = token_of(number(cases[i].balances[count]));
        }
        struct stable_amount remainder;
        assert_int_equal(leasing_revenue_share(stable_of(number(cases[i].total)),
                                               token_of(number(cases[i].supply)), holders, count,
                                               &remainder, NULL),
                         OK);
        for (size_t h = 0; h < count; h++) {
            assert_units(holders[h].share, cases[i].shares[h]);
        }
        assert_units(remainder, cases[i].remainder);
    }
}

static struct u256 random_u256(unsigned bits)
{
    struct u256 value;
    for (unsigned i = 0; i < 4; i++) {
        unsigned left = bits > 64 * i ? bits - 64 * i : 0;
        value.limb[i] = left == 0 ? 0 : left >= 64 ? rand_u64() : rand_u64() >> (64 - left);
    }
    return value;
}

/*
 * For any holders: nothing is made or lost, the remainder is below a unit a holder, and who holds
 * more does not get less.
 */
static void test_conserves(void **state)
{
    rand_set_seed(20260107);
    for (int round = 0; round < 5000; round++) {
        struct leasing_holder holders[12] = {{.address = {{0}}}};
        size_t count = 1 + rand_below(12);
        struct token_amount supply = token_of(U256_ZERO);
        struct stable_amount total = stable_of(random_u256((unsigned)rand_below(257)));
        for (size_t i = 0; i < count; i++) {
            holders[i].balance = token_of(random_u256(1 + (unsigned)rand_below(250)));
            assert_int_equal(token_add(supply, holders[i].balance, &supply), OK);
        }
        if (token_is_zero(supply)) {
            continue;
        }
        struct stable_amount remainder;
        struct stable_amount sum;
        assert_int_equal(leasing_revenue_share(total, supply, holders, count, &remainder, NULL),
                         OK);
        sum = remainder;
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(stable_add(sum, holders[i].share, &sum), OK);
            for (size_t j = 0; j < i; j++) {
                int by_balance = token_compare(holders[i].balance, holders[j].balance);
                int by_share = stable_compare(holders[i].share, holders[j].share);
                assert_true(by_balance * by_share >= 0);
            }
        }
        assert_int_equal(stable_compare(sum, total), 0);
        assert_true(u256_compare(stable_raw(remainder), u256_from_u64(count)) < 0);
    }
}

static void test_refuses_shares(void **state)
{
    struct leasing_holder holders[] = {
        {.balance = token_of(number("60")), .share = stable_of(number("77"))},
        {.balance = token_of(number("41")), .share = stable_of(number("78"))},
    };
    struct stable_amount total = stable_of(number("1000"));
    struct stable_amount remainder = stable_of(number("79"));
    struct why why;
    assert_int_equal(
        leasing_revenue_share(total, token_of(number("100")), holders, 2, &remainder, &why),
        ERR_INVALID_FIELD);
    assert_string_equal(why.field, "supply");
    assert_int_equal(
        leasing_revenue_share(total, token_of(U256_ZERO), holders, 2, &remainder, &why),
        ERR_INVALID_FIELD);
    assert_int_equal(
        leasing_revenue_share(total, token_of(number("100")), holders, 0, &remainder, &why),
        ERR_INVALID_FIELD);
    assert_string_equal(why.field, "holders");
    holders[1].balance = token_of(U256_MAX);
    assert_int_equal(leasing_revenue_share(total, token_of(U256_MAX), holders, 2, &remainder, &why),
                     ERR_INVALID_FIELD);
    assert_units(holders[0].share, "77");
    assert_units(holders[1].share, "78");
    assert_units(remainder, "79");
}

/* ---- quotes ---------------------------------------------------------------------------------- */

static void test_prices_by_hand(void **state)
{
    static const struct {
        const char *rent;
        uint64_t period_sec;
        const char *mode;
        const char *hourly;
        const char *base;
        uint64_t extra;
    } cases[] = {
        {"1000000000", 3600, "second", "1000000000", "277777", 2800},
        {"1000000000", 3600, "batch-5s", "1000000000", "1388888", 640},
        {"720000000", 2592000, "second", "1000000", "277", 2800}, /* 720 a month: 1 an hour */
        {"720000000", 2592000, "batch-5s", "1000000", "1388", 640},
        {"3599", 3600, "second", "3599", "0", 3599},
        {"3600", 3600, "second", "3600", "1", 0},
        {"1", 3601, "second", "0", "0", 0},
        {"1", 1, "batch-5s", "3600", "5", 0},
        {"0", 3600, "second", "0", "0", 0},
        {"10", 7, "second", "5142", "1", 1542}, /* 36000 / 7 = 5142.86 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct leasing_quote q;
        assert_int_equal(leasing_stream_price(stable_of(number(cases[i].rent)), cases[i].period_sec,
                                              slice_text(cases[i].mode), &q, NULL),
                         OK);
        assert_units(q.hourly, cases[i].hourly);
        assert_units(q.base, cases[i].base);
        assert_true(q.extra_steps == cases[i].extra);
        assert_true(q.steps_per_hour * q.interval_sec == 3600);
    }
}

/* base * steps + extra is the hour, and stable_part deals the same two amounts out. */
static void test_steps_add_up(void **state)
{
    rand_set_seed(7);
    for (int round = 0; round < 40; round++) {
        struct slice mode = round % 2 == 0 ? SLICE_LIT("second") : SLICE_LIT("batch-5s");
        struct stable_amount rent = stable_of(random_u256(1 + (unsigned)rand_below(200)));
        struct leasing_quote q;
        assert_int_equal(leasing_stream_price(rent, 1 + rand_below(4000000), mode, &q, NULL), OK);
        struct stable_amount above;
        struct stable_amount sum = stable_of(U256_ZERO);
        uint64_t extra = 0;
        assert_int_equal(stable_add(q.base, stable_of(u256_from_u64(1)), &above), OK);
        for (uint64_t i = 0; i < q.steps_per_hour; i++) {
            struct stable_amount part;
            assert_int_equal(stable_part(q.hourly, i, q.steps_per_hour, &part), OK);
            assert_true(stable_compare(part, q.base) == 0 || stable_compare(part, above) == 0);
            extra += stable_compare(part, above) == 0;
            assert_int_equal(stable_add(sum, part, &sum), OK);
        }
        assert_true(extra == q.extra_steps);
        assert_int_equal(stable_compare(sum, q.hourly), 0);
    }
}

static void test_refuses_quotes(void **state)
{
    struct leasing_quote q = {.interval_sec = 99};
    struct why why;
    struct stable_amount rent = stable_of(number("1000"));
    static const char *const modes[] = {"", "Second", "batch", "batch-5", "batch-5s ", "minute"};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(leasing_stream_price(rent, 3600, slice_text(modes[i]), &q, &why),
                         ERR_INVALID_FIELD);
        assert_string_equal(why.field, "mode");
    }
    assert_int_equal(leasing_stream_price(rent, 0, SLICE_LIT("second"), &q, &why),
                     ERR_INVALID_FIELD);
    assert_string_equal(why.field, "rentPeriod");
    assert_int_equal(leasing_stream_price(stable_of(U256_MAX), 3599, SLICE_LIT("second"), &q, &why),
                     ERR_OVERFLOW);
    assert_int_equal(leasing_stream_price(stable_of(U256_MAX), 3600, SLICE_LIT("second"), &q, NULL),
                     OK);
    assert_int_equal(q.interval_sec, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_like_the_contract),
        cmocka_unit_test(test_shares_by_hand),
        cmocka_unit_test(test_conserves),
        cmocka_unit_test(test_refuses_shares),
        cmocka_unit_test(test_prices_by_hand),
        cmocka_unit_test(test_steps_add_up),
        cmocka_unit_test(test_refuses_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
