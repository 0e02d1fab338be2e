-- Statements of bench/index: the balances of a token's accounts.

-- statement: transfers_find
-- doc: finds the balances of accounts
-- rows: set
-- params: account address
-- columns: account address, balance u256
SELECT b.account, b.balance FROM @rows JOIN transfers_balances b ON b.account = :account;

-- statement: transfers_put
-- doc: sets the balances of accounts
-- rows: set
-- params: account address, balance u256
INSERT INTO transfers_balances (account, balance) VALUES (:account, :balance)
ON CONFLICT (account) DO UPDATE SET balance = excluded.balance;

-- statement: transfers_list
-- doc: lists all balances by account
-- columns: account address, balance u256
SELECT account, balance FROM transfers_balances ORDER BY account;
