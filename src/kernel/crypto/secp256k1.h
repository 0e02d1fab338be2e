/*
 * secp256k1.h: Ethereum's signatures, on libsecp256k1.
 *
 * Signing is deterministic (RFC 6979) and always low-s (EIP-2). Checking is strict: 65 bytes
 * r || s || v, v 27 or 28, s at most n/2, r and s in [1, n-1]; each breach has its own error,
 * because a wallet's developer must be told which. Recovery alone proves nothing about who should
 * have signed: callers compare the address.
 *
 * The context is created once, randomised against side channels, and shared by all threads.
 */
#ifndef KERNEL_CRYPTO_SECP256K1_H
#define KERNEL_CRYPTO_SECP256K1_H

#include "kernel/base/mem.h"
#include "kernel/crypto/hash.h"

#define SIGNATURE_BYTES 65
#define PRIVATE_KEY_BYTES 32
#define ADDRESS_BYTES 20

struct address {
    uint8_t bytes[ADDRESS_BYTES];
};

struct signature {
    uint8_t r[32];
    uint8_t s[32];
    uint8_t v; /* 27 or 28 */
};

/* secp256k1_key_check says whether the 32 bytes are a valid private key. Errors: ERR_CRYPTO. */
enum err secp256k1_key_check(const struct secret *key) ERR_CHECKED;

/* secp256k1_key_new makes a random private key. Owns: the caller, secret_clear. */
void secp256k1_key_new(struct secret *out);

/* secp256k1_address derives the Ethereum address of a key. Errors: ERR_CRYPTO. */
enum err secp256k1_address(const struct secret *key, struct address *out) ERR_CHECKED;

/* secp256k1_public_key writes the 64 bytes X || Y of a key. Errors: ERR_CRYPTO. */
enum err secp256k1_public_key(const struct secret *key, uint8_t out[64]) ERR_CHECKED;

/* secp256k1_sign signs a 32-byte digest. Errors: ERR_CRYPTO. */
enum err secp256k1_sign(const struct secret *key, const struct hash *digest,
                        struct signature *out) ERR_CHECKED;

/*
 * secp256k1_recover returns the address whose key signed `digest`.
 * Errors: ERR_SIGNATURE_MALFORMED, ERR_SIGNATURE_HIGH_S, ERR_SIGNATURE_V.
 */
enum err secp256k1_recover(const struct hash *digest, const struct signature *sig,
                           struct address *out, struct why *why) ERR_CHECKED;

/*
 * signature_decode reads 65 bytes and applies every check that needs no digest.
 * Errors: ERR_SIGNATURE_MALFORMED, ERR_SIGNATURE_HIGH_S, ERR_SIGNATURE_V.
 */
enum err signature_decode(struct slice bytes, struct signature *out, struct why *why) ERR_CHECKED;

/* signature_encode writes r || s || v. */
void signature_encode(const struct signature *sig, uint8_t out[SIGNATURE_BYTES]);

#endif
