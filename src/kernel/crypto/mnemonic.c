#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <secp256k1.h>

#include "kernel/base/check.h"
#include "kernel/crypto/keystore.h"

#define SEED_BYTES 64
#define SEED_ROUNDS 2048
#define HARDENED 0x80000000u
#define MNEMONIC_MAX 1024

/* A node of the BIP-32 tree: private key and chain code, as HMAC-SHA-512 gives them. */
struct node {
    uint8_t key[32];
    uint8_t chain[32];
};

_Static_assert(sizeof(struct node) == 64, "a node is read in place from 64 bytes of HMAC");

static enum err hmac_sha512(struct slice key, struct slice message, struct node *out)
{
    unsigned len = 0;
    uint8_t *done =
        HMAC(EVP_sha512(), key.ptr, (int)key.len, message.ptr, message.len, (uint8_t *)out, &len);
    return done != NULL && len == sizeof(*out) ? OK : ERR_CRYPTO;
}

/* public_compressed writes 02 or 03 (the parity of Y) and X. */
static enum err public_compressed(const uint8_t key[32], uint8_t out[33])
{
    struct secret secret;
    uint8_t point[64];
    secret_init(&secret, key, PRIVATE_KEY_BYTES);
    enum err e = secp256k1_public_key(&secret, point);
    secret_clear(&secret);
    if (e != OK) {
        return e;
    }
    out[0] = (uint8_t)(2 + (point[63] & 1));
    memcpy(out + 1, point, 32);
    return OK;
}

/* child_derive replaces `node` by its child `index` (BIP-32, CKDpriv). */
static enum err child_derive(struct node *node, uint32_t index)
{
    uint8_t data[37] = {0};
    struct node child;
    enum err e = OK;
    if (index >= HARDENED) {
        memcpy(data + 1, node->key, 32);
    } else {
        e = public_compressed(node->key, data);
    }
    for (unsigned i = 0; i < 4; i++) {
        data[33 + i] = (uint8_t)(index >> (24 - 8 * i));
    }
    if (e == OK) {
        e = hmac_sha512(slice_of(node->chain, 32), slice_of(data, sizeof(data)), &child);
    }
    /* The tweak fails for a half of HMAC beyond the order or a zero sum: 2^-127, no such child. */
    if (e == OK && secp256k1_ec_seckey_tweak_add(secp256k1_context_static, node->key, child.key)) {
        memcpy(node->chain, child.chain, sizeof(node->chain));
    } else {
        e = ERR_CRYPTO;
    }
    mem_wipe(data, sizeof(data));
    mem_wipe(&child, sizeof(child));
    return e;
}

/* root_derive makes the seed (BIP-39, empty passphrase) and the root node (BIP-32). */
static enum err root_derive(struct slice mnemonic, struct node *out)
{
    static const uint8_t salt[] = {'m', 'n', 'e', 'm', 'o', 'n', 'i', 'c'};
    uint8_t seed[SEED_BYTES];
    enum err e = ERR_CRYPTO;
    if (PKCS5_PBKDF2_HMAC((const char *)mnemonic.ptr, (int)mnemonic.len, salt, sizeof(salt),
                          SEED_ROUNDS, EVP_sha512(), SEED_BYTES, seed) == 1) {
        e = hmac_sha512(SLICE_LIT("Bitcoin seed"), slice_of(seed, sizeof(seed)), out);
    }
    mem_wipe(seed, sizeof(seed));
    return e;
}

/* BIP-39 normalises to NFKD; ASCII is its own NFKD, anything else is refused instead of mangled. */
static bool is_plain(struct slice mnemonic)
{
    if (mnemonic.len == 0 || mnemonic.len > MNEMONIC_MAX) {
        return false;
    }
    for (size_t i = 0; i < mnemonic.len; i++) {
        if (mnemonic.ptr[i] < 0x20 || mnemonic.ptr[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

enum err keystore_mnemonic_key(struct slice mnemonic, uint32_t index, struct secret *out_key)
{
    const uint32_t path[] = {HARDENED | 44, HARDENED | 60, HARDENED | 0, 0, index};
    struct node node;
    if (!is_plain(mnemonic) || index >= HARDENED) {
        return ERR_CRYPTO;
    }
    enum err e = root_derive(mnemonic, &node);
    for (size_t i = 0; e == OK && i < sizeof(path) / sizeof(path[0]); i++) {
        e = child_derive(&node, path[i]);
    }
    if (e == OK) {
        secret_init(out_key, node.key, sizeof(node.key));
    }
    mem_wipe(&node, sizeof(node));
    return e;
}
