-- What subscribers are told of assets, leases and the marketplace (kernel/stream/stream.h): of each
-- topic one row by its key, and the newest rows.

-- statement: leasing_stream_asset
-- doc: An asset.
-- params: asset_id text
-- columns: asset_id text, chain_id i64, name text, asset_type text, token_symbol text
-- columns: total_supply u256, status text, error text?, onchain_id u256?, token_address address?
-- columns: issuer address?, block_number i64?, transaction_hash hash?, updated_at time
SELECT asset_id, chain_id, name, asset_type, token_symbol, total_supply, status, error, onchain_id,
       token_address, issuer, block_number, transaction_hash, updated_at
FROM assets WHERE asset_id = :asset_id;

-- statement: leasing_stream_assets
-- doc: The newest assets.
-- params: max_rows i64
-- columns: asset_id text, chain_id i64, name text, asset_type text, token_symbol text
-- columns: total_supply u256, status text, error text?, onchain_id u256?, token_address address?
-- columns: issuer address?, block_number i64?, transaction_hash hash?, updated_at time
SELECT asset_id, chain_id, name, asset_type, token_symbol, total_supply, status, error, onchain_id,
       token_address, issuer, block_number, transaction_hash, updated_at
FROM assets ORDER BY created_at DESC, asset_id DESC LIMIT :max_rows;

-- statement: leasing_stream_lease
-- doc: A lease.
-- params: lease_id text
-- columns: lease_id text, asset_id text, chain_id i64, lessor address, lessee address?
-- columns: start_date time, end_date time, deadline time, payment_token address
-- columns: payment_amount u256, payment_schedule text, security_deposit u256, status text
-- columns: termination_reason text?, error text?, offer_id u256?, nft_token_id u256?
-- columns: block_number i64?, transaction_hash hash?, updated_at time
SELECT lease_id, asset_id, chain_id, lessor, lessee, start_date, end_date, deadline, payment_token,
       payment_amount, payment_schedule, security_deposit, status, termination_reason, error,
       offer_id, nft_token_id, block_number, transaction_hash, updated_at
FROM leases WHERE lease_id = :lease_id;

-- statement: leasing_stream_leases
-- doc: The newest leases.
-- params: max_rows i64
-- columns: lease_id text, asset_id text, chain_id i64, lessor address, lessee address?
-- columns: start_date time, end_date time, deadline time, payment_token address
-- columns: payment_amount u256, payment_schedule text, security_deposit u256, status text
-- columns: termination_reason text?, error text?, offer_id u256?, nft_token_id u256?
-- columns: block_number i64?, transaction_hash hash?, updated_at time
SELECT lease_id, asset_id, chain_id, lessor, lessee, start_date, end_date, deadline, payment_token,
       payment_amount, payment_schedule, security_deposit, status, termination_reason, error,
       offer_id, nft_token_id, block_number, transaction_hash, updated_at
FROM leases ORDER BY created_at DESC, lease_id DESC LIMIT :max_rows;

-- statement: leasing_stream_offer
-- doc: An offer of a lease.
-- params: chain_id i64, marketplace address, offer_id u256
-- columns: chain_id i64, marketplace address, offer_id u256, lessor address, onchain_asset_id u256
-- columns: status text, block_number i64, transaction_hash hash
SELECT chain_id, marketplace, offer_id, lessor, onchain_asset_id, status, block_number,
       transaction_hash
FROM lease_offers
WHERE chain_id = :chain_id AND marketplace = :marketplace AND offer_id = :offer_id;

-- statement: leasing_stream_offers
-- doc: The newest offers of leases.
-- params: max_rows i64
-- columns: chain_id i64, marketplace address, offer_id u256, lessor address, onchain_asset_id u256
-- columns: status text, block_number i64, transaction_hash hash
SELECT chain_id, marketplace, offer_id, lessor, onchain_asset_id, status, block_number,
       transaction_hash
FROM lease_offers ORDER BY chain_id DESC, marketplace DESC, offer_id DESC LIMIT :max_rows;

-- statement: leasing_stream_bid
-- doc: A bid on a lease.
-- params: chain_id i64, marketplace address, offer_id u256, bid_index u256
-- columns: chain_id i64, marketplace address, offer_id u256, bid_index u256, bidder address
-- columns: funds u256, status text, block_number i64, transaction_hash hash
SELECT chain_id, marketplace, offer_id, bid_index, bidder, funds, status, block_number,
       transaction_hash
FROM lease_bids
WHERE chain_id = :chain_id AND marketplace = :marketplace AND offer_id = :offer_id
    AND bid_index = :bid_index;

-- statement: leasing_stream_bids
-- doc: Bids on the newest leases.
-- params: max_rows i64
-- columns: chain_id i64, marketplace address, offer_id u256, bid_index u256, bidder address
-- columns: funds u256, status text, block_number i64, transaction_hash hash
SELECT chain_id, marketplace, offer_id, bid_index, bidder, funds, status, block_number,
       transaction_hash
FROM lease_bids
ORDER BY chain_id DESC, marketplace DESC, offer_id DESC, bid_index DESC LIMIT :max_rows;

-- statement: leasing_stream_sale
-- doc: A sale of asset tokens.
-- params: chain_id i64, marketplace address, sale_id u256
-- columns: chain_id i64, marketplace address, sale_id u256, seller address, token address
-- columns: amount u256, remaining u256, ask_price u256, status text, block_number i64
-- columns: transaction_hash hash
SELECT chain_id, marketplace, sale_id, seller, token, amount, remaining, ask_price, status,
       block_number, transaction_hash
FROM token_sales
WHERE chain_id = :chain_id AND marketplace = :marketplace AND sale_id = :sale_id;

-- statement: leasing_stream_sales
-- doc: The newest sales of asset tokens.
-- params: max_rows i64
-- columns: chain_id i64, marketplace address, sale_id u256, seller address, token address
-- columns: amount u256, remaining u256, ask_price u256, status text, block_number i64
-- columns: transaction_hash hash
SELECT chain_id, marketplace, sale_id, seller, token, amount, remaining, ask_price, status,
       block_number, transaction_hash
FROM token_sales ORDER BY chain_id DESC, marketplace DESC, sale_id DESC LIMIT :max_rows;

-- statement: leasing_stream_sale_bid
-- doc: A bid on a sale.
-- params: chain_id i64, marketplace address, sale_id u256, bid_index u256
-- columns: chain_id i64, marketplace address, sale_id u256, bid_index u256, bidder address
-- columns: amount u256, price u256, funds u256, status text, block_number i64
-- columns: transaction_hash hash
SELECT chain_id, marketplace, sale_id, bid_index, bidder, amount, price, funds, status,
       block_number, transaction_hash
FROM sale_bids
WHERE chain_id = :chain_id AND marketplace = :marketplace AND sale_id = :sale_id
    AND bid_index = :bid_index;

-- statement: leasing_stream_sale_bids
-- doc: Bids on the newest sales.
-- params: max_rows i64
-- columns: chain_id i64, marketplace address, sale_id u256, bid_index u256, bidder address
-- columns: amount u256, price u256, funds u256, status text, block_number i64
-- columns: transaction_hash hash
SELECT chain_id, marketplace, sale_id, bid_index, bidder, amount, price, funds, status,
       block_number, transaction_hash
FROM sale_bids
ORDER BY chain_id DESC, marketplace DESC, sale_id DESC, bid_index DESC LIMIT :max_rows;
