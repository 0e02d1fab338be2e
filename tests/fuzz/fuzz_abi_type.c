/* ABI type text: what parses, formats to text that parses and formats the same. */
#include "kernel/base/check.h"
#include "kernel/evm/abi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice format(struct arena *arena, const struct abi_type *type)
{
    struct buf out;
    buf_init(&out, arena, 64);
    abi_type_format(&out, type);
    return buf_slice(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct abi_type *type = NULL, *again = NULL;
    arena_init(&arena, 0);
    if (abi_type_parse(&arena, slice_of(data, size), &type, NULL) == OK) {
        struct slice text = format(&arena, type);
        ASSERT(abi_type_parse(&arena, text, &again, NULL) == OK);
        ASSERT(slice_equal(format(&arena, again), text));
        ASSERT(abi_is_dynamic(type) == abi_is_dynamic(again));
    }
    arena_free(&arena);
    return 0;
}
