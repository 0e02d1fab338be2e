/* Hex text: what decodes, encodes back to the same text but for case. */
#include "kernel/base/hex.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct slice text = slice_of(data, size);
    struct slice bytes;
    if (hex_decode(&arena, text, &bytes) == OK) {
        ASSERT(slice_equal_nocase(hex_encode(&arena, bytes), text));
        uint8_t *fixed = arena_alloc(&arena, bytes.len);
        ASSERT(hex_decode_fixed(text, fixed, bytes.len) == OK);
        ASSERT(slice_equal(slice_of(fixed, bytes.len), bytes));
        ASSERT(hex_decode_fixed(text, fixed, bytes.len + 1) == ERR_INVALID_HEX);
    }
    uint64_t quantity;
    if (hex_parse_u64(text, &quantity) == OK) {
        char again[24];
        uint64_t back;
        snprintf(again, sizeof again, "0x%llx", (unsigned long long)quantity);
        ASSERT(hex_parse_u64(slice_text(again), &back) == OK && back == quantity);
    }
    arena_free(&arena);
    return 0;
}
