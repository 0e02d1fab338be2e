/*
 * leasing_sweep.c: leasing.sweep_bids takes bids back that cannot be accepted any more, for wallets
 * that are ours: their offer's deadline has passed, or offer or sale was closed and paid back only
 * the first bids (the contract looks at so many). It sends what POST .../withdraw would, under the
 * same key, so that whichever comes first is the only one; after a few failures it leaves the bid
 * to a human. Only where leasing.sweep_bids says so: the wallets pay for the gas.
 */
#include "domain/leasing/leasing_sweep.h"

#include "domain/leasing/leasing_sales.h"
#include "domain/leasing/leasing_sales_sql.h"
#include "domain/leasing/leasing_sweep_sql.h"
#include "gen/abi_marketplace.h"

#define PAGE 200
#define PAGES_MAX 25
#define TRIES_MAX 3

struct dead_bid {
    bool of_sale; /* else of an offer */
    struct u256 parent;
    struct u256 index;
    struct address bidder;
};

struct sweep {
    const struct job_call *call;
    const struct leasing *leasing;
    bool of_sales;
    size_t skip;
    size_t count;
    struct dead_bid bids[PAGE];
    const struct dead_bid *bid; /* that is being taken back */
};

/* ---- which ---- */

static enum err read_page(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sweep *s = ctx;
    const char *parent = s->of_sales ? "sale_id" : "offer_id";
    struct store_query q;
    s->count = 0;
    store_begin(&q, tx, s->of_sales ? &leasing_sweep_sql_sale_bids : &leasing_sweep_sql_lease_bids);
    store_bind_i64(&q, "chain_id", (int64_t)s->leasing->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&s->leasing->marketplace));
    if (!s->of_sales) {
        store_bind_time(&q, "now", clock_wall_usec());
    }
    store_bind_i64(&q, "max_rows", PAGE);
    store_bind_i64(&q, "skip_rows", (int64_t)s->skip);
    while (store_step(&q)) {
        struct dead_bid *b = &s->bids[s->count++];
        b->of_sale = s->of_sales;
        b->parent = store_get_u256(&q, parent);
        b->index = store_get_u256(&q, "bid_index");
        store_get_fixed(&q, "bidder", b->bidder.bytes, ADDRESS_BYTES);
    }
    return store_finish(&q, NULL, why);
}

/* ---- taking one back ---- */

static enum err make_effect(struct arena *arena, const struct leasing *l, const struct dead_bid *b,
                            struct leasing_effect *out, struct why *why)
{
    char parent[U256_TEXT_MAX];
    char index[U256_TEXT_MAX];
    char bidder[ADDRESS_TEXT_MAX];
    (void)u256_format(b->parent, parent);
    (void)u256_format(b->index, index);
    address_format(&b->bidder, bidder);
    *out = (struct leasing_effect){
        .role = LEASING_ROLE_BIDDER,
        .purpose = b->of_sale ? "leasing.withdraw_sale_bid" : "leasing.withdraw_bid",
        .key = b->of_sale ? slice_format(arena, "sale/%s/bid/%s/%s/withdraw", parent, index, bidder)
                          : slice_format(arena, "withdraw/%s/%s/%s", parent, index, bidder),
        .wallet = b->bidder,
        .to = l->marketplace,
    };
    return b->of_sale
               ? marketplace_withdraw_sale_bid_encode(arena, b->parent, b->index, &out->data, why)
               : marketplace_withdraw_lease_bid_encode(arena, b->parent, b->index, &out->data, why);
}

/* Where routes look for what was asked for about a sale. */
static enum err put_action(struct store_tx *tx, const struct sweep *s, struct slice intent_id,
                           struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_sales_sql_action_put);
    store_bind_text(&q, "intent_id", intent_id);
    leasing_sale_bind(&q, s->leasing, s->bid->parent);
    store_bind_u256(&q, "bid_index", s->bid->index);
    store_bind_text(&q, "action", SLICE_LIT("withdraw"));
    store_bind_bytes(&q, "wallet", address_slice(&s->bid->bidder));
    store_bind_null(&q, "approve_intent_id");
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err take_back(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sweep *s = ctx;
    struct arena *arena = s->call->job;
    struct leasing_effect effect;
    struct leasing_tries tries;
    struct slice intent_id = SLICE_EMPTY;
    enum err e = make_effect(arena, s->leasing, s->bid, &effect, why);
    if (e == OK) {
        e = leasing_effect_tries(tx, arena, effect.key, TRIES_MAX, &tries, why);
    }
    if (e != OK || tries.alive.len > 0 || tries.failed == TRIES_MAX) {
        return e;
    }
    e = leasing_effect_submit(tx, arena, s->leasing, &effect, tries.previous, &intent_id, why);
    return e == OK && s->bid->of_sale ? put_action(tx, s, intent_id, why) : e;
}

/* ---- the job ---- */

static enum err sweep_all(struct sweep *s, struct why *why)
{
    enum err e = OK;
    for (size_t pages = 0; e == OK && pages < PAGES_MAX; pages++) {
        e = store_read(s->call->store, read_page, s, why);
        for (size_t i = 0; e == OK && i < s->count; i++) {
            s->bid = &s->bids[i];
            if (relay_has_wallet(s->leasing->relay, &s->bid->bidder)) {
                e = store_write(s->call->store, take_back, s, why);
            }
        }
        s->skip += s->count;
        if (s->count < PAGE) {
            break;
        }
    }
    return e;
}

enum err leasing_sweep_job(struct job_call *call, struct why *why)
{
    const struct leasing *l = call->ctx;
    if (!l->config.sweep_bids || !l->tells_shares) {
        return OK;
    }
    struct sweep *s = arena_alloc(call->job, sizeof *s);
    *s = (struct sweep){.call = call, .leasing = l};
    enum err e = sweep_all(s, why);
    s->of_sales = true;
    s->skip = 0;
    return e == OK ? sweep_all(s, why) : e;
}
