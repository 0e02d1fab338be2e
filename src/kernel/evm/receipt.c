#include "kernel/evm/receipt.h"

#include "kernel/base/hex.h"
#include "kernel/evm/address.h"
#include "kernel/evm/member.h"
#include "kernel/evm/rlp.h"
#include "kernel/evm/trie.h"

/* ---- reading ---- */

static enum err type_parse(const struct json *v, struct receipt *r, struct why *why)
{
    uint64_t type = 0;
    if (member_find(v, "type") == NULL) {
        return OK; /* from before there were types */
    }
    enum err e = member_u64(v, "type", &type, why);
    if (e == OK && type > RECEIPT_TYPE_MAX) {
        e = member_refuse(why, "type", "is not a type of transactions");
    }
    if (e == OK) {
        r->type = (uint8_t)type;
    }
    return e;
}

/* Some nodes write both, with an empty root beside the status. */
static enum err outcome_parse(const struct json *v, struct receipt *r, struct why *why)
{
    uint64_t status = 0;
    if (member_find(v, "status") == NULL && member_find(v, "root") != NULL) {
        r->has_state_root = true;
        return member_hash(v, "root", &r->state_root, why);
    }
    enum err e = member_u64(v, "status", &status, why);
    if (e == OK && status > 1) {
        e = member_refuse(why, "status", "is neither 0 nor 1");
    }
    r->succeeded = status == 1;
    return e;
}

static enum err deposit_parse(const struct json *v, struct receipt *r, struct why *why)
{
    if (r->type != RECEIPT_TYPE_DEPOSIT || member_find(v, "depositReceiptVersion") == NULL) {
        return OK;
    }
    r->has_deposit = true;
    enum err e = member_u64(v, "depositNonce", &r->deposit_nonce, why);
    return e == OK ? member_u64(v, "depositReceiptVersion", &r->deposit_version, why) : e;
}

static enum err logs_parse(struct arena *arena, const struct json *v, struct receipt *r,
                           struct why *why)
{
    const struct json *logs = member_find(v, "logs");
    if (logs == NULL || logs->type != JSON_ARRAY) {
        return member_refuse(why, "logs", "is not a list");
    }
    r->logs = arena_alloc_array(arena, logs->count, sizeof(*r->logs));
    for (const struct json *item = logs->child; item != NULL; item = item->next) {
        enum err e = evm_log_parse(arena, item, &r->logs[r->log_count], why);
        if (e != OK) {
            return why_prefix_field(why, e, "logs");
        }
        r->log_count++;
    }
    return OK;
}

static void bloom_compute(struct receipt *r)
{
    for (size_t i = 0; i < r->log_count; i++) {
        const struct evm_log *log = &r->logs[i];
        evm_bloom_add(r->bloom, address_slice(&log->address));
        for (size_t t = 0; t < log->topic_count; t++) {
            evm_bloom_add(r->bloom, hash_slice(&log->topics[t]));
        }
    }
}

enum err receipt_parse(struct arena *arena, const struct json *v, struct receipt *out,
                       struct why *why)
{
    struct receipt r = {.type = 0};
    if (v == NULL || v->type != JSON_OBJECT) {
        return member_refuse(why, "receipt", "is not an object");
    }
    enum err e = type_parse(v, &r, why);
    if (e == OK) {
        e = outcome_parse(v, &r, why);
    }
    if (e == OK) {
        e = member_u64(v, "cumulativeGasUsed", &r.gas_cumulative, why);
    }
    if (e == OK) {
        e = member_hash(v, "transactionHash", &r.tx_hash, why);
    }
    if (e == OK) {
        e = deposit_parse(v, &r, why);
    }
    if (e == OK) {
        e = logs_parse(arena, v, &r, why);
    }
    if (e == OK && member_find(v, "logsBloom") != NULL) {
        e = member_fixed(v, "logsBloom", r.bloom, sizeof(r.bloom), why);
    } else if (e == OK) {
        bloom_compute(&r);
    }
    if (e == OK) {
        *out = r;
    }
    return e;
}

bool receipt_type_known(uint8_t type)
{
    return type <= RECEIPT_TYPE_PRAGUE || type == RECEIPT_TYPE_DEPOSIT;
}

/* ---- writing ---- */

static void log_encode(struct buf *out, const struct evm_log *log)
{
    size_t list = rlp_begin_list(out);
    rlp_add_bytes(out, address_slice(&log->address));
    size_t topics = rlp_begin_list(out);
    for (size_t i = 0; i < log->topic_count; i++) {
        rlp_add_bytes(out, hash_slice(&log->topics[i]));
    }
    rlp_end_list(out, topics);
    rlp_add_bytes(out, log->data);
    rlp_end_list(out, list);
}

void receipt_encode(struct buf *out, const struct receipt *r)
{
    if (r->type != 0) {
        buf_add_byte(out, r->type);
    }
    size_t list = rlp_begin_list(out);
    if (r->has_state_root) {
        rlp_add_bytes(out, hash_slice(&r->state_root));
    } else {
        rlp_add_u64(out, r->succeeded ? 1 : 0);
    }
    rlp_add_u64(out, r->gas_cumulative);
    rlp_add_bytes(out, slice_of(r->bloom, sizeof(r->bloom)));
    size_t logs = rlp_begin_list(out);
    for (size_t i = 0; i < r->log_count; i++) {
        log_encode(out, &r->logs[i]);
    }
    rlp_end_list(out, logs);
    if (r->has_deposit) {
        rlp_add_u64(out, r->deposit_nonce);
        rlp_add_u64(out, r->deposit_version);
    }
    rlp_end_list(out, list);
}

/* Nearly how long a receipt becomes: what is encoded into it need not move. */
static size_t encoded_about(const struct receipt *r)
{
    size_t len = sizeof(r->bloom) + 2 * HASH_BYTES;
    for (size_t i = 0; i < r->log_count; i++) {
        len +=
            ADDRESS_BYTES + r->logs[i].topic_count * (HASH_BYTES + 1u) + r->logs[i].data.len + 16;
    }
    return len;
}

struct hash receipts_root(struct arena *scratch, const struct receipt *receipts, size_t count)
{
    struct slice *values = arena_alloc_array(scratch, count, sizeof(*values));
    for (size_t i = 0; i < count; i++) {
        struct buf b;
        buf_init(&b, scratch, encoded_about(&receipts[i]));
        receipt_encode(&b, &receipts[i]);
        values[i] = buf_slice(&b);
    }
    return trie_root_of_list(scratch, values, count);
}
