-- What the state of a transaction means for what it was asked for. `error` NULL: it is under way
-- (again, after a reorganisation).

-- statement: leasing_watch_type
-- doc: The creation of an asset type failed, or is under way again.
-- params: intent_id text, error text?, now time
UPDATE asset_types
SET status = CASE WHEN :error IS NULL THEN 'registered' ELSE 'failed' END, error = :error,
    updated_at = :now
WHERE intent_id = :intent_id
    AND status = CASE WHEN :error IS NULL THEN 'failed' ELSE 'registered' END;

-- statement: leasing_watch_asset
-- doc: The registration of an asset failed, or is under way again.
-- params: intent_id text, error text?, now time
UPDATE assets
SET status = CASE WHEN :error IS NULL THEN 'registered' ELSE 'failed' END, error = :error,
    updated_at = :now
WHERE intent_id = :intent_id
    AND status = CASE WHEN :error IS NULL THEN 'failed' ELSE 'registered' END;

-- statement: leasing_watch_lease
-- doc: Minting or offering a lease failed, or is under way again; the agreement stays.
-- params: intent_id text, error text?, now time
UPDATE leases SET error = :error, updated_at = :now
WHERE intent_id = :intent_id AND status IN ('draft', 'pending_signatures')
    AND (error IS NULL) <> (:error IS NULL);

-- statement: leasing_watch_action
-- doc: Accepting a bid or cancelling an offer failed, or is under way again.
-- params: intent_id text, error text?, now time
UPDATE leases SET error = :error, updated_at = :now
WHERE action_intent_id = :intent_id AND status IN ('draft', 'pending_signatures')
    AND (error IS NULL) <> (:error IS NULL);
