/*
 * Two readings of the input:
 *   - an object, which must survive flattening, shuffled, when flattening takes it;
 *   - lines of key, tab, value: pairs that must make a readable object in canonical form, and the
 *     same one the other way round.
 */
#include "domain/leasing/leasing_metadata.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define PAIRS_MAX 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice canonical_of(struct arena *arena, const struct json *v)
{
    struct buf text;
    buf_init(&text, arena, 0);
    enum err e = json_canonical(&text, v, NULL);
    ASSERT(e == OK);
    return buf_slice(&text);
}

static void reverse(struct leasing_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        struct leasing_pair swapped = pairs[i];
        pairs[i] = pairs[count - 1 - i];
        pairs[count - 1 - i] = swapped;
    }
}

static void check_object(struct arena *arena, const struct json *v)
{
    struct leasing_pair *pairs = NULL;
    size_t count = 0;
    struct why why = {.err = OK};
    enum err e = leasing_metadata_check(v, &why);
    ASSERT(e == why.err);
    why.err = OK;
    e = leasing_metadata_flatten(arena, v, &pairs, &count, &why);
    ASSERT(e == why.err);
    if (e != OK) {
        return;
    }
    ASSERT(count > 0 && count <= LEASING_PAIRS_MAX);
    for (size_t i = 0; i < count; i++) {
        ASSERT(pairs[i].key.len > 0 && pairs[i].key.len <= LEASING_KEY_MAX);
        ASSERT(pairs[i].value.len > 0 && pairs[i].value.len <= LEASING_VALUE_MAX);
    }
    bool exact = false;
    reverse(pairs, count);
    struct slice again = leasing_metadata_unflatten(arena, pairs, count, &exact);
    ASSERT(exact && slice_equal(again, canonical_of(arena, v)));
}

static void check_pairs(struct arena *arena, struct slice text)
{
    struct leasing_pair *pairs = arena_alloc_array(arena, PAIRS_MAX, sizeof *pairs);
    size_t count = 0;
    while (text.len > 0 && count < PAIRS_MAX) {
        struct slice line;
        (void)slice_cut(text, '\n', &line, &text);
        (void)slice_cut(line, '\t', &pairs[count].key, &pairs[count].value);
        count++;
    }
    bool exact;
    bool exact_again;
    struct slice object = leasing_metadata_unflatten(arena, pairs, count, &exact);
    const struct json *v = NULL;
    enum err e = json_parse(arena, object, &json_limits_body, &v, NULL);
    ASSERT(e == OK && v->type == JSON_OBJECT);
    ASSERT(slice_equal(object, canonical_of(arena, v)));
    reverse(pairs, count);
    struct slice again = leasing_metadata_unflatten(arena, pairs, count, &exact_again);
    ASSERT(slice_equal(object, again) && exact == exact_again);
    check_object(arena, v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct json *v = NULL;
    arena_init(&arena, 0);
    if (json_parse(&arena, slice_of(data, size), &json_limits_body, &v, NULL) == OK) {
        check_object(&arena, v);
    }
    check_pairs(&arena, slice_of(data, size));
    arena_free(&arena);
    return 0;
}
