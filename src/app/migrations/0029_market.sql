-- What the API was asked to do about sales of asset tokens (leasing_sales.h), and when rent of
-- leases is due (leasing_dues.h). Neither is a projection: requests are users', dues are written
-- again by a job whenever agreement, chain or clock have changed what they were made from.

-- up

-- One row a sale that somebody asked to post with a wallet of ours, under the caller's name for it.
CREATE TABLE sale_requests (
    request_id @text NOT NULL PRIMARY KEY,
    chain_id @i64 NOT NULL,
    marketplace @address NOT NULL,
    asset_id @text NOT NULL,
    seller @address NOT NULL,
    token @address NOT NULL,
    amount @u256 NOT NULL,
    ask_price @u256 NOT NULL,
    intent_id @text,
    created_at @time NOT NULL
);
CREATE INDEX idx_sale_requests_created ON sale_requests (created_at, request_id);

CREATE TABLE sale_bid_requests (
    request_id @text NOT NULL PRIMARY KEY,
    chain_id @i64 NOT NULL,
    marketplace @address NOT NULL,
    sale_id @u256 NOT NULL,
    bidder @address NOT NULL,
    amount @u256 NOT NULL,
    price @u256 NOT NULL,
    funds @u256 NOT NULL,
    approve_intent_id @text,
    bid_intent_id @text,
    created_at @time NOT NULL
);
CREATE INDEX idx_sale_bid_requests_bidder ON sale_bid_requests (bidder);
CREATE INDEX idx_sale_bid_requests_sale ON sale_bid_requests (chain_id, marketplace, sale_id);

-- One row a try to accept a bid, to take one back or to cancel a sale. `bid_index` is NULL for a
-- cancellation, `approve_intent_id` but for an acceptance.
CREATE TABLE sale_actions (
    intent_id @text NOT NULL PRIMARY KEY,
    chain_id @i64 NOT NULL,
    marketplace @address NOT NULL,
    sale_id @u256 NOT NULL,
    bid_index @u256,
    action @text NOT NULL CHECK (action IN ('accept', 'cancel', 'withdraw')),
    wallet @address NOT NULL,
    approve_intent_id @text,
    created_at @time NOT NULL,
    CONSTRAINT sale_actions_bid CHECK ((bid_index IS NULL) = (action = 'cancel'))
);
CREATE INDEX idx_sale_actions_sale ON sale_actions (chain_id, marketplace, sale_id);
CREATE INDEX idx_sale_actions_wallet ON sale_actions (wallet);

-- One row a lease whose dues are written: what they were made from, and when the clock changes
-- them. An `instalments` of zero: amounts beyond 256 bits, of a lease that others made.
CREATE TABLE lease_schedules (
    lease_id @text NOT NULL PRIMARY KEY,
    lease_status @text NOT NULL,
    transaction_hash @hash,
    rounds @i64 NOT NULL,
    instalments @i64 NOT NULL,
    total @u256 NOT NULL,
    paid @u256 NOT NULL,
    next_at @time,
    updated_at @time NOT NULL
);

CREATE TABLE lease_dues (
    lease_id @text NOT NULL,
    number @i64 NOT NULL CHECK (number > 0),
    due_at @time NOT NULL,
    period_end @time NOT NULL,
    amount @u256 NOT NULL,
    paid @u256 NOT NULL,
    status @text NOT NULL CHECK (status IN ('due', 'paid', 'overdue', 'void')),
    PRIMARY KEY (lease_id, number)
);
CREATE INDEX idx_lease_dues_due ON lease_dues (status, due_at, lease_id, number);

CREATE INDEX idx_revenue_rounds_lease ON revenue_rounds (chain_id, lease_token_id);

-- Requests of holders for their revenue, signed and handed in by somebody else. A nonce is of one
-- request: handed in again it finds this row.
CREATE TABLE claim_authorizations (
    chain_id @i64 NOT NULL,
    marketplace @address NOT NULL,
    holder @address NOT NULL,
    nonce @hash NOT NULL,
    deadline @time NOT NULL,
    intent_id @text,
    created_at @time NOT NULL,
    PRIMARY KEY (chain_id, marketplace, holder, nonce)
);

-- down
DROP TABLE claim_authorizations;
DROP INDEX idx_revenue_rounds_lease;
DROP TABLE lease_dues;
DROP TABLE lease_schedules;
DROP TABLE sale_actions;
DROP TABLE sale_bid_requests;
DROP TABLE sale_requests;
