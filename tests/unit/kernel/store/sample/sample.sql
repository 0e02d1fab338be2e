-- Statements for the tests of the store.

-- statement: sample_item_add
-- params: name text, payload json?, raw bytes?, digest hash?, owner address?
-- params: amount u256, at time, done bool, score i64?, parent i64?
-- columns: id i64
INSERT INTO items (name, payload, raw, digest, owner, amount, at, done, score, parent)
VALUES (:name, :payload, :raw, :digest, :owner, :amount, :at, :done, :score, :parent)
RETURNING id;

-- statement: sample_item_get
-- params: name text
-- columns: id i64, payload json?, raw bytes?, digest hash?, owner address?
-- columns: amount u256, at time, done bool, score i64?, parent i64?
SELECT id, payload, raw, digest, owner, amount, at, done, score, parent
FROM items WHERE name = :name;

-- statement: sample_item_default
-- params: name text
INSERT INTO items (name) VALUES (:name);

-- statement: sample_items_from
-- doc: lists the names of items by amount, from an amount on
-- params: amount u256
-- columns: name text, amount u256
SELECT name, amount FROM items WHERE amount >= :amount ORDER BY amount;

-- statement: sample_items_count
-- columns: count i64
SELECT count(*) AS count FROM items;

-- statement: sample_items_all
-- columns: name text
SELECT name FROM items ORDER BY id;

-- statement: sample_items_done
-- doc: marks all items as done
-- params: done bool
UPDATE items SET done = :done;

-- statement: sample_item_delete
-- params: name text
DELETE FROM items WHERE name = :name;

-- statement: sample_score_max
-- doc: says that it is never NULL, which is a lie on an empty table
-- columns: score i64
SELECT max(score) AS score FROM items;

-- statement: sample_liar
-- doc: returns text of three letters as anything but text
-- columns: raw bytes, amount u256
-- sqlite
SELECT 'abc' AS raw, 'abc' AS amount;
-- postgres
SELECT 'abc'::text AS raw, 'abc'::text AS amount;

-- statement: sample_counter_add
-- params: name text, step i64
-- columns: value i64
INSERT INTO counters (name, value) VALUES (:name, :step)
ON CONFLICT (name) DO UPDATE SET value = counters.value + :step
RETURNING value;

-- statement: sample_counter_get
-- params: name text
-- columns: value i64
SELECT value FROM counters WHERE name = :name;

-- statement: sample_counters_sum
-- columns: sum i64, count i64
SELECT CAST(coalesce(sum(value), 0) AS @i64) AS sum, count(*) AS count FROM counters;

-- statement: sample_holding_put
-- params: asset i64, holder address, balance u256, label text?, memo json?, raw bytes?
-- params: active bool, at time?
INSERT INTO holdings (asset, holder, balance, label, memo, raw, active, at)
VALUES (:asset, :holder, :balance, :label, :memo, :raw, :active, :at)
ON CONFLICT (asset, holder) DO UPDATE SET
    balance = :balance, label = :label, memo = :memo, raw = :raw, active = :active, at = :at;

-- statement: sample_holding_balance
-- params: asset i64, holder address, balance u256
UPDATE holdings SET balance = :balance WHERE asset = :asset AND holder = :holder;

-- statement: sample_holding_note
-- params: asset i64, holder address, note text?
UPDATE holdings SET note = :note WHERE asset = :asset AND holder = :holder;

-- statement: sample_holding_rename
-- doc: changes the key of a row
-- params: asset i64, holder address, new_asset i64
UPDATE holdings SET asset = :new_asset WHERE asset = :asset AND holder = :holder;

-- statement: sample_holding_delete
-- params: asset i64, holder address
DELETE FROM holdings WHERE asset = :asset AND holder = :holder;

-- statement: sample_holding_replace
-- doc: replaces a row, as only SQLite can say it; deletes and inserts
-- params: asset i64, holder address, balance u256
-- sqlite
INSERT OR REPLACE INTO holdings (asset, holder, balance, active)
VALUES (:asset, :holder, :balance, true);
-- postgres
INSERT INTO holdings (asset, holder, balance, active)
VALUES (:asset, :holder, :balance, true)
ON CONFLICT (asset, holder) DO UPDATE SET balance = :balance, label = NULL, memo = NULL,
    raw = NULL, active = true, at = NULL, note = NULL;

-- statement: sample_holdings_dump
-- columns: asset i64, holder address, balance u256, label text?, memo json?, raw bytes?
-- columns: active bool, at time?, note text?
SELECT asset, holder, balance, label, memo, raw, active, at, note
FROM holdings ORDER BY asset, holder;

-- statement: sample_lot_add
-- params: asset i64, holder address, size u256
INSERT INTO lots (asset, holder, size) VALUES (:asset, :holder, :size);

-- statement: sample_lots_dump
-- columns: id i64, asset i64, holder address, size u256
SELECT id, asset, holder, size FROM lots ORDER BY id;

-- statement: sample_undo_count
-- columns: count i64
SELECT count(*) AS count FROM undo_log;

-- statement: sample_undo_text
-- columns: statement text
SELECT statement FROM undo_log ORDER BY seq DESC LIMIT 1;

-- statement: sample_items_load
-- doc: adds items, many at a time
-- rows: load
-- params: name text, payload json?, raw bytes?, digest hash?, owner address?
-- params: amount u256, at time, done bool, score i64?, parent i64?
INSERT INTO items (name, payload, raw, digest, owner, amount, at, done, score, parent)
VALUES (:name, :payload, :raw, :digest, :owner, :amount, :at, :done, :score, :parent);

-- statement: sample_items_set
-- doc: adds items that are not there yet, many at a time
-- rows: set
-- params: name text, payload json?, raw bytes?, digest hash?, owner address?
-- params: amount u256, at time, done bool, score i64?, parent i64?
-- columns: id i64, name text
INSERT INTO items (name, payload, raw, digest, owner, amount, at, done, score, parent)
VALUES (:name, :payload, :raw, :digest, :owner, :amount, :at, :done, :score, :parent)
ON CONFLICT (name) DO NOTHING
RETURNING id, name;

-- statement: sample_counters_put
-- doc: adds to counters, many at a time
-- rows: set
-- params: name text, step i64
-- columns: name text, value i64
INSERT INTO counters (name, value) VALUES (:name, :step)
ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value
RETURNING name, value;

-- statement: sample_counters_move
-- doc: changes counters that have the value that is expected, many at a time
-- rows: set
-- params: name text, expected i64, value i64
UPDATE counters SET value = :value WHERE name = :name AND value = :expected;

-- statement: sample_counters_drop
-- doc: deletes counters, many at a time
-- rows: set
-- params: name text
DELETE FROM counters WHERE name = :name;

-- statement: sample_counters_copy
-- doc: makes counters with the values of others, many at a time
-- rows: set
-- params: from text, to text
INSERT INTO counters (name, value) SELECT :to, c.value
FROM @rows JOIN counters c ON c.name = :from;

-- statement: sample_holdings_load
-- doc: adds holdings, many at a time
-- rows: load
-- params: asset i64, holder address, balance u256, active bool
INSERT INTO holdings (asset, holder, balance, active) VALUES (:asset, :holder, :balance, :active);

-- statement: sample_holdings_sum
-- columns: count i64
SELECT count(*) AS count FROM holdings;
