#include "kernel/crypto/ed25519.h"

#include <openssl/evp.h>

#include "kernel/base/rand.h"

void ed25519_key_new(struct secret *out)
{
    uint8_t seed[ED25519_KEY_BYTES];
    rand_bytes(seed, sizeof seed);
    secret_init(out, seed, sizeof seed);
    mem_wipe(seed, sizeof seed);
}

static EVP_PKEY *private_of(const struct secret *key)
{
    return secret_len(key) == ED25519_KEY_BYTES
               ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret_bytes(key),
                                              ED25519_KEY_BYTES)
               : NULL;
}

enum err ed25519_public_key(const struct secret *key, uint8_t out[ED25519_KEY_BYTES])
{
    size_t len = ED25519_KEY_BYTES;
    EVP_PKEY *pkey = private_of(key);
    bool good = pkey != NULL && EVP_PKEY_get_raw_public_key(pkey, out, &len) == 1;
    EVP_PKEY_free(pkey);
    return good ? OK : ERR_CRYPTO;
}

enum err ed25519_sign(const struct secret *key, struct slice message,
                      uint8_t out[ED25519_SIGNATURE_BYTES])
{
    size_t len = ED25519_SIGNATURE_BYTES;
    EVP_PKEY *pkey = private_of(key);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = pkey != NULL && ctx != NULL &&
                EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestSign(ctx, out, &len, message.ptr, message.len) == 1 &&
                len == ED25519_SIGNATURE_BYTES;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return good ? OK : ERR_CRYPTO;
}

bool ed25519_verify(const uint8_t public_key[ED25519_KEY_BYTES], struct slice message,
                    struct slice signature)
{
    if (signature.len != ED25519_SIGNATURE_BYTES) {
        return false;
    }
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, ED25519_KEY_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = pkey != NULL && ctx != NULL &&
                EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestVerify(ctx, signature.ptr, signature.len, message.ptr, message.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return good;
}
