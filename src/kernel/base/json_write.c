#include "kernel/base/json.h"

#include "kernel/base/check.h"

/* JavaScript's Number.MAX_SAFE_INTEGER: beyond it integers are written as strings. */
#define SAFE_INTEGER_MAX ((INT64_C(1) << 53) - 1)

/* ---- escaping -------------------------------------------------------------------------------- */

/* Length of the well-formed UTF-8 sequence at `p` (RFC 3629 table 3-7), or 0. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
    uint8_t lead = p[0];
    size_t len = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (len == 0 || len > left) {
        return 0;
    }
    uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return len;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static size_t plain_length(const uint8_t *p, size_t left)
{
    size_t i = 0;
    while (i < left && is_plain(p[i])) {
        i++;
    }
    return i;
}

static void add_escaped(struct buf *out, uint8_t c)
{
    /* A byte and the letter of its short form, in pairs. */
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(short_forms); i += 2) {
        if (c == (uint8_t)short_forms[i]) {
            buf_add_byte(out, '\\');
            buf_add_byte(out, (uint8_t)short_forms[i + 1]);
            return;
        }
    }
    buf_add_text(out, "\\u00");
    buf_add_hex(out, slice_of(&c, 1));
}

void json_escape(struct buf *out, struct slice text)
{
    buf_add_byte(out, '"');
    size_t i = 0;
    while (i < text.len) {
        const uint8_t *p = text.ptr + i;
        size_t left = text.len - i;
        size_t run = plain_length(p, left);
        if (run == 0 && *p >= 0x80) {
            run = utf8_length(p, left);
        }
        if (run > 0) {
            buf_add(out, p, run);
            i += run;
            continue;
        }
        if (*p >= 0x80) {
            buf_add_text(out, "\xEF\xBF\xBD"); /* U+FFFD for a byte that is no UTF-8 */
        } else {
            add_escaped(out, *p);
        }
        i++;
    }
    buf_add_byte(out, '"');
}

/* ---- trees ----------------------------------------------------------------------------------- */

static void write_children(struct buf *out, const struct json *v)
{
    bool is_object = v->type == JSON_OBJECT;
    buf_add_byte(out, is_object ? '{' : '[');
    for (const struct json *c = v->child; c; c = c->next) {
        if (c != v->child) {
            buf_add_byte(out, ',');
        }
        if (is_object) {
            json_escape(out, c->key);
            buf_add_byte(out, ':');
        }
        json_write(out, c);
    }
    buf_add_byte(out, is_object ? '}' : ']');
}

/* Recursion is as deep as the tree, which json_parse has limited to JSON_DEPTH_MAX. */
void json_write(struct buf *out, const struct json *v)
{
    switch (v->type) {
    case JSON_NULL:
        buf_add(out, "null", 4);
        break;
    case JSON_FALSE:
        buf_add(out, "false", 5);
        break;
    case JSON_TRUE:
        buf_add(out, "true", 4);
        break;
    case JSON_NUMBER:
        buf_add_slice(out, v->text);
        break;
    case JSON_STRING:
        json_escape(out, v->text);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        write_children(out, v);
        break;
    }
}

/* ---- nested output --------------------------------------------------------------------------- */

void json_out_init(struct json_out *j, struct buf *buf)
{
    *j = (struct json_out){.buf = buf};
}

static void begin_item(struct json_out *j)
{
    if (j->has_value[j->depth]) {
        ASSERT(j->depth > 0);
        buf_add_byte(j->buf, ',');
    }
    j->has_value[j->depth] = true;
}

static void begin_value(struct json_out *j)
{
    if (j->is_object[j->depth]) {
        ASSERT(j->after_key);
        j->after_key = false;
    } else {
        begin_item(j);
    }
}

static void begin_key(struct json_out *j)
{
    ASSERT(j->is_object[j->depth]);
    ASSERT(!j->after_key);
    begin_item(j);
    j->after_key = true;
}

static void begin_container(struct json_out *j, bool is_object)
{
    begin_value(j);
    ASSERT(j->depth < JSON_OUT_DEPTH);
    j->depth++;
    j->is_object[j->depth] = is_object;
    j->has_value[j->depth] = false;
    buf_add_byte(j->buf, is_object ? '{' : '[');
}

static void end_container(struct json_out *j, bool is_object)
{
    ASSERT(j->depth > 0);
    ASSERT(j->is_object[j->depth] == is_object);
    ASSERT(!j->after_key);
    j->depth--;
    buf_add_byte(j->buf, is_object ? '}' : ']');
}

void json_begin_object(struct json_out *j)
{
    begin_container(j, true);
}

void json_end_object(struct json_out *j)
{
    end_container(j, true);
}

void json_begin_array(struct json_out *j)
{
    begin_container(j, false);
}

void json_end_array(struct json_out *j)
{
    end_container(j, false);
}

void json_key(struct json_out *j, const char *key)
{
    begin_key(j);
    buf_add_byte(j->buf, '"');
    buf_add_text(j->buf, key);
    buf_add(j->buf, "\":", 2);
}

void json_key_slice(struct json_out *j, struct slice key)
{
    begin_key(j);
    json_escape(j->buf, key);
    buf_add_byte(j->buf, ':');
}

void json_string(struct json_out *j, struct slice text)
{
    begin_value(j);
    json_escape(j->buf, text);
}

void json_text(struct json_out *j, const char *text)
{
    if (text) {
        json_string(j, slice_text(text));
    } else {
        json_null(j);
    }
}

static void write_quoted(struct json_out *j, const char *ascii)
{
    begin_value(j);
    buf_add_byte(j->buf, '"');
    buf_add_text(j->buf, ascii);
    buf_add_byte(j->buf, '"');
}

void json_u64(struct json_out *j, uint64_t value)
{
    bool quoted = value > (uint64_t)SAFE_INTEGER_MAX;
    begin_value(j);
    if (quoted) {
        buf_add_byte(j->buf, '"');
    }
    buf_add_u64(j->buf, value);
    if (quoted) {
        buf_add_byte(j->buf, '"');
    }
}

void json_i64(struct json_out *j, int64_t value)
{
    bool quoted = value > SAFE_INTEGER_MAX || value < -SAFE_INTEGER_MAX;
    begin_value(j);
    if (quoted) {
        buf_add_byte(j->buf, '"');
    }
    buf_add_i64(j->buf, value);
    if (quoted) {
        buf_add_byte(j->buf, '"');
    }
}

void json_u256(struct json_out *j, struct u256 value)
{
    char text[U256_TEXT_MAX];
    u256_format(value, text);
    write_quoted(j, text);
}

void json_quantity(struct json_out *j, struct u256 value)
{
    char text[U256_TEXT_MAX];
    u256_format_hex(value, text);
    write_quoted(j, text);
}

void json_hex(struct json_out *j, struct slice bytes)
{
    begin_value(j);
    buf_add(j->buf, "\"0x", 3);
    buf_add_hex(j->buf, bytes);
    buf_add_byte(j->buf, '"');
}

void json_bool(struct json_out *j, bool value)
{
    begin_value(j);
    buf_add_text(j->buf, value ? "true" : "false");
}

void json_null(struct json_out *j)
{
    begin_value(j);
    buf_add(j->buf, "null", 4);
}

void json_time(struct json_out *j, int64_t wall_usec)
{
    char text[CLOCK_TEXT_MAX];
    clock_format(wall_usec, text);
    write_quoted(j, text);
}

void json_raw(struct json_out *j, struct slice json)
{
    begin_value(j);
    buf_add_slice(j->buf, json);
}

void json_tree(struct json_out *j, const struct json *v)
{
    begin_value(j);
    json_write(j->buf, v);
}
