#include "domain/leasing/leasing_sales.h"
#include "domain/leasing/leasing_schema_parts.h"

#define REQUEST_ID                                                                                 \
    "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_.-]{1,50}$\","                                 \
    "\"description\":\"The caller's name for the request\"}"
#define SALE_MEMBERS                                                                               \
    "\"saleId\":" AMOUNT ",\"assetId\":" TEXT_OR_NULL ",\"sellerAddress\":" ADDRESS                \
    ",\"tokenAddress\":" ADDRESS ",\"amount\":" AMOUNT ",\"remaining\":" AMOUNT                    \
    ",\"pricePerUnit\":" AMOUNT ",\"sellerBalance\":" AMOUNT                                       \
    ",\"status\":{\"enum\":[\"active\",\"sold\",\"cancelled\"]},\"bidCount\":" INTEGER             \
    ",\"blockNumber\":" INTEGER ",\"transactionHash\":" HASH
#define SALE_REQUIRED                                                                              \
    "\"saleId\",\"assetId\",\"sellerAddress\",\"tokenAddress\",\"amount\",\"remaining\","          \
    "\"pricePerUnit\",\"sellerBalance\",\"status\",\"bidCount\",\"blockNumber\","                  \
    "\"transactionHash\""
#define SALE                                                                                       \
    "{\"type\":\"object\",\"required\":[" SALE_REQUIRED "],\"properties\":{" SALE_MEMBERS "}}"
#define ASKED_MEMBERS                                                                              \
    "\"requestId\":" TEXT_OR_NULL ",\"assetId\":" TEXT ",\"sellerAddress\":" ADDRESS               \
    ",\"tokenAddress\":" ADDRESS ",\"amount\":" AMOUNT ",\"pricePerUnit\":" AMOUNT                 \
    ",\"status\":{\"enum\":[\"unsent\",\"pending\",\"failed\",\"posted\"]},"                       \
    "\"saleId\":" AMOUNT_OR_NULL ",\"createdAt\":" TIME_OR_NULL ",\"transaction\":" TRANSACTION
#define ASKED_REQUIRED                                                                             \
    "\"requestId\",\"assetId\",\"sellerAddress\",\"tokenAddress\",\"amount\",\"pricePerUnit\","    \
    "\"status\",\"saleId\",\"createdAt\",\"transaction\""
#define BID                                                                                        \
    "{\"type\":\"object\",\"required\":[\"bidIndex\",\"bidder\",\"amount\",\"pricePerUnit\","      \
    "\"funds\",\"status\"],\"properties\":{\"bidIndex\":" AMOUNT_OR_NULL ",\"requestId\":" TEXT    \
    ",\"bidder\":" ADDRESS ",\"amount\":" AMOUNT ",\"pricePerUnit\":" AMOUNT ",\"funds\":" AMOUNT  \
    ",\"status\":{\"enum\":[\"pending\",\"failed\",\"active\",\"accepted\",\"refunded\","          \
    "\"withdrawn\"]},\"blockNumber\":" INTEGER ",\"transactionHash\":" HASH ",\"createdAt\":" TIME \
    ",\"transaction\":" TRANSACTION "}}"
#define REQUESTS "{\"type\":\"array\",\"items\":" REQUEST "}"

const char leasing_schema_sale_body[] =
    "{\"type\":\"object\",\"required\":[\"assetId\",\"seller\",\"amount\",\"pricePerUnit\"],"
    "\"properties\":{\"assetId\":" TEXT ",\"seller\":" ADDRESS ",\"amount\":" AMOUNT
    ",\"pricePerUnit\":{\"type\":\"string\",\"pattern\":\"^[0-9]+$\",\"description\":"
    "\"Stablecoin units for a whole token of 10^18 units\"},\"requestId\":" REQUEST_ID
    "},\"additionalProperties\":false}";

const char leasing_schema_sale_request[] =
    "{\"type\":\"object\",\"required\":[" ASKED_REQUIRED ",\"transactionRequests\"],"
    "\"properties\":{" ASKED_MEMBERS ",\"transactionRequests\":" REQUESTS "}}";

const char leasing_schema_sale_request_list[] =
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[" ASKED_REQUIRED
    "],\"properties\":{" ASKED_MEMBERS "}}}";

const char leasing_schema_sale[] =
    "{\"type\":\"object\",\"required\":[" SALE_REQUIRED ",\"actions\"],"
    "\"properties\":{" SALE_MEMBERS
    ",\"actions\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"action\","
    "\"bidIndex\",\"createdAt\",\"transaction\"],\"properties\":{\"action\":{\"enum\":[\"accept\","
    "\"cancel\",\"withdraw\"]},\"bidIndex\":" AMOUNT_OR_NULL ",\"createdAt\":" TIME
    ",\"transaction\":" TRANSACTION "}}}}}";

const char leasing_schema_sale_list[] = "{\"type\":\"array\",\"items\":" SALE "}";

const char leasing_schema_sale_bid_body[] =
    "{\"type\":\"object\",\"required\":[\"bidder\",\"amount\",\"pricePerUnit\"],\"properties\":{"
    "\"bidder\":" ADDRESS ",\"amount\":" AMOUNT ",\"pricePerUnit\":" AMOUNT
    ",\"requestId\":" REQUEST_ID "},\"additionalProperties\":false}";

const char leasing_schema_sale_bid[] =
    "{\"type\":\"object\",\"required\":[\"requestId\",\"saleId\",\"bidder\",\"amount\","
    "\"pricePerUnit\",\"funds\",\"status\",\"bidIndex\",\"approveTransactionId\",\"transaction\","
    "\"transactionRequests\"],\"properties\":{\"requestId\":" TEXT_OR_NULL ",\"saleId\":" AMOUNT
    ",\"bidder\":" ADDRESS ",\"amount\":" AMOUNT ",\"pricePerUnit\":" AMOUNT ",\"funds\":" AMOUNT
    ",\"status\":{\"enum\":[\"unsent\",\"pending\",\"failed\",\"active\",\"accepted\","
    "\"refunded\",\"withdrawn\"]},\"bidIndex\":" AMOUNT_OR_NULL
    ",\"approveTransactionId\":" TEXT_OR_NULL ",\"transaction\":" TRANSACTION
    ",\"transactionRequests\":" REQUESTS "}}";

const char leasing_schema_sale_bid_list[] = "{\"type\":\"array\",\"items\":" BID "}";

const char leasing_schema_sale_action[] =
    "{\"type\":\"object\",\"required\":[\"sale\",\"transaction\",\"transactionRequests\"],"
    "\"properties\":{\"sale\":" SALE ",\"transaction\":" TRANSACTION
    ",\"transactionRequests\":" REQUESTS "}}";

const char leasing_schema_sale_bid_action[] =
    "{\"type\":\"object\",\"required\":[\"sale\",\"bid\",\"transaction\","
    "\"transactionRequests\"],\"properties\":{\"sale\":" SALE ",\"bid\":" BID
    ",\"transaction\":" TRANSACTION ",\"transactionRequests\":" REQUESTS "}}";

#define INSTALMENT_MEMBERS                                                                         \
    "\"number\":" INTEGER ",\"dueAt\":" TIME ",\"periodEnd\":" TIME ",\"amount\":" AMOUNT          \
    ",\"paid\":" AMOUNT                                                                            \
    ",\"status\":{\"enum\":[\"planned\",\"due\",\"overdue\",\"paid\",\"void\"]}"
#define INSTALMENT_REQUIRED "\"number\",\"dueAt\",\"periodEnd\",\"amount\",\"paid\",\"status\""

const char leasing_schema_schedule[] =
    "{\"type\":\"object\",\"required\":[\"leaseId\",\"paymentSchedule\",\"leaseStatus\","
    "\"instalments\",\"instalmentCount\",\"total\",\"paid\",\"updatedAt\"],\"properties\":{"
    "\"leaseId\":" TEXT ",\"paymentSchedule\":" TEXT ",\"leaseStatus\":" TEXT
    ",\"instalments\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":"
    "[" INSTALMENT_REQUIRED "],\"properties\":{" INSTALMENT_MEMBERS "}}},"
    "\"instalmentCount\":" INTEGER ",\"total\":" AMOUNT ",\"paid\":" AMOUNT
    ",\"updatedAt\":" TIME_OR_NULL "}}";

const char leasing_schema_due_list[] =
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"leaseId\",\"assetId\","
    "\"lessorAddress\",\"lesseeAddress\"," INSTALMENT_REQUIRED "],\"properties\":{"
    "\"leaseId\":" TEXT ",\"assetId\":" TEXT ",\"lessorAddress\":" ADDRESS
    ",\"lesseeAddress\":" ADDRESS_OR_NULL "," INSTALMENT_MEMBERS "}}}";

const char leasing_schema_portfolio[] =
    "{\"type\":\"object\",\"required\":[\"address\",\"blockNumber\",\"holdings\",\"revenue\","
    "\"sales\",\"saleBids\",\"leases\"],\"properties\":{\"address\":" ADDRESS
    ",\"blockNumber\":" INTEGER ",\"holdings\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
    "\"required\":[\"tokenAddress\",\"assetId\",\"name\",\"symbol\",\"balance\"],\"properties\":{"
    "\"tokenAddress\":" ADDRESS ",\"assetId\":" TEXT_OR_NULL ",\"name\":" TEXT_OR_NULL
    ",\"symbol\":" TEXT_OR_NULL ",\"balance\":" AMOUNT
    "}}},\"revenue\":{\"type\":\"object\",\"required\":[\"credited\"],\"properties\":{"
    "\"credited\":" AMOUNT ",\"claimed\":" AMOUNT ",\"claimable\":" AMOUNT
    "}},\"sales\":{\"type\":[\"array\",\"null\"],\"items\":" SALE
    "},\"saleBids\":{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"object\",\"required\":["
    "\"saleId\",\"bidIndex\",\"amount\",\"pricePerUnit\",\"funds\"],\"properties\":{"
    "\"saleId\":" AMOUNT ",\"bidIndex\":" AMOUNT ",\"amount\":" AMOUNT ",\"pricePerUnit\":" AMOUNT
    ",\"funds\":" AMOUNT "}}},\"leases\":{\"type\":[\"array\",\"null\"],\"items\":{"
    "\"type\":\"object\",\"required\":[\"leaseId\",\"assetId\",\"role\",\"lessorAddress\","
    "\"lesseeAddress\",\"status\",\"startDate\",\"endDate\",\"overdueCount\"],\"properties\":{"
    "\"leaseId\":" TEXT ",\"assetId\":" TEXT ",\"role\":{\"enum\":[\"lessor\",\"lessee\"]},"
    "\"lessorAddress\":" ADDRESS ",\"lesseeAddress\":" ADDRESS_OR_NULL ",\"status\":" TEXT
    ",\"startDate\":" TIME ",\"endDate\":" TIME ",\"overdueCount\":" INTEGER "}}}}}";

const char leasing_schema_signed_claim_body[] =
    "{\"type\":\"object\",\"required\":[\"nonce\",\"deadline\",\"signature\"],\"properties\":{"
    "\"nonce\":" HASH ",\"deadline\":{\"type\":[\"string\",\"integer\"],\"description\":"
    "\"A time, or Unix seconds as in what is signed\"},\"signature\":{\"type\":\"string\","
    "\"pattern\":\"^0x[0-9a-fA-F]{130}$\",\"description\":\"Of ClaimRevenue(address holder,bytes32 "
    "nonce,uint256 deadline), domain Freehold, version 1, of the marketplace\"}},"
    "\"additionalProperties\":false}";

const char leasing_schema_signed_claim[] =
    "{\"type\":\"object\",\"required\":[\"holderAddress\",\"nonce\",\"deadline\",\"createdAt\","
    "\"transaction\"],\"properties\":{\"holderAddress\":" ADDRESS ",\"nonce\":" HASH
    ",\"deadline\":" TIME ",\"createdAt\":" TIME ",\"transaction\":" TRANSACTION "}}";

const char leasing_schema_daily[] =
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"day\",\"leaseId\","
    "\"leaseTokenId\",\"assetId\",\"amount\",\"rounds\"],\"properties\":{\"day\":{\"type\":"
    "\"string\",\"pattern\":\"^[0-9]{4}-[0-9]{2}-[0-9]{2}$\"},\"leaseId\":" TEXT_OR_NULL
    ",\"leaseTokenId\":" AMOUNT ",\"assetId\":" TEXT_OR_NULL ",\"amount\":" AMOUNT
    ",\"rounds\":" INTEGER "}}}";
