#include "kernel/crypto/hash.h"

#include "kernel/base/hex.h"

bool hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a->bytes, b->bytes, HASH_BYTES) == 0;
}

bool hash_is_zero(const struct hash *h)
{
    static const struct hash zero;
    return hash_equal(h, &zero);
}

enum err hash_parse(struct slice text, struct hash *out)
{
    return hex_decode_fixed(text, out->bytes, HASH_BYTES) == OK ? OK : ERR_INVALID_HASH;
}
