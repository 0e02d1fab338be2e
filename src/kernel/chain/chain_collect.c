/*
 * chain_collect.c: the logs of a range of blocks.
 *
 * Two questions are kept apart. Which logs might count: those of every contract that is followed
 * or that a log of this range may announce, whatever block the announcement stands in. Which do
 * count: decided afterwards, walking the blocks in order, so that the answer does not depend on how
 * many blocks were read at once.
 *
 * The node's answers are not taken to be of one fork. A log names its block's hash, which must be
 * the header's. Silence names nothing: where a verified header's bloom says that there may be logs
 * of ours and none came, that block is asked for again by its hash.
 */
#include <stdlib.h>

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/chain/chain_internal.h"
#include "kernel/evm/address.h"

/* Addresses in one eth_getLogs filter; more are asked for in further calls. */
#define FILTER_ADDRESSES_MAX 400
/* Rounds of "a factory's child is itself a factory" in one batch. */
#define DISCOVERY_ROUNDS_MAX 8
/* After so many answers for a full span a larger one is tried. */
#define SPAN_GROW_AFTER 64
/* A bloom with more bits set admits almost anything. Of 2048. */
#define BLOOM_TELLING_BITS 128

/* What a collection step adds up. Lives in the chain's step arena. */
struct collection {
    struct chain *chain;
    struct chain_batch *batch;
    struct chain_item *items;
    size_t count;
    size_t cap;
    struct chain_followed *found; /* contracts that may be announced in this range, sorted */
    size_t found_count;
    struct chain_followed *fresh; /* announced by the logs of this round, with repetitions */
    size_t fresh_count;
    size_t fresh_cap;
    bool *seen; /* by header: a log came */
};

static void *grown(struct arena *arena, void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) {
        return items;
    }
    size_t more = *cap > 0 ? *cap * 2 : 64;
    void *copy = arena_alloc_array(arena, more, size);
    if (count > 0) {
        memcpy(copy, items, count * size);
    }
    *cap = more;
    return copy;
}

/* ---- which logs might count ---- */

/* The contract that an event announces by one of the tables' rows. */
static bool announced(struct arena *scratch, const struct chain_discovery *d,
                      const struct chain_item *item, struct address *out)
{
    const struct abi_value *values = NULL;
    if (item->event == NULL || d->event != item->event || d->contract != item->contract ||
        abi_event_decode(scratch, item->event, &item->log, &values, NULL) != OK) {
        return false;
    }
    *out = abi_to_address(&values[d->address_input]);
    return true;
}

static void discover(struct collection *c, const struct chain_item *item)
{
    for (size_t t = 0; t < c->chain->table_count; t++) {
        const struct chain_table *table = &c->chain->tables[t];
        for (size_t i = 0; i < table->discovery_count; i++) {
            const struct chain_discovery *d = &table->discoveries[i];
            struct chain_followed fresh = {.contract = d->child, .start_block = UINT64_MAX};
            if (!announced(&c->chain->step, d, item, &fresh.address)) {
                continue;
            }
            fresh.bits = evm_bloom_bits_of(address_slice(&fresh.address));
            c->fresh =
                grown(&c->chain->step, c->fresh, c->fresh_count, &c->fresh_cap, sizeof *c->fresh);
            c->fresh[c->fresh_count++] = fresh;
        }
    }
}

static enum err take_log(struct collection *c, const struct evm_log *log,
                         const struct chain_followed *contracts, size_t count, struct why *why)
{
    const struct evm_header *first = &c->batch->headers[0];
    ASSERT(log->block_number >= first->number); /* inside the filter, as rpc_logs checked */
    size_t index = (size_t)(log->block_number - first->number);
    ASSERT(index < c->batch->header_count);
    if (!hash_equal(&c->batch->headers[index].hash, &log->block_hash)) {
        return why_set(why, ERR_NODE_RESPONSE, "logs",
                       "the node's logs of block %llu belong to another block than its header",
                       (unsigned long long)log->block_number);
    }
    const struct chain_followed *from = chain_followed_find(contracts, count, &log->address);
    ASSERT(from != NULL);
    struct chain_item item = {
        .log = *log,
        .contract = from->contract,
        .event = abi_event_find(from->contract, log),
    };
    c->items = grown(&c->chain->step, c->items, c->count, &c->cap, sizeof *c->items);
    c->items[c->count++] = item;
    c->seen[index] = true;
    discover(c, &item);
    return OK;
}

static enum err ask(struct collection *c, const struct rpc_log_filter *filter,
                    const struct chain_followed *contracts, size_t count, struct why *why)
{
    struct evm_log *logs = NULL;
    size_t log_count = 0;
    enum err e = rpc_logs(c->chain->rpc, &c->chain->step, filter, &logs, &log_count, why);
    for (size_t i = 0; e == OK && i < log_count; i++) {
        e = take_log(c, &logs[i], contracts, count, why);
    }
    return e;
}

/* Asks for a range in spans that the node accepts; what it refuses is halved, down to one block. */
static enum err ask_range(struct collection *c, struct rpc_log_filter filter,
                          const struct chain_followed *contracts, size_t count, struct why *why)
{
    struct chain *chain = c->chain;
    uint64_t last = filter.to_block;
    while (filter.from_block <= last) {
        uint64_t left = last - filter.from_block + 1;
        uint64_t span = left < chain->span ? left : chain->span;
        filter.to_block = filter.from_block + span - 1;
        enum err e = ask(c, &filter, contracts, count, why);
        if (e == ERR_LIMIT && span > 1) {
            chain->span = span / 2;
            chain->span_good = 0;
            LOG(LOG_INFO, "chain.range_lowered", log_u64("chain", chain->config.chain_id),
                log_u64("blocks", chain->span), log_why(why, e));
            continue;
        }
        if (e != OK) {
            return e;
        }
        filter.from_block += span;
        if (span == chain->span && span < chain->config.range_max &&
            ++chain->span_good >= SPAN_GROW_AFTER) {
            uint64_t more = chain->span * 2;
            chain->span = more < chain->config.range_max ? more : chain->config.range_max;
            chain->span_good = 0;
        }
    }
    return OK;
}

static bool admits(const struct chain *chain, const struct evm_header *header,
                   const struct chain_followed *contracts, size_t count)
{
    if (chain->verify == CHAIN_VERIFY_TRUSTED && count > 0) {
        return true; /* nobody knows whether this is the block's bloom */
    }
    for (size_t i = 0; i < count; i++) {
        if (evm_bloom_has(header->bloom, &contracts[i].bits)) {
            return true;
        }
    }
    return false;
}

/*
 * Every log that the blocks whose bloom admits one of the contracts hold of them, proven. A block
 * whose bloom does not is proven to hold none.
 */
static enum err read_proven(struct collection *c, const struct chain_followed *contracts,
                            size_t count, struct why *why)
{
    struct arena *step = &c->chain->step;
    const struct chain_batch *batch = c->batch;
    const struct evm_header **headers =
        arena_alloc_array(step, batch->header_count, sizeof *headers);
    struct address *addresses = arena_alloc_array(step, count, sizeof *addresses);
    size_t header_count = 0;
    struct evm_log *logs = NULL;
    size_t log_count = 0;
    for (size_t i = 0; i < count; i++) {
        addresses[i] = contracts[i].address;
    }
    for (size_t b = 0; b < batch->header_count; b++) {
        if (admits(c->chain, &batch->headers[b], contracts, count)) {
            headers[header_count++] = &batch->headers[b];
        }
    }
    enum err e = rpc_proven_logs(c->chain->rpc, step, headers, header_count, addresses, count,
                                 &logs, &log_count, why);
    for (size_t i = 0; e == OK && i < log_count; i++) {
        e = take_log(c, &logs[i], contracts, count, why);
    }
    return e;
}

/*
 * Narrows the range to the blocks whose bloom admits one of the contracts; false proves that
 * there is nothing to read.
 */
static bool may_hold(const struct chain_batch *batch, const struct chain_followed *contracts,
                     size_t count, struct rpc_log_filter *out)
{
    bool any = false;
    for (size_t b = 0; b < batch->header_count; b++) {
        const struct evm_header *h = &batch->headers[b];
        if (admits(batch->chain, h, contracts, count)) {
            out->from_block = any ? out->from_block : h->number;
            out->to_block = h->number;
            any = true;
        }
    }
    return any;
}

static bool bloom_tells(const uint8_t bloom[EVM_BLOOM_BYTES])
{
    int bits = 0;
    for (size_t i = 0; i < EVM_BLOOM_BYTES; i++) {
        bits += __builtin_popcount(bloom[i]);
    }
    return bits <= BLOOM_TELLING_BITS;
}

/*
 * A node that answered from another fork, or forgot, says nothing where there should be logs. Old
 * blocks with crowded blooms are believed: they are beyond forks, and every one would be asked for.
 */
static enum err ask_silent(struct collection *c, struct rpc_log_filter filter,
                           const struct chain_followed *contracts, size_t count, struct why *why)
{
    const struct chain_config *config = &c->chain->config;
    if (c->chain->verify == CHAIN_VERIFY_TRUSTED) {
        return OK; /* every block admits everything */
    }
    for (size_t b = 0; b < c->batch->header_count; b++) {
        const struct evm_header *h = &c->batch->headers[b];
        bool fresh = h->number + config->reorg_depth_max >= c->batch->head;
        if (c->seen[b] || !admits(c->chain, h, contracts, count) ||
            (!fresh && !bloom_tells(h->bloom))) {
            continue;
        }
        metric_add(&chain_metrics[CHAIN_METRIC_ASKED_AGAIN], 1);
        filter.from_block = h->number;
        filter.to_block = h->number;
        filter.block_hash = &h->hash;
        enum err e = ask(c, &filter, contracts, count, why);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* Reads the logs of some contracts (sorted by address) over the whole batch. */
static enum err read_logs(struct collection *c, const struct chain_followed *contracts,
                          size_t count, struct why *why)
{
    struct address addresses[FILTER_ADDRESSES_MAX];
    enum err e = OK;
    if (c->chain->verify == CHAIN_VERIFY_FULL) {
        return count > 0 ? read_proven(c, contracts, count, why) : OK;
    }
    for (size_t done = 0; e == OK && done < count;) {
        size_t n = count - done < FILTER_ADDRESSES_MAX ? count - done : FILTER_ADDRESSES_MAX;
        for (size_t i = 0; i < n; i++) {
            addresses[i] = contracts[done + i].address;
        }
        struct rpc_log_filter filter = {.addresses = addresses, .address_count = n};
        memset(c->seen, 0, c->batch->header_count * sizeof *c->seen);
        if (may_hold(c->batch, contracts + done, n, &filter)) {
            e = ask_range(c, filter, contracts + done, n, why);
            if (e == OK) {
                e = ask_silent(c, filter, contracts + done, n, why);
            }
        }
        done += n;
    }
    return e;
}

static int compare_followed(const void *a, const void *b)
{
    const struct chain_followed *x = a;
    const struct chain_followed *y = b;
    return memcmp(x->address.bytes, y->address.bytes, ADDRESS_BYTES);
}

/* Moves what is new among `fresh` to its front, sorted and once each. */
static size_t settle_fresh(struct collection *c)
{
    const struct chain *chain = c->chain;
    size_t kept = 0;
    if (c->fresh_count > 1) {
        qsort(c->fresh, c->fresh_count, sizeof *c->fresh, compare_followed);
    }
    for (size_t i = 0; i < c->fresh_count; i++) {
        const struct address *a = &c->fresh[i].address;
        bool again = kept > 0 && address_equal(&c->fresh[kept - 1].address, a);
        if (!again && chain_followed_find(chain->followed, chain->followed_count, a) == NULL &&
            chain_followed_find(c->found, c->found_count, a) == NULL) {
            c->fresh[kept++] = c->fresh[i];
        }
    }
    return kept;
}

/* Reads the logs of contracts that are announced in the range, and of what those announce. */
static enum err read_announced(struct collection *c, struct why *why)
{
    for (unsigned round = 0;; round++) {
        size_t n = settle_fresh(c);
        if (n == 0) {
            return OK;
        }
        if (round == DISCOVERY_ROUNDS_MAX) {
            return why_set(why, ERR_LIMIT, NULL, "contracts announce contracts too deeply");
        }
        struct chain_followed *all =
            arena_alloc_array(&c->chain->step, c->found_count + n, sizeof *all);
        const struct chain_followed *fresh = c->fresh;
        if (c->found_count > 0) {
            memcpy(all, c->found, c->found_count * sizeof *all);
        }
        memcpy(all + c->found_count, fresh, n * sizeof *all);
        c->found = all;
        c->found_count += n;
        qsort(c->found, c->found_count, sizeof *c->found, compare_followed);
        c->fresh = NULL;
        c->fresh_count = 0;
        c->fresh_cap = 0;
        enum err e = read_logs(c, fresh, n, why);
        if (e != OK) {
            return e;
        }
    }
}

/* ---- which do count ---- */

static int compare_items(const void *a, const void *b)
{
    const struct evm_log *x = &((const struct chain_item *)a)->log;
    const struct evm_log *y = &((const struct chain_item *)b)->log;
    if (x->block_number != y->block_number) {
        return x->block_number < y->block_number ? -1 : 1;
    }
    return x->log_index < y->log_index ? -1 : x->log_index > y->log_index;
}

static uint64_t start_of(const struct collection *c, const struct address *address)
{
    const struct chain_followed *f =
        chain_followed_find(c->chain->followed, c->chain->followed_count, address);
    f = f != NULL ? f : chain_followed_find(c->found, c->found_count, address);
    ASSERT(f != NULL);
    return f->start_block;
}

/* Starts the contracts that an item of a followed contract announces; false: nothing new. */
static bool start_announced(struct collection *c, const struct chain_item *item)
{
    bool changed = false;
    for (size_t t = 0; t < c->chain->table_count; t++) {
        const struct chain_table *table = &c->chain->tables[t];
        for (size_t i = 0; i < table->discovery_count; i++) {
            struct address child;
            if (!announced(&c->chain->step, &table->discoveries[i], item, &child)) {
                continue;
            }
            const struct chain_followed *at = chain_followed_find(c->found, c->found_count, &child);
            if (at != NULL && at->start_block == UINT64_MAX) {
                c->found[at - c->found].start_block = item->log.block_number;
                changed = true;
            }
        }
    }
    return changed;
}

/* Keeps the logs of contracts that are followed from their block on, announcements included. */
static void keep_followed(struct collection *c)
{
    size_t kept = 0;
    for (size_t from = 0; from < c->count;) {
        uint64_t block = c->items[from].log.block_number;
        size_t to = from;
        while (to < c->count && c->items[to].log.block_number == block) {
            to++;
        }
        /* A child may stand before its announcement in the block, and announce in its turn. */
        for (bool changed = c->found_count > 0; changed;) {
            changed = false;
            for (size_t i = from; i < to; i++) {
                const struct chain_item *item = &c->items[i];
                changed = (start_of(c, &item->log.address) <= block && start_announced(c, item)) ||
                          changed;
            }
        }
        for (size_t i = from; i < to; i++) {
            if (start_of(c, &c->items[i].log.address) <= block) {
                c->items[kept++] = c->items[i];
            }
        }
        from = to;
    }
    c->count = kept;
}

enum err chain_collect(struct chain *chain, struct chain_batch *batch, struct why *why)
{
    ASSERT(batch->header_count > 0);
    struct collection c = {.chain = chain, .batch = batch};
    c.seen = arena_alloc_array(&chain->step, batch->header_count, sizeof *c.seen);
    enum err e = read_logs(&c, chain->followed, chain->followed_count, why);
    if (e == OK) {
        e = read_announced(&c, why);
    }
    if (e != OK) {
        return e;
    }
    if (c.count > 1) {
        qsort(c.items, c.count, sizeof *c.items, compare_items);
    }
    keep_followed(&c);
    batch->items = c.items;
    batch->item_count = c.count;
    return OK;
}
