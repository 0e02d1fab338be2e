/* Tokens: what is read is exactly what was written, and nobody's signature but the key's is good.
 */
#include "kernel/base/base64.h"
#include "kernel/base/check.h"
#include "kernel/crypto/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct jwt jwt;
    arena_init(&arena, 0);
    if (jwt_read(&arena, slice_of(data, size), "at+jwt", &jwt) == OK) {
        struct buf again;
        uint8_t zeros[ED25519_KEY_BYTES] = {0};
        ASSERT(size <= JWT_TEXT_MAX && jwt.claims->type == JSON_OBJECT && jwt.kid.len > 0);
        buf_init(&again, &arena, size);
        buf_add_slice(&again, jwt.signed_text);
        buf_add_byte(&again, '.');
        base64_encode(&again, BASE64_URL, jwt.signature);
        ASSERT(slice_equal(buf_slice(&again), slice_of(data, size)));
        (void)jwt_verify(&jwt, zeros);
    }
    arena_free(&arena);
    return 0;
}
