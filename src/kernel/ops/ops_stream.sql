-- What subscribers are told of the relay and of the chain (kernel/stream/stream.h).

-- statement: ops_stream_transaction
-- doc: A relayed transaction.
-- params: intent_id text
-- columns: intent_id text, chain_id i64, wallet address, to_address address?, purpose text
-- columns: state text, final bool, nonce i64?, transaction_hash hash?, attempts i64
-- columns: block_number i64?, contract address?, error_code text?, error text?, updated_at time
SELECT intent_id, chain_id, wallet, to_address, purpose,
       CASE state WHEN 1 THEN 'queued' WHEN 2 THEN 'signed' WHEN 3 THEN 'sent' WHEN 4 THEN 'mined'
                  WHEN 5 THEN 'reverted' WHEN 6 THEN 'failed' WHEN 7 THEN 'replaced'
                  ELSE 'cancelled' END AS state,
       final, nonce, transaction_hash, attempts, block_number, contract, error_code, error,
       updated_at
FROM relay_intents WHERE intent_id = :intent_id;

-- statement: ops_stream_transactions
-- doc: The newest relayed transactions.
-- params: max_rows i64
-- columns: intent_id text, chain_id i64, wallet address, to_address address?, purpose text
-- columns: state text, final bool, nonce i64?, transaction_hash hash?, attempts i64
-- columns: block_number i64?, contract address?, error_code text?, error text?, updated_at time
SELECT intent_id, chain_id, wallet, to_address, purpose,
       CASE state WHEN 1 THEN 'queued' WHEN 2 THEN 'signed' WHEN 3 THEN 'sent' WHEN 4 THEN 'mined'
                  WHEN 5 THEN 'reverted' WHEN 6 THEN 'failed' WHEN 7 THEN 'replaced'
                  ELSE 'cancelled' END AS state,
       final, nonce, transaction_hash, attempts, block_number, contract, error_code, error,
       updated_at
FROM relay_intents ORDER BY seq DESC LIMIT :max_rows;

-- statement: ops_stream_chain
-- doc: How far a chain is applied.
-- params: chain_id i64
-- columns: chain_id i64, block_number i64, block_hash hash, final_block i64, halted_why text
-- columns: updated_at time
SELECT chain_id, block_number, block_hash, final_block, halted_why, updated_at
FROM chain_cursors WHERE chain_id = :chain_id;

-- statement: ops_stream_chains
-- doc: How far the chains are applied.
-- params: max_rows i64
-- columns: chain_id i64, block_number i64, block_hash hash, final_block i64, halted_why text
-- columns: updated_at time
SELECT chain_id, block_number, block_hash, final_block, halted_why, updated_at
FROM chain_cursors ORDER BY chain_id LIMIT :max_rows;

-- statement: ops_stream_reorg
-- doc: A reorganisation that was undone.
-- params: reorg_id i64
-- columns: reorg_id i64, chain_id i64, fork_block i64, depth i64, old_hash hash, new_hash hash
-- columns: changes_undone i64, created_at time
SELECT reorg_id, chain_id, fork_block, depth, old_hash, new_hash, changes_undone, created_at
FROM chain_reorgs WHERE reorg_id = :reorg_id;

-- statement: ops_stream_reorgs
-- doc: The newest reorganisations.
-- params: max_rows i64
-- columns: reorg_id i64, chain_id i64, fork_block i64, depth i64, old_hash hash, new_hash hash
-- columns: changes_undone i64, created_at time
SELECT reorg_id, chain_id, fork_block, depth, old_hash, new_hash, changes_undone, created_at
FROM chain_reorgs ORDER BY reorg_id DESC LIMIT :max_rows;
