/*
 * json_schema.h: checking values against JSON Schema (draft 2020-12, a stated subset).
 *
 * Keywords: type (one or a list), enum, const, properties, required, additionalProperties
 * (boolean or schema), minProperties, maxProperties, items, prefixItems, minItems, maxItems,
 * uniqueItems, minLength, maxLength (in code points), pattern (POSIX extended, anchored as
 * written), minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf (integers), allOf,
 * anyOf, oneOf, not, $ref to "#/$defs/name", format (date-time, uri checked; others are
 * annotations), title, description, default, examples, $schema, $id, $comment (annotations). A
 * schema with any other keyword is refused, so that nobody believes in a check that is not made.
 * Numbers are compared exactly as decimals, never as doubles.
 *
 * Work is bounded: schema depth 32, value limits of json.h, pattern length 256.
 */
#ifndef KERNEL_BASE_JSON_SCHEMA_H
#define KERNEL_BASE_JSON_SCHEMA_H

#include "kernel/base/json.h"

/* json_schema_verify checks the schema itself. Errors: ERR_INVALID_FIELD (why names the path). */
enum err json_schema_verify(const struct json *schema, struct why *why) ERR_CHECKED;

/*
 * json_schema_check checks a value; why->field is the path in the value
 * ("specifications.orbit.type") and the sentence says what was expected. Errors: `failure` for a
 * violation, ERR_INVALID_FIELD for a schema that json_schema_verify refuses.
 */
enum err json_schema_check(struct arena *scratch, const struct json *schema,
                           const struct json *value, enum err failure, struct why *why) ERR_CHECKED;

#endif
