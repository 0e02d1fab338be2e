-- Statements of the job queue. States are the numbers of enum job_state.
--
-- PostgreSQL plans by statistics that are older than the queue: taken when nothing was queued, or
-- never. So no statement leaves it a choice that is good for an empty table and fatal for a full
-- one (decision 0023; test_jobs_plans.c):
--
--   - Rows are joined by where they lie (ctid): found and locked in a CTE, or remembered from the
--     claim (`spot`). For that there is one plan, a fetch of each. By id there would be others.
--   - What is looked up by id says "lease_until IS NOT NULL" for running, which is the same by the
--     CHECK of the table, and "state + 0 = 1" for queued: an index of just the running or the
--     queued ones does not offer itself to be walked from end to end.
--   - The look for an earlier job of an order key is a scalar subquery: EXISTS may become a hash
--     of all of them. For the first one it goes from (key, 0) on: by "order_key = key ORDER BY id"
--     it might walk the primary key instead.

-- statement: jobs_enqueue
-- doc: adds a job; no row when a queued or running one has the key
-- params: kind text, key text?, order_key text?, payload json, priority i64, now time, run_at time
-- columns: id i64
INSERT INTO jobs (kind, key, order_key, behind, payload, priority, state, attempts, lapses, created,
                  scheduled, run_at, lease_token)
VALUES (:kind, :key, :order_key,
        (SELECT p.id FROM jobs p WHERE p.order_key = :order_key AND p.order_key IS NOT NULL
             AND p.state IN (1, 2) LIMIT 1) IS NOT NULL,
        :payload, :priority, 1, 0, 0, :now, :now, :run_at, 0)
ON CONFLICT (key) WHERE state IN (1, 2) AND key IS NOT NULL DO NOTHING
RETURNING id;

-- statement: jobs_load
-- doc: adds jobs that have neither key nor order key
-- rows: load
-- params: kind text, payload json, priority i64, state i64, attempts i64, lapses i64, created time
-- params: scheduled time, run_at time, lease_token i64
INSERT INTO jobs (kind, payload, priority, state, attempts, lapses, created, scheduled, run_at,
                  lease_token)
VALUES (:kind, :payload, :priority, :state, :attempts, :lapses, :created, :scheduled, :run_at,
        :lease_token);

-- statement: jobs_enqueue_keyed
-- doc: adds jobs with keys; a key that a living job or an earlier one of them has is passed over
-- rows: set
-- params: kind text, key text?, order_key text?, behind bool, payload json, priority i64, now time
-- params: run_at time
INSERT INTO jobs (kind, key, order_key, behind, payload, priority, state, attempts, lapses, created,
                  scheduled, run_at, lease_token)
VALUES (:kind, :key, :order_key,
        :behind OR (SELECT p.id FROM jobs p WHERE p.order_key = :order_key
                        AND p.order_key IS NOT NULL AND p.state IN (1, 2) LIMIT 1) IS NOT NULL,
        :payload, :priority, 1, 0, 0, :now, :now, :run_at, 0)
ON CONFLICT (key) WHERE state IN (1, 2) AND key IS NOT NULL DO NOTHING;

-- statement: jobs_find_live
-- doc: finds the queued or running job of a key
-- params: key text
-- columns: id i64
SELECT id FROM jobs WHERE key = :key AND state IN (1, 2) AND key IS NOT NULL;

-- statement: jobs_heads
-- doc: lists the first job of each kind and priority that has queued ones, by skipping through the
-- doc: index: the cost is the number of pairs, however many jobs are queued
-- columns: kind text, priority i64, run_at time
-- sqlite
WITH RECURSIVE head (id, kind, priority, run_at) AS (
    SELECT j.id, j.kind, j.priority, j.run_at FROM jobs j
    WHERE j.id = (SELECT n.id FROM jobs n WHERE n.state = 1 AND n.lapses = 0 AND NOT n.behind
                  ORDER BY n.kind, n.priority, n.run_at, n.id LIMIT 1)
    UNION ALL
    SELECT j.id, j.kind, j.priority, j.run_at FROM head
    JOIN jobs j ON j.id = coalesce(
        (SELECT n.id FROM jobs n
         WHERE n.state = 1 AND n.lapses = 0 AND NOT n.behind AND n.kind = head.kind
             AND n.priority > head.priority
         ORDER BY n.priority, n.run_at, n.id LIMIT 1),
        (SELECT n.id FROM jobs n
         WHERE n.state = 1 AND n.lapses = 0 AND NOT n.behind AND n.kind > head.kind
         ORDER BY n.kind, n.priority, n.run_at, n.id LIMIT 1))
)
SELECT kind, priority, run_at FROM head;
-- postgres
WITH RECURSIVE head (kind, priority, run_at) AS (
    (SELECT n.kind, n.priority, n.run_at FROM jobs n
     WHERE n.state = 1 AND n.lapses = 0 AND NOT n.behind
     ORDER BY n.kind, n.priority, n.run_at, n.id LIMIT 1)
    UNION ALL
    SELECT j.kind, j.priority, j.run_at FROM head
    CROSS JOIN LATERAL (SELECT coalesce(
        (SELECT n.ctid FROM jobs n
         WHERE n.state = 1 AND n.lapses = 0 AND NOT n.behind AND n.kind = head.kind
             AND n.priority > head.priority
         ORDER BY n.priority, n.run_at, n.id LIMIT 1),
        (SELECT n.ctid FROM jobs n
         WHERE n.state = 1 AND n.lapses = 0 AND NOT n.behind AND n.kind > head.kind
         ORDER BY n.kind, n.priority, n.run_at, n.id LIMIT 1)) AS at OFFSET 0) AS next
    CROSS JOIN LATERAL (SELECT n.kind, n.priority, n.run_at FROM jobs n
                        WHERE n.ctid = next.at LIMIT 1) AS j
)
SELECT kind, priority, run_at FROM head;

-- statement: jobs_heads_from
-- doc: lists the first job of kinds and priorities from a time on, so that what was taken and not
-- doc: yet cleaned away lies behind and is not walked through again
-- params: places json
-- columns: kind text, priority i64, run_at time
-- sqlite
SELECT n.kind, n.priority, n.run_at FROM json_each(:places)
JOIN jobs n ON n.id = (SELECT j.id FROM jobs j
                       WHERE j.state = 1 AND j.lapses = 0 AND NOT j.behind AND j.kind = value ->> 0
                           AND j.priority = value ->> 1 AND j.run_at >= value ->> 2
                       ORDER BY j.run_at, j.id LIMIT 1);
-- postgres
SELECT n.kind, n.priority, n.run_at FROM jsonb_array_elements(:places) AS p
CROSS JOIN LATERAL (SELECT j.kind, j.priority, j.run_at FROM jobs j
                    WHERE j.state = 1 AND j.lapses = 0 AND NOT j.behind
                        AND j.kind = p.value ->> 0 AND j.priority = (p.value ->> 1)::bigint
                        AND j.run_at >= '1970-01-01 00:00:00+00'::timestamptz
                            + (p.value ->> 2)::bigint * interval '1 microsecond'
                    ORDER BY j.run_at, j.id LIMIT 1) AS n;

-- statement: jobs_claim
-- doc: takes queued jobs of a kind and priority from a time on, oldest first, with a lease
-- params: kind text, priority i64, from time, now time, until time, owner text, queue text?
-- params: limit i64
-- columns: id i64, kind text, key text?, order_key text?, payload json, attempts i64
-- columns: run_at time, lease_token i64, spot text
-- sqlite
UPDATE jobs
SET state = 2, attempts = attempts + 1, lease_token = lease_token + 1, lease_owner = :owner,
    lease_until = :until, started = NULL, queue = :queue
WHERE id IN (SELECT id FROM jobs
             WHERE state = 1 AND lapses = 0 AND NOT behind AND kind = :kind
                 AND priority = :priority AND run_at >= :from AND run_at <= :now
                 AND (order_key IS NULL
                      OR (NOT EXISTS (SELECT 1 FROM jobs p WHERE p.order_key = jobs.order_key
                                          AND p.order_key IS NOT NULL AND p.state = 2)
                          AND NOT EXISTS (SELECT 1 FROM jobs p WHERE p.order_key = jobs.order_key
                                              AND p.order_key IS NOT NULL AND p.state IN (1, 2)
                                              AND p.id < jobs.id)))
             ORDER BY run_at, id LIMIT :limit)
RETURNING id, kind, key, order_key, payload, attempts, run_at, lease_token, '' AS spot;
-- postgres
WITH picked AS MATERIALIZED (
    SELECT ctid AS at FROM jobs
    WHERE state = 1 AND lapses = 0 AND NOT behind AND kind = :kind AND priority = :priority
        AND run_at >= :from AND run_at <= :now
        AND (order_key IS NULL
             OR ((SELECT p.id FROM jobs p
                  WHERE p.order_key = jobs.order_key AND p.order_key IS NOT NULL AND p.state = 2
                  LIMIT 1) IS NULL
                 AND (SELECT p.id FROM jobs p
                      WHERE (p.order_key, p.id) >= (jobs.order_key, 0) AND p.order_key IS NOT NULL
                          AND p.state IN (1, 2)
                      ORDER BY p.order_key, p.id LIMIT 1) = jobs.id))
    ORDER BY run_at, id LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs
SET state = 2, attempts = jobs.attempts + 1, lease_token = jobs.lease_token + 1,
    lease_owner = :owner, lease_until = :until, started = NULL, queue = :queue
FROM picked WHERE jobs.ctid = picked.at
RETURNING jobs.id, jobs.kind, jobs.key, jobs.order_key, jobs.payload,
    jobs.attempts, jobs.run_at, jobs.lease_token, jobs.ctid::text AS spot;

-- statement: jobs_suspects
-- doc: lists queued jobs that lost a lease, the most urgent ones first
-- params: now time, limit i64
-- columns: id i64, kind text
SELECT id, kind FROM jobs WHERE state = 1 AND lapses > 0 AND run_at <= :now
ORDER BY priority DESC, run_at, id LIMIT :limit;

-- statement: jobs_claim_suspect
-- doc: takes one queued job that lost a lease
-- params: id i64, now time, until time, owner text, queue text?
-- columns: id i64, kind text, key text?, order_key text?, payload json, attempts i64
-- columns: run_at time, lease_token i64, spot text
-- sqlite
UPDATE jobs
SET state = 2, attempts = attempts + 1, lease_token = lease_token + 1, lease_owner = :owner,
    lease_until = :until, started = NULL, queue = :queue
WHERE id IN (SELECT id FROM jobs
             WHERE id = :id AND state + 0 = 1 AND lapses > 0 AND run_at <= :now
                 AND (order_key IS NULL
                      OR (NOT EXISTS (SELECT 1 FROM jobs p WHERE p.order_key = jobs.order_key
                                          AND p.order_key IS NOT NULL AND p.state = 2)
                          AND NOT EXISTS (SELECT 1 FROM jobs p WHERE p.order_key = jobs.order_key
                                              AND p.order_key IS NOT NULL AND p.state IN (1, 2)
                                              AND p.id < jobs.id))))
RETURNING id, kind, key, order_key, payload, attempts, run_at, lease_token, '' AS spot;
-- postgres
WITH picked AS MATERIALIZED (
    SELECT ctid AS at FROM jobs
    WHERE id = :id AND state + 0 = 1 AND lapses > 0 AND run_at <= :now
        AND (order_key IS NULL
             OR ((SELECT p.id FROM jobs p
                  WHERE p.order_key = jobs.order_key AND p.order_key IS NOT NULL AND p.state = 2
                  LIMIT 1) IS NULL
                 AND (SELECT p.id FROM jobs p
                      WHERE (p.order_key, p.id) >= (jobs.order_key, 0) AND p.order_key IS NOT NULL
                          AND p.state IN (1, 2)
                      ORDER BY p.order_key, p.id LIMIT 1) = jobs.id))
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs
SET state = 2, attempts = jobs.attempts + 1, lease_token = jobs.lease_token + 1,
    lease_owner = :owner, lease_until = :until, started = NULL, queue = :queue
FROM picked WHERE jobs.ctid = picked.at
RETURNING jobs.id, jobs.kind, jobs.key, jobs.order_key, jobs.payload,
    jobs.attempts, jobs.run_at, jobs.lease_token, jobs.ctid::text AS spot;

-- statement: jobs_mark_started
-- doc: records that a suspect runs now
-- params: id i64, token i64, now time
UPDATE jobs SET started = :now WHERE id = :id AND lease_token = :token AND lease_until IS NOT NULL;

-- statement: jobs_renew
-- doc: extends a lease that was not lost, of which the row comes back
-- params: id i64, token i64, until time
-- columns: id i64, cancelling bool, spot text
-- sqlite
UPDATE jobs SET lease_until = :until
WHERE id = :id AND lease_token = :token AND lease_until IS NOT NULL
RETURNING id, cancelling, '' AS spot;
-- postgres
UPDATE jobs SET lease_until = :until
WHERE id = :id AND lease_token = :token AND lease_until IS NOT NULL
RETURNING id, cancelling, ctid::text AS spot;

-- statement: jobs_renew_spots
-- doc: does so for many whose rows lie where they lay; who does not come back may have moved
-- rows: set
-- params: spot text, id i64, token i64, until time
-- columns: id i64, cancelling bool, spot text
-- sqlite
UPDATE jobs SET lease_until = :until
WHERE :spot <> '' AND id = :id AND lease_token = :token AND lease_until IS NOT NULL
RETURNING id, cancelling, '' AS spot;
-- postgres
UPDATE jobs SET lease_until = :until
WHERE ctid = :spot::tid AND id + 0 = :id AND lease_token = :token
    AND lease_until IS NOT NULL
RETURNING id, cancelling, ctid::text AS spot;

-- statement: jobs_progress
-- doc: notes how far a running job is
-- params: id i64, token i64, done i64, total i64, note text
UPDATE jobs SET progress_done = :done, progress_total = :total, progress_note = :note
WHERE id = :id AND lease_token = :token AND lease_until IS NOT NULL;

-- statement: jobs_finish
-- doc: ends a running job well; its row comes back when it was still held
-- params: id i64, token i64, now time
-- columns: id i64
UPDATE jobs SET state = 3, finished = :now, lease_owner = NULL, lease_until = NULL
WHERE id = :id AND lease_token = :token AND lease_until IS NOT NULL
RETURNING id;

-- statement: jobs_finish_spots
-- doc: does so for many whose rows lie where they lay; who does not come back may have moved. The
-- doc: look-up reads no index, of whose pages a serializable transaction would remember that it did
-- rows: set
-- params: spot text, id i64, token i64, now time
-- columns: id i64
-- sqlite
UPDATE jobs SET state = 3, finished = :now, lease_owner = NULL, lease_until = NULL
WHERE :spot <> '' AND id = :id AND lease_token = :token AND lease_until IS NOT NULL
RETURNING id;
-- postgres
UPDATE jobs SET state = 3, finished = :now, lease_owner = NULL, lease_until = NULL
WHERE ctid = :spot::tid AND id + 0 = :id AND lease_token = :token
    AND lease_until IS NOT NULL
RETURNING id;

-- statement: jobs_forget
-- doc: ends a running job well and forgets it at once; its row comes back when it was still held
-- params: id i64, token i64
-- columns: id i64
DELETE FROM jobs WHERE id = :id AND lease_token = :token AND lease_until IS NOT NULL
RETURNING id;

-- statement: jobs_forget_spots
-- doc: does so for many whose rows lie where they lay; who does not come back may have moved
-- rows: set
-- params: spot text, id i64, token i64
-- columns: id i64
-- sqlite
DELETE FROM jobs
WHERE :spot <> '' AND id = :id AND lease_token = :token AND lease_until IS NOT NULL
RETURNING id;
-- postgres
DELETE FROM jobs
WHERE ctid = :spot::tid AND id + 0 = :id AND lease_token = :token
    AND lease_until IS NOT NULL
RETURNING id;

-- statement: jobs_next
-- doc: lets the first living job of each order key be claimed; its wait for its turn ends now. One
-- doc: that somebody else has in hand is passed over, so that two who do this never wait in a ring
-- params: keys json, now time
-- sqlite
UPDATE jobs SET behind = FALSE, scheduled = :now, run_at = max(run_at, :now)
WHERE state = 1 AND behind AND id IN (
    SELECT (SELECT n.id FROM jobs n WHERE n.order_key = value AND n.order_key IS NOT NULL
                AND n.state IN (1, 2) ORDER BY n.id LIMIT 1)
    FROM json_each(:keys));
-- postgres
WITH first AS MATERIALIZED (
    SELECT n.at FROM jsonb_array_elements_text(:keys) AS k
    CROSS JOIN LATERAL (SELECT j.ctid AS at, j.order_key, j.behind FROM jobs j
                        WHERE (j.order_key, j.id) >= (k.value, 0) AND j.order_key IS NOT NULL
                            AND j.state IN (1, 2)
                        ORDER BY j.order_key, j.id LIMIT 1) AS n
    WHERE n.order_key = k.value AND n.behind
), picked AS MATERIALIZED (
    SELECT first.at FROM first JOIN jobs ON jobs.ctid = first.at
    WHERE jobs.behind AND jobs.state + 0 = 1
    FOR UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs SET behind = FALSE, scheduled = :now, run_at = greatest(run_at, :now)
FROM picked WHERE jobs.ctid = picked.at;

-- statement: jobs_next_all
-- doc: the same for all order keys under which somebody waits, by skipping through them: whose
-- doc: predecessor ended while it was being enqueued would otherwise wait for ever
-- params: now time
-- sqlite
WITH RECURSIVE line (order_key) AS (
    SELECT min(order_key) FROM jobs WHERE state = 1 AND behind
    UNION ALL
    SELECT (SELECT min(j.order_key) FROM jobs j
            WHERE j.state = 1 AND j.behind AND j.order_key > line.order_key)
    FROM line WHERE line.order_key IS NOT NULL)
UPDATE jobs SET behind = FALSE, scheduled = :now, run_at = max(run_at, :now)
WHERE state = 1 AND behind AND id IN (
    SELECT (SELECT n.id FROM jobs n WHERE n.order_key = line.order_key AND n.order_key IS NOT NULL
                AND n.state IN (1, 2) ORDER BY n.id LIMIT 1)
    FROM line WHERE line.order_key IS NOT NULL);
-- postgres
WITH RECURSIVE line (order_key) AS (
    (SELECT j.order_key FROM jobs j WHERE j.state = 1 AND j.behind ORDER BY j.order_key LIMIT 1)
    UNION ALL
    SELECT n.order_key FROM line
    CROSS JOIN LATERAL (SELECT j.order_key FROM jobs j
                        WHERE j.state = 1 AND j.behind AND j.order_key > line.order_key
                        ORDER BY j.order_key LIMIT 1) AS n
), first AS MATERIALIZED (
    SELECT n.at FROM line
    CROSS JOIN LATERAL (SELECT j.ctid AS at, j.order_key, j.behind FROM jobs j
                        WHERE (j.order_key, j.id) >= (line.order_key, 0) AND j.order_key IS NOT NULL
                            AND j.state IN (1, 2)
                        ORDER BY j.order_key, j.id LIMIT 1) AS n
    WHERE n.order_key = line.order_key AND n.behind
), picked AS MATERIALIZED (
    SELECT first.at FROM first JOIN jobs ON jobs.ctid = first.at
    WHERE jobs.behind AND jobs.state + 0 = 1
    FOR UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs SET behind = FALSE, scheduled = :now, run_at = greatest(run_at, :now)
FROM picked WHERE jobs.ctid = picked.at;

-- statement: jobs_bury
-- doc: ends a running job for good: dead, or cancelled when that was asked for
-- params: id i64, token i64, now time, lapses i64, error text
-- columns: state i64
UPDATE jobs
SET state = CASE WHEN cancelling THEN 5 ELSE 4 END, finished = :now, lapses = lapses + :lapses,
    error = :error, lease_owner = NULL, lease_until = NULL
WHERE id = :id AND lease_token = :token AND lease_until IS NOT NULL
RETURNING state;

-- statement: jobs_requeue
-- doc: puts a running job back, or ends it when its cancellation was asked for; without run_at it
-- doc: keeps its place, without error the one it had; when the handler came back the job is
-- doc: suspected of nothing any more
-- params: id i64, token i64, now time, run_at time?, given_back i64, came_back bool, lapses i64
-- params: error text?
-- columns: state i64
UPDATE jobs
SET state = CASE WHEN cancelling THEN 5 ELSE 1 END,
    finished = CASE WHEN cancelling THEN :now END,
    run_at = coalesce(:run_at, run_at), scheduled = :now, attempts = attempts - :given_back,
    lapses = CASE WHEN :came_back THEN 0 ELSE lapses + :lapses END,
    error = coalesce(:error, error), lease_owner = NULL, lease_until = NULL, started = NULL
WHERE id = :id AND lease_token = :token AND lease_until IS NOT NULL
RETURNING state;

-- statement: jobs_lapsed
-- doc: lists running jobs whose lease ran out after a time, or reaches further than any honest one
-- params: from time, now time, latest time, limit i64
-- columns: id i64, kind text, order_key text?, attempts i64, was_started bool, lease_token i64
-- sqlite
SELECT id, kind, order_key, attempts, started IS NOT NULL AS was_started, lease_token FROM jobs
WHERE state = 2 AND ((lease_until >= :from AND lease_until < :now) OR lease_until > :latest)
ORDER BY lease_until LIMIT :limit;
-- postgres
WITH found AS MATERIALIZED (
    SELECT ctid AS at FROM jobs WHERE state = 2 AND lease_until >= :from AND lease_until < :now
    UNION ALL
    SELECT ctid FROM jobs WHERE state = 2 AND lease_until > :latest
)
SELECT id, kind, order_key, attempts, started IS NOT NULL AS was_started, lease_token
FROM found JOIN jobs ON jobs.ctid = found.at
WHERE lease_until IS NOT NULL
ORDER BY lease_until LIMIT :limit
FOR UPDATE OF jobs SKIP LOCKED;

-- statement: jobs_rebase
-- doc: moves the times of queued jobs that were written before the clock was put back
-- params: now time
-- sqlite
UPDATE jobs SET run_at = :now + (run_at - scheduled), scheduled = :now
WHERE id IN (SELECT id FROM jobs WHERE state = 1 AND lapses = 0 AND NOT behind AND scheduled > :now
             UNION ALL
             SELECT id FROM jobs WHERE state = 1 AND behind AND scheduled > :now
             UNION ALL
             SELECT id FROM jobs WHERE state = 1 AND lapses > 0 AND scheduled > :now);
-- postgres
UPDATE jobs SET run_at = :now + (run_at - scheduled), scheduled = :now
WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM jobs WHERE state = 1 AND lapses = 0 AND NOT behind AND scheduled > :now
    UNION ALL
    SELECT ctid FROM jobs WHERE state = 1 AND behind AND scheduled > :now
    UNION ALL
    SELECT ctid FROM jobs WHERE state = 1 AND lapses > 0 AND NOT behind AND scheduled > :now))
    AND state + 0 = 1;

-- statement: jobs_replay
-- doc: queues a dead job again unless a live one has taken its key
-- params: id i64, now time
UPDATE jobs
SET state = 1, attempts = 0, lapses = 0, scheduled = :now, run_at = :now, finished = NULL,
    started = NULL, cancelling = FALSE, progress_done = NULL, progress_total = NULL,
    progress_note = NULL,
    behind = EXISTS (SELECT 1 FROM jobs p WHERE p.order_key = jobs.order_key
                         AND p.order_key IS NOT NULL AND p.state IN (1, 2))
WHERE id = :id AND state + 0 = 4
    AND NOT EXISTS (SELECT 1 FROM jobs n WHERE n.key = jobs.key AND n.key IS NOT NULL
                        AND n.state IN (1, 2));

-- statement: jobs_cancel
-- doc: cancels a queued job
-- params: id i64, now time
-- columns: order_key text?
UPDATE jobs SET state = 5, finished = :now WHERE id = :id AND state = 1 RETURNING order_key;

-- statement: jobs_cancel_running
-- doc: asks a running job to end
-- params: id i64
UPDATE jobs SET cancelling = TRUE WHERE id = :id AND lease_until IS NOT NULL;

-- statement: jobs_retry
-- doc: lets a queued job run now
-- params: id i64, now time
UPDATE jobs
SET run_at = CASE WHEN run_at > :now THEN :now ELSE run_at END, scheduled = :now
WHERE id = :id AND state = 1;

-- statement: jobs_state
-- doc: reads the state of a job
-- params: id i64
-- columns: state i64
SELECT state FROM jobs WHERE id = :id;

-- statement: jobs_dead
-- doc: lists dead jobs behind a place, the one that died first first
-- params: kind text?, finished time, id i64, limit i64
-- columns: id i64, finished time
SELECT id, finished FROM jobs
WHERE state >= 3 AND state = 4 AND (finished, id) > (:finished, :id)
    AND (:kind IS NULL OR kind = :kind)
ORDER BY finished, id LIMIT :limit;

-- statement: jobs_list
-- doc: lists jobs of any state, newest first
-- params: kinds json?, below i64, limit i64
-- columns: id i64, kind text, key text?, order_key text?, state i64, behind bool, cancelling bool
-- columns: priority i64, attempts i64, error text?, created time, run_at time, finished time?
-- columns: progress_done i64?, progress_total i64?, progress_note text?
-- sqlite
SELECT id, kind, key, order_key, state, behind, cancelling, priority, attempts, error, created,
    run_at, finished, progress_done, progress_total, progress_note
FROM jobs
WHERE id < :below
    AND (:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)))
ORDER BY id DESC LIMIT :limit;
-- postgres
SELECT id, kind, key, order_key, state, behind, cancelling, priority, attempts, error, created,
    run_at, finished, progress_done, progress_total, progress_note
FROM jobs
WHERE id < :below
    AND (:kinds IS NULL OR kind IN (SELECT jsonb_array_elements_text(:kinds)))
ORDER BY id DESC LIMIT :limit;

-- statement: jobs_list_live
-- doc: lists queued or running jobs, newest first
-- params: state i64, kinds json?, below i64, limit i64
-- columns: id i64, kind text, key text?, order_key text?, state i64, behind bool, cancelling bool
-- columns: priority i64, attempts i64, error text?, created time, run_at time, finished time?
-- columns: progress_done i64?, progress_total i64?, progress_note text?
-- sqlite
SELECT id, kind, key, order_key, state, behind, cancelling, priority, attempts, error, created,
    run_at, finished, progress_done, progress_total, progress_note
FROM jobs
WHERE id IN (SELECT id FROM jobs WHERE state = 1 AND lapses = 0 AND NOT behind AND :state = 1
             UNION ALL
             SELECT id FROM jobs WHERE state = 1 AND behind AND :state = 1
             UNION ALL
             SELECT id FROM jobs WHERE state = 1 AND lapses > 0 AND NOT behind AND :state = 1
             UNION ALL
             SELECT id FROM jobs WHERE state = 2 AND :state = 2)
    AND id < :below AND (:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)))
ORDER BY id DESC LIMIT :limit;
-- postgres
SELECT id, kind, key, order_key, state, behind, cancelling, priority, attempts, error, created,
    run_at, finished, progress_done, progress_total, progress_note
FROM jobs
WHERE id IN (SELECT id FROM jobs WHERE state = 1 AND lapses = 0 AND NOT behind AND :state = 1
             UNION ALL
             SELECT id FROM jobs WHERE state = 1 AND behind AND :state = 1
             UNION ALL
             SELECT id FROM jobs WHERE state = 1 AND lapses > 0 AND NOT behind AND :state = 1
             UNION ALL
             SELECT id FROM jobs WHERE state = 2 AND :state = 2)
    AND id < :below AND (:kinds IS NULL OR kind IN (SELECT jsonb_array_elements_text(:kinds)))
ORDER BY id DESC LIMIT :limit;

-- statement: jobs_list_ended
-- doc: lists done, dead or cancelled jobs, the one that ended last first
-- params: state i64, kinds json?, before time, below i64, limit i64
-- columns: id i64, kind text, key text?, order_key text?, state i64, behind bool, cancelling bool
-- columns: priority i64, attempts i64, error text?, created time, run_at time, finished time?
-- columns: progress_done i64?, progress_total i64?, progress_note text?
-- sqlite
SELECT id, kind, key, order_key, state, behind, cancelling, priority, attempts, error, created,
    run_at, finished, progress_done, progress_total, progress_note
FROM jobs
WHERE state >= 3 AND state = :state AND (finished, id) < (:before, :below)
    AND (:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)))
ORDER BY finished DESC, id DESC LIMIT :limit;
-- postgres
SELECT id, kind, key, order_key, state, behind, cancelling, priority, attempts, error, created,
    run_at, finished, progress_done, progress_total, progress_note
FROM jobs
WHERE state >= 3 AND state = :state AND (finished, id) < (:before, :below)
    AND (:kinds IS NULL OR kind IN (SELECT jsonb_array_elements_text(:kinds)))
ORDER BY finished DESC, id DESC LIMIT :limit;

-- statement: jobs_get
-- doc: reads one job with what it carries
-- params: id i64
-- columns: id i64, kind text, key text?, order_key text?, state i64, behind bool, cancelling bool
-- columns: priority i64, attempts i64, error text?, created time, run_at time, finished time?
-- columns: progress_done i64?, progress_total i64?, progress_note text?
-- columns: payload json, lease_owner text?, lease_until time?
SELECT id, kind, key, order_key, state, behind, cancelling, priority, attempts, error, created,
    run_at, finished, progress_done, progress_total, progress_note,
    payload, lease_owner, lease_until
FROM jobs WHERE id = :id;

-- statement: jobs_count
-- doc: counts the jobs of a state, through the index of that state
-- params: state i64
-- columns: count i64
SELECT (SELECT count(*) FROM jobs WHERE state = 1 AND lapses = 0 AND NOT behind AND :state = 1)
    + (SELECT count(*) FROM jobs WHERE state = 1 AND behind AND :state = 1)
    + (SELECT count(*) FROM jobs WHERE state = 1 AND lapses > 0 AND NOT behind AND :state = 1)
    + (SELECT count(*) FROM jobs WHERE state = 2 AND :state = 2)
    + (SELECT count(*) FROM jobs WHERE state >= 3 AND state = :state) AS count;

-- statement: jobs_count_kinds
-- doc: counts queued, running and dead jobs by kind
-- columns: kind text, state i64, count i64
SELECT kind, state, count(*) AS count FROM jobs
WHERE state IN (1, 2, 4) GROUP BY kind, state ORDER BY kind, state;

-- statement: jobs_queue_make
-- doc: makes the row of a queue that has a rate
-- params: name text, now time
INSERT INTO job_queues (name, starts, updated) VALUES (:name, '[]', :now)
ON CONFLICT (name) DO NOTHING;

-- statement: jobs_queue_lock
-- doc: takes a queue's row for this transaction, unless another one has it
-- params: name text
-- columns: starts json
SELECT starts FROM job_queues WHERE name = :name
-- postgres
FOR UPDATE SKIP LOCKED
-- both
;

-- statement: jobs_queue_starts
-- doc: notes when jobs of a queue started
-- params: name text, starts json, now time
UPDATE job_queues SET starts = :starts, updated = :now WHERE name = :name;

-- statement: jobs_queue_running
-- doc: counts the running jobs of a queue that limits them
-- params: queue text
-- columns: count i64
SELECT count(*) AS count FROM jobs WHERE state = 2 AND queue IS NOT NULL AND queue = :queue;

-- statement: jobs_sweep
-- doc: forgets jobs that ended in a state before a time; the newest row stays, so that its number
-- doc: is never given again
-- params: state i64, before time, limit i64
-- sqlite
DELETE FROM jobs
WHERE id IN (SELECT id FROM jobs
             WHERE state >= 3 AND state = :state AND finished < :before
                 AND id < (SELECT max(id) FROM jobs)
             LIMIT :limit);
-- postgres
DELETE FROM jobs
WHERE ctid = ANY (ARRAY (SELECT ctid FROM jobs
                         WHERE state >= 3 AND state = :state AND finished < :before
                             AND id + 0 < (SELECT max(id) FROM jobs)
                         ORDER BY finished LIMIT :limit))
    AND state + 0 = :state;

-- statement: jobs_cron_get
-- doc: reads the last slot of a schedule
-- params: name text
-- columns: slot i64, spec text
SELECT slot, spec FROM job_crons WHERE name = :name;

-- statement: jobs_cron_insert
-- doc: remembers a schedule that was never seen, or is written otherwise now
-- params: name text, slot i64, spec text, now time
INSERT INTO job_crons (name, slot, spec, fired) VALUES (:name, :slot, :spec, :now)
ON CONFLICT (name) DO UPDATE SET slot = excluded.slot, spec = excluded.spec
WHERE job_crons.spec <> excluded.spec;

-- statement: jobs_cron_move
-- doc: takes a slot of a schedule, if it is still where the caller read it
-- params: name text, slot i64, old_slot i64, now time
UPDATE job_crons SET slot = :slot, fired = :now WHERE name = :name AND slot = :old_slot;
