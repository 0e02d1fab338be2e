#include "kernel/evm/abi_word.h"

#include "kernel/base/check.h"

#define HEAD_BYTES_MAX (1ull << 40)

bool abi_is_word(const struct abi_type *type)
{
    switch (type->kind) {
    case ABI_UINT:
    case ABI_INT:
    case ABI_BOOL:
    case ABI_ADDRESS:
    case ABI_FIXED_BYTES:
        return true;
    case ABI_BYTES:
    case ABI_STRING:
    case ABI_TUPLE:
    case ABI_ARRAY:
    case ABI_LIST:
        return false;
    }
    return false;
}

/* Two's complement: the top bit is the sign. */
static bool is_negative(struct u256 v)
{
    return v.limb[3] >> 63 != 0;
}

static struct u256 complement(struct u256 v)
{
    return (struct u256){{~v.limb[0], ~v.limb[1], ~v.limb[2], ~v.limb[3]}};
}

/* integer_fits says whether a value of UINT, INT, BOOL or ADDRESS is inside its range. */
static bool integer_fits(const struct abi_type *type, struct u256 v)
{
    switch (type->kind) {
    case ABI_UINT:
        return u256_bits(v) <= type->size;
    case ABI_INT:
        return u256_bits(is_negative(v) ? complement(v) : v) < type->size;
    case ABI_BOOL:
        return u256_bits(v) <= 1;
    case ABI_ADDRESS:
        return u256_bits(v) <= 8 * ADDRESS_BYTES;
    case ABI_FIXED_BYTES:
    case ABI_BYTES:
    case ABI_STRING:
    case ABI_TUPLE:
    case ABI_ARRAY:
    case ABI_LIST:
        break;
    }
    ASSERT(!"an integer kind");
    return false;
}

static enum err does_not_fit(const struct abi_type *type, struct why *why)
{
    switch (type->kind) {
    case ABI_UINT:
    case ABI_INT:
        return why_set(why, ERR_INVALID_ENCODING, NULL, "The value does not fit %s%u.",
                       type->kind == ABI_UINT ? "uint" : "int", (unsigned)type->size);
    case ABI_BOOL:
        return why_set(why, ERR_INVALID_ENCODING, NULL, "A bool is neither 0 nor 1.");
    case ABI_ADDRESS:
        return why_set(why, ERR_INVALID_ENCODING, NULL, "An address has more than 20 bytes.");
    case ABI_FIXED_BYTES:
    case ABI_BYTES:
    case ABI_STRING:
    case ABI_TUPLE:
    case ABI_ARRAY:
    case ABI_LIST:
        break;
    }
    return why_set(why, ERR_INVALID_ENCODING, NULL, "The value is not exactly %u bytes.",
                   (unsigned)type->size);
}

enum err abi_word_encode(const struct abi_type *type, const struct abi_value *value,
                         uint8_t out[ABI_WORD], struct why *why)
{
    ASSERT(abi_is_word(type));
    if (type->kind == ABI_FIXED_BYTES) {
        if (value->bytes.len != type->size) {
            return does_not_fit(type, why);
        }
        memcpy(out, value->bytes.ptr, type->size);
        memset(out + type->size, 0, (size_t)(ABI_WORD - type->size));
        return OK;
    }
    if (!integer_fits(type, value->number)) {
        return does_not_fit(type, why);
    }
    u256_encode_be(value->number, out);
    return OK;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

enum err abi_word_decode(const struct abi_type *type, const uint8_t *word, struct abi_value *out,
                         struct why *why)
{
    ASSERT(abi_is_word(type));
    if (type->kind == ABI_FIXED_BYTES) {
        if (!is_zero(word + type->size, (size_t)(ABI_WORD - type->size))) {
            return why_set(why, ERR_INVALID_ENCODING, NULL,
                           "The padding after fixed bytes is not zero.");
        }
        *out = (struct abi_value){.bytes = slice_of(word, type->size)};
        return OK;
    }
    struct u256 v;
    enum err e = u256_decode_be(slice_of(word, ABI_WORD), &v);
    ASSERT(e == OK);
    if (!integer_fits(type, v)) {
        return does_not_fit(type, why);
    }
    *out = (struct abi_value){.number = v};
    return OK;
}

uint64_t abi_head_bytes(const struct abi_type *type)
{
    uint64_t sum = 0;
    if (abi_is_word(type) || abi_is_dynamic(type)) {
        return ABI_WORD;
    }
    if (type->kind == ABI_ARRAY) {
        sum = abi_head_bytes(type->items) * type->size;
    } else {
        for (size_t i = 0; i < type->count; i++) {
            sum += abi_head_bytes(&type->items[i]);
        }
    }
    return sum < HEAD_BYTES_MAX ? sum : HEAD_BYTES_MAX;
}

enum err abi_why_under(struct why *why, enum err e, const struct abi_type *component, size_t index)
{
    char number[24];
    const char *label = component != NULL ? component->name : NULL;
    if (why == NULL) {
        return e;
    }
    if (label == NULL || label[0] == '\0') {
        snprintf(number, sizeof(number), "%zu", index);
        label = number;
    }
    if (why->field[0] == '\0') {
        snprintf(why->field, sizeof(why->field), "%s", label);
        return e;
    }
    return why_prefix_field(why, e, label);
}

void abi_integer_format(const struct abi_type *type, struct u256 value, char out[U256_TEXT_MAX])
{
    if (type->kind != ABI_INT || !is_negative(value)) {
        (void)u256_format(value, out);
        return;
    }
    /* -v = ~v + 1; ~v has no top bit, so the sum stays in range. */
    struct u256 magnitude;
    enum err e = u256_add(complement(value), u256_from_u64(1), &magnitude);
    ASSERT(e == OK);
    out[0] = '-';
    char digits[U256_TEXT_MAX];
    size_t len = u256_format(magnitude, digits);
    ASSERT(len + 2 <= U256_TEXT_MAX);
    memcpy(out + 1, digits, len + 1);
}
