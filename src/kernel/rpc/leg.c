#include "kernel/rpc/leg.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"

/*
 * A request that opened a connection may have met another process on the same port than the one
 * whose chain id was checked. The check is repeated before the answer is believed, unless it was
 * made just now (the first request and its check open connections in turn).
 */
#define RECHECK_USEC ((int64_t)USEC_PER_SEC)

#define HTTP_TOO_LARGE 413
#define HTTP_TOO_MANY_REQUESTS 429

_Static_assert(RPC_ENDPOINTS_MAX <= NET_FLIGHT_MAX, "each endpoint has a place in a flight");

/* ---- one HTTP exchange ----------------------------------------------------------------------- */

static enum err check_status(const struct rpc_node *node, const struct net_answer *answer,
                             struct why *why)
{
    if (answer->status >= 200 && answer->status < 300) {
        return OK;
    }
    if (answer->status == HTTP_TOO_MANY_REQUESTS) {
        return why_set(why, ERR_NODE_RATE_LIMITED, NULL, "The node %s limits our requests (429).",
                       node->origin);
    }
    if (answer->status == HTTP_TOO_LARGE) {
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

static size_t bytes_max(const struct rpc_leg *leg)
{
    return leg->answer_bytes_max > 0 ? leg->answer_bytes_max : leg->pool->options.answer_bytes_max;
}

static struct net_request make_request(struct rpc_leg *leg, struct rpc_call *const *calls,
                                       size_t count)
{
    static const struct net_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/json")},
        {SLICE_LIT("Accept"), SLICE_LIT("application/json")},
    };
    struct buf text;
    buf_init(&text, leg->arena, 128);
    leg->id = atomic_fetch_add(&leg->pool->next_id, count);
    rpc_envelope_write(&text, calls, count, leg->id);
    leg->sent_usec = clock_mono_usec();
    return (struct net_request){
        .method = "POST",
        .url = leg->node->url,
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]),
        .body = buf_slice(&text),
        .timeout_usec = leg->timeout_usec > 0 ? leg->timeout_usec : leg->pool->options.timeout_usec,
        .answer_bytes_max = bytes_max(leg),
    };
}

/* ---- the phases ------------------------------------------------------------------------------ */

bool rpc_leg_next(struct rpc_leg *leg, struct net_request *out)
{
    if (leg->phase == RPC_LEG_READY) {
        bool known = leg->count > 0 && rpc_node_chain_known(leg->pool, leg->node, INT64_MAX);
        leg->phase = known ? RPC_LEG_CALLS : RPC_LEG_CHAIN;
    }
    if (leg->phase == RPC_LEG_OVER) {
        return false;
    }
    if (leg->phase == RPC_LEG_CALLS) {
        rpc_node_spend(leg->pool, leg->node, leg->count);
        *out = make_request(leg, leg->calls, leg->count);
        leg->asked_usec = leg->sent_usec;
    } else {
        struct rpc_call *calls[] = {&leg->chain_call};
        leg->chain_call = (struct rpc_call){.method = "eth_chainId"};
        *out = make_request(leg, calls, 1);
    }
    return true;
}

static enum err read_chain(struct rpc_leg *leg, const struct net_answer *answer, struct why *why)
{
    struct rpc_call *call = &leg->chain_call;
    struct rpc_call *calls[] = {call};
    enum rpc_shape shape = RPC_SHAPE_ANSWERS;
    enum err e =
        rpc_envelope_read(leg->arena, answer->body, bytes_max(leg), calls, 1, leg->id, &shape, why);
    if (e == OK && call->err != OK) {
        *why = call->why;
        e = call->err;
    }
    if (e == ERR_NODE_ERROR || e == ERR_REVERTED || e == ERR_LIMIT) {
        e = ERR_NODE_RESPONSE; /* every node can say its chain id: this one is not in order */
    }
    uint64_t chain_id = 0;
    if (e == OK) {
        e = rpc_read_u64(call->result, &chain_id, why);
    }
    if (e == OK && chain_id != leg->pool->options.chain_id) {
        e = why_set(why, ERR_WRONG_CHAIN, "chain_id",
                    "The node %s serves chain %llu, but chain %llu is configured.",
                    leg->node->origin, (unsigned long long)chain_id,
                    (unsigned long long)leg->pool->options.chain_id);
    }
    return e;
}

/* end makes an error the outcome. One that says that the answer is too large is nobody's fault. */
static void end(struct rpc_leg *leg, enum err e)
{
    bool about_chain = leg->phase != RPC_LEG_CALLS;
    if (about_chain && e == ERR_LIMIT) {
        e = ERR_NODE_RESPONSE;
    }
    bool blamed = e != ERR_LIMIT && !(leg->left && e == ERR_NODE_TIMEOUT);
    if (blamed) {
        rpc_node_finish_why(leg->node, e, &leg->why);
        rpc_node_failed(leg->pool, leg->node, e, leg->sent_usec, leg->retry_after_usec);
    }
    leg->why.err = e;
    leg->err = e;
    leg->phase = RPC_LEG_OVER;
}

static void take_chain(struct rpc_leg *leg)
{
    leg->err = OK;
    rpc_node_set_chain_right(leg->pool, leg->node);
    leg->phase = leg->phase == RPC_LEG_CHAIN && leg->count > 0 ? RPC_LEG_CALLS : RPC_LEG_OVER;
}

static void take_calls(struct rpc_leg *leg)
{
    leg->latency_usec = clock_mono_usec() - leg->asked_usec;
    bool recheck = leg->connected && !rpc_node_chain_known(leg->pool, leg->node, RECHECK_USEC);
    leg->phase = recheck ? RPC_LEG_CHAIN_AGAIN : RPC_LEG_OVER;
}

void rpc_leg_take(struct rpc_leg *leg, enum err err, const struct net_answer *answer,
                  const struct why *why)
{
    ASSERT(leg->phase != RPC_LEG_READY && leg->phase != RPC_LEG_OVER);
    int64_t took_usec = clock_mono_usec() - leg->sent_usec;
    enum err e = err;
    metric_add(&rpc_metrics[RPC_METRIC_REQUESTS], 1);
    metric_observe(&rpc_metrics[RPC_METRIC_SECONDS], took_usec);
    rpc_measure_request(leg->pool, leg->node, took_usec);
    if (e == OK) {
        leg->connected = answer->connected;
        leg->retry_after_usec = answer->retry_after_usec;
        e = check_status(leg->node, answer, &leg->why);
    } else {
        leg->why = *why;
        e = e == ERR_UPSTREAM ? ERR_NODE_UNAVAILABLE : e;
    }
    bool about_calls = leg->phase == RPC_LEG_CALLS;
    if (e == OK) {
        e = about_calls ? rpc_envelope_read(leg->arena, answer->body, bytes_max(leg), leg->calls,
                                            leg->count, leg->id, &leg->shape, &leg->why)
                        : read_chain(leg, answer, &leg->why);
    }
    if (e != OK) {
        end(leg, e);
    } else if (about_calls) {
        take_calls(leg);
    } else {
        take_chain(leg);
    }
}

void rpc_leg_run(struct rpc_leg *leg)
{
    struct net_request request;
    while (rpc_leg_next(leg, &request)) {
        struct net_answer answer = {0};
        struct why why = {0};
        enum err e = net_request_run(leg->pool->client, leg->arena, &request, &answer, &why);
        rpc_leg_take(leg, e, &answer, &why);
    }
}

/* ---- several at once ------------------------------------------------------------------------- */

void rpc_flight_init(struct rpc_flight *flight, struct rpc_pool *pool)
{
    *flight = (struct rpc_flight){.requests = net_flight_new(pool->client)};
}

void rpc_flight_clear(struct rpc_flight *flight)
{
    net_flight_free(flight->requests);
    *flight = (struct rpc_flight){.requests = NULL};
}

static size_t place_of(const struct rpc_leg *leg)
{
    return (size_t)(leg->node - leg->pool->nodes);
}

/* send_next sends the leg's next request; false: it is over. */
static bool send_next(struct rpc_flight *flight, struct rpc_leg *leg)
{
    struct net_request request;
    if (!rpc_leg_next(leg, &request)) {
        flight->legs[place_of(leg)] = NULL;
        flight->count--;
        return false;
    }
    net_flight_send(flight->requests, place_of(leg), leg->arena, &request);
    return true;
}

void rpc_flight_add(struct rpc_flight *flight, struct rpc_leg *leg)
{
    ASSERT(leg->phase == RPC_LEG_READY && flight->legs[place_of(leg)] == NULL);
    flight->legs[place_of(leg)] = leg;
    flight->count++;
    ASSERT(send_next(flight, leg));
}

/* Real time, in which requests run also under a replaced clock. */
static int64_t real_usec(void)
{
    struct timespec now;
    clock_deadline(0, &now);
    return (int64_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

struct rpc_leg *rpc_flight_wait(struct rpc_flight *flight, int64_t wait_usec)
{
    struct net_landing landing;
    int64_t deadline = real_usec() + wait_usec;
    int64_t left = wait_usec;
    while (flight->count > 0 && net_flight_wait(flight->requests, left, &landing)) {
        struct rpc_leg *leg = flight->legs[landing.slot];
        rpc_leg_take(leg, landing.err, &landing.answer, &landing.why);
        if (!send_next(flight, leg)) {
            return leg;
        }
        left = deadline - real_usec();
        left = left > 0 ? left : 0;
    }
    return NULL;
}
