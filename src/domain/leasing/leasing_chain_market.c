/*
 * leasing_chain_market.c: events of the marketplace, with their ledger transfers.
 *
 * Each transfer's id is the event's id and a suffix, so that applying an event again is refused as
 * a repetition and a fresh index writes the same rows.
 */
#include "domain/leasing/leasing_chain_sql.h"
#include "domain/leasing/leasing_internal.h"
#include "gen/abi_marketplace.h"
#include "kernel/base/check.h"

static void bind_chain(struct store_query *q, const struct chain_event *ev)
{
    store_bind_i64(q, "chain_id", (int64_t)ev->chain_id);
}

static void bind_market(struct store_query *q, const struct chain_event *ev)
{
    bind_chain(q, ev);
    store_bind_bytes(q, "marketplace", address_slice(&ev->log->address));
}

static void bind_place(struct store_query *q, const struct chain_event *ev)
{
    store_bind_i64(q, "block_number", (int64_t)ev->log->block_number);
    store_bind_bytes(q, "transaction_hash", hash_slice(&ev->log->tx_hash));
}

/* ---- accounts ---- */

struct slice leasing_account_of(struct arena *arena, const char *prefix, const struct address *who)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(who, text);
    return slice_format(arena, "%s%s", prefix, text);
}

static struct slice escrow_account(struct arena *arena, struct u256 offer_id, struct u256 bid_index)
{
    char offer[U256_TEXT_MAX];
    char bid[U256_TEXT_MAX];
    (void)u256_format(offer_id, offer);
    (void)u256_format(bid_index, bid);
    return slice_format(arena, "leasing/offer/%s/bid/%s", offer, bid);
}

static struct slice round_account(struct arena *arena, uint64_t round_id)
{
    return slice_format(arena, "leasing/round/%llu", (unsigned long long)round_id);
}

enum err leasing_move(struct store_tx *tx, const struct chain_event *ev,
                      const struct leasing_movement *m, struct why *why)
{
    const struct leasing *leasing = ev->ctx;
    if (u256_is_zero(m->amount)) {
        return OK;
    }
    const struct ledger_transfer transfer = {
        .id = slice_format(ev->scratch, "%.*s/%s", SLICE_ARG(ev->id), m->suffix),
        .book = slice_text(leasing->book),
        .debit = m->from,
        .debit_flags = m->from_external ? 0 : LEDGER_NO_OVERDRAFT,
        .credit = m->to,
        .credit_flags = m->to_external ? 0 : LEDGER_NO_OVERDRAFT,
        .amount = m->amount,
        .kind = slice_text(m->kind),
        .cause = ev->id,
        .when_usec = ev->block_time_usec,
    };
    return ledger_post(tx, &transfer, 1, why);
}

/* ---- offers ---- */

/* Asks a job whether an offer from a wallet that is not ours belongs to an agreement of ours. */
static enum err want_link(struct store_tx *tx, const struct chain_event *ev, struct u256 offer_id,
                          struct why *why)
{
    char offer[U256_TEXT_MAX];
    (void)u256_format(offer_id, offer);
    const struct job_new job = {
        .kind = "leasing.link_offer",
        .key = slice_format(ev->scratch, "offer/%llu/%s", (unsigned long long)ev->chain_id, offer),
        .payload = slice_format(ev->scratch, "{\"offerId\":\"%s\"}", offer),
    };
    return jobs_enqueue(tx, &job, NULL, why);
}

enum err leasing_on_offer_posted(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    struct marketplace_lease_offer_posted o;
    enum err e = marketplace_lease_offer_posted_decode(ev->scratch, ev->log, &o, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_offer_put);
    bind_market(&q, ev);
    store_bind_u256(&q, "offer_id", o.offer_id);
    store_bind_bytes(&q, "lessor", address_slice(&o.lessor));
    store_bind_u256(&q, "onchain_asset_id", o.asset_id);
    bind_place(&q, ev);
    e = store_finish(&q, NULL, why);
    struct relay_row ours = {0};
    bool known = false;
    if (e == OK) {
        e = relay_get_by_hash(tx, ev->scratch, &ev->log->tx_hash, &ours, &known, why);
    }
    if (e != OK || !known) {
        return e == OK ? want_link(tx, ev, o.offer_id, why) : e;
    }
    store_begin(&q, tx, &leasing_chain_sql_lease_offered);
    store_bind_text(&q, "intent_id", ours.id);
    store_bind_u256(&q, "offer_id", o.offer_id);
    store_bind_time(&q, "now", ev->block_time_usec);
    return store_finish(&q, NULL, why);
}

static enum err end_offer(struct store_tx *tx, const struct chain_event *ev, struct u256 offer_id,
                          const char *status, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_offer_end);
    bind_market(&q, ev);
    store_bind_u256(&q, "offer_id", offer_id);
    store_bind_text(&q, "status", slice_text(status));
    return store_finish(&q, NULL, why);
}

enum err leasing_on_offer_cancelled(struct store_tx *tx, const struct chain_event *ev,
                                    struct why *why)
{
    struct marketplace_lease_offer_cancelled c;
    enum err e = marketplace_lease_offer_cancelled_decode(ev->scratch, ev->log, &c, why);
    return e == OK ? end_offer(tx, ev, c.offer_id, "cancelled", why) : e;
}

/* ---- bids ---- */

static enum err want_check(struct store_tx *tx, const struct chain_event *ev, struct u256 offer_id,
                           struct u256 bid_index, struct why *why)
{
    char offer[U256_TEXT_MAX];
    char bid[U256_TEXT_MAX];
    (void)u256_format(offer_id, offer);
    (void)u256_format(bid_index, bid);
    const struct job_new job = {
        .kind = "leasing.check_bid",
        .key = slice_format(ev->scratch, "bid/%llu/%s/%s", (unsigned long long)ev->chain_id, offer,
                            bid),
        .payload =
            slice_format(ev->scratch, "{\"offerId\":\"%s\",\"bidIndex\":\"%s\"}", offer, bid),
    };
    return jobs_enqueue(tx, &job, NULL, why);
}

enum err leasing_on_bid_placed(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    struct marketplace_lease_bid_placed b;
    enum err e = marketplace_lease_bid_placed_decode(ev->scratch, ev->log, &b, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_bid_put);
    bind_market(&q, ev);
    store_bind_u256(&q, "offer_id", b.offer_id);
    store_bind_u256(&q, "bid_index", b.bid_index);
    store_bind_bytes(&q, "bidder", address_slice(&b.bidder));
    store_bind_u256(&q, "funds", b.funds);
    bind_place(&q, ev);
    e = store_finish(&q, NULL, why);
    const struct leasing_movement m = {
        .suffix = "escrow",
        .kind = "leasing.bid_escrowed",
        .from = leasing_account_of(ev->scratch, "external/", &b.bidder),
        .from_external = true,
        .to = escrow_account(ev->scratch, b.offer_id, b.bid_index),
        .amount = b.funds,
    };
    if (e == OK) {
        e = leasing_move(tx, ev, &m, why);
    }
    return e == OK ? want_check(tx, ev, b.offer_id, b.bid_index, why) : e;
}

static enum err end_bid(struct store_tx *tx, const struct chain_event *ev, struct u256 offer_id,
                        struct u256 bid_index, const char *status, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_bid_end);
    bind_market(&q, ev);
    store_bind_u256(&q, "offer_id", offer_id);
    store_bind_u256(&q, "bid_index", bid_index);
    store_bind_text(&q, "status", slice_text(status));
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && changed != 1) {
        e = why_set(why, ERR_CORRUPT, NULL, "a bid ends that is not known to be active");
    }
    return e;
}

static enum err pay_back(struct store_tx *tx, const struct chain_event *ev, struct u256 offer_id,
                         struct u256 bid_index, const struct address *bidder, struct u256 funds,
                         const char *status, struct why *why)
{
    char index[U256_TEXT_MAX];
    (void)u256_format(bid_index, index);
    enum err e = end_bid(tx, ev, offer_id, bid_index, status, why);
    const struct leasing_movement m = {
        .suffix = slice_cstr(ev->scratch, slice_format(ev->scratch, "refund/%s", index)),
        .kind = "leasing.bid_refunded",
        .from = escrow_account(ev->scratch, offer_id, bid_index),
        .to = leasing_account_of(ev->scratch, "external/", bidder),
        .to_external = true,
        .amount = funds,
    };
    return e == OK ? leasing_move(tx, ev, &m, why) : e;
}

enum err leasing_on_bid_refunded(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    struct marketplace_lease_bid_refunded r;
    enum err e = marketplace_lease_bid_refunded_decode(ev->scratch, ev->log, &r, why);
    return e == OK ? pay_back(tx, ev, r.offer_id, r.bid_index, &r.bidder, r.funds, "refunded", why)
                   : e;
}

enum err leasing_on_bid_withdrawn(struct store_tx *tx, const struct chain_event *ev,
                                  struct why *why)
{
    struct marketplace_lease_bid_withdrawn w;
    enum err e = marketplace_lease_bid_withdrawn_decode(ev->scratch, ev->log, &w, why);
    return e == OK ? pay_back(tx, ev, w.offer_id, w.bid_index, &w.bidder, w.funds, "withdrawn", why)
                   : e;
}

struct bid {
    struct u256 index;
    struct address bidder;
    struct u256 funds;
};

/* Every bid that is still active, for marketplaces that refund without saying so. */
static enum err refund_others(struct store_tx *tx, const struct chain_event *ev,
                              struct u256 offer_id, struct why *why)
{
    size_t cap = 16;
    size_t count = 0;
    struct bid *bids = arena_alloc_array(ev->scratch, cap, sizeof *bids);
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_bids_active);
    bind_market(&q, ev);
    store_bind_u256(&q, "offer_id", offer_id);
    while (store_step(&q)) {
        if (count == cap) {
            struct bid *grown = arena_alloc_array(ev->scratch, cap * 2, sizeof *grown);
            memcpy(grown, bids, cap * sizeof *grown);
            bids = grown;
            cap *= 2;
        }
        bids[count].index = store_get_u256(&q, "bid_index");
        store_get_fixed(&q, "bidder", bids[count].bidder.bytes, ADDRESS_BYTES);
        bids[count++].funds = store_get_u256(&q, "funds");
    }
    enum err e = store_finish(&q, NULL, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        e = pay_back(tx, ev, offer_id, bids[i].index, &bids[i].bidder, bids[i].funds, "refunded",
                     why);
    }
    return e;
}

/* ---- acceptance: the lease is active, a revenue round opens ---- */

struct acceptance {
    struct marketplace_lease_accepted event;
    struct u256 funds;
    struct u256 asset_id;
    struct address token;
    uint64_t round_id;
};

static enum err read_acceptance(struct store_tx *tx, const struct chain_event *ev,
                                struct acceptance *a, struct why *why)
{
    const struct leasing *leasing = ev->ctx;
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_bid_get);
    bind_market(&q, ev);
    store_bind_u256(&q, "offer_id", a->event.offer_id);
    store_bind_u256(&q, "bid_index", a->event.bid_index);
    if (store_step(&q)) {
        struct address bidder;
        store_get_fixed(&q, "bidder", bidder.bytes, ADDRESS_BYTES);
        a->funds = store_get_u256(&q, "funds");
        (void)store_get_text(&q, "status", ev->scratch);
    }
    enum err e = store_finish_one(&q, "bid", why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_chain_sql_offer_get);
    bind_market(&q, ev);
    store_bind_u256(&q, "offer_id", a->event.offer_id);
    if (store_step(&q)) {
        a->asset_id = store_get_u256(&q, "onchain_asset_id");
        (void)store_get_text(&q, "status", ev->scratch);
    }
    e = store_finish_one(&q, "offer", why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_chain_sql_asset_token);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "contract_address", address_slice(&leasing->registry));
    store_bind_u256(&q, "onchain_id", a->asset_id);
    if (store_step(&q)) {
        store_get_fixed(&q, "token_address", a->token.bytes, ADDRESS_BYTES);
    }
    return store_finish_one(&q, "asset", why);
}

static enum err activate_lease(struct store_tx *tx, const struct chain_event *ev,
                               const struct acceptance *a, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_lease_accepted);
    bind_chain(&q, ev);
    store_bind_u256(&q, "offer_id", a->event.offer_id);
    store_bind_bytes(&q, "lessee", address_slice(&a->event.lessee));
    store_bind_u256(&q, "nft_token_id", a->event.lease_token_id);
    bind_place(&q, ev);
    store_bind_time(&q, "now", ev->block_time_usec);
    return store_finish(&q, NULL, why);
}

static enum err put_round(struct store_tx *tx, const struct chain_event *ev,
                          const struct acceptance *a, struct u256 supply, struct u256 remainder,
                          const char *status, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_round_put);
    bind_chain(&q, ev);
    store_bind_i64(&q, "round_id", (int64_t)a->round_id);
    store_bind_bytes(&q, "token", address_slice(&a->token));
    store_bind_u256(&q, "onchain_asset_id", a->asset_id);
    store_bind_u256(&q, "lease_token_id", a->event.lease_token_id);
    store_bind_u256(&q, "total_amount", a->funds);
    store_bind_u256(&q, "supply", supply);
    store_bind_i64(&q, "snapshot_block", (int64_t)ev->log->block_number);
    store_bind_i64(&q, "snapshot_log_index", ev->log->log_index);
    store_bind_u256(&q, "remainder", remainder);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&ev->log->tx_hash));
    store_bind_text(&q, "status", slice_text(status));
    store_bind_time(&q, "now", ev->block_time_usec);
    return store_finish(&q, NULL, why);
}

static enum err credit(struct store_tx *tx, const struct chain_event *ev, uint64_t round_id,
                       const struct address *holder, struct u256 balance, struct u256 amount,
                       struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_claim_put);
    bind_chain(&q, ev);
    store_bind_i64(&q, "round_id", (int64_t)round_id);
    store_bind_bytes(&q, "holder", address_slice(holder));
    store_bind_u256(&q, "token_balance", balance);
    store_bind_u256(&q, "claim_amount", amount);
    enum err e = store_finish(&q, NULL, why);
    char text[ADDRESS_TEXT_MAX];
    address_format(holder, text);
    const struct leasing_movement m = {
        .suffix = slice_cstr(ev->scratch, slice_format(ev->scratch, "credit/%s", text)),
        .kind = "leasing.revenue_credited",
        .from = round_account(ev->scratch, round_id),
        .to = leasing_account_of(ev->scratch, "leasing/claimable/", holder),
        .amount = amount,
    };
    return e == OK ? leasing_move(tx, ev, &m, why) : e;
}

static enum err load_holders(struct store_tx *tx, const struct chain_event *ev,
                             const struct address *token, struct leasing_holder **out,
                             size_t *out_count, struct token_amount *out_supply, struct why *why)
{
    size_t cap = 64;
    size_t count = 0;
    struct leasing_holder *holders = arena_alloc_array(ev->scratch, cap, sizeof *holders);
    struct token_amount supply = token_of(U256_ZERO);
    enum err e = OK;
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_holders_list);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "token", address_slice(token));
    while (e == OK && store_step(&q)) {
        if (count == cap) {
            struct leasing_holder *grown = arena_alloc_array(ev->scratch, cap * 2, sizeof *grown);
            memcpy(grown, holders, cap * sizeof *grown);
            holders = grown;
            cap *= 2;
        }
        struct leasing_holder *h = &holders[count++];
        store_get_fixed(&q, "holder", h->address.bytes, ADDRESS_BYTES);
        h->balance = token_of(store_get_u256(&q, "balance"));
        e = token_add(supply, h->balance, &supply);
    }
    enum err finished = store_finish(&q, NULL, why);
    e = e != OK ? e : finished;
    if (e == OK) {
        *out = holders;
        *out_count = count;
        *out_supply = supply;
    }
    return e;
}

/* The deployed generation shares silently: the same arithmetic over our own balances. */
static enum err share_here(struct store_tx *tx, const struct chain_event *ev,
                           const struct acceptance *a, struct why *why)
{
    struct leasing_holder *holders = NULL;
    size_t count = 0;
    struct token_amount supply;
    struct stable_amount remainder = stable_of(U256_ZERO);
    enum err e = load_holders(tx, ev, &a->token, &holders, &count, &supply, why);
    if (e == OK) {
        e = leasing_revenue_share(stable_of(a->funds), supply, holders, count, &remainder, why);
    }
    if (e == OK) {
        e = put_round(tx, ev, a, token_raw(supply), stable_raw(remainder), "open", why);
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        if (!stable_is_zero(holders[i].share)) {
            e = credit(tx, ev, a->round_id, &holders[i].address, token_raw(holders[i].balance),
                       stable_raw(holders[i].share), why);
        }
    }
    const struct leasing_movement dust = {
        .suffix = "dust",
        .kind = "leasing.revenue_remainder",
        .from = round_account(ev->scratch, a->round_id),
        .to = SLICE_LIT("leasing/marketplace/dust"),
        .amount = stable_raw(remainder),
    };
    if (e == OK) {
        e = leasing_move(tx, ev, &dust, why);
    }
    return e == OK ? refund_others(tx, ev, a->event.offer_id, why) : e;
}

enum err leasing_on_lease_accepted(struct store_tx *tx, const struct chain_event *ev,
                                   struct why *why)
{
    const struct leasing *leasing = ev->ctx;
    ASSERT(ev->log->log_index < LEASING_ROUND_FACTOR);
    struct acceptance a = {
        .round_id = ev->log->block_number * LEASING_ROUND_FACTOR + ev->log->log_index,
    };
    enum err e = marketplace_lease_accepted_decode(ev->scratch, ev->log, &a.event, why);
    if (e == OK) {
        e = read_acceptance(tx, ev, &a, why);
    }
    if (e == OK) {
        e = end_offer(tx, ev, a.event.offer_id, "accepted", why);
    }
    if (e == OK) {
        e = end_bid(tx, ev, a.event.offer_id, a.event.bid_index, "accepted", why);
    }
    if (e == OK) {
        e = activate_lease(tx, ev, &a, why);
    }
    const struct leasing_movement m = {
        .suffix = "revenue",
        .kind = "leasing.bid_accepted",
        .from = escrow_account(ev->scratch, a.event.offer_id, a.event.bid_index),
        .to = round_account(ev->scratch, a.round_id),
        .amount = a.funds,
    };
    if (e == OK) {
        e = leasing_move(tx, ev, &m, why);
    }
    if (e != OK) {
        return e;
    }
    return leasing->tells_shares ? put_round(tx, ev, &a, U256_ZERO, U256_ZERO, "calculating", why)
                                 : share_here(tx, ev, &a, why);
}

/* ---- shares as the contract tells them ---- */

static enum err find_round(struct store_tx *tx, const struct chain_event *ev,
                           struct u256 lease_token_id, uint64_t *out_round,
                           struct address *out_token, struct why *why)
{
    uint64_t round_id = 0;
    struct address token = {0};
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_round_find);
    bind_chain(&q, ev);
    store_bind_u256(&q, "lease_token_id", lease_token_id);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&ev->log->tx_hash));
    if (store_step(&q)) {
        round_id = (uint64_t)store_get_i64(&q, "round_id");
        store_get_fixed(&q, "token", token.bytes, ADDRESS_BYTES);
    }
    enum err e = store_finish_one(&q, "revenue round", why);
    if (e == OK) {
        *out_round = round_id;
        *out_token = token;
    }
    return e;
}

enum err leasing_on_revenue_shared(struct store_tx *tx, const struct chain_event *ev,
                                   struct why *why)
{
    struct marketplace_revenue_shared s;
    uint64_t round_id = 0;
    struct address token;
    enum err e = marketplace_revenue_shared_decode(ev->scratch, ev->log, &s, why);
    if (e == OK) {
        e = find_round(tx, ev, s.lease_token_id, &round_id, &token, why);
    }
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_round_open);
    bind_chain(&q, ev);
    store_bind_i64(&q, "round_id", (int64_t)round_id);
    store_bind_u256(&q, "supply", s.supply);
    store_bind_u256(&q, "remainder", s.remainder);
    store_bind_bytes(&q, "remainder_to", address_slice(&s.remainder_to));
    return store_finish(&q, NULL, why);
}

enum err leasing_on_revenue_credited(struct store_tx *tx, const struct chain_event *ev,
                                     struct why *why)
{
    struct marketplace_revenue_credited c;
    uint64_t round_id = 0;
    struct address token;
    struct u256 balance = U256_ZERO;
    enum err e = marketplace_revenue_credited_decode(ev->scratch, ev->log, &c, why);
    if (e == OK) {
        e = find_round(tx, ev, c.lease_token_id, &round_id, &token, why);
    }
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_holder_get);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "token", address_slice(&token));
    store_bind_bytes(&q, "holder", address_slice(&c.account));
    if (store_step(&q)) {
        balance = store_get_u256(&q, "balance");
    }
    e = store_finish(&q, NULL, why);
    return e == OK ? credit(tx, ev, round_id, &c.account, balance, c.amount, why) : e;
}

/* ---- claims ---- */

enum err leasing_on_revenue_claimed(struct store_tx *tx, const struct chain_event *ev,
                                    struct why *why)
{
    struct marketplace_revenue_claimed c;
    enum err e = marketplace_revenue_claimed_decode(ev->scratch, ev->log, &c, why);
    if (e != OK) {
        return e;
    }
    struct u256 owed = U256_ZERO;
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_claims_open);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "holder", address_slice(&c.account));
    while (e == OK && store_step(&q)) {
        (void)store_get_i64(&q, "round_id");
        e = u256_add(owed, store_get_u256(&q, "claim_amount"), &owed);
    }
    enum err finished = store_finish(&q, NULL, why);
    e = e != OK ? e : finished;
    if (e == OK && !u256_equal(owed, c.share)) {
        e = why_set(why, ERR_CORRUPT, NULL,
                    "the contract paid another amount than the open claims of this holder");
    }
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_chain_sql_claims_pay);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "holder", address_slice(&c.account));
    store_bind_bytes(&q, "transaction_hash", hash_slice(&ev->log->tx_hash));
    store_bind_time(&q, "claimed_at", ev->block_time_usec);
    e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_chain_sql_rounds_close);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "holder", address_slice(&c.account));
    e = store_finish(&q, NULL, why);
    const struct leasing_movement m = {
        .suffix = "claim",
        .kind = "leasing.revenue_claimed",
        .from = leasing_account_of(ev->scratch, "leasing/claimable/", &c.account),
        .to = leasing_account_of(ev->scratch, "external/", &c.account),
        .to_external = true,
        .amount = c.share,
    };
    return e == OK ? leasing_move(tx, ev, &m, why) : e;
}

/* ---- refunds that the stablecoin refused: they wait in the contract ---- */

enum err leasing_on_refund_credited(struct store_tx *tx, const struct chain_event *ev,
                                    struct why *why)
{
    struct marketplace_refund_credited r;
    enum err e = marketplace_refund_credited_decode(ev->scratch, ev->log, &r, why);
    if (e != OK) {
        return e;
    }
    /* The bid's own event moves its escrow out; this takes the same amount back in. */
    const struct leasing_movement m = {
        .suffix = "refund-credited",
        .kind = "leasing.refund_credited",
        .from = leasing_account_of(ev->scratch, "external/", &r.bidder),
        .from_external = true,
        .to = leasing_account_of(ev->scratch, "leasing/refund/", &r.bidder),
        .amount = r.amount,
    };
    return leasing_move(tx, ev, &m, why);
}

enum err leasing_on_refund_claimed(struct store_tx *tx, const struct chain_event *ev,
                                   struct why *why)
{
    struct marketplace_refund_claimed r;
    enum err e = marketplace_refund_claimed_decode(ev->scratch, ev->log, &r, why);
    if (e != OK) {
        return e;
    }
    const struct leasing_movement m = {
        .suffix = "refund-claimed",
        .kind = "leasing.refund_claimed",
        .from = leasing_account_of(ev->scratch, "leasing/refund/", &r.bidder),
        .to = leasing_account_of(ev->scratch, "external/", &r.bidder),
        .to_external = true,
        .amount = r.amount,
    };
    return leasing_move(tx, ev, &m, why);
}
