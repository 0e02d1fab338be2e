#include "kernel/base/check.h"
#include "kernel/evm/abi_word.h"

struct encoder {
    struct buf out;
    struct why *why;
};

static enum err value_encode(struct encoder *enc, const struct abi_type *type,
                             const struct abi_value *value);

static void word_add(struct encoder *enc, uint64_t number)
{
    u256_encode_be(u256_from_u64(number), buf_room(&enc->out, ABI_WORD));
    enc->out.len += ABI_WORD;
}

/*
 * sequence_encode writes heads and tails of `count` values. `stride` is 1 for a tuple, whose types
 * differ, and 0 for the elements of an array.
 */
static enum err sequence_encode(struct encoder *enc, const struct abi_type *types, size_t stride,
                                const struct abi_value *values, size_t count)
{
    const size_t base = enc->out.len;
    size_t head = base;
    bool any_dynamic = false;
    ASSERT(count == 0 || values != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct abi_type *type = &types[i * stride];
        if (abi_is_dynamic(type)) {
            any_dynamic = true;
            word_add(enc, 0); /* the offset, patched below */
            continue;
        }
        enum err e = value_encode(enc, type, &values[i]);
        if (e != OK) {
            return abi_why_under(enc->why, e, stride == 0 ? NULL : type, i);
        }
    }
    for (size_t i = 0; i < count && any_dynamic; i++) {
        const struct abi_type *type = &types[i * stride];
        if (abi_is_dynamic(type)) {
            u256_encode_be(u256_from_u64(enc->out.len - base), enc->out.ptr + head);
            enum err e = value_encode(enc, type, &values[i]);
            if (e != OK) {
                return abi_why_under(enc->why, e, stride == 0 ? NULL : type, i);
            }
        }
        head += abi_head_bytes(type);
    }
    return OK;
}

static void bytes_encode(struct encoder *enc, struct slice bytes)
{
    size_t padding = (ABI_WORD - bytes.len % ABI_WORD) % ABI_WORD;
    word_add(enc, bytes.len);
    buf_add_slice(&enc->out, bytes);
    memset(buf_room(&enc->out, padding), 0, padding);
    enc->out.len += padding;
}

static enum err counted_encode(struct encoder *enc, const struct abi_type *type,
                               const struct abi_value *value, size_t wanted, size_t stride)
{
    if (value->count != wanted) {
        return why_set(enc->why, ERR_INVALID_ENCODING, NULL, "There are %zu items instead of %zu.",
                       value->count, wanted);
    }
    return sequence_encode(enc, type->items, stride, value->items, value->count);
}

static enum err value_encode(struct encoder *enc, const struct abi_type *type,
                             const struct abi_value *value)
{
    switch (type->kind) {
    case ABI_UINT:
    case ABI_INT:
    case ABI_BOOL:
    case ABI_ADDRESS:
    case ABI_FIXED_BYTES:
        break;
    case ABI_BYTES:
    case ABI_STRING:
        bytes_encode(enc, value->bytes);
        return OK;
    case ABI_TUPLE:
        return counted_encode(enc, type, value, type->count, 1);
    case ABI_ARRAY:
        return counted_encode(enc, type, value, type->size, 0);
    case ABI_LIST:
        word_add(enc, value->count);
        return sequence_encode(enc, type->items, 0, value->items, value->count);
    }
    enum err e = abi_word_encode(type, value, buf_room(&enc->out, ABI_WORD), enc->why);
    if (e == OK) {
        enc->out.len += ABI_WORD;
    }
    return e;
}

static enum err encode_after(struct arena *arena, struct slice prefix, const struct abi_type *types,
                             const struct abi_value *values, size_t count, struct slice *out,
                             struct why *why)
{
    struct encoder enc = {.why = why};
    buf_init(&enc.out, arena, prefix.len + (count + 1) * 2 * ABI_WORD);
    buf_add_slice(&enc.out, prefix);
    enum err e = sequence_encode(&enc, types, 1, values, count);
    if (e == OK) {
        *out = buf_slice(&enc.out);
    }
    return e;
}

enum err abi_encode(struct arena *arena, const struct abi_type *types,
                    const struct abi_value *values, size_t count, struct slice *out,
                    struct why *why)
{
    return encode_after(arena, SLICE_EMPTY, types, values, count, out, why);
}

enum err abi_encode_call(struct arena *arena, const uint8_t selector[4],
                         const struct abi_type *types, const struct abi_value *values, size_t count,
                         struct slice *out, struct why *why)
{
    return encode_after(arena, slice_of(selector, 4), types, values, count, out, why);
}
