-- Tables that are partitioned by month on PostgreSQL; see docs/decisions/0016-partitions.md.
--
-- A partitioned table T has a partition T_default for rows whose month has none, and T_pYYYYMM for
-- months (UTC). partition_next and partition_drop are called by kernel/store/partition.c.

-- up

-- sqlite
CREATE INDEX idx_blockchain_events_created ON blockchain_events (created_at);
-- postgres
DROP INDEX idx_blockchain_events_contract;
DROP INDEX idx_blockchain_events_type;
DROP INDEX idx_blockchain_events_unprocessed;
ALTER TABLE blockchain_events RENAME TO blockchain_events_whole;
CREATE TABLE blockchain_events (
    chain_id @i64 NOT NULL,
    block_number @i64 NOT NULL,
    log_index @i64 NOT NULL,
    block_hash @hash NOT NULL,
    transaction_hash @hash NOT NULL,
    contract_address @address NOT NULL,
    event_type @text NOT NULL,
    event_data @json NOT NULL,
    processed @bool NOT NULL,
    error @text,
    created_at @time NOT NULL,
    CONSTRAINT blockchain_events_place
        PRIMARY KEY (chain_id, block_number, log_index, created_at)
) PARTITION BY RANGE (created_at);
CREATE TABLE blockchain_events_default PARTITION OF blockchain_events DEFAULT;
CREATE INDEX idx_blockchain_events_contract
    ON blockchain_events (chain_id, contract_address, block_number, log_index);
CREATE INDEX idx_blockchain_events_type ON blockchain_events (event_type);
CREATE INDEX idx_blockchain_events_unprocessed
    ON blockchain_events (chain_id, block_number) WHERE NOT processed;
CREATE INDEX idx_blockchain_events_created ON blockchain_events (created_at);

-- A key of a partitioned table must contain the time, so that it could not keep an event from being
-- there twice. This table can: it has the keys of all events, and is filled by the triggers.
CREATE TABLE blockchain_event_keys (
    chain_id @i64 NOT NULL,
    block_number @i64 NOT NULL,
    log_index @i64 NOT NULL,
    transaction_hash @hash NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index),
    UNIQUE (chain_id, transaction_hash, log_index)
);
CREATE FUNCTION blockchain_events_note() RETURNS trigger LANGUAGE plpgsql AS $note$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO blockchain_event_keys (chain_id, block_number, log_index, transaction_hash)
        SELECT chain_id, block_number, log_index, transaction_hash FROM changed;
    ELSE
        DELETE FROM blockchain_event_keys k USING changed c
        WHERE k.chain_id = c.chain_id AND k.block_number = c.block_number
            AND k.log_index = c.log_index;
    END IF;
    RETURN NULL;
END;
$note$;
CREATE TRIGGER blockchain_events_insert AFTER INSERT ON blockchain_events
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION blockchain_events_note();
CREATE TRIGGER blockchain_events_delete AFTER DELETE ON blockchain_events
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION blockchain_events_note();
CREATE FUNCTION blockchain_events_refuse() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
    RAISE EXCEPTION 'the place of an event does not change'
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
END;
$refuse$;
CREATE TRIGGER blockchain_events_stay
    BEFORE UPDATE OF chain_id, block_number, log_index, transaction_hash, created_at
    ON blockchain_events FOR EACH ROW EXECUTE FUNCTION blockchain_events_refuse();
INSERT INTO blockchain_events
    (chain_id, block_number, log_index, block_hash, transaction_hash, contract_address,
     event_type, event_data, processed, error, created_at)
SELECT chain_id, block_number, log_index, block_hash, transaction_hash, contract_address,
       event_type, event_data, processed, error, created_at
FROM blockchain_events_whole;
DROP TABLE blockchain_events_whole;

CREATE FUNCTION partition_name(parent text, month timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE AS $name$
    SELECT parent || '_p' || to_char(month AT TIME ZONE 'UTC', 'YYYYMM')
$name$;

-- Makes the partition that is wanted most and returns its name, or NULL: that of the oldest row in
-- T_default, whose rows of that month are moved; else that of the first month up to `ahead` that
-- has none. Whoever comes second waits and runs again, because what it saw is not so any more.
CREATE FUNCTION partition_next(parent text, key text, ahead timestamptz) RETURNS text
LANGUAGE plpgsql AS $next$
DECLARE
    rest text := parent || '_default';
    month timestamptz;
    beyond timestamptz;
    made text;
BEGIN
    PERFORM pg_advisory_xact_lock(1179797572, hashtext(parent));
    EXECUTE format('SELECT date_trunc(''month'', min(%I), ''UTC'') FROM ONLY %I', key, rest)
        INTO month;
    IF month IS NULL THEN
        SELECT min(m AT TIME ZONE 'UTC') INTO month
        FROM generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                             ahead AT TIME ZONE 'UTC', interval '1 month') m
        WHERE to_regclass(partition_name(parent, m AT TIME ZONE 'UTC')) IS NULL;
    END IF;
    IF month IS NULL THEN
        RETURN NULL;
    END IF;
    beyond := (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    made := partition_name(parent, month);
    IF to_regclass(made) IS NOT NULL THEN
        RAISE EXCEPTION 'partition % was made meanwhile', made USING ERRCODE = '40001';
    END IF;
    EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', rest);
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                   made, parent);
    -- Rows go from one place of the table to another: nothing happens that triggers would judge.
    EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', rest);
    EXECUTE format('WITH moved AS (DELETE FROM ONLY %I WHERE %I >= $1 AND %I < $2 RETURNING *)'
                   ' INSERT INTO %I SELECT * FROM moved', rest, key, key, made)
        USING month, beyond;
    EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', rest);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, made, month, beyond);
    RETURN made;
EXCEPTION WHEN check_violation THEN
    RAISE EXCEPTION 'rows of partition % arrived meanwhile', made USING ERRCODE = '40001';
END;
$next$;

-- Drops the oldest partition of a month that is over and has no rows; returns its name, or NULL.
CREATE FUNCTION partition_drop(parent text) RETURNS text
LANGUAGE plpgsql AS $drop$
DECLARE
    name text;
    used boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(1179797572, hashtext(parent));
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent::regclass AND c.relname ~ ('^' || parent || '_p[0-9]{6}$')
            AND c.relname < partition_name(parent, now())
        ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM ONLY %I)', name) INTO used;
        CONTINUE WHEN used;
        BEGIN
            EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent);
            -- Looks at all rows, also at those that came after this transaction began.
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT is_empty CHECK (false)', name);
            EXECUTE format('DROP TABLE %I', name);
            RETURN name;
        EXCEPTION
            WHEN check_violation THEN NULL;
            WHEN undefined_table THEN NULL; -- somebody else dropped it meanwhile
        END;
    END LOOP;
    RETURN NULL;
END;
$drop$;
-- both
-- partitioned: blockchain_events (created_at)
-- partitioned: audit_log (created_at)

-- down

-- sqlite
DROP INDEX idx_blockchain_events_created;
-- postgres
DROP FUNCTION partition_drop(text);
DROP FUNCTION partition_next(text, text, timestamptz);
DROP FUNCTION partition_name(text, timestamptz);
DROP TABLE blockchain_event_keys;
ALTER TABLE blockchain_events RENAME TO blockchain_events_parts;
DROP INDEX idx_blockchain_events_contract;
DROP INDEX idx_blockchain_events_type;
DROP INDEX idx_blockchain_events_unprocessed;
CREATE TABLE blockchain_events (
    chain_id @i64 NOT NULL,
    block_number @i64 NOT NULL,
    log_index @i64 NOT NULL,
    block_hash @hash NOT NULL,
    transaction_hash @hash NOT NULL,
    contract_address @address NOT NULL,
    event_type @text NOT NULL,
    event_data @json NOT NULL,
    processed @bool NOT NULL,
    error @text,
    created_at @time NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index),
    UNIQUE (chain_id, transaction_hash, log_index)
);
INSERT INTO blockchain_events
    (chain_id, block_number, log_index, block_hash, transaction_hash, contract_address,
     event_type, event_data, processed, error, created_at)
SELECT chain_id, block_number, log_index, block_hash, transaction_hash, contract_address,
       event_type, event_data, processed, error, created_at
FROM blockchain_events_parts;
CREATE INDEX idx_blockchain_events_contract
    ON blockchain_events (chain_id, contract_address, block_number, log_index);
CREATE INDEX idx_blockchain_events_type ON blockchain_events (event_type);
CREATE INDEX idx_blockchain_events_unprocessed
    ON blockchain_events (chain_id, block_number) WHERE NOT processed;
DROP TABLE blockchain_events_parts;
DROP FUNCTION blockchain_events_note();
DROP FUNCTION blockchain_events_refuse();
