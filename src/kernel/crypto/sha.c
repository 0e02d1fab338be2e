#include "kernel/crypto/hash.h"

#include <openssl/evp.h>
#include <pthread.h>

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define SHA256_BLOCK 64

struct sha256 {
    EVP_MD_CTX *ctx;
};

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_MD *fetched_sha256;

/* Looking the algorithm up costs as much as hashing a short message, so it is done once. */
static void fetch(void)
{
    fetched_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    ASSERT(fetched_sha256 != NULL);
}

static const EVP_MD *sha256_md(void)
{
    ASSERT(pthread_once(&fetch_once, fetch) == 0);
    return fetched_sha256;
}

struct hash sha256(struct slice bytes)
{
    struct hash out;
    ASSERT(EVP_Digest(bytes.ptr, bytes.len, out.bytes, NULL, sha256_md(), NULL) == 1);
    return out;
}

struct sha256 *sha256_new(void)
{
    struct sha256 *s = mem_alloc(sizeof(*s));
    s->ctx = EVP_MD_CTX_new();
    ASSERT(s->ctx != NULL);
    ASSERT(EVP_DigestInit_ex2(s->ctx, sha256_md(), NULL) == 1);
    return s;
}

void sha256_update(struct sha256 *s, struct slice bytes)
{
    ASSERT(EVP_DigestUpdate(s->ctx, bytes.ptr, bytes.len) == 1);
}

void sha256_final(struct sha256 *s, struct hash *out)
{
    ASSERT(EVP_DigestFinal_ex(s->ctx, out->bytes, NULL) == 1);
    ASSERT(EVP_DigestInit_ex2(s->ctx, sha256_md(), NULL) == 1);
}

void sha256_free(struct sha256 *s)
{
    if (s != NULL) {
        EVP_MD_CTX_free(s->ctx);
        mem_free(s);
    }
}

/* keyed_hash is H(pad || message) with pad = key xor `mask`, one half of RFC 2104. */
static struct hash keyed_hash(EVP_MD_CTX *ctx, const uint8_t key[SHA256_BLOCK], uint8_t mask,
                              struct slice message)
{
    uint8_t pad[SHA256_BLOCK];
    for (size_t i = 0; i < SHA256_BLOCK; i++) {
        pad[i] = key[i] ^ mask;
    }
    struct hash out;
    ASSERT(EVP_DigestInit_ex2(ctx, sha256_md(), NULL) == 1);
    ASSERT(EVP_DigestUpdate(ctx, pad, sizeof(pad)) == 1);
    ASSERT(EVP_DigestUpdate(ctx, message.ptr, message.len) == 1);
    ASSERT(EVP_DigestFinal_ex(ctx, out.bytes, NULL) == 1);
    mem_wipe(pad, sizeof(pad));
    return out;
}

struct hash hmac_sha256(struct slice key, struct slice message)
{
    uint8_t block[SHA256_BLOCK] = {0};
    if (key.len > SHA256_BLOCK) {
        struct hash shortened = sha256(key);
        memcpy(block, shortened.bytes, HASH_BYTES);
        mem_wipe(&shortened, sizeof(shortened));
    } else if (key.len > 0) {
        memcpy(block, key.ptr, key.len);
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ASSERT(ctx != NULL);
    struct hash inner = keyed_hash(ctx, block, 0x36, message);
    struct hash out = keyed_hash(ctx, block, 0x5c, hash_slice(&inner));
    EVP_MD_CTX_free(ctx);
    mem_wipe(block, sizeof(block));
    return out;
}
