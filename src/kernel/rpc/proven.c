/*
 * Logs with their proofs. The blocks are taken in groups whose answers fit into memory; of each
 * group the receipts come first, and where they hold a log that is wanted, the transactions.
 *
 * A node that does not know eth_getBlockReceipts (or refuses it) is passed by while another one
 * does. Where none does, they are asked for the transactions and then for each receipt: three
 * questions deep and as many answers as transactions, so it is noted for a while of which node the
 * method is not to be asked.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/evm/address.h"
#include "kernel/evm/proof.h"
#include "kernel/rpc/pool.h"

/* What a group's blocks burnt at most, unless it is a single one: a log costs 375 gas at least, and
 * about 700 bytes of answer. Units: gas. */
#define GROUP_GAS_MAX 15000000
/* JSON-RPC 2.0, section 5.1. */
#define METHOD_NOT_FOUND (-32601)
struct block_proof {
    const struct evm_header *header;
    struct evm_log *logs; /* of all contracts */
    size_t log_count;
    struct hash *txs; /* as the receipts claim them, until transactions_proven */
    size_t tx_count;
    bool receipts_proven;
    bool transactions_proven;
    size_t receipts_from; /* the endpoint that gave them */
};

struct group {
    struct rpc_pool *pool;
    struct arena *arena; /* of this group alone */
    struct block_proof *blocks;
    size_t count;
};

/* ---- questions ---- */

static struct slice by_hash(struct arena *arena, const struct hash *hash, const char *more)
{
    struct slice hex = hex_encode(arena, hash_slice(hash));
    return slice_format(arena, "[\"%.*s\"%s]", SLICE_ARG(hex), more);
}

static bool is_needed(const struct block_proof *b, bool transactions)
{
    return transactions ? !b->transactions_proven : !b->receipts_proven;
}

/* The blocks of a group that a round of questions is about. */
struct selection {
    struct group *group;
    struct block_proof **blocks;
    struct rpc_call *calls;
    size_t count;
};

static struct selection select_blocks(struct group *g, bool transactions,
                                      bool (*wanted)(const struct block_proof *, const void *),
                                      const void *ctx)
{
    struct selection s = {.group = g};
    s.blocks = arena_alloc_array(g->arena, g->count, sizeof(*s.blocks));
    s.calls = arena_alloc_array(g->arena, g->count, sizeof(*s.calls));
    for (size_t i = 0; i < g->count; i++) {
        struct block_proof *b = &g->blocks[i];
        if (!is_needed(b, transactions) || (wanted != NULL && !wanted(b, ctx))) {
            continue;
        }
        s.calls[s.count] = (struct rpc_call){
            .method = transactions ? "eth_getBlockByHash" : "eth_getBlockReceipts",
            .params = by_hash(g->arena, &b->header->hash, transactions ? ",true" : ""),
        };
        s.blocks[s.count++] = b;
    }
    return s;
}

static enum err has_no_block(const struct evm_header *header, struct why *why)
{
    return why_set(why, ERR_NODE_RESPONSE, NULL, "The node has nothing of block %llu by its hash.",
                   (unsigned long long)header->number);
}

/* ---- receipts of a whole block ---- */

static enum err accept_receipts(void *ctx, struct arena *arena, size_t index,
                                const struct json *result, struct why *why)
{
    struct selection *s = ctx;
    struct block_proof *b = s->blocks[index];
    if (result->type == JSON_NULL) {
        return has_no_block(b->header, why);
    }
    if (result->type != JSON_ARRAY) {
        return why_set(why, ERR_NODE_RESPONSE, NULL, "The node's receipts are not a list.");
    }
    const struct json **list = arena_alloc_array(arena, result->count, sizeof(*list));
    size_t count = 0;
    for (const struct json *v = result->child; v != NULL; v = v->next) {
        list[count++] = v;
    }
    enum err e =
        proof_of_receipts(arena, list, count, b->header, &b->logs, &b->log_count, &b->txs, why);
    if (e == OK) {
        b->tx_count = count;
        b->receipts_proven = true;
    }
    return e;
}

/* A node's own error need not mean that it lacks the method; the other way is tried in any case. */
static void note_refusal(struct group *g, struct rpc_call *call)
{
    if (call->error_code == METHOD_NOT_FOUND) {
        rpc_node_note(g->pool, &g->pool->nodes[call->served_by], RPC_CAN_RECEIPTS, false);
    }
    call->err = OK;
}

static enum err first_error(const struct selection *s, struct why *why)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->calls[i].err != OK) {
            if (why != NULL) {
                *why = s->calls[i].why;
            }
            return s->calls[i].err;
        }
    }
    return OK;
}

static enum err ask_some_receipts(struct group *g, uint64_t without, struct why *why)
{
    struct selection s = select_blocks(g, false, NULL, NULL);
    struct rpc_ask ask = {.calls = s.calls,
                          .count = s.count,
                          .accept = accept_receipts,
                          .ctx = &s,
                          .lie = RPC_LIE_RECEIPTS,
                          .avoid = without};
    enum err e = rpc_ask_run(g->pool, g->arena, &ask, why);
    for (size_t i = 0; e == OK && i < s.count; i++) {
        s.blocks[i]->receipts_from = s.calls[i].served_by;
        if (s.calls[i].err == ERR_NODE_ERROR) {
            note_refusal(g, &s.calls[i]);
        } else if (s.calls[i].err == OK) {
            rpc_node_note(g->pool, &g->pool->nodes[s.calls[i].served_by], RPC_CAN_RECEIPTS, true);
        }
    }
    return e == OK ? first_error(&s, why) : e;
}

/* Of one node after the other, as long as it turns out that the last one cannot. */
static enum err ask_receipts(struct group *g, struct why *why)
{
    uint64_t all = (UINT64_C(1) << g->pool->count) - 1;
    uint64_t before = 0;
    uint64_t without = rpc_nodes_without(g->pool, RPC_CAN_RECEIPTS);
    enum err e = OK;
    do {
        if (without == all) {
            break;
        }
        e = ask_some_receipts(g, without, why);
        before = without;
        without |= rpc_nodes_without(g->pool, RPC_CAN_RECEIPTS);
    } while (e == OK && without != before);
    return e;
}

/* ---- transactions ---- */

static enum err accept_transactions(void *ctx, struct arena *arena, size_t index,
                                    const struct json *result, struct why *why)
{
    struct selection *s = ctx;
    struct block_proof *b = s->blocks[index];
    struct hash *hashes = NULL;
    size_t count = 0;
    if (result->type == JSON_NULL) {
        return has_no_block(b->header, why);
    }
    enum err e = proof_of_transactions(arena, json_find(result, "transactions"), b->header, &hashes,
                                       &count, why);
    if (e != OK) {
        return e;
    }
    /* Whoever gave the receipts is to blame, which is seen when this answer is settled. */
    bool same = count == b->tx_count;
    for (size_t i = 0; same && i < count; i++) {
        same = hash_equal(&hashes[i], &b->txs[i]);
    }
    b->transactions_proven = same || !b->receipts_proven;
    if (b->transactions_proven) {
        b->txs = hashes;
        b->tx_count = count;
    }
    return OK;
}

/* The receipts named other transactions than the block has. */
static enum err accuse(struct group *g, const struct block_proof *b, struct why *why)
{
    struct rpc_node *node = &g->pool->nodes[b->receipts_from];
    struct why lie = {0};
    (void)why_set(&lie, ERR_NODE_LIED, NULL,
                  "The node's receipts of block %llu name other transactions than it has.",
                  (unsigned long long)b->header->number);
    rpc_node_finish_why(node, ERR_NODE_LIED, &lie);
    rpc_node_lied(g->pool, node, RPC_LIE_RECEIPTS, &lie);
    if (why != NULL) {
        *why = lie;
    }
    return ERR_NODE_LIED;
}

static enum err ask_transactions(struct group *g,
                                 bool (*wanted)(const struct block_proof *, const void *),
                                 const void *ctx, struct why *why)
{
    struct selection s = select_blocks(g, true, wanted, ctx);
    struct rpc_ask ask = {.calls = s.calls,
                          .count = s.count,
                          .accept = accept_transactions,
                          .ctx = &s,
                          .lie = RPC_LIE_TRANSACTIONS};
    enum err e = rpc_ask_run(g->pool, g->arena, &ask, why);
    if (e == OK) {
        e = first_error(&s, why);
    }
    for (size_t i = 0; e == OK && i < s.count; i++) {
        if (!s.blocks[i]->transactions_proven) {
            e = accuse(g, s.blocks[i], why);
        }
    }
    return e;
}

/* ---- receipts one by one ---- */

static enum err accept_single(void *ctx, struct arena *arena, size_t index,
                              const struct json *result, struct why *why)
{
    (void)arena;
    const struct json **list = ctx;
    if (result->type != JSON_OBJECT) {
        return why_set(why, ERR_NODE_RESPONSE, NULL,
                       "The node has no receipt of a transaction that its block has.");
    }
    list[index] = result;
    return OK;
}

static enum err ask_single_receipts(struct group *g, struct block_proof *b, struct why *why)
{
    const struct json **list = arena_alloc_array(g->arena, b->tx_count, sizeof(*list));
    struct rpc_call *calls = arena_alloc_array(g->arena, b->tx_count, sizeof(*calls));
    for (size_t i = 0; i < b->tx_count; i++) {
        calls[i].method = "eth_getTransactionReceipt";
        calls[i].params = by_hash(g->arena, &b->txs[i], "");
    }
    struct rpc_ask ask = {
        .calls = calls, .count = b->tx_count, .accept = accept_single, .ctx = list};
    struct selection s = {.calls = calls, .count = b->tx_count};
    enum err e = rpc_ask_run(g->pool, g->arena, &ask, why);
    if (e == OK) {
        e = first_error(&s, why);
    }
    if (e != OK) {
        return e;
    }
    struct hash *claimed = NULL;
    struct why proof_why = {0};
    e = proof_of_receipts(g->arena, list, b->tx_count, b->header, &b->logs, &b->log_count, &claimed,
                          &proof_why);
    for (size_t i = 0; e == OK && i < b->tx_count; i++) {
        if (!hash_equal(&claimed[i], &b->txs[i])) {
            e = why_set(&proof_why, ERR_NODE_LIED, NULL,
                        "The node gave the receipt of another transaction of block %llu.",
                        (unsigned long long)b->header->number);
        }
    }
    b->receipts_proven = e == OK;
    if (e == ERR_NODE_LIED) {
        /* They may come from several nodes; the first one answers for all. */
        struct rpc_node *node = &g->pool->nodes[calls[0].served_by];
        rpc_node_finish_why(node, e, &proof_why);
        rpc_node_lied(g->pool, node, RPC_LIE_RECEIPTS, &proof_why);
    }
    if (e != OK && why != NULL) {
        *why = proof_why;
    }
    return e;
}

static bool is_unproven(const struct block_proof *b, const void *ctx)
{
    (void)ctx;
    return !b->receipts_proven;
}

/* For what eth_getBlockReceipts did not give. */
static enum err ask_singles(struct group *g, struct why *why)
{
    enum err e = ask_transactions(g, is_unproven, NULL, why);
    for (size_t i = 0; e == OK && i < g->count; i++) {
        if (!g->blocks[i].receipts_proven) {
            e = ask_single_receipts(g, &g->blocks[i], why);
        }
    }
    return e;
}

/* ---- the logs that are wanted ---- */

struct wanted {
    const struct address *addresses; /* sorted */
    size_t count;
};

static int compare_address(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct address));
}

static bool is_wanted(const struct wanted *w, const struct evm_log *log)
{
    return bsearch(&log->address, w->addresses, w->count, sizeof(struct address),
                   compare_address) != NULL;
}

static bool holds_wanted(const struct block_proof *b, const void *ctx)
{
    for (size_t i = 0; i < b->log_count; i++) {
        if (is_wanted(ctx, &b->logs[i])) {
            return true;
        }
    }
    return false;
}

struct log_list {
    struct arena *arena; /* the caller's */
    struct evm_log *logs;
    size_t count;
    size_t cap;
};

static void keep(struct log_list *list, const struct evm_log *log)
{
    if (list->count == list->cap) {
        size_t cap = list->cap > 0 ? 2 * list->cap : 64;
        struct evm_log *more = arena_alloc_array(list->arena, cap, sizeof(*more));
        if (list->count > 0) {
            memcpy(more, list->logs, list->count * sizeof(*more));
        }
        list->logs = more;
        list->cap = cap;
    }
    struct evm_log copy = *log;
    copy.data = slice_copy(list->arena, log->data);
    list->logs[list->count++] = copy;
}

static enum err prove_group(struct group *g, const struct wanted *wanted, struct log_list *out,
                            struct why *why)
{
    enum err e = ask_receipts(g, why);
    if (e == OK) {
        e = ask_singles(g, why);
    }
    if (e == OK) {
        e = ask_transactions(g, holds_wanted, wanted, why);
    }
    for (size_t b = 0; e == OK && b < g->count; b++) {
        for (size_t i = 0; i < g->blocks[b].log_count; i++) {
            if (is_wanted(wanted, &g->blocks[b].logs[i])) {
                keep(out, &g->blocks[b].logs[i]);
            }
        }
    }
    return e;
}

/* How many headers from the front make the next group. */
static size_t group_size(const struct rpc_pool *pool, const struct evm_header *const *headers,
                         size_t count)
{
    uint64_t gas = 0;
    size_t n = 0;
    while (n < count && n < pool->options.batch_max) {
        gas = headers[n]->gas_used > UINT64_MAX - gas ? UINT64_MAX : gas + headers[n]->gas_used;
        if (n > 0 && gas > GROUP_GAS_MAX) {
            break;
        }
        n++;
    }
    return n;
}

enum err rpc_proven_logs(struct rpc_pool *pool, struct arena *arena,
                         const struct evm_header *const *headers, size_t count,
                         const struct address *addresses, size_t address_count,
                         struct evm_log **out, size_t *out_count, struct why *why)
{
    const struct wanted wanted = {addresses, address_count};
    struct log_list list = {.arena = arena};
    struct arena scratch;
    enum err e = OK;
    arena_init(&scratch, 0);
    for (size_t done = 0; e == OK && done < count;) {
        struct group g = {.pool = pool, .arena = &scratch};
        g.count = group_size(pool, headers + done, count - done);
        g.blocks = arena_alloc_array(&scratch, g.count, sizeof(*g.blocks));
        for (size_t i = 0; i < g.count; i++) {
            g.blocks[i].header = headers[done + i];
        }
        e = prove_group(&g, &wanted, &list, why);
        done += g.count;
        arena_clear(&scratch);
    }
    arena_free(&scratch);
    if (e == OK) {
        *out = list.logs;
        *out_count = list.count;
    }
    return e;
}
