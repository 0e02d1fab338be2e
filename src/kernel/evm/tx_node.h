/*
 * tx_node.h: transactions as nodes give them, written back to the bytes whose hash they are named
 * by and that a block's header commits to.
 *
 * All types of Ethereum through Prague and the deposits of OP-stack chains. Nothing of a signature
 * is checked: that a header commits to the bytes says more.
 */
#ifndef KERNEL_EVM_TX_NODE_H
#define KERNEL_EVM_TX_NODE_H

#include "kernel/base/json.h"
#include "kernel/crypto/hash.h"

/*
 * tx_node_encode appends the bytes of a transaction object; `out` is as it was on failure. Errors:
 * ERR_NODE_RESPONSE (member missing or malformed), ERR_NODE_UNKNOWN (a type that is not known
 * here: of a later fork, or of this chain alone).
 */
enum err tx_node_encode(struct arena *scratch, const struct json *v, struct buf *out,
                        struct why *why) ERR_CHECKED;

#endif
