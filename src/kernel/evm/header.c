/*
 * The hash of a header: which members of a node's object are hashed, in which order.
 *
 * Two families are known. Ethereum's is spoken by Ethereum and by OP-stack chains, whose upgrades
 * gave old fields other meanings and added none. Avalanche's C-Chain puts the hash of its own data
 * behind the nonce and goes on otherwise; the member extDataHash tells it. Both begin with the same
 * fifteen fields, which are all that anything is proven from: taking one family for the other can
 * make an honest header differ, never a false one agree.
 *
 * Forks only ever append. A field is there when its fork is.
 */
#include "kernel/base/check.h"
#include "kernel/evm/block.h"
#include "kernel/evm/member.h"
#include "kernel/evm/rlp.h"

enum field_kind {
    FIELD_QUANTITY,
    FIELD_BYTES,
};

struct field {
    const char *key;
    enum field_kind kind;
    bool required;
    uint16_t size;     /* of FIELD_BYTES; 0: any */
    const char *alias; /* another name that nodes use, or NULL */
};

struct fields {
    const struct field *rows;
    size_t count;
};

static const struct field common_rows[] = {
    {"parentHash", FIELD_BYTES, true, 32, NULL},
    {"sha3Uncles", FIELD_BYTES, true, 32, NULL},
    {"miner", FIELD_BYTES, true, 20, NULL},
    {"stateRoot", FIELD_BYTES, true, 32, NULL},
    {"transactionsRoot", FIELD_BYTES, true, 32, NULL},
    {"receiptsRoot", FIELD_BYTES, true, 32, NULL},
    {"logsBloom", FIELD_BYTES, true, EVM_BLOOM_BYTES, NULL},
    {"difficulty", FIELD_QUANTITY, true, 0, NULL},
    {"number", FIELD_QUANTITY, true, 0, NULL},
    {"gasLimit", FIELD_QUANTITY, true, 0, NULL},
    {"gasUsed", FIELD_QUANTITY, true, 0, NULL},
    {"timestamp", FIELD_QUANTITY, true, 0, NULL},
    {"extraData", FIELD_BYTES, true, 0, NULL},
    {"mixHash", FIELD_BYTES, true, 32, NULL},
    {"nonce", FIELD_BYTES, true, 8, NULL},
};

static const struct field ethereum_rows[] = {
    {"baseFeePerGas", FIELD_QUANTITY, false, 0, NULL},       /* London, EIP-1559 */
    {"withdrawalsRoot", FIELD_BYTES, false, 32, NULL},       /* Shanghai, EIP-4895 */
    {"blobGasUsed", FIELD_QUANTITY, false, 0, NULL},         /* Cancun, EIP-4844 */
    {"excessBlobGas", FIELD_QUANTITY, false, 0, NULL},       /* Cancun, EIP-4844 */
    {"parentBeaconBlockRoot", FIELD_BYTES, false, 32, NULL}, /* Cancun, EIP-4788 */
    {"requestsHash", FIELD_BYTES, false, 32, NULL},          /* Prague, EIP-7685 */
};

static const struct field avalanche_rows[] = {
    {"extDataHash", FIELD_BYTES, true, 32, NULL},
    {"baseFeePerGas", FIELD_QUANTITY, false, 0, NULL},                       /* Apricot 3 */
    {"extDataGasUsed", FIELD_QUANTITY, false, 0, NULL},                      /* Apricot 4 */
    {"blockGasCost", FIELD_QUANTITY, false, 0, NULL},                        /* Apricot 4 */
    {"blobGasUsed", FIELD_QUANTITY, false, 0, NULL},                         /* Etna */
    {"excessBlobGas", FIELD_QUANTITY, false, 0, NULL},                       /* Etna */
    {"parentBeaconBlockRoot", FIELD_BYTES, false, 32, NULL},                 /* Etna */
    {"timestampMilliseconds", FIELD_QUANTITY, false, 0, "timeMilliseconds"}, /* Granite */
    {"minDelayExcess", FIELD_QUANTITY, false, 0, NULL},                      /* Granite */
};

#define ROWS(rows) ((struct fields){rows, sizeof(rows) / sizeof((rows)[0])})

/* Members of a block object that no fork hashes into the header. */
static const char *const body_members[] = {
    "hash", "size", "totalDifficulty", "uncles", "transactions", "withdrawals", "blockExtraData",
};

static struct fields family_of(const struct json *v)
{
    return member_find(v, "extDataHash") != NULL ? ROWS(avalanche_rows) : ROWS(ethereum_rows);
}

/* key_of returns the name under which the object has the field, or NULL. */
static const char *key_of(const struct json *v, const struct field *f)
{
    if (member_find(v, f->key) != NULL) {
        return f->key;
    }
    return f->alias != NULL && member_find(v, f->alias) != NULL ? f->alias : NULL;
}

static enum err add_field(struct arena *scratch, struct buf *b, const struct json *v,
                          const struct field *f, const char *key, struct why *why)
{
    struct slice bytes = SLICE_EMPTY;
    struct u256 number;
    if (f->kind == FIELD_QUANTITY) {
        enum err e = member_u256(v, key, &number, why);
        if (e == OK) {
            rlp_add_u256(b, number);
        }
        return e;
    }
    enum err e = member_bytes(scratch, v, key, &bytes, why);
    if (e == OK && f->size != 0 && bytes.len != f->size) {
        e = member_refuse(why, key, "is not hexadecimal of the right length");
    }
    if (e == OK) {
        rlp_add_bytes(b, bytes);
    }
    return e;
}

static enum err add_fields(struct arena *scratch, struct buf *b, const struct json *v,
                           struct fields fields, struct why *why)
{
    bool ended = false;
    for (size_t i = 0; i < fields.count; i++) {
        const struct field *f = &fields.rows[i];
        const char *key = key_of(v, f);
        if (key == NULL && !f->required) {
            ended = true;
            continue;
        }
        if (ended) {
            return member_refuse(why, f->key,
                                 "is there, but a field of an earlier fork is missing");
        }
        enum err e = add_field(scratch, b, v, f, key != NULL ? key : f->key, why);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static bool names(struct fields fields, struct slice key)
{
    for (size_t i = 0; i < fields.count; i++) {
        const struct field *f = &fields.rows[i];
        if (slice_equal_text(key, f->key) ||
            (f->alias != NULL && slice_equal_text(key, f->alias))) {
            return true;
        }
    }
    return false;
}

/* unknown_member returns a member that is neither header nor body as known here, or NULL. */
static const struct json *unknown_member(const struct json *v)
{
    struct fields family = family_of(v);
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        bool known = names(ROWS(common_rows), m->key) || names(family, m->key);
        for (size_t i = 0; i < sizeof(body_members) / sizeof(body_members[0]); i++) {
            known |= slice_equal_text(m->key, body_members[i]);
        }
        if (!known) {
            return m;
        }
    }
    return NULL;
}

static enum err differs(const struct json *v, struct why *why)
{
    const struct json *unknown = unknown_member(v);
    if (unknown != NULL) {
        return why_set(why, ERR_NODE_UNKNOWN, NULL,
                       "The block cannot be verified: its member %.*s is not known here and may be "
                       "part of the hash.",
                       SLICE_ARG(slice_sub(unknown->key, 0, 64)));
    }
    return why_set(why, ERR_CORRUPT, "hash",
                   "The block's hash is not the hash of its header: the node's answer is wrong.");
}

enum err evm_header_encode(struct arena *scratch, const struct json *v, struct buf *out,
                           struct why *why)
{
    if (v == NULL || v->type != JSON_OBJECT) {
        return member_refuse(why, "block", "is not an object");
    }
    size_t list = rlp_begin_list(out);
    enum err e = add_fields(scratch, out, v, ROWS(common_rows), why);
    if (e == OK) {
        e = add_fields(scratch, out, v, family_of(v), why);
    }
    if (e == OK) {
        rlp_end_list(out, list);
    } else {
        out->len = list;
    }
    return e;
}

enum err evm_header_verify(struct arena *scratch, const struct json *v, struct why *why)
{
    struct buf b;
    struct hash claimed;
    if (v == NULL || v->type != JSON_OBJECT) {
        return member_refuse(why, "block", "is not an object");
    }
    enum err e = member_hash(v, "hash", &claimed, why);
    if (e != OK) {
        return e;
    }
    buf_init(&b, scratch, 1024);
    e = evm_header_encode(scratch, v, &b, why);
    if (e != OK) {
        return e;
    }
    struct hash computed = keccak256(buf_slice(&b));
    return hash_equal(&computed, &claimed) ? OK : differs(v, why);
}
