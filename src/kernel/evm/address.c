#include "kernel/evm/address.h"

#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/evm/rlp.h"

#define HEX_DIGITS (2 * ADDRESS_BYTES)

static bool is_lower(uint8_t c)
{
    return c >= 'a' && c <= 'f';
}

static bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'F';
}

void address_format(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
    hex_encode_to(address_slice(a), out);
    struct hash h = keccak256(slice_of(out + 2, HEX_DIGITS));
    for (size_t i = 0; i < HEX_DIGITS; i++) {
        unsigned nibble = i % 2 == 0 ? h.bytes[i / 2] >> 4 : h.bytes[i / 2] & 0x0f;
        char *c = &out[2 + i];
        if (nibble >= 8 && is_lower((uint8_t)*c)) {
            *c = (char)(*c - 'a' + 'A');
        }
    }
}

enum err address_parse(struct slice text, struct address *out)
{
    struct address a;
    char checksummed[ADDRESS_TEXT_MAX];
    bool lower = false, upper = false;
    if (hex_decode_fixed(text, a.bytes, ADDRESS_BYTES) != OK) {
        return ERR_INVALID_ADDRESS;
    }
    for (size_t i = 2; i < text.len; i++) {
        lower |= is_lower(text.ptr[i]);
        upper |= is_upper(text.ptr[i]);
    }
    if (lower && upper) {
        address_format(&a, checksummed);
        if (!slice_equal_text(text, checksummed)) {
            return ERR_ADDRESS_CHECKSUM;
        }
    }
    *out = a;
    return OK;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return memcmp(a->bytes, b->bytes, ADDRESS_BYTES) == 0;
}

bool address_is_zero(const struct address *a)
{
    static const struct address zero;
    return address_equal(a, &zero);
}

struct address address_of_bytes(struct slice bytes)
{
    struct address a;
    ASSERT(bytes.len == ADDRESS_BYTES);
    memcpy(a.bytes, bytes.ptr, ADDRESS_BYTES);
    return a;
}

struct address address_of_create(const struct address *sender, uint64_t nonce)
{
    struct arena scratch;
    struct buf b;
    arena_init(&scratch, 256);
    buf_init(&b, &scratch, 64);
    size_t list = rlp_begin_list(&b);
    rlp_add_bytes(&b, address_slice(sender));
    rlp_add_u64(&b, nonce);
    rlp_end_list(&b, list);
    struct hash h = keccak256(buf_slice(&b));
    arena_free(&scratch);
    return address_of_bytes(slice_of(h.bytes + HASH_BYTES - ADDRESS_BYTES, ADDRESS_BYTES));
}

void json_address(struct json_out *j, const struct address *a)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(a, text);
    json_text(j, text);
}

enum err json_get_address(const struct json *object, const char *key, struct address *out,
                          struct why *why)
{
    struct slice text;
    enum err e = json_get_text(object, key, &text, why);
    if (e != OK) {
        return e;
    }
    e = address_parse(text, out);
    if (e == ERR_ADDRESS_CHECKSUM) {
        return why_set(why, e, key,
                       "%s mixes upper and lower case, but not as EIP-55 prescribes: a digit may "
                       "be mistyped.",
                       key);
    }
    if (e != OK) {
        return why_set(why, e, key, "%s must be an address: 0x and 40 hexadecimal digits.", key);
    }
    return OK;
}

enum err json_get_hash(const struct json *object, const char *key, struct hash *out,
                       struct why *why)
{
    struct slice text;
    enum err e = json_get_text(object, key, &text, why);
    if (e == OK && hash_parse(text, out) != OK) {
        e = why_set(why, ERR_INVALID_HASH, key, "%s must be 0x and 64 hexadecimal digits.", key);
    }
    return e;
}

enum err json_get_hex(struct arena *arena, const struct json *object, const char *key,
                      struct slice *out, struct why *why)
{
    struct slice text;
    enum err e = json_get_text(object, key, &text, why);
    if (e == OK && hex_decode(arena, text, out) != OK) {
        e = why_set(why, ERR_INVALID_HEX, key,
                    "%s must be 0x and an even number of hexadecimal digits.", key);
    }
    return e;
}
