/*
 * What is let go in time: rows of the audit log, events, idempotency keys, ids of outside events.
 * And the partitions in which some of them are.
 */
#include "kernel/audit/audit.h"
#include "kernel/chain/chain.h"
#include "kernel/inbox/inbox.h"
#include "kernel/ops/ops.h"
#include "kernel/store/store_partition.h"

/* How long it is known how waiting for an event ended. */
#define EXPECTATIONS_USEC (90 * 24 * 3600ll * USEC_PER_SEC)

#define PURGE_ROWS 1000

struct purge {
    ops_purge_fn fn;
    int64_t before_usec;
    uint64_t rows;
};

static enum err purge_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct purge *p = ctx;
    return p->fn(tx, p->before_usec, PURGE_ROWS, &p->rows, why);
}

/* Purges in short transactions until less than a whole portion was left. */
static enum err purge_all(struct job_call *call, ops_purge_fn fn, int64_t age_usec, struct why *why)
{
    struct purge p = {.fn = fn, .before_usec = clock_wall_usec() - age_usec, .rows = PURGE_ROWS};
    enum err e = OK;
    while (e == OK && p.rows == PURGE_ROWS) {
        e = store_write(call->store, purge_tx, &p, why);
        if (e == OK) {
            e = jobs_heartbeat(call, why);
        }
    }
    return e;
}

static enum err purge_keys(struct job_call *call, struct why *why)
{
    return purge_all(call, http_keys_purge, HTTP_KEY_LIFE_USEC, why);
}

static enum err cleanup_sessions(struct job_call *call, struct why *why)
{
    const struct ops_retention *r = call->ctx;
    enum err e = purge_keys(call, why);
    return e == OK ? purge_all(call, r->sessions, r->sessions_usec, why) : e;
}

static enum err purge_inbox(struct job_call *call, struct why *why)
{
    const struct ops_retention *r = call->ctx;
    return purge_all(call, inbox_purge, r->inbox_usec, why);
}

static enum err prune_audit(struct job_call *call, struct why *why)
{
    const struct ops_retention *r = call->ctx;
    uint64_t rows = 0;
    return r->audit_usec > 0
               ? audit_prune(call->store, clock_wall_usec() - r->audit_usec, &rows, why)
               : OK;
}

static enum err prune_events(struct job_call *call, struct why *why)
{
    const struct ops_retention *r = call->ctx;
    enum err e = purge_all(call, chain_expect_forget, EXPECTATIONS_USEC, why);
    if (e == OK && r->events_usec > 0) {
        e = purge_all(call, chain_events_prune, r->events_usec, why);
    }
    return e;
}

static enum err keep_partitions(struct job_call *call, struct why *why)
{
    struct store_partitions_done done;
    return store_partitions_keep(call->store, &done, why);
}

#define MAINTENANCE .queue = "maintenance", .timeout_usec = 600ll * USEC_PER_SEC

static const struct job_kind kinds[] = {
    {.name = "ops.prune_audit",
     .handler = prune_audit,
     MAINTENANCE,
     .doc = "Lets rows of the audit log go that are older than audit.retention."},
    {.name = "ops.prune_events",
     .handler = prune_events,
     MAINTENANCE,
     .doc = "Lets raw events go that are older than chain.event_retention, and after 90 days what "
            "was known of events that somebody waited for."},
    {.name = "ops.keep_partitions",
     .handler = keep_partitions,
     MAINTENANCE,
     .doc = "PostgreSQL: makes the partitions of the months to come and of rows that have none, "
            "drops empty ones of the past."},
    {.name = "ops.purge_keys",
     .handler = purge_keys,
     MAINTENANCE,
     .doc = "Forgets idempotency keys, and the answers kept for them, after seven days."},
    {.name = "ops.cleanup_sessions",
     .handler = cleanup_sessions,
     .queue = "cleanup-sessions",
     .timeout_usec = 600ll * USEC_PER_SEC,
     .doc = "What ops.purge_keys does; forgets nonces, sessions and signing keys a week after "
            "their end."},
    {.name = "ops.purge_inbox",
     .handler = purge_inbox,
     MAINTENANCE,
     .doc = "Forgets ids of outside events that are older than inbox.retention."},
};

static const struct job_cron crons[] = {
    {.name = "ops.prune_audit",
     .kind = "ops.prune_audit",
     .every_usec = 24 * 3600ll * USEC_PER_SEC,
     .doc = "Keeps the audit log as long as the settings say."},
    {.name = "ops.prune_events",
     .kind = "ops.prune_events",
     .every_usec = 24 * 3600ll * USEC_PER_SEC,
     .doc = "Keeps raw events as long as the settings say."},
    {.name = "ops.keep_partitions",
     .kind = "ops.keep_partitions",
     .every_usec = 3600ll * USEC_PER_SEC,
     .doc = "Keeps tables in a partition a month."},
    {.name = "ops.purge_keys",
     .kind = "ops.purge_keys",
     .every_usec = 3600ll * USEC_PER_SEC,
     .doc = "Keeps the table of answers small."},
    {.name = "ops.purge_inbox",
     .kind = "ops.purge_inbox",
     .every_usec = 3600ll * USEC_PER_SEC,
     .doc = "Keeps the table of outside events small."},
};

struct job_table ops_job_table(struct ops_retention *retention)
{
    return (struct job_table){
        .kinds = kinds,
        .kind_count = sizeof(kinds) / sizeof(kinds[0]),
        .crons = crons,
        .cron_count = sizeof(crons) / sizeof(crons[0]),
        .ctx = retention,
    };
}
