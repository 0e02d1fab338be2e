/*
 * u256.h: unsigned 256-bit integers with checked arithmetic.
 *
 * Four 64-bit limbs, least significant first. Every operation that can leave the range says so:
 * ERR_OVERFLOW, output untouched. There is no wrapping variant. Division by zero is a bug of the
 * caller (ASSERT). Bytes are big-endian, as the EVM writes words.
 */
#ifndef KERNEL_BASE_U256_H
#define KERNEL_BASE_U256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/base/err.h"
#include "kernel/base/slice.h"

#define U256_BYTES 32
#define U256_DECIMAL_MAX 78 /* digits of 2^256 - 1 */
#define U256_TEXT_MAX 80    /* decimal or 0x + 64 hex, with NUL */

struct u256 {
    uint64_t limb[4];
};

#define U256_ZERO ((struct u256){{0, 0, 0, 0}})
#define U256_MAX ((struct u256){{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}})

/* u256_from_u64 widens. */
static inline struct u256 u256_from_u64(uint64_t value)
{
    return (struct u256){{value, 0, 0, 0}};
}

/* u256_is_zero says whether `a` is 0. */
bool u256_is_zero(struct u256 a);

/* u256_equal compares. */
bool u256_equal(struct u256 a, struct u256 b);

/* u256_compare orders: -1, 0, 1. */
int u256_compare(struct u256 a, struct u256 b);

/* u256_bits returns the index of the highest set bit plus one; 0 for zero. */
unsigned u256_bits(struct u256 a);

/* u256_add sets *out = a + b. Errors: ERR_OVERFLOW. */
enum err u256_add(struct u256 a, struct u256 b, struct u256 *out) ERR_CHECKED;

/* u256_sub sets *out = a - b. Errors: ERR_OVERFLOW when b > a. */
enum err u256_sub(struct u256 a, struct u256 b, struct u256 *out) ERR_CHECKED;

/* u256_mul sets *out = a * b. Errors: ERR_OVERFLOW. */
enum err u256_mul(struct u256 a, struct u256 b, struct u256 *out) ERR_CHECKED;

/* u256_div sets *out_q = floor(a / b) and *out_r = a mod b (either may be NULL). b must not be 0.
 */
void u256_div(struct u256 a, struct u256 b, struct u256 *out_q, struct u256 *out_r);

/*
 * u256_mul_div sets *out_q = floor(a * b / c) with a 512-bit product and *out_r (may be NULL) to
 * the remainder: rounding is down, the remainder is the caller's to place. c must not be 0.
 * Errors: ERR_OVERFLOW when the quotient does not fit.
 */
enum err u256_mul_div(struct u256 a, struct u256 b, struct u256 c, struct u256 *out_q,
                      struct u256 *out_r) ERR_CHECKED;

/* u256_to_u64 narrows. Errors: ERR_OVERFLOW. */
enum err u256_to_u64(struct u256 a, uint64_t *out) ERR_CHECKED;

/* u256_decode_be reads up to 32 big-endian bytes. Errors: ERR_AMOUNT_OVERFLOW when longer. */
enum err u256_decode_be(struct slice bytes, struct u256 *out) ERR_CHECKED;

/* u256_encode_be writes 32 big-endian bytes. */
void u256_encode_be(struct u256 a, uint8_t out[U256_BYTES]);

/*
 * u256_parse reads a decimal integer: digits only, no sign, point, exponent or blank; leading
 * zeros are allowed. Errors: ERR_INVALID_AMOUNT, ERR_AMOUNT_OVERFLOW.
 */
enum err u256_parse(struct slice text, struct u256 *out) ERR_CHECKED;

/* u256_parse_hex reads 0x and 1 to 64 hex digits. Errors: ERR_INVALID_HEX, ERR_AMOUNT_OVERFLOW. */
enum err u256_parse_hex(struct slice text, struct u256 *out) ERR_CHECKED;

/* u256_format writes decimal digits and a NUL; returns the length without NUL. */
size_t u256_format(struct u256 a, char out[U256_TEXT_MAX]);

/* u256_format_hex writes 0x and the minimal hex digits ("0x0" for zero) and a NUL. */
size_t u256_format_hex(struct u256 a, char out[U256_TEXT_MAX]);

/* u256_format_padded writes exactly 78 digits with leading zeros and a NUL: text that sorts. */
void u256_format_padded(struct u256 a, char out[U256_TEXT_MAX]);

/*
 * u256_format_units writes `a` as a decimal with `decimals` places, trailing zeros dropped
 * ("1.5", "0.000001", "7"), for people only.
 */
size_t u256_format_units(struct u256 a, unsigned decimals, char out[U256_TEXT_MAX + 2]);

#endif
