-- Limits of queues, order, schedules, progress and cancellation of jobs; see kernel/jobs/jobs.h.

-- up

-- `queue` is set by the claim while the job runs, and only when the queue limits how many may.
-- Jobs of one order_key run one after the other; `behind` says that an earlier one was alive when
-- somebody looked last: such a job is nobody's to claim. The unique index below is what keeps two
-- of them from running at once, whatever `behind` says.
ALTER TABLE jobs ADD COLUMN queue @text;
ALTER TABLE jobs ADD COLUMN order_key @text;
ALTER TABLE jobs ADD COLUMN behind @bool NOT NULL DEFAULT FALSE;
ALTER TABLE jobs ADD COLUMN cancelling @bool NOT NULL DEFAULT FALSE;
ALTER TABLE jobs ADD COLUMN progress_done @i64;
ALTER TABLE jobs ADD COLUMN progress_total @i64;
ALTER TABLE jobs ADD COLUMN progress_note @text;

DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (kind, priority, run_at, id)
    WHERE state = 1 AND lapses = 0 AND NOT behind;
DROP INDEX jobs_live_key;
CREATE UNIQUE INDEX jobs_live_key ON jobs (key) WHERE state IN (1, 2) AND key IS NOT NULL;
CREATE INDEX jobs_order ON jobs (order_key, id) WHERE state IN (1, 2) AND order_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_order_running ON jobs (order_key)
    WHERE state = 2 AND order_key IS NOT NULL;
CREATE INDEX jobs_behind ON jobs (order_key, id) WHERE state = 1 AND behind;
CREATE INDEX jobs_limited ON jobs (queue) WHERE state = 2 AND queue IS NOT NULL;
-- postgres
-- Rows live for seconds and are written three times: the defaults wait for a fifth of the table.
ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0,
                      autovacuum_vacuum_insert_scale_factor = 0.2);
-- both

-- One row a queue with a rate: when jobs started within its window, as [[microseconds, how many]].
CREATE TABLE job_queues (
    name @text NOT NULL PRIMARY KEY,
    starts @json NOT NULL,
    updated @time NOT NULL
);

-- What a slot counts depends on how the schedule is written; another one begins anew.
ALTER TABLE job_crons ADD COLUMN spec @text NOT NULL DEFAULT '';

-- down

ALTER TABLE job_crons DROP COLUMN spec;
DROP TABLE job_queues;
DROP INDEX jobs_limited;
DROP INDEX jobs_behind;
DROP INDEX jobs_order_running;
DROP INDEX jobs_order;
DROP INDEX jobs_live_key;
CREATE UNIQUE INDEX jobs_live_key ON jobs (key) WHERE state IN (1, 2);
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (kind, priority, run_at, id) WHERE state = 1 AND lapses = 0;
ALTER TABLE jobs DROP COLUMN progress_note;
ALTER TABLE jobs DROP COLUMN progress_total;
ALTER TABLE jobs DROP COLUMN progress_done;
ALTER TABLE jobs DROP COLUMN cancelling;
ALTER TABLE jobs DROP COLUMN behind;
ALTER TABLE jobs DROP COLUMN order_key;
ALTER TABLE jobs DROP COLUMN queue;
-- postgres
ALTER TABLE jobs RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_cost_delay,
                        autovacuum_vacuum_insert_scale_factor);
