-- Statements of the journal in the database; see journal_table.h.

-- statement: journal_limits_read
-- doc: reads the sizes of the engine's pools
-- columns: pairs i64, assets i64, accounts i64, orders i64, balances i64, rights i64, holds i64
-- columns: id_window i64
SELECT pairs, assets, accounts, orders, balances, rights, holds, id_window
FROM trading_journal_limits WHERE single = 1;

-- statement: journal_limits_write
-- doc: keeps the sizes of the engine's pools with the first block
-- params: pairs i64, assets i64, accounts i64, orders i64, balances i64, rights i64, holds i64
-- params: id_window i64
INSERT INTO trading_journal_limits (single, pairs, assets, accounts, orders, balances, rights,
                                    holds, id_window)
VALUES (1, :pairs, :assets, :accounts, :orders, :balances, :rights, :holds, :id_window);

-- statement: journal_block_insert
-- doc: adds a block where the last one ends; changes no row when the journal ends elsewhere
-- params: first_seq i64, next_seq i64, fence i64, chain_before hash, block bytes
INSERT INTO trading_journal (first_seq, next_seq, fence, chain_before, block)
SELECT :first_seq, :next_seq, :fence, :chain_before, :block
WHERE :first_seq = coalesce((SELECT max(next_seq) FROM trading_journal), 1);

-- statement: journal_blocks
-- doc: lists blocks from the one that holds a command on
-- params: from i64, limit i64
-- columns: first_seq i64, next_seq i64, chain_before hash, block bytes
SELECT first_seq, next_seq, chain_before, block FROM trading_journal
WHERE next_seq > :from ORDER BY next_seq LIMIT :limit;

-- statement: journal_snapshot_insert
-- doc: adds a part of a snapshot
-- rows: load
-- params: seq i64, part i64, bytes bytes
INSERT INTO trading_snapshots (seq, part, bytes) VALUES (:seq, :part, :bytes);

-- statement: journal_snapshot_delete
-- doc: lets go of the snapshot of a command, to be made again
-- params: seq i64
DELETE FROM trading_snapshots WHERE seq = :seq;

-- statement: journal_snapshots_prune
-- doc: lets go of all snapshots but the newest two
DELETE FROM trading_snapshots
WHERE seq < coalesce((SELECT max(s.seq) FROM trading_snapshots s
                      WHERE s.seq < (SELECT max(n.seq) FROM trading_snapshots n)), 0);

-- statement: journal_snapshot_newest
-- doc: finds the newest snapshot of a command at or before one
-- params: upto i64
-- columns: seq i64
SELECT seq FROM trading_snapshots WHERE seq <= :upto ORDER BY seq DESC LIMIT 1;

-- statement: journal_snapshot_parts
-- doc: lists the parts of a snapshot
-- params: seq i64
-- columns: bytes bytes
SELECT bytes FROM trading_snapshots WHERE seq = :seq ORDER BY part;
