-- Events that somebody waits for.

-- statement: chain_expect_insert
-- doc: An event to wait for; a second one of the same key changes nothing.
-- params: expectation_key text, chain_id i64, contract_address address, event_type text
-- params: topic0 hash, topic1 hash?, topic2 hash?, topic3 hash?, transaction_hash hash?
-- params: from_block i64, now time
INSERT INTO chain_expectations
    (expectation_key, chain_id, contract_address, event_type, topic0, topic1, topic2, topic3,
     transaction_hash, from_block, state, created_at, since)
VALUES (:expectation_key, :chain_id, :contract_address, :event_type, :topic0, :topic1, :topic2,
        :topic3, :transaction_hash, :from_block, 1, :now, :now)
ON CONFLICT (expectation_key) DO NOTHING;

-- statement: chain_expect_count
-- doc: How many events of a chain are waited for.
-- params: chain_id i64
-- columns: waiting i64
SELECT COUNT(*) AS waiting FROM chain_expectations WHERE chain_id = :chain_id AND state = 1;

-- statement: chain_expect_get
-- doc: One event that is or was waited for.
-- params: expectation_key text
-- columns: expectation_key text, chain_id i64, contract_address address, event_type text
-- columns: topic0 hash, topic1 hash?, topic2 hash?, topic3 hash?, transaction_hash hash?
-- columns: from_block i64, state i64, block_number i64?, log_index i64?, seen_in hash?
-- columns: node_block i64?, since time
SELECT expectation_key, chain_id, contract_address, event_type, topic0, topic1, topic2, topic3,
       transaction_hash, from_block, state, block_number, log_index, seen_in, node_block, since
FROM chain_expectations WHERE expectation_key = :expectation_key;

-- statement: chain_expect_waiting
-- doc: The events of a chain that are waited for.
-- params: chain_id i64
-- columns: expectation_key text, chain_id i64, contract_address address, event_type text
-- columns: topic0 hash, topic1 hash?, topic2 hash?, topic3 hash?, transaction_hash hash?
-- columns: from_block i64, state i64, block_number i64?, log_index i64?, seen_in hash?
-- columns: node_block i64?, since time
SELECT expectation_key, chain_id, contract_address, event_type, topic0, topic1, topic2, topic3,
       transaction_hash, from_block, state, block_number, log_index, seen_in, node_block, since
FROM chain_expectations WHERE chain_id = :chain_id AND state = 1 ORDER BY since;

-- statement: chain_expect_seen
-- doc: The event was applied.
-- params: expectation_key text, block_number i64, log_index i64, seen_in hash, now time
UPDATE chain_expectations
SET state = 2, block_number = :block_number, log_index = :log_index, seen_in = :seen_in,
    ended_at = :now
WHERE expectation_key = :expectation_key AND state = 1;

-- statement: chain_expect_timed_out
-- doc: The event did not come in time.
-- params: expectation_key text, now time
UPDATE chain_expectations SET state = 3, ended_at = :now
WHERE expectation_key = :expectation_key AND state = 1;

-- statement: chain_expect_found
-- doc: A node says where the event is.
-- params: expectation_key text, node_block i64
UPDATE chain_expectations SET node_block = :node_block
WHERE expectation_key = :expectation_key AND state = 1;

-- statement: chain_expect_lost
-- doc: The events that were seen in blocks that are gone.
-- params: chain_id i64, from_block i64
-- columns: expectation_key text
SELECT expectation_key FROM chain_expectations
WHERE chain_id = :chain_id AND block_number >= :from_block AND state = 2
ORDER BY expectation_key;

-- statement: chain_expect_reopen
-- doc: They are waited for again.
-- params: chain_id i64, from_block i64, now time
UPDATE chain_expectations
SET state = 1, block_number = NULL, log_index = NULL, seen_in = NULL, node_block = NULL,
    since = :now, ended_at = NULL
WHERE chain_id = :chain_id AND block_number >= :from_block AND state = 2;

-- statement: chain_expect_prune
-- doc: Forgets what has ended, the oldest first.
-- params: before time, max_rows i64
DELETE FROM chain_expectations WHERE expectation_key IN (
    SELECT e.expectation_key FROM chain_expectations e
    WHERE e.ended_at < :before ORDER BY e.ended_at LIMIT :max_rows);
