/* Journal files: whatever the bytes, reading ends, and what it gives lies inside them. */
#include "domain/trading/journal/journal_block.h"

#include "kernel/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal_head head;
    struct hash chain = {{0}};
    uint64_t seq = 1;
    size_t at = 0;
    if (size >= JOURNAL_HEAD_BYTES && journal_head_decode(data, &head, NULL) == OK) {
        ASSERT(engine_limits_check(&head.limits, NULL) == OK);
        at = JOURNAL_HEAD_BYTES;
        seq = head.first_seq;
        chain = head.chain;
    }
    struct journal_block block;
    while (journal_block_read(slice_of(data, size), at, seq, &chain, &block, NULL) ==
           JOURNAL_BLOCK) {
        ASSERT(block.count > 0 && block.size <= size - at && block.first_seq == seq);
        for (uint32_t i = 0; i < block.count; i++) {
            struct engine_command c;
            (void)!journal_record_decode(block.records + (size_t)i * JOURNAL_UNIT, &c, NULL);
        }
        at += block.size;
        seq += block.count;
    }
    return 0;
}
