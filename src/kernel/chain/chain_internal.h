/*
 * chain_internal.h: what the files of kernel/chain share. Private to this folder.
 *
 *   chain.c           the step, the thread, the status
 *   chain_open.c      the cursor row; is this the chain that the rows are about?
 *   chain_followed.c  which contracts are followed
 *   chain_collect.c   reading the logs of a range, without trusting that they belong together
 *   chain_window.c    reading ranges ahead, on threads of their own
 *   chain_apply.c     one batch as one transaction
 *   chain_retry.c     events that were refused, once more
 *   chain_compare.c   are the stored events those of the chain?
 *   chain_expect.c    events that somebody waits for
 *   chain_final.c     up to where the chain is said to be final
 *   chain_reorg.c     finding a fork, undoing what is above it, halting, resuming
 */
#ifndef KERNEL_CHAIN_CHAIN_INTERNAL_H
#define KERNEL_CHAIN_CHAIN_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "kernel/base/metric.h"
#include "kernel/chain/chain.h"
#include "kernel/store/store_lease.h"

/* Blocks whose headers are fetched and applied as one transaction at most. */
#define CHAIN_BATCH_MAX 512

/* Bytes of the logs of one batch, beyond which it takes no further block. With what their answers
 * need, four of them fit well into 64 MiB. */
#define CHAIN_BATCH_BYTES_MAX ((size_t)4 << 20)
/* The same where each block is undone by itself: a row that every block changes has as many
 * versions in one transaction, and PostgreSQL passes all of them at each look. */
#define CHAIN_STEPS_BYTES_MAX ((size_t)1 << 20)

enum chain_metric {
    CHAIN_METRIC_CURSOR,
    CHAIN_METRIC_HEAD,
    CHAIN_METRIC_EVENTS,
    CHAIN_METRIC_EVENTS_FAILED,
    CHAIN_METRIC_REORGS,
    CHAIN_METRIC_REORGS_DEEP,
    CHAIN_METRIC_REORG_DEPTH,
    CHAIN_METRIC_HALTED,
    CHAIN_METRIC_BATCH,
    CHAIN_METRIC_ASKED_AGAIN,
    CHAIN_METRIC_LIVE,
    CHAIN_METRIC_FINAL,
    CHAIN_METRIC_EXPECT_SEEN,
    CHAIN_METRIC_EXPECT_TIMED_OUT,
    CHAIN_METRIC_READ_AHEAD,
    CHAIN_METRIC_DROPPED,
    CHAIN_METRIC_COUNT
};

extern struct metric_value chain_metrics[CHAIN_METRIC_COUNT];

struct chain_position {
    bool found;
    uint64_t block;
    struct hash hash;
    struct hash genesis;
    uint64_t final_block; /* up to where it was said to be final; 0: nowhere */
    char halted_why[WHY_TEXT_MAX];
    int64_t updated_usec; /* wall time of the last change of the row */
};

/* A contract whose logs are read. */
struct chain_followed {
    struct address address;
    const struct abi_contract *contract;
    uint64_t start_block;
    struct evm_bloom_bits bits; /* of the address */
};

struct chain {
    struct chain_config config;
    enum chain_verify verify;
    struct store *store;
    struct rpc_pool *rpc;
    const struct chain_table *tables;
    size_t table_count;
    const struct chain_source *statics;
    size_t static_count;

    /* The rows of chain_sources, sorted by address, as they were at the cursor `followed_at`. */
    struct arena followed_arena;
    struct chain_followed *followed;
    size_t followed_count;
    bool followed_known;
    struct hash followed_at;
    int64_t followed_usec;   /* of the cursor's row then: whoever sets rows right changes it */
    uint64_t followed_loads; /* counts how often they were read: what is read ahead has a copy */

    chain_expect_fn expected; /* or NULL */
    void *expected_ctx;

    bool leased;
    bool watch_only;
    struct store_hold hold; /* of the lease; its lease is NULL without one */

    enum chain_follow follow;
    uint64_t final_limit; /* the tag's block; UINT64_MAX: none holds us back */
    uint64_t final_block; /* the same as a fact to be remembered; 0: nothing is known */

    struct rpc_stream *stream; /* or NULL */
    _Atomic uint64_t told;     /* a block that was heard of since the last step; 0: none */
    _Atomic int64_t told_usec; /* when */

    _Atomic uint64_t limit;     /* steps do not go beyond this block */
    bool opened;                /* this process has looked whether node and rows belong together */
    _Atomic uint64_t span;      /* blocks that the node lets us ask for in one eth_getLogs */
    _Atomic uint64_t span_fit;  /* blocks whose logs make an answer of a good size */
    _Atomic uint32_t span_good; /* full-span answers since `span` was last changed */
    _Atomic uint64_t stride;    /* blocks that a range holds when it is not too much for memory */
    struct arena step;          /* of one chain_sync_once */
    struct arena reading;       /* of one node answer at a time while a fork is looked for */

    struct chain_window *window; /* NULL: nothing is read ahead */
    uint64_t head;               /* as it was seen at `head_usec` */
    int64_t head_usec;

    pthread_t thread;
    bool running;
    _Atomic bool stopping;

    pthread_mutex_t lock; /* guards status */
    struct chain_status status;
};

/* A log with the rows that explain it, and what became of it. */
struct chain_item {
    struct evm_log log;
    const struct abi_contract *contract;
    const struct abi_event *event; /* NULL: the binding does not know the topic */
    struct slice data;             /* what its row says in event_data, when it was written ahead */
    enum err outcome;              /* out: of the handlers */
    const struct why *why;         /* out: in the step's arena when they refused */
};

/* Where an event is. */
struct chain_place {
    uint64_t block;
    struct hash block_hash;
    uint32_t log_index;
    struct address contract;
};

/*
 * A range of blocks that is applied as one transaction. It is read in two steps, of which the first
 * needs nothing of the database: which logs might count, and which do.
 */
struct chain_batch {
    struct chain *chain;
    struct chain_position from; /* the cursor that the batch continues */
    uint64_t head;              /* newest block of the node */
    struct arena *arena;        /* of what was read */
    const struct evm_header *headers;
    size_t header_count; /* collecting lowers it where the logs would be too much for memory */
    size_t bytes_max;    /* of logs, beyond which no further block is taken; 0: no limit */
    int64_t read_usec;   /* when its blocks were asked for, by clock_mono_usec */
    bool deep;           /* undo_depth blocks and more are known above it: undone as a whole */

    /* What was followed when the range was read, sorted by address. */
    const struct chain_followed *followed;
    size_t followed_count;
    uint64_t followed_load;       /* which loading of the chain's list that was */
    struct chain_followed *found; /* contracts that may be announced in it, sorted */
    size_t found_count;

    struct chain_item *items; /* that might count; those that do, in order, once it is settled */
    size_t item_count;
    size_t seen_count; /* out: events that somebody waited for */
    size_t item_cap;
    size_t bytes;       /* of the items */
    bool announced;     /* out: applying it has changed what is followed */
    int64_t moved_usec; /* out: of the cursor's row */
};

/* ---- chain_open.c ---- */

/* chain_position_read reads the cursor row; found is false before the first block. */
enum err chain_position_read(struct store_tx *tx, uint64_t chain_id, struct chain_position *out,
                             struct why *why) ERR_CHECKED;

/*
 * chain_open checks that the node serves the chain that the rows are about, makes the first cursor
 * and follows the contracts of the configuration. Errors: ERR_WRONG_CHAIN, ERR_CONFIG, node and
 * store errors.
 */
enum err chain_open(struct chain *chain, struct chain_position *out, struct why *why) ERR_CHECKED;

/*
 * chain_look only checks that the node serves the chain that the rows are about, if there are any
 * yet. Errors: ERR_WRONG_CHAIN, node and store errors.
 */
enum err chain_look(struct chain *chain, struct chain_position *out, struct why *why) ERR_CHECKED;

/* ---- chain_followed.c ---- */

/* chain_followed_load reads the followed contracts as of a position, if they are not known yet. */
enum err chain_followed_load(struct chain *chain, const struct chain_position *at,
                             struct why *why) ERR_CHECKED;

/* chain_followed_find returns the contract at an address in a sorted list, or NULL. */
const struct chain_followed *chain_followed_find(const struct chain_followed *list, size_t count,
                                                 const struct address *address);

/* chain_follow adds a contract; one that is followed already stays as it is. */
enum err chain_follow(struct store_tx *tx, uint64_t chain_id, const struct address *address,
                      const struct abi_contract *contract, uint64_t from_block, bool *out_added,
                      struct why *why) ERR_CHECKED;

/*
 * chain_follow_statics follows what the configuration names and is not followed yet; where blocks
 * were `applied` (or NULL) without it, its events would be missing. Errors: ERR_CONFIG, ERR_DB.
 */
enum err chain_follow_statics(struct store_tx *tx, const struct chain *chain,
                              const struct chain_position *applied, struct why *why) ERR_CHECKED;

/* ---- chain_expect.c ---- */

/* chain_expect_match ends what waited for an event of the batch. */
enum err chain_expect_match(struct store_tx *tx, struct chain_batch *batch,
                            struct why *why) ERR_CHECKED;
/* chain_expect_rewind lets what was seen from a block on wait again. */
enum err chain_expect_rewind(struct store_tx *tx, uint64_t chain_id, uint64_t from_block,
                             struct why *why) ERR_CHECKED;

/* ---- chain_final.c ---- */

/*
 * chain_final_look asks how far the chain is final, where that decides how far it is followed.
 * Errors: ERR_NODE_ERROR (the node does not know, and nothing else decides), node errors.
 */
enum err chain_final_look(struct chain *chain, const struct chain_position *at,
                          struct why *why) ERR_CHECKED;

/* ---- the others ---- */

/* chain_write is store_write, refused when the chain is another process's (ERR_FENCED). */
enum err chain_write(struct chain *chain, store_fn fn, void *ctx, struct why *why) ERR_CHECKED;

/* chain_collect reads and settles a range of verified headers with what is followed now. */
enum err chain_collect(struct chain *chain, struct chain_batch *batch, struct why *why) ERR_CHECKED;
/*
 * chain_collect_read reads the logs of the batch's `followed`, and of what they announce, that
 * might count. Any thread: of the chain only what does not change is looked at.
 */
enum err chain_collect_read(struct chain *chain, struct chain_batch *batch,
                            struct why *why) ERR_CHECKED;
/*
 * chain_collect_missing reads those of contracts that are followed now and were not known when the
 * batch was read. A block whose bloom does not admit them is proven to hold none of theirs.
 */
enum err chain_collect_missing(struct chain *chain, struct chain_batch *batch,
                               struct why *why) ERR_CHECKED;
/*
 * chain_fit_stride makes the ranges to come shorter when a batch was cut short of the blocks that
 * were asked for, and longer when it held little.
 */
void chain_fit_stride(struct chain *chain, const struct chain_batch *batch, uint64_t asked);
/* chain_collect_settle keeps of what was read the logs that count, in order. */
void chain_collect_settle(struct chain *chain, struct chain_batch *batch);

/* ---- chain_window.c: ranges that are read ahead ---- */

/* chain_window_new makes a window of so many ranges, read by so many threads. Owns: the caller. */
struct chain_window *chain_window_new(struct chain *chain, size_t ranges, size_t threads);
/* chain_window_free frees; NULL is fine. */
void chain_window_free(struct chain_window *w);
/* chain_window_stop forgets everything and ends the threads; they come back when there is work. */
void chain_window_stop(struct chain_window *w);
/* chain_window_discard forgets what was read and what is being read. */
void chain_window_discard(struct chain_window *w);
/* chain_window_interrupt makes a chain_window_next that waits return, now and from now on. */
void chain_window_interrupt(struct chain_window *w, bool on);
/*
 * chain_window_aim has the blocks behind `at` up to `last` read ahead, as many ranges as the window
 * has. What was read of other blocks is forgotten.
 */
void chain_window_aim(struct chain_window *w, const struct chain_position *at, uint64_t last);
/*
 * chain_window_next waits for the first range of the window, and lends it until chain_window_drop.
 * It continues the position, and no range behind it is of another fork as far as they were read;
 * where that is not so the window is discarded and the batch is NULL. Errors: of reading it, which
 * discards the window; ERR_STOPPING when interrupted.
 */
enum err chain_window_next(struct chain_window *w, const struct chain_position *at,
                           struct chain_batch **out, struct why *why) ERR_CHECKED;
/* chain_window_drop forgets the first range, after it was applied. */
void chain_window_drop(struct chain_window *w);
/* chain_window_covers says whether the window reads on from this position. */
bool chain_window_covers(struct chain_window *w, const struct chain_position *at);

/* chain_event_type is what a log's row says in event_type. */
struct slice chain_event_type(const struct chain_item *item);
/* chain_event_data is what its row says in event_data: the decoded arguments as JSON by name, or
 * the raw topics and data when the binding does not know it. Owns: the arena. */
struct slice chain_event_data(struct arena *scratch, const struct chain_item *item);

/* chain_apply is the store function that applies a batch and moves the cursor. */
enum err chain_apply(struct store_tx *tx, void *ctx, struct why *why) ERR_CHECKED;

/*
 * chain_apply_again runs the handlers of one item in a savepoint, in an open undo step. Errors: of
 * the handlers, whose work is taken back then.
 */
enum err chain_apply_again(struct store_tx *tx, struct chain_batch *batch, struct chain_item *item,
                           struct why *why) ERR_CHECKED;

/* chain_retry_want has a refused event tried again later. */
enum err chain_retry_want(struct store_tx *tx, uint64_t chain_id, const struct chain_place *place,
                          struct why *why) ERR_CHECKED;
/* chain_retry_again has all refused events tried again, after a reorganisation. */
enum err chain_retry_again(struct store_tx *tx, uint64_t chain_id, struct why *why) ERR_CHECKED;

/* chain_block_put remembers a block. */
enum err chain_block_put(struct store_tx *tx, uint64_t chain_id, const struct evm_header *header,
                         struct why *why) ERR_CHECKED;

/*
 * chain_reorg_handle finds the fork below the cursor and undoes everything above it, or halts.
 * *out_undone says whether it did. Errors: ERR_CHAIN_HALTED, node and store errors.
 */
enum err chain_reorg_handle(struct chain *chain, const struct chain_position *at, bool *out_undone,
                            struct why *why) ERR_CHECKED;

#endif
