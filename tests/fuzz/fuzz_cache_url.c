/* redis.url: whatever is read has a host, a port, and a password without NUL. */
#include "kernel/base/check.h"
#include "kernel/cache/cache_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cache_address a = {0};
    struct why why = {0};
    if (cache_url_parse(slice_of(data, size), &a, &why) == OK) {
        ASSERT(a.host[0] != '\0' && a.port > 0 && a.port <= UINT16_MAX);
        ASSERT(!a.has_password || secret_len(&a.password) < 512);
        ASSERT(memchr(secret_bytes(&a.password), 0, secret_len(&a.password)) == NULL);
    } else {
        ASSERT(why.err == ERR_CONFIG && why.text[0] != '\0');
    }
    secret_clear(&a.password);
    return 0;
}
