/* The schema itself: each keyword has an argument of some kind, and there are no others. */
#include "kernel/base/json_schema_private.h"

#include "kernel/base/decimal.h"
#include "kernel/base/mem.h"

/* Applicators at one value that may be followed before the schema counts as endless. */
#define STEPS_MAX 10000
/* Names that `required` may list; they are compared pairwise. */
#define NAMES_MAX 1000

enum argument {
    ARGUMENT_ANY,
    ARGUMENT_LIST,
    ARGUMENT_TEXT,
    ARGUMENT_ID,
    ARGUMENT_BOOLEAN,
    ARGUMENT_TYPES,
    ARGUMENT_ENUM,
    ARGUMENT_NAMES,
    ARGUMENT_COUNT,
    ARGUMENT_NUMBER,
    ARGUMENT_UNIT,
    ARGUMENT_PATTERN,
    ARGUMENT_REF,
    ARGUMENT_SCHEMA,
    ARGUMENT_SCHEMA_LIST,
    ARGUMENT_SCHEMA_MAP,
};

struct keyword {
    const char *name;
    enum argument argument;
};

static const struct keyword keywords[] = {
    {"$comment", ARGUMENT_TEXT},
    {"$defs", ARGUMENT_SCHEMA_MAP},
    {"$id", ARGUMENT_ID},
    {"$ref", ARGUMENT_REF},
    {"$schema", ARGUMENT_TEXT},
    {"additionalProperties", ARGUMENT_SCHEMA},
    {"allOf", ARGUMENT_SCHEMA_LIST},
    {"anyOf", ARGUMENT_SCHEMA_LIST},
    {"const", ARGUMENT_ANY},
    {"default", ARGUMENT_ANY},
    {"description", ARGUMENT_TEXT},
    {"enum", ARGUMENT_ENUM},
    {"examples", ARGUMENT_LIST},
    {"exclusiveMaximum", ARGUMENT_NUMBER},
    {"exclusiveMinimum", ARGUMENT_NUMBER},
    {"format", ARGUMENT_TEXT},
    {"items", ARGUMENT_SCHEMA},
    {"maxItems", ARGUMENT_COUNT},
    {"maxLength", ARGUMENT_COUNT},
    {"maxProperties", ARGUMENT_COUNT},
    {"maximum", ARGUMENT_NUMBER},
    {"minItems", ARGUMENT_COUNT},
    {"minLength", ARGUMENT_COUNT},
    {"minProperties", ARGUMENT_COUNT},
    {"minimum", ARGUMENT_NUMBER},
    {"multipleOf", ARGUMENT_UNIT},
    {"not", ARGUMENT_SCHEMA},
    {"oneOf", ARGUMENT_SCHEMA_LIST},
    {"pattern", ARGUMENT_PATTERN},
    {"prefixItems", ARGUMENT_SCHEMA_LIST},
    {"properties", ARGUMENT_SCHEMA_MAP},
    {"required", ARGUMENT_NAMES},
    {"title", ARGUMENT_TEXT},
    {"type", ARGUMENT_TYPES},
    {"uniqueItems", ARGUMENT_BOOLEAN},
};

struct type_name {
    const char *name;
    unsigned bits;
};

static const struct type_name type_names[] = {
    {"null", JSON_SCHEMA_NULL},       {"boolean", JSON_SCHEMA_BOOLEAN},
    {"integer", JSON_SCHEMA_INTEGER}, {"number", JSON_SCHEMA_NUMBER},
    {"string", JSON_SCHEMA_STRING},   {"array", JSON_SCHEMA_ARRAY},
    {"object", JSON_SCHEMA_OBJECT},
};

struct verifier {
    const struct json *root;
    struct arena arena; /* of its own: a caller that only verifies needs none */
    struct buf path;    /* to the keyword that is looked at */
    struct why *why;
    unsigned depth;
    unsigned steps;
};

unsigned json_schema_type_find(struct slice name)
{
    for (size_t i = 0; i < sizeof type_names / sizeof type_names[0]; i++) {
        if (slice_equal_text(name, type_names[i].name)) {
            return type_names[i].bits;
        }
    }
    return 0;
}

const struct json *json_schema_definition(const struct json *root, struct slice ref)
{
    static const struct slice prefix = SLICE_LIT("#/$defs/");
    const struct json *definitions = json_find(root, "$defs");
    if (definitions == NULL || definitions->type != JSON_OBJECT || !slice_starts(ref, prefix)) {
        return NULL;
    }
    struct slice name = slice_sub(ref, prefix.len, ref.len);
    for (const struct json *d = definitions->child; d != NULL; d = d->next) {
        if (slice_equal(d->key, name)) {
            return d;
        }
    }
    return NULL;
}

static const struct keyword *find_keyword(struct slice name)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (slice_equal_text(name, keywords[i].name)) {
            return &keywords[i];
        }
    }
    return NULL;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static const char *path_text(struct verifier *r)
{
    return slice_cstr(&r->arena, buf_slice(&r->path));
}

/* Appends a name to the path and returns the length to go back to. */
static size_t push(struct verifier *r, struct slice name)
{
    size_t length = r->path.len;
    if (length > 0) {
        buf_add_byte(&r->path, '.');
    }
    buf_add_slice(&r->path, name);
    return length;
}

static enum err refuse(struct verifier *r, const char *needed)
{
    const char *path = path_text(r);
    return why_set(r->why, ERR_INVALID_FIELD, path, "The schema is refused: %s must be %s.", path,
                   needed);
}

static enum err verify_types(struct verifier *r, const struct json *v)
{
    static const char needed[] = "a type, or a list of different types (null, boolean, integer, "
                                 "number, string, array, object)";
    unsigned seen = 0;
    if (v->type == JSON_STRING) {
        return json_schema_type_find(v->text) != 0 ? OK : refuse(r, needed);
    }
    if (v->type != JSON_ARRAY || v->count == 0) {
        return refuse(r, needed);
    }
    for (const struct json *t = v->child; t != NULL; t = t->next) {
        unsigned bit = t->type == JSON_STRING ? json_schema_type_find(t->text) : 0;
        if (bit == 0 || (seen & bit) != 0) {
            return refuse(r, needed);
        }
        seen |= bit;
    }
    return OK;
}

static bool are_names(const struct json *v)
{
    if (v->type != JSON_ARRAY || v->count > NAMES_MAX) {
        return false;
    }
    for (const struct json *name = v->child; name != NULL; name = name->next) {
        if (name->type != JSON_STRING) {
            return false;
        }
        for (const struct json *other = v->child; other != name; other = other->next) {
            if (slice_equal(other->text, name->text)) {
                return false;
            }
        }
    }
    return true;
}

static bool is_number(struct verifier *r, const struct json *v, struct decimal *out)
{
    return v->type == JSON_NUMBER && decimal_parse(&r->arena, v->text, out) == OK;
}

static bool is_count(struct verifier *r, const struct json *v, uint64_t least, uint64_t most)
{
    struct decimal d;
    uint64_t count;
    return is_number(r, v, &d) && decimal_to_u64(&d, &count) == OK && count >= least &&
           count <= most;
}

static bool is_ref(const struct verifier *r, const struct json *v)
{
    return v->type == JSON_STRING && slice_find(v->text, '~') < 0 && slice_find(v->text, '%') < 0 &&
           json_schema_definition(r->root, v->text) != NULL;
}

static enum err verify_pattern(struct verifier *r, const struct json *v)
{
    return v->type == JSON_STRING ? json_schema_pattern_verify(v->text, path_text(r), r->why)
                                  : refuse(r, "a regular expression");
}

/* ---- schemas --------------------------------------------------------------------------------- */

static enum err verify_schema(struct verifier *r, const struct json *v);

static enum err verify_schema_map(struct verifier *r, const struct json *v)
{
    enum err e = v->type == JSON_OBJECT ? OK : refuse(r, "an object of schemas");
    for (const struct json *m = v->child; e == OK && m != NULL; m = m->next) {
        size_t length = push(r, m->key);
        e = verify_schema(r, m);
        r->path.len = length;
    }
    return e;
}

static enum err verify_schema_list(struct verifier *r, const struct json *v)
{
    bool is_list = v->type == JSON_ARRAY && v->count > 0;
    enum err e = is_list ? OK : refuse(r, "a list of at least one schema");
    size_t index = 0;
    for (const struct json *m = v->child; e == OK && m != NULL; m = m->next, index++) {
        size_t length = push(r, slice_format(&r->arena, "%zu", index));
        e = verify_schema(r, m);
        r->path.len = length;
    }
    return e;
}

static enum err verify_argument(struct verifier *r, enum argument argument, const struct json *v)
{
    struct decimal d;
    switch (argument) {
    case ARGUMENT_ANY:
        return OK;
    case ARGUMENT_LIST:
        return v->type == JSON_ARRAY ? OK : refuse(r, "a list");
    case ARGUMENT_TEXT:
        return v->type == JSON_STRING ? OK : refuse(r, "a string");
    case ARGUMENT_ID:
        return v->type == JSON_STRING && r->depth == 1 ? OK : refuse(r, "a string at the root");
    case ARGUMENT_BOOLEAN:
        return v->type == JSON_TRUE || v->type == JSON_FALSE ? OK : refuse(r, "true or false");
    case ARGUMENT_TYPES:
        return verify_types(r, v);
    case ARGUMENT_ENUM:
        return v->type == JSON_ARRAY && v->count > 0 ? OK : refuse(r, "a list of values");
    case ARGUMENT_NAMES:
        return are_names(v) ? OK : refuse(r, "a list of up to 1000 different names");
    case ARGUMENT_COUNT:
        return is_count(r, v, 0, UINT64_MAX) ? OK : refuse(r, "a whole number from 0 on");
    case ARGUMENT_NUMBER:
        return is_number(r, v, &d) ? OK : refuse(r, "a number");
    case ARGUMENT_UNIT:
        return is_count(r, v, 1, UINT32_MAX) ? OK : refuse(r, "a whole number from 1 to 2^32 - 1");
    case ARGUMENT_PATTERN:
        return verify_pattern(r, v);
    case ARGUMENT_REF:
        return is_ref(r, v) ? OK : refuse(r, "\"#/$defs/name\" with a name that is defined there");
    case ARGUMENT_SCHEMA:
        return verify_schema(r, v);
    case ARGUMENT_SCHEMA_LIST:
        return verify_schema_list(r, v);
    case ARGUMENT_SCHEMA_MAP:
        return verify_schema_map(r, v);
    }
    return refuse(r, "something else");
}

static enum err verify_keyword(struct verifier *r, const struct json *v)
{
    const struct keyword *keyword = find_keyword(v->key);
    size_t length = push(r, v->key);
    enum err e;
    if (keyword != NULL) {
        e = verify_argument(r, keyword->argument, v);
    } else {
        const char *path = path_text(r);
        e = why_set(r->why, ERR_INVALID_FIELD, path,
                    "The schema is refused: the keyword %s is not supported, so it would not be "
                    "checked.",
                    path);
    }
    r->path.len = length;
    return e;
}

static enum err verify_schema(struct verifier *r, const struct json *v)
{
    if (v->type == JSON_TRUE || v->type == JSON_FALSE) {
        return OK;
    }
    if (v->type != JSON_OBJECT) {
        return refuse(r, "a schema: an object, true or false");
    }
    if (r->depth == JSON_SCHEMA_DEPTH_MAX) {
        return refuse(r, "less deep: schemas nest up to 32 levels");
    }
    enum err e = OK;
    r->depth++;
    for (const struct json *m = v->child; e == OK && m != NULL; m = m->next) {
        e = verify_keyword(r, m);
    }
    r->depth--;
    return e;
}

/* ---- references ------------------------------------------------------------------------------ */

/*
 * Whether the applicators that stay at the same value come to an end within the limits. All of
 * them are followed, to any depth that does not lead into the value.
 */
static bool ends(struct verifier *r, const struct json *schema, unsigned depth);

static bool all_end(struct verifier *r, const struct json *schemas, unsigned depth)
{
    for (const struct json *s = schemas != NULL ? schemas->child : NULL; s != NULL; s = s->next) {
        if (!ends(r, s, depth)) {
            return false;
        }
    }
    return true;
}

static bool ends(struct verifier *r, const struct json *schema, unsigned depth)
{
    if (depth == JSON_SCHEMA_DEPTH_MAX || r->steps == STEPS_MAX) {
        return false;
    }
    r->steps++;
    const struct json *ref = json_find(schema, "$ref");
    const struct json *negated = json_find(schema, "not");
    return (ref == NULL || ends(r, json_schema_definition(r->root, ref->text), depth + 1)) &&
           (negated == NULL || ends(r, negated, depth + 1)) &&
           all_end(r, json_find(schema, "allOf"), depth + 1) &&
           all_end(r, json_find(schema, "anyOf"), depth + 1) &&
           all_end(r, json_find(schema, "oneOf"), depth + 1);
}

/* Every circle goes through a definition, so those are where to start. */
static enum err verify_references(struct verifier *r)
{
    const struct json *definitions = json_find(r->root, "$defs");
    for (const struct json *d = definitions != NULL ? definitions->child : NULL; d != NULL;
         d = d->next) {
        if (!ends(r, d, 0)) {
            const char *path = slice_cstr(&r->arena, d->key);
            return why_set(r->why, ERR_INVALID_FIELD, "$defs",
                           "The schema is refused: the references from %s have no end, or too "
                           "many steps.",
                           path);
        }
    }
    return OK;
}

enum err json_schema_verify(const struct json *schema, struct why *why)
{
    struct verifier r = {.root = schema, .why = why};
    arena_init(&r.arena, 0);
    buf_init(&r.path, &r.arena, 64);
    enum err e = verify_schema(&r, schema);
    if (e == OK) {
        e = verify_references(&r);
    }
    arena_free(&r.arena);
    return e;
}
