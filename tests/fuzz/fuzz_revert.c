/* Revert data: whatever a contract answers becomes one short line of text. */
#include "gen/abi_types.h"
#include "kernel/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct slice text =
        abi_revert_format(&arena, slice_of(data, size), abi_contracts, ABI_CONTRACT_COUNT);
    ASSERT(text.len > 0 && text.len < 512 && slice_is_utf8(text));
    for (size_t i = 0; i < text.len; i++) {
        ASSERT(text.ptr[i] >= 0x20 && text.ptr[i] != 0x7f);
    }
    arena_free(&arena);
    return 0;
}
