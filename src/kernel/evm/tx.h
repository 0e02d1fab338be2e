/*
 * tx.h: transactions: EIP-1559 (type 2) and legacy with EIP-155.
 *
 * Access lists are never made and refused when read. A legacy transaction without a chain id could
 * be replayed on another chain: it is refused when read, and signing one is a bug (ASSERT).
 */
#ifndef KERNEL_EVM_TX_H
#define KERNEL_EVM_TX_H

#include "kernel/base/mem.h"
#include "kernel/base/money.h"
#include "kernel/crypto/secp256k1.h"

enum tx_kind {
    TX_LEGACY = 0,
    TX_EIP1559 = 2,
};

struct tx {
    enum tx_kind kind;
    uint64_t chain_id;
    uint64_t nonce;
    struct wei_amount fee_max;      /* maxFeePerGas; gasPrice of a legacy transaction */
    struct wei_amount fee_priority; /* maxPriorityFeePerGas; unused by legacy */
    uint64_t gas_limit;
    bool has_to; /* false: contract creation */
    struct address to;
    struct wei_amount value;
    struct slice data;
};

/* tx_signing_payload returns the bytes whose Keccak-256 the sender signs. Owns: the arena. */
struct slice tx_signing_payload(struct arena *arena, const struct tx *tx);

/* tx_signing_hash is what the sender signs. */
struct hash tx_signing_hash(struct arena *scratch, const struct tx *tx);

/* tx_attach returns the raw bytes with a signature that somebody else made. Owns: the arena. */
struct slice tx_attach(struct arena *arena, const struct tx *tx, const struct signature *signature);

/*
 * tx_sign returns the signed raw bytes for eth_sendRawTransaction and their hash.
 * Errors: ERR_CRYPTO.
 */
enum err tx_sign(struct arena *arena, const struct tx *tx, const struct secret *key,
                 struct slice *out_raw, struct hash *out_hash) ERR_CHECKED;

/*
 * tx_decode reads raw bytes back, with the sender recovered: the signer re-parses what it is about
 * to sign and send. Errors: ERR_INVALID_ENCODING, signature errors.
 */
enum err tx_decode(struct arena *arena, struct slice raw, struct tx *out, struct address *out_from,
                   struct hash *out_hash, struct why *why) ERR_CHECKED;

/*
 * tx_intrinsic_gas is the least gas limit that a node accepts: 21000, calldata, creation
 * (EIP-2028, EIP-3860) and the calldata floor (EIP-7623). Before Prague the floor does not apply;
 * the answer then is on the safe side. Units: gas.
 */
uint64_t tx_intrinsic_gas(const struct tx *tx);

#endif
