-- Which processes work on the database, and which of them has the work that only one may do.

-- up

-- One row a running process, which it renews on the database's clock. `until` is NULL in a file:
-- that has one process, which lives as long as it has the file. Processes of one `place` see each
-- other's pids.
CREATE TABLE processes (
    process_id @text NOT NULL PRIMARY KEY,
    host @text NOT NULL,
    pid @i64 NOT NULL,
    place @text NOT NULL,
    roles @text NOT NULL,
    version @text NOT NULL,
    lease_usec @i64 NOT NULL CHECK (lease_usec > 0),
    started_at @time NOT NULL,
    until @time
);

-- One row a piece of work. Only a change of the owner changes a row, so that whoever looks at its
-- fence is disturbed by nothing else. `owner` is '' when nobody has it.
CREATE TABLE process_leases (
    name @text NOT NULL PRIMARY KEY,
    owner @text NOT NULL,
    fence @i64 NOT NULL CHECK (fence >= 0),
    since @time NOT NULL
);

-- One row for the life of the database: a random text that nobody else knows.
CREATE TABLE installation (
    single @i64 NOT NULL PRIMARY KEY CHECK (single = 1),
    id @text NOT NULL
);

-- The one clock that all processes share, and those that live by it. A time further away than an
-- honest process writes is of a clock that was put back since.
-- `relay_holders` tells for each wallet who works on it, and whether somebody does or did lately.
-- sqlite
CREATE VIEW database_clock AS SELECT @now AS at;
CREATE VIEW live_processes AS SELECT process_id FROM processes;
CREATE VIEW relay_holders AS
    SELECT w.chain_id, w.address, l.owner,
        EXISTS (SELECT 1 FROM processes p WHERE p.process_id = l.owner) AS claimed
    FROM relay_wallets w
    JOIN process_leases l ON l.name = 'relay/' || w.chain_id || '/0x' || lower(hex(w.address));
-- postgres
CREATE VIEW database_clock AS SELECT clock_timestamp() AS at;
CREATE VIEW live_processes AS
    SELECT process_id FROM processes
    WHERE until > clock_timestamp()
        AND until - 2 * lease_usec * interval '1 microsecond' < clock_timestamp();
CREATE VIEW relay_holders AS
    SELECT w.chain_id, w.address, l.owner,
        COALESCE(p.until, l.since) > clock_timestamp() - interval '1 day' AS claimed
    FROM relay_wallets w
    JOIN process_leases l ON l.name = concat('relay/', w.chain_id, '/0x', encode(w.address, 'hex'))
    LEFT JOIN processes p ON p.process_id = l.owner;

-- down
DROP VIEW relay_holders;
DROP VIEW live_processes;
DROP VIEW database_clock;
DROP TABLE installation;
DROP TABLE process_leases;
DROP TABLE processes;
