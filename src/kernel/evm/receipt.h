/*
 * receipt.h: what of a receipt a block's header commits to.
 *
 * The consensus form (Yellow Paper, 4.3.1; EIP-658, EIP-2718): a byte for the type, unless it is a
 * legacy transaction's, then status (before Byzantium a state root), gas used so far in the block,
 * bloom, and of each log address, topics and data. All types have that form, also those of later
 * forks and of other chains so far; OP-stack chains add nonce and version to the receipts of
 * deposits since Canyon, and put the nonce into answers, not into the receipt, before it.
 *
 * Everything else that nodes write into a receipt (hashes, addresses, places, prices) is not
 * committed to here and has to follow from something else: see proof.h.
 */
#ifndef KERNEL_EVM_RECEIPT_H
#define KERNEL_EVM_RECEIPT_H

#include "kernel/evm/block.h"

/* The last type of Ethereum through Prague (EIP-7702). */
#define RECEIPT_TYPE_PRAGUE 4
/* The type of a deposit from the layer below, on OP-stack chains. */
#define RECEIPT_TYPE_DEPOSIT 0x7e
/* The largest type that EIP-2718 allows. */
#define RECEIPT_TYPE_MAX 0x7f

struct receipt {
    uint8_t type;
    bool has_state_root; /* before Byzantium, instead of a status */
    struct hash state_root;
    bool succeeded;
    uint64_t gas_cumulative;
    uint8_t bloom[EVM_BLOOM_BYTES];
    bool has_deposit; /* the two that follow are part of it */
    uint64_t deposit_nonce;
    uint64_t deposit_version;
    struct hash tx_hash; /* claimed, not part of the consensus form */
    struct evm_log *logs;
    size_t log_count;
};

/*
 * receipt_parse reads the object that eth_getBlockReceipts and eth_getTransactionReceipt give. A
 * bloom that is missing is computed. Owns: logs in the arena. Errors: ERR_NODE_RESPONSE.
 */
enum err receipt_parse(struct arena *arena, const struct json *v, struct receipt *out,
                       struct why *why) ERR_CHECKED;
/* receipt_type_known says whether the form of receipts of a type is known for sure. */
bool receipt_type_known(uint8_t type);
/* receipt_encode appends the consensus form. */
void receipt_encode(struct buf *out, const struct receipt *r);
/* receipts_root computes what the header of a block with these receipts says. */
struct hash receipts_root(struct arena *scratch, const struct receipt *receipts, size_t count);

#endif
