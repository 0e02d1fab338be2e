#include "kernel/base/json.h"

/* The last second of year 9999: what RFC 3339 can write. */
#define UNIX_SEC_MAX 253402300799

const struct json *json_find(const struct json *v, const char *key)
{
    if (!v || v->type != JSON_OBJECT) {
        return NULL;
    }
    struct slice wanted = slice_text(key);
    for (const struct json *m = v->child; m; m = m->next) {
        if (slice_equal(m->key, wanted)) {
            return m;
        }
    }
    return NULL;
}

const struct json *json_at(const struct json *v, size_t index)
{
    if (!v || v->type != JSON_ARRAY || index >= v->count) {
        return NULL;
    }
    const struct json *element = v->child;
    while (index > 0) {
        element = element->next;
        index--;
    }
    return element;
}

static const char *type_phrase(enum json_type type)
{
    switch (type) {
    case JSON_NULL:
        return "null";
    case JSON_FALSE:
        return "false";
    case JSON_TRUE:
        return "true";
    case JSON_NUMBER:
        return "a number";
    case JSON_STRING:
        return "a string";
    case JSON_ARRAY:
        return "an array";
    case JSON_OBJECT:
        return "an object";
    }
    return "a value";
}

static enum err refuse_type(const char *key, const char *expected, enum json_type found,
                            struct why *why)
{
    return why_set(why, ERR_INVALID_TYPE, key, "%s must be %s, not %s.", key, expected,
                   type_phrase(found));
}

/* Returns the member, or NULL with the error to return. */
static const struct json *get_member(const struct json *object, const char *key, enum err *out_err,
                                     struct why *why)
{
    if (object == NULL || object->type != JSON_OBJECT) {
        *out_err = why_set(why, ERR_INVALID_TYPE, NULL, "An object with %s is needed, not %s.", key,
                           object == NULL ? "nothing" : type_phrase(object->type));
        return NULL;
    }
    const struct json *member = json_find(object, key);
    if (!member) {
        *out_err = why_set(why, ERR_MISSING_FIELD, key, "%s is missing.", key);
    }
    return member;
}

enum err json_get(const struct json *object, const char *key, enum json_type type,
                  const struct json **out, struct why *why)
{
    enum err e;
    const struct json *member = get_member(object, key, &e, why);
    if (!member) {
        return e;
    }
    if (member->type != type) {
        return refuse_type(key, type_phrase(type), member->type, why);
    }
    *out = member;
    return OK;
}

enum err json_get_text(const struct json *object, const char *key, struct slice *out,
                       struct why *why)
{
    enum err e;
    const struct json *member = get_member(object, key, &e, why);
    if (!member) {
        return e;
    }
    if (member->type != JSON_STRING) {
        return refuse_type(key, type_phrase(JSON_STRING), member->type, why);
    }
    *out = member->text;
    return OK;
}

enum err json_get_bool(const struct json *object, const char *key, bool *out, struct why *why)
{
    enum err e;
    const struct json *member = get_member(object, key, &e, why);
    if (!member) {
        return e;
    }
    if (member->type != JSON_TRUE && member->type != JSON_FALSE) {
        return refuse_type(key, "true or false", member->type, why);
    }
    *out = member->type == JSON_TRUE;
    return OK;
}

static enum err get_digits(const struct json *object, const char *key, struct slice *out,
                           struct why *why)
{
    enum err e;
    const struct json *member = get_member(object, key, &e, why);
    if (!member) {
        return e;
    }
    if (member->type != JSON_NUMBER && member->type != JSON_STRING) {
        return refuse_type(key, "a whole number or a string of digits", member->type, why);
    }
    *out = member->text;
    return OK;
}

static enum err explain_number(enum err e, const char *key, const char *most, struct why *why)
{
    if (e == ERR_AMOUNT_OVERFLOW) {
        return why_set(why, e, key, "%s must be at most %s.", key, most);
    }
    return why_set(why, e, key,
                   "%s must be a whole number of digits only: no sign, fraction, exponent or "
                   "blank.",
                   key);
}

enum err json_get_u64(const struct json *object, const char *key, uint64_t *out, struct why *why)
{
    struct slice digits = SLICE_EMPTY;
    enum err e = get_digits(object, key, &digits, why);
    if (e) {
        return e;
    }
    e = slice_parse_u64(digits, out);
    return e ? explain_number(e, key, "18446744073709551615", why) : OK;
}

enum err json_get_u256(const struct json *object, const char *key, struct u256 *out,
                       struct why *why)
{
    struct slice digits = SLICE_EMPTY;
    enum err e = get_digits(object, key, &digits, why);
    if (e) {
        return e;
    }
    e = u256_parse(digits, out);
    return e ? explain_number(e, key, "2^256 - 1", why) : OK;
}

enum err json_get_time(const struct json *object, const char *key, int64_t *out_usec,
                       struct why *why)
{
    enum err e;
    const struct json *member = get_member(object, key, &e, why);
    if (!member) {
        return e;
    }
    if (member->type == JSON_STRING) {
        e = clock_parse(member->text, out_usec);
        return e ? why_set(why, e, key, "%s must be a time such as 2026-11-22T05:20:40Z.", key)
                 : OK;
    }
    if (member->type != JSON_NUMBER) {
        return refuse_type(key, "a time in RFC 3339 form or Unix seconds", member->type, why);
    }
    uint64_t seconds;
    if (slice_parse_u64(member->text, &seconds) || seconds > UNIX_SEC_MAX) {
        return why_set(why, ERR_INVALID_TIME, key,
                       "%s must be whole Unix seconds between 0 and %lld (not milliseconds).", key,
                       (long long)UNIX_SEC_MAX);
    }
    *out_usec = (int64_t)seconds * USEC_PER_SEC;
    return OK;
}

static bool is_listed(struct slice key, const char *const *keys)
{
    for (; *keys; keys++) {
        if (slice_equal_text(key, *keys)) {
            return true;
        }
    }
    return false;
}

enum err json_only(const struct json *object, const char *const *keys, struct why *why)
{
    if (object->type != JSON_OBJECT) {
        return why_set(why, ERR_INVALID_TYPE, NULL, "An object is needed, not %s.",
                       type_phrase(object->type));
    }
    for (const struct json *m = object->child; m; m = m->next) {
        if (!is_listed(m->key, keys)) {
            char field[WHY_FIELD_MAX];
            snprintf(field, sizeof(field), "%.*s", SLICE_ARG(slice_sub(m->key, 0, 64)));
            return why_set(why, ERR_UNKNOWN_FIELD, field, "%s is not a known field.", field);
        }
    }
    return OK;
}
