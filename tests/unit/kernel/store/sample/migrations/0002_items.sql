-- One table with every type, and counters.

-- up
CREATE TABLE items (
    id @id,
    name @text NOT NULL UNIQUE,
    payload @json,
    raw @bytes,
    digest @hash,
    owner @address,
    amount @u256 NOT NULL DEFAULT @u256(7),
    at @time NOT NULL DEFAULT @now,
    done @bool NOT NULL DEFAULT false,
    score @i64 CONSTRAINT score_is_positive CHECK (score > 0),
    parent @i64 REFERENCES items (id)
);
CREATE INDEX items_amount ON items (amount);
CREATE TABLE counters (
    name @text PRIMARY KEY,
    value @i64 NOT NULL
);

-- down
DROP TABLE counters;
DROP TABLE items;
