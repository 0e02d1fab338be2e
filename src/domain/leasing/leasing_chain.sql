-- statement: leasing_chain_type_put
-- doc: An asset type as the registry has it; a second creation overwrites.
-- params: chain_id i64, registry address, type_hash hash, name_hash hash, required_lease_keys json
-- params: block_number i64, transaction_hash hash
INSERT INTO onchain_types
    (chain_id, registry, type_hash, name_hash, required_lease_keys, block_number, transaction_hash)
VALUES (:chain_id, :registry, :type_hash, :name_hash, :required_lease_keys, :block_number,
        :transaction_hash)
ON CONFLICT (chain_id, registry, type_hash)
DO UPDATE SET name_hash = EXCLUDED.name_hash, required_lease_keys = EXCLUDED.required_lease_keys,
    block_number = EXCLUDED.block_number, transaction_hash = EXCLUDED.transaction_hash;

-- statement: leasing_chain_type_activate
-- doc: The type that somebody asked for is on chain.
-- params: chain_id i64, type_hash hash, block_number i64, transaction_hash hash, now time
UPDATE asset_types
SET status = 'active', error = NULL, block_number = :block_number,
    transaction_hash = :transaction_hash,
    updated_at = CASE WHEN :now > updated_at THEN :now ELSE updated_at END
WHERE chain_id = :chain_id AND type_hash = :type_hash;

-- statement: leasing_chain_metadata_put
-- doc: A metadata pair.
-- params: chain_id i64, contract address, namespace hash, meta_key text, meta_value text
-- params: block_number i64, log_index i64
INSERT INTO onchain_metadata
    (chain_id, contract, namespace, meta_key, meta_value, block_number, log_index)
VALUES (:chain_id, :contract, :namespace, :meta_key, :meta_value, :block_number, :log_index)
ON CONFLICT (chain_id, contract, namespace, meta_key)
DO UPDATE SET meta_value = EXCLUDED.meta_value, block_number = EXCLUDED.block_number,
    log_index = EXCLUDED.log_index;

-- statement: leasing_chain_metadata_remove
-- doc: Removes a metadata pair.
-- params: chain_id i64, contract address, namespace hash, meta_key text
DELETE FROM onchain_metadata
WHERE chain_id = :chain_id AND contract = :contract AND namespace = :namespace
    AND meta_key = :meta_key;

-- statement: leasing_chain_metadata_list
-- doc: All pairs of a namespace.
-- params: chain_id i64, contract address, namespace hash
-- columns: meta_key text, meta_value text
SELECT meta_key, meta_value FROM onchain_metadata
WHERE chain_id = :chain_id AND contract = :contract AND namespace = :namespace
ORDER BY meta_key;

-- statement: leasing_chain_asset_find
-- doc: The asset that was asked for under an id.
-- params: asset_id text
-- columns: status text, metadata_hash hash
SELECT status, metadata_hash FROM assets WHERE asset_id = :asset_id;

-- statement: leasing_chain_asset_activate
-- doc: The asset that somebody asked for is on chain.
-- params: asset_id text, onchain_id u256, token_address address, issuer address?, block_number i64
-- params: transaction_hash hash, now time
UPDATE assets
SET status = 'active', error = NULL, onchain_id = :onchain_id, token_address = :token_address,
    issuer = :issuer, block_number = :block_number, transaction_hash = :transaction_hash,
    updated_at = CASE WHEN :now > updated_at THEN :now ELSE updated_at END
WHERE asset_id = :asset_id AND status IN ('registered', 'failed');

-- statement: leasing_chain_asset_insert
-- doc: An asset that was registered by somebody else, rebuilt from its on-chain metadata.
-- params: asset_id text, chain_id i64, name text, description text, asset_type text
-- params: specifications json, metadata json, metadata_hash hash, total_supply u256
-- params: token_recipient address, contract_address address, onchain_id u256, token_address address
-- params: block_number i64, transaction_hash hash, now time
INSERT INTO assets
    (asset_id, chain_id, name, description, asset_type, specifications, metadata, metadata_hash,
     token_name, token_symbol, total_supply, token_recipient, status, contract_address, onchain_id,
     token_address, block_number, transaction_hash, created_at, updated_at)
VALUES (:asset_id, :chain_id, :name, :description, :asset_type, :specifications, :metadata,
        :metadata_hash, '', '', :total_supply, :token_recipient, 'active', :contract_address,
        :onchain_id, :token_address, :block_number, :transaction_hash, :now, :now);

-- statement: leasing_chain_asset_token
-- doc: The token of an on-chain asset.
-- params: chain_id i64, contract_address address, onchain_id u256
-- columns: token_address address
SELECT token_address FROM assets
WHERE chain_id = :chain_id AND contract_address = :contract_address AND onchain_id = :onchain_id;

-- statement: leasing_chain_holder_get
-- doc: What an account holds now.
-- params: chain_id i64, token address, holder address
-- columns: balance u256
SELECT balance FROM token_holders
WHERE chain_id = :chain_id AND token = :token AND holder = :holder;

-- statement: leasing_chain_holder_put
-- doc: Sets what an account holds.
-- params: chain_id i64, token address, holder address, balance u256
INSERT INTO token_holders (chain_id, token, holder, balance)
VALUES (:chain_id, :token, :holder, :balance)
ON CONFLICT (chain_id, token, holder) DO UPDATE SET balance = EXCLUDED.balance;

-- statement: leasing_chain_holder_remove
-- doc: An account that holds nothing is no holder.
-- params: chain_id i64, token address, holder address
DELETE FROM token_holders WHERE chain_id = :chain_id AND token = :token AND holder = :holder;

-- statement: leasing_chain_holders_list
-- doc: All holders of a token now, by address.
-- params: chain_id i64, token address
-- columns: holder address, balance u256
SELECT holder, balance FROM token_holders
WHERE chain_id = :chain_id AND token = :token ORDER BY holder;

-- statement: leasing_chain_balance_put
-- doc: The balance of an account after a log; a transfer to oneself writes it twice.
-- params: chain_id i64, token address, holder address, block_number i64, log_index i64
-- params: balance u256
INSERT INTO token_balances (chain_id, token, holder, block_number, log_index, balance)
VALUES (:chain_id, :token, :holder, :block_number, :log_index, :balance)
ON CONFLICT (chain_id, token, holder, block_number, log_index)
DO UPDATE SET balance = EXCLUDED.balance;

-- statement: leasing_chain_nft_put
-- doc: A lease NFT: first its transfer to the lessee, then what it is about.
-- params: chain_id i64, factory address, token_id u256, lessor address, lessee address
-- params: owner address, onchain_asset_id u256, block_number i64, log_index i64
-- params: transaction_hash hash
INSERT INTO lease_nfts
    (chain_id, factory, token_id, lessor, lessee, owner, onchain_asset_id, block_number,
     log_index, transaction_hash)
VALUES (:chain_id, :factory, :token_id, :lessor, :lessee, :owner, :onchain_asset_id,
        :block_number, :log_index, :transaction_hash)
ON CONFLICT (chain_id, factory, token_id)
DO UPDATE SET lessor = EXCLUDED.lessor, lessee = EXCLUDED.lessee,
    onchain_asset_id = EXCLUDED.onchain_asset_id;

-- statement: leasing_chain_nft_owner
-- doc: A lease NFT changed hands.
-- params: chain_id i64, factory address, token_id u256, owner address
UPDATE lease_nfts SET owner = :owner
WHERE chain_id = :chain_id AND factory = :factory AND token_id = :token_id;

-- statement: leasing_chain_lease_minted
-- doc: The agreement whose transaction minted an NFT is active.
-- params: intent_id text, nft_token_id u256, block_number i64, transaction_hash hash, now time
UPDATE leases
SET status = 'active', error = NULL, nft_token_id = :nft_token_id, block_number = :block_number,
    transaction_hash = :transaction_hash,
    updated_at = CASE WHEN :now > updated_at THEN :now ELSE updated_at END
WHERE intent_id = :intent_id AND status IN ('draft', 'pending_signatures') AND offer_id IS NULL;

-- statement: leasing_chain_lease_offered
-- doc: The agreement whose transaction posted an offer knows its id.
-- params: intent_id text, offer_id u256, now time
UPDATE leases SET offer_id = :offer_id, error = NULL,
    updated_at = CASE WHEN :now > updated_at THEN :now ELSE updated_at END
WHERE intent_id = :intent_id AND offer_id IS NULL AND nft_token_id IS NULL;

-- statement: leasing_chain_lease_accepted
-- doc: An offered agreement found its lessee.
-- params: chain_id i64, offer_id u256, lessee address, nft_token_id u256, block_number i64
-- params: transaction_hash hash, now time
UPDATE leases
SET status = 'active', error = NULL, lessee = :lessee, nft_token_id = :nft_token_id,
    block_number = :block_number, transaction_hash = :transaction_hash,
    updated_at = CASE WHEN :now > updated_at THEN :now ELSE updated_at END
WHERE chain_id = :chain_id AND offer_id = :offer_id AND status IN ('draft', 'pending_signatures');

-- statement: leasing_chain_lease_by_nft
-- doc: The agreement of an NFT.
-- params: chain_id i64, nft_token_id u256
-- columns: lease_id text
SELECT lease_id FROM leases WHERE chain_id = :chain_id AND nft_token_id = :nft_token_id;

-- statement: leasing_chain_offer_put
-- doc: A lease offer.
-- params: chain_id i64, marketplace address, offer_id u256, lessor address, onchain_asset_id u256
-- params: block_number i64, transaction_hash hash
INSERT INTO lease_offers
    (chain_id, marketplace, offer_id, lessor, onchain_asset_id, status, block_number,
     transaction_hash)
VALUES (:chain_id, :marketplace, :offer_id, :lessor, :onchain_asset_id, 'active', :block_number,
        :transaction_hash);

-- statement: leasing_chain_offer_get
-- doc: A lease offer.
-- params: chain_id i64, marketplace address, offer_id u256
-- columns: onchain_asset_id u256, status text
SELECT onchain_asset_id, status FROM lease_offers
WHERE chain_id = :chain_id AND marketplace = :marketplace AND offer_id = :offer_id;

-- statement: leasing_chain_offer_end
-- doc: An offer was accepted or cancelled.
-- params: chain_id i64, marketplace address, offer_id u256, status text
UPDATE lease_offers SET status = :status
WHERE chain_id = :chain_id AND marketplace = :marketplace AND offer_id = :offer_id;

-- statement: leasing_chain_bid_put
-- doc: A bid with its escrowed funds.
-- params: chain_id i64, marketplace address, offer_id u256, bid_index u256, bidder address
-- params: funds u256, block_number i64, transaction_hash hash
INSERT INTO lease_bids
    (chain_id, marketplace, offer_id, bid_index, bidder, funds, status, block_number,
     transaction_hash)
VALUES (:chain_id, :marketplace, :offer_id, :bid_index, :bidder, :funds, 'active', :block_number,
        :transaction_hash);

-- statement: leasing_chain_bid_get
-- doc: One bid.
-- params: chain_id i64, marketplace address, offer_id u256, bid_index u256
-- columns: bidder address, funds u256, status text
SELECT bidder, funds, status FROM lease_bids
WHERE chain_id = :chain_id AND marketplace = :marketplace AND offer_id = :offer_id
    AND bid_index = :bid_index;

-- statement: leasing_chain_bids_active
-- doc: Active bids of an offer.
-- params: chain_id i64, marketplace address, offer_id u256
-- columns: bid_index u256, bidder address, funds u256
SELECT bid_index, bidder, funds FROM lease_bids
WHERE chain_id = :chain_id AND marketplace = :marketplace AND offer_id = :offer_id
    AND status = 'active'
ORDER BY bid_index;

-- statement: leasing_chain_bid_end
-- doc: A bid was accepted, refunded or withdrawn.
-- params: chain_id i64, marketplace address, offer_id u256, bid_index u256, status text
UPDATE lease_bids SET status = :status
WHERE chain_id = :chain_id AND marketplace = :marketplace AND offer_id = :offer_id
    AND bid_index = :bid_index AND status = 'active';

-- statement: leasing_chain_round_put
-- doc: A revenue round at the moment of acceptance.
-- params: chain_id i64, round_id i64, token address, onchain_asset_id u256, lease_token_id u256
-- params: total_amount u256, supply u256, snapshot_block i64, snapshot_log_index i64
-- params: remainder u256, transaction_hash hash, status text, now time
INSERT INTO revenue_rounds
    (chain_id, round_id, token, onchain_asset_id, lease_token_id, total_amount, supply,
     snapshot_block, snapshot_log_index, remainder, status, transaction_hash, created_at)
VALUES (:chain_id, :round_id, :token, :onchain_asset_id, :lease_token_id, :total_amount, :supply,
        :snapshot_block, :snapshot_log_index, :remainder, :status, :transaction_hash, :now);

-- statement: leasing_chain_round_find
-- doc: The round of a lease that this transaction opened.
-- params: chain_id i64, lease_token_id u256, transaction_hash hash
-- columns: round_id i64, token address
SELECT r.round_id, r.token FROM revenue_rounds r
WHERE r.chain_id = :chain_id AND r.lease_token_id = :lease_token_id
    AND r.transaction_hash = :transaction_hash;

-- statement: leasing_chain_round_open
-- doc: The contract told how the round was shared.
-- params: chain_id i64, round_id i64, supply u256, remainder u256, remainder_to address
UPDATE revenue_rounds
SET supply = :supply, remainder = :remainder, remainder_to = :remainder_to, status = 'open'
WHERE chain_id = :chain_id AND round_id = :round_id;

-- statement: leasing_chain_rounds_close
-- doc: A round whose claims are all paid is closed.
-- params: chain_id i64, holder address
UPDATE revenue_rounds SET status = 'closed'
WHERE chain_id = :chain_id AND status = 'open'
    AND round_id IN (SELECT c.round_id FROM revenue_claims c
                     WHERE c.chain_id = :chain_id AND c.holder = :holder)
    AND NOT EXISTS (SELECT 1 FROM revenue_claims o
                    WHERE o.chain_id = revenue_rounds.chain_id
                        AND o.round_id = revenue_rounds.round_id AND NOT o.claimed);

-- statement: leasing_chain_claim_put
-- doc: A holder's share of a round.
-- params: chain_id i64, round_id i64, holder address, token_balance u256, claim_amount u256
INSERT INTO revenue_claims
    (chain_id, round_id, holder, token_balance, claim_amount, claimed)
VALUES (:chain_id, :round_id, :holder, :token_balance, :claim_amount, FALSE);

-- statement: leasing_chain_claims_open
-- doc: What a holder has not been paid yet.
-- params: chain_id i64, holder address
-- columns: round_id i64, claim_amount u256
SELECT round_id, claim_amount FROM revenue_claims
WHERE chain_id = :chain_id AND holder = :holder AND NOT claimed ORDER BY round_id;

-- statement: leasing_chain_claims_pay
-- doc: The contract paid everything that it owed a holder.
-- params: chain_id i64, holder address, transaction_hash hash, claimed_at time
UPDATE revenue_claims
SET claimed = TRUE, claimed_at = :claimed_at, transaction_hash = :transaction_hash
WHERE chain_id = :chain_id AND holder = :holder AND NOT claimed;
