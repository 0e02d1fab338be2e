#include "kernel/base/u256.h"

#include "kernel/base/check.h"

#define LIMBS 4
#define WIDE_LIMBS (2 * LIMBS)
#define CHUNK_DIGITS 19
/* 10^19 is the largest power of ten in a limb, and its top bit is set: no normalising needed. */
#define CHUNK UINT64_C(10000000000000000000)
/* 78 digits are at most five chunks of 19. */
#define CHUNKS_MAX 5

typedef unsigned __int128 u128;

static unsigned leading_zeros(uint64_t limb)
{
    ASSERT(limb != 0);
    return (unsigned)__builtin_clzll(limb);
}

/* The number of limbs up to the highest one that is not zero. */
static size_t limbs_used(const uint64_t *limbs, size_t count)
{
    while (count > 0 && limbs[count - 1] == 0) {
        count--;
    }
    return count;
}

bool u256_is_zero(struct u256 a)
{
    return (a.limb[0] | a.limb[1] | a.limb[2] | a.limb[3]) == 0;
}

bool u256_equal(struct u256 a, struct u256 b)
{
    return u256_compare(a, b) == 0;
}

int u256_compare(struct u256 a, struct u256 b)
{
    for (size_t i = LIMBS; i-- > 0;) {
        if (a.limb[i] != b.limb[i]) {
            return a.limb[i] < b.limb[i] ? -1 : 1;
        }
    }
    return 0;
}

unsigned u256_bits(struct u256 a)
{
    size_t used = limbs_used(a.limb, LIMBS);
    return used == 0 ? 0 : (unsigned)used * 64 - leading_zeros(a.limb[used - 1]);
}

enum err u256_add(struct u256 a, struct u256 b, struct u256 *out)
{
    struct u256 sum;
    u128 carry = 0;
    for (size_t i = 0; i < LIMBS; i++) {
        carry += (u128)a.limb[i] + b.limb[i];
        sum.limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    if (carry != 0) {
        return ERR_OVERFLOW;
    }
    *out = sum;
    return OK;
}

enum err u256_sub(struct u256 a, struct u256 b, struct u256 *out)
{
    struct u256 difference;
    uint64_t borrow = 0;
    for (size_t i = 0; i < LIMBS; i++) {
        u128 part = (u128)a.limb[i] - b.limb[i] - borrow;
        difference.limb[i] = (uint64_t)part;
        borrow = (uint64_t)(part >> 64) & 1;
    }
    if (borrow != 0) {
        return ERR_OVERFLOW;
    }
    *out = difference;
    return OK;
}

static void multiply(struct u256 a, struct u256 b, uint64_t out[WIDE_LIMBS])
{
    memset(out, 0, WIDE_LIMBS * sizeof *out);
    for (size_t i = 0; i < LIMBS; i++) {
        uint64_t carry = 0;
        for (size_t j = 0; j < LIMBS; j++) {
            /* (2^64-1)^2 + 2(2^64-1) is 2^128-1: the sum fits exactly. */
            u128 part = (u128)a.limb[i] * b.limb[j] + out[i + j] + carry;
            out[i + j] = (uint64_t)part;
            carry = (uint64_t)(part >> 64);
        }
        out[i + LIMBS] = carry;
    }
}

enum err u256_mul(struct u256 a, struct u256 b, struct u256 *out)
{
    uint64_t product[WIDE_LIMBS];
    multiply(a, b, product);
    if (limbs_used(product, WIDE_LIMBS) > LIMBS) {
        return ERR_OVERFLOW;
    }
    memcpy(out->limb, product, sizeof out->limb);
    return OK;
}

/*
 * Division of two limbs by one is done by multiplying with a reciprocal, since a 128 by 64 bit
 * division costs ten times as much. Möller and Granlund, "Improved division by invariant
 * integers", IEEE Transactions on Computers 60 (2011), algorithm 4.
 *
 * The reciprocal of d, whose top bit must be set, is floor((2^128 - 1) / d) - 2^64; dropping the
 * upper limb of the quotient subtracts the 2^64.
 */
#define RECIPROCAL(d) ((uint64_t)(~(u128)0 / (d)))

/* Divides (high, low) by d; high < d, so that the quotient fits. */
static inline uint64_t divide_2by1(uint64_t high, uint64_t low, uint64_t d, uint64_t reciprocal,
                                   uint64_t *out_remainder)
{
    u128 estimate = (u128)reciprocal * high + ((u128)high << 64 | low);
    uint64_t q = (uint64_t)(estimate >> 64) + 1;
    uint64_t r = low - q * d;
    if (r > (uint64_t)estimate) {
        q--;
        r += d;
    }
    if (r >= d) {
        q++;
        r -= d;
    }
    *out_remainder = r;
    return q;
}

/* u[0..n] -= q * v[0..n-1], modulo 2^(64(n+1)): below zero shows as u[n] != 0 afterwards. */
static void subtract_product(uint64_t *u, const uint64_t *v, size_t n, uint64_t q)
{
    uint64_t carry = 0;
    uint64_t borrow = 0;
    for (size_t i = 0; i < n; i++) {
        u128 product = (u128)q * v[i] + carry;
        carry = (uint64_t)(product >> 64);
        u128 part = (u128)u[i] - (uint64_t)product - borrow;
        u[i] = (uint64_t)part;
        borrow = (uint64_t)(part >> 64) & 1;
    }
    u[n] -= carry + borrow;
}

/* u[0..n] += v[0..n-1]; the carry out of u[n] cancels the borrow that made this necessary. */
static void add_back(uint64_t *u, const uint64_t *v, size_t n)
{
    u128 carry = 0;
    for (size_t i = 0; i < n; i++) {
        carry += (u128)u[i] + v[i];
        u[i] = (uint64_t)carry;
        carry >>= 64;
    }
    u[n] += (uint64_t)carry;
}

/*
 * One quotient limb of Knuth's algorithm D (The Art of Computer Programming 2, 4.3.1). The upper
 * limbs alone estimate it; since the top bit of v is set, the estimate is never too small and at
 * most two too large (theorem B there). Each step too far leaves a rest below zero to add v to.
 */
static uint64_t quotient_limb(uint64_t *u, const uint64_t *v, size_t n, uint64_t reciprocal)
{
    uint64_t top = v[n - 1];
    ASSERT(u[n] <= top);
    uint64_t q = UINT64_MAX;
    if (u[n] < top) {
        uint64_t r;
        q = divide_2by1(u[n], u[n - 1], top, reciprocal, &r);
    }
    subtract_product(u, v, n, q);
    for (int corrections = 0; u[n] != 0; corrections++) {
        ASSERT(corrections < 2);
        q--;
        add_back(u, v, n);
    }
    return q;
}

/* out[0..count] = a[0..count-1] << by, with by < 64. */
static void shift_left(const uint64_t *a, size_t count, unsigned by, uint64_t *out)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < count; i++) {
        out[i] = a[i] << by | carry;
        carry = by == 0 ? 0 : a[i] >> (64 - by);
    }
    out[count] = carry;
}

/* a[0..count-1] >>= by; the bits shifted out are zero by construction. */
static void shift_right(uint64_t *a, size_t count, unsigned by)
{
    for (size_t i = 0; by > 0 && i < count; i++) {
        uint64_t above = i + 1 < count ? a[i + 1] : 0;
        a[i] = a[i] >> by | above << (64 - by);
    }
}

/* Divides 512 bits: all eight limbs of the quotient, four of the remainder. */
static void divide(const uint64_t a[WIDE_LIMBS], struct u256 b, uint64_t q[WIDE_LIMBS],
                   struct u256 *out_r)
{
    size_t n = limbs_used(b.limb, LIMBS);
    size_t m = limbs_used(a, WIDE_LIMBS);
    ASSERT(n > 0);
    memset(q, 0, WIDE_LIMBS * sizeof *q);
    unsigned shift = leading_zeros(b.limb[n - 1]);
    uint64_t v[LIMBS + 1];
    uint64_t u[WIDE_LIMBS + 1];
    shift_left(b.limb, n, shift, v);
    shift_left(a, m, shift, u);
    uint64_t reciprocal = RECIPROCAL(v[n - 1]);
    if (n == 1) {
        uint64_t r = u[m];
        for (size_t i = m; i-- > 0;) {
            q[i] = divide_2by1(r, u[i], v[0], reciprocal, &r);
        }
        *out_r = u256_from_u64(r >> shift);
        return;
    }
    for (size_t i = m >= n ? m - n + 1 : 0; i-- > 0;) {
        q[i] = quotient_limb(u + i, v, n, reciprocal);
    }
    size_t rest = m < n ? m : n;
    shift_right(u, m < n ? m + 1 : n, shift);
    *out_r = U256_ZERO;
    memcpy(out_r->limb, u, rest * sizeof *u);
}

void u256_div(struct u256 a, struct u256 b, struct u256 *out_q, struct u256 *out_r)
{
    ASSERT(!u256_is_zero(b));
    uint64_t wide[WIDE_LIMBS] = {a.limb[0], a.limb[1], a.limb[2], a.limb[3]};
    uint64_t q[WIDE_LIMBS];
    struct u256 r;
    divide(wide, b, q, &r);
    if (out_q) {
        memcpy(out_q->limb, q, sizeof out_q->limb);
    }
    if (out_r) {
        *out_r = r;
    }
}

enum err u256_mul_div(struct u256 a, struct u256 b, struct u256 c, struct u256 *out_q,
                      struct u256 *out_r)
{
    ASSERT(!u256_is_zero(c));
    uint64_t product[WIDE_LIMBS];
    uint64_t q[WIDE_LIMBS];
    struct u256 r;
    multiply(a, b, product);
    divide(product, c, q, &r);
    if (limbs_used(q, WIDE_LIMBS) > LIMBS) {
        return ERR_OVERFLOW;
    }
    memcpy(out_q->limb, q, sizeof out_q->limb);
    if (out_r) {
        *out_r = r;
    }
    return OK;
}

enum err u256_to_u64(struct u256 a, uint64_t *out)
{
    if ((a.limb[1] | a.limb[2] | a.limb[3]) != 0) {
        return ERR_OVERFLOW;
    }
    *out = a.limb[0];
    return OK;
}

enum err u256_decode_be(struct slice bytes, struct u256 *out)
{
    if (bytes.len > U256_BYTES) {
        return ERR_AMOUNT_OVERFLOW;
    }
    struct u256 value = U256_ZERO;
    for (size_t i = 0; i < bytes.len; i++) {
        uint64_t byte = bytes.ptr[bytes.len - 1 - i];
        value.limb[i / 8] |= byte << (8 * (i % 8));
    }
    *out = value;
    return OK;
}

void u256_encode_be(struct u256 a, uint8_t out[U256_BYTES])
{
    for (size_t i = 0; i < U256_BYTES; i++) {
        out[U256_BYTES - 1 - i] = (uint8_t)(a.limb[i / 8] >> (8 * (i % 8)));
    }
}

/* a = a * factor + addend; false when it does not fit. */
static bool multiply_add(struct u256 *a, uint64_t factor, uint64_t addend)
{
    u128 carry = addend;
    for (size_t i = 0; i < LIMBS; i++) {
        carry += (u128)a->limb[i] * factor;
        a->limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    return carry == 0;
}

enum err u256_parse(struct slice text, struct u256 *out)
{
    if (text.len == 0) {
        return ERR_INVALID_AMOUNT;
    }
    struct u256 value = U256_ZERO;
    bool fits = true;
    uint64_t chunk = 0;
    uint64_t scale = 1;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c < '0' || c > '9') {
            return ERR_INVALID_AMOUNT;
        }
        chunk = chunk * 10 + (uint64_t)(c - '0');
        scale *= 10;
        if (scale == CHUNK || i + 1 == text.len) {
            fits = fits && multiply_add(&value, scale, chunk);
            chunk = 0;
            scale = 1;
        }
    }
    if (!fits) {
        return ERR_AMOUNT_OVERFLOW;
    }
    *out = value;
    return OK;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

enum err u256_parse_hex(struct slice text, struct u256 *out)
{
    if (text.len < 3 || text.ptr[0] != '0' || text.ptr[1] != 'x') {
        return ERR_INVALID_HEX;
    }
    struct u256 value = U256_ZERO;
    for (size_t i = 2; i < text.len; i++) {
        int digit = hex_value(text.ptr[i]);
        if (digit < 0) {
            return ERR_INVALID_HEX;
        }
        size_t place = text.len - 1 - i;
        if (place < 2 * U256_BYTES) {
            value.limb[place / 16] |= (uint64_t)digit << (4 * (place % 16));
        }
    }
    if (text.len - 2 > 2 * U256_BYTES) {
        return ERR_AMOUNT_OVERFLOW;
    }
    *out = value;
    return OK;
}

/* a /= 10^19 over its lowest `used` limbs; returns the remainder, which is the next 19 digits. */
static uint64_t take_chunk(uint64_t *a, size_t used)
{
    static const uint64_t reciprocal = RECIPROCAL(CHUNK);
    uint64_t r = 0;
    for (size_t i = used; i-- > 0;) {
        a[i] = divide_2by1(r, a[i], CHUNK, reciprocal, &r);
    }
    return r;
}

/* Writes `count` digits ending right before `end`. */
static void put_digits(char *end, uint64_t value, size_t count)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    for (; count >= 2; count -= 2) {
        end -= 2;
        memcpy(end, pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (count == 1) {
        end[-1] = (char)('0' + value % 10);
    }
}

void u256_format_padded(struct u256 a, char out[U256_TEXT_MAX])
{
    char *end = out + U256_DECIMAL_MAX;
    *end = '\0';
    size_t left = U256_DECIMAL_MAX;
    for (size_t i = 0; i < CHUNKS_MAX; i++) {
        size_t digits = left < CHUNK_DIGITS ? left : CHUNK_DIGITS;
        put_digits(end, take_chunk(a.limb, limbs_used(a.limb, LIMBS)), digits);
        end -= digits;
        left -= digits;
    }
    ASSERT(left == 0 && u256_is_zero(a));
}

size_t u256_format(struct u256 a, char out[U256_TEXT_MAX])
{
    char padded[U256_TEXT_MAX];
    u256_format_padded(a, padded);
    size_t zeros = 0;
    while (zeros < U256_DECIMAL_MAX - 1 && padded[zeros] == '0') {
        zeros++;
    }
    memcpy(out, padded + zeros, U256_DECIMAL_MAX - zeros + 1);
    return U256_DECIMAL_MAX - zeros;
}

size_t u256_format_hex(struct u256 a, char out[U256_TEXT_MAX])
{
    static const char digits[] = "0123456789abcdef";
    unsigned bits = u256_bits(a);
    size_t count = bits == 0 ? 1 : (bits + 3) / 4;
    out[0] = '0';
    out[1] = 'x';
    for (size_t place = 0; place < count; place++) {
        out[2 + count - 1 - place] = digits[a.limb[place / 16] >> (4 * (place % 16)) & 15];
    }
    out[2 + count] = '\0';
    return 2 + count;
}

size_t u256_format_units(struct u256 a, unsigned decimals, char out[U256_TEXT_MAX + 2])
{
    ASSERT(decimals <= U256_DECIMAL_MAX);
    char digits[U256_TEXT_MAX];
    u256_format_padded(a, digits);
    size_t whole = U256_DECIMAL_MAX - decimals;
    size_t from = 0;
    while (from < whole && digits[from] == '0') {
        from++;
    }
    size_t to = U256_DECIMAL_MAX;
    while (to > whole && digits[to - 1] == '0') {
        to--;
    }
    size_t len = whole - from;
    memcpy(out, digits + from, len);
    if (len == 0) {
        out[len++] = '0';
    }
    if (to > whole) {
        out[len++] = '.';
        memcpy(out + len, digits + whole, to - whole);
        len += to - whole;
    }
    out[len] = '\0';
    return len;
}
