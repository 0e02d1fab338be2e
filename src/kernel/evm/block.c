#include "kernel/evm/block.h"

#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/evm/address.h"
#include "kernel/evm/member.h"

/* optional_address_of reads an address that may be null. */
static enum err optional_address_of(const struct json *v, const char *key, bool *out_has,
                                    struct address *out, struct why *why)
{
    *out_has = member_find(v, key) != NULL;
    return *out_has ? member_address(v, key, out, why) : OK;
}

/* ---- headers ---- */

enum err evm_header_parse(const struct json *v, struct evm_header *out, struct why *why)
{
    struct evm_header h = {.number = 0};
    uint64_t time_sec = 0;
    if (v == NULL || v->type != JSON_OBJECT) {
        return member_refuse(why, "block", "is not an object");
    }
    enum err e = member_u64(v, "number", &h.number, why);
    if (e == OK) {
        e = member_hash(v, "hash", &h.hash, why);
    }
    if (e == OK) {
        e = member_hash(v, "parentHash", &h.parent_hash, why);
    }
    if (e == OK) {
        e = member_u64(v, "timestamp", &time_sec, why);
    }
    if (e == OK && time_sec > INT64_MAX / 1000000) {
        e = member_refuse(why, "timestamp", "is beyond the calendar");
    }
    if (e == OK) {
        e = member_hash(v, "transactionsRoot", &h.transactions_root, why);
    }
    if (e == OK) {
        e = member_hash(v, "receiptsRoot", &h.receipts_root, why);
    }
    if (e == OK) {
        e = member_fixed(v, "logsBloom", h.bloom, sizeof(h.bloom), why);
    }
    if (e == OK) {
        e = member_u64(v, "gasLimit", &h.gas_limit, why);
    }
    if (e == OK) {
        e = member_u64(v, "gasUsed", &h.gas_used, why);
    }
    h.has_base_fee = member_find(v, "baseFeePerGas") != NULL;
    if (e == OK && h.has_base_fee) {
        e = member_wei(v, "baseFeePerGas", &h.base_fee, why);
    }
    if (e == OK) {
        h.time_sec = (int64_t)time_sec;
        *out = h;
    }
    return e;
}

/* ---- logs and receipts ---- */

static enum err topics_parse(const struct json *v, struct evm_log *log, struct why *why)
{
    const struct json *topics = member_find(v, "topics");
    if (topics == NULL || topics->type != JSON_ARRAY || topics->count > EVM_TOPICS_MAX) {
        return member_refuse(why, "topics", "is not a list of at most four");
    }
    for (const struct json *t = topics->child; t != NULL; t = t->next) {
        struct hash *out = &log->topics[log->topic_count];
        if (t->type != JSON_STRING || hash_parse(t->text, out) != OK) {
            return member_refuse(why, "topics", "holds something that is not 32 bytes");
        }
        log->topic_count++;
    }
    return OK;
}

static enum err log_place_parse(const struct json *v, struct evm_log *log, struct why *why)
{
    enum err e = member_u64(v, "blockNumber", &log->block_number, why);
    if (e == OK) {
        e = member_hash(v, "blockHash", &log->block_hash, why);
    }
    if (e == OK) {
        e = member_hash(v, "transactionHash", &log->tx_hash, why);
    }
    if (e == OK) {
        e = member_u32(v, "transactionIndex", &log->tx_index, why);
    }
    if (e == OK) {
        e = member_u32(v, "logIndex", &log->log_index, why);
    }
    const struct json *removed = member_find(v, "removed");
    if (e == OK && removed != NULL) {
        if (removed->type != JSON_TRUE && removed->type != JSON_FALSE) {
            return member_refuse(why, "removed", "is neither true nor false");
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
        return member_refuse(why, "log", "is not an object");
    }
    enum err e = member_address(v, "address", &log.address, why);
    if (e == OK) {
        e = topics_parse(v, &log, why);
    }
    if (e == OK) {
        e = member_text(v, "data", &text, why);
    }
    if (e == OK && hex_decode(arena, text, &log.data) != OK) {
        e = member_refuse(why, "data", "is not hexadecimal");
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
    enum err e = member_hash(v, "transactionHash", &r->tx_hash, why);
    if (e == OK) {
        e = member_hash(v, "blockHash", &r->block_hash, why);
    }
    if (e == OK) {
        e = member_u64(v, "blockNumber", &r->block_number, why);
    }
    if (e == OK) {
        e = member_u32(v, "transactionIndex", &r->tx_index, why);
    }
    if (e == OK) {
        e = member_address(v, "from", &r->from, why);
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
    enum err e = member_u64(v, "status", &status, why);
    if (e == OK && status > 1) {
        e = member_refuse(why, "status", "is neither 0 nor 1");
    }
    if (e == OK) {
        e = member_u64(v, "gasUsed", &r->gas_used, why);
    }
    if (e == OK) {
        e = member_wei(v, "effectiveGasPrice", &r->gas_price, why);
    }
    r->succeeded = status == 1;
    return e;
}

static enum err receipt_logs_parse(struct arena *arena, const struct json *v, struct evm_receipt *r,
                                   struct why *why)
{
    const struct json *logs = member_find(v, "logs");
    if (logs == NULL || logs->type != JSON_ARRAY) {
        return member_refuse(why, "logs", "is not a list");
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
            return member_refuse(why, "logs", "belong to another transaction or block");
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
        return member_refuse(why, "receipt", "is not an object");
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
