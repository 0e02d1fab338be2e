/*
 * leasing_chain_sales.c: events of the marketplace about sales of asset tokens, with their ledger
 * transfers.
 *
 * A sale escrows no tokens; acceptance pulls them from the seller, and the token's own Transfer
 * moves the holders' rows. What is escrowed here is the funds of bids. A refund that the stablecoin
 * refused is told by RefundCredited before the event of its bid: leasing_chain_market.c.
 */
#include "domain/leasing/leasing_chain_sales_sql.h"
#include "domain/leasing/leasing_internal.h"
#include "gen/abi_marketplace.h"

static void bind_sale(struct store_query *q, const struct chain_event *ev, struct u256 sale_id)
{
    store_bind_i64(q, "chain_id", (int64_t)ev->chain_id);
    store_bind_bytes(q, "marketplace", address_slice(&ev->log->address));
    store_bind_u256(q, "sale_id", sale_id);
}

static void bind_place(struct store_query *q, const struct chain_event *ev)
{
    store_bind_i64(q, "block_number", (int64_t)ev->log->block_number);
    store_bind_bytes(q, "transaction_hash", hash_slice(&ev->log->tx_hash));
}

static struct slice escrow_account(struct arena *arena, struct u256 sale_id, struct u256 bid_index)
{
    char sale[U256_TEXT_MAX];
    char bid[U256_TEXT_MAX];
    (void)u256_format(sale_id, sale);
    (void)u256_format(bid_index, bid);
    return slice_format(arena, "leasing/sale/%s/bid/%s", sale, bid);
}

/* ---- sales ---- */

struct sale {
    struct address seller;
    struct u256 remaining;
};

static enum err get_sale(struct store_tx *tx, const struct chain_event *ev, struct u256 sale_id,
                         struct sale *out, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sales_sql_get);
    bind_sale(&q, ev, sale_id);
    if (store_step(&q)) {
        store_get_fixed(&q, "seller", out->seller.bytes, ADDRESS_BYTES);
        out->remaining = store_get_u256(&q, "remaining");
    }
    return store_finish_one(&q, "open sale", why);
}

static enum err update_sale(struct store_tx *tx, const struct chain_event *ev, struct u256 sale_id,
                            struct u256 remaining, const char *status, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sales_sql_update);
    bind_sale(&q, ev, sale_id);
    store_bind_u256(&q, "remaining", remaining);
    store_bind_text(&q, "status", slice_text(status));
    return store_finish(&q, NULL, why);
}

enum err leasing_on_sale_posted(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    struct marketplace_sale_posted s;
    enum err e = marketplace_sale_posted_decode(ev->scratch, ev->log, &s, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sales_sql_put);
    bind_sale(&q, ev, s.sale_id);
    store_bind_bytes(&q, "seller", address_slice(&s.seller));
    store_bind_bytes(&q, "token", address_slice(&s.asset_token));
    store_bind_u256(&q, "amount", s.amount);
    store_bind_u256(&q, "ask_price", s.ask_price_per_unit);
    bind_place(&q, ev);
    return store_finish(&q, NULL, why);
}

enum err leasing_on_sale_cancelled(struct store_tx *tx, const struct chain_event *ev,
                                   struct why *why)
{
    struct marketplace_sale_cancelled c;
    struct sale sale = {0};
    enum err e = marketplace_sale_cancelled_decode(ev->scratch, ev->log, &c, why);
    if (e == OK) {
        e = get_sale(tx, ev, c.sale_id, &sale, why);
    }
    return e == OK ? update_sale(tx, ev, c.sale_id, sale.remaining, "cancelled", why) : e;
}

/* ---- bids ---- */

enum err leasing_on_sale_bid_placed(struct store_tx *tx, const struct chain_event *ev,
                                    struct why *why)
{
    struct marketplace_sale_bid_placed b;
    enum err e = marketplace_sale_bid_placed_decode(ev->scratch, ev->log, &b, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sales_sql_bid_put);
    bind_sale(&q, ev, b.sale_id);
    store_bind_u256(&q, "bid_index", b.bid_index);
    store_bind_bytes(&q, "bidder", address_slice(&b.bidder));
    store_bind_u256(&q, "amount", b.amount);
    store_bind_u256(&q, "price", b.price_per_unit);
    store_bind_u256(&q, "funds", b.funds);
    bind_place(&q, ev);
    e = store_finish(&q, NULL, why);
    const struct leasing_movement m = {
        .suffix = "escrow",
        .kind = "leasing.sale_bid_escrowed",
        .from = leasing_account_of(ev->scratch, "external/", &b.bidder),
        .from_external = true,
        .to = escrow_account(ev->scratch, b.sale_id, b.bid_index),
        .amount = b.funds,
    };
    return e == OK ? leasing_move(tx, ev, &m, why) : e;
}

struct sale_bid {
    struct u256 sale_id;
    struct u256 index;
    struct address bidder;
    struct u256 amount;
    struct u256 funds;
};

/* How a bid ends: in which state, and who gets its funds. */
struct ending {
    const char *status;
    const char *suffix;
    const char *kind;
    const struct address *to;
};

static enum err get_bid(struct store_tx *tx, const struct chain_event *ev, struct sale_bid *bid,
                        struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sales_sql_bid_get);
    bind_sale(&q, ev, bid->sale_id);
    store_bind_u256(&q, "bid_index", bid->index);
    if (store_step(&q)) {
        store_get_fixed(&q, "bidder", bid->bidder.bytes, ADDRESS_BYTES);
        bid->amount = store_get_u256(&q, "amount");
        bid->funds = store_get_u256(&q, "funds");
    }
    return store_finish_one(&q, "active bid on a sale", why);
}

static enum err end_bid(struct store_tx *tx, const struct chain_event *ev,
                        const struct sale_bid *bid, const struct ending *ending, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sales_sql_bid_end);
    bind_sale(&q, ev, bid->sale_id);
    store_bind_u256(&q, "bid_index", bid->index);
    store_bind_text(&q, "status", slice_text(ending->status));
    enum err e = store_finish(&q, NULL, why);
    const struct leasing_movement m = {
        .suffix = ending->suffix,
        .kind = ending->kind,
        .from = escrow_account(ev->scratch, bid->sale_id, bid->index),
        .to = leasing_account_of(ev->scratch, "external/", ending->to),
        .to_external = true,
        .amount = bid->funds,
    };
    return e == OK ? leasing_move(tx, ev, &m, why) : e;
}

enum err leasing_on_sale_bid_accepted(struct store_tx *tx, const struct chain_event *ev,
                                      struct why *why)
{
    struct marketplace_sale_bid_accepted a;
    struct sale sale = {0};
    enum err e = marketplace_sale_bid_accepted_decode(ev->scratch, ev->log, &a, why);
    if (e != OK) {
        return e;
    }
    struct sale_bid bid = {.sale_id = a.sale_id, .index = a.bid_index};
    e = get_sale(tx, ev, bid.sale_id, &sale, why);
    if (e == OK) {
        e = get_bid(tx, ev, &bid, why);
    }
    if (e == OK && u256_sub(sale.remaining, bid.amount, &sale.remaining) != OK) {
        e = why_set(why, ERR_CORRUPT, NULL, "more tokens were sold than were for sale");
    }
    if (e == OK) {
        e = update_sale(tx, ev, bid.sale_id, sale.remaining,
                        u256_is_zero(sale.remaining) ? "sold" : "active", why);
    }
    const struct ending ending = {"accepted", "paid", "leasing.sale_paid", &sale.seller};
    return e == OK ? end_bid(tx, ev, &bid, &ending, why) : e;
}

/* The funds that the event names are those of the bid, or our rows are not the contract's. */
static enum err pay_back(struct store_tx *tx, const struct chain_event *ev, struct sale_bid bid,
                         struct u256 funds, const char *status, struct why *why)
{
    enum err e = get_bid(tx, ev, &bid, why);
    if (e == OK && !u256_equal(bid.funds, funds)) {
        e = why_set(why, ERR_CORRUPT, NULL,
                    "the contract paid another amount back than this bid had in escrow");
    }
    const struct ending ending = {status, "refund", "leasing.sale_bid_refunded", &bid.bidder};
    return e == OK ? end_bid(tx, ev, &bid, &ending, why) : e;
}

enum err leasing_on_sale_bid_refunded(struct store_tx *tx, const struct chain_event *ev,
                                      struct why *why)
{
    struct marketplace_sale_bid_refunded r;
    enum err e = marketplace_sale_bid_refunded_decode(ev->scratch, ev->log, &r, why);
    if (e != OK) {
        return e;
    }
    const struct sale_bid bid = {.sale_id = r.sale_id, .index = r.bid_index};
    return pay_back(tx, ev, bid, r.amount, "refunded", why);
}

enum err leasing_on_sale_bid_withdrawn(struct store_tx *tx, const struct chain_event *ev,
                                       struct why *why)
{
    struct marketplace_sale_bid_withdrawn w;
    enum err e = marketplace_sale_bid_withdrawn_decode(ev->scratch, ev->log, &w, why);
    if (e != OK) {
        return e;
    }
    const struct sale_bid bid = {.sale_id = w.sale_id, .index = w.bid_index};
    return pay_back(tx, ev, bid, w.funds, "withdrawn", why);
}
