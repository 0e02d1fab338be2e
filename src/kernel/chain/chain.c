#include "kernel/chain/chain.h"

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/chain/chain_internal.h"
#include "kernel/chain/chain_sql.h"
#include "kernel/evm/address.h"

/* Waiting time after a failure doubles up to this. Units: microseconds. */
#define BACKOFF_USEC_MAX (10 * (int64_t)USEC_PER_SEC)

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

struct chain *chain_new(const struct chain_options *options)
{
    ASSERT(options->config->undo_depth >=
           options->config->reorg_depth_max + options->config->confirmations);
    check_tables(options);
    chain_metrics_register();
    struct chain *chain = mem_alloc(sizeof *chain);
    chain->config = *options->config;
    chain->store = options->store;
    chain->rpc = options->rpc;
    chain->tables = options->tables;
    chain->table_count = options->table_count;
    chain->statics = options->sources;
    chain->static_count = options->source_count;
    chain->sources_stale = true;
    arena_init(&chain->sources_arena, 0);
    arena_init(&chain->step, 256 * 1024);
    (void)pthread_mutex_init(&chain->lock, NULL);
    chain->status.chain_id = chain->config.chain_id;
    return chain;
}

void chain_free(struct chain *chain)
{
    if (chain == NULL) {
        return;
    }
    ASSERT(!chain->running);
    arena_free(&chain->sources_arena);
    arena_free(&chain->step);
    (void)pthread_mutex_destroy(&chain->lock);
    mem_free(chain);
}

/* ---- followed contracts ---- */

const struct abi_contract *chain_contract_find(const struct chain *chain, struct slice name)
{
    for (size_t i = 0; i < chain->static_count; i++) {
        if (slice_equal_text(name, chain->statics[i].contract->name)) {
            return chain->statics[i].contract;
        }
    }
    for (size_t t = 0; t < chain->table_count; t++) {
        const struct chain_table *table = &chain->tables[t];
        for (size_t i = 0; i < table->discovery_count; i++) {
            if (slice_equal_text(name, table->discoveries[i].child->name)) {
                return table->discoveries[i].child;
            }
        }
        for (size_t i = 0; i < table->handler_count; i++) {
            if (slice_equal_text(name, table->handlers[i].contract->name)) {
                return table->handlers[i].contract;
            }
        }
    }
    return NULL;
}

const struct chain_source *chain_source_find(const struct chain *chain,
                                             const struct address *address)
{
    size_t low = 0;
    size_t high = chain->source_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = memcmp(chain->sources[mid].address.bytes, address->bytes, ADDRESS_BYTES);
        if (order == 0) {
            return &chain->sources[mid];
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

static enum err load_sources(struct store_tx *tx, void *ctx, struct why *why)
{
    struct chain *chain = ctx;
    size_t cap = 64;
    arena_clear(&chain->sources_arena);
    chain->source_count = 0;
    chain->sources = arena_alloc_array(&chain->sources_arena, cap, sizeof *chain->sources);
    enum err e = OK;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_sources_list);
    store_bind_i64(&q, "chain_id", (int64_t)chain->config.chain_id);
    while (e == OK && store_step(&q)) {
        if (chain->source_count == cap) {
            struct chain_source *grown =
                arena_alloc_array(&chain->sources_arena, cap * 2, sizeof *grown);
            memcpy(grown, chain->sources, cap * sizeof *grown);
            chain->sources = grown;
            cap *= 2;
        }
        struct chain_source *source = &chain->sources[chain->source_count++];
        struct slice name = store_get_text(&q, "contract", &chain->sources_arena);
        store_get_fixed(&q, "address", source->address.bytes, ADDRESS_BYTES);
        source->start_block = (uint64_t)store_get_i64(&q, "from_block");
        source->contract = chain_contract_find(chain, name);
        if (source->contract == NULL) {
            e = why_set(why, ERR_CORRUPT, NULL,
                        "chain_sources names the contract \"%.*s\", which this program has no "
                        "binding for",
                        SLICE_ARG(name));
        }
    }
    enum err finished = store_finish(&q, NULL, e == OK ? why : NULL);
    return e != OK ? e : finished;
}

enum err chain_sources_load(struct chain *chain, struct why *why)
{
    if (!chain->sources_stale) {
        return OK;
    }
    enum err e = store_read(chain->store, load_sources, chain, why);
    if (e == OK) {
        chain->sources_stale = false;
    }
    return e;
}

/* ---- the cursor ---- */

enum err chain_position_read(struct store_tx *tx, uint64_t chain_id, struct chain_position *out,
                             struct why *why)
{
    struct chain_position p = {0};
    struct arena scratch;
    arena_init(&scratch, 1024);
    struct store_query q;
    store_begin(&q, tx, &chain_sql_cursor_get);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    if (store_step(&q)) {
        p.found = true;
        p.block = (uint64_t)store_get_i64(&q, "block_number");
        store_get_fixed(&q, "block_hash", p.hash.bytes, HASH_BYTES);
        store_get_fixed(&q, "genesis_hash", p.genesis.bytes, HASH_BYTES);
        struct slice halted = store_get_text(&q, "halted_why", &scratch);
        (void)snprintf(p.halted_why, sizeof p.halted_why, "%.*s", SLICE_ARG(halted));
        (void)store_get_time(&q, "updated_at");
    }
    enum err e = store_finish(&q, NULL, why);
    arena_free(&scratch);
    if (e == OK) {
        *out = p;
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

enum err chain_cursor_read(struct store_tx *tx, uint64_t chain_id, uint64_t *out_block,
                           struct hash *out_hash, struct why *why)
{
    struct chain_position p;
    enum err e = chain_position_read(tx, chain_id, &p, why);
    if (e != OK) {
        return e;
    }
    if (!p.found) {
        return why_set(why, ERR_NOT_FOUND, NULL, "chain %llu was not followed yet",
                       (unsigned long long)chain_id);
    }
    *out_block = p.block;
    *out_hash = p.hash;
    return OK;
}

struct initial {
    struct chain *chain;
    struct evm_header genesis;
    struct evm_header base; /* the block before the first one that is applied */
};

static enum err insert_initial(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct initial *init = ctx;
    int64_t chain_id = (int64_t)init->chain->config.chain_id;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_cursor_insert);
    store_bind_i64(&q, "chain_id", chain_id);
    store_bind_i64(&q, "block_number", (int64_t)init->base.number);
    store_bind_bytes(&q, "block_hash", hash_slice(&init->base.hash));
    store_bind_bytes(&q, "genesis_hash", hash_slice(&init->genesis.hash));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &chain_sql_block_insert);
    store_bind_i64(&q, "chain_id", chain_id);
    store_bind_i64(&q, "block_number", (int64_t)init->base.number);
    store_bind_bytes(&q, "block_hash", hash_slice(&init->base.hash));
    store_bind_bytes(&q, "parent_hash", hash_slice(&init->base.parent_hash));
    store_bind_time(&q, "block_time", init->base.time_sec * USEC_PER_SEC);
    return store_finish(&q, NULL, why);
}

static enum err follow_statics(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct chain *chain = ctx;
    for (size_t i = 0; i < chain->static_count; i++) {
        const struct chain_source *s = &chain->statics[i];
        enum err e =
            chain_follow(tx, chain->config.chain_id, &s->address, s->contract, s->start_block, why);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/*
 * Checks that the node serves the chain that the rows are about, and makes the first cursor: the
 * block before start_block (genesis itself holds no logs).
 */
static enum err open_chain(struct chain *chain, struct chain_position *out, struct why *why)
{
    uint64_t served = 0;
    enum err e = rpc_chain_id(chain->rpc, &served, why);
    struct initial init = {.chain = chain};
    if (e == OK) {
        e = rpc_header(chain->rpc, &chain->step, 0, &init.genesis, why);
    }
    struct position_read r = {.chain_id = chain->config.chain_id};
    if (e == OK) {
        e = store_read(chain->store, read_position, &r, why);
    }
    if (e != OK) {
        return e;
    }
    if (r.position.found && !hash_equal(&r.position.genesis, &init.genesis.hash)) {
        return why_set(why, ERR_WRONG_CHAIN, "chain.rpc_urls",
                       "the node serves another chain %llu than the database was made from (other "
                       "genesis block); use a new database or the right node",
                       (unsigned long long)chain->config.chain_id);
    }
    if (!r.position.found) {
        uint64_t base = chain->config.start_block > 0 ? chain->config.start_block - 1 : 0;
        e = rpc_header(chain->rpc, &chain->step, base, &init.base, why);
        if (e == OK) {
            e = store_write(chain->store, insert_initial, &init, why);
        }
        r.position.found = true;
        r.position.block = init.base.number;
        r.position.hash = init.base.hash;
        r.position.genesis = init.genesis.hash;
    }
    if (e == OK) {
        e = store_write(chain->store, follow_statics, chain, why);
        chain->sources_stale = true;
    }
    if (e == OK) {
        *out = r.position;
    }
    return e;
}

/* ---- one step ---- */

static void note_head(struct chain *chain, uint64_t head)
{
    metric_set(&chain_metrics[CHAIN_METRIC_HEAD], (int64_t)head);
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
    chain->status.cursor_block = p->block;
    chain->status.cursor_hash = p->hash;
    chain->status.halted = p->halted_why[0] != '\0';
    memcpy(chain->status.halted_why, p->halted_why, sizeof chain->status.halted_why);
    (void)pthread_mutex_unlock(&chain->lock);
}

/* Reads headers from the cursor's own block on and says whether they continue it. */
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
    *out_forked = got == 0 || !hash_equal(&headers[0].hash, &at->hash);
    if (*out_forked) {
        return OK;
    }
    size_t linked = 1;
    while (linked < got && hash_equal(&headers[linked].parent_hash, &headers[linked - 1].hash)) {
        linked++;
    }
    /* What does not link is of another fork than what came before: read again next time. */
    batch->headers = headers + 1;
    batch->header_count = linked - 1;
    return OK;
}

static void note_applied(struct chain *chain, const struct chain_batch *batch, int64_t started)
{
    const struct evm_header *last = &batch->headers[batch->header_count - 1];
    struct chain_position p = {.found = true, .block = last->number, .hash = last->hash};
    note_position(chain, &p);
    metric_add(&chain_metrics[CHAIN_METRIC_EVENTS], (int64_t)batch->item_count);
    metric_add(&chain_metrics[CHAIN_METRIC_EVENTS_FAILED], (int64_t)batch->failed);
    metric_observe(&chain_metrics[CHAIN_METRIC_BATCH], clock_mono_usec() - started);
    (void)pthread_mutex_lock(&chain->lock);
    chain->status.applied_usec = clock_wall_usec();
    chain->status.events += batch->item_count;
    chain->status.events_failed += batch->failed;
    (void)pthread_mutex_unlock(&chain->lock);
}

static enum err advance(struct chain *chain, const struct chain_position *at, uint64_t target,
                        bool *out_progress, struct why *why)
{
    int64_t started = clock_mono_usec();
    uint64_t last = at->block + chain->config.range_max;
    last = last < target ? last : target;
    last = last > at->block ? last : at->block;
    struct chain_batch batch = {.chain = chain, .from = *at};
    bool forked = false;
    enum err e = read_headers(chain, at, last, &batch, &forked, why);
    if (e != OK) {
        return e;
    }
    if (forked) {
        *out_progress = true;
        return chain_reorg_handle(chain, at, why);
    }
    if (batch.header_count == 0) {
        return OK;
    }
    e = chain_collect(chain, &batch, why);
    if (e == OK) {
        e = store_write(chain->store, chain_apply, &batch, why);
    }
    if (e == OK) {
        chain->sources_stale = chain->sources_stale || batch.item_count > 0;
        note_applied(chain, &batch, started);
        *out_progress = true;
    }
    return e;
}

struct block_read {
    uint64_t chain_id;
    uint64_t number;
    bool found;
    struct hash hash;
};

static enum err read_block(struct store_tx *tx, void *ctx, struct why *why)
{
    struct block_read *r = ctx;
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
static enum err look_below(struct chain *chain, uint64_t head, bool *out_forked, struct why *why)
{
    struct block_read known = {.chain_id = chain->config.chain_id, .number = head};
    struct evm_header header;
    enum err e = store_read(chain->store, read_block, &known, why);
    if (e == OK) {
        e = rpc_header(chain->rpc, &chain->step, head, &header, why);
    }
    if (e == OK) {
        *out_forked = !known.found || !hash_equal(&known.hash, &header.hash);
    }
    return e;
}

enum err chain_sync_once(struct chain *chain, bool *out_progress, struct why *why)
{
    arena_clear(&chain->step);
    *out_progress = false;
    struct position_read r = {.chain_id = chain->config.chain_id};
    enum err e = store_read(chain->store, read_position, &r, why);
    if (e == OK && !r.position.found) {
        e = open_chain(chain, &r.position, why);
    }
    if (e == OK) {
        note_position(chain, &r.position);
        e = chain_sources_load(chain, why);
    }
    if (e != OK || r.position.halted_why[0] != '\0') {
        return e;
    }
    uint64_t head = 0;
    e = rpc_block_number(chain->rpc, &head, why);
    if (e != OK) {
        return e;
    }
    note_head(chain, head);
    if (head < r.position.block) {
        bool forked = false;
        e = look_below(chain, head, &forked, why);
        if (e == OK && forked) {
            *out_progress = true;
            e = chain_reorg_handle(chain, &r.position, why);
        }
        return e;
    }
    uint64_t target = head > chain->config.confirmations ? head - chain->config.confirmations : 0;
    return advance(chain, &r.position, target, out_progress, why);
}

/* ---- the thread ---- */

static void note_failure(struct chain *chain, bool *failing, enum err e, const struct why *why)
{
    (void)pthread_mutex_lock(&chain->lock);
    chain->status.node_ok = false;
    (void)pthread_mutex_unlock(&chain->lock);
    if (!*failing) {
        LOG(LOG_WARN, "chain.step_failed", log_u64("chain", chain->config.chain_id), log_err(e),
            log_why(why, e));
    }
    *failing = true;
}

static void *run(void *ctx)
{
    struct chain *chain = ctx;
    uint64_t seen = store_signal_now(chain->store, "chain_poke");
    int64_t backoff = 0;
    bool failing = false;
    while (!atomic_load(&chain->stopping)) {
        bool progress = false;
        struct why why = {0};
        enum err e = chain_sync_once(chain, &progress, &why);
        if (e != OK) {
            note_failure(chain, &failing, e, &why);
            backoff = backoff ? backoff * 2 : chain->config.poll_usec;
            backoff = backoff < BACKOFF_USEC_MAX ? backoff : BACKOFF_USEC_MAX;
        } else if (failing) {
            failing = false;
            LOG(LOG_INFO, "chain.recovered", log_u64("chain", chain->config.chain_id));
        }
        if (e == OK) {
            backoff = 0;
        }
        if (!progress && !atomic_load(&chain->stopping)) {
            (void)store_wait(chain->store, "chain_poke", &seen,
                             backoff ? backoff : chain->config.poll_usec);
        }
    }
    return NULL;
}

enum err chain_start(struct chain *chain, struct why *why)
{
    ASSERT(!chain->running);
    struct chain_position at = {0};
    arena_clear(&chain->step);
    enum err e = open_chain(chain, &at, why);
    if (e != OK) {
        return e;
    }
    note_position(chain, &at);
    atomic_store(&chain->stopping, false);
    if (pthread_create(&chain->thread, NULL, run, chain) != 0) {
        return why_set(why, ERR_INTERNAL, NULL, "no thread for following the chain");
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
    store_wake(chain->store, "chain_poke");
    (void)pthread_join(chain->thread, NULL);
    chain->running = false;
}

void chain_poke(struct chain *chain)
{
    store_wake(chain->store, "chain_poke");
}

void chain_status_read(struct chain *chain, struct chain_status *out)
{
    (void)pthread_mutex_lock(&chain->lock);
    *out = chain->status;
    (void)pthread_mutex_unlock(&chain->lock);
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
