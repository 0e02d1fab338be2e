#include "kernel/evm/tx.h"

#include "kernel/base/check.h"
#include "kernel/evm/address.h"
#include "kernel/evm/rlp.h"

#define EIP1559_TYPE 0x02
#define EIP1559_FIELDS 9 /* unsigned; a signature adds three */
#define LEGACY_FIELDS 6
#define SIGNATURE_FIELDS 3
#define EIP155_BASE 35

#define GAS_BASE 21000
#define GAS_CREATE 32000
#define GAS_ZERO_BYTE 4
#define GAS_BYTE 16
#define GAS_INITCODE_WORD 2
#define GAS_FLOOR_TOKEN 10

/* ---- encoding ---- */

static void to_add(struct buf *b, const struct tx *tx)
{
    rlp_add_bytes(b, tx->has_to ? address_slice(&tx->to) : SLICE_EMPTY);
}

static void body_add(struct buf *b, const struct tx *tx)
{
    switch (tx->kind) {
    case TX_LEGACY:
        rlp_add_u64(b, tx->nonce);
        rlp_add_u256(b, wei_raw(tx->fee_max));
        break;
    case TX_EIP1559:
        rlp_add_u64(b, tx->chain_id);
        rlp_add_u64(b, tx->nonce);
        rlp_add_u256(b, wei_raw(tx->fee_priority));
        rlp_add_u256(b, wei_raw(tx->fee_max));
        break;
    }
    rlp_add_u64(b, tx->gas_limit);
    to_add(b, tx);
    rlp_add_u256(b, wei_raw(tx->value));
    rlp_add_bytes(b, tx->data);
    if (tx->kind == TX_EIP1559) {
        rlp_end_list(b, rlp_begin_list(b)); /* the empty access list */
    }
}

/* v_of is the parity of a typed transaction, chain_id * 2 + 35 + parity of a legacy one. */
static struct u256 v_of(const struct tx *tx, unsigned parity)
{
    struct u256 v = u256_from_u64(parity);
    if (tx->kind == TX_LEGACY) {
        enum err e = u256_mul(u256_from_u64(tx->chain_id), u256_from_u64(2), &v);
        ASSERT(e == OK);
        e = u256_add(v, u256_from_u64(EIP155_BASE + parity), &v);
        ASSERT(e == OK);
    }
    return v;
}

static void scalar_add(struct buf *b, const uint8_t bytes[32])
{
    struct u256 v;
    enum err e = u256_decode_be(slice_of(bytes, 32), &v);
    ASSERT(e == OK);
    rlp_add_u256(b, v);
}

/* raw_encode gives the bytes that are signed (`sig` is NULL) or sent. */
static struct slice raw_encode(struct arena *arena, const struct tx *tx,
                               const struct signature *sig)
{
    struct buf b;
    ASSERT(tx->chain_id != 0);
    buf_init(&b, arena, tx->data.len + 256);
    if (tx->kind == TX_EIP1559) {
        buf_add_byte(&b, EIP1559_TYPE);
    }
    size_t list = rlp_begin_list(&b);
    body_add(&b, tx);
    if (sig != NULL) {
        rlp_add_u256(&b, v_of(tx, sig->v - 27u));
        scalar_add(&b, sig->r);
        scalar_add(&b, sig->s);
    } else if (tx->kind == TX_LEGACY) {
        rlp_add_u64(&b, tx->chain_id); /* EIP-155: the chain id stands where v will be */
        rlp_add_u64(&b, 0);
        rlp_add_u64(&b, 0);
    }
    rlp_end_list(&b, list);
    return buf_slice(&b);
}

struct slice tx_signing_payload(struct arena *arena, const struct tx *tx)
{
    return raw_encode(arena, tx, NULL);
}

struct slice tx_attach(struct arena *arena, const struct tx *tx, const struct signature *signature)
{
    ASSERT(signature->v == 27 || signature->v == 28);
    return raw_encode(arena, tx, signature);
}

struct hash tx_signing_hash(struct arena *scratch, const struct tx *tx)
{
    return keccak256(raw_encode(scratch, tx, NULL));
}

enum err tx_sign(struct arena *arena, const struct tx *tx, const struct secret *key,
                 struct slice *out_raw, struct hash *out_hash)
{
    struct signature sig;
    struct hash digest = tx_signing_hash(arena, tx);
    enum err e = secp256k1_sign(key, &digest, &sig);
    if (e != OK) {
        return e;
    }
    *out_raw = raw_encode(arena, tx, &sig);
    *out_hash = keccak256(*out_raw);
    return OK;
}

/* ---- decoding ---- */

/* Reads the fields of a transaction one after the other; the first failure sticks. */
struct fields {
    const struct rlp *next;
    struct why *why;
    enum err err;
};

static void fail(struct fields *f, const char *name)
{
    if (f->err == OK) {
        f->err = why_set(f->why, ERR_INVALID_ENCODING, name,
                         "The field of the transaction is malformed.");
    }
}

static const struct rlp *field(struct fields *f)
{
    const struct rlp *item = f->next;
    ASSERT(item != NULL); /* the number of fields was checked */
    f->next = item->next;
    return item;
}

static uint64_t field_u64(struct fields *f, const char *name)
{
    uint64_t v = 0;
    if (rlp_u64(field(f), &v) != OK) {
        fail(f, name);
    }
    return v;
}

static struct u256 field_u256(struct fields *f, const char *name)
{
    struct u256 v = U256_ZERO;
    if (rlp_u256(field(f), &v) != OK) {
        fail(f, name);
    }
    return v;
}

static void field_to(struct fields *f, struct tx *tx)
{
    const struct rlp *item = field(f);
    if (item->is_list || (item->bytes.len != 0 && item->bytes.len != ADDRESS_BYTES)) {
        fail(f, "to");
        return;
    }
    tx->has_to = item->bytes.len != 0;
    if (tx->has_to) {
        tx->to = address_of_bytes(item->bytes);
    }
}

static void field_data(struct fields *f, struct tx *tx)
{
    const struct rlp *item = field(f);
    if (item->is_list) {
        fail(f, "data");
    }
    tx->data = item->bytes;
}

static void field_access_list(struct fields *f)
{
    const struct rlp *item = field(f);
    if (!item->is_list || item->count != 0) {
        fail(f, "accessList");
    }
}

static void body_read(struct fields *f, struct tx *tx)
{
    if (tx->kind == TX_EIP1559) {
        tx->chain_id = field_u64(f, "chainId");
    }
    tx->nonce = field_u64(f, "nonce");
    if (tx->kind == TX_EIP1559) {
        tx->fee_priority = wei_of(field_u256(f, "maxPriorityFeePerGas"));
    }
    tx->fee_max = wei_of(field_u256(f, "maxFeePerGas"));
    tx->gas_limit = field_u64(f, "gas");
    field_to(f, tx);
    tx->value = wei_of(field_u256(f, "value"));
    field_data(f, tx);
    if (tx->kind == TX_EIP1559) {
        field_access_list(f);
    }
}

/* v_read splits v into the parity and, of a legacy transaction, the chain id. */
static void v_read(struct fields *f, struct tx *tx, struct signature *sig)
{
    struct u256 v = field_u256(f, "v"), rest, parity;
    if (tx->kind == TX_EIP1559) {
        if (u256_compare(v, u256_from_u64(1)) > 0) {
            fail(f, "yParity");
            return;
        }
        sig->v = (uint8_t)(27 + v.limb[0]);
        return;
    }
    if (u256_sub(v, u256_from_u64(EIP155_BASE), &rest) != OK) {
        fail(f, "v"); /* 27 and 28: signed for every chain */
        return;
    }
    u256_div(rest, u256_from_u64(2), &rest, &parity);
    if (u256_to_u64(rest, &tx->chain_id) != OK) {
        fail(f, "v");
    }
    sig->v = (uint8_t)(27 + parity.limb[0]);
}

static void signature_read(struct fields *f, struct tx *tx, struct signature *sig)
{
    v_read(f, tx, sig);
    u256_encode_be(field_u256(f, "r"), sig->r);
    u256_encode_be(field_u256(f, "s"), sig->s);
    if (tx->chain_id == 0) {
        fail(f, "chainId");
    }
    if (tx->kind == TX_EIP1559 && wei_compare(tx->fee_priority, tx->fee_max) > 0) {
        fail(f, "maxPriorityFeePerGas");
    }
}

enum err tx_decode(struct arena *arena, struct slice raw, struct tx *out, struct address *out_from,
                   struct hash *out_hash, struct why *why)
{
    const struct rlp *list = NULL;
    struct tx tx = {.kind = TX_LEGACY};
    struct signature sig = {.v = 0};
    struct address from;
    struct slice body = raw;
    if (raw.len > 0 && raw.ptr[0] == EIP1559_TYPE) {
        tx.kind = TX_EIP1559;
        body = slice_sub(raw, 1, raw.len);
    }
    enum err e = rlp_decode(arena, body, &list, why);
    if (e != OK) {
        return e;
    }
    uint32_t wanted = (tx.kind == TX_EIP1559 ? EIP1559_FIELDS : LEGACY_FIELDS) + SIGNATURE_FIELDS;
    if (!list->is_list || list->count != wanted) {
        return why_set(why, ERR_INVALID_ENCODING, NULL,
                       "This is neither a legacy nor an EIP-1559 transaction.");
    }
    struct fields f = {.next = list->child, .why = why, .err = OK};
    body_read(&f, &tx);
    signature_read(&f, &tx, &sig);
    if (f.err != OK) {
        return f.err;
    }
    struct hash digest = tx_signing_hash(arena, &tx);
    e = secp256k1_recover(&digest, &sig, &from, why);
    if (e != OK) {
        return e;
    }
    *out = tx;
    *out_from = from;
    *out_hash = keccak256(raw);
    return OK;
}

uint64_t tx_intrinsic_gas(const struct tx *tx)
{
    uint64_t zeros = 0;
    for (size_t i = 0; i < tx->data.len; i++) {
        zeros += tx->data.ptr[i] == 0;
    }
    uint64_t others = tx->data.len - zeros;
    uint64_t gas = GAS_BASE + zeros * GAS_ZERO_BYTE + others * GAS_BYTE;
    if (!tx->has_to) {
        gas += GAS_CREATE + GAS_INITCODE_WORD * ((tx->data.len + 31) / 32);
    }
    uint64_t floor = GAS_BASE + GAS_FLOOR_TOKEN * (zeros + 4 * others);
    return gas > floor ? gas : floor;
}
