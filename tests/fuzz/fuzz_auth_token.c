/* fuzz_auth_token.c: what is read as a key has its one length, and its id is where it was. */
#include <string.h>

#include "kernel/auth/auth.h"
#include "kernel/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth_token token;
    if (auth_token_parse(slice_of(data, size), &token) != OK) {
        return 0;
    }
    ASSERT(size == AUTH_TOKEN_DIGITS);
    ASSERT(memcmp(token.id, data + 4, AUTH_ID_DIGITS) == 0);
    struct hash again =
        sha256(slice_of(data + size - 2 * AUTH_SECRET_BYTES, 2 * AUTH_SECRET_BYTES));
    ASSERT(hash_equal(&again, &token.secret_hash));
    return 0;
}
