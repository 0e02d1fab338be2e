#include "domain/leasing/leasing_access.h"

#include "kernel/base/check.h"

enum err leasing_access_interval(struct slice mode, uint32_t *out_sec, struct why *why)
{
    if (slice_equal_text(mode, "second")) {
        *out_sec = 1;
        return OK;
    }
    if (slice_equal_text(mode, "batch-5s")) {
        *out_sec = 5;
        return OK;
    }
    return why_set(why, ERR_INVALID_FIELD, "mode", "mode must be second or batch-5s.");
}

/* floor(rent * seconds / period) */
static enum err due(struct stable_amount rent, uint64_t seconds, uint64_t period_sec,
                    struct u256 *out, struct why *why)
{
    enum err e = u256_mul_div(stable_raw(rent), u256_from_u64(seconds), u256_from_u64(period_sec),
                              out, NULL);
    return e == OK ? OK : why_set(why, e, "rent", "The rent of so long does not fit 256 bits.");
}

enum err leasing_access_price(struct stable_amount rent, uint64_t period_sec,
                              const struct leasing_stream *stream, uint32_t interval_sec,
                              struct stable_amount *out, struct why *why)
{
    struct u256 least;
    struct u256 total;
    struct u256 price;
    uint64_t seconds = 0;
    if (period_sec == 0) {
        return why_set(why, ERR_INVALID_FIELD, "rentPeriod",
                       "A rent period of zero has no price by the second.");
    }
    if (__builtin_add_overflow(stream->seconds_sold, interval_sec, &seconds)) {
        return why_set(why, ERR_OVERFLOW, NULL, "More seconds were sold than can be counted.");
    }
    enum err e = due(rent, interval_sec, period_sec, &least, why);
    if (e == OK && u256_is_zero(least)) {
        e = why_set(why, ERR_CONFLICT, "mode",
                    "A step of this length costs less than one unit of the stablecoin: it is not "
                    "sold.");
    }
    if (e == OK) {
        e = due(rent, seconds, period_sec, &total, why);
    }
    if (e != OK) {
        return e;
    }
    /* Those who bought at once may have paid a unit ahead. */
    bool ahead = u256_sub(total, stable_raw(stream->paid), &price) != OK || u256_is_zero(price);
    *out = stable_of(ahead ? u256_from_u64(1) : price);
    return OK;
}
