-- Statements of leasing_portfolio.c: what an account has.

-- statement: leasing_portfolio_tokens_at
-- doc: Asset tokens that an account held after a block, by token, behind a token.
-- params: chain_id i64, holder address, block_number i64, after_token address?, max_rows i64
-- columns: token address, balance u256, asset_id text, token_name text, token_symbol text
SELECT b.token, b.balance, a.asset_id, a.token_name, a.token_symbol
FROM assets a
JOIN token_balances b ON b.chain_id = a.chain_id AND b.token = a.token_address
    AND b.holder = :holder AND b.block_number <= :block_number
WHERE a.chain_id = :chain_id AND (:after_token IS NULL OR a.token_address > :after_token)
    AND b.balance <> @u256(0)
    AND NOT EXISTS (SELECT 1 FROM token_balances n
                    WHERE n.chain_id = b.chain_id AND n.token = b.token AND n.holder = b.holder
                        AND n.block_number <= :block_number
                        AND (n.block_number > b.block_number
                             OR (n.block_number = b.block_number AND n.log_index > b.log_index)))
ORDER BY b.token
LIMIT :max_rows;

-- statement: leasing_portfolio_claims
-- doc: What an account was credited in rounds up to one, and whether it has been paid.
-- params: chain_id i64, holder address, last_round i64
-- columns: claim_amount u256, claimed bool
SELECT claim_amount, claimed FROM revenue_claims
WHERE chain_id = :chain_id AND holder = :holder AND round_id <= :last_round;

-- statement: leasing_portfolio_sale_bids
-- doc: Bids of an account on sales whose funds are in escrow, newest sale first.
-- params: chain_id i64, marketplace address, bidder address, max_rows i64
-- columns: sale_id u256, bid_index u256, amount u256, price u256, funds u256
SELECT sale_id, bid_index, amount, price, funds FROM sale_bids
WHERE chain_id = :chain_id AND bidder = :bidder AND marketplace = :marketplace
    AND status = 'active'
ORDER BY sale_id DESC, bid_index DESC
LIMIT :max_rows;

-- statement: leasing_portfolio_leases
-- doc: Leases that an account is a party of, newest first, with what is overdue.
-- params: chain_id i64, account address, max_rows i64
-- columns: lease_id text, asset_id text, lessor address, lessee address?, status text
-- columns: start_date time, end_date time, overdue i64
SELECT l.lease_id, l.asset_id, l.lessor, l.lessee, l.status, l.start_date, l.end_date,
       (SELECT COUNT(*) FROM lease_dues d
        WHERE d.lease_id = l.lease_id AND d.status = 'overdue') AS overdue
FROM leases l
WHERE l.chain_id = :chain_id AND (l.lessor = :account OR l.lessee = :account)
ORDER BY l.created_at DESC, l.lease_id DESC
LIMIT :max_rows;
