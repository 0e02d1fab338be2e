-- What was sold for payments by x402 (kernel/paywall/paywall.h).

-- up

-- Of a payment that is being settled, or was: which price it was for, what the seller noted, the
-- relay's intent, and the answer that was held back. `body` goes when the answer is not told again.
CREATE TABLE x402_sales (
    chain_id @i64 NOT NULL,
    asset @address NOT NULL,
    payer @address NOT NULL,
    nonce @hash NOT NULL,
    operation @text NOT NULL,
    detail @json NOT NULL,
    intent_id @text NOT NULL,
    status @i64 NOT NULL,
    content_type @text,
    location @text,
    body @bytes,
    created_at @time NOT NULL,
    PRIMARY KEY (chain_id, asset, payer, nonce)
);
CREATE INDEX idx_x402_sales_kept ON x402_sales (created_at) WHERE body IS NOT NULL;

-- down
DROP TABLE x402_sales;
