#include "kernel/evm/bloom.h"

#include "kernel/evm/address.h"
#include "kernel/evm/block.h"
#include "unit/vectors.h"

static struct arena arena;
static const struct json *prague;

static int setup(void **state)
{
    arena_init(&arena, 0);
    prague = json_find(vector_file(&arena, "anvil_blocks.json"), "prague");
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static void the_bloom_holds_what_was_logged(void **state)
{
    struct evm_header h;
    struct evm_receipt r;
    assert_int_equal(evm_header_parse(json_find(prague, "block"), &h, NULL), OK);
    assert_int_equal(evm_receipt_parse(&arena, json_at(json_find(prague, "receipts"), 1), &r, NULL),
                     OK);
    assert_true(evm_bloom_may_hold(h.bloom, address_slice(&r.logs[0].address)));
    assert_true(evm_bloom_may_hold(h.bloom, hash_slice(&r.logs[0].topics[0])));
    assert_false(evm_bloom_may_hold(h.bloom, address_slice(&r.from)));
    uint8_t empty[EVM_BLOOM_BYTES] = {0};
    assert_false(evm_bloom_may_hold(empty, address_slice(&r.from)));
    /* The block has that one log. */
    evm_bloom_add(empty, address_slice(&r.logs[0].address));
    evm_bloom_add(empty, hash_slice(&r.logs[0].topics[0]));
    assert_memory_equal(empty, h.bloom, EVM_BLOOM_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_bloom_holds_what_was_logged)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
