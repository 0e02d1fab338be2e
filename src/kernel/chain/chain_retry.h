/*
 * chain_retry.h: an event that its handler refused is tried again.
 *
 * A refused event does not stop the chain (chain.h): its row says why, and nothing else is written.
 * In the same transaction a job is enqueued that runs its handlers again, a minute later and then
 * ever more seldom, five times in all; then it is a dead letter, which turns health to degraded
 * (`jobs.dead_alert`), and `freehold jobs replay` tries it five times more. Jobs of one contract
 * run one after the other in the order of their events; those of others do not wait for them.
 *
 * What a retry means. The log is read and proven anew. The handlers then see the rows as they are
 * now, at the cursor, and what they write counts as the work of the cursor's block: so inverses run
 * in the order in which changes were made, and a reorganisation that cuts that block takes the
 * retry back although the event itself may stay. Then the row says again that it is not processed,
 * because the inverse of that is in the undo log too, and the job is enqueued again. Where the
 * event itself fell out there is nothing to retry: the job finds no such row and ends.
 *
 * So the rows are those of an index that took the event late. A fresh index, which refuses it where
 * it stands, equals them once its own retries came through, if the order does not matter to the
 * handler; if it does, the handler must refuse.
 *
 * Threads: the job runs on a worker, with a follower of its own; its transaction holds the cursor.
 */
#ifndef KERNEL_CHAIN_CHAIN_RETRY_H
#define KERNEL_CHAIN_CHAIN_RETRY_H

#include "kernel/chain/chain.h"

/* chain_retry_job_table has the job; `options` are those of the follower and live as long. */
struct job_table chain_retry_job_table(struct chain_options *options);

#endif
