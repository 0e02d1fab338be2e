#include "kernel/crypto/hash.h"

#include "unit/vectors.h"

#define DIGITS "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"

static void text_is_0x_and_64_digits(void **state)
{
    static const char *const malformed[] = {
        "",
        "0x",
        DIGITS,
        "0x" DIGITS "0",
        "0x" DIGITS "00",
        "0xg" DIGITS,
        "0X" DIGITS,
        "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a47",
        "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a47z"};
    struct hash h = {{1}};
    const struct hash before = h;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        assert_int_equal(hash_parse(slice_text(malformed[i]), &h), ERR_INVALID_HASH);
        assert_true(hash_equal(&h, &before));
    }
    const struct hash nothing = keccak256(SLICE_EMPTY);
    assert_int_equal(hash_parse(SLICE_LIT("0x" DIGITS), &h), OK);
    assert_true(hash_equal(&h, &nothing));
}

static void each_byte_counts(void **state)
{
    struct hash zero = {{0}};
    assert_true(hash_is_zero(&zero));
    for (size_t i = 0; i < HASH_BYTES; i++) {
        struct hash h = {{0}};
        h.bytes[i] = 1;
        assert_false(hash_is_zero(&h));
        assert_false(hash_equal(&h, &zero));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_0x_and_64_digits),
        cmocka_unit_test(each_byte_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
