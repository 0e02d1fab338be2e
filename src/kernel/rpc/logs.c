#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/evm/address.h"
#include "kernel/rpc/pool.h"

/* ---- logs ------------------------------------------------------------------------------------ */

struct logs_ask {
    const struct rpc_log_filter *filter;
    const struct address *addresses; /* sorted */
    const struct hash *topics0;      /* sorted */
    struct evm_log *logs;
    size_t count;
};

static int compare_address(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct address));
}

static int compare_hash(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct hash));
}

static void *sorted_copy(struct arena *arena, const void *items, size_t count, size_t size,
                         int (*compare)(const void *, const void *))
{
    if (count == 0) {
        return NULL;
    }
    void *copy = arena_alloc_array(arena, count, size);
    memcpy(copy, items, count * size);
    qsort(copy, count, size, compare);
    return copy;
}

static const char *outside_filter(const struct logs_ask *a, const struct evm_log *log)
{
    const struct rpc_log_filter *f = a->filter;
    if (log->removed) {
        return "is marked as removed";
    }
    if (log->block_number < f->from_block || log->block_number > f->to_block) {
        return "is outside the blocks that were asked";
    }
    if (f->block_hash != NULL && !hash_equal(f->block_hash, &log->block_hash)) {
        return "is of another block than the one that was asked";
    }
    if (f->address_count > 0 && bsearch(&log->address, a->addresses, f->address_count,
                                        sizeof(struct address), compare_address) == NULL) {
        return "is of an address that was not asked";
    }
    if (f->topic0_count > 0 &&
        (log->topic_count == 0 || bsearch(&log->topics[0], a->topics0, f->topic0_count,
                                          sizeof(struct hash), compare_hash) == NULL)) {
        return "has a topic that was not asked";
    }
    return NULL;
}

static const char *out_of_order(const struct evm_log *before, const struct evm_log *log)
{
    if (log->block_number < before->block_number) {
        return "comes after one of a later block";
    }
    if (log->block_number > before->block_number) {
        return NULL;
    }
    if (log->log_index <= before->log_index || log->tx_index < before->tx_index) {
        return "repeats or goes back within its block";
    }
    if (!hash_equal(&log->block_hash, &before->block_hash)) {
        return "gives its block another hash than the one before";
    }
    return NULL;
}

static enum err accept_logs(void *ctx, struct arena *arena, size_t index, const struct json *result,
                            struct why *why)
{
    (void)index;
    struct logs_ask *a = ctx;
    if (result->type != JSON_ARRAY) {
        return why_set(why, ERR_NODE_RESPONSE, NULL, "The node's logs are not a list.");
    }
    struct evm_log *logs = arena_alloc_array(arena, result->count, sizeof(*logs));
    size_t count = 0;
    for (const struct json *v = result->child; v != NULL; v = v->next) {
        struct evm_log *log = &logs[count];
        enum err e = evm_log_parse(arena, v, log, why);
        if (e != OK) {
            return e;
        }
        const char *wrong = outside_filter(a, log);
        if (wrong == NULL && count > 0) {
            wrong = out_of_order(&logs[count - 1], log);
        }
        if (wrong != NULL) {
            return why_set(why, ERR_NODE_RESPONSE, NULL, "Log %u of block %llu %s.", log->log_index,
                           (unsigned long long)log->block_number, wrong);
        }
        count++;
    }
    a->logs = logs;
    a->count = count;
    return OK;
}

static struct slice filter_params(struct arena *arena, const struct rpc_log_filter *f)
{
    struct buf text;
    struct json_out j;
    buf_init(&text, arena, 256);
    json_out_init(&j, &text);
    json_begin_array(&j);
    json_begin_object(&j);
    if (f->block_hash != NULL) {
        json_key(&j, "blockHash");
        json_hex(&j, hash_slice(f->block_hash));
    } else {
        json_key(&j, "fromBlock");
        json_quantity(&j, u256_from_u64(f->from_block));
        json_key(&j, "toBlock");
        json_quantity(&j, u256_from_u64(f->to_block));
    }
    if (f->address_count > 0) {
        json_key(&j, "address");
        json_begin_array(&j);
        for (size_t i = 0; i < f->address_count; i++) {
            json_hex(&j, address_slice(&f->addresses[i]));
        }
        json_end_array(&j);
    }
    if (f->topic0_count > 0) {
        json_key(&j, "topics");
        json_begin_array(&j);
        json_begin_array(&j);
        for (size_t i = 0; i < f->topic0_count; i++) {
            json_hex(&j, hash_slice(&f->topics0[i]));
        }
        json_end_array(&j);
        json_end_array(&j);
    }
    json_end_object(&j);
    json_end_array(&j);
    return buf_slice(&text);
}

enum err rpc_logs(struct rpc_pool *pool, struct arena *arena, const struct rpc_log_filter *filter,
                  struct evm_log **out, size_t *out_count, struct why *why)
{
    ASSERT(filter->from_block <= filter->to_block);
    ASSERT(filter->block_hash == NULL || filter->from_block == filter->to_block);
    struct logs_ask a = {
        .filter = filter,
        .addresses = sorted_copy(arena, filter->addresses, filter->address_count,
                                 sizeof(struct address), compare_address),
        .topics0 = sorted_copy(arena, filter->topics0, filter->topic0_count, sizeof(struct hash),
                               compare_hash),
    };
    struct rpc_call call = {.method = "eth_getLogs", .params = filter_params(arena, filter)};
    struct rpc_ask ask = {.calls = &call, .count = 1, .accept = accept_logs, .ctx = &a};
    enum err e = rpc_ask_one(pool, arena, &ask, why);
    if (e == OK || e == ERR_NODE_ERROR) {
        rpc_node_note_range(pool, &pool->nodes[call.served_by],
                            filter->to_block - filter->from_block + 1, e == OK);
    }
    if (e == ERR_NODE_ERROR && filter->from_block < filter->to_block) {
        e = ERR_LIMIT;
        if (why != NULL) {
            why->err = e;
        }
    }
    if (e == OK) {
        *out = a.logs;
        *out_count = a.count;
    }
    return e;
}

/* ---- receipts -------------------------------------------------------------------------------- */

struct receipts_ask {
    const struct hash *txs;
    struct evm_receipt *out;
    bool *out_found;
};

static bool logs_belong(const struct evm_receipt *r)
{
    for (size_t i = 0; i < r->log_count; i++) {
        const struct evm_log *log = &r->logs[i];
        if (log->removed || log->block_number != r->block_number || log->tx_index != r->tx_index ||
            !hash_equal(&log->block_hash, &r->block_hash) ||
            !hash_equal(&log->tx_hash, &r->tx_hash) ||
            (i > 0 && log->log_index <= r->logs[i - 1].log_index)) {
            return false;
        }
    }
    return true;
}

static enum err accept_receipt(void *ctx, struct arena *arena, size_t index,
                               const struct json *result, struct why *why)
{
    struct receipts_ask *a = ctx;
    if (result->type == JSON_NULL) {
        a->out_found[index] = false;
        return OK;
    }
    struct evm_receipt receipt;
    enum err e = evm_receipt_parse(arena, result, &receipt, why);
    if (e != OK) {
        return e;
    }
    if (!hash_equal(&receipt.tx_hash, &a->txs[index]) || !logs_belong(&receipt)) {
        return why_set(why, ERR_NODE_RESPONSE, NULL,
                       "The node answered with the receipt or logs of another transaction.");
    }
    a->out[index] = receipt;
    a->out_found[index] = true;
    return OK;
}

enum err rpc_receipts(struct rpc_pool *pool, struct arena *arena, const struct hash *txs,
                      size_t count, struct evm_receipt *out, bool *out_found, struct why *why)
{
    struct rpc_call *calls = arena_alloc_array(arena, count, sizeof(*calls));
    for (size_t i = 0; i < count; i++) {
        struct slice hex = hex_encode(arena, hash_slice(&txs[i]));
        calls[i].method = "eth_getTransactionReceipt";
        calls[i].params = slice_format(arena, "[\"%.*s\"]", SLICE_ARG(hex));
        calls[i].once = true;
    }
    struct receipts_ask a = {.txs = txs, .out = out, .out_found = out_found};
    struct rpc_ask ask = {
        .need = RPC_MONEY, .calls = calls, .count = count, .accept = accept_receipt, .ctx = &a};
    enum err e = rpc_ask_run(pool, arena, &ask, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        if (calls[i].disputed) {
            out_found[i] = false; /* until a quorum has it */
            continue;
        }
        e = calls[i].err;
        if (e != OK && why != NULL) {
            *why = calls[i].why;
        }
    }
    return e;
}

enum err rpc_receipt(struct rpc_pool *pool, struct arena *arena, const struct hash *tx,
                     struct evm_receipt *out, bool *out_found, struct why *why)
{
    return rpc_receipts(pool, arena, tx, 1, out, out_found, why);
}
