-- The journal of the matching engine in the database; see domain/trading/journal/journal_table.h.

-- up

-- Sizes of the engine's pools, fixed for the journal's life.
CREATE TABLE trading_journal_limits (
    single @i64 NOT NULL PRIMARY KEY CHECK (single = 1),
    pairs @i64 NOT NULL,
    assets @i64 NOT NULL,
    accounts @i64 NOT NULL,
    orders @i64 NOT NULL,
    balances @i64 NOT NULL,
    rights @i64 NOT NULL,
    holds @i64 NOT NULL,
    id_window @i64 NOT NULL
);

-- Blocks as they are in files (journal_block.h). fence: of the process that wrote it.
CREATE TABLE trading_journal (
    first_seq @i64 NOT NULL PRIMARY KEY CHECK (first_seq > 0),
    next_seq @i64 NOT NULL UNIQUE,
    fence @i64 NOT NULL,
    chain_before @hash NOT NULL,
    block @bytes NOT NULL,
    CONSTRAINT trading_journal_count CHECK (next_seq > first_seq)
);

-- The newest states, in parts.
CREATE TABLE trading_snapshots (
    seq @i64 NOT NULL,
    part @i64 NOT NULL,
    bytes @bytes NOT NULL,
    PRIMARY KEY (seq, part)
);

-- down
DROP TABLE trading_snapshots;
DROP TABLE trading_journal;
DROP TABLE trading_journal_limits;
