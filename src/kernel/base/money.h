/*
 * money.h: amounts are one-field structs, one per unit, so that rent cannot be added to shares.
 *
 *   stable_amount  minor units of the settlement stablecoin (6 decimals: 1 USDC = 1000000)
 *   token_amount   base units of an asset token (18 decimals)
 *   wei_amount     wei of the chain's native coin
 *   basis_points   1/100 of a percent, 0..10000
 *
 * The field `units_` is opened in kernel/base only (make check greps for it). Arithmetic is
 * checked; multiplication exists only as the named rules that the domains need, each of which
 * states its rounding.
 */
#ifndef KERNEL_BASE_MONEY_H
#define KERNEL_BASE_MONEY_H

#include "kernel/base/u256.h"

#define STABLE_DECIMALS 6
#define TOKEN_DECIMALS 18
#define WEI_DECIMALS 18

struct stable_amount {
    struct u256 units_;
};
struct token_amount {
    struct u256 units_;
};
struct wei_amount {
    struct u256 units_;
};
struct basis_points {
    uint16_t units_;
};

/* stable_of makes an amount of minor units. */
struct stable_amount stable_of(struct u256 units);
/* stable_raw lends the minor units for encoding and storing. */
struct u256 stable_raw(struct stable_amount a);
/* stable_add sets *out = a + b. Errors: ERR_OVERFLOW. */
enum err stable_add(struct stable_amount a, struct stable_amount b,
                    struct stable_amount *out) ERR_CHECKED;
/* stable_sub sets *out = a - b. Errors: ERR_OVERFLOW when b > a. */
enum err stable_sub(struct stable_amount a, struct stable_amount b,
                    struct stable_amount *out) ERR_CHECKED;
/* stable_compare orders: -1, 0, 1. */
int stable_compare(struct stable_amount a, struct stable_amount b);
/* stable_is_zero says whether the amount is nothing. */
bool stable_is_zero(struct stable_amount a);

/* token_of makes an amount of base units. */
struct token_amount token_of(struct u256 units);
/* token_raw lends the base units for encoding and storing. */
struct u256 token_raw(struct token_amount a);
/* token_add sets *out = a + b. Errors: ERR_OVERFLOW. */
enum err token_add(struct token_amount a, struct token_amount b,
                   struct token_amount *out) ERR_CHECKED;
/* token_sub sets *out = a - b. Errors: ERR_OVERFLOW when b > a. */
enum err token_sub(struct token_amount a, struct token_amount b,
                   struct token_amount *out) ERR_CHECKED;
/* token_compare orders: -1, 0, 1. */
int token_compare(struct token_amount a, struct token_amount b);
/* token_is_zero says whether the amount is nothing. */
bool token_is_zero(struct token_amount a);

/* wei_of makes an amount of wei. */
struct wei_amount wei_of(struct u256 units);
/* wei_raw lends the wei for encoding and storing. */
struct u256 wei_raw(struct wei_amount a);
/* wei_add sets *out = a + b. Errors: ERR_OVERFLOW. */
enum err wei_add(struct wei_amount a, struct wei_amount b, struct wei_amount *out) ERR_CHECKED;
/* wei_sub sets *out = a - b. Errors: ERR_OVERFLOW when b > a. */
enum err wei_sub(struct wei_amount a, struct wei_amount b, struct wei_amount *out) ERR_CHECKED;
/* wei_compare orders: -1, 0, 1. */
int wei_compare(struct wei_amount a, struct wei_amount b);
/* wei_scale_percent sets *out = floor(a * percent / 100). Errors: ERR_OVERFLOW. */
enum err wei_scale_percent(struct wei_amount a, unsigned percent,
                           struct wei_amount *out) ERR_CHECKED;
/* wei_times sets *out = a * count (gas price times gas). Errors: ERR_OVERFLOW. */
enum err wei_times(struct wei_amount a, uint64_t count, struct wei_amount *out) ERR_CHECKED;

/*
 * stable_pro_rata sets *out = floor(total * part / whole): a holder's share of revenue. The
 * remainder of a round is the caller's to assign. `whole` must not be zero.
 * Errors: ERR_OVERFLOW when part > whole.
 */
enum err stable_pro_rata(struct stable_amount total, struct token_amount part,
                         struct token_amount whole, struct stable_amount *out) ERR_CHECKED;

/*
 * stable_price sets *out = floor(amount * price_per_unit / 10^18), the marketplace's cost of
 * `amount` base units at `price` minor units for a whole token. Errors: ERR_OVERFLOW.
 */
enum err stable_price(struct token_amount amount, struct stable_amount price,
                      struct stable_amount *out) ERR_CHECKED;

/*
 * stable_part sets *out to the share of step `index` (0-based) when `total` is paid in `count`
 * equal steps and the remainder is carried exactly: floor(total*(index+1)/count) -
 * floor(total*index/count). The steps of a full cycle add up to `total` to the unit.
 * Errors: ERR_OVERFLOW when index >= count or count is 0.
 */
enum err stable_part(struct stable_amount total, uint64_t index, uint64_t count,
                     struct stable_amount *out) ERR_CHECKED;

#endif
