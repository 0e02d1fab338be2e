/*
 * leasing_sweep.h: bids that cannot be accepted any more are taken back. Private to this folder.
 */
#ifndef DOMAIN_LEASING_LEASING_SWEEP_H
#define DOMAIN_LEASING_LEASING_SWEEP_H

#include "kernel/jobs/jobs.h"

/* leasing_sweep_job is the handler of leasing.sweep_bids. */
enum err leasing_sweep_job(struct job_call *call, struct why *why) ERR_CHECKED;

#endif
