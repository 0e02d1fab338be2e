-- Sales: payments on their way to the chain, and the answers that they bought; see paywall.h.

-- statement: paywall_sale_insert
-- doc: what a payment is for, with the answer that is held back
-- params: chain_id i64, asset address, payer address, nonce hash, operation text, detail json
-- params: intent_id text, status i64, content_type text?, location text?, body bytes?, now time
INSERT INTO x402_sales (chain_id, asset, payer, nonce, operation, detail, intent_id, status,
    content_type, location, body, created_at)
VALUES (:chain_id, :asset, :payer, :nonce, :operation, :detail, :intent_id, :status,
    :content_type, :location, :body, :now);

-- statement: paywall_sale_find
-- doc: the sale of a payment
-- params: chain_id i64, asset address, payer address, nonce hash
-- columns: operation text, detail json, intent_id text, pay_to address, amount u256
-- columns: valid_before u256
SELECT s.operation, s.detail, s.intent_id, p.pay_to, p.amount, p.valid_before
FROM x402_sales s
JOIN x402_payments p ON p.chain_id = s.chain_id AND p.asset = s.asset AND p.payer = s.payer
    AND p.nonce = s.nonce
WHERE s.chain_id = :chain_id AND s.asset = :asset AND s.payer = :payer AND s.nonce = :nonce;

-- statement: paywall_answer_find
-- doc: the answer that a payment has bought
-- params: chain_id i64, asset address, payer address, nonce hash
-- columns: status i64, content_type text?, location text?, body bytes?
SELECT status, content_type, location, body FROM x402_sales
WHERE chain_id = :chain_id AND asset = :asset AND payer = :payer AND nonce = :nonce;

-- statement: paywall_open_list
-- doc: payments whose settlement nobody may be waiting for any more, oldest first
-- params: chain_id i64, before time, max_rows i64
-- columns: asset address, payer address, nonce hash
SELECT asset, payer, nonce FROM x402_payments
WHERE state IN (2, 3) AND chain_id = :chain_id AND reserved_at < :before
ORDER BY reserved_at, nonce LIMIT :max_rows;

-- statement: paywall_answers_purge
-- doc: forgets the answers of old sales
-- params: before time, max_rows i64
UPDATE x402_sales SET body = NULL
WHERE (chain_id, asset, payer, nonce) IN (
    SELECT chain_id, asset, payer, nonce FROM x402_sales
    WHERE body IS NOT NULL AND created_at < :before ORDER BY created_at LIMIT :max_rows);
