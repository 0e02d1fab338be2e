/*
 * Answers questions about crypto and evm: reads one JSON object a line from stdin and writes one a
 * line to stdout. tests/diff/evm.mjs asks, and compares with ethers.
 *
 *   {"op":"abi_encode","type":"(uint8,string)","value":["1","x"]}  ->  {"data":"0x..."}
 *
 * A refusal is {"error":"code","field":"...","text":"..."}.
 */
#include "kernel/base/hex.h"
#include "kernel/base/json.h"
#include "kernel/crypto/keystore.h"
#include "kernel/evm/abi.h"
#include "kernel/evm/address.h"
#include "kernel/evm/eip712.h"
#include "kernel/evm/rlp.h"
#include "kernel/evm/tx.h"

struct question {
    struct arena *arena;
    const struct json *v;
    struct json_out *out;
    struct why *why;
};

/* ---- reading arguments ---- */

static enum err key_of(struct question *q, const char *name, struct secret *out)
{
    struct hash bytes;
    enum err e = json_get_hash(q->v, name, &bytes, q->why);
    if (e == OK) {
        secret_init(out, bytes.bytes, HASH_BYTES);
    }
    return e;
}

static enum err password_of(struct question *q, struct secret *out)
{
    struct slice text;
    enum err e = json_get_text(q->v, "password", &text, q->why);
    if (e == OK) {
        secret_init(out, text.ptr, text.len);
    }
    return e;
}

static enum err type_of(struct question *q, const struct abi_type **out)
{
    struct slice text;
    enum err e = json_get_text(q->v, "type", &text, q->why);
    return e == OK ? abi_type_parse(q->arena, text, out, q->why) : e;
}

/* integer_read reads decimal text with an optional sign into two's complement. */
static enum err integer_read(const struct abi_type *type, struct slice text, struct u256 *out)
{
    const struct u256 top_bit = {{0, 0, 0, 1ull << 63}};
    const bool negative = slice_starts(text, SLICE_LIT("-"));
    struct u256 magnitude;
    enum err e = u256_parse(slice_sub(text, negative ? 1 : 0, text.len), &magnitude);
    if (e != OK || (negative && type->kind != ABI_INT)) {
        return ERR_INVALID_ENCODING;
    }
    int order = u256_compare(magnitude, top_bit);
    if (type->kind == ABI_INT && (order > 0 || (order == 0 && !negative))) {
        return ERR_INVALID_ENCODING;
    }
    if (!negative || u256_is_zero(magnitude)) {
        *out = magnitude;
        return OK;
    }
    e = u256_sub(U256_MAX, magnitude, &magnitude);
    return e == OK ? u256_add(magnitude, u256_from_u64(1), out) : e;
}

static enum err value_read(struct question *q, const struct abi_type *type, const struct json *v,
                           struct abi_value *out);

static enum err items_read(struct question *q, const struct abi_type *type, const struct json *v,
                           struct abi_value *out)
{
    struct abi_value *items = arena_alloc_array(q->arena, v->count, sizeof(*items));
    size_t i = 0;
    if (v->type != JSON_ARRAY || (type->kind == ABI_TUPLE && v->count != type->count)) {
        return ERR_INVALID_ENCODING;
    }
    for (const struct json *item = v->child; item != NULL; item = item->next) {
        const struct abi_type *t = type->kind == ABI_TUPLE ? &type->items[i] : type->items;
        enum err e = value_read(q, t, item, &items[i]);
        if (e != OK) {
            return e;
        }
        i++;
    }
    *out = abi_items(items, i);
    return OK;
}

static enum err value_read(struct question *q, const struct abi_type *type, const struct json *v,
                           struct abi_value *out)
{
    struct address address;
    switch (type->kind) {
    case ABI_UINT:
    case ABI_INT:
        *out = (struct abi_value){.count = 0};
        return integer_read(type, v->text, &out->number);
    case ABI_BOOL:
        *out = abi_bool(v->type == JSON_TRUE);
        return OK;
    case ABI_ADDRESS: {
        enum err e = address_parse(v->text, &address);
        *out = e == OK ? abi_address(&address) : *out;
        return e;
    }
    case ABI_FIXED_BYTES:
    case ABI_BYTES:
        *out = abi_bytes(SLICE_EMPTY);
        return hex_decode(q->arena, v->text, &out->bytes);
    case ABI_STRING:
        *out = abi_bytes(v->text);
        return OK;
    case ABI_TUPLE:
    case ABI_ARRAY:
    case ABI_LIST:
        return items_read(q, type, v, out);
    }
    return ERR_INTERNAL;
}

/* ---- operations: each writes the members of its answer ---- */

static void put_hex(struct question *q, const char *key, struct slice bytes)
{
    json_key(q->out, key);
    json_hex(q->out, bytes);
}

static enum err op_keccak(struct question *q)
{
    struct slice data;
    enum err e = json_get_hex(q->arena, q->v, "data", &data, q->why);
    if (e == OK) {
        struct hash h = keccak256(data);
        put_hex(q, "hash", hash_slice(&h));
    }
    return e;
}

static enum err op_personal(struct question *q)
{
    struct slice data;
    enum err e = json_get_hex(q->arena, q->v, "data", &data, q->why);
    if (e == OK) {
        struct hash h = eip712_personal(data);
        put_hex(q, "hash", hash_slice(&h));
    }
    return e;
}

static enum err op_abi_encode(struct question *q)
{
    const struct abi_type *type = NULL;
    struct abi_value value;
    struct slice data;
    enum err e = type_of(q, &type);
    if (e == OK) {
        e = value_read(q, type, json_find(q->v, "value"), &value);
    }
    if (e == OK) {
        e = abi_encode(q->arena, type->items, value.items, type->count, &data, q->why);
    }
    if (e == OK) {
        put_hex(q, "data", data);
    }
    return e;
}

static enum err op_abi_decode(struct question *q)
{
    const struct abi_type *type = NULL;
    const struct abi_value *values = NULL;
    struct slice data;
    enum err e = type_of(q, &type);
    if (e == OK) {
        e = json_get_hex(q->arena, q->v, "data", &data, q->why);
    }
    if (e == OK) {
        e = abi_decode(q->arena, type->items, type->count, data, &values, q->why);
    }
    if (e == OK) {
        struct abi_value tuple = abi_items(values, type->count);
        json_key(q->out, "value");
        abi_value_json(q->out, type, &tuple);
    }
    return e;
}

static enum err rlp_add(struct question *q, struct buf *out, const struct json *v)
{
    struct slice bytes;
    if (v->type == JSON_STRING) {
        enum err e = hex_decode(q->arena, v->text, &bytes);
        if (e == OK) {
            rlp_add_bytes(out, bytes);
        }
        return e;
    }
    size_t list = rlp_begin_list(out);
    for (const struct json *item = v->child; item != NULL; item = item->next) {
        enum err e = rlp_add(q, out, item);
        if (e != OK) {
            return e;
        }
    }
    rlp_end_list(out, list);
    return OK;
}

static enum err op_rlp_encode(struct question *q)
{
    struct buf out;
    buf_init(&out, q->arena, 64);
    enum err e = rlp_add(q, &out, json_find(q->v, "value"));
    if (e == OK) {
        put_hex(q, "data", buf_slice(&out));
    }
    return e;
}

static void rlp_json(struct json_out *j, const struct rlp *item)
{
    if (!item->is_list) {
        json_hex(j, item->bytes);
        return;
    }
    json_begin_array(j);
    for (const struct rlp *child = item->child; child != NULL; child = child->next) {
        rlp_json(j, child);
    }
    json_end_array(j);
}

static enum err op_rlp_decode(struct question *q)
{
    const struct rlp *item = NULL;
    struct slice data;
    enum err e = json_get_hex(q->arena, q->v, "data", &data, q->why);
    if (e == OK) {
        e = rlp_decode(q->arena, data, &item, q->why);
    }
    if (e == OK) {
        json_key(q->out, "value");
        rlp_json(q->out, item);
    }
    return e;
}

static enum err op_typed(struct question *q)
{
    struct hash h;
    enum err e = eip712_typed_data(q->arena, json_find(q->v, "document"), &h, q->why);
    if (e == OK) {
        put_hex(q, "hash", hash_slice(&h));
    }
    return e;
}

static enum err wei_of_member(const struct json *v, const char *key, struct wei_amount *out,
                              struct why *why)
{
    struct u256 units;
    enum err e = json_get_u256(v, key, &units, why);
    if (e == OK) {
        *out = wei_of(units);
    }
    return e;
}

static enum err tx_read(struct question *q, struct tx *tx)
{
    uint64_t type = 0;
    enum err e = json_get_u64(q->v, "type", &type, q->why);
    tx->kind = type == 2 ? TX_EIP1559 : TX_LEGACY;
    if (e == OK) {
        e = json_get_u64(q->v, "chainId", &tx->chain_id, q->why);
    }
    if (e == OK) {
        e = json_get_u64(q->v, "nonce", &tx->nonce, q->why);
    }
    if (e == OK) {
        e = json_get_u64(q->v, "gas", &tx->gas_limit, q->why);
    }
    if (e == OK) {
        e = wei_of_member(q->v, "feeMax", &tx->fee_max, q->why);
    }
    if (e == OK && tx->kind == TX_EIP1559) {
        e = wei_of_member(q->v, "feePriority", &tx->fee_priority, q->why);
    }
    if (e == OK) {
        e = wei_of_member(q->v, "value", &tx->value, q->why);
    }
    tx->has_to = json_find(q->v, "to") != NULL;
    if (e == OK && tx->has_to) {
        e = json_get_address(q->v, "to", &tx->to, q->why);
    }
    return e == OK ? json_get_hex(q->arena, q->v, "data", &tx->data, q->why) : e;
}

static enum err op_tx_sign(struct question *q)
{
    struct tx tx = {.nonce = 0};
    struct secret key;
    struct slice raw;
    struct hash hash;
    enum err e = tx_read(q, &tx);
    if (e == OK) {
        e = key_of(q, "key", &key);
    }
    if (e != OK) {
        return e;
    }
    e = tx_sign(q->arena, &tx, &key, &raw, &hash);
    secret_clear(&key);
    if (e == OK) {
        put_hex(q, "raw", raw);
        put_hex(q, "hash", hash_slice(&hash));
    }
    return e;
}

static void put_u64_text(struct question *q, const char *key, uint64_t value)
{
    json_key(q->out, key);
    json_u256(q->out, u256_from_u64(value));
}

static void tx_json(struct question *q, const struct tx *tx)
{
    put_u64_text(q, "type", tx->kind);
    put_u64_text(q, "chainId", tx->chain_id);
    put_u64_text(q, "nonce", tx->nonce);
    put_u64_text(q, "gas", tx->gas_limit);
    json_key(q->out, "feeMax");
    json_u256(q->out, wei_raw(tx->fee_max));
    json_key(q->out, "feePriority");
    json_u256(q->out, wei_raw(tx->fee_priority));
    json_key(q->out, "value");
    json_u256(q->out, wei_raw(tx->value));
    json_key(q->out, "to");
    if (tx->has_to) {
        json_address(q->out, &tx->to);
    } else {
        json_null(q->out);
    }
    put_hex(q, "data", tx->data);
}

static enum err op_tx_decode(struct question *q)
{
    struct slice raw;
    struct tx tx;
    struct address from;
    struct hash hash;
    enum err e = json_get_hex(q->arena, q->v, "raw", &raw, q->why);
    if (e == OK) {
        e = tx_decode(q->arena, raw, &tx, &from, &hash, q->why);
    }
    if (e == OK) {
        tx_json(q, &tx);
        json_key(q->out, "from");
        json_address(q->out, &from);
        put_hex(q, "hash", hash_slice(&hash));
    }
    return e;
}

static enum err op_address(struct question *q)
{
    struct address a;
    enum err e = json_get_address(q->v, "address", &a, q->why);
    if (e == OK) {
        json_key(q->out, "address");
        json_address(q->out, &a);
    }
    return e;
}

static enum err op_create(struct question *q)
{
    struct address a;
    uint64_t nonce = 0;
    enum err e = json_get_address(q->v, "from", &a, q->why);
    if (e == OK) {
        e = json_get_u64(q->v, "nonce", &nonce, q->why);
    }
    if (e == OK) {
        a = address_of_create(&a, nonce);
        json_key(q->out, "address");
        json_address(q->out, &a);
    }
    return e;
}

static enum err op_sign(struct question *q)
{
    struct secret key;
    struct hash digest;
    struct signature sig;
    struct address address;
    uint8_t bytes[SIGNATURE_BYTES];
    enum err e = json_get_hash(q->v, "digest", &digest, q->why);
    if (e == OK) {
        e = key_of(q, "key", &key);
    }
    if (e != OK) {
        return e;
    }
    e = secp256k1_sign(&key, &digest, &sig);
    if (e == OK) {
        e = secp256k1_address(&key, &address);
    }
    secret_clear(&key);
    if (e == OK) {
        signature_encode(&sig, bytes);
        put_hex(q, "signature", slice_of(bytes, sizeof(bytes)));
        json_key(q->out, "address");
        json_address(q->out, &address);
    }
    return e;
}

static enum err op_recover(struct question *q)
{
    struct hash digest;
    struct slice bytes;
    struct signature sig;
    struct address a;
    enum err e = json_get_hash(q->v, "digest", &digest, q->why);
    if (e == OK) {
        e = json_get_hex(q->arena, q->v, "signature", &bytes, q->why);
    }
    if (e == OK) {
        e = signature_decode(bytes, &sig, q->why);
    }
    if (e == OK) {
        e = secp256k1_recover(&digest, &sig, &a, q->why);
    }
    if (e == OK) {
        json_key(q->out, "address");
        json_address(q->out, &a);
    }
    return e;
}

static enum err op_mnemonic(struct question *q)
{
    struct slice text;
    uint64_t index = 0;
    struct secret key;
    enum err e = json_get_text(q->v, "mnemonic", &text, q->why);
    if (e == OK) {
        e = json_get_u64(q->v, "index", &index, q->why);
    }
    if (e == OK) {
        e = keystore_mnemonic_key(text, (uint32_t)index, &key);
    }
    if (e == OK) {
        put_hex(q, "key", slice_of(secret_bytes(&key), secret_len(&key)));
        secret_clear(&key);
    }
    return e;
}

static enum err op_keystore_encode(struct question *q)
{
    struct secret key, password;
    struct slice json;
    uint64_t log2_n = 0;
    enum err e = json_get_u64(q->v, "log2n", &log2_n, q->why);
    if (e == OK) {
        e = key_of(q, "key", &key);
    }
    if (e != OK) {
        return e;
    }
    e = password_of(q, &password);
    if (e == OK) {
        e = keystore_encode(q->arena, &key, &password, (struct keystore_cost){(uint32_t)log2_n},
                            &json, q->why);
        secret_clear(&password);
    }
    secret_clear(&key);
    if (e == OK) {
        json_key(q->out, "json");
        json_string(q->out, json);
    }
    return e;
}

static enum err op_keystore_decode(struct question *q)
{
    struct secret key, password;
    struct slice json;
    struct address a;
    enum err e = json_get_text(q->v, "json", &json, q->why);
    if (e == OK) {
        e = password_of(q, &password);
    }
    if (e != OK) {
        return e;
    }
    e = keystore_decode(json, &password, &key, &a, q->why);
    secret_clear(&password);
    if (e == OK) {
        put_hex(q, "key", slice_of(secret_bytes(&key), secret_len(&key)));
        json_key(q->out, "address");
        json_address(q->out, &a);
        secret_clear(&key);
    }
    return e;
}

static const struct {
    const char *name;
    enum err (*run)(struct question *q);
} operations[] = {
    {"keccak", op_keccak},
    {"personal", op_personal},
    {"abi_encode", op_abi_encode},
    {"abi_decode", op_abi_decode},
    {"rlp_encode", op_rlp_encode},
    {"rlp_decode", op_rlp_decode},
    {"typed", op_typed},
    {"tx_sign", op_tx_sign},
    {"tx_decode", op_tx_decode},
    {"address", op_address},
    {"create", op_create},
    {"sign", op_sign},
    {"recover", op_recover},
    {"mnemonic", op_mnemonic},
    {"keystore_encode", op_keystore_encode},
    {"keystore_decode", op_keystore_decode},
};

static enum err run(struct question *q)
{
    struct slice name;
    enum err e = json_get_text(q->v, "op", &name, q->why);
    for (size_t i = 0; e == OK && i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (slice_equal_text(name, operations[i].name)) {
            return operations[i].run(q);
        }
    }
    return e != OK ? e : why_set(q->why, ERR_USAGE, "op", "There is no such operation.");
}

static void answer(struct arena *arena, struct slice line)
{
    struct why why = {.err = OK};
    struct buf out;
    struct json_out j;
    struct question q = {.arena = arena, .out = &j, .why = &why};
    buf_init(&out, arena, line.len + 256);
    json_out_init(&j, &out);
    json_begin_object(&j);
    enum err e = json_parse(arena, line, &json_limits_node, &q.v, &why);
    if (e == OK) {
        e = run(&q);
    }
    if (e != OK) {
        json_key(&j, "error");
        json_text(&j, err_code(e));
        json_key(&j, "field");
        json_text(&j, why.field);
        json_key(&j, "text");
        json_text(&j, why_text(&why, e));
    }
    json_end_object(&j);
    buf_add_byte(&out, '\n');
    fwrite(out.ptr, 1, out.len, stdout);
}

int main(void)
{
    struct arena arena;
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    arena_init(&arena, 1 << 20);
    while ((len = getline(&line, &room, stdin)) > 0) {
        answer(&arena, slice_trim(slice_of(line, (size_t)len)));
        arena_clear(&arena);
    }
    free(line);
    arena_free(&arena);
    return 0;
}
