/* fuzz_auth_refresh.c: what is read as a refresh token has its one length and alphabet. */
#include "kernel/auth/auth_session.h"
#include "kernel/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hash hash;
    if (auth_refresh_parse(slice_of(data, size), &hash) != OK) {
        return 0;
    }
    ASSERT(size == AUTH_REFRESH_TEXT_MAX - 1 &&
           slice_starts(slice_of(data, size), SLICE_LIT("fhr_")));
    struct hash again = sha256(slice_of(data + 4, size - 4));
    ASSERT(hash_equal(&again, &hash));
    return 0;
}
