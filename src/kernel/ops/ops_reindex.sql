-- Rebuilding what follows from a chain; see ops_reindex.h.

-- statement: ops_reindex_cursor_get
-- doc: Where a chain is, and whether it is halted.
-- params: chain_id i64
-- columns: block_number i64, block_hash hash, halted_why text
SELECT block_number, block_hash, halted_why FROM chain_cursors WHERE chain_id = :chain_id;

-- statement: ops_reindex_cursor_hold
-- doc: Keeps whoever follows the chain from moving its cursor before this transaction ends.
-- params: chain_id i64, block_number i64, block_hash hash, now time
UPDATE chain_cursors SET updated_at = :now
WHERE chain_id = :chain_id AND block_number = :block_number AND block_hash = :block_hash;

-- statement: ops_reindex_cursor_put
-- doc: Puts a halted cursor to a block and lets it go on.
-- params: chain_id i64, block_number i64, block_hash hash, now time
UPDATE chain_cursors
SET block_number = :block_number, block_hash = :block_hash, halted_why = '', updated_at = :now
WHERE chain_id = :chain_id;

-- statement: ops_reindex_event_newest
-- doc: The newest applied event at or below a block.
-- params: chain_id i64, block_number i64
-- columns: block_number i64, block_hash hash
SELECT block_number, block_hash FROM blockchain_events
WHERE chain_id = :chain_id AND block_number <= :block_number
ORDER BY block_number DESC LIMIT 1;

-- statement: ops_reindex_undo_list
-- doc: Inverses of a chain from a block on, in their order.
-- params: chain_id i64, from_block i64, after_seq i64, max_rows i64
-- columns: seq i64, block_number i64, statement text
SELECT seq, block_number, statement FROM undo_log
WHERE chain_id = :chain_id AND block_number >= :from_block AND seq > :after_seq
ORDER BY seq LIMIT :max_rows;

-- statement: ops_reindex_undo_first
-- doc: The oldest remembered block of a chain: inverses go back so far.
-- params: chain_id i64
-- columns: block_number i64
SELECT block_number FROM chain_blocks
WHERE chain_id = :chain_id ORDER BY block_number LIMIT 1;

-- statement: ops_reindex_undo_drop
-- doc: Forgets an inverse.
-- params: seq i64
DELETE FROM undo_log WHERE seq = :seq;

-- statement: ops_reindex_undo_add
-- doc: Adds an inverse behind all others.
-- params: chain_id i64, block_number i64, statement text
INSERT INTO undo_log (chain_id, block_number, statement)
VALUES (:chain_id, :block_number, :statement);
