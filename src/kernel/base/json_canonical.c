/*
 * RFC 8785: the tree as JavaScript would print it after JSON.parse, with keys sorted. Numbers
 * become doubles there, so big integers lose digits here too, on purpose: both sides must hash
 * the same bytes. This is the one file of the program that computes with floating point.
 */
#include "kernel/base/json.h"

#include <float.h>
#include <math.h>

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

/* Digits that name any double uniquely. */
#define DIGITS_MAX 17
/* ECMAScript writes integers up to this many digits without an exponent. */
#define PLAIN_DIGITS_MAX 21

/* The value 0.d1d2d3… * 10^point, without zeros at the end. */
struct decimal {
    char digits[DIGITS_MAX + 1];
    int count;
    int point;
};

/* ---- numbers --------------------------------------------------------------------------------- */

static double to_double(const struct decimal *d)
{
    char text[DIGITS_MAX + 16];
    snprintf(text, sizeof(text), "0.%se%d", d->digits, d->point);
    return strtod(text, NULL);
}

static void drop_trailing_zeros(struct decimal *d)
{
    while (d->count > 1 && d->digits[d->count - 1] == '0') {
        d->count--;
    }
    d->digits[d->count] = '\0';
}

/* The decimal of `count` digits that is nearest to `value`. */
static struct decimal nearest_decimal(double value, int count)
{
    char text[DIGITS_MAX + 16];
    snprintf(text, sizeof(text), "%.*e", count - 1, value);
    const char *exponent = strchr(text, 'e');
    ASSERT(exponent != NULL);
    struct decimal d = {.count = count, .point = (int)strtol(exponent + 1, NULL, 10) + 1};
    d.digits[0] = text[0];
    if (count > 1) {
        memcpy(d.digits + 1, text + 2, (size_t)count - 1);
    }
    return d;
}

/* The next larger decimal of as many digits. */
static struct decimal next_decimal(struct decimal d)
{
    int i = d.count - 1;
    while (i >= 0 && d.digits[i] == '9') {
        d.digits[i] = '0';
        i--;
    }
    if (i < 0) {
        d.digits[0] = '1';
        d.point++;
    } else {
        d.digits[i]++;
    }
    return d;
}

/*
 * The shortest decimal that reads back as `value`, the nearest of several. Up to DBL_DIG digits
 * survive the way through a normal double, so a shorter answer shows as zeros at the end of the
 * first try. Below a power of two doubles are denser than above it: there the nearest decimal may
 * fall short while its upper neighbour does not.
 */
static struct decimal shortest_decimal(double value)
{
    struct decimal d;
    bool found = false;
    for (int count = value < DBL_MIN ? 1 : DBL_DIG; !found; count++) {
        ASSERT(count <= DIGITS_MAX);
        d = nearest_decimal(value, count);
        double back = to_double(&d);
        found = back == value;
        if (back < value && !found) {
            struct decimal above = next_decimal(d);
            found = to_double(&above) == value;
            d = found ? above : d;
        }
    }
    drop_trailing_zeros(&d);
    return d;
}

static void add_zeros(struct buf *out, int count)
{
    for (int i = 0; i < count; i++) {
        buf_add_byte(out, '0');
    }
}

/* Number::toString of ECMAScript, steps 6 to 10. */
static void add_decimal(struct buf *out, const struct decimal *d)
{
    size_t count = (size_t)d->count;
    if (d->point >= d->count && d->point <= PLAIN_DIGITS_MAX) {
        buf_add(out, d->digits, count);
        add_zeros(out, d->point - d->count);
    } else if (d->point > 0 && d->point < d->count) {
        size_t whole = (size_t)d->point;
        buf_add(out, d->digits, whole);
        buf_add_byte(out, '.');
        buf_add(out, d->digits + whole, count - whole);
    } else if (d->point > -6 && d->point <= 0) {
        buf_add_text(out, "0.");
        add_zeros(out, -d->point);
        buf_add(out, d->digits, count);
    } else {
        buf_add(out, d->digits, 1);
        if (count > 1) {
            buf_add_byte(out, '.');
            buf_add(out, d->digits + 1, count - 1);
        }
        buf_format(out, "e%+d", d->point - 1);
    }
}

static enum err add_number(struct buf *out, struct slice text, struct why *why)
{
    double value = strtod(slice_cstr(out->arena, text), NULL);
    if (isinf(value)) {
        struct slice shown = slice_sub(text, 0, 64);
        return why_set(why, ERR_INVALID_JSON, NULL,
                       "The number %.*s is beyond the range of a double.", SLICE_ARG(shown));
    }
    if (value == 0) {
        buf_add_byte(out, '0');
        return OK;
    }
    if (value < 0) {
        buf_add_byte(out, '-');
        value = -value;
    }
    struct decimal d = shortest_decimal(value);
    add_decimal(out, &d);
    return OK;
}

/* ---- objects --------------------------------------------------------------------------------- */

/*
 * UTF-8 sorts like code points; UTF-16 puts the surrogates of U+10000 and above (lead bytes F0 to
 * F4) before U+E000 to U+FFFF (lead bytes EE and EF), which are lifted over them here. Two keys
 * first differ either in a lead byte or behind equal ones, so bytes can be compared one by one.
 */
static int utf16_rank(uint8_t byte)
{
    return byte == 0xEE || byte == 0xEF ? byte + 0x10 : byte;
}

static int compare_keys(const void *left, const void *right)
{
    struct slice a = (*(const struct json *const *)left)->key;
    struct slice b = (*(const struct json *const *)right)->key;
    size_t common = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < common; i++) {
        if (a.ptr[i] != b.ptr[i]) {
            return utf16_rank(a.ptr[i]) - utf16_rank(b.ptr[i]);
        }
    }
    return (a.len > b.len) - (a.len < b.len);
}

static enum err add_value(struct buf *out, const struct json *v, struct why *why);

static enum err add_members(struct buf *out, const struct json *v, struct why *why)
{
    const struct json **members =
        (const struct json **)arena_alloc_array(out->arena, v->count, sizeof(*members));
    size_t count = 0;
    for (const struct json *m = v->child; m; m = m->next) {
        members[count++] = m;
    }
    qsort(members, count, sizeof(*members), compare_keys);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && slice_equal(members[i]->key, members[i - 1]->key)) {
            return why_set(why, ERR_INVALID_JSON, NULL,
                           "An object with a key twice has no canonical form.");
        }
        if (i > 0) {
            buf_add_byte(out, ',');
        }
        json_escape(out, members[i]->key);
        buf_add_byte(out, ':');
        enum err e = add_value(out, members[i], why);
        if (e) {
            return e;
        }
    }
    return OK;
}

static enum err add_elements(struct buf *out, const struct json *v, struct why *why)
{
    for (const struct json *c = v->child; c; c = c->next) {
        if (c != v->child) {
            buf_add_byte(out, ',');
        }
        enum err e = add_value(out, c, why);
        if (e) {
            return e;
        }
    }
    return OK;
}

/* Recursion is as deep as the tree, which json_parse has limited to JSON_DEPTH_MAX. */
static enum err add_value(struct buf *out, const struct json *v, struct why *why)
{
    enum err e = OK;
    switch (v->type) {
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE:
    case JSON_STRING:
        json_write(out, v);
        break;
    case JSON_NUMBER:
        e = add_number(out, v->text, why);
        break;
    case JSON_ARRAY:
        buf_add_byte(out, '[');
        e = add_elements(out, v, why);
        buf_add_byte(out, ']');
        break;
    case JSON_OBJECT:
        buf_add_byte(out, '{');
        e = add_members(out, v, why);
        buf_add_byte(out, '}');
        break;
    }
    return e;
}

enum err json_canonical(struct buf *out, const struct json *v, struct why *why)
{
    size_t len = out->len;
    enum err e = add_value(out, v, why);
    if (e) {
        out->len = len;
    }
    return e;
}
