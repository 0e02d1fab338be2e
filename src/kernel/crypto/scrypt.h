/*
 * scrypt.h: the password-based key derivation of RFC 7914.
 *
 * Our own, because OpenSSL refuses N >= 2^(16 r), which the RFC asks for but geth, ethers and the
 * published example of the keystore format (N 2^18, r 1) do not keep to.
 *
 * Takes 128 * N * r bytes of memory while it runs, which the caller bounds; all of it is wiped.
 */
#ifndef KERNEL_CRYPTO_SCRYPT_H
#define KERNEL_CRYPTO_SCRYPT_H

#include "kernel/base/slice.h"

struct scrypt_cost {
    uint64_t n; /* a power of two above 1 */
    uint64_t r;
    uint64_t p;
};

/* scrypt_derive fills `out` with `len` bytes. Errors: ERR_CRYPTO. */
enum err scrypt_derive(struct slice password, struct slice salt, struct scrypt_cost cost,
                       uint8_t *out, size_t len) ERR_CHECKED;

#endif
