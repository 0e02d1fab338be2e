-- Up to which applied block a chain was said to be final (chain.follow).

-- up
ALTER TABLE chain_cursors ADD COLUMN final_block @i64 NOT NULL DEFAULT 0;

-- down
ALTER TABLE chain_cursors DROP COLUMN final_block;
