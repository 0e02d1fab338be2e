/* Raw transactions: what is accepted has a sender, and its fields are those of the RLP list. */
#include "kernel/base/check.h"
#include "kernel/evm/address.h"
#include "kernel/evm/rlp.h"
#include "kernel/evm/tx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The values of a raw transaction are those of its fields, in both kinds in the same order. */
static const struct rlp *field(const struct rlp *list, unsigned index)
{
    const struct rlp *item = list->child;
    for (unsigned i = 0; i < index; i++) {
        item = item->next;
    }
    return item;
}

static void check_fields(struct arena *arena, struct slice raw, const struct tx *tx)
{
    const struct rlp *list = NULL;
    const unsigned skip = tx->kind == TX_EIP1559 ? 1 : 0;
    uint64_t nonce = 0;
    struct u256 value;
    ASSERT(rlp_decode(arena, slice_sub(raw, skip, raw.len), &list, NULL) == OK);
    ASSERT(rlp_u64(field(list, skip), &nonce) == OK && nonce == tx->nonce);
    ASSERT(rlp_u256(field(list, 4 + 2 * skip), &value) == OK);
    ASSERT(u256_equal(value, wei_raw(tx->value)));
    ASSERT(slice_equal(field(list, 5 + 2 * skip)->bytes, tx->data));
    ASSERT((field(list, 3 + 2 * skip)->bytes.len == ADDRESS_BYTES) == tx->has_to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct tx tx;
    struct address from;
    struct hash hash;
    arena_init(&arena, 0);
    if (tx_decode(&arena, slice_of(data, size), &tx, &from, &hash, NULL) == OK) {
        struct hash expected = keccak256(slice_of(data, size));
        ASSERT(hash_equal(&hash, &expected));
        ASSERT(tx.chain_id != 0);
        ASSERT(tx_intrinsic_gas(&tx) >= 21000);
        check_fields(&arena, slice_of(data, size), &tx);
    }
    arena_free(&arena);
    return 0;
}
