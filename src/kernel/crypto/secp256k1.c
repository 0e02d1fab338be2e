#include "kernel/crypto/secp256k1.h"

#include <pthread.h>
#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include "kernel/base/check.h"
#include "kernel/base/rand.h"

static pthread_once_t context_once = PTHREAD_ONCE_INIT;
static secp256k1_context *shared_context;

static void context_create(void)
{
    uint8_t seed[32];
    shared_context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    ASSERT(shared_context != NULL);
    rand_bytes(seed, sizeof(seed));
    ASSERT(secp256k1_context_randomize(shared_context, seed) == 1);
    mem_wipe(seed, sizeof(seed));
}

static const secp256k1_context *context(void)
{
    ASSERT(pthread_once(&context_once, context_create) == 0);
    return shared_context;
}

enum err secp256k1_key_check(const struct secret *key)
{
    if (secret_len(key) != PRIVATE_KEY_BYTES) {
        return ERR_CRYPTO;
    }
    return secp256k1_ec_seckey_verify(context(), secret_bytes(key)) == 1 ? OK : ERR_CRYPTO;
}

void secp256k1_key_new(struct secret *out)
{
    uint8_t key[PRIVATE_KEY_BYTES];
    do { /* all but 2^-128 of the candidates are valid */
        rand_bytes(key, sizeof(key));
    } while (secp256k1_ec_seckey_verify(context(), key) != 1);
    secret_init(out, key, sizeof(key));
    mem_wipe(key, sizeof(key));
}

/* public_point writes X || Y, dropping the 0x04 of the uncompressed form. */
static void public_point(const secp256k1_pubkey *key, uint8_t out[64])
{
    uint8_t bytes[65];
    size_t len = sizeof(bytes);
    ASSERT(secp256k1_ec_pubkey_serialize(context(), bytes, &len, key, SECP256K1_EC_UNCOMPRESSED) ==
           1);
    ASSERT(len == sizeof(bytes));
    memcpy(out, bytes + 1, 64);
}

static struct address address_of_point(const uint8_t point[64])
{
    struct hash h = keccak256(slice_of(point, 64));
    struct address a;
    memcpy(a.bytes, h.bytes + HASH_BYTES - ADDRESS_BYTES, ADDRESS_BYTES);
    return a;
}

enum err secp256k1_public_key(const struct secret *key, uint8_t out[64])
{
    secp256k1_pubkey public;
    enum err e = secp256k1_key_check(key);
    if (e != OK) {
        return e;
    }
    if (secp256k1_ec_pubkey_create(context(), &public, secret_bytes(key)) != 1) {
        return ERR_CRYPTO;
    }
    public_point(&public, out);
    return OK;
}

enum err secp256k1_address(const struct secret *key, struct address *out)
{
    uint8_t point[64];
    enum err e = secp256k1_public_key(key, point);
    if (e == OK) {
        *out = address_of_point(point);
    }
    return e;
}

enum err secp256k1_sign(const struct secret *key, const struct hash *digest, struct signature *out)
{
    secp256k1_ecdsa_recoverable_signature sig;
    uint8_t compact[64];
    int recovery_id = 0;
    enum err e = secp256k1_key_check(key);
    if (e != OK) {
        return e;
    }
    if (secp256k1_ecdsa_sign_recoverable(context(), &sig, digest->bytes, secret_bytes(key),
                                         secp256k1_nonce_function_rfc6979, NULL) != 1) {
        return ERR_CRYPTO;
    }
    ASSERT(secp256k1_ecdsa_recoverable_signature_serialize_compact(context(), compact, &recovery_id,
                                                                   &sig) == 1);
    /* Ids 2 and 3 mean that r wrapped around the order: 2^-127, and no v exists for them. */
    if (recovery_id > 1) {
        return ERR_CRYPTO;
    }
    memcpy(out->r, compact, 32);
    memcpy(out->s, compact + 32, 32);
    out->v = (uint8_t)(27 + recovery_id);
    return OK;
}

static bool is_zero(const uint8_t bytes[32])
{
    static const uint8_t zero[32];
    return memcmp(bytes, zero, 32) == 0;
}

/* signature_check applies the range, low-s and v rules; r and s come back as `out_parsed`. */
static enum err signature_check(const struct signature *sig,
                                secp256k1_ecdsa_recoverable_signature *out_parsed, struct why *why)
{
    uint8_t compact[64];
    secp256k1_ecdsa_signature plain;
    memcpy(compact, sig->r, 32);
    memcpy(compact + 32, sig->s, 32);
    if (is_zero(sig->r) || is_zero(sig->s) ||
        secp256k1_ecdsa_signature_parse_compact(context(), &plain, compact) != 1) {
        return why_set(why, ERR_SIGNATURE_MALFORMED, NULL,
                       "r or s of the signature is zero or not below the order of the curve.");
    }
    if (secp256k1_ecdsa_signature_normalize(context(), NULL, &plain) == 1) {
        return why_set(why, ERR_SIGNATURE_HIGH_S, NULL,
                       "s of the signature is above half the order of the curve (EIP-2): use n - s "
                       "and the other v.");
    }
    if (sig->v != 27 && sig->v != 28) {
        return why_set(why, ERR_SIGNATURE_V, NULL,
                       "The last byte of the signature (v) is %u; only 27 and 28 are accepted.",
                       (unsigned)sig->v);
    }
    ASSERT(secp256k1_ecdsa_recoverable_signature_parse_compact(context(), out_parsed, compact,
                                                               sig->v - 27) == 1);
    return OK;
}

enum err secp256k1_recover(const struct hash *digest, const struct signature *sig,
                           struct address *out, struct why *why)
{
    secp256k1_ecdsa_recoverable_signature parsed;
    secp256k1_pubkey public;
    uint8_t point[64];
    enum err e = signature_check(sig, &parsed, why);
    if (e != OK) {
        return e;
    }
    if (secp256k1_ecdsa_recover(context(), &public, &parsed, digest->bytes) != 1) {
        return why_set(why, ERR_SIGNATURE_MALFORMED, NULL,
                       "No key can have made this signature: r is not on the curve.");
    }
    public_point(&public, point);
    *out = address_of_point(point);
    return OK;
}

enum err signature_decode(struct slice bytes, struct signature *out, struct why *why)
{
    secp256k1_ecdsa_recoverable_signature parsed;
    struct signature sig;
    if (bytes.len != SIGNATURE_BYTES) {
        return why_set(why, ERR_SIGNATURE_MALFORMED, NULL,
                       "The signature has %zu bytes; 65 are needed (r, s and v).", bytes.len);
    }
    memcpy(sig.r, bytes.ptr, 32);
    memcpy(sig.s, bytes.ptr + 32, 32);
    sig.v = bytes.ptr[64];
    enum err e = signature_check(&sig, &parsed, why);
    if (e == OK) {
        *out = sig;
    }
    return e;
}

void signature_encode(const struct signature *sig, uint8_t out[SIGNATURE_BYTES])
{
    memcpy(out, sig->r, 32);
    memcpy(out + 32, sig->s, 32);
    out[64] = sig->v;
}
