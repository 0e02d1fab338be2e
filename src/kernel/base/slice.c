#include "kernel/base/slice.h"

#include <stdarg.h>

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define BUF_CAP_MIN 64
#define U64_DIGITS_MAX 20

struct slice slice_text(const char *text)
{
    return text ? slice_of(text, strlen(text)) : SLICE_EMPTY;
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool slice_equal_text(struct slice a, const char *text)
{
    return slice_equal(a, slice_text(text));
}

static uint8_t ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool slice_starts(struct slice a, struct slice prefix)
{
    return a.len >= prefix.len && slice_equal(slice_sub(a, 0, prefix.len), prefix);
}

bool slice_ends(struct slice a, struct slice suffix)
{
    return a.len >= suffix.len && slice_equal(slice_sub(a, a.len - suffix.len, suffix.len), suffix);
}

struct slice slice_sub(struct slice a, size_t from, size_t len)
{
    if (from >= a.len) {
        return SLICE_EMPTY;
    }
    size_t rest = a.len - from;
    return slice_of(a.ptr + from, len < rest ? len : rest);
}

ptrdiff_t slice_find(struct slice a, uint8_t byte)
{
    const uint8_t *at = a.len > 0 ? memchr(a.ptr, byte, a.len) : NULL;
    return at ? at - a.ptr : -1;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct slice slice_trim(struct slice a)
{
    while (a.len > 0 && is_blank(a.ptr[0])) {
        a.ptr++;
        a.len--;
    }
    while (a.len > 0 && is_blank(a.ptr[a.len - 1])) {
        a.len--;
    }
    return a;
}

bool slice_cut(struct slice a, uint8_t byte, struct slice *out_head, struct slice *out_tail)
{
    ptrdiff_t at = slice_find(a, byte);
    if (at < 0) {
        *out_head = a;
        *out_tail = SLICE_EMPTY;
        return false;
    }
    *out_head = slice_sub(a, 0, (size_t)at);
    *out_tail = slice_sub(a, (size_t)at + 1, a.len);
    return true;
}

/* The number of bytes of the character at `p`, or 0 when it is not well-formed (RFC 3629 §4). */
static size_t utf8_char_len(const uint8_t *p, size_t left)
{
    uint8_t lead = p[0];
    if (lead < 0x80) {
        return 1;
    }
    size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || left < len) {
        return 0;
    }
    /* Only the second byte has a narrower range: no overlong forms, surrogates, or > U+10FFFF. */
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

bool slice_is_utf8(struct slice a)
{
    size_t at = 0;
    while (at < a.len) {
        uint64_t word;
        if (a.len - at >= sizeof word) {
            memcpy(&word, a.ptr + at, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof word;
                continue;
            }
        }
        size_t len = utf8_char_len(a.ptr + at, a.len - at);
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

struct slice slice_copy(struct arena *arena, struct slice a)
{
    return slice_of(slice_cstr(arena, a), a.len);
}

char *slice_cstr(struct arena *arena, struct slice a)
{
    char *copy = arena_alloc(arena, a.len + 1);
    if (a.len > 0) {
        memcpy(copy, a.ptr, a.len);
    }
    return copy;
}

struct slice slice_format(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    size_t size = (size_t)len + 1;
    char *text = arena_alloc(arena, size);
    va_start(args, format);
    (void)vsnprintf(text, size, format, args);
    va_end(args);
    return slice_of(text, (size_t)len);
}

enum err slice_parse_u64(struct slice a, uint64_t *out)
{
    if (a.len == 0) {
        return ERR_INVALID_AMOUNT;
    }
    uint64_t value = 0;
    bool overflow = false;
    for (size_t i = 0; i < a.len; i++) {
        if (a.ptr[i] < '0' || a.ptr[i] > '9') {
            return ERR_INVALID_AMOUNT;
        }
        overflow |= __builtin_mul_overflow(value, 10U, &value);
        overflow |= __builtin_add_overflow(value, (uint64_t)(a.ptr[i] - '0'), &value);
    }
    if (overflow) {
        return ERR_AMOUNT_OVERFLOW;
    }
    *out = value;
    return OK;
}

enum err slice_parse_i64(struct slice a, int64_t *out)
{
    bool negative = a.len > 0 && a.ptr[0] == '-';
    uint64_t magnitude;
    enum err e = slice_parse_u64(negative ? slice_sub(a, 1, a.len) : a, &magnitude);
    if (e != OK) {
        return e;
    }
    uint64_t limit = (uint64_t)INT64_MAX + negative;
    if (magnitude > limit) {
        return ERR_AMOUNT_OVERFLOW;
    }
    /* 0 - magnitude in unsigned arithmetic reaches INT64_MIN without overflow. */
    *out = (int64_t)(negative ? 0 - magnitude : magnitude);
    return OK;
}

void buf_init(struct buf *b, struct arena *arena, size_t cap)
{
    *b = (struct buf){.arena = arena};
    if (cap > 0) {
        (void)buf_room(b, cap);
    }
}

uint8_t *buf_room(struct buf *b, size_t more)
{
    ASSERT(b->arena && b->len <= b->cap);
    if (more > b->cap - b->len) {
        size_t need;
        bool overflow = __builtin_add_overflow(b->len, more, &need);
        ASSERT(!overflow);
        size_t cap = b->cap < BUF_CAP_MIN / 2 ? BUF_CAP_MIN : 2 * b->cap;
        cap = cap > need ? cap : need;
        uint8_t *grown = arena_alloc(b->arena, cap);
        if (b->len > 0) {
            memcpy(grown, b->ptr, b->len);
        }
        b->ptr = grown;
        b->cap = cap;
    }
    return b->ptr + b->len;
}

void buf_add(struct buf *b, const void *bytes, size_t len)
{
    if (len > 0) {
        memcpy(buf_room(b, len), bytes, len);
        b->len += len;
    }
}

void buf_add_slice(struct buf *b, struct slice s)
{
    buf_add(b, s.ptr, s.len);
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add_slice(b, slice_text(text));
}

void buf_add_byte(struct buf *b, uint8_t byte)
{
    *buf_room(b, 1) = byte;
    b->len++;
}

void buf_add_u64(struct buf *b, uint64_t value)
{
    uint8_t digits[U64_DIGITS_MAX];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_add(b, digits + at, sizeof digits - at);
}

void buf_add_i64(struct buf *b, int64_t value)
{
    if (value < 0) {
        buf_add_byte(b, '-');
    }
    buf_add_u64(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buf_add_hex(struct buf *b, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *out = buf_room(b, 2 * bytes.len);
    for (size_t i = 0; i < bytes.len; i++) {
        out[2 * i] = (uint8_t)digits[bytes.ptr[i] >> 4];
        out[2 * i + 1] = (uint8_t)digits[bytes.ptr[i] & 15];
    }
    b->len += 2 * bytes.len;
}

void buf_format(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    size_t size = (size_t)len + 1;
    char *out = (char *)buf_room(b, size);
    va_start(args, format);
    (void)vsnprintf(out, size, format, args);
    va_end(args);
    b->len += (size_t)len;
}
