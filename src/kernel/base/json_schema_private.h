/*
 * json_schema_private.h: what verifying a schema and checking by it share; private to both.
 */
#ifndef KERNEL_BASE_JSON_SCHEMA_PRIVATE_H
#define KERNEL_BASE_JSON_SCHEMA_PRIVATE_H

#include <regex.h>

#include "kernel/base/json_schema.h"

/*
 * json_schema_pattern_verify refuses patterns that mean something else to POSIX than to others, or
 * that cost too much. `field` is its place for `why`. Errors: ERR_INVALID_FIELD.
 */
enum err json_schema_pattern_verify(struct slice pattern, const char *field,
                                    struct why *why) ERR_CHECKED;

/* A compiled pattern; a check keeps those that it met in a list. */
struct json_schema_pattern {
    const struct json *argument; /* of the keyword */
    regex_t compiled;
    struct json_schema_pattern *next;
};

/*
 * json_schema_pattern_compile compiles a pattern that was verified. Returns false when there is no
 * memory for it. Owns: the caller, regfree.
 */
bool json_schema_pattern_compile(struct slice pattern, regex_t *out);

/* json_schema_pattern_match says whether the pattern is found in the text. */
bool json_schema_pattern_match(const regex_t *pattern, struct slice text);

/* json_schema_is_date_time says whether the text is a date-time of RFC 3339, of any year. */
bool json_schema_is_date_time(struct slice text);

/* json_schema_is_uri says whether the text is a URI of RFC 3986, with a scheme. */
bool json_schema_is_uri(struct slice text);

/* json_schema_definition returns the schema that a $ref of the root means; NULL when none. */
const struct json *json_schema_definition(const struct json *root, struct slice ref);

/*
 * json_schema_normal appends a text that equal values share and others do not: numbers by value,
 * members in order. Owns: the scratch arena.
 */
void json_schema_normal(struct arena *scratch, struct buf *out, const struct json *v);

/* The types as bits, because the keyword takes several. */
enum json_schema_type {
    JSON_SCHEMA_NULL = 1,
    JSON_SCHEMA_BOOLEAN = 2,
    JSON_SCHEMA_INTEGER = 4,
    JSON_SCHEMA_NUMBER = 8,
    JSON_SCHEMA_STRING = 16,
    JSON_SCHEMA_ARRAY = 32,
    JSON_SCHEMA_OBJECT = 64,
};

/* json_schema_type_find reads a name of the keyword `type`; 0 when there is none such. */
unsigned json_schema_type_find(struct slice name);

#endif
