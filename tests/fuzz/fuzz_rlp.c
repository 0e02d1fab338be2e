/* RLP: what decodes, encodes back to the same bytes; so no value has two spellings. */
#include "kernel/evm/rlp.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(struct buf *out, const struct rlp *item)
{
    if (!item->is_list) {
        rlp_add_bytes(out, item->bytes);
        return;
    }
    size_t list = rlp_begin_list(out);
    uint32_t count = 0;
    for (const struct rlp *child = item->child; child != NULL; child = child->next) {
        encode(out, child);
        count++;
    }
    ASSERT(count == item->count);
    rlp_end_list(out, list);
}

static void check_integers(struct arena *arena, const struct rlp *item)
{
    struct u256 wide;
    uint64_t narrow;
    if (rlp_u256(item, &wide) == OK) {
        struct buf out;
        buf_init(&out, arena, 40);
        rlp_add_u256(&out, wide);
        const struct rlp *again = NULL;
        ASSERT(rlp_decode(arena, buf_slice(&out), &again, NULL) == OK);
        ASSERT(slice_equal(again->bytes, item->bytes));
    }
    if (rlp_u64(item, &narrow) == OK) {
        ASSERT(u256_equal(wide, u256_from_u64(narrow)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct rlp *item = NULL;
    arena_init(&arena, 0);
    if (rlp_decode(&arena, slice_of(data, size), &item, NULL) == OK) {
        struct buf out;
        buf_init(&out, &arena, size);
        encode(&out, item);
        ASSERT(slice_equal(buf_slice(&out), slice_of(data, size)));
        check_integers(&arena, item);
    }
    arena_free(&arena);
    return 0;
}
