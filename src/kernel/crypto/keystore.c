#include "kernel/crypto/keystore.h"

#include <openssl/evp.h>

#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/json.h"
#include "kernel/base/rand.h"
#include "kernel/crypto/scrypt.h"

#define IV_BYTES 16
#define SALT_BYTES 32
#define SALT_MAX 256
#define DERIVED_MIN 32
#define DERIVED_MAX 64
#define CIPHER_KEY_BYTES 16
#define MAC_KEY_BYTES 16

#define SCRYPT_R 8
#define SCRYPT_LOG2_N_MAX 19 /* 512 MiB at r 8 */
#define SCRYPT_MEMORY_MAX (512ull << 20)
#define SCRYPT_WORK_MAX (1ull << 24) /* N * r * p: eight times geth's standard cost */
#define PBKDF2_ROUNDS_MAX 10000000ull

enum kdf {
    KDF_SCRYPT,
    KDF_PBKDF2,
};

/* What a document says, checked and bounded, before any work is done for it. */
struct document {
    enum kdf kdf;
    uint64_t n, r, p;
    uint64_t rounds;
    size_t derived_len;
    struct slice salt;
    uint8_t iv[IV_BYTES];
    uint8_t cipher_text[PRIVATE_KEY_BYTES];
    uint8_t mac[HASH_BYTES];
    bool has_address;
    struct address address;
};

/* ---- the cryptography ---- */

static enum err derive(const struct document *d, const struct secret *password,
                       uint8_t out[DERIVED_MAX])
{
    struct slice text = slice_of(secret_bytes(password), secret_len(password));
    int done = 0;
    switch (d->kdf) {
    case KDF_SCRYPT:
        return scrypt_derive(text, d->salt, (struct scrypt_cost){d->n, d->r, d->p}, out,
                             d->derived_len);
    case KDF_PBKDF2:
        done = PKCS5_PBKDF2_HMAC(text.len > 0 ? (const char *)text.ptr : "", (int)text.len,
                                 d->salt.ptr, (int)d->salt.len, (int)d->rounds, EVP_sha256(),
                                 (int)d->derived_len, out);
        break;
    }
    return done == 1 ? OK : ERR_CRYPTO;
}

/* cipher_apply is AES-128-CTR, its own inverse. */
static enum err cipher_apply(const uint8_t key[CIPHER_KEY_BYTES], const uint8_t iv[IV_BYTES],
                             const uint8_t in[PRIVATE_KEY_BYTES], uint8_t out[PRIVATE_KEY_BYTES])
{
    int len = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    ASSERT(ctx != NULL);
    int done = EVP_EncryptInit_ex2(ctx, EVP_aes_128_ctr(), key, iv, NULL) == 1 &&
               EVP_EncryptUpdate(ctx, out, &len, in, PRIVATE_KEY_BYTES) == 1 &&
               len == PRIVATE_KEY_BYTES;
    EVP_CIPHER_CTX_free(ctx);
    return done ? OK : ERR_CRYPTO;
}

/* mac_of is Keccak over the second half of the derived key and the cipher text. */
static struct hash mac_of(const uint8_t *derived, const uint8_t cipher_text[PRIVATE_KEY_BYTES])
{
    struct keccak k;
    struct hash mac;
    keccak_init(&k);
    keccak_update(&k, slice_of(derived + CIPHER_KEY_BYTES, MAC_KEY_BYTES));
    keccak_update(&k, slice_of(cipher_text, PRIVATE_KEY_BYTES));
    keccak_final(&k, &mac);
    mem_wipe(&k, sizeof(k));
    return mac;
}

/* ---- writing ---- */

static void json_bare_hex(struct json_out *j, struct slice bytes)
{
    char text[2 * SALT_BYTES + 3];
    ASSERT(bytes.len <= SALT_BYTES);
    hex_encode_to(bytes, text);
    json_text(j, text + 2); /* V3 writes hex without a prefix */
}

static void json_uuid(struct json_out *j)
{
    uint8_t id[16];
    char hex[2 * sizeof(id) + 3];
    char text[37];
    rand_bytes(id, sizeof(id));
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* RFC 4122: version 4, variant 1 */
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    hex_encode_to(slice_of(id, sizeof(id)), hex);
    const char *h = hex + 2;
    snprintf(text, sizeof(text), "%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
    json_text(j, text);
}

static void json_crypto(struct json_out *j, const struct document *d)
{
    json_begin_object(j);
    json_key(j, "cipher");
    json_text(j, "aes-128-ctr");
    json_key(j, "cipherparams");
    json_begin_object(j);
    json_key(j, "iv");
    json_bare_hex(j, slice_of(d->iv, sizeof(d->iv)));
    json_end_object(j);
    json_key(j, "ciphertext");
    json_bare_hex(j, slice_of(d->cipher_text, sizeof(d->cipher_text)));
    json_key(j, "kdf");
    json_text(j, "scrypt");
    json_key(j, "kdfparams");
    json_begin_object(j);
    json_key(j, "dklen");
    json_u64(j, d->derived_len);
    json_key(j, "n");
    json_u64(j, d->n);
    json_key(j, "p");
    json_u64(j, d->p);
    json_key(j, "r");
    json_u64(j, d->r);
    json_key(j, "salt");
    json_bare_hex(j, d->salt);
    json_end_object(j);
    json_key(j, "mac");
    json_bare_hex(j, slice_of(d->mac, sizeof(d->mac)));
    json_end_object(j);
}

static struct slice document_format(struct arena *arena, const struct document *d)
{
    struct buf buf;
    struct json_out j;
    buf_init(&buf, arena, 768);
    json_out_init(&j, &buf);
    json_begin_object(&j);
    json_key(&j, "address");
    json_bare_hex(&j, slice_of(d->address.bytes, ADDRESS_BYTES));
    json_key(&j, "crypto");
    json_crypto(&j, d);
    json_key(&j, "id");
    json_uuid(&j);
    json_key(&j, "version");
    json_u64(&j, 3);
    json_end_object(&j);
    return buf_slice(&buf);
}

enum err keystore_encode(struct arena *arena, const struct secret *key,
                         const struct secret *password, struct keystore_cost cost,
                         struct slice *out, struct why *why)
{
    uint8_t salt[SALT_BYTES];
    uint8_t derived[DERIVED_MAX];
    struct document d = {.kdf = KDF_SCRYPT, .r = SCRYPT_R, .p = 1, .derived_len = DERIVED_MIN};
    if (cost.scrypt_log2_n < 1 || cost.scrypt_log2_n > SCRYPT_LOG2_N_MAX) {
        return why_set(why, ERR_CRYPTO, NULL, "The scrypt cost 2^%u is outside what can be used.",
                       cost.scrypt_log2_n);
    }
    d.n = 1ull << cost.scrypt_log2_n;
    rand_bytes(salt, sizeof(salt));
    rand_bytes(d.iv, sizeof(d.iv));
    d.salt = slice_of(salt, sizeof(salt));
    enum err e = secp256k1_address(key, &d.address);
    if (e == OK) {
        e = derive(&d, password, derived);
    }
    if (e == OK) {
        e = cipher_apply(derived, d.iv, secret_bytes(key), d.cipher_text);
    }
    if (e == OK) {
        struct hash mac = mac_of(derived, d.cipher_text);
        memcpy(d.mac, mac.bytes, sizeof(d.mac));
        *out = document_format(arena, &d);
    } else {
        e = why_set(why, e, NULL, "The key could not be encrypted.");
    }
    mem_wipe(derived, sizeof(derived));
    return e;
}

/* ---- reading ---- */

static enum err corrupt(struct why *why, const char *field, const char *sentence)
{
    (void)why_set(why, ERR_CORRUPT, field, "%s", sentence);
    return ERR_CORRUPT;
}

/*
 * member finds a member by name without regard to case: old clients wrote "Crypto" or "KDF". Two
 * spellings of one name in the same object are refused, because readers would differ.
 */
static enum err member(const struct json *object, const char *key, enum json_type type,
                       const struct json **out, struct why *why)
{
    const struct json *found = NULL;
    if (object->type != JSON_OBJECT) {
        return corrupt(why, key, "A keystore file needs an object here.");
    }
    for (const struct json *m = object->child; m != NULL; m = m->next) {
        if (!slice_equal_nocase(m->key, slice_text(key))) {
            continue;
        }
        if (found != NULL) {
            return corrupt(why, key, "The member appears twice.");
        }
        found = m;
    }
    if (found == NULL || found->type != type) {
        return corrupt(why, key,
                       found == NULL ? "The member is missing." : "The member has the wrong type.");
    }
    *out = found;
    return OK;
}

static enum err member_u64(const struct json *object, const char *key, uint64_t *out,
                           struct why *why)
{
    const struct json *m = NULL;
    enum err e = member(object, key, JSON_NUMBER, &m, why);
    if (e == OK && slice_parse_u64(m->text, out) != OK) {
        e = corrupt(why, key, "The member must be a whole number.");
    }
    return e;
}

/* member_hex reads hex with or without 0x, between `min` and `max` bytes. */
static enum err member_hex(struct arena *scratch, const struct json *object, const char *key,
                           size_t min, size_t max, struct slice *out, struct why *why)
{
    const struct json *m = NULL;
    struct slice text, bytes;
    enum err e = member(object, key, JSON_STRING, &m, why);
    if (e != OK) {
        return e;
    }
    text = m->text;
    if (!slice_starts(text, SLICE_LIT("0x"))) {
        text = slice_format(scratch, "0x%.*s", SLICE_ARG(text));
    }
    if (hex_decode(scratch, text, &bytes) != OK || bytes.len < min || bytes.len > max) {
        return corrupt(why, key, "The member must be hexadecimal of the right length.");
    }
    *out = bytes;
    return OK;
}

static enum err member_hex_fixed(struct arena *scratch, const struct json *object, const char *key,
                                 uint8_t *out, size_t len, struct why *why)
{
    struct slice bytes = SLICE_EMPTY;
    enum err e = member_hex(scratch, object, key, len, len, &bytes, why);
    if (e == OK) {
        memcpy(out, bytes.ptr, len);
    }
    return e;
}

static enum err member_is(const struct json *object, const char *key, const char *wanted,
                          struct why *why)
{
    const struct json *m = NULL;
    enum err e = member(object, key, JSON_STRING, &m, why);
    if (e == OK && !slice_equal_nocase(m->text, slice_text(wanted))) {
        e = why_set(why, ERR_CORRUPT, key, "Only \"%s\" is supported.", wanted);
    }
    return e;
}

static enum err scrypt_params_parse(const struct json *params, struct document *d, struct why *why)
{
    enum err e = member_u64(params, "n", &d->n, why);
    if (e == OK) {
        e = member_u64(params, "r", &d->r, why);
    }
    if (e == OK) {
        e = member_u64(params, "p", &d->p, why);
    }
    if (e != OK) {
        return e;
    }
    if (d->n < 2 || (d->n & (d->n - 1)) != 0 || d->r == 0 || d->p == 0) {
        return corrupt(why, "kdfparams", "The scrypt parameters are not possible.");
    }
    const uint64_t cells_max = SCRYPT_MEMORY_MAX / 128;
    if (d->n > cells_max || d->r > cells_max / d->n || d->p > SCRYPT_WORK_MAX / (d->n * d->r)) {
        return corrupt(why, "kdfparams", "The scrypt cost is beyond what is accepted.");
    }
    return OK;
}

static enum err pbkdf2_params_parse(const struct json *params, struct document *d, struct why *why)
{
    enum err e = member_is(params, "prf", "hmac-sha256", why);
    if (e == OK) {
        e = member_u64(params, "c", &d->rounds, why);
    }
    if (e == OK && (d->rounds == 0 || d->rounds > PBKDF2_ROUNDS_MAX)) {
        e = corrupt(why, "kdfparams", "The number of PBKDF2 rounds is beyond what is accepted.");
    }
    return e;
}

static enum err kdf_parse(struct arena *scratch, const struct json *crypto, struct document *d,
                          struct why *why)
{
    const struct json *name = NULL, *params = NULL;
    uint64_t derived_len = 0;
    enum err e = member(crypto, "kdf", JSON_STRING, &name, why);
    if (e == OK) {
        e = member(crypto, "kdfparams", JSON_OBJECT, &params, why);
    }
    if (e == OK) {
        e = member_u64(params, "dklen", &derived_len, why);
    }
    if (e == OK && (derived_len < DERIVED_MIN || derived_len > DERIVED_MAX)) {
        e = corrupt(why, "dklen", "The derived key must have 32 to 64 bytes.");
    }
    if (e == OK) {
        e = member_hex(scratch, params, "salt", 1, SALT_MAX, &d->salt, why);
    }
    if (e != OK) {
        return e;
    }
    d->derived_len = (size_t)derived_len;
    if (slice_equal_nocase(name->text, SLICE_LIT("scrypt"))) {
        d->kdf = KDF_SCRYPT;
        return scrypt_params_parse(params, d, why);
    }
    if (slice_equal_nocase(name->text, SLICE_LIT("pbkdf2"))) {
        d->kdf = KDF_PBKDF2;
        return pbkdf2_params_parse(params, d, why);
    }
    return corrupt(why, "kdf", "Only scrypt and pbkdf2 are supported.");
}

static enum err cipher_parse(struct arena *scratch, const struct json *crypto, struct document *d,
                             struct why *why)
{
    const struct json *params = NULL;
    enum err e = member_is(crypto, "cipher", "aes-128-ctr", why);
    if (e == OK) {
        e = member(crypto, "cipherparams", JSON_OBJECT, &params, why);
    }
    if (e == OK) {
        e = member_hex_fixed(scratch, params, "iv", d->iv, sizeof(d->iv), why);
    }
    if (e == OK) {
        e = member_hex_fixed(scratch, crypto, "ciphertext", d->cipher_text, sizeof(d->cipher_text),
                             why);
    }
    if (e == OK) {
        e = member_hex_fixed(scratch, crypto, "mac", d->mac, sizeof(d->mac), why);
    }
    return e;
}

/* The address is optional: some clients leave it out so that a stolen file names no account. */
static enum err address_member_parse(struct arena *scratch, const struct json *root,
                                     struct document *d, struct why *why)
{
    for (const struct json *m = root->child; m != NULL; m = m->next) {
        if (slice_equal_nocase(m->key, SLICE_LIT("address"))) {
            d->has_address = true;
        }
    }
    if (!d->has_address) {
        return OK;
    }
    return member_hex_fixed(scratch, root, "address", d->address.bytes, ADDRESS_BYTES, why);
}

static enum err document_parse(struct arena *scratch, struct slice text, struct document *d,
                               struct why *why)
{
    static const struct json_limits limits = {
        .bytes_max = 64 << 10, .depth_max = 8, .nodes_max = 256};
    const struct json *root = NULL, *crypto = NULL;
    uint64_t version = 0;
    struct why reason = {0};
    if (json_parse(scratch, text, &limits, &root, &reason) != OK) {
        return why_set(why, ERR_INVALID_JSON, NULL, "The keystore file is not valid JSON: %s",
                       why_text(&reason, ERR_INVALID_JSON));
    }
    enum err e = member_u64(root, "version", &version, why);
    if (e == OK && version != 3) {
        e = corrupt(why, "version", "Only version 3 of the format is supported.");
    }
    if (e == OK) {
        e = member(root, "crypto", JSON_OBJECT, &crypto, why);
    }
    if (e == OK) {
        e = cipher_parse(scratch, crypto, d, why);
    }
    if (e == OK) {
        e = kdf_parse(scratch, crypto, d, why);
    }
    return e == OK ? address_member_parse(scratch, root, d, why) : e;
}

/* document_open derives, compares the MAC and only then decrypts. */
static enum err document_open(const struct document *d, const struct secret *password,
                              uint8_t out_key[PRIVATE_KEY_BYTES], struct why *why)
{
    uint8_t derived[DERIVED_MAX] = {0};
    enum err e = derive(d, password, derived);
    if (e != OK) {
        e = corrupt(why, "kdfparams", "The key derivation refused these parameters.");
        goto out;
    }
    struct hash mac = mac_of(derived, d->cipher_text);
    if (!mem_equal_secret(mac.bytes, d->mac, sizeof(d->mac))) {
        e = why_set(why, ERR_KEYSTORE_PASSWORD, NULL,
                    "The password is wrong, or the keystore file was changed.");
        goto out;
    }
    e = cipher_apply(derived, d->iv, d->cipher_text, out_key);
out:
    mem_wipe(derived, sizeof(derived));
    return e;
}

static enum err key_accept(const struct document *d, const struct secret *key,
                           struct address *out_address, struct why *why)
{
    struct address address;
    if (secp256k1_address(key, &address) != OK) {
        return corrupt(why, "ciphertext", "The file holds no valid private key.");
    }
    if (d->has_address && memcmp(address.bytes, d->address.bytes, ADDRESS_BYTES) != 0) {
        return corrupt(why, "address", "The key in the file belongs to another address.");
    }
    *out_address = address;
    return OK;
}

enum err keystore_decode(struct slice json, const struct secret *password, struct secret *out_key,
                         struct address *out_address, struct why *why)
{
    struct arena scratch;
    struct document d = {0};
    uint8_t bytes[PRIVATE_KEY_BYTES];
    arena_init(&scratch, 0);
    enum err e = document_parse(&scratch, json, &d, why);
    if (e == OK) {
        e = document_open(&d, password, bytes, why);
    }
    if (e == OK) {
        struct secret key;
        secret_init(&key, bytes, sizeof(bytes));
        e = key_accept(&d, &key, out_address, why);
        if (e == OK) {
            *out_key = key;
        } else {
            secret_clear(&key);
        }
    }
    mem_wipe(bytes, sizeof(bytes));
    arena_free(&scratch);
    return e;
}
