#include "kernel/chain/chain.h"

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/chain/chain_internal.h"
#include "kernel/chain/chain_sql.h"
#include "kernel/evm/address.h"

/* Who only watches asks this often. Units: microseconds. */
#define WATCH_USEC_MIN (1 * (int64_t)USEC_PER_SEC)
/* Waiting time after a failure doubles up to this. Units: microseconds. */
#define BACKOFF_USEC_MAX (10 * (int64_t)USEC_PER_SEC)
/* While a stream announces blocks the head is looked at more seldom, but so often at least. */
#define LIVE_POLL_FACTOR 4
#define LIVE_POLL_USEC_MAX (2 * (int64_t)USEC_PER_SEC)
/* The first answers are about so many blocks at most. */
#define FIRST_BLOCKS 16
/* While blocks are read ahead the head is looked at so often. Units: microseconds. */
#define HEAD_USEC (1 * (int64_t)USEC_PER_SEC)

static void check_tables(const struct chain_options *o)
{
    for (size_t t = 0; t < o->table_count; t++) {
        const struct chain_table *table = &o->tables[t];
        for (size_t i = 0; i < table->handler_count; i++) {
            ASSERT(table->handlers[i].event != NULL);
            for (size_t k = 0; k < i; k++) {
                ASSERT(table->handlers[k].event != table->handlers[i].event);
            }
        }
    }
}

static void be_told(void *ctx, uint64_t number)
{
    chain_told(ctx, number);
}

struct chain *chain_new(const struct chain_options *options)
{
    ASSERT(options->config->undo_depth >=
           options->config->reorg_depth_max + options->config->confirmations);
    check_tables(options);
    chain_metrics_register();
    struct chain *chain = mem_alloc(sizeof *chain);
    chain->config = *options->config;
    chain->verify = chain_verify_of(options->config);
    chain->follow = chain_follow_of(options->config);
    chain->final_limit = UINT64_MAX;
    chain->store = options->store;
    chain->rpc = options->rpc;
    chain->tables = options->tables;
    chain->table_count = options->table_count;
    chain->statics = options->sources;
    chain->static_count = options->source_count;
    chain->expected = options->expected;
    chain->expected_ctx = options->expected_ctx;
    atomic_init(&chain->span, chain->config.range_max);
    /* How much blocks hold is not known yet. */
    uint64_t first =
        chain->config.range_max < FIRST_BLOCKS ? chain->config.range_max : FIRST_BLOCKS;
    atomic_init(&chain->span_fit, first);
    atomic_init(&chain->stride, first);
    atomic_init(&chain->limit, UINT64_MAX);
    chain->leased = options->leased;
    chain->watch_only = options->watch_only;
    if (options->ws_url_count > 0) {
        const struct rpc_stream_options stream = {
            .chain_id = options->config->chain_id,
            .urls = options->ws_urls,
            .url_count = options->ws_url_count,
            .timeout_usec = options->config->rpc_timeout_usec,
            .told = be_told,
            .ctx = chain,
        };
        chain->stream = rpc_stream_new(&stream);
    }
    arena_init(&chain->followed_arena, 0);
    arena_init(&chain->step, 256 * 1024);
    arena_init(&chain->reading, 0);
    (void)pthread_mutex_init(&chain->lock, NULL);
    if (chain->config.backfill_window > 1 && options->readers > 0) {
        chain->window =
            chain_window_new(chain, (size_t)chain->config.backfill_window, options->readers);
    }
    chain->status.chain_id = chain->config.chain_id;
    chain->status.verify = chain->verify;
    chain->status.follow = chain->follow;
    return chain;
}

void chain_free(struct chain *chain)
{
    if (chain == NULL) {
        return;
    }
    ASSERT(!chain->running);
    rpc_stream_free(chain->stream);
    chain_window_free(chain->window);
    arena_free(&chain->followed_arena);
    arena_free(&chain->step);
    arena_free(&chain->reading);
    (void)pthread_mutex_destroy(&chain->lock);
    mem_free(chain);
}

/* ---- whose chain it is ---- */

enum err chain_write(struct chain *chain, store_fn fn, void *ctx, struct why *why)
{
    size_t holds = chain->hold.lease != NULL ? 1 : 0;
    return store_lease_write(chain->store, &chain->hold, holds, fn, ctx, why);
}

static void forget_window(struct chain *chain)
{
    if (chain->window != NULL) {
        chain_window_discard(chain->window);
    }
}

/* Says whether the next step is ours to make, and forgets what was true of an earlier hold. */
static bool take_hold(struct chain *chain)
{
    bool owned = !chain->leased;
    if (chain->hold.lease != NULL) {
        uint64_t fence = store_lease_held(chain->store, chain->hold.lease);
        if (fence != chain->hold.fence) {
            chain->opened = false;
            chain->followed_known = false;
            forget_window(chain);
        }
        chain->hold.fence = fence;
        owned = fence != 0;
    }
    (void)pthread_mutex_lock(&chain->lock);
    chain->status.owned = owned;
    chain->status.fence = chain->hold.fence;
    (void)pthread_mutex_unlock(&chain->lock);
    return owned;
}

static void lease_name(const struct chain *chain, char out[STORE_LEASE_NAME_MAX])
{
    (void)snprintf(out, STORE_LEASE_NAME_MAX, "chain/%llu",
                   (unsigned long long)chain->config.chain_id);
}

static void want_lease(struct chain *chain)
{
    char name[STORE_LEASE_NAME_MAX];
    lease_name(chain, name);
    chain->hold.lease = store_lease_want(chain->store, name, "chain_poke");
}

/* ---- one step ---- */

static void note_head(struct chain *chain, uint64_t head)
{
    metric_set(&chain_metrics[CHAIN_METRIC_HEAD], (int64_t)head);
    rpc_stream_seen(chain->stream, head);
    (void)pthread_mutex_lock(&chain->lock);
    chain->status.head_block = head;
    chain->status.node_ok = true;
    (void)pthread_mutex_unlock(&chain->lock);
}

static void note_position(struct chain *chain, const struct chain_position *p)
{
    metric_set(&chain_metrics[CHAIN_METRIC_CURSOR], (int64_t)p->block);
    metric_set(&chain_metrics[CHAIN_METRIC_HALTED], p->halted_why[0] != '\0');
    (void)pthread_mutex_lock(&chain->lock);
    bool resumed = chain->status.halted && p->halted_why[0] == '\0';
    chain->status.cursor_block = p->block;
    chain->status.cursor_hash = p->hash;
    chain->status.halted = p->halted_why[0] != '\0';
    memcpy(chain->status.halted_why, p->halted_why, sizeof chain->status.halted_why);
    (void)pthread_mutex_unlock(&chain->lock);
    if (resumed) {
        /* Another process may have done so, whose signals do not come here (store.h, beside). */
        store_wake(chain->store, "chain_reorg");
        store_wake(chain->store, "relay");
    }
}

/*
 * Reads headers from the cursor's own block on and says whether they continue it. What they say has
 * to be confirmed by the other nodes: a fork as well as a block to apply.
 */
static enum err read_headers(struct chain *chain, const struct chain_position *at, uint64_t last,
                             struct chain_batch *batch, bool *out_forked, struct why *why)
{
    size_t count = (size_t)(last - at->block + 1);
    struct evm_header *headers = arena_alloc_array(&chain->step, count, sizeof *headers);
    size_t got = 0;
    enum err e = rpc_headers(chain->rpc, &chain->step, at->block, count, headers, &got, why);
    if (e != OK) {
        return e;
    }
    if (got == 0) {
        return why_set(why, ERR_NODE_UNAVAILABLE, NULL,
                       "the node announced block %llu and does not have block %llu",
                       (unsigned long long)batch->head, (unsigned long long)at->block);
    }
    *out_forked = !hash_equal(&headers[0].hash, &at->hash);
    size_t linked = 1;
    while (linked < got && hash_equal(&headers[linked].parent_hash, &headers[linked - 1].hash)) {
        linked++;
    }
    /* What does not link is of another fork than what came before: read again next time. */
    batch->headers = headers + 1;
    batch->header_count = linked - 1;
    const struct evm_header *telling = *out_forked ? &headers[0] : &headers[linked - 1];
    bool telling_nothing = !*out_forked && linked == 1;
    return telling_nothing ? OK : rpc_confirm(chain->rpc, telling->number, &telling->hash, why);
}

/* Says what was committed; before the commit it might still be tried again. */
static void note_applied(struct chain *chain, const struct chain_batch *batch, int64_t started)
{
    const struct evm_header *last = &batch->headers[batch->header_count - 1];
    struct chain_position p = {.found = true, .block = last->number, .hash = last->hash};
    uint64_t failed = 0;
    for (size_t i = 0; i < batch->item_count; i++) {
        const struct chain_item *item = &batch->items[i];
        if (item->outcome == OK) {
            continue;
        }
        failed++;
        LOG(LOG_ERROR, "chain.event_refused", log_u64("chain", chain->config.chain_id),
            log_u64("block", item->log.block_number), log_u64("log_index", item->log.log_index),
            log_text("name", item->event->name), log_hex("tx", hash_slice(&item->log.tx_hash)),
            log_err(item->outcome), log_why(item->why, item->outcome));
    }
    note_position(chain, &p);
    metric_add(&chain_metrics[CHAIN_METRIC_EVENTS], (int64_t)batch->item_count);
    metric_add(&chain_metrics[CHAIN_METRIC_EVENTS_FAILED], (int64_t)failed);
    metric_add(&chain_metrics[CHAIN_METRIC_EXPECT_SEEN], (int64_t)batch->seen_count);
    metric_observe(&chain_metrics[CHAIN_METRIC_BATCH], clock_mono_usec() - started);
    (void)pthread_mutex_lock(&chain->lock);
    chain->status.events += batch->item_count;
    (void)pthread_mutex_unlock(&chain->lock);
}

static enum err write_batch(struct chain *chain, struct chain_batch *batch, int64_t started,
                            struct why *why)
{
    enum err e = chain_write(chain, chain_apply, batch, why);
    if (e == OK) {
        /* Where nothing new is followed, what is loaded is right for the new cursor. */
        const struct evm_header *last = &batch->headers[batch->header_count - 1];
        chain->followed_known = chain->followed_known && !batch->announced;
        chain->followed_at = last->hash;
        chain->followed_usec = batch->moved_usec;
        note_applied(chain, batch, started);
    }
    return e;
}

/* What waited for its turn may have left the chain meanwhile: its last block is looked at again. */
static enum err is_still_there(struct chain *chain, const struct chain_batch *batch, bool *out_is,
                               struct why *why)
{
    const struct evm_header *last = &batch->headers[batch->header_count - 1];
    struct evm_header now = {.hash = last->hash};
    enum err e = OK;
    if (clock_mono_usec() - batch->read_usec > HEAD_USEC) {
        arena_clear(&chain->reading);
        e = rpc_header(chain->rpc, &chain->reading, last->number, &now, why);
    }
    *out_is = e == OK && hash_equal(&now.hash, &last->hash);
    return e == ERR_NOT_FOUND ? OK : e;
}

/*
 * Applies the next range of those that are read ahead. Without progress and without an error there
 * is none that continues the cursor.
 */
static enum err advance_window(struct chain *chain, const struct chain_position *at,
                               uint64_t settled, bool *out_progress, struct why *why)
{
    int64_t started = clock_mono_usec();
    struct chain_batch *batch = NULL;
    chain_window_aim(chain->window, at, settled);
    if (!chain_window_covers(chain->window, at)) {
        return OK;
    }
    enum err e = chain_window_next(chain->window, at, &batch, why);
    bool is_there = false;
    if (e == OK && batch != NULL) {
        e = is_still_there(chain, batch, &is_there, why);
    }
    if (e != OK || !is_there) {
        chain_window_discard(chain->window);
        return e;
    }
    if (batch->followed_load != chain->followed_loads) {
        e = chain_collect_missing(chain, batch, why);
    }
    if (e == OK) {
        chain_collect_settle(chain, batch);
        e = write_batch(chain, batch, started, why);
    }
    if (e == OK) {
        metric_add(&chain_metrics[CHAIN_METRIC_READ_AHEAD], 1);
        chain_window_drop(chain->window);
    } else {
        chain_window_discard(chain->window);
    }
    *out_progress = e == OK;
    return e;
}

/*
 * Blocks are read ahead where no reorganisation is expected any more, and where there is more to
 * read than one range: the newest blocks are read when they are applied.
 */
static bool reads_ahead(struct chain *chain, const struct chain_position *at, uint64_t settled)
{
    return chain->window != NULL && settled > at->block &&
           (chain_window_covers(chain->window, at) ||
            settled - at->block > chain->config.range_max);
}

static enum err advance(struct chain *chain, const struct chain_position *at, uint64_t head,
                        bool *out_progress, struct why *why)
{
    uint64_t target = head > chain->config.confirmations ? head - chain->config.confirmations : 0;
    target = target < chain->final_limit ? target : chain->final_limit;
    uint64_t limit = atomic_load(&chain->limit);
    target = target < limit ? target : limit;
    uint64_t depth = chain->config.reorg_depth_max;
    uint64_t settled = head > depth ? head - depth : 0;
    settled = settled < target ? settled : target;
    if (reads_ahead(chain, at, settled)) {
        enum err e = advance_window(chain, at, settled, out_progress, why);
        if (e != OK || *out_progress) {
            return e;
        }
    }
    uint64_t last = at->block + atomic_load(&chain->stride);
    last = last < target ? last : target;
    last = last > at->block ? last : at->block;
    struct chain_batch batch = {
        .chain = chain, .from = *at, .head = head, .bytes_max = CHAIN_STEPS_BYTES_MAX};
    bool forked = false;
    enum err e = read_headers(chain, at, last, &batch, &forked, why);
    if (e != OK || (!forked && batch.header_count == 0)) {
        return e;
    }
    if (forked) {
        return chain_reorg_handle(chain, at, out_progress, why);
    }
    int64_t started = clock_mono_usec();
    size_t linked = batch.header_count;
    e = chain_collect(chain, &batch, why);
    if (e == OK) {
        chain_fit_stride(chain, &batch, linked);
        e = write_batch(chain, &batch, started, why);
    }
    *out_progress = e == OK;
    return e;
}

struct look {
    uint64_t chain_id;
    uint64_t number;
    bool found;
    struct hash hash;
};

static enum err read_block(struct store_tx *tx, void *ctx, struct why *why)
{
    struct look *r = ctx;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_block_get);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain_id);
    store_bind_i64(&q, "block_number", (int64_t)r->number);
    r->found = store_step(&q);
    if (r->found) {
        store_get_fixed(&q, "block_hash", r->hash.bytes, HASH_BYTES);
    }
    return store_finish(&q, NULL, why);
}

/*
 * The node's head is below the cursor. A node that lags agrees with us at its own head and is
 * waited for; one that left our fork does not.
 */
static enum err look_below(struct chain *chain, const struct chain_position *at, uint64_t head,
                           bool *out_progress, struct why *why)
{
    struct look known = {.chain_id = chain->config.chain_id, .number = head};
    struct evm_header header;
    enum err e = store_read(chain->store, read_block, &known, why);
    if (e == OK && !known.found) {
        return why_set(why, ERR_NODE_UNAVAILABLE, NULL,
                       "the node's newest block is %llu, far below %llu that is applied: it is "
                       "still catching up",
                       (unsigned long long)head, (unsigned long long)at->block);
    }
    if (e == OK) {
        e = rpc_header(chain->rpc, &chain->step, head, &header, why);
    }
    bool differs = e == OK && !hash_equal(&known.hash, &header.hash);
    if (differs) {
        e = rpc_confirm(chain->rpc, head, &header.hash, why);
    }
    if (e == OK && differs) {
        e = chain_reorg_handle(chain, at, out_progress, why);
    }
    return e;
}

static bool is_of_node(enum err e)
{
    return e == ERR_NODE_UNAVAILABLE || e == ERR_NODE_TIMEOUT || e == ERR_NODE_RATE_LIMITED ||
           e == ERR_NODE_RESPONSE || e == ERR_NODE_ERROR || e == ERR_NODE_LIED ||
           e == ERR_NODE_UNKNOWN || e == ERR_WRONG_CHAIN;
}

/*
 * Goes straight for a block that was announced. Where the pool does not bear that out, nothing was
 * heard: the step goes on as without it.
 */
static enum err advance_told(struct chain *chain, const struct chain_position *at, uint64_t told,
                             bool *out_progress, struct why *why)
{
    struct why said = {0};
    enum err e = advance(chain, at, told, out_progress, &said);
    if (e != OK && !is_of_node(e)) {
        if (why != NULL) {
            *why = said;
        }
        return e;
    }
    if (*out_progress) {
        metric_observe(&chain_metrics[CHAIN_METRIC_LIVE],
                       clock_mono_usec() - atomic_load(&chain->told_usec));
    }
    return OK;
}

/* Far below the head it is enough to look at it now and then. */
static enum err look_at_head(struct chain *chain, const struct chain_position *at, struct why *why)
{
    uint64_t head = 0;
    int64_t now = clock_mono_usec();
    if (chain->window != NULL && now - chain->head_usec < HEAD_USEC &&
        chain_window_covers(chain->window, at)) {
        return OK;
    }
    rpc_survey(chain->rpc);
    enum err e = rpc_block_number(chain->rpc, &head, why);
    if (e == OK) {
        chain->head = head;
        chain->head_usec = now;
        note_head(chain, head);
    }
    return e;
}

struct position_read {
    uint64_t chain_id;
    struct chain_position position;
};

static enum err read_position(struct store_tx *tx, void *ctx, struct why *why)
{
    struct position_read *r = ctx;
    return chain_position_read(tx, r->chain_id, &r->position, why);
}

enum err chain_sync_once(struct chain *chain, bool *out_progress, struct why *why)
{
    arena_clear(&chain->step);
    *out_progress = false;
    struct position_read r = {.chain_id = chain->config.chain_id};
    const struct chain_position *at = &r.position;
    enum err e = chain->opened ? store_read(chain->store, read_position, &r, why)
                               : chain_open(chain, &r.position, why);
    if (e != OK) {
        return e;
    }
    note_position(chain, at);
    if (at->halted_why[0] != '\0') {
        return why_set(why, ERR_CHAIN_HALTED, NULL, "%s", at->halted_why);
    }
    uint64_t told = atomic_exchange(&chain->told, 0);
    e = chain_followed_load(chain, at, why);
    if (e == OK && told > at->block && told - at->block <= chain->config.range_max &&
        chain->config.confirmations == 0 && chain->follow == CHAIN_FOLLOW_LATEST) {
        e = advance_told(chain, at, told, out_progress, why);
    }
    if (*out_progress) {
        return e;
    }
    if (e == OK) {
        e = look_at_head(chain, at, why);
    }
    if (e == OK) {
        e = chain_final_look(chain, at, why);
    }
    if (e != OK) {
        return e;
    }
    uint64_t head = chain->head;
    return head < at->block ? look_below(chain, at, head, out_progress, why)
                            : advance(chain, at, head, out_progress, why);
}

/* ---- the thread ---- */

static void note_no_node(struct chain *chain)
{
    (void)pthread_mutex_lock(&chain->lock);
    chain->status.node_ok = false;
    (void)pthread_mutex_unlock(&chain->lock);
}

/* A step that moved nothing has found that there is nothing to apply. */
static void note_step(struct chain *chain, enum err e, bool progress, const struct why *why)
{
    (void)pthread_mutex_lock(&chain->lock);
    chain->status.synced = e == OK && !progress;
    (void)snprintf(chain->status.waiting_why, sizeof chain->status.waiting_why, "%s",
                   e == OK || e == ERR_CONFLICT ? "" : why_text(why, e));
    (void)pthread_mutex_unlock(&chain->lock);
}

/* Logs when a step begins to fail, fails otherwise than before, or works again. */
static void note_outcome(struct chain *chain, enum err *last, enum err e, const struct why *why)
{
    if (is_of_node(e)) {
        note_no_node(chain);
    }
    if (e == *last) {
        return;
    }
    if (e == ERR_CHAIN_HALTED) {
        metric_set(&chain_metrics[CHAIN_METRIC_HALTED], 1);
        LOG(LOG_ERROR, "chain.halted", log_u64("chain", chain->config.chain_id), log_why(why, e));
    } else if (e != OK) {
        LOG(LOG_WARN, "chain.step_failed", log_u64("chain", chain->config.chain_id), log_err(e),
            log_why(why, e));
    } else {
        LOG(LOG_INFO, "chain.recovered", log_u64("chain", chain->config.chain_id));
    }
    *last = e;
}

/* Another process applies the blocks: all there is to do is to know how far it is. */
static void watch(struct chain *chain, uint64_t *seen)
{
    struct position_read r = {.chain_id = chain->config.chain_id};
    uint64_t head = 0;
    if (store_read(chain->store, read_position, &r, NULL) == OK && r.position.found) {
        note_position(chain, &r.position);
    }
    if (rpc_block_number(chain->rpc, &head, NULL) == OK) {
        note_head(chain, head);
    } else {
        note_no_node(chain);
    }
    int64_t pause = chain->config.poll_usec;
    (void)store_wait(chain->store, "chain_poke", seen,
                     pause > WATCH_USEC_MIN ? pause : WATCH_USEC_MIN);
}

/* Only who applies blocks has to hear of them. */
static void listen_if(struct chain *chain, bool owned)
{
    struct why why = {0};
    if (chain->stream == NULL) {
        return;
    }
    if (!owned) {
        rpc_stream_stop(chain->stream);
    } else if (rpc_stream_start(chain->stream, &why) != OK) {
        LOG(LOG_WARN, "chain.stream_not_started", log_u64("chain", chain->config.chain_id),
            log_why(&why, ERR_INTERNAL));
    }
}

static int64_t poll_usec(const struct chain *chain)
{
    int64_t poll = chain->config.poll_usec;
    if (!rpc_stream_is_live(chain->stream) || poll >= LIVE_POLL_USEC_MAX) {
        return poll;
    }
    int64_t slow = LIVE_POLL_FACTOR * poll;
    return slow < LIVE_POLL_USEC_MAX ? slow : LIVE_POLL_USEC_MAX;
}

static void *run(void *ctx)
{
    struct chain *chain = ctx;
    uint64_t seen = store_signal_now(chain->store, "chain_poke");
    int64_t pause = chain->config.poll_usec;
    enum err last = OK;
    while (!atomic_load(&chain->stopping)) {
        bool progress = false;
        struct why why = {0};
        bool owned = take_hold(chain);
        listen_if(chain, owned);
        if (!owned) {
            watch(chain, &seen);
            continue;
        }
        enum err e = chain_sync_once(chain, &progress, &why);
        if (e == ERR_FENCED || e == ERR_STOPPING) {
            continue; /* the keeper has said so; chain_stop has */
        }
        note_step(chain, e, progress, &why);
        bool failed_before = last != OK;
        note_outcome(chain, &last, e, &why);
        if (e == OK && progress) {
            continue;
        }
        pause = e != OK && failed_before ? pause * 2 : poll_usec(chain);
        pause = pause < BACKOFF_USEC_MAX ? pause : BACKOFF_USEC_MAX;
        (void)store_wait(chain->store, "chain_poke", &seen, pause);
    }
    return NULL;
}

static void interrupt_window(struct chain *chain, bool on)
{
    if (chain->window != NULL) {
        chain_window_interrupt(chain->window, on);
    }
}

static void release(struct chain *chain)
{
    if (chain->hold.lease != NULL) {
        store_lease_release(chain->store, chain->hold.lease);
        chain->hold = (struct store_hold){0};
    }
}

enum err chain_start(struct chain *chain, struct why *why)
{
    ASSERT(!chain->running);
    struct chain_position at;
    arena_clear(&chain->step);
    if (chain->leased && !chain->watch_only) {
        want_lease(chain);
    }
    bool owned = take_hold(chain);
    enum err e = owned ? chain_open(chain, &at, why) : ERR_FENCED;
    if (e == ERR_FENCED) {
        e = chain_look(chain, &at, why);
    }
    if (e == OK) {
        note_position(chain, &at);
        atomic_store(&chain->stopping, false);
        interrupt_window(chain, false);
        if (pthread_create(&chain->thread, NULL, run, chain) != 0) {
            e = why_set(why, ERR_INTERNAL, NULL, "no thread for following the chain");
        }
    }
    if (e != OK) {
        release(chain);
        return e;
    }
    (void)pthread_setname_np(chain->thread, "chain");
    chain->running = true;
    return OK;
}

void chain_stop(struct chain *chain)
{
    if (chain == NULL || !chain->running) {
        return;
    }
    atomic_store(&chain->stopping, true);
    interrupt_window(chain, true);
    store_wake(chain->store, "chain_poke");
    (void)pthread_join(chain->thread, NULL);
    rpc_stream_stop(chain->stream);
    chain->running = false;
    if (chain->window != NULL) {
        chain_window_stop(chain->window);
    }
    release(chain);
}

void chain_limit(struct chain *chain, uint64_t block)
{
    atomic_store(&chain->limit, block);
}

void chain_poke(struct chain *chain)
{
    store_wake(chain->store, "chain_poke");
}

void chain_told(struct chain *chain, uint64_t number)
{
    if (number > 0) {
        atomic_store(&chain->told_usec, clock_mono_usec());
        atomic_store(&chain->told, number);
    }
    store_wake(chain->store, "chain_poke");
}

struct rpc_stream *chain_stream(struct chain *chain)
{
    return chain->stream;
}

struct status_read {
    uint64_t chain_id;
    struct chain_position position;
    uint64_t reorgs;
    uint64_t refused;
};

static enum err read_status(struct store_tx *tx, void *ctx, struct why *why)
{
    struct status_read *r = ctx;
    enum err e = chain_position_read(tx, r->chain_id, &r->position, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &chain_sql_totals);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain_id);
    if (store_step(&q)) {
        r->reorgs = (uint64_t)store_get_i64(&q, "reorgs");
        r->refused = (uint64_t)store_get_i64(&q, "refused");
    }
    return store_finish(&q, NULL, why);
}

void chain_status_read(struct chain *chain, struct chain_status *out)
{
    struct status_read r = {.chain_id = chain->config.chain_id};
    (void)pthread_mutex_lock(&chain->lock);
    bool synced = chain->status.synced; /* before the row: it may be older than what we hear last */
    (void)pthread_mutex_unlock(&chain->lock);
    bool known = store_read(chain->store, read_status, &r, NULL) == OK && r.position.found;
    (void)pthread_mutex_lock(&chain->lock);
    struct chain_status *s = &chain->status;
    if (known) {
        s->cursor_block = r.position.block;
        s->cursor_hash = r.position.hash;
        s->halted = r.position.halted_why[0] != '\0';
        memcpy(s->halted_why, r.position.halted_why, sizeof s->halted_why);
        s->applied_usec = r.position.updated_usec;
        s->reorgs = r.reorgs;
        s->events_failed = r.refused;
    }
    *out = *s;
    out->synced = out->synced && synced;
    (void)pthread_mutex_unlock(&chain->lock);
    /* Who applied a block has seen a newer head than a watcher that has not looked since. */
    char name[STORE_LEASE_NAME_MAX];
    lease_name(chain, name);
    out->followed = !chain->leased || store_lease_known(chain->store, name, 0);
    out->head_block = out->head_block > out->cursor_block ? out->head_block : out->cursor_block;
}

bool chain_wait_block(struct chain *chain, uint64_t block, int64_t timeout_usec)
{
    int64_t deadline = clock_mono_usec() + timeout_usec;
    uint64_t seen = store_signal_now(chain->store, "chain");
    for (;;) {
        struct position_read r = {.chain_id = chain->config.chain_id};
        enum err e = store_read(chain->store, read_position, &r, NULL);
        if (e == OK && r.position.found && r.position.block >= block) {
            return true;
        }
        int64_t left = deadline - clock_mono_usec();
        if (left <= 0) {
            return false;
        }
        (void)store_wait(chain->store, "chain", &seen, left < 100000 ? left : 100000);
    }
}

void chain_events_reference(const struct chain_table *tables, size_t table_count, struct buf *out)
{
    buf_add_text(out, "| contract | event | what it does |\n|---|---|---|\n");
    for (size_t t = 0; t < table_count; t++) {
        for (size_t i = 0; i < tables[t].handler_count; i++) {
            const struct chain_handler *h = &tables[t].handlers[i];
            buf_format(out, "| %s | `%s` | %s |\n", h->contract->name, h->event->signature, h->doc);
        }
    }
}
