#include "kernel/base/money.h"

#include <gmp.h>

#include "kernel/base/rand.h"
#include "unit/test.h"

static int setup(void **state)
{
    rand_set_seed(3);
    return 0;
}

static struct u256 parsed(const char *text)
{
    struct u256 value;
    assert_int_equal(u256_parse(slice_text(text), &value), OK);
    return value;
}

static struct stable_amount stable(const char *text)
{
    return stable_of(parsed(text));
}

static struct token_amount token(const char *text)
{
    return token_of(parsed(text));
}

static struct wei_amount wei(const char *text)
{
    return wei_of(parsed(text));
}

static void assert_stable(struct stable_amount a, const char *expected)
{
    char text[U256_TEXT_MAX];
    (void)u256_format(stable_raw(a), text);
    assert_string_equal(text, expected);
}

/* Any width from nothing to all 256 bits. */
static struct u256 random_u256(void)
{
    struct u256 value = U256_ZERO;
    uint64_t used = rand_below(5);
    for (uint64_t i = 0; i < used; i++) {
        value.limb[i] = rand_u64() >> rand_below(64);
    }
    return value;
}

static void the_three_units_add_and_subtract(void **state)
{
    struct stable_amount s = stable("9");
    assert_int_equal(stable_add(stable("1500000"), stable("2"), &s), OK);
    assert_stable(s, "1500002");
    assert_int_equal(stable_sub(s, stable("1500003"), &s), ERR_OVERFLOW);
    assert_stable(s, "1500002");
    assert_int_equal(stable_sub(s, s, &s), OK);
    assert_true(stable_is_zero(s));
    assert_int_equal(stable_add(stable_of(U256_MAX), stable("1"), &s), ERR_OVERFLOW);
    assert_true(stable_is_zero(s));
    assert_int_equal(stable_compare(stable("1"), stable("2")), -1);
    assert_int_equal(stable_compare(stable("2"), stable("2")), 0);

    struct token_amount t = token("9");
    assert_int_equal(token_add(token("5"), token("2"), &t), OK);
    assert_true(u256_equal(token_raw(t), u256_from_u64(7)));
    assert_int_equal(token_sub(t, token("8"), &t), ERR_OVERFLOW);
    assert_int_equal(token_add(token_of(U256_MAX), t, &t), ERR_OVERFLOW);
    assert_int_equal(token_sub(t, token("7"), &t), OK);
    assert_true(token_is_zero(t));
    assert_int_equal(token_compare(token("2"), token("1")), 1);

    struct wei_amount w = wei("9");
    assert_int_equal(wei_add(wei("5"), wei("2"), &w), OK);
    assert_int_equal(wei_sub(w, wei("8"), &w), ERR_OVERFLOW);
    assert_int_equal(wei_add(wei_of(U256_MAX), w, &w), ERR_OVERFLOW);
    assert_int_equal(wei_sub(w, wei("6"), &w), OK);
    assert_true(u256_equal(wei_raw(w), u256_from_u64(1)));
    assert_int_equal(wei_compare(w, wei("0")), 1);
}

static void wei_rules(void **state)
{
    struct wei_amount w = wei("9");
    assert_int_equal(wei_times(wei("30000000000"), 21000, &w), OK);
    assert_int_equal(wei_compare(w, wei("630000000000000")), 0);
    assert_int_equal(wei_times(wei_of(U256_MAX), 2, &w), ERR_OVERFLOW);
    assert_int_equal(wei_compare(w, wei("630000000000000")), 0);
    /* A fee bump of 12.5 % is asked for as 113: rounding is down. */
    assert_int_equal(wei_scale_percent(wei("7"), 113, &w), OK);
    assert_int_equal(wei_compare(w, wei("7")), 0);
    assert_int_equal(wei_scale_percent(wei("100000000001"), 150, &w), OK);
    assert_int_equal(wei_compare(w, wei("150000000001")), 0);
    /* The product exceeds 256 bits, the result does not. */
    assert_int_equal(wei_scale_percent(wei_of(U256_MAX), 100, &w), OK);
    assert_int_equal(wei_compare(w, wei_of(U256_MAX)), 0);
    assert_int_equal(wei_scale_percent(wei_of(U256_MAX), 101, &w), ERR_OVERFLOW);
    assert_int_equal(wei_scale_percent(wei("5"), 0, &w), OK);
    assert_int_equal(wei_compare(w, wei("0")), 0);
}

static void a_share_by_hand(void **state)
{
    struct stable_amount out = stable("9");
    assert_int_equal(stable_pro_rata(stable("1000000"), token("1"), token("3"), &out), OK);
    assert_stable(out, "333333");
    assert_int_equal(stable_pro_rata(stable("1000000"), token("2"), token("3"), &out), OK);
    assert_stable(out, "666666");
    /* 1000 USDC over 60 % of 10^24 base units. */
    assert_int_equal(stable_pro_rata(stable("1000000000"), token("600000000000000000000000"),
                                     token("1000000000000000000000000"), &out),
                     OK);
    assert_stable(out, "600000000");
    assert_int_equal(
        stable_pro_rata(stable_of(U256_MAX), token_of(U256_MAX), token_of(U256_MAX), &out), OK);
    assert_true(u256_equal(stable_raw(out), U256_MAX));
    assert_int_equal(stable_pro_rata(stable("1"), token("4"), token("3"), &out), ERR_OVERFLOW);
    assert_true(u256_equal(stable_raw(out), U256_MAX));
    assert_int_equal(stable_pro_rata(stable("5"), token("0"), token("3"), &out), OK);
    assert_true(stable_is_zero(out));
}

/* What is shared out never exceeds the total, and falls short by less than one unit a holder. */
static void shares_stay_within_the_total(void **state)
{
    for (int round = 0; round < 3000; round++) {
        enum { HOLDERS_MAX = 12 };
        uint64_t count = 1 + rand_below(HOLDERS_MAX);
        struct token_amount parts[HOLDERS_MAX];
        struct token_amount whole = token("0");
        for (uint64_t i = 0; i < count; i++) {
            struct u256 units = {{rand_u64(), rand_u64() >> rand_below(64), 0, 0}};
            units.limb[2] = round % 3 == 0 ? rand_u64() : 0;
            parts[i] = token_of(units);
            assert_int_equal(token_add(whole, parts[i], &whole), OK);
        }
        if (token_is_zero(whole)) {
            continue;
        }
        struct stable_amount total = stable_of(random_u256());
        struct stable_amount rest = total;
        for (uint64_t i = 0; i < count; i++) {
            struct stable_amount share;
            assert_int_equal(stable_pro_rata(total, parts[i], whole, &share), OK);
            assert_int_equal(stable_sub(rest, share, &rest), OK);
        }
        assert_true(stable_compare(rest, stable_of(u256_from_u64(count))) < 0);
    }
}

static void steps_add_up_to_the_total(void **state)
{
    for (int round = 0; round < 2000; round++) {
        uint64_t count = 1 + rand_below(round % 10 == 0 ? 400 : 40);
        struct stable_amount total = stable_of(random_u256());
        struct stable_amount sum = stable("0");
        struct stable_amount least = total;
        struct stable_amount most = stable("0");
        for (uint64_t i = 0; i < count; i++) {
            struct stable_amount step;
            assert_int_equal(stable_part(total, i, count, &step), OK);
            assert_int_equal(stable_add(sum, step, &sum), OK);
            least = stable_compare(step, least) < 0 ? step : least;
            most = stable_compare(step, most) > 0 ? step : most;
        }
        assert_int_equal(stable_compare(sum, total), 0);
        /* Equal steps: no two differ by more than one unit. */
        struct stable_amount spread;
        assert_int_equal(stable_sub(most, least, &spread), OK);
        assert_true(stable_compare(spread, stable("1")) <= 0);
    }
}

static void steps_by_hand(void **state)
{
    /* 100 in three steps: floors 0, 33, 66, 100. */
    static const char *const expected[] = {"33", "33", "34"};
    struct stable_amount out = stable("9");
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(stable_part(stable("100"), i, 3, &out), OK);
        assert_stable(out, expected[i]);
    }
    assert_int_equal(stable_part(stable("100"), 3, 3, &out), ERR_OVERFLOW);
    assert_int_equal(stable_part(stable("100"), 0, 0, &out), ERR_OVERFLOW);
    assert_int_equal(stable_part(stable("100"), UINT64_MAX, UINT64_MAX, &out), ERR_OVERFLOW);
    assert_stable(out, "34");
    assert_int_equal(stable_part(stable("100"), UINT64_MAX - 1, UINT64_MAX, &out), OK);
    assert_stable(out, "1");
    assert_int_equal(stable_part(stable_of(U256_MAX), 0, 1, &out), OK);
    assert_true(u256_equal(stable_raw(out), U256_MAX));
}

static void prices(void **state)
{
    struct stable_amount out = stable("9");
    /* 2.5 tokens at 3.20 USDC. */
    assert_int_equal(stable_price(token("2500000000000000000"), stable("3200000"), &out), OK);
    assert_stable(out, "8000000");
    /* One base unit less than a whole token: rounded down. */
    assert_int_equal(stable_price(token("999999999999999999"), stable("1"), &out), OK);
    assert_stable(out, "0");
    assert_int_equal(stable_price(token_of(U256_MAX), stable("1000000000000000000"), &out), OK);
    assert_true(u256_equal(stable_raw(out), U256_MAX));
    assert_int_equal(stable_price(token_of(U256_MAX), stable("1000000000000000001"), &out),
                     ERR_OVERFLOW);
    assert_true(u256_equal(stable_raw(out), U256_MAX));
}

static void rules_agree_with_gmp(void **state)
{
    mpz_t a;
    mpz_t b;
    mpz_t expected;
    mpz_inits(a, b, expected, NULL);
    for (int i = 0; i < 20000; i++) {
        struct u256 amount = random_u256();
        struct u256 price = random_u256();
        mpz_import(a, 4, -1, 8, 0, 0, amount.limb);
        mpz_import(b, 4, -1, 8, 0, 0, price.limb);
        mpz_mul(expected, a, b);
        mpz_fdiv_q_ui(expected, expected, 1000000000000000000UL);
        struct stable_amount out = stable("9");
        enum err e = stable_price(token_of(amount), stable_of(price), &out);
        bool fits = mpz_sizeinbase(expected, 2) <= 256;
        assert_int_equal(e, fits ? OK : ERR_OVERFLOW);
        if (fits) {
            char text[100];
            mpz_get_str(text, 10, expected);
            assert_stable(out, text);
        } else {
            assert_stable(out, "9");
        }
    }
    mpz_clears(a, b, expected, NULL);
}

static void share_of_nothing(void)
{
    struct stable_amount out;
    if (stable_pro_rata(stable_of(U256_ZERO), token_of(U256_ZERO), token_of(U256_ZERO), &out) ==
        OK) {
        return;
    }
}

static void a_share_of_no_tokens_aborts(void **state)
{
    assert_true(test_aborts(share_of_nothing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_units_add_and_subtract),
        cmocka_unit_test(wei_rules),
        cmocka_unit_test(a_share_by_hand),
        cmocka_unit_test(shares_stay_within_the_total),
        cmocka_unit_test(steps_add_up_to_the_total),
        cmocka_unit_test(steps_by_hand),
        cmocka_unit_test(prices),
        cmocka_unit_test(rules_agree_with_gmp),
        cmocka_unit_test(a_share_of_no_tokens_aborts),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
