-- Events that somebody waits for (kernel/chain/chain_expect.h).

-- up

-- state: 1 waiting, 2 seen, 3 timed out. A NULL topic or transaction is any. `node_block` is where
-- a node said that the event is, before it was applied.
CREATE TABLE chain_expectations (
    expectation_key @text NOT NULL PRIMARY KEY,
    chain_id @i64 NOT NULL,
    contract_address @address NOT NULL,
    event_type @text NOT NULL,
    topic0 @hash NOT NULL,
    topic1 @hash,
    topic2 @hash,
    topic3 @hash,
    transaction_hash @hash,
    from_block @i64 NOT NULL,
    state @i64 NOT NULL CHECK (state BETWEEN 1 AND 3),
    block_number @i64,
    log_index @i64,
    seen_in @hash,
    node_block @i64,
    created_at @time NOT NULL,
    since @time NOT NULL,
    ended_at @time
);
CREATE INDEX idx_chain_expectations_waiting ON chain_expectations (chain_id, since)
    WHERE state = 1;
CREATE INDEX idx_chain_expectations_seen ON chain_expectations (chain_id, block_number)
    WHERE state = 2;
CREATE INDEX idx_chain_expectations_ended ON chain_expectations (ended_at)
    WHERE ended_at IS NOT NULL;

-- down
DROP TABLE chain_expectations;
