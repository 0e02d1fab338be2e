-- What chain events set in rows of users, taken out again; see leasing_unlink in leasing.h.

-- statement: leasing_links_asset_has
-- doc: Whether there is an asset.
-- params: asset_id text
-- columns: found i64
SELECT COUNT(*) AS found FROM assets WHERE asset_id = :asset_id;

-- statement: leasing_links_lease_has
-- doc: Whether there is a lease.
-- params: lease_id text
-- columns: found i64
SELECT COUNT(*) AS found FROM leases WHERE lease_id = :lease_id;

-- statement: leasing_links_types_clear
-- doc: Types whose creation is above a block are waited for again.
-- params: chain_id i64, block_number i64
UPDATE asset_types SET status = 'registered', block_number = NULL, transaction_hash = NULL
WHERE chain_id = :chain_id AND block_number > :block_number;

-- statement: leasing_links_assets_drop
-- doc: Assets that an event above a block had added, which nobody asked us for.
-- params: chain_id i64, block_number i64
DELETE FROM assets
WHERE chain_id = :chain_id AND block_number > :block_number AND intent_id IS NULL
    AND token_symbol = '';

-- statement: leasing_links_assets_clear
-- doc: Assets whose registration is above a block are waited for again.
-- params: chain_id i64, block_number i64
UPDATE assets
SET status = 'registered', onchain_id = NULL, token_address = NULL, issuer = NULL,
    block_number = NULL, transaction_hash = NULL
WHERE chain_id = :chain_id AND block_number > :block_number;

-- statement: leasing_links_leases_clear
-- doc: Leases whose token was minted above a block are waited for again, but those found on chain.
-- params: chain_id i64, block_number i64
UPDATE leases
SET status = CASE WHEN status IN ('active', 'completed') THEN 'pending_signatures'
                  ELSE status END,
    lessee = CASE WHEN offer_id IS NULL THEN lessee ELSE NULL END,
    nft_token_id = NULL, block_number = NULL, transaction_hash = NULL
WHERE chain_id = :chain_id AND block_number > :block_number AND intent_id IS NOT NULL;

-- statement: leasing_links_offers_clear
-- doc: Leases forget offers that are no more.
-- params: chain_id i64
UPDATE leases SET offer_id = NULL
WHERE chain_id = :chain_id AND offer_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM lease_offers o
                    WHERE o.chain_id = leases.chain_id AND o.offer_id = leases.offer_id);
