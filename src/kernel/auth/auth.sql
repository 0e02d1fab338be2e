-- API keys: made, found by id, listed, revoked.

-- statement: auth_key_insert
-- doc: A new key; nothing when a key that is not revoked has the name.
-- params: key_id text, name text, secret_hash hash, roles i64, created_by text, now time
-- params: expires_at time
INSERT INTO auth_keys (key_id, name, secret_hash, roles, created_by, created_at, expires_at)
VALUES (:key_id, :name, :secret_hash, :roles, :created_by, :now, :expires_at)
ON CONFLICT DO NOTHING;

-- statement: auth_key_find
-- doc: What a key is compared with.
-- params: key_id text
-- columns: secret_hash hash, roles i64, expires_at time, revoked_at time?, used_at time?
SELECT secret_hash, roles, expires_at, revoked_at, used_at FROM auth_keys WHERE key_id = :key_id;

-- statement: auth_key_get
-- doc: One key.
-- params: key_id text
-- columns: key_id text, name text, roles i64, created_by text, created_at time, expires_at time
-- columns: revoked_at time?, used_at time?
SELECT key_id, name, roles, created_by, created_at, expires_at, revoked_at, used_at
FROM auth_keys WHERE key_id = :key_id;

-- statement: auth_keys_list
-- doc: Keys by their ids, behind one.
-- params: after_id text, max_rows i64
-- columns: key_id text, name text, roles i64, created_by text, created_at time, expires_at time
-- columns: revoked_at time?, used_at time?
SELECT key_id, name, roles, created_by, created_at, expires_at, revoked_at, used_at
FROM auth_keys WHERE key_id > :after_id ORDER BY key_id LIMIT :max_rows;

-- statement: auth_key_revoke
-- doc: Ends a key; nothing when it is ended.
-- params: key_id text, now time
UPDATE auth_keys SET revoked_at = :now WHERE key_id = :key_id AND revoked_at IS NULL;

-- statement: auth_key_used
-- doc: Notes that a key was used, unless that was noted a little while ago.
-- params: key_id text, now time, before time
UPDATE auth_keys SET used_at = :now
WHERE key_id = :key_id AND (used_at IS NULL OR used_at < :before);
