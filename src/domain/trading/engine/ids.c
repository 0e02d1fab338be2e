#include "domain/trading/engine/ids.h"

#include "kernel/base/check.h"

#define WORD_BITS 64

static uint64_t entry_of(uint64_t id, uint32_t slot)
{
    return id << 32 | slot;
}

void id_map_add(struct id_map *m, uint64_t id, uint32_t slot)
{
    uint32_t at = id_map_home(m, (uint32_t)id);
    while (m->entries[at] != 0) {
        at = (at + 1) & m->mask;
    }
    m->entries[at] = entry_of(id, slot);
}

void id_map_remove(struct id_map *m, uint64_t id, uint32_t slot)
{
    uint32_t hole = id_map_home(m, (uint32_t)id);
    while (m->entries[hole] != entry_of(id, slot)) {
        ASSERT(m->entries[hole] != 0);
        hole = (hole + 1) & m->mask;
    }
    /* Whoever was pushed past the hole by it moves into it, and leaves the next hole. */
    for (uint32_t at = (hole + 1) & m->mask; m->entries[at] != 0; at = (at + 1) & m->mask) {
        const uint32_t home = id_map_home(m, (uint32_t)(m->entries[at] >> 32));
        if (((at - home) & m->mask) >= ((at - hole) & m->mask)) {
            m->entries[hole] = m->entries[at];
            hole = at;
        }
    }
    m->entries[hole] = 0;
}

bool id_window_fits(const struct id_window *w, uint64_t id)
{
    return id != 0 && id <= INT64_MAX && (id <= w->highest || id - w->highest <= w->size / 2);
}

static uint64_t *word_of(const struct id_window *w, uint64_t id)
{
    return &w->bits[(id & (w->size - 1)) / WORD_BITS];
}

bool id_window_used(const struct id_window *w, uint64_t id)
{
    if (id < w->floor) {
        return true;
    }
    return id <= w->highest && (*word_of(w, id) >> (id % WORD_BITS) & 1) != 0;
}

void id_window_use(struct id_window *w, uint64_t id)
{
    ASSERT(id_window_fits(w, id) && !id_window_used(w, id));
    while (id >= w->floor + w->size) {
        *word_of(w, w->floor) = 0;
        w->floor += WORD_BITS;
    }
    *word_of(w, id) |= UINT64_C(1) << (id % WORD_BITS);
    w->highest = id > w->highest ? id : w->highest;
}
