#include "kernel/evm/block.h"

#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/evm/address.h"
#include "kernel/evm/rlp.h"

/* ---- members of a node's objects: whatever is wrong with one is ERR_NODE_RESPONSE ---- */

static enum err refuse(struct why *why, const char *key, const char *sentence)
{
    (void)why_set(why, ERR_NODE_RESPONSE, key, "The node's %s %s.", key, sentence);
    return ERR_NODE_RESPONSE;
}

/* present finds a member that is neither missing nor null, or NULL. */
static const struct json *present(const struct json *v, const char *key)
{
    const struct json *m = json_find(v, key);
    return m != NULL && m->type != JSON_NULL ? m : NULL;
}

static enum err text_of(const struct json *v, const char *key, struct slice *out, struct why *why)
{
    const struct json *m = present(v, key);
    if (m == NULL || m->type != JSON_STRING) {
        return refuse(why, key, m == NULL ? "is missing" : "is not a string");
    }
    *out = m->text;
    return OK;
}

static enum err fixed_of(const struct json *v, const char *key, uint8_t *out, size_t len,
                         struct why *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = text_of(v, key, &text, why);
    if (e == OK && hex_decode_fixed(text, out, len) != OK) {
        e = refuse(why, key, "is not hexadecimal of the right length");
    }
    return e;
}

static enum err hash_of(const struct json *v, const char *key, struct hash *out, struct why *why)
{
    return fixed_of(v, key, out->bytes, HASH_BYTES, why);
}

/* Nodes of some chains write other checksums than EIP-55, so case is not looked at. */
static enum err address_of(const struct json *v, const char *key, struct address *out,
                           struct why *why)
{
    return fixed_of(v, key, out->bytes, ADDRESS_BYTES, why);
}

static enum err quantity_of(const struct json *v, const char *key, struct u256 *out,
                            struct why *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = text_of(v, key, &text, why);
    if (e == OK && u256_parse_hex(text, out) != OK) {
        e = refuse(why, key, "is not a quantity");
    }
    return e;
}

static enum err u64_of(const struct json *v, const char *key, uint64_t *out, struct why *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = text_of(v, key, &text, why);
    if (e == OK && hex_parse_u64(text, out) != OK) {
        e = refuse(why, key, "is not a quantity of at most 64 bits");
    }
    return e;
}

static enum err u32_of(const struct json *v, const char *key, uint32_t *out, struct why *why)
{
    uint64_t wide = 0;
    enum err e = u64_of(v, key, &wide, why);
    if (e == OK && wide > UINT32_MAX) {
        e = refuse(why, key, "is too large");
    }
    if (e == OK) {
        *out = (uint32_t)wide;
    }
    return e;
}

static enum err wei_in(const struct json *v, const char *key, struct wei_amount *out,
                       struct why *why)
{
    struct u256 units;
    enum err e = quantity_of(v, key, &units, why);
    if (e == OK) {
        *out = wei_of(units);
    }
    return e;
}

/* optional_address_of reads an address that may be null. */
static enum err optional_address_of(const struct json *v, const char *key, bool *out_has,
                                    struct address *out, struct why *why)
{
    *out_has = present(v, key) != NULL;
    return *out_has ? address_of(v, key, out, why) : OK;
}

/* ---- headers ---- */

enum err evm_header_parse(const struct json *v, struct evm_header *out, struct why *why)
{
    struct evm_header h = {.number = 0};
    uint64_t time_sec = 0;
    if (v == NULL || v->type != JSON_OBJECT) {
        return refuse(why, "block", "is not an object");
    }
    enum err e = u64_of(v, "number", &h.number, why);
    if (e == OK) {
        e = hash_of(v, "hash", &h.hash, why);
    }
    if (e == OK) {
        e = hash_of(v, "parentHash", &h.parent_hash, why);
    }
    if (e == OK) {
        e = u64_of(v, "timestamp", &time_sec, why);
    }
    if (e == OK && time_sec > INT64_MAX / 1000000) {
        e = refuse(why, "timestamp", "is beyond the calendar");
    }
    if (e == OK) {
        e = hash_of(v, "receiptsRoot", &h.receipts_root, why);
    }
    if (e == OK) {
        e = fixed_of(v, "logsBloom", h.bloom, sizeof(h.bloom), why);
    }
    if (e == OK) {
        e = u64_of(v, "gasLimit", &h.gas_limit, why);
    }
    if (e == OK) {
        e = u64_of(v, "gasUsed", &h.gas_used, why);
    }
    h.has_base_fee = present(v, "baseFeePerGas") != NULL;
    if (e == OK && h.has_base_fee) {
        e = wei_in(v, "baseFeePerGas", &h.base_fee, why);
    }
    if (e == OK) {
        h.time_sec = (int64_t)time_sec;
        *out = h;
    }
    return e;
}

/* ---- the hash of a header ---- */

enum field_kind {
    FIELD_QUANTITY,
    FIELD_BYTES,
};

/* The header's RLP list. Forks only ever append; a field is there when its fork is. */
static const struct {
    const char *key;
    enum field_kind kind;
    bool required;
    uint16_t size; /* of FIELD_BYTES; 0: any */
} header_fields[] = {
    {"parentHash", FIELD_BYTES, true, 32},
    {"sha3Uncles", FIELD_BYTES, true, 32},
    {"miner", FIELD_BYTES, true, 20},
    {"stateRoot", FIELD_BYTES, true, 32},
    {"transactionsRoot", FIELD_BYTES, true, 32},
    {"receiptsRoot", FIELD_BYTES, true, 32},
    {"logsBloom", FIELD_BYTES, true, EVM_BLOOM_BYTES},
    {"difficulty", FIELD_QUANTITY, true, 0},
    {"number", FIELD_QUANTITY, true, 0},
    {"gasLimit", FIELD_QUANTITY, true, 0},
    {"gasUsed", FIELD_QUANTITY, true, 0},
    {"timestamp", FIELD_QUANTITY, true, 0},
    {"extraData", FIELD_BYTES, true, 0},
    {"mixHash", FIELD_BYTES, true, 32},
    {"nonce", FIELD_BYTES, true, 8},
    {"baseFeePerGas", FIELD_QUANTITY, false, 0},       /* London, EIP-1559 */
    {"withdrawalsRoot", FIELD_BYTES, false, 32},       /* Shanghai, EIP-4895 */
    {"blobGasUsed", FIELD_QUANTITY, false, 0},         /* Cancun, EIP-4844 */
    {"excessBlobGas", FIELD_QUANTITY, false, 0},       /* Cancun, EIP-4844 */
    {"parentBeaconBlockRoot", FIELD_BYTES, false, 32}, /* Cancun, EIP-4788 */
    {"requestsHash", FIELD_BYTES, false, 32},          /* Prague, EIP-7685 */
};
#define HEADER_FIELDS (sizeof(header_fields) / sizeof(header_fields[0]))

/* Members of a block object that no fork hashes into the header. */
static const char *const body_members[] = {"hash",   "size",         "totalDifficulty",
                                           "uncles", "transactions", "withdrawals"};

static enum err header_field_add(struct arena *scratch, struct buf *b, const struct json *v,
                                 size_t i, struct why *why)
{
    const char *key = header_fields[i].key;
    struct slice text = SLICE_EMPTY;
    struct slice bytes = SLICE_EMPTY;
    struct u256 number;
    if (header_fields[i].kind == FIELD_QUANTITY) {
        enum err e = quantity_of(v, key, &number, why);
        if (e == OK) {
            rlp_add_u256(b, number);
        }
        return e;
    }
    enum err e = text_of(v, key, &text, why);
    if (e != OK) {
        return e;
    }
    if (hex_decode(scratch, text, &bytes) != OK ||
        (header_fields[i].size != 0 && bytes.len != header_fields[i].size)) {
        return refuse(why, key, "is not hexadecimal of the right length");
    }
    rlp_add_bytes(b, bytes);
    return OK;
}

/* unknown_member returns a member that is neither header nor body as known here, or NULL. */
static const struct json *unknown_member(const struct json *v)
{
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        bool known = false;
        for (size_t i = 0; i < HEADER_FIELDS; i++) {
            known |= slice_equal_text(m->key, header_fields[i].key);
        }
        for (size_t i = 0; i < sizeof(body_members) / sizeof(body_members[0]); i++) {
            known |= slice_equal_text(m->key, body_members[i]);
        }
        if (!known) {
            return m;
        }
    }
    return NULL;
}

static enum err header_differs(const struct json *v, struct why *why)
{
    const struct json *unknown = unknown_member(v);
    if (unknown != NULL) {
        return why_set(why, ERR_NODE_RESPONSE, NULL,
                       "The block cannot be verified: its member %.*s is not known here and may be "
                       "part of the hash.",
                       SLICE_ARG(slice_sub(unknown->key, 0, 64)));
    }
    return why_set(why, ERR_CORRUPT, "hash",
                   "The block's hash is not the hash of its header: the node's answer is wrong.");
}

enum err evm_header_verify(struct arena *scratch, const struct json *v, struct why *why)
{
    struct buf b;
    struct hash claimed;
    bool ended = false;
    if (v == NULL || v->type != JSON_OBJECT) {
        return refuse(why, "block", "is not an object");
    }
    enum err e = hash_of(v, "hash", &claimed, why);
    if (e != OK) {
        return e;
    }
    buf_init(&b, scratch, 1024);
    size_t list = rlp_begin_list(&b);
    for (size_t i = 0; i < HEADER_FIELDS; i++) {
        bool there = header_fields[i].required || present(v, header_fields[i].key) != NULL;
        if (there && ended) {
            return refuse(why, header_fields[i].key,
                          "is there, but a field of an earlier fork is "
                          "missing");
        }
        ended = !there;
        if (there) {
            e = header_field_add(scratch, &b, v, i, why);
        }
        if (e != OK) {
            return e;
        }
    }
    rlp_end_list(&b, list);
    struct hash computed = keccak256(buf_slice(&b));
    return hash_equal(&computed, &claimed) ? OK : header_differs(v, why);
}

/* ---- logs and receipts ---- */

static enum err topics_parse(const struct json *v, struct evm_log *log, struct why *why)
{
    const struct json *topics = present(v, "topics");
    if (topics == NULL || topics->type != JSON_ARRAY || topics->count > EVM_TOPICS_MAX) {
        return refuse(why, "topics", "is not a list of at most four");
    }
    for (const struct json *t = topics->child; t != NULL; t = t->next) {
        struct hash *out = &log->topics[log->topic_count];
        if (t->type != JSON_STRING || hash_parse(t->text, out) != OK) {
            return refuse(why, "topics", "holds something that is not 32 bytes");
        }
        log->topic_count++;
    }
    return OK;
}

static enum err log_place_parse(const struct json *v, struct evm_log *log, struct why *why)
{
    enum err e = u64_of(v, "blockNumber", &log->block_number, why);
    if (e == OK) {
        e = hash_of(v, "blockHash", &log->block_hash, why);
    }
    if (e == OK) {
        e = hash_of(v, "transactionHash", &log->tx_hash, why);
    }
    if (e == OK) {
        e = u32_of(v, "transactionIndex", &log->tx_index, why);
    }
    if (e == OK) {
        e = u32_of(v, "logIndex", &log->log_index, why);
    }
    const struct json *removed = present(v, "removed");
    if (e == OK && removed != NULL) {
        if (removed->type != JSON_TRUE && removed->type != JSON_FALSE) {
            return refuse(why, "removed", "is neither true nor false");
        }
        log->removed = removed->type == JSON_TRUE;
    }
    return e;
}

enum err evm_log_parse(struct arena *arena, const struct json *v, struct evm_log *out,
                       struct why *why)
{
    struct evm_log log = {.topic_count = 0};
    struct slice text = SLICE_EMPTY;
    if (v == NULL || v->type != JSON_OBJECT) {
        return refuse(why, "log", "is not an object");
    }
    enum err e = address_of(v, "address", &log.address, why);
    if (e == OK) {
        e = topics_parse(v, &log, why);
    }
    if (e == OK) {
        e = text_of(v, "data", &text, why);
    }
    if (e == OK && hex_decode(arena, text, &log.data) != OK) {
        e = refuse(why, "data", "is not hexadecimal");
    }
    if (e == OK) {
        e = log_place_parse(v, &log, why);
    }
    if (e == OK) {
        *out = log;
    }
    return e;
}

static enum err receipt_place_parse(const struct json *v, struct evm_receipt *r, struct why *why)
{
    enum err e = hash_of(v, "transactionHash", &r->tx_hash, why);
    if (e == OK) {
        e = hash_of(v, "blockHash", &r->block_hash, why);
    }
    if (e == OK) {
        e = u64_of(v, "blockNumber", &r->block_number, why);
    }
    if (e == OK) {
        e = u32_of(v, "transactionIndex", &r->tx_index, why);
    }
    if (e == OK) {
        e = address_of(v, "from", &r->from, why);
    }
    if (e == OK) {
        e = optional_address_of(v, "to", &r->has_to, &r->to, why);
    }
    if (e == OK) {
        e = optional_address_of(v, "contractAddress", &r->has_contract, &r->contract, why);
    }
    return e;
}

static enum err receipt_outcome_parse(const struct json *v, struct evm_receipt *r, struct why *why)
{
    uint64_t status = 0;
    enum err e = u64_of(v, "status", &status, why);
    if (e == OK && status > 1) {
        e = refuse(why, "status", "is neither 0 nor 1");
    }
    if (e == OK) {
        e = u64_of(v, "gasUsed", &r->gas_used, why);
    }
    if (e == OK) {
        e = wei_in(v, "effectiveGasPrice", &r->gas_price, why);
    }
    r->succeeded = status == 1;
    return e;
}

static enum err receipt_logs_parse(struct arena *arena, const struct json *v, struct evm_receipt *r,
                                   struct why *why)
{
    const struct json *logs = present(v, "logs");
    if (logs == NULL || logs->type != JSON_ARRAY) {
        return refuse(why, "logs", "is not a list");
    }
    r->logs = arena_alloc_array(arena, logs->count, sizeof(*r->logs));
    for (const struct json *item = logs->child; item != NULL; item = item->next) {
        struct evm_log *log = &r->logs[r->log_count];
        enum err e = evm_log_parse(arena, item, log, why);
        if (e != OK) {
            return why_prefix_field(why, e, "logs");
        }
        if (!hash_equal(&log->tx_hash, &r->tx_hash) ||
            !hash_equal(&log->block_hash, &r->block_hash)) {
            return refuse(why, "logs", "belong to another transaction or block");
        }
        r->log_count++;
    }
    return OK;
}

enum err evm_receipt_parse(struct arena *arena, const struct json *v, struct evm_receipt *out,
                           struct why *why)
{
    struct evm_receipt r = {.block_number = 0};
    if (v == NULL || v->type != JSON_OBJECT) {
        return refuse(why, "receipt", "is not an object");
    }
    enum err e = receipt_place_parse(v, &r, why);
    if (e == OK) {
        e = receipt_outcome_parse(v, &r, why);
    }
    if (e == OK) {
        e = receipt_logs_parse(arena, v, &r, why);
    }
    if (e == OK) {
        *out = r;
    }
    return e;
}

struct evm_bloom_bits evm_bloom_bits_of(struct slice item)
{
    struct hash h = keccak256(item);
    struct evm_bloom_bits bits;
    for (size_t i = 0; i < 3; i++) {
        bits.bit[i] = (uint16_t)(((unsigned)h.bytes[2 * i] << 8 | h.bytes[2 * i + 1]) & 2047);
    }
    return bits;
}

bool evm_bloom_has(const uint8_t bloom[EVM_BLOOM_BYTES], const struct evm_bloom_bits *bits)
{
    for (size_t i = 0; i < 3; i++) {
        unsigned bit = bits->bit[i];
        if ((bloom[EVM_BLOOM_BYTES - 1 - bit / 8] >> (bit % 8) & 1) == 0) {
            return false;
        }
    }
    return true;
}

bool evm_bloom_may_hold(const uint8_t bloom[EVM_BLOOM_BYTES], struct slice item)
{
    struct evm_bloom_bits bits = evm_bloom_bits_of(item);
    return evm_bloom_has(bloom, &bits);
}
