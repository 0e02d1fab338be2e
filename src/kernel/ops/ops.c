#include "kernel/ops/ops.h"

#include "kernel/base/check.h"
#include "kernel/evm/address.h"
#include "kernel/ops/ops_internal.h"
#include "kernel/ops/ops_schema.h"
#include "kernel/ops/ops_sql.h"

/* ---- the chain ---- */

static enum err network_get(struct http_call *call, struct why *why)
{
    (void)why;
    struct ops *ops = call->ctx;
    struct chain_status s;
    chain_status_read(ops->chain, &s);
    struct json_out *j = call->out;
    json_begin_object(j);
    json_key(j, "chainId");
    json_u64(j, s.chain_id);
    json_key(j, "blockNumber");
    json_u64(j, s.cursor_block);
    json_key(j, "blockHash");
    json_hex(j, hash_slice(&s.cursor_hash));
    json_key(j, "head");
    json_u64(j, s.head_block);
    json_key(j, "halted");
    json_bool(j, s.halted);
    rpc_health(ops->rpc, j);
    json_end_object(j);
    return OK;
}

struct events {
    struct http_call *call;
    uint64_t chain_id;
    uint32_t limit;
    uint64_t below_block;
    uint64_t below_index;
    uint32_t count;
};

static void event_json(struct json_out *j, struct store_query *q, struct arena *req,
                       struct events *events)
{
    struct address contract;
    struct hash hash;
    events->below_block = (uint64_t)store_get_i64(q, "block_number");
    events->below_index = (uint64_t)store_get_i64(q, "log_index");
    json_begin_object(j);
    json_key(j, "blockNumber");
    json_u64(j, events->below_block);
    json_key(j, "logIndex");
    json_u64(j, events->below_index);
    json_key(j, "blockHash");
    store_get_fixed(q, "block_hash", hash.bytes, HASH_BYTES);
    json_hex(j, hash_slice(&hash));
    json_key(j, "transactionHash");
    store_get_fixed(q, "transaction_hash", hash.bytes, HASH_BYTES);
    json_hex(j, hash_slice(&hash));
    json_key(j, "contractAddress");
    store_get_fixed(q, "contract_address", contract.bytes, ADDRESS_BYTES);
    json_address(j, &contract);
    json_key(j, "eventType");
    json_string(j, store_get_text(q, "event_type", req));
    json_key(j, "eventData");
    json_raw(j, store_get_text(q, "event_data", req));
    json_key(j, "processed");
    json_bool(j, store_get_bool(q, "processed"));
    if (!store_is_null(q, "error")) {
        json_key(j, "error");
        json_string(j, store_get_text(q, "error", req));
    }
    json_end_object(j);
}

static enum err read_events(struct store_tx *tx, void *ctx, struct why *why)
{
    struct events *events = ctx;
    struct json_out *j = events->call->out;
    struct store_query q;
    store_begin(&q, tx, &ops_sql_events_list);
    store_bind_i64(&q, "chain_id", (int64_t)events->chain_id);
    store_bind_i64(&q, "below_block", (int64_t)events->below_block);
    store_bind_i64(&q, "below_index", (int64_t)events->below_index);
    store_bind_i64(&q, "max_rows", events->limit);
    json_begin_array(j);
    while (store_step(&q)) {
        event_json(j, &q, events->call->req, events);
        events->count++;
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

/* The cursor of the event list is "block/index" of the last event given. */
static enum err events_list(struct http_call *call, struct why *why)
{
    struct ops *ops = call->ctx;
    struct http_page page;
    struct events events = {
        .call = call,
        .chain_id = ops->chain_id,
        .below_block = INT64_MAX,
        .below_index = INT64_MAX,
    };
    enum err e = http_page_read(call, &page, why);
    struct slice block;
    struct slice index;
    if (e == OK && page.cursor.len > 0) {
        bool cut = slice_cut(page.cursor, '/', &block, &index);
        if (!cut || slice_parse_u64(block, &events.below_block) != OK ||
            slice_parse_u64(index, &events.below_index) != OK || events.below_block > INT64_MAX ||
            events.below_index > INT64_MAX) {
            e = why_set(why, ERR_INVALID_FIELD, "cursor", "this cursor is not of this list");
        }
    }
    if (e != OK) {
        return e;
    }
    events.limit = page.limit;
    e = store_read(ops->store, read_events, &events, why);
    if (e == OK && events.count == page.limit) {
        http_cursor_set(call,
                        slice_format(call->req, "%llu/%llu", (unsigned long long)events.below_block,
                                     (unsigned long long)events.below_index));
    }
    return e;
}

/* ---- the table ---- */

static const char *const health_aliases[] = {"/api/health", "/api/v1/health", NULL};
static const char *const network_aliases[] = {"/api/blockchain/network", NULL};

#define ACCOUNT_SCHEMA                                                                             \
    "{\"type\":\"object\",\"required\":[\"book\",\"account\",\"mayOverdraw\",\"available\","       \
    "\"creditsPosted\",\"debitsPosted\",\"creditsPending\",\"debitsPending\",\"entries\"],"        \
    "\"properties\":{\"book\":{\"type\":\"string\"},\"account\":{\"type\":\"string\"},"            \
    "\"mayOverdraw\":{\"type\":\"boolean\"},\"available\":{\"type\":\"string\"},"                  \
    "\"creditsPosted\":{\"type\":\"string\"},\"debitsPosted\":{\"type\":\"string\"},"              \
    "\"creditsPending\":{\"type\":\"string\"},\"debitsPending\":{\"type\":\"string\"},"            \
    "\"entries\":{\"type\":\"integer\"}}}"

static const char account_schema[] = ACCOUNT_SCHEMA;
static const char accounts_schema[] = "{\"type\":\"array\",\"items\":" ACCOUNT_SCHEMA "}";
static const char entries_schema[] =
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"transferId\",\"debit\","
    "\"credit\",\"amount\",\"kind\",\"cause\",\"state\",\"createdAt\",\"closedAt\"],\"properties\":"
    "{"
    "\"transferId\":{\"type\":\"string\"},\"debit\":{\"type\":\"string\"},"
    "\"credit\":{\"type\":\"string\"},\"amount\":{\"type\":\"string\"},"
    "\"kind\":{\"type\":\"string\"},\"cause\":{\"type\":\"string\"},"
    "\"state\":{\"enum\":[\"pending\",\"posted\",\"voided\"]},"
    "\"createdAt\":{\"type\":\"string\"},\"closedAt\":{\"type\":[\"string\",\"null\"]}}}}";

static const char *const accounts_keys[] = {"book", "prefix", NULL};
static const char *const account_keys[] = {"book", "account", NULL};
static const enum err account_errors[] = {ERR_MISSING_FIELD, ERR_NOT_FOUND, OK};

static const struct http_query_doc api_query_docs[] = {
    {"book", "{\"type\":\"string\"}", "Of this book."},
    {"account", "{\"type\":\"string\"}", "The path of the account in its book."},
    {"prefix", "{\"type\":\"string\"}", "Only accounts at this path and below it."},
    {NULL, NULL, NULL},
};

static const struct http_route routes[] = {
    {
        .method = HTTP_GET,
        .path = "/health",
        .aliases = health_aliases,
        .handler = ops_health,
        .flags = HTTP_RAW | HTTP_NO_STORE | HTTP_UNLIMITED,
        .tag = "operations",
        .operation = "health",
        .summary = "Health of the database, the chain and the jobs; 503 when unhealthy.",
        .reply_schema = ops_schema_health,
        .reply_status = 200,
        .reply_status_other = 503,
    },
    {
        .method = HTTP_GET,
        .path = "/metrics",
        .handler = ops_metrics,
        .flags = HTTP_RAW | HTTP_NO_STORE | HTTP_UNLIMITED,
        .tag = "operations",
        .operation = "metrics",
        .summary = "Metrics in the Prometheus text format.",
        .reply_status = 200,
        .reply_type = "text/plain",
    },
    {
        .method = HTTP_GET,
        .path = "/api/v1/processes",
        .handler = ops_processes,
        .flags = HTTP_UNLIMITED | HTTP_OPERATOR,
        .tag = "operations",
        .operation = "listProcesses",
        .summary = "Processes on this database, and which of them has what only one may do.",
        .reply_schema = ops_schema_processes,
        .reply_status = 200,
    },
};

static const struct http_route api_routes[] = {
    {
        .method = HTTP_GET,
        .path = "/api/v1/ledger/accounts",
        .handler = ops_ledger_accounts,
        .flags = HTTP_LIST,
        .query_keys = accounts_keys,
        .tag = "ledger",
        .operation = "listLedgerAccounts",
        .summary = "Accounts of the ledger with their balances; of one book, below one path.",
        .reply_schema = accounts_schema,
        .reply_status = 200,
    },
    {
        .method = HTTP_GET,
        .path = "/api/v1/ledger/balance",
        .handler = ops_ledger_balance,
        .query_keys = account_keys,
        .tag = "ledger",
        .operation = "getLedgerBalance",
        .summary = "One account of the ledger, named by book and account.",
        .reply_schema = account_schema,
        .reply_status = 200,
        .errors = account_errors,
    },
    {
        .method = HTTP_GET,
        .path = "/api/v1/ledger/entries",
        .handler = ops_ledger_entries,
        .flags = HTTP_LIST,
        .query_keys = account_keys,
        .tag = "ledger",
        .operation = "listLedgerEntries",
        .summary = "What moved an account, oldest first.",
        .reply_schema = entries_schema,
        .reply_status = 200,
        .errors = account_errors,
    },
    {
        .method = HTTP_GET,
        .path = "/api/v1/blockchain/network",
        .aliases = network_aliases,
        .handler = network_get,
        .flags = HTTP_NO_STORE,
        .tag = "chain",
        .operation = "getNetwork",
        .summary = "The followed chain, its cursor and its nodes.",
        .reply_schema = ops_schema_network,
        .reply_status = 200,
    },
    {
        .method = HTTP_GET,
        .path = "/api/v1/blockchain/events",
        .handler = events_list,
        .flags = HTTP_LIST,
        .tag = "chain",
        .operation = "listEvents",
        .summary = "Applied contract events, newest first.",
        .reply_schema = ops_schema_events,
        .reply_status = 200,
    },
};

struct http_table ops_http_table(struct ops *ops)
{
    return (struct http_table){
        .routes = routes, .count = sizeof routes / sizeof routes[0], .ctx = ops};
}

struct http_table ops_api_table(struct ops *ops)
{
    return (struct http_table){
        .routes = api_routes,
        .count = sizeof api_routes / sizeof api_routes[0],
        .ctx = ops,
        .query_docs = api_query_docs,
    };
}
