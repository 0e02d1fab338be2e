-- Accounts and transfers of the ledger; see kernel/ledger/ledger.h.
--
-- `origin` is 0 for what the engine moved on its own and the chain id for what an apply step of
-- that chain moved. An apply step writes rows of its own origin only, so that undoing it column by
-- column is exact. Keys are natural: a fresh index gives equal rows.

-- up

-- Totals of one origin. *_pending: holds of this origin that it has not ended itself. *_released:
-- holds of the engine that this chain has ended. entries: transfers of this origin, so far.
CREATE TABLE ledger_accounts (
    book @text NOT NULL,
    path @text NOT NULL,
    origin @i64 NOT NULL CHECK (origin >= 0),
    flags @i64 NOT NULL,
    debits_pending @u256 NOT NULL,
    debits_released @u256 NOT NULL,
    debits_posted @u256 NOT NULL,
    credits_pending @u256 NOT NULL,
    credits_released @u256 NOT NULL,
    credits_posted @u256 NOT NULL,
    entries @i64 NOT NULL CHECK (entries >= 0),
    PRIMARY KEY (book, path, origin)
);
-- projection: ledger_accounts (book, path, origin)

-- `origin` made the transfer, `closer` posted or voided it. debit_entry and credit_entry are its
-- place among the entries of its origin in each account.
CREATE TABLE ledger_transfers (
    id @text NOT NULL PRIMARY KEY,
    book @text NOT NULL,
    debit @text NOT NULL,
    credit @text NOT NULL,
    origin @i64 NOT NULL,
    held @bool NOT NULL,
    amount @u256 NOT NULL,
    posted @u256 NOT NULL,
    state @i64 NOT NULL CHECK (state IN (1, 2, 3)),
    closer @i64,
    kind @text NOT NULL,
    cause @text NOT NULL,
    debit_entry @i64 NOT NULL,
    credit_entry @i64 NOT NULL,
    created @time NOT NULL,
    closed @time,
    CONSTRAINT ledger_transfers_accounts CHECK (debit <> credit),
    CONSTRAINT ledger_transfers_posted CHECK (posted <= amount AND amount > @u256(0)),
    CONSTRAINT ledger_transfers_closed
        CHECK ((state = 1) = (closer IS NULL) AND (state = 1) = (closed IS NULL)),
    FOREIGN KEY (book, debit, origin) REFERENCES ledger_accounts (book, path, origin),
    FOREIGN KEY (book, credit, origin) REFERENCES ledger_accounts (book, path, origin)
);
CREATE INDEX ledger_transfers_debit
    ON ledger_transfers (book, debit, created, debit_entry, id);
CREATE INDEX ledger_transfers_credit
    ON ledger_transfers (book, credit, created, credit_entry, id);
-- projection: ledger_transfers (id)

-- down

DROP TABLE ledger_transfers;
DROP TABLE ledger_accounts;
