#include "kernel/base/check.h"
#include "kernel/evm/address.h"
#include "kernel/rpc/pool.h"

/* ---- parameters ------------------------------------------------------------------------------ */

struct params {
    struct buf text;
    struct json_out j;
};

static struct json_out *params_begin(struct params *p, struct arena *arena)
{
    buf_init(&p->text, arena, 256);
    json_out_init(&p->j, &p->text);
    json_begin_array(&p->j);
    return &p->j;
}

static struct slice params_end(struct params *p)
{
    json_end_array(&p->j);
    return buf_slice(&p->text);
}

static void json_number_or_latest(struct json_out *j, const uint64_t *block)
{
    if (block != NULL) {
        json_quantity(j, u256_from_u64(*block));
    } else {
        json_text(j, "latest");
    }
}

static struct slice account_params(struct arena *arena, const struct address *account,
                                   const char *tag)
{
    struct params p;
    struct json_out *j = params_begin(&p, arena);
    json_hex(j, address_slice(account));
    json_text(j, tag);
    return params_end(&p);
}

/* ---- single values --------------------------------------------------------------------------- */

static enum err accept_u64(void *ctx, struct arena *arena, size_t index, const struct json *result,
                           struct why *why)
{
    (void)arena;
    (void)index;
    return rpc_read_u64(result, ctx, why);
}

static enum err accept_u256(void *ctx, struct arena *arena, size_t index, const struct json *result,
                            struct why *why)
{
    (void)arena;
    (void)index;
    return rpc_read_u256(result, ctx, why);
}

static enum err accept_bytes(void *ctx, struct arena *arena, size_t index,
                             const struct json *result, struct why *why)
{
    (void)index;
    return rpc_read_bytes(arena, result, ctx, why);
}

enum err rpc_chain_id(struct rpc_pool *pool, uint64_t *out, struct why *why)
{
    enum err last = ERR_NODE_UNAVAILABLE;
    bool answered = false;
    struct why local = {0};
    for (size_t i = 0; i < pool->count; i++) {
        enum err e = rpc_node_check_chain(pool, &pool->nodes[i], &local);
        if (e == OK) {
            answered = true;
        } else {
            last = e;
        }
        if (e == ERR_WRONG_CHAIN) {
            break;
        }
    }
    if (last == ERR_WRONG_CHAIN || !answered) {
        if (why != NULL) {
            *why = local;
        }
        return last;
    }
    *out = pool->options.chain_id;
    return OK;
}

enum err rpc_block_number(struct rpc_pool *pool, uint64_t *out, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct rpc_call call = {.method = "eth_blockNumber"};
    struct rpc_ask ask = {.calls = &call, .count = 1, .accept = accept_u64, .ctx = out};
    enum err e = rpc_ask_one(pool, &scratch, &ask, why);
    arena_free(&scratch);
    return e;
}

enum err rpc_nonce(struct rpc_pool *pool, const struct address *account, bool pending,
                   uint64_t *out, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct rpc_call call = {.method = "eth_getTransactionCount"};
    call.params = account_params(&scratch, account, pending ? "pending" : "latest");
    struct rpc_ask ask = {.calls = &call, .count = 1, .accept = accept_u64, .ctx = out};
    enum err e = rpc_ask_one(pool, &scratch, &ask, why);
    arena_free(&scratch);
    return e;
}

enum err rpc_balance(struct rpc_pool *pool, const struct address *account, struct wei_amount *out,
                     struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct u256 wei = U256_ZERO;
    struct rpc_call call = {.method = "eth_getBalance"};
    call.params = account_params(&scratch, account, "latest");
    struct rpc_ask ask = {.calls = &call, .count = 1, .accept = accept_u256, .ctx = &wei};
    enum err e = rpc_ask_one(pool, &scratch, &ask, why);
    if (e == OK) {
        *out = wei_of(wei);
    }
    arena_free(&scratch);
    return e;
}

enum err rpc_code(struct rpc_pool *pool, struct arena *arena, const struct address *account,
                  struct slice *out, struct why *why)
{
    struct rpc_call call = {.method = "eth_getCode"};
    call.params = account_params(arena, account, "latest");
    struct rpc_ask ask = {.calls = &call, .count = 1, .accept = accept_bytes, .ctx = out};
    return rpc_ask_one(pool, arena, &ask, why);
}

/* ---- headers --------------------------------------------------------------------------------- */

struct header_ask {
    uint64_t first;
    struct evm_header *out;
    bool trusted;
    bool newest; /* whatever number it has */
    struct arena scratch;
};

static enum err accept_header(void *ctx, struct arena *arena, size_t index,
                              const struct json *result, struct why *why)
{
    (void)arena;
    struct header_ask *a = ctx;
    uint64_t number = a->first + index;
    if (a->newest && result->type == JSON_OBJECT) {
        enum err read = rpc_read_u64(json_find(result, "number"), &number, why);
        if (read != OK) {
            return read;
        }
    }
    if (result->type == JSON_NULL) {
        return why_set(why, ERR_NOT_FOUND, NULL, "The node has no block %llu.",
                       (unsigned long long)number);
    }
    struct evm_header header;
    enum err e = evm_header_parse(result, &header, why);
    if (e != OK) {
        return e;
    }
    if (header.number != number) {
        return why_set(why, ERR_NODE_RESPONSE, NULL,
                       "The node answered with block %llu where %llu was asked.",
                       (unsigned long long)header.number, (unsigned long long)number);
    }
    struct why unverified = {0};
    e = evm_header_verify(&a->scratch, result, &unverified);
    arena_clear(&a->scratch);
    if (e == ERR_CORRUPT) {
        return why_set(why, ERR_NODE_LIED, NULL,
                       "The hash of block %llu does not match its header.",
                       (unsigned long long)number);
    }
    if (e != OK && !a->trusted) {
        return why_set(why, e, NULL, "Block %llu cannot be verified: %s",
                       (unsigned long long)number, why_text(&unverified, e));
    }
    if (e != OK) {
        metric_add(&rpc_metrics[RPC_METRIC_UNVERIFIED_HEADERS], 1);
    }
    a->out[index] = header;
    return OK;
}

static struct slice header_params(struct arena *arena, uint64_t number)
{
    struct params p;
    struct json_out *j = params_begin(&p, arena);
    json_quantity(j, u256_from_u64(number));
    json_bool(j, false);
    return params_end(&p);
}

enum err rpc_headers(struct rpc_pool *pool, struct arena *arena, uint64_t first, size_t count,
                     struct evm_header *out, size_t *out_count, struct why *why)
{
    struct rpc_call *calls = arena_alloc_array(arena, count, sizeof(*calls));
    for (size_t i = 0; i < count; i++) {
        calls[i].method = "eth_getBlockByNumber";
        calls[i].params = header_params(arena, first + i);
    }
    struct header_ask a = {.first = first, .out = out, .trusted = pool->options.trusted};
    arena_init(&a.scratch, 0);
    struct rpc_ask ask = {
        .calls = calls, .count = count, .accept = accept_header, .ctx = &a, .lie = RPC_LIE_HEADER};
    enum err e = rpc_ask_run(pool, arena, &ask, why);
    arena_free(&a.scratch);
    size_t got = 0;
    while (e == OK && got < count && calls[got].err != ERR_NOT_FOUND) {
        e = calls[got].err;
        if (e != OK && why != NULL) {
            *why = calls[got].why;
        }
        got++;
    }
    if (e == OK) {
        *out_count = got;
    }
    return e;
}

enum err rpc_header(struct rpc_pool *pool, struct arena *arena, uint64_t number,
                    struct evm_header *out, struct why *why)
{
    struct rpc_call call = {.method = "eth_getBlockByNumber",
                            .params = header_params(arena, number)};
    struct header_ask a = {.first = number, .out = out, .trusted = pool->options.trusted};
    arena_init(&a.scratch, 0);
    struct rpc_ask ask = {
        .calls = &call, .count = 1, .accept = accept_header, .ctx = &a, .lie = RPC_LIE_HEADER};
    enum err e = rpc_ask_one(pool, arena, &ask, why);
    arena_free(&a.scratch);
    return e;
}

enum err rpc_header_at(struct rpc_pool *pool, struct rpc_node *node, const uint64_t *number,
                       int64_t timeout_usec, struct evm_header *out, struct why *why)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct header_ask a = {.first = number != NULL ? *number : 0,
                           .out = out,
                           .trusted = pool->options.trusted,
                           .newest = number == NULL};
    arena_init(&a.scratch, 0);
    struct params p;
    struct json_out *j = params_begin(&p, &arena);
    json_number_or_latest(j, number);
    json_bool(j, false);
    struct rpc_call call = {.method = "eth_getBlockByNumber", .params = params_end(&p)};
    struct rpc_ask ask = {.calls = &call,
                          .count = 1,
                          .accept = accept_header,
                          .ctx = &a,
                          .lie = RPC_LIE_HEADER,
                          .timeout_usec = timeout_usec};
    enum err e = rpc_ask_at(pool, &arena, &ask, node, why);
    if (e == OK && call.err != OK) {
        e = call.err;
        if (why != NULL) {
            *why = call.why;
        }
    }
    arena_free(&a.scratch);
    arena_free(&arena);
    return e;
}

/* ---- running code ---------------------------------------------------------------------------- */

static void call_object(struct json_out *j, const struct address *from, const struct address *to,
                        struct wei_amount value, struct slice data)
{
    json_begin_object(j);
    if (from != NULL) {
        json_key(j, "from");
        json_hex(j, address_slice(from));
    }
    if (to != NULL) {
        json_key(j, "to");
        json_hex(j, address_slice(to));
    }
    if (!u256_is_zero(wei_raw(value))) {
        json_key(j, "value");
        json_quantity(j, wei_raw(value));
    }
    if (data.len > 0) {
        /* "input" is the newer name; "data" is the one that every node takes. */
        json_key(j, "data");
        json_hex(j, data);
    }
    json_end_object(j);
}

/* run_code makes the call and hands out the revert data, which is part of the answer. */
static enum err run_code(struct rpc_pool *pool, struct arena *arena, const struct rpc_ask *ask,
                         struct slice *out_revert, struct why *why)
{
    enum err e = rpc_ask_one(pool, arena, ask, why);
    if (e == ERR_REVERTED && out_revert != NULL) {
        *out_revert = ask->calls[0].error_data;
    }
    return e;
}

enum err rpc_eth_call(struct rpc_pool *pool, struct arena *arena, const struct address *from,
                      const struct address *to, struct slice data, const uint64_t *block,
                      struct slice *out, struct slice *out_revert, struct why *why)
{
    struct params p;
    struct json_out *j = params_begin(&p, arena);
    call_object(j, from, to, wei_of(U256_ZERO), data);
    json_number_or_latest(j, block);
    struct rpc_call call = {.method = "eth_call", .params = params_end(&p)};
    struct rpc_ask ask = {.calls = &call, .count = 1, .accept = accept_bytes, .ctx = out};
    return run_code(pool, arena, &ask, out_revert, why);
}

enum err rpc_estimate_gas(struct rpc_pool *pool, struct arena *arena, const struct address *from,
                          const struct address *to, struct wei_amount value, struct slice data,
                          uint64_t *out_gas, struct slice *out_revert, struct why *why)
{
    struct params p;
    struct json_out *j = params_begin(&p, arena);
    call_object(j, from, to, value, data);
    struct rpc_call call = {.method = "eth_estimateGas", .params = params_end(&p)};
    struct rpc_ask ask = {.calls = &call, .count = 1, .accept = accept_u64, .ctx = out_gas};
    return run_code(pool, arena, &ask, out_revert, why);
}
