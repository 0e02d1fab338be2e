#include "kernel/chain/chain_expect.h"

#include "kernel/base/check.h"
#include "kernel/chain/chain_expect_sql.h"
#include "kernel/chain/chain_internal.h"
#include "kernel/evm/address.h"

#define JOB_KIND "chain.expectation"

enum { ACTION_SEEN, ACTION_TIMED_OUT, ACTION_COUNT };

static const struct audit_action actions[ACTION_COUNT] = {
    [ACTION_SEEN] = {"chain.event_seen", "An event that was waited for was applied."},
    [ACTION_TIMED_OUT] = {"chain.event_timed_out",
                          "An event that was waited for did not come within three minutes."},
};

struct audit_table chain_expect_audit_table(void)
{
    return (struct audit_table){actions, ACTION_COUNT};
}

const char *chain_expect_state_text(enum chain_expect_state state)
{
    switch (state) {
    case CHAIN_EXPECT_WAITING:
        return "waiting";
    case CHAIN_EXPECT_SEEN:
        return "seen";
    case CHAIN_EXPECT_TIMED_OUT:
        return "timed_out";
    }
    ASSERT(false);
    return "";
}

/* ---- rows ---- */

static const char *const topic_columns[EVM_TOPICS_MAX] = {"topic0", "topic1", "topic2", "topic3"};

static bool get_hash(struct store_query *q, const char *column, struct hash *out)
{
    if (store_is_null(q, column)) {
        return false;
    }
    store_get_fixed(q, column, out->bytes, HASH_BYTES);
    return true;
}

static uint64_t get_number(struct store_query *q, const char *column, bool *out_there)
{
    *out_there = !store_is_null(q, column);
    return *out_there ? (uint64_t)store_get_i64(q, column) : 0;
}

static struct chain_expect_row get_row(struct store_query *q, struct arena *arena)
{
    struct chain_expect_row r = {.key = store_get_text(q, "expectation_key", arena)};
    bool there = false;
    r.chain_id = (uint64_t)store_get_i64(q, "chain_id");
    store_get_fixed(q, "contract_address", r.address.bytes, ADDRESS_BYTES);
    r.event_type = store_get_text(q, "event_type", arena);
    for (size_t i = 0; i < EVM_TOPICS_MAX; i++) {
        r.has_topic[i] = get_hash(q, topic_columns[i], &r.topics[i]);
    }
    r.has_tx = get_hash(q, "transaction_hash", &r.tx_hash);
    r.from_block = (uint64_t)store_get_i64(q, "from_block");
    r.state = (enum chain_expect_state)store_get_i64(q, "state");
    r.block = get_number(q, "block_number", &there);
    r.log_index = (uint32_t)get_number(q, "log_index", &there);
    (void)get_hash(q, "seen_in", &r.seen_in);
    r.node_block = get_number(q, "node_block", &r.at_node);
    r.since_usec = store_get_time(q, "since");
    return r;
}

enum err chain_expect_read(struct store_tx *tx, struct arena *arena, struct slice key,
                           struct chain_expect_row *out, struct why *why)
{
    struct store_query q;
    struct chain_expect_row row;
    store_begin(&q, tx, &chain_expect_sql_get);
    store_bind_text(&q, "expectation_key", key);
    bool found = store_step(&q);
    if (found) {
        row = get_row(&q, arena);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && !found) {
        return why_set(why, ERR_NOT_FOUND, "key", "Nobody waits for an event under this key.");
    }
    if (e == OK) {
        *out = row;
    }
    return e;
}

static enum err enqueue(struct store_tx *tx, struct slice key, int64_t delay_usec, struct why *why)
{
    struct arena scratch;
    struct buf payload;
    struct json_out j;
    arena_init(&scratch, 1024);
    buf_init(&payload, &scratch, 256);
    json_out_init(&j, &payload);
    json_begin_object(&j);
    json_key(&j, "key");
    json_string(&j, key);
    json_end_object(&j);
    const struct job_new job = {
        .kind = JOB_KIND, .payload = buf_slice(&payload), .delay_usec = delay_usec};
    enum err e = jobs_enqueue(tx, &job, NULL, why);
    arena_free(&scratch);
    return e;
}

/* ---- beginning ---- */

static enum err check_room(struct store_tx *tx, uint64_t chain_id, struct why *why)
{
    struct store_query q;
    int64_t waiting = 0;
    store_begin(&q, tx, &chain_expect_sql_count);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    if (store_step(&q)) {
        waiting = store_get_i64(&q, "waiting");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && waiting >= CHAIN_EXPECT_MAX) {
        return why_set(why, ERR_LIMIT, NULL, "%d events are waited for already", CHAIN_EXPECT_MAX);
    }
    return e;
}

static void bind_topics(struct store_query *q, const struct chain_expectation *x)
{
    store_bind_bytes(q, "topic0", hash_slice(&x->event->topic));
    for (size_t i = 1; i < EVM_TOPICS_MAX; i++) {
        if (x->topics[i - 1] != NULL) {
            store_bind_bytes(q, topic_columns[i], hash_slice(x->topics[i - 1]));
        } else {
            store_bind_null(q, topic_columns[i]);
        }
    }
    if (x->tx_hash != NULL) {
        store_bind_bytes(q, "transaction_hash", hash_slice(x->tx_hash));
    } else {
        store_bind_null(q, "transaction_hash");
    }
}

static enum err insert(struct store_tx *tx, const struct chain_expectation *x, uint64_t from_block,
                       bool *out_added, struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &chain_expect_sql_insert);
    store_bind_text(&q, "expectation_key", x->key);
    store_bind_i64(&q, "chain_id", (int64_t)x->chain_id);
    store_bind_bytes(&q, "contract_address", address_slice(&x->address));
    store_bind_text(&q, "event_type", slice_text(x->event->name));
    bind_topics(&q, x);
    store_bind_i64(&q, "from_block", (int64_t)from_block);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    *out_added = changed == 1;
    return e;
}

enum err chain_expect(struct store_tx *tx, const struct chain_expectation *x, struct why *why)
{
    struct chain_position at;
    bool added = false;
    if (x->key.len == 0 || x->key.len > CHAIN_EXPECT_KEY_MAX) {
        return why_set(why, ERR_LIMIT, "key", "a key has 1 to %d bytes", CHAIN_EXPECT_KEY_MAX);
    }
    enum err e = check_room(tx, x->chain_id, why);
    if (e == OK) {
        e = chain_position_read(tx, x->chain_id, &at, why);
    }
    if (e == OK) {
        e = insert(tx, x, at.found ? at.block + 1 : 0, &added, why);
    }
    return e == OK && added ? enqueue(tx, x->key, CHAIN_EXPECT_STREAM_USEC, why) : e;
}

/* ---- ending ---- */

static enum err record(struct store_tx *tx, const struct chain_expect_row *r, struct why *why)
{
    struct arena scratch;
    struct buf details;
    struct json_out j;
    bool seen = r->state == CHAIN_EXPECT_SEEN;
    arena_init(&scratch, 2048);
    buf_init(&details, &scratch, 512);
    json_out_init(&j, &details);
    json_begin_object(&j);
    json_key(&j, "event");
    json_string(&j, r->event_type);
    json_key(&j, "contract");
    json_hex(&j, address_slice(&r->address));
    if (seen) {
        json_key(&j, "block");
        json_u64(&j, r->block);
        json_key(&j, "logIndex");
        json_u64(&j, r->log_index);
        json_key(&j, "transaction");
        json_hex(&j, hash_slice(&r->seen_in));
    }
    if (!seen && r->at_node) {
        json_key(&j, "nodeBlock");
        json_u64(&j, r->node_block);
    }
    json_end_object(&j);
    const struct audit_entry entry = {
        .action = &actions[seen ? ACTION_SEEN : ACTION_TIMED_OUT],
        .actor_kind = AUDIT_CHAIN,
        .actor = slice_format(&scratch, "%llu", (unsigned long long)r->chain_id),
        .subject = slice_format(&scratch, "expectation/%.*s", SLICE_ARG(r->key)),
        .outcome = seen ? AUDIT_DONE : AUDIT_FAILED,
        .details = buf_slice(&details),
    };
    enum err e = audit_write(tx, &entry, why);
    arena_free(&scratch);
    return e;
}

/* end_row writes the end, if the row still waits. */
static enum err end_row(struct store_tx *tx, const struct chain_expect_row *r,
                        chain_expect_fn ended, void *ctx, bool *out_ended, struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    bool seen = r->state == CHAIN_EXPECT_SEEN;
    store_begin(&q, tx, seen ? &chain_expect_sql_seen : &chain_expect_sql_timed_out);
    store_bind_text(&q, "expectation_key", r->key);
    if (seen) {
        store_bind_i64(&q, "block_number", (int64_t)r->block);
        store_bind_i64(&q, "log_index", r->log_index);
        store_bind_bytes(&q, "seen_in", hash_slice(&r->seen_in));
    }
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    if (e != OK || changed == 0) {
        return e;
    }
    e = record(tx, r, why);
    if (e == OK && ended != NULL) {
        e = ended(tx, ctx, r, why);
    }
    if (e == OK) {
        store_notify(tx, "chain_expect");
        *out_ended = true;
    }
    return e;
}

/* ---- what the chain applies ---- */

static bool matches(const struct chain_expect_row *r, const struct evm_log *log)
{
    if (log->block_number < r->from_block || !address_equal(&log->address, &r->address) ||
        (r->has_tx && !hash_equal(&log->tx_hash, &r->tx_hash))) {
        return false;
    }
    for (size_t i = 0; i < EVM_TOPICS_MAX; i++) {
        if (r->has_topic[i] &&
            (i >= log->topic_count || !hash_equal(&log->topics[i], &r->topics[i]))) {
            return false;
        }
    }
    return true;
}

static enum err read_waiting(struct store_tx *tx, uint64_t chain_id, struct arena *arena,
                             struct chain_expect_row **out, size_t *out_count, struct why *why)
{
    struct chain_expect_row *rows = NULL;
    size_t count = 0;
    size_t cap = 0;
    struct store_query q;
    store_begin(&q, tx, &chain_expect_sql_waiting);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    while (store_step(&q)) {
        if (count == cap) {
            cap = cap > 0 ? 2 * cap : 16;
            struct chain_expect_row *more = arena_alloc_array(arena, cap, sizeof *more);
            if (count > 0) {
                memcpy(more, rows, count * sizeof *more);
            }
            rows = more;
        }
        rows[count++] = get_row(&q, arena);
    }
    *out = rows;
    *out_count = count;
    return store_finish(&q, NULL, why);
}

static enum err match_row(struct store_tx *tx, struct chain_batch *batch,
                          struct chain_expect_row *r, struct why *why)
{
    for (size_t i = 0; i < batch->item_count; i++) {
        const struct evm_log *log = &batch->items[i].log;
        if (matches(r, log)) {
            r->state = CHAIN_EXPECT_SEEN;
            r->block = log->block_number;
            r->log_index = log->log_index;
            r->seen_in = log->tx_hash;
            bool ended = false;
            enum err e =
                end_row(tx, r, batch->chain->expected, batch->chain->expected_ctx, &ended, why);
            batch->seen_count += ended;
            return e;
        }
    }
    return OK;
}

enum err chain_expect_match(struct store_tx *tx, struct chain_batch *batch, struct why *why)
{
    struct arena scratch;
    struct chain_expect_row *rows = NULL;
    size_t count = 0;
    batch->seen_count = 0;
    if (batch->item_count == 0) {
        return OK;
    }
    arena_init(&scratch, 0);
    enum err e = read_waiting(tx, batch->chain->config.chain_id, &scratch, &rows, &count, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        e = match_row(tx, batch, &rows[i], why);
    }
    arena_free(&scratch);
    return e;
}

static enum err reopen(struct store_tx *tx, uint64_t chain_id, uint64_t from_block, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &chain_expect_sql_reopen);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_i64(&q, "from_block", (int64_t)from_block);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

enum err chain_expect_rewind(struct store_tx *tx, uint64_t chain_id, uint64_t from_block,
                             struct why *why)
{
    struct arena scratch;
    struct slice *keys = NULL;
    size_t count = 0;
    size_t cap = 0;
    struct store_query q;
    arena_init(&scratch, 1024);
    store_begin(&q, tx, &chain_expect_sql_lost);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_i64(&q, "from_block", (int64_t)from_block);
    while (store_step(&q)) {
        if (count == cap) {
            cap = cap > 0 ? 2 * cap : 16;
            struct slice *more = arena_alloc_array(&scratch, cap, sizeof *more);
            if (count > 0) {
                memcpy(more, keys, count * sizeof *more);
            }
            keys = more;
        }
        keys[count++] = store_get_text(&q, "expectation_key", &scratch);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && count > 0) {
        e = reopen(tx, chain_id, from_block, why);
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        e = enqueue(tx, keys[i], CHAIN_EXPECT_STREAM_USEC, why);
    }
    arena_free(&scratch);
    return e;
}

/* ---- the job ---- */

struct step {
    struct job_call *call;
    struct slice key;
    struct chain_expect_row row;
    bool found; /* by the node, in row.node_block */
    bool ended; /* out */
    int64_t now_usec;
};

static enum err read_step(struct store_tx *tx, void *ctx, struct why *why)
{
    struct step *s = ctx;
    return chain_expect_read(tx, s->call->job, s->key, &s->row, why);
}

/* ask_node looks for the event where the chain has not been yet; what it says is not believed. */
static enum err ask_node(struct step *s, struct why *why)
{
    const struct chain_expect_watch *watch = s->call->ctx;
    const struct chain_expect_row *r = &s->row;
    struct evm_log *logs = NULL;
    size_t count = 0;
    uint64_t head = 0;
    enum err e = rpc_block_number(watch->rpc, &head, why);
    if (e != OK || head < r->from_block) {
        return e;
    }
    const struct rpc_log_filter filter = {
        .from_block = r->from_block,
        .to_block = head,
        .addresses = &r->address,
        .address_count = 1,
        .topics0 = &r->topics[0],
        .topic0_count = 1,
    };
    e = rpc_logs(watch->rpc, s->call->job, &filter, &logs, &count, why);
    for (size_t i = 0; e == OK && i < count && !s->found; i++) {
        s->found = matches(r, &logs[i]);
        s->row.node_block = s->found ? logs[i].block_number : s->row.node_block;
    }
    return e;
}

static enum err note_found(struct store_tx *tx, const struct step *s, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &chain_expect_sql_found);
    store_bind_text(&q, "expectation_key", s->row.key);
    store_bind_i64(&q, "node_block", (int64_t)s->row.node_block);
    store_notify(tx, "chain_poke");
    return store_finish(&q, NULL, why);
}

static enum err finish_step(struct store_tx *tx, void *ctx, struct why *why)
{
    struct step *s = ctx;
    const struct chain_expect_watch *watch = s->call->ctx;
    enum err e = s->found ? note_found(tx, s, why) : OK;
    s->ended = false;
    if (e == OK && s->now_usec - s->row.since_usec >= CHAIN_EXPECT_USEC) {
        struct chain_expect_row ended = s->row;
        ended.state = CHAIN_EXPECT_TIMED_OUT;
        ended.at_node = ended.at_node || s->found;
        e = end_row(tx, &ended, watch->ended, watch->ctx, &s->ended, why);
    } else if (e == OK) {
        e = enqueue(tx, s->row.key, CHAIN_EXPECT_POLL_USEC, why);
    }
    return e == OK ? jobs_complete(tx, s->call, why) : e;
}

/*
 * One look. A node that is away is not asked again by this job: the next one, ten seconds later,
 * does, and the time limit holds all the same.
 */
static enum err look(struct job_call *call, struct why *why)
{
    struct step s = {.call = call, .now_usec = clock_wall_usec()};
    enum err e = json_get_text(call->payload, "key", &s.key, why);
    if (e == OK) {
        e = store_read(call->store, read_step, &s, why);
    }
    if (e == ERR_NOT_FOUND || (e == OK && s.row.state != CHAIN_EXPECT_WAITING)) {
        return OK;
    }
    if (e != OK) {
        return e;
    }
    (void)ask_node(&s, NULL);
    e = store_write(call->store, finish_step, &s, why);
    if (e == OK && s.ended) {
        metric_add(&chain_metrics[CHAIN_METRIC_EXPECT_TIMED_OUT], 1);
    }
    return e;
}

static const struct job_queue queues[] = {
    {
        .name = "chain-expectations",
        .concurrency = 4,
        .attempts_max = 20,
        .backoff = JOB_BACKOFF_EXPONENTIAL,
        .backoff_usec = USEC_PER_SEC,
        .backoff_usec_max = 60 * (int64_t)USEC_PER_SEC,
        .doc = "Looking for events that somebody waits for.",
    },
};

static const struct job_kind kinds[] = {
    {
        .name = JOB_KIND,
        .queue = "chain-expectations",
        .handler = look,
        .timeout_usec = 120 * (int64_t)USEC_PER_SEC,
        .doc = "Asks a node for an event that was not applied within 30 s, every 10 s, until three "
               "minutes are over.",
    },
};

struct job_table chain_expect_job_table(struct chain_expect_watch *watch)
{
    return (struct job_table){
        .queues = queues,
        .queue_count = sizeof queues / sizeof queues[0],
        .kinds = kinds,
        .kind_count = sizeof kinds / sizeof kinds[0],
        .ctx = watch,
    };
}

enum err chain_expect_forget(struct store_tx *tx, int64_t before_usec, uint64_t limit,
                             uint64_t *out_rows, struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &chain_expect_sql_prune);
    store_bind_time(&q, "before", before_usec);
    store_bind_i64(&q, "max_rows", (int64_t)limit);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK) {
        *out_rows = (uint64_t)changed;
    }
    return e;
}
