/*
 * jobs_tables.h: what the modules declare, checked and put in order. Private to kernel/jobs.
 */
#ifndef KERNEL_JOBS_JOBS_TABLES_H
#define KERNEL_JOBS_JOBS_TABLES_H

#include "kernel/jobs/jobs_limits.h"
#include "kernel/jobs/jobs_store.h"

#define JOBS_NO_GATE SIZE_MAX

struct jobs_entry {
    const struct job_kind *kind; /* with what its queue says filled in */
    void *ctx;
    const struct job_queue *queue;
    size_t gate; /* its queue among the limited ones, or JOBS_NO_GATE */
};

struct job_catalog {
    struct jobs_entry *kinds; /* sorted by name */
    size_t kind_count;
    const struct job_queue **queues; /* the limited ones first: a gate is an index */
    size_t queue_count;
    size_t gate_count;
    struct jobs_timetable *schedules;
    size_t schedule_count;
};

/* jobs_catalog_find returns the entry of a kind; an unknown one has an entry that refuses. */
struct jobs_entry jobs_catalog_find(const struct job_catalog *catalog, struct slice name);
/* jobs_catalog_knows says whether a kind is declared. */
bool jobs_catalog_knows(const struct job_catalog *catalog, struct slice name);

/* jobs_own_table returns the kinds and schedules that every runner has. */
const struct job_table *jobs_own_table(void);

#endif
