-- What bench/index keeps of a token: the balance of each account.

-- up

CREATE TABLE transfers_balances (
    account @address NOT NULL PRIMARY KEY,
    balance @u256 NOT NULL
);
-- projection: transfers_balances (account)

-- down

DROP TABLE transfers_balances;
