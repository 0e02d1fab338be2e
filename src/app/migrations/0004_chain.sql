-- Following chains: cursors, remembered blocks, followed contracts, raw events, reorganisations.

-- up

-- One row a chain: the last block whose events are applied. `halted_why` is "" while it runs.
CREATE TABLE chain_cursors (
    chain_id @i64 NOT NULL PRIMARY KEY,
    block_number @i64 NOT NULL,
    block_hash @hash NOT NULL,
    genesis_hash @hash NOT NULL,
    halted_why @text NOT NULL,
    updated_at @time NOT NULL
);

-- The last blocks, so that a fork is found by comparing hashes.
CREATE TABLE chain_blocks (
    chain_id @i64 NOT NULL,
    block_number @i64 NOT NULL,
    block_hash @hash NOT NULL,
    parent_hash @hash NOT NULL,
    block_time @time NOT NULL,
    PRIMARY KEY (chain_id, block_number)
);

-- Contracts whose logs are read. Those that a factory made are undone with their creation.
CREATE TABLE chain_sources (
    chain_id @i64 NOT NULL,
    address @address NOT NULL,
    contract @text NOT NULL,
    from_block @i64 NOT NULL,
    PRIMARY KEY (chain_id, address)
);
-- projection: chain_sources (chain_id, address)

-- Every log that was applied, decoded. Rows of orphaned blocks are deleted with their effects.
CREATE TABLE blockchain_events (
    chain_id @i64 NOT NULL,
    block_number @i64 NOT NULL,
    log_index @i64 NOT NULL,
    block_hash @hash NOT NULL,
    transaction_hash @hash NOT NULL,
    contract_address @address NOT NULL,
    event_type @text NOT NULL,
    event_data @json NOT NULL,
    processed @bool NOT NULL,
    error @text,
    created_at @time NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index),
    UNIQUE (chain_id, transaction_hash, log_index)
);
CREATE INDEX idx_blockchain_events_contract
    ON blockchain_events (chain_id, contract_address, block_number, log_index);
CREATE INDEX idx_blockchain_events_type ON blockchain_events (event_type);
CREATE INDEX idx_blockchain_events_unprocessed
    ON blockchain_events (chain_id, block_number) WHERE NOT processed;

-- Every reorganisation that was undone, for people.
CREATE TABLE chain_reorgs (
    reorg_id @id,
    chain_id @i64 NOT NULL,
    fork_block @i64 NOT NULL,
    depth @i64 NOT NULL,
    old_hash @hash NOT NULL,
    new_hash @hash NOT NULL,
    changes_undone @i64 NOT NULL,
    created_at @time NOT NULL
);
CREATE INDEX idx_chain_reorgs_chain ON chain_reorgs (chain_id, created_at);

-- down

DROP TABLE chain_reorgs;
DROP TABLE blockchain_events;
DROP TABLE chain_sources;
DROP TABLE chain_blocks;
DROP TABLE chain_cursors;
