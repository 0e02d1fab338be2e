#include "kernel/base/base64.h"

#include "kernel/base/mem.h"

#define ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char *const digits[] = {
    [BASE64_STANDARD] = ALPHABET "+/",
    [BASE64_URL] = ALPHABET "-_",
};

void base64_encode(struct buf *out, enum base64_form form, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.ptr[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)bytes.ptr[i + 2] : 0;
        size_t count = left > 2 ? 4 : left + 1;
        for (size_t d = 0; d < count; d++) {
            buf_add_byte(out, (uint8_t)digits[form][group >> (18 - 6 * d) & 63]);
        }
        for (size_t d = count; form == BASE64_STANDARD && d < 4; d++) {
            buf_add_byte(out, '=');
        }
    }
}

/* The value of a digit, or -1. */
static int value_of(enum base64_form form, uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z') {
        return digit - 'A';
    }
    if (digit >= 'a' && digit <= 'z') {
        return digit - 'a' + 26;
    }
    if (digit >= '0' && digit <= '9') {
        return digit - '0' + 52;
    }
    return digit == (uint8_t)digits[form][62] ? 62 : digit == (uint8_t)digits[form][63] ? 63 : -1;
}

/* The digits without their padding; false when they cannot be of this form. */
static bool strip(enum base64_form form, struct slice *text)
{
    if (form == BASE64_STANDARD) {
        if (text->len % 4 != 0) {
            return false;
        }
        for (int i = 0; i < 2 && text->len > 0 && text->ptr[text->len - 1] == '='; i++) {
            text->len--;
        }
    }
    return text->len % 4 != 1;
}

enum err base64_decode(struct arena *arena, enum base64_form form, struct slice text,
                       struct slice *out)
{
    if (!strip(form, &text)) {
        return ERR_INVALID_ENCODING;
    }
    uint8_t *bytes = arena_alloc(arena, text.len / 4 * 3 + 3);
    size_t len = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(form, text.ptr[i]);
        if (value < 0) {
            return ERR_INVALID_ENCODING;
        }
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            bytes[len++] = (uint8_t)(bits >> have);
            bits &= (1U << have) - 1;
        }
    }
    if (bits != 0) {
        return ERR_INVALID_ENCODING;
    }
    *out = slice_of(bytes, len);
    return OK;
}
