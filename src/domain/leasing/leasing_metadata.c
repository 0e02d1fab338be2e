#include "domain/leasing/leasing_metadata.h"

#include "domain/leasing/leasing_metadata_path.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/mem.h"

#define HASH_TEXT_MAX (2 * HASH_BYTES + 3)

/* ---- check ----------------------------------------------------------------------------------- */

static bool is_id_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '.' || c == '-';
}

static bool is_type_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '_';
}

struct text_rule {
    const char *key;
    size_t max; /* code points; the least is 1 */
    bool (*allowed)(uint8_t c);
    const char *alphabet;
};

static const struct text_rule text_rules[] = {
    {"assetId", 50, is_id_byte, "letters, digits and _ . -"},
    {"name", 255, NULL, NULL},
    {"description", 1000, NULL, NULL},
    {"assetType", 64, is_type_byte, "lower-case letters, digits and _"},
};

static const struct text_rule document_rules[] = {
    {"documentId", 255, NULL, NULL},
    {"filename", 255, NULL, NULL},
};

static const char *const document_types[] = {"manual", "certification", "specification",
                                             "lease_agreement"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static size_t count_points(struct slice text)
{
    size_t points = 0;
    for (size_t i = 0; i < text.len; i++) {
        points += (text.ptr[i] & 0xC0) != 0x80;
    }
    return points;
}

static enum err check_text(const struct json *object, const struct text_rule *rule, struct why *why)
{
    struct slice text;
    enum err e = json_get_text(object, rule->key, &text, why);
    if (e != OK) {
        return e;
    }
    size_t points = count_points(text);
    if (points < 1 || points > rule->max) {
        return why_set(why, ERR_INVALID_METADATA, rule->key,
                       "%s must have 1 to %zu characters; it has %zu.", rule->key, rule->max,
                       points);
    }
    for (size_t i = 0; rule->allowed != NULL && i < text.len; i++) {
        if (!rule->allowed(text.ptr[i])) {
            return why_set(why, ERR_INVALID_METADATA, rule->key, "%s may hold only %s.", rule->key,
                           rule->alphabet);
        }
    }
    return OK;
}

static enum err check_time(const struct json *object, const char *key, struct why *why)
{
    struct slice text;
    int64_t usec;
    enum err e = json_get_text(object, key, &text, why);
    if (e == OK && clock_parse(text, &usec) != OK) {
        return why_set(why, ERR_INVALID_METADATA, key,
                       "%s must be a time such as 2026-11-22T05:20:40Z.", key);
    }
    return e;
}

static enum err check_document_type(const struct json *document, struct why *why)
{
    struct slice text;
    enum err e = json_get_text(document, "documentType", &text, why);
    for (size_t i = 0; e == OK && i < COUNT(document_types); i++) {
        if (slice_equal_text(text, document_types[i])) {
            return OK;
        }
    }
    return e != OK ? e
                   : why_set(why, ERR_INVALID_METADATA, "documentType",
                             "documentType must be manual, certification, specification or "
                             "lease_agreement.");
}

static enum err check_document_hash(const struct json *document, struct why *why)
{
    struct slice text;
    struct hash hash;
    enum err e = json_get_text(document, "hash", &text, why);
    if (e == OK && hash_parse(text, &hash) != OK) {
        return why_set(why, ERR_INVALID_METADATA, "hash", "hash must be 0x and 64 hex digits.");
    }
    return e;
}

static enum err check_document(const struct json *document, struct why *why)
{
    for (size_t i = 0; i < COUNT(document_rules); i++) {
        enum err e = check_text(document, &document_rules[i], why);
        if (e != OK) {
            return e;
        }
    }
    enum err e = check_document_type(document, why);
    e = e != OK ? e : check_document_hash(document, why);
    return e != OK ? e : check_time(document, "uploadedAt", why);
}

static enum err check_documents(const struct json *metadata, struct why *why)
{
    const struct json *documents;
    enum err e = json_get(metadata, "documents", JSON_ARRAY, &documents, why);
    if (e != OK) {
        return e;
    }
    size_t index = 0;
    for (const struct json *d = documents->child; d != NULL; d = d->next, index++) {
        char place[32];
        snprintf(place, sizeof place, "documents.%zu", index);
        if (d->type != JSON_OBJECT) {
            return why_set(why, ERR_INVALID_TYPE, place, "%s must be an object.", place);
        }
        e = check_document(d, why);
        if (e != OK) {
            return why_prefix_field(why, e, place);
        }
    }
    return OK;
}

enum err leasing_metadata_check(const struct json *metadata, struct why *why)
{
    const struct json *specifications;
    if (metadata->type != JSON_OBJECT) {
        return why_set(why, ERR_INVALID_TYPE, NULL, "metadata must be an object.");
    }
    for (size_t i = 0; i < COUNT(text_rules); i++) {
        enum err e = check_text(metadata, &text_rules[i], why);
        if (e != OK) {
            return e;
        }
    }
    enum err e = json_get(metadata, "specifications", JSON_OBJECT, &specifications, why);
    e = e != OK ? e : check_documents(metadata, why);
    e = e != OK ? e : check_time(metadata, "createdAt", why);
    return e != OK ? e : check_time(metadata, "updatedAt", why);
}

enum err leasing_metadata_hash(struct arena *arena, const struct json *metadata, struct hash *out,
                               struct why *why)
{
    struct buf canonical;
    buf_init(&canonical, arena, 1024);
    enum err e = json_canonical(&canonical, metadata, why);
    if (e == OK) {
        *out = sha256(buf_slice(&canonical));
    }
    return e;
}

/* ---- flatten --------------------------------------------------------------------------------- */

/* Members that are a pair of their own while they are texts: what comes first, and the times. */
struct text_pair {
    const char *member;
    const char *key;
};

static const struct text_pair text_pairs[] = {
    {"name", "name"},       {"description", "description"},  {"assetType", "assetType"},
    {"assetId", "assetId"}, {"createdAt", "meta_createdAt"}, {"updatedAt", "meta_updatedAt"},
};
#define HEAD_COUNT 4

/* Where a walk through the object stands: the key so far, and the path for people. */
struct place {
    struct slice key;
    struct slice path;
};

struct flattener {
    struct arena *arena;
    struct leasing_pair *pairs;
    size_t count;
    struct why *why;
};

static enum err add_pair(struct flattener *f, const struct place *at, struct slice value)
{
    const char *path = slice_cstr(f->arena, at->path);
    if (at->key.len > LEASING_KEY_MAX) {
        return why_set(f->why, ERR_INVALID_METADATA, path,
                       "%s needs a key of %zu characters on chain; %d are allowed: shorten the "
                       "names on the way to it, or nest less.",
                       path, at->key.len, LEASING_KEY_MAX);
    }
    if (value.len > LEASING_VALUE_MAX) {
        return why_set(f->why, ERR_INVALID_METADATA, path,
                       "%s needs %zu bytes on chain; %d are allowed: shorten it, or put it into a "
                       "document.",
                       path, value.len, LEASING_VALUE_MAX);
    }
    if (f->count == LEASING_PAIRS_MAX) {
        return why_set(f->why, ERR_INVALID_METADATA, path,
                       "%s is one pair too many: the metadata may make %d on chain. Put values "
                       "together into arrays, or leave some out.",
                       path, LEASING_PAIRS_MAX);
    }
    f->pairs[f->count++] = (struct leasing_pair){at->key, value};
    return OK;
}

static enum err add_text(struct flattener *f, const char *member, const char *key,
                         struct slice value)
{
    const struct place at = {slice_text(key), slice_text(member)};
    return add_pair(f, &at, value);
}

static struct place below(const struct flattener *f, const struct place *at, struct slice name)
{
    struct buf key;
    bool first = at->key.ptr[at->key.len - 1] == '_'; /* a prefix ends so, a name never */
    buf_init(&key, f->arena, at->key.len + name.len + 2);
    buf_add_slice(&key, at->key);
    leasing_path_add_name(&key, name, first);
    struct buf path;
    buf_init(&path, f->arena, at->path.len + name.len + 1);
    buf_add_slice(&path, at->path);
    if (path.len > 0) {
        buf_add_byte(&path, '.');
    }
    buf_add_slice(&path, name);
    return (struct place){buf_slice(&key), buf_slice(&path)};
}

static struct place element_of(const struct flattener *f, const struct place *at, size_t index)
{
    struct buf key;
    buf_init(&key, f->arena, at->key.len + 8);
    buf_add_slice(&key, at->key);
    leasing_path_add_index(&key, index);
    struct slice path = slice_format(f->arena, "%.*s.%zu", SLICE_ARG(at->path), index);
    return (struct place){buf_slice(&key), path};
}

static enum err add_elements(struct flattener *f, const struct place *at, const struct json *array)
{
    enum err e = OK;
    size_t index = 0;
    for (const struct json *v = array->child; e == OK && v != NULL; v = v->next, index++) {
        struct place place = element_of(f, at, index);
        struct slice value;
        e = leasing_value_encode(f->arena, v, &value, f->why);
        e = e != OK ? e : add_pair(f, &place, value);
    }
    return e;
}

static enum err add_value(struct flattener *f, const struct place *at, const struct json *v)
{
    if (v->type == JSON_OBJECT && v->count > 0) {
        enum err e = OK;
        for (const struct json *m = v->child; e == OK && m != NULL; m = m->next) {
            struct place place = below(f, at, m->key);
            e = add_value(f, &place, m);
        }
        return e;
    }
    struct slice value;
    enum err e = leasing_value_encode(f->arena, v, &value, f->why);
    if (e != OK) {
        return e;
    }
    bool is_long_array = v->type == JSON_ARRAY && value.len > LEASING_VALUE_MAX;
    return is_long_array ? add_elements(f, at, v) : add_pair(f, at, value);
}

/* Whether a member goes under a key of its own instead of under x_. */
static bool is_plain_text(const struct json *v)
{
    return v != NULL && v->type == JSON_STRING && v->text.len > 0 && slice_find(v->text, '\0') < 0;
}

static bool is_specifications(const struct json *v)
{
    return v != NULL && v->type == JSON_OBJECT && v->count > 0;
}

static enum err add_texts(struct flattener *f, const struct json *metadata, size_t from, size_t to)
{
    enum err e = OK;
    for (size_t i = from; e == OK && i < to; i++) {
        const struct json *v = json_find(metadata, text_pairs[i].member);
        if (is_plain_text(v)) {
            e = add_text(f, text_pairs[i].member, text_pairs[i].key, v->text);
        }
    }
    return e;
}

static enum err add_document_hashes(struct flattener *f, const struct json *metadata)
{
    const struct json *documents = json_find(metadata, "documents");
    if (documents == NULL || documents->type != JSON_ARRAY) {
        return OK;
    }
    struct buf hashes;
    buf_init(&hashes, f->arena, 256);
    for (const struct json *d = documents->child; d != NULL; d = d->next) {
        const struct json *text = json_find(d, "hash");
        struct hash hash;
        if (text == NULL || text->type != JSON_STRING || hash_parse(text->text, &hash) != OK) {
            continue;
        }
        if (hashes.len > 0) {
            buf_add_byte(&hashes, ',');
        }
        buf_add_slice(&hashes, text->text);
    }
    if (hashes.len == 0 || hashes.len > LEASING_VALUE_MAX) {
        return OK;
    }
    return add_text(f, "documents", "documentHashes", buf_slice(&hashes));
}

static bool has_own_pairs(const struct json *member)
{
    for (size_t i = 0; i < COUNT(text_pairs); i++) {
        if (slice_equal_text(member->key, text_pairs[i].member)) {
            return is_plain_text(member);
        }
    }
    return slice_equal_text(member->key, "specifications") && is_specifications(member);
}

static enum err add_others(struct flattener *f, const struct json *metadata)
{
    static const struct place root = {SLICE_LIT("x_"), SLICE_EMPTY};
    enum err e = OK;
    for (const struct json *m = metadata->child; e == OK && m != NULL; m = m->next) {
        if (!has_own_pairs(m)) {
            struct place place = below(f, &root, m->key);
            e = add_value(f, &place, m);
        }
    }
    return e;
}

/* Levels of containers; recursion is as deep as the tree, which json_parse has limited. */
static uint32_t depth_of(const struct json *v)
{
    uint32_t deepest = 0;
    for (const struct json *c = v->child; c != NULL; c = c->next) {
        uint32_t depth = depth_of(c);
        deepest = depth > deepest ? depth : deepest;
    }
    return v->type == JSON_OBJECT || v->type == JSON_ARRAY ? deepest + 1 : 0;
}

static enum err add_all(struct flattener *f, const struct json *metadata, const struct hash *hash)
{
    static const struct place specifications = {SLICE_LIT("spec_"), SLICE_LIT("specifications")};
    char hash_text[HASH_TEXT_MAX];
    hex_encode_to(hash_slice(hash), hash_text);
    enum err e = add_texts(f, metadata, 0, HEAD_COUNT);
    if (e == OK) {
        e = add_text(f, "metadataHash", "metadataHash",
                     slice_copy(f->arena, slice_text(hash_text)));
    }
    const struct json *spec = json_find(metadata, "specifications");
    if (e == OK && is_specifications(spec)) {
        e = add_value(f, &specifications, spec);
    }
    e = e != OK ? e : add_texts(f, metadata, HEAD_COUNT, COUNT(text_pairs));
    e = e != OK ? e : add_document_hashes(f, metadata);
    return e != OK ? e : add_others(f, metadata);
}

enum err leasing_metadata_flatten(struct arena *arena, const struct json *metadata,
                                  struct leasing_pair **out, size_t *out_count, struct why *why)
{
    struct hash hash;
    if (metadata->type != JSON_OBJECT) {
        return why_set(why, ERR_INVALID_TYPE, NULL, "metadata must be an object.");
    }
    if (depth_of(metadata) > json_limits_body.depth_max) {
        return why_set(why, ERR_INVALID_METADATA, NULL,
                       "The metadata is nested deeper than %u levels.", json_limits_body.depth_max);
    }
    struct flattener f = {
        .arena = arena,
        .pairs = arena_alloc_array(arena, LEASING_PAIRS_MAX, sizeof(struct leasing_pair)),
        .why = why,
    };
    enum err e = leasing_metadata_hash(arena, metadata, &hash, why);
    e = e != OK ? e : add_all(&f, metadata, &hash);
    if (e == OK) {
        *out = f.pairs;
        *out_count = f.count;
    }
    return e;
}
