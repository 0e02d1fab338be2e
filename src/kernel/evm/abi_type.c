#include "kernel/base/check.h"
#include "kernel/evm/abi_word.h"

#define TYPE_TEXT_MAX 16384

bool abi_is_dynamic(const struct abi_type *type)
{
    switch (type->kind) {
    case ABI_UINT:
    case ABI_INT:
    case ABI_BOOL:
    case ABI_ADDRESS:
    case ABI_FIXED_BYTES:
        return false;
    case ABI_BYTES:
    case ABI_STRING:
    case ABI_LIST:
        return true;
    case ABI_ARRAY:
        return abi_is_dynamic(type->items);
    case ABI_TUPLE:
        break;
    }
    for (size_t i = 0; i < type->count; i++) {
        if (abi_is_dynamic(&type->items[i])) {
            return true;
        }
    }
    return false;
}

void abi_type_format(struct buf *out, const struct abi_type *type)
{
    switch (type->kind) {
    case ABI_UINT:
        buf_format(out, "uint%u", (unsigned)type->size);
        break;
    case ABI_INT:
        buf_format(out, "int%u", (unsigned)type->size);
        break;
    case ABI_BOOL:
        buf_add_text(out, "bool");
        break;
    case ABI_ADDRESS:
        buf_add_text(out, "address");
        break;
    case ABI_FIXED_BYTES:
        buf_format(out, "bytes%u", (unsigned)type->size);
        break;
    case ABI_BYTES:
        buf_add_text(out, "bytes");
        break;
    case ABI_STRING:
        buf_add_text(out, "string");
        break;
    case ABI_ARRAY:
        abi_type_format(out, type->items);
        buf_format(out, "[%u]", (unsigned)type->size);
        break;
    case ABI_LIST:
        abi_type_format(out, type->items);
        buf_add_text(out, "[]");
        break;
    case ABI_TUPLE:
        buf_add_byte(out, '(');
        for (size_t i = 0; i < type->count; i++) {
            if (i > 0) {
                buf_add_byte(out, ',');
            }
            abi_type_format(out, &type->items[i]);
        }
        buf_add_byte(out, ')');
        break;
    }
}

/* ---- parsing ---- */

struct parser {
    struct arena *arena;
    struct why *why;
    struct slice rest;
};

struct component {
    struct abi_type type;
    struct component *next;
};

static enum err refuse(struct parser *p, const char *sentence)
{
    return why_set(p->why, ERR_INVALID_ENCODING, NULL, "Not an ABI type: %s.", sentence);
}

static bool at(const struct parser *p, uint8_t byte)
{
    return p->rest.len > 0 && p->rest.ptr[0] == byte;
}

static struct slice take(struct parser *p, size_t len)
{
    struct slice taken = slice_sub(p->rest, 0, len);
    p->rest = slice_of(p->rest.ptr + taken.len, p->rest.len - taken.len);
    return taken;
}

static void skip_blanks(struct parser *p)
{
    while (at(p, ' ')) {
        (void)take(p, 1);
    }
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

/* word takes an identifier, empty when there is none. */
static struct slice word(struct parser *p)
{
    size_t len = 0;
    while (len < p->rest.len &&
           (is_name_start(p->rest.ptr[len]) || (len > 0 && is_digit(p->rest.ptr[len])))) {
        len++;
    }
    return take(p, len);
}

/* number reads a decimal of up to five digits without leading zeros; 0 when it is none. */
static uint32_t number(struct slice digits)
{
    uint32_t value = 0;
    if (digits.len == 0 || digits.len > 5 || digits.ptr[0] == '0') {
        return 0;
    }
    for (size_t i = 0; i < digits.len; i++) {
        if (!is_digit(digits.ptr[i])) {
            return 0;
        }
        value = value * 10 + (uint32_t)(digits.ptr[i] - '0');
    }
    return value;
}

static enum err sized_parse(struct parser *p, struct slice name, struct abi_type *out)
{
    static const struct {
        const char *prefix;
        enum abi_kind kind;
        uint32_t step, max;
    } sized[] = {
        {"uint", ABI_UINT, 8, 256}, {"int", ABI_INT, 8, 256}, {"bytes", ABI_FIXED_BYTES, 1, 32}};
    for (size_t i = 0; i < sizeof(sized) / sizeof(sized[0]); i++) {
        struct slice prefix = slice_text(sized[i].prefix);
        if (!slice_starts(name, prefix)) {
            continue;
        }
        uint32_t size = number(slice_sub(name, prefix.len, name.len));
        if (size != 0 && size % sized[i].step == 0 && size <= sized[i].max) {
            *out = (struct abi_type){.kind = sized[i].kind, .size = (uint16_t)size, .name = ""};
            return OK;
        }
    }
    return refuse(p, "there is no such elementary type (aliases such as uint are not canonical)");
}

static enum err elementary_parse(struct parser *p, struct abi_type *out)
{
    static const struct {
        const char *name;
        enum abi_kind kind;
    } plain[] = {
        {"bool", ABI_BOOL}, {"address", ABI_ADDRESS}, {"bytes", ABI_BYTES}, {"string", ABI_STRING}};
    struct slice name = word(p);
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (slice_equal_text(name, plain[i].name)) {
            *out = (struct abi_type){.kind = plain[i].kind, .name = ""};
            return OK;
        }
    }
    return sized_parse(p, name, out);
}

static enum err type_parse(struct parser *p, unsigned depth, struct abi_type *out);

/* component_parse reads a type and its optional name. */
static enum err component_parse(struct parser *p, unsigned depth, struct abi_type *out)
{
    skip_blanks(p);
    enum err e = type_parse(p, depth, out);
    if (e != OK) {
        return e;
    }
    if (at(p, ' ')) {
        skip_blanks(p);
        out->name = slice_cstr(p->arena, word(p));
        skip_blanks(p);
    }
    return OK;
}

/* components_join turns the list of parsed components into the array of a tuple. */
static void components_join(struct parser *p, const struct component *first, uint16_t count,
                            struct abi_type *out)
{
    struct abi_type *items = arena_alloc_array(p->arena, count, sizeof(*items));
    uint16_t i = 0;
    for (const struct component *c = first; c != NULL; c = c->next) {
        items[i++] = c->type;
    }
    *out = (struct abi_type){.kind = ABI_TUPLE, .count = count, .items = items, .name = ""};
}

/* Only the outermost tuple may be empty: a list of empty tuples would have no size. */
static enum err tuple_parse(struct parser *p, unsigned depth, struct abi_type *out)
{
    struct component *first = NULL, **end = &first;
    uint16_t count = 0;
    (void)take(p, 1);
    if (at(p, ')') && depth == 0) {
        (void)take(p, 1);
        *out = (struct abi_type){.kind = ABI_TUPLE, .name = ""};
        return OK;
    }
    for (;;) {
        struct component *c = arena_alloc(p->arena, sizeof(*c));
        enum err e = component_parse(p, depth + 1, &c->type);
        if (e != OK) {
            return e;
        }
        *end = c;
        end = &c->next;
        count++; /* cannot wrap: TYPE_TEXT_MAX holds fewer components */
        if (at(p, ')')) {
            break;
        }
        if (!at(p, ',')) {
            return refuse(p, "a tuple needs a comma or a closing parenthesis");
        }
        (void)take(p, 1);
    }
    (void)take(p, 1);
    components_join(p, first, count, out);
    return OK;
}

/* suffix_parse wraps `type` into the arrays that follow it, innermost first. */
static enum err suffix_parse(struct parser *p, unsigned depth, struct abi_type *type)
{
    while (at(p, '[')) {
        if (++depth > ABI_DEPTH_MAX) {
            return refuse(p, "it is nested too deeply");
        }
        if (type->kind == ABI_TUPLE && type->count == 0) {
            return refuse(p, "an empty tuple has no size");
        }
        ptrdiff_t close = slice_find(p->rest, ']');
        if (close < 0) {
            return refuse(p, "a bracket is not closed");
        }
        struct slice digits = slice_sub(take(p, (size_t)close + 1), 1, (size_t)close - 1);
        uint32_t size = number(digits);
        if (digits.len > 0 && (size == 0 || size > UINT16_MAX)) {
            return refuse(p, "an array's length must be from 1 to 65535");
        }
        struct abi_type *element = arena_alloc(p->arena, sizeof(*element));
        *element = *type;
        *type = (struct abi_type){.kind = digits.len == 0 ? ABI_LIST : ABI_ARRAY,
                                  .size = (uint16_t)size,
                                  .count = 1,
                                  .items = element,
                                  .name = ""};
    }
    return OK;
}

static unsigned type_depth(const struct abi_type *type)
{
    unsigned deepest = 0;
    if (type->kind == ABI_TUPLE || type->kind == ABI_ARRAY || type->kind == ABI_LIST) {
        for (size_t i = 0; i < type->count; i++) {
            unsigned below = type_depth(&type->items[i]);
            deepest = below > deepest ? below : deepest;
        }
        deepest++;
    }
    return deepest;
}

static enum err type_parse(struct parser *p, unsigned depth, struct abi_type *out)
{
    if (depth > ABI_DEPTH_MAX) {
        return refuse(p, "it is nested too deeply");
    }
    enum err e = at(p, '(') ? tuple_parse(p, depth, out) : elementary_parse(p, out);
    return e == OK ? suffix_parse(p, depth, out) : e;
}

enum err abi_type_parse(struct arena *arena, struct slice text, const struct abi_type **out,
                        struct why *why)
{
    struct parser p = {.arena = arena, .why = why, .rest = text};
    struct abi_type type = {0};
    if (text.len > TYPE_TEXT_MAX) {
        return refuse(&p, "the text is too long");
    }
    enum err e = component_parse(&p, 0, &type);
    if (e == OK && p.rest.len > 0) {
        e = refuse(&p, "something follows the type");
    }
    if (e == OK && type_depth(&type) > ABI_DEPTH_MAX) {
        e = refuse(&p, "it is nested too deeply");
    }
    if (e == OK) {
        struct abi_type *kept = arena_alloc(arena, sizeof(*kept));
        *kept = type;
        *out = kept;
    }
    return e;
}
