/*
 * projections_map.h: numbers to slots, growing: ids of open orders, (account, asset).
 *
 * An open-addressed table, at most half full; removal shifts entries back. Keys are never 0.
 */
#ifndef DOMAIN_TRADING_PROJECTIONS_PROJECTIONS_MAP_H
#define DOMAIN_TRADING_PROJECTIONS_PROJECTIONS_MAP_H

#include <stdint.h>

struct projections_map_entry {
    uint64_t key; /* 0: empty */
    uint32_t slot;
    uint32_t unused_;
};

/* Zeroed is empty. */
struct projections_map {
    struct projections_map_entry *entries;
    uint32_t mask;
    uint32_t count;
};

#define PROJECTIONS_NO_SLOT UINT32_MAX

/* projections_map_find returns the slot of a key, or PROJECTIONS_NO_SLOT. */
uint32_t projections_map_find(const struct projections_map *m, uint64_t key);

/* projections_map_add adds a key that is not there. */
void projections_map_add(struct projections_map *m, uint64_t key, uint32_t slot);

/* projections_map_remove takes a key out that must be there. */
void projections_map_remove(struct projections_map *m, uint64_t key);

/* projections_map_clear gives the memory back. */
void projections_map_clear(struct projections_map *m);

#endif
