/*
 * A block object: whatever comes, its header is parsed or refused with a sentence; what can be
 * hashed is one RLP list that decodes again.
 */
#include "kernel/evm/block.h"

#include "kernel/base/check.h"
#include "kernel/evm/rlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct json *v = NULL;
    arena_init(&arena, 0);
    if (json_parse(&arena, slice_of(data, size), &json_limits_body, &v, NULL) == OK) {
        struct evm_header header;
        struct why why = {0};
        struct buf b;
        enum err e = evm_header_parse(v, &header, &why);
        ASSERT(e == OK || (e == ERR_NODE_RESPONSE && why.text[0] != '\0'));
        e = evm_header_verify(&arena, v, &why);
        ASSERT(e == OK || e == ERR_NODE_RESPONSE || e == ERR_NODE_UNKNOWN || e == ERR_CORRUPT);
        buf_init(&b, &arena, 64);
        if (evm_header_encode(&arena, v, &b, NULL) == OK) {
            const struct rlp *item = NULL;
            ASSERT(rlp_decode(&arena, buf_slice(&b), &item, NULL) == OK);
            ASSERT(item->is_list && item->count >= 15);
        } else {
            ASSERT(b.len == 0);
        }
    }
    arena_free(&arena);
    return 0;
}
