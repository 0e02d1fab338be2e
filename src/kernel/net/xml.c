#include "kernel/net/xml.h"

#include <string.h>

void net_xml_init(struct net_xml *x, struct arena *arena, struct slice text)
{
    *x = (struct net_xml){.rest = text, .arena = arena};
}

static void skip(struct net_xml *x, size_t len)
{
    x->rest = slice_sub(x->rest, len, x->rest.len);
}

static bool starts(const struct net_xml *x, const char *text)
{
    return slice_starts(x->rest, slice_text(text));
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Passes over everything up to and with a mark. */
static bool skip_past(struct net_xml *x, const char *mark)
{
    size_t len = strlen(mark);
    for (size_t i = 0; i + len <= x->rest.len; i++) {
        if (memcmp(x->rest.ptr + i, mark, len) == 0) {
            skip(x, i + len);
            return true;
        }
    }
    return false;
}

/* ---- names and tags ---- */

static bool is_name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':' || c >= 0x80;
}

static bool take_name(struct net_xml *x, struct slice *out)
{
    size_t len = 0;
    while (len < x->rest.len && is_name_byte(x->rest.ptr[len])) {
        len++;
    }
    *out = slice_sub(x->rest, 0, len);
    skip(x, len);
    return len > 0;
}

static struct slice without_prefix(struct slice name)
{
    ptrdiff_t colon = slice_find(name, ':');
    return colon < 0 ? name : slice_sub(name, (size_t)colon + 1, name.len);
}

/* Passes over the attributes of a tag, up to its end. */
static bool skip_attributes(struct net_xml *x)
{
    uint8_t quote = 0;
    for (size_t i = 0; i < x->rest.len; i++) {
        uint8_t c = x->rest.ptr[i];
        if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '<') {
            return false;
        } else if (c == '>') {
            x->closes = i > 0 && x->rest.ptr[i - 1] == '/';
            skip(x, i + 1);
            return true;
        }
    }
    return false;
}

static enum net_xml_event begin_tag(struct net_xml *x)
{
    struct slice name;
    skip(x, 1);
    bool second_root = x->begun && x->depth == 0;
    if (second_root || x->depth == XML_DEPTH_MAX || !take_name(x, &name) || !skip_attributes(x)) {
        return NET_XML_BAD;
    }
    x->begun = true;
    x->open[x->depth++] = name;
    x->name = without_prefix(name);
    return NET_XML_BEGIN;
}

static enum net_xml_event end_tag(struct net_xml *x)
{
    struct slice name;
    skip(x, 2);
    if (!take_name(x, &name) || x->depth == 0 || !slice_equal(name, x->open[x->depth - 1])) {
        return NET_XML_BAD;
    }
    while (x->rest.len > 0 && is_blank(x->rest.ptr[0])) {
        skip(x, 1);
    }
    if (!starts(x, ">")) {
        return NET_XML_BAD;
    }
    skip(x, 1);
    x->depth--;
    x->name = without_prefix(name);
    return NET_XML_END;
}

/* ---- text ---- */

static void add_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_add_byte(out, (uint8_t)c);
    } else if (c < 0x800) {
        buf_add_byte(out, (uint8_t)(0xc0 | c >> 6));
        buf_add_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_add_byte(out, (uint8_t)(0xe0 | c >> 12));
        buf_add_byte(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_add_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_add_byte(out, (uint8_t)(0xf0 | c >> 18));
        buf_add_byte(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        buf_add_byte(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_add_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* "#38" or "#x26" */
static bool decode_number(struct slice name, uint32_t *out)
{
    bool hex = name.len > 1 && name.ptr[1] == 'x';
    uint32_t c = 0;
    size_t from = hex ? 2 : 1;
    for (size_t i = from; i < name.len; i++) {
        uint8_t d = name.ptr[i];
        uint32_t digit = d >= '0' && d <= '9'          ? (uint32_t)(d - '0')
                         : hex && d >= 'a' && d <= 'f' ? (uint32_t)(d - 'a') + 10
                         : hex && d >= 'A' && d <= 'F' ? (uint32_t)(d - 'A') + 10
                                                       : 99;
        if (digit == 99 || c > 0x10ffff) {
            return false;
        }
        c = c * (hex ? 16 : 10) + digit;
    }
    *out = c;
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    return name.len > from && c > 0 && c <= 0x10ffff && !surrogate;
}

static bool decode_entity(struct slice name, struct buf *out)
{
    static const struct {
        const char *name;
        char c;
    } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    uint32_t c = 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (slice_equal_text(name, known[i].name)) {
            buf_add_byte(out, (uint8_t)known[i].c);
            return true;
        }
    }
    if (name.len < 2 || name.ptr[0] != '#' || !decode_number(name, &c)) {
        return false;
    }
    add_utf8(out, c);
    return true;
}

/* Text up to the next tag, with its entities decoded. */
static enum net_xml_event take_text(struct net_xml *x)
{
    size_t len = 0;
    while (len < x->rest.len && x->rest.ptr[len] != '<') {
        len++;
    }
    struct slice raw = slice_sub(x->rest, 0, len);
    skip(x, len);
    if (x->depth == 0 && slice_trim(raw).len > 0) {
        return NET_XML_BAD;
    }
    x->text = raw;
    if (slice_find(raw, '&') < 0) {
        return NET_XML_TEXT;
    }
    struct buf out;
    buf_init(&out, x->arena, raw.len);
    while (raw.len > 0) {
        struct slice name;
        struct slice rest;
        if (raw.ptr[0] != '&') {
            buf_add_byte(&out, raw.ptr[0]);
            raw = slice_sub(raw, 1, raw.len);
        } else if (slice_cut(slice_sub(raw, 1, raw.len), ';', &name, &rest) &&
                   decode_entity(name, &out)) {
            raw = rest;
        } else {
            return NET_XML_BAD;
        }
    }
    x->text = buf_slice(&out);
    return NET_XML_TEXT;
}

static enum net_xml_event take_cdata(struct net_xml *x)
{
    static const char begin[] = "<![CDATA[";
    skip(x, sizeof(begin) - 1);
    const uint8_t *from = x->rest.ptr;
    if (x->depth == 0 || !skip_past(x, "]]>")) {
        return NET_XML_BAD;
    }
    x->text = slice_of(from, (size_t)(x->rest.ptr - from) - 3);
    return NET_XML_TEXT;
}

enum net_xml_event net_xml_next(struct net_xml *x)
{
    if (x->closes) { /* the end of <name/> */
        x->closes = false;
        x->depth--;
        return NET_XML_END;
    }
    if (!x->begun && starts(x, "<?xml ") && !skip_past(x, "?>")) {
        return NET_XML_BAD;
    }
    while (starts(x, "<!--")) {
        if (!skip_past(x, "-->")) {
            return NET_XML_BAD;
        }
    }
    if (x->rest.len == 0) {
        return x->begun && x->depth == 0 ? NET_XML_DONE : NET_XML_BAD;
    }
    if (starts(x, "<![CDATA[")) {
        return take_cdata(x);
    }
    if (starts(x, "</")) {
        return end_tag(x);
    }
    if (starts(x, "<!") || starts(x, "<?")) {
        return NET_XML_BAD;
    }
    return starts(x, "<") ? begin_tag(x) : take_text(x);
}

bool net_xml_find(struct arena *arena, struct slice text, const char *name, struct slice *out)
{
    struct net_xml x;
    struct buf found;
    bool inside = false;
    net_xml_init(&x, arena, text);
    buf_init(&found, arena, 64);
    for (;;) {
        enum net_xml_event event = net_xml_next(&x);
        switch (event) {
        case NET_XML_BEGIN:
            inside = inside || slice_equal_text(x.name, name);
            break;
        case NET_XML_TEXT:
            if (inside) {
                buf_add_slice(&found, x.text);
            }
            break;
        case NET_XML_END:
            if (inside && slice_equal_text(x.name, name)) {
                *out = buf_slice(&found);
                return true;
            }
            break;
        case NET_XML_DONE:
        case NET_XML_BAD:
            return false;
        }
    }
}
