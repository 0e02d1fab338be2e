/*
 * What the tests with random sequences share: the seed and the length of a run, from the
 * environment or short and the same each time.
 *
 *     LEDGER_SEED=7 LEDGER_ROUNDS=1000 build/unit/kernel/ledger/test_ledger_random
 */
#ifndef TESTS_UNIT_KERNEL_LEDGER_RANDOM_H
#define TESTS_UNIT_KERNEL_LEDGER_RANDOM_H

#include <gmp.h>

#include "unit/kernel/ledger/fixture.h"

static inline uint64_t random_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    uint64_t value = otherwise;
    if (text != NULL && slice_parse_u64(slice_text(text), &value) != OK) {
        fail_msg("%s is a number", name);
    }
    return value;
}

/* Prints the seed, so that a failure can be had again. */
static inline uint64_t random_begin(uint64_t rounds_otherwise, uint64_t *out_rounds)
{
    uint64_t seed = random_setting("LEDGER_SEED", 20261127);
    *out_rounds = random_setting("LEDGER_ROUNDS", rounds_otherwise);
    print_message("LEDGER_SEED=%llu LEDGER_ROUNDS=%llu\n", (unsigned long long)seed,
                  (unsigned long long)*out_rounds);
    rand_set_seed(seed);
    return seed;
}

/* ---- amounts in GMP ---- */

static inline struct u256 random_from_gmp(const mpz_t value)
{
    uint8_t bytes[U256_BYTES] = {0};
    size_t len = (mpz_sizeinbase(value, 2) + 7) / 8;
    struct u256 out;
    assert_true(len <= U256_BYTES);
    mpz_export(bytes + U256_BYTES - len, NULL, 1, 1, 1, 0, value);
    assert_int_equal(u256_decode_be(slice_of(bytes, sizeof(bytes)), &out), OK);
    return out;
}

static inline void random_to_gmp(struct u256 value, mpz_t out)
{
    uint8_t bytes[U256_BYTES];
    u256_encode_be(value, bytes);
    mpz_import(out, sizeof(bytes), 1, 1, 1, 0, bytes);
}

#endif
