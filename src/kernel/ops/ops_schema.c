#include "kernel/ops/ops_schema.h"

#define TEXT "{\"type\":\"string\"}"
#define TEXT_OR_NULL "{\"type\":[\"string\",\"null\"]}"
#define INTEGER "{\"type\":\"integer\"}"
#define INTEGER_OR_NULL "{\"type\":[\"integer\",\"null\"]}"
#define BOOL "{\"type\":\"boolean\"}"
#define BOOL_OR_NULL "{\"type\":[\"boolean\",\"null\"]}"
#define TIME "{\"type\":\"string\",\"format\":\"date-time\"}"
#define AMOUNT "{\"type\":\"string\",\"pattern\":\"^[0-9]+$\"}"
#define ADDRESS "{\"type\":\"string\",\"pattern\":\"^0x[0-9a-fA-F]{40}$\"}"
#define ADDRESS_OR_NULL "{\"type\":[\"string\",\"null\"],\"pattern\":\"^0x[0-9a-fA-F]{40}$\"}"
#define HASH "{\"type\":\"string\",\"pattern\":\"^0x[0-9a-f]{64}$\"}"
#define HASH_OR_NULL "{\"type\":[\"string\",\"null\"],\"pattern\":\"^0x[0-9a-f]{64}$\"}"
#define LIST_OF(item_) "{\"type\":\"array\",\"items\":" item_ "}"

/* ---- the chain ---- */

/* What is known of a node, and what it can. */
#define ENDPOINTS                                                                                  \
    LIST_OF("{\"type\":\"object\",\"required\":[\"url\",\"role\",\"healthy\",\"failures\","        \
            "\"latencyUsec\",\"latencyP95Usec\",\"head\",\"behind\",\"ahead\",\"lies\","           \
            "\"batchMax\",\"blockReceipts\",\"finalizedTag\",\"safeTag\",\"logRangeTaken\","       \
            "\"logRangeRefused\"],\"properties\":{\"url\":" TEXT ",\"role\":" TEXT                 \
            ",\"healthy\":" BOOL ",\"failures\":" INTEGER ",\"latencyUsec\":" INTEGER              \
            ",\"latencyP95Usec\":" INTEGER ",\"head\":" INTEGER ",\"behind\":" BOOL                \
            ",\"ahead\":" BOOL ",\"lies\":" INTEGER ",\"batchMax\":" INTEGER                       \
            ",\"blockReceipts\":" BOOL_OR_NULL ",\"finalizedTag\":" BOOL_OR_NULL                   \
            ",\"safeTag\":" BOOL_OR_NULL ",\"logRangeTaken\":" INTEGER_OR_NULL                     \
            ",\"logRangeRefused\":" INTEGER_OR_NULL "}}")

const char ops_schema_network[] =
    "{\"type\":\"object\",\"required\":[\"chainId\",\"blockNumber\",\"blockHash\",\"head\","
    "\"halted\",\"endpoints\"],\"properties\":{\"chainId\":" INTEGER ",\"blockNumber\":" INTEGER
    ",\"blockHash\":" HASH ",\"head\":" INTEGER ",\"halted\":" BOOL ",\"endpoints\":" ENDPOINTS
    "}}";

const char ops_schema_events[] = LIST_OF(
    "{\"type\":\"object\",\"required\":[\"blockNumber\",\"logIndex\",\"blockHash\","
    "\"transactionHash\",\"contractAddress\",\"eventType\",\"eventData\",\"processed\"],"
    "\"properties\":{\"blockNumber\":" INTEGER ",\"logIndex\":" INTEGER ",\"blockHash\":" HASH
    ",\"transactionHash\":" HASH ",\"contractAddress\":" ADDRESS ",\"eventType\":" TEXT
    ",\"eventData\":{\"type\":\"object\"},\"processed\":" BOOL ",\"error\":" TEXT "}}");

/* ---- health ---- */

#define STATUS "{\"enum\":[\"healthy\",\"degraded\",\"unhealthy\"]}"
#define PART(required_, properties_)                                                               \
    "{\"type\":\"object\",\"required\":[\"status\"" required_                                      \
    "],\"properties\":{\"status\":" STATUS ",\"detail\":" TEXT properties_ "}}"
#define STREAM                                                                                     \
    "{\"type\":[\"object\",\"null\"],\"required\":[\"connected\",\"url\",\"head\","                \
    "\"headAgeMsec\",\"failures\"],\"properties\":{\"connected\":" BOOL ",\"url\":" TEXT_OR_NULL   \
    ",\"head\":" INTEGER_OR_NULL ",\"headAgeMsec\":" INTEGER_OR_NULL ",\"failures\":" INTEGER "}}"
#define DATABASE_PART                                                                              \
    PART(",\"reads\",\"writes\",\"url\"", ",\"reads\":" BOOL ",\"writes\":" BOOL ",\"url\":" TEXT)
#define AUDIT_PART PART("", ",\"head\":" TEXT ",\"sealedAt\":" TIME)
#define CHAIN_REQUIRED                                                                             \
    ",\"verify\",\"follow\",\"synced\",\"chainId\",\"block\",\"head\",\"lagBlocks\",\"reorgs\","   \
    "\"eventsFailed\",\"endpoints\",\"stream\""
#define CHAIN_PROPERTIES                                                                           \
    ",\"verify\":" TEXT ",\"follow\":" TEXT ",\"finalBlock\":" INTEGER ",\"synced\":" BOOL         \
    ",\"chainId\":" INTEGER ",\"block\":" INTEGER ",\"head\":" INTEGER ",\"lagBlocks\":" INTEGER   \
    ",\"reorgs\":" INTEGER ",\"eventsFailed\":" INTEGER ",\"endpoints\":" ENDPOINTS                \
    ",\"stream\":" STREAM
#define CHAIN_PART PART(CHAIN_REQUIRED, CHAIN_PROPERTIES)
#define RELAY_PART PART(",\"walletsLow\"", ",\"walletsLow\":" INTEGER)
#define CACHE_PART PART("", "")
#define BACKUP_REQUIRED ",\"scheduled\",\"ageSeconds\",\"verifiedAgeSeconds\""
#define BACKUP_PROPERTIES                                                                          \
    ",\"scheduled\":" BOOL ",\"ageSeconds\":" INTEGER_OR_NULL                                      \
    ",\"verifiedAgeSeconds\":" INTEGER_OR_NULL
#define BACKUP_PART PART(BACKUP_REQUIRED, BACKUP_PROPERTIES)
#define JOBS_PART PART(",\"dead\"", ",\"dead\":" INTEGER)
#define PARTS                                                                                      \
    "{\"type\":\"object\",\"required\":[\"database\",\"audit\",\"chain\",\"relay\",\"backup\","    \
    "\"jobs\"],\"properties\":{\"database\":" DATABASE_PART ",\"audit\":" AUDIT_PART               \
    ",\"chain\":" CHAIN_PART ",\"relay\":" RELAY_PART ",\"cache\":" CACHE_PART                     \
    ",\"backup\":" BACKUP_PART ",\"jobs\":" JOBS_PART "}}"
#define HELD                                                                                       \
    "{\"type\":\"object\",\"required\":[\"name\",\"state\",\"fence\"],\"properties\":{"            \
    "\"name\":" TEXT ",\"state\":{\"enum\":[\"held\",\"standby\"]},\"fence\":" INTEGER "}}"

const char ops_schema_health[] =
    "{\"type\":\"object\",\"required\":[\"success\",\"status\",\"service\",\"version\","
    "\"process\",\"roles\",\"leases\",\"timestamp\",\"uptimeSeconds\",\"parts\"],\"properties\":{"
    "\"success\":" BOOL ",\"status\":" STATUS ",\"service\":" TEXT ",\"version\":" TEXT
    ",\"process\":" TEXT ",\"roles\":" TEXT
    ",\"leases\":" LIST_OF(HELD) ",\"timestamp\":" TIME ",\"uptimeSeconds\":" INTEGER
                                 ",\"parts\":" PARTS "}}";

#define PROCESS                                                                                    \
    "{\"type\":\"object\",\"required\":[\"processId\",\"host\",\"pid\",\"roles\",\"version\","     \
    "\"startedAt\",\"alive\"],\"properties\":{\"processId\":" TEXT ",\"host\":" TEXT               \
    ",\"pid\":" INTEGER ",\"roles\":" TEXT ",\"version\":" TEXT ",\"startedAt\":" TIME             \
    ",\"alive\":" BOOL "}}"
#define LEASE                                                                                      \
    "{\"type\":\"object\",\"required\":[\"name\",\"owner\",\"host\",\"pid\",\"fence\",\"since\","  \
    "\"alive\"],\"properties\":{\"name\":" TEXT ",\"owner\":" TEXT_OR_NULL                         \
    ",\"host\":" TEXT_OR_NULL ",\"pid\":" INTEGER_OR_NULL ",\"fence\":" INTEGER ",\"since\":" TIME \
    ",\"alive\":" BOOL "}}"

const char ops_schema_processes[] =
    "{\"type\":\"object\",\"required\":[\"processes\",\"leases\"],\"properties\":{"
    "\"processes\":" LIST_OF(PROCESS) ",\"leases\":" LIST_OF(LEASE) "}}";

/* ---- transactions ---- */

#define TRANSACTION(required_, properties_)                                                        \
    "{\"type\":\"object\",\"required\":[\"transactionId\",\"purpose\",\"state\",\"final\","        \
    "\"chainId\",\"from\",\"to\",\"value\",\"nonce\",\"transactionHash\",\"attempts\","            \
    "\"priority\",\"cancelling\",\"blockNumber\",\"createdAt\",\"updatedAt\"" required_            \
    "],\"properties\":{\"transactionId\":" TEXT ",\"purpose\":" TEXT                               \
    ",\"state\":{\"enum\":[\"queued\",\"signed\",\"sent\",\"mined\",\"reverted\",\"failed\","      \
    "\"replaced\",\"cancelled\"]},\"final\":" BOOL ",\"chainId\":" INTEGER                         \
    ",\"from\":" ADDRESS_OR_NULL ",\"to\":" ADDRESS_OR_NULL ",\"value\":" AMOUNT                   \
    ",\"nonce\":" INTEGER_OR_NULL ",\"transactionHash\":" HASH_OR_NULL ",\"attempts\":" INTEGER    \
    ",\"priority\":{\"enum\":[\"low\",\"normal\",\"high\"]},\"cancelling\":" BOOL                  \
    ",\"blockNumber\":" INTEGER_OR_NULL ",\"gasUsed\":" INTEGER ",\"gasPrice\":" AMOUNT            \
    ",\"contractAddress\":" ADDRESS ",\"error\":" TEXT ",\"code\":" TEXT ",\"createdAt\":" TIME    \
    ",\"updatedAt\":" TIME properties_ "}}"

const char ops_schema_transactions[] = LIST_OF(TRANSACTION("", ""));

const char ops_schema_transaction[] = TRANSACTION(
    ",\"versions\"",
    ",\"versions\":" LIST_OF("{\"type\":\"object\",\"required\":[\"attempt\",\"transactionHash\","
                             "\"maxFeePerGas\",\"maxPriorityFeePerGas\",\"gasLimit\",\"filler\","
                             "\"createdAt\"],\"properties\":{\"attempt\":" INTEGER
                             ",\"transactionHash\":" HASH ",\"maxFeePerGas\":" AMOUNT
                             ",\"maxPriorityFeePerGas\":" AMOUNT ",\"gasLimit\":" INTEGER
                             ",\"filler\":" BOOL ",\"createdAt\":" TIME "}}"));

/* ---- jobs ---- */

#define JOB(properties_)                                                                           \
    "{\"type\":\"object\",\"required\":[\"id\",\"kind\",\"state\",\"priority\",\"attempts\","      \
    "\"createdAt\"],\"properties\":{\"id\":" INTEGER ",\"kind\":" TEXT                             \
    ",\"state\":{\"enum\":[\"queued\",\"running\",\"done\",\"dead\",\"cancelled\"]},\"key\":" TEXT \
    ",\"orderKey\":" TEXT ",\"waitsForTurn\":" BOOL ",\"cancelling\":" BOOL                        \
    ",\"priority\":" INTEGER ",\"attempts\":" INTEGER ",\"error\":" TEXT ",\"createdAt\":" TIME    \
    ",\"runAt\":" TIME ",\"finishedAt\":" TIME                                                     \
    ",\"progress\":{\"type\":\"object\",\"required\":[\"done\",\"total\"],\"properties\":{"        \
    "\"done\":" INTEGER ",\"total\":" INTEGER ",\"note\":" TEXT "}}" properties_ "}}"

const char ops_schema_jobs[] = LIST_OF(JOB(""));

const char ops_schema_job[] =
    JOB(",\"leaseOwner\":" TEXT ",\"leaseUntil\":" TIME ",\"payload\":{}");

const char ops_schema_queues[] =
    LIST_OF("{\"type\":\"object\",\"required\":[\"name\",\"attempts\",\"backoff\",\"backoffMs\","
            "\"queued\",\"running\",\"dead\",\"description\"],\"properties\":{\"name\":" TEXT
            ",\"concurrency\":" INTEGER ",\"rate\":" INTEGER ",\"rateWindowMs\":" INTEGER
            ",\"attempts\":" INTEGER ",\"backoff\":{\"enum\":[\"none\",\"fixed\",\"exponential\"]}"
            ",\"backoffMs\":" INTEGER ",\"queued\":" INTEGER ",\"running\":" INTEGER
            ",\"dead\":" INTEGER ",\"description\":" TEXT "}}");

const char ops_schema_schedules[] =
    LIST_OF("{\"type\":\"object\",\"required\":[\"name\",\"kind\",\"enabled\",\"description\"],"
            "\"properties\":{\"name\":" TEXT ",\"kind\":" TEXT ",\"everyMs\":" INTEGER
            ",\"cron\":" TEXT ",\"enabled\":" BOOL ",\"nextAt\":" TIME ",\"waitsFor\":" TEXT_OR_NULL
            ",\"lastSlot\":" TIME ",\"description\":" TEXT "}}");
