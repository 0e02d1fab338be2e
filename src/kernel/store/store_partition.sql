-- Partitions of tables by month, which PostgreSQL has (migration 11).

-- statement: store_partition_patience
-- doc: lets the statements of this transaction take as long as they need
-- columns: timeout text
-- sqlite
SELECT '0' AS timeout;
-- postgres
SELECT set_config('statement_timeout', '0', true) AS timeout;

-- statement: store_partition_next
-- doc: makes the partition that is wanted most, if one is wanted
-- params: parent text, key text, ahead time
-- columns: name text?
-- sqlite
SELECT NULL AS name WHERE :parent = :key AND :ahead = 0;
-- postgres
SELECT partition_next(:parent, :key, :ahead) AS name;

-- statement: store_partition_there
-- doc: whether a table has a partition of a name
-- params: parent text, name text
-- columns: there bool
-- sqlite
SELECT TRUE AS there WHERE :parent <> :name;
-- postgres
SELECT EXISTS (
    SELECT 1 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(:parent) AND c.relname = :name) AS there;

-- statement: store_partition_drop
-- doc: drops the oldest partition of a month that is over and has no rows
-- params: parent text
-- columns: name text?
-- sqlite
SELECT NULL AS name WHERE :parent = '';
-- postgres
SELECT partition_drop(:parent) AS name;
