-- Notes, numbers and messages; see stream.h.

-- statement: stream_epoch_get
-- doc: The name under which numbers mean something.
-- columns: epoch text
SELECT epoch FROM stream_feed;

-- statement: stream_epoch_put
-- doc: Begins to note and to number.
-- params: epoch text
INSERT INTO stream_feed (single, epoch) VALUES (1, :epoch) ON CONFLICT (single) DO NOTHING;

-- statement: stream_lock
-- doc: Keeps others from numbering until the end of the transaction.
UPDATE stream_numbers SET number = number WHERE topic = '';

-- statement: stream_changes_any
-- doc: Whether something waits to be numbered.
-- columns: seq i64
SELECT seq FROM stream_changes LIMIT 1;

-- statement: stream_changes_take
-- doc: The oldest notes.
-- params: max_rows i64
-- columns: seq i64, topic text, row_key text, undone bool
SELECT seq, topic, row_key, undone FROM stream_changes ORDER BY seq LIMIT :max_rows;

-- statement: stream_changes_drop
-- doc: A note that is numbered.
-- params: seq i64
-- rows: set
DELETE FROM stream_changes WHERE seq = :seq;

-- statement: stream_number_get
-- doc: The last number of a topic; of '' the last position.
-- params: topic text
-- columns: number i64
SELECT number FROM stream_numbers WHERE topic = :topic;

-- statement: stream_number_put
-- doc: The last number of a topic.
-- params: topic text, number i64
INSERT INTO stream_numbers (topic, number) VALUES (:topic, :number)
ON CONFLICT (topic) DO UPDATE SET number = EXCLUDED.number;

-- statement: stream_message_add
-- doc: What is to be told.
-- params: position i64, topic text, number i64, body text, now time
-- rows: load
INSERT INTO stream_messages (position, topic, number, body, created_at)
VALUES (:position, :topic, :number, :body, :now);

-- statement: stream_messages_after
-- doc: Messages behind a position.
-- params: position i64, max_rows i64
-- columns: position i64, topic text, number i64, body text
SELECT position, topic, number, body FROM stream_messages
WHERE position > :position ORDER BY position LIMIT :max_rows;

-- statement: stream_messages_of
-- doc: Messages of a topic behind a number.
-- params: topic text, number i64, max_rows i64
-- columns: position i64, number i64, body text
SELECT position, number, body FROM stream_messages
WHERE topic = :topic AND number > :number ORDER BY number LIMIT :max_rows;

-- statement: stream_messages_prune
-- doc: Forgets the oldest messages that are too old or too many.
-- params: before time, below_position i64, max_rows i64
DELETE FROM stream_messages WHERE position IN (
    SELECT position FROM (SELECT position, created_at FROM stream_messages
                          ORDER BY position LIMIT :max_rows) AS oldest
    WHERE created_at < :before OR position <= :below_position);
