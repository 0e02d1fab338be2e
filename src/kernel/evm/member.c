#include "kernel/evm/member.h"

#include "kernel/base/hex.h"

enum err member_refuse(struct why *why, const char *key, const char *sentence)
{
    (void)why_set(why, ERR_NODE_RESPONSE, key, "The node's %s %s.", key, sentence);
    return ERR_NODE_RESPONSE;
}

const struct json *member_find(const struct json *v, const char *key)
{
    const struct json *m = json_find(v, key);
    return m != NULL && m->type != JSON_NULL ? m : NULL;
}

enum err member_text(const struct json *v, const char *key, struct slice *out, struct why *why)
{
    const struct json *m = member_find(v, key);
    if (m == NULL || m->type != JSON_STRING) {
        return member_refuse(why, key, m == NULL ? "is missing" : "is not a string");
    }
    *out = m->text;
    return OK;
}

enum err member_fixed(const struct json *v, const char *key, uint8_t *out, size_t len,
                      struct why *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = member_text(v, key, &text, why);
    if (e == OK && hex_decode_fixed(text, out, len) != OK) {
        e = member_refuse(why, key, "is not hexadecimal of the right length");
    }
    return e;
}

enum err member_hash(const struct json *v, const char *key, struct hash *out, struct why *why)
{
    return member_fixed(v, key, out->bytes, HASH_BYTES, why);
}

enum err member_address(const struct json *v, const char *key, struct address *out, struct why *why)
{
    return member_fixed(v, key, out->bytes, ADDRESS_BYTES, why);
}

enum err member_u256(const struct json *v, const char *key, struct u256 *out, struct why *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = member_text(v, key, &text, why);
    if (e == OK && u256_parse_hex(text, out) != OK) {
        e = member_refuse(why, key, "is not a quantity");
    }
    return e;
}

enum err member_u64(const struct json *v, const char *key, uint64_t *out, struct why *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = member_text(v, key, &text, why);
    if (e == OK && hex_parse_u64(text, out) != OK) {
        e = member_refuse(why, key, "is not a quantity of at most 64 bits");
    }
    return e;
}

enum err member_u32(const struct json *v, const char *key, uint32_t *out, struct why *why)
{
    uint64_t wide = 0;
    enum err e = member_u64(v, key, &wide, why);
    if (e == OK && wide > UINT32_MAX) {
        e = member_refuse(why, key, "is too large");
    }
    if (e == OK) {
        *out = (uint32_t)wide;
    }
    return e;
}

enum err member_wei(const struct json *v, const char *key, struct wei_amount *out, struct why *why)
{
    struct u256 units;
    enum err e = member_u256(v, key, &units, why);
    if (e == OK) {
        *out = wei_of(units);
    }
    return e;
}

enum err member_bytes(struct arena *arena, const struct json *v, const char *key, struct slice *out,
                      struct why *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = member_text(v, key, &text, why);
    if (e == OK && hex_decode(arena, text, out) != OK) {
        e = member_refuse(why, key, "is not hexadecimal");
    }
    return e;
}
