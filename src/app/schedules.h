/*
 * schedules.h: queues and schedules of the systems that Freehold replaces, and all job tables of
 * the program.
 *
 * The rows of seed 004 (queues of 4.2, schedules of 4.3, the test of backups of 9.1)
 * and seed 003 (its two) are written down here until the part that they belong to takes them over:
 * a row whose kind is not there yet says whom it waits for (job_cron.awaits), is shown by
 * `freehold jobs schedules` as such, and never fires. To bring one to life its part declares the
 * kind; nothing changes here.
 */
#ifndef APP_SCHEDULES_H
#define APP_SCHEDULES_H

#include "app/settings.h"
#include "domain/channels/channels.h"
#include "domain/leasing/leasing.h"
#include "kernel/documents/documents.h"
#include "kernel/jobs/jobs.h"
#include "kernel/ops/ops.h"
#include "kernel/paywall/paywall.h"

#define SCHEDULES_TABLES_MAX 16

/* Whose jobs they are. NULL everywhere gives tables to look at, not to run. */
struct schedules_owners {
    struct ops *ops;
    struct ops_retention *retention;
    struct leasing *leasing;
    struct settings *settings;
    struct webhooks *webhooks;
    struct chain_reconciler *reconciler;
    struct chain_expect_watch *expect;
    struct chain_options *chain;
    struct documents *documents;
    struct paywall *paywall;
    struct channels *channels;
};

/* schedules_job_tables writes all job tables of the program; returns how many. */
size_t schedules_job_tables(const struct schedules_owners *owners,
                            struct job_table out[SCHEDULES_TABLES_MAX]);

#endif
