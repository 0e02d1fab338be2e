-- Projections of the test contracts of the chain tests: a journal of what was applied in which
-- order, the tokens that a factory made, and their balances.

-- up

CREATE TABLE trace_journal (
    position @i64 NOT NULL PRIMARY KEY,
    event_id @text NOT NULL,
    block_number @i64 NOT NULL,
    log_index @i64 NOT NULL
);
-- projection: trace_journal (position)

CREATE TABLE trace_tokens (
    token @address NOT NULL PRIMARY KEY,
    factory @address NOT NULL
);
-- projection: trace_tokens (token)

CREATE TABLE trace_balances (
    token @address NOT NULL,
    holder @address NOT NULL,
    balance @u256 NOT NULL,
    PRIMARY KEY (token, holder)
);
-- projection: trace_balances (token, holder)

-- down

DROP TABLE trace_balances;
DROP TABLE trace_tokens;
DROP TABLE trace_journal;
