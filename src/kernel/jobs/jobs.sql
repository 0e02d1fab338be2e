-- Statements of the job queue. States are the numbers of enum job_state.

-- statement: jobs_enqueue
-- doc: adds a job; no row when a queued or running one has the key
-- params: kind text, key text?, payload json, priority i64, now time, run_at time
-- columns: id i64
INSERT INTO jobs (kind, key, payload, priority, state, attempts, lapses, created, scheduled, run_at,
                  lease_token)
VALUES (:kind, :key, :payload, :priority, 1, 0, 0, :now, :now, :run_at, 0)
ON CONFLICT (key) WHERE state IN (1, 2) DO NOTHING
RETURNING id;

-- statement: jobs_find_live
-- doc: finds the queued or running job of a key
-- params: key text
-- columns: id i64
SELECT id FROM jobs WHERE key = :key AND state IN (1, 2);

-- statement: jobs_heads
-- doc: lists the first job of each kind and priority that has queued ones, by skipping through the
-- doc: index: the cost is the number of pairs, however many jobs are queued
-- columns: kind text, priority i64, run_at time
WITH RECURSIVE head (id, kind, priority, run_at) AS (
    SELECT j.id, j.kind, j.priority, j.run_at FROM jobs j
    WHERE j.id = (SELECT n.id FROM jobs n WHERE n.state = 1 AND n.lapses = 0
                  ORDER BY n.kind, n.priority, n.run_at, n.id LIMIT 1)
    UNION ALL
    SELECT j.id, j.kind, j.priority, j.run_at FROM head
    JOIN jobs j ON j.id = coalesce(
        (SELECT n.id FROM jobs n
         WHERE n.state = 1 AND n.lapses = 0 AND n.kind = head.kind AND n.priority > head.priority
         ORDER BY n.priority, n.run_at, n.id LIMIT 1),
        (SELECT n.id FROM jobs n
         WHERE n.state = 1 AND n.lapses = 0 AND n.kind > head.kind
         ORDER BY n.kind, n.priority, n.run_at, n.id LIMIT 1))
)
SELECT kind, priority, run_at FROM head;

-- statement: jobs_claim
-- doc: takes queued jobs of a kind and priority, oldest first, with a lease
-- params: kind text, priority i64, now time, until time, owner text, limit i64
-- columns: id i64, kind text, key text?, payload json, attempts i64, run_at time, lease_token i64
-- sqlite
UPDATE jobs
SET state = 2, attempts = attempts + 1, lease_token = lease_token + 1, lease_owner = :owner,
    lease_until = :until, started = NULL
WHERE id IN (SELECT id FROM jobs
             WHERE state = 1 AND lapses = 0 AND kind = :kind AND priority = :priority
                 AND run_at <= :now
             ORDER BY run_at, id LIMIT :limit)
RETURNING id, kind, key, payload, attempts, run_at, lease_token;
-- postgres
WITH picked AS MATERIALIZED (
    SELECT id FROM jobs
    WHERE state = 1 AND lapses = 0 AND kind = :kind AND priority = :priority AND run_at <= :now
    ORDER BY run_at, id LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs
SET state = 2, attempts = jobs.attempts + 1, lease_token = jobs.lease_token + 1,
    lease_owner = :owner, lease_until = :until, started = NULL
FROM picked WHERE jobs.id = picked.id
RETURNING jobs.id, jobs.kind, jobs.key, jobs.payload, jobs.attempts, jobs.run_at, jobs.lease_token;

-- statement: jobs_claim_suspect
-- doc: takes one queued job that lost a lease, the most urgent one
-- params: now time, until time, owner text
-- columns: id i64, kind text, key text?, payload json, attempts i64, run_at time, lease_token i64
-- sqlite
UPDATE jobs
SET state = 2, attempts = attempts + 1, lease_token = lease_token + 1, lease_owner = :owner,
    lease_until = :until, started = NULL
WHERE id IN (SELECT id FROM jobs WHERE state = 1 AND lapses > 0 AND run_at <= :now
             ORDER BY priority DESC, run_at, id LIMIT 1)
RETURNING id, kind, key, payload, attempts, run_at, lease_token;
-- postgres
WITH picked AS MATERIALIZED (
    SELECT id FROM jobs WHERE state = 1 AND lapses > 0 AND run_at <= :now
    ORDER BY priority DESC, run_at, id LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs
SET state = 2, attempts = jobs.attempts + 1, lease_token = jobs.lease_token + 1,
    lease_owner = :owner, lease_until = :until, started = NULL
FROM picked WHERE jobs.id = picked.id
RETURNING jobs.id, jobs.kind, jobs.key, jobs.payload, jobs.attempts, jobs.run_at, jobs.lease_token;

-- statement: jobs_mark_started
-- doc: records that a suspect runs now
-- params: id i64, token i64, now time
UPDATE jobs SET started = :now WHERE id = :id AND lease_token = :token AND state = 2;

-- statement: jobs_renew
-- doc: extends a lease that was not lost
-- params: id i64, token i64, until time
UPDATE jobs SET lease_until = :until WHERE id = :id AND lease_token = :token AND state = 2;

-- statement: jobs_finish
-- doc: ends a running job well
-- params: id i64, token i64, now time
UPDATE jobs
SET state = 3, finished = :now, lease_owner = NULL, lease_until = NULL
WHERE id = :id AND lease_token = :token AND state = 2;

-- statement: jobs_bury
-- doc: ends a running job for good
-- params: id i64, token i64, now time, lapses i64, error text
UPDATE jobs
SET state = 4, finished = :now, lapses = lapses + :lapses, error = :error, lease_owner = NULL,
    lease_until = NULL
WHERE id = :id AND lease_token = :token AND state = 2;

-- statement: jobs_requeue
-- doc: puts a running job back; without run_at it keeps its place, without error the one it had;
-- doc: when the handler came back the job is suspected of nothing any more
-- params: id i64, token i64, now time, run_at time?, given_back i64, came_back bool, lapses i64
-- params: error text?
UPDATE jobs
SET state = 1, run_at = coalesce(:run_at, run_at), scheduled = :now,
    attempts = attempts - :given_back,
    lapses = CASE WHEN :came_back THEN 0 ELSE lapses + :lapses END,
    error = coalesce(:error, error), lease_owner = NULL, lease_until = NULL, started = NULL
WHERE id = :id AND lease_token = :token AND state = 2;

-- statement: jobs_lapsed
-- doc: lists running jobs whose lease ran out, or reaches further than any honest one
-- params: now time, latest time, limit i64
-- columns: id i64, kind text, attempts i64, was_started bool, lease_token i64
SELECT id, kind, attempts, started IS NOT NULL AS was_started, lease_token FROM jobs
WHERE state = 2 AND (lease_until < :now OR lease_until > :latest)
ORDER BY lease_until LIMIT :limit
-- postgres
FOR UPDATE SKIP LOCKED
-- both
;

-- statement: jobs_rebase
-- doc: moves the times of queued jobs that were written before the clock was put back
-- params: now time
UPDATE jobs SET run_at = :now + (run_at - scheduled), scheduled = :now
WHERE id IN (SELECT id FROM jobs WHERE state = 1 AND lapses = 0 AND scheduled > :now
             UNION ALL
             SELECT id FROM jobs WHERE state = 1 AND lapses > 0 AND scheduled > :now);

-- statement: jobs_replay
-- doc: queues a dead job again unless a live one has taken its key
-- params: id i64, now time
UPDATE jobs
SET state = 1, attempts = 0, lapses = 0, scheduled = :now, run_at = :now, finished = NULL,
    started = NULL
WHERE id = :id AND state = 4
    AND NOT EXISTS (SELECT 1 FROM jobs n WHERE n.key = jobs.key AND n.state IN (1, 2));

-- statement: jobs_cancel
-- doc: cancels a queued job
-- params: id i64, now time
UPDATE jobs SET state = 5, finished = :now WHERE id = :id AND state = 1;

-- statement: jobs_state
-- doc: reads the state of a job
-- params: id i64
-- columns: state i64
SELECT state FROM jobs WHERE id = :id;

-- statement: jobs_dead
-- doc: lists dead jobs behind a place, the one that died first first
-- params: finished time, id i64, limit i64
-- columns: id i64, finished time
SELECT id, finished FROM jobs
WHERE state >= 3 AND state = 4 AND (finished, id) > (:finished, :id)
ORDER BY finished, id LIMIT :limit;

-- statement: jobs_list
-- doc: lists jobs of any state, newest first
-- params: limit i64
-- columns: id i64, kind text, key text?, state i64, attempts i64, error text?, created time
-- columns: run_at time, payload json
SELECT id, kind, key, state, attempts, error, created, run_at, payload
FROM jobs ORDER BY id DESC LIMIT :limit;

-- statement: jobs_list_live
-- doc: lists queued or running jobs, newest first
-- params: state i64, limit i64
-- columns: id i64, kind text, key text?, state i64, attempts i64, error text?, created time
-- columns: run_at time, payload json
SELECT id, kind, key, state, attempts, error, created, run_at, payload
FROM jobs
WHERE id IN (SELECT id FROM jobs WHERE state = 1 AND lapses = 0 AND :state = 1
             UNION ALL
             SELECT id FROM jobs WHERE state = 1 AND lapses > 0 AND :state = 1
             UNION ALL
             SELECT id FROM jobs WHERE state = 2 AND :state = 2)
ORDER BY id DESC LIMIT :limit;

-- statement: jobs_list_ended
-- doc: lists done, dead or cancelled jobs, the one that ended last first
-- params: state i64, limit i64
-- columns: id i64, kind text, key text?, state i64, attempts i64, error text?, created time
-- columns: run_at time, payload json
SELECT id, kind, key, state, attempts, error, created, run_at, payload
FROM jobs WHERE state >= 3 AND state = :state ORDER BY finished DESC, id DESC LIMIT :limit;

-- statement: jobs_count
-- doc: counts the jobs of a state, through the index of that state
-- params: state i64
-- columns: count i64
SELECT (SELECT count(*) FROM jobs WHERE state = 1 AND lapses = 0 AND :state = 1)
    + (SELECT count(*) FROM jobs WHERE state = 1 AND lapses > 0 AND :state = 1)
    + (SELECT count(*) FROM jobs WHERE state = 2 AND :state = 2)
    + (SELECT count(*) FROM jobs WHERE state >= 3 AND state = :state) AS count;

-- statement: jobs_sweep
-- doc: forgets jobs that ended in a state before a time; the newest row stays, so that its number
-- doc: is never given again
-- params: state i64, before time, limit i64
DELETE FROM jobs
WHERE id IN (SELECT id FROM jobs
             WHERE state >= 3 AND state = :state AND finished < :before
                 AND id < (SELECT max(id) FROM jobs)
             LIMIT :limit);

-- statement: jobs_cron_get
-- doc: reads the last slot of a schedule
-- params: name text
-- columns: slot i64
SELECT slot FROM job_crons WHERE name = :name;

-- statement: jobs_cron_insert
-- doc: remembers a schedule that was never seen
-- params: name text, slot i64, now time
INSERT INTO job_crons (name, slot, fired) VALUES (:name, :slot, :now) ON CONFLICT (name) DO NOTHING;

-- statement: jobs_cron_move
-- doc: takes a slot of a schedule, if it is still where the caller read it
-- params: name text, slot i64, old_slot i64, now time
UPDATE job_crons SET slot = :slot, fired = :now WHERE name = :name AND slot = :old_slot;
