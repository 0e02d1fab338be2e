/*
 * ABI data of many types: what decodes, encodes; and what was encoded decodes to the same values.
 * The first byte chooses the type.
 */
#include "kernel/base/check.h"
#include "kernel/base/json.h"
#include "kernel/evm/abi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[] = {
    "(uint256)",
    "(uint8,int16,bool,address,bytes4)",
    "(bytes,string)",
    "(uint64[],bytes32[3])",
    "(string[][2])",
    "((string,string)[])",
    "(uint64,bytes32,(address,address,uint256,uint16,(string,string)[]))",
    "((bytes,(int8,bool)[2])[],uint256[][][])",
    "(uint256[][][][][][])",
    "((((string))),(uint8)[2][2])",
    "(bool[65535][65535][])",
    "()",
};

static struct slice json_of(struct arena *arena, const struct abi_type *type,
                            const struct abi_value *values)
{
    struct buf out;
    struct json_out j;
    const struct abi_value tuple = abi_items(values, type->count);
    buf_init(&out, arena, 256);
    json_out_init(&j, &out);
    abi_value_json(&j, type, &tuple);
    return buf_slice(&out);
}

/* An encoding can be much longer than its data when offsets overlap; such ones are skipped. */
static bool is_small(const struct arena *arena)
{
    return arena->used < (4 << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct abi_type *type = NULL;
    const struct abi_value *values = NULL, *again = NULL;
    struct slice encoded, twice;
    if (size == 0) {
        return 0;
    }
    arena_init(&arena, 0);
    const char *text = types[data[0] % (sizeof(types) / sizeof(types[0]))];
    ASSERT(abi_type_parse(&arena, slice_text(text), &type, NULL) == OK);
    struct slice bytes = slice_of(data + 1, size - 1);
    if (abi_decode(&arena, type->items, type->count, bytes, &values, NULL) == OK &&
        is_small(&arena)) {
        ASSERT(abi_encode(&arena, type->items, values, type->count, &encoded, NULL) == OK);
        if (is_small(&arena)) {
            ASSERT(abi_decode(&arena, type->items, type->count, encoded, &again, NULL) == OK);
            ASSERT(abi_encode(&arena, type->items, again, type->count, &twice, NULL) == OK);
            ASSERT(slice_equal(encoded, twice));
            ASSERT(slice_equal(json_of(&arena, type, values), json_of(&arena, type, again)));
        }
    }
    arena_free(&arena);
    return 0;
}
