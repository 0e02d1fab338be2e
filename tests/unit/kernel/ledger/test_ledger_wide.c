/*
 * Sums beyond 256 bits against GMP.
 */
#include <gmp.h>

#include "kernel/base/rand.h"
#include "kernel/ledger/ledger_rules.h"
#include "unit/test.h"

static struct u256 random_amount(void)
{
    struct u256 value;
    uint8_t bytes[U256_BYTES];
    rand_bytes(bytes, sizeof(bytes));
    /* Often near the end of the range, often short. */
    size_t shorten = rand_below(4) == 0 ? (size_t)rand_below(U256_BYTES) : 0;
    memset(bytes, rand_below(3) == 0 ? 0xff : 0, shorten);
    assert_int_equal(u256_decode_be(slice_of(bytes, sizeof(bytes)), &value), OK);
    return value;
}

static void to_gmp(struct u256 value, mpz_t out)
{
    uint8_t bytes[U256_BYTES];
    u256_encode_be(value, bytes);
    mpz_import(out, sizeof(bytes), 1, 1, 1, 0, bytes);
}

static void assert_same(const struct ledger_wide *wide, const mpz_t model)
{
    char ours[LEDGER_WIDE_TEXT_MAX];
    char theirs[128];
    gmp_snprintf(theirs, sizeof(theirs), "%Zd", model);
    assert_int_equal(ledger_wide_format(*wide, ours), strlen(theirs));
    assert_string_equal(ours, theirs);
}

static void sums_equal_those_of_gmp(void **state)
{
    (void)state;
    mpz_t model[2];
    mpz_t amount;
    struct ledger_wide wide[2] = {{.carries = 0}, {.carries = 0}};
    mpz_inits(model[0], model[1], amount, NULL);
    rand_set_seed(20261127);
    for (size_t i = 0; i < 20000; i++) {
        size_t at = (size_t)rand_below(2);
        struct u256 value = random_amount();
        to_gmp(value, amount);
        ledger_wide_add(&wide[at], value);
        mpz_add(model[at], model[at], amount);
        assert_same(&wide[at], model[at]);
        if (rand_below(8) == 0) {
            struct ledger_wide before = wide[at];
            bool fits = mpz_cmp(model[at], model[1 - at]) >= 0;
            assert_int_equal(ledger_wide_sub(&wide[at], &wide[1 - at]), fits);
            if (fits) {
                mpz_sub(model[at], model[at], model[1 - at]);
            } else {
                assert_true(ledger_wide_equal(&wide[at], &before));
            }
            assert_same(&wide[at], model[at]);
        }
    }
    mpz_clears(model[0], model[1], amount, NULL);
}

static void the_largest_sum_fits_its_text(void **state)
{
    (void)state;
    char text[LEDGER_WIDE_TEXT_MAX];
    struct ledger_wide most = {.low = U256_MAX, .carries = UINT64_MAX};
    /* 2^320 - 1 */
    assert_int_equal(ledger_wide_format(most, text), 97);
    assert_string_equal(text,
                        "2135987035920910082395021706169552114602704522356652769947041607822219"
                        "725780640550022962086936575");
    assert_int_equal(ledger_wide_format((struct ledger_wide){.carries = 0}, text), 1);
    assert_string_equal(text, "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_equal_those_of_gmp),
        cmocka_unit_test(the_largest_sum_fits_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
