-- Statements behind the routes of sales. Columns that begin with tx_ are of the transaction that
-- was asked for, as the relay has it.

-- statement: leasing_sales_get
-- doc: One sale, with what its seller holds of the token now.
-- params: chain_id i64, marketplace address, sale_id u256
-- columns: sale_id u256, seller address, token address, amount u256, remaining u256, ask_price u256
-- columns: status text, block_number i64, transaction_hash hash, asset_id text?, bid_count i64
-- columns: held u256?
SELECT s.sale_id, s.seller, s.token, s.amount, s.remaining, s.ask_price, s.status, s.block_number,
       s.transaction_hash, a.asset_id,
       (SELECT COUNT(*) FROM sale_bids b
        WHERE b.chain_id = s.chain_id AND b.marketplace = s.marketplace
            AND b.sale_id = s.sale_id) AS bid_count,
       h.balance AS held
FROM token_sales s
LEFT JOIN assets a ON a.chain_id = s.chain_id AND a.token_address = s.token
LEFT JOIN token_holders h ON h.chain_id = s.chain_id AND h.token = s.token AND h.holder = s.seller
WHERE s.chain_id = :chain_id AND s.marketplace = :marketplace AND s.sale_id = :sale_id;

-- statement: leasing_sales_list
-- doc: Sales, newest first, below an id; "" and NULL match any.
-- params: chain_id i64, marketplace address, status text, asset_id text, seller address?
-- params: below_id u256?, max_rows i64, skip_rows i64
-- columns: sale_id u256, seller address, token address, amount u256, remaining u256, ask_price u256
-- columns: status text, block_number i64, transaction_hash hash, asset_id text?, bid_count i64
-- columns: held u256?
SELECT s.sale_id, s.seller, s.token, s.amount, s.remaining, s.ask_price, s.status, s.block_number,
       s.transaction_hash, a.asset_id,
       (SELECT COUNT(*) FROM sale_bids b
        WHERE b.chain_id = s.chain_id AND b.marketplace = s.marketplace
            AND b.sale_id = s.sale_id) AS bid_count,
       h.balance AS held
FROM token_sales s
LEFT JOIN assets a ON a.chain_id = s.chain_id AND a.token_address = s.token
LEFT JOIN token_holders h ON h.chain_id = s.chain_id AND h.token = s.token AND h.holder = s.seller
WHERE s.chain_id = :chain_id AND s.marketplace = :marketplace
    AND (:status = '' OR s.status = :status) AND (:asset_id = '' OR a.asset_id = :asset_id)
    AND (:seller IS NULL OR s.seller = :seller) AND (:below_id IS NULL OR s.sale_id < :below_id)
ORDER BY s.sale_id DESC
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_sales_held
-- doc: What an account holds of a token.
-- params: chain_id i64, token address, holder address
-- columns: balance u256
SELECT balance FROM token_holders
WHERE chain_id = :chain_id AND token = :token AND holder = :holder;

-- statement: leasing_sales_request_claim
-- doc: The row of a sale that is asked for, before anybody looks for it; nothing when there is one.
-- params: request_id text, chain_id i64, marketplace address, asset_id text, seller address
-- params: token address, amount u256, ask_price u256, now time
INSERT INTO sale_requests
    (request_id, chain_id, marketplace, asset_id, seller, token, amount, ask_price, created_at)
VALUES (:request_id, :chain_id, :marketplace, :asset_id, :seller, :token, :amount, :ask_price, :now)
ON CONFLICT (request_id) DO NOTHING;

-- statement: leasing_sales_request_intent
-- doc: The transaction that posts a sale.
-- params: request_id text, intent_id text
UPDATE sale_requests SET intent_id = :intent_id WHERE request_id = :request_id;

-- statement: leasing_sales_request_get
-- doc: A sale that was asked for, and what it is on chain.
-- params: request_id text
-- columns: request_id text, asset_id text, seller address, token address, amount u256
-- columns: ask_price u256, created_at time, intent_id text?, tx_state i64?, tx_hash hash?
-- columns: tx_code text?, tx_error text?, sale_id u256?, status text?
SELECT r.request_id, r.asset_id, r.seller, r.token, r.amount, r.ask_price, r.created_at,
       r.intent_id, i.state AS tx_state, i.transaction_hash AS tx_hash, i.error_code AS tx_code,
       i.error AS tx_error, s.sale_id, s.status
FROM sale_requests r
LEFT JOIN relay_intents i ON i.intent_id = r.intent_id
LEFT JOIN token_sales s ON s.chain_id = r.chain_id AND s.marketplace = r.marketplace
    AND s.seller = r.seller AND s.transaction_hash = i.transaction_hash
WHERE r.request_id = :request_id;

-- statement: leasing_sales_requests_list
-- doc: Sales that were asked for, newest first, below a position; NULL matches any seller.
-- params: chain_id i64, marketplace address, seller address?, below_time time, below_id text
-- params: max_rows i64, skip_rows i64
-- columns: request_id text, asset_id text, seller address, token address, amount u256
-- columns: ask_price u256, created_at time, intent_id text?, tx_state i64?, tx_hash hash?
-- columns: tx_code text?, tx_error text?, sale_id u256?, status text?
SELECT r.request_id, r.asset_id, r.seller, r.token, r.amount, r.ask_price, r.created_at,
       r.intent_id, i.state AS tx_state, i.transaction_hash AS tx_hash, i.error_code AS tx_code,
       i.error AS tx_error, s.sale_id, s.status
FROM sale_requests r
LEFT JOIN relay_intents i ON i.intent_id = r.intent_id
LEFT JOIN token_sales s ON s.chain_id = r.chain_id AND s.marketplace = r.marketplace
    AND s.seller = r.seller AND s.transaction_hash = i.transaction_hash
WHERE r.chain_id = :chain_id AND r.marketplace = :marketplace
    AND (:seller IS NULL OR r.seller = :seller)
    AND (:below_id = '' OR r.created_at < :below_time
         OR (r.created_at = :below_time AND r.request_id < :below_id))
ORDER BY r.created_at DESC, r.request_id DESC
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_sales_bid_get
-- doc: One bid on a sale.
-- params: chain_id i64, marketplace address, sale_id u256, bid_index u256
-- columns: bid_index u256, bidder address, amount u256, price u256, funds u256, status text
-- columns: block_number i64, transaction_hash hash
SELECT bid_index, bidder, amount, price, funds, status, block_number, transaction_hash
FROM sale_bids
WHERE chain_id = :chain_id AND marketplace = :marketplace AND sale_id = :sale_id
    AND bid_index = :bid_index;

-- statement: leasing_sales_bids_list
-- doc: Bids on a sale by index, behind an index; "" and NULL match any.
-- params: chain_id i64, marketplace address, sale_id u256, status text, bidder address?
-- params: after_index u256?, max_rows i64, skip_rows i64
-- columns: bid_index u256, bidder address, amount u256, price u256, funds u256, status text
-- columns: block_number i64, transaction_hash hash
SELECT bid_index, bidder, amount, price, funds, status, block_number, transaction_hash
FROM sale_bids
WHERE chain_id = :chain_id AND marketplace = :marketplace AND sale_id = :sale_id
    AND (:status = '' OR status = :status) AND (:bidder IS NULL OR bidder = :bidder)
    AND (:after_index IS NULL OR bid_index > :after_index)
ORDER BY bid_index
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_sales_bid_requests_list
-- doc: Bids that were asked for and are not on chain (yet), oldest first; NULL matches any bidder.
-- params: chain_id i64, marketplace address, sale_id u256, bidder address?, max_rows i64
-- columns: request_id text, bidder address, amount u256, price u256, funds u256, created_at time
-- columns: intent_id text?, tx_state i64?, tx_hash hash?, tx_code text?, tx_error text?
SELECT r.request_id, r.bidder, r.amount, r.price, r.funds, r.created_at,
       r.bid_intent_id AS intent_id, i.state AS tx_state, i.transaction_hash AS tx_hash,
       i.error_code AS tx_code, i.error AS tx_error
FROM sale_bid_requests r
LEFT JOIN relay_intents i ON i.intent_id = r.bid_intent_id
WHERE r.chain_id = :chain_id AND r.marketplace = :marketplace AND r.sale_id = :sale_id
    AND (:bidder IS NULL OR r.bidder = :bidder)
    AND NOT EXISTS (SELECT 1 FROM sale_bids b
                    WHERE b.chain_id = r.chain_id AND b.marketplace = r.marketplace
                        AND b.sale_id = r.sale_id AND b.bidder = r.bidder
                        AND b.transaction_hash = i.transaction_hash)
ORDER BY r.created_at, r.request_id
LIMIT :max_rows;

-- statement: leasing_sales_bid_request_claim
-- doc: The row of a bid that is asked for, before anybody looks for it; nothing when there is one.
-- params: request_id text, chain_id i64, marketplace address, sale_id u256, bidder address
-- params: amount u256, price u256, funds u256, now time
INSERT INTO sale_bid_requests
    (request_id, chain_id, marketplace, sale_id, bidder, amount, price, funds, created_at)
VALUES (:request_id, :chain_id, :marketplace, :sale_id, :bidder, :amount, :price, :funds, :now)
ON CONFLICT (request_id) DO NOTHING;

-- statement: leasing_sales_bid_request_intents
-- doc: The transactions of a bid.
-- params: request_id text, approve_intent_id text, bid_intent_id text
UPDATE sale_bid_requests
SET approve_intent_id = :approve_intent_id, bid_intent_id = :bid_intent_id
WHERE request_id = :request_id;

-- statement: leasing_sales_bid_request_get
-- doc: A bid that was asked for, and what it is on chain.
-- params: request_id text
-- columns: sale_id u256, bidder address, amount u256, price u256, approve_intent_id text?
-- columns: intent_id text?, tx_state i64?, tx_hash hash?, tx_code text?, tx_error text?
-- columns: bid_index u256?, status text?
SELECT r.sale_id, r.bidder, r.amount, r.price, r.approve_intent_id, r.bid_intent_id AS intent_id,
       i.state AS tx_state, i.transaction_hash AS tx_hash, i.error_code AS tx_code,
       i.error AS tx_error, b.bid_index, b.status
FROM sale_bid_requests r
LEFT JOIN relay_intents i ON i.intent_id = r.bid_intent_id
LEFT JOIN sale_bids b ON b.chain_id = r.chain_id AND b.marketplace = r.marketplace
    AND b.sale_id = r.sale_id AND b.bidder = r.bidder AND b.transaction_hash = i.transaction_hash
WHERE r.request_id = :request_id;

-- statement: leasing_sales_action_put
-- doc: A transaction that was asked for about a sale or a bid on it.
-- params: intent_id text, chain_id i64, marketplace address, sale_id u256, bid_index u256?
-- params: action text, wallet address, approve_intent_id text?, now time
INSERT INTO sale_actions
    (intent_id, chain_id, marketplace, sale_id, bid_index, action, wallet, approve_intent_id,
     created_at)
VALUES (:intent_id, :chain_id, :marketplace, :sale_id, :bid_index, :action, :wallet,
        :approve_intent_id, :now);

-- statement: leasing_sales_action_last
-- doc: The newest try of an action on a sale (bid_index NULL) or on a bid.
-- params: chain_id i64, marketplace address, sale_id u256, bid_index u256?, action text
-- params: wallet address
-- columns: approve_intent_id text?, intent_id text, tx_state i64?, tx_hash hash?, tx_code text?
-- columns: tx_error text?
SELECT a.approve_intent_id, a.intent_id, i.state AS tx_state, i.transaction_hash AS tx_hash,
       i.error_code AS tx_code, i.error AS tx_error
FROM sale_actions a JOIN relay_intents i ON i.intent_id = a.intent_id
WHERE a.chain_id = :chain_id AND a.marketplace = :marketplace AND a.sale_id = :sale_id
    AND a.action = :action AND a.wallet = :wallet
    AND (a.bid_index = :bid_index OR (a.bid_index IS NULL AND :bid_index IS NULL))
ORDER BY i.seq DESC
LIMIT 1;

-- statement: leasing_sales_acceptance_last
-- doc: The acceptance of a seller that is under way: the next one waits for it, since each sets an
-- doc: allowance.
-- params: wallet address
-- columns: intent_id text
SELECT a.intent_id
FROM sale_actions a JOIN relay_intents i ON i.intent_id = a.intent_id
WHERE a.wallet = :wallet AND a.action = 'accept' AND i.state < 4
ORDER BY i.seq DESC
LIMIT 1;

-- statement: leasing_sales_actions_list
-- doc: What was asked for about a sale, newest first.
-- params: chain_id i64, marketplace address, sale_id u256, max_rows i64
-- columns: action text, bid_index u256?, created_at time, intent_id text, tx_state i64?
-- columns: tx_hash hash?, tx_code text?, tx_error text?
SELECT a.action, a.bid_index, a.created_at, a.intent_id, i.state AS tx_state,
       i.transaction_hash AS tx_hash, i.error_code AS tx_code, i.error AS tx_error
FROM sale_actions a JOIN relay_intents i ON i.intent_id = a.intent_id
WHERE a.chain_id = :chain_id AND a.marketplace = :marketplace AND a.sale_id = :sale_id
ORDER BY i.seq DESC
LIMIT :max_rows;
