-- Payments that were taken for one run of a handler: see x402_payments.h.

-- statement: x402_payments_reserve
-- doc: takes a payment that nobody has taken; changes no row when somebody has
-- params: chain_id i64, asset address, payer address, nonce hash, pay_to address, amount u256
-- params: valid_before u256, resource text, request_hash hash, payload json, now time
INSERT INTO x402_payments (chain_id, asset, payer, nonce, pay_to, amount, valid_before, resource,
    request_hash, payload, state, reserved_at)
VALUES (:chain_id, :asset, :payer, :nonce, :pay_to, :amount, :valid_before, :resource,
    :request_hash, :payload, 1, :now)
ON CONFLICT (chain_id, asset, payer, nonce) DO NOTHING;

-- statement: x402_payments_get
-- doc: what is known of a payment
-- params: chain_id i64, asset address, payer address, nonce hash
-- columns: state i64, request_hash hash, reason text?, transaction_hash hash?, reserved_at time
-- columns: ended_at time?
SELECT state, request_hash, reason, transaction_hash, reserved_at, ended_at FROM x402_payments
WHERE chain_id = :chain_id AND asset = :asset AND payer = :payer AND nonce = :nonce;

-- statement: x402_payments_settling
-- doc: the handler has run: from now on the payment is settled, whoever goes on
-- params: chain_id i64, asset address, payer address, nonce hash
UPDATE x402_payments SET state = 2
WHERE chain_id = :chain_id AND asset = :asset AND payer = :payer AND nonce = :nonce AND state = 1;

-- statement: x402_payments_pending
-- doc: remembers the transaction of a payment whose receipt is not there yet
-- params: chain_id i64, asset address, payer address, nonce hash, transaction_hash hash
UPDATE x402_payments SET state = 3, transaction_hash = :transaction_hash
WHERE chain_id = :chain_id AND asset = :asset AND payer = :payer AND nonce = :nonce
    AND state IN (2, 3);

-- statement: x402_payments_settled
-- doc: ends a payment with the transaction that moved the money
-- params: chain_id i64, asset address, payer address, nonce hash, transaction_hash hash, now time
UPDATE x402_payments SET state = 4, transaction_hash = :transaction_hash, ended_at = :now
WHERE chain_id = :chain_id AND asset = :asset AND payer = :payer AND nonce = :nonce
    AND state IN (2, 3);

-- statement: x402_payments_failed
-- doc: ends a payment that moved nothing; the transaction that was tried stays
-- params: chain_id i64, asset address, payer address, nonce hash, reason text, now time
UPDATE x402_payments SET state = 5, reason = :reason, ended_at = :now
WHERE chain_id = :chain_id AND asset = :asset AND payer = :payer AND nonce = :nonce
    AND state IN (1, 2, 3);

-- statement: x402_payments_expire
-- doc: ends some payments whose handler never answered and that no chain takes any more
-- params: before u256, reason text, now time, limit i64
UPDATE x402_payments SET state = 5, reason = :reason, ended_at = :now
WHERE (chain_id, asset, payer, nonce) IN (
    SELECT chain_id, asset, payer, nonce FROM x402_payments
    WHERE state = 1 AND valid_before < :before ORDER BY valid_before LIMIT :limit)
    AND state = 1;
