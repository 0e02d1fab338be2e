/* jobs_audit.h: what the queue writes into the audit log. Private to kernel/jobs. */
#ifndef KERNEL_JOBS_JOBS_AUDIT_H
#define KERNEL_JOBS_JOBS_AUDIT_H

#include "kernel/audit/audit.h"
#include "kernel/jobs/jobs_store.h"

/*
 * jobs_audit_dead records that a job has become dead at its `attempt`, in the transaction that
 * makes it so; not the sentence of why, which the row has and which may tell what its payload
 * holds. Errors: those of the store.
 */
enum err jobs_audit_dead(struct store_tx *tx, struct jobs_hold hold, struct slice kind,
                         uint32_t attempt, enum err reason, struct why *why) ERR_CHECKED;

#endif
