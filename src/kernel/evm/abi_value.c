#include "kernel/base/check.h"
#include "kernel/base/json.h"
#include "kernel/evm/abi_word.h"
#include "kernel/evm/address.h"

struct abi_value abi_uint(struct u256 v)
{
    return (struct abi_value){.number = v};
}

struct abi_value abi_u64(uint64_t v)
{
    return (struct abi_value){.number = u256_from_u64(v)};
}

struct abi_value abi_bool(bool v)
{
    return abi_u64(v ? 1 : 0);
}

struct abi_value abi_address(const struct address *a)
{
    struct abi_value value = {0};
    enum err e = u256_decode_be(address_slice(a), &value.number);
    ASSERT(e == OK);
    return value;
}

struct abi_value abi_bytes(struct slice bytes)
{
    return (struct abi_value){.bytes = bytes};
}

struct abi_value abi_hash(const struct hash *h)
{
    return abi_bytes(hash_slice(h));
}

struct abi_value abi_items(const struct abi_value *items, size_t count)
{
    return (struct abi_value){.items = items, .count = count};
}

struct address abi_to_address(const struct abi_value *v)
{
    uint8_t word[ABI_WORD];
    u256_encode_be(v->number, word);
    return address_of_bytes(slice_of(word + ABI_WORD - ADDRESS_BYTES, ADDRESS_BYTES));
}

struct hash abi_to_hash(const struct abi_value *v)
{
    struct hash h;
    ASSERT(v->bytes.len == HASH_BYTES);
    memcpy(h.bytes, v->bytes.ptr, HASH_BYTES);
    return h;
}

/* A tuple whose components all have names becomes an object, any other an array. */
static bool is_named(const struct abi_type *type)
{
    for (size_t i = 0; i < type->count; i++) {
        if (type->items[i].name == NULL || type->items[i].name[0] == '\0') {
            return false;
        }
    }
    return type->kind == ABI_TUPLE && type->count > 0;
}

static void items_json(struct json_out *j, const struct abi_type *type,
                       const struct abi_value *value)
{
    const size_t stride = type->kind == ABI_TUPLE;
    json_begin_array(j);
    for (size_t i = 0; i < value->count; i++) {
        abi_value_json(j, &type->items[i * stride], &value->items[i]);
    }
    json_end_array(j);
}

static void object_json(struct json_out *j, const struct abi_type *type,
                        const struct abi_value *value)
{
    ASSERT(value->count == type->count);
    json_begin_object(j);
    for (size_t i = 0; i < value->count; i++) {
        json_key_slice(j, slice_text(type->items[i].name));
        abi_value_json(j, &type->items[i], &value->items[i]);
    }
    json_end_object(j);
}

void abi_value_json(struct json_out *j, const struct abi_type *type, const struct abi_value *value)
{
    char text[U256_TEXT_MAX];
    struct address address;
    switch (type->kind) {
    case ABI_UINT:
    case ABI_INT:
        abi_integer_format(type, value->number, text);
        json_text(j, text);
        break;
    case ABI_BOOL:
        json_bool(j, !u256_is_zero(value->number));
        break;
    case ABI_ADDRESS:
        address = abi_to_address(value);
        json_address(j, &address);
        break;
    case ABI_FIXED_BYTES:
    case ABI_BYTES:
        json_hex(j, value->bytes);
        break;
    case ABI_STRING:
        /* Contracts may hold any bytes in a string; JSON may not. */
        if (slice_is_utf8(value->bytes)) {
            json_string(j, value->bytes);
        } else {
            json_hex(j, value->bytes);
        }
        break;
    case ABI_TUPLE:
        if (is_named(type)) {
            object_json(j, type, value);
            break;
        }
        items_json(j, type, value);
        break;
    case ABI_ARRAY:
    case ABI_LIST:
        items_json(j, type, value);
        break;
    }
}
