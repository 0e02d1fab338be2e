/*
 * chain_collect.c: the logs of a range of blocks.
 *
 * Two questions are kept apart. Which logs might count: those of every contract that is followed
 * or that a log of this range may announce, whatever block the announcement stands in. Which do
 * count: decided afterwards, walking the blocks in order, so that the answer does not depend on how
 * many blocks were read at once.
 *
 * What might count is read in pieces, so that a range which would be too much for memory ends where
 * the limit was reached. The pieces of eth_getLogs grow and shrink with what the node accepts and
 * with how much it answers: nobody's wording of a refusal is looked at, and at one block there is
 * nothing left to halve.
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
/* Logs that one answer of eth_getLogs should have. */
#define ANSWER_LOGS 2048
/* What the blocks of one piece burnt at most, unless it is a single one, where logs are proven:
 * what rpc_proven_logs holds at once. Units: gas. */
#define PIECE_GAS_MAX 6000000
/* A bloom with more bits set admits almost anything. Of 2048. */
#define BLOOM_TELLING_BITS 128

/* What a collection step adds up, beside the batch itself. Lives in the batch's arena. */
struct collection {
    struct chain *chain;
    struct chain_batch *batch;
    size_t from; /* the headers that are being read are from..to */
    size_t to;
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
            if (!announced(c->batch->arena, d, item, &fresh.address)) {
                continue;
            }
            fresh.bits = evm_bloom_bits_of(address_slice(&fresh.address));
            c->fresh =
                grown(c->batch->arena, c->fresh, c->fresh_count, &c->fresh_cap, sizeof *c->fresh);
            c->fresh[c->fresh_count++] = fresh;
        }
    }
}

static enum err take_log(struct collection *c, const struct evm_log *log,
                         const struct chain_followed *contracts, size_t count, struct why *why)
{
    struct chain_batch *batch = c->batch;
    const struct evm_header *first = &batch->headers[0];
    ASSERT(log->block_number >= first->number); /* inside the filter, as rpc_logs checked */
    size_t index = (size_t)(log->block_number - first->number);
    ASSERT(index >= c->from && index < c->to);
    if (!hash_equal(&batch->headers[index].hash, &log->block_hash)) {
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
    batch->items = grown(batch->arena, batch->items, batch->item_count, &batch->item_cap,
                         sizeof *batch->items);
    item.log.data = slice_copy(batch->arena, log->data);
    batch->items[batch->item_count++] = item;
    /* Lists double when they grow, and what the row says of it is text. */
    batch->bytes += 2 * sizeof item + 4 * (EVM_TOPICS_MAX * HASH_BYTES + log->data.len);
    c->seen[index] = true;
    discover(c, &item);
    return OK;
}

static enum err ask(struct collection *c, const struct rpc_log_filter *filter,
                    const struct chain_followed *contracts, size_t count, struct why *why)
{
    struct evm_log *logs = NULL;
    size_t log_count = 0;
    struct arena answer;
    arena_init(&answer, 0);
    enum err e = rpc_logs(c->chain->rpc, &answer, filter, &logs, &log_count, why);
    for (size_t i = 0; e == OK && i < log_count; i++) {
        e = take_log(c, &logs[i], contracts, count, why);
    }
    arena_free(&answer);
    return e;
}

/* A refusal halves the span for all that is asked, and is forgotten slowly. */
static void lower_span(struct chain *chain, uint64_t refused, const struct why *why)
{
    atomic_store(&chain->span, refused / 2);
    atomic_store(&chain->span_good, 0);
    LOG(LOG_INFO, "chain.range_lowered", log_u64("chain", chain->config.chain_id),
        log_u64("blocks", refused / 2), log_why(why, ERR_LIMIT));
}

/* What answers hold says how many blocks the next one should be about. */
static void fit_span(struct chain *chain, uint64_t span, size_t logs)
{
    uint64_t max = chain->config.range_max;
    uint64_t fit = logs == 0 ? max : span * ANSWER_LOGS / logs;
    fit = fit > 2 * span ? 2 * span : fit;
    fit = fit < max ? fit : max;
    /* The rest of a range says little: it is only as long as it happens to be. */
    if (span >= atomic_load(&chain->span_fit) || logs > ANSWER_LOGS) {
        atomic_store(&chain->span_fit, fit > 0 ? fit : 1);
    }
    uint64_t accepted = atomic_load(&chain->span);
    if (span == accepted && span < max &&
        atomic_fetch_add(&chain->span_good, 1) + 1 >= SPAN_GROW_AFTER) {
        atomic_store(&chain->span, accepted * 2 < max ? accepted * 2 : max);
        atomic_store(&chain->span_good, 0);
    }
}

static uint64_t span_of(struct chain *chain)
{
    uint64_t accepted = atomic_load(&chain->span);
    uint64_t fit = atomic_load(&chain->span_fit);
    return accepted < fit ? accepted : fit;
}

/* Asks for a range in spans that the node accepts; what it refuses is halved, down to one block. */
static enum err ask_range(struct collection *c, struct rpc_log_filter filter,
                          const struct chain_followed *contracts, size_t count, struct why *why)
{
    uint64_t last = filter.to_block;
    while (filter.from_block <= last) {
        uint64_t left = last - filter.from_block + 1;
        uint64_t span = span_of(c->chain);
        span = left < span ? left : span;
        filter.to_block = filter.from_block + span - 1;
        size_t before = c->batch->item_count;
        enum err e = ask(c, &filter, contracts, count, why);
        if (e == ERR_LIMIT && span > 1) {
            lower_span(c->chain, span, why);
            continue;
        }
        if (e != OK) {
            return e;
        }
        filter.from_block += span;
        fit_span(c->chain, span, c->batch->item_count - before);
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
    struct arena answer;
    arena_init(&answer, 0);
    const struct evm_header **headers =
        arena_alloc_array(&answer, c->to - c->from, sizeof *headers);
    struct address *addresses = arena_alloc_array(&answer, count, sizeof *addresses);
    size_t header_count = 0;
    struct evm_log *logs = NULL;
    size_t log_count = 0;
    for (size_t i = 0; i < count; i++) {
        addresses[i] = contracts[i].address;
    }
    for (size_t b = c->from; b < c->to; b++) {
        if (admits(c->chain, &c->batch->headers[b], contracts, count)) {
            headers[header_count++] = &c->batch->headers[b];
        }
    }
    enum err e = rpc_proven_logs(c->chain->rpc, &answer, headers, header_count, addresses, count,
                                 &logs, &log_count, why);
    for (size_t i = 0; e == OK && i < log_count; i++) {
        e = take_log(c, &logs[i], contracts, count, why);
    }
    arena_free(&answer);
    return e;
}

/*
 * Narrows the range to the blocks whose bloom admits one of the contracts; false proves that
 * there is nothing to read.
 */
static bool may_hold(const struct collection *c, const struct chain_followed *contracts,
                     size_t count, struct rpc_log_filter *out)
{
    bool any = false;
    for (size_t b = c->from; b < c->to; b++) {
        const struct evm_header *h = &c->batch->headers[b];
        if (admits(c->chain, h, contracts, count)) {
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
    for (size_t b = c->from; b < c->to; b++) {
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

/* Reads the logs of some contracts (sorted by address) in the headers from..to. */
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
        if (may_hold(c, contracts + done, n, &filter)) {
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
    const struct chain_batch *batch = c->batch;
    size_t kept = 0;
    if (c->fresh_count > 1) {
        qsort(c->fresh, c->fresh_count, sizeof *c->fresh, compare_followed);
    }
    for (size_t i = 0; i < c->fresh_count; i++) {
        const struct address *a = &c->fresh[i].address;
        bool again = kept > 0 && address_equal(&c->fresh[kept - 1].address, a);
        if (!again && chain_followed_find(batch->followed, batch->followed_count, a) == NULL &&
            chain_followed_find(batch->found, batch->found_count, a) == NULL) {
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
        struct chain_batch *batch = c->batch;
        struct chain_followed *all =
            arena_alloc_array(batch->arena, batch->found_count + n, sizeof *all);
        const struct chain_followed *fresh = c->fresh;
        if (batch->found_count > 0) {
            memcpy(all, batch->found, batch->found_count * sizeof *all);
        }
        memcpy(all + batch->found_count, fresh, n * sizeof *all);
        batch->found = all;
        batch->found_count += n;
        qsort(batch->found, batch->found_count, sizeof *batch->found, compare_followed);
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

/* A contract as it is followed from some block on, or as it was announced; NULL: neither. */
static const struct chain_followed *known_as(const struct chain_batch *batch,
                                             const struct address *address)
{
    const struct chain *chain = batch->chain;
    const struct chain_followed *f =
        chain_followed_find(chain->followed, chain->followed_count, address);
    return f != NULL ? f : chain_followed_find(batch->found, batch->found_count, address);
}

static bool counts(const struct chain_batch *batch, const struct chain_item *item)
{
    const struct chain_followed *f = known_as(batch, &item->log.address);
    return f != NULL && f->start_block <= item->log.block_number;
}

/* Starts the contracts that an item of a followed contract announces; false: nothing new. */
static bool start_announced(struct chain_batch *batch, const struct chain_item *item)
{
    const struct chain *chain = batch->chain;
    bool changed = false;
    for (size_t t = 0; t < chain->table_count; t++) {
        const struct chain_table *table = &chain->tables[t];
        for (size_t i = 0; i < table->discovery_count; i++) {
            struct address child;
            if (!announced(batch->arena, &table->discoveries[i], item, &child)) {
                continue;
            }
            const struct chain_followed *at =
                chain_followed_find(batch->found, batch->found_count, &child);
            if (at != NULL && at->start_block == UINT64_MAX) {
                batch->found[at - batch->found].start_block = item->log.block_number;
                changed = true;
            }
        }
    }
    return changed;
}

/* Keeps the logs of contracts that are followed from their block on, announcements included. */
static void keep_followed(struct chain_batch *batch)
{
    struct chain_item *items = batch->items;
    size_t kept = 0;
    for (size_t from = 0; from < batch->item_count;) {
        uint64_t block = items[from].log.block_number;
        size_t to = from;
        while (to < batch->item_count && items[to].log.block_number == block) {
            to++;
        }
        /* A child may stand before its announcement in the block, and announce in its turn. */
        for (bool changed = batch->found_count > 0; changed;) {
            changed = false;
            for (size_t i = from; i < to; i++) {
                changed =
                    (counts(batch, &items[i]) && start_announced(batch, &items[i])) || changed;
            }
        }
        for (size_t i = from; i < to; i++) {
            if (counts(batch, &items[i])) {
                items[kept++] = items[i];
            }
        }
        from = to;
    }
    batch->item_count = kept;
}

/* What was read ahead may have been told another binding of a contract than the rows say. */
static void bind_as_followed(struct chain_batch *batch)
{
    for (size_t i = 0; i < batch->item_count; i++) {
        struct chain_item *item = &batch->items[i];
        const struct chain_followed *f = known_as(batch, &item->log.address);
        if (f != NULL && f->contract != item->contract) {
            item->contract = f->contract;
            item->event = abi_event_find(f->contract, &item->log);
            item->data = SLICE_EMPTY;
        }
    }
}

void chain_collect_settle(struct chain *chain, struct chain_batch *batch)
{
    ASSERT(batch->chain == chain);
    bool in_order = true;
    for (size_t i = 1; in_order && i < batch->item_count; i++) {
        in_order = compare_items(&batch->items[i - 1], &batch->items[i]) < 0;
    }
    if (!in_order) {
        qsort(batch->items, batch->item_count, sizeof *batch->items, compare_items);
    }
    bind_as_followed(batch);
    keep_followed(batch);
}

/* ---- the steps ---- */

/* How many headers from c->from on make the next piece. */
static size_t piece_of(const struct collection *c, const struct chain_followed *contracts,
                       size_t count)
{
    const struct chain_batch *batch = c->batch;
    size_t left = batch->header_count - c->from;
    if (batch->bytes_max == 0) {
        return left;
    }
    if (c->chain->verify != CHAIN_VERIFY_FULL) {
        uint64_t span = span_of(c->chain);
        return span < left ? (size_t)span : left;
    }
    uint64_t gas = 0;
    size_t n = 0;
    while (n < left) {
        const struct evm_header *h = &batch->headers[c->from + n];
        /* What holds nothing of ours is not asked for. */
        uint64_t used = admits(c->chain, h, contracts, count) ? h->gas_used : 0;
        gas = used > UINT64_MAX - gas ? UINT64_MAX : gas + used;
        if (n > 0 && gas > PIECE_GAS_MAX) {
            break;
        }
        n++;
    }
    return n;
}

void chain_fit_stride(struct chain *chain, const struct chain_batch *batch, uint64_t asked)
{
    uint64_t max = chain->config.range_max;
    uint64_t fit = batch->header_count;
    if (batch->bytes < batch->bytes_max / 2 && fit >= asked) {
        /* The last blocks below the head say nothing: there were no more. */
        uint64_t before = atomic_load(&chain->stride);
        fit = 2 * fit > before ? 2 * fit : before;
        fit = fit < max ? fit : max;
    }
    atomic_store(&chain->stride, fit);
}

static struct collection collection_of(struct chain *chain, struct chain_batch *batch)
{
    struct collection c = {.chain = chain, .batch = batch};
    ASSERT(batch->chain == chain && batch->arena != NULL && batch->header_count > 0);
    c.seen = arena_alloc_array(batch->arena, batch->header_count, sizeof *c.seen);
    return c;
}

/* The contracts that are followed in any of the blocks; nothing is asked about the others. */
static const struct chain_followed *begun(const struct chain_batch *batch, size_t *out_count)
{
    uint64_t last = batch->headers[batch->header_count - 1].number;
    size_t count = 0;
    for (size_t i = 0; i < batch->followed_count; i++) {
        count += batch->followed[i].start_block <= last;
    }
    *out_count = count;
    if (count == batch->followed_count) {
        return batch->followed;
    }
    struct chain_followed *list = arena_alloc_array(batch->arena, count, sizeof *list);
    count = 0;
    for (size_t i = 0; i < batch->followed_count; i++) {
        if (batch->followed[i].start_block <= last) {
            list[count++] = batch->followed[i];
        }
    }
    return list;
}

enum err chain_collect_read(struct chain *chain, struct chain_batch *batch, struct why *why)
{
    struct collection c = collection_of(chain, batch);
    size_t count = 0;
    const struct chain_followed *contracts = begun(batch, &count);
    enum err e = OK;
    bool full = false;
    for (; e == OK && !full && c.from < batch->header_count; c.from = c.to) {
        c.to = c.from + piece_of(&c, contracts, count);
        e = read_logs(&c, contracts, count, why);
        full = batch->bytes_max > 0 && batch->bytes >= batch->bytes_max;
    }
    if (e != OK) {
        return e;
    }
    batch->header_count = c.to;
    c.from = 0;
    return read_announced(&c, why);
}

enum err chain_collect_missing(struct chain *chain, struct chain_batch *batch, struct why *why)
{
    struct collection c = collection_of(chain, batch);
    c.to = batch->header_count;
    struct chain_followed *missing =
        arena_alloc_array(batch->arena, chain->followed_count, sizeof *missing);
    size_t count = 0;
    for (size_t i = 0; i < chain->followed_count; i++) {
        const struct chain_followed *f = &chain->followed[i];
        if (chain_followed_find(batch->followed, batch->followed_count, &f->address) == NULL &&
            chain_followed_find(batch->found, batch->found_count, &f->address) == NULL) {
            missing[count++] = *f;
        }
    }
    batch->followed = chain->followed;
    batch->followed_count = chain->followed_count;
    enum err e = read_logs(&c, missing, count, why);
    return e == OK ? read_announced(&c, why) : e;
}

enum err chain_collect(struct chain *chain, struct chain_batch *batch, struct why *why)
{
    batch->arena = &chain->step;
    batch->followed = chain->followed;
    batch->followed_count = chain->followed_count;
    enum err e = chain_collect_read(chain, batch, why);
    if (e == OK) {
        chain_collect_settle(chain, batch);
    }
    return e;
}
