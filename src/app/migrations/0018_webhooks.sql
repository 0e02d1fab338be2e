-- Others who are told what happened (kernel/webhooks/webhooks.h).

-- up

-- `events`: names apart by commas, or '*'. The secret itself is derived and not stored.
CREATE TABLE webhook_endpoints (
    endpoint_id @text NOT NULL PRIMARY KEY,
    url @text NOT NULL,
    events @text NOT NULL,
    secret_version @i64 NOT NULL CHECK (secret_version > 0),
    rotated_at @time,
    created_at @time NOT NULL
);

-- state: 1 waiting, 2 delivered, 3 dead. `body` is what is sent, to the byte.
CREATE TABLE webhook_deliveries (
    seq @id,
    delivery_id @text NOT NULL UNIQUE,
    endpoint_id @text NOT NULL REFERENCES webhook_endpoints (endpoint_id),
    event @text NOT NULL,
    subject @text NOT NULL,
    body @bytes NOT NULL,
    state @i64 NOT NULL CHECK (state BETWEEN 1 AND 3),
    attempts @i64 NOT NULL,
    status @i64,
    error @text,
    created_at @time NOT NULL,
    tried_at @time
);
CREATE INDEX idx_webhook_deliveries ON webhook_deliveries (endpoint_id, seq);
CREATE INDEX idx_webhook_deliveries_ended ON webhook_deliveries (created_at) WHERE state <> 1;

-- down
DROP TABLE webhook_deliveries;
DROP TABLE webhook_endpoints;
