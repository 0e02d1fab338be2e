-- Statements of leasing_dues.c: the due dates of leases.

-- statement: leasing_dues_stale
-- doc: Leases whose dues were made from something else than what is there now, by id, behind one.
-- params: chain_id i64, after_id text, now time, max_rows i64
-- columns: lease_id text
SELECT l.lease_id
FROM leases l LEFT JOIN lease_schedules s ON s.lease_id = l.lease_id
WHERE l.chain_id = :chain_id AND l.lease_id > :after_id AND l.nft_token_id IS NOT NULL
    AND (s.lease_id IS NULL OR s.lease_status <> l.status
         OR s.transaction_hash <> l.transaction_hash OR s.next_at < :now
         OR s.rounds <> (SELECT COUNT(*) FROM revenue_rounds r
                         WHERE r.chain_id = l.chain_id AND r.lease_token_id = l.nft_token_id))
ORDER BY l.lease_id
LIMIT :max_rows;

-- statement: leasing_dues_of_nft
-- doc: The lease of an NFT.
-- params: chain_id i64, nft_token_id u256
-- columns: lease_id text
SELECT lease_id FROM leases WHERE chain_id = :chain_id AND nft_token_id = :nft_token_id
ORDER BY lease_id
LIMIT 1;

-- statement: leasing_dues_rounds
-- doc: What was paid for a lease: the funds of its revenue rounds.
-- params: chain_id i64, lease_token_id u256
-- columns: total_amount u256
SELECT total_amount FROM revenue_rounds
WHERE chain_id = :chain_id AND lease_token_id = :lease_token_id;

-- statement: leasing_dues_orphans
-- doc: Dues of leases that are on chain no more.
DELETE FROM lease_dues
WHERE NOT EXISTS (SELECT 1 FROM leases l
                  WHERE l.lease_id = lease_dues.lease_id AND l.nft_token_id IS NOT NULL);

-- statement: leasing_dues_schedule_orphans
-- doc: The rows beside them.
DELETE FROM lease_schedules
WHERE NOT EXISTS (SELECT 1 FROM leases l
                  WHERE l.lease_id = lease_schedules.lease_id AND l.nft_token_id IS NOT NULL);

-- statement: leasing_dues_clear
-- doc: The dues of a lease, before they are written again.
-- params: lease_id text
DELETE FROM lease_dues WHERE lease_id = :lease_id;

-- statement: leasing_dues_put
-- doc: An instalment.
-- params: lease_id text, number i64, due_at time, period_end time, amount u256, paid u256
-- params: status text
INSERT INTO lease_dues (lease_id, number, due_at, period_end, amount, paid, status)
VALUES (:lease_id, :number, :due_at, :period_end, :amount, :paid, :status);

-- statement: leasing_dues_schedule_put
-- doc: What the dues of a lease were made from.
-- params: lease_id text, lease_status text, transaction_hash hash?, rounds i64, instalments i64
-- params: total u256, paid u256, next_at time?, now time
INSERT INTO lease_schedules
    (lease_id, lease_status, transaction_hash, rounds, instalments, total, paid, next_at,
     updated_at)
VALUES (:lease_id, :lease_status, :transaction_hash, :rounds, :instalments, :total, :paid,
        :next_at, :now)
ON CONFLICT (lease_id)
DO UPDATE SET lease_status = EXCLUDED.lease_status, transaction_hash = EXCLUDED.transaction_hash,
    rounds = EXCLUDED.rounds, instalments = EXCLUDED.instalments, total = EXCLUDED.total,
    paid = EXCLUDED.paid, next_at = EXCLUDED.next_at, updated_at = EXCLUDED.updated_at;

-- statement: leasing_dues_schedule_get
-- doc: Whether the dues of a lease are written.
-- params: lease_id text
-- columns: instalments i64, total u256, paid u256, updated_at time
SELECT instalments, total, paid, updated_at FROM lease_schedules WHERE lease_id = :lease_id;

-- statement: leasing_dues_of_lease
-- doc: The instalments of a lease by number, behind one.
-- params: lease_id text, after_number i64, max_rows i64
-- columns: number i64, due_at time, period_end time, amount u256, paid u256, status text
SELECT number, due_at, period_end, amount, paid, status FROM lease_dues
WHERE lease_id = :lease_id AND number > :after_number
ORDER BY number
LIMIT :max_rows;

-- statement: leasing_dues_list
-- doc: Instalments of all leases by due date, behind a position; "" and NULL match any.
-- params: chain_id i64, status text, asset_id text, lessor address?, lessee address?
-- params: after_at time, after_id text, after_number i64, max_rows i64
-- columns: lease_id text, asset_id text, lessor address, lessee address?, number i64, due_at time
-- columns: period_end time, amount u256, paid u256, status text
SELECT d.lease_id, l.asset_id, l.lessor, l.lessee, d.number, d.due_at, d.period_end, d.amount,
       d.paid, d.status
FROM lease_dues d JOIN leases l ON l.lease_id = d.lease_id
WHERE l.chain_id = :chain_id AND (:status = '' OR d.status = :status)
    AND (:asset_id = '' OR l.asset_id = :asset_id)
    AND (:lessor IS NULL OR l.lessor = :lessor) AND (:lessee IS NULL OR l.lessee = :lessee)
    AND (:after_id = '' OR d.due_at > :after_at
         OR (d.due_at = :after_at AND (d.lease_id > :after_id
             OR (d.lease_id = :after_id AND d.number > :after_number))))
ORDER BY d.due_at, d.lease_id, d.number
LIMIT :max_rows;
