/*
 * json_schema.h: checking values against JSON Schema (draft 2020-12, a stated subset).
 *
 * Keywords: type (one or a list), enum, const, properties, required, additionalProperties
 * (boolean or schema), minProperties, maxProperties, items, prefixItems, minItems, maxItems,
 * uniqueItems, minLength, maxLength (in code points), pattern, minimum, maximum, exclusiveMinimum,
 * exclusiveMaximum, multipleOf (whole, below 2^32), allOf, anyOf, oneOf, not, $ref to
 * "#/$defs/name", $defs, format (date-time and uri are checked; others are annotations), title,
 * description, default, examples, $schema, $id, $comment (annotations). A schema with any other
 * keyword is refused, so that nobody believes in a check that is not made.
 *
 * Numbers are compared exactly as decimals, never as doubles.
 *
 * Patterns are POSIX extended regular expressions over bytes, found anywhere unless anchored. What
 * such an expression would silently read differently from ECMAScript is refused: escapes of
 * letters and digits (\d, \w, \1), a backslash in brackets, (?…), two quantifiers in a row.
 *
 * Work is bounded: schemas nest up to 32 levels, $ref included as long as it stays at the same
 * value; patterns have up to 256 bytes, 32 levels and 500 states; a text held against a pattern
 * has up to 4,096 bytes (a longer one violates it); a whole check has a budget of steps that is far
 * beyond honest use. The value has the limits of json.h. Pure; any thread.
 */
#ifndef KERNEL_BASE_JSON_SCHEMA_H
#define KERNEL_BASE_JSON_SCHEMA_H

#include "kernel/base/json.h"

#define JSON_SCHEMA_DEPTH_MAX 32
#define JSON_SCHEMA_PATTERN_MAX 256
#define JSON_SCHEMA_SUBJECT_MAX 4096

/* json_schema_verify checks the schema itself. Errors: ERR_INVALID_FIELD (why names the path). */
enum err json_schema_verify(const struct json *schema, struct why *why) ERR_CHECKED;

/*
 * json_schema_check checks a value; why->field is the path in the value
 * ("specifications.orbit.type") and the sentence says what was expected. Errors: `failure` for a
 * violation, ERR_INVALID_FIELD for a schema that json_schema_verify refuses (why names the path in
 * the schema), ERR_LIMIT when the budget is spent or the schema nests too deep in the value.
 */
enum err json_schema_check(struct arena *scratch, const struct json *schema,
                           const struct json *value, enum err failure, struct why *why) ERR_CHECKED;

#endif
