#include "kernel/base/hex.h"

#include "kernel/base/mem.h"

static const char hex_digits[] = "0123456789abcdef";

/* The value of a digit and one; 0: none. A table, because nodes answer with megabytes of them. */
static const uint8_t digit_plus_one[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static unsigned digit_value(uint8_t c)
{
    return digit_plus_one[c] - 1u;
}

static bool has_prefix(struct slice text)
{
    return text.len >= 2 && text.ptr[0] == '0' && text.ptr[1] == 'x';
}

static bool all_digits(struct slice text)
{
    bool all = true;
    for (size_t i = 0; i < text.len; i++) {
        all &= digit_plus_one[text.ptr[i]] != 0;
    }
    return all;
}

/* `digits` was checked. */
static void decode_pairs(struct slice digits, uint8_t *out)
{
    for (size_t i = 0; i < digits.len / 2; i++) {
        unsigned high = digit_value(digits.ptr[2 * i]);
        unsigned low = digit_value(digits.ptr[2 * i + 1]);
        out[i] = (uint8_t)(high << 4 | low);
    }
}

enum err hex_decode(struct arena *arena, struct slice text, struct slice *out)
{
    if (!has_prefix(text) || text.len % 2 != 0) {
        return ERR_INVALID_HEX;
    }
    struct slice digits = slice_sub(text, 2, text.len);
    if (!all_digits(digits)) {
        return ERR_INVALID_HEX;
    }
    uint8_t *bytes = arena_alloc(arena, digits.len / 2);
    decode_pairs(digits, bytes);
    *out = slice_of(bytes, digits.len / 2);
    return OK;
}

enum err hex_decode_fixed(struct slice text, uint8_t *out, size_t len)
{
    struct slice digits = slice_sub(text, 2, text.len);
    if (!has_prefix(text) || digits.len % 2 != 0 || digits.len / 2 != len || !all_digits(digits)) {
        return ERR_INVALID_HEX;
    }
    decode_pairs(digits, out);
    return OK;
}

void hex_encode_to(struct slice bytes, char *out)
{
    *out++ = '0';
    *out++ = 'x';
    for (size_t i = 0; i < bytes.len; i++) {
        *out++ = hex_digits[bytes.ptr[i] >> 4];
        *out++ = hex_digits[bytes.ptr[i] & 15];
    }
    *out = '\0';
}

struct slice hex_encode(struct arena *arena, struct slice bytes)
{
    size_t len = 2 * bytes.len + 2;
    char *text = arena_alloc(arena, len + 1);
    hex_encode_to(bytes, text);
    return slice_of(text, len);
}

enum err hex_parse_u64(struct slice text, uint64_t *out)
{
    struct slice digits = slice_sub(text, 2, text.len);
    if (!has_prefix(text) || digits.len == 0 || !all_digits(digits)) {
        return ERR_INVALID_HEX;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (value >> 60 != 0) {
            return ERR_OVERFLOW;
        }
        value = value << 4 | digit_value(digits.ptr[i]);
    }
    *out = value;
    return OK;
}
