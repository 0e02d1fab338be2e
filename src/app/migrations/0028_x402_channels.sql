-- Payment channels of x402 that pay this installation (kernel/x402/x402_channels.h).

-- up

-- What the chain says is as of block `synced_block`. `withdraw_requested_at` is Unix seconds, 0 for
-- none. `claim_key` is of the claim that is under way, up to `claim_total`.
CREATE TABLE x402_channels (
    chain_id @i64 NOT NULL,
    channel_id @hash NOT NULL,
    escrow @address NOT NULL,
    payer @address NOT NULL,
    payer_authorizer @address NOT NULL,
    receiver @address NOT NULL,
    receiver_authorizer @address NOT NULL,
    token @address NOT NULL,
    withdraw_delay @i64 NOT NULL,
    salt @hash NOT NULL,
    charged @u256 NOT NULL,
    signed_max @u256 NOT NULL,
    signature @bytes,
    balance @u256 NOT NULL,
    claimed @u256 NOT NULL,
    withdrawing @u256 NOT NULL,
    withdraw_requested_at @i64 NOT NULL,
    refund_nonce @u256 NOT NULL,
    synced_block @i64 NOT NULL,
    synced_at @time NOT NULL,
    served_hash @hash,
    served_price @u256,
    served_at @time,
    busy_token @hash,
    busy_holder @text,
    busy_until @time,
    claim_key @text,
    claim_total @u256,
    PRIMARY KEY (chain_id, channel_id),
    CHECK (signature IS NULL OR charged <= signed_max),
    CHECK ((busy_token IS NULL) = (busy_until IS NULL)),
    CHECK ((claim_key IS NULL) = (claim_total IS NULL))
);
CREATE INDEX idx_x402_channels_claimable ON x402_channels (chain_id, receiver_authorizer)
    WHERE claimed < charged;
CREATE INDEX idx_x402_channels_claim ON x402_channels (claim_key) WHERE claim_key IS NOT NULL;

-- down
DROP TABLE x402_channels;
