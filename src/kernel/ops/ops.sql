-- statement: ops_events_list
-- doc: Applied events below a position, newest first.
-- params: chain_id i64, below_block i64, below_index i64, max_rows i64
-- columns: block_number i64, log_index i64, block_hash hash, transaction_hash hash
-- columns: contract_address address, event_type text, event_data json, processed bool, error text?
SELECT block_number, log_index, block_hash, transaction_hash, contract_address, event_type,
       event_data, processed, error
FROM blockchain_events
WHERE chain_id = :chain_id
    AND (block_number < :below_block
         OR (block_number = :below_block AND log_index < :below_index))
ORDER BY block_number DESC, log_index DESC
LIMIT :max_rows;
