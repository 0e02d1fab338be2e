-- Leases: who has work that only one process may do. All times are the database's own.

-- statement: store_lease_beat
-- doc: Says that a process lives; its row is made when it is not there.
-- params: process_id text, host text, pid i64, place text, roles text, version text
-- params: lease_usec i64
INSERT INTO processes
    (process_id, host, pid, place, roles, version, lease_usec, started_at, until)
VALUES (:process_id, :host, :pid, :place, :roles, :version, :lease_usec,
        (SELECT c.at FROM database_clock c),
-- sqlite
        NULL)
-- postgres
        clock_timestamp() + :lease_usec * interval '1 microsecond')
-- both
ON CONFLICT (process_id) DO UPDATE SET until = EXCLUDED.until;

-- statement: store_lease_touch
-- doc: Writes a little, to find out whether that is possible. In a file nobody reads `until`; it
-- doc: only has to differ, because what does not change is not written.
-- params: process_id text
UPDATE processes SET until = (SELECT c.at FROM database_clock c)
WHERE process_id = :process_id;

-- statement: store_lease_neighbours
-- doc: The processes whose pids mean something here.
-- params: place text
-- columns: process_id text, pid i64
SELECT process_id, pid FROM processes WHERE place = :place AND place <> '';

-- statement: store_lease_leave
-- doc: Forgets a process that ends.
-- params: process_id text
DELETE FROM processes WHERE process_id = :process_id;

-- statement: store_lease_forget
-- doc: Forgets processes that ended long ago; in a file, all that had it before.
-- params: process_id text
DELETE FROM processes WHERE process_id <> :process_id
-- postgres
    AND until < clock_timestamp() - interval '1 day'
-- both
;

-- statement: store_lease_make
-- doc: Makes the row of a lease; one that is there stays as it is.
-- params: name text
INSERT INTO process_leases (name, owner, fence, since)
VALUES (:name, '', 0, (SELECT c.at FROM database_clock c))
ON CONFLICT (name) DO NOTHING;

-- statement: store_lease_take
-- doc: Takes a lease whose owner does not live, with the next fencing number.
-- params: name text, owner text
UPDATE process_leases
SET owner = :owner, fence = fence + 1, since = (SELECT c.at FROM database_clock c)
WHERE name = :name AND owner <> :owner
    AND NOT EXISTS (SELECT 1 FROM live_processes p WHERE p.process_id = process_leases.owner);

-- statement: store_lease_part
-- doc: Ends connections that keep a lease from changing its owner and whose client has sent nothing
-- doc: of their statement for half a lease: a COPY of a process that is paused does not count as
-- doc: resting. In a file there is nobody else.
-- params: lease_usec i64
-- columns: parted i64
SELECT
-- sqlite
    0 * :lease_usec AS parted
-- postgres
    count(pg_terminate_backend(a.pid)) AS parted
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
    AND a.wait_event IN ('ClientRead', 'ClientWrite') AND a.state <> 'idle'
    AND a.query_start < clock_timestamp() - :lease_usec * interval '1 microsecond' / 2
    AND EXISTS (SELECT 1 FROM pg_locks l
                WHERE l.pid = a.pid AND l.database = a.datid AND l.granted
                    AND l.relation = CAST('process_leases' AS regclass))
-- both
;

-- statement: store_lease_fence
-- doc: Who has a lease. On PostgreSQL nobody can take it until the transaction has ended.
-- params: name text
-- columns: owner text, fence i64
SELECT owner, fence FROM process_leases WHERE name = :name
-- postgres
FOR SHARE
-- both
;

-- statement: store_lease_give
-- doc: Gives a lease back.
-- params: name text, owner text, fence i64
UPDATE process_leases SET owner = '', since = (SELECT c.at FROM database_clock c)
WHERE name = :name AND owner = :owner AND fence = :fence;

-- statement: store_lease_list
-- doc: All leases, whether their owner lives, and how long ago that was last known.
-- columns: name text, owner text, fence i64, since time, host text?, pid i64?, roles text?
-- columns: alive bool, idle_usec i64
SELECT l.name, l.owner, l.fence, l.since, p.host, p.pid, p.roles,
    EXISTS (SELECT 1 FROM live_processes v WHERE v.process_id = l.owner) AS alive,
-- sqlite
    (SELECT c.at FROM database_clock c) - l.since AS idle_usec
-- postgres
    CAST(EXTRACT(EPOCH FROM clock_timestamp() - COALESCE(p.until, l.since)) * 1000000 AS BIGINT)
        AS idle_usec
-- both
FROM process_leases l LEFT JOIN processes p ON p.process_id = l.owner
ORDER BY l.name;

-- statement: store_lease_processes
-- doc: All processes that live, or ended without saying so.
-- columns: process_id text, host text, pid i64, roles text, version text, started_at time
-- columns: alive bool
SELECT p.process_id, p.host, p.pid, p.roles, p.version, p.started_at,
    EXISTS (SELECT 1 FROM live_processes v WHERE v.process_id = p.process_id) AS alive
FROM processes p ORDER BY p.started_at, p.process_id;

-- statement: store_lease_lives
-- doc: A process, if it lives.
-- params: process_id text
-- columns: process_id text
SELECT process_id FROM live_processes WHERE process_id = :process_id;

-- statement: store_lease_installation_make
-- doc: Gives the database its secret name, once.
-- params: id text
INSERT INTO installation (single, id) VALUES (1, :id) ON CONFLICT (single) DO NOTHING;

-- statement: store_lease_installation
-- doc: The secret name of the database.
-- columns: id text
SELECT id FROM installation WHERE single = 1;
