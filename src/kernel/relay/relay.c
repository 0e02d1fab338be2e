#include "kernel/relay/relay.h"

#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

/* Receipts of fresh transactions are looked for this soon, then ever more seldom. */
#define FRESH_USEC 2000
#define BACKOFF_USEC_MAX (10 * (int64_t)USEC_PER_SEC)
/* Who has nothing to do looks this often whether that has changed. Units: microseconds. */
#define STANDBY_USEC (200 * 1000)

struct relay *relay_new(const struct relay_options *options)
{
    relay_metrics_register();
    struct relay *relay = mem_alloc(sizeof *relay);
    struct why why = {0};
    enum err e = relay_config_resolve(options->config, options->chain_id, &relay->config,
                                      &relay->schedule, &why);
    ASSERT(e == OK); /* relay_config_check has said so */
    relay->chain_id = options->chain_id;
    relay->store = options->store;
    relay->rpc = options->rpc;
    relay->signers = options->signers;
    relay->signer_count = options->signer_count;
    relay->policies = options->policies;
    relay->policy_count = options->policy_count;
    relay->gases = options->gases;
    relay->gas_count = options->gas_count;
    relay->contracts = options->contracts;
    relay->contract_count = options->contract_count;
    relay->watch = options->watch;
    relay->watch_ctx = options->watch_ctx;
    relay->leased = options->leased;
    relay->pool = mem_alloc((options->pool_count + 1) * sizeof *relay->pool);
    relay->pool_count = options->pool_count;
    for (size_t i = 0; i < options->pool_count; i++) {
        relay->pool[i] = options->pool[i];
    }
    relay->has_treasury = options->treasury != NULL;
    if (relay->has_treasury) {
        relay->treasury = *options->treasury;
    }
    if (store_installation(options->store, relay->installation, NULL) != OK) {
        rand_id("none", relay->installation); /* hashes of this run are not comparable, but safe */
    }
    relay->wallets = mem_alloc((options->signer_count + 1) * sizeof *relay->wallets);
    arena_init(&relay->step, 256 * 1024);
    return relay;
}

void relay_free(struct relay *relay)
{
    if (relay != NULL) {
        ASSERT(!relay->running);
        arena_free(&relay->step);
        mem_free(relay->wallets);
        mem_free(relay->pool);
        mem_free(relay);
    }
}

enum err relay_step(struct relay *relay, bool *out_progress, struct why *why)
{
    *out_progress = false;
    arena_clear(&relay->step);
    enum err e = relay_watches(relay) ? relay_pass_final(relay, out_progress, why) : OK;
    if (e == OK && relay_watches(relay)) {
        e = relay_pass_pool(relay, out_progress, why);
    }
    if (e == OK) {
        e = relay_pass_open(relay, out_progress, why);
    }
    if (e == OK) {
        e = relay_pass_queued(relay, out_progress, why);
    }
    return e;
}

/* ---- wallets against the chain ---- */

enum err relay_nonce_put(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                         uint64_t nonce, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_wallet_put);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_bytes(&q, "address", address_slice(wallet));
    store_bind_i64(&q, "next_nonce", (int64_t)nonce);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

enum err relay_nonce_at_least(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                              uint64_t nonce, uint64_t *out_next, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_wallet_get);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_bytes(&q, "address", address_slice(wallet));
    bool known = store_step(&q);
    uint64_t stored = known ? (uint64_t)store_get_i64(&q, "next_nonce") : 0;
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    *out_next = stored > nonce ? stored : nonce;
    if (known && stored >= nonce) {
        return OK;
    }
    if (known) {
        char text[ADDRESS_TEXT_MAX];
        address_format(wallet, text);
        LOG(LOG_WARN, "relay.nonce_moved", log_text("wallet", text), log_u64("stored", stored),
            log_u64("chain", nonce));
    }
    return relay_nonce_put(tx, chain_id, wallet, nonce, why);
}

static struct rpc_call count_call(struct relay *relay, const struct address *wallet,
                                  const char *tag)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(wallet, text);
    return (struct rpc_call){
        .method = "eth_getTransactionCount",
        .params = slice_format(&relay->step, "[\"%s\",\"%s\"]", text, tag),
    };
}

enum err relay_counts(struct relay *relay, const struct address *const *wallets, size_t count,
                      uint64_t *out_mined, uint64_t *out_pending, struct why *why)
{
    struct rpc_call *calls = arena_alloc_array(&relay->step, 2 * count, sizeof *calls);
    uint64_t *numbers = arena_alloc_array(&relay->step, 2 * count, sizeof *numbers);
    for (size_t i = 0; i < count; i++) {
        calls[2 * i] = count_call(relay, wallets[i], "latest");
        calls[2 * i + 1] = count_call(relay, wallets[i], "pending");
        calls[2 * i + 1].of_pool = true;
    }
    enum err e = rpc_call_many(relay->rpc, &relay->step, RPC_MONEY, calls, 2 * count, why);
    for (size_t i = 0; e == OK && i < 2 * count; i++) {
        e = calls[i].err;
        if (e != OK && why != NULL) {
            *why = calls[i].why;
        }
        if (e == OK && (calls[i].result->type != JSON_STRING ||
                        hex_parse_u64(calls[i].result->text, &numbers[i]) != OK)) {
            e = why_set(why, ERR_NODE_RESPONSE, NULL, "the node's count of transactions is none");
        }
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        out_mined[i] = numbers[2 * i];
        /* A node whose pool is behind its chain knows nothing of what waits. */
        out_pending[i] = numbers[2 * i + 1] > numbers[2 * i] ? numbers[2 * i + 1] : numbers[2 * i];
    }
    return e;
}

struct wallet_check {
    const struct relay *relay;
    const struct address *wallet;
    uint64_t pending; /* mined, or waiting in the node's pool */
};

static enum err put_pooled(struct store_tx *tx, const struct wallet_check *c, struct why *why)
{
    bool pooled = false;
    for (size_t i = 0; i < c->relay->pool_count; i++) {
        pooled = pooled || address_equal(&c->relay->pool[i], c->wallet);
    }
    struct store_query q;
    store_begin(&q, tx, &relay_sql_wallet_put_pooled);
    store_bind_i64(&q, "chain_id", (int64_t)c->relay->chain_id);
    store_bind_bytes(&q, "address", address_slice(c->wallet));
    store_bind_bool(&q, "pooled", pooled);
    return store_finish(&q, NULL, why);
}

/*
 * A wallet's next nonce is never below what the node knows. Above it stand our own open intents; a
 * wallet that we see for the first time starts behind whatever waits at the node.
 */
static enum err check_wallet(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct wallet_check *c = ctx;
    uint64_t next = 0;
    uint64_t chain_id = c->relay->chain_id;
    enum err e = relay_nonce_at_least(tx, chain_id, c->wallet, c->pending, &next, why);
    if (e == OK && next == 0) {
        e = relay_nonce_put(tx, chain_id, c->wallet, 0, why); /* it has to have a row */
    }
    return e == OK ? put_pooled(tx, c, why) : e;
}

enum err relay_reconcile(struct relay *relay, struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < relay->signer_count; i++) {
        struct wallet_check c = {.relay = relay, .wallet = &relay->signers[i].address};
        struct relay_wallet *w = &relay->wallets[i];
        if (w->reconciled || !relay_works_on(relay, c.wallet)) {
            continue;
        }
        e = rpc_nonce(relay->rpc, c.wallet, true, &c.pending, why);
        if (e == OK) {
            e = relay_write_one(relay, c.wallet, check_wallet, &c, why);
        }
        w->reconciled = e == OK && relay->leased;
    }
    return e;
}

/* ---- the thread ---- */

struct counts {
    uint64_t chain_id;
    int64_t queued;
    int64_t inflight;
};

static enum err read_counts(struct store_tx *tx, void *ctx, struct why *why)
{
    struct counts *c = ctx;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_queue_counts);
    store_bind_i64(&q, "chain_id", (int64_t)c->chain_id);
    if (store_step(&q)) {
        c->queued = store_get_i64(&q, "queued");
        c->inflight = store_get_i64(&q, "inflight");
    }
    return store_finish(&q, NULL, why);
}

/* How long to wait when nothing moved: short after something did, longer and longer after. */
static int64_t pause_usec(const struct relay *relay, int64_t last)
{
    struct counts c = {.chain_id = relay->chain_id};
    enum err e = store_read(relay->store, read_counts, &c, NULL);
    metric_set(&relay_metrics[RELAY_METRIC_QUEUED], c.queued);
    metric_set(&relay_metrics[RELAY_METRIC_INFLIGHT], c.inflight);
    if (e != OK || c.inflight == 0) {
        return relay->config.poll_usec;
    }
    int64_t next = last > 0 ? last * 2 : FRESH_USEC;
    return next < relay->config.poll_usec ? next : relay->config.poll_usec;
}

static void note_outcome(const struct relay *relay, enum err *last, enum err e,
                         const struct why *why)
{
    if (e == *last) {
        return;
    }
    if (e != OK) {
        LOG(LOG_WARN, "relay.step_failed", log_u64("chain", relay->chain_id), log_err(e),
            log_why(why, e));
    } else {
        LOG(LOG_INFO, "relay.recovered", log_u64("chain", relay->chain_id));
    }
    *last = e;
}

static void *run(void *ctx)
{
    struct relay *relay = ctx;
    uint64_t seen = store_signal_now(relay->store, "relay");
    uint64_t seen_stop = store_signal_now(relay->store, "relay_stop");
    int64_t pause = 0;
    enum err last = OK;
    while (!atomic_load(&relay->stopping)) {
        struct why why = {0};
        bool progress = false;
        if (!relay_lease_take(relay)) {
            /* Another process does it all; we are woken when it ends. */
            (void)store_wait(relay->store, "relay_stop", &seen_stop, STANDBY_USEC);
            continue;
        }
        arena_clear(&relay->step);
        enum err e = relay->leased ? relay_reconcile(relay, &why) : OK;
        if (e == OK) {
            e = relay_step(relay, &progress, &why);
        }
        if (e == ERR_FENCED) {
            continue; /* the keeper has said so */
        }
        bool failed_before = last != OK;
        note_outcome(relay, &last, e, &why);
        if (e != OK) {
            /* New intents are no reason to ask a node again that is in trouble. */
            pause = failed_before ? pause * 2 : relay->config.poll_usec;
            pause = pause < BACKOFF_USEC_MAX ? pause : BACKOFF_USEC_MAX;
            (void)store_wait(relay->store, "relay_stop", &seen_stop, pause);
            continue;
        }
        pause = progress || failed_before ? 0 : pause;
        if (!progress) {
            pause = pause_usec(relay, pause);
            bool woken = store_wait(relay->store, "relay", &seen, pause);
            pause = woken ? 0 : pause;
        }
    }
    return NULL;
}

enum err relay_start(struct relay *relay, struct why *why)
{
    ASSERT(!relay->running);
    relay->reorg_seen = store_signal_now(relay->store, "chain_reorg");
    if (relay->leased) {
        relay_lease_want(relay);
        (void)relay_lease_take(relay);
    }
    enum err e = relay_reconcile(relay, why);
    e = e == ERR_FENCED ? OK : e; /* somebody took it just now */
    atomic_store(&relay->stopping, false);
    if (e == OK && pthread_create(&relay->thread, NULL, run, relay) != 0) {
        e = why_set(why, ERR_INTERNAL, NULL, "no thread for relaying");
    }
    if (e != OK) {
        relay_lease_release(relay);
        return e;
    }
    (void)pthread_setname_np(relay->thread, "relay");
    relay->running = true;
    return OK;
}

void relay_stop(struct relay *relay)
{
    if (relay == NULL || !relay->running) {
        return;
    }
    atomic_store(&relay->stopping, true);
    store_wake(relay->store, "relay");
    store_wake(relay->store, "relay_stop");
    (void)pthread_join(relay->thread, NULL);
    relay->running = false;
    relay_lease_release(relay);
}
