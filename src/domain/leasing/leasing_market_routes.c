/*
 * leasing_market_routes.c: the routes of sales, due dates, portfolios, signed claims and daily
 * revenue.
 */
#include "domain/leasing/leasing_claims_signed.h"
#include "domain/leasing/leasing_daily.h"
#include "domain/leasing/leasing_dues.h"
#include "domain/leasing/leasing_sales.h"

/* Where a route is: below /api/v1, and as the seeds write it at the root and below /api. */
#define AT(path_)                                                                                  \
    .path = "/api/v1" path_, .aliases = (const char *const[])                                      \
    {                                                                                              \
        path_, "/api" path_, NULL                                                                  \
    }

static const char *const wait_keys[] = {"wait", NULL};
static const char *const sale_keys[] = {"status", "assetId", "seller", NULL};
static const char *const bid_keys[] = {"status", "bidder", NULL};
static const char *const due_keys[] = {"status", "assetId", "lessor", "lessee", NULL};
static const char *const block_keys[] = {"block", NULL};
static const char *const daily_keys[] = {"from", "to", "leaseId", "assetId", NULL};
static const char *const seller_keys[] = {"seller", NULL};

static const enum err create_sale_errors[] = {ERR_INVALID_JSON,       ERR_MISSING_FIELD,
                                              ERR_INVALID_TYPE,       ERR_INVALID_FIELD,
                                              ERR_UNKNOWN_FIELD,      ERR_INVALID_AMOUNT,
                                              ERR_AMOUNT_OVERFLOW,    ERR_INVALID_ADDRESS,
                                              ERR_ADDRESS_CHECKSUM,   ERR_NOT_FOUND,
                                              ERR_CONFLICT,           ERR_ALREADY_EXISTS,
                                              ERR_INSUFFICIENT_FUNDS, OK};
static const enum err create_sale_bid_errors[] = {ERR_INVALID_JSON,
                                                  ERR_MISSING_FIELD,
                                                  ERR_INVALID_TYPE,
                                                  ERR_INVALID_FIELD,
                                                  ERR_UNKNOWN_FIELD,
                                                  ERR_INVALID_AMOUNT,
                                                  ERR_AMOUNT_OVERFLOW,
                                                  ERR_INVALID_ADDRESS,
                                                  ERR_ADDRESS_CHECKSUM,
                                                  ERR_NOT_FOUND,
                                                  ERR_CONFLICT,
                                                  ERR_ALREADY_EXISTS,
                                                  OK};
static const enum err sale_action_errors[] = {ERR_INVALID_FIELD, ERR_NOT_FOUND, ERR_CONFLICT,
                                              ERR_INSUFFICIENT_FUNDS, OK};
static const enum err sale_part_errors[] = {ERR_INVALID_FIELD, ERR_INVALID_ADDRESS,
                                            ERR_ADDRESS_CHECKSUM, ERR_NOT_FOUND, OK};
static const enum err schedule_errors[] = {ERR_INVALID_FIELD, ERR_AMOUNT_OVERFLOW, ERR_NOT_FOUND,
                                           OK};
static const enum err signed_claim_errors[] = {
    ERR_INVALID_JSON,       ERR_MISSING_FIELD,       ERR_INVALID_TYPE,
    ERR_INVALID_FIELD,      ERR_UNKNOWN_FIELD,       ERR_INVALID_ADDRESS,
    ERR_ADDRESS_CHECKSUM,   ERR_INVALID_HASH,        ERR_INVALID_HEX,
    ERR_INVALID_TIME,       ERR_SIGNATURE_MALFORMED, ERR_SIGNATURE_HIGH_S,
    ERR_SIGNATURE_V,        ERR_SIGNATURE_SIGNER,    ERR_SIGNATURE_CHAIN,
    ERR_SIGNATURE_CONTRACT, ERR_DEADLINE_EXPIRED,    ERR_CONFLICT,
    ERR_ALREADY_EXISTS,     ERR_UNKNOWN_WALLET,      OK};
static const enum err daily_errors[] = {ERR_INVALID_FIELD, ERR_INVALID_TIME, ERR_LIMIT, OK};
static const enum err sale_list_errors[] = {ERR_INVALID_FIELD, ERR_INVALID_ADDRESS,
                                            ERR_ADDRESS_CHECKSUM, OK};

const struct http_route leasing_market_routes[] = {
    {
        .method = HTTP_POST,
        AT("/sales"),
        .handler = leasing_api_sale_create,
        .flags = HTTP_JSON_BODY,
        .query_keys = wait_keys,
        .tag = "sales",
        .operation = "postSale",
        .summary = "Puts tokens of an asset up for sale; the tokens stay with the seller.",
        .body_schema = leasing_schema_sale_body,
        .reply_schema = leasing_schema_sale_request,
        .reply_status = 201,
        .reply_status_other = 200,
        .errors = create_sale_errors,
    },
    {
        .method = HTTP_GET,
        AT("/sales"),
        .handler = leasing_api_sales_list,
        .flags = HTTP_LIST,
        .query_keys = sale_keys,
        .tag = "sales",
        .operation = "listSales",
        .summary = "Sales of asset tokens on chain, newest first.",
        .reply_schema = leasing_schema_sale_list,
        .reply_status = 200,
        .errors = sale_list_errors,
    },
    {
        .method = HTTP_GET,
        AT("/sale-requests"),
        .handler = leasing_api_sale_requests_list,
        .flags = HTTP_LIST,
        .query_keys = seller_keys,
        .tag = "sales",
        .operation = "listSaleRequests",
        .summary = "Sales that were asked for, newest first, with what became of them.",
        .reply_schema = leasing_schema_sale_request_list,
        .reply_status = 200,
        .errors = sale_list_errors,
    },
    {
        .method = HTTP_GET,
        AT("/sales/{saleId}"),
        .handler = leasing_api_sale_get,
        .tag = "sales",
        .operation = "getSale",
        .summary = "One sale, and the newest transactions that were asked for about it.",
        .reply_schema = leasing_schema_sale,
        .reply_status = 200,
        .errors = sale_part_errors,
    },
    {
        .method = HTTP_POST,
        AT("/sales/{saleId}/cancel"),
        .handler = leasing_api_sale_cancel,
        .query_keys = wait_keys,
        .tag = "sales",
        .operation = "cancelSale",
        .summary = "Takes a sale back; its bids are refunded.",
        .reply_schema = leasing_schema_sale_action,
        .reply_status = 200,
        .errors = sale_action_errors,
    },
    {
        .method = HTTP_POST,
        AT("/sales/{saleId}/bids"),
        .handler = leasing_api_sale_bid_create,
        .flags = HTTP_JSON_BODY,
        .query_keys = wait_keys,
        .tag = "sales",
        .operation = "placeSaleBid",
        .summary = "Bids on tokens that are for sale: allowance, then escrow.",
        .body_schema = leasing_schema_sale_bid_body,
        .reply_schema = leasing_schema_sale_bid,
        .reply_status = 201,
        .reply_status_other = 200,
        .errors = create_sale_bid_errors,
    },
    {
        .method = HTTP_GET,
        AT("/sales/{saleId}/bids"),
        .handler = leasing_api_sale_bids_list,
        .flags = HTTP_LIST,
        .query_keys = bid_keys,
        .tag = "sales",
        .operation = "listSaleBids",
        .summary = "Bids on a sale by index; then those under way.",
        .reply_schema = leasing_schema_sale_bid_list,
        .reply_status = 200,
        .errors = sale_part_errors,
    },
    {
        .method = HTTP_POST,
        AT("/sales/{saleId}/bids/{bidIndex}/accept"),
        .handler = leasing_api_sale_bid_accept,
        .query_keys = wait_keys,
        .tag = "sales",
        .operation = "acceptSaleBid",
        .summary = "Sells to a bidder, in part or all; the other bids are refunded.",
        .reply_schema = leasing_schema_sale_bid_action,
        .reply_status = 200,
        .errors = sale_action_errors,
    },
    {
        .method = HTTP_POST,
        AT("/sales/{saleId}/bids/{bidIndex}/withdraw"),
        .handler = leasing_api_sale_bid_withdraw,
        .query_keys = wait_keys,
        .tag = "sales",
        .operation = "withdrawSaleBid",
        .summary = "Takes a bid on a sale back.",
        .reply_schema = leasing_schema_sale_bid_action,
        .reply_status = 200,
        .errors = sale_action_errors,
    },
    {
        .method = HTTP_GET,
        AT("/leases/{leaseId}/schedule"),
        .handler = leasing_api_schedule_get,
        .flags = HTTP_LIST,
        .tag = "leases",
        .operation = "getLeaseSchedule",
        .summary = "When the rent of a lease is due, and what of it is paid.",
        .reply_schema = leasing_schema_schedule,
        .reply_status = 200,
        .errors = schedule_errors,
    },
    {
        .method = HTTP_GET,
        AT("/dues"),
        .handler = leasing_api_dues_list,
        .flags = HTTP_LIST,
        .query_keys = due_keys,
        .tag = "leases",
        .operation = "listDues",
        .summary = "Instalments of rent of all leases on chain, by due date.",
        .reply_schema = leasing_schema_due_list,
        .reply_status = 200,
        .errors = sale_list_errors,
    },
    {
        .method = HTTP_GET,
        AT("/accounts/{address}/portfolio"),
        .handler = leasing_api_portfolio_get,
        .flags = HTTP_LIST,
        .query_keys = block_keys,
        .tag = "accounts",
        .operation = "getPortfolio",
        .summary = "Tokens, revenue, sales, bids and leases of an account; tokens and credited "
                   "revenue also after a past block.",
        .reply_schema = leasing_schema_portfolio,
        .reply_status = 200,
        .errors = sale_list_errors,
    },
    {
        .method = HTTP_POST,
        AT("/accounts/{address}/claims"),
        .handler = leasing_api_claims_signed,
        .flags = HTTP_JSON_BODY,
        .query_keys = wait_keys,
        .tag = "revenue",
        .operation = "claimOnBehalf",
        .summary = "Has a holder paid who signed for it (EIP-712); a nonce is good once.",
        .body_schema = leasing_schema_signed_claim_body,
        .reply_schema = leasing_schema_signed_claim,
        .reply_status = 201,
        .reply_status_other = 200,
        .errors = signed_claim_errors,
    },
    {
        .method = HTTP_GET,
        AT("/revenue/daily"),
        .handler = leasing_api_daily_list,
        .query_keys = daily_keys,
        .tag = "revenue",
        .operation = "listDailyRevenue",
        .summary = "Revenue by day (UTC) and lease, newest first; 30 days where none are named.",
        .reply_schema = leasing_schema_daily,
        .reply_status = 200,
        .errors = daily_errors,
    },
};
const size_t leasing_market_route_count =
    sizeof leasing_market_routes / sizeof leasing_market_routes[0];
