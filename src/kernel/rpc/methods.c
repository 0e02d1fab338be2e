#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/evm/address.h"
#include "kernel/rpc/leg.h"

/* How long the other endpoints may take to say their chain id when one has. */
#define CHECK_USEC ((int64_t)USEC_PER_SEC)

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

enum err rpc_node_check_chain(struct rpc_pool *pool, struct rpc_node *node, struct why *why)
{
    struct arena scratch;
    struct rpc_leg leg = {.pool = pool, .node = node, .arena = &scratch};
    arena_init(&scratch, 0);
    rpc_leg_run(&leg);
    arena_free(&scratch);
    if (leg.err != OK && why != NULL) {
        *why = leg.why;
    }
    return leg.err;
}

/*
 * check_all asks all endpoints side by side. When one has answered, those that take much longer are
 * not waited for: they are asked again before their first use.
 */
static void check_all(struct rpc_pool *pool, struct arena *arena, struct rpc_leg *legs)
{
    struct rpc_flight flight;
    int64_t wait = INT64_MAX / 2;
    const struct rpc_leg *over = NULL;
    rpc_flight_init(&flight, pool);
    for (size_t i = 0; i < pool->count; i++) {
        legs[i] = (struct rpc_leg){.pool = pool, .node = &pool->nodes[i], .arena = arena};
        legs[i].err = why_set(&legs[i].why, ERR_NODE_TIMEOUT, NULL, "%s did not answer in time.",
                              pool->nodes[i].origin);
        rpc_flight_add(&flight, &legs[i]);
    }
    while ((over = rpc_flight_wait(&flight, wait)) != NULL) {
        wait = over->err == OK ? CHECK_USEC : wait;
    }
    rpc_flight_clear(&flight);
}

enum err rpc_chain_id(struct rpc_pool *pool, uint64_t *out, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct rpc_leg *legs = arena_alloc_array(&scratch, pool->count, sizeof(*legs));
    const struct rpc_leg *bad = NULL;
    bool answered = false;
    if (pool->count == 1) {
        legs[0] = (struct rpc_leg){.pool = pool, .node = &pool->nodes[0], .arena = &scratch};
        rpc_leg_run(&legs[0]);
    } else {
        check_all(pool, &scratch, legs);
    }
    for (size_t i = 0; i < pool->count; i++) {
        answered = answered || legs[i].err == OK;
        bool worse = legs[i].err != OK && (bad == NULL || bad->err != ERR_WRONG_CHAIN);
        bad = worse ? &legs[i] : bad;
    }
    enum err e = bad != NULL && (!answered || bad->err == ERR_WRONG_CHAIN) ? bad->err : OK;
    if (e != OK && why != NULL) {
        *why = bad->why;
    }
    arena_free(&scratch);
    if (e == OK) {
        rpc_survey(pool); /* what is asked next is not asked of one that is days behind */
        *out = pool->options.chain_id;
    }
    return e;
}

enum err rpc_block_number(struct rpc_pool *pool, uint64_t *out, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    uint64_t number = 0;
    struct rpc_call call = {.method = "eth_blockNumber"};
    struct rpc_ask ask = {.calls = &call, .count = 1, .accept = accept_u64, .ctx = &number};
    enum err e = rpc_ask_one(pool, &scratch, &ask, why);
    arena_free(&scratch);
    if (e == OK) {
        *out = rpc_head_believed(pool, call.served_by, number);
    }
    return e;
}

enum err rpc_nonce(struct rpc_pool *pool, const struct address *account, bool pending,
                   uint64_t *out, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct rpc_call call = {.method = "eth_getTransactionCount"};
    call.params = account_params(&scratch, account, pending ? "pending" : "latest");
    struct rpc_ask ask = {.need = pending ? RPC_ANY : RPC_MONEY,
                          .calls = &call,
                          .count = 1,
                          .accept = accept_u64,
                          .ctx = out};
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
    struct rpc_ask ask = {
        .need = RPC_MONEY, .calls = &call, .count = 1, .accept = accept_u256, .ctx = &wei};
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
    struct rpc_pool *pool;
    uint64_t first;
    struct evm_header *out;
    struct arena scratch;
};

/* verify recomputes the hash. */
static enum err verify(const struct rpc_pool *pool, struct arena *scratch,
                       const struct json *result, uint64_t number, struct why *why)
{
    struct why unverified = {0};
    enum err e = evm_header_verify(scratch, result, &unverified);
    if (e == ERR_CORRUPT) {
        return why_set(why, ERR_NODE_LIED, NULL,
                       "The hash of block %llu does not match its header.",
                       (unsigned long long)number);
    }
    if (e != OK && !pool->options.trusted) {
        return why_set(why, e, NULL, "Block %llu cannot be verified: %s",
                       (unsigned long long)number, why_text(&unverified, e));
    }
    if (e != OK) {
        metric_add(&rpc_metrics[RPC_METRIC_UNVERIFIED_HEADERS], 1);
    }
    return OK;
}

enum err rpc_header_read(const struct rpc_pool *pool, struct arena *scratch, const uint64_t *number,
                         const struct json *result, struct evm_header *out, struct why *why)
{
    if (result->type == JSON_NULL && number != NULL) {
        return why_set(why, ERR_NOT_FOUND, NULL, "The node has no block %llu.",
                       (unsigned long long)*number);
    }
    if (result->type == JSON_NULL) {
        return why_set(why, ERR_NOT_FOUND, NULL, "The node has no newest block.");
    }
    struct evm_header header;
    enum err e = evm_header_parse(result, &header, why);
    if (e != OK) {
        return e;
    }
    if (number != NULL && header.number != *number) {
        return why_set(why, ERR_NODE_RESPONSE, NULL,
                       "The node answered with block %llu where %llu was asked.",
                       (unsigned long long)header.number, (unsigned long long)*number);
    }
    e = verify(pool, scratch, result, header.number, why);
    if (e == OK) {
        *out = header;
    }
    return e;
}

static enum err accept_header(void *ctx, struct arena *arena, size_t index,
                              const struct json *result, struct why *why)
{
    (void)arena;
    struct header_ask *a = ctx;
    uint64_t number = a->first + index;
    enum err e = rpc_header_read(a->pool, &a->scratch, &number, result, &a->out[index], why);
    arena_clear(&a->scratch);
    return e;
}

struct slice rpc_header_params(struct arena *arena, const uint64_t *number)
{
    struct params p;
    struct json_out *j = params_begin(&p, arena);
    json_number_or_latest(j, number);
    json_bool(j, false);
    return params_end(&p);
}

/* ask_headers asks one node for headers; those up to the first missing one are there. */
static enum err ask_headers(struct header_ask *a, struct arena *arena, struct rpc_call *calls,
                            size_t count, uint64_t avoid, size_t *out_count, struct why *why)
{
    struct rpc_ask ask = {.calls = calls,
                          .count = count,
                          .accept = accept_header,
                          .ctx = a,
                          .lie = RPC_LIE_HEADER,
                          .avoid = avoid};
    enum err e = rpc_ask_run(a->pool, arena, &ask, why);
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

/* A node that lacks a block may be a moment late: one after the other is asked for the rest. */
static enum err read_headers(struct rpc_pool *pool, struct arena *arena, struct rpc_call *calls,
                             uint64_t first, size_t count, struct evm_header *out,
                             size_t *out_count, struct why *why)
{
    struct header_ask a = {.pool = pool, .first = first, .out = out};
    uint64_t all = (UINT64_C(1) << pool->count) - 1;
    uint64_t avoid = 0;
    size_t got = 0;
    enum err e = OK;
    arena_init(&a.scratch, 0);
    while (e == OK && got < count && avoid != all) {
        size_t more = 0;
        struct why here = {.err = OK};
        e = ask_headers(&a, arena, calls + got, count - got, avoid, &more, &here);
        if (e == OK) {
            got += more;
            a.first += more;
            a.out += more;
        } else if (avoid != 0) {
            e = OK; /* what the first node has is answer enough */
            break;
        } else if (why != NULL) {
            *why = here;
        }
        uint64_t lacks = e == OK && got < count ? UINT64_C(1) << calls[got].served_by : 0;
        if ((avoid & lacks) != 0) {
            break; /* nobody else is ready */
        }
        avoid |= lacks;
    }
    arena_free(&a.scratch);
    if (e == OK) {
        *out_count = got;
    }
    return e;
}

enum err rpc_headers(struct rpc_pool *pool, struct arena *arena, uint64_t first, size_t count,
                     struct evm_header *out, size_t *out_count, struct why *why)
{
    struct rpc_call *calls = arena_alloc_array(arena, count, sizeof(*calls));
    for (size_t i = 0; i < count; i++) {
        calls[i].method = "eth_getBlockByNumber";
        calls[i].params = rpc_header_params(arena, &(uint64_t){first + i});
    }
    return read_headers(pool, arena, calls, first, count, out, out_count, why);
}

enum err rpc_header(struct rpc_pool *pool, struct arena *arena, uint64_t number,
                    struct evm_header *out, struct why *why)
{
    struct rpc_call call = {.method = "eth_getBlockByNumber",
                            .params = rpc_header_params(arena, &number)};
    size_t got = 0;
    enum err e = read_headers(pool, arena, &call, number, 1, out, &got, why);
    if (e == OK && got == 0) {
        return why_set(why, ERR_NOT_FOUND, NULL, "The node has no block %llu.",
                       (unsigned long long)number);
    }
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

enum err rpc_eth_call(struct rpc_pool *pool, struct arena *arena, enum rpc_need need,
                      const struct address *from, const struct address *to, struct slice data,
                      const uint64_t *block, struct slice *out, struct slice *out_revert,
                      struct why *why)
{
    struct params p;
    struct json_out *j = params_begin(&p, arena);
    call_object(j, from, to, wei_of(U256_ZERO), data);
    json_number_or_latest(j, block);
    struct rpc_call call = {.method = "eth_call", .params = params_end(&p)};
    struct rpc_ask ask = {
        .need = need, .calls = &call, .count = 1, .accept = accept_bytes, .ctx = out};
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
