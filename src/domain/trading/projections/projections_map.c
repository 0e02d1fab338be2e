#include "domain/trading/projections/projections_map.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define ENTRIES_MIN 256u

static uint32_t home_of(const struct projections_map *m, uint64_t key)
{
    const uint64_t mixed = key * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(mixed ^ mixed >> 32) & m->mask;
}

/* The entry of a key, or the empty one where it belongs. */
static struct projections_map_entry *entry_of(const struct projections_map *m, uint64_t key)
{
    uint32_t at = home_of(m, key);
    while (m->entries[at].key != 0 && m->entries[at].key != key) {
        at = (at + 1) & m->mask;
    }
    return &m->entries[at];
}

static void grow(struct projections_map *m)
{
    const struct projections_map old = *m;
    const uint32_t size = old.entries != NULL ? 2 * (old.mask + 1) : ENTRIES_MIN;
    ASSERT(size != 0);
    m->entries = mem_alloc(size * sizeof *m->entries);
    m->mask = size - 1;
    for (uint32_t i = 0; old.entries != NULL && i <= old.mask; i++) {
        if (old.entries[i].key != 0) {
            *entry_of(m, old.entries[i].key) = old.entries[i];
        }
    }
    mem_free(old.entries);
}

uint32_t projections_map_find(const struct projections_map *m, uint64_t key)
{
    if (m->entries == NULL) {
        return PROJECTIONS_NO_SLOT;
    }
    const struct projections_map_entry *entry = entry_of(m, key);
    return entry->key == key ? entry->slot : PROJECTIONS_NO_SLOT;
}

void projections_map_add(struct projections_map *m, uint64_t key, uint32_t slot)
{
    if (m->entries == NULL || 2 * m->count > m->mask) {
        grow(m);
    }
    struct projections_map_entry *entry = entry_of(m, key);
    ASSERT(key != 0 && entry->key == 0);
    *entry = (struct projections_map_entry){.key = key, .slot = slot};
    m->count++;
}

void projections_map_remove(struct projections_map *m, uint64_t key)
{
    ASSERT(m->entries != NULL);
    uint32_t hole = (uint32_t)(entry_of(m, key) - m->entries);
    ASSERT(m->entries[hole].key == key);
    /* Whoever was pushed past the hole by it moves into it, and leaves the next hole. */
    for (uint32_t at = (hole + 1) & m->mask; m->entries[at].key != 0; at = (at + 1) & m->mask) {
        const uint32_t home = home_of(m, m->entries[at].key);
        if (((at - home) & m->mask) >= ((at - hole) & m->mask)) {
            m->entries[hole] = m->entries[at];
            hole = at;
        }
    }
    m->entries[hole] = (struct projections_map_entry){0};
    m->count--;
}

void projections_map_clear(struct projections_map *m)
{
    mem_free(m->entries);
    *m = (struct projections_map){0};
}
