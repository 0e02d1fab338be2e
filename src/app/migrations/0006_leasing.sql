-- The leasing product: seeds 000 §3.1 and 001 §3.1 merged into one schema.
--
-- Two kinds of tables. Agreements (asset_types, assets, leases, *_requests) hold what users told
-- us and what we asked the chain to do. Projections hold what the chain said; they are functions
-- of the canonical chain alone, carry undo triggers, and equal those of a fresh index at any time.
-- assets and leases carry link columns that chain events set (on-chain id, block, status): they
-- are undone column by column, so that what a user changed meanwhile stays.

-- up

-- Asset types: a JSON schema for the metadata of assets, and the keys that every lease must carry.
CREATE TABLE asset_types (
    type_name @text NOT NULL PRIMARY KEY,
    type_hash @hash NOT NULL UNIQUE,
    schema @json NOT NULL,
    required_lease_keys @json NOT NULL,
    chain_id @i64 NOT NULL,
    intent_id @text,
    status @text NOT NULL CHECK (status IN ('registered', 'active', 'failed')),
    error @text,
    block_number @i64,
    transaction_hash @hash,
    created_at @time NOT NULL,
    updated_at @time NOT NULL
);
-- projection: asset_types (type_name)

CREATE TABLE onchain_types (
    chain_id @i64 NOT NULL,
    registry @address NOT NULL,
    type_hash @hash NOT NULL,
    name_hash @hash NOT NULL,
    required_lease_keys @json NOT NULL,
    block_number @i64 NOT NULL,
    transaction_hash @hash NOT NULL,
    PRIMARY KEY (chain_id, registry, type_hash)
);
-- projection: onchain_types (chain_id, registry, type_hash)

-- Key-value metadata of types, assets (namespace = keccak(asset id)) and lease NFTs.
CREATE TABLE onchain_metadata (
    chain_id @i64 NOT NULL,
    contract @address NOT NULL,
    namespace @hash NOT NULL,
    meta_key @text NOT NULL,
    meta_value @text NOT NULL,
    block_number @i64 NOT NULL,
    log_index @i64 NOT NULL,
    PRIMARY KEY (chain_id, contract, namespace, meta_key)
);
-- projection: onchain_metadata (chain_id, contract, namespace, meta_key)

CREATE TABLE assets (
    asset_id @text NOT NULL PRIMARY KEY,
    chain_id @i64 NOT NULL,
    name @text NOT NULL,
    description @text NOT NULL,
    asset_type @text NOT NULL,
    specifications @json NOT NULL,
    metadata @json NOT NULL,
    metadata_hash @hash NOT NULL,
    token_name @text NOT NULL,
    token_symbol @text NOT NULL,
    total_supply @u256 NOT NULL,
    token_recipient @address NOT NULL,
    status @text NOT NULL CHECK (status IN ('registered', 'active', 'inactive', 'failed')),
    error @text,
    intent_id @text,
    contract_address @address NOT NULL,
    onchain_id @u256,
    token_address @address,
    issuer @address,
    block_number @i64,
    transaction_hash @hash,
    created_at @time NOT NULL,
    updated_at @time NOT NULL,
    CONSTRAINT assets_onchain_whole CHECK ((onchain_id IS NULL) = (token_address IS NULL)),
    UNIQUE (chain_id, contract_address, onchain_id),
    UNIQUE (chain_id, token_address)
);
CREATE INDEX idx_assets_type ON assets (asset_type);
CREATE INDEX idx_assets_status ON assets (status);
CREATE INDEX idx_assets_chain_id ON assets (chain_id);
CREATE INDEX idx_assets_metadata_hash ON assets (metadata_hash);
CREATE INDEX idx_assets_intent ON assets (intent_id);
CREATE INDEX idx_assets_created ON assets (created_at, asset_id);
-- projection: assets (asset_id)

-- Holders of asset tokens now, and after each transfer that touched them.
CREATE TABLE token_holders (
    chain_id @i64 NOT NULL,
    token @address NOT NULL,
    holder @address NOT NULL,
    balance @u256 NOT NULL,
    PRIMARY KEY (chain_id, token, holder)
);
CREATE INDEX idx_token_holders_holder ON token_holders (chain_id, holder, token);
-- projection: token_holders (chain_id, token, holder)

CREATE TABLE token_balances (
    chain_id @i64 NOT NULL,
    token @address NOT NULL,
    holder @address NOT NULL,
    block_number @i64 NOT NULL,
    log_index @i64 NOT NULL,
    balance @u256 NOT NULL,
    PRIMARY KEY (chain_id, token, holder, block_number, log_index)
);
CREATE INDEX idx_token_balances_block ON token_balances (chain_id, token, block_number, log_index);
-- projection: token_balances (chain_id, token, holder, block_number, log_index)

-- asset_id is no foreign key: the row of an asset that others registered leaves with its block.
CREATE TABLE leases (
    lease_id @text NOT NULL PRIMARY KEY,
    asset_id @text NOT NULL,
    chain_id @i64 NOT NULL,
    contract_address @address NOT NULL,
    lessor @address NOT NULL,
    lessee @address,
    start_date @time NOT NULL,
    end_date @time NOT NULL,
    deadline @time NOT NULL,
    payment_token @address NOT NULL,
    payment_amount @u256 NOT NULL,
    payment_schedule @text NOT NULL
        CHECK (payment_schedule IN ('monthly', 'quarterly', 'annual', 'upfront')),
    rent_period_sec @i64 NOT NULL CHECK (rent_period_sec > 0),
    security_deposit @u256 NOT NULL,
    currency @text NOT NULL,
    legal_document_hash @hash NOT NULL,
    terms_version @i64 NOT NULL,
    agreement @json NOT NULL,
    metadata @json NOT NULL,
    metadata_hash @hash NOT NULL,
    restrictions @json NOT NULL,
    lessor_signature @bytes,
    lessee_signature @bytes,
    lessor_termination @bytes,
    lessee_termination @bytes,
    termination_reason @text,
    status @text NOT NULL
        CHECK (status IN ('draft', 'pending_signatures', 'active', 'completed', 'terminated')),
    error @text,
    intent_id @text,
    action_intent_id @text,
    offer_id @u256,
    nft_token_id @u256,
    block_number @i64,
    transaction_hash @hash,
    created_at @time NOT NULL,
    updated_at @time NOT NULL,
    CONSTRAINT leases_date_range CHECK (end_date > start_date)
);
CREATE INDEX idx_leases_asset ON leases (asset_id);
CREATE INDEX idx_leases_status ON leases (status);
CREATE INDEX idx_leases_dates ON leases (start_date, end_date);
CREATE INDEX idx_leases_lessor ON leases (lessor);
CREATE INDEX idx_leases_lessee ON leases (lessee);
CREATE INDEX idx_leases_intent ON leases (intent_id);
CREATE INDEX idx_leases_action_intent ON leases (action_intent_id);
CREATE INDEX idx_leases_offer ON leases (chain_id, offer_id);
CREATE INDEX idx_leases_nft ON leases (chain_id, nft_token_id);
CREATE INDEX idx_leases_created ON leases (created_at, lease_id);
-- projection: leases (lease_id)

CREATE TABLE lease_offers (
    chain_id @i64 NOT NULL,
    marketplace @address NOT NULL,
    offer_id @u256 NOT NULL,
    lessor @address NOT NULL,
    onchain_asset_id @u256 NOT NULL,
    status @text NOT NULL CHECK (status IN ('active', 'accepted', 'cancelled')),
    block_number @i64 NOT NULL,
    transaction_hash @hash NOT NULL,
    PRIMARY KEY (chain_id, marketplace, offer_id)
);
CREATE INDEX idx_lease_offers_tx ON lease_offers (chain_id, transaction_hash);
-- projection: lease_offers (chain_id, marketplace, offer_id)

CREATE TABLE lease_bids (
    chain_id @i64 NOT NULL,
    marketplace @address NOT NULL,
    offer_id @u256 NOT NULL,
    bid_index @u256 NOT NULL,
    bidder @address NOT NULL,
    funds @u256 NOT NULL,
    status @text NOT NULL CHECK (status IN ('active', 'accepted', 'refunded', 'withdrawn')),
    block_number @i64 NOT NULL,
    transaction_hash @hash NOT NULL,
    PRIMARY KEY (chain_id, marketplace, offer_id, bid_index)
);
CREATE INDEX idx_lease_bids_bidder ON lease_bids (chain_id, bidder);
-- projection: lease_bids (chain_id, marketplace, offer_id, bid_index)

-- What the chain does not tell in events: the signature of a bid, read back and checked by a job.
CREATE TABLE lease_bid_checks (
    chain_id @i64 NOT NULL,
    marketplace @address NOT NULL,
    offer_id @u256 NOT NULL,
    bid_index @u256 NOT NULL,
    bidder @address NOT NULL,
    signature @bytes NOT NULL,
    signature_valid @bool NOT NULL,
    detail @text NOT NULL,
    checked_at @time NOT NULL,
    PRIMARY KEY (chain_id, marketplace, offer_id, bid_index)
);

-- Bids that were placed through the API: the bidder's signature was verified before.
CREATE TABLE lease_bid_requests (
    request_id @text NOT NULL PRIMARY KEY,
    lease_id @text NOT NULL REFERENCES leases (lease_id),
    bidder @address NOT NULL,
    funds @u256 NOT NULL,
    signature @bytes NOT NULL,
    approve_intent_id @text,
    bid_intent_id @text,
    created_at @time NOT NULL,
    UNIQUE (lease_id, bidder, signature, funds)
);
CREATE INDEX idx_lease_bid_requests_bidder ON lease_bid_requests (bidder);

CREATE TABLE lease_nfts (
    chain_id @i64 NOT NULL,
    factory @address NOT NULL,
    token_id @u256 NOT NULL,
    lessor @address NOT NULL,
    lessee @address NOT NULL,
    owner @address NOT NULL,
    onchain_asset_id @u256 NOT NULL,
    block_number @i64 NOT NULL,
    log_index @i64 NOT NULL,
    transaction_hash @hash NOT NULL,
    PRIMARY KEY (chain_id, factory, token_id)
);
CREATE INDEX idx_lease_nfts_tx ON lease_nfts (chain_id, transaction_hash);
-- projection: lease_nfts (chain_id, factory, token_id)

-- round_id is block number * 100000 + log index of the event that opened the round: an integer
-- that a fresh index gives again.
CREATE TABLE revenue_rounds (
    chain_id @i64 NOT NULL,
    round_id @i64 NOT NULL,
    token @address NOT NULL,
    onchain_asset_id @u256 NOT NULL,
    lease_token_id @u256 NOT NULL,
    total_amount @u256 NOT NULL,
    supply @u256 NOT NULL,
    snapshot_block @i64 NOT NULL CHECK (snapshot_block > 0),
    snapshot_log_index @i64 NOT NULL,
    remainder @u256 NOT NULL,
    remainder_to @address,
    status @text NOT NULL CHECK (status IN ('calculating', 'open', 'closed')),
    transaction_hash @hash NOT NULL,
    created_at @time NOT NULL,
    PRIMARY KEY (chain_id, round_id)
);
CREATE INDEX idx_revenue_rounds_asset ON revenue_rounds (chain_id, onchain_asset_id);
CREATE INDEX idx_revenue_rounds_tx ON revenue_rounds (chain_id, transaction_hash);
-- projection: revenue_rounds (chain_id, round_id)

CREATE TABLE revenue_claims (
    chain_id @i64 NOT NULL,
    round_id @i64 NOT NULL,
    holder @address NOT NULL,
    token_balance @u256 NOT NULL,
    claim_amount @u256 NOT NULL,
    claimed @bool NOT NULL,
    claimed_at @time,
    transaction_hash @hash,
    PRIMARY KEY (chain_id, round_id, holder),
    FOREIGN KEY (chain_id, round_id) REFERENCES revenue_rounds (chain_id, round_id),
    CONSTRAINT revenue_claims_consistency
        CHECK (claimed = (claimed_at IS NOT NULL) AND claimed = (transaction_hash IS NOT NULL))
);
CREATE INDEX idx_revenue_claims_holder ON revenue_claims (chain_id, holder);
-- projection: revenue_claims (chain_id, round_id, holder)

-- A claim transaction that was asked for: one per holder at a time (the contract pays all at once).
CREATE TABLE revenue_claim_requests (
    chain_id @i64 NOT NULL,
    round_id @i64 NOT NULL,
    holder @address NOT NULL,
    intent_id @text NOT NULL,
    created_at @time NOT NULL,
    PRIMARY KEY (chain_id, round_id, holder)
);

-- down

DROP TABLE revenue_claim_requests;
DROP TABLE revenue_claims;
DROP TABLE revenue_rounds;
DROP TABLE lease_nfts;
DROP TABLE lease_bid_requests;
DROP TABLE lease_bid_checks;
DROP TABLE lease_bids;
DROP TABLE lease_offers;
DROP TABLE leases;
DROP TABLE token_balances;
DROP TABLE token_holders;
DROP TABLE assets;
DROP TABLE onchain_metadata;
DROP TABLE onchain_types;
DROP TABLE asset_types;
