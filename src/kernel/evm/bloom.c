#include "kernel/evm/bloom.h"

static uint8_t mask_of(unsigned bit)
{
    return (uint8_t)(1u << (bit % 8));
}

void evm_bloom_add(uint8_t bloom[EVM_BLOOM_BYTES], struct slice item)
{
    struct evm_bloom_bits bits = evm_bloom_bits_of(item);
    for (size_t i = 0; i < 3; i++) {
        bloom[EVM_BLOOM_BYTES - 1 - bits.bit[i] / 8] |= mask_of(bits.bit[i]);
    }
}

struct evm_bloom_bits evm_bloom_bits_of(struct slice item)
{
    struct hash h = keccak256(item);
    struct evm_bloom_bits bits;
    for (size_t i = 0; i < 3; i++) {
        bits.bit[i] = (uint16_t)(((unsigned)h.bytes[2 * i] << 8 | h.bytes[2 * i + 1]) & 2047);
    }
    return bits;
}

bool evm_bloom_has(const uint8_t bloom[EVM_BLOOM_BYTES], const struct evm_bloom_bits *bits)
{
    for (size_t i = 0; i < 3; i++) {
        unsigned bit = bits->bit[i];
        if ((bloom[EVM_BLOOM_BYTES - 1 - bit / 8] >> (bit % 8) & 1) == 0) {
            return false;
        }
    }
    return true;
}

bool evm_bloom_may_hold(const uint8_t bloom[EVM_BLOOM_BYTES], struct slice item)
{
    struct evm_bloom_bits bits = evm_bloom_bits_of(item);
    return evm_bloom_has(bloom, &bits);
}
