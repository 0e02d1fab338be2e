#include "kernel/base/rand.h"

#include "kernel/base/clock.h"
#include "unit/test.h"

/* The first test runs on the kernel's randomness; a seed cannot be taken back. */
static void system_bytes_fill_everything(void **state)
{
    /* More than getrandom hands out in one uninterruptible piece. */
    enum { SIZE = 100000 };
    static uint8_t bytes[SIZE + 2];
    bytes[0] = bytes[SIZE + 1] = 0x5a;
    rand_bytes(bytes + 1, SIZE);
    assert_int_equal(bytes[0], 0x5a);
    assert_int_equal(bytes[SIZE + 1], 0x5a);
    size_t histogram[256] = {0};
    for (size_t i = 1; i <= SIZE; i++) {
        histogram[bytes[i]]++;
    }
    /* 390 expected, standard deviation 20: ten of them. */
    for (size_t i = 0; i < 256; i++) {
        assert_in_range(histogram[i], 190, 590);
    }
    assert_true(rand_u64() != rand_u64());
    rand_bytes(NULL, 0);
}

static void system_ids_are_distinct(void **state)
{
    static char ids[2000][RAND_ID_MAX];
    for (size_t i = 0; i < 2000; i++) {
        rand_id("tx", ids[i]);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(ids[i], ids[j]);
        }
    }
}

static void a_seed_repeats(void **state)
{
    uint8_t first[100];
    uint8_t second[100];
    rand_set_seed(42);
    rand_bytes(first, sizeof first);
    uint64_t next = rand_u64();
    rand_set_seed(42);
    rand_bytes(second, sizeof second);
    assert_memory_equal(first, second, sizeof first);
    assert_true(rand_u64() == next);
    rand_set_seed(43);
    rand_bytes(second, sizeof second);
    assert_memory_not_equal(first, second, sizeof first);
}

/*
 * splitmix64 of 1234567 is 6457827717110365317, 3203168211198807973, ... (the vector that its
 * users share); xoshiro256** is computed from them here, by hand from its published definition.
 */
static void the_seeded_source_is_xoshiro(void **state)
{
    static const uint64_t s[4] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                  UINT64_C(9817491932198370423), UINT64_C(4593380528125082431)};
    rand_set_seed(1234567);
    uint64_t product = s[1] * 5;
    assert_true(rand_u64() == (product << 7 | product >> 57) * 9);
    uint64_t s1 = s[1] ^ s[2] ^ s[0]; /* the second output needs s[1] after one step */
    product = s1 * 5;
    assert_true(rand_u64() == (product << 7 | product >> 57) * 9);
}

static void below_stays_below_and_is_fair(void **state)
{
    rand_set_seed(7);
    for (int i = 0; i < 100; i++) {
        assert_true(rand_below(1) == 0);
    }
    /* Half of the values of a bound just above 2^63 would be refused: bias would show at once. */
    uint64_t bound = (UINT64_C(1) << 63) + (UINT64_C(1) << 62);
    size_t thirds[3] = {0};
    for (int i = 0; i < 30000; i++) {
        uint64_t value = rand_below(bound);
        assert_true(value < bound);
        thirds[value >> 62]++;
    }
    for (int i = 0; i < 3; i++) {
        assert_in_range(thirds[i], 9500, 10500); /* standard deviation 82 */
    }
    size_t sides[6] = {0};
    for (int i = 0; i < 60000; i++) {
        sides[rand_below(6)]++;
    }
    for (int i = 0; i < 6; i++) {
        assert_in_range(sides[i], 9400, 10600);
    }
    assert_true(rand_below(UINT64_MAX) < UINT64_MAX);
}

static void below_zero(void)
{
    (void)rand_below(0);
}

static void prefix_too_long(void)
{
    char id[RAND_ID_MAX];
    rand_id("ninechars", id);
}

static void misuse_aborts(void **state)
{
    assert_true(test_aborts(below_zero));
    assert_true(test_aborts(prefix_too_long));
}

static int64_t fixed_usec;

static int64_t fixed_clock(void *ctx)
{
    (void)ctx;
    return fixed_usec;
}

/* The ULID specification's own example: 1469918176385 ms is written 01ARYZ6S41. */
static void ids_begin_with_their_time(void **state)
{
    static const struct clock_source source = {.wall_usec = fixed_clock, .mono_usec = fixed_clock};
    clock_set_source(&source);
    char id[RAND_ID_MAX];
    fixed_usec = INT64_C(1469918176385999);
    rand_id("lease", id);
    assert_memory_equal(id, "lease_01ARYZ6S41", 16);
    assert_int_equal(strlen(id), 6 + 26);
    assert_int_equal(strspn(id + 6, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
    fixed_usec = 0;
    rand_id("", id);
    assert_memory_equal(id, "_0000000000", 11);
    fixed_usec = ((INT64_C(1) << 48) - 1) * 1000;
    rand_id("eightchr", id);
    assert_memory_equal(id, "eightchr_7ZZZZZZZZZ", 19);

    char before[RAND_ID_MAX];
    fixed_usec = INT64_C(1795324840000000);
    rand_id("a", before);
    for (int i = 0; i < 1000; i++) {
        fixed_usec += 1000;
        rand_id("a", id);
        assert_true(strcmp(before, id) < 0);
        memcpy(before, id, sizeof before);
    }
    clock_set_source(NULL);
}

/* All 80 random bits reach the text: each of the last 16 characters takes all 32 values. */
static void ids_use_all_their_random_bits(void **state)
{
    uint32_t seen[16] = {0};
    for (int i = 0; i < 2000; i++) {
        char id[RAND_ID_MAX];
        rand_id("x", id);
        for (int k = 0; k < 16; k++) {
            const char *digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
            seen[k] |= UINT32_C(1) << (strchr(digits, id[12 + k]) - digits);
        }
    }
    for (int k = 0; k < 16; k++) {
        assert_true(seen[k] == UINT32_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_bytes_fill_everything),
        cmocka_unit_test(system_ids_are_distinct),
        cmocka_unit_test(a_seed_repeats),
        cmocka_unit_test(the_seeded_source_is_xoshiro),
        cmocka_unit_test(below_stays_below_and_is_fair),
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(ids_begin_with_their_time),
        cmocka_unit_test(ids_use_all_their_random_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
