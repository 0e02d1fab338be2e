-- Statements of the projections of trading; see projections.h.

-- statement: projections_cursor
-- doc: reads how far the events were applied
-- columns: seq i64, venue_time time, trades i64, places i64
SELECT seq, venue_time, trades, places FROM trading_cursor WHERE single = 1;

-- statement: projections_cursor_move
-- doc: moves the cursor on from where its writer left it; changes no row when somebody else did
-- params: before i64, seq i64, venue_time time, trades i64, places i64
UPDATE trading_cursor
SET seq = :seq, venue_time = :venue_time, trades = :trades, places = :places
WHERE single = 1 AND seq = :before;

-- statement: projections_pairs
-- doc: lists the pairs
-- columns: pair i64, base i64, quote i64, fee_account i64, lot_units i64, tick_units i64, state i64
-- columns: state_until time?, auction_price i64, auction_volume i64, auction_surplus i64
-- columns: book_number i64, book_checksum i64
SELECT pair, base, quote, fee_account, lot_units, tick_units, state, state_until, auction_price,
       auction_volume, auction_surplus, book_number, book_checksum
FROM trading_pairs ORDER BY pair;

-- statement: projections_pair_write
-- doc: adds a pair or changes what changes of it
-- rows: set
-- params: pair i64, base i64, quote i64, fee_account i64, lot_units i64, tick_units i64, state i64
-- params: state_until time?, auction_price i64, auction_volume i64, auction_surplus i64
-- params: book_number i64, book_checksum i64
INSERT INTO trading_pairs (pair, base, quote, fee_account, lot_units, tick_units, state,
                           state_until, auction_price, auction_volume, auction_surplus,
                           book_number, book_checksum)
VALUES (:pair, :base, :quote, :fee_account, :lot_units, :tick_units, :state, :state_until,
        :auction_price, :auction_volume, :auction_surplus, :book_number, :book_checksum)
ON CONFLICT (pair) DO UPDATE
SET state = excluded.state, state_until = excluded.state_until,
    auction_price = excluded.auction_price, auction_volume = excluded.auction_volume,
    auction_surplus = excluded.auction_surplus, book_number = excluded.book_number,
    book_checksum = excluded.book_checksum;

-- statement: projections_orders_open
-- doc: lists the orders that are open or parked
-- columns: id i64, account i64, pair i64, side i64, type i64, tif i64, price i64, stop i64
-- columns: funds i64, total i64, filled i64, open_qty i64, cancelled i64, prevented i64
-- columns: notional u256?, lot_lock i64, state i64, reason i64, place i64?, accepted_seq i64
-- columns: accepted_at time, changed_seq i64, changed_at time
SELECT id, account, pair, side, type, tif, price, stop, funds, total, filled, open_qty, cancelled,
       prevented, notional, lot_lock, state, reason, place, accepted_seq, accepted_at, changed_seq,
       changed_at
FROM trading_orders WHERE state <= 2 ORDER BY pair, side, price, place;

-- statement: projections_order_insert
-- doc: adds an order
-- rows: load
-- params: id i64, account i64, pair i64, side i64, type i64, tif i64, price i64, stop i64
-- params: funds i64, total i64, filled i64, open_qty i64, cancelled i64, prevented i64
-- params: notional u256?, lot_lock i64, state i64, reason i64, place i64?, accepted_seq i64
-- params: accepted_at time, changed_seq i64, changed_at time
INSERT INTO trading_orders (id, account, pair, side, type, tif, price, stop, funds, total, filled,
                            open_qty, cancelled, prevented, notional, lot_lock, state, reason,
                            place, accepted_seq, accepted_at, changed_seq, changed_at)
VALUES (:id, :account, :pair, :side, :type, :tif, :price, :stop, :funds, :total, :filled,
        :open_qty, :cancelled, :prevented, :notional, :lot_lock, :state, :reason, :place,
        :accepted_seq, :accepted_at, :changed_seq, :changed_at);

-- statement: projections_order_update
-- doc: changes what changes of an order
-- rows: set
-- params: id i64, price i64, total i64, filled i64, open_qty i64, cancelled i64, prevented i64
-- params: notional u256?, lot_lock i64, state i64, reason i64, place i64?, changed_seq i64
-- params: changed_at time
UPDATE trading_orders
SET price = :price, total = :total, filled = :filled, open_qty = :open_qty,
    cancelled = :cancelled, prevented = :prevented, notional = :notional, lot_lock = :lot_lock,
    state = :state, reason = :reason, place = :place, changed_seq = :changed_seq,
    changed_at = :changed_at
WHERE id = :id;

-- statement: projections_trade_insert
-- doc: adds a trade
-- rows: load
-- params: id i64, at time, seq i64, pair i64, price i64, qty i64, taker_side i64, auction bool
-- params: maker_order i64, taker_order i64, maker_account i64, taker_account i64, amount i64
-- params: maker_fee i64, taker_fee i64
INSERT INTO trading_trades (id, at, seq, pair, price, qty, taker_side, auction, maker_order,
                            taker_order, maker_account, taker_account, amount, maker_fee,
                            taker_fee)
VALUES (:id, :at, :seq, :pair, :price, :qty, :taker_side, :auction, :maker_order, :taker_order,
        :maker_account, :taker_account, :amount, :maker_fee, :taker_fee);

-- statement: projections_movement_insert
-- doc: adds a movement of money
-- rows: load
-- params: seq i64, at time, kind i64, id i64, account i64, receiver i64?, asset i64, amount i64
INSERT INTO trading_movements (seq, at, kind, id, account, receiver, asset, amount)
VALUES (:seq, :at, :kind, :id, :account, :receiver, :asset, :amount);

-- statement: projections_balances
-- doc: lists the balances
-- columns: account i64, asset i64, total i64, locked i64
SELECT account, asset, total, locked FROM trading_balances ORDER BY account, asset;

-- statement: projections_balance_write
-- doc: sets a balance
-- rows: set
-- params: account i64, asset i64, total i64, locked i64
INSERT INTO trading_balances (account, asset, total, locked)
VALUES (:account, :asset, :total, :locked)
ON CONFLICT (account, asset) DO UPDATE SET total = excluded.total, locked = excluded.locked;

-- statement: projections_trade_transfers
-- doc: lists the transfers of the venue's ledger that are trades with ids in (after, upto], in
-- doc: order: debit gives, credit receives
-- params: after i64, upto i64
-- columns: seq i64, id i64, leg i64, kind text, asset i64, debit i64, credit i64, amount i64
WITH settled AS (
    SELECT t.seq, t.id, t.amount, t.qty * p.lot_units AS lots, p.base, p.quote, p.fee_account,
           CASE t.taker_side WHEN 0 THEN t.taker_account ELSE t.maker_account END AS buyer,
           CASE t.taker_side WHEN 0 THEN t.maker_account ELSE t.taker_account END AS seller,
           CASE t.taker_side WHEN 0 THEN t.taker_fee ELSE t.maker_fee END AS buyer_fee,
           CASE t.taker_side WHEN 0 THEN t.maker_fee ELSE t.taker_fee END AS seller_fee
    FROM trading_trades t JOIN trading_pairs p ON p.pair = t.pair
    WHERE t.id > :after AND t.id <= :upto AND p.tick_units > 0
)
SELECT seq, id, 1 AS leg, 'base' AS kind, base AS asset, seller AS debit, buyer AS credit,
       lots AS amount
FROM settled
UNION ALL
SELECT seq, id, 2, 'quote', quote, buyer, seller, amount FROM settled
UNION ALL
SELECT seq, id, 3, 'buyer_fee', quote, buyer, fee_account, buyer_fee FROM settled
WHERE buyer_fee > 0
UNION ALL
SELECT seq, id, 4, 'seller_fee', quote, seller, fee_account, seller_fee FROM settled
WHERE seller_fee > 0
ORDER BY id, leg;

-- statement: projections_money_transfers
-- doc: lists the transfers of the venue's ledger without a trade behind a command, in order; -1 is
-- doc: outside. What is held and not posted has not moved.
-- params: after i64, limit i64
-- columns: seq i64, id i64, kind text, asset i64, debit i64, credit i64, amount i64
SELECT seq, id,
       CASE kind WHEN 15 THEN 'deposit' WHEN 16 THEN 'transfer'
       ELSE CASE WHEN receiver IS NULL THEN 'withdrawal' ELSE 'held_transfer' END END AS kind,
       asset, CASE kind WHEN 15 THEN -1 ELSE account END AS debit,
       CASE kind WHEN 15 THEN account ELSE coalesce(receiver, -1) END AS credit, amount
FROM trading_movements WHERE seq > :after AND kind IN (15, 16, 18)
ORDER BY seq LIMIT :limit;

-- statement: projections_locks
-- doc: lists what open orders and holds lock: units for each lot, and lots
-- columns: account i64, asset i64, per_lot i64, lots i64
SELECT o.account, CASE o.side WHEN 0 THEN p.quote ELSE p.base END AS asset, o.lot_lock AS per_lot,
       o.open_qty AS lots
FROM trading_orders o JOIN trading_pairs p ON p.pair = o.pair
WHERE o.state <= 2 AND o.lot_lock > 0
UNION ALL
SELECT account, asset, amount, CASE kind WHEN 17 THEN 1 ELSE -1 END
FROM trading_movements WHERE kind IN (17, 18, 19);

-- statement: projections_level_write
-- doc: sets a level of a book
-- rows: set
-- params: pair i64, side i64, price i64, qty i64, orders i64
INSERT INTO trading_levels (pair, side, price, qty, orders)
VALUES (:pair, :side, :price, :qty, :orders)
ON CONFLICT (pair, side, price) DO UPDATE SET qty = excluded.qty, orders = excluded.orders;

-- statement: projections_level_delete
-- doc: takes an empty level out of a book
-- rows: set
-- params: pair i64, side i64, price i64
DELETE FROM trading_levels WHERE pair = :pair AND side = :side AND price = :price;

-- statement: projections_delta_insert
-- doc: adds a change of a book
-- rows: load
-- params: pair i64, number i64, seq i64, changes text, checksum i64
INSERT INTO trading_deltas (pair, number, seq, changes, checksum)
VALUES (:pair, :number, :seq, :changes, :checksum);

-- statement: projections_delta_prune
-- doc: lets go of the changes of a book up to a number
-- rows: set
-- params: pair i64, upto i64
DELETE FROM trading_deltas WHERE pair = :pair AND number <= :upto;

-- statement: projections_candle_write
-- doc: sets a candle
-- rows: set
-- params: pair i64, span_sec i64, begins time, open i64, high i64, low i64, close i64
-- params: volume u256, notional u256, trades i64
INSERT INTO trading_candles (pair, span_sec, begins, open, high, low, close, volume, notional,
                             trades)
VALUES (:pair, :span_sec, :begins, :open, :high, :low, :close, :volume, :notional, :trades)
ON CONFLICT (pair, span_sec, begins) DO UPDATE
SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, notional = excluded.notional, trades = excluded.trades;

-- statement: projections_candles
-- doc: lists candles of a span that begin from a time on, by pair and time
-- params: span_sec i64, from time
-- columns: pair i64, begins time, open i64, high i64, low i64, close i64, volume u256
-- columns: notional u256, trades i64
SELECT pair, begins, open, high, low, close, volume, notional, trades
FROM trading_candles WHERE span_sec = :span_sec AND begins >= :from ORDER BY pair, begins;

-- statement: projections_statistics_write
-- doc: sets the statistics of a pair
-- rows: set
-- params: pair i64, open i64, high i64, low i64, close i64, volume u256, notional u256, trades i64
INSERT INTO trading_statistics (pair, open, high, low, close, volume, notional, trades)
VALUES (:pair, :open, :high, :low, :close, :volume, :notional, :trades)
ON CONFLICT (pair) DO UPDATE
SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, notional = excluded.notional, trades = excluded.trades;

-- statement: projections_clear_orders
-- doc: empties a table, to be made again
-- sqlite
DELETE FROM trading_orders;
-- postgres
TRUNCATE trading_orders;
-- both

-- statement: projections_clear_trades
-- doc: empties a table, to be made again
-- sqlite
DELETE FROM trading_trades;
-- postgres
TRUNCATE trading_trades;
-- both

-- statement: projections_clear_movements
-- doc: empties a table, to be made again
-- sqlite
DELETE FROM trading_movements;
-- postgres
TRUNCATE trading_movements;
-- both

-- statement: projections_clear_balances
-- doc: empties a table, to be made again
-- sqlite
DELETE FROM trading_balances;
-- postgres
TRUNCATE trading_balances;
-- both

-- statement: projections_clear_levels
-- doc: empties a table, to be made again
-- sqlite
DELETE FROM trading_levels;
-- postgres
TRUNCATE trading_levels;
-- both

-- statement: projections_clear_deltas
-- doc: empties a table, to be made again
-- sqlite
DELETE FROM trading_deltas;
-- postgres
TRUNCATE trading_deltas;
-- both

-- statement: projections_clear_candles
-- doc: empties a table, to be made again
-- sqlite
DELETE FROM trading_candles;
-- postgres
TRUNCATE trading_candles;
-- both

-- statement: projections_clear_statistics
-- doc: empties a table, to be made again
-- sqlite
DELETE FROM trading_statistics;
-- postgres
TRUNCATE trading_statistics;
-- both

-- statement: projections_clear_pairs
-- doc: empties a table, to be made again
-- sqlite
DELETE FROM trading_pairs;
-- postgres
TRUNCATE trading_pairs;
-- both

-- statement: projections_clear_cursor
-- doc: puts the cursor before the first command
UPDATE trading_cursor SET seq = 0, trades = 0, places = 0,
-- sqlite
    venue_time = 0
-- postgres
    venue_time = 'epoch'
-- both
WHERE single = 1;
