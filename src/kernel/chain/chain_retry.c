#include "kernel/chain/chain_retry.h"

#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/chain/chain_internal.h"
#include "kernel/chain/chain_sql.h"
#include "kernel/evm/address.h"
#include "kernel/store/store_repair.h"

#define KIND "chain.event_retry"
#define ATTEMPTS 5
#define FIRST_USEC (60 * (int64_t)USEC_PER_SEC)
#define LONGEST_USEC (3600 * (int64_t)USEC_PER_SEC)
/* Events that a reorganisation leaves refused, and that are asked for again at once. */
#define AGAIN_MAX 1000

/* ---- wanting it ---- */

enum err chain_retry_want(struct store_tx *tx, uint64_t chain_id, const struct chain_place *place,
                          struct why *why)
{
    char hash[2 * HASH_BYTES + 3];
    char contract[ADDRESS_TEXT_MAX];
    struct arena scratch;
    arena_init(&scratch, 1024);
    hex_encode_to(hash_slice(&place->block_hash), hash);
    address_format(&place->contract, contract);
    const struct job_new job = {
        .kind = KIND,
        .key = slice_format(&scratch, "event/%llu/%s/%u", (unsigned long long)chain_id, hash,
                            place->log_index),
        .order_key =
            slice_format(&scratch, "event/%llu/%s", (unsigned long long)chain_id, contract),
        .payload = slice_format(&scratch, "{\"block\":%llu,\"blockHash\":\"%s\",\"logIndex\":%u}",
                                (unsigned long long)place->block, hash, place->log_index),
        .delay_usec = FIRST_USEC,
    };
    enum err e = jobs_enqueue(tx, &job, NULL, why);
    arena_free(&scratch);
    return e;
}

enum err chain_retry_again(struct store_tx *tx, uint64_t chain_id, struct why *why)
{
    struct chain_place *places = mem_alloc(AGAIN_MAX * sizeof *places);
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_events_refused);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_i64(&q, "max_rows", AGAIN_MAX);
    while (store_step(&q)) {
        struct chain_place *p = &places[count++];
        p->block = (uint64_t)store_get_i64(&q, "block_number");
        p->log_index = (uint32_t)store_get_i64(&q, "log_index");
        store_get_fixed(&q, "block_hash", p->block_hash.bytes, HASH_BYTES);
        store_get_fixed(&q, "contract_address", p->contract.bytes, ADDRESS_BYTES);
    }
    enum err e = store_finish(&q, NULL, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        e = chain_retry_want(tx, chain_id, &places[i], why);
    }
    mem_free(places);
    return e;
}

/* ---- the event, and where the chain is ---- */

struct retry {
    struct chain *chain;
    struct chain_place place;
    struct chain_position at;
    struct chain_batch batch;
    struct chain_item *item; /* NULL: not found */
    bool open;               /* the row is there and not processed */
    struct slice error;      /* what it says */
    struct arena *arena;
};

static enum err read_payload(const struct json *payload, struct chain_place *out, struct why *why)
{
    uint64_t index = 0;
    const struct json *block = json_find(payload, "block");
    const struct json *hash = json_find(payload, "blockHash");
    const struct json *log_index = json_find(payload, "logIndex");
    if (block == NULL || hash == NULL || log_index == NULL ||
        slice_parse_u64(block->text, &out->block) != OK ||
        slice_parse_u64(log_index->text, &index) != OK || index > UINT32_MAX ||
        hash_parse(hash->text, &out->block_hash) != OK) {
        return why_set(why, ERR_CORRUPT, NULL, "the job's payload names no event");
    }
    out->log_index = (uint32_t)index;
    return OK;
}

static enum err read_event(struct store_tx *tx, struct retry *r, struct why *why)
{
    struct hash hash;
    struct store_query q;
    r->open = false;
    store_begin(&q, tx, &chain_sql_event_get);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain->config.chain_id);
    store_bind_i64(&q, "block_number", (int64_t)r->place.block);
    store_bind_i64(&q, "log_index", r->place.log_index);
    if (store_step(&q)) {
        bool processed = store_get_bool(&q, "processed");
        store_get_fixed(&q, "block_hash", hash.bytes, HASH_BYTES);
        r->error = store_get_text(&q, "error", r->arena);
        r->open = !processed && hash_equal(&hash, &r->place.block_hash);
    }
    return store_finish(&q, NULL, why);
}

static enum err look(struct store_tx *tx, void *ctx, struct why *why)
{
    struct retry *r = ctx;
    enum err e = chain_position_read(tx, r->chain->config.chain_id, &r->at, why);
    return e == OK ? read_event(tx, r, why) : e;
}

/* Reads the block's logs as the follower does, proven, and finds the event among them. */
static enum err read_log(struct retry *r, struct why *why)
{
    struct chain *chain = r->chain;
    struct evm_header *header = arena_alloc(&chain->step, sizeof *header);
    enum err e = chain_followed_load(chain, &r->at, why);
    if (e == OK) {
        e = rpc_header(chain->rpc, &chain->step, r->place.block, header, why);
    }
    if (e == OK && !hash_equal(&header->hash, &r->place.block_hash)) {
        e = why_set(why, ERR_NODE_UNAVAILABLE, NULL,
                    "block %llu is another one at the node: a reorganisation is not undone yet",
                    (unsigned long long)r->place.block);
    }
    r->batch = (struct chain_batch){
        .chain = chain, .from = r->at, .head = r->at.block, .headers = header, .header_count = 1};
    if (e == OK) {
        e = chain_collect(chain, &r->batch, why);
    }
    for (size_t i = 0; e == OK && i < r->batch.item_count; i++) {
        if (r->batch.items[i].log.log_index == r->place.log_index) {
            r->item = &r->batch.items[i];
        }
    }
    if (e == OK && (r->item == NULL || r->item->event == NULL)) {
        e = why_set(why, ERR_NOT_FOUND, NULL, "block %llu has no event %u of a followed contract",
                    (unsigned long long)r->place.block, r->place.log_index);
    }
    return e;
}

/* ---- trying it ---- */

/* The row says that it is processed now, and the undo log how to say otherwise again. */
static enum err note_processed(struct store_tx *tx, const struct retry *r, struct why *why)
{
    const struct store_named before[] = {
        {"chain_id", {.i64 = (int64_t)r->chain->config.chain_id}},
        {"block_number", {.i64 = (int64_t)r->place.block}},
        {"log_index", {.i64 = r->place.log_index}},
        {"processed", {.i64 = 0}},
        {"error", {.bytes = r->error}},
    };
    enum err e =
        store_undo_note(tx, "blockchain_events", before, sizeof before / sizeof before[0], why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &chain_sql_event_processed);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain->config.chain_id);
    store_bind_i64(&q, "block_number", (int64_t)r->place.block);
    store_bind_i64(&q, "log_index", r->place.log_index);
    return store_finish(&q, NULL, why);
}

/* Holds the cursor, so that no block is applied or undone meanwhile. */
static enum err hold(struct store_tx *tx, struct retry *r, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_cursor_touch);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain->config.chain_id);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && changed != 1) {
        e = why_set(why, ERR_CHAIN_HALTED, NULL, "the chain is halted: events wait");
    }
    return e == OK ? look(tx, r, why) : e;
}

static enum err run_retry(struct store_tx *tx, void *ctx, struct why *why)
{
    struct retry *r = ctx;
    struct why refused = {0};
    enum err e = hold(tx, r, why);
    if (e != OK || !r->open) {
        return e;
    }
    e = store_undo_begin(tx, r->chain->config.chain_id, r->at.block, why);
    if (e != OK) {
        return e;
    }
    enum err outcome = chain_apply_again(tx, &r->batch, r->item, &refused);
    if (outcome == OK) {
        e = note_processed(tx, r, why);
    }
    if (e == OK) {
        e = store_undo_end(tx, why);
    }
    if (e == OK && outcome != OK) {
        e = err_retryable(outcome)
                ? why_set(why, outcome, NULL, "%s", why_text(&refused, outcome))
                : why_set(why, ERR_EVENT_REFUSED, NULL, "%s event %u of block %llu: %s (%s)",
                          r->item->event->name, r->place.log_index,
                          (unsigned long long)r->place.block, why_text(&refused, outcome),
                          err_code(outcome));
    }
    if (e == OK) {
        store_notify(tx, "chain");
        store_notify(tx, "stream"); /* what changed is told */
    }
    return e;
}

static enum err retry_job(struct job_call *call, struct why *why)
{
    struct retry r = {.arena = call->job};
    enum err e = read_payload(call->payload, &r.place, why);
    if (e != OK) {
        return e;
    }
    r.chain = chain_new(call->ctx);
    e = store_read(call->store, look, &r, why);
    if (e == OK && r.open) {
        e = read_log(&r, why);
        e = e == OK ? store_write(call->store, run_retry, &r, why) : e;
    }
    if (e == OK && r.item != NULL) {
        LOG(LOG_INFO, "chain.event_taken", log_u64("chain", r.chain->config.chain_id),
            log_u64("block", r.place.block), log_u64("log_index", r.place.log_index),
            log_text("name", r.item->event->name));
    }
    chain_free(r.chain);
    return e;
}

static const struct job_queue queues[] = {
    {.name = "chain-events",
     .concurrency = 2,
     .attempts_max = ATTEMPTS,
     .backoff = JOB_BACKOFF_EXPONENTIAL,
     .backoff_usec = FIRST_USEC,
     .backoff_usec_max = LONGEST_USEC,
     .doc = "Events that their handlers refused, once more."},
};

static const struct job_kind kinds[] = {
    {.name = KIND,
     .queue = "chain-events",
     .handler = retry_job,
     .timeout_usec = 5 * 60 * (int64_t)USEC_PER_SEC,
     .doc = "Runs the handlers of an event again that they had refused; those of one contract in "
            "order."},
};

struct job_table chain_retry_job_table(struct chain_options *options)
{
    return (struct job_table){
        .queues = queues,
        .queue_count = sizeof queues / sizeof queues[0],
        .kinds = kinds,
        .kind_count = sizeof kinds / sizeof kinds[0],
        .ctx = options,
    };
}
