#include "kernel/evm/trie.h"

#include <stdlib.h>

#include "kernel/base/check.h"
#include "kernel/evm/rlp.h"

#define WIDTH 16
/* A hash as an RLP string; what is shorter than a hash is put in whole. */
#define REF_BYTES_MAX (1 + HASH_BYTES)
/* An index of a list as RLP: one byte of length, then at most eight. */
#define INDEX_BYTES_MAX 9
/* The first byte of a path says whether it ends at a value and whether its length is odd. */
#define PATH_ENDS 0x20
#define PATH_ODD 0x10

/* How a node stands in its parent: an RLP item. */
struct ref {
    uint8_t bytes[REF_BYTES_MAX];
    size_t len;
};

struct builder {
    const struct trie_item *items; /* sorted */
    struct buf node;               /* the node being written, and those above it that wait */
};

static size_t nibbles(struct slice key)
{
    return 2 * key.len;
}

static unsigned nibble(struct slice key, size_t at)
{
    uint8_t byte = key.ptr[at / 2];
    return at % 2 == 0 ? byte >> 4 : byte & 15u;
}

/* add_path writes the nibbles from..to of a key in their packed form. */
static void add_path(struct buf *out, struct slice key, size_t from, size_t to, bool ends)
{
    uint8_t bytes[1 + TRIE_KEY_MAX] = {ends ? PATH_ENDS : 0};
    size_t len = 1;
    if ((to - from) % 2 == 1) {
        bytes[0] = (uint8_t)(bytes[0] | PATH_ODD | nibble(key, from));
        from++;
    }
    for (; from < to; from += 2) {
        bytes[len++] = (uint8_t)(nibble(key, from) << 4 | nibble(key, from + 1));
    }
    rlp_add_bytes(out, slice_of(bytes, len));
}

/* end_node closes the node opened at `mark` and takes it off the buffer. */
static struct ref end_node(struct builder *b, size_t mark)
{
    struct ref ref;
    rlp_end_list(&b->node, mark);
    struct slice node = slice_of(b->node.ptr + mark, b->node.len - mark);
    if (node.len < HASH_BYTES) {
        memcpy(ref.bytes, node.ptr, node.len);
        ref.len = node.len;
    } else {
        struct hash hash = keccak256(node);
        ref.bytes[0] = 0x80 + HASH_BYTES;
        memcpy(ref.bytes + 1, hash.bytes, HASH_BYTES);
        ref.len = REF_BYTES_MAX;
    }
    b->node.len = mark;
    return ref;
}

static size_t shared_until(struct slice a, struct slice b, size_t from)
{
    size_t end = nibbles(a) < nibbles(b) ? nibbles(a) : nibbles(b);
    while (from < end && nibble(a, from) == nibble(b, from)) {
        from++;
    }
    return from;
}

static struct ref node_of(struct builder *b, size_t first, size_t end, size_t depth);

/* The items first..end part at this nibble; one of them may end here. */
static struct ref branch_of(struct builder *b, size_t first, size_t end, size_t depth)
{
    struct ref children[WIDTH];
    struct slice value = SLICE_EMPTY;
    bool there[WIDTH] = {false};
    if (nibbles(b->items[first].key) == depth) {
        value = b->items[first++].value;
    }
    while (first < end) {
        unsigned at = nibble(b->items[first].key, depth);
        size_t next = first + 1;
        while (next < end && nibble(b->items[next].key, depth) == at) {
            next++;
        }
        children[at] = node_of(b, first, next, depth + 1);
        there[at] = true;
        first = next;
    }
    size_t mark = rlp_begin_list(&b->node);
    for (size_t i = 0; i < WIDTH; i++) {
        if (there[i]) {
            buf_add(&b->node, children[i].bytes, children[i].len);
        } else {
            rlp_add_bytes(&b->node, SLICE_EMPTY);
        }
    }
    rlp_add_bytes(&b->node, value);
    return end_node(b, mark);
}

/* The node over the items first..end, whose keys agree up to `depth` nibbles. */
static struct ref node_of(struct builder *b, size_t first, size_t end, size_t depth)
{
    struct slice key = b->items[first].key;
    if (end - first == 1) {
        size_t mark = rlp_begin_list(&b->node);
        add_path(&b->node, key, depth, nibbles(key), true);
        rlp_add_bytes(&b->node, b->items[first].value);
        return end_node(b, mark);
    }
    size_t parting = shared_until(key, b->items[end - 1].key, depth);
    if (parting == depth) {
        return branch_of(b, first, end, depth);
    }
    struct ref child = branch_of(b, first, end, parting);
    size_t mark = rlp_begin_list(&b->node);
    add_path(&b->node, key, depth, parting, false);
    buf_add(&b->node, child.bytes, child.len);
    return end_node(b, mark);
}

static struct hash root_of_sorted(struct arena *scratch, const struct trie_item *items,
                                  size_t count)
{
    struct builder b = {.items = items};
    struct hash root;
    buf_init(&b.node, scratch, 1024);
    if (count == 0) {
        rlp_add_bytes(&b.node, SLICE_EMPTY);
        return keccak256(buf_slice(&b.node));
    }
    struct ref ref = node_of(&b, 0, count, 0);
    if (ref.len < REF_BYTES_MAX) {
        return keccak256(slice_of(ref.bytes, ref.len)); /* the root is hashed whatever its size */
    }
    memcpy(root.bytes, ref.bytes + 1, HASH_BYTES);
    return root;
}

static int compare_keys(const void *a, const void *b)
{
    const struct trie_item *x = a;
    const struct trie_item *y = b;
    return slice_compare(x->key, y->key);
}

struct hash trie_root(struct arena *scratch, struct trie_item *items, size_t count)
{
    if (count > 1) {
        qsort(items, count, sizeof(*items), compare_keys);
    }
    for (size_t i = 0; i < count; i++) {
        ASSERT(items[i].key.len <= TRIE_KEY_MAX);
        ASSERT(items[i].value.len > 0);
        ASSERT(i == 0 || compare_keys(&items[i - 1], &items[i]) < 0);
    }
    return root_of_sorted(scratch, items, count);
}

/* As RLP the place 0 is 0x80: behind 1 to 127, which are bytes themselves, and before the rest. */
static size_t place_in_order(size_t i, size_t count)
{
    size_t single = count - 1 < 127 ? count - 1 : 127;
    if (i == single) {
        return 0;
    }
    return i < single ? i + 1 : i;
}

struct hash trie_root_of_list(struct arena *scratch, const struct slice *values, size_t count)
{
    struct trie_item *items = arena_alloc_array(scratch, count, sizeof(*items));
    struct buf keys;
    buf_init(&keys, scratch, count * INDEX_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t place = place_in_order(i, count);
        size_t mark = keys.len;
        rlp_add_u64(&keys, place);
        items[i].key = slice_of(keys.ptr + mark, keys.len - mark);
        items[i].value = values[place];
        ASSERT(items[i].value.len > 0);
    }
    return root_of_sorted(scratch, items, count);
}
