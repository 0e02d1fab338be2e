#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/rpc/envelope.h"
#include "kernel/rpc/pool.h"

/*
 * A request that opened a connection may have met another process on the same port than the one
 * whose chain id was checked. The check is repeated before the answer is believed, unless it was
 * made just now (the first request and its check open connections in turn).
 */
#define RECHECK_USEC ((int64_t)USEC_PER_SEC)

#define HTTP_TOO_LARGE 413
#define HTTP_TOO_MANY_REQUESTS 429

/* ---- one HTTP exchange ----------------------------------------------------------------------- */

struct exchange {
    struct slice body;
    bool connected;
    bool too_many_calls; /* the node says that the request is too large */
    int64_t retry_after_usec;
};

static enum err check_status(const struct rpc_node *node, const struct net_answer *answer,
                             struct exchange *out, struct why *why)
{
    if (answer->status >= 200 && answer->status < 300) {
        return OK;
    }
    if (answer->status == HTTP_TOO_MANY_REQUESTS) {
        return why_set(why, ERR_NODE_RATE_LIMITED, NULL, "The node %s limits our requests (429).",
                       node->origin);
    }
    if (answer->status == HTTP_TOO_LARGE) {
        out->too_many_calls = true;
        return why_set(why, ERR_LIMIT, NULL, "The request is too large for the node %s (413).",
                       node->origin);
    }
    bool refuses_us = answer->status == 401 || answer->status == 403;
    if (refuses_us || answer->status >= 500) {
        return why_set(why, ERR_NODE_UNAVAILABLE, NULL, "The node %s %s (HTTP status %d).",
                       node->origin, refuses_us ? "refuses our credentials" : "is in trouble",
                       answer->status);
    }
    /* Some nodes send their error objects with a status of 400. */
    struct slice body = slice_trim(answer->body);
    if (body.len > 0 && (body.ptr[0] == '{' || body.ptr[0] == '[')) {
        return OK;
    }
    return why_set(why, ERR_NODE_RESPONSE, NULL, "The node %s answered with HTTP status %d.",
                   node->origin, answer->status);
}

/* post sends one request; *out is filled as far as it goes, also on failure. */
static enum err post(struct rpc_pool *pool, const struct rpc_node *node, struct arena *arena,
                     struct slice text, int64_t timeout_usec, struct exchange *out, struct why *why)
{
    static const struct net_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/json")},
        {SLICE_LIT("Accept"), SLICE_LIT("application/json")},
    };
    struct net_request request = {
        .method = "POST",
        .url = node->url,
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]),
        .body = text,
        .timeout_usec = timeout_usec > 0 ? timeout_usec : pool->options.timeout_usec,
        .answer_bytes_max = pool->options.answer_bytes_max,
    };
    struct net_answer answer = {0};
    int64_t start = clock_mono_usec();
    enum err e = net_request_run(pool->client, arena, &request, &answer, why);
    metric_add(&rpc_metrics[RPC_METRIC_REQUESTS], 1);
    metric_observe(&rpc_metrics[RPC_METRIC_SECONDS], clock_mono_usec() - start);
    *out = (struct exchange){.connected = answer.connected,
                             .body = answer.body,
                             .retry_after_usec = answer.retry_after_usec};
    if (e == ERR_UPSTREAM) {
        why->err = ERR_NODE_UNAVAILABLE;
        return ERR_NODE_UNAVAILABLE;
    }
    return e != OK ? e : check_status(node, &answer, out, why);
}

static enum err ask_chain(struct rpc_pool *pool, struct rpc_node *node, struct arena *arena,
                          struct exchange *x, struct why *why)
{
    struct rpc_call call = {.method = "eth_chainId"};
    struct rpc_call *calls[] = {&call};
    uint64_t id = atomic_fetch_add(&pool->next_id, 1);
    struct buf text;
    buf_init(&text, arena, 128);
    rpc_envelope_write(&text, calls, 1, id);
    enum err e = post(pool, node, arena, buf_slice(&text), 0, x, why);
    enum rpc_shape shape = RPC_SHAPE_ANSWERS;
    if (e == OK) {
        e = rpc_envelope_read(arena, x->body, pool->options.answer_bytes_max, calls, 1, id, &shape,
                              why);
    }
    if (e == OK && call.err != OK) {
        *why = call.why;
        e = call.err;
    }
    if (e == ERR_NODE_ERROR || e == ERR_REVERTED || e == ERR_LIMIT) {
        e = ERR_NODE_RESPONSE; /* every node can say its chain id: this one is not in order */
    }
    uint64_t chain_id = 0;
    if (e == OK) {
        e = rpc_read_u64(call.result, &chain_id, why);
    }
    if (e == OK && chain_id != pool->options.chain_id) {
        e = why_set(why, ERR_WRONG_CHAIN, "chain_id",
                    "The node %s serves chain %llu, but chain %llu is configured.", node->origin,
                    (unsigned long long)chain_id, (unsigned long long)pool->options.chain_id);
    }
    return e;
}

enum err rpc_node_check_chain(struct rpc_pool *pool, struct rpc_node *node, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct exchange x = {0};
    struct why local = {0};
    int64_t start = clock_mono_usec();
    enum err e = ask_chain(pool, node, &scratch, &x, &local);
    if (e == OK) {
        rpc_node_set_chain_right(pool, node);
    } else {
        rpc_node_finish_why(node, e, &local);
        rpc_node_failed(pool, node, e, start, x.retry_after_usec);
        if (why != NULL) {
            *why = local;
        }
    }
    arena_free(&scratch);
    return e;
}

/* ---- the engine ------------------------------------------------------------------------------ */

/*
 * One run over a set of calls. Calls are sent in order, as many at once as allowed; what has no
 * outcome yet is sent again. Each round gives at least one call its outcome, or uses up one of its
 * attempts, or lowers a limit on the number of calls at once, so the loop ends.
 */
struct run {
    struct rpc_pool *pool;
    struct arena *arena;
    const struct rpc_ask *ask;
    uint32_t *attempts; /* used, of each call */
    bool *done;
    size_t head;              /* the first call without an outcome */
    struct rpc_call **picked; /* the calls of this round */
    size_t *picked_index;
    size_t picked_count;
    uint32_t at_once_max; /* lowered when an answer is too large, until the head moves on */
    uint64_t excluded;    /* nodes whose answer to the head alone is too large */
    uint32_t failures;    /* requests in a row that failed as a whole */
    bool asked;           /* some call got an answer */
};

static void pick_calls(struct run *run, uint32_t max)
{
    run->picked_count = 0;
    for (size_t i = run->head; i < run->ask->count && run->picked_count < max; i++) {
        if (!run->done[i]) {
            run->picked_index[run->picked_count] = i;
            run->picked[run->picked_count++] = &run->ask->calls[i];
        }
    }
}

static void advance_head(struct run *run)
{
    size_t before = run->head;
    while (run->head < run->ask->count && run->done[run->head]) {
        run->head++;
    }
    if (run->head != before) {
        run->at_once_max = run->pool->options.batch_max;
        run->excluded = 0;
    }
}

static void fail_call(struct rpc_call *call, enum err e, const struct why *why)
{
    call->err = e;
    call->result = NULL;
    call->why = *why;
    call->why.err = e;
}

/* use_attempt ends a call that has none left. */
static void use_attempt(struct run *run, size_t index)
{
    run->attempts[index]++;
    if (run->attempts[index] >= run->pool->options.attempts_max) {
        run->done[index] = true;
    } else {
        metric_add(&rpc_metrics[RPC_METRIC_RETRIES], 1);
    }
}

/* The error says something of this answer, so another node may give a better one. */
static bool is_of_answer(enum err e)
{
    return e == ERR_NODE_RESPONSE || e == ERR_NODE_RATE_LIMITED || e == ERR_NODE_LIED ||
           e == ERR_NODE_UNKNOWN;
}

/* settle looks at the answers of a round and returns the worst thing that they say of the node. */
static enum err settle(struct run *run, struct rpc_node *node)
{
    enum err worst = OK;
    for (size_t i = 0; i < run->picked_count; i++) {
        struct rpc_call *call = run->picked[i];
        size_t index = run->picked_index[i];
        if (call->err == OK && run->ask->accept != NULL) {
            call->err =
                run->ask->accept(run->ask->ctx, run->arena, index, call->result, &call->why);
        }
        call->served_by = (size_t)(node - run->pool->nodes);
        if (call->err == OK) {
            call->why = (struct why){0};
        } else {
            rpc_node_finish_why(node, call->err, &call->why);
        }
        if (call->err == ERR_NODE_LIED && worst != ERR_NODE_LIED) {
            rpc_node_lied(run->pool, node, run->ask->lie, &call->why);
        }
        if (is_of_answer(call->err)) {
            worst = worst == ERR_NODE_LIED ? worst : call->err;
            use_attempt(run, index);
        } else {
            run->done[index] = true;
        }
    }
    return worst;
}

/* exchange_calls sends the picked calls and reads the answers into them. */
static enum err exchange_calls(struct run *run, struct rpc_node *node, struct exchange *x,
                               enum rpc_shape *out_shape, struct why *why)
{
    struct rpc_pool *pool = run->pool;
    uint64_t id = atomic_fetch_add(&pool->next_id, run->picked_count);
    struct buf text;
    buf_init(&text, run->arena, 128);
    rpc_envelope_write(&text, run->picked, run->picked_count, id);
    enum err e = post(pool, node, run->arena, buf_slice(&text), run->ask->timeout_usec, x, why);
    if (e == OK) {
        e = rpc_envelope_read(run->arena, x->body, pool->options.answer_bytes_max, run->picked,
                              run->picked_count, id, out_shape, why);
    }
    return e;
}

/* end_head makes the error that the head has its outcome. */
static void end_head(struct run *run)
{
    run->done[run->head] = true;
    run->asked = true;
}

/* too_large reacts to an answer or request beyond a limit: fewer calls at once, or another node. */
static void too_large(struct run *run, const struct rpc_node *node, const struct why *why)
{
    if (run->picked_count > 1) {
        run->at_once_max = (uint32_t)(run->picked_count / 2);
        return;
    }
    fail_call(run->picked[0], ERR_LIMIT, why);
    run->excluded |= UINT64_C(1) << (node - run->pool->nodes);
    if (run->excluded + 1 == UINT64_C(1) << run->pool->count) {
        end_head(run);
    }
}

/* failed_whole notes a request that gave no answers at all. */
static void failed_whole(struct run *run, enum err e, struct why *why)
{
    run->failures++;
    for (size_t i = 0; i < run->picked_count; i++) {
        fail_call(run->picked[i], e, why);
        use_attempt(run, run->picked_index[i]);
    }
}

/* round_trip asks one node. Errors are those of the request as a whole, already accounted for. */
static enum err round_trip(struct run *run, struct rpc_node *node, struct why *why)
{
    struct rpc_pool *pool = run->pool;
    if (!rpc_node_chain_known(pool, node, INT64_MAX)) {
        enum err e = rpc_node_check_chain(pool, node, why);
        if (e != OK) {
            return e;
        }
    }
    struct exchange x = {0};
    enum rpc_shape shape = RPC_SHAPE_ANSWERS;
    int64_t start = clock_mono_usec();
    rpc_node_spend(pool, node, run->picked_count);
    enum err e = exchange_calls(run, node, &x, &shape, why);
    if (e == ERR_LIMIT) {
        return e;
    }
    if (e == OK && x.connected && !rpc_node_chain_known(pool, node, RECHECK_USEC)) {
        e = rpc_node_check_chain(pool, node, why);
        if (e != OK) {
            return e;
        }
    }
    if (e == OK && shape == RPC_SHAPE_ANSWERS) {
        run->asked = true;
        e = settle(run, node);
        if (e == OK) {
            rpc_node_worked(pool, node, clock_mono_usec() - start);
        } else {
            rpc_node_failed(pool, node, e, start, x.retry_after_usec);
        }
        return OK;
    }
    if (e == OK) {
        size_t max = shape == RPC_SHAPE_NO_BATCHES ? 1 : run->picked_count / 2;
        rpc_node_limit_batch(pool, node, (uint32_t)max);
        return OK;
    }
    rpc_node_finish_why(node, e, why);
    rpc_node_failed(pool, node, e, start, x.retry_after_usec);
    return e;
}

static void abandon(struct run *run, enum err e, const struct why *why)
{
    for (size_t i = run->head; i < run->ask->count; i++) {
        if (!run->done[i]) {
            fail_call(&run->ask->calls[i], e, why);
        }
    }
}

static enum err run_rounds(struct run *run, struct why *why)
{
    struct rpc_pool *pool = run->pool;
    enum err last = OK;
    for (advance_head(run); run->head < run->ask->count; advance_head(run)) {
        struct rpc_node *node = NULL;
        struct why pick_why = {0};
        enum err e = rpc_node_pick(pool, run->excluded, &node, &pick_why);
        if (e != OK && run->excluded != 0) {
            end_head(run); /* too large for the nodes that could be asked */
            continue;
        }
        if (e != OK) {
            /* What happened in this run says more than that nobody is ready. */
            *why = last == OK ? pick_why : *why;
            last = last == OK ? e : last;
            abandon(run, last, why);
            return last;
        }
        uint32_t max = rpc_node_batch_max(pool, node);
        uint32_t rate = pool->options.rate_max;
        max = rate > 0 && rate < max ? rate : max;
        pick_calls(run, max < run->at_once_max ? max : run->at_once_max);
        e = round_trip(run, node, why);
        if (e == OK) {
            run->failures = 0;
        } else if (e == ERR_LIMIT) {
            too_large(run, node, why);
        } else {
            last = e;
            failed_whole(run, e, why);
        }
        if (run->failures >= pool->options.attempts_max) {
            abandon(run, last, why);
            return last;
        }
    }
    return last;
}

enum err rpc_ask_run(struct rpc_pool *pool, struct arena *arena, const struct rpc_ask *ask,
                     struct why *why)
{
    if (ask->count == 0) {
        return OK;
    }
    size_t max = ask->count < pool->options.batch_max ? ask->count : pool->options.batch_max;
    struct run run = {
        .pool = pool,
        .arena = arena,
        .ask = ask,
        .attempts = arena_alloc_array(arena, ask->count, sizeof(uint32_t)),
        .done = arena_alloc_array(arena, ask->count, sizeof(bool)),
        .picked = arena_alloc_array(arena, max, sizeof(struct rpc_call *)),
        .picked_index = arena_alloc_array(arena, max, sizeof(size_t)),
        .at_once_max = pool->options.batch_max,
    };
    struct why last_why = {0};
    enum err e = run_rounds(&run, &last_why);
    if (run.asked || e == OK) {
        return OK;
    }
    if (why != NULL) {
        *why = last_why;
        why->err = e;
    }
    return e;
}

enum err rpc_ask_at(struct rpc_pool *pool, struct arena *arena, const struct rpc_ask *ask,
                    struct rpc_node *node, struct why *why)
{
    ASSERT(ask->count > 0 && ask->count <= pool->options.batch_max);
    struct run run = {
        .pool = pool,
        .arena = arena,
        .ask = ask,
        .attempts = arena_alloc_array(arena, ask->count, sizeof(uint32_t)),
        .done = arena_alloc_array(arena, ask->count, sizeof(bool)),
        .picked = arena_alloc_array(arena, ask->count, sizeof(struct rpc_call *)),
        .picked_index = arena_alloc_array(arena, ask->count, sizeof(size_t)),
    };
    pick_calls(&run, (uint32_t)ask->count);
    return round_trip(&run, node, why);
}

enum err rpc_ask_one(struct rpc_pool *pool, struct arena *arena, const struct rpc_ask *ask,
                     struct why *why)
{
    ASSERT(ask->count == 1);
    enum err e = rpc_ask_run(pool, arena, ask, why);
    if (e != OK) {
        return e;
    }
    const struct rpc_call *call = &ask->calls[0];
    if (call->err != OK && why != NULL) {
        *why = call->why;
    }
    return call->err;
}

enum err rpc_call_one(struct rpc_pool *pool, struct arena *arena, enum rpc_need need,
                      struct rpc_call *call, struct why *why)
{
    struct rpc_ask ask = {.need = need, .calls = call, .count = 1};
    return rpc_ask_one(pool, arena, &ask, why);
}

enum err rpc_call_many(struct rpc_pool *pool, struct arena *arena, enum rpc_need need,
                       struct rpc_call *calls, size_t count, struct why *why)
{
    struct rpc_ask ask = {.need = need, .calls = calls, .count = count};
    return rpc_ask_run(pool, arena, &ask, why);
}

/* ---- values ---------------------------------------------------------------------------------- */

enum err rpc_read_u64(const struct json *v, uint64_t *out, struct why *why)
{
    if (v->type != JSON_STRING || hex_parse_u64(v->text, out) != OK) {
        return why_set(why, ERR_NODE_RESPONSE, NULL,
                       "The node answered with something else than a 64-bit quantity.");
    }
    return OK;
}

enum err rpc_read_u256(const struct json *v, struct u256 *out, struct why *why)
{
    if (v->type != JSON_STRING || u256_parse_hex(v->text, out) != OK) {
        return why_set(why, ERR_NODE_RESPONSE, NULL,
                       "The node answered with something else than a 256-bit quantity.");
    }
    return OK;
}

enum err rpc_read_bytes(struct arena *arena, const struct json *v, struct slice *out,
                        struct why *why)
{
    if (v->type != JSON_STRING || hex_decode(arena, v->text, out) != OK) {
        return why_set(why, ERR_NODE_RESPONSE, NULL,
                       "The node answered with something else than bytes in hex.");
    }
    return OK;
}
