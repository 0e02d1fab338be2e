/*
 * journal_block.h: the bytes of a journal file, and how damage is told from a torn write.
 *
 *   file    head (4,096 bytes) block block … zeros to the end: the file is made that long first
 *   head    magic, sizes of the engine's pools, first sequence number, chain so far, CRC-32C
 *   block   head (64 bytes), 1 … 4,096 records of 64 bytes, tail (64 bytes)
 *   record  a command; bytes 6 and 7, which no command uses, hold half of its CRC-32C, so that a
 *           damaged record can be named and not only its block
 *
 * A block's chain is SHA-256(chain before, sequence, records): blocks cannot be exchanged, left out
 * or put in. One CRC-32C covers its head, another its records.
 *
 * One write is in flight at a time, into zeros. So a torn write leaves zeros where bytes should be:
 * a head or tail whose last eight bytes (END_MARK) are cut off, or a record of zeros alone, which
 * no whole block has. Whatever else is wrong was whole once, may have been acknowledged, and is
 * damage: it is never repaired. A torn block that has a sound one behind it is damage too.
 * What no reader can tell from a torn write is a last block that a disk has turned into zeros.
 */
#ifndef DOMAIN_TRADING_JOURNAL_JOURNAL_BLOCK_H
#define DOMAIN_TRADING_JOURNAL_JOURNAL_BLOCK_H

#include <stdbool.h>

#include "domain/trading/engine/engine.h"
#include "kernel/crypto/hash.h"

#define JOURNAL_HEAD_BYTES 4096
#define JOURNAL_UNIT 64
#define JOURNAL_RECORDS_MAX 4096
#define JOURNAL_BLOCK_MAX ((JOURNAL_RECORDS_MAX + 2) * (size_t)JOURNAL_UNIT)

struct journal_head {
    struct engine_limits limits;
    uint64_t first_seq; /* of the first record in the file */
    struct hash chain;  /* of all before */
};

/* journal_crc32c computes CRC-32C (Castagnoli; RFC 3720, appendix B.4) of bytes after `crc`. */
uint32_t journal_crc32c(uint32_t crc, const void *bytes, size_t size);

/* journal_head_encode writes the head of a file. */
void journal_head_encode(const struct journal_head *head, uint8_t out[JOURNAL_HEAD_BYTES]);

/* journal_head_decode reads it. Errors: ERR_CORRUPT. */
enum err journal_head_decode(const uint8_t bytes[JOURNAL_HEAD_BYTES], struct journal_head *out,
                             struct why *why) ERR_CHECKED;

/*
 * journal_block_seal makes a block of `count` records that begin JOURNAL_UNIT bytes into `block`,
 * and moves `chain` on. Returns the size of the block.
 */
size_t journal_block_seal(uint8_t *block, uint32_t count, uint64_t first_seq, struct hash *chain);

enum journal_found {
    JOURNAL_BLOCK,  /* whole and right */
    JOURNAL_END,    /* zeros to the end: nothing was written here */
    JOURNAL_TORN,   /* the last write did not finish; nothing sound is behind it */
    JOURNAL_BROKEN, /* damage */
};

struct journal_block {
    uint64_t first_seq;
    uint32_t count;
    size_t size; /* bytes of the block; JOURNAL_TORN: to the last byte that is not zero */
    const uint8_t *records;
};

/*
 * journal_block_read looks at what begins at `at` in a file's bytes, where sequence number `seq` is
 * to come next. JOURNAL_BLOCK moves `chain` on; JOURNAL_BROKEN tells what is wrong in `why`.
 * Owns: *out borrows from `bytes`.
 */
enum journal_found journal_block_read(struct slice bytes, size_t at, uint64_t seq,
                                      struct hash *chain, struct journal_block *out,
                                      struct why *why);

/* journal_record_decode reads a record of a block. Errors: ERR_CORRUPT. */
enum err journal_record_decode(const uint8_t *record, struct engine_command *out,
                               struct why *why) ERR_CHECKED;

#endif
