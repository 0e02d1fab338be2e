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
            enum err e = chain_follow(tx, chain->config.chain_id, &child, d->child,
                                      a->item->log.block_number, NULL, why);
            if (e != OK) {
                return e;
            }
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
    store_bind_json(rows, "event_data", chain_event_data(a->scratch, a->item));
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

static enum err apply_item(struct store_tx *tx, struct chain_batch *batch, struct chain_item *item,
                           struct store_query *rows, struct arena *scratch, struct why *why)
{
    char tx_text[2 * HASH_BYTES + 3];
    hex_encode_to(hash_slice(&item->log.tx_hash), tx_text);
    struct application a = {
        .batch = batch,
        .item = item,
        .scratch = scratch,
        .event =
            {
                .chain_id = batch->chain->config.chain_id,
                .log = &item->log,
                .event = item->event,
                .block_time_usec = block_time_usec(batch, item->log.block_number),
                .scratch = scratch,
                .id = slice_format(scratch, "%llu/%s/%u",
                                   (unsigned long long)batch->chain->config.chain_id, tx_text,
                                   item->log.log_index),
            },
    };
    item->outcome = OK;
    item->why = NULL;
    if (item->event != NULL) {
        struct why outcome_why = {0};
        enum err e = follow_announced(tx, &a, why);
        if (e != OK) {
            return e;
        }
        e = store_nested(tx, run_handlers, &a, &outcome_why);
        if (e != OK && stops_the_batch(e)) {
            if (why != NULL) {
                *why = outcome_why;
            }
            return e;
        }
        if (e != OK) {
            struct why *kept = arena_alloc(&batch->chain->step, sizeof *kept);
            *kept = outcome_why;
            item->outcome = e;
            item->why = kept;
        }
    }
    add_event(rows, &a);
    return OK;
}

static enum err apply_items(struct store_tx *tx, struct chain_batch *batch, struct why *why)
{
    struct arena scratch;
    struct store_query rows;
    arena_init(&scratch, 0);
    store_begin_rows(&rows, tx, &chain_sql_event_insert);
    enum err e = OK;
    uint64_t chain_id = batch->chain->config.chain_id;
    for (size_t i = 0; e == OK && i < batch->item_count;) {
        uint64_t block = batch->items[i].log.block_number;
        e = store_undo_begin(tx, chain_id, block, why);
        for (; e == OK && i < batch->item_count && batch->items[i].log.block_number == block; i++) {
            e = apply_item(tx, batch, &batch->items[i], &rows, &scratch, why);
            arena_clear(&scratch);
        }
        if (e == OK) {
            e = store_undo_end(tx, why);
        }
    }
    enum err finished = store_finish(&rows, NULL, e == OK ? why : NULL);
    arena_free(&scratch);
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

/* Remembers the last blocks and forgets what is too old to be undone. */
static enum err remember_blocks(struct store_tx *tx, const struct chain_batch *batch,
                                struct why *why)
{
    const struct chain_config *config = &batch->chain->config;
    uint64_t last = batch->headers[batch->header_count - 1].number;
    uint64_t keep_from = last > config->undo_depth ? last - config->undo_depth : 0;
    struct store_query q;
    store_begin_rows(&q, tx, &chain_sql_block_insert);
    for (size_t i = 0; i < batch->header_count; i++) {
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
    enum err e = move_cursor(tx, batch, why);
    if (e == OK) {
        e = apply_items(tx, batch, why);
    }
    if (e == OK) {
        e = remember_blocks(tx, batch, why);
    }
    if (e == OK) {
        store_notify(tx, "chain");
    }
    return e;
}
