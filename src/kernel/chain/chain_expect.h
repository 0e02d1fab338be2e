/*
 * chain_expect.h: waiting for one event, after something was sent that should cause it.
 *
 * Who submits a transaction says in the same transaction of the database which event must follow
 * from it. A row waits:
 *
 *   WAITING --the chain applied it--------------------------------> SEEN
 *     |  ^--a reorganisation took it back, three minutes from anew---'
 *     '--not within CHAIN_EXPECT_USEC--> TIMED_OUT
 *
 * SEEN is written in the transaction that applies the event, however the block was heard of; so an
 * event counts when it is verified, in order, and as deep as the chain's settings ask. For thirty
 * seconds that is all that is done. Then, every ten seconds, a node is asked for it by
 * eth_getLogs: what it says is not believed, but the chain is made to look, and the row says in
 * which block a node has the event when it is not applied in time. TIMED_OUT says that nobody
 * waits any more, not that it will not come: the chain applies it when it does.
 *
 * Each end is in the audit log and told to whoever follows (chain_expect_fn), in its transaction.
 * After a reorganisation it may be told again.
 *
 * The steps are jobs (`chain.expectation`), so that no process that dies forgets one.
 */
#ifndef KERNEL_CHAIN_CHAIN_EXPECT_H
#define KERNEL_CHAIN_CHAIN_EXPECT_H

#include "kernel/evm/abi.h"
#include "kernel/evm/block.h"
#include "kernel/jobs/jobs.h"
#include "kernel/rpc/rpc.h"
#include "kernel/store/store.h"

/* When a node is asked first, how often then, and when nobody waits any more. */
#define CHAIN_EXPECT_STREAM_USEC (30 * (int64_t)USEC_PER_SEC)
#define CHAIN_EXPECT_POLL_USEC (10 * (int64_t)USEC_PER_SEC)
#define CHAIN_EXPECT_USEC (180 * (int64_t)USEC_PER_SEC)
/* Events of a chain that may be waited for at once. */
#define CHAIN_EXPECT_MAX 10000
#define CHAIN_EXPECT_KEY_MAX 200

/* Stored: numbers are append-only. */
enum chain_expect_state {
    CHAIN_EXPECT_WAITING = 1,
    CHAIN_EXPECT_SEEN = 2,
    CHAIN_EXPECT_TIMED_OUT = 3,
};

struct chain_expectation {
    struct slice key; /* the caller's: a second one with it changes nothing */
    uint64_t chain_id;
    struct address address; /* a followed contract */
    const struct abi_event *event;
    const struct hash *topics[EVM_TOPICS_MAX - 1]; /* of indexed inputs; NULL: any */
    const struct hash *tx_hash;                    /* NULL: any */
};

struct chain_expect_row {
    struct slice key; /* in the arena */
    uint64_t chain_id;
    struct address address;
    struct slice event_type;
    struct hash topics[EVM_TOPICS_MAX];
    bool has_topic[EVM_TOPICS_MAX];
    bool has_tx;
    struct hash tx_hash;
    uint64_t from_block;
    enum chain_expect_state state;
    uint64_t block; /* where it was seen */
    uint32_t log_index;
    struct hash seen_in; /* its transaction */
    bool at_node;        /* a node has said that it has it, in node_block */
    uint64_t node_block;
    int64_t since_usec;
};

/* chain_expect_state_text is what people read: "waiting", "seen", "timed_out". */
const char *chain_expect_state_text(enum chain_expect_state state);

/*
 * chain_expect begins to wait, from the block behind the cursor on. Errors: ERR_LIMIT (key too
 * long, too many at once), those of the store.
 */
enum err chain_expect(struct store_tx *tx, const struct chain_expectation *expectation,
                      struct why *why) ERR_CHECKED;

/* chain_expect_read reads a row. Owns: the arena. Errors: ERR_NOT_FOUND, those of the store. */
enum err chain_expect_read(struct store_tx *tx, struct arena *arena, struct slice key,
                           struct chain_expect_row *out, struct why *why) ERR_CHECKED;

/* Told of an end, in its transaction; an error of it takes the end back. */
typedef enum err (*chain_expect_fn)(struct store_tx *tx, void *ctx,
                                    const struct chain_expect_row *row, struct why *why);

struct chain_expect_watch {
    struct rpc_pool *rpc;
    chain_expect_fn ended; /* or NULL */
    void *ctx;
};

/* chain_expect_job_table makes the job; `watch` must outlive the runner. */
struct job_table chain_expect_job_table(struct chain_expect_watch *watch);

/*
 * chain_expect_forget deletes up to `limit` rows that ended before a time. Errors: those of the
 * store.
 */
enum err chain_expect_forget(struct store_tx *tx, int64_t before_usec, uint64_t limit,
                             uint64_t *out_rows, struct why *why) ERR_CHECKED;

/* chain_expect_audit_table has the actions that are recorded (kernel/audit/audit.h). */
struct audit_table chain_expect_audit_table(void);

#endif
