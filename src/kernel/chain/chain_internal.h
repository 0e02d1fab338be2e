/*
 * chain_internal.h: what the files of kernel/chain share. Private to this folder.
 */
#ifndef KERNEL_CHAIN_CHAIN_INTERNAL_H
#define KERNEL_CHAIN_CHAIN_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "kernel/base/metric.h"
#include "kernel/chain/chain.h"

/* Blocks whose headers are fetched and applied as one transaction at most. */
#define CHAIN_BATCH_MAX 512

enum chain_metric {
    CHAIN_METRIC_CURSOR,
    CHAIN_METRIC_HEAD,
    CHAIN_METRIC_EVENTS,
    CHAIN_METRIC_EVENTS_FAILED,
    CHAIN_METRIC_REORGS,
    CHAIN_METRIC_REORG_DEPTH,
    CHAIN_METRIC_HALTED,
    CHAIN_METRIC_BATCH,
    CHAIN_METRIC_COUNT
};

extern struct metric_value chain_metrics[CHAIN_METRIC_COUNT];

struct chain_position {
    bool found;
    uint64_t block;
    struct hash hash;
    struct hash genesis;
    char halted_why[WHY_TEXT_MAX];
};

struct chain {
    struct chain_config config;
    struct store *store;
    struct rpc_pool *rpc;
    const struct chain_table *tables;
    size_t table_count;
    const struct chain_source *statics;
    size_t static_count;

    /* Followed contracts, sorted by address; reloaded from rows when `sources_stale`. */
    struct arena sources_arena;
    struct chain_source *sources;
    size_t source_count;
    bool sources_stale;

    struct arena step; /* of one chain_sync_once */

    pthread_t thread;
    bool running;
    _Atomic bool stopping;

    pthread_mutex_t lock; /* guards status */
    struct chain_status status;
};

/* A log with the rows that explain it. */
struct chain_item {
    struct evm_log log;
    const struct abi_contract *contract;
    const struct abi_event *event; /* NULL: the binding does not know the topic */
};

/* A range of blocks that is applied as one transaction. */
struct chain_batch {
    struct chain *chain;
    struct chain_position from; /* the cursor that the batch continues */
    const struct evm_header *headers;
    size_t header_count;
    struct chain_item *items;
    size_t item_count;
    uint64_t failed; /* out: events whose handler refused them */
};

/* chain_contract_find returns the binding with this name among the tables and sources, or NULL. */
const struct abi_contract *chain_contract_find(const struct chain *chain, struct slice name);

/* chain_source_find returns the followed contract at an address, or NULL. */
const struct chain_source *chain_source_find(const struct chain *chain,
                                             const struct address *address);

/* chain_sources_load reads the followed contracts from rows. Errors: ERR_DB, ERR_CORRUPT. */
enum err chain_sources_load(struct chain *chain, struct why *why) ERR_CHECKED;

/* chain_position_read reads the cursor row; found is false before the first block. */
enum err chain_position_read(struct store_tx *tx, uint64_t chain_id, struct chain_position *out,
                             struct why *why) ERR_CHECKED;

/* chain_collect reads and decodes the logs of a range of verified headers, in order. */
enum err chain_collect(struct chain *chain, struct chain_batch *batch, struct why *why) ERR_CHECKED;

/* chain_apply is the store function that applies a batch and moves the cursor. */
enum err chain_apply(struct store_tx *tx, void *ctx, struct why *why) ERR_CHECKED;

/*
 * chain_reorg_handle finds the fork below the cursor and undoes everything above it, or halts.
 * Errors: ERR_CHAIN_HALTED, node and store errors.
 */
enum err chain_reorg_handle(struct chain *chain, const struct chain_position *at,
                            struct why *why) ERR_CHECKED;

#endif
