#include "kernel/base/config_value.h"

#include "kernel/base/check.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: formatting takes the first that divides. */
static const struct unit duration_units[] = {
    {"d", UINT64_C(86400000000)}, {"h", UINT64_C(3600000000)}, {"min", UINT64_C(60000000)},
    {"s", UINT64_C(1000000)},     {"ms", UINT64_C(1000)},      {"us", UINT64_C(1)},
};
static const struct unit size_units[] = {
    {"GiB", UINT64_C(1) << 30}, {"MiB", UINT64_C(1) << 20}, {"KiB", UINT64_C(1) << 10},
    {"B", UINT64_C(1)},         {"", UINT64_C(1)},
};

struct wei_unit {
    const char *name;
    unsigned decimals;
};
static const struct wei_unit wei_units[] = {{"ether", 18}, {"gwei", 9}, {"wei", 0}, {"", 0}};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool within(const struct config_row *row, uint64_t value)
{
    return value >= row->min && (row->max == 0 || value <= row->max);
}

/* Splits "500ms" where the digits (and, for amounts, the point) end. */
static struct slice cut_unit(struct slice text, bool allow_point, struct slice *out_unit)
{
    size_t i = 0;
    while (i < text.len && (is_digit(text.ptr[i]) || (allow_point && text.ptr[i] == '.'))) {
        i++;
    }
    *out_unit = slice_sub(text, i, text.len);
    return slice_sub(text, 0, i);
}

static bool parse_with_unit(struct slice text, const struct unit *units, size_t count,
                            uint64_t *out)
{
    struct slice unit;
    struct slice digits = cut_unit(text, false, &unit);
    uint64_t value;
    if (slice_parse_u64(digits, &value)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (slice_equal_text(unit, units[i].name)) {
            return !__builtin_mul_overflow(value, units[i].factor, out);
        }
    }
    return false;
}

static bool parse_duration(struct slice text, uint64_t *out)
{
    if (slice_equal_text(text, "0")) {
        *out = 0;
        return true;
    }
    return parse_with_unit(text, duration_units, COUNT(duration_units), out) && *out <= INT64_MAX;
}

enum err config_duration_parse(struct slice text, int64_t *out_usec)
{
    uint64_t usec = 0;
    if (!parse_duration(text, &usec)) {
        return ERR_CONFIG;
    }
    *out_usec = (int64_t)usec;
    return OK;
}

/* Moves the point by writing the fraction, filled up with zeros, behind the whole part. */
static bool parse_decimal(struct slice number, unsigned decimals, struct u256 *out)
{
    struct slice whole;
    struct slice fraction;
    bool has_point = slice_cut(number, '.', &whole, &fraction);
    char digits[U256_DECIMAL_MAX + 20];
    if (whole.len == 0 || (has_point && fraction.len == 0) || fraction.len > decimals ||
        whole.len > U256_DECIMAL_MAX) {
        return false;
    }
    memset(digits, '0', sizeof(digits));
    memcpy(digits, whole.ptr, whole.len);
    if (fraction.len > 0) {
        memcpy(digits + whole.len, fraction.ptr, fraction.len);
    }
    return u256_parse(slice_of(digits, whole.len + decimals), out) == OK;
}

static bool parse_wei(struct slice text, struct u256 *out)
{
    struct slice unit;
    struct slice number = cut_unit(text, true, &unit);
    for (size_t i = 0; i < COUNT(wei_units); i++) {
        if (slice_equal_text(unit, wei_units[i].name)) {
            return parse_decimal(number, wei_units[i].decimals, out);
        }
    }
    return false;
}

static bool is_address(struct slice text)
{
    if (text.len != 42 || text.ptr[0] != '0' || text.ptr[1] != 'x') {
        return false;
    }
    for (size_t i = 2; i < text.len; i++) {
        uint8_t lower = text.ptr[i] | 0x20;
        if (!is_digit(text.ptr[i]) && !(lower >= 'a' && lower <= 'f')) {
            return false;
        }
    }
    return true;
}

static bool is_choice(const struct config_row *row, struct slice text)
{
    for (const char *const *choice = row->choices; *choice; choice++) {
        if (slice_equal_text(text, *choice)) {
            return true;
        }
    }
    return false;
}

static bool parse_bool(struct slice text, bool *out)
{
    bool is_true = slice_equal_text(text, "true");
    if (!is_true && !slice_equal_text(text, "false")) {
        return false;
    }
    *out = is_true;
    return true;
}

/* Texts are also paths and host names: bytes that end or disturb a C string are refused. */
static bool is_clean_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7F) {
            return false;
        }
    }
    return slice_is_utf8(text);
}

enum err config_value_parse(const struct config_row *row, struct slice text, struct arena *arena,
                            union config_value *out)
{
    bool valid = text.len <= CONFIG_VALUE_MAX;
    union config_value value = {.text = NULL};
    uint64_t usec = 0;
    if (!valid) {
        return ERR_CONFIG;
    }
    switch (row->type) {
    case CONFIG_TEXT:
        valid = is_clean_text(text);
        break;
    case CONFIG_ADDRESS:
        valid = text.len == 0 || is_address(text);
        break;
    case CONFIG_ENUM:
        valid = is_choice(row, text);
        break;
    case CONFIG_U64:
        valid = slice_parse_u64(text, &value.u64) == OK && within(row, value.u64);
        break;
    case CONFIG_BOOL:
        valid = parse_bool(text, &value.boolean);
        break;
    case CONFIG_DURATION:
        valid = parse_duration(text, &usec) && within(row, usec);
        value.usec = (int64_t)usec;
        break;
    case CONFIG_SIZE:
        valid = parse_with_unit(text, size_units, COUNT(size_units), &value.u64) &&
                within(row, value.u64);
        break;
    case CONFIG_WEI:
        valid = parse_wei(text, &value.wei);
        break;
    case CONFIG_SECRET:
        secret_init(&value.secret, text.ptr, text.len);
        break;
    }
    if (!valid) {
        return ERR_CONFIG;
    }
    if (row->type == CONFIG_TEXT || row->type == CONFIG_ADDRESS || row->type == CONFIG_ENUM) {
        value.text = slice_cstr(arena, text);
    }
    *out = value;
    return OK;
}

void config_value_store(const struct config_row *row, void *target, union config_value *value)
{
    char *member = (char *)target + row->offset;
    switch (row->type) {
    case CONFIG_TEXT:
    case CONFIG_ADDRESS:
    case CONFIG_ENUM:
        memcpy(member, &value->text, sizeof(value->text));
        break;
    case CONFIG_U64:
    case CONFIG_SIZE:
        memcpy(member, &value->u64, sizeof(value->u64));
        break;
    case CONFIG_BOOL:
        memcpy(member, &value->boolean, sizeof(value->boolean));
        break;
    case CONFIG_DURATION:
        memcpy(member, &value->usec, sizeof(value->usec));
        break;
    case CONFIG_WEI:
        memcpy(member, &value->wei, sizeof(value->wei));
        break;
    case CONFIG_SECRET:
        secret_clear((struct secret *)(void *)member);
        memcpy(member, &value->secret, sizeof(value->secret));
        value->secret = (struct secret){0};
        break;
    }
}

bool config_value_is_unset(const struct config_row *row, const union config_value *value)
{
    switch (row->type) {
    case CONFIG_TEXT:
    case CONFIG_ADDRESS:
    case CONFIG_ENUM:
        return !value->text || value->text[0] == '\0';
    case CONFIG_SECRET:
        return secret_len(&value->secret) == 0;
    case CONFIG_U64:
    case CONFIG_BOOL:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
    case CONFIG_WEI:
        break;
    }
    return false;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void format_with_unit(uint64_t value, const struct unit *units, size_t count,
                             struct buf *out)
{
    size_t i = 0;
    while (i + 1 < count && (value == 0 || value % units[i].factor != 0)) {
        i++;
    }
    buf_add_u64(out, value / units[i].factor);
    buf_add_text(out, units[i].name);
}

static void format_duration(uint64_t usec, struct buf *out)
{
    if (usec == 0) {
        buf_add_text(out, "0s");
    } else {
        format_with_unit(usec, duration_units, COUNT(duration_units), out);
    }
}

static void format_size(uint64_t bytes, struct buf *out)
{
    /* Without "B": plain bytes are the last unit of the table. */
    if (bytes % 1024 != 0 || bytes == 0) {
        buf_add_u64(out, bytes);
    } else {
        format_with_unit(bytes, size_units, COUNT(size_units), out);
    }
}

static void format_wei(struct u256 wei, struct buf *out)
{
    static const struct unit units[] = {{"ether", UINT64_C(1000000000000000000)},
                                        {"gwei", UINT64_C(1000000000)}};
    char text[U256_TEXT_MAX];
    const char *name = "";
    for (size_t i = 0; i < COUNT(units) && !u256_is_zero(wei) && name[0] == '\0'; i++) {
        struct u256 quotient;
        struct u256 rest;
        u256_div(wei, u256_from_u64(units[i].factor), &quotient, &rest);
        if (u256_is_zero(rest)) {
            wei = quotient;
            name = units[i].name;
        }
    }
    u256_format(wei, text);
    buf_add_text(out, text);
    buf_add_text(out, name);
}

/* Keys hide in the user part, the path and the query of a URL; what has no authority has none. */
static void format_urls(struct slice urls, struct buf *out)
{
    for (bool first = true; urls.len > 0; first = false) {
        struct slice url;
        (void)slice_cut(urls, ',', &url, &urls);
        url = slice_trim(url);
        buf_add_text(out, first ? "" : ",");
        const char *mark = memmem(url.ptr, url.len, "://", 3);
        if (mark == NULL) {
            buf_add_slice(out, url);
            continue;
        }
        size_t scheme = (size_t)(mark - (const char *)url.ptr) + 3;
        struct slice rest = slice_sub(url, scheme, url.len);
        size_t end = 0;
        while (end < rest.len && memchr("/?#", rest.ptr[end], 3) == NULL) {
            end++;
        }
        struct slice authority = slice_sub(rest, 0, end);
        struct slice user;
        struct slice host;
        bool has_user = slice_cut(authority, '@', &user, &host);
        buf_add_slice(out, slice_sub(url, 0, scheme));
        buf_add_text(out, has_user ? "***@" : "");
        buf_add_slice(out, has_user ? host : authority);
        buf_add_text(out, end + 1 < rest.len ? "/***" : "");
    }
}

void config_value_format(const struct config_row *row, const void *target, struct buf *out)
{
    const char *member = (const char *)target + row->offset;
    union config_value value;
    switch (row->type) {
    case CONFIG_TEXT:
    case CONFIG_ADDRESS:
    case CONFIG_ENUM:
        memcpy(&value.text, member, sizeof(value.text));
        if ((row->flags & CONFIG_URLS) != 0) {
            format_urls(slice_text(value.text), out);
        } else {
            buf_add_text(out, value.text ? value.text : "");
        }
        break;
    case CONFIG_U64:
        memcpy(&value.u64, member, sizeof(value.u64));
        buf_add_u64(out, value.u64);
        break;
    case CONFIG_BOOL:
        memcpy(&value.boolean, member, sizeof(value.boolean));
        buf_add_text(out, value.boolean ? "true" : "false");
        break;
    case CONFIG_DURATION:
        memcpy(&value.usec, member, sizeof(value.usec));
        ASSERT(value.usec >= 0);
        format_duration((uint64_t)value.usec, out);
        break;
    case CONFIG_SIZE:
        memcpy(&value.u64, member, sizeof(value.u64));
        format_size(value.u64, out);
        break;
    case CONFIG_WEI:
        memcpy(&value.wei, member, sizeof(value.wei));
        format_wei(value.wei, out);
        break;
    case CONFIG_SECRET:
        memcpy(&value.secret, member, sizeof(value.secret));
        buf_add_text(out, secret_len(&value.secret) > 0 ? "[set]" : "");
        break;
    }
}

static void add_bound(const struct config_row *row, uint64_t bound, struct buf *out)
{
    if (row->type == CONFIG_DURATION) {
        format_duration(bound, out);
    } else if (row->type == CONFIG_SIZE) {
        format_size(bound, out);
    } else {
        buf_add_u64(out, bound);
    }
}

static void add_range(const struct config_row *row, struct buf *out)
{
    if (row->min == 0 && row->max == 0) {
        return;
    }
    if (row->max == 0) {
        buf_add_text(out, ", at least ");
        add_bound(row, row->min, out);
        return;
    }
    buf_add_text(out, row->type == CONFIG_U64 ? " from " : ", from ");
    add_bound(row, row->min, out);
    buf_add_text(out, " to ");
    add_bound(row, row->max, out);
}

static void add_choices(const struct config_row *row, struct buf *out)
{
    buf_add_text(out, "one of ");
    for (size_t i = 0; row->choices[i]; i++) {
        if (i > 0) {
            buf_add_text(out, row->choices[i + 1] ? ", " : " or ");
        }
        buf_add_text(out, row->choices[i][0] ? row->choices[i] : "nothing");
    }
}

void config_value_allowed(const struct config_row *row, struct buf *out)
{
    switch (row->type) {
    case CONFIG_TEXT:
        buf_add_text(out, "text");
        break;
    case CONFIG_U64:
        buf_add_text(out, "a whole number");
        add_range(row, out);
        break;
    case CONFIG_BOOL:
        buf_add_text(out, "true or false");
        break;
    case CONFIG_DURATION:
        buf_add_text(out, "a duration such as 500ms, 10s, 5min, 2h or 30d");
        add_range(row, out);
        break;
    case CONFIG_SIZE:
        buf_add_text(out, "a size such as 4096, 64KiB, 50MiB or 1GiB");
        add_range(row, out);
        break;
    case CONFIG_ADDRESS:
        buf_add_text(out, "an address of 0x and 40 hex digits");
        break;
    case CONFIG_WEI:
        buf_add_text(out, "an amount such as 1000 (wei), 30gwei or 0.5ether");
        break;
    case CONFIG_ENUM:
        add_choices(row, out);
        break;
    case CONFIG_SECRET:
        buf_add_text(out, "secret text");
        break;
    }
}
