/*
 * trie.h: the root of a Merkle-Patricia trie (Yellow Paper, appendix D) over items in memory.
 *
 * Headers commit to their transactions and receipts by such roots. Only the root is computed: no
 * node is kept, and a proof of a single item is not made. Nodes shorter than a hash stand in their
 * parent themselves, as everywhere.
 *
 * Pure functions. The recursion is as deep as a key has nibbles, TRIE_KEY_MAX * 2.
 */
#ifndef KERNEL_EVM_TRIE_H
#define KERNEL_EVM_TRIE_H

#include "kernel/base/mem.h"
#include "kernel/crypto/hash.h"

#define TRIE_KEY_MAX 32

struct trie_item {
    struct slice key;   /* at most TRIE_KEY_MAX bytes */
    struct slice value; /* not empty: an empty value is no item */
};

/* trie_root sorts the items by key and returns the root. Keys are distinct (ASSERT). */
struct hash trie_root(struct arena *scratch, struct trie_item *items, size_t count);
/* trie_root_of_list returns the root over values whose keys are their places, as RLP. */
struct hash trie_root_of_list(struct arena *scratch, const struct slice *values, size_t count);

#endif
