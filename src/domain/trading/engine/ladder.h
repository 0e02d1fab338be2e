/*
 * ladder.h: the price levels of one side of a book, for prices anywhere in 1 … 2^62.
 *
 * Three structures over the same levels, each for what it is good at:
 *   - a cached best level: matching looks there and nowhere else;
 *   - a list of levels from better to worse: walks (FOK, depth, auctions) and the next best;
 *   - a trie on the bits of the price, six at a time, for finding and adding a level. A node holds
 *     a 64-bit map of its children, and only exists where two prices differ (path compression), so
 *     that a book around 10,000 ticks is two steps deep wherever else somebody places an order, and
 *     n levels need at most n - 1 nodes. That bound is why adding never fails: the pools have a
 *     level and a node for each order that can be open.
 *
 * A plain array of prices is faster still and needs its range known in advance; a tree of levels
 * has no range and costs a dozen dependent misses. This has no range and costs two or three loads.
 *
 * Orders of a level are in an intrusive list, oldest first. Levels, nodes and orders are numbers of
 * slots in pools of the engine; 0 is none. The same structure holds stops, by stop price.
 */
#ifndef DOMAIN_TRADING_ENGINE_LADDER_H
#define DOMAIN_TRADING_ENGINE_LADDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine_level {
    int64_t price;
    int64_t qty; /* sum of what is left; below 2^62: 2^22 orders of at most 2^40 lots */
    uint32_t head;
    uint32_t tail;
    uint32_t better; /* level next to it, towards the best; in the free list: the next one */
    uint32_t worse;
};

struct engine_node {
    uint64_t map; /* which children there are */
    uint64_t key; /* of any price below it; bits from shift up to shift+5 choose the child */
    uint32_t shift;
    uint32_t next;      /* in the free list */
    uint32_t child[64]; /* level, or node with LADDER_NODE set */
};

struct ladder_pool {
    struct engine_level *levels; /* [1 … level_count] */
    struct engine_node *nodes;   /* [1 … level_count] */
    uint32_t level_free;
    uint32_t node_free;
    uint32_t level_used; /* slots that were ever taken: those above are untouched memory */
    uint32_t node_used;
    uint32_t level_count;
};

struct ladder {
    uint32_t best;
    uint32_t root;
    bool highest_first; /* bids and stops of sellers: the best is the highest */
};

#define LADDER_NODE (UINT32_C(1) << 31)

/* ladder_find returns the level of a price, or 0. */
uint32_t ladder_find(const struct ladder *l, const struct ladder_pool *pool, int64_t price);

/* ladder_add returns the level of a price; a new one is empty and must get an order at once. */
uint32_t ladder_add(struct ladder *l, struct ladder_pool *pool, int64_t price);

/* ladder_drop takes an empty level away. */
void ladder_drop(struct ladder *l, struct ladder_pool *pool, uint32_t level);

/* ladder_worst returns the last level of the walk, or 0. */
uint32_t ladder_worst(const struct ladder *l, const struct ladder_pool *pool);

/* ladder_check asserts the structure: order, links, map, compression. Returns the levels found. */
size_t ladder_check(const struct ladder *l, const struct ladder_pool *pool);

#endif
