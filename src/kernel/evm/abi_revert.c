#include "kernel/base/json.h"
#include "kernel/evm/abi_word.h"
#include "kernel/evm/address.h"

#define TEXT_MAX 400 /* bytes that are shown; contracts choose how much they say */

static const uint8_t error_selector[4] = {0x08, 0xc3, 0x79, 0xa0}; /* Error(string) */
static const uint8_t panic_selector[4] = {0x4e, 0x48, 0x7b, 0x71}; /* Panic(uint256) */

/* Codes of the Solidity manual, section "Panic via assert and Error via require". */
static const char *panic_meaning(uint64_t code)
{
    static const struct {
        uint64_t code;
        const char *meaning;
    } rows[] = {
        {0x00, "generic compiler panic"},           {0x01, "failed assertion"},
        {0x11, "arithmetic overflow or underflow"}, {0x12, "division by zero"},
        {0x21, "value outside its enum"},           {0x22, "wrongly encoded storage byte array"},
        {0x31, "pop from an empty array"},          {0x32, "array index out of bounds"},
        {0x41, "too much memory requested"},        {0x51, "call of an uninitialised function"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].code == code) {
            return rows[i].meaning;
        }
    }
    return "unknown panic code";
}

/*
 * disguise_at returns the length of a character that could break the line or turn what a reader
 * sees: C0, DEL, C1 (U+0080..9F), line and paragraph separators, bidirectional controls; else 0.
 */
static size_t disguise_at(struct slice text, size_t at)
{
    const uint8_t *c = text.ptr + at;
    if (c[0] < 0x20 || c[0] == 0x7f) {
        return 1;
    }
    if (c[0] == 0xc2 && c[1] < 0xa0) {
        return 2;
    }
    if (c[0] != 0xe2) {
        return 0;
    }
    bool separator = c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae; /* U+2028..202E */
    bool isolate = c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9;   /* U+2066..2069 */
    return separator || isolate ? 3 : 0;
}

/* one_line returns the text, which must be UTF-8, as one harmless line of bounded length. */
static struct slice one_line(struct arena *arena, struct slice text)
{
    struct buf out;
    size_t len = text.len < TEXT_MAX ? text.len : TEXT_MAX;
    while (len < text.len && (text.ptr[len] & 0xc0) == 0x80) {
        len--; /* not in the middle of a character */
    }
    buf_init(&out, arena, len + 3);
    for (size_t i = 0; i < len;) {
        size_t disguise = disguise_at(text, i);
        buf_add_byte(&out, disguise > 0 ? ' ' : text.ptr[i]);
        i += disguise > 0 ? disguise : 1;
    }
    if (len < text.len) {
        buf_add_text(&out, "...");
    }
    return buf_slice(&out);
}

/* one_decode decodes the single argument of Error or Panic. */
static bool one_decode(struct arena *arena, enum abi_kind kind, struct slice data,
                       const struct abi_value **out)
{
    const struct abi_type type = {.kind = kind, .size = 256, .name = ""};
    return abi_decode(arena, &type, 1, slice_sub(data, 4, data.len), out, NULL) == OK;
}

static bool is_selector(struct slice data, const uint8_t selector[4])
{
    return memcmp(data.ptr, selector, 4) == 0;
}

static bool reason_format(struct arena *arena, struct slice data, struct buf *out)
{
    const struct abi_value *value = NULL;
    if (!is_selector(data, error_selector) || !one_decode(arena, ABI_STRING, data, &value)) {
        return false;
    }
    if (value->bytes.len == 0) {
        buf_add_text(out, "no reason given");
    } else if (slice_is_utf8(value->bytes)) {
        buf_add_slice(out, value->bytes);
    } else {
        buf_add_text(out, "0x");
        buf_add_hex(out, value->bytes);
    }
    return true;
}

static bool panic_format(struct arena *arena, struct slice data, struct buf *out)
{
    const struct abi_value *value = NULL;
    uint64_t code = UINT64_MAX;
    char hex[U256_TEXT_MAX];
    if (!is_selector(data, panic_selector) || !one_decode(arena, ABI_UINT, data, &value)) {
        return false;
    }
    if (u256_to_u64(value->number, &code) != OK) {
        code = UINT64_MAX;
    }
    (void)u256_format_hex(value->number, hex);
    buf_format(out, "panic %s: %s", hex, panic_meaning(code));
    return true;
}

static void argument_format(struct buf *out, const struct abi_type *type,
                            const struct abi_value *value)
{
    struct json_out j;
    char text[U256_TEXT_MAX];
    if (type->kind == ABI_UINT || type->kind == ABI_INT) {
        abi_integer_format(type, value->number, text);
        buf_add_text(out, text);
    } else if (type->kind == ABI_ADDRESS) {
        char checksummed[ADDRESS_TEXT_MAX];
        struct address address = abi_to_address(value);
        address_format(&address, checksummed);
        buf_add_text(out, checksummed);
    } else if (type->kind == ABI_FIXED_BYTES) {
        buf_add_text(out, "0x");
        buf_add_hex(out, value->bytes);
    } else {
        json_out_init(&j, out);
        abi_value_json(&j, type, value);
    }
}

static void custom_format(struct arena *arena, const struct abi_error *error, struct slice data,
                          struct buf *out)
{
    const struct abi_value *values = NULL;
    buf_add_text(out, error->name);
    buf_add_byte(out, '(');
    if (abi_decode(arena, error->inputs, error->input_count, slice_sub(data, 4, data.len), &values,
                   NULL) != OK) {
        buf_add_text(out, "...)");
        return;
    }
    for (size_t i = 0; i < error->input_count; i++) {
        const struct abi_type *type = &error->inputs[i];
        if (i > 0) {
            buf_add_text(out, ", ");
        }
        if (type->name != NULL && type->name[0] != '\0') {
            buf_format(out, "%s ", type->name);
        }
        argument_format(out, type, &values[i]);
    }
    buf_add_byte(out, ')');
}

static const struct abi_error *error_find(const struct abi_contract *const *contracts, size_t count,
                                          struct slice data)
{
    for (size_t c = 0; c < count; c++) {
        for (size_t i = 0; i < contracts[c]->error_count; i++) {
            if (is_selector(data, contracts[c]->errors[i].selector)) {
                return &contracts[c]->errors[i];
            }
        }
    }
    return NULL;
}

static void explain(struct arena *arena, struct slice data,
                    const struct abi_contract *const *contracts, size_t count, struct buf *out)
{
    if (data.len < 4) {
        buf_add_text(out, data.len == 0 ? "no reason given" : "unreadable reason 0x");
        buf_add_hex(out, data);
        return;
    }
    if (reason_format(arena, data, out) || panic_format(arena, data, out)) {
        return;
    }
    const struct abi_error *error = error_find(contracts, count, data);
    if (error != NULL) {
        custom_format(arena, error, data, out);
        return;
    }
    buf_add_text(out, "unknown error 0x");
    buf_add_hex(out, slice_sub(data, 0, 4));
    buf_format(out, " with %zu bytes of arguments", data.len - 4);
}

struct slice abi_revert_format(struct arena *arena, struct slice data,
                               const struct abi_contract *const *contracts, size_t count)
{
    struct buf out;
    buf_init(&out, arena, 128);
    explain(arena, data, contracts, count, &out);
    return one_line(arena, buf_slice(&out));
}
