/*
 * leasing_sales.h: the routes of sales of asset tokens: what their files share. Private to this
 * folder.
 *
 * A sale on chain escrows nothing and has no name of its own before it is mined, so the caller
 * names what he asks for: by `requestId` in the body, by an Idempotency-Key, or, with neither, a
 * name is made. The same name again finds what the first request did; with other content it is
 * refused.
 *
 * Who moves what
 *   post     one transaction of the seller
 *   bid      two of the bidder: an allowance of exactly the bid's funds, then the bid. All bids of
 *            a wallet, on leases and on sales, follow each other: each sets the same allowance.
 *   accept   two of the seller: an allowance of exactly the bid's tokens, then the acceptance,
 *            which fills the sale in part or whole, pays the seller and refunds the other bids.
 *            Acceptances of a wallet follow each other for the same reason. The next one asked for
 *            while the first is under way fails with it, or because its bid was refunded.
 *   cancel   one of the seller;  withdraw  one of the bidder, at any time
 *
 * States are those of token_sales and sale_bids, which follow the chain's events alone. Requests
 * and actions are rows beside them: a request is pending until its transaction is in an event or
 * has failed. Of a wallet that is not ours nothing is written: who asks gets the transactions to
 * send himself, and the events make the same rows.
 *
 * Crash points: request or action, its intents and the audit row are one transaction. The relay
 * owns the rest.
 */
#ifndef DOMAIN_LEASING_LEASING_SALES_H
#define DOMAIN_LEASING_LEASING_SALES_H

#include "domain/leasing/leasing_api.h"

/* A sale as the chain has it. */
struct leasing_sale {
    struct u256 id;
    struct address seller;
    struct address token;
    struct token_amount amount;
    struct token_amount remaining;
    struct stable_amount price;
    struct slice status;
    uint64_t block_number;
    struct hash transaction;
    struct slice asset_id; /* "" when the token is of no asset that is known */
    int64_t bid_count;
    struct token_amount held; /* by the seller, now */
};

struct leasing_sale_bid {
    struct u256 index;
    struct address bidder;
    struct token_amount amount;
    struct stable_amount price;
    struct stable_amount funds;
    struct slice status;
    uint64_t block_number;
    struct hash transaction;
};

/* leasing_sale_read reads the current row of a statement of sales. Owns: the arena. */
void leasing_sale_read(struct store_query *q, struct arena *arena, struct leasing_sale *out);
/* leasing_sale_get reads the sale that the path names. Errors: ERR_NOT_FOUND, ERR_INVALID_FIELD. */
enum err leasing_sale_get(struct store_tx *tx, const struct http_call *call,
                          struct leasing_sale *out, struct why *why) ERR_CHECKED;
/* leasing_sale_must_be_open says that it may be bid for, filled and cancelled. Errors:
 * ERR_CONFLICT. */
enum err leasing_sale_must_be_open(const struct leasing_sale *sale, struct why *why) ERR_CHECKED;
/* leasing_sale_json writes the members of a sale into an open object. */
void leasing_sale_json(struct json_out *j, const struct leasing_sale *sale);

/* leasing_sale_bid_read reads the current row of a statement of bids. Owns: the arena. */
void leasing_sale_bid_read(struct store_query *q, struct arena *arena,
                           struct leasing_sale_bid *out);
/* leasing_sale_bid_json writes the members of a bid that is on chain into an open object. */
void leasing_sale_bid_json(struct json_out *j, const struct leasing_sale_bid *bid);

/*
 * leasing_request_name reads what the caller calls his request; see above. Owns: the arena.
 * Errors: ERR_INVALID_TYPE, ERR_INVALID_FIELD.
 */
enum err leasing_request_name(const struct http_call *call, const char *kind, struct slice *out,
                              struct why *why) ERR_CHECKED;

/* leasing_sale_bind binds chain_id, marketplace and sale_id. */
void leasing_sale_bind(struct store_query *q, const struct leasing *l, struct u256 sale_id);

/* leasing_market_routes are the rows behind leasing_market_http_table. */
extern const struct http_route leasing_market_routes[];
extern const size_t leasing_market_route_count;

/* leasing_sales.c */
enum err leasing_api_sale_create(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_sale_requests_list(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_sale_reads.c */
enum err leasing_api_sale_get(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_sales_list(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_sale_bids_list(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_sale_bids.c */
enum err leasing_api_sale_bid_create(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_sale_actions.c */
enum err leasing_api_sale_cancel(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_sale_bid_accept(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_sale_bid_withdraw(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_portfolio.c */
enum err leasing_api_portfolio_get(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_market_schema.c */
extern const char leasing_schema_sale_body[];
extern const char leasing_schema_sale_request[];
extern const char leasing_schema_sale_request_list[];
extern const char leasing_schema_sale[];
extern const char leasing_schema_sale_list[];
extern const char leasing_schema_sale_bid_body[];
extern const char leasing_schema_sale_bid[];
extern const char leasing_schema_sale_bid_list[];
extern const char leasing_schema_sale_action[];
extern const char leasing_schema_sale_bid_action[];
extern const char leasing_schema_schedule[];
extern const char leasing_schema_due_list[];
extern const char leasing_schema_portfolio[];
extern const char leasing_schema_signed_claim_body[];
extern const char leasing_schema_signed_claim[];
extern const char leasing_schema_daily[];

#endif
