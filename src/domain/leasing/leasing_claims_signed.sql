-- Statements of leasing_claims_signed.c: requests for revenue that holders signed.

-- statement: leasing_claims_signed_take
-- doc: The row of a nonce, before anybody looks for it; nothing when there is one.
-- params: chain_id i64, marketplace address, holder address, nonce hash, deadline time, now time
INSERT INTO claim_authorizations (chain_id, marketplace, holder, nonce, deadline, created_at)
VALUES (:chain_id, :marketplace, :holder, :nonce, :deadline, :now)
ON CONFLICT (chain_id, marketplace, holder, nonce) DO NOTHING;

-- statement: leasing_claims_signed_intent
-- doc: The transaction that a nonce was good for.
-- params: chain_id i64, marketplace address, holder address, nonce hash, intent_id text
UPDATE claim_authorizations SET intent_id = :intent_id
WHERE chain_id = :chain_id AND marketplace = :marketplace AND holder = :holder AND nonce = :nonce;

-- statement: leasing_claims_signed_get
-- doc: What became of a nonce.
-- params: chain_id i64, marketplace address, holder address, nonce hash
-- columns: deadline time, created_at time, intent_id text?, tx_state i64?, tx_hash hash?
-- columns: tx_code text?, tx_error text?
SELECT a.deadline, a.created_at, a.intent_id, i.state AS tx_state, i.transaction_hash AS tx_hash,
       i.error_code AS tx_code, i.error AS tx_error
FROM claim_authorizations a LEFT JOIN relay_intents i ON i.intent_id = a.intent_id
WHERE a.chain_id = :chain_id AND a.marketplace = :marketplace AND a.holder = :holder
    AND a.nonce = :nonce;
