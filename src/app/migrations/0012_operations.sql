-- Copies, backups and their verification; see kernel/backup/backup_copy.h and backup.h.

-- up

-- The copy or restore that filled this database. state: 1 under way, 2 whole, 3 differs from its
-- source. In a database that was never filled from another one there is no row.
CREATE TABLE backup_copy (
    single @i64 NOT NULL PRIMARY KEY CHECK (single = 1),
    state @i64 NOT NULL CHECK (state IN (1, 2, 3)),
    source @text NOT NULL,
    started @time NOT NULL,
    updated @time NOT NULL
);
-- local: backup_copy

-- How far it has come: rows of each table so far, in the order of the source, and their hash.
CREATE TABLE backup_copy_tables (
    name @text NOT NULL PRIMARY KEY,
    row_count @i64 NOT NULL CHECK (row_count >= 0),
    row_hash @hash NOT NULL,
    done @bool NOT NULL
);
-- local: backup_copy_tables

-- Scheduled backups and their verification, as they went.
CREATE TABLE backup_runs (
    kind @text NOT NULL CHECK (kind IN ('backup', 'verify')),
    started_at @time NOT NULL,
    finished_at @time NOT NULL,
    place @text NOT NULL,
    backup_id @text,
    good @bool NOT NULL,
    error @text,
    row_count @i64 NOT NULL,
    byte_count @i64 NOT NULL,
    PRIMARY KEY (kind, started_at)
);
CREATE INDEX backup_runs_good ON backup_runs (kind, finished_at) WHERE good;

-- down
DROP TABLE backup_runs;
DROP TABLE backup_copy_tables;
DROP TABLE backup_copy;
