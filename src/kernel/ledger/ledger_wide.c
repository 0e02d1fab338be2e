/*
 * Sums over accounts, which may leave 256 bits.
 */
#include "kernel/base/check.h"
#include "kernel/ledger/ledger_rules.h"

/* The largest power of ten in 64 bits, and its digits. */
#define CHUNK 10000000000000000000U
#define CHUNK_DIGITS 19
#define LIMBS 5
/* 320 bits have 97 digits. */
#define CHUNKS 6

void ledger_wide_add(struct ledger_wide *sum, struct u256 value)
{
    struct u256 room;
    enum err e = u256_sub(U256_MAX, sum->low, &room);
    ASSERT(e == OK);
    if (u256_compare(value, room) <= 0) {
        e = u256_add(sum->low, value, &sum->low);
    } else {
        /* low + value - 2^256 */
        struct u256 past;
        e = u256_sub(value, room, &past);
        ASSERT(e == OK);
        e = u256_sub(past, u256_from_u64(1), &sum->low);
        sum->carries++;
    }
    ASSERT(e == OK);
}

bool ledger_wide_sub(struct ledger_wide *sum, const struct ledger_wide *value)
{
    bool borrows = u256_compare(sum->low, value->low) < 0;
    if (sum->carries < value->carries || (borrows && sum->carries == value->carries)) {
        return false;
    }
    sum->carries -= value->carries;
    if (!borrows) {
        enum err e = u256_sub(sum->low, value->low, &sum->low);
        ASSERT(e == OK);
        return true;
    }
    /* low + 2^256 - value */
    struct u256 rest;
    enum err e = u256_sub(U256_MAX, value->low, &rest);
    ASSERT(e == OK);
    sum->carries--;
    struct ledger_wide sum_low = {.low = rest};
    ledger_wide_add(&sum_low, sum->low);
    ledger_wide_add(&sum_low, u256_from_u64(1));
    ASSERT(sum_low.carries == 0);
    sum->low = sum_low.low;
    return true;
}

bool ledger_wide_equal(const struct ledger_wide *a, const struct ledger_wide *b)
{
    return a->carries == b->carries && u256_equal(a->low, b->low);
}

/* Divides in place, most significant limb first; returns the remainder. */
static uint64_t divide(uint64_t limbs[LIMBS], uint64_t by)
{
    unsigned __int128 rest = 0;
    for (size_t i = 0; i < LIMBS; i++) {
        unsigned __int128 part = (rest << 64) | limbs[i];
        limbs[i] = (uint64_t)(part / by);
        rest = part % by;
    }
    return (uint64_t)rest;
}

size_t ledger_wide_format(struct ledger_wide value, char out[LEDGER_WIDE_TEXT_MAX])
{
    uint8_t bytes[U256_BYTES];
    uint64_t limbs[LIMBS] = {value.carries};
    uint64_t chunks[CHUNKS];
    u256_encode_be(value.low, bytes);
    for (size_t i = 0; i < U256_BYTES; i++) {
        limbs[1 + i / 8] = limbs[1 + i / 8] << 8 | bytes[i];
    }
    for (size_t i = 0; i < CHUNKS; i++) {
        chunks[i] = divide(limbs, CHUNK);
    }
    size_t first = CHUNKS - 1;
    while (first > 0 && chunks[first] == 0) {
        first--;
    }
    int len = snprintf(out, LEDGER_WIDE_TEXT_MAX, "%llu", (unsigned long long)chunks[first]);
    ASSERT(len > 0);
    for (size_t i = first; i > 0; i--) {
        snprintf(out + len, LEDGER_WIDE_TEXT_MAX - (size_t)len, "%0*llu", CHUNK_DIGITS,
                 (unsigned long long)chunks[i - 1]);
        len += CHUNK_DIGITS;
    }
    ASSERT(len < LEDGER_WIDE_TEXT_MAX);
    return (size_t)len;
}
