#include "kernel/base/check.h"
#include "kernel/rpc/pool.h"

#define HISTORY_BLOCKS 10
#define HISTORY_PARAMS "[\"0xa\",\"latest\",[50]]"

/* EIP-1559: the base fee moves by at most 1/8 a block towards a half-full block. */
#define BASE_FEE_CHANGE_DENOMINATOR 8
#define ELASTICITY 2

enum { ASK_HISTORY, ASK_HEADER, ASK_GAS_PRICE, ASK_PRIORITY, ASK_COUNT };

struct fee_answers {
    bool has_next;
    struct u256 next; /* base fee of the next block, by the node */
    bool has_median;
    struct u256 median; /* of the rewards paid lately */
    struct evm_header latest;
    struct u256 gas_price;
    struct u256 priority;
};

static int compare_u256(const void *a, const void *b)
{
    return u256_compare(*(const struct u256 *)a, *(const struct u256 *)b);
}

/* read_rewards takes the median reward of the blocks that paid one: an empty block says nothing. */
static enum err read_rewards(const struct json *rewards, struct fee_answers *out, struct why *why)
{
    struct u256 paid[HISTORY_BLOCKS];
    size_t count = 0;
    const struct json *block = rewards != NULL ? rewards->child : NULL;
    for (; block != NULL && count < HISTORY_BLOCKS; block = block->next) {
        if (block->type != JSON_ARRAY || block->child == NULL) {
            return why_set(why, ERR_NODE_RESPONSE, NULL, "A reward of the fee history is no list.");
        }
        enum err e = rpc_read_u256(block->child, &paid[count], why);
        if (e != OK) {
            return e;
        }
        if (!u256_is_zero(paid[count])) {
            count++;
        }
    }
    if (count > 0) {
        qsort(paid, count, sizeof(paid[0]), compare_u256);
        out->median = paid[count / 2];
        out->has_median = true;
    }
    return OK;
}

static enum err read_history(const struct json *v, struct fee_answers *out, struct why *why)
{
    const struct json *base = json_find(v, "baseFeePerGas");
    if (base == NULL || base->type != JSON_ARRAY || base->count == 0) {
        return OK; /* a chain without base fees */
    }
    const struct json *last = base->child;
    while (last->next != NULL) {
        last = last->next;
    }
    struct fee_answers found = *out;
    enum err e = rpc_read_u256(last, &found.next, why);
    if (e == OK) {
        found.has_next = true;
        e = read_rewards(json_find(v, "reward"), &found, why);
    }
    if (e == OK) {
        *out = found;
    }
    return e;
}

static enum err accept_fees(void *ctx, struct arena *arena, size_t index, const struct json *result,
                            struct why *why)
{
    (void)arena;
    struct fee_answers *out = ctx;
    switch (index) {
    case ASK_HISTORY:
        return read_history(result, out, why);
    case ASK_HEADER:
        return evm_header_parse(result, &out->latest, why);
    case ASK_GAS_PRICE:
        return rpc_read_u256(result, &out->gas_price, why);
    case ASK_PRIORITY:
        return rpc_read_u256(result, &out->priority, why);
    }
    ASSERT(false);
    return ERR_INTERNAL;
}

/* base_fee_after computes the base fee of the block after `h`, for nodes without a fee history. */
static enum err base_fee_after(const struct evm_header *h, struct u256 *out)
{
    struct u256 base = wei_raw(h->base_fee);
    uint64_t target = h->gas_limit / ELASTICITY;
    if (target == 0 || h->gas_used == target) {
        *out = base;
        return OK;
    }
    bool up = h->gas_used > target;
    uint64_t distance = up ? h->gas_used - target : target - h->gas_used;
    struct u256 delta;
    enum err e = u256_mul_div(base, u256_from_u64(distance), u256_from_u64(target), &delta, NULL);
    if (e != OK) {
        return e;
    }
    u256_div(delta, u256_from_u64(BASE_FEE_CHANGE_DENOMINATOR), &delta, NULL);
    if (!up) {
        return u256_sub(base, delta, out);
    }
    if (u256_is_zero(delta)) {
        delta = u256_from_u64(1);
    }
    return u256_add(base, delta, out);
}

static enum err settle_fees(const struct fee_answers *a, const struct rpc_call *calls,
                            struct rpc_fees *out, struct why *why)
{
    struct rpc_fees fees = {.eip1559 = a->latest.has_base_fee,
                            .gas_price = wei_of(a->gas_price),
                            .gas_limit = a->latest.gas_limit};
    if (!fees.eip1559) {
        if (calls[ASK_GAS_PRICE].err != OK) {
            return why_set(why, calls[ASK_GAS_PRICE].err, NULL, "%s",
                           why_text(&calls[ASK_GAS_PRICE].why, calls[ASK_GAS_PRICE].err));
        }
        *out = fees;
        return OK;
    }
    struct u256 next = a->next;
    if (!a->has_next && base_fee_after(&a->latest, &next) != OK) {
        return why_set(why, ERR_NODE_RESPONSE, NULL, "The base fee of the last block is absurd.");
    }
    fees.base_fee_next = wei_of(next);
    if (a->has_median) {
        fees.priority = wei_of(a->median);
    } else if (calls[ASK_PRIORITY].err == OK) {
        fees.priority = wei_of(a->priority);
    } else if (u256_compare(a->gas_price, next) > 0) {
        struct u256 above;
        ASSERT(u256_sub(a->gas_price, next, &above) == OK);
        fees.priority = wei_of(above);
    }
    *out = fees;
    return OK;
}

enum err rpc_fees_read(struct rpc_pool *pool, struct rpc_fees *out, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct fee_answers answers = {0};
    struct rpc_call calls[ASK_COUNT] = {
        [ASK_HISTORY] = {.method = "eth_feeHistory", .params = SLICE_LIT(HISTORY_PARAMS)},
        [ASK_HEADER] = {.method = "eth_getBlockByNumber",
                        .params = SLICE_LIT("[\"latest\",false]")},
        [ASK_GAS_PRICE] = {.method = "eth_gasPrice"},
        [ASK_PRIORITY] = {.method = "eth_maxPriorityFeePerGas"},
    };
    struct rpc_ask ask = {
        .calls = calls, .count = ASK_COUNT, .accept = accept_fees, .ctx = &answers};
    enum err e = rpc_ask_run(pool, &scratch, &ask, why);
    if (e == OK && calls[ASK_HEADER].err != OK) {
        e = calls[ASK_HEADER].err;
        if (why != NULL) {
            *why = calls[ASK_HEADER].why;
        }
    }
    if (e == OK) {
        e = settle_fees(&answers, calls, out, why);
    }
    arena_free(&scratch);
    return e;
}
