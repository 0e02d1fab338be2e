/*
 * quorum.c: reads that money is moved by, from as many nodes as chain.quorum says.
 *
 * The nodes are asked side by side, each with calls of its own. A call has its outcome when as many
 * nodes as the quorum gave the same answer; where they did not, or one did not answer, the next
 * node is asked too. What differs then may differ because one node has a block that the others do
 * not have yet, so it is asked again after a moment, a few times, before the caller is told that
 * the nodes do not agree.
 *
 * Nodes word the same thing in different ways: extra members, other spellings of numbers that
 * nobody looks at. So of some answers only the part that counts is compared.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/rpc/leg.h"

#define ROUNDS_MAX 4
#define PAUSE_USEC 250000
#define MEMBERS_MAX 4
/* After so long without an answer one more node is asked. */
#define LATE_USEC 500000

/* What of a method's result has to be the same; of the others it is all of it. */
static const struct essence {
    const char *method;
    const char *members[MEMBERS_MAX];
} essences[] = {
    {"eth_getTransactionReceipt", {"transactionHash", "blockHash", "status", NULL}},
    {"eth_getBlockByNumber", {"hash", NULL}},
};

/* One answer, and who gave it. */
struct view {
    struct hash essence;
    const struct rpc_call *answer;
    uint64_t members; /* bits */
    uint32_t count;
};

struct question {
    struct rpc_call *call; /* the caller's */
    struct view views[RPC_ENDPOINTS_MAX];
    size_t view_count;
    bool decided;
};

/* What is asked together. */
struct panel {
    struct rpc_pool *pool;
    struct arena *arena;
    struct question *questions;
    size_t count;
    struct rpc_flight flight;
    uint64_t asked; /* bits of endpoints */
    struct why why; /* of the last node that did not answer */
};

/* ---- what an answer says ---- */

static void add_member(struct buf *out, const struct json *result, const char *name)
{
    const struct json *v = json_find(result, name);
    buf_add_text(out, name);
    buf_add_text(out, "=");
    if (v == NULL || json_canonical(out, v, NULL) != OK) {
        buf_add_text(out, "?");
    }
    buf_add_text(out, ";");
}

/* essence_of writes what has to be the same; false: this is no answer. */
static bool essence_of(struct arena *arena, const struct rpc_call *call, struct hash *out)
{
    struct buf text;
    buf_init(&text, arena, 128);
    if (call->err == ERR_REVERTED || call->err == ERR_NODE_ERROR) {
        buf_format(&text, "%d:", call->err == ERR_REVERTED);
        buf_add_slice(&text, call->error_data);
        *out = keccak256(buf_slice(&text));
        return true;
    }
    if (call->err != OK) {
        return false;
    }
    const struct essence *essence = NULL;
    for (size_t i = 0; i < sizeof(essences) / sizeof(essences[0]); i++) {
        essence = strcmp(essences[i].method, call->method) == 0 ? &essences[i] : essence;
    }
    if (essence == NULL || call->result->type != JSON_OBJECT) {
        if (json_canonical(&text, call->result, NULL) != OK) {
            return false;
        }
    } else {
        for (size_t i = 0; essence->members[i] != NULL; i++) {
            add_member(&text, call->result, essence->members[i]);
        }
    }
    *out = keccak256(buf_slice(&text));
    return true;
}

static uint32_t wanted(const struct panel *p, const struct question *q)
{
    return q->call->of_pool ? 1 : p->pool->options.quorum;
}

static void take_answer(struct rpc_call *call, const struct view *view)
{
    const struct rpc_call *answer = view->answer;
    call->err = answer->err;
    call->result = answer->result;
    call->why = answer->why;
    if (answer->err == OK) {
        call->why = (struct why){.err = OK};
    }
    call->error_data = answer->error_data;
    call->error_code = answer->error_code;
    call->served_by = (size_t)__builtin_ctzll(view->members);
    call->disputed = false;
}

/* take_view counts a node's answer to one question. */
static void take_view(struct panel *p, struct question *q, size_t place,
                      const struct rpc_call *answer)
{
    struct hash essence;
    if (q->decided || !essence_of(p->arena, answer, &essence)) {
        return;
    }
    size_t i = 0;
    while (i < q->view_count && !hash_equal(&q->views[i].essence, &essence)) {
        i++;
    }
    if (i == q->view_count) {
        q->views[q->view_count++] = (struct view){.essence = essence, .answer = answer};
    }
    struct view *view = &q->views[i];
    view->members |= UINT64_C(1) << place;
    view->count++;
    if (view->count >= wanted(p, q)) {
        take_answer(q->call, view);
        q->decided = true;
    }
}

/* ---- asking ---- */

static struct rpc_leg *make_leg(struct panel *p, struct rpc_node *node)
{
    struct rpc_leg *leg = arena_alloc(p->arena, sizeof(*leg));
    struct rpc_call *copies = arena_alloc_array(p->arena, p->count, sizeof(*copies));
    struct rpc_call **list = arena_alloc_array(p->arena, p->count, sizeof(*list));
    for (size_t i = 0; i < p->count; i++) {
        const struct rpc_call *call = p->questions[i].call;
        copies[i] = (struct rpc_call){.method = call->method, .params = call->params};
        list[i] = &copies[i];
    }
    *leg = (struct rpc_leg){
        .pool = p->pool, .node = node, .arena = p->arena, .calls = list, .count = p->count};
    return leg;
}

/* ask_next asks one more node; false: nobody is left that could be asked now. */
static bool ask_next(struct panel *p)
{
    rpc_pool_lock(p->pool);
    struct rpc_node *node = rpc_node_ready(p->pool, p->asked, clock_mono_usec());
    rpc_pool_unlock(p->pool);
    if (node == NULL) {
        return false;
    }
    p->asked |= UINT64_C(1) << (node - p->pool->nodes);
    rpc_flight_add(&p->flight, make_leg(p, node));
    return true;
}

/* How many more answers are needed, if all that are under way agree with what most said. */
static uint32_t missing(const struct panel *p)
{
    uint32_t most_missing = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct question *q = &p->questions[i];
        uint32_t best = 0;
        for (size_t v = 0; v < q->view_count; v++) {
            best = q->views[v].count > best ? q->views[v].count : best;
        }
        uint32_t left = q->decided || best >= wanted(p, q) ? 0 : wanted(p, q) - best;
        most_missing = left > most_missing ? left : most_missing;
    }
    return most_missing;
}

static bool is_of_node(const struct rpc_call *call)
{
    return call->err != OK && call->err != ERR_REVERTED && call->err != ERR_NODE_ERROR;
}

static void conclude(struct panel *p, struct rpc_leg *leg)
{
    size_t place = (size_t)(leg->node - p->pool->nodes);
    enum err worst = OK;
    if (leg->err != OK) {
        p->why = leg->why;
        return;
    }
    if (leg->shape != RPC_SHAPE_ANSWERS) {
        size_t max = leg->shape == RPC_SHAPE_NO_BATCHES ? 1 : p->count / 2;
        rpc_node_limit_batch(p->pool, leg->node, (uint32_t)max);
        return;
    }
    for (size_t i = 0; i < p->count; i++) {
        struct rpc_call *answer = leg->calls[i];
        if (answer->err != OK) {
            rpc_node_finish_why(leg->node, answer->err, &answer->why);
        }
        if (is_of_node(answer)) {
            p->why = answer->why;
            worst = answer->err;
        }
        take_view(p, &p->questions[i], place, answer);
    }
    if (worst != OK) {
        rpc_node_failed(p->pool, leg->node, worst, leg->asked_usec, leg->retry_after_usec);
    } else {
        rpc_node_worked(p->pool, leg->node, leg->count, leg->latency_usec);
    }
}

/* run_panel asks as many nodes as it takes, all in the end. */
static void run_panel(struct panel *p)
{
    rpc_flight_init(&p->flight, p->pool);
    size_t late = 0; /* that are not counted on any more */
    while (missing(p) > 0) {
        bool more = true;
        while (more && p->flight.count < missing(p) + late) {
            more = ask_next(p);
        }
        struct rpc_leg *leg = rpc_flight_wait(&p->flight, more ? LATE_USEC : INT64_MAX / 2);
        if (leg != NULL) {
            conclude(p, leg);
        } else if (more && p->flight.count > 0) {
            late++;
        } else {
            break;
        }
    }
    rpc_flight_clear(&p->flight);
}

/* ---- those who do not agree ---- */

/* name_views writes who said the same: "A and B; C". */
static void name_views(const struct panel *p, const struct question *q, struct buf *out)
{
    for (size_t v = 0; v < q->view_count; v++) {
        const char *between = v > 0 ? "; " : "";
        for (size_t i = 0; i < p->pool->count; i++) {
            if ((q->views[v].members >> i & 1) != 0) {
                buf_add_text(out, between);
                buf_add_text(out, p->pool->nodes[i].origin);
                between = " and ";
            }
        }
    }
}

static void report(struct panel *p, struct question *q)
{
    struct rpc_pool *pool = p->pool;
    struct rpc_call *call = q->call;
    struct buf who;
    buf_init(&who, p->arena, 256);
    name_views(p, q, &who);
    call->result = NULL;
    call->disputed = q->view_count > 1;
    if (call->disputed) {
        metric_add(&rpc_metrics[RPC_METRIC_DISPUTES], 1);
        LOG(LOG_WARN, "rpc.answers_differ", log_u64("chain", pool->options.chain_id),
            log_text("method", call->method), log_slice("params", call->params),
            log_slice("nodes", buf_slice(&who)));
        call->err = why_set(&call->why, ERR_NODE_UNAVAILABLE, NULL,
                            "The nodes of chain %llu answer %s differently, and chain.quorum asks "
                            "for %u that agree: %.*s.",
                            (unsigned long long)pool->options.chain_id, call->method,
                            pool->options.quorum, SLICE_ARG(buf_slice(&who)));
        return;
    }
    call->err =
        why_set(&call->why, ERR_NODE_UNAVAILABLE, NULL,
                "%u of the nodes of chain %llu answered %s, and chain.quorum asks for %u. "
                "%s",
                q->view_count > 0 ? q->views[0].count : 0,
                (unsigned long long)pool->options.chain_id, call->method, pool->options.quorum,
                p->why.text[0] != '\0' ? p->why.text : "The others are not ready.");
}

/* ---- all of it ---- */

static size_t batch_max(struct rpc_pool *pool)
{
    size_t max = pool->options.batch_max;
    for (size_t i = 0; i < pool->count; i++) {
        size_t one = rpc_node_batch_max(pool, &pool->nodes[i]);
        max = one < max ? one : max;
    }
    return max;
}

/* What has become of each call in this round. */
enum state {
    OPEN,  /* not asked yet */
    LATER, /* asked, and to be asked again */
    DONE,
};

struct quorum_run {
    struct rpc_pool *pool;
    struct arena *arena;
    const struct rpc_ask *ask;
    enum state *states;
    bool last;  /* there is no other round */
    bool heard; /* some node answered some call */
};

static void settle(struct quorum_run *run, struct panel *p, struct question *q, size_t index)
{
    struct rpc_call *call = q->call;
    run->heard = run->heard || q->view_count > 0;
    if (!q->decided) {
        report(p, q);
        run->states[index] = run->last || call->once ? DONE : LATER;
        return;
    }
    if (call->err == OK && run->ask->accept != NULL) {
        call->err = run->ask->accept(run->ask->ctx, run->arena, index, call->result, &call->why);
    }
    run->states[index] = DONE;
}

/* ask_some asks for the next calls that are open; false: there was none. */
static bool ask_some(struct quorum_run *run)
{
    size_t max = batch_max(run->pool);
    size_t *index = arena_alloc_array(run->arena, max, sizeof(*index));
    struct panel p = {.pool = run->pool, .arena = run->arena};
    p.questions = arena_alloc_array(run->arena, max, sizeof(*p.questions));
    for (size_t i = 0; i < run->ask->count && p.count < max; i++) {
        if (run->states[i] == OPEN) {
            index[p.count] = i;
            p.questions[p.count++].call = &run->ask->calls[i];
        }
    }
    if (p.count == 0) {
        return false;
    }
    run_panel(&p);
    for (size_t i = 0; i < p.count; i++) {
        settle(run, &p, &p.questions[i], index[i]);
    }
    return true;
}

/* reopen makes the calls of the next round; false: there is none. */
static bool reopen(struct quorum_run *run)
{
    bool any = false;
    for (size_t i = 0; i < run->ask->count; i++) {
        if (run->states[i] == LATER) {
            run->states[i] = OPEN;
            any = true;
        }
    }
    return any;
}

enum err rpc_ask_quorum(struct rpc_pool *pool, struct arena *arena, const struct rpc_ask *ask,
                        struct why *why)
{
    struct quorum_run run = {.pool = pool, .arena = arena, .ask = ask};
    run.states = arena_alloc_array(arena, ask->count, sizeof(*run.states));
    for (unsigned round = 1; round <= ROUNDS_MAX; round++) {
        run.last = round == ROUNDS_MAX;
        while (ask_some(&run)) {
        }
        if (!reopen(&run)) {
            break;
        }
        clock_sleep_usec(PAUSE_USEC);
    }
    if (run.heard) {
        return OK;
    }
    if (why != NULL) {
        *why = ask->calls[0].why;
    }
    return ask->calls[0].err;
}
