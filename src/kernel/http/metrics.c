#include "kernel/http/http_internal.h"

#define REQUESTS "freehold_http_requests_total", METRIC_COUNTER, "Requests answered."
#define REJECTED "freehold_http_rejected_total", METRIC_COUNTER, "Connections and requests refused."

static const struct metric_row rows[HTTP_METRIC_COUNT] = {
    [HTTP_METRIC_2XX] = {REQUESTS, "class=\"2xx\""},
    [HTTP_METRIC_3XX] = {REQUESTS, "class=\"3xx\""},
    [HTTP_METRIC_4XX] = {REQUESTS, "class=\"4xx\""},
    [HTTP_METRIC_5XX] = {REQUESTS, "class=\"5xx\""},
    [HTTP_METRIC_DURATION] = {"freehold_http_request_duration_seconds", METRIC_HISTOGRAM,
                              "Time from the request line to the last byte of the answer.", NULL},
    [HTTP_METRIC_CONNECTIONS] = {"freehold_http_connections", METRIC_GAUGE, "Open connections.",
                                 NULL},
    [HTTP_METRIC_ACTIVE] = {"freehold_http_requests_active", METRIC_GAUGE,
                            "Requests between their request line and their answer.", NULL},
    [HTTP_METRIC_REJECTED_CONNECTIONS] = {REJECTED, "reason=\"connections\""},
    [HTTP_METRIC_REJECTED_CLIENT] = {REJECTED, "reason=\"client\""},
    [HTTP_METRIC_REJECTED_QUEUE] = {REJECTED, "reason=\"queue\""},
    [HTTP_METRIC_REJECTED_DEADLINE] = {REJECTED, "reason=\"deadline\""},
    [HTTP_METRIC_REJECTED_RATE] = {REJECTED, "reason=\"rate\""},
    [HTTP_METRIC_REPLAYED] = {"freehold_http_replayed_total", METRIC_COUNTER,
                              "Answers given again for an idempotency key.", NULL},
};

struct metric_value http_metrics[HTTP_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(rows, http_metrics, HTTP_METRIC_COUNT);
}

void http_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}
