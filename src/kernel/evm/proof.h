/*
 * proof.h: what a verified header proves of the answers that belong to its block.
 *
 * A header whose hash was recomputed (block.h) commits to its transactions and receipts by the
 * roots of two tries. A list of receipts with that root is the block's, in its order: with it every
 * log, its place in the block and its data are proven. The hashes of the transactions are not in
 * the receipts; a list of transactions with the header's other root proves them.
 *
 * What nodes repeat in each log (block, transaction, places) is compared with what is proven, so
 * that a log taken from here can be used as it is.
 *
 * Errors of both: ERR_NODE_LIED (what is there contradicts the header, or itself),
 * ERR_NODE_RESPONSE (malformed), ERR_NODE_UNKNOWN (this chain commits to something that is not
 * known here).
 */
#ifndef KERNEL_EVM_PROOF_H
#define KERNEL_EVM_PROOF_H

#include "kernel/evm/block.h"

/*
 * proof_of_receipts takes all receipts of a block, in its order, and gives their logs. The hashes
 * of the transactions are what the receipts claim; out_txs (one a receipt) gives these. Owns: the
 * arena.
 */
enum err proof_of_receipts(struct arena *arena, const struct json *const *receipts, size_t count,
                           const struct evm_header *header, struct evm_log **out_logs,
                           size_t *out_log_count, struct hash **out_txs,
                           struct why *why) ERR_CHECKED;

/*
 * proof_of_transactions takes the transactions of a block (objects, in its order) and gives their
 * hashes; of one without a signature, which only development chains have, the name that the node
 * gives it. Owns: the arena.
 */
enum err proof_of_transactions(struct arena *arena, const struct json *list,
                               const struct evm_header *header, struct hash **out_hashes,
                               size_t *out_count, struct why *why) ERR_CHECKED;

#endif
