#include "kernel/crypto/scrypt.h"

#include <openssl/evp.h>

#include "kernel/base/mem.h"

#define SALSA_WORDS 16 /* 64 bytes */
#define SALSA_ROUNDS 8
#define BYTES_MAX ((uint64_t)INT32_MAX) /* what PBKDF2 can be asked for */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read in host byte order");

static inline uint32_t rotate(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static inline void quarter(uint32_t *x, unsigned a, unsigned b, unsigned c, unsigned d)
{
    x[b] ^= rotate(x[a] + x[d], 7);
    x[c] ^= rotate(x[b] + x[a], 9);
    x[d] ^= rotate(x[c] + x[b], 13);
    x[a] ^= rotate(x[d] + x[c], 18);
}

/* salsa is the Salsa20/8 core: four double rounds, then the input is added. */
static void salsa(uint32_t block[SALSA_WORDS])
{
    uint32_t x[SALSA_WORDS];
    memcpy(x, block, sizeof(x));
    for (unsigned i = 0; i < SALSA_ROUNDS; i += 2) {
        quarter(x, 0, 4, 8, 12);
        quarter(x, 5, 9, 13, 1);
        quarter(x, 10, 14, 2, 6);
        quarter(x, 15, 3, 7, 11);
        quarter(x, 0, 1, 2, 3);
        quarter(x, 5, 6, 7, 4);
        quarter(x, 10, 11, 8, 9);
        quarter(x, 15, 12, 13, 14);
    }
    for (unsigned i = 0; i < SALSA_WORDS; i++) {
        block[i] += x[i];
    }
}

static inline void xor_words(uint32_t *to, const uint32_t *from, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        to[i] ^= from[i];
    }
}

/* block_mix turns 2 r salsa blocks of `in` into `out`: even results first, then the odd ones. */
static void block_mix(const uint32_t *in, uint32_t *out, size_t r)
{
    uint32_t x[SALSA_WORDS];
    memcpy(x, in + (2 * r - 1) * SALSA_WORDS, sizeof(x));
    for (size_t i = 0; i < 2 * r; i++) {
        xor_words(x, in + i * SALSA_WORDS, SALSA_WORDS);
        salsa(x);
        memcpy(out + (i / 2 + (i % 2) * r) * SALSA_WORDS, x, sizeof(x));
    }
}

/* ro_mix fills the table from `block`, then walks it in an order that only the data knows. */
static void ro_mix(uint32_t *block, uint64_t n, size_t r, uint32_t *table, uint32_t *scratch)
{
    const size_t words = 2 * r * SALSA_WORDS;
    for (uint64_t i = 0; i < n; i++) {
        memcpy(table + i * words, block, words * sizeof(*block));
        block_mix(table + i * words, block, r);
    }
    for (uint64_t i = 0; i < n; i++) {
        const uint32_t *last = block + (2 * r - 1) * SALSA_WORDS;
        uint64_t at = ((uint64_t)last[1] << 32 | last[0]) & (n - 1);
        memcpy(scratch, block, words * sizeof(*block));
        xor_words(scratch, table + at * words, words);
        block_mix(scratch, block, r);
    }
}

static bool pbkdf2(struct slice password, struct slice salt, uint8_t *out, size_t len)
{
    const char *text = password.len > 0 ? (const char *)password.ptr : "";
    return PKCS5_PBKDF2_HMAC(text, (int)password.len, salt.ptr, (int)salt.len, 1, EVP_sha256(),
                             (int)len, out) == 1;
}

static bool is_possible(struct slice password, struct slice salt, struct scrypt_cost cost,
                        size_t len)
{
    if (cost.n < 2 || (cost.n & (cost.n - 1)) != 0 || cost.r == 0 || cost.p == 0) {
        return false;
    }
    return cost.r <= BYTES_MAX / 128 && cost.p <= BYTES_MAX / 128 / cost.r &&
           cost.n <= SIZE_MAX / 128 / cost.r && password.len <= BYTES_MAX &&
           salt.len <= BYTES_MAX && len <= BYTES_MAX;
}

enum err scrypt_derive(struct slice password, struct slice salt, struct scrypt_cost cost,
                       uint8_t *out, size_t len)
{
    if (!is_possible(password, salt, cost, len)) {
        return ERR_CRYPTO;
    }
    const size_t block_bytes = 128 * cost.r;
    const size_t blocks_bytes = block_bytes * cost.p;
    uint8_t *blocks = mem_alloc(blocks_bytes);
    uint32_t *scratch = mem_alloc(block_bytes);
    uint32_t *table = mem_alloc(block_bytes * cost.n);
    bool done = pbkdf2(password, salt, blocks, blocks_bytes);
    for (uint64_t i = 0; done && i < cost.p; i++) {
        /* mem_alloc aligns for any type and a block is a multiple of 128 bytes. */
        ro_mix((uint32_t *)(void *)(blocks + i * block_bytes), cost.n, cost.r, table, scratch);
    }
    done = done && pbkdf2(password, slice_of(blocks, blocks_bytes), out, len);
    mem_wipe(table, block_bytes * cost.n);
    mem_wipe(scratch, block_bytes);
    mem_wipe(blocks, blocks_bytes);
    mem_free(table);
    mem_free(scratch);
    mem_free(blocks);
    return done ? OK : ERR_CRYPTO;
}
