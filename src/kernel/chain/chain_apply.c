#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/chain/chain_internal.h"
#include "kernel/chain/chain_sql.h"
#include "kernel/evm/address.h"

/* What one event's savepoint needs. */
struct application {
    struct chain_batch *batch;
    const struct chain_item *item;
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

/* Follows what the event announces, then runs every handler of the event. */
static enum err run_handlers(struct store_tx *tx, void *ctx, struct why *why)
{
    struct application *a = ctx;
    const struct chain *chain = a->batch->chain;
    for (size_t t = 0; t < chain->table_count; t++) {
        const struct chain_table *table = &chain->tables[t];
        for (size_t i = 0; i < table->discovery_count; i++) {
            const struct chain_discovery *d = &table->discoveries[i];
            if (d->event != a->item->event) {
                continue;
            }
            const struct abi_value *values = NULL;
            enum err e = abi_event_decode(a->scratch, a->item->event, &a->item->log, &values, why);
            if (e != OK) {
                return e;
            }
            struct address child = abi_to_address(&values[d->address_input]);
            e = chain_follow(tx, chain->config.chain_id, &child, d->child,
                             a->item->log.block_number, why);
            if (e != OK) {
                return e;
            }
        }
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

/* The decoded arguments as JSON by name; raw topics and data when the binding does not know it. */
static struct slice event_data(struct arena *scratch, const struct chain_item *item)
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

static enum err insert_event(struct store_tx *tx, const struct application *a, enum err outcome,
                             const struct why *outcome_why, struct why *why)
{
    const struct evm_log *log = &a->item->log;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_event_insert);
    store_bind_i64(&q, "chain_id", (int64_t)a->event.chain_id);
    store_bind_i64(&q, "block_number", (int64_t)log->block_number);
    store_bind_i64(&q, "log_index", log->log_index);
    store_bind_bytes(&q, "block_hash", hash_slice(&log->block_hash));
    store_bind_bytes(&q, "transaction_hash", hash_slice(&log->tx_hash));
    store_bind_bytes(&q, "contract_address", address_slice(&log->address));
    store_bind_text(&q, "event_type",
                    slice_text(a->item->event ? a->item->event->name : "unknown"));
    store_bind_json(&q, "event_data", event_data(a->scratch, a->item));
    store_bind_bool(&q, "processed", outcome == OK);
    if (outcome == OK) {
        store_bind_null(&q, "error");
    } else {
        store_bind_text(
            &q, "error",
            slice_format(a->scratch, "%s: %s", err_code(outcome), why_text(outcome_why, outcome)));
    }
    /* The block's own time, so that a fresh index writes the same row. */
    store_bind_time(&q, "now", a->event.block_time_usec);
    return store_finish(&q, NULL, why);
}

static enum err apply_item(struct store_tx *tx, struct chain_batch *batch,
                           const struct chain_item *item, struct arena *scratch, struct why *why)
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
    struct why outcome_why = {0};
    enum err outcome = OK;
    if (item->event != NULL) {
        outcome = store_nested(tx, run_handlers, &a, &outcome_why);
    }
    if (outcome != OK && err_retryable(outcome)) {
        if (why != NULL) {
            *why = outcome_why;
        }
        return outcome;
    }
    if (outcome != OK) {
        batch->failed++;
        LOG(LOG_ERROR, "chain.event_refused", log_u64("chain", a.event.chain_id),
            log_u64("block", item->log.block_number), log_u64("log_index", item->log.log_index),
            log_text("name", item->event->name), log_text("tx", tx_text), log_err(outcome),
            log_why(&outcome_why, outcome));
    }
    return insert_event(tx, &a, outcome, &outcome_why, why);
}

static enum err apply_items(struct store_tx *tx, struct chain_batch *batch, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    enum err e = OK;
    uint64_t chain_id = batch->chain->config.chain_id;
    for (size_t i = 0; e == OK && i < batch->item_count;) {
        uint64_t block = batch->items[i].log.block_number;
        e = store_undo_begin(tx, chain_id, block, why);
        for (; e == OK && i < batch->item_count && batch->items[i].log.block_number == block; i++) {
            e = apply_item(tx, batch, &batch->items[i], &scratch, why);
            arena_clear(&scratch);
        }
        if (e == OK) {
            e = store_undo_end(tx, why);
        }
    }
    arena_free(&scratch);
    return e;
}

static enum err remember_blocks(struct store_tx *tx, const struct chain_batch *batch,
                                struct why *why)
{
    const struct chain_config *config = &batch->chain->config;
    uint64_t last = batch->headers[batch->header_count - 1].number;
    uint64_t keep_from = last > config->undo_depth ? last - config->undo_depth : 0;
    for (size_t i = 0; i < batch->header_count; i++) {
        const struct evm_header *h = &batch->headers[i];
        if (h->number < keep_from) {
            continue;
        }
        struct store_query q;
        store_begin(&q, tx, &chain_sql_block_insert);
        store_bind_i64(&q, "chain_id", (int64_t)config->chain_id);
        store_bind_i64(&q, "block_number", (int64_t)h->number);
        store_bind_bytes(&q, "block_hash", hash_slice(&h->hash));
        store_bind_bytes(&q, "parent_hash", hash_slice(&h->parent_hash));
        store_bind_time(&q, "block_time", h->time_sec * USEC_PER_SEC);
        enum err e = store_finish(&q, NULL, why);
        if (e != OK) {
            return e;
        }
    }
    struct store_query q;
    store_begin(&q, tx, &chain_sql_blocks_prune);
    store_bind_i64(&q, "chain_id", (int64_t)config->chain_id);
    store_bind_i64(&q, "below_block", (int64_t)keep_from);
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    return store_undo_prune(tx, config->chain_id, keep_from, why);
}

static enum err move_cursor(struct store_tx *tx, const struct chain_batch *batch, struct why *why)
{
    const struct evm_header *last = &batch->headers[batch->header_count - 1];
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_cursor_move);
    store_bind_i64(&q, "chain_id", (int64_t)batch->chain->config.chain_id);
    store_bind_i64(&q, "block_number", (int64_t)last->number);
    store_bind_bytes(&q, "block_hash", hash_slice(&last->hash));
    store_bind_time(&q, "now", clock_wall_usec());
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
    batch->failed = 0;
    enum err e = move_cursor(tx, batch, why);
    if (e == OK) {
        e = remember_blocks(tx, batch, why);
    }
    if (e == OK) {
        e = apply_items(tx, batch, why);
    }
    if (e == OK) {
        store_notify(tx, "chain");
    }
    return e;
}

enum err chain_follow(struct store_tx *tx, uint64_t chain_id, const struct address *address,
                      const struct abi_contract *contract, uint64_t from_block, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &chain_sql_source_insert);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_bytes(&q, "address", address_slice(address));
    store_bind_text(&q, "contract", slice_text(contract->name));
    store_bind_i64(&q, "from_block", (int64_t)from_block);
    return store_finish(&q, NULL, why);
}
