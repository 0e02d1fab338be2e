#include "domain/leasing/leasing_revenue.h"

#include "kernel/base/check.h"

#define SECONDS_PER_HOUR 3600

struct stream_mode {
    const char *name;
    uint32_t interval_sec;
};

static const struct stream_mode stream_modes[] = {
    {"second", 1},
    {"batch-5s", 5},
};

static enum err check_balances(struct token_amount supply, const struct leasing_holder *holders,
                               size_t count, struct why *why)
{
    struct token_amount sum = token_of(U256_ZERO);
    if (count == 0) {
        return why_set(why, ERR_INVALID_FIELD, "holders", "There is no holder to share with.");
    }
    if (token_is_zero(supply)) {
        return why_set(why, ERR_INVALID_FIELD, "supply", "A supply of zero cannot be shared out.");
    }
    for (size_t i = 0; i < count; i++) {
        if (token_add(sum, holders[i].balance, &sum) != OK || token_compare(sum, supply) > 0) {
            return why_set(why, ERR_INVALID_FIELD, "supply",
                           "The balances of the holders add up to more than the supply.");
        }
    }
    return OK;
}

enum err leasing_revenue_share(struct stable_amount total, struct token_amount supply,
                               struct leasing_holder *holders, size_t count,
                               struct stable_amount *out_remainder, struct why *why)
{
    enum err e = check_balances(supply, holders, count, why);
    if (e != OK) {
        return e;
    }
    struct stable_amount left = total;
    for (size_t i = 0; i < count; i++) {
        /* No part exceeds the whole and the parts do not add up to more, so neither can fail. */
        e = stable_pro_rata(total, holders[i].balance, supply, &holders[i].share);
        ASSERT(e == OK);
        e = stable_sub(left, holders[i].share, &left);
        ASSERT(e == OK);
    }
    *out_remainder = left;
    return OK;
}

static const struct stream_mode *find_mode(struct slice name)
{
    for (size_t i = 0; i < sizeof stream_modes / sizeof stream_modes[0]; i++) {
        if (slice_equal_text(name, stream_modes[i].name)) {
            return &stream_modes[i];
        }
    }
    return NULL;
}

enum err leasing_stream_price(struct stable_amount rent, uint64_t rent_period_sec,
                              struct slice mode, struct leasing_quote *out, struct why *why)
{
    const struct stream_mode *m = find_mode(mode);
    if (m == NULL) {
        return why_set(why, ERR_INVALID_FIELD, "mode", "mode must be second or batch-5s.");
    }
    if (rent_period_sec == 0) {
        return why_set(why, ERR_INVALID_FIELD, "rentPeriod",
                       "A rent period of zero has no price by the hour.");
    }
    struct u256 hourly;
    enum err e = u256_mul_div(stable_raw(rent), u256_from_u64(SECONDS_PER_HOUR),
                              u256_from_u64(rent_period_sec), &hourly, NULL);
    if (e != OK) {
        return why_set(why, e, "rent", "The rent of an hour does not fit 256 bits.");
    }
    uint64_t steps = SECONDS_PER_HOUR / m->interval_sec;
    struct u256 base;
    struct u256 extra;
    u256_div(hourly, u256_from_u64(steps), &base, &extra);
    *out = (struct leasing_quote){
        .hourly = stable_of(hourly),
        .base = stable_of(base),
        .extra_steps = extra.limb[0],
        .steps_per_hour = steps,
        .interval_sec = m->interval_sec,
    };
    return OK;
}
