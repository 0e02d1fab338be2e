/*
 * setup.c: the commands that say what there is: assets, pairs, accounts, rights, states.
 */
#include "domain/trading/engine/internal.h"

static enum engine_reason define_asset(struct engine *e, const struct engine_command *c)
{
    const struct engine_asset_in *in = &c->asset;
    const uint32_t known = ENGINE_ASSET_RESTRICTED | ENGINE_ASSET_FROZEN;
    if (in->asset >= e->limits.assets || (in->flags & ~known) != 0) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    struct engine_asset *asset = &e->assets[in->asset];
    /* Balances know from their beginning whether a right is behind them. */
    if (asset->defined && ((asset->flags ^ in->flags) & ENGINE_ASSET_RESTRICTED) != 0) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    asset->defined = true;
    asset->flags = (uint8_t)in->flags;
    for (uint32_t i = 0; i < e->limits.pairs && (in->flags & ENGINE_ASSET_FROZEN) != 0; i++) {
        struct engine_pair *pair = &e->pairs[i];
        if (pair->defined && (pair->base == in->asset || pair->quote == in->asset) &&
            (pair->state == ENGINE_OPEN || engine_collecting(pair))) {
            auction_enter_state(e, pair, ENGINE_HALTED, 0);
        }
    }
    return engine_applied(e, c, ENGINE_ALL);
}

static bool asset_defined(const struct engine *e, uint32_t asset)
{
    return asset < e->limits.assets && e->assets[asset].defined;
}

static enum engine_reason define_pair(struct engine *e, const struct engine_command *c)
{
    const struct engine_pair_in *in = &c->pair;
    const bool settled = (in->flags & ENGINE_PAIR_UNSETTLED) == 0;
    if (in->pair >= e->limits.pairs || e->pairs[in->pair].defined ||
        (in->flags & ~ENGINE_PAIR_UNSETTLED) != 0) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    if (settled) {
        if (!asset_defined(e, in->base) || !asset_defined(e, in->quote) || in->base == in->quote ||
            in->lot_units == 0 || in->lot_units > ENGINE_AMOUNT_MAX || in->tick_units == 0 ||
            in->tick_units > ENGINE_AMOUNT_MAX) {
            return engine_refuse(e, 0, ENGINE_INVALID);
        }
        if (in->fee_account >= e->limits.accounts || !e->accounts[in->fee_account].defined) {
            return engine_refuse(e, 0, ENGINE_NO_ACCOUNT);
        }
        if (!engine_room(e, in->fee_account, in->quote, in->fee_account, in->quote)) {
            return engine_refuse(e, 0, ENGINE_LIMITED);
        }
    }
    struct engine_pair *pair = &e->pairs[in->pair];
    *pair = (struct engine_pair){.defined = true,
                                 .settled = settled,
                                 .state = ENGINE_CLOSED,
                                 .stp = ENGINE_STP_NEWEST,
                                 .number = in->pair,
                                 .halt_high = INT64_MAX,
                                 .price_step = 1,
                                 .qty_step = 1,
                                 .qty_max = ENGINE_QTY_MAX};
    pair->book[ENGINE_BUY].highest_first = true;
    pair->stops[ENGINE_SELL].highest_first = true;
    if (settled) {
        pair->base = in->base;
        pair->quote = in->quote;
        pair->lot_units = in->lot_units;
        pair->tick_units = in->tick_units;
        pair->restricted = ((e->assets[in->base].flags | e->assets[in->quote].flags) &
                            ENGINE_ASSET_RESTRICTED) != 0;
        pair->fee_account = in->fee_account;
        pair->fee_balance = engine_open_balance(e, in->fee_account, in->quote);
    }
    if (engine_wants(e, ENGINE_EVENT_PAIR)) {
        engine_tell(e, (struct engine_event){.kind = ENGINE_EVENT_PAIR,
                                             .order = pair->base,
                                             .other = pair->quote,
                                             .qty = (int64_t)pair->lot_units,
                                             .amount = pair->tick_units,
                                             .account = pair->fee_account,
                                             .pair = in->pair});
    }
    return engine_applied(e, c, in->pair);
}

static enum engine_reason set_rules(struct engine *e, const struct engine_command *c)
{
    const struct engine_rules_in *in = &c->rules;
    struct engine_pair *pair = engine_find_pair(e, in->pair);
    if (pair == NULL || in->stp < ENGINE_STP_NONE || in->stp > ENGINE_STP_DECREMENT ||
        in->price_step <= 0 || in->price_step >= ENGINE_PRICE_MAX || in->qty_step <= 0 ||
        in->qty_step > in->qty_max || in->qty_max > ENGINE_QTY_MAX) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    /* A price between two resting ones must be on the grid of both: no coarser with orders. */
    if (pair->price_step % in->price_step != 0 &&
        (pair->book[ENGINE_BUY].best != 0 || pair->book[ENGINE_SELL].best != 0 ||
         pair->stops[ENGINE_BUY].best != 0 || pair->stops[ENGINE_SELL].best != 0)) {
        return engine_refuse(e, 0, ENGINE_STATE_FORBIDS);
    }
    pair->stp = (uint8_t)in->stp;
    pair->price_step = in->price_step;
    pair->qty_step = in->qty_step;
    pair->qty_max = in->qty_max;
    pair->notional_min = in->notional_min;
    auction_touch(e, pair);
    return engine_applied(e, c, in->pair);
}

static enum engine_reason set_guard(struct engine *e, const struct engine_command *c)
{
    const struct engine_guard_in *in = &c->guard;
    struct engine_pair *pair = engine_find_pair(e, in->pair);
    const int64_t year_usec = INT64_C(366) * 24 * 3600 * 1000000;
    if (pair == NULL || in->band_ppm > 10 * ENGINE_PPM || in->halt_ppm > 10 * ENGINE_PPM ||
        in->halt_usec < 0 || in->halt_usec > year_usec ||
        (in->halt_ppm != 0) != (in->halt_usec != 0) || in->period_usec < 0 ||
        in->period_usec > year_usec) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    pair->band_ppm = in->band_ppm;
    pair->halt_ppm = in->halt_ppm;
    pair->halt_usec = in->halt_usec;
    pair->period_usec = in->period_usec;
    auction_set_reference(pair, pair->reference);
    return engine_applied(e, c, in->pair);
}

static enum engine_reason set_fees(struct engine *e, const struct engine_command *c)
{
    const struct engine_fees_in *in = &c->fees;
    struct engine_pair *pair = engine_find_pair(e, in->pair);
    if (pair == NULL || !pair->settled || in->tier >= ENGINE_TIERS ||
        in->maker_ppm > ENGINE_FEE_PPM_MAX || in->taker_ppm > ENGINE_FEE_PPM_MAX) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    pair->fees[in->tier] = (struct engine_fee){(uint16_t)in->maker_ppm, (uint16_t)in->taker_ppm};
    return engine_applied(e, c, in->pair);
}

static enum engine_reason set_account(struct engine *e, const struct engine_command *c)
{
    const struct engine_account_in *in = &c->account;
    if (in->account >= e->limits.accounts || in->owner >= e->limits.accounts ||
        in->tier >= ENGINE_TIERS) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    struct engine_account *a = &e->accounts[in->account];
    if (a->defined && a->owner != in->owner) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    if (!a->defined) {
        a->defined = true;
        a->owner = in->owner;
        /* In the order of their numbers, so that no history of commands can show. */
        uint32_t *link = &e->owners[in->owner];
        while (*link != 0 && *link < in->account + 1) {
            link = &e->accounts[*link - 1].owner_next;
        }
        a->owner_next = *link;
        *link = in->account + 1;
    }
    a->tier = (uint8_t)in->tier;
    a->orders_max = in->orders_max;
    return engine_applied(e, c, ENGINE_ALL);
}

/* Cancels what an owner has open in pairs of an asset. */
static void cancel_owner(struct engine *e, uint32_t owner, uint32_t asset)
{
    for (uint32_t a = e->owners[owner]; a != 0; a = e->accounts[a - 1].owner_next) {
        for (uint32_t at = e->accounts[a - 1].head, next; at != 0; at = next) {
            next = e->orders[at].account_next;
            struct engine_pair *pair = &e->pairs[e->orders[at].pair];
            if (pair->settled && (pair->base == asset || pair->quote == asset)) {
                order_cancel(e, pair, at, ENGINE_INELIGIBLE);
            }
        }
    }
}

static enum engine_reason set_right(struct engine *e, const struct engine_command *c)
{
    const struct engine_right_in *in = &c->right;
    if (in->owner >= e->limits.accounts || !asset_defined(e, in->asset) ||
        (e->assets[in->asset].flags & ENGINE_ASSET_RESTRICTED) == 0 || in->until_usec < 0) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    if (engine_find_right(e, in->owner, in->asset) == 0 && e->right_count == e->limits.rights) {
        return engine_refuse(e, 0, ENGINE_LIMITED);
    }
    struct engine_right *right = &e->rights[engine_open_right(e, in->owner, in->asset)];
    right->until_usec = in->until_usec;
    right->cap = in->cap;
    if (right->until_usec <= e->now_usec) {
        cancel_owner(e, in->owner, in->asset);
    }
    return engine_applied(e, c, ENGINE_ALL);
}

static enum engine_reason set_pair_state(struct engine *e, const struct engine_command *c)
{
    const struct engine_state_in *in = &c->state;
    struct engine_pair *pair = engine_find_pair(e, in->pair);
    if (pair == NULL || in->state >= ENGINE_STATE_COUNT || in->until_usec < 0 ||
        (in->until_usec != 0 && (in->state != ENGINE_AUCTION || in->until_usec <= e->now_usec))) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    const bool trades = in->state == ENGINE_OPEN || in->state == ENGINE_AUCTION;
    if (trades && pair->settled &&
        ((e->assets[pair->base].flags | e->assets[pair->quote].flags) & ENGINE_ASSET_FROZEN) != 0) {
        return engine_refuse(e, 0, ENGINE_STATE_FORBIDS);
    }
    auction_enter_state(e, pair, (enum engine_state)in->state, in->until_usec);
    return ENGINE_OK;
}

static enum engine_reason set_reference(struct engine *e, const struct engine_command *c)
{
    struct engine_pair *pair = engine_find_pair(e, c->reference.pair);
    if (pair == NULL || c->reference.price < 0 || c->reference.price >= ENGINE_PRICE_MAX) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    auction_set_reference(pair, c->reference.price);
    auction_touch(e, pair);
    return engine_applied(e, c, c->reference.pair);
}

enum engine_reason setup_command(struct engine *e, const struct engine_command *c)
{
    switch (c->op) {
    case ENGINE_OP_ASSET:
        return define_asset(e, c);
    case ENGINE_OP_PAIR:
        return define_pair(e, c);
    case ENGINE_OP_RULES:
        return set_rules(e, c);
    case ENGINE_OP_GUARD:
        return set_guard(e, c);
    case ENGINE_OP_FEES:
        return set_fees(e, c);
    case ENGINE_OP_ACCOUNT:
        return set_account(e, c);
    case ENGINE_OP_ELIGIBILITY:
        return set_right(e, c);
    case ENGINE_OP_STATE:
        return set_pair_state(e, c);
    default: /* not an enum */
        return set_reference(e, c);
    }
}
