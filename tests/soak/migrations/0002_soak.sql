-- What the jobs of the soak test leave behind, and what has been enqueued.

-- up

-- One row an effect: a second one of the same job is refused. `seq` grows within a line in the
-- order of the effects, because of one line only one job runs at a time.
CREATE TABLE soak_effects (
    seq @id,
    job @i64 NOT NULL UNIQUE,
    line @i64 NOT NULL,
    place @i64 NOT NULL
);

CREATE TABLE soak_batches (
    batch @i64 NOT NULL PRIMARY KEY
);

-- down

DROP TABLE soak_batches;
DROP TABLE soak_effects;
