-- The undo log. Triggers of projections write the inverse of each change into it while an apply
-- step is open; see kernel/store/store.h. PostgreSQL keeps the open step in a setting that is
-- local to the transaction, SQLite in the only row of undo_context.

-- up
CREATE TABLE undo_log (
    seq @id,
    chain_id @i64 NOT NULL,
    block_number @i64 NOT NULL,
    statement @text NOT NULL
);
CREATE INDEX undo_log_block ON undo_log (chain_id, block_number, seq);
-- sqlite
CREATE TABLE undo_context (
    single @i64 PRIMARY KEY CHECK (single = 1),
    chain_id @i64 NOT NULL,
    block_number @i64 NOT NULL
);

-- down
DROP TABLE undo_log;
-- sqlite
DROP TABLE undo_context;
