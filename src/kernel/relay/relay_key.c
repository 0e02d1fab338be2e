#include "kernel/base/check.h"
#include "kernel/relay/relay_internal.h"

struct relay_key {
    struct secret key;
    struct address address;
};

enum err relay_key_new(const struct secret *key, struct relay_key **out)
{
    struct address address;
    enum err e = secp256k1_address(key, &address);
    if (e != OK) {
        return e;
    }
    struct relay_key *k = mem_alloc(sizeof *k);
    secret_init(&k->key, secret_bytes(key), secret_len(key));
    k->address = address;
    *out = k;
    return OK;
}

static enum err sign(void *ctx, struct arena *arena, const struct tx *tx, struct slice *out_raw,
                     struct hash *out_hash, struct why *why)
{
    const struct relay_key *k = ctx;
    struct slice raw;
    struct hash hash;
    enum err e = tx_sign(arena, tx, &k->key, &raw, &hash);
    if (e != OK) {
        return why_set(why, e, NULL, "the transaction could not be signed");
    }
    *out_raw = raw;
    *out_hash = hash;
    return OK;
}

struct relay_signer relay_key_signer(struct relay_key *key)
{
    return (struct relay_signer){.address = key->address, .sign = sign, .ctx = key};
}

void relay_key_free(struct relay_key *key)
{
    if (key != NULL) {
        secret_clear(&key->key);
        mem_free(key);
    }
}
