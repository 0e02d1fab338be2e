-- The audit log and processed outside events; see kernel/audit/audit.h and kernel/inbox/inbox.h.

-- up

-- actor_kind: 1 system, 2 caller, 3 operator, 4 chain. outcome: 1 done, 2 refused, 3 failed.
-- A row is written without `seq` and `hash`; sealing sets both, once. The id sorts by time.
-- On PostgreSQL the table is partitioned by time from the first row on; keys contain that column.
CREATE TABLE audit_log (
    id @text NOT NULL,
    created_at @time NOT NULL,
    actor_kind @i64 NOT NULL CHECK (actor_kind BETWEEN 1 AND 4),
    actor @text NOT NULL,
    action @text NOT NULL,
    subject @text NOT NULL,
    outcome @i64 NOT NULL CHECK (outcome BETWEEN 1 AND 3),
    details @json NOT NULL,
    request_id @text,
    job_id @i64,
    transaction_id @text,
    seq @i64,
    hash @hash,
    PRIMARY KEY (created_at, id),
    CONSTRAINT audit_log_sealed CHECK ((seq IS NULL) = (hash IS NULL))
)
-- postgres
PARTITION BY RANGE (created_at)
-- both
;
-- postgres
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;
-- both
CREATE INDEX audit_log_seq ON audit_log (seq, id) WHERE seq IS NOT NULL;
CREATE INDEX audit_log_unsealed ON audit_log (created_at, id) WHERE seq IS NULL;
CREATE INDEX audit_log_subject ON audit_log (subject, created_at);

-- The newest sealed row, and the row before the oldest one that is still here.
CREATE TABLE audit_head (
    single @i64 PRIMARY KEY CHECK (single = 1),
    seq @i64 NOT NULL,
    hash @hash NOT NULL,
    sealed_at @time NOT NULL,
    anchor_seq @i64 NOT NULL,
    anchor_hash @hash NOT NULL,
    CHECK (anchor_seq <= seq)
);
-- sqlite
INSERT INTO audit_head VALUES (1, 0, zeroblob(32), @now, 0, zeroblob(32));
-- postgres
INSERT INTO audit_head
VALUES (1, 0, decode(repeat('00', 32), 'hex'), @now, 0, decode(repeat('00', 32), 'hex'));

-- What was written stays: a row changes once, when it is sealed, and is deleted when the anchor has
-- passed it. Who owns the database can drop the triggers; `freehold audit verify` looks at rows.
-- sqlite
CREATE TRIGGER audit_log_stay BEFORE UPDATE ON audit_log
WHEN OLD.seq IS NOT NULL OR NEW.seq IS NULL OR NEW.id <> OLD.id
    OR NEW.created_at <> OLD.created_at OR NEW.actor_kind <> OLD.actor_kind
    OR NEW.actor <> OLD.actor OR NEW.action <> OLD.action OR NEW.subject <> OLD.subject
    OR NEW.outcome <> OLD.outcome OR NEW.details <> OLD.details
    OR NEW.request_id IS NOT OLD.request_id OR NEW.job_id IS NOT OLD.job_id
    OR NEW.transaction_id IS NOT OLD.transaction_id
BEGIN
    SELECT RAISE(ABORT, 'a row of the audit log is not changed: audit_log_stay');
END;
CREATE TRIGGER audit_log_keep BEFORE DELETE ON audit_log
WHEN OLD.seq IS NULL OR OLD.seq > (SELECT anchor_seq FROM audit_head)
BEGIN
    SELECT RAISE(ABORT, 'a row of the audit log is not deleted: audit_log_keep');
END;
-- postgres
CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.seq <= (SELECT anchor_seq FROM audit_head) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'a row of the audit log is neither changed nor deleted'
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
END;
$refuse$;
CREATE TRIGGER audit_log_stay BEFORE UPDATE ON audit_log FOR EACH ROW
WHEN (OLD.seq IS NOT NULL OR NEW.seq IS NULL OR NEW.id <> OLD.id
    OR NEW.created_at <> OLD.created_at OR NEW.actor_kind <> OLD.actor_kind
    OR NEW.actor <> OLD.actor OR NEW.action <> OLD.action OR NEW.subject <> OLD.subject
    OR NEW.outcome <> OLD.outcome OR NEW.details <> OLD.details
    OR NEW.request_id IS DISTINCT FROM OLD.request_id
    OR NEW.job_id IS DISTINCT FROM OLD.job_id
    OR NEW.transaction_id IS DISTINCT FROM OLD.transaction_id)
EXECUTE FUNCTION audit_log_refuse();
CREATE TRIGGER audit_log_keep BEFORE DELETE ON audit_log FOR EACH ROW
EXECUTE FUNCTION audit_log_refuse();
-- both

-- What came from outside under an id of its source: a webhook, an item of a poll.
CREATE TABLE inbox_events (
    source @text NOT NULL,
    event_id @text NOT NULL,
    content_hash @hash NOT NULL,
    first_seen_at @time NOT NULL,
    seen @i64 NOT NULL DEFAULT 1,
    result @json,
    PRIMARY KEY (source, event_id)
);
CREATE INDEX inbox_events_first_seen ON inbox_events (first_seen_at);

-- down
DROP TABLE inbox_events;
DROP TABLE audit_head;
DROP TABLE audit_log;
-- postgres
DROP FUNCTION audit_log_refuse();
