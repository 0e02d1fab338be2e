#include "kernel/base/decimal.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define EXPONENT_MAX 1000000000000000

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static size_t count_digits(struct slice text, size_t from)
{
    size_t end = from;
    while (end < text.len && is_digit(text.ptr[end])) {
        end++;
    }
    return end - from;
}

static enum err parse_exponent(struct slice text, int64_t *out)
{
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    bool is_signed = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+');
    struct slice digits = slice_sub(text, is_signed ? 1 : 0, text.len);
    int64_t value = 0;
    if (digits.len == 0 || count_digits(digits, 0) != digits.len) {
        return ERR_INVALID_AMOUNT;
    }
    for (size_t i = 0; i < digits.len; i++) {
        value = value * 10 + (digits.ptr[i] - '0');
        if (value > EXPONENT_MAX) {
            return ERR_OVERFLOW;
        }
    }
    *out = is_negative ? -value : value;
    return OK;
}

/* Drops zeros at both ends of the digits; those in front move the point. */
static void normalise(struct decimal *d)
{
    size_t lead = 0;
    while (lead < d->digits.len && d->digits.ptr[lead] == '0') {
        lead++;
    }
    size_t end = d->digits.len;
    while (end > lead && d->digits.ptr[end - 1] == '0') {
        end--;
    }
    d->digits = slice_sub(d->digits, lead, end - lead);
    d->point -= (int64_t)lead;
    if (d->digits.len == 0) {
        *d = (struct decimal){.is_negative = false};
    }
}

enum err decimal_parse(struct arena *arena, struct slice text, struct decimal *out)
{
    size_t at = text.len > 0 && text.ptr[0] == '-' ? 1 : 0;
    struct decimal d = {.is_negative = at == 1};
    size_t whole = count_digits(text, at);
    struct slice whole_digits = slice_sub(text, at, whole);
    struct slice fraction = SLICE_EMPTY;
    at += whole;
    if (at < text.len && text.ptr[at] == '.') {
        fraction = slice_sub(text, at + 1, count_digits(text, at + 1));
        at += 1 + fraction.len;
        if (fraction.len == 0) {
            return ERR_INVALID_AMOUNT;
        }
    }
    if (whole == 0) {
        return ERR_INVALID_AMOUNT;
    }
    int64_t exponent = 0;
    if (at < text.len) {
        if (text.ptr[at] != 'e' && text.ptr[at] != 'E') {
            return ERR_INVALID_AMOUNT;
        }
        enum err e = parse_exponent(slice_sub(text, at + 1, text.len), &exponent);
        if (e != OK) {
            return e;
        }
    }
    struct buf digits;
    buf_init(&digits, arena, whole + fraction.len);
    buf_add_slice(&digits, whole_digits);
    buf_add_slice(&digits, fraction);
    d.digits = buf_slice(&digits);
    d.point = exponent + (int64_t)whole;
    normalise(&d);
    *out = d;
    return OK;
}

static int compare_magnitude(const struct decimal *a, const struct decimal *b)
{
    if (a->digits.len == 0 || b->digits.len == 0) {
        return (a->digits.len > 0) - (b->digits.len > 0);
    }
    if (a->point != b->point) {
        return a->point < b->point ? -1 : 1;
    }
    return slice_compare(a->digits, b->digits);
}

int decimal_compare(const struct decimal *a, const struct decimal *b)
{
    if (a->is_negative != b->is_negative) {
        return a->is_negative ? -1 : 1;
    }
    return a->is_negative ? compare_magnitude(b, a) : compare_magnitude(a, b);
}

bool decimal_is_integer(const struct decimal *a)
{
    return a->point >= (int64_t)a->digits.len;
}

static uint64_t power_of_ten_mod(uint64_t exponent, uint64_t unit)
{
    uint64_t result = 1 % unit;
    uint64_t base = 10 % unit;
    for (; exponent > 0; exponent /= 2) {
        if (exponent % 2 == 1) {
            result = result * base % unit;
        }
        base = base * base % unit;
    }
    return result;
}

bool decimal_is_multiple(const struct decimal *a, uint32_t unit)
{
    ASSERT(unit > 0);
    if (!decimal_is_integer(a)) {
        return false;
    }
    uint64_t rest = 0;
    for (size_t i = 0; i < a->digits.len; i++) {
        rest = (rest * 10 + (uint64_t)(a->digits.ptr[i] - '0')) % unit;
    }
    uint64_t zeros = (uint64_t)(a->point - (int64_t)a->digits.len);
    return rest * power_of_ten_mod(zeros, unit) % unit == 0;
}

enum err decimal_to_u64(const struct decimal *a, uint64_t *out)
{
    if (a->is_negative || !decimal_is_integer(a)) {
        return ERR_INVALID_AMOUNT;
    }
    uint64_t value = 0;
    for (int64_t i = 0; i < a->point; i++) {
        uint64_t digit = i < (int64_t)a->digits.len ? (uint64_t)(a->digits.ptr[i] - '0') : 0;
        if (value > (UINT64_MAX - digit) / 10) {
            return ERR_OVERFLOW;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return OK;
}

void decimal_write(struct buf *out, const struct decimal *a)
{
    if (a->digits.len == 0) {
        buf_add_byte(out, '0');
        return;
    }
    buf_add_text(out, a->is_negative ? "-0." : "0.");
    buf_add_slice(out, a->digits);
    buf_add_byte(out, 'e');
    buf_add_i64(out, a->point);
}
