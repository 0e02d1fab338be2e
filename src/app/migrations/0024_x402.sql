-- Payments by x402, each taken for one run of a handler (kernel/x402/x402_payments.h).

-- up

-- state: 1 reserved, 2 settling, 3 pending, 4 settled, 5 failed. `valid_before` is Unix seconds.
CREATE TABLE x402_payments (
    chain_id @i64 NOT NULL,
    asset @address NOT NULL,
    payer @address NOT NULL,
    nonce @hash NOT NULL,
    pay_to @address NOT NULL,
    amount @u256 NOT NULL,
    valid_before @u256 NOT NULL,
    resource @text NOT NULL,
    request_hash @hash NOT NULL,
    payload @json NOT NULL,
    state @i64 NOT NULL CHECK (state BETWEEN 1 AND 5),
    reason @text,
    transaction_hash @hash,
    reserved_at @time NOT NULL,
    ended_at @time,
    PRIMARY KEY (chain_id, asset, payer, nonce)
);
CREATE INDEX idx_x402_payments_open ON x402_payments (state, valid_before) WHERE state < 4;

-- down
DROP TABLE x402_payments;
