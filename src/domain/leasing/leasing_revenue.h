/*
 * leasing_revenue.h: sharing revenue among token holders. Pure.
 *
 * Each holder gets floor(balance * total / supply), as the marketplace contract computes it. What
 * the divisions leave over is less than a unit a holder when the balances add up to the supply; who
 * owns it is decided by the contract (leasing.h, "Money in the ledger"), not here.
 */
#ifndef DOMAIN_LEASING_LEASING_REVENUE_H
#define DOMAIN_LEASING_LEASING_REVENUE_H

#include "kernel/base/money.h"
#include "kernel/evm/address.h"

struct leasing_holder {
    struct address address;
    struct token_amount balance;
    struct stable_amount share; /* out */
};

/*
 * leasing_revenue_share fills the shares and sets what is left over. `supply` is the sum that the
 * contract divides by (the total supply on the deployed marketplace), at least the sum of the
 * balances. Shares and remainder add up to `total` to the unit; on failure nothing is written.
 * Errors: ERR_INVALID_FIELD (no holder, supply zero or below the sum of the balances).
 */
enum err leasing_revenue_share(struct stable_amount total, struct token_amount supply,
                               struct leasing_holder *holders, size_t count,
                               struct stable_amount *out_remainder, struct why *why) ERR_CHECKED;

/*
 * leasing_stream_quote is the price of one step of streaming access (seed 000 demo 4): an hour
 * costs rent * 3600 / rent_period rounded down, and is paid in 3600 steps ("second") or 720
 * ("batch-5s"). `base` is the amount of a step, `extra_steps` of the steps cost one unit more, so
 * that the steps of an hour add up to `hourly` exactly.
 */
struct leasing_quote {
    struct stable_amount hourly;
    struct stable_amount base;
    uint64_t extra_steps;
    uint64_t steps_per_hour;
    uint32_t interval_sec;
};

/*
 * leasing_stream_price computes a quote for mode "second" or "batch-5s". An hour that costs less
 * than one unit a step has steps that cost nothing (base 0).
 * Errors: ERR_INVALID_FIELD (mode; a rent period of zero), ERR_OVERFLOW.
 */
enum err leasing_stream_price(struct stable_amount rent, uint64_t rent_period_sec,
                              struct slice mode, struct leasing_quote *out,
                              struct why *why) ERR_CHECKED;

#endif
