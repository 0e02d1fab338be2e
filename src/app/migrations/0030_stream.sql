-- What subscribers are told (kernel/stream/stream.h). None of these tables is copied to another
-- database: there numbers begin again, under another epoch.

-- up

-- Rows that changed and are not numbered yet, written by the triggers below in the transaction of
-- the change. `undone`: by a reorganisation.
CREATE TABLE stream_changes (
    seq @id,
    topic @text NOT NULL,
    row_key @text NOT NULL,
    undone @bool NOT NULL
);
-- local: stream_changes

-- The numbers of this database mean something under this epoch only. Without a row nobody numbers,
-- and nothing is noted: so it is while rows are copied in, and in the shadow of a rebuild.
CREATE TABLE stream_feed (
    single @i64 NOT NULL PRIMARY KEY CHECK (single = 1),
    epoch @text NOT NULL
);
-- local: stream_feed

-- The last number of each topic; of '' the last position of all.
CREATE TABLE stream_numbers (
    topic @text NOT NULL PRIMARY KEY,
    number @i64 NOT NULL CHECK (number >= 0)
);
-- local: stream_numbers
INSERT INTO stream_numbers (topic, number) VALUES ('', 0);

-- What was told, as it was sent. Positions and the numbers of a topic have no gaps.
CREATE TABLE stream_messages (
    position @i64 NOT NULL PRIMARY KEY,
    topic @text NOT NULL,
    number @i64 NOT NULL,
    body @text NOT NULL,
    created_at @time NOT NULL,
    UNIQUE (topic, number)
);
-- local: stream_messages

-- sqlite
CREATE TRIGGER stream_assets_insert AFTER INSERT ON assets
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('assets', NEW.asset_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_assets_update AFTER UPDATE ON assets
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('assets', NEW.asset_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_assets_delete AFTER DELETE ON assets
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('assets', OLD.asset_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_leases_insert AFTER INSERT ON leases
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('leases', NEW.lease_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_leases_update AFTER UPDATE ON leases
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('leases', NEW.lease_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_leases_delete AFTER DELETE ON leases
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('leases', OLD.lease_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_lease_offers_insert AFTER INSERT ON lease_offers
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('offers', NEW.chain_id || '/' || '0x' || lower(hex(NEW.marketplace))
            || '/' || ifnull(nullif(ltrim(NEW.offer_id, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_lease_offers_update AFTER UPDATE ON lease_offers
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('offers', NEW.chain_id || '/' || '0x' || lower(hex(NEW.marketplace))
            || '/' || ifnull(nullif(ltrim(NEW.offer_id, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_lease_offers_delete AFTER DELETE ON lease_offers
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('offers', OLD.chain_id || '/' || '0x' || lower(hex(OLD.marketplace))
            || '/' || ifnull(nullif(ltrim(OLD.offer_id, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_lease_bids_insert AFTER INSERT ON lease_bids
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('bids', NEW.chain_id || '/' || '0x' || lower(hex(NEW.marketplace))
            || '/' || ifnull(nullif(ltrim(NEW.offer_id, '0'), ''), '0')
            || '/' || ifnull(nullif(ltrim(NEW.bid_index, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_lease_bids_update AFTER UPDATE ON lease_bids
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('bids', NEW.chain_id || '/' || '0x' || lower(hex(NEW.marketplace))
            || '/' || ifnull(nullif(ltrim(NEW.offer_id, '0'), ''), '0')
            || '/' || ifnull(nullif(ltrim(NEW.bid_index, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_lease_bids_delete AFTER DELETE ON lease_bids
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('bids', OLD.chain_id || '/' || '0x' || lower(hex(OLD.marketplace))
            || '/' || ifnull(nullif(ltrim(OLD.offer_id, '0'), ''), '0')
            || '/' || ifnull(nullif(ltrim(OLD.bid_index, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_token_sales_insert AFTER INSERT ON token_sales
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('sales', NEW.chain_id || '/' || '0x' || lower(hex(NEW.marketplace))
            || '/' || ifnull(nullif(ltrim(NEW.sale_id, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_token_sales_update AFTER UPDATE ON token_sales
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('sales', NEW.chain_id || '/' || '0x' || lower(hex(NEW.marketplace))
            || '/' || ifnull(nullif(ltrim(NEW.sale_id, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_token_sales_delete AFTER DELETE ON token_sales
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('sales', OLD.chain_id || '/' || '0x' || lower(hex(OLD.marketplace))
            || '/' || ifnull(nullif(ltrim(OLD.sale_id, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_sale_bids_insert AFTER INSERT ON sale_bids
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('sale-bids', NEW.chain_id || '/' || '0x' || lower(hex(NEW.marketplace))
            || '/' || ifnull(nullif(ltrim(NEW.sale_id, '0'), ''), '0')
            || '/' || ifnull(nullif(ltrim(NEW.bid_index, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_sale_bids_update AFTER UPDATE ON sale_bids
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('sale-bids', NEW.chain_id || '/' || '0x' || lower(hex(NEW.marketplace))
            || '/' || ifnull(nullif(ltrim(NEW.sale_id, '0'), ''), '0')
            || '/' || ifnull(nullif(ltrim(NEW.bid_index, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_sale_bids_delete AFTER DELETE ON sale_bids
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('sale-bids', OLD.chain_id || '/' || '0x' || lower(hex(OLD.marketplace))
            || '/' || ifnull(nullif(ltrim(OLD.sale_id, '0'), ''), '0')
            || '/' || ifnull(nullif(ltrim(OLD.bid_index, '0'), ''), '0'),
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_relay_intents_insert AFTER INSERT ON relay_intents
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('transactions', NEW.intent_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_relay_intents_update AFTER UPDATE ON relay_intents
WHEN EXISTS (SELECT 1 FROM stream_feed)
    AND (OLD.state <> NEW.state OR OLD.final <> NEW.final
        OR OLD.attempts <> NEW.attempts OR OLD.cancelling <> NEW.cancelling)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('transactions', NEW.intent_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_chain_cursors_insert AFTER INSERT ON chain_cursors
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('chain', NEW.chain_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_chain_cursors_update AFTER UPDATE ON chain_cursors
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('chain', NEW.chain_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_chain_cursors_delete AFTER DELETE ON chain_cursors
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('chain', OLD.chain_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
CREATE TRIGGER stream_chain_reorgs_insert AFTER INSERT ON chain_reorgs
WHEN EXISTS (SELECT 1 FROM stream_feed)
BEGIN
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES ('reorgs', NEW.reorg_id,
            EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1));
END;
-- postgres
CREATE FUNCTION stream_note() RETURNS trigger LANGUAGE plpgsql AS $note$
DECLARE
    r record;
    changed text;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM stream_feed) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        r := OLD;
    ELSE
        r := NEW;
    END IF;
    CASE TG_TABLE_NAME
    WHEN 'assets' THEN
        changed := r.asset_id;
    WHEN 'leases' THEN
        changed := r.lease_id;
    WHEN 'lease_offers' THEN
        changed := r.chain_id::text || '/' || '0x' || encode(r.marketplace, 'hex')
            || '/' || r.offer_id::text;
    WHEN 'lease_bids' THEN
        changed := r.chain_id::text || '/' || '0x' || encode(r.marketplace, 'hex')
            || '/' || r.offer_id::text || '/' || r.bid_index::text;
    WHEN 'token_sales' THEN
        changed := r.chain_id::text || '/' || '0x' || encode(r.marketplace, 'hex')
            || '/' || r.sale_id::text;
    WHEN 'sale_bids' THEN
        changed := r.chain_id::text || '/' || '0x' || encode(r.marketplace, 'hex')
            || '/' || r.sale_id::text || '/' || r.bid_index::text;
    WHEN 'relay_intents' THEN
        changed := r.intent_id;
    WHEN 'chain_cursors' THEN
        changed := r.chain_id::text;
    WHEN 'chain_reorgs' THEN
        changed := r.reorg_id::text;
    END CASE;
    INSERT INTO stream_changes (topic, row_key, undone)
    VALUES (TG_ARGV[0], changed, coalesce(current_setting('freehold.replay', true), '') = '1');
    RETURN NULL;
END;
$note$;
CREATE TRIGGER stream_assets AFTER INSERT OR UPDATE OR DELETE ON assets
FOR EACH ROW EXECUTE FUNCTION stream_note('assets');
CREATE TRIGGER stream_leases AFTER INSERT OR UPDATE OR DELETE ON leases
FOR EACH ROW EXECUTE FUNCTION stream_note('leases');
CREATE TRIGGER stream_lease_offers AFTER INSERT OR UPDATE OR DELETE ON lease_offers
FOR EACH ROW EXECUTE FUNCTION stream_note('offers');
CREATE TRIGGER stream_lease_bids AFTER INSERT OR UPDATE OR DELETE ON lease_bids
FOR EACH ROW EXECUTE FUNCTION stream_note('bids');
CREATE TRIGGER stream_token_sales AFTER INSERT OR UPDATE OR DELETE ON token_sales
FOR EACH ROW EXECUTE FUNCTION stream_note('sales');
CREATE TRIGGER stream_sale_bids AFTER INSERT OR UPDATE OR DELETE ON sale_bids
FOR EACH ROW EXECUTE FUNCTION stream_note('sale-bids');
CREATE TRIGGER stream_relay_intents AFTER INSERT ON relay_intents
FOR EACH ROW EXECUTE FUNCTION stream_note('transactions');
CREATE TRIGGER stream_relay_intents_update AFTER UPDATE ON relay_intents FOR EACH ROW
WHEN (OLD.state <> NEW.state OR OLD.final <> NEW.final
    OR OLD.attempts <> NEW.attempts OR OLD.cancelling <> NEW.cancelling)
EXECUTE FUNCTION stream_note('transactions');
CREATE TRIGGER stream_chain_cursors AFTER INSERT OR UPDATE OR DELETE ON chain_cursors
FOR EACH ROW EXECUTE FUNCTION stream_note('chain');
CREATE TRIGGER stream_chain_reorgs AFTER INSERT ON chain_reorgs
FOR EACH ROW EXECUTE FUNCTION stream_note('reorgs');

-- down
-- sqlite
DROP TRIGGER stream_assets_insert;
DROP TRIGGER stream_assets_update;
DROP TRIGGER stream_assets_delete;
DROP TRIGGER stream_leases_insert;
DROP TRIGGER stream_leases_update;
DROP TRIGGER stream_leases_delete;
DROP TRIGGER stream_lease_offers_insert;
DROP TRIGGER stream_lease_offers_update;
DROP TRIGGER stream_lease_offers_delete;
DROP TRIGGER stream_lease_bids_insert;
DROP TRIGGER stream_lease_bids_update;
DROP TRIGGER stream_lease_bids_delete;
DROP TRIGGER stream_token_sales_insert;
DROP TRIGGER stream_token_sales_update;
DROP TRIGGER stream_token_sales_delete;
DROP TRIGGER stream_sale_bids_insert;
DROP TRIGGER stream_sale_bids_update;
DROP TRIGGER stream_sale_bids_delete;
DROP TRIGGER stream_relay_intents_insert;
DROP TRIGGER stream_relay_intents_update;
DROP TRIGGER stream_chain_cursors_insert;
DROP TRIGGER stream_chain_cursors_update;
DROP TRIGGER stream_chain_cursors_delete;
DROP TRIGGER stream_chain_reorgs_insert;
-- postgres
DROP TRIGGER stream_assets ON assets;
DROP TRIGGER stream_leases ON leases;
DROP TRIGGER stream_lease_offers ON lease_offers;
DROP TRIGGER stream_lease_bids ON lease_bids;
DROP TRIGGER stream_token_sales ON token_sales;
DROP TRIGGER stream_sale_bids ON sale_bids;
DROP TRIGGER stream_relay_intents ON relay_intents;
DROP TRIGGER stream_relay_intents_update ON relay_intents;
DROP TRIGGER stream_chain_cursors ON chain_cursors;
DROP TRIGGER stream_chain_reorgs ON chain_reorgs;
DROP FUNCTION stream_note();
-- both
DROP TABLE stream_messages;
DROP TABLE stream_numbers;
DROP TABLE stream_feed;
DROP TABLE stream_changes;
