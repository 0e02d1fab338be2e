-- Access to leased assets, sold by the second; see leasing_access.h and leasing_access_api.c.

-- statement: leasing_access_stream_get
-- doc: What was sold of a lease.
-- params: lease_id text
-- columns: seconds_sold i64, paid u256, payments i64
SELECT seconds_sold, paid, payments FROM lease_streams WHERE lease_id = :lease_id;

-- statement: leasing_access_stream_put
-- doc: What was sold of a lease, with one step more.
-- params: lease_id text, seconds_sold i64, paid u256, payments i64, now time
INSERT INTO lease_streams (lease_id, seconds_sold, paid, payments, updated_at)
VALUES (:lease_id, :seconds_sold, :paid, :payments, :now)
ON CONFLICT (lease_id) DO UPDATE SET seconds_sold = excluded.seconds_sold, paid = excluded.paid,
    payments = excluded.payments, updated_at = excluded.updated_at;

-- statement: leasing_access_payment_insert
-- doc: A payment for access.
-- params: lease_id text, mode text, interval_seconds i64, amount u256, chain_id i64, asset address
-- params: payer address, nonce hash, transaction_hash hash, bucket_slot time, paid_at time
INSERT INTO lease_access_payments (lease_id, mode, interval_seconds, amount, chain_id, asset, payer,
    nonce, transaction_hash, bucket_slot, paid_at)
VALUES (:lease_id, :mode, :interval_seconds, :amount, :chain_id, :asset, :payer, :nonce,
    :transaction_hash, :bucket_slot, :paid_at);

-- statement: leasing_access_hour_get
-- doc: The payments of a lease in an hour, together.
-- params: lease_id text, hour_bucket time
-- columns: total u256, payments i64
SELECT total, payments FROM lease_access_hours
WHERE lease_id = :lease_id AND hour_bucket = :hour_bucket;

-- statement: leasing_access_hour_put
-- doc: The payments of a lease in an hour, with one more.
-- params: lease_id text, hour_bucket time, total u256, payments i64, now time
INSERT INTO lease_access_hours (lease_id, hour_bucket, total, payments, started_at, updated_at)
VALUES (:lease_id, :hour_bucket, :total, :payments, :now, :now)
ON CONFLICT (lease_id, hour_bucket) DO UPDATE SET total = excluded.total,
    payments = excluded.payments, updated_at = excluded.updated_at;

-- statement: leasing_access_payments_list
-- doc: Payments for access to a lease, newest first, below one.
-- params: lease_id text, below_seq i64, max_rows i64
-- columns: seq i64, mode text, interval_seconds i64, amount u256, payer address
-- columns: transaction_hash hash, bucket_slot time, paid_at time
SELECT seq, mode, interval_seconds, amount, payer, transaction_hash, bucket_slot, paid_at
FROM lease_access_payments WHERE lease_id = :lease_id AND seq < :below_seq
ORDER BY seq DESC LIMIT :max_rows;

-- statement: leasing_access_hours_list
-- doc: The hours in which access to a lease was paid for, newest first, below one.
-- params: lease_id text, below time, max_rows i64
-- columns: hour_bucket time, total u256, payments i64, started_at time, updated_at time
SELECT hour_bucket, total, payments, started_at, updated_at
FROM lease_access_hours WHERE lease_id = :lease_id AND hour_bucket < :below
ORDER BY hour_bucket DESC LIMIT :max_rows;

-- statement: leasing_access_hours_next
-- doc: Hours of all leases behind one, in order.
-- params: lease_id text, hour_bucket time, max_rows i64
-- columns: lease_id text, hour_bucket time, total u256, payments i64
SELECT lease_id, hour_bucket, total, payments FROM lease_access_hours
WHERE (lease_id, hour_bucket) > (:lease_id, :hour_bucket)
ORDER BY lease_id, hour_bucket LIMIT :max_rows;

-- statement: leasing_access_hour_amounts
-- doc: What was paid for access to a lease in an hour.
-- params: lease_id text, hour_bucket time
-- columns: amount u256
SELECT amount FROM lease_access_payments
WHERE lease_id = :lease_id AND bucket_slot = :hour_bucket;
