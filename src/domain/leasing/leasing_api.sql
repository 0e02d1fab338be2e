-- Statements behind the routes. Columns that begin with tx_ are of the transaction that was asked
-- for, as the relay has it; they are joined so that one read tells the whole state.

-- statement: leasing_api_type_get
-- doc: One asset type.
-- params: type_name text
-- columns: type_name text, type_hash hash, schema json, required_lease_keys json, status text
-- columns: error text?, block_number i64?, transaction_hash hash?, created_at time, updated_at time
-- columns: intent_id text?, tx_state i64?, tx_hash hash?, tx_code text?, tx_error text?
SELECT t.type_name, t.type_hash, t.schema, t.required_lease_keys, t.status, t.error, t.block_number,
       t.transaction_hash, t.created_at, t.updated_at, t.intent_id, i.state AS tx_state,
       i.transaction_hash AS tx_hash, i.error_code AS tx_code, i.error AS tx_error
FROM asset_types t LEFT JOIN relay_intents i ON i.intent_id = t.intent_id
WHERE t.type_name = :type_name;

-- statement: leasing_api_types_list
-- doc: Asset types by name, behind a name.
-- params: after_name text, max_rows i64, skip_rows i64
-- columns: type_name text, type_hash hash, schema json, required_lease_keys json, status text
-- columns: error text?, block_number i64?, transaction_hash hash?, created_at time, updated_at time
-- columns: intent_id text?, tx_state i64?, tx_hash hash?, tx_code text?, tx_error text?
SELECT t.type_name, t.type_hash, t.schema, t.required_lease_keys, t.status, t.error, t.block_number,
       t.transaction_hash, t.created_at, t.updated_at, t.intent_id, i.state AS tx_state,
       i.transaction_hash AS tx_hash, i.error_code AS tx_code, i.error AS tx_error
FROM asset_types t LEFT JOIN relay_intents i ON i.intent_id = t.intent_id
WHERE t.type_name > :after_name
ORDER BY t.type_name
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_api_types_count
-- doc: How many asset types there are.
-- columns: total i64
SELECT COUNT(*) AS total FROM asset_types;

-- statement: leasing_api_type_claim
-- doc: The row of an asset type that nobody has asked for; nothing when there is one. Who looked
-- doc: for it first would be in conflict, on PostgreSQL, with all who add types beside it.
-- params: type_name text, type_hash hash, schema json, required_lease_keys json, chain_id i64
-- params: now time
INSERT INTO asset_types
    (type_name, type_hash, schema, required_lease_keys, chain_id, status, created_at, updated_at)
VALUES (:type_name, :type_hash, :schema, :required_lease_keys, :chain_id, 'registered', :now, :now)
ON CONFLICT (type_name) DO NOTHING;

-- statement: leasing_api_type_put
-- doc: An asset type that somebody asks for; an earlier try that failed is replaced.
-- params: type_name text, type_hash hash, schema json, required_lease_keys json, chain_id i64
-- params: intent_id text?, status text, now time
INSERT INTO asset_types
    (type_name, type_hash, schema, required_lease_keys, chain_id, intent_id, status, created_at,
     updated_at)
VALUES (:type_name, :type_hash, :schema, :required_lease_keys, :chain_id, :intent_id, :status,
        :now, :now)
ON CONFLICT (type_name)
DO UPDATE SET schema = EXCLUDED.schema, required_lease_keys = EXCLUDED.required_lease_keys,
    chain_id = EXCLUDED.chain_id, intent_id = EXCLUDED.intent_id, status = EXCLUDED.status,
    error = NULL, updated_at = EXCLUDED.updated_at;

-- statement: leasing_api_onchain_type_find
-- doc: What the registry says of a type: hashes of the keys that leases must carry.
-- params: chain_id i64, registry address, type_hash hash
-- columns: required_lease_keys json
SELECT required_lease_keys FROM onchain_types
WHERE chain_id = :chain_id AND registry = :registry AND type_hash = :type_hash;

-- statement: leasing_api_asset_get
-- doc: One asset.
-- params: asset_id text
-- columns: asset_id text, chain_id i64, name text, description text, asset_type text, metadata json
-- columns: metadata_hash hash, token_name text, token_symbol text, total_supply u256
-- columns: token_recipient address, status text, error text?, contract_address address
-- columns: onchain_id u256?, token_address address?, block_number i64?, transaction_hash hash?
-- columns: created_at time, updated_at time, intent_id text?, tx_state i64?, tx_hash hash?
-- columns: tx_code text?, tx_error text?
SELECT a.asset_id, a.chain_id, a.name, a.description, a.asset_type, a.metadata, a.metadata_hash,
       a.token_name, a.token_symbol, a.total_supply, a.token_recipient, a.status, a.error,
       a.contract_address, a.onchain_id, a.token_address, a.block_number, a.transaction_hash,
       a.created_at, a.updated_at, a.intent_id, i.state AS tx_state,
       i.transaction_hash AS tx_hash, i.error_code AS tx_code, i.error AS tx_error
FROM assets a LEFT JOIN relay_intents i ON i.intent_id = a.intent_id
WHERE a.asset_id = :asset_id;

-- statement: leasing_api_assets_list
-- doc: Assets, newest first, below a position; "" matches any type or status.
-- params: asset_type text, status text, below_time time, below_id text, max_rows i64, skip_rows i64
-- columns: asset_id text, chain_id i64, name text, description text, asset_type text, metadata json
-- columns: metadata_hash hash, token_name text, token_symbol text, total_supply u256
-- columns: token_recipient address, status text, error text?, contract_address address
-- columns: onchain_id u256?, token_address address?, block_number i64?, transaction_hash hash?
-- columns: created_at time, updated_at time, intent_id text?, tx_state i64?, tx_hash hash?
-- columns: tx_code text?, tx_error text?
SELECT a.asset_id, a.chain_id, a.name, a.description, a.asset_type, a.metadata, a.metadata_hash,
       a.token_name, a.token_symbol, a.total_supply, a.token_recipient, a.status, a.error,
       a.contract_address, a.onchain_id, a.token_address, a.block_number, a.transaction_hash,
       a.created_at, a.updated_at, a.intent_id, i.state AS tx_state,
       i.transaction_hash AS tx_hash, i.error_code AS tx_code, i.error AS tx_error
FROM assets a LEFT JOIN relay_intents i ON i.intent_id = a.intent_id
WHERE (:asset_type = '' OR a.asset_type = :asset_type) AND (:status = '' OR a.status = :status)
    AND (:below_id = '' OR a.created_at < :below_time
         OR (a.created_at = :below_time AND a.asset_id < :below_id))
ORDER BY a.created_at DESC, a.asset_id DESC
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_api_assets_count
-- doc: How many assets there are; "" matches any type or status.
-- params: asset_type text, status text
-- columns: total i64
SELECT COUNT(*) AS total FROM assets
WHERE (:asset_type = '' OR asset_type = :asset_type) AND (:status = '' OR status = :status);

-- statement: leasing_api_asset_claim
-- doc: The row of an asset that nobody has asked for; nothing when there is one (as in
-- doc: leasing_api_type_claim).
-- params: asset_id text, chain_id i64, name text, description text, asset_type text
-- params: specifications json, metadata json, metadata_hash hash, token_name text
-- params: token_symbol text, total_supply u256, token_recipient address, contract_address address
-- params: now time
INSERT INTO assets
    (asset_id, chain_id, name, description, asset_type, specifications, metadata, metadata_hash,
     token_name, token_symbol, total_supply, token_recipient, status, contract_address,
     created_at, updated_at)
VALUES (:asset_id, :chain_id, :name, :description, :asset_type, :specifications, :metadata,
        :metadata_hash, :token_name, :token_symbol, :total_supply, :token_recipient, 'registered',
        :contract_address, :now, :now)
ON CONFLICT (asset_id) DO NOTHING;

-- statement: leasing_api_asset_put
-- doc: An asset that somebody asks for; an earlier try that failed is replaced.
-- params: asset_id text, chain_id i64, name text, description text, asset_type text
-- params: specifications json, metadata json, metadata_hash hash, token_name text
-- params: token_symbol text, total_supply u256, token_recipient address, intent_id text
-- params: contract_address address, now time
INSERT INTO assets
    (asset_id, chain_id, name, description, asset_type, specifications, metadata, metadata_hash,
     token_name, token_symbol, total_supply, token_recipient, status, intent_id, contract_address,
     created_at, updated_at)
VALUES (:asset_id, :chain_id, :name, :description, :asset_type, :specifications, :metadata,
        :metadata_hash, :token_name, :token_symbol, :total_supply, :token_recipient, 'registered',
        :intent_id, :contract_address, :now, :now)
ON CONFLICT (asset_id)
DO UPDATE SET chain_id = EXCLUDED.chain_id, name = EXCLUDED.name,
    description = EXCLUDED.description, asset_type = EXCLUDED.asset_type,
    specifications = EXCLUDED.specifications, metadata = EXCLUDED.metadata,
    metadata_hash = EXCLUDED.metadata_hash, token_name = EXCLUDED.token_name,
    token_symbol = EXCLUDED.token_symbol, total_supply = EXCLUDED.total_supply,
    token_recipient = EXCLUDED.token_recipient, status = 'registered', error = NULL,
    intent_id = EXCLUDED.intent_id, contract_address = EXCLUDED.contract_address,
    updated_at = EXCLUDED.updated_at;

-- statement: leasing_api_asset_token
-- doc: The token of an asset and where it is.
-- params: asset_id text
-- columns: chain_id i64, contract_address address, onchain_id u256?, token_address address?
-- columns: total_supply u256
SELECT chain_id, contract_address, onchain_id, token_address, total_supply
FROM assets WHERE asset_id = :asset_id;

-- statement: leasing_api_holders_at
-- doc: Holders of a token after a block, by address: the newest balance of each up to there.
-- params: chain_id i64, token address, block_number i64
-- columns: holder address, balance u256
SELECT b.holder, b.balance FROM token_balances b
WHERE b.chain_id = :chain_id AND b.token = :token AND b.block_number <= :block_number
    AND b.balance <> @u256(0)
    AND NOT EXISTS (SELECT 1 FROM token_balances n
                    WHERE n.chain_id = b.chain_id AND n.token = b.token AND n.holder = b.holder
                        AND n.block_number <= :block_number
                        AND (n.block_number > b.block_number
                             OR (n.block_number = b.block_number AND n.log_index > b.log_index)))
ORDER BY b.holder;

-- statement: leasing_api_lease_get
-- doc: One lease agreement with its asset, its offer and its transactions.
-- params: lease_id text, marketplace address
-- columns: lease_id text, asset_id text, chain_id i64, contract_address address, lessor address
-- columns: lessee address?, start_date time, end_date time, deadline time, payment_token address
-- columns: payment_amount u256, payment_schedule text, rent_period_sec i64, security_deposit u256
-- columns: currency text, legal_document_hash hash, terms_version i64, agreement json
-- columns: metadata json, metadata_hash hash, restrictions json, lessor_signature bytes?
-- columns: lessee_signature bytes?, lessor_termination bytes?, lessee_termination bytes?
-- columns: termination_reason text?, status text, error text?, offer_id u256?, nft_token_id u256?
-- columns: block_number i64?, transaction_hash hash?, created_at time, updated_at time
-- columns: asset_type text?, onchain_asset_id u256?, offer_status text?, intent_id text?
-- columns: tx_state i64?, tx_hash hash?, tx_code text?, tx_error text?, action_intent_id text?
-- columns: action_state i64?, action_hash hash?, action_code text?, action_error text?
-- columns: action_purpose text?
SELECT l.lease_id, l.asset_id, l.chain_id, l.contract_address, l.lessor, l.lessee, l.start_date,
       l.end_date, l.deadline, l.payment_token, l.payment_amount, l.payment_schedule,
       l.rent_period_sec, l.security_deposit, l.currency, l.legal_document_hash, l.terms_version,
       l.agreement, l.metadata, l.metadata_hash, l.restrictions, l.lessor_signature,
       l.lessee_signature, l.lessor_termination, l.lessee_termination, l.termination_reason,
       l.status, l.error, l.offer_id, l.nft_token_id, l.block_number, l.transaction_hash,
       l.created_at, l.updated_at, a.asset_type, a.onchain_id AS onchain_asset_id,
       o.status AS offer_status, l.intent_id, i.state AS tx_state,
       i.transaction_hash AS tx_hash, i.error_code AS tx_code, i.error AS tx_error,
       l.action_intent_id, j.state AS action_state, j.transaction_hash AS action_hash,
       j.error_code AS action_code, j.error AS action_error, j.purpose AS action_purpose
FROM leases l
LEFT JOIN assets a ON a.asset_id = l.asset_id
LEFT JOIN lease_offers o ON o.chain_id = l.chain_id AND o.marketplace = :marketplace
    AND o.offer_id = l.offer_id
LEFT JOIN relay_intents i ON i.intent_id = l.intent_id
LEFT JOIN relay_intents j ON j.intent_id = l.action_intent_id
WHERE l.lease_id = :lease_id;

-- statement: leasing_api_leases_list
-- doc: Lease agreements, newest first, below a position; "" and NULL match any.
-- params: marketplace address, status text, asset_id text, lessor address?, lessee address?
-- params: below_time time, below_id text, max_rows i64, skip_rows i64
-- columns: lease_id text, asset_id text, chain_id i64, contract_address address, lessor address
-- columns: lessee address?, start_date time, end_date time, deadline time, payment_token address
-- columns: payment_amount u256, payment_schedule text, rent_period_sec i64, security_deposit u256
-- columns: currency text, legal_document_hash hash, terms_version i64, agreement json
-- columns: metadata json, metadata_hash hash, restrictions json, lessor_signature bytes?
-- columns: lessee_signature bytes?, lessor_termination bytes?, lessee_termination bytes?
-- columns: termination_reason text?, status text, error text?, offer_id u256?, nft_token_id u256?
-- columns: block_number i64?, transaction_hash hash?, created_at time, updated_at time
-- columns: asset_type text?, onchain_asset_id u256?, offer_status text?, intent_id text?
-- columns: tx_state i64?, tx_hash hash?, tx_code text?, tx_error text?, action_intent_id text?
-- columns: action_state i64?, action_hash hash?, action_code text?, action_error text?
-- columns: action_purpose text?
SELECT l.lease_id, l.asset_id, l.chain_id, l.contract_address, l.lessor, l.lessee, l.start_date,
       l.end_date, l.deadline, l.payment_token, l.payment_amount, l.payment_schedule,
       l.rent_period_sec, l.security_deposit, l.currency, l.legal_document_hash, l.terms_version,
       l.agreement, l.metadata, l.metadata_hash, l.restrictions, l.lessor_signature,
       l.lessee_signature, l.lessor_termination, l.lessee_termination, l.termination_reason,
       l.status, l.error, l.offer_id, l.nft_token_id, l.block_number, l.transaction_hash,
       l.created_at, l.updated_at, a.asset_type, a.onchain_id AS onchain_asset_id,
       o.status AS offer_status, l.intent_id, i.state AS tx_state,
       i.transaction_hash AS tx_hash, i.error_code AS tx_code, i.error AS tx_error,
       l.action_intent_id, j.state AS action_state, j.transaction_hash AS action_hash,
       j.error_code AS action_code, j.error AS action_error, j.purpose AS action_purpose
FROM leases l
LEFT JOIN assets a ON a.asset_id = l.asset_id
LEFT JOIN lease_offers o ON o.chain_id = l.chain_id AND o.marketplace = :marketplace
    AND o.offer_id = l.offer_id
LEFT JOIN relay_intents i ON i.intent_id = l.intent_id
LEFT JOIN relay_intents j ON j.intent_id = l.action_intent_id
WHERE (:status = '' OR l.status = :status) AND (:asset_id = '' OR l.asset_id = :asset_id)
    AND (:lessor IS NULL OR l.lessor = :lessor) AND (:lessee IS NULL OR l.lessee = :lessee)
    AND (:below_id = '' OR l.created_at < :below_time
         OR (l.created_at = :below_time AND l.lease_id < :below_id))
ORDER BY l.created_at DESC, l.lease_id DESC
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_api_leases_count
-- doc: How many lease agreements there are; "" and NULL match any.
-- params: status text, asset_id text, lessor address?, lessee address?
-- columns: total i64
SELECT COUNT(*) AS total FROM leases
WHERE (:status = '' OR status = :status) AND (:asset_id = '' OR asset_id = :asset_id)
    AND (:lessor IS NULL OR lessor = :lessor) AND (:lessee IS NULL OR lessee = :lessee);

-- statement: leasing_api_lease_insert
-- doc: A new agreement; an id that is taken changes nothing.
-- params: lease_id text, asset_id text, chain_id i64, contract_address address, lessor address
-- params: lessee address?, start_date time, end_date time, deadline time, payment_token address
-- params: payment_amount u256, payment_schedule text, rent_period_sec i64, security_deposit u256
-- params: currency text, legal_document_hash hash, terms_version i64, agreement json, metadata json
-- params: metadata_hash hash, restrictions json, now time
INSERT INTO leases
    (lease_id, asset_id, chain_id, contract_address, lessor, lessee, start_date, end_date,
     deadline, payment_token, payment_amount, payment_schedule, rent_period_sec, security_deposit,
     currency, legal_document_hash, terms_version, agreement, metadata, metadata_hash,
     restrictions, status, created_at, updated_at)
VALUES (:lease_id, :asset_id, :chain_id, :contract_address, :lessor, :lessee, :start_date,
        :end_date, :deadline, :payment_token, :payment_amount, :payment_schedule,
        :rent_period_sec, :security_deposit, :currency, :legal_document_hash, :terms_version,
        :agreement, :metadata, :metadata_hash, :restrictions, 'draft', :now, :now)
ON CONFLICT (lease_id) DO NOTHING;

-- statement: leasing_api_lease_sign
-- doc: Keeps a signature that was verified; one that is there stays.
-- params: lease_id text, lessor_signature bytes?, lessee_signature bytes?, now time
UPDATE leases
SET lessor_signature = COALESCE(lessor_signature, :lessor_signature),
    lessee_signature = COALESCE(lessee_signature, :lessee_signature),
    status = 'pending_signatures', updated_at = :now
WHERE lease_id = :lease_id AND status IN ('draft', 'pending_signatures');

-- statement: leasing_api_lease_intent
-- doc: The transaction that mints or offers the lease.
-- params: lease_id text, intent_id text, now time
UPDATE leases SET intent_id = :intent_id, error = NULL, updated_at = :now
WHERE lease_id = :lease_id;

-- statement: leasing_api_lease_action
-- doc: The transaction that accepts a bid or cancels the offer; an acceptance is signed.
-- params: lease_id text, intent_id text?, lessor_signature bytes?, now time
UPDATE leases
SET action_intent_id = COALESCE(:intent_id, action_intent_id), error = NULL,
    lessor_signature = COALESCE(:lessor_signature, lessor_signature), updated_at = :now
WHERE lease_id = :lease_id;

-- statement: leasing_api_lease_terminate
-- doc: Keeps the consent of a party to ending the lease, and what follows from it.
-- params: lease_id text, lessor_termination bytes?, lessee_termination bytes?
-- params: termination_reason text, status text, now time
UPDATE leases
SET lessor_termination = COALESCE(lessor_termination, :lessor_termination),
    lessee_termination = COALESCE(lessee_termination, :lessee_termination),
    termination_reason = COALESCE(termination_reason, :termination_reason), status = :status,
    updated_at = :now
WHERE lease_id = :lease_id;

-- statement: leasing_api_offers_list
-- doc: Offers, newest first, with the agreement behind them; "" matches any status.
-- params: chain_id i64, registry address, marketplace address, status text, below_id u256?
-- params: max_rows i64, skip_rows i64
-- columns: offer_id u256, lessor address, onchain_asset_id u256, status text, block_number i64
-- columns: transaction_hash hash, asset_id text?, lease_id text?, bid_count i64
SELECT o.offer_id, o.lessor, o.onchain_asset_id, o.status, o.block_number, o.transaction_hash,
       (SELECT a.asset_id FROM assets a
        WHERE a.chain_id = o.chain_id AND a.contract_address = :registry
            AND a.onchain_id = o.onchain_asset_id) AS asset_id,
       (SELECT MIN(l.lease_id) FROM leases l
        WHERE l.chain_id = o.chain_id AND l.offer_id = o.offer_id) AS lease_id,
       (SELECT COUNT(*) FROM lease_bids b
        WHERE b.chain_id = o.chain_id AND b.marketplace = o.marketplace
            AND b.offer_id = o.offer_id) AS bid_count
FROM lease_offers o
WHERE o.chain_id = :chain_id AND o.marketplace = :marketplace
    AND (:status = '' OR o.status = :status) AND (:below_id IS NULL OR o.offer_id < :below_id)
ORDER BY o.offer_id DESC
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_api_bid_get
-- doc: One bid, with what became of the check of its signature.
-- params: chain_id i64, marketplace address, offer_id u256, bid_index u256
-- columns: bid_index u256, bidder address, funds u256, status text, block_number i64
-- columns: transaction_hash hash, signature_valid bool?, detail text?, checked_at time?
SELECT b.bid_index, b.bidder, b.funds, b.status, b.block_number, b.transaction_hash,
       c.signature_valid, c.detail, c.checked_at
FROM lease_bids b
LEFT JOIN lease_bid_checks c ON c.chain_id = b.chain_id AND c.marketplace = b.marketplace
    AND c.offer_id = b.offer_id AND c.bid_index = b.bid_index AND c.bidder = b.bidder
WHERE b.chain_id = :chain_id AND b.marketplace = :marketplace AND b.offer_id = :offer_id
    AND b.bid_index = :bid_index;

-- statement: leasing_api_bids_list
-- doc: Bids of an offer by index, behind an index.
-- params: chain_id i64, marketplace address, offer_id u256, after_index u256?, max_rows i64
-- params: skip_rows i64
-- columns: bid_index u256, bidder address, funds u256, status text, block_number i64
-- columns: transaction_hash hash, signature_valid bool?, detail text?, checked_at time?
SELECT b.bid_index, b.bidder, b.funds, b.status, b.block_number, b.transaction_hash,
       c.signature_valid, c.detail, c.checked_at
FROM lease_bids b
LEFT JOIN lease_bid_checks c ON c.chain_id = b.chain_id AND c.marketplace = b.marketplace
    AND c.offer_id = b.offer_id AND c.bid_index = b.bid_index AND c.bidder = b.bidder
WHERE b.chain_id = :chain_id AND b.marketplace = :marketplace AND b.offer_id = :offer_id
    AND (:after_index IS NULL OR b.bid_index > :after_index)
ORDER BY b.bid_index
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_api_bid_by_tx
-- doc: The bid that a transaction placed.
-- params: chain_id i64, marketplace address, offer_id u256, bidder address, transaction_hash hash
-- columns: bid_index u256
SELECT bid_index FROM lease_bids
WHERE chain_id = :chain_id AND marketplace = :marketplace AND offer_id = :offer_id
    AND bidder = :bidder AND transaction_hash = :transaction_hash
ORDER BY bid_index
LIMIT 1;

-- statement: leasing_api_bid_requests_list
-- doc: Bids that were asked for through the API and are not on chain (yet), oldest first.
-- params: lease_id text, chain_id i64, marketplace address
-- columns: request_id text, bidder address, funds u256, created_at time, intent_id text?
-- columns: tx_state i64?, tx_hash hash?, tx_code text?, tx_error text?
SELECT r.request_id, r.bidder, r.funds, r.created_at, r.bid_intent_id AS intent_id,
       i.state AS tx_state, i.transaction_hash AS tx_hash, i.error_code AS tx_code,
       i.error AS tx_error
FROM lease_bid_requests r LEFT JOIN relay_intents i ON i.intent_id = r.bid_intent_id
WHERE r.lease_id = :lease_id
    AND NOT EXISTS (SELECT 1 FROM lease_bids b
                    WHERE b.chain_id = :chain_id AND b.marketplace = :marketplace
                        AND b.bidder = r.bidder AND b.funds = r.funds
                        AND (r.bid_intent_id IS NULL OR b.transaction_hash = i.transaction_hash)
                        AND b.offer_id = (SELECT l.offer_id FROM leases l
                                          WHERE l.lease_id = r.lease_id))
ORDER BY r.created_at, r.request_id;

-- statement: leasing_api_bid_request_find
-- doc: The same bid, when it was asked for before.
-- params: lease_id text, bidder address, signature bytes, funds u256
-- columns: request_id text, approve_intent_id text?, intent_id text?, tx_state i64?, tx_hash hash?
-- columns: tx_code text?, tx_error text?
SELECT r.request_id, r.approve_intent_id, r.bid_intent_id AS intent_id, i.state AS tx_state,
       i.transaction_hash AS tx_hash, i.error_code AS tx_code, i.error AS tx_error
FROM lease_bid_requests r LEFT JOIN relay_intents i ON i.intent_id = r.bid_intent_id
WHERE r.lease_id = :lease_id AND r.bidder = :bidder AND r.signature = :signature
    AND r.funds = :funds;

-- statement: leasing_api_bid_request_last
-- doc: The bid of an account, on a lease or on a sale, that is under way: the next one waits for
-- doc: it, since each sets the same allowance.
-- params: bidder address
-- columns: intent_id text
SELECT r.intent_id
FROM (SELECT bid_intent_id AS intent_id FROM lease_bid_requests WHERE bidder = :bidder
      UNION ALL
      SELECT bid_intent_id AS intent_id FROM sale_bid_requests WHERE bidder = :bidder) r
JOIN relay_intents i ON i.intent_id = r.intent_id
WHERE i.state < 4
ORDER BY i.seq DESC
LIMIT 1;

-- statement: leasing_api_bid_request_put
-- doc: A bid that somebody asks for, with its transactions when the relay has the wallet.
-- params: request_id text, lease_id text, bidder address, funds u256, signature bytes
-- params: approve_intent_id text?, bid_intent_id text?, now time
INSERT INTO lease_bid_requests
    (request_id, lease_id, bidder, funds, signature, approve_intent_id, bid_intent_id, created_at)
VALUES (:request_id, :lease_id, :bidder, :funds, :signature, :approve_intent_id, :bid_intent_id,
        :now)
ON CONFLICT (request_id)
DO UPDATE SET approve_intent_id = EXCLUDED.approve_intent_id,
    bid_intent_id = EXCLUDED.bid_intent_id;

-- statement: leasing_api_round_get
-- doc: One revenue round.
-- params: chain_id i64, round_id i64, registry address
-- columns: round_id i64, token address, onchain_asset_id u256, lease_token_id u256
-- columns: total_amount u256, supply u256, snapshot_block i64, snapshot_log_index i64
-- columns: remainder u256, remainder_to address?, status text, transaction_hash hash
-- columns: created_at time, asset_id text?, lease_id text?
SELECT r.round_id, r.token, r.onchain_asset_id, r.lease_token_id, r.total_amount, r.supply,
       r.snapshot_block, r.snapshot_log_index, r.remainder, r.remainder_to, r.status,
       r.transaction_hash, r.created_at, a.asset_id,
       (SELECT MIN(l.lease_id) FROM leases l
        WHERE l.chain_id = r.chain_id AND l.nft_token_id = r.lease_token_id) AS lease_id
FROM revenue_rounds r
LEFT JOIN assets a ON a.chain_id = r.chain_id AND a.contract_address = :registry
    AND a.onchain_id = r.onchain_asset_id
WHERE r.chain_id = :chain_id AND r.round_id = :round_id;

-- statement: leasing_api_rounds_list
-- doc: Revenue rounds of an asset, newest first, below a round.
-- params: chain_id i64, registry address, onchain_asset_id u256, below_round i64, max_rows i64
-- params: skip_rows i64
-- columns: round_id i64, token address, onchain_asset_id u256, lease_token_id u256
-- columns: total_amount u256, supply u256, snapshot_block i64, snapshot_log_index i64
-- columns: remainder u256, remainder_to address?, status text, transaction_hash hash
-- columns: created_at time, asset_id text?, lease_id text?
SELECT r.round_id, r.token, r.onchain_asset_id, r.lease_token_id, r.total_amount, r.supply,
       r.snapshot_block, r.snapshot_log_index, r.remainder, r.remainder_to, r.status,
       r.transaction_hash, r.created_at, a.asset_id,
       (SELECT MIN(l.lease_id) FROM leases l
        WHERE l.chain_id = r.chain_id AND l.nft_token_id = r.lease_token_id) AS lease_id
FROM revenue_rounds r
LEFT JOIN assets a ON a.chain_id = r.chain_id AND a.contract_address = :registry
    AND a.onchain_id = r.onchain_asset_id
WHERE r.chain_id = :chain_id AND r.onchain_asset_id = :onchain_asset_id
    AND r.round_id < :below_round
ORDER BY r.round_id DESC
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_api_claim_get
-- doc: A holder's claim in a round, with the transaction that was asked for.
-- params: chain_id i64, round_id i64, holder address
-- columns: round_id i64, holder address, token_balance u256, claim_amount u256, claimed bool
-- columns: claimed_at time?, transaction_hash hash?, intent_id text?, tx_state i64?, tx_hash hash?
-- columns: tx_code text?, tx_error text?, tx_block i64?
SELECT c.round_id, c.holder, c.token_balance, c.claim_amount, c.claimed, c.claimed_at,
       c.transaction_hash, q.intent_id, i.state AS tx_state, i.transaction_hash AS tx_hash,
       i.error_code AS tx_code, i.error AS tx_error, i.block_number AS tx_block
FROM revenue_claims c
LEFT JOIN revenue_claim_requests q ON q.chain_id = c.chain_id AND q.round_id = c.round_id
    AND q.holder = c.holder
LEFT JOIN relay_intents i ON i.intent_id = q.intent_id
WHERE c.chain_id = :chain_id AND c.round_id = :round_id AND c.holder = :holder;

-- statement: leasing_api_claims_list
-- doc: Claims of a round by holder, behind a holder.
-- params: chain_id i64, round_id i64, after_holder address?, max_rows i64, skip_rows i64
-- columns: round_id i64, holder address, token_balance u256, claim_amount u256, claimed bool
-- columns: claimed_at time?, transaction_hash hash?, intent_id text?, tx_state i64?, tx_hash hash?
-- columns: tx_code text?, tx_error text?, tx_block i64?
SELECT c.round_id, c.holder, c.token_balance, c.claim_amount, c.claimed, c.claimed_at,
       c.transaction_hash, q.intent_id, i.state AS tx_state, i.transaction_hash AS tx_hash,
       i.error_code AS tx_code, i.error AS tx_error, i.block_number AS tx_block
FROM revenue_claims c
LEFT JOIN revenue_claim_requests q ON q.chain_id = c.chain_id AND q.round_id = c.round_id
    AND q.holder = c.holder
LEFT JOIN relay_intents i ON i.intent_id = q.intent_id
WHERE c.chain_id = :chain_id AND c.round_id = :round_id
    AND (:after_holder IS NULL OR c.holder > :after_holder)
ORDER BY c.holder
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_api_claims_open
-- doc: What a holder may claim, oldest round first.
-- params: chain_id i64, holder address
-- columns: round_id i64, holder address, token_balance u256, claim_amount u256, claimed bool
-- columns: claimed_at time?, transaction_hash hash?, intent_id text?, tx_state i64?, tx_hash hash?
-- columns: tx_code text?, tx_error text?, tx_block i64?
SELECT c.round_id, c.holder, c.token_balance, c.claim_amount, c.claimed, c.claimed_at,
       c.transaction_hash, q.intent_id, i.state AS tx_state, i.transaction_hash AS tx_hash,
       i.error_code AS tx_code, i.error AS tx_error, i.block_number AS tx_block
FROM revenue_claims c
LEFT JOIN revenue_claim_requests q ON q.chain_id = c.chain_id AND q.round_id = c.round_id
    AND q.holder = c.holder
LEFT JOIN relay_intents i ON i.intent_id = q.intent_id
WHERE c.chain_id = :chain_id AND c.holder = :holder AND NOT c.claimed
ORDER BY c.round_id;

-- statement: leasing_api_claim_request_put
-- doc: The transaction that will pay a claim.
-- params: chain_id i64, round_id i64, holder address, intent_id text, now time
INSERT INTO revenue_claim_requests (chain_id, round_id, holder, intent_id, created_at)
VALUES (:chain_id, :round_id, :holder, :intent_id, :now)
ON CONFLICT (chain_id, round_id, holder)
DO UPDATE SET intent_id = EXCLUDED.intent_id, created_at = EXCLUDED.created_at;

-- statement: leasing_api_account_tokens
-- doc: Asset tokens that an account holds, by token, behind a token.
-- params: chain_id i64, holder address, after_token address?, max_rows i64, skip_rows i64
-- columns: token address, balance u256, asset_id text?, token_name text?, token_symbol text?
SELECT h.token, h.balance, a.asset_id, a.token_name, a.token_symbol
FROM token_holders h
LEFT JOIN assets a ON a.chain_id = h.chain_id AND a.token_address = h.token
WHERE h.chain_id = :chain_id AND h.holder = :holder
    AND (:after_token IS NULL OR h.token > :after_token)
ORDER BY h.token
LIMIT :max_rows OFFSET :skip_rows;

-- statement: leasing_api_account_bids
-- doc: Bids of an account whose funds are in escrow.
-- params: chain_id i64, marketplace address, bidder address
-- columns: offer_id u256, bid_index u256, funds u256
SELECT offer_id, bid_index, funds FROM lease_bids
WHERE chain_id = :chain_id AND marketplace = :marketplace AND bidder = :bidder
    AND status = 'active'
ORDER BY offer_id, bid_index;
