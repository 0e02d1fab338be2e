#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/rpc/leg.h"

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
    uint32_t at_once_max;  /* lowered when an answer is too large, until the head moves on */
    uint64_t excluded;     /* nodes whose answer to the head alone is too large */
    uint32_t failures;     /* requests in a row that failed as a whole */
    bool asked;            /* some call got an answer */
    struct rpc_node *last; /* whose exchange ended last */
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

bool rpc_is_of_answer(enum err e)
{
    return e == ERR_NODE_RESPONSE || e == ERR_NODE_RATE_LIMITED || e == ERR_NODE_LIED ||
           e == ERR_NODE_UNKNOWN;
}

/*
 * settle looks at the answers of a round and returns the worst thing that they say of the node. A
 * call whose answer is wrong has used one of its attempts, unless another node is being asked.
 */
static enum err settle(struct run *run, struct rpc_node *node, bool others)
{
    enum err worst = OK;
    for (size_t i = 0; i < run->picked_count; i++) {
        struct rpc_call *call = run->picked[i];
        size_t index = run->picked_index[i];
        if (run->done[index]) {
            continue; /* by the answer of another node */
        }
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
        if (rpc_is_of_answer(call->err)) {
            worst = worst == ERR_NODE_LIED ? worst : call->err;
            if (!others) {
                use_attempt(run, index);
            }
        } else {
            run->done[index] = true;
        }
    }
    return worst;
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
        if (!run->done[run->picked_index[i]]) {
            fail_call(run->picked[i], e, why);
            use_attempt(run, run->picked_index[i]);
        }
    }
}

/*
 * conclude takes what a leg brought. `others`: further legs of this round are under way. Errors are
 * those of the request as a whole, already accounted for.
 */
static enum err conclude(struct run *run, struct rpc_leg *leg, bool others, struct why *why)
{
    run->last = leg->node;
    if (leg->err != OK) {
        *why = leg->why;
        return leg->err;
    }
    if (leg->shape != RPC_SHAPE_ANSWERS) {
        size_t max = leg->shape == RPC_SHAPE_NO_BATCHES ? 1 : run->picked_count / 2;
        rpc_node_limit_batch(run->pool, leg->node, (uint32_t)max);
        return OK;
    }
    run->asked = true;
    enum err e = settle(run, leg->node, others);
    if (e == OK) {
        rpc_node_worked(run->pool, leg->node, leg->count, leg->latency_usec);
    } else {
        rpc_node_failed(run->pool, leg->node, e, leg->asked_usec, leg->retry_after_usec);
    }
    return OK;
}

static bool all_done(const struct run *run)
{
    for (size_t i = 0; i < run->picked_count; i++) {
        if (!run->done[run->picked_index[i]]) {
            return false;
        }
    }
    return true;
}

/* The second leg has calls of its own, as the first may still write to the caller's. */
static struct rpc_leg *second_leg(struct run *run, struct rpc_node *node)
{
    struct rpc_leg *leg = arena_alloc(run->arena, sizeof(*leg));
    struct rpc_call *copies = arena_alloc_array(run->arena, run->picked_count, sizeof(*copies));
    struct rpc_call **list = arena_alloc_array(run->arena, run->picked_count, sizeof(*list));
    for (size_t i = 0; i < run->picked_count; i++) {
        copies[i] =
            (struct rpc_call){.method = run->picked[i]->method, .params = run->picked[i]->params};
        list[i] = &copies[i];
    }
    *leg = (struct rpc_leg){.pool = run->pool,
                            .node = node,
                            .arena = run->arena,
                            .calls = list,
                            .count = run->picked_count,
                            .timeout_usec = run->ask->timeout_usec};
    return leg;
}

/* adopt makes the answers of the second leg those of the calls that have no outcome yet. */
static void adopt(struct run *run, const struct rpc_leg *leg)
{
    for (size_t i = 0; leg->err == OK && i < run->picked_count; i++) {
        if (!run->done[run->picked_index[i]]) {
            *run->picked[i] = *leg->calls[i];
        }
    }
}

/*
 * hedged_trip asks one node, and a second one when the first takes longer than it usually does. The
 * first good answer counts, and the other is not waited for.
 */
static enum err hedged_trip(struct run *run, struct rpc_leg *first, struct why *why)
{
    struct rpc_flight flight;
    rpc_flight_init(&flight, run->pool);
    rpc_flight_add(&flight, first);
    int64_t delay_usec = rpc_hedge_delay(run->pool, first->node, first->count);
    struct rpc_leg *over = rpc_flight_wait(&flight, delay_usec);
    struct rpc_node *other = NULL;
    if (over == NULL) {
        other =
            rpc_hedge_take(run->pool, first->node, run->excluded | run->ask->avoid, first->count);
    }
    if (other != NULL) {
        rpc_flight_add(&flight, second_leg(run, other));
    }
    enum err e = OK;
    for (;;) {
        over = over != NULL ? over : rpc_flight_wait(&flight, INT64_MAX / 2);
        ASSERT(over != NULL); /* each request has its time limit */
        if (over != first) {
            adopt(run, over);
        }
        e = conclude(run, over, flight.count > 0, why);
        if (flight.count == 0 || (e == OK && all_done(run))) {
            break;
        }
        over = NULL;
    }
    if (other != NULL) {
        rpc_hedge_over(run->pool, run->last == other, first);
    }
    rpc_flight_clear(&flight);
    return e;
}

/* round_trip asks for the picked calls once. Errors are those of the request as a whole. */
static enum err round_trip(struct run *run, struct rpc_node *node, struct why *why)
{
    struct rpc_leg leg = {.pool = run->pool,
                          .node = node,
                          .arena = run->arena,
                          .calls = run->picked,
                          .count = run->picked_count,
                          .timeout_usec = run->ask->timeout_usec};
    if (run->ask->need != RPC_SUBMIT && rpc_hedge_earn(run->pool, run->picked_count)) {
        return hedged_trip(run, &leg, why);
    }
    rpc_leg_run(&leg);
    return conclude(run, &leg, false, why);
}

static void abandon(struct run *run, enum err e, const struct why *why)
{
    for (size_t i = run->head; i < run->ask->count; i++) {
        if (!run->done[i]) {
            fail_call(&run->ask->calls[i], e, why);
        }
    }
}

/* pick_node picks one that need not be avoided, unless none of those is ready. */
static enum err pick_node(struct run *run, struct rpc_node **out, struct why *why)
{
    struct rpc_pool *pool = run->pool;
    uint64_t avoid = run->ask->avoid;
    if (avoid != 0) {
        rpc_pool_lock(pool);
        struct rpc_node *node = rpc_node_ready(pool, run->excluded | avoid, clock_mono_usec());
        rpc_pool_unlock(pool);
        if (node != NULL) {
            *out = node;
            return OK;
        }
    }
    return rpc_node_pick(pool, run->excluded, out, why);
}

static enum err run_rounds(struct run *run, struct why *why)
{
    struct rpc_pool *pool = run->pool;
    enum err last = OK;
    for (advance_head(run); run->head < run->ask->count; advance_head(run)) {
        struct rpc_node *node = NULL;
        struct why pick_why = {0};
        enum err e = pick_node(run, &node, &pick_why);
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
            too_large(run, run->last, why);
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
    if (ask->need == RPC_MONEY && pool->options.quorum > 1) {
        return rpc_ask_quorum(pool, arena, ask, why);
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
