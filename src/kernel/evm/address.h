/*
 * address.h: account addresses and EIP-55.
 *
 * Text from outside is accepted as 0x + 40 hex digits: all lower case, all upper case, or mixed
 * case with a right EIP-55 checksum; anything else is refused, because a mistyped payee is lost
 * money. Text that we write is always checksummed.
 */
#ifndef KERNEL_EVM_ADDRESS_H
#define KERNEL_EVM_ADDRESS_H

#include "kernel/base/json.h"
#include "kernel/crypto/secp256k1.h"

#define ADDRESS_TEXT_MAX 43

/* address_parse reads text. Errors: ERR_INVALID_ADDRESS, ERR_ADDRESS_CHECKSUM. */
enum err address_parse(struct slice text, struct address *out) ERR_CHECKED;
/* address_format writes EIP-55 text and a NUL. */
void address_format(const struct address *a, char out[ADDRESS_TEXT_MAX]);
/* address_equal compares. */
bool address_equal(const struct address *a, const struct address *b);
/* address_is_zero says whether all bytes are 0. */
bool address_is_zero(const struct address *a);
/* address_slice lends the 20 bytes. */
static inline struct slice address_slice(const struct address *a)
{
    return (struct slice){a->bytes, ADDRESS_BYTES};
}
/* address_of_bytes copies 20 bytes; a wrong length is a bug (ASSERT). */
struct address address_of_bytes(struct slice bytes);
/* address_of_create returns the address a CREATE by `sender` at `nonce` deploys to. */
struct address address_of_create(const struct address *sender, uint64_t nonce);
/* json_address writes the checksummed text. */
void json_address(struct json_out *j, const struct address *a);
/* json_get_address reads a required member. Errors: as json_get_text and address_parse. */
enum err json_get_address(const struct json *object, const char *key, struct address *out,
                          struct why *why) ERR_CHECKED;
/* json_get_hash reads a required member of 0x + 64 hex. Errors: ERR_INVALID_HASH, … */
enum err json_get_hash(const struct json *object, const char *key, struct hash *out,
                       struct why *why) ERR_CHECKED;
/* json_get_hex reads a required member of 0x hex bytes into the arena. Errors: ERR_INVALID_HEX, …
 */
enum err json_get_hex(struct arena *arena, const struct json *object, const char *key,
                      struct slice *out, struct why *why) ERR_CHECKED;

#endif
