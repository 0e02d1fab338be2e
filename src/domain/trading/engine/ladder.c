#include "domain/trading/engine/ladder.h"

#include "kernel/base/check.h"

#define STEP_BITS 6
#define STEP_MASK 63u
#define DEPTH_MAX 11 /* steps of six bits in 64 */

/* The trie orders by key, highest first, on either side. */
static uint64_t key_of(const struct ladder *l, int64_t price)
{
    return l->highest_first ? (uint64_t)price : ~(uint64_t)price;
}

static unsigned step_of(uint64_t key, uint32_t shift)
{
    return (unsigned)(key >> shift) & STEP_MASK;
}

static unsigned highest(uint64_t map)
{
    return 63u - (unsigned)__builtin_clzll(map);
}

/* Do the bits above a node's step agree? In two shifts: one of 66 would be undefined. */
static bool same_above(uint64_t a, uint64_t b, uint32_t shift)
{
    return (((a ^ b) >> shift) >> STEP_BITS) == 0;
}

static uint32_t level_take(struct ladder_pool *pool, int64_t price)
{
    uint32_t at = pool->level_free;
    if (at != 0) {
        pool->level_free = pool->levels[at].better;
    } else {
        ASSERT(pool->level_used < pool->level_count);
        at = ++pool->level_used;
    }
    pool->levels[at] = (struct engine_level){.price = price};
    return at;
}

static uint32_t node_take(struct ladder_pool *pool, uint64_t key, uint32_t shift)
{
    uint32_t at = pool->node_free;
    if (at != 0) {
        pool->node_free = pool->nodes[at].next;
    } else {
        ASSERT(pool->node_used < pool->level_count);
        at = ++pool->node_used;
    }
    struct engine_node *node = &pool->nodes[at];
    node->map = 0;
    node->key = key;
    node->shift = shift;
    node->next = 0;
    return at;
}

static void node_set(struct engine_node *node, unsigned step, uint32_t child)
{
    node->map |= UINT64_C(1) << step;
    node->child[step] = child;
}

uint32_t ladder_find(const struct ladder *l, const struct ladder_pool *pool, int64_t price)
{
    const uint64_t key = key_of(l, price);
    uint32_t at = l->root;
    while ((at & LADDER_NODE) != 0) {
        const struct engine_node *node = &pool->nodes[at & ~LADDER_NODE];
        unsigned step = step_of(key, node->shift);
        at = (node->map >> step & 1) != 0 ? node->child[step] : 0;
    }
    return at != 0 && pool->levels[at].price == price ? at : 0;
}

/* The level of the highest key below `at`. */
static uint32_t first_below(const struct ladder_pool *pool, uint32_t at)
{
    while ((at & LADDER_NODE) != 0) {
        const struct engine_node *node = &pool->nodes[at & ~LADDER_NODE];
        at = node->child[highest(node->map)];
    }
    return at;
}

/* The level of the lowest key below `at`. */
static uint32_t last_below(const struct ladder_pool *pool, uint32_t at)
{
    while ((at & LADDER_NODE) != 0) {
        const struct engine_node *node = &pool->nodes[at & ~LADDER_NODE];
        at = node->child[__builtin_ctzll(node->map)];
    }
    return at;
}

uint32_t ladder_worst(const struct ladder *l, const struct ladder_pool *pool)
{
    return last_below(pool, l->root);
}

/* Links a level into the walk; `better` is its neighbour there, 0 when it is the new best. */
static void link_level(struct ladder *l, struct ladder_pool *pool, uint32_t at, uint32_t better)
{
    struct engine_level *level = &pool->levels[at];
    level->better = better;
    level->worse = better != 0 ? pool->levels[better].worse : l->best;
    if (level->worse != 0) {
        pool->levels[level->worse].better = at;
    }
    if (better != 0) {
        pool->levels[better].worse = at;
    } else {
        l->best = at;
    }
}

/* Puts a node where `*link` was, with what was there and the new level as its two children. */
static uint32_t split(struct ladder_pool *pool, uint32_t *link, uint64_t there, uint64_t key,
                      uint32_t level)
{
    const uint32_t shift = (uint32_t)highest(there ^ key) / STEP_BITS * STEP_BITS;
    const uint32_t at = node_take(pool, key, shift);
    struct engine_node *node = &pool->nodes[at];
    node_set(node, step_of(there, shift), *link);
    node_set(node, step_of(key, shift), level);
    *link = at | LADDER_NODE;
    return at;
}

uint32_t ladder_add(struct ladder *l, struct ladder_pool *pool, int64_t price)
{
    const uint64_t key = key_of(l, price);
    uint32_t *link = &l->root;
    uint32_t path[DEPTH_MAX];
    size_t depth = 0;
    uint32_t level = 0;
    while ((*link & LADDER_NODE) != 0) {
        struct engine_node *node = &pool->nodes[*link & ~LADDER_NODE];
        if (!same_above(node->key, key, node->shift)) {
            break;
        }
        path[depth++] = *link & ~LADDER_NODE;
        unsigned step = step_of(key, node->shift);
        if ((node->map >> step & 1) == 0) {
            level = level_take(pool, price);
            node_set(node, step, level);
            break;
        }
        link = &node->child[step];
    }
    if (level == 0 && *link == 0) {
        level = level_take(pool, price);
        *link = level;
    } else if (level == 0) {
        const bool is_node = (*link & LADDER_NODE) != 0;
        const uint64_t there =
            is_node ? pool->nodes[*link & ~LADDER_NODE].key : key_of(l, pool->levels[*link].price);
        if (there == key && !is_node) {
            return *link;
        }
        level = level_take(pool, price);
        path[depth++] = split(pool, link, there, key, level);
    }
    uint32_t better = 0;
    if (l->best != 0 && key < key_of(l, pool->levels[l->best].price)) {
        while (better == 0) {
            /* It is not the best, so some node on the path has a higher child. */
            ASSERT(depth > 0);
            const struct engine_node *node = &pool->nodes[path[--depth]];
            const uint64_t above = node->map & (~UINT64_C(1) << step_of(key, node->shift));
            better = above != 0 ? last_below(pool, node->child[__builtin_ctzll(above)]) : 0;
        }
    }
    link_level(l, pool, level, better);
    return level;
}

void ladder_drop(struct ladder *l, struct ladder_pool *pool, uint32_t at)
{
    struct engine_level *level = &pool->levels[at];
    const uint64_t key = key_of(l, level->price);
    uint32_t *link = &l->root;
    uint32_t *parent = NULL;
    while (*link != at) {
        ASSERT((*link & LADDER_NODE) != 0);
        struct engine_node *node = &pool->nodes[*link & ~LADDER_NODE];
        parent = link;
        link = &node->child[step_of(key, node->shift)];
    }
    if (parent == NULL) {
        l->root = 0;
    } else {
        const uint32_t gone = *parent & ~LADDER_NODE;
        struct engine_node *node = &pool->nodes[gone];
        node->map &= ~(UINT64_C(1) << step_of(key, node->shift));
        if ((node->map & (node->map - 1)) == 0) { /* one child left: the node decides nothing */
            *parent = node->child[highest(node->map)];
            node->next = pool->node_free;
            pool->node_free = gone;
        }
    }
    if (level->better != 0) {
        pool->levels[level->better].worse = level->worse;
    } else {
        l->best = level->worse;
    }
    if (level->worse != 0) {
        pool->levels[level->worse].better = level->better;
    }
    level->better = pool->level_free;
    pool->level_free = at;
}

/* Every level below `at` has the bits above `shift` of `key`. Returns how many there are. */
static size_t check_below(const struct ladder *l, const struct ladder_pool *pool, uint32_t at,
                          uint64_t key, uint32_t shift)
{
    if ((at & LADDER_NODE) == 0) {
        ASSERT(((key ^ key_of(l, pool->levels[at].price)) >> shift) == 0);
        return 1;
    }
    const struct engine_node *node = &pool->nodes[at & ~LADDER_NODE];
    ASSERT(node->shift < shift && node->shift % STEP_BITS == 0);
    ASSERT(shift == 64 || ((key ^ node->key) >> shift) == 0);
    ASSERT((node->map & (node->map - 1)) != 0);
    size_t count = 0;
    for (uint64_t map = node->map; map != 0; map &= map - 1) {
        const unsigned step = (unsigned)__builtin_ctzll(map);
        const uint64_t above = node->key & ~((((uint64_t)STEP_MASK + 1) << node->shift) - 1);
        const uint64_t child = above | (uint64_t)step << node->shift;
        count += check_below(l, pool, node->child[step], child, node->shift);
    }
    return count;
}

size_t ladder_check(const struct ladder *l, const struct ladder_pool *pool)
{
    size_t walked = 0;
    uint32_t better = 0;
    for (uint32_t at = l->best; at != 0; at = pool->levels[at].worse) {
        const struct engine_level *level = &pool->levels[at];
        ASSERT(level->better == better && level->head != 0 && level->tail != 0);
        ASSERT(better == 0 || key_of(l, level->price) < key_of(l, pool->levels[better].price));
        ASSERT(ladder_find(l, pool, level->price) == at);
        better = at;
        walked++;
    }
    ASSERT(first_below(pool, l->root) == l->best && last_below(pool, l->root) == better);
    if (l->root != 0 && (l->root & LADDER_NODE) != 0) {
        const struct engine_node *root = &pool->nodes[l->root & ~LADDER_NODE];
        ASSERT(check_below(l, pool, l->root, root->key, 64) == walked);
    } else {
        ASSERT(walked == (l->root != 0 ? 1 : 0));
    }
    return walked;
}
