/*
 * block.h: headers, receipts and logs as nodes give them.
 *
 * Parsing is from JSON-RPC objects. A header can be checked by recomputing its hash (Ethereum
 * through Prague, OP-stack chains, Avalanche's C-Chain). When the hash differs and the object has
 * fields that are not known here, the answer is "cannot verify" (a later fork may hash them), never
 * "valid". What a verified header proves in its turn is in proof.h.
 */
#ifndef KERNEL_EVM_BLOCK_H
#define KERNEL_EVM_BLOCK_H

#include "kernel/base/json.h"
#include "kernel/base/mem.h"
#include "kernel/base/money.h"
#include "kernel/crypto/secp256k1.h"
#include "kernel/evm/bloom.h"

#define EVM_TOPICS_MAX 4

struct evm_log {
    struct address address;
    struct hash topics[EVM_TOPICS_MAX];
    uint8_t topic_count;
    struct slice data;
    uint64_t block_number;
    struct hash block_hash;
    struct hash tx_hash;
    uint32_t tx_index;
    uint32_t log_index;
    bool removed;
};

struct evm_header {
    uint64_t number;
    struct hash hash;
    struct hash parent_hash;
    int64_t time_sec;
    struct hash transactions_root;
    struct hash receipts_root;
    uint8_t bloom[EVM_BLOOM_BYTES];
    bool has_base_fee;
    struct wei_amount base_fee;
    uint64_t gas_limit;
    uint64_t gas_used;
};

struct evm_receipt {
    struct hash tx_hash;
    struct hash block_hash;
    uint64_t block_number;
    uint32_t tx_index;
    struct address from;
    bool has_to;
    struct address to;
    bool has_contract;
    struct address contract; /* created by the transaction */
    bool succeeded;
    uint64_t gas_used;
    struct wei_amount gas_price; /* effective */
    struct evm_log *logs;
    size_t log_count;
};

/* evm_header_parse reads eth_getBlockByNumber's object. Errors: ERR_NODE_RESPONSE. */
enum err evm_header_parse(const struct json *v, struct evm_header *out,
                          struct why *why) ERR_CHECKED;
/*
 * evm_header_encode appends the RLP whose hash is the block's. `out` is as it was on failure.
 * Errors: ERR_NODE_RESPONSE (field missing or malformed).
 */
enum err evm_header_encode(struct arena *scratch, const struct json *v, struct buf *out,
                           struct why *why) ERR_CHECKED;
/*
 * evm_header_verify recomputes the hash from the fields of the JSON object and compares.
 * Errors: ERR_CORRUPT (differs), ERR_NODE_RESPONSE (field missing or malformed), ERR_NODE_UNKNOWN
 * (differs, and has unknown fields that may be part of the hash).
 */
enum err evm_header_verify(struct arena *scratch, const struct json *v,
                           struct why *why) ERR_CHECKED;
/* evm_log_parse reads one log object. Owns: data in the arena. Errors: ERR_NODE_RESPONSE. */
enum err evm_log_parse(struct arena *arena, const struct json *v, struct evm_log *out,
                       struct why *why) ERR_CHECKED;
/* evm_receipt_parse reads eth_getTransactionReceipt's object. Errors: ERR_NODE_RESPONSE. */
enum err evm_receipt_parse(struct arena *arena, const struct json *v, struct evm_receipt *out,
                           struct why *why) ERR_CHECKED;

#endif
