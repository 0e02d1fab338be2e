/*
 * webhooks.h: telling others what happened, signed, at least once and in order.
 *
 * An endpoint is a row: a URL and the events that it wants. webhooks_emit, in the transaction of
 * what happened, writes one delivery for each endpoint that wants it, with the body as it will be
 * sent, and a job; so a delivery exists exactly when its cause does. The job posts it; any status
 * of 200 to 299 is success. What fails is tried again with growing pauses (the queue "webhooks");
 * after the last attempt the delivery is `dead`, and its job a dead letter that can be replayed.
 *
 *   WAITING --2xx--> DELIVERED     WAITING --the last attempt failed--> DEAD --jobs replay-->
 * WAITING
 *
 * Order: deliveries of one subject (a transaction) to one endpoint go one after the other.
 *
 * Signature. The header Freehold-Signature is "t=SECONDS,v1=HEX": HMAC-SHA-256 over the seconds, a
 * full stop and the body, with the endpoint's secret. It is made for each attempt. Receivers refuse
 * what is older than five minutes and remember Freehold-Delivery, which is the same in all attempts
 * of one delivery: so neither a replay nor a second attempt counts twice. The secret is derived
 * from webhooks.secret, the endpoint's id and a version, is shown when it is made, and stored
 * nowhere. After webhooks_rotate both secrets sign for a day ("v1=" twice).
 *
 * What is called: http and https, no redirects, and only addresses of the public internet unless
 * webhooks.allow_private says otherwise; that is looked at when the connection is made, so a name
 * that leads elsewhere later does not help.
 *
 * Crash points: before the commit of the cause: nothing. After: the job. Between the post and
 * noting it: it is posted again, with the same Freehold-Delivery.
 *
 * Threads: all functions from anywhere.
 */
#ifndef KERNEL_WEBHOOKS_WEBHOOKS_H
#define KERNEL_WEBHOOKS_WEBHOOKS_H

#include "kernel/audit/audit.h"
#include "kernel/base/config.h"
#include "kernel/http/http.h"
#include "kernel/jobs/jobs.h"
#include "kernel/net/http_client.h"
#include "kernel/store/store.h"

struct webhooks_config {
    struct secret secret; /* of which the endpoints' secrets are derived; empty: no endpoints */
    int64_t timeout_usec;
    bool allow_private;
};

/* webhooks_config_rows are the rows of section "webhooks". */
extern const struct config_row webhooks_config_rows[];
extern const size_t webhooks_config_row_count;

struct webhooks {
    const struct webhooks_config *config;
    struct store *store;
    struct net_client *client;
    const char *const *events; /* that there are: NULL-terminated */
};

/* webhooks_init readies the context of tables. Owns: the caller, webhooks_clear. */
void webhooks_init(struct webhooks *webhooks, const struct webhooks_config *config,
                   struct store *store, const char *const *events);
/* webhooks_clear closes the connections. */
void webhooks_clear(struct webhooks *webhooks);

struct webhooks_event {
    const char *name;     /* "transaction.mined" */
    struct slice subject; /* what it is about: "transaction/tx_…" */
    struct slice data;    /* a JSON value */
};

/* webhooks_emit writes the deliveries of events, in their order, in the caller's transaction. */
enum err webhooks_emit(struct store_tx *tx, const struct webhooks_event *events, size_t count,
                       struct why *why) ERR_CHECKED;

#define WEBHOOKS_SECRET_TEXT_MAX 72 /* "whsec_" and 64 hex digits */
#define WEBHOOKS_SIGNATURE_TEXT_MAX 200

/* webhooks_secret derives the secret of an endpoint's version. */
void webhooks_secret(const struct webhooks_config *config, struct slice endpoint_id,
                     uint64_t version, char out[WEBHOOKS_SECRET_TEXT_MAX]);
/*
 * webhooks_signature writes the value of the header, by one secret or by two (`before` not NULL).
 * Units: seconds.
 */
void webhooks_signature(const char *secret, const char *before, int64_t now_sec, struct slice body,
                        char out[WEBHOOKS_SIGNATURE_TEXT_MAX]);

/* webhooks_job_table makes the queue and the job; `webhooks` must outlive the runner. */
struct job_table webhooks_job_table(struct webhooks *webhooks);
/* webhooks_http_table makes the routes for operators; `webhooks` must outlive the server. */
struct http_table webhooks_http_table(struct webhooks *webhooks);
/* webhooks_audit_table has the actions of those routes. */
struct audit_table webhooks_audit_table(void);
/* webhooks_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void webhooks_metrics_register(void);

#endif
