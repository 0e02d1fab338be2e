/*
 * Three properties of JSON reading:
 *   - a verdict equals that of the validator below, which shares no code with the reader;
 *   - what was read, written and read again is the same tree, and so is its canonical form;
 *   - duplicate keys change the verdict only to a refusal.
 */
#include "kernel/base/json.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define DEPTH_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_limits limits = {
    .bytes_max = 1 << 20, .depth_max = DEPTH_MAX, .nodes_max = 1 << 20};

/* ---- a validator by recursive descent over single bytes ---------------------------------------
 */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    unsigned depth;
    bool too_deep;
};

static bool value(struct cursor *c);

static uint8_t peek(const struct cursor *c)
{
    return c->at < c->end ? *c->at : 0;
}

static bool take(struct cursor *c, uint8_t byte)
{
    if (c->at == c->end || *c->at != byte) {
        return false;
    }
    c->at++;
    return true;
}

static void blanks(struct cursor *c)
{
    while (take(c, ' ') || take(c, '\t') || take(c, '\n') || take(c, '\r')) {
    }
}

static bool word(struct cursor *c, const char *text)
{
    for (; *text; text++) {
        if (!take(c, (uint8_t)*text)) {
            return false;
        }
    }
    return true;
}

static bool digits(struct cursor *c)
{
    const uint8_t *start = c->at;
    while (peek(c) >= '0' && peek(c) <= '9') {
        c->at++;
    }
    return c->at > start;
}

static bool number(struct cursor *c)
{
    take(c, '-');
    if (!take(c, '0') && !digits(c)) {
        return false;
    }
    if (take(c, '.') && !digits(c)) {
        return false;
    }
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+')) {
            take(c, '-');
        }
        return digits(c);
    }
    return true;
}

static bool hex4(struct cursor *c, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        const char *found = peek(c) ? strchr("0123456789abcdefABCDEF", peek(c)) : NULL;
        if (!found) {
            return false;
        }
        unsigned digit = (unsigned)(found - strchr("0123456789abcdefABCDEF", '0'));
        *out = *out * 16 + (digit > 15 ? digit - 6 : digit);
        c->at++;
    }
    return true;
}

static bool escape(struct cursor *c)
{
    unsigned high;
    unsigned low;
    if (!take(c, 'u')) {
        return peek(c) && strchr("\"\\/bfnrt", peek(c)) && c->at++;
    }
    if (!hex4(c, &high)) {
        return false;
    }
    if (high < 0xD800 || high > 0xDFFF) {
        return true;
    }
    return high < 0xDC00 && word(c, "\\u") && hex4(c, &low) && low >= 0xDC00 && low <= 0xDFFF;
}

static bool string(struct cursor *c)
{
    if (!take(c, '"')) {
        return false;
    }
    while (!take(c, '"')) {
        if (c->at == c->end || *c->at < 0x20) {
            return false;
        }
        if (take(c, '\\')) {
            if (!escape(c)) {
                return false;
            }
        } else {
            c->at++;
        }
    }
    return true;
}

static bool member(struct cursor *c)
{
    blanks(c);
    if (!string(c)) {
        return false;
    }
    blanks(c);
    return take(c, ':') && value(c);
}

static bool list(struct cursor *c, uint8_t close, bool (*item)(struct cursor *))
{
    c->at++;
    blanks(c);
    if (take(c, close)) {
        return true;
    }
    do {
        if (!item(c)) {
            return false;
        }
    } while (take(c, ','));
    return take(c, close);
}

static bool value(struct cursor *c)
{
    blanks(c);
    bool valid = false;
    uint8_t first = peek(c);
    if (first == '{' || first == '[') {
        if (c->depth == DEPTH_MAX) {
            c->too_deep = true;
            return false;
        }
        c->depth++;
        valid = first == '{' ? list(c, '}', member) : list(c, ']', value);
        c->depth--;
    } else if (first == '"') {
        valid = string(c);
    } else if (first == 't') {
        valid = word(c, "true");
    } else if (first == 'f') {
        valid = word(c, "false");
    } else if (first == 'n') {
        valid = word(c, "null");
    } else {
        valid = number(c);
    }
    blanks(c);
    return valid;
}

/* OK, ERR_INVALID_JSON, or ERR_LIMIT for what is nested too deep before it is malformed. */
static enum err judge(const uint8_t *data, size_t size)
{
    struct cursor c = {.at = data, .end = data + size};
    bool valid = value(&c) && c.at == c.end;
    if (!slice_is_utf8(slice_of(data, size))) {
        return ERR_INVALID_JSON;
    }
    if (c.too_deep) {
        return ERR_LIMIT;
    }
    return valid ? OK : ERR_INVALID_JSON;
}

/* ---- the target ------------------------------------------------------------------------------ */

static bool equal(const struct json *a, const struct json *b)
{
    if (a->type != b->type || a->count != b->count || !slice_equal(a->key, b->key) ||
        !slice_equal(a->text, b->text)) {
        return false;
    }
    const struct json *x = a->child;
    const struct json *y = b->child;
    for (; x && y; x = x->next, y = y->next) {
        if (!equal(x, y)) {
            return false;
        }
    }
    return !x && !y;
}

static void check_round_trip(struct arena *arena, const struct json *v,
                             const struct json_limits *used)
{
    struct buf text;
    const struct json *again = NULL;
    buf_init(&text, arena, 0);
    json_write(&text, v);
    enum err e = json_parse(arena, buf_slice(&text), used, &again, NULL);
    ASSERT(e == OK);
    ASSERT(equal(v, again));
}

static void check_canonical(struct arena *arena, const struct json *v)
{
    struct buf once;
    struct buf twice;
    const struct json *again = NULL;
    buf_init(&once, arena, 0);
    buf_init(&twice, arena, 0);
    if (json_canonical(&once, v, NULL)) {
        ASSERT(once.len == 0);
        return;
    }
    enum err e = json_parse(arena, buf_slice(&once), &limits, &again, NULL);
    ASSERT(e == OK);
    e = json_canonical(&twice, again, NULL);
    ASSERT(e == OK);
    ASSERT(slice_equal(buf_slice(&once), buf_slice(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct json_limits lenient = limits;
    lenient.allow_duplicate_keys = true;
    struct why why = {.err = OK};
    const struct json *v = NULL;

    enum err expected = judge(data, size);
    enum err e = json_parse(&arena, slice_of(data, size), &lenient, &v, &why);
    /* A text can be both too deep and malformed; which is seen first is not promised. */
    ASSERT(e == expected || (e != OK && expected == ERR_LIMIT));
    ASSERT((e == OK) == (why.err == OK) && (e == OK) == (v != NULL));
    if (!e) {
        check_round_trip(&arena, v, &lenient);
    }

    const struct json *strict = NULL;
    enum err e_strict = json_parse(&arena, slice_of(data, size), &limits, &strict, &why);
    ASSERT(e_strict == e || e_strict == ERR_INVALID_JSON);
    if (!e_strict) {
        ASSERT(equal(v, strict));
        check_canonical(&arena, strict);
    }
    arena_free(&arena);
    return 0;
}
