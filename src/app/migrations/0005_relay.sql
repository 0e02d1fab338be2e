-- Outgoing transactions: wallets with their next nonce, intents, and every version that was signed.

-- up

CREATE TABLE relay_wallets (
    chain_id @i64 NOT NULL,
    address @address NOT NULL,
    next_nonce @i64 NOT NULL,
    updated_at @time NOT NULL,
    PRIMARY KEY (chain_id, address)
);

-- state: 1 queued, 2 signed, 3 sent, 4 mined, 5 reverted, 6 failed, 7 replaced, 8 cancelled.
-- `tries` counts looks at a queued intent that a node could not answer. `try_at` is when a queued
-- one is looked at, or signed bytes are sent, next.
CREATE TABLE relay_intents (
    seq @id,
    intent_id @text NOT NULL UNIQUE,
    intent_key @text NOT NULL UNIQUE,
    content_hash @hash NOT NULL,
    chain_id @i64 NOT NULL,
    wallet @address NOT NULL,
    to_address @address,
    value @u256 NOT NULL,
    data @bytes NOT NULL,
    role @text NOT NULL,
    purpose @text NOT NULL,
    gas_limit @i64 NOT NULL,
    after_id @text,
    deadline @time,
    state @i64 NOT NULL CHECK (state BETWEEN 1 AND 8),
    final @bool NOT NULL,
    nonce @i64,
    transaction_hash @hash,
    attempts @i64 NOT NULL,
    tries @i64 NOT NULL DEFAULT 0,
    sent_at @time,
    try_at @time NOT NULL,
    block_number @i64,
    block_hash @hash,
    gas_used @i64,
    gas_price @u256,
    contract @address,
    error_code @text,
    error @text,
    created_at @time NOT NULL,
    updated_at @time NOT NULL,
    CONSTRAINT relay_intents_signed CHECK (state NOT IN (2, 3, 4, 5, 7) OR nonce IS NOT NULL),
    UNIQUE (chain_id, wallet, nonce)
);
CREATE INDEX idx_relay_intents_open ON relay_intents (chain_id, state, seq) WHERE state < 4;
CREATE INDEX idx_relay_intents_unfinal ON relay_intents (chain_id, block_number) WHERE NOT final;
CREATE INDEX idx_relay_intents_hash ON relay_intents (transaction_hash);

-- A filler is an empty transfer to the wallet itself that takes the nonce of an intent whose own
-- bytes no node takes; when it is mined the intent has failed.
CREATE TABLE relay_attempts (
    intent_id @text NOT NULL REFERENCES relay_intents (intent_id),
    attempt @i64 NOT NULL,
    transaction_hash @hash NOT NULL UNIQUE,
    raw @bytes NOT NULL,
    fee_max @u256 NOT NULL,
    fee_priority @u256 NOT NULL,
    gas_limit @i64 NOT NULL,
    filler @bool NOT NULL DEFAULT FALSE,
    created_at @time NOT NULL,
    PRIMARY KEY (intent_id, attempt)
);

-- down

DROP TABLE relay_attempts;
DROP TABLE relay_intents;
DROP TABLE relay_wallets;
