/*
 * webhooks_internal.h: what the files of kernel/webhooks share. Private to this folder.
 *
 *   webhooks.c          endpoints as rows, secrets, emitting
 *   webhooks_deliver.c  the job that posts, and its queue
 *   webhooks_api.c      the routes
 */
#ifndef KERNEL_WEBHOOKS_WEBHOOKS_INTERNAL_H
#define KERNEL_WEBHOOKS_WEBHOOKS_INTERNAL_H

#include "kernel/base/metric.h"
#include "kernel/webhooks/webhooks.h"

/* How long the secret before the last rotation signs as well: a day. Units: microseconds. */
#define WEBHOOKS_OVERLAP_USEC (86400 * (int64_t)USEC_PER_SEC)
/* Deliveries that have ended are kept for a month. */
#define WEBHOOKS_KEEP_USEC (30 * 86400 * (int64_t)USEC_PER_SEC)

/* Stored: numbers are append-only. */
enum webhook_state {
    WEBHOOK_WAITING = 1,
    WEBHOOK_DELIVERED = 2,
    WEBHOOK_DEAD = 3,
};

enum webhooks_metric {
    WEBHOOKS_METRIC_EMITTED,
    WEBHOOKS_METRIC_DELIVERED,
    WEBHOOKS_METRIC_FAILED,
    WEBHOOKS_METRIC_DEAD,
    WEBHOOKS_METRIC_COUNT
};

extern struct metric_value webhooks_metrics[WEBHOOKS_METRIC_COUNT];

struct webhook_endpoint {
    struct slice id;
    struct slice url;
    struct slice events;
    uint64_t secret_version;
    int64_t rotated_usec; /* 0: never */
    int64_t created_usec;
};

/* webhooks_endpoint_take reads a row. Owns: the arena. */
void webhooks_endpoint_take(struct store_query *q, struct arena *arena,
                            struct webhook_endpoint *out);
/* webhooks_endpoint_get reads one endpoint. Errors: ERR_NOT_FOUND. */
enum err webhooks_endpoint_get(struct store_tx *tx, struct arena *arena, struct slice id,
                               struct webhook_endpoint *out, struct why *why) ERR_CHECKED;
/* webhooks_endpoints lists all endpoints. Owns: the arena. */
enum err webhooks_endpoints(struct store_tx *tx, struct arena *arena, struct webhook_endpoint **out,
                            size_t *out_count, struct why *why) ERR_CHECKED;
/* webhooks_wants says whether a list of events has one: names apart by commas, or "*". */
bool webhooks_wants(struct slice events, struct slice event);
/* webhooks_emit_to writes one delivery and its job. */
enum err webhooks_emit_to(struct store_tx *tx, struct arena *arena,
                          const struct webhook_endpoint *endpoint, const char *event,
                          struct slice subject, struct slice data, struct why *why) ERR_CHECKED;

#endif
