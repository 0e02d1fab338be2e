-- Processed outside events: see inbox.h.

-- statement: inbox_insert
-- doc: takes an event that nobody has seen; changes no row when somebody has
-- params: source text, event_id text, content_hash hash, now time
INSERT INTO inbox_events (source, event_id, content_hash, first_seen_at)
VALUES (:source, :event_id, :content_hash, :now)
ON CONFLICT (source, event_id) DO NOTHING;

-- statement: inbox_seen
-- doc: counts that an event came again, and says what is known of it
-- params: source text, event_id text
-- columns: content_hash hash, first_seen_at time, seen i64, result json?
UPDATE inbox_events SET seen = seen + 1 WHERE source = :source AND event_id = :event_id
RETURNING content_hash, first_seen_at, seen, result;

-- statement: inbox_result
-- doc: keeps what became of an event, once
-- params: source text, event_id text, result json
UPDATE inbox_events SET result = :result
WHERE source = :source AND event_id = :event_id AND result IS NULL;

-- statement: inbox_purge
-- doc: forgets some events that were first seen before a time
-- params: before time, limit i64
DELETE FROM inbox_events WHERE (source, event_id) IN (
    SELECT source, event_id FROM inbox_events WHERE first_seen_at < :before
    ORDER BY first_seen_at LIMIT :limit);
