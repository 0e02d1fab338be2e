-- Endpoints that want to be told what happened, and what they were told.

-- statement: webhooks_endpoint_insert
-- doc: A new endpoint.
-- params: endpoint_id text, url text, events text, now time
INSERT INTO webhook_endpoints (endpoint_id, url, events, secret_version, created_at)
VALUES (:endpoint_id, :url, :events, 1, :now);

-- statement: webhooks_endpoint_get
-- doc: One endpoint.
-- params: endpoint_id text
-- columns: endpoint_id text, url text, events text, secret_version i64, rotated_at time?
-- columns: created_at time
SELECT endpoint_id, url, events, secret_version, rotated_at, created_at
FROM webhook_endpoints WHERE endpoint_id = :endpoint_id;

-- statement: webhooks_endpoints_list
-- doc: All endpoints, oldest first.
-- columns: endpoint_id text, url text, events text, secret_version i64, rotated_at time?
-- columns: created_at time
SELECT endpoint_id, url, events, secret_version, rotated_at, created_at
FROM webhook_endpoints ORDER BY created_at, endpoint_id;

-- statement: webhooks_endpoint_rotate
-- doc: The next version of the secret.
-- params: endpoint_id text, now time
UPDATE webhook_endpoints SET secret_version = secret_version + 1, rotated_at = :now
WHERE endpoint_id = :endpoint_id;

-- statement: webhooks_endpoint_delete
-- doc: Forgets an endpoint.
-- params: endpoint_id text
DELETE FROM webhook_endpoints WHERE endpoint_id = :endpoint_id;

-- statement: webhooks_deliveries_delete
-- doc: Forgets what an endpoint was told.
-- params: endpoint_id text
DELETE FROM webhook_deliveries WHERE endpoint_id = :endpoint_id;

-- statement: webhooks_delivery_insert
-- doc: Something to tell an endpoint.
-- params: delivery_id text, endpoint_id text, event text, subject text, body bytes, now time
INSERT INTO webhook_deliveries
    (delivery_id, endpoint_id, event, subject, body, state, attempts, created_at)
VALUES (:delivery_id, :endpoint_id, :event, :subject, :body, 1, 0, :now);

-- statement: webhooks_delivery_get
-- doc: A delivery and where it goes.
-- params: delivery_id text
-- columns: state i64, event text, body bytes, endpoint_id text, url text, secret_version i64
-- columns: rotated_at time?
SELECT d.state, d.event, d.body, e.endpoint_id, e.url, e.secret_version, e.rotated_at
FROM webhook_deliveries d JOIN webhook_endpoints e ON e.endpoint_id = d.endpoint_id
WHERE d.delivery_id = :delivery_id;

-- statement: webhooks_delivery_put
-- doc: What became of an attempt.
-- params: delivery_id text, state i64, status i64?, error text?, now time
UPDATE webhook_deliveries
SET state = :state, status = :status, error = :error, attempts = attempts + 1, tried_at = :now
WHERE delivery_id = :delivery_id AND state <> 2;

-- statement: webhooks_deliveries_list
-- doc: What an endpoint was told, newest first; state 0 means any.
-- params: endpoint_id text, state i64, below_seq i64, max_rows i64
-- columns: seq i64, delivery_id text, event text, subject text, state i64, attempts i64
-- columns: status i64?, error text?, created_at time, tried_at time?
SELECT seq, delivery_id, event, subject, state, attempts, status, error, created_at, tried_at
FROM webhook_deliveries
WHERE endpoint_id = :endpoint_id AND (:state = 0 OR state = :state) AND seq < :below_seq
ORDER BY seq DESC
LIMIT :max_rows;

-- statement: webhooks_deliveries_purge
-- doc: Forgets deliveries that have ended.
-- params: before time, max_rows i64
DELETE FROM webhook_deliveries
WHERE seq IN (SELECT seq FROM webhook_deliveries
              WHERE state <> 1 AND created_at < :before ORDER BY seq LIMIT :max_rows);
