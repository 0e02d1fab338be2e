#include "kernel/base/check.h"
#include "kernel/chain/chain_internal.h"
#include "kernel/evm/address.h"

#include <stdlib.h>

/* Addresses in one eth_getLogs filter; more are asked for in further calls. */
#define FILTER_ADDRESSES_MAX 400
/* Rounds of "a factory's child is itself a factory" in one batch. */
#define DISCOVERY_ROUNDS_MAX 8

/* What a collection step adds up. Lives in the chain's step arena. */
struct collection {
    struct chain *chain;
    struct chain_batch *batch;
    struct chain_item *items;
    size_t count;
    size_t cap;
    struct chain_source *found; /* contracts announced in this range */
    size_t found_count;
    size_t found_cap;
};

static const struct evm_header *header_of(const struct chain_batch *batch, uint64_t number)
{
    uint64_t first = batch->headers[0].number;
    if (number < first || number - first >= batch->header_count) {
        return NULL;
    }
    return &batch->headers[number - first];
}

static void add_item(struct collection *c, const struct chain_item *item)
{
    if (c->count == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 64;
        struct chain_item *grown = arena_alloc_array(&c->chain->step, cap, sizeof *grown);
        if (c->count > 0) {
            memcpy(grown, c->items, c->count * sizeof *grown);
        }
        c->items = grown;
        c->cap = cap;
    }
    c->items[c->count++] = *item;
}

static void add_found(struct collection *c, const struct chain_source *source)
{
    for (size_t i = 0; i < c->found_count; i++) {
        if (address_equal(&c->found[i].address, &source->address)) {
            return;
        }
    }
    if (c->found_count == c->found_cap) {
        size_t cap = c->found_cap ? c->found_cap * 2 : 16;
        struct chain_source *grown = arena_alloc_array(&c->chain->step, cap, sizeof *grown);
        if (c->found_count > 0) {
            memcpy(grown, c->found, c->found_count * sizeof *grown);
        }
        c->found = grown;
        c->found_cap = cap;
    }
    c->found[c->found_count++] = *source;
}

/* Remembers the contract that an event announces, when one of the tables says that it does. */
static enum err discover(struct collection *c, const struct chain_item *item, struct why *why)
{
    for (size_t t = 0; t < c->chain->table_count; t++) {
        const struct chain_table *table = &c->chain->tables[t];
        for (size_t i = 0; i < table->discovery_count; i++) {
            const struct chain_discovery *d = &table->discoveries[i];
            if (item->event == NULL || d->event != item->event) {
                continue;
            }
            const struct abi_value *values = NULL;
            enum err e = abi_event_decode(&c->chain->step, item->event, &item->log, &values, why);
            if (e != OK) {
                return e;
            }
            struct chain_source source = {
                .address = abi_to_address(&values[d->address_input]),
                .contract = d->child,
                .start_block = item->log.block_number,
            };
            if (chain_source_find(c->chain, &source.address) == NULL) {
                add_found(c, &source);
            }
        }
    }
    return OK;
}

static enum err take_log(struct collection *c, const struct evm_log *log,
                         const struct chain_source *source, struct why *why)
{
    const struct evm_header *header = header_of(c->batch, log->block_number);
    if (header == NULL || !hash_equal(&header->hash, &log->block_hash)) {
        /* The node answered from another fork than the headers: read the range again. */
        return why_set(why, ERR_NODE_RESPONSE, "logs",
                       "the node's logs of block %llu belong to another block than its header",
                       (unsigned long long)log->block_number);
    }
    if (log->removed || log->block_number < source->start_block) {
        return OK;
    }
    struct chain_item item = {
        .log = *log,
        .contract = source->contract,
        .event = abi_event_find(source->contract, log),
    };
    add_item(c, &item);
    return discover(c, &item, why);
}

static enum err read_logs(struct collection *c, const struct chain_source *sources, size_t count,
                          uint64_t from, uint64_t to, struct why *why)
{
    struct address addresses[FILTER_ADDRESSES_MAX];
    for (size_t done = 0; done < count;) {
        size_t n = count - done < FILTER_ADDRESSES_MAX ? count - done : FILTER_ADDRESSES_MAX;
        for (size_t i = 0; i < n; i++) {
            addresses[i] = sources[done + i].address;
        }
        const struct rpc_log_filter filter = {
            .from_block = from,
            .to_block = to,
            .addresses = addresses,
            .address_count = n,
        };
        struct evm_log *logs = NULL;
        size_t log_count = 0;
        enum err e = rpc_logs(c->chain->rpc, &c->chain->step, &filter, &logs, &log_count, why);
        for (size_t i = 0; e == OK && i < log_count; i++) {
            const struct chain_source *source = NULL;
            for (size_t k = 0; k < n && source == NULL; k++) {
                if (address_equal(&sources[done + k].address, &logs[i].address)) {
                    source = &sources[done + k];
                }
            }
            ASSERT(source != NULL);
            e = take_log(c, &logs[i], source, why);
        }
        if (e != OK) {
            return e;
        }
        done += n;
    }
    return OK;
}

/*
 * Narrows the range to the blocks whose bloom admits one of the contracts; false proves that
 * there is nothing to read.
 */
static bool may_hold(const struct chain_batch *batch, const struct chain_source *sources,
                     size_t count, uint64_t *out_from, uint64_t *out_to)
{
    bool any = false;
    for (size_t b = 0; b < batch->header_count; b++) {
        bool here = false;
        for (size_t i = 0; i < count && !here; i++) {
            here = evm_bloom_may_hold(batch->headers[b].bloom, address_slice(&sources[i].address));
        }
        if (here) {
            *out_from = any ? *out_from : batch->headers[b].number;
            *out_to = batch->headers[b].number;
            any = true;
        }
    }
    return any;
}

static int compare_items(const void *a, const void *b)
{
    const struct evm_log *x = &((const struct chain_item *)a)->log;
    const struct evm_log *y = &((const struct chain_item *)b)->log;
    if (x->block_number != y->block_number) {
        return x->block_number < y->block_number ? -1 : 1;
    }
    return x->log_index < y->log_index ? -1 : x->log_index > y->log_index;
}

enum err chain_collect(struct chain *chain, struct chain_batch *batch, struct why *why)
{
    ASSERT(batch->header_count > 0);
    struct collection c = {.chain = chain, .batch = batch};
    uint64_t from = 0;
    uint64_t to = 0;
    if (may_hold(batch, chain->sources, chain->source_count, &from, &to)) {
        enum err e = read_logs(&c, chain->sources, chain->source_count, from, to, why);
        if (e != OK) {
            return e;
        }
    }
    /* Children log before their factory announces them: read them before anything is applied. */
    size_t read = 0;
    for (unsigned round = 0; read < c.found_count; round++) {
        if (round == DISCOVERY_ROUNDS_MAX) {
            return why_set(why, ERR_LIMIT, NULL, "contracts announce contracts too deeply");
        }
        size_t known = c.found_count;
        if (may_hold(batch, c.found + read, known - read, &from, &to)) {
            enum err e = read_logs(&c, c.found + read, known - read, from, to, why);
            if (e != OK) {
                return e;
            }
        }
        read = known;
    }
    if (c.count > 1) {
        qsort(c.items, c.count, sizeof *c.items, compare_items);
    }
    batch->items = c.items;
    batch->item_count = c.count;
    return OK;
}
