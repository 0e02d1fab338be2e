/*
 * member.h: members of the JSON objects that nodes answer with.
 *
 * Whatever is wrong with one is ERR_NODE_RESPONSE, with the member's name as the field. Outputs are
 * untouched on failure. Private to kernel/evm.
 */
#ifndef KERNEL_EVM_MEMBER_H
#define KERNEL_EVM_MEMBER_H

#include "kernel/base/json.h"
#include "kernel/base/money.h"
#include "kernel/base/u256.h"
#include "kernel/crypto/secp256k1.h"

/* member_refuse sets the sentence "The node's KEY SENTENCE." and returns ERR_NODE_RESPONSE. */
enum err member_refuse(struct why *why, const char *key, const char *sentence);
/* member_find finds a member that is neither missing nor null, or NULL. */
const struct json *member_find(const struct json *v, const char *key);
/* member_text reads a string; the slice is the JSON's. Errors: ERR_NODE_RESPONSE. */
enum err member_text(const struct json *v, const char *key, struct slice *out,
                     struct why *why) ERR_CHECKED;
/* member_fixed reads exactly `len` bytes of hexadecimal. Errors: ERR_NODE_RESPONSE. */
enum err member_fixed(const struct json *v, const char *key, uint8_t *out, size_t len,
                      struct why *why) ERR_CHECKED;
/* member_bytes reads hexadecimal of any length. Owns: the arena. Errors: ERR_NODE_RESPONSE. */
enum err member_bytes(struct arena *arena, const struct json *v, const char *key, struct slice *out,
                      struct why *why) ERR_CHECKED;
/* member_hash reads 32 bytes. Errors: ERR_NODE_RESPONSE. */
enum err member_hash(const struct json *v, const char *key, struct hash *out,
                     struct why *why) ERR_CHECKED;
/* member_address reads 20 bytes in any case: nodes of some chains write other checksums than
 * EIP-55. Errors: ERR_NODE_RESPONSE. */
enum err member_address(const struct json *v, const char *key, struct address *out,
                        struct why *why) ERR_CHECKED;
/* member_u256 reads a quantity. Errors: ERR_NODE_RESPONSE. */
enum err member_u256(const struct json *v, const char *key, struct u256 *out,
                     struct why *why) ERR_CHECKED;
/* member_u64 reads a quantity. Errors: ERR_NODE_RESPONSE. */
enum err member_u64(const struct json *v, const char *key, uint64_t *out,
                    struct why *why) ERR_CHECKED;
/* member_u32 reads a quantity. Errors: ERR_NODE_RESPONSE. */
enum err member_u32(const struct json *v, const char *key, uint32_t *out,
                    struct why *why) ERR_CHECKED;
/* member_wei reads a quantity as wei. Errors: ERR_NODE_RESPONSE. */
enum err member_wei(const struct json *v, const char *key, struct wei_amount *out,
                    struct why *why) ERR_CHECKED;

#endif
