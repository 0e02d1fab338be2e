-- What was booked stays as it was booked, whoever writes: a transfer changes only when a hold ends,
-- an account only in its totals, and neither is deleted. The one exception is the undo log, which
-- takes back what an orphaned block had written: while it is replayed (store_undo_rollback) the log
-- has a mark, a record of chain -1, that nobody outside of the replaying transaction ever sees.
-- This guards against mistakes; who owns the database can drop the triggers, and `freehold audit
-- ledger` looks at the rows, not at them.

-- up

-- sqlite
CREATE TRIGGER ledger_transfers_stay BEFORE UPDATE ON ledger_transfers
WHEN (OLD.state <> 1 OR NEW.state = 1 OR OLD.id <> NEW.id OR OLD.book <> NEW.book
        OR OLD.debit <> NEW.debit OR OLD.credit <> NEW.credit OR OLD.origin <> NEW.origin
        OR OLD.held <> NEW.held OR OLD.amount <> NEW.amount OR OLD.kind <> NEW.kind
        OR OLD.cause <> NEW.cause OR OLD.debit_entry <> NEW.debit_entry
        OR OLD.credit_entry <> NEW.credit_entry OR OLD.created <> NEW.created)
    AND NOT EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1)
BEGIN
    SELECT RAISE(ABORT, 'a transfer only changes when its hold ends: ledger_transfers_stay');
END;
CREATE TRIGGER ledger_transfers_keep BEFORE DELETE ON ledger_transfers
WHEN NOT EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1)
BEGIN
    SELECT RAISE(ABORT, 'a transfer is never deleted: ledger_transfers_keep');
END;
CREATE TRIGGER ledger_accounts_stay BEFORE UPDATE ON ledger_accounts
WHEN (OLD.book <> NEW.book OR OLD.path <> NEW.path OR OLD.origin <> NEW.origin
        OR OLD.flags <> NEW.flags OR OLD.entries > NEW.entries)
    AND NOT EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1)
BEGIN
    SELECT RAISE(ABORT, 'an account changes in its totals only: ledger_accounts_stay');
END;
CREATE TRIGGER ledger_accounts_keep BEFORE DELETE ON ledger_accounts
WHEN NOT EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1)
BEGIN
    SELECT RAISE(ABORT, 'an account is never deleted: ledger_accounts_keep');
END;
-- postgres
-- An account is written again and again: with room on its page the index is left alone, and with it
-- the neighbours whose transactions would seem to be in each other's way.
ALTER TABLE ledger_accounts SET (fillfactor = 40);
CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM undo_log WHERE chain_id = -1) THEN
        RAISE EXCEPTION 'what was booked is neither changed nor deleted'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END;
$refuse$;
-- The conditions are looked at without calling the function.
CREATE TRIGGER ledger_transfers_stay BEFORE UPDATE ON ledger_transfers FOR EACH ROW
WHEN (OLD.state <> 1 OR NEW.state = 1 OR OLD.id <> NEW.id OR OLD.book <> NEW.book
        OR OLD.debit <> NEW.debit OR OLD.credit <> NEW.credit OR OLD.origin <> NEW.origin
        OR OLD.held <> NEW.held OR OLD.amount <> NEW.amount OR OLD.kind <> NEW.kind
        OR OLD.cause <> NEW.cause OR OLD.debit_entry <> NEW.debit_entry
        OR OLD.credit_entry <> NEW.credit_entry OR OLD.created <> NEW.created)
EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_transfers_keep BEFORE DELETE ON ledger_transfers FOR EACH ROW
EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_accounts_stay BEFORE UPDATE ON ledger_accounts FOR EACH ROW
WHEN (OLD.book <> NEW.book OR OLD.path <> NEW.path OR OLD.origin <> NEW.origin
        OR OLD.flags <> NEW.flags OR OLD.entries > NEW.entries)
EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_accounts_keep BEFORE DELETE ON ledger_accounts FOR EACH ROW
EXECUTE FUNCTION ledger_refuse();

-- down

-- sqlite
DROP TRIGGER ledger_transfers_stay;
DROP TRIGGER ledger_transfers_keep;
DROP TRIGGER ledger_accounts_stay;
DROP TRIGGER ledger_accounts_keep;
-- postgres
DROP TRIGGER ledger_transfers_stay ON ledger_transfers;
DROP TRIGGER ledger_transfers_keep ON ledger_transfers;
DROP TRIGGER ledger_accounts_stay ON ledger_accounts;
DROP TRIGGER ledger_accounts_keep ON ledger_accounts;
DROP FUNCTION ledger_refuse();
ALTER TABLE ledger_accounts RESET (fillfactor);
