/* Base64: what decodes, encodes back to the same text. */
#include "kernel/base/base64.h"
#include "kernel/base/check.h"
#include "kernel/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (int form = BASE64_STANDARD; form <= BASE64_URL; form++) {
        struct slice bytes;
        struct buf again;
        if (base64_decode(&arena, (enum base64_form)form, slice_of(data, size), &bytes) == OK) {
            buf_init(&again, &arena, size + 4);
            base64_encode(&again, (enum base64_form)form, bytes);
            ASSERT(slice_equal(buf_slice(&again), slice_of(data, size)));
        }
    }
    arena_free(&arena);
    return 0;
}
