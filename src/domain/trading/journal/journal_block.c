#include "domain/trading/journal/journal_block.h"

#include <stddef.h>

#include "kernel/base/check.h"

#define HEAD_MAGIC UINT64_C(0x314A474E45484601) /* ".FHENGJ1" */
#define BLOCK_MAGIC UINT32_C(0x4B4C4245)
#define TAIL_MAGIC UINT64_C(0x314C494154474E45)
/* Each byte has more than one bit: no flip of one makes a byte look cut off. */
#define END_MARK UINT64_C(0x5AA5C33C69969669)
#define RECORD_CHECK 6 /* offset in a record */

struct block_head {
    uint32_t magic;
    uint32_t head_crc; /* CRC-32C of all behind it: a count is believed only when this is right */
    uint64_t first_seq;
    uint8_t chain[HASH_BYTES]; /* behind this block */
    uint32_t count;
    uint32_t crc; /* CRC-32C of the records */
    uint64_t end;
};

struct block_tail {
    uint64_t magic;
    uint64_t first_seq;
    uint8_t filler[32]; /* 0xff: a tail is never zeros */
    uint32_t count;
    uint32_t crc; /* the block's */
    uint64_t end;
};
_Static_assert(sizeof(struct block_head) == JOURNAL_UNIT, "no holes");
_Static_assert(sizeof(struct block_tail) == JOURNAL_UNIT, "no holes");

struct file_head {
    uint64_t magic;
    uint32_t limits[8];
    uint64_t first_seq;
    uint8_t chain[HASH_BYTES];
    uint32_t unused;
    uint32_t crc; /* of all before */
};
_Static_assert(sizeof(struct file_head) == 88, "no holes");

/* ---- CRC-32C ---- */

static uint32_t crc_bytewise(uint32_t crc, const uint8_t *bytes, size_t size)
{
    static const uint32_t nibbles[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                         0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                         0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                         0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_wordwise(uint32_t crc, const uint8_t *bytes,
                                                               size_t size)
{
    uint64_t wide = crc;
    for (; size >= sizeof wide; size -= sizeof wide, bytes += sizeof wide) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    return crc_bytewise((uint32_t)wide, bytes, size);
}
#endif

uint32_t journal_crc32c(uint32_t crc, const void *bytes, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return ~crc_wordwise(~crc, bytes, size);
    }
#endif
    return ~crc_bytewise(~crc, bytes, size);
}

/* ---- files ---- */

void journal_head_encode(const struct journal_head *head, uint8_t out[JOURNAL_HEAD_BYTES])
{
    const struct engine_limits *l = &head->limits;
    struct file_head f = {.magic = HEAD_MAGIC,
                          .limits = {l->pairs, l->assets, l->accounts, l->orders, l->balances,
                                     l->rights, l->holds, l->id_window},
                          .first_seq = head->first_seq};
    memcpy(f.chain, head->chain.bytes, HASH_BYTES);
    f.crc = journal_crc32c(0, &f, offsetof(struct file_head, crc));
    memset(out, 0, JOURNAL_HEAD_BYTES);
    memcpy(out, &f, sizeof f);
}

enum err journal_head_decode(const uint8_t bytes[JOURNAL_HEAD_BYTES], struct journal_head *out,
                             struct why *why)
{
    struct file_head f;
    memcpy(&f, bytes, sizeof f);
    if (f.magic != HEAD_MAGIC || f.crc != journal_crc32c(0, &f, offsetof(struct file_head, crc))) {
        return why_set(why, ERR_CORRUPT, NULL, "the head of the journal file is damaged");
    }
    const struct engine_limits limits = {f.limits[0], f.limits[1], f.limits[2], f.limits[3],
                                         f.limits[4], f.limits[5], f.limits[6], f.limits[7]};
    if (engine_limits_check(&limits, why) != OK) {
        return ERR_CORRUPT;
    }
    out->limits = limits;
    out->first_seq = f.first_seq;
    memcpy(out->chain.bytes, f.chain, HASH_BYTES);
    return OK;
}

/* ---- blocks ---- */

static uint16_t record_check(const uint8_t *record)
{
    uint8_t copy[JOURNAL_UNIT];
    memcpy(copy, record, sizeof copy);
    memset(copy + RECORD_CHECK, 0, sizeof(uint16_t));
    return (uint16_t)journal_crc32c(0, copy, sizeof copy);
}

static void chain_on(struct hash *chain, uint64_t first_seq, const uint8_t *records, uint32_t count)
{
    struct sha256 *s = sha256_new();
    sha256_update(s, hash_slice(chain));
    sha256_update(s, slice_of(&first_seq, sizeof first_seq));
    sha256_update(s, slice_of(records, (size_t)count * JOURNAL_UNIT));
    sha256_final(s, chain);
    sha256_free(s);
}

static uint32_t head_crc(const struct block_head *head)
{
    const size_t from = offsetof(struct block_head, first_seq);
    return journal_crc32c(0, (const uint8_t *)head + from, sizeof *head - from);
}

static uint32_t records_crc(const uint8_t *records, uint32_t count)
{
    return journal_crc32c(0, records, (size_t)count * JOURNAL_UNIT);
}

size_t journal_block_seal(uint8_t *block, uint32_t count, uint64_t first_seq, struct hash *chain)
{
    uint8_t *records = block + JOURNAL_UNIT;
    ASSERT(count > 0 && count <= JOURNAL_RECORDS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *record = records + (size_t)i * JOURNAL_UNIT;
        memset(record + RECORD_CHECK, 0, sizeof(uint16_t));
        const uint16_t check = record_check(record);
        memcpy(record + RECORD_CHECK, &check, sizeof check);
    }
    chain_on(chain, first_seq, records, count);
    struct block_head head = {
        .magic = BLOCK_MAGIC, .first_seq = first_seq, .count = count, .end = END_MARK};
    memcpy(head.chain, chain->bytes, HASH_BYTES);
    head.crc = records_crc(records, count);
    head.head_crc = head_crc(&head);
    struct block_tail tail = {.magic = TAIL_MAGIC,
                              .first_seq = first_seq,
                              .count = count,
                              .crc = head.crc,
                              .end = END_MARK};
    memset(tail.filler, 0xff, sizeof tail.filler);
    memcpy(block, &head, sizeof head);
    memcpy(records + (size_t)count * JOURNAL_UNIT, &tail, sizeof tail);
    return (size_t)(count + 2) * JOURNAL_UNIT;
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* END_MARK with its last bytes missing, or all of it. */
static bool cut_off(uint64_t end)
{
    for (unsigned bytes = 0; bytes < sizeof end; bytes++) {
        const uint64_t kept = bytes == 0 ? 0 : END_MARK & (UINT64_MAX >> (64 - 8 * bytes));
        if (end == kept) {
            return true;
        }
    }
    return false;
}

static bool head_sound(const struct block_head *head)
{
    return head->magic == BLOCK_MAGIC && head->end == END_MARK &&
           head->head_crc == head_crc(head) && head->count > 0 &&
           head->count <= JOURNAL_RECORDS_MAX;
}

/* Whether any block that is whole begins at or after `at`. */
static bool sound_behind(struct slice bytes, size_t at, uint64_t seq)
{
    for (; at + 3 * JOURNAL_UNIT <= bytes.len; at += JOURNAL_UNIT) {
        struct block_head head;
        memcpy(&head, bytes.ptr + at, sizeof head);
        if (head_sound(&head) && head.first_seq >= seq &&
            (head.count + 2) * (size_t)JOURNAL_UNIT <= bytes.len - at &&
            head.crc == records_crc(bytes.ptr + at + JOURNAL_UNIT, head.count)) {
            return true;
        }
    }
    return false;
}

static enum journal_found broken(struct why *why, size_t at, uint64_t seq, const char *what)
{
    (void)why_set(why, ERR_CORRUPT, NULL, "offset %zu, record %llu: %s", at,
                  (unsigned long long)seq, what);
    return JOURNAL_BROKEN;
}

/* The record of a block that is not what was written, by its own check. */
static enum journal_found name_record(struct why *why, size_t at, const struct block_head *head,
                                      const uint8_t *records)
{
    for (uint32_t i = 0; i < head->count; i++) {
        const uint8_t *record = records + (size_t)i * JOURNAL_UNIT;
        uint16_t check;
        memcpy(&check, record + RECORD_CHECK, sizeof check);
        if (check != record_check(record)) {
            return broken(why, at + (size_t)(i + 1) * JOURNAL_UNIT, head->first_seq + i,
                          "the record is damaged");
        }
    }
    return broken(why, at, head->first_seq, "the head of the block is damaged");
}

static bool torn_inside(const uint8_t *records, uint32_t count, uint64_t end)
{
    for (uint32_t i = 0; i < count; i++) {
        if (all_zero(records + (size_t)i * JOURNAL_UNIT, JOURNAL_UNIT)) {
            return true;
        }
    }
    return cut_off(end);
}

static enum journal_found torn(struct slice bytes, size_t at, uint64_t seq,
                               struct journal_block *out, struct why *why)
{
    if (all_zero(bytes.ptr + at, bytes.len - at)) {
        *out = (struct journal_block){.first_seq = seq};
        return JOURNAL_END;
    }
    if (sound_behind(bytes, at + JOURNAL_UNIT, seq)) {
        return broken(why, at, seq, "bytes are missing, and sound blocks follow");
    }
    size_t end = bytes.len;
    while (end > at && bytes.ptr[end - 1] == 0) {
        end--;
    }
    /* More than one write can have left is more than a torn write. */
    if (end - at > JOURNAL_BLOCK_MAX) {
        return broken(why, at, seq, "bytes are missing, and others follow");
    }
    *out = (struct journal_block){.first_seq = seq, .size = end - at};
    return JOURNAL_TORN;
}

enum journal_found journal_block_read(struct slice bytes, size_t at, uint64_t seq,
                                      struct hash *chain, struct journal_block *out,
                                      struct why *why)
{
    struct block_head head;
    ASSERT(at <= bytes.len);
    const size_t left = bytes.len - at;
    if (left < 3 * JOURNAL_UNIT) {
        return torn(bytes, at, seq, out, why);
    }
    memcpy(&head, bytes.ptr + at, sizeof head);
    if (cut_off(head.end)) {
        return torn(bytes, at, seq, out, why);
    }
    if (!head_sound(&head) || (head.count + 2) * (size_t)JOURNAL_UNIT > left) {
        return broken(why, at, seq, "the head of the block is damaged");
    }
    const uint8_t *records = bytes.ptr + at + JOURNAL_UNIT;
    struct block_tail tail;
    memcpy(&tail, records + (size_t)head.count * JOURNAL_UNIT, sizeof tail);
    if (torn_inside(records, head.count, tail.end)) {
        return torn(bytes, at, seq, out, why);
    }
    if (head.crc != records_crc(records, head.count)) {
        return name_record(why, at, &head, records);
    }
    struct block_tail wanted = {.magic = TAIL_MAGIC,
                                .first_seq = head.first_seq,
                                .count = head.count,
                                .crc = head.crc,
                                .end = END_MARK};
    memset(wanted.filler, 0xff, sizeof wanted.filler);
    if (memcmp(&wanted, &tail, sizeof tail) != 0) {
        return broken(why, at, head.first_seq, "the tail of the block is damaged");
    }
    if (head.first_seq != seq) {
        return broken(why, at, head.first_seq, "the sequence does not go on");
    }
    struct hash next = *chain;
    chain_on(&next, head.first_seq, records, head.count);
    if (memcmp(next.bytes, head.chain, HASH_BYTES) != 0) {
        return broken(why, at, head.first_seq, "the chain does not go on");
    }
    *chain = next;
    *out = (struct journal_block){.first_seq = head.first_seq,
                                  .count = head.count,
                                  .size = (head.count + 2) * (size_t)JOURNAL_UNIT,
                                  .records = records};
    return JOURNAL_BLOCK;
}

enum err journal_record_decode(const uint8_t *record, struct engine_command *out, struct why *why)
{
    uint8_t copy[JOURNAL_UNIT];
    memcpy(copy, record, sizeof copy);
    memset(copy + RECORD_CHECK, 0, sizeof(uint16_t));
    return engine_command_decode(copy, out, why) == OK ? OK : ERR_CORRUPT;
}
