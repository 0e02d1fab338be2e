#include "app/schedules.h"

#include "app/backups.h"
#include "kernel/base/check.h"
#include "kernel/chain/chain_retry.h"

#define SECOND ((int64_t)USEC_PER_SEC)
#define MINUTE (60 * SECOND)

static const struct job_queue queues[] = {
    {
        .name = "index-events",
        .concurrency = 5,
        .rate = 100,
        .rate_usec = MINUTE,
        .attempts_max = 3,
        .backoff = JOB_BACKOFF_EXPONENTIAL,
        .backoff_usec = SECOND,
        .doc = "What follows from the gateway's contract events.",
    },
    {
        .name = "yield-calculation",
        .concurrency = 1,
        .rate = 10,
        .rate_usec = MINUTE,
        .attempts_max = 3,
        .backoff = JOB_BACKOFF_FIXED,
        .backoff_usec = 5 * SECOND,
        .doc = "Yields and statistics of pools.",
    },
    {
        .name = "notifications",
        .concurrency = 10,
        .rate = 50,
        .rate_usec = MINUTE,
        .attempts_max = 5,
        .backoff = JOB_BACKOFF_EXPONENTIAL,
        .backoff_usec = 2 * SECOND,
        .doc = "Messages to people and other services.",
    },
    {
        .name = "cleanup-sessions",
        .concurrency = 1,
        .rate = 1,
        .rate_usec = MINUTE,
        .attempts_max = 3,
        .backoff = JOB_BACKOFF_FIXED,
        .backoff_usec = 10 * SECOND,
        .doc = "Forgetting what has expired: sessions, answers kept for repeated requests.",
    },
    {
        .name = "health-check",
        .concurrency = 1,
        .rate = 12,
        .rate_usec = MINUTE,
        .attempts_max = 1,
        .doc = "Looks at the program's surroundings; the next look makes up for a failed one.",
    },
    {
        .name = "backup",
        .concurrency = 1,
        .attempts_max = 3,
        .backoff = JOB_BACKOFF_EXPONENTIAL,
        .backoff_usec = MINUTE,
        .doc = "Backups, one at a time.",
    },
    {
        .name = "booking",
        .attempts_max = 5,
        .backoff = JOB_BACKOFF_EXPONENTIAL,
        .backoff_usec = 2 * SECOND,
        .backoff_usec_max = 5 * MINUTE,
        .doc = "What bookings do beside requests and events.",
    },
};

static const struct job_cron crons[] = {
    {
        .name = "IndexEvents",
        .kind = "gateway.index_events",
        .every_usec = 30 * SECOND,
        .awaits = "gateway",
        .doc = "Contract events; following the chain is continuous (kernel/chain), this is the "
               "second look at what it left unprocessed.",
    },
    {
        .name = "UpdateYield",
        .kind = "gateway.update_yield",
        .cron = "*/60 * * * *",
        .awaits = "gateway",
        .doc = "Yield of all pools.",
    },
    {
        .name = "CheckExpiredCredentials",
        .kind = "gateway.check_expired_credentials",
        .cron = "0 */6 * * *",
        .awaits = "gateway",
        .doc = "Marks credentials that are about to expire.",
    },
    {
        .name = "SyncPoolStats",
        .kind = "gateway.sync_pool_stats",
        .cron = "*/15 * * * *",
        .awaits = "gateway",
        .doc = "Value locked in pools, and their investors.",
    },
    {
        .name = "CleanupSessions",
        .kind = "ops.cleanup_sessions",
        .cron = "0 0 * * *",
        .doc = "Forgets sessions and kept answers that have expired.",
    },
    {
        .name = "HealthCheck",
        .kind = "ops.health_check",
        .cron = "*/5 * * * *",
        .doc = "Looks at nodes and database, and logs what is not well.",
    },
    {
        .name = "RelayerBalance",
        .kind = "ops.relayer_balance",
        .cron = "*/10 * * * *",
        .doc = "Warns before a wallet of the relay runs dry.",
    },
    {
        .name = "ChainReconcile",
        .kind = "chain.reconcile",
        .cron = "0 */6 * * *",
        .doc = "Asks contracts and rows whether they agree.",
    },
    {
        .name = "DatabaseBackup",
        .kind = "backup.daily",
        .cron = "0 3 * * *",
        .doc = "The daily backup; that of Sunday is the weekly archive, kept for longer.",
    },
    {
        .name = "BackupVerification",
        .kind = "backup.verify",
        .cron = "0 5 * * 0",
        .doc = "The weekly proof that the newest backup can be restored.",
    },
    {
        .name = "BookingAutoComplete",
        .kind = "booking.auto_complete",
        .cron = "*/30 * * * *",
        .awaits = "booking",
        .doc = "Completes bookings two hours after their time.",
    },
    {
        .name = "BookingReconcile",
        .kind = "booking.reconcile",
        .cron = "0 */6 * * *",
        .awaits = "booking",
        .doc = "Compares bookings with the chain.",
    },
};

size_t schedules_job_tables(const struct schedules_owners *owners,
                            struct job_table out[SCHEDULES_TABLES_MAX])
{
    const struct job_table tables[] = {
        {
            .queues = queues,
            .queue_count = sizeof queues / sizeof queues[0],
            .crons = crons,
            .cron_count = sizeof crons / sizeof crons[0],
        },
        ops_job_table(owners->retention),
        ops_watch_table(owners->ops),
        leasing_job_table(owners->leasing),
        backups_job_table(owners->settings),
        webhooks_job_table(owners->webhooks),
        chain_expect_job_table(owners->expect),
        chain_reconcile_job_table(owners->reconciler),
        chain_retry_job_table(owners->chain),
        documents_job_table(owners->documents),
        paywall_job_table(owners->paywall),
        channels_job_table(owners->channels),
    };
    size_t count = sizeof tables / sizeof tables[0];
    ASSERT(count <= SCHEDULES_TABLES_MAX);
    for (size_t i = 0; i < count; i++) {
        out[i] = tables[i];
    }
    return count;
}
