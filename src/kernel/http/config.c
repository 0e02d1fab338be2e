#include "kernel/http/http_internal.h"

#define ROW(key_, type_, member_, default__, min_, max_, doc_)                                     \
    {                                                                                              \
        .key = (key_), .type = (type_), .offset = offsetof(struct http_config, member_),           \
        .default_ = (default__), .min = (min_), .max = (max_), .doc = (doc_)                       \
    }

#define MSEC 1000
#define HOUR (INT64_C(3600) * USEC_PER_SEC)
#define KIB 1024
#define GIB (UINT64_C(1) << 30)

const struct config_row http_config_rows[] = {
    ROW("http.host", CONFIG_TEXT, host, "127.0.0.1", 0, 0,
        "Address to listen on; 0.0.0.0 or :: for all of the machine, behind a proxy with TLS."),
    ROW("http.port", CONFIG_U64, port, "8080", 0, 65535, "TCP port; 0 takes a free one."),
    ROW("http.io_threads", CONFIG_U64, io_threads, "2", 1, 64,
        "Threads that read requests and write answers."),
    ROW("http.workers", CONFIG_U64, workers, "8", 1, 256,
        "Threads that run handlers: so many requests are worked on at once."),
    ROW("http.queue_max", CONFIG_U64, queue_max, "1024", 1, 1000000,
        "Requests that may wait for a worker; more are answered 503."),
    ROW("http.connections_max", CONFIG_U64, connections_max, "4096", 1, 100000,
        "Open connections; more are answered 503 and closed."),
    ROW("http.connections_per_client_max", CONFIG_U64, connections_per_client_max, "2048", 1,
        100000, "Open connections of one IPv4 address or IPv6 /64; more are answered 429."),
    ROW("http.header_bytes_max", CONFIG_SIZE, header_bytes_max, "8KiB", KIB, 64 * KIB,
        "Size of request line and headers."),
    ROW("http.body_bytes_max", CONFIG_SIZE, body_bytes_max, "1MiB", 1, GIB,
        "Size of a body, where the route has no limit of its own."),
    ROW("http.uploads_max", CONFIG_U64, uploads_max, "32", 1, 1000,
        "Files that may be arriving at once; more are answered 503."),
    ROW("http.uploads_per_client_max", CONFIG_U64, uploads_per_client_max, "16", 1, 1000,
        "Files that may be arriving from one IPv4 address or IPv6 /64; more are answered 429."),
    ROW("http.header_timeout", CONFIG_DURATION, header_usec, "10s", 10 * MSEC, HOUR,
        "Time for the headers of a request to arrive."),
    ROW("http.request_timeout", CONFIG_DURATION, request_usec, "30s", 10 * MSEC, HOUR,
        "Time for a whole request to arrive."),
    ROW("http.idle_timeout", CONFIG_DURATION, idle_usec, "60s", 10 * MSEC, HOUR,
        "How long a connection may stay open between two requests."),
    ROW("http.drain_timeout", CONFIG_DURATION, drain_usec, "10s", 0, HOUR,
        "How long a stop waits for requests that have arrived."),
    ROW("http.rate_limit", CONFIG_U64, rate_limit, "0", 0, CACHE_USES_MAX,
        "Requests a minute of one IPv4 address or IPv6 /64, together in all processes that share "
        "redis.url; 0 is no limit."),
    ROW("http.rate_tiers", CONFIG_BOOL, rate_tiers, "false", 0, 0,
        "Limit requests by caller (nobody known, known, verified) and by operation (login, bids, "
        "claims, …) for a minute, an hour and a day; docs/operations.md has the tables."),
    ROW("http.rate_exempt", CONFIG_TEXT, rate_exempt, "", 0, 0,
        "Addresses and callers (key:ID, wallet:0x…, operator) without limits of requests, apart by "
        "commas."),
    ROW("http.auth_required", CONFIG_BOOL, auth_required, "false", 0, 0,
        "Whether requests that change something need a caller: an API key or http.operator_token."),
    ROW("http.access_log", CONFIG_BOOL, access_log, "false", 0, 0,
        "Log every request at level info; otherwise successful ones at level debug."),
    ROW("http.gzip", CONFIG_BOOL, gzip, "true", 0, 0,
        "Compress answers to GET of 1 KiB and more for clients that take gzip."),
    ROW("http.cors_origins", CONFIG_TEXT, cors_origins, "", 0, 0,
        "Origins whose pages may call the API from a browser, as https://app.example.com, apart by "
        "commas; * is any, empty none."),
    ROW("http.operator_token", CONFIG_SECRET, operator_token, NULL, 0, 0,
        "What operators send as Authorization: Bearer to the routes that are for them. Without it "
        "these are answered to callers on this machine only, which behind a proxy on the same "
        "machine is everybody."),
};
const size_t http_config_row_count = sizeof http_config_rows / sizeof http_config_rows[0];
