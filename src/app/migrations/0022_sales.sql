-- Sales of asset tokens and the bids on them, as the chain tells them (leasing_chain_sales.c). A
-- database that followed a marketplace before is to be indexed again: freehold reindex.

-- up

-- `remaining` is what is still for sale of `amount`. The tokens stay with the seller.
CREATE TABLE token_sales (
    chain_id @i64 NOT NULL,
    marketplace @address NOT NULL,
    sale_id @u256 NOT NULL,
    seller @address NOT NULL,
    token @address NOT NULL,
    amount @u256 NOT NULL,
    remaining @u256 NOT NULL,
    ask_price @u256 NOT NULL,
    status @text NOT NULL CHECK (status IN ('active', 'sold', 'cancelled')),
    block_number @i64 NOT NULL,
    transaction_hash @hash NOT NULL,
    PRIMARY KEY (chain_id, marketplace, sale_id)
);
CREATE INDEX idx_token_sales_seller ON token_sales (chain_id, seller);
CREATE INDEX idx_token_sales_token ON token_sales (chain_id, token);
-- projection: token_sales (chain_id, marketplace, sale_id)

-- `price` is in stablecoin units for a whole token; `funds` are in escrow while a bid is active.
CREATE TABLE sale_bids (
    chain_id @i64 NOT NULL,
    marketplace @address NOT NULL,
    sale_id @u256 NOT NULL,
    bid_index @u256 NOT NULL,
    bidder @address NOT NULL,
    amount @u256 NOT NULL,
    price @u256 NOT NULL,
    funds @u256 NOT NULL,
    status @text NOT NULL CHECK (status IN ('active', 'accepted', 'refunded', 'withdrawn')),
    block_number @i64 NOT NULL,
    transaction_hash @hash NOT NULL,
    PRIMARY KEY (chain_id, marketplace, sale_id, bid_index)
);
CREATE INDEX idx_sale_bids_bidder ON sale_bids (chain_id, bidder);
-- projection: sale_bids (chain_id, marketplace, sale_id, bid_index)

-- down
DROP TABLE sale_bids;
DROP TABLE token_sales;
