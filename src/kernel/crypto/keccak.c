#include "kernel/crypto/hash.h"

#include "kernel/base/check.h"

#define RATE 136
#define ROUNDS 24

static const uint64_t round_constant[ROUNDS] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

static inline uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

/* chi mixes one row of five lanes, the only non-linear step. */
static inline __attribute__((always_inline)) void chi(uint64_t *out, uint64_t b0, uint64_t b1,
                                                      uint64_t b2, uint64_t b3, uint64_t b4)
{
    out[0] = b0 ^ (~b1 & b2);
    out[1] = b1 ^ (~b2 & b3);
    out[2] = b2 ^ (~b3 & b4);
    out[3] = b3 ^ (~b4 & b0);
    out[4] = b4 ^ (~b0 & b1);
}

/*
 * One round from `a` to `e`. Lane (x, y) is a[x + 5y]. Rho and pi are folded into the reads: row Y
 * of chi takes lane ((X + 3Y) mod 5, X) for X = 0..4. Every index is a constant, so that the
 * compiler keeps the lanes in registers where it can.
 */
static inline __attribute__((always_inline)) void round_step(const uint64_t a[25], uint64_t e[25],
                                                             uint64_t constant)
{
    const uint64_t c0 = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20];
    const uint64_t c1 = a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21];
    const uint64_t c2 = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22];
    const uint64_t c3 = a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23];
    const uint64_t c4 = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24];
    const uint64_t d0 = c4 ^ rotate(c1, 1);
    const uint64_t d1 = c0 ^ rotate(c2, 1);
    const uint64_t d2 = c1 ^ rotate(c3, 1);
    const uint64_t d3 = c2 ^ rotate(c4, 1);
    const uint64_t d4 = c3 ^ rotate(c0, 1);

    chi(e, a[0] ^ d0, rotate(a[6] ^ d1, 44), rotate(a[12] ^ d2, 43), rotate(a[18] ^ d3, 21),
        rotate(a[24] ^ d4, 14));
    e[0] ^= constant;
    chi(e + 5, rotate(a[3] ^ d3, 28), rotate(a[9] ^ d4, 20), rotate(a[10] ^ d0, 3),
        rotate(a[16] ^ d1, 45), rotate(a[22] ^ d2, 61));
    chi(e + 10, rotate(a[1] ^ d1, 1), rotate(a[7] ^ d2, 6), rotate(a[13] ^ d3, 25),
        rotate(a[19] ^ d4, 8), rotate(a[20] ^ d0, 18));
    chi(e + 15, rotate(a[4] ^ d4, 27), rotate(a[5] ^ d0, 36), rotate(a[11] ^ d1, 10),
        rotate(a[17] ^ d2, 15), rotate(a[23] ^ d3, 56));
    chi(e + 20, rotate(a[2] ^ d2, 62), rotate(a[8] ^ d3, 55), rotate(a[14] ^ d4, 39),
        rotate(a[15] ^ d0, 41), rotate(a[21] ^ d1, 2));
}

static void permute(uint64_t state[25])
{
    uint64_t a[25], e[25];
    memcpy(a, state, sizeof(a));
    for (unsigned i = 0; i < ROUNDS; i += 2) {
        round_step(a, e, round_constant[i]);
        round_step(e, a, round_constant[i + 1]);
    }
    memcpy(state, a, sizeof(a));
}

static void absorb(uint64_t state[25], const uint8_t block[RATE])
{
    for (unsigned i = 0; i < RATE / 8; i++) {
        uint64_t lane;
        memcpy(&lane, block + 8 * i, sizeof(lane));
        state[i] ^= lane;
    }
    permute(state);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lanes are read in host byte order");

void keccak_init(struct keccak *k)
{
    memset(k->state, 0, sizeof(k->state));
    k->fill = 0;
}

void keccak_update(struct keccak *k, struct slice bytes)
{
    ASSERT(k->fill < RATE);
    if (bytes.len == 0) {
        return;
    }
    if (k->fill > 0) {
        size_t take = RATE - k->fill < bytes.len ? RATE - k->fill : bytes.len;
        memcpy(k->block + k->fill, bytes.ptr, take);
        k->fill += take;
        bytes = slice_of(bytes.ptr + take, bytes.len - take);
        if (k->fill < RATE) {
            return;
        }
        absorb(k->state, k->block);
        k->fill = 0;
    }
    while (bytes.len >= RATE) {
        absorb(k->state, bytes.ptr);
        bytes = slice_of(bytes.ptr + RATE, bytes.len - RATE);
    }
    if (bytes.len > 0) {
        memcpy(k->block, bytes.ptr, bytes.len);
        k->fill = bytes.len;
    }
}

void keccak_final(struct keccak *k, struct hash *out)
{
    ASSERT(k->fill < RATE);
    memset(k->block + k->fill, 0, RATE - k->fill);
    k->block[k->fill] = 0x01; /* Keccak's own padding; SHA3 would begin with 0x06 */
    k->block[RATE - 1] |= 0x80;
    absorb(k->state, k->block);
    memcpy(out->bytes, k->state, HASH_BYTES);
    k->fill = RATE; /* a second use without keccak_init trips the assertions above */
}

struct hash keccak256(struct slice bytes)
{
    struct keccak k;
    struct hash out;
    keccak_init(&k);
    keccak_update(&k, bytes);
    keccak_final(&k, &out);
    return out;
}
