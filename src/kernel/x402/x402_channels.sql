-- Payment channels and what was charged in them: see x402_channels.h.

-- statement: x402_channels_open
-- doc: begins to keep a channel that the chain knows; one that is there stays as it is
-- params: chain_id i64, channel_id hash, escrow address, payer address, payer_authorizer address
-- params: receiver address, receiver_authorizer address, token address, withdraw_delay i64
-- params: salt hash, balance u256, claimed u256, withdrawing u256, withdraw_requested_at i64
-- params: refund_nonce u256, block i64, now time
INSERT INTO x402_channels (chain_id, channel_id, escrow, payer, payer_authorizer, receiver,
    receiver_authorizer, token, withdraw_delay, salt, charged, signed_max, balance, claimed,
    withdrawing, withdraw_requested_at, refund_nonce, synced_block, synced_at)
VALUES (:chain_id, :channel_id, :escrow, :payer, :payer_authorizer, :receiver,
    :receiver_authorizer, :token, :withdraw_delay, :salt, :claimed, @u256(0), :balance, :claimed,
    :withdrawing, :withdraw_requested_at, :refund_nonce, :block, :now)
ON CONFLICT (chain_id, channel_id) DO NOTHING;

-- statement: x402_channels_sync
-- doc: notes what the chain says, unless a later block was heard; a total that was claimed without
-- doc: our knowing takes the place of ours, whose voucher we do not have
-- params: chain_id i64, channel_id hash, balance u256, claimed u256, withdrawing u256
-- params: withdraw_requested_at i64, refund_nonce u256, block i64, now time
UPDATE x402_channels SET balance = :balance, claimed = :claimed, withdrawing = :withdrawing,
    withdraw_requested_at = :withdraw_requested_at, refund_nonce = :refund_nonce,
    synced_block = :block, synced_at = :now,
    signature = CASE WHEN charged < :claimed THEN NULL ELSE signature END,
    signed_max = CASE WHEN charged < :claimed THEN @u256(0) ELSE signed_max END,
    charged = CASE WHEN charged < :claimed THEN :claimed ELSE charged END
WHERE chain_id = :chain_id AND channel_id = :channel_id AND synced_block <= :block;

-- statement: x402_channels_get
-- doc: all that is known of a channel
-- params: chain_id i64, channel_id hash
-- columns: escrow address, payer address, payer_authorizer address, receiver address
-- columns: receiver_authorizer address, token address, withdraw_delay i64, salt hash, charged u256
-- columns: signed_max u256, signature bytes?, balance u256, claimed u256, withdrawing u256
-- columns: withdraw_requested_at i64, refund_nonce u256, synced_at time, served_hash hash?
-- columns: served_price u256?, served_at time?, claim_key text?
SELECT escrow, payer, payer_authorizer, receiver, receiver_authorizer, token, withdraw_delay, salt,
    charged, signed_max, signature, balance, claimed, withdrawing, withdraw_requested_at,
    refund_nonce, synced_at, served_hash, served_price, served_at, claim_key
FROM x402_channels WHERE chain_id = :chain_id AND channel_id = :channel_id;

-- statement: x402_channels_take
-- doc: reserves a channel that nobody has, or whose holder is gone, if its total is still this one
-- params: chain_id i64, channel_id hash, charged u256, token hash, holder text, until time
-- params: now time
UPDATE x402_channels SET busy_token = :token, busy_holder = :holder, busy_until = :until
WHERE chain_id = :chain_id AND channel_id = :channel_id AND charged = :charged
    AND (busy_token IS NULL OR busy_until <= :now OR (busy_holder <> '' AND NOT EXISTS (
        SELECT 1 FROM live_processes p WHERE p.process_id = x402_channels.busy_holder)));

-- statement: x402_channels_commit
-- doc: keeps the voucher of a request that was served, and gives the channel free
-- params: chain_id i64, channel_id hash, token hash, before u256, charged u256, signed_max u256
-- params: signature bytes, served_hash hash, served_price u256, now time
UPDATE x402_channels SET charged = :charged, signed_max = :signed_max, signature = :signature,
    served_hash = :served_hash, served_price = :served_price, served_at = :now,
    busy_token = NULL, busy_holder = NULL, busy_until = NULL
WHERE chain_id = :chain_id AND channel_id = :channel_id AND busy_token = :token
    AND charged = :before AND balance >= :signed_max;

-- statement: x402_channels_charge
-- doc: the same in one step, for a channel that nobody has
-- params: chain_id i64, channel_id hash, before u256, charged u256, signed_max u256
-- params: signature bytes, served_hash hash, served_price u256, now time
UPDATE x402_channels SET charged = :charged, signed_max = :signed_max, signature = :signature,
    served_hash = :served_hash, served_price = :served_price, served_at = :now,
    busy_token = NULL, busy_holder = NULL, busy_until = NULL
WHERE chain_id = :chain_id AND channel_id = :channel_id AND charged = :before
    AND balance >= :signed_max
    AND (busy_token IS NULL OR busy_until <= :now OR (busy_holder <> '' AND NOT EXISTS (
        SELECT 1 FROM live_processes p WHERE p.process_id = x402_channels.busy_holder)));

-- statement: x402_channels_charge_many
-- doc: the same for many channels, where nothing is out of the ordinary: who does not come back
-- doc: is to be looked at alone
-- rows: set
-- params: chain_id i64, channel_id hash, before u256, charged u256, signed_max u256
-- params: signature bytes, served_hash hash, served_price u256, now time, oldest time
-- columns: channel_id hash, balance u256, claimed u256, withdraw_requested_at i64
-- columns: refund_nonce u256, synced_at time, claiming bool
UPDATE x402_channels SET charged = :charged, signed_max = :signed_max, signature = :signature,
    served_hash = :served_hash, served_price = :served_price, served_at = :now,
    busy_token = NULL, busy_holder = NULL, busy_until = NULL
WHERE chain_id = :chain_id AND channel_id = :channel_id AND charged = :before
    AND balance >= :signed_max AND claimed < :signed_max AND withdrawing = @u256(0)
    AND synced_at >= :oldest AND (busy_token IS NULL OR busy_until <= :now)
RETURNING channel_id, balance, claimed, withdraw_requested_at, refund_nonce, synced_at,
    claim_key IS NOT NULL AS claiming;

-- statement: x402_channels_release
-- doc: gives a reserved channel free without charging anything
-- params: chain_id i64, channel_id hash, token hash
UPDATE x402_channels SET busy_token = NULL, busy_holder = NULL, busy_until = NULL
WHERE chain_id = :chain_id AND channel_id = :channel_id AND busy_token = :token;

-- statement: x402_channels_claimable
-- doc: channels of which more was charged than is claimed or being claimed, those that a payer is
-- doc: leaving first, then the largest; no more can be claimed than there is. Of a payer who
-- doc: leaves, what was charged since the last claim is not kept waiting for that
-- params: chain_id i64, escrow address, receiver_authorizer address, leaving_only bool, limit i64
-- columns: channel_id hash, payer address, payer_authorizer address, receiver address
-- columns: token address, withdraw_delay i64, salt hash, total u256, signed_max u256
-- columns: signature bytes, withdraw_requested_at i64
SELECT channel_id, payer, payer_authorizer, receiver, token, withdraw_delay, salt,
    CASE WHEN charged < balance THEN charged ELSE balance END AS total,
    signed_max, signature, withdraw_requested_at
FROM x402_channels
WHERE chain_id = :chain_id AND escrow = :escrow AND receiver_authorizer = :receiver_authorizer
    AND claimed < charged AND claimed < balance AND signature IS NOT NULL
    AND (withdraw_requested_at > 0 OR NOT :leaving_only)
    AND (claim_key IS NULL OR (withdraw_requested_at > 0 AND claim_total < charged
        AND claim_total < balance))
ORDER BY CASE WHEN withdraw_requested_at > 0 THEN 0 ELSE 1 END, withdraw_requested_at,
    charged DESC, channel_id
LIMIT :limit;

-- statement: x402_channels_claiming
-- doc: a claim of the channel begins
-- rows: set
-- params: chain_id i64, channel_id hash, claim_key text, claim_total u256
UPDATE x402_channels SET claim_key = :claim_key, claim_total = :claim_total
WHERE chain_id = :chain_id AND channel_id = :channel_id
    AND (claim_key IS NULL OR (withdraw_requested_at > 0 AND claim_total < :claim_total));

-- statement: x402_channels_claimed
-- doc: a claim was booked on the chain
-- params: claim_key text
UPDATE x402_channels SET
    claimed = CASE WHEN claimed < claim_total THEN claim_total ELSE claimed END,
    claim_key = NULL, claim_total = NULL
WHERE claim_key = :claim_key;

-- statement: x402_channels_unclaimed
-- doc: a claim came to nothing: its channels can be claimed again
-- params: claim_key text
UPDATE x402_channels SET claim_key = NULL, claim_total = NULL WHERE claim_key = :claim_key;

-- statement: x402_channels_stale
-- doc: channels whose state was read longest ago, of those that still hold what is not charged for
-- params: chain_id i64, escrow address, before time, limit i64
-- columns: channel_id hash
SELECT channel_id FROM x402_channels
WHERE chain_id = :chain_id AND escrow = :escrow AND synced_at < :before AND claimed < charged
ORDER BY synced_at LIMIT :limit;

-- statement: x402_channels_receivers
-- doc: who has claims in which coin
-- params: chain_id i64, escrow address, receiver_authorizer address, limit i64
-- columns: receiver address, token address
SELECT DISTINCT receiver, token FROM x402_channels
WHERE chain_id = :chain_id AND escrow = :escrow AND receiver_authorizer = :receiver_authorizer
    AND claimed > @u256(0)
ORDER BY receiver, token LIMIT :limit;
