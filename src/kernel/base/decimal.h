/*
 * decimal.h: numbers of JSON as what they say, without a double in between.
 *
 * A decimal is 0.d1d2d3… * 10^point with neither leading nor trailing zeros; zero has no digits and
 * no sign. Digits live in the arena that the number was read into. Any length of digits is kept;
 * exponents beyond +-10^15 are refused, because nobody means them.
 */
#ifndef KERNEL_BASE_DECIMAL_H
#define KERNEL_BASE_DECIMAL_H

#include "kernel/base/slice.h"

struct decimal {
    bool is_negative;
    struct slice digits; /* '0' to '9' */
    int64_t point;
};

/*
 * decimal_parse reads the text of a JSON number. Owns: the arena.
 * Errors: ERR_INVALID_AMOUNT (not a number), ERR_OVERFLOW (exponent).
 */
enum err decimal_parse(struct arena *arena, struct slice text, struct decimal *out) ERR_CHECKED;

/* decimal_compare orders: <0, 0, >0. */
int decimal_compare(const struct decimal *a, const struct decimal *b);

/* decimal_is_integer says whether nothing stands behind the point (2, 2.0 and 2e0 are integers). */
bool decimal_is_integer(const struct decimal *a);

/* decimal_is_multiple says whether `a` is a whole multiple of `unit`, which must not be 0. */
bool decimal_is_multiple(const struct decimal *a, uint32_t unit);

/* decimal_to_u64 converts an integer from 0 on. Errors: ERR_OVERFLOW, ERR_INVALID_AMOUNT. */
enum err decimal_to_u64(const struct decimal *a, uint64_t *out) ERR_CHECKED;

/* decimal_write appends the one text that equal numbers share ("-0.125e4"). */
void decimal_write(struct buf *out, const struct decimal *a);

#endif
