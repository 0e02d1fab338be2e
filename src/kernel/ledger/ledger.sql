-- Statements of the ledger. u256 arithmetic is done in C; here totals are only read and written.

-- statement: ledger_account_lock
-- doc: locks and reads the totals of accounts, one row an origin, in the order of their names
-- rows: set
-- params: place i64, book text, path text
-- columns: place i64, origin i64, flags i64, debits_pending u256, debits_released u256
-- columns: debits_posted u256, credits_pending u256, credits_released u256, credits_posted u256
-- columns: entries i64
-- both
SELECT :place AS place, a.origin, a.flags, a.debits_pending, a.debits_released, a.debits_posted,
       a.credits_pending, a.credits_released, a.credits_posted, a.entries
FROM @rows JOIN ledger_accounts a ON a.book = :book AND a.path = :path
-- postgres
ORDER BY a.book COLLATE "C", a.path COLLATE "C", a.origin
FOR UPDATE OF a
-- both
;

-- statement: ledger_account_read
-- doc: reads the totals of an account, one row an origin
-- params: book text, path text
-- columns: origin i64, flags i64, debits_pending u256, debits_released u256, debits_posted u256
-- columns: credits_pending u256, credits_released u256, credits_posted u256, entries i64
SELECT origin, flags, debits_pending, debits_released, debits_posted, credits_pending,
       credits_released, credits_posted, entries
FROM ledger_accounts WHERE book = :book AND path = :path ORDER BY origin;

-- statement: ledger_account_insert
-- doc: opens the row of an account for an origin
-- rows: set
-- params: book text, path text, origin i64, flags i64
-- params: debits_pending u256, debits_released u256, debits_posted u256
-- params: credits_pending u256, credits_released u256, credits_posted u256, entries i64
INSERT INTO ledger_accounts (book, path, origin, flags, debits_pending, debits_released,
                             debits_posted, credits_pending, credits_released, credits_posted,
                             entries)
VALUES (:book, :path, :origin, :flags, :debits_pending, :debits_released, :debits_posted,
        :credits_pending, :credits_released, :credits_posted, :entries)
ON CONFLICT (book, path, origin) DO NOTHING;

-- statement: ledger_account_touch
-- doc: makes transactions that read the other rows of an account before a new one appeared fail
-- rows: set
-- params: book text, path text, origin i64
UPDATE ledger_accounts SET flags = flags
WHERE book = :book AND path = :path AND origin <> :origin;

-- statement: ledger_account_update
-- doc: writes the totals of an account for an origin
-- rows: set
-- params: book text, path text, origin i64
-- params: debits_pending u256, debits_released u256, debits_posted u256
-- params: credits_pending u256, credits_released u256, credits_posted u256, entries i64
UPDATE ledger_accounts
SET debits_pending = :debits_pending, debits_released = :debits_released,
    debits_posted = :debits_posted, credits_pending = :credits_pending,
    credits_released = :credits_released, credits_posted = :credits_posted, entries = :entries
WHERE book = :book AND path = :path AND origin = :origin;

-- statement: ledger_transfer_find
-- doc: finds transfers
-- rows: set
-- params: place i64, id text
-- columns: place i64, book text, debit text, credit text, origin i64, held bool, amount u256
-- columns: posted u256, state i64, kind text, cause text
SELECT :place AS place, t.book, t.debit, t.credit, t.origin, t.held, t.amount, t.posted, t.state,
       t.kind, t.cause
FROM @rows JOIN ledger_transfers t ON t.id = :id;

-- statement: ledger_transfer_insert
-- doc: adds a transfer; nothing when its id exists
-- rows: set
-- params: id text, book text, debit text, credit text, origin i64, held bool, amount u256
-- params: posted u256
-- params: state i64, closer i64?, kind text, cause text, debit_entry i64, credit_entry i64
-- params: created time, closed time?
INSERT INTO ledger_transfers (id, book, debit, credit, origin, held, amount, posted, state, closer,
                              kind, cause, debit_entry, credit_entry, created, closed)
VALUES (:id, :book, :debit, :credit, :origin, :held, :amount, :posted, :state, :closer, :kind,
        :cause, :debit_entry, :credit_entry, :created, :closed)
ON CONFLICT (id) DO NOTHING;

-- statement: ledger_transfer_close
-- doc: posts or voids a pending transfer
-- params: id text, state i64, posted u256, closer i64, closed time
UPDATE ledger_transfers
SET state = :state, posted = :posted, closer = :closer, closed = :closed
WHERE id = :id AND state = 1;

-- statement: ledger_entry_place
-- doc: finds the place of a transfer among the entries of an account
-- params: id text, book text, path text
-- columns: created time, entry i64
SELECT created, CASE WHEN debit = :path THEN debit_entry ELSE credit_entry END AS entry
FROM ledger_transfers WHERE id = :id AND book = :book AND (debit = :path OR credit = :path);

-- statement: ledger_entries
-- doc: lists the transfers of an account behind a place, oldest first
-- params: book text, path text, created time, entry i64, id text, limit i64
-- columns: id text, debit text, credit text, amount u256, posted u256, kind text, cause text
-- columns: state i64, created time, closed time?, entry i64
SELECT id, debit, credit, amount, posted, kind, cause, state, created, closed, debit_entry AS entry
FROM ledger_transfers
WHERE book = :book AND debit = :path AND (created, debit_entry, id) > (:created, :entry, :id)
UNION ALL
SELECT id, debit, credit, amount, posted, kind, cause, state, created, closed, credit_entry AS entry
FROM ledger_transfers
WHERE book = :book AND credit = :path AND (created, credit_entry, id) > (:created, :entry, :id)
ORDER BY created, entry, id LIMIT :limit;

-- statement: ledger_accounts
-- doc: lists the rows of the next accounts, of one book and below one path unless these are empty
-- params: book text, prefix text, after_book text, after_path text, limit i64
-- columns: book text, path text, flags i64, debits_pending u256, debits_released u256
-- columns: debits_posted u256, credits_pending u256, credits_released u256, credits_posted u256
-- columns: entries i64
SELECT a.book, a.path, a.flags, a.debits_pending, a.debits_released, a.debits_posted,
       a.credits_pending, a.credits_released, a.credits_posted, a.entries
FROM ledger_accounts a
JOIN (SELECT DISTINCT book, path FROM ledger_accounts
      WHERE (:book = '' OR book = :book) AND substr(path, 1, length(:prefix)) = :prefix
          AND (book, path) > (:after_book, :after_path)
      ORDER BY book, path LIMIT :limit) k ON k.book = a.book AND k.path = a.path
ORDER BY a.book, a.path, a.origin;

-- statement: ledger_audit_accounts
-- doc: lists rows of accounts behind one, in the order of their key
-- params: book text, path text, origin i64, limit i64
-- columns: book text, path text, origin i64, flags i64, debits_pending u256, debits_released u256
-- columns: debits_posted u256, credits_pending u256, credits_released u256, credits_posted u256
-- columns: entries i64
SELECT book, path, origin, flags, debits_pending, debits_released, debits_posted, credits_pending,
       credits_released, credits_posted, entries
FROM ledger_accounts WHERE (book, path, origin) > (:book, :path, :origin)
ORDER BY book, path, origin LIMIT :limit;

-- statement: ledger_audit_debits
-- doc: lists what an account gave behind a place, in the order of their index
-- params: book text, path text, created time, entry i64, id text, limit i64
-- columns: id text, origin i64, held bool, amount u256, posted u256, state i64, closer i64?
-- columns: created time, entry i64
SELECT id, origin, held, amount, posted, state, closer, created, debit_entry AS entry
FROM ledger_transfers
WHERE book = :book AND debit = :path AND (created, debit_entry, id) > (:created, :entry, :id)
ORDER BY created, debit_entry, id LIMIT :limit;

-- statement: ledger_audit_credits
-- doc: lists what an account received behind a place, in the order of their index
-- params: book text, path text, created time, entry i64, id text, limit i64
-- columns: id text, origin i64, held bool, amount u256, posted u256, state i64, closer i64?
-- columns: created time, entry i64
SELECT id, origin, held, amount, posted, state, closer, created, credit_entry AS entry
FROM ledger_transfers
WHERE book = :book AND credit = :path AND (created, credit_entry, id) > (:created, :entry, :id)
ORDER BY created, credit_entry, id LIMIT :limit;

-- statement: ledger_audit_transfers
-- doc: lists whole transfers behind an id, and whether the rows that they moved are there
-- params: id text, limit i64
-- columns: id text, book text, debit text, credit text, origin i64, held bool, amount u256
-- columns: posted u256, state i64, closer i64?, kind text, cause text, debit_entry i64
-- columns: credit_entry i64, created time, closed time?, known bool
SELECT id, book, debit, credit, origin, held, amount, posted, state, closer, kind, cause,
       debit_entry, credit_entry, created, closed,
       EXISTS (SELECT 1 FROM ledger_accounts a
               WHERE a.book = t.book AND a.path = t.debit AND a.origin = t.origin)
       AND EXISTS (SELECT 1 FROM ledger_accounts a
                   WHERE a.book = t.book AND a.path = t.credit AND a.origin = t.origin)
       AND (t.closer IS NULL OR t.closer = t.origin
            OR (EXISTS (SELECT 1 FROM ledger_accounts a
                        WHERE a.book = t.book AND a.path = t.debit AND a.origin = t.closer)
                AND EXISTS (SELECT 1 FROM ledger_accounts a
                            WHERE a.book = t.book AND a.path = t.credit AND a.origin = t.closer)))
       AS known
FROM ledger_transfers t WHERE id > :id ORDER BY id LIMIT :limit;
