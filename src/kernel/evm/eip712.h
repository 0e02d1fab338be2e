/*
 * eip712.h: typed structured data (EIP-712), standard and by explicit type string.
 *
 * The lease intent of the leasing protocol is not standard: its type string does not append the
 * referenced Lease type and names a member differently. Therefore the encoder here takes the type
 * string verbatim (eip712_struct_hash) and nested structs as hashes that the caller computed;
 * eip712_typed_data hashes a standard document as wallets send it to eth_signTypedData_v4.
 *
 * Documents have at most 63 types of at most 256 members. Integers are strings (decimal or 0x) or
 * numbers below 2^53, beyond which a wallet in JavaScript would have hashed another number.
 */
#ifndef KERNEL_EVM_EIP712_H
#define KERNEL_EVM_EIP712_H

#include "kernel/base/json.h"
#include "kernel/evm/abi.h"

struct eip712_domain {
    struct slice name;
    struct slice version;
    uint64_t chain_id;
    struct address contract;
};

/* eip712_domain_separator hashes the four-member domain. */
struct hash eip712_domain_separator(const struct eip712_domain *domain);

/*
 * eip712_struct_hash is keccak(typehash || encodeData): `types` are atomic or dynamic members
 * (strings and bytes are hashed; arrays and nested structs are given as bytes32 hashes).
 * Errors: ERR_INVALID_ENCODING.
 */
enum err eip712_struct_hash(struct arena *arena, const struct hash *type_hash,
                            const struct abi_type *types, const struct abi_value *values,
                            size_t count, struct hash *out, struct why *why) ERR_CHECKED;

/* eip712_digest is keccak(0x1901 || domain separator || struct hash). */
struct hash eip712_digest(const struct hash *domain_separator, const struct hash *struct_hash);

/*
 * eip712_typed_data computes the digest of a standard typed-data document {types, primaryType,
 * domain, message}, with nested structs and arrays; null ends a recursive type. Members that the
 * types do not name are not hashed, as everywhere. Errors: ERR_INVALID_JSON, ERR_INVALID_ENCODING,
 * ERR_MISSING_FIELD (why names the path).
 */
enum err eip712_typed_data(struct arena *arena, const struct json *document, struct hash *out,
                           struct why *why) ERR_CHECKED;

/* eip712_personal is the EIP-191 digest of a personal_sign message. */
struct hash eip712_personal(struct slice message);

#endif
