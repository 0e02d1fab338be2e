/*
 * condition.c: questions about the node itself, and about places in contracts that only people ask.
 */
#include "kernel/base/clock.h"
#include "kernel/evm/address.h"
#include "kernel/rpc/pool.h"

static enum err accept_hash(void *ctx, struct arena *arena, size_t index, const struct json *result,
                            struct why *why)
{
    struct hash *out = ctx;
    struct slice bytes = SLICE_EMPTY;
    (void)index;
    enum err e = rpc_read_bytes(arena, result, &bytes, why);
    if (e == OK && bytes.len != sizeof(out->bytes)) {
        e = why_set(why, ERR_NODE_RESPONSE, NULL, "The node answered %zu bytes for a slot.",
                    bytes.len);
    }
    if (e == OK) {
        memcpy(out->bytes, bytes.ptr, sizeof(out->bytes));
    }
    return e;
}

enum err rpc_storage(struct rpc_pool *pool, struct arena *arena, const struct address *account,
                     const struct hash *slot, struct hash *out, struct why *why)
{
    struct buf text;
    struct json_out j;
    buf_init(&text, arena, 256);
    json_out_init(&j, &text);
    json_begin_array(&j);
    json_hex(&j, address_slice(account));
    json_hex(&j, hash_slice(slot));
    json_text(&j, "latest");
    json_end_array(&j);
    struct rpc_call call = {.method = "eth_getStorageAt", .params = buf_slice(&text)};
    struct rpc_ask ask = {.calls = &call, .count = 1, .accept = accept_hash, .ctx = out};
    return rpc_ask_one(pool, arena, &ask, why);
}

/* ---- the node ---- */

/* Number and time of a block; ERR_NOT_FOUND when the node says null. */
static enum err read_block(const struct json *block, uint64_t *out_number, int64_t *out_usec,
                           struct why *why)
{
    uint64_t sec = 0;
    const struct json *number = json_find(block, "number");
    const struct json *time = json_find(block, "timestamp");
    if (number == NULL || time == NULL) {
        return why_set(why, ERR_NOT_FOUND, NULL, "The node has no such block.");
    }
    enum err e = rpc_read_u64(number, out_number, why);
    if (e == OK) {
        e = rpc_read_u64(time, &sec, why);
    }
    if (e == OK && sec > INT64_MAX / USEC_PER_SEC) {
        e = why_set(why, ERR_NODE_RESPONSE, NULL, "The time of the block is out of range.");
    }
    if (e == OK) {
        *out_usec = (int64_t)sec * USEC_PER_SEC;
    }
    return e;
}

/* Says no in the words of the question: what nodes say to unknown methods is worded in many ways.
 */
static void note(struct why *out, enum err e, const struct why *said, const char *what)
{
    *out = (struct why){.err = OK};
    if (e != OK) {
        (void)why_set(out, e, NULL, "%s is not answered (%s)", what, why_text(said, e));
    }
}

static enum err ask(struct rpc_pool *pool, struct arena *arena, struct rpc_call *call,
                    const char *method, const char *params, struct why *why)
{
    *call = (struct rpc_call){.method = method, .params = slice_text(params)};
    return rpc_call_one(pool, arena, RPC_ANY, call, why);
}

static enum err read_condition(struct rpc_pool *pool, struct arena *arena,
                               struct rpc_condition *out, struct why *why)
{
    struct rpc_call call;
    struct why said = {.err = OK};
    uint64_t number = 0;
    int64_t usec = 0;
    enum err e = ask(pool, arena, &call, "eth_syncing", "[]", why);
    if (e == OK) {
        out->syncing = call.result->type != JSON_FALSE;
        e = ask(pool, arena, &call, "eth_getBlockByNumber", "[\"latest\",false]", why);
    }
    if (e == OK) {
        e = read_block(call.result, &out->head, &out->head_usec, why);
    }
    if (e != OK) {
        return e;
    }
    enum err asked =
        ask(pool, arena, &call, "eth_getBlockByNumber", "[\"finalized\",false]", &said);
    asked = asked == OK ? read_block(call.result, &number, &usec, &said) : asked;
    note(&out->finalized, asked, &said, "The tag \"finalized\"");
    asked = ask(pool, arena, &call, "eth_getBlockReceipts", "[\"latest\"]", &said);
    if (asked == OK && call.result->type != JSON_ARRAY) {
        asked = why_set(&said, ERR_NODE_RESPONSE, NULL, "no list");
    }
    note(&out->receipts, asked, &said, "eth_getBlockReceipts");
    return OK;
}

enum err rpc_condition_read(struct rpc_pool *pool, struct rpc_condition *out, struct why *why)
{
    struct arena scratch;
    struct rpc_condition condition = {.head = 0};
    arena_init(&scratch, 0);
    enum err e = read_condition(pool, &scratch, &condition, why);
    arena_free(&scratch);
    if (e == OK) {
        *out = condition;
    }
    return e;
}
