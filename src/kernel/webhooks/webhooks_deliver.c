/*
 * webhooks_deliver.c: the job that posts a delivery, and the one that forgets those that have
 * ended.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/webhooks/webhooks_internal.h"
#include "kernel/webhooks/webhooks_sql.h"

#define SECOND ((int64_t)USEC_PER_SEC)
#define ATTEMPTS_MAX 12
#define ANSWER_BYTES_MAX 4096 /* nobody reads more of it than its status */
#define PURGE_ROWS 1000

struct delivery {
    struct job_call *call;
    struct slice id;
    bool found;
    enum webhook_state state;
    struct slice event;
    struct slice body;
    struct webhook_endpoint endpoint;
    /* What became of the attempt: */
    enum webhook_state next;
    int status; /* 0: none */
    enum err err;
    struct why why;
};

static enum err read_delivery(struct store_tx *tx, void *ctx, struct why *why)
{
    struct delivery *d = ctx;
    struct arena *arena = d->call->job;
    struct store_query q;
    store_begin(&q, tx, &webhooks_sql_delivery_get);
    store_bind_text(&q, "delivery_id", d->id);
    d->found = store_step(&q);
    if (d->found) {
        d->state = (enum webhook_state)store_get_i64(&q, "state");
        d->event = store_get_text(&q, "event", arena);
        d->body = store_get_bytes(&q, "body", arena);
        d->endpoint.id = store_get_text(&q, "endpoint_id", arena);
        d->endpoint.url = store_get_text(&q, "url", arena);
        d->endpoint.secret_version = (uint64_t)store_get_i64(&q, "secret_version");
        d->endpoint.rotated_usec = store_get_time(&q, "rotated_at");
    }
    return store_finish(&q, NULL, why);
}

static void make_signature(const struct webhooks *w, const struct delivery *d,
                           char out[WEBHOOKS_SIGNATURE_TEXT_MAX])
{
    char secret[WEBHOOKS_SECRET_TEXT_MAX];
    char before[WEBHOOKS_SECRET_TEXT_MAX];
    int64_t now = clock_wall_usec();
    uint64_t version = d->endpoint.secret_version;
    bool both = version > 1 && now - d->endpoint.rotated_usec < WEBHOOKS_OVERLAP_USEC;
    webhooks_secret(w->config, d->endpoint.id, version, secret);
    if (both) {
        webhooks_secret(w->config, d->endpoint.id, version - 1, before);
    }
    webhooks_signature(secret, both ? before : NULL, now / SECOND, d->body, out);
    mem_wipe(secret, sizeof secret);
    mem_wipe(before, sizeof before);
}

static void post(const struct webhooks *w, struct delivery *d)
{
    char signature[WEBHOOKS_SIGNATURE_TEXT_MAX];
    make_signature(w, d, signature);
    const struct net_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/json")},
        {SLICE_LIT("Freehold-Delivery"), d->id},
        {SLICE_LIT("Freehold-Event"), d->event},
        {SLICE_LIT("Freehold-Signature"), slice_text(signature)},
    };
    const struct net_request request = {
        .method = "POST",
        .url = slice_cstr(d->call->job, d->endpoint.url),
        .headers = headers,
        .header_count = sizeof headers / sizeof headers[0],
        .body = d->body,
        .timeout_usec = w->config->timeout_usec,
        .answer_bytes_max = ANSWER_BYTES_MAX,
        .public_only = !w->config->allow_private,
    };
    struct net_answer answer = {.status = 0};
    d->err = net_request_run(w->client, d->call->job, &request, &answer, &d->why);
    d->status = answer.status;
    if (d->err == OK && (answer.status < 200 || answer.status > 299)) {
        d->err = why_set(&d->why, ERR_UPSTREAM, NULL, "the endpoint answered with status %d",
                         answer.status);
    }
}

static enum err note(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct delivery *d = ctx;
    struct store_query q;
    store_begin(&q, tx, &webhooks_sql_delivery_put);
    store_bind_text(&q, "delivery_id", d->id);
    store_bind_i64(&q, "state", (int64_t)d->next);
    if (d->status > 0) {
        store_bind_i64(&q, "status", d->status);
    } else {
        store_bind_null(&q, "status");
    }
    if (d->err != OK) {
        store_bind_text(&q, "error", slice_text(why_text(&d->why, d->err)));
    } else {
        store_bind_null(&q, "error");
    }
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, NULL, why);
    return e == OK && d->err == OK ? jobs_complete(tx, d->call, why) : e;
}

static void report(const struct delivery *d)
{
    metric_add(&webhooks_metrics[WEBHOOKS_METRIC_DELIVERED], d->next == WEBHOOK_DELIVERED);
    metric_add(&webhooks_metrics[WEBHOOKS_METRIC_FAILED], d->err != OK);
    metric_add(&webhooks_metrics[WEBHOOKS_METRIC_DEAD], d->next == WEBHOOK_DEAD);
    if (d->err != OK) {
        LOG(LOG_WARN, "webhooks.not_delivered", log_slice("delivery", d->id),
            log_slice("endpoint", d->endpoint.id), log_bool("dead", d->next == WEBHOOK_DEAD),
            log_err(d->err), log_why(&d->why, d->err));
    }
}

static enum err deliver(struct job_call *call, struct why *why)
{
    struct webhooks *w = call->ctx;
    struct delivery d = {.call = call};
    enum err e = json_get_text(call->payload, "delivery", &d.id, why);
    if (e == OK) {
        e = store_read(call->store, read_delivery, &d, why);
    }
    if (e != OK || !d.found || d.state == WEBHOOK_DELIVERED) {
        return e; /* the endpoint is gone, or an earlier attempt did it */
    }
    post(w, &d);
    d.next = d.err == OK                    ? WEBHOOK_DELIVERED
             : call->attempt < ATTEMPTS_MAX ? WEBHOOK_WAITING
                                            : WEBHOOK_DEAD;
    e = store_write(call->store, note, &d, why);
    if (e != OK) {
        return e;
    }
    report(&d);
    /* Whatever it was, an endpoint may be mended: every failure is one that may pass. */
    return d.err == OK ? OK : why_set(why, ERR_UPSTREAM, NULL, "%s", why_text(&d.why, d.err));
}

/* ---- forgetting ---- */

struct purge {
    int64_t before_usec;
    int64_t rows;
};

static enum err purge_some(struct store_tx *tx, void *ctx, struct why *why)
{
    struct purge *p = ctx;
    struct store_query q;
    store_begin(&q, tx, &webhooks_sql_deliveries_purge);
    store_bind_time(&q, "before", p->before_usec);
    store_bind_i64(&q, "max_rows", PURGE_ROWS);
    return store_finish(&q, &p->rows, why);
}

static enum err purge(struct job_call *call, struct why *why)
{
    struct purge p = {.before_usec = clock_wall_usec() - WEBHOOKS_KEEP_USEC, .rows = PURGE_ROWS};
    enum err e = OK;
    while (e == OK && p.rows == PURGE_ROWS && !jobs_cancelled(call)) {
        e = store_write(call->store, purge_some, &p, why);
        e = e == OK ? jobs_heartbeat(call, why) : e;
    }
    return e;
}

/* ---- the table ---- */

static const struct job_queue queues[] = {
    {
        .name = "webhooks",
        .concurrency = 16,
        .attempts_max = ATTEMPTS_MAX,
        .backoff = JOB_BACKOFF_EXPONENTIAL,
        .backoff_usec = 2 * SECOND,
        .backoff_usec_max = 3600 * SECOND,
        .doc = "Webhooks on their way; twelve attempts take more than an hour.",
    },
};

static const struct job_kind kinds[] = {
    {
        .name = "webhooks.deliver",
        .queue = "webhooks",
        .handler = deliver,
        .timeout_usec = 120 * SECOND,
        .doc = "Posts one delivery to its endpoint.",
    },
    {
        .name = "webhooks.purge",
        .queue = "cleanup-sessions",
        .handler = purge,
        .timeout_usec = 60 * SECOND,
        .doc = "Forgets deliveries that ended a month ago.",
    },
};

static const struct job_cron crons[] = {
    {
        .name = "PurgeWebhooks",
        .kind = "webhooks.purge",
        .cron = "20 0 * * *",
        .doc = "Forgets deliveries that ended a month ago.",
    },
};

struct job_table webhooks_job_table(struct webhooks *webhooks)
{
    return (struct job_table){
        .queues = queues,
        .queue_count = sizeof queues / sizeof queues[0],
        .kinds = kinds,
        .kind_count = sizeof kinds / sizeof kinds[0],
        .crons = crons,
        .cron_count = sizeof crons / sizeof crons[0],
        .ctx = webhooks,
    };
}
