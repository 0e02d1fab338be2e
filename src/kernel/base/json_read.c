#include "kernel/base/json.h"

#include "kernel/base/check.h"
#include "kernel/base/json_simdjson.h"
#include "kernel/base/mem.h"
#include "kernel/base/rand.h"

/* Objects up to this size are searched for duplicates pairwise: faster than any table. */
#define PAIRWISE_MAX 16

const struct json_limits json_limits_body = {
    .bytes_max = (size_t)1 << 20, .depth_max = 32, .nodes_max = 100000};
const struct json_limits json_limits_node = {
    .bytes_max = (size_t)256 << 20, .depth_max = 64, .nodes_max = 40000000};

/* An array or object whose end has not been seen. */
struct open_node {
    struct json *node;
    struct json *last;
};

/* What the grammar allows at the next token. */
enum state {
    AT_VALUE,
    AT_VALUE_OR_END, /* right after '[' */
    AT_KEY,
    AT_KEY_OR_END, /* right after '{' */
    AT_COMMA_OR_END,
    AT_END_OF_TEXT,
};

struct reader {
    uint8_t *text; /* our padded copy: strings are unescaped in place and stay here */
    size_t len;
    const uint32_t *at; /* where tokens begin */
    size_t count;
    size_t index; /* of the token being read */

    const struct json_limits *limits;
    struct json *nodes;
    size_t nodes_used;
    size_t nodes_cap;

    struct slice key;     /* of the value that follows */
    struct arena scratch; /* tables that find duplicate keys */
    struct why *why;

    uint32_t depth;
    struct open_node open[JSON_DEPTH_MAX]; /* `depth` are in use; last, so never cleared whole */
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The token's bytes without the blanks behind it. */
static struct slice token_at(const struct reader *r, size_t index)
{
    size_t start = r->at[index];
    size_t end = index + 1 < r->count ? r->at[index + 1] : r->len;
    while (end > start + 1 && is_blank(r->text[end - 1])) {
        end--;
    }
    return slice_of(r->text + start, end - start);
}

static enum err refuse(const struct reader *r, const char *expected)
{
    if (r->index >= r->count) {
        return why_set(r->why, ERR_INVALID_JSON, NULL, "The JSON text ends where %s was expected.",
                       expected);
    }
    return why_set(r->why, ERR_INVALID_JSON, NULL, "The JSON text needs %s at byte %u.", expected,
                   r->at[r->index]);
}

/* ---- scalars --------------------------------------------------------------------------------- */

static size_t skip_digits(struct slice s, size_t i)
{
    while (i < s.len && is_digit(s.ptr[i])) {
        i++;
    }
    return i;
}

/* number = [ "-" ] ( "0" | digit1-9 *digit ) [ "." 1*digit ] [ ("e"|"E") ["+"|"-"] 1*digit ] */
static bool number_is_valid(struct slice s)
{
    size_t i = s.ptr[0] == '-' ? 1 : 0;
    size_t end = skip_digits(s, i);
    if (end == i || (s.ptr[i] == '0' && end > i + 1)) {
        return false;
    }
    i = end;
    if (i < s.len && s.ptr[i] == '.') {
        end = skip_digits(s, i + 1);
        if (end == i + 1) {
            return false;
        }
        i = end;
    }
    if (i < s.len && (s.ptr[i] == 'e' || s.ptr[i] == 'E')) {
        i++;
        if (i < s.len && (s.ptr[i] == '+' || s.ptr[i] == '-')) {
            i++;
        }
        end = skip_digits(s, i);
        if (end == i) {
            return false;
        }
        i = end;
    }
    return i == s.len;
}

static bool read_hex4(const uint8_t *in, size_t len, uint32_t *out)
{
    if (len < 4) {
        return false;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        uint8_t c = in[i];
        uint8_t lower = c | 0x20;
        if (is_digit(c)) {
            value = value << 4 | (uint32_t)(c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            value = value << 4 | (uint32_t)(lower - 'a' + 10);
        } else {
            return false;
        }
    }
    *out = value;
    return true;
}

static size_t put_utf8(uint32_t code, uint8_t *out)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xC0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xE0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (code & 0x3F));
    return 4;
}

/* Reads the XXXX of \uXXXX, and a second escape when the first is a high surrogate. */
static bool read_unicode_escape(const uint8_t *in, size_t len, uint32_t *out_code, size_t *out_used)
{
    uint32_t code;
    if (!read_hex4(in, len, &code)) {
        return false;
    }
    *out_used = 4;
    if (code >= 0xD800 && code <= 0xDFFF) {
        uint32_t low;
        bool paired = code <= 0xDBFF && len >= 10 && in[4] == '\\' && in[5] == 'u' &&
                      read_hex4(in + 6, len - 6, &low) && low >= 0xDC00 && low <= 0xDFFF;
        if (!paired) {
            return false;
        }
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        *out_used = 10;
    }
    *out_code = code;
    return true;
}

static uint8_t simple_escape(uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default: /* not an enum */
        return 0;
    }
}

/* Unescapes `len` bytes at `text` in place, which never grows. False: a bad escape. */
static bool unescape(uint8_t *text, size_t len, size_t *out_len)
{
    size_t to = 0;
    size_t from = 0;
    while (from < len) {
        uint8_t c = text[from++];
        if (c != '\\') {
            text[to++] = c;
            continue;
        }
        if (from == len) {
            return false;
        }
        uint8_t kind = text[from++];
        if (kind == 'u') {
            uint32_t code;
            size_t used;
            if (!read_unicode_escape(text + from, len - from, &code, &used)) {
                return false;
            }
            to += put_utf8(code, text + to);
            from += used;
            continue;
        }
        uint8_t plain = simple_escape(kind);
        if (plain == 0) {
            return false;
        }
        text[to++] = plain;
    }
    *out_len = to;
    return true;
}

/* The scan has shown that the string is closed and holds neither bare controls nor bad UTF-8. */
static enum err read_string(struct reader *r, struct slice *out)
{
    struct slice token = token_at(r, r->index);
    ASSERT(token.len >= 2 && token.ptr[token.len - 1] == '"');
    uint8_t *text = r->text + r->at[r->index] + 1;
    size_t len = token.len - 2;
    if (memchr(text, '\\', len) && !unescape(text, len, &len)) {
        return why_set(r->why, ERR_INVALID_JSON, NULL,
                       "The JSON string that begins at byte %u has an invalid escape sequence.",
                       r->at[r->index]);
    }
    *out = slice_of(text, len);
    r->index++;
    return OK;
}

/* ---- duplicate keys -------------------------------------------------------------------------- */

static enum err refuse_duplicate(const struct reader *r, struct slice key)
{
    struct slice shown = slice_sub(key, 0, 64);
    return why_set(r->why, ERR_INVALID_JSON, NULL, "The JSON object has the key \"%.*s\" twice.",
                   SLICE_ARG(shown));
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Seeded, so that nobody can prepare keys that collide. */
static uint64_t hash_key(struct slice key, const uint64_t seed[2])
{
    uint64_t hash = seed[0] ^ key.len;
    size_t i = 0;
    for (; i + 8 <= key.len; i += 8) {
        uint64_t word;
        memcpy(&word, key.ptr + i, sizeof(word));
        hash = fold(hash ^ word, seed[1]);
    }
    uint64_t rest = 0;
    memcpy(&rest, key.ptr + i, key.len - i);
    return fold(fold(hash ^ rest, seed[1]), seed[0] | 1);
}

static enum err check_duplicates_hashed(struct reader *r, const struct json *object)
{
    size_t slots = 64;
    while (slots < (size_t)object->count * 2) {
        slots *= 2;
    }
    const struct json **table =
        (const struct json **)arena_alloc_array(&r->scratch, slots, sizeof(*table));
    const uint64_t seed[2] = {rand_u64(), rand_u64() | 1};
    enum err e = OK;
    for (const struct json *m = object->child; m && !e; m = m->next) {
        size_t slot = hash_key(m->key, seed) & (slots - 1);
        while (table[slot] && !slice_equal(table[slot]->key, m->key)) {
            slot = (slot + 1) & (slots - 1);
        }
        if (table[slot]) {
            e = refuse_duplicate(r, m->key);
        }
        table[slot] = m;
    }
    arena_clear(&r->scratch);
    return e;
}

static enum err check_duplicates(struct reader *r, const struct json *object)
{
    if (r->limits->allow_duplicate_keys) {
        return OK;
    }
    if (object->count > PAIRWISE_MAX) {
        return check_duplicates_hashed(r, object);
    }
    for (const struct json *a = object->child; a; a = a->next) {
        for (const struct json *b = a->next; b; b = b->next) {
            if (a->key.len == b->key.len && memcmp(a->key.ptr, b->key.ptr, a->key.len) == 0) {
                return refuse_duplicate(r, a->key);
            }
        }
    }
    return OK;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static struct json *add_node(struct reader *r, enum json_type type)
{
    ASSERT(r->nodes_used < r->nodes_cap);
    struct json *node = &r->nodes[r->nodes_used++];
    node->type = type;
    node->key = r->key;
    r->key = SLICE_EMPTY;
    if (r->depth == 0) {
        return node;
    }
    struct open_node *parent = &r->open[r->depth - 1];
    if (parent->last) {
        parent->last->next = node;
    } else {
        parent->node->child = node;
    }
    parent->last = node;
    parent->node->count++;
    return node;
}

static enum state state_after_value(const struct reader *r)
{
    return r->depth == 0 ? AT_END_OF_TEXT : AT_COMMA_OR_END;
}

static enum err open_container(struct reader *r, enum json_type type, enum state *state)
{
    if (r->depth == r->limits->depth_max) {
        return why_set(r->why, ERR_LIMIT, NULL,
                       "The JSON text is nested deeper than the allowed %u levels.",
                       r->limits->depth_max);
    }
    struct json *node = add_node(r, type);
    r->open[r->depth++] = (struct open_node){.node = node, .last = NULL};
    r->index++;
    *state = type == JSON_OBJECT ? AT_KEY_OR_END : AT_VALUE_OR_END;
    return OK;
}

static enum err close_container(struct reader *r, enum state *state)
{
    const struct json *node = r->open[r->depth - 1].node;
    if (node->type == JSON_OBJECT) {
        enum err e = check_duplicates(r, node);
        if (e) {
            return e;
        }
    }
    r->depth--;
    r->index++;
    *state = state_after_value(r);
    return OK;
}

static enum err read_literal(struct reader *r, struct slice token, const char *text,
                             enum json_type type)
{
    if (!slice_equal_text(token, text)) {
        return refuse(r, "a value");
    }
    add_node(r, type);
    r->index++;
    return OK;
}

static enum err read_number(struct reader *r, struct slice token)
{
    if (!number_is_valid(token)) {
        return refuse(r, "a value");
    }
    add_node(r, JSON_NUMBER)->text = token;
    r->index++;
    return OK;
}

static enum err read_scalar(struct reader *r, uint8_t first)
{
    struct slice text;
    enum err e;
    switch (first) {
    case '"':
        e = read_string(r, &text);
        if (!e) {
            add_node(r, JSON_STRING)->text = text;
        }
        return e;
    case 't':
        return read_literal(r, token_at(r, r->index), "true", JSON_TRUE);
    case 'f':
        return read_literal(r, token_at(r, r->index), "false", JSON_FALSE);
    case 'n':
        return read_literal(r, token_at(r, r->index), "null", JSON_NULL);
    default: /* not an enum */
        return read_number(r, token_at(r, r->index));
    }
}

static enum err read_value(struct reader *r, uint8_t first, enum state *state)
{
    if (r->index == r->count) {
        return refuse(r, "a value");
    }
    if (r->nodes_used == r->nodes_cap) {
        return why_set(r->why, ERR_INVALID_JSON, NULL, "The JSON text has a ':' out of place.");
    }
    if (first == '{') {
        return open_container(r, JSON_OBJECT, state);
    }
    if (first == '[') {
        return open_container(r, JSON_ARRAY, state);
    }
    enum err e = read_scalar(r, first);
    if (!e) {
        *state = state_after_value(r);
    }
    return e;
}

static enum err read_key(struct reader *r, uint8_t first, enum state *state)
{
    if (first != '"') {
        return refuse(r, *state == AT_KEY ? "a key in quotes" : "a key in quotes or '}'");
    }
    enum err e = read_string(r, &r->key);
    if (e) {
        return e;
    }
    if (r->index == r->count || r->text[r->at[r->index]] != ':') {
        return refuse(r, "':'");
    }
    r->index++;
    *state = AT_VALUE;
    return OK;
}

static enum err read_comma(struct reader *r, uint8_t first, enum state *state)
{
    bool in_object = r->open[r->depth - 1].node->type == JSON_OBJECT;
    if (first != ',') {
        return refuse(r, in_object ? "',' or '}'" : "',' or ']'");
    }
    r->index++;
    *state = in_object ? AT_KEY : AT_VALUE;
    return OK;
}

static enum err walk(struct reader *r)
{
    enum state state = AT_VALUE;
    enum err e = OK;
    while (!e && state != AT_END_OF_TEXT) {
        /* At the end of the text the byte is one that no token of the grammar begins with. */
        uint8_t first = r->index < r->count ? r->text[r->at[r->index]] : 0;
        switch (state) {
        case AT_VALUE_OR_END:
            e = first == ']' ? close_container(r, &state) : read_value(r, first, &state);
            break;
        case AT_VALUE:
            e = read_value(r, first, &state);
            break;
        case AT_KEY_OR_END:
            e = first == '}' ? close_container(r, &state) : read_key(r, first, &state);
            break;
        case AT_KEY:
            e = read_key(r, first, &state);
            break;
        case AT_COMMA_OR_END: {
            bool in_object = r->open[r->depth - 1].node->type == JSON_OBJECT;
            bool ends = first == (in_object ? '}' : ']');
            e = ends ? close_container(r, &state) : read_comma(r, first, &state);
            break;
        }
        case AT_END_OF_TEXT:
            break;
        }
    }
    if (!e && r->index < r->count) {
        e = refuse(r, "to end");
    }
    return e;
}

/* ---- before the walk ------------------------------------------------------------------------- */

/* Finds the byte that the scan has refused; only for the sentence, so speed does not matter. */
static size_t find_bad_byte(struct slice text, enum json_scan refusal)
{
    bool in_string = false;
    size_t opened_at = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (in_string && c < 0x20 && refusal == JSON_SCAN_CONTROL) {
            return i;
        }
        if (in_string && c == '\\') {
            i++;
        } else if (c == '"') {
            in_string = !in_string;
            opened_at = i;
        }
    }
    return opened_at;
}

static enum err refuse_scan(struct slice text, enum json_scan refusal, struct why *why)
{
    switch (refusal) {
    case JSON_SCAN_UTF8:
        return why_set(why, ERR_INVALID_JSON, NULL, "The JSON text is not valid UTF-8.");
    case JSON_SCAN_CONTROL:
        return why_set(why, ERR_INVALID_JSON, NULL,
                       "The JSON text has an unescaped control character in a string at byte %zu.",
                       find_bad_byte(text, refusal));
    case JSON_SCAN_UNCLOSED:
        return why_set(why, ERR_INVALID_JSON, NULL,
                       "The JSON string that begins at byte %zu is not closed.",
                       find_bad_byte(text, refusal));
    case JSON_SCAN_EMPTY:
        return why_set(why, ERR_INVALID_JSON, NULL, "The JSON text is empty.");
    case JSON_SCAN_MEMORY:
        return why_set(why, ERR_LIMIT, NULL, "There is no memory to read %zu bytes of JSON.",
                       text.len);
    case JSON_SCAN_OK:
    case JSON_SCAN_OTHER:
        break;
    }
    return why_set(why, ERR_INVALID_JSON, NULL, "The text is not JSON.");
}

/*
 * Allocates as many nodes as the tokens make, so that the walk allocates nothing and `nodes_max`
 * holds before memory is spent. A colon turns one run into a key; a text with more colons than
 * keys runs out of nodes and is refused then.
 */
static enum err allocate_nodes(struct reader *r, struct arena *arena)
{
    size_t begins[256] = {0};
    for (size_t i = 0; i < r->count; i++) {
        begins[r->text[r->at[i]]]++;
    }
    size_t runs = r->count - begins[','] - begins[':'] - begins[']'] - begins['}'];
    size_t values = runs > begins[':'] ? runs - begins[':'] : 1;
    if (values > r->limits->nodes_max) {
        return why_set(r->why, ERR_LIMIT, NULL,
                       "The JSON text has %zu values, more than the allowed %u.", values,
                       r->limits->nodes_max);
    }
    r->nodes = arena_alloc_array(arena, values, sizeof(struct json));
    r->nodes_cap = values;
    return OK;
}

static enum err read_tree(struct reader *r, struct arena *arena, const struct json **out)
{
    enum err e = allocate_nodes(r, arena);
    if (e) {
        return e;
    }
    arena_init(&r->scratch, 0);
    e = walk(r);
    arena_free(&r->scratch);
    if (!e) {
        *out = r->nodes;
    }
    return e;
}

enum err json_parse(struct arena *arena, struct slice text, const struct json_limits *limits,
                    const struct json **out, struct why *why)
{
    ASSERT(limits->depth_max <= JSON_DEPTH_MAX && limits->bytes_max <= JSON_BYTES_MAX);
    if (text.len > limits->bytes_max) {
        return why_set(why, ERR_LIMIT, NULL,
                       "The JSON text has %zu bytes, more than the allowed %zu.", text.len,
                       limits->bytes_max);
    }
    if (text.len == 0) {
        return refuse_scan(text, JSON_SCAN_EMPTY, why);
    }
    struct reader r;
    memset(&r, 0, offsetof(struct reader, open));
    r.text = arena_alloc(arena, text.len + JSON_PADDING);
    memcpy(r.text, text.ptr, text.len);
    r.len = text.len;
    r.limits = limits;
    r.why = why;

    enum json_scan scan = json_simdjson_scan(r.text, r.len, &r.at, &r.count);
    enum err e = scan ? refuse_scan(text, scan, why) : read_tree(&r, arena, out);
    json_simdjson_release();
    return e;
}
