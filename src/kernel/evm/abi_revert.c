#include "kernel/base/json.h"
#include "kernel/evm/abi_word.h"
#include "kernel/evm/address.h"

#define REASON_MAX 300 /* bytes of a contract's own text that are shown */

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

/* plain_text appends a contract's text so that it stays one harmless line. */
static void plain_text(struct buf *out, struct slice text)
{
    if (!slice_is_utf8(text)) {
        buf_add_text(out, "0x");
        buf_add_hex(out, slice_sub(text, 0, REASON_MAX / 2));
        return;
    }
    size_t len = text.len < REASON_MAX ? text.len : REASON_MAX;
    while (len < text.len && (text.ptr[len] & 0xc0) == 0x80) {
        len--; /* not in the middle of a character */
    }
    for (size_t i = 0; i < len; i++) {
        bool control = text.ptr[i] < 0x20 || text.ptr[i] == 0x7f;
        buf_add_byte(out, control ? ' ' : text.ptr[i]);
    }
    if (len < text.len) {
        buf_add_text(out, "...");
    }
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
    } else {
        plain_text(out, value->bytes);
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

struct slice abi_revert_format(struct arena *arena, struct slice data,
                               const struct abi_contract *const *contracts, size_t count)
{
    struct buf out;
    buf_init(&out, arena, 128);
    if (data.len == 0) {
        buf_add_text(&out, "no reason given");
        return buf_slice(&out);
    }
    if (data.len < 4) {
        buf_add_text(&out, "unreadable reason 0x");
        buf_add_hex(&out, data);
        return buf_slice(&out);
    }
    if (reason_format(arena, data, &out) || panic_format(arena, data, &out)) {
        return buf_slice(&out);
    }
    const struct abi_error *error = error_find(contracts, count, data);
    if (error != NULL) {
        custom_format(arena, error, data, &out);
        return buf_slice(&out);
    }
    buf_add_text(&out, "unknown error 0x");
    buf_add_hex(&out, slice_sub(data, 0, 4));
    buf_format(&out, " with %zu bytes of arguments", data.len - 4);
    return buf_slice(&out);
}
