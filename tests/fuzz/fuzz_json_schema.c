/*
 * The first line is a schema, the rest a value. Properties:
 *   - checking by a schema fails with ERR_INVALID_FIELD exactly when verifying refuses it;
 *   - an error and only an error is explained;
 *   - "not" turns the verdict around, "allOf" of twice the same keeps it;
 *   - a value is equal to itself: it satisfies "const" of itself, and twice it is not unique.
 */
#include "kernel/base/json_schema.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json *parse(struct arena *arena, struct slice text)
{
    const struct json *v = NULL;
    return json_parse(arena, text, &json_limits_body, &v, NULL) == OK ? v : NULL;
}

static const struct json *wrap(struct arena *arena, const char *before, struct slice text,
                               const char *between, struct slice more, const char *after)
{
    struct buf out;
    buf_init(&out, arena, 0);
    buf_add_text(&out, before);
    buf_add_slice(&out, text);
    buf_add_text(&out, between);
    buf_add_slice(&out, more);
    buf_add_text(&out, after);
    return parse(arena, buf_slice(&out));
}

static enum err check(struct arena *arena, const struct json *schema, const struct json *value)
{
    struct why why = {.err = OK};
    enum err e = json_schema_check(arena, schema, value, ERR_INVALID_METADATA, &why);
    ASSERT(e == why.err);
    ASSERT(e == OK || e == ERR_INVALID_METADATA || e == ERR_INVALID_FIELD || e == ERR_LIMIT);
    return e;
}

/* References and identifiers mean something else, or are refused, one level deeper. */
static bool is_movable(struct arena *arena, struct slice schema)
{
    const char *text = slice_cstr(arena, schema);
    return strstr(text, "$ref") == NULL && strstr(text, "$id") == NULL &&
           strchr(text, '\\') == NULL;
}

static void check_wrapped(struct arena *arena, struct slice schema, const struct json *value,
                          enum err verdict)
{
    const struct json *negated = wrap(arena, "{\"not\":", schema, "}", SLICE_EMPTY, "");
    const struct json *twice = wrap(arena, "{\"allOf\":[", schema, ",", schema, "]}");
    if (negated == NULL || twice == NULL || json_schema_verify(negated, NULL) != OK ||
        json_schema_verify(twice, NULL) != OK) {
        return; /* too deep now */
    }
    enum err e = check(arena, negated, value);
    ASSERT(e == ERR_LIMIT || verdict == ERR_LIMIT || (e == OK) == (verdict != OK));
    e = check(arena, twice, value);
    ASSERT(e == ERR_LIMIT || e == verdict);
}

static void check_equality(struct arena *arena, struct slice text, const struct json *value)
{
    const struct json *same = wrap(arena, "{\"const\":", text, ",\"enum\":[0,", text, "]}");
    const struct json *pair = wrap(arena, "[", text, ",", text, "]");
    const struct json *unique = parse(arena, SLICE_LIT("{\"uniqueItems\":true}"));
    if (same == NULL || pair == NULL) {
        return;
    }
    enum err e = check(arena, same, value);
    ASSERT(e == OK || e == ERR_LIMIT);
    e = check(arena, unique, pair);
    ASSERT(e == ERR_INVALID_METADATA || e == ERR_LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice schema_text;
    struct slice value_text;
    arena_init(&arena, 0);
    (void)slice_cut(slice_of(data, size), '\n', &schema_text, &value_text);
    const struct json *schema = parse(&arena, schema_text);
    const struct json *value = parse(&arena, value_text);
    if (schema != NULL) {
        struct why why = {.err = OK};
        enum err verified = json_schema_verify(schema, &why);
        ASSERT(verified == why.err);
        ASSERT(verified == OK || verified == ERR_INVALID_FIELD);
        if (value != NULL) {
            enum err verdict = check(&arena, schema, value);
            ASSERT((verdict == ERR_INVALID_FIELD) == (verified != OK));
            if (verified == OK && is_movable(&arena, schema_text)) {
                check_wrapped(&arena, schema_text, value, verdict);
            }
        }
    }
    if (value != NULL) {
        check_equality(&arena, value_text, value);
    }
    arena_free(&arena);
    return 0;
}
