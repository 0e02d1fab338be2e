/*
 * bloom.h: the filter of a block's logs (Yellow Paper, 4.3.1): three of 2048 bits for each address
 * and topic. What it does not admit was not logged; what it admits may have been.
 */
#ifndef KERNEL_EVM_BLOOM_H
#define KERNEL_EVM_BLOOM_H

#include "kernel/crypto/hash.h"

#define EVM_BLOOM_BYTES 256

/* The three bits that an item sets in a bloom; kept where many blooms are asked for one item. */
struct evm_bloom_bits {
    uint16_t bit[3];
};

/* evm_bloom_bits_of hashes an item (address or topic). */
struct evm_bloom_bits evm_bloom_bits_of(struct slice item);
/* evm_bloom_has says whether the bloom allows an item with these bits; false is proof. */
bool evm_bloom_has(const uint8_t bloom[EVM_BLOOM_BYTES], const struct evm_bloom_bits *bits);
/* evm_bloom_may_hold says whether the bloom allows an item; false is proof. */
bool evm_bloom_may_hold(const uint8_t bloom[EVM_BLOOM_BYTES], struct slice item);
/* evm_bloom_add sets the bits of an item. */
void evm_bloom_add(uint8_t bloom[EVM_BLOOM_BYTES], struct slice item);

#endif
