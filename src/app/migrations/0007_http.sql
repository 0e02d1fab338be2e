-- Answers that were given to requests with an Idempotency-Key.

-- up

-- One row a key, route and principal. `state` is 1 while the handler runs, 2 when the answer is
-- kept. `boot` and `started_at` name the run that owns a row in state 1.
CREATE TABLE http_idempotency (
    key @text NOT NULL,
    route @text NOT NULL,
    principal @text NOT NULL,
    body_hash @hash NOT NULL,
    state @i64 NOT NULL CHECK (state IN (1, 2)),
    boot @text NOT NULL,
    started_at @time NOT NULL,
    status @i64,
    content_type @text,
    location @text,
    body @bytes,
    PRIMARY KEY (key, route, principal),
    CHECK (state = 1 OR (status IS NOT NULL AND body IS NOT NULL))
);
CREATE INDEX http_idempotency_started ON http_idempotency (started_at);

-- down
DROP TABLE http_idempotency;
