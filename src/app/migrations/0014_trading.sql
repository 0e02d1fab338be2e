-- What is read of the matching engine: projections of its events, see
-- domain/trading/projections/projections.h. Everything here can be made again from the journal.
--
-- Prices are ticks, quantities lots, amounts units of an asset, times those of the venue. `seq` is
-- the number of a command in the journal.

-- up

-- How far the events were applied: every row of the other tables is as of this command.
CREATE TABLE trading_cursor (
    single @i64 NOT NULL PRIMARY KEY CHECK (single = 1),
    seq @i64 NOT NULL CHECK (seq >= 0),
    venue_time @time NOT NULL,
    trades @i64 NOT NULL,
    places @i64 NOT NULL
);
-- sqlite
INSERT INTO trading_cursor VALUES (1, 0, 0, 0, 0);
-- postgres
INSERT INTO trading_cursor VALUES (1, 0, 'epoch', 0, 0);
-- both

-- state: enum engine_state. A pair without settlement has base, quote and units of 0.
CREATE TABLE trading_pairs (
    pair @i64 NOT NULL PRIMARY KEY,
    base @i64 NOT NULL,
    quote @i64 NOT NULL,
    fee_account @i64 NOT NULL,
    lot_units @i64 NOT NULL,
    tick_units @i64 NOT NULL,
    state @i64 NOT NULL CHECK (state BETWEEN 0 AND 5),
    state_until @time,
    auction_price @i64 NOT NULL,
    auction_volume @i64 NOT NULL,
    auction_surplus @i64 NOT NULL,
    book_number @i64 NOT NULL,
    book_checksum @i64 NOT NULL
);

-- state: 1 open, 2 parked, 3 filled, 4 cancelled. `place` orders the queue of a price.
CREATE TABLE trading_orders (
    id @i64 NOT NULL PRIMARY KEY,
    account @i64 NOT NULL,
    pair @i64 NOT NULL,
    side @i64 NOT NULL CHECK (side IN (0, 1)),
    type @i64 NOT NULL CHECK (type BETWEEN 0 AND 3),
    tif @i64 NOT NULL CHECK (tif BETWEEN 0 AND 3),
    price @i64 NOT NULL,
    stop @i64 NOT NULL,
    funds @i64 NOT NULL,
    total @i64 NOT NULL,
    filled @i64 NOT NULL,
    open_qty @i64 NOT NULL,
    cancelled @i64 NOT NULL,
    prevented @i64 NOT NULL,
    notional @u256,
    lot_lock @i64 NOT NULL,
    state @i64 NOT NULL CHECK (state BETWEEN 1 AND 4),
    reason @i64 NOT NULL,
    place @i64,
    accepted_seq @i64 NOT NULL,
    accepted_at @time NOT NULL,
    changed_seq @i64 NOT NULL,
    changed_at @time NOT NULL,
    CONSTRAINT trading_orders_sum
        CHECK (funds > 0 OR filled + open_qty + cancelled + prevented = total),
    CONSTRAINT trading_orders_place CHECK (place IS NULL OR state = 1)
);
CREATE INDEX trading_orders_account ON trading_orders (account, id);
CREATE INDEX trading_orders_open ON trading_orders (pair, side, price, place) WHERE state <= 2;

-- A row is the whole settlement of a trade: qty lots of base from seller to buyer, amount of quote
-- back, both fees to the pair's fee account. Written once; the cursor sees to it.
CREATE TABLE trading_trades (
-- sqlite
    id @i64 NOT NULL PRIMARY KEY,
-- postgres
    id @i64 NOT NULL,
-- both
    at @time NOT NULL,
    seq @i64 NOT NULL,
    pair @i64 NOT NULL,
    price @i64 NOT NULL,
    qty @i64 NOT NULL CHECK (qty > 0),
    taker_side @i64 NOT NULL CHECK (taker_side IN (0, 1)),
    auction @bool NOT NULL,
    maker_order @i64 NOT NULL,
    taker_order @i64 NOT NULL,
    maker_account @i64 NOT NULL,
    taker_account @i64 NOT NULL,
    amount @i64 NOT NULL CHECK (amount >= 0),
    maker_fee @i64 NOT NULL CHECK (maker_fee >= 0),
    taker_fee @i64 NOT NULL CHECK (taker_fee >= 0)
-- postgres
    , PRIMARY KEY (id, at)
-- both
)
-- postgres
PARTITION BY RANGE (at)
-- both
;
-- postgres
CREATE TABLE trading_trades_default PARTITION OF trading_trades DEFAULT;
-- both
CREATE INDEX trading_trades_pair ON trading_trades (pair, id);
CREATE INDEX trading_trades_maker ON trading_trades (maker_account, id);
CREATE INDEX trading_trades_taker ON trading_trades (taker_account, id);
-- partitioned: trading_trades (at)

-- Money that moves without a trade. kind: 15 credited, 16 transferred, 17 held, 18 posted,
-- 19 voided (enum engine_event_kind). `receiver` is empty where it leaves the venue.
CREATE TABLE trading_movements (
-- sqlite
    seq @i64 NOT NULL PRIMARY KEY,
-- postgres
    seq @i64 NOT NULL,
-- both
    at @time NOT NULL,
    kind @i64 NOT NULL CHECK (kind BETWEEN 15 AND 19),
    id @i64 NOT NULL,
    account @i64 NOT NULL,
    receiver @i64,
    asset @i64 NOT NULL,
    amount @i64 NOT NULL CHECK (amount > 0)
-- postgres
    , PRIMARY KEY (seq, at)
-- both
)
-- postgres
PARTITION BY RANGE (at)
-- both
;
-- postgres
CREATE TABLE trading_movements_default PARTITION OF trading_movements DEFAULT;
-- both
CREATE INDEX trading_movements_account ON trading_movements (account, seq);
CREATE INDEX trading_movements_receiver ON trading_movements (receiver, seq)
    WHERE receiver IS NOT NULL;
-- partitioned: trading_movements (at)

-- Available is total - locked.
CREATE TABLE trading_balances (
    account @i64 NOT NULL,
    asset @i64 NOT NULL,
    total @i64 NOT NULL CHECK (total >= 0),
    locked @i64 NOT NULL CHECK (locked >= 0),
    PRIMARY KEY (account, asset),
    CONSTRAINT trading_balances_covered CHECK (locked <= total)
)
-- sqlite
WITHOUT ROWID
-- both
;

CREATE TABLE trading_levels (
    pair @i64 NOT NULL,
    side @i64 NOT NULL CHECK (side IN (0, 1)),
    price @i64 NOT NULL,
    qty @i64 NOT NULL CHECK (qty > 0),
    orders @i64 NOT NULL CHECK (orders > 0),
    PRIMARY KEY (pair, side, price)
)
-- sqlite
WITHOUT ROWID
-- both
;

-- The newest changes of each book. changes: [["bid"|"ask",price,qty],...]; qty 0: the level is
-- gone.
CREATE TABLE trading_deltas (
    pair @i64 NOT NULL,
    number @i64 NOT NULL,
    seq @i64 NOT NULL,
    changes @text NOT NULL,
    checksum @i64 NOT NULL,
    PRIMARY KEY (pair, number)
)
-- sqlite
WITHOUT ROWID
-- both
;

-- notional is the sum of price * qty. A span without a trade has no row.
CREATE TABLE trading_candles (
    pair @i64 NOT NULL,
    span_sec @i64 NOT NULL,
    begins @time NOT NULL,
    open @i64 NOT NULL,
    high @i64 NOT NULL,
    low @i64 NOT NULL,
    close @i64 NOT NULL,
    volume @u256 NOT NULL,
    notional @u256 NOT NULL,
    trades @i64 NOT NULL CHECK (trades > 0),
    PRIMARY KEY (pair, span_sec, begins)
)
-- sqlite
WITHOUT ROWID
-- both
;

-- Over the minute of the cursor's time and the 1,439 before it; zeros when nothing traded in them.
CREATE TABLE trading_statistics (
    pair @i64 NOT NULL PRIMARY KEY,
    open @i64 NOT NULL,
    high @i64 NOT NULL,
    low @i64 NOT NULL,
    close @i64 NOT NULL,
    volume @u256 NOT NULL,
    notional @u256 NOT NULL,
    trades @i64 NOT NULL
);

-- down
DROP TABLE trading_statistics;
DROP TABLE trading_candles;
DROP TABLE trading_deltas;
DROP TABLE trading_levels;
DROP TABLE trading_balances;
DROP TABLE trading_movements;
DROP TABLE trading_trades;
DROP TABLE trading_orders;
DROP TABLE trading_pairs;
DROP TABLE trading_cursor;
