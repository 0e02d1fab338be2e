/*
 * relay_fees.c: what is offered for a place in a block: the chain's bounds, what recent blocks
 * paid, and how replacements grow.
 */
#include "kernel/base/check.h"
#include "kernel/base/config.h"
#include "kernel/relay/relay_internal.h"

#define GWEI UINT64_C(1000000000)

/* ---- profiles ---- */

/*
 * Avalanche's C-Chain had a least base fee of 25 gwei, and the gateway promises never to pay more
 * than 100. The last row is for every other chain.
 */
static const struct relay_profile profiles[] = {
    {.name = "avalanche",
     .chain_id = 43114,
     .fee_wei_min = {.limb = {25 * GWEI}},
     .fee_wei_max = {.limb = {100 * GWEI}}},
    {.name = "fuji",
     .chain_id = 43113,
     .fee_wei_min = {.limb = {25 * GWEI}},
     .fee_wei_max = {.limb = {100 * GWEI}}},
    {.name = "general", .fee_wei_max = {.limb = {500 * GWEI}}},
};

const struct relay_profile *relay_profile_find(uint64_t chain_id)
{
    size_t last = sizeof profiles / sizeof profiles[0] - 1;
    for (size_t i = 0; i < last; i++) {
        if (profiles[i].chain_id == chain_id) {
            return &profiles[i];
        }
    }
    return &profiles[last];
}

/* Bounds that were left open are those of the chain; one that is set wins over one that is not. */
static void take_profile(struct relay_config *config, uint64_t chain_id)
{
    const struct relay_profile *p = relay_profile_find(chain_id);
    bool max_open = u256_is_zero(config->fee_wei_max);
    if (max_open) {
        config->fee_wei_max = p->fee_wei_max;
    }
    if (u256_is_zero(config->fee_wei_min)) {
        config->fee_wei_min =
            u256_compare(p->fee_wei_min, config->fee_wei_max) > 0 ? U256_ZERO : p->fee_wei_min;
    }
}

/* ---- the speed-up schedule ---- */

/* "12.5%" is 125. */
static bool parse_permille(struct slice text, uint64_t *out)
{
    if (text.len < 2 || text.ptr[text.len - 1] != '%') {
        return false;
    }
    struct slice whole;
    struct slice tenth;
    uint64_t percent = 0;
    uint64_t rest = 0;
    bool has_tenth = slice_cut(slice_sub(text, 0, text.len - 1), '.', &whole, &tenth);
    if (slice_parse_u64(whole, &percent) != OK || percent > 1000 ||
        (has_tenth && (tenth.len != 1 || slice_parse_u64(tenth, &rest) != OK))) {
        return false;
    }
    *out = percent * 10 + rest;
    return true;
}

static bool parse_step(struct slice text, struct relay_speed_up *out)
{
    struct slice wait;
    struct slice bump;
    if (!slice_cut(slice_trim(text), ' ', &wait, &bump) ||
        config_duration_parse(wait, &out->wait_usec) != OK ||
        !parse_permille(slice_trim(bump), &out->bump_permille)) {
        return false;
    }
    return out->wait_usec >= USEC_PER_SEC && out->bump_permille >= RELAY_BUMP_PERMILLE_MIN;
}

enum err relay_schedule_parse(const struct relay_config *config, struct relay_schedule *out,
                              struct why *why)
{
    struct relay_schedule s = {.count = 0};
    struct slice rest = slice_text(config->speed_up != NULL ? config->speed_up : "");
    if (slice_trim(rest).len == 0) {
        s.steps[s.count++] = (struct relay_speed_up){.wait_usec = config->stuck_usec,
                                                     .bump_permille = config->bump_percent * 10};
        rest = SLICE_EMPTY;
    }
    while (rest.len > 0) {
        struct slice step;
        (void)slice_cut(rest, ',', &step, &rest);
        if (s.count == RELAY_SPEED_UPS_MAX || !parse_step(step, &s.steps[s.count])) {
            return why_set(why, ERR_CONFIG, "relay.speed_up",
                           "relay.speed_up is a list of at most %d waits of a second or more, each "
                           "with a rise of 10%% or more, such as \"30s 12.5%%, 2min 25%%\"",
                           RELAY_SPEED_UPS_MAX);
        }
        s.count++;
    }
    *out = s;
    return OK;
}

const struct relay_speed_up *relay_speed_up_of(const struct relay *relay, uint32_t attempt)
{
    ASSERT(attempt >= 1);
    size_t last = relay->schedule.count - 1;
    return &relay->schedule.steps[attempt - 1 < last ? attempt - 1 : last];
}

enum err relay_config_resolve(const struct relay_config *config, uint64_t chain_id,
                              struct relay_config *out, struct relay_schedule *schedule,
                              struct why *why)
{
    struct relay_config c = *config;
    take_profile(&c, chain_id);
    if (u256_compare(c.fee_wei_min, c.fee_wei_max) > 0) {
        return why_set(why, ERR_CONFIG, "relay.min_fee", "relay.min_fee is above relay.max_fee");
    }
    if (u256_compare(c.priority_wei_min, c.fee_wei_max) > 0) {
        return why_set(why, ERR_CONFIG, "relay.min_priority_fee",
                       "relay.min_priority_fee is above relay.max_fee");
    }
    enum err e = relay_schedule_parse(&c, schedule, why);
    if (e == OK) {
        *out = c;
    }
    return e;
}

enum err relay_config_check(const struct relay_config *config, uint64_t chain_id, struct why *why)
{
    struct relay_config resolved;
    struct relay_schedule schedule;
    return relay_config_resolve(config, chain_id, &resolved, &schedule, why);
}

/* ---- fees ---- */

static struct wei_amount least(struct wei_amount a, struct wei_amount b)
{
    return wei_compare(a, b) < 0 ? a : b;
}

static struct wei_amount most(struct wei_amount a, struct wei_amount b)
{
    return wei_compare(a, b) > 0 ? a : b;
}

static unsigned percent_of(const struct relay *relay, enum relay_priority priority)
{
    switch (priority) {
    case RELAY_LOW:
        return (unsigned)relay->config.low_percent;
    case RELAY_NORMAL:
        return 100;
    case RELAY_HIGH:
        return (unsigned)relay->config.high_percent;
    }
    return 100;
}

/* A fee that does not fit 256 bits is beyond every cap. */
static struct wei_amount scaled(struct wei_amount fee, unsigned percent)
{
    struct wei_amount out;
    return wei_scale_percent(fee, percent, &out) == OK ? out : wei_of(U256_MAX);
}

void relay_fee_offer(const struct relay *relay, const struct relay_fee *fee,
                     enum relay_priority priority, struct relay_offer *out)
{
    struct wei_amount cap = wei_of(relay->config.fee_wei_max);
    struct wei_amount floor = wei_of(relay->config.fee_wei_min);
    unsigned percent = percent_of(relay, priority);
    struct relay_offer o = {.legacy = fee->legacy};
    if (fee->legacy) {
        o.max = least(most(scaled(fee->base, percent > 100 ? percent : 100), floor), cap);
        o.priority = o.max;
        *out = o;
        return;
    }
    o.priority = most(scaled(fee->reward, percent), wei_of(relay->config.priority_wei_min));
    o.priority = least(o.priority, cap);
    if (wei_times(fee->base, 2, &o.max) != OK || wei_add(o.max, o.priority, &o.max) != OK) {
        o.max = cap;
    }
    o.max = least(most(o.max, floor), cap);
    *out = o;
}

enum err relay_fees(struct relay *relay, struct relay_fee *out, struct why *why)
{
    struct rpc_fees fees;
    enum err e = rpc_fees_read(relay->rpc, &fees, why);
    if (e != OK) {
        return e;
    }
    struct relay_fee f = {.legacy = !fees.eip1559, .gas_limit = fees.gas_limit};
    f.base = f.legacy ? fees.gas_price : fees.base_fee_next;
    f.reward = f.legacy ? fees.gas_price : fees.priority;
    f.wait = wei_compare(f.base, wei_of(relay->config.fee_wei_max)) > 0;
    *out = f;
    return OK;
}

/* The larger of what is offered now and the old fee raised, rounded up so that a node agrees. */
static enum err raise(const struct relay *relay, struct wei_amount now, struct wei_amount old,
                      uint64_t permille, struct wei_amount *out, struct why *why)
{
    struct u256 raised = U256_ZERO;
    enum err e = OK;
    if (permille > 0) {
        e = u256_mul_div(wei_raw(old), u256_from_u64(1000 + permille), u256_from_u64(1000), &raised,
                         NULL);
        if (e == OK) {
            e = u256_add(raised, u256_from_u64(1), &raised);
        }
    }
    struct wei_amount fee = most(now, wei_of(raised));
    if (e != OK || wei_compare(fee, wei_of(relay->config.fee_wei_max)) > 0) {
        return why_set(why, ERR_LIMIT, NULL, "a replacement would need a fee above relay.max_fee");
    }
    *out = fee;
    return OK;
}

enum err relay_fee_raise(const struct relay *relay, const struct relay_offer *now,
                         struct wei_amount old_max, struct wei_amount old_priority,
                         uint64_t permille, struct relay_offer *out, struct why *why)
{
    struct relay_offer o = *now;
    enum err e = raise(relay, now->max, old_max, permille, &o.max, why);
    if (e == OK) {
        e = raise(relay, now->priority, old_priority, permille, &o.priority, why);
    }
    if (e == OK) {
        o.max = most(o.max, o.priority);
        *out = o;
    }
    return e;
}
