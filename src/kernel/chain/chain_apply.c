#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/chain/chain_internal.h"
#include "kernel/chain/chain_sql.h"
#include "kernel/evm/address.h"

/* What one event's savepoint needs. */
struct application {
    struct chain_batch *batch;
    struct chain_item *item;
    struct chain_event event;
    struct arena *scratch;
};

static int64_t block_time_usec(const struct chain_batch *batch, uint64_t number)
{
    uint64_t first = batch->headers[0].number;
    ASSERT(number >= first);
    ASSERT(number - first < batch->header_count);
    return batch->headers[number - first].time_sec * USEC_PER_SEC;
}

static enum err run_handlers(struct store_tx *tx, void *ctx, struct why *why)
{
    struct application *a = ctx;
    const struct chain *chain = a->batch->chain;
    for (size_t t = 0; t < chain->table_count; t++) {
        const struct chain_table *table = &chain->tables[t];
        for (size_t i = 0; i < table->handler_count; i++) {
            const struct chain_handler *h = &table->handlers[i];
            if (h->event != a->item->event || h->contract != a->item->contract) {
                continue;
            }
            a->event.ctx = table->ctx;
            enum err e = h->apply(tx, &a->event, why);
            if (e != OK) {
                return e;
            }
        }
    }
    return OK;
}

static bool has_handler(const struct chain *chain, const struct chain_item *item)
{
    for (size_t t = 0; t < chain->table_count; t++) {
        for (size_t i = 0; i < chain->tables[t].handler_count; i++) {
            const struct chain_handler *h = &chain->tables[t].handlers[i];
            if (h->event == item->event && h->contract == item->contract) {
                return true;
            }
        }
    }
    return false;
}

/*
 * Follows what the event announces. Outside of the handlers' savepoint: which contracts are
 * followed must not depend on what a handler thinks of the announcement.
 */
static enum err follow_announced(struct store_tx *tx, const struct application *a, struct why *why)
{
    const struct chain *chain = a->batch->chain;
    for (size_t t = 0; t < chain->table_count; t++) {
        const struct chain_table *table = &chain->tables[t];
        for (size_t i = 0; i < table->discovery_count; i++) {
            const struct chain_discovery *d = &table->discoveries[i];
            const struct abi_value *values = NULL;
            if (d->event != a->item->event || d->contract != a->item->contract ||
                abi_event_decode(a->scratch, d->event, &a->item->log, &values, NULL) != OK) {
                continue;
            }
            struct address child = abi_to_address(&values[d->address_input]);
            bool added = false;
            enum err e = chain_follow(tx, chain->config.chain_id, &child, d->child,
                                      a->item->log.block_number, &added, why);
            if (e != OK) {
                return e;
            }
            a->batch->announced = a->batch->announced || added;
        }
    }
    return OK;
}

struct slice chain_event_type(const struct chain_item *item)
{
    return slice_text(item->event != NULL ? item->event->name : "unknown");
}

struct slice chain_event_data(struct arena *scratch, const struct chain_item *item)
{
    struct buf buf;
    struct json_out j;
    buf_init(&buf, scratch, 512);
    json_out_init(&j, &buf);
    const struct abi_value *values = NULL;
    struct why why = {0};
    json_begin_object(&j);
    if (item->event != NULL &&
        abi_event_decode(scratch, item->event, &item->log, &values, &why) == OK) {
        for (uint16_t i = 0; i < item->event->input_count; i++) {
            json_key(&j, item->event->inputs[i].name);
            abi_value_json(&j, &item->event->inputs[i], &values[i]);
        }
    } else {
        json_key(&j, "topics");
        json_begin_array(&j);
        for (uint8_t i = 0; i < item->log.topic_count; i++) {
            json_hex(&j, hash_slice(&item->log.topics[i]));
        }
        json_end_array(&j);
        json_key(&j, "data");
        json_hex(&j, item->log.data);
    }
    json_end_object(&j);
    return buf_slice(&buf);
}

/* Adds a row to those of the batch, which go to the database together. */
static void add_event(struct store_query *rows, const struct application *a)
{
    const struct evm_log *log = &a->item->log;
    enum err outcome = a->item->outcome;
    store_bind_i64(rows, "chain_id", (int64_t)a->event.chain_id);
    store_bind_i64(rows, "block_number", (int64_t)log->block_number);
    store_bind_i64(rows, "log_index", log->log_index);
    store_bind_bytes(rows, "block_hash", hash_slice(&log->block_hash));
    store_bind_bytes(rows, "transaction_hash", hash_slice(&log->tx_hash));
    store_bind_bytes(rows, "contract_address", address_slice(&log->address));
    store_bind_text(rows, "event_type", chain_event_type(a->item));
    store_bind_json(rows, "event_data",
                    a->item->data.len > 0 ? a->item->data : chain_event_data(a->scratch, a->item));
    store_bind_bool(rows, "processed", outcome == OK);
    if (outcome == OK) {
        store_bind_null(rows, "error");
    } else {
        store_bind_text(
            rows, "error",
            slice_format(a->scratch, "%s: %s", err_code(outcome), why_text(a->item->why, outcome)));
    }
    /* The block's own time, so that a fresh index writes the same row. */
    store_bind_time(rows, "now", a->event.block_time_usec);
    store_row(rows);
}

/* What says more about the database than about the event must not be held against the event. */
static bool stops_the_batch(enum err e)
{
    return err_retryable(e) || e == ERR_DB || e == ERR_CORRUPT;
}

/* What applying takes along: the rows that go to the database together, memory of one event. */
struct applying {
    struct store_tx *tx;
    struct chain_batch *batch;
    struct store_query rows;
    struct arena scratch;
};

static struct application application_of(struct applying *to, struct chain_item *item)
{
    char tx_text[2 * HASH_BYTES + 3];
    uint64_t chain_id = to->batch->chain->config.chain_id;
    hex_encode_to(hash_slice(&item->log.tx_hash), tx_text);
    return (struct application){
        .batch = to->batch,
        .item = item,
        .scratch = &to->scratch,
        .event =
            {
                .chain_id = chain_id,
                .log = &item->log,
                .event = item->event,
                .block_time_usec = block_time_usec(to->batch, item->log.block_number),
                .scratch = &to->scratch,
                .id = slice_format(&to->scratch, "%llu/%s/%u", (unsigned long long)chain_id,
                                   tx_text, item->log.log_index),
            },
    };
}

enum err chain_apply_again(struct store_tx *tx, struct chain_batch *batch, struct chain_item *item,
                           struct why *why)
{
    struct applying to = {.tx = tx, .batch = batch};
    arena_init(&to.scratch, 0);
    struct application a = application_of(&to, item);
    enum err e = store_nested(tx, run_handlers, &a, why);
    arena_free(&to.scratch);
    return e;
}

/* Keeps why the handlers refused, and has them asked again later. */
static enum err note_refusal(struct applying *to, struct chain_item *item, enum err outcome,
                             const struct why *refused, struct why *why)
{
    struct why *kept = arena_alloc(to->batch->arena, sizeof *kept);
    const struct chain_place place = {
        .block = item->log.block_number,
        .block_hash = item->log.block_hash,
        .log_index = item->log.log_index,
        .contract = item->log.address,
    };
    *kept = *refused;
    item->outcome = outcome;
    item->why = kept;
    return chain_retry_want(to->tx, to->batch->chain->config.chain_id, &place, why);
}

static enum err apply_item(struct applying *to, struct chain_item *item, struct why *why)
{
    struct store_tx *tx = to->tx;
    struct application a = application_of(to, item);
    item->outcome = OK;
    item->why = NULL;
    if (item->event != NULL) {
        struct why refused = {0};
        enum err e = follow_announced(tx, &a, why);
        if (e != OK) {
            return e;
        }
        e = has_handler(to->batch->chain, item) ? store_nested(tx, run_handlers, &a, &refused) : OK;
        if (e != OK && stops_the_batch(e)) {
            if (why != NULL) {
                *why = refused;
            }
            return e;
        }
        if (e != OK) {
            e = note_refusal(to, item, e, &refused, why);
        }
        if (e != OK) {
            return e;
        }
    }
    add_event(&to->rows, &a);
    return OK;
}

/* ---- many events at a time ---- */

/* Events that one handler takes together. */
struct run {
    const struct chain_many *many;
    struct chain_event *events;
    size_t count;
};

/* Whether a table has to do with an event beside taking many of it. */
static size_t others_of(const struct chain_table *table, const struct chain_item *item)
{
    size_t count = 0;
    for (size_t i = 0; i < table->discovery_count; i++) {
        const struct chain_discovery *d = &table->discoveries[i];
        count += d->event == item->event && d->contract == item->contract ? 2 : 0;
    }
    for (size_t i = 0; i < table->handler_count; i++) {
        const struct chain_handler *h = &table->handlers[i];
        count += h->event == item->event && h->contract == item->contract;
    }
    return count;
}

/* Who takes many of an item's event, if its handler does and nobody else has to do with it. */
static const struct chain_many *many_of(const struct chain *chain, const struct chain_item *item,
                                        void **out_ctx)
{
    const struct chain_many *found = NULL;
    size_t others = 0;
    for (size_t t = 0; item->event != NULL && t < chain->table_count; t++) {
        const struct chain_table *table = &chain->tables[t];
        others += others_of(table, item);
        for (size_t i = 0; i < table->many_count; i++) {
            const struct chain_many *m = &table->many[i];
            if (m->event == item->event && m->contract == item->contract) {
                found = m;
                *out_ctx = table->ctx;
            }
        }
    }
    return others == 1 ? found : NULL;
}

static enum err run_many(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct run *run = ctx;
    return run->many->apply(tx, run->events, run->count, why);
}

static enum err apply_one_by_one(struct applying *to, struct chain_item *items, size_t count,
                                 struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = apply_item(to, &items[i], why);
        arena_clear(&to->scratch);
    }
    return e;
}

/* All of them, or each by itself, so that one that is refused is told from the others. */
static enum err apply_run(struct applying *to, const struct chain_many *many, void *ctx,
                          struct chain_item *items, size_t count, struct why *why)
{
    struct why outcome_why = {0};
    struct application *all = arena_alloc_array(&to->scratch, count, sizeof *all);
    struct run run = {.many = many, .count = count};
    run.events = arena_alloc_array(&to->scratch, count, sizeof *run.events);
    for (size_t i = 0; i < count; i++) {
        items[i].outcome = OK;
        items[i].why = NULL;
        all[i] = application_of(to, &items[i]);
        all[i].event.ctx = ctx;
        run.events[i] = all[i].event;
    }
    enum err e = store_nested(to->tx, run_many, &run, &outcome_why);
    if (e != OK && stops_the_batch(e)) {
        if (why != NULL) {
            *why = outcome_why;
        }
        return e;
    }
    if (e != OK) {
        arena_clear(&to->scratch);
        return apply_one_by_one(to, items, count, why);
    }
    for (size_t i = 0; i < count; i++) {
        add_event(&to->rows, &all[i]);
    }
    arena_clear(&to->scratch);
    return OK;
}

/* The items from..end are of one step of the undo log. */
static enum err apply_step(struct applying *to, size_t from, size_t end, struct why *why)
{
    const struct chain *chain = to->batch->chain;
    struct chain_item *items = to->batch->items;
    enum err e = OK;
    while (e == OK && from < end) {
        void *ctx = NULL;
        const struct chain_many *many = many_of(chain, &items[from], &ctx);
        size_t next = from + 1;
        while (many != NULL && next < end && next - from < CHAIN_MANY_MAX &&
               items[next].event == items[from].event &&
               items[next].contract == items[from].contract) {
            next++;
        }
        e = next - from > 1 ? apply_run(to, many, ctx, &items[from], next - from, why)
                            : apply_one_by_one(to, &items[from], 1, why);
        from = next;
    }
    return e;
}

/*
 * A block is a step of the undo log, so that each can be undone. Of a deep batch, in which no
 * reorganisation will end any more, all blocks are one, under the number of the last.
 */
static enum err apply_items(struct store_tx *tx, struct chain_batch *batch, struct why *why)
{
    struct applying to = {.tx = tx, .batch = batch};
    arena_init(&to.scratch, 0);
    store_begin_rows(&to.rows, tx, &chain_sql_event_insert);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < batch->item_count;) {
        uint64_t block = batch->items[i].log.block_number;
        size_t end = batch->deep ? batch->item_count : i + 1;
        while (end < batch->item_count && batch->items[end].log.block_number == block) {
            end++;
        }
        block = batch->deep ? batch->headers[batch->header_count - 1].number : block;
        e = store_undo_begin(tx, batch->chain->config.chain_id, block, why);
        if (e == OK) {
            e = apply_step(&to, i, end, why);
        }
        if (e == OK) {
            e = store_undo_end(tx, why);
        }
        i = end;
    }
    enum err finished = store_finish(&to.rows, NULL, e == OK ? why : NULL);
    arena_free(&to.scratch);
    return e != OK ? e : finished;
}

static void bind_block(struct store_query *q, uint64_t chain_id, const struct evm_header *header)
{
    store_bind_i64(q, "chain_id", (int64_t)chain_id);
    store_bind_i64(q, "block_number", (int64_t)header->number);
    store_bind_bytes(q, "block_hash", hash_slice(&header->hash));
    store_bind_bytes(q, "parent_hash", hash_slice(&header->parent_hash));
    store_bind_time(q, "block_time", header->time_sec * USEC_PER_SEC);
}

enum err chain_block_put(struct store_tx *tx, uint64_t chain_id, const struct evm_header *header,
                         struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &chain_sql_block_insert);
    bind_block(&q, chain_id, header);
    return store_finish(&q, NULL, why);
}

/*
 * Remembers the last blocks and forgets what is too old to be undone. Blocks within a deep batch
 * cannot be gone back to: what follows from them is undone with the whole.
 */
static enum err remember_blocks(struct store_tx *tx, const struct chain_batch *batch,
                                struct why *why)
{
    const struct chain_config *config = &batch->chain->config;
    uint64_t last = batch->headers[batch->header_count - 1].number;
    uint64_t keep_from = last > config->undo_depth ? last - config->undo_depth : 0;
    struct store_query q;
    store_begin_rows(&q, tx, &chain_sql_block_insert);
    for (size_t i = batch->deep ? batch->header_count - 1 : 0; i < batch->header_count; i++) {
        if (batch->headers[i].number >= keep_from) {
            bind_block(&q, config->chain_id, &batch->headers[i]);
            store_row(&q);
        }
    }
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &chain_sql_blocks_prune);
    store_bind_i64(&q, "chain_id", (int64_t)config->chain_id);
    store_bind_i64(&q, "below_block", (int64_t)keep_from);
    e = store_finish(&q, NULL, why);
    return e == OK ? store_undo_prune(tx, config->chain_id, keep_from, why) : e;
}

/* What is applied of what is final: a number beyond may turn out to be made up. */
static int64_t final_within(const struct chain_batch *batch)
{
    uint64_t last = batch->headers[batch->header_count - 1].number;
    uint64_t block = batch->chain->final_block;
    return (int64_t)(block < last ? block : last);
}

static enum err move_cursor(struct store_tx *tx, struct chain_batch *batch, struct why *why)
{
    const struct evm_header *last = &batch->headers[batch->header_count - 1];
    int64_t changed = 0;
    struct store_query q;
    batch->moved_usec = clock_wall_usec();
    store_begin(&q, tx, &chain_sql_cursor_move);
    store_bind_i64(&q, "chain_id", (int64_t)batch->chain->config.chain_id);
    store_bind_i64(&q, "block_number", (int64_t)last->number);
    store_bind_bytes(&q, "block_hash", hash_slice(&last->hash));
    store_bind_i64(&q, "final_block", final_within(batch));
    store_bind_time(&q, "now", batch->moved_usec);
    store_bind_i64(&q, "old_number", (int64_t)batch->from.block);
    store_bind_bytes(&q, "old_hash", hash_slice(&batch->from.hash));
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && changed != 1) {
        /* Somebody else moved it: our batch must not count twice. */
        e = why_set(why, ERR_CONFLICT, NULL, "the cursor of chain %llu was moved by someone else",
                    (unsigned long long)batch->chain->config.chain_id);
    }
    return e;
}

enum err chain_apply(struct store_tx *tx, void *ctx, struct why *why)
{
    struct chain_batch *batch = ctx;
    batch->announced = false;
    enum err e = move_cursor(tx, batch, why);
    if (e == OK) {
        e = apply_items(tx, batch, why);
    }
    if (e == OK) {
        e = chain_expect_match(tx, batch, why);
    }
    if (e == OK) {
        e = remember_blocks(tx, batch, why);
    }
    if (e == OK) {
        store_notify(tx, "chain");
        store_notify(tx, "stream"); /* what changed is told */
    }
    return e;
}
