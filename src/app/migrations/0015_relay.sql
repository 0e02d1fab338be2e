-- What is asked of transactions that were submitted: a priority, to be taken back, to be hurried.

-- up

-- priority: 1 low, 2 normal, 3 high. `cancelling`: a filler is to take the nonce. `hurried`: one
-- more version with higher fees is to be made.
ALTER TABLE relay_intents ADD COLUMN priority @i64 NOT NULL DEFAULT 2
    CHECK (priority BETWEEN 1 AND 3);
ALTER TABLE relay_intents ADD COLUMN cancelling @bool NOT NULL DEFAULT FALSE;
ALTER TABLE relay_intents ADD COLUMN hurried @bool NOT NULL DEFAULT FALSE;
-- What people list by.
CREATE INDEX idx_relay_intents_purpose ON relay_intents (purpose, seq);
CREATE INDEX idx_relay_intents_wallet ON relay_intents (wallet, seq);

-- down
DROP INDEX idx_relay_intents_wallet;
DROP INDEX idx_relay_intents_purpose;
ALTER TABLE relay_intents DROP COLUMN hurried;
ALTER TABLE relay_intents DROP COLUMN cancelling;
ALTER TABLE relay_intents DROP COLUMN priority;
