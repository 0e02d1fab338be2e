#include "kernel/rpc/rpc.h"

#include "unit/test.h"

struct row {
    const char *node;
    const char *said;
    enum rpc_verdict verdict;
};

/* What the nodes' own sources and documentation say, word by word. */
static const struct row rows[] = {
    {"geth", "already known", RPC_SENT},
    {"geth", "nonce too low: next nonce 12, tx nonce 11", RPC_NONCE_TOO_LOW},
    {"geth", "nonce too low", RPC_NONCE_TOO_LOW},
    {"geth", "nonce too high: address 0x00, tx: 9 state: 2", RPC_NONCE_TOO_HIGH},
    {"geth", "nonce has max value: address 0x00, nonce: 18446744073709551615", RPC_REFUSED},
    {"geth", "replacement transaction underpriced", RPC_UNDERPRICED},
    {"geth", "replacement transaction underpriced: new tx gas fee cap 1 < 2 queued + 10%",
     RPC_UNDERPRICED},
    {"geth", "transaction underpriced: gas tip cap 0, minimum needed 1000000", RPC_UNDERPRICED},
    {"geth", "max fee per gas less than block base fee: address 0x0, maxFeePerGas: 1, baseFee: 7",
     RPC_UNDERPRICED},
    {"geth", "max priority fee per gas higher than max fee per gas: address 0x0", RPC_REFUSED},
    {"geth", "insufficient funds for gas * price + value: balance 0, tx cost 21000, overshot 21000",
     RPC_INSUFFICIENT_FUNDS},
    {"geth", "insufficient funds for transfer", RPC_INSUFFICIENT_FUNDS},
    {"geth", "intrinsic gas too low: gas 20000, minimum needed 21000", RPC_REFUSED},
    {"geth", "exceeds block gas limit", RPC_REFUSED},
    {"geth", "tx fee (1.20 ether) exceeds the configured cap (1.00 ether)", RPC_REFUSED},
    {"geth", "only replay-protected (EIP-155) transactions allowed over RPC", RPC_REFUSED},
    {"geth", "invalid sender", RPC_REFUSED},
    {"geth", "invalid chain id for signer: have 5 want 1", RPC_REFUSED},
    {"geth", "oversized data: transaction size 140000, limit 131072", RPC_REFUSED},
    {"geth", "max initcode size exceeded: code size 50000, limit 49152", RPC_REFUSED},
    {"geth", "rlp: value size exceeds available input length", RPC_REFUSED},
    {"geth", "transaction type not supported", RPC_REFUSED},
    {"geth", "txpool is full", RPC_TRY_AGAIN},
    {"geth", "future transaction tries to replace pending", RPC_TRY_AGAIN},
    {"erigon", "existing tx with same hash", RPC_SENT},
    {"erigon", "could not replace existing tx", RPC_UNDERPRICED},
    {"erigon", "fee too low", RPC_UNDERPRICED},
    {"erigon", "underpriced", RPC_UNDERPRICED},
    {"erigon", "pending sub-pool is full", RPC_TRY_AGAIN},
    {"erigon", "insufficient funds", RPC_INSUFFICIENT_FUNDS},
    {"nethermind", "AlreadyKnown", RPC_SENT},
    {"nethermind", "OldNonce, Current nonce: 5, nonce of rejected tx: 3", RPC_NONCE_TOO_LOW},
    {"nethermind", "NonceGap, Future nonce. Expected nonce: 7", RPC_NONCE_TOO_HIGH},
    {"nethermind", "FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 7", RPC_UNDERPRICED},
    {"nethermind", "FeeTooLowToCompete", RPC_UNDERPRICED},
    {"nethermind", "ReplacementNotAllowed", RPC_UNDERPRICED},
    {"nethermind", "OwnNonceAlreadyUsed", RPC_UNDERPRICED},
    {"nethermind", "InsufficientFunds, Account balance: 0, cumulative cost: 2100",
     RPC_INSUFFICIENT_FUNDS},
    {"nethermind", "GasLimitExceeded, Gas limit: 1, gas limit of rejected tx: 2", RPC_REFUSED},
    {"nethermind", "SenderIsContract", RPC_REFUSED},
    {"nethermind", "Synchronizing", RPC_TRY_AGAIN},
    {"besu", "Known transaction", RPC_SENT},
    {"besu", "Nonce too low", RPC_NONCE_TOO_LOW},
    {"besu", "Nonce too far in the future", RPC_NONCE_TOO_HIGH},
    {"besu", "Replacement transaction underpriced", RPC_UNDERPRICED},
    {"besu", "Gas price below configured minimum gas price", RPC_UNDERPRICED},
    {"besu", "Gas price below current base fee", RPC_UNDERPRICED},
    {"besu", "Upfront cost exceeds account balance", RPC_INSUFFICIENT_FUNDS},
    {"besu", "Intrinsic gas exceeds gas limit", RPC_REFUSED},
    {"besu", "Transaction gas limit exceeds block gas limit", RPC_REFUSED},
    {"besu", "Wrong chainId", RPC_REFUSED},
    {"besu", "Invalid signature", RPC_REFUSED},
    {"besu", "Transaction fee cap exceeded", RPC_REFUSED},
    {"reth", "already known", RPC_SENT},
    {"reth", "nonce too low: next nonce 3, tx nonce 2", RPC_NONCE_TOO_LOW},
    {"reth", "transaction underpriced", RPC_UNDERPRICED},
    {"reth", "max fee per gas less than block base fee", RPC_UNDERPRICED},
    {"reth", "insufficient funds for gas * price + value: have 0 want 21000",
     RPC_INSUFFICIENT_FUNDS},
    {"reth", "txpool is full", RPC_TRY_AGAIN},
    {"reth", "failed to decode signed transaction", RPC_REFUSED},
    {"anvil", "transaction already imported", RPC_SENT},
    {"anvil", "nonce too low", RPC_NONCE_TOO_LOW},
    {"anvil", "replacement transaction underpriced", RPC_UNDERPRICED},
    {"anvil", "max fee per gas less than block base fee", RPC_UNDERPRICED},
    {"anvil", "Insufficient funds for gas * price + value", RPC_INSUFFICIENT_FUNDS},
    {"anvil", "intrinsic gas too low", RPC_REFUSED},
    {"anvil", "intrinsic gas too high -- tx.gas_limit > env.block.gas_limit", RPC_REFUSED},
    {"anvil", "invalid chain id for signer", RPC_REFUSED},
    {"anvil", "Failed to decode transaction", RPC_REFUSED},
    {"nitro", "sequencer pending tx pool full, please try again", RPC_TRY_AGAIN},
    {"hardhat", "Sender doesn't have enough funds to send tx. The max upfront cost is: 1",
     RPC_INSUFFICIENT_FUNDS},
    {"hardhat", "maxFeePerGas (1) is too low for the next block, which has a baseFeePerGas of 7",
     RPC_UNDERPRICED},
    {"openethereum", "Transaction with the same hash was already imported.", RPC_SENT},
    {"openethereum", "Transaction nonce is too low. Try incrementing the nonce.",
     RPC_NONCE_TOO_LOW},
    {"openethereum",
     "Transaction gas price 1 is too low. There is another transaction with same nonce in the "
     "queue with gas price 2.",
     RPC_UNDERPRICED},
    {"openethereum",
     "Insufficient funds. The account you tried to send transaction from does not have enough "
     "funds.",
     RPC_INSUFFICIENT_FUNDS},
    {"nobody", "internal error", RPC_TRY_AGAIN},
    {"nobody", "", RPC_TRY_AGAIN},
    {"nobody", "the moon is in the wrong house", RPC_TRY_AGAIN},
};

static void test_words_of_nodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct why why;
        (void)why_set(&why, ERR_NODE_ERROR, NULL, "The node answered: %s (code -32000)",
                      rows[i].said);
        enum rpc_verdict verdict = rpc_send_verdict(ERR_NODE_ERROR, &why);
        if (verdict != rows[i].verdict) {
            print_error("%s: \"%s\" is read as %d\n", rows[i].node, rows[i].said, (int)verdict);
        }
        assert_int_equal(verdict, rows[i].verdict);
    }
}

static void test_codes(void **state)
{
    (void)state;
    static const struct {
        int code;
        enum rpc_verdict verdict;
    } codes[] = {{-32700, RPC_REFUSED},  {-32600, RPC_REFUSED},   {-32601, RPC_REFUSED},
                 {-32602, RPC_REFUSED},  {-32603, RPC_TRY_AGAIN}, {-32000, RPC_TRY_AGAIN},
                 {-32010, RPC_TRY_AGAIN}};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct why why;
        (void)why_set(&why, ERR_NODE_ERROR, NULL, "The node answered: what (code %d)",
                      codes[i].code);
        assert_int_equal(rpc_send_verdict(ERR_NODE_ERROR, &why), codes[i].verdict);
    }
}

static void test_other_errors_judge_nothing(void **state)
{
    (void)state;
    static const enum err errors[] = {
        ERR_NODE_UNAVAILABLE, ERR_NODE_TIMEOUT, ERR_NODE_RESPONSE, ERR_NODE_RATE_LIMITED,
        ERR_WRONG_CHAIN,      ERR_REVERTED,     ERR_LIMIT,         ERR_CONFIG};
    struct why why;
    (void)why_set(&why, ERR_INTERNAL, NULL, "nonce too low");
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        assert_int_equal(rpc_send_verdict(errors[i], &why), RPC_TRY_AGAIN);
    }
    assert_int_equal(rpc_send_verdict(OK, &why), RPC_SENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_of_nodes),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_other_errors_judge_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
