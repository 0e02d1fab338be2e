-- Two projections: one with a key of two columns, one that hangs on it.

-- up
CREATE TABLE holdings (
    asset @i64 NOT NULL,
    holder @address NOT NULL,
    balance @u256 NOT NULL,
    label @text,
    memo @json,
    raw @bytes,
    active @bool NOT NULL,
    at @time,
    PRIMARY KEY (asset, holder)
);
CREATE TABLE lots (
    id @id,
    asset @i64 NOT NULL,
    holder @address NOT NULL,
    size @u256 NOT NULL,
    FOREIGN KEY (asset, holder) REFERENCES holdings (asset, holder)
);
-- projection: holdings (asset, holder)
-- projection: lots (id)

-- down
DROP TABLE lots;
DROP TABLE holdings;
