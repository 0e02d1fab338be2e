-- Idempotency keys: see http.h. States are the numbers of the migration: 1 running, 2 answered.

-- statement: http_idempotency_insert
-- doc: claims a key that nobody has used; changes no row when somebody has
-- params: key text, route text, principal text, body_hash hash, boot text, now time
INSERT INTO http_idempotency (key, route, principal, body_hash, state, boot, started_at)
VALUES (:key, :route, :principal, :body_hash, 1, :boot, :now)
ON CONFLICT (key, route, principal) DO NOTHING;

-- statement: http_idempotency_find
-- doc: reads the row of a key and keeps others from changing it
-- params: key text, route text, principal text
-- columns: body_hash hash, state i64, boot text, started_at time, status i64?, content_type text?
-- columns: location text?, body bytes?
SELECT body_hash, state, boot, started_at, status, content_type, location, body
FROM http_idempotency
WHERE key = :key AND route = :route AND principal = :principal
-- postgres
FOR UPDATE
-- both
;

-- statement: http_idempotency_take
-- doc: gives a row whose owner died, or that expired, to a new run
-- params: key text, route text, principal text, body_hash hash, boot text, now time
UPDATE http_idempotency
SET body_hash = :body_hash, state = 1, boot = :boot, started_at = :now,
    status = NULL, content_type = NULL, location = NULL, body = NULL
WHERE key = :key AND route = :route AND principal = :principal;

-- statement: http_idempotency_answer
-- doc: keeps the answer of a run that still owns its row
-- params: key text, route text, principal text, boot text, started_at time, status i64
-- params: content_type text?, location text?, body bytes
UPDATE http_idempotency
SET state = 2, status = :status, content_type = :content_type, location = :location, body = :body
WHERE key = :key AND route = :route AND principal = :principal
    AND state = 1 AND boot = :boot AND started_at = :started_at;

-- statement: http_idempotency_forget
-- doc: frees the key of a run that still owns its row
-- params: key text, route text, principal text, boot text, started_at time
DELETE FROM http_idempotency
WHERE key = :key AND route = :route AND principal = :principal
    AND state = 1 AND boot = :boot AND started_at = :started_at;

-- statement: http_idempotency_purge
-- doc: forgets a few keys that are older than `before`
-- params: before time, limit i64
DELETE FROM http_idempotency
WHERE (key, route, principal) IN (
    SELECT key, route, principal FROM http_idempotency
    WHERE started_at < :before ORDER BY started_at LIMIT :limit
);
