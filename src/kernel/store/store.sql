-- The store's own statements: which migrations are applied, and the undo log.

-- statement: store_migrations_create
-- doc: makes the table of applied migrations, before the first one runs
-- bootstrap
CREATE TABLE IF NOT EXISTS schema_migrations (
    version @i64 PRIMARY KEY,
    name @text NOT NULL,
    checksum @text NOT NULL,
    applied_at @time NOT NULL
);

-- statement: store_migrations_list
-- doc: lists the applied migrations, oldest first
-- columns: version i64, name text, checksum text
SELECT version, name, checksum FROM schema_migrations ORDER BY version;

-- statement: store_migrations_add
-- doc: records that a migration was applied
-- params: version i64, name text, checksum text, applied_at time
INSERT INTO schema_migrations (version, name, checksum, applied_at)
VALUES (:version, :name, :checksum, :applied_at);

-- statement: store_migrations_remove
-- doc: records that a migration was taken back
-- params: version i64
DELETE FROM schema_migrations WHERE version = :version;

-- statement: store_undo_begin
-- doc: lets the triggers of projections write the undo log, for this transaction
-- params: chain_id i64, block_number i64
-- sqlite
INSERT INTO undo_context (single, chain_id, block_number) VALUES (1, :chain_id, :block_number);
-- postgres
SELECT set_config('freehold.undo', concat(:chain_id, ':', :block_number), true);

-- statement: store_undo_end
-- doc: stops the triggers of projections
-- sqlite
DELETE FROM undo_context;
-- postgres
SELECT set_config('freehold.undo', '', true);

-- statement: store_undo_mark
-- doc: says to the triggers of other tables that the undo log is being replayed
-- sqlite
INSERT INTO undo_log (chain_id, block_number, statement) VALUES (-1, 0, 'replay');
-- postgres
WITH told AS (SELECT set_config('freehold.replay', '1', true))
INSERT INTO undo_log (chain_id, block_number, statement) SELECT -1, 0, 'replay' FROM told;

-- statement: store_undo_unmark
-- doc: ends what store_undo_mark began, before anybody else can see it
-- sqlite
DELETE FROM undo_log WHERE chain_id = -1;
-- postgres
WITH told AS (SELECT set_config('freehold.replay', '', true))
DELETE FROM undo_log USING told WHERE chain_id = -1;

-- statement: store_undo_add
-- doc: writes down the inverse of a change that no trigger sees
-- params: chain_id i64, block_number i64, statement text
INSERT INTO undo_log (chain_id, block_number, statement)
VALUES (:chain_id, :block_number, :statement);

-- statement: store_undo_list
-- doc: lists the newest changes of a chain from a block on, newest first
-- params: chain_id i64, from_block i64, limit i64
-- columns: seq i64, statement text
SELECT seq, statement FROM undo_log
WHERE chain_id = :chain_id AND block_number >= :from_block
ORDER BY seq DESC LIMIT :limit;

-- statement: store_undo_drop
-- doc: forgets the changes that were just reverted
-- params: chain_id i64, from_block i64, from_seq i64
DELETE FROM undo_log
WHERE chain_id = :chain_id AND block_number >= :from_block AND seq >= :from_seq;

-- statement: store_undo_prune
-- doc: forgets the changes of blocks that are too deep to be reverted
-- params: chain_id i64, below_block i64
DELETE FROM undo_log WHERE chain_id = :chain_id AND block_number < :below_block;
