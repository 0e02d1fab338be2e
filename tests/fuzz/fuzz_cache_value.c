/* What Redis holds under our keys: nothing but our own bytes passes for ours. */
#include "kernel/base/check.h"
#include "kernel/cache/cache_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cache *cache;
    struct slice value;
    if (cache == NULL) {
        const struct cache_config none = {.redis_url = ""};
        ASSERT(cache_new(&none, SLICE_LIT("a secret that the fuzzer cannot guess"), &cache, NULL) ==
               OK);
    }
    ASSERT(!cache_unseal(cache, SLICE_LIT("GET /x"), slice_of(data, size), &value));
    return 0;
}
