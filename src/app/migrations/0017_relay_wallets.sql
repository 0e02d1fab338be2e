-- Wallets that share work, what they hold, and transactions that any of them may send.

-- up

-- `low`: it holds too little to be given more work. `balance` is as of `balance_at`.
ALTER TABLE relay_wallets ADD COLUMN pooled @bool NOT NULL DEFAULT FALSE;
ALTER TABLE relay_wallets ADD COLUMN low @bool NOT NULL DEFAULT FALSE;
ALTER TABLE relay_wallets ADD COLUMN balance @u256;
ALTER TABLE relay_wallets ADD COLUMN balance_at @time;
-- pool: 0 its wallet is given, 1 any of the pool may send it and none was chosen yet, 2 chosen.
ALTER TABLE relay_intents ADD COLUMN pool @i64 NOT NULL DEFAULT 0 CHECK (pool BETWEEN 0 AND 2);
CREATE INDEX idx_relay_intents_pool ON relay_intents (chain_id, priority, seq) WHERE pool = 1;

-- down
DROP INDEX idx_relay_intents_pool;
ALTER TABLE relay_intents DROP COLUMN pool;
ALTER TABLE relay_wallets DROP COLUMN balance_at;
ALTER TABLE relay_wallets DROP COLUMN balance;
ALTER TABLE relay_wallets DROP COLUMN low;
ALTER TABLE relay_wallets DROP COLUMN pooled;
