-- Who calls the API: keys; login by wallet: nonces, sessions, refresh tokens, roles, signing keys.

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

-- statement: auth_nonce_insert
-- doc: A nonce that may be used once.
-- params: nonce text, expires_at time
INSERT INTO auth_nonces (nonce, expires_at) VALUES (:nonce, :expires_at);

-- statement: auth_nonce_use
-- doc: Uses a nonce; nothing when it is not there or has expired.
-- params: nonce text, now time
DELETE FROM auth_nonces WHERE nonce = :nonce AND expires_at > :now;

-- statement: auth_session_insert
-- doc: A new session.
-- params: session_id text, address address, now time, expires_at time
INSERT INTO auth_sessions (session_id, address, created_at, expires_at)
VALUES (:session_id, :address, :now, :expires_at);

-- statement: auth_session_get
-- doc: One session.
-- params: session_id text
-- columns: session_id text, address address, created_at time, expires_at time, refreshed_at time?
-- columns: revoked_at time?
SELECT session_id, address, created_at, expires_at, refreshed_at, revoked_at
FROM auth_sessions WHERE session_id = :session_id;

-- statement: auth_sessions_list
-- doc: Live sessions of a wallet by their ids, behind one.
-- params: address address, after_id text, now time, max_rows i64
-- columns: session_id text, address address, created_at time, expires_at time, refreshed_at time?
-- columns: revoked_at time?
SELECT session_id, address, created_at, expires_at, refreshed_at, revoked_at
FROM auth_sessions
WHERE address = :address AND session_id > :after_id AND revoked_at IS NULL AND expires_at > :now
ORDER BY session_id LIMIT :max_rows;

-- statement: auth_session_revoke
-- doc: Ends a session; nothing when it is ended.
-- params: session_id text, now time
UPDATE auth_sessions SET revoked_at = :now WHERE session_id = :session_id AND revoked_at IS NULL;

-- statement: auth_session_refreshed
-- doc: Notes that a session goes on.
-- params: session_id text, now time
UPDATE auth_sessions SET refreshed_at = :now WHERE session_id = :session_id;

-- statement: auth_refresh_insert
-- doc: The next refresh token of a session.
-- params: token_hash hash, session_id text, now time
INSERT INTO auth_refreshes (token_hash, session_id, issued_at)
VALUES (:token_hash, :session_id, :now);

-- statement: auth_refresh_find
-- doc: A refresh token and the session that it is of.
-- params: token_hash hash
-- columns: session_id text, used_at time?, address address, created_at time, expires_at time
-- columns: revoked_at time?
SELECT r.session_id, r.used_at, s.address, s.created_at, s.expires_at, s.revoked_at
FROM auth_refreshes r JOIN auth_sessions s ON s.session_id = r.session_id
WHERE r.token_hash = :token_hash;

-- statement: auth_refresh_use
-- doc: Uses a refresh token; nothing when it was used.
-- params: token_hash hash, now time
UPDATE auth_refreshes SET used_at = :now WHERE token_hash = :token_hash AND used_at IS NULL;

-- statement: auth_access_find
-- doc: What an access token is held against: its key, its session, and the roles of the wallet.
-- params: kid text, session_id text
-- columns: public_key hash, verifies_until time, key_revoked_at time?, address address
-- columns: expires_at time, revoked_at time?, roles i64
SELECT k.public_key, k.verifies_until, k.revoked_at AS key_revoked_at, s.address, s.expires_at,
       s.revoked_at,
       (SELECT CAST(COALESCE(SUM(r.role), 0) AS BIGINT) FROM auth_roles r
        WHERE r.address = s.address) AS roles
FROM auth_signing_keys k, auth_sessions s
WHERE k.kid = :kid AND s.session_id = :session_id;

-- statement: auth_roles_of
-- doc: Roles that a wallet was granted.
-- params: address address
-- columns: roles i64
SELECT CAST(COALESCE(SUM(role), 0) AS BIGINT) AS roles FROM auth_roles WHERE address = :address;

-- statement: auth_roles_list
-- doc: Wallets with granted roles, behind one.
-- params: after_address address, max_rows i64
-- columns: address address, roles i64
SELECT address, CAST(SUM(role) AS BIGINT) AS roles FROM auth_roles
WHERE address > :after_address
GROUP BY address ORDER BY address LIMIT :max_rows;

-- statement: auth_role_grant
-- doc: Grants a role; nothing when the wallet has it.
-- params: address address, role i64, granted_by text, now time
INSERT INTO auth_roles (address, role, granted_by, granted_at)
VALUES (:address, :role, :granted_by, :now)
ON CONFLICT DO NOTHING;

-- statement: auth_role_take
-- doc: Takes a role back; nothing when the wallet does not have it.
-- params: address address, role i64
DELETE FROM auth_roles WHERE address = :address AND role = :role;

-- statement: auth_signing_key_insert
-- doc: The public half of a new signing key.
-- params: kid text, public_key hash, now time, verifies_until time
INSERT INTO auth_signing_keys (kid, public_key, created_at, verifies_until)
VALUES (:kid, :public_key, :now, :verifies_until);

-- statement: auth_signing_key_live
-- doc: Whether a signing key may still sign: a row when it may.
-- params: kid text
-- columns: kid text
SELECT kid FROM auth_signing_keys WHERE kid = :kid AND revoked_at IS NULL;

-- statement: auth_signing_keys_list
-- doc: Keys whose signatures are taken.
-- params: now time
-- columns: kid text, public_key hash
SELECT kid, public_key FROM auth_signing_keys
WHERE revoked_at IS NULL AND verifies_until > :now ORDER BY kid;

-- statement: auth_signing_keys_revoke
-- doc: Ends all signing keys.
-- params: now time
UPDATE auth_signing_keys SET revoked_at = :now WHERE revoked_at IS NULL AND verifies_until > :now;

-- statement: auth_nonces_purge
-- doc: Forgets nonces that expired before a time.
-- params: before time, max_rows i64
DELETE FROM auth_nonces WHERE nonce IN
    (SELECT nonce FROM auth_nonces WHERE expires_at < :before ORDER BY expires_at LIMIT :max_rows);

-- statement: auth_refreshes_purge
-- doc: Forgets refresh tokens of sessions that ended before a time.
-- params: before time, max_rows i64
DELETE FROM auth_refreshes WHERE session_id IN
    (SELECT session_id FROM auth_sessions WHERE expires_at < :before
     ORDER BY expires_at, session_id LIMIT :max_rows);

-- statement: auth_sessions_purge
-- doc: Forgets the sessions themselves.
-- params: before time, max_rows i64
DELETE FROM auth_sessions WHERE session_id IN
    (SELECT session_id FROM auth_sessions WHERE expires_at < :before
     ORDER BY expires_at, session_id LIMIT :max_rows);

-- statement: auth_signing_keys_purge
-- doc: Forgets signing keys whose tokens have all expired.
-- params: before time
DELETE FROM auth_signing_keys WHERE verifies_until < :before;
