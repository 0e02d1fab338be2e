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

-- Access to leased assets, sold by the second (domain/leasing/leasing_access.h): seconds and money
-- of each lease, whose difference is the part of a unit that the next step carries.
CREATE TABLE lease_streams (
    lease_id @text NOT NULL PRIMARY KEY,
    seconds_sold @i64 NOT NULL CHECK (seconds_sold > 0),
    paid @u256 NOT NULL,
    payments @i64 NOT NULL CHECK (payments > 0),
    updated_at @time NOT NULL
);

-- Each payment for access, in the order in which they were settled.
CREATE TABLE lease_access_payments (
    seq @id,
    lease_id @text NOT NULL,
    mode @text NOT NULL CHECK (mode IN ('second', 'batch-5s')),
    interval_seconds @i64 NOT NULL CHECK (interval_seconds > 0),
    amount @u256 NOT NULL,
    chain_id @i64 NOT NULL,
    asset @address NOT NULL,
    payer @address NOT NULL,
    nonce @hash NOT NULL,
    transaction_hash @hash NOT NULL,
    bucket_slot @time NOT NULL,
    paid_at @time NOT NULL,
    UNIQUE (chain_id, asset, payer, nonce)
);
CREATE INDEX idx_lease_access_payments ON lease_access_payments (lease_id, bucket_slot, seq);

-- The payments of a lease in an hour (UTC), together.
CREATE TABLE lease_access_hours (
    lease_id @text NOT NULL,
    hour_bucket @time NOT NULL,
    total @u256 NOT NULL,
    payments @i64 NOT NULL CHECK (payments > 0),
    started_at @time NOT NULL,
    updated_at @time NOT NULL,
    PRIMARY KEY (lease_id, hour_bucket)
);

-- down
DROP TABLE lease_access_hours;
DROP TABLE lease_access_payments;
DROP TABLE lease_streams;
DROP TABLE x402_sales;
