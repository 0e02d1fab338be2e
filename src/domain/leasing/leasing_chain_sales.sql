-- Statements of leasing_chain_sales.c: sales of asset tokens, in the chain's transaction.

-- statement: leasing_chain_sales_put
-- doc: A sale.
-- params: chain_id i64, marketplace address, sale_id u256, seller address, token address
-- params: amount u256, ask_price u256, block_number i64, transaction_hash hash
INSERT INTO token_sales
    (chain_id, marketplace, sale_id, seller, token, amount, remaining, ask_price, status,
     block_number, transaction_hash)
VALUES (:chain_id, :marketplace, :sale_id, :seller, :token, :amount, :amount, :ask_price, 'active',
        :block_number, :transaction_hash);

-- statement: leasing_chain_sales_get
-- doc: A sale that is open.
-- params: chain_id i64, marketplace address, sale_id u256
-- columns: seller address, remaining u256
SELECT seller, remaining FROM token_sales
WHERE chain_id = :chain_id AND marketplace = :marketplace AND sale_id = :sale_id
    AND status = 'active';

-- statement: leasing_chain_sales_update
-- doc: An open sale goes on with less, or ends.
-- params: chain_id i64, marketplace address, sale_id u256, remaining u256, status text
UPDATE token_sales SET remaining = :remaining, status = :status
WHERE chain_id = :chain_id AND marketplace = :marketplace AND sale_id = :sale_id
    AND status = 'active';

-- statement: leasing_chain_sales_bid_put
-- doc: A bid on a sale with its escrowed funds.
-- params: chain_id i64, marketplace address, sale_id u256, bid_index u256, bidder address
-- params: amount u256, price u256, funds u256, block_number i64, transaction_hash hash
INSERT INTO sale_bids
    (chain_id, marketplace, sale_id, bid_index, bidder, amount, price, funds, status, block_number,
     transaction_hash)
VALUES (:chain_id, :marketplace, :sale_id, :bid_index, :bidder, :amount, :price, :funds, 'active',
        :block_number, :transaction_hash);

-- statement: leasing_chain_sales_bid_get
-- doc: A bid that is active.
-- params: chain_id i64, marketplace address, sale_id u256, bid_index u256
-- columns: bidder address, amount u256, funds u256
SELECT bidder, amount, funds FROM sale_bids
WHERE chain_id = :chain_id AND marketplace = :marketplace AND sale_id = :sale_id
    AND bid_index = :bid_index AND status = 'active';

-- statement: leasing_chain_sales_bid_end
-- doc: An active bid was accepted, refunded or withdrawn.
-- params: chain_id i64, marketplace address, sale_id u256, bid_index u256, status text
UPDATE sale_bids SET status = :status
WHERE chain_id = :chain_id AND marketplace = :marketplace AND sale_id = :sale_id
    AND bid_index = :bid_index AND status = 'active';
