/*
 * Rebuilding metadata from pairs. The pairs are sorted, so that the result does not depend on
 * their order; each is placed in a tree of names; those that have no place there are collected.
 */
#include "domain/leasing/leasing_metadata.h"

#include "domain/leasing/leasing_metadata_path.h"
#include "kernel/base/check.h"
#include "kernel/base/mem.h"

/* A member on its way to be one: a value, elements, or members of its own. */
struct node {
    struct slice name;
    const struct json *value;
    const struct json **elements; /* LEASING_PATH_INDEX_MAX of them, with gaps */
    struct node *child;
    struct node *next;
};

struct reader {
    struct arena *arena;
    struct node *root;
    struct hash hash; /* metadataHash */
    bool has_hash;
    bool incomplete;
};

/* Keys whose value is a text under another or the same name. */
struct text_key {
    const char *key;
    const char *member;
};

static const struct text_key text_keys[] = {
    {"name", "name"},       {"description", "description"},  {"assetType", "assetType"},
    {"assetId", "assetId"}, {"meta_createdAt", "createdAt"}, {"meta_updatedAt", "updatedAt"},
};

/* ---- the tree -------------------------------------------------------------------------------- */

static struct node *find_child(const struct node *parent, struct slice name)
{
    struct node *c = parent->child;
    while (c != NULL && !slice_equal(c->name, name)) {
        c = c->next;
    }
    return c;
}

static struct node *add_child(struct arena *arena, struct node *parent, struct slice name)
{
    struct node *c = arena_alloc(arena, sizeof *c);
    c->name = name;
    c->next = parent->child;
    parent->child = c;
    return c;
}

/* Goes to a member of `n` that members can be added to; NULL when it is something else already. */
static struct node *enter(struct arena *arena, struct node *n, struct slice name)
{
    if (n->value != NULL || n->elements != NULL) {
        return NULL;
    }
    struct node *c = find_child(n, name);
    return c != NULL ? c : add_child(arena, n, name);
}

static bool put_value(struct node *n, const struct json *value)
{
    if (n == NULL || n->value != NULL || n->elements != NULL || n->child != NULL) {
        return false;
    }
    n->value = value;
    return true;
}

static bool put_element(struct arena *arena, struct node *n, uint32_t index,
                        const struct json *value)
{
    if (n == NULL || n->value != NULL || n->child != NULL) {
        return false;
    }
    if (n->elements == NULL) {
        n->elements = (const struct json **)arena_alloc_array(arena, LEASING_PATH_INDEX_MAX,
                                                              sizeof(struct json *));
    }
    if (n->elements[index] != NULL) {
        return false;
    }
    n->elements[index] = value;
    return true;
}

/* Places a value at a path, which is in the member `base` of the root or in the root itself. */
static bool put_path(struct reader *r, const char *base, struct slice path_text,
                     struct slice value_text)
{
    struct leasing_path path;
    if (!leasing_path_decode(r->arena, path_text, &path)) {
        return false;
    }
    struct node *n = base != NULL ? enter(r->arena, r->root, slice_text(base)) : r->root;
    for (size_t i = 0; n != NULL && i < path.count; i++) {
        n = enter(r->arena, n, path.names[i]);
    }
    size_t depth = (base != NULL ? 1 : 0) + path.count + path.is_element;
    ASSERT(depth < json_limits_body.depth_max);
    const struct json *value =
        leasing_value_decode(r->arena, value_text, json_limits_body.depth_max - (uint32_t)depth);
    return path.is_element ? put_element(r->arena, n, path.index, value) : put_value(n, value);
}

/* ---- pairs ----------------------------------------------------------------------------------- */

static bool put_text(struct reader *r, const struct text_key *key, struct slice value)
{
    return put_value(enter(r->arena, r->root, slice_text(key->member)),
                     leasing_value_string(r->arena, value));
}

static bool put_hash(struct reader *r, struct slice text)
{
    if (r->has_hash || hash_parse(text, &r->hash) != OK) {
        return false;
    }
    r->has_hash = true;
    return true;
}

static bool put_pair(struct reader *r, const struct leasing_pair *p)
{
    static const struct slice spec = SLICE_LIT("spec_");
    static const struct slice other = SLICE_LIT("x_");
    for (size_t i = 0; i < sizeof text_keys / sizeof text_keys[0]; i++) {
        if (slice_equal_text(p->key, text_keys[i].key)) {
            return put_text(r, &text_keys[i], p->value);
        }
    }
    if (slice_equal_text(p->key, "metadataHash")) {
        return put_hash(r, p->value);
    }
    if (slice_starts(p->key, spec)) {
        return put_path(r, "specifications", slice_sub(p->key, spec.len, p->key.len), p->value);
    }
    return slice_starts(p->key, other) &&
           put_path(r, NULL, slice_sub(p->key, other.len, p->key.len), p->value);
}

/* A summary of the documents: it says something only when they are not there themselves. */
static bool is_summary(const struct reader *r, const struct leasing_pair *p)
{
    return slice_equal_text(p->key, "documentHashes") &&
           find_child(r->root, SLICE_LIT("documents")) != NULL;
}

static int compare_pairs(const void *left, const void *right)
{
    const struct leasing_pair *a = left;
    const struct leasing_pair *b = right;
    int order = slice_compare(a->key, b->key);
    return order != 0 ? order : slice_compare(a->value, b->value);
}

/* Sorts, drops what is listed twice and what exceeds the limits. */
static struct leasing_pair *prepare(struct reader *r, const struct leasing_pair *pairs,
                                    size_t *count)
{
    struct leasing_pair *sorted = arena_alloc_array(r->arena, *count, sizeof *sorted);
    size_t kept = 0;
    size_t bytes = 0;
    if (*count > 0) {
        memcpy(sorted, pairs, *count * sizeof *sorted);
        qsort(sorted, *count, sizeof *sorted, compare_pairs);
    }
    for (size_t i = 0; i < *count; i++) {
        if (kept > 0 && compare_pairs(&sorted[kept - 1], &sorted[i]) == 0) {
            continue;
        }
        size_t size = sorted[i].key.len + sorted[i].value.len;
        if (kept == LEASING_UNFLATTEN_PAIRS_MAX || size > LEASING_UNFLATTEN_BYTES_MAX - bytes) {
            r->incomplete = true;
            continue;
        }
        bytes += size;
        sorted[kept++] = sorted[i];
    }
    *count = kept;
    return sorted;
}

/* Gives a pair that has no place a member of the object for such pairs. */
static void collect(struct reader *r, struct node *strangers, const struct leasing_pair *p)
{
    struct slice name = leasing_value_string(r->arena, p->key)->text;
    if (!put_value(enter(r->arena, strangers, name), leasing_value_string(r->arena, p->value))) {
        r->incomplete = true;
    }
}

static struct node *new_strangers(struct reader *r)
{
    struct slice name = SLICE_LIT("x");
    while (find_child(r->root, name) != NULL) {
        name = slice_format(r->arena, "%.*s_", SLICE_ARG(name));
    }
    return add_child(r->arena, r->root, name);
}

static void put_all(struct reader *r, const struct leasing_pair *pairs, size_t count)
{
    struct node *strangers = NULL;
    bool *placed = arena_alloc_array(r->arena, count, sizeof *placed);
    for (size_t i = 0; i < count; i++) {
        placed[i] = put_pair(r, &pairs[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (placed[i] || is_summary(r, &pairs[i])) {
            continue;
        }
        strangers = strangers != NULL ? strangers : new_strangers(r);
        collect(r, strangers, &pairs[i]);
    }
}

/* ---- the object ------------------------------------------------------------------------------ */

static struct json *copy_value(struct arena *arena, const struct json *value)
{
    static const struct json null = {.type = JSON_NULL};
    struct json *v = arena_alloc(arena, sizeof *v);
    *v = value != NULL ? *value : null;
    v->next = NULL;
    return v;
}

static void append(struct json *parent, struct json **last, struct json *v)
{
    if (*last != NULL) {
        (*last)->next = v;
    } else {
        parent->child = v;
    }
    *last = v;
    parent->count++;
}

static struct json *array_of(struct arena *arena, const struct json *const *elements)
{
    struct json *array = arena_alloc(arena, sizeof *array);
    array->type = JSON_ARRAY;
    size_t count = LEASING_PATH_INDEX_MAX;
    while (count > 0 && elements[count - 1] == NULL) {
        count--;
    }
    struct json *last = NULL;
    for (size_t i = 0; i < count; i++) {
        append(array, &last, copy_value(arena, elements[i]));
    }
    return array;
}

/* Recursion is as deep as a key has names. */
static struct json *json_of(struct arena *arena, const struct node *n)
{
    struct json *v;
    if (n->value != NULL) {
        v = copy_value(arena, n->value);
    } else if (n->elements != NULL) {
        v = array_of(arena, n->elements);
    } else {
        v = arena_alloc(arena, sizeof *v);
        v->type = JSON_OBJECT;
        struct json *last = NULL;
        for (const struct node *c = n->child; c != NULL; c = c->next) {
            append(v, &last, json_of(arena, c));
        }
    }
    v->key = n->name;
    return v;
}

struct slice leasing_metadata_unflatten(struct arena *arena, const struct leasing_pair *pairs,
                                        size_t count, bool *out_exact)
{
    struct node root = {.value = NULL};
    struct reader r = {.arena = arena, .root = &root};
    const struct leasing_pair *sorted = prepare(&r, pairs, &count);
    put_all(&r, sorted, count);
    struct buf text;
    buf_init(&text, arena, 1024);
    enum err e = json_canonical(&text, json_of(arena, &root), NULL);
    ASSERT(e == OK); /* names differ, and numbers came from canonical text */
    struct hash hash = sha256(buf_slice(&text));
    *out_exact = r.has_hash && !r.incomplete && hash_equal(&hash, &r.hash);
    return buf_slice(&text);
}
