-- Statements of leasing_daily.c: revenue by day.

-- statement: leasing_daily_rounds
-- doc: Revenue rounds of a span of time, newest first; "" matches any lease and any asset.
-- params: chain_id i64, registry address, from_time time, to_time time, lease_id text
-- params: asset_id text, max_rows i64
-- columns: created_at time, lease_token_id u256, total_amount u256, lease_id text?, asset_id text?
SELECT r.created_at, r.lease_token_id, r.total_amount,
       (SELECT MIN(l.lease_id) FROM leases l
        WHERE l.chain_id = r.chain_id AND l.nft_token_id = r.lease_token_id) AS lease_id,
       a.asset_id
FROM revenue_rounds r
LEFT JOIN assets a ON a.chain_id = r.chain_id AND a.contract_address = :registry
    AND a.onchain_id = r.onchain_asset_id
WHERE r.chain_id = :chain_id AND r.created_at >= :from_time AND r.created_at < :to_time
    AND (:asset_id = '' OR a.asset_id = :asset_id)
    AND (:lease_id = '' OR EXISTS (SELECT 1 FROM leases l
                                   WHERE l.chain_id = r.chain_id AND l.lease_id = :lease_id
                                       AND l.nft_token_id = r.lease_token_id))
ORDER BY r.created_at DESC, r.round_id DESC
LIMIT :max_rows;
