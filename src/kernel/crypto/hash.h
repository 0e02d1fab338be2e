/*
 * hash.h: Keccak-256 (the EVM's hash, not SHA3), SHA-256, HMAC-SHA-256.
 *
 * Keccak is our own (Debian's OpenSSL 3.0 has none); the rest is OpenSSL's EVP, fetched once.
 */
#ifndef KERNEL_CRYPTO_HASH_H
#define KERNEL_CRYPTO_HASH_H

#include "kernel/base/slice.h"

#define HASH_BYTES 32

struct hash {
    uint8_t bytes[HASH_BYTES];
};

struct keccak {
    uint64_t state[25];
    uint8_t block[136];
    size_t fill;
};

struct sha256;

/* keccak_init starts a stream. */
void keccak_init(struct keccak *k);
/* keccak_update absorbs bytes. */
void keccak_update(struct keccak *k, struct slice bytes);
/* keccak_final writes the digest; the stream must be initialised again before reuse. */
void keccak_final(struct keccak *k, struct hash *out);
/* keccak256 hashes one slice (Ethereum Yellow Paper, appendix: KEC). */
struct hash keccak256(struct slice bytes);

/* sha256 hashes one slice (FIPS 180-4). */
struct hash sha256(struct slice bytes);
/* sha256_new starts a stream. Owns: the caller, sha256_free. */
struct sha256 *sha256_new(void);
/* sha256_update absorbs bytes. */
void sha256_update(struct sha256 *s, struct slice bytes);
/* sha256_final writes the digest and resets the stream. */
void sha256_final(struct sha256 *s, struct hash *out);
/* sha256_free frees the stream; NULL is fine. */
void sha256_free(struct sha256 *s);

/* hmac_sha256 computes RFC 2104 with SHA-256. */
struct hash hmac_sha256(struct slice key, struct slice message);

/* hash_slice lends the bytes of a hash. */
static inline struct slice hash_slice(const struct hash *h)
{
    return (struct slice){h->bytes, HASH_BYTES};
}

/* hash_equal compares. */
bool hash_equal(const struct hash *a, const struct hash *b);
/* hash_is_zero says whether all bytes are 0. */
bool hash_is_zero(const struct hash *h);
/* hash_parse reads 0x and 64 hex digits. Errors: ERR_INVALID_HASH. */
enum err hash_parse(struct slice text, struct hash *out) ERR_CHECKED;

#endif
