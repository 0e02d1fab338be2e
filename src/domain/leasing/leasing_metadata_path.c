#include "domain/leasing/leasing_metadata_path.h"

#include "kernel/base/hex.h"
#include "kernel/base/mem.h"

#define ESCAPE 'Z'

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* The value of a lower-case hex digit, or -1. */
static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint8_t byte_at(struct slice s, size_t i)
{
    return i < s.len ? s.ptr[i] : 0;
}

/* Whether a reader that finds the escape letter at `i` would take it for an escape. */
static bool starts_escape(struct slice s, size_t i)
{
    return byte_at(s, i + 1) == 'z' ||
           (hex_value(byte_at(s, i + 1)) >= 0 && hex_value(byte_at(s, i + 2)) >= 0);
}

/* A lone underscore within a name stands for itself; any other could be taken for a separator. */
static bool is_lone_underscore(struct slice s, size_t i)
{
    return i > 0 && i + 1 < s.len && s.ptr[i - 1] != '_' && s.ptr[i + 1] != '_';
}

static bool is_literal(struct slice name, size_t i)
{
    uint8_t c = name.ptr[i];
    if (c == ESCAPE) {
        return !starts_escape(name, i);
    }
    return c == '_' ? is_lone_underscore(name, i) : is_alnum(c);
}

void leasing_path_add_name(struct buf *key, struct slice name, bool first)
{
    if (!first) {
        buf_add_text(key, "__");
    }
    if (name.len == 0) {
        buf_add_text(key, "Zz");
    }
    for (size_t i = 0; i < name.len; i++) {
        if (is_literal(name, i)) {
            buf_add_byte(key, name.ptr[i]);
        } else {
            buf_format(key, "%c%02x", ESCAPE, name.ptr[i]);
        }
    }
}

void leasing_path_add_index(struct buf *key, size_t index)
{
    buf_format(key, "___%zu", index);
}

/* Reads one name up to a double underscore or the end, without caring how it was written. */
static struct slice read_name(struct arena *arena, struct slice text, size_t *at)
{
    struct buf name;
    buf_init(&name, arena, text.len);
    size_t i = *at;
    while (i < text.len && !(text.ptr[i] == '_' && byte_at(text, i + 1) == '_')) {
        uint8_t c = text.ptr[i];
        if (c != ESCAPE || !starts_escape(text, i)) {
            buf_add_byte(&name, c);
            i++;
        } else if (text.ptr[i + 1] == 'z') {
            i += 2;
        } else {
            buf_add_byte(&name,
                         (uint8_t)(hex_value(text.ptr[i + 1]) * 16 + hex_value(text.ptr[i + 2])));
            i += 3;
        }
    }
    *at = i;
    return buf_slice(&name);
}

static bool read_index(struct slice digits, struct leasing_path *out)
{
    uint64_t index;
    if (digits.len > 3 || slice_parse_u64(digits, &index) != OK ||
        index >= LEASING_PATH_INDEX_MAX) {
        return false;
    }
    out->is_element = true;
    out->index = (uint32_t)index;
    return true;
}

/* What encoding would have written: many texts read as the same path, one is right. */
static bool is_canonical(struct arena *arena, struct slice text, const struct leasing_path *path)
{
    struct buf again;
    buf_init(&again, arena, text.len);
    for (size_t i = 0; i < path->count; i++) {
        if (!slice_is_utf8(path->names[i])) {
            return false;
        }
        leasing_path_add_name(&again, path->names[i], i == 0);
    }
    if (path->is_element) {
        leasing_path_add_index(&again, path->index);
    }
    return slice_equal(buf_slice(&again), text);
}

bool leasing_path_decode(struct arena *arena, struct slice text, struct leasing_path *out)
{
    *out = (struct leasing_path){.count = 0};
    if (text.len > LEASING_KEY_MAX) {
        return false;
    }
    size_t at = 0;
    for (bool more = true; more;) {
        if (out->count == LEASING_PATH_NAMES_MAX) {
            return false;
        }
        out->names[out->count++] = read_name(arena, text, &at);
        more = at < text.len;
        if (more && byte_at(text, at + 2) == '_') {
            if (!read_index(slice_sub(text, at + 3, text.len), out)) {
                return false;
            }
            more = false;
        }
        at += 2;
    }
    return is_canonical(arena, text, out);
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool may_start_json(struct slice text)
{
    struct slice t = slice_trim(text);
    return t.len > 0 && memchr("{[\"-0123456789tfn", t.ptr[0], 17) != NULL;
}

/* Whether a reader could take the text for JSON; what is too deep or too odd to tell counts. */
static bool looks_like_json(struct arena *arena, struct slice text)
{
    struct json_limits lenient = json_limits_body;
    lenient.allow_duplicate_keys = true;
    const struct json *v;
    return may_start_json(text) &&
           (text.ptr[0] == '"' || json_parse(arena, text, &lenient, &v, NULL) != ERR_INVALID_JSON);
}

enum err leasing_value_encode(struct arena *arena, const struct json *value, struct slice *out,
                              struct why *why)
{
    if (value->type == JSON_STRING && value->text.len > 0 && slice_find(value->text, '\0') < 0 &&
        !looks_like_json(arena, value->text)) {
        *out = value->text;
        return OK;
    }
    struct buf text;
    buf_init(&text, arena, 64);
    enum err e = json_canonical(&text, value, why);
    if (e == OK) {
        *out = buf_slice(&text);
    }
    return e;
}

const struct json *leasing_value_string(struct arena *arena, struct slice bytes)
{
    struct json *v = arena_alloc(arena, sizeof *v);
    v->type = JSON_STRING;
    v->text = slice_is_utf8(bytes) ? bytes : hex_encode(arena, bytes);
    return v;
}

const struct json *leasing_value_decode(struct arena *arena, struct slice text, uint32_t depth_max)
{
    struct json_limits limits = json_limits_body;
    limits.depth_max = depth_max;
    const struct json *v = NULL;
    struct buf canonical;
    buf_init(&canonical, arena, text.len);
    if (may_start_json(text) && json_parse(arena, text, &limits, &v, NULL) == OK &&
        json_canonical(&canonical, v, NULL) == OK && slice_equal(buf_slice(&canonical), text)) {
        return v;
    }
    return leasing_value_string(arena, text);
}
