-- What the rules of reconciliation look at; see leasing_reconcile.c.

-- statement: leasing_reconcile_holders
-- doc: Holders behind one, in order.
-- params: chain_id i64, token address, holder address, max_rows i64
-- columns: token address, holder address, balance u256
SELECT token, holder, balance FROM token_holders
WHERE chain_id = :chain_id AND (token, holder) > (:token, :holder)
ORDER BY token, holder LIMIT :max_rows;

-- statement: leasing_reconcile_tokens
-- doc: Tokens behind one, with all of their holders together.
-- params: chain_id i64, token address, max_rows i64
-- columns: address address
SELECT address FROM chain_sources
WHERE chain_id = :chain_id AND contract = 'AssetERC20' AND address > :token
ORDER BY address LIMIT :max_rows;

-- statement: leasing_reconcile_balances
-- doc: What each holder of a token has.
-- params: chain_id i64, token address
-- columns: balance u256
SELECT balance FROM token_holders WHERE chain_id = :chain_id AND token = :token;

-- statement: leasing_reconcile_nfts
-- doc: Lease tokens behind one, in order.
-- params: chain_id i64, factory address, token_id u256, max_rows i64
-- columns: factory address, token_id u256, owner address
SELECT factory, token_id, owner FROM lease_nfts
WHERE chain_id = :chain_id AND (factory, token_id) > (:factory, :token_id)
ORDER BY factory, token_id LIMIT :max_rows;

-- statement: leasing_reconcile_lost_records
-- doc: Events that were applied and whose record is not there.
-- params: chain_id i64, max_rows i64
-- columns: event_type text, block_number i64, log_index i64
SELECT e.event_type, e.block_number, e.log_index FROM blockchain_events e
WHERE e.chain_id = :chain_id AND e.processed AND (
    (e.event_type = 'LeaseOfferPosted' AND e.transaction_hash NOT IN (
        SELECT o.transaction_hash FROM lease_offers o WHERE o.chain_id = :chain_id))
    OR (e.event_type = 'LeaseBidPlaced' AND e.transaction_hash NOT IN (
        SELECT b.transaction_hash FROM lease_bids b WHERE b.chain_id = :chain_id))
    OR (e.event_type = 'SalePosted' AND e.transaction_hash NOT IN (
        SELECT s.transaction_hash FROM token_sales s WHERE s.chain_id = :chain_id))
    OR (e.event_type = 'SaleBidPlaced' AND e.transaction_hash NOT IN (
        SELECT b.transaction_hash FROM sale_bids b WHERE b.chain_id = :chain_id))
    OR (e.event_type = 'LeaseMinted' AND e.transaction_hash NOT IN (
        SELECT n.transaction_hash FROM lease_nfts n WHERE n.chain_id = :chain_id)))
ORDER BY e.block_number, e.log_index
LIMIT :max_rows;

-- statement: leasing_reconcile_lost_assets
-- doc: Registrations that were applied and whose asset is not there.
-- params: chain_id i64, max_rows i64
-- columns: event_type text, block_number i64, log_index i64
SELECT e.event_type, e.block_number, e.log_index FROM blockchain_events e
WHERE e.chain_id = :chain_id AND e.processed AND e.event_type = 'AssetRegistered'
    AND e.transaction_hash NOT IN (
        SELECT a.transaction_hash FROM assets a
        WHERE a.chain_id = :chain_id AND a.transaction_hash IS NOT NULL)
ORDER BY e.block_number, e.log_index
LIMIT :max_rows;

-- statement: leasing_reconcile_lost_events
-- doc: Records of the chain whose event is not there, as far back as events are kept.
-- params: chain_id i64, max_rows i64
-- columns: record text, id text, block_number i64
SELECT r.record, r.id, r.block_number FROM (
    SELECT 'offer' AS record, CAST(o.block_number AS TEXT) AS id, o.block_number,
           o.transaction_hash
    FROM lease_offers o WHERE o.chain_id = :chain_id
    UNION ALL
    SELECT 'bid' AS record, CAST(b.block_number AS TEXT) AS id, b.block_number, b.transaction_hash
    FROM lease_bids b WHERE b.chain_id = :chain_id
    UNION ALL
    SELECT 'sale' AS record, CAST(s.block_number AS TEXT) AS id, s.block_number, s.transaction_hash
    FROM token_sales s WHERE s.chain_id = :chain_id
    UNION ALL
    SELECT 'sale_bid' AS record, CAST(b.block_number AS TEXT) AS id, b.block_number,
           b.transaction_hash
    FROM sale_bids b WHERE b.chain_id = :chain_id
    UNION ALL
    SELECT 'nft' AS record, CAST(n.block_number AS TEXT) AS id, n.block_number, n.transaction_hash
    FROM lease_nfts n WHERE n.chain_id = :chain_id) r
WHERE r.block_number > (SELECT coalesce(min(e.block_number), 0) FROM blockchain_events e
                        WHERE e.chain_id = :chain_id)
    AND r.transaction_hash NOT IN (SELECT e.transaction_hash FROM blockchain_events e
                                   WHERE e.chain_id = :chain_id)
ORDER BY r.block_number LIMIT :max_rows;

-- statement: leasing_reconcile_lost_links
-- doc: Agreements that name a transaction of which no event is there, as far back as they are kept.
-- params: chain_id i64, max_rows i64
-- columns: record text, id text, block_number i64
SELECT r.record, r.id, r.block_number FROM (
    SELECT 'asset' AS record, a.asset_id AS id, a.block_number, a.transaction_hash
    FROM assets a WHERE a.chain_id = :chain_id AND a.transaction_hash IS NOT NULL
    UNION ALL
    SELECT 'type' AS record, t.type_name AS id, t.block_number, t.transaction_hash
    FROM asset_types t WHERE t.chain_id = :chain_id AND t.transaction_hash IS NOT NULL
    UNION ALL
    SELECT 'lease' AS record, l.lease_id AS id, l.block_number, l.transaction_hash
    FROM leases l WHERE l.chain_id = :chain_id AND l.transaction_hash IS NOT NULL) r
WHERE r.block_number > (SELECT coalesce(min(e.block_number), 0) FROM blockchain_events e
                        WHERE e.chain_id = :chain_id)
    AND r.transaction_hash NOT IN (SELECT e.transaction_hash FROM blockchain_events e
                                   WHERE e.chain_id = :chain_id)
ORDER BY r.block_number LIMIT :max_rows;

-- statement: leasing_reconcile_unlink_asset
-- doc: An asset waits for its registration again.
-- params: asset_id text
UPDATE assets
SET status = 'registered', onchain_id = NULL, token_address = NULL, issuer = NULL,
    block_number = NULL, transaction_hash = NULL
WHERE asset_id = :asset_id;

-- statement: leasing_reconcile_unlink_type
-- doc: A type waits for its creation again.
-- params: type_name text
UPDATE asset_types SET status = 'registered', block_number = NULL, transaction_hash = NULL
WHERE type_name = :type_name;

-- statement: leasing_reconcile_unlink_lease
-- doc: A lease waits for its token again.
-- params: lease_id text
UPDATE leases
SET status = CASE WHEN status IN ('active', 'completed') THEN 'pending_signatures'
                  ELSE status END,
    lessee = CASE WHEN offer_id IS NULL THEN lessee ELSE NULL END,
    nft_token_id = NULL, block_number = NULL, transaction_hash = NULL
WHERE lease_id = :lease_id;
