-- Statements of the soak test of the job queue.

-- statement: soak_effect
-- doc: the effect of a job
-- params: job i64, line i64, place i64
INSERT INTO soak_effects (job, line, place) VALUES (:job, :line, :place);

-- statement: soak_batch
-- doc: notes that a batch was enqueued
-- params: batch i64
INSERT INTO soak_batches (batch) VALUES (:batch);

-- statement: soak_batches
-- doc: counts the batches that were enqueued
-- columns: count i64
SELECT count(*) AS count FROM soak_batches;

-- statement: soak_counts
-- doc: counts effects, and those that came before an earlier one of their line
-- columns: effects i64, jobs i64, disordered i64
SELECT count(*) AS effects, count(DISTINCT e.job) AS jobs,
    (SELECT count(*) FROM (SELECT place, lag(place) OVER (PARTITION BY line ORDER BY seq) AS before
                           FROM soak_effects) AS o
     WHERE o.before IS NOT NULL AND o.place <> o.before + 1) AS disordered
FROM soak_effects AS e;
