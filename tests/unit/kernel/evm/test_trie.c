#include "kernel/evm/trie.h"

#include "kernel/evm/rlp.h"
#include "unit/vectors.h"

static struct arena arena;
static const struct json *vectors;

static int setup(void **state)
{
    arena_init(&arena, 0);
    vectors = vector_file(&arena, "public_proofs.json");
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static size_t items_of(const struct json *trie, struct trie_item **out)
{
    const struct json *list = json_find(trie, "items");
    struct trie_item *items = arena_alloc_array(&arena, list->count, sizeof(*items));
    size_t count = 0;
    for (const struct json *v = list->child; v != NULL; v = v->next) {
        assert_int_equal(hex_decode(&arena, json_at(v, 0)->text, &items[count].key), OK);
        assert_int_equal(hex_decode(&arena, json_at(v, 1)->text, &items[count].value), OK);
        count++;
    }
    *out = items;
    return count;
}

static void the_tries_of_ethereum_have_their_roots(void **state)
{
    const struct json *tries = json_find(vectors, "tries");
    assert_int_equal(tries->count, 4);
    for (const struct json *t = tries->child; t != NULL; t = t->next) {
        struct trie_item *items = NULL;
        size_t count = items_of(t, &items);
        struct hash root = trie_root(&arena, items, count);
        assert_hex(hash_slice(&root), slice_cstr(&arena, vector_text(t, "root")));
    }
}

static void the_order_of_the_items_does_not_matter(void **state)
{
    const struct json *t = json_at(json_find(vectors, "tries"), 2);
    struct trie_item *items = NULL;
    size_t count = items_of(t, &items);
    for (size_t turn = 0; turn < count; turn++) {
        struct trie_item first = items[0];
        memmove(items, items + 1, (count - 1) * sizeof(*items));
        items[count - 1] = first;
        struct trie_item copy[16];
        memcpy(copy, items, count * sizeof(*items));
        struct hash root = trie_root(&arena, copy, count);
        assert_hex(hash_slice(&root), slice_cstr(&arena, vector_text(t, "root")));
    }
}

/* A list is a trie over places: around 0, 127 and 256 the keys change their length. */
static void a_list_is_a_trie_over_its_places(void **state)
{
    static const size_t counts[] = {0, 1, 2, 3, 126, 127, 128, 129, 130, 255, 256, 257, 400};
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        size_t count = counts[c];
        struct slice *values = arena_alloc_array(&arena, count, sizeof(*values));
        struct trie_item *items = arena_alloc_array(&arena, count, sizeof(*items));
        for (size_t i = 0; i < count; i++) {
            struct buf key;
            buf_init(&key, &arena, 16);
            rlp_add_u64(&key, i);
            values[i] = slice_format(&arena, "value %zu, long or short%.*s", i, (int)(i % 40),
                                     "........................................");
            items[i] = (struct trie_item){.key = buf_slice(&key), .value = values[i]};
        }
        struct hash as_list = trie_root_of_list(&arena, values, count);
        struct hash as_trie = trie_root(&arena, items, count);
        assert_true(hash_equal(&as_list, &as_trie));
    }
}

static void twice_the_same_key(void)
{
    struct trie_item items[2] = {{SLICE_LIT("a"), SLICE_LIT("1")},
                                 {SLICE_LIT("a"), SLICE_LIT("2")}};
    (void)trie_root(&arena, items, 2);
}

static void an_empty_value(void)
{
    struct slice values[1] = {SLICE_EMPTY};
    (void)trie_root_of_list(&arena, values, 1);
}

static void what_no_trie_holds_is_a_bug(void **state)
{
    assert_true(test_aborts(twice_the_same_key));
    assert_true(test_aborts(an_empty_value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tries_of_ethereum_have_their_roots),
        cmocka_unit_test(the_order_of_the_items_does_not_matter),
        cmocka_unit_test(a_list_is_a_trie_over_its_places),
        cmocka_unit_test(what_no_trie_holds_is_a_bug),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
