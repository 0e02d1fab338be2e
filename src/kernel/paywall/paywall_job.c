/* paywall_job.c: payments whose request is gone come to their end, and old answers go. */
#include "kernel/base/log.h"
#include "kernel/paywall/paywall_internal.h"
#include "kernel/paywall/paywall_sql.h"

#define SECOND ((int64_t)USEC_PER_SEC)
#define ROWS_MAX 200

struct open_list {
    const struct paywall *paywall;
    struct arena *arena;
    int64_t now_usec;
    struct x402_key keys[ROWS_MAX];
    size_t count;
};

static enum err list_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct open_list *list = ctx;
    const struct paywall *p = list->paywall;
    struct store_query q;
    list->count = 0;
    store_begin(&q, tx, &paywall_sql_open_list);
    store_bind_i64(&q, "chain_id", (int64_t)p->chain_id);
    store_bind_time(&q, "before", list->now_usec - p->config.wait_usec);
    store_bind_i64(&q, "max_rows", ROWS_MAX);
    while (store_step(&q)) {
        struct x402_key *key = &list->keys[list->count++];
        key->chain_id = p->chain_id;
        store_get_fixed(&q, "asset", key->asset.bytes, ADDRESS_BYTES);
        store_get_fixed(&q, "payer", key->payer.bytes, ADDRESS_BYTES);
        store_get_fixed(&q, "nonce", key->nonce.bytes, HASH_BYTES);
    }
    return store_finish(&q, NULL, why);
}

static enum err sweep_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct open_list *list = ctx;
    uint64_t expired = 0;
    struct store_query q;
    enum err e = x402_expire(tx, list->now_usec, ROWS_MAX, &expired, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &paywall_sql_answers_purge);
    store_bind_time(&q, "before", list->now_usec - list->paywall->config.kept_usec);
    store_bind_i64(&q, "max_rows", ROWS_MAX);
    return store_finish(&q, NULL, why);
}

/* One that cannot be looked at now does not keep the others from their end. */
static enum err settle_open(struct job_call *call, struct why *why)
{
    const struct paywall *p = call->ctx;
    struct open_list *list = arena_alloc(call->job, sizeof *list);
    *list = (struct open_list){.paywall = p, .arena = call->job, .now_usec = clock_wall_usec()};
    if (p == NULL || !p->config.enabled) {
        return OK;
    }
    enum err e = store_read(call->store, list_tx, list, why);
    enum err first = OK;
    for (size_t i = 0; e == OK && i < list->count; i++) {
        struct arena scratch;
        struct paywall_outcome outcome;
        struct why one = {.err = OK};
        arena_init(&scratch, 0);
        enum err failed = paywall_settle_again(p, &scratch, &list->keys[i], 0, &outcome, &one);
        arena_free(&scratch);
        if (failed != OK) {
            LOG(LOG_WARN, "x402.not_settled", log_hex("nonce", hash_slice(&list->keys[i].nonce)),
                log_why(&one, failed));
            first = first == OK ? why_set(why, failed, NULL, "%s", why_text(&one, failed)) : first;
        }
        jobs_progress(call, (int64_t)i + 1, (int64_t)list->count, SLICE_EMPTY);
    }
    e = e == OK ? store_write(call->store, sweep_tx, list, why) : e;
    return e == OK ? first : e;
}

static const struct job_queue queues[] = {
    {
        .name = "x402",
        .concurrency = 1,
        .attempts_max = 1,
        .backoff = JOB_BACKOFF_FIXED,
        .backoff_usec = SECOND,
        .backoff_usec_max = SECOND,
        .doc = "Payments whose request is gone.",
    },
};

static const struct job_kind kinds[] = {
    {
        .name = PAYWALL_PURPOSE,
        .queue = "x402",
        .handler = settle_open,
        .timeout_usec = 60 * SECOND,
        .doc = "Ends payments that were sent and nobody waits for, those that were never settled "
               "and can be no more, and forgets old answers.",
    },
};

static const struct job_cron crons[] = {
    {
        .name = PAYWALL_PURPOSE,
        .kind = PAYWALL_PURPOSE,
        .every_usec = 5 * SECOND,
        .doc = "No payment stays half done.",
    },
};

struct job_table paywall_job_table(struct paywall *paywall)
{
    return (struct job_table){
        .queues = queues,
        .queue_count = sizeof queues / sizeof queues[0],
        .kinds = kinds,
        .kind_count = sizeof kinds / sizeof kinds[0],
        .crons = crons,
        .cron_count = sizeof crons / sizeof crons[0],
        .ctx = paywall,
    };
}
