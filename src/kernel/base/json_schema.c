#include "kernel/base/json_schema.h"

#include <stdarg.h>

#include "kernel/base/check.h"
#include "kernel/base/decimal.h"
#include "kernel/base/json_schema_private.h"
#include "kernel/base/mem.h"

/* Schemas that may be open at once, over all levels of the value. */
#define NESTED_MAX 512
/* Steps of a check: about one a node, a compared member, a byte of a compared value. */
#define BUDGET 10000000
/* What compiling a pattern counts as. */
#define PATTERN_STEPS 10000

struct checker {
    const struct json *root;
    struct arena *scratch;
    struct buf path; /* to the value that is looked at */
    enum err failure;
    struct why *why;
    struct json_schema_pattern *patterns;
    unsigned quiet; /* alternatives being tried: their violations are not reported */
    unsigned nested;
    uint64_t budget;
    bool is_stopped; /* by a limit; everything unwinds */
};

struct keyword {
    const char *name;
    bool (*check)(struct checker *c, const struct json *schema, const struct json *argument,
                  const struct json *v);
};

static bool check_schema(struct checker *c, const struct json *schema, const struct json *v);

/* ---- what a check says ----------------------------------------------------------------------- */

static bool violate(struct checker *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reports a violation at the current path, unless a limit was; returns false. */
static bool violate(struct checker *c, const char *format, ...)
{
    if (c->quiet > 0 || c->is_stopped || c->why == NULL) {
        return false;
    }
    char text[WHY_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *path = slice_cstr(c->scratch, buf_slice(&c->path));
    (void)why_set(c->why, c->failure, path, "%s %s", path[0] != '\0' ? path : "The value", text);
    return false;
}

static bool stop(struct checker *c, const char *sentence)
{
    if (!c->is_stopped) {
        const char *path = slice_cstr(c->scratch, buf_slice(&c->path));
        (void)why_set(c->why, ERR_LIMIT, path, "%s", sentence);
    }
    c->is_stopped = true;
    return false;
}

static bool spend(struct checker *c, uint64_t steps)
{
    if (c->budget < steps) {
        return stop(c, "Checking the value against the schema takes too much work.");
    }
    c->budget -= steps;
    return true;
}

/* Appends a name to the path and returns the length to go back to. */
static size_t push(struct checker *c, struct slice name)
{
    size_t length = c->path.len;
    if (length > 0) {
        buf_add_byte(&c->path, '.');
    }
    buf_add_slice(&c->path, name);
    return length;
}

static bool check_member(struct checker *c, const struct json *schema, const struct json *member)
{
    size_t length = push(c, member->key);
    bool valid = check_schema(c, schema, member);
    c->path.len = length;
    return valid;
}

static bool check_element(struct checker *c, const struct json *schema, const struct json *element,
                          size_t index)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", index);
    size_t length = push(c, slice_text(digits));
    bool valid = check_schema(c, schema, element);
    c->path.len = length;
    return valid;
}

/* ---- values ---------------------------------------------------------------------------------- */

static const struct json *find_member(struct checker *c, const struct json *object,
                                      struct slice key)
{
    if (!spend(c, object->count + 1)) {
        return NULL;
    }
    for (const struct json *m = object->child; m != NULL; m = m->next) {
        if (slice_equal(m->key, key)) {
            return m;
        }
    }
    return NULL;
}

static bool read_number(struct checker *c, const struct json *v, struct decimal *out)
{
    if (!spend(c, v->text.len)) {
        return false;
    }
    return decimal_parse(c->scratch, v->text, out) == OK ||
           violate(c, "has an exponent that is out of range.");
}

/* The number of a keyword, which was verified. */
static struct decimal number_of(struct checker *c, const struct json *argument)
{
    struct decimal d;
    enum err e = decimal_parse(c->scratch, argument->text, &d);
    ASSERT(e == OK);
    return d;
}

static uint64_t count_of(struct checker *c, const struct json *argument)
{
    struct decimal d = number_of(c, argument);
    uint64_t count = 0;
    enum err e = decimal_to_u64(&d, &count);
    ASSERT(e == OK);
    return count;
}

static bool normal_of(struct checker *c, const struct json *v, struct slice *out)
{
    struct buf text;
    buf_init(&text, c->scratch, 64);
    json_schema_normal(c->scratch, &text, v);
    *out = buf_slice(&text);
    return spend(c, text.len);
}

/* ---- any type -------------------------------------------------------------------------------- */

static const char *type_phrase(unsigned bit)
{
    switch ((enum json_schema_type)bit) {
    case JSON_SCHEMA_NULL:
        return "null";
    case JSON_SCHEMA_BOOLEAN:
        return "true or false";
    case JSON_SCHEMA_INTEGER:
        return "a whole number";
    case JSON_SCHEMA_NUMBER:
        return "a number";
    case JSON_SCHEMA_STRING:
        return "a string";
    case JSON_SCHEMA_ARRAY:
        return "an array";
    case JSON_SCHEMA_OBJECT:
        return "an object";
    }
    return "a value";
}

/* The type of a value; numbers are not looked into. */
static unsigned type_of(const struct json *v)
{
    switch (v->type) {
    case JSON_NULL:
        return JSON_SCHEMA_NULL;
    case JSON_FALSE:
    case JSON_TRUE:
        return JSON_SCHEMA_BOOLEAN;
    case JSON_NUMBER:
        return JSON_SCHEMA_NUMBER;
    case JSON_STRING:
        return JSON_SCHEMA_STRING;
    case JSON_ARRAY:
        return JSON_SCHEMA_ARRAY;
    case JSON_OBJECT:
        return JSON_SCHEMA_OBJECT;
    }
    return 0;
}

static unsigned types_of(const struct json *argument)
{
    if (argument->type == JSON_STRING) {
        return json_schema_type_find(argument->text);
    }
    unsigned types = 0;
    for (const struct json *t = argument->child; t != NULL; t = t->next) {
        types |= json_schema_type_find(t->text);
    }
    return types;
}

static bool violate_types(struct checker *c, unsigned allowed, unsigned found)
{
    char phrases[128] = "";
    size_t len = 0;
    for (unsigned bit = 1; bit <= JSON_SCHEMA_OBJECT; bit *= 2) {
        if ((allowed & bit) != 0) {
            len += (size_t)snprintf(phrases + len, sizeof phrases - len, "%s%s",
                                    len > 0 ? " or " : "", type_phrase(bit));
        }
    }
    return violate(c, "must be %s, not %s.", phrases, type_phrase(found));
}

static bool check_type(struct checker *c, const struct json *schema, const struct json *argument,
                       const struct json *v)
{
    (void)schema;
    unsigned allowed = types_of(argument);
    unsigned found = type_of(v);
    if ((allowed & found) != 0) {
        return true;
    }
    if (found != JSON_SCHEMA_NUMBER || (allowed & JSON_SCHEMA_INTEGER) == 0) {
        return violate_types(c, allowed, found);
    }
    struct decimal d;
    if (!read_number(c, v, &d)) {
        return false;
    }
    return decimal_is_integer(&d) || violate_types(c, allowed, found);
}

static bool check_enum(struct checker *c, const struct json *schema, const struct json *argument,
                       const struct json *v)
{
    (void)schema;
    struct slice wanted;
    struct slice allowed;
    if (!normal_of(c, v, &wanted)) {
        return false;
    }
    for (const struct json *a = argument->child; a != NULL; a = a->next) {
        if (!normal_of(c, a, &allowed)) {
            return false;
        }
        if (slice_equal(wanted, allowed)) {
            return true;
        }
    }
    struct buf list;
    buf_init(&list, c->scratch, 256);
    json_write(&list, argument);
    struct slice shown = slice_sub(buf_slice(&list), 0, 200);
    return violate(c, "must be one of %.*s%s.", SLICE_ARG(shown), shown.len < list.len ? "…" : "");
}

static bool check_const(struct checker *c, const struct json *schema, const struct json *argument,
                        const struct json *v)
{
    (void)schema;
    struct slice wanted;
    struct slice allowed;
    if (!normal_of(c, v, &wanted) || !normal_of(c, argument, &allowed)) {
        return false;
    }
    if (slice_equal(wanted, allowed)) {
        return true;
    }
    struct buf text;
    buf_init(&text, c->scratch, 64);
    json_write(&text, argument);
    return violate(c, "must be %.*s.", SLICE_ARG(slice_sub(buf_slice(&text), 0, 200)));
}

/* ---- objects --------------------------------------------------------------------------------- */

static bool check_properties(struct checker *c, const struct json *schema,
                             const struct json *argument, const struct json *v)
{
    (void)schema;
    bool valid = true;
    if (v->type != JSON_OBJECT) {
        return true;
    }
    for (const struct json *p = argument->child; valid && p != NULL; p = p->next) {
        const struct json *member = find_member(c, v, p->key);
        valid = !c->is_stopped && (member == NULL || check_member(c, p, member));
    }
    return valid;
}

static bool check_required(struct checker *c, const struct json *schema,
                           const struct json *argument, const struct json *v)
{
    (void)schema;
    if (v->type != JSON_OBJECT) {
        return true;
    }
    for (const struct json *name = argument->child; name != NULL; name = name->next) {
        if (find_member(c, v, name->text) == NULL) {
            size_t length = push(c, name->text);
            (void)violate(c, "is missing.");
            c->path.len = length;
            return false;
        }
    }
    return true;
}

static bool check_additional(struct checker *c, const struct json *schema,
                             const struct json *argument, const struct json *v)
{
    static const struct json none = {.type = JSON_OBJECT};
    const struct json *properties = json_find(schema, "properties");
    properties = properties != NULL ? properties : &none;
    bool valid = true;
    if (v->type != JSON_OBJECT) {
        return true;
    }
    for (const struct json *m = v->child; valid && m != NULL; m = m->next) {
        bool is_named = find_member(c, properties, m->key) != NULL;
        valid = !c->is_stopped && (is_named || check_member(c, argument, m));
    }
    return valid;
}

static bool check_count(struct checker *c, const struct json *argument, uint64_t count,
                        bool is_least, const char *things)
{
    uint64_t bound = count_of(c, argument);
    if (is_least ? count >= bound : count <= bound) {
        return true;
    }
    return violate(c, "must have at %s %llu %s; it has %llu.", is_least ? "least" : "most",
                   (unsigned long long)bound, things, (unsigned long long)count);
}

static bool check_min_properties(struct checker *c, const struct json *schema,
                                 const struct json *argument, const struct json *v)
{
    (void)schema;
    return v->type != JSON_OBJECT || check_count(c, argument, v->count, true, "members");
}

static bool check_max_properties(struct checker *c, const struct json *schema,
                                 const struct json *argument, const struct json *v)
{
    (void)schema;
    return v->type != JSON_OBJECT || check_count(c, argument, v->count, false, "members");
}

/* ---- arrays ---------------------------------------------------------------------------------- */

static bool check_items(struct checker *c, const struct json *schema, const struct json *argument,
                        const struct json *v)
{
    const struct json *prefix = json_find(schema, "prefixItems");
    size_t skipped = prefix != NULL ? prefix->count : 0;
    bool valid = true;
    if (v->type != JSON_ARRAY) {
        return true;
    }
    size_t index = 0;
    for (const struct json *e = v->child; valid && e != NULL; e = e->next, index++) {
        valid = index < skipped || check_element(c, argument, e, index);
    }
    return valid;
}

static bool check_prefix_items(struct checker *c, const struct json *schema,
                               const struct json *argument, const struct json *v)
{
    (void)schema;
    bool valid = true;
    if (v->type != JSON_ARRAY) {
        return true;
    }
    size_t index = 0;
    const struct json *s = argument->child;
    for (const struct json *e = v->child; valid && e != NULL && s != NULL; e = e->next) {
        valid = check_element(c, s, e, index++);
        s = s->next;
    }
    return valid;
}

static bool check_min_items(struct checker *c, const struct json *schema,
                            const struct json *argument, const struct json *v)
{
    (void)schema;
    return v->type != JSON_ARRAY || check_count(c, argument, v->count, true, "elements");
}

static bool check_max_items(struct checker *c, const struct json *schema,
                            const struct json *argument, const struct json *v)
{
    (void)schema;
    return v->type != JSON_ARRAY || check_count(c, argument, v->count, false, "elements");
}

static int compare_texts(const void *left, const void *right)
{
    return slice_compare(*(const struct slice *)left, *(const struct slice *)right);
}

static bool check_unique(struct checker *c, const struct json *schema, const struct json *argument,
                         const struct json *v)
{
    (void)schema;
    if (v->type != JSON_ARRAY || v->count < 2 || argument->type != JSON_TRUE) {
        return true;
    }
    struct slice *texts = arena_alloc_array(c->scratch, v->count, sizeof *texts);
    size_t count = 0;
    for (const struct json *e = v->child; e != NULL; e = e->next) {
        if (!normal_of(c, e, &texts[count++])) {
            return false;
        }
    }
    qsort(texts, count, sizeof *texts, compare_texts);
    for (size_t i = 1; i < count; i++) {
        if (slice_equal(texts[i - 1], texts[i])) {
            return violate(c, "must not hold the same element twice.");
        }
    }
    return true;
}

/* ---- strings --------------------------------------------------------------------------------- */

static uint64_t count_points(struct slice text)
{
    uint64_t points = 0;
    for (size_t i = 0; i < text.len; i++) {
        points += (text.ptr[i] & 0xC0) != 0x80;
    }
    return points;
}

static bool check_min_length(struct checker *c, const struct json *schema,
                             const struct json *argument, const struct json *v)
{
    (void)schema;
    return v->type != JSON_STRING ||
           (spend(c, v->text.len) &&
            check_count(c, argument, count_points(v->text), true, "characters"));
}

static bool check_max_length(struct checker *c, const struct json *schema,
                             const struct json *argument, const struct json *v)
{
    (void)schema;
    return v->type != JSON_STRING ||
           (spend(c, v->text.len) &&
            check_count(c, argument, count_points(v->text), false, "characters"));
}

static const regex_t *get_pattern(struct checker *c, const struct json *argument)
{
    struct json_schema_pattern *p = c->patterns;
    while (p != NULL && p->argument != argument) {
        p = p->next;
    }
    if (p != NULL || !spend(c, PATTERN_STEPS)) {
        return p != NULL ? &p->compiled : NULL;
    }
    p = arena_alloc(c->scratch, sizeof *p);
    p->argument = argument;
    if (!json_schema_pattern_compile(argument->text, &p->compiled)) {
        (void)stop(c, "The pattern needs too much memory.");
        return NULL;
    }
    p->next = c->patterns;
    c->patterns = p;
    return &p->compiled;
}

/* What a match counts as: a search that is not anchored starts at each byte again. */
static uint64_t match_steps(struct slice pattern, uint64_t len)
{
    bool is_anchored = pattern.len > 0 && pattern.ptr[0] == '^' && slice_find(pattern, '|') < 0;
    return is_anchored ? len * 64 : len * len / 4;
}

static bool check_pattern(struct checker *c, const struct json *schema, const struct json *argument,
                          const struct json *v)
{
    (void)schema;
    size_t len = v->text.len;
    if (v->type != JSON_STRING) {
        return true;
    }
    if (len > JSON_SCHEMA_SUBJECT_MAX) {
        return violate(c, "has %zu bytes; a pattern can check up to %d.", len,
                       JSON_SCHEMA_SUBJECT_MAX);
    }
    const regex_t *pattern = get_pattern(c, argument);
    if (pattern == NULL || !spend(c, match_steps(argument->text, len))) {
        return false;
    }
    return json_schema_pattern_match(pattern, v->text) ||
           violate(c, "does not match the pattern %.*s.", SLICE_ARG(argument->text));
}

static bool check_format(struct checker *c, const struct json *schema, const struct json *argument,
                         const struct json *v)
{
    (void)schema;
    if (v->type != JSON_STRING || !spend(c, v->text.len)) {
        return !c->is_stopped;
    }
    if (slice_equal_text(argument->text, "date-time")) {
        return json_schema_is_date_time(v->text) ||
               violate(c, "must be a time such as 2026-11-22T05:20:40Z.");
    }
    if (slice_equal_text(argument->text, "uri")) {
        return json_schema_is_uri(v->text) ||
               violate(c, "must be a URI such as https://example.org/manual.pdf.");
    }
    return true;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static bool check_bound(struct checker *c, const struct json *argument, const struct json *v,
                        bool is_least, bool is_exclusive)
{
    struct decimal d;
    if (v->type != JSON_NUMBER) {
        return true;
    }
    if (!read_number(c, v, &d)) {
        return false;
    }
    struct decimal bound = number_of(c, argument);
    int order = is_least ? decimal_compare(&d, &bound) : decimal_compare(&bound, &d);
    if (order > 0 || (order == 0 && !is_exclusive)) {
        return true;
    }
    const char *phrase =
        is_exclusive ? (is_least ? "more than" : "less than") : (is_least ? "at least" : "at most");
    return violate(c, "must be %s %.*s.", phrase, SLICE_ARG(slice_sub(argument->text, 0, 100)));
}

static bool check_minimum(struct checker *c, const struct json *schema, const struct json *argument,
                          const struct json *v)
{
    (void)schema;
    return check_bound(c, argument, v, true, false);
}

static bool check_maximum(struct checker *c, const struct json *schema, const struct json *argument,
                          const struct json *v)
{
    (void)schema;
    return check_bound(c, argument, v, false, false);
}

static bool check_exclusive_minimum(struct checker *c, const struct json *schema,
                                    const struct json *argument, const struct json *v)
{
    (void)schema;
    return check_bound(c, argument, v, true, true);
}

static bool check_exclusive_maximum(struct checker *c, const struct json *schema,
                                    const struct json *argument, const struct json *v)
{
    (void)schema;
    return check_bound(c, argument, v, false, true);
}

static bool check_multiple(struct checker *c, const struct json *schema,
                           const struct json *argument, const struct json *v)
{
    (void)schema;
    struct decimal d;
    if (v->type != JSON_NUMBER) {
        return true;
    }
    if (!read_number(c, v, &d)) {
        return false;
    }
    return decimal_is_multiple(&d, (uint32_t)count_of(c, argument)) ||
           violate(c, "must be a multiple of %.*s.", SLICE_ARG(slice_sub(argument->text, 0, 100)));
}

/* ---- combinations ---------------------------------------------------------------------------- */

static bool try_schema(struct checker *c, const struct json *schema, const struct json *v)
{
    c->quiet++;
    bool valid = check_schema(c, schema, v);
    c->quiet--;
    return valid;
}

static size_t count_matches(struct checker *c, const struct json *schemas, const struct json *v,
                            size_t enough)
{
    size_t matches = 0;
    for (const struct json *s = schemas->child; s != NULL && !c->is_stopped; s = s->next) {
        matches += try_schema(c, s, v);
        if (matches == enough) {
            break;
        }
    }
    return matches;
}

static bool check_all_of(struct checker *c, const struct json *schema, const struct json *argument,
                         const struct json *v)
{
    (void)schema;
    bool valid = true;
    for (const struct json *s = argument->child; valid && s != NULL; s = s->next) {
        valid = check_schema(c, s, v);
    }
    return valid;
}

static bool check_any_of(struct checker *c, const struct json *schema, const struct json *argument,
                         const struct json *v)
{
    (void)schema;
    return count_matches(c, argument, v, 1) == 1 ||
           violate(c, "matches none of the %u allowed forms.", argument->count);
}

static bool check_one_of(struct checker *c, const struct json *schema, const struct json *argument,
                         const struct json *v)
{
    (void)schema;
    size_t matches = count_matches(c, argument, v, 2);
    if (matches == 1) {
        return !c->is_stopped;
    }
    return violate(c, "must match one of the %u allowed forms; it matches %s.", argument->count,
                   matches == 0 ? "none" : "more");
}

static bool check_not(struct checker *c, const struct json *schema, const struct json *argument,
                      const struct json *v)
{
    (void)schema;
    bool matches = try_schema(c, argument, v);
    return !c->is_stopped && (!matches || violate(c, "has a form that is not allowed."));
}

static bool check_ref(struct checker *c, const struct json *schema, const struct json *argument,
                      const struct json *v)
{
    (void)schema;
    return check_schema(c, json_schema_definition(c->root, argument->text), v);
}

/* ---- schemas --------------------------------------------------------------------------------- */

/* Keywords that say something about a value; verified schemas hold annotations besides. */
static const struct keyword keywords[] = {
    {"$ref", check_ref},
    {"additionalProperties", check_additional},
    {"allOf", check_all_of},
    {"anyOf", check_any_of},
    {"const", check_const},
    {"enum", check_enum},
    {"exclusiveMaximum", check_exclusive_maximum},
    {"exclusiveMinimum", check_exclusive_minimum},
    {"format", check_format},
    {"items", check_items},
    {"maxItems", check_max_items},
    {"maxLength", check_max_length},
    {"maxProperties", check_max_properties},
    {"maximum", check_maximum},
    {"minItems", check_min_items},
    {"minLength", check_min_length},
    {"minProperties", check_min_properties},
    {"minimum", check_minimum},
    {"multipleOf", check_multiple},
    {"not", check_not},
    {"oneOf", check_one_of},
    {"pattern", check_pattern},
    {"prefixItems", check_prefix_items},
    {"properties", check_properties},
    {"required", check_required},
    {"type", check_type},
    {"uniqueItems", check_unique},
};

static const struct keyword *find_keyword(struct slice name)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (slice_equal_text(name, keywords[i].name)) {
            return &keywords[i];
        }
    }
    return NULL;
}

static bool check_keywords(struct checker *c, const struct json *schema, const struct json *v)
{
    bool valid = true;
    for (const struct json *m = schema->child; valid && m != NULL; m = m->next) {
        const struct keyword *keyword = find_keyword(m->key);
        if (keyword != NULL) {
            valid = spend(c, 1) && keyword->check(c, schema, m, v);
        }
    }
    return valid && !c->is_stopped;
}

static bool check_schema(struct checker *c, const struct json *schema, const struct json *v)
{
    if (schema->type != JSON_OBJECT) {
        return schema->type == JSON_TRUE || violate(c, "is not allowed.");
    }
    if (c->nested == NESTED_MAX) {
        return stop(c, "The schema nests too deep in the value.");
    }
    c->nested++;
    bool valid = check_keywords(c, schema, v);
    c->nested--;
    return valid;
}

enum err json_schema_check(struct arena *scratch, const struct json *schema,
                           const struct json *value, enum err failure, struct why *why)
{
    enum err e = json_schema_verify(schema, why);
    if (e != OK) {
        return e;
    }
    struct checker c = {
        .root = schema, .scratch = scratch, .failure = failure, .why = why, .budget = BUDGET};
    buf_init(&c.path, scratch, 64);
    bool valid = check_schema(&c, schema, value);
    for (struct json_schema_pattern *p = c.patterns; p != NULL; p = p->next) {
        regfree(&p->compiled);
    }
    if (c.is_stopped) {
        return ERR_LIMIT;
    }
    return valid ? OK : failure;
}
