-- A statement about one intent finds it by its id. `state + 0` keeps it from the partial index of
-- open intents: a server that has planned it while the table was empty would walk through that
-- index for each of them when it is full (decision 0023).

-- statement: relay_wallet_get
-- doc: The next nonce of a wallet; locked until the transaction ends.
-- params: chain_id i64, address address
-- columns: next_nonce i64
SELECT next_nonce FROM relay_wallets WHERE chain_id = :chain_id AND address = :address
-- postgres
FOR NO KEY UPDATE
-- both
;

-- statement: relay_wallet_next
-- doc: The next nonce of a wallet, not locked.
-- params: chain_id i64, address address
-- columns: next_nonce i64
SELECT next_nonce FROM relay_wallets WHERE chain_id = :chain_id AND address = :address;

-- statement: relay_wallet_put
-- doc: Raises the next nonce of a wallet; a wallet without a row gets one.
-- params: chain_id i64, address address, next_nonce i64, now time
INSERT INTO relay_wallets (chain_id, address, next_nonce, updated_at)
VALUES (:chain_id, :address, :next_nonce, :now)
ON CONFLICT (chain_id, address)
DO UPDATE SET next_nonce = EXCLUDED.next_nonce, updated_at = EXCLUDED.updated_at
WHERE relay_wallets.next_nonce < EXCLUDED.next_nonce;

-- statement: relay_wallet_put_pooled
-- doc: Says whether a wallet shares work.
-- params: chain_id i64, address address, pooled bool
UPDATE relay_wallets SET pooled = :pooled
WHERE chain_id = :chain_id AND address = :address AND pooled <> :pooled;

-- statement: relay_wallet_put_balance
-- doc: What a wallet holds, and whether that is too little for more work.
-- params: chain_id i64, address address, balance u256, low bool, now time
UPDATE relay_wallets SET balance = :balance, low = :low, balance_at = :now
WHERE chain_id = :chain_id AND address = :address;

-- statement: relay_wallet_put_low
-- doc: A node found too little in a wallet.
-- params: chain_id i64, address address
UPDATE relay_wallets SET low = TRUE
WHERE chain_id = :chain_id AND address = :address AND NOT low;

-- statement: relay_wallets_list
-- doc: The wallets of a chain with what they have to do.
-- params: chain_id i64
-- columns: address address, next_nonce i64, pooled bool, low bool, balance u256?, balance_at time?
-- columns: open i64
SELECT w.address, w.next_nonce, w.pooled, w.low, w.balance, w.balance_at,
       COALESCE(o.open, 0) AS open
FROM relay_wallets w LEFT JOIN (
    SELECT wallet, COUNT(*) AS open FROM relay_intents
    WHERE chain_id = :chain_id AND state < 4 GROUP BY wallet
) o ON o.wallet = w.address
WHERE w.chain_id = :chain_id
ORDER BY w.address;

-- statement: relay_pool_waiting
-- doc: Queued intents of the pool that have no wallet yet, or one that runs low, urgent ones first
-- doc: (as in relay_queued_list).
-- params: chain_id i64, aged time, aged_twice time, max_rows i64
-- columns: intent_id text
SELECT i.intent_id FROM relay_intents i
LEFT JOIN relay_wallets w ON w.chain_id = i.chain_id AND w.address = i.wallet
WHERE i.chain_id = :chain_id AND i.state = 1 AND (i.pool = 1 OR (i.pool = 2 AND w.low))
ORDER BY CASE WHEN i.priority = 3 OR i.created_at <= :aged_twice
                  OR (i.priority = 2 AND i.created_at <= :aged) THEN 3
              WHEN i.priority = 2 OR i.created_at <= :aged THEN 2 ELSE 1 END DESC, i.seq
LIMIT :max_rows;

-- statement: relay_pool_assign
-- doc: Gives a queued intent of the pool to a wallet.
-- params: intent_id text, wallet address, now time
UPDATE relay_intents SET wallet = :wallet, pool = 2, try_at = :now
WHERE intent_id = :intent_id AND state + 0 = 1 AND pool > 0 AND wallet <> :wallet;

-- statement: relay_refills_since
-- doc: What was asked of the treasury since a time and has not failed; open ones whenever.
-- params: chain_id i64, purpose text, since time
-- columns: to_address address?, value u256, state i64
SELECT to_address, value, state FROM relay_intents
WHERE chain_id = :chain_id AND purpose = :purpose AND state <= 4
    AND (state < 4 OR created_at >= :since);

-- statement: relay_intent_insert
-- doc: Writes an intent; an existing key changes nothing.
-- params: intent_id text, intent_key text, content_hash hash, chain_id i64, wallet address
-- params: to_address address?, value u256, data bytes, role text, purpose text, gas_limit i64
-- params: after_id text?, deadline time?, priority i64, pool i64, now time
INSERT INTO relay_intents
    (intent_id, intent_key, content_hash, chain_id, wallet, to_address, value, data, role, purpose,
     gas_limit, after_id, deadline, priority, pool, state, final, attempts, try_at, created_at,
     updated_at)
VALUES (:intent_id, :intent_key, :content_hash, :chain_id, :wallet, :to_address, :value, :data,
        :role, :purpose, :gas_limit, :after_id, :deadline, :priority, :pool, 1, FALSE, 0, :now,
        :now, :now)
ON CONFLICT (intent_key) DO NOTHING;

-- statement: relay_intent_by_key
-- doc: The identity of the intent with a key.
-- params: intent_key text
-- columns: intent_id text, content_hash hash
SELECT intent_id, content_hash FROM relay_intents WHERE intent_key = :intent_key;

-- statement: relay_intent_get
-- doc: One intent.
-- params: intent_id text
-- columns: intent_id text, intent_key text, chain_id i64, wallet address, to_address address?
-- columns: value u256, purpose text, state i64, final bool, nonce i64?, transaction_hash hash?
-- columns: attempts i64, priority i64, cancelling bool, pool i64, block_number i64?
-- columns: block_hash hash?, gas_used i64?, gas_price u256?, contract address?
-- columns: error_code text?, error text?
-- columns: created_at time, updated_at time
SELECT intent_id, intent_key, chain_id, wallet, to_address, value, purpose, state, final, nonce,
       transaction_hash, attempts, priority, cancelling, pool, block_number, block_hash, gas_used,
       gas_price, contract, error_code, error, created_at, updated_at
FROM relay_intents WHERE intent_id = :intent_id;

-- statement: relay_intent_lock
-- doc: A queued intent; locked until the transaction ends.
-- params: intent_id text
-- columns: intent_id text, intent_key text, chain_id i64, wallet address, to_address address?
-- columns: value u256, purpose text, state i64, final bool, nonce i64?, transaction_hash hash?
-- columns: attempts i64, priority i64, cancelling bool, pool i64, block_number i64?
-- columns: block_hash hash?, gas_used i64?, gas_price u256?, contract address?
-- columns: error_code text?, error text?
-- columns: created_at time, updated_at time
SELECT intent_id, intent_key, chain_id, wallet, to_address, value, purpose, state, final, nonce,
       transaction_hash, attempts, priority, cancelling, pool, block_number, block_hash, gas_used,
       gas_price, contract, error_code, error, created_at, updated_at
FROM relay_intents WHERE intent_id = :intent_id AND state + 0 = 1
-- postgres
FOR NO KEY UPDATE
-- both
;

-- statement: relay_intents_list
-- doc: Intents below a position, newest first; state 0 means any, as do an empty purpose and NULL.
-- params: state i64, open_only bool, purpose text, wallet address?, transaction_hash hash?
-- params: below_id text, max_rows i64
-- columns: intent_id text, intent_key text, chain_id i64, wallet address, to_address address?
-- columns: value u256, purpose text, state i64, final bool, nonce i64?, transaction_hash hash?
-- columns: attempts i64, priority i64, cancelling bool, pool i64, block_number i64?
-- columns: block_hash hash?, gas_used i64?, gas_price u256?, contract address?
-- columns: error_code text?, error text?
-- columns: created_at time, updated_at time
SELECT intent_id, intent_key, chain_id, wallet, to_address, value, purpose, state, final, nonce,
       transaction_hash, attempts, priority, cancelling, pool, block_number, block_hash, gas_used,
       gas_price, contract, error_code, error, created_at, updated_at
FROM relay_intents
WHERE (:state = 0 OR state = :state)
    AND (NOT :open_only OR state < 4)
    AND (:purpose = '' OR purpose = :purpose)
    AND (:wallet IS NULL OR wallet = :wallet)
    AND (:transaction_hash IS NULL OR intent_id IN (SELECT t.intent_id FROM relay_attempts t
                                                    WHERE t.transaction_hash = :transaction_hash))
    AND (:below_id = '' OR seq < (SELECT b.seq FROM relay_intents b WHERE b.intent_id = :below_id))
ORDER BY seq DESC
LIMIT :max_rows;

-- statement: relay_intent_by_hash
-- doc: The intent that a transaction hash belongs to.
-- params: transaction_hash hash
-- columns: intent_id text
SELECT intent_id FROM relay_attempts WHERE transaction_hash = :transaction_hash;

-- statement: relay_queued_list
-- doc: Queued intents to look at now, one wallet after the other in turns: those of each wallet in
-- doc: order of rank and age, as many as may still be signed. The rank of an intent is its
-- doc: priority, one more since it is `aged`, two more since it is `aged_twice`. What they wait for
-- doc: is told by its state; `behind` says that something submitted before is still under way, or
-- doc: was mined or fell out since the intent was looked at last. A time far ahead was written
-- doc: before the clock was put back. With an owner, only of wallets that it holds and, if it
-- doc: watches, of those that nobody has claimed.
-- params: owner text, watches bool, chain_id i64, now time, far time, aged time, aged_twice time
-- params: inflight_max i64, max_rows i64
-- columns: intent_id text, wallet address, to_address address?, value u256, data bytes, role text
-- columns: purpose text, gas_limit i64, deadline time?, priority i64, tries i64
-- columns: after_state i64?, after_id text?, behind bool
SELECT r.intent_id, r.wallet, r.to_address, r.value, r.data, r.role, r.purpose, r.gas_limit,
       r.deadline, r.priority, r.tries, r.after_state, r.after_id,
       (COALESCE(r.seq > (SELECT MIN(e.seq) FROM relay_intents e
                          WHERE e.chain_id = :chain_id AND e.state IN (2, 3)), FALSE)
        OR (r.tries > 0
            AND EXISTS (SELECT 1 FROM relay_intents e
                        WHERE e.chain_id = :chain_id AND NOT e.final
                            AND e.block_number IS NOT NULL AND e.seq < r.seq
                            AND e.updated_at >= r.updated_at))) AS behind
FROM (
    SELECT i.seq, i.intent_id, i.wallet, i.to_address, i.value, i.data, i.role, i.purpose,
           i.gas_limit, i.updated_at, i.deadline, i.priority, i.tries, a.state AS after_state,
           i.after_id, i.rank,
           ROW_NUMBER() OVER (PARTITION BY i.wallet ORDER BY i.rank DESC, i.seq) AS place
    FROM (
        SELECT q.*, CASE WHEN q.priority = 3 OR q.created_at <= :aged_twice
                             OR (q.priority = 2 AND q.created_at <= :aged) THEN 3
                         WHEN q.priority = 2 OR q.created_at <= :aged THEN 2 ELSE 1 END AS rank
        FROM relay_intents q WHERE q.chain_id = :chain_id AND q.state = 1
    ) i LEFT JOIN relay_intents a ON a.intent_id = i.after_id
    WHERE i.pool <> 1
        AND (:owner = ''
            OR i.wallet IN (SELECT h.address FROM relay_holders h
                            WHERE h.chain_id = :chain_id AND h.owner = :owner)
            OR (:watches AND i.wallet NOT IN (SELECT h.address FROM relay_holders h
                                              WHERE h.chain_id = :chain_id AND h.claimed)))
        AND (i.deadline < :now
            OR ((i.try_at <= :now OR i.try_at > :far)
                AND (i.after_id IS NULL OR a.intent_id IS NULL OR a.state > 3)))
) r LEFT JOIN (
    SELECT wallet, COUNT(*) AS open FROM relay_intents
    WHERE chain_id = :chain_id AND state IN (2, 3) GROUP BY wallet
) o ON o.wallet = r.wallet
WHERE r.place + COALESCE(o.open, 0) <= :inflight_max
ORDER BY r.place, r.rank DESC, r.seq
LIMIT :max_rows;

-- statement: relay_inflight_count
-- doc: Signed and sent intents of a wallet.
-- params: chain_id i64, wallet address
-- columns: inflight i64
SELECT COUNT(*) AS inflight FROM relay_intents
WHERE chain_id = :chain_id AND wallet = :wallet AND state IN (2, 3);

-- statement: relay_intent_sign
-- doc: Gives a queued intent its nonce and first signed bytes.
-- params: intent_id text, nonce i64, transaction_hash hash, now time
UPDATE relay_intents
SET state = 2, nonce = :nonce, transaction_hash = :transaction_hash, attempts = 1, tries = 0,
    updated_at = :now, try_at = :now
WHERE intent_id = :intent_id AND state + 0 = 1;

-- statement: relay_intent_resign
-- doc: A new version of signed bytes at the same nonce, if nobody else made one meanwhile.
-- params: intent_id text, attempt i64, transaction_hash hash, error_code text?, error text?
-- params: now time
UPDATE relay_intents
SET state = 2, transaction_hash = :transaction_hash, attempts = attempts + 1, hurried = FALSE,
    error_code = COALESCE(:error_code, error_code), error = COALESCE(:error, error),
    updated_at = :now, try_at = :now
WHERE intent_id = :intent_id AND state + 0 IN (2, 3) AND attempts = :attempt;

-- statement: relay_attempt_insert
-- doc: Stores signed bytes before they are sent.
-- rows: set
-- params: intent_id text, attempt i64, transaction_hash hash, raw bytes, fee_max u256
-- params: fee_priority u256, gas_limit i64, filler bool, now time
INSERT INTO relay_attempts
    (intent_id, attempt, transaction_hash, raw, fee_max, fee_priority, gas_limit, filler,
     created_at)
VALUES (:intent_id, :attempt, :transaction_hash, :raw, :fee_max, :fee_priority, :gas_limit,
        :filler, :now);

-- statement: relay_attempt_is_filler
-- doc: Whether a version of an intent only takes its nonce, and whether that was asked for.
-- params: transaction_hash hash
-- columns: transaction_hash hash, filler bool, cancelling bool
SELECT t.transaction_hash, t.filler, i.cancelling
FROM relay_attempts t JOIN relay_intents i ON i.intent_id = t.intent_id
WHERE t.transaction_hash = :transaction_hash;

-- statement: relay_open_list
-- doc: Signed and sent intents with their newest bytes: the lowest nonces of each wallet, in order.
-- params: chain_id i64, per_wallet i64
-- columns: intent_id text, wallet address, state i64, nonce i64, attempts i64, sent_at time?
-- columns: try_at time, transaction_hash hash, raw bytes, fee_max u256, fee_priority u256
-- columns: gas_limit i64, filler bool, attempt_at time, priority i64, cancelling bool
-- columns: hurried bool, deadline time?
SELECT i.intent_id, i.wallet, i.state, i.nonce, i.attempts, i.sent_at, i.try_at,
       t.transaction_hash, t.raw, t.fee_max, t.fee_priority, t.gas_limit, t.filler,
       t.created_at AS attempt_at, i.priority, i.cancelling, i.hurried, i.deadline
FROM (
    SELECT intent_id, wallet, state, nonce, attempts, sent_at, try_at, priority, cancelling,
           hurried, deadline, ROW_NUMBER() OVER (PARTITION BY wallet ORDER BY nonce) AS place
    FROM relay_intents WHERE chain_id = :chain_id AND state IN (2, 3)
) i JOIN relay_attempts t ON t.intent_id = i.intent_id AND t.attempt = i.attempts
WHERE i.place <= :per_wallet
ORDER BY i.wallet, i.nonce;

-- statement: relay_attempts_list
-- doc: Hashes of all versions of an intent, newest first.
-- params: intent_id text
-- columns: attempt i64, transaction_hash hash
SELECT attempt, transaction_hash FROM relay_attempts
WHERE intent_id = :intent_id ORDER BY attempt DESC;

-- statement: relay_attempts_detail
-- doc: All versions of an intent, newest first.
-- params: intent_id text
-- columns: attempt i64, transaction_hash hash, fee_max u256, fee_priority u256, gas_limit i64
-- columns: filler bool, created_at time
SELECT attempt, transaction_hash, fee_max, fee_priority, gas_limit, filler, created_at
FROM relay_attempts WHERE intent_id = :intent_id ORDER BY attempt DESC;

-- statement: relay_attempt_content
-- doc: What an intent wants, for signing another version.
-- params: intent_id text
-- columns: to_address address?, value u256, data bytes, role text
SELECT to_address, value, data, role FROM relay_intents WHERE intent_id = :intent_id;

-- statement: relay_intent_sent
-- doc: A node took the bytes; they are sent again at a time.
-- params: intent_id text, attempt i64, try_at time, now time
-- columns: intent_id text, intent_key text, chain_id i64, wallet address, to_address address?
-- columns: value u256, purpose text, state i64, final bool, nonce i64?, transaction_hash hash?
-- columns: attempts i64, priority i64, cancelling bool, pool i64, block_number i64?
-- columns: block_hash hash?, gas_used i64?, gas_price u256?, contract address?
-- columns: error_code text?, error text?
-- columns: created_at time, updated_at time
UPDATE relay_intents SET state = 3, sent_at = :now, try_at = :try_at, updated_at = :now
WHERE intent_id = :intent_id AND state + 0 IN (2, 3) AND attempts = :attempt
RETURNING intent_id, intent_key, chain_id, wallet, to_address, value, purpose, state, final, nonce,
          transaction_hash, attempts, priority, cancelling, pool, block_number, block_hash,
          gas_used, gas_price, contract, error_code, error, created_at, updated_at;

-- statement: relay_intent_retry_at
-- doc: Leaves signed bytes alone until a time.
-- params: intent_id text, attempt i64, try_at time
UPDATE relay_intents SET try_at = :try_at
WHERE intent_id = :intent_id AND state + 0 IN (2, 3) AND attempts = :attempt;

-- statement: relay_intent_put_off
-- doc: Leaves a queued intent alone until a time.
-- params: intent_id text, try_at time, tries i64, now time
UPDATE relay_intents SET try_at = :try_at, tries = :tries, updated_at = :now
WHERE intent_id = :intent_id AND state + 0 = 1;

-- statement: relay_intent_mined
-- doc: A receipt was found; it tells all that there is to say, unless a filler was mined.
-- params: intent_id text, state i64, transaction_hash hash, block_number i64, block_hash hash
-- params: gas_used i64, gas_price u256, contract address?, error_code text?, error text?
-- params: filler bool, now time
-- columns: intent_id text, intent_key text, chain_id i64, wallet address, to_address address?
-- columns: value u256, purpose text, state i64, final bool, nonce i64?, transaction_hash hash?
-- columns: attempts i64, priority i64, cancelling bool, pool i64, block_number i64?
-- columns: block_hash hash?, gas_used i64?, gas_price u256?, contract address?
-- columns: error_code text?, error text?
-- columns: created_at time, updated_at time
UPDATE relay_intents
SET state = :state, transaction_hash = :transaction_hash, block_number = :block_number,
    block_hash = :block_hash, gas_used = :gas_used, gas_price = :gas_price, contract = :contract,
    error_code = CASE WHEN :filler THEN error_code ELSE :error_code END,
    error = CASE WHEN :filler THEN error ELSE :error END,
    final = FALSE, updated_at = :now
WHERE intent_id = :intent_id AND state + 0 IN (2, 3, 4, 5, 6, 8) AND nonce IS NOT NULL
RETURNING intent_id, intent_key, chain_id, wallet, to_address, value, purpose, state, final, nonce,
          transaction_hash, attempts, priority, cancelling, pool, block_number, block_hash,
          gas_used, gas_price, contract, error_code, error, created_at, updated_at;

-- statement: relay_intent_unmined
-- doc: The block fell out: the same bytes are sent again. A deadline that was met stays met.
-- params: intent_id text, now time
-- columns: intent_id text, intent_key text, chain_id i64, wallet address, to_address address?
-- columns: value u256, purpose text, state i64, final bool, nonce i64?, transaction_hash hash?
-- columns: attempts i64, priority i64, cancelling bool, pool i64, block_number i64?
-- columns: block_hash hash?, gas_used i64?, gas_price u256?, contract address?
-- columns: error_code text?, error text?
-- columns: created_at time, updated_at time
UPDATE relay_intents
SET state = 2, block_number = NULL, block_hash = NULL, gas_used = NULL, gas_price = NULL,
    contract = NULL, deadline = NULL, final = FALSE, updated_at = :now, try_at = :now,
    error_code = CASE WHEN state IN (6, 8) THEN error_code END,
    error = CASE WHEN state IN (6, 8) THEN error END
WHERE intent_id = :intent_id AND state + 0 IN (4, 5, 6, 8) AND block_number IS NOT NULL
RETURNING intent_id, intent_key, chain_id, wallet, to_address, value, purpose, state, final, nonce,
          transaction_hash, attempts, priority, cancelling, pool, block_number, block_hash,
          gas_used, gas_price, contract, error_code, error, created_at, updated_at;

-- statement: relay_intent_final
-- doc: Deep enough: it is not looked at again.
-- params: intent_id text, now time
-- columns: intent_id text, intent_key text, chain_id i64, wallet address, to_address address?
-- columns: value u256, purpose text, state i64, final bool, nonce i64?, transaction_hash hash?
-- columns: attempts i64, priority i64, cancelling bool, pool i64, block_number i64?
-- columns: block_hash hash?, gas_used i64?, gas_price u256?, contract address?
-- columns: error_code text?, error text?
-- columns: created_at time, updated_at time
UPDATE relay_intents SET final = TRUE, updated_at = :now
WHERE intent_id = :intent_id AND state + 0 IN (4, 5, 6, 8) AND COALESCE(final, TRUE) = FALSE
RETURNING intent_id, intent_key, chain_id, wallet, to_address, value, purpose, state, final, nonce,
          transaction_hash, attempts, priority, cancelling, pool, block_number, block_hash,
          gas_used, gas_price, contract, error_code, error, created_at, updated_at;

-- statement: relay_intent_fail
-- doc: A queued intent fails: no nonce was used.
-- params: intent_id text, error_code text, error text, now time
UPDATE relay_intents
SET state = 6, final = TRUE, error_code = :error_code, error = :error, updated_at = :now
WHERE intent_id = :intent_id AND state + 0 = 1;

-- statement: relay_intent_replaced
-- doc: The nonce of an intent was mined with bytes that are none of ours.
-- params: intent_id text, attempt i64, error_code text, error text, now time
UPDATE relay_intents
SET state = 7, final = TRUE, error_code = :error_code, error = :error, updated_at = :now
WHERE intent_id = :intent_id AND state + 0 IN (2, 3) AND attempts = :attempt;

-- statement: relay_nonce_holder
-- doc: The intent that a nonce of a wallet belongs to; locked until the transaction ends.
-- params: chain_id i64, wallet address, nonce i64
-- columns: intent_id text, state i64, attempts i64, mined bool, filler bool
SELECT i.intent_id, i.state, i.attempts, (i.block_number IS NOT NULL) AS mined, t.filler
FROM relay_intents i JOIN relay_attempts t ON t.intent_id = i.intent_id AND t.attempt = i.attempts
WHERE i.chain_id = :chain_id AND i.wallet = :wallet AND i.nonce = :nonce
-- postgres
FOR NO KEY UPDATE OF i
-- both
;

-- statement: relay_intent_reopen
-- doc: The nonce of an ended intent became free by a reorganisation: it is taken again.
-- params: intent_id text, now time
UPDATE relay_intents
SET state = 2, final = FALSE, updated_at = :now, try_at = :now
WHERE intent_id = :intent_id AND state + 0 IN (6, 7, 8);

-- statement: relay_intent_cancel
-- doc: Cancels an intent that has no nonce yet.
-- params: intent_id text, now time
UPDATE relay_intents SET state = 8, final = TRUE, updated_at = :now
WHERE intent_id = :intent_id AND state + 0 = 1;

-- statement: relay_intent_take_back
-- doc: Asks for a filler at the nonce of a signed intent.
-- params: intent_id text, now time
UPDATE relay_intents SET cancelling = TRUE, updated_at = :now
WHERE intent_id = :intent_id AND state + 0 IN (2, 3);

-- statement: relay_intent_hurry
-- doc: Makes a queued intent urgent, or asks for another version of a signed one.
-- params: intent_id text, now time
UPDATE relay_intents
SET priority = 3, hurried = (state <> 1), try_at = CASE WHEN state = 1 THEN :now ELSE try_at END,
    updated_at = :now
WHERE intent_id = :intent_id AND state + 0 IN (1, 2, 3);

-- statement: relay_unfinal_deep
-- doc: Blocks with mined intents that are deep enough to be final, oldest first.
-- params: chain_id i64, up_to i64, max_rows i64
-- columns: block_number i64, block_hash hash
SELECT block_number, block_hash FROM relay_intents
WHERE chain_id = :chain_id AND NOT final AND state IN (4, 5, 6, 8) AND block_number <= :up_to
GROUP BY block_number, block_hash
ORDER BY block_number
LIMIT :max_rows;

-- statement: relay_unfinal_fresh
-- doc: Blocks with mined intents that a reorganisation could still take away, newest first.
-- params: chain_id i64, above i64, max_rows i64
-- columns: block_number i64, block_hash hash
SELECT block_number, block_hash FROM relay_intents
WHERE chain_id = :chain_id AND NOT final AND state IN (4, 5, 6, 8) AND block_number > :above
GROUP BY block_number, block_hash
ORDER BY block_number DESC
LIMIT :max_rows;

-- statement: relay_unfinal_intents
-- doc: The mined intents of a block that are not final yet.
-- params: chain_id i64, block_number i64, block_hash hash
-- columns: intent_id text, transaction_hash hash, block_number i64, block_hash hash
SELECT intent_id, transaction_hash, block_number, block_hash FROM relay_intents
WHERE chain_id = :chain_id AND NOT final AND state IN (4, 5, 6, 8)
    AND block_number = :block_number AND block_hash = :block_hash;

-- statement: relay_queue_counts
-- doc: How much waits and is under way.
-- params: chain_id i64
-- columns: queued i64, inflight i64
SELECT COALESCE(SUM(CASE WHEN state = 1 THEN 1 ELSE 0 END), 0) AS queued,
       COALESCE(SUM(CASE WHEN state IN (2, 3) THEN 1 ELSE 0 END), 0) AS inflight
FROM relay_intents WHERE chain_id = :chain_id AND state < 4;

-- statement: relay_caller_next
-- doc: The number of a caller's next request.
-- params: caller_id text
-- columns: next_nonce i64
SELECT next_nonce FROM relay_callers WHERE caller_id = :caller_id;

-- statement: relay_caller_put
-- doc: Counts a caller's number up by one, if nobody else did meanwhile.
-- params: caller_id text, next_nonce i64, now time
INSERT INTO relay_callers (caller_id, next_nonce, updated_at)
VALUES (:caller_id, :next_nonce, :now)
ON CONFLICT (caller_id)
DO UPDATE SET next_nonce = EXCLUDED.next_nonce, updated_at = EXCLUDED.updated_at
WHERE relay_callers.next_nonce = EXCLUDED.next_nonce - 1;

-- statement: relay_intent_put_caller
-- doc: For whom an intent is.
-- params: intent_id text, caller_id text
UPDATE relay_intents SET caller_id = :caller_id WHERE intent_id = :intent_id;

-- statement: relay_caller_asked
-- doc: How many transactions a caller asked for since a time.
-- params: caller_id text, since time
-- columns: asked i64
SELECT COUNT(*) AS asked FROM relay_intents
WHERE caller_id = :caller_id AND created_at >= :since;
