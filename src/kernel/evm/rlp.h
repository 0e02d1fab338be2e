/*
 * rlp.h: Recursive Length Prefix (Yellow Paper, appendix B).
 *
 * Decoding is strict: minimal lengths, no leading zeros in integers, no trailing bytes, bounded
 * depth and items. Encoding appends to a buf; a list is opened and closed, its length is patched
 * in when it closes.
 */
#ifndef KERNEL_EVM_RLP_H
#define KERNEL_EVM_RLP_H

#include "kernel/base/slice.h"
#include "kernel/base/u256.h"

#define RLP_DEPTH_MAX 16
#define RLP_ITEMS_MAX 1000000

struct rlp {
    bool is_list;
    struct slice bytes;      /* payload of a string, or the encoded payload of a list */
    const struct rlp *child; /* first item of a list */
    const struct rlp *next;
    uint32_t count;
};

/* rlp_decode reads exactly one item. Owns: the tree lives in the arena, slices borrow `bytes`.
 * Errors: ERR_INVALID_ENCODING. */
enum err rlp_decode(struct arena *arena, struct slice bytes, const struct rlp **out,
                    struct why *why) ERR_CHECKED;
/* rlp_u256 reads an item as an integer without leading zeros. Errors: ERR_INVALID_ENCODING. */
enum err rlp_u256(const struct rlp *item, struct u256 *out) ERR_CHECKED;
/* rlp_u64 reads an item as an integer. Errors: ERR_INVALID_ENCODING. */
enum err rlp_u64(const struct rlp *item, uint64_t *out) ERR_CHECKED;

/* rlp_add_bytes appends a string item. */
void rlp_add_bytes(struct buf *out, struct slice bytes);
/* rlp_add_u64 appends an integer item. */
void rlp_add_u64(struct buf *out, uint64_t value);
/* rlp_add_u256 appends an integer item. */
void rlp_add_u256(struct buf *out, struct u256 value);
/* rlp_begin_list opens a list and returns a mark for rlp_end_list. */
size_t rlp_begin_list(struct buf *out);
/* rlp_end_list closes the list opened at `mark`. */
void rlp_end_list(struct buf *out, size_t mark);

#endif
