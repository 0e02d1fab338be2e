/* 256-bit text: what is read is written again as the same number, and the two bases agree. */
#include "kernel/base/u256.h"

#include "kernel/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Leading zeros are allowed on the way in and never written. */
static struct slice without_zeros(struct slice digits)
{
    while (digits.len > 1 && digits.ptr[0] == '0') {
        digits = slice_sub(digits, 1, digits.len);
    }
    return digits;
}

static void check_decimal(struct slice text)
{
    struct u256 value;
    if (u256_parse(text, &value) != OK) {
        return;
    }
    char out[U256_TEXT_MAX];
    size_t len = u256_format(value, out);
    ASSERT(slice_equal(slice_of(out, len), without_zeros(text)));
    uint64_t narrow;
    uint64_t direct;
    bool fits = u256_to_u64(value, &narrow) == OK;
    enum err e = slice_parse_u64(text, &direct);
    ASSERT(fits ? e == OK && direct == narrow : e == ERR_AMOUNT_OVERFLOW);
}

static void check_hex(struct slice text)
{
    struct u256 value;
    if (u256_parse_hex(text, &value) != OK) {
        return;
    }
    char out[U256_TEXT_MAX];
    size_t len = u256_format_hex(value, out);
    struct slice digits = without_zeros(slice_sub(text, 2, text.len));
    ASSERT(slice_equal_nocase(slice_sub(slice_of(out, len), 2, len), digits));
    uint8_t bytes[U256_BYTES];
    struct u256 back;
    u256_encode_be(value, bytes);
    ASSERT(u256_decode_be(slice_of(bytes, sizeof bytes), &back) == OK);
    ASSERT(u256_equal(back, value));
}

/* Three words of input as a * b / c: the quotient and remainder give the product back. */
static void check_division(struct slice words)
{
    struct u256 a;
    struct u256 b;
    struct u256 c;
    struct u256 q;
    struct u256 r;
    struct u256 product;
    struct u256 back;
    ASSERT(u256_decode_be(slice_sub(words, 0, U256_BYTES), &a) == OK);
    ASSERT(u256_decode_be(slice_sub(words, U256_BYTES, U256_BYTES), &b) == OK);
    ASSERT(u256_decode_be(slice_sub(words, 2 * U256_BYTES, U256_BYTES), &c) == OK);
    if (u256_is_zero(c) || u256_mul_div(a, b, c, &q, &r) != OK) {
        return;
    }
    ASSERT(u256_compare(r, c) < 0);
    if (u256_mul(a, b, &product) == OK) {
        ASSERT(u256_mul(q, c, &back) == OK && u256_add(back, r, &back) == OK);
        ASSERT(u256_equal(back, product));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    check_decimal(text);
    check_hex(text);
    check_division(text);
    return 0;
}
