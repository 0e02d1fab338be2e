/*
 * ed25519.h: signatures of RFC 8032 (pure Ed25519), on OpenSSL.
 *
 * Signing is deterministic. A private key is the 32 bytes of the seed; it is wiped by whoever owns
 * the struct secret. Checking refuses a scalar that is not below the order of the group, so that a
 * signature has one text.
 */
#ifndef KERNEL_CRYPTO_ED25519_H
#define KERNEL_CRYPTO_ED25519_H

#include "kernel/base/mem.h"
#include "kernel/base/slice.h"

#define ED25519_KEY_BYTES 32
#define ED25519_SIGNATURE_BYTES 64

/* ed25519_key_new makes a key by chance. Owns: the caller, secret_clear. */
void ed25519_key_new(struct secret *out);
/* ed25519_public_key derives the public key. Errors: ERR_CRYPTO. */
enum err ed25519_public_key(const struct secret *key, uint8_t out[ED25519_KEY_BYTES]) ERR_CHECKED;
/* ed25519_sign signs a message. Errors: ERR_CRYPTO. */
enum err ed25519_sign(const struct secret *key, struct slice message,
                      uint8_t out[ED25519_SIGNATURE_BYTES]) ERR_CHECKED;
/* ed25519_verify says whether the signature over a message is that of a public key. */
bool ed25519_verify(const uint8_t public_key[ED25519_KEY_BYTES], struct slice message,
                    struct slice signature);

#endif
