/*
 * Tries over keys cut out of the input: the root does not depend on the order of the items, and
 * another value gives another root.
 */
#include "kernel/evm/trie.h"

#include "kernel/base/check.h"

#define ITEMS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_new(const struct trie_item *items, size_t count, struct slice key)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(items[i].key, key)) {
            return false;
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trie_item items[ITEMS_MAX], reversed[ITEMS_MAX];
    struct arena arena;
    size_t count = 0;
    arena_init(&arena, 0);
    for (size_t at = 0; at + 2 < size && count < ITEMS_MAX;) {
        size_t key_len = data[at] % (TRIE_KEY_MAX + 1u), value_len = 1 + data[at + 1] % 70u;
        at += 2;
        if (at + key_len + value_len > size) {
            break;
        }
        struct trie_item item = {slice_of(data + at, key_len),
                                 slice_of(data + at + key_len, value_len)};
        at += key_len + value_len;
        if (is_new(items, count, item.key)) {
            items[count++] = item;
        }
    }
    for (size_t i = 0; i < count; i++) {
        reversed[i] = items[count - 1 - i];
    }
    struct hash one = trie_root(&arena, items, count);
    struct hash other = trie_root(&arena, reversed, count);
    ASSERT(hash_equal(&one, &other));
    if (count > 0) {
        /* Longer than any value of the input. */
        uint8_t longest[128] = {1};
        items[0].value = slice_of(longest, sizeof(longest));
        struct hash third = trie_root(&arena, items, count);
        ASSERT(!hash_equal(&one, &third));
    }
    arena_free(&arena);
    return 0;
}
