-- What `freehold doctor` reads of a database, beside what the modules read of their own rows.

-- statement: ops_doctor_server
-- doc: How a server is set, and how many more connections it takes. A file has no settings.
-- columns: version i64, wall time, fsync bool, full_page_writes bool, autovacuum bool
-- columns: waits_for_disk bool, connections_free i64
-- sqlite
SELECT 0 AS version, 0 AS wall, TRUE AS fsync, TRUE AS full_page_writes, TRUE AS autovacuum,
    TRUE AS waits_for_disk, 0 AS connections_free;
-- postgres
SELECT CAST(current_setting('server_version_num') AS BIGINT) AS version,
    clock_timestamp() AS wall,
    CAST(current_setting('fsync') AS BOOLEAN) AS fsync,
    CAST(current_setting('full_page_writes') AS BOOLEAN) AS full_page_writes,
    CAST(current_setting('autovacuum') AS BOOLEAN) AS autovacuum,
    (SELECT s.reset_val <> 'off' FROM pg_settings s WHERE s.name = 'synchronous_commit')
        AS waits_for_disk,
    LEAST(
        CAST(current_setting('max_connections') AS BIGINT)
            - CAST(current_setting('superuser_reserved_connections') AS BIGINT)
            - CAST(COALESCE(current_setting('reserved_connections', TRUE), '0') AS BIGINT)
            - (SELECT count(*) FROM pg_stat_activity a WHERE a.datid IS NOT NULL),
        (SELECT CASE WHEN r.rolconnlimit < 0 THEN 1000000
            ELSE r.rolconnlimit - (SELECT count(*) FROM pg_stat_activity a
                WHERE a.usesysid = r.oid) END
            FROM pg_roles r WHERE r.rolname = current_user),
        (SELECT CASE WHEN d.datconnlimit < 0 THEN 1000000
            ELSE d.datconnlimit - (SELECT count(*) FROM pg_stat_activity a
                WHERE a.datid = d.oid) END
            FROM pg_database d WHERE d.datname = current_database())) AS connections_free;

-- statement: ops_doctor_unanalysed
-- doc: The largest table of so many rows that the planner knows nothing of.
-- params: rows_min i64
-- columns: name text
-- sqlite
SELECT '' AS name WHERE :rows_min < 0;
-- postgres
SELECT CAST(relname AS TEXT) AS name FROM pg_stat_user_tables
WHERE last_analyze IS NULL AND last_autoanalyze IS NULL AND n_live_tup >= :rows_min
ORDER BY n_live_tup DESC LIMIT 1;

-- statement: ops_doctor_integrity
-- doc: The first thing that is wrong with the pages of a file.
-- columns: said text
-- sqlite
SELECT quick_check AS said FROM pragma_quick_check(1);
-- postgres
SELECT 'ok' AS said;

-- statement: ops_doctor_keys
-- doc: Idempotency keys whose request began before `stuck` and has no answer, and of all those that
-- doc: are older than `expired`.
-- params: stuck time, expired time
-- columns: stuck i64, expired i64
SELECT (SELECT count(*) FROM http_idempotency WHERE state = 1 AND started_at < :stuck) AS stuck,
    (SELECT count(*) FROM http_idempotency WHERE started_at < :expired) AS expired;

-- statement: ops_doctor_halted
-- doc: Why a chain stands; "" when it does not.
-- params: chain_id i64
-- columns: halted_why text
SELECT halted_why FROM chain_cursors WHERE chain_id = :chain_id;

-- statement: ops_doctor_wallets
-- doc: The next nonce of each wallet, and how many of its transactions are under way.
-- params: chain_id i64
-- columns: address address, next_nonce i64, under_way i64
SELECT w.address, w.next_nonce,
    (SELECT count(*) FROM relay_intents i
        WHERE i.chain_id = w.chain_id AND i.wallet = w.address AND i.state IN (2, 3)) AS under_way
FROM relay_wallets w WHERE w.chain_id = :chain_id ORDER BY w.address;
