/*
 * leasing_access.h: the price of access to a leased asset, sold by the second. Pure.
 *
 * A second costs rent / rent period, which is no whole number of units. The money of a lease is
 * therefore counted over all seconds that were sold of it: after `sold` seconds it must have paid
 *
 *     due(sold) = floor(rent * sold / period)
 *
 * and a step of `interval` seconds costs due(sold + interval) - paid. What a step does not pay of a
 * unit is carried to the next one by that difference, whatever the mix of modes, and after a whole
 * period exactly the rent is paid: nothing is rounded away, and nothing paid twice.
 *
 * Two payers who buy at once are asked the same price; the next price makes up for the difference.
 * A step never costs less than one unit: a lease whose step does is not sold in that mode.
 */
#ifndef DOMAIN_LEASING_LEASING_ACCESS_H
#define DOMAIN_LEASING_LEASING_ACCESS_H

#include "kernel/base/money.h"
#include "kernel/base/slice.h"

/* What was sold of a lease. */
struct leasing_stream {
    uint64_t seconds_sold;
    struct stable_amount paid;
    uint64_t payments;
};

/* leasing_access_interval reads a mode. Units: seconds. Errors: ERR_INVALID_FIELD ("mode"). */
enum err leasing_access_interval(struct slice mode, uint32_t *out_sec, struct why *why) ERR_CHECKED;

/*
 * leasing_access_price computes the price of the next step. Errors: ERR_CONFLICT (a step of this
 * length costs less than a unit), ERR_INVALID_FIELD (a period of zero), ERR_OVERFLOW.
 */
enum err leasing_access_price(struct stable_amount rent, uint64_t period_sec,
                              const struct leasing_stream *stream, uint32_t interval_sec,
                              struct stable_amount *out, struct why *why) ERR_CHECKED;

#endif
