/*
 * projections_book.c: books by price, their numbers, changes and checksums.
 */
#include <stdlib.h>
#include <zlib.h>

#include "domain/trading/projections/projections_internal.h"

#define DIGITS_MAX 20

/* Is `a` worse than `b` on a side? */
static bool worse(enum engine_side side, int64_t a, int64_t b)
{
    return side == ENGINE_BUY ? a < b : a > b;
}

/* Where a price is or belongs: behind all that are worse. */
static size_t place_of(const struct projections_side *side, enum engine_side which, int64_t price)
{
    size_t low = 0;
    size_t high = side->count;
    if (high > 0 && worse(which, side->levels[high - 1].price, price)) {
        return high;
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (worse(which, side->levels[middle].price, price)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct projections_level *projections_level_find(struct projections_side *side,
                                                 enum engine_side which, int64_t price)
{
    const size_t at = place_of(side, which, price);
    return at < side->count && side->levels[at].price == price ? &side->levels[at] : NULL;
}

static void note(struct projections_changes *changes, uint8_t side, int64_t price)
{
    changes->at =
        projections_room(changes->at, changes->count, &changes->capacity, sizeof *changes->at);
    changes->at[changes->count++] = (struct projections_change){.price = price, .side = side};
}

void projections_level_change(struct projections *p, struct projections_pair *pair, uint8_t side,
                              int64_t price, int64_t qty, int orders)
{
    struct projections_side *s = &pair->sides[side];
    const size_t at = place_of(s, (enum engine_side)side, price);
    if (at == s->count || s->levels[at].price != price) {
        s->levels = projections_room(s->levels, s->count, &s->capacity, sizeof *s->levels);
        memmove(&s->levels[at + 1], &s->levels[at], (s->count - at) * sizeof *s->levels);
        s->levels[at] = (struct projections_level){.price = price};
        s->count++;
    }
    struct projections_level *level = &s->levels[at];
    level->qty += qty;
    level->orders = (uint32_t)((int64_t)level->orders + orders);
    ASSERT(level->qty >= 0 && (level->qty == 0) == (level->orders == 0));
    if (!level->dirty) {
        level->dirty = true;
        if (pair->unwritten.count == 0) {
            projections_list_add(&p->pairs_levels, pair->number);
        }
        note(&pair->unwritten, side, price);
    }
    if (level->orders == 0) {
        s->count--;
        memmove(&s->levels[at], &s->levels[at + 1], (s->count - at) * sizeof *s->levels);
    }
    if (pair->touched.count == 0) {
        projections_list_add(&p->pairs_touched, pair->number);
    }
    note(&pair->touched, side, price);
}

/* ---- the checksum ---- */

static size_t add_digits(uint8_t *out, int64_t value)
{
    uint8_t digits[DIGITS_MAX];
    size_t count = 0;
    uint64_t rest = (uint64_t)value;
    do {
        digits[DIGITS_MAX - ++count] = (uint8_t)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    memcpy(out, digits + DIGITS_MAX - count, count);
    return count;
}

uint32_t projections_checksum(const struct projections_pair *pair)
{
    uint8_t text[2 * PROJECTIONS_DEPTH * 2 * DIGITS_MAX];
    size_t len = 0;
    static const enum engine_side order[] = {ENGINE_SELL, ENGINE_BUY};
    for (size_t i = 0; i < 2; i++) {
        const struct projections_side *s = &pair->sides[order[i]];
        for (size_t depth = 0; depth < PROJECTIONS_DEPTH && depth < s->count; depth++) {
            const struct projections_level *level = &s->levels[s->count - 1 - depth];
            len += add_digits(text + len, level->price);
            len += add_digits(text + len, level->qty);
        }
    }
    return (uint32_t)crc32(0, text, (uInt)len);
}

/* ---- deltas ---- */

static int by_place(const void *a, const void *b)
{
    const struct projections_change *x = a;
    const struct projections_change *y = b;
    if (x->side != y->side) {
        return x->side < y->side ? -1 : 1;
    }
    return x->price < y->price ? -1 : x->price > y->price;
}

void projections_changes_settle(struct projections_changes *changes, struct projections_pair *pair)
{
    size_t kept = 0;
    if (changes->count > 1) {
        qsort(changes->at, changes->count, sizeof *changes->at, by_place);
    }
    for (size_t i = 0; i < changes->count; i++) {
        struct projections_change *change = &changes->at[i];
        if (kept > 0 && by_place(&changes->at[kept - 1], change) == 0) {
            continue;
        }
        const struct projections_level *level = projections_level_find(
            &pair->sides[change->side], (enum engine_side)change->side, change->price);
        change->qty = level != NULL ? level->qty : 0;
        changes->at[kept++] = *change;
    }
    changes->count = kept;
}

static void end_book(struct projections *p, struct projections_pair *pair)
{
    projections_changes_settle(&pair->touched, pair);
    pair->book_number++;
    pair->book_checksum = projections_checksum(pair);
    projections_pair_touch(p, pair);
    p->deltas =
        projections_room(p->deltas, p->deltas_waiting, &p->deltas_capacity, sizeof *p->deltas);
    p->deltas[p->deltas_waiting++] = (struct projections_delta){.number = pair->book_number,
                                                                .seq = p->seq,
                                                                .pair = pair->number,
                                                                .checksum = pair->book_checksum,
                                                                .first = p->told.count,
                                                                .count = pair->touched.count};
    for (size_t i = 0; i < pair->touched.count; i++) {
        p->told.at =
            projections_room(p->told.at, p->told.count, &p->told.capacity, sizeof *p->told.at);
        p->told.at[p->told.count++] = pair->touched.at[i];
    }
    pair->touched.count = 0;
}

void projections_book_end(struct projections *p)
{
    for (size_t i = 0; i < p->pairs_touched.count; i++) {
        end_book(p, projections_pair_of(p, p->pairs_touched.at[i]));
    }
    p->pairs_touched.count = 0;
}
