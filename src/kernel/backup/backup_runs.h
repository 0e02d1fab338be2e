/*
 * backup_runs.h: how scheduled backups went: rows for health and for people, and metrics.
 */
#ifndef KERNEL_BACKUP_BACKUP_RUNS_H
#define KERNEL_BACKUP_BACKUP_RUNS_H

#include "kernel/store/store.h"

enum backup_run_kind {
    BACKUP_RUN_BACKUP,
    BACKUP_RUN_VERIFY,
};

struct backup_run {
    enum backup_run_kind kind;
    int64_t started_usec;
    int64_t finished_usec;
    const char *place;
    struct slice id;    /* of the backup; empty: it did not get that far */
    struct slice error; /* empty: it was good */
    uint64_t rows;
    uint64_t bytes;
};

/* backup_run_note writes a run down and counts it. Errors: of the store. */
enum err backup_run_note(struct store *store, const struct backup_run *run,
                         struct why *why) ERR_CHECKED;

/*
 * backup_runs_last tells when the last good run of a kind ended; 0 when there was none. Errors: of
 * the store.
 */
enum err backup_runs_last(struct store_tx *tx, enum backup_run_kind kind, int64_t *out_usec,
                          struct why *why) ERR_CHECKED;

/* backup_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void backup_metrics_register(void);
/* backup_metrics_load sets the gauges from what is written down. Errors: of the store. */
enum err backup_metrics_load(struct store *store, struct why *why) ERR_CHECKED;

#endif
