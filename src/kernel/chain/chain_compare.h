/*
 * chain_compare.h: are the stored events those of the chain?
 *
 * A range of blocks is read again as the follower reads it (chain.h, `verify`), and what came out
 * is compared with the rows: number, log index, block, transaction, contract, type and data. Of the
 * stored rows a digest is made, so that two installations compare in one number.
 *
 * Nothing is written. A daemon may work beside it: a range that differs is read a second time, so
 * that a reorganisation in between is not taken for a difference.
 */
#ifndef KERNEL_CHAIN_CHAIN_COMPARE_H
#define KERNEL_CHAIN_CHAIN_COMPARE_H

#include "kernel/chain/chain.h"

struct chain_comparison {
    uint64_t from; /* blocks that were compared, both included */
    uint64_t to;
    uint64_t events;    /* rows in them */
    struct hash digest; /* of these rows, in order; of equal ranges alone it is the chain's too */
    bool equal;
    uint64_t block; /* of the first event that differs */
    uint32_t log_index;
    const char *difference; /* what about it, for a sentence */
};

/*
 * chain_compare compares the blocks from..to, as far as they were applied, with a follower that was
 * not started. Errors: ERR_NOT_FOUND (nothing was applied), ERR_CONFLICT (the applied blocks are
 * not the chain's: a reorganisation that is not undone yet), node and store errors.
 */
enum err chain_compare(struct chain *chain, uint64_t from, uint64_t to,
                       struct chain_comparison *out, struct why *why) ERR_CHECKED;

#endif
