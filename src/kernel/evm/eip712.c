#include "kernel/evm/eip712.h"

#include "kernel/base/check.h"
#include "kernel/evm/abi_word.h"

/* Typehash of EIP712Domain(string name,string version,uint256 chainId,address verifyingContract) */
static const struct hash domain_typehash = {{0x8b, 0x73, 0xc3, 0xc6, 0x9b, 0xb8, 0xfe, 0x3d,
                                             0x51, 0x2e, 0xcc, 0x4c, 0xf7, 0x59, 0xcc, 0x79,
                                             0x23, 0x9f, 0x7b, 0x17, 0x9b, 0x0f, 0xfa, 0xca,
                                             0xa9, 0xa7, 0x5d, 0x52, 0x2b, 0x39, 0x40, 0x0f}};

struct hash eip712_domain_separator(const struct eip712_domain *domain)
{
    uint8_t words[5 * ABI_WORD] = {0};
    struct hash name = keccak256(domain->name);
    struct hash version = keccak256(domain->version);
    memcpy(words, domain_typehash.bytes, HASH_BYTES);
    memcpy(words + ABI_WORD, name.bytes, HASH_BYTES);
    memcpy(words + 2 * ABI_WORD, version.bytes, HASH_BYTES);
    u256_encode_be(u256_from_u64(domain->chain_id), words + 3 * ABI_WORD);
    memcpy(words + 5 * ABI_WORD - ADDRESS_BYTES, domain->contract.bytes, ADDRESS_BYTES);
    return keccak256(slice_of(words, sizeof(words)));
}

/* member_encode writes the word that a member contributes to encodeData. */
static enum err member_encode(const struct abi_type *type, const struct abi_value *value,
                              uint8_t out[ABI_WORD], struct why *why)
{
    if (type->kind == ABI_STRING || type->kind == ABI_BYTES) {
        struct hash h = keccak256(value->bytes);
        memcpy(out, h.bytes, HASH_BYTES);
        return OK;
    }
    if (!abi_is_word(type)) {
        return why_set(why, ERR_INVALID_ENCODING, NULL,
                       "A nested struct or array must be given as its hash.");
    }
    return abi_word_encode(type, value, out, why);
}

enum err eip712_struct_hash(struct arena *arena, const struct hash *type_hash,
                            const struct abi_type *types, const struct abi_value *values,
                            size_t count, struct hash *out, struct why *why)
{
    struct buf words;
    buf_init(&words, arena, (count + 1) * ABI_WORD);
    buf_add_slice(&words, hash_slice(type_hash));
    for (size_t i = 0; i < count; i++) {
        enum err e = member_encode(&types[i], &values[i], buf_room(&words, ABI_WORD), why);
        if (e != OK) {
            return abi_why_under(why, e, &types[i], i);
        }
        words.len += ABI_WORD;
    }
    *out = keccak256(buf_slice(&words));
    return OK;
}

struct hash eip712_digest(const struct hash *domain_separator, const struct hash *struct_hash)
{
    uint8_t bytes[2 + 2 * HASH_BYTES] = {0x19, 0x01};
    memcpy(bytes + 2, domain_separator->bytes, HASH_BYTES);
    memcpy(bytes + 2 + HASH_BYTES, struct_hash->bytes, HASH_BYTES);
    return keccak256(slice_of(bytes, sizeof(bytes)));
}

struct hash eip712_personal(struct slice message)
{
    struct keccak k;
    struct hash out;
    char header[64];
    int len = snprintf(header, sizeof(header),
                       "\x19"
                       "Ethereum Signed Message:\n%zu",
                       message.len);
    ASSERT(len > 0 && (size_t)len < sizeof(header));
    keccak_init(&k);
    keccak_update(&k, slice_of(header, (size_t)len));
    keccak_update(&k, message);
    keccak_final(&k, &out);
    return out;
}
