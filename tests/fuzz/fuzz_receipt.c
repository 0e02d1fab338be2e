/*
 * A receipt object: parsed or refused with a sentence; what is parsed encodes to one RLP list
 * behind its type, with as many logs, and proves nothing of a block that it is not in.
 */
#include "kernel/evm/receipt.h"

#include "kernel/base/check.h"
#include "kernel/evm/proof.h"
#include "kernel/evm/rlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_encoding(struct arena *arena, const struct receipt *r)
{
    struct buf b;
    const struct rlp *item = NULL;
    buf_init(&b, arena, 64);
    receipt_encode(&b, r);
    struct slice list = slice_sub(buf_slice(&b), r->type == 0 ? 0 : 1, b.len);
    ASSERT(rlp_decode(arena, list, &item, NULL) == OK);
    ASSERT(item->is_list && item->count == (r->has_deposit ? 6 : 4));
    ASSERT(item->child->next->next->next->count == r->log_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct json *v = NULL;
    arena_init(&arena, 0);
    if (json_parse(&arena, slice_of(data, size), &json_limits_body, &v, NULL) == OK) {
        struct receipt r;
        struct evm_receipt other;
        struct why why = {0};
        struct evm_header header = {.number = 1};
        struct evm_log *logs = NULL;
        struct hash *txs = NULL;
        size_t count = 0;
        enum err e = receipt_parse(&arena, v, &r, &why);
        ASSERT(e == OK || (e == ERR_NODE_RESPONSE && why.text[0] != '\0'));
        if (e == OK) {
            check_encoding(&arena, &r);
        }
        e = proof_of_receipts(&arena, &v, 1, &header, &logs, &count, &txs, NULL);
        ASSERT(e == ERR_NODE_RESPONSE || e == ERR_NODE_LIED || e == ERR_NODE_UNKNOWN);
        e = evm_receipt_parse(&arena, v, &other, &why);
        ASSERT(e == OK || e == ERR_NODE_RESPONSE);
    }
    arena_free(&arena);
    return 0;
}
