/*
 * A transaction object: encoded or refused with a sentence; what is encoded is one RLP list behind
 * its type.
 */
#include "kernel/evm/tx_node.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"
#include "kernel/evm/rlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct json *v = NULL;
    arena_init(&arena, 0);
    if (json_parse(&arena, slice_of(data, size), &json_limits_body, &v, NULL) == OK) {
        struct why why = {0};
        struct buf b;
        const struct rlp *item = NULL;
        buf_init(&b, &arena, 64);
        enum err e = tx_node_encode(&arena, v, &b, &why);
        if (e == OK) {
            struct slice all = buf_slice(&b);
            struct slice list = slice_sub(all, all.ptr[0] < 0xc0 ? 1 : 0, all.len);
            ASSERT(rlp_decode(&arena, list, &item, NULL) == OK);
            ASSERT(item->is_list);
        } else {
            ASSERT((e == ERR_NODE_RESPONSE || e == ERR_NODE_UNKNOWN) && why.text[0] != '\0');
            ASSERT(b.len == 0);
        }
    }
    arena_free(&arena);
    return 0;
}
