/*
 * abi.h: the whole contract ABI v2: static and dynamic types, nested tuples and arrays.
 *
 * A type is a constant tree (generated bindings in src/gen, or abi_type_parse for text). A value
 * is a tree of the same shape. Encoding checks ranges (a uint16 of 70000 is refused). Decoding is
 * strict where ambiguity could hide something: offsets inside the data, padding of addresses,
 * bools, small integers and byte strings must be right, lengths are bounded by the data, total
 * nodes are bounded so that overlapping offsets cannot explode. Strings are bytes: contracts may
 * put anything into one, and a log must not become unreadable by it.
 */
#ifndef KERNEL_EVM_ABI_H
#define KERNEL_EVM_ABI_H

#include "kernel/base/mem.h"
#include "kernel/base/u256.h"
#include "kernel/crypto/secp256k1.h"

enum abi_kind {
    ABI_UINT, /* bits */
    ABI_INT,  /* bits; two's complement in the u256 */
    ABI_BOOL,
    ABI_ADDRESS,
    ABI_FIXED_BYTES, /* size */
    ABI_BYTES,
    ABI_STRING,
    ABI_TUPLE, /* items */
    ABI_ARRAY, /* items[0] is the element; size is the length */
    ABI_LIST,  /* items[0] is the element; dynamic length */
};

struct abi_type {
    enum abi_kind kind;
    uint16_t size;                /* bits, bytes or array length */
    uint16_t count;               /* components of a tuple; 1 for arrays and lists */
    const struct abi_type *items; /* components or element */
    const char *name;             /* of the parameter or component, "" when it has none */
    bool indexed;                 /* of an event's parameter */
};

struct abi_value {
    struct u256 number;            /* UINT, INT, BOOL (0/1), ADDRESS as integer */
    struct slice bytes;            /* FIXED_BYTES, BYTES, STRING */
    const struct abi_value *items; /* TUPLE, ARRAY, LIST */
    size_t count;
};

#define ABI_NODES_MAX 1000000
#define ABI_DEPTH_MAX 16

/* abi_uint makes a value. */
struct abi_value abi_uint(struct u256 v);
/* abi_u64 makes an integer value. */
struct abi_value abi_u64(uint64_t v);
/* abi_bool makes a value. */
struct abi_value abi_bool(bool v);
/* abi_address makes a value. */
struct abi_value abi_address(const struct address *a);
/* abi_bytes makes a value of bytes, fixed bytes or string. */
struct abi_value abi_bytes(struct slice bytes);
/* abi_hash makes a bytes32 value that borrows the hash. */
struct abi_value abi_hash(const struct hash *h);
/* abi_items makes a tuple, array or list value. */
struct abi_value abi_items(const struct abi_value *items, size_t count);
/* abi_to_address reads an ADDRESS value. */
struct address abi_to_address(const struct abi_value *v);
/* abi_to_hash reads a bytes32 value. */
struct hash abi_to_hash(const struct abi_value *v);

/*
 * abi_encode encodes `count` values as the tuple of `types` (a call's arguments without selector).
 * Errors: ERR_INVALID_ENCODING when a value does not fit its type.
 */
enum err abi_encode(struct arena *arena, const struct abi_type *types,
                    const struct abi_value *values, size_t count, struct slice *out,
                    struct why *why) ERR_CHECKED;

/* abi_encode_call puts the 4-byte selector before the arguments. Errors: as abi_encode. */
enum err abi_encode_call(struct arena *arena, const uint8_t selector[4],
                         const struct abi_type *types, const struct abi_value *values, size_t count,
                         struct slice *out, struct why *why) ERR_CHECKED;

/*
 * abi_decode decodes the tuple of `types`. Owns: values live in the arena, byte slices borrow
 * `data`. Trailing bytes after the last used word are allowed (Solidity allows them).
 * Errors: ERR_INVALID_ENCODING.
 */
enum err abi_decode(struct arena *arena, const struct abi_type *types, size_t count,
                    struct slice data, const struct abi_value **out, struct why *why) ERR_CHECKED;

/* abi_type_format appends the canonical text ("(uint256,string[])"). */
void abi_type_format(struct buf *out, const struct abi_type *type);

/* abi_type_parse reads canonical text, with optional parameter names. Errors: ERR_INVALID_ENCODING.
 */
enum err abi_type_parse(struct arena *arena, struct slice text, const struct abi_type **out,
                        struct why *why) ERR_CHECKED;

/* abi_is_dynamic says whether a type is encoded by offset. */
bool abi_is_dynamic(const struct abi_type *type);

/* ---- functions, events and errors as rows (generated) ---- */

struct abi_function {
    const char *name;
    const char *signature; /* canonical */
    uint8_t selector[4];
    const struct abi_type *inputs;
    uint16_t input_count;
    const struct abi_type *outputs;
    uint16_t output_count;
};

struct abi_event {
    const char *name;
    const char *signature;
    struct hash topic;
    const struct abi_type *inputs; /* in declaration order; `indexed` marks topics */
    uint16_t input_count;
    uint16_t indexed_count;
};

struct abi_error {
    const char *name;
    const char *signature;
    uint8_t selector[4];
    const struct abi_type *inputs;
    uint16_t input_count;
};

struct abi_contract {
    const char *name;
    const struct abi_function *functions;
    uint16_t function_count;
    const struct abi_event *events;
    uint16_t event_count;
    const struct abi_error *errors;
    uint16_t error_count;
};

struct evm_log;  /* block.h */
struct json_out; /* base/json.h */

/* abi_event_find returns the row with this topic and number of topics, or NULL. */
const struct abi_event *abi_event_find(const struct abi_contract *contract,
                                       const struct evm_log *log);

/*
 * abi_event_decode decodes a log into one value per input, in declaration order. An indexed
 * dynamic input (string, bytes, array, tuple) is its 32-byte hash.
 * Errors: ERR_INVALID_ENCODING.
 */
enum err abi_event_decode(struct arena *arena, const struct abi_event *event,
                          const struct evm_log *log, const struct abi_value **out,
                          struct why *why) ERR_CHECKED;

/* abi_function_find returns the row whose selector begins `calldata`, or NULL. */
const struct abi_function *abi_function_find(const struct abi_contract *contract,
                                             struct slice calldata);

/*
 * abi_revert_format explains revert data as one sentence in the arena: Error(string),
 * Panic(uint256) with its meaning, a custom error of one of the contracts with argument values, or
 * the raw selector. The text comes from the contract: it is cut at 400 bytes and freed of control
 * characters.
 */
struct slice abi_revert_format(struct arena *arena, struct slice data,
                               const struct abi_contract *const *contracts, size_t count);

/* abi_value_json writes a decoded value as JSON (integers as strings, bytes as hex). */
void abi_value_json(struct json_out *j, const struct abi_type *type, const struct abi_value *value);

#endif
