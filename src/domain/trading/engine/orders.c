/*
 * orders.c: the commands about orders, and time.
 */
#include "domain/trading/engine/internal.h"

static bool stp_known(unsigned stp)
{
    return stp <= ENGINE_STP_DECREMENT;
}

static bool price_valid(const struct engine_pair *pair, int64_t price)
{
    return price > 0 && price < ENGINE_PRICE_MAX &&
           (pair->price_step == 1 || price % pair->price_step == 0);
}

static bool qty_valid(const struct engine_pair *pair, int64_t qty)
{
    return qty > 0 && qty <= pair->qty_max && (pair->qty_step == 1 || qty % pair->qty_step == 0);
}

static bool notional_valid(const struct engine_pair *pair, int64_t price, int64_t qty)
{
    return pair->notional_min == 0 || price == 0 ||
           (engine_u128)price * (uint64_t)qty >= pair->notional_min;
}

/* R14, and what is new here: steps, funds, expiry. */
static bool new_valid(const struct engine *e, const struct engine_pair *pair,
                      const struct engine_command *c)
{
    const struct engine_order_in *in = &c->order;
    const bool limited = c->type == ENGINE_LIMIT || c->type == ENGINE_STOP_LIMIT;
    const bool stops = c->type == ENGINE_STOP_LIMIT || c->type == ENGINE_STOP_MARKET;
    const bool rests = c->tif == ENGINE_GTC || c->tif == ENGINE_GTD;
    const bool funded = in->funds != 0;
    if (c->side > ENGINE_SELL || c->type > ENGINE_STOP_MARKET || c->tif > ENGINE_GTD ||
        !stp_known(c->stp) || (c->flags & ~ENGINE_POST_ONLY) != 0) {
        return false;
    }
    if (limited ? !price_valid(pair, in->price) : in->price != 0 || rests) {
        return false;
    }
    if (stops ? !price_valid(pair, in->stop) : in->stop != 0) {
        return false;
    }
    if ((c->tif == ENGINE_GTD) != (in->expire_usec != 0) ||
        (c->tif == ENGINE_GTD && in->expire_usec <= e->now_usec)) {
        return false;
    }
    if ((c->flags & ENGINE_POST_ONLY) != 0 && (c->type != ENGINE_LIMIT || !rests)) {
        return false;
    }
    if (funded) {
        return c->type == ENGINE_MARKET && c->tif == ENGINE_IOC && in->qty == 0 && pair->settled &&
               pair->state == ENGINE_OPEN && in->funds <= ENGINE_AMOUNT_MAX;
    }
    return qty_valid(pair, in->qty) && notional_valid(pair, in->price, in->qty);
}

/* How far an unpriced order goes from `from`; false when a band is set and nothing to measure. */
static bool protect(const struct engine_pair *pair, uint8_t side, int64_t from, int64_t *out)
{
    if (pair->band_ppm == 0) {
        *out = side == ENGINE_BUY ? ENGINE_PRICE_MAX - 1 : 1;
        return true;
    }
    if (from == 0) {
        return false;
    }
    const engine_u128 width = (engine_u128)from * pair->band_ppm / ENGINE_PPM;
    int64_t price;
    if (side == ENGINE_BUY) {
        const engine_u128 high = (uint64_t)from + width;
        price = high < ENGINE_PRICE_MAX ? (int64_t)high : ENGINE_PRICE_MAX - 1;
        price = price / pair->price_step * pair->price_step;
    } else {
        price = width < (uint64_t)from ? from - (int64_t)width : 1;
        price = (price + pair->price_step - 1) / pair->price_step * pair->price_step;
    }
    *out = price;
    return true;
}

/* Whether the pair's state takes such an order; `c` is valid. */
static bool state_takes(const struct engine_pair *pair, const struct engine_command *c)
{
    if (pair->state == ENGINE_OPEN) {
        return true;
    }
    const bool stops = c->type == ENGINE_STOP_LIMIT || c->type == ENGINE_STOP_MARKET;
    if (!engine_collecting(pair)) {
        return false;
    }
    if (stops) {
        return true;
    }
    if (c->type == ENGINE_MARKET) { /* with its fill decided at the uncrossing, FOK means nothing */
        return c->tif == ENGINE_IOC;
    }
    return (c->tif == ENGINE_GTC || c->tif == ENGINE_GTD) && (c->flags & ENGINE_POST_ONLY) == 0;
}

static struct engine_order order_from(const struct engine *e, const struct engine_pair *pair,
                                      const struct engine_command *c)
{
    const struct engine_order_in *in = &c->order;
    return (struct engine_order){
        .id = in->id,
        .price = in->price,
        .left = in->funds != 0 ? pair->qty_max : in->qty,
        .account = in->account,
        .owner = e->accounts[in->account].owner,
        .pair = pair->number,
        .side = c->side,
        .type = c->type,
        .tif = c->tif,
        .stp = c->stp == ENGINE_STP_DEFAULT ? pair->stp : c->stp,
        .flags = (uint8_t)(((c->flags & ENGINE_POST_ONLY) != 0 ? ORDER_POST : 0) |
                           (in->funds != 0 ? ORDER_FUNDED : 0)),
        .stop = in->stop,
        .expire_usec = in->expire_usec,
        .funds = in->funds,
    };
}

/* Everything that can refuse a new order whose values are valid. Fills in price and balances. */
static enum engine_reason admit(struct engine *e, struct engine_pair *pair,
                                const struct engine_command *c, struct engine_order *o)
{
    const struct engine_account *account = &e->accounts[o->account];
    const bool stops = o->type == ENGINE_STOP_LIMIT || o->type == ENGINE_STOP_MARKET;
    const bool market = o->type == ENGINE_MARKET || o->type == ENGINE_STOP_MARKET;
    if (!state_takes(pair, c)) {
        return ENGINE_STATE_FORBIDS;
    }
    if (o->type == ENGINE_MARKET && engine_collecting(pair)) {
        o->flags |= ORDER_AUCTION;
    }
    if (market) {
        const int64_t last = pair->last != 0 ? pair->last : pair->reference;
        const int64_t near =
            engine_collecting(pair) && pair->reference != 0 ? pair->reference : last;
        if (!protect(pair, o->side, stops ? o->stop : near, &o->price)) {
            return ENGINE_NO_REFERENCE;
        }
    }
    const bool may_rest =
        stops || o->tif == ENGINE_GTC || o->tif == ENGINE_GTD || (o->flags & ORDER_AUCTION) != 0;
    if (may_rest && (e->order_count >= e->limits.orders || account->open >= account->orders_max)) {
        return ENGINE_LIMITED;
    }
    if ((o->flags & ORDER_POST) != 0 && match_would_cross(e, pair, o->side, o->price)) {
        return ENGINE_WOULD_TAKE; /* R7 */
    }
    return pair->settled ? money_admit(e, pair, o) : ENGINE_OK;
}

enum engine_reason orders_new(struct engine *e, const struct engine_command *c)
{
    const struct engine_order_in *in = &c->order;
    struct engine_pair *pair = engine_find_pair(e, in->pair);
    if (pair == NULL || !new_valid(e, pair, c) || !id_window_fits(&e->window, in->id)) {
        return engine_refuse(e, in->id, ENGINE_INVALID);
    }
    if (id_window_used(&e->window, in->id)) {
        return engine_refuse(e, in->id, ENGINE_DUPLICATE);
    }
    if (in->account >= e->limits.accounts || !e->accounts[in->account].defined) {
        return engine_refuse(e, in->id, ENGINE_NO_ACCOUNT);
    }
    const uint32_t at = order_take(e);
    struct engine_order *o = &e->orders[at];
    *o = order_from(e, pair, c);
    const enum engine_reason reason = admit(e, pair, c, o);
    if (reason != ENGINE_OK) {
        o->flags = 0;
        order_free(e, at);
        return engine_refuse(e, in->id, reason);
    }
    pair->auction_orders += (o->flags & ORDER_AUCTION) != 0;
    id_window_use(&e->window, o->id);
    if (engine_wants(e, ENGINE_EVENT_ACCEPTED)) {
        engine_tell(e, (struct engine_event){.kind = ENGINE_EVENT_ACCEPTED,
                                             .side = o->side,
                                             .type = o->type,
                                             .tif = o->tif,
                                             .order = o->id,
                                             .other = (uint64_t)o->stop,
                                             .price = in->price,
                                             .qty = in->qty,
                                             .amount = in->funds,
                                             .account = o->account,
                                             .pair = pair->number});
    }
    if (o->type == ENGINE_STOP_LIMIT || o->type == ENGINE_STOP_MARKET) {
        if (pair->state != ENGINE_OPEN || !match_stop_met(pair, o->side, o->stop)) {
            park_link(e, pair, at);
            return ENGINE_OK;
        }
        engine_tell_order(e, ENGINE_EVENT_TRIGGERED, o, o->stop, o->left, ENGINE_OK);
    }
    match_enter(e, pair, at);
    match_cascade(e, pair);
    return ENGINE_OK;
}

/* The open order that a client or the operator means; 0 with the reason in *out. */
static uint32_t find_own(const struct engine *e, uint64_t id, uint32_t account,
                         enum engine_reason *out)
{
    const uint32_t at = engine_find_order(e, id);
    if (at == 0 || (account != ENGINE_NOBODY && e->orders[at].account != account)) {
        *out = ENGINE_UNKNOWN;
        return 0;
    }
    return at;
}

enum engine_reason orders_cancel(struct engine *e, const struct engine_command *c)
{
    enum engine_reason reason = ENGINE_OK;
    const uint32_t at = find_own(e, c->cancel.id, c->cancel.account, &reason);
    if (at == 0) {
        return engine_refuse(e, c->cancel.id, reason);
    }
    struct engine_pair *pair = &e->pairs[e->orders[at].pair];
    if (pair->state == ENGINE_HALTED && c->cancel.account != ENGINE_NOBODY) {
        return engine_refuse(e, c->cancel.id, ENGINE_STATE_FORBIDS);
    }
    order_cancel(e, pair, at, ENGINE_ASKED);
    return ENGINE_OK;
}

/* A replace that keeps the place: price unchanged, total not increased. */
static enum engine_reason reduce(struct engine *e, struct engine_pair *pair, struct engine_order *o,
                                 int64_t left)
{
    const int64_t less = o->left - left;
    order_give_up(e, pair, o, less);
    if (engine_wants(e, ENGINE_EVENT_REDUCED)) {
        engine_tell(e, (struct engine_event){.kind = ENGINE_EVENT_REDUCED,
                                             .reason = ENGINE_REPLACED,
                                             .side = o->side,
                                             .order = o->id,
                                             .price = o->price,
                                             .qty = left,
                                             .amount = (uint64_t)less,
                                             .account = o->account,
                                             .pair = pair->number});
    }
    return ENGINE_OK;
}

enum engine_reason orders_replace(struct engine *e, const struct engine_command *c)
{
    const struct engine_replace_in *in = &c->replace;
    enum engine_reason reason = ENGINE_OK;
    const uint32_t at = find_own(e, in->id, in->account, &reason);
    if (at == 0) {
        return engine_refuse(e, in->id, reason); /* R15 */
    }
    struct engine_order *o = &e->orders[at];
    struct engine_pair *pair = &e->pairs[o->pair];
    if (!price_valid(pair, in->price) || in->qty <= 0 || in->qty > pair->qty_max) {
        return engine_refuse(e, in->id, ENGINE_INVALID);
    }
    if (o->where == ORDER_PARKED) {
        return engine_refuse(e, in->id, ENGINE_PARKED_STOP); /* R13 */
    }
    if (pair->state != ENGINE_OPEN && !engine_collecting(pair)) {
        return engine_refuse(e, in->id, ENGINE_STATE_FORBIDS);
    }
    if (in->qty <= o->filled) { /* R8 */
        order_cancel(e, pair, at, ENGINE_REPLACED);
        return ENGINE_OK;
    }
    if (!qty_valid(pair, in->qty) || !notional_valid(pair, in->price, in->qty)) {
        return engine_refuse(e, in->id, ENGINE_INVALID);
    }
    const int64_t left = in->qty - o->filled;
    if (in->price == o->price && left <= o->left) {
        return reduce(e, pair, o, left); /* R9 */
    }
    if ((o->flags & ORDER_POST) != 0 && match_would_cross(e, pair, o->side, in->price)) {
        return engine_refuse(e, in->id, ENGINE_WOULD_TAKE);
    }
    if (pair->settled) {
        reason = money_amend(e, pair, o, in->price, left);
        if (reason != ENGINE_OK) {
            return engine_refuse(e, in->id, reason);
        }
    }
    book_unlink(e, pair, o);
    o->price = in->price;
    o->left = left;
    engine_tell_order(e, ENGINE_EVENT_REMOVED, o, o->price, left, ENGINE_REPLACED);
    match_enter(e, pair, at);
    match_cascade(e, pair);
    return ENGINE_OK;
}

void orders_cancel_account(struct engine *e, uint32_t account, uint32_t pair,
                           enum engine_reason reason)
{
    for (uint32_t at = e->accounts[account].head, next; at != 0; at = next) {
        next = e->orders[at].account_next;
        if (pair == ENGINE_ALL || e->orders[at].pair == pair) {
            order_cancel(e, &e->pairs[e->orders[at].pair], at, reason);
        }
    }
}

static bool account_known(const struct engine *e, uint32_t account)
{
    return account < e->limits.accounts && e->accounts[account].defined;
}

enum engine_reason orders_mass_cancel(struct engine *e, const struct engine_command *c)
{
    const uint32_t account = c->mass.account;
    if (c->mass.pair != ENGINE_ALL && engine_find_pair(e, c->mass.pair) == NULL) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    if (account != ENGINE_NOBODY && !account_known(e, account)) {
        return engine_refuse(e, 0, ENGINE_NO_ACCOUNT);
    }
    const uint32_t first = account == ENGINE_NOBODY ? 0 : account;
    const uint32_t end = account == ENGINE_NOBODY ? e->limits.accounts : account + 1;
    for (uint32_t a = first; a < end; a++) {
        orders_cancel_account(e, a, c->mass.pair, ENGINE_SWITCHED);
    }
    return engine_applied(e, c, c->mass.pair);
}

enum engine_reason orders_cancel_after(struct engine *e, const struct engine_command *c)
{
    const int64_t when = c->mass.time_usec;
    if (when != 0 && when <= e->now_usec) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    if (!account_known(e, c->mass.account)) {
        return engine_refuse(e, 0, ENGINE_NO_ACCOUNT);
    }
    e->accounts[c->mass.account].cancel_usec = when;
    timers_set(&e->timers, (struct timer){when, c->mass.account, TIMER_ACCOUNT, c->mass.account});
    return engine_applied(e, c, ENGINE_ALL);
}

enum engine_reason orders_time(struct engine *e, const struct engine_command *c)
{
    if (c->clock.now_usec < e->now_usec) {
        return engine_refuse(e, 0, ENGINE_INVALID);
    }
    e->now_usec = c->clock.now_usec;
    if (engine_wants(e, ENGINE_EVENT_TIME)) {
        engine_tell(e, (struct engine_event){
                           .kind = ENGINE_EVENT_TIME, .price = e->now_usec, .pair = ENGINE_ALL});
    }
    const struct timer *due;
    while ((due = timers_due(&e->timers, e->now_usec)) != NULL) {
        const struct timer t = *due;
        if (t.kind == TIMER_ORDER) {
            order_cancel(e, &e->pairs[e->orders[t.slot].pair], t.slot, ENGINE_EXPIRED);
        } else if (t.kind == TIMER_ACCOUNT) {
            e->accounts[t.slot].cancel_usec = 0;
            timers_set(&e->timers, (struct timer){0, t.number, t.kind, t.slot});
            orders_cancel_account(e, t.slot, ENGINE_ALL, ENGINE_SWITCHED);
        } else {
            auction_end(e, &e->pairs[t.slot]);
        }
    }
    return engine_applied(e, c, ENGINE_ALL);
}
