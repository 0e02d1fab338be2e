-- Statements of leasing_sweep.c: bids that cannot be accepted any more.

-- statement: leasing_sweep_lease_bids
-- doc: Bids in escrow whose offer is closed or whose agreement's deadline has passed.
-- params: chain_id i64, marketplace address, now time, max_rows i64, skip_rows i64
-- columns: offer_id u256, bid_index u256, bidder address
SELECT b.offer_id, b.bid_index, b.bidder
FROM lease_bids b JOIN lease_offers o ON o.chain_id = b.chain_id
    AND o.marketplace = b.marketplace AND o.offer_id = b.offer_id
WHERE b.chain_id = :chain_id AND b.marketplace = :marketplace AND b.status = 'active'
    AND (o.status <> 'active'
         OR EXISTS (SELECT 1 FROM leases l
                    WHERE l.chain_id = b.chain_id AND l.offer_id = b.offer_id
                        AND l.deadline < :now))
ORDER BY b.offer_id, b.bid_index
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_sweep_sale_bids
-- doc: Bids in escrow on sales that are closed.
-- params: chain_id i64, marketplace address, max_rows i64, skip_rows i64
-- columns: sale_id u256, bid_index u256, bidder address
SELECT b.sale_id, b.bid_index, b.bidder
FROM sale_bids b JOIN token_sales s ON s.chain_id = b.chain_id
    AND s.marketplace = b.marketplace AND s.sale_id = b.sale_id
WHERE b.chain_id = :chain_id AND b.marketplace = :marketplace AND b.status = 'active'
    AND s.status <> 'active'
ORDER BY b.sale_id, b.bid_index
LIMIT :max_rows OFFSET :skip_rows;
