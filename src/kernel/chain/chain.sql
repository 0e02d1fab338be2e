-- statement: chain_cursor_get
-- doc: The cursor of a chain.
-- params: chain_id i64
-- columns: block_number i64, block_hash hash, genesis_hash hash, halted_why text, final_block i64
-- columns: updated_at time
SELECT block_number, block_hash, genesis_hash, halted_why, final_block, updated_at
FROM chain_cursors WHERE chain_id = :chain_id;

-- statement: chain_totals
-- doc: What became of a chain so far: reorganisations undone, events that handlers refused.
-- params: chain_id i64
-- columns: reorgs i64, refused i64
SELECT (SELECT COUNT(*) FROM chain_reorgs r WHERE r.chain_id = :chain_id) AS reorgs,
       (SELECT COUNT(*) FROM blockchain_events e
        WHERE e.chain_id = :chain_id AND NOT e.processed) AS refused;

-- statement: chain_cursor_insert
-- doc: The first cursor of a chain.
-- params: chain_id i64, block_number i64, block_hash hash, genesis_hash hash, now time
INSERT INTO chain_cursors
    (chain_id, block_number, block_hash, genesis_hash, halted_why, updated_at)
VALUES (:chain_id, :block_number, :block_hash, :genesis_hash, '', :now);

-- statement: chain_cursor_move
-- doc: Moves the cursor if it is still where the caller read it; what was final stays so.
-- params: chain_id i64, block_number i64, block_hash hash, final_block i64, now time
-- params: old_number i64, old_hash hash
UPDATE chain_cursors
SET block_number = :block_number, block_hash = :block_hash, updated_at = :now,
    final_block = CASE WHEN final_block > :final_block THEN final_block ELSE :final_block END
WHERE chain_id = :chain_id AND block_number = :old_number AND block_hash = :old_hash
    AND halted_why = '';

-- statement: chain_cursor_touch
-- doc: Keeps others from moving the cursor before this transaction ends, unless it is halted.
-- params: chain_id i64, now time
UPDATE chain_cursors SET updated_at = :now WHERE chain_id = :chain_id AND halted_why = '';

-- statement: chain_cursor_halt
-- doc: Stops a chain and says why.
-- params: chain_id i64, halted_why text, now time
UPDATE chain_cursors SET halted_why = :halted_why, updated_at = :now WHERE chain_id = :chain_id;

-- statement: chain_cursor_rewind
-- doc: Puts the cursor back and clears a halt.
-- params: chain_id i64, block_number i64, block_hash hash, now time
UPDATE chain_cursors
SET block_number = :block_number, block_hash = :block_hash, halted_why = '', updated_at = :now,
    final_block = CASE WHEN final_block > :block_number THEN :block_number ELSE final_block END
WHERE chain_id = :chain_id;

-- statement: chain_block_insert
-- doc: Remembers a block.
-- rows: load
-- params: chain_id i64, block_number i64, block_hash hash, parent_hash hash, block_time time
INSERT INTO chain_blocks (chain_id, block_number, block_hash, parent_hash, block_time)
VALUES (:chain_id, :block_number, :block_hash, :parent_hash, :block_time);

-- statement: chain_block_get
-- doc: A remembered block.
-- params: chain_id i64, block_number i64
-- columns: block_hash hash
SELECT block_hash FROM chain_blocks WHERE chain_id = :chain_id AND block_number = :block_number;

-- statement: chain_blocks_range
-- doc: Remembered blocks from the newest down.
-- params: chain_id i64, from_block i64, to_block i64
-- columns: block_number i64, block_hash hash
SELECT block_number, block_hash FROM chain_blocks
WHERE chain_id = :chain_id AND block_number BETWEEN :from_block AND :to_block
ORDER BY block_number DESC;

-- statement: chain_blocks_oldest
-- doc: The oldest block that is remembered.
-- params: chain_id i64
-- columns: block_number i64
SELECT block_number FROM chain_blocks
WHERE chain_id = :chain_id ORDER BY block_number LIMIT 1;

-- statement: chain_blocks_cut
-- doc: Forgets blocks from a number on.
-- params: chain_id i64, from_block i64
DELETE FROM chain_blocks WHERE chain_id = :chain_id AND block_number >= :from_block;

-- statement: chain_blocks_prune
-- doc: Forgets blocks that are too old to be undone.
-- params: chain_id i64, below_block i64
DELETE FROM chain_blocks WHERE chain_id = :chain_id AND block_number < :below_block;

-- statement: chain_source_insert
-- doc: Follows a contract; a second time changes nothing.
-- params: chain_id i64, address address, contract text, from_block i64
INSERT INTO chain_sources (chain_id, address, contract, from_block)
VALUES (:chain_id, :address, :contract, :from_block)
ON CONFLICT (chain_id, address) DO NOTHING;

-- statement: chain_sources_list
-- doc: All followed contracts of a chain.
-- params: chain_id i64
-- columns: address address, contract text, from_block i64
SELECT address, contract, from_block FROM chain_sources
WHERE chain_id = :chain_id ORDER BY address;

-- statement: chain_event_insert
-- doc: Stores an applied log.
-- rows: load
-- params: chain_id i64, block_number i64, log_index i64, block_hash hash, transaction_hash hash
-- params: contract_address address, event_type text, event_data json, processed bool, error text?
-- params: now time
INSERT INTO blockchain_events
    (chain_id, block_number, log_index, block_hash, transaction_hash, contract_address,
     event_type, event_data, processed, error, created_at)
VALUES (:chain_id, :block_number, :log_index, :block_hash, :transaction_hash, :contract_address,
        :event_type, :event_data, :processed, :error, :now);

-- statement: chain_event_get
-- doc: What became of an applied log.
-- params: chain_id i64, block_number i64, log_index i64
-- columns: block_hash hash, processed bool, error text?
SELECT block_hash, processed, error FROM blockchain_events
WHERE chain_id = :chain_id AND block_number = :block_number AND log_index = :log_index;

-- statement: chain_event_processed
-- doc: A refused log was taken after all.
-- params: chain_id i64, block_number i64, log_index i64
UPDATE blockchain_events SET processed = TRUE, error = NULL
WHERE chain_id = :chain_id AND block_number = :block_number AND log_index = :log_index;

-- statement: chain_events_refused
-- doc: The oldest logs that their handlers refused.
-- params: chain_id i64, max_rows i64
-- columns: block_number i64, log_index i64, block_hash hash, contract_address address
SELECT block_number, log_index, block_hash, contract_address FROM blockchain_events
WHERE chain_id = :chain_id AND NOT processed
ORDER BY block_number, log_index LIMIT :max_rows;

-- statement: chain_events_range
-- doc: The applied logs of a range of blocks, in order.
-- params: chain_id i64, from_block i64, to_block i64
-- columns: block_number i64, log_index i64, block_hash hash, transaction_hash hash
-- columns: contract_address address, event_type text, event_data json
SELECT block_number, log_index, block_hash, transaction_hash, contract_address, event_type,
       event_data
FROM blockchain_events
WHERE chain_id = :chain_id AND block_number BETWEEN :from_block AND :to_block
ORDER BY block_number, log_index;

-- statement: chain_events_cut
-- doc: Deletes logs of orphaned blocks.
-- params: chain_id i64, from_block i64
DELETE FROM blockchain_events WHERE chain_id = :chain_id AND block_number >= :from_block;

-- statement: chain_events_kept
-- doc: From which block on each chain keeps its events whatever their age.
-- params: max_rows i64
-- columns: chain_id i64, from_block i64
SELECT c.chain_id,
       coalesce((SELECT max(e.block_number) FROM blockchain_events e
                 WHERE e.chain_id = c.chain_id
                     AND e.block_number < (SELECT min(b.block_number) FROM chain_blocks b
                                           WHERE b.chain_id = c.chain_id)), 0) AS from_block
FROM chain_cursors c
ORDER BY c.chain_id
LIMIT :max_rows;

-- statement: chain_events_prune
-- doc: Deletes old events of a chain, the oldest first.
-- params: chain_id i64, from_block i64, before time, max_rows i64
DELETE FROM blockchain_events
WHERE created_at < :before
    AND (chain_id, block_number, log_index, created_at) IN (
        SELECT e.chain_id, e.block_number, e.log_index, e.created_at FROM blockchain_events e
        WHERE e.chain_id = :chain_id AND e.block_number < :from_block AND e.created_at < :before
        ORDER BY e.created_at
        LIMIT :max_rows);

-- statement: chain_events_below
-- doc: An applied log at or below a block, if there is one.
-- params: chain_id i64, block_number i64
-- columns: block_number i64
SELECT block_number FROM blockchain_events
WHERE chain_id = :chain_id AND block_number <= :block_number
LIMIT 1;

-- statement: chain_reorg_insert
-- doc: Records a reorganisation that was undone.
-- params: chain_id i64, fork_block i64, depth i64, old_hash hash, new_hash hash, changes_undone i64
-- params: now time
INSERT INTO chain_reorgs
    (chain_id, fork_block, depth, old_hash, new_hash, changes_undone, created_at)
VALUES (:chain_id, :fork_block, :depth, :old_hash, :new_hash, :changes_undone, :now);
