-- Login by wallet: nonces, sessions, refresh tokens, roles, keys (kernel/auth/auth_session.h).

-- up

-- A nonce is there until it is used or expires: using it is deleting it.
CREATE TABLE auth_nonces (
    nonce @text NOT NULL PRIMARY KEY,
    expires_at @time NOT NULL
);
CREATE INDEX idx_auth_nonces_expires ON auth_nonces (expires_at);

CREATE TABLE auth_sessions (
    session_id @text NOT NULL PRIMARY KEY,
    address @address NOT NULL,
    created_at @time NOT NULL,
    expires_at @time NOT NULL,
    refreshed_at @time,
    revoked_at @time
);
CREATE INDEX idx_auth_sessions_address ON auth_sessions (address, session_id);
CREATE INDEX idx_auth_sessions_expires ON auth_sessions (expires_at);

-- `token_hash` is the SHA-256 of a refresh token, which is stored nowhere. Used ones stay as long
-- as their session, so that one that comes again is known.
CREATE TABLE auth_refreshes (
    token_hash @hash NOT NULL PRIMARY KEY,
    session_id @text NOT NULL,
    issued_at @time NOT NULL,
    used_at @time
);
CREATE INDEX idx_auth_refreshes_session ON auth_refreshes (session_id);

-- `role` is one bit of enum http_role.
CREATE TABLE auth_roles (
    address @address NOT NULL,
    role @i64 NOT NULL CHECK (role IN (1, 2, 4, 8, 16)),
    granted_by @text NOT NULL,
    granted_at @time NOT NULL,
    PRIMARY KEY (address, role)
);

-- Public halves only: the private ones are in the memory of the process that made them.
CREATE TABLE auth_signing_keys (
    kid @text NOT NULL PRIMARY KEY,
    public_key @hash NOT NULL,
    created_at @time NOT NULL,
    verifies_until @time NOT NULL,
    revoked_at @time
);
CREATE INDEX idx_auth_signing_keys_until ON auth_signing_keys (verifies_until);

-- down
DROP TABLE auth_signing_keys;
DROP TABLE auth_roles;
DROP TABLE auth_refreshes;
DROP TABLE auth_sessions;
DROP TABLE auth_nonces;
