-- Copies and backups; see backup_copy.h and backup.h.

-- statement: backup_copy_get
-- doc: Reads which copy filled this database.
-- columns: state i64, source text
SELECT state, source FROM backup_copy;

-- statement: backup_copy_begin
-- doc: Says that a copy begins, or begins anew.
-- params: source text, now time
INSERT INTO backup_copy (single, state, source, started, updated)
VALUES (1, 1, :source, :now, :now)
ON CONFLICT (single) DO UPDATE
    SET state = 1, source = excluded.source, started = excluded.started, updated = excluded.updated;

-- statement: backup_copy_end
-- doc: Says how a copy ended.
-- params: state i64, now time
UPDATE backup_copy SET state = :state, updated = :now WHERE single = 1;

-- statement: backup_copy_tables
-- doc: Lists how far each table has come.
-- columns: name text, row_count i64, row_hash hash, done bool
SELECT name, row_count, row_hash, done FROM backup_copy_tables ORDER BY name;

-- statement: backup_copy_advance
-- doc: Writes how far a table has come.
-- params: name text, row_count i64, row_hash hash, done bool
INSERT INTO backup_copy_tables (name, row_count, row_hash, done)
VALUES (:name, :row_count, :row_hash, :done)
ON CONFLICT (name) DO UPDATE
    SET row_count = excluded.row_count, row_hash = excluded.row_hash, done = excluded.done;

-- statement: backup_sessions
-- doc: Counts connections of running daemons to this database. An embedded one has a lock instead.
-- columns: sessions i64
-- sqlite
SELECT 0 AS sessions;
-- postgres
SELECT count(*) AS sessions FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'freehold';

-- statement: backup_foreign_keys
-- doc: Counts rows whose foreign key leads nowhere. PostgreSQL refuses them; there it counts the
-- doc: keys that it was told not to check.
-- columns: broken i64
-- sqlite
SELECT count(*) AS broken FROM pragma_foreign_key_check;
-- postgres
SELECT count(*) AS broken FROM pg_constraint WHERE contype = 'f' AND NOT convalidated;

-- statement: backup_chains
-- doc: Lists how far each chain was followed, for the manifest.
-- columns: chain_id i64, block_number i64, block_hash hash
SELECT chain_id, block_number, block_hash FROM chain_cursors ORDER BY chain_id;

-- statement: backup_audit_head
-- doc: Reads the head of the audit log, for the manifest.
-- columns: seq i64, hash hash
SELECT seq, hash FROM audit_head;

-- statement: backup_run_add
-- doc: Notes how a scheduled backup or verification went.
-- params: kind text, started_at time, finished_at time, place text, backup_id text?, good bool
-- params: error text?, row_count i64, byte_count i64
INSERT INTO backup_runs (kind, started_at, finished_at, place, backup_id, good, error, row_count,
    byte_count)
VALUES (:kind, :started_at, :finished_at, :place, :backup_id, :good, :error, :row_count,
    :byte_count)
ON CONFLICT (kind, started_at) DO NOTHING;

-- statement: backup_runs_forget
-- doc: Forgets runs of long ago, but for the last good ones.
-- params: before time
DELETE FROM backup_runs
WHERE finished_at < :before
    AND finished_at < (SELECT max(g.finished_at) FROM backup_runs g
                       WHERE g.kind = backup_runs.kind AND g.good);

-- statement: backup_runs_last
-- doc: Reads the last good run of a kind.
-- params: kind text
-- columns: finished_at time, backup_id text?, row_count i64, byte_count i64
SELECT finished_at, backup_id, row_count, byte_count
FROM backup_runs
WHERE kind = :kind AND good
ORDER BY finished_at DESC
LIMIT 1;
