-- The audit log: see audit.h.

-- statement: audit_insert
-- doc: writes a row that is not sealed yet
-- rows: set
-- params: id text, created_at time, actor_kind i64, actor text, action text, subject text
-- params: outcome i64, details json, request_id text?, job_id i64?, transaction_id text?
INSERT INTO audit_log (id, created_at, actor_kind, actor, action, subject, outcome, details,
    request_id, job_id, transaction_id)
VALUES (:id, :created_at, :actor_kind, :actor, :action, :subject, :outcome, :details,
    :request_id, :job_id, :transaction_id);

-- statement: audit_head_get
-- doc: the newest sealed row, and the row before the oldest one that is still here
-- columns: seq i64, hash hash, sealed_at time, anchor_seq i64, anchor_hash hash
SELECT seq, hash, sealed_at, anchor_seq, anchor_hash FROM audit_head WHERE single = 1;

-- statement: audit_unsealed_count
-- doc: how many rows wait to be sealed
-- columns: rows i64
SELECT count(*) AS rows FROM audit_log WHERE seq IS NULL;

-- statement: audit_unsealed_list
-- doc: the oldest rows that are not sealed yet
-- params: limit i64
-- columns: id text, created_at time, actor_kind i64, actor text, action text, subject text
-- columns: outcome i64, details json, request_id text?, job_id i64?, transaction_id text?
-- columns: seq i64?, hash hash?
SELECT id, created_at, actor_kind, actor, action, subject, outcome, details, request_id, job_id,
    transaction_id, seq, hash
FROM audit_log WHERE seq IS NULL ORDER BY created_at, id LIMIT :limit;

-- statement: audit_sealed_list
-- doc: sealed rows after a place in the chain, in order
-- params: seq i64, id text, limit i64
-- columns: id text, created_at time, actor_kind i64, actor text, action text, subject text
-- columns: outcome i64, details json, request_id text?, job_id i64?, transaction_id text?
-- columns: seq i64?, hash hash?
SELECT id, created_at, actor_kind, actor, action, subject, outcome, details, request_id, job_id,
    transaction_id, seq, hash
FROM audit_log WHERE seq IS NOT NULL AND (seq, id) > (:seq, :id) ORDER BY seq, id LIMIT :limit;

-- statement: audit_head_move
-- doc: puts the head further, if it is where the caller saw it; holds its row until the commit
-- params: from_seq i64, from_hash hash, seq i64, hash hash, now time
UPDATE audit_head SET seq = :seq, hash = :hash, sealed_at = :now
WHERE single = 1 AND seq = :from_seq AND hash = :from_hash;

-- statement: audit_seal
-- doc: gives a row its place in the chain
-- params: created_at time, id text, seq i64, hash hash
UPDATE audit_log SET seq = :seq, hash = :hash
WHERE created_at = :created_at AND id = :id AND seq IS NULL;

-- statement: audit_prune_find
-- doc: the first row of the chain that must stay
-- params: before time
-- columns: seq i64?
SELECT min(seq) AS seq FROM audit_log WHERE seq IS NOT NULL AND created_at >= :before;

-- statement: audit_hash_get
-- doc: the hash of a row of the chain
-- params: seq i64
-- columns: hash hash?
SELECT hash FROM audit_log WHERE seq = :seq ORDER BY id LIMIT 1;

-- statement: audit_anchor_move
-- doc: lets the rows up to a place of the chain go
-- params: from_seq i64, seq i64, hash hash
UPDATE audit_head SET anchor_seq = :seq, anchor_hash = :hash
WHERE single = 1 AND anchor_seq = :from_seq AND seq >= :seq;

-- statement: audit_prune
-- doc: deletes some of the rows that the anchor has passed
-- params: seq i64, limit i64
DELETE FROM audit_log WHERE (created_at, id) IN (
    SELECT created_at, id FROM audit_log WHERE seq <= :seq ORDER BY seq, id LIMIT :limit);
