/*
 * chain.h: following one chain: each event applied exactly once, in order, and undone when it
 * stops being canonical.
 *
 * The loop
 *   One thread a chain. It reads the head, steps back from it by `confirmations`, and brings the
 *   cursor there in batches: headers (parent-linked to the stored one), logs of the followed
 *   addresses, decoded by the generated bindings, applied in (block, log index) order. All rows of
 *   a batch, the raw event rows, the block rows and the cursor are one transaction.
 *
 * When it looks
 *   Every `poll_usec`, when somebody pokes, and when a stream (rpc/stream.h; `ws_urls`) announces a
 *   block. An announcement is a reason to look: what is applied comes from the pool and is verified
 *   as ever, and the number that was announced spares the question for the newest block only where
 *   no confirmations are counted from it. As long as the stream lives the loop polls four times
 *   more seldom, but every other second at least: what is announced late, twice, in disorder or
 *   never is applied all the same. Only who applies blocks listens.
 *
 * How far: `follow`
 *   latest (the default): up to the head, less `confirmations`.
 *   safe, finalized: up to the block that the node gives that name, and not nearer to the head
 *   than `confirmations` either. A node that does not know the name: `confirmations` count alone
 *   if there are any, and the status says so; with none the chain waits and says why. The row of
 *   the cursor remembers up to where the chain was said to be so: a fork below is undone by
 *   nobody but a human (chain_resume).
 *
 * Followed contracts
 *   `chain_sources` rows: address, name of the binding (abi_contract), first block. Some come from
 *   the configuration; a chain_discovery row says which event announces another one (a token that
 *   the registry created). A contract is followed from the first log of the block of its
 *   announcement on, because a factory's child logs before its factory announces it, and it is so
 *   whatever the handlers of the announcement say. Before its first block nothing is asked about a
 *   contract. One that is new in the configuration when blocks from its first one on were already
 *   applied without it is refused: its events would be missing, and to apply them afterwards would
 *   be another order than the chain's, in which handlers may find other rows.
 *
 * What is believed of a node: `verify`
 *   full (the default): nothing. Headers are hashed again and must link. A block whose bloom does
 *   not admit a followed contract is thereby proven to hold nothing of it. Of every other block the
 *   receipts and the hashes of the transactions are proven by the header (rpc_proven_logs), and the
 *   logs taken from there.
 *   headers: logs come from eth_getLogs. Each must name the hash of its block's header; where the
 *   bloom admits logs of ours and none came, the block is asked for again by hash, so that an
 *   answer from another fork, or an empty one, is not taken for silence. A log that a node leaves
 *   out among others of its block and contracts, or alters, is not noticed.
 *   trusted: as headers, for chains whose headers cannot be hashed again here. Blooms prove nothing
 *   then and are not looked at. Health says so.
 *   Whatever the mode, the last block of a batch, and a block that is said to have replaced one of
 *   ours, must be the same at as many nodes as the quorum and not another at more (rpc_confirm).
 *   A node that is found lying is benched by the pool and its answer dropped whole: no row comes
 *   from it. Without another node the cursor stays, and the status says why. A range that a node
 *   refuses is halved, down to one block, and grows again; one whose answers are large or small
 *   becomes shorter or longer.
 *
 * Reading ahead
 *   Far below the head, where reading takes longer than applying or as long, `readers` threads
 *   read, decode and prove the next `backfill_window` batches while the chain's thread applies
 *   the first of them, in order (chain_window.c). Nothing of that is durable and nothing of it
 *   is believed before its turn: the batch must continue the cursor, and the batches behind it
 *   must continue it as far as they are there; contracts that were announced since it was read
 *   are looked for in it. An error, a fork, a cursor that somebody else moved, a database that
 *   refuses: all of it is dropped and the next step begins at the row. The last
 *   `reorg_depth_max` blocks below the head are never read ahead. Memory: a batch ends before
 *   it holds more than some MiB of logs.
 *   Blocks of a batch above which as many nodes as the quorum have `undo_depth` blocks more are
 *   undone together or not at all: its last block is the only one that is remembered. A follower
 *   whose inverses another installation is to take (ops_reindex.h) has no readers, so that they are
 *   of single blocks.
 *
 * Blocks that we remember
 *   `chain_blocks` keeps number, hash and parent of the last `undo_depth` blocks. When the block
 *   at the cursor is another one than we applied, the loop walks back until hashes agree, and if
 *   that is at most `reorg_depth_max` blocks, reverts everything above the fork in one transaction
 *   (store_undo_rollback, event rows, block rows, cursor) and goes on. Only a block with another
 *   hash proves a fork: a node that has fewer blocks than we applied is behind, and waited for.
 *   One deeper than `reorg_depth_alert` is said as an error and counted as such.
 *   Deeper than that: the chain halts (ERR_CHAIN_HALTED), its row says why, health is
 *   unhealthy, everything else goes on, and chain_resume continues after a human looked.
 *
 * Invariant: after any history of reorgs, crashes and restarts the projections equal those of a
 * fresh index of the canonical chain.
 *
 * Crash points: before the commit: nothing happened, the range is read again, and so is what was
 * read ahead of it. After: the cursor is past it. There is no state outside the database: two
 * processes may follow one chain into one database, and each batch is applied by one of them.
 *
 * Many processes: with `leased` the thread works while it holds the lease "chain/<id>", and its
 * writes are refused when it does not (store_lease.h). Without the lease it stands by: it follows
 * cursor and head for those who ask, and takes over where the owner stopped. With `watch_only` it
 * never asks for the lease.
 *
 * An event whose handler returns an error that says something of the event does not block the
 * chain: it is recorded with its error (`blockchain_events.error`), logged at level error and
 * counted, its partial writes are rolled back, and a job tries it again (chain_retry.h). A
 * retryable error, ERR_DB and ERR_CORRUPT say something of the database: they stop the batch, and
 * it is tried again.
 *
 * Threads: handlers run on the store's writer thread inside the transaction: no network there.
 * Threads that read ahead see neither database nor handlers. Without them (`readers` or
 * `backfill_window` 0) a step does everything on the thread that calls it.
 */
#ifndef KERNEL_CHAIN_CHAIN_H
#define KERNEL_CHAIN_CHAIN_H

#include "kernel/audit/audit.h"
#include "kernel/base/config.h"
#include "kernel/chain/chain_expect.h"
#include "kernel/evm/abi.h"
#include "kernel/evm/block.h"
#include "kernel/jobs/jobs.h"
#include "kernel/rpc/rpc.h"
#include "kernel/rpc/stream.h"
#include "kernel/store/store.h"

struct chain;

struct chain_event {
    uint64_t chain_id;
    const struct evm_log *log;
    const struct abi_event *event;
    int64_t block_time_usec;
    struct arena *scratch; /* cleared after the event, or those that came with it */
    struct slice id;       /* "<chain>/<tx hash>/<log index>": key for ledger and jobs */
    void *ctx;             /* of the table */
};

/* A handler changes rows only; what it returns decides as described above. */
typedef enum err (*chain_apply_fn)(struct store_tx *tx, const struct chain_event *event,
                                   struct why *why);

/* Most events that a handler takes at once. */
#define CHAIN_MANY_MAX 4096

/*
 * A handler may also take many events at once, for the sake of speed: those of one kind that follow
 * one another, in order, of one block or, far below the head, of several. What it leaves must be
 * what `apply` leaves, called for one after another. When it refuses, its work is rolled back and
 * they are applied one by one, so that the event which is to blame is told from the others.
 */
typedef enum err (*chain_apply_many_fn)(struct store_tx *tx, const struct chain_event *events,
                                        size_t count, struct why *why);

struct chain_handler {
    const struct abi_contract *contract;
    const struct abi_event *event;
    chain_apply_fn apply;
    const char *doc;
};

/* Says that the handler of an event takes many at once, as well. */
struct chain_many {
    const struct abi_contract *contract;
    const struct abi_event *event;
    chain_apply_many_fn apply;
};

/* Says that an event of a followed contract announces another contract to follow. */
struct chain_discovery {
    const struct abi_contract *contract;
    const struct abi_event *event;
    uint16_t address_input; /* index of the event's input that holds the new address */
    const struct abi_contract *child;
};

struct chain_table {
    const struct chain_handler *handlers;
    size_t handler_count;
    const struct chain_many *many;
    size_t many_count;
    const struct chain_discovery *discoveries;
    size_t discovery_count;
    void *ctx;
};

struct chain_source {
    struct address address;
    const struct abi_contract *contract;
    uint64_t start_block;
};

enum chain_follow {
    CHAIN_FOLLOW_LATEST,
    CHAIN_FOLLOW_SAFE,
    CHAIN_FOLLOW_FINALIZED,
};

enum chain_verify {
    CHAIN_VERIFY_FULL,
    CHAIN_VERIFY_HEADERS,
    CHAIN_VERIFY_TRUSTED,
};

struct chain_config {
    uint64_t chain_id;
    const char *rpc_urls;        /* comma-separated, primary first */
    const char *rpc_backup_urls; /* asked when none of the others is ready */
    const char *ws_urls;         /* comma-separated, primary first: where new blocks are heard of */
    uint64_t rpc_rate;           /* calls a second an endpoint; 0: no limit */
    uint64_t rpc_answer_max;     /* units: bytes */
    uint64_t rpc_hedge;          /* of a hundred reads, that may be asked of a second node too */
    uint64_t quorum;             /* nodes that must have a block before it is applied */
    const char *verify;          /* full, headers or trusted */
    int64_t rpc_timeout_usec;
    int64_t poll_usec;
    uint64_t confirmations;
    const char *follow;         /* latest, safe or finalized */
    uint64_t reorg_depth_alert; /* deeper ones are undone and reported as an error */
    uint64_t reorg_depth_max;
    uint64_t undo_depth;      /* blocks kept for undo, >= reorg_depth_max + confirmations */
    uint64_t range_max;       /* blocks of one batch */
    uint64_t backfill_window; /* batches that are read ahead; 0 and 1: none */
    uint64_t start_block;
    int64_t event_retention_usec; /* 0: for ever */
};

/* chain_follow_of reads the setting; "" and NULL mean latest. */
enum chain_follow chain_follow_of(const struct chain_config *config);
/* chain_follow_name is what the setting and the nodes call it. */
const char *chain_follow_name(enum chain_follow follow);
/* chain_verify_of reads the setting; "" and NULL mean full. */
enum chain_verify chain_verify_of(const struct chain_config *config);

/* chain_config_rows are the rows of section "chain". */
extern const struct config_row chain_config_rows[];
extern const size_t chain_config_row_count;

struct chain_options {
    const struct chain_config *config;
    struct store *store;
    struct rpc_pool *rpc;
    const struct chain_source *sources;
    size_t source_count;
    const struct chain_table *tables;
    size_t table_count;
    chain_expect_fn expected; /* told of events that somebody waited for, or NULL */
    void *expected_ctx;
    const char *const *ws_urls; /* those of the configuration, apart; copied */
    size_t ws_url_count;        /* 0: there is no stream */
    size_t readers;  /* threads that read ahead, as far as chain.backfill_window allows; 0: none */
    bool leased;     /* other processes may follow the chain: work under a lease */
    bool watch_only; /* others do: only know where it is */
};

/*
 * chain_events_prune deletes up to `limit` events of blocks before a time, the oldest first, but
 * none that a reorganisation may undo. Errors: those of the store.
 */
enum err chain_events_prune(struct store_tx *tx, int64_t before_usec, uint64_t limit,
                            uint64_t *out_rows, struct why *why) ERR_CHECKED;

/* chain_new makes a follower (duplicate handlers are a bug). Owns: the caller, chain_free. */
struct chain *chain_new(const struct chain_options *options);
/*
 * chain_start checks the node's chain id and genesis against the stored ones and starts the thread.
 * What is to be followed is looked at here when the chain is ours, else when it becomes so. Errors:
 * ERR_WRONG_CHAIN, ERR_CONFIG (a contract that was not followed from its start, a start block that
 * the chain has not reached), node and store errors.
 */
enum err chain_start(struct chain *chain, struct why *why) ERR_CHECKED;
/* chain_stop ends the thread after the current batch. */
void chain_stop(struct chain *chain);
/* chain_free frees a stopped follower; NULL is fine. */
void chain_free(struct chain *chain);

/*
 * chain_sync_once does one step of the loop on the caller's thread: tests and reindexing use it
 * instead of chain_start. *out_progress says whether the cursor moved.
 * Errors: as chain_start; ERR_CHAIN_HALTED as long as the chain is halted; ERR_CONFLICT (another
 * process moved the cursor meanwhile: just call again); those that stop a batch.
 */
enum err chain_sync_once(struct chain *chain, bool *out_progress, struct why *why) ERR_CHECKED;

/* chain_limit keeps the next steps from going beyond a block. */
void chain_limit(struct chain *chain, uint64_t block);

/* chain_poke makes the loop look now (somebody knows that a block was mined). */
void chain_poke(struct chain *chain);

/*
 * chain_told makes the loop look now, for block `number`, which somebody has heard of; 0: for
 * whatever there is.
 */
void chain_told(struct chain *chain, uint64_t number);
/* chain_stream lends the stream of new blocks, or NULL. */
struct rpc_stream *chain_stream(struct chain *chain);

struct chain_status {
    uint64_t chain_id;
    bool followed;         /* by some process, as of a moment ago */
    bool owned;            /* this process applies blocks, and none of the others does */
    uint64_t fence;        /* under which it does; 0 without leases */
    uint64_t cursor_block; /* last applied, by whichever process */
    struct hash cursor_hash;
    uint64_t head_block; /* last seen at the node */
    bool halted;
    char halted_why[WHY_TEXT_MAX];
    bool node_ok;
    bool synced;                    /* the last step found nothing more to apply */
    char waiting_why[WHY_TEXT_MAX]; /* why the last step failed, or "" */
    enum chain_verify verify;
    enum chain_follow follow;
    uint64_t final_block; /* what the node last said is safe or finalized; 0: nothing */
    bool final_unknown;   /* the node does not know the tag: confirmations count alone */
    int64_t applied_usec; /* wall time of the last commit that moved the cursor; row */
    uint64_t reorgs;      /* undone in all, by whichever process */
    uint64_t reorg_depth_last;
    uint64_t events; /* applied by this process */
    uint64_t events_failed;
};

/*
 * chain_status_read reads the state of the chain: of the database what all processes see alike,
 * or, while it is away, what was last seen of it; of memory what the node said to this process.
 */
void chain_status_read(struct chain *chain, struct chain_status *out);

/*
 * chain_cursor_read reads the cursor row. Errors: ERR_NOT_FOUND before the first block.
 */
enum err chain_cursor_read(struct store_tx *tx, uint64_t chain_id, uint64_t *out_block,
                           struct hash *out_hash, struct why *why) ERR_CHECKED;

/*
 * chain_wait_block waits until the cursor has reached `block` and returns whether it did within
 * `timeout_usec`.
 */
bool chain_wait_block(struct chain *chain, uint64_t block, int64_t timeout_usec);

/*
 * chain_resume clears a halt and undoes everything from `from_block` on: the decision of a human,
 * whose name `by` goes into the audit log.
 * Errors: ERR_CONFLICT (not applied yet, or too long ago to be undone), ERR_DB.
 */
enum err chain_resume(struct store *store, uint64_t chain_id, uint64_t from_block, struct slice by,
                      struct why *why) ERR_CHECKED;

/* chain_audit_table has the actions that chains record (kernel/audit/audit.h). */
struct audit_table chain_audit_table(void);

/* chain_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void chain_metrics_register(void);

/* chain_events_reference appends the Markdown table of handled events. */
void chain_events_reference(const struct chain_table *tables, size_t table_count, struct buf *out);

#endif
