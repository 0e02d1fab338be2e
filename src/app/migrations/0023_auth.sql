-- Keys of callers of the API (kernel/auth/auth.h).

-- up

-- `secret_hash` is the SHA-256 of the secret, which is stored nowhere. `roles` are the bits of enum
-- http_role. A revoked key keeps its row, so that what it did can be told; its name is free again.
CREATE TABLE auth_keys (
    key_id @text NOT NULL PRIMARY KEY,
    name @text NOT NULL,
    secret_hash @hash NOT NULL,
    roles @i64 NOT NULL CHECK (roles BETWEEN 1 AND 31),
    created_by @text NOT NULL,
    created_at @time NOT NULL,
    expires_at @time NOT NULL,
    revoked_at @time,
    used_at @time
);
CREATE UNIQUE INDEX idx_auth_keys_name ON auth_keys (name) WHERE revoked_at IS NULL;

-- down
DROP TABLE auth_keys;
