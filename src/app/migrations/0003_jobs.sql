-- Work that must happen, as rows; see kernel/jobs/jobs.h.

-- up

-- state: 1 queued, 2 running, 3 done, 4 dead, 5 cancelled. `scheduled` is when run_at was written:
-- a row from the future tells that the clock was put back. lease_token grows with each claim;
-- whoever holds an older one has lost the job. `lapses` counts leases that ran out since a handler
-- last came back: such a job is suspected of killing its process. `started` is set before a
-- suspect runs, so that only a job that was really running when its process died uses up an
-- attempt.
CREATE TABLE jobs (
    id @id,
    kind @text NOT NULL,
    key @text,
    payload @json NOT NULL,
    priority @i64 NOT NULL,
    state @i64 NOT NULL CHECK (state IN (1, 2, 3, 4, 5)),
    attempts @i64 NOT NULL CHECK (attempts >= 0),
    lapses @i64 NOT NULL CHECK (lapses >= 0),
    created @time NOT NULL,
    scheduled @time NOT NULL,
    run_at @time NOT NULL,
    lease_token @i64 NOT NULL,
    lease_owner @text,
    lease_until @time,
    started @time,
    finished @time,
    error @text,
    CONSTRAINT jobs_lease CHECK ((state = 2) = (lease_until IS NOT NULL)),
    CONSTRAINT jobs_end CHECK ((state >= 3) = (finished IS NOT NULL))
);
CREATE INDEX jobs_ready ON jobs (kind, priority, run_at, id) WHERE state = 1 AND lapses = 0;
CREATE INDEX jobs_suspect ON jobs (priority DESC, run_at, id) WHERE state = 1 AND lapses > 0;
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 2;
CREATE UNIQUE INDEX jobs_live_key ON jobs (key) WHERE state IN (1, 2);
CREATE INDEX jobs_ended ON jobs (state, finished, id) WHERE state >= 3;

-- The last slot of each schedule that was enqueued.
CREATE TABLE job_crons (
    name @text NOT NULL PRIMARY KEY,
    slot @i64 NOT NULL,
    fired @time NOT NULL
);

-- down

DROP TABLE job_crons;
DROP TABLE jobs;
