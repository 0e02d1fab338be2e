#include "kernel/rpc/pool.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"

#define COOL_FIRST_USEC 100000
#define COOL_LIMITED_USEC 500000
#define COOL_MAX_USEC (30 * (int64_t)USEC_PER_SEC)
#define COOL_WRONG_CHAIN_USEC (60 * (int64_t)USEC_PER_SEC)
#define RETRY_AFTER_MAX_USEC (300 * (int64_t)USEC_PER_SEC)
/* Calls of so much time may come at once. */
#define BUDGET_BURST_USEC ((int64_t)USEC_PER_SEC)
#define WAIT_MAX_USEC ((int64_t)USEC_PER_SEC)
/* Shorter parts of a URL ("v3", "rpc") are not keys, and blotting them would garble sentences. */
#define SECRET_BYTES_MIN 8

static const struct metric_row rows[RPC_METRIC_COUNT] = {
    [RPC_METRIC_REQUESTS] = {"freehold_rpc_requests_total", METRIC_COUNTER,
                             "HTTP requests sent to nodes.", NULL},
    [RPC_METRIC_FAILURES] = {"freehold_rpc_failures_total", METRIC_COUNTER,
                             "Requests that a node did not answer usefully.",
                             "reason=\"unavailable\""},
    [RPC_METRIC_TIMEOUTS] = {"freehold_rpc_failures_total", METRIC_COUNTER,
                             "Requests that a node did not answer usefully.", "reason=\"timeout\""},
    [RPC_METRIC_RATE_LIMITED] = {"freehold_rpc_failures_total", METRIC_COUNTER,
                                 "Requests that a node did not answer usefully.",
                                 "reason=\"rate_limited\""},
    [RPC_METRIC_RETRIES] = {"freehold_rpc_retries_total", METRIC_COUNTER,
                            "Calls that were sent again after a failure.", NULL},
    [RPC_METRIC_WRONG_ANSWERS] = {"freehold_rpc_wrong_answers_total", METRIC_COUNTER,
                                  "Answers refused because they are not what was asked.", NULL},
    [RPC_METRIC_WRONG_CHAIN] = {"freehold_rpc_wrong_chain_total", METRIC_COUNTER,
                                "Chain id checks that met another chain.", NULL},
    [RPC_METRIC_UNVERIFIED_HEADERS] = {"freehold_rpc_unverified_headers_total", METRIC_COUNTER,
                                       "Headers taken although their hash cannot be recomputed.",
                                       NULL},
    [RPC_METRIC_LIES + RPC_LIE_HEADER] = {"freehold_rpc_lies_total", METRIC_COUNTER,
                                          "Answers that the chain disproves; by endpoint: "
                                          "freehold_rpc_endpoint_lies_total.",
                                          "kind=\"header\""},
    [RPC_METRIC_LIES + RPC_LIE_RECEIPTS] = {"freehold_rpc_lies_total", METRIC_COUNTER,
                                            "Answers that the chain disproves; by endpoint: "
                                            "freehold_rpc_endpoint_lies_total.",
                                            "kind=\"receipts\""},
    [RPC_METRIC_LIES + RPC_LIE_TRANSACTIONS] = {"freehold_rpc_lies_total", METRIC_COUNTER,
                                                "Answers that the chain disproves; by endpoint: "
                                                "freehold_rpc_endpoint_lies_total.",
                                                "kind=\"transactions\""},
    [RPC_METRIC_LIES + RPC_LIE_FORK] = {"freehold_rpc_lies_total", METRIC_COUNTER,
                                        "Answers that the chain disproves; by endpoint: "
                                        "freehold_rpc_endpoint_lies_total.",
                                        "kind=\"fork\""},
    [RPC_METRIC_HEDGES_WON] = {"freehold_rpc_hedges_total", METRIC_COUNTER,
                               "Reads that a second node was asked because the first took long, by "
                               "whether its answer was used.",
                               "result=\"won\""},
    [RPC_METRIC_HEDGES_LOST] = {"freehold_rpc_hedges_total", METRIC_COUNTER,
                                "Reads that a second node was asked because the first took long, "
                                "by whether its answer was used.",
                                "result=\"lost\""},
    [RPC_METRIC_DISPUTES] = {"freehold_rpc_disputes_total", METRIC_COUNTER,
                             "Reads that the nodes of a quorum answered differently.", NULL},
    [RPC_METRIC_HEADS_BACK] = {"freehold_rpc_heads_back_total", METRIC_COUNTER,
                               "Times that a node's newest block was several blocks below what it "
                               "was before.",
                               NULL},
    [RPC_METRIC_HEADS_AHEAD] = {"freehold_rpc_heads_ahead_total", METRIC_COUNTER,
                                "Times that a node named a newest block that the others cannot be "
                                "so far from.",
                                NULL},
    [RPC_METRIC_SECONDS] = {"freehold_rpc_request_seconds", METRIC_HISTOGRAM,
                            "Time from sending a request to a node until its answer is read.",
                            NULL},
};

struct metric_value rpc_metrics[RPC_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(rows, rpc_metrics, RPC_METRIC_COUNT);
}

void rpc_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

/* ---- making a pool --------------------------------------------------------------------------- */

/* find_secrets cuts everything but the origin of a URL into the parts that may be keys. */
static void find_secrets(struct arena *boot, struct rpc_node *node)
{
    struct slice url = slice_text(node->url);
    node->secrets = arena_alloc_array(boot, url.len / SECRET_BYTES_MIN + 1, sizeof(struct slice));
    size_t start = 0;
    for (size_t i = 0; i <= url.len; i++) {
        if (i < url.len && strchr("/?#&=@:", url.ptr[i]) == NULL) {
            continue;
        }
        struct slice part = slice_sub(url, start, i - start);
        start = i + 1;
        bool shown = strstr(node->origin, slice_cstr(boot, part)) != NULL;
        if (part.len >= SECRET_BYTES_MIN && !shown) {
            node->secrets[node->secret_count++] = part;
        }
    }
}

static int order_of(enum rpc_role role)
{
    switch (role) {
    case RPC_PRIMARY:
        return 0;
    case RPC_FALLBACK:
        return 1;
    case RPC_BACKUP:
        return 2;
    }
    ASSERT(false);
    return 2;
}

static void add_nodes(struct rpc_pool *pool, const struct rpc_options *options, int order)
{
    for (size_t i = 0; i < options->endpoint_count; i++) {
        const struct rpc_endpoint *endpoint = &options->endpoints[i];
        if (order_of(endpoint->role) != order) {
            continue;
        }
        struct rpc_node *node = &pool->nodes[pool->count++];
        node->url = slice_cstr(&pool->boot, slice_text(endpoint->url));
        node->role = endpoint->role;
        node->batch_max = options->batch_max;
        net_url_origin(node->url, node->origin);
        find_secrets(&pool->boot, node);
    }
}

struct rpc_pool *rpc_pool_new(const struct rpc_options *options)
{
    ASSERT(options->endpoint_count > 0 && options->endpoint_count <= RPC_ENDPOINTS_MAX);
    ASSERT(options->attempts_max > 0 && options->batch_max > 0 && options->timeout_usec > 0);
    struct rpc_pool *pool = mem_alloc(sizeof(*pool));
    arena_init(&pool->boot, 0);
    pool->options = *options;
    pool->options.endpoints = NULL;
    pool->nodes = arena_alloc_array(&pool->boot, options->endpoint_count, sizeof(*pool->nodes));
    for (int order = 0; order <= 2; order++) {
        add_nodes(pool, options, order);
    }
    ASSERT(pool->count == options->endpoint_count);
    ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
    if (options->measured) {
        rpc_measure_register(pool);
    }
    rpc_hedge_init(pool);
    for (size_t i = pool->count; i-- > 0;) {
        pool->preferred[pool->nodes[i].role] = i; /* the first of each role */
    }
    pool->client = net_client_new();
    atomic_init(&pool->next_id, 1);
    return pool;
}

void rpc_pool_free(struct rpc_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    rpc_polls_free(pool);
    net_client_free(pool->client);
    (void)pthread_mutex_destroy(&pool->lock);
    arena_free(&pool->boot);
    mem_free(pool);
}

/* ---- health ---------------------------------------------------------------------------------- */

void rpc_pool_lock(struct rpc_pool *pool)
{
    ASSERT(pthread_mutex_lock(&pool->lock) == 0);
}

void rpc_pool_unlock(struct rpc_pool *pool)
{
    ASSERT(pthread_mutex_unlock(&pool->lock) == 0);
}

/* When an endpoint may be asked: after its pauses, and as far as its budget goes. */
static int64_t ready_usec(const struct rpc_node *node)
{
    int64_t at = node->cool_until_usec;
    at = node->benched_until_usec > at ? node->benched_until_usec : at;
    int64_t paid = node->spent_until_usec - BUDGET_BURST_USEC;
    return paid > at ? paid : at;
}

/* What decides between endpoints that are ready; the configuration does between equal ones. */
static unsigned rank(const struct rpc_pool *pool, const struct rpc_node *node)
{
    unsigned role = (unsigned)order_of(node->role);
    bool preferred = &pool->nodes[pool->preferred[node->role]] == node;
    return (rpc_node_is_apart(node) ? 8 : 0) + 2 * role + (preferred ? 0 : 1);
}

/*
 * first_ready returns the endpoint to ask next and how long it has to be waited for. Of those that
 * are ready, one that is behind or ahead of the others comes last.
 */
static struct rpc_node *first_ready(struct rpc_pool *pool, uint64_t excluded, int64_t now,
                                    int64_t *out_wait)
{
    struct rpc_node *best = NULL;
    int64_t best_wait = INT64_MAX;
    for (size_t i = 0; i < pool->count; i++) {
        struct rpc_node *node = &pool->nodes[i];
        int64_t until = ready_usec(node);
        int64_t wait = until > now ? until - now : 0;
        bool better = best == NULL || wait < best_wait ||
                      (wait == best_wait && rank(pool, node) < rank(pool, best));
        if ((excluded & UINT64_C(1) << i) == 0 && better) {
            best = node;
            best_wait = wait;
        }
    }
    *out_wait = best_wait;
    return best;
}

struct rpc_node *rpc_node_ready(struct rpc_pool *pool, uint64_t excluded, int64_t now)
{
    int64_t wait = 0;
    struct rpc_node *node = first_ready(pool, excluded, now, &wait);
    return node != NULL && wait == 0 && !rpc_node_is_apart(node) ? node : NULL;
}

enum err rpc_node_pick(struct rpc_pool *pool, uint64_t excluded, struct rpc_node **out,
                       struct why *why)
{
    int64_t wait = 0;
    rpc_pool_lock(pool);
    struct rpc_node *node = first_ready(pool, excluded, clock_mono_usec(), &wait);
    enum err last = node != NULL ? node->last_err : ERR_NODE_UNAVAILABLE;
    char said[WHY_TEXT_MAX];
    (void)snprintf(said, sizeof(said), "%s",
                   last == ERR_NODE_LIED ? node->last_lie : err_sentence(last));
    rpc_pool_unlock(pool);
    if (node == NULL) {
        return why_set(why, ERR_NODE_UNAVAILABLE, NULL,
                       "No node of chain %llu is left to be asked.",
                       (unsigned long long)pool->options.chain_id);
    }
    if (last == OK) {
        last = ERR_NODE_RATE_LIMITED; /* nothing but our own budget holds it back */
        (void)snprintf(said, sizeof(said), "%s", "chain.rpc_rate is spent");
    }
    if (wait > WAIT_MAX_USEC) {
        return why_set(why, last, NULL,
                       "No node of chain %llu can be asked for another %lld ms; %s failed last: %s",
                       (unsigned long long)pool->options.chain_id, (long long)(wait / 1000),
                       node->origin, said);
    }
    if (wait > 0) {
        clock_sleep_usec(wait);
    }
    *out = node;
    return OK;
}

void rpc_node_spend(struct rpc_pool *pool, struct rpc_node *node, size_t calls)
{
    if (pool->options.rate_max == 0) {
        return;
    }
    int64_t now = clock_mono_usec();
    int64_t cost = (int64_t)calls * USEC_PER_SEC / pool->options.rate_max;
    rpc_pool_lock(pool);
    node->spent_until_usec = (node->spent_until_usec > now ? node->spent_until_usec : now) + cost;
    rpc_pool_unlock(pool);
}

static int64_t cool_usec(enum err err, uint32_t failures, int64_t retry_after_usec)
{
    if (err == ERR_WRONG_CHAIN) {
        return COOL_WRONG_CHAIN_USEC;
    }
    int64_t cool = err == ERR_NODE_RATE_LIMITED ? COOL_LIMITED_USEC : COOL_FIRST_USEC;
    for (uint32_t i = 1; i < failures && cool < COOL_MAX_USEC; i++) {
        cool *= 2;
    }
    if (cool > COOL_MAX_USEC) {
        cool = COOL_MAX_USEC;
    }
    /* Up to a quarter less, so that many processes do not come back in step. */
    cool -= (int64_t)rand_below((uint64_t)cool / 4);
    if (retry_after_usec > RETRY_AFTER_MAX_USEC) {
        retry_after_usec = RETRY_AFTER_MAX_USEC;
    }
    return cool > retry_after_usec ? cool : retry_after_usec;
}

static void count_failure(enum err err)
{
    enum rpc_metric row = RPC_METRIC_FAILURES;
    if (err == ERR_NODE_TIMEOUT) {
        row = RPC_METRIC_TIMEOUTS;
    } else if (err == ERR_NODE_RATE_LIMITED) {
        row = RPC_METRIC_RATE_LIMITED;
    } else if (err == ERR_NODE_RESPONSE || err == ERR_NODE_LIED || err == ERR_NODE_UNKNOWN) {
        row = RPC_METRIC_WRONG_ANSWERS;
    } else if (err == ERR_WRONG_CHAIN) {
        row = RPC_METRIC_WRONG_CHAIN;
    }
    metric_add(&rpc_metrics[row], 1);
}

void rpc_node_failed(struct rpc_pool *pool, struct rpc_node *node, enum err err,
                     int64_t started_usec, int64_t retry_after_usec)
{
    count_failure(err);
    int64_t now = clock_mono_usec();
    rpc_pool_lock(pool);
    bool was_healthy = node->failures == 0;
    node->chain_right = false;
    node->last_err = err;
    node->failing_per_mille += (1000 - node->failing_per_mille) / 8;
    rpc_prefer(pool, node);
    if (was_healthy || started_usec >= node->cooled_usec) {
        node->failures++;
        node->cooled_usec = now;
        int64_t until = now + cool_usec(err, node->failures, retry_after_usec);
        node->cool_until_usec = until > node->cool_until_usec ? until : node->cool_until_usec;
    }
    int64_t pause_usec = node->cool_until_usec - now;
    rpc_pool_unlock(pool);
    rpc_measure_add(pool, node, RPC_MEASURE_FAILURES);
    rpc_measure_set(pool, node, RPC_MEASURE_READY, 0);
    if (was_healthy) {
        LOG(err == ERR_WRONG_CHAIN ? LOG_ERROR : LOG_WARN, "rpc.endpoint_failed",
            log_u64("chain", pool->options.chain_id), log_text("url", node->origin), log_err(err),
            log_i64("pause_usec", pause_usec));
    }
}

void rpc_node_worked(struct rpc_pool *pool, struct rpc_node *node, size_t calls,
                     int64_t latency_usec)
{
    rpc_pool_lock(pool);
    bool was_failing = node->failures > 0;
    node->failures = 0;
    node->cool_until_usec = 0;
    node->races_lost = 0;
    node->failing_per_mille -= node->failing_per_mille / 16;
    rpc_latency_add(&node->latency[calls > 1], latency_usec);
    rpc_prefer(pool, node);
    rpc_pool_unlock(pool);
    rpc_measure_set(pool, node, RPC_MEASURE_READY, 1);
    if (was_failing) {
        LOG(LOG_INFO, "rpc.endpoint_recovered", log_u64("chain", pool->options.chain_id),
            log_text("url", node->origin));
    }
}

bool rpc_node_chain_known(struct rpc_pool *pool, const struct rpc_node *node, int64_t age_usec)
{
    int64_t now = clock_mono_usec();
    rpc_pool_lock(pool);
    bool known = node->chain_right && now - node->chain_checked_usec <= age_usec;
    rpc_pool_unlock(pool);
    return known;
}

void rpc_node_set_chain_right(struct rpc_pool *pool, struct rpc_node *node)
{
    int64_t now = clock_mono_usec();
    rpc_pool_lock(pool);
    node->chain_right = true;
    node->chain_checked_usec = now;
    rpc_pool_unlock(pool);
}

uint32_t rpc_node_batch_max(struct rpc_pool *pool, const struct rpc_node *node)
{
    rpc_pool_lock(pool);
    uint32_t max = node->batch_max;
    rpc_pool_unlock(pool);
    return max;
}

void rpc_node_limit_batch(struct rpc_pool *pool, struct rpc_node *node, uint32_t max)
{
    ASSERT(max > 0);
    rpc_pool_lock(pool);
    bool lowered = max < node->batch_max;
    if (lowered) {
        node->batch_max = max;
    }
    rpc_pool_unlock(pool);
    if (lowered) {
        LOG(LOG_INFO, "rpc.batches_limited", log_u64("chain", pool->options.chain_id),
            log_text("url", node->origin), log_u64("batch_max", max));
    }
}

static void blot(const struct rpc_node *node, struct why *why)
{
    for (size_t i = 0; i < node->secret_count; i++) {
        struct slice secret = node->secrets[i];
        size_t len = strlen(why->text);
        for (char *at = why->text; len >= secret.len;) {
            at = memmem(at, len - (size_t)(at - why->text), secret.ptr, secret.len);
            if (at == NULL) {
                break;
            }
            memset(at, '*', secret.len);
        }
    }
}

void rpc_node_finish_why(const struct rpc_node *node, enum err err, struct why *why)
{
    why->err = err;
    blot(node, why);
    size_t len = strlen(why->text);
    bool of_answer = err == ERR_NODE_RESPONSE || err == ERR_NODE_LIED || err == ERR_NODE_UNKNOWN;
    if (of_answer && strstr(why->text, node->origin) == NULL) {
        (void)snprintf(why->text + len, sizeof(why->text) - len, " (%s)", node->origin);
    }
}

/* ---- what people see --------------------------------------------------------------------------
 */

static const char *role_text(enum rpc_role role)
{
    switch (role) {
    case RPC_PRIMARY:
        return "primary";
    case RPC_FALLBACK:
        return "fallback";
    case RPC_BACKUP:
        return "backup";
    }
    ASSERT(false);
    return "";
}

static uint64_t lies_of(const struct rpc_node *node)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < RPC_LIE_COUNT; i++) {
        sum += node->lies[i];
    }
    return sum;
}

void rpc_health(struct rpc_pool *pool, struct json_out *j)
{
    int64_t now = clock_mono_usec();
    json_key(j, "endpoints");
    json_begin_array(j);
    for (size_t i = 0; i < pool->count; i++) {
        rpc_pool_lock(pool);
        struct rpc_node node = pool->nodes[i];
        rpc_pool_unlock(pool);
        json_begin_object(j);
        json_key(j, "url");
        json_text(j, node.origin);
        json_key(j, "role");
        json_text(j, role_text(node.role));
        json_key(j, "healthy");
        json_bool(j, node.failures == 0 && node.cool_until_usec <= now &&
                         node.benched_until_usec <= now);
        json_key(j, "failures");
        json_u64(j, node.failures);
        json_key(j, "latencyUsec");
        json_i64(j, node.latency[0].count > 0 ? node.latency[0].average_usec
                                              : node.latency[1].average_usec);
        json_key(j, "latencyP95Usec");
        json_i64(j, rpc_latency_quantile(&node.latency[node.latency[0].count == 0], 950));
        json_key(j, "head");
        json_u64(j, node.head);
        json_key(j, "behind");
        json_bool(j, node.behind);
        json_key(j, "ahead");
        json_bool(j, node.ahead);
        json_key(j, "lies");
        json_u64(j, lies_of(&node));
        rpc_capability_write(&node, j);
        json_end_object(j);
    }
    json_end_array(j);
}
