#include "kernel/evm/tx_node.h"

#include "kernel/evm/member.h"
#include "kernel/evm/rlp.h"

#define FIELDS_MAX 14

enum tx_field_kind {
    TX_FIELD_END,
    TX_FIELD_QUANTITY,
    TX_FIELD_OPTIONAL,  /* a quantity; missing is zero */
    TX_FIELD_FLAG,      /* true or false; missing is false */
    TX_FIELD_BYTES,     /* of any length */
    TX_FIELD_ADDRESS,   /* 20 bytes */
    TX_FIELD_RECIPIENT, /* 20 bytes, or nothing: a creation */
    TX_FIELD_HASH,      /* 32 bytes */
    TX_FIELD_HASHES,
    TX_FIELD_PARITY, /* yParity; older nodes write it as v */
    TX_FIELD_ACCESS_LIST,
    TX_FIELD_AUTHORIZATIONS,
};

struct tx_field {
    const char *key;
    enum tx_field_kind kind;
};

struct tx_type {
    uint8_t type;
    struct tx_field fields[FIELDS_MAX];
};

static const struct tx_type types[] = {
    {0x00, /* Yellow Paper, EIP-155 */
     {{"nonce", TX_FIELD_QUANTITY},
      {"gasPrice", TX_FIELD_QUANTITY},
      {"gas", TX_FIELD_QUANTITY},
      {"to", TX_FIELD_RECIPIENT},
      {"value", TX_FIELD_QUANTITY},
      {"input", TX_FIELD_BYTES},
      {"v", TX_FIELD_QUANTITY},
      {"r", TX_FIELD_QUANTITY},
      {"s", TX_FIELD_QUANTITY}}},
    {0x01, /* EIP-2930 */
     {{"chainId", TX_FIELD_QUANTITY},
      {"nonce", TX_FIELD_QUANTITY},
      {"gasPrice", TX_FIELD_QUANTITY},
      {"gas", TX_FIELD_QUANTITY},
      {"to", TX_FIELD_RECIPIENT},
      {"value", TX_FIELD_QUANTITY},
      {"input", TX_FIELD_BYTES},
      {"accessList", TX_FIELD_ACCESS_LIST},
      {"yParity", TX_FIELD_PARITY},
      {"r", TX_FIELD_QUANTITY},
      {"s", TX_FIELD_QUANTITY}}},
    {0x02, /* EIP-1559 */
     {{"chainId", TX_FIELD_QUANTITY},
      {"nonce", TX_FIELD_QUANTITY},
      {"maxPriorityFeePerGas", TX_FIELD_QUANTITY},
      {"maxFeePerGas", TX_FIELD_QUANTITY},
      {"gas", TX_FIELD_QUANTITY},
      {"to", TX_FIELD_RECIPIENT},
      {"value", TX_FIELD_QUANTITY},
      {"input", TX_FIELD_BYTES},
      {"accessList", TX_FIELD_ACCESS_LIST},
      {"yParity", TX_FIELD_PARITY},
      {"r", TX_FIELD_QUANTITY},
      {"s", TX_FIELD_QUANTITY}}},
    {0x03, /* EIP-4844 */
     {{"chainId", TX_FIELD_QUANTITY},
      {"nonce", TX_FIELD_QUANTITY},
      {"maxPriorityFeePerGas", TX_FIELD_QUANTITY},
      {"maxFeePerGas", TX_FIELD_QUANTITY},
      {"gas", TX_FIELD_QUANTITY},
      {"to", TX_FIELD_ADDRESS},
      {"value", TX_FIELD_QUANTITY},
      {"input", TX_FIELD_BYTES},
      {"accessList", TX_FIELD_ACCESS_LIST},
      {"maxFeePerBlobGas", TX_FIELD_QUANTITY},
      {"blobVersionedHashes", TX_FIELD_HASHES},
      {"yParity", TX_FIELD_PARITY},
      {"r", TX_FIELD_QUANTITY},
      {"s", TX_FIELD_QUANTITY}}},
    {0x04, /* EIP-7702 */
     {{"chainId", TX_FIELD_QUANTITY},
      {"nonce", TX_FIELD_QUANTITY},
      {"maxPriorityFeePerGas", TX_FIELD_QUANTITY},
      {"maxFeePerGas", TX_FIELD_QUANTITY},
      {"gas", TX_FIELD_QUANTITY},
      {"to", TX_FIELD_ADDRESS},
      {"value", TX_FIELD_QUANTITY},
      {"input", TX_FIELD_BYTES},
      {"accessList", TX_FIELD_ACCESS_LIST},
      {"authorizationList", TX_FIELD_AUTHORIZATIONS},
      {"yParity", TX_FIELD_PARITY},
      {"r", TX_FIELD_QUANTITY},
      {"s", TX_FIELD_QUANTITY}}},
    {0x7e, /* OP stack, deposits */
     {{"sourceHash", TX_FIELD_HASH},
      {"from", TX_FIELD_ADDRESS},
      {"to", TX_FIELD_RECIPIENT},
      {"mint", TX_FIELD_OPTIONAL},
      {"value", TX_FIELD_QUANTITY},
      {"gas", TX_FIELD_QUANTITY},
      {"isSystemTx", TX_FIELD_FLAG},
      {"input", TX_FIELD_BYTES}}},
};
#define TYPES (sizeof(types) / sizeof(types[0]))

static const struct tx_field authorization[] = {
    {"chainId", TX_FIELD_QUANTITY}, {"address", TX_FIELD_ADDRESS}, {"nonce", TX_FIELD_QUANTITY},
    {"yParity", TX_FIELD_PARITY},   {"r", TX_FIELD_QUANTITY},      {"s", TX_FIELD_QUANTITY},
};
#define AUTHORIZATION_FIELDS (sizeof(authorization) / sizeof(authorization[0]))

struct encoder {
    struct arena *scratch;
    struct buf *out;
    struct why *why;
};

static enum err add_quantity(struct encoder *x, const struct json *v, const char *key)
{
    struct u256 number;
    enum err e = member_u256(v, key, &number, x->why);
    if (e == OK) {
        rlp_add_u256(x->out, number);
    }
    return e;
}

/* `size` 0: any. */
static enum err add_bytes(struct encoder *x, const struct json *v, const char *key, size_t size)
{
    struct slice bytes = SLICE_EMPTY;
    enum err e = member_bytes(x->scratch, v, key, &bytes, x->why);
    if (e == OK && size != 0 && bytes.len != size) {
        e = member_refuse(x->why, key, "has the wrong length");
    }
    if (e == OK) {
        rlp_add_bytes(x->out, bytes);
    }
    return e;
}

static enum err add_flag(struct encoder *x, const struct json *v, const char *key)
{
    const struct json *flag = member_find(v, key);
    if (flag != NULL && flag->type != JSON_TRUE && flag->type != JSON_FALSE) {
        return member_refuse(x->why, key, "is neither true nor false");
    }
    rlp_add_u64(x->out, flag != NULL && flag->type == JSON_TRUE ? 1 : 0);
    return OK;
}

static const struct json *list_find(struct encoder *x, const struct json *v, const char *key,
                                    enum err *out_err)
{
    const struct json *list = member_find(v, key);
    if (list == NULL || list->type != JSON_ARRAY) {
        *out_err = member_refuse(x->why, key, "is not a list");
        return NULL;
    }
    return list;
}

static enum err add_hashes(struct encoder *x, const struct json *v, const char *key)
{
    enum err e = OK;
    const struct json *list = list_find(x, v, key, &e);
    if (list == NULL) {
        return e;
    }
    size_t mark = rlp_begin_list(x->out);
    for (const struct json *item = list->child; item != NULL; item = item->next) {
        struct hash hash;
        if (item->type != JSON_STRING || hash_parse(item->text, &hash) != OK) {
            return member_refuse(x->why, key, "holds something that is not 32 bytes");
        }
        rlp_add_bytes(x->out, hash_slice(&hash));
    }
    rlp_end_list(x->out, mark);
    return OK;
}

static enum err add_access_list(struct encoder *x, const struct json *v, const char *key)
{
    enum err e = OK;
    const struct json *list = list_find(x, v, key, &e);
    if (list == NULL) {
        return e;
    }
    size_t mark = rlp_begin_list(x->out);
    for (const struct json *item = list->child; e == OK && item != NULL; item = item->next) {
        size_t entry = rlp_begin_list(x->out);
        e = add_bytes(x, item, "address", ADDRESS_BYTES);
        if (e == OK) {
            e = add_hashes(x, item, "storageKeys");
        }
        rlp_end_list(x->out, entry);
    }
    rlp_end_list(x->out, mark);
    return e;
}

static enum err add_fields(struct encoder *x, const struct json *v, const struct tx_field *fields,
                           size_t count);

static enum err add_authorizations(struct encoder *x, const struct json *v, const char *key)
{
    enum err e = OK;
    const struct json *list = list_find(x, v, key, &e);
    if (list == NULL) {
        return e;
    }
    size_t mark = rlp_begin_list(x->out);
    for (const struct json *item = list->child; e == OK && item != NULL; item = item->next) {
        size_t entry = rlp_begin_list(x->out);
        e = add_fields(x, item, authorization, AUTHORIZATION_FIELDS);
        rlp_end_list(x->out, entry);
    }
    rlp_end_list(x->out, mark);
    return e;
}

static enum err add_field(struct encoder *x, const struct json *v, const struct tx_field *f)
{
    bool there = member_find(v, f->key) != NULL;
    switch (f->kind) {
    case TX_FIELD_END:
        return OK;
    case TX_FIELD_QUANTITY:
        return add_quantity(x, v, f->key);
    case TX_FIELD_FLAG:
        return add_flag(x, v, f->key);
    case TX_FIELD_BYTES:
        return add_bytes(x, v, f->key, 0);
    case TX_FIELD_ADDRESS:
        return add_bytes(x, v, f->key, ADDRESS_BYTES);
    case TX_FIELD_HASH:
        return add_bytes(x, v, f->key, HASH_BYTES);
    case TX_FIELD_HASHES:
        return add_hashes(x, v, f->key);
    case TX_FIELD_PARITY:
        return add_quantity(x, v, there ? f->key : "v");
    case TX_FIELD_ACCESS_LIST:
        return add_access_list(x, v, f->key);
    case TX_FIELD_AUTHORIZATIONS:
        return add_authorizations(x, v, f->key);
    case TX_FIELD_OPTIONAL:
    case TX_FIELD_RECIPIENT:
        break;
    }
    if (!there) {
        rlp_add_bytes(x->out, SLICE_EMPTY); /* zero, or nobody */
        return OK;
    }
    return f->kind == TX_FIELD_OPTIONAL ? add_quantity(x, v, f->key)
                                        : add_bytes(x, v, f->key, ADDRESS_BYTES);
}

static enum err add_fields(struct encoder *x, const struct json *v, const struct tx_field *fields,
                           size_t count)
{
    enum err e = OK;
    if (v->type != JSON_OBJECT) {
        return member_refuse(x->why, "transaction", "is not made of objects");
    }
    for (size_t i = 0; e == OK && i < count && fields[i].kind != TX_FIELD_END; i++) {
        e = add_field(x, v, &fields[i]);
    }
    return e;
}

static enum err type_of(const struct json *v, const struct tx_type **out, struct why *why)
{
    uint64_t type = 0;
    enum err e = member_find(v, "type") != NULL ? member_u64(v, "type", &type, why) : OK;
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < TYPES; i++) {
        if (types[i].type == type) {
            *out = &types[i];
            return OK;
        }
    }
    return why_set(why, ERR_NODE_UNKNOWN, "type",
                   "Transactions of type %llu are not known here: their hashes cannot be verified.",
                   (unsigned long long)type);
}

enum err tx_node_encode(struct arena *scratch, const struct json *v, struct buf *out,
                        struct why *why)
{
    const struct tx_type *type = NULL;
    if (v == NULL || v->type != JSON_OBJECT) {
        return member_refuse(why, "transaction", "is not an object");
    }
    enum err e = type_of(v, &type, why);
    if (e != OK) {
        return e;
    }
    struct encoder x = {.scratch = scratch, .out = out, .why = why};
    size_t start = out->len;
    if (type->type != 0) {
        buf_add_byte(out, type->type);
    }
    size_t list = rlp_begin_list(out);
    e = add_fields(&x, v, type->fields, FIELDS_MAX);
    if (e == OK) {
        rlp_end_list(out, list);
    } else {
        out->len = start;
    }
    return e;
}
