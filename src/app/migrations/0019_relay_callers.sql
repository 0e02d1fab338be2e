-- For whom transactions are sent (kernel/relay/relay_checks.h).

-- up

-- The number that a caller's next request must have.
CREATE TABLE relay_callers (
    caller_id @text NOT NULL PRIMARY KEY,
    next_nonce @i64 NOT NULL CHECK (next_nonce > 0),
    updated_at @time NOT NULL
);
ALTER TABLE relay_intents ADD COLUMN caller_id @text;
CREATE INDEX idx_relay_intents_caller ON relay_intents (caller_id, created_at)
    WHERE caller_id IS NOT NULL;

-- down
DROP INDEX idx_relay_intents_caller;
ALTER TABLE relay_intents DROP COLUMN caller_id;
DROP TABLE relay_callers;
