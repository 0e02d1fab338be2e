-- Statements of the test handlers of the chain tests.

-- statement: trace_journal_add
-- doc: Writes down that an event was applied, behind all others.
-- params: event_id text, block_number i64, log_index i64
INSERT INTO trace_journal (position, event_id, block_number, log_index)
VALUES ((SELECT COALESCE(MAX(position), 0) + 1 FROM trace_journal), :event_id, :block_number,
        :log_index);

-- statement: trace_token_add
-- doc: A factory made a token.
-- params: token address, factory address
INSERT INTO trace_tokens (token, factory) VALUES (:token, :factory);

-- statement: trace_balance_get
-- doc: The balance of a holder.
-- params: token address, holder address
-- columns: balance u256
SELECT balance FROM trace_balances WHERE token = :token AND holder = :holder;

-- statement: trace_balance_put
-- doc: Sets the balance of a holder.
-- params: token address, holder address, balance u256
INSERT INTO trace_balances (token, holder, balance) VALUES (:token, :holder, :balance)
ON CONFLICT (token, holder) DO UPDATE SET balance = EXCLUDED.balance;

-- statement: trace_balance_drop
-- doc: A holder has nothing left.
-- params: token address, holder address
DELETE FROM trace_balances WHERE token = :token AND holder = :holder;
