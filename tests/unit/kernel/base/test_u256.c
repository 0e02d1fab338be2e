#include "kernel/base/u256.h"

#include <gmp.h>

#include "kernel/base/clock.h"
#include "kernel/base/rand.h"
#include "unit/test.h"

/* Every operation is compared with GMP on cases weighted to limbs where carries happen. */
#define CASES 120000

struct oracle {
    mpz_t a, b, c, expected, rest, limit;
};

static struct oracle gmp;

static int setup(void **state)
{
    rand_set_seed(20261122);
    mpz_inits(gmp.a, gmp.b, gmp.c, gmp.expected, gmp.rest, gmp.limit, NULL);
    mpz_ui_pow_ui(gmp.limit, 2, 256);
    return 0;
}

static int teardown(void **state)
{
    mpz_clears(gmp.a, gmp.b, gmp.c, gmp.expected, gmp.rest, gmp.limit, NULL);
    return 0;
}

static uint64_t edge_limb(void)
{
    static const uint64_t edges[] = {
        0,
        0,
        1,
        2,
        UINT64_MAX,
        UINT64_MAX,
        UINT64_MAX - 1,
        UINT64_C(1) << 63,
        (UINT64_C(1) << 63) - 1,
        (UINT64_C(1) << 63) + 1,
        UINT64_C(0xffffffff),
        UINT64_C(0x100000000),
        UINT64_C(10000000000000000000),
    };
    uint64_t pick = rand_below(2 * sizeof(edges) / sizeof(edges[0]));
    return pick < sizeof(edges) / sizeof(edges[0]) ? edges[pick] : rand_u64();
}

static struct u256 random_u256(void)
{
    struct u256 value = U256_ZERO;
    uint64_t used = rand_below(5);
    for (uint64_t i = 0; i < used; i++) {
        value.limb[i] = edge_limb();
    }
    if (rand_below(8) == 0) { /* a single bit, or all bits below one */
        unsigned bit = (unsigned)rand_below(256);
        value = U256_ZERO;
        value.limb[bit / 64] = UINT64_C(1) << (bit % 64);
    }
    return value;
}

static struct u256 random_nonzero(void)
{
    struct u256 value = random_u256();
    return u256_is_zero(value) ? u256_from_u64(1 + rand_below(9)) : value;
}

static void to_gmp(struct u256 value, mpz_t out)
{
    mpz_import(out, 4, -1, sizeof(uint64_t), 0, 0, value.limb);
}

static void assert_is(struct u256 value, const mpz_t expected)
{
    uint64_t limbs[4] = {0};
    size_t count = 0;
    assert_true(mpz_sgn(expected) >= 0 && mpz_cmp(expected, gmp.limit) < 0);
    mpz_export(limbs, &count, -1, sizeof(uint64_t), 0, 0, expected);
    assert_memory_equal(value.limb, limbs, sizeof limbs);
}

/* A refused operation leaves the output alone; `out` holds this before each call. */
static const struct u256 untouched = {{11, 22, 33, 44}};

static void assert_result(enum err e, struct u256 out, const mpz_t expected)
{
    if (mpz_sgn(expected) < 0 || mpz_cmp(expected, gmp.limit) >= 0) {
        assert_int_equal(e, ERR_OVERFLOW);
        assert_memory_equal(&out, &untouched, sizeof out);
    } else {
        assert_int_equal(e, OK);
        assert_is(out, expected);
    }
}

static void sums_agree(void **state)
{
    for (int i = 0; i < CASES; i++) {
        struct u256 a = random_u256();
        struct u256 b = random_u256();
        to_gmp(a, gmp.a);
        to_gmp(b, gmp.b);
        struct u256 out = untouched;
        mpz_add(gmp.expected, gmp.a, gmp.b);
        assert_result(u256_add(a, b, &out), out, gmp.expected);
        out = untouched;
        mpz_sub(gmp.expected, gmp.a, gmp.b);
        assert_result(u256_sub(a, b, &out), out, gmp.expected);
        int order = mpz_cmp(gmp.a, gmp.b);
        assert_int_equal(u256_compare(a, b), (order > 0) - (order < 0));
        assert_int_equal(u256_equal(a, b), order == 0);
        assert_true(u256_equal(a, a));
    }
}

static void products_agree(void **state)
{
    for (int i = 0; i < CASES; i++) {
        struct u256 a = random_u256();
        struct u256 b = random_u256();
        to_gmp(a, gmp.a);
        to_gmp(b, gmp.b);
        struct u256 out = untouched;
        mpz_mul(gmp.expected, gmp.a, gmp.b);
        assert_result(u256_mul(a, b, &out), out, gmp.expected);
    }
}

static void quotients_agree(void **state)
{
    for (int i = 0; i < CASES; i++) {
        struct u256 a = random_u256();
        struct u256 b = random_nonzero();
        to_gmp(a, gmp.a);
        to_gmp(b, gmp.b);
        mpz_fdiv_qr(gmp.expected, gmp.rest, gmp.a, gmp.b);
        struct u256 q;
        struct u256 r;
        u256_div(a, b, &q, &r);
        assert_is(q, gmp.expected);
        assert_is(r, gmp.rest);
        struct u256 alone;
        u256_div(a, b, &alone, NULL);
        assert_true(u256_equal(alone, q));
        u256_div(a, b, NULL, &alone);
        assert_true(u256_equal(alone, r));
    }
}

static void wide_quotients_agree(void **state)
{
    for (int i = 0; i < CASES; i++) {
        struct u256 a = random_u256();
        struct u256 b = random_u256();
        struct u256 c = random_nonzero();
        to_gmp(a, gmp.a);
        to_gmp(b, gmp.b);
        to_gmp(c, gmp.c);
        mpz_mul(gmp.expected, gmp.a, gmp.b);
        mpz_fdiv_qr(gmp.expected, gmp.rest, gmp.expected, gmp.c);
        struct u256 q = untouched;
        struct u256 r = untouched;
        enum err e = u256_mul_div(a, b, c, &q, &r);
        assert_result(e, q, gmp.expected);
        if (e == OK) {
            assert_is(r, gmp.rest);
        } else {
            assert_memory_equal(&r, &untouched, sizeof r);
        }
        struct u256 alone = untouched;
        assert_int_equal(u256_mul_div(a, b, c, &alone, NULL), e);
        assert_memory_equal(&alone, &q, sizeof q);
    }
}

/*
 * Dividends a step below a multiple of the divisor make the estimated quotient limb too large; the
 * rare second correction of algorithm D is reached only by limbs chosen like these.
 */
static void quotients_at_the_estimate_boundary_agree(void **state)
{
    static const uint64_t tops[] = {UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, UINT64_MAX, 1, 3};
    for (int i = 0; i < CASES; i++) {
        struct u256 c = {{edge_limb(), edge_limb(), 0, 0}};
        size_t used = 2 + (size_t)rand_below(3);
        c.limb[used - 2] = rand_below(2) ? UINT64_MAX : edge_limb();
        c.limb[used - 1] = tops[rand_below(5)];
        struct u256 factor = {{UINT64_MAX - rand_below(3), edge_limb(), 0, 0}};
        to_gmp(c, gmp.c);
        to_gmp(factor, gmp.b);
        mpz_mul(gmp.a, gmp.c, gmp.b);
        if (mpz_sgn(gmp.a) > 0 && rand_below(2)) {
            mpz_sub_ui(gmp.a, gmp.a, 1);
        }
        if (mpz_cmp(gmp.a, gmp.limit) >= 0) {
            mpz_fdiv_r(gmp.a, gmp.a, gmp.limit);
        }
        struct u256 a = U256_ZERO;
        mpz_export(a.limb, NULL, -1, sizeof(uint64_t), 0, 0, gmp.a);
        mpz_fdiv_qr(gmp.expected, gmp.rest, gmp.a, gmp.c);
        struct u256 q;
        struct u256 r;
        u256_div(a, c, &q, &r);
        assert_is(q, gmp.expected);
        assert_is(r, gmp.rest);
    }
}

/* q*c + r == a*b with r < c: holds without any oracle. */
static void remainder_identity_holds(void **state)
{
    for (int i = 0; i < CASES; i++) {
        struct u256 a = {{edge_limb(), edge_limb(), 0, 0}};
        struct u256 b = {{edge_limb(), edge_limb(), 0, 0}};
        struct u256 c = random_nonzero();
        struct u256 q;
        struct u256 r;
        struct u256 product;
        struct u256 back;
        assert_int_equal(u256_mul_div(a, b, c, &q, &r), OK);
        assert_int_equal(u256_mul(a, b, &product), OK);
        assert_int_equal(u256_mul(q, c, &back), OK);
        assert_int_equal(u256_add(back, r, &back), OK);
        assert_true(u256_equal(back, product));
        assert_true(u256_compare(r, c) < 0);
    }
}

static void outputs_may_be_inputs(void **state)
{
    struct u256 a = U256_MAX;
    struct u256 b = u256_from_u64(10);
    u256_div(a, b, &a, &b);
    struct u256 a2;
    struct u256 b2;
    u256_div(U256_MAX, u256_from_u64(10), &a2, &b2);
    assert_true(u256_equal(a, a2) && u256_equal(b, b2));
    assert_int_equal(u256_sub(a, a, &a), OK);
    assert_true(u256_is_zero(a));
}

static void decimal_text_agrees(void **state)
{
    for (int i = 0; i < CASES; i++) {
        struct u256 a = random_u256();
        to_gmp(a, gmp.a);
        char expected[U256_TEXT_MAX + 1];
        char text[U256_TEXT_MAX];
        mpz_get_str(expected, 10, gmp.a);
        assert_int_equal(u256_format(a, text), strlen(expected));
        assert_string_equal(text, expected);
        struct u256 back;
        assert_int_equal(u256_parse(slice_text(expected), &back), OK);
        assert_true(u256_equal(back, a));

        char padded[U256_TEXT_MAX];
        u256_format_padded(a, padded);
        assert_int_equal(strlen(padded), U256_DECIMAL_MAX);
        assert_int_equal(strspn(padded, "0") + strlen(expected), u256_is_zero(a) ? 79 : 78);
        assert_string_equal(padded + U256_DECIMAL_MAX - strlen(expected), expected);
    }
}

static void hex_text_agrees(void **state)
{
    for (int i = 0; i < CASES; i++) {
        struct u256 a = random_u256();
        to_gmp(a, gmp.a);
        char expected[U256_TEXT_MAX] = "0x";
        char text[U256_TEXT_MAX];
        mpz_get_str(expected + 2, 16, gmp.a);
        assert_int_equal(u256_format_hex(a, text), strlen(expected));
        assert_string_equal(text, expected);
        struct u256 back;
        assert_int_equal(u256_parse_hex(slice_text(expected), &back), OK);
        assert_true(u256_equal(back, a));
        assert_int_equal(u256_bits(a), u256_is_zero(a) ? 0 : mpz_sizeinbase(gmp.a, 2));
    }
}

static void bytes_agree(void **state)
{
    for (int i = 0; i < CASES / 4; i++) {
        struct u256 a = random_u256();
        to_gmp(a, gmp.a);
        uint8_t expected[U256_BYTES] = {0};
        size_t count = (mpz_sizeinbase(gmp.a, 2) + 7) / 8;
        if (!u256_is_zero(a)) {
            mpz_export(expected + U256_BYTES - count, NULL, 1, 1, 1, 0, gmp.a);
        }
        uint8_t bytes[U256_BYTES];
        u256_encode_be(a, bytes);
        assert_memory_equal(bytes, expected, sizeof bytes);
        struct u256 back = untouched;
        assert_int_equal(u256_decode_be(slice_of(bytes, sizeof bytes), &back), OK);
        assert_true(u256_equal(back, a));
        back = untouched;
        struct slice minimal = slice_of(bytes + U256_BYTES - count, count);
        assert_int_equal(u256_decode_be(minimal, &back), OK);
        assert_true(u256_equal(back, a));
    }
    static const uint8_t long_zero[U256_BYTES + 1];
    struct u256 out = untouched;
    assert_int_equal(u256_decode_be(slice_of(long_zero, sizeof long_zero), &out),
                     ERR_AMOUNT_OVERFLOW);
    assert_memory_equal(&out, &untouched, sizeof out);
    assert_int_equal(u256_decode_be(SLICE_EMPTY, &out), OK);
    assert_true(u256_is_zero(out));
}

static void narrowing_refuses_what_is_wider(void **state)
{
    uint64_t out = 7;
    assert_int_equal(u256_to_u64(u256_from_u64(UINT64_MAX), &out), OK);
    assert_true(out == UINT64_MAX);
    for (size_t i = 1; i < 4; i++) {
        struct u256 wide = u256_from_u64(5);
        wide.limb[i] = 1;
        out = 7;
        assert_int_equal(u256_to_u64(wide, &out), ERR_OVERFLOW);
        assert_true(out == 7);
    }
}

static const char max_text[] =
    "115792089237316195423570985008687907853269984665640564039457584007913129639935";

static void decimal_input_is_strict(void **state)
{
    static const char *const malformed[] = {"",    " 1",  "1 ", "+1", "-1",  "1.0", "1e3",
                                            "0x1", "1,0", "\n", "٣",  "1_0", "x"};
    struct u256 out = untouched;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        assert_int_equal(u256_parse(slice_text(malformed[i]), &out), ERR_INVALID_AMOUNT);
    }
    assert_int_equal(u256_parse(SLICE_LIT("1\0"), &out), ERR_INVALID_AMOUNT);
    assert_int_equal(u256_parse(SLICE_EMPTY, &out), ERR_INVALID_AMOUNT);

    char text[400];
    snprintf(text, sizeof text, "%s", max_text);
    text[77] = '6'; /* 2^256 */
    assert_int_equal(u256_parse(slice_text(text), &out), ERR_AMOUNT_OVERFLOW);
    snprintf(text, sizeof text, "%s0", max_text);
    assert_int_equal(u256_parse(slice_text(text), &out), ERR_AMOUNT_OVERFLOW);
    snprintf(text, sizeof text, "%s%s%s%s", max_text, max_text, max_text, max_text);
    assert_int_equal(u256_parse(slice_text(text), &out), ERR_AMOUNT_OVERFLOW);
    /* 10^17 * 2^256 fills five chunks and wraps to zero; what follows alone would fit. */
    snprintf(text, sizeof text, "%.77s6%017d00042", max_text, 0);
    assert_int_equal(u256_parse(slice_text(text), &out), ERR_AMOUNT_OVERFLOW);
    /* Malformed is said before too large: the sentence then fits the text. */
    snprintf(text, sizeof text, "%s%s.5", max_text, max_text);
    assert_int_equal(u256_parse(slice_text(text), &out), ERR_INVALID_AMOUNT);
    assert_memory_equal(&out, &untouched, sizeof out);

    assert_int_equal(u256_parse(slice_text(max_text), &out), OK);
    assert_true(u256_equal(out, U256_MAX));
    snprintf(text, sizeof text, "%0100d%s", 0, max_text);
    assert_int_equal(u256_parse(slice_text(text), &out), OK);
    assert_true(u256_equal(out, U256_MAX));
    assert_int_equal(u256_parse(SLICE_LIT("000"), &out), OK);
    assert_true(u256_is_zero(out));
}

static void hex_input_is_strict(void **state)
{
    static const char *const malformed[] = {"", "0", "0x", "1", "0X1", "x1", "0xg", "0x 1", "0x1 "};
    struct u256 out = untouched;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        assert_int_equal(u256_parse_hex(slice_text(malformed[i]), &out), ERR_INVALID_HEX);
    }
    char text[80];
    snprintf(text, sizeof text, "0x1%064d", 0);
    assert_int_equal(u256_parse_hex(slice_text(text), &out), ERR_AMOUNT_OVERFLOW);
    text[40] = '/';
    assert_int_equal(u256_parse_hex(slice_text(text), &out), ERR_INVALID_HEX);
    assert_memory_equal(&out, &untouched, sizeof out);
    snprintf(text, sizeof text, "0x%063dA", 0);
    assert_int_equal(u256_parse_hex(slice_text(text), &out), OK);
    assert_true(u256_equal(out, u256_from_u64(10)));
    assert_int_equal(u256_parse_hex(SLICE_LIT("0xFfFf"), &out), OK);
    assert_true(u256_equal(out, u256_from_u64(65535)));
}

static void units_are_written_for_people(void **state)
{
    static const struct {
        const char *raw;
        unsigned decimals;
        const char *expected;
    } rows[] = {
        {"0", 6, "0"},
        {"1", 6, "0.000001"},
        {"1500000", 6, "1.5"},
        {"7000000", 6, "7"},
        {"10000000", 6, "10"},
        {"1000000", 6, "1"},
        {"999999", 6, "0.999999"},
        {"1000000000000000000", 18, "1"},
        {"1000000000000000001", 18, "1.000000000000000001"},
        {"120", 0, "120"},
        {"0", 0, "0"},
        {"0", 78, "0"},
        {max_text, 0, max_text},
        {max_text, 77,
         "1.15792089237316195423570985008687907853269984665640564039457584007913129639935"},
        {max_text, 78,
         "0.115792089237316195423570985008687907853269984665640564039457584007913129639935"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct u256 value;
        char text[U256_TEXT_MAX + 2];
        assert_int_equal(u256_parse(slice_text(rows[i].raw), &value), OK);
        assert_int_equal(u256_format_units(value, rows[i].decimals, text),
                         strlen(rows[i].expected));
        assert_string_equal(text, rows[i].expected);
    }
}

static void divide_by_zero(void)
{
    struct u256 q;
    u256_div(U256_MAX, U256_ZERO, &q, NULL);
}

static void mul_div_by_zero(void)
{
    struct u256 q;
    if (u256_mul_div(U256_MAX, U256_MAX, U256_ZERO, &q, NULL) == OK) {
        return;
    }
}

static void division_by_zero_aborts(void **state)
{
    assert_true(test_aborts(divide_by_zero));
    assert_true(test_aborts(mul_div_by_zero));
}

/* 78 digits take 0.2 us; the bound only notices a fall back to naive division. */
static void decimal_text_is_fast(void **state)
{
#if defined(FREEHOLD_CHECKED)
    skip();
#endif
    enum { ROUNDS = 20000 };
    char text[U256_TEXT_MAX];
    int64_t best_usec = INT64_MAX;
    for (int repeat = 0; repeat < 5; repeat++) {
        struct u256 value = U256_MAX;
        int64_t start = clock_mono_usec();
        for (unsigned i = 0; i < ROUNDS; i++) {
            value.limb[0] -= i;
            (void)u256_format(value, text);
        }
        int64_t usec = clock_mono_usec() - start;
        best_usec = usec < best_usec ? usec : best_usec;
    }
    print_message("u256_format of 78 digits: %d ns\n", (int)(best_usec * 1000 / ROUNDS));
    assert_true(best_usec < ROUNDS * 3 / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_agree),
        cmocka_unit_test(products_agree),
        cmocka_unit_test(quotients_agree),
        cmocka_unit_test(wide_quotients_agree),
        cmocka_unit_test(quotients_at_the_estimate_boundary_agree),
        cmocka_unit_test(remainder_identity_holds),
        cmocka_unit_test(outputs_may_be_inputs),
        cmocka_unit_test(decimal_text_agrees),
        cmocka_unit_test(hex_text_agrees),
        cmocka_unit_test(bytes_agree),
        cmocka_unit_test(narrowing_refuses_what_is_wider),
        cmocka_unit_test(decimal_input_is_strict),
        cmocka_unit_test(hex_input_is_strict),
        cmocka_unit_test(units_are_written_for_people),
        cmocka_unit_test(division_by_zero_aborts),
        cmocka_unit_test(decimal_text_is_fast),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
