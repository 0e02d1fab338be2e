/*
 * ids.h: which slot has an id, and which ids were ever used.
 *
 * The map is an open-addressed table of 8-byte entries, at most a quarter full, that holds ids of
 * what is open. Ids are given out in sequence and are looked up soon after, so the hash keeps 512
 * of them side by side (one page of entries) and scatters the pages. Removal shifts entries back:
 * there are no tombstones, so a table that has worked for a year is as fast as a fresh one.
 *
 * The window is a ring of bits over [floor, floor + size). Ids below the floor count as used. An id
 * more than half a window above the highest one is refused, so that one absurd id cannot use up
 * all that lie below it. The floor moves by whole words, which depends on ids alone: replays agree.
 */
#ifndef DOMAIN_TRADING_ENGINE_IDS_H
#define DOMAIN_TRADING_ENGINE_IDS_H

#include <stdbool.h>
#include <stdint.h>

struct id_map {
    uint64_t *entries; /* low half of the id above, slot below; 0 is empty */
    uint32_t mask;     /* entries - 1; a power of two, at least a page */
};

#define ID_PAGE_BITS 9

/* id_map_home returns where the search for an id begins. */
static inline uint32_t id_map_home(const struct id_map *m, uint32_t low)
{
    const uint32_t page = (low >> ID_PAGE_BITS) * UINT32_C(0x9E3779B1);
    const uint32_t scattered = (page ^ page >> 15) << ID_PAGE_BITS;
    return (scattered | (low & ((1u << ID_PAGE_BITS) - 1))) & m->mask;
}

/*
 * id_map_next returns the slot of the first entry at or after *at that may be `id`, and leaves *at
 * behind it; 0 when there is none. Only half of an id is kept, so the caller compares the rest.
 */
static inline uint32_t id_map_next(const struct id_map *m, uint64_t id, uint32_t *at)
{
    const uint32_t low = (uint32_t)id;
    for (;;) {
        const uint64_t entry = m->entries[*at];
        *at = (*at + 1) & m->mask;
        if (entry == 0) {
            return 0;
        }
        if ((uint32_t)(entry >> 32) == low) {
            return (uint32_t)entry;
        }
    }
}

/* id_map_add enters an id; there must be room. */
void id_map_add(struct id_map *m, uint64_t id, uint32_t slot);

/* id_map_remove takes an entry out that must be there. */
void id_map_remove(struct id_map *m, uint64_t id, uint32_t slot);

struct id_window {
    uint64_t *bits;
    uint64_t size;    /* ids; a power of two, at least 128 */
    uint64_t floor;   /* a multiple of 64 */
    uint64_t highest; /* used so far */
};

/* id_window_fits says whether an id is near enough to the others to be used or to have been. */
bool id_window_fits(const struct id_window *w, uint64_t id);

/* id_window_used says whether an id that fits was used. */
bool id_window_used(const struct id_window *w, uint64_t id);

/* id_window_use marks an id that fits and was not used; may move the floor. */
void id_window_use(struct id_window *w, uint64_t id);

#endif
