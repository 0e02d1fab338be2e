/*
 * money.c: locks, fills, deposits, transfers, holds. Every sum that can leave 64 bits is made in
 * 128; why the others cannot is said in engine.h, "Money".
 */
#include "domain/trading/engine/internal.h"

static bool asset_restricted(const struct engine *e, uint32_t asset)
{
    return (e->assets[asset].flags & ENGINE_ASSET_RESTRICTED) != 0;
}

/* Restricted assets have a right behind each balance: what an owner holds is kept there. */
static void credit(struct engine *e, uint32_t balance, uint64_t amount)
{
    struct engine_balance *b = &e->balances[balance];
    b->available += amount;
    if (b->right != 0) {
        e->rights[b->right].held += amount;
    }
}

/* Takes `unlock` out of the lock and `pay` out of the balance; the difference becomes available. */
static void debit(struct engine *e, uint32_t balance, uint64_t unlock, uint64_t pay)
{
    struct engine_balance *b = &e->balances[balance];
    ASSERT(unlock <= b->locked && pay <= b->available + unlock);
    b->locked -= unlock;
    b->available = b->available + unlock - pay;
    if (b->right != 0) {
        e->rights[b->right].held -= pay;
    }
}

/* Does an open limit buy count against the owner's cap? */
static struct engine_right *right_of_buy(struct engine *e, const struct engine_order *o)
{
    if (o->side != ENGINE_BUY || o->per_lot == 0) {
        return NULL;
    }
    const uint32_t right = e->balances[o->base].right;
    return right != 0 ? &e->rights[right] : NULL;
}

bool money_eligible(const struct engine *e, const struct engine_pair *pair,
                    const struct engine_order *o)
{
    return (!asset_restricted(e, pair->base) || engine_right_now(e, e->balances[o->base].right)) &&
           (!asset_restricted(e, pair->quote) || engine_right_now(e, e->balances[o->quote].right));
}

bool money_per_lot(const struct engine_pair *pair, const struct engine_order *o, int64_t price,
                   uint64_t *out)
{
    if (o->side == ENGINE_SELL) {
        *out = pair->lot_units;
        return true;
    }
    const engine_u128 unit = (engine_u128)price * pair->tick_units;
    if (unit > ENGINE_AMOUNT_MAX) {
        return false;
    }
    const uint32_t ppm = o->maker_ppm > o->taker_ppm ? o->maker_ppm : o->taker_ppm;
    const uint64_t per_lot = (uint64_t)unit + money_fee((uint64_t)unit, ppm);
    if (per_lot > ENGINE_AMOUNT_MAX) {
        return false;
    }
    *out = per_lot;
    return true;
}

/* Is the owner below the cap with `lots` more? */
static bool below_cap(const struct engine *e, const struct engine_pair *pair, uint32_t right,
                      int64_t lots)
{
    const struct engine_right *r = &e->rights[right];
    return (engine_u128)r->held + r->incoming + (engine_u128)pair->lot_units * (uint64_t)lots <=
           r->cap;
}

/* A balance knows its right; who has none yet is looked up. */
static uint32_t right_behind(const struct engine *e, uint32_t balance, uint32_t owner,
                             uint32_t asset)
{
    return balance != 0 ? e->balances[balance].right : engine_find_right(e, owner, asset);
}

static enum engine_reason admit_rights(const struct engine *e, const struct engine_pair *pair,
                                       const struct engine_order *o)
{
    if (asset_restricted(e, pair->quote) &&
        !engine_right_now(e, right_behind(e, o->quote, o->owner, pair->quote))) {
        return ENGINE_INELIGIBLE;
    }
    if (asset_restricted(e, pair->base)) {
        const uint32_t right = right_behind(e, o->base, o->owner, pair->base);
        if (!engine_right_now(e, right)) {
            return ENGINE_INELIGIBLE;
        }
        /* By funds it is bounded fill by fill. */
        if (o->side == ENGINE_BUY && (o->flags & ORDER_FUNDED) == 0 &&
            !below_cap(e, pair, right, o->left)) {
            return ENGINE_CAP;
        }
    }
    return ENGINE_OK;
}

/* What an incoming order locks, or must at least have. */
static enum engine_reason admit_funds(const struct engine *e, const struct engine_pair *pair,
                                      struct engine_order *o, uint32_t balance, uint64_t *out_lock)
{
    const uint64_t available = e->balances[balance].available; /* slot 0 is an empty balance */
    *out_lock = 0;
    if (o->type == ENGINE_MARKET && (o->flags & ORDER_AUCTION) == 0 && o->side == ENGINE_BUY) {
        o->per_lot = 0;
        return available != 0 && available >= o->funds ? ENGINE_OK : ENGINE_FUNDS;
    }
    if ((o->flags & ORDER_FUNDED) != 0) { /* a sale by funds may sell all there is */
        const uint64_t lots = available / pair->lot_units;
        o->left = lots < (uint64_t)pair->qty_max ? (int64_t)lots : pair->qty_max;
    }
    if (o->left == 0 || !money_per_lot(pair, o, o->price, &o->per_lot)) {
        return ENGINE_FUNDS;
    }
    const engine_u128 lock = (engine_u128)o->per_lot * (uint64_t)o->left;
    if (lock > available) {
        return ENGINE_FUNDS;
    }
    *out_lock = (uint64_t)lock;
    return ENGINE_OK;
}

enum engine_reason money_admit(struct engine *e, struct engine_pair *pair, struct engine_order *o)
{
    o->base = engine_find_balance(e, o->account, pair->base);
    o->quote = engine_find_balance(e, o->account, pair->quote);
    const enum engine_reason right = admit_rights(e, pair, o);
    if (right != ENGINE_OK) {
        return right;
    }
    if ((o->base == 0 || o->quote == 0) &&
        !engine_room(e, o->account, pair->base, o->account, pair->quote)) {
        return ENGINE_LIMITED;
    }
    const struct engine_fee *fee = &pair->fees[e->accounts[o->account].tier];
    o->maker_ppm = fee->maker_ppm;
    o->taker_ppm = fee->taker_ppm;
    uint64_t lock;
    const enum engine_reason funds =
        admit_funds(e, pair, o, o->side == ENGINE_BUY ? o->quote : o->base, &lock);
    if (funds != ENGINE_OK) {
        return funds;
    }
    if (o->base == 0) {
        o->base = engine_open_balance(e, o->account, pair->base);
    }
    if (o->quote == 0) {
        o->quote = engine_open_balance(e, o->account, pair->quote);
    }
    struct engine_balance *b = &e->balances[o->side == ENGINE_BUY ? o->quote : o->base];
    b->available -= lock;
    b->locked += lock;
    struct engine_right *incoming = right_of_buy(e, o);
    if (incoming != NULL) {
        incoming->incoming += pair->lot_units * (uint64_t)o->left;
    }
    return ENGINE_OK;
}

enum engine_reason money_amend(struct engine *e, struct engine_pair *pair, struct engine_order *o,
                               int64_t price, int64_t left)
{
    struct engine_order after = *o;
    const struct engine_fee *fee = &pair->fees[e->accounts[o->account].tier];
    after.maker_ppm = fee->maker_ppm;
    after.taker_ppm = fee->taker_ppm;
    struct engine_balance *b = &e->balances[o->side == ENGINE_BUY ? o->quote : o->base];
    if (!money_eligible(e, pair, o)) {
        return ENGINE_INELIGIBLE;
    }
    struct engine_right *right = right_of_buy(e, o);
    if (right != NULL && left > o->left &&
        !below_cap(e, pair, e->balances[o->base].right, left - o->left)) {
        return ENGINE_CAP;
    }
    if (!money_per_lot(pair, &after, price, &after.per_lot)) {
        return ENGINE_FUNDS;
    }
    const uint64_t before = o->per_lot * (uint64_t)o->left;
    const engine_u128 lock = (engine_u128)after.per_lot * (uint64_t)left;
    if (lock > (engine_u128)b->available + before) {
        return ENGINE_FUNDS;
    }
    b->available = b->available + before - (uint64_t)lock;
    b->locked = b->locked - before + (uint64_t)lock;
    if (right != NULL) {
        right->incoming += pair->lot_units * (uint64_t)left;
        right->incoming -= pair->lot_units * (uint64_t)o->left;
    }
    o->per_lot = after.per_lot;
    o->maker_ppm = after.maker_ppm;
    o->taker_ppm = after.taker_ppm;
    return ENGINE_OK;
}

void money_release(struct engine *e, const struct engine_pair *pair, const struct engine_order *o,
                   int64_t q)
{
    if (o->per_lot == 0) {
        return;
    }
    debit(e, o->side == ENGINE_BUY ? o->quote : o->base, o->per_lot * (uint64_t)q, 0);
    struct engine_right *incoming = right_of_buy(e, o);
    if (incoming != NULL) {
        incoming->incoming -= pair->lot_units * (uint64_t)q;
    }
}

int64_t money_affordable(const struct engine *e, const struct engine_pair *pair,
                         const struct engine_order *o, int64_t price, int64_t q,
                         enum engine_reason *out_why)
{
    const bool funded = (o->flags & ORDER_FUNDED) != 0;
    const engine_u128 unit = (engine_u128)price * pair->tick_units;
    engine_u128 lots = 0;
    if (o->side == ENGINE_SELL) {
        lots = unit <= o->funds ? o->funds / (uint64_t)unit : 0;
    } else {
        uint64_t budget = e->balances[o->quote].available;
        budget = funded && o->funds < budget ? o->funds : budget;
        if (unit <= budget) { /* cost + ceil(cost * rate) fits exactly when this quotient does */
            lots = (engine_u128)budget * ENGINE_PPM / (unit * (ENGINE_PPM + o->taker_ppm));
        }
    }
    enum engine_reason why = funded ? ENGINE_SPENT : ENGINE_FUNDS;
    const uint32_t right = o->side == ENGINE_BUY ? e->balances[o->base].right : 0;
    if (right != 0) {
        const struct engine_right *r = &e->rights[right];
        const engine_u128 has = (engine_u128)r->held + r->incoming;
        const engine_u128 room = has < r->cap ? (r->cap - has) / pair->lot_units : 0;
        why = room < lots ? ENGINE_CAP : why;
        lots = room < lots ? room : lots;
    }
    if (lots >= (uint64_t)q) {
        return q;
    }
    *out_why = why;
    return (int64_t)lots;
}

struct money_fill money_settle(struct engine *e, const struct engine_pair *pair,
                               struct engine_order *maker, struct engine_order *taker,
                               int64_t price, int64_t q, bool auction)
{
    const uint64_t cost = (uint64_t)price * pair->tick_units * (uint64_t)q;
    const uint64_t lots = pair->lot_units * (uint64_t)q;
    const struct money_fill fill = {
        .cost = cost,
        .fee_maker = money_fee(cost, maker->maker_ppm),
        .fee_taker = money_fee(cost, auction ? taker->maker_ppm : taker->taker_ppm),
    };
    struct engine_order *buyer = taker->side == ENGINE_BUY ? taker : maker;
    struct engine_order *seller = taker->side == ENGINE_BUY ? maker : taker;
    const uint64_t fee_buyer = buyer == maker ? fill.fee_maker : fill.fee_taker;
    const uint64_t fee_seller = buyer == maker ? fill.fee_taker : fill.fee_maker;
    struct engine_right *incoming = right_of_buy(e, buyer);
    if (incoming != NULL) {
        incoming->incoming -= lots;
    }
    debit(e, buyer->quote, buyer->per_lot * (uint64_t)q, cost + fee_buyer);
    debit(e, seller->base, seller->per_lot * (uint64_t)q, lots);
    credit(e, buyer->base, lots);
    credit(e, seller->quote, cost - fee_seller);
    if (fee_buyer + fee_seller != 0) {
        credit(e, pair->fee_balance, fee_buyer + fee_seller);
    }
    if ((taker->flags & ORDER_FUNDED) != 0) {
        taker->funds -= taker == buyer ? cost + fee_buyer : cost;
    }
    return fill;
}

/* ---- commands ---- */

static bool known_account(const struct engine *e, uint32_t account)
{
    return account < e->limits.accounts && e->accounts[account].defined;
}

static void tell_money(struct engine *e, enum engine_event_kind kind,
                       const struct engine_money_in *m)
{
    if (engine_wants(e, kind)) {
        engine_tell(e, (struct engine_event){.kind = (uint8_t)kind,
                                             .order = m->id,
                                             .other = m->asset,
                                             .amount = m->amount,
                                             .account = m->account,
                                             .account_other = m->to,
                                             .pair = ENGINE_ALL});
    }
}

/* What is common to deposits, transfers and holds. */
static enum engine_reason check_money(const struct engine *e, const struct engine_money_in *m)
{
    if (m->amount == 0 || m->amount > ENGINE_AMOUNT_MAX || m->asset >= e->limits.assets ||
        !e->assets[m->asset].defined || !id_window_fits(&e->window, m->id)) {
        return ENGINE_INVALID;
    }
    if (id_window_used(&e->window, m->id)) {
        return ENGINE_DUPLICATE;
    }
    return known_account(e, m->account) ? ENGINE_OK : ENGINE_NO_ACCOUNT;
}

static enum engine_reason deposit(struct engine *e, const struct engine_money_in *m)
{
    enum engine_reason reason = check_money(e, m);
    struct engine_asset *asset = &e->assets[m->asset < e->limits.assets ? m->asset : 0];
    if (reason == ENGINE_OK && m->amount > ENGINE_AMOUNT_MAX - asset->supply) {
        reason = ENGINE_INVALID; /* more than can exist */
    }
    if (reason == ENGINE_OK && !engine_room(e, m->account, m->asset, m->account, m->asset)) {
        reason = ENGINE_LIMITED;
    }
    if (reason != ENGINE_OK) {
        return engine_refuse(e, m->id, reason);
    }
    id_window_use(&e->window, m->id);
    asset->supply += m->amount;
    credit(e, engine_open_balance(e, m->account, m->asset), m->amount);
    tell_money(e, ENGINE_EVENT_CREDITED, m);
    return ENGINE_OK;
}

/* May this owner have (and give) the asset now, and `more` of it? */
static enum engine_reason check_party(const struct engine *e, uint32_t account, uint32_t asset,
                                      uint64_t more)
{
    if (!asset_restricted(e, asset)) {
        return ENGINE_OK;
    }
    const uint32_t right = engine_find_right(e, e->accounts[account].owner, asset);
    if (!engine_right_now(e, right)) {
        return ENGINE_INELIGIBLE;
    }
    const struct engine_right *r = &e->rights[right];
    return more == 0 || (engine_u128)r->held + r->incoming + more <= r->cap ? ENGINE_OK
                                                                            : ENGINE_CAP;
}

/* Checks both ends of a transfer or hold. */
static enum engine_reason check_transfer(const struct engine *e, const struct engine_money_in *m)
{
    if (m->to != ENGINE_NOBODY && !known_account(e, m->to)) {
        return ENGINE_NO_ACCOUNT;
    }
    if (m->to == m->account) {
        return ENGINE_INVALID;
    }
    enum engine_reason reason = check_party(e, m->account, m->asset, 0);
    if (reason == ENGINE_OK && m->to != ENGINE_NOBODY) {
        const bool same = e->accounts[m->to].owner == e->accounts[m->account].owner;
        reason = check_party(e, m->to, m->asset, same ? 0 : m->amount);
    }
    if (reason == ENGINE_OK &&
        e->balances[engine_find_balance(e, m->account, m->asset)].available < m->amount) {
        reason = ENGINE_FUNDS;
    }
    const uint32_t to = m->to == ENGINE_NOBODY ? m->account : m->to;
    if (reason == ENGINE_OK && !engine_room(e, m->account, m->asset, to, m->asset)) {
        reason = ENGINE_LIMITED;
    }
    return reason;
}

static enum engine_reason transfer(struct engine *e, const struct engine_money_in *m)
{
    enum engine_reason reason = check_money(e, m);
    if (reason == ENGINE_OK && m->to == ENGINE_NOBODY) {
        reason = ENGINE_INVALID; /* what leaves the venue needs two phases */
    }
    reason = reason == ENGINE_OK ? check_transfer(e, m) : reason;
    if (reason != ENGINE_OK) {
        return engine_refuse(e, m->id, reason);
    }
    id_window_use(&e->window, m->id);
    debit(e, engine_find_balance(e, m->account, m->asset), 0, m->amount);
    credit(e, engine_open_balance(e, m->to, m->asset), m->amount);
    tell_money(e, ENGINE_EVENT_TRANSFERRED, m);
    return ENGINE_OK;
}

/* A held transfer counts against the receiver's cap from the first phase on. */
static struct engine_right *right_of_receiver(struct engine *e, const struct engine_hold *h)
{
    if (h->to == ENGINE_NOBODY || !asset_restricted(e, h->asset)) {
        return NULL;
    }
    return &e->rights[engine_find_right(e, e->accounts[h->to].owner, h->asset)];
}

static enum engine_reason hold(struct engine *e, const struct engine_money_in *m)
{
    enum engine_reason reason = check_money(e, m);
    reason = reason == ENGINE_OK ? check_transfer(e, m) : reason;
    if (reason == ENGINE_OK && e->hold_free == 0 && e->hold_used == e->limits.holds) {
        reason = ENGINE_LIMITED;
    }
    if (reason != ENGINE_OK) {
        return engine_refuse(e, m->id, reason);
    }
    id_window_use(&e->window, m->id);
    uint32_t at = e->hold_free;
    if (at != 0) {
        e->hold_free = e->holds[at].next;
    } else {
        at = ++e->hold_used;
    }
    struct engine_hold *h = &e->holds[at];
    *h = (struct engine_hold){
        .id = m->id, .amount = m->amount, .account = m->account, .asset = m->asset, .to = m->to};
    id_map_add(&e->hold_ids, h->id, at);
    if (h->to != ENGINE_NOBODY) { /* so that posting cannot fail for want of room */
        (void)engine_open_balance(e, h->to, h->asset);
    }
    struct engine_balance *b = &e->balances[engine_find_balance(e, h->account, h->asset)];
    b->available -= h->amount;
    b->locked += h->amount;
    struct engine_right *incoming = right_of_receiver(e, h);
    if (incoming != NULL) {
        incoming->incoming += h->amount;
    }
    tell_money(e, ENGINE_EVENT_HELD, m);
    return ENGINE_OK;
}

static enum engine_reason finish_hold(struct engine *e, const struct engine_cancel_in *in,
                                      bool post)
{
    const uint32_t at = engine_find_hold(e, in->id);
    struct engine_hold *h = &e->holds[at];
    if (at == 0) {
        return engine_refuse(e, in->id, ENGINE_UNKNOWN);
    }
    if (post && h->to != ENGINE_NOBODY) {
        enum engine_reason reason = check_party(e, h->account, h->asset, 0);
        reason = reason == ENGINE_OK ? check_party(e, h->to, h->asset, 0) : reason;
        if (reason != ENGINE_OK) {
            return engine_refuse(e, in->id, reason);
        }
    }
    struct engine_right *incoming = right_of_receiver(e, h);
    if (incoming != NULL) {
        incoming->incoming -= h->amount;
    }
    debit(e, engine_find_balance(e, h->account, h->asset), h->amount, post ? h->amount : 0);
    if (post && h->to == ENGINE_NOBODY) {
        e->assets[h->asset].supply -= h->amount;
    } else if (post) {
        credit(e, engine_find_balance(e, h->to, h->asset), h->amount);
    }
    const struct engine_money_in told = {
        .id = h->id, .amount = h->amount, .account = h->account, .asset = h->asset, .to = h->to};
    tell_money(e, post ? ENGINE_EVENT_POSTED : ENGINE_EVENT_VOIDED, &told);
    id_map_remove(&e->hold_ids, h->id, at);
    h->id = 0;
    h->next = e->hold_free;
    e->hold_free = at;
    return ENGINE_OK;
}

enum engine_reason money_command(struct engine *e, const struct engine_command *c)
{
    switch (c->op) {
    case ENGINE_OP_DEPOSIT:
        return deposit(e, &c->money);
    case ENGINE_OP_TRANSFER:
        return transfer(e, &c->money);
    case ENGINE_OP_HOLD:
        return hold(e, &c->money);
    case ENGINE_OP_POST:
        return finish_hold(e, &c->cancel, true);
    default: /* not an enum */
        return finish_hold(e, &c->cancel, false);
    }
}
