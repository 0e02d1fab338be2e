-- Statements of the background work.

-- statement: leasing_jobs_nft_get
-- doc: A lease NFT as the chain has it.
-- params: chain_id i64, factory address, token_id u256
-- columns: lessor address, lessee address, onchain_asset_id u256, block_number i64
-- columns: transaction_hash hash
SELECT lessor, lessee, onchain_asset_id, block_number, transaction_hash FROM lease_nfts
WHERE chain_id = :chain_id AND factory = :factory AND token_id = :token_id;

-- statement: leasing_jobs_asset_find
-- doc: The asset with an on-chain id.
-- params: chain_id i64, registry address, onchain_id u256
-- columns: asset_id text, asset_type text
SELECT asset_id, asset_type FROM assets
WHERE chain_id = :chain_id AND contract_address = :registry AND onchain_id = :onchain_id;

-- statement: leasing_jobs_lease_match
-- doc: An agreement that waits for exactly this lease; lessee NULL: one that is to be offered.
-- params: chain_id i64, asset_id text, lessor address, lessee address?, start_date time
-- params: end_date time, payment_token address, payment_amount u256, rent_period_sec i64
-- params: security_deposit u256, legal_document_hash hash, terms_version i64, deadline time?
-- columns: lease_id text
SELECT lease_id FROM leases
WHERE chain_id = :chain_id AND asset_id = :asset_id AND lessor = :lessor
    AND nft_token_id IS NULL AND status IN ('draft', 'pending_signatures')
    AND (lessee = :lessee OR (lessee IS NULL AND (:lessee IS NULL OR offer_id IS NULL)))
    AND start_date = :start_date AND end_date = :end_date AND payment_token = :payment_token
    AND payment_amount = :payment_amount AND rent_period_sec = :rent_period_sec
    AND security_deposit = :security_deposit AND legal_document_hash = :legal_document_hash
    AND terms_version = :terms_version
    AND (:deadline IS NULL OR (deadline = :deadline AND offer_id IS NULL))
ORDER BY created_at, lease_id
LIMIT 1;

-- statement: leasing_jobs_lease_link
-- doc: The agreement was minted by somebody else's transaction.
-- params: lease_id text, lessee address, nft_token_id u256, block_number i64, transaction_hash hash
-- params: now time
UPDATE leases
SET status = 'active', error = NULL, lessee = :lessee, nft_token_id = :nft_token_id,
    block_number = :block_number, transaction_hash = :transaction_hash, updated_at = :now
WHERE lease_id = :lease_id AND nft_token_id IS NULL;

-- statement: leasing_jobs_lease_adopt
-- doc: An agreement for a lease that was made without us.
-- params: lease_id text, asset_id text, chain_id i64, contract_address address, lessor address
-- params: lessee address, start_date time, end_date time, payment_token address
-- params: payment_amount u256, payment_schedule text, rent_period_sec i64, security_deposit u256
-- params: currency text, legal_document_hash hash, terms_version i64, agreement json, metadata json
-- params: metadata_hash hash, nft_token_id u256, block_number i64, transaction_hash hash, now time
INSERT INTO leases
    (lease_id, asset_id, chain_id, contract_address, lessor, lessee, start_date, end_date,
     deadline, payment_token, payment_amount, payment_schedule, rent_period_sec, security_deposit,
     currency, legal_document_hash, terms_version, agreement, metadata, metadata_hash,
     restrictions, status, nft_token_id, block_number, transaction_hash, created_at, updated_at)
VALUES (:lease_id, :asset_id, :chain_id, :contract_address, :lessor, :lessee, :start_date,
        :end_date, :end_date, :payment_token, :payment_amount, :payment_schedule,
        :rent_period_sec, :security_deposit, :currency, :legal_document_hash, :terms_version,
        :agreement, :metadata, :metadata_hash, '[]', 'active', :nft_token_id, :block_number,
        :transaction_hash, :now, :now)
ON CONFLICT (lease_id) DO NOTHING;

-- statement: leasing_jobs_offer_link
-- doc: The agreement was offered by somebody else's transaction.
-- params: lease_id text, offer_id u256, now time
UPDATE leases SET offer_id = :offer_id, error = NULL, updated_at = :now
WHERE lease_id = :lease_id AND offer_id IS NULL;

-- statement: leasing_jobs_offer_find
-- doc: Whether the chain has an offer, and whose agreement it is.
-- params: chain_id i64, marketplace address, offer_id u256
-- columns: status text, lease_id text?
SELECT o.status, (SELECT MIN(l.lease_id) FROM leases l
                  WHERE l.chain_id = o.chain_id AND l.offer_id = o.offer_id) AS lease_id
FROM lease_offers o
WHERE o.chain_id = :chain_id AND o.marketplace = :marketplace AND o.offer_id = :offer_id;

-- statement: leasing_jobs_bid_find
-- doc: Who placed a bid.
-- params: chain_id i64, marketplace address, offer_id u256, bid_index u256
-- columns: bidder address
SELECT bidder FROM lease_bids
WHERE chain_id = :chain_id AND marketplace = :marketplace AND offer_id = :offer_id
    AND bid_index = :bid_index;

-- statement: leasing_jobs_check_put
-- doc: What became of the check of a bid's signature; a later check counts.
-- params: chain_id i64, marketplace address, offer_id u256, bid_index u256, bidder address
-- params: signature bytes, signature_valid bool, detail text, now time
INSERT INTO lease_bid_checks
    (chain_id, marketplace, offer_id, bid_index, bidder, signature, signature_valid, detail,
     checked_at)
VALUES (:chain_id, :marketplace, :offer_id, :bid_index, :bidder, :signature, :signature_valid,
        :detail, :now)
ON CONFLICT (chain_id, marketplace, offer_id, bid_index)
DO UPDATE SET bidder = EXCLUDED.bidder, signature = EXCLUDED.signature,
    signature_valid = EXCLUDED.signature_valid, detail = EXCLUDED.detail,
    checked_at = EXCLUDED.checked_at;

-- statement: leasing_jobs_leases_end
-- doc: Leases whose time is over are completed; those that both parties ended are terminated.
-- params: now time
UPDATE leases
SET status = CASE WHEN lessor_termination IS NOT NULL AND lessee_termination IS NOT NULL
                  THEN 'terminated' ELSE 'completed' END,
    updated_at = :now
WHERE status = 'active'
    AND (end_date <= :now
         OR (lessor_termination IS NOT NULL AND lessee_termination IS NOT NULL));

-- statement: leasing_jobs_leases_forget
-- doc: Agreements that were made for an NFT which left the chain in a reorganisation.
-- params: chain_id i64, factory address
DELETE FROM leases
WHERE chain_id = :chain_id AND contract_address = :factory AND lease_id LIKE 'chain-%'
    AND nft_token_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM lease_nfts n
                    WHERE n.chain_id = leases.chain_id AND n.factory = :factory
                        AND n.token_id = leases.nft_token_id);

-- statement: leasing_jobs_leases_unlink
-- doc: Agreements whose NFT left the chain in a reorganisation after a job had linked it.
-- params: chain_id i64, factory address, now time
UPDATE leases
SET nft_token_id = NULL, block_number = NULL, transaction_hash = NULL,
    lessee = CASE WHEN offer_id IS NULL THEN lessee ELSE NULL END,
    status = CASE WHEN lessor_signature IS NULL AND lessee_signature IS NULL
                  THEN 'draft' ELSE 'pending_signatures' END,
    updated_at = :now
WHERE chain_id = :chain_id AND contract_address = :factory AND lease_id NOT LIKE 'chain-%'
    AND nft_token_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM lease_nfts n
                    WHERE n.chain_id = leases.chain_id AND n.factory = :factory
                        AND n.token_id = leases.nft_token_id);

-- statement: leasing_jobs_offers_unlink
-- doc: Agreements whose offer left the chain in a reorganisation after a job had linked it.
-- params: chain_id i64, factory address, marketplace address, now time
UPDATE leases SET offer_id = NULL, updated_at = :now
WHERE chain_id = :chain_id AND contract_address = :factory AND offer_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM lease_offers o
                    WHERE o.chain_id = leases.chain_id AND o.marketplace = :marketplace
                        AND o.offer_id = leases.offer_id);
